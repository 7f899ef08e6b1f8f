/*-------------------------------------------------------------------------
 *
 * source.c
 *	  Inputs from SQL: the rows of a query, or the elements of an array.
 *
 * A query runs as a cursor, with the caller's rights, and its rows go straight
 * from the executor into the batch, without a copy on the way.  So a query of
 * any length needs no more memory than the batch has room for.
 *
 * Where HubSpot takes the records to be parted from one as a group, the rows
 * are sorted first (input_sort.c), so that the groups are as large as they can be.
 * Somebody else than a batch may take the rows, too, for the outbox: as they
 * come, before anything is asked of HubSpot.
 *
 * What is wrong with one row (no id, no type, a label that there isn't) is
 * that row's outcome; what is wrong with all of them (a column that is missing
 * or unknown) is an ERROR.
 *
 * IDENTIFICATION
 *	  src/rows/source.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "parser/parse_node.h"
#include "tcop/dest.h"
#include "tcop/pquery.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"

#include "api/error.h"
#include "base/clock.h"
#include "rows/input_sort.h"
#include "rows/source.h"

/*
 * A query that takes its time must not stop what is in flight: requests move
 * on at least this often while it is read, in microseconds.
 */
#define DRIVE_INTERVAL		10000

/* Rows that are read at a time, if they are to be sorted. */
#define SORT_FETCH			1000

/*
 * The columns of a query: the attributes of hs_assoc_input, and some more.  An
 * operation takes all up to some, or all.
 */
typedef enum ColumnKind
{
	COLUMN_FROM_ID = HUBSPOT_ATTRIBUTE_FROM_ID,
	COLUMN_TO_ID = HUBSPOT_ATTRIBUTE_TO_ID,
	COLUMN_TYPE_IDS = HUBSPOT_ATTRIBUTE_TYPE_IDS,
	COLUMN_CATEGORY = HUBSPOT_ATTRIBUTE_CATEGORY,
	COLUMN_LABELS = HUBSPOT_ATTRIBUTE_LABELS,
	COLUMN_TYPE_ID = HUBSPOT_NATTRIBUTES,
	COLUMN_LABEL
} ColumnKind;

#define NCOLUMNS	(COLUMN_LABEL + 1)

static const char *const column_names[NCOLUMNS] = {
	[COLUMN_FROM_ID] = "from_id",
	[COLUMN_TO_ID] = "to_id",
	[COLUMN_TYPE_IDS] = "type_ids",
	[COLUMN_CATEGORY] = "category",
	[COLUMN_LABELS] = "labels",
	[COLUMN_TYPE_ID] = "type_id",
	[COLUMN_LABEL] = "label"
};

/* Two names for the same, of which a query may have one. */
static const struct
{
	ColumnKind	one;
	ColumnKind	other;
}			alternatives[] = {
	{COLUMN_TYPE_ID, COLUMN_TYPE_IDS},
	{COLUMN_LABEL, COLUMN_LABELS}
};

struct HubspotSource
{
	DestReceiver receiver;		/* must be first; of a query */
	HubspotInputShape shape;
	bool		at_end;
	int64		ninputs;		/* so far */
	MemoryContext row_context;	/* reset for each row */
	HubspotBatch *batch;		/* while it is being filled */
	int64		driven;			/* when the batch could last move on */
	void		(*tick) (void *state);
	void	   *tick_state;
	HubspotInputSort *sort;		/* of the rows, or NULL */
	HubspotTakeDraft take;		/* who takes the rows; NULL: the batch */
	void	   *take_state;
	HubspotLabels *labels;		/* to look labels up in, or NULL */

	HubspotLastTypes last_types;

	/* a query */
	Portal		portal;			/* or NULL */
	int			positions[NCOLUMNS];	/* from 0, or -1: there is none */
	int			nkinds;
	ColumnKind	kinds[NCOLUMNS];	/* those that there are, in order */
	HubspotColumn columns[NCOLUMNS];

	/* an array, or one input */
	ArrayIterator iterator;		/* or NULL */
	TupleDesc	tupdesc;		/* of its elements, if they are rows */
	HubspotRawInput *single;	/* or NULL */
};

/* The statements of a query while it is prepared. */
typedef struct Preparation
{
	bool		any;			/* one is being analyzed, or was */
	bool		done;			/* they all are */
} Preparation;

