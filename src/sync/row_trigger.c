/*-------------------------------------------------------------------------
 *
 * row_trigger.c
 *	  The trigger function of tables that are kept in sync.
 *
 * What is to be done for a table is read once in each backend, and again when
 * the table has changed: a change of hs_assoc_sync_config sends the same
 * invalidation as a change of the table.
 *
 * The row trigger fires for what a subscription applies (and where somebody has set
 * session_replication_role to replica).  Such rows are collected (replicated.c), without the
 * columns that no sync has, as rows of the table that is in sync: those of different
 * partitions have to be seen together.  So are all rows before a TRUNCATE.  At the end of the
 * transaction they are like those of one UPDATE.
 *
 * hs_assoc_sync_config and the rows alone decide what is enqueued.  Any role
 * that may make a trigger for the table can make one with this function;
 * therefore it serves only triggers of the shape that hs_assoc_enable_sync
 * gives them.
 *
 * IDENTIFICATION
 *	  src/sync/row_trigger.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_trigger.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "sync/change.h"
#include "sync/replicated.h"

/* A column that a sync sends of what a subscription applies. */
typedef struct LinkColumn
{
	AttrNumber	own;			/* its number in the table */
	AttrNumber	root;			/* its number in the root */
	Oid			type;
	bool		by_value;
	int16		length;
} LinkColumn;

/* What is to be done for a table with our triggers. */
typedef struct LinkTable
{
	Oid			table;			/* hash key */
	Oid			root;			/* the table whose partition it is, or itself */
	bool		valid;
	MemoryContext context;		/* of what follows; or NULL */
	int			nsyncs;
	HubspotChange **changes;	/* one of each sync */
	const HubspotSync **syncs;	/* likewise */
	int			ncolumns;
	LinkColumn *columns;

	/* of a root: the command that has changed it last, or a later one */
	FullTransactionId transaction;
	CommandId	command;
} LinkTable;

static HTAB *tables = NULL;
static uint64 messages = 0;		/* invalidations so far */
static int	depth = 0;			/* of triggers that are being run */
static MemoryContext outdated = NULL;	/* of what these may still be using */

PG_FUNCTION_INFO_V1(hs_assoc_sync_rows);

static TriggerData *trigger_data(FunctionCallInfo fcinfo);
static void tell_context(void *table);
static bool has_name(const char *name, const char *expected);
static bool has_rows(Tuplestorestate *rows);
static LinkTable *find_table(Oid relid);
static LinkTable *table_entry(Oid relid);
static void create_tables(void);
static void forget_tables(Datum argument, Oid relid);
static void forget_outdated(void);
static void read_table(LinkTable *table);
static void refuse_table(Oid relid, Oid root);
static void enqueue_rows(const LinkTable *table, TriggerData *trigdata);
static void enqueue_changes(const LinkTable *table, TriggerData *trigdata);
static bool changed_since(const LinkTable *table);
static void set_columns(LinkTable *table, List *syncs);
static void collect_row(TriggerData *trigdata);
static bool same_row(const LinkTable *table, TupleTableSlot *a, TupleTableSlot *b);
static void collect_all(Relation relation);
static void put(Tuplestorestate *rows, const HubspotReplicated *replicated,
				const LinkTable *table, TupleTableSlot *slot);
static void enqueue_replicated(HubspotReplicated *rows);
static bool is_in_sync(Oid table);
static void enqueue_net(LinkTable *table, TriggerData *trigdata);

/*
 * hs_assoc_sync_rows(): the trigger function
 *
 * Enqueues what a statement has changed in the table, or in a partition that
 * the statement names, and before a TRUNCATE the removal of all rows; or, for a row,
 * keeps it until the transaction commits.
 */
Datum
hs_assoc_sync_rows(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = trigger_data(fcinfo);
	ErrorContextCallback context;

	context.callback = tell_context;
	context.arg = RelationGetRelationName(trigdata->tg_relation);
	context.previous = error_context_stack;
	error_context_stack = &context;

	if (TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		collect_row(trigdata);
	else if (TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event) ||
			 has_rows(trigdata->tg_newtable) || has_rows(trigdata->tg_oldtable))
	{
		LinkTable  *table = find_table(RelationGetRelid(trigdata->tg_relation));

		depth++;
		PG_TRY();
		{
			enqueue_rows(table, trigdata);
		}
		PG_FINALLY();
		{
			depth--;
		}
		PG_END_TRY();
		forget_outdated();
	}
	error_context_stack = context.previous;
	return PointerGetDatum(NULL);
}

static void
tell_context(void *table)
{
	errcontext("enqueuing the changes of table \"%s\"", (const char *) table);
}

