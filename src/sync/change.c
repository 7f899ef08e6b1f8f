/*-------------------------------------------------------------------------
 *
 * change.c
 *	  Puts changes of a link table into the outbox.
 *
 * A sync makes one INSERT ... SELECT of the rows that a statement has changed
 * (change_sql.c).
 *
 * Statements on one table may be nested by triggers, or be parts of one
 * statement (WITH): a row that one of them has inserted may be gone before its
 * trigger is run, or a deleted row be there again.  The last operation that is
 * enqueued for a pair wins.  Therefore changes that come after those of such a
 * statement are checked first: only what is in the table is created, and only
 * what is not is removed.  The rows are read with the privileges of the
 * table's owner, whoever changes it, into a tuplestore, and inserted from
 * there.  The rows of a whole table, for TRUNCATE or a backfill, go the same
 * way; and so do rows that are removed from a table that may have one label in
 * two spellings.
 *
 * All rows that come or go with a table are read without regard to privileges
 * and row-level security on it, since a role that may attach, detach, drop or
 * truncate it needs none on its rows.  Otherwise a partition's owner could
 * prevent that by revoking their own privileges.
 *
 * For what a transaction removes and adds again, as when a table is filled
 * anew, nothing is enqueued, unless anything else is known of the pair
 * (change_sql.c), or it comes again and again (repeated.c).
 *
 * IDENTIFICATION
 *	  src/sync/change.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/tstoreReceiver.h"
#include "executor/tuptable.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "account/account.h"
#include "outbox/history.h"
#include "schema/prepared.h"
#include "sync/change.h"
#include "sync/change_sql.h"
#include "sync/removal.h"
#include "sync/repeated.h"

/* The rows of a tuplestore, in SQL. */
#define COLLECTED_ROWS	"collected_rows"

/* The parameters of the statements that insert, from $1. */
enum
{
	PARAMETER_SERVER,
	PARAMETER_ROLE,
	PARAMETER_ADD,				/* the operations */
	PARAMETER_REMOVE,
	PARAMETER_FROM_TYPE,
	PARAMETER_TO_TYPE,
	PARAMETER_TYPE_IDS,
	PARAMETER_CATEGORY,
	PARAMETER_LABELS,
	PARAMETER_KEEP_LABELS,
	PARAMETER_LINK_TABLE,
	PARAMETER_TRANSACTIONS,		/* ids of this transaction's parts that have
								 * removed */
	PARAMETER_WAIT_FOR_RECORDS, /* null: no record is named by a key */
	PARAMETER_WHO,
	NPARAMETERS = PARAMETER_WHO + HUBSPOT_NWHO
};

static const Oid parameter_types[NPARAMETERS] = {
	[PARAMETER_SERVER] = TEXTOID,
	[PARAMETER_ROLE] = REGROLEOID,
	[PARAMETER_ADD] = TEXTOID,
	[PARAMETER_REMOVE] = TEXTOID,
	[PARAMETER_FROM_TYPE] = TEXTOID,
	[PARAMETER_TO_TYPE] = TEXTOID,
	[PARAMETER_TYPE_IDS] = INT4ARRAYOID,
	[PARAMETER_CATEGORY] = TEXTOID,
	[PARAMETER_LABELS] = TEXTARRAYOID,
	[PARAMETER_KEEP_LABELS] = BOOLOID,
	[PARAMETER_LINK_TABLE] = REGCLASSOID,
	[PARAMETER_TRANSACTIONS] = XIDARRAYOID,
	[PARAMETER_WAIT_FOR_RECORDS] = INTERVALOID,
	HUBSPOT_WHO_TYPES(PARAMETER_WHO)
};

/* Where the rows of an insertion come from. */
#define COLLECTED	HUBSPOT_NDELTAS

/* What the planner must not use where it has to look rows up by index. */
static const char *const scans_of_all[] = {"enable_seqscan", "enable_bitmapscan"};

/*
 * From this many rows on, they are sorted by pair, so that the index of pairs grows page by
 * page.
 */
#define MANY_ROWS	10000

/* The statement that inserts rows from one source. */
typedef struct Insertion
{
	const HubspotDelta *delta;
	int			source;			/* HubspotDeltaSource, or COLLECTED */
	HubspotInsertion kind;
	HubspotPrepared *prepared;	/* or NULL: not yet */
} Insertion;

