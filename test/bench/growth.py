"""The benchmark's parts on how costs grow; see run.

With the rows that wait and those that are gone but still there, with
accounts, lanes, refusals and writers.  A lane is what can go in one request:
rows of the same operation and object types.  Nothing limits the rate, but in
parts t and x.

IDENTIFICATION
    test/bench/growth.py
"""

import contextlib
import statistics
import time

from apparatus import Failure, Session, expect, note
from outbox import (INSERT_ONE, YARDSTICK, OutboxBench, SimulatorClock,
                    WorkersCpu, is_preloaded)

PARTS = "qrstuvwxz"

HELP = """\
and how costs grow with rows, accounts, lanes, refusals and writers, which
needs the library in shared_preload_libraries; with --full in the sizes that
are given, else in smaller ones, a part in about half a minute:

  q  1,000,000 rows that wait, sent without latency: rows a second, and CPU of
     the workers
  r  3,000,000 of them, while a transaction holds an old snapshot, so that the
     rows that are gone stay in the table: the time for each tenth, to 100,000,
     beside that without the snapshot
  s  a commit of one row over 1,000,000 rows that are gone so: the time until
     the simulator has it, and CPU of the workers; beside an empty table
  t  500 accounts with a row each, 20 ms latency: from the commit until all are
     sent; 50 commits a second over all of them: the time from each commit
     until it is sent
  u  500,000 rows that archive, each of another record: CPU of the workers,
     and WAL until all are settled
  v  500,000 rows that go in turn into 10 lanes, and into 100: CPU of the
     workers
  w  500,000 rows, of which 10 %, or all, are refused by an answer that names
     their records: CPU of the workers
  x  single-row inserts of 10 clients into a table in sync, durable if fsync
     is on, beside those with a trigger of the same kind that writes to a
     plain table; WAL of an insert while nothing is sent
  z  20,000 rows (a,b), (b,a) in turn: requests, with keep_labels and without
"""

LABEL = "Benchmark"
FIRST_ID = 1000000000
TO_IDS = "9000000000 + i % 50000"
POLL_INTERVAL = 0.01
SLOW_POLL_INTERVAL = 0.5

# Rows with --quick, by default and with --full
ROWS = {"q": (20000, 200000, 1000000), "r": (50000, 300000, 3000000),
        "s": (20000, 200000, 1000000), "t": (50, 500, 500),
        "u": (10000, 100000, 500000), "v": (10000, 100000, 500000),
        "w": (10000, 100000, 500000), "z": (200, 20000, 20000)}

MIN_ROWS_PER_SECOND = 80000
MAX_ROW_US = 12

STEP_ROWS = 100000
MAX_STEP_RATIO = 1.3
# Where costs grow with the square of the rows, more time would not help
STEPS_SECONDS = 300

# Commits of part s, and the bars of each
COMMITS = 20
COMMIT_INTERVAL = 0.1
MAX_COMMIT_MS = 20
MAX_COMMIT_CPU_MS = 20

ACCOUNTS_LATENCY_MS = 20
MAX_ACCOUNTS_SECONDS = 1.5
COMMITS_PER_SECOND = 50
MAX_DELAY_MS = 300
MEASURED_SECONDS = (2, 5, 30)

MAX_ARCHIVE_US = 18
MAX_ARCHIVE_WAL = 200

MAX_LANES_US = {10: 16, 100: 25}
MAX_REFUSED_US = {10: 16, 100: 30}

CLIENTS = 10
MIN_THROUGHPUT = 85
MAX_INSERT_WAL = 400

# A request reads 1,000 records, and creates 2,000 pairs: to read one record
# for each pair takes twice as many requests as to create
MAX_KEEP_RATIO = 3

