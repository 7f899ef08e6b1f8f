/*-------------------------------------------------------------------------
 *
 * outbox_check.c
 *	  The outbox of a server: what waits, what does not go, and why.
 *
 * Numbers are of all roles for those who may know them (pg_monitor, the
 * extension's owner), else of the roles whose privileges the user has.  Words
 * of HubSpot's about rows, which may name records, are shown for those roles
 * alone.
 *
 * IDENTIFICATION
 *	  src/diagnose/outbox_check.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "diagnose/check.h"
#include "outbox/waiting.h"
#include "schema/origin.h"
#include "schema/prepared.h"

/* How long a row may be overdue before that is said, in seconds. */
#define LONG_OVERDUE	600

/* The parameters of all statements here */
enum
{
	ABOUT_SERVER,
	ABOUT_USER,
	ABOUT_ALL_ROLES
};

#define PARAMETER_TYPES	{TEXTOID, OIDOID, BOOLOID}
#define VISIBLE(alias) \
	" ($3 OR pg_has_role($2, " alias ".role::oid, 'USAGE')) "

enum
{
	WAITING_COUNT,
	WAITING_RETRYING,
	WAITING_MISSING,
	WAITING_OVERDUE
};

static HubspotStatement waiting_statement = {
	.text =
	"SELECT count(*), count(*) FILTER (WHERE attempts > 0), count(*) FILTER (WHERE waited > '0'),"
	" greatest(0, extract(epoch FROM clock_timestamp() - min(not_before)))::int8"
	" FROM %1$s.hs_assoc_outbox AS o WHERE server = $1 AND" VISIBLE("o"),
	.types = PARAMETER_TYPES
};

enum
{
	PUT_OFF_COUNT,
	PUT_OFF_STATUS,
	PUT_OFF_CATEGORY,
	PUT_OFF_MESSAGE
};

/* How many rows are put off for what is not their failure, and why the first of them is. */
static HubspotStatement put_off_statement = {
	.text =
	"SELECT g.number, o.http_status, o.error_category,"
	" CASE WHEN pg_has_role($2, o.role::oid, 'USAGE') THEN o.error_message END"
	" FROM (SELECT count(*) AS number, min(id) AS first FROM %1$s.hs_assoc_outbox AS r"
	"  WHERE server = $1 AND" HUBSPOT_SQL_PUT_OFF("r") "AND" VISIBLE("r") ") AS g"
	" JOIN %1$s.hs_assoc_outbox AS o ON o.id = g.first",
	.types = PARAMETER_TYPES
};

enum
{
	DEAD_COUNT,
	DEAD_CATEGORY,
	DEAD_OF_CATEGORY,
	DEAD_MESSAGE
};

static HubspotStatement dead_statement = {
	.text =
	"SELECT g.*, (SELECT error_message FROM %1$s.hs_assoc_dead_letter AS n"
	" WHERE server = $1 AND error_category IS NOT DISTINCT FROM g.category AND pg_has_role($2, role::oid, 'USAGE')"
	" ORDER BY died_at DESC, id DESC LIMIT 1)"
	" FROM (SELECT (sum(count(*)) OVER ())::int8, error_category AS category, count(*)"
	" FROM %1$s.hs_assoc_dead_letter AS d WHERE server = $1 AND" VISIBLE("d")
	"GROUP BY error_category ORDER BY count(*) DESC, error_category LIMIT 1) AS g",
	.types = PARAMETER_TYPES
};

enum
{
	BACKOFF_SINCE,
	BACKOFF_LEFT,
	BACKOFF_FAILURES,
	BACKOFF_CATEGORY,
	BACKOFF_MESSAGE
};

static HubspotStatement backoff_statement = {
	.text =
	"SELECT greatest(0, extract(epoch FROM clock_timestamp() - since))::int8,"
	" greatest(0, extract(epoch FROM retry_at - clock_timestamp()))::int8, failures, error_category,"
	" CASE WHEN pg_has_role($2, role::oid, 'USAGE') THEN error_message END"
	" FROM %1$s.hs_assoc_backoff AS b WHERE server = $1 AND" VISIBLE("b")
	"ORDER BY since LIMIT 1",
	.types = PARAMETER_TYPES
};

enum
{
	PAUSE_SINCE
};

