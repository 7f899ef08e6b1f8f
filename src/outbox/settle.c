/*-------------------------------------------------------------------------
 *
 * settle.c
 *	  What became of rows that were sent, and of their accounts.
 *
 * All functions here need a transaction with a snapshot.  None waits for the lock of a row,
 * since that would hold up the whole account: locked rows of the outbox stay as they are, and
 * are sent again; locked dead letters that are no longer of use are remembered, and deleted as
 * soon as possible.
 *
 * IDENTIFICATION
 *	  src/outbox/settle.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "api/error.h"
#include "outbox/event.h"
#include "outbox/history_entry.h"
#include "outbox/precedence.h"
#include "outbox/row_ids.h"
#include "outbox/settle.h"
#include "schema/prepared.h"

/* The rows of $1 that nobody has locked. */
#define UNLOCKED \
	"SELECT l.id FROM %1$s.hs_assoc_outbox AS l WHERE l.id = ANY ($1) FOR UPDATE SKIP LOCKED"

#define ROW_COLUMNS \
	"id, server, role, operation, from_type, from_id, to_type, to_id," \
	" type_ids, category, labels, keep_labels, link_table, enqueued_at," \
	" from_property, from_key, to_property, to_key"

/* attempts, increased by one; a user may have set it to the largest integer */
#define ONE_MORE	"attempts + (attempts < 2147483647)::int"

/* How long a row that cannot become a dead letter yet waits, in microseconds. */
#define NO_ROOM_DELAY	(60 * INT64CONST(1000000))

/* Rows that were dead letters before, and were put back */
#define PUT_BACK(row)	row ".error_category IS NOT NULL"

enum
{
	OUTDATED_BY
};

enum
{
	OUTDATED_ID,
	OUTDATED_ROLE
};

/*
 * Dead letters, and those that were put back while the later row was in flight,
 * that the confirmed rows $1 outdate
 */
static HubspotStatement outdated_statement = {
	.text =
	"SELECT o.id, o.role::oid FROM %1$s.hs_assoc_dead_letter AS o, %1$s.hs_assoc_outbox AS n"
	" WHERE n.id = ANY ($1) AND " HUBSPOT_SQL_SAME_PAIR " AND " HUBSPOT_SQL_OUTDATES
	" UNION ALL "
	"SELECT o.id, o.role::oid FROM %1$s.hs_assoc_dead_letter AS o, %1$s.hs_assoc_outbox AS n"
	" WHERE n.id = ANY ($1) AND " HUBSPOT_SQL_SAME_KEYS " AND " HUBSPOT_SQL_OUTDATES
	" UNION ALL "
	"SELECT o.id, o.role::oid FROM %1$s.hs_assoc_outbox AS o, %1$s.hs_assoc_outbox AS n"
	" WHERE n.id = ANY ($1) AND " HUBSPOT_SQL_SAME_PAIR " AND " PUT_BACK("o") " AND " HUBSPOT_SQL_OUTDATES,
	.types = {[OUTDATED_BY] = INT8ARRAYOID}
};

/* The parameters of the statement that deletes dead letters, wherever they are */
enum
{
	LETTERS_IDS,
	LETTERS_SERVER
};

#define LETTERS_TYPES \
	[LETTERS_IDS] = INT8ARRAYOID, \
	[LETTERS_SERVER] = TEXTOID

static HubspotStatement delete_letters_statement = {
	.text =
	"DELETE FROM %1$s.hs_assoc_dead_letter WHERE id = ANY (ARRAY("
	" SELECT d.id FROM %1$s.hs_assoc_dead_letter AS d WHERE d.id = ANY ($1) FOR UPDATE SKIP LOCKED))",
	.types = {[LETTERS_IDS] = INT8ARRAYOID}
};

static HubspotStatement delete_rows_statement = {
	.text =
	"DELETE FROM %1$s.hs_assoc_outbox AS o WHERE o.id = ANY (ARRAY(" UNLOCKED "))"
	" AND " PUT_BACK("o"),
	.types = {[LETTERS_IDS] = INT8ARRAYOID}
};

