"""The benchmark's part on plans; see run.

Plans of pairs that HubSpot holds already, beside reading the records that have
them, and plans of which one pair in a hundred has changed, applied at a rate
limit.

IDENTIFICATION
    test/bench/plans.py
"""

from apparatus import TOKEN, Session, expect, note

PART = "B"

HELP = """\
  B  a plan of as many pairs as there are rows, all of which HubSpot holds, of
     records with one pair each and with four, wanted in the order of the
     records and in none: CPU and private memory of the backend beside those
     of reading the records; a tenth of them with changes of one pair in a
     hundred, applied at a rate limit
"""

CONCURRENCY = 4
PAIRS_EACH = (1, 4)
FIRST_CONTACT = 100000001
COMPANIES = 50000

READS_A_REQUEST = 1000
REMOVALS_A_REQUEST = 100
ADDITIONS_A_REQUEST = 2000
# One row in so many has another company, and is a removal and an addition
CHANGED = 200

# Requests in 10 s, and seconds until as many more may go (throttle.c)
RATE_LIMIT = 50
RATE_SECONDS = 10.1

MAX_CPU_RATIO = 1.5
MAX_MORE_MB = 24
MIN_EFFICIENCY = 95

READ = """SELECT count(to_id) FROM hs_assoc_batch_read('contacts', 'companies',
'SELECT from_id FROM plan_records')"""

PLAN = """SELECT count(*) FROM hs_assoc_plan('contacts', 'companies',
'SELECT from_id, to_id FROM {}')"""

APPLY = """SELECT count(*) FILTER (WHERE ok) FROM hs_assoc_apply(
'contacts', 'companies', 'SELECT from_id, to_id FROM plan_changed',
server => 'limited')"""


