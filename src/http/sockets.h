/*-------------------------------------------------------------------------
 *
 * sockets.h
 *	  Sockets of a library, watched together with the latch.
 *
 * IDENTIFICATION
 *	  src/http/sockets.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_HTTP_SOCKETS_H
#define HUBSPOT_HTTP_SOCKETS_H

#include "base/compat.h"

extern int	hubspot_open_socket(int family, int type, int protocol);
extern int	hubspot_close_socket(int socket);
extern void hubspot_cut_sockets(int socket);
extern bool hubspot_watch_socket(int socket, uint32 events, bool multiplexed);
extern void hubspot_drop_unasked(void);
extern bool hubspot_is_watched(int socket);
extern int	hubspot_wait_sockets(long timeout, WaitEvent *events, int maxevents,
								 bool *latch_set);

#endif							/* HUBSPOT_HTTP_SOCKETS_H */
