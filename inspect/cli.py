"""Every command, thin. A command's module is imported only when it is asked for."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from linegate.cameras.errors import LinegateError

COMMANDS = {
    "run": "linegate.inspect.commands.run",
    "check": "linegate.inspect.commands.check",
    "cameras": "linegate.inspect.commands.cameras",
    "calibrate": "linegate.inspect.commands.calibrate",
    "inspect": "linegate.inspect.commands.images",
    "log": "linegate.inspect.commands.partlog",
    "bench": "linegate.inspect.commands.bench",
    "screens": "linegate.inspect.commands.screens",
    "audit": "linegate.inspect.commands.audit",
    "plant": "linegate.inspect.commands.plant",
}
"""Command name to the module whose ``register(app)`` adds it. A room above adds its own by an entry point."""


class _LazyGroup(TyperGroup):
    """Knows all names; imports a command's module when the command is looked up."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*COMMANDS, *(point.name for point in entry_points(group="linegate.commands"))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        register: Any
        if cmd_name in COMMANDS:
            register = import_module(COMMANDS[cmd_name]).register
        else:
            points = [p for p in entry_points(group="linegate.commands") if p.name == cmd_name]
            if not points:
                return None
            register = points[0].load()
        app = typer.Typer()
        app.callback()(lambda: None)  # a group even when it has one command, so that names stay
        register(app)
        group = get_command(app)
        assert isinstance(group, TyperGroup)
        return group.commands.get(cmd_name)


app = typer.Typer(cls=_LazyGroup, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def _root() -> None:
    """Linegate: a quality gate for a production line."""


def main() -> None:
    """The `linegate` command. A LinegateError becomes its message on stderr and exit code 2, never a traceback."""
    try:
        app()
    except LinegateError as error:
        sys.stderr.write(f"linegate: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
