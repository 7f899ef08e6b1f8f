/*-------------------------------------------------------------------------
 *
 * difference_sql.h
 *	  Which of the differences from HubSpot a link table has rows for.
 *
 * IDENTIFICATION
 *	  src/sync/difference_sql.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SYNC_DIFFERENCE_SQL_H
#define HUBSPOT_SYNC_DIFFERENCE_SQL_H

#include "sync/link_rows.h"

/*
 * Tuplestores that queries about differences from HubSpot name: the differences, with the
 * columns no, removes, category, type_id, label and is_default; and what their records may
 * be called in the sync's columns, with no and name.
 */
#define HUBSPOT_DIFFERENCES	"differences"
#define HUBSPOT_FROM_NAMES	"from_names"
#define HUBSPOT_TO_NAMES	"to_names"

extern char *hubspot_delta_matching(const HubspotDelta *delta, bool reverse);
extern char *hubspot_delta_types_matching(const HubspotDelta *delta);

#endif							/* HUBSPOT_SYNC_DIFFERENCE_SQL_H */
