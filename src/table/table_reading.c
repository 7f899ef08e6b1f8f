/*-------------------------------------------------------------------------
 *
 * table_reading.c
 *	  Rows of a foreign table, read from HubSpot by the records of one side.
 *
 * It is a run of the pipeline, as hs_assoc_batch_read() is one, over the records that
 * conditions name, with three things added:
 *
 * - Records of the to side are read in the other direction.  HubspotTableRow turns them
 *	 around.  The types are then those of the way back, though, and a table has those of
 *	 from -> to.  If they are needed, the records that were found are read forward, some
 *	 thousands at a time, and of what they have, the pairs that were found are given:
 *
 *		 back, until there are enough pairs --> forward, the pairs that are wanted --> back
 *
 *	 So each pair comes once, with its types as the forward reading has them, and memory
 *	 is bounded.
 *
 * - Records of the from side need not be named: then all that the account has are read, as
 *	 the pipeline lists them.
 *
 * - In a table without columns of types, a pair is one row.  HubSpot lists the types of a
 *	 pair together.
 *
 * A failure is an ERROR, but for keys without a record, which have no rows.  If a table is to
 * have failures as rows, that of a record is one, or of all that are asked for; one of the
 * account or the network still is an ERROR, and so is each while something is read forward.
 *
 * IDENTIFICATION
 *	  src/table/table_reading.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "api/association_type.h"
#include "api/verdict.h"
#include "base/text_hash.h"
#include "json/text.h"
#include "rows/pipeline.h"
#include "table/seen_pairs.h"
#include "table/table_reading.h"

/* How many pairs are found before they are read forward. */
#define SLICE_PAIRS		4000

/* A record of the from side in a slice. */
typedef struct Found
{
	HubspotSlice record;		/* its id; must be first: the hash key */
	HubspotSlice name;			/* its key, or the id; no data: it has none */
	struct FoundPair *pairs;	/* a list */
	struct Found *next;			/* of the slice */
} Found;

/* A record of the to side that it has. */
typedef struct FoundPair
{
	HubspotSlice record;
	HubspotSlice given;			/* as it was given */
	int64		no;				/* which one that is */
	struct FoundPair *next;
} FoundPair;

/* Reading forward what was found. */
typedef struct Slice
{
	MemoryContext context;		/* of all of this; NULL: there is none */
	HTAB	   *records;		/* Found by their ids */
	Found	   *first;			/* the list of them */
	Found	  **last;
	Found	   *put;			/* the next one to be read */
	Found	  **numbered;		/* as they were put */
	int64		nput;
	int			npairs;
	int64	   *ended;			/* records of the to side that were read to
								 * their end meanwhile */
	int			nended;
	int			maxended;
	MemoryContext run_context;	/* child of context */
	HubspotRun *run;			/* NULL: still going back */
	Found	   *current;		/* of the last outcome */
	FoundPair  *pair;			/* that it matches */
	HubspotAssociation association;
	HubspotTypePlace place;
	HubspotSeenPairs *seen;		/* if places are told */
} Slice;

struct HubspotTableReading
{
	MemoryContext context;
	const HubspotTable *table;
	const HubspotClient *client;
	HubspotTableSide side;
	bool		forward;
	bool		whole;			/* all records of the from side are read */
	bool		told_end;		/* of these */
	const HubspotSlice *records;
	int64		nrecords;
	int64		nput;
	HubspotRun *run;
	bool		over;			/* the run is */
	Slice		slice;
	HubspotBatchCounts counts;	/* of slices that are gone */

	/* the last row, to recognize the same pair */
	int64		last_record;
	StringInfoData last_id;
	char		buffer[2][HUBSPOT_NORMAL_SIZE]; /* of keys in a row */
	HubspotSeenPairs *seen;		/* NULL: places of types are not told */
	HubspotPipeline pipeline;
};

static HubspotTableReading *create_reading(const HubspotTable *table,
										   const HubspotClient *client,
										   HubspotTableSide side);
