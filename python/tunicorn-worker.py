"""Starts the Python worker: PYTHON tunicorn-worker.py NAME APP, with the arbiter on descriptor 3.

NAME and APP are there for `ps` only; what to do comes over descriptor 3. With --hook worker_gone in their place it
calls that hook instead (python/tunicorn/gone.py), and with --find-hooks it looks for a module of hooks
(python/tunicorn/find_hooks.py). This file must stay readable for every Python there is (2.7 included), so that an old
one can say what is wrong.
"""

import sys


def refuse_old_python():
    # type: () -> None
    if sys.version_info < (3, 8):
        sys.stderr.write(
            "Tunicorn's worker needs Python 3.8 or newer, but %s is Python %s: "
            "name a newer one with --python.\n" % (sys.executable, sys.version.split()[0])
        )
        sys.exit(1)


def load_module(name):
    # type: (str) -> object
    """Loads the package beside this file under a private name, with nothing of ours on sys.path.

    Otherwise a module of the application that is called `tunicorn`, or like a file in this folder, would be
    out of reach for it.
    """
    import importlib.util
    import os

    here = os.path.dirname(os.path.abspath(__file__))
    # Python puts the script's folder first, unless PYTHONSAFEPATH says not to.
    if sys.path and os.path.realpath(sys.path[0] or os.getcwd()) == os.path.realpath(here):
        del sys.path[0]
    folder = os.path.join(here, "tunicorn")
    spec = importlib.util.spec_from_file_location(
        "_tunicorn", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    package = importlib.util.module_from_spec(spec)
    sys.modules["_tunicorn"] = package
    spec.loader.exec_module(package)
    return importlib.import_module("_tunicorn." + name)


# multiprocessing's `spawn` imports this file once more in its children: nothing must happen then.
if __name__ == "__main__":
    refuse_old_python()
    if sys.argv[1:] == ["--hook", "worker_gone"]:
        load_module("gone").main()
    elif sys.argv[1:2] == ["--find-hooks"]:
        load_module("find_hooks").main()
    else:
        load_module("main").main()