static HubspotStatement pause_statement = {
	.text =
	"SELECT greatest(0, extract(epoch FROM clock_timestamp() - since))::int8"
	" FROM %1$s.hs_assoc_account_pause WHERE server = $1",
	.types = {TEXTOID}
};

/* Without one of these, the outbox is slow, or is not looked at in time. */
static const struct
{
	const char *name;
	const char *definition;
}			indexes[] = {
	{"hs_assoc_outbox_pkey", "ALTER TABLE hs_assoc_outbox ADD PRIMARY KEY (id);"},
	{"hs_assoc_outbox_due_idx", "CREATE INDEX hs_assoc_outbox_due_idx ON hs_assoc_outbox (server, role, not_before, id);"},
	{"hs_assoc_outbox_pair_idx", "CREATE INDEX hs_assoc_outbox_pair_idx ON hs_assoc_outbox (hs_assoc_pair(server, from_type, from_id, to_type, to_id), id);"},
	{"hs_assoc_outbox_keyed_idx", "CREATE INDEX hs_assoc_outbox_keyed_idx ON hs_assoc_outbox (server, operation, waited, enqueued_at) WHERE waited IS NOT NULL;"},
	{"hs_assoc_outbox_unasked_idx", "CREATE INDEX hs_assoc_outbox_unasked_idx ON hs_assoc_outbox (server, id) WHERE waited = '0';"},
	{"hs_assoc_history_batch_keep_until_idx", "CREATE INDEX hs_assoc_history_batch_keep_until_idx ON hs_assoc_history_batch (keep_until);"},
	{"hs_assoc_dead_letter_pkey", "ALTER TABLE hs_assoc_dead_letter ADD PRIMARY KEY (id);"},
	{"hs_assoc_dead_letter_server_idx", "CREATE INDEX hs_assoc_dead_letter_server_idx ON hs_assoc_dead_letter (server, died_at);"},
	{"hs_assoc_dead_letter_pair_idx", "CREATE INDEX hs_assoc_dead_letter_pair_idx ON hs_assoc_dead_letter (hs_assoc_pair(server, from_type, from_id, to_type, to_id));"}
};

static const char *const wake_triggers[] = {
	"hs_assoc_outbox_wake", "hs_assoc_outbox_backdated", "hs_assoc_outbox_moved"
};

static bool query_row(HubspotDiagnosis *diagnosis, HubspotStatement *statement,
					  HubspotRow *row);
static bool find_put_off(HubspotDiagnosis *diagnosis);
static bool has_index(const HubspotSchema *schema, const char *name);
static bool has_trigger(const TriggerDesc * triggers, const char *name);

/* The first row of a statement about the server; false: it has none. */
static bool
query_row(HubspotDiagnosis *diagnosis, HubspotStatement *statement, HubspotRow *row)
{
	HubspotValues values = {0};
	HubspotRows rows;

	hubspot_set_text(&values, ABOUT_SERVER, diagnosis->name);
	if (statement != &pause_statement)
	{
		hubspot_set_oid(&values, ABOUT_USER, diagnosis->user);
		hubspot_set_bool(&values, ABOUT_ALL_ROLES, diagnosis->monitors);
	}
	hubspot_query(statement, &values, &rows);
	if (rows.count == 0)
	{
		memset(row, 0, sizeof(HubspotRow));
		return false;
	}
	/* its memory goes with the check */
	hubspot_read_row(&rows, 0, row);
	return true;
}

/* Is this the database that sends, or a copy of it? */
void
hubspot_check_copy(HubspotDiagnosis *diagnosis)
{
	const char *problem = hubspot_origin_problem();

	if (problem && !hubspot_origin_is_open())
		hubspot_find(diagnosis, HUBSPOT_TOPIC_COPY, HUBSPOT_STATE_PROBLEM,
					 "If it is to send, give its user mappings the tokens that it is to use, and then SELECT hs_assoc_adopt('discard'), or hs_assoc_adopt('send') to send what waits, too.",
					 "%s", problem);
	else
		hubspot_find(diagnosis, HUBSPOT_TOPIC_COPY, HUBSPOT_STATE_OK, NULL,
					 "this database is not a copy of one that sends");
}

