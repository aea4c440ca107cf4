"""Is it a WSGI application? What it is instead is named, with the way out."""

from __future__ import annotations

from functools import partial
from inspect import Parameter, iscoroutinefunction, signature
from types import FunctionType
from typing import Any, List

from .failures import LoadError


def check_application(text: str, value: Any) -> None:
    """Raises LoadError (`not-callable`, `asgi`, `not-wsgi`) for what cannot be called as a WSGI application."""
    if not callable(value):
        raise LoadError("not-callable", not_callable(text, value))
    if iscoroutinefunction(value) and takes_two(value):
        raise LoadError(
            "not-wsgi",
            "Cannot serve %s: it is an async function; a WSGI application is a plain one (def, not async def)."
            % text,
        )
    if is_asgi(value):
        raise LoadError("asgi", asgi_advice(text, value))
    if isinstance(value, type):
        if not is_wsgi_class(value):
            raise LoadError(
                "not-wsgi",
                "Cannot serve %s: it is the class %s, not a WSGI application. Name an instance of it."
                % (text, type_name(value)),
            )
    elif isinstance(value, FunctionType) and not takes_two(value):
        advice = " If it makes the application, name it as a call: %s()." % text if takes(value, 0) else ""
        raise LoadError(
            "not-wsgi",
            "Cannot serve %s: a WSGI application takes two arguments (environ, start_response), this function "
            "takes %s.%s" % (text, describe_arguments(value), advice),
        )


def not_callable(text: str, value: Any) -> str:
    what = "None" if value is None else "a %s (%.60r)" % (type_name(type(value)), value)
    return "Cannot serve %s: it is %s, not a callable that takes environ and start_response." % (text, what)


def is_asgi(value: Any) -> bool:
    """ASGI 3: `async def app(scope, receive, send)`, or an object whose `__call__` is such; ASGI 2: a class."""
    while isinstance(value, partial):
        value = value.func
    if iscoroutinefunction(value):
        return True
    call = getattr(value if isinstance(value, type) else type(value), "__call__", None)
    if iscoroutinefunction(call):
        return True
    if isinstance(value, type):
        return False
    names = argument_names(value)
    return names[:3] == ["scope", "receive", "send"]


def argument_names(value: Any) -> List[str]:
    try:
        return list(signature(value).parameters)
    except (TypeError, ValueError):
        return []


def asgi_advice(text: str, value: Any) -> str:
    root = type_name(type(value)).partition(".")[0]
    what = (
        "an ASGI application"
        if isinstance(value, FunctionType)
        else "an ASGI application (%s)" % (type_name(value if isinstance(value, type) else type(value)))
    )
    if root == "django":
        advice = "Django has both: use %s." % text.replace("asgi", "wsgi")
        if "asgi" not in text:
            advice = "Django has both: use the site's wsgi module, such as mysite.wsgi."
    else:
        advice = (
            "Wrap it (pip install a2wsgi): application = a2wsgi.ASGIMiddleware(app), and name that; "
            "or serve it with an ASGI server."
        )
    return "Cannot serve %s: it is %s, and Tunicorn speaks WSGI. %s" % (text, what, advice)


def is_wsgi_class(value: type) -> bool:
    """PEP 3333, "The Application/Framework Side": a class will do, when its instances are the result."""
    if type(value).__call__ is not type.__call__ or getattr(value, "__new__") is not object.__new__:
        return True  # What a call of it gives is anybody's guess.
    return hasattr(value, "__iter__") and takes_two(value)


def takes_two(value: Any) -> bool:
    return takes(value, 2)


def takes(value: Any, count: int) -> bool:
    """Whether it can be called with so many positional arguments; True when that cannot be known."""
    try:
        # The wrapper is what is called, whatever functools.wraps makes it look like.
        signature(value, follow_wrapped=False).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:
        return True
    return True


def describe_arguments(value: Any) -> str:
    kinds = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    parameters = signature(value, follow_wrapped=False).parameters.values()
    names = [each.name for each in parameters if each.kind in kinds]
    return "%d (%s)" % (len(names), ", ".join(names)) if names else "none"


def type_name(kind: type) -> str:
    name = getattr(kind, "__qualname__", repr(kind))
    return name if kind.__module__ == "builtins" else "%s.%s" % (kind.__module__, name)
