"""Calls the hook worker_gone: PYTHON tunicorn-worker.py --hook worker_gone, with a JSON line a dead worker on stdin.

A worker that was killed cannot clean up behind itself, and the arbiter runs no Python: this process does it. It
imports the module with the hooks, and nothing of the application that the module does not import itself.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Dict

from .failures import LoadError
from .hooks import import_hooks
from .paths import extend_path
from .signals import die_with_parent, ignore_signals
from .tracebacks import application_part, format_error

HOOK = "worker_gone"


def main() -> None:
    """Exits with 0, or with 1 when a call failed, whose traceback is on standard error."""
    ignore_signals()
    die_with_parent()
    orders = [json.loads(line) for line in sys.stdin]
    first = orders[0]
    os.chdir(first["chdir"])
    extend_path(first["pythonpath"], first["chdir"])
    try:
        module = import_hooks(first["module"])
    except LoadError as error:
        sys.stderr.write("Hook %s: %s\n%s" % (HOOK, error, error.traceback))
        sys.exit(1)
    # Each one is called, whatever becomes of the others.
    sys.exit(0 if all([call(getattr(module, HOOK), order) for order in orders]) else 1)


def call(function: Any, order: Dict[str, Any]) -> bool:
    try:
        function(order["pid"], order["worker"])
    except BaseException as error:
        trace = format_error(error, application_part(error) or error.__traceback__)
        text = "Hook %s of %s failed for worker %d (pid %d):\n%s"
        sys.stderr.write(text % (HOOK, order["module"], order["worker"], order["pid"], trace))
        return False
    return True
