/*-------------------------------------------------------------------------
 *
 * query.c
 *	  The caller's query while it is read: its rows, some at a time.
 *
 * A SELECT runs in the way of PostgreSQL's functions in SQL: its executor is part of the
 * statement that calls us, in our memory context and with the statement's resource owner,
 * and is asked for as many rows as there is room for.  Between two such requests, the
 * statement may hand rows out, to a cursor that is fetched from in another savepoint, or
 * as the transaction commits.  A portal would not do: it belongs to the (sub)transaction
 * that has opened it, whose end would close it while the cursor still needs it, and any
 * function could find it and close it.
 *
 * Any other statement that returns rows (INSERT ... RETURNING, EXECUTE, SHOW) has run to
 * its end by the time of its first row.  So it runs at once, and its rows wait in a
 * tuplestore.
 *
 * IDENTIFICATION
 *	  src/rows/query.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "executor/tstoreReceiver.h"
#include "miscadmin.h"
#include "parser/parse_node.h"
#include "tcop/pquery.h"
#include "utils/plancache.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "base/compat.h"
#include "rows/query.h"

struct HubspotQuery
{
	const char *text;
	TupleDesc	tupdesc;
	HubspotColumns *columns;
	QueryDesc  *select;			/* a SELECT while it runs; NULL: another
								 * statement, which has run */
	Tuplestorestate *rows;		/* the rows of a statement that has run */
	TupleTableSlot *slot;		/* of a row */
};

/* The statements of a query while it is prepared. */
typedef struct Preparation
{
	bool		any;			/* a statement is being analyzed, or was */
	bool		done;			/* all statements have been analyzed */
} Preparation;

static SPIPlanPtr prepare(const char *text);
static void count_statement(ParseState * pstate, void *arg);
static PlannedStmt *select_statement(SPIPlanPtr plan);
static void start_select(HubspotQuery *query, PlannedStmt *statement, Snapshot snapshot);
static void tell_statement(void *arg);
static void run_at_once(HubspotQuery *query, SPIPlanPtr plan);
static uint64 read_stored(HubspotQuery *query, uint64 count, DestReceiver *receiver);

/*
 * Begin to read a query, in the current memory context, for an operation whose inputs have
 * that shape; the text must live as long.  ERROR if it is not one statement that returns
 * rows, or if its columns are not those that the operation needs.  A SELECT sees what the
 * snapshot does, or if that is NULL, what is there now.
 */
HubspotQuery *
hubspot_query_open(const char *text, HubspotInputShape shape,
				   const HubspotDirection *direction, Snapshot snapshot)
{
	MemoryContext context = CurrentMemoryContext;
	HubspotQuery *query = palloc0(sizeof(HubspotQuery));
	SPIPlanPtr	plan;
	CachedPlanSource *source;
	PlannedStmt *statement;

	query->text = text;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	plan = prepare(text);
	source = linitial(SPI_plan_get_plan_sources(plan));

	/* what SPI has allocated is gone after SPI_finish */
	MemoryContextSwitchTo(context);
	query->tupdesc = CreateTupleDescCopy(source->resultDesc);
	query->columns = hubspot_columns_find(query->tupdesc, shape, direction);
	statement = select_statement(plan);
	if (statement == NULL)
		run_at_once(query, plan);
	SPI_finish();
	if (statement)
		start_select(query, statement, snapshot);
	return query;
}

/* The plan of one statement that returns rows, or an ERROR. */
static SPIPlanPtr
prepare(const char *text)
{
	Preparation preparation = {0};
	SPIPrepareOptions options = {.parserSetup = count_statement,
		.parserSetupArg = &preparation,
	.cursorOptions = CURSOR_OPT_NO_SCROLL};
	SPIPlanPtr	plan = SPI_prepare_extended(text, &options);

	if (plan == NULL)
		elog(ERROR, "could not prepare the query: %s",
			 SPI_result_code_string(SPI_result));
	preparation.done = true;
	if (!preparation.any)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_CURSOR_DEFINITION),
				 errmsg("the query is empty"),
				 errhint("%s", HUBSPOT_QUERY_HINT)));
	if (!SPI_is_cursor_plan(plan))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_CURSOR_DEFINITION),
				 errmsg("the query does not return rows"),
				 errhint("%s", HUBSPOT_QUERY_HINT)));
	return plan;
}

