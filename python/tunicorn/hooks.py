"""Hooks: functions of a module named by the user, called at turns of a worker's life."""

from __future__ import annotations

import importlib
import os
from difflib import get_close_matches
from types import FunctionType, ModuleType
from typing import Any, Callable, Dict, List, NamedTuple

from .arbiter import Start
from .errorlog import ErrorLog
from .failures import LoadError, import_failed
from .interrupt import RequestTimeout
from .tracebacks import application_part, format_error

NAMES = (
    "post_fork",
    "worker_ready",
    "pre_request",
    "post_request",
    "worker_abort",
    "worker_exit",
    "worker_gone",
)


class HookedWorker(NamedTuple):
    """What a hook is told of the worker that it runs in."""

    id: int
    pid: int
    generation: int
    app: str


class Hooks:
    """The hooks that the module has; none when no module is named."""

    def __init__(self, start: Start, log: ErrorLog) -> None:
        self._module = start.hooks
        self._log = log
        self._functions: Dict[str, Callable[..., Any]] = find(start.hooks) if start.hooks else {}
        self._worker = HookedWorker(0, 0, 0, "")
        self.names: List[str] = list(self._functions)
        #: Whether there is anything to call before or after a request.
        self.around_requests = "pre_request" in self.names or "post_request" in self.names

    def enter(self, start: Start) -> None:
        """From now on this process is that worker."""
        self._worker = HookedWorker(start.worker, os.getpid(), start.generation, start.app)

    def load(self, name: str) -> None:
        """Calls a hook without which the worker must not serve. Raises LoadError."""
        try:
            self._call(name, ())
        except BaseException as error:
            raise import_failed("%s:%s" % (self._module, name), error) from None

    def call(self, name: str, *values: Any) -> None:
        """Calls a hook whose failure is logged, and no more."""
        try:
            self._call(name, values)
        except RequestTimeout:
            raise  # The request's deadline counts in its hooks, too.
        except BaseException as error:
            trace = format_error(error, application_part(error) or error.__traceback__)
            self._log.log("error", "Hook %s of %s failed:\n%s" % (name, self._module, trace))

    def _call(self, name: str, values: Any) -> None:
        function = self._functions.get(name)
        if function is not None:
            function(self._worker, *values)


def find(name: str) -> Dict[str, Callable[..., Any]]:
    """The hooks of a module. Raises LoadError when it has none, or one that is nearly one."""
    module = import_hooks(name)
    found = {hook: getattr(module, hook) for hook in NAMES if callable(getattr(module, hook, None))}
    for other, value in vars(module).items():
        near = get_close_matches(other, NAMES, 1, 0.85) if may_be_meant(other, value, module) else []
        if near:
            raise LoadError("bad-hooks", "%s has no hook %s: did you mean %s?" % (name, other, near[0]))
    if not found:
        text = "%s has no hooks: define at least one of %s." % (name, ", ".join(NAMES))
        raise LoadError("bad-hooks", text)
    return found


def may_be_meant(name: str, value: Any, module: ModuleType) -> bool:
    """Whether a name was given by the author of the module, to a function that others may call."""
    if name in NAMES or name.startswith("_"):
        return False
    return isinstance(value, FunctionType) and value.__module__ == module.__name__


def no_module(missing: str) -> str:
    return (
        "Cannot load the hooks: there is no module %s in %s or elsewhere on Python's path. "
        "--hooks takes a module's name, such as mysite.hooks." % (missing, os.getcwd())
    )


def import_hooks(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except BaseException as error:
        missing = getattr(error, "name", None) or ""
        is_missing = isinstance(error, ModuleNotFoundError) and (name + ".").startswith(missing + ".")
        if is_missing and missing and application_part(error) is None:
            raise LoadError("no-hooks", no_module(missing)) from None
        raise import_failed("the hooks in %s" % name, error) from None
