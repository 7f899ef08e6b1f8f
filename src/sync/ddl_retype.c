/*-------------------------------------------------------------------------
 *
 * ddl_retype.c
 *	  What DDL has done to the values of columns that are kept in sync.
 *
 * Some commands give all rows of a table other values without firing a
 * trigger.  They are refused for the columns of a sync, unless every value
 * keeps its text, which is what HubSpot knows.
 *
 * IDENTIFICATION
 *	  src/sync/ddl_retype.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_attribute.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "rows/id_type.h"
#include "sync/ddl_retype.h"

static bool keeps_text(Oid link_table, const char *column);
static bool find_former_type(Oid link_table, AttrNumber number, Oid type,
							 int32 typmod, Oid *former_type,
							 int32 *former_typmod);
static void refuse(const HubspotSchema *schema, const HubspotSync *sync,
				   const char *what, const char *column);

/*
 * ALTER COLUMN ... TYPE, of the sync's table or of the composite type that it
 * is of.  With USING, the values may have become anything.
 */
void
hubspot_after_retype(const HubspotSchema *schema, const HubspotSync *sync,
					 const AlterTableCmd *command)
{
	const ColumnDef *definition = castNode(ColumnDef, command->def);

	if (!hubspot_sync_has_column(sync, command->name))
		return;
	hubspot_sync_check_columns(sync);
	if (definition->raw_default != NULL ||
		!keeps_text(sync->link_table, command->name))
		refuse(schema, sync, "alter the type", command->name);
}

/* Has the last change of the column's type left all values as they were? */
static bool
keeps_text(Oid link_table, const char *column)
{
	HeapTuple	tuple = SearchSysCacheAttName(link_table, column);
	Form_pg_attribute attribute;
	Oid			former_type;
	int32		former_typmod;
	bool		keeps;

	if (!HeapTupleIsValid(tuple))
		return true;
	attribute = (Form_pg_attribute) GETSTRUCT(tuple);
	keeps = !find_former_type(link_table, attribute->attnum,
							  attribute->atttypid, attribute->atttypmod,
							  &former_type, &former_typmod) ||
		hubspot_keeps_text(former_type, former_typmod,
						   attribute->atttypid, attribute->atttypmod);
	ReleaseSysCache(tuple);
	return keeps;
}

/*
 * The type that the column had before this one, in this transaction.  False:
 * there is none.  The rows of the catalog that tell are still there, but no
 * snapshot shows them; the one that was deleted last is the right one.
 */
static bool
find_former_type(Oid link_table, AttrNumber number, Oid type, int32 typmod,
				 Oid *former_type, int32 *former_typmod)
{
	Relation	catalog = table_open(AttributeRelationId, AccessShareLock);
	bool		found = false;
	CommandId	last = FirstCommandId;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_attribute_attrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(link_table));
	ScanKeyInit(&keys[1], Anum_pg_attribute_attnum, BTEqualStrategyNumber,
				F_INT2EQ, Int16GetDatum(number));
	scan = systable_beginscan(catalog, AttributeRelidNumIndexId, true,
							  SnapshotAny, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_attribute attribute = (Form_pg_attribute) GETSTRUCT(tuple);
		HeapTupleHeader header = tuple->t_data;

		if ((header->t_infomask & HEAP_XMAX_INVALID) ||
			HEAP_XMAX_IS_LOCKED_ONLY(header->t_infomask) ||
			!TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetUpdateXid(header)) ||
			(attribute->atttypid == type && attribute->atttypmod == typmod))
			continue;
		if (!found || HeapTupleHeaderGetCmax(header) > last)
		{
			last = HeapTupleHeaderGetCmax(header);
			*former_type = attribute->atttypid;
			*former_typmod = attribute->atttypmod;
		}
		found = true;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return found;
}

static void
refuse(const HubspotSchema *schema, const HubspotSync *sync, const char *what,
	   const char *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot %s of column \"%s\" of table \"%s\" because it is kept in sync",
					what, column, get_rel_name(sync->link_table)),
			 errdetail("Values could change without HubSpot being told."),
			 errhint("End the sync with SELECT %s.hs_assoc_disable_sync(%s), and begin it again afterwards with hs_assoc_enable_sync and backfill.",
					 schema->name, quote_literal_cstr(hubspot_link_name(sync->link_table)))));
}

/* ALTER COLUMN ... SET EXPRESSION, of the sync's table. */
void
hubspot_after_expression(const HubspotSchema *schema, const HubspotSync *sync,
						 const AlterTableCmd *command)
{
	if (hubspot_sync_has_column(sync, command->name))
		refuse(schema, sync, "set the expression", command->name);
}

/* ALTER TYPE ... RENAME VALUE, of an enum. */
void
hubspot_after_enum_rename(const HubspotSchema *schema, const HubspotSync *sync,
						  Oid type)
{
	const char *columns[HUBSPOT_SYNC_COLUMNS];
	int			ncolumns = hubspot_sync_columns(sync, columns);

	for (int i = 0; i < ncolumns; i++)
	{
		AttrNumber	number = get_attnum(sync->link_table, columns[i]);

		if (number != InvalidAttrNumber &&
			getBaseType(get_atttype(sync->link_table, number)) == type)
			refuse(schema, sync, "rename a value of the type", columns[i]);
	}
}
