/*-------------------------------------------------------------------------
 *
 * table_change.c
 *	  What a row that is written to a foreign table asks for.
 *
 * A new row without a type asks for the default type of its pair; one with a type_id, a
 * label, or is_primary, for that type, beside those that the pair has.  Where a row has
 * both a type_id and a label, as one that was read has, both are asked for: for rows that
 * are right, that is one type.
 *
 * A type that is to be removed has to be named without a doubt: by its type_id and
 * category, since numbers repeat across categories, or by its label.
 *
 * IDENTIFICATION
 *	  src/table/table_change.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "api/association_type.h"
#include "api/error.h"
#include "base/shown.h"
#include "table/table_change.h"

/* The parts of a block number, and the most types that are told apart. */
#define DEFAULT_FLAG	1
#define MOST_TYPES		(PG_INT16_MAX - 1)

static HubspotSlice read_id(const HubspotTable *table, HubspotTableSide side,
							TupleTableSlot *slot);
static char *read_text(const HubspotTable *table, HubspotTableRole role, TupleTableSlot *slot);
static void refuse_errors(const HubspotTable *table, const HubspotGivenRow *row);
static void require_ids(const HubspotTable *table, const HubspotGivenRow *row);
static void set_types(const HubspotTable *table, const HubspotGivenRow *row,
					  HubspotRawInput *raw);
static void check_length(const HubspotTable *table, HubspotTableSide side, HubspotSlice id);
static bool loses_key(HubspotSlice old, HubspotSlice new);
static bool same_key(HubspotSlice a, HubspotSlice b);
static bool same_text(const char *a, const char *b);

/* Read a row, in the current memory context. */
void
hubspot_given_row_read(const HubspotTable *table, TupleTableSlot *slot, HubspotGivenRow *row)
{
	HubspotGivenType *type = &row->type;
	bool		isnull;
	Datum		value;

	memset(row, 0, sizeof(*row));
	row->from_id = read_id(table, HUBSPOT_SIDE_FROM, slot);
	row->to_id = read_id(table, HUBSPOT_SIDE_TO, slot);
	type->category = read_text(table, HUBSPOT_ROLE_CATEGORY, slot);
	type->label = read_text(table, HUBSPOT_ROLE_LABEL, slot);
	if (table->columns[HUBSPOT_ROLE_TYPE_ID] > 0)
	{
		value = slot_getattr(slot, table->columns[HUBSPOT_ROLE_TYPE_ID], &isnull);
		type->has_type_id = !isnull;
		type->type_id = isnull ? 0 : DatumGetInt32(value);
	}
	if (table->columns[HUBSPOT_ROLE_IS_PRIMARY] > 0)
	{
		value = slot_getattr(slot, table->columns[HUBSPOT_ROLE_IS_PRIMARY], &isnull);
		type->has_primary = !isnull;
		type->is_primary = !isnull && DatumGetBool(value);
	}
	row->has_error = read_text(table, HUBSPOT_ROLE_ERROR_CATEGORY, slot) ||
		read_text(table, HUBSPOT_ROLE_ERROR_MESSAGE, slot);
}

static HubspotSlice
read_id(const HubspotTable *table, HubspotTableSide side, TupleTableSlot *slot)
{
	HubspotSlice id = {NULL, 0};
	bool		isnull;
	Datum		value = slot_getattr(slot, table->columns[side], &isnull);

	if (isnull)
		return id;
	if (table->id_types[side] == INT8OID)
	{
		char	   *digits = palloc(MAXINT8LEN + 1);

		id.len = pg_lltoa(DatumGetInt64(value), digits);
		id.data = digits;
		return id;
	}
	id.data = TextDatumGetCString(value);
	id.len = strlen(id.data);
	return id;
}

static char *
read_text(const HubspotTable *table, HubspotTableRole role, TupleTableSlot *slot)
{
	bool		isnull;
	Datum		value;

	if (table->columns[role] == 0)
		return NULL;
	value = slot_getattr(slot, table->columns[role], &isnull);
	return isnull ? NULL : TextDatumGetCString(value);
}

