/*-------------------------------------------------------------------------
 *
 * table_statement.c
 *	  What a statement writes to foreign tables.
 *
 * What is removed is written at the end of the statement, since it is known only then
 * (table_removal.c).  An UPDATE removes the old type and makes the new one.  New rows of a
 * statement that also removes some come after all removals, as its parts (WITH) see none of
 * each other; those of any other are written as they come, a batch at a time.
 *
 *		INSERT ---------------------------------------> writing
 *		INSERT, where something is removed --> later --.
 *		UPDATE --> removal --+--> later ---------------+--> writing, after all removals
 *		DELETE --> removal --'------------------------> writing, at the end
 *
 * The parts of a statement find each other by the executor's state, and it ends with the
 * last of them.
 *
 * IDENTIFICATION
 *	  src/table/table_statement.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "table/table_removal.h"
#include "table/table_statement.h"
#include "table/table_writing.h"
#include "table/table_written.h"

/* The writers of a statement. */
typedef struct Statement
{
	dlist_node	node;			/* in statements */
	const EState *estate;
	MemoryContext context;
	MemoryContextCallback callback;
	List	   *writers;
	int			nopen;			/* of these */
	bool		removes;		/* one of them does */
} Statement;

struct HubspotTableWriter
{
	Statement  *statement;
	const HubspotTable *table;
	CmdType		operation;
	HubspotTableWriting *writing;
	MemoryContext row_context;
	HubspotTableRemoval *removal;	/* of rows; NULL: none so far */
	Tuplestorestate *later;		/* rows to be written after all removals;
								 * NULL: none so far */
	TupleTableSlot *slot;		/* of these */
	bool		ended;
};

static dlist_head statements = DLIST_STATIC_INIT(statements);

static Statement *get_statement(const EState *estate);
static void forget_statement(void *arg);
static void name_by_ids(HubspotGivenRow *row, const HubspotTargetRow *target);
static void remove_row(HubspotTableWriter *writer, const HubspotGivenRow *row,
					   const HubspotTypePlace *place, const HubspotGivenType *new);
static void put_later(void *state, const HubspotGivenRow *row);
static void create(HubspotTableWriter *writer, const HubspotGivenRow *row);
static void finish(Statement *statement);
static void write_later(HubspotTableWriter *writer);

/*
 * Begin to write to a table in a statement, for a user.  ERROR if that may not be, or if
 * it goes by what is read and that does not show what was written before.
 */
HubspotTableWriter *
hubspot_writer_begin(const EState *estate, const HubspotTable *table, Oid user,
					 CmdType operation)
{
	Statement  *statement = get_statement(estate);
	MemoryContext old = MemoryContextSwitchTo(statement->context);
	HubspotTableWriter *writer = palloc0(sizeof(HubspotTableWriter));

	if (operation != CMD_INSERT && hubspot_table_is_written(table))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot %s foreign table %s in a transaction that has written to it",
						operation == CMD_UPDATE ? "UPDATE" : "DELETE FROM", table->name),
				 errdetail("What was written waits in the outbox until the commit, and is not read."),
				 errhint("Do it first of all, or in another transaction once the outbox has been sent.")));
	writer->statement = statement;
	writer->table = table;
	writer->operation = operation;
	writer->writing = hubspot_table_writing_begin(table, user);
	writer->row_context = AllocSetContextCreate(statement->context,
												"hubspot_assoc table row written",
												ALLOCSET_DEFAULT_SIZES);
	statement->writers = lappend(statement->writers, writer);
	statement->nopen++;
	statement->removes |= (operation != CMD_INSERT);
	MemoryContextSwitchTo(old);
	return writer;
}

/* The writers of a statement, which may be none so far. */
static Statement *
get_statement(const EState *estate)
{
	dlist_iter	iter;
	Statement  *statement;
	MemoryContext context;

	dlist_foreach(iter, &statements)
	{
		statement = dlist_container(Statement, node, iter.cur);
		if (statement->estate == estate)
			return statement;
	}
	context = AllocSetContextCreate(estate->es_query_cxt, "hubspot_assoc table statement",
									ALLOCSET_DEFAULT_SIZES);
	statement = MemoryContextAllocZero(context, sizeof(Statement));
	statement->estate = estate;
	statement->context = context;
	statement->callback.func = forget_statement;
	statement->callback.arg = statement;
	MemoryContextRegisterResetCallback(context, &statement->callback);
	dlist_push_head(&statements, &statement->node);
	return statement;
}

/* Callback of a statement's memory context. */
static void
forget_statement(void *arg)
{
	dlist_delete(&((Statement *) arg)->node);
}

/* Write a new row: at the next flush, or after all removals. */
void
hubspot_writer_insert(HubspotTableWriter *writer, TupleTableSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(writer->row_context);
	HubspotGivenRow row;

	MemoryContextReset(writer->row_context);
	hubspot_given_row_read(writer->table, slot, &row);
	hubspot_table_writing_resolve(writer->writing, &row);
	if (writer->statement->removes)
		put_later(writer, &row);
	else
		create(writer, &row);
	MemoryContextSwitchTo(old);
}

/* Have the rows written that are not to come later. */
void
hubspot_writer_flush(HubspotTableWriter *writer)
{
	hubspot_table_writing_flush(writer->writing);
}