static void begin_run(HubspotTableReading *reading, bool raise, HubspotSource *source,
					  bool eager);
static bool tell_end(HubspotTableReading *reading, HubspotTableRow *row);
static bool make_input(void *state, HubspotInput *input, const HubspotError **error);
static bool next_outcome(HubspotTableReading *reading, HubspotOutcome *outcome, bool wait);
static bool is_repeated(HubspotTableReading *reading, const HubspotOutcome *outcome);
static void set_row(HubspotTableReading *reading, const HubspotOutcome *outcome,
					HubspotTableRow *row);
static bool is_row(HubspotVerdict verdict);
static void set_records(const HubspotTableReading *reading, const HubspotOutcome *outcome,
						HubspotTableRow *row);
static HubspotSlice normal_form(const HubspotObjectType *type, HubspotSlice value,
								char *buffer);
static bool next_forward(HubspotTableReading *reading, HubspotTableRow *row, bool wait);
static bool find_pairs(HubspotTableReading *reading, bool wait);
static void begin_slice(HubspotTableReading *reading);
static uint32 hash_slice(const void *key, Size keysize);
static int	compare_slices(const void *a, const void *b, Size keysize);
static HubspotSlice copy_slice(HubspotSlice slice);
static void add_found(HubspotTableReading *reading, const HubspotOutcome *outcome);
static void add_ended(HubspotTableReading *reading, int64 no);
static void read_slice(HubspotTableReading *reading);
static bool make_forward(void *state, HubspotInput *input, const HubspotError **error);
static bool next_of_slice(HubspotTableReading *reading, HubspotTableRow *row, bool wait);
static FoundPair *find_pair(FoundPair *pair, HubspotSlice id);
static bool end_slice(HubspotTableReading *reading, HubspotTableRow *row);
static void add_counts(HubspotBatchCounts *counts, const HubspotRun *run);

/*
 * Begin to read the rows of some records of a side, each of which stands there once, and
 * is an id, or a key in its normal form; they must live as long as this does.  forward: the
 * types of the rows are needed, whatever the side.  gives_errors: a record that cannot be
 * read is a row.  All of it is in a child of the current memory context, and ends with it.
 */
HubspotTableReading *
hubspot_table_reading_begin(const HubspotTable *table, const HubspotClient *client,
							HubspotTableSide side, bool forward, bool gives_errors,
							const HubspotSlice *records, int64 nrecords)
{
	HubspotTableReading *reading = create_reading(table, client, side);

	reading->forward = forward && side == HUBSPOT_SIDE_TO;
	reading->records = records;
	reading->nrecords = nrecords;
	reading->pipeline.missing_ok = reading->pipeline.tells_ends = true;
	begin_run(reading, !gives_errors || reading->forward,
			  hubspot_source_made(make_input, reading), true);
	return reading;
}

/*
 * Likewise, to read the rows of all records of the from side that the account has.  eager: whoever
 * reads may have enough soon, and so the first ones come at once, which takes more requests.
 */
HubspotTableReading *
hubspot_table_reading_begin_whole(const HubspotTable *table, const HubspotClient *client,
								  bool gives_errors, bool eager)
{
	HubspotTableReading *reading = create_reading(table, client, HUBSPOT_SIDE_FROM);

	reading->whole = reading->pipeline.lists = true;
	reading->pipeline.tells_ends = true;
	begin_run(reading, !gives_errors, NULL, eager);
	return reading;
}

static HubspotTableReading *
create_reading(const HubspotTable *table, const HubspotClient *client, HubspotTableSide side)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc table reading",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	HubspotTableReading *reading = palloc0(sizeof(HubspotTableReading));

	reading->context = context;
	reading->table = table;
	reading->client = client;
	reading->side = side;
	initStringInfo(&reading->last_id);
	reading->pipeline.client = client;
	reading->pipeline.operation = HUBSPOT_BATCH_READ;
	reading->pipeline.from_type = *hubspot_table_type(table, side);
	reading->pipeline.to_type = *hubspot_table_type(table, side == HUBSPOT_SIDE_FROM ?
													HUBSPOT_SIDE_TO : HUBSPOT_SIDE_FROM);
	MemoryContextSwitchTo(old);
	return reading;
}

