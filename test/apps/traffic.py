"""Gives back what it gets, and what it is asked for: slowly, in parts, or a lot of it."""

import hashlib
import time
import zlib
from typing import Any, Callable, Dict, Iterable, Iterator
from urllib.parse import parse_qs

Environ = Dict[str, Any]


def application(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
    view = VIEWS[environ["PATH_INFO"].split("/")[1]]
    query = {key: values[-1] for key, values in parse_qs(environ["QUERY_STRING"]).items()}
    return view(environ, start_response, query)


def echo(environ: Environ, start_response: Callable[..., Any], query: Dict[str, str]) -> Iterable[bytes]:
    """Method, path and query, the field X-Tag, and the body."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Tag", environ.get("HTTP_X_TAG", ""))])
    first = "%s %s?%s\n" % (environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"])
    body = environ["wsgi.input"].read()
    if "parts" not in query:
        return [first.encode("latin-1") + body]
    return parts(first.encode("latin-1"), body, int(query["parts"]))


def parts(first: bytes, body: bytes, count: int) -> Iterator[bytes]:
    yield first
    step = max(1, len(body) // count)
    for start in range(0, len(body), step):
        yield body[start : start + step]


def checksum(environ: Environ, start_response: Callable[..., Any], query: Dict[str, str]) -> Iterable[bytes]:
    """Length and CRC of the body."""
    length, crc = 0, 0
    for block in iter(lambda: environ["wsgi.input"].read(65536), b""):
        length += len(block)
        crc = zlib.crc32(block, crc)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d %d" % (length, crc)]


def produce(environ: Environ, start_response: Callable[..., Any], query: Dict[str, str]) -> Iterable[bytes]:
    """`size` bytes in blocks of 60,000, each byte by its place; with `length` its length is told."""
    size = int(query["size"])
    fields = [("Content-Type", "application/octet-stream")]
    if "length" in query:
        fields.append(("Content-Length", str(size)))
    start_response("200 OK", fields)
    period = bytes((i * 31 + (i >> 8)) & 255 for i in range(65536))
    endless = period * 2
    return (
        endless[at % 65536 : at % 65536 + min(60000, size - at)] for at in range(0, size, 60000)
    )


def sleep(environ: Environ, start_response: Callable[..., Any], query: Dict[str, str]) -> Iterable[bytes]:
    time.sleep(float(query["s"]))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"slept"]


def gap(environ: Environ, start_response: Callable[..., Any], query: Dict[str, str]) -> Iterator[bytes]:
    """Stops for `s` seconds in the middle of its answer."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "10")])
    yield b"first"
    time.sleep(float(query["s"]))
    yield b"later"


def digest(environ: Environ, start_response: Callable[..., Any], query: Dict[str, str]) -> Iterable[bytes]:
    """The names and values of the request's own environ, as lines."""
    start_response("200 OK", [("Content-Type", "text/plain; charset=latin-1")])
    own = sorted((key, value) for key, value in environ.items() if isinstance(value, str))
    lines = "".join("%s=%s\n" % pair for pair in own)
    return [lines.encode("latin-1"), hashlib.sha256(environ["wsgi.input"].read()).hexdigest().encode()]


VIEWS = {
    "echo": echo,
    "checksum": checksum,
    "produce": produce,
    "sleep": sleep,
    "gap": gap,
    "environ": digest,
}
