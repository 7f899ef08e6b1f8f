"""The benchmark's parts over latencies and numbers in flight; see run.

IDENTIFICATION
    test/bench/grid.py
"""

import contextlib
import os
import statistics
import subprocess
import threading
import time

from apparatus import (DATABASE, STEP_TIMEOUT, TOKEN, Failure, Session,
                       anonymous_bytes, expect, note)
from outbox import (WORKERS, OutboxBench, Sampler, WorkersCpu,
                    is_preloaded)

CALL_PARTS = "no"
OUTBOX_PART = "p"
PARTS = CALL_PARTS + OUTBOX_PART

# Of the create: CPU where nothing is waited for, wall time where most is
MAX_CPU_RATIO = 2
MAX_WALL_RATIO = 1.05
CPU_LATENCY_MS = 0
WALL_LATENCY_MS = 100

# Calls of each session.  Without latency a call takes some 0.1 ms, and what a
# session costs at its start must not count.
CALLS = {0: 10000}
CALLS_QUICK = {0: 1000}
CALL_SECONDS = 5
CALL_SECONDS_QUICK = 1

OUTBOX_ROWS = 100000
OUTBOX_ROWS_QUICK = 20000
OUTBOX_BATCH_SIZE = 2000

# How exactly it is known when the outbox is empty, in seconds
POLL_INTERVAL = 0.01
MEMORY_INTERVAL = 0.05

SINGLE = """SELECT count(*) FILTER (WHERE r.ok)
FROM generate_series({first}, {last}) i,
LATERAL hs_assoc_create_default('contacts', i, 'companies', 100000 + i) r"""

# Seconds that a million rows take beside the latency, and what comes before
# and after a measurement: only for the estimate
JOB_SECONDS = {"create": 1.5, "read": 3, "archive": 3}
SETTLE_SECONDS = {"n": 0.2, "o": 0.2, "p": 3}


def cells(options):
    return [(latency_ms, concurrency) for latency_ms in options.latency
            for concurrency in options.concurrency]


def single_calls(options, latency_ms):
    """Calls of each session."""
    known = CALLS_QUICK if options.quick else CALLS
    seconds = CALL_SECONDS_QUICK if options.quick else CALL_SECONDS
    return known.get(latency_ms) or max(1, round(seconds * 1000 / latency_ms))


def outbox_rows(options):
    return OUTBOX_ROWS_QUICK if options.quick else OUTBOX_ROWS


def note_estimate(bench, part):
    """Say what a part will take, if it is one of these."""
    options = bench.options
    seconds = 0
    for latency_ms, concurrency in cells(options):
        if part == "n":
            seconds += sum(
                job.requests / concurrency * latency_ms / 1000 +
                JOB_SECONDS[name] * bench.rows / 1e6 + SETTLE_SECONDS[part]
                for name, job in bench.jobs.items())
        elif part == "o":
            calls = single_calls(options, latency_ms)
            seconds += calls * (latency_ms / 1000 + 2e-4 * concurrency) + \
                SETTLE_SECONDS[part]
        elif part == "p":
            rows = outbox_rows(options)
            seconds += rows / OUTBOX_BATCH_SIZE / concurrency * \
                latency_ms / 1000 + 1 + SETTLE_SECONDS[part]
    if seconds:
        minutes = seconds * len(bench.programs()) * options.repeat / 60
        note(f"part {part} will take about {minutes:.1f} minutes: latencies "
             f"{options.latency} ms, {options.concurrency} in flight, "
             f"{options.repeat} times each")


def ratios(extension, bare, name):
    return [e[name] / b[name] for e, b in zip(extension, bare)]


def median(figures, name):
    return statistics.median(f[name] for f in figures)


def with_spread(figures):
    """The median, the least and the most."""
    return (f"{statistics.median(figures):.2f} "
            f"({min(figures):.2f}–{max(figures):.2f})")


