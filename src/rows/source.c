/*-------------------------------------------------------------------------
 *
 * source.c
 *	  Inputs from SQL: the rows of a query, or the elements of an array.
 *
 * The rows of a query (query.c) go straight from the executor into the batch,
 * without a copy on the way.  So a query of any length needs no more memory than
 * the batch has room for.
 *
 * Where HubSpot takes all records that are to be parted from one record as a group, the
 * rows are sorted first (input_sort.c), so that the groups are as large as they can be.
 * The outbox may take the rows instead of a batch, as they come; then HubSpot is not asked
 * for anything.
 *
 * What is wrong with one row (an id or a type is missing, a label does not exist) is that
 * row's outcome; what is wrong with all rows (a column that is missing or unknown, see
 * columns.c) is an ERROR.
 *
 * IDENTIFICATION
 *	  src/rows/source.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/tuptable.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/array.h"
#include "utils/memutils.h"

#include "api/error.h"
#include "base/clock.h"
#include "base/compat.h"
#include "rows/columns.h"
#include "rows/input_sort.h"
#include "rows/query.h"
#include "rows/report.h"
#include "rows/source.h"

/*
 * A query that takes its time must not stop what is in flight: requests move
 * on at least this often while it is read, in microseconds.
 */
#define DRIVE_INTERVAL		10000

/*
 * A caller that takes outcomes one by one may have enough of them soon.  So the associations
 * of a listing's first page of records are read at once, then those of the second page, of
 * the two that follow, and of four; after this many pages, records are read when they fill a
 * request.
 */
#define LAST_STOP			8

/* How many rows are read at a time if they are to be sorted. */
#define SORT_FETCH			1000

struct HubspotSource
{
	DestReceiver receiver;		/* must be first; of a query */
	HubspotInputShape shape;
	bool		at_end;
	int64		ninputs;		/* so far */
	MemoryContext row_context;	/* reset for each row */
	HubspotBatch *batch;		/* while it is being filled */
	bool		eager;			/* what can be got from the batch goes first */
	bool		paused;			/* something can be got, and the source is
								 * eager */
	int64		driven;			/* when the batch last could move on */
	void		(*tick) (void *state);
	void	   *tick_state;
	HubspotInputSort *sort;		/* of the rows, or NULL */
	HubspotTakeRawInput take;	/* takes the rows; NULL: the batch does */
	void	   *take_state;
	HubspotDirection direction;
	int32		primary_type;	/* of the direction, or 0 */
	HubspotLabels *labels;		/* to look labels up in, or NULL */

	HubspotLastTypes last_types;

	HubspotQuery *query;		/* or NULL */
	int64		count;			/* of the inputs; -1: not known yet */

	/* an array, or one input */
	ArrayIterator iterator;		/* or NULL */
	TupleDesc	tupdesc;		/* of its elements, if they are rows */
	HubspotRawInput *single;	/* or NULL */

	/* inputs that the caller makes */
	HubspotMakeInput make;		/* or NULL */
	HubspotMakeRawInput make_raw;	/* makes inputs that are still to be
									 * checked; or NULL */
	void	   *make_state;

	HubspotListing *listing;	/* of the inputs, or NULL */
	int64		stop;			/* after how many pages all of its records so
								 * far are sent; 0: after no further one */
	int64		stopped;		/* after how many pages they have been sent,
								 * and are waited for; 0: they are not */
	int64		ngiven;			/* records that were sent by then */
};

static HubspotSource *create_source(HubspotInputShape shape,
									const HubspotDirection *direction,
									HubspotLabels *labels);
static void set_direction(HubspotSource *source, const HubspotDirection *direction);
static bool read_rows(HubspotSource *source, int count);
static void sort_all(HubspotSource *source);
static bool put_sorted(HubspotSource *source);
static void drive(HubspotSource *source);
static void receiver_startup(DestReceiver *self, int operation,
							 TupleDesc typeinfo);
