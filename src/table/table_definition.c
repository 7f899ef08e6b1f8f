/*-------------------------------------------------------------------------
 *
 * table_definition.c
 *	  A foreign table: what its options say, and what its columns hold.
 *
 * A column holds what its option role says, or else what its name does; never what its
 * place does, so that columns can be renamed, dropped and added.  The validator sees the
 * options of one column at a time, and so what is wrong with the columns of a table shows
 * when it is used: in the planner, before anything is asked of HubSpot.
 *
 * IDENTIFICATION
 *	  src/table/table_definition.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/closest.h"
#include "base/compat.h"
#include "base/shown.h"
#include "table/table_definition.h"

static void set_object_type(const HubspotTable *table, const char *option, const char *text,
							HubspotObjectType *type);
static void require_columns(const HubspotTable *table, HubspotTableRole first,
							HubspotTableRole last, const char *types);
static void take_column(HubspotTable *table, const FormData_pg_attribute * column);
static int	column_role(const HubspotTable *table, const FormData_pg_attribute * column);
static void check_type(const HubspotTable *table, const FormData_pg_attribute * column,
					   HubspotTableRole role);
static bool has_role(HubspotTableKind kind, HubspotTableRole role);
static const char *role_hint(HubspotTableKind kind, const char *name);

/*
 * The definition of a foreign table, which the caller has locked, palloc'd.  ERROR if its
 * columns are not those of associations.
 */
HubspotTable *
hubspot_table_read(Oid relid)
{
	Relation	relation = table_open(relid, NoLock);
	TupleDesc	tupdesc = RelationGetDescr(relation);
	ForeignTable *foreign = GetForeignTable(relid);
	HubspotTable *table = palloc0(sizeof(HubspotTable));

	table->relid = relid;
	table->name = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
											 RelationGetRelationName(relation));
	table->server = foreign->serverid;
	table->owner = relation->rd_rel->relowner;
	hubspot_get_table_options(foreign->options, &table->options);
	table->kind = table->options.kind;
	if (table->kind == HUBSPOT_KIND_ASSOCIATIONS)
	{
		set_object_type(table, "from_type", table->options.from_type, &table->from_type);
		set_object_type(table, "to_type", table->options.to_type, &table->to_type);
	}
	for (int i = 0; i < tupdesc->natts; i++)
	{
		const		FormData_pg_attribute *column = TupleDescAttr(tupdesc, i);

		/* the server itself computes virtual columns */
		if (!column->attisdropped && column->attgenerated != HUBSPOT_GENERATED_VIRTUAL)
			take_column(table, column);
	}
	table_close(relation, NoLock);

	if (table->kind == HUBSPOT_KIND_ASSOCIATIONS)
		require_columns(table, HUBSPOT_ROLE_FROM_ID, HUBSPOT_ROLE_TO_ID, "text or bigint");
	if (table->options.on_error == HUBSPOT_ON_ERROR_ROW)
		require_columns(table, HUBSPOT_ROLE_ERROR_CATEGORY, HUBSPOT_ROLE_ERROR_CATEGORY, "text");
	if (table->kind == HUBSPOT_KIND_LABELS)
		require_columns(table, HUBSPOT_ROLE_FROM_TYPE, HUBSPOT_ROLE_TO_TYPE, "text");
	return table;
}

/* ERROR if a table lacks one of some columns. */
static void
require_columns(const HubspotTable *table, HubspotTableRole first, HubspotTableRole last,
				const char *types)
{
	for (HubspotTableRole id = first; id <= last; id++)
	{
		if (table->columns[id] == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
					 errmsg("foreign table %s has no column for %s", table->name,
							hubspot_role_names[id]),
					 errhint("Add a column %s of type %s, or give one the option role '%s'.",
							 hubspot_role_names[id], types, hubspot_role_names[id])));
	}
}

