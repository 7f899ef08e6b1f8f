/*-------------------------------------------------------------------------
 *
 * link_source.c
 *	  The rows of a link table, as what is wanted.
 *
 * Their values are those that the triggers of the sync would put into the outbox
 * (link_rows.c).  A row with a null is no association.
 *
 * IDENTIFICATION
 *	  src/drift/link_source.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "drift/link_source.h"
#include "drift/stored_row.h"

typedef struct LinkSource
{
	const HubspotDelta *delta;
	Tuplestorestate *rows;
	TupleTableSlot *slot;		/* NULL: there are no more rows */
} LinkSource;

static bool make_row(void *state, HubspotRawInput *raw);
static bool next_row(LinkSource *source);
static void set_type(const LinkSource *source, HubspotRawInput *raw);
static HubspotSlice slice_of(TupleTableSlot *slot, int column);

/* A source of rows that hubspot_link_rows() has returned; these must live as long. */
HubspotSource *
hubspot_link_source(const HubspotDelta *delta, const HubspotDirection *direction,
					Tuplestorestate *rows)
{
	const HubspotSync *sync = delta->sync;
	bool		typed = sync->type_id || sync->label || delta->ncolumns > HUBSPOT_COLUMN_TYPE;
	LinkSource *source = palloc0(sizeof(LinkSource));
	TupleDesc	tupdesc = CreateTemplateTupleDesc(delta->ncolumns + 1);
	AttrNumber	number = 1;

	/* as hubspot_delta_all_rows() has them */
	TupleDescInitEntry(tupdesc, number++, "from_id", TEXTOID, -1, 0);
	TupleDescInitEntry(tupdesc, number++, "to_id", TEXTOID, -1, 0);
	if (delta->ncolumns > HUBSPOT_COLUMN_TYPE)
		TupleDescInitEntry(tupdesc, number++, "type",
						   hubspot_delta_is_label(delta) ? TEXTOID : INT4OID, -1, 0);
	TupleDescInitEntry(tupdesc, number, "added", BOOLOID, -1, 0);
	source->delta = delta;
	source->rows = rows;
	source->slot = MakeSingleTupleTableSlot(tupdesc, &TTSOpsMinimalTuple);
	return hubspot_source_rows(make_row, source,
							   typed ? HUBSPOT_INPUT_TYPED_PAIR : HUBSPOT_INPUT_PAIR,
							   direction);
}

/* Callback: the next row without a null. */
static bool
make_row(void *state, HubspotRawInput *raw)
{
	LinkSource *source = state;

	if (!next_row(source))
		return false;
	raw->input.from_id = slice_of(source->slot, HUBSPOT_COLUMN_FROM);
	raw->input.to_id = slice_of(source->slot, HUBSPOT_COLUMN_TO);
	set_type(source, raw);
	return true;
}

static bool
next_row(LinkSource *source)
{
	while (source->slot && hubspot_next_stored(source->rows, source->slot))
	{
		int			i = 0;

		while (i < source->delta->ncolumns && !source->slot->tts_isnull[i])
			i++;
		if (i == source->delta->ncolumns)
			return true;
	}
	if (source->slot)
		ExecDropSingleTupleTableSlot(source->slot);
	source->slot = NULL;
	return false;
}

static void
set_type(const LinkSource *source, HubspotRawInput *raw)
{
	const HubspotSync *sync = source->delta->sync;
	int32		type_id = sync->type_id;
	const char *label = sync->label;

	raw->category = sync->category;
	if (sync->type_id_column)
		type_id = DatumGetInt32(source->slot->tts_values[HUBSPOT_COLUMN_TYPE]);
	if (sync->label_column)
		label = TextDatumGetCString(source->slot->tts_values[HUBSPOT_COLUMN_TYPE]);
	if (label)
		hubspot_raw_input_label(raw, pstrdup(label));
	else if (sync->type_id || sync->type_id_column)
	{
		raw->has_types = true;
		raw->type_id = type_id;
		raw->type_ids = &raw->type_id;
		raw->ntype_ids = 1;
	}
}

/* A text of the row, which lives as long as the row does in the slot. */
static HubspotSlice
slice_of(TupleTableSlot *slot, int column)
{
	const		text *value = DatumGetTextPP(slot->tts_values[column]);
	HubspotSlice slice = {VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)};

	return slice;
}
