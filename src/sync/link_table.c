/*-------------------------------------------------------------------------
 *
 * link_table.c
 *	  Which tables can be kept in sync, as link tables.
 *
 * A sync belongs to a table that is not a partition, and to all of its
 * partitions.
 *
 * IDENTIFICATION
 *	  src/sync/link_table.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/closest.h"
#include "base/compat.h"
#include "rows/id_type.h"
#include "schema/extension.h"
#include "sync/link_table.h"

static void check_column(Oid link_table, const char *column, Oid *type);
static char *column_hint(Oid link_table, const char *column);
static bool has_partition_key_of(Relation table, const HubspotSync *sync);
static bool is_key(HeapTuple tuple, const AttrNumber *columns, int ncolumns);
static void refuse_dropped(Oid link_table) pg_attribute_noreturn();
static void check_inheritance(Oid link_table);

/* ERROR unless the table has the columns of the sync, and they are fit for it. */
void
hubspot_sync_check_columns(const HubspotSync *sync)
{
	const char *columns[HUBSPOT_SYNC_COLUMNS];
	int			ncolumns = hubspot_sync_columns(sync, columns);
	Oid			type = InvalidOid;

	for (int i = 0; i < ncolumns; i++)
		check_column(sync->link_table, columns[i], &type);
	if (sync->type_id_column && type != INT2OID && type != INT4OID && type != INT8OID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of table \"%s\" is of type %s, but type_id_column needs an integer",
						sync->type_id_column, get_rel_name(sync->link_table),
						format_type_be(type)),
				 errhint("If the column holds labels, name it in the argument label_column.")));
}

/*
 * ERROR: a table that is kept in sync, or a partition of it, lacks a column.  So does a partition
 * that was being detached CONCURRENTLY while its column was renamed: PostgreSQL renames the one
 * of the whole table alone, or both and then the whole table's back.
 */
void
hubspot_link_column_missing(const HubspotSync *sync, Oid table, const char *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" of table \"%s\", which is kept in sync, does not exist",
					column, get_rel_name(table)),
			 errhint("End the sync with SELECT %s.hs_assoc_disable_sync(%s), and begin it again with backfill when the table and all partitions have its columns.",
					 hubspot_outbox_schema(false)->name,
					 quote_literal_cstr(hubspot_link_name(sync->link_table)))));
}

/*
 * ERROR unless the column is fit for a sync.  *type is its type, or its
 * domain's base.
 */
static void
check_column(Oid link_table, const char *column, Oid *type)
{
	HeapTuple	tuple = SearchSysCacheAttName(link_table, column);
	Form_pg_attribute attribute;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of table \"%s\" does not exist", column,
						get_rel_name(link_table)),
				 errhint("%s", column_hint(link_table, column))));
	attribute = (Form_pg_attribute) GETSTRUCT(tuple);
	if (attribute->attnum < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
				 errmsg("column \"%s\" of table \"%s\" is a system column", column,
						get_rel_name(link_table)),
				 errhint("%s", column_hint(link_table, NULL))));
	if (attribute->attgenerated == HUBSPOT_GENERATED_VIRTUAL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" of table \"%s\" is a virtual generated column",
						column, get_rel_name(link_table)),
				 errdetail("Triggers do not see its value."),
				 errhint("Make it a stored generated column.")));
	if (!hubspot_is_id_type(attribute->atttypid, attribute->atttypmod))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of table \"%s\" is of type %s, which cannot be kept in sync",
						column, get_rel_name(link_table),
						format_type_with_typemod(attribute->atttypid,
												 attribute->atttypmod)),
				 errdetail("The text of its values depends on the session, or cannot be an id."),
				 errhint("It must be an integer, numeric without decimal places, uuid, a string or an enum.")));
	*type = getBaseType(attribute->atttypid);
	ReleaseSysCache(tuple);
}

/* A hint: the column that may have been meant, or all columns. */
static char *
column_hint(Oid link_table, const char *column)
{
	Relation	rel = try_table_open(link_table, AccessShareLock);
	TupleDesc	tupdesc;
	HubspotClosest closest = {.name = column};
	StringInfoData names;

	if (rel == NULL)
		refuse_dropped(link_table);
	tupdesc = RelationGetDescr(rel);
	initStringInfo(&names);
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(tupdesc, i);
		const char *name = pstrdup(NameStr(attribute->attname));

		if (attribute->attisdropped)
			continue;
		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", name);
		if (column)
			hubspot_closest_try(&closest, name);
	}
	table_close(rel, AccessShareLock);
	if (closest.found)
		return psprintf("Perhaps you meant the column \"%s\".", closest.found);
	return psprintf("The columns are: %s.", names.data);
}

