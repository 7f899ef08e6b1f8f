/*-------------------------------------------------------------------------
 *
 * table_writing.c
 *	  What is done to pairs, into the outbox or to HubSpot.
 *
 * By its option, what is written to a table goes into the outbox, and is sent after the
 * commit on behalf of the table's owner; or at once to HubSpot, by the login of whoever
 * writes, whatever becomes of the transaction.
 *
 * What is put is collected by what is done, up to a request's worth, and then it goes in the
 * order of HubspotTableAction.  Whoever needs another order flushes in between.
 *
 * IDENTIFICATION
 *	  src/table/table_writing.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "foreign/foreign.h"
#include "utils/memutils.h"

#include "account/client.h"
#include "account/server.h"
#include "call/batch.h"
#include "outbox/enqueue.h"
#include "rows/pipeline.h"
#include "schema/origin.h"
#include "table/table_writing.h"
#include "table/table_written.h"

/*
 * How much is written at a time: what HubSpot takes in a request, or less than fills a block
 * of the outbox, which would be inserted before others.
 */
#define MOST_ROWS		2000
#define MOST_BLOCK_ROWS	999
#define MOST_SIZE		(512 * 1024)

/* What a row takes in a block, besides its texts, at most. */
#define ROW_SIZE		200

/* How long rows of the outbox wait for records that are not there yet. */
static const Interval wait_for_records = {.day = 1};

/* What is done, by HubspotTableAction. */
static const struct
{
	HubspotOperation operation;
	const char *name;			/* in the outbox */
	bool		by_keys;		/* records are called as the table has it;
								 * else by their ids, since they were read */
	bool		keep_labels;
}			actions[HUBSPOT_NACTIONS] = {
	[HUBSPOT_ACTION_ARCHIVE] = {HUBSPOT_BATCH_ARCHIVE, "archive"},
	[HUBSPOT_ACTION_ARCHIVE_LABELS] = {HUBSPOT_BATCH_ARCHIVE_LABELS, "archive_labels"},
	[HUBSPOT_ACTION_CREATE_DEFAULT] = {HUBSPOT_BATCH_CREATE_DEFAULT, "create_default", true},
	[HUBSPOT_ACTION_CREATE] = {HUBSPOT_BATCH_CREATE, "create", true, true},
	[HUBSPOT_ACTION_RETYPE] = {HUBSPOT_BATCH_CREATE, "create", false, true}
};

struct HubspotTableWriting
{
	const HubspotTable *table;
	MemoryContext context;
	int64		count;			/* rows of the outbox, or requests */
	int			nrows;			/* since the last flush */
	Size		size;			/* of the texts of these */

	/* into the outbox */
	HubspotEnqueue enqueues[HUBSPOT_NACTIONS];
	HubspotBlock *blocks[HUBSPOT_NACTIONS]; /* NULL: nothing so far */

	/* to HubSpot */
	HubspotClient *client;		/* NULL: into the outbox */
	HubspotLabels *labels;		/* or NULL */
	MemoryContext inputs_context;
	List	   *inputs[HUBSPOT_NACTIONS];	/* HubspotRawInput */
	int			nsent;			/* of a list, while it is sent */
	HubspotLastTypes last_types;	/* likewise */
	List	   *sent;
};

static void begin_outbox(HubspotTableWriting *writing);
static const char *type_text(HubspotTableAction action, const char *option,
							 const HubspotObjectType *type);
static void begin_direct(HubspotTableWriting *writing, Oid user);
static HubspotRawInput *copy_input(const HubspotRawInput *raw);
static HubspotSlice copy_slice(HubspotSlice slice);
static void send_inputs(HubspotTableWriting *writing, HubspotTableAction action);
static bool make_input(void *state, HubspotInput *input, const HubspotError **error);

/*
 * Begin to write to a table for a user, in the current memory context.  ERROR if the owner
 * may not use the server, or the user has no user mapping.
 */
