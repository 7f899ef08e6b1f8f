/*-------------------------------------------------------------------------
 *
 * source.c
 *	  Inputs from SQL: the rows of a query, or the elements of an array.
 *
 * A query runs as a cursor, with the caller's rights, and its rows go straight
 * from the executor into the batch, without a copy on the way.  So a query of
 * any length needs no more memory than the batch has room for.
 *
 * What is wrong with one row (no id, no type) is that row's outcome; what is
 * wrong with all of them (a column that is missing or unknown) is an ERROR.
 *
 * IDENTIFICATION
 *	  src/source.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "tcop/pquery.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/typcache.h"

#include "endpoint.h"
#include "source.h"
#include "transport.h"

#define DEFAULT_CATEGORY	"HUBSPOT_DEFINED"
#define MAX_CATEGORY_LEN	63

/*
 * A query that takes its time must not stop what is in flight: requests move
 * on at least this often while it is read, in microseconds.
 */
#define DRIVE_INTERVAL		10000

/* The columns of a query, in no order, and the attributes of hs_assoc_input. */
typedef enum ColumnKind
{
	COLUMN_FROM_ID,
	COLUMN_TO_ID,
	COLUMN_TYPE_IDS,
	COLUMN_CATEGORY,
	COLUMN_TYPE_ID				/* of a query only */
} ColumnKind;

#define NCOLUMNS	(COLUMN_TYPE_ID + 1)

static const char *const column_names[NCOLUMNS] = {
	[COLUMN_FROM_ID] = "from_id",
	[COLUMN_TO_ID] = "to_id",
	[COLUMN_TYPE_IDS] = "type_ids",
	[COLUMN_CATEGORY] = "category",
	[COLUMN_TYPE_ID] = "type_id"
};

typedef struct Column
{
	int			position;		/* from 0, or -1: there is none */
	Oid			type;
	FmgrInfo	output;			/* of ids and category that aren't text */
} Column;

/* The input that is being read. */
typedef struct Row
{
	HubspotInput input;
	const char *problem;
	bool		has_types;		/* type_id, type_ids or category is given */
	int			ntype_ids;
	const int32 *type_ids;
	const char *category;		/* or NULL */
} Row;

struct HubspotSource
{
	DestReceiver receiver;		/* must be first; of a query */
	bool		takes_types;
	bool		at_end;
	MemoryContext row_context;	/* reset for each row */
	HubspotBatch *batch;		/* while it is being filled */
	int64		driven;			/* when the batch could last move on */
	void		(*tick) (void *state);
	void	   *tick_state;

	/* the types of the last row, which tend to be those of the next one */
	MemoryContext types_context;
	HubspotTypeList *types;		/* or NULL */

	/* a query */
	Portal		portal;			/* or NULL */
	Column		columns[NCOLUMNS];

	/* an array, or one input */
	ArrayIterator iterator;		/* or NULL */
	TupleDesc	tupdesc;
	Row		   *single;			/* or NULL */
};

static HubspotSource *create_source(bool takes_types);
static void find_columns(HubspotSource *source, TupleDesc tupdesc);
static void check_columns(const HubspotSource *source);
static void check_column_type(Form_pg_attribute attribute, ColumnKind kind);
static void receiver_startup(DestReceiver *self, int operation,
							 TupleDesc typeinfo);
static bool receive_slot(TupleTableSlot *slot, DestReceiver *self);
static void receiver_nothing(DestReceiver *self);
static bool put_element(HubspotSource *source);
static void put_row(HubspotSource *source, Row *row);
static HubspotSlice read_id(Column *column, Datum value, char *buffer);
static char *read_text(Column *column, Datum value);
static bool read_type_id(Column *column, Datum value, int32 *type_id);
static void read_type_ids(Row *row, ArrayType *array);
static void check_id(Row *row, const char *name, HubspotSlice id);
static void check_types(const HubspotSource *source, Row *row);
static bool is_category(const char *category);
static const HubspotTypeList *make_types(HubspotSource *source, const Row *row);

/*
 * The rows of a query.  ERROR if it isn't one that returns rows, or if its
 * columns aren't those that the operation needs.
 */
HubspotSource *
hubspot_source_query(const char *query, bool takes_types)
{
	HubspotSource *source = create_source(takes_types);
	SPIParseOpenOptions options = {.cursorOptions = CURSOR_OPT_NO_SCROLL};

	source->receiver.receiveSlot = receive_slot;
	source->receiver.rStartup = receiver_startup;
	source->receiver.rShutdown = receiver_nothing;
	source->receiver.rDestroy = receiver_nothing;
	source->receiver.mydest = DestNone;

	/* the portal doesn't need SPI once it's open */
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	source->portal = SPI_cursor_parse_open(NULL, query, &options);
	SPI_finish();
	find_columns(source, source->portal->tupDesc);
	check_columns(source);
	return source;
}

