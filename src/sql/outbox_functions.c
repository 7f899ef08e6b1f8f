/*-------------------------------------------------------------------------
 *
 * outbox_functions.c
 *	  SQL functions on the outbox: enqueue, flush, pause, resume, dead letters.
 *
 * IDENTIFICATION
 *	  src/sql/outbox_functions.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "account/account.h"
#include "account/server.h"
#include "base/catalog_access.h"
#include "base/clock.h"
#include "base/compat.h"
#include "base/shown.h"
#include "outbox/enqueue.h"
#include "outbox/horizon.h"
#include "outbox/outbox.h"
#include "outbox/sender.h"
#include "outbox/waiting.h"
#include "schema/origin.h"
#include "sql/argument.h"
#include "worker/sending.h"
#include "worker/wake.h"

PG_FUNCTION_INFO_V1(hs_assoc_outbox_wake);
PG_FUNCTION_INFO_V1(hs_assoc_enqueue);
PG_FUNCTION_INFO_V1(hs_assoc_flush);
PG_FUNCTION_INFO_V1(hs_assoc_may_commit);
PG_FUNCTION_INFO_V1(hs_assoc_start);
PG_FUNCTION_INFO_V1(hs_assoc_sender);
PG_FUNCTION_INFO_V1(hs_assoc_pause);
PG_FUNCTION_INFO_V1(hs_assoc_resume);
PG_FUNCTION_INFO_V1(hs_assoc_retry);
PG_FUNCTION_INFO_V1(hs_assoc_discard);

static char *operation_argument(FunctionCallInfo fcinfo, int argument);
static bool keep_labels_argument(FunctionCallInfo fcinfo, int argument,
								 const char *operation);
static bool is_primary_argument(FunctionCallInfo fcinfo, int argument,
								const char *operation);
static void flush(HubspotSender *sender, const char *server, int64 max_rows);
static void tell(const char *server, int64 done, int64 dead, bool waits);
static const char *what_to_do(const char *server, int64 dead, const HubspotHeldServers *held);
static void wait_until(TimestampTz time);
static const Datum *ids_argument(FunctionCallInfo fcinfo, int argument);
static const char *server_name(FunctionCallInfo fcinfo, int argument);
static void tell_missing_server(FunctionCallInfo fcinfo, int argument);

/*
 * hs_assoc_outbox_wake(): a trigger of the extension's tables, AFTER a
 * statement.
 *
 * Wakes the worker of this database when the transaction commits.  An UPDATE,
 * unless a sender makes it, may have made rows due earlier, or have moved them
 * to another account; where the trigger is called for a row, that row is due
 * earlier.
 */
Datum
hs_assoc_outbox_wake(PG_FUNCTION_ARGS)
{
	TriggerEvent event;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						"hs_assoc_outbox_wake")));
	event = ((TriggerData *) fcinfo->context)->tg_event;
	if (TRIGGER_FIRED_BY_UPDATE(event) && hubspot_is_sending())
		return PointerGetDatum(NULL);
	if (TRIGGER_FIRED_BY_UPDATE(event) || TRIGGER_FIRED_FOR_ROW(event))
		hubspot_horizon_void();
	hubspot_wake_at_commit();
	return PointerGetDatum(NULL);
}

/*
 * hs_assoc_enqueue(operation, from_type, to_type, query, keep_labels, is_primary,
 * wait_for_records, server)
 *
 * Puts the operation on each row of the query into the outbox, on behalf of
 * the current role, which needs USAGE on the server.  It needs a user mapping when
 * the row is sent; a WARNING says if it has none.  Returns how many rows there were;
 * those without from_id or to_id are skipped, and counted in hs_assoc_stat(); a NOTICE
 * says how many.
 * A row that could never be sent is an ERROR (22023).  Where an object type has a
 * property, the ids are keys, whose records are looked up when the row is sent; it waits
 * for records that HubSpot does not have, for as long as wait_for_records says.  In a
 * copy of a database it enqueues as well, and a WARNING says, once a session, that
 * nothing is sent.
 */
