"""From a REQUEST frame to `environ` (PEP 3333, "environ Variables")."""

from __future__ import annotations

import os
from io import BytesIO
from stat import S_ISREG
from typing import Any, BinaryIO, Dict, Iterator

from .arbiter import Start
from .errorlog import ErrorLog
from .protocol import SPOOLED

Environ = Dict[str, Any]

#: Blocks of a regular file are read at least this large, whatever the application suggests: a 5 MB download
#: in Django's blocks of 4 KiB would be 1,280 frames.
FILE_BLOCK = 256 * 1024


class FileWrapper:
    """`wsgi.file_wrapper` (PEP 3333, "Optional Platform-Specific File Handling")."""

    def __init__(self, filelike: Any, block_size: int = 8192) -> None:
        self.filelike = filelike
        self.block_size = max(block_size, FILE_BLOCK) if is_regular(filelike) else block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        block: bytes = self.filelike.read(self.block_size)
        if block:
            return block
        raise StopIteration


def is_regular(filelike: Any) -> bool:
    """Whether a long read cannot make the client wait: on a pipe it would, until the pipe has so much."""
    if isinstance(filelike, BytesIO):
        return True
    try:
        return S_ISREG(os.fstat(filelike.fileno()).st_mode)
    except (AttributeError, OSError, TypeError, ValueError):
        return False


def base_environ(start: Start, errors: ErrorLog) -> Environ:
    """The part of `environ` that is the same for every request of this worker."""
    return {
        "SCRIPT_NAME": "",
        "SERVER_SOFTWARE": start.server_software,
        "wsgi.version": (1, 0),
        "wsgi.errors": errors,
        "wsgi.multithread": start.threads > 1,
        "wsgi.multiprocess": start.multiprocess,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        # The body ends where the request does, also when it came chunked: it can be read to its end.
        "wsgi.input_terminated": True,
    }


def request_environ(base: Environ, head: str) -> Environ:
    """`environ` of one request, without its input. One decode, one split, one update: this is the hot path."""
    environ = base.copy()
    parts = head.split("\0")
    environ.update(zip(parts[::2], parts[1::2]))
    return environ


def request_input(flags: int, body: bytes) -> BinaryIO:
    """`wsgi.input`: the body itself, or the spool file that holds it. Raises OSError when that is gone."""
    if flags & SPOOLED:
        return open(body, "rb")
    return BytesIO(body)


def script_name() -> str:
    """The URL prefix that the environment variable SCRIPT_NAME gives this application, as gunicorn reads it."""
    name = os.fsencode(os.environ.get("SCRIPT_NAME", "")).decode("latin-1").strip("/")
    return "/" + name if name else ""


def shift_path(environ: Environ, prefix: str) -> bool:
    """Moves the prefix from PATH_INFO to SCRIPT_NAME; False when the path does not lie under it."""
    path: str = environ["PATH_INFO"]
    if path != prefix and not path.startswith(prefix + "/"):
        return False
    environ["SCRIPT_NAME"] = prefix
    environ["PATH_INFO"] = path[len(prefix) :]
    return True
