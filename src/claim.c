/*-------------------------------------------------------------------------
 *
 * claim.c
 *	  What of the outbox is to be sent next, and what became of it.
 *
 * One process at a time sends the rows of a server; it has the server's lease.
 * So two operations on the same pair are never in flight together, and a row
 * that is being sent need not be marked: all that happens to a row that goes
 * well is an insert and a delete, and if its sender dies it is as it was.
 *
 * A lease ends at its time, unless it is renewed, and at once when the process
 * that has it has died or let go: as long as it lives, it holds an advisory
 * lock of its session, which others try.
 *
 * The rows of a pair take effect in the order of their ids.  The last one of
 * its kind counts: it overrides those before it that have not been sent, which
 * are deleted ("pruned").  What is left of a pair goes one after the other.
 * All of this looks at a window, the oldest rows that are due, and from there
 * by index at the rows of the same pairs, so that it costs the same whatever
 * the length of the queue.
 *
 * All functions here want a transaction, SPI, the search path pg_catalog, and
 * to run as the owner of the tables.  What they return is palloc'd in the
 * memory context that was current when SPI was connected.
 *
 * IDENTIFICATION
 *	  src/claim.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "claim.h"
#include "json.h"

/* How long a lease lasts; it is renewed in less than half of that. */
#define LEASE_SECONDS	60

/* The first key of the advisory locks of those who have leases ("hubs"). */
#define HOLDER_KEY		0x68756273

/*
 * Statements.  %1$s is the schema of the tables.  $1 and $2 are server and
 * role, $3 the time, $4 the size of the window, where there is a window.
 */
#define WINDOW \
	"(SELECT * FROM %1$s.hs_assoc_outbox" \
	" WHERE server = $1 AND role = $2 AND not_before <= $3" \
	" ORDER BY not_before, id LIMIT $4)"

/* What the index of the pairs is on. */
#define PAIR(row) \
	"%1$s.hs_assoc_pair(" row ".server, " row ".from_id, " row ".to_id)"

/* Are n and o rows of the same pair, n the later one? */
#define SAME_PAIR \
	PAIR("n") " = " PAIR("o") " AND n.id > o.id" \
	" AND n.server IS NOT DISTINCT FROM o.server" \
	" AND n.from_type = o.from_type AND n.from_id = o.from_id" \
	" AND n.to_type = o.to_type AND n.to_id = o.to_id"

#define SAME_TYPES \
	"n.type_ids IS NOT DISTINCT FROM o.type_ids" \
	" AND n.category IS NOT DISTINCT FROM o.category" \
	" AND n.labels IS NOT DISTINCT FROM o.labels"

/*
 * Does the later row n of the pair make the earlier row o needless, so that o
 * need not be sent?  A create_default after an archive comes to the former, so
 * that what goes and comes back keeps its labels; a label that was to go before
 * the two still has to go then.
 */
#define OVERRIDES \
	"CASE n.operation" \
	" WHEN 'archive' THEN o.operation <> 'archive_labels'" \
	"  OR (SELECT d.id FROM %1$s.hs_assoc_outbox AS d" \
	"   WHERE " PAIR("d") " = " PAIR("n") " AND d.id > n.id" \
	"    AND d.operation = 'create_default'" \
	"    AND d.from_type = n.from_type AND d.to_type = n.to_type" \
	"   ORDER BY " PAIR("d") ", d.id LIMIT 1) IS NULL" \
	" WHEN 'create_default' THEN o.operation IN ('create_default', 'archive')" \
	" ELSE o.operation IN ('create', 'archive_labels') AND " SAME_TYPES \
	"  AND (o.operation = 'archive_labels' OR o.keep_labels" \
	"   OR (n.operation = 'create' AND NOT n.keep_labels))" \
	" END"

/*
 * Would the earlier row o, which had failed, undo something of the later row n
 * of the pair, which is confirmed, if it were sent now?
 */
#define OUTDATES \
	"CASE" \
	" WHEN n.operation = 'archive' OR o.operation = 'archive'" \
	"  OR n.operation = o.operation AND " SAME_TYPES " THEN true" \
	" WHEN o.operation = 'create' AND NOT o.keep_labels THEN n.operation <> 'create_default'" \
	" ELSE n.type_ids && o.type_ids OR n.labels && o.labels" \
	" END"

/*
 * Is there a row of the same pair before w?  In scalar subqueries such as this
 * one, the planner cannot join what has to be looked up by index.
 */