struct HubspotChange
{
	HubspotDelta delta;
	bool		has_nulls;		/* may the columns of the sync be null? */
	HubspotValues values;
	Insertion	insertions[COLLECTED + 1][HUBSPOT_NINSERTIONS];
};

/* Which of a table's rows are to be read, as they are now. */
typedef struct Reading
{
	const HubspotDelta *delta;
	bool		checked;		/* changed rows, checked; else all rows */
	HubspotDeltaSource source;	/* of changed rows */
	bool		added;			/* all rows are added, not removed */
	Oid			reader;			/* whose privileges on the table count */
} Reading;

static void set_parameters(HubspotChange *change);
static HubspotDeltaSource source_of(TriggerData *trigdata);
static TupleTableSlot *begin_rows(TriggerData *trigdata, Tuplestorestate *rows);
static bool same_values(const HubspotDelta *delta, TupleTableSlot *a,
						TupleTableSlot *b);
static int64 count_nulls(const HubspotDelta *delta, TriggerData *trigdata,
						 Tuplestorestate *rows);
static int64 count_collected_nulls(const HubspotChange *change,
								   Tuplestorestate *rows);
static void count_skipped(const HubspotChange *change, int64 rows);
static int64 insert(HubspotChange *change, int source, bool net, int64 rows,
					QueryEnvironment *environment);
static void search_by_index(void);
static bool has_repeated(const HubspotChange *change, int source, QueryEnvironment *environment);
static int64 count_rows(TriggerData *trigdata);
static int64 run_insertion(HubspotChange *change, Insertion *insertion,
						   QueryEnvironment *environment);
static char *write_insertion(const void *state);
static char *collected_rows(const HubspotDelta *delta);
static Tuplestorestate *collect(const Reading *reading, Oid table,
								QueryEnvironment *environment);
static char *write_reading(const void *state);
static int64 insert_collected(HubspotChange *change, bool net,
							  Tuplestorestate *rows);
static void add_rows(QueryEnvironment *environment, const char *name,
					 Oid relid, TupleDesc tupdesc, Tuplestorestate *rows);
static TupleDesc collected_tupdesc(const HubspotDelta *delta);

/*
 * What the sync makes of changes of a table, its own or a partition of it; in
 * the current memory context, and sync must live as long.  ERROR if a column
 * is missing.
 */
HubspotChange *
hubspot_change_create(const HubspotSync *sync, Oid table)
{
	HubspotChange *change = palloc0(sizeof(HubspotChange));

	hubspot_delta_init(&change->delta, sync, table);
	for (int i = 0; i < change->delta.ncolumns; i++)
		change->has_nulls |= !change->delta.columns[i].not_null;
	for (int i = 0; i < HUBSPOT_NINSERTIONS * (COLLECTED + 1); i++)
	{
		Insertion  *insertion = &change->insertions[i / HUBSPOT_NINSERTIONS][i % HUBSPOT_NINSERTIONS];

		insertion->delta = &change->delta;
		insertion->source = i / HUBSPOT_NINSERTIONS;
		insertion->kind = i % HUBSPOT_NINSERTIONS;
	}
	set_parameters(change);
	return change;
}

