/*-------------------------------------------------------------------------
 *
 * list_table.c
 *	  Foreign tables of what an account defines: object types, and labels.
 *
 * These are read as a whole, into a tuplestore: the object types by one request, and the
 * labels of a direction by one each.  So for labels a condition has to name object types,
 * on both sides; a table has no more of a plan than that.
 *
 * IDENTIFICATION
 *	  src/table/list_table.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/explain.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "account/client.h"
#include "api/association_type.h"
#include "api/definition.h"
#include "api/object_type.h"
#include "api/response.h"
#include "base/compat.h"
#include "base/shown.h"
#include "call/perform.h"
#include "rows/report.h"
#include "table/list_table.h"
#include "table/object_list.h"
#include "table/table_condition.h"

/* How many rows there are, for the planner. */
#define ROWS			20.0

/* What a plan says of such a scan: how many of its expressions are of the from side. */
enum
{
	PLAN_NFROM,
	PLAN_POSSIBLE,
	NPLAN
};

typedef struct ListScan
{
	MemoryContext context;
	MemoryContext reading_context;	/* of what is read, until it is kept */
	const HubspotTable *table;
	Oid			user;
	HubspotClient *client;
	List	   *values[2];		/* ExprStates, by sides */
	List	   *value_types[2];
	bool		possible;		/* they are there */
	Tuplestorestate *rows;		/* NULL: not read so far */
	TupleTableSlot *row;
	int			nrequests;
} ListScan;

static bool find_conditions(PlannerInfo *root, RelOptInfo *rel,
							HubspotTableCondition *conditions);
static void read_list(ListScan *scan, ExprContext *econtext);
static void read_object_types(ListScan *scan);
static void put_object_type(ListScan *scan, const char *id, const char *name, const char *label);
static List *evaluate(const ListScan *scan, HubspotTableSide side, ExprContext *econtext);
static void read_labels(ListScan *scan, char *from_type, char *to_type);
static void put_label(ListScan *scan, const char *from_type, const char *to_type,
					  const HubspotAssociationType *type);
static const char *object_type_name(const ListScan *scan, const char *text);
static void set(const ListScan *scan, HubspotTableRole role, Datum value);
static void set_text(const ListScan *scan, HubspotTableRole role, const char *text);
static void throw_no_types(const ListScan *scan) pg_attribute_noreturn();

/* Set how many rows there are. */
void
hubspot_list_size(PlannerInfo *root, RelOptInfo *rel)
{
	rel->tuples = ROWS;
	set_baserel_size_estimates(root, rel);
}

/* Add the one path, which raises if it is of labels and no object types are named. */
void
hubspot_list_paths(PlannerInfo *root, RelOptInfo *rel)
{
	HubspotTableCondition conditions[2];
	bool		possible = find_conditions(root, rel, conditions);
	Cost		cost = possible ? HUBSPOT_REQUEST_COST : HUBSPOT_IMPOSSIBLE_COST;

	add_path(rel, (Path *)
			 hubspot_foreign_path(root, rel, rel->rows, cost, cost + rel->tuples,
								  rel->lateral_relids,
								  possible ? list_make1(makeInteger(1)) : NIL));
}

/* The conditions on the object types of each side.  False: there are none, and none is needed. */
static bool
find_conditions(PlannerInfo *root, RelOptInfo *rel, HubspotTableCondition *conditions)
{
	const HubspotTable *table = rel->fdw_private;
	ListCell   *lc;

	memset(conditions, 0, sizeof(HubspotTableCondition) * 2);
	if (table->kind == HUBSPOT_KIND_OBJECT_TYPES)
		return true;
	foreach(lc, rel->baserestrictinfo)
	{
		RestrictInfo *clause = lfirst_node(RestrictInfo, lc);
		HubspotTableCondition condition;

		if (restriction_is_securely_promotable(clause, rel) &&
			hubspot_condition_match(root, table, rel, clause->clause, &condition))
			conditions[condition.side] = condition;
	}
	return conditions[HUBSPOT_SIDE_FROM].values && conditions[HUBSPOT_SIDE_TO].values;
}

ForeignScan *
hubspot_list_plan(PlannerInfo *root, RelOptInfo *rel, List *tlist, List *clauses)
{
	HubspotTableCondition conditions[2];
	bool		possible = find_conditions(root, rel, conditions);
	List	   *from = conditions[HUBSPOT_SIDE_FROM].values;

	return make_foreignscan(tlist, extract_actual_clauses(clauses, false), rel->relid,
							possible ? list_concat_copy(from, conditions[HUBSPOT_SIDE_TO].values) : NIL,
							list_make2_int(list_length(from), possible), NIL, NIL, NULL);
}

/* Is it a scan of such a table? */
bool
hubspot_is_list_scan(const ForeignScanState *node)
{
	return list_length(((ForeignScan *) node->ss.ps.plan)->fdw_private) == NPLAN;
}

