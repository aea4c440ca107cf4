"""Orders that arrive while a request runs: the control connection and the arbiter's descriptor.

With one lane the application runs in the main thread and there is no other: both descriptors are O_ASYNC, the
kernel raises SIGIO when something comes, and the handler, in the main thread, takes it without blocking. It
works inside `time.sleep`, a socket's recv or a busy loop within a tenth of a millisecond, where a thread
would wait for the interpreter's lock. With several lanes they run in threads, and the main thread waits here.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
from _signal import SIG_BLOCK, getsignal, pthread_sigmask  # type: ignore[import-not-found]
from select import POLLIN, POLLOUT, poll
from threading import Thread
from types import FrameType
from typing import TYPE_CHECKING, Callable, Dict, List, Optional

from .arbiter import Arbiter, poll_once
from .errorlog import ErrorLog
from .interrupt import RequestTimeout
from .protocol import (
    ABANDON,
    DRAIN,
    DUMP,
    INTERRUPT,
    RECALL,
    RECALLED,
    REOPEN,
    STACK,
    FrameError,
    encode,
    encode_fields,
)
from .session import Session
from .stacks import all_stacks, stack_of

if TYPE_CHECKING:
    from .lane import Lane

_SIGIO = int(signal.SIGIO)

#: Request ids whose client has gone. A dict for its order: the oldest make room. One may arrive before its
#: request does, or after the answer, so it cannot be forgotten when no request runs.
Abandoned = Dict[int, None]
_ABANDONED_LIMIT = 1000

#: How long an answer may wait for a front that does not read. Then the front is no front any more.
_PATIENCE_SECONDS = 1.0

#: A descriptor that is closed while poll(2) waits for it (by an application that closes what is not its own)
#: wakes nobody, and keeps the connection open for the front: so it is looked at anew.
_LOOK_SECONDS = 1.0


class Control:
    """Takes orders, whoever calls `drain`: the signal handler, the main thread, or a thread in need."""

    def __init__(self, arbiter: Arbiter, log: ErrorLog) -> None:
        self.abandoned: Abandoned = {}
        #: To be set before the first session.
        self.lanes: List[Lane] = []
        #: Opens the log files anew.
        self.reopen: Callable[[], None] = _nothing
        #: The front said DRAIN: leave as soon as the lanes are dry.
        self.draining = False
        self._arbiter = arbiter
        self._log = log
        self._session: Optional[Session] = None
        self._by_signal = False
        self._busy = False
        self._again = False
        #: What the signal interrupted; None outside of its handler.
        self._frame: Optional[FrameType] = None
        #: The lane in whose request the handler is to raise, once it has done everything else.
        self._overdue: Optional[Lane] = None
        # One object: a new bound method each time would never be the one that is installed.
        self._handler: Callable[[int, Optional[FrameType]], None] = self._on_signal

    @property
    def by_signal(self) -> bool:
        """Whether orders are taken also while the application computes."""
        return self._by_signal

    def use_signal(self) -> None:
        """Installs the handler, then asks for the signal (in this order: unhandled, SIGIO ends a process)."""
        self._by_signal = True
        # In a forked worker the application came first: what it has taken is left to it, and `guard` sees that.
        if getsignal(_SIGIO) in (signal.SIG_DFL, signal.SIG_IGN):
            signal.signal(signal.SIGIO, self._handler)
            _raise_sigio(self._arbiter.descriptor, True)
        self.look()

    def use_thread(self) -> None:
        """Takes orders in a thread: no signal reaches the application's C code."""
        self._watch_from_thread()

    def attach(self, session: Session) -> None:
        """Takes orders from this session from now on."""
        self._session = session
        if self._by_signal:
            _raise_sigio(session.control.fileno(), True)
            self.look()  # What came before O_ASYNC raised no signal.

    def detach(self) -> None:
        self._session = None

    def guard(self) -> None:
        """After each request: goes over to a thread when the application took SIGIO for itself, or blocked it."""
        if self._again:
            self.look()
        if self._by_signal and (
            getsignal(_SIGIO) is not self._handler or _SIGIO in pthread_sigmask(SIG_BLOCK, ())
        ):
            self._by_signal = False
            for lane in self.lanes:
                lane.gathers = False
            self._log.log(
                "warning",
                "The application uses SIGIO, by which the front reaches a busy worker; a thread does it from now on.",
            )
            _raise_sigio(self._arbiter.descriptor, False)
            if self._session:
                _raise_sigio(self._session.control.fileno(), False)
            self._watch_from_thread()

    def wait(self) -> None:
        """Takes orders until the session has ended or DRAIN came; the end of the arbiter ends the process."""
        session = self._session
        while session is self._session and session is not None and not self.draining:
            try:
                watched = [(self._arbiter.descriptor, POLLIN), (session.control.fileno(), POLLIN)]
                poll_once(watched, _LOOK_SECONDS)
            except ValueError:
                return  # The main thread has closed the session just now.
            if not self.drain():
                return

    def look(self) -> None:
        """Takes what has come, as the handler does, which may not meet itself."""
        self._on_signal(_SIGIO, None)

    def await_input(self, connection: socket.socket) -> Callable[[], None]:
        """Makes the main thread's wait for its lane: a function that returns once there is something to read.

        It takes orders meanwhile. The signal alone will not do: Python runs its handler between two steps, and one that
        comes after the last step before recv(2) would be seen when recv ends, with the next request.
        """
        lane = connection.fileno()
        wanted = [(lane, POLLIN)]
        watched = poll()
        for descriptor in (lane, self._arbiter.descriptor, self._session.control.fileno() if self._session else lane):
            watched.register(descriptor, POLLIN)
        wait, look = watched.poll, self.look

        def await_input() -> None:
            events = wait(_LOOK_SECONDS * 1000)
            while events != wanted:
                look()
                if any(descriptor == lane for descriptor, _ in events):
                    return
                events = wait(_LOOK_SECONDS * 1000)

        return await_input

    def drain(self) -> bool:
        """Takes what has come, without blocking; False when the session has ended."""
        self._arbiter.check()
        session = self._session
        if session is None:
            return False
        try:
            while True:
                data = session.control.recv(4096, socket.MSG_DONTWAIT)
                if not data:
                    break
                for kind, _flags, ident, head, _body in session.decoder.push(data):
                    self._take(kind, ident, head)
        except BlockingIOError:
            return True
        except (FrameError, OSError):
            pass
        session.cut()
        return False

    def _take(self, kind: int, ident: int, head: str) -> None:
        if kind == ABANDON:
            self.abandoned[ident] = None
            if len(self.abandoned) > _ABANDONED_LIMIT:
                # One step: a lane's thread may take its own id out meanwhile.
                self.abandoned.pop(list(self.abandoned)[0], None)
        elif kind == DRAIN:
            self.draining = True
            if self._session:
                self._session.stop_reading()
        elif kind == DUMP:
            self._dump(ident)
        elif kind == INTERRUPT:
            for lane in self.lanes:
                if lane.interrupt(ident, self._frame):
                    self._overdue = lane
        elif kind == RECALL:
            self.lanes[int(head.partition("\0")[2])].recall(self._frame)
        elif kind == REOPEN:
            self.reopen()

    def recalled(self, number: int, idents: List[int]) -> None:
        """Tells the front which requests this lane has given up."""
        fields = [("lane", number), ("ids", " ".join(map(str, idents)))]
        self._send(encode(RECALLED, head=encode_fields(fields)))

    def _send(self, data: bytes) -> None:
        if self._session:
            send_all(self._session, data)

    def _dump(self, ident: int) -> None:
        head, text = b"", ""
        if ident == 0:
            text = all_stacks(self.lanes, self._frame)
        for lane in self.lanes:
            if ident and lane.window.ident == ident:
                text = stack_of(lane, self._frame)
                head = encode_fields([("thread", "lane-%d" % lane.number)])
        body = text.encode("utf-8", "backslashreplace")
        self._send(encode(STACK, ident=ident, head=head, body=body))

    def _on_signal(self, _number: int, frame: Optional[FrameType]) -> None:
        # A second signal may interrupt this very handler: it only leaves a note.
        self._again = True
        if self._busy:
            return
        self._busy = True
        self._frame = frame
        try:
            while self._again:
                self._again = False
                self.drain()
        except BaseException:
            # The application was at the end of its stack or memory: `guard` looks again.
            self._again = True
        finally:
            self._frame = None
            self._busy = False
        lane, self._overdue = self._overdue, None
        if lane:
            # From here it goes up through the application's code, which the signal interrupted.
            lane.before_interrupt()
            raise RequestTimeout

    def _watch_from_thread(self) -> None:
        Thread(target=self._watch, name="tunicorn-control", daemon=True).start()

    def _watch(self) -> None:
        while not self.draining:
            self.wait()
            # Between two sessions only the arbiter is watched.
            self._arbiter.pause(0.02)


def send_all(session: Session, data: bytes) -> None:
    """Sends on control, which nobody else writes to. The session ends when the front does not take it in time."""
    view = memoryview(data)
    while view:
        try:
            view = view[session.control.send(view, socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            if not poll_once([(session.control.fileno(), POLLOUT)], _PATIENCE_SECONDS):
                session.cut()
                return
        except OSError:
            return


def _nothing() -> None:
    pass


def _raise_sigio(descriptor: int, on: bool) -> None:
    if on:
        fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_ASYNC if on else flags & ~os.O_ASYNC)