# What goes into a lane, by its number
TEN_LANES = """(VALUES
    (0, 'create_default', 'contacts', 'companies', NULL::int[]),
    (1, 'create', 'contacts', 'companies', '{279}'),
    (2, 'create_default', 'deals', 'companies', NULL),
    (3, 'create', 'deals', 'companies', '{341}'),
    (4, 'create_default', 'tickets', 'companies', NULL),
    (5, 'create', 'tickets', 'companies', '{339}'),
    (6, 'create_default', 'deals', 'contacts', NULL),
    (7, 'create', 'deals', 'contacts', '{3}'),
    (8, 'create_default', 'tickets', 'contacts', NULL),
    (9, 'create', 'tickets', 'contacts', '{16}'))"""
HUNDRED_LANES = """(SELECT n, 'create_default', '2-' || 1000 + n / 10,
    '2-' || 2000 + n % 10, NULL::int[] FROM generate_series(0, 99) n)"""
LANES = {10: TEN_LANES, 100: HUNDRED_LANES}

IN_TURN = """SELECT CASE side WHEN 0 THEN a ELSE b END AS from_id,
    CASE side WHEN 0 THEN b ELSE a END AS to_id, {type_id} AS type_id,
    ''USER_DEFINED'' AS category
FROM (SELECT {first} + 2 * i AS a, {first} + 2 * i + 1 AS b, side
    FROM generate_series(1, {pairs}) i, generate_series(0, 1) side
    ORDER BY i, side) AS pairs"""


def run(parts, bench):
    if not is_preloaded(parts):
        return
    for part in parts:
        with contextlib.ExitStack() as stack:
            growth = GrowthBench(bench, stack, part)
            getattr(growth, "part_" + part)()


def by_size(options, sizes):
    """One of three, by --quick and --full."""
    return sizes[0 if options.quick else 2 if options.full else 1]


