/*-------------------------------------------------------------------------
 *
 * slice.c
 *	  Some changes of a plan that are made together.
 *
 * A slice has as many changes as fit, in the plan's order, so those of a record stand
 * together; only a record that has very many is in several slices, one after the other.  As
 * its records are read once more, it is noted at each change what HubSpot holds of that pair
 * by now, and nothing else is kept of what was read.
 *
 * IDENTIFICATION
 *	  src/plan/slice.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "api/association_type.h"
#include "plan/entry.h"
#include "plan/slice.h"

/* What a slice holds at most, apart from its last change. */
#define MAX_CHANGES		8000
#define MAX_RECORDS		4000
#define MAX_BYTES		(2 * 1024 * 1024)

static void add_change(HubspotChangeSlice *slice, HubspotSlice row);
static void note_range(HubspotChangeSlice *slice, int first, int end, const char *to,
					   const HubspotAssociation *association);
static int	compare_places(const char *a, const char *b);
static int	find_first(const HubspotChangeSlice *slice, int first, int end, const char *to);
static bool is_same_type(const HubspotAssociationType *a, const HubspotAssociationType *b);
static int	count_removed(const HubspotChangeSlice *slice, const HubspotSliceChange *change);
static bool is_removed(const HubspotChangeSlice *slice, const HubspotSliceChange *change,
					   const HubspotAssociationType *type);

/*
 * Fill a slice with the next changes, in place of those that it has.  False: there are
 * none.
 */
bool
hubspot_slice_fill(HubspotChangeSlice *slice, HubspotPackedSort *changes)
{
	MemoryContext old;
	HubspotSlice row;
	Size		bytes = 0;

	slice->first_no += slice->nchanges;
	slice->nchanges = slice->nrecords = 0;
	MemoryContextReset(slice->context);
	old = MemoryContextSwitchTo(slice->context);
	slice->changes = palloc(sizeof(HubspotSliceChange *) * MAX_CHANGES);
	slice->records = palloc(sizeof(HubspotSliceRecord) * MAX_RECORDS);
	while (slice->nchanges < MAX_CHANGES && slice->nrecords < MAX_RECORDS &&
		   bytes < MAX_BYTES && hubspot_packed_sort_next(changes, &row))
	{
		CHECK_FOR_INTERRUPTS();
		bytes += row.len;
		add_change(slice, row);
	}
	MemoryContextSwitchTo(old);
	return slice->nchanges > 0;
}

static void
add_change(HubspotChangeSlice *slice, HubspotSlice row)
{
	HubspotSliceChange *change = palloc0(sizeof(HubspotSliceChange));
	const HubspotPlanChange *unpacked = &change->unpacked.change;
	HubspotSliceRecord *record = NULL;

	row.data = memcpy(palloc(row.len), row.data, row.len);
	hubspot_unpack_change(row, &change->unpacked);
	change->to = hubspot_change_to(row);
	change->record = -1;
	slice->changes[slice->nchanges++] = change;
	if (hubspot_is_notice(unpacked->action))
		return;

	if (slice->nrecords > 0)
		record = &slice->records[slice->nrecords - 1];
	if (record == NULL || !hubspot_same_id(record->id, unpacked->from))
	{
		record = &slice->records[slice->nrecords++];
		record->id = unpacked->from;
		record->first = record->first_addition = slice->nchanges - 1;
		record->failed = false;
	}
	change->record = slice->nrecords - 1;
	change->step = HUBSPOT_STEP_ADD;
	record->end = slice->nchanges;
	if (hubspot_is_removal(unpacked->action))
	{
		change->step = HUBSPOT_STEP_REMOVE;
		record->first_addition = slice->nchanges;
	}
}

/* Take note of what a record of the slice holds by now. */
void
hubspot_slice_note(HubspotChangeSlice *slice, HubspotSliceRecord *record,
				   const HubspotAssociation *association)
{
	char		short_place[HUBSPOT_PACKED_NUMBER + sizeof(uint32) + HUBSPOT_PACKED_DIGITS];
	int			size = hubspot_packed_id_size(association->to_id);
	char	   *place = size <= (int) sizeof(short_place) ? short_place : palloc(size);

	(void) hubspot_pack_id(place, association->to_id);
	note_range(slice, record->first, record->first_addition, place, association);
	note_range(slice, record->first_addition, record->end, place, association);
	if (place != short_place)
		pfree(place);
}

