/*-------------------------------------------------------------------------
 *
 * ddl_drop.c
 *	  What DDL has dropped of tables that are kept in sync.
 *
 * A column or the last suitable index of a sync cannot be dropped by itself,
 * as if the sync depended on it.  If a column goes with something else
 * (CASCADE), or the table or one of its triggers goes, the sync ends.
 * ddl_partition.c deals with partitions.
 *
 * A table may be built anew under another name, and then take the place of the
 * one that is in sync, which is renamed and dropped.  A hint then says how to
 * go on.
 *
 * hs_assoc_sync_config knows columns by their names, which outlive a dump,
 * unlike their numbers; renames are written into it.  So a column belongs to a
 * sync if it had that name when it was dropped.  Whether the table has a
 * column of that name afterwards says nothing: the same command may have added
 * another one.
 *
 * Only what the command has dropped is looked at.  In a database that is being
 * restored, rows of hs_assoc_sync_config are there before triggers and indexes
 * are, and must not be taken for leftovers.
 *
 * IDENTIFICATION
 *	  src/sync/ddl_drop.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "schema/values.h"
#include "sync/ddl_drop.h"
#include "sync/ddl_partition.h"
#include "sync/link_trigger.h"

/* Something that a command has dropped. */
typedef struct DroppedObject
{
	Oid			classid;
	Oid			objid;
	int32		objsubid;
	bool		is_index;
	const char *schema;			/* of a relation */
	const char *name;			/* of a relation */
	const char *column;			/* of a column */
} DroppedObject;

static DroppedObject *dropped_objects(int *nobjects);
static void trigger_dropped(const HubspotSchema *schema, Oid trigger);
static void column_dropped(const HubspotSchema *schema, Oid relid,
						   const char *column, Node *command);
static void index_dropped(const HubspotSchema *schema, Oid index,
						  Node *command);
static void table_dropped(const HubspotSchema *schema,
						  const DroppedObject *table);
static const char *successor(const HubspotSchema *schema,
							 const DroppedObject *table, const List *syncs);
static char *calls_to_go_on(const HubspotSchema *schema, List *syncs,
							const char *link_table);
static int	compare_ids(const ListCell *a, const ListCell *b);
static void append_argument(StringInfo call, const char *name, const char *value);
static void append_interval(StringInfo call, const char *name, const Interval *value);
static HeapTuple dropped_tuple(Oid catalog, Oid index, AttrNumber column,
							   Oid oid);
static bool has_all_columns(const HubspotSync *sync);
static bool drops_column(Node *command, const char *column);
static void end_syncs(const HubspotSchema *schema, Oid link_table,
					  const HubspotSync *sync);

/*
 * Something has been dropped: see whether it was ours, or something that a
 * sync needs.
 */
void
hubspot_after_drop(const HubspotSchema *schema, Node *command)
{
	DroppedObject *objects;
	int			nobjects;

	if (hubspot_syncs(schema, InvalidOid) == NIL)
		return;
	objects = dropped_objects(&nobjects);
	/* columns come first, since a sync that ends needs no index */
	for (int i = 0; i < nobjects; i++)
	{
		if (objects[i].column)
			column_dropped(schema, objects[i].objid, objects[i].column, command);
	}
	for (int i = 0; i < nobjects; i++)
	{
		const DroppedObject *object = &objects[i];

		if (object->classid == TriggerRelationId)
			trigger_dropped(schema, object->objid);
		else if (object->objsubid != 0)
			continue;
		else if (object->is_index)
			index_dropped(schema, object->objid, command);
		else
		{
			table_dropped(schema, object);
			hubspot_partition_dropped(schema, object->objid, object->name);
		}
	}
}

