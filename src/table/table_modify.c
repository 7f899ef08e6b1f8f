/*-------------------------------------------------------------------------
 *
 * table_modify.c
 *	  INSERT, UPDATE and DELETE of a foreign table, in planner and executor.
 *
 * An UPDATE or DELETE scans the table as a SELECT does, with two columns besides: the whole
 * row, and its ctid, where the scan says which of its pair's types the row has; or, if the
 * table has keys, where it has noted that and the records' ids (target_rows.c).  What the rows
 * become is table_statement.c's.
 *
 * INSERT has batches, unless something has to be done for each row: triggers, RETURNING,
 * the CHECK OPTION of a view.  COPY comes row by row before PostgreSQL 16, and then its
 * rows are collected here.
 *
 * A partition may be both scanned by an UPDATE and given rows that move there; then one
 * writer serves for both, and is ended twice.
 *
 * IDENTIFICATION
 *	  src/table/table_modify.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "commands/explain.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "optimizer/appendinfo.h"
#include "parser/parsetree.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "table/table_modify.h"
#include "table/table_statement.h"

/* How many new rows come in a batch. */
#define BATCH_ROWS	1000

/* A table that is written to, in the executor. */
typedef struct Modify
{
	HubspotTable *table;
	HubspotTableWriter *writer;
	AttrNumber	row;			/* columns of the plan: the whole row, */
	AttrNumber	place;			/* and the ctid */
	EState	   *estate;
	Index		rti;			/* of the scan */
	HubspotTargetRows *target_rows; /* its notes; NULL: it takes none, or they
									 * were not looked for */
	TupleTableSlot *old_slot;	/* of an UPDATE */
	bool		collects;		/* new rows are not written one by one */
} Modify;

static int	updatable(Relation relation);
static void add_targets(PlannerInfo *root, Index rti, RangeTblEntry *rte, Relation relation);
static List *plan(PlannerInfo *root, ModifyTable * node, Index rti, int subplan);
static void begin(ModifyTableState *state, ResultRelInfo *relation, List *fdw_private,
				  int subplan, int eflags);
static Modify *begin_writer(EState *estate, ResultRelInfo *relation, CmdType operation);
static void begin_insert(ModifyTableState *state, ResultRelInfo *relation);
static void refuse_routing(const Modify *modify) pg_attribute_noreturn();
static bool needs_each_row(const ResultRelInfo *relation);
static int	batch_size(ResultRelInfo *relation);
static void check_new_row(EState *estate, ResultRelInfo *relation, TupleTableSlot *slot);
static TupleTableSlot *insert(EState *estate, ResultRelInfo *relation, TupleTableSlot *slot,
							  TupleTableSlot *plan_slot);
static TupleTableSlot **insert_batch(EState *estate, ResultRelInfo *relation,
									 TupleTableSlot **slots, TupleTableSlot **plan_slots,
									 int *nslots);
static TupleTableSlot *update(EState *estate, ResultRelInfo *relation, TupleTableSlot *slot,
							  TupleTableSlot *plan_slot);
static TupleTableSlot *delete(EState *estate, ResultRelInfo *relation, TupleTableSlot *slot,
							  TupleTableSlot *plan_slot);
static void get_old_row(Modify *modify, TupleTableSlot *plan_slot, TupleTableSlot *slot,
						HubspotTargetRow *target);
static void end(EState *estate, ResultRelInfo *relation);
static void explain(ModifyTableState *state, ResultRelInfo *relation, List *fdw_private,
					int subplan, struct ExplainState *es);

/* Add the functions that write. */
void
hubspot_table_modify_add(FdwRoutine *routine)
{
	routine->IsForeignRelUpdatable = updatable;
	routine->AddForeignUpdateTargets = add_targets;
	routine->PlanForeignModify = plan;
	routine->BeginForeignModify = begin;
	routine->BeginForeignInsert = begin_insert;
	routine->GetForeignModifyBatchSize = batch_size;
	routine->ExecForeignInsert = insert;
	routine->ExecForeignBatchInsert = insert_batch;
	routine->ExecForeignUpdate = update;
	routine->ExecForeignDelete = delete;
	routine->EndForeignModify = end;
	routine->EndForeignInsert = end;
	routine->ExplainForeignModify = explain;
}

/* What can be done to a table: a bit for each CmdType. */
static int
updatable(Relation relation)
{
	const HubspotTable *table = hubspot_table_read(RelationGetRelid(relation));

	if (table->kind != HUBSPOT_KIND_ASSOCIATIONS || table->options.writes == HUBSPOT_WRITES_OFF)
		return 0;
	return (1 << CMD_INSERT) | (1 << CMD_DELETE) | (table->typed ? 1 << CMD_UPDATE : 0);
}

