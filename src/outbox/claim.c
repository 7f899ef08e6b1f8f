/*-------------------------------------------------------------------------
 *
 * claim.c
 *	  What of the outbox is to be sent next.
 *
 * The rows of a pair take effect in the order of their ids.  The last one of
 * its kind counts: it overrides those before it that have not been sent, which
 * are deleted ("pruned").  What is left of a pair goes one after the other, but
 * for labels: rows that add some, or take some away, and follow each other go
 * together, as one input.
 *
 * All of this looks at a window, the oldest rows that are due, and from there
 * by index at the rows of the same pairs, so that it costs the same whatever
 * the length of the queue.
 *
 * All functions here want a transaction with a snapshot.  What they return is
 * palloc'd in the current memory context.
 *
 * IDENTIFICATION
 *	  src/outbox/claim.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "outbox/claim.h"
#include "outbox/precedence.h"
#include "schema/prepared.h"

/* So much of an id tells records apart, when they are counted. */
#define MAX_GROUP_KEY		64

/* The parameters of the statements on a window */
enum
{
	WINDOW_SERVER,
	WINDOW_ROLE,
	WINDOW_NOW,
	WINDOW_SIZE,
	WINDOW_HORIZON,
	WINDOW_ROLES				/* whose rows of its pairs count */
};

#define WINDOW_TYPES \
	[WINDOW_SERVER] = TEXTOID, \
	[WINDOW_ROLE] = REGROLEOID, \
	[WINDOW_NOW] = TIMESTAMPTZOID, \
	[WINDOW_SIZE] = INT8OID, \
	[WINDOW_HORIZON] = TIMESTAMPTZOID

#define WINDOW \
	"(SELECT id, server, role, operation, from_type, from_id, to_type, to_id, type_ids," \
	"  category, labels, keep_labels, not_before, attempts, error_category" \
	" FROM %1$s.hs_assoc_outbox" \
	" WHERE server = $1 AND role = $2 AND not_before >= $5 AND not_before <= $3" \
	" ORDER BY not_before, id LIMIT $4)"

/*
 * Is there a row of the same pair before w?  In scalar subqueries such as this
 * one, the planner cannot join what has to be looked up by index.
 */
#define BLOCKER \
	"(SELECT b.id FROM %1$s.hs_assoc_outbox AS b" \
	" WHERE " HUBSPOT_SQL_PAIR("b") " = " HUBSPOT_SQL_PAIR("w") " AND b.id < w.id" \
	" AND b.server IS NOT DISTINCT FROM w.server AND b.role = ANY ($6)" \
	" ORDER BY " HUBSPOT_SQL_PAIR("b") ", b.id LIMIT 1)"

/* Something of the last row of the same pair before w */
#define OF_ROW_BEFORE(what) \
	"(SELECT " what " FROM %1$s.hs_assoc_outbox AS b" \
	" WHERE " HUBSPOT_SQL_PAIR("b") " = " HUBSPOT_SQL_PAIR("w") " AND b.id < w.id" \
	" AND b.server IS NOT DISTINCT FROM w.server AND b.role = ANY ($6)" \
	" ORDER BY " HUBSPOT_SQL_PAIR("b") " DESC, b.id DESC LIMIT 1)"

/* Can w, which is due, join b, the row before it of its pair? */
#define JOINS \
	HUBSPOT_SQL_JOINS("w", "b") " AND b.not_before <= $3"

/* A dead letter that was put back might have been outdated while it was locked. */
#define IS_OF_USE \
	"(w.error_category IS NULL OR NOT EXISTS" \
	" (SELECT FROM %1$s.hs_assoc_outdated AS u WHERE u.id = w.id AND u.server = w.server))"

/* A row that was picked, with the types of those of its pair before it */
typedef struct PickedRow
{
	int64		id;				/* must be first: the key */
	int			ntypes;
} PickedRow;

/* A pair that was picked, in a hash by its number */
typedef struct PickedPair
{
	int64		pair;			/* must be first: the key */
	HubspotClaim *last;
} PickedPair;

enum
{
	FIRST_ID
};

static HubspotStatement first_statement = {
	.text = "SELECT w.id FROM " WINDOW " AS w",
	.types = {WINDOW_TYPES}
};

