"""Running the app: where it listens, how it stops."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from linegate.cameras.errors import SettingsError
from linegate.inspect.hmi.server import create_app
from linegate.inspect.settings import ScreenSettings
from linegate.inspect.settings_file import load_station


@dataclass(frozen=True, slots=True)
class Served:
    """What ``linegate screens`` needs of a station: its screens, data folder and log."""

    screens: ScreenSettings
    data: Path
    log_url: str


def station_of(path: Path, *, data: Path | None, host: str | None, port: int | None) -> Served:
    """The screens' part of station.toml; the options go before it. Without the file, the defaults with ``data``.

    Raises SettingsError.
    """
    screens, log_url, folder = ScreenSettings(), "", data
    if path.exists():
        station = load_station(path)
        screens, log_url, folder = station.screens, station.log.url, data or station.data
    elif data is None:
        raise SettingsError(
            str(path), expected="a station file", found="none", remedy="Name it, or the data folder with --data."
        )
    changed = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    assert folder is not None
    return Served(screens.model_copy(update=changed), folder, log_url)


class _Server(uvicorn.Server):
    """Ends the event streams before it waits for open connections."""

    def handle_exit(self, sig: int, frame: object) -> None:
        app = self.config.app
        app.state.screens.hub.stop()  # type: ignore[union-attr]
        super().handle_exit(sig, frame)  # type: ignore[arg-type]


def serve(served: Served, say: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM. ``say`` gets the address once it answers."""
    app = create_app(served.screens, served.data, served.log_url)
    family = socket.AF_INET6 if ":" in served.screens.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((served.screens.host, served.screens.port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"screens at {served.screens.host}:{served.screens.port}",
            expected="a free port of this machine",
            found=error.strerror or str(error),
            remedy="Stop what listens there, or set host and port under [screens] (port 0 takes a free one).",
        ) from error
    with listener:
        listener.listen(64)
        port = listener.getsockname()[1]
        host = served.screens.host if served.screens.host not in {"0.0.0.0", "::"} else socket.gethostname()
        say(f"http://{f'[{host}]' if ':' in host else host}:{port}/")
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=2,
            ws="none",
        )
        _Server(config).run(sockets=[listener])