/* Add the columns by which a row is known.  For UPDATE, the server adds the whole row. */
static void
add_targets(PlannerInfo *root, Index rti, RangeTblEntry *rte, Relation relation)
{
	if (root->parse->commandType == CMD_DELETE)
		add_row_identity_var(root, makeVar(rti, InvalidAttrNumber, RECORDOID, -1, InvalidOid, 0),
							 rti, "wholerow");
	add_row_identity_var(root, makeVar(rti, SelfItemPointerAttributeNumber, TIDOID, -1, InvalidOid,
									   0),
						 rti, "ctid");
}

/* ERROR if a table cannot be written to like this.  There is nothing else to plan. */
static List *
plan(PlannerInfo *root, ModifyTable * node, Index rti, int subplan)
{
	const HubspotTable *table = hubspot_table_read(planner_rt_fetch(rti, root)->relid);

	if (table->kind != HUBSPOT_KIND_ASSOCIATIONS)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("foreign table %s cannot be written to", table->name),
				 errdetail("It shows what the account defines."),
				 errhint("hs_assoc_label_create, hs_assoc_label_update and hs_assoc_label_delete change labels.")));
	if (table->options.writes == HUBSPOT_WRITES_OFF)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("foreign table %s is read-only", table->name),
				 errdetail("Its option \"writes\" is 'off'."),
				 errhint("The table's owner can change that with ALTER FOREIGN TABLE %s OPTIONS (SET writes 'outbox').",
						 table->name)));
	if (node->operation == CMD_UPDATE && !table->typed)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("foreign table %s has nothing that UPDATE could change", table->name),
				 errdetail("It has no column of types, and records cannot be changed."),
				 errhint("DELETE a row, and INSERT another one.")));
	return NIL;
}

/* Begin to write to a table that a query names. */
static void
begin(ModifyTableState *state, ResultRelInfo *relation, List *fdw_private, int subplan, int eflags)
{
	const List *columns;
	Modify	   *modify;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	modify = begin_writer(state->ps.state, relation, state->operation);
	if (state->operation == CMD_INSERT)
		return;
	columns = outerPlanState(state)->plan->targetlist;
	modify->row = ExecFindJunkAttributeInTlist(unconstify(List *, columns), "wholerow");
	modify->place = ExecFindJunkAttributeInTlist(unconstify(List *, columns), "ctid");
	modify->estate = state->ps.state;
	modify->rti = relation->ri_RangeTableIndex;
	modify->old_slot = ExecInitExtraTupleSlot(state->ps.state,
											  RelationGetDescr(relation->ri_RelationDesc),
											  &TTSOpsVirtual);
}

static Modify *
begin_writer(EState *estate, ResultRelInfo *relation, CmdType operation)
{
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);
	Modify	   *modify = palloc0(sizeof(Modify));

	modify->table = hubspot_table_read(RelationGetRelid(relation->ri_RelationDesc));
	modify->writer = hubspot_writer_begin(estate, modify->table,
										  hubspot_result_user(relation, estate), operation);
	relation->ri_FdwState = modify;
	MemoryContextSwitchTo(old);
	return modify;
}

/* Begin to write rows that are routed to a partition, or come by COPY. */
static void
begin_insert(ModifyTableState *state, ResultRelInfo *relation)
{
	Modify	   *modify = relation->ri_FdwState;

	if (modify == NULL)
		modify = begin_writer(state->ps.state, relation, CMD_INSERT);
	else if (modify->table->options.writes == HUBSPOT_WRITES_DIRECT)
		refuse_routing(modify);
	modify->collects = (state->ps.plan == NULL && relation->ri_TrigDesc == NULL &&
						relation->ri_RootResultRelInfo == NULL);
}

/* What is sent at once could be read again, and changed once more. */
static void
refuse_routing(const Modify *modify)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("rows cannot be moved into foreign table %s, which the same UPDATE changes",
					modify->table->name),
			 errhint("Give it the option writes 'outbox', or leave it out of the UPDATE.")));
}

/* Is there something to do for each new row, once it is written? */
static bool
needs_each_row(const ResultRelInfo *relation)
{
	const		TriggerDesc *triggers = relation->ri_TrigDesc;

	return relation->ri_projectReturning || relation->ri_WithCheckOptions != NIL ||
		(triggers && (triggers->trig_insert_before_row || triggers->trig_insert_after_row));
}

static int
batch_size(ResultRelInfo *relation)
{
	return needs_each_row(relation) ? 1 : BATCH_ROWS;
}

/*
 * ERROR if a new row is none that a view's CHECK OPTION lets through, or a policy of the table
 * whose partition this is.  The server looks at the former when the row is written, which may
 * have been sent by then; and at the latter for no foreign table at all.  A statement has
 * checks of its own kind only.
 */
