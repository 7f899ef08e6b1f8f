/*-------------------------------------------------------------------------
 *
 * change_sql.c
 *	  The rows that are added to a link table or removed from it, in SQL.
 *
 * The queries here have the columns from_id, to_id, type (if the sync has a
 * column for it) and added (false: removed).  They call nothing that others
 * may have written: ids become text by the output functions of their types,
 * which only a superuser can define, never by casts, and are compared as text.
 * Queries that read the table itself run with its owner's privileges.  What a
 * query names is checked before it runs (prepared.c).
 *
 * Two labels that differ by case alone are two rows, but as a rule one type
 * (labels.c).  One of the rows may go; as long as the other is there, the type
 * is not to be removed.  So what was removed of such a table has to be checked.
 *
 * IDENTIFICATION
 *	  src/sync/change_sql.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "hubspot.h"
#include "outbox/history.h"
#include "sync/change_sql.h"

/*
 * Of the rows of a group, that of the new ones; these are alike, unless they have one key
 * in several spellings.
 */
#define NEWEST(value)	"(pg_catalog.array_agg(" value " ORDER BY c.sign DESC))[1]"

static bool has_spellings(const HubspotDelta *delta);
static char *placed_rows(const HubspotDelta *delta);
static char *place_of(const HubspotDelta *delta, bool parameter);
static void set_column(HubspotDeltaColumn *column, Oid table, const char *name);
static char *changed_rows(const HubspotDelta *delta, HubspotDeltaSource source,
						  const Oid *keys);
static char *difference(const HubspotDelta *delta, const Oid *keys);
static char *normal_key(const char *object_type, const char *value);
static char *rows_of(const HubspotDelta *delta, const char *table,
					 const char *mark, bool with_nulls, const Oid *keys);
static char *id_text(const char *alias, const HubspotDeltaColumn *column);
static char *folded(const char *label);
static char *full_text(const char *alias, const HubspotDeltaColumn *column);
static char *type_value(const HubspotDelta *delta, const char *alias);
static char *has_name(const HubspotDelta *delta, int column, const char *object_type,
					  const char *given);
static const char *found_by_index(const HubspotDeltaColumn *column, const char *name);
static char *same_type(const HubspotDelta *delta);
static void find_keys(const HubspotDelta *delta, Oid *keys);
static char *undone_removals(const HubspotDelta *delta, const char *schema,
							 const char *rows);
static char *remaining_rows(const HubspotDelta *delta);

/* ERROR if a column is missing. */
void
hubspot_delta_init(HubspotDelta *delta, const HubspotSync *sync, Oid table)
{
	const char *names[HUBSPOT_SYNC_COLUMNS];

	delta->sync = sync;
	delta->table = table;
	delta->ncolumns = hubspot_sync_columns(sync, names);
	for (int i = 0; i < delta->ncolumns; i++)
		set_column(&delta->columns[i], table, names[i]);
	delta->columns[HUBSPOT_COLUMN_FROM].is_key = strchr(sync->from_type, ':') != NULL;
	delta->columns[HUBSPOT_COLUMN_TO].is_key = strchr(sync->to_type, ':') != NULL;
	delta->has_spellings = has_spellings(delta);
}

/*
 * May it have two rows for one label?  Not if the unique index allows only one
 * row for each pair.
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
set_column(HubspotDeltaColumn *column, Oid table, const char *name)
{
	HeapTuple	tuple = SearchSysCacheAttName(table, name);
	Form_pg_attribute attribute;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "column \"%s\" of relation %u does not exist", name, table);
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

/*
 * The rows that a statement has removed or added, in this order, without those
 * that have a null.
 */
char *
hubspot_delta_rows(const HubspotDelta *delta, HubspotDeltaSource source)
{
	return changed_rows(delta, source, NULL);
}