/* Are the indexes and triggers of the outbox there? */
void
hubspot_check_objects(HubspotDiagnosis *diagnosis)
{
	Relation	outbox = table_open(diagnosis->schema->outbox, AccessShareLock);

	for (size_t i = 0; i < lengthof(indexes); i++)
	{
		if (!has_index(diagnosis->schema, indexes[i].name))
			hubspot_find(diagnosis, HUBSPOT_TOPIC_OBJECTS, HUBSPOT_STATE_PROBLEM,
						 psprintf("%s (with the schema of the extension)", indexes[i].definition),
						 "index %s is missing or not valid: sending is slow", indexes[i].name);
	}
	for (size_t i = 0; i < lengthof(wake_triggers); i++)
	{
		if (!has_trigger(outbox->trigdesc, wake_triggers[i]))
			hubspot_find(diagnosis, HUBSPOT_TOPIC_OBJECTS, HUBSPOT_STATE_PROBLEM,
						 "ALTER TABLE hs_assoc_outbox ENABLE TRIGGER ALL; if it is missing, create it as the extension's script does.",
						 "trigger %s is disabled or missing: workers are not woken", wake_triggers[i]);
	}
	table_close(outbox, AccessShareLock);
	hubspot_find(diagnosis, HUBSPOT_TOPIC_OBJECTS, HUBSPOT_STATE_OK, NULL,
				 "the outbox has its indexes and triggers");
}

static bool
has_index(const HubspotSchema *schema, const char *name)
{
	Oid			index = hubspot_own_relation(schema, name);
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	bool		valid;

	if (!HeapTupleIsValid(tuple))
		return false;
	valid = ((Form_pg_index) GETSTRUCT(tuple))->indisvalid;
	ReleaseSysCache(tuple);
	return valid;
}

static bool
has_trigger(const TriggerDesc * triggers, const char *name)
{
	for (int i = 0; triggers && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (strcmp(trigger->tgname, name) == 0)
			return trigger->tgenabled != TRIGGER_DISABLED &&
				trigger->tgenabled != TRIGGER_FIRES_ON_REPLICA;
	}
	return false;
}

void
hubspot_check_pause(HubspotDiagnosis *diagnosis)
{
	HubspotRow	row;

	if (query_row(diagnosis, &pause_statement, &row))
		hubspot_find(diagnosis, HUBSPOT_TOPIC_PAUSE, HUBSPOT_STATE_WARNING,
					 psprintf("SELECT hs_assoc_resume(%s);", quote_literal_cstr(diagnosis->name)),
					 "hs_assoc_pause has stopped the outbox, %s ago",
					 hubspot_duration_text(hubspot_get_int64(&row, PAUSE_SINCE)));
	else
		hubspot_find(diagnosis, HUBSPOT_TOPIC_PAUSE, HUBSPOT_STATE_OK, NULL,
					 "nobody has paused the outbox");
}

/* Does the account wait after failures? */
void
hubspot_check_backoff(HubspotDiagnosis *diagnosis)
{
	HubspotRow	row;
	const char *message;

	if (!query_row(diagnosis, &backoff_statement, &row))
	{
		hubspot_find(diagnosis, HUBSPOT_TOPIC_BACKOFF, HUBSPOT_STATE_OK, NULL,
					 "the outbox does not wait after a failure%s", hubspot_whose(diagnosis));
		return;
	}
	message = hubspot_get_text(&row, BACKOFF_MESSAGE);
	hubspot_find(diagnosis, HUBSPOT_TOPIC_BACKOFF, HUBSPOT_STATE_PROBLEM,
				 psprintf("Fix the cause; SELECT hs_assoc_resume(%s) tries at once.",
						  quote_literal_cstr(diagnosis->name)),
				 "nothing could be sent for %s, the next attempt is in %s: %s%s%s",
				 hubspot_duration_text(hubspot_get_int64(&row, BACKOFF_SINCE)),
				 hubspot_duration_text(hubspot_get_int64(&row, BACKOFF_LEFT)),
				 row.isnull[BACKOFF_CATEGORY] ? "no category" : hubspot_get_text(&row, BACKOFF_CATEGORY),
				 message ? ": " : "", message ? message : "");
}

