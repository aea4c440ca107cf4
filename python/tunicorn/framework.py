"""Which framework an application is made with, for the log."""

from __future__ import annotations

import sys
from typing import Any

#: Module, its name, and its distribution, in the order in which they are believed when nothing else tells.
_FRAMEWORKS = (
    ("django", "Django", "Django"),
    ("flask", "Flask", "Flask"),
    ("pyramid", "Pyramid", "pyramid"),
    ("falcon", "Falcon", "falcon"),
    ("bottle", "Bottle", "bottle"),
    ("cherrypy", "CherryPy", "CherryPy"),
    ("web", "web.py", "web.py"),
    ("werkzeug", "Werkzeug", "Werkzeug"),
)


def framework_of(application: Any) -> str:
    """E.g. `Django 5.2.19`; empty when unknown."""
    kind = type(application)
    root = str(getattr(kind, "__module__", "")).partition(".")[0]
    # Middleware hides the framework's own object: then what is imported has to tell.
    for by_type in (True, False):
        for module, name, distribution in _FRAMEWORKS:
            if module in sys.modules and (not by_type or module == root):
                return ("%s %s" % (name, version(module, distribution))).rstrip()
    return ""


def version(module: str, distribution: str) -> str:
    """The version, empty when it cannot be told."""
    # Not getattr(): Flask warns about its __version__, which is made on demand.
    value = vars(sys.modules[module]).get("__version__")
    if isinstance(value, str):
        return value
    try:
        from importlib.metadata import version as installed

        return installed(distribution)
    except Exception:
        return ""
