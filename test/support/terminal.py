"""Runs a command in a terminal of its own: what is written to stdin is typed there, a ^C sends SIGINT to all
that run in it. Ends with the command's exit status, or 128 and the signal's number."""

import os
import pty
import sys

status = pty.spawn(sys.argv[1:])
sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
