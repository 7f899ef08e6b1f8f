/*-------------------------------------------------------------------------
 *
 * change.c
 *	  Changes of a link table into the outbox.
 *
 * A sync makes one INSERT ... SELECT of the rows that a statement has changed
 * (delta.c), with the rights of the outbox's owner.
 *
 * Statements on one table may be nested, by triggers, or be parts of one
 * (WITH): a row that one has inserted may be gone before its trigger is run,
 * or what one has deleted be there again.  The last operation that is enqueued
 * for a pair wins, therefore changes that come after those of such a statement
 * are checked first: only what is in the table is created, only what isn't is
 * removed.  That is read with the rights of the table's owner into a
 * tuplestore, and inserted from there.  The rows of a whole table, to be
 * truncated or for a backfill, take the same way.
 *
 * IDENTIFICATION
 *	  src/change.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "executor/tstoreReceiver.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "change.h"
#include "delta.h"

/* The rows of a tuplestore, in SQL. */
#define COLLECTED_ROWS	"collected_rows"

/* The parameters of the statements that insert, from $1. */
enum
{
	PARAMETER_SERVER,
	PARAMETER_ROLE,
	PARAMETER_ADD,				/* the operations */
	PARAMETER_REMOVE,
	PARAMETER_FROM_TYPE,
	PARAMETER_TO_TYPE,
	PARAMETER_TYPE_IDS,
	PARAMETER_CATEGORY,
	PARAMETER_LABELS,
	PARAMETER_KEEP_LABELS,
	PARAMETER_LINK_TABLE,
	NPARAMETERS
};

static Oid	parameter_types[NPARAMETERS] = {
	TEXTOID, REGROLEOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
	INT4ARRAYOID, TEXTOID, TEXTARRAYOID, BOOLOID, REGCLASSOID
};

struct HubspotChange
{
	HubspotDelta delta;
	bool		has_nulls;		/* may its columns be null? */
	Datum		values[NPARAMETERS];
	char		nulls[NPARAMETERS];
	SPIPlanPtr	plans[HUBSPOT_NDELTAS]; /* or NULL: not prepared yet */
};

static void set_parameters(HubspotChange *change);
static void set_text(HubspotChange *change, int parameter, const char *value);
static HubspotDeltaSource source_of(TriggerData *trigdata);
static TupleTableSlot *begin_rows(TriggerData *trigdata, Tuplestorestate *rows);
static bool same_values(const HubspotDelta *delta, TupleTableSlot *a,
						TupleTableSlot *b);
static int64 count_nulls(const HubspotDelta *delta, TriggerData *trigdata,
						 Tuplestorestate *rows);
static SPIPlanPtr plan_of(HubspotChange *change, HubspotDeltaSource source);
static Tuplestorestate *collect(const char *query);
static int64 insert_collected(HubspotChange *change, Tuplestorestate *rows);
static TupleDesc collected_tupdesc(const HubspotDelta *delta);

/*
 * What the sync makes of changes of a table, its own or a partition of it; in
 * the current memory context, and sync must live as long.  ERROR if a column
 * is missing.
 */
HubspotChange *
hubspot_change_create(const HubspotSync *sync, Oid table)
{
	HubspotChange *change = palloc0(sizeof(HubspotChange));

	hubspot_delta_init(&change->delta, sync, table);
	for (int i = 0; i < change->delta.ncolumns; i++)
		change->has_nulls |= !change->delta.columns[i].not_null;
	set_parameters(change);
	return change;
}

static void
set_parameters(HubspotChange *change)
{
	const HubspotSync *sync = change->delta.sync;
	bool		typed = sync->type_id || sync->label || sync->type_id_column ||
	sync->label_column;
	Datum		element;

	memset(change->nulls, ' ', NPARAMETERS);
	set_text(change, PARAMETER_SERVER, sync->server);
	change->values[PARAMETER_ROLE] = ObjectIdGetDatum(sync->role);
	set_text(change, PARAMETER_ADD, typed ? "create" : "create_default");
	set_text(change, PARAMETER_REMOVE, typed ? "archive_labels" : "archive");
	set_text(change, PARAMETER_FROM_TYPE, sync->from_type);
	set_text(change, PARAMETER_TO_TYPE, sync->to_type);
	set_text(change, PARAMETER_CATEGORY, sync->category);
	change->values[PARAMETER_KEEP_LABELS] = BoolGetDatum(typed);
	change->values[PARAMETER_LINK_TABLE] = ObjectIdGetDatum(sync->link_table);

	change->nulls[PARAMETER_TYPE_IDS] = sync->type_id ? ' ' : 'n';
	element = Int32GetDatum(sync->type_id);
	change->values[PARAMETER_TYPE_IDS] =
		PointerGetDatum(construct_array(&element, 1, INT4OID, sizeof(int32),
										true, TYPALIGN_INT));
	change->nulls[PARAMETER_LABELS] = sync->label ? ' ' : 'n';
	if (sync->label)
	{
		element = CStringGetTextDatum(sync->label);
		change->values[PARAMETER_LABELS] =
			PointerGetDatum(construct_array(&element, 1, TEXTOID, -1, false,
											TYPALIGN_INT));
	}
}

