"""The server's base, over HTTP: first start, sessions, roles, Host and Origin."""

from __future__ import annotations

import httpx

from .screens_process import PINS, Screens


def test_roles_are_checked_on_the_server(shared_screens: Screens) -> None:
    with shared_screens.client() as nobody:
        assert nobody.get("/api/people").status_code == 401
    with shared_screens.signed_in("Lena Braun") as lead:
        answer = lead.get("/api/people")
        assert answer.status_code == 403
        assert answer.json()["key"] == "operator.error.role"
    with shared_screens.signed_in("Ada Admin") as admin:
        assert {p["name"] for p in admin.get("/api/people").json()} == set(PINS)


def test_foreign_host_and_origin_are_refused(shared_screens: Screens) -> None:
    with shared_screens.client() as client:
        assert client.get("/", headers={"Host": "evil.example"}).status_code == 421
        assert client.post("/api/session/end", headers={"Origin": "http://evil.example"}).status_code == 403
    assert httpx.post(f"{shared_screens.url}/api/session/end").status_code == 403
