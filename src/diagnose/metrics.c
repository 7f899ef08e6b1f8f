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
	[REQUESTS] = {"hubspot_assoc_requests_total", "counter", "Requests to HubSpot, by what they do."},
	[RETRIES] = {"hubspot_assoc_retries_total", "counter", "Requests that were sent again after a failed attempt."},
	[RATE_LIMITED] = {"hubspot_assoc_rate_limited_requests_total", "counter", "Requests that HubSpot has answered with 429."},
	[INPUTS] = {"hubspot_assoc_inputs_total", "counter", "Rows that were settled, by what was to be done."},
	[CONFIRMED] = {"hubspot_assoc_confirmed_inputs_total", "counter", "Rows that HubSpot has confirmed, by what was done."},
	[SKIPPED] = {"hubspot_assoc_skipped_inputs_total", "counter", "Rows that were not enqueued, since an id of theirs is null."},
	[FAILED] = {"hubspot_assoc_failed_inputs_total", "counter", "Rows that have failed, by what was to be done and their error category."},
	[BYTES_SENT] = {"hubspot_assoc_sent_bytes_total", "counter", "Bytes of the bodies of requests."},
	[BYTES_RECEIVED] = {"hubspot_assoc_received_bytes_total", "counter", "Bytes of the bodies of answers."},
	[REQUEST_SECONDS] = {"hubspot_assoc_request_seconds_total", "counter", "Time between requests and their answers."},
	[MAX_REQUEST_SECONDS] = {"hubspot_assoc_request_max_seconds", "gauge", "The longest time between a request and its answer, since the counters began."},
	[RATE_LIMIT] = {"hubspot_assoc_rate_limit_requests", "gauge", "Requests that may be sent in 10 s; 0: no limit."},
	[RATE_USED] = {"hubspot_assoc_rate_used_requests", "gauge", "Requests that were sent in the last 10 s."},
	[PARKED] = {"hubspot_assoc_parked_seconds", "gauge", "How long HubSpot has asked to wait from now on."},
	[PRELOADED] = {"hubspot_assoc_preloaded", "gauge", "1 if the library is preloaded; else PostgreSQL 15 and 16 give the counters of the asking session."},
	[LAUNCHER_UP] = {"hubspot_assoc_launcher_up", "gauge", "1 if the launcher of the workers runs."},
	[WORKERS] = {"hubspot_assoc_workers", "gauge", "Workers in this database."},
	[OUTBOX_ROWS] = {"hubspot_assoc_outbox_rows", "gauge", "Rows in the outbox, as the server's statistics estimate it."},
	[OUTBOX_LAG] = {"hubspot_assoc_outbox_lag_seconds", "gauge", "For how long the oldest row of the outbox has been due."},
	[ROWS_WITHOUT_RECORDS] = {"hubspot_assoc_rows_waiting_for_records", "gauge", "Rows of the outbox that wait for records which HubSpot does not have; of each server up to " COUNTED_WAITING "."},
	[DEAD_LETTERS] = {"hubspot_assoc_dead_letters", "gauge", "Dead letters, by what was to be done and their error category; of each server the newest " COUNTED_DEAD_LETTERS "."},
	[BACKOFF] = {"hubspot_assoc_backoff_seconds", "gauge", "For how long nothing of the outbox could be sent, by the error category; there is none while it can."},
	[PAUSED] = {"hubspot_assoc_paused", "gauge", "1 if hs_assoc_pause has stopped the outbox."},
	[SYNCS] = {"hubspot_assoc_syncs", "gauge", "Tables that are kept in sync, counted for each direction and account."},
	[INACTIVE_SYNCS] = {"hubspot_assoc_inactive_syncs", "gauge", "Syncs whose changes are not sent, as hs_assoc_sync shows."},
	[COMPARED_RECORDS] = {"hubspot_assoc_compared_records_total", "counter", "Records of tables in sync that workers have compared with HubSpot, as verify says."},
	[DIFFERENCES] = {"hubspot_assoc_differences_total", "counter", "Differences from HubSpot that workers have found."},
	[REPAIRED] = {"hubspot_assoc_repaired_differences_total", "counter", "Differences for which workers have enqueued what puts them right."},
	[OPEN_DIFFERENCES] = {"hubspot_assoc_open_differences", "gauge", "Differences in hs_assoc_drift_log that are open; of each server up to " COUNTED_DIFFERENCES "."},
	[CONTESTED] = {"hubspot_assoc_contested_differences", "gauge", "Differences that came back after two repairs, and are left alone; up to " COUNTED_DIFFERENCES "."},
	[VERIFY_LATE] = {"hubspot_assoc_verify_late_seconds", "gauge", "How overdue, by its verify, the comparison of the most overdue table is."},
	[FAULT] = {"hubspot_assoc_fault_seconds", "gauge", "For how long this server has lacked something for sending, by the SQLSTATE."}
};