static void
set_text(HubspotChange *change, int parameter, const char *value)
{
	if (value)
		change->values[parameter] = CStringGetTextDatum(value);
	else
		change->nulls[parameter] = 'n';
}

/* Free what isn't in its memory context. */
void
hubspot_change_free(HubspotChange *change)
{
	for (size_t i = 0; i < lengthof(change->plans); i++)
	{
		if (change->plans[i])
			SPI_freeplan(change->plans[i]);
		change->plans[i] = NULL;
	}
}

/*
 * Can the statement have changed what the sync is about?  Not if it is an
 * UPDATE whose rows have kept the values of all columns that matter.
 */
bool
hubspot_change_matters(const HubspotChange *change, TriggerData *trigdata)
{
	Tuplestorestate *old_rows = trigdata->tg_oldtable;
	Tuplestorestate *new_rows = trigdata->tg_newtable;
	TupleTableSlot *old_slot;
	TupleTableSlot *new_slot;
	bool		matters = false;

	/* if they don't come in the same order, there is more work than needed */
	if (source_of(trigdata) != HUBSPOT_UPDATED ||
		tuplestore_tuple_count(old_rows) != tuplestore_tuple_count(new_rows))
		return true;
	old_slot = begin_rows(trigdata, old_rows);
	new_slot = begin_rows(trigdata, new_rows);
	while (!matters &&
		   tuplestore_gettupleslot(old_rows, true, false, old_slot) &&
		   tuplestore_gettupleslot(new_rows, true, false, new_slot))
	{
		CHECK_FOR_INTERRUPTS();
		matters = !same_values(&change->delta, old_slot, new_slot);
	}
	ExecDropSingleTupleTableSlot(old_slot);
	ExecDropSingleTupleTableSlot(new_slot);
	return matters;
}

static HubspotDeltaSource
source_of(TriggerData *trigdata)
{
	if (TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
		return HUBSPOT_INSERTED;
	return TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ? HUBSPOT_UPDATED : HUBSPOT_DELETED;
}

/* A slot to read a transition table into, from its beginning. */
static TupleTableSlot *
begin_rows(TriggerData *trigdata, Tuplestorestate *rows)
{
	int			pointer = tuplestore_alloc_read_pointer(rows, EXEC_FLAG_REWIND);

	/* a new pointer begins where the first one is */
	tuplestore_select_read_pointer(rows, pointer);
	tuplestore_rescan(rows);
	return MakeSingleTupleTableSlot(RelationGetDescr(trigdata->tg_relation),
									&TTSOpsMinimalTuple);
}

/* Have two rows the same values in all columns that matter, byte for byte? */
static bool
same_values(const HubspotDelta *delta, TupleTableSlot *a, TupleTableSlot *b)
{
	for (int i = 0; i < delta->ncolumns; i++)
	{
		const HubspotDeltaColumn *column = &delta->columns[i];
		bool		a_null;
		bool		b_null;
		Datum		a_value = slot_getattr(a, column->number, &a_null);
		Datum		b_value = slot_getattr(b, column->number, &b_null);

		if (a_null != b_null)
			return false;
		if (!a_null && !datum_image_eq(a_value, b_value, column->by_value,
									   column->length))
			return false;
	}
	return true;
}

/*
 * How many rows the statement has added that are left out, because a value is
 * null.
 */
int64
hubspot_change_skipped(const HubspotChange *change, TriggerData *trigdata)
{
	int64		skipped = 0;

	if (!change->has_nulls)
		return 0;
	if (trigdata->tg_newtable)
		skipped = count_nulls(&change->delta, trigdata, trigdata->tg_newtable);
	if (skipped > 0 && trigdata->tg_oldtable)
		skipped -= count_nulls(&change->delta, trigdata, trigdata->tg_oldtable);
	return Max(skipped, 0);
}

static int64
count_nulls(const HubspotDelta *delta, TriggerData *trigdata,
			Tuplestorestate *rows)
{
	TupleTableSlot *slot = begin_rows(trigdata, rows);
	int64		count = 0;

	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		int			i = 0;

		CHECK_FOR_INTERRUPTS();
		while (i < delta->ncolumns &&
			   !slot_attisnull(slot, delta->columns[i].number))
			i++;
		if (i < delta->ncolumns)
			count++;
	}
	ExecDropSingleTupleTableSlot(slot);
	return count;
}

/*
 * Enqueue what the statement has changed; check: only what is so in the table
 * now.  SPI is connected, and knows the transition tables.
 */