/* The elements of an hs_assoc_input[]. */
HubspotSource *
hubspot_source_array(ArrayType *inputs, bool takes_types)
{
	HubspotSource *source = create_source(takes_types);

	source->iterator = array_create_iterator(inputs, 0, NULL);
	source->tupdesc = lookup_rowtype_tupdesc_copy(ARR_ELEMTYPE(inputs), -1);
	if (source->tupdesc->natts != COLUMN_CATEGORY + 1)
		elog(ERROR, "hs_assoc_input has %d columns", source->tupdesc->natts);
	return source;
}

/* One input; ids without data are null, and so may type_ids and category be. */
HubspotSource *
hubspot_source_single(const HubspotInput *ids, bool takes_types,
					  ArrayType *type_ids, const char *category)
{
	HubspotSource *source = palloc0(sizeof(HubspotSource));

	source->takes_types = takes_types;
	source->types_context = CurrentMemoryContext;
	source->single = palloc0(sizeof(Row));
	source->single->input = *ids;
	source->single->category = category;
	if (type_ids)
		read_type_ids(source->single, type_ids);
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
	while (!source->at_end && (room = hubspot_batch_room(batch)) > 0)
	{
		if (source->portal)
			source->at_end = PortalRunFetch(source->portal, FETCH_FORWARD, room,
											&source->receiver) < (uint64) room;
		else
			source->at_end = !put_element(source);
		if (source->at_end)
			hubspot_batch_finish(batch);
	}
}

void
hubspot_source_close(HubspotSource *source)
{
	if (source->portal)
		SPI_cursor_close(source->portal);
	source->portal = NULL;
}

/* A source of many rows. */
static HubspotSource *
create_source(bool takes_types)
{
	HubspotSource *source = palloc0(sizeof(HubspotSource));

	source->takes_types = takes_types;
	source->row_context = AllocSetContextCreate(CurrentMemoryContext,
												"hubspot_assoc row",
												ALLOCSET_SMALL_SIZES);
	source->types_context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc types",
												  ALLOCSET_SMALL_SIZES);
	return source;
}

/* Find the columns by name; ERROR for one that has none of the names. */
static void
find_columns(HubspotSource *source, TupleDesc tupdesc)
{
	for (int i = 0; i < NCOLUMNS; i++)
		source->columns[i].position = -1;

	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(tupdesc, i);
		const char *name = NameStr(attribute->attname);
		int			last = source->takes_types ? COLUMN_TYPE_ID : COLUMN_TO_ID;
		int			kind;
		Column	   *column;
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
					 source->takes_types ?
					 errhint("The columns are from_id, to_id, type_id or type_ids, and category.") :
					 errhint("The columns are from_id and to_id.")));
		column = &source->columns[kind];
		if (column->position >= 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("the query has more than one column \"%s\"", name)));
		check_column_type(attribute, kind);
		column->position = i;
		column->type = getBaseType(attribute->atttypid);
		getTypeOutputInfo(attribute->atttypid, &output, &is_varlena);
		fmgr_info(output, &column->output);
	}
}

static void
check_columns(const HubspotSource *source)
{
	const Column *columns = source->columns;

	for (int kind = COLUMN_FROM_ID; kind <= COLUMN_TO_ID; kind++)
	{
		if (columns[kind].position < 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("the query has no column \"%s\"", column_names[kind]),
					 errhint("Name the column of the query with AS %s.", column_names[kind])));
	}
	if (!source->takes_types)
		return;
	if (columns[COLUMN_TYPE_ID].position < 0 && columns[COLUMN_TYPE_IDS].position < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("the query has no column \"type_id\" or \"type_ids\""),
				 errhint("To associate with the default type, use hs_assoc_batch_create_default.")));
	if (columns[COLUMN_TYPE_ID].position >= 0 && columns[COLUMN_TYPE_IDS].position >= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_DEFINITION),
				 errmsg("the query has both a column \"type_id\" and a column \"type_ids\"")));
}

