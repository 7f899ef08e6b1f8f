/*-------------------------------------------------------------------------
 *
 * table_keys.h
 *	  Values of conditions to ids and keys of records, and back to columns.
 *
 * IDENTIFICATION
 *	  src/table/table_keys.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_TABLE_TABLE_KEYS_H
#define HUBSPOT_TABLE_TABLE_KEYS_H

#include "table/table_definition.h"

typedef void (*HubspotTakeKey) (void *state, HubspotSlice key_text);

extern void hubspot_table_take_keys(const HubspotTable *table, HubspotTableSide side,
									Datum value, Oid type, HubspotTakeKey take, void *state);
extern Datum hubspot_table_id_datum(const HubspotTable *table, HubspotTableSide side,
									HubspotSlice id);

#endif							/* HUBSPOT_TABLE_TABLE_KEYS_H */