static char *
changed_rows(const HubspotDelta *delta, HubspotDeltaSource source,
			 const Oid *keys)
{
	switch (source)
	{
		case HUBSPOT_INSERTED:
			return rows_of(delta, HUBSPOT_NEW_ROWS, "true AS added", false, keys);
		case HUBSPOT_DELETED:
			return rows_of(delta, HUBSPOT_OLD_ROWS, "false AS added", false, keys);
		default:
			return difference(delta, keys);
	}
}

/*
 * What an UPDATE has added or removed, all rows taken together: a value that
 * has moved from one row to another makes no difference, and neither does another
 * spelling of a key.
 */
static char *
difference(const HubspotDelta *delta, const Oid *keys)
{
	const char *type = delta->ncolumns > HUBSPOT_COLUMN_TYPE ? ", c.type" : "";
	const char *from_key = normal_key(delta->sync->from_type, "c.from_id");
	const char *to_key = normal_key(delta->sync->to_type, "c.to_id");
	StringInfoData values;

	initStringInfo(&values);
	for (int i = 0; keys && i < delta->ncolumns; i++)
	{
		if (!OidIsValid(keys[i]))
			continue;
		appendStringInfo(&values, from_key || to_key ? ", " NEWEST("c.key%d") " AS key%d" :
						 ", (pg_catalog.array_agg(c.key%d))[1] AS key%d", i, i);
	}
	return psprintf("SELECT %s AS from_id, %s AS to_id%s,"
					" pg_catalog.sum(c.sign) OPERATOR(pg_catalog.>) 0 AS added%s "
					"FROM (%s UNION ALL %s) AS c "
					"GROUP BY %s, %s%s "
					"HAVING pg_catalog.sum(c.sign) OPERATOR(pg_catalog.<>) 0 "
					"ORDER BY added",
					from_key ? NEWEST("c.from_id") : "c.from_id",
					to_key ? NEWEST("c.to_id") : "c.to_id",
					type, values.data,
					rows_of(delta, HUBSPOT_NEW_ROWS, "1 AS sign", false, keys),
					rows_of(delta, HUBSPOT_OLD_ROWS, "-1 AS sign", false, keys),
					from_key ? from_key : "c.from_id", to_key ? to_key : "c.to_id",
					type);
}

/* The normal form of a key; NULL: the object type has ids. */
static char *
normal_key(const char *object_type, const char *value)
{
	if (strchr(object_type, ':') == NULL)
		return NULL;
	return psprintf("%s.hs_assoc_normal_key(%s, %s)", hubspot_outbox_schema(false)->name,
					quote_literal_cstr(object_type), value);
}

/*
 * The rows of one table, with a column that marks them.  With keys, also the
 * original values of the index's columns, as key0, key1, ...
 */