/*
 * Remember those that are still there; each is in one of the two tables,
 * whoever moves it.
 */
static HubspotStatement remember_statement = {
	.text =
	"INSERT INTO %1$s.hs_assoc_outdated (server, id)"
	" SELECT $2, i FROM unnest($1) AS i"
	" WHERE EXISTS (SELECT FROM %1$s.hs_assoc_dead_letter AS d WHERE d.id = i)"
	"  OR EXISTS (SELECT FROM %1$s.hs_assoc_outbox AS o WHERE o.id = i AND " PUT_BACK("o") ")",
	.types = {LETTERS_TYPES}
};

enum
{
	REMEMBERED_SERVER
};

enum
{
	REMEMBERED_ID
};

static HubspotStatement remembered_statement = {
	.text =
	"SELECT u.id FROM %1$s.hs_assoc_outdated AS u WHERE u.server = $1 " HUBSPOT_SQL_SOME,
	.types = {[REMEMBERED_SERVER] = TEXTOID}
};

static HubspotStatement gone_statement = {
	.text =
	"DELETE FROM %1$s.hs_assoc_outdated AS u WHERE u.ctid = ANY (ARRAY("
	" SELECT l.ctid FROM %1$s.hs_assoc_outdated AS l WHERE l.server = $2 AND l.id = ANY ($1)"
	"  AND NOT EXISTS (SELECT FROM %1$s.hs_assoc_dead_letter AS d WHERE d.id = l.id)"
	"  AND NOT EXISTS (SELECT FROM %1$s.hs_assoc_outbox AS o WHERE o.id = l.id AND " PUT_BACK("o") ")"
	" FOR UPDATE SKIP LOCKED))",
	.types = {LETTERS_TYPES}
};

/* The parameters of the statements on rows that are done */
enum
{
	DONE_IDS,
	DONE_TIDS,
	DONE_SENT_AT,
	DONE_KEEP					/* ms */
};

/* Delete rows by their place, unless somebody has changed them since. */
#define DELETE_IN_PLACE \
	"DELETE FROM %1$s.hs_assoc_outbox WHERE ctid = ANY (ARRAY(" \
	" SELECT l.ctid FROM unnest($1, $2) AS c (id, tid)" \
	" JOIN %1$s.hs_assoc_outbox AS l ON l.ctid = c.tid AND l.id = c.id" \
	" FOR UPDATE OF l SKIP LOCKED))"

#define DELETE_BY_ID \
	"DELETE FROM %1$s.hs_assoc_outbox WHERE id = ANY (ARRAY(" UNLOCKED "))"

/* Delete rows, and keep them in hs_assoc_sent */
#define KEEP(delete) \
	"WITH done AS (" delete " RETURNING " ROW_COLUMNS ", attempts) " \
	"INSERT INTO %1$s.hs_assoc_sent (" ROW_COLUMNS ", attempts, sent_at, keep_until)" \
	" SELECT " ROW_COLUMNS ", attempts, $3, $3 + $4 * interval '1 ms' FROM done ON CONFLICT DO NOTHING"

#define DONE_TYPES \
	.types = { \
		[DONE_IDS] = INT8ARRAYOID, \
		[DONE_TIDS] = TIDARRAYOID, \
		[DONE_SENT_AT] = TIMESTAMPTZOID, \
		[DONE_KEEP] = INT4OID \
	}

/* The statements, each once by place and once by id */
static HubspotStatement done_statements[] = {
	{.text = DELETE_IN_PLACE, DONE_TYPES},
	{.text = DELETE_BY_ID, DONE_TYPES}
};
static HubspotStatement done_keep_statements[] = {
	{.text = KEEP(DELETE_IN_PLACE), DONE_TYPES},
	{.text = KEEP(DELETE_BY_ID), DONE_TYPES}
};

enum
{
	LEFT_ID
};

