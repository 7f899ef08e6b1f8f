/*-------------------------------------------------------------------------
 *
 * link_trigger.c
 *	  The triggers of link tables.
 *
 * They are statement triggers, which fire only for the table that a statement
 * names; therefore each partition has them, too.
 *
 * What a subscription applies fires no statement trigger but that of TRUNCATE.  For a sync
 * that sends it there is a row trigger as well, which fires for nothing else; partitions have
 * it from their table.
 *
 * They do not depend on the columns that a sync uses: PostgreSQL would then
 * refuse to change the type of these, and could not tell one sync of a table
 * from another.  ddl_trigger.c makes sure that no column, index or trigger
 * goes away unnoticed.
 *
 * Any role that may make a trigger for the table can make one with our
 * function.  Only triggers that are just like ours count as ours, whatever
 * their names.
 *
 * IDENTIFICATION
 *	  src/sync/link_trigger.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "schema/rights.h"
#include "sync/link_trigger.h"

/* Our triggers */
typedef struct SyncTrigger
{
	const char *name;
	bool		for_row;		/* or else for a statement */
	int16		timing;			/* as in pg_trigger */
	int16		event;			/* likewise */
	const char *old_rows;		/* transition tables, or NULL */
	const char *new_rows;
} SyncTrigger;

static const SyncTrigger triggers[] = {
	{"hs_assoc_sync_insert", false, TRIGGER_TYPE_AFTER, TRIGGER_TYPE_INSERT,
	NULL, HUBSPOT_NEW_ROWS},
	{"hs_assoc_sync_update", false, TRIGGER_TYPE_AFTER, TRIGGER_TYPE_UPDATE,
	HUBSPOT_OLD_ROWS, HUBSPOT_NEW_ROWS},
	{"hs_assoc_sync_delete", false, TRIGGER_TYPE_AFTER, TRIGGER_TYPE_DELETE,
	HUBSPOT_OLD_ROWS, NULL},
	{"hs_assoc_sync_truncate", false, TRIGGER_TYPE_BEFORE, TRIGGER_TYPE_TRUNCATE,
	NULL, NULL},
	{"hs_assoc_sync_replicated", true, TRIGGER_TYPE_AFTER,
		TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE,
	NULL, NULL}
};

/* Those that every table in sync has: all but the last. */
#define STATEMENT_TRIGGERS	((1 << (lengthof(triggers) - 1)) - 1)

/* A trigger that calls our function, or has one of our names. */
typedef struct FoundTrigger
{
	Oid			oid;
	const char *name;
	bool		calls_ours;
	bool		enabled;
	bool		replicated;		/* fires where changes are applied */
	bool		always;			/* whatever session_replication_role is */
	bool		fires;			/* in this session */
	int			shape;			/* which of ours it is like; -1: none */
} FoundTrigger;

static List *find_triggers(const HubspotSchema *schema, Oid link_table);
static bool has_our_name(const FormData_pg_trigger * trigger);
static int	shape_of(HeapTuple tuple, TupleDesc tupdesc);
static bool same_name(Datum value, bool isnull, const char *expected);
static void refuse_trigger(Oid link_table, const FoundTrigger *trigger);
static void drop_trigger(const FoundTrigger *trigger);
static void create_trigger(const SyncTrigger *trigger, Oid link_table,
						   Oid function, bool replicated);
static TriggerTransition *transition(const char *name, bool is_new);

/* Does the table have all of our triggers, enabled or not?  It need not be locked. */
bool
hubspot_link_has_triggers(const HubspotSchema *schema, Oid link_table)
{
	int			missing = STATEMENT_TRIGGERS;
	ListCell   *lc;

	foreach(lc, find_triggers(schema, link_table))
	{
		const FoundTrigger *found = lfirst(lc);

		if (found->calls_ours && found->shape >= 0)
			missing &= ~(1 << found->shape);
	}
	return missing == 0;
}

/*
 * Does the table have all of our triggers, and do they fire?  *always: whatever
 * session_replication_role is.  It need not be locked.
 */
bool
hubspot_link_is_followed(const HubspotSchema *schema, Oid link_table, bool *always)
{
	int			missing = STATEMENT_TRIGGERS;
	int			sometimes = missing;
	ListCell   *lc;

	foreach(lc, find_triggers(schema, link_table))
	{
		const FoundTrigger *found = lfirst(lc);

		if (!found->calls_ours || found->shape < 0 || !found->enabled)
			continue;
		missing &= ~(1 << found->shape);
		if (found->always)
			sometimes &= ~(1 << found->shape);
	}
	*always = (sometimes == 0);
	return missing == 0;
}

