/*-------------------------------------------------------------------------
 *
 * version_end.c
 *	  A warning to users of a version of HubSpot's API that is about to end.
 *
 * It comes once a session for each server and version; that of a worker is in
 * the log.
 *
 * IDENTIFICATION
 *	  src/account/version_end.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "nodes/pg_list.h"
#include "utils/datetime.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "account/version_end.h"
#include "api/endpoint.h"
#include "base/setting.h"

/*
 * A version that this session was warned of; there are no more of these than it
 * has used.
 */
typedef struct Warned
{
	Oid			server;
	int			end;			/* of the version */
} Warned;

static List *warned_list = NIL;

static bool was_warned(Oid server, int end);
static void note_warned(Oid server, int end);
static char *day_text(int day);

/* Warn if the server's version ends soon, or should have ended. */
void
hubspot_warn_of_version_end(const HubspotOptions *options)
{
	int			end = hubspot_version_end(options->api_version);
	int			today = (int) (GetCurrentTransactionStartTimestamp() / USECS_PER_DAY) +
	POSTGRES_EPOCH_JDATE;

	if (end - today > HUBSPOT_NEAR_END || !hubspot_version_warnings ||
		was_warned(options->server, end))
		return;
	note_warned(options->server, end);
	ereport(WARNING,
			(errcode(ERRCODE_WARNING_DEPRECATED_FEATURE),
			 end > today ?
			 errmsg("version \"%s\" of HubSpot's API, which server \"%s\" uses, is supported until about %s",
					options->api_version, options->server_name, day_text(end)) :
			 errmsg("version \"%s\" of HubSpot's API, which server \"%s\" uses, was supported until about %s",
					options->api_version, options->server_name, day_text(end)),
			 errhint("Set the option api_version of the server to a newer one, such as \"%s\".",
					 hubspot_newest_version(today))));
}

static bool
was_warned(Oid server, int end)
{
	ListCell   *lc;

	foreach(lc, warned_list)
	{
		const Warned *warned = lfirst(lc);

		if (warned->server == server && warned->end == end)
			return true;
	}
	return false;
}

static void
note_warned(Oid server, int end)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	Warned	   *warned = palloc(sizeof(Warned));

	warned->server = server;
	warned->end = end;
	warned_list = lappend(warned_list, warned);
	MemoryContextSwitchTo(old);
}

static char *
day_text(int day)
{
	int			year;
	int			month;
	int			mday;

	j2date(day, &year, &month, &mday);
	return psprintf("%04d-%02d-%02d", year, month, mday);
}