/* The data of the trigger; ERROR unless it is like ours. */
static TriggerData *
trigger_data(FunctionCallInfo fcinfo)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	bool		ours = false;

	if (CALLED_AS_TRIGGER(fcinfo))
	{
		const Trigger *trigger = trigdata->tg_trigger;
		TriggerEvent event = trigdata->tg_event;

		if (TRIGGER_FIRED_FOR_ROW(event))
			ours = trigger->tgtype == (TRIGGER_TYPE_ROW | TRIGGER_TYPE_AFTER | TRIGGER_TYPE_INSERT |
									   TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE);
		else if (TRIGGER_FIRED_BY_TRUNCATE(event))
			ours = TRIGGER_FIRED_BEFORE(event);
		else
			ours = TRIGGER_FIRED_AFTER(event) &&
				has_name(trigger->tgnewtable, TRIGGER_FIRED_BY_DELETE(event) ?
						 NULL : HUBSPOT_NEW_ROWS) &&
				has_name(trigger->tgoldtable, TRIGGER_FIRED_BY_INSERT(event) ?
						 NULL : HUBSPOT_OLD_ROWS);
	}
	if (!ours)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by a trigger like those that hs_assoc_enable_sync creates",
						"hs_assoc_sync_rows")));
	return trigdata;
}

static bool
has_name(const char *name, const char *expected)
{
	if (name == NULL || expected == NULL)
		return name == expected;
	return strcmp(name, expected) == 0;
}

static bool
has_rows(Tuplestorestate *rows)
{
	return rows && tuplestore_tuple_count(rows) > 0;
}

/* What is to be done for a table.  ERROR if it is not in sync. */
static LinkTable *
find_table(Oid relid)
{
	LinkTable  *table = table_entry(relid);

	/* triggers that were ended by an ERROR have left something */
	forget_outdated();
	if (!table->valid)
		read_table(table);
	return table;
}

static LinkTable *
table_entry(Oid relid)
{
	LinkTable  *table;
	bool		found;

	if (tables == NULL)
		create_tables();
	table = hash_search(tables, &relid, HASH_ENTER, &found);
	if (!found)
	{
		memset(table, 0, sizeof(LinkTable));
		table->table = relid;
		table->root = relid;
	}
	return table;
}

static void
create_tables(void)
{
	HASHCTL		control = {0};

	control.keysize = sizeof(Oid);
	control.entrysize = sizeof(LinkTable);
	tables = hash_create("hubspot_assoc link tables", 16, &control,
						 HASH_ELEM | HASH_BLOBS);
	CacheRegisterRelcacheCallback(forget_tables, (Datum) 0);
}

/* A table has changed, or any may have (InvalidOid). */
static void
forget_tables(Datum argument, Oid relid)
{
	HASH_SEQ_STATUS status;
	LinkTable  *table;

	messages++;
	hash_seq_init(&status, tables);
	while ((table = hash_seq_search(&status)) != NULL)
	{
		if (!OidIsValid(relid) || table->table == relid || table->root == relid)
			table->valid = false;
	}
}

/* Forget what was read of tables before they changed, unless a trigger is running. */
static void
forget_outdated(void)
{
	if (depth == 0 && outdated)
		MemoryContextDeleteChildren(outdated);
}

static void
read_table(LinkTable *table)
{
	uint64		messages_before = messages;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc link table",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Oid			root = hubspot_link_root(table->table);
	List	   *list = hubspot_syncs(hubspot_outbox_schema(false), root);
	HubspotChange **changes = palloc(sizeof(HubspotChange *) * list_length(list));
	const HubspotSync **syncs = palloc(sizeof(HubspotSync *) * list_length(list));
	int			nsyncs = 0;
	ListCell   *lc;

	if (list == NIL)
		refuse_table(table->table, root);
	foreach(lc, list)
	{
		hubspot_sync_check_columns(lfirst(lc));
		syncs[nsyncs] = lfirst(lc);
		changes[nsyncs++] = hubspot_change_create(lfirst(lc), table->table);
	}
	table->root = root;
	set_columns(table, list);
	MemoryContextSwitchTo(old);
	MemoryContextSetParent(context, TopMemoryContext);

	/* a trigger that is running may be using these */
	if (outdated == NULL)
		outdated = AllocSetContextCreate(TopMemoryContext, "hubspot_assoc outdated link tables",
										 ALLOCSET_SMALL_SIZES);
	if (table->context)
		MemoryContextSetParent(table->context, outdated);
	forget_outdated();
	table->context = context;
	table->nsyncs = nsyncs;
	table->changes = changes;
	table->syncs = syncs;

	/* reading took in messages, too */
	table->valid = (messages == messages_before);
}