#define BLOCKER \
	"(SELECT b.id FROM %1$s.hs_assoc_outbox AS b" \
	" WHERE " PAIR("b") " = " PAIR("w") " AND b.id < w.id" \
	" AND b.server IS NOT DISTINCT FROM w.server" \
	" ORDER BY " PAIR("b") ", b.id LIMIT 1)"

/*
 * Those of the rows $1 that nobody has locked.  What cannot be recorded is sent
 * again; waiting for an operator's transaction would hold up all of the account.
 */
#define UNLOCKED \
	"SELECT l.id FROM %1$s.hs_assoc_outbox AS l WHERE l.id = ANY ($1) FOR UPDATE SKIP LOCKED"

#define ROW_COLUMNS \
	"id, server, role, operation, from_type, from_id, to_type, to_id," \
	" type_ids, category, labels, keep_labels, link_table, enqueued_at"

typedef enum StatementNo
{
	CLAIMANTS,
	LEASE_INSERT,
	LEASE_LOOK,
	LEASE_TAKE,
	LEASE_RENEW,
	LEASE_DESCRIBE,
	LEASE_RELEASE,
	PRUNE,
	PRUNE_OTHERS,
	PICK,
	DEFER_BLOCKED,
	DEFER,
	OUTDATED_LETTERS,
	OUTDATED_ROWS,
	DONE,
	DONE_KEEP,
	AGAIN,
	LATER,
	DEAD,
	ACCOUNT_FAILED,
	ACCOUNT_WELL,
	FORGET
} StatementNo;

#define MAX_PARAMETERS	9

typedef struct Statement
{
	const char *text;
	int			nparameters;
	Oid			types[MAX_PARAMETERS];
} Statement;

#define ACCOUNT			TEXTOID, REGROLEOID
#define ACCOUNT_WINDOW	ACCOUNT, TIMESTAMPTZOID, INT8OID

/* The parameters after the first ones of a failure are the error's. */
#define FAILURE			INT4OID, TEXTOID, TEXTOID, TEXTOID

