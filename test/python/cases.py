"""The application of wsgi.test.ts: the path names the function that answers, e.g. /environ or /raises/before."""

import io
import json
import os
import sys
import time
from wsgiref.validate import validator

TEXT = [("Content-Type", "text/plain")]

#: What close() and write() have seen; asked for by /events.
EVENTS = []


def wait_for(path):
    """Holds the application until the test has made this file: what was given before must be out by then."""
    while not os.path.exists(path):
        time.sleep(0.002)


class Body:
    """An iterable with close(); `steps` are blocks, or exceptions to raise."""

    def __init__(self, steps, name="body", close_error=None):
        self.steps = iter(steps)
        self.name = name
        self.close_error = close_error

    def __iter__(self):
        return self

    def __next__(self):
        step = next(self.steps)
        if isinstance(step, BaseException):
            raise step
        return step

    def close(self):
        EVENTS.append("closed " + self.name)
        if self.close_error:
            raise self.close_error


def events(environ, start_response):
    start_response("200 OK", TEXT)
    body = json.dumps(EVENTS).encode()
    del EVENTS[:]
    return [body]


def show_environ(environ, start_response):
    start_response("200 OK", TEXT)
    types = {key: type(value).__name__ for key, value in environ.items()}
    values = {key: value for key, value in environ.items() if isinstance(value, (str, bool, tuple))}
    return [json.dumps({"type": type(environ).__name__, "types": types, "values": values}).encode()]


def echo(environ, start_response):
    start_response("200 OK", TEXT)
    return [environ["wsgi.input"].read()]


def read_input(environ, start_response):
    """Reads the body in the way that the query string names."""
    source = environ["wsgi.input"]
    how = environ["QUERY_STRING"]
    if how == "read":
        got = [source.read(), source.read(), source.read(5)]
    elif how == "read-n":
        got = [source.read(3), source.read(0), source.read(4), source.read(1000), source.read(1000)]
    elif how == "read-minus":
        got = [source.read(-1), source.read(None)]
    elif how == "readline":
        got = [source.readline() for _ in range(5)]
    elif how == "readline-n":
        got = [
            source.readline(2),
            source.readline(100),
            source.readline(-1),
            source.readline(),
            source.readline(7),
        ]
    elif how == "readlines":
        got = source.readlines() + source.readlines()
    elif how == "readlines-hint":
        got = source.readlines(3)
    elif how == "iterate":
        got = list(source) + list(source)
    else:
        got = [source.read(2), source.readline(), next(iter(source)), source.read()]
    start_response("200 OK", TEXT)
    return [json.dumps([block.decode("latin-1") for block in got]).encode()]


def blocks(environ, start_response):
    """Gives the same body in the shape that the query string names."""
    shape = environ["QUERY_STRING"]
    parts = [b"one ", b"", b"two ", b"three"]
    if shape.startswith("length-"):
        start_response("200 OK", TEXT + [("Content-length", "13")])
    else:
        start_response("200 OK", TEXT)
    return {
        "single": lambda: [b"one two three"],
        "list": lambda: parts,
        "tuple": lambda: tuple(parts),
        "iterator": lambda: iter(parts),
        "empty-list": lambda: [],
        "empty-generator": lambda: (part for part in ()),
        "generator": lambda: (part for part in parts),
        "getitem": lambda: Sequence(parts),
        "length-generator": lambda: (part for part in parts),
        "length-body": lambda: Body(parts),
        "length-single": lambda: Body([b"one two three"]),
    }[shape]()


class Sequence:
    """Iterable by the old protocol only."""

    def __init__(self, parts):
        self.parts = parts

    def __getitem__(self, index):
        return self.parts[index]


def big(environ, start_response):
    start_response("200 OK", TEXT)
    size = int(environ["QUERY_STRING"])
    return [bytes(range(256)) * (size // 256)]


def lazy(environ, start_response):
    """Each block must be with the front before the next one is asked for."""
    start_response("200 OK", TEXT)
    yield b""
    yield b"first"
    wait_for(environ["HTTP_X_GATE"])
    yield b"second"


def late_start(environ, start_response):
    """start_response at the first block, as a generator application does."""
    start_response("200 OK", TEXT)
    yield b"late"


def uses_write(environ, start_response):
    write = start_response("200 OK", TEXT)
    EVENTS.append("write gave %r" % write(b"written "))
    wait_for(environ["HTTP_X_GATE"])
    write(b"twice ")
    return [b"and ", b"returned"]


def writes_empty(environ, start_response):
    """write() sends the head even with nothing to write."""
    start_response("200 OK", TEXT)(b"")
    wait_for(environ["HTTP_X_GATE"])
    return []


def writes_all(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "4")])(b"full")
    return []


def starts_twice(environ, start_response):
    start_response("200 OK", TEXT)
    start_response("200 OK", TEXT)
    return []