/*
 * Callback before each statement of the query is analyzed, and again if it is analyzed
 * anew.  A second one may need what the first one has yet to do, so it is refused before
 * its names are looked up.
 */
static void
count_statement(ParseState * pstate, void *arg)
{
	Preparation *preparation = arg;

	if (preparation->any && !preparation->done)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_CURSOR_DEFINITION),
				 errmsg("the query has more than one statement"),
				 errhint("%s", HUBSPOT_QUERY_HINT)));
	preparation->any = true;
}

/* A copy of the plan's statement if it is a plain SELECT; or NULL. */
static PlannedStmt *
select_statement(SPIPlanPtr plan)
{
	CachedPlan *cached = SPI_plan_get_cached_plan(plan);
	PlannedStmt *statement = NULL;

	if (cached == NULL)
		elog(ERROR, "could not plan the query");
	if (ChoosePortalStrategy(cached->stmt_list) == PORTAL_ONE_SELECT)
		statement = copyObject(linitial_node(PlannedStmt, cached->stmt_list));
	ReleaseCachedPlan(cached, NULL);
	return statement;
}

/* Start a SELECT as a cursor on it would be opened. */
static void
start_select(HubspotQuery *query, PlannedStmt *statement, Snapshot snapshot)
{
	ErrorContextCallback callback;

	callback.callback = tell_statement;
	callback.arg = query;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	CommandCounterIncrement();
	PushActiveSnapshot(snapshot ? snapshot : GetTransactionSnapshot());
	query->select = CreateQueryDesc(statement, query->text, GetActiveSnapshot(),
									InvalidSnapshot, None_Receiver, NULL, NULL, 0);
	ExecutorStart(query->select, 0);
	PopActiveSnapshot();

	error_context_stack = callback.previous;
}

/* Error context callback: say which statement an ERROR is about, in the words of SPI. */
static void
tell_statement(void *arg)
{
	const HubspotQuery *query = arg;

	errcontext("SQL statement \"%s\"", query->text);
}

/* Run a statement that is not a plain SELECT, and keep its rows. */
static void
run_at_once(HubspotQuery *query, SPIPlanPtr plan)
{
	DestReceiver *receiver = CreateDestReceiver(DestTuplestore);
	SPIExecuteOptions options = {.dest = receiver};
	int			result;

	query->rows = tuplestore_begin_heap(false, false, work_mem);
	query->slot = MakeSingleTupleTableSlot(query->tupdesc, &TTSOpsMinimalTuple);
	SetTuplestoreDestReceiverParams(receiver, query->rows, CurrentMemoryContext,
									false, NULL, NULL);
	result = SPI_execute_plan_extended(plan, &options);
	if (result < 0)
		elog(ERROR, "could not run the query: %s", SPI_result_code_string(result));
	receiver->rDestroy(receiver);
}

/* How to read a row. */
HubspotColumns *
hubspot_query_columns(const HubspotQuery *query)
{
	return query->columns;
}

/*
 * Give the next rows, at most count of them, to the receiver, which may stop that by
 * returning false for one that it has taken.  Returns how many there were, not counting
 * that one.  Fewer than count, without such a stop, are the last ones.
 */
uint64
hubspot_query_read(HubspotQuery *query, uint64 count, DestReceiver *receiver)
{
	if (query->select == NULL)
		return read_stored(query, count, receiver);
	PushActiveSnapshot(query->select->snapshot);
	query->select->dest = receiver;
	hubspot_executor_fetch(query->select, count);
	PopActiveSnapshot();
	return query->select->estate->es_processed;
}

static uint64
read_stored(HubspotQuery *query, uint64 count, DestReceiver *receiver)
{
	uint64		nrows = 0;

	while (nrows < count &&
		   tuplestore_gettupleslot(query->rows, true, false, query->slot))
	{
		CHECK_FOR_INTERRUPTS();
		if (!receiver->receiveSlot(query->slot, receiver))
			break;
		nrows++;
	}
	return nrows;
}

/* End a query, whether it has been read to its end or not. */
void
hubspot_query_close(HubspotQuery *query)
{
	if (query->select == NULL)
	{
		ExecDropSingleTupleTableSlot(query->slot);
		tuplestore_end(query->rows);
		return;
	}
	PushActiveSnapshot(query->select->snapshot);
	ExecutorFinish(query->select);
	ExecutorEnd(query->select);
	FreeQueryDesc(query->select);
	PopActiveSnapshot();
}
