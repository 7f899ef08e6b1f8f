/*-------------------------------------------------------------------------
 *
 * claim.c
 *	  Rows of the outbox that are to be sent: what they override, and wait for.
 *
 * The rows of a pair take effect in the order of their ids.  The last one of
 * its kind counts: it overrides those before it that have not been sent, which
 * are deleted ("pruned").  What is left of a pair goes one after the other,
 * except for labels: adjacent rows that add some, or take some away, go
 * together, as one input.
 *
 * All of this looks at a window, the oldest rows that are due, and from there
 * by index at the next rows of the same pairs, so that it costs the same whatever
 * the length of the queue, or of a pair's.
 *
 * All functions here need a transaction with a snapshot.  What they return is
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
#include "outbox/window.h"
#include "schema/prepared.h"

/* How many bytes of an id tell records apart when they are counted. */
#define MAX_GROUP_KEY		64

/*
 * How many rows of its pair are looked at for a row.  A pair has a few labels, so what overrides
 * a row comes soon after it.  If somebody gives a pair thousands of rows that override nothing,
 * each would be compared with all others, for minutes.
 */
#define LIMIT_OF_PAIR		"50"

/* The parameter of the statements on a window that comes after those of window.h */
enum
{
	CLAIM_ROLES = HUBSPOT_WINDOW_NPARAMETERS	/* the roles whose rows of its
												 * pairs count */
};

/*
 * The first row of the same pair before w, or null.  It is a scalar subquery, so that the
 * planner cannot turn the look-up by index into a join.
 */
#define BLOCKER \
	"(SELECT b.id FROM %1$s.hs_assoc_outbox AS b" \
	" WHERE " HUBSPOT_SQL_PAIR("b") " = " HUBSPOT_SQL_PAIR("w") " AND b.id < w.id" \
	" AND b.server IS NOT DISTINCT FROM w.server AND b.role = ANY ($6)" \
	" ORDER BY " HUBSPOT_SQL_PAIR("b") ", b.id LIMIT 1)"

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
	.text = "SELECT w.id FROM " HUBSPOT_SQL_WINDOW " AS w",
	.types = {HUBSPOT_WINDOW_TYPES}
};

static HubspotStatement prune_statement = {
	.text =
	"DELETE FROM %1$s.hs_assoc_outbox WHERE id = ANY (ARRAY("
	" SELECT l.id FROM %1$s.hs_assoc_outbox AS l WHERE l.id = ANY (ARRAY("
	"  SELECT o.id FROM " HUBSPOT_SQL_WINDOW " AS o"
	"  WHERE (SELECT true FROM"
	"    (SELECT l.* FROM %1$s.hs_assoc_outbox AS l"
	"     WHERE " HUBSPOT_SQL_PAIR("l") " = " HUBSPOT_SQL_PAIR("o") " AND l.id > o.id"
	"     ORDER BY " HUBSPOT_SQL_PAIR("l") ", l.id LIMIT " LIMIT_OF_PAIR ") AS n"
	"   WHERE " HUBSPOT_SQL_SAME_PAIR " AND n.role = ANY ($6) AND " HUBSPOT_SQL_OVERRIDES
	"   LIMIT 1)))"
	" FOR UPDATE SKIP LOCKED))",
	.types = {HUBSPOT_WINDOW_TYPES,[CLAIM_ROLES] = OIDARRAYOID}
};

static HubspotStatement prune_others_statement = {
	.text =
	"DELETE FROM %1$s.hs_assoc_outbox WHERE id = ANY (ARRAY("
	" SELECT l.id FROM %1$s.hs_assoc_outbox AS l WHERE l.id = ANY (ARRAY("
	"  SELECT earlier.id FROM " HUBSPOT_SQL_WINDOW " AS n CROSS JOIN LATERAL"
	"   (SELECT o.id FROM"
	"     (SELECT e.* FROM %1$s.hs_assoc_outbox AS e"
	"      WHERE " HUBSPOT_SQL_PAIR("e") " = " HUBSPOT_SQL_PAIR("n") " AND e.id < n.id"
	"      ORDER BY " HUBSPOT_SQL_PAIR("e") " DESC, e.id DESC LIMIT " LIMIT_OF_PAIR ") AS o"
	"    WHERE " HUBSPOT_SQL_SAME_PAIR
	"     AND o.role = ANY ($6) AND " HUBSPOT_SQL_OVERRIDES " OFFSET 0) AS earlier))"
	" FOR UPDATE SKIP LOCKED))",
	.types = {HUBSPOT_WINDOW_TYPES,[CLAIM_ROLES] = OIDARRAYOID}
};

