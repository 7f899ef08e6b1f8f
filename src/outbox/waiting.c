/*-------------------------------------------------------------------------
 *
 * waiting.c
 *	  All that waits in the outbox, for whoever decides what becomes of it.
 *
 * IDENTIFICATION
 *	  src/outbox/waiting.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "outbox/waiting.h"
#include "schema/prepared.h"

enum
{
	COUNTED_ROWS
};

static HubspotStatement count_statement = {
	.text = "SELECT count(*) FROM %1$s.hs_assoc_outbox"
};

static HubspotStatement discard_statement = {
	.text = "DELETE FROM %1$s.hs_assoc_outbox"
};

/* What was in flight elsewhere is nothing that a later operation here undoes. */
static HubspotStatement discard_doubts_statement = {
	.text = "DELETE FROM %1$s.hs_assoc_doubt"
};

static HubspotStatement forget_backoff_statement = {
	.text = "DELETE FROM %1$s.hs_assoc_backoff"
};

/* How many operations wait. */
int64
hubspot_waiting_count(void)
{
	HubspotRows rows;
	HubspotRow	row;
	int64		count;

	hubspot_query(&count_statement, NULL, &rows);
	hubspot_read_row(&rows, 0, &row);
	count = hubspot_get_int64(&row, COUNTED_ROWS);
	hubspot_rows_free(&rows);
	return count;
}

/* Delete all of them; how many there were. */
int64
hubspot_waiting_discard(void)
{
	hubspot_execute(&discard_doubts_statement, NULL);
	return hubspot_execute(&discard_statement, NULL);
}

/* Accounts that wait after failures are tried at once. */
void
hubspot_waiting_begin_anew(void)
{
	hubspot_execute(&forget_backoff_statement, NULL);
}
