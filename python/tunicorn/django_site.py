"""Django: its settings from manage.py, its WSGI application from the settings, its static files from both."""

from __future__ import annotations

import ast
import importlib
import os
import sys
from typing import Any, Dict, Iterator, List, Tuple

from .failures import LoadError, syntax_error

VARIABLE = "DJANGO_SETTINGS_MODULE"

#: `StaticMount` in src/messages.ts: prefix and folders.
Mount = Dict[str, Any]


def find_settings(folder: str) -> str:
    """Sets DJANGO_SETTINGS_MODULE from manage.py unless it is set. Gives a clause for the log; raises LoadError."""
    manage = os.path.join(folder, "manage.py")
    if not os.path.isfile(manage):
        raise LoadError(
            "no-application",
            "No application was named, and %s has no manage.py to find Django's by. "
            "Name one: tunicorn mysite.wsgi, or tunicorn module:callable." % folder,
        )
    if os.environ.get(VARIABLE):
        return "found in the settings that %s names" % VARIABLE
    settings = settings_in(manage)
    if not settings:
        raise LoadError(
            "no-application",
            "No application was named, and %s does not set %s. Set it in the environment, or name the "
            "application: tunicorn mysite.wsgi." % (manage, VARIABLE),
        )
    os.environ[VARIABLE] = settings
    return "found in manage.py's settings"


def settings_in(manage: str) -> str:
    """The settings module that a manage.py names; empty when it does not. The file is read, not run."""
    try:
        with open(manage, "rb") as file:
            tree = ast.parse(file.read(), manage)
    except SyntaxError as error:
        raise syntax_error("Django's application", error) from None
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "setdefault"
        ):
            key, value = (literal(argument) for argument in (node.args + [None, None])[:2])
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            # Python 3.8 wraps the subscript in ast.Index.
            index: Any = node.targets[0].slice
            key, value = literal(getattr(index, "value", index), index), literal(node.value)
        else:
            continue
        if key == VARIABLE and value:
            return value
    return ""


def literal(*nodes: Any) -> str:
    """The text of the first node that is a string literal, else empty."""
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
    return ""


def wsgi_application() -> str:
    """APP for the site whose settings DJANGO_SETTINGS_MODULE names. Raises what Django raises."""
    settings = django_settings()
    path = getattr(settings, "WSGI_APPLICATION", None)
    if not path:
        return "django.core.wsgi:get_wsgi_application()"
    module, _, name = path.rpartition(".")
    return "%s:%s" % (module, name)


def django_settings() -> Any:
    return importlib.import_module("django.conf").settings


def static_mounts() -> Tuple[List[Mount], str]:
    """The static files of a loaded Django site and why they are served; nothing for any other application."""
    try:
        if "django.conf" not in sys.modules or not django_settings().configured:
            return [], ""
        settings = django_settings()
        prefix = static_prefix(settings)
        if not prefix:
            return [], ""
        # DEBUG first, as runserver does: a file that is being worked on must not be hidden by what was collected once.
        if settings.DEBUG and "django.contrib.staticfiles" in settings.INSTALLED_APPS:
            return mounts_of(finder_locations(), prefix), "DEBUG is on"
        root = str(getattr(settings, "STATIC_ROOT", None) or "")
        if root and has_files(root):
            return [{"prefix": prefix, "folders": [os.path.abspath(root)]}], "STATIC_ROOT is filled"
        return [], why_not_static(settings, prefix, root)
    except Exception:
        pass  # A site that serves no static files in the usual way is still served.
    return [], ""


def why_not_static(settings: Any, prefix: str, root: str) -> str:
    """The sentence for a site whose pages will come without CSS; empty when something else serves the files."""
    if "django.contrib.staticfiles" not in settings.INSTALLED_APPS:
        return ""
    if any("whitenoise" in middleware.lower() for middleware in settings.MIDDLEWARE):
        return ""
    why = "STATIC_ROOT %s is empty" % root if root else "STATIC_ROOT is not set"
    return "Static files %s are not served: DEBUG is off and %s. Run manage.py collectstatic" % (prefix, why)


def static_prefix(settings: Any) -> str:
    """STATIC_URL as a path that begins and ends with a slash; empty when the files are served elsewhere.

    Read past LazySettings, which would remember the URL without the SCRIPT_NAME of the requests to come.
    """
    url = getattr(settings._wrapped, "STATIC_URL", None)
    if not isinstance(url, str) or "://" in url or url.startswith("//") or not url.strip("/"):
        return ""
    if not url.startswith("/"):
        script: str = settings.FORCE_SCRIPT_NAME or os.environ.get("SCRIPT_NAME", "")
        url = "/%s/%s" % (script.strip("/"), url) if script.strip("/") else "/" + url
    return url if url.endswith("/") else url + "/"


def has_files(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(True for _ in entries)
    except OSError:
        return False


def finder_locations() -> Iterator[Tuple[str, str]]:
    """Prefix and folder of every place the staticfiles finders look in, in their order."""
    finders = importlib.import_module("django.contrib.staticfiles.finders")
    for finder in finders.get_finders():
        storages = getattr(finder, "storages", None)
        # A finder of somebody else's that has no storages makes files up: those stay the application's.
        for storage in storages.values() if isinstance(storages, dict) else ():
            location = getattr(storage, "location", None)
            if location and os.path.isdir(location):
                yield getattr(storage, "prefix", None) or "", os.path.abspath(location)


def mounts_of(locations: Iterator[Tuple[str, str]], prefix: str) -> List[Mount]:
    """Locations grouped by URL prefix, their order kept."""
    folders: Dict[str, List[str]] = {}
    for inner, folder in locations:
        url = prefix + (inner.strip("/") + "/" if inner else "")
        folders.setdefault(url, []).append(folder)
    return [{"prefix": url, "folders": found} for url, found in folders.items()]
