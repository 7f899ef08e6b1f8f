/*-------------------------------------------------------------------------
 *
 * drift_functions.c
 *	  The SQL functions that compare tables in sync with HubSpot.
 *
 * IDENTIFICATION
 *	  src/sql/drift_functions.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "account/client.h"
#include "drift/confirm.h"
#include "drift/drift.h"
#include "drift/repair.h"
#include "plan/plan.h"
#include "rows/report.h"
#include "schema/origin.h"
#include "sql/argument.h"
#include "sql/change_row.h"

/* The columns of hs_assoc_drift before those of hs_assoc_change. */
enum
{
	DRIFT_SYNC,
	DRIFT_FROM_TYPE,
	DRIFT_TO_TYPE,
	DRIFT_CHANGE,
	DRIFT_NCOLUMNS = DRIFT_CHANGE + HUBSPOT_CHANGE_NCOLUMNS
};

/* The arguments. */
enum
{
	ARGUMENT_LINK_TABLE,
	ARGUMENT_SCOPE,
	ARGUMENT_MODE,				/* of hs_assoc_repair, and the next one */
	ARGUMENT_MAX_REMOVALS
};

/* Where rows of differences go. */
typedef struct DriftRows
{
	ReturnSetInfo *rsinfo;
	int64		no;				/* of the last one */
} DriftRows;

PG_FUNCTION_INFO_V1(hs_assoc_drift);
PG_FUNCTION_INFO_V1(hs_assoc_repair);

static List *read_drifts(FunctionCallInfo fcinfo, bool mirrors);
static List *syncs_argument(FunctionCallInfo fcinfo, const char **scope);
static const HubspotError *refused_before(const List *drifts, const HubspotSync *sync);
static void check_scope(const List *syncs);
static HubspotClient *connect_for(const HubspotSync *sync);
static void end_drifts(const List *drifts);
static void check_transaction(void);
static void put_row(void *state, const HubspotDrift *drift, const HubspotDriftRow *row);

/*
 * hs_assoc_drift(link_table, scope)
 *
 * Reads what HubSpot holds of the records of a table in sync, or of those that the query of
 * the scope gives, and returns what differs from the table.  Nothing is changed.
 */
Datum
hs_assoc_drift(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "hubspot_assoc drift",
												  ALLOCSET_DEFAULT_SIZES);
	DriftRows	rows = {.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo};
	MemoryContext old;
	List	   *drifts;
	ListCell   *lc;

	PreventCommandIfParallelMode("hs_assoc_drift()");
	InitMaterializedSRF(fcinfo, 0);
	if (rows.rsinfo->setDesc->natts != DRIFT_NCOLUMNS)
		elog(ERROR, "unexpected row type of %d columns", rows.rsinfo->setDesc->natts);
	old = MemoryContextSwitchTo(context);
	drifts = read_drifts(fcinfo, true);
	foreach(lc, drifts)
	{
		hubspot_drift_lock(lfirst(lc));
		hubspot_drift_confirm(lfirst(lc));
		hubspot_drift_rows(lfirst(lc), put_row, &rows);
	}
	hubspot_drift_tell(drifts);
	end_drifts(drifts);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return (Datum) 0;
}

/*
 * hs_assoc_repair(link_table, scope, mode, max_removals)
 *
 * Compares likewise, and enqueues what makes HubSpot hold what the table says, unless it
 * removes more than max_removals.  Returns how many operations.
 */
Datum
hs_assoc_repair(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "hubspot_assoc drift",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	int64		max_removals = HUBSPOT_USUAL_REMOVALS;
	bool		mirrors = hubspot_mode_argument(fcinfo, ARGUMENT_MODE);
	List	   *drifts;
	int64		enqueued;

	if (!PG_ARGISNULL(ARGUMENT_MAX_REMOVALS))
		max_removals = hubspot_count_argument(fcinfo, ARGUMENT_MAX_REMOVALS, "max_removals");
	check_transaction();
	hubspot_repair_begin();
	hubspot_origin_require();
	drifts = read_drifts(fcinfo, mirrors);
	enqueued = hubspot_repair(drifts, max_removals);
	hubspot_drift_tell(drifts);
	end_drifts(drifts);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	PG_RETURN_INT64(enqueued);
}

/* What has gone to temporary files does not go with the memory. */
static void
end_drifts(const List *drifts)
{
	ListCell   *lc;

	foreach(lc, drifts)
	{
		HubspotDrift *drift = lfirst(lc);

		hubspot_drift_end(drift);
		tuplestore_end(drift->pending);
	}
}

/*
 * ERROR unless a repair can enqueue, and see, in the end, what is there by then; and in a
 * transaction block, since nobody sends until the transaction ends.
 */
