"""Two settings of CPython that matter to a process with a deadline for every part."""

from __future__ import annotations

import gc
import sys

SWITCH_S = 0.001
"""How long a thread may keep the interpreter while another one waits. The default, 5 ms, is a third of a verdict's time."""


def settle() -> None:
    """Call it once everything is loaded and before parts come: what is there by now is not looked through again by every
    full garbage collection (tens of ms with a database toolkit loaded), and waiting threads get their turn sooner."""
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()
