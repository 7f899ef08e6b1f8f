/*-------------------------------------------------------------------------
 *
 * differences.c
 *	  The differences that a reading has found, and what is known of each.
 *
 * They are looked at several times: their records' names are looked up, then it is found out
 * which of them are still there, and then they are shown or put right.  So they are kept in
 * tuplestores, which go to disk beyond work_mem: whole, as the plan has packed them, and
 * with what queries ask for.  In memory, each takes a byte.
 *
 * IDENTIFICATION
 *	  src/drift/differences.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "drift/differences.h"
#include "drift/stored_row.h"

/* Room for marks at first. */
#define FIRST_MARKS		64

/* The columns of both tuplestores. */
enum
{
	ROW_NO,
	ROW_REMOVES,
	ROW_FROM_ID,
	ROW_TO_ID,
	ROW_CATEGORY,
	ROW_TYPE_ID,
	ROW_LABEL,
	ROW_IS_DEFAULT,
	ROW_NCOLUMNS
};

enum
{
	CHANGE_NO,
	CHANGE_PACKED,
	CHANGE_NCOLUMNS
};

static TupleDesc row_tupdesc(void);
static void put_row(HubspotDifferences *differences, const HubspotPlanChange *change);
static void make_room(HubspotDifferences *differences);

/* None so far; in the current memory context. */
HubspotDifferences *
hubspot_differences_create(void)
{
	HubspotDifferences *differences = palloc0(sizeof(HubspotDifferences));
	TupleDesc	tupdesc = CreateTemplateTupleDesc(CHANGE_NCOLUMNS);

	TupleDescInitEntry(tupdesc, CHANGE_NO + 1, "no", INT8OID, -1, 0);
	TupleDescInitEntry(tupdesc, CHANGE_PACKED + 1, "packed", BYTEAOID, -1, 0);
	differences->context = CurrentMemoryContext;
	differences->tupdesc = row_tupdesc();
	differences->rows = tuplestore_begin_heap(true, false, work_mem);
	differences->changes = tuplestore_begin_heap(true, false, work_mem);
	differences->slot = MakeSingleTupleTableSlot(tupdesc, &TTSOpsMinimalTuple);
	return differences;
}

static TupleDesc
row_tupdesc(void)
{
	TupleDesc	tupdesc = CreateTemplateTupleDesc(ROW_NCOLUMNS);

	TupleDescInitEntry(tupdesc, ROW_NO + 1, "no", INT8OID, -1, 0);
	TupleDescInitEntry(tupdesc, ROW_REMOVES + 1, "removes", BOOLOID, -1, 0);
	TupleDescInitEntry(tupdesc, ROW_FROM_ID + 1, "from_id", TEXTOID, -1, 0);
	TupleDescInitEntry(tupdesc, ROW_TO_ID + 1, "to_id", TEXTOID, -1, 0);
	TupleDescInitEntry(tupdesc, ROW_CATEGORY + 1, "category", TEXTOID, -1, 0);
	TupleDescInitEntry(tupdesc, ROW_TYPE_ID + 1, "type_id", INT4OID, -1, 0);
	TupleDescInitEntry(tupdesc, ROW_LABEL + 1, "label", TEXTOID, -1, 0);
	TupleDescInitEntry(tupdesc, ROW_IS_DEFAULT + 1, "is_default", BOOLOID, -1, 0);
	return tupdesc;
}

/* Put the next one, packed, which is copied. */
void
hubspot_differences_put(HubspotDifferences *differences, HubspotSlice change)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc difference",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	HubspotUnpackedChange unpacked;
	bytea	   *packed = palloc(VARHDRSZ + change.len);
	Datum		values[CHANGE_NCOLUMNS];
	bool		isnull[CHANGE_NCOLUMNS] = {false};

	hubspot_unpack_change(change, &unpacked);
	put_row(differences, &unpacked.change);
	SET_VARSIZE(packed, VARHDRSZ + change.len);
	memcpy(VARDATA(packed), change.data, change.len);
	values[CHANGE_NO] = Int64GetDatum(differences->count);
	values[CHANGE_PACKED] = PointerGetDatum(packed);
	tuplestore_putvalues(differences->changes, differences->slot->tts_tupleDescriptor,
						 values, isnull);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	make_room(differences);
	differences->marks[differences->count++] = 0;
	if (hubspot_is_removal(unpacked.change.action))
		differences->nremovals++;
}

static void
put_row(HubspotDifferences *differences, const HubspotPlanChange *change)
{
	const HubspotAssociationType *type = &change->type;
	Datum		values[ROW_NCOLUMNS] = {0};
	bool		isnull[ROW_NCOLUMNS] = {false};

	values[ROW_NO] = Int64GetDatum(differences->count);
	values[ROW_REMOVES] = BoolGetDatum(hubspot_is_removal(change->action));
	values[ROW_IS_DEFAULT] = BoolGetDatum(change->is_default);
	values[ROW_TYPE_ID] = Int32GetDatum(type->type_id);
	isnull[ROW_FROM_ID] = (change->from.data == NULL);
	isnull[ROW_TO_ID] = (change->to.data == NULL);
	isnull[ROW_CATEGORY] = (type->category == NULL);
	isnull[ROW_TYPE_ID] = (type->type_id == 0);
	isnull[ROW_LABEL] = (type->label == NULL);
	if (change->from.data)
		values[ROW_FROM_ID] = PointerGetDatum(cstring_to_text_with_len(change->from.data,
																	   change->from.len));
	if (change->to.data)
		values[ROW_TO_ID] = PointerGetDatum(cstring_to_text_with_len(change->to.data,
																	 change->to.len));
	if (type->category)
		values[ROW_CATEGORY] = CStringGetTextDatum(type->category);
	if (type->label)
		values[ROW_LABEL] = CStringGetTextDatum(type->label);
	tuplestore_putvalues(differences->rows, differences->tupdesc, values, isnull);
}

static void
make_room(HubspotDifferences *differences)
{
	if (differences->count < differences->maxmarks)
		return;
	differences->maxmarks = Max(FIRST_MARKS, 2 * differences->maxmarks);
	differences->marks = differences->marks ?
		repalloc_huge(differences->marks, differences->maxmarks) :
		MemoryContextAlloc(differences->context, differences->maxmarks);
}

/* Begin to get them, again. */
void
hubspot_differences_rewind(HubspotDifferences *differences)
{
	tuplestore_rescan(differences->changes);
}

/*
 * Get the next one and its number, from 0; it is valid until the one after it.  False:
 * there is none.
 */
bool
hubspot_differences_next(HubspotDifferences *differences, int64 *no, HubspotSlice *change)
{
	const		bytea *packed;

	CHECK_FOR_INTERRUPTS();
	if (!hubspot_next_stored(differences->changes, differences->slot))
		return false;
	*no = DatumGetInt64(differences->slot->tts_values[CHANGE_NO]);
	packed = DatumGetByteaPP(differences->slot->tts_values[CHANGE_PACKED]);
	change->data = VARDATA_ANY(packed);
	change->len = VARSIZE_ANY_EXHDR(packed);
	return true;
}
