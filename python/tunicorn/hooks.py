"""Hooks: functions of a module named by the user, called at turns of a worker's life."""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from typing import Any, Callable, Dict, List, NamedTuple

from .errorlog import ErrorLog
from .failures import LoadError, import_failed
from .tracebacks import format_error

NAMES = ("post_fork", "worker_ready", "worker_exit")


class HookedWorker(NamedTuple):
    """What a hook is told of the worker that it runs in."""

    id: int
    pid: int
    generation: int
    app: str


class Hooks:
    """The hooks that the module has; none when no module is named."""

    def __init__(self, module: str, log: ErrorLog) -> None:
        self._module = module
        self._log = log
        self._functions: Dict[str, Callable[..., Any]] = find(module) if module else {}
        self.names: List[str] = list(self._functions)

    def load(self, name: str, *values: Any) -> None:
        """Calls a hook without which the worker must not serve. Raises LoadError."""
        try:
            self._call(name, values)
        except BaseException as error:
            raise import_failed("%s:%s" % (self._module, name), error) from None

    def call(self, name: str, *values: Any) -> None:
        """Calls a hook whose failure is logged, and no more."""
        try:
            self._call(name, values)
        except BaseException as error:
            text = "Hook %s of %s failed:\n%s" % (name, self._module, format_error(error, error.__traceback__))
            self._log.log("error", text)

    def _call(self, name: str, values: Any) -> None:
        function = self._functions.get(name)
        if function is not None:
            function(*values)


def find(name: str) -> Dict[str, Callable[..., Any]]:
    """The hooks of a module. Raises LoadError when it has none, or one that is nearly one."""
    try:
        module = importlib.import_module(name)
    except BaseException as error:
        raise import_failed("the hooks in %s" % name, error) from None
    found = {hook: getattr(module, hook) for hook in NAMES if callable(getattr(module, hook, None))}
    for other, value in vars(module).items():
        near = [] if other in NAMES or not callable(value) else get_close_matches(other, NAMES, 1, 0.85)
        if near:
            raise LoadError("bad-hooks", "%s has no hook %s: did you mean %s?" % (name, other, near[0]))
    if not found:
        text = "%s has no hooks: define at least one of %s." % (name, ", ".join(NAMES))
        raise LoadError("bad-hooks", text)
    return found
