/*-------------------------------------------------------------------------
 *
 * table_scan.c
 *	  A scan of a foreign table, in the executor.
 *
 * The values of its conditions are computed when the first row is asked for, and anew for
 * each further scan (in a nested loop, or after MOVE).  They name the records to be read.
 *
 * A scan that is done once gives each row as it comes, and keeps none.  One that is done
 * again and again keeps them (row_store.c), and HubSpot is asked for what is not known yet:
 *
 *		record:	UNKNOWN --> READING --> READ
 *				   ^-----------'		   a scan for others comes before its last page
 *
 * It may be told ahead for which records it will be done again (table_join.c): then these
 * are read together.
 *
 * A scan of the whole account is one of a single record, so to speak, whose name no other
 * can have: it has all rows, and is read to its end when they are.
 *
 * A row is given as soon as it is there, so that whoever stops early (LIMIT, EXISTS) saves the
 * pages that follow.
 *
 * Everything is in a memory context of the query's, whose deletion, after an ERROR or a
 * cancel, breaks off what is in flight.
 *
 * IDENTIFICATION
 *	  src/table/table_scan.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/explain.h"
#include "executor/executor.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "api/record.h"
#include "base/compat.h"
#include "table/list_table.h"
#include "table/row_store.h"
#include "table/table_keys.h"
#include "table/table_path.h"
#include "table/table_reading.h"
#include "table/table_row.h"
#include "table/table_scan.h"
#include "table/target_rows.h"

/* What can be told ahead in any case, however small work_mem is: as many records as a request has. */
#define AHEAD_RECORDS	1000
#define AHEAD_SIZE		(1024 * 1024)

/* What has all rows of an account. */
static const HubspotSlice whole_account = {"", 0};

struct HubspotTableScan
{
	MemoryContext context;
	const HubspotTable *table;
	Oid			user;			/* as whom it reads */
	HubspotClient *client;		/* NULL: nothing was asked for so far */
	int			side;			/* a HubspotTableSide; -1: no records are
								 * named */
	bool		forward;
	bool		whole;			/* all records are read, unnamed */
	bool		repeated;		/* it keeps its rows */
	bool		gives_errors;	/* a record that cannot be read is a row */
	bool		is_target;		/* of an UPDATE or DELETE: its ctids tell the
								 * places of types, */
	HubspotTargetRows *target_rows; /* or where these are noted, with the ids
									 * of records; or NULL */
	List	   *values;			/* of the conditions: ExprStates */
	List	   *value_types;

	/* of one that is told ahead which records it will be asked for */
	int			number;			/* 0: it is not */
	const EState *estate;
	dlist_node	node;			/* in scans_ahead */
	MemoryContextCallback callback;
	HubspotTableRecord **ahead;
	int			nahead;
	bool		told;			/* and so knows when to forget records */
	int			maxahead;

	bool		begun;			/* the records are known */
	uint64		turn;			/* how many scans there were */
	HubspotRowStore *store;
	HubspotTableRecord **records;
	int64		nrecords;
	int64		maxrecords;
	int64		next;			/* the one to come */
	MemoryContext row_context;	/* of rows that are kept, and not given */
	HubspotTableRecord *current;	/* whose rows are given, if they are kept */
	HubspotRowPlace place;		/* of the next one that is kept */

	HubspotTableReading *reading;	/* or NULL */
	MemoryContext reading_context;
	HubspotTableRecord **read;	/* what it reads */
	int64		nread;
	HubspotBatchCounts counts;	/* of those before */
};

/* The scans of this session that are told ahead. */
static dlist_head scans_ahead = DLIST_STATIC_INIT(scans_ahead);