static bool receive_slot(TupleTableSlot *slot, DestReceiver *self);
static void receiver_nothing(DestReceiver *self);
static bool put_made(HubspotSource *source);
static bool put_listed(HubspotSource *source);
static bool stop_for_outcomes(HubspotSource *source);
static void throw_listing(const HubspotSource *source) pg_attribute_noreturn();
static bool put_row(HubspotSource *source);
static bool put_element(HubspotSource *source);
static void put_raw_input(HubspotSource *source, HubspotRawInput *raw);
static void make_types(HubspotSource *source, HubspotRawInput *raw);

/*
 * A source of the rows of a query, for an operation whose inputs have that shape.  ERROR
 * if it is not one statement that returns rows, or if its columns are not those that the
 * operation needs.
 */
HubspotSource *
hubspot_source_query(const char *query, HubspotInputShape shape,
					 const HubspotDirection *direction, HubspotLabels *labels)
{
	HubspotSource *source = hubspot_source_query_at(query, shape, direction, NULL);

	source->labels = labels;
	return source;
}

/*
 * Likewise, to be read with hubspot_source_read().  A SELECT sees what the snapshot
 * does, or if that is NULL, what is there now.
 */
HubspotSource *
hubspot_source_query_at(const char *query, HubspotInputShape shape,
						const HubspotDirection *direction, Snapshot snapshot)
{
	HubspotSource *source = create_source(shape, direction, NULL);

	source->receiver.receiveSlot = receive_slot;
	source->receiver.rStartup = receiver_startup;
	source->receiver.rShutdown = receiver_nothing;
	source->receiver.rDestroy = receiver_nothing;
	source->receiver.mydest = DestNone;

	source->query = hubspot_query_open(query, shape, direction, snapshot);
	source->count = -1;
	if (shape == HUBSPOT_INPUT_ANY_PAIR)
		source->shape = hubspot_source_is_typed(source) ?
			HUBSPOT_INPUT_TYPED_PAIR : HUBSPOT_INPUT_PAIR;
	return source;
}

/*
 * A source of the rows that make(state, ...) makes, to be read with hubspot_source_read():
 * they are checked, as those of a query are.
 */
HubspotSource *
hubspot_source_rows(HubspotMakeRawInput make, void *state, HubspotInputShape shape,
					const HubspotDirection *direction)
{
	HubspotSource *source = create_source(shape, direction, NULL);

	source->count = -1;
	source->make_raw = make;
	source->make_state = state;
	return source;
}

/* Do the rows name types?  The columns of a query, or the maker of the rows, say so. */
bool
hubspot_source_is_typed(const HubspotSource *source)
{
	if (source->query == NULL)
		return source->shape == HUBSPOT_INPUT_TYPED_PAIR;
	return hubspot_columns_are_typed(hubspot_query_columns(source->query));
}

/* A source of the inputs that make(state, ...) makes, for a batch. */
HubspotSource *
hubspot_source_made(HubspotMakeInput make, void *state)
{
	HubspotSource *source = palloc0(sizeof(HubspotSource));

	/* groups are as they come */
	source->shape = HUBSPOT_INPUT_NONE;
	source->count = -1;
	source->make = make;
	source->make_state = state;
	return source;
}

/* A source of the records of a listing, whose calls are the batch's. */
HubspotSource *
hubspot_source_listed(HubspotListing *listing)
{
	HubspotSource *source = hubspot_source_made(NULL, NULL);

	source->listing = listing;
	source->stop = 1;
	return source;
}

/*
 * A source of the elements of an hs_assoc_input[], or of a text[] with ids or keys of
 * records.
 */
HubspotSource *
hubspot_source_array(ArrayType *inputs, HubspotInputShape shape,
					 const HubspotDirection *direction, HubspotLabels *labels)
{
	HubspotSource *source = create_source(shape, direction, labels);

	source->iterator = array_create_iterator(inputs, 0, NULL);
	source->count = ArrayGetNItems(ARR_NDIM(inputs), ARR_DIMS(inputs));
	if (shape == HUBSPOT_INPUT_RECORD || shape == HUBSPOT_INPUT_KEY)
		return source;
	source->tupdesc = hubspot_input_tupdesc(ARR_ELEMTYPE(inputs));
	return source;
}

