/*-------------------------------------------------------------------------
 *
 * table_writing.h
 *	  What is done to pairs, into the outbox or to HubSpot.
 *
 * IDENTIFICATION
 *	  src/table/table_writing.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_TABLE_TABLE_WRITING_H
#define HUBSPOT_TABLE_TABLE_WRITING_H

#include "table/table_change.h"

/* See table_writing.c. */
typedef struct HubspotTableWriting HubspotTableWriting;

extern HubspotTableWriting *hubspot_table_writing_begin(const HubspotTable *table, Oid user);
extern bool hubspot_table_writing_waits(const HubspotTableWriting *writing);
extern void hubspot_table_writing_resolve(HubspotTableWriting *writing, HubspotGivenRow *row);
extern void hubspot_table_writing_put(HubspotTableWriting *writing, HubspotTableAction action,
									  const HubspotRawInput *raw);
extern void hubspot_table_writing_flush(HubspotTableWriting *writing);
extern int64 hubspot_table_writing_count(const HubspotTableWriting *writing);

#endif							/* HUBSPOT_TABLE_TABLE_WRITING_H */