static const Statement statements[] = {
	/* a skip scan over the accounts, each with its first and its last row */
	[CLAIMANTS] = {
		"WITH RECURSIVE account AS ("
		" (SELECT server, role::oid AS role FROM %1$s.hs_assoc_outbox"
		"  WHERE $1 IS NULL OR server = $1"
		"  ORDER BY server, role LIMIT 1)"
		" UNION ALL"
		" SELECT following.server, following.role"
		" FROM account CROSS JOIN LATERAL"
		"  (SELECT o.server, o.role::oid AS role FROM %1$s.hs_assoc_outbox AS o"
		"   WHERE (o.server, o.role::oid) > (account.server, account.role)"
		"    AND ($1 IS NULL OR o.server = $1)"
		"   ORDER BY o.server, o.role LIMIT 1) AS following) "
		"SELECT a.server, a.role,"
		" greatest((SELECT not_before FROM %1$s.hs_assoc_outbox AS o"
		"  WHERE o.server = a.server AND o.role = a.role"
		"  ORDER BY o.server, o.role, o.not_before LIMIT 1), b.retry_at) AS due,"
		" b.server IS NOT NULL AS backing_off,"
		" (SELECT not_before FROM %1$s.hs_assoc_outbox AS o"
		"  WHERE o.server = a.server AND o.role = a.role"
		"  ORDER BY o.server DESC, o.role DESC, o.not_before DESC LIMIT 1) > $2 AS has_later "
		"FROM account AS a"
		" LEFT JOIN %1$s.hs_assoc_backoff AS b ON b.server = a.server AND b.role = a.role "
		"WHERE NOT EXISTS (SELECT FROM %1$s.hs_assoc_account_pause AS p WHERE p.server = a.server) "
		"ORDER BY due",
	2, {TEXTOID, TIMESTAMPTZOID}},

	[LEASE_INSERT] = {
		"INSERT INTO %1$s.hs_assoc_lease (server) SELECT $1"
		" WHERE NOT EXISTS (SELECT FROM %1$s.hs_assoc_lease WHERE server = $1)"
		" ON CONFLICT DO NOTHING",
	1, {TEXTOID}},
	[LEASE_LOOK] = {
		"SELECT holder, expires > clock_timestamp()"
		" FROM %1$s.hs_assoc_lease WHERE server = $1 FOR UPDATE SKIP LOCKED",
	1, {TEXTOID}},
	[LEASE_TAKE] = {
		"UPDATE %1$s.hs_assoc_lease SET holder = $2, in_flight = 0,"
		" expires = clock_timestamp() + $3 * interval '1 s' WHERE server = $1",
	3, {TEXTOID, INT4OID, INT4OID}},
	[LEASE_RENEW] = {
		"UPDATE %1$s.hs_assoc_lease SET expires = clock_timestamp() + $3 * interval '1 s'"
		" WHERE server = $1 AND holder = $2",
	3, {TEXTOID, INT4OID, INT4OID}},
	[LEASE_DESCRIBE] = {
		"UPDATE %1$s.hs_assoc_lease SET role = $2, operation = $3, from_type = $4,"
		" to_type = $5, in_flight = $6 WHERE server = $1",
	6, {ACCOUNT, TEXTOID, TEXTOID, TEXTOID, INT4OID}},
	[LEASE_RELEASE] = {
		"UPDATE %1$s.hs_assoc_lease SET holder = NULL, expires = NULL, in_flight = 0"
		" WHERE server = $1 AND holder = $2",
	2, {TEXTOID, INT4OID}},

	[PRUNE] = {
		"DELETE FROM %1$s.hs_assoc_outbox WHERE id = ANY (ARRAY("
		" SELECT l.id FROM %1$s.hs_assoc_outbox AS l WHERE l.id = ANY (ARRAY("
		"  SELECT o.id FROM " WINDOW " AS o"
		"  WHERE (SELECT true FROM %1$s.hs_assoc_outbox AS n"
		"   WHERE " SAME_PAIR " AND " OVERRIDES
		"   ORDER BY " PAIR("n") ", n.id LIMIT 1)))"
		" FOR UPDATE SKIP LOCKED))",
	4, {ACCOUNT_WINDOW}},
	[PRUNE_OTHERS] = {
		"DELETE FROM %1$s.hs_assoc_outbox WHERE id = ANY (ARRAY("
		" SELECT l.id FROM %1$s.hs_assoc_outbox AS l WHERE l.id = ANY (ARRAY("
		"  SELECT earlier.id FROM " WINDOW " AS n CROSS JOIN LATERAL"
		"   (SELECT o.id FROM %1$s.hs_assoc_outbox AS o"
		"    WHERE " SAME_PAIR " AND (o.not_before > $3 OR o.role IS DISTINCT FROM n.role)"
		"     AND " OVERRIDES
		"    ORDER BY " PAIR("o") ", o.id OFFSET 0) AS earlier))"
		" FOR UPDATE SKIP LOCKED))",
	4, {ACCOUNT_WINDOW}},
	[PICK] = {
		"SELECT id, " PAIR("o") ", from_id, to_id, type_ids, category, labels,"
		" operation, from_type, to_type, keep_labels, attempts"
		" FROM %1$s.hs_assoc_outbox AS o WHERE id = ANY (ARRAY("
		" SELECT w.id FROM " WINDOW " AS w WHERE " BLOCKER " IS NULL))"
		" ORDER BY not_before, id FOR UPDATE SKIP LOCKED",
	4, {ACCOUNT_WINDOW}},
	[DEFER_BLOCKED] = {
		"UPDATE %1$s.hs_assoc_outbox AS u"
		" SET not_before = greatest(b.not_before, k.retry_at, $3 + interval '1 s')"
		" FROM (SELECT w.id, " BLOCKER " AS blocker FROM " WINDOW " AS w) AS blocked"
		" JOIN %1$s.hs_assoc_outbox AS b ON b.id = blocked.blocker"
		" LEFT JOIN %1$s.hs_assoc_backoff AS k ON k.server = b.server AND k.role = b.role"
		" WHERE u.id = ANY (ARRAY("
		"  SELECT l.id FROM %1$s.hs_assoc_outbox AS l WHERE l.id = blocked.id"
		"  FOR UPDATE SKIP LOCKED))",
	4, {ACCOUNT_WINDOW}},
	[DEFER] = {
		"UPDATE %1$s.hs_assoc_outbox AS o SET not_before = d.not_before"
		" FROM unnest($1, $2) AS d (id, not_before) WHERE o.id = d.id",
	2, {INT8ARRAYOID, TIMESTAMPTZARRAYOID}},

	[OUTDATED_LETTERS] = {
		"DELETE FROM %1$s.hs_assoc_dead_letter AS o USING %1$s.hs_assoc_outbox AS n"
		" WHERE n.id = ANY ($1) AND " SAME_PAIR " AND " OUTDATES,
	1, {INT8ARRAYOID}},
	/* dead letters that were put back while the later row was in flight */
	[OUTDATED_ROWS] = {
		"DELETE FROM %1$s.hs_assoc_outbox AS o USING %1$s.hs_assoc_outbox AS n"
		" WHERE n.id = ANY ($1) AND " SAME_PAIR " AND o.error_category IS NOT NULL AND " OUTDATES,
	1, {INT8ARRAYOID}},
	[DONE] = {
		"DELETE FROM %1$s.hs_assoc_outbox WHERE id = ANY (ARRAY(" UNLOCKED "))",
	1, {INT8ARRAYOID}},
	[DONE_KEEP] = {
		"WITH done AS (DELETE FROM %1$s.hs_assoc_outbox WHERE id = ANY (ARRAY(" UNLOCKED "))"
		" RETURNING " ROW_COLUMNS ", attempts) "
		"INSERT INTO %1$s.hs_assoc_sent (" ROW_COLUMNS ", attempts, sent_at, keep_until)"
		" SELECT done.*, $2, $2 + $3 * interval '1 ms' FROM done ON CONFLICT DO NOTHING",
	3, {INT8ARRAYOID, TIMESTAMPTZOID, INT4OID}},
	[AGAIN] = {
		"UPDATE %1$s.hs_assoc_outbox SET attempts = attempts + 1,"
		" not_before = clock_timestamp() + least(interval '5 s' * 2 ^ least(attempts, 20),"
		"  interval '1 h') * (0.5 + random() / 2),"
		" http_status = $2, error_category = $3, error_message = $4, correlation_id = $5"
		" WHERE id = ANY (ARRAY(" UNLOCKED ")) AND attempts + 1 < $6",
	6, {INT8ARRAYOID, FAILURE, INT4OID}},
	[LATER] = {
		"UPDATE %1$s.hs_assoc_outbox SET not_before = $6,"
		" http_status = $2, error_category = $3, error_message = $4, correlation_id = $5"
		" WHERE id = ANY (ARRAY(" UNLOCKED "))",
	6, {INT8ARRAYOID, FAILURE, TIMESTAMPTZOID}},
	[DEAD] = {
		"WITH dead AS (DELETE FROM %1$s.hs_assoc_outbox WHERE id = ANY (ARRAY(" UNLOCKED "))"
		" RETURNING " ROW_COLUMNS ", attempts + 1) "
		"INSERT INTO %1$s.hs_assoc_dead_letter (" ROW_COLUMNS ", attempts, died_at,"
		" http_status, error_category, error_message, correlation_id, error)"
		" SELECT dead.*, clock_timestamp(), $2, $3, $4, $5, $6 FROM dead"
		" ON CONFLICT (id) DO UPDATE SET attempts = excluded.attempts, died_at = excluded.died_at,"
		"  http_status = excluded.http_status, error_category = excluded.error_category,"
		"  error_message = excluded.error_message, correlation_id = excluded.correlation_id,"
		"  error = excluded.error",
	6, {INT8ARRAYOID, FAILURE, JSONBOID}},

	[ACCOUNT_FAILED] = {
		"INSERT INTO %1$s.hs_assoc_backoff AS b (server, role, failures, retry_at,"
		"  http_status, error_category, error_message)"
		" VALUES ($1, $2, 1, clock_timestamp() + interval '5 s', $3, $4, $5)"
		" ON CONFLICT (server, role) DO UPDATE SET failures = b.failures + 1,"
		"  retry_at = clock_timestamp() + least(interval '5 s' * 2 ^ least(b.failures, 10), interval '5 min'),"
		"  http_status = excluded.http_status, error_category = excluded.error_category,"
		"  error_message = excluded.error_message",
	5, {ACCOUNT, INT4OID, TEXTOID, TEXTOID}},
	[ACCOUNT_WELL] = {
		"DELETE FROM %1$s.hs_assoc_backoff WHERE server = $1 AND role = $2",
	2, {ACCOUNT}},
	[FORGET] = {
		"DELETE FROM %1$s.hs_assoc_sent WHERE id = ANY (ARRAY("
		" SELECT id FROM %1$s.hs_assoc_sent WHERE keep_until < now()"
		" ORDER BY keep_until LIMIT 10000))",
	0, {0}}
};

