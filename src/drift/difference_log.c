/*-------------------------------------------------------------------------
 *
 * difference_log.c
 *	  The differences from HubSpot that workers have found, and what has become of them.
 *
 *		open		it was there when its record was read in the last pass
 *		repaired	what puts it right was enqueued, and it was not seen again since
 *		contested	it came back after two repairs: somebody wants it otherwise
 *
 * One that was repaired is remembered for a while, so that it is known if it comes back.
 *
 * IDENTIFICATION
 *	  src/drift/difference_log.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "drift/difference_log.h"
#include "outbox/precedence.h"
#include "schema/prepared.h"

/* Room at first. */
#define FIRST_ROOM	64

/* What tells one from another, and then what else there is to know. */
enum
{
	FOUND_FROM_ID,
	FOUND_TO_ID,
	FOUND_REMOVES,
	FOUND_CATEGORY,
	FOUND_TYPE_ID,
	FOUND_NKEYS,
	FOUND_LABEL = FOUND_NKEYS,
	FOUND_FROM_KEY,
	FOUND_TO_KEY,
	FOUND_NCOLUMNS
};

static const Oid found_types[] = {
	[FOUND_FROM_ID] = TEXTOID,
	[FOUND_TO_ID] = TEXTOID,
	[FOUND_REMOVES] = BOOLOID,
	[FOUND_CATEGORY] = TEXTOID,
	[FOUND_TYPE_ID] = INT4OID,
	[FOUND_LABEL] = TEXTOID,
	[FOUND_FROM_KEY] = TEXTOID,
	[FOUND_TO_KEY] = TEXTOID
};

struct HubspotFoundDifferences
{
	const HubspotDrift *drift;
	int			count;
	int			room;
	Datum	   *columns[FOUND_NCOLUMNS];
	int64	   *numbers;		/* by which the drift knows them */
};

#define SAME(a, b) \
	a ".from_id = " b ".from_id AND " a ".to_id = " b ".to_id AND " a ".removes = " b ".removes" \
	" AND " a ".category = " b ".category AND " a ".type_id = " b ".type_id"

enum
{
	LOG_SYNC,
	LOG_SERVER,
	LOG_FROM_TYPE,
	LOG_TO_TYPE,
	LOG_FROM_GIVEN,
	LOG_TO_GIVEN,
	LOG_PLACE,
	LOG_REMEMBERED,
	LOG_FOUND
};

enum
{
	LOGGED_NO,
	LOGGED_IS_OPEN,
	LOGGED_IS_NEW
};

/* The pair is that of the operation which puts it right. */
static HubspotStatement log_statement = {
	.text =
	"WITH found AS MATERIALIZED (SELECT * FROM unnest($9, $10, $11, $12, $13, $14, $15, $16)"
	"  WITH ORDINALITY AS f (from_id, to_id, removes, category, type_id, label, from_key, to_key, no)),"
	" logged AS (INSERT INTO %1$s.hs_assoc_difference AS d (sync, from_id, to_id, removes, category,"
	"  type_id, label, from_key, to_key, place, pair)"
	" SELECT DISTINCT ON (f.from_id, f.to_id, f.removes, f.category, f.type_id)"
	"  $1, f.from_id, f.to_id, f.removes, f.category, f.type_id, nullif(f.label, ''),"
	"  nullif(f.from_key, ''), nullif(f.to_key, ''), $7, CASE WHEN f.removes"
	"   THEN %1$s.hs_assoc_pair($2, $3, f.from_id, $4, f.to_id)"
	"   ELSE %1$s.hs_assoc_pair($2, $5, coalesce(nullif(f.from_key, ''), f.from_id),"
	"    $6, coalesce(nullif(f.to_key, ''), f.to_id)) END"
	" FROM found AS f ORDER BY f.from_id, f.to_id, f.removes, f.category, f.type_id, f.no"
	" ON CONFLICT (sync, from_id, to_id, removes, category, type_id) DO UPDATE SET"
	"  label = excluded.label, from_key = excluded.from_key, to_key = excluded.to_key,"
	"  place = excluded.place, pair = excluded.pair, seen_at = now(),"
	"  found_at = CASE WHEN d.state = 'repaired' THEN now() ELSE d.found_at END,"
	"  state = CASE WHEN d.state <> 'repaired' THEN d.state"
	"   WHEN d.repaired_before > $8 THEN 'contested' ELSE 'open' END"
	" RETURNING d.from_id, d.to_id, d.removes, d.category, d.type_id, d.state, d.found_at) "
	"SELECT f.no, l.state = 'open', l.found_at = now() FROM found AS f JOIN logged AS l ON "
	SAME("l", "f"),
	.types = {
		[LOG_SYNC] = INT4OID,
		[LOG_SERVER] = TEXTOID,
		[LOG_FROM_TYPE] = TEXTOID,
		[LOG_TO_TYPE] = TEXTOID,
		[LOG_FROM_GIVEN] = TEXTOID,
		[LOG_TO_GIVEN] = TEXTOID,
		[LOG_PLACE] = TEXTOID,
		[LOG_REMEMBERED] = TIMESTAMPTZOID,
		[LOG_FOUND + FOUND_FROM_ID] = TEXTARRAYOID,
		[LOG_FOUND + FOUND_TO_ID] = TEXTARRAYOID,
		[LOG_FOUND + FOUND_REMOVES] = BOOLARRAYOID,
		[LOG_FOUND + FOUND_CATEGORY] = TEXTARRAYOID,
		[LOG_FOUND + FOUND_TYPE_ID] = INT4ARRAYOID,
		[LOG_FOUND + FOUND_LABEL] = TEXTARRAYOID,
		[LOG_FOUND + FOUND_FROM_KEY] = TEXTARRAYOID,
		[LOG_FOUND + FOUND_TO_KEY] = TEXTARRAYOID
	}
};