static void
note_range(HubspotChangeSlice *slice, int first, int end, const char *to,
		   const HubspotAssociation *association)
{
	const HubspotAssociationType *type = association->type;

	for (int i = find_first(slice, first, end, to);
		 i < end && compare_places(slice->changes[i]->to, to) == 0; i++)
	{
		HubspotSliceChange *change = slice->changes[i];

		change->nheld++;
		if (type == NULL || type->category == NULL)
			continue;
		change->held |= is_same_type(&change->unpacked.change.type, type);
		if (change->step == HUBSPOT_STEP_ADD &&
			strcmp(type->category, HUBSPOT_REPLACED_CATEGORY) == 0)
		{
			MemoryContext old = MemoryContextSwitchTo(slice->context);
			HubspotAssociationType *kept;

			kept = palloc(sizeof(HubspotAssociationType));
			kept->category = HUBSPOT_REPLACED_CATEGORY;
			kept->type_id = type->type_id;
			kept->label = NULL;
			change->kept = lappend(change->kept, kept);
			MemoryContextSwitchTo(old);
		}
	}
}

static int
compare_places(const char *a, const char *b)
{
	return memcmp(a, b, Min(hubspot_skip_id(a) - a, hubspot_skip_id(b) - b));
}

/* The first of some ascending changes whose second id is not before that one. */
static int
find_first(const HubspotChangeSlice *slice, int first, int end, const char *to)
{
	while (first < end)
	{
		int			middle = first + (end - first) / 2;

		if (compare_places(slice->changes[middle]->to, to) < 0)
			first = middle + 1;
		else
			end = middle;
	}
	return first;
}

static bool
is_same_type(const HubspotAssociationType *a, const HubspotAssociationType *b)
{
	return a->type_id == b->type_id && a->category && b->category &&
		strcmp(a->category, b->category) == 0;
}

/* Is a change still to be made, as its record has been read by now? */
bool
hubspot_slice_is_needed(const HubspotChangeSlice *slice, const HubspotSliceChange *change)
{
	const HubspotPlanChange *planned = &change->unpacked.change;

	if (planned->action == HUBSPOT_ACTION_ARCHIVE)
		return change->nheld > 0;
	if (planned->action == HUBSPOT_ACTION_REMOVE)
		return change->held &&
			(!planned->is_default || change->nheld <= count_removed(slice, change));
	return planned->type.category ? !change->held : change->nheld == 0;
}

/* How many types are to be taken off the pair of a removal. */
static int
count_removed(const HubspotChangeSlice *slice, const HubspotSliceChange *change)
{
	const HubspotSliceRecord *record = &slice->records[change->record];
	int			nremoved = 0;

	for (int i = find_first(slice, record->first, record->first_addition, change->to);
		 i < record->first_addition && compare_places(slice->changes[i]->to, change->to) == 0; i++)
		nremoved += slice->changes[i]->held;
	return nremoved;
}

/*
 * The types to be sent with a typed change, palloc'd: its own, and to keep them, those
 * that the pair has and that HubSpot would replace, but for those that were removed.
 */
const HubspotTypeList *
hubspot_slice_types(const HubspotChangeSlice *slice, const HubspotSliceChange *change,
					bool keep)
{
	HubspotTypeList *types = palloc(offsetof(HubspotTypeList, types) +
									sizeof(HubspotAssociationType) *
									(1 + list_length(change->kept)));
	ListCell   *lc;

	types->ntypes = 1;
	types->types[0] = change->unpacked.change.type;
	types->types[0].label = NULL;
	foreach(lc, keep ? change->kept : NIL)
	{
		const HubspotAssociationType *kept = lfirst(lc);

		if (!hubspot_has_type(types, kept) && !is_removed(slice, change, kept))
			types->types[types->ntypes++] = *kept;
	}
	return types;
}

/* Was a type taken off the pair of an addition? */
static bool
is_removed(const HubspotChangeSlice *slice, const HubspotSliceChange *change,
		   const HubspotAssociationType *type)
{
	const HubspotSliceRecord *record = &slice->records[change->record];

	for (int i = find_first(slice, record->first, record->first_addition, change->to);
		 i < record->first_addition && compare_places(slice->changes[i]->to, change->to) == 0; i++)
	{
		if (slice->changes[i]->done &&
			is_same_type(&slice->changes[i]->unpacked.change.type, type))
			return true;
	}
	return false;
}