static void
refuse_table(Oid relid, Oid root)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table \"%s\" has triggers of hs_assoc_sync_rows, but is not kept in sync",
					get_rel_name(relid)),
			 errhint("Drop them with SELECT %s.hs_assoc_disable_sync(%s), or keep it in sync with hs_assoc_enable_sync.",
					 hubspot_outbox_schema(false)->name,
					 quote_literal_cstr(hubspot_link_name(root)))));
}

static void
enqueue_rows(const LinkTable *table, TriggerData *trigdata)
{
	if (!TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event))
	{
		enqueue_changes(table, trigdata);
		return;
	}
	/* TRUNCATE fires the triggers of its partitions as well */
	if (trigdata->tg_relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		return;
	if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA && table->ncolumns > 0)
	{
		collect_all(trigdata->tg_relation);
		return;
	}
	for (int i = 0; i < table->nsyncs; i++)
		(void) hubspot_change_enqueue_table(table->changes[i], HUBSPOT_TABLE_REMOVED);
}

static void
enqueue_changes(const LinkTable *table, TriggerData *trigdata)
{
	QueryEnvironment *environment = NULL;
	bool		check = false;

	for (int i = 0; i < table->nsyncs; i++)
	{
		HubspotChange *change = table->changes[i];

		if (!hubspot_change_matters(change, trigdata))
			continue;
		if (environment == NULL)
		{
			check = changed_since(table);
			environment = hubspot_change_environment(trigdata);
		}
		hubspot_change_enqueue(change, trigdata, environment, check);
		hubspot_change_count_skipped(change, trigdata);
	}
}

/*
 * Has something been enqueued for the table since the statement began for
 * which the trigger is called?  Other parts of the statement may have done so,
 * or statements that triggers have run, which have later numbers.  From now
 * on, this one has.
 */
static bool
changed_since(const LinkTable *table)
{
	LinkTable  *root = table_entry(table->root);
	FullTransactionId transaction = GetTopFullTransactionIdIfAny();
	CommandId	command = GetActiveSnapshot()->curcid;
	bool		same = FullTransactionIdEquals(root->transaction, transaction);
	bool		changed = same && root->command >= command;

	root->transaction = transaction;
	if (!changed)
		root->command = command;
	return changed;
}

/* The columns of those syncs that send what a subscription applies. */
static void
set_columns(LinkTable *table, List *syncs)
{
	ListCell   *lc;

	table->columns = palloc0(sizeof(LinkColumn) * HUBSPOT_SYNC_COLUMNS * list_length(syncs));
	table->ncolumns = 0;
	foreach(lc, syncs)
	{
		const HubspotSync *sync = lfirst(lc);
		const char *names[HUBSPOT_SYNC_COLUMNS];
		int			nnames = sync->replicated ? hubspot_sync_columns(sync, names) : 0;

		for (int i = 0; i < nnames; i++)
		{
			LinkColumn *column = &table->columns[table->ncolumns++];

			column->own = get_attnum(table->table, names[i]);
			if (column->own == InvalidAttrNumber)
				hubspot_link_column_missing(sync, table->table, names[i]);
			column->root = get_attnum(table->root, names[i]);
			column->type = get_atttype(table->table, column->own);
			get_typlenbyval(column->type, &column->length, &column->by_value);
		}
	}
}

/* Keep what a subscription has done to a row. */
static void
collect_row(TriggerData *trigdata)
{
	TriggerEvent event = trigdata->tg_event;
	LinkTable  *table;
	TupleTableSlot *old_row = TRIGGER_FIRED_BY_INSERT(event) ? NULL : trigdata->tg_trigslot;
	TupleTableSlot *new_row = trigdata->tg_trigslot;
	HubspotReplicated *rows;

	/* else the statement triggers have it */
	if (SessionReplicationRole != SESSION_REPLICATION_ROLE_REPLICA)
		return;
	table = find_table(RelationGetRelid(trigdata->tg_relation));
	if (TRIGGER_FIRED_BY_UPDATE(event))
		new_row = trigdata->tg_newslot;
	else if (TRIGGER_FIRED_BY_DELETE(event))
		new_row = NULL;
	if (table->ncolumns == 0 || (old_row && new_row && same_row(table, old_row, new_row)))
		return;
	rows = hubspot_replicated_rows(table->root, enqueue_replicated);
	if (old_row)
		put(rows->old_rows, rows, table, old_row);
	if (new_row)
		put(rows->new_rows, rows, table, new_row);
}

/* Do two rows have the same values in all columns that matter, byte for byte? */
static bool
same_row(const LinkTable *table, TupleTableSlot *a, TupleTableSlot *b)
{
	for (int i = 0; i < table->ncolumns; i++)
	{
		const LinkColumn *column = &table->columns[i];
		bool		a_null;
		bool		b_null;
		Datum		a_value = slot_getattr(a, column->own, &a_null);
		Datum		b_value = slot_getattr(b, column->own, &b_null);

		if (a_null != b_null || (!a_null && !datum_image_eq(a_value, b_value,
															column->by_value, column->length)))
			return false;
	}
	return true;
}

