/*-------------------------------------------------------------------------
 *
 * link_rows.c
 *	  The rows of a link table in SQL: as pairs of records, with a type.
 *
 * The queries here have the columns from_id, to_id, type (if the sync has a
 * column for it) and added (false: removed).  They call nothing that others
 * may have written: ids become text by the output functions of their types,
 * which only a superuser can define, never by casts, and are compared as text.
 * Queries that read the table itself run with its owner's privileges.  What a
 * query names is checked before it runs (prepared.c).
 *
 * IDENTIFICATION
 *	  src/sync/link_rows.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "hubspot.h"
#include "api/key.h"
#include "schema/extension.h"
#include "sync/link_rows.h"
#include "sync/link_table.h"

static bool has_spellings(const HubspotDelta *delta);
static void set_column(const HubspotDelta *delta, HubspotDeltaColumn *column, const char *name);
static char *placed_rows(const HubspotDelta *delta);
static char *place_of(const HubspotDelta *delta, bool parameter);
static char *full_text(const char *alias, const HubspotDeltaColumn *column);

/* Set up a sync's view of a table.  ERROR if a column is missing. */
void
hubspot_delta_init(HubspotDelta *delta, const HubspotSync *sync, Oid table)
{
	const char *names[HUBSPOT_SYNC_COLUMNS];

	memset(delta, 0, sizeof(HubspotDelta));
	delta->sync = sync;
	delta->table = table;
	delta->ncolumns = hubspot_sync_columns(sync, names);
	for (int i = 0; i < delta->ncolumns; i++)
		set_column(delta, &delta->columns[i], names[i]);
	delta->columns[HUBSPOT_COLUMN_FROM].is_key = strchr(sync->from_type, ':') != NULL;
	delta->columns[HUBSPOT_COLUMN_TO].is_key = strchr(sync->to_type, ':') != NULL;
	delta->has_spellings = has_spellings(delta);
}

/*
 * May the table have two rows of a pair for one label?  Not if the unique index allows only
 * one row for each pair.
 */
static bool
has_spellings(const HubspotDelta *delta)
{
	const HubspotSync *sync = delta->sync;
	HeapTuple	tuple;
	Form_pg_index index;
	AttrNumber	label;
	bool		found = false;

	if (!hubspot_delta_is_label(delta))
		return false;
	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(hubspot_sync_key(sync)));
	if (!HeapTupleIsValid(tuple))
		return true;
	index = (Form_pg_index) GETSTRUCT(tuple);
	label = get_attnum(sync->link_table, sync->label_column);
	for (int i = 0; i < index->indnkeyatts; i++)
		found |= (index->indkey.values[i] == label);
	ReleaseSysCache(tuple);
	return found;
}

static void
set_column(const HubspotDelta *delta, HubspotDeltaColumn *column, const char *name)
{
	HeapTuple	tuple = SearchSysCacheAttName(delta->table, name);
	Form_pg_attribute attribute;

	if (!HeapTupleIsValid(tuple))
		hubspot_link_column_missing(delta->sync, delta->table, name);
	attribute = (Form_pg_attribute) GETSTRUCT(tuple);
	column->name = pstrdup(quote_identifier(name));
	column->number = attribute->attnum;
	column->type = getBaseType(attribute->atttypid);
	column->not_null = attribute->attnotnull;
	column->by_value = attribute->attbyval;
	column->length = attribute->attlen;
	column->sorts_by_text = OidIsValid(attribute->attcollation) &&
		get_collation_isdeterministic(attribute->attcollation);
	ReleaseSysCache(tuple);
}

/* Is there a column for the type, and does it hold labels? */
bool
hubspot_delta_is_label(const HubspotDelta *delta)
{
	return delta->sync->label_column != NULL;
}

/* All rows of the table, those with nulls as well. */
char *
hubspot_delta_all_rows(const HubspotDelta *delta, bool added)
{
	return hubspot_delta_rows_of(delta, hubspot_link_name(delta->table), added ? "true AS added" : "false AS added", true, NULL);
}

/*
 * The first rows of the table without a null behind a place, which is the text of a from_id
 * ($1), or from the beginning; in the order of their from_ids.
 */
char *
hubspot_delta_slice(const HubspotDelta *delta, bool begins, int most)
{
	const char *place = place_of(delta, false);

	return psprintf("%s%s ORDER BY %s LIMIT %d", placed_rows(delta),
					begins ? "" : psprintf(" AND %s OPERATOR(pg_catalog.>) %s", place,
										   place_of(delta, true)),
					place, most);
}

/* All rows without a null that have that from_id ($1). */
char *
hubspot_delta_record(const HubspotDelta *delta)
{
	return psprintf("%s AND %s OPERATOR(pg_catalog.=) %s", placed_rows(delta),
					place_of(delta, false), place_of(delta, true));
}

/*
 * The rows whose from_id is neither cut nor empty: such a one is not a place, nor the id of a
 * record.
 */
static char *
placed_rows(const HubspotDelta *delta)
{
	const HubspotDeltaColumn *column = &delta->columns[HUBSPOT_COLUMN_FROM];
	char	   *rows = hubspot_delta_rows_of(delta, hubspot_link_name(delta->table), "true AS added", false, NULL);

	return psprintf("%s AND pg_catalog.octet_length(%s) OPERATOR(pg_catalog.<=) %d"
					" AND %s OPERATOR(pg_catalog.<>) ''", rows,
					full_text("n", column), HUBSPOT_MAX_TEXT, full_text("n", column));
}

/*
 * What rows are sorted by, for the row n or for the parameter: if equal values have equal
 * texts, in a form for which an index on the column can be used.
 */