static void
check_transaction(void)
{
	PreventCommandIfReadOnly("hs_assoc_repair()");
	PreventCommandIfParallelMode("hs_assoc_repair()");
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("hs_assoc_repair cannot run in a transaction that is %s",
						IsolationIsSerializable() ? "SERIALIZABLE" : "REPEATABLE READ"),
				 errdetail("It has to see what others have committed meanwhile."),
				 errhint("Use READ COMMITTED.")));
	if (IsTransactionBlock())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("hs_assoc_repair cannot run inside a transaction block"),
				 errdetail("Nothing is sent to the account from its last look at the table to the end of the transaction."),
				 errhint("Call it on its own.")));
}

/* Compare the syncs of the table with HubSpot. */
static List *
read_drifts(FunctionCallInfo fcinfo, bool mirrors)
{
	const char *scope;
	List	   *drifts = NIL;
	ListCell   *lc;

	foreach(lc, syncs_argument(fcinfo, &scope))
	{
		const HubspotSync *sync = lfirst(lc);
		HubspotDrift *drift = hubspot_drift_create(sync, connect_for(sync), scope, mirrors);

		drift->plan.stopped = refused_before(drifts, sync);
		hubspot_drift_read(drift);
		drifts = lappend(drifts, drift);
	}
	return drifts;
}

/* Why nothing more is sent with the login of a sync, after others were compared; or NULL. */
static const HubspotError *
refused_before(const List *drifts, const HubspotSync *sync)
{
	ListCell   *lc;

	foreach(lc, drifts)
	{
		const HubspotDrift *drift = lfirst(lc);

		if (drift->plan.stopped && drift->sync->role == sync->role &&
			strcmp(drift->sync->server, sync->server) == 0)
			return drift->plan.stopped;
	}
	return NULL;
}

/*
 * The account of a sync, with the login that it is sent with; ERROR if the current role may
 * not use that.
 */
static HubspotClient *
connect_for(const HubspotSync *sync)
{
	const HubspotError *error;
	HubspotClient *client;

	if (sync->role == GetUserId())
		return hubspot_connect(sync->server);
	if (!has_privs_of_role(GetUserId(), sync->role))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for sync %d", sync->id),
				 errdetail("It is sent with the login of role \"%s\", whose privileges the current role does not have.",
						   GetUserNameFromId(sync->role, true) ? GetUserNameFromId(sync->role, true) : "unknown"),
				 errhint("End the syncs of the table and enable them again, as its owner.")));
	error = hubspot_connect_as(sync->role, sync->server, &client);
	if (error)
		hubspot_throw_error(error, psprintf("could not use server \"%s\" for the role of sync %d",
											sync->server, sync->id),
							HUBSPOT_NOTHING_DONE);
	return client;
}

/* The syncs of a table that the current role owns, which is locked, and the scope. */
static List *
syncs_argument(FunctionCallInfo fcinfo, const char **scope)
{
	Oid			link_table = hubspot_link_table_argument(fcinfo, ARGUMENT_LINK_TABLE);
	List	   *syncs;

	LockRelationOid(link_table, AccessShareLock);
	/* while we have waited, it may have become another role's, or be gone */
	(void) hubspot_link_table_argument(fcinfo, ARGUMENT_LINK_TABLE);
	syncs = hubspot_drift_syncs(link_table);
	*scope = NULL;
	if (!PG_ARGISNULL(ARGUMENT_SCOPE))
	{
		*scope = hubspot_query_argument(fcinfo, ARGUMENT_SCOPE, "scope", NULL);
		check_scope(syncs);
	}
	return syncs;
}

/* ERROR if the syncs have several object types: a scope has the ids, or keys, of one. */
static void
check_scope(const List *syncs)
{
	const HubspotSync *first = linitial(syncs);
	ListCell   *lc;

	foreach(lc, syncs)
	{
		const HubspotSync *sync = lfirst(lc);

		if (strcmp(sync->from_type, first->from_type) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("argument \"%s\" is given, but the syncs of the table have several object types",
							"scope"),
					 errdetail("Sync %d is from \"%s\", and sync %d from \"%s\".", first->id,
							   first->from_type, sync->id, sync->from_type),
					 errhint("Leave it out: then the records of the table's rows are compared.")));
	}
}

/* Put a difference into the result. */
static void
put_row(void *state, const HubspotDrift *drift, const HubspotDriftRow *row)
{
	DriftRows  *rows = state;
	const HubspotPlanChange *change = &row->unpacked.change;
	Datum		values[DRIFT_NCOLUMNS];
	bool		isnull[DRIFT_NCOLUMNS] = {false};

	values[DRIFT_SYNC] = Int64GetDatum(drift->sync->id);
	values[DRIFT_FROM_TYPE] = CStringGetTextDatum(drift->sync->from_type);
	values[DRIFT_TO_TYPE] = CStringGetTextDatum(drift->sync->to_type);
	hubspot_change_row(&drift->plan, ++rows->no,
					   row->dead ? "dead" : hubspot_action_name(change->action), change,
					   HUBSPOT_FATE_PLANNED, values + DRIFT_CHANGE, isnull + DRIFT_CHANGE);
	tuplestore_putvalues(rows->rsinfo->setResult, rows->rsinfo->setDesc, values, isnull);
}
