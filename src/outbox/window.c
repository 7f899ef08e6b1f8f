/*-------------------------------------------------------------------------
 *
 * window.c
 *	  The window: the oldest rows of an account that are due.
 *
 * IDENTIFICATION
 *	  src/outbox/window.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "outbox/window.h"

/* Set the parameters of a statement on a window of that many rows. */
void
hubspot_set_window(HubspotValues *values, const HubspotClaimant *claimant, int window)
{
	hubspot_set_text(values, HUBSPOT_WINDOW_SERVER, claimant->server);
	hubspot_set_oid(values, HUBSPOT_WINDOW_ROLE, claimant->role);
	hubspot_set_time(values, HUBSPOT_WINDOW_NOW, GetCurrentTimestamp());
	hubspot_set_int64(values, HUBSPOT_WINDOW_SIZE, window);
	hubspot_set_time(values, HUBSPOT_WINDOW_HORIZON, claimant->horizon);
}