HubspotTableWriting *
hubspot_table_writing_begin(const HubspotTable *table, Oid user)
{
	HubspotTableWriting *writing = palloc0(sizeof(HubspotTableWriting));

	writing->table = table;
	writing->context = CurrentMemoryContext;
	if (table->options.writes == HUBSPOT_WRITES_DIRECT)
		begin_direct(writing, user);
	else
	{
		hubspot_require_usage(table->server, table->owner);
		hubspot_require_mapping(table->server, user);
		begin_outbox(writing);
	}
	return writing;
}

static void
begin_outbox(HubspotTableWriting *writing)
{
	const HubspotTable *table = writing->table;
	const char *server = GetForeignServer(table->server)->servername;

	hubspot_origin_claim_or_warn();
	for (HubspotTableAction action = 0; action < HUBSPOT_NACTIONS; action++)
	{
		HubspotEnqueue *enqueue = &writing->enqueues[action];

		enqueue->server = server;
		enqueue->serverid = table->server;
		enqueue->role = table->owner;
		enqueue->operation = actions[action].name;
		enqueue->from_type = type_text(action, table->options.from_type, &table->from_type);
		enqueue->to_type = type_text(action, table->options.to_type, &table->to_type);
		enqueue->keep_labels = actions[action].keep_labels;
		if (actions[action].by_keys && hubspot_table_has_keys(table))
			enqueue->wait_for_records = &wait_for_records;
	}
}

/* An object type as an action has it, given as in the table's options. */
static const char *
type_text(HubspotTableAction action, const char *option, const HubspotObjectType *type)
{
	return actions[action].by_keys || type->property == NULL ? option : type->name;
}

static void
begin_direct(HubspotTableWriting *writing, Oid user)
{
	const HubspotTable *table = writing->table;

	hubspot_origin_require();
	writing->client = hubspot_connect_table(table->server, table->owner, user);
	writing->inputs_context = AllocSetContextCreate(writing->context,
													"hubspot_assoc table inputs",
													ALLOCSET_DEFAULT_SIZES);
}

/* Is it sent later, and may be overridden until then? */
bool
hubspot_table_writing_waits(const HubspotTableWriting *writing)
{
	return writing->client == NULL;
}

/*
 * What is sent at once can be looked up at once: name the type of a row by its number.
 * ERROR if there is no such label, or if it is another type's.
 */
void
hubspot_table_writing_resolve(HubspotTableWriting *writing, HubspotGivenRow *row)
{
	HubspotGivenType *given = &row->type;
	const HubspotAssociationType *type;
	const HubspotError *error;
	MemoryContext old;

	if (writing->client == NULL || given->label == NULL)
		return;
	old = MemoryContextSwitchTo(writing->context);
	if (writing->labels == NULL)
		writing->labels = hubspot_labels_create(writing->client, writing->table->from_type.name,
												writing->table->to_type.name);
	MemoryContextSwitchTo(old);
	type = hubspot_labels_find(writing->labels, given->label, given->category, &error);
	if (type == NULL)
		ereport(ERROR,
				(errcode(error->sqlstate),
				 errmsg("a row cannot be written to foreign table %s: %s", writing->table->name,
						error->message)));
	if (given->has_type_id && given->type_id != type->type_id)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a row cannot be written to foreign table %s: label \"%s\" is of type_id %d, not %d",
						writing->table->name, given->label, type->type_id, given->type_id)));
	given->has_type_id = true;
	given->type_id = type->type_id;
	given->category = pstrdup(type->category);
	given->label = NULL;
}

/* Have something done, sooner or later; the input, which is copied, was checked. */
void
hubspot_table_writing_put(HubspotTableWriting *writing, HubspotTableAction action,
						  const HubspotRawInput *raw)
{
	MemoryContext old;

	if (writing->client)
	{
		old = MemoryContextSwitchTo(writing->inputs_context);
		writing->inputs[action] = lappend(writing->inputs[action], copy_input(raw));
	}
	else
	{
		old = MemoryContextSwitchTo(writing->context);
		if (writing->blocks[action] == NULL)
			writing->blocks[action] = hubspot_block_begin(&writing->enqueues[action]);
		hubspot_table_written_note(writing->table);
		hubspot_block_put(writing->blocks[action], raw);
		writing->count++;
	}
	MemoryContextSwitchTo(old);
	writing->nrows++;
	writing->size += raw->input.from_id.len + raw->input.to_id.len + ROW_SIZE +
		(raw->category ? strlen(raw->category) : 0) + (raw->nlabels > 0 ? strlen(raw->label) : 0);
	if (writing->nrows == (writing->client ? MOST_ROWS : MOST_BLOCK_ROWS) ||
		writing->size > MOST_SIZE)
		hubspot_table_writing_flush(writing);
}

