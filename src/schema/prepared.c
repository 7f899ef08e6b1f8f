/*-------------------------------------------------------------------------
 *
 * prepared.c
 *	  Statements of our own, bound to the objects that they mean.
 *
 * This is how SQL is run with other privileges than the caller's, and there is
 * no other way (test/headerscheck).
 *
 * A text can only name its objects, and the owner of a schema may give its name
 * to another schema at any moment.  A look-up of the name with more rights
 * than that owner has would then run what the owner has put there: a trigger,
 * a rule, a view, a function.  Therefore names are looked up here, by the
 * parser, and before anything else is done with the result, each relation and
 * function in it must be one of pg_catalog or a member of the extension, or
 * one of those that the caller has named by their OIDs.  If one isn't, the
 * name has moved, and it is looked up once more.  From then on the statement
 * goes by OIDs: it is rewritten, planned and run without a name.  The plan is
 * kept until one of its relations changes; then all of this is done again.
 *
 * The parser locks a table after it has found its name, and an ERROR is all that it has to say
 * where this has moved while it waited.  So the tables are locked by their OIDs beforehand.
 *
 * SPI cannot do that: it looks names up again by itself, within the call that
 * runs the statement.
 *
 * Names are looked up as the owner of the extension's tables, since that takes USAGE on the
 * schemas; it runs nobody's code.  All else is done as nobody.  On the tables that it is
 * about, the statement has the privileges of another role, as a view has: on the extension's
 * tables, those of their owner.  So whatever is called on the way has no rights and leaves no
 * setting behind, be it a trigger, or an expression that a partition's owner has put into an
 * index and that the planner evaluates.
 *
 * IDENTIFICATION
 *	  src/schema/prepared.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "base/catalog_access.h"
#include "base/compat.h"
#include "schema/extension.h"
#include "schema/planning.h"
#include "schema/prepared.h"
#include "schema/rights.h"

/*
 * How often names are looked up before we give up.  Somebody who changes them
 * all the time will rarely hit the moment between two looks each time.
 */
#define MAX_LOOKS	1000

struct HubspotPrepared
{
	dlist_node	node;			/* in all_prepared */
	MemoryContextCallback unlink;
	MemoryContext parent;		/* where it is */
	HubspotSubject subject;
	bool		valid;			/* none of its relations has changed since */
	MemoryContext context;		/* of all below, or NULL */
	List	   *relations;
	const char *text;
	PlannedStmt *plan;			/* or NULL: not made yet */
};

/* What the names of a query are held against. */
typedef struct Expected
{
	const HubspotSubject *subject;
	Oid			extension;
	Oid			owner;			/* of the extension's tables */
	List	   *relations;		/* that the caller has named */
} Expected;

/* Takes rows into memory. */
typedef struct Collector
{
	DestReceiver receiver;		/* must be first */
	HubspotRows *rows;
	uint64		size;			/* of the array */
} Collector;

static dlist_head all_prepared = DLIST_STATIC_INIT(all_prepared);

static void unlink_prepared(void *arg);
static void forget_relation(Datum argument, Oid relid);
static bool lock_relations(const HubspotPrepared *prepared);
static void make_plan(HubspotPrepared *prepared, QueryEnvironment *environment);
static void discard_plan(HubspotPrepared *prepared);
static Query * bind_names(const HubspotSubject *subject,
						  QueryEnvironment *environment, Expected *expected,
						  char **text);
static Query * look_up(const HubspotSubject *subject,
					   QueryEnvironment *environment, char **text);
static RawStmt * parse(const HubspotSubject *subject, char **text);
static bool lock_own(Node *node, void *schema);
static const Oid *parameter_types(const HubspotSubject *subject);
static bool is_foreign(Node *node, void *context);
static bool is_foreign_relation(Oid relid, Expected *expected);
static bool is_foreign_function(Oid function, void *context);
static Oid	privileges_on(Oid relid, void *context);
static ParamListInfo parameters(const HubspotSubject *subject,
								const HubspotValues *values);
static HubspotPrepared *prepare_statement(HubspotStatement *statement);
static char *write_statement(const void *state);
static void collector_startup(DestReceiver *self, int operation,
							  TupleDesc typeinfo);
static bool collect_row(TupleTableSlot *slot, DestReceiver *self);
static void collector_nothing(DestReceiver *self);

/*
 * Prepare a statement for hubspot_run(), in the current memory context.  Nothing is looked up
 * before it is run.
 */
