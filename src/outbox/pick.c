/*-------------------------------------------------------------------------
 *
 * pick.c
 *	  Picks rows of the outbox, lane by lane.
 *
 * The first row that is picked gives the first lane, and all others of that
 * lane are picked with it.  Rows of other lanes make lots of their own, which
 * can be sent beside it: no two rows that are picked are of one pair, unless
 * they go into one input.  But rows that have failed go without others, which
 * would have to wait for them.
 *
 * Rows that name records by keys are picked so that these are looked up.  Until that
 * is done, a later row of such object types may be of the same pair, and stays.
 *
 * All functions here need a transaction with a snapshot.  What they return is
 * palloc'd in the current memory context.
 *
 * IDENTIFICATION
 *	  src/outbox/pick.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "api/object_type.h"
#include "outbox/pick.h"
#include "outbox/precedence.h"
#include "outbox/window.h"
#include "schema/prepared.h"

/*
 * How many lanes are told apart in a pick; rows of further lanes wait for a
 * later one.
 */
#define MAX_LOTS		64

/* For how many rows there is room at first, in all lots but the first */
#define OTHERS_ROOM		64

/* The parameters of the statements that come after those of window.h */
enum
{
	PICK_ROLES = HUBSPOT_WINDOW_NPARAMETERS,	/* the roles whose rows of its
												 * pairs count */
	PICK_TIDS = HUBSPOT_WINDOW_NPARAMETERS, /* instead of roles: where to look */
	PICK_UNASKED = HUBSPOT_WINDOW_NPARAMETERS	/* instead of roles: only rows
												 * that HubSpot was not asked
												 * about? */
};

/* A column of the last row of the same pair before w */
#define OF_ROW_BEFORE(what) \
	"(SELECT " what " FROM %1$s.hs_assoc_outbox AS b" \
	" WHERE " HUBSPOT_SQL_PAIR("b") " = " HUBSPOT_SQL_PAIR("w") " AND b.id < w.id" \
	" AND b.server IS NOT DISTINCT FROM w.server AND b.role = ANY ($6)" \
	" ORDER BY " HUBSPOT_SQL_PAIR("b") " DESC, b.id DESC LIMIT 1)"

/* Can w, which is due, join b, the row before it of its pair? */
#define JOINS \
	HUBSPOT_SQL_JOINS("w", "b") " AND b.not_before <= $3"

/*
 * Is the row still of use?  A dead letter that was put back may have been
 * outdated while it was locked.
 */
#define IS_OF_USE \
	"(w.error_category IS NULL OR NOT EXISTS" \
	" (SELECT FROM %1$s.hs_assoc_outdated AS u WHERE u.id = w.id AND u.server = w.server))"

/* A row that was picked, with the types of those of its pair before it */
typedef struct PickedRow
{
	int64		id;				/* must be first: the key */
	int			ntypes;
} PickedRow;

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
	PICK_WAITED,				/* for its records so far, in microseconds; or
								 * null */
	PICK_HISTORIC,				/* of history.h */
	PICK_NEWEST = PICK_HISTORIC + HUBSPOT_NHISTORIC,	/* the latest id that
														 * any row has been
														 * given */
	PICK_BEFORE,				/* the earlier row of its pair without which
								 * it may not go */
	PICK_HAS_OTHERS				/* is there anything else of its pair? */
};

#define PICKED_COLUMNS(tid, pair) \
	"w.id, " pair ", w.from_id, w.to_id, w.type_ids, w.category, w.labels," \
	" w.operation, w.from_type, w.to_type, w.keep_labels, w.attempts, " tid "," \
	" CASE WHEN w.waited IS NOT NULL THEN (extract(epoch FROM w.waited) * 1000000)::bigint END," \
	" " HUBSPOT_SQL_HISTORIC("w") "," \
	" (SELECT s.last_value FROM %1$s.hs_assoc_outbox_id_seq AS s)"