/* Read an object type, which has passed the validator. */
static void
set_object_type(const HubspotTable *table, const char *option, const char *text,
				HubspotObjectType *type)
{
	char	   *hint;

	if (text == NULL || hubspot_parse_object_type(text, type, &hint) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("foreign table %s has no valid option \"%s\"", table->name, option),
				 errhint("Set it with ALTER FOREIGN TABLE %s OPTIONS (ADD %s 'contacts'), for example.",
						 table->name, option)));
}

/* Take note of a column. */
static void
take_column(HubspotTable *table, const FormData_pg_attribute * column)
{
	int			role = column_role(table, column);

	if (table->columns[role] != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_COLUMN_NUMBER),
				 errmsg("foreign table %s has two columns for %s: \"%s\" and \"%s\"",
						table->name, hubspot_role_names[role],
						hubspot_table_column(table, role), NameStr(column->attname)),
				 errhint("Drop one of them, or give it another role.")));
	check_type(table, column, role);
	table->columns[role] = column->attnum;
	if (role == HUBSPOT_ROLE_FROM_ID || role == HUBSPOT_ROLE_TO_ID)
		table->id_types[role] = column->atttypid;
	else if (table->kind == HUBSPOT_KIND_ASSOCIATIONS && role <= HUBSPOT_ROLE_IS_PRIMARY)
		table->typed = true;
}

/* What a column holds: by its option, or else by its name. */
static int
column_role(const HubspotTable *table, const FormData_pg_attribute * column)
{
	static const char *const things[HUBSPOT_NKINDS] = {
		[HUBSPOT_KIND_ASSOCIATIONS] = "an association",
		[HUBSPOT_KIND_OBJECT_TYPES] = "an object type",
		[HUBSPOT_KIND_LABELS] = "a label"
	};
	int			role = hubspot_get_column_role(GetForeignColumnOptions(table->relid,
																	   column->attnum));

	if (role < 0)
		role = hubspot_find_choice(hubspot_role_names, NameStr(column->attname));
	if (role < 0 || !has_role(table->kind, role))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_COLUMN_NAME),
				 errmsg("column \"%s\" of foreign table %s does not tell what of %s it holds",
						NameStr(column->attname), table->name, things[table->kind]),
				 errhint("%s", role_hint(table->kind, NameStr(column->attname)))));
	if (column->attgenerated)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_COLUMN_NAME),
				 errmsg("column \"%s\" of foreign table %s is a generated column",
						NameStr(column->attname), table->name),
				 errhint("HubSpot stores no generated columns. Compute it in a view.")));
	return role;
}

/* Can a column of a table of that kind hold this? */
static bool
has_role(HubspotTableKind kind, HubspotTableRole role)
{
	static const int roles[HUBSPOT_NKINDS] = {
		[HUBSPOT_KIND_ASSOCIATIONS] = 1 << HUBSPOT_ROLE_FROM_ID | 1 << HUBSPOT_ROLE_TO_ID |
		1 << HUBSPOT_ROLE_CATEGORY | 1 << HUBSPOT_ROLE_TYPE_ID | 1 << HUBSPOT_ROLE_LABEL |
		1 << HUBSPOT_ROLE_IS_PRIMARY | 1 << HUBSPOT_ROLE_ERROR_CATEGORY |
		1 << HUBSPOT_ROLE_ERROR_MESSAGE,
		[HUBSPOT_KIND_OBJECT_TYPES] = 1 << HUBSPOT_ROLE_OBJECT_TYPE_ID | 1 << HUBSPOT_ROLE_NAME |
		1 << HUBSPOT_ROLE_LABEL,
		[HUBSPOT_KIND_LABELS] = 1 << HUBSPOT_ROLE_FROM_TYPE | 1 << HUBSPOT_ROLE_TO_TYPE |
		1 << HUBSPOT_ROLE_CATEGORY | 1 << HUBSPOT_ROLE_TYPE_ID | 1 << HUBSPOT_ROLE_LABEL |
		1 << HUBSPOT_ROLE_IS_PRIMARY
	};

	return (roles[kind] >> role & 1) != 0;
}