class Table:
    """A line for each cell: the extension's figures beside the bare one's."""

    def __init__(self, report, heads, unit, with_bare_only):
        self.report = report
        self.bare_only = with_bare_only
        self.rows = []
        theirs = [f"bare, {unit}/s", "bare, s", "bare, CPU s"]
        self.columns = heads + (theirs if with_bare_only else [
            f"{unit}/s", theirs[0], "s", theirs[1], "ratio",
            "CPU s", theirs[2], "CPU ratio", "simulator, CPU s", "MB"])

    def add(self, heads, count, extension, bare):
        def rate(figures):
            return f"{count / median(figures, 'wall'):,.0f}"

        def pair(name):
            return [f"{median(extension, name):.2f}",
                    f"{median(bare, name):.2f}",
                    with_spread(ratios(extension, bare, name))]

        heads = [str(head) for head in heads]
        if self.bare_only:
            self.rows.append(heads + [rate(bare)] + [
                f"{median(bare, name):.2f}" for name in ("wall", "cpu")])
            return
        self.rows.append(
            heads + [rate(extension), rate(bare)] + pair("wall") +
            pair("cpu") + [
                f"{median(extension, 'simulator_cpu'):.2f}",
                f"{median(extension, 'peak') / 2**20:.1f}"])

    def print(self):
        self.report.table(self.columns, self.rows)


# The main job, and single calls

def run_calls(part, bench):
    {"n": main_job, "o": single_sessions}[part](bench)


def main_job(bench):
    """Rows created, read, archived: part n."""
    report = bench.report
    prepare_main_job(bench)
    for latency_ms, concurrency in cells(bench.options):
        bench.set_concurrency(concurrency)
        for operation in bench.jobs:
            cell = {"operation": operation, "latency_ms": latency_ms,
                    "concurrency": concurrency}
            for part in "ab":       # the same was measured there
                for figures in report.kept(part, **cell):
                    report.keep("n", figures)
            while len(report.kept("n", **cell)) < \
                    bench.options.repeat * len(bench.programs()):
                for which in bench.programs():
                    report.keep("n", bench.batch(which, concurrency,
                                                 latency_ms, operation))
    report_main_job(bench)


def prepare_main_job(bench):
    """What is to be read and archived, and each request seen once."""
    bench.simulator.start_over()
    with Session() as session:
        bench.make_pairs(session)
    note(f"making {bench.rows} associations in the simulator")
    # those of the table links; what is to be archived need not be there
    bench.simulator.associate(100000001, bench.rows, 1, 50000)
    bench.set_concurrency(max(bench.options.concurrency))
    for operation in bench.jobs:
        for which in bench.programs():
            bench.batch(which, max(bench.options.concurrency), 0, operation)


def report_main_job(bench):
    report = bench.report
    report.heading(f"n. The main job: {bench.rows:,} rows; medians of "
                   f"{bench.options.repeat}, ratios with the least and the "
                   "most")
    report.text("Requests: " + ", ".join(
        f"{name} {job.requests:,} of {job.batch_size:,} inputs"
        for name, job in bench.jobs.items()) + ". CPU: of the backend; of "
        "the bare program and its server process. What a and b measured "
        "is not measured again.")
    table = Table(report, ["", "latency, ms", "in flight"], "rows",
                  bench.options.bare)
    bars = []
    for operation in bench.jobs:
        for latency_ms, concurrency in cells(bench.options):
            cell = {"operation": operation, "latency_ms": latency_ms,
                    "concurrency": concurrency}
            extension = report.kept("n", which="extension", **cell)
            bare = report.kept("n", which="bare", **cell)
            table.add((operation, latency_ms, concurrency), bench.rows,
                      extension, bare)
            if operation == "create" and extension:
                bars.append((latency_ms, concurrency, extension, bare))
    table.print()
    for latency_ms, concurrency, extension, bare in bars:
        for name, at, limit in (("cpu", CPU_LATENCY_MS, MAX_CPU_RATIO),
                                ("wall", WALL_LATENCY_MS, MAX_WALL_RATIO)):
            if latency_ms == at:
                report.line(f"create, {latency_ms} ms, {concurrency} in "
                            f"flight, {name} ratio",
                            ratios(extension, bare, name), "{:.3f}",
                            limit=limit)