/* The plans of the statements, for the schema that they were made for. */
static SPIPlanPtr plans[lengthof(statements)];
static char *plans_schema = NULL;

/* This process has the lock that shows that it lives. */
static bool holding = false;

static uint64 execute(const HubspotSchema *schema, StatementNo number,
					  Datum *values, const char *nulls);
static SPIPlanPtr get_plan(const HubspotSchema *schema, StatementNo number);
static void set_failure(Datum *values, char *nulls, const HubspotError *error);
static Datum array_of(Datum *elements, int nelements, Oid type);
static bool is_alive(int holder);
static void holder_tag(LOCKTAG *tag, int holder);
static void get_lane(HeapTuple tuple, HubspotLane *lane);
static bool is_of_lane(HeapTuple tuple, const HubspotLane *lane);
static bool is_text(HeapTuple tuple, int column, const char *expected);
static char *get_text(HeapTuple tuple, int column);
static HubspotSlice get_slice(HeapTuple tuple, int column);
static ArrayType *get_array(HeapTuple tuple, int column);

/*
 * The accounts that have rows in the outbox, of one server or of all (NULL),
 * except those that are paused; the one that is due first comes first.
 */
List *
hubspot_claimants(const HubspotSchema *schema, const char *server)
{
	Datum		values[2];
	char		nulls[] = "  ";
	List	   *claimants = NIL;
	ListCell   *lc;
	uint64		count;

	nulls[0] = server ? ' ' : 'n';
	values[0] = server ? CStringGetTextDatum(server) : (Datum) 0;
	values[1] = TimestampTzGetDatum(GetCurrentTimestamp());
	count = execute(schema, CLAIMANTS, values, nulls);
	for (uint64 i = 0; i < count; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	tupdesc = SPI_tuptable->tupdesc;
		HubspotClaimant *claimant = SPI_palloc(sizeof(HubspotClaimant));
		MemoryContext old;
		bool		isnull;

		claimant->server = get_text(tuple, 1);
		claimant->role = DatumGetObjectId(SPI_getbinval(tuple, tupdesc, 2, &isnull));
		claimant->due = DatumGetTimestampTz(SPI_getbinval(tuple, tupdesc, 3, &isnull));
		claimant->backing_off = DatumGetBool(SPI_getbinval(tuple, tupdesc, 4, &isnull));
		claimant->has_later = DatumGetBool(SPI_getbinval(tuple, tupdesc, 5, &isnull));
		claimant->has_company = false;
		old = MemoryContextSwitchTo(GetMemoryChunkContext(claimant));
		foreach(lc, claimants)
		{
			HubspotClaimant *other = lfirst(lc);

			if (strcmp(other->server, claimant->server) == 0)
				other->has_company = claimant->has_company = true;
		}
		claimants = lappend(claimants, claimant);
		MemoryContextSwitchTo(old);
	}
	return claimants;
}