static void
begin_run(HubspotTableReading *reading, bool raise, HubspotSource *source, bool eager)
{
	MemoryContext old = MemoryContextSwitchTo(reading->context);

	reading->pipeline.raise = raise;
	reading->run = hubspot_run_begin(&reading->pipeline, source, eager);
	MemoryContextSwitchTo(old);
}

/*
 * Have the place of each row's type told.  It is an ERROR then if answers have a pair twice,
 * with different types.
 */
void
hubspot_table_reading_tell_places(HubspotTableReading *reading)
{
	MemoryContext old = MemoryContextSwitchTo(reading->context);

	reading->seen = hubspot_seen_pairs_create();
	MemoryContextSwitchTo(old);
}

/* The next record to be read. */
static bool
make_input(void *state, HubspotInput *input, const HubspotError **error)
{
	HubspotTableReading *reading = state;

	if (reading->nput == reading->nrecords)
		return false;
	input->from_id = reading->records[reading->nput++];
	input->to_id.data = "";
	input->no = reading->nput;
	return true;
}

/*
 * The next row, valid until the one after it, or as long as the current memory context.
 * False: there is none, or, if not to wait, none so far.
 */
bool
hubspot_table_reading_next(HubspotTableReading *reading, HubspotTableRow *row, bool wait)
{
	MemoryContext old = MemoryContextSwitchTo(reading->context);
	HubspotOutcome outcome;
	bool		any;

	if (reading->forward)
		any = next_forward(reading, row, wait);
	else
	{
		any = next_outcome(reading, &outcome, wait);
		MemoryContextSwitchTo(old);
		if (any)
			set_row(reading, &outcome, row);
		else if (reading->whole && reading->over)
			any = tell_end(reading, row);
	}
	MemoryContextSwitchTo(old);
	return any;
}

/* Tell once that all records of the account have been read. */
static bool
tell_end(HubspotTableReading *reading, HubspotTableRow *row)
{
	if (reading->told_end)
		return false;
	memset(row, 0, sizeof(*row));
	row->ended = reading->told_end = true;
	return true;
}

/* The next outcome of the run that is an association, or the end of a record. */
static bool
next_outcome(HubspotTableReading *reading, HubspotOutcome *outcome, bool wait)
{
	while (!reading->over)
	{
		bool		any = wait ? hubspot_run_next(reading->run, outcome) :
		hubspot_run_get(reading->run, outcome);

		if (!any)
		{
			reading->over = wait;
			return false;
		}
		/* a key that has no record has no rows, and that is its end */
		if (outcome->error)
			outcome->ended = true;
		if (outcome->ended && reading->seen)
			hubspot_seen_pairs_end(reading->seen, outcome->input_no);
		/* of a whole account, nobody knows the records */
		if (outcome->ended && reading->whole && outcome->error == NULL)
			continue;
		if (outcome->ended || !is_repeated(reading, outcome))
			return true;
	}
	return false;
}

/* Is it another type of the last pair, or one of the page before, and types do not count? */
static bool
is_repeated(HubspotTableReading *reading, const HubspotOutcome *outcome)
{
	HubspotSlice id = outcome->association->to_id;
	HubspotSlice last = {reading->last_id.data, reading->last_id.len};

	if (reading->table->typed && !reading->forward)
		return false;
	if (outcome->repeats ||
		(reading->last_record == outcome->input_no && hubspot_same_id(id, last)))
		return true;
	reading->last_record = outcome->input_no;
	resetStringInfo(&reading->last_id);
	appendBinaryStringInfo(&reading->last_id, id.data, id.len);
	return false;
}

