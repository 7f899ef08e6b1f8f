/*-------------------------------------------------------------------------
 *
 * drift_check.c
 *	  What workers have found by comparing tables in sync with HubSpot.
 *
 * IDENTIFICATION
 *	  src/diagnose/drift_check.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/acl.h"
#include "utils/builtins.h"

#include "diagnose/check.h"
#include "schema/prepared.h"
#include "sync/config.h"

/* A comparison is not late before it is this many seconds overdue. */
#define LATE		60

enum
{
	VERIFY_SYNC,
	VERIFY_PERIOD,				/* in seconds, and the next two */
	VERIFY_TOOK,
	VERIFY_AGE,
	VERIFY_FAILURES,
	VERIFY_ERROR,
	VERIFY_HELD_BACK,
	VERIFY_OPEN,
	VERIFY_CONTESTED,
	VERIFY_LAST_AGE,			/* since a pass has ended, or null: none has */
	VERIFY_UNKNOWN				/* in that pass */
};

static HubspotStatement verify_statement = {
	.text =
	"SELECT s.sync, extract(epoch FROM s.verify)::int8, extract(epoch FROM greatest("
	"  s.last_ended_at - s.last_began_at,"
	"  CASE WHEN s.failures = 0 THEN clock_timestamp() - s.began_at END))::int8,"
	" extract(epoch FROM clock_timestamp() - coalesce(s.last_ended_at, c.enabled_at))::int8,"
	" s.failures, v.error_message, s.held_back, s.open, s.contested,"
	" extract(epoch FROM clock_timestamp() - s.last_ended_at)::int8, s.last_unknown"
	" FROM %1$s.hs_assoc_verify_stat AS s JOIN %1$s.hs_assoc_sync_config AS c ON c.id = s.sync"
	" LEFT JOIN %1$s.hs_assoc_verify AS v ON v.sync = s.sync"
};

/* What is wrong with comparing a table, the worst first */
typedef enum DriftWeight
{
	NOT_COMPARABLE,
	NOT_COMPARED,
	TOO_SLOW,
	HELD_BACK,
	LEFT_ALONE,
	DIFFERS,
	NOT_KNOWN
} DriftWeight;

typedef struct Drift
{
	DriftWeight weight;
	int			number;			/* in the order of the syncs */
	const char *detail;
	const char *advice;
} Drift;

static const char *compared_text(int ncompared, int nfirst, int64 oldest);
static List *check_verify(const HubspotDiagnosis *diagnosis, const HubspotSync *sync,
						  const HubspotRow *row, List *drifts);
static List *add_drift(List *drifts, DriftWeight weight, const char *detail, const char *advice);
static int	compare_drifts(const ListCell *a, const ListCell *b);
static void find_drifts(HubspotDiagnosis *diagnosis, List *drifts);

/* What have workers found by comparing tables with HubSpot, and are they able to? */
void
hubspot_check_drift(HubspotDiagnosis *diagnosis)
{
	HubspotRows rows;
	int			ncompared = 0;
	int			nfirst = 0;		/* syncs whose first pass has not ended yet */
	int64		oldest = 0;
	List	   *drifts = NIL;
	ListCell   *lc;

	hubspot_query(&verify_statement, NULL, &rows);
	foreach(lc, hubspot_visible_syncs(diagnosis, diagnosis->name))
	{
		const HubspotSync *sync = lfirst(lc);

		for (uint64 i = 0; i < rows.count; i++)
		{
			HubspotRow	row;

			hubspot_read_row(&rows, i, &row);
			if (hubspot_get_int32(&row, VERIFY_SYNC) != sync->id)
				continue;
			ncompared++;
			if (row.isnull[VERIFY_LAST_AGE])
				nfirst++;
			else
				oldest = Max(oldest, hubspot_get_int64(&row, VERIFY_LAST_AGE));
			drifts = check_verify(diagnosis, sync, &row, drifts);
		}
	}
	hubspot_rows_free(&rows);
	if (drifts)
		find_drifts(diagnosis, drifts);
	else
		hubspot_find(diagnosis, HUBSPOT_TOPIC_DRIFT, HUBSPOT_STATE_OK, NULL,
					 "%s%s", compared_text(ncompared, nfirst, oldest), hubspot_whose(diagnosis));
}

static const char *
compared_text(int ncompared, int nfirst, int64 oldest)
{
	if (ncompared == 0)
		return "no sync has verify, by which its table is compared with HubSpot";
	if (nfirst == ncompared)
		return psprintf("syncs that are compared with HubSpot: %d, none to its end yet", ncompared);
	return psprintf("syncs that are compared with HubSpot: %d%s; no difference was found by the last passes, the oldest of which ended %s ago",
					ncompared,
					nfirst == 0 ? "" : psprintf(", %d of them not to the end yet", nfirst),
					hubspot_duration_text(oldest));
}