/* The relations, columns and triggers that the command has dropped. */
static DroppedObject *
dropped_objects(int *nobjects)
{
	enum
	{
		DROPPED_CLASSID,
		DROPPED_OBJID,
		DROPPED_OBJSUBID,
		DROPPED_IS_INDEX,
		DROPPED_SCHEMA,
		DROPPED_NAME,
		DROPPED_COLUMN
	};
	static const char sql[] =
	"SELECT classid, objid, objsubid, object_type OPERATOR(pg_catalog.=) 'index',"
	" schema_name, object_name, CASE WHEN classid OPERATOR(pg_catalog.=) $1"
	" AND objsubid OPERATOR(pg_catalog.<>) 0 THEN address_names[3] END"
	" FROM pg_catalog.pg_event_trigger_dropped_objects() "
	"WHERE classid OPERATOR(pg_catalog.=) $1 OR classid OPERATOR(pg_catalog.=) $2";
	Oid			types[] = {OIDOID, OIDOID};
	Datum		values[] = {ObjectIdGetDatum(RelationRelationId),
	ObjectIdGetDatum(TriggerRelationId)};
	MemoryContext context = CurrentMemoryContext;
	MemoryContext old;
	DroppedObject *objects;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	if (SPI_execute_with_args(sql, lengthof(types), types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the dropped objects");
	*nobjects = SPI_processed;
	old = MemoryContextSwitchTo(context);
	objects = palloc(sizeof(DroppedObject) * (*nobjects + 1));
	for (int i = 0; i < *nobjects; i++)
	{
		HubspotRow	row;

		hubspot_take_apart(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, &row);
		objects[i].classid = hubspot_get_oid(&row, DROPPED_CLASSID);
		objects[i].objid = hubspot_get_oid(&row, DROPPED_OBJID);
		objects[i].objsubid = hubspot_get_int32(&row, DROPPED_OBJSUBID);
		objects[i].is_index = hubspot_get_bool(&row, DROPPED_IS_INDEX);
		objects[i].schema = hubspot_get_text(&row, DROPPED_SCHEMA);
		objects[i].name = hubspot_get_text(&row, DROPPED_NAME);
		objects[i].column = hubspot_get_text(&row, DROPPED_COLUMN);
	}
	MemoryContextSwitchTo(old);
	SPI_finish();
	return objects;
}

/*
 * A trigger was dropped: if it was ours, the sync of the table ends.  For a
 * partition that is refused, since its owner need not be the table's.
 */
static void
trigger_dropped(const HubspotSchema *schema, Oid trigger)
{
	HeapTuple	tuple = dropped_tuple(TriggerRelationId, TriggerOidIndexId,
									  Anum_pg_trigger_oid, trigger);
	Form_pg_trigger row;
	Oid			root;

	if (!HeapTupleIsValid(tuple))
		return;
	row = (Form_pg_trigger) GETSTRUCT(tuple);
	if (row->tgfoid != hubspot_link_trigger_function(schema) ||
		get_rel_name(row->tgrelid) == NULL ||
		hubspot_link_has_triggers(schema, row->tgrelid))
		return;
	root = hubspot_link_root(row->tgrelid);
	if (root != row->tgrelid && hubspot_syncs(schema, root) != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop trigger \"%s\" of partition \"%s\" because table \"%s\" is kept in sync",
						NameStr(row->tgname), get_rel_name(row->tgrelid),
						get_rel_name(root)),
				 errhint("Detach the partition first, or end the sync of the whole table.")));
	end_syncs(schema, root, NULL);
}

/*
 * A column was dropped: refused for DROP COLUMN without CASCADE, else its sync
 * ends.
 */
static void
column_dropped(const HubspotSchema *schema, Oid relid, const char *column,
			   Node *command)
{
	ListCell   *lc;

	if (get_rel_name(relid) == NULL)
		return;
	foreach(lc, hubspot_syncs(schema, relid))
	{
		if (!hubspot_sync_has_column(lfirst(lc), column))
			continue;
		if (drops_column(command, column))
			ereport(ERROR,
					(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
					 errmsg("cannot drop column \"%s\" of table \"%s\" because it is kept in sync",
							column, get_rel_name(relid)),
					 errhint("Use DROP COLUMN ... CASCADE to end the sync too.")));
		end_syncs(schema, relid, lfirst(lc));
	}
}

/*
 * An index was dropped: refused for the last one that a sync can use.  With
 * CONCURRENTLY, it is too late for that.
 */