/* ERROR if a column is not of a type that its role may have. */
static void
check_type(const HubspotTable *table, const FormData_pg_attribute * column,
		   HubspotTableRole role)
{
	static const Oid types[HUBSPOT_NROLES][2] = {
		[HUBSPOT_ROLE_FROM_ID] = {TEXTOID, INT8OID},
		[HUBSPOT_ROLE_TO_ID] = {TEXTOID, INT8OID},
		[HUBSPOT_ROLE_CATEGORY] = {TEXTOID},
		[HUBSPOT_ROLE_TYPE_ID] = {INT4OID},
		[HUBSPOT_ROLE_LABEL] = {TEXTOID},
		[HUBSPOT_ROLE_IS_PRIMARY] = {BOOLOID},
		[HUBSPOT_ROLE_FROM_TYPE] = {TEXTOID},
		[HUBSPOT_ROLE_TO_TYPE] = {TEXTOID},
		[HUBSPOT_ROLE_OBJECT_TYPE_ID] = {TEXTOID},
		[HUBSPOT_ROLE_NAME] = {TEXTOID},
		[HUBSPOT_ROLE_ERROR_CATEGORY] = {TEXTOID},
		[HUBSPOT_ROLE_ERROR_MESSAGE] = {TEXTOID}
	};
	const Oid  *allowed = types[role];

	if (column->atttypid != allowed[0] && column->atttypid != allowed[1])
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
				 errmsg("column \"%s\" of foreign table %s is of type %s",
						NameStr(column->attname), table->name,
						format_type_be(column->atttypid)),
				 errhint("For %s, it must be of type %s%s%s.", hubspot_role_names[role],
						 format_type_be(allowed[0]), allowed[1] ? " or " : "",
						 allowed[1] ? format_type_be(allowed[1]) : "")));
}

/* Which role a column may be meant for, or all of them. */
static const char *
role_hint(HubspotTableKind kind, const char *name)
{
	HubspotClosest closest = {.name = name};
	StringInfoData roles;
	int			last = HUBSPOT_NROLES - 1;

	while (!has_role(kind, last))
		last--;
	initStringInfo(&roles);
	for (int i = 0; i <= last; i++)
	{
		if (!has_role(kind, i))
			continue;
		hubspot_closest_try(&closest, hubspot_role_names[i]);
		appendStringInfo(&roles, "%s%s", roles.len == 0 ? "" : i == last ? " or " : ", ",
						 hubspot_role_names[i]);
	}
	if (closest.found)
		return psprintf("Perhaps it is meant to be %s: name it so, or give it the option role '%s'.",
						closest.found, closest.found);
	return psprintf("Give it the option role, with %s, or drop it.", roles.data);
}

/* Does a column name what HubSpot is asked for, of one side? */
bool
hubspot_table_side(const HubspotTable *table, AttrNumber column, HubspotTableSide *side)
{
	HubspotTableRole role = hubspot_table_role(table, column);

	*side = (role == HUBSPOT_ROLE_FROM_ID || role == HUBSPOT_ROLE_FROM_TYPE) ?
		HUBSPOT_SIDE_FROM : HUBSPOT_SIDE_TO;
	return role == HUBSPOT_ROLE_FROM_ID || role == HUBSPOT_ROLE_TO_ID ||
		role == HUBSPOT_ROLE_FROM_TYPE || role == HUBSPOT_ROLE_TO_TYPE;
}

/* What a column holds. */
HubspotTableRole
hubspot_table_role(const HubspotTable *table, AttrNumber column)
{
	for (int i = 0; i < HUBSPOT_NROLES; i++)
	{
		if (table->columns[i] == column)
			return i;
	}
	return HUBSPOT_NROLES;
}

/* The name of the column that has a role. */
const char *
hubspot_table_column(const HubspotTable *table, HubspotTableRole role)
{
	return get_attname(table->relid, table->columns[role], false);
}
