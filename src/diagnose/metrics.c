/*-------------------------------------------------------------------------
 *
 * metrics.c
 *	  What is going on, in figures for those who draw them.
 *
 * Names are for ever: dashboards and alerts go by them.  They have their unit,
 * and _total if they only grow.
 *
 * It is asked every few seconds, so nothing here reads what waits: how much that
 * is comes from the server's own statistics, and how late it is from one end of
 * an index.  Dead letters, and rows that wait for records, are counted up to a bound,
 * which their help tells.
 *
 * IDENTIFICATION
 *	  src/diagnose/metrics.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "account/account.h"
#include "account/option.h"
#include "base/clock.h"
#include "diagnose/metrics.h"
#include "outbox/fault.h"
#include "schema/prepared.h"
#include "worker/dynamic_lock.h"
#include "worker/sending.h"
#include "worker/slot.h"

#define COUNTED_DEAD_LETTERS	"1000"
#define COUNTED_WAITING			"1000"
#define COUNTED_DIFFERENCES		"1000"

typedef enum Figure
{
	REQUESTS,
	RETRIES,
	RATE_LIMITED,
	LOOKUPS,
	INPUTS,
	CONFIRMED,
	SKIPPED,
	FAILED,
	BYTES_SENT,
	BYTES_RECEIVED,
	REQUEST_SECONDS,
	MAX_REQUEST_SECONDS,
	RATE_LIMIT,
	RATE_USED,
	PARKED,
	PRELOADED,
	LAUNCHER_UP,
	WORKERS,
	OUTBOX_ROWS,
	OUTBOX_LAG,
	ROWS_WITHOUT_RECORDS,
	DEAD_LETTERS,
	BACKOFF,
	PAUSED,
	SYNCS,
	INACTIVE_SYNCS,
	COMPARED_RECORDS,
	DIFFERENCES,
	REPAIRED,
	OPEN_DIFFERENCES,
	CONTESTED,
	VERIFY_LATE,
	FAULT
} Figure;

static const struct
{
	const char *name;
	const char *kind;
	const char *help;
}			figures[] = {
	[REQUESTS] = {"hubspot_assoc_requests_total", "counter", "Requests to HubSpot."},
	[RETRIES] = {"hubspot_assoc_retries_total", "counter", "Requests that were sent again after a failed attempt."},
	[RATE_LIMITED] = {"hubspot_assoc_rate_limited_requests_total", "counter", "Requests that HubSpot has answered with 429."},
	[LOOKUPS] = {"hubspot_assoc_lookup_requests_total", "counter", "Requests that look records up."},
	[INPUTS] = {"hubspot_assoc_inputs_total", "counter", "Rows that were settled."},
	[CONFIRMED] = {"hubspot_assoc_confirmed_inputs_total", "counter", "Rows that HubSpot has confirmed."},
	[SKIPPED] = {"hubspot_assoc_skipped_inputs_total", "counter", "Rows that were not enqueued, since an id of theirs is null."},
	[FAILED] = {"hubspot_assoc_failed_inputs_total", "counter", "Rows that have failed, by their error category."},
	[BYTES_SENT] = {"hubspot_assoc_sent_bytes_total", "counter", "Bytes of the bodies of requests."},
	[BYTES_RECEIVED] = {"hubspot_assoc_received_bytes_total", "counter", "Bytes of the bodies of answers."},
	[REQUEST_SECONDS] = {"hubspot_assoc_request_seconds_total", "counter", "Time between requests and their answers."},
	[MAX_REQUEST_SECONDS] = {"hubspot_assoc_request_max_seconds", "gauge", "The longest time of one since the counters began."},
	[RATE_LIMIT] = {"hubspot_assoc_rate_limit_requests", "gauge", "Requests that may be sent in 10 s; 0: no limit."},
	[RATE_USED] = {"hubspot_assoc_rate_used_requests", "gauge", "Requests that were sent in the last 10 s."},
	[PARKED] = {"hubspot_assoc_parked_seconds", "gauge", "How long HubSpot has asked to wait from now on."},
	[PRELOADED] = {"hubspot_assoc_preloaded", "gauge", "1 if the library is preloaded; else the counters are of the asking session alone."},
	[LAUNCHER_UP] = {"hubspot_assoc_launcher_up", "gauge", "1 if the launcher of the workers runs."},
	[WORKERS] = {"hubspot_assoc_workers", "gauge", "Workers in this database."},
	[OUTBOX_ROWS] = {"hubspot_assoc_outbox_rows", "gauge", "Rows in the outbox, as the server's statistics estimate it."},
	[OUTBOX_LAG] = {"hubspot_assoc_outbox_lag_seconds", "gauge", "For how long the oldest row of the outbox has been due."},
	[ROWS_WITHOUT_RECORDS] = {"hubspot_assoc_rows_waiting_for_records", "gauge", "Rows of the outbox that wait for records which HubSpot does not have; of each server up to " COUNTED_WAITING "."},
	[DEAD_LETTERS] = {"hubspot_assoc_dead_letters", "gauge", "Dead letters, by their error category; of each server the newest " COUNTED_DEAD_LETTERS "."},
	[BACKOFF] = {"hubspot_assoc_backoff_seconds", "gauge", "For how long nothing of the outbox could be sent, by the error category; nothing: it can."},
	[PAUSED] = {"hubspot_assoc_paused", "gauge", "1 if hs_assoc_pause has stopped the outbox."},
	[SYNCS] = {"hubspot_assoc_syncs", "gauge", "Syncs of tables."},
	[INACTIVE_SYNCS] = {"hubspot_assoc_inactive_syncs", "gauge", "Syncs whose changes are not sent, as hs_assoc_sync shows."},
	[COMPARED_RECORDS] = {"hubspot_assoc_compared_records_total", "counter", "Records of tables in sync that workers have compared with HubSpot, as verify says."},
	[DIFFERENCES] = {"hubspot_assoc_differences_total", "counter", "Differences from HubSpot that workers have found."},
	[REPAIRED] = {"hubspot_assoc_repaired_differences_total", "counter", "Differences for which they have enqueued what puts them right."},
	[OPEN_DIFFERENCES] = {"hubspot_assoc_open_differences", "gauge", "Differences in hs_assoc_drift_log that are open; of each server up to " COUNTED_DIFFERENCES "."},
	[CONTESTED] = {"hubspot_assoc_contested_differences", "gauge", "Differences that came back after two repairs, and are left alone; up to " COUNTED_DIFFERENCES "."},
	[VERIFY_LATE] = {"hubspot_assoc_verify_late_seconds", "gauge", "For how much longer than verify says the table that is the latest was not compared to its end."},
	[FAULT] = {"hubspot_assoc_fault_seconds", "gauge", "For how long this server has lacked something for sending, by the SQLSTATE."}
};

/* The most figures that one statement gives. */
#define MAX_FIGURES		6