/* The most figures that one statement gives, and labels beside the database and the server. */
#define MAX_FIGURES		6
#define MAX_LABELS		2

/*
 * Statements return a server, the values of their labels, and a column for each figure.  What
 * they return is added up here: a join or GROUP BY would have hash tables for as many rows as
 * they are planned for (schema/prepared.c), and a session's first call had taken a quarter of
 * its time to clear their memory.
 */
enum
{
	ROW_SERVER,
	ROW_LABELS
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
	const char *labels[MAX_LABELS];
	int			nlabels;
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
	"SELECT a.server, ("
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
	"SELECT a.server, (SELECT count(*) FROM ("
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
	"SELECT a.server, d.operation, coalesce(d.error_category, ''), 1::bigint FROM account AS a, LATERAL ("
	"SELECT l.operation, l.error_category FROM %1$s.hs_assoc_dead_letter AS l WHERE l.server = a.server"
	" ORDER BY l.died_at DESC LIMIT " COUNTED_DEAD_LETTERS ") AS d",
	.columns = {{DEAD_LETTERS}},
	.ncolumns = 1,
	.labels = {"operation", "category"},
	.nlabels = 2
};

static FigureStatement backoff_statement = {
	.statement.text = "SELECT server, coalesce(error_category, ''), since FROM %1$s.hs_assoc_backoff",
	.columns = {{BACKOFF, true}},
	.ncolumns = 1,
	.labels = {"category"},
	.nlabels = 1
};

static FigureStatement pause_statement = {
	.statement.text = "SELECT server, 1::bigint FROM %1$s.hs_assoc_account_pause",
	.columns = {{PAUSED}},
	.ncolumns = 1
};

/*
 * Tables in sync, and what workers have compared and found of them.  A pass is over after its
 * period, if verify is long enough.
 */
static FigureStatement sync_statement = {
	.statement.text =
	"SELECT c.server, 1::bigint,"
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
	"SELECT c.server, " DIFFERENCES_IN("open") ", " DIFFERENCES_IN("contested")
	" FROM %1$s.hs_assoc_sync_config AS c WHERE c.verify IS NOT NULL",
	.columns = {{OPEN_DIFFERENCES}, {CONTESTED}},
	.ncolumns = 2
};

/* A figure of a server, with the values of the statement's labels. */
typedef struct Sum
{
	const char *server;
	const char *values[MAX_LABELS];
	double		value;
} Sum;

typedef struct Label
{
	const char *name;
	const char *value;
} Label;

/* Where figures go. */
typedef struct Sink
{
	void		(*take) (void *state, const HubspotMetric *metric);
	void	   *state;
	const char *database;
} Sink;

static void put(const Sink *sink, Figure figure, const char *server, double value);
static void put_labeled(const Sink *sink, Figure figure, const char *server,
						const Label *labels, int nlabels, double value);
static void add_label(StringInfo labels, const char *name, const char *value);
static void put_account(const Sink *sink, const HubspotOptions *server);
static void put_counts(const Sink *sink, const char *server,
					   const HubspotAccountCounts *counts);
static void put_failures(const Sink *sink, const char *server,
						 const HubspotAccountCounts *counts);
static void put_operations(const Sink *sink, const char *server,
						   const HubspotAccountCounts *counts);
static bool has_inputs(HubspotOperation operation);
static void put_processes(const Sink *sink);
static void put_faults(const Sink *sink);
static void put_live_rows(const Sink *sink, Oid outbox);
static void put_rows(const Sink *sink, FigureStatement *statement, const List *servers);
static List *add_up(List *sums, const FigureStatement *statement, const HubspotRow *row,
					int number);
static Sum *find_sum(const List *sums, const FigureStatement *statement, const HubspotRow *row);
static bool has_values(const Sum *sum, const FigureStatement *statement, const HubspotRow *row);
static void put_sums(const Sink *sink, const FigureStatement *statement, int number,
					 const List *sums, const List *servers);
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

/* One figure, of a server or of none (NULL). */
static void
put(const Sink *sink, Figure figure, const char *server, double value)
{
	put_labeled(sink, figure, server, NULL, 0, value);
}

