/*-------------------------------------------------------------------------
 *
 * throttle_test.c
 *	  Numbers in, numbers out: src/account/throttle.c against a plain list of times.
 *
 * Prints a line "ok" or "not ok", a tab and a name for each test; a seed for
 * the random ones is the only argument.
 *
 * IDENTIFICATION
 *	  test/unit/throttle_test.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "account/throttle.h"

/* the server's own are in a library that isn't linked */
#undef printf
#undef snprintf
#undef qsort

#define SECOND		INT64CONST(1000000)
#define HUBSPOT_WINDOW	(10 * SECOND)	/* what HubSpot counts */
#define WINDOW		(HUBSPOT_WINDOW + INT64CONST(100000))	/* what we keep to */
#define SEARCH_WINDOW	INT64CONST(1050000) /* of searches */
#define MAX_SENT	20000

static HubspotThrottle throttle;
static int64 times[MAX_SENT];	/* all that was sent */
static int	ntimes;

/* stands in for the server's, which a build with assertions would call */
void		failed_assertion(void);

void
failed_assertion(void)
{
	abort();
}

static void
check(bool passed, const char *name)
{
	printf("%s\t%s\n", passed ? "ok" : "not ok", name);
}

static void
reset(void)
{
	memset(&throttle, 0, sizeof(throttle));
	ntimes = 0;
}

static void
send_at(int64 now)
{
	hubspot_throttle_sent(&throttle, now);
	times[ntimes++] = now;
}

/* What hubspot_throttle_when() should say, from the list. */
static int64
expected_when(int limit, int64 now)
{
	if (limit > 0 && ntimes >= limit)
		return Max(now, times[ntimes - limit] + WINDOW);
	return now;
}

/* Most that were sent within ten seconds. */
static int
most_in_window(void)
{
	int			most = 0;
	int			first = 0;

	for (int i = 0; i < ntimes; i++)
	{
		while (times[first] <= times[i] - HUBSPOT_WINDOW)
			first++;
		most = Max(most, i - first + 1);
	}
	return most;
}

static double
random_fraction(void)
{
	return rand() / (RAND_MAX + 1.0);
}

static void
test_window(void)
{
	reset();
	check(hubspot_throttle_when(&throttle, 100, 1) == 1, "a new account may send at once");
	for (int i = 0; i < 99; i++)
		send_at(5 * SECOND + i);
	check(hubspot_throttle_when(&throttle, 100, 6 * SECOND) == 6 * SECOND, "the last one of the limit goes at once");
	send_at(6 * SECOND);
	check(hubspot_throttle_when(&throttle, 100, 6 * SECOND) == 5 * SECOND + WINDOW, "the next one waits until the first has left the window");
	check(hubspot_throttle_when(&throttle, 100, 5 * SECOND + WINDOW - 1) == 5 * SECOND + WINDOW, "and not a microsecond less");
	check(hubspot_throttle_when(&throttle, 100, 5 * SECOND + WINDOW) == 5 * SECOND + WINDOW, "nor more");
	check(hubspot_throttle_when(&throttle, 100, 100 * SECOND) == 100 * SECOND, "an idle account may send at once");
	check(hubspot_throttle_when(&throttle, 0, 6 * SECOND) == 6 * SECOND, "without a limit nothing waits");
}

static void
test_limit_changes(void)
{
	reset();
	for (int i = 0; i < 100; i++)
		send_at((i + 1) * SECOND / 100);
	check(hubspot_throttle_when(&throttle, 100, SECOND) == SECOND / 100 + WINDOW, "at the limit");
	check(hubspot_throttle_when(&throttle, 101, SECOND) == SECOND, "one more, one goes");
	check(hubspot_throttle_when(&throttle, 1000, SECOND) == SECOND, "the highest limit");
	check(hubspot_throttle_when(&throttle, 10, SECOND) == 91 * SECOND / 100 + WINDOW, "a lower one counts the last ten");
	check(hubspot_throttle_when(&throttle, 1, SECOND) == SECOND + WINDOW, "the lowest one counts the last");
}

