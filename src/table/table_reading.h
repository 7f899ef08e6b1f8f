/*-------------------------------------------------------------------------
 *
 * table_reading.h
 *	  Rows of a foreign table, read from HubSpot by the records of one side.
 *
 * IDENTIFICATION
 *	  src/table/table_reading.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_TABLE_TABLE_READING_H
#define HUBSPOT_TABLE_TABLE_READING_H

#include "account/client.h"
#include "call/batch.h"
#include "table/table_change.h"

/* See table_reading.c. */
typedef struct HubspotTableReading HubspotTableReading;

/* A row, or that there are no more of a record. */
typedef struct HubspotTableRow
{
	int64		record;			/* which of those that are read; 0 if all are */
	bool		ended;			/* it has no more rows, and this is none; if
								 * all are read: there are no more at all */
	HubspotSlice from_id;		/* no data: NULL */
	HubspotSlice to_id;
	HubspotSlice from_record;	/* the records' ids, whatever they are called */
	HubspotSlice to_record;
	const HubspotAssociationType *type; /* NULL: it is not read */
	HubspotTypePlace place;		/* of that among the pair's; not if rows are
								 * only pairs */
	const HubspotError *error;	/* why the record cannot be read, whose one
								 * row this is; or NULL */
} HubspotTableRow;

extern HubspotTableReading *hubspot_table_reading_begin(const HubspotTable *table,
														const HubspotClient *client,
														HubspotTableSide side,
														bool forward,
														bool gives_errors,
														const HubspotSlice *records,
														int64 nrecords);
extern HubspotTableReading *hubspot_table_reading_begin_whole(const HubspotTable *table,
															  const HubspotClient *client,
															  bool gives_errors,
															  bool eager);
extern void hubspot_table_reading_tell_places(HubspotTableReading *reading);
extern bool hubspot_table_reading_next(HubspotTableReading *reading, HubspotTableRow *row,
									   bool wait);
extern void hubspot_table_reading_counts(const HubspotTableReading *reading,
										 HubspotBatchCounts *counts);
extern void hubspot_table_reading_end(HubspotTableReading *reading);

#endif							/* HUBSPOT_TABLE_TABLE_READING_H */