/* Begin a scan. */
void
hubspot_list_scan_begin(ForeignScanState *node)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	int			nfrom = list_nth_int(plan->fdw_private, PLAN_NFROM);
	MemoryContext context = AllocSetContextCreate(node->ss.ps.state->es_query_cxt,
												  "hubspot_assoc list scan",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ListScan   *scan = palloc0(sizeof(ListScan));
	ListCell   *lc;

	scan->context = context;
	scan->reading_context = AllocSetContextCreate(context, "hubspot_assoc list read",
												  ALLOCSET_DEFAULT_SIZES);
	scan->table = hubspot_table_read(RelationGetRelid(node->ss.ss_currentRelation));
	scan->user = hubspot_scan_user(node);
	scan->possible = list_nth_int(plan->fdw_private, PLAN_POSSIBLE);
	foreach(lc, plan->fdw_exprs)
	{
		int			side = foreach_current_index(lc) < nfrom ? HUBSPOT_SIDE_FROM : HUBSPOT_SIDE_TO;

		scan->values[side] = lappend(scan->values[side],
									 ExecInitExpr(lfirst(lc), (PlanState *) node));
		scan->value_types[side] = lappend_oid(scan->value_types[side], exprType(lfirst(lc)));
	}
	scan->row = MakeSingleTupleTableSlot(RelationGetDescr(node->ss.ss_currentRelation),
										 &TTSOpsMinimalTuple);
	node->fdw_state = scan;
	MemoryContextSwitchTo(old);
}

/* The next row of a scan, in its slot, which is empty if there is none. */
TupleTableSlot *
hubspot_list_scan_next(ForeignScanState *node)
{
	ListScan   *scan = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;

	ExecClearTuple(slot);
	if (!scan->possible)
		throw_no_types(scan);
	if (scan->rows == NULL)
		read_list(scan, node->ss.ps.ps_ExprContext);
	if (tuplestore_gettupleslot(scan->rows, true, false, scan->row))
		ExecCopySlot(slot, scan->row);
	return slot;
}

/* Read all that there is. */
static void
read_list(ListScan *scan, ExprContext *econtext)
{
	MemoryContext old = MemoryContextSwitchTo(scan->context);

	if (scan->client == NULL)
		scan->client = hubspot_connect_table(scan->table->server, scan->table->owner, scan->user);
	scan->rows = tuplestore_begin_heap(true, false, work_mem);
	MemoryContextSwitchTo(scan->reading_context);
	if (scan->table->kind == HUBSPOT_KIND_OBJECT_TYPES)
		read_object_types(scan);
	else
	{
		List	   *from_types = evaluate(scan, HUBSPOT_SIDE_FROM, econtext);
		List	   *to_types = evaluate(scan, HUBSPOT_SIDE_TO, econtext);
		ListCell   *from;
		ListCell   *to;

		foreach(from, from_types)
		{
			foreach(to, to_types)
				read_labels(scan, lfirst(from), lfirst(to));
		}
	}
	ExecClearTuple(scan->row);
	MemoryContextSwitchTo(old);
	MemoryContextReset(scan->reading_context);
}

/* HubSpot's own object types, and the account's. */
static void
read_object_types(ListScan *scan)
{
	const HubspotStandardType *standard;
	List	   *objects = hubspot_custom_objects(scan->client);
	ListCell   *lc;

	scan->nrequests++;
	for (int i = 0; (standard = hubspot_standard_type(i)) != NULL; i++)
		put_object_type(scan, standard->id, standard->plural, NULL);
	foreach(lc, objects)
	{
		const HubspotCustomObject *object = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		put_object_type(scan, object->id, object->name, object->label);
	}
}

static void
put_object_type(ListScan *scan, const char *id, const char *name, const char *label)
{
	ExecClearTuple(scan->row);
	memset(scan->row->tts_isnull, true, sizeof(bool) * scan->row->tts_tupleDescriptor->natts);
	set_text(scan, HUBSPOT_ROLE_OBJECT_TYPE_ID, id);
	set_text(scan, HUBSPOT_ROLE_NAME, name);
	set_text(scan, HUBSPOT_ROLE_LABEL, label);
	ExecStoreVirtualTuple(scan->row);
	tuplestore_puttupleslot(scan->rows, scan->row);
}

/* The object types that the conditions on a side name, each once. */
static List *
evaluate(const ListScan *scan, HubspotTableSide side, ExprContext *econtext)
{
	List	   *texts = NIL;
	ListCell   *lc;
	ListCell   *type;

	forboth(lc, scan->values[side], type, scan->value_types[side])
	{
		bool		isnull;
		Datum		value = ExecEvalExprSwitchContext(lfirst(lc), econtext, &isnull);
		ArrayIterator iterator;

		if (isnull)
			continue;
		if (!OidIsValid(get_base_element_type(lfirst_oid(type))))
		{
			texts = lappend(texts, makeString(TextDatumGetCString(value)));
			continue;
		}
		iterator = array_create_iterator(DatumGetArrayTypeP(value), 0, NULL);
		while (array_iterate(iterator, &value, &isnull))
		{
			if (!isnull)
				texts = lappend(texts, makeString(TextDatumGetCString(value)));
		}
	}
	texts = list_concat_unique(NIL, texts);
	foreach(lc, texts)
		lfirst(lc) = strVal(lfirst(lc));
	return texts;
}

