"""The connections of a worker to one front: control, and one lane a thread."""

from __future__ import annotations

import os
import socket
import struct
from time import monotonic
from typing import List

from .arbiter import Arbiter, Start
from .protocol import HELLO, READY, Decoder, encode, encode_fields

# Bound now: a library that replaces the module's attributes (gevent) must not change our sockets.
_Socket = socket.socket

#: A front that is being replaced is looked for this often, and this long.
RETRY_SECONDS = 0.02
GIVE_UP_SECONDS = 10.0

#: With a time limit of its own (this one is 30 years), recv(2) is never restarted after a signal (signal(7)). Where
#: SIGTERM and SIGIO arrive together, as when systemd stops the whole cgroup, it would be: an idle worker would
#: hear of DRAIN with its next request.
_FOR_EVER = struct.pack("@ll", 10**9, 0)


class Session:
    """Lives from one HELLO to the end of any of its connections: one that ends takes the others with it."""

    def __init__(self, control: socket.socket, lanes: List[socket.socket]) -> None:
        self.control = control
        self.lanes = lanes
        self.decoder = Decoder()
        self.began = monotonic()

    def cut(self) -> None:
        """Ends every connection, which wakes whoever waits on one. Safe from signal handlers and threads."""
        for connection in (self.control, *self.lanes):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def stop_reading(self) -> None:
        """Lets the lanes run dry: they see the end as soon as they wait for a request."""
        for connection in self.lanes:
            try:
                connection.shutdown(socket.SHUT_RD)
            except OSError:
                pass

    def close(self) -> None:
        for connection in (self.control, *self.lanes):
            connection.close()


def connect(start: Start, arbiter: Arbiter, *, batch: int, deadline: float) -> Session:
    """Connects lanes and control, tries until the deadline (monotonic seconds). Raises OSError after it.

    `batch`: requests that a lane may be sent before it has answered the first.
    """
    while True:
        opened: List[socket.socket] = []
        try:
            for lane in range(start.threads):
                hello = encode_fields(
                    [
                        ("role", "lane"),
                        ("worker", start.worker),
                        ("lane", lane),
                        ("capacity", 1),
                        ("order", "fifo"),
                        ("batch", batch),
                    ]
                )
                opened.append(_open(start.gateway, encode(HELLO, head=hello)))
            hello = encode_fields(
                [
                    ("role", "control"),
                    ("worker", start.worker),
                    ("pid", os.getpid()),
                    ("lanes", start.threads),
                ]
            )
            control = _open(start.gateway, encode(HELLO, head=hello) + encode(READY))
            return Session(control, opened)
        except OSError:
            for connection in opened:
                connection.close()
            if monotonic() > deadline:
                raise
            arbiter.pause(RETRY_SECONDS)


def _open(path: str, hello: bytes) -> socket.socket:
    connection = _Socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # A front that listens but is stuck must not hold us up beyond the deadline.
        connection.settimeout(1.0)
        connection.connect(path)
        connection.sendall(hello)
        connection.settimeout(None)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _FOR_EVER)
    except OSError:
        connection.close()
        raise
    return connection
