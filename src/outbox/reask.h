/*-------------------------------------------------------------------------
 *
 * reask.h
 *	  How often HubSpot is asked again for records that it does not have.
 *
 * IDENTIFICATION
 *	  src/outbox/reask.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_REASK_H
#define HUBSPOT_OUTBOX_REASK_H

/* The keys of a request. */
#define HUBSPOT_REASK_KEYS	100

/* What is known of an account; all zeroes at first.  Times are those of hubspot_now(). */
typedef struct HubspotReask
{
	int64		spacing;		/* of requests, in microseconds */
	int64		free_at;		/* from when on the requests that have gone
								 * are within the rate */
	int64		planned_until;	/* when all that is planned can have gone */
} HubspotReask;

extern void hubspot_reask_set_rate(HubspotReask *reask, int rate_limit, int64 day_left,
								   int64 now);
extern int64 hubspot_reask_wait(int64 waited);
extern int	hubspot_reask_room(const HubspotReask *reask, int64 now);
extern int64 hubspot_reask_next(const HubspotReask *reask, int64 now);
extern void hubspot_reask_spend(HubspotReask *reask, int nkeys, int64 now);
extern int64 hubspot_reask_plan(HubspotReask *reask, int64 earliest, int64 now);

#endif							/* HUBSPOT_OUTBOX_REASK_H */