static void
test_wrap(int limit, bool bursts)
{
	int64		now = SECOND;
	bool		as_expected = true;
	char		name[100];

	reset();
	for (int i = 0; i < 4 * HUBSPOT_MAX_RATE_LIMIT; i++)
	{
		int64		when = hubspot_throttle_when(&throttle, limit, now);

		if (when != expected_when(limit, now))
			as_expected = false;
		now = when + (bursts ? 0 : (int64) (random_fraction() * 25 * SECOND / limit));
		send_at(now);
	}
	snprintf(name, sizeof(name), "4,000 requests, limit %d, %s: as a list says", limit, bursts ? "bursts" : "random");
	check(as_expected, name);
	snprintf(name, sizeof(name), "4,000 requests, limit %d, %s: never more in ten seconds", limit, bursts ? "bursts" : "random");
	check(most_in_window() <= limit, name);
	if (bursts)
	{
		snprintf(name, sizeof(name), "4,000 requests, limit %d, bursts: the limit is used", limit);
		check(most_in_window() == Min(limit, 4 * HUBSPOT_MAX_RATE_LIMIT), name);
	}
}

/* A limit that changes at any time, parks included. */
static void
test_random(void)
{
	int64		now = SECOND;
	int64		parked = 0;
	int			limit = 100;
	bool		as_expected = true;

	reset();
	for (int i = 0; i < 15000; i++)
	{
		if (random_fraction() < 0.01)
			limit = (int) (random_fraction() * (HUBSPOT_MAX_RATE_LIMIT + 1));
		if (random_fraction() < 0.01)
		{
			int64		until = now + (int64) ((random_fraction() - 0.3) * 20 * SECOND);

			hubspot_throttle_park(&throttle, until);
			parked = Max(parked, until);
		}
		if (hubspot_throttle_when(&throttle, limit, now) != Max(parked, expected_when(limit, now)))
			as_expected = false;
		if (random_fraction() < 0.7)
		{
			now = hubspot_throttle_when(&throttle, limit, now);
			send_at(now);
		}
		else
			now += (int64) (random_fraction() * SECOND);
	}
	check(as_expected, "limits and parks that change at random: as a list says");
}

static void
test_park(void)
{
	reset();
	hubspot_throttle_park(&throttle, 30 * SECOND);
	check(hubspot_throttle_when(&throttle, 100, SECOND) == 30 * SECOND, "a parked account waits");
	check(hubspot_throttle_when(&throttle, 0, SECOND) == 30 * SECOND, "without a limit, too");
	hubspot_throttle_park(&throttle, 20 * SECOND);
	check(hubspot_throttle_when(&throttle, 100, SECOND) == 30 * SECOND, "a shorter wait doesn't shorten the longer one");
	hubspot_throttle_park(&throttle, 40 * SECOND);
	check(hubspot_throttle_when(&throttle, 100, SECOND) == 40 * SECOND, "a longer one counts");
	check(hubspot_throttle_when(&throttle, 100, 40 * SECOND) == 40 * SECOND, "until its time has come");
	check(hubspot_throttle_when(&throttle, 100, 41 * SECOND) == 41 * SECOND, "and no longer");
	for (int i = 0; i < 5; i++)
		send_at(35 * SECOND);
	check(hubspot_throttle_when(&throttle, 5, 36 * SECOND) == 35 * SECOND + WINDOW, "the longer one of park and window counts");
}

/* Who reads the clock first need not come first. */
static void
test_order(void)
{
	reset();
	hubspot_throttle_sent(&throttle, 3 * SECOND);
	hubspot_throttle_sent(&throttle, 2 * SECOND);
	hubspot_throttle_sent(&throttle, 4 * SECOND);
	check(hubspot_throttle_when(&throttle, 3, 5 * SECOND) == 3 * SECOND + WINDOW, "times out of order: the first");
	check(hubspot_throttle_when(&throttle, 2, 5 * SECOND) == 3 * SECOND + WINDOW, "times out of order: the late one counts as the one before it");
	check(hubspot_throttle_when(&throttle, 1, 5 * SECOND) == 4 * SECOND + WINDOW, "times out of order: the last");
}