/* Read the labels of a direction. */
static void
read_labels(ListScan *scan, char *from_type, char *to_type)
{
	const char *types[2] = {object_type_name(scan, from_type), object_type_name(scan, to_type)};
	HubspotCall call = {0};
	const HubspotError *error;
	List	   *definitions = NIL;
	ListCell   *lc;

	scan->nrequests++;
	error = hubspot_call_operation(scan->client, HUBSPOT_LABELS, types, NULL, false, &call);
	if (error == NULL && !hubspot_read_definitions(call.reply, &definitions))
		error = hubspot_unreadable_reply(call.reply, "the answer is not a list of association types");
	if (error)
		hubspot_throw_error(error, psprintf("could not read the labels from %s to %s",
											hubspot_shown(from_type), hubspot_shown(to_type)),
							HUBSPOT_NOTHING_DONE);
	foreach(lc, definitions)
	{
		CHECK_FOR_INTERRUPTS();
		put_label(scan, from_type, to_type, &((HubspotDefinition *) lfirst(lc))->type);
	}
	hubspot_call_free(&call);
}

/* An object type as it stands in a path.  ERROR if it is none. */
static const char *
object_type_name(const ListScan *scan, const char *text)
{
	HubspotObjectType type;
	char	   *hint = NULL;

	if (hubspot_parse_object_type(text, &type, &hint) == NULL && type.property == NULL)
		return type.name;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("a condition on foreign table %s names \"%s\", which is not an object type",
					scan->table->name, hubspot_shown(text)),
			 errhint("It is a name in the plural, such as \"contacts\", or an id, such as \"2-12345\".")));
}

static void
put_label(ListScan *scan, const char *from_type, const char *to_type,
		  const HubspotAssociationType *type)
{
	ExecClearTuple(scan->row);
	memset(scan->row->tts_isnull, true, sizeof(bool) * scan->row->tts_tupleDescriptor->natts);
	set_text(scan, HUBSPOT_ROLE_FROM_TYPE, from_type);
	set_text(scan, HUBSPOT_ROLE_TO_TYPE, to_type);
	set_text(scan, HUBSPOT_ROLE_CATEGORY, type->category);
	set(scan, HUBSPOT_ROLE_TYPE_ID, Int32GetDatum(type->type_id));
	set_text(scan, HUBSPOT_ROLE_LABEL, type->label);
	set(scan, HUBSPOT_ROLE_IS_PRIMARY, BoolGetDatum(hubspot_is_primary(type)));
	ExecStoreVirtualTuple(scan->row);
	tuplestore_puttupleslot(scan->rows, scan->row);
}

static void
set_text(const ListScan *scan, HubspotTableRole role, const char *text)
{
	if (text)
		set(scan, role, CStringGetTextDatum(text));
}

static void
set(const ListScan *scan, HubspotTableRole role, Datum value)
{
	AttrNumber	column = scan->table->columns[role];

	if (column == 0)
		return;
	scan->row->tts_values[column - 1] = value;
	scan->row->tts_isnull[column - 1] = false;
}

/* Begin a further scan, with other values, maybe: only then it is read anew. */
void
hubspot_list_scan_again(ForeignScanState *node)
{
	ListScan   *scan = node->fdw_state;

	if (scan->rows == NULL)
		return;
	if (node->ss.ps.chgParam == NULL)
	{
		tuplestore_rescan(scan->rows);
		return;
	}
	tuplestore_end(scan->rows);
	scan->rows = NULL;
}

/* End a scan. */
void
hubspot_list_scan_end(ForeignScanState *node)
{
	ListScan   *scan = node->fdw_state;

	if (scan->rows)
		tuplestore_end(scan->rows);
	ExecDropSingleTupleTableSlot(scan->row);
	MemoryContextDelete(scan->context);
	node->fdw_state = NULL;
}

/* ERROR: no condition says between which object types. */
static void
throw_no_types(const ListScan *scan)
{
	const char *from = quote_identifier(hubspot_table_column(scan->table, HUBSPOT_ROLE_FROM_TYPE));
	const char *to = quote_identifier(hubspot_table_column(scan->table, HUBSPOT_ROLE_TO_TYPE));

	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("foreign table %s cannot be read without conditions on %s and %s",
					scan->table->name, from, to),
			 errdetail("HubSpot gives the labels between two object types that are named."),
			 errhint("Add %s = 'contacts' AND %s = 'companies', for example.", from, to)));
}

/* Explain a scan. */
void
hubspot_list_scan_explain(ForeignScanState *node, struct ExplainState *es)
{
	const ListScan *scan = node->fdw_state;

	if (!scan->possible)
		ExplainPropertyText("HubSpot Object Types", "none named: an error", es);
	if (es->analyze)
		ExplainPropertyInteger("HubSpot Requests", NULL, scan->nrequests, es);
}
