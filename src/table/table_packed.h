/*-------------------------------------------------------------------------
 *
 * table_packed.h
 *	  Rows that are written to a foreign table, on their way through sorts and
 *	  tuplestores.
 *
 * IDENTIFICATION
 *	  src/table/table_packed.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_TABLE_TABLE_PACKED_H
#define HUBSPOT_TABLE_TABLE_PACKED_H

#include "utils/tuplestore.h"

#include "table/table_change.h"

/* Its columns: by these, rows are sorted into pairs, and a pair's by their types. */
enum
{
	HUBSPOT_PACKED_FROM_ID,
	HUBSPOT_PACKED_TO_ID,
	HUBSPOT_PACKED_NUMBER,
	HUBSPOT_PACKED_NKEYS
};

/* A row, and, if it is removed, which of its pair's types that is. */
typedef struct HubspotPackedRow
{
	HubspotGivenRow row;
	HubspotTypePlace place;
	bool		has_new;		/* it is to have another type instead */
	HubspotGivenType new;
} HubspotPackedRow;

extern TupleTableSlot *hubspot_packed_row_slot(const TupleTableSlotOps * ops);
extern void hubspot_packed_row_set(const HubspotPackedRow *packed, TupleTableSlot *slot);
extern void hubspot_packed_row_keep(const HubspotPackedRow *packed, TupleTableSlot *slot,
									Tuplestorestate *store);
extern void hubspot_packed_row_get(TupleTableSlot *slot, HubspotPackedRow *packed);

#endif							/* HUBSPOT_TABLE_TABLE_PACKED_H */