static void
index_dropped(const HubspotSchema *schema, Oid index, Node *command)
{
	bool		invalid = IsA(command, DropStmt) &&
	castNode(DropStmt, command)->concurrent;
	HeapTuple	tuple = dropped_tuple(IndexRelationId, IndexRelidIndexId,
									  Anum_pg_index_indexrelid, index);
	Oid			relid;
	ListCell   *lc;

	if (!HeapTupleIsValid(tuple))
		return;
	relid = ((Form_pg_index) GETSTRUCT(tuple))->indrelid;
	if (get_rel_name(relid) == NULL)
		return;
	foreach(lc, hubspot_syncs(schema, relid))
	{
		if (has_all_columns(lfirst(lc)) &&
			!OidIsValid(hubspot_sync_key(lfirst(lc))))
			ereport(ERROR,
					(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
					 errmsg("cannot drop the last unique index of table \"%s\" on columns that are kept in sync",
							get_rel_name(relid)),
					 invalid ? errdetail("The index is left behind, but invalid.") : 0,
					 errhint("Create another one first, or end the sync with SELECT %s.hs_assoc_disable_sync(%s).",
							 schema->name, quote_literal_cstr(hubspot_link_name(relid)))));
	}
}

static void
table_dropped(const HubspotSchema *schema, const DroppedObject *table)
{
	List	   *syncs = hubspot_syncs(schema, table->objid);
	const char *other;
	ListCell   *lc;

	if (syncs == NIL)
		return;
	foreach(lc, syncs)
		hubspot_sync_delete(schema, ((HubspotSync *) lfirst(lc))->id);
	other = successor(schema, table, syncs);
	if (other)
		ereport(WARNING,
				(errmsg("table \"%s\" is no longer kept in sync", table->name),
				 errdetail("Its name was \"%s\" when its sync was enabled. Another table has that name now, and its rows are not sent.",
						   ((HubspotSync *) linitial(syncs))->table_name),
				 errhint("To keep that one in sync: %s",
						 calls_to_go_on(schema, syncs, other))));
	else
		ereport(NOTICE,
				(errmsg("table \"%s\" is no longer kept in sync", table->name),
				 errdetail("HubSpot keeps the associations of its rows, and what was enqueued is still sent.")));
}

/*
 * The name, for SQL, of the table that has taken the place of a dropped one
 * and is not yet in sync; or NULL.
 */
static const char *
successor(const HubspotSchema *schema, const DroppedObject *table,
		  const List *syncs)
{
	const char *name = ((HubspotSync *) linitial(syncs))->table_name;
	Oid			namespace = table->schema ? get_namespace_oid(table->schema, true) : InvalidOid;
	Oid			relid;
	char		relkind;

	if (name == NULL || !OidIsValid(namespace))
		return NULL;
	relid = get_relname_relid(name, namespace);
	relkind = OidIsValid(relid) ? get_rel_relkind(relid) : '\0';
	if ((relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE) ||
		hubspot_syncs(schema, hubspot_link_root(relid)) != NIL)
		return NULL;
	return hubspot_link_name(relid);
}

/* The statements that enable the syncs for another table. */
static char *
calls_to_go_on(const HubspotSchema *schema, List *syncs,
			   const char *link_table)
{
	StringInfoData calls;
	ListCell   *lc;

	initStringInfo(&calls);
	list_sort(syncs, compare_ids);
	foreach(lc, syncs)
	{
		const HubspotSync *sync = lfirst(lc);
		const char *role = GetUserNameFromId(sync->role, true);

		if (role && sync->role != GetUserId())
			appendStringInfo(&calls, "SET ROLE %s; ", quote_identifier(role));
		appendStringInfo(&calls, "SELECT %s.hs_assoc_enable_sync(", schema->name);
		append_argument(&calls, NULL, link_table);
		append_argument(&calls, NULL, sync->from_type);
		append_argument(&calls, NULL, sync->from_column);
		append_argument(&calls, NULL, sync->to_type);
		append_argument(&calls, NULL, sync->to_column);
		if (sync->type_id)
			appendStringInfo(&calls, "type_id => %d, ", sync->type_id);
		append_argument(&calls, "label", sync->label);
		append_argument(&calls, "type_id_column", sync->type_id_column);
		append_argument(&calls, "label_column", sync->label_column);
		append_argument(&calls, "category", sync->category);
		append_interval(&calls, "wait_for_records", sync->wait_for_records);
		if (sync->replicated)
			appendStringInfoString(&calls, "replicated => true, ");
		append_interval(&calls, "verify", sync->verify);
		append_argument(&calls, "on_drift", sync->on_drift);
		append_argument(&calls, "server", sync->server);
		appendStringInfo(&calls, "backfill => true);%s", lnext(syncs, lc) ? " " : "");
	}
	return calls.data;
}