/* Remove a row, as the scan knows it. */
void
hubspot_writer_delete(HubspotTableWriter *writer, TupleTableSlot *slot,
					  const HubspotTargetRow *target)
{
	MemoryContext old = MemoryContextSwitchTo(writer->row_context);
	HubspotGivenRow row;

	MemoryContextReset(writer->row_context);
	hubspot_given_row_read(writer->table, slot, &row);
	name_by_ids(&row, target);
	remove_row(writer, &row, &target->place, NULL);
	MemoryContextSwitchTo(old);
}

/* The row is of the records that were found, whatever they are called. */
static void
name_by_ids(HubspotGivenRow *row, const HubspotTargetRow *target)
{
	if (target->from_record.data)
	{
		row->from_id = target->from_record;
		row->to_id = target->to_record;
	}
	row->by_ids = true;
}

/* Give a row, as the scan knows it, another type. */
void
hubspot_writer_update(HubspotTableWriter *writer, TupleTableSlot *old_slot,
					  TupleTableSlot *new_slot, const HubspotTargetRow *target)
{
	MemoryContext old = MemoryContextSwitchTo(writer->row_context);
	HubspotGivenRow old_row;
	HubspotGivenRow new_row;
	HubspotRawInput raw;

	MemoryContextReset(writer->row_context);
	hubspot_given_row_read(writer->table, old_slot, &old_row);
	hubspot_given_row_read(writer->table, new_slot, &new_row);
	if (hubspot_given_type_changes(writer->table, &old_row, &new_row))
	{
		if (target->place.is_default)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a row of foreign table %s whose type has no label cannot be changed by UPDATE",
							writer->table->name),
					 errdetail("That type is the association itself, to which others are added."),
					 errhint("INSERT a row with the label.")));
		name_by_ids(&old_row, target);
		name_by_ids(&new_row, target);
		hubspot_check_removable(writer->table, &old_row);
		hubspot_table_writing_resolve(writer->writing, &new_row);
		(void) hubspot_given_row_create(writer->table, &new_row, &raw);
		remove_row(writer, &old_row, &target->place, &new_row.type);
	}
	MemoryContextSwitchTo(old);
}

/* Take a row that is removed, and the type that it is to have instead, or NULL. */
static void
remove_row(HubspotTableWriter *writer, const HubspotGivenRow *row,
		   const HubspotTypePlace *place, const HubspotGivenType *new)
{
	if (writer->removal == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(writer->statement->context);

		writer->removal = hubspot_table_removal_begin(writer->table,
													  writer->operation == CMD_UPDATE);
		MemoryContextSwitchTo(old);
	}
	hubspot_table_removal_put(writer->removal, row, place, new);
}

/* Keep a row that is to be written after all removals. */
static void
put_later(void *state, const HubspotGivenRow *row)
{
	HubspotTableWriter *writer = state;
	HubspotPackedRow packed = {.row = *row};

	if (writer->later == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(writer->statement->context);

		writer->later = tuplestore_begin_heap(false, false, work_mem);
		writer->slot = hubspot_packed_row_slot(&TTSOpsMinimalTuple);
		MemoryContextSwitchTo(old);
	}
	hubspot_packed_row_keep(&packed, writer->slot, writer->later);
}

/* Write a row, at the next flush. */
static void
create(HubspotTableWriter *writer, const HubspotGivenRow *row)
{
	HubspotRawInput raw;
	HubspotTableAction action = hubspot_given_row_create(writer->table, row, &raw);

	hubspot_table_writing_put(writer->writing, action, &raw);
}

/* Write all that is not written yet in the statement of a writer. */
void
hubspot_writer_finish(HubspotTableWriter *writer)
{
	finish(writer->statement);
}

static void
finish(Statement *statement)
{
	ListCell   *lc;

	foreach(lc, statement->writers)
	{
		HubspotTableWriter *writer = lfirst(lc);

		if (writer->removal)
			hubspot_table_removal_write(writer->removal, writer->writing, put_later, writer);
		writer->removal = NULL;
		hubspot_table_writing_flush(writer->writing);
	}
	foreach(lc, statement->writers)
		write_later(lfirst(lc));
}

static void
write_later(HubspotTableWriter *writer)
{
	if (writer->later == NULL)
		return;
	while (tuplestore_gettupleslot(writer->later, true, false, writer->slot))
	{
		HubspotPackedRow packed;
		MemoryContext old;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(writer->row_context);
		old = MemoryContextSwitchTo(writer->row_context);
		hubspot_packed_row_get(writer->slot, &packed);
		create(writer, &packed.row);
		MemoryContextSwitchTo(old);
	}
	hubspot_table_writing_flush(writer->writing);
	tuplestore_end(writer->later);
	writer->later = NULL;
}

/* End a writer; it may be called twice.  The last one of a statement has it finished. */
void
hubspot_writer_end(HubspotTableWriter *writer)
{
	if (writer->ended)
		return;
	writer->ended = true;
	if (--writer->statement->nopen == 0)
		finish(writer->statement);
}

/* How many operations were enqueued, or requests sent. */
int64
hubspot_writer_count(const HubspotTableWriter *writer)
{
	return hubspot_table_writing_count(writer->writing);
}