/*
 * Take the lease of a server, which begins anew.  False: another process is
 * sending.  hubspot_lease_hold() must have been called.
 */
bool
hubspot_lease_take(const HubspotSchema *schema, const char *server)
{
	Datum		values[3];
	bool		isnull;
	int			holder;
	bool		valid;

	values[0] = CStringGetTextDatum(server);
	if (execute(schema, LEASE_LOOK, values, NULL) == 0)
	{
		/* it isn't there yet, or another process is taking it right now */
		execute(schema, LEASE_INSERT, values, NULL);
		if (execute(schema, LEASE_LOOK, values, NULL) == 0)
			return false;
	}
	holder = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0],
										 SPI_tuptable->tupdesc, 1, &isnull));
	if (!isnull && holder != MyProcPid)
	{
		valid = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0],
										   SPI_tuptable->tupdesc, 2, &isnull));
		if (!isnull && valid && is_alive(holder))
			return false;
	}
	values[1] = Int32GetDatum(MyProcPid);
	values[2] = Int32GetDatum(LEASE_SECONDS);
	execute(schema, LEASE_TAKE, values, NULL);
	return true;
}

/*
 * False: it has expired and another process has it, or had it; send nothing
 * more.
 */
bool
hubspot_lease_renew(const HubspotSchema *schema, const char *server)
{
	Datum		values[] = {CStringGetTextDatum(server), Int32GetDatum(MyProcPid),
	Int32GetDatum(LEASE_SECONDS)};

	return execute(schema, LEASE_RENEW, values, NULL) > 0;
}

/* Let others see what is being sent. */
void
hubspot_lease_describe(const HubspotSchema *schema,
					   const HubspotClaimant *claimant, const HubspotLane *lane,
					   int in_flight)
{
	Datum		values[] = {CStringGetTextDatum(claimant->server),
		ObjectIdGetDatum(claimant->role), CStringGetTextDatum(lane->operation),
		CStringGetTextDatum(lane->from_type), CStringGetTextDatum(lane->to_type),
	Int32GetDatum(in_flight)};

	execute(schema, LEASE_DESCRIBE, values, NULL);
}