def run(bench):
    if bench.options.bare:
        return
    bench.set_concurrency(CONCURRENCY)
    for pairs_each in PAIRS_EACH:
        make(bench, bench.rows // pairs_each, pairs_each)
        for _ in range(bench.cpu_rounds):
            for which in ("read", "plan", "shuffled"):
                bench.report.keep("B", measure(bench, which, pairs_each))
        for _ in range(bench.options.repeat):
            for which in ("read", "plan"):
                bench.simulator.go_on()
                bench.report.keep("B", {
                    "which": f"{which} {pairs_each} memory",
                    **bench.memory(statement(which),
                                   bench.rows // pairs_each * pairs_each
                                   if which == "read" else 0)})
    bench.report.keep("B", apply_limited(bench, bench.rows // 10))
    report(bench)


def make(bench, records, pairs_each):
    note(f"making {records * pairs_each} associations in the simulator")
    bench.simulator.start_over(latency_ms=0)
    bench.simulator.associate(FIRST_CONTACT, records, pairs_each, COMPANIES)
    with Session() as session:
        session.run("DROP TABLE IF EXISTS plan_records, plan_pairs, "
                    "plan_shuffled")
        bench.make_table(session, "plan_records", records, f"""
            SELECT {FIRST_CONTACT} + i AS from_id
            FROM generate_series(0, {records - 1}) i""")
        bench.make_table(session, "plan_pairs", records * pairs_each, """
            SELECT from_id::bigint AS from_id, to_id::bigint AS to_id
            FROM hs_assoc_batch_read('contacts', 'companies',
                'SELECT from_id FROM plan_records') ORDER BY 1, 2""")
        bench.make_table(session, "plan_shuffled", records * pairs_each,
                         "SELECT * FROM plan_pairs ORDER BY md5(from_id::text"
                         " || to_id)")


def statement(which):
    return READ if which == "read" else \
        PLAN.format("plan_pairs" if which == "plan" else "plan_shuffled")


def measure(bench, which, pairs_each):
    rows = bench.rows // pairs_each * pairs_each
    note(f"{rows} pairs, {which}")
    bench.simulator.go_on()
    figures = bench.extension(statement(which))
    expect("rows", figures["confirmed"], rows if which == "read" else 0)
    expect("requests", bench.simulator.counts()["requests"],
           -(-(rows // pairs_each) // READS_A_REQUEST))
    figures["which"] = f"{which} {pairs_each}"
    return figures


def apply_limited(bench, records):
    """At a rate limit that no other statement has used up."""
    changed = records // CHANGED
    make(bench, records, 1)
    note(f"{2 * changed} changes of {records} pairs, {RATE_LIMIT} requests "
         "in 10 s")
    with Session() as session:
        session.run(f"""
            CREATE TABLE plan_changed AS
            SELECT from_id, CASE WHEN (from_id - {FIRST_CONTACT}) % {CHANGED}
                = 0 THEN 800000000 + from_id ELSE to_id END AS to_id
            FROM plan_pairs;
            CREATE SERVER limited FOREIGN DATA WRAPPER hubspot_assoc
            OPTIONS (base_url '{bench.simulator.url}', concurrency '4',
                     rate_limit '{RATE_LIMIT}');
            CREATE USER MAPPING FOR CURRENT_USER SERVER limited
            OPTIONS (access_token '{TOKEN}')""")
    bench.simulator.go_on()
    try:
        figures = bench.extension(APPLY)
    finally:
        with Session() as session:
            session.run("DROP SERVER limited CASCADE")
            session.run("DROP TABLE plan_changed, plan_pairs, plan_records, "
                        "plan_shuffled")
    expect("changes confirmed", figures["confirmed"], 2 * changed)
    least = -(-records // READS_A_REQUEST) + -(-changed // READS_A_REQUEST) + \
        -(-changed // REMOVALS_A_REQUEST) + -(-changed // ADDITIONS_A_REQUEST)
    return {**figures, "which": "limited", "least": least,
            "requests": bench.simulator.counts()["requests"]}


def report(bench):
    report = bench.report
    for pairs_each in PAIRS_EACH:
        read, plan, shuffled, read_memory, plan_memory = (
            report.kept("B", which=f"{which} {pairs_each}{more}")
            for which, more in (("read", ""), ("plan", ""), ("shuffled", ""),
                                ("read", " memory"), ("plan", " memory")))
        report.heading(f"B. A plan of {bench.rows:,} equal pairs, "
                       f"{pairs_each} of a record, no latency, {CONCURRENCY} "
                       "in flight")
        report.line("reading the records: backend, CPU s",
                    [f["cpu"] for f in read])
        report.line("the plan: backend, CPU s", [f["cpu"] for f in plan])
        report.line("the plan / reading, CPU",
                    [p["cpu"] / r["cpu"] for p, r in zip(plan, read)],
                    limit=MAX_CPU_RATIO)
        report.line("the same, wanted in no order",
                    [p["cpu"] / r["cpu"] for p, r in zip(shuffled, read)])
        report.line("reading: growth of the backend's private memory, MB",
                    [f["growth"] / 2**20 for f in read_memory], "{:.1f}")
        report.line("the plan, MB more than that",
                    [(p["growth"] - r["growth"]) / 2**20 for p, r in
                     zip(plan_memory, read_memory)], "{:.1f}",
                    limit=MAX_MORE_MB)
    limited = report.kept("B", which="limited")
    report.heading("B. Changes of 1 % applied, "
                   f"{RATE_LIMIT} requests in 10 s")
    report.line("requests", [f["requests"] for f in limited], "{}",
                limit=limited[0]["least"])
    ideal = (limited[0]["least"] - 1) // RATE_LIMIT * RATE_SECONDS
    report.line(f"s, ideal {ideal:.1f}", [f["wall"] for f in limited])
    if ideal > 0:
        report.line("% of the ideal", [100 * ideal / f["wall"] for f in
                                       limited],
                    "{:.1f}", limit=MIN_EFFICIENCY, least=True)