static int
compare_ids(const ListCell *a, const ListCell *b)
{
	int32		one = ((const HubspotSync *) lfirst(a))->id;
	int32		other = ((const HubspotSync *) lfirst(b))->id;

	return one < other ? -1 : one > other;
}

/* Append an argument and a comma, but nothing for a NULL. */
static void
append_argument(StringInfo call, const char *name, const char *value)
{
	if (value)
		appendStringInfo(call, "%s%s%s, ", name ? name : "", name ? " => " : "",
						 quote_literal_cstr(value));
}

static void
append_interval(StringInfo call, const char *name, const Interval *value)
{
	if (value)
		append_argument(call, name,
						DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(value))));
}

/*
 * The row of a catalog about something that has been dropped, palloc'd, or
 * NULL.  It is still there, but no snapshot shows it.
 */
static HeapTuple
dropped_tuple(Oid catalog, Oid index, AttrNumber column, Oid oid)
{
	Relation	relation = table_open(catalog, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(oid));
	scan = systable_beginscan(relation, index, true, SnapshotAny, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		tuple = heap_copytuple(tuple);
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return tuple;
}

static bool
has_all_columns(const HubspotSync *sync)
{
	const char *columns[HUBSPOT_SYNC_COLUMNS];
	int			ncolumns = hubspot_sync_columns(sync, columns);

	for (int i = 0; i < ncolumns; i++)
	{
		if (get_attnum(sync->link_table, columns[i]) == InvalidAttrNumber)
			return false;
	}
	return true;
}

/* Does the command drop a column of that name, and not what depends on it? */
static bool
drops_column(Node *command, const char *column)
{
	ListCell   *lc;

	if (!IsA(command, AlterTableStmt))
		return false;
	foreach(lc, castNode(AlterTableStmt, command)->cmds)
	{
		AlterTableCmd *alter = lfirst_node(AlterTableCmd, lc);

		if (alter->subtype == AT_DropColumn && strcmp(alter->name, column) == 0)
			return alter->behavior == DROP_RESTRICT;
	}
	return false;
}

/*
 * End one sync of a table, or all (NULL).  The last one takes along what is left
 * of the triggers.
 */
static void
end_syncs(const HubspotSchema *schema, Oid link_table, const HubspotSync *sync)
{
	List	   *syncs = sync ? list_make1(unconstify(HubspotSync *, sync)) :
	hubspot_syncs(schema, link_table);
	ListCell   *lc;

	if (syncs == NIL)
		return;
	foreach(lc, syncs)
		hubspot_sync_delete(schema, ((HubspotSync *) lfirst(lc))->id);
	if (sync && hubspot_syncs(schema, link_table) != NIL)
	{
		ereport(NOTICE,
				(errmsg("columns \"%s\" and \"%s\" of table \"%s\" are no longer kept in sync",
						sync->from_column, sync->to_column,
						get_rel_name(link_table))));
		return;
	}
	foreach(lc, hubspot_link_tree(link_table, AccessExclusiveLock))
		hubspot_link_drop_triggers(schema, lfirst_oid(lc));
	ereport(NOTICE,
			(errmsg("table \"%s\" is no longer kept in sync",
					get_rel_name(link_table))));
}