def replaces_head(environ, start_response):
    """An error before any byte went out: the head can still change."""
    start_response("200 OK", TEXT)
    yield b""
    try:
        raise ValueError("changed my mind")
    except ValueError:
        start_response("500 Oops", TEXT + [("X-Error", "yes")], sys.exc_info())
    yield b"sorry"


def too_late(environ, start_response):
    """An error after the head went out: start_response must raise it again."""
    start_response("200 OK", TEXT)
    yield b"sent"
    try:
        raise LookupError("too late")
    except LookupError:
        try:
            start_response("500 Oops", TEXT, sys.exc_info())
        finally:
            EVENTS.append("raised again")
    yield b"never"


HEADS = {
    "status-bytes": (b"200 OK", TEXT),
    "status-none": (None, TEXT),
    "status-word": ("OK", TEXT),
    "status-short": ("20 OK", TEXT),
    "status-long": ("2000 OK", TEXT),
    "status-space": (" 200 OK", TEXT),
    "status-tab": ("200\tOK", TEXT),
    "status-informational": ("101 Switching Protocols", TEXT),
    "status-cr": ("200 OK\rX: y", TEXT),
    "status-lf": ("200 OK\nX: y", TEXT),
    "status-nul": ("200 O\0K", TEXT),
    "status-unicode": ("200 \u20ac", TEXT),
    "name-bytes": ("200 OK", [(b"X", "y")]),
    "name-empty": ("200 OK", [("", "y")]),
    "name-space": ("200 OK", [("X Y", "y")]),
    "name-colon": ("200 OK", [("X:", "y")]),
    "name-lf": ("200 OK", [("X\n", "y")]),
    "name-nul": ("200 OK", [("X\0Y", "y")]),
    "name-unicode": ("200 OK", [("X\u00e9", "y")]),
    "value-bytes": ("200 OK", [("X", b"y")]),
    "value-int": ("200 OK", [("X", 1)]),
    "value-none": ("200 OK", [("X", None)]),
    "value-cr": ("200 OK", [("X", "a\rb")]),
    "value-lf": ("200 OK", [("X", "a\nSet-Cookie: b")]),
    "value-crlf": ("200 OK", [("X", "a\r\n b")]),
    "value-nul": ("200 OK", [("X", "a\0b")]),
    "value-unicode": ("200 OK", [("X", "\u20ac")]),
    "length-word": ("200 OK", [("Content-Length", "many")]),
    "length-negative": ("200 OK", [("Content-Length", "-1")]),
    "length-unicode": ("200 OK", [("Content-Length", "\u0661")]),
    "hop-connection": ("200 OK", [("Connection", "close")]),
    "hop-keep-alive": ("200 OK", [("keep-alive", "1")]),
    "hop-te": ("200 OK", [("TE", "x")]),
    "hop-trailer": ("200 OK", [("Trailer", "x")]),
    "hop-transfer-encoding": ("200 OK", [("TRANSFER-ENCODING", "chunked")]),
    "hop-upgrade": ("200 OK", [("Upgrade", "h2c")]),
    "hop-proxy": ("200 OK", [("Proxy-Authenticate", "Basic")]),
}


def bad_head(environ, start_response):
    status, headers = HEADS[environ["QUERY_STRING"]]
    start_response(status, headers)
    return [b"never"]


def list_heads(environ, start_response):
    start_response("200 OK", TEXT)
    return [json.dumps(sorted(HEADS)).encode()]


def good_head(environ, start_response):
    class Text(str):
        pass

    fields = [
        ("X-One", "1"),
        ("x-one", "2"),
        ("Empty", ""),
        ("X-Latin", "caf\xe9"),
        ("Set-Cookie", "a=b; c"),
        ("!#$%&'*+.^_`|~-9", "\t x"),
    ]
    start_response(Text("299 It's f\xefne"), fields + [(Text("X-Sub"), Text("class"))])
    return [b""]


def bare_status(environ, start_response):
    start_response("200", TEXT)
    return [b"bare"]


def bad_block(environ, start_response):
    start_response("200 OK", TEXT)
    return {
        "str": lambda: ["text"],
        "int": lambda: [1],
        "zero": lambda: [0],
        "none": lambda: [None],
        "bytearray": lambda: [bytearray(b"x")],
        "second": lambda: [b"x", "text"],
        "generated": lambda: (part for part in ["text"]),
        "generated-empty": lambda: (part for part in [""]),
        "generated-second": lambda: (part for part in [b"x", "text"]),
        "iterator": lambda: iter(["text"]),
        "written": lambda: start_response.__self__.write("text"),
    }[environ["QUERY_STRING"]]()


def bad_result(environ, start_response):
    start_response("200 OK", TEXT)
    return {"none": None, "bytes": b"abc", "str": "abc", "int": 1, "function": bad_block}[
        environ["QUERY_STRING"]
    ]


def never_starts(environ, start_response):
    return [b"body"] if environ["QUERY_STRING"] == "list" else iter(Body([b"body"]))


