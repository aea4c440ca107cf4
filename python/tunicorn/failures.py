"""Why an application cannot be loaded: one clear message each, and a traceback only where it helps."""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from types import FunctionType, ModuleType
from typing import Any, Iterable, List, Sequence

from .tracebacks import application_part, describe, format_error

#: Folders with more entries than this are not searched for names to suggest.
_SEARCH_LIMIT = 2000


class LoadError(Exception):
    """The application cannot be loaded. `code` is for programs, the text for people."""

    def __init__(self, code: str, message: str, trace: str = "") -> None:
        super().__init__(message)
        self.code = code
        #: The application's own traceback; empty where it would not help.
        self.traceback = trace


def no_module(text: str, module: str, missing: str, folder: str) -> LoadError:
    """The module that was named is not there."""
    reason = "there is no module %s in %s or elsewhere on Python's path" % (missing, folder)
    parent = missing.rpartition(".")[0]
    if (
        parent
        and isinstance(sys.modules.get(parent), ModuleType)
        and not hasattr(sys.modules[parent], "__path__")
    ):
        reason = "%s is a module, not a package, so there is no %s in it" % (parent, missing)
        return LoadError(
            "no-module",
            "Cannot load %s: %s. Before the callable stands a colon: %s:%s."
            % (text, reason, parent, missing.rpartition(".")[2]),
        )
    near = near_modules(module, folder)
    advice = "Did you mean %s?" % near if near else "Name its folder with --chdir or --pythonpath."
    return LoadError("no-module", "Cannot load %s: %s. %s" % (text, reason, advice))


def no_file(text: str, path: str, folder: str) -> LoadError:
    """The file that was named is not there, or is none."""
    full = os.path.join(folder, path)
    if os.path.isdir(full):
        reason = "%s is a folder" % full
    else:
        reason = "there is no file %s" % full
    near = near_modules(os.path.splitext(path)[0].replace(os.sep, "."), folder)
    advice = "Did you mean %s?" % near if near else "Name a Python file, or a module such as mysite.wsgi."
    return LoadError("no-module", "Cannot load %s: %s. %s" % (text, reason, advice))


def import_failed(text: str, error: BaseException) -> LoadError:
    """The application's own code raised while it was imported (or its factory called)."""
    if isinstance(error, SyntaxError):
        return syntax_error(text, error)
    trace = format_error(error, application_part(error))
    kind = type(error).__name__
    if isinstance(error, SystemExit):
        reason = "it ended itself with sys.exit(%r) while it was loaded" % (error.code,)
        return LoadError("application-failed", "Cannot load %s: %s." % (text, reason), trace)
    advice = ""
    if isinstance(error, ModuleNotFoundError) and error.name:
        settings = os.environ.get("DJANGO_SETTINGS_MODULE", "")
        if settings and (settings == error.name or settings.startswith(error.name + ".")):
            return LoadError(
                "bad-settings",
                "Cannot load %s: Django's settings module %s cannot be imported: %s. Check the environment variable "
                "DJANGO_SETTINGS_MODULE, and --chdir." % (text, settings, error),
            )
        advice = " If %s is a package, install it for %s, or name another interpreter with --python." % (
            error.name.partition(".")[0],
            sys.executable,
        )
    code = "bad-settings" if kind == "ImproperlyConfigured" else "application-failed"
    return LoadError(code, "Cannot load %s: %s: %s.%s" % (text, kind, one_line(error), advice), trace)


def syntax_error(text: str, error: SyntaxError) -> LoadError:
    """File, line and text say it all: no traceback."""
    place = "%s, line %s" % (error.filename, error.lineno)
    message = "Cannot load %s: syntax error in %s: %s" % (text, place, error.msg)
    line = (error.text or "").strip()
    return LoadError("syntax-error", "%s: %s" % (message, line) if line else message + ".")


def no_callable(text: str, module: ModuleType, path: Sequence[str], owner: Any) -> LoadError:
    """The module is there, the name in it is not. `owner` is what the last name was looked up in."""
    has = candidates(module)
    listed = " It has: %s." % ", ".join(has[:8]) if has else " It has nothing that looks like an application."
    module_name = text.partition(":")[0]
    if not path:
        message = "Cannot load %s: module %s has neither application nor app.%s" % (text, module_name, listed)
        return LoadError(
            "no-callable", message + (" Name one: %s:%s." % (module_name, has[0]) if has else "")
        )
    if owner is not module:
        message = "Cannot load %s: %s has no attribute %s." % (text, ".".join(path[:-1]), path[-1])
        return LoadError("no-callable", message + did_you_mean(path[-1], dir(owner)))
    names = [name for name in vars(module) if not name.startswith("_")]
    message = "Cannot load %s: module %s has no %s.%s%s" % (
        text,
        module_name,
        path[-1],
        did_you_mean(path[-1], names),
        listed,
    )
    return LoadError("no-callable", message)


def candidates(module: ModuleType) -> List[str]:
    """Names in a module that may be applications, factories as calls; the likely ones first."""
    found: List[str] = []
    for name, value in vars(module).items():
        if name.startswith("_") or issubclass(type(value), (type, ModuleType)) or not callable(value):
            continue
        # By its type alone: Flask's `request` answers every question with an error outside of a request.
        is_function = type(value) is FunctionType
        if is_function and value.__module__ != module.__name__:
            continue  # Imported from elsewhere: get_wsgi_application, render, path…
        if is_function and required_arguments(value) == 0:
            name += "()"
        found.append(name)
    return sorted(found, key=lambda name: ("app" not in name.lower(), name))


def required_arguments(function: Any) -> int:
    """Positional arguments that a call cannot do without."""
    return int(function.__code__.co_argcount) - len(function.__defaults__ or ())


def did_you_mean(name: str, names: Iterable[str]) -> str:
    near = get_close_matches(name, list(names), n=1)
    return " Did you mean %s?" % near[0] if near else ""


def near_modules(name: str, folder: str) -> str:
    """The module in this folder whose name is nearest; empty when none is near."""
    names = list(modules_in(folder))
    near = get_close_matches(name, names, n=1)
    if near:
        return near[0]
    # A right last part in another package is likelier than nothing.
    last = [each for each in names if each.rpartition(".")[2] == name.rpartition(".")[2]]
    return last[0] if last else ""


def modules_in(folder: str) -> Iterable[str]:
    """Modules in a folder, and those one level down in its packages."""
    for name in python_names(folder):
        yield name
        for inner in python_names(os.path.join(folder, name)):
            yield "%s.%s" % (name, inner)


def python_names(folder: str) -> List[str]:
    try:
        entries = sorted(os.listdir(folder))
    except OSError:
        return []
    names = []
    for entry in entries[:_SEARCH_LIMIT]:
        stem, extension = os.path.splitext(entry)
        is_module = extension == ".py" or (not extension and os.path.isdir(os.path.join(folder, entry)))
        if is_module and stem.isidentifier() and not stem.startswith("__"):
            names.append(stem)
    return names


def one_line(error: BaseException) -> str:
    """The error's text without its final full stop, on one line."""
    return " ".join(describe(error).split()).rstrip(".")
