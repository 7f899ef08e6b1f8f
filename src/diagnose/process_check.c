/*-------------------------------------------------------------------------
 *
 * process_check.c
 *	  This PostgreSQL: whether something sends, and how fast it may.
 *
 * IDENTIFICATION
 *	  src/diagnose/process_check.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/acl.h"

#include "account/account.h"
#include "base/clock.h"
#include "base/setting.h"
#include "base/shmem.h"
#include "diagnose/check.h"
#include "outbox/fault.h"
#include "worker/dynamic_lock.h"
#include "worker/sending.h"
#include "worker/slot.h"

/* How long a row may be overdue before a worker should have come, in seconds. */
#define PATIENCE	60

/* How long an account may have to wait, in microseconds, before it is said. */
#define LONG_WAIT	INT64CONST(2000000)

static bool is_overdue(const HubspotDiagnosis *diagnosis);
static void check_dynamic(HubspotDiagnosis *diagnosis);

/* Is the library in every process, or only where it is called? */
void
hubspot_check_preload(HubspotDiagnosis *diagnosis)
{
	if (hubspot_slots_are_there())
		hubspot_find(diagnosis, HUBSPOT_TOPIC_PRELOAD, HUBSPOT_STATE_OK, NULL,
					 "the library is preloaded");
	else if (diagnosis->in_use)
		hubspot_find(diagnosis, HUBSPOT_TOPIC_PRELOAD, HUBSPOT_STATE_OK, NULL,
					 "not preloaded: a commit that enqueues starts a worker, but a restart, a promotion or COMMIT PREPARED does not");
	else
		hubspot_find(diagnosis, HUBSPOT_TOPIC_PRELOAD, HUBSPOT_STATE_OK, NULL,
					 "not preloaded, which functions do not need");
}

void
hubspot_check_workers(HubspotDiagnosis *diagnosis)
{
	HubspotState bad = diagnosis->in_use ? HUBSPOT_STATE_PROBLEM : HUBSPOT_STATE_WARNING;
	int			own;
	int			all;

	switch (hubspot_sending())
	{
		case HUBSPOT_SENDING_STANDBY:
			hubspot_find(diagnosis, HUBSPOT_TOPIC_WORKERS, HUBSPOT_STATE_WARNING,
						 "Run this on the primary server.",
						 "this is a standby: workers run on the primary server alone");
			break;
		case HUBSPOT_SENDING_OFF:
			hubspot_find(diagnosis, HUBSPOT_TOPIC_WORKERS, bad,
						 "ALTER SYSTEM SET hubspot_assoc.workers = 4; SELECT pg_reload_conf();",
						 "hubspot_assoc.workers is 0: nothing sends the outbox");
			break;
		case HUBSPOT_SENDING_NO_LAUNCHER:
			hubspot_find(diagnosis, HUBSPOT_TOPIC_WORKERS, bad,
						 "It comes back within 5 s of ending; if it does not, the server's log says why.",
						 "the launcher of the workers is not running");
			break;
		case HUBSPOT_SENDING_DYNAMIC:
		case HUBSPOT_SENDING_AT_COMMIT:
			check_dynamic(diagnosis);
			break;
		case HUBSPOT_SENDING_WORKERS:
			all = hubspot_count_workers(&own);
			if (own == 0 && is_overdue(diagnosis))
				hubspot_find(diagnosis, HUBSPOT_TOPIC_WORKERS, HUBSPOT_STATE_PROBLEM,
							 "Look for warnings of hubspot_assoc in the server's log; raise max_worker_processes if it is used up.",
							 "no worker is in this database, though rows are due; %d of %d run, max_worker_processes is %d",
							 all, hubspot_workers, max_worker_processes);
			else
				hubspot_find(diagnosis, HUBSPOT_TOPIC_WORKERS, HUBSPOT_STATE_OK, NULL,
							 "the launcher runs; %d of %d workers, %d in this database",
							 all, hubspot_workers, own);
	}
}