static void
test_used(void)
{
	bool		as_expected = true;
	int64		now = SECOND;

	reset();
	check(hubspot_throttle_used(&throttle, SECOND) == 0, "a new account has used nothing");
	check(hubspot_throttle_is_idle(&throttle, SECOND), "and is idle");
	send_at(SECOND);
	send_at(2 * SECOND);
	check(hubspot_throttle_used(&throttle, 2 * SECOND) == 2, "two are in the window");
	check(hubspot_throttle_used(&throttle, SECOND + WINDOW - 1) == 2, "until its end");
	check(hubspot_throttle_used(&throttle, SECOND + WINDOW) == 1, "then one has left it");
	check(!hubspot_throttle_is_idle(&throttle, 2 * SECOND + WINDOW - 1), "with one in it, it isn't idle");
	check(hubspot_throttle_used(&throttle, 2 * SECOND + WINDOW) == 0, "then both have");
	check(hubspot_throttle_is_idle(&throttle, 2 * SECOND + WINDOW), "and it is");
	hubspot_throttle_park(&throttle, 60 * SECOND);
	check(!hubspot_throttle_is_idle(&throttle, 60 * SECOND - 1), "a parked one isn't");
	check(hubspot_throttle_is_idle(&throttle, 60 * SECOND), "until its time has come");

	reset();
	for (int i = 0; i < 5000; i++)
	{
		int			used = 0;

		now += (int64) (random_fraction() * random_fraction() * SECOND / 10);
		send_at(now);
		while (used < Min(ntimes, HUBSPOT_MAX_RATE_LIMIT) && times[ntimes - 1 - used] > now - WINDOW)
			used++;
		if (hubspot_throttle_used(&throttle, now) != used)
			as_expected = false;
	}
	check(as_expected, "5,000 requests: used as a list says");
	for (int i = 0; i < 2 * HUBSPOT_MAX_RATE_LIMIT; i++)
		send_at(now);
	check(hubspot_throttle_used(&throttle, now) == HUBSPOT_MAX_RATE_LIMIT, "never more than are kept");
}

/* Two throttles of one account, as one that knew of all. */
static void
test_merge(void)
{
	static HubspotThrottle parts[2];
	bool		as_expected = true;

	for (int round = 0; round < 20; round++)
	{
		int			count = (int) (random_fraction() * 3 * HUBSPOT_MAX_RATE_LIMIT);
		double		share = round < 2 ? round : random_fraction();
		int64		now = SECOND;

		reset();
		memset(parts, 0, sizeof(parts));
		for (int i = 0; i < count; i++)
		{
			now += (int64) (random_fraction() * SECOND / 50);
			send_at(now);
			hubspot_throttle_sent(&parts[random_fraction() < share], now);
		}
		hubspot_throttle_park(&parts[round % 2], round * SECOND);
		hubspot_throttle_park(&throttle, round * SECOND);
		hubspot_throttle_merge(&parts[0], &parts[1]);
		for (int limit = 0; limit <= HUBSPOT_MAX_RATE_LIMIT; limit++)
		{
			if (hubspot_throttle_when(&parts[0], limit, now) != hubspot_throttle_when(&throttle, limit, now))
				as_expected = false;
		}
		hubspot_throttle_sent(&parts[0], now);
		hubspot_throttle_sent(&throttle, now);
		if (hubspot_throttle_when(&parts[0], 1, now) != hubspot_throttle_when(&throttle, 1, now) ||
			hubspot_throttle_used(&parts[0], now) != hubspot_throttle_used(&throttle, now))
			as_expected = false;
	}
	check(as_expected, "two throttles merged: as one that knew of all");
}

