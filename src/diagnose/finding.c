/*-------------------------------------------------------------------------
 *
 * finding.c
 *	  What is found out about an account and its outbox, topic by topic.
 *
 * IDENTIFICATION
 *	  src/diagnose/finding.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/acl.h"
#include "utils/memutils.h"

#include "diagnose/finding.h"

/*
 * How wide a column may be: with it, psql's table is no wider than 120
 * characters.  Words that are longer stay whole, to be copied.
 */
#define WIDTH		44

/* The most bytes of a text: others' words may be long. */
#define MAX_TEXT	600

/* What is left of it for the first finding of several. */
#define MAX_FIRST	(MAX_TEXT - 40)

/* How many findings of a topic are kept, to be shown. */
#define MAX_SHOWN	8

static void add_finding(HubspotFindings *findings, HubspotFinding *finding);
static const char *keep(const char *text, int most);

/*
 * A finding on a topic: one of several, if it is not OK.  The texts are copied; advice may be
 * NULL.
 */
void
hubspot_find(HubspotDiagnosis *diagnosis, HubspotTopic topic,
			 HubspotState state, const char *advice, const char *format,...)
{
	HubspotFindings *findings = &diagnosis->findings[topic];
	HubspotFinding *finding;
	MemoryContext old;
	StringInfoData detail;

	if (findings->count > 0 && state == HUBSPOT_STATE_OK)
		return;
	old = MemoryContextSwitchTo(diagnosis->context);
	initStringInfo(&detail);
	for (;;)
	{
		va_list		arguments;
		int			needed;

		va_start(arguments, format);
		needed = appendStringInfoVA(&detail, format, arguments);
		va_end(arguments);
		if (needed == 0)
			break;
		enlargeStringInfo(&detail, needed);
	}
	finding = palloc(sizeof(HubspotFinding));
	finding->state = state;
	finding->detail = keep(detail.data, MAX_TEXT);
	finding->advice = advice ? keep(advice, MAX_TEXT) : NULL;
	add_finding(findings, finding);
	MemoryContextSwitchTo(old);
}

/* Add a finding after those that are as bad or worse, unless it says what one of these says. */
static void
add_finding(HubspotFindings *findings, HubspotFinding *finding)
{
	int			place = 0;
	ListCell   *lc;

	if (findings->count > 0 && findings->state == HUBSPOT_STATE_OK)
	{
		findings->first = NIL;
		findings->count = 0;
	}
	foreach(lc, findings->first)
	{
		const HubspotFinding *other = lfirst(lc);

		if (strcmp(other->detail, finding->detail) == 0)
			return;
		if (other->state >= finding->state)
			place = foreach_current_index(lc) + 1;
	}
	findings->first = list_insert_nth(findings->first, place, finding);
	if (list_length(findings->first) > MAX_SHOWN)
		findings->first = list_delete_last(findings->first);
	findings->count++;
	findings->state = Max(findings->state, finding->state);
}

/*
 * What is shown of a topic that was looked at: the worst with its advice, and if there are
 * others, how many, and of these as many as fit.
 */
HubspotFinding
hubspot_shown_finding(const HubspotFindings *findings)
{
	HubspotFinding shown = *(const HubspotFinding *) linitial(findings->first);
	StringInfoData detail;
	ListCell   *lc;

	if (findings->count == 1)
		return shown;
	initStringInfo(&detail);
	appendStringInfo(&detail, "%s\n%d more:", keep(shown.detail, MAX_FIRST), findings->count - 1);
	for_each_from(lc, findings->first, 1)
		appendStringInfo(&detail, "\n- %s", ((const HubspotFinding *) lfirst(lc))->detail);
	if (findings->count > list_length(findings->first))
		appendStringInfoString(&detail, "\n...");
	shown.detail = keep(detail.data, MAX_TEXT);
	return shown;
}

/* A text, or its beginning and dots; palloc'd. */
static const char *
keep(const char *text, int most)
{
	int			len = strlen(text);

	if (len <= most)
		return pstrdup(text);
	return psprintf("%.*s...", pg_mbcliplen(text, len, most), text);
}

