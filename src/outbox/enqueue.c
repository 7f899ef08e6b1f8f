/*-------------------------------------------------------------------------
 *
 * enqueue.c
 *	  Puts the inputs of a query into the outbox.
 *
 * The query runs as a cursor, with the caller's rights.  Its rows are inserted
 * in blocks while it runs, so it does not matter how many there are, or how
 * large they are.
 *
 * A row that could never be sent is an ERROR now, while somebody can see it.
 * Labels are looked up when a row is sent: nothing is asked of HubSpot here.
 *
 * What is enqueued is sent with the user mapping of its role, which may be made later.  As
 * long as there is none, a WARNING says so, once a statement of the client's.
 *
 * IDENTIFICATION
 *	  src/outbox/enqueue.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "account/access.h"
#include "outbox/enqueue.h"
#include "rows/columns.h"
#include "rows/source.h"

/* How many rows are inserted at a time, unless they are large. */
#define BLOCK_ROWS		1000

/* A block of this size is full.  (Arrays have to stay far below 1 GB.) */
#define BLOCK_SIZE		(1024 * 1024)

struct HubspotBlock
{
	const HubspotEnqueue *enqueue;
	MemoryContext context;		/* of the rows */
	TupleDesc	tupdesc;		/* of hs_assoc_input */
	int			nrows;
	Size		size;			/* of the rows, in bytes */
	Datum		rows[BLOCK_ROWS];
	int64		enqueued;		/* in all blocks */
	int64		skipped;		/* likewise */
};

static HubspotEnqueue by_current_name(const HubspotEnqueue *enqueue);
static void tell_access(const HubspotEnqueue *enqueue);
static void take_row(void *state, const HubspotRawInput *raw);
static void check_length(const HubspotRawInput *raw, const char *name, HubspotSlice id);
static Datum form_input(TupleDesc tupdesc, const HubspotRawInput *raw);
static void insert_block(HubspotBlock *block);

/*
 * Put the rows of a query into the outbox.  Returns how many; *skipped is how
 * many others have no from_id or no to_id.  ERROR if one of them could never
 * be sent, or if the columns are not those of the operation.
 */
int64
hubspot_enqueue_query(const HubspotEnqueue *enqueue, const char *query,
					  int64 *skipped)
{
	HubspotBlock *block;
	HubspotSource *source;
	HubspotOperation operation;
	HubspotDirection direction = {.all_primary = enqueue->all_primary};
	char	   *hint;

	if (!hubspot_outbox_operation(enqueue->operation, &operation) ||
		hubspot_parse_object_type(enqueue->from_type, &direction.from_type, &hint) ||
		hubspot_parse_object_type(enqueue->to_type, &direction.to_type, &hint))
		elog(ERROR, "unexpected operation: %s, from %s to %s", enqueue->operation,
			 enqueue->from_type, enqueue->to_type);
	block = hubspot_block_begin(enqueue);
	source = hubspot_source_query(query, hubspot_endpoint(operation)->input_shape,
								  &direction, NULL);
	while (hubspot_source_read(source, BLOCK_ROWS, take_row, block))
		insert_block(block);
	hubspot_source_close(source);
	*skipped = block->skipped;
	return hubspot_block_end(block);
}

/* Begin to put rows into the outbox.  The block is palloc'd. */
HubspotBlock *
hubspot_block_begin(const HubspotEnqueue *enqueue)
{
	HubspotBlock *block = palloc0(sizeof(HubspotBlock));

	block->enqueue = enqueue;
	block->tupdesc = hubspot_input_tupdesc(hubspot_input_type());
	block->context = AllocSetContextCreate(CurrentMemoryContext,
										   "hubspot_assoc block",
										   ALLOCSET_DEFAULT_SIZES);
	return block;
}

/*
 * The same, with the name that the server has now: what gives the rows, or a trigger that they
 * fire, may have renamed it.
 */
static HubspotEnqueue
by_current_name(const HubspotEnqueue *enqueue)
{
	HubspotEnqueue current = *enqueue;
	const ForeignServer *server;

	if (!OidIsValid(enqueue->serverid))
		return current;
	server = GetForeignServerExtended(enqueue->serverid, FSV_MISSING_OK);
	if (server == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("server \"%s\" was dropped while something was enqueued for it",
						enqueue->server)));
	current.server = server->servername;
	return current;
}

/* A WARNING if its role cannot use the server, unless this statement was told. */
static void
tell_access(const HubspotEnqueue *enqueue)
{
	static TimestampTz told_at;
	static Oid	told_role;
	static NameData told_server;
	const char *problem = hubspot_access_problem(enqueue->server, enqueue->role);
	const char *advice;

	if (problem == NULL ||
		(told_at == GetCurrentStatementStartTimestamp() && told_role == enqueue->role &&
		 strcmp(NameStr(told_server), enqueue->server) == 0))
		return;
	told_at = GetCurrentStatementStartTimestamp();
	told_role = enqueue->role;
	namestrcpy(&told_server, enqueue->server);
	advice = hubspot_access_advice(enqueue->server, enqueue->role);
	ereport(WARNING,
			(errmsg("what is enqueued for server \"%s\" cannot be sent yet", enqueue->server),
			 errdetail("%s", problem),
			 advice ? errhint("%s", advice) : 0));
}

