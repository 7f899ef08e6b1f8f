"""Where a backend's time goes while it creates or reads rows; see run, --profile.

Samples of perf, each with its stack, are given to the topic of the innermost
function of the extension or of libcurl, so that what PostgreSQL and the C
library do counts for whoever asked for it.  What has no such function on its stack
is the statement around it.  Only what runs in user mode is sampled, which any
user may do with their own processes; the kernel's part is what its own account
of the process says, of runs without perf, because that takes kernel time.

IDENTIFICATION
    test/bench/hotspots.py
"""

import collections
import contextlib
import glob
import os
import re
import select
import shutil
import signal
import subprocess

import keys
from apparatus import (HERE, STEP_TIMEOUT, Failure, Session, expect, note,
                       output_of)

CONCURRENCY = 4

# Samples per second of CPU time, and bytes of stack that come with each; a
# sample takes about 20 us of kernel time
FREQUENCY = 2000
STACK_BYTES = 8192

# Fewer than this part of the samples that should be there prove nothing
MIN_SAMPLES = 0.5

LIBRARY = "hubspot_assoc.so"
LIBCURL = re.compile(r"lib(curl|ssl|crypto|nghttp2)[.-]")

QUERY = "reading the query"
REQUESTS = "collecting inputs and building requests"
NETWORK = "libcurl, and what drives it"
ANSWERS = "reading answers and matching them"
KEYS = "keys, their look-ups, and the rows that wait for them"
RESULT = "result rows and their tuplestore"
AROUND = "the statement around it (here count(*)), PostgreSQL"
OTHER = "the rest of the extension"
KERNEL = "kernel: network, memory, temporary file"
TOPICS = (QUERY, REQUESTS, NETWORK, ANSWERS, KEYS, RESULT, AROUND, OTHER, KERNEL)

# By source file, ...
FILES = {
    QUERY: "query source columns raw_input id_type input_sort argument labels",
    REQUESTS: "batch batch_request intake chunk unit request endpoint association_type",
    NETWORK: "transport easy received guard sockets call client throttle",
    ANSWERS: "response result_model definition json template jsonb lexer text secret match blame error keep_labels",
    KEYS: "key keys keyed_row key_ring key_cache key_match key_way key_error lookup resolver record record_values "
          "fold text_hash",
    RESULT: "result report pipeline stream stencil",
}

# ... and functions that do another topic's work
FUNCTIONS = {
    "hubspot_batch_get": RESULT,
    "hubspot_chunk_next_row": RESULT,
    "current_rows": RESULT,
    "next_row_of_unit": RESULT,
    "hubspot_id_problem": QUERY,
    "hubspot_source_fill": QUERY,
}

# Functions that are shown
MOST_FUNCTIONS = 20


def run(bench):
    """Measure, and put the shares on the report."""
    if not shutil.which("perf"):
        raise Failure("perf is missing; its package is linux-perf")
    bench.simulator.start_over(latency_ms=0)
    statement = bench.jobs["create"].statement
    if bench.options.profile == "keys":
        statement = keys.prepare(bench)
    if bench.options.profile == "read":
        # those of the table links
        bench.simulator.associate(100000001, bench.rows, 1, 50000)
        statement = bench.jobs["read"].statement
    bench.set_concurrency(CONCURRENCY)
    files = SourceFiles()
    split = [0, 0]
    topics = collections.Counter()
    functions = collections.Counter()
    for _ in range(bench.options.repeat):
        for mode, ticks in enumerate(run_plain(bench, statement)):
            split[mode] += ticks
        for stack in run_sampled(bench, statement):
            topic, function = classify(stack, files)
            topics[topic] += 1
            functions[topic, function] += 1
    report_shares(bench, split, topics, functions)


class SourceFiles:
    """Where each function of the extension is."""

    def __init__(self):
        self.files = collections.defaultdict(list)
        self.prefixes = collections.defaultdict(list)
        for path in glob.glob(os.path.join(HERE, *[os.pardir] * 2, "src", "**", "*.c"), recursive=True):
            name = os.path.basename(path)[:-2]
            with open(path) as file:
                text = file.read()
            # its name begins a line
            for function in re.findall(r"^(\w+)\(", text, re.M):
                self.files[function].append(name)
            # those that simplehash.h makes begin with a name that is given
            for prefix in re.findall(r"^#define SH_PREFIX\s+(\w+)", text, re.M):
                self.prefixes[prefix].append(name)
        known = {name for names in self.files.values() for name in names}
        for names in FILES.values():
            expect("files of topics that are missing", set(names.split()) - known, set())

    def topic(self, function):
        """The function's topic and file; of several files, one that has a topic."""
        files = self.files.get(function) or self.prefixes.get(function.partition("_")[0], [None])
        for topic, names in FILES.items():
            for file in files:
                if file in names.split():
                    return FUNCTIONS.get(function, topic), file
        return FUNCTIONS.get(function, OTHER), files[0]


