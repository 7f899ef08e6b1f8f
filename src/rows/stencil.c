/*-------------------------------------------------------------------------
 *
 * stencil.c
 *	  Rows into a tuplestore that differ only in their number and their ids.
 *
 * Forming a tuple of some ten columns is a good part of what a row costs, and most rows of
 * a batch differ only in their number and their ids.  So the tuple of such a row is kept,
 * as a stencil: the next row's number and ids are written into it, and the tuplestore gets
 * a copy.
 *
 *		number | from_id | to_id | the middle: all other columns | from_record | to_record
 *
 * Ids may be of any length up to MAX_ID.  What follows them moves as a whole, and stays as
 * it is if the middle is aligned as before.  So there is a stencil for each alignment of the
 * middle.  A stencil is only cut for the second row that it would have served: rows that
 * keep changing cost no more than a comparison.  A caller that knows beforehand that a row
 * is of the same kind as an earlier one need not even say what is in its columns.
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

/* The most columns of a row; none of our row types has more. */
#define MAX_COLUMNS		16

/* The most bytes of an id: a text that is no longer has a header of a single byte in a row. */
#define MAX_ID			((int) (VARATT_SHORT_MAX - VARHDRSZ_SHORT))

typedef struct Stencil
{
	/*
	 * the row that it stands for; pointers are compared, not what they point
	 * to
	 */
	Datum		values[MAX_COLUMNS];
	bool		isnull[MAX_COLUMNS];
	bool		is_used;		/* there was a row */
	uint64		kind;			/* of the last row that was like it; 0: none */

	MinimalTuple tuple;			/* with room for the longest ids; or NULL: not
								 * cut yet */
	char	   *no;				/* in the tuple, where the data begin */
	char	   *middle;			/* a copy */
	int			middle_len;
	const char *place;			/* of the middle in the tuple */
} Stencil;

struct HubspotStencils
{
	MemoryContext context;
	TupleDesc	tupdesc;
	int			first_record;	/* the first column with a record's id; if
								 * there is none, the number of columns */
	TupleTableSlot *slot;
	const Stencil *stored;		/* whose tuple is in the slot, or NULL */
	Stencil		stencils[MAXIMUM_ALIGNOF];	/* by what the middle is aligned
											 * to */
};

static void read_row(const HubspotStencils *stencils, const Datum *values,
					 const bool *isnull, HubspotStencilRow *row);
static HubspotSlice read_id(const Datum *values, const bool *isnull, int column);
static void put(HubspotStencils *stencils, Stencil *stencil,
				Tuplestorestate *tupstore, const HubspotStencilRow *row);
static bool is_like(const HubspotStencils *stencils, const Stencil *stencil,
					const Datum *values, const bool *isnull);
static void note_row(HubspotStencils *stencils, Stencil *stencil, const Datum *values,
					 const bool *isnull);
static void cut(HubspotStencils *stencils, Stencil *stencil, Datum *values,
				bool *isnull, const HubspotStencilRow *row);

/* The bytes of an id in a row. */
static inline int
id_size(HubspotSlice id)
{
	return id.data ? VARHDRSZ_SHORT + id.len : 0;
}

/* Can a stencil serve a row with these ids? */
static inline bool
ids_fit(const HubspotStencilRow *row)
{
	return row->from_id.data && row->from_id.len <= MAX_ID &&
		row->to_id.data && row->to_id.len <= MAX_ID &&
		(row->from_record.data == NULL || row->from_record.len <= MAX_ID) &&
		(row->to_record.data == NULL || row->to_record.len <= MAX_ID);
}

/* The stencil of rows whose middle is aligned as that of a row with these ids. */
static inline Stencil *
find_stencil(HubspotStencils *stencils, const HubspotStencilRow *row)
{
	int			place = sizeof(int64) + id_size(row->from_id) + id_size(row->to_id);

	return &stencils->stencils[place % MAXIMUM_ALIGNOF];
}