static HubspotStatement prune_statement = {
	.text =
	"DELETE FROM %1$s.hs_assoc_outbox WHERE id = ANY (ARRAY("
	" SELECT l.id FROM %1$s.hs_assoc_outbox AS l WHERE l.id = ANY (ARRAY("
	"  SELECT o.id FROM " WINDOW " AS o"
	"  WHERE (SELECT true FROM %1$s.hs_assoc_outbox AS n"
	"   WHERE " HUBSPOT_SQL_SAME_PAIR " AND n.role = ANY ($6) AND " HUBSPOT_SQL_OVERRIDES
	"   ORDER BY " HUBSPOT_SQL_PAIR("n") ", n.id LIMIT 1)))"
	" FOR UPDATE SKIP LOCKED))",
	.types = {WINDOW_TYPES,[WINDOW_ROLES] = OIDARRAYOID}
};

static HubspotStatement prune_others_statement = {
	.text =
	"DELETE FROM %1$s.hs_assoc_outbox WHERE id = ANY (ARRAY("
	" SELECT l.id FROM %1$s.hs_assoc_outbox AS l WHERE l.id = ANY (ARRAY("
	"  SELECT earlier.id FROM " WINDOW " AS n CROSS JOIN LATERAL"
	"   (SELECT o.id FROM %1$s.hs_assoc_outbox AS o"
	"    WHERE " HUBSPOT_SQL_SAME_PAIR " AND (o.not_before > $3 OR o.role IS DISTINCT FROM n.role)"
	"     AND o.role = ANY ($6) AND " HUBSPOT_SQL_OVERRIDES
	"    ORDER BY " HUBSPOT_SQL_PAIR("o") ", o.id OFFSET 0) AS earlier))"
	" FOR UPDATE SKIP LOCKED))",
	.types = {WINDOW_TYPES,[WINDOW_ROLES] = OIDARRAYOID}
};

enum
{
	PICK_ID,
	PICK_PAIR,
	PICK_FROM_ID,
	PICK_TO_ID,
	PICK_TYPE_IDS,
	PICK_CATEGORY,
	PICK_LABELS,
	PICK_OPERATION,
	PICK_FROM_TYPE,
	PICK_TO_TYPE,
	PICK_KEEP_LABELS,
	PICK_ATTEMPTS,
	PICK_TID,
	PICK_NEWEST,				/* the last number that a row was given */
	PICK_BEFORE,				/* the row of its pair that it may only go
								 * with */
	PICK_HAS_OTHERS				/* is there anything else of its pair? */
};

#define PICKED_COLUMNS(tid, pair) \
	"w.id, " pair ", w.from_id, w.to_id, w.type_ids, w.category, w.labels," \
	" w.operation, w.from_type, w.to_type, w.keep_labels, w.attempts, " tid "," \
	" (SELECT s.last_value FROM %1$s.hs_assoc_outbox_id_seq AS s)"

/*
 * Most pairs have one row.  Then there is nothing to be pruned, and nothing to wait
 * for, and one look at the pair is enough; what was a dead letter is not taken for
 * such a row.  Rows that somebody has locked aren't in this window.
 */
static HubspotStatement pick_alone_statement = {
	.text =
	"SELECT " PICKED_COLUMNS("w.tid", "w.pair") ", NULL::bigint,"
	" w.error_category IS NOT NULL OR (SELECT true FROM %1$s.hs_assoc_outbox AS b"
	"  WHERE " HUBSPOT_SQL_PAIR("b") " = w.pair AND b.id <> w.id"
	"  ORDER BY " HUBSPOT_SQL_PAIR("b") ", b.id LIMIT 1) IS NOT NULL"
	" FROM (SELECT ctid AS tid, " HUBSPOT_SQL_PAIR("o") " AS pair, o.*"
	"  FROM %1$s.hs_assoc_outbox AS o"
	"  WHERE server = $1 AND role = $2 AND not_before >= $5 AND not_before <= $3"
	"  ORDER BY not_before, id LIMIT $4 FOR UPDATE SKIP LOCKED) AS w",
	.types = {WINDOW_TYPES}
};

