/*-------------------------------------------------------------------------
 *
 * allowance.c
 *	  How many requests may be sent.
 *
 * There are two bounds.  The setting hubspot_assoc.max_requests is on all that
 * one statement of the user sends, whichever functions it calls; going beyond
 * it is an ERROR, because a user who sets it wants to be asked.  A statement is
 * what the client has sent at once, so that a loop in a DO block counts as one.
 * What a sender does for the outbox is not a statement's; it has no such bound.
 * The other bound is a client's own: what does not fit into it comes back
 * without being sent.
 *
 * IDENTIFICATION
 *	  src/call/allowance.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"

#include "api/error.h"
#include "base/setting.h"
#include "call/allowance.h"

/* The requests of the user's statement, which is told from others by when it began. */
static TimestampTz statement = 0;
static int64 sent = 0;

static bool is_bounded(const HubspotClient *client);

/*
 * A function is about to send that many requests, as far as can be told.  ERROR
 * if these are too many, before the first one is sent.
 */
void
hubspot_allowance_expect(const HubspotClient *client, int64 requests)
{
	if (!is_bounded(client) || sent + requests <= hubspot_max_requests)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("this takes %lld requests, and the setting hubspot_assoc.max_requests allows %d",
					(long long) (sent + requests), hubspot_max_requests),
			 sent == 0 ? errdetail("Nothing was sent.") :
			 errdetail("%lld requests of this statement were sent.", (long long) sent),
			 errhint("To send them, set hubspot_assoc.max_requests higher, or to 0.")));
}

/*
 * A request is about to be sent.  NULL: it may be.  Else the client may send no
 * more; or an ERROR, if the statement may not.
 */
const HubspotError *
hubspot_allowance_take(const HubspotClient *client)
{
	if (client->policy.max_requests > 0 && *client->sent >= client->policy.max_requests)
		return hubspot_make_error(HUBSPOT_VERDICT_NOT_SENT, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
								  psprintf("no more than %d requests are sent for this",
										   client->policy.max_requests));
	if (is_bounded(client) && sent >= hubspot_max_requests)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("this takes more requests than the setting hubspot_assoc.max_requests allows"),
				 errdetail("It allows %d. That many were sent, and what they have done stays done.",
						   hubspot_max_requests),
				 errhint("To go on, set hubspot_assoc.max_requests higher, or to 0.")));
	sent++;
	++*client->sent;
	return NULL;
}

/* Does the setting bound what the client sends?  A new statement has sent nothing yet. */
static bool
is_bounded(const HubspotClient *client)
{
	TimestampTz now = GetCurrentStatementStartTimestamp();

	if (now != statement)
	{
		statement = now;
		sent = 0;
	}
	return hubspot_max_requests > 0 && !client->policy.impatient;
}