/*
 * A source of one input.  Ids without data are null; labels, type_ids, category and
 * label_array may be NULL.
 */
HubspotSource *
hubspot_source_single(const HubspotInput *ids, HubspotInputShape shape,
					  const HubspotDirection *direction, HubspotLabels *labels,
					  ArrayType *type_ids, const char *category,
					  ArrayType *label_array)
{
	HubspotSource *source = palloc0(sizeof(HubspotSource));

	source->shape = shape;
	set_direction(source, direction);
	source->labels = labels;
	source->single = palloc0(sizeof(HubspotRawInput));
	source->count = 1;
	source->single->input = *ids;
	source->single->category = category;
	if (type_ids)
		hubspot_raw_input_type_ids(source->single, type_ids);
	if (label_array)
		hubspot_raw_input_labels(source->single, label_array);
	return source;
}

/* How many inputs there are; -1: that is known only at the end. */
int64
hubspot_source_count(const HubspotSource *source)
{
	return source->count;
}

/*
 * Put inputs into the batch while it has room, and finish it at the end.  If eager,
 * come back sooner, when there may be something to get.  While a query takes its
 * time, tick(state) is called now and then.
 */
void
hubspot_source_fill(HubspotSource *source, HubspotBatch *batch, bool eager,
					void (*tick) (void *state), void *state)
{
	int			room;

	source->batch = batch;
	source->driven = hubspot_coarse_now();
	source->tick = tick;
	source->tick_state = state;
	source->eager = eager;
	source->paused = false;
	if (source->shape == HUBSPOT_INPUT_GROUP && source->sort == NULL)
		sort_all(source);
	while (!source->at_end && !source->paused &&
		   (room = hubspot_batch_room(batch)) > 0)
	{
		if (source->sort)
			source->at_end = !put_sorted(source);
		else
			source->at_end = !read_rows(source, room);
		if (source->at_end)
			hubspot_batch_finish(batch);
	}
}

/*
 * Give the next rows, at most count of them, to take(state, raw), instead of a batch: in
 * their order, checked, but without their types.  A raw input lives until take() returns.
 * False: there are no more rows.
 */
bool
hubspot_source_read(HubspotSource *source, int count, HubspotTakeRawInput take,
					void *state)
{
	source->take = take;
	source->take_state = state;
	return read_rows(source, count);
}

/* Read count rows, or fewer if paused, or what is left.  False: there are no more. */
static bool
read_rows(HubspotSource *source, int count)
{
	if (source->query)
		return hubspot_query_read(source->query, count,
								  &source->receiver) == (uint64) count ||
			source->paused;
	while (count-- > 0 && !source->paused)
	{
		if (!(source->make ? put_made(source) :
			  source->listing ? put_listed(source) :
			  source->make_raw ? put_row(source) : put_element(source)))
			return false;
	}
	return true;
}

/* Read all rows and sort them. */
static void
sort_all(HubspotSource *source)
{
	source->sort = hubspot_input_sort_create();
	while (read_rows(source, SORT_FETCH))
		;
	hubspot_input_sort_perform(source->sort);
}

/* Put the next of the sorted rows into the batch.  False: there is none. */
static bool
put_sorted(HubspotSource *source)
{
	HubspotInput input = {0};
	const char *problem;
	HubspotError *error = NULL;

	if (!hubspot_input_sort_next(source->sort, &input, &problem))
		return false;
	if (problem)
		error = hubspot_make_error(HUBSPOT_VERDICT_INVALID,
								   ERRCODE_INVALID_PARAMETER_VALUE, problem);
	hubspot_batch_put(source->batch, &input, error);
	if (error)
		pfree(error);
	drive(source);
	return true;
}

/* End the query and the sort, if there are any. */
void
hubspot_source_close(HubspotSource *source)
{
	if (source->query)
		hubspot_query_close(source->query);
	source->query = NULL;
	if (source->sort)
		hubspot_input_sort_end(source->sort);
	source->sort = NULL;
}

