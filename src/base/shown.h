/*-------------------------------------------------------------------------
 *
 * shown.h
 *	  A user's value in a message: no more of it than people read.
 *
 * IDENTIFICATION
 *	  src/base/shown.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_BASE_SHOWN_H
#define HUBSPOT_BASE_SHOWN_H

extern const char *hubspot_shown(const char *text);

#endif							/* HUBSPOT_BASE_SHOWN_H */
