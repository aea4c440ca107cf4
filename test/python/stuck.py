"""The application of control.test.ts: ways to be stuck, and short requests for the race."""

import ctypes
import fcntl
import gc
import os
import re
import signal
import socket
import threading
import time

TEXT = [("Content-Type", "text/plain")]


def busy():
    while True:
        pass


def asleep():
    time.sleep(60)


def in_recv():
    ours, _theirs = socket.socketpair()
    ours.recv(1)


def in_lock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def in_regex():
    re.match(r"(a+)+$", "a" * 34 + "b")


def in_c():
    """Holds the interpreter: PyDLL does not let go of it for the call, which no signal ends."""
    mutex = ctypes.create_string_buffer(64)
    for _ in range(2):
        ctypes.PyDLL(None).pthread_mutex_lock(mutex)


def catching():
    """An application that lets nothing through."""
    try:
        time.sleep(60)
    except:  # noqa: E722
        pass


def no_signals():
    """As if each signal came right before recv(2), which then wakes nobody."""
    for each in gc.get_objects():
        if type(each).__name__ == "Session":
            flags = fcntl.fcntl(each.control, fcntl.F_GETFL)
            fcntl.fcntl(each.control, fcntl.F_SETFL, flags & ~os.O_ASYNC)


PLACES = {each.__name__: each for each in (busy, asleep, in_recv, in_lock, in_regex, in_c, catching)}


def stream(size):
    for at in range(5):
        for _ in range(200):
            pass
        yield b"%d" % at * size


def application(environ, start_response):
    name = environ["PATH_INFO"][1:]
    if name == "no_signals":
        no_signals()
    if name == "own_sigio":
        signal.signal(signal.SIGIO, lambda *_: None)
    if name in PLACES:
        # One step, after which it is as good as there: the test looks at once where this thread is.
        os.mkdir(environ["HTTP_X_GATE"] + ".begun")
        PLACES[name]()
    start_response("200 OK", TEXT)
    if name == "stream":
        return stream(100_000)
    if name == "short":
        for _ in range(300):
            pass
        return [b"x" * 1000]
    if name == "print":
        print("printed", flush=True)
        environ["wsgi.errors"].write("to the log\n")
    return [name.encode()]
