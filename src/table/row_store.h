/*-------------------------------------------------------------------------
 *
 * row_store.h
 *	  Rows of a foreign table that a statement has read, by their records.
 *
 * IDENTIFICATION
 *	  src/table/row_store.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_TABLE_ROW_STORE_H
#define HUBSPOT_TABLE_ROW_STORE_H

#include "access/htup_details.h"

#include "hubspot.h"

/* See row_store.c. */
typedef struct HubspotRowStore HubspotRowStore;

/* Where a row is: in memory, or in a file. */
typedef struct HubspotRowPlace
{
	struct HubspotKeptRow *row; /* NULL: in the file, or nowhere */
	int			file;			/* -1: nowhere */
	off_t		offset;
} HubspotRowPlace;

/* What is known of a record's rows. */
typedef enum HubspotRecordState
{
	HUBSPOT_RECORD_UNKNOWN,		/* nothing */
	HUBSPOT_RECORD_READING,		/* those that have come so far */
	HUBSPOT_RECORD_READ			/* all of them */
} HubspotRecordState;

/* A record that a condition names. */
typedef struct HubspotTableRecord
{
	HubspotSlice id;			/* or its key */
	HubspotRecordState state;
	uint64		turn;			/* the last scan that names it */
	HubspotRowPlace last;		/* of its rows, which are linked */
} HubspotTableRecord;

extern HubspotRowStore *hubspot_row_store_create(MemoryContext context);
extern HubspotTableRecord *hubspot_row_store_get(HubspotRowStore *store, HubspotSlice id);
extern void hubspot_row_store_add(HubspotRowStore *store, HubspotTableRecord *record,
								  MinimalTuple tuple, const ItemPointerData * tid);
extern void hubspot_row_store_forget(HubspotTableRecord *record);
extern MinimalTuple hubspot_row_store_fetch(HubspotRowStore *store, HubspotRowPlace *place,
											ItemPointerData * tid);
extern bool hubspot_row_store_is_full(const HubspotRowStore *store, Size least);
extern void hubspot_row_store_clear(HubspotRowStore *store);

#endif							/* HUBSPOT_TABLE_ROW_STORE_H */
