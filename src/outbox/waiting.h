/*-------------------------------------------------------------------------
 *
 * waiting.h
 *	  All that waits in the outbox, for whoever decides what becomes of it.
 *
 * IDENTIFICATION
 *	  src/outbox/waiting.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_WAITING_H
#define HUBSPOT_OUTBOX_WAITING_H

extern int64 hubspot_waiting_count(void);
extern int64 hubspot_waiting_discard(void);
extern void hubspot_waiting_begin_anew(void);

#endif							/* HUBSPOT_OUTBOX_WAITING_H */
