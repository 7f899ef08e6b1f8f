/*-------------------------------------------------------------------------
 *
 * query.h
 *	  The caller's query while it is read: its rows, some at a time.
 *
 * IDENTIFICATION
 *	  src/rows/query.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ROWS_QUERY_H
#define HUBSPOT_ROWS_QUERY_H

#include "tcop/dest.h"
#include "utils/snapshot.h"

#include "rows/columns.h"

/* What a query must be: the hint for anything else. */
#define HUBSPOT_QUERY_HINT	"It must be one statement that returns rows, such as a SELECT."

typedef struct HubspotQuery HubspotQuery;

extern HubspotQuery *hubspot_query_open(const char *text, HubspotInputShape shape,
										const HubspotDirection *direction,
										Snapshot snapshot);
extern HubspotColumns *hubspot_query_columns(const HubspotQuery *query);
extern uint64 hubspot_query_read(HubspotQuery *query, uint64 count,
								 DestReceiver *receiver);
extern void hubspot_query_close(HubspotQuery *query);

#endif							/* HUBSPOT_ROWS_QUERY_H */