const char *
hubspot_topic_name(HubspotTopic topic)
{
	static const char *const names[] = {
		[HUBSPOT_TOPIC_SERVER] = "server",
		[HUBSPOT_TOPIC_HOST] = "host",
		[HUBSPOT_TOPIC_USAGE] = "usage",
		[HUBSPOT_TOPIC_LOGIN] = "login",
		[HUBSPOT_TOPIC_CONNECTION] = "connection",
		[HUBSPOT_TOPIC_TOKEN] = "token",
		[HUBSPOT_TOPIC_VERSION] = "api version",
		[HUBSPOT_TOPIC_SCOPES] = "scopes",
		[HUBSPOT_TOPIC_QUOTA] = "quota",
		[HUBSPOT_TOPIC_CLOCK] = "clock",
		[HUBSPOT_TOPIC_PRELOAD] = "preload",
		[HUBSPOT_TOPIC_WORKERS] = "workers",
		[HUBSPOT_TOPIC_THROTTLE] = "throttle",
		[HUBSPOT_TOPIC_RESOURCES] = "resources",
		[HUBSPOT_TOPIC_COPY] = "copy",
		[HUBSPOT_TOPIC_OBJECTS] = "objects",
		[HUBSPOT_TOPIC_SYNCS] = "syncs",
		[HUBSPOT_TOPIC_LABELS] = "labels",
		[HUBSPOT_TOPIC_TRIGGERS] = "triggers",
		[HUBSPOT_TOPIC_DRIFT] = "drift",
		[HUBSPOT_TOPIC_PAUSE] = "pause",
		[HUBSPOT_TOPIC_BACKOFF] = "back-off",
		[HUBSPOT_TOPIC_WAITING] = "waiting",
		[HUBSPOT_TOPIC_DEAD_LETTERS] = "dead letters",
		[HUBSPOT_TOPIC_UNSEEN] = "not seen"
	};

	return names[topic];
}

const char *
hubspot_state_name(HubspotState state)
{
	static const char *const names[] = {"ok", "warning", "problem"};

	return names[state];
}

/* A text in lines of WIDTH characters, broken at blanks; palloc'd. */
char *
hubspot_wrap(const char *text)
{
	char	   *wrapped = pstrdup(text);
	char	   *blank = NULL;	/* the last one in this line */
	int			width = 0;		/* of the line so far */
	int			since = 0;		/* of what comes after that blank */

	for (char *p = wrapped; *p != '\0'; p += pg_mblen(p))
	{
		if (*p == '\n')
		{
			blank = NULL;
			width = since = 0;
			continue;
		}
		if (*p == ' ')
		{
			if (width > WIDTH && blank)
			{
				*blank = '\n';
				width = since;
			}
			blank = p;
			since = -1;
		}
		width++;
		since++;
	}
	if (width > WIDTH && blank)
		*blank = '\n';
	return wrapped;
}

/* So many seconds in words, palloc'd. */
char *
hubspot_duration_text(int64 seconds)
{
	if (seconds < SECS_PER_MINUTE)
		return psprintf("%lld s", (long long) seconds);
	if (seconds < SECS_PER_HOUR)
		return psprintf("%lld min", (long long) (seconds / SECS_PER_MINUTE));
	if (seconds < 2 * SECS_PER_DAY)
		return psprintf("%lld h %lld min", (long long) (seconds / SECS_PER_HOUR),
						(long long) (seconds % SECS_PER_HOUR / SECS_PER_MINUTE));
	return psprintf("%lld days", (long long) (seconds / SECS_PER_DAY));
}

/* May the user know about what a role has?  The role may be gone. */
bool
hubspot_may_know(const HubspotDiagnosis *diagnosis, Oid role)
{
	return diagnosis->monitors || has_privs_of_role(diagnosis->user, role);
}

/* What to add to numbers if the user sees only a part. */
const char *
hubspot_whose(const HubspotDiagnosis *diagnosis)
{
	return diagnosis->monitors ? "" : " (of your roles; pg_monitor sees all)";
}