/* Make a row of an outcome. */
static void
set_row(HubspotTableReading *reading, const HubspotOutcome *outcome, HubspotTableRow *row)
{
	HubspotTableSide other = reading->side == HUBSPOT_SIDE_FROM ?
	HUBSPOT_SIDE_TO : HUBSPOT_SIDE_FROM;
	HubspotSlice given = outcome->from_id;
	HubspotSlice found = {NULL, 0};

	row->record = reading->whole ? 0 : outcome->input_no - 1;
	row->ended = outcome->ended;
	row->type = NULL;
	row->error = NULL;
	if (reading->whole && reading->table->from_type.property)
		given = normal_form(&reading->table->from_type, given, reading->buffer[1]);
	if (outcome->error &&
		(reading->whole || outcome->error->verdict != HUBSPOT_VERDICT_NO_RECORD))
	{
		if (!is_row(outcome->error->verdict))
			hubspot_throw_outcome(&reading->pipeline, outcome);
		row->error = outcome->error;
		row->ended = false;
	}
	else if (!outcome->ended)
	{
		if (reading->seen)
			hubspot_seen_pairs_place(reading->seen, outcome, &row->place);
		found = outcome->name ?
			normal_form(hubspot_table_type(reading->table, other), outcome->to_id,
						reading->buffer[0]) :
			outcome->association->to_id;
		if (reading->side == HUBSPOT_SIDE_FROM)
			row->type = outcome->association->type;
	}
	row->from_id = reading->side == HUBSPOT_SIDE_FROM ? given : found;
	row->to_id = reading->side == HUBSPOT_SIDE_FROM ? found : given;
	if (outcome->association)
		set_records(reading, outcome, row);
}

/*
 * Is a failure a row, where failures are: is it HubSpot's word on what was asked, and not the
 * account's or the network's?  It may refuse the object types, and with them each record.
 */
static bool
is_row(HubspotVerdict verdict)
{
	return hubspot_is_of_record(verdict) || verdict == HUBSPOT_VERDICT_REQUEST ||
		verdict == HUBSPOT_VERDICT_LIKE_OTHERS;
}

/* Which records a row is of, whatever they are called. */
static void
set_records(const HubspotTableReading *reading, const HubspotOutcome *outcome,
			HubspotTableRow *row)
{
	/* what was given is an id, unless it was a key */
	HubspotSlice given = outcome->from_record.data ? outcome->from_record : outcome->from_id;
	HubspotSlice found = outcome->association->to_id;

	row->from_record = reading->side == HUBSPOT_SIDE_FROM ? given : found;
	row->to_record = reading->side == HUBSPOT_SIDE_FROM ? found : given;
}

/*
 * A value of a record's property as the table has it, in the buffer, in the value, or
 * palloc'd.  What cannot be a key is left as it is.
 */
static HubspotSlice
normal_form(const HubspotObjectType *type, HubspotSlice value, char *buffer)
{
	HubspotSlice normal;

	if (value.data == NULL || hubspot_key_problem(value) != NULL)
		return value;
	normal = hubspot_key_normalize(type, value, buffer);
	if (normal.data == NULL)
		return value;
	normal.data = hubspot_text_from_utf8(normal.data, normal.len);
	normal.len = strlen(normal.data);
	return normal;
}

/* The next row of records of the to side, with its types from the forward reading. */
static bool
next_forward(HubspotTableReading *reading, HubspotTableRow *row, bool wait)
{
	for (;;)
	{
		if (reading->slice.run == NULL && !find_pairs(reading, wait))
			return false;
		if (next_of_slice(reading, row, wait))
			return true;
		if (reading->slice.run)
			return false;		/* not so far */
	}
}

