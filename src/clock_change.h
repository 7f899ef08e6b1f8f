/*-------------------------------------------------------------------------
 *
 * clock_change.h
 *	  What to do when the system's clock is set.
 *
 * IDENTIFICATION
 *	  src/clock_change.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CLOCK_CHANGE_H
#define HUBSPOT_CLOCK_CHANGE_H

#include "outbox.h"

extern void hubspot_clock_look(void);

#endif							/* HUBSPOT_CLOCK_CHANGE_H */
