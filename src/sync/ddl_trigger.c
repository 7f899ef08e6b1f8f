/*-------------------------------------------------------------------------
 *
 * ddl_trigger.c
 *	  The event triggers that follow DDL on tables that are kept in sync.
 *
 * They run for everybody's DDL, for every command that might be about one of our tables; the
 * parse tree shows that most are not.  It does not tell which table a command was about: with
 * IF EXISTS it may have done nothing, and a name may stand for another table by now.
 * Therefore we look at what the command has done, in PostgreSQL's record of it and in the
 * catalogs.  No lock is taken on any other table: the role that runs the command may have no
 * right to that.
 *
 * A column's new name is written into hs_assoc_sync_config.  Partitions that
 * come and go are followed in ddl_partition.c, ddl_drop.c looks at what has
 * been dropped, and ddl_retype.c at what may have changed the values of all
 * rows.
 *
 * ALTER EXTENSION UPDATE and SET SCHEMA change the tables that senders use, and
 * lock them in another order.  So the extension is locked first, as DROP EXTENSION
 * does; a sender's short transactions have that lock, too, so the two cannot
 * deadlock.
 *
 * IDENTIFICATION
 *	  src/sync/ddl_trigger.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/event_trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "schema/extension_schema.h"
#include "schema/values.h"
#include "sync/ddl_drop.h"
#include "sync/ddl_partition.h"
#include "sync/ddl_retype.h"
#include "sync/link_table.h"
#include "sync/removal.h"

PG_FUNCTION_INFO_V1(hs_assoc_sync_ddl);

static void before_command(const HubspotSchema *schema, Node *command);
static bool changes_extension(Node *command);
static void after_command(const HubspotSchema *schema, Node *command);
static List *touched_objects(Oid catalog);
static void rename_column(const HubspotSchema *schema, Oid relid,
						  RenameStmt *rename);
static bool is_of_type(Oid table, Oid composite);
static void alter_table(const HubspotSchema *schema, Oid relid,
						AlterTableStmt *alter);
static void refuse_unlogged(const HubspotSchema *schema, Oid relid);
static void check_columns(const HubspotSchema *schema, Oid relid,
						  const AlterTableCmd *command);
static void check_keys(const HubspotSchema *schema, Oid relid);
static void check_enums(const HubspotSchema *schema);

/*
 * hs_assoc_sync_ddl(): the function of the event triggers, on ddl_command_start
 * (of DROP TABLE and ALTER EXTENSION), ddl_command_end and sql_drop
 */
Datum
hs_assoc_sync_ddl(PG_FUNCTION_ARGS)
{
	EventTriggerData *trigdata = (EventTriggerData *) fcinfo->context;
	const HubspotSchema *schema;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by an event trigger",
						"hs_assoc_sync_ddl")));

	/* NULL if the command was about the extension itself */
	schema = hubspot_outbox_schema(true);
	if (schema && strcmp(trigdata->event, "ddl_command_start") == 0)
		before_command(schema, trigdata->parsetree);
	else if (schema && strcmp(trigdata->event, "sql_drop") == 0)
		hubspot_after_drop(schema, trigdata->parsetree);
	else if (schema)
		after_command(schema, trigdata->parsetree);
	PG_RETURN_NULL();
}

static void
before_command(const HubspotSchema *schema, Node *command)
{
	if (IsA(command, DropStmt))
		hubspot_before_drop(schema, command);
	else if (changes_extension(command) && hubspot_owns_extension(schema->extension, GetUserId()))
		LockDatabaseObject(ExtensionRelationId, schema->extension, 0, AccessExclusiveLock);
}

/* Is it ALTER EXTENSION UPDATE or SET SCHEMA, for ours? */
static bool
changes_extension(Node *command)
{
	const char *name = NULL;

	if (IsA(command, AlterExtensionStmt))
		name = castNode(AlterExtensionStmt, command)->extname;
	else if (IsA(command, AlterObjectSchemaStmt) &&
			 castNode(AlterObjectSchemaStmt, command)->objectType == OBJECT_EXTENSION)
		name = strVal(castNode(AlterObjectSchemaStmt, command)->object);
	return name && strcmp(name, "hubspot_assoc") == 0;
}

static void
after_command(const HubspotSchema *schema, Node *command)
{
	ListCell   *lc;

	hubspot_keep_schema(schema, command);
	if (hubspot_syncs(schema, InvalidOid) == NIL)
		return;
	if (IsA(command, AlterEnumStmt) && castNode(AlterEnumStmt, command)->oldVal)
		check_enums(schema);
	foreach(lc, touched_objects(RelationRelationId))
	{
		switch (nodeTag(command))
		{
			case T_RenameStmt:
				rename_column(schema, lfirst_oid(lc), castNode(RenameStmt, command));
				break;
			case T_AlterTableStmt:
				alter_table(schema, lfirst_oid(lc), castNode(AlterTableStmt, command));
				break;
			case T_CreateStmt:
			case T_CreateForeignTableStmt:
			case T_CreateSchemaStmt:
				hubspot_table_joined(schema, lfirst_oid(lc));
				break;
			default:
				break;
		}
	}
}

