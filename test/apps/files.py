"""Answers that are files, of the folder in FILES: the path says by which way, then the file's name."""

import ctypes
import os
import tempfile

FOLDER = os.environ.get("FILES", ".")


def hello(environ, start_response, name):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]


def wrapped(environ, start_response, name):
    start_response("200 OK", [("Content-Type", "application/x-test")])
    return environ["wsgi.file_wrapper"](open(os.path.join(FOLDER, name), "rb"))


def temporary(environ, start_response, name):
    """A copy without a name."""
    file = tempfile.TemporaryFile(dir=FOLDER)
    with open(os.path.join(FOLDER, name), "rb") as original:
        file.write(original.read())
    file.seek(0)
    start_response("200 OK", [("Content-Type", "application/x-test")])
    return environ["wsgi.file_wrapper"](file)


def sent(environ, start_response, name):
    start_response("200 OK", [("Content-Type", "a/b"), ("X-Sendfile", os.path.join(FOLDER, name))])
    return []


def accel(environ, start_response, name):
    start_response("200 OK", [("Content-Type", "a/b"), ("X-Accel-Redirect", "/protected/" + name)])
    return []


def hide(environ, start_response, name):
    """What setuid() does to a process: nobody else may look into it (PR_SET_DUMPABLE)."""
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
    return hello(environ, start_response, name)


def application(environ, start_response):
    _, way, name = (environ["PATH_INFO"] + "/").split("/", 2)
    return globals()[way](environ, start_response, name.strip("/"))
