/*-------------------------------------------------------------------------
 *
 * replicated.c
 *	  Rows that a subscription applies, until its transaction commits.
 *
 * A subscription applies row by row.  Enqueuing each by a statement of its own would take
 * longer than applying it.  So the rows are collected, in tuplestores, which go to disk if
 * there are many, and given to the sink just before the transaction commits or is prepared.
 * They are not in the order in which they came: what counts is what the transaction has made
 * of the table, which is the rows that are new without those that are gone.
 *
 * What a subtransaction has applied is its own until it commits, and goes with it if it
 * is rolled back.
 *
 * IDENTIFICATION
 *	  src/sync/replicated.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "sync/replicated.h"

/* The rows of a table from one subtransaction. */
typedef struct Collected
{
	HubspotReplicated rows;		/* must be first: it is what callers have */
	SubTransactionId subtransaction;
	bool		moving;			/* into those of the parent */
} Collected;

static MemoryContext context = NULL;	/* of all of this transaction, or NULL */
static List *collected = NIL;	/* those of a later subtransaction behind */
static HubspotReplicatedSink sink_rows = NULL;
static bool spoiled = false;	/* there are rows of one that was rolled back */

static void end_transaction(XactEvent event, void *arg);
static void end_subtransaction(SubXactEvent event, SubTransactionId subtransaction,
							   SubTransactionId parent, void *arg);
static Collected *find(Oid table, SubTransactionId subtransaction);
static Tuplestorestate *create_rows(void);
static void deliver(void);
static void give_to(Collected *own, SubTransactionId parent);
static void append(Tuplestorestate *rows, Tuplestorestate *more, TupleDesc tupdesc);
static void end(Collected *entry);
static void forget(void);

/*
 * Where to put the rows of a table, for as long as the current subtransaction lasts.
 * The sink is always the same.
 */
HubspotReplicated *
hubspot_replicated_rows(Oid table, HubspotReplicatedSink sink)
{
	static bool registered = false;
	SubTransactionId subtransaction = GetCurrentSubTransactionId();
	Collected  *entry = find(table, subtransaction);
	MemoryContext old;
	Relation	relation;

	if (entry)
		return &entry->rows;
	if (!registered)
	{
		RegisterXactCallback(end_transaction, NULL);
		RegisterSubXactCallback(end_subtransaction, NULL);
		registered = true;
	}
	sink_rows = sink;
	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "hubspot_assoc replicated rows",
										ALLOCSET_SMALL_SIZES);
	relation = table_open(table, AccessShareLock);
	old = MemoryContextSwitchTo(context);
	entry = palloc0(sizeof(Collected));
	entry->subtransaction = subtransaction;
	entry->rows.table = table;
	entry->rows.tupdesc = CreateTupleDescCopy(RelationGetDescr(relation));
	entry->rows.new_rows = create_rows();
	entry->rows.old_rows = create_rows();
	collected = lappend(collected, entry);
	MemoryContextSwitchTo(old);
	table_close(relation, NoLock);
	return &entry->rows;
}

static Collected *
find(Oid table, SubTransactionId subtransaction)
{
	ListCell   *lc;

	foreach(lc, collected)
	{
		Collected  *entry = lfirst(lc);

		if (entry->rows.table == table && entry->subtransaction == subtransaction)
			return entry;
	}
	return NULL;
}

/* A tuplestore that outlives subtransactions; we end it before the transaction does. */
static Tuplestorestate *
create_rows(void)
{
	ResourceOwner owner = CurrentResourceOwner;
	Tuplestorestate *rows;

	CurrentResourceOwner = TopTransactionResourceOwner;
	rows = tuplestore_begin_heap(true, true, work_mem);
	CurrentResourceOwner = owner;
	return rows;
}

static void
end_transaction(XactEvent event, void *arg)
{
	if (context == NULL)
		return;
	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
		deliver();
	else
		forget();
}

/* Give all rows to the sink, an ERROR of which rolls the transaction back. */
static void
deliver(void)
{
	ListCell   *lc;

	if (spoiled)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_STATEMENT_COMPLETION_UNKNOWN),
				 errmsg("could not keep what a subtransaction has changed as a replica")));
	PushActiveSnapshot(GetTransactionSnapshot());
	foreach(lc, collected)
	{
		Collected  *entry = lfirst(lc);

		/* each sees what those before it have enqueued */
		CommandCounterIncrement();
		UpdateActiveSnapshotCommandId();
		sink_rows(&entry->rows);
		end(entry);
	}
	collected = NIL;
	PopActiveSnapshot();
}

static void
end_subtransaction(SubXactEvent event, SubTransactionId subtransaction,
				   SubTransactionId parent, void *arg)
{
	ListCell   *lc;

	if (event != SUBXACT_EVENT_PRE_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	foreach(lc, collected)
	{
		Collected  *entry = lfirst(lc);

		if (entry->subtransaction != subtransaction)
			continue;
		if (event == SUBXACT_EVENT_PRE_COMMIT_SUB)
			give_to(entry, parent);
		else
		{
			spoiled |= entry->moving;
			end(entry);
		}
		if (entry->subtransaction == InvalidSubTransactionId)
			collected = foreach_delete_current(collected, lc);
	}
}

/* Give the rows to the parent. */
static void
give_to(Collected *own, SubTransactionId parent)
{
	Collected  *other = find(own->rows.table, parent);

	if (other == NULL)
	{
		own->subtransaction = parent;
		return;
	}
	if (!hubspot_replicated_same_form(other->rows.tupdesc, own->rows.tupdesc))
		hubspot_replicated_refuse(&own->rows);
	own->moving = true;
	append(other->rows.new_rows, own->rows.new_rows, own->rows.tupdesc);
	append(other->rows.old_rows, own->rows.old_rows, own->rows.tupdesc);
	end(own);
}

/* Do rows of two forms have their columns at the same places? */
bool
hubspot_replicated_same_form(TupleDesc a, TupleDesc b)
{
	bool		same = a->natts == b->natts;

	for (int i = 0; same && i < a->natts; i++)
		same = TupleDescAttr(a, i)->atttypid == TupleDescAttr(b, i)->atttypid;
	return same;
}

/* ERROR: the form of the table has changed since the first of its rows came. */
void
hubspot_replicated_refuse(const HubspotReplicated *rows)
{
	const char *name = get_rel_name(rows->table);

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table \"%s\" was altered by the transaction that has changed its rows as a replica",
					name ? name : "?"),
			 errhint("Alter it in a transaction of its own.")));
}

static void
append(Tuplestorestate *rows, Tuplestorestate *more, TupleDesc tupdesc)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(tupdesc, &TTSOpsMinimalTuple);

	tuplestore_rescan(more);
	while (tuplestore_gettupleslot(more, true, false, slot))
		tuplestore_puttupleslot(rows, slot);
	ExecDropSingleTupleTableSlot(slot);
}

static void
end(Collected *entry)
{
	if (entry->subtransaction == InvalidSubTransactionId)
		return;					/* an ERROR has come since */
	tuplestore_end(entry->rows.new_rows);
	tuplestore_end(entry->rows.old_rows);
	entry->subtransaction = InvalidSubTransactionId;
}

/* Forget all rows: the transaction is over. */
static void
forget(void)
{
	ListCell   *lc;

	foreach(lc, collected)
		end(lfirst(lc));
	collected = NIL;
	MemoryContextDelete(context);
	context = NULL;
	spoiled = false;
}
