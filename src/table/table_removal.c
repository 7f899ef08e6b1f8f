/*-------------------------------------------------------------------------
 *
 * table_removal.c
 *	  Rows of a foreign table that a statement removes, pair by pair.
 *
 * Whether a DELETE removes a pair, or only some of its types, shows when all of its rows
 * are known.  So they are sorted by their pairs, and then:
 *
 *		all types of the pair that HubSpot has told of		the pair is archived
 *		some of them										these are
 *
 * A type without a label is the association itself, and HubSpot may take all labels away
 * with it.  So it is not removed while others stay.
 *
 * A row that a join gives several times is removed once.  An UPDATE gives it one of the types
 * that it would have by these, as that of any table does.
 *
 * IDENTIFICATION
 *	  src/table/table_removal.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/tuplesort.h"

#include "base/compat.h"
#include "base/shown.h"
#include "table/table_removal.h"

struct HubspotTableRemoval
{
	const HubspotTable *table;
	bool		updates;		/* rows are to have other types */
	Tuplesortstate *sort;
	TupleTableSlot *in;
	TupleTableSlot *out;
	MemoryContext row_context;

	/* the pair whose rows come */
	MemoryContext pair_context; /* of the rows below */
	HubspotPackedRow *last;		/* NULL: none so far */
	List	   *rows;			/* HubspotPackedRow, one for each type */
	bool		has_default;	/* one of these has a type without a label */
};

static bool take_row(HubspotTableRemoval *removal, HubspotTableWriting *writing);
static bool is_of_pair(const HubspotPackedRow *a, const HubspotPackedRow *b);
static void write_pair(HubspotTableRemoval *removal, HubspotTableWriting *writing);
static void write_labels(const HubspotTableRemoval *removal, HubspotTableWriting *writing);
static void write_type(const HubspotTableRemoval *removal, HubspotTableWriting *writing,
					   const HubspotGivenRow *row);
static void throw_default(const HubspotTableRemoval *removal) pg_attribute_noreturn();

/* Begin to collect rows, in the current memory context; updates: they get other types. */
HubspotTableRemoval *
hubspot_table_removal_begin(const HubspotTable *table, bool updates)
{
	static AttrNumber columns[HUBSPOT_PACKED_NKEYS] = {
		HUBSPOT_PACKED_FROM_ID + 1, HUBSPOT_PACKED_TO_ID + 1, HUBSPOT_PACKED_NUMBER + 1
	};
	static Oid	operators[HUBSPOT_PACKED_NKEYS] = {
		TextLessOperator, TextLessOperator, Int4LessOperator
	};
	static Oid	collations[HUBSPOT_PACKED_NKEYS] = {C_COLLATION_OID, C_COLLATION_OID, InvalidOid};
	static bool nulls_first[HUBSPOT_PACKED_NKEYS] = {false, false, false};
	HubspotTableRemoval *removal = palloc0(sizeof(HubspotTableRemoval));

	removal->table = table;
	removal->updates = updates;
	removal->in = hubspot_packed_row_slot(&TTSOpsVirtual);
	removal->out = hubspot_packed_row_slot(&TTSOpsMinimalTuple);
	removal->sort = tuplesort_begin_heap(removal->in->tts_tupleDescriptor, HUBSPOT_PACKED_NKEYS,
										 columns, operators, collations, nulls_first, work_mem,
										 NULL, TUPLESORT_NONE);
	removal->row_context = AllocSetContextCreate(CurrentMemoryContext,
												 "hubspot_assoc table row removed",
												 ALLOCSET_DEFAULT_SIZES);
	removal->pair_context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc table pair removed",
												  ALLOCSET_DEFAULT_SIZES);
	return removal;
}

/* Put a row, which is copied, and the type that it is to have instead, or NULL. */
void
hubspot_table_removal_put(HubspotTableRemoval *removal, const HubspotGivenRow *row,
						  const HubspotTypePlace *place, const HubspotGivenType *new)
{
	HubspotPackedRow packed = {.row = *row,.place = *place,.has_new = (new != NULL)};
	MemoryContext old = MemoryContextSwitchTo(removal->row_context);

	MemoryContextReset(removal->row_context);
	if (new)
		packed.new = *new;
	hubspot_packed_row_set(&packed, removal->in);
	tuplesort_puttupleslot(removal->sort, removal->in);
	ExecClearTuple(removal->in);
	MemoryContextSwitchTo(old);
}

