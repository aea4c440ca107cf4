"""Answers with `environ` as JSON (what is no string as its repr), and the SHA-256 of the request body."""
import hashlib
import json
from typing import Any, Callable, Dict, List


def application(environ: Dict[str, Any], start_response: Callable[..., object]) -> List[bytes]:
    told = {key: value if isinstance(value, str) else repr(value) for key, value in environ.items()}
    told["body.sha256"] = hashlib.sha256(environ["wsgi.input"].read()).hexdigest()
    body = json.dumps(told).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
