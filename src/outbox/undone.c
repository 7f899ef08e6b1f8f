/*-------------------------------------------------------------------------
 *
 * undone.c
 *	  Rows that were not confirmed, until that is recorded.
 *
 * Rows that follow each other with one reason are recorded together: they tend to
 * have one where a request was refused, and a reason may be large.
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

/* Rows that are refused for lack of a scope wait so long, in microseconds. */
#define SCOPE_DELAY			(5 * 60 * INT64CONST(1000000))

/* Rows that let others go first wait so long: for what is due by then. */
#define SOON_DELAY			(2 * INT64CONST(1000000))

struct HubspotUndone
{
	MemoryContext context;		/* of the reason, and of recording it */
	int			max_attempts;
	HubspotSettlement settlement;
	const HubspotError *reason; /* a copy, since the answer goes */
	int			nids;
	int64		ids[FLEXIBLE_ARRAY_MEMBER];
};

static bool same_error(const HubspotError *a, const HubspotError *b);
static bool same_text(const char *a, const char *b);

/* None so far, palloc'd; there will be no more than max_rows. */
HubspotUndone *
hubspot_undone_create(int max_rows, int max_attempts)
{
	HubspotUndone *undone = palloc(offsetof(HubspotUndone, ids) +
								   sizeof(int64) * max_rows);

	memset(undone, 0, offsetof(HubspotUndone, ids));
	undone->max_attempts = max_attempts;
	undone->context = AllocSetContextCreate(CurrentMemoryContext,
											"hubspot_assoc reason",
											ALLOCSET_DEFAULT_SIZES);
	return undone;
}

/*
 * One more row; those before it are recorded if they have another reason.  Wants
 * what hubspot_settle_dead does.
 */
void
hubspot_undone_note(HubspotUndone *undone, int64 id,
					HubspotSettlement settlement, const HubspotError *error)
{
	if (undone->nids > 0 &&
		(undone->settlement != settlement || !same_error(undone->reason, error)))
		hubspot_undone_settle(undone);
	if (undone->nids == 0)
	{
		MemoryContext old = MemoryContextSwitchTo(undone->context);

		undone->settlement = settlement;
		undone->reason = hubspot_copy_error(error);
		MemoryContextSwitchTo(old);
	}
	undone->ids[undone->nids++] = id;
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

/* Either may be NULL. */
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

	if (undone->nids > 0)
	{
		switch (undone->settlement)
		{
			case HUBSPOT_SETTLE_FAILED:
				hubspot_settle_failed(undone->ids, undone->nids,
									  undone->reason, undone->max_attempts);
				break;
			case HUBSPOT_SETTLE_LATER:
				hubspot_settle_later(undone->ids, undone->nids,
									 undone->reason,
									 GetCurrentTimestamp() + SCOPE_DELAY);
				break;
			case HUBSPOT_SETTLE_SOON:
				hubspot_settle_later(undone->ids, undone->nids,
									 undone->reason,
									 GetCurrentTimestamp() + SOON_DELAY);
				break;
			case HUBSPOT_SETTLE_DEAD:
				hubspot_settle_dead(undone->ids, undone->nids, undone->reason);
				break;
		}
	}
	undone->nids = 0;
	MemoryContextSwitchTo(old);
	MemoryContextReset(undone->context);
}
