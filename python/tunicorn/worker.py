"""A loaded application, served to one front after another until the arbiter or the front says otherwise."""

from __future__ import annotations

import os
from queue import SimpleQueue
from socket import socket
from threading import Thread
from time import monotonic
from typing import Any, Callable, List, Optional

from .arbiter import Arbiter, Start
from .control import Control
from .environ import base_environ, script_name
from .errorlog import ErrorLog
from .hooks import Hooks
from .lane import Lane, ThreadLane
from .session import GIVE_UP_SECONDS, Session, connect
from .tracebacks import format_error

#: A session that lasted so long counts as one: the search for the next front begins anew.
_LASTED_SECONDS = 1.0
_JOIN_SECONDS = 5.0

#: Requests that a lane may be sent at once: as many as the front would send at most. Only where what waits in it can be
#: taken back while the application runs, that is by a signal.
_BATCH = 32


class ConnectionTaken(Exception):
    """Somebody else has closed our connection: what stands under its number now may be anything."""


class FrontLost(Exception):
    """No front took this worker in for GIVE_UP_SECONDS."""


class Worker:
    """The process as the lanes see it."""

    def __init__(
        self,
        start: Start,
        arbiter: Arbiter,
        *,
        log: ErrorLog,
        control: Control,
        application: Callable[..., Any],
        hooks: Hooks,
    ) -> None:
        self.start = start
        self.arbiter = arbiter
        self.log = log
        self.control = control
        self.application = application
        self.hooks = hooks
        self.abandoned = control.abandoned
        self.base_environ = base_environ(start, log)
        self.prefix = script_name()
        self.after_request: Callable[[], None] = control.guard if start.threads == 1 else _nothing
        kind = ThreadLane if start.threads > 1 else Lane
        self.lanes: List[Lane] = [kind(self, number) for number in range(start.threads)]
        control.lanes = self.lanes
        for lane in self.lanes:
            lane.gathers = control.by_signal
        control.reopen = lambda: log.reopen(start.error_logfile, start.captured)
        self._session: Optional[Session] = None
        self._forked = False

    def run(self) -> None:
        """Serves until DRAIN. Raises FrontLost, ConnectionTaken."""
        serve = self._serve_here if self.start.threads == 1 else self._start_lanes()
        deadline = monotonic() + GIVE_UP_SECONDS
        while not self.control.draining:
            try:
                session = self._session = connect(
                    self.start,
                    self.arbiter,
                    batch=_BATCH if self.control.by_signal else 1,
                    deadline=deadline,
                )
            except OSError as error:
                raise FrontLost(str(error)) from error
            self.control.attach(session)
            serve(session)
            self._end_if_forked()
            self.control.detach()
            session.cut()
            try:
                session.control.close()
            except OSError as error:
                raise ConnectionTaken from error
            if monotonic() - session.began >= _LASTED_SECONDS:
                deadline = monotonic() + GIVE_UP_SECONDS
            elif not self.control.draining:
                self.arbiter.pause(0.02)

    def let_go(self) -> None:
        """In a forked child: the connections are the parent's."""
        self._forked = True
        if self._session:
            self._session.close()
        for lane in self.lanes:
            lane.let_go()
        self.log.renew_lock()

    def _end_if_forked(self) -> None:
        """A child that the application forked, and that came back into the server, finds nothing to do here."""
        if self._forked:
            os._exit(0)

    def _serve_here(self, session: Session) -> None:
        self.lanes[0].serve(session.lanes[0])
        session.lanes[0].close()

    def _start_lanes(self) -> Callable[[Session], None]:
        inboxes: List[SimpleQueue[Optional[socket]]] = [SimpleQueue() for _ in range(self.start.threads)]
        threads = [
            Thread(
                target=self._run_lane, args=(lane, inbox), name="lane-%d" % lane.number, daemon=True
            )
            for lane, inbox in zip(self.lanes, inboxes)
        ]
        for thread in threads:
            thread.start()

        def serve(session: Session) -> None:
            for inbox, connection in zip(inboxes, session.lanes):
                inbox.put(connection)
            self.control.wait()
            if self.control.draining:
                for inbox in inboxes:
                    inbox.put(None)
                until = monotonic() + _JOIN_SECONDS
                for thread in threads:
                    thread.join(max(0.0, until - monotonic()))

        return serve

    def _run_lane(self, lane: Lane, inbox: SimpleQueue[Optional[socket]]) -> None:
        while True:
            connection = inbox.get()
            if connection is None:
                return
            try:
                lane.serve(connection)
            except BaseException as error:
                # A thread that ends in silence would leave a lane that takes requests and never answers.
                self.log.log(
                    "critical", "Lane %d: %s" % (lane.number, format_error(error, error.__traceback__))
                )
                os._exit(1)
            self._end_if_forked()
            session = self._session
            # The front closed this lane: then the whole session is over, and the main thread starts the next.
            if session and connection in session.lanes and not self.control.draining:
                session.cut()
            connection.close()


def _nothing() -> None:
    """With several lanes the main thread takes orders: there is no signal to guard."""