static void
set_parameters(HubspotChange *change)
{
	const HubspotSync *sync = change->delta.sync;
	HubspotValues *values = &change->values;
	bool		typed = sync->type_id || sync->label || sync->type_id_column ||
	sync->label_column;
	Datum		element;

	hubspot_set_text(values, PARAMETER_SERVER, sync->server);
	hubspot_set_oid(values, PARAMETER_ROLE, sync->role);
	hubspot_set_text(values, PARAMETER_ADD, typed ? "create" : "create_default");
	hubspot_set_text(values, PARAMETER_REMOVE, typed ? "archive_labels" : "archive");
	hubspot_set_text(values, PARAMETER_FROM_TYPE, sync->from_type);
	hubspot_set_text(values, PARAMETER_TO_TYPE, sync->to_type);
	hubspot_set_text(values, PARAMETER_CATEGORY, sync->category);
	hubspot_set_bool(values, PARAMETER_KEEP_LABELS, typed);
	hubspot_set_oid(values, PARAMETER_LINK_TABLE, sync->link_table);
	if (sync->wait_for_records)
		hubspot_set_datum(values, PARAMETER_WAIT_FOR_RECORDS,
						  IntervalPGetDatum(sync->wait_for_records));
	if (sync->type_id)
	{
		element = Int32GetDatum(sync->type_id);
		hubspot_set_datum(values, PARAMETER_TYPE_IDS,
						  PointerGetDatum(construct_array(&element, 1, INT4OID,
														  sizeof(int32), true,
														  TYPALIGN_INT)));
	}
	if (sync->label)
	{
		element = CStringGetTextDatum(sync->label);
		hubspot_set_datum(values, PARAMETER_LABELS,
						  PointerGetDatum(construct_array(&element, 1, TEXTOID, -1,
														  false, TYPALIGN_INT)));
	}
}

/*
 * Can the statement have changed what the sync is about?  Not if it is an
 * UPDATE whose rows have kept the values of all columns that matter.
 */
bool
hubspot_change_matters(const HubspotChange *change, TriggerData *trigdata)
{
	Tuplestorestate *old_rows = trigdata->tg_oldtable;
	Tuplestorestate *new_rows = trigdata->tg_newtable;
	TupleTableSlot *old_slot;
	TupleTableSlot *new_slot;
	bool		matters = false;

	/* if the rows do not come in the same order, more is done than is needed */
	if (source_of(trigdata) != HUBSPOT_UPDATED ||
		tuplestore_tuple_count(old_rows) != tuplestore_tuple_count(new_rows))
		return true;
	old_slot = begin_rows(trigdata, old_rows);
	new_slot = begin_rows(trigdata, new_rows);
	while (!matters &&
		   tuplestore_gettupleslot(old_rows, true, false, old_slot) &&
		   tuplestore_gettupleslot(new_rows, true, false, new_slot))
	{
		CHECK_FOR_INTERRUPTS();
		matters = !same_values(&change->delta, old_slot, new_slot);
	}
	ExecDropSingleTupleTableSlot(old_slot);
	ExecDropSingleTupleTableSlot(new_slot);
	return matters;
}

static HubspotDeltaSource
source_of(TriggerData *trigdata)
{
	if (TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
		return HUBSPOT_INSERTED;
	return TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ? HUBSPOT_UPDATED : HUBSPOT_DELETED;
}

/* A slot to read a transition table into, from its beginning. */
static TupleTableSlot *
begin_rows(TriggerData *trigdata, Tuplestorestate *rows)
{
	int			pointer = tuplestore_alloc_read_pointer(rows, EXEC_FLAG_REWIND);

	/* a new read pointer begins where the first one is */
	tuplestore_select_read_pointer(rows, pointer);
	tuplestore_rescan(rows);
	return MakeSingleTupleTableSlot(RelationGetDescr(trigdata->tg_relation),
									&TTSOpsMinimalTuple);
}

/* Do two rows have the same values in all columns that matter, byte for byte? */
static bool
same_values(const HubspotDelta *delta, TupleTableSlot *a, TupleTableSlot *b)
{
	for (int i = 0; i < delta->ncolumns; i++)
	{
		const HubspotDeltaColumn *column = &delta->columns[i];
		bool		a_null;
		bool		b_null;
		Datum		a_value = slot_getattr(a, column->number, &a_null);
		Datum		b_value = slot_getattr(b, column->number, &b_null);

		if (a_null != b_null)
			return false;
		if (!a_null && !datum_image_eq(a_value, b_value, column->by_value,
									   column->length))
			return false;
	}
	return true;
}

/*
 * Count the rows that the statement has added and that are left out because a
 * value is null.
 */
void
hubspot_change_count_skipped(const HubspotChange *change, TriggerData *trigdata)
{
	int64		skipped = 0;

	if (!change->has_nulls)
		return;
	if (trigdata->tg_newtable)
		skipped = count_nulls(&change->delta, trigdata, trigdata->tg_newtable);
	if (skipped > 0 && trigdata->tg_oldtable)
		skipped -= count_nulls(&change->delta, trigdata, trigdata->tg_oldtable);
	count_skipped(change, Max(skipped, 0));
}

static int64
count_nulls(const HubspotDelta *delta, TriggerData *trigdata,
			Tuplestorestate *rows)
{
	TupleTableSlot *slot = begin_rows(trigdata, rows);
	int64		count = 0;

	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		int			i = 0;

		CHECK_FOR_INTERRUPTS();
		while (i < delta->ncolumns &&
			   !slot_attisnull(slot, delta->columns[i].number))
			i++;
		if (i < delta->ncolumns)
			count++;
	}
	ExecDropSingleTupleTableSlot(slot);
	return count;
}

