"""Leaving in good order: atexit handlers run, and nobody waits for ever for what does not end."""

from __future__ import annotations

import atexit
import os
import sys
from threading import Thread
from time import sleep
from typing import Callable, NoReturn

#: How long `last`, threads of the application, and its atexit handlers may take.
PATIENCE_SECONDS = 5.0

# Bound now: a library may replace time.sleep (gevent).
_sleep = sleep


class _Leaving:
    """Whether the atexit handlers have begun."""

    exiting = False


def _nothing() -> None:
    pass


def leave(status: int, last: Callable[[], None] = _nothing) -> NoReturn:
    """Calls `last` and raises SystemExit; ends within PATIENCE_SECONDS, twice that if atexit handlers hang."""
    leaving = _Leaving()

    def mark() -> None:
        leaving.exiting = True

    # The last one registered runs first.
    atexit.register(mark)
    Thread(target=_insist, args=(leaving, status), name="tunicorn-leave", daemon=True).start()
    last()
    sys.exit(status)


def _insist(leaving: _Leaving, status: int) -> None:
    """The interpreter joins every thread that is no daemon before atexit handlers run, however long it takes."""
    _sleep(PATIENCE_SECONDS)
    if leaving.exiting:
        _sleep(PATIENCE_SECONDS)
    else:
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
    os._exit(status)
