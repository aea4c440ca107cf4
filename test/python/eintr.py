"""The application of eintr.test.ts and test/integration/eintr.test.ts: C code that bears no
signal, or keeps the interpreter (fragile.c)."""

import errno
import gc
import os
import subprocess

import fragile


def application(environ, start_response):
    answer = VIEWS[environ["PATH_INFO"][1:]](environ)
    start_response("200 OK", [("X-Pid", str(os.getpid())), ("X-Attempt", environ.get("tunicorn.attempt", "1"))])
    return [str(answer).encode()]


def name(error):
    return errno.errorcode[error] if error else "read"


def pipe(environ):
    """Opens the test's pipe, and says so when nothing else is to be done."""
    descriptor = os.open(environ["HTTP_X_PIPE"], os.O_RDWR)
    os.mkdir(environ["HTTP_X_PIPE"] + ".begun")
    return descriptor


def read(environ):
    """Waits for the pipe, once."""
    descriptor = pipe(environ)
    try:
        return name(fragile.read(descriptor))
    finally:
        os.close(descriptor)


def noted(environ):
    """The same, and leaves a note for whom no answer reaches."""
    answer = read(environ)
    with open(environ["HTTP_X_PIPE"] + ".noted", "x") as file:
        file.write(answer)
    return answer


def reads(environ):
    """Waits for the pipe until something comes, and counts how often it was interrupted."""
    descriptor, count = pipe(environ), 0
    while fragile.read(descriptor):
        count += 1
    os.close(descriptor)
    return count


def timed(microseconds):
    """How often a wait for so long is interrupted."""
    descriptor, count = fragile.timer(microseconds), 0
    while fragile.read(descriptor):
        count += 1
    os.close(descriptor)
    return count


def quick(environ):
    """Less than what a lane may take, and whether others wait in it."""
    return "%d %d" % (timed(100), waiting())


def instant(environ):
    return "0 %d" % waiting()


def slow(environ):
    return timed(100_000)


def hold(environ):
    """Keeps the interpreter for longer than anybody waits."""
    fragile.hold(int(environ["QUERY_STRING"]))
    return "held"


def waiting():
    """Requests that lie in this worker's lane behind the one that runs."""
    return max(len(lane._waiting) for lane in LANES or find_lanes())


LANES = []


def find_lanes():
    LANES.extend(each for each in gc.get_objects() if type(each).__name__ == "Lane")
    return LANES


def child(environ):
    """A program that reads what it is given, and ends with a status of its own."""
    command = 'echo begun > "$1"; read word < "$0"; echo "$word"; echo aside >&2; exit 3'
    begun, gate = environ["HTTP_X_PIPE"] + ".begun", environ["HTTP_X_PIPE"]
    done = subprocess.run(
        ["sh", "-c", command, gate, begun], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    return [done.returncode, done.stdout, done.stderr]


def waits(environ):
    """The same, waited for without its output."""
    command = 'echo begun > "$1"; read word < "$0"; exit 4'
    process = subprocess.Popen(["sh", "-c", command, environ["HTTP_X_PIPE"], environ["HTTP_X_PIPE"] + ".begun"])
    return process.wait()


def inherits(environ):
    """What a program finds of our signals: those that are blocked, and those that are ignored, as bit masks."""
    status = subprocess.run(["cat", "/proc/self/status"], stdout=subprocess.PIPE, text=True, close_fds=False).stdout
    masks = dict(line.split(":\t") for line in status.splitlines() if line.startswith(("SigBlk", "SigIgn")))
    return " ".join("%s %s" % (each, masks[each]) for each in sorted(masks))


VIEWS = {each.__name__: each for each in (read, noted, reads, quick, instant, slow, hold, child, waits, inherits)}
