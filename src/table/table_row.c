/*-------------------------------------------------------------------------
 *
 * table_row.c
 *	  A row that was read, as the columns of a foreign table have it.
 *
 * IDENTIFICATION
 *	  src/table/table_row.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "api/association_type.h"
#include "table/table_keys.h"
#include "table/table_row.h"

/* Put a row into an empty slot, in the current memory context. */
void
hubspot_table_row_set(const HubspotTable *table, const HubspotTableRow *row,
					  TupleTableSlot *slot)
{
	const HubspotAssociationType *type = row->type;

	memset(slot->tts_isnull, true, sizeof(bool) * slot->tts_tupleDescriptor->natts);
	memset(slot->tts_values, 0, sizeof(Datum) * slot->tts_tupleDescriptor->natts);

#define SET(role, condition, datum) \
	do { \
		if (table->columns[role] > 0 && (condition)) \
		{ \
			slot->tts_values[table->columns[role] - 1] = (datum); \
			slot->tts_isnull[table->columns[role] - 1] = false; \
		} \
	} while (0)

	SET(HUBSPOT_ROLE_FROM_ID, row->from_id.data,
		hubspot_table_id_datum(table, HUBSPOT_SIDE_FROM, row->from_id));
	SET(HUBSPOT_ROLE_TO_ID, row->to_id.data,
		hubspot_table_id_datum(table, HUBSPOT_SIDE_TO, row->to_id));
	SET(HUBSPOT_ROLE_CATEGORY, type && type->category, CStringGetTextDatum(type->category));
	SET(HUBSPOT_ROLE_TYPE_ID, type && type->type_id != 0, Int32GetDatum(type->type_id));
	SET(HUBSPOT_ROLE_LABEL, type && type->label, CStringGetTextDatum(type->label));
	SET(HUBSPOT_ROLE_IS_PRIMARY, type, BoolGetDatum(hubspot_is_primary(type)));
	SET(HUBSPOT_ROLE_ERROR_CATEGORY, row->error,
		CStringGetTextDatum(row->error->category ? row->error->category : "HubSpot"));
	SET(HUBSPOT_ROLE_ERROR_MESSAGE, row->error, CStringGetTextDatum(row->error->message));
#undef SET
	ExecStoreVirtualTuple(slot);
}