static HubspotStatement left_statement = {
	.text = "SELECT o.id FROM %1$s.hs_assoc_outbox AS o WHERE o.id = ANY ($1)",
	.types = {[DONE_IDS] = INT8ARRAYOID}
};

/* What is changed in each of some rows, unless somebody has locked it */
#define UPDATE_FAILED(assignments) \
	"UPDATE %1$s.hs_assoc_outbox AS o SET " assignments "," \
	" http_status = " HUBSPOT_SQL_FAILED_STATUS("k.reason") "," \
	" error_category = " HUBSPOT_SQL_FAILED_CATEGORY("k.reason") "," \
	" error_message = " HUBSPOT_SQL_FAILED_MESSAGE("k.reason") "," \
	" correlation_id = " HUBSPOT_SQL_FAILED_CORRELATION_ID("k.reason") \
	" FROM " HUBSPOT_SQL_FAILED " WHERE o.id = k.failed_id"

enum
{
	AGAIN_MAX_ATTEMPTS = HUBSPOT_FAILURE_NPARAMETERS
};

enum
{
	AGAIN_ID
};

static HubspotStatement again_statement = {
	.text =
	UPDATE_FAILED("attempts = " ONE_MORE ","
				  " not_before = clock_timestamp() + least(interval '5 s' * 2 ^ least(attempts, 20),"
				  "  interval '1 h') * (0.5 + random() / 2)")
	" AND " ONE_MORE " < $7 RETURNING o.id",
	.types = {HUBSPOT_FAILURE_TYPES,[AGAIN_MAX_ATTEMPTS] = INT4OID}
};

/*
 * The row has an attempt behind it, so that it does not go with others of its
 * pair.
 */
static HubspotStatement apart_statement = {
	.text =
	UPDATE_FAILED("attempts = " ONE_MORE ", not_before = clock_timestamp()"),
	.types = {HUBSPOT_FAILURE_TYPES}
};

enum
{
	LATER_NOT_BEFORE = HUBSPOT_FAILURE_NPARAMETERS
};

static HubspotStatement later_statement = {
	.text =
	UPDATE_FAILED("not_before = $7"),
	.types = {HUBSPOT_FAILURE_TYPES,[LATER_NOT_BEFORE] = TIMESTAMPTZOID}
};

/* Wait twice as long each time, whatever has put the row off before. */
static HubspotStatement longer_statement = {
	.text =
	UPDATE_FAILED("not_before = clock_timestamp() + least(interval '1 h',"
				  " greatest(interval '10 s', clock_timestamp() - o.enqueued_at))"),
	.types = {HUBSPOT_FAILURE_TYPES}
};

/*
 * An earlier dead letter may have the id already, after setval or a restore of
 * one table: it is moved to a lower id, an even one (see outbox.h), unless somebody has
 * locked it.
 */
static HubspotStatement make_room_statement = {
	.text =
	"UPDATE %1$s.hs_assoc_dead_letter AS o SET id = k.below"
	" FROM (SELECT l.id, least((SELECT min(d.id) FROM %1$s.hs_assoc_dead_letter AS d), 0) / 2 * 2"
	"   - 2 * row_number() OVER (ORDER BY l.id DESC) AS below"
	"  FROM (SELECT u.id FROM %1$s.hs_assoc_dead_letter AS u WHERE u.id = ANY ($1)"
	"   FOR UPDATE SKIP LOCKED) AS l) AS k"
	" WHERE o.id = k.id",
	.types = {HUBSPOT_FAILURE_TYPES}
};

enum
{
	DEAD_OBJECTS = HUBSPOT_FAILURE_NPARAMETERS,
	DEAD_ONCE					/* the object is for the first row alone */
};