/* The transition tables of a trigger, as statements can name them. */
QueryEnvironment *
hubspot_change_environment(TriggerData *trigdata)
{
	QueryEnvironment *environment = create_queryEnv();
	Oid			relid = RelationGetRelid(trigdata->tg_relation);

	if (trigdata->tg_newtable)
		add_rows(environment, HUBSPOT_NEW_ROWS, relid, NULL, trigdata->tg_newtable);
	if (trigdata->tg_oldtable)
		add_rows(environment, HUBSPOT_OLD_ROWS, relid, NULL, trigdata->tg_oldtable);
	return environment;
}

/*
 * Let statements name a tuplestore whose rows have the form of a relation, or that of a tuple
 * descriptor.
 */
static void
add_rows(QueryEnvironment *environment, const char *name, Oid relid,
		 TupleDesc tupdesc, Tuplestorestate *rows)
{
	EphemeralNamedRelation relation = palloc0(sizeof(EphemeralNamedRelationData));

	relation->md.name = pstrdup(name);
	relation->md.reliddesc = relid;
	relation->md.tupdesc = tupdesc;
	relation->md.enrtype = ENR_NAMED_TUPLESTORE;
	relation->md.enrtuples = tuplestore_tuple_count(rows);
	relation->reldata = rows;
	register_ENR(environment, relation);
}

/*
 * Enqueue what the statement has changed; check: only what the table still
 * shows.  The environment is that of the trigger.
 */
void
hubspot_change_enqueue(HubspotChange *change, TriggerData *trigdata,
					   QueryEnvironment *environment, bool check)
{
	Reading		reading = {
		.delta = &change->delta,
		.checked = true,
		.source = source_of(trigdata),
		.reader = hubspot_link_owner(change->delta.sync->link_table)
	};

	if (check)
		hubspot_removal_doubt();
	if (check || (reading.source != HUBSPOT_INSERTED && change->delta.has_spellings))
		(void) insert_collected(change, true,
								collect(&reading, change->delta.sync->link_table,
										environment));
	else
		(void) insert(change, reading.source, true, count_rows(trigdata), environment);
}

static int64
count_rows(TriggerData *trigdata)
{
	return (trigdata->tg_newtable ? tuplestore_tuple_count(trigdata->tg_newtable) : 0) +
		(trigdata->tg_oldtable ? tuplestore_tuple_count(trigdata->tg_oldtable) : 0);
}

/*
 * Insert rows from a source, at most so many; returns how many.  net: without those that this
 * transaction has removed before, if its snapshots show all that waits.
 */
static int64
insert(HubspotChange *change, int source, bool net, int64 rows,
	   QueryEnvironment *environment)
{
	HubspotInsertion kind = rows < MANY_ROWS ? HUBSPOT_INSERT_ALL : HUBSPOT_INSERT_SORTED;
	int			nest_level = NewGUCNestLevel();
	bool		adds = net && source != HUBSPOT_DELETED;
	Datum		transactions;
	int64		count;

	net = net && source != HUBSPOT_DELETED && !IsolationUsesXactSnapshot() &&
		hubspot_removal_transactions(&transactions) &&
		!has_repeated(change, source, environment);
	if (net)
		hubspot_set_datum(&change->values, PARAMETER_TRANSACTIONS, transactions);
	else
		hubspot_set_null(&change->values, PARAMETER_TRANSACTIONS);
	hubspot_history_who(&change->values, PARAMETER_WHO, change->delta.sync->server);
	/* the outbox may be empty now, and long when the plan is used */
	if (net)
		search_by_index();
	count = run_insertion(change,
						  &change->insertions[source][net ? HUBSPOT_INSERT_NET : kind],
						  environment);
	AtEOXact_GUC(false, nest_level);
	if (count > 0 && source != HUBSPOT_INSERTED)
		hubspot_removal_note();

	/* what was added may be what was removed before, under another name */
	if (count > 0 && adds && change->delta.sync->wait_for_records)
		hubspot_removal_doubt();
	return count;
}

