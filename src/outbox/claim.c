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

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "outbox/claim.h"
#include "schema/prepared.h"

/* So much of an id tells records apart, when they are counted. */
#define MAX_GROUP_KEY		64

/*
 * Statements.  $1 and $2 are server and role, $3 the time, $4 the size of the
 * window, where there is a window.
 */
#define WINDOW \
	"(SELECT id, server, role, operation, from_type, from_id, to_type, to_id, type_ids," \
	"  category, labels, keep_labels, not_before, attempts, error_category" \
	" FROM %1$s.hs_assoc_outbox" \
	" WHERE server = $1 AND role = $2 AND not_before <= $3" \
	" ORDER BY not_before, id LIMIT $4)"

/*
 * Does the later row n of the pair make the earlier row o needless, so that o
 * need not be sent?  A create_default after an archive comes to the former, so
 * that what goes and comes back keeps its labels; a label that was to go before
 * the two still has to go then.
 */
#define OVERRIDES \
	"CASE n.operation" \
	" WHEN 'archive' THEN o.operation <> 'archive_labels'" \
	"  OR (SELECT d.id FROM %1$s.hs_assoc_outbox AS d" \
	"   WHERE " HUBSPOT_SQL_PAIR("d") " = " HUBSPOT_SQL_PAIR("n") " AND d.id > n.id" \
	"    AND d.from_id = n.from_id AND d.to_id = n.to_id" \
	"    AND d.operation = 'create_default'" \
	"    AND " HUBSPOT_SQL_SAME_TYPE("d.from_type", "n.from_type") \
	"    AND " HUBSPOT_SQL_SAME_TYPE("d.to_type", "n.to_type") \
	"   ORDER BY " HUBSPOT_SQL_PAIR("d") ", d.id LIMIT 1) IS NULL" \
	" WHEN 'create_default' THEN o.operation IN ('create_default', 'archive')" \
	" ELSE o.operation IN ('create', 'archive_labels') AND " HUBSPOT_SQL_SAME_TYPES \
	"  AND (o.operation = 'archive_labels' OR o.keep_labels" \
	"   OR (n.operation = 'create' AND NOT n.keep_labels))" \
	" END"

/*
 * Is there a row of the same pair before w?  In scalar subqueries such as this
 * one, the planner cannot join what has to be looked up by index.
 */
#define BLOCKER \
	"(SELECT b.id FROM %1$s.hs_assoc_outbox AS b" \
	" WHERE " HUBSPOT_SQL_PAIR("b") " = " HUBSPOT_SQL_PAIR("w") " AND b.id < w.id" \
	" AND b.server IS NOT DISTINCT FROM w.server AND b.role = ANY ($5)" \
	" ORDER BY " HUBSPOT_SQL_PAIR("b") ", b.id LIMIT 1)"

/*
 * Can w go into a request together with b, the row before it of its pair?  What
 * only adds to a pair, or only takes away, can be added up.
 */
#define GOES_WITH \
	"(w.keep_labels OR w.operation = 'archive_labels')" \
	" AND b.operation = w.operation AND b.keep_labels = w.keep_labels AND b.role = w.role" \
	" AND b.from_type = w.from_type AND b.to_type = w.to_type" \
	" AND b.from_id = w.from_id AND b.to_id = w.to_id" \
	" AND b.attempts = 0 AND w.attempts = 0 AND b.not_before <= $3"

/* Something of the last row of the same pair before w */
#define OF_ROW_BEFORE(what) \
	"(SELECT " what " FROM %1$s.hs_assoc_outbox AS b" \
	" WHERE " HUBSPOT_SQL_PAIR("b") " = " HUBSPOT_SQL_PAIR("w") " AND b.id < w.id" \
	" AND b.server IS NOT DISTINCT FROM w.server AND b.role = ANY ($5)" \
	" ORDER BY " HUBSPOT_SQL_PAIR("b") " DESC, b.id DESC LIMIT 1)"