/* A source of many rows. */
static HubspotSource *
create_source(HubspotInputShape shape, const HubspotDirection *direction,
			  HubspotLabels *labels)
{
	HubspotSource *source = palloc0(sizeof(HubspotSource));

	source->shape = shape;
	set_direction(source, direction);
	source->labels = labels;
	source->row_context = AllocSetContextCreate(CurrentMemoryContext,
												"hubspot_assoc row",
												ALLOCSET_SMALL_SIZES);
	source->last_types.context = AllocSetContextCreate(CurrentMemoryContext,
													   "hubspot_assoc types",
													   ALLOCSET_SMALL_SIZES);
	return source;
}

static void
set_direction(HubspotSource *source, const HubspotDirection *direction)
{
	source->direction = *direction;
	if (direction->to_type.name)
		source->primary_type = hubspot_primary_type(direction->from_type.name,
													direction->to_type.name);
}

static void
receiver_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
	/* the columns were looked at when the query was opened */
}

static void
receiver_nothing(DestReceiver *self)
{
}

/* Read a row of the query, and put it. */
static bool
receive_slot(TupleTableSlot *slot, DestReceiver *self)
{
	HubspotSource *source = (HubspotSource *) self;
	MemoryContext old;
	HubspotRawInput raw = {0};

	MemoryContextReset(source->row_context);
	old = MemoryContextSwitchTo(source->row_context);
	hubspot_columns_read(hubspot_query_columns(source->query), slot, &raw);
	put_raw_input(source, &raw);
	MemoryContextSwitchTo(old);
	return !source->paused;
}

/* Put the next input that is made.  False: there are no more. */
static bool
put_made(HubspotSource *source)
{
	HubspotInput input = {0};
	const HubspotError *error = NULL;

	if (!source->make(source->make_state, &input, &error))
		return false;
	hubspot_batch_put(source->batch, &input, error);
	drive(source);
	return true;
}

/*
 * Put the next record of the listing, or pause until its page has come.  False: there are no
 * more.
 */
static bool
put_listed(HubspotSource *source)
{
	HubspotInput input = {0};

	CHECK_FOR_INTERRUPTS();
	if (hubspot_listing_wants_page(source->listing))
	{
		bool		full = hubspot_listing_is_full(source->listing);

		if (stop_for_outcomes(source) || full)
		{
			hubspot_batch_await(source->batch, full);
			source->paused = true;
			return true;
		}
	}
	switch (hubspot_listing_next(source->listing, &input))
	{
		case HUBSPOT_LISTED_RECORD:
			hubspot_batch_put(source->batch, &input, NULL);
			drive(source);
			return true;
		case HUBSPOT_LISTED_LATER:
			hubspot_batch_await(source->batch, false);
			source->paused = true;
			return true;
		case HUBSPOT_LISTED_ALL:
			return false;
		case HUBSPOT_LISTED_FAILED:
			break;
	}
	throw_listing(source);
}

/*
 * Send the records of the pages so far, if it is time.  True: their outcomes come before the
 * next page.  That is so at the first one, whose records may have enough; later on, a further
 * page comes beside them, so that a caller who wants all of them does not wait.
 */
static bool
stop_for_outcomes(HubspotSource *source)
{
	int64		pages = hubspot_listing_pages(source->listing);
	int64		ngiven = hubspot_listing_given(source->listing);

	if (!source->eager || source->stop == 0 || pages < source->stop)
		return false;

	/* pages without records have no outcomes: a wait for them would not end */
	if (source->stopped == 0 && ngiven > source->ngiven)
	{
		hubspot_batch_await(source->batch, true);
		source->stopped = pages;
		source->ngiven = ngiven;
	}
	if (source->stopped == 0 || (source->stopped == pages && pages > 1))
		return false;
	if (!hubspot_batch_is_idle(source->batch))
		return true;
	source->stop = source->stop < LAST_STOP ? 2 * source->stop : 0;
	source->stopped = 0;
	return false;
}

