/*-------------------------------------------------------------------------
 *
 * fault.c
 *	  What this server lacks for sending, for a view to show.
 *
 * An ERROR for want of disk, memory or descriptors may be impossible to write
 * into a table.  So the last one of each account is kept in shared memory, if
 * there is some, until something is sent for the account again.  If there are
 * more of them than places, the oldest one makes room.
 *
 * IDENTIFICATION
 *	  src/outbox/fault.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "base/shmem.h"
#include "outbox/fault.h"

/*
 * The most accounts with an ERROR: what a server lacks, all accounts tend to
 * lack.
 */
#define MAX_FAULTS		64

/* NULL: there is no shared memory */
static HubspotFault *table = NULL;
static LWLock *lock;

static void attach_table(void *shared, LWLock *shared_lock, bool found);
static bool is_lack(int sqlstate);
static HubspotFault *find(const char *server, Oid role);

/* To be called while the server starts. */
void
hubspot_faults_add(void)
{
	hubspot_shmem_add("hubspot_assoc faults", sizeof(HubspotFault) * MAX_FAULTS,
					  attach_table);
}

static void
attach_table(void *shared, LWLock *shared_lock, bool found)
{
	table = shared;
	lock = shared_lock;
	if (!found)
		memset(table, 0, sizeof(HubspotFault) * MAX_FAULTS);
}

/*
 * Note an ERROR that has kept this database from sending for an account, if it
 * is about what the server lacks; any other is charged to a row or the
 * account.
 */
void
hubspot_fault_note(const char *server, Oid role, const ErrorData *error)
{
	const char *message = error->message ? error->message : "";
	int			len = pg_mbcliplen(message, strlen(message), HUBSPOT_MAX_FAULT_MESSAGE);
	TimestampTz now = GetCurrentTimestamp();
	HubspotFault *fault;

	if (table == NULL || !is_lack(error->sqlerrcode))
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	fault = find(server, role);
	if (fault == NULL)
	{
		fault = &table[0];
		for (int i = 1; i < MAX_FAULTS && OidIsValid(fault->database); i++)
		{
			if (!OidIsValid(table[i].database) || table[i].last < fault->last)
				fault = &table[i];
		}
		fault->database = MyDatabaseId;
		strlcpy(fault->server, server, NAMEDATALEN);
		fault->role = role;
		fault->since = now;
	}
	fault->last = now;
	fault->sqlstate = error->sqlerrcode;
	memcpy(fault->message, message, len);
	fault->message[len] = '\0';
	LWLockRelease(lock);
}

/* Is it of the classes insufficient_resources or system_error? */
static bool
is_lack(int sqlstate)
{
	int			class = ERRCODE_TO_CATEGORY(sqlstate);

	return class == ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES) ||
		class == ERRCODE_TO_CATEGORY(ERRCODE_SYSTEM_ERROR);
}

static HubspotFault *
find(const char *server, Oid role)
{
	for (int i = 0; i < MAX_FAULTS; i++)
	{
		if (table[i].database == MyDatabaseId && table[i].role == role &&
			strncmp(table[i].server, server, NAMEDATALEN - 1) == 0)
			return &table[i];
	}
	return NULL;
}

/* Something was sent for the account: forget its ERROR. */
void
hubspot_fault_clear(const char *server, Oid role)
{
	HubspotFault *fault;

	if (table == NULL)
		return;

	/*
	 * mostly there is nothing to do, and nobody else writes the entry of this
	 * account
	 */
	LWLockAcquire(lock, LW_SHARED);
	fault = find(server, role);
	LWLockRelease(lock);
	if (fault == NULL)
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	fault = find(server, role);
	if (fault)
		fault->database = InvalidOid;
	LWLockRelease(lock);
}

/* The ERRORs of this database, palloc'd; returns how many there are. */
int
hubspot_faults(HubspotFault **faults)
{
	int			n = 0;

	*faults = palloc(sizeof(HubspotFault) * MAX_FAULTS);
	if (!hubspot_shmem_is_there())
		return 0;
	LWLockAcquire(lock, LW_SHARED);
	for (int i = 0; i < MAX_FAULTS; i++)
	{
		if (table[i].database == MyDatabaseId)
			(*faults)[n++] = table[i];
	}
	LWLockRelease(lock);
	return n;
}
