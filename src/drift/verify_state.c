/*-------------------------------------------------------------------------
 *
 * verify_state.c
 *	  How far workers have come in comparing tables in sync with HubSpot.
 *
 * There is a row for each sync with verify.  It is written in the transaction of a slice, so
 * that a slice is done once, whatever becomes of the worker.
 *
 * IDENTIFICATION
 *	  src/drift/verify_state.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/elog.h"

#include "drift/verify_state.h"
#include "schema/prepared.h"

/* with what was found of those that are gone */
static HubspotStatement forget_statement = {
	.text =
	"WITH gone AS (DELETE FROM %1$s.hs_assoc_verify AS v WHERE NOT EXISTS ("
	"  SELECT FROM %1$s.hs_assoc_sync_config AS c WHERE c.id = v.sync AND c.verify IS NOT NULL)"
	" RETURNING v.sync) "
	"DELETE FROM %1$s.hs_assoc_difference AS d USING gone WHERE d.sync = gone.sync"
};

static HubspotStatement add_statement = {
	.text =
	"INSERT INTO %1$s.hs_assoc_verify (sync) SELECT c.id FROM %1$s.hs_assoc_sync_config AS c"
	" WHERE c.verify IS NOT NULL"
	"  AND NOT EXISTS (SELECT FROM %1$s.hs_assoc_verify AS v WHERE v.sync = c.id)"
	" ON CONFLICT DO NOTHING"
};

enum
{
	STATE_SYNC,
	STATE_REPAIRS,
	STATE_PLACE,
	STATE_SIZE,
	STATE_NEXT_AT,
	STATE_BEGAN_AT,
	STATE_FAILURES,
	STATE_RECORDS,
	STATE_WANTED,
	STATE_HELD,
	STATE_MISSING,
	STATE_EXTRA,
	STATE_LOGGED,
	STATE_UNKNOWN
};

/*
 * The next one of a role first that has waited longest for one; those that fail come last.
 */
static HubspotStatement states_statement = {
	.text =
	"SELECT v.sync, v.repairs, v.place, v.size, greatest(v.next_at,"
	"  max(v.attempt_at) OVER of_role + least(interval '1 h',"
	"   interval '1 s' * 2 ^ least(sum(v.attempts) OVER of_role, 12))), v.began_at, v.failures, v.records,"
	" v.wanted, v.held, v.missing, v.extra, v.logged, v.unknown"
	" FROM %1$s.hs_assoc_verify AS v JOIN %1$s.hs_assoc_sync_config AS c ON c.id = v.sync"
	" WHERE c.verify IS NOT NULL AND NOT EXISTS ("
	"  SELECT FROM %1$s.hs_assoc_account_pause AS p WHERE p.server = c.server)"
	" WINDOW of_role AS (PARTITION BY c.role)"
	" ORDER BY v.failures > 0, max(v.looked_at) OVER of_role NULLS FIRST,"
	" v.next_at, v.sync"
};

enum
{
	ATTEMPT_SYNC
};

static HubspotStatement attempt_statement = {
	.text = "UPDATE %1$s.hs_assoc_verify SET attempt_at = now(), attempts = attempts + 1 WHERE sync = $1",
	.types = {[ATTEMPT_SYNC] = INT4OID}
};

/* The parameters of a slice, and of a pass. */
enum
{
	SAVE_SYNC,
	SAVE_REPAIRS,
	SAVE_PLACE,
	SAVE_SIZE,
	SAVE_BEGAN_AT,
	SAVE_RECORDS,
	SAVE_WANTED,
	SAVE_HELD,
	SAVE_MISSING,
	SAVE_EXTRA,
	SAVE_LOGGED,
	SAVE_UNKNOWN,
	SAVE_ALL_RECORDS,
	SAVE_ALL_DIFFERENCES,
	SAVE_ALL_REPAIRED
};