/* How much waits, and for how long has the oldest row been due? */
void
hubspot_check_waiting(HubspotDiagnosis *diagnosis)
{
	HubspotRow	row;
	int64		count;
	int64		missing;
	bool		put_off;
	const char *rows;

	(void) query_row(diagnosis, &waiting_statement, &row);
	count = hubspot_get_int64(&row, WAITING_COUNT);
	missing = hubspot_get_int64(&row, WAITING_MISSING);
	rows = psprintf("%lld %s", (long long) count, count == 1 ? "row" : "rows");
	diagnosis->in_use |= (count > 0);
	diagnosis->overdue = hubspot_get_int64(&row, WAITING_OVERDUE);
	put_off = count > 0 && find_put_off(diagnosis);
	if (diagnosis->overdue > LONG_OVERDUE)
		hubspot_find(diagnosis, HUBSPOT_TOPIC_WAITING, HUBSPOT_STATE_WARNING,
					 "See the rows above and hs_assoc_outbox_stat; if all is well there, it is the rate limit.",
					 "%s, the first due for %s%s", rows,
					 hubspot_duration_text(diagnosis->overdue), hubspot_whose(diagnosis));
	else if (put_off)
		return;
	else if (count > 0)
		hubspot_find(diagnosis, HUBSPOT_TOPIC_WAITING, HUBSPOT_STATE_OK, NULL,
					 "%s, %lld after a failed attempt%s%s", rows,
					 (long long) hubspot_get_int64(&row, WAITING_RETRYING),
					 missing == 0 ? "" : psprintf(", %lld for records that HubSpot does not have",
												  (long long) missing),
					 hubspot_whose(diagnosis));
	else
		hubspot_find(diagnosis, HUBSPOT_TOPIC_WAITING, HUBSPOT_STATE_OK, NULL,
					 "nothing waits%s", hubspot_whose(diagnosis));
}

/* Find rows that are put off for what is not their failure; false: there are none. */
static bool
find_put_off(HubspotDiagnosis *diagnosis)
{
	HubspotRow	row;
	int64		count;
	const char *message;

	if (!query_row(diagnosis, &put_off_statement, &row))
		return false;
	count = hubspot_get_int64(&row, PUT_OFF_COUNT);
	message = hubspot_get_text(&row, PUT_OFF_MESSAGE);
	hubspot_find(diagnosis, HUBSPOT_TOPIC_WAITING, HUBSPOT_STATE_PROBLEM,
				 psprintf("Fix the cause; SELECT hs_assoc_resume(%s) tries at once.",
						  quote_literal_cstr(diagnosis->name)),
				 "%lld %s put off: %s%s%s%s%s",
				 (long long) count, count == 1 ? "row is" : "rows are",
				 row.isnull[PUT_OFF_CATEGORY] ? "no category" : hubspot_get_text(&row, PUT_OFF_CATEGORY),
				 row.isnull[PUT_OFF_STATUS] ? "" :
				 psprintf(" (HTTP status %d)", hubspot_get_int32(&row, PUT_OFF_STATUS)),
				 message ? ": " : "", message ? message : "", hubspot_whose(diagnosis));
	return true;
}

/* How many dead letters there are, and the reason of most. */
void
hubspot_check_dead_letters(HubspotDiagnosis *diagnosis)
{
	HubspotRow	row;
	const char *message;
	int64		count;
	int64		same;			/* of the category that most have */

	if (!query_row(diagnosis, &dead_statement, &row))
	{
		hubspot_find(diagnosis, HUBSPOT_TOPIC_DEAD_LETTERS, HUBSPOT_STATE_OK, NULL,
					 "there are none%s", hubspot_whose(diagnosis));
		return;
	}
	message = hubspot_get_text(&row, DEAD_MESSAGE);
	count = hubspot_get_int64(&row, DEAD_COUNT);
	same = hubspot_get_int64(&row, DEAD_OF_CATEGORY);
	hubspot_find(diagnosis, HUBSPOT_TOPIC_DEAD_LETTERS, HUBSPOT_STATE_WARNING,
				 "See hs_assoc_dead_letter; when the cause is fixed, hs_assoc_retry() sends them again, or hs_assoc_discard() deletes them.",
				 "%lld, %s%s%s%s%s", (long long) count,
				 count == 1 ? "" : same == count ? "all " : psprintf("%lld of them ", (long long) same),
				 row.isnull[DEAD_CATEGORY] ? "without a category" : hubspot_get_text(&row, DEAD_CATEGORY),
				 message == NULL ? "" : count == 1 ? ": " : ", the newest: ",
				 message ? message : "", hubspot_whose(diagnosis));
}
