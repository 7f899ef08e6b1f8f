/*-------------------------------------------------------------------------
 *
 * history.c
 *	  Who had what associated, when, and what came of it.
 *
 * If a server's option asks for it, a row of the outbox says who has enqueued it, and for
 * how long its history is kept; and the transaction that settles it puts that into
 * hs_assoc_history_batch.  So it is there if and only if the row is settled.  Where the
 * option is not set, a row has three nulls more, and nothing else is done.
 *
 * Rows that are settled together have one row there, with arrays of what differs: forming one
 * for each would take a quarter of the CPU that a sync takes, and deleting it later more.  A
 * view takes them apart.
 *
 * That table is not partitioned by months: each row has a time of its own until which it is
 * kept, since servers differ; and senders, which may not wait for a lock, delete some rows at
 * a time, while dropping a partition waits for all who read the table.
 *
 * IDENTIFICATION
 *	  src/outbox/history.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "account/option.h"
#include "outbox/history.h"
#include "schema/prepared.h"

/* The most bytes of a role's and of a program's name: as many as PostgreSQL's names have. */
#define MOST_NAME		(NAMEDATALEN - 1)

/* How many batches are forgotten at a time: more than a round makes. */
#define FORGOTTEN_BATCHES	"1000"

static HubspotStatement forget_statement = {
	.text =
	"DELETE FROM %1$s.hs_assoc_history_batch AS h WHERE h.ctid = ANY (ARRAY("
	" SELECT l.ctid FROM %1$s.hs_assoc_history_batch AS l WHERE l.keep_until < now()"
	" ORDER BY l.keep_until LIMIT " FORGOTTEN_BATCHES " FOR UPDATE SKIP LOCKED))",
};

/* The columns of HUBSPOT_SQL_HISTORIC */
enum
{
	HISTORY_FOR,
	ENQUEUED_AT,
	ENQUEUED_BY,
	APPLICATION_NAME,
	LINK_TABLE,
	FROM_PROPERTY,
	TO_PROPERTY,
	FROM_KEY,
	TO_KEY
};

static bool is_who(const HubspotRow *row, int first, const HubspotWho *who);
static bool is_text(const HubspotRow *row, int column, const char *value);
static const HubspotWho *read_who(const HubspotRow *row, int first);
static HubspotSlice clipped(const HubspotRow *row, int column, Size most);

/*
 * Set the parameters that say who enqueues something for a server, from the first of them
 * on: null, if its history is not kept.
 */
void
hubspot_history_who(HubspotValues *values, int first, const char *server)
{
	int			minutes = hubspot_history_retention(server);
	Interval   *kept_for;

	if (minutes == 0)
	{
		for (int i = 0; i < HUBSPOT_NWHO; i++)
			hubspot_set_null(values, first + i);
		return;
	}
	kept_for = palloc0(sizeof(Interval));
	kept_for->time = (TimeOffset) minutes * 60 * USECS_PER_SEC;
	hubspot_set_text(values, first, GetUserNameFromId(GetSessionUserId(), true));
	hubspot_set_text(values, first + 1, application_name);
	hubspot_set_datum(values, first + 2, IntervalPGetDatum(kept_for));
}

/*
 * What the history is to have of a row, palloc'd; NULL: nothing.  last: that of the row before
 * it, or NULL.
 */
HubspotHistoric *
hubspot_history_read(const HubspotRow *row, int first, const HubspotWho *last)
{
	HubspotHistoric *historic;

	if (row->isnull[first + HISTORY_FOR])
		return NULL;
	historic = palloc(sizeof(HubspotHistoric));
	historic->who = last && is_who(row, first, last) ? last : read_who(row, first);
	historic->enqueued_at = hubspot_get_time(row, first + ENQUEUED_AT);
	historic->from_key = clipped(row, first + FROM_KEY, HUBSPOT_MAX_TEXT);
	historic->to_key = clipped(row, first + TO_KEY, HUBSPOT_MAX_TEXT);
	return historic;
}

static bool
is_who(const HubspotRow *row, int first, const HubspotWho *who)
{
	return memcmp(DatumGetIntervalP(row->values[first + HISTORY_FOR]), &who->kept_for,
				  sizeof(Interval)) == 0 &&
		hubspot_get_oid(row, first + LINK_TABLE) == who->link_table &&
		is_text(row, first + ENQUEUED_BY, who->enqueued_by) &&
		is_text(row, first + APPLICATION_NAME, who->application_name) &&
		is_text(row, first + FROM_PROPERTY, who->from_property) &&
		is_text(row, first + TO_PROPERTY, who->to_property);
}

/*
 * Does a column have this text, or null if it is NULL?  A longer one than the outbox takes is
 * not read.
 */
static bool
is_text(const HubspotRow *row, int column, const char *value)
{
	if (value == NULL || row->isnull[column])
		return value == NULL && row->isnull[column];
	return hubspot_get_size(row, column) <= HUBSPOT_MAX_TEXT &&
		hubspot_equals_text(row, column, value);
}

static const HubspotWho *
read_who(const HubspotRow *row, int first)
{
	HubspotWho *who = palloc(sizeof(HubspotWho));

	who->kept_for = *DatumGetIntervalP(row->values[first + HISTORY_FOR]);
	who->link_table = hubspot_get_oid(row, first + LINK_TABLE);
	who->enqueued_by = clipped(row, first + ENQUEUED_BY, MOST_NAME).data;
	who->application_name = clipped(row, first + APPLICATION_NAME, MOST_NAME).data;
	who->from_property = clipped(row, first + FROM_PROPERTY, HUBSPOT_MAX_TEXT).data;
	who->to_property = clipped(row, first + TO_PROPERTY, HUBSPOT_MAX_TEXT).data;
	return who;
}

/*
 * A text, cut to so many bytes, as a slice that ends with a NUL: what somebody has put into
 * the outbox by hand may have any size.
 */
static HubspotSlice
clipped(const HubspotRow *row, int column, Size most)
{
	HubspotSlice slice = {NULL, 0};
	text	   *value;
	char	   *copy;

	if (hubspot_get_size(row, column) <= most)
		return hubspot_get_slice(row, column);
	value = DatumGetTextPSlice(row->values[column], 0, most + 1);
	slice.len = pg_mbcliplen(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), most);
	copy = pnstrdup(VARDATA_ANY(value), slice.len);
	slice.data = copy;
	return slice;
}

/* Forget some of what need not be kept any longer. */
void
hubspot_history_forget(void)
{
	hubspot_execute(&forget_statement, NULL);
}