static HubspotStatement pick_statement = {
	.text =
	"SELECT " PICKED_COLUMNS("w.ctid", HUBSPOT_SQL_PAIR("w")) ","
	" CASE WHEN " HUBSPOT_SQL_ADDS_UP("w") " THEN " OF_ROW_BEFORE("b.id") " END, false"
	" FROM %1$s.hs_assoc_outbox AS w WHERE w.id = ANY (ARRAY("
	" SELECT w.id FROM " WINDOW " AS w"
	"  WHERE " OF_ROW_BEFORE("CASE WHEN " JOINS " THEN NULL ELSE b.id END") " IS NULL"
	"   AND " IS_OF_USE "))"
	" ORDER BY w.not_before, w.id FOR UPDATE OF w SKIP LOCKED",
	.types = {WINDOW_TYPES,[WINDOW_ROLES] = OIDARRAYOID}
};

static HubspotStatement defer_blocked_statement = {
	.text =
	"UPDATE %1$s.hs_assoc_outbox AS u"
	" SET not_before = greatest(b.not_before, k.retry_at, $3 + interval '1 s')"
	" FROM (SELECT w.id, " BLOCKER " AS blocker FROM " WINDOW " AS w) AS blocked"
	" JOIN %1$s.hs_assoc_outbox AS b ON b.id = blocked.blocker"
	" LEFT JOIN %1$s.hs_assoc_backoff AS k ON k.server = b.server AND k.role = b.role"
	" WHERE u.id = ANY (ARRAY("
	"  SELECT l.id FROM %1$s.hs_assoc_outbox AS l WHERE l.id = blocked.id"
	"  FOR UPDATE SKIP LOCKED))",
	.types = {WINDOW_TYPES,[WINDOW_ROLES] = OIDARRAYOID}
};

enum
{
	DEFER_IDS,
	DEFER_TIMES
};

static HubspotStatement defer_statement = {
	.text =
	"UPDATE %1$s.hs_assoc_outbox AS o SET not_before = d.not_before"
	" FROM unnest($1, $2) AS d (id, not_before) WHERE o.id = d.id",
	.types = {
		[DEFER_IDS] = INT8ARRAYOID,
		[DEFER_TIMES] = TIMESTAMPTZARRAYOID
	}
};

/* So many bytes of rows are picked at a time, and one row more. */
#define MAX_CLAIMED		(4 * 1024 * 1024)

#define TOO_LONG(name)	name " is longer than " CppAsString2(HUBSPOT_MAX_TEXT) " bytes"

/* How large the values of picked columns may be, in bytes */
static const struct
{
	int			column;
	Size		most;
	const char *problem;
}			size_limits[] = {
	{PICK_FROM_ID, HUBSPOT_MAX_TEXT, TOO_LONG("from_id")},
	{PICK_TO_ID, HUBSPOT_MAX_TEXT, TOO_LONG("to_id")},
	{PICK_TYPE_IDS, 1000, "there are too many type_ids"},
	{PICK_CATEGORY, HUBSPOT_MAX_TEXT, TOO_LONG("category")},
	{PICK_LABELS, 200 * 1024, "there are too many labels, or they are too long"},
	{PICK_OPERATION, HUBSPOT_MAX_TEXT, TOO_LONG("operation")},
	{PICK_FROM_TYPE, HUBSPOT_MAX_TEXT, TOO_LONG("from_type")},
	{PICK_TO_TYPE, HUBSPOT_MAX_TEXT, TOO_LONG("to_type")}
};

/* The rows that the last query here has returned. */
static HubspotRows rows;

static int	compare_from_ids(const void *a, const void *b);
static void set_window(HubspotValues *values, const HubspotClaimant *claimant,
					   int window);
static void read_picked(HubspotPick *pick);
static const char *size_problem(const HubspotRow *row, Size *sum);
static bool get_claim(const HubspotRow *row, HubspotClaim *claim,
					  const HubspotLane *lane, HTAB **picked);
static bool can_share(const HubspotLane *lane);
static bool goes_along(const HubspotRow *row, const HubspotClaim *claim,
					   HTAB **picked);
static int	count_elements(const ArrayType *array);
static void get_lane(const HubspotRow *row, HubspotLane *lane);
static bool is_of_lane(const HubspotRow *row, const HubspotLane *lane);

/* The ids of claims as an int8[], palloc'd. */
Datum
hubspot_claim_ids(const HubspotClaim *const *claims, int nclaims)
{
	Datum	   *ids = palloc(sizeof(Datum) * Max(nclaims, 1));

	for (int i = 0; i < nclaims; i++)
		ids[i] = Int64GetDatum(claims[i]->id);
	return hubspot_array_of(ids, nclaims, INT8OID);
}