Datum
hs_assoc_enqueue(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc call",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	HubspotEnqueue enqueue = {0};
	bool		has_keys = false;
	const char *query;
	Oid			serverid;
	int64		enqueued;
	int64		skipped;

	enqueue.operation = operation_argument(fcinfo, 0);
	enqueue.from_type = hubspot_given_type_argument(fcinfo, 1, "from_type", &has_keys);
	enqueue.to_type = hubspot_given_type_argument(fcinfo, 2, "to_type", &has_keys);
	query = hubspot_query_argument(fcinfo, 3, "query", NULL);
	enqueue.keep_labels = keep_labels_argument(fcinfo, 4, enqueue.operation);
	enqueue.all_primary = is_primary_argument(fcinfo, 5, enqueue.operation);
	enqueue.wait_for_records = hubspot_wait_argument(fcinfo, 6, "wait_for_records", has_keys);
	enqueue.role = GetUserId();
	serverid = hubspot_usable_server_argument(fcinfo, 7);
	enqueue.serverid = serverid;
	enqueue.server = GetForeignServer(serverid)->servername;

	hubspot_origin_claim_or_warn();
	enqueued = hubspot_enqueue_query(&enqueue, query, &skipped);
	if (skipped > 0)
	{
		hubspot_account_count_skipped(hubspot_account(serverid), skipped);
		ereport(NOTICE,
				(errmsg_plural("%lld row of the query is skipped, since its from_id or to_id is null",
							   "%lld rows of the query are skipped, since their from_id or to_id is null",
							   (unsigned long) skipped, (long long) skipped)));
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	PG_RETURN_INT64(enqueued);
}

/* The name of an operation of the outbox. */
static char *
operation_argument(FunctionCallInfo fcinfo, int argument)
{
	static const char operations[] = "The operations are create_default, create, archive and archive_labels.";
	char	   *name = hubspot_text_argument(fcinfo, argument, "operation", operations);
	HubspotOperation operation;
	const char *closest;

	if (hubspot_outbox_operation(name, &operation))
		return name;
	closest = hubspot_outbox_closest_operation(name);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for argument \"%s\": \"%s\"", "operation",
					hubspot_shown(name)),
			 errdetail("%s", operations),
			 closest ? errhint("Perhaps you meant \"%s\".", closest) : 0));
}

/* Only a create replaces labels. */
static bool
keep_labels_argument(FunctionCallInfo fcinfo, int argument,
					 const char *operation)
{
	bool		keep_labels = hubspot_bool_argument(fcinfo, argument, "keep_labels");

	if (keep_labels && strcmp(operation, "create") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" is only for operation \"%s\"",
						"keep_labels", "create")));
	return keep_labels;
}

/* Only operations that take types have a primary one. */
static bool
is_primary_argument(FunctionCallInfo fcinfo, int argument, const char *operation)
{
	bool		is_primary = hubspot_flag_argument(fcinfo, argument);

	if (is_primary && strcmp(operation, "create") != 0 &&
		strcmp(operation, "archive_labels") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" is only for operations \"%s\" and \"%s\"",
						"is_primary", "create", "archive_labels")));
	return is_primary;
}

/*
 * CALL hs_assoc_flush(max_rows, server)
 *
 * Sends what is due in the outbox, and commits as it goes.  Rounds follow each
 * other until nothing is due that this process may send.  It waits for what an
 * account's rate holds back, but not for what has failed.  In the end, a NOTICE says
 * what was sent, what failed, and what still waits, and why.  In a copy of a database
 * it sends nothing, and says so in a WARNING; on a standby, or where the session's
 * transactions are read-only, it is an ERROR.
 */
Datum
hs_assoc_flush(PG_FUNCTION_ARGS)
{
	int64		max_rows = PG_ARGISNULL(0) ? PG_INT64_MAX :
	hubspot_bigint_argument(fcinfo, 0, "max_rows");
	const char *server = hubspot_server_argument(fcinfo, 1);
	bool		atomic = !(fcinfo->context && IsA(fcinfo->context, CallContext) &&
						   !castNode(CallContext, fcinfo->context)->atomic);
	HubspotSender *sender;

	if (atomic)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("hs_assoc_flush cannot run inside a transaction block or a function"),
				 errdetail("It commits while it sends."),
				 errhint("CALL it on its own.")));
	PreventCommandIfReadOnly("hs_assoc_flush()");
	if (server)
		(void) hubspot_get_server(server);

	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	sender = hubspot_sender_create(HUBSPOT_SENDER_PROCEDURE);
	PG_TRY();
	{
		flush(sender, server, max_rows);
	}
	PG_FINALLY();
	{
		hubspot_sender_end(sender);
	}
	PG_END_TRY();
	SPI_finish();
	PG_RETURN_VOID();
}

