/*-------------------------------------------------------------------------
 *
 * history.c
 *	  Who had what associated, when, and what came of it.
 *
 * If a server's option asks for it, a row of the outbox says who has enqueued it, and for
 * how long its history is kept; and the statement that settles it puts that into
 * hs_assoc_history_batch.  So it is there if and only if the row is settled.  Where the
 * option is not set, a row has three nulls more, and nothing else is done.
 *
 * Rows that are settled together have one row there, with arrays of what differs: to form
 * one for each would take a quarter of what a sync takes of a CPU, and to delete it later
 * more.  A view takes them apart.
 *
 * That table is not cut by months: each row has a time of its own until which it is kept,
 * since servers differ; and senders, who may not wait for a lock, delete some rows at a
 * time, while to drop a part of a table waits for all who read it.
 *
 * IDENTIFICATION
 *	  src/outbox/history.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "account/option.h"
#include "outbox/history.h"
#include "schema/prepared.h"

/* How many batches are forgotten at a time: more than a round makes. */
#define FORGOTTEN_BATCHES	"1000"

static HubspotStatement forget_statement = {
	.text =
	"DELETE FROM %1$s.hs_assoc_history_batch AS h WHERE h.ctid = ANY (ARRAY("
	" SELECT l.ctid FROM %1$s.hs_assoc_history_batch AS l WHERE l.keep_until < now()"
	" ORDER BY l.keep_until LIMIT " FORGOTTEN_BATCHES " FOR UPDATE SKIP LOCKED))",
};

/*
 * Set the parameters that say who enqueues something for a server, from the first of them
 * on: null, if its history is not kept.
 */
void
hubspot_history_who(HubspotValues *values, int first, const char *server)
{
	int			minutes = hubspot_history_retention(server);
	Interval   *kept_for;

	if (minutes == 0)
	{
		for (int i = 0; i < HUBSPOT_NWHO; i++)
			hubspot_set_null(values, first + i);
		return;
	}
	kept_for = palloc0(sizeof(Interval));
	kept_for->time = (TimeOffset) minutes * 60 * USECS_PER_SEC;
	hubspot_set_text(values, first, GetUserNameFromId(GetSessionUserId(), true));
	hubspot_set_text(values, first + 1, application_name);
	hubspot_set_datum(values, first + 2, IntervalPGetDatum(kept_for));
}

/* Forget some of what need not be kept any longer. */
void
hubspot_history_forget(void)
{
	hubspot_execute(&forget_statement, NULL);
}