/* Add what is wrong with comparing a table. */
static List *
check_verify(const HubspotDiagnosis *diagnosis, const HubspotSync *sync, const HubspotRow *row,
			 List *drifts)
{
	const char *table = hubspot_table_text(sync);
	int64		period = hubspot_get_int64(row, VERIFY_PERIOD);
	int64		took = hubspot_get_int64(row, VERIFY_TOOK);
	int64		age = hubspot_get_int64(row, VERIFY_AGE);
	const char *error = hubspot_get_text(row, VERIFY_ERROR);
	const char *held_back = hubspot_get_text(row, VERIFY_HELD_BACK);
	int64		open = hubspot_get_int64(row, VERIFY_OPEN);
	const char *name = quote_literal_cstr(table);
	const char *repair = psprintf("See hs_assoc_drift_log. SELECT hs_assoc_repair(%s) enqueues what HubSpot lacks, and with mode => 'mirror' also removals.",
								  name);

	if (hubspot_get_int32(row, VERIFY_FAILURES) > 0)
		drifts = add_drift(drifts, NOT_COMPARABLE,
						   psprintf("table %s cannot be compared with HubSpot: %s", table,
									error && has_privs_of_role(diagnosis->user, sync->role) ? error :
									"its role can see why"),
						   "It is tried again, later each time. See hs_assoc_verify_stat.");
	else if (took > period)
		drifts = add_drift(drifts, TOO_SLOW,
						   psprintf("comparing table %s takes %s, and verify is %s", table,
									hubspot_duration_text(took), hubspot_duration_text(period)),
						   "Enable the sync anew with a longer verify, or raise the server's rate_limit, if HubSpot allows that.");
	else if (age > 2 * period + LATE)
		drifts = add_drift(drifts, NOT_COMPARED,
						   psprintf("table %s has not been compared for %s, and verify is %s", table,
									hubspot_duration_text(age), hubspot_duration_text(period)),
						   "See the topics workers and pause.");
	if (held_back)
		drifts = add_drift(drifts, HELD_BACK,
						   psprintf("nothing of table %s was put right: %s", table, held_back),
						   psprintf("See hs_assoc_drift_log. SELECT hs_assoc_repair(%s, mode => 'mirror', max_removals => ...) puts it right.",
									name));
	if (hubspot_get_int64(row, VERIFY_CONTESTED) > 0)
		drifts = add_drift(drifts, LEFT_ALONE,
						   psprintf("differences of table %s that came back after two repairs, and are left alone: %lld",
									table, (long long) hubspot_get_int64(row, VERIFY_CONTESTED)),
						   repair);
	if (open > 0)
		drifts = add_drift(drifts, DIFFERS,
						   psprintf("HubSpot differs from table %s: %lld %s", table, (long long) open,
									open == 1 ? "difference" : "differences"),
						   repair);

	/* records that people call by their keys may come later */
	if (hubspot_get_int64(row, VERIFY_UNKNOWN) > 0 &&
		strchr(sync->from_type, ':') == NULL && strchr(sync->to_type, ':') == NULL)
		drifts = add_drift(drifts, NOT_KNOWN,
						   psprintf("records or rows of table %s that the last pass could not compare: %lld",
									table, (long long) hubspot_get_int64(row, VERIFY_UNKNOWN)),
						   psprintf("SELECT * FROM hs_assoc_drift(%s) WHERE action IN ('unreadable', 'unresolved') says which, and why.",
									name));
	return drifts;
}

static List *
add_drift(List *drifts, DriftWeight weight, const char *detail, const char *advice)
{
	Drift	   *drift = palloc(sizeof(Drift));

	drift->weight = weight;
	drift->number = list_length(drifts);
	drift->detail = detail;
	drift->advice = advice;
	return lappend(drifts, drift);
}

static int
compare_drifts(const ListCell *a, const ListCell *b)
{
	const Drift *one = lfirst(a);
	const Drift *other = lfirst(b);

	if (one->weight != other->weight)
		return one->weight < other->weight ? -1 : 1;
	return one->number < other->number ? -1 : 1;
}

/* The worst first, and likewise in the order of the syncs. */
static void
find_drifts(HubspotDiagnosis *diagnosis, List *drifts)
{
	ListCell   *lc;

	list_sort(drifts, compare_drifts);
	foreach(lc, drifts)
	{
		const Drift *drift = lfirst(lc);

		hubspot_find(diagnosis, HUBSPOT_TOPIC_DRIFT, HUBSPOT_STATE_WARNING, drift->advice,
					 "%s", drift->detail);
	}
}