static void
flush(HubspotSender *sender, const char *server, int64 max_rows)
{
	HubspotRound round;
	int64		done = 0;
	int64		dead = 0;

	SPI_commit();				/* the CALL's snapshot ends here, too */
	do
	{
		CHECK_FOR_INTERRUPTS();
		hubspot_sender_round(sender, server, max_rows, NULL, &round);
		max_rows -= round.rows;
		done += round.done;
		dead += round.dead;
		if (round.paced && round.next_due > 0 && !round.failed)
			wait_until(round.next_due);
	} while (max_rows > 0 && round.installed &&
			 (round.paced || round.next_due == 0 || round.failed));
	if (round.held)
		hubspot_origin_warn();
	else if (round.installed)
		tell(server, done, dead, !TIMESTAMP_IS_NOEND(round.next_due) || round.waiting_accounts > 0);
}

/*
 * Say what was done, and what still waits, and why; nothing, if there is nothing.  Unless
 * the last round knows of something that waits, or an account is paused, rows are not
 * looked for: there may be many dead ones.
 */
static void
tell(const char *server, int64 done, int64 dead, bool waits)
{
	HubspotCatalogAccess access = hubspot_begin_catalog_access();
	HubspotHeldServers held = {NULL, NULL, NULL};
	const char *waiting;
	const char *hint;
	StringInfoData reasons;
	int64		count = 0;

	initStringInfo(&reasons);
	if (hubspot_outbox_schema(true) && (waits || hubspot_waiting_is_paused(server)))
		count = hubspot_waiting_tell(server, &reasons, &held);
	hubspot_end_catalog_access(access);
	if (done == 0 && dead == 0 && count == 0)
		return;
	waiting = count >= 0 ? psprintf(INT64_FORMAT, count) : psprintf(INT64_FORMAT " or more", -count);
	hint = what_to_do(server, dead, &held);
	ereport(NOTICE,
			(errmsg("outbox: " INT64_FORMAT " sent, " INT64_FORMAT " failed%s, %s still waiting",
					done, dead, dead == 0 ? "" : dead == 1 ? " (a dead letter)" : " (dead letters)",
					waiting),
			 reasons.len > 0 ? errdetail("%s", reasons.data) : 0,
			 hint ? errhint("%s", hint) : 0));
}

/* About dead letters, and about accounts that are held up; or NULL. */
static const char *
what_to_do(const char *server, int64 dead, const HubspotHeldServers *held)
{
	StringInfoData hint;

	initStringInfo(&hint);
	if (dead > 0)
		appendStringInfo(&hint, "SELECT * FROM hs_assoc_dead_letter says why, and SELECT hs_assoc_retry(%s) has dead letters sent again. ",
						 server ? psprintf("server => %s", quote_literal_cstr(server)) : "");
	if (held->paused)
		appendStringInfo(&hint, "SELECT hs_assoc_resume(%s) ends the pause. ",
						 quote_literal_cstr(held->paused));
	if (held->failed)
		appendStringInfo(&hint, "SELECT * FROM hs_assoc_backoff says why an account failed; once that is mended, SELECT hs_assoc_resume(%s) has it tried at once. ",
						 quote_literal_cstr(held->failed));
	if (held->put_off)
		appendStringInfo(&hint, "SELECT * FROM hs_assoc_diagnose(%1$s) says why rows are put off; once that is mended, SELECT hs_assoc_resume(%1$s) has them tried at once. ",
						 quote_literal_cstr(held->put_off));
	if (hint.len == 0)
		return NULL;
	hint.data[hint.len - 1] = '\0'; /* the last space */
	return hint.data;
}