/* Is one of the rows of a pair that this transaction has often added? */
static bool
has_repeated(const HubspotChange *change, int source, QueryEnvironment *environment)
{
	const HubspotDeltaColumn collected[] = {
		[HUBSPOT_COLUMN_FROM] = {.number = 1,.length = -1},
		[HUBSPOT_COLUMN_TO] = {.number = 2,.length = -1}
	};
	const HubspotDeltaColumn *columns = source == COLLECTED ? collected : change->delta.columns;

	return hubspot_repeated_in(environment,
							   source == COLLECTED ? COLLECTED_ROWS : HUBSPOT_NEW_ROWS,
							   &columns[HUBSPOT_COLUMN_FROM], &columns[HUBSPOT_COLUMN_TO]);
}

/* Until AtEOXact_GUC(), let the planner look rows up by an index where there is one. */
static void
search_by_index(void)
{
	for (size_t i = 0; i < lengthof(scans_of_all); i++)
		(void) set_config_option(scans_of_all[i], "off", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
}

static int64
run_insertion(HubspotChange *change, Insertion *insertion,
			  QueryEnvironment *environment)
{
	if (insertion->prepared == NULL)
	{
		HubspotSubject subject = {
			.write = write_insertion,
			.state = insertion,
			.nparameters = NPARAMETERS,
			.types = parameter_types
		};
		MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(change));

		insertion->prepared = hubspot_prepare(&subject);
		MemoryContextSwitchTo(old);
	}
	return hubspot_run(insertion->prepared, &change->values, environment, false,
					   None_Receiver);
}

static char *
write_insertion(const void *state)
{
	const Insertion *insertion = state;
	const HubspotDelta *delta = insertion->delta;

	return hubspot_delta_insertion(delta, insertion->source == COLLECTED ?
								   collected_rows(delta) :
								   hubspot_delta_rows(delta, insertion->source),
								   insertion->kind);
}

static char *
collected_rows(const HubspotDelta *delta)
{
	return psprintf("SELECT * FROM " COLLECTED_ROWS " AS c"
					" WHERE c.from_id IS NOT NULL AND c.to_id IS NOT NULL%s",
					delta->ncolumns > HUBSPOT_COLUMN_TYPE ?
					" AND c.type IS NOT NULL" : "");
}

/*
 * Enqueue all rows of the table; returns how many.  Those that are added and
 * have a null are counted as skipped, and a NOTICE says how many.
 */
int64
hubspot_change_enqueue_table(HubspotChange *change, HubspotTableChange what)
{
	Reading		reading = {
		.delta = &change->delta,
		.added = (what != HUBSPOT_TABLE_REMOVED),
		.reader = what == HUBSPOT_TABLE_BACKFILLED ?
		hubspot_link_owner(change->delta.table) : BOOTSTRAP_SUPERUSERID
	};
	Tuplestorestate *rows = collect(&reading, change->delta.table, NULL);

	if (reading.added)
	{
		int64		skipped = count_collected_nulls(change, rows);

		count_skipped(change, skipped);
		if (skipped > 0)
			ereport(NOTICE,
					(errmsg_plural("%lld row of table \"%s\" is skipped, since it has a null",
								   "%lld rows of table \"%s\" are skipped, since they have a null",
								   (unsigned long) skipped, (long long) skipped,
								   get_rel_name(change->delta.table)),
					 errdetail("A row needs both ids and, if a column of the sync names it, a type or label.")));
	}
	return insert_collected(change, what == HUBSPOT_TABLE_ADDED, rows);
}

/*
 * All rows of a table as they are now, those with nulls as well, read with the privileges of
 * a role; ERROR if row-level security hides some from it.
 */
