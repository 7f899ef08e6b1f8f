/*-------------------------------------------------------------------------
 *
 * survey.c
 *	  Where the rows of an account are that fill requests, if it has many lanes.
 *
 * Picking a row costs several times what it takes to see its lane: the row is
 * locked, its pair is looked up, and all of it is read.  So we look at a
 * window that is longer than what can be picked, and pick those of its rows
 * that make the fullest requests (share.c).
 *
 * The survey ends at a row that names records by keys: see pick.c.
 *
 * Nothing is locked or checked here: pick.c does that.
 *
 * IDENTIFICATION
 *	  src/outbox/survey.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/text_hash.h"
#include "outbox/outbox.h"
#include "outbox/share.h"
#include "outbox/survey.h"
#include "outbox/window.h"
#include "schema/prepared.h"

/* How many lanes are told apart; rows of further lanes wait for a later round. */
#define MAX_LANES		1000

enum
{
	SURVEY_TID,
	SURVEY_OPERATION,
	SURVEY_FROM_TYPE,
	SURVEY_TO_TYPE,
	SURVEY_KEEP_LABELS,
	SURVEY_FROM_ID
};

/* Rows that have failed go without others (pick.c). */
static HubspotStatement survey_statement = {
	.text =
	"SELECT w.ctid, w.operation, w.from_type, w.to_type, w.keep_labels, w.from_id"
	" FROM (SELECT ctid, operation, from_type, to_type, keep_labels, attempts, from_id"
	"  FROM %1$s.hs_assoc_outbox WHERE " HUBSPOT_SQL_OLDEST_DUE ") AS w WHERE w.attempts = 0",
	.types = {HUBSPOT_WINDOW_TYPES}
};

/* The columns of a lane whose values are compared byte by byte */
static const int lane_texts[] = {SURVEY_OPERATION, SURVEY_FROM_TYPE, SURVEY_TO_TYPE};

typedef struct SurveyedLane
{
	struct SurveyedLane *next;	/* of the same hash */
	int			number;
	HubspotSlice texts[lengthof(lane_texts)];
	bool		keep_labels;
	const HubspotEndpoint *endpoint;	/* NULL: there is no such operation */
	HTAB	   *records;		/* hashes of from_id, where the rows of a
								 * record are one input; or NULL */
	int			nrows;
} SurveyedLane;

/* The lanes of a hash value */
typedef struct LaneEntry
{
	uint32		hash;			/* must be first: the key */
	SurveyedLane *first;
} LaneEntry;

typedef struct SurveyedRow
{
	ItemPointerData tid;
	int16		lane;
} SurveyedRow;

/* Takes rows, and keeps the place and the lane of each. */
typedef struct Surveyor
{
	DestReceiver receiver;		/* must be first */
	MemoryContext context;
	HTAB	   *entries;
	SurveyedLane *lanes[MAX_LANES];
	int			nlanes;
	SurveyedRow *rows;
	int			nrows;
} Surveyor;

static void survey_startup(DestReceiver *self, int operation, TupleDesc typeinfo);
static bool survey_row(TupleTableSlot *slot, DestReceiver *self);
static bool has_key(TupleTableSlot *slot, int column);
static void survey_nothing(DestReceiver *self);
static SurveyedLane *find_lane(Surveyor *surveyor, TupleTableSlot *slot);
static bool get_slice(TupleTableSlot *slot, int column, HubspotSlice *slice);
static SurveyedLane *add_lane(Surveyor *surveyor, const HubspotSlice *texts,
							  bool keep_labels);
static void count_record(SurveyedLane *lane, TupleTableSlot *slot);
static HTAB *create_hash(const char *name, Size entry_size, MemoryContext context);
static int *share_rows(const Surveyor *surveyor, const HubspotClient *client,
					   int max_rows);

/*
 * Of the oldest rows in the window, up to max_rows that make the fullest
 * requests, oldest first: their places, palloc'd, and how many.
 */
ItemPointerData *
hubspot_survey(const HubspotClaimant *claimant, const HubspotClient *client, int window,
			   int max_rows, int *count)
{
	ItemPointerData *tids = palloc(sizeof(ItemPointerData) * window);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "hubspot_assoc survey",
												  ALLOCSET_DEFAULT_SIZES);
	Surveyor   *surveyor = MemoryContextAllocZero(context, sizeof(Surveyor));
	HubspotValues values = {0};
	int		   *left;

	surveyor->receiver.receiveSlot = survey_row;
	surveyor->receiver.rStartup = survey_startup;
	surveyor->receiver.rShutdown = survey_nothing;
	surveyor->receiver.rDestroy = survey_nothing;
	surveyor->receiver.mydest = DestNone;
	surveyor->context = context;
	surveyor->entries = create_hash("hubspot_assoc lanes", sizeof(LaneEntry), context);
	surveyor->rows = MemoryContextAlloc(context, sizeof(SurveyedRow) * window);
	hubspot_set_window(&values, claimant, window);
	hubspot_query_into(&survey_statement, &values, &surveyor->receiver);

	left = share_rows(surveyor, client, max_rows);
	*count = 0;
	for (int i = 0; i < surveyor->nrows; i++)
	{
		const SurveyedRow *row = &surveyor->rows[i];

		if (left[row->lane]-- > 0)
			tids[(*count)++] = row->tid;
	}
	MemoryContextDelete(context);
	return tids;
}

static void
survey_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
}

