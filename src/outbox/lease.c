/*-------------------------------------------------------------------------
 *
 * lease.c
 *	  Who sends to a server: one process at a time, by a lease.
 *
 * Since one process at a time sends the rows of a server, two operations on
 * the same pair are never in flight together, and a row that is being sent
 * need not be marked: a row that goes well is inserted and deleted, nothing
 * else, and if its sender dies it is as it was.
 *
 * A lease is a lock of the server's lock manager, on the name of the server in
 * this database.  Nothing is sent without it, and nothing else decides:
 * neither the clock, which may be set, nor the table, which tells people which
 * process sends what.  It is of a kind that no SQL function takes, unlike an
 * advisory lock, so nobody can keep it from us or pretend to have it.  It ends
 * with the process that has it, in whatever way that ends.  It cannot be taken
 * from a process that lives and does nothing (it is stopped, say): nobody can
 * know that this process will not go on sending when it wakes up.
 *
 * It is taken for a transaction, which picks rows, and is given back with its
 * commit, when others can see what was changed.  If there is something to send,
 * it is also kept for the session, until all is recorded.
 *
 * The functions that use the extension's tables need a transaction with a
 * snapshot.
 *
 * IDENTIFICATION
 *	  src/outbox/lease.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lock.h"

#include "outbox/doubt.h"
#include "outbox/lease.h"
#include "outbox/precedence.h"
#include "outbox/row_ids.h"
#include "schema/prepared.h"

/* What tells our locks from those of other code ("hs"). */
#define LEASE_KEY	0x6873

/* Statements.  None waits for the lock of a row. */

#define LOCKED_LEASE \
	"ANY (ARRAY(SELECT l.server FROM %1$s.hs_assoc_lease AS l WHERE l.server = $1 FOR UPDATE SKIP LOCKED))"

/* Numbers, most of which are consecutive, as ranges */
#define AS_RANGES(numbers) \
	"(SELECT range_agg(int8range(i, i, '[]')) FROM unnest(" numbers ") AS i)"

/* The parameters of both statements that describe a lease */
enum
{
	DESCRIBE_SERVER,
	DESCRIBE_ROLE,
	DESCRIBE_OPERATION,
	DESCRIBE_FROM_TYPE,
	DESCRIBE_TO_TYPE,
	DESCRIBE_IDS,
	DESCRIBE_HOLDER,
	DESCRIBE_MAY_ACT_FOR		/* ms */
};

#define DESCRIBE_TYPES \
	[DESCRIBE_SERVER] = TEXTOID, \
	[DESCRIBE_ROLE] = REGROLEOID, \
	[DESCRIBE_OPERATION] = TEXTOID, \
	[DESCRIBE_FROM_TYPE] = TEXTOID, \
	[DESCRIBE_TO_TYPE] = TEXTOID, \
	[DESCRIBE_IDS] = INT8ARRAYOID, \
	[DESCRIBE_HOLDER] = INT4OID, \
	[DESCRIBE_MAY_ACT_FOR] = INT4OID

static HubspotStatement describe_statement = {
	.text =
	"UPDATE %1$s.hs_assoc_lease SET holder = $7, since = clock_timestamp(),"
	" role = $2, operation = $3, from_type = $4, to_type = $5, in_flight = cardinality($6),"
	" sending = " AS_RANGES("$6") ", may_act_for = $8 * interval '1 ms'"
	" WHERE server = " LOCKED_LEASE,
	.types = {DESCRIBE_TYPES}
};

static HubspotStatement insert_statement = {
	.text =
	"INSERT INTO %1$s.hs_assoc_lease (server, role, operation, from_type, to_type,"
	"  in_flight, sending, may_act_for, holder, since)"
	" SELECT $1, $2, $3, $4, $5, cardinality($6), " AS_RANGES("$6") ","
	"  $8 * interval '1 ms', $7, clock_timestamp()"
	" WHERE NOT EXISTS (SELECT FROM %1$s.hs_assoc_lease WHERE server = $1)"
	" ON CONFLICT DO NOTHING",
	.types = {DESCRIBE_TYPES}
};

