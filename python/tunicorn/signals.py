"""What a worker does with signals, and what it leaves to its children."""

from __future__ import annotations

import ctypes
import os
import signal
from os import fork  # Bound now: gevent's would wait for our workers in our place.
from threading import local
from typing import Any, Callable, Dict, List

#: A worker leaves on its arbiter's order only: systemd signals the whole cgroup, Ctrl-C the whole terminal,
#: and requests in flight must be finished all the same.
_UNMOVED = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

_PR_SET_PDEATHSIG = 1


def stay(_number: int, _frame: object) -> None:
    """Handles a signal by doing nothing. A handler and not SIG_IGN, which programs we start would inherit."""


def ignore_signals() -> Dict[int, Any]:
    """Makes the process unmoved by signals that reach it directly. Gives the handlers there were before."""
    before: Dict[int, Any] = {}
    for number in _UNMOVED:
        before[number] = signal.signal(number, stay)
        # A C library in the middle of a read must not see EINTR for a signal that means nothing.
        signal.siginterrupt(number, False)
    return before


def die_with_parent() -> None:
    """SIGKILL when the arbiter dies, also inside a C call that lets nobody in (prctl(2), PR_SET_PDEATHSIG)."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    except (AttributeError, OSError):
        pass  # No such call here: the end of descriptor 3 has to do.


class Children:
    """Gives forked children (multiprocessing, os.fork) their signals back, and closes what is ours in them.

    Otherwise `Process.terminate()` would do nothing, and a child that lives on would keep the connections of
    a dead worker open.
    """

    def __init__(self, before: Dict[int, Any]) -> None:
        self._before = before
        #: Called in a child. May still grow: it is read at the fork.
        self.let_go: List[Callable[[], None]] = []
        self._forking = local()
        os.register_at_fork(
            before=self._before_fork, after_in_parent=self._in_parent, after_in_child=self._in_child
        )

    def fork_worker(self) -> int:
        """fork() for a child that is one of us: it stays unmoved, and keeps what is ours."""
        self._forking.worker = True
        try:
            return fork()
        finally:
            self._forking.worker = False

    def _forks_worker(self) -> bool:
        return getattr(self._forking, "worker", False)

    def _before_fork(self) -> None:
        # A parent may call terminate() before its child has come as far as `in_child`: the signal must wait.
        if not self._forks_worker():
            self._forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _UNMOVED)

    def _in_parent(self) -> None:
        if not self._forks_worker():
            signal.pthread_sigmask(signal.SIG_SETMASK, self._forking.mask)

    def _in_child(self) -> None:
        if self._forks_worker():
            return
        for close in self.let_go:
            close()
        # Once: in a child of this child the same descriptors may be something of the application's.
        self.let_go.clear()
        for number, handler in self._before.items():
            if signal.getsignal(number) is stay:
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._forking.mask)