static void
test_pace(void)
{
	reset();
	check(hubspot_throttle_pace(&throttle, 100, SECOND) == SECOND, "pace: a new account sends at once");
	for (int i = 0; i < 49; i++)
		send_at(SECOND);
	check(hubspot_throttle_pace(&throttle, 100, SECOND) == SECOND, "pace: at once with less than half of the window used");
	check(hubspot_throttle_pace(&throttle, 0, SECOND) == SECOND, "pace: at once without a limit");
	send_at(SECOND);
	check(hubspot_throttle_pace(&throttle, 100, SECOND) == SECOND + WINDOW / 51, "pace: with half of it used, as much as is left lasts until that leaves");
	check(hubspot_throttle_pace(&throttle, 100, 2 * SECOND) == 2 * SECOND, "pace: who comes late need not wait");
	check(hubspot_throttle_pace(&throttle, 101, SECOND) == SECOND, "pace: a higher limit counts at once");
	check(hubspot_throttle_pace(&throttle, 50, SECOND) == SECOND + WINDOW, "pace: nothing left, as the throttle says");
	check(hubspot_throttle_pace(&throttle, 10, SECOND) == SECOND + WINDOW, "pace: a lower limit, too");
	check(hubspot_throttle_pace(&throttle, 100, 2 * SECOND + WINDOW) == 2 * SECOND + WINDOW, "pace: an idle account sends at once");
	hubspot_throttle_park(&throttle, 30 * SECOND);
	check(hubspot_throttle_pace(&throttle, 100, SECOND) == 30 * SECOND, "pace: a parked account waits");
	check(hubspot_throttle_pace(&throttle, 0, SECOND) == 30 * SECOND, "pace: without a limit, too");

	/* one that leaves soon doesn't make up for many that don't */
	reset();
	send_at(SECOND);
	for (int i = 0; i < 49; i++)
		send_at(11 * SECOND);
	check(hubspot_throttle_pace(&throttle, 100, 11 * SECOND) == 11 * SECOND + WINDOW / 52, "pace: the whole window counts, not only its oldest request");
}

/*
 * One who sends all the time at the pace that he is told, beside others who
 * use a share of the limit at random: the throttle never blocks him for long,
 * and the limit is used.
 */
static void
test_pacing(int limit, double share)
{
	int64		now = 100 * SECOND;
	int64		settled = now + 2 * WINDOW;
	int64		end = now + 12 * WINDOW;
	int64		other = now;
	int64		last = now;
	int64		longest = 0;
	int			before = 0;		/* sent until it had settled */
	bool		never_blocked = true;
	char		name[100];

	reset();
	while (now < end)
	{
		int64		when = hubspot_throttle_pace(&throttle, limit, now);

		if (share > 0 && other <= when)
		{
			now = Max(now, other);
			if (hubspot_throttle_when(&throttle, limit, now) == now)
				send_at(now);
			other += (int64) (random_fraction() * 2 * WINDOW / (limit * share));
			continue;
		}
		if (hubspot_throttle_when(&throttle, limit, when) != when)
			never_blocked = false;
		now = when;
		if (before == 0 && now >= settled)
			before = ntimes;
		if (before > 0)
			longest = Max(longest, now - last);
		last = now;
		send_at(now);
	}
	snprintf(name, sizeof(name), "pace, limit %d, others %.0f %%: never before the throttle says", limit, share * 100);
	check(never_blocked, name);
	snprintf(name, sizeof(name), "pace, limit %d, others %.0f %%: never more in ten seconds", limit, share * 100);
	check(most_in_window() <= limit, name);
	snprintf(name, sizeof(name), "pace, limit %d, others %.0f %%: no two requests are far from each other", limit, share * 100);
	check(longest <= (share > 0 ? WINDOW / 2 : WINDOW / limit + 1), name);
	snprintf(name, sizeof(name), "pace, limit %d, others %.0f %%: the limit is used", limit, share * 100);
	check(ntimes - before >= 0.9 * limit * (end - settled) / WINDOW, name);
}

