"""The process of --preload: it has imported the application, and forks a worker whenever the arbiter asks.

It speaks for its workers, as the arbiter is not their parent: what they say on descriptor 3, which is a socket pair to
here, and how they end (`FromZygote` in src/messages.ts).
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import warnings
from os import waitpid  # Bound now, as socketpair: a library may replace it (gevent).
from select import POLLIN
from socket import socket, socketpair
from typing import Any, Callable, Dict, List, Optional

from .arbiter import DESCRIPTOR, Arbiter, Start, parse_start, poll_once
from .errorlog import ErrorLog
from .leave import leave
from .signals import Children, die_with_parent, stay
from .stacks import forget_signal, write_on_signal
from .traps import Traps

#: What a worker says is short: more without an end of line is something else.
_LONGEST_LINE = 1024 * 1024

#: Tells a worker that the arbiter has heard of it: else it could serve before it has a pid there.
_GO = b"!"


class Forked:
    """A worker, as its zygote knows it."""

    def __init__(self, worker: int, pid: int, channel: socket) -> None:
        self.worker = worker
        self.pid = pid
        self.channel = channel
        self.text = b""

    def read(self) -> List[Dict[str, Any]]:
        """What it has said since; never blocks."""
        try:
            while True:
                data = self.channel.recv(65536)
                if not data:
                    break
                self.text += data
        except BlockingIOError:
            return self._take_lines()
        except OSError:
            pass
        lines = self._take_lines()
        self.channel.close()
        return lines

    def _take_lines(self) -> List[Dict[str, Any]]:
        *lines, rest = self.text.split(b"\n")
        self.text = rest if len(rest) <= _LONGEST_LINE else b""
        return [said for said in map(parse_line, lines) if said is not None]


def parse_line(line: bytes) -> Optional[Dict[str, Any]]:
    """An application that writes to descriptor 3 must not end its zygote."""
    try:
        said = json.loads(line)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


class Zygote:
    """The loop between the arbiter and the workers."""

    def __init__(self, arbiter: Arbiter, log: ErrorLog, *, children: Children, traps: Traps) -> None:
        self._arbiter = arbiter
        self._log = log
        self._children = children
        self._traps = traps
        self._workers: Dict[int, Forked] = {}
        self._text = arbiter.rest
        self._leaving = False
        self._pid = os.getpid()
        children.let_go.append(self._close_channels)

    def run(self) -> Start:
        """Comes back in each worker, with what it is to do. The zygote itself never does."""
        self._freeze()
        self._watch_children()
        while True:
            start = self._take_orders()
            if start is not None:
                return start
            if self._leaving and not self._workers:
                leave(0)
            self._wait()

    def _freeze(self) -> None:
        """What there is by now is never looked at by the collector again, which would write to it: it stays shared."""
        self._collects = gc.isenabled()
        gc.collect()
        gc.disable()
        gc.freeze()

    def _watch_children(self) -> None:
        """A pipe becomes readable when a child has ended, and wakes the loop."""
        self._wakeup, writing = os.pipe()
        for descriptor in (self._wakeup, writing):
            os.set_blocking(descriptor, False)
        self._wakeup_write = writing
        self._sigchld = signal.signal(signal.SIGCHLD, stay)
        signal.siginterrupt(signal.SIGCHLD, False)
        self._wakeup_before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def _wait(self) -> None:
        channels = {each.channel.fileno(): each for each in self._workers.values() if each.channel.fileno() >= 0}
        events = [(each, POLLIN) for each in (DESCRIPTOR, self._wakeup, *channels)]
        ready = {descriptor for descriptor, _ in poll_once(events, None)}
        for descriptor in ready & channels.keys():
            self._relay(channels[descriptor])
        if self._wakeup in ready:
            read_all(self._wakeup)
            self._reap()
        if DESCRIPTOR in ready:
            self._read_arbiter()

    def _relay(self, forked: Forked) -> None:
        for said in forked.read():
            self._arbiter.say("said", worker=forked.worker, said=said)

    def _reap(self) -> None:
        """Only our own: what the application started while it was imported is waited for by itself."""
        for forked in list(self._workers.values()):
            status = status_of(forked.pid)
            if status is None:
                continue
            del self._workers[forked.worker]
            self._relay(forked)
            forked.channel.close()
            by_signal = os.WIFSIGNALED(status)
            self._arbiter.say(
                "exited",
                worker=forked.worker,
                code=None if by_signal else os.WEXITSTATUS(status),
                signal=os.WTERMSIG(status) if by_signal else None,
            )

    def _read_arbiter(self) -> None:
        """The end of the arbiter is the end of all, at once."""
        data = read_all(DESCRIPTOR)
        if data is None:
            for forked in self._workers.values():
                os.kill(forked.pid, signal.SIGKILL)
            os._exit(0)
        self._text += data

    def _take_orders(self) -> Optional[Start]:
        """Forks as ordered. Comes back with a start in the worker."""
        while b"\n" in self._text:
            line, _, self._text = self._text.partition(b"\n")
            order = json.loads(line)
            if "fork" in order:
                start = parse_start(order["fork"])
                if self._fork(start):
                    return start
            elif order.get("leave"):
                self._leaving = True
        return None

    def _fork(self, start: Start) -> bool:
        """Whether this is the new worker."""
        self._traps.warn_of_threads()
        try:
            ours, theirs = socketpair()
            pid = fork_quietly(self._children.fork_worker)
        except OSError as error:
            self._arbiter.say("fork-failed", worker=start.worker, message=str(error))
            return False
        if pid == 0:
            ours.close()
            self._become_worker(start, theirs)
            return True
        theirs.close()
        self._workers[start.worker] = Forked(start.worker, pid, ours)
        self._arbiter.say("forked", worker=start.worker, pid=pid)
        try:
            ours.send(_GO)
        except OSError:
            pass  # It is dead already, as its end will tell.
        ours.setblocking(False)
        return False

    def _become_worker(self, start: Start, channel: socket) -> None:
        """Makes the process what one that was started alone is before it serves."""
        die_with_parent()
        if os.getppid() != self._pid:
            os._exit(0)  # The zygote died before the kernel knew that we go with it.
        if channel.recv(1) != _GO:
            os._exit(0)
        os.setsid()
        signal.set_wakeup_fd(self._wakeup_before)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL if self._sigchld is None else self._sigchld)
        channel.setblocking(False)
        # The arbiter's connection is closed by what takes its place.
        os.dup2(channel.fileno(), DESCRIPTOR, inheritable=False)
        channel.close()
        self._children.let_go.remove(self._close_channels)
        self._close_channels()
        self._log.renew_lock()
        forget_signal()
        write_on_signal(start.stack_file)
        if self._collects:
            gc.enable()

    def _close_channels(self) -> None:
        """In a forked process: they are the zygote's."""
        for forked in self._workers.values():
            forked.channel.close()
        self._workers.clear()
        os.close(self._wakeup)
        os.close(self._wakeup_write)


def status_of(pid: int) -> Optional[int]:
    """The status of a child that has ended; None while it runs."""
    try:
        ended, status = waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        # A thread of the application's waits for whatever ends: how this one did is lost.
        return 255 << 8
    return status if ended else None


def fork_quietly(fork: Callable[[], int]) -> int:
    """Without CPython's own warning of threads (since 3.12), and without printing twice what is not yet out."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return fork()


def read_all(descriptor: int) -> Optional[bytes]:
    """What has come; None at the end. The descriptor does not block."""
    parts: List[bytes] = []
    try:
        while True:
            data = os.read(descriptor, 65536)
            if not data:
                return None
            parts.append(data)
    except BlockingIOError:
        return b"".join(parts)
    except OSError:
        return None
