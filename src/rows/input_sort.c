/*-------------------------------------------------------------------------
 *
 * input_sort.c
 *	  Inputs in the order of their from_id.
 *
 * This is the server's own sort, which goes to disk beyond work_mem.  The ids are sorted
 * by their bytes, inputs of one from_id by their to_id, and those of one pair in the order
 * in which they were put.
 *
 * IDENTIFICATION
 *	  src/rows/input_sort.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/resowner.h"
#include "utils/tuplesort.h"

#include "rows/input_sort.h"

enum
{
	SORT_FROM_ID,
	SORT_TO_ID,
	SORT_NO,
	SORT_PROBLEM,
	SORT_NCOLUMNS
};

#define SORT_NKEYS	3

struct HubspotInputSort
{
	Tuplesortstate *state;
	ResourceOwner owner;		/* of its temporary files */
	TupleTableSlot *in;			/* to put with */
	TupleTableSlot *out;		/* with the input that was got last */
	char	   *problem;		/* what is wrong with that input, or NULL */
};

/* Begin a sort in the current memory context; hubspot_input_sort_end() ends it. */
HubspotInputSort *
hubspot_input_sort_create(void)
{
	static AttrNumber columns[SORT_NKEYS] = {SORT_FROM_ID + 1, SORT_TO_ID + 1, SORT_NO + 1};
	static Oid	operators[SORT_NKEYS] = {TextLessOperator, TextLessOperator, Int8LessOperator};
	static Oid	collations[SORT_NKEYS] = {C_COLLATION_OID, C_COLLATION_OID, InvalidOid};
	static bool nulls_first[SORT_NKEYS] = {false, false, false};
	HubspotInputSort *sort = palloc0(sizeof(HubspotInputSort));
	TupleDesc	tupdesc = CreateTemplateTupleDesc(SORT_NCOLUMNS);

	TupleDescInitEntry(tupdesc, SORT_FROM_ID + 1, "from_id", TEXTOID, -1, 0);
	TupleDescInitEntry(tupdesc, SORT_TO_ID + 1, "to_id", TEXTOID, -1, 0);
	TupleDescInitEntry(tupdesc, SORT_NO + 1, "no", INT8OID, -1, 0);
	TupleDescInitEntry(tupdesc, SORT_PROBLEM + 1, "problem", TEXTOID, -1, 0);
	sort->in = MakeSingleTupleTableSlot(tupdesc, &TTSOpsVirtual);
	sort->out = MakeSingleTupleTableSlot(tupdesc, &TTSOpsMinimalTuple);
	sort->state = tuplesort_begin_heap(tupdesc, SORT_NKEYS, columns, operators,
									   collations, nulls_first, work_mem, NULL,
									   TUPLESORT_NONE);
	sort->owner = CurrentResourceOwner;
	return sort;
}

/* Put an input, which is copied, and what is wrong with it, or NULL. */
void
hubspot_input_sort_put(HubspotInputSort *sort, const HubspotInput *input,
					   const char *problem)
{
	TupleTableSlot *slot = sort->in;
	ResourceOwner old;

	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, sizeof(bool) * SORT_NCOLUMNS);
	slot->tts_values[SORT_NO] = Int64GetDatum(input->no);
	slot->tts_isnull[SORT_NO] = false;
#define SET_TEXT(column, condition, text) \
	do { \
		if (condition) \
		{ \
			slot->tts_values[column] = PointerGetDatum(text); \
			slot->tts_isnull[column] = false; \
		} \
	} while (0)
	SET_TEXT(SORT_FROM_ID, input->from_id.data,
			 cstring_to_text_with_len(input->from_id.data, input->from_id.len));
	SET_TEXT(SORT_TO_ID, input->to_id.data,
			 cstring_to_text_with_len(input->to_id.data, input->to_id.len));
	SET_TEXT(SORT_PROBLEM, problem, cstring_to_text(problem));
#undef SET_TEXT
	ExecStoreVirtualTuple(slot);

	old = CurrentResourceOwner;
	CurrentResourceOwner = sort->owner;
	tuplesort_puttupleslot(sort->state, slot);
	CurrentResourceOwner = old;
}

void
hubspot_input_sort_perform(HubspotInputSort *sort)
{
	tuplesort_performsort(sort->state);
}

/* Get the next input, valid until the one after it.  False: there is none. */
bool
hubspot_input_sort_next(HubspotInputSort *sort, HubspotInput *input, const char **problem)
{
	bool		isnull;
	Datum		value;
	HubspotSlice *ids[] = {&input->from_id, &input->to_id};
	static const AttrNumber columns[] = {SORT_FROM_ID + 1, SORT_TO_ID + 1};

	if (!tuplesort_gettupleslot(sort->state, true, false, sort->out, NULL))
		return false;
	memset(input, 0, sizeof(*input));
	input->no = DatumGetInt64(slot_getattr(sort->out, SORT_NO + 1, &isnull));
	for (size_t i = 0; i < lengthof(ids); i++)
	{
		value = slot_getattr(sort->out, columns[i], &isnull);
		if (isnull)
			continue;
		ids[i]->data = VARDATA_ANY(DatumGetPointer(value));
		ids[i]->len = VARSIZE_ANY_EXHDR(DatumGetPointer(value));
	}
	if (sort->problem)
		pfree(sort->problem);
	value = slot_getattr(sort->out, SORT_PROBLEM + 1, &isnull);
	*problem = sort->problem = isnull ? NULL : TextDatumGetCString(value);
	return true;
}

void
hubspot_input_sort_end(HubspotInputSort *sort)
{
	ExecDropSingleTupleTableSlot(sort->in);
	ExecDropSingleTupleTableSlot(sort->out);
	tuplesort_end(sort->state);
}
