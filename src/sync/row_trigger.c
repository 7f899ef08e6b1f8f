/*-------------------------------------------------------------------------
 *
 * row_trigger.c
 *	  The trigger function of tables that are kept in sync.
 *
 * What is to be done for a table is read once in each backend, and again when
 * the table has changed: a change of hs_assoc_sync_config sends the same
 * invalidation as a change of the table.
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

#include "access/transam.h"
#include "access/xact.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "sync/change.h"

/* What is to be done for a table with our triggers. */
typedef struct LinkTable
{
	Oid			table;			/* hash key */
	Oid			root;			/* the table whose partition it is, or itself */
	bool		valid;
	MemoryContext context;		/* of what follows; or NULL */
	int			nsyncs;
	HubspotChange **changes;	/* one of each sync */

	/* of a root: the command that has changed it last, or a later one */
	FullTransactionId transaction;
	CommandId	command;
} LinkTable;

static HTAB *tables = NULL;
static uint64 messages = 0;		/* invalidations so far */
static int	depth = 0;			/* of triggers that are being run */

PG_FUNCTION_INFO_V1(hs_assoc_sync_rows);

static TriggerData *trigger_data(FunctionCallInfo fcinfo);
static void tell_context(void *table);
static bool has_name(const char *name, const char *expected);
static bool has_rows(Tuplestorestate *rows);
static LinkTable *find_table(Oid relid);
static LinkTable *table_entry(Oid relid);
static void create_tables(void);
static void forget_tables(Datum argument, Oid relid);
static void read_table(LinkTable *table);
static void refuse_table(Oid relid, Oid root);
static void enqueue_rows(const LinkTable *table, TriggerData *trigdata);
static void enqueue_changes(const LinkTable *table, TriggerData *trigdata);
static bool changed_since(const LinkTable *table);

/*
 * hs_assoc_sync_rows(): the trigger function
 *
 * Enqueues what a statement has changed in the table, or in a partition that
 * the statement names, and before a TRUNCATE the removal of all rows.
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

	if (TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event) ||
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

		if (!TRIGGER_FIRED_FOR_STATEMENT(event))
			ours = false;
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
	int			nsyncs = 0;
	ListCell   *lc;

	if (list == NIL)
		refuse_table(table->table, root);
	foreach(lc, list)
	{
		hubspot_sync_check_columns(lfirst(lc));
		changes[nsyncs++] = hubspot_change_create(lfirst(lc), table->table);
	}
	MemoryContextSwitchTo(old);
	MemoryContextSetParent(context, TopMemoryContext);

	/* a trigger that is running may be using these */
	if (table->context && depth == 0)
		MemoryContextDelete(table->context);
	table->context = context;
	table->root = root;
	table->nsyncs = nsyncs;
	table->changes = changes;

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
			 errhint("Drop them with SELECT %s.hs_assoc_disable_sync('%s'), or keep it in sync with hs_assoc_enable_sync.",
					 hubspot_outbox_schema(false)->name, hubspot_link_name(root))));
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
