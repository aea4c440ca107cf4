"""Starts a command as systemd would: OPTIONS (JSON) COMMAND…

`sockets`: listening sockets that it inherits from descriptor 3 on, each a name and an address (`tcp`, `udp` or a path).
`notify`: a NOTIFY_SOCKET (`path` or `abstract`) whose messages are printed, each as a line `NOTIFY` and the JSON of its text.
`watchdog`: WATCHDOG_USEC. The command keeps this process's number, as one that systemd starts does.
"""

import json
import os
import socket
import sys
import tempfile

options = json.loads(sys.argv[1])


def listen(address: str) -> socket.socket:
    if address.startswith("/"):
        opened = socket.socket(socket.AF_UNIX)
        opened.bind(address)
    else:
        kind = socket.SOCK_STREAM if address == "tcp" else socket.SOCK_DGRAM
        opened = socket.socket(socket.AF_INET, kind)
        opened.bind(("127.0.0.1", 0))
    if opened.type == socket.SOCK_STREAM:
        opened.listen(128)
    return opened


def print_messages(messages: socket.socket, parent: int) -> None:
    messages.settimeout(0.1)
    while os.getppid() == parent:
        try:
            text = messages.recv(4096).decode()
        except socket.timeout:
            continue
        os.write(1, ("NOTIFY %s\n" % json.dumps(text)).encode())
    os._exit(0)


if "notify" in options:
    name = os.path.join(tempfile.mkdtemp(), "notify")
    inside, outside = (name, name) if options["notify"] == "path" else ("\0" + name, "@" + name)
    messages = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    messages.bind(inside)
    os.environ["NOTIFY_SOCKET"] = outside
    parent = os.getpid()
    if os.fork() == 0:
        print_messages(messages, parent)
    messages.close()
if "watchdog" in options:
    os.environ.update(WATCHDOG_USEC=str(options["watchdog"]), WATCHDOG_PID=str(os.getpid()))
opened = [listen(address) for _, address in options.get("sockets", [])]
# Far away first, so that none is overwritten.
moved = [os.dup(each.fileno() + 0) for each in opened]
high = [os.dup2(number, 100 + at, inheritable=True) for at, number in enumerate(moved)]
for at, number in enumerate(high):
    os.dup2(number, 3 + at, inheritable=True)
    os.close(number)
if opened:
    names = ":".join(name for name, _ in options["sockets"])
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(opened)), LISTEN_FDNAMES=names)
os.execv(sys.argv[2], sys.argv[2:])
