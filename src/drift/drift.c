/*-------------------------------------------------------------------------
 *
 * drift.c
 *	  What HubSpot holds, against what a table in sync says.
 *
 * Each sync of a table is compared by itself, as a plan whose wanted rows are the table's:
 *
 *		read:		the rows, what waits in the outbox, and then what HubSpot holds
 *					of the rows' records --> differences
 *		confirm:	those of them that are still there, by tables and outbox as they
 *					are now (confirm.c)
 *
 * A sync without types is about pairs, any other about types of pairs: its own, or those
 * that are in its column.
 *
 * IDENTIFICATION
 *	  src/drift/drift.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "api/association_type.h"
#include "drift/confirm.h"
#include "drift/drift.h"
#include "drift/link_source.h"
#include "drift/names.h"
#include "drift/stored_row.h"
#include "plan/plan.h"
#include "sync/change.h"

static int	compare_ids(const ListCell *a, const ListCell *b);
static void set_types(HubspotDrift *drift);
static void collect_differences(HubspotDrift *drift);
static bool next_dead(TupleTableSlot *slot, Tuplestorestate *dead);
static void set_dead(const HubspotDrift *drift, HubspotDriftRow *row,
					 HubspotError *error, TupleTableSlot *slot);
static char *text_of(TupleTableSlot *slot, int column);
static void count(HubspotDriftCounts *counts, const HubspotDriftRow *row);
static void append_count(StringInfo text, int64 count, const char *one, const char *many);

/* The syncs of a table in the order of their numbers; ERROR if there are none. */
List *
hubspot_drift_syncs(Oid link_table)
{
	List	   *syncs = hubspot_syncs(hubspot_outbox_schema(false), link_table);
	Oid			root = hubspot_link_root(link_table);

	if (syncs == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not kept in sync", get_rel_name(link_table)),
				 root == link_table ?
				 errhint("See the view hs_assoc_sync for the tables that are.") :
				 errhint("It is a partition: name the whole table \"%s\".", get_rel_name(root))));
	list_sort(syncs, compare_ids);
	return syncs;
}

static int
compare_ids(const ListCell *a, const ListCell *b)
{
	const HubspotSync *one = lfirst(a);
	const HubspotSync *other = lfirst(b);

	return one->id < other->id ? -1 : one->id > other->id ? 1 : 0;
}

/*
 * Begin to compare a sync with HubSpot, in the current memory context, for those records
 * that the query of the scope gives (NULL: those of the table's rows).  mirrors: also what
 * HubSpot holds beyond the table.
 */
HubspotDrift *
hubspot_drift_create(const HubspotSync *sync, const HubspotClient *client,
					 const char *scope, bool mirrors)
{
	HubspotDrift *drift = palloc0(sizeof(HubspotDrift));
	HubspotPlan *plan = &drift->plan;
	char	   *hint;

	if (hubspot_parse_object_type(sync->from_type, &plan->from_type, &hint) ||
		hubspot_parse_object_type(sync->to_type, &plan->to_type, &hint))
		elog(ERROR, "unexpected object types of a sync: from %s to %s", sync->from_type,
			 sync->to_type);
	hubspot_sync_check_columns(sync);
	drift->context = CurrentMemoryContext;
	drift->sync = sync;
	drift->claims = hubspot_claims_on(sync);
	hubspot_delta_init(&drift->delta, sync, sync->link_table);
	plan->client = client;
	plan->scope_query = scope;
	plan->selects = true;
	plan->mirrors = mirrors;
	plan->labels = hubspot_labels_create(client, plan->from_type.name, plan->to_type.name);
	return drift;
}

/* Read the table, the outbox, and what HubSpot holds; find the differences. */
void
hubspot_drift_read(HubspotDrift *drift)
{
	MemoryContext old = MemoryContextSwitchTo(drift->context);
	HubspotPending pending;
	Tuplestorestate *rows;

	rows = hubspot_link_rows(&drift->delta, hubspot_link_owner(drift->sync->link_table));
	/* what is committed in between waits, or was sent before HubSpot is read */
	hubspot_drift_pending(drift->sync, &pending);
	drift->pending = hubspot_pending_pairs(&pending, false);
	hubspot_drift_compare(drift, rows);
	tuplestore_end(rows);
	MemoryContextSwitchTo(old);
}