static Portal open_query(const char *query);
static void count_statement(ParseState * pstate, void *arg);
static char *cursor_name(void);
static HubspotSource *create_source(HubspotInputShape shape,
									HubspotLabels *labels);
static int	last_column(HubspotInputShape shape);
static void find_columns(HubspotSource *source, TupleDesc tupdesc);
static const char *column_hint(HubspotInputShape shape);
static void check_columns(const HubspotSource *source);
static void check_column_type(Form_pg_attribute attribute, ColumnKind kind);
static bool read_rows(HubspotSource *source, int count);
static void sort_all(HubspotSource *source);
static bool put_sorted(HubspotSource *source);
static void drive(HubspotSource *source);
static void receiver_startup(DestReceiver *self, int operation,
							 TupleDesc typeinfo);
static bool receive_slot(TupleTableSlot *slot, DestReceiver *self);
static void receiver_nothing(DestReceiver *self);
static bool put_element(HubspotSource *source);
static void read_element(HubspotSource *source, HubspotRawInput *raw, Datum element);
static void put_draft(HubspotSource *source, HubspotRawInput *raw);

/*
 * The rows of a query, for an operation whose inputs have that shape.  ERROR
 * if it isn't one statement that returns rows, or if its columns aren't those
 * that the operation needs.
 */
HubspotSource *
hubspot_source_query(const char *query, HubspotInputShape shape,
					 HubspotLabels *labels)
{
	HubspotSource *source = create_source(shape, labels);

	source->receiver.receiveSlot = receive_slot;
	source->receiver.rStartup = receiver_startup;
	source->receiver.rShutdown = receiver_nothing;
	source->receiver.rDestroy = receiver_nothing;
	source->receiver.mydest = DestNone;

	source->portal = open_query(query);
	/* what is called between two rows may neither close it, nor find it */
	PinPortal(source->portal);
	source->portal->visible = false;
	find_columns(source, source->portal->tupDesc);
	check_columns(source);
	return source;
}

/* A cursor on a query; ERROR unless that is one statement that returns rows. */
static Portal
open_query(const char *query)
{
	Preparation preparation = {0};
	SPIPrepareOptions options = {.parserSetup = count_statement,
		.parserSetupArg = &preparation,
	.cursorOptions = CURSOR_OPT_NO_SCROLL};
	SPIPlanPtr	plan;
	Portal		portal;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	plan = SPI_prepare_extended(query, &options);
	if (plan == NULL)
		elog(ERROR, "could not prepare the query: %s",
			 SPI_result_code_string(SPI_result));
	preparation.done = true;
	if (!preparation.any)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_CURSOR_DEFINITION),
				 errmsg("the query is empty"),
				 errhint("%s", HUBSPOT_QUERY_HINT)));
	if (!SPI_is_cursor_plan(plan))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_CURSOR_DEFINITION),
				 errmsg("the query does not return rows"),
				 errhint("%s", HUBSPOT_QUERY_HINT)));

	/* the portal doesn't need SPI once it's open */
	portal = SPI_cursor_open(cursor_name(), plan, NULL, NULL, false);
	SPI_finish();
	return portal;
}

/*
 * Called before each statement of the query is analyzed, and again if it has to
 * be later on.  A second one may need what the first one has yet to do, so it is
 * refused before its names are looked up.
 */
static void
count_statement(ParseState * pstate, void *arg)
{
	Preparation *preparation = arg;

	if (preparation->any && !preparation->done)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_CURSOR_DEFINITION),
				 errmsg("the query has more than one statement"),
				 errhint("%s", HUBSPOT_QUERY_HINT)));
	preparation->any = true;
}

