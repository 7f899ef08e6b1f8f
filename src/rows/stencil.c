/*-------------------------------------------------------------------------
 *
 * stencil.c
 *	  Rows into a tuplestore that differ only in their number and their ids.
 *
 * Forming a tuple of some ten columns is a good part of what a row costs, and most rows of
 * a batch differ only in their number and the digits of their ids.  So the tuple of such a
 * row is kept, as a stencil: the next row's number and ids are written over it, and the
 * tuplestore gets a copy.
 *
 * Ids of other lengths put what follows them in other places, so there is a stencil for
 * each combination of the two lengths.  A stencil is only cut for the second row that it
 * would have served: rows that keep changing cost a comparison.  A caller that knows
 * beforehand that a row is of the same kind as an earlier one need not even say what is in
 * its columns.
 *
 * IDENTIFICATION
 *	  src/rows/stencil.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/tuptable.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "rows/stencil.h"

/* Stencils are found by lengths of ids modulo this: similar lengths do not collide. */
#define LENGTHS			4

/* The most columns of a row; none of our row types has more. */
#define MAX_COLUMNS		16

typedef struct Stencil
{
	/*
	 * the row that it stands for; pointers are compared, not what they point
	 * to
	 */
	Datum		values[MAX_COLUMNS];
	bool		isnull[MAX_COLUMNS];
	int			from_len;		/* 0: there was no row */
	int			to_len;
	uint64		kind;			/* of the last row that was like it */

	MinimalTuple tuple;			/* or NULL: not cut yet */
	char	   *no;				/* places in it */
	char	   *from_id;
	char	   *to_id;
} Stencil;

struct HubspotStencils
{
	MemoryContext context;
	TupleDesc	tupdesc;
	TupleTableSlot *slot;
	const Stencil *stored;		/* whose tuple is in the slot, or NULL */
	Stencil		stencils[LENGTHS][LENGTHS];
};

static void put(HubspotStencils *stencils, Stencil *stencil,
				Tuplestorestate *tupstore, int64 no, const char *from_id,
				const char *to_id);
static bool is_like(const Stencil *stencil, int ncolumns, const Datum *values,
					const bool *isnull);
static void note_row(Stencil *stencil, int ncolumns, const Datum *values,
					 const bool *isnull);
static void cut(HubspotStencils *stencils, Stencil *stencil, Datum *values,
				bool *isnull);

#define ID_LEN(datum)	VARSIZE_ANY_EXHDR(DatumGetPointer(datum))
#define ID_DATA(datum)	VARDATA_ANY(DatumGetPointer(datum))

/* Create stencils for rows of a type, in context. */
HubspotStencils *
hubspot_stencils_create(MemoryContext context, TupleDesc tupdesc)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	HubspotStencils *stencils = palloc0(sizeof(HubspotStencils));

	Assert(tupdesc->natts <= MAX_COLUMNS);
	stencils->context = context;
	stencils->tupdesc = tupdesc;
	stencils->slot = MakeSingleTupleTableSlot(tupdesc, &TTSOpsMinimalTuple);
	MemoryContextSwitchTo(old);
	return stencils;
}

/*
 * Put a row, none of whose first three columns is null.  Of the other columns, values by
 * reference are taken for the same as before if they are in the same place: call
 * hubspot_stencils_forget() when something else may be there.  Rows of one kind, other
 * than 0, have the same values in these columns.
 */
void
hubspot_stencils_put(HubspotStencils *stencils, Tuplestorestate *tupstore,
					 Datum *values, bool *isnull, uint64 kind)
{
	int			ncolumns = stencils->tupdesc->natts;
	int			from_len = ID_LEN(values[HUBSPOT_STENCIL_FROM_ID]);
	int			to_len = ID_LEN(values[HUBSPOT_STENCIL_TO_ID]);
	Stencil    *stencil = &stencils->stencils[from_len % LENGTHS][to_len % LENGTHS];
	int64		no = DatumGetInt64(values[HUBSPOT_STENCIL_NO]);

	if (stencil->from_len != from_len || stencil->to_len != to_len ||
		!is_like(stencil, ncolumns, values, isnull))
	{
		if (stencils->stored == stencil)
			stencils->stored = NULL;
		note_row(stencil, ncolumns, values, isnull);
		tuplestore_putvalues(tupstore, stencils->tupdesc, values, isnull);
		return;
	}
	if (stencil->tuple == NULL)
		cut(stencils, stencil, values, isnull);
	stencil->kind = kind;
	put(stencils, stencil, tupstore, no, ID_DATA(values[HUBSPOT_STENCIL_FROM_ID]),
		ID_DATA(values[HUBSPOT_STENCIL_TO_ID]));
}

