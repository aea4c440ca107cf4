"""Goes wrong in every way that an application can, when it is asked to; else it echoes.

Each answer is the request's nonce, so that no client takes another's answer for its own. What a test decides stands
in the folder FAULTS: `import-seconds` (how long the import takes), `broken` (the import fails), `posts` (each POST
adds its nonce as a line), `hold-idle` (a thread takes the GIL for as many seconds as it says, and keeps it).
"""

import ctypes
import os
import re
import signal
import sys
import threading
import time
from typing import Any, Callable, Dict, List
from urllib.parse import parse_qs

FOLDER = os.environ["FAULTS"]
RELEASED_NEVER = threading.Lock()
LEAKED: List[bytearray] = []
Query = Dict[str, str]


def told(name: str) -> str:
    """What the test says in a file; empty when there is none."""
    try:
        with open(os.path.join(FOLDER, name)) as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def hold_gil(seconds: float) -> None:
    """Sleeps in C without releasing the GIL: PyDLL does not, where CDLL would."""
    ctypes.PyDLL(None).usleep(ctypes.c_uint(int(seconds * 1e6)))


def watch_for_deadlock() -> None:
    while True:
        time.sleep(0.05)
        seconds = told("hold-idle")
        if not seconds:
            continue
        try:
            # The first worker that sees it takes it: a second one would be another fault.
            os.rename(os.path.join(FOLDER, "hold-idle"), os.path.join(FOLDER, "held-by-%d" % os.getpid()))
        except FileNotFoundError:
            continue
        hold_gil(float(seconds))


def echo(query: Query) -> None:
    """As long as a small page takes that waits for a database."""
    time.sleep(float(query.get("s", "0.005")))


def plain(query: Query) -> None:
    """As fast as it goes."""


def segv(query: Query) -> None:
    print("struck segv", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(5)


def leak(query: Query) -> None:
    # Written to, so that it is resident.
    LEAKED.append(bytearray(b"x" * (1 << 20)))


def loop(query: Query) -> None:
    while True:
        pass


def lock(query: Query) -> None:
    RELEASED_NEVER.acquire()
    RELEASED_NEVER.acquire()


def sleep(query: Query) -> None:
    time.sleep(3600)


def regex(query: Query) -> None:
    """One call into C that holds the GIL for years; it looks for signals now and then."""
    re.match(r"(a+)+$", "a" * 64 + "b")


def gil(query: Query) -> None:
    """One call into C that holds the GIL and looks for nothing."""
    hold_gil(3600)


VIEWS: Dict[str, Callable[[Query], None]] = {
    "/echo": echo,
    "/plain": plain,
    "/segv": segv,
    "/leak": leak,
    "/hang/loop": loop,
    "/hang/lock": lock,
    "/hang/sleep": sleep,
    "/hang/regex": regex,
    "/hang/gil": gil,
}


def count_post(nonce: str) -> None:
    """One write with O_APPEND: lines of several processes do not mix, and what is written outlives a kill."""
    descriptor = os.open(os.path.join(FOLDER, "posts"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, (nonce + "\n").encode())
    finally:
        os.close(descriptor)


def application(environ: Dict[str, Any], start_response: Callable[..., Any]) -> List[bytes]:
    query = {key: values[-1] for key, values in parse_qs(environ["QUERY_STRING"]).items()}
    nonce = query["nonce"]
    if environ["REQUEST_METHOD"] == "POST":
        nonce = environ["wsgi.input"].read().decode()
        count_post(nonce)
    VIEWS[environ["PATH_INFO"]](query)
    body = nonce.encode()
    fields = [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), ("X-Worker", str(os.getpid()))]
    start_response("200 OK", fields)
    return [body]


time.sleep(float(told("import-seconds") or "0"))
if told("broken"):
    raise RuntimeError("This deployment is broken: " + told("broken"))
if os.environ.get("WATCH_FOR_DEADLOCK"):
    threading.Thread(target=watch_for_deadlock, daemon=True).start()
