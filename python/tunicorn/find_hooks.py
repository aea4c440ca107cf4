"""Looks for the module of --hooks: PYTHON tunicorn-worker.py --find-hooks MODULE CHDIR PYTHONPATH...

Nothing of it is executed, nor of the packages that it lies in, so that `tunicorn check` can ask at any time.
"""

from __future__ import annotations

import os
import sys
from typing import Optional

from .hooks import no_module
from .paths import extend_path


def main() -> None:
    """Exits with 0, or with 1 when it is not there, which standard output says."""
    name, chdir, *pythonpath = sys.argv[2:]
    os.chdir(chdir)
    extend_path(pythonpath, chdir)
    missing = missing_part(name)
    if missing is not None:
        sys.stdout.write(no_module(missing))
        sys.exit(1)


def missing_part(name: str) -> Optional[str]:
    """`a.b` for `a.b.c` when there is `a`, and no `b` in it; None when all is there."""
    path = None
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        part = ".".join(parts[:end])
        if end > 1 and path is None:
            return part
        specs = (finder.find_spec(part, path) for finder in sys.meta_path if hasattr(finder, "find_spec"))
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is None:
            return part
        path = spec.submodule_search_locations
    return None