/*
 * Statements return a server, the value of a label or null, and a column for each figure.  What
 * they return is added up here: a join or GROUP BY would have hash tables for as many rows as
 * they are planned for (schema/prepared.c), and a session's first call had taken a quarter of
 * its time to clear their memory.
 */
enum
{
	ROW_SERVER,
	ROW_LABEL,
	ROW_VALUE
};

typedef struct FigureColumn
{
	Figure		figure;
	bool		since;			/* a timestamptz: the seconds since then, the
								 * most of all rows; or else a bigint, the sum */
} FigureColumn;

typedef struct FigureStatement
{
	HubspotStatement statement;
	FigureColumn columns[MAX_FIGURES];
	int			ncolumns;
	const char *label;			/* or NULL */
} FigureStatement;

/* One entry of the index for each account, and its first one. */
static FigureStatement lag_statement = {
	.statement.text =
	"WITH RECURSIVE account AS ("
	"(SELECT server, role::oid AS role FROM %1$s.hs_assoc_outbox ORDER BY server, role LIMIT 1)"
	" UNION ALL "
	"SELECT n.server, n.role FROM account AS a, LATERAL ("
	"SELECT o.server, o.role::oid AS role FROM %1$s.hs_assoc_outbox AS o"
	" WHERE (o.server, o.role::oid) > (a.server, a.role) ORDER BY o.server, o.role LIMIT 1) AS n) "
	"SELECT a.server, NULL::text, ("
	"SELECT o.not_before FROM %1$s.hs_assoc_outbox AS o WHERE o.server = a.server AND o.role::oid = a.role"
	" ORDER BY o.not_before LIMIT 1) FROM account AS a",
	.columns = {{OUTBOX_LAG, true}},
	.ncolumns = 1
};