/* Where they were, as a tid[]. */
Datum
hubspot_claim_tids(const HubspotClaim *const *claims, int nclaims)
{
	Datum	   *tids = palloc(sizeof(Datum) * Max(nclaims, 1));

	for (int i = 0; i < nclaims; i++)
		tids[i] = PointerGetDatum(&claims[i]->tid);
	return hubspot_array_of(tids, nclaims, TIDOID);
}

/* The first of the rows that are due; false if there is none. */
bool
hubspot_claim_first(const HubspotClaimant *claimant, int64 *id)
{
	HubspotValues values = {0};
	HubspotRow	row;

	set_window(&values, claimant, 1);
	if (hubspot_query(&first_statement, &values, &rows) == 0)
		return false;
	hubspot_read_row(&rows, 0, &row);
	*id = hubspot_get_int64(&row, FIRST_ID);
	return true;
}

/* Delete rows that later ones override; how many of the window were. */
int64
hubspot_claim_prune(const HubspotClaimant *claimant,
					int window)
{
	HubspotValues values = {0};

	set_window(&values, claimant, window);
	hubspot_set_datum(&values, WINDOW_ROLES, claimant->heeds);
	return hubspot_execute(&prune_statement, &values);
}

static void
set_window(HubspotValues *values, const HubspotClaimant *claimant, int window)
{
	hubspot_set_text(values, WINDOW_SERVER, claimant->server);
	hubspot_set_oid(values, WINDOW_ROLE, claimant->role);
	hubspot_set_time(values, WINDOW_NOW, GetCurrentTimestamp());
	hubspot_set_int64(values, WINDOW_SIZE, window);
	hubspot_set_time(values, WINDOW_HORIZON, claimant->horizon);
}

/*
 * Delete those that rows of the window override, and that aren't due or are
 * another role's.  The window should have been pruned before: this looks at all
 * earlier rows of each pair.
 */
void
hubspot_claim_prune_others(const HubspotClaimant *claimant, int window)
{
	HubspotValues values = {0};

	if (!claimant->has_later && !claimant->has_company)
		return;
	set_window(&values, claimant, window);
	hubspot_set_datum(&values, WINDOW_ROLES, claimant->overrides);
	hubspot_execute(&prune_others_statement, &values);
}

/*
 * Those of the window's rows that are all there is of their pairs, of one lane, which
 * is that of the oldest row of the window.  None: the oldest one is not, or is of no
 * use any more, or all are locked; then there is more to be found out
 * (hubspot_claim_pick()).
 */
void
hubspot_claim_pick_alone(const HubspotClaimant *claimant, int window,
						 HubspotPick *pick)
{
	HubspotValues values = {0};

	set_window(&values, claimant, window);
	hubspot_query(&pick_alone_statement, &values, &rows);
	read_picked(pick);
	hubspot_rows_free(&rows);
}

/*
 * The rows of the window that may be sent now, of one lane, which is that of
 * the oldest of them.  None: all wait for others of their pairs, or are locked.
 * Rows of one pair are in their order.
 */
void
hubspot_claim_pick(const HubspotClaimant *claimant,
				   int window, HubspotPick *pick)
{
	HubspotValues values = {0};

	set_window(&values, claimant, window);
	hubspot_set_datum(&values, WINDOW_ROLES, claimant->company);
	hubspot_query(&pick_statement, &values, &rows);
	read_picked(pick);
	hubspot_rows_free(&rows);
}

/*
 * The tables have CHECKs for how large a row may be.  But they may have been
 * dropped, or not have been there yet; so what is larger isn't read.
 */