/* A dead letter that was put back might have been outdated while it was locked. */
#define IS_OF_USE \
	"(w.error_category IS NULL OR NOT EXISTS" \
	" (SELECT FROM %1$s.hs_assoc_outdated AS u WHERE u.id = w.id AND u.server = w.server))"

#define WINDOW_TYPES	HUBSPOT_ACCOUNT_TYPES, TIMESTAMPTZOID, INT8OID

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

static HubspotStatement first_statement = {
	.text = "SELECT w.id FROM " WINDOW " AS w",
	.nparameters = 4,
	.types = {WINDOW_TYPES}
};

static HubspotStatement prune_statement = {
	.text =
	"DELETE FROM %1$s.hs_assoc_outbox WHERE id = ANY (ARRAY("
	" SELECT l.id FROM %1$s.hs_assoc_outbox AS l WHERE l.id = ANY (ARRAY("
	"  SELECT o.id FROM " WINDOW " AS o"
	"  WHERE (SELECT true FROM %1$s.hs_assoc_outbox AS n"
	"   WHERE " HUBSPOT_SQL_SAME_PAIR " AND n.role = ANY ($5) AND " OVERRIDES
	"   ORDER BY " HUBSPOT_SQL_PAIR("n") ", n.id LIMIT 1)))"
	" FOR UPDATE SKIP LOCKED))",
	.nparameters = 5,
	.types = {WINDOW_TYPES, OIDARRAYOID}
};

static HubspotStatement prune_others_statement = {
	.text =
	"DELETE FROM %1$s.hs_assoc_outbox WHERE id = ANY (ARRAY("
	" SELECT l.id FROM %1$s.hs_assoc_outbox AS l WHERE l.id = ANY (ARRAY("
	"  SELECT earlier.id FROM " WINDOW " AS n CROSS JOIN LATERAL"
	"   (SELECT o.id FROM %1$s.hs_assoc_outbox AS o"
	"    WHERE " HUBSPOT_SQL_SAME_PAIR " AND (o.not_before > $3 OR o.role IS DISTINCT FROM n.role)"
	"     AND o.role = ANY ($5) AND " OVERRIDES
	"    ORDER BY " HUBSPOT_SQL_PAIR("o") ", o.id OFFSET 0) AS earlier))"
	" FOR UPDATE SKIP LOCKED))",
	.nparameters = 5,
	.types = {WINDOW_TYPES, OIDARRAYOID}
};

/*
 * The columns after those of the row: the row before it that it may only go with,
 * and the last number that a row was given.
 */
static HubspotStatement pick_statement = {
	.text =
	"SELECT w.id, " HUBSPOT_SQL_PAIR("w") ", w.from_id, w.to_id, w.type_ids, w.category, w.labels,"
	" w.operation, w.from_type, w.to_type, w.keep_labels, w.attempts,"
	" CASE WHEN w.keep_labels OR w.operation = 'archive_labels' THEN " OF_ROW_BEFORE("b.id") " END,"
	" (SELECT s.last_value FROM %1$s.hs_assoc_outbox_id_seq AS s)"
	" FROM %1$s.hs_assoc_outbox AS w WHERE w.id = ANY (ARRAY("
	" SELECT w.id FROM " WINDOW " AS w"
	"  WHERE " OF_ROW_BEFORE("CASE WHEN " GOES_WITH " THEN NULL ELSE b.id END") " IS NULL"
	"   AND " IS_OF_USE "))"
	" ORDER BY w.not_before, w.id FOR UPDATE OF w SKIP LOCKED",
	.nparameters = 5,
	.types = {WINDOW_TYPES, OIDARRAYOID}
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
	.nparameters = 5,
	.types = {WINDOW_TYPES, OIDARRAYOID}
};

static HubspotStatement defer_statement = {
	.text =
	"UPDATE %1$s.hs_assoc_outbox AS o SET not_before = d.not_before"
	" FROM unnest($1, $2) AS d (id, not_before) WHERE o.id = d.id",
	.nparameters = 2,
	.types = {INT8ARRAYOID, TIMESTAMPTZARRAYOID}
};

