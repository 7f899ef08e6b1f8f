/*-------------------------------------------------------------------------
 *
 * clock_change.c
 *	  What to do when the system's clock is set.
 *
 * A row is due at a time of the system's clock, which people and programs set.  If it is set
 * back by an hour, what was to wait for a moment would wait for an hour.  So each look at the
 * outbox compares the progress of that clock with that of the monotonic one.  Both are noted
 * in a table, since the processes that look come and go.  The postmaster is noted with them:
 * another one may be on another machine, whose clocks say nothing about this one's.
 *
 * All functions here need a transaction with a snapshot.  None waits for the
 * lock of a row.
 *
 * IDENTIFICATION
 *	  src/outbox/clock_change.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "outbox/clock_change.h"
#include "outbox/horizon.h"
#include "schema/prepared.h"

/*
 * Clocks that differ by more than this, in microseconds, were not merely
 * adjusted.
 */
#define MAX_DIFFERENCE		(2 * INT64CONST(1000000))

/* How long until the clocks are noted anew. */
#define NOTE_INTERVAL		(60 * INT64CONST(1000000))

enum
{
	LOOK_POSTMASTER
};

enum
{
	LOOK_WALL,
	LOOK_MONOTONIC
};

static HubspotStatement look_statement = {
	.text =
	"SELECT c.wall, c.monotonic FROM %1$s.hs_assoc_clock AS c WHERE c.postmaster = $1"
	" ORDER BY c.wall DESC LIMIT 1",
	.types = {[LOOK_POSTMASTER] = TIMESTAMPTZOID}
};

enum
{
	CLAIM_WALL
};

/* Of several processes that see the change, one has to act. */
static HubspotStatement claim_statement = {
	.text =
	"DELETE FROM %1$s.hs_assoc_clock AS c WHERE c.ctid = ANY (ARRAY("
	" SELECT l.ctid FROM %1$s.hs_assoc_clock AS l WHERE l.wall = $1 FOR UPDATE SKIP LOCKED))",
	.types = {[CLAIM_WALL] = TIMESTAMPTZOID}
};

static HubspotStatement forget_statement = {
	.text =
	"DELETE FROM %1$s.hs_assoc_clock AS c WHERE c.ctid = ANY (ARRAY("
	" SELECT l.ctid FROM %1$s.hs_assoc_clock AS l FOR UPDATE SKIP LOCKED))",
};

enum
{
	NOTE_POSTMASTER,
	NOTE_WALL,
	NOTE_MONOTONIC
};

static HubspotStatement note_statement = {
	.text =
	"INSERT INTO %1$s.hs_assoc_clock (postmaster, wall, monotonic) VALUES ($1, $2, $3)",
	.types = {
		[NOTE_POSTMASTER] = TIMESTAMPTZOID,
		[NOTE_WALL] = TIMESTAMPTZOID,
		[NOTE_MONOTONIC] = INT8OID
	}
};

/* What has to be subtracted from all times that are waited for, in microseconds */
enum
{
	SHIFT_BACK
};

static HubspotStatement shift_rows_statement = {
	.text =
	"UPDATE %1$s.hs_assoc_outbox AS o SET not_before = o.not_before - $1 * interval '1 us'"
	" WHERE o.id = ANY (ARRAY(SELECT l.id FROM %1$s.hs_assoc_outbox AS l"
	"  WHERE l.not_before > clock_timestamp() FOR UPDATE SKIP LOCKED))",
	.types = {[SHIFT_BACK] = INT8OID}
};

static HubspotStatement shift_accounts_statement = {
	.text =
	"UPDATE %1$s.hs_assoc_backoff AS b SET retry_at = b.retry_at - $1 * interval '1 us',"
	"  since = b.since - $1 * interval '1 us'"
	" FROM (SELECT l.server, l.role FROM %1$s.hs_assoc_backoff AS l"
	"  WHERE l.retry_at > clock_timestamp() FOR UPDATE SKIP LOCKED) AS k"
	" WHERE b.server = k.server AND b.role = k.role",
	.types = {[SHIFT_BACK] = INT8OID}
};

static HubspotStatement shift_doubts_statement = {
	.text =
	"UPDATE %1$s.hs_assoc_doubt AS d SET until = d.until - $1 * interval '1 us'"
	" WHERE d.ctid = ANY (ARRAY(SELECT l.ctid FROM %1$s.hs_assoc_doubt AS l"
	"  FOR UPDATE SKIP LOCKED))",
	.types = {[SHIFT_BACK] = INT8OID}
};

/* The rows that the last query here has returned. */
static HubspotRows rows;

static bool claim_change(TimestampTz noted);
static void shift(int64 back);
static void note(TimestampTz wall, int64 monotonic);

/* See whether the system's clock was set, and keep what waits in step with it. */
void
hubspot_clock_look(void)
{
	HubspotValues values = {0};
	TimestampTz wall = GetCurrentTimestamp();
	int64		monotonic = hubspot_now();
	TimestampTz noted = 0;
	int64		passed = NOTE_INTERVAL;
	int64		back = 0;

	hubspot_set_time(&values, LOOK_POSTMASTER, PgStartTime);
	if (hubspot_query(&look_statement, &values, &rows) > 0)
	{
		HubspotRow	row;

		hubspot_read_row(&rows, 0, &row);
		passed = monotonic - hubspot_get_int64(&row, LOOK_MONOTONIC);
		noted = hubspot_get_time(&row, LOOK_WALL);
		back = passed - (wall - noted);
	}
	if (back > MAX_DIFFERENCE || back < -MAX_DIFFERENCE)
	{
		if (!claim_change(noted))
			return;
		shift(back);
	}
	else if (passed < NOTE_INTERVAL)
		return;
	note(wall, monotonic);
}

/* False: another process has seen the change, too, and acts. */
static bool
claim_change(TimestampTz noted)
{
	HubspotValues values = {0};

	hubspot_set_time(&values, CLAIM_WALL, noted);
	return hubspot_execute(&claim_statement, &values) > 0;
}

/*
 * Let what waits keep step with a clock that was set back by that much, or forward if it is
 * negative: then what waits is due early, which harms only doubts.
 */
static void
shift(int64 back)
{
	HubspotValues values = {0};

	hubspot_set_int64(&values, SHIFT_BACK, back);
	if (back > 0)
	{
		hubspot_execute(&shift_rows_statement, &values);
		hubspot_horizon_void();
		hubspot_execute(&shift_accounts_statement, &values);
	}
	hubspot_execute(&shift_doubts_statement, &values);
}

static void
note(TimestampTz wall, int64 monotonic)
{
	HubspotValues values = {0};

	hubspot_set_time(&values, NOTE_POSTMASTER, PgStartTime);
	hubspot_set_time(&values, NOTE_WALL, wall);
	hubspot_set_int64(&values, NOTE_MONOTONIC, monotonic);
	hubspot_execute(&forget_statement, NULL);
	hubspot_execute(&note_statement, &values);
}
