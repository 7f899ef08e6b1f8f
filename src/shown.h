/*-------------------------------------------------------------------------
 *
 * shown.h
 *	  Somebody's value in a message: no more of it than anybody reads.
 *
 * IDENTIFICATION
 *	  src/shown.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SHOWN_H
#define HUBSPOT_SHOWN_H

extern const char *hubspot_shown(const char *text);

#endif							/* HUBSPOT_SHOWN_H */
