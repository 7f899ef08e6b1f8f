/*-------------------------------------------------------------------------
 *
 * columns.h
 *	  Which column of a query goes into which field of an input.
 *
 * IDENTIFICATION
 *	  src/rows/columns.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ROWS_COLUMNS_H
#define HUBSPOT_ROWS_COLUMNS_H

#include "access/tupdesc.h"
#include "executor/tuptable.h"

#include "api/endpoint.h"
#include "rows/raw_input.h"

/* The columns of a query; see columns.c. */
typedef struct HubspotColumns HubspotColumns;

extern HubspotColumns *hubspot_columns_find(TupleDesc tupdesc,
											HubspotInputShape shape,
											const HubspotDirection *direction);
extern bool hubspot_columns_are_typed(const HubspotColumns *columns);
extern void hubspot_columns_read(HubspotColumns *columns, TupleTableSlot *slot,
								 HubspotRawInput *raw);
extern TupleDesc hubspot_input_tupdesc(Oid type);
extern void hubspot_input_read(TupleDesc tupdesc, Datum element,
							   HubspotRawInput *raw);
extern void hubspot_input_read_id(Datum element, HubspotRawInput *raw);

#endif							/* HUBSPOT_ROWS_COLUMNS_H */
