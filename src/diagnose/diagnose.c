/*-------------------------------------------------------------------------
 *
 * diagnose.c
 *	  Why it does not work: all checks of a server.
 *
 * A check looks at one topic (or at a few that one request tells of), and notes
 * what it has found.  Each runs in a subtransaction: an ERROR is the finding of
 * its topic, with the message as what is so and the hint as what to do, and the
 * next check goes on.  So the checks of how a server is set up are those that
 * every call makes, and say the same.
 *
 * A check that needs what another one has not found is not made; the last
 * finding says so.  None changes anything, and all together send ten requests
 * at most (setup_check.c).
 *
 * IDENTIFICATION
 *	  src/diagnose/diagnose.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid_d.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/memutils.h"

#include "base/attempt.h"
#include "base/setting.h"
#include "diagnose/check.h"
#include "diagnose/diagnose.h"

/* What a check needs. */
typedef enum Need
{
	NEEDS_NOTHING,
	NEEDS_SERVER,				/* there is a server of that name */
	NEEDS_LEAVE,				/* the user may use the server, and its host
								 * is allowed */
	NEEDS_CLIENT,				/* there is a login */
	NEEDS_PEACE,				/* there is a login, and HubSpot has not asked
								 * to wait */
	NEEDS_ANSWER,				/* HubSpot answers, and accepts the token */
	NEEDS_SCHEMA				/* the extension's tables are there */
} Need;

typedef struct Check
{
	HubspotTopic topic;
	Need		need;
	void		(*check) (HubspotDiagnosis *diagnosis);
} Check;

/* A check that is made. */
typedef struct CheckRun
{
	HubspotDiagnosis *diagnosis;
	const Check *check;
} CheckRun;

/*
 * In this order: what the outbox holds is known before the check of why no
 * worker sends it, and whether HubSpot has asked to wait is known before it is
 * asked again.
 */
static const Check checks[] = {
	{HUBSPOT_TOPIC_SERVER, NEEDS_NOTHING, hubspot_check_server},
	{HUBSPOT_TOPIC_HOST, NEEDS_SERVER, hubspot_check_allowed_host},
	{HUBSPOT_TOPIC_USAGE, NEEDS_SERVER, hubspot_check_usage},
	{HUBSPOT_TOPIC_LOGIN, NEEDS_LEAVE, hubspot_check_login},
	{HUBSPOT_TOPIC_VERSION, NEEDS_SERVER, hubspot_check_version},
	{HUBSPOT_TOPIC_COPY, NEEDS_SCHEMA, hubspot_check_copy},
	{HUBSPOT_TOPIC_OBJECTS, NEEDS_SCHEMA, hubspot_check_objects},
	{HUBSPOT_TOPIC_SYNCS, NEEDS_SCHEMA, hubspot_check_syncs},
	{HUBSPOT_TOPIC_TRIGGERS, NEEDS_SCHEMA, hubspot_check_triggers},
	{HUBSPOT_TOPIC_DRIFT, NEEDS_SCHEMA, hubspot_check_drift},
	{HUBSPOT_TOPIC_PAUSE, NEEDS_SCHEMA, hubspot_check_pause},
	{HUBSPOT_TOPIC_BACKOFF, NEEDS_SCHEMA, hubspot_check_backoff},
	{HUBSPOT_TOPIC_WAITING, NEEDS_SCHEMA, hubspot_check_waiting},
	{HUBSPOT_TOPIC_DEAD_LETTERS, NEEDS_SCHEMA, hubspot_check_dead_letters},
	{HUBSPOT_TOPIC_PRELOAD, NEEDS_NOTHING, hubspot_check_preload},
	{HUBSPOT_TOPIC_WORKERS, NEEDS_NOTHING, hubspot_check_workers},
	{HUBSPOT_TOPIC_RESOURCES, NEEDS_NOTHING, hubspot_check_resources},
	{HUBSPOT_TOPIC_THROTTLE, NEEDS_CLIENT, hubspot_check_throttle},
	{HUBSPOT_TOPIC_TOKEN, NEEDS_PEACE, hubspot_check_account},
	{HUBSPOT_TOPIC_QUOTA, NEEDS_ANSWER, hubspot_check_quota},
	{HUBSPOT_TOPIC_LABELS, NEEDS_ANSWER, hubspot_check_labels}
};