void
hubspot_change_enqueue(HubspotChange *change, TriggerData *trigdata, bool check)
{
	HubspotDeltaSource source = source_of(trigdata);
	HubspotFormerUser former;

	if (check)
	{
		Tuplestorestate *rows;

		former = hubspot_link_become_owner(change->delta.sync->link_table);
		rows = collect(hubspot_delta_checked_rows(&change->delta, source));
		hubspot_outbox_leave_owner(former);
		(void) insert_collected(change, rows);
		return;
	}
	former = hubspot_outbox_become_owner(hubspot_outbox_schema(false));
	if (SPI_execute_plan(plan_of(change, source), change->values, change->nulls,
						 false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not insert into hs_assoc_outbox");
	hubspot_outbox_leave_owner(former);
}

/* A plan that doesn't depend on how many rows there are, made once. */
static SPIPlanPtr
plan_of(HubspotChange *change, HubspotDeltaSource source)
{
	const HubspotDelta *delta = &change->delta;
	SPIPlanPtr	plan = change->plans[source];

	if (plan)
		return plan;
	plan = SPI_prepare_cursor(hubspot_delta_insertion(delta, hubspot_delta_rows(delta, source)),
							  NPARAMETERS, parameter_types,
							  CURSOR_OPT_GENERIC_PLAN);
	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare the insertion into hs_assoc_outbox: %s",
			 SPI_result_code_string(SPI_result));
	change->plans[source] = plan;
	return plan;
}

/*
 * Enqueue all rows of the table, as added, with the rights of the current role;
 * or of the partition, as removed, with those of its own owner.  Returns how
 * many; *skipped is how many have a null.
 */
int64
hubspot_change_enqueue_table(HubspotChange *change, bool added, int64 *skipped)
{
	HubspotFormerUser former = {0};
	Tuplestorestate *rows;
	int64		enqueued;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	if (!added)
		former = hubspot_link_become_owner(change->delta.table);
	rows = collect(hubspot_delta_all_rows(&change->delta, added));
	if (!added)
		hubspot_outbox_leave_owner(former);
	*skipped = tuplestore_tuple_count(rows);
	enqueued = insert_collected(change, rows);
	*skipped -= enqueued;
	SPI_finish();
	return enqueued;
}

/*
 * The rows of a query on the link table: as they are now, also in a transaction
 * that goes by an older snapshot, and all of them, or an ERROR if row-level
 * security hides some.
 */
static Tuplestorestate *
collect(const char *query)
{
	Tuplestorestate *rows = tuplestore_begin_heap(false, false, work_mem);
	SPIExecuteOptions options = {.read_only = true,.must_return_tuples = true};
	int			nest_level = NewGUCNestLevel();

	(void) set_config_option("row_security", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	options.dest = CreateTuplestoreDestReceiver();
	SetTuplestoreDestReceiverParams(options.dest, rows, CurrentMemoryContext,
									false, NULL, NULL);
	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	if (SPI_execute_extended(query, &options) != SPI_OK_SELECT)
		elog(ERROR, "could not read the link table");
	PopActiveSnapshot();
	options.dest->rDestroy(options.dest);
	AtEOXact_GUC(true, nest_level);
	return rows;
}

/* Insert collected rows, and forget them. */
static int64
insert_collected(HubspotChange *change, Tuplestorestate *rows)
{
	EphemeralNamedRelation relation = palloc0(sizeof(EphemeralNamedRelationData));
	StringInfoData query;
	HubspotFormerUser former;
	int64		inserted;

	relation->md.name = COLLECTED_ROWS;
	relation->md.tupdesc = collected_tupdesc(&change->delta);
	relation->md.enrtype = ENR_NAMED_TUPLESTORE;
	relation->md.enrtuples = tuplestore_tuple_count(rows);
	relation->reldata = rows;
	if (SPI_register_relation(relation) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register the rows of the link table");

	initStringInfo(&query);
	appendStringInfoString(&query, "SELECT * FROM " COLLECTED_ROWS " AS c"
						   " WHERE c.from_id IS NOT NULL AND c.to_id IS NOT NULL");
	if (change->delta.ncolumns > HUBSPOT_COLUMN_TYPE)
		appendStringInfoString(&query, " AND c.type IS NOT NULL");

	former = hubspot_outbox_become_owner(hubspot_outbox_schema(false));
	if (SPI_execute_with_args(hubspot_delta_insertion(&change->delta, query.data),
							  NPARAMETERS, parameter_types, change->values,
							  change->nulls, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not insert into hs_assoc_outbox");
	inserted = SPI_processed;
	hubspot_outbox_leave_owner(former);
	(void) SPI_unregister_relation(COLLECTED_ROWS);
	tuplestore_end(rows);
	return inserted;
}

static TupleDesc
collected_tupdesc(const HubspotDelta *delta)
{
	bool		has_type = delta->ncolumns > HUBSPOT_COLUMN_TYPE;
	TupleDesc	tupdesc = CreateTemplateTupleDesc(has_type ? 4 : 3);
	AttrNumber	number = 1;

	TupleDescInitEntry(tupdesc, number++, "from_id", TEXTOID, -1, 0);
	TupleDescInitEntry(tupdesc, number++, "to_id", TEXTOID, -1, 0);
	if (has_type)
		TupleDescInitEntry(tupdesc, number++, "type",
						   hubspot_delta_is_label(delta) ? TEXTOID : INT4OID, -1, 0);
	TupleDescInitEntry(tupdesc, number, "added", BOOLOID, -1, 0);
	return tupdesc;
}