/* Does any row wait for records, or to be looked up?  Most outboxes have none. */
static HubspotStatement any_waiting_statement = {
	.text = "SELECT FROM %1$s.hs_assoc_outbox AS o WHERE o.waited IS NOT NULL ORDER BY o.server LIMIT 1"
};

/* In the order of their index, so that no more of it is read than is counted. */
static FigureStatement waiting_statement = {
	.statement.text =
	"WITH RECURSIVE account AS ("
	"(SELECT server FROM %1$s.hs_assoc_outbox WHERE waited IS NOT NULL ORDER BY server LIMIT 1)"
	" UNION ALL "
	"SELECT n.server FROM account AS a, LATERAL (SELECT o.server FROM %1$s.hs_assoc_outbox AS o"
	" WHERE o.waited IS NOT NULL AND o.server > a.server ORDER BY o.server LIMIT 1) AS n) "
	"SELECT a.server, NULL::text, (SELECT count(*) FROM ("
	"SELECT FROM unnest(ARRAY['create_default', 'create', 'archive', 'archive_labels']) AS p (operation), LATERAL ("
	"SELECT FROM %1$s.hs_assoc_outbox AS o WHERE o.server = a.server AND o.operation = p.operation"
	" AND o.waited > '0' ORDER BY o.waited LIMIT " COUNTED_WAITING ") AS r LIMIT " COUNTED_WAITING ") AS w)"
	" FROM account AS a",
	.columns = {{ROWS_WITHOUT_RECORDS}},
	.ncolumns = 1
};

static FigureStatement dead_statement = {
	.statement.text =
	"WITH RECURSIVE account AS ("
	"(SELECT server FROM %1$s.hs_assoc_dead_letter ORDER BY server LIMIT 1)"
	" UNION ALL "
	"SELECT n.server FROM account AS a, LATERAL (SELECT d.server FROM %1$s.hs_assoc_dead_letter AS d"
	" WHERE d.server > a.server ORDER BY d.server LIMIT 1) AS n) "
	"SELECT a.server, coalesce(d.error_category, ''), 1::bigint FROM account AS a, LATERAL ("
	"SELECT l.error_category FROM %1$s.hs_assoc_dead_letter AS l WHERE l.server = a.server"
	" ORDER BY l.died_at DESC LIMIT " COUNTED_DEAD_LETTERS ") AS d",
	.columns = {{DEAD_LETTERS}},
	.ncolumns = 1,
	.label = "category"
};

static FigureStatement backoff_statement = {
	.statement.text = "SELECT server, coalesce(error_category, ''), since FROM %1$s.hs_assoc_backoff",
	.columns = {{BACKOFF, true}},
	.ncolumns = 1,
	.label = "category"
};

static FigureStatement pause_statement = {
	.statement.text = "SELECT server, NULL::text, 1::bigint FROM %1$s.hs_assoc_account_pause",
	.columns = {{PAUSED}},
	.ncolumns = 1
};

/*
 * Tables in sync, and what workers have compared and found of them.  A pass is over after its
 * period, if verify is long enough.
 */
