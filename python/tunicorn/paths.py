"""Where modules are found."""

from __future__ import annotations

import os
import sys
from typing import Sequence


def extend_path(pythonpath: Sequence[str], chdir: str) -> None:
    """In gunicorn's order, so that --pythonpath can put a module in front of the application's own."""
    for at, folder in enumerate([*pythonpath, chdir]):
        sys.path.insert(at, os.path.abspath(folder))