/*
 * Create stencils for rows of a type, in context.  If the type has records, the last two
 * columns are their ids.
 */
HubspotStencils *
hubspot_stencils_create(MemoryContext context, TupleDesc tupdesc, bool has_records)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	HubspotStencils *stencils = palloc0(sizeof(HubspotStencils));

	Assert(tupdesc->natts <= MAX_COLUMNS);
	stencils->context = context;
	stencils->tupdesc = tupdesc;
	stencils->first_record = tupdesc->natts - (has_records ? 2 : 0);
	stencils->slot = MakeSingleTupleTableSlot(tupdesc, &TTSOpsMinimalTuple);
	MemoryContextSwitchTo(old);
	return stencils;
}

/*
 * Put a row, whose number is not null.  In the columns other than number and ids, values
 * by reference are taken for the same as before if they are in the same place: call
 * hubspot_stencils_forget() when something else may be there.  Rows of one kind, other
 * than 0, have the same values in these columns.
 */
void
hubspot_stencils_put(HubspotStencils *stencils, Tuplestorestate *tupstore,
					 Datum *values, bool *isnull, uint64 kind)
{
	HubspotStencilRow row;
	Stencil    *stencil;

	read_row(stencils, values, isnull, &row);
	stencil = find_stencil(stencils, &row);
	if (!ids_fit(&row) || !is_like(stencils, stencil, values, isnull))
	{
		tuplestore_putvalues(tupstore, stencils->tupdesc, values, isnull);
		if (ids_fit(&row))
			note_row(stencils, stencil, values, isnull);
		return;
	}
	if (stencil->tuple == NULL)
		cut(stencils, stencil, values, isnull, &row);
	stencil->kind = kind;
	put(stencils, stencil, tupstore, &row);
}

static void
read_row(const HubspotStencils *stencils, const Datum *values, const bool *isnull,
		 HubspotStencilRow *row)
{
	int			first_record = stencils->first_record;

	memset(row, 0, sizeof(*row));
	row->no = DatumGetInt64(values[HUBSPOT_STENCIL_NO]);
	row->from_id = read_id(values, isnull, HUBSPOT_STENCIL_FROM_ID);
	row->to_id = read_id(values, isnull, HUBSPOT_STENCIL_TO_ID);
	if (first_record == stencils->tupdesc->natts)
		return;
	row->from_record = read_id(values, isnull, first_record);
	row->to_record = read_id(values, isnull, first_record + 1);
}

static HubspotSlice
read_id(const Datum *values, const bool *isnull, int column)
{
	HubspotSlice id = {NULL, 0};

	if (!isnull[column])
	{
		id.data = VARDATA_ANY(DatumGetPointer(values[column]));
		id.len = VARSIZE_ANY_EXHDR(DatumGetPointer(values[column]));
	}
	return id;
}

/* Put a row of which only this is known.  False: there is no stencil for it. */
bool
hubspot_stencils_put_kind(HubspotStencils *stencils, Tuplestorestate *tupstore,
						  uint64 kind, const HubspotStencilRow *row)
{
	Stencil    *stencil = find_stencil(stencils, row);
	int			first_record = stencils->first_record;

	if (kind == 0 || stencil->kind != kind || stencil->tuple == NULL || !ids_fit(row))
		return false;
	if (first_record < stencils->tupdesc->natts &&
		(stencil->isnull[first_record] != (row->from_record.data == NULL) ||
		 stencil->isnull[first_record + 1] != (row->to_record.data == NULL)))
		return false;
	put(stencils, stencil, tupstore, row);
	return true;
}

static inline char *
put_id(char *place, HubspotSlice id)
{
	SET_VARSIZE_SHORT(place, VARHDRSZ_SHORT + id.len);
	return hubspot_copy_bytes(place + VARHDRSZ_SHORT, id.data, id.len);
}