/* Ids and category may be of any type, types are integers. */
static void
check_column_type(Form_pg_attribute attribute, ColumnKind kind)
{
	Oid			type = getBaseType(attribute->atttypid);

	if (kind == COLUMN_TYPE_ID && type != INT4OID && type != INT8OID && type != INT2OID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of the query is of type %s, not an integer",
						column_names[kind], format_type_be(attribute->atttypid))));
	if (kind == COLUMN_TYPE_IDS && type != INT4ARRAYOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of the query is of type %s, not integer[]",
						column_names[kind], format_type_be(attribute->atttypid))));
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
	Column	   *columns = source->columns;
	MemoryContext old;
	Row			row = {0};
	char		buffers[2][MAXINT8LEN + 1];
	int32		type_id;

	MemoryContextReset(source->row_context);
	old = MemoryContextSwitchTo(source->row_context);
	slot_getallattrs(slot);

	for (int kind = 0; kind < NCOLUMNS; kind++)
	{
		Column	   *column = &columns[kind];
		Datum		value;

		if (column->position < 0 || slot->tts_isnull[column->position])
			continue;
		value = slot->tts_values[column->position];
		switch ((ColumnKind) kind)
		{
			case COLUMN_FROM_ID:
				row.input.from_id = read_id(column, value, buffers[0]);
				break;
			case COLUMN_TO_ID:
				row.input.to_id = read_id(column, value, buffers[1]);
				break;
			case COLUMN_TYPE_ID:
				row.type_ids = &type_id;
				row.ntype_ids = 1;
				if (!read_type_id(column, value, &type_id))
					row.problem = psprintf("type_id %s is not valid: it must be from 1 to %d",
										   read_text(column, value), PG_INT32_MAX);
				break;
			case COLUMN_TYPE_IDS:
				read_type_ids(&row, DatumGetArrayTypeP(value));
				break;
			case COLUMN_CATEGORY:
				row.category = read_text(column, value);
				break;
		}
	}
	put_row(source, &row);
	MemoryContextSwitchTo(old);
	return true;
}

/* The next element of an array, or the one input.  False: there is none. */
static bool
put_element(HubspotSource *source)
{
	MemoryContext old;
	Row			row = {0};
	Datum		element;
	bool		isnull;
	Datum		values[NCOLUMNS];
	bool		isnulls[NCOLUMNS];
	HeapTupleData tuple;
	Column		text = {.type = TEXTOID};

	if (source->single)
	{
		put_row(source, source->single);
		return false;
	}
	CHECK_FOR_INTERRUPTS();
	if (!array_iterate(source->iterator, &element, &isnull))
		return false;

	MemoryContextReset(source->row_context);
	old = MemoryContextSwitchTo(source->row_context);
	if (isnull)
		row.problem = "the input is null";
	else
	{
		HeapTupleHeader header = DatumGetHeapTupleHeader(element);

		tuple.t_len = HeapTupleHeaderGetDatumLength(header);
		ItemPointerSetInvalid(&tuple.t_self);
		tuple.t_tableOid = InvalidOid;
		tuple.t_data = header;
		heap_deform_tuple(&tuple, source->tupdesc, values, isnulls);
		if (!isnulls[COLUMN_FROM_ID])
			row.input.from_id = read_id(&text, values[COLUMN_FROM_ID], NULL);
		if (!isnulls[COLUMN_TO_ID])
			row.input.to_id = read_id(&text, values[COLUMN_TO_ID], NULL);
		if (!isnulls[COLUMN_TYPE_IDS])
			read_type_ids(&row, DatumGetArrayTypeP(values[COLUMN_TYPE_IDS]));
		if (!isnulls[COLUMN_CATEGORY])
			row.category = read_text(&text, values[COLUMN_CATEGORY]);
	}
	put_row(source, &row);
	MemoryContextSwitchTo(old);
	return true;
}

/* Check a row and put it. */
static void
put_row(HubspotSource *source, Row *row)
{
	int64		now;

	if (row->problem == NULL)
		check_id(row, "from_id", row->input.from_id);
	if (row->problem == NULL)
		check_id(row, "to_id", row->input.to_id);
	if (row->problem == NULL)
		check_types(source, row);
	if (row->problem == NULL && source->takes_types)
		row->input.types = make_types(source, row);
	hubspot_batch_put(source->batch, &row->input, row->problem);

	now = hubspot_coarse_now();
	if (now - source->driven >= DRIVE_INTERVAL)
	{
		source->driven = now;
		hubspot_batch_drive(source->batch);
		source->tick(source->tick_state);
	}
}

/*
 * An id as text; buffer takes those of integers.  It lives as long as the
 * row.
 */
static HubspotSlice
read_id(Column *column, Datum value, char *buffer)
{
	HubspotSlice id;

	switch (column->type)
	{
		case TEXTOID:
		case VARCHAROID:
			{
				text	   *packed = DatumGetTextPP(value);

				id.data = VARDATA_ANY(packed);
				id.len = VARSIZE_ANY_EXHDR(packed);
				break;
			}
		case BPCHAROID:
			{
				text	   *packed = DatumGetTextPP(value);

				/* without the padding, as its cast to text does */
				id.data = VARDATA_ANY(packed);
				id.len = bpchartruelen(unconstify(char *, id.data),
									   VARSIZE_ANY_EXHDR(packed));
				break;
			}
		case INT8OID:
			id.len = pg_lltoa(DatumGetInt64(value), buffer);
			id.data = buffer;
			break;
		case INT4OID:
			id.len = pg_ltoa(DatumGetInt32(value), buffer);
			id.data = buffer;
			break;
		default:
			id.data = OutputFunctionCall(&column->output, value);
			id.len = strlen(id.data);
			break;
	}
	return id;
}