HubspotPrepared *
hubspot_prepare(const HubspotSubject *subject)
{
	static bool registered = false;
	HubspotPrepared *prepared = palloc0(sizeof(HubspotPrepared));

	if (!registered)
	{
		CacheRegisterRelcacheCallback(forget_relation, (Datum) 0);
		registered = true;
	}
	prepared->parent = CurrentMemoryContext;
	prepared->subject = *subject;
	prepared->unlink.func = unlink_prepared;
	prepared->unlink.arg = prepared;
	dlist_push_tail(&all_prepared, &prepared->node);
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &prepared->unlink);
	return prepared;
}

static void
unlink_prepared(void *arg)
{
	dlist_delete(&((HubspotPrepared *) arg)->node);
}

/* A relation has changed, or any may have (InvalidOid). */
static void
forget_relation(Datum argument, Oid relid)
{
	dlist_iter	iter;

	dlist_foreach(iter, &all_prepared)
	{
		HubspotPrepared *prepared = dlist_container(HubspotPrepared, node, iter.cur);

		if (prepared->valid &&
			(!OidIsValid(relid) || list_member_oid(prepared->relations, relid)))
			prepared->valid = false;
	}
}

/*
 * Run a statement; its rows go to the receiver.  Returns how many rows it has
 * returned or changed.  values: NULL, if it has no parameters.  The
 * environment holds the tuplestores that it names, and may be NULL.  latest:
 * use the latest snapshot, even in a transaction that goes by an older one.
 */
uint64
hubspot_run(HubspotPrepared *prepared, const HubspotValues *values,
			QueryEnvironment *environment, bool latest, DestReceiver *receiver)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc statement",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	HubspotFormerUser former = hubspot_act_as_nobody();
	int			nest_level = NewGUCNestLevel();
	QueryDesc  *query;
	uint64		count;

	while (prepared->plan == NULL || !prepared->valid || !lock_relations(prepared))
		make_plan(prepared, environment);

	CommandCounterIncrement();
	PushActiveSnapshot(latest ? GetLatestSnapshot() : GetTransactionSnapshot());
	query = CreateQueryDesc(prepared->plan, prepared->text, GetActiveSnapshot(),
							InvalidSnapshot, receiver,
							parameters(&prepared->subject, values),
							environment, 0);
	ExecutorStart(query, 0);
	hubspot_executor_run(query);
	count = query->estate->es_processed;
	ExecutorFinish(query);
	ExecutorEnd(query);
	FreeQueryDesc(query);
	PopActiveSnapshot();
	CommandCounterIncrement();

	AtEOXact_GUC(false, nest_level);
	hubspot_act_as_before(former);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return count;
}

/*
 * Lock the relations of the plan as its execution has to find them.  False: one
 * of them has changed before.
 */
static bool
lock_relations(const HubspotPrepared *prepared)
{
	ListCell   *lc;

	foreach(lc, prepared->plan->rtable)
	{
		const RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_RELATION)
			LockRelationOid(rte->relid, rte->rellockmode);
	}
	return prepared->valid;
}

/*
 * Look the names up and plan; in a memory context that is thrown away.  The planner may
 * call functions, which need a snapshot: a procedure has none after a commit.
 */
static void
make_plan(HubspotPrepared *prepared, QueryEnvironment *environment)
{
	HubspotCatalogAccess access = hubspot_begin_catalog_access();
	Expected	expected;
	char	   *text;
	Query	   *query;
	List	   *queries;
	PlannedStmt *plan;
	MemoryContext old;

	discard_plan(prepared);
	prepared->context = AllocSetContextCreate(prepared->parent,
											  "hubspot_assoc plan",
											  ALLOCSET_SMALL_SIZES);
	query = bind_names(&prepared->subject, environment, &expected, &text);

	/* its relations are locked now; from here on we hear of what changes */
	old = MemoryContextSwitchTo(prepared->context);
	prepared->relations = list_copy(expected.relations);
	prepared->text = pstrdup(text);
	prepared->valid = true;
	MemoryContextSwitchTo(old);

	queries = pg_rewrite_query(query);
	if (list_length(queries) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("rules on tables of hubspot_assoc are not supported"),
				 errhint("Drop them, and use triggers.")));
	plan = hubspot_plan(linitial_node(Query, queries), prepared->text,
						expected.relations, expected.subject->relation);

	old = MemoryContextSwitchTo(prepared->context);
	prepared->plan = copyObject(plan);
	MemoryContextSwitchTo(old);
	hubspot_end_catalog_access(access);
}

/*
 * Take the plan away.  It may be running, if something that it calls has
 * called this.
 */
static void
discard_plan(HubspotPrepared *prepared)
{
	prepared->valid = false;
	prepared->plan = NULL;
	if (prepared->context)
		MemoryContextSetParent(prepared->context, TopTransactionContext);
	prepared->context = NULL;
}

