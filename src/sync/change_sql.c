/*-------------------------------------------------------------------------
 *
 * change_sql.c
 *	  The rows that are added to a link table or removed from it, in SQL, and
 *	  the statement that puts them into the outbox.
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
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "outbox/history.h"
#include "schema/extension.h"
#include "sync/change_sql.h"

/*
 * The value of a group's new rows.  All rows of a group are alike, unless they have one key in
 * several spellings.
 */
#define NEWEST(value)	"(pg_catalog.array_agg(" value " ORDER BY c.sign DESC))[1]"

/*
 * Of so many rows that wait for a pair, besides four for each one that a statement adds, it is
 * found out whether they are undone.
 */
#define MOST_WAITING	"1000"

static char *changed_rows(const HubspotDelta *delta, HubspotDeltaSource source,
						  const Oid *keys);
static char *difference(const HubspotDelta *delta, const Oid *keys);
static void find_keys(const HubspotDelta *delta, Oid *keys);
static char *checked_labels(const HubspotDelta *delta, const char *rows, const Oid *keys);
static char *same_pair(const HubspotDelta *delta, const Oid *keys);
static void append_key(StringInfo sql, const HubspotDelta *delta, int column, const Oid *keys);
static char *undone_removals(const HubspotDelta *delta, const char *schema,
							 const char *rows);
static char *remaining_rows(const HubspotDelta *delta);

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
			return hubspot_delta_rows_of(delta, HUBSPOT_NEW_ROWS, "true AS added", false, keys);
		case HUBSPOT_DELETED:
			return hubspot_delta_rows_of(delta, HUBSPOT_OLD_ROWS, "false AS added", false, keys);
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
	const char *from_key = hubspot_delta_normal_key(delta->sync->from_type, "c.from_id");
	const char *to_key = hubspot_delta_normal_key(delta->sync->to_type, "c.to_id");
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
					hubspot_delta_rows_of(delta, HUBSPOT_NEW_ROWS, "1 AS sign", false, keys),
					hubspot_delta_rows_of(delta, HUBSPOT_OLD_ROWS, "-1 AS sign", false, keys),
					from_key ? from_key : "c.from_id", to_key ? to_key : "c.to_id",
					type);
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
	if (hubspot_delta_is_label(delta))
		return checked_labels(delta, changed_rows(delta, source, keys), keys);
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT r.from_id, r.to_id, %sr.added FROM (%s) AS r "
					 "WHERE r.added OPERATOR(pg_catalog.=) EXISTS ("
					 "SELECT FROM %s AS l WHERE %s",
					 has_type ? "r.type, " : "", changed_rows(delta, source, keys),
					 hubspot_link_name(delta->sync->link_table), same_pair(delta, keys));
	if (has_type)
		appendStringInfo(&sql, " AND %s OPERATOR(pg_catalog.=) r.type",
						 hubspot_delta_type_value(delta, "l"));
	if (has_type && OidIsValid(keys[HUBSPOT_COLUMN_TYPE]))
		append_key(&sql, delta, HUBSPOT_COLUMN_TYPE, keys);
	appendStringInfoString(&sql, ") ORDER BY r.added");
	return sql.data;
}

/*
 * Likewise, of labels.  A label may be there in another case, which no index finds.  So the
 * rows of each pair are read once, however many of its labels have changed, and sorted with
 * these.
 */
static char *
checked_labels(const HubspotDelta *delta, const char *rows, const Oid *keys)
{
	StringInfoData columns;

	initStringInfo(&columns);
	for (int i = 0; i < HUBSPOT_COLUMN_TYPE; i++)
	{
		if (OidIsValid(keys[i]))
			appendStringInfo(&columns, ", (pg_catalog.array_agg(r.key%d))[1] AS key%d", i, i);
	}
	return psprintf("WITH changed AS MATERIALIZED (SELECT r.*, pg_catalog.row_number() OVER () AS no FROM (%s) AS r) "
					"SELECT w.from_id, w.to_id, w.type, w.added FROM ("
					"SELECT u.*, pg_catalog.bool_or(u.added IS NULL)"
					" OVER (PARTITION BY u.from_id, u.to_id, u.folded) AS is_there FROM ("
					"SELECT r.from_id, r.to_id, r.type, %s AS folded, r.added, r.no FROM changed AS r"
					" UNION ALL SELECT r.from_id, r.to_id, NULL, %s, NULL, NULL"
					" FROM (SELECT r.from_id, r.to_id%s FROM changed AS r"
					" GROUP BY r.from_id, r.to_id) AS r"
					" JOIN %s AS l ON %s) AS u) AS w "
					"WHERE w.added OPERATOR(pg_catalog.=) w.is_there ORDER BY w.added, w.no",
					rows, hubspot_delta_folded("r.type"),
					hubspot_delta_folded(hubspot_delta_type_value(delta, "l")), columns.data,
					hubspot_link_name(delta->sync->link_table), same_pair(delta, keys));
}

/* The condition that a row l of the table is of the pair of a changed one, r. */
static char *
same_pair(const HubspotDelta *delta, const Oid *keys)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "%s OPERATOR(pg_catalog.=) r.from_id AND %s OPERATOR(pg_catalog.=) r.to_id",
					 hubspot_delta_id_text("l", &delta->columns[HUBSPOT_COLUMN_FROM]),
					 hubspot_delta_id_text("l", &delta->columns[HUBSPOT_COLUMN_TO]));
	for (int i = 0; i < HUBSPOT_COLUMN_TYPE; i++)
	{
		if (OidIsValid(keys[i]))
			append_key(&sql, delta, i, keys);
	}
	return sql.data;
}