/*
 * Most pairs have one row.  Then there is nothing to prune, and nothing to
 * wait for, and one look at the pair is enough; a row that is no longer of use
 * does not count as such.  Rows that somebody has locked are not in this
 * window.
 */
#define PICK_ALONE(where) \
	"SELECT " PICKED_COLUMNS("w.tid", "w.pair") ", NULL::bigint," \
	" NOT " IS_OF_USE " OR (SELECT true FROM %1$s.hs_assoc_outbox AS b" \
	"  WHERE " HUBSPOT_SQL_PAIR("b") " = w.pair AND b.id <> w.id" \
	"  ORDER BY " HUBSPOT_SQL_PAIR("b") ", b.id LIMIT 1) IS NOT NULL" \
	" FROM (SELECT ctid AS tid, " HUBSPOT_SQL_PAIR("o") " AS pair, o.*" \
	"  FROM %1$s.hs_assoc_outbox AS o WHERE " where " FOR UPDATE SKIP LOCKED) AS w"

static HubspotStatement pick_alone_statement = {
	.text = PICK_ALONE(HUBSPOT_SQL_OLDEST_DUE),
	.types = {HUBSPOT_WINDOW_TYPES}
};

/*
 * Another row may have come to one of these places.  The conditions are such
 * that no index fits, which the planner might take otherwise.
 */
static HubspotStatement pick_alone_of_statement = {
	.text = PICK_ALONE("ctid = ANY ($6) AND server IS NOT DISTINCT FROM $1"
					   " AND role IS NOT DISTINCT FROM $2 AND not_before <= $3"),
	.types = {HUBSPOT_WINDOW_TYPES,[PICK_TIDS] = TIDARRAYOID}
};

/*
 * As many rows as the window has, but those that have become due last; or, of ten times as
 * many, those that have not waited for their records.
 */
static HubspotStatement pick_latest_statement = {
	.text = PICK_ALONE("id = ANY (ARRAY("
					   " SELECT l.id FROM (SELECT k.id, k.waited FROM %1$s.hs_assoc_outbox AS k"
					   "   WHERE k.server = $1 AND k.role = $2 AND k.not_before >= $5 AND k.not_before <= $3"
					   "   ORDER BY k.not_before DESC, k.id DESC LIMIT CASE WHEN $6 THEN 10 * $4 ELSE $4 END) AS l"
					   "  WHERE NOT $6 OR l.waited IS NULL OR l.waited = '0' LIMIT $4))"
					   " ORDER BY not_before, id"),
	.types = {HUBSPOT_WINDOW_TYPES,[PICK_UNASKED] = BOOLOID}
};

static HubspotStatement pick_statement = {
	.text =
	"SELECT " PICKED_COLUMNS("w.ctid", HUBSPOT_SQL_PAIR("w")) ","
	" CASE WHEN " HUBSPOT_SQL_ADDS_UP("w") " THEN " OF_ROW_BEFORE("b.id") " END, false"
	" FROM %1$s.hs_assoc_outbox AS w WHERE w.id = ANY (ARRAY("
	" SELECT w.id FROM " HUBSPOT_SQL_WINDOW " AS w"
	"  WHERE " OF_ROW_BEFORE("CASE WHEN " JOINS " THEN NULL ELSE b.id END") " IS NULL"
	"   AND " IS_OF_USE "))"
	" ORDER BY w.not_before, w.id FOR UPDATE OF w SKIP LOCKED",
	.types = {HUBSPOT_WINDOW_TYPES,[PICK_ROLES] = OIDARRAYOID}
};

/* How many bytes of rows are picked at a time; one row more may be. */
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

static bool has_others(uint64 number);
static void read_picked(HubspotPick *pick, bool single);
static void read_claim(HubspotPick *pick, const HubspotRow *row, bool single);
static bool note_keys(HubspotPick *pick, const HubspotRow *row);
static bool may_be_unknown(const HubspotPick *pick, const HubspotRow *row);
static int	standard_type(const HubspotRow *row, int column, bool *has_key);
static HubspotLot *find_lot(const HubspotPick *pick, const HubspotRow *row);
static HubspotLot *add_lot(HubspotPick *pick, const HubspotRow *row);
static const char *size_problem(const HubspotRow *row, Size *sum);
static bool get_claim(const HubspotRow *row, HubspotClaim *claim, HubspotLot *lot);
static bool goes_along(const HubspotRow *row, const HubspotClaim *claim,
					   HubspotLot *lot);