static void
read_picked(HubspotPick *pick)
{
	HTAB	   *picked = NULL;
	Size		size = 0;

	memset(pick, 0, sizeof(HubspotPick));
	pick->nlooked_at = (int) rows.count;
	pick->claims = palloc(sizeof(HubspotClaim) * Max(rows.count, 1));
	pick->oversize = palloc(sizeof(HubspotOversize) * Max(rows.count, 1));
	for (uint64 i = 0; i < rows.count && size < MAX_CLAIMED; i++)
	{
		HubspotRow	row;
		const char *problem;

		hubspot_read_row(&rows, i, &row);
		if (hubspot_get_bool(&row, PICK_HAS_OTHERS))
		{
			if (i == 0)
				return;
			continue;
		}
		problem = size_problem(&row, &size);
		if (problem)
		{
			pick->oversize[pick->noversize].id = hubspot_get_int64(&row, PICK_ID);
			pick->oversize[pick->noversize++].problem = problem;
			continue;
		}
		if (pick->nclaims == 0)
			get_lane(&row, &pick->lane);
		else if (!is_of_lane(&row, &pick->lane))
			continue;
		pick->newest = hubspot_get_int64(&row, PICK_NEWEST);
		if (get_claim(&row, &pick->claims[pick->nclaims], &pick->lane, &picked))
			pick->nclaims++;
	}
	pick->size = size;
	if (picked)
		hash_destroy(picked);
}

/* Why a picked row isn't read, or NULL; then its size is added. */
static const char *
size_problem(const HubspotRow *row, Size *sum)
{
	Size		row_size = sizeof(HubspotClaim);

	for (size_t i = 0; i < lengthof(size_limits); i++)
	{
		Size		size = hubspot_get_size(row, size_limits[i].column);

		if (size > size_limits[i].most)
			return size_limits[i].problem;
		row_size += size;
	}
	*sum += row_size;
	return NULL;
}

/* False: it has to wait for the row before it of its pair. */
static bool
get_claim(const HubspotRow *row, HubspotClaim *claim, const HubspotLane *lane,
		  HTAB **picked)
{
	claim->id = hubspot_get_int64(row, PICK_ID);
	claim->tid = *(ItemPointer) DatumGetPointer(row->values[PICK_TID]);
	claim->pair = hubspot_get_int64(row, PICK_PAIR);
	claim->type_ids = hubspot_get_array(row, PICK_TYPE_IDS);
	claim->labels = hubspot_get_array(row, PICK_LABELS);
	claim->last_id = claim->id;
	claim->shares = false;
	if (can_share(lane) && !goes_along(row, claim, picked))
		return false;
	claim->from_id = hubspot_get_slice(row, PICK_FROM_ID);
	claim->to_id = hubspot_get_slice(row, PICK_TO_ID);
	claim->category = hubspot_get_text(row, PICK_CATEGORY);
	return true;
}

/* May rows of one pair go together in this lane? */
static bool
can_share(const HubspotLane *lane)
{
	return lane->attempts == 0 &&
		hubspot_adds_up(lane->operation, lane->keep_labels);
}

/*
 * Is the row before this one of its pair, if there is one, picked, too?  And have
 * they no more types together than go into an input?  In *picked are the rows so
 * far.
 */
static bool
goes_along(const HubspotRow *row, const HubspotClaim *claim, HTAB **picked)
{
	int			ntypes = count_elements(claim->type_ids) + count_elements(claim->labels);
	PickedRow  *entry;

	if (*picked == NULL)
	{
		HASHCTL		control = {0};

		control.keysize = sizeof(int64);
		control.entrysize = sizeof(PickedRow);
		control.hcxt = CurrentMemoryContext;
		*picked = hash_create("hubspot_assoc picked rows", 256, &control,
							  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	if (!row->isnull[PICK_BEFORE])
	{
		int64		before = hubspot_get_int64(row, PICK_BEFORE);

		entry = hash_search(*picked, &before, HASH_FIND, NULL);
		if (entry == NULL || entry->ntypes + ntypes > HUBSPOT_MAX_TYPES)
			return false;
		ntypes += entry->ntypes;
	}
	entry = hash_search(*picked, &claim->id, HASH_ENTER, NULL);
	entry->ntypes = ntypes;
	return true;
}

static int
count_elements(const ArrayType *array)
{
	return array ? ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)) : 0;
}

/*
 * Of rows that are sent together, let each know whether others of its pair are,
 * and the last one of these.
 */
