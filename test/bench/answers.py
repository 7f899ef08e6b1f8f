"""The benchmark's part on what answers cost that say much; see run.

Beside the bare program, and beside one that keeps the answers.

IDENTIFICATION
    test/bench/answers.py
"""

from apparatus import Session, expect
from growth import LABEL, add_label

PART = "y"

HELP = """\
  y  as many rows created, with a label in each answer and without, and as many
     records read with one association each: CPU beside that of the bare
     program, which throws the answers away, and beside one that takes every
     value out of them into a temporary file
"""

CONCURRENCY = 4
MAX_RATIOS = {"label": 1.5, "create": 1.35, "read": 2.5}

CREATE = """SELECT count(*) FILTER (WHERE ok)
FROM hs_assoc_batch_create('contacts', 'companies',
'SELECT from_id, to_id, type_id, category FROM {}')"""


def run(bench):
    """Answers that say much: beside programs that look at them, and not."""
    report = bench.report
    bench.simulator.start_over(latency_ms=0)
    bench.set_concurrency(CONCURRENCY)
    # those of the table links
    bench.simulator.associate(100000001, bench.rows, 1, 50000)
    type_id = add_label(bench.simulator, "contacts", "companies")
    with Session() as session:
        session.run(f"""
            CREATE OR REPLACE VIEW links_label AS
            SELECT from_id, to_id, {type_id} AS type_id,
                'USER_DEFINED' AS category
            FROM links""")
        if not bench.options.bare:
            expect("labels of an answer", session.value("""
                SELECT labels FROM hs_assoc_batch_create('contacts',
                    'companies', 'SELECT from_id, to_id, type_id, category
                    FROM links_label LIMIT 1')"""), f"{{{LABEL}}}")
    jobs = {"label": bench.label_job, "create": bench.jobs["create"],
            "read": bench.jobs["read"]}
    programs = [*bench.programs(), "keep"]
    # what the simulator answers for the first time takes it longer
    bench.batch("bare", CONCURRENCY, 0, "read")
    for _ in range(bench.options.repeat):
        for operation, job in jobs.items():
            for which in programs:
                report.keep("y", bench.batch(which, CONCURRENCY, 0, operation,
                                             job))
    report_ratios(bench, programs)


def report_ratios(bench, programs):
    report = bench.report
    report.heading(f"y. {bench.rows:,} rows, no latency, {CONCURRENCY} in "
                   "flight: CPU beside the bare program's")
    report.text("The one that keeps takes every value of the answers into a "
                "temporary file, which is what a statement's result is, but "
                "does not look which input each belongs to.")
    for operation, name in (("label", "created, labels in the answers"),
                            ("create", "created, none in the answers"),
                            ("read", "read")):
        figures = {which: report.kept("y", which=which, operation=operation)
                   for which in programs}
        for which, what in (("bare", "the bare program"),
                            ("keep", "one that keeps"),
                            ("extension", "the backend")):
            if which in figures:
                report.line(f"{name}: {what}, CPU s",
                            [f["cpu"] for f in figures[which]])
        if "extension" in figures:
            # a create has to look at the answers, so that is the same work
            with_bar = "bare" if operation == "read" else "keep"
            for which, what in (("bare", "the bare program"),
                                ("keep", "one that keeps")):
                report.line(f"{name}: backend / {what}",
                            [e["cpu"] / b["cpu"] for e, b in
                             zip(figures["extension"], figures[which])],
                            limit=MAX_RATIOS[operation]
                            if which == with_bar else None)
        report.line(f"{name}: simulator, CPU s", [
            f["simulator_cpu"] for which in programs
            for f in figures[which]])