static char *
place_of(const HubspotDelta *delta, bool parameter)
{
	const HubspotDeltaColumn *column = &delta->columns[HUBSPOT_COLUMN_FROM];
	const char *type;

	switch (column->type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			type = "int8";
			break;
		case NUMERICOID:
			type = "numeric";
			break;
		case UUIDOID:
			type = "uuid";
			break;
		case TEXTOID:
		case VARCHAROID:
			if (column->sorts_by_text)
				return parameter ? pstrdup("$1") : psprintf("n.%s", column->name);
			/* FALLTHROUGH */
		default:
			return psprintf("(%s) COLLATE pg_catalog.\"C\"",
							parameter ? "$1" : full_text("n", column));
	}
	return parameter ? psprintf("$1::pg_catalog.%s", type) : psprintf("n.%s", column->name);
}

/*
 * The rows of one table, with a column that marks them.  With keys, also the
 * original values of the index's columns, as key0, key1, ...
 */
char *
hubspot_delta_rows_of(const HubspotDelta *delta, const char *table, const char *mark,
					  bool with_nulls, const Oid *keys)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT %s AS from_id, %s AS to_id, ",
					 hubspot_delta_id_text("n", &delta->columns[HUBSPOT_COLUMN_FROM]),
					 hubspot_delta_id_text("n", &delta->columns[HUBSPOT_COLUMN_TO]));
	if (delta->ncolumns > HUBSPOT_COLUMN_TYPE)
		appendStringInfo(&sql, "%s AS type, ", hubspot_delta_type_value(delta, "n"));
	appendStringInfoString(&sql, mark);
	for (int i = 0; keys && i < delta->ncolumns; i++)
	{
		if (OidIsValid(keys[i]))
			appendStringInfo(&sql, ", n.%s AS key%d", delta->columns[i].name, i);
	}
	appendStringInfo(&sql, " FROM %s AS n", table);
	for (int i = 0; !with_nulls && i < delta->ncolumns; i++)
		appendStringInfo(&sql, " %s n.%s IS NOT NULL", i == 0 ? "WHERE" : "AND",
						 delta->columns[i].name);
	return sql.data;
}

/*
 * A value as text, null if it is null.  A value that is too large for the
 * outbox must not stop the writer: it is cut and marked, so that it is refused
 * when it is to be sent, and seen in the dead letters.  A key, which may have any
 * characters, is refused for a control character.
 */
char *
hubspot_delta_id_text(const char *alias, const HubspotDeltaColumn *column)
{
	char	   *value = full_text(alias, column);

	switch (column->type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case UUIDOID:
			return value;
		default:
			/* a character has at most four bytes */
			return psprintf("CASE WHEN pg_catalog.octet_length(%s) OPERATOR(pg_catalog.>) %d"
							" THEN pg_catalog.left(%s, 240)"
							" OPERATOR(pg_catalog.||) '%s" HUBSPOT_CUT "' COLLATE pg_catalog.\"C\""
							" ELSE %s END",
							value, HUBSPOT_MAX_TEXT, value,
							column->is_key ? "\n" : "", value);
	}
}

/*
 * The casts of these types are the server's own, and faster than format(), which
 * calls the output function.
 */
static char *
full_text(const char *alias, const HubspotDeltaColumn *column)
{
	switch (column->type)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case UUIDOID:
			return psprintf("%s.%s::pg_catalog.text COLLATE pg_catalog.\"C\"",
							alias, column->name);
		case NUMERICOID:
			/* 1.00 and 1 are the same id */
			return psprintf("pg_catalog.trim_scale(%s.%s)::pg_catalog.text"
							" COLLATE pg_catalog.\"C\"",
							alias, column->name);
		default:
			return psprintf("CASE WHEN %s.%s IS NOT NULL"
							" THEN pg_catalog.format('%%s', %s.%s)"
							" COLLATE pg_catalog.\"C\" END",
							alias, column->name, alias, column->name);
	}
}

/*
 * A type's number, or its label.  A number that is too large must not stop the
 * writer: it becomes one that is refused when it is to be sent.
 */
char *
hubspot_delta_type_value(const HubspotDelta *delta, const char *alias)
{
	const HubspotDeltaColumn *column = &delta->columns[HUBSPOT_COLUMN_TYPE];
	const char *name = column->name;

	if (hubspot_delta_is_label(delta))
		return hubspot_delta_id_text(alias, column);
	if (column->type != INT8OID)
		return psprintf("%s.%s::pg_catalog.int4", alias, name);
	return psprintf("CASE WHEN %s.%s OPERATOR(pg_catalog.<) 1"
					" OR %s.%s OPERATOR(pg_catalog.>) 2147483647 THEN 0"
					" ELSE %s.%s::pg_catalog.int4 END",
					alias, name, alias, name, alias, name);
}

/*
 * A label as it is looked up if none matches exactly.  HubSpot has no long
 * ones, and they must not ask for more memory than there is.
 */
char *
hubspot_delta_folded(const char *label)
{
	return psprintf("%s.hs_assoc_fold(pg_catalog.left(%s, 1000))",
					hubspot_outbox_schema(false)->name, label);
}

/* The normal form of a key; NULL: the object type has ids. */
char *
hubspot_delta_normal_key(const char *object_type, const char *value)
{
	if (strchr(object_type, ':') == NULL)
		return NULL;
	return psprintf("%s.hs_assoc_normal_key(%s, %s)", hubspot_outbox_schema(false)->name,
					quote_literal_cstr(object_type), value);
}