class GrowthBench(OutboxBench):
    """A part: rows are made while their server is paused, and then sent."""

    def __init__(self, bench, stack, part):
        options = ["--discard"]
        if part == "t":
            options += ["--latency", str(ACCOUNTS_LATENCY_MS)]
        super().__init__(bench.options, bench.report, stack, *options)
        self.stack = stack
        self.rows = by_size(bench.options, ROWS[part]) if part in ROWS else 0
        self.next_id = FIRST_ID
        if part not in "tx":
            self.session.run("ALTER SERVER hubspot OPTIONS "
                             "(ADD rate_limit '0')")

    def renew(self, **settings):
        """Nothing waits or is kept, and the server is paused."""
        self.session.run("""
            SELECT hs_assoc_pause('hubspot');
            TRUNCATE hs_assoc_outbox, hs_assoc_dead_letter;
            CHECKPOINT""")
        self.simulator.start_over(latency_ms=0, **settings)

    def ids(self, count):
        """The first of so many ids that were not used before."""
        first = self.next_id
        self.next_id += count
        return first

    def enqueue(self, count, operation="create_default"):
        first = self.ids(count)
        note(f"{count} rows, {operation}")
        expect("rows enqueued", int(self.session.value(f"""
            SELECT hs_assoc_enqueue('{operation}', 'contacts', 'companies',
                'SELECT i AS from_id, {TO_IDS} AS to_id
                FROM generate_series({first}, {first + count - 1}) i')""")),
            count)
        return first

    def hold_snapshot(self):
        """A session whose transaction sees all that is there from now on."""
        session = self.stack.enter_context(Session())
        session.run("BEGIN ISOLATION LEVEL REPEATABLE READ; "
                    "SELECT count(*) FROM pg_class")
        return session

    def wal(self):
        return int(self.session.value(
            "SELECT pg_current_wal_insert_lsn() - '0/0'"))

    def is_empty(self):
        return self.session.value(
            "SELECT EXISTS (SELECT FROM hs_assoc_outbox)") == "f"

    def drain(self, rows, interval=POLL_INTERVAL, dead_letters=0,
              seconds=None):
        """Have all sent that waits, or with "seconds" what is sent in time.

        It is cheap to ask the simulator, and may not be to look into the
        outbox: that is done last, at the interval.
        """
        moments = [(0, 0)]
        workers = WorkersCpu(self.session)
        simulator = self.simulator.cpu()
        started = time.monotonic()

        def all_came():
            inputs = self.simulator.counts()["inputs"]
            moments.append((time.monotonic() - started, inputs))
            return inputs >= rows or seconds and moments[-1][0] > seconds

        self.session.run("SELECT hs_assoc_resume('hubspot')")
        self.wait("not all rows were sent", all_came, POLL_INTERVAL)
        simulator = self.simulator.cpu() - simulator
        came, sent = moments[-1]
        if sent < rows:
            self.session.run("SELECT hs_assoc_pause('hubspot')")
        else:
            self.wait("the outbox is not empty", self.is_empty, interval)
            expect("inputs that the simulator received", sent, rows)
        wall = time.monotonic() - started
        cpu = workers.stop()
        self.check_dead_letters(dead_letters)
        return {"rows": rows, "wall": wall, "moments": moments, "cpu": cpu,
                "simulator_cpu": simulator, "simulator_busy": simulator / came}

    def line_of_cpu(self, what, figures, limit):
        self.report.line(f"{what}, us of the workers' CPU a row",
                         [1e6 * f["cpu"] / f["rows"] for f in figures],
                         limit=limit)

    def line_of_simulator(self, figures):
        """Where it is near 100 %, wall times are the simulator's."""
        self.report.line("simulator, % of the time at work",
                         [100 * f["simulator_busy"] for f in figures],
                         "{:.0f}")

    # Rows that wait, and rows that are gone

    def part_q(self):
        for _ in range(self.options.repeat):
            self.renew()
            self.enqueue(self.rows)
            self.report.keep("q", self.drain(self.rows))
        figures = self.report.kept("q")
        self.report.heading(f"q. {self.rows:,} rows that wait, sent without "
                            "latency")
        self.report.line("rows per second",
                         [f["rows"] / f["wall"] for f in figures], "{:,.0f}",
                         limit=MIN_ROWS_PER_SECOND, least=True)
        self.line_of_cpu("sent", figures, MAX_ROW_US)
        self.line_of_simulator(figures)

    def part_r(self):
        report = self.report
        for _ in range(1 if self.options.full else self.options.repeat):
            for held in (False, True):
                figures = self.under_snapshot(held)
                figures["held"] = held
                report.keep("r", figures)

        step = self.steps()
        report.heading(f"r. {self.rows:,} rows that wait, sent while an old "
                       "snapshot is held")
        for held in (False, True):
            figures = report.kept("r", held=held)
            name = "with the snapshot" if held else "without it"
            report.text(f"s for each {step:,} rows, {name}: " + ", ".join(
                f"{statistics.median(times):.2f}" for times in
                zip(*(f["steps"] for f in figures))))
            report.line(f"rows sent in {STEPS_SECONDS} s at most, {name}",
                        [f["moments"][-1][1] for f in figures], "{:,.0f}",
                        limit=self.rows, least=True)
            self.line_of_simulator(figures)
        report.line(f"the last {step:,}, with the snapshot / without it",
                    [with_it["steps"][-1] / without["steps"][-1]
                     for without, with_it in zip(report.kept("r", held=False),
                                                 report.kept("r", held=True))],
                    limit=MAX_STEP_RATIO)

    def steps(self):
        return min(STEP_ROWS, self.rows // 10)

    def under_snapshot(self, held):
        self.renew()
        holder = self.hold_snapshot() if held else None
        self.enqueue(self.rows)
        figures = self.drain(self.rows, SLOW_POLL_INTERVAL,
                             seconds=STEPS_SECONDS)
        step = self.steps()
        sent = figures["moments"][-1][1]
        if sent < step:
            raise Failure(f"{sent} rows were sent in {STEPS_SECONDS} s")
        reached = [moment_of(figures["moments"], count)
                   for count in range(0, sent + 1, step)]
        figures["steps"] = [end - start
                            for start, end in zip(reached, reached[1:])]
        if holder:
            holder.run("COMMIT")
        return figures

    def part_s(self):
        report = self.report
        for _ in range(self.options.repeat):
            for over in (0, self.rows):
                self.renew()
                holder = self.hold_snapshot()
                self.enqueue(over or 1)
                self.drain(over or 1, SLOW_POLL_INTERVAL)
                for figures in self.single_commits():
                    report.keep("s", {"over": over, **figures})
                holder.run("COMMIT")
        report.heading(f"s. Commits of one row over {self.rows:,} rows that "
                       f"are gone, but kept by a snapshot; {COMMITS} each "
                       "time")
        for over in (0, self.rows):
            figures = report.kept("s", over=over)
            what = "" if over else "over none, "
            report.line(f"{what}from COMMIT until the simulator has it, ms",
                        [f["delay"] for f in figures], "{:.1f}",
                        limit=MAX_COMMIT_MS if over else None)
            report.line(f"{what}ms of the workers' CPU a commit",
                        [f["cpu"] for f in figures], "{:.1f}",
                        limit=MAX_COMMIT_CPU_MS if over else None)

    def single_commits(self):
        clock = SimulatorClock(self.simulator)
        committed = []
        figures = []
        for _ in range(COMMITS):
            workers = WorkersCpu(self.session)
            inputs = self.simulator.counts()["inputs"]
            # COMMIT is the end of the statement that enqueues it
            first = self.ids(1)
            committed.append((first, time.monotonic()))
            self.session.run(enqueue_one(first))
            self.wait("the row was not sent",
                      lambda: self.simulator.counts()["inputs"] > inputs,
                      POLL_INTERVAL)
            figures.append({"cpu": 1000 * self.cpu_at_rest(workers)})
        arrived = clock.arrivals()
        for f, (contact, moment) in zip(figures, committed):
            f["delay"] = 1000 * (arrived[contact] - moment)
        return figures

    def cpu_at_rest(self, workers):
        """What the workers took, as soon as they take no more."""
        taken = [-1, workers.seconds()]

        def is_at_rest():
            taken[:] = [taken[1], workers.seconds()]
            return taken[0] == taken[1]

        time.sleep(COMMIT_INTERVAL)
        self.wait("the workers are at work", is_at_rest, COMMIT_INTERVAL)
        return workers.stop()

    # Many accounts

    def part_t(self):
        report = self.report
        self.create_accounts()
        seconds = self.options.time or by_size(self.options, MEASURED_SECONDS)
        workers, most = (self.session.value(f"SHOW hubspot_assoc.{name}")
                         for name in ("workers", "max_accounts"))
        for _ in range(self.options.repeat):
            self.renew_accounts()
            report.keep("t", self.one_row_each())
            self.renew_accounts()
            report.keep("t", self.commits_in_turn(seconds))

        report.heading(f"t. {self.rows:,} accounts, {ACCOUNTS_LATENCY_MS} ms "
                       f"latency, {workers} workers, hubspot_assoc."
                       f"max_accounts {most}")
        once = report.kept("t", which="once")
        report.line("a row each, one commit: s until all were sent",
                    [f["sent"] for f in once], limit=MAX_ACCOUNTS_SECONDS)
        report.line("the same until all are settled, s",
                    [f["settled"] for f in once])
        report.line("simulator, % of the time at work",
                    [100 * f["simulator_busy"] for f in once], "{:.0f}")
        for name, label in (("p50", "median"), ("p99", "99th percentile")):
            report.line(f"{COMMITS_PER_SECOND} commits a second for {seconds} "
                        f"s: commit until sent, {label}, ms",
                        [f[name] for f in report.kept("t", which="turn")],
                        "{:,.0f}",
                        limit=MAX_DELAY_MS if name == "p99" else None)

    def create_accounts(self):
        note(f"{self.rows} accounts")
        self.session.run(f"""
            DO $$ BEGIN FOR i IN 1 .. {self.rows} LOOP
                EXECUTE format('CREATE SERVER account_%s FOREIGN DATA WRAPPER
                    hubspot_assoc OPTIONS (base_url %L)', i,
                    '{self.simulator.url}');
                EXECUTE format('CREATE USER MAPPING FOR CURRENT_USER SERVER
                    account_%s OPTIONS (access_token %L)', i, 'token-' || i);
            END LOOP; END $$""")

    def renew_accounts(self):
        self.wait("the outbox is not empty", self.is_empty)
        self.session.run("TRUNCATE hs_assoc_outbox; CHECKPOINT")
        self.simulator.start_over()
        self.simulator.control("POST", "/batch", [
            ["POST", "/accounts", {"token": f"token-{i + 1}"}]
            for i in range(self.rows)])

    def one_row_each(self):
        note(f"a row for each of {self.rows} accounts")
        clock = SimulatorClock(self.simulator)
        first = self.ids(self.rows)
        self.session.run(f"""
            BEGIN;
            DO $$ BEGIN FOR i IN 1 .. {self.rows} LOOP
                PERFORM hs_assoc_enqueue('create_default', 'contacts',
                    'companies', format('SELECT %s AS from_id, 1 AS to_id',
                    {first - 1} + i), server => 'account_' || i);
            END LOOP; END $$""")
        cpu = self.simulator.cpu()
        started = time.monotonic()
        self.session.run("COMMIT")
        self.wait("not all rows were sent", lambda: self.simulator.counts()
                  ["inputs"] >= self.rows, POLL_INTERVAL)
        busy = (self.simulator.cpu() - cpu) / (time.monotonic() - started)
        self.wait("the outbox is not empty", self.is_empty, POLL_INTERVAL)
        settled = time.monotonic() - started
        self.check_dead_letters()
        arrived = clock.arrivals()
        expect("rows sent", sum(first <= i < first + self.rows
                                for i in arrived), self.rows)
        return {"which": "once", "settled": settled, "simulator_busy": busy,
                "sent": max(arrived.values()) - started}

    def commits_in_turn(self, seconds):
        note(f"commits over {self.rows} accounts, {seconds} s")
        clock = SimulatorClock(self.simulator)
        committed = []
        start = time.monotonic()
        for i in range(seconds * COMMITS_PER_SECOND):
            contact = self.ids(1)
            time.sleep(max(0, start + i / COMMITS_PER_SECOND -
                           time.monotonic()))
            committed.append((contact, time.monotonic()))
            self.session.run(enqueue_one(contact,
                                         f"account_{1 + i % self.rows}"))
        self.wait("the outbox is not empty", self.is_empty)
        self.check_dead_letters()
        arrived = clock.arrivals()
        delays = sorted(1000 * (arrived[contact] - moment)
                        for contact, moment in committed)
        return {"which": "turn", "p50": statistics.median(delays),
                "p99": delays[len(delays) * 99 // 100], "most": delays[-1]}

    # Other operations, lanes and answers

    def part_u(self):
        report = self.report
        # a vacuum's WAL is not that of the rows
        self.session.run("ALTER TABLE hs_assoc_outbox "
                         "SET (autovacuum_enabled = off)")
        for _ in range(self.options.repeat):
            self.renew()
            wal = self.wal()
            self.enqueue(self.rows, "archive")
            enqueued = self.wal()
            figures = self.drain(self.rows)
            figures.update(wal=self.wal() - enqueued, enqueued=enqueued - wal)
            report.keep("u", figures)
        figures = report.kept("u")
        report.heading(f"u. {self.rows:,} rows that archive, each of another "
                       "record")
        self.line_of_cpu("archived", figures, MAX_ARCHIVE_US)
        report.line("bytes of WAL a row, from sending to settled",
                    [f["wal"] / f["rows"] for f in figures], "{:.0f}",
                    limit=MAX_ARCHIVE_WAL)
        report.line("bytes of WAL a row, to enqueue it",
                    [f["enqueued"] / f["rows"] for f in figures], "{:.0f}")
        self.line_of_simulator(figures)

    def part_v(self):
        for _ in range(self.options.repeat):
            for lanes in LANES:
                self.renew()
                self.fill_lanes(lanes)
                figures = self.drain(self.rows)
                figures.update(lanes=lanes, requests=self.simulator.counts()
                               ["requests"])
                self.report.keep("v", figures)
        self.report.heading(f"v. {self.rows:,} rows, in turn into each of "
                            "several lanes")
        for lanes in LANES:
            figures = self.report.kept("v", lanes=lanes)
            self.line_of_cpu(f"{lanes} lanes", figures, MAX_LANES_US[lanes])
            self.report.line(f"{lanes} lanes, requests",
                             [f["requests"] for f in figures], "{:,.0f}")
            self.line_of_simulator(figures)

    def fill_lanes(self, lanes):
        note(f"{self.rows} rows in {lanes} lanes")
        first = self.ids(self.rows)
        self.session.run(f"""
            INSERT INTO hs_assoc_outbox (server, role, operation, from_type,
                from_id, to_type, to_id, type_ids)
            SELECT 'hubspot', current_user::regrole, operation, from_type, i,
                to_type, {TO_IDS}, type_ids
            FROM generate_series({first}, {first + self.rows - 1}) i
            JOIN {LANES[lanes]} AS lane (n, operation, from_type, to_type,
                type_ids) ON n = i % {lanes}
            ORDER BY i""")

    def part_w(self):
        for _ in range(self.options.repeat):
            for percent in MAX_REFUSED_US:
                self.renew()
                first = self.enqueue(self.rows)
                missing = [str(i) for i in range(first, first + self.rows,
                                                 100 // percent)]
                self.simulator.control("POST", "/objects", {
                    "type": "contacts", "missing": missing})
                figures = self.drain(self.rows, dead_letters=len(missing))
                figures["percent"] = percent
                self.report.keep("w", figures)
        self.report.heading(f"w. {self.rows:,} rows, some refused by name")
        for percent, limit in MAX_REFUSED_US.items():
            figures = self.report.kept("w", percent=percent)
            self.line_of_cpu(f"{percent} % refused", figures, limit)
            self.line_of_simulator(figures)

    # Writers

    def part_x(self):
        report = self.report
        seconds = self.options.time or by_size(self.options, MEASURED_SECONDS)
        durable = [self.session.value(f"SHOW {name}") for name in
                   ("fsync", "synchronous_commit")]
        self.create_table()
        self.create_table("link_plain", server=None)
        self.session.run(YARDSTICK)
        for _ in range(self.options.repeat):
            for which in ("link_plain", "paused", "link"):
                report.keep("x", self.inserts(which, seconds))

        report.heading(f"x. {CLIENTS} clients, single-row inserts, {seconds} "
                       f"s; fsync {durable[0]}, synchronous_commit "
                       f"{durable[1]}")
        plain, sync, paused = (report.kept("x", which=which)
                               for which in ("link_plain", "link", "paused"))
        report.line("inserts per second, a plain trigger",
                    [f["tps"] for f in plain], "{:,.0f}")
        report.line("the same in sync", [f["tps"] for f in sync], "{:,.0f}")
        report.line("in sync, % of the plain trigger",
                    [100 * s["tps"] / p["tps"] for s, p in zip(sync, plain)],
                    "{:.1f}", limit=MIN_THROUGHPUT, least=True)
        report.line("the same while nothing is sent, %",
                    [100 * s["tps"] / p["tps"] for s, p in zip(paused, plain)],
                    "{:.1f}")
        report.line("bytes of WAL an insert, while nothing is sent",
                    [f["wal"] for f in paused], "{:.0f}",
                    limit=MAX_INSERT_WAL)
        for figures, what in ((sync, "with all that sends it"),
                              (plain, "a plain trigger")):
            report.line(f"bytes of WAL an insert, {what}",
                        [f["wal"] for f in figures], "{:.0f}")

    def inserts(self, which, seconds):
        """Into a table, or into that in sync while its server is paused."""
        note(f"{CLIENTS} clients, {which}, {seconds} s")
        table = "link" if which == "paused" else which
        self.start_over("link", "link_plain", "plain_outbox")
        if which == "paused":
            self.session.run("SELECT hs_assoc_pause('hubspot')")
        wal = self.wal()
        printed = self.pgbench(INSERT_ONE.format(table=table), "-c", CLIENTS,
                               "-j", 2, "-T", seconds)
        wal = self.wal() - wal
        inserted = int(self.session.value(f"SELECT count(*) FROM {table}"))
        self.session.run("SELECT hs_assoc_resume('hubspot')")
        self.wait_until_sent()
        self.check_dead_letters()
        return {"which": which, "wal": wal / inserted,
                "tps": float(printed["tps"].split()[0])}

    # Requests

    def part_z(self):
        report = self.report
        for how in ("batch", "outbox"):
            for keep in (False, True):
                report.keep("z", self.in_turn(how, keep))
        report.heading(f"z. {self.rows:,} rows (a,b), (b,a) in turn, which "
                       "get a label")
        per_thousand = 1000 / self.rows
        for how in ("batch", "outbox"):
            figures = {keep: report.kept("z", how=how, keep=keep)[0]
                       for keep in (False, True)}
            for keep, name in ((False, "without keep_labels"),
                               (True, "with keep_labels")):
                for operation in ("create", "read"):
                    has_bar = keep and operation == "create"
                    report.line(f"{how}, requests to {operation} 1,000 rows, "
                                f"{name}",
                                [per_thousand * figures[keep][operation]],
                                limit=per_thousand * figures[False]["create"]
                                if has_bar else None)
            report.line(f"{how}, all requests, with keep_labels / without",
                        [(figures[True]["create"] + figures[True]["read"]) /
                         figures[False]["create"]], limit=MAX_KEEP_RATIO)

    def in_turn(self, how, keep):
        note(f"{self.rows} rows in turn, {how}, "
             f"keep_labels {keep}")
        self.renew()
        type_id = add_label(self.simulator, "contacts", "contacts")
        query = IN_TURN.format(type_id=type_id, pairs=self.rows // 2,
                               first=self.ids(self.rows + 2))
        arguments = f"'contacts', 'contacts', '{query}', keep_labels => {keep}"
        if how == "batch":
            confirmed = int(self.session.value(
                "SELECT count(*) FILTER (WHERE ok) "
                f"FROM hs_assoc_batch_create({arguments})"))
            expect("rows confirmed", confirmed, self.rows)
        else:
            expect("rows enqueued", int(self.session.value(
                f"SELECT hs_assoc_enqueue('create', {arguments})")),
                self.rows)
            self.session.run("SELECT hs_assoc_resume('hubspot')")
            self.wait("the outbox is not empty", self.is_empty, POLL_INTERVAL)
            self.check_dead_letters()
        operations = self.simulator.control("GET", "/stats")["operations"]
        return {"how": how, "keep": keep, **{
            name: operations.get(f"batch_{name}", {"requests": 0})["requests"]
            for name in ("create", "read")}}


def moment_of(moments, count):
    """When so many had come, between two samples in proportion."""
    for (before, less), (after, more) in zip(moments, moments[1:]):
        if more >= count:
            break
    return before + (after - before) * (count - less) / max(1, more - less)


def enqueue_one(contact, server="hubspot"):
    return ("SELECT hs_assoc_enqueue('create_default', 'contacts', "
            f"'companies', 'SELECT {contact} AS from_id, 1 AS to_id', "
            f"server => '{server}')")


def add_label(simulator, from_type, to_type):
    """The number of a new label's type."""
    return simulator.control("POST", "/labels", {
        "from_type": from_type, "to_type": to_type, "label": LABEL,
        "name": "benchmark"})["types"][0]["type_id"]