static void forget_scan(void *arg);
static void clear_if_full(HubspotTableScan *scan, Size least);
static void take_ahead(void *state, HubspotSlice id);
static void begin_records(HubspotTableScan *scan, ExprContext *econtext);
static void take_record(void *state, HubspotSlice id);
static bool next_row(HubspotTableScan *scan, TupleTableSlot *slot);
static bool next_kept_row(HubspotTableScan *scan, TupleTableSlot *slot);
static void read_records(HubspotTableScan *scan, int64 first);
static void read_record(HubspotTableScan *scan, HubspotTableRecord *record);
static bool read_row(HubspotTableScan *scan, HubspotTableRow *row, bool wait);
static void keep_row(HubspotTableScan *scan, HubspotTableRow *row, TupleTableSlot *slot);
static void set_slot(const HubspotTableScan *scan, const HubspotTableRow *row, TupleTableSlot *slot);
static void end_reading(HubspotTableScan *scan);
static void forget_reading(HubspotTableScan *scan, TupleTableSlot *slot);
static void throw_no_records(const HubspotTableScan *scan) pg_attribute_noreturn();
static void explain_list(const HubspotTableScan *scan, struct ExplainState *es);
static void explain_request(const HubspotTableScan *scan, bool back, const char *label,
							struct ExplainState *es);
static void explain_costs(const HubspotTableScan *scan, struct ExplainState *es);

