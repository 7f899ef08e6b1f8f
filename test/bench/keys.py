"""The benchmark's part on records by what people call them; see run.

The same pairs by ids and by keys, in turn: e-mails, which are read, and
domains, which are searched for.

IDENTIFICATION
    test/bench/keys.py
"""

from apparatus import TOKEN, Session, expect, note

PART = "A"

HELP = """\
  A  as many pairs of e-mails and domains, ten of an e-mail and fifty of a
     domain, in no order: requests; CPU and private memory of the backend
     beside those of the same pairs by ids; a tenth of them at a rate limit
"""

CONCURRENCY = 4
ROWS_OF_CONTACT = 10
ROWS_OF_COMPANY = 50
KEYS_A_REQUEST = 100
INPUTS_A_REQUEST = 2000
FIRST_CONTACT = 100000000
FIRST_COMPANY = 900000000

# Requests in 10 s for a tenth of the rows, and seconds until as many more may
# go (throttle.c)
RATE_LIMIT = 50
RATE_SECONDS = 10.1

MAX_LOOKUP_RATIO = 1.1
MAX_CPU_RATIO = 1.6
MAX_MORE_MB = 16
MIN_EFFICIENCY = 95

CREATE = """SELECT count(*) FILTER (WHERE ok) FROM hs_assoc_batch_create(
'{}', '{}', 'SELECT {} AS from_id, {} AS to_id, type_id FROM {}'
{})"""


def statement(which, table="keyed", more=""):
    if which == "ids":
        return CREATE.format("contacts", "companies", "contact", "company",
                             table, more)
    return CREATE.format("contacts:email", "companies:domain", "email",
                         "domain", table, more)


