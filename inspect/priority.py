"""Real-time priority: a verdict is not late because something else on the machine is busy."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

REAL_TIME = 1
"""Of Linux's 1 to 99, the lowest: ahead of every normal process, behind the kernel's own threads."""
AHEAD = -10
"""Niceness where real-time priority is not allowed."""
REMEDY = "allow it with LimitRTPRIO=1 in the service, or rtprio 1 in /etc/security/limits.conf."


def go_first() -> str:
    """Put this process, and what it starts from now on, ahead of all normal processes (SCHED_RR, see sched(7)).

    Returns "" when that was done, else why not and what to do, in words. Linux keeps 5 % of each core for the others
    (sched_rt_runtime_us), so that a machine whose line runs wild can still be stopped.
    """
    try:
        for thread in Path("/proc/self/task").iterdir():  # libraries have started threads of their own by now
            with contextlib.suppress(ProcessLookupError):
                os.sched_setscheduler(int(thread.name), os.SCHED_RR, os.sched_param(REAL_TIME))
    except (OSError, AttributeError) as error:
        why = f"no real-time priority ({getattr(error, 'strerror', None) or 'not on this system'})"
        return f"{why}, niceness {AHEAD} instead; {REMEDY}" if _be_ahead() else f"{why}; {REMEDY}"
    return ""


def may_go_first() -> bool:
    """Whether ``go_first`` would succeed; changes nothing that lasts."""
    if not hasattr(os, "sched_setscheduler"):
        return False
    before, param = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(REAL_TIME))
    except OSError:
        return False
    os.sched_setscheduler(0, before, param)
    return True


def stand_back(niceness: int) -> None:
    """Put the calling thread, and what it starts, behind the verdict path: normal scheduling at ``niceness``."""
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.setpriority(os.PRIO_PROCESS, 0, niceness)


def behind(niceness: int) -> list[str]:
    """What to write before a command so that it runs behind the verdict path, whoever starts it."""
    normal = ["chrt", "--other", "0"] if shutil.which("chrt") else []  # of util-linux, which small systems lack
    return [*normal, "nice", "-n", str(niceness)]


def _be_ahead() -> bool:
    try:
        os.setpriority(os.PRIO_PROCESS, 0, AHEAD)
    except OSError:
        return False
    return True
