/*-------------------------------------------------------------------------
 *
 * event.c
 *	  What listeners of the channel hs_assoc are to be told.
 *
 * An event is noted in the transaction that records what it is about, so that it is neither
 * lost nor told too early.  That is an INSERT into a table without a unique index, which waits
 * for nobody.  The notifier tells of it in a transaction of its own (notifier.c): a NOTIFY
 * takes a lock of the whole server at commit, and may fail.
 *
 * IDENTIFICATION
 *	  src/outbox/event.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "outbox/event.h"
#include "schema/prepared.h"

enum
{
	NOTE_SERVER,
	NOTE_KIND,
	NOTE_COUNT
};

static HubspotStatement note_statement = {
	.text =
	"INSERT INTO %1$s.hs_assoc_event (server, kind, count) VALUES ($1, $2, $3)",
	.types = {[NOTE_SERVER] = TEXTOID,[NOTE_KIND] = TEXTOID,[NOTE_COUNT] = INT8OID}
};

/* Has this process noted something since it was last asked? */
static bool is_new = false;

/* Note so many events of a server. */
void
hubspot_event_note(const char *server, const char *kind, int64 count)
{
	HubspotValues values = {0};

	hubspot_set_text(&values, NOTE_SERVER, server);
	hubspot_set_text(&values, NOTE_KIND, kind);
	hubspot_set_int64(&values, NOTE_COUNT, count);
	hubspot_execute(&note_statement, &values);
	is_new = true;
}

/* To be called after a statement that notes events. */
void
hubspot_event_noted(void)
{
	is_new = true;
}

/* Has this process noted events since it was last asked?  They may have been undone. */
bool
hubspot_event_is_new(void)
{
	bool		was_new = is_new;

	is_new = false;
	return was_new;
}