void
hubspot_lease_release(const HubspotSchema *schema, const char *server)
{
	Datum		values[] = {CStringGetTextDatum(server), Int32GetDatum(MyProcPid)};

	execute(schema, LEASE_RELEASE, values, NULL);
}

/*
 * Show others that this process lives, until it lets go or ends.  Should
 * somebody else have that lock, which everybody may take, we are none the worse
 * for it.
 */
void
hubspot_lease_hold(void)
{
	LOCKTAG		tag;

	holder_tag(&tag, MyProcPid);
	holding = (LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL);
}

/* Leases that this process still has are free for others. */
void
hubspot_lease_let_go(void)
{
	LOCKTAG		tag;

	holder_tag(&tag, MyProcPid);
	if (holding)
		(void) LockRelease(&tag, ExclusiveLock, true);
	holding = false;
}

/* Does the process that has taken a lease still hold its lock? */
static bool
is_alive(int holder)
{
	LOCKTAG		tag;

	holder_tag(&tag, holder);
	if (LockAcquire(&tag, ExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
		return true;
	(void) LockRelease(&tag, ExclusiveLock, true);
	return false;
}

/* As pg_advisory_lock(int, int) has it. */
static void
holder_tag(LOCKTAG *tag, int holder)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, HOLDER_KEY, (uint32) holder, 2);
}

static void
set_window(Datum *values, const HubspotClaimant *claimant, int window)
{
	values[0] = CStringGetTextDatum(claimant->server);
	values[1] = ObjectIdGetDatum(claimant->role);
	values[2] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[3] = Int64GetDatum(window);
}

/* Delete rows that later ones override; how many of the window were. */
int64
hubspot_claim_prune(const HubspotSchema *schema, const HubspotClaimant *claimant,
					int window)
{
	Datum		values[4];

	set_window(values, claimant, window);
	return execute(schema, PRUNE, values, NULL);
}

/*
 * Delete those that rows of the window override, and that aren't due or are
 * another role's.  The window should have been pruned before: this looks at all
 * earlier rows of each pair.
 */
void
hubspot_claim_prune_others(const HubspotSchema *schema,
						   const HubspotClaimant *claimant, int window)
{
	Datum		values[4];

	if (!claimant->has_later && !claimant->has_company)
		return;
	set_window(values, claimant, window);
	execute(schema, PRUNE_OTHERS, values, NULL);
}

/*
 * The rows of the window that may be sent now, of one lane, which is that of
 * the oldest of them.  None: all wait for others of their pairs, or are locked.
 */
HubspotClaim *
hubspot_claim_pick(const HubspotSchema *schema, const HubspotClaimant *claimant,
				   int window, HubspotLane *lane, int *nclaims)
{
	Datum		values[4];
	uint64		count;
	HubspotClaim *claims;
	bool		isnull;

	set_window(values, claimant, window);
	count = execute(schema, PICK, values, NULL);
	claims = SPI_palloc(sizeof(HubspotClaim) * Max(count, 1));
	*nclaims = 0;
	for (uint64 i = 0; i < count; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		HubspotClaim *claim = &claims[*nclaims];

		if (i == 0)
			get_lane(tuple, lane);
		else if (!is_of_lane(tuple, lane))
			continue;
		claim->id = DatumGetInt64(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 1, &isnull));
		claim->pair = DatumGetInt64(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 2, &isnull));
		claim->from_id = get_slice(tuple, 3);
		claim->to_id = get_slice(tuple, 4);
		claim->type_ids = get_array(tuple, 5);
		claim->category = get_text(tuple, 6);
		claim->labels = get_array(tuple, 7);
		(*nclaims)++;
	}
	return claims;
}

static void
get_lane(HeapTuple tuple, HubspotLane *lane)
{
	TupleDesc	tupdesc = SPI_tuptable->tupdesc;
	bool		isnull;

	lane->operation = get_text(tuple, 8);
	lane->from_type = get_text(tuple, 9);
	lane->to_type = get_text(tuple, 10);
	lane->keep_labels = DatumGetBool(SPI_getbinval(tuple, tupdesc, 11, &isnull));
	lane->attempts = DatumGetInt32(SPI_getbinval(tuple, tupdesc, 12, &isnull));
}

