"""`linegate screens`: the operator and review screens, in a process of their own."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add ``screens``."""

    @app.command()
    def screens(
        station: Annotated[Path, typer.Option(help="The station's settings.")] = Path("station.toml"),
        data: Annotated[Path | None, typer.Option(help="Data folder; the station's own by default.")] = None,
        host: Annotated[str | None, typer.Option(help="Address to listen on; this machine only by default.")] = None,
        port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = None,
        while_input: Annotated[
            bool, typer.Option("--while-input", help="End when standard input does.", hidden=True)
        ] = False,
    ) -> None:
        """Serve the operator and review screens; prints their address. May be killed and restarted at any time."""
        from linegate.inspect.hmi.serve import serve, station_of

        if while_input:  # before anything that can take long
            threading.Thread(target=_end_with_input, name="input", daemon=True).start()
        settings = station_of(station, data=data, host=host, port=port)
        serve(settings, lambda url: typer.echo(f"screens: {url}"))


def _end_with_input() -> None:
    """A line that was killed leaves nobody to end its screens, which would keep the port from the next one's."""
    while os.read(sys.stdin.fileno(), 4096):  # not by sys.stdin: its lock, held here, would keep Python from ending
        pass
    os.kill(os.getpid(), signal.SIGTERM)