/*
 * The index by which the writers of one pair and type wait for each other, so
 * that the order of their rows in the outbox is that of their commits.  It is
 * unique, not deferrable, for all rows, and on nothing but columns of the
 * sync.  InvalidOid: there is none.  The table need not be locked.
 */
Oid
hubspot_sync_key(const HubspotSync *sync)
{
	const char *names[HUBSPOT_SYNC_COLUMNS];
	AttrNumber	columns[HUBSPOT_SYNC_COLUMNS];
	int			ncolumns = hubspot_sync_columns(sync, names);
	Relation	indexes = table_open(IndexRelationId, AccessShareLock);
	Oid			found = InvalidOid;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	for (int i = 0; i < ncolumns; i++)
		columns[i] = get_attnum(sync->link_table, names[i]);
	ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(sync->link_table));
	scan = systable_beginscan(indexes, IndexIndrelidIndexId, true, NULL, 1, &key);
	while (!OidIsValid(found) && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (is_key(tuple, columns, ncolumns))
			found = ((Form_pg_index) GETSTRUCT(tuple))->indexrelid;
	}
	systable_endscan(scan);
	table_close(indexes, AccessShareLock);
	return found;
}

/*
 * The name of the table, or of a partition that is partitioned itself, whose partition key has
 * more than columns of the sync, so that no such index can be made; NULL: there is none.
 */
const char *
hubspot_sync_partitioned_otherwise(const HubspotSync *sync)
{
	const char *found = NULL;
	ListCell   *lc;

	if (get_rel_relkind(sync->link_table) != RELKIND_PARTITIONED_TABLE)
		return NULL;
	foreach(lc, hubspot_link_tree(sync->link_table, AccessShareLock))
	{
		Relation	table = table_open(lfirst_oid(lc), NoLock);

		if (found == NULL && table->rd_rel->relkind == RELKIND_PARTITIONED_TABLE &&
			!has_partition_key_of(table, sync))
			found = pstrdup(RelationGetRelationName(table));
		table_close(table, NoLock);
	}
	return found;
}

/* Is a table partitioned by columns of the sync alone? */
static bool
has_partition_key_of(Relation table, const HubspotSync *sync)
{
	PartitionKey key = RelationGetPartitionKey(table);

	for (int i = 0; i < key->partnatts; i++)
	{
		/* 0 is an expression */
		if (key->partattrs[i] == 0 ||
			!hubspot_sync_has_column(sync, get_attname(RelationGetRelid(table), key->partattrs[i], false)))
			return false;
	}
	return true;
}

static bool
is_key(HeapTuple tuple, const AttrNumber *columns, int ncolumns)
{
	Form_pg_index index = (Form_pg_index) GETSTRUCT(tuple);

	if (!index->indisunique || index->indisexclusion || !index->indimmediate ||
		!index->indisvalid || !index->indislive ||
		!heap_attisnull(tuple, Anum_pg_index_indpred, NULL))
		return false;
	for (int i = 0; i < index->indnkeyatts; i++)
	{
		int			n = 0;

		while (n < ncolumns && columns[n] != index->indkey.values[i])
			n++;
		if (n == ncolumns)		/* another column, or an expression */
			return false;
	}
	return true;
}

/*
 * The topmost table that a partition belongs to, even while it is being
 * detached; any other table is its own root.  It need not be locked.
 */
Oid
hubspot_link_root(Oid link_table)
{
	Oid			parent;

	while (OidIsValid(parent = hubspot_link_parent(link_table)))
		link_table = parent;
	return link_table;
}

/*
 * The table that has it as a partition, even while it is being detached.  InvalidOid: none, or
 * none any more: where the table is not locked, PostgreSQL's function would fail.
 */
Oid
hubspot_link_parent(Oid partition)
{
	List	   *parents = get_rel_relispartition(partition) ? hubspot_link_parents(partition) : NIL;

	return parents == NIL ? InvalidOid : linitial_oid(parents);
}

/* The tables of which it is a partition or a child. */
List *
hubspot_link_parents(Oid relid)
{
	Relation	catalog = table_open(InheritsRelationId, AccessShareLock);
	List	   *parents = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, InheritsRelidSeqnoIndexId, true, NULL, 1,
							  &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		parents = lappend_oid(parents, ((Form_pg_inherits) GETSTRUCT(tuple))->inhparent);
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return parents;
}

/*
 * A table and all of its partitions, which are locked: those that are being detached, too, as
 * they are followed until they have left.
 */
