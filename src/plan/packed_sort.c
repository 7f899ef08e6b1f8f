/*-------------------------------------------------------------------------
 *
 * packed_sort.c
 *	  Packed rows in the order of their bytes.
 *
 * This is the server's own sort, which goes to disk beyond work_mem.  Rows are bytea, whose
 * first eight bytes are compared without looking at the rest.
 *
 * IDENTIFICATION
 *	  src/plan/packed_sort.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
#include "utils/tuplesort.h"

#include "base/compat.h"
#include "plan/packed_sort.h"

/* Room for a row at first. */
#define FIRST_SIZE	256

struct HubspotPackedSort
{
	Tuplesortstate *state;
	MemoryContext context;
	bytea	   *row;			/* that is being packed */
	int			size;			/* of its room */
	void	   *last;			/* that was got; or NULL */
};

/* Begin a sort in a memory context; hubspot_packed_sort_end() ends it. */
HubspotPackedSort *
hubspot_packed_sort_create(MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	HubspotPackedSort *sort = palloc0(sizeof(HubspotPackedSort));
	const TypeCacheEntry *type = lookup_type_cache(BYTEAOID, TYPECACHE_LT_OPR);

	sort->context = context;
	sort->state = tuplesort_begin_datum(BYTEAOID, type->lt_opr, InvalidOid, false,
										work_mem, NULL, TUPLESORT_NONE);
	sort->size = FIRST_SIZE;
	sort->row = palloc(VARHDRSZ + sort->size);
	MemoryContextSwitchTo(old);
	return sort;
}

/* Room for the bytes of the next row. */
char *
hubspot_packed_sort_room(HubspotPackedSort *sort, int size)
{
	if (size > sort->size)
	{
		sort->size = size + FIRST_SIZE;
		sort->row = repalloc(sort->row, VARHDRSZ + sort->size);
	}
	return VARDATA(sort->row);
}

/* Put the row in that room, which ends there; it is copied. */
void
hubspot_packed_sort_put(HubspotPackedSort *sort, const char *end)
{
	Assert(end <= VARDATA(sort->row) + sort->size);
	SET_VARSIZE(sort->row, end - (const char *) sort->row);
	tuplesort_putdatum(sort->state, PointerGetDatum(sort->row), false);
}

void
hubspot_packed_sort_perform(HubspotPackedSort *sort)
{
	tuplesort_performsort(sort->state);
}

/* Get the next row, valid until the one after it.  False: there is none. */
bool
hubspot_packed_sort_next(HubspotPackedSort *sort, HubspotSlice *row)
{
	MemoryContext old = MemoryContextSwitchTo(sort->context);
	Datum		datum;
	bool		isnull;
	bool		found;

	if (sort->last)
		pfree(sort->last);
	sort->last = NULL;
	found = hubspot_tuplesort_getdatum(sort->state, &datum, &isnull);
	MemoryContextSwitchTo(old);
	if (!found)
		return false;
	sort->last = DatumGetPointer(datum);
	row->data = VARDATA_ANY(sort->last);
	row->len = VARSIZE_ANY_EXHDR(sort->last);
	return true;
}

void
hubspot_packed_sort_end(HubspotPackedSort *sort)
{
	tuplesort_end(sort->state);
}