static FigureStatement sync_statement = {
	.statement.text =
	"SELECT c.server, NULL::text, 1::bigint,"
	" (%1$s.hs_assoc_sync_problem(c.id, c.link_table) IS NOT NULL)::int::bigint,"
	" v.all_records, v.all_differences, v.all_repaired,"
	" coalesce(v.last_ended_at, c.enabled_at) + 2 * c.verify"
	" FROM %1$s.hs_assoc_sync_config AS c LEFT JOIN LATERAL ("
	"SELECT w.all_records, w.all_differences, w.all_repaired, w.last_ended_at"
	" FROM %1$s.hs_assoc_verify AS w WHERE w.sync = c.id LIMIT 1) AS v ON true",
	.columns = {
		{SYNCS}, {INACTIVE_SYNCS}, {COMPARED_RECORDS}, {DIFFERENCES}, {REPAIRED}, {VERIFY_LATE, true}
	},
	.ncolumns = 6
};

/* By the index, sync by sync. */
#define DIFFERENCES_IN(state) \
	"(SELECT count(*) FROM (SELECT FROM %1$s.hs_assoc_difference AS d" \
	" WHERE d.sync = c.id AND d.state = '" state "' LIMIT " COUNTED_DIFFERENCES ") AS d)"

static FigureStatement difference_statement = {
	.statement.text =
	"SELECT c.server, NULL::text, " DIFFERENCES_IN("open") ", " DIFFERENCES_IN("contested")
	" FROM %1$s.hs_assoc_sync_config AS c WHERE c.verify IS NOT NULL",
	.columns = {{OPEN_DIFFERENCES}, {CONTESTED}},
	.ncolumns = 2
};

/* A figure of a server, with the value of a label or NULL. */
typedef struct Sum
{
	const char *server;
	const char *label;
	double		value;
} Sum;

/* Where figures go. */
typedef struct Sink
{
	void		(*take) (void *state, const HubspotMetric *metric);
	void	   *state;
	const char *database;
} Sink;

static void put(const Sink *sink, Figure figure, const char *server, const char *label,
				const char *label_value, double value);
static void add_label(StringInfo labels, const char *name, const char *value);
static void put_account(const Sink *sink, const HubspotOptions *server);
static void put_counts(const Sink *sink, const char *server,
					   const HubspotAccountCounts *counts);
static void put_processes(const Sink *sink);
static void put_faults(const Sink *sink);
static void put_live_rows(const Sink *sink, Oid outbox);
static void put_rows(const Sink *sink, FigureStatement *statement, const List *servers);
static List *add_up(List *sums, const HubspotRow *row, int column, bool since);
static Sum *find_sum(const List *sums, const HubspotRow *row);
static void put_sums(const Sink *sink, Figure figure, const char *label, const List *sums,
					 const List *servers);
static void put_zeroes(const Sink *sink, Figure figure, const List *sums, const List *servers);

/* Give all figures of this database to take(). */
void
hubspot_metrics(void (*take) (void *state, const HubspotMetric *metric), void *state)
{
	Sink		sink = {take, state, get_database_name(MyDatabaseId)};
	const HubspotSchema *schema = hubspot_outbox_schema(false);
	List	   *servers = hubspot_all_servers();
	HubspotRows rows;
	bool		any_waits;
	ListCell   *lc;

	foreach(lc, servers)
	{
		CHECK_FOR_INTERRUPTS();
		put_account(&sink, lfirst(lc));
	}
	put_processes(&sink);
	put_faults(&sink);
	put_live_rows(&sink, schema->outbox);
	put_rows(&sink, &lag_statement, servers);
	any_waits = hubspot_query(&any_waiting_statement, NULL, &rows) > 0;
	hubspot_rows_free(&rows);
	if (any_waits)
		put_rows(&sink, &waiting_statement, servers);
	else
		put_zeroes(&sink, ROWS_WITHOUT_RECORDS, NIL, servers);
	put_rows(&sink, &dead_statement, NIL);
	put_rows(&sink, &backoff_statement, NIL);
	put_rows(&sink, &pause_statement, servers);
	put_rows(&sink, &sync_statement, servers);
	put_rows(&sink, &difference_statement, servers);
}