/* Are rows overdue without a reason that the checks so far have found? */
static bool
is_overdue(const HubspotDiagnosis *diagnosis)
{
	return diagnosis->overdue > PATIENCE &&
		diagnosis->findings[HUBSPOT_TOPIC_COPY].state == HUBSPOT_STATE_OK &&
		diagnosis->findings[HUBSPOT_TOPIC_PAUSE].state == HUBSPOT_STATE_OK &&
		diagnosis->findings[HUBSPOT_TOPIC_BACKOFF].state == HUBSPOT_STATE_OK;
}

static void
check_dynamic(HubspotDiagnosis *diagnosis)
{
	int			pid = hubspot_dynamic_pid(MyDatabaseId);

	if (pid != 0)
		hubspot_find(diagnosis, HUBSPOT_TOPIC_WORKERS, HUBSPOT_STATE_OK, NULL,
					 "a dynamic worker is in this database: process %d", pid);
	else if (is_overdue(diagnosis))
		hubspot_find(diagnosis, HUBSPOT_TOPIC_WORKERS, HUBSPOT_STATE_PROBLEM,
					 "SELECT hs_assoc_start(); raise max_worker_processes if that says that it is used up.",
					 "no worker is in this database, though rows are due, and none comes before the next commit that enqueues");
	else
		hubspot_find(diagnosis, HUBSPOT_TOPIC_WORKERS, HUBSPOT_STATE_OK, NULL,
					 "no worker is in this database; the next commit that enqueues starts one");
}

/* How much of the rate is used, and whether HubSpot has asked to wait. */
void
hubspot_check_throttle(HubspotDiagnosis *diagnosis)
{
	int			limit = diagnosis->options->rate_limit;
	int64		now = hubspot_now();
	const char *whose = hubspot_shmem_is_there() ? "shared by all sessions of this database" :
	"of this session alone";
	HubspotThrottle throttle = {0};
	int			used;

	(void) hubspot_account_read(diagnosis->server, NULL, &throttle);
	used = hubspot_throttle_used(&throttle, now);
	if (throttle.parked_until > now + LONG_WAIT)
		hubspot_find(diagnosis, HUBSPOT_TOPIC_THROTTLE, HUBSPOT_STATE_WARNING,
					 "Wait. If this happens often, others use the account's limit, too: lower the option rate_limit.",
					 "HubSpot has asked to wait; %s are left",
					 hubspot_duration_text((throttle.parked_until - now) / USECS_PER_SEC + 1));
	else if (limit == 0)
		hubspot_find(diagnosis, HUBSPOT_TOPIC_THROTTLE, HUBSPOT_STATE_OK, NULL,
					 "no limit: the option rate_limit is 0");
	else if (used > limit)
		hubspot_find(diagnosis, HUBSPOT_TOPIC_THROTTLE, HUBSPOT_STATE_OK, NULL,
					 "%d requests in 10 s, before rate_limit was lowered to %d: the next ones wait, %s",
					 used, limit, whose);
	else
		hubspot_find(diagnosis, HUBSPOT_TOPIC_THROTTLE, HUBSPOT_STATE_OK, NULL,
					 "%d of %d requests in 10 s, %s", used, limit, whose);
}

/* What this server lacked for sending. */
void
hubspot_check_resources(HubspotDiagnosis *diagnosis)
{
	HubspotFault *faults;
	int			nfaults = hubspot_faults(&faults);

	for (int i = 0; i < nfaults; i++)
	{
		const HubspotFault *fault = &faults[i];

		if (strncmp(fault->server, diagnosis->name, NAMEDATALEN - 1) != 0 ||
			!hubspot_may_know(diagnosis, fault->role))
			continue;
		hubspot_find(diagnosis, HUBSPOT_TOPIC_RESOURCES, HUBSPOT_STATE_PROBLEM,
					 "Check the disk, the memory and the descriptors of this server; its log has more.",
					 "the last attempt to send has failed with SQLSTATE %s%s%s",
					 unpack_sql_state(fault->sqlstate),
					 has_privs_of_role(diagnosis->user, fault->role) ? ": " : "",
					 has_privs_of_role(diagnosis->user, fault->role) ? fault->message : "");
	}
	hubspot_find(diagnosis, HUBSPOT_TOPIC_RESOURCES, HUBSPOT_STATE_OK, NULL,
				 "nothing that sending needs was lacking");
}
