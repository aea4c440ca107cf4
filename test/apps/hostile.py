"""Applications that a server must survive, and views that tell what came of hostile clients."""

from collections import Counter

SEEN: "Counter[str]" = Counter()


def addresses(environ, start_response):
    """Counts the clients of POST by address; GET tells what it counted."""
    if environ["REQUEST_METHOD"] == "POST":
        SEEN[environ["REMOTE_ADDR"]] += 1
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr(sorted(SEEN)).encode()]


def chatty(environ, start_response):
    """Writes more to the error log than a pipe holds."""
    for _ in range(2000):
        environ["wsgi.errors"].write("x" * 99 + "\n")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"chatty"]


LATE = []


def late(environ, start_response):
    """Calls the write() of the answer before, which is long complete."""
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    for earlier in LATE:
        earlier(b"smuggled")
    LATE[:] = [write]
    return [b"answer"]
