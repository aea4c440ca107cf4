"""Answers that are the rest of a file: the front opens and sends it, and the worker is free at once.

Only files of which is certain that reading them gives the bytes of the disk. A GzipFile, a member of a zip archive
and many a wrapper have a `fileno()` as well, of the file that they unpack or change.
"""

from __future__ import annotations

import os
import sys
from io import BufferedRandom, BufferedReader, FileIO
from stat import S_ISREG
from typing import TYPE_CHECKING, Any, Dict, NamedTuple, Optional

from .interrupt import RequestTimeout
from .protocol import FILE, HEADER, LAST, encode_fields

if TYPE_CHECKING:
    from .lane import Lane
    from .response import Response

#: Files of /sys say that they are as large as a page, and have no blocks: their bytes are made as they are read.
_PSEUDO_BYTES = 65536

#: Read at once when the worker has to send a file itself.
_BLOCK = 256 * 1024


class Rest(NamedTuple):
    """What of an open file has not been read."""

    descriptor: int
    stat: os.stat_result
    offset: int
    length: int


class Kept(NamedTuple):
    """A file that the front is to open, and the answer that it is."""

    response: Response
    descriptor: int
    offset: int
    length: int


class Files:
    """The files of one lane that wait for the front to open them."""

    def __init__(self) -> None:
        #: The front can open what this worker has open, as far as is known.
        self.offered = True
        #: By request id.
        self.kept: Dict[int, Kept] = {}

    def offer(self, response: Response, filelike: Any) -> bool:
        """Answers with the rest of the file. False: it has to be sent block by block, as any other iterable."""
        if response.started or response.head is None or not self.offered:
            return False
        rest = rest_of(filelike)
        # Where the application promised more than there is, what it gives is to be told from that by the usual way.
        if rest is None or (response.length is not None and response.length > rest.length):
            return False
        head = response.final_head()
        try:
            # The application's own is closed when its close() is called, which is at once.
            descriptor = os.dup(rest.descriptor)
        except OSError:
            return False
        self.kept[response.ident] = Kept(response, descriptor, rest.offset, rest.length)
        where = [
            ("fd", descriptor),
            ("dev", rest.stat.st_dev),
            ("ino", rest.stat.st_ino),
            ("offset", rest.offset),
            ("length", rest.length),
        ]
        body = encode_fields(where)
        response.started = response.complete = True
        header = HEADER.pack(FILE, LAST, 0, response.ident, len(head), len(body))
        response.lane.write_last(header + head + body)
        return True

    def take(self, ident: int, head: str) -> Optional[Kept]:
        """OPENED. Gives the file that the worker has to send itself."""
        kept = self.kept.pop(ident, None)
        if kept is None:
            return None
        if not head:
            os.close(kept.descriptor)
            return None
        if head.endswith("\0worker"):
            self.offered = False
        return kept

    def close(self) -> None:
        """Nobody will open them any more."""
        while self.kept:
            os.close(self.kept.popitem()[1].descriptor)


def rest_of(filelike: Any) -> Optional[Rest]:
    """The rest of a regular file; None when it is none, or nothing is left, or it is not certain."""
    try:
        file = raw_file(filelike)
        if file is None:
            return None
        # What a BufferedRandom was given and has not written yet nobody else could read.
        file.flush()
        descriptor = file.fileno()
        stat = os.fstat(descriptor)
        offset = file.tell()
        readable = file.readable()
    except Exception:
        return None  # It is closed, or a pipe, or a wrapper that fails: reading it tells.
    length = stat.st_size - offset
    if not readable or not S_ISREG(stat.st_mode) or length <= 0:
        return None  # Files of /proc have no size and are not empty: reading tells.
    if stat.st_blocks == 0 and stat.st_size <= _PSEUDO_BYTES:
        return None
    return Rest(descriptor, stat, offset, length)


def raw_file(filelike: Any) -> Any:
    """The file that `filelike.read` reads, if it is one of Python's own on a descriptor; else None."""
    # Imported by whoever has made such a file: to import it here would cost every worker the time.
    tempfile = sys.modules.get("tempfile")
    if tempfile is not None and type(filelike) is getattr(tempfile, "_TemporaryFileWrapper", None):
        filelike = filelike.file
    # Whatever wraps a file (Django's File does) and has its very `read` changes nothing of what it reads.
    file = getattr(getattr(filelike, "read", None), "__self__", None)
    kind = type(file)
    if kind is FileIO or ((kind is BufferedReader or kind is BufferedRandom) and type(file.raw) is FileIO):
        return file
    return None


def send_kept(lane: Lane, kept: Kept) -> None:
    """Answers a request once more, with the file that the front could not open. The application is through with it."""
    response, window = kept.response, lane.window
    try:
        try:
            window.begin(response.ident)
            window.shield()
            send_blocks(lane, kept)
        except (OSError, EOFError) as error:
            lane.fail(response, error)
        finally:
            window.end()
    except RequestTimeout:
        window.end()  # The front has answered. In a thread's lane it may have arrived in the lines above.
    finally:
        os.close(kept.descriptor)


def send_blocks(lane: Lane, kept: Kept) -> None:
    """Raises OSError when the file cannot be read, EOFError when it is shorter now."""
    response = kept.response
    response.started = response.complete = False
    head = response.head
    if response.length is None and head is not None:
        # As the front would have said it.
        response.head = head + b"\0Content-Length\0%d" % kept.length
        response.length = kept.length
    left = response.length or 0
    if response.environ.get("REQUEST_METHOD") == "HEAD":
        left = 0
    at = kept.offset
    while left and not lane.has_left(response.ident):
        block = os.pread(kept.descriptor, min(left, _BLOCK), at)
        if not block:
            raise EOFError("The file became shorter as it was sent.")
        at += len(block)
        left -= len(block)
        response.send(block, not left)
    if not response.complete:
        response.send(b"", True)