/* The same, with some labels more. */
static void
put_labeled(const Sink *sink, Figure figure, const char *server, const Label *labels,
			int nlabels, double value)
{
	HubspotMetric metric = {
		.name = figures[figure].name,.kind = figures[figure].kind,
		.help = figures[figure].help,.value = value
	};
	StringInfoData json;

	initStringInfo(&json);
	add_label(&json, "database", sink->database);
	if (server)
		add_label(&json, "server", server);
	for (int i = 0; i < nlabels; i++)
		add_label(&json, labels[i].name, labels[i].value);
	appendStringInfoChar(&json, '}');
	metric.labels = json.data;
	sink->take(sink->state, &metric);
	pfree(json.data);
}

static void
add_label(StringInfo labels, const char *name, const char *value)
{
	appendStringInfo(labels, "%s\"%s\": ", labels->len > 0 ? ", " : "{", name);
	escape_json(labels, value);
}

/* What a server was used for, and how much of its rate is in use. */
static void
put_account(const Sink *sink, const HubspotOptions *server)
{
	HubspotAccountCounts counts = {0};
	HubspotThrottle throttle = {0};
	int64		now = hubspot_now();

	/* if no session has used it, all is 0 */
	(void) hubspot_account_read(server->server, &counts, &throttle);
	put_counts(sink, server->server_name, &counts);
	put(sink, RATE_LIMIT, server->server_name, server->rate_limit);
	put(sink, RATE_USED, server->server_name,
		hubspot_throttle_used(&throttle, now));
	put(sink, PARKED, server->server_name,
		Max(throttle.parked_until - now, 0) / (double) USECS_PER_SEC);
}

static void
put_counts(const Sink *sink, const char *server, const HubspotAccountCounts *counts)
{
	put_operations(sink, server, counts);
	put(sink, RETRIES, server, counts->retries);
	put(sink, RATE_LIMITED, server, counts->rate_limited);
	put(sink, SKIPPED, server, counts->skipped);
	put(sink, BYTES_SENT, server, counts->bytes_sent);
	put(sink, BYTES_RECEIVED, server, counts->bytes_received);
	put(sink, REQUEST_SECONDS, server, counts->request_time / (double) USECS_PER_SEC);
	put(sink, MAX_REQUEST_SECONDS, server, counts->max_request_time / (double) USECS_PER_SEC);
	put_failures(sink, server, counts);
}

/* Rows that have failed.  Operations of one name, for one input and for many, are added up. */
static void
put_failures(const Sink *sink, const char *server, const HubspotAccountCounts *counts)
{
	const Label others[] = {{"operation", ""}, {"category", ""}};

	for (int i = 0; i < counts->nerrors; i++)
	{
		const HubspotErrorCount *error = &counts->errors[i];
		const Label labels[] = {
			{"operation", hubspot_operation_name(error->operation)}, {"category", error->category}
		};
		int64		rows = 0;
		bool		done = false;

		for (int j = 0; j < counts->nerrors && !done; j++)
		{
			const HubspotErrorCount *other = &counts->errors[j];

			if (strcmp(hubspot_operation_name(other->operation), labels[0].value) != 0 ||
				strcmp(other->category, error->category) != 0)
				continue;
			done = j < i;
			rows += other->rows;
		}
		if (!done)
			put_labeled(sink, FAILED, server, labels, lengthof(labels), rows);
	}
	put_labeled(sink, FAILED, server, others, lengthof(others), counts->other_errors);
}

/*
 * What each operation was used for.  Those that take inputs are there from the start, so that
 * the first ones are seen as a growth; the others, once there was a request.
 */
static void
put_operations(const Sink *sink, const char *server, const HubspotAccountCounts *counts)
{
	for (int i = 0; i < HUBSPOT_NOPERATIONS; i++)
	{
		const Label label = {"operation", hubspot_operation_name(i)};
		HubspotOperationCounts sums = {0};
		bool		any_inputs = false;
		bool		done = false;

		for (int j = 0; j < HUBSPOT_NOPERATIONS; j++)
		{
			if (strcmp(hubspot_operation_name(j), label.value) != 0)
				continue;
			done = done || j < i;
			any_inputs = any_inputs || has_inputs(j);
			sums.requests += counts->operations[j].requests;
			sums.inputs += counts->operations[j].inputs;
			sums.confirmed += counts->operations[j].confirmed;
		}
		any_inputs = any_inputs || sums.inputs > 0;
		if (done || (!any_inputs && sums.requests == 0))
			continue;
		put_labeled(sink, REQUESTS, server, &label, 1, sums.requests);
		if (!any_inputs)
			continue;
		put_labeled(sink, INPUTS, server, &label, 1, sums.inputs);
		put_labeled(sink, CONFIRMED, server, &label, 1, sums.confirmed);
	}
}