/* Wait until a time has come. */
static void
wait_until(TimestampTz time)
{
	long		timeout;

	while ((timeout = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), time)) > 0)
	{
		hubspot_wait_until(hubspot_now() + (int64) timeout * 1000);
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * hs_assoc_may_commit(): may the procedure commit that calls this?  PL/pgSQL, in which
 * hs_assoc_pull is, has no other way to know before it does.
 */
Datum
hs_assoc_may_commit(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(SPI_inside_nonatomic_context());
}

/*
 * hs_assoc_start(): has a worker look at the outbox of this database now.
 *
 * Returns true if it had to be started.  If the library is preloaded, the launcher
 * sees to that, and it is false.  In a copy of a database, a WARNING says that
 * nothing is sent.  ERROR if there can be no worker: 55000 by a setting or on a
 * standby, 53400 if there is no room for it.
 */
Datum
hs_assoc_start(PG_FUNCTION_ARGS)
{
	bool		started = hubspot_sending_start();

	if (hubspot_origin_problem())
		hubspot_origin_warn();
	PG_RETURN_BOOL(started);
}

/* hs_assoc_sender(): who sends the outbox of this database, or why nobody does. */
Datum
hs_assoc_sender(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(hubspot_sending_text()));
}

/*
 * hs_assoc_pause(server): stops sending the outbox of an account.
 *
 * Returns false if it was paused already.
 */
Datum
hs_assoc_pause(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(hubspot_outbox_pause(server_name(fcinfo, 0), GetUserId()));
}

/*
 * hs_assoc_resume(server): has the outbox of an account sent again, at once,
 * even if it was waiting after failures.
 *
 * Returns false if it was not paused.
 */
Datum
hs_assoc_resume(PG_FUNCTION_ARGS)
{
	const char *server = server_name(fcinfo, 0);
	bool		was_paused = hubspot_outbox_resume(server);

	/* nor does it matter how often missing records were asked for before */
	hubspot_account_ask_again(hubspot_account(get_foreign_server_oid(server, false)), 0);
	hubspot_wake_at_commit();
	PG_RETURN_BOOL(was_paused);
}

/*
 * hs_assoc_retry(ids, server): puts dead letters back into the outbox
 *
 * Returns how many there were.
 */
Datum
hs_assoc_retry(PG_FUNCTION_ARGS)
{
	int64		retried = hubspot_outbox_retry(ids_argument(fcinfo, 0),
											   hubspot_server_argument(fcinfo, 1));

	if (retried == 0)
		tell_missing_server(fcinfo, 1);
	PG_RETURN_INT64(retried);
}

/*
 * hs_assoc_discard(ids, server): deletes dead letters
 *
 * Returns how many there were.
 */
Datum
hs_assoc_discard(PG_FUNCTION_ARGS)
{
	int64		discarded = hubspot_outbox_discard(ids_argument(fcinfo, 0),
												   hubspot_server_argument(fcinfo, 1));

	if (discarded == 0)
		tell_missing_server(fcinfo, 1);
	PG_RETURN_INT64(discarded);
}

/*
 * Which dead letters an argument names; NULL: all, since it was left out.
 *
 * Its default is then the value, {{NULL}}.  It is not null, since that comes of a query for
 * ids which finds none, as by array_agg.
 */
static const Datum *
ids_argument(FunctionCallInfo fcinfo, int argument)
{
	ArrayType  *ids;

	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", "ids"),
				 errhint("ARRAY(SELECT id FROM hs_assoc_dead_letter WHERE ...) is an empty array where there are none. To mean all dead letters, leave the argument out.")));
	ids = PG_GETARG_ARRAYTYPE_P(argument);
	if (ARR_NDIM(ids) == 2 && ARR_HASNULL(ids) && ARR_DIMS(ids)[0] == 1 && ARR_DIMS(ids)[1] == 1)
		return NULL;
	return &PG_GETARG_DATUM(argument);
}

/* The name of the server that an argument, or else the setting, names. */
static const char *
server_name(FunctionCallInfo fcinfo, int argument)
{
	Oid			serverid = hubspot_get_server(hubspot_server_argument(fcinfo, argument));

	return GetForeignServer(serverid)->servername;
}

/*
 * Tell of a server that is missing.  It is not an ERROR, since dead letters
 * may outlive their server.
 */
static void
tell_missing_server(FunctionCallInfo fcinfo, int argument)
{
	const char *name = hubspot_server_argument(fcinfo, argument);
	const char *closest;

	if (name == NULL || OidIsValid(get_foreign_server_oid(name, true)))
		return;
	closest = hubspot_closest_server(name);
	ereport(NOTICE,
			(errmsg("server \"%s\" does not exist, and has no dead letters", name),
			 closest ? errhint("Perhaps you meant the server \"%s\".", closest) : 0));
}
