/*-------------------------------------------------------------------------
 *
 * sending.c
 *	  Who sends the outbox of this database.
 *
 * IDENTIFICATION
 *	  src/worker/sending.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"

#include "base/setting.h"
#include "worker/dynamic_lock.h"
#include "worker/sending.h"
#include "worker/slot.h"
#include "worker/wake.h"

#define TURN_ON_HINT	"Set hubspot_assoc.workers to more than 0, or CALL hs_assoc_flush() from a job."

static HubspotDynamicStart start(void);
static const char *no_slot_detail(void);

/* Who sends what this database enqueues? */
HubspotSending
hubspot_sending(void)
{
	if (RecoveryInProgress())
		return HUBSPOT_SENDING_STANDBY;
	if (hubspot_workers == 0)
		return HUBSPOT_SENDING_OFF;
	if (hubspot_slots_are_there())
		return hubspot_launcher_is_there() ? HUBSPOT_SENDING_WORKERS :
			HUBSPOT_SENDING_NO_LAUNCHER;
	return hubspot_dynamic_pid(MyDatabaseId) != 0 ? HUBSPOT_SENDING_DYNAMIC :
		HUBSPOT_SENDING_AT_COMMIT;
}

/*
 * If the library is preloaded: how many workers there are, and how many of them in this
 * database.
 */
int
hubspot_count_workers(int *own)
{
	int			nslots;
	const HubspotSlot *slots = hubspot_slots_copy(&nslots);
	int			all = 0;

	*own = 0;
	for (int i = 0; i < nslots; i++)
	{
		if (slots[i].state == HUBSPOT_SLOT_FREE || slots[i].state == HUBSPOT_SLOT_ENDED)
			continue;
		all++;
		if (slots[i].database == MyDatabaseId)
			(*own)++;
	}
	return all;
}

/* Who sends what this database enqueues, for people, palloc'd. */
char *
hubspot_sending_text(void)
{
	int			own;

	switch (hubspot_sending())
	{
		case HUBSPOT_SENDING_WORKERS:
			(void) hubspot_count_workers(&own);
			return psprintf("workers of the launcher, %d of them in this database now", own);
		case HUBSPOT_SENDING_DYNAMIC:
			return psprintf("a dynamic worker, process %d", hubspot_dynamic_pid(MyDatabaseId));
		case HUBSPOT_SENDING_AT_COMMIT:
			return pstrdup("nobody until the next commit that enqueues, or hs_assoc_start()");
		case HUBSPOT_SENDING_STANDBY:
			return pstrdup("nobody: this is a standby");
		case HUBSPOT_SENDING_OFF:
			return pstrdup("nobody: hubspot_assoc.workers is 0");
		case HUBSPOT_SENDING_NO_LAUNCHER:
			return pstrdup("nobody for some seconds: the launcher is not running");
	}
	return NULL;				/* keeps compilers quiet */
}

/*
 * Have the outbox looked at now, by a worker that is started if need be; true: it
 * was.  ERROR if there can be none.
 */
bool
hubspot_sending_start(void)
{
	switch (start())
	{
		case HUBSPOT_DYNAMIC_THERE:
			return false;
		case HUBSPOT_DYNAMIC_STARTED:
			return true;
		case HUBSPOT_DYNAMIC_OFF:
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("could not start a worker of hubspot_assoc"),
					 RecoveryInProgress() ?
					 errdetail("This is a standby: workers run on the primary server alone.") :
					 errdetail("%s is 0.", "hubspot_assoc.workers"),
					 RecoveryInProgress() ? 0 : errhint("%s", TURN_ON_HINT)));
			break;
		case HUBSPOT_DYNAMIC_NO_SLOT:
			ereport(ERROR,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("could not start a worker of hubspot_assoc: out of background worker slots"),
					 errdetail("%s", no_slot_detail()),
					 errhint("You might need to increase max_worker_processes.")));
			break;
	}
	return false;
}

static HubspotDynamicStart
start(void)
{
	if (hubspot_workers == 0 || RecoveryInProgress())
		return HUBSPOT_DYNAMIC_OFF;
	if (!hubspot_slots_are_there())
		return hubspot_dynamic_rouse(MyDatabaseId);
	hubspot_wake(MyDatabaseId);
	return HUBSPOT_DYNAMIC_THERE;
}

static const char *
no_slot_detail(void)
{
	return psprintf("All %d of max_worker_processes are in use.", max_worker_processes);
}

/*
 * To be called when something is to be kept in sync: a WARNING, once a session, if nobody is
 * going to send what that enqueues.  Where the next commit has to start a worker, one is
 * started now, which is the only way to know that it can be.
 */
void
hubspot_sending_warn(void)
{
	static bool warned = false;
	HubspotDynamicStart result = start();

	if (warned || result == HUBSPOT_DYNAMIC_THERE || result == HUBSPOT_DYNAMIC_STARTED)
		return;
	warned = true;
	ereport(WARNING,
			(errcode(result == HUBSPOT_DYNAMIC_OFF ? ERRCODE_WARNING : ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("nobody sends what is enqueued"),
			 result == HUBSPOT_DYNAMIC_OFF ? errdetail("%s is 0.", "hubspot_assoc.workers") :
			 errdetail("%s A commit tries again to start a worker.", no_slot_detail()),
			 result == HUBSPOT_DYNAMIC_OFF ? errhint("%s", TURN_ON_HINT) :
			 errhint("Increase max_worker_processes, or CALL hs_assoc_flush() from a job.")));
}

/*
 * To be called when a table is to be compared with HubSpot, as verify says: a WARNING if there
 * are to be no workers, which alone do so; what sends the outbox in their place does not.
 */
void
hubspot_comparing_warn(Oid link_table)
{
	if (hubspot_workers > 0)
		return;
	ereport(WARNING,
			(errmsg("nobody compares table \"%s\" with HubSpot", get_rel_name(link_table)),
			 errdetail("%s is 0, and hs_assoc_flush does not compare tables.", "hubspot_assoc.workers"),
			 errhint("Set hubspot_assoc.workers to more than 0, or call hs_assoc_drift or hs_assoc_repair from a job.")));
}
