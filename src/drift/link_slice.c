/*-------------------------------------------------------------------------
 *
 * link_slice.c
 *	  Some rows of a link table: all those of the records behind a place.
 *
 * A table is gone through in the order of its from_ids, record by record, since a record is
 * compared by all of its rows.  A slice ends with the last record that is read whole, and
 * has a number of rows at most, unless its only record has more.
 *
 * The rows are read with the privileges of the table's owner, by a statement that runs as
 * nobody (schema/prepared.c); ERROR if row-level security hides some.
 *
 * IDENTIFICATION
 *	  src/drift/link_slice.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "drift/link_slice.h"
#include "schema/prepared.h"

/* A query for rows of the table. */
typedef struct Look
{
	const HubspotDelta *delta;
	bool		begins;			/* there is no place: from the beginning */
	bool		one_record;		/* all rows of the place itself */
	int			most_rows;
} Look;

/* Takes rows, which come record by record. */
typedef struct Taker
{
	DestReceiver receiver;		/* must be first */
	HubspotLinkSlice *slice;
	MemoryContext slice_context;
	MemoryContext row_context;	/* of a row that is not kept */
	MemoryContext context;		/* of all below */
	int			most;			/* records; 0: all rows are of one */
	int64		nrows;
	text	   *record;			/* whose rows come now, or NULL */
	List	   *rows;			/* HeapTuples of that one */
	bool		full;			/* there are more records than that */
} Taker;

/* How it is read, whatever a sender has set. */
static const char *const own_settings[][2] = {
	{"row_security", "off"},
	{"enable_seqscan", "on"},
	{"enable_bitmapscan", "on"}
};

static void run(Taker *taker, const Look *look, const char *place);
static char *write_look(const void *state);
static void taker_startup(DestReceiver *self, int operation, TupleDesc typeinfo);
static bool take_row(TupleTableSlot *slot, DestReceiver *self);
static HeapTuple copy_row(TupleTableSlot *slot);
static bool same_text(const text * a, const text * b);
static void taker_nothing(DestReceiver *self);
static void end_record(Taker *taker);

/*
 * Read the rows of at most that many records behind a place (NULL: from the beginning), and at
 * most so many rows, unless the first record has more.  They are in the current memory context,
 * and outlive the transaction; the caller ends slice->rows, which is set first, also after an
 * ERROR.
 */
void
hubspot_link_slice_read(HubspotLinkSlice *slice, const HubspotDelta *delta, const char *place,
						int most, int most_rows)
{
	Look		look = {.delta = delta,.begins = (place == NULL),.most_rows = most_rows};
	Taker		taker = {.slice = slice,.most = most};

	slice->nrecords = 0;
	slice->nrows = 0;
	slice->end = NULL;
	slice->rows = tuplestore_begin_heap(true, true, work_mem);
	taker.slice_context = CurrentMemoryContext;
	taker.context = AllocSetContextCreate(CurrentMemoryContext, "hubspot_assoc slice",
										  ALLOCSET_DEFAULT_SIZES);
	taker.row_context = AllocSetContextCreate(taker.context, "hubspot_assoc row",
											  ALLOCSET_DEFAULT_SIZES);
	taker.receiver.receiveSlot = take_row;
	taker.receiver.rStartup = taker_startup;
	taker.receiver.rShutdown = taker_nothing;
	taker.receiver.rDestroy = taker_nothing;
	taker.receiver.mydest = DestNone;
	run(&taker, &look, place);
	if (!taker.full && taker.nrows <= most_rows)
	{
		end_record(&taker);
		slice->end = NULL;
	}
	else if (slice->nrecords == 0)
	{
		/* it has more rows than a slice, and comes alone */
		const char *record = text_to_cstring(taker.record);

		look.one_record = true;
		taker.most = 0;
		taker.nrows = 0;
		run(&taker, &look, record);
		slice->nrows = taker.nrows;
		slice->nrecords = 1;
		slice->end = record;
	}
	MemoryContextDelete(taker.context);
}

static void
run(Taker *taker, const Look *look, const char *place)
{
	static const Oid types[] = {TEXTOID};
	HubspotSubject subject = {
		.write = write_look,
		.state = look,
		.nparameters = 1,
		.types = types,
		.relation = look->delta->table,
		.reader = hubspot_link_owner(look->delta->table)
	};
	int			nest_level = NewGUCNestLevel();
	HubspotValues values = {0};
	MemoryContext old;

	for (size_t i = 0; i < lengthof(own_settings); i++)
		(void) set_config_option(own_settings[i][0], own_settings[i][1], PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	old = MemoryContextSwitchTo(taker->context);
	hubspot_set_text(&values, 0, place);
	(void) hubspot_run(hubspot_prepare(&subject), &values, NULL, true, &taker->receiver);
	MemoryContextSwitchTo(old);
	AtEOXact_GUC(false, nest_level);
}

static char *
write_look(const void *state)
{
	const Look *look = state;

	return look->one_record ? hubspot_delta_record(look->delta) :
		hubspot_delta_slice(look->delta, look->begins, look->most_rows + 1);
}

static void
taker_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
	/* link_source.c knows the form of the rows */
}

/* Take a row; false: that is enough. */
static bool
take_row(TupleTableSlot *slot, DestReceiver *self)
{
	Taker	   *taker = (Taker *) self;
	MemoryContext old = MemoryContextSwitchTo(taker->most == 0 ? taker->row_context : taker->context);
	HeapTuple	row = copy_row(slot);
	const		text *record = DatumGetTextPP(slot->tts_values[HUBSPOT_COLUMN_FROM]);

	taker->nrows++;
	if (taker->most == 0)
	{
		tuplestore_puttuple(taker->slice->rows, row);
		MemoryContextSwitchTo(old);
		MemoryContextReset(taker->row_context);
		return true;
	}
	if (taker->record == NULL || !same_text(taker->record, record))
	{
		end_record(taker);
		taker->full = (taker->slice->nrecords == taker->most);
		taker->record = DatumGetTextPCopy(PointerGetDatum(record));
	}
	taker->rows = lappend(taker->rows, row);
	MemoryContextSwitchTo(old);
	return !taker->full;
}

/* The row, palloc'd, without a value that is kept elsewhere, which may go meanwhile. */
static HeapTuple
copy_row(TupleTableSlot *slot)
{
	TupleDesc	tupdesc = slot->tts_tupleDescriptor;

	slot_getallattrs(slot);
	for (int i = 0; i < tupdesc->natts; i++)
	{
		if (TupleDescAttr(tupdesc, i)->attlen == -1 && !slot->tts_isnull[i])
			slot->tts_values[i] = PointerGetDatum(PG_DETOAST_DATUM_PACKED(slot->tts_values[i]));
	}
	return heap_form_tuple(tupdesc, slot->tts_values, slot->tts_isnull);
}

static bool
same_text(const text * a, const text * b)
{
	return VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
}

static void
taker_nothing(DestReceiver *self)
{
}

/* All rows of a record have come. */
static void
end_record(Taker *taker)
{
	HubspotLinkSlice *slice = taker->slice;
	MemoryContext old;
	ListCell   *lc;

	if (taker->record == NULL)
		return;
	foreach(lc, taker->rows)
	{
		tuplestore_puttuple(slice->rows, lfirst(lc));
		heap_freetuple(lfirst(lc));
	}
	slice->nrows += list_length(taker->rows);
	list_free(taker->rows);
	taker->rows = NIL;
	slice->nrecords++;
	old = MemoryContextSwitchTo(taker->slice_context);
	slice->end = text_to_cstring(taker->record);
	MemoryContextSwitchTo(old);
}
