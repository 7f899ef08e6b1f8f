/*-------------------------------------------------------------------------
 *
 * undone.c
 *	  Rows that were not confirmed, until that is recorded.
 *
 * Adjacent rows are recorded together if the same is to be recorded of them.
 * They may have many reasons: where HubSpot names what it refuses, each has
 * its own.  Where a request was refused, all of its rows have one reason, of
 * which there is one copy, since it may be large.
 *
 * IDENTIFICATION
 *	  src/outbox/undone.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "api/error.h"
#include "outbox/settle.h"
#include "outbox/undone.h"

/* How long rows that are refused for lack of a scope wait, in microseconds. */
#define SCOPE_DELAY			(5 * 60 * INT64CONST(1000000))

/*
 * How long rows that let others go first wait: what is due by then goes before
 * them.
 */
#define SOON_DELAY			(2 * INT64CONST(1000000))

/* How many bytes the copies of reasons may take; one more may be larger. */
#define MAX_REASONS_SIZE	(1024 * 1024)

struct HubspotUndone
{
	MemoryContext context;		/* of the reasons, and of recording them */
	int			max_attempts;
	HubspotSettlement settlement;
	int			nrows;
	HubspotFailure rows[FLEXIBLE_ARRAY_MEMBER];
};

static bool same_error(const HubspotError *a, const HubspotError *b);
static bool same_text(const char *a, const char *b);

/* Create undone rows, none so far, palloc'd; there will be no more than max_rows. */
HubspotUndone *
hubspot_undone_create(int max_rows, int max_attempts)
{
	HubspotUndone *undone = palloc(offsetof(HubspotUndone, rows) +
								   sizeof(HubspotFailure) * max_rows);

	memset(undone, 0, offsetof(HubspotUndone, rows));
	undone->max_attempts = max_attempts;
	undone->context = AllocSetContextCreate(CurrentMemoryContext,
											"hubspot_assoc reasons",
											ALLOCSET_DEFAULT_SIZES);
	return undone;
}

/*
 * Note one more row; those before it are recorded now if something else is to
 * be recorded of them.  Needs what hubspot_settle_dead() needs.
 */
void
hubspot_undone_note(HubspotUndone *undone, int64 id,
					HubspotSettlement settlement, const HubspotError *error)
{
	HubspotFailure *row;

	if (undone->nrows > 0 &&
		(undone->settlement != settlement ||
		 MemoryContextMemAllocated(undone->context, false) > MAX_REASONS_SIZE))
		hubspot_undone_settle(undone);
	undone->settlement = settlement;
	row = &undone->rows[undone->nrows];
	row->id = id;
	if (undone->nrows > 0 && same_error(row[-1].error, error))
		row->error = row[-1].error;
	else
	{
		/* a copy, since the answer will be freed */
		MemoryContext old = MemoryContextSwitchTo(undone->context);

		row->error = hubspot_copy_error(error);
		MemoryContextSwitchTo(old);
	}
	undone->nrows++;
}

static bool
same_error(const HubspotError *a, const HubspotError *b)
{
	return a->http_status == b->http_status && same_text(a->category, b->category) &&
		same_text(a->message, b->message) &&
		same_text(a->correlation_id, b->correlation_id) &&
		a->object.len == b->object.len &&
		(a->object.len == 0 || memcmp(a->object.data, b->object.data, a->object.len) == 0);
}

/* Are two texts, which may be NULL, the same? */
static bool
same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* Record the rows that were noted. */
void
hubspot_undone_settle(HubspotUndone *undone)
{
	MemoryContext old = MemoryContextSwitchTo(undone->context);

	if (undone->nrows > 0)
	{
		switch (undone->settlement)
		{
			case HUBSPOT_SETTLE_FAILED:
				hubspot_settle_failed(undone->rows, undone->nrows, undone->max_attempts);
				break;
			case HUBSPOT_SETTLE_LATER:
				hubspot_settle_later(undone->rows, undone->nrows,
									 GetCurrentTimestamp() + SCOPE_DELAY);
				break;
			case HUBSPOT_SETTLE_SOON:
				hubspot_settle_later(undone->rows, undone->nrows,
									 GetCurrentTimestamp() + SOON_DELAY);
				break;
			case HUBSPOT_SETTLE_LONGER:
				hubspot_settle_longer(undone->rows, undone->nrows);
				break;
			case HUBSPOT_SETTLE_APART:
				hubspot_settle_apart(undone->rows, undone->nrows);
				break;
			case HUBSPOT_SETTLE_DEAD:
				hubspot_settle_dead_each(undone->rows, undone->nrows);
				break;
		}
	}
	undone->nrows = 0;
	MemoryContextSwitchTo(old);
	MemoryContextReset(undone->context);
}