static HubspotStatement dead_statement = {
	.text =
	"WITH dead AS (DELETE FROM %1$s.hs_assoc_outbox AS o USING " HUBSPOT_SQL_FAILED
	"  WHERE o.id = k.failed_id"
	"  AND NOT EXISTS (SELECT FROM %1$s.hs_assoc_dead_letter AS d WHERE d.id = o.id)"
	" RETURNING " ROW_COLUMNS ", wait_for_records, " HUBSPOT_SQL_WHO ","
	"  " ONE_MORE " AS attempts_made, reason),"
	" historic AS (" HUBSPOT_SQL_INTO_HISTORY("dead",
											  "server, role, operation, from_type, to_type, keep_labels, attempts_made",
											  "dead_letter",
											  HUBSPOT_SQL_FAILED_STATUS("reason"),
											  HUBSPOT_SQL_FAILED_CATEGORY("reason"),
											  ", server, role, operation, from_type, to_type, keep_labels, attempts_made, reason") "),"
	" noted AS (" HUBSPOT_SQL_NOTE_EVENTS(HUBSPOT_EVENT_DEAD_LETTER, "dead") ") "
	"INSERT INTO %1$s.hs_assoc_dead_letter (" ROW_COLUMNS ", wait_for_records, " HUBSPOT_SQL_WHO ", attempts, died_at,"
	" http_status, error_category, error_message, correlation_id, error)"
	" SELECT " ROW_COLUMNS ", wait_for_records, " HUBSPOT_SQL_WHO ", attempts_made, clock_timestamp(),"
	"  " HUBSPOT_SQL_FAILED_STATUS("reason") ", " HUBSPOT_SQL_FAILED_CATEGORY("reason") ","
	"  " HUBSPOT_SQL_FAILED_MESSAGE("reason") ", " HUBSPOT_SQL_FAILED_CORRELATION_ID("reason") ","
	"  CASE WHEN ($8)[reason] AND id <> first_value(id) OVER of_reason"
	"   THEN jsonb_build_object('see_dead_letter', first_value(id) OVER of_reason)"
	"   ELSE ($7)[reason] END"
	" FROM dead WINDOW of_reason AS (PARTITION BY reason ORDER BY id)",
	.types = {HUBSPOT_FAILURE_TYPES,[DEAD_OBJECTS] = JSONBARRAYOID,[DEAD_ONCE] = BOOLARRAYOID}
};

/* The parameters of statements on an account; those of a failure come last. */
enum
{
	ACCOUNT_SERVER,
	ACCOUNT_ROLE,
	ACCOUNT_STATUS,
	ACCOUNT_CATEGORY,
	ACCOUNT_MESSAGE
};

#define ACCOUNT_TYPES \
	[ACCOUNT_SERVER] = TEXTOID, \
	[ACCOUNT_ROLE] = REGROLEOID

#define ACCOUNT_FAILURE_TYPES \
	[ACCOUNT_STATUS] = INT4OID, \
	[ACCOUNT_CATEGORY] = TEXTOID, \
	[ACCOUNT_MESSAGE] = TEXTOID

#define MIN_BACKOFF		"interval '" CppAsString2(HUBSPOT_MIN_BACKOFF) " s'"
#define MAX_BACKOFF		"interval '" CppAsString2(HUBSPOT_MAX_BACKOFF) " s'"

#define UNLOCKED_BACKOFF \
	"(SELECT l.server, l.role FROM %1$s.hs_assoc_backoff AS l" \
	" WHERE l.server = $1 AND l.role = $2 FOR UPDATE SKIP LOCKED)"

static HubspotStatement account_failed_again_statement = {
	.text =
	"UPDATE %1$s.hs_assoc_backoff AS b SET failures = b.failures + 1,"
	"  retry_at = clock_timestamp() + least(" MIN_BACKOFF " * 2 ^ least(b.failures, 10), " MAX_BACKOFF "),"
	"  http_status = $3, error_category = $4, error_message = $5"
	" FROM " UNLOCKED_BACKOFF " AS k WHERE b.server = k.server AND b.role = k.role",
	.types = {ACCOUNT_TYPES, ACCOUNT_FAILURE_TYPES}
};