/* What a row that is to be there asks for.  ERROR if that could never be done. */
HubspotTableAction
hubspot_given_row_create(const HubspotTable *table, const HubspotGivenRow *row,
						 HubspotRawInput *raw)
{
	HubspotDirection direction = {table->from_type, table->to_type, false};
	HubspotLastTypes last = {NULL, NULL};
	bool		typed = hubspot_names_type(&row->type) || row->type.category;

	require_ids(table, row);
	if (row->by_ids)
		direction.from_type.property = direction.to_type.property = NULL;
	memset(raw, 0, sizeof(*raw));
	raw->input.from_id = row->from_id;
	raw->input.to_id = row->to_id;
	if (typed)
		set_types(table, row, raw);
	hubspot_raw_input_check(raw, typed ? HUBSPOT_INPUT_TYPED_PAIR : HUBSPOT_INPUT_PAIR,
							&direction, &last);
	if (raw->error)
		ereport(ERROR,
				(errcode(raw->error->sqlstate),
				 errmsg("a row cannot be written to foreign table %s: %s", table->name,
						raw->error->message)));
	check_length(table, HUBSPOT_SIDE_FROM, row->from_id);
	check_length(table, HUBSPOT_SIDE_TO, row->to_id);
	if (row->by_ids)
		return HUBSPOT_ACTION_RETYPE;
	return typed ? HUBSPOT_ACTION_CREATE : HUBSPOT_ACTION_CREATE_DEFAULT;
}

/* ERROR if a row says more than can be written. */
static void
refuse_errors(const HubspotTable *table, const HubspotGivenRow *row)
{
	if (row->has_error)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("columns for errors of foreign table %s cannot be written", table->name),
				 errhint("Leave them null.")));
}

/* ERROR if a row does not say which pair it is, or says more. */
static void
require_ids(const HubspotTable *table, const HubspotGivenRow *row)
{
	refuse_errors(table, row);
	for (HubspotTableSide side = HUBSPOT_SIDE_FROM; side <= HUBSPOT_SIDE_TO; side++)
	{
		if ((side == HUBSPOT_SIDE_FROM ? row->from_id : row->to_id).data == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("null value in column \"%s\" of foreign table %s",
							hubspot_table_column(table, (HubspotTableRole) side), table->name),
					 errdetail("A row is of two records, and this one does not say which.")));
	}
}

/* Does it say which type is meant? */
bool
hubspot_names_type(const HubspotGivenType *type)
{
	return type->has_type_id || type->label || type->is_primary;
}

/* Give an input the types that a row names. */
static void
set_types(const HubspotTable *table, const HubspotGivenRow *row, HubspotRawInput *raw)
{
	const HubspotGivenType *type = &row->type;
	int32		primary = hubspot_primary_type(table->from_type.name, table->to_type.name);

	raw->category = type->category;
	raw->has_types = true;
	raw->type_id = type->type_id;
	if (type->is_primary && primary == 0)
		hubspot_raw_input_refuse(raw, psprintf("%s is true, but there is no primary type from %s to %s; %s",
											   hubspot_table_column(table, HUBSPOT_ROLE_IS_PRIMARY),
											   table->from_type.name, table->to_type.name,
											   HUBSPOT_PRIMARY_DIRECTIONS));
	else if (type->has_primary && type->has_type_id && primary != 0 &&
			 type->is_primary != (type->type_id == primary))
		hubspot_raw_input_refuse(raw, psprintf("%s says something else than type_id %d; the primary type is %d",
											   hubspot_table_column(table, HUBSPOT_ROLE_IS_PRIMARY),
											   type->type_id, primary));
	else if (type->is_primary)
		raw->type_id = primary;
	if (type->has_type_id || type->is_primary)
	{
		raw->type_ids = &raw->type_id;
		raw->ntype_ids = 1;
	}
	if (type->label)
		hubspot_raw_input_label(raw, type->label);
}

