/*-------------------------------------------------------------------------
 *
 * throttle.c
 *	  When a request may go, or go again: numbers in, numbers out.
 *
 * HubSpot counts the requests of the last ten seconds.  A token bucket of that
 * size, once full, lets twice the limit through within ten seconds, and a
 * small one never uses what an idle account has saved up; so the throttle
 * does as HubSpot does, and keeps the times of the last requests: a request
 * may go when the one that is limit places before it has left the window.
 *
 * IDENTIFICATION
 *	  src/account/throttle.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "account/throttle.h"

/*
 * HubSpot's window, and a little more: requests do not all travel equally
 * fast, and HubSpot counts them when they arrive.
 */
#define WINDOW			INT64CONST(10100000)

/* The window for searches, likewise. */
#define SEARCH_WINDOW	INT64CONST(1050000)

#define DAY				INT64CONST(86400000000)

/* How many requests a day HubSpot gives to those who pay least. */
#define LEAST_DAY_LIMIT	250000

/* The first retry waits up to this long, and each further one twice as long. */
#define FIRST_DELAY		INT64CONST(500000)

static int64 nth_last(const HubspotThrottle *throttle, int n);
static void merge_searches(HubspotThrottle *merged, const HubspotThrottle *throttle,
						   const HubspotThrottle *other);

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
		int64		sent = nth_last(throttle, limit);

		if (sent > 0)
			when = Max(when, sent + WINDOW);
	}
	return when;
}

/* When the nth request before the next one went, or 0. */
static int64
nth_last(const HubspotThrottle *throttle, int n)
{
	return throttle->sent[(throttle->next + HUBSPOT_MAX_RATE_LIMIT - n) %
						  HUBSPOT_MAX_RATE_LIMIT];
}

/*
 * When a sender that would rather spread its requests than send all at once
 * and then wait for seconds should send the next one.  While less than half of
 * the window is used, that is at once.  From then on it is so long after the
 * last request that, at this distance, each further request finds a place,
 * either one that is left or one that is freed by then.  Never before
 * hubspot_throttle_when().
 */
int64
hubspot_throttle_pace(const HubspotThrottle *throttle, int limit, int64 now)
{
	int64		when = hubspot_throttle_when(throttle, limit, now);
	int			used = Min(limit, hubspot_throttle_used(throttle, now));
	int64		distance = 0;

	if (limit == 0 || used < limit - used)
		return when;
	for (int i = used; i > 0; i--)
	{
		int64		leaves = nth_last(throttle, i) + WINDOW;
		int			places = limit - i + 1; /* with the one that this request
											 * frees */

		distance = Max(distance, (leaves - nth_last(throttle, 1)) / places);
	}
	return Max(when, nth_last(throttle, 1) + distance);
}

/*
 * Note that a request goes now.  Processes that share the throttle may come
 * here in another order than they read the clock.
 */
void
hubspot_throttle_sent(HubspotThrottle *throttle, int64 now)
{
	throttle->sent[throttle->next] = Max(now, nth_last(throttle, 1));
	throttle->next = (throttle->next + 1) % HUBSPOT_MAX_RATE_LIMIT;
}

/*
 * Let nothing go before until, or before the end of an earlier park that lasts
 * longer.
 */
void
hubspot_throttle_park(HubspotThrottle *throttle, int64 until)
{
	throttle->parked_until = Max(throttle->parked_until, until);
}

/*
 * The time from which the next search may go, which is a request besides; not before
 * now.
 */
int64
hubspot_throttle_search_when(const HubspotThrottle *throttle, int64 now)
{
	int64		first = throttle->searches[throttle->next_search];
	int64		when = Max(now, throttle->searches_parked_until);

	return first > 0 ? Max(when, first + SEARCH_WINDOW) : when;
}

/* Note that a search goes now. */
void
hubspot_throttle_searched(HubspotThrottle *throttle, int64 now)
{
	throttle->searches[throttle->next_search] = now;
	throttle->next_search = (throttle->next_search + 1) % HUBSPOT_SEARCH_LIMIT;
}

/* Let no search go before until, as hubspot_throttle_park() does for all requests. */
void
hubspot_throttle_park_searches(HubspotThrottle *throttle, int64 until)
{
	throttle->searches_parked_until = Max(throttle->searches_parked_until, until);
}

/*
 * How many requests are in the window; never more than
 * HUBSPOT_MAX_RATE_LIMIT.
 */
