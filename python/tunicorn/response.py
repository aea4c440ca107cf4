"""One request's answer: the server's side of `start_response`, `write` and the iterable (PEP 3333)."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Iterator, Optional, Tuple, Type, Union

from .environ import Environ, FileWrapper
from .headers import Headers, encode_head, encode_hints
from .protocol import BODY, EARLY, HEADER, LAST, MAX_PART, RESPONSE, encode

if TYPE_CHECKING:
    from .lane import Lane

ExcInfo = Tuple[Type[BaseException], BaseException, TracebackType]

#: Iterators whose blocks exist already: asking for the next one runs nothing of the application's, so all
#: of them can travel in one frame. (Django's HttpResponse gives a list's iterator.)
_FINISHED: Tuple[type, ...] = (type(iter([])), type(iter(())))

#: Up to here head and block are joined for one send; beyond it a copy costs more than a system call.
_JOIN_LIMIT = 64 * 1024

#: A block that no frame can hold goes in pieces of this size: the front holds one for each lane meanwhile.
_PIECE = 1024 * 1024


class ClientGone(Exception):
    """The client left before the application had begun its answer."""


class Response:
    """Follows one answer from `start_response` to its last block, and writes its frames."""

    __slots__ = ("complete", "environ", "head", "ident", "lane", "length", "sent", "started")

    def __init__(self, lane: Lane, ident: int, environ: Environ) -> None:
        self.lane = lane
        self.ident = ident
        self.environ = environ
        #: Encoded status and headers; None until start_response was called.
        self.head: Optional[bytes] = None
        #: The application's Content-Length.
        self.length: Optional[int] = None
        #: Bytes of the body sent so far.
        self.sent = 0
        #: The RESPONSE frame is out: the head cannot change any more.
        self.started = False
        #: The last frame is out.
        self.complete = False

    @property
    def status(self) -> str:
        """What the client has got, or gets from the front when the application failed before it began to answer."""
        if self.head is None or not self.started:
            return "500 Internal Server Error"
        return self.head.partition(b"\0")[0].decode("latin-1")

    def start_response(
        self, status: str, headers: Headers, exc_info: Optional[ExcInfo] = None
    ) -> Callable[[bytes], None]:
        """PEP 3333, "The start_response() Callable". The head waits for the first block that is not empty."""
        if exc_info:
            try:
                if self.started:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # Else the traceback and this frame hold each other.
        elif self.head is not None:
            raise AssertionError(
                "start_response() was called twice without exc_info (PEP 3333, The start_response() Callable)"
            )
        self.head, self.length = encode_head(status, headers)
        self.lane.check()
        return self.write

    def hint(self, headers: Headers) -> None:
        """Sends headers in a 103 ahead of the answer, at once; nothing when that has begun."""
        head = encode_hints(headers)
        if not self.started and not self.complete:
            self.lane.write(encode(EARLY, ident=self.ident, head=head))
        self.lane.check()

    def write(self, block: bytes) -> None:
        """The `write()` callable: the block is on its way before this returns."""
        check_block(block)
        if not self.complete:
            self.send(block, self.is_last(block))
        elif block:
            self.lane.too_much(self)
        self.lane.check()

    def is_last(self, block: bytes) -> bool:
        """Whether Content-Length says that nothing can follow this block."""
        return self.length is not None and self.sent + len(block) >= self.length

    def finish(self, blocks: Any) -> None:
        """Sends a list or tuple of blocks, which is a whole body, in one frame."""
        if len(blocks) == 1:
            body = blocks[0]
            if type(body) is not bytes:
                check_block(body)
        else:
            for block in blocks:
                check_block(block)
            body = b"".join(blocks)
        if not self.complete:
            self.send(body, True)
        elif body:
            self.lane.too_much(self)

    def stream(self, result: Any) -> None:
        """Sends each block before it asks for the next (PEP 3333, "Buffering and Streaming")."""
        if type(result) is FileWrapper and self.lane.files.offer(self, result.filelike):
            return
        check_result(result)
        blocks: Iterator[bytes] = iter(result)
        if type(blocks) in _FINISHED:
            self.finish(list(blocks))
            return
        lane = self.lane
        while not lane.has_left(self.ident):
            try:
                block = next(blocks)
            except StopIteration:
                break
            check_block(block)
            if block:
                if not self.complete:
                    self.send(block, self.is_last(block))
                else:
                    lane.too_much(self)
                    break
        else:
            if self.head is None:
                raise ClientGone("The client left before the application began its answer.")
        if not self.complete:
            self.send(b"", True)

    def send(self, block: Union[bytes, memoryview], last: bool) -> None:
        """Writes one frame; a block longer than a frame may be, in several."""
        if len(block) > MAX_PART:
            self.send_parts(block, last)
            return
        if self.started:
            kind, head = BODY, b""
        else:
            kind, head = RESPONSE, self.head
            if head is None or self.lane.log_environ or len(head) > MAX_PART:
                head = self.final_head()
            self.started = True
        self.complete = last
        self.sent += len(block)
        header = HEADER.pack(kind, LAST if last else 0, 0, self.ident, len(head), len(block))
        if len(block) <= _JOIN_LIMIT:
            (self.lane.write_last if last else self.lane.write)(header + head + block)
        else:
            self.lane.write(header + head, block)

    def send_parts(self, block: Union[bytes, memoryview], last: bool) -> None:
        """Sends a long block piece by piece, and what is left of it to nobody once the client has gone."""
        # Views: slices that copy what remains would copy a block of 1 GiB 32 times over.
        with memoryview(block) as view:
            for at in range(0, len(view), _PIECE):
                piece = view[at : at + _PIECE]
                self.send(piece, last and at + _PIECE >= len(view))
                if self.lane.has_left(self.ident):
                    break
        if last and not self.complete:
            self.send(b"", True)

    def final_head(self) -> bytes:
        """The head with what the access log wants to know of `environ`."""
        head = self.head
        if head is None:
            raise AssertionError(
                "The application gave a block before it called start_response() (PEP 3333, The start_response() Callable)"
            )
        for key in self.lane.log_environ:
            if key in self.environ:
                text = "\0:environ.%s\0%s" % (key, str(self.environ[key]).replace("\0", " "))
                head += text.encode("latin-1", "backslashreplace")
        if len(head) > MAX_PART:
            raise ValueError("The response head is %d bytes long, more than 16 MiB." % len(head))
        return head


def check_block(block: object) -> None:
    """Raises AssertionError when the block is not bytes."""
    if not isinstance(block, bytes):
        raise AssertionError(
            "A block of the body must be bytes, not %s: %.100r (PEP 3333, A Note On String Types)"
            % (type(block).__name__, block)
        )


def check_result(result: object) -> None:
    """Raises AssertionError when the application returned what is usually a slip."""
    is_iterable = hasattr(result, "__iter__") or hasattr(result, "__getitem__")
    if not is_iterable or isinstance(result, (bytes, str)):
        # `module:create_app` without parentheses passes for an application until it is called.
        advice = "; name a factory as a call: module:factory()" if callable(result) else ""
        raise AssertionError(
            "The application returned %s, not an iterable of bytes such as [b'...'] (PEP 3333, The "
            "Application/Framework Side)%s" % (type(result).__name__, advice)
        )
