"""A command group with a command that is meant when none is named."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

DEFAULT = "data"


class DefaultGroup(TyperGroup):
    """`linegate train FOLDER …` is `linegate train data FOLDER …`: the common case needs no sub-command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert the default sub-command where none is named; --worker names the worker."""
        if args and args[0] == "--worker" and "worker" in self.commands:
            args = ["worker", *args[1:]]
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)
