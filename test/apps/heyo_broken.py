"""The middleware as WSGI tutorials from the days of Python 2 have it: it compares str with bytes.

On Python 3 that is a TypeError in the middle of the iteration, before anything was sent.
"""
from typing import Any, Callable, Dict, Iterator


def heyo(environ: Dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"Heyo\n"
    for key in sorted(environ):
        yield "{}: {}\n".format(key, environ[key]).encode()


class PointOutVimMiddleware:
    def __init__(self, app: Callable[..., Any]) -> None:
        self.app = app

    def __call__(self, environ: Dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        for part in self.app(environ, start_response):
            if "vim" in part:  # The mistake that this file is about.
                yield b"vim! "
            yield part


def application(environ: Dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    """The mistake under /broken, the application without it elsewhere."""
    app: Callable[..., Any] = PointOutVimMiddleware(heyo) if environ["PATH_INFO"] == "/broken" else heyo
    return app(environ, start_response)
