"""How the log fails: always by name, with the remedy."""

from __future__ import annotations

from collections.abc import Mapping

from linegate.cameras.errors import LinegateError


class LogError(LinegateError):
    """The log can't be opened, read or written."""


class LogBusy(LogError):
    """Another process holds the database's write lock, or the server can't be reached; trying again may help."""


class LogFull(LogError):
    """The disk that carries the log is full."""


class DuplicatePart(LogError):
    """A row with this part's epoch and sequence is already there; rows are never overwritten."""


class BacklogFull(LogError):
    """So many rows wait for a log that doesn't work that no more are kept."""


class CodedError(LinegateError):
    """Something a person sent that can't be taken. The screens say it in that person's own language: ``code`` names their
    text, ``values`` fill it in; the command line prints the English words like those of any other error."""

    def __init__(
        self,
        thing: str,
        *,
        expected: str,
        found: str,
        remedy: str,
        code: str = "",
        values: Mapping[str, object] | None = None,
    ) -> None:
        self.code = code
        self.values = dict(values or {})
        super().__init__(thing, expected=expected, found=found, remedy=remedy)
