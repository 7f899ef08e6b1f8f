/*-------------------------------------------------------------------------
 *
 * target_rows.h
 *	  Rows that an UPDATE or DELETE scans, as the scan knows them.
 *
 * IDENTIFICATION
 *	  src/table/target_rows.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_TABLE_TARGET_ROWS_H
#define HUBSPOT_TABLE_TARGET_ROWS_H

#include "nodes/execnodes.h"

#include "table/table_change.h"

/* See target_rows.c. */
typedef struct HubspotTargetRows HubspotTargetRows;

/* What a row does not show. */
typedef struct HubspotTargetRow
{
	HubspotTypePlace place;
	HubspotSlice from_record;	/* the ids of its records, where its table has
								 * keys; */
	HubspotSlice to_record;		/* else no data */
} HubspotTargetRow;

extern HubspotTargetRows *hubspot_target_rows_create(const EState *estate, Index rti);
extern HubspotTargetRows *hubspot_target_rows_find(const EState *estate, Index rti);
extern void hubspot_target_rows_add(HubspotTargetRows *rows, const HubspotTargetRow *row,
									ItemPointer tid);
extern void hubspot_target_rows_fetch(HubspotTargetRows *rows, const ItemPointerData * tid,
									  HubspotTargetRow *row);
extern void hubspot_target_rows_end(HubspotTargetRows *rows);

#endif							/* HUBSPOT_TABLE_TARGET_ROWS_H */