static char *
rows_of(const HubspotDelta *delta, const char *table, const char *mark,
		bool with_nulls, const Oid *keys)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT %s AS from_id, %s AS to_id, ",
					 id_text("n", &delta->columns[HUBSPOT_COLUMN_FROM]),
					 id_text("n", &delta->columns[HUBSPOT_COLUMN_TO]));
	if (delta->ncolumns > HUBSPOT_COLUMN_TYPE)
		appendStringInfo(&sql, "%s AS type, ", type_value(delta, "n"));
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
static char *
id_text(const char *alias, const HubspotDeltaColumn *column)
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
							" OPERATOR(pg_catalog.||) '%s... (cut: it is too long)' COLLATE pg_catalog.\"C\""
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
static char *
type_value(const HubspotDelta *delta, const char *alias)
{
	const HubspotDeltaColumn *column = &delta->columns[HUBSPOT_COLUMN_TYPE];
	const char *name = column->name;

	if (hubspot_delta_is_label(delta))
		return id_text(alias, column);
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
static char *
folded(const char *label)
{
	return psprintf("%s.hs_assoc_fold(pg_catalog.left(%s, 1000))",
					hubspot_outbox_schema(false)->name, label);
}

/*
 * The same, but only what the table still shows: added rows that are there,
 * and removed rows that are not.
 */
char *
hubspot_delta_checked_rows(const HubspotDelta *delta, HubspotDeltaSource source)
{
	bool		has_type = delta->ncolumns > HUBSPOT_COLUMN_TYPE;
	Oid			keys[HUBSPOT_SYNC_COLUMNS] = {InvalidOid};
	StringInfoData sql;

	find_keys(delta, keys);
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT r.from_id, r.to_id, %sr.added FROM (%s) AS r "
					 "WHERE r.added OPERATOR(pg_catalog.=) EXISTS ("
					 "SELECT FROM %s AS l WHERE %s OPERATOR(pg_catalog.=) r.from_id"
					 " AND %s OPERATOR(pg_catalog.=) r.to_id",
					 has_type ? "r.type, " : "", changed_rows(delta, source, keys),
					 hubspot_link_name(delta->sync->link_table),
					 id_text("l", &delta->columns[HUBSPOT_COLUMN_FROM]),
					 id_text("l", &delta->columns[HUBSPOT_COLUMN_TO]));
	if (has_type && !hubspot_delta_is_label(delta))
		appendStringInfo(&sql, " AND %s OPERATOR(pg_catalog.=) r.type",
						 type_value(delta, "l"));
	else if (has_type)
		appendStringInfo(&sql, " AND %s OPERATOR(pg_catalog.=) %s",
						 folded(type_value(delta, "l")), folded("r.type"));
	for (int i = 0; i < delta->ncolumns; i++)
	{
		const char *name = delta->columns[i].name;
		Oid			type = delta->columns[i].type;

		if (!OidIsValid(keys[i]) ||
			(i == HUBSPOT_COLUMN_TYPE && hubspot_delta_is_label(delta)))
			continue;
		appendStringInfoString(&sql, " AND ");
		generate_operator_clause(&sql, psprintf("l.%s", name), type, keys[i],
								 psprintf("r.key%d", i), type);
	}
	appendStringInfoString(&sql, ") ORDER BY r.added");
	return sql.data;
}

/*
 * The operators by which the unique index finds rows, for the columns that it
 * has.  Those of polymorphic types are left out: it is not always clear which
 * one SQL would take.
 */
static void
find_keys(const HubspotDelta *delta, Oid *keys)
{
	Oid			link_table = delta->sync->link_table;
	const char *names[HUBSPOT_SYNC_COLUMNS];
	Oid			key = hubspot_sync_key(delta->sync);
	Relation	index;

	if (!OidIsValid(key))
		return;
	hubspot_sync_columns(delta->sync, names);
	index = index_open(key, AccessShareLock);
	for (int i = 0; i < delta->ncolumns; i++)
	{
		AttrNumber	number = get_attnum(link_table, names[i]);

		for (int k = 0; k < IndexRelationGetNumberOfKeyAttributes(index); k++)
		{
			Oid			type = index->rd_opcintype[k];

			if (index->rd_index->indkey.values[k] == number &&
				get_typtype(type) != TYPTYPE_PSEUDO)
				keys[i] = get_opfamily_member(index->rd_opfamily[k], type, type,
											  BTEqualStrategyNumber);
		}
	}
	index_close(index, AccessShareLock);
}

/*
 * The functions of these operators, which queries for checked rows call
 * besides those of pg_catalog; returns how many.
 */
int
hubspot_delta_key_functions(const HubspotDelta *delta,
							Oid functions[HUBSPOT_SYNC_COLUMNS])
{
	Oid			keys[HUBSPOT_SYNC_COLUMNS] = {InvalidOid};
	int			nfunctions = 0;

	find_keys(delta, keys);
	for (int i = 0; i < delta->ncolumns; i++)
	{
		if (OidIsValid(keys[i]))
			functions[nfunctions++] = get_opcode(keys[i]);
	}
	return nfunctions;
}

