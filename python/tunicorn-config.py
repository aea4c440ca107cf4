"""Executes a configuration file of gunicorn's: PYTHON tunicorn-config.py LOCATION FOLDER NAME...

LOCATION is a path or python:MODULE, FOLDER goes on sys.path. What the file sets of NAMEs is written to
descriptor 3 as JSON: the type PythonReport in src/config/gunicorn-file.ts. Nothing of ours is on sys.path.
"""

import ast
import importlib
import importlib.machinery
import importlib.util
import json
import os
import sys
import traceback
from types import ModuleType, TracebackType
from typing import Any, Dict, Iterator, List, Optional

REPORT = 3


def execute(location: str) -> ModuleType:
    """The module that the file makes, under the name that gunicorn gives it."""
    if location.startswith("python:"):
        return importlib.import_module(location[len("python:") :])
    loader = importlib.machinery.SourceFileLoader("__config__", location)
    spec = importlib.util.spec_from_file_location("__config__", location, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["__config__"] = module
    # A .pyc beside the file would be one more file that root leaves in somebody's folder.
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


def describe(value: Any) -> Dict[str, Any]:
    """A value as gunicorn's settings may have it; `other` for what none of them takes."""
    if isinstance(value, type):
        return {"kind": "class", "value": "%s.%s" % (value.__module__, value.__qualname__)}
    if callable(value):
        return {"kind": "function"}
    if isinstance(value, (tuple, set, frozenset)):
        value = list(value)
    plain = (str, int, float, type(None))
    if isinstance(value, plain) or isinstance(value, list) and all(isinstance(v, str) for v in value):
        return {"kind": "value", "value": value}
    if isinstance(value, dict):
        return {"kind": "dict", "value": {str(k): str(v) for k, v in value.items()}}
    return {"kind": "other", "value": type(value).__name__}


def lines_of(path: str) -> Dict[str, int]:
    """The line in which each name gets its value last, at the top or in an if, for, with or try there."""
    with open(path, "rb") as file:
        tree = ast.parse(file.read(), path)
    lines: Dict[str, int] = {}
    for node in statements(tree.body):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            lines[node.name] = node.lineno
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            lines.update((alias.asname or alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [name for target in targets for name in ast.walk(target)]
            lines.update((name.id, node.lineno) for name in names if isinstance(name, ast.Name))
    return lines


def statements(body: List[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, (ast.If, ast.For, ast.While, ast.With, ast.Try)):
            for field in ("body", "handlers", "orelse", "finalbody"):
                for inner in getattr(node, field, []):
                    yield from statements(inner.body if isinstance(inner, ast.ExceptHandler) else [inner])


def failure(error: BaseException, path: Optional[str]) -> Dict[str, Any]:
    """What went wrong, in which line of the file, and the stack from there on if it leads elsewhere."""
    text = traceback.format_exception_only(type(error), error)[-1].strip()
    if isinstance(error, SyntaxError) and (path is None or error.filename == path):
        return {"text": text, "line": error.lineno or 0, "stack": ""}
    begin: Optional[TracebackType] = error.__traceback__
    while begin is not None and begin.tb_frame.f_code.co_filename != path:
        begin = begin.tb_next
    if begin is None:
        return {"text": text, "line": 0, "stack": ""}
    stack = "".join(traceback.format_tb(begin)) if begin.tb_next else ""
    return {"text": text, "line": begin.tb_lineno, "stack": stack}


def main(location: str, folder: str, names: List[str]) -> Dict[str, Any]:
    here = os.path.realpath(os.path.dirname(os.path.abspath(__file__)))
    if sys.path and os.path.realpath(sys.path[0] or os.getcwd()) == here:
        del sys.path[0]
    sys.path[:0] = [folder, os.getcwd()] if folder != os.getcwd() else [folder]
    path = None if location.startswith("python:") else location
    try:
        module = execute(location)
        path = path or getattr(module, "__file__", None)
    # SystemExit, too: a file that ends Python early has not been read.
    except BaseException as error:
        return {"file": path, "error": failure(error, path)}
    try:
        lines = lines_of(path) if path is not None else {}
    except (OSError, ValueError, SyntaxError):
        lines = {}
    found = [name for name in names if name in vars(module)]
    return {
        "file": path,
        "settings": [dict(describe(vars(module)[n]), name=n, line=lines.get(n, 0)) for n in found],
    }


if __name__ == "__main__":
    answer = main(sys.argv[1], sys.argv[2], sys.argv[3:])
    with os.fdopen(REPORT, "w", encoding="utf-8") as report:
        json.dump(answer, report)
    # Threads that the file started must not keep us: what it says is told.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
