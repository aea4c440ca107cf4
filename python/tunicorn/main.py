"""The life of a worker: start, load, serve, leave."""

from __future__ import annotations

import os
import sys
from time import monotonic
from typing import Callable, List

from .arbiter import DESCRIPTOR, Arbiter, Start
from .control import Control
from .errorlog import ErrorLog
from .hooks import HookedWorker, Hooks
from .leave import leave
from .loader import LoadError, load
from .signals import die_with_parent, free_children, ignore_signals
from .stacks import forget_signal, write_on_signal
from .tracebacks import format_error
from .worker import FrontLost, Worker


def main() -> None:
    """Exits with 0 after DRAIN, 3 when the application cannot be loaded, 1 when no front answers."""
    before = ignore_signals()
    die_with_parent()
    arbiter = Arbiter()
    start = arbiter.read_start()
    log = ErrorLog(start.error_log, start.log_level)
    settle(start)
    write_on_signal(start.stack_file)
    control = Control(arbiter, log)
    let_go: List[Callable[[], None]] = [lambda: os.close(DESCRIPTOR), forget_signal]
    free_children(before, let_go)
    if start.threads == 1:
        control.use_signal()
    began = monotonic()
    me = HookedWorker(start.worker, os.getpid(), start.generation, start.app)
    try:
        hooks = Hooks(start.hooks, log)
        if start.mode == "worker":
            hooks.load("post_fork", me)
        found = load(start.app, start.chdir)
        if start.mode == "worker":
            hooks.load("worker_ready", me)
    except LoadError as error:
        arbiter.say("failed", code=error.code, message=str(error), traceback=error.traceback)
        leave(3)
    ms = round((monotonic() - began) * 1000)
    arbiter.say(
        "loaded",
        app=found.name,
        framework=found.framework,
        ms=ms,
        found=found.found,
        mounts=found.mounts,
        mountsWhy=found.mounts_why,
        hooks=hooks.names,
    )
    if start.mode == "check":
        leave(0)
    worker = Worker(start, arbiter, log=log, control=control, application=found.application)
    let_go.append(worker.let_go)
    if start.threads == 1:
        control.guard()
    try:
        worker.run()
    except FrontLost as error:
        log.log("error", "Worker %d found no front to serve: %s" % (start.worker, error))
        leave(1)
    except Exception as error:
        log.log("critical", "Worker %d: %s" % (start.worker, format_error(error, error.__traceback__)))
        leave(1)
    finally:
        hooks.call("worker_exit", me)
    leave(0)


def settle(start: Start) -> None:
    """Working folder, sys.path, umask and standard streams, before anything of the application runs."""
    os.umask(start.umask)
    os.chdir(start.chdir)
    # In gunicorn's order, so that --pythonpath can put a module in front of the application's own.
    for at, folder in enumerate([*start.pythonpath, start.chdir]):
        sys.path.insert(at, os.path.abspath(folder))
    for descriptor in (1, 2):
        try:
            # Whoever shares a pipe with Node finds it non-blocking: print() would raise.
            os.set_blocking(descriptor, True)
        except OSError:
            pass
    # This one stays as it is: the arbiter shares it, and must not stop because nobody reads its log.
    os.set_inheritable(start.error_log, False)
    # A line that was printed is seen at once, and not lost when the worker is killed.
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure:
        reconfigure(line_buffering=True)