/* The statement as a query whose names stand for the objects that they should. */
static Query *
bind_names(const HubspotSubject *subject, QueryEnvironment *environment,
		   Expected *expected, char **text)
{
	for (int looks = 0; looks < MAX_LOOKS; looks++)
	{
		Query	   *query;

		CHECK_FOR_INTERRUPTS();
		query = look_up(subject, environment, text);
		if (query == NULL)
			continue;
		expected->subject = subject;
		expected->extension = hubspot_outbox_schema(false)->extension;
		expected->owner = hubspot_outbox_schema(false)->owner;
		expected->relations = NIL;
		if (!is_foreign((Node *) query, expected))
			return query;
		/* hear of the names' new meaning */
		AcceptInvalidationMessages();
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("could not look up the tables of hubspot_assoc, or a table in sync"),
			 errdetail("Each time, a name stood for a different object."),
			 errhint("Schemas or tables are being renamed all the time.")));
}

/*
 * The statement as the parser understands it at the moment.  NULL: a name has moved while we
 * waited for a lock.
 */
static Query *
look_up(const HubspotSubject *subject, QueryEnvironment *environment, char **text)
{
	HubspotFormerUser former = hubspot_act_as(hubspot_outbox_schema(false)->owner);
	int			nest_level = NewGUCNestLevel();
	RawStmt    *statement;
	Query	   *query = NULL;

	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	statement = parse(subject, text);
	if (statement)
		query = parse_analyze_fixedparams(statement, *text, parameter_types(subject),
										  subject->nparameters, environment);
	AtEOXact_GUC(false, nest_level);
	hubspot_act_as_before(former);
	return query;
}

/* The statement, whose tables are locked; NULL: one of its names has moved before they were. */
static RawStmt *
parse(const HubspotSubject *subject, char **text)
{
	RawStmt    *statement;

	if (OidIsValid(subject->relation))
		LockRelationOid(subject->relation, AccessShareLock);
	*text = subject->write(subject->state);
	statement = linitial_node(RawStmt, raw_parser(*text, RAW_PARSE_DEFAULT));
	(void) lock_own(statement->stmt, unconstify(HubspotSchema *, hubspot_outbox_schema(false)));
	return strcmp(*text, subject->write(subject->state)) == 0 ? statement : NULL;
}

/*
 * Lock the tables of ours that a statement names, and nobody else's of such a name: ours are not
 * moved then while the parser waits for the locks that it needs.
 */
static bool
lock_own(Node *node, void *schema)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeVar) && ((RangeVar *) node)->schemaname)
	{
		Oid			relid = hubspot_own_relation(schema, ((RangeVar *) node)->relname);

		if (OidIsValid(relid) && getExtensionOfObject(RelationRelationId, relid) ==
			((const HubspotSchema *) schema)->extension)
			LockRelationOid(relid, AccessShareLock);
	}
	return raw_expression_tree_walker(node, lock_own, schema);
}

static const Oid *
parameter_types(const HubspotSubject *subject)
{
	Oid		   *types = palloc(sizeof(Oid) * (subject->nparameters + 1));

	for (int i = 0; i < subject->nparameters; i++)
	{
		types[i] = subject->types[i];
		if (types[i] == HUBSPOT_INPUT_ARRAY)
			types[i] = get_array_type(hubspot_input_type());
	}
	return types;
}

/*
 * Does a query or expression contain anything unexpected?  If not, it is given
 * the privileges that it is to have.
 */
static bool
is_foreign(Node *node, void *context)
{
	Expected   *expected = context;

	if (node == NULL)
		return false;
	/* a domain's constraints are functions; we have none */
	if (IsA(node, CoerceToDomain))
		return true;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		return rte->rtekind == RTE_RELATION &&
			is_foreign_relation(rte->relid, expected);
	}
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;

		if (query_tree_walker(query, is_foreign, context, QTW_EXAMINE_RTES_BEFORE))
			return true;
		hubspot_set_privileges(query, privileges_on, expected);
		return false;
	}
	return check_functions_in_node(node, is_foreign_function, context) ||
		expression_tree_walker(node, is_foreign, context);
}

static bool
is_foreign_relation(Oid relid, Expected *expected)
{
	if (relid != expected->subject->relation &&
		getExtensionOfObject(RelationRelationId, relid) != expected->extension)
		return true;
	expected->relations = list_append_unique_oid(expected->relations, relid);
	return false;
}

static bool
is_foreign_function(Oid function, void *context)
{
	const HubspotSubject *subject = ((Expected *) context)->subject;

	if (get_func_namespace(function) == PG_CATALOG_NAMESPACE)
		return false;
	for (int i = 0; i < subject->nfunctions; i++)
	{
		if (subject->functions[i] == function)
			return false;
	}
	return getExtensionOfObject(ProcedureRelationId, function) !=
		((Expected *) context)->extension;
}