/* The parameter of the statements below */
enum
{
	LEASE_SERVER
};

/*
 * A process that has ended without releasing its lease has left requests that
 * may still be done.
 */
static HubspotStatement inherit_statement = {
	.text =
	"WITH old AS (SELECT l.server, l.sending, l.may_act_for FROM %1$s.hs_assoc_lease AS l"
	"  WHERE l.server = $1 AND l.holder IS NOT NULL FOR UPDATE SKIP LOCKED),"
	" freed AS (UPDATE %1$s.hs_assoc_lease AS l SET holder = NULL, since = NULL,"
	"  in_flight = 0, sending = NULL FROM old WHERE l.server = old.server)"
	"INSERT INTO %1$s.hs_assoc_doubt (server, pair, id, until)"
	" SELECT o.server, " HUBSPOT_SQL_PAIR("o") ", o.id, clock_timestamp() + old.may_act_for"
	" FROM old CROSS JOIN LATERAL unnest(old.sending) AS r (ids)"
	" JOIN %1$s.hs_assoc_outbox AS o"
	"  ON o.id >= lower(r.ids) AND o.id < upper(r.ids) AND o.server = old.server",
	.types = {[LEASE_SERVER] = TEXTOID}
};

static HubspotStatement release_statement = {
	.text =
	"UPDATE %1$s.hs_assoc_lease SET holder = NULL, since = NULL, in_flight = 0,"
	" sending = NULL"
	" WHERE server = " LOCKED_LEASE,
	.types = {[LEASE_SERVER] = TEXTOID}
};

/* The leases that are kept for the session. */
static LOCKTAG kept[HUBSPOT_MAX_LEASES];
static int	nkept = 0;

static void lease_tag(LOCKTAG *tag, const char *server);
static int	find_kept(const char *server);
static void let_go(int number);
static Datum ids_of(const HubspotLot *lots, int nlots);

/*
 * Take the lease of a server until the end of the transaction, and note what
 * the process that had it before has left in flight.  False: another process
 * is sending.
 */
