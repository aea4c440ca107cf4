"""The hello application of the WSGI tutorials: "Heyo", then what the server says about the request.

Run it with `tunicorn heyo` in this folder, and ask for http://127.0.0.1:8000/?editor=vim.
"""
from typing import Any, Callable, Dict, Iterable, Iterator, List, Tuple

Environ = Dict[str, Any]
Headers = List[Tuple[str, str]]
StartResponse = Callable[..., Callable[[bytes], object]]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


def heyo(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """A generator: the server asks for one part after the other, and nothing runs before the first."""
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    yield b"Heyo\n"
    for key in sorted(environ):
        yield "{}: {}\n".format(key, environ[key]).encode("utf-8", "backslashreplace")


class PointOutVimMiddleware:
    """Marks the parts of another application's answer that mention vim."""

    def __init__(self, app: Application) -> None:
        self.app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        def start(status: str, headers: Headers, *exc_info: Any) -> Callable[[bytes], object]:
            # The marks make the body longer than the application said.
            kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
            return start_response(status, kept, *exc_info)

        parts = self.app(environ, start)
        try:
            for part in parts:
                yield point_out(part)
        finally:
            # PEP 3333: whoever iterates calls close(), middleware too.
            if hasattr(parts, "close"):
                parts.close()


def point_out(part: bytes) -> bytes:
    """The parts are bytes, so what is looked for is bytes too: "vim" in part is a TypeError in Python 3."""
    if b"vim" not in part.lower():
        return part
    line = part.rstrip(b"\n")
    return line + b"  <-- vim!" + part[len(line) :]


application = PointOutVimMiddleware(heyo)