/*
 * Read what HubSpot holds, and find the differences from these rows of the table, which have
 * all of each record; drift->pending is what waited when they were read.
 */
void
hubspot_drift_compare(HubspotDrift *drift, Tuplestorestate *rows)
{
	MemoryContext old = MemoryContextSwitchTo(drift->context);
	HubspotPlan *plan = &drift->plan;
	HubspotDirection direction = {plan->from_type, plan->to_type, false};

	set_types(drift);
	plan->wanted_rows = hubspot_link_source(&drift->delta, &direction, rows);
	hubspot_plan_make(plan);
	collect_differences(drift);
	hubspot_drift_name(drift);
	MemoryContextSwitchTo(old);
}

/*
 * Which types may be removed?  Where they are in a column, those that it has for any pair;
 * whether it has them is looked up later, for what is about to be removed.
 */
static void
set_types(HubspotDrift *drift)
{
	const HubspotSync *sync = drift->sync;
	HubspotTypeList *managed;
	const HubspotAssociationType *found;
	const HubspotError *error;

	drift->plan.manages_all = (drift->delta.ncolumns > HUBSPOT_COLUMN_TYPE);
	if (drift->plan.manages_all || !(sync->type_id || sync->label))
		return;
	managed = palloc0(offsetof(HubspotTypeList, types) + sizeof(HubspotAssociationType));
	if (sync->type_id)
	{
		managed->types[managed->ntypes].category = sync->category ? sync->category :
			HUBSPOT_DEFINED_CATEGORY;
		managed->types[managed->ntypes++].type_id = sync->type_id;
	}
	else if (drift->plan.stopped == NULL &&
			 (found = hubspot_labels_find(drift->plan.labels, sync->label, sync->category,
										  &error)) != NULL)
		managed->types[managed->ntypes++] = *found;
	/* without a type of that label, the rows say so */
	drift->plan.managed = managed;
}

static void
collect_differences(HubspotDrift *drift)
{
	HubspotSlice packed;

	drift->differences = hubspot_differences_create();
	while (hubspot_packed_sort_next(drift->plan.changes, &packed))
	{
		CHECK_FOR_INTERRUPTS();
		hubspot_differences_put(drift->differences, packed);
	}
	hubspot_packed_sort_end(drift->plan.changes);
}

/*
 * Give the differences that are left to take(state, ...), in their order, and count them.
 * take: NULL, if they are only to be counted.
 */
void
hubspot_drift_rows(HubspotDrift *drift, HubspotTakeDriftRow take, void *state)
{
	HubspotDifferences *differences = drift->differences;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc row of a drift",
												  ALLOCSET_DEFAULT_SIZES);
	TupleTableSlot *dead = MakeSingleTupleTableSlot(hubspot_dead_tupdesc(), &TTSOpsMinimalTuple);
	bool		has_dead;
	HubspotSlice packed;
	int64		no;

	memset(&drift->counts, 0, sizeof(HubspotDriftCounts));
	if (drift->dead)
		tuplestore_rescan(drift->dead);
	has_dead = next_dead(dead, drift->dead);
	hubspot_differences_rewind(differences);
	while (hubspot_differences_next(differences, &no, &packed))
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		HubspotDriftRow row = {.no = no};
		uint8		marks = differences->marks[no];
		HubspotError error;

		MemoryContextReset(context);
		hubspot_unpack_change(packed, &row.unpacked);
		while (has_dead && DatumGetInt64(dead->tts_values[HUBSPOT_DEAD_NO]) < no)
			has_dead = next_dead(dead, drift->dead);
		if (has_dead && DatumGetInt64(dead->tts_values[HUBSPOT_DEAD_NO]) == no)
			set_dead(drift, &row, &error, dead);
		if (hubspot_is_open(&row.unpacked.change, marks))
		{
			count(&drift->counts, &row);
			if (take)
				take(state, drift, &row);
		}
		else if (marks & HUBSPOT_DIFFERENCE_WAITS)
			drift->counts.waiting++;
		else if (marks & HUBSPOT_DIFFERENCE_UNSURE)
			drift->counts.unsure++;
		MemoryContextSwitchTo(old);
	}
	ExecDropSingleTupleTableSlot(dead);
	MemoryContextDelete(context);
}

/* Get the next dead letter, if there were differences to have some. */
static bool
next_dead(TupleTableSlot *slot, Tuplestorestate *dead)
{
	return dead && hubspot_next_stored(dead, slot);
}