static bool
has_inputs(HubspotOperation operation)
{
	return operation < HUBSPOT_TOKEN &&
		hubspot_endpoint(operation)->input_shape != HUBSPOT_INPUT_NONE;
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
	put(sink, PRELOADED, NULL, preloaded);
	put(sink, LAUNCHER_UP, NULL, preloaded && hubspot_launcher_is_there());
	put(sink, WORKERS, NULL, workers);
}

static void
put_faults(const Sink *sink)
{
	TimestampTz now = GetCurrentTimestamp();
	HubspotFault *faults;
	int			nfaults = hubspot_faults(&faults);

	for (int i = 0; i < nfaults; i++)
	{
		const Label label = {"sqlstate", unpack_sql_state(faults[i].sqlstate)};
		bool		older = false;

		/* a server may have several roles: one figure, of the oldest */
		for (int j = 0; j < nfaults && !older; j++)
			older = j != i && strcmp(faults[j].server, faults[i].server) == 0 &&
				faults[j].sqlstate == faults[i].sqlstate &&
				(faults[j].since < faults[i].since ||
				 (j < i && faults[j].since == faults[i].since));
		if (!older)
			put_labeled(sink, FAULT, faults[i].server, &label, 1,
						Max(now - faults[i].since, 0) / (double) USECS_PER_SEC);
	}
}

/* How many rows wait, by the server's own statistics. */
static void
put_live_rows(const Sink *sink, Oid outbox)
{
	Datum		count = DirectFunctionCall1(pg_stat_get_live_tuples, ObjectIdGetDatum(outbox));

	put(sink, OUTBOX_ROWS, NULL, DatumGetInt64(count));
}

/* The figures of a statement; they are 0 for servers without a row. */
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
			sums[j] = add_up(sums[j], statement, &row, j);
	}
	for (int j = 0; j < statement->ncolumns; j++)
		put_sums(sink, statement, j, sums[j], servers);
	hubspot_rows_free(&rows);
}

/* Add a row's figure of that number, unless it is null, to what its labels have so far. */
static List *
add_up(List *sums, const FigureStatement *statement, const HubspotRow *row, int number)
{
	int			column = ROW_LABELS + statement->nlabels + number;
	Sum		   *sum;

	if (row->isnull[column])
		return sums;
	sum = find_sum(sums, statement, row);
	if (sum == NULL)
	{
		sum = palloc0(sizeof(Sum));
		sum->server = hubspot_get_text(row, ROW_SERVER);
		for (int i = 0; i < statement->nlabels; i++)
			sum->values[i] = hubspot_get_text(row, ROW_LABELS + i);
		sums = lappend(sums, sum);
	}
	if (statement->columns[number].since)
		sum->value = Max(sum->value, ((double) GetCurrentTimestamp() -
									  (double) hubspot_get_time(row, column)) / USECS_PER_SEC);
	else
		sum->value += hubspot_get_int64(row, column);
	return sums;
}

/*
 * The sum that a row belongs to, or NULL.  Rows of one server come together, as a rule, so
 * it is the last sum, or near.
 */
static Sum *
find_sum(const List *sums, const FigureStatement *statement, const HubspotRow *row)
{
	for (int i = list_length(sums) - 1; i >= 0; i--)
	{
		Sum		   *sum = list_nth(sums, i);

		if (has_values(sum, statement, row))
			return sum;
	}
	return NULL;
}

static bool
has_values(const Sum *sum, const FigureStatement *statement, const HubspotRow *row)
{
	if (!hubspot_equals_text(row, ROW_SERVER, sum->server))
		return false;
	for (int i = 0; i < statement->nlabels; i++)
	{
		if (!hubspot_equals_text(row, ROW_LABELS + i, sum->values[i]))
			return false;
	}
	return true;
}

static void
put_sums(const Sink *sink, const FigureStatement *statement, int number, const List *sums,
		 const List *servers)
{
	Figure		figure = statement->columns[number].figure;
	const ListCell *lc;

	foreach(lc, sums)
	{
		const Sum  *sum = lfirst(lc);
		Label		labels[MAX_LABELS];

		for (int i = 0; i < statement->nlabels; i++)
		{
			labels[i].name = statement->labels[i];
			labels[i].value = sum->values[i];
		}
		put_labeled(sink, figure, sum->server, labels, statement->nlabels, sum->value);
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
			put(sink, figure, server->server_name, 0);
	}
}