/* Does the table have our triggers that fire where a subscription applies changes, and do they? */
bool
hubspot_link_is_replicated(const HubspotSchema *schema, Oid link_table)
{
	bool		rows = false;
	bool		truncate = false;
	ListCell   *lc;

	foreach(lc, find_triggers(schema, link_table))
	{
		const FoundTrigger *found = lfirst(lc);

		if (!found->calls_ours || found->shape < 0 || !found->replicated)
			continue;
		rows |= triggers[found->shape].for_row;
		truncate |= triggers[found->shape].event == TRIGGER_TYPE_TRUNCATE;
	}
	return rows && truncate;
}

/* Would our trigger fire if the table were truncated by this session? */
bool
hubspot_link_heeds_truncate(const HubspotSchema *schema, Oid link_table)
{
	ListCell   *lc;

	foreach(lc, find_triggers(schema, link_table))
	{
		const FoundTrigger *found = lfirst(lc);

		if (found->calls_ours && found->fires && found->shape >= 0 &&
			triggers[found->shape].event == TRIGGER_TYPE_TRUNCATE)
			return true;
	}
	return false;
}

/*
 * Create those of our triggers that the table lacks; replicated: also those for what
 * a subscription applies.  ERROR if it has other triggers that call our function, or
 * one that is disabled.
 */
void
hubspot_link_add_triggers(const HubspotSchema *schema, Oid link_table, bool replicated)
{
	Oid			function = hubspot_link_trigger_function(schema);
	int			missing = STATEMENT_TRIGGERS;
	HubspotFormerUser former;
	ListCell   *lc;

	if (replicated && !get_rel_relispartition(link_table))
		missing = (1 << lengthof(triggers)) - 1;
	foreach(lc, find_triggers(schema, link_table))
	{
		const FoundTrigger *found = lfirst(lc);

		if (!found->calls_ours || found->shape < 0 || !found->enabled)
			refuse_trigger(link_table, found);
		if (replicated && triggers[found->shape].event == TRIGGER_TYPE_TRUNCATE && !found->replicated)
			drop_trigger(found);	/* and make it as it has to be */
		else
			missing &= ~(1 << found->shape);
	}
	former = hubspot_act_as(hubspot_link_owner(link_table));
	for (size_t i = 0; i < lengthof(triggers); i++)
	{
		if (missing & (1 << i))
			create_trigger(&triggers[i], link_table, function, replicated);
	}
	hubspot_act_as_before(former);
}

/*
 * Drop all triggers that call our function; returns how many.  No event trigger
 * is told, neither ours nor others.
 */
int
hubspot_link_drop_triggers(const HubspotSchema *schema, Oid link_table)
{
	ListCell   *lc;
	int			dropped = 0;

	if (find_triggers(schema, link_table) == NIL)
		return 0;
	LockRelationOid(link_table, AccessExclusiveLock);
	foreach(lc, find_triggers(schema, link_table))
	{
		const FoundTrigger *found = lfirst(lc);

		if (found->calls_ours)
		{
			drop_trigger(found);
			dropped++;
		}
	}
	return dropped;
}

static void
drop_trigger(const FoundTrigger *trigger)
{
	ObjectAddress address;

	ObjectAddressSet(address, TriggerRelationId, trigger->oid);
	performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	CommandCounterIncrement();
}

/*
 * The triggers of a table that call our function or have one of our names: a
 * list of FoundTrigger.
 */
static List *
find_triggers(const HubspotSchema *schema, Oid link_table)
{
	Oid			function = hubspot_link_trigger_function(schema);
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	List	   *list = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(link_table));
	scan = systable_beginscan(catalog, TriggerRelidNameIndexId, true, NULL, 1,
							  &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_trigger trigger = (Form_pg_trigger) GETSTRUCT(tuple);
		FoundTrigger *found;

		if (trigger->tgfoid != function && !has_our_name(trigger))
			continue;
		found = palloc(sizeof(FoundTrigger));
		found->oid = trigger->oid;
		found->name = pstrdup(NameStr(trigger->tgname));
		found->calls_ours = (trigger->tgfoid == function);
		found->always = (trigger->tgenabled == TRIGGER_FIRES_ALWAYS);
		found->replicated = found->always || trigger->tgenabled == TRIGGER_FIRES_ON_REPLICA;
		found->fires = trigger->tgenabled == TRIGGER_FIRES_ALWAYS ||
			trigger->tgenabled == (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA ?
								   TRIGGER_FIRES_ON_REPLICA : TRIGGER_FIRES_ON_ORIGIN);
		found->shape = shape_of(tuple, RelationGetDescr(catalog));
		found->enabled = found->always ||
			trigger->tgenabled == (found->shape >= 0 && triggers[found->shape].for_row ?
								   TRIGGER_FIRES_ON_REPLICA : TRIGGER_FIRES_ON_ORIGIN);
		list = lappend(list, found);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return list;
}

