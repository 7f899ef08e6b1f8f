/*-------------------------------------------------------------------------
 *
 * reask.c
 *	  How often HubSpot is asked again for records that it does not have.
 *
 * Any number of rows may wait for records that never come.  Asking for them may use a tenth of
 * the account's rate, and of what is left of its day, so that nothing else has to wait for it.
 * A key that is to be asked for again gets a time at which this rate allows that.  If more
 * keys come at once all the same, as after a sender has begun anew, those that are too many
 * get another time: a request's worth of them the next one, the rest a later one, behind all
 * that is planned.
 *
 * IDENTIFICATION
 *	  src/outbox/reask.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/reask.h"

#define SECOND			INT64CONST(1000000) /* in microseconds */
#define DAY				(86400 * SECOND)

/* One in so many requests of the rate, and the time for which a rate counts requests. */
#define PART			10
#define RATE_PERIOD		(10 * SECOND)

/* The rate of an account that has none: that of servers by default. */
#define USUAL_RATE		100

/* How many requests may go at once, if none have gone for a while. */
#define BURST			5

/* A row is asked for again after this part of the time that it has waited, within bounds. */
#define WAIT_PART		10
#define MIN_WAIT		(5 * SECOND)
#define MAX_WAIT		(3600 * SECOND)

/* How long a key waits at most until it is asked for again, if there is room then. */
#define MAX_PLAN		(3600 * SECOND)

/*
 * Set the rate of the account's server; day_left is how many requests of the day are left, or
 * -1 if that is not known.  What was planned at a lower rate, as at the end of a day, does not
 * hold up what comes at a higher one.
 */
void
hubspot_reask_set_rate(HubspotReask *reask, int rate_limit, int64 day_left, int64 now)
{
	int64		spacing = PART * RATE_PERIOD / (rate_limit > 0 ? rate_limit : USUAL_RATE);

	if (day_left >= 0)
		spacing = Max(spacing, PART * DAY / Max(day_left, PART));
	if (spacing < reask->spacing)
	{
		reask->free_at = Min(reask->free_at, now + BURST * spacing);
		reask->planned_until = Min(reask->planned_until, now);
	}
	reask->spacing = spacing;
}

/* How long until a row is asked for again that has waited for so long, if there is room? */
int64
hubspot_reask_wait(int64 waited)
{
	return Min(Max(waited / WAIT_PART, MIN_WAIT), MAX_WAIT);
}

/* How many keys may be asked for again now? */
int
hubspot_reask_room(const HubspotReask *reask, int64 now)
{
	int64		left = now + BURST * reask->spacing - Max(reask->free_at, now);

	return left < reask->spacing ? 0 : (int) (left / reask->spacing) * HUBSPOT_REASK_KEYS;
}

/* When is there room for a request, at the latest? */
int64
hubspot_reask_next(const HubspotReask *reask, int64 now)
{
	return Max(reask->free_at - (BURST - 1) * reask->spacing, now);
}

/* Note that so many keys are asked for again. */
void
hubspot_reask_spend(HubspotReask *reask, int nkeys, int64 now)
{
	int			nrequests = (nkeys + HUBSPOT_REASK_KEYS - 1) / HUBSPOT_REASK_KEYS;

	reask->free_at = Max(reask->free_at, now) + nrequests * reask->spacing;
}

/* Plan when one more key is asked for again, not before the earliest time. */
int64
hubspot_reask_plan(HubspotReask *reask, int64 earliest, int64 now)
{
	reask->planned_until = Max(reask->planned_until, now) + reask->spacing / HUBSPOT_REASK_KEYS;
	reask->planned_until = Min(reask->planned_until, now + MAX_PLAN);
	return Max(Min(earliest, now + MAX_PLAN), reask->planned_until);
}