/* So many bytes of rows are picked at a time, and one row more. */
#define MAX_CLAIMED		(4 * 1024 * 1024)

#define TOO_LONG(name)	name " is longer than " CppAsString2(HUBSPOT_MAX_TEXT) " bytes"

/* How large the values of columns of pick_statement may be, in bytes. */
static const struct
{
	int			column;
	Size		most;
	const char *problem;
}			size_limits[] = {
	{3, HUBSPOT_MAX_TEXT, TOO_LONG("from_id")},
	{4, HUBSPOT_MAX_TEXT, TOO_LONG("to_id")},
	{5, 1000, "there are too many type_ids"},
	{6, HUBSPOT_MAX_TEXT, TOO_LONG("category")},
	{7, 200 * 1024, "there are too many labels, or they are too long"},
	{8, HUBSPOT_MAX_TEXT, TOO_LONG("operation")},
	{9, HUBSPOT_MAX_TEXT, TOO_LONG("from_type")},
	{10, HUBSPOT_MAX_TEXT, TOO_LONG("to_type")}
};

/* The rows that the last query here has returned. */
static HubspotRows rows;

static int	compare_from_ids(const void *a, const void *b);
static void set_window(Datum *values, const HubspotClaimant *claimant,
					   int window);
static const char *size_problem(HeapTuple tuple, Size *sum);
static bool get_claim(HeapTuple tuple, int64 id, HubspotClaim *claim,
					  const HubspotLane *lane, HTAB **picked);
static bool can_share(const HubspotLane *lane);
static bool goes_along(HeapTuple tuple, const HubspotClaim *claim, HTAB **picked);
static int	count_elements(const ArrayType *array);
static void get_lane(HeapTuple tuple, HubspotLane *lane);
static bool is_of_lane(HeapTuple tuple, const HubspotLane *lane);
static bool is_text(HeapTuple tuple, int column, const char *expected);
static char *get_text(HeapTuple tuple, int column);
static HubspotSlice get_slice(HeapTuple tuple, int column);
static ArrayType *get_array(HeapTuple tuple, int column);

/* The first of the rows that are due; false if there is none. */
bool
hubspot_claim_first(const HubspotClaimant *claimant, int64 *id)
{
	Datum		values[4];
	bool		isnull;

	set_window(values, claimant, 1);
	if (hubspot_query(&first_statement, values, NULL, &rows) == 0)
		return false;
	*id = DatumGetInt64(heap_getattr(rows.tuples[0], 1, rows.tupdesc, &isnull));
	return true;
}

/* Delete rows that later ones override; how many of the window were. */
int64
hubspot_claim_prune(const HubspotClaimant *claimant,
					int window)
{
	Datum		values[5];

	set_window(values, claimant, window);
	values[4] = claimant->heeds;
	return hubspot_execute(&prune_statement, values, NULL);
}

static void
set_window(Datum *values, const HubspotClaimant *claimant, int window)
{
	values[0] = CStringGetTextDatum(claimant->server);
	values[1] = ObjectIdGetDatum(claimant->role);
	values[2] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[3] = Int64GetDatum(window);
}

/*
 * Delete those that rows of the window override, and that aren't due or are
 * another role's.  The window should have been pruned before: this looks at all
 * earlier rows of each pair.
 */
void
hubspot_claim_prune_others(const HubspotClaimant *claimant, int window)
{
	Datum		values[5];

	if (!claimant->has_later && !claimant->has_company)
		return;
	set_window(values, claimant, window);
	values[4] = claimant->overrides;
	hubspot_execute(&prune_others_statement, values, NULL);
}

/*
 * The rows of the window that may be sent now, of one lane, which is that of
 * the oldest of them.  None: all wait for others of their pairs, or are locked.
 * Rows of one pair are in their order.
 *
 * The tables have CHECKs for how large a row may be.  But they may have been
 * dropped, or not have been there yet; so what is larger isn't read.
 */
