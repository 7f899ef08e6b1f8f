/*-------------------------------------------------------------------------
 *
 * option.h
 *	  What the user said: options of servers and user mappings.
 *
 * IDENTIFICATION
 *	  src/account/option.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ACCOUNT_OPTION_H
#define HUBSPOT_ACCOUNT_OPTION_H

#include "nodes/pg_list.h"

/* The options of a server and a user mapping, with the defaults filled in. */
typedef struct HubspotOptions
{
	/* server */
	const char *base_url;		/* without a slash at the end */
	const char *api_version;
	int			connect_timeout;	/* ms */
	int			request_timeout;	/* ms */
	int			max_retries;
	int			max_retry_delay;	/* ms */
	int			concurrency;
	int			batch_size;		/* 0: as many as the operation allows */
	int			rate_limit;		/* requests in 10 s, 0: no limit */
	int			max_attempts;	/* of a row of the outbox */
	int			sent_retention; /* ms that a sent row of the outbox is kept */
	const char *proxy;			/* or NULL */
	const char *ca_file;		/* or NULL */
	const char *user_agent;

	/* user mapping: one of the three ways to a token */
	const char *access_token;
	const char *access_token_file;
	const char *client_id;
	const char *client_secret;
	const char *refresh_token;

	/* where they come from */
	const char *server_name;
	Oid			server;
	Oid			user;			/* who wants to use the server ... */
	Oid			mapping;		/* ... and by which user mapping: ... */
	bool		own_mapping;	/* the user's own, or PUBLIC's */
} HubspotOptions;

extern Oid	hubspot_get_server(const char *name);
extern HubspotOptions *hubspot_get_options(Oid serverid, Oid userid);
extern Oid	hubspot_login(const char *server_name, Oid userid);
extern List *hubspot_all_servers(void);
extern bool hubspot_is_token(const char *value);
extern void hubspot_set_refresh_token(const HubspotOptions *options,
									  const char *refresh_token);

#endif							/* HUBSPOT_ACCOUNT_OPTION_H */