static int	count_elements(const ArrayType *array);
static void get_lane(const HubspotRow *row, HubspotLane *lane);
static bool is_of_lane(const HubspotRow *row, const HubspotLane *lane);

/*
 * Pick the window's rows that are the only ones of their pairs.  None: the oldest row is not
 * the only one of its pair, or is no longer of use, or all are locked; then more has to be
 * found out (hubspot_pick()).
 */
void
hubspot_pick_alone(const HubspotClaimant *claimant, int window, bool single,
				   HubspotPick *pick)
{
	HubspotValues values = {0};

	hubspot_set_window(&values, claimant, window);
	hubspot_query(&pick_alone_statement, &values, &rows);
	if (rows.count > 0 && has_others(0))
		rows.count = 0;
	read_picked(pick, single);
	hubspot_rows_free(&rows);
}

/* Likewise, but of the rows that were due at these places. */
void
hubspot_pick_alone_of(const HubspotClaimant *claimant, ItemPointerData * tids, int ntids,
					  HubspotPick *pick)
{
	HubspotValues values = {0};
	Datum	   *places = palloc(sizeof(Datum) * ntids);

	for (int i = 0; i < ntids; i++)
		places[i] = PointerGetDatum(&tids[i]);
	hubspot_set_window(&values, claimant, ntids);
	hubspot_set_datum(&values, PICK_TIDS, hubspot_array_of(places, ntids, TIDOID));
	hubspot_query(&pick_alone_of_statement, &values, &rows);
	read_picked(pick, false);
	hubspot_rows_free(&rows);
	pfree(places);
}

/*
 * Likewise, but of as many rows that have become due last; or, if unasked, of ten times as
 * many, only those that have ids or that HubSpot was not asked about.
 */
void
hubspot_pick_latest(const HubspotClaimant *claimant, int window, bool unasked,
					HubspotPick *pick)
{
	HubspotValues values = {0};

	hubspot_set_window(&values, claimant, window);
	hubspot_set_bool(&values, PICK_UNASKED, unasked);
	hubspot_query(&pick_latest_statement, &values, &rows);
	read_picked(pick, false);
	hubspot_rows_free(&rows);
}

/*
 * Pick the rows of the window that may be sent now.  None: all wait for others
 * of their pairs, or are locked.  Rows of one pair stay in their order.
 */
void
hubspot_pick(const HubspotClaimant *claimant, int window, bool single,
			 HubspotPick *pick)
{
	HubspotValues values = {0};

	hubspot_set_window(&values, claimant, window);
	hubspot_set_datum(&values, PICK_ROLES, claimant->company);
	hubspot_query(&pick_statement, &values, &rows);
	read_picked(pick, single);
	hubspot_rows_free(&rows);
}

static bool
has_others(uint64 number)
{
	HubspotRow	row;

	hubspot_read_row(&rows, number, &row);
	return hubspot_get_bool(&row, PICK_HAS_OTHERS);
}

/*
 * The tables have CHECKs for how large a row may be.  But these may have been
 * dropped, or not have been there yet; so a larger row is not read.
 */