static HubspotStatement defer_blocked_statement = {
	.text =
	"UPDATE %1$s.hs_assoc_outbox AS u"
	" SET not_before = greatest(b.not_before, k.retry_at, $3 + interval '1 s')"
	" FROM (SELECT w.id, " BLOCKER " AS blocker FROM " HUBSPOT_SQL_WINDOW " AS w) AS blocked"
	" JOIN %1$s.hs_assoc_outbox AS b ON b.id = blocked.blocker"
	" LEFT JOIN %1$s.hs_assoc_backoff AS k ON k.server = b.server AND k.role = b.role"
	" WHERE u.id = ANY (ARRAY("
	"  SELECT l.id FROM %1$s.hs_assoc_outbox AS l WHERE l.id = blocked.id"
	"  FOR UPDATE SKIP LOCKED))",
	.types = {HUBSPOT_WINDOW_TYPES,[CLAIM_ROLES] = OIDARRAYOID}
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

/* The rows that the last query here has returned. */
static HubspotRows rows;

static HTAB *create_records(int max_records);
static int	compare_from_ids(const void *a, const void *b);

/* The ids of claims as an int8[], palloc'd. */
Datum
hubspot_claim_ids(const HubspotClaim *const *claims, int nclaims)
{
	Datum	   *ids = palloc(sizeof(Datum) * Max(nclaims, 1));

	for (int i = 0; i < nclaims; i++)
		ids[i] = Int64GetDatum(claims[i]->id);
	return hubspot_array_of(ids, nclaims, INT8OID);
}

/* The places of claims as a tid[], palloc'd. */
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

	hubspot_set_window(&values, claimant, 1);
	if (hubspot_query(&first_statement, &values, &rows) == 0)
		return false;
	hubspot_read_row(&rows, 0, &row);
	*id = hubspot_get_int64(&row, FIRST_ID);
	return true;
}

/* Delete rows of the window that later ones override; returns how many. */
int64
hubspot_claim_prune(const HubspotClaimant *claimant,
					int window)
{
	HubspotValues values = {0};

	hubspot_set_window(&values, claimant, window);
	hubspot_set_datum(&values, CLAIM_ROLES, claimant->heeds);
	return hubspot_execute(&prune_statement, &values);
}

/*
 * Delete rows that rows of the window override, and that are not in it: they are not due,
 * or due later, or another role's.  The window should have been pruned before: of the earlier
 * rows of a pair, this looks at the last ones.
 */
void
hubspot_claim_prune_others(const HubspotClaimant *claimant, int window)
{
	HubspotValues values = {0};

	hubspot_set_window(&values, claimant, window);
	hubspot_set_datum(&values, CLAIM_ROLES, claimant->overrides);
	hubspot_execute(&prune_others_statement, &values);
}

/*
 * Tell each of the rows that are sent together whether others of its pair are among them, and
 * which of these is the last.
 */
void
hubspot_claim_link(const HubspotLane *lane, HubspotClaim *claims, int nclaims)
{
	HASHCTL		control = {0};
	HTAB	   *pairs;

	if (!hubspot_claim_can_share(lane) || nclaims < 2)
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

/* May rows of one pair go together in this lane? */
bool
hubspot_claim_can_share(const HubspotLane *lane)
{
	return lane->attempts == 0 && !lane->has_keys &&
		hubspot_adds_up(lane->operation, lane->keep_labels);
}

/*
 * Let rows of the window wait for those of their pairs that come before them,
 * so that they do not stay at the head of the queue; returns how many.
 */
int64
hubspot_claim_defer_blocked(const HubspotClaimant *claimant, int window)
{
	HubspotValues values = {0};

	hubspot_set_window(&values, claimant, window);
	hubspot_set_datum(&values, CLAIM_ROLES, claimant->company);
	return hubspot_execute(&defer_blocked_statement, &values);
}

/* Put off rows that this transaction has picked, without charging them. */
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
 * Sort the first claims by the records that they are from, those of at most max_groups
 * records.  Returns how many claims these are.
 */
int
hubspot_claim_group(HubspotClaim *claims, int nclaims, int max_groups)
{
	HTAB	   *records = create_records(max_groups);
	int			i;

	for (i = 0; i < nclaims; i++)
	{
		if (hash_get_num_entries(records) < max_groups)
			(void) hash_search(records, claims[i].from_id.data, HASH_ENTER, NULL);
		else if (hash_search(records, claims[i].from_id.data, HASH_FIND, NULL) == NULL)
			break;
	}
	hash_destroy(records);
	qsort(claims, i, sizeof(HubspotClaim), compare_from_ids);
	return i;
}

/* How many records are the claims from? */
int
hubspot_claim_count_records(const HubspotClaim *claims, int nclaims)
{
	HTAB	   *records = create_records(nclaims);
	int			count;

	for (int i = 0; i < nclaims; i++)
		(void) hash_search(records, claims[i].from_id.data, HASH_ENTER, NULL);
	count = (int) hash_get_num_entries(records);
	hash_destroy(records);
	return count;
}

/*
 * Create a set of records' ids.  HubSpot's ids fit into it; longer ones that begin alike count
 * as one.
 */
static HTAB *
create_records(int max_records)
{
	HASHCTL		control = {0};

	control.keysize = MAX_GROUP_KEY;
	control.entrysize = MAX_GROUP_KEY;
	control.hcxt = CurrentMemoryContext;
	return hash_create("hubspot_assoc records", max_records, &control,
					   HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
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