/* One figure, of a server or of none (NULL), with one label more or none. */
static void
put(const Sink *sink, Figure figure, const char *server, const char *label,
	const char *label_value, double value)
{
	HubspotMetric metric = {
		.name = figures[figure].name,.kind = figures[figure].kind,
		.help = figures[figure].help,.value = value
	};
	StringInfoData labels;

	initStringInfo(&labels);
	add_label(&labels, "database", sink->database);
	if (server)
		add_label(&labels, "server", server);
	if (label)
		add_label(&labels, label, label_value);
	appendStringInfoChar(&labels, '}');
	metric.labels = labels.data;
	sink->take(sink->state, &metric);
	pfree(labels.data);
}

static void
add_label(StringInfo labels, const char *name, const char *value)
{
	appendStringInfo(labels, "%s\"%s\": ", labels->len > 0 ? ", " : "{", name);
	escape_json(labels, value);
}

/* What a server was used for, and how much of its rate. */
static void
put_account(const Sink *sink, const HubspotOptions *server)
{
	HubspotAccountCounts counts = {0};
	HubspotThrottle throttle = {0};
	int64		now = hubspot_now();

	/* where nobody has used it, all is 0 */
	(void) hubspot_account_read(server->server, &counts, &throttle);
	put_counts(sink, server->server_name, &counts);
	put(sink, RATE_LIMIT, server->server_name, NULL, NULL, server->rate_limit);
	put(sink, RATE_USED, server->server_name, NULL, NULL,
		hubspot_throttle_used(&throttle, now));
	put(sink, PARKED, server->server_name, NULL, NULL,
		Max(throttle.parked_until - now, 0) / (double) USECS_PER_SEC);
}

static void
put_counts(const Sink *sink, const char *server, const HubspotAccountCounts *counts)
{
	put(sink, REQUESTS, server, NULL, NULL, counts->requests);
	put(sink, RETRIES, server, NULL, NULL, counts->retries);
	put(sink, RATE_LIMITED, server, NULL, NULL, counts->rate_limited);
	put(sink, LOOKUPS, server, NULL, NULL, counts->lookups);
	put(sink, INPUTS, server, NULL, NULL, counts->inputs);
	put(sink, CONFIRMED, server, NULL, NULL, counts->confirmed);
	put(sink, SKIPPED, server, NULL, NULL, counts->skipped);
	put(sink, BYTES_SENT, server, NULL, NULL, counts->bytes_sent);
	put(sink, BYTES_RECEIVED, server, NULL, NULL, counts->bytes_received);
	put(sink, REQUEST_SECONDS, server, NULL, NULL,
		counts->request_time / (double) USECS_PER_SEC);
	put(sink, MAX_REQUEST_SECONDS, server, NULL, NULL,
		counts->max_request_time / (double) USECS_PER_SEC);
	for (int i = 0; i < counts->ncategories; i++)
		put(sink, FAILED, server, "category", counts->categories[i].category,
			counts->categories[i].rows);
	put(sink, FAILED, server, "category", "", counts->other_errors);
}

static void
put_processes(const Sink *sink)
{
	bool		preloaded = hubspot_slots_are_there();
	int			workers;

	if (preloaded)
		(void) hubspot_count_workers(&workers);
	else
		workers = hubspot_dynamic_pid(MyDatabaseId) != 0;
	put(sink, PRELOADED, NULL, NULL, NULL, preloaded);
	put(sink, LAUNCHER_UP, NULL, NULL, NULL, preloaded && hubspot_launcher_is_there());
	put(sink, WORKERS, NULL, NULL, NULL, workers);
}