static bool
is_of_lane(HeapTuple tuple, const HubspotLane *lane)
{
	TupleDesc	tupdesc = SPI_tuptable->tupdesc;
	bool		isnull;

	return DatumGetInt32(SPI_getbinval(tuple, tupdesc, 12, &isnull)) == lane->attempts &&
		DatumGetBool(SPI_getbinval(tuple, tupdesc, 11, &isnull)) == lane->keep_labels &&
		is_text(tuple, 8, lane->operation) && is_text(tuple, 9, lane->from_type) &&
		is_text(tuple, 10, lane->to_type);
}

/* Does a column of the current result, which isn't null, hold that text? */
static bool
is_text(HeapTuple tuple, int column, const char *expected)
{
	bool		isnull;
	text	   *value = DatumGetTextPP(SPI_getbinval(tuple, SPI_tuptable->tupdesc,
													 column, &isnull));
	size_t		len = strlen(expected);

	return VARSIZE_ANY_EXHDR(value) == len &&
		memcmp(VARDATA_ANY(value), expected, len) == 0;
}

/*
 * Let the rows of the window wait for those of their pairs that come before
 * them, so that they don't stand at the head of the queue; how many there were.
 */
int64
hubspot_claim_defer_blocked(const HubspotSchema *schema,
							const HubspotClaimant *claimant, int window)
{
	Datum		values[4];

	set_window(values, claimant, window);
	return execute(schema, DEFER_BLOCKED, values, NULL);
}

/* Have rows wait, without charging them. */
void
hubspot_claim_defer(const HubspotSchema *schema,
					const HubspotDeferral *deferrals, int ndeferrals)
{
	Datum	   *ids = palloc(sizeof(Datum) * ndeferrals);
	Datum	   *times = palloc(sizeof(Datum) * ndeferrals);
	Datum		values[2];

	for (int i = 0; i < ndeferrals; i++)
	{
		ids[i] = Int64GetDatum(deferrals[i].id);
		times[i] = TimestampTzGetDatum(deferrals[i].not_before);
	}
	values[0] = array_of(ids, ndeferrals, INT8OID);
	values[1] = array_of(times, ndeferrals, TIMESTAMPTZOID);
	execute(schema, DEFER, values, NULL);
}

/*
 * HubSpot has confirmed these; they are kept for so many milliseconds.  Dead letters of their
 * pairs that would undo them are no longer of use.
 */
void
hubspot_settle_done(const HubspotSchema *schema, const int64 *ids, int nids,
					TimestampTz sent_at, int keep)
{
	Datum	   *elements = palloc(sizeof(Datum) * nids);
	Datum		values[3];

	for (int i = 0; i < nids; i++)
		elements[i] = Int64GetDatum(ids[i]);
	values[0] = array_of(elements, nids, INT8OID);
	values[1] = TimestampTzGetDatum(sent_at);
	execute(schema, OUTDATED_LETTERS, values, NULL);
	execute(schema, OUTDATED_ROWS, values, NULL);
	values[2] = Int32GetDatum(keep);
	execute(schema, keep > 0 ? DONE_KEEP : DONE, values, NULL);
}

/*
 * An attempt has failed, and another one may not.  False, and nothing done: it
 * was the last one that the row had.
 */
bool
hubspot_settle_again(const HubspotSchema *schema, int64 id,
					 const HubspotError *error, int max_attempts)
{
	Datum		id_datum = Int64GetDatum(id);
	Datum		values[6];
	char		nulls[] = "      ";

	values[0] = array_of(&id_datum, 1, INT8OID);
	set_failure(values + 1, nulls + 1, error);
	values[5] = Int32GetDatum(max_attempts);
	return execute(schema, AGAIN, values, nulls) > 0;
}

/* Nothing is wrong with the row, but it cannot be sent before that time. */
void
hubspot_settle_later(const HubspotSchema *schema, int64 id,
					 const HubspotError *error, TimestampTz not_before)
{
	Datum		id_datum = Int64GetDatum(id);
	Datum		values[6];
	char		nulls[] = "      ";

	values[0] = array_of(&id_datum, 1, INT8OID);
	set_failure(values + 1, nulls + 1, error);
	values[5] = TimestampTzGetDatum(not_before);
	execute(schema, LATER, values, nulls);
}