/* In the current memory context; labels were resolved. */
static HubspotRawInput *
copy_input(const HubspotRawInput *raw)
{
	HubspotRawInput *copy = palloc(sizeof(HubspotRawInput));

	*copy = *raw;
	copy->input.from_id = copy_slice(raw->input.from_id);
	copy->input.to_id = copy_slice(raw->input.to_id);
	if (raw->category)
		copy->category = pstrdup(raw->category);
	if (raw->ntype_ids > 0)
	{
		int32	   *type_ids = palloc(sizeof(int32) * raw->ntype_ids);

		memcpy(type_ids, raw->type_ids, sizeof(int32) * raw->ntype_ids);
		copy->type_ids = type_ids;
	}
	return copy;
}

static HubspotSlice
copy_slice(HubspotSlice slice)
{
	slice.data = pnstrdup(slice.data, slice.len);
	return slice;
}

/* Have all done that was put. */
void
hubspot_table_writing_flush(HubspotTableWriting *writing)
{
	for (HubspotTableAction action = 0; action < HUBSPOT_NACTIONS; action++)
	{
		if (writing->blocks[action])
			hubspot_block_flush(writing->blocks[action]);
		if (writing->inputs[action])
			send_inputs(writing, action);
		writing->inputs[action] = NIL;
	}
	writing->nrows = 0;
	writing->size = 0;
	if (writing->inputs_context)
		MemoryContextReset(writing->inputs_context);
}

/* Send inputs, and wait for HubSpot's answers.  The first failure is an ERROR. */
static void
send_inputs(HubspotTableWriting *writing, HubspotTableAction action)
{
	HubspotPipeline pipeline = {.client = writing->client,
		.operation = actions[action].operation,
		.from_type = writing->table->from_type,.to_type = writing->table->to_type,
	.keep_labels = actions[action].keep_labels,.raise = true};
	MemoryContext context = AllocSetContextCreate(writing->context,
												  "hubspot_assoc table inputs sent",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	HubspotBatchCounts counts;
	HubspotOutcome outcome;
	HubspotRun *run;

	if (!actions[action].by_keys)
		pipeline.from_type.property = pipeline.to_type.property = NULL;
	writing->sent = writing->inputs[action];
	writing->nsent = 0;
	writing->last_types.context = AllocSetContextCreate(context, "hubspot_assoc table types",
														ALLOCSET_SMALL_SIZES);
	writing->last_types.types = NULL;
	run = hubspot_run_begin(&pipeline, hubspot_source_made(make_input, writing), false);
	while (hubspot_run_next(run, &outcome))
		;
	hubspot_batch_counts(hubspot_run_batch(run), &counts);
	writing->count += counts.calls.requests;
	hubspot_run_end(run);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* The next input to be sent. */
static bool
make_input(void *state, HubspotInput *input, const HubspotError **error)
{
	HubspotTableWriting *writing = state;
	HubspotRawInput *raw;

	if (writing->nsent == list_length(writing->sent))
		return false;
	raw = list_nth(writing->sent, writing->nsent++);
	if (raw->ntype_ids > 0)
		hubspot_raw_input_make_types(raw, NULL, &writing->last_types);
	*input = raw->input;
	input->no = writing->nsent;
	*error = raw->error;
	return true;
}

/* How many operations were enqueued, or requests sent. */
int64
hubspot_table_writing_count(const HubspotTableWriting *writing)
{
	return writing->count;
}
