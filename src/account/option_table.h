/*-------------------------------------------------------------------------
 *
 * option_table.h
 *	  Which options there are: of servers, user mappings, foreign tables and
 *	  their columns.
 *
 * IDENTIFICATION
 *	  src/account/option_table.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ACCOUNT_OPTION_TABLE_H
#define HUBSPOT_ACCOUNT_OPTION_TABLE_H

/* The most characters of a text or a secret. */
#define HUBSPOT_MAX_TEXT_LEN	4096

/* What may stand in a user mapping in place of access_token, for hints. */
#define HUBSPOT_OTHER_TOKEN_OPTIONS	"or access_token_file, or client_id, client_secret and refresh_token"

typedef enum HubspotOptionKind
{
	HUBSPOT_OPTION_URL,
	HUBSPOT_OPTION_VERSION,
	HUBSPOT_OPTION_DURATION,	/* a number with a unit; in ms */
	HUBSPOT_OPTION_RETENTION,	/* a number with a unit; in minutes */
	HUBSPOT_OPTION_INTEGER,
	HUBSPOT_OPTION_CHOICE,		/* one of some words; the number of it */
	HUBSPOT_OPTION_TEXT,		/* printable ASCII, may go into a header */
	HUBSPOT_OPTION_PROXY,
	HUBSPOT_OPTION_FILE,
	HUBSPOT_OPTION_USERNAME,	/* of a proxy; a text that no message may show */
	HUBSPOT_OPTION_SECRET,		/* a text that no message may show */
	HUBSPOT_OPTION_OBJECT_TYPE	/* with a property or without */
} HubspotOptionKind;

/* A line of the table. */
typedef struct HubspotOption
{
	const char *name;
	Oid			catalog;
	HubspotOptionKind kind;
	size_t		offset;			/* in HubspotOptions, or HubspotTableOptions */
	const char *default_value;	/* or NULL: none */
	int			min,			/* of a DURATION (ms), a RETENTION (min) or an
								 * INTEGER */
				max;
	bool		superuser_only;
	const char *const *choices; /* of a CHOICE, up to a NULL */
	bool		required;
} HubspotOption;

/* What the NOTIFYs about a server tell: the choices of its option notify. */
typedef enum HubspotNotify
{
	HUBSPOT_NOTIFY_OFF,
	HUBSPOT_NOTIFY_ON,
	HUBSPOT_NOTIFY_RECORDS		/* with ids of records */
} HubspotNotify;

/* What a column of a foreign table holds. */
typedef enum HubspotTableRole
{
	HUBSPOT_ROLE_FROM_ID,
	HUBSPOT_ROLE_TO_ID,
	HUBSPOT_ROLE_CATEGORY,
	HUBSPOT_ROLE_TYPE_ID,
	HUBSPOT_ROLE_LABEL,
	HUBSPOT_ROLE_IS_PRIMARY,
	HUBSPOT_ROLE_FROM_TYPE,
	HUBSPOT_ROLE_TO_TYPE,
	HUBSPOT_ROLE_OBJECT_TYPE_ID,
	HUBSPOT_ROLE_NAME,
	HUBSPOT_ROLE_ERROR_CATEGORY,
	HUBSPOT_ROLE_ERROR_MESSAGE,
	HUBSPOT_NROLES
} HubspotTableRole;

/* What the rows of a foreign table are: the choices of its option kind. */
typedef enum HubspotTableKind
{
	HUBSPOT_KIND_ASSOCIATIONS,
	HUBSPOT_KIND_OBJECT_TYPES,
	HUBSPOT_KIND_LABELS,
	HUBSPOT_NKINDS
} HubspotTableKind;

/*
 * What becomes of a record that cannot be read: the choices of a foreign table's option
 * on_error.
 */
typedef enum HubspotOnError
{
	HUBSPOT_ON_ERROR_RAISE,
	HUBSPOT_ON_ERROR_ROW
} HubspotOnError;

/* What is read where no records are named: the choices of a foreign table's option scan. */
typedef enum HubspotScanOption
{
	HUBSPOT_SCAN_KEYS,			/* nothing: an ERROR */
	HUBSPOT_SCAN_ALL			/* the whole account */
} HubspotScanOption;

/* Where what is written to a foreign table goes: the choices of its option writes. */
typedef enum HubspotWrites
{
	HUBSPOT_WRITES_OUTBOX,
	HUBSPOT_WRITES_DIRECT,		/* to HubSpot, at once */
	HUBSPOT_WRITES_OFF			/* it cannot be written to */
} HubspotWrites;

/* The options of a foreign table, or of a column, with the defaults filled in. */
typedef struct HubspotTableOptions
{
	int			kind;			/* a HubspotTableKind; only associations have
								 * the other options */
	const char *from_type;
	const char *to_type;
	int			rows_per_key;	/* of one record, for the planner */
	int			writes;			/* a HubspotWrites */
	int			on_error;		/* a HubspotOnError */
	int			scan;			/* a HubspotScanOption */
	int			role;			/* of a column: a HubspotTableRole; -1: as its
								 * name says */
} HubspotTableOptions;

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
	int			key_cache;		/* ms that records of keys are known, 0: none */
	int			max_attempts;	/* of a row of the outbox */
	int			sent_retention; /* ms that a sent row of the outbox is kept */
	int			history_retention;	/* min that the history of a row is kept;
									 * 0: there is none */
	int			notify;			/* a HubspotNotify */
	const char *proxy;			/* or NULL */
	const char *ca_file;		/* or NULL */
	const char *user_agent;

	/* user mapping: one of the three ways to a token */
	const char *access_token;
	const char *access_token_file;
	const char *client_id;
	const char *client_secret;
	const char *refresh_token;

	/* user mapping: for the proxy */
	const char *proxy_username; /* or NULL */
	const char *proxy_password; /* or NULL */

	/* where they come from */
	const char *server_name;
	Oid			server;
	Oid			user;			/* who wants to use the server */
	Oid			mapping;		/* the user mapping by which the user does */
	bool		own_mapping;	/* it is the user's own, and not PUBLIC's */
} HubspotOptions;

extern const HubspotOption hubspot_option_table[];
extern const size_t hubspot_noptions;
extern const char *const hubspot_role_names[];
extern const char *const hubspot_writes_names[];
extern const char *const hubspot_kind_names[];

extern const HubspotOption *hubspot_find_option(const char *name, Oid catalog);
extern bool hubspot_option_duration(const HubspotOption *option,
									const char *value, int *result);
extern int	hubspot_find_choice(const char *const *choices, const char *value);
extern bool hubspot_is_text(const char *value, char first);
extern bool hubspot_is_token(const char *value);

#endif							/* HUBSPOT_ACCOUNT_OPTION_TABLE_H */
