/*-------------------------------------------------------------------------
 *
 * repair.c
 *	  Differences from HubSpot, put right through the outbox.
 *
 * What is found out about a table is old at once: somebody inserts a row whose association
 * was about to be removed, as one that is in no table.  Two things keep a repair from undoing
 * that, and nobody who writes waits for it:
 *
 * - Between the last look at the tables and the end of the transaction, nobody sends to the
 *   server: we hold its lease.  So what is committed after that look is sent after it, too.
 * - What is enqueued has ids below those of everything else, whoever has written that, and
 *   when.  Of two operations on a pair the one with the higher id wins.  So each operation
 *   that the look has not seen, since it was not committed, overrides ours.
 *
 * So what is done from then on in that transaction holds up everybody's rows for the server.  A
 * transaction block is refused, but a statement can do more than to call us, and a table's owner
 * can have put a function that waits into its index: if it goes on for long, its session is
 * ended, as a cancel can be caught.  Nor may it repair another table, which has first to be
 * read.
 *
 * What was committed and sent before that look, the tables show.  What was committed and is
 * yet to be sent is left out, with its pair.
 *
 * IDENTIFICATION
 *	  src/drift/repair.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timeout.h"

#include "drift/confirm.h"
#include "drift/difference_log.h"
#include "drift/repair.h"
#include "outbox/enqueue.h"
#include "outbox/lease.h"
#include "plan/plan.h"
#include "sync/link_table.h"

/* How long a transaction may go on after its repair, in ms. */
#define MOST_REST	10000

/*
 * How long the repair itself may take once it has the leases, in ms, and longer for each
 * difference, and for each row of the tables, which it may have to read.  It runs what the
 * owners of tables have put into their indexes, say.
 */
#define MOST_WORK		60000
#define MOST_DIFFERENCE	1.0
#define MOST_ROW		0.01

/* How long it waits for a lease while it has another one, in ms. */
#define MOST_LEASE_WAIT	10000

/* The operations on the outbox of one sync. */
typedef enum RepairKind
{
	REPAIR_ADD,					/* by the names that the table has */
	REPAIR_REMOVE,				/* by ids of records */
	REPAIR_NKINDS
} RepairKind;

typedef struct Repair
{
	bool		typed;
	HubspotEnqueue enqueues[REPAIR_NKINDS];
	HubspotBlock *blocks[REPAIR_NKINDS];	/* NULL: nothing so far */
} Repair;

static bool take_leases(const List *drifts);
static void limit_work(const List *drifts);
static void end_session(void);
static void end_transaction(XactEvent event, void *arg);
static int	compare_names(const ListCell *a, const ListCell *b);
static void guard(const List *drifts, int64 max_removals);
static void set_enqueues(const HubspotDrift *drift, Repair *repair);
static void enqueue_row(void *state, const HubspotDrift *drift, const HubspotDriftRow *row);
static void set_type(const HubspotDrift *drift, const HubspotPlanChange *change,
					 HubspotRawInput *raw);

/* A transaction that repairs. */
static bool repairs = false;
static TimeoutId rest;			/* its timeout, once it has the leases */
static int	most_ms;			/* that it has */
static bool is_done = false;	/* what is left is the rest */
static volatile sig_atomic_t is_over = false;	/* the timeout has come */

/* A table is about to be read, to be repaired.  ERROR if another one was, in this transaction. */
void
hubspot_repair_begin(void)
{
	static bool registered = false;

	if (!registered)
	{
		rest = RegisterTimeout(USER_TIMEOUT, end_session);
		RegisterXactCallback(end_transaction, NULL);
		registered = true;
	}
	if (repairs)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("hs_assoc_repair cannot be called twice in one transaction"),
				 errdetail("Nothing is sent to the account of the first table until it has ended."),
				 errhint("Repair each table by a statement of its own; in psql: SELECT format('SELECT hs_assoc_repair(%%L)', link_table) FROM hs_assoc_sync \\gexec")));
	repairs = true;
}

/*
 * Enqueue what puts the differences right that were read; returns how many operations.
 * ERROR if they remove more than max_removals (see hubspot_plan_guard()).  Until the end of
 * the transaction, nothing is sent to the servers.
 */
int64
hubspot_repair(List *drifts, int64 max_removals)
{
	int64		enqueued = 0;
	bool		has_leases;
	ListCell   *lc;

	/* nobody who sends is to wait for somebody who has locked a table */
	foreach(lc, drifts)
		hubspot_drift_lock(lfirst(lc));
	has_leases = take_leases(drifts);
	if (has_leases)
		limit_work(drifts);
	foreach(lc, drifts)
	{
		HubspotDrift *drift = lfirst(lc);

		hubspot_drift_confirm(drift);
		hubspot_drift_rows(drift, NULL, NULL);
	}
	guard(drifts, max_removals);
	foreach(lc, drifts)
	{
		const HubspotSync *sync = ((const HubspotDrift *) lfirst(lc))->sync;

		enqueued += hubspot_repair_enqueue(lfirst(lc));
		if (sync->verify)
			hubspot_log_settle(sync->id, sync->server);
	}

	/*
	 * until the end of the transaction, which is no subtransaction: let that
	 * come soon
	 */
	is_done = true;
	if (has_leases)
	{
		most_ms = MOST_REST;
		enable_timeout_after(rest, most_ms);
	}
	return enqueued;
}

/* From now on, others wait for what is left to be done. */
static void
limit_work(const List *drifts)
{
	double		most = MOST_WORK;
	ListCell   *lc;

	foreach(lc, drifts)
	{
		const HubspotDrift *drift = lfirst(lc);

		most += MOST_DIFFERENCE * drift->differences->count +
			MOST_ROW * hubspot_link_estimate(drift->sync->link_table);
	}
	is_done = false;
	most_ms = (int) Min(most, PG_INT32_MAX);
	enable_timeout_after(rest, most_ms);
}

