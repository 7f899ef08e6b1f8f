/*-------------------------------------------------------------------------
 *
 * history.h
 *	  Who had what associated, when, and what came of it.
 *
 * IDENTIFICATION
 *	  src/outbox/history.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_HISTORY_H
#define HUBSPOT_OUTBOX_HISTORY_H

#include "utils/timestamp.h"

#include "schema/values.h"

/* Columns of a row of the outbox, and parameters of statements that insert it. */
#define HUBSPOT_SQL_WHO			"enqueued_by, application_name, history_for"
#define HUBSPOT_NWHO			3
#define HUBSPOT_WHO_TYPES(first) \
	[(first)] = TEXTOID, \
	[(first) + 1] = TEXTOID, \
	[(first) + 2] = INTERVALOID

/* Columns that are the same for all rows of the outbox that share a row of the history. */
#define HUBSPOT_SQL_ALIKE \
	"server, role, operation, from_type, to_type, keep_labels, attempts"

/* Who has enqueued rows, and what else about them is only for the history. */
typedef struct HubspotWho
{
	Interval	kept_for;
	const char *enqueued_by;	/* these may be NULL */
	const char *application_name;
	const char *from_property;
	const char *to_property;
	Oid			link_table;
} HubspotWho;

/* What is only for the history, of one row. */
typedef struct HubspotHistoric
{
	const HubspotWho *who;		/* rows that are enqueued together mostly
								 * share it */
	TimestampTz enqueued_at;
	HubspotSlice from_key;		/* or NULL */
	HubspotSlice to_key;
} HubspotHistoric;

/* Columns of a row of the outbox that hubspot_history_read() reads, from the first of them on. */
#define HUBSPOT_SQL_HISTORIC(row) \
	row ".history_for, " row ".enqueued_at, " row ".enqueued_by, " row ".application_name," \
	" " row ".link_table, " row ".from_property, " row ".to_property, " row ".from_key, " row ".to_key"
#define HUBSPOT_NHISTORIC		9

/*
 * A part of a statement that puts the rows of a CTE, which have died, into the history, if
 * theirs is kept.
 */
#define HUBSPOT_SQL_INTO_HISTORY(rows, alike, outcome, status, category, group_by) \
	"INSERT INTO %1$s.hs_assoc_history_batch (" HUBSPOT_SQL_ALIKE "," \
	"  outcome, http_status, error_category, settled_at, keep_until," \
	"  enqueued_by, application_name, type_ids, category, labels, link_table," \
	"  from_property, to_property, ids, from_ids, to_ids, enqueued_at, from_keys, to_keys)" \
	" SELECT " alike ", '" outcome "', " status ", " category ", now(), now() + history_for," \
	"  left(enqueued_by, 63), left(application_name, 63), type_ids, category, labels, link_table," \
	"  from_property, to_property, array_agg(id), array_agg(from_id), array_agg(to_id)," \
	"  array_agg(enqueued_at), array_agg(from_key) FILTER (WHERE from_property IS NOT NULL)," \
	"  array_agg(to_key) FILTER (WHERE to_property IS NOT NULL)" \
	" FROM " rows " WHERE history_for IS NOT NULL" \
	" GROUP BY history_for, enqueued_by, application_name, type_ids, category, labels, link_table," \
	"  from_property, to_property" group_by

extern void hubspot_history_who(HubspotValues *values, int first, const char *server);
extern HubspotHistoric *hubspot_history_read(const HubspotRow *row, int first,
											 const HubspotWho *last);
extern void hubspot_history_forget(void);

#endif							/* HUBSPOT_OUTBOX_HISTORY_H */
