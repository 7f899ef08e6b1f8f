/*-------------------------------------------------------------------------
 *
 * event.h
 *	  What listeners of the channel hs_assoc are to be told.
 *
 * IDENTIFICATION
 *	  src/outbox/event.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_EVENT_H
#define HUBSPOT_OUTBOX_EVENT_H

/* Kinds of events. */
#define HUBSPOT_EVENT_DEAD_LETTER		"dead_letter"
#define HUBSPOT_EVENT_ACCOUNT_REFUSED	"account_refused"
#define HUBSPOT_EVENT_QUOTA_LOW			"quota_low"
#define HUBSPOT_EVENT_DRIFT				"drift"

/*
 * A part of a statement that notes events of a kind: one for each row of a CTE, which has a
 * column server.
 */
#define HUBSPOT_SQL_NOTE_EVENTS(kind, rows) \
	"INSERT INTO %1$s.hs_assoc_event (server, kind, count)" \
	" SELECT server, '" kind "', count(*) FROM " rows " GROUP BY server"

extern void hubspot_event_note(const char *server, const char *kind, int64 count);
extern void hubspot_event_noted(void);
extern bool hubspot_event_is_new(void);

#endif							/* HUBSPOT_OUTBOX_EVENT_H */
