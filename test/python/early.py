"""The application of early.test.ts."""

import os
import threading
import time

LINK = ("Link", "</a.css>; rel=preload; as=style")


def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.002)


def plain(environ, start_response):
    start_response("200 OK", [])
    return [b"plain"]


def hints(environ, start_response):
    """Two, and waits before it answers."""
    environ["wsgi.early_hints"]([LINK])
    environ["wsgi.early_hints"]([(b"Link", b"</b.js>; rel=preload"), ("X-A", "caf\xe9")])
    wait_for(environ["HTTP_X_GATE"])
    start_response("200 OK", [])
    return [b"answer"]


def late(environ, start_response):
    """After start_response they still go; after the first block they do not."""
    early_hints = environ["wsgi.early_hints"]
    start_response("200 OK", [])
    early_hints([LINK])
    yield b"one"
    early_hints([LINK])
    yield b"two"


def bad(environ, start_response):
    """What may not be sent is an error of the application, as in start_response."""
    fields = {
        "break": [("Link", "<a>\r\nSet-Cookie: b=1")],
        "name": [("Li nk", "<a>")],
        "hop": [("Connection", "close")],
        "length": [("Content-Length", "5")],
        "type": [("Link", 5)],
        "latin": [("Link", "\u20ac")],
        "pair": [("Link",)],
    }
    environ["wsgi.early_hints"](fields[environ["QUERY_STRING"]])
    return plain(environ, start_response)


def elsewhere(environ, start_response):
    """In a thread of its own nothing is sent: what it writes could come between two parts of a frame."""
    thread = threading.Thread(target=environ["wsgi.early_hints"], args=([LINK],))
    thread.start()
    thread.join()
    return plain(environ, start_response)


def application(environ, start_response):
    return globals()[environ["PATH_INFO"][1:]](environ, start_response)
