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
#include "utils/builtins.h"

#include "base/closest.h"
#include "outbox/outbox.h"
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

static HubspotStatement insert_statement = {
	.text =
	"INSERT INTO %1$s.hs_assoc_outbox (server, role, operation, from_type, from_id,"
	" to_type, to_id, type_ids, category, labels, keep_labels, link_table) "
	"SELECT $1, $2, $3, $4, i.from_id, $5, i.to_id, i.type_ids, i.category,"
	" i.labels, $6, $7 "
	"FROM unnest($8) WITH ORDINALITY"
	" AS i (from_id, to_id, type_ids, category, labels, no) "
	"ORDER BY i.no",
	.nparameters = 8,
	.types = {TEXTOID, REGROLEOID, TEXTOID, TEXTOID, TEXTOID, BOOLOID, REGCLASSOID,
	HUBSPOT_INPUT_ARRAY}
};

static HubspotStatement pause_statement = {
	.text =
	"INSERT INTO %1$s.hs_assoc_account_pause (server, role) VALUES ($1, $2)"
	" ON CONFLICT DO NOTHING",
	.nparameters = 2,
	.types = {TEXTOID, REGROLEOID}
};

static HubspotStatement forget_backoff_statement = {
	.text = "DELETE FROM %1$s.hs_assoc_backoff WHERE server = $1",
	.nparameters = 1,
	.types = {TEXTOID}
};

static HubspotStatement make_due_statement = {
	.text =
	"UPDATE %1$s.hs_assoc_outbox SET not_before = now()"
	" WHERE server = $1 AND not_before > now()",
	.nparameters = 1,
	.types = {TEXTOID}
};

static HubspotStatement resume_statement = {
	.text = "DELETE FROM %1$s.hs_assoc_account_pause WHERE server = $1",
	.nparameters = 1,
	.types = {TEXTOID}
};

/* Dead letters by their ids and their server, all if these are null */
#define CHOSEN \
	"($1 IS NULL OR d.id = ANY ($1)) AND ($2 IS NULL OR d.server = $2)"

/*
 * Dead letters go back into their old place.  An id may belong to a later row by
 * now; then it is one below all others.
 */
static HubspotStatement retry_statement = {
	.text =
	"WITH taken AS (DELETE FROM %1$s.hs_assoc_dead_letter AS d WHERE " CHOSEN
	" RETURNING id, server, role, operation, from_type, from_id, to_type, to_id,"
	"  type_ids, category, labels, keep_labels, link_table, enqueued_at,"
	"  http_status, error_category, error_message, correlation_id) "
	"INSERT INTO %1$s.hs_assoc_outbox (id, server, role, operation, from_type,"
	"  from_id, to_type, to_id, type_ids, category, labels, keep_labels, link_table,"
	"  enqueued_at, http_status, error_category, error_message, correlation_id) "
	"SELECT CASE WHEN later.id IS NULL THEN t.id"
	"  ELSE least((SELECT min(o.id) FROM %1$s.hs_assoc_outbox AS o),"
	"   (SELECT min(d.id) FROM %1$s.hs_assoc_dead_letter AS d), 0)"
	"   - row_number() OVER (PARTITION BY later.id IS NULL ORDER BY t.id DESC) END,"
	" t.server, t.role, t.operation, t.from_type, t.from_id, t.to_type, t.to_id,"
	" t.type_ids, t.category, t.labels, t.keep_labels, t.link_table, t.enqueued_at,"
	" t.http_status, coalesce(t.error_category, ''), t.error_message, t.correlation_id"
	" FROM taken AS t LEFT JOIN %1$s.hs_assoc_outbox AS later ON later.id = t.id",
	.nparameters = 2,
	.types = {INT8ARRAYOID, TEXTOID}
};

static HubspotStatement discard_statement = {
	.text = "DELETE FROM %1$s.hs_assoc_dead_letter AS d WHERE " CHOSEN,
	.nparameters = 2,
	.types = {INT8ARRAYOID, TEXTOID}
};

static int64 change_letters(HubspotStatement *statement, const Datum *ids,
							const char *server);

/* An operation by the name that it has in SQL.  False: there is none. */
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

/* The one that may have been meant by a name, or NULL. */
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
	Datum		values[] = {
		CStringGetTextDatum(enqueue->server),
		ObjectIdGetDatum(enqueue->role),
		CStringGetTextDatum(enqueue->operation),
		CStringGetTextDatum(enqueue->from_type),
		CStringGetTextDatum(enqueue->to_type),
		BoolGetDatum(enqueue->keep_labels),
		ObjectIdGetDatum(enqueue->link_table),
		inputs
	};
	char		nulls[] = "        ";

	if (!OidIsValid(enqueue->link_table))
		nulls[6] = 'n';
	hubspot_execute(&insert_statement, values, nulls);
}

/*
 * Have the outbox of a server not be sent, in the name of a role.  False: that
 * has been said before.
 */
bool
hubspot_outbox_pause(const char *server, Oid role)
{
	Datum		values[] = {CStringGetTextDatum(server), ObjectIdGetDatum(role)};

	return hubspot_execute(&pause_statement, values, NULL) > 0;
}

/*
 * Have the outbox of a server sent again, and at once.  False: it wasn't
 * paused.
 */
bool
hubspot_outbox_resume(const char *server)
{
	Datum		value = CStringGetTextDatum(server);

	hubspot_execute(&forget_backoff_statement, &value, NULL);
	hubspot_execute(&make_due_statement, &value, NULL);
	return hubspot_execute(&resume_statement, &value, NULL) > 0;
}

/*
 * Put dead letters back: those of an int8[], or all (NULL), and those of a
 * server, or of all of them (NULL).  How many.
 */
int64
hubspot_outbox_retry(const Datum *ids, const char *server)
{
	return change_letters(&retry_statement, ids, server);
}

/* Likewise, delete them. */
int64
hubspot_outbox_discard(const Datum *ids, const char *server)
{
	return change_letters(&discard_statement, ids, server);
}

static int64
change_letters(HubspotStatement *statement, const Datum *ids, const char *server)
{
	Datum		values[] = {
		ids ? *ids : (Datum) 0,
		server ? CStringGetTextDatum(server) : (Datum) 0
	};
	char		nulls[] = "  ";

	nulls[0] = ids ? ' ' : 'n';
	nulls[1] = server ? ' ' : 'n';
	return hubspot_execute(statement, values, nulls);
}
