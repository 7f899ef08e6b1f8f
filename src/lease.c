/*-------------------------------------------------------------------------
 *
 * lease.c
 *	  Who sends to a server: one process at a time, by a lease.
 *
 * Since one process at a time sends the rows of a server, two operations on the
 * same pair are never in flight together, and a row that is being sent need not
 * be marked: all that happens to a row that goes well is an insert and a delete,
 * and if its sender dies it is as it was.
 *
 * A lease ends at its time, unless it is renewed, and at once when the process
 * that has it has died or let go: as long as it lives, it holds an advisory
 * lock of its session, which others try.
 *
 * All functions here want a transaction with a snapshot.
 *
 * IDENTIFICATION
 *	  src/lease.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"

#include "lease.h"
#include "prepared.h"

/* How long a lease lasts; it is renewed in less than half of that. */
#define LEASE_SECONDS	60

/* The first key of the advisory locks of those who have leases ("hubs"). */
#define HOLDER_KEY		0x68756273

/* Statements; $1 is the server. */

static HubspotStatement insert_statement = {
	.text =
	"INSERT INTO %1$s.hs_assoc_lease (server) SELECT $1"
	" WHERE NOT EXISTS (SELECT FROM %1$s.hs_assoc_lease WHERE server = $1)"
	" ON CONFLICT DO NOTHING",
	.nparameters = 1,
	.types = {TEXTOID}
};

static HubspotStatement look_statement = {
	.text =
	"SELECT holder, expires > clock_timestamp()"
	" FROM %1$s.hs_assoc_lease WHERE server = $1 FOR UPDATE SKIP LOCKED",
	.nparameters = 1,
	.types = {TEXTOID}
};

static HubspotStatement take_statement = {
	.text =
	"UPDATE %1$s.hs_assoc_lease SET holder = $2, in_flight = 0,"
	" expires = clock_timestamp() + $3 * interval '1 s' WHERE server = $1",
	.nparameters = 3,
	.types = {TEXTOID, INT4OID, INT4OID}
};

static HubspotStatement renew_statement = {
	.text =
	"UPDATE %1$s.hs_assoc_lease SET expires = clock_timestamp() + $3 * interval '1 s'"
	" WHERE server = $1 AND holder = $2",
	.nparameters = 3,
	.types = {TEXTOID, INT4OID, INT4OID}
};

static HubspotStatement describe_statement = {
	.text =
	"UPDATE %1$s.hs_assoc_lease SET role = $2, operation = $3, from_type = $4,"
	" to_type = $5, in_flight = $6 WHERE server = $1",
	.nparameters = 6,
	.types = {HUBSPOT_ACCOUNT_TYPES, TEXTOID, TEXTOID, TEXTOID, INT4OID}
};

static HubspotStatement release_statement = {
	.text =
	"UPDATE %1$s.hs_assoc_lease SET holder = NULL, expires = NULL, in_flight = 0"
	" WHERE server = $1 AND holder = $2",
	.nparameters = 2,
	.types = {TEXTOID, INT4OID}
};

/* The row that the last query here has returned. */
static HubspotRows rows;

/* This process has the lock that shows that it lives. */
static bool holding = false;

static bool is_alive(int holder);
static void holder_tag(LOCKTAG *tag, int holder);

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

	values[0] = CStringGetTextDatum(server);
	if (hubspot_query(&look_statement, values, NULL, &rows) == 0)
	{
		/* it isn't there yet, or another process is taking it right now */
		hubspot_execute(&insert_statement, values, NULL);
		if (hubspot_query(&look_statement, values, NULL, &rows) == 0)
			return false;
	}
	holder = DatumGetInt32(heap_getattr(rows.tuples[0], 1, rows.tupdesc, &isnull));
	if (!isnull && holder != MyProcPid)
	{
		bool		valid = DatumGetBool(heap_getattr(rows.tuples[0], 2, rows.tupdesc, &isnull));

		if (!isnull && valid && is_alive(holder))
			return false;
	}
	values[1] = Int32GetDatum(MyProcPid);
	values[2] = Int32GetDatum(LEASE_SECONDS);
	hubspot_execute(&take_statement, values, NULL);
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

	return hubspot_execute(&renew_statement, values, NULL) > 0;
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

	hubspot_execute(&describe_statement, values, NULL);
}

void
hubspot_lease_release(const HubspotSchema *schema, const char *server)
{
	Datum		values[] = {CStringGetTextDatum(server), Int32GetDatum(MyProcPid)};

	hubspot_execute(&release_statement, values, NULL);
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