/* Put the row that a stencil makes with this number and these ids. */
static void
put(HubspotStencils *stencils, Stencil *stencil, Tuplestorestate *tupstore,
	const HubspotStencilRow *row)
{
	char	   *place = stencil->no;

	memcpy(place, &row->no, sizeof(row->no));
	place = put_id(place + sizeof(row->no), row->from_id);
	place = put_id(place, row->to_id);
	if (stencil->place != place)
		memcpy(place, stencil->middle, stencil->middle_len);
	stencil->place = place;
	place += stencil->middle_len;
	if (stencils->first_record < stencils->tupdesc->natts)
	{
		if (row->from_record.data)
			place = put_id(place, row->from_record);
		if (row->to_record.data)
			place = put_id(place, row->to_record);
	}
	stencil->tuple->t_len = place - (char *) stencil->tuple;
	if (stencils->stored != stencil)
		ExecStoreMinimalTuple(stencil->tuple, stencils->slot, false);
	stencils->stored = stencil;
	tuplestore_puttupleslot(tupstore, stencils->slot);
}

/* Does a row have the same values in all columns that a stencil does not replace? */
static bool
is_like(const HubspotStencils *stencils, const Stencil *stencil, const Datum *values,
		const bool *isnull)
{
	if (!stencil->is_used)
		return false;
	for (int i = HUBSPOT_STENCIL_FIRST_OTHER; i < stencils->tupdesc->natts; i++)
	{
		if (stencil->isnull[i] != isnull[i] ||
			(i < stencils->first_record && !isnull[i] && stencil->values[i] != values[i]))
			return false;
	}
	return true;
}

/* Let a stencil stand for a row. */
static void
note_row(HubspotStencils *stencils, Stencil *stencil, const Datum *values,
		 const bool *isnull)
{
	int			ncolumns = stencils->tupdesc->natts;

	if (stencils->stored == stencil)
		stencils->stored = NULL;
	if (stencil->tuple)
	{
		pfree(stencil->tuple);
		pfree(stencil->middle);
	}
	stencil->tuple = NULL;
	stencil->kind = 0;
	stencil->is_used = true;
	memcpy(stencil->values, values, sizeof(Datum) * ncolumns);
	memcpy(stencil->isnull, isnull, sizeof(bool) * ncolumns);
}

/* Make a stencil of a row, with room for longer ids. */
static void
cut(HubspotStencils *stencils, Stencil *stencil, Datum *values, bool *isnull,
	const HubspotStencilRow *row)
{
	MemoryContext old = MemoryContextSwitchTo(stencils->context);
	MinimalTuple formed = hubspot_form_minimal_tuple(stencils->tupdesc, values, isnull);
	int			hoff = formed->t_hoff - MINIMAL_TUPLE_OFFSET;
	int			start = hoff + sizeof(int64) + id_size(row->from_id) + id_size(row->to_id);

	stencil->middle_len = formed->t_len - start - id_size(row->from_record) -
		id_size(row->to_record);
	Assert(VARATT_IS_SHORT((char *) formed + hoff + sizeof(int64)));
	Assert(stencil->middle_len >= 0);
	stencil->middle = palloc(Max(stencil->middle_len, 1));
	memcpy(stencil->middle, (char *) formed + start, stencil->middle_len);
	stencil->tuple = palloc(hoff + sizeof(int64) + 4 * VARATT_SHORT_MAX + stencil->middle_len);
	memcpy(stencil->tuple, formed, hoff);
	stencil->no = (char *) stencil->tuple + hoff;
	stencil->place = NULL;
	pfree(formed);
	MemoryContextSwitchTo(old);
}

/* Forget all rows: what their pointers point to may be something else from now on. */
void
hubspot_stencils_forget(HubspotStencils *stencils)
{
	for (int i = 0; i < MAXIMUM_ALIGNOF; i++)
	{
		stencils->stencils[i].is_used = false;
		stencils->stencils[i].kind = 0;
	}
}