void
hubspot_claim_pick(const HubspotClaimant *claimant,
				   int window, HubspotPick *pick)
{
	Datum		values[5];
	uint64		count;
	HTAB	   *picked = NULL;
	bool		isnull;
	Size		size = 0;

	set_window(values, claimant, window);
	values[4] = claimant->company;
	count = hubspot_query(&pick_statement, values, NULL, &rows);
	memset(pick, 0, sizeof(HubspotPick));
	pick->claims = palloc(sizeof(HubspotClaim) * Max(count, 1));
	pick->oversize = palloc(sizeof(HubspotOversize) * Max(count, 1));
	for (uint64 i = 0; i < count && size < MAX_CLAIMED; i++)
	{
		HeapTuple	tuple = rows.tuples[i];
		int64		id = DatumGetInt64(heap_getattr(tuple, 1, rows.tupdesc, &isnull));
		const char *problem = size_problem(tuple, &size);

		if (problem)
		{
			pick->oversize[pick->noversize].id = id;
			pick->oversize[pick->noversize++].problem = problem;
			continue;
		}
		if (pick->nclaims == 0)
			get_lane(tuple, &pick->lane);
		else if (!is_of_lane(tuple, &pick->lane))
			continue;
		pick->newest = DatumGetInt64(heap_getattr(tuple, 14, rows.tupdesc, &isnull));
		if (get_claim(tuple, id, &pick->claims[pick->nclaims], &pick->lane, &picked))
			pick->nclaims++;
	}
	if (picked)
		hash_destroy(picked);
	hubspot_rows_free(&rows);
}

/*
 * Why a row of the current result isn't read, or NULL; then its size is added.
 * Values that are stored elsewhere, or compressed, stay so.
 */
static const char *
size_problem(HeapTuple tuple, Size *sum)
{
	Size		row_size = sizeof(HubspotClaim);

	for (size_t i = 0; i < lengthof(size_limits); i++)
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, size_limits[i].column, rows.tupdesc,
										 &isnull);
		Size		size = isnull ? 0 : toast_raw_datum_size(value) - VARHDRSZ;

		if (size > size_limits[i].most)
			return size_limits[i].problem;
		row_size += size;
	}
	*sum += row_size;
	return NULL;
}

/* False: it has to wait for the row before it of its pair. */
static bool
get_claim(HeapTuple tuple, int64 id, HubspotClaim *claim, const HubspotLane *lane,
		  HTAB **picked)
{
	bool		isnull;

	claim->id = id;
	claim->pair = DatumGetInt64(heap_getattr(tuple, 2, rows.tupdesc, &isnull));
	claim->type_ids = get_array(tuple, 5);
	claim->labels = get_array(tuple, 7);
	claim->last_id = id;
	claim->shares = false;
	if (can_share(lane) && !goes_along(tuple, claim, picked))
		return false;
	claim->from_id = get_slice(tuple, 3);
	claim->to_id = get_slice(tuple, 4);
	claim->category = get_text(tuple, 6);
	return true;
}

/* May rows of one pair go together in this lane? */
static bool
can_share(const HubspotLane *lane)
{
	return lane->attempts == 0 &&
		(lane->keep_labels || strcmp(lane->operation, "archive_labels") == 0);
}

/*
 * Is the row before this one of its pair, if there is one, picked, too?  And have
 * they no more types together than go into an input?  In *picked are the rows so
 * far.
 */
