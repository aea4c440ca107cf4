"""The application of worker.test.ts: the path names the function that answers."""

import atexit
import json
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

TEXT = [("Content-Type", "text/plain")]
UNMOVED = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]


def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.002)


def note(path, text):
    with open(path, "a") as file:
        file.write(text + "\n")


def hello(environ):
    return "hello"


def gate(environ):
    note(environ["HTTP_X_GATE"] + ".begun", "")
    wait_for(environ["HTTP_X_GATE"])
    return "opened"


def thread_name(environ):
    return "%s multithread=%s" % (threading.current_thread().name, environ["wsgi.multithread"])


def peers(environ):
    return "%s %s" % (environ["wsgi.multiprocess"], environ["wsgi.multithread"])


def env_path(environ):
    return json.dumps([environ["SCRIPT_NAME"], environ["PATH_INFO"]])


def sleep(environ):
    """One long sleep, and how long it took: signals must not cut it short."""
    note(environ["HTTP_X_GATE"] + ".begun", "")
    began = time.monotonic()
    time.sleep(0.3)
    return "%d" % ((time.monotonic() - began) >= 0.3)


def busy(environ):
    note(environ["HTTP_X_GATE"] + ".begun", "")
    while True:
        pass


def regex(environ):
    """A C call that takes for ever and lets nobody in."""
    note(environ["HTTP_X_GATE"] + ".begun", "")
    return str(re.match(r"(a*)*b", "a" * 60))


def process_handlers(environ):
    """The signals as a program started by the application finds them."""
    code = (
        "import signal; print([getattr(signal.getsignal(n), '__name__', None) or int(signal.getsignal(n)) for n in %r])"
        % [int(n) for n in UNMOVED]
    )
    return subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout.decode()


def process_descriptors(environ):
    """What a program started by the application has open."""
    code = "import os; print([f for f in range(3, 200) if os.path.exists('/proc/self/fd/%d' % f)])"
    return subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, close_fds=False
    ).stdout.decode()


def child_stays():
    time.sleep(60)


def terminates(environ):
    """multiprocessing by fork, and terminate()."""
    process = multiprocessing.get_context("fork").Process(target=child_stays)
    process.start()
    process.terminate()
    process.join(20)
    return str(process.exitcode)


def doubled(number):
    return number * 2


def pools(environ):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return str(pool.map(doubled, [1, 2, 3]))


def spawns(environ):
    """multiprocessing by spawn runs the main script once more in the child."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return str(pool.map(abs, [-1, -2]))


def forks(environ):
    """A child that lives on."""
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    return str(pid)


def forks_and_returns(environ):
    """A child that returns into the server, as a careless application's would."""
    pid = os.fork()
    return str(pid)


def grandchild(environ):
    """A child's child finds the child's own files open, whatever numbers they have."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        descriptor = os.open("/dev/null", os.O_RDONLY)
        inner = os.fork()
        if inner == 0:
            try:
                os.fstat(descriptor)
                os.write(writing, b"%d open" % descriptor)
            except OSError as error:
                os.write(writing, b"%d %s" % (descriptor, str(error).encode()))
            os._exit(0)
        os.waitpid(inner, 0)
        os._exit(0)
    os.close(writing)
    os.wait()
    text = os.read(reading, 100).decode()
    os.close(reading)
    return text


def pid(environ):
    return str(os.getpid())


def takes_sigio(environ):
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    return "taken"


def blocks_sigio(environ):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
    return "blocked"


def own_sigterm(environ):
    signal.signal(signal.SIGTERM, lambda *_: note(environ["HTTP_X_GATE"], "TERM"))
    return "own"


def registers(environ):
    path = environ["HTTP_X_GATE"]
    atexit.register(lambda: note(path, "atexit"))
    return "registered"


def starts_thread(environ):
    """A thread that is no daemon and never ends."""
    threading.Thread(target=time.sleep, args=(1000,)).start()
    return "started"


def uses_pool(environ):
    """A pool whose idle threads the interpreter knows how to end."""
    from concurrent.futures import ThreadPoolExecutor

    global POOL
    POOL = ThreadPoolExecutor(2)
    return str(list(POOL.map(doubled, [1, 2])))


def opens_many(environ):
    """More descriptors than select(2) can take."""
    global OPEN
    OPEN = [socket.socket() for _ in range(1100)]
    return str(max(each.fileno() for each in OPEN) > 1024)


def stream(environ):
    def run():
        try:
            yield b"first"
            # Only now: a generator that is closed before it has begun runs nothing, not even its `finally`.
            note(environ["HTTP_X_GATE"] + ".begun", "")
            while True:
                yield b"x" * 1000
                time.sleep(0.001)
        finally:
            note(environ["HTTP_X_GATE"] + ".closed", "")

    return run()


def application(environ, start_response):
    path = environ["PATH_INFO"].strip("/").rpartition("/")[2]
    result = globals()[path.replace("-", "_")](environ)
    start_response("200 OK", TEXT)
    return [result.encode()] if isinstance(result, str) else result