/* Append the condition by which an index on a column finds rows. */
static void
append_key(StringInfo sql, const HubspotDelta *delta, int column, const Oid *keys)
{
	Oid			type = delta->columns[column].type;

	appendStringInfoString(sql, " AND ");
	generate_operator_clause(sql, psprintf("l.%s", delta->columns[column].name), type, keys[column],
							 psprintf("r.key%d", column), type);
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

/*
 * The statement that inserts such rows, if they have no nulls.  change.c has
 * its parameters.
 *
 * sorted: in the order of their places in the index of pairs, removals first.
 *
 * net: added rows are left out if only removals of the same, by this transaction, wait for
 * their pairs; these removals are deleted, too.  HubSpot then has what the table had before,
 * unless an operation on the pair was refused, or may still be done.
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
 * The WITH clause: all rows, the pairs that are added, what waits for them, both together,
 * and the deletion of the removals that are undone.  A pair may have any number of types: so
 * these are sorted, and not compared with each other.  But what waits for a pair is looked at
 * again by each statement that adds to it; if that is much more than what it adds, it is left
 * as it is, which comes to the same.
 */
static char *
undone_removals(const HubspotDelta *delta, const char *schema, const char *rows)
{
	bool		has_type = delta->ncolumns > HUBSPOT_COLUMN_TYPE;
	const char *types = hubspot_delta_is_label(delta) ? "labels" : "type_ids";
	const char *type = has_type ? ", type" : "";
	const char *same_types = "o.type_ids IS NOT DISTINCT FROM $7 AND o.labels IS NOT DISTINCT FROM $9";

	if (has_type)
		same_types = psprintf("o.%s = ARRAY[o.%s[1]] AND o.%s IS NULL", types, types,
							  hubspot_delta_is_label(delta) ? "type_ids" : "labels");
	return psprintf("WITH all_rows AS MATERIALIZED (SELECT r.*, row_number() OVER () AS no FROM (%s) AS r), "
					"pairs AS MATERIALIZED (SELECT r.from_id, r.to_id, count(*) AS nrows,"
					" %s.hs_assoc_pair($1, $5, r.from_id, $6, r.to_id) AS pair"
					" FROM all_rows AS r WHERE r.added GROUP BY r.from_id, r.to_id), "
					"both_kinds AS (SELECT from_id, to_id%s, added, no, NULL::bigint AS id, NULL::bool AS same,"
					" NULL::bigint AS most FROM all_rows"
					" UNION ALL SELECT p.from_id, p.to_id%s, NULL, NULL, o.id, o.xmin = ANY ($12)"
					" AND coalesce(o.link_table = $11, false)"
					" AND o.operation = $4 AND o.server = $1 AND o.role = $2"
					" AND o.from_type = $5 AND o.to_type = $6"
					" AND o.from_id = p.from_id AND o.to_id = p.to_id"
					" AND o.category IS NOT DISTINCT FROM $8 AND %s, 4 * p.nrows + " MOST_WAITING
					" FROM pairs AS p CROSS JOIN LATERAL (SELECT o.xmin, o.* FROM %s.hs_assoc_outbox AS o"
					" WHERE %s.hs_assoc_pair(o.server, o.from_type, o.from_id, o.to_type, o.to_id) = p.pair"
					" LIMIT 4 * p.nrows + " MOST_WAITING " + 1) AS o"
					" WHERE (SELECT d.id FROM %s.hs_assoc_doubt AS d WHERE d.pair = p.pair"
					"  ORDER BY d.pair, d.id LIMIT 1) IS NULL"
					" AND (SELECT l.id FROM %s.hs_assoc_dead_letter AS l"
					"  WHERE %s.hs_assoc_pair(l.server, l.from_type, l.from_id, l.to_type, l.to_id) = p.pair"
					"  LIMIT 1) IS NULL), "
					"typed AS (SELECT *, coalesce(bool_or(added) OVER same_type, false) AS is_added,"
					" bool_or(id IS NOT NULL) OVER same_type AS is_removed"
					" FROM both_kinds WINDOW same_type AS (PARTITION BY from_id, to_id%s)), "
					"decided AS MATERIALIZED (SELECT from_id, to_id%s, added, no, id, is_removed"
					" AND bool_and(CASE WHEN id IS NOT NULL THEN same AND is_added END) OVER same_pair"
					" AND count(id) OVER same_pair <= max(most) OVER same_pair AS undone"
					" FROM typed WINDOW same_pair AS (PARTITION BY from_id, to_id)), "
					"gone AS (DELETE FROM %s.hs_assoc_outbox AS o"
					" WHERE o.id = ANY (ARRAY(SELECT d.id FROM decided AS d WHERE d.id IS NOT NULL AND d.undone))) ",
					rows, schema, type,
					has_type ? psprintf(", o.%s[1]", types) : "",
					same_types, schema, schema, schema, schema, schema, type, type, schema);
}

/* The rows that are left, in their order. */
static char *
remaining_rows(const HubspotDelta *delta)
{
	return psprintf("SELECT from_id, to_id%s, added FROM decided"
					" WHERE added IS NOT NULL AND NOT (added AND coalesce(undone, false)) ORDER BY added, no",
					delta->ncolumns > HUBSPOT_COLUMN_TYPE ? ", type" : "");
}
