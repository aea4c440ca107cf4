"""A Flask application: a page, JSON, an answer that comes bit by bit, and a file to download."""

from __future__ import annotations

import time
from collections.abc import Iterator

from flask import Flask, Response, jsonify, request, send_file

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 1024 * 1024


@app.get("/")
def index() -> str:
    return """<!doctype html>
<html lang="en">
<title>Flask on Tunicorn</title>
<h1>Flask on Tunicorn</h1>
<ul>
  <li><a href="/api/echo?name=Heyo">JSON</a></li>
  <li><a href="/countdown?from=5">A countdown, one line a second</a></li>
  <li><a href="/download/1000">A file of 1000 lines</a></li>
  <li><a href="/download/this-file">The source of this application</a></li>
</ul>
</html>
"""


@app.route("/api/echo", methods=["GET", "POST"])
def echo() -> Response:
    """What was asked, as JSON: query, and the body when it is JSON itself."""
    return jsonify(
        method=request.method,
        query=request.args,
        json=request.get_json(silent=True),
        remote=request.remote_addr,
    )


@app.get("/countdown")
def countdown() -> Response:
    """A generator: each line goes out when it is made. `pause` is in seconds."""
    start = min(request.args.get("from", 5, type=int), 60)
    pause = request.args.get("pause", 1.0, type=float)

    def lines() -> Iterator[str]:
        for number in range(start, 0, -1):
            yield f"{number}\n"
            time.sleep(pause)
        yield "Heyo\n"

    return Response(lines(), mimetype="text/plain")


@app.get("/download/<int:count>")
def download(count: int) -> Response:
    """A file made in memory; it can be had in parts (Range), and not again when it is known (ETag)."""
    text = "".join(f"line {number}\n" for number in range(1, min(count, 1_000_000) + 1))
    response = Response(text, mimetype="text/plain")
    response.headers.set("Content-Disposition", "attachment", filename=f"lines-{count}.txt")
    response.add_etag()
    return response.make_conditional(request, accept_ranges=True, complete_length=len(text))


@app.get("/download/this-file")
def source() -> Response:
    """A file on disk: its own source."""
    return send_file(__file__, mimetype="text/x-python", as_attachment=True, conditional=True)
