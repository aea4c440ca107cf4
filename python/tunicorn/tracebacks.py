"""Tracebacks as the application's author wants them: from the application's first frame on."""

from __future__ import annotations

import traceback
from types import TracebackType
from typing import Optional


def application_part(error: BaseException) -> Optional[TracebackType]:
    """The traceback without the frames of this worker and of the import machinery above the application's.

    None when no code of the application has run.
    """
    trace = error.__traceback__
    while trace and _is_ours(trace):
        trace = trace.tb_next
    return trace


def format_error(error: BaseException, trace: Optional[TracebackType]) -> str:
    """As Python prints it, with causes and contexts; without a traceback, only the error itself."""
    return "".join(traceback.format_exception(type(error), error, trace))


def describe(error: BaseException) -> str:
    """The error's text, whatever its `__str__` does."""
    try:
        return str(error)
    except BaseException:
        return "(its text cannot be made)"


def _is_ours(trace: TracebackType) -> bool:
    name = trace.tb_frame.f_globals.get("__name__", "")
    return name.partition(".")[0] in (__name__.partition(".")[0], "importlib", "_frozen_importlib") or (
        trace.tb_frame.f_code.co_filename.startswith("<frozen importlib")
    )
