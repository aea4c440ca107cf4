"""A lane: one thread that answers the requests of one connection, in order."""

from __future__ import annotations

from collections import deque
from socket import MSG_DONTWAIT, socket
from threading import get_ident
from types import FrameType
from time import perf_counter
from typing import TYPE_CHECKING, Any, Callable, Deque, List, Optional, Union

from .environ import Environ, request_environ, request_input, shift_path
from .files import Files, send_kept
from .headers import Headers, encode_head
from .interrupt import RequestTimeout, ThreadWindow, Window, is_ours
from .protocol import (
    FAILED,
    LAST,
    OPENED,
    PING,
    PONG,
    REQUEST,
    RESPONSE,
    Decoder,
    Frame,
    FrameError,
    encode,
    encode_fields,
)
from .response import ClientGone, Response
from .tracebacks import application_part, describe, format_error

if TYPE_CHECKING:
    from .worker import Worker

#: What one recv takes at most while no long frame has begun.
_READ = 64 * 1024
_READ_LONG = 1024 * 1024

#: A finished answer waits so long at most for those of the requests behind it, unless one of them takes its time.
_GATHER_SECONDS = 0.001


class Lane:
    """Serves one connection after another (a front may be replaced), one request at a time."""

    def __init__(self, worker: Worker, number: int) -> None:
        self.worker = worker
        self.number = number
        self.log_environ: List[str] = worker.start.log_environ
        self._application: Callable[..., Any] = worker.application
        # One object for all requests: one made for each would cost those that have no use for it.
        self._base: Environ = {**worker.base_environ, "wsgi.early_hints": self.early_hints}
        self._abandoned = worker.abandoned
        self._after_request = worker.after_request
        # Without hooks a request costs nothing for them.
        self._run = self.run_with_hooks if worker.hooks.around_requests else self.run
        self._socket: socket
        self._decoder = Decoder()
        #: What was read and not begun. The lane takes from its head; RECALL, perhaps in another thread, from its tail:
        #: each goes to exactly one of them.
        self._waiting: Deque[Frame] = deque()
        #: Finished answers that leave with the next write.
        self._finished: List[bytes] = []
        #: When the first of them may have been finished.
        self._since = 0.0
        #: Whether answers wait for each other at all. Not where nobody could send them while the next request runs.
        self.gathers = False
        #: It waits for requests: it has nothing in hand.
        self._reading = False
        #: RECALL came at a bad moment: it is obeyed at the next good one.
        self._recall = False
        #: When what runs here may be interrupted.
        self.window = self.make_window()
        #: What runs here, or ran last.
        self._response: Optional[Response] = None
        #: Answers that are files, until the front has opened them.
        self.files = Files()
        #: The front is not there any more; what is left of the answer is dropped.
        self._lost = False

    def make_window(self) -> Window:
        return Window(self.before_interrupt)

    def serve(self, connection: socket) -> None:
        """Answers what comes until the connection ends."""
        self._socket, self._lost = connection, False
        self.window.thread = get_ident()
        decoder = self._decoder = Decoder()
        waiting = self._waiting = deque()
        self._finished = []
        self._reading = False
        await_input = self.worker.control.await_input(connection) if self.gathers else _nothing
        try:
            while not self._lost:
                if self._recall:
                    self._reading = False
                    self.give_up()
                if self._finished and self.is_due():
                    self.write(b"")
                try:
                    frame = waiting.popleft()
                except IndexError:
                    self._reading = True
                    # A signal from here on finds it reading; one just before it must not wait for the next request.
                    if self._recall:
                        continue
                    if self.gathers:
                        await_input()
                    missing = decoder.missing
                    data = connection.recv(_READ if missing <= _READ else min(missing, _READ_LONG))
                    self._reading = False
                    if not data:
                        return
                    waiting.extend(decoder.push(data))
                    self._since = perf_counter()
                    continue
                if frame[0] == REQUEST:
                    self.answer(*frame)
                    self._after_request()
                elif frame[0] == PING:
                    self.write(encode(PONG, ident=frame[2]))
                elif frame[0] == OPENED:
                    self.on_opened(frame[2], frame[3])
        except FrameError as error:
            self.worker.log.log("error", "The front sent what is no frame: %s" % error)
        except OSError:
            pass  # The front died; the worker looks for the next one.
        finally:
            self.files.close()

    def on_opened(self, ident: int, head: str) -> None:
        """The front has a file of ours open; or it has not, and here is the place of the answer that the file is."""
        kept = self.files.take(ident, head)
        if kept is not None:
            self._response = kept.response
            send_kept(self, kept)
        self._abandoned.pop(ident, None)

    def answer(self, _kind: int, flags: int, ident: int, head: str, body: bytes) -> None:
        """Runs the application for one request. Whatever it does, exactly one answer goes out."""
        environ = request_environ(self._base, head)
        if self.worker.prefix and not shift_path(environ, self.worker.prefix):
            self.refuse_path(ident)
            return
        response = self._response = Response(self, ident, environ)
        window = self.window
        try:
            try:
                window.begin(ident)
                if self._recall:
                    self.give_up()
                self._run(response, flags, body)
            finally:
                window.end()
        except RequestTimeout:
            # It arrived in code of ours, in a thread's lane. Perhaps nothing more goes out: the front does not wait for it.
            window.end()
        # The client of a file may be gone before the file is refused: then nobody wants it.
        if self._abandoned and ident not in self.files.kept:
            self._abandoned.pop(ident, None)

    def run_with_hooks(self, response: Response, flags: int, body: bytes) -> None:
        """`run` between the hooks of a request."""
        call = self.worker.hooks.call
        call("pre_request", response.environ)
        self.run(response, flags, body)
        call("post_request", response.environ, response.status)

    def run(self, response: Response, flags: int, body: bytes) -> None:
        """The application's part: from its call to the end of `close()`."""
        environ = response.environ
        result: Any = None
        source: Any = None
        try:
            environ["wsgi.input"] = source = request_input(flags, body)
            result = self._application(environ, response.start_response)
            if type(result) is list or type(result) is tuple:
                response.finish(result)
            else:
                response.stream(result)
        # Not only Exception: as in gunicorn, sys.exit() in a view is an error of that request alone.
        except BaseException as error:
            self.fail(response, error)
        if type(result) is not list:
            self.close(response, result)
        if flags and source is not None:
            source.close()

    def close(self, response: Response, result: Any) -> None:
        """PEP 3333, "Specification Details": close() is called however the request ended."""
        self.window.unshield()
        try:
            close = getattr(result, "close", None)
            if close is not None:
                close()
        except BaseException as error:
            self.window.shield()
            self.log_failure(response, error, "Error closing the response to")

    def fail(self, response: Response, error: BaseException) -> None:
        """Logs what the application raised; tells the front, unless the client has its whole answer already."""
        if isinstance(error, RequestTimeout):
            self.window.arrived()
        self.window.shield()
        if isinstance(error, ClientGone):
            trace = ""
        elif isinstance(error, RequestTimeout):
            # The front has told it, with the stack.
            trace = format_error(error, application_part(error))
        else:
            trace = self.log_failure(response, error, "Error handling request")
        if response.complete:
            return
        response.complete = True
        fields = [("error", type(error).__name__), ("message", describe(error)[:2000])]
        body = trace.encode("utf-8", "backslashreplace")[-100_000:]
        self.write_last(encode(FAILED, ident=response.ident, head=encode_fields(fields), body=body))

    def log_failure(self, response: Response, error: BaseException, what: str) -> str:
        """One entry in the error log. Gives the traceback, from the application's first frame on."""
        # An error of our own has no part of the application's, and is to be found all the same.
        trace = format_error(error, application_part(error) or error.__traceback__)
        environ = response.environ
        method, url = environ.get("REQUEST_METHOD", ""), environ.get("RAW_URI", environ.get("PATH_INFO", ""))
        self.worker.log.log("error", "%s %s %s\n%s" % (what, method, url, trace))
        return trace

    def too_much(self, response: Response) -> None:
        """The application went on when the client had its whole answer, by its length or by its end."""
        method, url = response.environ.get("REQUEST_METHOD", ""), response.environ.get("RAW_URI", "")
        limit = "its answer, which was complete"
        if response.length is not None:
            limit = "its Content-Length of %s bytes" % response.length
        text = "The application gave more than %s; the rest is cut: %s %s"
        self.worker.log.log("error", text % (limit, method, url))

    def refuse_path(self, ident: int) -> None:
        """Answers 404 for a path outside SCRIPT_NAME; gunicorn's 500 would blame the application."""
        text = "This application answers under %s (environment variable SCRIPT_NAME).\n" % self.worker.prefix
        body = text.encode("latin-1")  # The prefix is UTF-8 shown as latin-1, as PATH_INFO is.
        head, _ = encode_head(
            "404 Not Found",
            [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))],
        )
        self.write(encode(RESPONSE, flags=LAST, ident=ident, head=head, body=body))

    def early_hints(self, headers: Headers) -> None:
        """`wsgi.early_hints`, as gunicorn has it: a 103 with these headers for the request that runs."""
        # In another thread it would write into the middle of what the lane writes.
        if self._response and self.window.ident and get_ident() == self.window.thread:
            self._response.hint(headers)

    def check(self) -> None:
        """A good moment for orders that came at a bad one: between two steps of the application."""
        self.window.check()
        if self._recall:
            self.give_up()

    def has_left(self, ident: int) -> bool:
        """Whether nobody waits for further blocks of this answer."""
        self.check()
        return self._lost or ident in self._abandoned

    def write(self, data: bytes, more: Union[bytes, memoryview] = b"") -> None:
        """Sends to the front; what it cannot get any more is dropped."""
        if self._lost:
            return
        if self._finished:
            self._finished.append(data)
            data = b"".join(self._finished)
            self._finished = []
            self._since = perf_counter()
        try:
            self._socket.sendall(data)
            if more:
                self._socket.sendall(more)
        except OSError:
            self._lost = True

    def write_last(self, data: bytes) -> None:
        """Sends the last frame of an answer: together with those that follow, when others wait behind it."""
        if self.gathers and self._waiting:
            self._finished.append(data)
        else:
            self.write(data)

    def is_due(self) -> bool:
        """Whether finished answers should leave before the next request begins."""
        return not (self.gathers and self._waiting) or perf_counter() - self._since > _GATHER_SECONDS

    def recall(self, frame: Optional[FrameType]) -> None:
        """Sends what is finished, and gives up what has not been begun. `frame`: what the signal interrupted."""
        in_application = self.window.open and frame is not None and not is_ours(frame)
        if in_application or not self.gathers:
            self.give_up()
            return
        if self._reading:
            self.give_back()
            return
        self._recall = True
        if self.window.ident:
            # Perhaps in a write that waits for a slow client: then the next good moment is far.
            self.give_back()

    def give_up(self) -> None:
        """RECALL, at a moment when nothing else of the lane's is half done; without the signal, in another thread."""
        self._recall = False
        if self.gathers:
            if self._finished:
                self.write(b"")
            self.read_ahead()
        self.give_back()

    def give_back(self) -> None:
        """Takes from the tail what waits; another thread may do so while the lane takes from the head."""
        idents: List[int] = []
        others: List[Frame] = []
        while True:
            try:
                frame = self._waiting.pop()
            except IndexError:
                break
            if frame[0] == REQUEST:
                idents.append(frame[2])
                continue
            # PING and OPENED are the worker's business, wherever the requests run.
            others.append(frame)
            if not self.gathers:
                break  # Another thread may look for them meanwhile: they must not be missing for long.
        idents.reverse()
        self._waiting.extend(reversed(others))
        self.worker.control.recalled(self.number, idents)

    def read_ahead(self) -> None:
        """Reads what the front has sent meanwhile; what has been begun stays with the lane until the rest of it comes."""
        try:
            data = self._socket.recv(_READ, MSG_DONTWAIT)
        except OSError:
            return
        self._waiting.extend(self._decoder.push(data))

    def let_go(self) -> None:
        """In a forked child: what waits is the parent's."""
        self._lost = True
        self._waiting.clear()
        self._finished = []
        self.files.close()

    @property
    def title(self) -> str:
        """How the request that runs is called."""
        environ = self._response.environ if self._response else {}
        return "%s %s" % (environ.get("REQUEST_METHOD", ""), environ.get("RAW_URI", ""))

    def interrupt(self, ident: int, frame: Optional[FrameType]) -> bool:
        """The request ran over its deadline. Gives whether to raise now, right after `before_interrupt`."""
        return self.window.interrupt(ident, frame)

    def before_interrupt(self) -> None:
        """Right before the request that runs is interrupted."""
        self.worker.hooks.call("worker_abort", self._response.environ if self._response else {})


def _nothing() -> None:
    """Where another thread takes orders, the lane waits in recv(2)."""


class ThreadLane(Lane):
    """A lane with a thread of its own, beside others."""

    def make_window(self) -> Window:
        return ThreadWindow()

    def interrupt(self, ident: int, frame: Optional[FrameType]) -> bool:
        """This is another thread: the exception may arrive at once."""
        if self.window.ident == ident:
            self.before_interrupt()
        return super().interrupt(ident, frame)

    def write(self, data: bytes, more: Union[bytes, memoryview] = b"") -> None:
        """An interrupt that arrived half way would leave half a frame."""
        self.window.shield()
        super().write(data, more)
        self.window.unshield()
