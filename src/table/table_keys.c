/*-------------------------------------------------------------------------
 *
 * table_keys.c
 *	  Values of conditions to ids and keys of records, and back to columns.
 *
 * A column of ids holds each record's id, or its key in the normal form, and equality is
 * SQL's.  So a value that no record can have names none.  A value that is a key in another
 * form is a mistake that would silently find nothing: that is an ERROR, which says how to
 * compare.
 *
 * IDENTIFICATION
 *	  src/table/table_keys.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "api/endpoint.h"
#include "base/compat.h"
#include "base/digits.h"
#include "base/shown.h"
#include "json/text.h"
#include "table/table_keys.h"

/* Digits of a bigint, with a sign and a NUL. */
#define BIGINT_SIZE		(MAXINT8LEN + 1)

static void take_key(const HubspotTable *table, HubspotTableSide side, Datum value, Oid type,
					 HubspotTakeKey take, void *state);
static bool is_normal(const HubspotTable *table, HubspotTableSide side, HubspotSlice key);
static HubspotSlice trim(HubspotSlice text);
static void throw_not_normal(const HubspotTable *table, HubspotTableSide side,
							 HubspotSlice key, HubspotSlice normal) pg_attribute_noreturn();

/*
 * Give the records that a value names, of a text or an integer or an array of these, to
 * take(), which copies them.
 */
void
hubspot_table_take_keys(const HubspotTable *table, HubspotTableSide side, Datum value,
						Oid type, HubspotTakeKey take, void *state)
{
	Oid			element_type = get_base_element_type(type);
	ArrayIterator iterator;
	Datum		element;
	bool		isnull;

	if (!OidIsValid(element_type))
	{
		take_key(table, side, value, type, take, state);
		return;
	}
	iterator = array_create_iterator(DatumGetArrayTypeP(value), 0, NULL);
	while (array_iterate(iterator, &element, &isnull))
	{
		CHECK_FOR_INTERRUPTS();
		if (!isnull)
			take_key(table, side, element, element_type, take, state);
	}
	array_free_iterator(iterator);
}

/* Give one record to take(), if the value can name one. */
static void
take_key(const HubspotTable *table, HubspotTableSide side, Datum value, Oid type,
		 HubspotTakeKey take, void *state)
{
	char		digits[BIGINT_SIZE];
	HubspotSlice key = {digits, 0};

	switch (type)
	{
		case INT8OID:
			key.len = pg_lltoa(DatumGetInt64(value), digits);
			break;
		case INT4OID:
			key.len = pg_lltoa(DatumGetInt32(value), digits);
			break;
		case INT2OID:
			key.len = pg_lltoa(DatumGetInt16(value), digits);
			break;
		default:
			{
				text	   *packed = DatumGetTextPP(value);

				key.data = VARDATA_ANY(packed);
				key.len = VARSIZE_ANY_EXHDR(packed);
				break;
			}
	}
	if (is_normal(table, side, key))
		take(state, key);
}

/*
 * Can a column of the side hold this key?  ERROR if it is one in another form than the
 * column has it.
 */
static bool
is_normal(const HubspotTable *table, HubspotTableSide side, HubspotSlice key)
{
	const HubspotObjectType *type = hubspot_table_type(table, side);
	HubspotSlice normal;

	if (type->property == NULL)
	{
		normal = trim(key);
		if (hubspot_id_problem(normal.data, normal.len) != NULL)
			return false;
	}
	else
	{
		char		buffer[HUBSPOT_NORMAL_SIZE];

		if (hubspot_key_problem(key) != NULL)
			return false;
		normal = hubspot_key_normalize(type, key, buffer);
		normal.data = hubspot_text_from_utf8(normal.data, normal.len);
		normal.len = strlen(normal.data);
	}
	if (!hubspot_same_id(normal, key))
		throw_not_normal(table, side, key, normal);
	return true;
}

/* A text without the white space around it. */
static HubspotSlice
trim(HubspotSlice text)
{
	while (text.len > 0 && (text.data[0] == ' ' || (text.data[0] >= '\t' && text.data[0] <= '\r')))
		text.data++, text.len--;
	while (text.len > 0 && (text.data[text.len - 1] == ' ' ||
							(text.data[text.len - 1] >= '\t' && text.data[text.len - 1] <= '\r')))
		text.len--;
	return text;
}

static void
throw_not_normal(const HubspotTable *table, HubspotTableSide side, HubspotSlice key,
				 HubspotSlice normal)
{
	const char *column = quote_identifier(hubspot_table_column(table, (HubspotTableRole) side));
	bool		folds = hubspot_table_type(table, side)->folds;

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("a condition on %s of foreign table %s has \"%s\", which the column holds in another form",
					column, table->name, hubspot_shown(pnstrdup(key.data, key.len))),
			 errdetail("The column holds \"%s\".",
					   hubspot_shown(pnstrdup(normal.data, normal.len))),
			 errhint("Compare %s with %s, where ... is what it is compared with now.", column,
					 folds ? "lower(btrim(...))" : "btrim(...)")));
}

/* An id or a key, as the column of its side has it. */
Datum
hubspot_table_id_datum(const HubspotTable *table, HubspotTableSide side, HubspotSlice id)
{
	if (table->id_types[side] == TEXTOID)
		return PointerGetDatum(cstring_to_text_with_len(id.data, id.len));
	if (id.len > 0 && id.len < BIGINT_SIZE && hubspot_all_digits(id.data + (id.data[0] == '-'),
																 id.len - (id.data[0] == '-')))
	{
		char		digits[BIGINT_SIZE];
		char	   *end;
		int64		number;

		memcpy(digits, id.data, id.len);
		digits[id.len] = '\0';
		errno = 0;
		number = strtoi64(digits, &end, 10);
		if (errno == 0 && *end == '\0')
			return Int64GetDatum(number);
	}
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("column %s of foreign table %s is of type bigint, and \"%s\" is not one",
					quote_identifier(hubspot_table_column(table, (HubspotTableRole) side)), table->name,
					hubspot_shown(pnstrdup(id.data, id.len))),
			 errhint("Make the column of type text.")));
}