/* The tables that have triggers with our function, partitions as well. */
List *
hubspot_link_triggered(const HubspotSchema *schema)
{
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	List	   *tables = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_trigger_tgfoid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(hubspot_link_trigger_function(schema)));
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		tables = lappend_oid(tables, ((Form_pg_trigger) GETSTRUCT(tuple))->tgrelid);
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	list_sort(tables, list_oid_cmp);
	list_deduplicate_oid(tables);
	return tables;
}

static bool
has_our_name(const FormData_pg_trigger * trigger)
{
	for (size_t i = 0; i < lengthof(triggers); i++)
	{
		if (strcmp(NameStr(trigger->tgname), triggers[i].name) == 0)
			return true;
	}
	return false;
}

/*
 * Which of ours a trigger is like in all but its name; -1: none.
 */
static int
shape_of(HeapTuple tuple, TupleDesc tupdesc)
{
	Form_pg_trigger trigger = (Form_pg_trigger) GETSTRUCT(tuple);
	bool		old_null;
	bool		new_null;
	Datum		old_rows = heap_getattr(tuple, Anum_pg_trigger_tgoldtable, tupdesc,
										&old_null);
	Datum		new_rows = heap_getattr(tuple, Anum_pg_trigger_tgnewtable, tupdesc,
										&new_null);

	/* neither WHEN nor UPDATE OF columns */
	if (!heap_attisnull(tuple, Anum_pg_trigger_tgqual, tupdesc) ||
		trigger->tgattr.dim1 > 0)
		return -1;
	for (size_t i = 0; i < lengthof(triggers); i++)
	{
		if (trigger->tgtype == (triggers[i].timing | triggers[i].event |
								(triggers[i].for_row ? TRIGGER_TYPE_ROW : 0)) &&
			same_name(old_rows, old_null, triggers[i].old_rows) &&
			same_name(new_rows, new_null, triggers[i].new_rows))
			return i;
	}
	return -1;
}

static bool
same_name(Datum value, bool isnull, const char *expected)
{
	if (isnull || expected == NULL)
		return isnull && expected == NULL;
	return strcmp(NameStr(*DatumGetName(value)), expected) == 0;
}

static void
refuse_trigger(Oid link_table, const FoundTrigger *trigger)
{
	bool		disabled = trigger->calls_ours && trigger->shape >= 0;
	const char *table = hubspot_link_name(link_table);
	const char *name = quote_identifier(trigger->name);

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 disabled ?
			 errmsg("trigger \"%s\" of table \"%s\" is disabled",
					trigger->name, get_rel_name(link_table)) :
			 errmsg("trigger \"%s\" of table \"%s\" differs from what hs_assoc_enable_sync creates",
					trigger->name, get_rel_name(link_table)),
			 disabled ?
			 errhint("Enable it with ALTER TABLE %s ENABLE %sTRIGGER %s.", table,
					 triggers[trigger->shape].for_row ? "REPLICA " : "", name) :
			 errhint("Drop it with DROP TRIGGER %s ON %s.", name, table)));
}

/*
 * Create a trigger as the table's owner, who may do so but may lack USAGE on
 * our schema; so this is not done by SQL.
 */
static void
create_trigger(const SyncTrigger *trigger, Oid link_table, Oid function, bool replicated)
{
	CreateTrigStmt *stmt = makeNode(CreateTrigStmt);
	char		fires_when = TRIGGER_FIRES_ON_ORIGIN;

	if (trigger->for_row)
		fires_when = TRIGGER_FIRES_ON_REPLICA;
	else if (replicated && trigger->event == TRIGGER_TYPE_TRUNCATE)
		fires_when = TRIGGER_FIRES_ALWAYS;

	stmt->trigname = pstrdup(trigger->name);
	stmt->funcname = list_make1(makeString(get_func_name(function)));	/* for messages */
	stmt->row = trigger->for_row;
	stmt->timing = trigger->timing;
	stmt->events = trigger->event;
	if (trigger->old_rows)
		stmt->transitionRels = lappend(stmt->transitionRels,
									   transition(trigger->old_rows, false));
	if (trigger->new_rows)
		stmt->transitionRels = lappend(stmt->transitionRels,
									   transition(trigger->new_rows, true));
	CreateTriggerFiringOn(stmt, NULL, link_table, InvalidOid, InvalidOid, InvalidOid,
						  function, InvalidOid, NULL, false, false, fires_when);
	CommandCounterIncrement();
}

static TriggerTransition *
transition(const char *name, bool is_new)
{
	TriggerTransition *node = makeNode(TriggerTransition);

	node->name = pstrdup(name);
	node->isNew = is_new;
	node->isTable = true;
	return node;
}

/* The function that our triggers call. */
Oid
hubspot_link_trigger_function(const HubspotSchema *schema)
{
	return hubspot_own_function(schema, "hs_assoc_sync_rows");
}
