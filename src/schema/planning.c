/*-------------------------------------------------------------------------
 *
 * planning.c
 *	  Plans of our own statements, whatever the statistics say.
 *
 * An outbox is empty at one moment and has a million rows at the next, and VACUUM measures it
 * when it has been emptied: the planner would then have all of it read for each of some
 * thousand rows, and its settings do not prevent that where the scan is one of an index.  So
 * our tables are taken for long ones.  Such a plan costs little where there are few rows.
 *
 * Nor does it count which values ANALYZE has found: where these were many rows of one pair,
 * the index of pairs seems to be of no use.
 *
 * The planner asks hooks what a table is like; they answer for our tables, and only while a
 * statement of ours is planned.
 *
 * IDENTIFICATION
 *	  src/schema/planning.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/index.h"
#include "jit/jit.h"
#include "optimizer/plancat.h"
#include "tcop/tcopprot.h"
#include "utils/selfuncs.h"

#include "schema/planning.h"

/*
 * How long the planner takes each table of ours to be, at least, and how many entries a page
 * of an index has.
 */
#define LONG_TABLE_ROWS		1e7
#define LONG_TABLE_PAGES	200000
#define ENTRIES_OF_PAGE		200

/* A statement that is being planned. */
typedef struct Planned
{
	const List *relations;		/* OIDs */
	Oid			subject;		/* the one of them that is not ours, or
								 * InvalidOid */
} Planned;

static const Planned *planned = NULL;
static get_relation_info_hook_type next_relation_info_hook = NULL;
static get_relation_stats_hook_type next_relation_stats_hook = NULL;
static get_index_stats_hook_type next_index_stats_hook = NULL;

static void set_hooks(void);
static void make_long(PlannerInfo *root, Oid relid, bool inherited,
					  RelOptInfo *relation);
static bool is_long(Oid relid);
static bool hide_relation_stats(PlannerInfo *root, RangeTblEntry *rte,
								AttrNumber column, VariableStatData *found);
static bool hide_index_stats(PlannerInfo *root, Oid index, AttrNumber column,
							 VariableStatData *found);

/*
 * Plan a query on these relations, of which all but the subject are the extension's.  The
 * text is the statement's, for messages.
 */
PlannedStmt *
hubspot_plan(Query * query, const char *text, const List *relations, Oid subject)
{
	const Planned *outer = planned;
	Planned		now = {relations, subject};
	PlannedStmt *plan = NULL;

	set_hooks();
	planned = &now;
	PG_TRY();
	{
		plan = pg_plan_query(query, text, 0, NULL);
	}
	PG_FINALLY();
	{
		planned = outer;
	}
	PG_END_TRY();
	Assert(plan != NULL);

	/*
	 * what looks expensive by these numbers is not worth half a second of
	 * compiling
	 */
	plan->jitFlags = PGJIT_NONE;
	return plan;
}

static void
set_hooks(void)
{
	static bool done = false;

	if (done)
		return;
	next_relation_info_hook = get_relation_info_hook;
	get_relation_info_hook = make_long;
	next_relation_stats_hook = get_relation_stats_hook;
	get_relation_stats_hook = hide_relation_stats;
	next_index_stats_hook = get_index_stats_hook;
	get_index_stats_hook = hide_index_stats;
	done = true;
}

/* A hook of the planner, which may say what a table is like: let ours be long. */
static void
make_long(PlannerInfo *root, Oid relid, bool inherited, RelOptInfo *relation)
{
	ListCell   *lc;

	if (next_relation_info_hook)
		next_relation_info_hook(root, relid, inherited, relation);
	if (!is_long(relid))
		return;
	relation->tuples = Max(relation->tuples, LONG_TABLE_ROWS);
	relation->pages = Max(relation->pages, LONG_TABLE_PAGES);
	foreach(lc, relation->indexlist)
	{
		IndexOptInfo *index = lfirst_node(IndexOptInfo, lc);

		index->tuples = Max(index->tuples, relation->tuples);
		index->pages = Max(index->pages, (BlockNumber) (relation->tuples / ENTRIES_OF_PAGE));

		/* which would read one index for each row found by another one */
		index->amhasgetbitmap = false;
	}
}

/* Is it a table of ours, in a statement of ours that is being planned? */
static bool
is_long(Oid relid)
{
	return planned && relid != planned->subject &&
		list_member_oid(planned->relations, relid);
}

/*
 * Hooks of the planner, which may say what a column holds: of ours, let nothing be known, but
 * that what an index has an expression for, a pair, tells rows apart better than all else.
 */
static bool
hide_relation_stats(PlannerInfo *root, RangeTblEntry *rte, AttrNumber column,
					VariableStatData *found)
{
	if (rte->rtekind == RTE_RELATION && is_long(rte->relid))
		return true;
	return next_relation_stats_hook && next_relation_stats_hook(root, rte, column, found);
}

static bool
hide_index_stats(PlannerInfo *root, Oid index, AttrNumber column, VariableStatData *found)
{
	if (planned && is_long(IndexGetRelation(index, true)))
	{
		found->isunique = true;
		return true;
	}
	return next_index_stats_hook && next_index_stats_hook(root, index, column, found);
}