static void
check_new_row(EState *estate, ResultRelInfo *relation, TupleTableSlot *slot)
{
	if (relation->ri_WithCheckOptions == NIL)
		return;
	ExecWithCheckOptions(WCO_RLS_INSERT_CHECK, relation, slot, estate);
	ExecWithCheckOptions(WCO_RLS_UPDATE_CHECK, relation, slot, estate);
	ExecWithCheckOptions(WCO_VIEW_CHECK, relation, slot, estate);
}

static TupleTableSlot *
insert(EState *estate, ResultRelInfo *relation, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	const Modify *modify = relation->ri_FdwState;

	check_new_row(estate, relation, slot);
	hubspot_writer_insert(modify->writer, slot);
	if (!modify->collects)
		hubspot_writer_flush(modify->writer);
	return slot;
}

static TupleTableSlot **
insert_batch(EState *estate, ResultRelInfo *relation, TupleTableSlot **slots,
 /* NOLINTNEXTLINE(readability-non-const-parameter): as the server has it */
			 TupleTableSlot **plan_slots, int *nslots)
{
	const Modify *modify = relation->ri_FdwState;

	for (int i = 0; i < *nslots; i++)
		hubspot_writer_insert(modify->writer, slots[i]);
	hubspot_writer_flush(modify->writer);
	return slots;
}

static TupleTableSlot *
update(EState *estate, ResultRelInfo *relation, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	Modify	   *modify = relation->ri_FdwState;
	HubspotTargetRow target;

	check_new_row(estate, relation, slot);
	get_old_row(modify, plan_slot, modify->old_slot, &target);
	hubspot_writer_update(modify->writer, modify->old_slot, slot, &target);
	return slot;
}

/* The slot gets the row that is gone, for RETURNING. */
static TupleTableSlot *
delete(EState *estate, ResultRelInfo *relation, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	Modify	   *modify = relation->ri_FdwState;
	HubspotTargetRow target;

	get_old_row(modify, plan_slot, slot, &target);
	hubspot_writer_delete(modify->writer, slot, &target);
	return slot;
}

/* The row that the scan has given, and what it knows of it besides, until the next one. */
static void
get_old_row(Modify *modify, TupleTableSlot *plan_slot, TupleTableSlot *slot,
			HubspotTargetRow *target)
{
	bool		row_is_null;
	bool		place_is_null;
	MemoryContext old;
	Datum		row = ExecGetJunkAttribute(plan_slot, modify->row, &row_is_null);
	Datum		tid = ExecGetJunkAttribute(plan_slot, modify->place, &place_is_null);

	if (row_is_null || place_is_null)
		elog(ERROR, "a row of foreign table %s came without its columns", modify->table->name);
	ExecStoreHeapTupleDatum(row, slot);
	memset(target, 0, sizeof(*target));
	if (!hubspot_table_has_keys(modify->table))
	{
		hubspot_type_place_get((ItemPointer) DatumGetPointer(tid), &target->place);
		return;
	}
	if (modify->target_rows == NULL)
		modify->target_rows = hubspot_target_rows_find(modify->estate, modify->rti);
	if (modify->target_rows == NULL)
		elog(ERROR, "foreign table %s is not scanned by its UPDATE or DELETE", modify->table->name);
	old = MemoryContextSwitchTo(GetPerTupleMemoryContext(modify->estate));
	hubspot_target_rows_fetch(modify->target_rows, (ItemPointer) DatumGetPointer(tid), target);
	MemoryContextSwitchTo(old);
}

static void
end(EState *estate, ResultRelInfo *relation)
{
	const Modify *modify = relation->ri_FdwState;

	if (modify)
		hubspot_writer_end(modify->writer);
}

/* Explain where rows go, and, once they have gone, how many there were. */
static void
explain(ModifyTableState *state, ResultRelInfo *relation, List *fdw_private, int subplan,
		struct ExplainState *es)
{
	const Modify *modify = relation->ri_FdwState;
	const HubspotTable *table = hubspot_table_read(RelationGetRelid(relation->ri_RelationDesc));
	bool		direct = table->options.writes == HUBSPOT_WRITES_DIRECT;

	ExplainPropertyText("HubSpot Writes", hubspot_writes_names[table->options.writes], es);
	if (modify == NULL || !es->analyze)
		return;
	/* what is removed is written now, and not after this */
	hubspot_writer_finish(modify->writer);
	ExplainPropertyInteger(direct ? "HubSpot Write Requests" : "HubSpot Rows Enqueued", NULL,
						   hubspot_writer_count(modify->writer), es);
}