/* Write what was put, which is a row at least; rows with their new types go to take(state, ...). */
void
hubspot_table_removal_write(HubspotTableRemoval *removal, HubspotTableWriting *writing,
							HubspotTakeRow take, void *state)
{
	tuplesort_performsort(removal->sort);
	while (tuplesort_gettupleslot(removal->sort, true, false, removal->out, NULL))
	{
		CHECK_FOR_INTERRUPTS();
		if (take_row(removal, writing) && removal->last->has_new)
		{
			HubspotGivenRow row = removal->last->row;
			MemoryContext old = MemoryContextSwitchTo(removal->row_context);

			MemoryContextReset(removal->row_context);
			row.type = removal->last->new;
			take(state, &row);
			MemoryContextSwitchTo(old);
		}
	}
	write_pair(removal, writing);
	ExecDropSingleTupleTableSlot(removal->in);
	ExecDropSingleTupleTableSlot(removal->out);
	tuplesort_end(removal->sort);
}

/* Take the next row; one of another pair ends the last.  False: it has come before. */
static bool
take_row(HubspotTableRemoval *removal, HubspotTableWriting *writing)
{
	MemoryContext old = MemoryContextSwitchTo(removal->row_context);
	HubspotPackedRow packed;
	HubspotPackedRow *copy;
	bool		is_new;

	MemoryContextReset(removal->row_context);
	hubspot_packed_row_get(removal->out, &packed);
	if (removal->last && !is_of_pair(removal->last, &packed))
		write_pair(removal, writing);
	is_new = (removal->last == NULL || removal->last->place.number != packed.place.number);
	if (is_new)
	{
		MemoryContextSwitchTo(removal->pair_context);
		copy = palloc(sizeof(HubspotPackedRow));
		hubspot_packed_row_get(removal->out, copy);
		removal->last = copy;
		removal->rows = lappend(removal->rows, copy);
		removal->has_default |= packed.place.is_default;
	}
	MemoryContextSwitchTo(old);
	return is_new;
}

static bool
is_of_pair(const HubspotPackedRow *a, const HubspotPackedRow *b)
{
	return hubspot_same_id(a->row.from_id, b->row.from_id) &&
		hubspot_same_id(a->row.to_id, b->row.to_id);
}

/* Write the pair that was taken. */
static void
write_pair(HubspotTableRemoval *removal, HubspotTableWriting *writing)
{
	const HubspotPackedRow *last = removal->last;
	ListCell   *lc;

	Assert(last != NULL);
	if (!removal->updates &&
		(!removal->table->typed || list_length(removal->rows) >= last->place.ntypes))
	{
		HubspotRawInput raw = {.input = {.from_id = last->row.from_id,.to_id = last->row.to_id}};

		if (hubspot_table_writing_waits(writing))
			write_labels(removal, writing);
		hubspot_table_writing_put(writing, HUBSPOT_ACTION_ARCHIVE, &raw);
	}
	else if (removal->has_default)
		throw_default(removal);
	else
	{
		foreach(lc, removal->rows)
			write_type(removal, writing, &((const HubspotPackedRow *) lfirst(lc))->row);
	}
	removal->last = NULL;
	removal->rows = NIL;
	removal->has_default = false;
	MemoryContextReset(removal->pair_context);
}

/*
 * Write that the labels of a pair are removed, which goes as a whole: if it is made again
 * before that was sent, it was never taken apart, but the labels are gone.
 */
static void
write_labels(const HubspotTableRemoval *removal, HubspotTableWriting *writing)
{
	ListCell   *lc;

	foreach(lc, removal->rows)
	{
		const HubspotPackedRow *packed = lfirst(lc);

		if (!packed->place.is_default && hubspot_is_removable(&packed->row.type))
			write_type(removal, writing, &packed->row);
	}
}

/* Write that a type of a pair is removed. */
static void
write_type(const HubspotTableRemoval *removal, HubspotTableWriting *writing,
		   const HubspotGivenRow *row)
{
	HubspotGivenRow named = *row;
	HubspotRawInput raw = {.input = {.from_id = row->from_id,.to_id = row->to_id},.has_types = true};

	hubspot_check_removable(removal->table, row);
	if (!named.type.has_type_id || named.type.category == NULL)
		hubspot_table_writing_resolve(writing, &named);
	raw.category = named.type.category;
	if (named.type.has_type_id && named.type.category)
	{
		raw.type_id = named.type.type_id;
		raw.type_ids = &raw.type_id;
		raw.ntype_ids = 1;
	}
	else
		hubspot_raw_input_label(&raw, named.type.label);
	hubspot_table_writing_put(writing, HUBSPOT_ACTION_ARCHIVE_LABELS, &raw);
}

static void
throw_default(const HubspotTableRemoval *removal)
{
	const HubspotGivenRow *row = &removal->last->row;

	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("the row without a label of %s and %s cannot be removed alone from foreign table %s",
					hubspot_shown(row->from_id.data), hubspot_shown(row->to_id.data),
					removal->table->name),
			 errdetail("It is the association itself, and HubSpot may take its labels away with it."),
			 errhint("Remove all rows of the pair, or only those with labels.")));
}