/* A name that nobody can guess, palloc'd. */
static char *
cursor_name(void)
{
	uint64		random;

	if (!pg_strong_random(&random, sizeof(random)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	return psprintf("hubspot_assoc %016llx", (unsigned long long) random);
}

/* The elements of an hs_assoc_input[], or of a text[] of records' ids. */
HubspotSource *
hubspot_source_array(ArrayType *inputs, HubspotInputShape shape,
					 HubspotLabels *labels)
{
	HubspotSource *source = create_source(shape, labels);

	source->iterator = array_create_iterator(inputs, 0, NULL);
	if (shape == HUBSPOT_INPUT_RECORD)
		return source;
	source->tupdesc = hubspot_input_tupdesc(ARR_ELEMTYPE(inputs));
	return source;
}

/* One input; ids without data are null, and so may the others be. */
HubspotSource *
hubspot_source_single(const HubspotInput *ids, HubspotInputShape shape,
					  HubspotLabels *labels, ArrayType *type_ids,
					  const char *category, ArrayType *label_array)
{
	HubspotSource *source = palloc0(sizeof(HubspotSource));

	source->shape = shape;
	source->labels = labels;
	source->single = palloc0(sizeof(HubspotRawInput));
	source->single->input = *ids;
	source->single->category = category;
	if (type_ids)
		hubspot_raw_input_type_ids(source->single, type_ids);
	if (label_array)
		hubspot_raw_input_labels(source->single, label_array);
	return source;
}

/*
 * Put inputs into the batch while it has room, and finish it at the end.  While
 * a query takes its time, tick(state) is called now and then.
 */
void
hubspot_source_fill(HubspotSource *source, HubspotBatch *batch,
					void (*tick) (void *state), void *state)
{
	int			room;

	source->batch = batch;
	source->driven = hubspot_coarse_now();
	source->tick = tick;
	source->tick_state = state;
	if (source->shape == HUBSPOT_INPUT_GROUP && source->sort == NULL)
		sort_all(source);
	while (!source->at_end && (room = hubspot_batch_room(batch)) > 0)
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
 * Give the next rows, so many or what is left, to take(state, draft), in place
 * of a batch: in their order, checked, but without their types.  A draft lives
 * until take() returns.  False: there are no more rows.
 */
bool
hubspot_source_read(HubspotSource *source, int count, HubspotTakeDraft take,
					void *state)
{
	source->take = take;
	source->take_state = state;
	return read_rows(source, count);
}

/* Read so many rows, or what is left.  False: there are no more. */
static bool
read_rows(HubspotSource *source, int count)
{
	if (source->portal)
		return PortalRunFetch(source->portal, FETCH_FORWARD, count,
							  &source->receiver) == (uint64) count;
	while (count-- > 0)
	{
		if (!put_element(source))
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

/* The next of the sorted rows.  False: there is none. */
static bool
put_sorted(HubspotSource *source)
{
	HubspotInput input;
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

void
hubspot_source_close(HubspotSource *source)
{
	if (source->portal)
	{
		UnpinPortal(source->portal);
		SPI_cursor_close(source->portal);
	}
	source->portal = NULL;
	if (source->sort)
		hubspot_input_sort_end(source->sort);
	source->sort = NULL;
}

/* A source of many rows. */
static HubspotSource *
create_source(HubspotInputShape shape, HubspotLabels *labels)
{
	HubspotSource *source = palloc0(sizeof(HubspotSource));

	source->shape = shape;
	source->labels = labels;
	source->row_context = AllocSetContextCreate(CurrentMemoryContext,
												"hubspot_assoc row",
												ALLOCSET_SMALL_SIZES);
	source->last_types.context = AllocSetContextCreate(CurrentMemoryContext,
													   "hubspot_assoc types",
													   ALLOCSET_SMALL_SIZES);
	return source;
}

/* The last of the columns that inputs of a shape may have. */
static int
last_column(HubspotInputShape shape)
{
	switch (shape)
	{
		case HUBSPOT_INPUT_RECORD:
			return COLUMN_FROM_ID;
		case HUBSPOT_INPUT_TYPED_PAIR:
			return COLUMN_LABEL;
		default:
			return COLUMN_TO_ID;
	}
}

/* Find the columns by name; ERROR for one that has none of the names. */
static void
find_columns(HubspotSource *source, TupleDesc tupdesc)
{
	int			last = last_column(source->shape);

	for (int i = 0; i < NCOLUMNS; i++)
		source->positions[i] = -1;

	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(tupdesc, i);
		const char *name = NameStr(attribute->attname);
		int			kind;
		HubspotColumn *column;
		Oid			output;
		bool		is_varlena;

		for (kind = 0; kind <= last; kind++)
		{
			if (strcmp(column_names[kind], name) == 0)
				break;
		}
		if (kind > last)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_DEFINITION),
					 errmsg("the query has a column \"%s\" that the operation doesn't know", name),
					 errhint("%s", column_hint(source->shape))));
		column = &source->columns[kind];
		if (source->positions[kind] >= 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("the query has more than one column \"%s\"", name)));
		check_column_type(attribute, kind);
		source->positions[kind] = i;
		column->type = getBaseType(attribute->atttypid);
		getTypeOutputInfo(attribute->atttypid, &output, &is_varlena);
		fmgr_info(output, &column->output);
	}

	for (int kind = 0; kind < NCOLUMNS; kind++)
	{
		if (source->positions[kind] >= 0)
			source->kinds[source->nkinds++] = kind;
	}
}

/* The columns that there may be. */
static const char *
column_hint(HubspotInputShape shape)
{
	switch (shape)
	{
		case HUBSPOT_INPUT_RECORD:
			return "The column is from_id.";
		case HUBSPOT_INPUT_TYPED_PAIR:
			return "The columns are from_id, to_id, type_id or type_ids, label or labels, and category.";
		default:
			return "The columns are from_id and to_id.";
	}
}

static void
check_columns(const HubspotSource *source)
{
	const int  *positions = source->positions;

	for (int kind = COLUMN_FROM_ID;
		 kind <= Min(last_column(source->shape), COLUMN_TO_ID); kind++)
	{
		if (positions[kind] < 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("the query has no column \"%s\"", column_names[kind]),
					 errhint("Name the column of the query with AS %s.", column_names[kind])));
	}
	if (source->shape != HUBSPOT_INPUT_TYPED_PAIR)
		return;
	if (positions[COLUMN_TYPE_ID] < 0 && positions[COLUMN_TYPE_IDS] < 0 &&
		positions[COLUMN_LABEL] < 0 && positions[COLUMN_LABELS] < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("the query has no column \"type_id\", \"type_ids\", \"label\" or \"labels\""),
				 errhint("To associate with the default type, use the operation create_default (hs_assoc_batch_create_default); to remove all types, archive (hs_assoc_batch_archive).")));
	for (size_t i = 0; i < lengthof(alternatives); i++)
	{
		if (positions[alternatives[i].one] >= 0 &&
			positions[alternatives[i].other] >= 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_DEFINITION),
					 errmsg("the query has both a column \"%s\" and a column \"%s\"",
							column_names[alternatives[i].one],
							column_names[alternatives[i].other])));
	}
}

