"""The application of zygote.test.ts, which a zygote imports: the path names the function that answers."""

import gc
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading

IMPORTED_BY = os.getpid()
UNMOVED = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]


def process(environ):
    """What this process is like."""
    return {
        "pid": os.getpid(),
        "importedBy": IMPORTED_BY,
        "random": random.random(),
        "session": os.getsid(0) == os.getpid(),
        "collects": gc.isenabled(),
        "frozen": gc.get_freeze_count() > 1000,
        "sigchld": signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL,
        "unmoved": all(callable(signal.getsignal(number)) for number in UNMOVED),
        "wakeup": wakeup(),
    }


def wakeup():
    """Only the main thread may ask."""
    return signal.set_wakeup_fd(-1) if threading.current_thread() is threading.main_thread() else -1


def connections(environ):
    """How many sockets this process has open."""
    names = [name for name in os.listdir("/proc/self/fd") if int(name) > 2]
    found = [os.path.join("/proc/self/fd", name) for name in names]
    return sum(os.path.exists(path) and os.readlink(path).startswith("socket:") for path in found)


def doubled(number):
    return number * 2


def children(environ):
    """Everything that starts a process."""
    fork = multiprocessing.get_context("fork")
    with fork.Pool(2) as pool:
        values = pool.map(doubled, [1, 2, 3])
    stays = fork.Process(target=threading.Event().wait)
    stays.start()
    stays.terminate()
    stays.join(20)
    code = "import os; print([f for f in range(3, 200) if os.path.exists('/proc/self/fd/%d' % f)])"
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, stdout=subprocess.PIPE, close_fds=False, check=True).stdout.decode()
    return {"pool": values, "terminated": stays.exitcode, "open": printed.strip()}


def leaves_child(environ):
    """A child that lives on."""
    pid = os.fork()
    if pid == 0:
        threading.Event().wait(60)
        os._exit(0)
    return pid


def exits(environ):
    os._exit(7)


def hangs(environ):
    """A C call that lets nobody in."""
    import re

    sys.stderr.write("hangs\n")
    sys.stderr.flush()
    return str(re.match(r"(a*)*b", "a" * 60))


def application(environ, start_response):
    result = globals()[environ["PATH_INFO"].strip("/").replace("-", "_")](environ)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(result).encode()]
