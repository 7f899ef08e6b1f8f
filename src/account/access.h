/*-------------------------------------------------------------------------
 *
 * access.h
 *	  What a role lacks to use a server, in words.
 *
 * IDENTIFICATION
 *	  src/account/access.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ACCOUNT_ACCESS_H
#define HUBSPOT_ACCOUNT_ACCESS_H

extern const char *hubspot_access_problem(const char *server, Oid role);
extern const char *hubspot_access_advice(const char *server, Oid role);

#endif							/* HUBSPOT_ACCOUNT_ACCESS_H */