/* Begin a scan. */
void
hubspot_table_scan_begin(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	MemoryContext context;
	MemoryContext old;
	HubspotTableScan *scan;
	ListCell   *lc;

	if (hubspot_is_list_scan(node))
	{
		hubspot_list_scan_begin(node);
		return;
	}
	context = AllocSetContextCreate(node->ss.ps.state->es_query_cxt, "hubspot_assoc table scan",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	scan = palloc0(sizeof(HubspotTableScan));
	scan->context = context;
	scan->table = hubspot_table_read(RelationGetRelid(node->ss.ss_currentRelation));
	scan->user = hubspot_scan_user(node);
	scan->side = list_nth_int(plan->fdw_private, HUBSPOT_PLAN_SIDE);
	scan->forward = list_nth_int(plan->fdw_private, HUBSPOT_PLAN_FORWARD);
	scan->whole = list_nth_int(plan->fdw_private, HUBSPOT_PLAN_WHOLE);
	scan->repeated = list_nth_int(plan->fdw_private, HUBSPOT_PLAN_REPEATED) ||
		(eflags & (EXEC_FLAG_REWIND | EXEC_FLAG_BACKWARD)) != 0;
	scan->is_target = list_member_int(node->ss.ps.state->es_plannedstmt->resultRelations,
									  plan->scan.scanrelid);
	/* nothing is written by what cannot be read */
	scan->gives_errors = !scan->is_target &&
		scan->table->options.on_error == HUBSPOT_ON_ERROR_ROW;
	if (scan->is_target && hubspot_table_has_keys(scan->table))
		scan->target_rows = hubspot_target_rows_create(node->ss.ps.state, plan->scan.scanrelid);
	scan->is_target &= scan->table->typed;
	MemoryContextSwitchTo(node->ss.ps.state->es_query_cxt);
	scan->values = ExecInitExprList(plan->fdw_exprs, (PlanState *) node);
	MemoryContextSwitchTo(context);
	foreach(lc, plan->fdw_exprs)
		scan->value_types = lappend_oid(scan->value_types, exprType(lfirst(lc)));
	scan->store = hubspot_row_store_create(context);
	scan->row_context = AllocSetContextCreate(context, "hubspot_assoc table row kept",
											  ALLOCSET_SMALL_SIZES);
	scan->number = list_nth_int(plan->fdw_private, HUBSPOT_PLAN_NUMBER);
	if (scan->number > 0)
	{
		scan->estate = node->ss.ps.state;
		dlist_push_head(&scans_ahead, &scan->node);
		scan->callback.func = forget_scan;
		scan->callback.arg = scan;
		MemoryContextRegisterResetCallback(context, &scan->callback);
	}
	node->fdw_state = scan;
	MemoryContextSwitchTo(old);
}

/* Callback of a scan's memory context. */
static void
forget_scan(void *arg)
{
	dlist_delete(&((HubspotTableScan *) arg)->node);
}

/* The scan that has a number in a statement; NULL: it has not begun. */
HubspotTableScan *
hubspot_table_scan_find(const EState *estate, int number)
{
	dlist_iter	iter;

	dlist_foreach(iter, &scans_ahead)
	{
		HubspotTableScan *scan = dlist_container(HubspotTableScan, node, iter.cur);

		if (scan->estate == estate && scan->number == number)
			return scan;
	}
	return NULL;
}

/* Forget what was told ahead, before it is told what comes next. */
void
hubspot_table_scan_announce_begin(HubspotTableScan *scan)
{
	scan->nahead = 0;
	scan->told = true;
	clear_if_full(scan, 0);
}

/* Tell a scan which records a later one of its scans will ask for. */
void
hubspot_table_scan_announce(HubspotTableScan *scan, Datum value, Oid type)
{
	hubspot_table_take_keys(scan->table, (HubspotTableSide) scan->side, value, type,
							take_ahead, scan);
}

/*
 * Take a record that is going to be asked for; it may be there twice.  Those that are too many
 * to be kept are asked for when their scan comes.
 */
static void
take_ahead(void *state, HubspotSlice id)
{
	HubspotTableScan *scan = state;
	HubspotTableRecord *record;

	if (scan->nahead >= AHEAD_RECORDS && hubspot_row_store_is_full(scan->store, 0))
		return;
	record = hubspot_row_store_get(scan->store, id);
	if (record->state != HUBSPOT_RECORD_UNKNOWN)
		return;
	if (scan->nahead == scan->maxahead)
	{
		scan->maxahead = Max(64, scan->maxahead * 2);
		scan->ahead = scan->ahead ?
			repalloc_huge(scan->ahead, sizeof(HubspotTableRecord *) * scan->maxahead) :
			MemoryContextAlloc(scan->context, sizeof(HubspotTableRecord *) * scan->maxahead);
	}
	scan->ahead[scan->nahead++] = record;
}

/* Begin anew if the records take more memory than they should, and more than least. */
static void
clear_if_full(HubspotTableScan *scan, Size least)
{
	if (!hubspot_row_store_is_full(scan->store, least))
		return;
	end_reading(scan);
	scan->nrecords = 0;
	scan->next = 0;
	scan->current = NULL;
	scan->nahead = 0;
	hubspot_row_store_clear(scan->store);
}

/* The next row of a scan, in its slot, which is empty if there is none. */
TupleTableSlot *
hubspot_table_scan_next(ForeignScanState *node)
{
	HubspotTableScan *scan = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;

	if (hubspot_is_list_scan(node))
		return hubspot_list_scan_next(node);
	ExecClearTuple(slot);
	if (scan->side < 0)
		throw_no_records(scan);
	if (!scan->begun)
		begin_records(scan, node->ss.ps.ps_ExprContext);
	if (scan->repeated)
		(void) next_kept_row(scan, slot);
	else
		(void) next_row(scan, slot);
	return slot;
}

/* Compute which records are to be read. */
static void
begin_records(HubspotTableScan *scan, ExprContext *econtext)
{
	ListCell   *lc;
	ListCell   *type;

	scan->turn++;
	scan->nrecords = 0;
	scan->next = 0;
	scan->current = NULL;

	/*
	 * what is told ahead is not to be forgotten, unless the scans themselves
	 * need much more
	 */
	clear_if_full(scan, scan->told ? Max((Size) work_mem * 2 * 1024, AHEAD_SIZE) : 0);
	if (scan->whole)
		take_record(scan, whole_account);
	forboth(lc, scan->values, type, scan->value_types)
	{
		bool		isnull;
		Datum		value = ExecEvalExpr((ExprState *) lfirst(lc), econtext, &isnull);

		if (!isnull)
			hubspot_table_take_keys(scan->table, (HubspotTableSide) scan->side, value,
									lfirst_oid(type), take_record, scan);
	}
	scan->begun = true;
}

/* Take a record that is to be read; once, however often it is named. */
static void
take_record(void *state, HubspotSlice id)
{
	HubspotTableScan *scan = state;
	HubspotTableRecord *record = hubspot_row_store_get(scan->store, id);

	if (record->turn == scan->turn)
		return;
	record->turn = scan->turn;
	if (scan->nrecords == scan->maxrecords)
	{
		scan->maxrecords = Max(64, scan->maxrecords * 2);
		scan->records = scan->records ?
			repalloc_huge(scan->records, sizeof(HubspotTableRecord *) * scan->maxrecords) :
			MemoryContextAlloc(scan->context, sizeof(HubspotTableRecord *) * scan->maxrecords);
	}
	scan->records[scan->nrecords++] = record;
}

/* The next row of a scan that keeps none. */
static bool
next_row(HubspotTableScan *scan, TupleTableSlot *slot)
{
	HubspotTableRow row;

	if (scan->nrecords == 0)
		return false;
	if (scan->reading == NULL)
		read_records(scan, 0);
	do
	{
		if (!hubspot_table_reading_next(scan->reading, &row, true))
			return false;
	} while (row.ended);
	set_slot(scan, &row, slot);
	return true;
}

/* The next row of a scan that keeps them. */
static bool
next_kept_row(HubspotTableScan *scan, TupleTableSlot *slot)
{
	for (;;)
	{
		HubspotTableRow row;
		MinimalTuple tuple;
		ItemPointerData tid;

		CHECK_FOR_INTERRUPTS();
		if (scan->current == NULL)
		{
			if (scan->next == scan->nrecords)
			{
				/* it may have held a row of another record */
				ExecClearTuple(slot);
				return false;
			}
			scan->current = scan->records[scan->next++];
			scan->place = scan->current->last;
		}

		/* those that have come before, and then those that come */
		tuple = hubspot_row_store_fetch(scan->store, &scan->place, &tid);
		if (tuple)
		{
			ExecForceStoreMinimalTuple(tuple, slot, false);
			slot->tts_tid = tid;
			return true;
		}
		if (scan->current->state == HUBSPOT_RECORD_READ)
		{
			scan->current = NULL;
			continue;
		}
		if (scan->current->state == HUBSPOT_RECORD_UNKNOWN)
		{
			forget_reading(scan, slot);
			read_records(scan, scan->next - 1);
		}
		if (!read_row(scan, &row, true))
			elog(ERROR, "record \"%s\" was not read to its end", scan->current->id.data);
		keep_row(scan, &row, slot);
		if (!row.ended && scan->read[row.record] == scan->current)
			return true;
	}
}

/* Begin to read the records that are not known, from one of them on. */
static void
read_records(HubspotTableScan *scan, int64 first)
{
	MemoryContext old;
	HubspotSlice *ids;
	int64		most;

	if (scan->client == NULL)
	{
		old = MemoryContextSwitchTo(scan->context);
		scan->client = hubspot_connect_table(scan->table->server, scan->table->owner,
											 scan->user);
		MemoryContextSwitchTo(old);
	}
	scan->reading_context = AllocSetContextCreate(scan->context,
												  "hubspot_assoc table records read",
												  ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(scan->reading_context);
	most = scan->nrecords - first + scan->nahead;
	scan->read = palloc_extended(sizeof(HubspotTableRecord *) * most, MCXT_ALLOC_HUGE);
	scan->nread = 0;
	for (int64 i = first; i < scan->nrecords; i++)
		read_record(scan, scan->records[i]);
	for (int i = 0; i < scan->nahead; i++)
		read_record(scan, scan->ahead[i]);
	scan->nahead = 0;
	ids = palloc_extended(sizeof(HubspotSlice) * scan->nread, MCXT_ALLOC_HUGE);
	for (int64 i = 0; i < scan->nread; i++)
		ids[i] = scan->read[i]->id;
	scan->reading = scan->whole ?
		hubspot_table_reading_begin_whole(scan->table, scan->client, scan->gives_errors, true) :
		hubspot_table_reading_begin(scan->table, scan->client, (HubspotTableSide) scan->side,
									scan->forward, scan->gives_errors, ids, scan->nread);
	if (scan->is_target)
		hubspot_table_reading_tell_places(scan->reading);
	MemoryContextSwitchTo(old);
}

/* Read a record, unless it is known. */
static void
read_record(HubspotTableScan *scan, HubspotTableRecord *record)
{
	if (record->state != HUBSPOT_RECORD_UNKNOWN)
		return;
	record->state = HUBSPOT_RECORD_READING;
	scan->read[scan->nread++] = record;
}

/* Read the next row that is to be kept, in a memory context that is reset by the one after. */
static bool
read_row(HubspotTableScan *scan, HubspotTableRow *row, bool wait)
{
	MemoryContext old;
	bool		any;

	MemoryContextReset(scan->row_context);
	old = MemoryContextSwitchTo(scan->row_context);
	any = hubspot_table_reading_next(scan->reading, row, wait);
	MemoryContextSwitchTo(old);
	return any;
}

/*
 * Keep a row, which also goes into the slot, if it is of the record whose rows are given; or
 * take note of the end of a record.
 */
static void
keep_row(HubspotTableScan *scan, HubspotTableRow *row, TupleTableSlot *slot)
{
	HubspotTableRecord *record = scan->read[row->record];
	MemoryContext old = CurrentMemoryContext;
	MinimalTuple tuple;

	if (row->ended)
	{
		record->state = HUBSPOT_RECORD_READ;
		return;
	}
	ExecClearTuple(slot);
	if (record != scan->current)
		MemoryContextSwitchTo(scan->row_context);
	set_slot(scan, row, slot);
	tuple = hubspot_form_minimal_tuple(slot->tts_tupleDescriptor, slot->tts_values,
									   slot->tts_isnull);
	hubspot_row_store_add(scan->store, record, tuple, &slot->tts_tid);
	heap_free_minimal_tuple(tuple);
	if (row->error && !scan->whole)
		record->state = HUBSPOT_RECORD_READ;
	if (record != scan->current)
		ExecClearTuple(slot);
	MemoryContextSwitchTo(old);
}

/* Put a row into an empty slot, in the current memory context. */
static void
set_slot(const HubspotTableScan *scan, const HubspotTableRow *row, TupleTableSlot *slot)
{
	hubspot_table_row_set(scan->table, row, slot);
	if (scan->target_rows)
	{
		HubspotTargetRow target = {row->place, row->from_record, row->to_record};

		hubspot_target_rows_add(scan->target_rows, &target, &slot->tts_tid);
	}
	else if (scan->is_target)
		hubspot_type_place_set(&slot->tts_tid, &row->place);
}

/* End the reading, if there is one; what is in flight is broken off. */
static void
end_reading(HubspotTableScan *scan)
{
	HubspotBatchCounts counts;

	if (scan->reading == NULL)
		return;
	hubspot_table_reading_counts(scan->reading, &counts);
	scan->counts.calls.requests += counts.calls.requests;
	scan->counts.calls.retries += counts.calls.retries;
	scan->counts.calls.throttled_time += counts.calls.throttled_time;
	hubspot_table_reading_end(scan->reading);
	scan->reading = NULL;
	for (int64 i = 0; i < scan->nread; i++)
	{
		if (scan->read[i]->state == HUBSPOT_RECORD_READING)
			hubspot_row_store_forget(scan->read[i]);
	}
	MemoryContextDelete(scan->reading_context);
}

/*
 * End the reading, since other records are to be read.  What has come is kept; the rows of
 * records that have more pages are forgotten.
 */
static void
forget_reading(HubspotTableScan *scan, TupleTableSlot *slot)
{
	HubspotTableRow row;

	while (scan->reading && read_row(scan, &row, false))
		keep_row(scan, &row, slot);
	ExecClearTuple(slot);
	end_reading(scan);
}

/* Begin a further scan, with other values, maybe. */
void
hubspot_table_scan_again(ForeignScanState *node)
{
	HubspotTableScan *scan = node->fdw_state;

	if (hubspot_is_list_scan(node))
	{
		hubspot_list_scan_again(node);
		return;
	}

	/* nobody expected it, so from now on rows are kept */
	if (scan->begun && !scan->repeated)
	{
		end_reading(scan);
		scan->repeated = true;
	}
	scan->begun = false;
}

/* End a scan. */
void
hubspot_table_scan_end(ForeignScanState *node)
{
	HubspotTableScan *scan = node->fdw_state;

	if (scan == NULL)
		return;
	if (hubspot_is_list_scan(node))
	{
		hubspot_list_scan_end(node);
		return;
	}
	end_reading(scan);
	hubspot_row_store_clear(scan->store);
	if (scan->target_rows)
		hubspot_target_rows_end(scan->target_rows);
	MemoryContextDelete(scan->context);
	node->fdw_state = NULL;
}

/* ERROR: no condition says which records to read. */
static void
throw_no_records(const HubspotTableScan *scan)
{
	const char *from = quote_identifier(hubspot_table_column(scan->table, HUBSPOT_ROLE_FROM_ID));
	const char *to = quote_identifier(hubspot_table_column(scan->table, HUBSPOT_ROLE_TO_ID));

	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("foreign table %s cannot be read without a condition that names records",
					scan->table->name),
			 errdetail("HubSpot gives the associations of records that are named."),
			 errhint("Add a condition on %s or %s, such as %s = '...' or %s = ANY (ARRAY(SELECT ...)); or have it go through the whole account: ALTER FOREIGN TABLE %s OPTIONS (ADD scan 'all').",
					 from, to, from, from, scan->table->name)));
}

