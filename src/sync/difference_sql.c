/*-------------------------------------------------------------------------
 *
 * difference_sql.c
 *	  Which of the differences from HubSpot a link table has rows for.
 *
 * IDENTIFICATION
 *	  src/sync/difference_sql.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "hubspot.h"
#include "sync/difference_sql.h"

static char *has_name(const HubspotDelta *delta, int column, const char *object_type,
					  const char *given);
static const char *found_by_index(const HubspotDeltaColumn *column, const char *name);
static char *same_type(const HubspotDelta *delta);

/*
 * The numbers of the differences whose pair and type the table has, as it is now; reverse:
 * whose pair alone, since their types are those of the other direction.  A pair as a whole is
 * there with any type, and so is the default type where another one is.
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
	char	   *value = hubspot_delta_id_text("l", &delta->columns[column]);
	char	   *name = psprintf("%s COLLATE pg_catalog.\"C\"", given);
	char	   *normal = hubspot_delta_normal_key(object_type, value);

	if (normal == NULL)
		return psprintf("%s OPERATOR(pg_catalog.=) %s%s", value, name,
						found_by_index(&delta->columns[column], given));
	return psprintf("%s OPERATOR(pg_catalog.=) %s", normal, hubspot_delta_normal_key(object_type, name));
}

/*
 * What is true wherever a column's value in l is that name, in a form for which an index on
 * the column can be used.  A name that cannot be one of its values is not converted.
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
		label = hubspot_delta_type_value(delta, "l");
	if (label)
		return psprintf("(d.label IS NULL OR %s OPERATOR(pg_catalog.=) %s)%s",
						hubspot_delta_folded(label), hubspot_delta_folded("d.label"), in_category);
	return psprintf("d.type_id OPERATOR(pg_catalog.=) %s%s",
					sync->type_id ? psprintf("%d", sync->type_id) : hubspot_delta_type_value(delta, "l"),
					in_category);
}
