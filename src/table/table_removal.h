/*-------------------------------------------------------------------------
 *
 * table_removal.h
 *	  Rows of a foreign table that a statement removes, pair by pair.
 *
 * IDENTIFICATION
 *	  src/table/table_removal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_TABLE_TABLE_REMOVAL_H
#define HUBSPOT_TABLE_TABLE_REMOVAL_H

#include "table/table_packed.h"
#include "table/table_writing.h"

/* See table_removal.c. */
typedef struct HubspotTableRemoval HubspotTableRemoval;

/* Takes a row that is to be there after all removals. */
typedef void (*HubspotTakeRow) (void *state, const HubspotGivenRow *given);

extern HubspotTableRemoval *hubspot_table_removal_begin(const HubspotTable *table, bool updates);
extern void hubspot_table_removal_put(HubspotTableRemoval *removal, const HubspotGivenRow *row,
									  const HubspotTypePlace *place, const HubspotGivenType *new);
extern void hubspot_table_removal_write(HubspotTableRemoval *removal, HubspotTableWriting *writing,
										HubspotTakeRow take, void *state);

#endif							/* HUBSPOT_TABLE_TABLE_REMOVAL_H */