enum
{
	REPAIR_SYNC,
	REPAIR_SEEN_AFTER,
	REPAIR_FOUND
};

static HubspotStatement repair_statement = {
	.text =
	"WITH found AS MATERIALIZED (SELECT * FROM unnest($3, $4, $5, $6, $7)"
	"  WITH ORDINALITY AS f (from_id, to_id, removes, category, type_id, no)) "
	"UPDATE %1$s.hs_assoc_difference AS d SET state = 'repaired', repairs = d.repairs + 1,"
	" repaired_before = d.repaired_at, repaired_at = now() FROM found AS f"
	" WHERE d.sync = $1 AND " SAME("d", "f") " AND d.state = 'open' AND d.seen_at >= $2"
	" RETURNING f.no",
	.types = {
		[REPAIR_SYNC] = INT4OID,
		[REPAIR_SEEN_AFTER] = TIMESTAMPTZOID,
		[REPAIR_FOUND + FOUND_FROM_ID] = TEXTARRAYOID,
		[REPAIR_FOUND + FOUND_TO_ID] = TEXTARRAYOID,
		[REPAIR_FOUND + FOUND_REMOVES] = BOOLARRAYOID,
		[REPAIR_FOUND + FOUND_CATEGORY] = TEXTARRAYOID,
		[REPAIR_FOUND + FOUND_TYPE_ID] = INT4ARRAYOID
	}
};

/* The parameters of the statements below, as far as they have them. */
enum
{
	SYNC_ID,
	SYNC_TIME,
	SYNC_MORE
};

static HubspotStatement place_statement = {
	.text =
	"SELECT min(d.place) FROM %1$s.hs_assoc_difference AS d WHERE d.sync = $1"
	" AND d.state = 'open' AND d.seen_at >= $2 AND (d.place > $3 OR $3 IS NULL)",
	.types = {[SYNC_ID] = INT4OID,[SYNC_TIME] = TIMESTAMPTZOID,[SYNC_MORE] = TEXTOID}
};

static HubspotStatement contested_statement = {
	.text =
	"SELECT count(*) FROM %1$s.hs_assoc_difference AS d WHERE d.sync = $1"
	" AND d.state = 'contested' AND d.removes AND d.seen_at >= $2",
	.types = {[SYNC_ID] = INT4OID,[SYNC_TIME] = TIMESTAMPTZOID}
};

static HubspotStatement forget_statement = {
	.text =
	"DELETE FROM %1$s.hs_assoc_difference AS d WHERE d.sync = $1 AND d.seen_at < $2 AND CASE d.state"
	" WHEN 'open' THEN true WHEN 'repaired' THEN d.repaired_at < $3 ELSE d.seen_at < $3 END",
	.types = {[SYNC_ID] = INT4OID,[SYNC_TIME] = TIMESTAMPTZOID,[SYNC_MORE] = TIMESTAMPTZOID}
};

enum
{
	SETTLE_SYNC,
	SETTLE_SERVER
};