static void
read_picked(HubspotPick *pick, bool single)
{
	int			nlots = 0;

	memset(pick, 0, sizeof(HubspotPick));
	pick->nlooked_at = (int) rows.count;
	pick->lots = palloc(sizeof(HubspotLot) * (single ? 1 : MAX_LOTS));
	pick->oversize = palloc(sizeof(HubspotOversize) * Max(rows.count, 1));
	pick->unknown = palloc(sizeof(HubspotTypePair) * MAX_LOTS);
	for (uint64 i = 0; i < rows.count && pick->size < MAX_CLAIMED; i++)
	{
		HubspotRow	row;
		const char *problem;

		hubspot_read_row(&rows, i, &row);
		if (hubspot_get_bool(&row, PICK_HAS_OTHERS))
		{
			(void) note_keys(pick, &row);
			continue;
		}
		problem = size_problem(&row, &pick->size);
		if (problem)
		{
			pick->oversize[pick->noversize].id = hubspot_get_int64(&row, PICK_ID);
			pick->oversize[pick->noversize++].problem = problem;
			continue;
		}
		read_claim(pick, &row, single);
	}
	for (int i = 0; i < pick->nlots; i++)
	{
		if (pick->lots[i].by_id)
			hash_destroy(pick->lots[i].by_id);
		if (pick->lots[i].nclaims > 0)
			pick->lots[nlots++] = pick->lots[i];
	}
	pick->nlots = nlots;
}

/* Read a row into the lot of its lane, if there is one. */
static void
read_claim(HubspotPick *pick, const HubspotRow *row, bool single)
{
	HubspotLot *lot;

	if (!note_keys(pick, row) && may_be_unknown(pick, row))
		return;
	lot = find_lot(pick, row);
	if (lot == NULL && (pick->nlots == 0 || !single))
		lot = add_lot(pick, row);
	if (lot == NULL)
		return;
	if (lot->nclaims == lot->room)
	{
		lot->room *= 2;
		lot->claims = repalloc(lot->claims, sizeof(HubspotClaim) * lot->room);
	}
	pick->newest = hubspot_get_int64(row, PICK_NEWEST);
	if (get_claim(row, &lot->claims[lot->nclaims], lot))
		lot->nclaims++;
}

/* Does a row name records by keys?  Then its object types are noted. */
static bool
note_keys(HubspotPick *pick, const HubspotRow *row)
{
	HubspotTypePair types;
	bool		has_key = false;

	if (row->isnull[PICK_WAITED])
		return false;
	types.from = standard_type(row, PICK_FROM_TYPE, &has_key);
	types.to = standard_type(row, PICK_TO_TYPE, &has_key);
	if (!has_key)
		return false;
	for (int i = 0; i < pick->nunknown; i++)
	{
		if (pick->unknown[i].from == types.from && pick->unknown[i].to == types.to)
			return true;
	}
	/* once it is full, rows of all object types are kept back */
	if (pick->nunknown < MAX_LOTS)
		pick->unknown[pick->nunknown++] = types;
	return true;
}

/* May a row with ids be of the same pair as one before it whose records are not known? */
static bool
may_be_unknown(const HubspotPick *pick, const HubspotRow *row)
{
	bool		has_key = false;
	int			from;
	int			to;

	if (pick->nunknown == 0)
		return false;
	from = standard_type(row, PICK_FROM_TYPE, &has_key);
	to = standard_type(row, PICK_TO_TYPE, &has_key);
	for (int i = 0; i < pick->nunknown; i++)
	{
		const HubspotTypePair *types = &pick->unknown[i];

		if ((types->from == from && types->to == to) ||
			(types->from == to && types->to == from))
			return true;
	}
	return pick->nunknown == MAX_LOTS;
}

/* The number of a standard object type, or 0; *has_key becomes true if it has a property. */
static int
standard_type(const HubspotRow *row, int column, bool *has_key)
{
	HubspotSlice type;
	const char *colon;

	if (hubspot_get_size(row, column) > HUBSPOT_MAX_TEXT)
		return 0;
	type = hubspot_get_slice(row, column);
	colon = memchr(type.data, ':', type.len);
	if (colon)
	{
		*has_key = true;
		type.len = colon - type.data;
	}
	return hubspot_standard_number(type);
}

static HubspotLot *
find_lot(const HubspotPick *pick, const HubspotRow *row)
{
	for (int i = 0; i < pick->nlots; i++)
	{
		if (is_of_lane(row, &pick->lots[i].lane))
			return &pick->lots[i];
	}
	return NULL;
}

