/*-------------------------------------------------------------------------
 *
 * window.h
 *	  The window: the oldest rows of an account that are due.
 *
 * Every statement that looks at it begins with these parameters.
 *
 * IDENTIFICATION
 *	  src/outbox/window.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_WINDOW_H
#define HUBSPOT_OUTBOX_WINDOW_H

#include "catalog/pg_type.h"

#include "outbox/claimant.h"
#include "schema/values.h"

/* The parameters of the statements on a window */
enum
{
	HUBSPOT_WINDOW_SERVER,
	HUBSPOT_WINDOW_ROLE,
	HUBSPOT_WINDOW_NOW,
	HUBSPOT_WINDOW_SIZE,
	HUBSPOT_WINDOW_HORIZON,
	HUBSPOT_WINDOW_NPARAMETERS
};

#define HUBSPOT_WINDOW_TYPES \
	[HUBSPOT_WINDOW_SERVER] = TEXTOID, \
	[HUBSPOT_WINDOW_ROLE] = REGROLEOID, \
	[HUBSPOT_WINDOW_NOW] = TIMESTAMPTZOID, \
	[HUBSPOT_WINDOW_SIZE] = INT8OID, \
	[HUBSPOT_WINDOW_HORIZON] = TIMESTAMPTZOID

/* The condition on its rows, by the index of what is due; and these rows */
#define HUBSPOT_SQL_OLDEST_DUE \
	"server = $1 AND role = $2 AND not_before >= $5 AND not_before <= $3" \
	" ORDER BY not_before, id LIMIT $4"

#define HUBSPOT_SQL_WINDOW \
	"(SELECT id, server, role, operation, from_type, from_id, to_type, to_id, type_ids," \
	"  category, labels, keep_labels, not_before, attempts, error_category" \
	" FROM %1$s.hs_assoc_outbox WHERE " HUBSPOT_SQL_OLDEST_DUE ")"

extern void hubspot_set_window(HubspotValues *values,
							   const HubspotClaimant *claimant, int window);

#endif							/* HUBSPOT_OUTBOX_WINDOW_H */
