/*-------------------------------------------------------------------------
 *
 * utility_hook.c
 *	  Statements that need our workers out of the way.
 *
 * DROP DATABASE, CREATE DATABASE, and the forms of ALTER DATABASE that rename
 * or move one, wait a few seconds for others to leave the database, and then
 * fail.  Meanwhile our workers would go on sending, and new ones would come.
 * So they are told to end before such a statement runs, and kept out until it
 * is over, whatever its outcome.
 *
 * All of this needs the library in shared_preload_libraries; without it, a
 * dynamic worker makes way by itself (dynamic_worker.c).
 *
 * CREATE EXTENSION has the database looked at; from then on, the launcher knows that it has
 * the extension.  COMMIT PREPARED does so, too, where the extension is: what the transaction
 * has done, and whether it made the extension, is known to the process that has prepared it,
 * which may be gone.
 *
 * IDENTIFICATION
 *	  src/worker/utility_hook.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/syscache.h"

#include "base/clock.h"
#include "base/compat.h"
#include "schema/extension.h"
#include "worker/slot.h"
#include "worker/utility_hook.h"
#include "worker/wake.h"

/*
 * How long a worker may take to end, in ms.  After that, the statement itself
 * waits as long once more.
 */
#define TIME_TO_END 5000

static ProcessUtility_hook_type previous_hook = NULL;

static void process_utility(PlannedStmt *pstmt, const char *query,
							bool read_only_tree,
							ProcessUtilityContext context,
							ParamListInfo params, QueryEnvironment *environment,
							DestReceiver *dest, QueryCompletion *completion);
static void run_alone(PlannedStmt *pstmt, const char *query,
					  bool read_only_tree, ProcessUtilityContext context,
					  ParamListInfo params, QueryEnvironment *environment,
					  DestReceiver *dest, QueryCompletion *completion);
static Oid	database_to_clear(const Node *statement);
static const char *name_of_database(const Node *statement);
static const char *name_of_template(const CreatedbStmt *statement);
static bool moves(const AlterDatabaseStmt *statement);
static bool may_create_databases(Oid role);
static bool is_template(Oid database);
static void wait_until_clear(void);
static bool creates_extension(const Node *statement);
static bool commits_prepared(const Node *statement);

/* To be called while the server starts. */
void
hubspot_hold_add(void)
{
	previous_hook = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}

static void
process_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *environment, DestReceiver *dest,
				QueryCompletion *completion)
{
	ProcessUtility_hook_type run = previous_hook ? previous_hook :
	standard_ProcessUtility;
	Oid			database = database_to_clear(pstmt->utilityStmt);
	bool		creates = creates_extension(pstmt->utilityStmt);
	bool		commits = commits_prepared(pstmt->utilityStmt);

	if (OidIsValid(database))
	{
		hubspot_hold(database);
		run = run_alone;
	}
	run(pstmt, query, read_only_tree, context, params, environment, dest,
		completion);
	/* a procedure that has ended its transaction may have lost its statement */
	if (creates || (commits && hubspot_outbox_schema(true)))
		hubspot_wake_at_commit();
}

/* Run the statement when the workers have left the database that is held. */
static void
run_alone(PlannedStmt *pstmt, const char *query, bool read_only_tree,
		  ProcessUtilityContext context, ParamListInfo params,
		  QueryEnvironment *environment, DestReceiver *dest,
		  QueryCompletion *completion)
{
	PG_TRY();
	{
		wait_until_clear();
		if (previous_hook)
			previous_hook(pstmt, query, read_only_tree, context, params,
						  environment, dest, completion);
		else
			standard_ProcessUtility(pstmt, query, read_only_tree, context,
									params, environment, dest, completion);
	}
	PG_CATCH();
	{
		hubspot_hold_end();
		PG_RE_THROW();
	}
	PG_END_TRY();
	hubspot_hold_end();
}

/*
 * The database that the statement needs without workers, if the user may do
 * what it says; or InvalidOid.
 */
static Oid
database_to_clear(const Node *statement)
{
	const char *name = name_of_database(statement);
	Oid			database = name ? get_database_oid(name, true) : InvalidOid;
	bool		may;

	if (!OidIsValid(database))
		return InvalidOid;
	if (IsA(statement, CreatedbStmt))
		may = may_create_databases(GetUserId()) &&
			(is_template(database) || hubspot_owns_database(database, GetUserId()));
	else
		may = hubspot_owns_database(database, GetUserId());
	return may ? database : InvalidOid;
}

static const char *
name_of_database(const Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_DropdbStmt:
			return ((const DropdbStmt *) statement)->dbname;
		case T_CreatedbStmt:
			return name_of_template((const CreatedbStmt *) statement);
		case T_RenameStmt:
			return ((const RenameStmt *) statement)->renameType == OBJECT_DATABASE ?
				((const RenameStmt *) statement)->subname : NULL;
		case T_AlterDatabaseStmt:
			return moves((const AlterDatabaseStmt *) statement) ?
				((const AlterDatabaseStmt *) statement)->dbname : NULL;
		default:
			return NULL;
	}
}

static const char *
name_of_template(const CreatedbStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, "template") == 0 && option->arg)
			return defGetString(option);
	}
	return "template1";
}

static bool
moves(const AlterDatabaseStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->options)
	{
		if (strcmp(lfirst_node(DefElem, lc)->defname, "tablespace") == 0)
			return true;
	}
	return false;
}

/* The server's own function for this is not in each minor version of 15. */
static bool
may_create_databases(Oid role)
{
	HeapTuple	tuple;
	bool		result = superuser_arg(role);

	if (result)
		return true;
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	if (HeapTupleIsValid(tuple))
	{
		result = ((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;
		ReleaseSysCache(tuple);
	}
	return result;
}

/* May any role that may create databases copy it? */
static bool
is_template(Oid database)
{
	HeapTuple	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	bool		result = false;

	if (HeapTupleIsValid(tuple))
	{
		result = ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
		ReleaseSysCache(tuple);
	}
	return result;
}

static void
wait_until_clear(void)
{
	int64		give_up = hubspot_now() + TIME_TO_END * INT64CONST(1000);

	while (!hubspot_hold_is_clear() && hubspot_now() < give_up)
	{
		hubspot_wait_until(give_up);
		CHECK_FOR_INTERRUPTS();
	}
}

static bool
creates_extension(const Node *statement)
{
	return IsA(statement, CreateExtensionStmt) &&
		strcmp(((const CreateExtensionStmt *) statement)->extname,
			   "hubspot_assoc") == 0;
}

static bool
commits_prepared(const Node *statement)
{
	return IsA(statement, TransactionStmt) &&
		((const TransactionStmt *) statement)->kind == TRANS_STMT_COMMIT_PREPARED;
}