static bool
survey_row(TupleTableSlot *slot, DestReceiver *self)
{
	Surveyor   *surveyor = (Surveyor *) self;
	SurveyedRow *row = &surveyor->rows[surveyor->nrows];
	SurveyedLane *lane;

	slot_getallattrs(slot);
	if (has_key(slot, SURVEY_FROM_TYPE) || has_key(slot, SURVEY_TO_TYPE))
		return false;			/* what comes after it may have to wait */
	lane = find_lane(surveyor, slot);
	if (lane == NULL)
		return true;
	if (lane->records)
		count_record(lane, slot);
	lane->nrows++;
	row->tid = *(ItemPointer) DatumGetPointer(slot->tts_values[SURVEY_TID]);
	row->lane = lane->number;
	surveyor->nrows++;
	return true;
}

/* Does an object type have a property, so that its ids are keys? */
static bool
has_key(TupleTableSlot *slot, int column)
{
	HubspotSlice type;

	return get_slice(slot, column, &type) && memchr(type.data, ':', type.len);
}

static void
survey_nothing(DestReceiver *self)
{
}

/* The lane of a row.  NULL: it cannot be sent, or is one lane too many. */
static SurveyedLane *
find_lane(Surveyor *surveyor, TupleTableSlot *slot)
{
	bool		keep_labels = DatumGetBool(slot->tts_values[SURVEY_KEEP_LABELS]);
	HubspotSlice texts[lengthof(lane_texts)];
	uint32		hash = keep_labels;
	LaneEntry  *entry;
	SurveyedLane *lane;
	bool		found;

	for (size_t i = 0; i < lengthof(lane_texts); i++)
	{
		if (!get_slice(slot, lane_texts[i], &texts[i]))
			return NULL;
		hash = hash_combine(hash, hubspot_text_hash(texts[i].data, texts[i].len));
	}
	entry = hash_search(surveyor->entries, &hash, HASH_ENTER, &found);
	if (!found)
		entry->first = NULL;
	for (lane = entry->first; lane; lane = lane->next)
	{
		bool		same = (lane->keep_labels == keep_labels);

		for (size_t i = 0; same && i < lengthof(lane_texts); i++)
			same = hubspot_same_id(lane->texts[i], texts[i]);
		if (same)
			return lane;
	}
	lane = add_lane(surveyor, texts, keep_labels);
	if (lane)
	{
		lane->next = entry->first;
		entry->first = lane;
	}
	return lane;
}

/*
 * Get the text of a column.  False: it is null, or of a row that is too large
 * to be looked at here.
 */
static bool
get_slice(TupleTableSlot *slot, int column, HubspotSlice *slice)
{
	const struct varlena *text;

	if (slot->tts_isnull[column])
		return false;
	text = (const struct varlena *) DatumGetPointer(slot->tts_values[column]);
	if (VARATT_IS_EXTERNAL(text) || VARATT_IS_COMPRESSED(text))
		return false;
	slice->data = VARDATA_ANY(text);
	slice->len = VARSIZE_ANY_EXHDR(text);
	return slice->len <= HUBSPOT_MAX_TEXT;
}

static SurveyedLane *
add_lane(Surveyor *surveyor, const HubspotSlice *texts, bool keep_labels)
{
	MemoryContext old;
	HubspotOperation operation;
	SurveyedLane *lane;

	if (surveyor->nlanes == MAX_LANES)
		return NULL;
	old = MemoryContextSwitchTo(surveyor->context);
	lane = palloc0(sizeof(SurveyedLane));
	for (size_t i = 0; i < lengthof(lane_texts); i++)
	{
		lane->texts[i].data = pnstrdup(texts[i].data, texts[i].len);
		lane->texts[i].len = texts[i].len;
	}
	lane->keep_labels = keep_labels;
	if (hubspot_outbox_operation(lane->texts[0].data, &operation))
		lane->endpoint = hubspot_endpoint(operation);
	if (lane->endpoint && lane->endpoint->input_shape == HUBSPOT_INPUT_GROUP)
		lane->records = create_hash("hubspot_assoc lane's records", sizeof(uint32),
									surveyor->context);
	lane->number = surveyor->nlanes;
	surveyor->lanes[surveyor->nlanes++] = lane;
	MemoryContextSwitchTo(old);
	return lane;
}

static void
count_record(SurveyedLane *lane, TupleTableSlot *slot)
{
	HubspotSlice id;
	uint32		hash;

	if (!get_slice(slot, SURVEY_FROM_ID, &id))
		return;
	hash = hubspot_text_hash(id.data, id.len);
	(void) hash_search(lane->records, &hash, HASH_ENTER, NULL);
}

/* Create a hash table whose keys are hash values. */
static HTAB *
create_hash(const char *name, Size entry_size, MemoryContext context)
{
	HASHCTL		control = {0};

	control.keysize = sizeof(uint32);
	control.entrysize = entry_size;
	control.hcxt = context;
	return hash_create(name, 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* How many rows of each lane, by its number, go? */
static int *
share_rows(const Surveyor *surveyor, const HubspotClient *client, int max_rows)
{
	int			nlanes = surveyor->nlanes;
	HubspotShare *shares = MemoryContextAllocZero(surveyor->context,
												  sizeof(HubspotShare) * Max(nlanes, 1));
	int		   *nrows = MemoryContextAlloc(surveyor->context, sizeof(int) * Max(nlanes, 1));

	for (int i = 0; i < nlanes; i++)
	{
		const SurveyedLane *lane = surveyor->lanes[i];

		shares[i].nrows = lane->nrows;
		shares[i].rows_of_request = 1;
		if (lane->endpoint)
			shares[i].rows_of_request =
				hubspot_request_rows(lane->endpoint, client->policy.batch_size, lane->nrows,
									 lane->records ? hash_get_num_entries(lane->records) : 0);
	}
	hubspot_share_out(shares, nlanes, max_rows, client->options->concurrency);
	for (int i = 0; i < nlanes; i++)
		nrows[i] = shares[i].nrequests * shares[i].rows_of_request;
	return nrows;
}
