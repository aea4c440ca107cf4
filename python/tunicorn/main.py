"""The life of a worker: start, load, serve, leave."""

from __future__ import annotations

import os
import sys
from time import monotonic
from typing import Any, Callable, Tuple, TypeVar

from .arbiter import DESCRIPTOR, Arbiter, Start
from .control import Control
from .errorlog import ErrorLog
from .hooks import Hooks
from .leave import leave
from .loader import Found, LoadError, load
from .paths import extend_path
from .signals import Children, die_with_parent, ignore_signals
from .stacks import forget_signal, write_on_signal
from .tracebacks import format_error
from .traps import Traps
from .worker import ConnectionTaken, FrontLost, Worker
from .zygote import Zygote

T = TypeVar("T")
Application = Callable[..., Any]


def main() -> None:
    """Exits with 0 after DRAIN, 3 when the application cannot be loaded, 1 when no front answers."""
    before = ignore_signals()
    die_with_parent()
    arbiter = Arbiter()
    start = arbiter.read_start()
    log = ErrorLog(start.error_log, start.log_level)
    settle(start)
    write_on_signal(start.stack_file)
    children = Children(before)
    children.let_go += [lambda: os.close(DESCRIPTOR), forget_signal]
    if start.mode == "zygote":
        # From here on this is each of the workers.
        start, application, hooks = preload(start, arbiter, log=log, children=children)
        control = take_orders(start, arbiter, log)
        enter(arbiter, start, hooks)
    else:
        control = take_orders(start, arbiter, log)
        application, hooks = load_alone(start, arbiter, log)
    if start.mode == "check":
        leave(0)
    worker = Worker(start, arbiter, log=log, control=control, application=application, hooks=hooks)
    children.let_go.append(worker.let_go)
    if start.threads == 1:
        control.guard()
    leave(serve(worker, log), lambda: hooks.call("worker_exit"))


def preload(
    start: Start, arbiter: Arbiter, *, log: ErrorLog, children: Children
) -> Tuple[Start, Application, Hooks]:
    """Loads the application and forks workers: returns in each of them, with its own start."""
    traps = Traps(log)
    began = monotonic()
    hooks = attempt(arbiter, lambda: Hooks(start, log))
    found = attempt(arbiter, lambda: load(start.app, start.chdir))
    traps.warn_of_threads()
    traps.warn_of_sockets()
    say_loaded(arbiter, found, hooks, began)
    own = Zygote(arbiter, log, children=children, traps=traps).run()
    return own, found.application, hooks


def enter(arbiter: Arbiter, start: Start, hooks: Hooks) -> None:
    """The hooks of a worker in which the application is loaded already."""
    hooks.enter(start)
    attempt(arbiter, lambda: hooks.load("post_fork"))
    attempt(arbiter, lambda: hooks.load("worker_ready"))


def load_alone(start: Start, arbiter: Arbiter, log: ErrorLog) -> Tuple[Application, Hooks]:
    """Loads the application for this process, with its hooks before and after."""
    began = monotonic()
    hooks = attempt(arbiter, lambda: Hooks(start, log))
    hooks.enter(start)
    serves = start.mode == "worker"
    if serves:
        attempt(arbiter, lambda: hooks.load("post_fork"))
    found = attempt(arbiter, lambda: load(start.app, start.chdir))
    if serves:
        attempt(arbiter, lambda: hooks.load("worker_ready"))
    say_loaded(arbiter, found, hooks, began)
    return found.application, hooks


def attempt(arbiter: Arbiter, step: Callable[[], T]) -> T:
    """Does a step of loading; one that fails is told to the arbiter, and ends the process."""
    try:
        return step()
    except LoadError as error:
        arbiter.say("failed", code=error.code, message=str(error), traceback=error.traceback)
        leave(3)


def say_loaded(arbiter: Arbiter, found: Found, hooks: Hooks, began: float) -> None:
    arbiter.say(
        "loaded",
        app=found.name,
        framework=found.framework,
        ms=round((monotonic() - began) * 1000),
        found=found.found,
        mounts=found.mounts,
        mountsWhy=found.mounts_why,
        hooks=hooks.names,
    )


def take_orders(start: Start, arbiter: Arbiter, log: ErrorLog) -> Control:
    """From now on the end of the arbiter ends the process, also while the application is loaded."""
    control = Control(arbiter, log)
    if start.threads == 1:
        if start.control == "signal":
            control.use_signal()
        else:
            control.use_thread()
    return control


def serve(worker: Worker, log: ErrorLog) -> int:
    """Serves to the end. Gives the exit status."""
    try:
        worker.run()
    except FrontLost as error:
        log.log("error", "Worker %d found no front to serve: %s" % (worker.start.worker, error))
        return 1
    except ConnectionTaken:
        text = (
            "Worker %d ends: the application has closed the connection to the front. It must leave descriptors "
            "alone that it did not open (os.closerange, libraries that make a daemon)."
        )
        log.log("error", text % worker.start.worker)
        return 1
    except Exception as error:
        log.log("critical", "Worker %d: %s" % (worker.start.worker, format_error(error, error.__traceback__)))
        return 1
    return 0


def settle(start: Start) -> None:
    """Working folder, sys.path, umask and standard streams, before anything of the application runs."""
    os.umask(start.umask)
    os.chdir(start.chdir)
    extend_path(start.pythonpath, start.chdir)
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
