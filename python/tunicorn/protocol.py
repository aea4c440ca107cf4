"""The frames between front and worker. The specification is the header comment of src/gateway/frames.ts;
test/corpus/frames.json holds the vectors that both sides are tested against.

Bytes in, frames out: no socket here.
"""

from __future__ import annotations

from struct import Struct
from typing import Iterable, List, Tuple

REQUEST = 1
PING = 2
RESPONSE = 3
BODY = 4
FAILED = 5
PONG = 6
HELLO = 7
READY = 8
ABANDON = 9
DRAIN = 10
INTERRUPT = 11
DUMP = 12
STACK = 13
REOPEN = 14
RECALL = 15
RECALLED = 16
FILE = 17
OPENED = 18
EARLY = 19
#: These two are for lanes of order `any`, which a Python worker has not.
HOLD = 20
GO = 21

LAST = 1
SPOOLED = 2

HEADER = Struct("<BBHIII")
HEADER_LENGTH = 16
MAX_PART = 16 * 1024 * 1024

#: kind, flags, request id, head (latin-1), body. A plain tuple: a NamedTuple costs 0.2 µs more per request.
Frame = Tuple[int, int, int, str, bytes]


class FrameError(Exception):
    """The other side sent what is no frame: its connection cannot be used further."""


def encode(kind: int, *, flags: int = 0, ident: int = 0, head: bytes = b"", body: bytes = b"") -> bytes:
    """One frame as bytes. Raises FrameError when a part is longer than MAX_PART."""
    if len(head) > MAX_PART or len(body) > MAX_PART:
        raise FrameError("A frame part of %d bytes is too long." % max(len(head), len(body)))
    return HEADER.pack(kind, flags, 0, ident, len(head), len(body)) + head + body


def encode_fields(fields: Iterable[Tuple[str, object]]) -> bytes:
    """A frame's head from names and values; what latin-1 does not have is escaped, NUL becomes a space."""
    parts = [str(part).replace("\0", " ") for field in fields for part in field]
    return "\0".join(parts).encode("latin-1", "backslashreplace")


class Decoder:
    """Takes bytes as they come and keeps what is not yet a whole frame."""

    __slots__ = ("_length", "_parts", "_wanted")

    def __init__(self) -> None:
        self._parts: List[bytes] = []
        self._length = 0
        #: Bytes that must be there before another look pays.
        self._wanted = HEADER_LENGTH

    @property
    def missing(self) -> int:
        """How many more bytes the frame that has begun needs at least."""
        return self._wanted - self._length

    def push(self, data: bytes) -> List[Frame]:
        """The frames that are complete with these bytes. Raises FrameError when they are no frame."""
        if self._parts:
            self._parts.append(data)
            self._length += len(data)
            if self._length < self._wanted:
                return []
            data = b"".join(self._parts)
            self._parts = []
        frames: List[Frame] = []
        at, end, wanted = 0, len(data), HEADER_LENGTH
        while end - at >= HEADER_LENGTH:
            kind, flags, reserved, ident, head_length, body_length = HEADER.unpack_from(data, at)
            if not REQUEST <= kind <= GO or reserved or head_length > MAX_PART or body_length > MAX_PART:
                raise FrameError("Not a frame: %s." % data[at : at + HEADER_LENGTH].hex())
            body_at = at + HEADER_LENGTH + head_length
            stop = body_at + body_length
            if stop > end:
                wanted = stop - at
                break
            head = data[at + HEADER_LENGTH : body_at].decode("latin-1")
            frames.append((kind, flags, ident, head, data[body_at:stop]))
            at = stop
        self._keep(data, at, wanted)
        return frames

    def _keep(self, data: bytes, at: int, wanted: int) -> None:
        self._length = len(data) - at
        self._wanted = wanted
        if self._length:
            self._parts = [data[at:] if at else data]