static char *
read_text(Column *column, Datum value)
{
	if (column->type == TEXTOID)
		return TextDatumGetCString(value);
	if (column->type == BPCHAROID)
	{
		HubspotSlice text = read_id(column, value, NULL);

		return pnstrdup(text.data, text.len);
	}
	return OutputFunctionCall(&column->output, value);
}

static bool
read_type_id(Column *column, Datum value, int32 *type_id)
{
	int64		number;

	switch (column->type)
	{
		case INT8OID:
			number = DatumGetInt64(value);
			break;
		case INT2OID:
			number = DatumGetInt16(value);
			break;
		default:
			number = DatumGetInt32(value);
			break;
	}
	*type_id = (int32) number;
	return number >= 1 && number <= PG_INT32_MAX;
}

static void
read_type_ids(Row *row, ArrayType *array)
{
	Datum	   *elements;
	bool	   *isnull;
	int32	   *type_ids;

	deconstruct_array(array, INT4OID, sizeof(int32), true, TYPALIGN_INT,
					  &elements, &isnull, &row->ntype_ids);
	type_ids = palloc(sizeof(int32) * row->ntype_ids);
	for (int i = 0; i < row->ntype_ids; i++)
	{
		if (isnull[i])
			row->problem = "type_ids has a null";
		type_ids[i] = isnull[i] ? 0 : DatumGetInt32(elements[i]);
	}
	row->type_ids = type_ids;
	row->has_types = true;
}

static void
check_id(Row *row, const char *name, HubspotSlice id)
{
	const char *problem;

	if (id.data == NULL)
	{
		row->problem = psprintf("%s is null", name);
		return;
	}
	problem = hubspot_id_problem(id.data, id.len);
	if (problem)
		row->problem = psprintf("%s \"%s\" is not valid: %s", name,
								pnstrdup(id.data, pg_mbcliplen(id.data, id.len, 100)),
								problem);
}

static void
check_types(const HubspotSource *source, Row *row)
{
	if (!source->takes_types)
	{
		if (row->has_types || row->category)
			row->problem = "the operation takes neither type_ids nor a category";
		return;
	}
	if (row->ntype_ids == 0)
		row->problem = "there is no type_id";
	else if (row->ntype_ids > HUBSPOT_MAX_TYPES)
		row->problem = psprintf("there are more than %d type_ids",
								HUBSPOT_MAX_TYPES);
	for (int i = 0; i < row->ntype_ids && row->problem == NULL; i++)
	{
		if (row->type_ids[i] < 1)
			row->problem = psprintf("type_id %d is not valid: it must be from 1 to %d",
									row->type_ids[i], PG_INT32_MAX);
	}
	if (row->problem == NULL && row->category && !is_category(row->category))
		row->problem = psprintf("category \"%s\" is not valid: it must be HUBSPOT_DEFINED, USER_DEFINED, INTEGRATOR_DEFINED or another one in capital letters",
								pnstrdup(row->category,
										 pg_mbcliplen(row->category, strlen(row->category), 100)));
}

/* New categories may come, so only the shape is checked. */
static bool
is_category(const char *category)
{
	size_t		len = strlen(category);

	for (size_t i = 0; i < len; i++)
	{
		if (!(category[i] >= 'A' && category[i] <= 'Z') && category[i] != '_')
			return false;
	}
	return len > 0 && len <= MAX_CATEGORY_LEN;
}

/* The types of a row; the last row's list again if it is the same. */
static const HubspotTypeList *
make_types(HubspotSource *source, const Row *row)
{
	const char *category = row->category ? row->category : DEFAULT_CATEGORY;
	HubspotTypeList *types = source->types;

	if (types && types->ntypes == row->ntype_ids &&
		strcmp(types->types[0].category, category) == 0)
	{
		int			i = 0;

		while (i < types->ntypes && types->types[i].type_id == row->type_ids[i])
			i++;
		if (i == types->ntypes)
			return types;
	}

	if (source->single == NULL)
		MemoryContextReset(source->types_context);
	types = MemoryContextAlloc(source->types_context,
							   offsetof(HubspotTypeList, types) +
							   sizeof(HubspotAssociationType) * row->ntype_ids);
	category = MemoryContextStrdup(source->types_context, category);
	types->ntypes = row->ntype_ids;
	for (int i = 0; i < row->ntype_ids; i++)
	{
		types->types[i].category = category;
		types->types[i].type_id = row->type_ids[i];
	}
	source->types = types;
	return types;
}