/* ERROR: what follows of the listing cannot be read. */
static void
throw_listing(const HubspotSource *source)
{
	const HubspotError *stopped = hubspot_batch_stopped(source->batch);
	const char *type = hubspot_listing_type(source->listing);
	int64		given = hubspot_listing_given(source->listing);

	hubspot_throw_error(stopped ? stopped : hubspot_listing_error(source->listing),
						given == 0 ? psprintf("could not list the records of %s", type) :
						psprintf("could not list the records of %s after the first %lld",
								 type, (long long) given),
						HUBSPOT_NOTHING_DONE);
}

/* Put the next row that is made.  False: there are no more. */
static bool
put_row(HubspotSource *source)
{
	MemoryContext old;
	HubspotRawInput raw = {0};
	bool		found;

	CHECK_FOR_INTERRUPTS();
	MemoryContextReset(source->row_context);
	old = MemoryContextSwitchTo(source->row_context);
	found = source->make_raw(source->make_state, &raw);
	if (found)
		put_raw_input(source, &raw);
	MemoryContextSwitchTo(old);
	return found;
}

/* Put the next element of an array, or the one input.  False: there are no more. */
static bool
put_element(HubspotSource *source)
{
	MemoryContext old;
	HubspotRawInput raw = {0};
	Datum		element;
	bool		isnull;

	if (source->single)
	{
		put_raw_input(source, source->single);
		return false;
	}
	CHECK_FOR_INTERRUPTS();
	if (!array_iterate(source->iterator, &element, &isnull))
		return false;

	MemoryContextReset(source->row_context);
	old = MemoryContextSwitchTo(source->row_context);
	if (isnull)
		hubspot_raw_input_refuse(&raw, pstrdup("the input is null"));
	else if (source->tupdesc)
		hubspot_input_read(source->tupdesc, element, &raw);
	else
		hubspot_input_read_id(element, &raw);
	put_raw_input(source, &raw);
	MemoryContextSwitchTo(old);
	return true;
}

/* Check an input, and give it to take(), to the sort or to the batch. */
static void
put_raw_input(HubspotSource *source, HubspotRawInput *raw)
{
	raw->input.no = ++source->ninputs;
	if (raw->is_primary || source->direction.all_primary)
		hubspot_raw_input_set_primary(raw, &source->direction, source->primary_type);
	hubspot_raw_input_check(raw, source->shape, &source->direction, &source->last_types);
	if (source->take)
	{
		source->take(source->take_state, raw);
		return;
	}
	if (source->shape == HUBSPOT_INPUT_TYPED_PAIR)
		make_types(source, raw);
	if (source->sort)
	{
		hubspot_input_sort_put(source->sort, &raw->input,
							   raw->error ? raw->error->message : NULL);
		return;
	}
	hubspot_batch_put(source->batch, &raw->input, raw->error);
	drive(source);
}

/*
 * Give an input its types.  Labels are not looked up once nothing more is sent; and nothing
 * is, if the account is refused when they are.
 */
static void
make_types(HubspotSource *source, HubspotRawInput *raw)
{
	HubspotBatch *batch = raw->nlabels > 0 ? source->batch : NULL;

	if (batch && raw->error == NULL && hubspot_batch_stopped(batch) &&
		hubspot_labels_refusal(source->labels) == NULL)
		raw->error = hubspot_error_after(hubspot_batch_stopped(batch));
	hubspot_raw_input_make_types(raw, source->labels, &source->last_types);
	if (batch && hubspot_labels_refusal(source->labels))
		hubspot_batch_refuse(batch, hubspot_labels_refusal(source->labels));
}

/* Let what is in flight move on, now and then. */
static void
drive(HubspotSource *source)
{
	int64		now = hubspot_coarse_now();

	if (now - source->driven < DRIVE_INTERVAL)
		return;
	source->driven = now;
	source->paused = hubspot_batch_drive(source->batch) && source->eager;
	source->tick(source->tick_state);
}