/*
 * Put a row of which only this is known.  False: there is no stencil for its kind and its
 * ids.
 */
bool
hubspot_stencils_put_kind(HubspotStencils *stencils, Tuplestorestate *tupstore,
						  uint64 kind, int64 no, HubspotSlice from_id,
						  HubspotSlice to_id)
{
	Stencil    *stencil = &stencils->stencils[from_id.len % LENGTHS][to_id.len % LENGTHS];

	if (kind == 0 || stencil->kind != kind || stencil->tuple == NULL ||
		stencil->from_len != from_id.len || stencil->to_len != to_id.len)
		return false;
	put(stencils, stencil, tupstore, no, from_id.data, to_id.data);
	return true;
}

/* Put the row that a stencil makes with this number and these ids, whose lengths fit. */
static void
put(HubspotStencils *stencils, Stencil *stencil, Tuplestorestate *tupstore,
	int64 no, const char *from_id, const char *to_id)
{
	memcpy(stencil->no, &no, sizeof(no));
	(void) hubspot_copy_bytes(stencil->from_id, from_id, stencil->from_len);
	(void) hubspot_copy_bytes(stencil->to_id, to_id, stencil->to_len);
	if (stencils->stored != stencil)
		ExecStoreMinimalTuple(stencil->tuple, stencils->slot, false);
	stencils->stored = stencil;
	tuplestore_puttupleslot(tupstore, stencils->slot);
}

/* Does a row have the same values in all columns that a stencil does not replace? */
static bool
is_like(const Stencil *stencil, int ncolumns, const Datum *values,
		const bool *isnull)
{
	for (int i = HUBSPOT_STENCIL_FIRST_OTHER; i < ncolumns; i++)
	{
		if (stencil->isnull[i] != isnull[i] ||
			(!isnull[i] && stencil->values[i] != values[i]))
			return false;
	}
	return true;
}

/* Let a stencil stand for a row. */
static void
note_row(Stencil *stencil, int ncolumns, const Datum *values,
		 const bool *isnull)
{
	if (stencil->tuple)
		pfree(stencil->tuple);
	stencil->tuple = NULL;
	stencil->kind = 0;
	stencil->from_len = ID_LEN(values[HUBSPOT_STENCIL_FROM_ID]);
	stencil->to_len = ID_LEN(values[HUBSPOT_STENCIL_TO_ID]);
	memcpy(stencil->values, values, sizeof(Datum) * ncolumns);
	memcpy(stencil->isnull, isnull, sizeof(bool) * ncolumns);
}

/* Make a stencil of a row, and find the places that change. */
static void
cut(HubspotStencils *stencils, Stencil *stencil, Datum *values, bool *isnull)
{
	MemoryContext old = MemoryContextSwitchTo(stencils->context);
	HeapTupleHeader header;
	TupleTableSlot *slot = stencils->slot;

	stencil->tuple = hubspot_form_minimal_tuple(stencils->tupdesc, values, isnull);
	header = (HeapTupleHeader) ((char *) stencil->tuple - MINIMAL_TUPLE_OFFSET);
	ExecStoreMinimalTuple(stencil->tuple, slot, false);
	stencils->stored = stencil;
	slot_getsomeattrs(slot, HUBSPOT_STENCIL_FIRST_OTHER);
	/* the first column is where the data begin */
	stencil->no = (char *) header + header->t_hoff;
	stencil->from_id = ID_DATA(slot->tts_values[HUBSPOT_STENCIL_FROM_ID]);
	stencil->to_id = ID_DATA(slot->tts_values[HUBSPOT_STENCIL_TO_ID]);
	MemoryContextSwitchTo(old);
}

/* Forget all rows: what their pointers point to may be something else from now on. */
void
hubspot_stencils_forget(HubspotStencils *stencils)
{
	for (int i = 0; i < LENGTHS; i++)
	{
		for (int j = 0; j < LENGTHS; j++)
			stencils->stencils[i][j].from_len = 0;
	}
}
