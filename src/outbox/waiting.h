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

#include "lib/stringinfo.h"

extern int64 hubspot_waiting_count(void);
extern bool hubspot_waiting_is_paused(const char *server);
extern int64 hubspot_waiting_tell(const char *server, StringInfo reasons,
								  const char **paused);
extern int64 hubspot_waiting_discard(void);
extern void hubspot_waiting_begin_anew(void);

#endif							/* HUBSPOT_OUTBOX_WAITING_H */
