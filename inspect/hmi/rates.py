"""Yield and ppm of the running batch with their exact bounds."""

from __future__ import annotations

from typing import Any

from linegate.inspect.bounds import rate


class BatchRates:
    """Counts change ten times a second and the bound is a slow function: each pair of counts is computed once."""

    def __init__(self) -> None:
        self._for: tuple[int, ...] = ()
        self._rates: dict[str, Any] = {}

    def __call__(self, status: dict[str, Any]) -> dict[str, Any]:
        """``{"rates": {"yield_least", "ppm_most"}}``: one-sided 95 % bounds (Clopper-Pearson), None without parts.

        Yield counts all parts of the batch; ppm counts NG among the parts that were judged.
        """
        lot = status.get("lot") or {}
        counts = tuple(int(lot.get(name, 0)) for name in ("ok", "ng", "review", "not_inspected"))
        if counts != self._for:
            ok, ng, review, none = counts
            total, judged = ok + ng + review + none, ok + ng + review
            self._for = counts
            self._rates = {
                "yield_least": 1.0 - rate(total - ok, total).upper if total else None,
                "ppm_most": rate(ng, judged).upper * 1e6 if judged else None,
            }
        return {"rates": self._rates}
