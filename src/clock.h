/*-------------------------------------------------------------------------
 *
 * clock.h
 *	  What to do when the system's clock is set.
 *
 * IDENTIFICATION
 *	  src/clock.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CLOCK_H
#define HUBSPOT_CLOCK_H

#include "outbox.h"

extern void hubspot_clock_look(void);

#endif							/* HUBSPOT_CLOCK_H */
