"""Finds and loads the application that was named."""
from __future__ import annotations

import importlib
import traceback
from typing import Any, Dict, List, NamedTuple


class LoadError(Exception):
    def __init__(self, code: str, message: str, trace: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.traceback = trace


class Found(NamedTuple):
    application: Any
    name: str
    framework: str
    found: str
    mounts: List[Dict[str, Any]]
    mounts_why: str


def load(app: str, chdir: str) -> Found:
    module_name, _, attribute = app.partition(":")
    try:
        module = importlib.import_module(module_name)
    except BaseException as error:
        raise LoadError("application-failed", "Cannot load %s: %s." % (app, error), traceback.format_exc())
    for name in [attribute] if attribute else ["application", "app"]:
        if hasattr(module, name):
            return Found(getattr(module, name), "%s:%s" % (module_name, name), "", "", [], "")
    raise LoadError("no-callable", "Module %s has no %s." % (module_name, attribute or "application or app"))