static HubspotStatement settle_statement = {
	.text =
	"DELETE FROM %1$s.hs_assoc_difference AS d WHERE d.sync = $1 AND d.state <> 'repaired'"
	" AND (SELECT o.id FROM %1$s.hs_assoc_outbox AS o WHERE " HUBSPOT_SQL_PAIR("o") " = d.pair"
	"  AND o.server IS NOT DISTINCT FROM $2 AND o.id < 0"
	"  ORDER BY " HUBSPOT_SQL_PAIR("o") ", o.id LIMIT 1) IS NOT NULL",
	.types = {[SETTLE_SYNC] = INT4OID,[SETTLE_SERVER] = TEXTOID}
};

static void make_room(HubspotFoundDifferences *found);
static Datum text_of(HubspotSlice text);
static void set_found(HubspotValues *values, int parameter, const HubspotFoundDifferences *found,
					  int ncolumns);
static int	allow_hash_joins(void);
static void set_sync(HubspotValues *values, int32 sync, TimestampTz time);

/* Begin to collect differences of a slice, in the current memory context. */
HubspotFoundDifferences *
hubspot_found_differences(const HubspotDrift *drift)
{
	HubspotFoundDifferences *found = palloc0(sizeof(HubspotFoundDifferences));

	found->drift = drift;
	found->room = FIRST_ROOM;
	for (int i = 0; i < FOUND_NCOLUMNS; i++)
		found->columns[i] = palloc(sizeof(Datum) * found->room);
	found->numbers = palloc(sizeof(int64) * found->room);
	return found;
}

/* Put one, which is copied, in that memory context. */
void
hubspot_found_difference_put(HubspotFoundDifferences *found, const HubspotDriftRow *row)
{
	const HubspotPlanChange *change = &row->unpacked.change;
	HubspotSlice from_key = {NULL, 0};
	HubspotSlice to_key = {NULL, 0};
	MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(found));
	Datum		values[FOUND_NCOLUMNS];

	if (found->drift->plan.from_type.property)
		from_key = change->from_given;
	if (found->drift->plan.to_type.property)
		to_key = change->to_given;
	values[FOUND_FROM_ID] = text_of(change->from);
	values[FOUND_TO_ID] = text_of(change->to);
	values[FOUND_REMOVES] = BoolGetDatum(hubspot_is_removal(change->action));
	values[FOUND_CATEGORY] = text_of(hubspot_slice(change->type.category));
	values[FOUND_TYPE_ID] = Int32GetDatum(change->type.type_id);
	values[FOUND_LABEL] = text_of(hubspot_slice(change->type.label));
	values[FOUND_FROM_KEY] = text_of(from_key);
	values[FOUND_TO_KEY] = text_of(to_key);
	make_room(found);
	for (int i = 0; i < FOUND_NCOLUMNS; i++)
		found->columns[i][found->count] = values[i];
	found->numbers[found->count++] = row->no;
	MemoryContextSwitchTo(old);
}

static void
make_room(HubspotFoundDifferences *found)
{
	if (found->count < found->room)
		return;
	found->room *= 2;
	for (int i = 0; i < FOUND_NCOLUMNS; i++)
		found->columns[i] = repalloc(found->columns[i], sizeof(Datum) * found->room);
	found->numbers = repalloc(found->numbers, sizeof(int64) * found->room);
}

/* Without data, it is empty. */
static Datum
text_of(HubspotSlice text)
{
	return PointerGetDatum(cstring_to_text_with_len(text.data, text.data ? text.len : 0));
}

static void
set_found(HubspotValues *values, int parameter, const HubspotFoundDifferences *found,
		  int ncolumns)
{
	for (int i = 0; i < ncolumns; i++)
		hubspot_set_datum(values, parameter + i,
						  hubspot_array_of(found->columns[i], found->count, found_types[i]));
}