def single_sessions(bench):
    """Single calls, one after the other in each session: part o."""
    report = bench.report
    bench.simulator.start_over()
    for latency_ms, sessions in cells(bench.options):
        calls = single_calls(bench.options, latency_ms)
        for _ in range(bench.options.repeat):
            for which in bench.programs():
                report.keep("o", single_calls_of(bench, which, sessions,
                                                 calls, latency_ms))

    report.heading("o. Single calls, one at a time in each session; medians "
                   f"of {bench.options.repeat}")
    table = Table(report, ["calls", "latency, ms", "sessions"], "calls",
                  bench.options.bare)
    for latency_ms, sessions in cells(bench.options):
        count = single_calls(bench.options, latency_ms) * sessions
        table.add((f"{count:,}", latency_ms, sessions), count, *(
            report.kept("o", which=which, latency_ms=latency_ms,
                        sessions=sessions) for which in ("extension", "bare")))
    table.print()


def single_calls_of(bench, which, sessions, calls, latency_ms):
    """So many calls in each of so many sessions, or bare programs."""
    note(f"{calls} single calls in {sessions} sessions, {which}, "
         f"{latency_ms} ms")
    bench.simulator.go_on(latency_ms=latency_ms)
    cpu = bench.simulator.cpu()
    run = bare_calls if which == "bare" else extension_calls
    figures = run(bench, [(1 + i * calls, calls) for i in range(sessions)])
    figures["simulator_cpu"] = bench.simulator.cpu() - cpu
    counts = bench.simulator.counts()
    expect("requests that the simulator received", counts["requests"],
           sessions * calls)
    expect("connections", counts["connections"], sessions)
    bench.check_digest(f"{calls} single calls in {sessions} sessions")
    figures.update(which=which, latency_ms=latency_ms, sessions=sessions)
    return figures


def bare_calls(bench, ranges):
    program = os.path.join(bench.folder, "bare_single")
    processes = [subprocess.Popen(
        [program, "-u", bench.simulator.url, "-t", TOKEN, "-s", str(first),
         "-n", str(calls)], stdout=subprocess.PIPE, text=True)
        for first, calls in ranges]
    try:
        printed = [process.communicate(timeout=STEP_TIMEOUT)[0]
                   for process in processes]
    except subprocess.TimeoutExpired:
        raise Failure(f"took more than {STEP_TIMEOUT} s: bare_single")
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
    expect("failed bare programs",
           sum(process.returncode != 0 for process in processes), 0)
    figures = [bench.figures_of(line) for line in printed]
    return {"wall": max(f["wall"] for f in figures),
            "cpu": sum(f["client_cpu"] for f in figures)}


def extension_calls(bench, ranges):
    figures = []
    failures = []

    def call(first, calls):
        try:
            figures.append(bench.extension(SINGLE.format(
                first=first, last=first + calls - 1), barrier))
        except Failure as failure:
            failures.append(failure)
            barrier.abort()
        except threading.BrokenBarrierError:
            pass

    # so that the time for connecting doesn't count
    barrier = threading.Barrier(len(ranges))
    threads = [threading.Thread(target=call, args=ends) for ends in ranges]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    expect("calls confirmed", sum(f["confirmed"] for f in figures),
           sum(calls for _, calls in ranges))
    return {"wall": max(f["wall"] for f in figures),
            "cpu": sum(f["cpu"] for f in figures),
            "peak": max(f["peak"] for f in figures)}


# The outbox

def run_outbox(bench):
    if not is_preloaded(OUTBOX_PART):
        return
    with contextlib.ExitStack() as stack:
        OutboxGrid(bench, stack).run()


