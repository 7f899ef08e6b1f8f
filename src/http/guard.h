/*-------------------------------------------------------------------------
 *
 * guard.h
 *	  An end for calls of a library that a peer keeps from returning.
 *
 * IDENTIFICATION
 *	  src/http/guard.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_HTTP_GUARD_H
#define HUBSPOT_HTTP_GUARD_H

extern void hubspot_guard_start(void);
extern void hubspot_guard_enter(int socket);
extern void hubspot_guard_progress(size_t nbytes);
extern bool hubspot_guard_leave(void);

#endif							/* HUBSPOT_HTTP_GUARD_H */