static void
test_delay(void)
{
	const double almost_one = 1.0 - 1.0 / (INT64CONST(1) << 53);
	bool		in_bounds = true;
	bool		grows = true;
	int64		sum = 0;

	check(hubspot_retry_delay(1, 0, 60 * SECOND, 0.0) == 0, "full jitter begins at none");
	check(hubspot_retry_delay(1, 0, 60 * SECOND, 0.5) == SECOND / 4, "the first retry waits half a second at most");
	check(hubspot_retry_delay(2, 0, 60 * SECOND, 0.5) == SECOND / 2, "the second one twice that");
	check(hubspot_retry_delay(5, 0, 60 * SECOND, 0.5) == 4 * SECOND, "the fifth sixteen times that");
	check(hubspot_retry_delay(5, 0, 3 * SECOND, 0.5) == 3 * SECOND / 2, "capped");
	check(hubspot_retry_delay(101, 0, 24 * 3600 * SECOND, almost_one) <= 24 * 3600 * SECOND, "after a hundred attempts, too");
	check(hubspot_retry_delay(101, 0, 24 * 3600 * SECOND, 0.5) == 12 * 3600 * SECOND, "without overflow");
	check(hubspot_retry_delay(PG_INT32_MAX, 0, SECOND, 0.5) == SECOND / 2, "however many they were");
	check(hubspot_retry_delay(1, 2 * SECOND, 60 * SECOND, 0.0) == 2 * SECOND, "never less than was asked for");
	check(hubspot_retry_delay(1, 2 * SECOND, 60 * SECOND, 0.5) == 2 * SECOND + SECOND / 4, "and jitter on top");
	check(hubspot_retry_delay(1, 0, 1, almost_one) <= 1, "the smallest cap");

	for (int attempts = 1; attempts <= 20; attempts++)
	{
		int64		half = hubspot_retry_delay(attempts, 0, 60 * SECOND, 0.5);

		if (attempts > 1 && half < hubspot_retry_delay(attempts - 1, 0, 60 * SECOND, 0.5))
			grows = false;
		for (int i = 0; i < 1000; i++)
		{
			int64		delay = hubspot_retry_delay(attempts, SECOND, 60 * SECOND, random_fraction());

			if (delay < SECOND || delay > 61 * SECOND || delay >= SECOND + 2 * half + 2)
				in_bounds = false;
			if (attempts == 1)
				sum += delay - SECOND;
		}
	}
	check(grows, "it grows with the attempts");
	check(in_bounds, "20,000 delays are within their bounds");
	check(sum > 1000 * SECOND / 5 && sum < 1000 * SECOND * 3 / 10, "the mean of the first is a quarter of a second");
}

/* What hubspot_throttle_search_when() should say, from the list of searches. */
static int64
expected_search(int64 now)
{
	if (ntimes < HUBSPOT_SEARCH_LIMIT)
		return now;
	return Max(now, times[ntimes - HUBSPOT_SEARCH_LIMIT] + SEARCH_WINDOW);
}

static void
search_at(int64 now)
{
	hubspot_throttle_searched(&throttle, now);
	times[ntimes++] = now;
}

static int
compare_times(const void *a, const void *b)
{
	int64		left = *(const int64 *) a;
	int64		right = *(const int64 *) b;

	return left < right ? -1 : left > right;
}

