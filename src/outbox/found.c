/*-------------------------------------------------------------------------
 *
 * found.c
 *	  Records that were found for rows, or not, until that is recorded.
 *
 * A row that names records by keys stays as it was enqueued until all of its records are
 * known.  Then their ids take the place of the keys, which are kept beside them, and it is
 * a row like any other:
 *
 *		contacts:email, Ann@example.com --> contacts, 101 (email, Ann@example.com)
 *
 * A row whose records HubSpot does not have waits for them, without being charged, until
 * it has waited for as long as it may; then it is a dead letter.  It is asked for again
 * after a tenth of the time that it has waited, and no more often than reask.c allows.
 *
 * What is not there need not be removed: such a row is done.  Where only HubSpot's index
 * says so, which is late, it is asked once more.  By then, or when a look-up that has
 * failed succeeds, an operation that came after the row may have been confirmed for the
 * same pair, under another name.  What would undo some of that is dropped.
 *
 * IDENTIFICATION
 *	  src/outbox/found.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "api/error.h"
#include "base/clock.h"
#include "outbox/found.h"
#include "outbox/precedence.h"
#include "outbox/row_ids.h"
#include "outbox/settle.h"
#include "schema/prepared.h"

/* How long HubSpot's index has to learn of a record whose associations are to be removed. */
#define INDEX_WAIT		INT64CONST(30000000)	/* microseconds */

enum
{
	RESOLVE_IDS,
	RESOLVE_FROM_RECORDS,
	RESOLVE_TO_RECORDS
};

/* What becomes of one side of a row; its record is '' if the row has its id. */
#define SIDE_RESOLVED(side) \
	" " side "_type = CASE WHEN k." side "_record = '' THEN o." side "_type" \
	"  ELSE split_part(o." side "_type, ':', 1) END," \
	" " side "_property = CASE WHEN k." side "_record <> ''" \
	"  THEN split_part(o." side "_type, ':', 2) END," \
	" " side "_key = CASE WHEN k." side "_record <> '' THEN o." side "_id END," \
	" " side "_id = CASE WHEN k." side "_record = '' THEN o." side "_id" \
	"  ELSE k." side "_record END"

/*
 * A row that has waited is due from now on: at its old time, it would be among any number of
 * rows that still wait.
 */
static HubspotStatement resolve_statement = {
	.text =
	"UPDATE %1$s.hs_assoc_outbox AS o SET" SIDE_RESOLVED("from") "," SIDE_RESOLVED("to") ","
	" not_before = CASE WHEN o.waited > '0' THEN clock_timestamp() ELSE o.not_before END,"
	" waited = NULL"
	" FROM (SELECT l.id, f.from_record, f.to_record"
	"  FROM unnest($1, $2, $3) AS f (id, from_record, to_record)"
	"  JOIN %1$s.hs_assoc_outbox AS l ON l.id = f.id FOR UPDATE OF l SKIP LOCKED) AS k"
	" WHERE o.id = k.id",
	.types = {
		[RESOLVE_IDS] = INT8ARRAYOID,
		[RESOLVE_FROM_RECORDS] = TEXTARRAYOID,
		[RESOLVE_TO_RECORDS] = TEXTARRAYOID
	}
};

/* The parameters of the next two statements */
enum
{
	OVERTAKEN_IDS
};

enum
{
	OVERTAKEN_ID,
	OVERTAKEN_ROLE
};

/*
 * Rows that would undo something of a later operation, which was confirmed for a role.  Ids
 * below 0 come before those of rows that wait beside them; but what was sent before such a row
 * was enqueued is not later than it.
 */
static HubspotStatement overtaken_statement = {
	.text =
	"SELECT o.id, n.role::oid FROM %1$s.hs_assoc_outbox AS o, %1$s.hs_assoc_sent AS n"
	" WHERE o.id = ANY ($1) AND " HUBSPOT_SQL_SAME_PAIR
	" AND (o.id >= 0 OR n.sent_at > o.enqueued_at) AND " HUBSPOT_SQL_OUTDATES,
	.types = {[OVERTAKEN_IDS] = INT8ARRAYOID}
};

