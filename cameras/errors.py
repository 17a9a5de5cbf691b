"""The error tree of the whole house starts here, in the lowest room.

Every error says four things: what it is about, what was expected, what was found, and what to do.
The command line prints exactly that and exits non-zero; it never shows a traceback for one of these.
"""

from __future__ import annotations


class LinegateError(Exception):
    """Base of every error Linegate raises on purpose.

    Args:
        thing: what the error is about, by the name its user knows ("camera 'top'", "station.toml line 12").
        expected: what should have been there.
        found: what was there.
        remedy: what to do about it, as an instruction.
    """

    def __init__(self, thing: str, *, expected: str, found: str, remedy: str) -> None:
        self.thing = thing
        self.expected = expected
        self.found = found
        self.remedy = remedy
        super().__init__(thing, expected, found, remedy)

    def __str__(self) -> str:
        return f"{self.thing}: expected {self.expected}, found {self.found}. {self.remedy}"

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the keyword arguments when an error crosses a process border."""
        return (_rebuild, (type(self), self.thing, self.expected, self.found, self.remedy))


def _rebuild(kind: type[LinegateError], thing: str, expected: str, found: str, remedy: str) -> LinegateError:
    return kind(thing, expected=expected, found=found, remedy=remedy)


class SettingsError(LinegateError):
    """A settings file or an argument is not what it must be."""


class WrongImage(LinegateError):
    """An image can't be read, or is not of the kind that the bundle or the recipe declares."""


class CameraError(LinegateError):
    """A camera can't be opened, configured or read."""


class CameraNotFound(CameraError):
    """No camera answers to the name asked for."""


class CameraLost(CameraError):
    """A camera that was open is gone: unplugged, powered off, or its link failed."""
