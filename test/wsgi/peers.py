"""What Python's own libraries make of the same cases: wsgiref.validate, and Werkzeug's DispatcherMiddleware.

Reads JSON {"which": ..., "cases": [...]} from stdin, and gives one answer a case.
"""

import io
import json
import sys
import warnings


def validated(case):
    """The assertion that wsgiref.validate makes, or null."""
    from wsgiref.validate import validator

    environ = {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    environ.update(case["environ"])
    for key in case["without"]:
        environ.pop(key, None)
    if isinstance(environ.get("wsgi.version"), list):
        environ["wsgi.version"] = tuple(environ["wsgi.version"])

    def start_response(status, headers, exc_info=None):
        return lambda data: None

    def app(environ, start_response):
        headers = [tuple(pair) if isinstance(pair, list) else pair for pair in case["headers"]]
        start_response(case["status"], headers)
        return [b"body"]

    try:
        body = validator(app)(environ, start_response)
        try:
            list(body)
        finally:
            body.close()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def dispatched(case):
    """Name of the application that gets the request, and what it sees."""
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    def named(name):
        return lambda environ, _: [name, environ["SCRIPT_NAME"], environ["PATH_INFO"]]

    mounts = {prefix: named(prefix) for prefix in case["prefixes"]}
    environ = {"SCRIPT_NAME": case["script"], "PATH_INFO": case["path"]}
    return DispatcherMiddleware(named("none"), mounts)(environ, None)


warnings.simplefilter("ignore")
given = json.load(sys.stdin)
answer = {"validated": validated, "dispatched": dispatched}[given["which"]]
json.dump([answer(case) for case in given["cases"]], sys.stdout)
