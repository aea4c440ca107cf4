"""For tests of the process tree: who answers, slow answers, and ways to go wrong."""
import os
import sys
import time

# A test makes it fail at the next import.
if os.path.exists(os.environ.get("BROKEN_BY", "/nowhere")):
    raise RuntimeError("This deployment is broken.")


def application(environ, start_response):
    path, _, argument = environ["PATH_INFO"][1:].partition("/")
    body = b"done"
    if path == "pid":
        body = str(os.getpid()).encode()
    elif path == "who":
        body = "{} {} {}".format(os.getresuid(), os.getresgid(), os.getgroups()).encode()
    elif path == "sleep":
        # The test waits for this line before it does harm. One write: print() makes four, and other workers write between them.
        environ["wsgi.errors"].write("begun %s\n" % argument)
        time.sleep(float(argument))
    elif path == "exit":
        sys.stdout.flush()
        os._exit(int(argument))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