Tuplestorestate *
hubspot_link_rows(const HubspotDelta *delta, Oid reader)
{
	Reading		reading = {.delta = delta,.added = true,.reader = reader};

	return collect(&reading, delta->table, NULL);
}

static int64
count_collected_nulls(const HubspotChange *change, Tuplestorestate *rows)
{
	TupleTableSlot *slot;
	int64		count = 0;

	if (!change->has_nulls)
		return 0;
	slot = MakeSingleTupleTableSlot(collected_tupdesc(&change->delta), &TTSOpsMinimalTuple);
	while (tuplestore_gettupleslot(rows, true, false, slot))
	{
		int			i = 0;

		CHECK_FOR_INTERRUPTS();
		while (i < change->delta.ncolumns && !slot_attisnull(slot, i + 1))
			i++;
		if (i < change->delta.ncolumns)
			count++;
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_rescan(rows);
	return count;
}

static void
count_skipped(const HubspotChange *change, int64 rows)
{
	Oid			serverid;

	if (rows == 0)
		return;
	serverid = get_foreign_server_oid(change->delta.sync->server, true);
	if (OidIsValid(serverid))
		hubspot_account_count_skipped(hubspot_account(serverid), rows);
}

/*
 * Collect rows of a table as they are now, even in a transaction that goes by
 * an older snapshot.  ERROR if row-level security hides some.
 */
static Tuplestorestate *
collect(const Reading *reading, Oid table, QueryEnvironment *environment)
{
	Tuplestorestate *rows = tuplestore_begin_heap(true, false, work_mem);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc reading",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Oid			functions[HUBSPOT_SYNC_COLUMNS];
	HubspotSubject subject = {
		.write = write_reading,
		.state = reading,
		.relation = table,
		.reader = reading->reader,
		.nfunctions = hubspot_delta_key_functions(reading->delta, functions),
		.functions = functions
	};
	DestReceiver *receiver = CreateTuplestoreDestReceiver();
	int			nest_level = NewGUCNestLevel();

	(void) set_config_option("row_security", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	/* the table may have been filled since its statistics were made */
	if (reading->checked && subject.nfunctions > 0)
		search_by_index();
	SetTuplestoreDestReceiverParams(receiver, rows, context, false, NULL, NULL);
	(void) hubspot_run(hubspot_prepare(&subject), NULL, environment, true, receiver);
	receiver->rDestroy(receiver);
	AtEOXact_GUC(false, nest_level);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return rows;
}

static char *
write_reading(const void *state)
{
	const Reading *reading = state;

	return reading->checked ?
		hubspot_delta_checked_rows(reading->delta, reading->source) :
		hubspot_delta_all_rows(reading->delta, reading->added);
}

/* Let statements name a tuplestore whose rows have that form. */
void
hubspot_name_rows(QueryEnvironment *environment, const char *name, TupleDesc tupdesc,
				  Tuplestorestate *rows)
{
	add_rows(environment, name, InvalidOid, tupdesc, rows);
}

/* Insert collected rows without a null, and forget them; returns how many. */
static int64
insert_collected(HubspotChange *change, bool net, Tuplestorestate *rows)
{
	QueryEnvironment *environment = create_queryEnv();
	int64		inserted;

	add_rows(environment, COLLECTED_ROWS, InvalidOid,
			 collected_tupdesc(&change->delta), rows);
	inserted = insert(change, COLLECTED, net, tuplestore_tuple_count(rows), environment);
	tuplestore_end(rows);
	return inserted;
}

static TupleDesc
collected_tupdesc(const HubspotDelta *delta)
{
	bool		has_type = delta->ncolumns > HUBSPOT_COLUMN_TYPE;
	TupleDesc	tupdesc = CreateTemplateTupleDesc(has_type ? 4 : 3);
	AttrNumber	number = 1;

	TupleDescInitEntry(tupdesc, number++, "from_id", TEXTOID, -1, 0);
	TupleDescInitEntry(tupdesc, number++, "to_id", TEXTOID, -1, 0);
	if (has_type)
		TupleDescInitEntry(tupdesc, number++, "type",
						   hubspot_delta_is_label(delta) ? TEXTOID : INT4OID, -1, 0);
	TupleDescInitEntry(tupdesc, number, "added", BOOLOID, -1, 0);
	return tupdesc;
}