static HubspotStatement account_failed_statement = {
	.text =
	"INSERT INTO %1$s.hs_assoc_backoff (server, role, failures, retry_at,"
	"  http_status, error_category, error_message)"
	" SELECT $1, $2, 1, clock_timestamp() + " MIN_BACKOFF ", $3, $4, $5"
	" WHERE NOT EXISTS (SELECT FROM %1$s.hs_assoc_backoff WHERE server = $1 AND role = $2)"
	" ON CONFLICT DO NOTHING",
	.types = {ACCOUNT_TYPES, ACCOUNT_FAILURE_TYPES}
};

static HubspotStatement account_well_statement = {
	.text =
	"DELETE FROM %1$s.hs_assoc_backoff AS b"
	" USING " UNLOCKED_BACKOFF " AS k WHERE b.server = k.server AND b.role = k.role",
	.types = {ACCOUNT_TYPES}
};

static HubspotStatement forget_statement = {
	.text =
	"DELETE FROM %1$s.hs_assoc_sent WHERE ctid = ANY (ARRAY("
	" SELECT ctid FROM %1$s.hs_assoc_sent WHERE keep_until < now()"
	" ORDER BY keep_until " HUBSPOT_SQL_SOME " FOR UPDATE SKIP LOCKED))",
};

/* The rows that the last query here has returned. */
static HubspotRows rows;

/* What was settled since this was last asked for; the transaction may be undone. */
static HubspotSettled settled;

static bool is_refusal(HubspotVerdict verdict);
static int	leave_locked(const HubspotValues *values, const HubspotClaim *const *claims,
						 int nclaims, const HubspotClaim *const **others);
static void delete_outdated(const char *server,
							const int64 *ids, int nids,
							HubspotStatement *afterwards);

/*
 * HubSpot has confirmed these rows, whatever else is to be done about them:
 * delete the dead letters of their pairs that would undo them.
 */
void
hubspot_settle_confirmed(const HubspotClaimant *claimant,
						 const HubspotClaim *const *claims, int nclaims)
{
	HubspotValues values = {0};
	int64	   *outdated;
	int			noutdated = 0;

	hubspot_set_datum(&values, OUTDATED_BY, hubspot_claim_ids(claims, nclaims));
	hubspot_query(&outdated_statement, &values, &rows);
	outdated = palloc(sizeof(int64) * Max(rows.count, 1));
	for (uint64 i = 0; i < rows.count; i++)
	{
		HubspotRow	row;

		hubspot_read_row(&rows, i, &row);
		/* rows of another login may be of another account */
		if (hubspot_claimant_is_with(claimant, hubspot_get_oid(&row, OUTDATED_ROLE)))
			outdated[noutdated++] = hubspot_get_int64(&row, OUTDATED_ID);
	}
	if (noutdated > 0)
		delete_outdated(claimant->server, outdated, noutdated,
						&remember_statement);
}

/*
 * Rows of a lane are done: delete them, and keep them in hs_assoc_sent for that many
 * milliseconds, if any.  history: it may be kept of some of them.
 */
void
hubspot_settle_done(const HubspotClaimant *claimant, const HubspotLane *lane,
					const HubspotClaim *const *claims, int nclaims,
					TimestampTz sent_at, int keep, bool history)
{
	HubspotStatement *statements = keep > 0 ? done_keep_statements : done_statements;
	HubspotValues values = {0};
	uint64		ndone;

	hubspot_set_time(&values, DONE_SENT_AT, sent_at);
	hubspot_set_int32(&values, DONE_KEEP, keep);
	hubspot_set_datum(&values, DONE_IDS, hubspot_claim_ids(claims, nclaims));
	hubspot_set_datum(&values, DONE_TIDS, hubspot_claim_tids(claims, nclaims));
	ndone = hubspot_execute(&statements[0], &values);
	if (ndone < (uint64) nclaims)
		ndone += hubspot_execute(&statements[1], &values);
	settled.done += nclaims;
	if (history && ndone < (uint64) nclaims)
		nclaims = leave_locked(&values, claims, nclaims, &claims);
	if (history)
		hubspot_history_put(claimant, lane, claims, nclaims);
}