/* Add a lot for the lane of a row.  NULL: there is no place beside the others. */
static HubspotLot *
add_lot(HubspotPick *pick, const HubspotRow *row)
{
	HubspotLot *lot = &pick->lots[pick->nlots];
	bool		first = (pick->nlots == 0);

	if (!first && (pick->nlots == MAX_LOTS || hubspot_get_int32(row, PICK_ATTEMPTS) > 0 ||
				   pick->lots[0].lane.attempts > 0))
		return NULL;
	memset(lot, 0, sizeof(HubspotLot));
	get_lane(row, &lot->lane);
	lot->room = first ? pick->nlooked_at : OTHERS_ROOM;
	lot->claims = palloc(sizeof(HubspotClaim) * lot->room);
	pick->nlots++;
	return lot;
}

/* Why a picked row is not read, or NULL: then its size is added. */
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

/* Read a claim.  False: it has to wait for the row of its pair before it. */
static bool
get_claim(const HubspotRow *row, HubspotClaim *claim, HubspotLot *lot)
{
	claim->id = hubspot_get_int64(row, PICK_ID);
	claim->tid = *(ItemPointer) DatumGetPointer(row->values[PICK_TID]);
	claim->pair = hubspot_get_int64(row, PICK_PAIR);
	claim->type_ids = hubspot_get_array(row, PICK_TYPE_IDS);
	claim->labels = hubspot_get_array(row, PICK_LABELS);
	claim->last_id = claim->id;
	claim->waited = row->isnull[PICK_WAITED] ? 0 : hubspot_get_int64(row, PICK_WAITED);
	claim->shares = false;
	if (hubspot_claim_can_share(&lot->lane) && !goes_along(row, claim, lot))
		return false;
	claim->from_id = hubspot_get_slice(row, PICK_FROM_ID);
	claim->to_id = hubspot_get_slice(row, PICK_TO_ID);
	claim->category = hubspot_get_text(row, PICK_CATEGORY);
	claim->historic = hubspot_history_read(row, PICK_HISTORIC, lot->last_who);
	if (claim->historic)
		lot->last_who = claim->historic->who;
	return true;
}

/*
 * Is the row before this one of its pair, if there is one, picked, too?  And do the two have
 * no more types than an input can take?  The lot takes note of the row.
 */
static bool
goes_along(const HubspotRow *row, const HubspotClaim *claim, HubspotLot *lot)
{
	int			ntypes = count_elements(claim->type_ids) + count_elements(claim->labels);
	PickedRow  *entry;

	if (lot->by_id == NULL)
	{
		HASHCTL		control = {0};

		control.keysize = sizeof(int64);
		control.entrysize = sizeof(PickedRow);
		control.hcxt = CurrentMemoryContext;
		lot->by_id = hash_create("hubspot_assoc picked rows", 256, &control,
								 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	if (!row->isnull[PICK_BEFORE])
	{
		int64		before = hubspot_get_int64(row, PICK_BEFORE);

		entry = hash_search(lot->by_id, &before, HASH_FIND, NULL);
		if (entry == NULL || entry->ntypes + ntypes > HUBSPOT_MAX_TYPES)
			return false;
		ntypes += entry->ntypes;
	}
	entry = hash_search(lot->by_id, &claim->id, HASH_ENTER, NULL);
	entry->ntypes = ntypes;
	return true;
}

static int
count_elements(const ArrayType *array)
{
	return array ? ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)) : 0;
}

static void
get_lane(const HubspotRow *row, HubspotLane *lane)
{
	lane->operation = hubspot_get_text(row, PICK_OPERATION);
	lane->from_type = hubspot_get_text(row, PICK_FROM_TYPE);
	lane->to_type = hubspot_get_text(row, PICK_TO_TYPE);
	lane->keep_labels = hubspot_get_bool(row, PICK_KEEP_LABELS);
	lane->attempts = hubspot_get_int32(row, PICK_ATTEMPTS);
	lane->has_keys = strchr(lane->from_type, ':') || strchr(lane->to_type, ':');
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
