"""Finds and loads the application: APP from the command line, or Django's when none was named."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from types import ModuleType
from typing import Any, Callable, List, NamedTuple

from .django_site import Mount, find_settings, static_mounts, wsgi_application
from .failures import LoadError, import_failed, no_callable, no_file, no_module
from .framework import framework_of
from .interface import check_application
from .target import USUAL_NAMES, Target, parse_target
from .tracebacks import application_part

__all__ = ["Found", "LoadError", "load"]


class Found(NamedTuple):
    """A loaded application: the `loaded` event in src/messages.ts."""

    application: Callable[..., Any]
    name: str
    framework: str
    #: Where it was found when none was named, as a clause for the log.
    found: str
    mounts: List[Mount]
    mounts_why: str


def load(app: str, folder: str) -> Found:
    """Loads APP with `folder` (already on sys.path) as the application's. Raises LoadError."""
    found = ""
    target = parse_target(app) if app else None
    if target is None:
        found = find_settings(folder)
        try:
            named = wsgi_application()
        except BaseException as error:
            raise import_failed("Django's application", error) from None
        target = parse_target(named)
    application, name = take(target, folder)
    check_application(name, application)
    mounts, why = static_mounts()
    return Found(application, name, framework_of(application), found, mounts, why)


def take(target: Target, folder: str) -> "tuple[Any, str]":
    """The object that was named, and its name in full."""
    module = import_file(target, folder) if target.path else import_named(target, folder)
    if not target.attributes:
        for name in USUAL_NAMES:
            if hasattr(module, name):
                return getattr(module, name), "%s:%s" % (target.where, name)
        raise no_callable(target.text, module, [], module)
    value = walk(target, module)
    return (value if target.arguments is None else call(target, value)), target.text


def import_named(target: Target, folder: str) -> ModuleType:
    try:
        return importlib.import_module(target.module)
    except ModuleNotFoundError as error:
        # Only when the import of the named module itself failed: no code of the application has run.
        missing = error.name or ""
        if (target.module + ".").startswith(missing + ".") and application_part(error) is None:
            raise no_module(target.text, target.module, missing, folder) from None
        raise import_failed(target.text, error) from None
    except BaseException as error:
        raise import_failed(target.text, error) from None


def import_file(target: Target, folder: str) -> ModuleType:
    """Runs a file as `python dir/app.py` would: its folder comes first on sys.path."""
    path = os.path.abspath(os.path.join(folder, target.path))
    if not os.path.isfile(path):
        raise no_file(target.text, target.path, folder)
    if not target.attributes and os.path.basename(path) == "manage.py":
        raise LoadError(
            "no-callable",
            "Cannot load %s: manage.py is Django's command line. Name the site, as in tunicorn mysite.wsgi; "
            "or name nothing in the folder that holds it." % target.text,
        )
    sys.path[:0] = [os.path.dirname(path), *project_folder(path)]
    name = os.path.splitext(os.path.basename(path))[0]
    if name in sys.modules:
        name = "_application_" + name  # A file called json.py must not take the place of the real one.
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise no_file(target.text, target.path, folder)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        raise import_failed(target.text, error) from None
    return module


def project_folder(path: str) -> List[str]:
    """The nearest folder above a file that holds a manage.py: what the file imports is named from there."""
    folder = os.path.dirname(os.path.dirname(path))
    while folder != os.path.dirname(folder):
        if os.path.isfile(os.path.join(folder, "manage.py")):
            return [folder]
        folder = os.path.dirname(folder)
    return []


def walk(target: Target, module: ModuleType) -> Any:
    """The object at the end of the path of names."""
    value: Any = module
    for at, name in enumerate(target.attributes):
        try:
            value = getattr(value, name)
        except AttributeError:
            raise no_callable(target.text, module, target.attributes[: at + 1], value) from None
    return value


def call(target: Target, factory: Any) -> Any:
    """What the factory makes."""
    name = "%s:%s" % (target.where, ".".join(target.attributes))
    if not callable(factory):
        raise LoadError(
            "not-callable", "Cannot load %s: %s is no function that can be called." % (target.text, name)
        )
    try:
        return factory(*(target.arguments or ()), **target.keywords)
    except BaseException as error:
        if isinstance(error, TypeError) and application_part(error) is None:
            raise LoadError(
                "bad-application",
                "Cannot load %s: the factory takes other arguments: %s." % (target.text, error),
            ) from None
        raise import_failed(target.text, error) from None
