/*-------------------------------------------------------------------------
 *
 * shown.h
 *	  Somebody's value in a message: no more of it than anybody reads.
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
