"""The application of files.test.ts: the path names the file-like object that it answers with."""

import gzip
import io
import json
import os
import socket
import sys
import tempfile
import time
import zipfile

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "content")
BYTES = bytes(range(256)) * 800

#: What close() has seen; asked for by /events.
EVENTS = []

#: Kept from being closed.
OPEN = []


class Proxy:
    """As Django's File: what it does not change it hands to the file."""

    def __init__(self, file):
        self.file = file

    read = property(lambda self: self.file.read)
    fileno = property(lambda self: self.file.fileno)

    def close(self):
        EVENTS.append("proxy closed")
        self.file.close()


class Upper(io.BufferedReader):
    def read(self, size=-1):
        return super().read(size).upper()


class UpperRaw(io.FileIO):
    def readinto(self, buffer):
        count = super().readinto(buffer)
        buffer[:count] = bytes(buffer[:count]).upper()
        return count


class Wrapped:
    """Changes what it reads, and has the descriptor of what it reads from."""

    def __init__(self, file):
        self.file = file

    def read(self, size=-1):
        return self.file.read(size)[::-1]

    def fileno(self):
        return self.file.fileno()


def at(file, offset):
    file.seek(offset)
    return file


def temporary(make):
    file = make()
    file.write(BYTES)
    return at(file, 0)


def own_read(file):
    file.read = lambda size: b""
    return file


def changed():
    """Written over within what was read ahead: nothing of it needs to be on the disk yet."""
    file = temporary(tempfile.TemporaryFile)
    file.read(10)
    file.seek(0)
    file.write(b"CHANGED")
    # Closing it would write it; the front may have read it before that.
    file.close = lambda: OPEN.append(file)
    return at(file, 2)


def gzipped():
    with gzip.open(PATH + ".gz", "wb") as file:
        file.write(BYTES)
    return gzip.open(PATH + ".gz", "rb")


def zipped():
    with zipfile.ZipFile(PATH + ".zip", "w") as archive:
        archive.writestr("member", BYTES)
    return zipfile.ZipFile(PATH + ".zip").open("member")


def pipe():
    reading, writing = os.pipe()
    os.write(writing, b"from a pipe")
    os.close(writing)
    return open(reading, "rb")


def peer():
    ours, theirs = socket.socketpair()
    theirs.sendall(b"from a socket")
    theirs.close()
    with ours:
        return ours.makefile("rb")


def closed():
    file = open(PATH, "rb")
    file.close()
    return file


def detached():
    file = open(PATH, "rb")
    file.detach()
    return file


def raises(path, *_):
    raise ValueError("no name")


class Failing:
    """Fails to tell what it is."""

    @property
    def read(self):
        raise RuntimeError("not now")


MAKERS = {
    "raw": lambda: io.FileIO(PATH),
    "buffered": lambda: open(PATH, "rb"),
    "random": lambda: open(PATH, "r+b"),
    "positioned": lambda: at(open(PATH, "rb"), 1000),
    "last": lambda: at(open(PATH, "rb"), len(BYTES) - 1),
    "named": lambda: temporary(tempfile.NamedTemporaryFile),
    "unlinked": lambda: temporary(tempfile.TemporaryFile),
    "changed": changed,
    "proxy": lambda: Proxy(open(PATH, "rb")),
    # From here on none that the front could send.
    "gzip": gzipped,
    "zip": zipped,
    "memory": lambda: io.BytesIO(b"in memory"),
    "spooled": lambda: temporary(tempfile.SpooledTemporaryFile),
    "upper": lambda: Upper(io.FileIO(PATH + ".txt")),
    "upper-raw": lambda: io.BufferedReader(UpperRaw(PATH + ".txt")),
    "wrapped": lambda: Wrapped(open(PATH + ".txt", "rb")),
    "own-read": lambda: own_read(open(PATH, "rb")),
    "pipe": pipe,
    "socket": peer,
    "proc": lambda: open("/proc/self/comm", "rb"),
    "sys": lambda: open("/sys/kernel/mm/transparent_hugepage/enabled", "rb"),
    "device": lambda: at(open("/dev/null", "rb"), 0),
    "empty": lambda: open(PATH + ".empty", "rb"),
    "at-end": lambda: at(open(PATH, "rb"), len(BYTES)),
    "past-end": lambda: at(open(PATH, "rb"), len(BYTES) + 10),
    "text": lambda: open(PATH + ".txt"),
    "closed": closed,
    "detached": detached,
    "failing": Failing,
    "write-only": lambda: open(PATH + ".new", "wb", buffering=0),
}

with open(PATH, "wb") as content:
    content.write(BYTES)
with open(PATH + ".txt", "wb") as content:
    content.write(b"plain text")
with open(PATH + ".empty", "wb"):
    pass


def sized(name, query):
    """Headers: `length=N` announces so many bytes."""
    headers = [("Content-Type", "application/x-test"), ("X-Name", name)]
    if query.startswith("length="):
        headers.append(("Content-Length", query[7:]))
    return headers


def path_of(fd):
    try:
        return os.readlink("/proc/self/fd/" + fd)
    except OSError:
        return ""


def counted(file):
    close = file.close

    def counting():
        EVENTS.append("closed")
        close()

    file.close = counting
    return file


def application(environ, start_response):
    name, query = environ["PATH_INFO"][1:], environ["QUERY_STRING"]
    wrapper = environ["wsgi.file_wrapper"]
    if name == "events":
        start_response("200 OK", [])
        seen = json.dumps(EVENTS).encode()
        del EVENTS[:]
        return [seen]
    if name == "stuck":
        EVENTS.append("stuck")
        while not os.path.exists(environ["HTTP_X_GATE"]):
            time.sleep(0.002)
        start_response("200 OK", [])
        return [b"late"]
    if name == "silent":
        return wrapper(open(PATH, "rb"))
    if name == "fork":
        pid = os.fork()
        if pid == 0:
            os._exit(sum(path_of(fd) == PATH for fd in os.listdir("/proc/self/fd")))
        status = os.waitpid(pid, 0)[1] >> 8
        start_response("200 OK", [])
        return [b"%d" % status]
    write = start_response("200 OK", sized(name, query))
    if name == "written":
        write(b"before ")
        return wrapper(counted(open(PATH + ".txt", "rb")))
    if name == "middleware":
        return (block for block in wrapper(open(PATH, "rb")))
    if name == "begun":
        blocks = wrapper(open(PATH, "rb"), 100)
        next(blocks)
        return blocks
    if name == "counted":
        return wrapper(counted(open(PATH, "rb")))
    if name == "close-raises":
        file = open(PATH, "rb")
        file.close = raises
        return wrapper(file)
    if name == "small":
        return [b"small"]
    return wrapper(MAKERS[name](), 7)
