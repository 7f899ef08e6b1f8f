"""
type: types into a program on a terminal, and shows what is there to be seen

Usage: python3 test/try/type.py TIMEOUT COMMAND [ARGUMENT]... <STEPS

Each line of STEPS is a JSON array: a regular expression that is waited for, and
what is typed then, if anything. The terminal is the program's controlling one. Prints
all of what the program has written. The exit code is the program's; 124: what was
waited for did not come in so many seconds, or the program did not end.
"""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time


def main():
    seconds, command = float(sys.argv[1]), sys.argv[2:]
    steps = [json.loads(line) for line in sys.stdin if line.strip()]
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "dumb"
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
    seen = ""
    for pattern, typed in steps + [(None, "")]:
        deadline = time.monotonic() + seconds
        while pattern is None or not re.search(pattern, seen):
            if time.monotonic() > deadline:
                print(f"\ntype: not seen: {pattern or 'the end'}", flush=True)
                os.kill(pid, signal.SIGHUP)
                return 124
            text = read(terminal)
            if text is None:
                break
            sys.stdout.write(text)
            seen += text
        if pattern is None or not re.search(pattern, seen):
            break
        seen = seen[re.search(pattern, seen).end():]
        os.write(terminal, typed.encode())
    sys.stdout.flush()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def read(terminal):
    """What has come within a second, maybe nothing; None: the program has ended."""
    if not select.select([terminal], [], [], 1)[0]:
        return ""
    try:
        return os.read(terminal, 65536).decode(errors="replace") or None
    except OSError:
        return None


sys.exit(main())
