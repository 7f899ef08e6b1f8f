/*-------------------------------------------------------------------------
 *
 * origin_functions.c
 *	  SQL functions on whether this database sends, or is a copy that does not.
 *
 * IDENTIFICATION
 *	  src/sql/origin_functions.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "base/shown.h"
#include "outbox/waiting.h"
#include "schema/extension.h"
#include "schema/origin.h"
#include "schema/rights.h"
#include "sql/argument.h"
#include "worker/wake.h"

PG_FUNCTION_INFO_V1(hs_assoc_held);
PG_FUNCTION_INFO_V1(hs_assoc_adopt);
PG_FUNCTION_INFO_V1(hs_assoc_keep_identity);

static bool discards(FunctionCallInfo fcinfo, int argument);
static void refuse_waiting(int64 count);

/*
 * hs_assoc_held(): why the outbox of this database is not sent, as a sentence;
 * null if it is sent.
 */
Datum
hs_assoc_held(PG_FUNCTION_ARGS)
{
	const char *problem;

	(void) hubspot_outbox_schema(false);
	problem = hubspot_origin_problem();
	if (problem == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(problem));
}

/*
 * hs_assoc_adopt(waiting): has this database, a copy of another one, send.
 *
 * What waits in its outbox is sent ('send') or deleted ('discard'); if something
 * does, and waiting is null, that is an ERROR (55000).  Returns how many rows
 * waited.  A database that sends already stays as it is.
 */
Datum
hs_assoc_adopt(PG_FUNCTION_ARGS)
{
	bool		discard = discards(fcinfo, 0);
	int64		count;

	(void) hubspot_outbox_schema(false);
	if (hubspot_origin_sends())
	{
		ereport(NOTICE,
				(errmsg("this database sends already, including what waits in its outbox")));
		PG_RETURN_INT64(0);
	}
	if (discard)
		count = hubspot_waiting_discard();
	else
	{
		count = hubspot_waiting_count();
		if (count > 0 && PG_ARGISNULL(0))
			refuse_waiting(count);
	}
	hubspot_waiting_begin_anew();
	hubspot_origin_adopt();
	hubspot_wake_at_commit();
	PG_RETURN_INT64(count);
}

/* Is what waits to be deleted?  ERROR: it is neither 'send' nor 'discard'. */
static bool
discards(FunctionCallInfo fcinfo, int argument)
{
	static const char hint[] = "It must be \"send\" or \"discard\".";
	const char *waiting;

	if (PG_ARGISNULL(argument))
		return false;
	waiting = hubspot_text_argument(fcinfo, argument, "waiting", hint);
	if (strcmp(waiting, "send") != 0 && strcmp(waiting, "discard") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for argument \"%s\": \"%s\"", "waiting",
						hubspot_shown(waiting)),
				 errhint("%s", hint)));
	return strcmp(waiting, "discard") == 0;
}

static void
refuse_waiting(int64 count)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg_plural("%lld operation waits in the outbox",
						   "%lld operations wait in the outbox",
						   (unsigned long) count, (long long) count),
			 errdetail("The database of which this one is a copy may have sent what waits, or may still send it."),
			 errhint("Call hs_assoc_adopt('send') to have that sent from here, or hs_assoc_adopt('discard') to delete it.")));
}

/*
 * hs_assoc_keep_identity(): a trigger of the table hs_assoc_identity, BEFORE each row, for a
 * replica alone.
 *
 * A row that a subscription brings is another database's, so nothing is done.  What we write
 * there is ours, also in a process that applies changes.
 */
Datum
hs_assoc_keep_identity(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by a trigger of rows",
						"hs_assoc_keep_identity")));
	if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA && !hubspot_is_nobody())
		return PointerGetDatum(NULL);
	return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ?
						   trigdata->tg_newtuple : trigdata->tg_trigtuple);
}
