"""Reads requests with h11, for comparison. In: a JSON list of byte strings as latin-1. Out: what h11 made of each."""

import json
import sys
from typing import Any, Dict, List, Optional

import h11


def text(value: bytes) -> str:
    return bytes(value).decode("latin-1")


def head_of(event: h11.Request) -> Dict[str, Any]:
    return {
        "method": text(event.method),
        "target": text(event.target),
        "version": text(event.http_version),
        "fields": [[text(name), text(value)] for name, value in event.headers],
        "body": "",
        "trailers": [],
    }


def answer(connection: h11.Connection) -> bool:
    """Answers, so that h11 looks at the next request. Whether it will."""
    connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
    connection.send(h11.EndOfMessage())
    if connection.our_state is h11.MUST_CLOSE:
        return False
    connection.start_next_cycle()
    return True


def read(raw: str) -> Dict[str, Any]:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(raw.encode("latin-1"))
    requests: List[Dict[str, Any]] = []
    current: Optional[Dict[str, Any]] = None
    error: Optional[str] = None
    try:
        while True:
            event = connection.next_event()
            if event in (h11.NEED_DATA, h11.PAUSED):
                break
            if isinstance(event, h11.Request):
                current = head_of(event)
                current["waits"] = connection.they_are_waiting_for_100_continue
            elif isinstance(event, h11.Data) and current is not None:
                current["body"] += text(event.data)
            elif isinstance(event, h11.EndOfMessage) and current is not None:
                current["trailers"] = [[text(name), text(value)] for name, value in event.headers]
                requests.append(current)
                current = None
                is_last = not answer(connection)
                requests[-1]["keepAlive"] = not is_last
                if is_last:
                    break
    except h11.RemoteProtocolError as refusal:
        error = str(refusal)
    return {"requests": requests, "open": current, "error": error}


def main() -> None:
    json.dump([read(raw) for raw in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
