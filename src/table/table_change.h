/*-------------------------------------------------------------------------
 *
 * table_change.h
 *	  What a row that is written to a foreign table asks for.
 *
 * IDENTIFICATION
 *	  src/table/table_change.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_TABLE_TABLE_CHANGE_H
#define HUBSPOT_TABLE_TABLE_CHANGE_H

#include "executor/tuptable.h"

#include "rows/raw_input.h"
#include "table/table_definition.h"

/* What is done to a pair. */
typedef enum HubspotTableAction
{
	HUBSPOT_ACTION_ARCHIVE_LABELS,
	HUBSPOT_ACTION_ARCHIVE,
	HUBSPOT_ACTION_CREATE_DEFAULT,
	HUBSPOT_ACTION_CREATE,		/* keeping the labels that it has */
	HUBSPOT_ACTION_RETYPE,		/* the same, of a pair that was read */
	HUBSPOT_NACTIONS
} HubspotTableAction;

/* A type of a pair, as columns say it; all zeroes: none is given. */
typedef struct HubspotGivenType
{
	char	   *category;		/* or NULL */
	bool		has_type_id;
	int32		type_id;
	char	   *label;			/* or NULL */
	bool		has_primary;
	bool		is_primary;
} HubspotGivenType;

/* A row of a foreign table. */
typedef struct HubspotGivenRow
{
	HubspotSlice from_id;
	HubspotSlice to_id;
	HubspotGivenType type;
	bool		by_ids;			/* it was read, and what names its records are
								 * ids, whether the table has keys or not */
	bool		has_error;		/* a column for errors is not null */
} HubspotGivenRow;

/* Which of a pair's types a row that was read has, of how many: in its ctid. */
typedef struct HubspotTypePlace
{
	int			number;			/* from 0 */
	int			ntypes;
	bool		is_default;		/* it is one without a label */
} HubspotTypePlace;

extern void hubspot_given_row_read(const HubspotTable *table, TupleTableSlot *slot,
								   HubspotGivenRow *row);
extern HubspotTableAction hubspot_given_row_create(const HubspotTable *table,
												   const HubspotGivenRow *row,
												   HubspotRawInput *raw);
extern bool hubspot_given_type_changes(const HubspotTable *table, const HubspotGivenRow *old_row,
									   HubspotGivenRow *new_row);
extern bool hubspot_is_removable(const HubspotGivenType *type);
extern void hubspot_check_removable(const HubspotTable *table, const HubspotGivenRow *row);
extern bool hubspot_names_type(const HubspotGivenType *type);
extern void hubspot_type_place_set(ItemPointer tid, const HubspotTypePlace *place);
extern void hubspot_type_place_get(const ItemPointerData * tid, HubspotTypePlace *place);

#endif							/* HUBSPOT_TABLE_TABLE_CHANGE_H */
