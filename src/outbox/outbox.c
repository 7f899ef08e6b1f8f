/*-------------------------------------------------------------------------
 *
 * outbox.c
 *	  The outbox: SQL on our own tables.
 *
 * IDENTIFICATION
 *	  src/outbox/outbox.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/lsyscache.h"

#include "base/closest.h"
#include "outbox/history.h"
#include "outbox/outbox.h"
#include "outbox/precedence.h"
#include "schema/prepared.h"

static const struct
{
	const char *name;
	HubspotOperation operation;
}			operations[] = {
	{"create_default", HUBSPOT_BATCH_CREATE_DEFAULT},
	{"create", HUBSPOT_BATCH_CREATE},
	{"archive", HUBSPOT_BATCH_ARCHIVE},
	{"archive_labels", HUBSPOT_BATCH_ARCHIVE_LABELS}
};

enum
{
	INSERT_SERVER,
	INSERT_ROLE,
	INSERT_OPERATION,
	INSERT_FROM_TYPE,
	INSERT_TO_TYPE,
	INSERT_KEEP_LABELS,
	INSERT_INPUTS,
	INSERT_WAIT_FOR_RECORDS,	/* null: no record is named by a key */
	INSERT_WHO,
	INSERT_LINK_TABLE = INSERT_WHO + HUBSPOT_NWHO,
	INSERT_SEQUENCE				/* of ids before all others */
};

#define INSERT_ROWS(columns, values) \
	"INSERT INTO %1$s.hs_assoc_outbox (" columns "server, role, operation, from_type, from_id," \
	" to_type, to_id, type_ids, category, labels, keep_labels, wait_for_records, waited," \
	" " HUBSPOT_SQL_WHO ") " \
	"SELECT " values "$1, $2, $3, $4, i.from_id, $5, i.to_id, i.type_ids, i.category," \
	" i.labels, $6, $8, $8 - $8, $9, $10, $11 " \
	"FROM unnest($7) WITH ORDINALITY" \
	" AS i (from_id, to_id, type_ids, category, labels, no) " \
	"ORDER BY i.no"

#define INSERT_TYPES \
	[INSERT_SERVER] = TEXTOID, \
	[INSERT_ROLE] = REGROLEOID, \
	[INSERT_OPERATION] = TEXTOID, \
	[INSERT_FROM_TYPE] = TEXTOID, \
	[INSERT_TO_TYPE] = TEXTOID, \
	[INSERT_KEEP_LABELS] = BOOLOID, \
	[INSERT_INPUTS] = HUBSPOT_INPUT_ARRAY, \
	[INSERT_WAIT_FOR_RECORDS] = INTERVALOID, \
	HUBSPOT_WHO_TYPES(INSERT_WHO)

static HubspotStatement insert_statement = {
	.text = INSERT_ROWS("", ""),
	.types = {INSERT_TYPES}
};

/*
 * Rows that come before whatever else is known of their pairs, even what others have written
 * and not committed yet
 */
static HubspotStatement insert_before_statement = {
	.text = INSERT_ROWS("id, link_table, enqueued_at, ", "nextval($13), $12, clock_timestamp(), "),
	.types = {
		INSERT_TYPES,
		[INSERT_LINK_TABLE] = REGCLASSOID,
		[INSERT_SEQUENCE] = REGCLASSOID
	}
};

enum
{
	PAUSE_SERVER,
	PAUSE_ROLE
};

static HubspotStatement pause_statement = {
	.text =
	"INSERT INTO %1$s.hs_assoc_account_pause (server, role) VALUES ($1, $2)"
	" ON CONFLICT DO NOTHING",
	.types = {[PAUSE_SERVER] = TEXTOID,[PAUSE_ROLE] = REGROLEOID}
};

/* The parameter of the statements below */
enum
{
	RESUME_SERVER
};

static HubspotStatement forget_backoff_statement = {
	.text = "DELETE FROM %1$s.hs_assoc_backoff WHERE server = $1",
	.types = {[RESUME_SERVER] = TEXTOID}
};