class OutboxGrid(OutboxBench):
    """Part p: rows that one statement inserts into a table in sync."""

    def __init__(self, bench, stack):
        super().__init__(bench.options, bench.report, stack, "--discard")
        self.bench = bench
        self.rows = outbox_rows(bench.options)
        self.session.run("""
            ALTER SERVER hubspot OPTIONS (ADD rate_limit '0',
                                          ADD concurrency '4');
            CREATE TABLE source (from_id bigint, to_id bigint)""")
        self.sources = 0
        self.create_table()

    def run(self):
        report = self.report
        for latency_ms, concurrency in cells(self.options):
            self.session.run("ALTER SERVER hubspot OPTIONS "
                             f"(SET concurrency '{concurrency}')")
            for _ in range(self.options.repeat):
                self.renew_source()
                for which in ("extension", "bare"):
                    report.keep("p", self.measure(which, latency_ms,
                                                  concurrency))

        report.heading(f"p. The outbox: {self.rows:,} rows inserted by one "
                       "statement, from its commit until all are sent and "
                       f"settled; medians of {self.options.repeat}")
        report.text("CPU: of the workers; of the bare program and its server "
                    "process, which reads the rows from a table.")
        table = Table(report, ["", "latency, ms", "in flight"], "rows", False)
        for latency_ms, concurrency in cells(self.options):
            table.add(("outbox", latency_ms, concurrency), self.rows, *(
                report.kept("p", which=which, latency_ms=latency_ms,
                            concurrency=concurrency)
                for which in ("extension", "bare")))
        table.print()

    def renew_source(self):
        """Pairs that come again and again would be sent less and less often."""
        self.sources += 1
        self.session.run(f"""
            TRUNCATE source;
            INSERT INTO source
            SELECT 100000000 + {self.rows * self.sources} + i,
                   9000000000 + i % 50000
            FROM generate_series(1, {self.rows}) i;
            VACUUM (ANALYZE, FREEZE) source""")

    def measure(self, which, latency_ms, concurrency):
        note(f"{self.rows} rows of the outbox, {which}, "
             f"{concurrency} in flight, {latency_ms} ms")
        self.start_over("link")
        self.simulator.go_on(latency_ms=latency_ms)
        cpu = self.simulator.cpu()
        if which == "bare":
            figures = self.bench.bare(
                "bare_batch", "-d", f"dbname={DATABASE}", "-o", "default",
                "-f", "source", "-c", str(concurrency),
                url=self.simulator.url)
            figures["cpu"] = figures["client_cpu"] + figures["server_cpu"]
        else:
            figures = self.drain()
        figures["simulator_cpu"] = self.simulator.cpu() - cpu
        counts = self.simulator.counts()
        expect("inputs that the simulator received", counts["inputs"],
               self.rows)
        if counts["max_in_flight"] > concurrency:
            raise Failure(f"{counts['max_in_flight']} requests were in "
                          f"flight, at most {concurrency} may be")
        self.bench.check_digest(f"outbox, {self.sources}", self.simulator)
        figures.update(which=which, latency_ms=latency_ms,
                       concurrency=concurrency, simulator=counts)
        return figures

    def drain(self):
        workers = WorkersCpu(self.session)
        memory = WorkersMemory()
        try:
            self.session.run("INSERT INTO link SELECT * FROM source")
            started = time.monotonic()
            # asking the simulator costs less than asking the outbox
            self.wait("not all rows were sent",
                      lambda: self.simulator.counts()["inputs"] >= self.rows,
                      POLL_INTERVAL)
            self.wait("the outbox is not empty", lambda: self.waiting() == 0,
                      POLL_INTERVAL)
            wall = time.monotonic() - started
        finally:
            memory.end()
            cpu = workers.stop()
        self.check_dead_letters()
        return {"wall": wall, "peak": memory.peak, "cpu": cpu}


class WorkersMemory(Sampler):
    """The most memory that a worker has."""

    def __init__(self):
        self.peak = 0
        super().__init__(WORKERS, MEMORY_INTERVAL)

    def take(self, moment, lines):
        for pid in lines:
            # it may have ended
            with contextlib.suppress(OSError):
                self.peak = max(self.peak, anonymous_bytes(int(pid)))