/*
 * Whose privileges on a relation count: the reader's, but on our tables their
 * owner's.
 */
static Oid
privileges_on(Oid relid, void *context)
{
	Expected   *expected = context;

	return relid == expected->subject->relation ? expected->subject->reader :
		expected->owner;
}

static ParamListInfo
parameters(const HubspotSubject *subject, const HubspotValues *values)
{
	ParamListInfo list;
	const Oid  *types;

	if (subject->nparameters == 0)
		return NULL;
	list = makeParamList(subject->nparameters);
	types = parameter_types(subject);
	for (int i = 0; i < subject->nparameters; i++)
	{
		list->params[i].value = values->values[i];
		list->params[i].isnull = !values->given[i];
		list->params[i].pflags = PARAM_FLAG_CONST;
		list->params[i].ptype = types[i];
	}
	return list;
}

/* Run a statement that returns no rows; how many rows it has changed. */
uint64
hubspot_execute(HubspotStatement *statement, const HubspotValues *values)
{
	return hubspot_run(prepare_statement(statement), values, NULL, false,
					   None_Receiver);
}

/* Run a statement that returns rows; how many there are. */
uint64
hubspot_query(HubspotStatement *statement, const HubspotValues *values,
			  HubspotRows *rows)
{
	Collector	collector;

	memset(&collector, 0, sizeof(Collector));
	memset(rows, 0, sizeof(HubspotRows));
	rows->context = AllocSetContextCreate(CurrentMemoryContext,
										  "hubspot_assoc rows",
										  ALLOCSET_DEFAULT_SIZES);
	collector.receiver.receiveSlot = collect_row;
	collector.receiver.rStartup = collector_startup;
	collector.receiver.rShutdown = collector_nothing;
	collector.receiver.rDestroy = collector_nothing;
	collector.receiver.mydest = DestNone;
	collector.rows = rows;
	return hubspot_run(prepare_statement(statement), values, NULL, false,
					   &collector.receiver);
}

/* Run a statement whose rows go to a receiver, one by one; how many there are. */
uint64
hubspot_query_into(HubspotStatement *statement, const HubspotValues *values,
				   DestReceiver *receiver)
{
	return hubspot_run(prepare_statement(statement), values, NULL, false, receiver);
}

static HubspotPrepared *
prepare_statement(HubspotStatement *statement)
{
	HubspotSubject subject = {
		.write = write_statement,
		.state = statement,
		.types = statement->types
	};

	if (statement->prepared == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		while (subject.nparameters < HUBSPOT_MAX_PARAMETERS &&
			   OidIsValid(statement->types[subject.nparameters]))
			subject.nparameters++;
		statement->prepared = hubspot_prepare(&subject);
		MemoryContextSwitchTo(old);
	}
	return statement->prepared;
}

static char *
write_statement(const void *state)
{
	return psprintf(((const HubspotStatement *) state)->text,
					hubspot_outbox_schema(false)->name);
}

static void
collector_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
	Collector  *collector = (Collector *) self;
	MemoryContext old = MemoryContextSwitchTo(collector->rows->context);

	collector->rows->tupdesc = CreateTupleDescCopy(typeinfo);
	MemoryContextSwitchTo(old);
}

static bool
collect_row(TupleTableSlot *slot, DestReceiver *self)
{
	Collector  *collector = (Collector *) self;
	HubspotRows *rows = collector->rows;
	MemoryContext old = MemoryContextSwitchTo(rows->context);

	if (rows->tuples == NULL)
	{
		collector->size = 16;
		rows->tuples = palloc(sizeof(HeapTuple) * collector->size);
	}
	else if (rows->count == collector->size)
	{
		collector->size *= 2;
		rows->tuples = repalloc_huge(rows->tuples, sizeof(HeapTuple) * collector->size);
	}
	rows->tuples[rows->count++] = ExecCopySlotHeapTuple(slot);
	MemoryContextSwitchTo(old);
	return true;
}

static void
collector_nothing(DestReceiver *self)
{
}

/*
 * Free the rows, which otherwise live as long as the memory context that was current at the
 * query.
 */
void
hubspot_rows_free(HubspotRows *rows)
{
	MemoryContextDelete(rows->context);
	memset(rows, 0, sizeof(HubspotRows));
}

Datum
hubspot_array_of(Datum *elements, int nelements, Oid type)
{
	int16		len;
	bool		byval;
	char		align;

	get_typlenbyvalalign(type, &len, &byval, &align);
	return PointerGetDatum(construct_array(elements, nelements, type, len, byval, align));
}
