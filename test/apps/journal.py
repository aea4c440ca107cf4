"""Says in a file what it begins and what it has ended: `B pid nonce method`, later `E pid nonce`.

So a test knows what a worker was at when it was killed. What to do stands in the query: `n` is the request's nonce,
which every answer carries, `ms` how long to sleep, `blocks` how many blocks the answer is streamed in.
"""

import os
import time
from typing import Any, Callable, Dict, Iterable, Iterator

# One write with O_APPEND: lines of several processes do not mix, and what is written outlives a kill.
JOURNAL = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def say(what: str, *words: str) -> None:
    os.write(JOURNAL, ("%s %d %s\n" % (what, os.getpid(), " ".join(words))).encode())


def stream(nonce: str, blocks: int, seconds: float) -> Iterator[bytes]:
    for number in range(blocks):
        time.sleep(seconds)
        yield b"%s.%d;" % (nonce.encode(), number)
    say("E", nonce)


def application(environ: Dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    query = dict(pair.split("=") for pair in environ["QUERY_STRING"].split("&"))
    nonce = query["n"]
    say("B", nonce, environ["REQUEST_METHOD"])
    body = environ["wsgi.input"].read()
    # A body is the nonce over and over: one that was mixed up with another's shows in the answer.
    answer = nonce if body == (nonce + ",").encode() * int(query.get("times", "0")) else "a garbled body"
    fields = [("X-Nonce", answer), ("X-Worker", str(os.getpid()))]
    seconds = float(query.get("ms", "0")) / 1000
    if "blocks" in query:
        start_response("200 OK", fields)
        return stream(nonce, int(query["blocks"]), seconds)
    time.sleep(seconds)
    start_response("200 OK", [*fields, ("Content-Length", str(len(answer)))])
    say("E", nonce)
    return [answer.encode()]