/* The objects of a catalog that the command has made or changed. */
static List *
touched_objects(Oid catalog)
{
	enum
	{
		TOUCHED_OBJID
	};
	static const char sql[] =
	"SELECT DISTINCT objid FROM pg_catalog.pg_event_trigger_ddl_commands() "
	"WHERE classid OPERATOR(pg_catalog.=) $1";
	Oid			type = OIDOID;
	Datum		value = ObjectIdGetDatum(catalog);
	MemoryContext context = CurrentMemoryContext;
	List	   *objects = NIL;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	if (SPI_execute_with_args(sql, 1, &type, &value, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read what the command has done");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		HubspotRow	row;

		hubspot_take_apart(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, &row);
		objects = lappend_oid(objects, hubspot_get_oid(&row, TOUCHED_OBJID));
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return objects;
}

/*
 * A column was renamed, perhaps through the type that the table is of.  The columns of
 * partitions follow those of their table.
 */
static void
rename_column(const HubspotSchema *schema, Oid relid, RenameStmt *rename)
{
	ListCell   *lc;

	if (rename->renameType != OBJECT_COLUMN && rename->renameType != OBJECT_ATTRIBUTE)
		return;
	foreach(lc, hubspot_syncs(schema, InvalidOid))
	{
		Oid			table = ((HubspotSync *) lfirst(lc))->link_table;

		if (table == relid || is_of_type(table, relid))
			hubspot_sync_rename(schema, table, rename->subname, rename->newname);
	}
}

/* Is it a table OF that composite type? */
static bool
is_of_type(Oid table, Oid composite)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	Oid			type = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		type = ((Form_pg_class) GETSTRUCT(tuple))->reloftype;
		ReleaseSysCache(tuple);
	}
	return OidIsValid(type) && get_typ_typrelid(type) == composite;
}

static void
alter_table(const HubspotSchema *schema, Oid relid, AlterTableStmt *alter)
{
	ListCell   *lc;

	foreach(lc, alter->cmds)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, lc);

		switch (command->subtype)
		{
			case AT_AttachPartition:
				hubspot_partition_attached(schema, relid);
				break;
			case AT_DetachPartition:
			case AT_DetachPartitionFinalize:
				hubspot_partition_detached(schema, relid);
				break;
			case AT_AddInherit:
				hubspot_table_joined(schema, relid);
				break;
			case AT_SetUnLogged:
				refuse_unlogged(schema, relid);
				break;
			case AT_AlterColumnType:
				check_columns(schema, relid, command);
				break;
			case AT_AddConstraint:
				if (castNode(Constraint, command->def)->deferrable)
					check_keys(schema, relid);
				break;
			case AT_EnableTrig:
			case AT_EnableAlwaysTrig:
			case AT_EnableTrigAll:
			case AT_EnableTrigUser:
				hubspot_removal_doubt();
				break;
			default:
				if ((int) command->subtype == HUBSPOT_AT_SET_EXPRESSION)
					check_columns(schema, relid, command);
				break;
		}
	}
}

/*
 * A table has become unlogged: after a crash, its rows would be gone without a
 * trace.
 */
static void
refuse_unlogged(const HubspotSchema *schema, Oid relid)
{
	if (hubspot_syncs(schema, hubspot_link_root(relid)) != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("table \"%s\" is kept in sync and cannot become unlogged",
						get_rel_name(relid))));
}

/* ERROR if a column of a sync now has a type or an expression that it cannot have. */
static void
check_columns(const HubspotSchema *schema, Oid relid,
			  const AlterTableCmd *command)
{
	ListCell   *lc;

	foreach(lc, hubspot_syncs(schema, InvalidOid))
	{
		const HubspotSync *sync = lfirst(lc);

		if (sync->link_table != relid && !is_of_type(sync->link_table, relid))
			continue;
		if (command->subtype == AT_AlterColumnType)
			hubspot_after_retype(schema, sync, command);
		else
			hubspot_after_expression(schema, sync, command);
	}
}

/*
 * An index has become that of a constraint, which may be deferrable: does each sync still have
 * one that it can use?
 */
static void
check_keys(const HubspotSchema *schema, Oid relid)
{
	ListCell   *lc;

	foreach(lc, hubspot_syncs(schema, relid))
	{
		if (!OidIsValid(hubspot_sync_key(lfirst(lc))))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the last unique index of table \"%s\" on columns that are kept in sync cannot become deferrable",
							get_rel_name(relid)),
					 errhint("Create another one first, or end the sync with SELECT %s.hs_assoc_disable_sync(%s).",
							 schema->name, quote_literal_cstr(hubspot_link_name(relid)))));
	}
}

/* A value of an enum was renamed. */
static void
check_enums(const HubspotSchema *schema)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, touched_objects(TypeRelationId))
	{
		foreach(lc2, hubspot_syncs(schema, InvalidOid))
			hubspot_after_enum_rename(schema, lfirst(lc2), lfirst_oid(lc));
	}
}
