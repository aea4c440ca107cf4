"""The applications of the conformance table in Python. `apps.ts` has the same under the same names.

Each request says in `X-App` which one it wants, and many take what to do from the query.
"""
import hashlib
import sys
from typing import Any, Callable, Dict, Iterable, Iterator, List, Tuple
from urllib.parse import unquote

Environ = Dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

TEXT = [("Content-Type", "text/plain")]
APPS: Dict[str, Application] = {}


def app(function: Application) -> Application:
    APPS[function.__name__.replace("_", "-")] = function  # type: ignore[attr-defined]
    return function


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return APPS[environ["HTTP_X_APP"]](environ, start_response)


def decoded_query(environ: Environ) -> str:
    return unquote(environ["QUERY_STRING"], "latin-1")


# What the body is.


@app
def one_part(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    return [b"hello"]


@app
def parts(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    return [b"one", b"", b"two"]


@app
def no_parts(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    return []


@app
def empty_parts(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    return [b"", b""]


@app
def generator(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", TEXT)
    yield b"one"
    yield b""
    yield b"two"


@app
def generator_of_one(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", TEXT)
    yield b"hello"


@app
def generator_of_none(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", TEXT)
    return
    yield b"never"


@app
def generator_of_empty(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", TEXT)
    yield b""
    yield b""


class Parts:
    """Iterable with `close()`, which tells."""

    def __init__(self, environ: Environ, wanted: List[bytes], error: str = "") -> None:
        self.errors = environ["wsgi.errors"]
        self.wanted = iter(wanted)
        self.error = error

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        for part in self.wanted:
            return part
        if self.error:
            raise RuntimeError(self.error)
        raise StopIteration

    def close(self) -> None:
        self.errors.write("closed after %s\n" % (self.error or "all"))
        self.errors.flush()


@app
def iterator_with_close(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    return Parts(environ, [b"one", b"two"])


@app
def iterator_with_close_fails(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    return Parts(environ, [b"one"], "the first part")


@app
def iterator_with_close_fails_at_once(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    return Parts(environ, [], "no part")


@app
def close_fails(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    class Untidy(Parts):
        def close(self) -> None:
            raise RuntimeError("close itself")

    start_response("200 OK", TEXT)
    return Untidy(environ, [b"hello"])


@app
def none(environ: Environ, start_response: StartResponse) -> Any:
    start_response("200 OK", TEXT)
    return None


@app
def one_string(environ: Environ, start_response: StartResponse) -> Any:
    start_response("200 OK", TEXT)
    return "hello"


@app
def one_bytes(environ: Environ, start_response: StartResponse) -> Any:
    start_response("200 OK", TEXT)
    return b"hello"


@app
def string_part(environ: Environ, start_response: StartResponse) -> Any:
    start_response("200 OK", TEXT)
    return ["h\u00e9llo"]


@app
def number_part(environ: Environ, start_response: StartResponse) -> Any:
    start_response("200 OK", TEXT)
    return [5]


@app
def every_byte(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return [bytes(range(256))]


@app
def large(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Length", "3000000")])
    for letter in (b"a", b"b", b"c"):
        yield letter * 1000000


# Lengths: the query is LENGTH:PART,PART.


def length_and_parts(environ: Environ) -> Tuple[str, List[bytes]]:
    length, _, rest = environ["QUERY_STRING"].partition(":")
    return length, [part.encode() for part in rest.split(",")]


@app
def length_list(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    length, wanted = length_and_parts(environ)
    start_response("200 OK", [("Content-Length", length)])
    return wanted


@app
def length_generator(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    length, wanted = length_and_parts(environ)
    start_response("200 OK", [("Content-Length", length)])
    for part in wanted:
        if part == b"FAIL":
            raise RuntimeError("after the last byte")
        yield part


@app
def length_write(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    length, wanted = length_and_parts(environ)
    write = start_response("200 OK", [("Content-Length", length)])
    for part in wanted:
        write(part)
    return []


# Status and headers: the query says which, percent-encoded.


@app
def status(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response(decoded_query(environ), TEXT)
    return [b"hello"]


@app
def status_alone(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response(decoded_query(environ), [])
    return []


@app
def header(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    name, _, value = decoded_query(environ).partition("=")
    start_response("200 OK", [(name, value)])
    return [b"hello"]


@app
def beyond_latin1(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("X-Price", "5 \u20ac")])
    return [b"hello"]


@app
def beyond_latin1_status(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 \u20ac", [])
    return [b"hello"]


@app
def number_value(environ: Environ, start_response: StartResponse) -> Any:
    start_response("200 OK", [("X-Number", 5)])
    return [b"hello"]


@app
def number_status(environ: Environ, start_response: StartResponse) -> Any:
    start_response(200, [])
    return [b"hello"]


@app
def triple_header(environ: Environ, start_response: StartResponse) -> Any:
    start_response("200 OK", [("X-A", "1", "2")])
    return [b"hello"]


@app
def cookies(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Set-Cookie", "a=1"), ("X-Between", ""), ("set-cookie", "b=2")])
    return [b"hello"]


@app
def two_lengths(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "5"), ("content-length", "5")])
    return [b"hello"]


@app
def own_date_and_server(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("Server", "mine")])
    return [b"hello"]


# start_response and write.


@app
def never_started(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return [b"hello"]


@app
def started_late(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    yield b"hello"
    start_response("200 OK", TEXT)


@app
def started_twice(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    start_response("201 Created", TEXT)
    return [b"hello"]


@app
def replaced(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "99"), ("X-First", "yes")])
    try:
        raise RuntimeError("handled by the application")
    except RuntimeError:
        start_response("503 Sorry", TEXT, sys.exc_info())
    return [b"sorry"]


@app
def replaced_after_empty_part(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [("X-First", "yes")])
    yield b""
    try:
        raise RuntimeError("handled by the application")
    except RuntimeError:
        start_response("503 Sorry", TEXT, sys.exc_info())
    yield b"sorry"


@app
def replaced_too_late(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", TEXT)
    yield b"one"
    try:
        raise RuntimeError("too late to replace")
    except RuntimeError:
        start_response("503 Sorry", TEXT, sys.exc_info())
    yield b"never"


@app
def refused_then_replaced(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    try:
        start_response("200 OK", [("Connection", "close")])
    except Exception:
        start_response("200 OK", [("X-Second", "yes")], sys.exc_info())
    return [b"hello"]


@app
def write(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    send = start_response("200 OK", TEXT)
    send(b"one")
    send(b"two")
    return []


@app
def write_and_parts(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    send = start_response("200 OK", TEXT)
    send(b"one")
    return [b"two", b"three"]


@app
def write_nothing_then_fail(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)(b"")
    raise RuntimeError("after an empty write")


@app
def write_wrong_type(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)(5)  # type: ignore[arg-type]
    return []


# Failures.


@app
def fail_at_once(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    raise RuntimeError("before start_response")


@app
def fail_after_start(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    raise RuntimeError("after start_response")


@app
def fail_before_first_part(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", TEXT)
    yield b""
    raise RuntimeError("before the first part")


@app
def fail_after_first_part(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", TEXT)
    yield b"one"
    raise RuntimeError("in the middle")


# What TypeScript may wait for; here it is there at once, and the bytes are the same.


@app
def promised(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    return [b"one", b"two"]


@app
def promised_never_started(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return [b"one"]


@app
def promise_fails(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", TEXT)
    raise RuntimeError("instead of a body")


@app
def awaited_parts(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    try:
        start_response("200 OK", TEXT)
        yield b"one"
        yield b""
        yield b"two"
    finally:
        environ["wsgi.errors"].write("through with awaited parts\n")


@app
def awaited_parts_fail(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    try:
        start_response("200 OK", TEXT)
        yield b"one"
        raise RuntimeError("in the middle of awaited parts")
    finally:
        environ["wsgi.errors"].write("through with failed parts\n")


@app
def awaited_write(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", TEXT)
    write(b"one")
    write(b"two")
    return [b"three"]


# Early hints.


@app
def hints(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload")])
    environ["wsgi.early_hints"]([("Link", "</b.js>; rel=preload"), ("X-A", "caf\xe9")])
    start_response("200 OK", TEXT)
    return [b"hello"]


@app
def hints_between(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", TEXT)
    environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload")])
    yield b"one"
    environ["wsgi.early_hints"]([("Link", "</b.js>; rel=preload")])
    yield b"two"


@app
def hinted_header(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    name, _, value = decoded_query(environ).partition("=")
    environ["wsgi.early_hints"]([(name, value)])
    start_response("200 OK", TEXT)
    return [b"hello"]


# environ and wsgi.input.


@app
def environ(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The keys that the query names, one a line."""
    start_response("200 OK", [])
    lines = []
    for key in environ["QUERY_STRING"].split(","):
        value = environ.get(key, "(missing)")
        if isinstance(value, bool):
            value = "true" if value else "false"
        if isinstance(value, tuple):
            value = ".".join(map(str, value))
        lines.append("%s=%s\n" % (key, value))
    return ["".join(lines).encode("latin-1")]


@app
def headers_seen(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The names of all CONTENT_* and HTTP_* keys."""
    start_response("200 OK", [])
    names = sorted(key for key in environ if key.startswith(("HTTP_", "CONTENT_")))
    return [" ".join(names).encode()]


@app
def echo(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [environ["wsgi.input"].read()]


@app
def digest(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    body = environ["wsgi.input"].read()
    return ["{} {} {}".format(environ["CONTENT_LENGTH"], len(body), hashlib.sha256(body).hexdigest()).encode()]


@app
def digest_of_lines(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    lines = list(environ["wsgi.input"])
    return ["{} {}".format(len(lines), hashlib.sha256(b"|".join(lines)).hexdigest()).encode()]


@app
def read(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Does with wsgi.input what the query says, as `read:3,readline,iterate`; each result in brackets."""
    start_response("200 OK", [])
    stream = environ["wsgi.input"]
    output = []
    for step in environ["QUERY_STRING"].split(","):
        name, _, argument = step.partition(":")
        sizes = [int(argument)] if argument else []
        result = list(stream) if name == "iterate" else getattr(stream, name)(*sizes)
        output.extend(result if isinstance(result, list) else [result])
        output.append(b"/")
    return [b"".join(part if part == b"/" else b"[" + part + b"]" for part in output)]


@app
def unread(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"not read"]


@app
def errors(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    environ["wsgi.errors"].write("told by the application\n")
    environ["wsgi.errors"].writelines(["line one\n", "line two\n"])
    environ["wsgi.errors"].flush()
    start_response("200 OK", [])
    return [b"told"]
