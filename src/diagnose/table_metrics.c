/*-------------------------------------------------------------------------
 *
 * table_metrics.c
 *	  Figures that come from tables: what waits, what has failed, what differs.
 *
 * Nothing here reads what waits: how much that is comes from the server's own statistics, and
 * how late it is from one end of an index.  Dead letters, and rows that wait for records, are
 * counted up to a bound, which their help tells.
 *
 * IDENTIFICATION
 *	  src/diagnose/table_metrics.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "account/option.h"
#include "diagnose/table_metrics.h"
#include "schema/extension.h"
#include "schema/prepared.h"

/* The most figures that one statement gives, and labels beside the database and the server. */
#define MAX_FIGURES		6
#define MAX_LABELS		2

/*
 * Statements return a server, the values of their labels, and a column for each figure.  What
 * they return is added up here: a join or GROUP BY would have hash tables for as many rows as
 * they are planned for (schema/planning.c), and a session's first call had taken a quarter of
 * its time to clear their memory.
 */
enum
{
	ROW_SERVER,
	ROW_LABELS
};

typedef struct FigureColumn
{
	HubspotFigure figure;
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
	.columns = {{HUBSPOT_FIGURE_OUTBOX_LAG, true}},
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
	" AND o.waited > '0' ORDER BY o.waited LIMIT " HUBSPOT_COUNTED_WAITING ") AS r LIMIT " HUBSPOT_COUNTED_WAITING ") AS w)"
	" FROM account AS a",
	.columns = {{HUBSPOT_FIGURE_ROWS_WITHOUT_RECORDS}},
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
	" ORDER BY l.died_at DESC LIMIT " HUBSPOT_COUNTED_DEAD_LETTERS ") AS d",
	.columns = {{HUBSPOT_FIGURE_DEAD_LETTERS}},
	.ncolumns = 1,
	.labels = {"operation", "category"},
	.nlabels = 2
};

static FigureStatement backoff_statement = {
	.statement.text = "SELECT server, coalesce(error_category, ''), since FROM %1$s.hs_assoc_backoff",
	.columns = {{HUBSPOT_FIGURE_BACKOFF, true}},
	.ncolumns = 1,
	.labels = {"category"},
	.nlabels = 1
};

static FigureStatement pause_statement = {
	.statement.text = "SELECT server, 1::bigint FROM %1$s.hs_assoc_account_pause",
	.columns = {{HUBSPOT_FIGURE_PAUSED}},
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
		{HUBSPOT_FIGURE_SYNCS}, {HUBSPOT_FIGURE_INACTIVE_SYNCS},
		{HUBSPOT_FIGURE_COMPARED_RECORDS}, {HUBSPOT_FIGURE_DIFFERENCES},
		{HUBSPOT_FIGURE_REPAIRED}, {HUBSPOT_FIGURE_VERIFY_LATE, true}
	},
	.ncolumns = 6
};

/* By the index, sync by sync. */
#define DIFFERENCES_IN(state) \
	"(SELECT count(*) FROM (SELECT FROM %1$s.hs_assoc_difference AS d" \
	" WHERE d.sync = c.id AND d.state = '" state "' LIMIT " HUBSPOT_COUNTED_DIFFERENCES ") AS d)"

static FigureStatement difference_statement = {
	.statement.text =
	"SELECT c.server, " DIFFERENCES_IN("open") ", " DIFFERENCES_IN("contested")
	" FROM %1$s.hs_assoc_sync_config AS c WHERE c.verify IS NOT NULL",
	.columns = {{HUBSPOT_FIGURE_OPEN_DIFFERENCES}, {HUBSPOT_FIGURE_CONTESTED}},
	.ncolumns = 2
};

/* A figure of a server, with the values of the statement's labels. */
typedef struct Sum
{
	const char *server;
	const char *values[MAX_LABELS];
	double		value;
} Sum;

static void put_live_rows(const HubspotFigureSink *sink, Oid outbox);
static void put_rows(const HubspotFigureSink *sink, FigureStatement *statement,
					 const List *servers);
static List *add_up(List *sums, const FigureStatement *statement, const HubspotRow *row,
					int number);
static Sum *find_sum(const List *sums, const FigureStatement *statement, const HubspotRow *row);
static bool has_values(const Sum *sum, const FigureStatement *statement, const HubspotRow *row);
static void put_sums(const HubspotFigureSink *sink, const FigureStatement *statement,
					 int number, const List *sums, const List *servers);
static void put_zeroes(const HubspotFigureSink *sink, HubspotFigure figure,
					   const List *sums, const List *servers);

/* Give the figures of this database's tables. */
void
hubspot_put_table_figures(const HubspotFigureSink *sink, const List *servers)
{
	HubspotRows rows;
	bool		any_waits;

	put_live_rows(sink, hubspot_outbox_schema(false)->outbox);
	put_rows(sink, &lag_statement, servers);
	any_waits = hubspot_query(&any_waiting_statement, NULL, &rows) > 0;
	hubspot_rows_free(&rows);
	if (any_waits)
		put_rows(sink, &waiting_statement, servers);
	else
		put_zeroes(sink, HUBSPOT_FIGURE_ROWS_WITHOUT_RECORDS, NIL, servers);
	put_rows(sink, &dead_statement, NIL);
	put_rows(sink, &backoff_statement, NIL);
	put_rows(sink, &pause_statement, servers);
	put_rows(sink, &sync_statement, servers);
	put_rows(sink, &difference_statement, servers);
}

/* How many rows wait, by the server's own statistics. */
static void
put_live_rows(const HubspotFigureSink *sink, Oid outbox)
{
	Datum		count = DirectFunctionCall1(pg_stat_get_live_tuples, ObjectIdGetDatum(outbox));

	hubspot_put_figure(sink, HUBSPOT_FIGURE_OUTBOX_ROWS, NULL, DatumGetInt64(count));
}

/* The figures of a statement; they are 0 for servers without a row. */
static void
put_rows(const HubspotFigureSink *sink, FigureStatement *statement, const List *servers)
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
put_sums(const HubspotFigureSink *sink, const FigureStatement *statement, int number, const List *sums,
		 const List *servers)
{
	HubspotFigure figure = statement->columns[number].figure;
	const ListCell *lc;

	foreach(lc, sums)
	{
		const Sum  *sum = lfirst(lc);
		HubspotFigureLabel labels[MAX_LABELS];

		for (int i = 0; i < statement->nlabels; i++)
		{
			labels[i].name = statement->labels[i];
			labels[i].value = sum->values[i];
		}
		hubspot_put_labeled_figure(sink, figure, sum->server, labels, statement->nlabels, sum->value);
	}
	put_zeroes(sink, figure, sums, servers);
}

static void
put_zeroes(const HubspotFigureSink *sink, HubspotFigure figure, const List *sums, const List *servers)
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
			hubspot_put_figure(sink, figure, server->server_name, 0);
	}
}