/* A key may have any number of blanks around it, but not in the outbox. */
static void
check_length(const HubspotTable *table, HubspotTableSide side, HubspotSlice id)
{
	if (id.len > HUBSPOT_MAX_TEXT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a row cannot be written to foreign table %s: %s is longer than %d bytes, with its blanks",
						table->name, hubspot_table_column(table, (HubspotTableRole) side),
						HUBSPOT_MAX_TEXT)));
}

/*
 * Does an UPDATE give a row another type?  Then the new row names it by the columns that
 * have changed alone.  ERROR if it changes anything that cannot be changed.
 */
bool
hubspot_given_type_changes(const HubspotTable *table, const HubspotGivenRow *old_row,
						   HubspotGivenRow *new_row)
{
	const HubspotGivenType *old = &old_row->type;
	HubspotGivenType *new = &new_row->type;
	bool		type_id = old->has_type_id != new->has_type_id || old->type_id != new->type_id;
	bool		category = !same_text(old->category, new->category);
	bool		label = !same_text(old->label, new->label);
	bool		primary = old->has_primary != new->has_primary || old->is_primary != new->is_primary;

	refuse_errors(table, new_row);
	if (loses_key(old_row->from_id, new_row->from_id) ||
		loses_key(old_row->to_id, new_row->to_id))
		require_ids(table, new_row);
	if (!same_key(old_row->from_id, new_row->from_id) ||
		!same_key(old_row->to_id, new_row->to_id))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the records of a row of foreign table %s cannot be changed by UPDATE",
						table->name),
				 errhint("DELETE the row, and INSERT another one.")));
	if (!type_id && !category && !label && !primary)
		return false;
	if (!type_id && !category)
	{
		new->has_type_id = false;
		new->category = NULL;
	}
	if (!label)
		new->label = NULL;
	if (!primary)
		new->has_primary = new->is_primary = false;
	if (!hubspot_names_type(new))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("an UPDATE of foreign table %s does not say which type a row is to have",
						table->name),
				 errhint("Set a label or a type_id that is not null; to take a type away, DELETE the row.")));
	return true;
}

static bool
loses_key(HubspotSlice old, HubspotSlice new)
{
	return old.data && new.data == NULL;
}

/* A record that was read may have no key, which is null. */
static bool
same_key(HubspotSlice a, HubspotSlice b)
{
	if (a.data == NULL || b.data == NULL)
		return a.data == b.data;
	return hubspot_same_id(a, b);
}

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* Is it clear which type of its pair it is, to remove it? */
bool
hubspot_is_removable(const HubspotGivenType *type)
{
	return type->label || (type->has_type_id && type->category);
}

/* ERROR if it is not clear which type of its pair a row has, which is to be removed. */
void
hubspot_check_removable(const HubspotTable *table, const HubspotGivenRow *row)
{
	if (hubspot_is_removable(&row->type))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("foreign table %s does not show which type of a pair is to be removed",
					table->name),
			 errhint("Add columns category and type_id, or remove all rows of the pair.")));
}

/* Put the place of a type into a ctid. */
void
hubspot_type_place_set(ItemPointer tid, const HubspotTypePlace *place)
{
	/* an offset of 0 would be invalid */
	ItemPointerSet(tid, ((BlockNumber) Min(place->number, MOST_TYPES) << 1) |
				   (place->is_default ? DEFAULT_FLAG : 0),
				   Min(place->ntypes, MOST_TYPES) + 1);
}

void
hubspot_type_place_get(const ItemPointerData * tid, HubspotTypePlace *place)
{
	BlockNumber block = ItemPointerGetBlockNumberNoCheck(tid);

	place->number = (int) (block >> 1);
	place->is_default = (block & DEFAULT_FLAG) != 0;
	place->ntypes = ItemPointerGetOffsetNumberNoCheck(tid) - 1;
}