static HubspotStatement save_statement = {
	.text =
	"UPDATE %1$s.hs_assoc_verify SET repairs = $2, place = $3, size = $4, began_at = $5,"
	" records = $6, wanted = $7, held = $8, missing = $9, extra = $10, logged = $11,"
	" unknown = $12, all_records = all_records + $13, all_differences = all_differences + $14,"
	" all_repaired = all_repaired + $15, looked_at = now(), failures = 0, sqlstate = NULL,"
	" error_message = NULL, attempt_at = NULL, attempts = 0 WHERE sync = $1",
	.types = {
		[SAVE_SYNC] = INT4OID,
		[SAVE_REPAIRS] = BOOLOID,
		[SAVE_PLACE] = TEXTOID,
		[SAVE_SIZE] = INT4OID,
		[SAVE_BEGAN_AT] = TIMESTAMPTZOID,
		[SAVE_RECORDS] = INT8OID,
		[SAVE_WANTED] = INT8OID,
		[SAVE_HELD] = INT8OID,
		[SAVE_MISSING] = INT8OID,
		[SAVE_EXTRA] = INT8OID,
		[SAVE_LOGGED] = INT8OID,
		[SAVE_UNKNOWN] = INT8OID,
		[SAVE_ALL_RECORDS] = INT8OID,
		[SAVE_ALL_DIFFERENCES] = INT8OID,
		[SAVE_ALL_REPAIRED] = INT8OID
	}
};

enum
{
	END_SYNC,
	END_NEXT_AT,
	END_HELD_BACK
};

static HubspotStatement end_statement = {
	.text =
	"UPDATE %1$s.hs_assoc_verify SET last_began_at = began_at, last_ended_at = now(),"
	" last_records = records, last_missing = missing, last_extra = extra,"
	" last_unknown = unknown, held_back = $3, next_at = $2, repairs = false, place = NULL,"
	" began_at = NULL, records = 0, wanted = 0, held = 0, missing = 0, extra = 0, logged = 0,"
	" unknown = 0 WHERE sync = $1",
	.types = {
		[END_SYNC] = INT4OID,
		[END_NEXT_AT] = TIMESTAMPTZOID,
		[END_HELD_BACK] = TEXTOID
	}
};

enum
{
	PACE_SERVER,
	PACE_UNTIL
};

static HubspotStatement pace_statement = {
	.text =
	"UPDATE %1$s.hs_assoc_verify AS v SET next_at = $2 WHERE v.next_at < $2 AND v.sync = ANY ("
	" ARRAY(SELECT c.id FROM %1$s.hs_assoc_sync_config AS c WHERE c.server = $1))",
	.types = {[PACE_SERVER] = TEXTOID,[PACE_UNTIL] = TIMESTAMPTZOID}
};

enum
{
	FAIL_SYNC,
	FAIL_SIZE,
	FAIL_UNTIL,
	FAIL_SQLSTATE,
	FAIL_MESSAGE
};

static HubspotStatement fail_statement = {
	.text =
	"UPDATE %1$s.hs_assoc_verify SET failures = failures + 1, size = $2, next_at = $3,"
	" sqlstate = $4, error_message = $5, looked_at = now(), attempt_at = NULL, attempts = 0 WHERE sync = $1",
	.types = {
		[FAIL_SYNC] = INT4OID,
		[FAIL_SIZE] = INT4OID,
		[FAIL_UNTIL] = TIMESTAMPTZOID,
		[FAIL_SQLSTATE] = TEXTOID,
		[FAIL_MESSAGE] = TEXTOID
	}
};

/*
 * All syncs with verify, but for those of paused accounts, in the order in which they get
 * their turns: a list of HubspotVerifyState.
 */