void
hubspot_claim_link(const HubspotLane *lane, HubspotClaim *claims, int nclaims)
{
	HASHCTL		control = {0};
	HTAB	   *pairs;

	if (!can_share(lane) || nclaims < 2)
		return;
	control.keysize = sizeof(int64);
	control.entrysize = sizeof(PickedPair);
	control.hcxt = CurrentMemoryContext;
	pairs = hash_create("hubspot_assoc picked pairs", 256, &control,
						HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	for (int i = nclaims - 1; i >= 0; i--)
	{
		bool		found;
		PickedPair *pair = hash_search(pairs, &claims[i].pair, HASH_ENTER, &found);

		if (!found)
			pair->last = &claims[i];
		else
			claims[i].shares = pair->last->shares = true;
		claims[i].last_id = pair->last->id;
	}
	hash_destroy(pairs);
}

static void
get_lane(const HubspotRow *row, HubspotLane *lane)
{
	lane->operation = hubspot_get_text(row, PICK_OPERATION);
	lane->from_type = hubspot_get_text(row, PICK_FROM_TYPE);
	lane->to_type = hubspot_get_text(row, PICK_TO_TYPE);
	lane->keep_labels = hubspot_get_bool(row, PICK_KEEP_LABELS);
	lane->attempts = hubspot_get_int32(row, PICK_ATTEMPTS);
}

static bool
is_of_lane(const HubspotRow *row, const HubspotLane *lane)
{
	return hubspot_get_int32(row, PICK_ATTEMPTS) == lane->attempts &&
		hubspot_get_bool(row, PICK_KEEP_LABELS) == lane->keep_labels &&
		hubspot_equals_text(row, PICK_OPERATION, lane->operation) &&
		hubspot_equals_text(row, PICK_FROM_TYPE, lane->from_type) &&
		hubspot_equals_text(row, PICK_TO_TYPE, lane->to_type);
}

/*
 * Let the rows of the window wait for those of their pairs that come before
 * them, so that they don't stand at the head of the queue; how many there were.
 */
int64
hubspot_claim_defer_blocked(const HubspotClaimant *claimant, int window)
{
	HubspotValues values = {0};

	set_window(&values, claimant, window);
	hubspot_set_datum(&values, WINDOW_ROLES, claimant->company);
	return hubspot_execute(&defer_blocked_statement, &values);
}

/* Have rows wait that this transaction has picked, without charging them. */
void
hubspot_claim_defer(const HubspotDeferral *deferrals, int ndeferrals)
{
	Datum	   *ids = palloc(sizeof(Datum) * ndeferrals);
	Datum	   *times = palloc(sizeof(Datum) * ndeferrals);
	HubspotValues values = {0};

	for (int i = 0; i < ndeferrals; i++)
	{
		ids[i] = Int64GetDatum(deferrals[i].id);
		times[i] = TimestampTzGetDatum(deferrals[i].not_before);
	}
	hubspot_set_datum(&values, DEFER_IDS,
					  hubspot_array_of(ids, ndeferrals, INT8OID));
	hubspot_set_datum(&values, DEFER_TIMES,
					  hubspot_array_of(times, ndeferrals, TIMESTAMPTZOID));
	hubspot_execute(&defer_statement, &values);
}

/*
 * Sort claims by the records that they are from, so many of these at most.  Returns how
 * many claims that are; they come first.
 */
int
hubspot_claim_group(HubspotClaim *claims, int nclaims, int max_groups)
{
	HASHCTL		control = {0};
	HTAB	   *groups;
	int			i;

	control.keysize = MAX_GROUP_KEY;
	control.entrysize = MAX_GROUP_KEY;
	control.hcxt = CurrentMemoryContext;
	groups = hash_create("hubspot_assoc records", max_groups, &control,
						 HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	for (i = 0; i < nclaims; i++)
	{
		const char *from_id = claims[i].from_id.data;

		/* longer ones are taken for one; they are no ids of HubSpot's */
		if (hash_get_num_entries(groups) < max_groups)
			(void) hash_search(groups, from_id, HASH_ENTER, NULL);
		else if (hash_search(groups, from_id, HASH_FIND, NULL) == NULL)
			break;
	}
	hash_destroy(groups);
	qsort(claims, i, sizeof(HubspotClaim), compare_from_ids);
	return i;
}

static int
compare_from_ids(const void *a, const void *b)
{
	const HubspotClaim *one = a;
	const HubspotClaim *other = b;
	int			order = one->from_id.len - other->from_id.len;

	if (order == 0)
		order = memcmp(one->from_id.data, other->from_id.data, one->from_id.len);
	if (order == 0)
		order = one->id < other->id ? -1 : 1;
	return order;
}
