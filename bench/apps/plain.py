"""The smallest applications, one for each path: what is measured is the server. They answer a fixed number of bytes."""
import os
import time
import zlib
from wsgiref.util import FileWrapper

FILE = os.environ.get("BENCH_FILE", "")
BIG = bytes(range(256)) * 4096


def hello(environ):
    return b"Hello, world!\n"


def post(environ):
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    return b"%d %08x\n" % (len(body), zlib.crc32(body))


def big(environ):
    return BIG


def fast(environ):
    """Well under a millisecond."""
    return b"%d\n" % sum(range(2000))


def slow(environ):
    time.sleep(0.2)
    return b"slow\n"


PAGES = {"/": hello, "/post": post, "/big": big, "/fast": fast, "/slow": slow}


def application(environ, start_response):
    page = PAGES.get(environ["PATH_INFO"])
    if page is None:
        return send_file(environ, start_response)
    body = page(environ)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def send_file(environ, start_response):
    file = open(FILE, "rb")
    size = str(os.fstat(file.fileno()).st_size)
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", size)])
    # Granian and caddy-snake have none; as Django does, the application then reads the file itself.
    return environ.get("wsgi.file_wrapper", FileWrapper)(file, 65536)
