"""What threads are doing right now, as text (the frames DUMP and STACK), and the same by faulthandler."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
import threading
import traceback
from types import FrameType
from typing import TYPE_CHECKING, Dict, List, Optional

from .interrupt import is_ours

if TYPE_CHECKING:
    from .lane import Lane

#: The end of a longer text tells more than its beginning.
_MOST = 60_000

#: Ignored by a process that does not wait for it, so it hurts nobody when it comes too early.
_SIGNAL = int(signal.SIGURG)

_file = -1


def write_on_signal(path: str) -> None:
    """From now on SIGURG writes all stacks to a new file, even while a C call holds the interpreter."""
    global _file
    if not path:
        return
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW
        _file = os.open(path, flags, 0o600)
    except OSError:
        return  # Serving matters more than being able to tell where it is stuck.
    faulthandler.register(_SIGNAL, file=_file, all_threads=True, chain=False)
    _widen_signal_stack()


class _StackT(ctypes.Structure):
    """stack_t of sigaltstack(2)."""

    _fields_ = [("ss_sp", ctypes.c_void_p), ("ss_flags", ctypes.c_int), ("ss_size", ctypes.c_size_t)]


_WIDE = 256 * 1024
_signal_stack = None


def _widen_signal_stack() -> None:
    """faulthandler gives this thread a stack of 16 KiB for signals, and every handler of Python's runs there.

    A processor with wide registers (AVX-512, AMX) saves up to 11 KiB for each signal: a handful at once, as when a
    whole cgroup is signalled, would run over its end and kill the process.
    """
    global _signal_stack
    if _signal_stack is not None:
        return  # It came with the fork, and is in use.
    try:
        _signal_stack = ctypes.create_string_buffer(_WIDE)
        stack = _StackT(ctypes.addressof(_signal_stack), 0, _WIDE)
        ctypes.CDLL(None).sigaltstack(ctypes.byref(stack), None)
    except (AttributeError, OSError):
        pass  # No such call here.


def forget_signal() -> None:
    """For a forked child: the file is its parent's."""
    global _file
    faulthandler.unregister(_SIGNAL)
    if _file >= 0:
        os.close(_file)
        _file = -1


def stack_of(lane: Lane, interrupted: Optional[FrameType]) -> str:
    """The stack of the thread of a lane, from the application's first frame on."""
    frame = _frame_of(lane.window.thread, interrupted)
    return _format(frame)[-_MOST:] if frame else ""


def all_stacks(lanes: List[Lane], interrupted: Optional[FrameType]) -> str:
    """The stack of every thread, with the request that it runs."""
    by_thread: Dict[Optional[int], Lane] = {lane.window.thread: lane for lane in lanes if lane.window.ident}
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts: List[str] = []
    for ident in sorted(sys._current_frames(), key=lambda each: (each not in by_thread, each)):
        lane = by_thread.get(ident)
        frame = _frame_of(ident, interrupted)
        what = "(%s)" % lane.title if lane else _role(names.get(ident), frame)
        parts.append("Thread %s %s:\n%s" % (names.get(ident, ident), what, _format(frame) if frame else ""))
    return "\n".join(parts)[-_MOST:]


def _role(name: Optional[str], frame: Optional[FrameType]) -> str:
    return "(no request)" if frame and is_ours(frame) else "(the application's own)"


def _frame_of(thread: int, interrupted: Optional[FrameType]) -> Optional[FrameType]:
    """Where a thread is. In a signal handler this thread's frames are the handler's: what it interrupted counts."""
    if interrupted is not None and thread == threading.get_ident():
        return interrupted
    return sys._current_frames().get(thread)


def _format(frame: FrameType) -> str:
    """As in a traceback, the most recent call last; without our own frames at its beginning."""
    frames: List[FrameType] = []
    at: Optional[FrameType] = frame
    while at:
        frames.append(at)
        at = at.f_back
    frames.reverse()
    first = 0
    for number, each in enumerate(frames):
        if is_ours(each):
            # Everything above is the way from the interpreter's start to us.
            first = number + 1
        elif first:
            break
    # A thread that is in our code alone is shown whole.
    shown = frames[first:] or frames
    summary = traceback.StackSummary.extract(((each, each.f_lineno) for each in shown), limit=None)
    return "".join(summary.format())