bool
hubspot_lease_take(const char *server)
{
	HubspotValues values = {0};
	LOCKTAG		tag;

	lease_tag(&tag, server);
	if (LockAcquire(&tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	hubspot_set_text(&values, LEASE_SERVER, server);
	hubspot_execute(&inherit_statement, &values);
	return true;
}

/*
 * Wait for the lease of a server, and hold it until the end of the transaction, not to send
 * but to have nobody send meanwhile.
 */
void
hubspot_lease_wait(const char *server)
{
	LOCKTAG		tag;

	lease_tag(&tag, server);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

/* Keep the lease, which this transaction has, beyond its end. */
void
hubspot_lease_keep(const char *server)
{
	LOCKTAG		tag;

	lease_tag(&tag, server);
	if (nkept == HUBSPOT_MAX_LEASES ||
		LockAcquire(&tag, ExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
		elog(ERROR, "the lease of server \"%s\" cannot be kept", server);
	kept[nkept++] = tag;
}

/*
 * Does this process still have the lease that it keeps?  Whatever releases all
 * locks of the session would release it, too.
 */
bool
hubspot_lease_is_kept(const char *server)
{
	int			number = find_kept(server);
	LockAcquireResult result;

	if (number < 0)
		return false;
	result = LockAcquire(&kept[number], ExclusiveLock, true, true);
	if (result != LOCKACQUIRE_NOT_AVAIL)
		(void) LockRelease(&kept[number], ExclusiveLock, true);
	if (result == LOCKACQUIRE_ALREADY_HELD || result == LOCKACQUIRE_ALREADY_CLEAR)
		return true;
	kept[number] = kept[--nkept];
	return false;
}

/* Give back a lease that is kept. */
void
hubspot_lease_let_go(const char *server)
{
	int			number = find_kept(server);

	if (number >= 0)
		let_go(number);
}

/* Give back all leases that are kept. */
void
hubspot_leases_let_go(void)
{
	while (nkept > 0)
		let_go(nkept - 1);
}

static void
let_go(int number)
{
	(void) LockRelease(&kept[number], ExclusiveLock, true);
	kept[number] = kept[--nkept];
}

/* The place of a lease among those that are kept; -1: it is not kept. */
static int
find_kept(const char *server)
{
	LOCKTAG		tag;

	lease_tag(&tag, server);
	for (int i = 0; i < nkept; i++)
	{
		if (memcmp(&kept[i], &tag, sizeof(LOCKTAG)) == 0)
			return i;
	}
	return -1;
}

/*
 * The tag has the server's name, not its OID: there may be rows for a server
 * that has been dropped.  Two names with the same hash would merely wait for
 * each other.
 */
static void
lease_tag(LOCKTAG *tag, const char *server)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) server,
										   strlen(server), 0);

	tag->locktag_field1 = MyDatabaseId;
	tag->locktag_field2 = (uint32) (hash >> 32);
	tag->locktag_field3 = (uint32) hash;
	tag->locktag_field4 = LEASE_KEY;
	tag->locktag_type = LOCKTAG_USERLOCK;
	tag->locktag_lockmethodid = USER_LOCKMETHOD;
}

/*
 * Show what is being sent, to people and to the next process that has the lease.  If somebody
 * has locked the row, it is not written.  What differs between lots becomes null.
 */
void
hubspot_lease_describe(const HubspotClaimant *claimant, const HubspotLot *lots, int nlots,
					   int request_timeout)
{
	const HubspotLane *lane = &lots[0].lane;
	bool		same_operation = true;
	bool		same_types = true;
	HubspotValues values = {0};

	for (int i = 1; i < nlots; i++)
	{
		const HubspotLane *other = &lots[i].lane;

		same_operation &= strcmp(other->operation, lane->operation) == 0;
		same_types &= strcmp(other->from_type, lane->from_type) == 0 &&
			strcmp(other->to_type, lane->to_type) == 0;
	}
	hubspot_set_text(&values, DESCRIBE_SERVER, claimant->server);
	hubspot_set_oid(&values, DESCRIBE_ROLE, claimant->role);
	hubspot_set_text(&values, DESCRIBE_OPERATION, same_operation ? lane->operation : NULL);
	hubspot_set_text(&values, DESCRIBE_FROM_TYPE, same_types ? lane->from_type : NULL);
	hubspot_set_text(&values, DESCRIBE_TO_TYPE, same_types ? lane->to_type : NULL);
	hubspot_set_datum(&values, DESCRIBE_IDS, ids_of(lots, nlots));
	hubspot_set_int32(&values, DESCRIBE_HOLDER, MyProcPid);
	hubspot_set_int32(&values, DESCRIBE_MAY_ACT_FOR, hubspot_doubt_time(request_timeout));
	if (hubspot_execute(&describe_statement, &values) == 0)
		hubspot_execute(&insert_statement, &values);
}

/* The ids of the lots' rows as an int8[]. */
static Datum
ids_of(const HubspotLot *lots, int nlots)
{
	int64	   *ids;
	int			nids = 0;

	for (int i = 0; i < nlots; i++)
		nids += lots[i].nclaims;
	ids = palloc(sizeof(int64) * nids);
	nids = 0;
	for (int i = 0; i < nlots; i++)
	{
		for (int j = 0; j < lots[i].nclaims; j++)
			ids[nids++] = lots[i].claims[j].id;
	}
	return hubspot_row_ids(ids, nids);
}

/* Note that nothing is being sent any more. */
void
hubspot_lease_release(const char *server)
{
	HubspotValues values = {0};

	hubspot_set_text(&values, LEASE_SERVER, server);
	hubspot_execute(&release_statement, &values);
}