/* Find pairs for a slice, and begin to read it.  False: there are none (so far). */
static bool
find_pairs(HubspotTableReading *reading, bool wait)
{
	HubspotOutcome outcome;

	if (reading->slice.context == NULL)
		begin_slice(reading);
	while (reading->slice.npairs < SLICE_PAIRS)
	{
		if (!next_outcome(reading, &outcome, wait))
		{
			if (!reading->over)
				return false;
			break;
		}
		if (outcome.ended)
			add_ended(reading, outcome.input_no - 1);
		else
			add_found(reading, &outcome);
	}
	if (reading->slice.npairs == 0 && reading->slice.nended == 0)
		return false;
	read_slice(reading);
	return true;
}

static void
begin_slice(HubspotTableReading *reading)
{
	Slice	   *slice = &reading->slice;
	HASHCTL		hash = {.keysize = sizeof(HubspotSlice),.entrysize = sizeof(Found),
	.hash = hash_slice,.match = compare_slices};

	memset(slice, 0, sizeof(Slice));
	slice->context = AllocSetContextCreate(reading->context, "hubspot_assoc table slice",
										   ALLOCSET_DEFAULT_SIZES);
	slice->last = &slice->first;
	hash.hcxt = slice->context;
	slice->records = hash_create("hubspot_assoc table slice", SLICE_PAIRS, &hash,
								 HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}

static uint32
hash_slice(const void *key, Size keysize)
{
	const HubspotSlice *slice = key;

	return hubspot_text_hash(slice->data, slice->len);
}

static int
compare_slices(const void *a, const void *b, Size keysize)
{
	return hubspot_same_id(*(const HubspotSlice *) a, *(const HubspotSlice *) b) ? 0 : 1;
}

static HubspotSlice
copy_slice(HubspotSlice slice)
{
	if (slice.data)
		slice.data = pnstrdup(slice.data, slice.len);
	return slice;
}

/* Add a pair, found on the way back, to the slice. */
static void
add_found(HubspotTableReading *reading, const HubspotOutcome *outcome)
{
	Slice	   *slice = &reading->slice;
	MemoryContext old = MemoryContextSwitchTo(slice->context);
	FoundPair  *pair = palloc(sizeof(FoundPair));
	bool		has_property = reading->table->to_type.property != NULL;
	Found	   *found;
	bool		exists;

	found = hash_search(slice->records, &outcome->association->to_id, HASH_ENTER, &exists);
	if (!exists)
	{
		HubspotSlice name = outcome->name ?
		normal_form(&reading->table->from_type, outcome->to_id, reading->buffer[0]) :
		outcome->association->to_id;

		found->record = copy_slice(outcome->association->to_id);
		found->name = copy_slice(name);
		found->pairs = NULL;
		found->next = NULL;
		*slice->last = found;
		slice->last = &found->next;
	}
	pair->given = copy_slice(outcome->from_id);
	pair->record = has_property ? copy_slice(outcome->from_record) : pair->given;
	pair->no = outcome->input_no - 1;
	pair->next = found->pairs;
	found->pairs = pair;
	slice->npairs++;
	MemoryContextSwitchTo(old);
}

/* Take note that a record of the to side was read to its end. */
static void
add_ended(HubspotTableReading *reading, int64 no)
{
	Slice	   *slice = &reading->slice;

	if (slice->nended == slice->maxended)
	{
		slice->maxended = Max(64, slice->maxended * 2);
		slice->ended = slice->ended ?
			repalloc_huge(slice->ended, sizeof(int64) * slice->maxended) :
			MemoryContextAlloc(slice->context, sizeof(int64) * slice->maxended);
	}
	slice->ended[slice->nended++] = no;
}

/* Begin to read the records of the slice forward. */
static void
read_slice(HubspotTableReading *reading)
{
	Slice	   *slice = &reading->slice;
	MemoryContext old;
	HubspotPipeline pipeline = {.client = reading->client,.operation = HUBSPOT_BATCH_READ,
	.raise = true};

	slice->run_context = AllocSetContextCreate(slice->context,
											   "hubspot_assoc table slice run",
											   ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(slice->run_context);
	slice->put = slice->first;
	slice->numbered = palloc(sizeof(Found *) * Max(slice->npairs, 1));
	if (reading->seen)
		slice->seen = hubspot_seen_pairs_create();
	pipeline.from_type.name = reading->table->from_type.name;
	pipeline.to_type.name = reading->table->to_type.name;
	slice->run = hubspot_run_begin(&pipeline, hubspot_source_made(make_forward, slice),
								   true);
	MemoryContextSwitchTo(old);
}

static bool
make_forward(void *state, HubspotInput *input, const HubspotError **error)
{
	Slice	   *slice = state;

	if (slice->put == NULL)
		return false;
	slice->numbered[slice->nput++] = slice->put;
	input->from_id = slice->put->record;
	input->to_id.data = "";
	input->no = slice->nput;
	slice->put = slice->put->next;
	return true;
}

/*
 * The next row of the slice, or one of its ends.  False: there is none, and the slice is
 * gone; or none so far, and its run goes on.
 */
static bool
next_of_slice(HubspotTableReading *reading, HubspotTableRow *row, bool wait)
{
	Slice	   *slice = &reading->slice;

	while (slice->pair == NULL)
	{
		HubspotOutcome outcome;
		MemoryContext old = MemoryContextSwitchTo(slice->run_context);
		bool		any = wait ? hubspot_run_next(slice->run, &outcome) :
		hubspot_run_get(slice->run, &outcome);

		MemoryContextSwitchTo(old);
		if (!any && !wait && !hubspot_batch_is_over(hubspot_run_batch(slice->run)))
			return false;
		if (!any)
			return end_slice(reading, row);
		slice->current = slice->numbered[outcome.input_no - 1];
		slice->association = *outcome.association;
		if (reading->seen)
			hubspot_seen_pairs_place(slice->seen, &outcome, &slice->place);
		slice->pair = find_pair(slice->current->pairs, outcome.association->to_id);
	}
	row->record = slice->pair->no;
	row->ended = false;
	row->from_id = slice->current->name;
	row->to_id = slice->pair->given;
	row->from_record = slice->current->record;
	row->to_record = slice->pair->record;
	row->type = slice->association.type;
	row->place = slice->place;
	row->error = NULL;
	slice->pair = find_pair(slice->pair->next, slice->pair->record);
	return true;
}

/* The first of some pairs with a record, which may have come by several of its keys. */
static FoundPair *
find_pair(FoundPair *pair, HubspotSlice id)
{
	while (pair && !hubspot_same_id(pair->record, id))
		pair = pair->next;
	return pair;
}

/* After the last row of the slice, tell which records ended in it; then it is gone. */
static bool
end_slice(HubspotTableReading *reading, HubspotTableRow *row)
{
	Slice	   *slice = &reading->slice;

	if (slice->nended > 0)
	{
		memset(row, 0, sizeof(*row));
		row->record = slice->ended[--slice->nended];
		row->ended = true;
		return true;
	}
	add_counts(&reading->counts, slice->run);
	hubspot_run_end(slice->run);
	MemoryContextDelete(slice->context);
	memset(slice, 0, sizeof(Slice));
	return false;
}

/* What the reading has cost so far. */
void
hubspot_table_reading_counts(const HubspotTableReading *reading,
							 HubspotBatchCounts *counts)
{
	*counts = reading->counts;
	add_counts(counts, reading->run);
	if (reading->slice.run)
		add_counts(counts, reading->slice.run);
}

static void
add_counts(HubspotBatchCounts *counts, const HubspotRun *run)
{
	HubspotBatchCounts more;

	hubspot_batch_counts(hubspot_run_batch(run), &more);
	counts->read += more.read;
	counts->calls.requests += more.calls.requests;
	counts->calls.retries += more.calls.retries;
	counts->calls.rate_limited += more.calls.rate_limited;
	counts->calls.throttled_time += more.calls.throttled_time;
}

/* End it, wherever it is; what is in flight is broken off. */
void
hubspot_table_reading_end(HubspotTableReading *reading)
{
	MemoryContextDelete(reading->context);
}