/*
 * Rows that somebody has locked stay, and are sent again.  Finds the others, and returns how
 * many there are.
 */
static int
leave_locked(const HubspotValues *values, const HubspotClaim *const *claims, int nclaims,
			 const HubspotClaim *const **others)
{
	const HubspotClaim **done = palloc(sizeof(HubspotClaim *) * nclaims);
	int64	   *ids = palloc(sizeof(int64) * nclaims);
	int			nids;
	int			ndone = 0;

	for (int i = 0; i < nclaims; i++)
		ids[i] = claims[i]->id;
	hubspot_query(&left_statement, values, &rows);
	nids = hubspot_row_ids_without(ids, nclaims, &rows, LEFT_ID, ids);
	hubspot_rows_free(&rows);
	for (int i = 0; i < nclaims && ndone < nids; i++)
	{
		if (claims[i]->id == ids[ndone])
			done[ndone++] = claims[i];
	}
	*others = done;
	return ndone;
}

/* How many rows this process has settled since it was last asked. */
HubspotSettled
hubspot_settle_counted(void)
{
	HubspotSettled result = settled;

	memset(&settled, 0, sizeof(settled));
	return result;
}

/* Delete outdated dead letters wherever they are, if nobody has locked them. */
static void
delete_outdated(const char *server,
				const int64 *ids, int nids, HubspotStatement *afterwards)
{
	HubspotValues values = {0};

	hubspot_set_datum(&values, LETTERS_IDS, hubspot_row_ids(ids, nids));
	hubspot_set_text(&values, LETTERS_SERVER, server);
	hubspot_execute(&delete_letters_statement, &values);
	hubspot_execute(&delete_rows_statement, &values);
	hubspot_execute(afterwards, &values);
}

/*
 * Delete those dead letters of a server that were outdated while somebody had locked them,
 * wherever they are by now, unless they are still locked.
 */
void
hubspot_settle_outdated(const char *server)
{
	HubspotValues values = {0};
	int64	   *ids;

	hubspot_set_text(&values, REMEMBERED_SERVER, server);
	hubspot_query(&remembered_statement, &values, &rows);
	ids = palloc(sizeof(int64) * Max(rows.count, 1));
	for (uint64 i = 0; i < rows.count; i++)
	{
		HubspotRow	row;

		hubspot_read_row(&rows, i, &row);
		ids[i] = hubspot_get_int64(&row, REMEMBERED_ID);
	}
	if (rows.count > 0)
		delete_outdated(server, ids, (int) rows.count, &gone_statement);
}

/*
 * Record a failed attempt of rows.  They are tried again, but for those that have had their
 * last attempt, which are given up.
 */
void
hubspot_settle_failed(const HubspotFailure *failures, int nfailures,
					  int max_attempts)
{
	HubspotValues values = {0};

	hubspot_set_failures(&values, failures, nfailures);
	hubspot_set_int32(&values, AGAIN_MAX_ATTEMPTS, max_attempts);
	hubspot_query(&again_statement, &values, &rows);
	hubspot_settle_others_dead(failures, nfailures, &rows, AGAIN_ID);
}

/* Give up rows, but for those in a column of what a statement has returned. */
void
hubspot_settle_others_dead(const HubspotFailure *failures, int nfailures,
						   const HubspotRows *settled, int column)
{
	HubspotFailure *last;
	int64	   *ids;
	int			nids;
	int			nlast = 0;

	if (settled->count == (uint64) nfailures)
		return;
	ids = palloc(sizeof(int64) * nfailures);
	for (int i = 0; i < nfailures; i++)
		ids[i] = failures[i].id;
	nids = hubspot_row_ids_without(ids, nfailures, settled, column, ids);

	/* the rows are in the same order */
	last = palloc(sizeof(HubspotFailure) * Max(nids, 1));
	for (int i = 0; i < nfailures && nlast < nids; i++)
	{
		if (failures[i].id == ids[nlast])
			last[nlast++] = failures[i];
	}
	hubspot_settle_dead_each(last, nlast);
}