List *
hubspot_verify_states(void)
{
	HubspotRows rows;
	List	   *states = NIL;

	hubspot_execute(&forget_statement, NULL);
	hubspot_execute(&add_statement, NULL);
	hubspot_query(&states_statement, NULL, &rows);
	for (uint64 i = 0; i < rows.count; i++)
	{
		HubspotVerifyState *state = palloc0(sizeof(HubspotVerifyState));
		HubspotRow	row;

		hubspot_read_row(&rows, i, &row);
		state->sync = hubspot_get_int32(&row, STATE_SYNC);
		state->repairs = hubspot_get_bool(&row, STATE_REPAIRS);
		state->place = hubspot_get_text(&row, STATE_PLACE);
		state->size = hubspot_get_int32(&row, STATE_SIZE);
		state->next_at = hubspot_get_time(&row, STATE_NEXT_AT);
		state->began_at = hubspot_get_time(&row, STATE_BEGAN_AT);
		state->failures = hubspot_get_int32(&row, STATE_FAILURES);
		state->records = hubspot_get_int64(&row, STATE_RECORDS);
		state->wanted = hubspot_get_int64(&row, STATE_WANTED);
		state->held = hubspot_get_int64(&row, STATE_HELD);
		state->missing = hubspot_get_int64(&row, STATE_MISSING);
		state->extra = hubspot_get_int64(&row, STATE_EXTRA);
		state->logged = hubspot_get_int64(&row, STATE_LOGGED);
		state->unknown = hubspot_get_int64(&row, STATE_UNKNOWN);
		states = lappend(states, state);
	}
	hubspot_rows_free(&rows);
	return states;
}

/*
 * A slice is begun.  One process does that at a time, so whoever finds such an attempt knows
 * that its process has ended before it was over.  The more of them there are, the longer the
 * syncs of that role wait.
 */
void
hubspot_verify_attempt(int32 sync)
{
	HubspotValues values = {0};

	hubspot_set_int32(&values, ATTEMPT_SYNC, sync);
	hubspot_execute(&attempt_statement, &values);
}

/* A slice is done: that is what the next one goes on with. */
void
hubspot_verify_save(const HubspotVerifyState *state, const HubspotVerifySums *sums)
{
	HubspotValues values = {0};

	hubspot_set_int32(&values, SAVE_SYNC, state->sync);
	hubspot_set_bool(&values, SAVE_REPAIRS, state->repairs);
	hubspot_set_text(&values, SAVE_PLACE, state->place);
	hubspot_set_int32(&values, SAVE_SIZE, state->size);
	hubspot_set_time(&values, SAVE_BEGAN_AT, state->began_at);
	hubspot_set_int64(&values, SAVE_RECORDS, state->records);
	hubspot_set_int64(&values, SAVE_WANTED, state->wanted);
	hubspot_set_int64(&values, SAVE_HELD, state->held);
	hubspot_set_int64(&values, SAVE_MISSING, state->missing);
	hubspot_set_int64(&values, SAVE_EXTRA, state->extra);
	hubspot_set_int64(&values, SAVE_LOGGED, state->logged);
	hubspot_set_int64(&values, SAVE_UNKNOWN, state->unknown);
	hubspot_set_int64(&values, SAVE_ALL_RECORDS, sums->records);
	hubspot_set_int64(&values, SAVE_ALL_DIFFERENCES, sums->differences);
	hubspot_set_int64(&values, SAVE_ALL_REPAIRED, sums->repaired);
	hubspot_execute(&save_statement, &values);
}

/* A pass has ended; held_back: why it has put nothing right, or NULL. */
void
hubspot_verify_end(int32 sync, TimestampTz next_at, const char *held_back)
{
	HubspotValues values = {0};

	hubspot_set_int32(&values, END_SYNC, sync);
	hubspot_set_time(&values, END_NEXT_AT, next_at);
	hubspot_set_text(&values, END_HELD_BACK, held_back);
	hubspot_execute(&end_statement, &values);
}

/* No table of a server is compared before that time. */
void
hubspot_verify_pace(const char *server, TimestampTz until)
{
	HubspotValues values = {0};

	hubspot_set_text(&values, PACE_SERVER, server);
	hubspot_set_time(&values, PACE_UNTIL, until);
	hubspot_execute(&pace_statement, &values);
}

/* A slice has failed; it is tried again after that time, with at most so many records. */
void
hubspot_verify_fail(int32 sync, int size, TimestampTz until, int sqlstate, const char *message)
{
	HubspotValues values = {0};

	hubspot_set_int32(&values, FAIL_SYNC, sync);
	hubspot_set_int32(&values, FAIL_SIZE, size);
	hubspot_set_time(&values, FAIL_UNTIL, until);
	hubspot_set_text(&values, FAIL_SQLSTATE, unpack_sql_state(sqlstate));
	hubspot_set_text(&values, FAIL_MESSAGE, message);
	hubspot_execute(&fail_statement, &values);
}
