"""How the screens refuse: a key into the dictionary, so that each user reads it in their own language."""

from __future__ import annotations

from typing import Any

from linegate.cameras.errors import LinegateError


class ScreenError(LinegateError):
    """A request that is refused, with the HTTP status and the text key that says why.

    Args:
        key: key of the text the screen shows, ``operator.error.…`` or ``review.error.…``.
        status: HTTP status.
        args: values for the text's {placeholders}; must be JSON.
    """

    def __init__(self, key: str, status: int = 400, **values: Any) -> None:
        self.key = key
        self.status = status
        self.values = values
        super().__init__(
            "request to the screens",
            expected="one that can be carried out",
            found=key,
            remedy="Read the screen's text.",
        )

    def body(self) -> dict[str, Any]:
        """The JSON answer."""
        return {"key": self.key, "args": self.values}
