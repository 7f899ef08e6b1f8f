/*-------------------------------------------------------------------------
 *
 * waiting.c
 *	  What waits in the outbox, and why.
 *
 * IDENTIFICATION
 *	  src/outbox/waiting.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "outbox/waiting.h"
#include "schema/prepared.h"

/* How many rows are looked at, and how many reasons are told. */
#define MAX_ROWS	"100000"
#define MAX_REASONS	20

enum
{
	COUNTED_ROWS
};

static HubspotStatement count_statement = {
	.text = "SELECT count(*) FROM %1$s.hs_assoc_outbox"
};

enum
{
	REASONS_SERVER
};

enum
{
	REASON_SERVER,
	REASON_ROWS,
	REASON_TEXT,
	REASON_PAUSED,
	REASON_FAILED,
	REASON_PUT_OFF
};

/* Why rows of a server, or of all (null), wait; nothing that names a record. */
static HubspotStatement reasons_statement = {
	.text =
	"SELECT w.server, count(*), w.reason, w.paused, w.failed, w.put_off FROM ("
	"SELECT o.server, CASE"
	" WHEN p.server IS NOT NULL THEN 'the account is paused'"
	" WHEN b.retry_at > clock_timestamp() THEN"
	" concat('the account failed', ' (' || left(coalesce(b.http_status::text, b.error_category), 100) || ')',"
	" ', and is tried again at ', date_trunc('second', b.retry_at))"
	" WHEN o.not_before > clock_timestamp() AND o.waited > '0' THEN 'for records that HubSpot does not have'"
	" WHEN" HUBSPOT_SQL_PUT_OFF("o") "THEN"
	" concat('put off (', left(coalesce(o.error_category, o.http_status::text), 100), ')')"
	" WHEN o.not_before > clock_timestamp() AND o.attempts > 0 THEN 'to be tried again later'"
	" WHEN o.not_before > clock_timestamp() THEN"
	" 'for others of their records that come first, or because these change often'"
	" ELSE 'due: call hs_assoc_flush again, unless another process is sending, or something is to be sent first' END AS reason,"
	" p.server IS NOT NULL AS paused,"
	" p.server IS NULL AND b.retry_at > clock_timestamp() AS failed,"
	" p.server IS NULL AND" HUBSPOT_SQL_PUT_OFF("o") "AS put_off"
	" FROM (SELECT * FROM %1$s.hs_assoc_outbox AS r WHERE $1 IS NULL OR r.server = $1 LIMIT " MAX_ROWS ") AS o"
	" LEFT JOIN %1$s.hs_assoc_account_pause AS p ON p.server = o.server"
	" LEFT JOIN %1$s.hs_assoc_backoff AS b ON b.server = o.server AND b.role = o.role) AS w"
	" GROUP BY w.server, w.reason, w.paused, w.failed, w.put_off ORDER BY count(*) DESC, w.server, w.reason",
	.types = {[REASONS_SERVER] = TEXTOID}
};

/* Is a server paused, or any (null)? */
static HubspotStatement paused_statement = {
	.text = "SELECT FROM %1$s.hs_assoc_account_pause AS p WHERE $1 IS NULL OR p.server = $1 LIMIT 1",
	.types = {[REASONS_SERVER] = TEXTOID}
};

static HubspotStatement discard_statement = {
	.text = "DELETE FROM %1$s.hs_assoc_outbox"
};

/* What was in flight elsewhere undoes nothing that a later operation does here. */
static HubspotStatement discard_doubts_statement = {
	.text = "DELETE FROM %1$s.hs_assoc_doubt"
};

static HubspotStatement forget_backoff_statement = {
	.text = "DELETE FROM %1$s.hs_assoc_backoff"
};

static void note_server(const char **server, const HubspotRow *row, int column);

/* How many operations wait. */
int64
hubspot_waiting_count(void)
{
	HubspotRows rows;
	HubspotRow	row;
	int64		count;

	hubspot_query(&count_statement, NULL, &rows);
	hubspot_read_row(&rows, 0, &row);
	count = hubspot_get_int64(&row, COUNTED_ROWS);
	hubspot_rows_free(&rows);
	return count;
}

/* Is a server paused, or any (NULL), so that its operations may wait? */
bool
hubspot_waiting_is_paused(const char *server)
{
	HubspotValues values = {0};

	hubspot_set_text(&values, REASONS_SERVER, server);
	return hubspot_execute(&paused_statement, &values) > 0;
}

/*
 * How many operations of a server, or of all (NULL), wait, and why, a line for each server and
 * reason.  If there are very many, only some are looked at, and the number is negative.  held:
 * a server that is paused, one that has failed, and one whose operations are put off, each
 * the one for which most operations wait.
 */
int64
hubspot_waiting_tell(const char *server, StringInfo reasons, HubspotHeldServers *held)
{
	HubspotValues values = {0};
	HubspotRows rows;
	int64		count = 0;

	held->paused = held->failed = held->put_off = NULL;
	hubspot_set_text(&values, REASONS_SERVER, server);
	hubspot_query(&reasons_statement, &values, &rows);
	for (uint64 i = 0; i < rows.count; i++)
	{
		HubspotRow	row;
		int64		waits;

		hubspot_read_row(&rows, i, &row);
		waits = hubspot_get_int64(&row, REASON_ROWS);
		count += waits;
		note_server(&held->paused, &row, REASON_PAUSED);
		note_server(&held->failed, &row, REASON_FAILED);
		note_server(&held->put_off, &row, REASON_PUT_OFF);
		if (i < MAX_REASONS)
			appendStringInfo(reasons, "%s%s: " INT64_FORMAT " %s: %s.", i > 0 ? "\n" : "",
							 hubspot_get_text(&row, REASON_SERVER),
							 waits, waits == 1 ? "waits" : "wait",
							 hubspot_get_text(&row, REASON_TEXT));
	}
	if (rows.count > MAX_REASONS)
		appendStringInfo(reasons, rows.count == MAX_REASONS + 1 ?
						 "\nThere is " UINT64_FORMAT " more reason; hs_assoc_outbox_stat and hs_assoc_backoff have them all." :
						 "\nThere are " UINT64_FORMAT " more reasons; hs_assoc_outbox_stat and hs_assoc_backoff have them all.",
						 rows.count - MAX_REASONS);
	hubspot_rows_free(&rows);
	return count >= atoi(MAX_ROWS) ? -count : count;
}

/* The first server of which something is true; null counts as false. */
static void
note_server(const char **server, const HubspotRow *row, int column)
{
	if (*server == NULL && !row->isnull[column] && hubspot_get_bool(row, column))
		*server = pstrdup(hubspot_get_text(row, REASON_SERVER));
}

/* Delete all that waits; returns how many operations that were. */
int64
hubspot_waiting_discard(void)
{
	hubspot_execute(&discard_doubts_statement, NULL);
	return hubspot_execute(&discard_statement, NULL);
}

/* Have accounts that wait after failures tried at once. */
void
hubspot_waiting_begin_anew(void)
{
	hubspot_execute(&forget_backoff_statement, NULL);
}
