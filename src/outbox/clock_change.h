/*-------------------------------------------------------------------------
 *
 * clock_change.h
 *	  What to do when the system's clock is set.
 *
 * IDENTIFICATION
 *	  src/outbox/clock_change.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_CLOCK_CHANGE_H
#define HUBSPOT_OUTBOX_CLOCK_CHANGE_H

#include "outbox/outbox.h"

extern void hubspot_clock_look(void);

#endif							/* HUBSPOT_OUTBOX_CLOCK_CHANGE_H */
