"""Tunicorn's Python worker: takes whole requests from a front, runs a WSGI application (PEP 3333), gives
whole responses back. Standard library only, CPython 3.8 and newer.

Reading order: `main` (the life of a worker), `protocol` (frames), `session` (its connections), `lane`
(one request after another), `environ` and `response` (PEP 3333), `control` (orders while a request runs),
`loader` (finding the application).
"""