/* Statements are planned for what a sender does, which is about few rows. */
static int
allow_hash_joins(void)
{
	int			nest_level = NewGUCNestLevel();

	(void) set_config_option("enable_hashjoin", "on", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	return nest_level;
}

/*
 * Log the differences that a slice has, which begins at a place; returns how many were not
 * there when their records were read last.  open[] is set for those, by the number that they
 * have in the drift, that may be repaired: all but contested ones.  What is here again after
 * two repairs, the first of them after "remembered", becomes one of these.
 */
int64
hubspot_log_differences(const HubspotFoundDifferences *found, const char *place,
						TimestampTz remembered, bool *open)
{
	const HubspotDrift *drift = found->drift;
	const HubspotSync *sync = drift->sync;
	HubspotValues values = {0};
	HubspotRows rows;
	int64		nnew = 0;
	int			nest_level;

	if (found->count == 0)
		return 0;
	hubspot_set_int32(&values, LOG_SYNC, sync->id);
	hubspot_set_text(&values, LOG_SERVER, sync->server);
	hubspot_set_text(&values, LOG_FROM_TYPE, drift->plan.from_type.name);
	hubspot_set_text(&values, LOG_TO_TYPE, drift->plan.to_type.name);
	hubspot_set_text(&values, LOG_FROM_GIVEN, sync->from_type);
	hubspot_set_text(&values, LOG_TO_GIVEN, sync->to_type);
	hubspot_set_text(&values, LOG_PLACE, place ? place : "");
	hubspot_set_time(&values, LOG_REMEMBERED, remembered);
	set_found(&values, LOG_FOUND, found, FOUND_NCOLUMNS);
	nest_level = allow_hash_joins();
	hubspot_query(&log_statement, &values, &rows);
	AtEOXact_GUC(false, nest_level);
	for (uint64 i = 0; i < rows.count; i++)
	{
		HubspotRow	row;

		hubspot_read_row(&rows, i, &row);
		if (hubspot_get_bool(&row, LOGGED_IS_OPEN))
			open[found->numbers[hubspot_get_int64(&row, LOGGED_NO) - 1]] = true;
		if (hubspot_get_bool(&row, LOGGED_IS_NEW))
			nnew++;
	}
	hubspot_rows_free(&rows);
	return nnew;
}

/*
 * Note that these differences are repaired, as far as they are open in the log, and were seen
 * since that time; returns how many those are.  repaired[] is set for them.
 */
int64
hubspot_log_repairs(const HubspotFoundDifferences *found, TimestampTz seen_after,
					bool *repaired)
{
	HubspotValues values = {0};
	HubspotRows rows;
	int64		count;

	if (found->count == 0)
		return 0;
	set_sync(&values, found->drift->sync->id, seen_after);
	set_found(&values, REPAIR_FOUND, found, FOUND_NKEYS);
	hubspot_query(&repair_statement, &values, &rows);
	for (uint64 i = 0; i < rows.count; i++)
	{
		HubspotRow	row;

		hubspot_read_row(&rows, i, &row);
		repaired[found->numbers[hubspot_get_int64(&row, 0) - 1]] = true;
	}
	count = rows.count;
	hubspot_rows_free(&rows);
	return count;
}

static void
set_sync(HubspotValues *values, int32 sync, TimestampTz time)
{
	hubspot_set_int32(values, SYNC_ID, sync);
	hubspot_set_time(values, SYNC_TIME, time);
}

/*
 * The next place behind another one (NULL: the first of all) from where open differences were
 * found since that time, palloc'd; NULL: there is none.
 */
char *
hubspot_log_next_place(int32 sync, TimestampTz seen_after, const char *place)
{
	HubspotValues values = {0};
	HubspotRows rows;
	HubspotRow	row;
	char	   *next;

	set_sync(&values, sync, seen_after);
	hubspot_set_text(&values, SYNC_MORE, place);
	hubspot_query(&place_statement, &values, &rows);
	hubspot_read_row(&rows, 0, &row);
	next = hubspot_get_text(&row, 0);
	hubspot_rows_free(&rows);
	return next;
}

/* How many removals that were seen since that time are contested? */
int64
hubspot_log_contested(int32 sync, TimestampTz seen_after)
{
	HubspotValues values = {0};
	HubspotRows rows;
	HubspotRow	row;
	int64		count;

	set_sync(&values, sync, seen_after);
	hubspot_query(&contested_statement, &values, &rows);
	hubspot_read_row(&rows, 0, &row);
	count = hubspot_get_int64(&row, 0);
	hubspot_rows_free(&rows);
	return count;
}

/*
 * Forget differences that were not seen since that time; those that were repaired, or are
 * contested, only after the other one.
 */
void
hubspot_log_forget(int32 sync, TimestampTz seen_before, TimestampTz remembered)
{
	HubspotValues values = {0};

	set_sync(&values, sync, seen_before);
	hubspot_set_time(&values, SYNC_MORE, remembered);
	hubspot_execute(&forget_statement, &values);
}

/* Somebody has repaired by hand: what was enqueued is neither contested nor open any more. */
void
hubspot_log_settle(int32 sync, const char *server)
{
	HubspotValues values = {0};

	hubspot_set_int32(&values, SETTLE_SYNC, sync);
	hubspot_set_text(&values, SETTLE_SERVER, server);
	hubspot_execute(&settle_statement, &values);
}
