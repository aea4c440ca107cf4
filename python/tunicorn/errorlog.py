"""The error log: the worker's own lines in the log's format, and `wsgi.errors` for the application."""

from __future__ import annotations

import os
import time
from select import POLLOUT
from threading import Lock
from typing import Iterable

from .arbiter import poll_once

#: How long a write waits for the reader of a full pipe.
_PATIENCE_SECONDS = 5.0

LEVELS = ("debug", "info", "warning", "error", "critical")


class ErrorLog:
    """A text stream that writes straight to the log's descriptor; safe to use from any thread.

    This is what the application gets as `wsgi.errors` (PEP 3333, "Input and Error Streams").
    """

    encoding = "utf-8"

    def __init__(self, descriptor: int, level: str) -> None:
        self._descriptor = descriptor
        self._level = LEVELS.index(level) if level in LEVELS else 1
        self._lock = Lock()
        self._patience = _PATIENCE_SECONDS

    def write(self, text: str) -> int:
        """Writes the text as it is, at once."""
        if not isinstance(text, str):
            raise TypeError("wsgi.errors takes str, not %s" % type(text).__name__)
        self._write_all(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Nothing is held back."""

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def log(self, level: str, text: str) -> None:
        """One entry in the log's own format; what follows the first line (a traceback) stays as it is."""
        if LEVELS.index(level) < self._level:
            return
        stamp = time.strftime("[%Y-%m-%d %H:%M:%S %z]")
        self.write("%s [%d] [%s] %s\n" % (stamp, os.getpid(), level.upper(), text.rstrip("\n")))

    def reopen(self, path: str, captured: bool) -> None:
        """After a rotation: writes to the file that has this path now; if that cannot be, goes on as before.

        `captured`: standard output and standard error lead there, too.
        """
        if not path:
            return
        try:
            fresh = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOCTTY, 0o666)
        except OSError as error:
            self.log("error", "Cannot reopen the log %s: %s. The old file goes on." % (path, error.strerror))
            return
        # One step each: another thread's write goes to the old file or to the new one, whole.
        os.dup2(fresh, self._descriptor, inheritable=False)
        for standard in (1, 2) if captured else ():
            os.dup2(fresh, standard)
        os.close(fresh)

    def renew_lock(self) -> None:
        """For a forked child: the thread that held the lock is not there any more."""
        self._lock = Lock()

    def _write_all(self, data: bytes) -> None:
        with self._lock:
            while data:
                try:
                    data = data[os.write(self._descriptor, data) :]
                    self._patience = _PATIENCE_SECONDS
                except BlockingIOError:
                    # A pipe that does not block. A reader that has stopped may hold up the application once,
                    # not at each write.
                    if not poll_once([(self._descriptor, POLLOUT)], self._patience):
                        self._patience = 0.0
                        return
                except OSError:
                    return  # A full disk or a closed pipe: no request may fail because of its log.