class Odd(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class Unprintable(BaseException):
    def __str__(self):
        raise KeyboardInterrupt

    __repr__ = __str__


RAISES = {
    "value": lambda: ValueError("caf\xe9 \u20ac \0 end"),
    "odd": Odd,
    "exit": lambda: SystemExit(4),
    "interrupt": KeyboardInterrupt,
    "generator-exit": GeneratorExit,
    "base": lambda: BaseException("base"),
    "stop": StopIteration,
    "unprintable": Unprintable,
    "surrogate": lambda: ValueError("\udc80"),
    "long": lambda: ValueError("x" * 300000),
}


def raises(environ, start_response):
    raise RAISES[environ["QUERY_STRING"]]()


def raises_later(environ, start_response):
    start_response("200 OK", TEXT)
    return Body([b"some", RAISES[environ["QUERY_STRING"]]()])


def raises_before_block(environ, start_response):
    start_response("200 OK", TEXT)
    return Body([b"", ValueError("before")])


def raises_complete(environ, start_response):
    """The client has its whole answer; the error can only be logged."""
    start_response("200 OK", TEXT + [("Content-Length", "4")])
    return Body([b"some", ValueError("after the end")])


def closes(environ, start_response):
    start_response("200 OK", TEXT)
    return Body([b"a", b"b"], "normally")


def close_fails(environ, start_response):
    start_response("200 OK", TEXT)
    return Body([b"fine"], "badly", OSError("close failed"))


def close_is_broken(environ, start_response):
    """Even to look for close() fails."""

    class Broken(Body):
        @property
        def close(self):
            raise LookupError("no close")

    start_response("200 OK", TEXT)
    return Broken([b"fine"])


def deep(environ, start_response):
    """Raises where no frame is left on the stack."""

    def deeper():
        deeper()

    deeper()


def close_waits(environ, start_response):
    """The answer must be complete before close() is called."""

    class Slow(Body):
        def close(self):
            wait_for(environ["HTTP_X_GATE"])

    start_response("200 OK", TEXT)
    return Slow([b"out"])


def too_much(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "4")])
    if environ["QUERY_STRING"] == "write":
        start_response.__self__.write(b"1234")
        start_response.__self__.write(b"5678")
        return []
    return Body([b"12", b"34", b"56", ValueError("asked too often")], "too much")


def errors(environ, start_response):
    stream = environ["wsgi.errors"]
    stream.write("raw f\xefrst\n")
    stream.writelines(["second ", "\u20ac\n"])
    stream.flush()
    print("printed", file=stream)
    start_response("200 OK", TEXT)
    return []


def prints(environ, start_response):
    print("to stdout")
    wait_for(environ["HTTP_X_GATE"])
    start_response("200 OK", TEXT)
    return []


class Reader:
    """A file-like object that is no file and gives what there is."""

    def __init__(self, parts):
        self.parts = parts
        self.sizes = []

    def read(self, size):
        self.sizes.append(size)
        return self.parts.pop(0) if self.parts else b""

    def close(self):
        EVENTS.append("reader closed after %r" % self.sizes)


def wrapper(environ, start_response):
    start_response("200 OK", TEXT)
    kind = environ["QUERY_STRING"]
    if kind == "file":
        return through_middleware(environ["wsgi.file_wrapper"](open(environ["HTTP_X_FILE"], "rb"), 4096))
    if kind == "memory":
        return environ["wsgi.file_wrapper"](io.BytesIO(bytes(100000)), 4096)
    if kind == "length":
        return Sized(environ, start_response)
    return environ["wsgi.file_wrapper"](Reader([b"ab", b"c"]), 10)


def Sized(environ, start_response):
    path = environ["HTTP_X_FILE"]
    start_response.__self__.head = None
    start_response("200 OK", TEXT + [("Content-Length", str(os.path.getsize(path)))])
    return through_middleware(environ["wsgi.file_wrapper"](open(path, "rb"), 4096))


def through_middleware(blocks):
    """Not the wrapper itself any more, which the front would be given as a file."""
    for block in blocks:
        yield block


def endless(environ, start_response):
    start_response("200 OK", TEXT)

    def run():
        try:
            while True:
                yield b"more"
        finally:
            EVENTS.append("endless closed")

    return run()


def abandoned_early(environ, start_response):
    """Waits until the client has been reported gone, then returns a body nobody wants."""
    wait_for(environ["HTTP_X_GATE"])
    start_response("200 OK", TEXT)
    return Body([ValueError("asked for a block")], "abandoned")


def hello(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "5")])
    return [b"hello"]


def head_method(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "10")])
    return Body([], "head")


def dispatch(environ, start_response):
    return globals()[environ["PATH_INFO"].strip("/").replace("-", "_")](environ, start_response)


def application(environ, start_response):
    if environ.get("HTTP_X_VALIDATE"):
        return validator(dispatch)(environ, start_response)
    return dispatch(environ, start_response)