/* Explain a scan. */
void
hubspot_table_scan_explain(ForeignScanState *node, struct ExplainState *es)
{
	HubspotTableScan *scan = node->fdw_state;
	bool		back;

	if (hubspot_is_list_scan(node))
	{
		hubspot_list_scan_explain(node, es);
		return;
	}
	back = (scan->side == HUBSPOT_SIDE_TO);
	ExplainPropertyText("HubSpot Records", scan->side < 0 ? "none named: an error" :
						scan->whole ? "all of the account" :
						quote_identifier(hubspot_table_column(scan->table, scan->side)), es);
	if (es->verbose && scan->whole)
		explain_list(scan, es);
	if (es->verbose && scan->side >= 0)
	{
		explain_request(scan, back, scan->whole ? "HubSpot Second Request" : "HubSpot Request", es);
		if (scan->forward)
			explain_request(scan, false, "HubSpot Second Request", es);
	}
	if (es->analyze)
		explain_costs(scan, es);
}

/* Explain the request that lists records. */
static void
explain_list(const HubspotTableScan *scan, struct ExplainState *es)
{
	const HubspotObjectType type = {.name = scan->table->from_type.name,
	.shows = scan->table->from_type.property};
	const HubspotEndpoint *endpoint = hubspot_endpoint(HUBSPOT_RECORDS_LIST);
	const char *arguments[] = {type.name, hubspot_listed_property(&type)};
	StringInfoData request;

	initStringInfo(&request);
	appendStringInfo(&request, "%s ", endpoint->method);
	hubspot_append_path(&request, endpoint, hubspot_server_api_version(scan->table->server),
						arguments);
	ExplainPropertyText("HubSpot Request", request.data, es);
}