static void
put_faults(const Sink *sink)
{
	TimestampTz now = GetCurrentTimestamp();
	HubspotFault *faults;
	int			nfaults = hubspot_faults(&faults);

	for (int i = 0; i < nfaults; i++)
	{
		bool		older = false;

		/* a server may have several roles: one figure, of the oldest */
		for (int j = 0; j < nfaults && !older; j++)
			older = j != i && strcmp(faults[j].server, faults[i].server) == 0 &&
				faults[j].sqlstate == faults[i].sqlstate &&
				(faults[j].since < faults[i].since ||
				 (j < i && faults[j].since == faults[i].since));
		if (!older)
			put(sink, FAULT, faults[i].server, "sqlstate",
				unpack_sql_state(faults[i].sqlstate),
				Max(now - faults[i].since, 0) / (double) USECS_PER_SEC);
	}
}

/* How many rows wait, by the server's own statistics. */
static void
put_live_rows(const Sink *sink, Oid outbox)
{
	Datum		count = DirectFunctionCall1(pg_stat_get_live_tuples, ObjectIdGetDatum(outbox));

	put(sink, OUTBOX_ROWS, NULL, NULL, NULL, DatumGetInt64(count));
}

/* The figures of a statement; of those of the servers that it has no row of, 0. */
static void
put_rows(const Sink *sink, FigureStatement *statement, const List *servers)
{
	List	   *sums[MAX_FIGURES] = {NIL};
	HubspotRows rows;

	hubspot_query(&statement->statement, NULL, &rows);
	for (uint64 i = 0; i < rows.count; i++)
	{
		HubspotRow	row;

		hubspot_read_row(&rows, i, &row);
		for (int j = 0; j < statement->ncolumns; j++)
		{
			if (!row.isnull[ROW_VALUE + j])
				sums[j] = add_up(sums[j], &row, ROW_VALUE + j, statement->columns[j].since);
		}
	}
	for (int j = 0; j < statement->ncolumns; j++)
		put_sums(sink, statement->columns[j].figure, statement->label, sums[j], servers);
	hubspot_rows_free(&rows);
}

/* Add a row to what its server and label have so far. */
static List *
add_up(List *sums, const HubspotRow *row, int column, bool since)
{
	Sum		   *sum = find_sum(sums, row);

	if (sum == NULL)
	{
		sum = palloc0(sizeof(Sum));
		sum->server = hubspot_get_text(row, ROW_SERVER);
		sum->label = hubspot_get_text(row, ROW_LABEL);
		sums = lappend(sums, sum);
	}
	if (since)
		sum->value = Max(sum->value, ((double) GetCurrentTimestamp() -
									  (double) hubspot_get_time(row, column)) / USECS_PER_SEC);
	else
		sum->value += hubspot_get_int64(row, column);
	return sums;
}

/* Those of one server come together, as a rule: it is the last one, or near. */
static Sum *
find_sum(const List *sums, const HubspotRow *row)
{
	for (int i = list_length(sums) - 1; i >= 0; i--)
	{
		Sum		   *sum = list_nth(sums, i);

		if (hubspot_equals_text(row, ROW_SERVER, sum->server) &&
			(sum->label == NULL || hubspot_equals_text(row, ROW_LABEL, sum->label)))
			return sum;
	}
	return NULL;
}

static void
put_sums(const Sink *sink, Figure figure, const char *label, const List *sums,
		 const List *servers)
{
	const ListCell *lc;

	foreach(lc, sums)
	{
		const Sum  *sum = lfirst(lc);

		put(sink, figure, sum->server, label, sum->label, sum->value);
	}
	put_zeroes(sink, figure, sums, servers);
}

static void
put_zeroes(const Sink *sink, Figure figure, const List *sums, const List *servers)
{
	const ListCell *lc;

	foreach(lc, servers)
	{
		const HubspotOptions *server = lfirst(lc);
		const ListCell *lc2;
		bool		found = false;

		foreach(lc2, sums)
			found = found || strcmp(((const Sum *) lfirst(lc2))->server, server->server_name) == 0;
		if (!found)
			put(sink, figure, server->server_name, NULL, NULL, 0);
	}
}