static HubspotStatement drop_statement = {
	.text =
	"DELETE FROM %1$s.hs_assoc_outbox AS d WHERE d.id = ANY (ARRAY("
	" SELECT l.id FROM %1$s.hs_assoc_outbox AS l WHERE l.id = ANY ($1) FOR UPDATE SKIP LOCKED))",
	.types = {[OVERTAKEN_IDS] = INT8ARRAYOID}
};

enum
{
	WAIT_TIMES = HUBSPOT_FAILURE_NPARAMETERS	/* for each row, in
												 * microseconds */
};

enum
{
	WAITING_ID
};

/* Rows that may not wait any longer are left out. */
static HubspotStatement wait_statement = {
	.text =
	"UPDATE %1$s.hs_assoc_outbox AS o SET not_before = clock_timestamp() + k.wait,"
	" waited = coalesce(o.waited, '0') + k.wait,"
	" http_status = " HUBSPOT_SQL_FAILED_STATUS("k.reason") ","
	" error_category = " HUBSPOT_SQL_FAILED_CATEGORY("k.reason") ","
	" error_message = " HUBSPOT_SQL_FAILED_MESSAGE("k.reason") ","
	" correlation_id = " HUBSPOT_SQL_FAILED_CORRELATION_ID("k.reason")
	" FROM (SELECT l.id, f.reason, CASE WHEN " HUBSPOT_SQL_REMOVES("l") " THEN f.wait * interval '1 us'"
	"   ELSE least(f.wait * interval '1 us', l.wait_for_records - coalesce(l.waited, '0'))"
	"   END AS wait"
	"  FROM unnest($1, $2, $7) AS f (id, reason, wait)"
	"  JOIN %1$s.hs_assoc_outbox AS l ON l.id = f.id FOR UPDATE OF l SKIP LOCKED) AS k"
	" WHERE o.id = k.id AND (" HUBSPOT_SQL_REMOVES("o")
	"  OR coalesce(o.waited, '0') < o.wait_for_records)"
	" RETURNING o.id",
	.types = {HUBSPOT_FAILURE_TYPES,[WAIT_TIMES] = INT8ARRAYOID}
};

typedef struct FoundRow
{
	int64		id;
	HubspotSlice from_record;	/* empty: the row names it by its id */
	HubspotSlice to_record;
} FoundRow;

struct HubspotFound
{
	MemoryContext context;		/* of texts, and of recording them */
	const HubspotClaimant *claimant;
	HubspotTally tally;			/* counts those that are given up */
	FoundRow   *found;
	int			nfound;
	HubspotFailure *missing;
	int64	   *waits;			/* until each is asked for again, in
								 * microseconds */
	int			nmissing;
};

/* The rows that the last query here has returned. */
static HubspotRows rows;

static HubspotSlice copy_slice(HubspotSlice slice);
static void settle_found(HubspotFound *found);
static Datum record_array(const HubspotFound *found, bool from);
static void drop_overtaken(const HubspotFound *found, const int64 *ids);
static void settle_missing(HubspotFound *found);

/* Create a HubspotFound, palloc'd, without rows; there will be no more than max_rows. */
HubspotFound *
hubspot_found_create(int max_rows, const HubspotClaimant *claimant,
					 const HubspotTally *tally)
{
	HubspotFound *found = palloc0(sizeof(HubspotFound));

	found->context = AllocSetContextCreate(CurrentMemoryContext, "hubspot_assoc found records",
										   ALLOCSET_DEFAULT_SIZES);
	found->claimant = claimant;
	found->tally = *tally;
	found->found = palloc(sizeof(FoundRow) * max_rows);
	found->missing = palloc(sizeof(HubspotFailure) * max_rows);
	found->waits = palloc(sizeof(int64) * max_rows);
	return found;
}

/* Note the records of a row; without data, the row names that record by its id. */
void
hubspot_found_note(HubspotFound *found, const HubspotClaim *claim,
				   HubspotSlice from_record, HubspotSlice to_record)
{
	MemoryContext old = MemoryContextSwitchTo(found->context);
	FoundRow   *row = &found->found[found->nfound++];

	row->id = claim->id;
	row->from_record = copy_slice(from_record);
	row->to_record = copy_slice(to_record);
	MemoryContextSwitchTo(old);
}

/* A copy; an empty text if there is no data. */
static HubspotSlice
copy_slice(HubspotSlice slice)
{
	const HubspotSlice none = {"", 0};

	if (slice.data == NULL)
		return none;
	slice.data = pnstrdup(slice.data, slice.len);
	return slice;
}

