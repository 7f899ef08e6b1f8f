/*-------------------------------------------------------------------------
 *
 * row_ids.c
 *	  Ids of rows of the outbox, into statements and out of them.
 *
 * IDENTIFICATION
 *	  src/outbox/row_ids.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "outbox/row_ids.h"

static int	compare_ids(const void *a, const void *b);

/* The ids as an int8[], palloc'd. */
Datum
hubspot_row_ids(const int64 *ids, int nids)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(nids, 1));

	for (int i = 0; i < nids; i++)
		elements[i] = Int64GetDatum(ids[i]);
	return hubspot_array_of(elements, nids, INT8OID);
}

/*
 * Put those ids that are not in a column of a statement's rows into left,
 * which may be ids itself.  Returns how many there are.
 */
int
hubspot_row_ids_without(const int64 *ids, int nids, const HubspotRows *rows,
						int column, int64 *left)
{
	int			nrows = (int) rows->count;
	int64	   *others = palloc(sizeof(int64) * Max(nrows, 1));
	int			nleft = 0;

	for (int i = 0; i < nrows; i++)
	{
		HubspotRow	row;

		hubspot_read_row(rows, i, &row);
		others[i] = hubspot_get_int64(&row, column);
	}
	qsort(others, nrows, sizeof(int64), compare_ids);
	for (int i = 0; i < nids; i++)
	{
		if (bsearch(&ids[i], others, nrows, sizeof(int64), compare_ids) == NULL)
			left[nleft++] = ids[i];
	}
	pfree(others);
	return nleft;
}

static int
compare_ids(const void *a, const void *b)
{
	int64		one = *(const int64 *) a;
	int64		other = *(const int64 *) b;

	return one < other ? -1 : one > other;
}