static void
explain_request(const HubspotTableScan *scan, bool back, const char *label, struct ExplainState *es)
{
	const HubspotEndpoint *endpoint = hubspot_endpoint(HUBSPOT_BATCH_READ);
	const char *types[2];
	StringInfoData request;

	types[back ? 1 : 0] = scan->table->from_type.name;
	types[back ? 0 : 1] = scan->table->to_type.name;
	initStringInfo(&request);
	appendStringInfo(&request, "%s ", endpoint->method);
	hubspot_append_path(&request, endpoint, hubspot_server_api_version(scan->table->server),
						types);
	ExplainPropertyText(label, request.data, es);
}

static void
explain_costs(const HubspotTableScan *scan, struct ExplainState *es)
{
	HubspotBatchCounts counts = scan->counts;

	if (scan->reading)
	{
		HubspotBatchCounts more;

		hubspot_table_reading_counts(scan->reading, &more);
		counts.calls.requests += more.calls.requests;
		counts.calls.retries += more.calls.retries;
		counts.calls.throttled_time += more.calls.throttled_time;
	}
	ExplainPropertyInteger("HubSpot Requests", NULL, counts.calls.requests, es);
	if (counts.calls.retries > 0 || es->format != EXPLAIN_FORMAT_TEXT)
		ExplainPropertyInteger("HubSpot Retries", NULL, counts.calls.retries, es);
	if (counts.calls.throttled_time > 0 || es->format != EXPLAIN_FORMAT_TEXT)
		ExplainPropertyFloat("HubSpot Throttled Time", "ms", counts.calls.throttled_time / 1000.0,
							 3, es);
}