static void
test_searches(void)
{
	HubspotThrottle other;
	int64		now = SECOND;
	bool		right = true;
	bool		kept = true;

	reset();
	for (int i = 0; i < HUBSPOT_SEARCH_LIMIT; i++)
	{
		right &= (hubspot_throttle_search_when(&throttle, now + i) == now + i);
		search_at(now + i);
	}
	check(right, "five searches go at once");
	check(hubspot_throttle_search_when(&throttle, now + 5) == now + SEARCH_WINDOW, "the sixth waits for the first to be over");
	check(hubspot_throttle_when(&throttle, 100, now + 5) == now + 5, "nothing else waits for it");
	check(hubspot_throttle_search_when(&throttle, now + 2 * SECOND) == now + 2 * SECOND, "later all may go");

	reset();
	hubspot_throttle_park_searches(&throttle, 3 * SECOND);
	hubspot_throttle_park_searches(&throttle, 2 * SECOND);
	check(hubspot_throttle_search_when(&throttle, SECOND) == 3 * SECOND, "searches are parked, and not for less");
	check(hubspot_throttle_when(&throttle, 100, SECOND) == SECOND, "nothing else is parked with them");
	check(hubspot_throttle_pace(&throttle, 100, SECOND) == SECOND, "... or paced");
	check(!hubspot_throttle_is_idle(&throttle, 2 * SECOND), "a throttle that remembers that is not idle");
	check(hubspot_throttle_is_idle(&throttle, 3 * SECOND), "... until it is over");
	hubspot_throttle_park(&throttle, 5 * SECOND);
	check(hubspot_throttle_when(&throttle, 100, 4 * SECOND) == 5 * SECOND, "all is parked: for searches, too, by the account");
	check(hubspot_throttle_search_when(&throttle, 4 * SECOND) == 4 * SECOND, "... and not by their own limit");

	/* as early as may be, and at random */
	reset();
	for (int i = 0; i < 2000; i++)
	{
		int64		when = hubspot_throttle_search_when(&throttle, now);

		right &= (when == expected_search(now));
		now = when + (random_fraction() < 0.5 ? 0 : (int64) (random_fraction() * SECOND));
		search_at(now);
		if (ntimes > HUBSPOT_SEARCH_LIMIT)
			kept &= (now - times[ntimes - 1 - HUBSPOT_SEARCH_LIMIT] > SECOND);
	}
	check(right, "2,000 searches: each may go when the list says");
	check(kept, "never six within a second");

	/* of two that know some each, all of both in the end */
	right = true;
	for (int round = 0; round < 2000; round++)
	{
		int64		own = SECOND * (1 + round);

		reset();
		memset(&other, 0, sizeof(other));
		for (int i = (int) (random_fraction() * 13); i > 0; i--)
		{
			own += (int64) (random_fraction() * SECOND / 4);
			times[ntimes++] = own;
			hubspot_throttle_searched(random_fraction() < 0.5 ? &throttle : &other, own);
		}
		hubspot_throttle_park_searches(random_fraction() < 0.5 ? &throttle : &other, own);
		hubspot_throttle_merge(&throttle, &other);
		qsort(times, ntimes, sizeof(times[0]), compare_times);
		for (int i = 0; i < HUBSPOT_SEARCH_LIMIT + 2; i++)
		{
			right &= (hubspot_throttle_search_when(&throttle, own) == expected_search(own));
			own = hubspot_throttle_search_when(&throttle, own);
			search_at(own);
		}
	}
	check(right, "2,000 merged throttles have the last searches of both, in order");
	reset();
	memset(&other, 0, sizeof(other));
	hubspot_throttle_park_searches(&other, 7 * SECOND);
	hubspot_throttle_merge(&throttle, &other);
	check(hubspot_throttle_search_when(&throttle, SECOND) == 7 * SECOND && hubspot_throttle_when(&throttle, 1, SECOND) == SECOND,
		  "a merge parks as long as either did, and searches alone");
}

int
main(int argc, char **argv)
{
	static const int limits[] = {1, 2, 7, 100, 190, 250, 999, HUBSPOT_MAX_RATE_LIMIT};

	srand(argc > 1 ? (unsigned int) atoi(argv[1]) : 1);
	test_window();
	test_limit_changes();
	test_park();
	test_order();
	test_used();
	test_merge();
	test_searches();
	test_pace();
	test_pacing(1, 0);
	test_pacing(10, 0);
	test_pacing(100, 0);
	test_pacing(190, 0.2);
	test_pacing(100, 0.5);
	test_pacing(HUBSPOT_MAX_RATE_LIMIT, 0);
	for (size_t i = 0; i < lengthof(limits); i++)
	{
		test_wrap(limits[i], true);
		test_wrap(limits[i], false);
	}
	test_random();
	test_delay();
	return 0;
}
