"""What the benchmark works with: psql sessions, the simulator, the report.

IDENTIFICATION
    test/bench/apparatus.py
"""

import contextlib
import http.client
import json
import os
import select
import statistics
import subprocess
import sys
import tempfile
import textwrap
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SIMULATOR = os.path.join(HERE, os.pardir, "simulator")
PG_CONFIG = os.environ.get("PG_CONFIG", "pg_config")

DATABASE = "hubspot_assoc_bench"
TOKEN = "pat-na1-benchmark"

# No single step takes longer, or the benchmark gives up
STEP_TIMEOUT = 600

# Between two samples of a backend's memory
SAMPLE_INTERVAL = 0.01


class Failure(Exception):
    """What makes the whole benchmark worthless, such as a wrong count."""


def expect(what, got, wanted):
    if got != wanted:
        raise Failure(f"{what}: {got}, expected {wanted}")


def note(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def output_of(*command):
    """Run a command to its end; returns what it printed."""
    try:
        return subprocess.run(command, check=True, stdout=subprocess.PIPE,
                              text=True, timeout=STEP_TIMEOUT).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        raise Failure(str(error))


def cpu_seconds(pid):
    """CPU time of a process with all of its threads, also those that ended."""
    # what clock_getcpuclockid() makes of a pid
    return time.clock_gettime((~pid << 3) | 2)


def private_bytes(pid):
    """Memory that is a process's own.

    Without shared mappings: pages of shared_buffers that no other process
    has touched yet would count, too.
    """
    total = 0
    shared = False
    with open(f"/proc/{pid}/smaps") as smaps:
        for line in smaps:
            name, value = line.split(maxsplit=1)
            if not name.endswith(":"):
                shared = value[3] == "s"
            elif name.startswith("Private_") and not shared:
                total += int(value.split()[0]) * 1024
    return total


PAGE = os.sysconf("SC_PAGE_SIZE")


def anonymous_bytes(pid):
    """Memory of a process that is neither a file's nor shared.

    Much cheaper to look at than private_bytes(), for the process, too.
    """
    with open(f"/proc/{pid}/statm") as statm:
        resident, shared = map(int, statm.read().split()[1:3])
    return (resident - shared) * PAGE


class Simulator:
    """The simulator, as a process that ends with this one."""

    def __init__(self, *options):
        self.process = subprocess.Popen(
            [sys.executable, SIMULATOR, "--token", TOKEN, *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        try:
            ports = dict(word.split("=") for word in line.split())
            self.url = f"http://127.0.0.1:{int(ports['port'])}"
            self.control_port = int(ports["control"])
        except (KeyError, ValueError):
            self.stop()
            raise Failure(f"the simulator did not start: {line!r}")

    def control(self, method, path, body=None):
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.control_port, timeout=60)
        try:
            connection.request(method, path,
                               None if body is None else json.dumps(body),
                               {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        if response.status // 100 != 2:
            raise Failure(f"the simulator's control port answered "
                          f"{response.status} to {method} {path}: {text!r}")
        return json.loads(text) if text else None

    def start_over(self, **settings):
        """Forget everything, then apply settings."""
        self.control("POST", "/reset")
        self.go_on(**settings)

    def go_on(self, **settings):
        """Apply settings, and count from now on."""
        self.control("POST", "/settings", settings)
        self.control("DELETE", "/stats")
        self.at_start = self.control("GET", "/stats")

    def associate(self, first_from, count, each, companies):
        """Give contacts associations, each the same number, to companies."""
        self.control("POST", "/associations", {
            "from_type": "contacts", "to_type": "companies",
            "generate": {"first_from": first_from, "count": count,
                         "per_from": each, "first_to": 9000000000,
                         "to_count": companies}})

    def association_count(self):
        return self.control("GET", "/associations/count?from_type=contacts"
                            "&to_type=companies")["count"]

    def counts(self):
        """What it has counted since start_over() or go_on()."""
        now = self.control("GET", "/stats")
        return {"connections": (now["connections_accepted"] -
                                self.at_start["connections_accepted"]),
                "requests": now["requests"], "inputs": now["inputs"],
                "max_in_flight": now["max_in_flight"],
                "digest": now.get("digest")}

    def cpu(self):
        return cpu_seconds(self.process.pid)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Session:
    """One psql, and hence one backend."""

    def __init__(self, database=DATABASE):
        bindir = output_of(PG_CONFIG, "--bindir")
        psql = os.path.join(bindir, "psql")
        environment = dict(os.environ)
        environment["PGOPTIONS"] = (os.environ.get("PGOPTIONS", "") +
                                    " -c client_min_messages=warning"
                                    " -c work_mem=4MB")
        self.errors = tempfile.TemporaryFile()
        self.psql = subprocess.Popen(
            [psql if os.path.exists(psql) else "psql", "-XAtq",
             "-v", "ON_ERROR_STOP=1", "-d", database],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.errors, env=environment)
        self.pid = int(self.value("SELECT pg_backend_pid()"))

    def run(self, sql):
        """Run statements; returns what psql printed."""
        # what psql ended of stands in the file of its errors
        with contextlib.suppress(BrokenPipeError):
            self.psql.stdin.write(f"{sql};\n\\echo --done--\n".encode())
            self.psql.stdin.flush()
        printed = b""
        deadline = time.monotonic() + STEP_TIMEOUT
        while not printed.endswith(b"--done--\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.psql.stdout], [], [],
                                              left)[0]:
                raise Failure(f"took more than {STEP_TIMEOUT} s: {sql}")
            chunk = os.read(self.psql.stdout.fileno(), 65536)
            if not chunk:
                self.errors.seek(0)
                raise Failure(self.errors.read().decode(errors="replace"))
            printed += chunk
        return printed[:-len(b"--done--\n")].decode()

    def value(self, sql):
        return self.run(sql).strip()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        with contextlib.suppress(BrokenPipeError):
            self.psql.stdin.close()
        try:
            self.psql.wait(5)
        except subprocess.TimeoutExpired:
            # DROP DATABASE ends its backend
            self.psql.kill()
            self.psql.wait()
        self.psql.stdout.close()
        self.errors.close()


class MemoryPeak(threading.Thread):
    """Samples a process's memory until it is stopped."""

    def __init__(self, pid, measure=private_bytes):
        super().__init__(daemon=True)
        self.pid = pid
        self.measure = measure
        self.before = self.peak = measure(pid)
        self.samples = 0
        self.stopped = threading.Event()
        self.start()

    def run(self):
        while not self.stopped.wait(SAMPLE_INTERVAL):
            self.peak = max(self.peak, self.measure(self.pid))
            self.samples += 1

    def stop(self):
        self.stopped.set()
        self.join()


class Report:
    """The table that is printed, and the raw figures."""

    def __init__(self):
        self.lines = []
        self.missed = 0
        self.raw = {}

    def machine(self, text):
        self.lines.append(text)

    def heading(self, text):
        self.lines.append("")
        self.lines.append(text)

    def text(self, text):
        self.lines += textwrap.wrap(text, 80, initial_indent="  ",
                                    subsequent_indent="  ")

    def table(self, columns, rows):
        """A table in Markdown, numbers to the right."""
        widths, aligned, ruled = [], [], []
        for name, *cells in zip(columns, *rows):
            numeric = all(cell[:1].isdigit() for cell in cells)
            widths.append(max(map(len, [name, *cells])))
            aligned.append(str.rjust if numeric else str.ljust)
            ruled.append("-" * (widths[-1] - 1) + (":" if numeric else "-"))
        for row in (columns, ruled, *rows):
            self.lines.append("| " + " | ".join(
                align(cell, width) for align, cell, width in
                zip(aligned, row, widths)) + " |")

    def line(self, what, figures, pattern="{:.2f}", limit=None, least=False):
        """A line with the median of figures, and whether it meets its bar."""
        median = statistics.median(figures)
        text = f"  {what:<58}{pattern.format(median):>10}"
        if min(figures) != max(figures):
            spread = f"{pattern} to {pattern}".format(min(figures),
                                                      max(figures))
        else:
            spread = ""
        text += f"  {spread:<22}"
        if limit is not None:
            met = median >= limit if least else median <= limit
            text += (f"{'at least' if least else 'at most'} {limit:<6}"
                     f"{'pass' if met else 'MISSED'}")
            self.missed += not met
        self.lines.append(text.rstrip())

    def keep(self, part, figures):
        self.raw.setdefault(part, []).append(figures)

    def kept(self, part, **wanted):
        return [figures for figures in self.raw.get(part, ())
                if all(figures[name] == wanted[name] for name in wanted)]
