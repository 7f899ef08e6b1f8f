/*-------------------------------------------------------------------------
 *
 * setup_check.c
 *	  How a server is set up: what can be told without a request.
 *
 * These are the checks that each call makes, with its ERRORs, which are caught
 * and become findings (diagnose.c).
 *
 * IDENTIFICATION
 *	  src/diagnose/setup_check.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "account/option.h"
#include "account/server.h"
#include "account/version_end.h"
#include "api/endpoint.h"
#include "base/setting.h"
#include "base/shown.h"
#include "diagnose/check.h"

/*
 * The most requests of a diagnosis.  One of them may be for a token, and one
 * with the next token after HubSpot has refused the first.
 */
#define MAX_REQUESTS	10

static const char *login_text(const HubspotOptions *options);
static HubspotClient *connect_quietly(const char *server);

/* Is there such a server? */
void
hubspot_check_server(HubspotDiagnosis *diagnosis)
{
	MemoryContext old;
	List	   *servers;
	ListCell   *lc;

	diagnosis->server = hubspot_get_server(diagnosis->name);
	/* the options are for the checks after this one, too */
	old = MemoryContextSwitchTo(diagnosis->context);
	servers = hubspot_all_servers();
	MemoryContextSwitchTo(old);
	foreach(lc, servers)
	{
		const HubspotOptions *options = lfirst(lc);

		if (options->server == diagnosis->server)
			diagnosis->options = options;
	}
	hubspot_find(diagnosis, HUBSPOT_TOPIC_SERVER, HUBSPOT_STATE_OK, NULL,
				 "\"%s\" is %s", diagnosis->name,
				 hubspot_shown(diagnosis->options->base_url));
}

/* Does hubspot_assoc.allowed_hosts allow its host? */
void
hubspot_check_allowed_host(HubspotDiagnosis *diagnosis)
{
	hubspot_check_host(diagnosis->name, diagnosis->options->base_url);
	hubspot_find(diagnosis, HUBSPOT_TOPIC_HOST, HUBSPOT_STATE_OK, NULL,
				 "hubspot_assoc.allowed_hosts allows it");
}

void
hubspot_check_usage(HubspotDiagnosis *diagnosis)
{
	(void) hubspot_get_usable_server(diagnosis->name, diagnosis->user);
	hubspot_find(diagnosis, HUBSPOT_TOPIC_USAGE, HUBSPOT_STATE_OK, NULL,
				 "role %s may use the server",
				 GetUserNameFromId(diagnosis->user, false));
}

/* Is there a user mapping, with a login that can be read? */
void
hubspot_check_login(HubspotDiagnosis *diagnosis)
{
	MemoryContext old = MemoryContextSwitchTo(diagnosis->context);
	HubspotClient *client = connect_quietly(diagnosis->name);

	MemoryContextSwitchTo(old);

	/* it is one look: a retry would be another request, and take its time */
	client->policy.max_retries = 0;
	client->policy.impatient = true;
	client->policy.max_requests = MAX_REQUESTS;
	diagnosis->client = client;
	hubspot_find(diagnosis, HUBSPOT_TOPIC_LOGIN, HUBSPOT_STATE_OK, NULL,
				 "%s, of %s mapping", login_text(client->options),
				 client->options->own_mapping ? "the role's own" : "PUBLIC's");
}

/* Connect without the warning of a version's end, which is a finding here. */
static HubspotClient *
connect_quietly(const char *server)
{
	int			nest = NewGUCNestLevel();
	HubspotClient *client;

	(void) set_config_option("hubspot_assoc.version_warnings", "off", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	client = hubspot_connect(server);
	AtEOXact_GUC(true, nest);
	return client;
}

static const char *
login_text(const HubspotOptions *options)
{
	if (options->client_id)
		return "OAuth";
	return options->access_token_file ? "a token in a file" : "a token";
}

/* How long is the version of the API supported? */
void
hubspot_check_version(HubspotDiagnosis *diagnosis)
{
	const char *version = diagnosis->options->api_version;
	bool		warns = hubspot_version_warnings;
	int			today = (int) (GetCurrentTimestamp() / USECS_PER_DAY) + POSTGRES_EPOCH_JDATE;
	int			end = hubspot_version_end(version);
	const char *advice = psprintf("ALTER SERVER %s OPTIONS (SET api_version '%s'); -- ADD if it has none",
								  quote_identifier(diagnosis->name),
								  hubspot_newest_version(today));
	int			year;
	int			month;
	int			day;

	j2date(end, &year, &month, &day);
	if (end <= today && warns)
		hubspot_find(diagnosis, HUBSPOT_TOPIC_VERSION, HUBSPOT_STATE_PROBLEM, advice,
					 "%s was supported until about %04d-%02d-%02d", version, year, month, day);
	else
		hubspot_find(diagnosis, HUBSPOT_TOPIC_VERSION,
					 end - today <= HUBSPOT_NEAR_END && warns ? HUBSPOT_STATE_WARNING : HUBSPOT_STATE_OK,
					 end - today <= HUBSPOT_NEAR_END && warns ? advice : NULL,
					 "%s is supported until about %04d-%02d-%02d", version, year, month, day);
}