/* All rows of a table are about to go: keep them, as it shows them now. */
static void
collect_all(Relation relation)
{
	LinkTable  *table = find_table(RelationGetRelid(relation));
	HubspotReplicated *rows = hubspot_replicated_rows(table->root, enqueue_replicated);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TupleTableSlot *slot = table_slot_create(relation, NULL);
	TableScanDesc scan = table_beginscan(relation, snapshot, 0, NULL);

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		put(rows->old_rows, rows, table, slot);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
}

/*
 * Put a row of a table with the others of its root.  Values that are stored out of line are
 * fetched: they may be gone by the time that they are looked at.
 */
static void
put(Tuplestorestate *rows, const HubspotReplicated *replicated, const LinkTable *table,
	TupleTableSlot *slot)
{
	static MemoryContext context = NULL;
	int			natts = replicated->tupdesc->natts;
	MemoryContext old;
	Datum	   *values;
	bool	   *isnull;

	/*
	 * earlier rows have the form that the table had when the first of them
	 * came
	 */
	for (int i = 0; i < table->ncolumns; i++)
	{
		const LinkColumn *column = &table->columns[i];

		if (column->root > natts ||
			TupleDescAttr(replicated->tupdesc, column->root - 1)->atttypid != column->type)
			hubspot_replicated_refuse(replicated);
	}
	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "hubspot_assoc replicated row",
										ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	values = palloc0(sizeof(Datum) * natts);
	isnull = palloc(sizeof(bool) * natts);
	memset(isnull, true, sizeof(bool) * natts);
	for (int i = 0; i < table->ncolumns; i++)
	{
		const LinkColumn *column = &table->columns[i];
		int			n = column->root - 1;

		values[n] = slot_getattr(slot, column->own, &isnull[n]);
		if (!isnull[n] && column->length == -1)
			values[n] = PointerGetDatum(detoast_external_attr((struct varlena *)
															  DatumGetPointer(values[n])));
	}
	tuplestore_putvalues(rows, replicated->tupdesc, values, isnull);
	MemoryContextSwitchTo(old);
	MemoryContextReset(context);
}

/*
 * Enqueue what was kept of a table, before the transaction commits.  If it was dropped
 * meanwhile, or is no longer in sync, nothing is to be done.
 */
static void
enqueue_replicated(HubspotReplicated *rows)
{
	bool		has_new = has_rows(rows->new_rows);
	bool		has_old = has_rows(rows->old_rows);
	Relation	relation = has_new || has_old ? try_table_open(rows->table, AccessShareLock) : NULL;
	TriggerData trigdata = {.type = T_TriggerData};

	if (relation == NULL)
		return;
	if (is_in_sync(rows->table))
	{
		/* as a rule, nobody alters a table in such a transaction */
		if (!hubspot_replicated_same_form(rows->tupdesc, RelationGetDescr(relation)))
			hubspot_replicated_refuse(rows);
		trigdata.tg_relation = relation;
		trigdata.tg_event = !has_old ? TRIGGER_EVENT_INSERT :
			!has_new ? TRIGGER_EVENT_DELETE : TRIGGER_EVENT_UPDATE;
		trigdata.tg_newtable = has_new ? rows->new_rows : NULL;
		trigdata.tg_oldtable = has_old ? rows->old_rows : NULL;
		depth++;
		PG_TRY();
		{
			enqueue_net(find_table(rows->table), &trigdata);
		}
		PG_FINALLY();
		{
			depth--;
		}
		PG_END_TRY();
		forget_outdated();
	}
	table_close(relation, NoLock);
}

/* Is a table in sync?  What was read of it and is valid tells as well, and sooner. */
static bool
is_in_sync(Oid table)
{
	return table_entry(table)->valid ||
		hubspot_syncs(hubspot_outbox_schema(false), table) != NIL;
}

/*
 * Enqueue rows as those of one statement.  If statement triggers have enqueued something for
 * the table in this transaction, the rows came before or after that, or both: so only what the
 * table shows is enqueued.
 */
static void
enqueue_net(LinkTable *table, TriggerData *trigdata)
{
	bool		check = FullTransactionIdEquals(table->transaction,
												GetTopFullTransactionIdIfAny());
	QueryEnvironment *environment = NULL;

	for (int i = 0; i < table->nsyncs; i++)
	{
		if (!table->syncs[i]->replicated ||
			!hubspot_change_matters(table->changes[i], trigdata))
			continue;
		if (environment == NULL)
			environment = hubspot_change_environment(trigdata);
		hubspot_change_enqueue(table->changes[i], trigdata, environment, check);
		hubspot_change_count_skipped(table->changes[i], trigdata);
	}
}
