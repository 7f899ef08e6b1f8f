/*-------------------------------------------------------------------------
 *
 * row_ids.h
 *	  Ids of rows of the outbox, into statements and out of them.
 *
 * IDENTIFICATION
 *	  src/outbox/row_ids.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_ROW_IDS_H
#define HUBSPOT_OUTBOX_ROW_IDS_H

#include "schema/prepared.h"

extern Datum hubspot_row_ids(const int64 *ids, int nids);
extern int	hubspot_row_ids_without(const int64 *ids, int nids,
									const HubspotRows *rows, int column,
									int64 *left);

#endif							/* HUBSPOT_OUTBOX_ROW_IDS_H */