/* Insert the rows that were put so far. */
void
hubspot_block_flush(HubspotBlock *block)
{
	insert_block(block);
}

/* Insert the rows that were put; returns how many there were in all. */
int64
hubspot_block_end(HubspotBlock *block)
{
	insert_block(block);
	MemoryContextDelete(block->context);
	return block->enqueued;
}

/* Put a row of the query into the block; a full block is inserted first. */
static void
take_row(void *state, const HubspotRawInput *raw)
{
	HubspotBlock *block = state;

	if (raw->input.from_id.data == NULL || raw->input.to_id.data == NULL)
	{
		block->skipped++;
		return;
	}
	if (raw->error)
		ereport(ERROR,
				(errcode(raw->error->sqlstate),
				 errmsg("could not enqueue input %lld: %s",
						(long long) raw->input.no, raw->error->message)));
	check_length(raw, "from_id", raw->input.from_id);
	check_length(raw, "to_id", raw->input.to_id);
	hubspot_block_put(block, raw);
}

/* Put a row, which has to be fit for the outbox; it is copied. */
void
hubspot_block_put(HubspotBlock *block, const HubspotRawInput *raw)
{
	MemoryContext old;
	Datum		input;

	if (block->size >= BLOCK_SIZE || block->nrows == BLOCK_ROWS)
		insert_block(block);
	old = MemoryContextSwitchTo(block->context);
	input = form_input(block->tupdesc, raw);
	MemoryContextSwitchTo(old);
	block->rows[block->nrows++] = input;
	block->size += VARSIZE_ANY(DatumGetPointer(input));
}

/* A key may have any number of blanks around it, but not in the outbox. */
static void
check_length(const HubspotRawInput *raw, const char *name, HubspotSlice id)
{
	if (id.len > HUBSPOT_MAX_TEXT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("could not enqueue input %lld: %s is longer than %d bytes, with its blanks",
						(long long) raw->input.no, name, HUBSPOT_MAX_TEXT)));
}

/* The row as an hs_assoc_input, palloc'd. */
static Datum
form_input(TupleDesc tupdesc, const HubspotRawInput *raw)
{
	HubspotSlice from_id = raw->input.from_id;
	HubspotSlice to_id = raw->input.to_id;
	Datum		values[HUBSPOT_NATTRIBUTES];
	bool		isnull[HUBSPOT_NATTRIBUTES];
	Datum	   *elements = palloc(sizeof(Datum) * Max(raw->ntype_ids, raw->nlabels));

	values[HUBSPOT_ATTRIBUTE_FROM_ID] =
		PointerGetDatum(cstring_to_text_with_len(from_id.data, from_id.len));
	isnull[HUBSPOT_ATTRIBUTE_FROM_ID] = false;
	values[HUBSPOT_ATTRIBUTE_TO_ID] =
		PointerGetDatum(cstring_to_text_with_len(to_id.data, to_id.len));
	isnull[HUBSPOT_ATTRIBUTE_TO_ID] = false;

	isnull[HUBSPOT_ATTRIBUTE_TYPE_IDS] = (raw->ntype_ids == 0);
	for (int i = 0; i < raw->ntype_ids; i++)
		elements[i] = Int32GetDatum(raw->type_ids[i]);
	if (raw->ntype_ids > 0)
		values[HUBSPOT_ATTRIBUTE_TYPE_IDS] =
			PointerGetDatum(construct_array(elements, raw->ntype_ids, INT4OID,
											sizeof(int32), true, TYPALIGN_INT));

	isnull[HUBSPOT_ATTRIBUTE_CATEGORY] = (raw->category == NULL);
	if (raw->category)
		values[HUBSPOT_ATTRIBUTE_CATEGORY] = CStringGetTextDatum(raw->category);

	isnull[HUBSPOT_ATTRIBUTE_LABELS] = (raw->nlabels == 0);
	for (int i = 0; i < raw->nlabels; i++)
		elements[i] = CStringGetTextDatum(raw->labels[i]);
	if (raw->nlabels > 0)
		values[HUBSPOT_ATTRIBUTE_LABELS] =
			PointerGetDatum(construct_array(elements, raw->nlabels, TEXTOID,
											-1, false, TYPALIGN_INT));
	return HeapTupleGetDatum(heap_form_tuple(tupdesc, values, isnull));
}

/* Insert the rows of the block, if there are some, and empty it. */
static void
insert_block(HubspotBlock *block)
{
	MemoryContext old = MemoryContextSwitchTo(block->context);

	if (block->nrows > 0)
	{
		HubspotEnqueue current = by_current_name(block->enqueue);

		if (block->enqueued == 0)
			tell_access(&current);
		hubspot_outbox_insert(&current,
							  PointerGetDatum(construct_array(block->rows, block->nrows,
															  block->tupdesc->tdtypeid,
															  -1, false,
															  TYPALIGN_DOUBLE)));
	}
	MemoryContextSwitchTo(old);
	block->enqueued += block->nrows;
	block->nrows = 0;
	block->size = 0;
	MemoryContextReset(block->context);
}
