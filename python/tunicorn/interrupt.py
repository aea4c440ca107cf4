"""Ending a request that ran over its deadline: an exception in the thread that runs it.

It lets go of locks and transactions. The process is not used again afterwards: what state its libraries are in
(a database connection that was read by half) nobody can know.
"""

from __future__ import annotations

import ctypes
from threading import Lock
from types import FrameType
from typing import Callable, Optional, Type


class RequestTimeout(BaseException):
    """Not an Exception, so that `except Exception` in a view does not swallow it."""

    def __init__(self) -> None:
        super().__init__("The request ran over its deadline (--timeout) and was interrupted.")


class Window:
    """When a lane's request may be interrupted: while its application's code runs, and never in ours.

    This is the main thread's: orders are taken by a signal handler in the same thread, so nothing here can be
    raced. What comes at a bad moment is kept in `pending` and raised at the next good one.
    """

    __slots__ = ("before", "ident", "open", "pending", "thread")

    def __init__(self, before: Callable[[], None]) -> None:
        #: Called before an exception that was pending is raised.
        self.before = before
        #: The request that runs; 0 for none.
        self.ident = 0
        #: The application may be on the stack.
        self.open = False
        self.pending = False
        #: The thread that serves the lane.
        self.thread = 0

    def begin(self, ident: int) -> None:
        self.ident = ident
        self.open = True

    def end(self) -> None:
        self.ident = 0
        self.open = self.pending = False

    def interrupt(self, ident: int, frame: Optional[FrameType]) -> bool:
        """Whether to raise now, in the frame that the signal interrupted."""
        if ident != self.ident:
            return False
        if self.open and frame is not None and not is_ours(frame):
            return True
        self.pending = True
        return False

    def check(self) -> None:
        """A good moment: between two steps of the application."""
        if self.pending:
            self.pending = False
            self.before()
            raise RequestTimeout

    def shield(self) -> None:
        """Nothing is raised until `unshield`, also not in the standard library's code that ours calls."""
        self.open = False

    def unshield(self) -> None:
        self.open = self.ident != 0

    def arrived(self) -> None:
        """The exception has come out of the application."""


class ThreadWindow(Window):
    """A lane with a thread of its own: orders are taken in the main thread.

    An exception set from there arrives at any later step of the thread. So setting it, and leaving the part in
    which it may arrive, exclude each other; who leaves takes back what has not arrived.
    """

    __slots__ = ("_lock", "_set")

    def __init__(self) -> None:
        super().__init__(_nothing)
        self._lock = Lock()
        self._set = False

    def begin(self, ident: int) -> None:
        with self._lock:
            super().begin(ident)

    def end(self) -> None:
        with self._lock:
            self._take_back()
            super().end()

    def interrupt(self, ident: int, frame: Optional[FrameType]) -> bool:
        with self._lock:
            if ident != self.ident:
                return False
            if self.open and not self._set:
                self._set = True
                raise_in(self.thread, RequestTimeout)
            else:
                self.pending = True
        return False

    def shield(self) -> None:
        with self._lock:
            super().shield()
            if self._set:
                self._take_back()
                self.pending = True

    def unshield(self) -> None:
        with self._lock:
            super().unshield()

    def arrived(self) -> None:
        with self._lock:
            self._set = False

    def _take_back(self) -> None:
        if self._set:
            self._set = False
            raise_in(self.thread, None)


def _nothing() -> None:
    """Whoever sets the exception from outside has done what comes before."""


def raise_in(thread: int, error: Optional[Type[BaseException]]) -> None:
    """Sets the exception that a thread raises next; None takes it back."""
    what = ctypes.py_object(error) if error is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)


def is_ours(frame: FrameType) -> bool:
    """Whether a frame is one of this package's."""
    name = frame.f_globals.get("__name__", "")
    return bool(name.partition(".")[0] == __name__.partition(".")[0])
