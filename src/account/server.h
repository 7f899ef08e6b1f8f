/*-------------------------------------------------------------------------
 *
 * server.h
 *	  The foreign server of a given name.
 *
 * IDENTIFICATION
 *	  src/account/server.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ACCOUNT_SERVER_H
#define HUBSPOT_ACCOUNT_SERVER_H

/* The foreign-data wrapper whose servers are accounts. */
#define HUBSPOT_WRAPPER	"hubspot_assoc"

extern Oid	hubspot_get_server(const char *name);
extern Oid	hubspot_get_usable_server(const char *name, Oid userid);
extern void hubspot_require_usage(Oid serverid, Oid userid);
extern const char *hubspot_closest_server(const char *name);
extern Oid	hubspot_server_owner(const char *name);
extern Oid	hubspot_sole_owner(void);

#endif							/* HUBSPOT_ACCOUNT_SERVER_H */