/* A row is given up; it becomes a dead letter. */
void
hubspot_settle_dead(const HubspotSchema *schema, int64 id,
					const HubspotError *error)
{
	Datum		id_datum = Int64GetDatum(id);
	Datum		values[6];
	char		nulls[] = "      ";
	Jsonb	   *object = error->object.data ? hubspot_json_to_jsonb(error->object) : NULL;

	values[0] = array_of(&id_datum, 1, INT8OID);
	set_failure(values + 1, nulls + 1, error);
	values[5] = PointerGetDatum(object);
	nulls[5] = object ? ' ' : 'n';
	execute(schema, DEAD, values, nulls);
}

/* The account can be used again (error NULL), or nothing can be sent to it. */
void
hubspot_settle_account(const HubspotSchema *schema,
					   const HubspotClaimant *claimant, const HubspotError *error)
{
	Datum		values[6];
	char		nulls[] = "      ";

	values[0] = CStringGetTextDatum(claimant->server);
	values[1] = ObjectIdGetDatum(claimant->role);
	if (error)
		set_failure(values + 2, nulls + 2, error);
	execute(schema, error ? ACCOUNT_FAILED : ACCOUNT_WELL, values, nulls);
}

/* Forget some of the sent rows whose time is over. */
void
hubspot_settle_forget(const HubspotSchema *schema)
{
	execute(schema, FORGET, NULL, NULL);
}

/* The four columns that tell of a failure. */
static void
set_failure(Datum *values, char *nulls, const HubspotError *error)
{
	values[0] = Int32GetDatum(error->http_status);
	nulls[0] = error->http_status ? ' ' : 'n';
	values[1] = CStringGetTextDatum(error->category);
	values[2] = CStringGetTextDatum(error->message);
	values[3] = error->correlation_id ? CStringGetTextDatum(error->correlation_id) : (Datum) 0;
	nulls[3] = error->correlation_id ? ' ' : 'n';
}

/*
 * Run a statement; how many rows it returned or changed.  SPI would leave us in
 * its own memory context.
 */
static uint64
execute(const HubspotSchema *schema, StatementNo number, Datum *values,
		const char *nulls)
{
	MemoryContext old = CurrentMemoryContext;
	int			result = SPI_execute_plan(get_plan(schema, number), values, nulls,
										  false, 0);

	MemoryContextSwitchTo(old);
	if (result < 0)
		elog(ERROR, "statement %d on the outbox failed: %s", number,
			 SPI_result_code_string(result));
	return SPI_processed;
}

static SPIPlanPtr
get_plan(const HubspotSchema *schema, StatementNo number)
{
	const Statement *statement = &statements[number];

	if (plans_schema == NULL || strcmp(plans_schema, schema->name) != 0)
	{
		for (size_t i = 0; i < lengthof(plans); i++)
		{
			if (plans[i])
				SPI_freeplan(plans[i]);
			plans[i] = NULL;
		}
		if (plans_schema)
			pfree(plans_schema);
		plans_schema = MemoryContextStrdup(TopMemoryContext, schema->name);
	}
	if (plans[number] == NULL)
	{
		SPIPlanPtr	plan;

		plan = SPI_prepare(psprintf(statement->text, schema->name),
						   statement->nparameters,
						   (Oid *) statement->types);
		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare statement %d on the outbox", number);
		plans[number] = plan;
	}
	return plans[number];
}

static Datum
array_of(Datum *elements, int nelements, Oid type)
{
	return PointerGetDatum(construct_array(elements, nelements, type,
										   sizeof(int64), FLOAT8PASSBYVAL,
										   TYPALIGN_DOUBLE));
}

/* Columns of the current result; NULL for a null. */
static char *
get_text(HeapTuple tuple, int column)
{
	HubspotSlice slice = get_slice(tuple, column);

	return unconstify(char *, slice.data);
}

static HubspotSlice
get_slice(HeapTuple tuple, int column)
{
	HubspotSlice slice = {NULL, 0};
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, SPI_tuptable->tupdesc, column, &isnull);

	if (!isnull)
	{
		text	   *packed = DatumGetTextPP(value);
		char	   *copy;

		slice.len = VARSIZE_ANY_EXHDR(packed);
		copy = SPI_palloc(slice.len + 1);
		memcpy(copy, VARDATA_ANY(packed), slice.len);
		copy[slice.len] = '\0';
		slice.data = copy;
	}
	return slice;
}

static ArrayType *
get_array(HeapTuple tuple, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, SPI_tuptable->tupdesc, column, &isnull);
	ArrayType  *array;
	ArrayType  *copy;

	if (isnull)
		return NULL;
	array = DatumGetArrayTypeP(value);
	copy = SPI_palloc(VARSIZE(array));
	memcpy(copy, array, VARSIZE(array));
	return copy;
}