static bool
goes_along(HeapTuple tuple, const HubspotClaim *claim, HTAB **picked)
{
	bool		isnull;
	int64		before = DatumGetInt64(heap_getattr(tuple, 13, rows.tupdesc, &isnull));
	int			ntypes = count_elements(claim->type_ids) + count_elements(claim->labels);
	PickedRow  *row;

	if (*picked == NULL)
	{
		HASHCTL		control = {0};

		control.keysize = sizeof(int64);
		control.entrysize = sizeof(PickedRow);
		control.hcxt = CurrentMemoryContext;
		*picked = hash_create("hubspot_assoc picked rows", 256, &control,
							  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	if (!isnull)
	{
		row = hash_search(*picked, &before, HASH_FIND, NULL);
		if (row == NULL || row->ntypes + ntypes > HUBSPOT_MAX_TYPES)
			return false;
		ntypes += row->ntypes;
	}
	row = hash_search(*picked, &claim->id, HASH_ENTER, NULL);
	row->ntypes = ntypes;
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
get_lane(HeapTuple tuple, HubspotLane *lane)
{
	bool		isnull;

	lane->operation = get_text(tuple, 8);
	lane->from_type = get_text(tuple, 9);
	lane->to_type = get_text(tuple, 10);
	lane->keep_labels = DatumGetBool(heap_getattr(tuple, 11, rows.tupdesc, &isnull));
	lane->attempts = DatumGetInt32(heap_getattr(tuple, 12, rows.tupdesc, &isnull));
}

static bool
is_of_lane(HeapTuple tuple, const HubspotLane *lane)
{
	bool		isnull;

	return DatumGetInt32(heap_getattr(tuple, 12, rows.tupdesc, &isnull)) == lane->attempts &&
		DatumGetBool(heap_getattr(tuple, 11, rows.tupdesc, &isnull)) == lane->keep_labels &&
		is_text(tuple, 8, lane->operation) && is_text(tuple, 9, lane->from_type) &&
		is_text(tuple, 10, lane->to_type);
}

/* Does a column of the current result, which isn't null, hold that text? */
static bool
is_text(HeapTuple tuple, int column, const char *expected)
{
	bool		isnull;
	text	   *value = DatumGetTextPP(heap_getattr(tuple, column, rows.tupdesc, &isnull));
	size_t		len = strlen(expected);

	return VARSIZE_ANY_EXHDR(value) == len &&
		memcmp(VARDATA_ANY(value), expected, len) == 0;
}

/*
 * Let the rows of the window wait for those of their pairs that come before
 * them, so that they don't stand at the head of the queue; how many there were.
 */
int64
hubspot_claim_defer_blocked(const HubspotClaimant *claimant, int window)
{
	Datum		values[5];

	set_window(values, claimant, window);
	values[4] = claimant->company;
	return hubspot_execute(&defer_blocked_statement, values, NULL);
}

/* Have rows wait that this transaction has picked, without charging them. */
void
hubspot_claim_defer(const HubspotDeferral *deferrals, int ndeferrals)
{
	Datum	   *ids = palloc(sizeof(Datum) * ndeferrals);
	Datum	   *times = palloc(sizeof(Datum) * ndeferrals);
	Datum		values[2];

	for (int i = 0; i < ndeferrals; i++)
	{
		ids[i] = Int64GetDatum(deferrals[i].id);
		times[i] = TimestampTzGetDatum(deferrals[i].not_before);
	}
	values[0] = hubspot_array_of(ids, ndeferrals, INT8OID);
	values[1] = hubspot_array_of(times, ndeferrals, TIMESTAMPTZOID);
	hubspot_execute(&defer_statement, values, NULL);
}

/* Columns of the current result; NULL for a null. */
static char *
get_text(HeapTuple tuple, int column)
{
	HubspotSlice slice = get_slice(tuple, column);

	return unconstify(char *, slice.data);
}

static HubspotSlice
get_slice(HeapTuple tuple, int column)
{
	HubspotSlice slice = {NULL, 0};
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, rows.tupdesc, &isnull);

	if (!isnull)
	{
		text	   *packed = DatumGetTextPP(value);
		char	   *copy;

		slice.len = VARSIZE_ANY_EXHDR(packed);
		copy = palloc(slice.len + 1);
		memcpy(copy, VARDATA_ANY(packed), slice.len);
		copy[slice.len] = '\0';
		slice.data = copy;
	}
	return slice;
}

static ArrayType *
get_array(HeapTuple tuple, int column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, rows.tupdesc, &isnull);
	ArrayType  *array;
	ArrayType  *copy;

	if (isnull)
		return NULL;
	array = DatumGetArrayTypeP(value);
	copy = palloc(VARSIZE(array));
	memcpy(copy, array, VARSIZE(array));
	return copy;
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