class Size:
    """So many rows, and what they need at least."""

    def __init__(self, rows):
        self.rows = rows
        self.contacts = -(-rows // ROWS_OF_CONTACT)
        self.companies = -(-rows // ROWS_OF_COMPANY)
        self.lookups = -(-self.contacts // KEYS_A_REQUEST) + \
            -(-self.companies // KEYS_A_REQUEST)
        self.creates = -(-rows // INPUTS_A_REQUEST)


def run(bench):
    if bench.options.bare:
        return
    size = Size(bench.rows)
    small = Size(-(-bench.rows // 10))
    make_records(bench, size)
    make_tables(bench, [("keyed", size), ("keyed_small", small)])
    bench.set_concurrency(CONCURRENCY)
    for _ in range(bench.cpu_rounds):
        for which in ("ids", "keys"):
            bench.report.keep("A", create(bench, which, size))
    for _ in range(bench.options.repeat):
        for which in ("ids", "keys"):
            bench.simulator.go_on()
            bench.report.keep("A", {"which": which + " memory",
                                    **bench.memory(statement(which),
                                                   size.rows)})
    bench.report.keep("A", create_limited(bench, small))
    report(bench, size, small)


def prepare(bench):
    """For a statement that creates the pairs by keys, which is returned."""
    size = Size(bench.rows)
    make_records(bench, size)
    make_tables(bench, [("keyed", size)])
    return statement("keys")


def make_records(bench, size):
    note(f"making {size.contacts} contacts and {size.companies} companies in "
         "the simulator")
    bench.simulator.start_over(latency_ms=0)
    for kind, count, first, properties in (
            ("contacts", size.contacts, FIRST_CONTACT,
             {"email": "contact{n}@example.com"}),
            ("companies", size.companies, FIRST_COMPANY,
             {"domain": "company{n}.example.com"})):
        bench.simulator.control("POST", "/records", {
            "type": kind, "generate": {
                "count": count, "first_id": first, "first_n": 0,
                "properties": properties}})


def make_tables(bench, tables):
    """Pairs, none twice, in no order."""
    with Session() as session:
        for name, of in tables:
            bench.make_table(session, name, of.rows, f"""
                SELECT {FIRST_CONTACT} + contact AS contact,
                    {FIRST_COMPANY} + company AS company,
                    'contact' || contact || '@example.com' AS email,
                    'company' || company || '.example.com' AS domain,
                    279 AS type_id
                FROM generate_series(0, {of.rows - 1}) i,
                    LATERAL (SELECT i / {ROWS_OF_CONTACT} AS contact,
                        (i / {ROWS_OF_CONTACT} * 7919::bigint
                         + i % {ROWS_OF_CONTACT} * 104729)
                        % {of.companies} AS company) pair
                ORDER BY md5(i::text)""")


def create(bench, which, size):
    note(f"{size.rows} pairs by {which}")
    bench.simulator.go_on()
    cpu = bench.simulator.cpu()
    figures = bench.extension(statement(which))
    expect("rows confirmed", figures["confirmed"], size.rows)
    figures["simulator_cpu"] = bench.simulator.cpu() - cpu
    figures["requests"] = bench.simulator.counts()["requests"]
    figures["which"] = which
    if which == "ids":
        expect("requests", figures["requests"], size.creates)
    return figures


def create_limited(bench, size):
    """At a rate limit that no other statement has used up."""
    note(f"{size.rows} pairs by keys, {RATE_LIMIT} requests in 10 s")
    with Session() as session:
        session.run(f"""
            CREATE SERVER limited FOREIGN DATA WRAPPER hubspot_assoc
            OPTIONS (base_url '{bench.simulator.url}', concurrency '4',
                     rate_limit '{RATE_LIMIT}');
            CREATE USER MAPPING FOR CURRENT_USER SERVER limited
            OPTIONS (access_token '{TOKEN}')""")
    bench.simulator.go_on()
    try:
        figures = bench.extension(statement("keys", "keyed_small",
                                            ", server => 'limited'"))
    finally:
        with Session() as session:
            session.run("DROP SERVER limited CASCADE")
    expect("rows confirmed", figures["confirmed"], size.rows)
    figures["which"] = "limited"
    return figures


def report(bench, size, small):
    report = bench.report
    figures = {which: report.kept("A", which=which) for which in (
        "ids", "keys", "ids memory", "keys memory", "limited")}
    ids, keys = figures["ids"], figures["keys"]
    report.heading(f"A. {size.rows:,} pairs of {size.contacts:,} e-mails and "
                   f"{size.companies:,} domains, no latency, {CONCURRENCY} in "
                   "flight")
    report.line("requests to look up keys",
                [f["requests"] - size.creates for f in keys], "{}",
                limit=int(size.lookups * MAX_LOOKUP_RATIO))
    report.line("requests that create", [size.creates], "{}")
    report.line("by ids: backend, CPU s", [f["cpu"] for f in ids])
    report.line("by keys: backend, CPU s", [f["cpu"] for f in keys])
    report.line("by keys / by ids, CPU",
                [k["cpu"] / i["cpu"] for k, i in zip(keys, ids)],
                limit=MAX_CPU_RATIO)
    report.line("by keys: simulator, CPU s",
                [f["simulator_cpu"] for f in keys])
    report.line("by ids: growth of the backend's private memory, MB",
                [f["growth"] / 2**20 for f in figures["ids memory"]],
                "{:.1f}")
    report.line("by keys, MB more than that",
                [(k["growth"] - i["growth"]) / 2**20 for k, i in
                 zip(figures["keys memory"], figures["ids memory"])],
                "{:.1f}", limit=MAX_MORE_MB)
    ideal = (small.lookups + small.creates - 1) // RATE_LIMIT * RATE_SECONDS
    report.line(f"{small.rows:,} of them, {RATE_LIMIT} requests in 10 s: s, "
                f"ideal {ideal:.1f}", [f["wall"] for f in figures["limited"]])
    if ideal > 0:
        report.line("% of the ideal", [100 * ideal / f["wall"] for f in
                                       figures["limited"]],
                    "{:.1f}", limit=MIN_EFFICIENCY, least=True)