int
hubspot_throttle_used(const HubspotThrottle *throttle, int64 now)
{
	int			used = 0;

	while (used < HUBSPOT_MAX_RATE_LIMIT)
	{
		int64		sent = nth_last(throttle, used + 1);

		if (sent == 0 || sent + WINDOW <= now)
			break;
		used++;
	}
	return used;
}

/* Is it as good as the throttle of an account that has sent nothing yet? */
bool
hubspot_throttle_is_idle(const HubspotThrottle *throttle, int64 now)
{
	return throttle->parked_until <= now && throttle->searches_parked_until <= now &&
		hubspot_throttle_used(throttle, now) == 0;
}

/*
 * Note how many requests the day has, as HubSpot says (-1: it does not), and how many are
 * left.
 */
void
hubspot_throttle_note_day(HubspotThrottle *throttle, int64 limit, int64 left, int64 now)
{
	throttle->day_limit = limit;
	throttle->day_left = left;
	throttle->day_known_at = now;
}

/* How many requests of the day are left; -1: HubSpot has not said so in the last day. */
int64
hubspot_throttle_day_left(const HubspotThrottle *throttle, int64 now)
{
	if (throttle->day_known_at == 0 || now - throttle->day_known_at > DAY)
		return -1;
	return throttle->day_left;
}

/*
 * Are few requests of the day left?  Where HubSpot has not said how many the day has, it
 * counts as having LEAST_DAY_LIMIT.
 */
bool
hubspot_throttle_day_is_low(const HubspotThrottle *throttle, int64 now)
{
	int64		left = hubspot_throttle_day_left(throttle, now);

	return left >= 0 &&
		left < HUBSPOT_LOW_QUOTA(throttle->day_limit > 0 ? throttle->day_limit : LEAST_DAY_LIMIT);
}

/* Merge the last searches of two throttles, each of which has its own in order. */
static void
merge_searches(HubspotThrottle *merged, const HubspotThrottle *throttle,
			   const HubspotThrottle *other)
{
	int			ours = throttle->next_search + HUBSPOT_SEARCH_LIMIT;
	int			theirs = other->next_search + HUBSPOT_SEARCH_LIMIT;

	for (int i = HUBSPOT_SEARCH_LIMIT - 1; i >= 0; i--)
	{
		int64		our_last = throttle->searches[(ours - 1) % HUBSPOT_SEARCH_LIMIT];
		int64		their_last = other->searches[(theirs - 1) % HUBSPOT_SEARCH_LIMIT];

		merged->searches[i] = Max(our_last, their_last);
		if (our_last >= their_last)
			ours--;
		else
			theirs--;
	}
	merged->next_search = 0;
	merged->searches_parked_until = Max(throttle->searches_parked_until,
										other->searches_parked_until);
}

/* Add what another throttle of the same account knows. */
void
hubspot_throttle_merge(HubspotThrottle *throttle, const HubspotThrottle *other)
{
	HubspotThrottle merged;
	const HubspotThrottle *newer =
	other->day_known_at > throttle->day_known_at ? other : throttle;
	int			ours = 1;
	int			theirs = 1;

	for (int i = HUBSPOT_MAX_RATE_LIMIT - 1; i >= 0; i--)
	{
		if (nth_last(throttle, ours) >= nth_last(other, theirs))
			merged.sent[i] = nth_last(throttle, ours++);
		else
			merged.sent[i] = nth_last(other, theirs++);
	}
	merged.next = 0;
	merge_searches(&merged, throttle, other);
	merged.day_limit = newer->day_limit;
	merged.day_left = newer->day_left;
	merged.day_known_at = newer->day_known_at;
	merged.asked_again_until = Max(throttle->asked_again_until, other->asked_again_until);
	merged.parked_until = Max(throttle->parked_until, other->parked_until);
	*throttle = merged;
}

/*
 * How long to wait after that many failed attempts: exponential backoff with
 * full jitter, so that requests that failed together are not repeated
 * together, in microseconds.  least is what the server asked for, or 0; most
 * caps the jittered part alone.  random is in [0, 1).
 */
int64
hubspot_retry_delay(int attempts, int64 least, int64 most, double random)
{
	int64		range = FIRST_DELAY;

	for (int i = 1; i < attempts && range < most; i++)
		range *= 2;
	return least + (int64) (random * Min(range, most));
}