/* What is left of a wait for records has not been waited; but a row that has waited stays one. */
static HubspotStatement make_due_statement = {
	.text =
	"UPDATE %1$s.hs_assoc_outbox SET not_before = clock_timestamp(),"
	" waited = CASE WHEN waited > '0' THEN greatest(waited - (not_before - clock_timestamp()), '1 us')"
	"  ELSE waited END"
	" WHERE server = $1 AND not_before > clock_timestamp()",
	.types = {[RESUME_SERVER] = TEXTOID}
};

static HubspotStatement resume_statement = {
	.text = "DELETE FROM %1$s.hs_assoc_account_pause WHERE server = $1",
	.types = {[RESUME_SERVER] = TEXTOID}
};

enum
{
	CHOSEN_IDS,
	CHOSEN_SERVER
};

/*
 * Dead letters that have one of these ids, or whatever id they have; of a server, or of all if
 * that is null.  With both in one condition, each call would read all dead letters.
 */
#define OF_SERVER		"($2 IS NULL OR d.server = $2)"
#define OF_IDS			"d.id = ANY ($1) AND " OF_SERVER

/*
 * Dead letters go back to their old place.  Their id may belong to a later row by now; then
 * they get one below all others, an even one (see outbox.h).  Records that were found by keys
 * are looked up anew.
 */
#define RETRY(chosen) \
	"WITH taken AS (DELETE FROM %1$s.hs_assoc_dead_letter AS d WHERE " chosen \
	" RETURNING id, server, role, operation, from_type, from_id, to_type, to_id," \
	"  type_ids, category, labels, keep_labels, link_table, enqueued_at," \
	"  http_status, error_category, error_message, correlation_id," \
	"  from_property, from_key, to_property, to_key, wait_for_records, " HUBSPOT_SQL_WHO ") " \
	"INSERT INTO %1$s.hs_assoc_outbox (id, server, role, operation, from_type," \
	"  from_id, to_type, to_id, type_ids, category, labels, keep_labels, link_table," \
	"  enqueued_at, http_status, error_category, error_message, correlation_id," \
	"  wait_for_records, waited, " HUBSPOT_SQL_WHO ") " \
	"SELECT CASE WHEN later.id IS NULL THEN t.id" \
	"  ELSE least((SELECT min(o.id) FROM %1$s.hs_assoc_outbox AS o)," \
	"   (SELECT min(d.id) FROM %1$s.hs_assoc_dead_letter AS d), 0) / 2 * 2" \
	"   - 2 * row_number() OVER (PARTITION BY later.id IS NULL ORDER BY t.id DESC) END," \
	" t.server, t.role, t.operation," \
	" " HUBSPOT_SQL_GIVEN_TYPE("t", "from") ", " HUBSPOT_SQL_GIVEN_ID("t", "from") "," \
	" " HUBSPOT_SQL_GIVEN_TYPE("t", "to") ", " HUBSPOT_SQL_GIVEN_ID("t", "to") "," \
	" t.type_ids, t.category, t.labels, t.keep_labels, t.link_table, t.enqueued_at," \
	" t.http_status, coalesce(t.error_category, ''), t.error_message, t.correlation_id," \
	" t.wait_for_records, t.wait_for_records - t.wait_for_records," \
	" t.enqueued_by, t.application_name, t.history_for" \
	" FROM taken AS t LEFT JOIN %1$s.hs_assoc_outbox AS later ON later.id = t.id"

static HubspotStatement retry_ids_statement = {
	.text = RETRY(OF_IDS),
	.types = {[CHOSEN_IDS] = INT8ARRAYOID,[CHOSEN_SERVER] = TEXTOID}
};

static HubspotStatement retry_statement = {
	.text = RETRY(OF_SERVER),
	.types = {[CHOSEN_IDS] = INT8ARRAYOID,[CHOSEN_SERVER] = TEXTOID}
};

#define DISCARD(chosen)	"DELETE FROM %1$s.hs_assoc_dead_letter AS d WHERE " chosen

static HubspotStatement discard_ids_statement = {
	.text = DISCARD(OF_IDS),
	.types = {[CHOSEN_IDS] = INT8ARRAYOID,[CHOSEN_SERVER] = TEXTOID}
};

