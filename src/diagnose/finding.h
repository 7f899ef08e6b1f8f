/*-------------------------------------------------------------------------
 *
 * finding.h
 *	  What is found out about an account and its outbox, topic by topic.
 *
 * IDENTIFICATION
 *	  src/diagnose/finding.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_DIAGNOSE_FINDING_H
#define HUBSPOT_DIAGNOSE_FINDING_H

#include "nodes/pg_list.h"

#include "account/client.h"
#include "schema/extension.h"

/* What is looked at, in the order in which it is shown. */
typedef enum HubspotTopic
{
	/* how the server is set up, and whether HubSpot answers */
	HUBSPOT_TOPIC_SERVER,
	HUBSPOT_TOPIC_HOST,
	HUBSPOT_TOPIC_USAGE,
	HUBSPOT_TOPIC_LOGIN,
	HUBSPOT_TOPIC_CONNECTION,
	HUBSPOT_TOPIC_TOKEN,
	HUBSPOT_TOPIC_VERSION,
	HUBSPOT_TOPIC_SCOPES,
	HUBSPOT_TOPIC_QUOTA,
	HUBSPOT_TOPIC_CLOCK,

	/* this PostgreSQL */
	HUBSPOT_TOPIC_PRELOAD,
	HUBSPOT_TOPIC_WORKERS,
	HUBSPOT_TOPIC_THROTTLE,
	HUBSPOT_TOPIC_RESOURCES,

	/* this database */
	HUBSPOT_TOPIC_COPY,
	HUBSPOT_TOPIC_OBJECTS,
	HUBSPOT_TOPIC_SYNCS,
	HUBSPOT_TOPIC_LABELS,
	HUBSPOT_TOPIC_TRIGGERS,
	HUBSPOT_TOPIC_DRIFT,
	HUBSPOT_TOPIC_PAUSE,
	HUBSPOT_TOPIC_BACKOFF,
	HUBSPOT_TOPIC_WAITING,
	HUBSPOT_TOPIC_DEAD_LETTERS,

	/* what could not be looked at, because of one of those */
	HUBSPOT_TOPIC_UNSEEN
} HubspotTopic;

#define HUBSPOT_NTOPICS	(HUBSPOT_TOPIC_UNSEEN + 1)

typedef enum HubspotState
{
	HUBSPOT_STATE_OK,
	HUBSPOT_STATE_WARNING,
	HUBSPOT_STATE_PROBLEM
} HubspotState;

typedef struct HubspotFinding
{
	HubspotState state;
	const char *detail;			/* what is so */
	const char *advice;			/* what to do; NULL: nothing */
} HubspotFinding;

/* All that was found on a topic. */
typedef struct HubspotFindings
{
	HubspotState state;			/* the worst */
	int			count;			/* 0: it was not looked at */
	List	   *first;			/* the worst of them, which are shown */
} HubspotFindings;

/* A look at a server, by a role; see diagnose.c. */
typedef struct HubspotDiagnosis
{
	MemoryContext context;		/* of the findings, and of all below */
	const char *name;			/* of the server, whether there is one or not */
	Oid			user;			/* who asks */
	bool		monitors;		/* the user may know how much others have */
	HubspotFindings findings[HUBSPOT_NTOPICS];

	/* what the checks have come to know */
	Oid			server;			/* or InvalidOid */
	const HubspotOptions *options;	/* of the server alone, or NULL */
	HubspotClient *client;		/* or NULL */
	bool		answered;		/* HubSpot has, and accepts the token */
	const HubspotSchema *schema;	/* or NULL */
	bool		in_use;			/* tables are in sync, or rows wait */
	int64		overdue;		/* seconds that a row is overdue; 0: none */
} HubspotDiagnosis;

extern void hubspot_find(HubspotDiagnosis *diagnosis, HubspotTopic topic,
						 HubspotState state, const char *advice,
						 const char *format,...) pg_attribute_printf(5, 6);
extern HubspotFinding hubspot_shown_finding(const HubspotFindings *findings);
extern const char *hubspot_topic_name(HubspotTopic topic);
extern const char *hubspot_state_name(HubspotState state);
extern char *hubspot_wrap(const char *text);
extern char *hubspot_duration_text(int64 seconds);
extern bool hubspot_may_know(const HubspotDiagnosis *diagnosis, Oid role);
extern const char *hubspot_whose(const HubspotDiagnosis *diagnosis);

#endif							/* HUBSPOT_DIAGNOSE_FINDING_H */
