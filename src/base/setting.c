/*-------------------------------------------------------------------------
 *
 * setting.c
 *	  The settings hubspot_assoc.*.
 *
 * IDENTIFICATION
 *	  src/base/setting.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/guc.h"

#include "base/host.h"
#include "base/setting.h"
#include "base/shown.h"

int			hubspot_progress_interval = 10000;
int			hubspot_workers = 4;
int			hubspot_poll_interval = 60000;
int			hubspot_max_accounts = 64;
int			hubspot_max_requests = 0;
bool		hubspot_version_warnings = true;
char	   *hubspot_server_setting = NULL;
char	   *hubspot_instance = NULL;
bool		hubspot_hold_after_promotion = false;
static char *allowed_hosts_setting = NULL;

static bool check_allowed_hosts(char **newval, void **extra, GucSource source);
static bool check_instance(char **newval, void **extra, GucSource source);

void
hubspot_define_settings(void)
{
	DefineCustomStringVariable("hubspot_assoc.server",
							   "Foreign server of the functions hs_assoc_* if their argument names none.",
							   NULL, &hubspot_server_setting, "hubspot",
							   PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("hubspot_assoc.allowed_hosts",
							   "Hosts that a server's base_url may name.",
							   "A comma-separated list; *.example.com stands for every host below example.com.",
							   &allowed_hosts_setting,
							   "*.hubapi.com, localhost, 127.0.0.1, [::1]",
							   PGC_SUSET, GUC_LIST_INPUT,
							   check_allowed_hosts, NULL, NULL);
	DefineCustomIntVariable("hubspot_assoc.progress_interval",
							"Time between notices of a batch function's progress.",
							"0 turns them off.",
							&hubspot_progress_interval, 10000, 0, INT_MAX,
							PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("hubspot_assoc.max_requests",
							"Maximum number of requests that a statement sends.",
							"One more is an ERROR. 0 means no limit; the outbox has none.",
							&hubspot_max_requests, 0, 0, INT_MAX,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("hubspot_assoc.workers",
							"Maximum number of background workers that send outboxes, of all databases together.",
							"0 means that none is started, not even by a commit where the library is not preloaded.",
							&hubspot_workers, 4, 0, 1000,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("hubspot_assoc.poll_interval",
							"How often the outbox of a database is looked at if no commit wakes a worker.",
							"Rows that are written without firing triggers wake none.",
							&hubspot_poll_interval, 60000, 10, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomBoolVariable("hubspot_assoc.version_warnings",
							 "Whether to warn of versions of HubSpot's API that are about to end.",
							 "A session is warned once for each server.",
							 &hubspot_version_warnings, true,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("hubspot_assoc.instance",
							   "Name of this server, by which a clone of its data directory knows that it is a different server.",
							   "If it is not what it was when a database began to send, that database sends nothing.",
							   &hubspot_instance, "",
							   PGC_SIGHUP, 0, check_instance, NULL, NULL);
	DefineCustomBoolVariable("hubspot_assoc.hold_after_promotion",
							 "Whether databases send nothing after the server was promoted, or restored to an earlier time.",
							 "They do again when hs_assoc_adopt is called in them.",
							 &hubspot_hold_after_promotion, false,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	/* the size of shared memory cannot change later */
	if (process_shared_preload_libraries_in_progress)
		DefineCustomIntVariable("hubspot_assoc.max_accounts",
								"Maximum number of accounts whose throttle, statistics and OAuth access token are in shared memory.",
								NULL, &hubspot_max_accounts, 64, 1, 10000,
								PGC_POSTMASTER, 0, NULL, NULL, NULL);
	MarkGUCPrefixReserved("hubspot_assoc");
}

/* Each entry is a host, or *. and a domain. */
static bool
check_allowed_hosts(char **newval, void **extra, GucSource source)
{
	const char *bad = hubspot_bad_host_pattern(pstrdup(*newval));

	if (bad)
		GUC_check_errdetail("\"%s\" is neither a host name nor *. and a domain.",
							hubspot_shown(bad));
	return bad == NULL;
}

/* ASCII only, since it is stored in databases of any encoding. */
static bool
check_instance(char **newval, void **extra, GucSource source)
{
	const char *p = *newval;

	while (*p >= ' ' && *p <= '~')
		p++;
	if (*p == '\0' && p - *newval < NAMEDATALEN)
		return true;
	GUC_check_errdetail("It must consist of at most %d printable ASCII characters.",
						NAMEDATALEN - 1);
	return false;
}

/*
 * Refuse a URL that is valid otherwise, but whose host
 * hubspot_assoc.allowed_hosts does not allow.  name is the server's, or NULL
 * while it is being created.
 */
void
hubspot_check_host(const char *name, const char *base_url)
{
	static const char *const schemes[] = {"https", "http", NULL};
	const char *scheme;
	char	   *host = hubspot_url_host(base_url, schemes, &scheme);

	Assert(host != NULL);
	if (hubspot_host_matches(host, pstrdup(allowed_hosts_setting)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 name ? errmsg("host \"%s\" of server \"%s\" is not allowed", hubspot_shown(host), name) :
			 errmsg("host \"%s\" is not allowed", hubspot_shown(host)),
			 errdetail("The setting hubspot_assoc.allowed_hosts allows \"%s\".",
					   allowed_hosts_setting),
			 errhint("A superuser can add the host to that setting.")));
}
