"""The arbiter's side of a worker: descriptor 3, one JSON object a line (src/messages.ts)."""

from __future__ import annotations

import json
import os
from select import POLLIN, POLLOUT, poll
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

DESCRIPTOR = 3


class Start(NamedTuple):
    """What a worker is told to do: `WorkerStart` in src/messages.ts."""

    #: `worker`, `check` or `zygote`.
    mode: str
    worker: int
    generation: int
    app: str
    gateway: str
    threads: int
    #: `signal` or `thread`.
    control: str
    multiprocess: bool
    chdir: str
    pythonpath: List[str]
    error_log: int
    log_level: str
    log_environ: List[str]
    server_software: str
    umask: int
    hooks: str
    error_logfile: str
    captured: bool
    stack_file: str


def parse_start(values: Dict[str, Any]) -> Start:
    return Start(
        mode=values["mode"],
        worker=values["worker"],
        generation=values["generation"],
        app=values["app"],
        gateway=values["gateway"],
        threads=values["threads"],
        control=values["control"],
        multiprocess=values["multiprocess"],
        chdir=values["chdir"],
        pythonpath=values["pythonpath"],
        error_log=values["errorLog"],
        log_level=values["logLevel"],
        log_environ=values["logEnviron"],
        server_software=values["serverSoftware"],
        umask=values["umask"],
        hooks=values["hooks"],
        error_logfile=values["errorLogfile"],
        captured=values["captured"],
        stack_file=values["stackFile"],
    )


class Arbiter:
    """The connection to the arbiter. When it ends, so does this process, at once: there are no orphans."""

    descriptor = DESCRIPTOR

    def __init__(self) -> None:
        #: What came behind the first line: orders to a zygote.
        self.rest = b""

    def read_start(self) -> Start:
        """Waits for the one line that says what to do."""
        os.set_blocking(DESCRIPTOR, True)
        line = b""
        while b"\n" not in line:
            data = os.read(DESCRIPTOR, 65536)
            if not data:
                os._exit(0)
            line += data
        line, _, self.rest = line.partition(b"\n")
        os.set_inheritable(DESCRIPTOR, False)
        os.set_blocking(DESCRIPTOR, False)
        return parse_start(json.loads(line))

    def say(self, event: str, **values: Any) -> None:
        """Sends one line. The descriptor does not block, but a start-up's few lines always fit."""
        data = (json.dumps({"event": event, **values}) + "\n").encode()
        while data:
            try:
                data = data[os.write(DESCRIPTOR, data) :]
            except BlockingIOError:
                poll_once([(DESCRIPTOR, POLLOUT)], None)
            except OSError:
                os._exit(0)

    def check(self) -> None:
        """Ends the process if the arbiter is gone. Never blocks."""
        try:
            while os.read(DESCRIPTOR, 4096):
                pass
        except BlockingIOError:
            return
        except OSError:
            pass
        os._exit(0)

    def pause(self, seconds: float) -> None:
        """Sleeps, but not past the arbiter's end."""
        if poll_once([(DESCRIPTOR, POLLIN)], seconds):
            self.check()


def poll_once(events: List[Tuple[int, int]], seconds: Optional[float]) -> List[Tuple[int, int]]:
    """poll(2), because select(2) fails on descriptors over 1023, which an application may well have open."""
    poller = poll()
    for descriptor, mask in events:
        poller.register(descriptor, mask)
    return poller.poll(None if seconds is None else seconds * 1000)