/* Ids, categories and a label may be of any type, type ids are integers. */
static void
check_column_type(Form_pg_attribute attribute, ColumnKind kind)
{
	Oid			type = getBaseType(attribute->atttypid);
	const char *wanted = NULL;

	if (kind == COLUMN_TYPE_ID && type != INT4OID && type != INT8OID && type != INT2OID)
		wanted = "an integer";
	else if (kind == COLUMN_TYPE_IDS && type != INT4ARRAYOID)
		wanted = "integer[]";
	else if (kind == COLUMN_LABELS && type != TEXTARRAYOID)
		wanted = "text[]";
	if (wanted)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of the query is of type %s, not %s",
						column_names[kind],
						format_type_be(attribute->atttypid), wanted)));
}

static void
receiver_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
	/* the columns were looked at when the cursor was opened */
}

static void
receiver_nothing(DestReceiver *self)
{
}

/* A row of the query: into the batch. */
static bool
receive_slot(TupleTableSlot *slot, DestReceiver *self)
{
	HubspotSource *source = (HubspotSource *) self;
	MemoryContext old;
	HubspotRawInput raw = {0};
	char		buffers[2][MAXINT8LEN + 1];

	MemoryContextReset(source->row_context);
	old = MemoryContextSwitchTo(source->row_context);
	slot_getallattrs(slot);

	for (int i = 0; i < source->nkinds; i++)
	{
		ColumnKind	kind = source->kinds[i];
		HubspotColumn *column = &source->columns[kind];
		int			position = source->positions[kind];
		Datum		value;

		if (slot->tts_isnull[position])
			continue;
		value = slot->tts_values[position];
		switch (kind)
		{
			case COLUMN_FROM_ID:
				raw.input.from_id = hubspot_read_id(column, value, buffers[0]);
				hubspot_raw_input_check_number(&raw, column_names[kind], column,
											   raw.input.from_id);
				break;
			case COLUMN_TO_ID:
				raw.input.to_id = hubspot_read_id(column, value, buffers[1]);
				hubspot_raw_input_check_number(&raw, column_names[kind], column,
											   raw.input.to_id);
				break;
			case COLUMN_TYPE_ID:
				hubspot_raw_input_type_id(&raw, column, value);
				break;
			case COLUMN_TYPE_IDS:
				hubspot_raw_input_type_ids(&raw, DatumGetArrayTypeP(value));
				break;
			case COLUMN_CATEGORY:
				raw.category = hubspot_read_text(column, value);
				break;
			case COLUMN_LABEL:
				hubspot_raw_input_label(&raw, hubspot_read_text(column, value));
				break;
			case COLUMN_LABELS:
				hubspot_raw_input_labels(&raw, DatumGetArrayTypeP(value));
				break;
		}
	}
	put_draft(source, &raw);
	MemoryContextSwitchTo(old);
	return true;
}

