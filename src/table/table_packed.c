/*-------------------------------------------------------------------------
 *
 * table_packed.c
 *	  Rows that are written to a foreign table, on their way through sorts and
 *	  tuplestores.
 *
 * These are tuples of the server's, so that they go to disk beyond work_mem.
 *
 * IDENTIFICATION
 *	  src/table/table_packed.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "utils/builtins.h"

#include "table/table_packed.h"

/* The columns, after those of the keys. */
enum
{
	PACKED_NTYPES = HUBSPOT_PACKED_NKEYS,
	PACKED_IS_DEFAULT,
	PACKED_HAS_NEW,
	PACKED_BY_IDS,
	PACKED_OLD,					/* four that name a type */
	PACKED_NEW = PACKED_OLD + 4,
	NPACKED = PACKED_NEW + 4
};

/* Those of a type. */
enum
{
	TYPE_CATEGORY,
	TYPE_ID,
	TYPE_LABEL,
	TYPE_IS_PRIMARY
};

static const Oid column_types[NPACKED] = {
	[HUBSPOT_PACKED_FROM_ID] = TEXTOID,
	[HUBSPOT_PACKED_TO_ID] = TEXTOID,
	[HUBSPOT_PACKED_NUMBER] = INT4OID,
	[PACKED_NTYPES] = INT4OID,
	[PACKED_IS_DEFAULT] = BOOLOID,
	[PACKED_HAS_NEW] = BOOLOID,
	[PACKED_BY_IDS] = BOOLOID,
	[PACKED_OLD + TYPE_CATEGORY] = TEXTOID,
	[PACKED_OLD + TYPE_ID] = INT4OID,
	[PACKED_OLD + TYPE_LABEL] = TEXTOID,
	[PACKED_OLD + TYPE_IS_PRIMARY] = BOOLOID,
	[PACKED_NEW + TYPE_CATEGORY] = TEXTOID,
	[PACKED_NEW + TYPE_ID] = INT4OID,
	[PACKED_NEW + TYPE_LABEL] = TEXTOID,
	[PACKED_NEW + TYPE_IS_PRIMARY] = BOOLOID
};

static void set(TupleTableSlot *slot, int column, Datum value);
static void set_slice(TupleTableSlot *slot, int column, HubspotSlice slice);
static void set_type(TupleTableSlot *slot, int first, const HubspotGivenType *type);
static HubspotSlice get_slice(TupleTableSlot *slot, int column);
static char *get_text(TupleTableSlot *slot, int column);
static void get_type(TupleTableSlot *slot, int first, HubspotGivenType *type);

/* A slot for such rows. */
TupleTableSlot *
hubspot_packed_row_slot(const TupleTableSlotOps * ops)
{
	TupleDesc	tupdesc = CreateTemplateTupleDesc(NPACKED);

	for (int i = 0; i < NPACKED; i++)
		TupleDescInitEntry(tupdesc, i + 1, NULL, column_types[i], -1, 0);
	return MakeSingleTupleTableSlot(tupdesc, ops);
}

/* Put a row into a slot, in the current memory context. */
void
hubspot_packed_row_set(const HubspotPackedRow *packed, TupleTableSlot *slot)
{
	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, sizeof(bool) * NPACKED);
	set_slice(slot, HUBSPOT_PACKED_FROM_ID, packed->row.from_id);
	set_slice(slot, HUBSPOT_PACKED_TO_ID, packed->row.to_id);
	set(slot, HUBSPOT_PACKED_NUMBER, Int32GetDatum(packed->place.number));
	set(slot, PACKED_NTYPES, Int32GetDatum(packed->place.ntypes));
	set(slot, PACKED_IS_DEFAULT, BoolGetDatum(packed->place.is_default));
	set(slot, PACKED_HAS_NEW, BoolGetDatum(packed->has_new));
	set(slot, PACKED_BY_IDS, BoolGetDatum(packed->row.by_ids));
	set_type(slot, PACKED_OLD, &packed->row.type);
	set_type(slot, PACKED_NEW, &packed->new);
	ExecStoreVirtualTuple(slot);
}

static void
set(TupleTableSlot *slot, int column, Datum value)
{
	slot->tts_values[column] = value;
	slot->tts_isnull[column] = false;
}

static void
set_slice(TupleTableSlot *slot, int column, HubspotSlice slice)
{
	if (slice.data)
		set(slot, column, PointerGetDatum(cstring_to_text_with_len(slice.data, slice.len)));
}

static void
set_type(TupleTableSlot *slot, int first, const HubspotGivenType *type)
{
	if (type->category)
		set(slot, first + TYPE_CATEGORY, CStringGetTextDatum(type->category));
	if (type->has_type_id)
		set(slot, first + TYPE_ID, Int32GetDatum(type->type_id));
	if (type->label)
		set(slot, first + TYPE_LABEL, CStringGetTextDatum(type->label));
	if (type->has_primary)
		set(slot, first + TYPE_IS_PRIMARY, BoolGetDatum(type->is_primary));
}

/* Put a row into a tuplestore, by a slot for minimal tuples of its own. */
void
hubspot_packed_row_keep(const HubspotPackedRow *packed, TupleTableSlot *slot,
						Tuplestorestate *store)
{
	hubspot_packed_row_set(packed, slot);
	tuplestore_puttupleslot(store, slot);
	ExecClearTuple(slot);
}

/* The row in a slot, in the current memory context. */
void
hubspot_packed_row_get(TupleTableSlot *slot, HubspotPackedRow *packed)
{
	slot_getallattrs(slot);
	memset(packed, 0, sizeof(*packed));
	packed->row.from_id = get_slice(slot, HUBSPOT_PACKED_FROM_ID);
	packed->row.to_id = get_slice(slot, HUBSPOT_PACKED_TO_ID);
	packed->place.number = DatumGetInt32(slot->tts_values[HUBSPOT_PACKED_NUMBER]);
	packed->place.ntypes = DatumGetInt32(slot->tts_values[PACKED_NTYPES]);
	packed->place.is_default = DatumGetBool(slot->tts_values[PACKED_IS_DEFAULT]);
	packed->has_new = DatumGetBool(slot->tts_values[PACKED_HAS_NEW]);
	packed->row.by_ids = DatumGetBool(slot->tts_values[PACKED_BY_IDS]);
	get_type(slot, PACKED_OLD, &packed->row.type);
	get_type(slot, PACKED_NEW, &packed->new);
}

static HubspotSlice
get_slice(TupleTableSlot *slot, int column)
{
	HubspotSlice slice = {get_text(slot, column), 0};

	slice.len = slice.data ? strlen(slice.data) : 0;
	return slice;
}

static char *
get_text(TupleTableSlot *slot, int column)
{
	return slot->tts_isnull[column] ? NULL : TextDatumGetCString(slot->tts_values[column]);
}

static void
get_type(TupleTableSlot *slot, int first, HubspotGivenType *type)
{
	type->category = get_text(slot, first + TYPE_CATEGORY);
	type->has_type_id = !slot->tts_isnull[first + TYPE_ID];
	if (type->has_type_id)
		type->type_id = DatumGetInt32(slot->tts_values[first + TYPE_ID]);
	type->label = get_text(slot, first + TYPE_LABEL);
	type->has_primary = !slot->tts_isnull[first + TYPE_IS_PRIMARY];
	type->is_primary = type->has_primary && DatumGetBool(slot->tts_values[first + TYPE_IS_PRIMARY]);
}