/* All rows of the table, those with nulls as well. */
char *
hubspot_delta_all_rows(const HubspotDelta *delta, bool added)
{
	return rows_of(delta, hubspot_link_name(delta->table), added ? "true AS added" : "false AS added", true, NULL);
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

/* A from_id that is cut is no place; and it can be that of no record. */
static char *
placed_rows(const HubspotDelta *delta)
{
	const HubspotDeltaColumn *column = &delta->columns[HUBSPOT_COLUMN_FROM];
	char	   *rows = rows_of(delta, hubspot_link_name(delta->table), "true AS added", false, NULL);

	return psprintf("%s AND pg_catalog.octet_length(%s) OPERATOR(pg_catalog.<=) %d"
					" AND %s OPERATOR(pg_catalog.<>) ''", rows,
					full_text("n", column), HUBSPOT_MAX_TEXT, full_text("n", column));
}

/*
 * What rows are sorted by, of the row n or of the parameter: by an index on the column, if
 * there is one, and if equal values have equal texts.
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
 * The numbers of the differences whose pair and type the table has, as it is now; reverse:
 * the pair, in the direction of the differences.  A pair as a whole is there with any
 * type, and so is the default type where another one is.
 */
char *
hubspot_delta_matching(const HubspotDelta *delta, bool reverse)
{
	const HubspotSync *sync = delta->sync;
	const char *types = "true";

	if (!reverse && (sync->type_id || sync->label || delta->ncolumns > HUBSPOT_COLUMN_TYPE))
		types = psprintf("(d.type_id IS NULL OR d.is_default OR %s)", same_type(delta));
	else if (!reverse)
		types = "(d.type_id IS NULL OR d.is_default)";
	return psprintf("WITH named AS MATERIALIZED (SELECT d.*, f.name AS from_name, t.name AS to_name"
					" FROM " HUBSPOT_DIFFERENCES " AS d"
					" JOIN " HUBSPOT_FROM_NAMES " AS f ON f.no OPERATOR(pg_catalog.=) d.no"
					" JOIN " HUBSPOT_TO_NAMES " AS t ON t.no OPERATOR(pg_catalog.=) d.no)"
					" SELECT d.no FROM named AS d"
					" WHERE EXISTS (SELECT FROM %s AS l WHERE %s AND %s AND %s)",
					hubspot_link_name(delta->table),
					has_name(delta, HUBSPOT_COLUMN_FROM, sync->from_type, "d.from_name"),
					has_name(delta, HUBSPOT_COLUMN_TO, sync->to_type, "d.to_name"),
					types);
}

/* The numbers of the differences whose type the table has for any pair. */
char *
hubspot_delta_types_matching(const HubspotDelta *delta)
{
	return psprintf("SELECT d.no FROM " HUBSPOT_DIFFERENCES " AS d"
					" WHERE (d.label IS NOT NULL OR %s)"
					" AND EXISTS (SELECT FROM %s AS l WHERE %s)",
					hubspot_delta_is_label(delta) ? "false" : "true",
					hubspot_link_name(delta->table), same_type(delta));
}

/* Is a column's value in l that name, in any spelling? */
static char *
has_name(const HubspotDelta *delta, int column, const char *object_type, const char *given)
{
	char	   *value = id_text("l", &delta->columns[column]);
	char	   *name = psprintf("%s COLLATE pg_catalog.\"C\"", given);
	char	   *normal = normal_key(object_type, value);

	if (normal == NULL)
		return psprintf("%s OPERATOR(pg_catalog.=) %s%s", value, name,
						found_by_index(&delta->columns[column], given));
	return psprintf("%s OPERATOR(pg_catalog.=) %s", normal, normal_key(object_type, name));
}

/*
 * What is true wherever a column's value in l is that name, in a form for which an index on
 * the column can be used: a name that is none of its values is not converted.
 */
static const char *
found_by_index(const HubspotDeltaColumn *column, const char *name)
{
	bool		is_int = column->type == INT2OID || column->type == INT4OID || column->type == INT8OID;

	/* texts that are equal by their collation alone have several spellings */
	if (column->sorts_by_text && (column->type == TEXTOID || column->type == VARCHAROID))
		return psprintf(" AND l.%s OPERATOR(pg_catalog.=) %s", column->name, name);
	if (!is_int && column->type != NUMERICOID)
		return "";
	return psprintf(" AND l.%s OPERATOR(pg_catalog.=) CASE WHEN %s OPERATOR(pg_catalog.~) '%s'%s"
					" THEN %s::pg_catalog.%s END",
					column->name, name, is_int ? "^-?[0-9]{1,18}$|^[0-9]{19}$" : "^-?[0-9]+([.][0-9]+)?$",
					is_int ? psprintf(" AND pg_catalog.lpad(%s, 19, '0') COLLATE pg_catalog.\"C\""
									  " OPERATOR(pg_catalog.<=) '9223372036854775807'", name) : "",
					name, is_int ? "int8" : "numeric");
}

/* Is the type of the sync, or that of the row l, the one of d, as far as d's is known? */
static char *
same_type(const HubspotDelta *delta)
{
	const HubspotSync *sync = delta->sync;
	const char *label = sync->label ? quote_literal_cstr(sync->label) : NULL;
	const char *category = sync->category ? sync->category :
	sync->type_id || sync->type_id_column ? HUBSPOT_DEFINED_CATEGORY : NULL;
	const char *in_category = "";

	if (category)
		in_category = psprintf(" AND d.category OPERATOR(pg_catalog.=) %s",
							   quote_literal_cstr(category));
	if (hubspot_delta_is_label(delta))
		label = type_value(delta, "l");
	if (label)
		return psprintf("(d.label IS NULL OR %s OPERATOR(pg_catalog.=) %s)%s",
						folded(label), folded("d.label"), in_category);
	return psprintf("d.type_id OPERATOR(pg_catalog.=) %s%s",
					sync->type_id ? psprintf("%d", sync->type_id) : type_value(delta, "l"),
					in_category);
}

/*
 * The statement that inserts such rows, if they have no nulls.  change.c has
 * its parameters.
 *
 * sorted: in the order of their places in the index of pairs, removals first.
 *
 * net: added rows are left out if only removals of the same, by this
 * transaction, wait for their pairs; these are deleted, too.  HubSpot then has
 * what the table had before, unless an operation on the pair was refused, or
 * may still be done.
 */
char *
hubspot_delta_insertion(const HubspotDelta *delta, const char *rows, HubspotInsertion kind)
{
	const char *schema = hubspot_outbox_schema(false)->name;
	bool		net = kind == HUBSPOT_INSERT_NET;
	const char *order = "";
	bool		has_type = delta->ncolumns > HUBSPOT_COLUMN_TYPE;
	bool		is_label = hubspot_delta_is_label(delta);

	if (kind == HUBSPOT_INSERT_SORTED)
		order = psprintf(" ORDER BY r.added, %s.hs_assoc_pair($1, $5, r.from_id, $6, r.to_id)",
						 schema);
	return psprintf("%sINSERT INTO %s.hs_assoc_outbox (server, role, operation,"
					" from_type, from_id, to_type, to_id,"
					" type_ids, category, labels, keep_labels, link_table,"
					" wait_for_records, waited, " HUBSPOT_SQL_WHO ") "
					"SELECT $1, $2, CASE WHEN r.added THEN $3 ELSE $4 END,"
					" $5, r.from_id, $6, r.to_id,"
					" %s, $8, %s, r.added AND $10, $11,"
					" $13, $13 OPERATOR(pg_catalog.-) $13, $14, $15, $16 "
					"FROM (%s) AS r%s",
					net ? undone_removals(delta, schema, rows) : "",
					schema,
					has_type && !is_label ? "ARRAY[r.type]" : "$7",
					has_type && is_label ? "ARRAY[r.type]" : "$9",
					net ? remaining_rows(delta) : rows, order);
}

/*
 * The WITH clause: all rows, the pairs that are added, the removals that wait
 * for them and are undone (back), and the deletion of these.
 */
static char *
undone_removals(const HubspotDelta *delta, const char *schema, const char *rows)
{
	bool		has_type = delta->ncolumns > HUBSPOT_COLUMN_TYPE;
	const char *types = hubspot_delta_is_label(delta) ? "labels" : "type_ids";
	const char *same_types;

	if (has_type)
		same_types = psprintf("o.%s = ARRAY[o.%s[1]] AND o.%s[1] = ANY (p.types)"
							  " AND o.%s IS NULL",
							  types, types, types,
							  hubspot_delta_is_label(delta) ? "type_ids" : "labels");
	else
		same_types = "o.type_ids IS NOT DISTINCT FROM $7 AND o.labels IS NOT DISTINCT FROM $9";
	return psprintf("WITH all_rows AS MATERIALIZED (%s), "
					"pairs AS MATERIALIZED (SELECT r.from_id, r.to_id%s,"
					" %s.hs_assoc_pair($1, $5, r.from_id, $6, r.to_id) AS pair"
					" FROM all_rows AS r WHERE r.added GROUP BY r.from_id, r.to_id), "
					"back AS MATERIALIZED (SELECT p.from_id, p.to_id, u.id%s"
					" FROM pairs AS p CROSS JOIN LATERAL ("
					"SELECT array_agg(o.id) AS ids%s, bool_and(o.xmin = ANY ($12)"
					" AND coalesce(o.link_table = $11, false)"
					" AND o.operation = $4 AND o.server = $1 AND o.role = $2"
					" AND o.from_type = $5 AND o.to_type = $6"
					" AND o.from_id = p.from_id AND o.to_id = p.to_id"
					" AND o.category IS NOT DISTINCT FROM $8 AND %s) AS undone"
					" FROM %s.hs_assoc_outbox AS o WHERE %s.hs_assoc_pair(o.server,"
					" o.from_type, o.from_id, o.to_type, o.to_id) = p.pair) AS w"
					" CROSS JOIN LATERAL unnest(w.ids%s) AS u (id%s)"
					" WHERE w.undone"
					" AND (SELECT d.id FROM %s.hs_assoc_doubt AS d WHERE d.pair = p.pair"
					"  ORDER BY d.pair, d.id LIMIT 1) IS NULL"
					" AND (SELECT l.id FROM %s.hs_assoc_dead_letter AS l"
					"  WHERE %s.hs_assoc_pair(l.server, l.from_type, l.from_id, l.to_type, l.to_id) = p.pair"
					"  LIMIT 1) IS NULL), "
					"gone AS (DELETE FROM %s.hs_assoc_outbox AS o"
					" WHERE o.id = ANY (ARRAY(SELECT b.id FROM back AS b))) ",
					rows,
					has_type ? ", array_agg(r.type) AS types" : "",
					schema,
					has_type ? ", u.type" : "",
					has_type ? psprintf(", array_agg(o.%s[1]) AS types", types) : "",
					same_types,
					schema, schema,
					has_type ? ", w.types" : "", has_type ? ", type" : "",
					schema, schema, schema, schema);
}

/* The rows that are left, in their order. */
static char *
remaining_rows(const HubspotDelta *delta)
{
	return psprintf("SELECT r.* FROM all_rows AS r LEFT JOIN back AS b"
					" ON r.added AND b.from_id = r.from_id AND b.to_id = r.to_id%s"
					" WHERE b.id IS NULL ORDER BY r.added",
					delta->ncolumns > HUBSPOT_COLUMN_TYPE ? " AND b.type = r.type" : "");
}