/* The next element of an array, or the one input.  False: there is none. */
static bool
put_element(HubspotSource *source)
{
	MemoryContext old;
	HubspotRawInput raw = {0};
	Datum		element;
	bool		isnull;

	if (source->single)
	{
		put_draft(source, source->single);
		return false;
	}
	CHECK_FOR_INTERRUPTS();
	if (!array_iterate(source->iterator, &element, &isnull))
		return false;

	MemoryContextReset(source->row_context);
	old = MemoryContextSwitchTo(source->row_context);
	if (isnull)
		hubspot_raw_input_refuse(&raw, pstrdup("the input is null"));
	else
		read_element(source, &raw, element);
	put_draft(source, &raw);
	MemoryContextSwitchTo(old);
	return true;
}

static void
read_element(HubspotSource *source, HubspotRawInput *raw, Datum element)
{
	HeapTupleHeader header;
	HeapTupleData tuple;
	Datum		values[NCOLUMNS];
	bool		isnull[NCOLUMNS];
	HubspotColumn text = {.type = TEXTOID};

	if (source->tupdesc == NULL)
	{
		raw->input.from_id = hubspot_read_id(&text, element, NULL);
		return;
	}
	header = DatumGetHeapTupleHeader(element);
	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	heap_deform_tuple(&tuple, source->tupdesc, values, isnull);
	if (!isnull[COLUMN_FROM_ID])
		raw->input.from_id = hubspot_read_id(&text, values[COLUMN_FROM_ID], NULL);
	if (!isnull[COLUMN_TO_ID])
		raw->input.to_id = hubspot_read_id(&text, values[COLUMN_TO_ID], NULL);
	if (!isnull[COLUMN_TYPE_IDS])
		hubspot_raw_input_type_ids(raw, DatumGetArrayTypeP(values[COLUMN_TYPE_IDS]));
	if (!isnull[COLUMN_CATEGORY])
		raw->category = hubspot_read_text(&text, values[COLUMN_CATEGORY]);
	if (!isnull[COLUMN_LABELS])
		hubspot_raw_input_labels(raw, DatumGetArrayTypeP(values[COLUMN_LABELS]));
}

/* Check an input and put it, or give it to the sort, or to whoever takes it. */
static void
put_draft(HubspotSource *source, HubspotRawInput *raw)
{
	raw->input.no = ++source->ninputs;
	hubspot_raw_input_check(raw, source->shape);
	if (source->take)
	{
		source->take(source->take_state, raw);
		return;
	}
	if (source->shape == HUBSPOT_INPUT_TYPED_PAIR)
		hubspot_raw_input_make_types(raw, source->labels, &source->last_types);
	if (source->sort)
	{
		hubspot_input_sort_put(source->sort, &raw->input,
							   raw->error ? raw->error->message : NULL);
		return;
	}
	hubspot_batch_put(source->batch, &raw->input, raw->error);
	drive(source);
}

/* Let what is in flight move on, now and then. */
static void
drive(HubspotSource *source)
{
	int64		now = hubspot_coarse_now();

	if (now - source->driven < DRIVE_INTERVAL)
		return;
	source->driven = now;
	hubspot_batch_drive(source->batch);
	source->tick(source->tick_state);
}
