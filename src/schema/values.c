/*-------------------------------------------------------------------------
 *
 * values.c
 *	  Values into statements, and out of their rows.
 *
 * IDENTIFICATION
 *	  src/schema/values.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "utils/builtins.h"

#include "schema/values.h"

/* Set a parameter to a copy of a text, palloc'd; NULL is null. */
void
hubspot_set_text(HubspotValues *values, int parameter, const char *value)
{
	if (value)
		hubspot_set_datum(values, parameter, CStringGetTextDatum(value));
	else
		hubspot_set_null(values, parameter);
}

/* Set a parameter to null again, in values that are used for several runs. */
void
hubspot_set_null(HubspotValues *values, int parameter)
{
	values->given[parameter] = false;
}

/*
 * Take a tuple apart, all columns at once: to find one, those before it have
 * to be looked at.
 */
void
hubspot_take_apart(HeapTuple tuple, TupleDesc tupdesc, HubspotRow *row)
{
	if (tupdesc->natts > HUBSPOT_MAX_COLUMNS)
		elog(ERROR, "unexpected number of columns: %d", tupdesc->natts);
	heap_deform_tuple(tuple, tupdesc, row->values, row->isnull);
}

/* Read one of the rows of a statement. */
void
hubspot_read_row(const HubspotRows *rows, uint64 number, HubspotRow *row)
{
	Assert(number < rows->count);
	hubspot_take_apart(rows->tuples[number], rows->tupdesc, row);
}

/* Get a text: a copy, palloc'd, as are the slices and arrays below. */
char *
hubspot_get_text(const HubspotRow *row, int column)
{
	return unconstify(char *, hubspot_get_slice(row, column).data);
}

/* Likewise, as a slice; the text ends with a NUL. */
HubspotSlice
hubspot_get_slice(const HubspotRow *row, int column)
{
	HubspotSlice slice = {NULL, 0};

	if (!row->isnull[column])
	{
		text	   *packed = DatumGetTextPP(row->values[column]);
		char	   *copy;

		slice.len = VARSIZE_ANY_EXHDR(packed);
		copy = palloc(slice.len + 1);
		memcpy(copy, VARDATA_ANY(packed), slice.len);
		copy[slice.len] = '\0';
		slice.data = copy;
	}
	return slice;
}

ArrayType *
hubspot_get_array(const HubspotRow *row, int column)
{
	return row->isnull[column] ? NULL : DatumGetArrayTypePCopy(row->values[column]);
}

/* Is the column that text? */
bool
hubspot_equals_text(const HubspotRow *row, int column, const char *expected)
{
	size_t		len = strlen(expected);
	text	   *value;

	if (row->isnull[column])
		return false;
	value = DatumGetTextPP(row->values[column]);
	return VARSIZE_ANY_EXHDR(value) == len &&
		memcmp(VARDATA_ANY(value), expected, len) == 0;
}

/*
 * How many bytes a text or an array has.  It is neither fetched from TOAST nor
 * decompressed.
 */
Size
hubspot_get_size(const HubspotRow *row, int column)
{
	return row->isnull[column] ? 0 : toast_raw_datum_size(row->values[column]) - VARHDRSZ;
}