def run_plain(bench, statement):
    """The user and kernel time that a backend takes, in ticks."""
    note("the statement, without perf")
    with Session() as session:
        def ticks():
            with open(f"/proc/{session.pid}/stat") as stat:
                return [int(word) for word in
                        stat.read().rpartition(")")[2].split()[11:13]]
        before = ticks()
        expect("rows confirmed", int(session.value(statement)), bench.rows)
        return [after - start for start, after in zip(before, ticks())]


def run_sampled(bench, statement):
    """The stacks of a backend, each a list of (function, library)."""
    note("the statement, with perf")
    data = os.path.join(bench.folder, "perf.data")
    with Session() as session, Perf(bench.folder, data, session.pid) as perf:
        perf.tell("enable")
        expect("rows confirmed", int(session.value(statement)), bench.rows)
        perf.tell("disable")
    stacks = read_stacks(data)
    os.unlink(data)
    return stacks


class Perf:
    """perf record, which samples when it's told to."""

    def __init__(self, folder, data, pid):
        self.log = os.path.join(folder, "perf.log")
        theirs_in, self.say = os.pipe()
        self.hear, theirs_out = os.pipe()
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                ["perf", "record", "-e", "cpu-clock:u", "-F", str(FREQUENCY),
                 "--call-graph", f"dwarf,{STACK_BYTES}", "-p", str(pid),
                 "-o", data, "-D", "-1",
                 f"--control=fd:{theirs_in},{theirs_out}"],
                stdout=log, stderr=log, pass_fds=(theirs_in, theirs_out))
        os.close(theirs_in)
        os.close(theirs_out)

    def tell(self, command):
        """Have it do something, and wait until it has."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self.say, command.encode() + b"\n")
        answer = b""
        while b"ack\n" not in answer:
            ready, _, _ = select.select([self.hear], [], [], STEP_TIMEOUT)
            part = os.read(self.hear, 100) if ready else b""
            if not part:
                with open(self.log, errors="replace") as log:
                    raise Failure(f"perf did not {command}: "
                                  f"{log.read().strip()}")
            answer += part

    def __enter__(self):
        return self

    def __exit__(self, kind, *exception):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(STEP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.say)
        os.close(self.hear)


def read_stacks(data):
    """The samples of a file of perf, the innermost function first."""
    printed = output_of("perf", "script", "-i", data, "--no-inline",
                        "-F", "ip,sym,dso")
    stacks = []
    for sample in re.split(r"\n\s*\n", printed):
        stack = re.findall(r"^\s*[0-9a-f]+ (.*) \(([^()]*)\)$", sample, re.M)
        if stack:
            stacks.append([(function, os.path.basename(library))
                           for function, library in stack])
    return stacks


def classify(stack, files):
    """Its topic, and the function that stands for it."""
    for function, library in stack:
        if library == LIBRARY:
            # without what the compiler adds to the name of a part or a copy
            function = function.partition(".")[0]
            topic, file = files.topic(function)
            return topic, f"{function}, {file}.c"
        if LIBCURL.match(library):
            return NETWORK, library
    return AROUND, "%s, %s" % stack[0]


def report_shares(bench, split, topics, functions):
    report = bench.report
    user, kernel = split
    samples = sum(topics.values())
    hertz = os.sysconf("SC_CLK_TCK")
    due = user / hertz * FREQUENCY
    if samples < MIN_SAMPLES * due:
        raise Failure(f"perf took {samples} samples, {due:.0f} were due")

    part = user / (user + kernel) / samples
    shares = {topic: count * part for topic, count in topics.items()}
    shares[KERNEL] = kernel / (user + kernel)
    runs = bench.options.repeat
    what = {"ids": "created by ids", "keys": "created by keys", "read": "read"}
    report.heading(f"Profile: {bench.rows:,} rows {what[bench.options.profile]}, no latency, "
                   f"{CONCURRENCY} in flight; {samples:,} samples of "
                   f"{runs} runs; CPU without perf "
                   f"{(user + kernel) / hertz / runs:.2f} s")
    report.table(["CPU of the backend", "%"], [
        [topic, f"{100 * shares.get(topic, 0):.1f}"] for topic in TOPICS])
    report.heading("The functions with the most, with what they call outside "
                   "the extension")
    report.table(["function", "%", "topic"], [
        [function, f"{100 * count * part:.1f}", topic] for
        (topic, function), count in functions.most_common(MOST_FUNCTIONS)])
    report.raw["profile"] = {
        "user": user / hertz, "kernel": kernel / hertz, "shares": shares,
        "functions": [[*what, count] for what, count
                      in functions.most_common()]}