static bool has_what_it_needs(const HubspotDiagnosis *diagnosis, Need need);
static void run_check(HubspotDiagnosis *diagnosis, const Check *check);
static void attempt_check(void *state);
static void note_error(HubspotDiagnosis *diagnosis, HubspotTopic topic,
					   const ErrorData *error);
static void note_unseen(HubspotDiagnosis *diagnosis);

/* Look at a server (NULL: that of hubspot_assoc.server) as the current user; palloc'd. */
HubspotDiagnosis *
hubspot_diagnose(const char *server)
{
	HubspotDiagnosis *diagnosis = palloc0(sizeof(HubspotDiagnosis));

	diagnosis->context = CurrentMemoryContext;
	diagnosis->name = pstrdup(server ? server : hubspot_server_setting);
	diagnosis->user = GetUserId();
	diagnosis->schema = hubspot_outbox_schema(true);
	diagnosis->monitors = has_privs_of_role(diagnosis->user, ROLE_PG_MONITOR) ||
		(diagnosis->schema && has_privs_of_role(diagnosis->user, diagnosis->schema->owner));
	for (size_t i = 0; i < lengthof(checks); i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (has_what_it_needs(diagnosis, checks[i].need))
			run_check(diagnosis, &checks[i]);
	}
	note_unseen(diagnosis);
	return diagnosis;
}

static bool
has_what_it_needs(const HubspotDiagnosis *diagnosis, Need need)
{
	switch (need)
	{
		case NEEDS_NOTHING:
			return true;
		case NEEDS_SERVER:
			return diagnosis->options != NULL;
		case NEEDS_LEAVE:
			return diagnosis->options != NULL &&
				diagnosis->findings[HUBSPOT_TOPIC_HOST].state == HUBSPOT_STATE_OK &&
				diagnosis->findings[HUBSPOT_TOPIC_USAGE].state == HUBSPOT_STATE_OK;
		case NEEDS_CLIENT:
			return diagnosis->client != NULL;
		case NEEDS_PEACE:
			return diagnosis->client != NULL &&
				diagnosis->findings[HUBSPOT_TOPIC_THROTTLE].state == HUBSPOT_STATE_OK;
		case NEEDS_ANSWER:
			return diagnosis->answered;
		case NEEDS_SCHEMA:
			return diagnosis->schema != NULL;
	}
	return false;
}

/* An ERROR of a check is what it has found; a cancel is thrown on. */
static void
run_check(HubspotDiagnosis *diagnosis, const Check *check)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "hubspot_assoc check",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	CheckRun	run = {diagnosis, check};
	const ErrorData *error = hubspot_attempt(attempt_check, &run);

	if (error)
		note_error(diagnosis, check->topic, error);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

static void
attempt_check(void *state)
{
	const CheckRun *run = state;

	run->check->check(run->diagnosis);
}

static void
note_error(HubspotDiagnosis *diagnosis, HubspotTopic topic, const ErrorData *error)
{
	hubspot_find(diagnosis, topic, HUBSPOT_STATE_PROBLEM, error->hint, "%s%s%s",
				 error->message, error->detail ? ". " : "", error->detail ? error->detail : "");
}

/* Say what was not looked at, because of what was found. */
static void
note_unseen(HubspotDiagnosis *diagnosis)
{
	StringInfoData unseen;

	initStringInfo(&unseen);
	for (int topic = 0; topic < HUBSPOT_TOPIC_UNSEEN; topic++)
	{
		if (diagnosis->findings[topic].count > 0)
			continue;
		appendStringInfo(&unseen, "%s%s", unseen.len > 0 ? ", " : "",
						 hubspot_topic_name(topic));
	}
	if (unseen.len > 0)
		hubspot_find(diagnosis, HUBSPOT_TOPIC_UNSEEN, HUBSPOT_STATE_WARNING,
					 "Fix what stands above, and look again.", "%s", unseen.data);
}