/* Note that HubSpot does not have one of a row's records. */
void
hubspot_missing_note(HubspotFound *found, const HubspotClaim *claim, bool removes,
					 const HubspotError *error)
{
	MemoryContext old = MemoryContextSwitchTo(found->context);
	int64		now = hubspot_now();
	int64		wait = removes ? INDEX_WAIT : hubspot_reask_wait(claim->waited);
	HubspotFailure *row = &found->missing[found->nmissing];

	row->id = claim->id;
	row->error = hubspot_copy_error(error);

	/* a row's first wait is not planned behind those of others: see keyed.c */
	if (claim->waited > 0)
		wait = hubspot_reask_plan(found->claimant->reask, now + wait, now) - now;
	found->waits[found->nmissing++] = wait;
	MemoryContextSwitchTo(old);
}

/* Record the rows that were noted.  Needs a transaction with a snapshot. */
void
hubspot_found_settle(HubspotFound *found)
{
	MemoryContext old = MemoryContextSwitchTo(found->context);

	if (found->nfound > 0)
		settle_found(found);
	if (found->nmissing > 0)
		settle_missing(found);
	found->nfound = found->nmissing = 0;
	MemoryContextSwitchTo(old);
	MemoryContextReset(found->context);
}

static void
settle_found(HubspotFound *found)
{
	HubspotValues values = {0};
	int64	   *ids = palloc(sizeof(int64) * found->nfound);

	for (int i = 0; i < found->nfound; i++)
		ids[i] = found->found[i].id;
	hubspot_set_datum(&values, RESOLVE_IDS, hubspot_row_ids(ids, found->nfound));
	hubspot_set_datum(&values, RESOLVE_FROM_RECORDS, record_array(found, true));
	hubspot_set_datum(&values, RESOLVE_TO_RECORDS, record_array(found, false));
	hubspot_execute(&resolve_statement, &values);
	drop_overtaken(found, ids);
}

/* The records of one side, as a text[]. */
static Datum
record_array(const HubspotFound *found, bool from)
{
	Datum	   *elements = palloc(sizeof(Datum) * found->nfound);

	for (int i = 0; i < found->nfound; i++)
	{
		HubspotSlice record = from ? found->found[i].from_record : found->found[i].to_record;

		elements[i] = PointerGetDatum(cstring_to_text_with_len(record.data, record.len));
	}
	return hubspot_array_of(elements, found->nfound, TEXTOID);
}

/* Delete those of the rows that were found that would undo something of a later operation. */
static void
drop_overtaken(const HubspotFound *found, const int64 *ids)
{
	HubspotValues values = {0};
	int64	   *overtaken;
	int			novertaken = 0;

	hubspot_set_datum(&values, OVERTAKEN_IDS, hubspot_row_ids(ids, found->nfound));
	hubspot_query(&overtaken_statement, &values, &rows);
	overtaken = palloc(sizeof(int64) * Max(rows.count, 1));
	for (uint64 i = 0; i < rows.count; i++)
	{
		HubspotRow	row;

		hubspot_read_row(&rows, i, &row);
		/* what another login has sent may be of another account */
		if (hubspot_claimant_is_with(found->claimant, hubspot_get_oid(&row, OVERTAKEN_ROLE)))
			overtaken[novertaken++] = hubspot_get_int64(&row, OVERTAKEN_ID);
	}
	if (novertaken == 0)
		return;
	hubspot_set_datum(&values, OVERTAKEN_IDS, hubspot_row_ids(overtaken, novertaken));
	hubspot_execute(&drop_statement, &values);
}

/* Let rows wait, or give them up. */
static void
settle_missing(HubspotFound *found)
{
	HubspotValues values = {0};
	int			nover;

	hubspot_set_failures(&values, found->missing, found->nmissing);
	hubspot_set_datum(&values, WAIT_TIMES, hubspot_row_ids(found->waits, found->nmissing));
	nover = found->nmissing - (int) hubspot_query(&wait_statement, &values, &rows);
	hubspot_settle_others_dead(found->missing, found->nmissing, &rows, WAITING_ID);
	if (nover > 0)
		hubspot_account_count_failed(&found->tally, HUBSPOT_RECORD_NOT_FOUND, nover);
}
