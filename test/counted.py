"""
counted: runs a command that ends with the line "N passed, N failed[, N skipped]"

For test/all and test/matrix, which add up what others counted.
"""

import os
import re
import signal
import subprocess
import sys
import time


class Count:
    """What a command counted, how it ended and how long it took."""

    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed, self.failed, self.skipped = passed, failed, skipped
        self.status = 0
        self.seconds = 0.0
        self.words = ""             # the last line but the sum: why it was skipped

    def __add__(self, other):
        return Count(self.passed + other.passed, self.failed + other.failed,
                     self.skipped + other.skipped)

    def __str__(self):
        return (f"{self.passed} passed, {self.failed} failed"
                + (f", {self.skipped} skipped" if self.skipped else ""))

    def exit_code(self):
        """0 only if nothing failed and something ran; 77: all was skipped."""
        return 1 if self.failed or not self.passed + self.skipped else \
            0 if self.passed else 77


def roots():
    """Where the roots of test/root are kept."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.abspath(os.environ.get("TEST_ROOTS") or f"{cache}/hubspot_assoc")


def die_of_signals():
    """Signals end us as an error does, so that what runs is ended, too."""
    def end(number, _):
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)


def run(command, prefix="", **options):
    """
    Shows what a command prints, each line with the prefix, and counts. It runs
    in a process group of its own, which is ended if we end before it.
    A command that doesn't say what it counted, or whose exit code says
    otherwise, has failed once more.
    """
    count = Count()
    counted = False
    status = 0
    start = time.monotonic()
    # in make's own words, which are looked for
    options["env"] = {**(options.get("env") or os.environ), "LANGUAGE": "C"}
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace",
        start_new_session=True, **options)
    try:
        for line in process.stdout:
            make_says = re.match(r"make(?:\[\d+\])?: \*\*\* .*Error (\d+)$", line)
            if make_says:           # of the exit code that it hides with its own
                status = int(make_says[1])
                continue
            print(prefix + line, end="", flush=True)
            sum_line = re.fullmatch(r"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\n?", line)
            if sum_line:
                count.passed, count.failed, count.skipped = (int(n or 0) for n in sum_line.groups())
            elif line.strip():
                count.words = line.strip()
            counted = bool(sum_line)
        count.status = process.wait() and (status or process.returncode)
    finally:
        end(process)
    count.seconds = time.monotonic() - start

    if not counted:
        complaint = "its last line is not \"N passed, N failed\""
    elif count.status not in (0, 77) and not count.failed:
        complaint = "nothing failed, it says"
    elif count.status in (0, 77) and count.failed:
        complaint = "something failed, it says"
    elif count.status == 0 and not count.passed:
        complaint = "it ran nothing"
    elif count.status == 77 and not count.skipped:
        complaint = "it skipped nothing"
    else:
        return count
    print(f"{prefix}exit code {count.status}, and {complaint}", flush=True)
    count.failed += 1
    return count


def output(command):
    """Runs a command that counts nothing; its exit code and what it prints."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
    try:
        printed, _ = process.communicate()
    finally:
        end(process)
    return process.returncode, printed


def end(process):
    """Ends what is left of a process group; a minute to clean up."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
