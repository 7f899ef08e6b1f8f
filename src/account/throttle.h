/*-------------------------------------------------------------------------
 *
 * throttle.h
 *	  When a request may go, or go again.
 *
 * IDENTIFICATION
 *	  src/account/throttle.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ACCOUNT_THROTTLE_H
#define HUBSPOT_ACCOUNT_THROTTLE_H

/* The most requests in a window that a throttle can be asked to allow. */
#define HUBSPOT_MAX_RATE_LIMIT	1000

/* The seconds in which an account may send as many requests as rate_limit says. */
#define HUBSPOT_RATE_SECONDS	10

/* A day's requests are few if less than this part of them is left. */
#define HUBSPOT_LOW_QUOTA(limit)	((limit) / 10)

/* The searches that an account may send in a second. */
#define HUBSPOT_SEARCH_LIMIT	5

/*
 * The requests of one account.  All times are microseconds of one monotonic
 * clock.  All zeroes is the throttle of an account that has sent nothing yet.
 */
typedef struct HubspotThrottle
{
	int64		parked_until;	/* HubSpot has asked to send nothing before */
	int			next;			/* place in sent for the next request */
	int64		sent[HUBSPOT_MAX_RATE_LIMIT];	/* in their order; 0: never */

	/* those of the requests that are searches, which have a limit besides */
	int64		searches_parked_until;
	int			next_search;
	int64		searches[HUBSPOT_SEARCH_LIMIT];

	/* what HubSpot has last said of the day's requests */
	int64		day_limit;		/* how many the day has; -1: it has not said */
	int64		day_left;		/* how many were left */
	int64		day_known_at;	/* when it said so; 0: never */

	int64		asked_again_until;	/* until when the senders of the outbox
									 * have used up their limit on asking for
									 * missing keys again */
} HubspotThrottle;

extern int64 hubspot_throttle_when(const HubspotThrottle *throttle, int limit,
								   int64 now);
extern int64 hubspot_throttle_pace(const HubspotThrottle *throttle, int limit,
								   int64 now);
extern void hubspot_throttle_sent(HubspotThrottle *throttle, int64 now);
extern void hubspot_throttle_park(HubspotThrottle *throttle, int64 until);
extern int64 hubspot_throttle_search_when(const HubspotThrottle *throttle, int64 now);
extern void hubspot_throttle_searched(HubspotThrottle *throttle, int64 now);
extern void hubspot_throttle_park_searches(HubspotThrottle *throttle, int64 until);
extern void hubspot_throttle_note_day(HubspotThrottle *throttle, int64 limit, int64 left,
									  int64 now);
extern int64 hubspot_throttle_day_left(const HubspotThrottle *throttle, int64 now);
extern bool hubspot_throttle_day_is_low(const HubspotThrottle *throttle, int64 now);
extern int	hubspot_throttle_used(const HubspotThrottle *throttle, int64 now);
extern bool hubspot_throttle_is_idle(const HubspotThrottle *throttle, int64 now);
extern void hubspot_throttle_merge(HubspotThrottle *throttle,
								   const HubspotThrottle *other);
extern int64 hubspot_retry_delay(int attempts, int64 least, int64 most,
								 double random);

#endif							/* HUBSPOT_ACCOUNT_THROTTLE_H */
