"""What APP on the command line means: a module or a file, and the callable in it."""

from __future__ import annotations

import ast
import os
from typing import Any, Dict, List, NamedTuple, Optional

from .failures import LoadError

#: Where an application is looked for when only its module is named: gunicorn's name, then Flask's.
USUAL_NAMES = ("application", "app")


class Target(NamedTuple):
    """Either `module` or `path` is set; `attributes` is empty when only the module was named."""

    module: str
    path: str
    attributes: List[str]
    #: Arguments of a factory; None when it is no call.
    arguments: Optional[List[Any]]
    keywords: Dict[str, Any]
    #: APP as it was given.
    text: str

    @property
    def where(self) -> str:
        """The part before the colon, as it was given."""
        return self.text.partition(":")[0]


def parse_target(text: str) -> Target:
    """`module`, `module:name`, `module:a.b`, `module:factory("x", key=1)`, or `dir/file.py` in the module's place.

    Raises LoadError (`bad-application`) for anything else.
    """
    where, _, expression = text.partition(":")
    is_path = where.endswith(".py") or os.sep in where
    if not is_path and not all(part.isidentifier() for part in where.split(".")):
        raise LoadError(
            "bad-application",
            "%r does not name an application: before the colon stands a module such as mysite.wsgi, "
            "or a file such as site/app.py." % text,
        )
    module, path = ("", where) if is_path else (where, "")
    if not expression:
        return Target(module, path, [], None, {}, text)
    try:
        node = ast.parse(expression.strip(), mode="eval").body
        if isinstance(node, ast.Call):
            arguments = [ast.literal_eval(argument) for argument in node.args]
            # A `**name` has no arg; literal_eval refuses names, so it cannot pass as an empty key.
            keywords = {keyword.arg or "": ast.literal_eval(keyword.value) for keyword in node.keywords}
            if "" not in keywords:
                return Target(module, path, attribute_path(node.func), arguments, keywords, text)
        else:
            return Target(module, path, attribute_path(node), None, {}, text)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        pass
    raise LoadError(
        "bad-application",
        "%r does not name an application: after the colon stands a name (application), a path of names "
        '(site.application), or a call with literal arguments (create_app("production", debug=False)).'
        % text,
    )


def attribute_path(node: ast.expr) -> List[str]:
    """`a.b.c` as its names. Raises ValueError when the expression is anything else."""
    names: List[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        raise ValueError("not a path of names")
    return [node.id, *names]
