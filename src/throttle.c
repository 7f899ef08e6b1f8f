/*-------------------------------------------------------------------------
 *
 * throttle.c
 *	  When a request may go, or go again: numbers in, numbers out.
 *
 * HubSpot counts the requests of the last ten seconds.  A token bucket of that
 * size, once full, lets twice the limit through within ten seconds, and a
 * small one never uses what an idle account has saved up; so the throttle
 * does as HubSpot does, and keeps the times of the last requests: one may go
 * when the one limit places before it has left the window.
 *
 * IDENTIFICATION
 *	  src/throttle.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "throttle.h"

/*
 * HubSpot's window, and a little: requests don't all travel equally fast, and
 * it counts them where they arrive.
 */
#define WINDOW			INT64CONST(10100000)

/* The first retry waits up to this long, and each further one twice as long. */
#define FIRST_DELAY		INT64CONST(500000)

/*
 * The time from which the next request may go, with at most limit requests
 * in ten seconds (0: any number); not before now.
 */
int64
hubspot_throttle_when(const HubspotThrottle *throttle, int limit, int64 now)
{
	int64		when = Max(now, throttle->parked_until);

	Assert(limit >= 0 && limit <= HUBSPOT_MAX_RATE_LIMIT);
	if (limit > 0)
	{
		int			place = throttle->next - limit;
		int64		sent;

		if (place < 0)
			place += HUBSPOT_MAX_RATE_LIMIT;
		sent = throttle->sent[place];
		if (sent > 0)
			when = Max(when, sent + WINDOW);
	}
	return when;
}

/* Note that a request goes now. */
void
hubspot_throttle_sent(HubspotThrottle *throttle, int64 now)
{
	throttle->sent[throttle->next] = now;
	throttle->next = (throttle->next + 1) % HUBSPOT_MAX_RATE_LIMIT;
}

/* Let nothing go before until; an earlier word that says longer stands. */
void
hubspot_throttle_park(HubspotThrottle *throttle, int64 until)
{
	throttle->parked_until = Max(throttle->parked_until, until);
}

/*
 * How long to wait after that many failed attempts: exponential backoff with
 * full jitter, so that many that failed together don't return together, in
 * microseconds.  least is what the server asked for, or 0; most caps the
 * jittered part alone.  random is in [0, 1).
 */
int64
hubspot_retry_delay(int attempts, int64 least, int64 most, double random)
{
	int64		range = FIRST_DELAY;

	for (int i = 1; i < attempts && range < most; i++)
		range *= 2;
	return least + (int64) (random * Min(range, most));
}
