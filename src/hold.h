/*-------------------------------------------------------------------------
 *
 * hold.h
 *	  Statements that our workers have to know of.
 *
 * IDENTIFICATION
 *	  src/hold.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_HOLD_H
#define HUBSPOT_HOLD_H

extern void hubspot_hold_add(void);

#endif							/* HUBSPOT_HOLD_H */
