/*-------------------------------------------------------------------------
 *
 * table_sample.c
 *	  ANALYZE of a foreign table.
 *
 * A table that may go through the whole account is sampled, and that is how: all rows are
 * read, as by a scan, and some are kept, each as probably as any other.  So the number of
 * rows is right, and the sample is not of the oldest records alone, as the first pages of the
 * list would be.  HubSpot tells neither how many associations there are, nor any part of
 * them at random.
 *
 * It is done with the rights of the table's owner, as all that ANALYZE does.
 *
 * IDENTIFICATION
 *	  src/table/table_sample.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/sampling.h"

#include "table/table_row.h"
#include "table/table_sample.h"

/* Rows, of which some are kept. */
typedef struct Sample
{
	HeapTuple  *rows;
	int			most;
	int			nrows;
	double		nseen;
	double		skip;			/* so many are not kept before the next one
								 * is; -1: that is to be drawn */
	ReservoirStateData reservoir;
} Sample;

static int	acquire_rows(Relation relation, int elevel, HeapTuple *rows, int targrows,
						 double *totalrows, double *totaldeadrows);
static int	next_place(Sample *sample);
static void tell(Relation relation, int elevel, const Sample *sample,
				 const HubspotTableReading *reading);

/*
 * Can a foreign table be sampled?  The pages are how large it may be beside others, of which
 * partitions are sampled together.
 */
bool
hubspot_table_analyze(Relation relation, AcquireSampleRowsFunc * acquire,
					  BlockNumber * totalpages)
{
	HubspotTable *table = hubspot_table_read(RelationGetRelid(relation));

	if (table->kind != HUBSPOT_KIND_ASSOCIATIONS || table->options.scan != HUBSPOT_SCAN_ALL)
		return false;
	*acquire = acquire_rows;
	*totalpages = Max(relation->rd_rel->relpages, 1);
	return true;
}

/* Read all rows, and keep a sample of them. */
static int
acquire_rows(Relation relation, int elevel, HeapTuple *rows, int targrows,
			 double *totalrows, double *totaldeadrows)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc table sample",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	MemoryContext row_context = AllocSetContextCreate(context, "hubspot_assoc table sample row",
													  ALLOCSET_SMALL_SIZES);
	HubspotTable *table = hubspot_table_read(RelationGetRelid(relation));
	HubspotClient *client = hubspot_connect_table(table->server, table->owner, GetUserId());
	HubspotTableReading *reading =
	hubspot_table_reading_begin_whole(table, client,
									  table->options.on_error == HUBSPOT_ON_ERROR_ROW, false);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(relation), &TTSOpsVirtual);
	Sample		sample = {.rows = rows,.most = targrows,.skip = -1};
	HubspotTableRow row;

	reservoir_init_selection_state(&sample.reservoir, targrows);
	MemoryContextSwitchTo(row_context);
	while (hubspot_table_reading_next(reading, &row, true))
	{
		int			place = row.ended ? -1 : next_place(&sample);

		if (place >= 0)
		{
			hubspot_table_row_set(table, &row, slot);
			MemoryContextSwitchTo(old);
			rows[place] = heap_form_tuple(slot->tts_tupleDescriptor, slot->tts_values,
										  slot->tts_isnull);
			MemoryContextSwitchTo(row_context);
			ExecClearTuple(slot);
		}
		MemoryContextReset(row_context);
	}
	MemoryContextSwitchTo(old);
	tell(relation, elevel, &sample, reading);
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextDelete(context);
	*totalrows = sample.nseen;
	*totaldeadrows = 0;
	return sample.nrows;
}

/* Where the next row is kept, in place of the one that is there; -1: nowhere. */
static int
next_place(Sample *sample)
{
	int			place;

	sample->nseen++;
	if (sample->nrows < sample->most)
		return sample->nrows++;
	if (sample->skip < 0)
		sample->skip = reservoir_get_next_S(&sample->reservoir, sample->nseen - 1, sample->most);
	if (sample->skip-- > 0)
		return -1;
	sample->skip = -1;
	place = (int) (sample->most * sampler_random_fract(&sample->reservoir.randstate));
	heap_freetuple(sample->rows[place]);
	return place;
}

static void
tell(Relation relation, int elevel, const Sample *sample, const HubspotTableReading *reading)
{
	HubspotBatchCounts counts;

	hubspot_table_reading_counts(reading, &counts);
	ereport(elevel,
			(errmsg("\"%s\": read %lld records by %lld requests, with %.0f rows; %d rows in sample",
					RelationGetRelationName(relation), (long long) counts.read,
					(long long) counts.calls.requests, sample->nseen, sample->nrows)));
}
