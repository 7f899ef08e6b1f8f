/*-------------------------------------------------------------------------
 *
 * table_written.c
 *	  Which object types this transaction has written associations of.
 *
 * What is enqueued is sent after the commit, and until then HubSpot shows what there was
 * before.  So an UPDATE or DELETE, which goes by what is read, must know of it.
 *
 * Each pair of object types of a server is there once, with the level of the outermost
 * subtransaction that has written: the rollback of an inner one takes nothing away from it.
 *
 * IDENTIFICATION
 *	  src/table/table_written.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "api/object_type.h"
#include "table/table_written.h"

typedef struct Written
{
	Oid			server;
	char	   *types[2];
	int			level;			/* of the subtransaction */
} Written;

/* Of this transaction, in its memory context; NIL: nothing. */
static List *all_written = NIL;

static Written *find(const HubspotTable *table);
static void end_transaction(XactEvent event, void *arg);
static void end_subtransaction(SubXactEvent event, SubTransactionId mySubid,
							   SubTransactionId parentSubid, void *arg);

/* Take note that a table is written to. */
void
hubspot_table_written_note(const HubspotTable *table)
{
	static bool registered = false;
	MemoryContext old;
	Written    *written;

	if (find(table))
		return;
	if (!registered)
	{
		RegisterXactCallback(end_transaction, NULL);
		RegisterSubXactCallback(end_subtransaction, NULL);
		registered = true;
	}
	old = MemoryContextSwitchTo(TopTransactionContext);
	written = palloc(sizeof(Written));
	written->server = table->server;
	written->types[0] = pstrdup(table->from_type.name);
	written->types[1] = pstrdup(table->to_type.name);
	written->level = GetCurrentTransactionNestLevel();
	all_written = lappend(all_written, written);
	MemoryContextSwitchTo(old);
}

/* Has this transaction written associations of these object types, in either direction? */
bool
hubspot_table_is_written(const HubspotTable *table)
{
	return find(table) != NULL;
}

static Written *
find(const HubspotTable *table)
{
	ListCell   *lc;

	foreach(lc, all_written)
	{
		Written    *written = lfirst(lc);

		if (written->server != table->server)
			continue;
		for (int i = 0; i < 2; i++)
		{
			if (hubspot_same_object_type(written->types[i], table->from_type.name) &&
				hubspot_same_object_type(written->types[1 - i], table->to_type.name))
				return written;
		}
	}
	return NULL;
}

static void
end_transaction(XactEvent event, void *arg)
{
	/* what it holds is gone with the transaction's memory */
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		all_written = NIL;
}

static void
end_subtransaction(SubXactEvent event, SubTransactionId mySubid,
				   SubTransactionId parentSubid, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();
	ListCell   *lc;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	foreach(lc, all_written)
	{
		Written    *written = lfirst(lc);

		if (written->level < level)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			written->level = level - 1;
		else
			all_written = foreach_delete_current(all_written, lc);
	}
}
