"""What an application may say in its status line and headers (PEP 3333, "The start_response() Callable")."""

from __future__ import annotations

import re
from typing import Dict, List, Optional, Tuple

Headers = List[Tuple[str, str]]

#: RFC 9110 §5.1, §5.6.2: a field name is a token.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_STATUS = re.compile(r"([1-9][0-9]{2})(?: (.*))?")

#: PEP 3333, "Other HTTP Features": these are the server's business (RFC 9110 §7.6.1).
_HOP_BY_HOP = frozenset(
    "connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer trailers "
    "transfer-encoding upgrade".split()
)

#: Names that passed, so that each is looked at once; True marks Content-Length. And status lines, as they are
#: sent. Bounded, as an application might make them up.
_known: Dict[str, bool] = {}
_known_statuses: Dict[str, str] = {}
_KNOWN_LIMIT = 1000


def check_name(name: object) -> bool:
    """Whether the name is Content-Length's. Raises AssertionError or ValueError when it may not be sent."""
    if not isinstance(name, str):
        raise AssertionError(
            "Header names must be str, not %s: %r (PEP 3333, A Note On String Types)"
            % (type(name).__name__, name)
        )
    if not _TOKEN.fullmatch(name):
        raise ValueError(
            "%r is not a header name (PEP 3333, The start_response() Callable; RFC 9110 5.1)" % name
        )
    lower = name.lower()
    if lower in _HOP_BY_HOP:
        raise AssertionError(
            "The header %r is the server's to send, not the application's (PEP 3333, Other HTTP Features)"
            % name
        )
    if len(_known) < _KNOWN_LIMIT:
        _known[name] = lower == "content-length"
    return lower == "content-length"


def check_status(status: object) -> str:
    """The status line as it is sent. Raises AssertionError or ValueError when it is none."""
    if not isinstance(status, str):
        raise AssertionError(
            "The status must be str, not %s: %r (PEP 3333, A Note On String Types)"
            % (type(status).__name__, status)
        )
    match = _STATUS.fullmatch(status)
    if not match:
        raise ValueError(
            "%r is not a status such as '200 OK' (PEP 3333, The start_response() Callable)" % status
        )
    if status[0] == "1":
        raise AssertionError(
            "%r is no answer: an informational status is the server's to send (PEP 3333, Other HTTP Features)"
            % status
        )
    # gunicorn's applications get away with a bare '200'; RFC 9112 §4 wants the space all the same.
    line = status if match.group(2) is not None else status + " "
    if len(_known_statuses) < _KNOWN_LIMIT and type(status) is str and status.isprintable():
        _known_statuses[status] = line
    return line


def check_value(name: str, value: object) -> None:
    """Raises AssertionError or ValueError when the value may not be sent."""
    if not isinstance(value, str):
        raise AssertionError(
            "The value of %s must be str, not %s: %r (PEP 3333, A Note On String Types)"
            % (name, type(value).__name__, value)
        )
    if "\r" in value or "\n" in value or "\0" in value:
        raise ValueError(
            "The value of %s has a line break or NUL in it: %r (PEP 3333, The start_response() Callable)"
            % (name, value)
        )
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(
            "The value of %s is not latin-1: %r (PEP 3333, Unicode Issues)" % (name, value)
        ) from None


def content_length(name: str, value: object) -> int:
    """Content-Length as a number. Raises AssertionError or ValueError when it is none (RFC 9110 §8.6)."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    check_value(name, value)
    raise ValueError("Content-Length is not a number: %r (RFC 9110 8.6)" % value)


def encode_head(status: str, headers: Headers) -> Tuple[bytes, Optional[int]]:
    """Status and headers as a RESPONSE frame's head, and the Content-Length if there is one.

    Raises AssertionError or ValueError, in the application, when they may not be sent.
    """
    parts = [_known_statuses[status] if type(status) is str and status in _known_statuses else check_status(status)]
    length = None
    known = _known.get
    for field in headers:
        name, value = field
        is_length = known(name)
        if is_length is None:
            is_length = check_name(name)
        if is_length:
            length = content_length(name, value)
        parts.append(name)
        parts.append(value)
    try:
        text = "\0".join(parts)
        head = text.encode("latin-1")
        # One look at all of them: each NUL must be one of ours.
        clean = "\r" not in text and "\n" not in text and text.count("\0") == len(parts) - 1
    except (TypeError, UnicodeEncodeError):
        clean = False
    if not clean:
        explain(parts)
    return head, length


def encode_hints(headers: Headers) -> bytes:
    """Headers of a 103 as an EARLY frame's head. As in gunicorn, names and values may be bytes.

    Raises AssertionError or ValueError, in the application, when they may not be sent.
    """
    parts: List[str] = []
    for field in headers:
        name, value = (each.decode("latin-1") if isinstance(each, bytes) else each for each in field)
        if check_name(name):
            raise ValueError("Content-Length does not belong in early hints (RFC 9110 8.6)")
        check_value(name, value)
        parts += (name, value)
    return "\0".join(parts).encode("latin-1")


def explain(parts: List[str]) -> None:
    """Raises for the first part that may not be sent."""
    for name, value in zip(parts[1::2], parts[2::2]):
        check_value(name, value)
    check_value("the status line", parts[0])