static HubspotStatement discard_statement = {
	.text = DISCARD(OF_SERVER),
	.types = {[CHOSEN_IDS] = INT8ARRAYOID,[CHOSEN_SERVER] = TEXTOID}
};

static int64 change_letters(HubspotStatement *statement, const Datum *ids,
							const char *server);

/* Find an operation by its name in SQL.  False: there is none of that name. */
bool
hubspot_outbox_operation(const char *name, HubspotOperation *operation)
{
	for (size_t i = 0; i < lengthof(operations); i++)
	{
		if (strcmp(operations[i].name, name) == 0)
		{
			*operation = operations[i].operation;
			return true;
		}
	}
	return false;
}

/* The operation that a name may have been meant for, or NULL. */
const char *
hubspot_outbox_closest_operation(const char *name)
{
	HubspotClosest closest = {.name = name};

	for (size_t i = 0; i < lengthof(operations); i++)
		hubspot_closest_try(&closest, operations[i].name);
	return closest.found;
}

/* Insert an hs_assoc_input[], none of whose elements may be null, in its order. */
void
hubspot_outbox_insert(const HubspotEnqueue *enqueue, Datum inputs)
{
	HubspotValues values = {0};

	hubspot_set_text(&values, INSERT_SERVER, enqueue->server);
	hubspot_set_oid(&values, INSERT_ROLE, enqueue->role);
	hubspot_set_text(&values, INSERT_OPERATION, enqueue->operation);
	hubspot_set_text(&values, INSERT_FROM_TYPE, enqueue->from_type);
	hubspot_set_text(&values, INSERT_TO_TYPE, enqueue->to_type);
	hubspot_set_bool(&values, INSERT_KEEP_LABELS, enqueue->keep_labels);
	hubspot_set_datum(&values, INSERT_INPUTS, inputs);
	if (enqueue->wait_for_records)
		hubspot_set_datum(&values, INSERT_WAIT_FOR_RECORDS,
						  IntervalPGetDatum(enqueue->wait_for_records));
	hubspot_history_who(&values, INSERT_WHO, enqueue->server);
	if (!enqueue->before)
	{
		hubspot_execute(&insert_statement, &values);
		return;
	}
	hubspot_set_oid(&values, INSERT_LINK_TABLE, enqueue->link_table);
	hubspot_set_oid(&values, INSERT_SEQUENCE,
					hubspot_own_relation(hubspot_outbox_schema(false), "hs_assoc_repair_id_seq"));
	hubspot_execute(&insert_before_statement, &values);
}

/*
 * Pause the sending of a server's outbox, in the name of a role.  False: it
 * was paused already.
 */
bool
hubspot_outbox_pause(const char *server, Oid role)
{
	HubspotValues values = {0};

	hubspot_set_text(&values, PAUSE_SERVER, server);
	hubspot_set_oid(&values, PAUSE_ROLE, role);
	return hubspot_execute(&pause_statement, &values) > 0;
}

/*
 * Have the outbox of a server sent again, and at once.  False: it was not
 * paused.
 */
bool
hubspot_outbox_resume(const char *server)
{
	HubspotValues values = {0};

	hubspot_set_text(&values, RESUME_SERVER, server);
	hubspot_execute(&forget_backoff_statement, &values);
	hubspot_execute(&make_due_statement, &values);
	return hubspot_execute(&resume_statement, &values) > 0;
}

/*
 * Put dead letters back: those with the ids of an int8[], or with any (NULL),
 * of a server, or of all servers (NULL).  Returns how many.
 */
int64
hubspot_outbox_retry(const Datum *ids, const char *server)
{
	return change_letters(ids ? &retry_ids_statement : &retry_statement, ids, server);
}

/* Delete dead letters, which are chosen likewise. */
int64
hubspot_outbox_discard(const Datum *ids, const char *server)
{
	return change_letters(ids ? &discard_ids_statement : &discard_statement, ids, server);
}

static int64
change_letters(HubspotStatement *statement, const Datum *ids, const char *server)
{
	HubspotValues values = {0};

	if (ids)
		hubspot_set_datum(&values, CHOSEN_IDS, *ids);
	hubspot_set_text(&values, CHOSEN_SERVER, server);
	return hubspot_execute(statement, &values);
}
