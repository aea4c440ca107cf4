"""What an application does while it is imported and does not survive a fork: threads, and connections."""

from __future__ import annotations

import os
import socket
import stat
import threading
from typing import List, Set, Tuple

from .errorlog import ErrorLog

_ADVICE = "Start it in post_fork or worker_ready (docs/hooks.md), or with the first request, or leave out --preload."


class Traps:
    """Looks for them, and warns of each once."""

    def __init__(self, log: ErrorLog) -> None:
        self._log = log
        self._open_before = open_descriptors()
        self._told: Set[Tuple[str, ...]] = set()

    def warn_of_threads(self) -> None:
        """Threads are not there in a forked process, and what they hold is locked there for ever."""
        names = tuple(other_threads())
        if not names or names in self._told:
            return
        self._told.add(names)
        self._log.log(
            "warning",
            "--preload: threads run in the process that workers are forked from: %s. They do not run in the workers, "
            "and a lock that one holds at the fork stays locked there. Were they started while the application was "
            "imported? %s" % (", ".join(names), _ADVICE.replace("Start it", "Start them")),
        )

    def warn_of_sockets(self) -> None:
        """Two processes that read from one connection get each other's answers."""
        found = [name for name in map(describe_socket, sorted(open_descriptors() - self._open_before)) if name]
        if not found:
            return
        self._log.log(
            "warning",
            "--preload: the application opened sockets while it was imported, which all workers now share: %s. One "
            "worker would read what is meant for another. %s"
            % (", ".join(found), _ADVICE.replace("Start it", "Open them")),
        )


def other_threads() -> List[str]:
    """Names of all threads but the main one; those that Python does not know by their count."""
    known = threading.enumerate()
    names = sorted(thread.name for thread in known if thread is not threading.main_thread())
    try:
        unknown = len(os.listdir("/proc/self/task")) - len(known)
    except OSError:
        unknown = 0  # No such folder here.
    if unknown > 0:
        names.append("%d that Python does not know (a library's own)" % unknown)
    return names


def open_descriptors() -> Set[int]:
    try:
        listed = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        return set()  # No such folder here.
    # The one by which the folder was listed is in the list, and may be another one's next.
    return set(filter(is_open, listed))


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def describe_socket(descriptor: int) -> str:
    """Where a connection leads, or what is listened at; empty for everything that may be shared, as datagrams."""
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return ""
        with socket.socket(fileno=os.dup(descriptor)) as copy:
            if copy.type not in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
                return ""
            if copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return "one that listens at %s" % describe_address(copy.getsockname())
            return "a connection to %s" % describe_address(copy.getpeername())
    except OSError:
        return ""  # Closed meanwhile, or not connected.


def describe_address(address: object) -> str:
    if isinstance(address, tuple):
        host, port = address[:2]
        return "[%s]:%s" % (host, port) if ":" in str(host) else "%s:%s" % (host, port)
    if isinstance(address, bytes):
        return "@" + address.lstrip(b"\0").decode("utf-8", "replace")
    return str(address) or "a process of its own (a pair of sockets)"
