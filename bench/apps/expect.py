"""expect.py MODULE PATH [BODY]: calls the application without any server and writes what it answers to standard output.

Every server's answers are compared with these bytes.
"""
import importlib
import io
import sys
from wsgiref.util import FileWrapper, setup_testing_defaults

module, path, *rest = sys.argv[1:]
environ = {"PATH_INFO": path, "HTTP_HOST": "127.0.0.1", "wsgi.file_wrapper": FileWrapper}
if rest:
    with open(rest[0], "rb") as file:
        body = file.read()
    environ.update({"REQUEST_METHOD": "POST", "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)})
setup_testing_defaults(environ)
statuses = []
for block in importlib.import_module(module).application(environ, lambda status, headers: statuses.append(status)):
    sys.stdout.buffer.write(block)
if statuses != ["200 OK"]:
    sys.exit("%s %s: %s" % (module, path, statuses))