/*
 * The rows were refused together with others of their pairs: each is sent
 * again, at once and by itself.
 */
void
hubspot_settle_apart(const HubspotFailure *failures, int nfailures)
{
	HubspotValues values = {0};

	hubspot_set_failures(&values, failures, nfailures);
	hubspot_execute(&apart_statement, &values);
}

/* Nothing is wrong with the rows, but they cannot be sent before that time. */
void
hubspot_settle_later(const HubspotFailure *failures, int nfailures,
					 TimestampTz not_before)
{
	HubspotValues values = {0};

	hubspot_set_failures(&values, failures, nfailures);
	hubspot_set_time(&values, LATER_NOT_BEFORE, not_before);
	hubspot_execute(&later_statement, &values);
}

/* Likewise, but for longer: it is of no use to ask often whether that has changed. */
void
hubspot_settle_longer(const HubspotFailure *failures, int nfailures)
{
	HubspotValues values = {0};

	hubspot_set_failures(&values, failures, nfailures);
	hubspot_execute(&longer_statement, &values);
}

/* Give up rows for one reason. */
void
hubspot_settle_dead(const int64 *ids, int nids, const HubspotError *error)
{
	hubspot_settle_dead_each(hubspot_failures_alike(ids, nids, error), nids);
}

/*
 * Give up rows: they become dead letters, or do so later if somebody has
 * locked one with their id.  Only the first of the rows with one reason gets a
 * large error object.
 */
void
hubspot_settle_dead_each(const HubspotFailure *failures, int nfailures)
{
	HubspotValues values = {0};
	int64		ndead;

	hubspot_set_failures(&values, failures, nfailures);
	hubspot_set_failure_objects(&values, DEAD_OBJECTS, DEAD_ONCE, failures, nfailures);
	hubspot_execute(&make_room_statement, &values);
	hubspot_event_noted();
	ndead = hubspot_execute(&dead_statement, &values);
	settled.dead += ndead;
	if (ndead < nfailures)
		hubspot_settle_later(failures, nfailures,
							 GetCurrentTimestamp() + NO_ROOM_DELAY);
}

/*
 * Record that the account can be used again (error NULL), or that nothing can
 * be sent to it.  False: somebody has locked its row.
 */
bool
hubspot_settle_account(const HubspotClaimant *claimant, const HubspotError *error)
{
	HubspotValues values = {0};

	hubspot_set_text(&values, ACCOUNT_SERVER, claimant->server);
	hubspot_set_oid(&values, ACCOUNT_ROLE, claimant->role);
	if (error == NULL)
		return hubspot_execute(&account_well_statement, &values) > 0;
	if (error->http_status)
		hubspot_set_int32(&values, ACCOUNT_STATUS, error->http_status);
	hubspot_set_text(&values, ACCOUNT_CATEGORY, error->category);
	hubspot_set_text(&values, ACCOUNT_MESSAGE, error->message);
	if (is_refusal(error->verdict))
		hubspot_event_note(claimant->server, HUBSPOT_EVENT_ACCOUNT_REFUSED, 1);
	return hubspot_execute(&account_failed_again_statement, &values) > 0 ||
		hubspot_execute(&account_failed_statement, &values) > 0;
}

/* Is the account refused, by HubSpot or for want of what it takes to ask? */
static bool
is_refusal(HubspotVerdict verdict)
{
	return verdict == HUBSPOT_VERDICT_ACCOUNT || verdict == HUBSPOT_VERDICT_FOREIGN ||
		verdict == HUBSPOT_VERDICT_NO_TOKEN;
}

/* Forget some of the sent rows whose time is over. */
void
hubspot_settle_forget(void)
{
	hubspot_execute(&forget_statement, NULL);
}