/* Handler of a timeout: end this process, as pg_terminate_backend() does. */
static void
end_session(void)
{
	is_over = true;
	InterruptPending = true;
	ProcDiePending = true;
	SetLatch(MyLatch);
}

static void
end_transaction(XactEvent event, void *arg)
{
	/* a commit may wait for a standby, which is nobody's fault */
	if (event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_ABORT)
		return;
	repairs = false;
	disable_timeout(rest, false);
	if (is_over)
		ereport(LOG,
				(is_done ?
				 errmsg("a session was ended, since its transaction went on for %d s after hs_assoc_repair",
						most_ms / 1000) :
				 errmsg("a session was ended, since hs_assoc_repair took %d s to look at the tables again",
						most_ms / 1000),
				 errdetail("Nothing is sent to the account from its last look at the table to the end of the transaction.")));
	is_over = false;
}

/*
 * Take the leases of all servers, in the order of their names.  False: none is needed.  Who
 * sends to the first one is not to wait for long for who sends to another, whose account may
 * be silent: ERROR, after which all are free.
 */
static bool
take_leases(const List *drifts)
{
	List	   *servers = NIL;
	const char *last = NULL;
	int			nest_level = NewGUCNestLevel();
	ListCell   *lc;

	foreach(lc, drifts)
	{
		const HubspotDrift *drift = lfirst(lc);

		if (drift->differences->count > 0)
			servers = lappend(servers, unconstify(char *, drift->sync->server));
	}
	list_sort(servers, compare_names);
	foreach(lc, servers)
	{
		if (last != NULL && (LockTimeout == 0 || LockTimeout > MOST_LEASE_WAIT))
			(void) set_config_option("lock_timeout", psprintf("%d", MOST_LEASE_WAIT), PGC_USERSET,
									 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
		if (last == NULL || strcmp(last, lfirst(lc)) != 0)
			hubspot_lease_wait(lfirst(lc));
		last = lfirst(lc);
	}
	AtEOXact_GUC(false, nest_level);
	return servers != NIL;
}

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

static void
guard(const List *drifts, int64 max_removals)
{
	HubspotPlanCounts sum = {0};
	ListCell   *lc;

	foreach(lc, drifts)
	{
		const HubspotDrift *drift = lfirst(lc);

		sum.wanted += drift->plan.counts.wanted;
		sum.held += drift->plan.counts.held;
		sum.removed += drift->counts.extra;
	}
	hubspot_plan_guard(&sum, max_removals, "hs_assoc_drift");
}

/*
 * Enqueue what one sync differs in; how many operations.  Since the differences were confirmed,
 * we have the lease of the server.
 */
int64
hubspot_repair_enqueue(HubspotDrift *drift)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "hubspot_assoc repair",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Repair		repair = {0};
	int64		enqueued = 0;

	set_enqueues(drift, &repair);
	for (int i = 0; i < REPAIR_NKINDS; i++)
		repair.blocks[i] = hubspot_block_begin(&repair.enqueues[i]);
	hubspot_drift_rows(drift, enqueue_row, &repair);
	for (int i = 0; i < REPAIR_NKINDS; i++)
		enqueued += hubspot_block_end(repair.blocks[i]);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return enqueued;
}

static void
set_enqueues(const HubspotDrift *drift, Repair *repair)
{
	const HubspotSync *sync = drift->sync;
	HubspotEnqueue *add = &repair->enqueues[REPAIR_ADD];
	HubspotEnqueue *remove = &repair->enqueues[REPAIR_REMOVE];

	repair->typed = drift->plan.typed;
	add->server = sync->server;
	add->role = sync->role;
	add->before = true;
	add->link_table = sync->link_table;
	*remove = *add;
	add->operation = repair->typed ? "create" : "create_default";
	add->keep_labels = repair->typed;
	add->from_type = sync->from_type;
	add->to_type = sync->to_type;
	add->wait_for_records = sync->wait_for_records;
	remove->operation = repair->typed ? "archive_labels" : "archive";
	remove->from_type = drift->plan.from_type.name;
	remove->to_type = drift->plan.to_type.name;
}

/* Callback: put a difference right, if it can be. */
static void
enqueue_row(void *state, const HubspotDrift *drift, const HubspotDriftRow *row)
{
	Repair	   *repair = state;
	const HubspotPlanChange *change = &row->unpacked.change;
	bool		removes = hubspot_is_removal(change->action);
	HubspotRawInput raw = {.input = {.from_id = change->from,.to_id = change->to}};

	if (row->dead || hubspot_is_notice(change->action))
		return;
	if (!removes && drift->plan.from_type.property)
		raw.input.from_id = change->from_given;
	if (!removes && drift->plan.to_type.property)
		raw.input.to_id = change->to_given;
	if (repair->typed)
		set_type(drift, change, &raw);
	hubspot_block_put(repair->blocks[removes ? REPAIR_REMOVE : REPAIR_ADD], &raw);
}

/* Give an operation its type as the sync's triggers would, as far as that is known. */
static void
set_type(const HubspotDrift *drift, const HubspotPlanChange *change, HubspotRawInput *raw)
{
	const HubspotSync *sync = drift->sync;
	const char *label = sync->label ? sync->label :
	sync->label_column ? change->type.label : NULL;

	if (label)
	{
		raw->category = sync->category;
		hubspot_raw_input_label(raw, pstrdup(label));
		return;
	}
	raw->category = change->type.category;
	raw->type_id = change->type.type_id;
	raw->type_ids = &raw->type_id;
	raw->ntype_ids = 1;
}