/*
 * Give a row the error of its pair's dead letter; its words, to those who have the privileges
 * of the role that it is sent for.
 */
static void
set_dead(const HubspotDrift *drift, HubspotDriftRow *row, HubspotError *error,
		 TupleTableSlot *slot)
{
	memset(error, 0, sizeof(HubspotError));
	error->verdict = HUBSPOT_VERDICT_INPUT;
	if (!slot->tts_isnull[HUBSPOT_DEAD_HTTP_STATUS])
		error->http_status = DatumGetInt32(slot->tts_values[HUBSPOT_DEAD_HTTP_STATUS]);
	error->category = text_of(slot, HUBSPOT_DEAD_CATEGORY);
	if (has_privs_of_role(GetUserId(), drift->sync->role))
	{
		error->message = text_of(slot, HUBSPOT_DEAD_MESSAGE);
		error->correlation_id = text_of(slot, HUBSPOT_DEAD_CORRELATION_ID);
	}
	row->dead = true;
	row->unpacked.change.error = error;
}

static char *
text_of(TupleTableSlot *slot, int column)
{
	return slot->tts_isnull[column] ? NULL : TextDatumGetCString(slot->tts_values[column]);
}

static void
count(HubspotDriftCounts *counts, const HubspotDriftRow *row)
{
	HubspotAction action = row->unpacked.change.action;

	if (row->dead)
		counts->dead++;
	else if (action == HUBSPOT_ACTION_UNRESOLVED)
		counts->unresolved++;
	else if (hubspot_is_removal(action))
		counts->extra++;
	else if (!hubspot_is_notice(action))
		counts->missing++;
}

/* Free its tuplestores, but for drift->pending, before its transaction ends. */
void
hubspot_drift_end(HubspotDrift *drift)
{
	ListCell   *lc;

	foreach(lc, drift->names)
		tuplestore_end(((HubspotRecordNames *) lfirst(lc))->rows);
	tuplestore_end(drift->differences->rows);
	tuplestore_end(drift->differences->changes);
	if (drift->dead)
		tuplestore_end(drift->dead);
}

/* Tell people what the comparison of some syncs has come to. */
void
hubspot_drift_tell(const List *drifts)
{
	HubspotDriftCounts sum = {0};
	int64		records = 0;
	int64		unreadable = 0;
	int64		kept = 0;
	bool		mirrors = true;
	StringInfoData text;
	ListCell   *lc;

	foreach(lc, drifts)
	{
		const HubspotDrift *drift = lfirst(lc);

		mirrors &= drift->plan.mirrors;
		records += drift->plan.counts.records;
		unreadable += drift->plan.counts.unreadable;
		kept += drift->plan.counts.held - drift->counts.extra;
		sum.missing += drift->counts.missing;
		sum.extra += drift->counts.extra;
		sum.waiting += drift->counts.waiting;
		sum.dead += drift->counts.dead;
		sum.unsure += drift->counts.unsure + drift->plan.counts.spared;
		sum.unresolved += drift->counts.unresolved;
	}
	initStringInfo(&text);
	appendStringInfo(&text, "%lld %s read: %lld %s kept, %lld missing",
					 (long long) records, records == 1 ? "record" : "records",
					 (long long) kept, kept == 1 ? "association" : "associations",
					 (long long) sum.missing);
	/* where nothing is to be removed, what is kept may be in the table or not */
	if (mirrors)
		appendStringInfo(&text, ", %lld not in the table", (long long) sum.extra);
	append_count(&text, sum.waiting, "difference waits in the outbox",
				 "differences wait in the outbox");
	append_count(&text, sum.dead, "difference has a dead letter", "differences have dead letters");
	append_count(&text, unreadable, "record could not be read", "records could not be read");
	append_count(&text, sum.unresolved, "row could not be resolved", "rows could not be resolved");
	append_count(&text, sum.unsure, "association stays, since it is not known whether it is wanted",
				 "associations stay, since it is not known whether they are wanted");
	ereport(NOTICE, (errmsg("%s", text.data)));
}

/* Append a number of things, if there are some. */
static void
append_count(StringInfo text, int64 count, const char *one, const char *many)
{
	if (count > 0)
		appendStringInfo(text, "; %lld %s", (long long) count, count == 1 ? one : many);
}
