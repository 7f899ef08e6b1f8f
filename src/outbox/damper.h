/*-------------------------------------------------------------------------
 *
 * damper.h
 *	  Pairs that change all the time are sent less and less often.
 *
 * IDENTIFICATION
 *	  src/outbox/damper.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_DAMPER_H
#define HUBSPOT_OUTBOX_DAMPER_H

extern void hubspot_damper_add(void);
extern void hubspot_damper_begin(void);
extern int64 hubspot_damper_until(int64 pair, int64 id, int64 now);
extern void hubspot_damper_sent(int64 pair, int64 id, int64 newest, int64 now);

#endif							/* HUBSPOT_OUTBOX_DAMPER_H */