List *
hubspot_link_tree(Oid link_table, LOCKMODE lock)
{
	List	   *tables = list_make1_oid(link_table);

	for (int i = 0; i < list_length(tables); i++)
		tables = list_concat(tables, find_inheritance_children_extended(list_nth_oid(tables, i), false,
																		lock, NULL, NULL));
	return tables;
}

/*
 * The qualified name of a table, for SQL.  ERROR if there is no such table: one that is not
 * locked may have been dropped since its sync was read.
 */
char *
hubspot_link_name(Oid link_table)
{
	const char *schema = get_namespace_name(get_rel_namespace(link_table));
	const char *name = get_rel_name(link_table);

	if (schema == NULL || name == NULL)
		refuse_dropped(link_table);
	return quote_qualified_identifier(schema, name);
}

static void
refuse_dropped(Oid link_table)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("table with OID %u does not exist any more", link_table)));
}

/* ERROR unless it is a table that can be kept in sync. */
void
hubspot_link_check(Oid link_table)
{
	const char *name = get_rel_name(link_table);
	char		relkind = get_rel_relkind(link_table);

	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" cannot be kept in sync", name),
				 errdetail_relkind_not_supported(relkind)));
	hubspot_link_check_persistence(link_table);
	if (getExtensionOfObject(RelationRelationId, link_table) ==
		get_extension_oid("hubspot_assoc", false) ||
		IsCatalogRelationOid(link_table))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("table \"%s\" cannot be kept in sync", name),
				 errdetail("It belongs to the system, or to this extension.")));
	if (get_rel_relispartition(link_table))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("table \"%s\" cannot be kept in sync, because it is a partition",
						name),
				 errhint("Keep the whole partitioned table \"%s\" in sync.",
						 get_rel_name(hubspot_link_root(link_table)))));
	check_inheritance(link_table);
}

/* ERROR unless its rows stay until they are deleted. */
void
hubspot_link_check_persistence(Oid link_table)
{
	char		persistence = get_rel_persistence(link_table);

	if (persistence != RELPERSISTENCE_PERMANENT)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("table \"%s\" cannot be kept in sync",
						get_rel_name(link_table)),
				 persistence == RELPERSISTENCE_TEMP ?
				 errdetail("Temporary tables go away with their session.") :
				 errdetail("Unlogged tables are emptied by a crash.")));
}

/*
 * ERROR if the table takes part in inheritance, by which statements change
 * rows of tables that they do not name, or has foreign tables as partitions,
 * which have no transition tables.
 */
static void
check_inheritance(Oid link_table)
{
	const char *name = get_rel_name(link_table);
	bool		partitioned = get_rel_relkind(link_table) == RELKIND_PARTITIONED_TABLE;
	List	   *tables = find_all_inheritors(link_table, NoLock, NULL);
	ListCell   *lc;

	if (has_superclass(link_table) || (!partitioned && list_length(tables) > 1))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("table \"%s\" cannot be kept in sync, because it takes part in inheritance",
						name),
				 errhint("Use a partitioned table.")));
	foreach(lc, tables)
	{
		hubspot_link_check_persistence(lfirst_oid(lc));
		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_FOREIGN_TABLE)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("table \"%s\" cannot be kept in sync, because its partition \"%s\" is a foreign table",
							name, get_rel_name(lfirst_oid(lc))),
					 errhint("Keep the tables in sync on the servers that have their rows.")));
	}
}

/*
 * The owner of a link table.  A partition's may be another role than the one
 * that changes its parent.  ERROR if there is no such table.
 */
Oid
hubspot_link_owner(Oid link_table)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(link_table));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		refuse_dropped(link_table);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * How many rows a table that is locked has, partitions and all, as the catalogs estimate it, but
 * no more than there is room for: from PostgreSQL 18 on, a table's owner may set the estimate.
 * Partitions that somebody keeps others from reading are left out.
 */
double
hubspot_link_estimate(Oid link_table)
{
	double		nrows = 0;
	ListCell   *lc;

	foreach(lc, find_all_inheritors(link_table, NoLock, NULL))
	{
		Relation	table;

		if (!ConditionalLockRelationOid(lfirst_oid(lc), AccessShareLock))
			continue;
		table = try_relation_open(lfirst_oid(lc), NoLock);
		if (table == NULL)		/* it was dropped since */
			continue;
		/* ANALYZE has the sum for the whole table, too */
		if (RELKIND_HAS_STORAGE(table->rd_rel->relkind))
			nrows += Min(Max(table->rd_rel->reltuples, 0),
						 (double) RelationGetNumberOfBlocks(table) * MaxHeapTuplesPerPage);
		relation_close(table, NoLock);
	}
	return nrows;
}
