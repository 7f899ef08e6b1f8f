/*-------------------------------------------------------------------------
 *
 * token.c
 *	  Where the access token of a request comes from.
 *
 * A user mapping has one of three sources: the token itself, a file that holds
 * it, or an OAuth client that fetches one.
 *
 * A file is read for each statement, and again when HubSpot refuses what was
 * in it.
 *
 * A token of OAuth lives for some minutes.  The session keeps it, for all
 * statements of a user mapping, and counts the ones that it has got: a request
 * whose token has expired on its way, and was replaced in the meantime, is
 * sent again with the new one.  So however many requests are in flight, one
 * token is fetched.  token_fetch.c fetches it; this file knows what to ask, and what
 * to make of the answer.  Where processes share tokens (shared_token.c), the
 * session takes what another one has fetched, and lets others have what it
 * fetches.
 *
 * A refresh token lives for ever, but may be replaced by the answer.  The new
 * one is written to the user mapping (refresh_token.c), which is not always
 * possible.  So the session goes on with what it has, and remembers the
 * refresh tokens that were replaced: as long as the user mapping has one of
 * those, it is known to be outdated, and each statement tries to write the new
 * one.
 *
 * All that is used here is remembered as a secret (secret.c).  call.c searches
 * answers for them, except the one that gives a token: what is shown of that
 * is searched here.
 *
 * IDENTIFICATION
 *	  src/account/token.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "nodes/pg_list.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "account/option_table.h"
#include "account/refresh_token.h"
#include "account/token.h"
#include "account/token_file.h"
#include "api/definition.h"
#include "api/endpoint.h"
#include "api/request.h"
#include "base/catalog_access.h"
#include "base/clock.h"
#include "base/secret.h"

/*
 * How long before its end a token is renewed, or a tenth of its life if that
 * is less.
 */
#define RENEWAL_MARGIN	(60 * INT64CONST(1000000))	/* microseconds */

/* What the session has got from OAuth for a user mapping. */
typedef struct SessionToken
{
	MemoryContext context;		/* of this and its texts */
	char	   *base_url;
	char	   *client_id;
	char	   *client_secret;
	List	   *refresh_tokens; /* the one in use, then those it replaced */
	char	   *bearer;			/* or NULL: has to be fetched */
	int64		serial;			/* of the bearer, 0: none has been fetched */
	int64		expires;		/* when the bearer is renewed */
	bool		used;			/* the bearer has been used */

	/* why HubSpot refused to give a token, in this statement */
	HubspotError *refusal;		/* in a context of its own, or NULL */
	MemoryContext refusal_context;
	TimestampTz refused_statement;

	/* when the session last tried to store a refresh token */
	TimestampTz tried_statement;
	TimestampTz tried_transaction;
	int			tried_rollbacks;
} SessionToken;

typedef struct SessionEntry
{
	Oid			mapping;		/* hash key */
	SessionToken *token;		/* or NULL */
} SessionEntry;

struct HubspotAccessToken
{
	const HubspotOptions *options;
	MemoryContext context;		/* of the statement */
	const char *bearer;			/* NULL: OAuth's, which the session has */
	int64		serial;			/* how often the file was read anew */
	HubspotTokenKey key;		/* of OAuth's, among processes */
};

static HTAB *session_tokens = NULL;
static int64 last_serial = 0;

static SessionToken *session_token(const HubspotOptions *options);
static bool is_same_client(const SessionToken *session,
						   const HubspotOptions *options);
static bool has_same_client(const SessionToken *session,
							const HubspotOptions *options);
static SessionToken *make_session_token(const HubspotOptions *options);
static void set_bearer(SessionToken *session, const char *bearer,
					   int64 expires);
static void forget_bearer(SessionToken *session);
static void forget_text(char *text);
static const char *present_refresh_token(const HubspotOptions *options,
										 const SessionToken *session);
static void remember_refusal(SessionToken *session, const HubspotError *error);
static void take_refresh_token(HubspotAccessToken *token,
							   SessionToken *session,
							   const char *refresh_token);
static void use_refresh_token(HubspotAccessToken *token, SessionToken *session,
							  const char *refresh_token);
static bool may_try(const SessionToken *session);
static void store_refresh_token(const HubspotOptions *options,
								SessionToken *session);
static void remember_secrets(const HubspotOptions *options,
							 const SessionToken *session);
static void hide_secrets(const HubspotOptions *options, const char *text);

/*
 * The access token of a statement with these options, which it keeps.  ERROR
 * if there is a file and it can't be read.
 */
HubspotAccessToken *
hubspot_token_create(const HubspotOptions *options)
{
	HubspotAccessToken *token = palloc0(sizeof(HubspotAccessToken));

	token->options = options;
	token->context = CurrentMemoryContext;
	if (options->access_token)
		token->bearer = options->access_token;
	else if (options->access_token_file)
		token->bearer = hubspot_read_token_file(options->access_token_file, ERROR);
	else
	{
		SessionToken *session = session_token(options);

		if (strcmp(linitial(session->refresh_tokens), options->refresh_token) != 0 &&
			may_try(session))
			store_refresh_token(options, session);
		hubspot_shared_token_key(options, linitial(session->refresh_tokens),
								 &token->key);
	}
	return token;
}

/*
 * Are the options those of the client of OAuth that this token is of, so that
 * the session keeps one token for both?  Of the refresh tokens of a mapping,
 * each is as good as the one it replaced.
 */
bool
hubspot_token_is_same(const HubspotAccessToken *token,
					  const HubspotAccessToken *other)
{
	const HubspotOptions *options = token->options;
	const HubspotOptions *others = other->options;

	return options->mapping == others->mapping &&
		options->client_id && others->client_id &&
		strcmp(options->base_url, others->base_url) == 0 &&
		strcmp(options->client_id, others->client_id) == 0 &&
		strcmp(options->client_secret, others->client_secret) == 0;
}

/*
 * Why HubSpot refused to give a token to another call of the same statement, a
 * copy in context, or NULL.  A million rows need not ask the same again.
 */
HubspotError *
hubspot_token_refusal(const HubspotAccessToken *token, MemoryContext context)
{
	const SessionToken *session = session_token(token->options);
	MemoryContext old;
	HubspotError *copy;

	if (session->refusal == NULL ||
		session->refused_statement != GetCurrentStatementStartTimestamp())
		return NULL;
	old = MemoryContextSwitchTo(context);
	copy = hubspot_copy_error(session->refusal);
	MemoryContextSwitchTo(old);
	return copy;
}

/* False: a token has to be fetched before the next request is sent. */
bool
hubspot_token_is_ready(const HubspotAccessToken *token)
{
	const SessionToken *session;

	if (token->bearer)
		return true;
	session = session_token(token->options);

	/* a token that came expired is worth a try, or nothing would ever be sent */
	return session->bearer &&
		(!session->used || hubspot_now() < session->expires);
}

/*
 * The token for a request, which has to be ready.  It is valid until a token
 * is fetched.  *serial is for hubspot_token_renew().
 */
const char *
hubspot_token_use(const HubspotAccessToken *token, int64 *serial)
{
	SessionToken *session;

	*serial = token->serial;
	if (token->bearer)
	{
		hubspot_remember_secret(token->options->server, token->bearer);
		return token->bearer;
	}
	session = session_token(token->options);
	session->used = true;
	*serial = session->serial;
	hubspot_remember_secret(token->options->server, session->bearer);
	return session->bearer;
}

/*
 * The reply, a 401, refuses the token of that serial.  True: the request may
 * be sent again, with another token, which may have to be fetched.
 */
bool
hubspot_token_renew(HubspotAccessToken *token, int64 serial,
					const HubspotHttpReply *reply)
{
	const HubspotOptions *options = token->options;
	SessionToken *session;

	if (options->access_token)
		return false;
	if (options->access_token_file)
	{
		MemoryContext old;
		char	   *bearer;

		if (serial != token->serial)
			return true;
		/* a file that has become unreadable is the next statement's ERROR */
		old = MemoryContextSwitchTo(token->context);
		bearer = hubspot_read_token_file(options->access_token_file, DEBUG1);
		MemoryContextSwitchTo(old);
		if (bearer == NULL || strcmp(bearer, token->bearer) == 0)
			return false;
		token->bearer = bearer;
		token->serial++;
		return true;
	}

	session = session_token(options);
	if (serial != session->serial)
		return true;
	/* a token that was revoked is of no use to anybody */
	if (session->bearer)
		hubspot_shared_token_refuse(session->bearer);
	forget_bearer(session);
	return hubspot_reply_is_expired(reply);
}

/*
 * What the session has for the user mapping of the options.  If that belongs
 * to other options, it is forgotten first.
 */
static SessionToken *
session_token(const HubspotOptions *options)
{
	SessionEntry *entry;
	bool		found;

	if (session_tokens == NULL)
	{
		HASHCTL		control = {0};

		control.keysize = sizeof(Oid);
		control.entrysize = sizeof(SessionEntry);
		session_tokens = hash_create("hubspot_assoc tokens", 8, &control,
									 HASH_ELEM | HASH_BLOBS);
	}
	entry = hash_search(session_tokens, &options->mapping, HASH_ENTER, &found);
	if (!found)
		entry->token = NULL;
	if (entry->token && !is_same_client(entry->token, options))
	{
		SessionToken *old = entry->token;
		ListCell   *lc;

		entry->token = NULL;
		forget_bearer(old);
		forget_text(old->client_secret);
		foreach(lc, old->refresh_tokens)
			forget_text(lfirst(lc));
		MemoryContextDelete(old->context);
	}
	if (entry->token == NULL)
		entry->token = make_session_token(options);
	return entry->token;
}

/*
 * Do the options belong to what the session has?  A refresh token that the session has
 * replaced is as good as the new one.
 */
static bool
is_same_client(const SessionToken *session, const HubspotOptions *options)
{
	return has_same_client(session, options) &&
		hubspot_is_refresh_token(options, session->refresh_tokens);
}

/* The same, whatever the refresh token is. */
static bool
has_same_client(const SessionToken *session, const HubspotOptions *options)
{
	return strcmp(session->base_url, options->base_url) == 0 &&
		strcmp(session->client_id, options->client_id) == 0 &&
		strcmp(session->client_secret, options->client_secret) == 0;
}

static SessionToken *
make_session_token(const HubspotOptions *options)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "hubspot_assoc token",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	SessionToken *session = palloc0(sizeof(SessionToken));

	session->context = context;
	session->refusal_context = AllocSetContextCreate(context,
													 "hubspot_assoc token refusal",
													 ALLOCSET_SMALL_SIZES);
	session->base_url = pstrdup(options->base_url);
	session->client_id = pstrdup(options->client_id);
	session->client_secret = pstrdup(options->client_secret);
	session->refresh_tokens = list_make1(pstrdup(options->refresh_token));
	MemoryContextSwitchTo(old);
	return session;
}

/* The session has a new token, which it or another process has fetched. */
static void
set_bearer(SessionToken *session, const char *bearer, int64 expires)
{
	forget_bearer(session);
	session->bearer = MemoryContextStrdup(session->context, bearer);
	session->serial = ++last_serial;
	session->expires = expires;
	session->refusal = NULL;
}

static void
forget_bearer(SessionToken *session)
{
	if (session->bearer)
	{
		forget_text(session->bearer);
		pfree(session->bearer);
		session->bearer = NULL;
	}
}

static void
forget_text(char *text)
{
	explicit_bzero(text, strlen(text));
}

/*
 * The token is needed and is not ready: take it, if another process has fetched
 * it, so that it is ready; else the result is that of
 * hubspot_shared_token_take().
 */
HubspotTokenPlace
hubspot_token_take(HubspotAccessToken *token, bool patient, int64 *until)
{
	HubspotSharedToken shared;
	HubspotTokenPlace place = hubspot_shared_token_take(&token->key, patient,
														&shared, until);

	if (place == HUBSPOT_TOKEN_FOUND)
	{
		SessionToken *session = session_token(token->options);

		set_bearer(session, shared.bearer, shared.expires);
		session->used = true;
		explicit_bzero(&shared, sizeof(shared));
	}
	return place;
}

/*
 * The caller's fetch is over, or does not take place: another process may
 * fetch the token.
 */
void
hubspot_token_give_up(HubspotAccessToken *token)
{
	hubspot_shared_token_give_up(&token->key);
}

/* Append the body of the request that fetches a token. */
void
hubspot_token_encode_request(const HubspotAccessToken *token, StringInfo body)
{
	const SessionToken *session = session_token(token->options);

	remember_secrets(token->options, session);
	hubspot_encode_refresh(body, session->client_id, session->client_secret,
						   linitial(session->refresh_tokens));
}

/* Remember all secrets that may be in the request. */
static void
remember_secrets(const HubspotOptions *options, const SessionToken *session)
{
	hubspot_remember_secret(options->server, session->client_secret);
	hubspot_remember_secret(options->server, options->refresh_token);
	hubspot_remember_secret(options->server, linitial(session->refresh_tokens));
}

/*
 * Take the token from the answer to that request, whose last attempt was sent
 * at a time of hubspot_now().  An answer that has none is returned as an
 * error, palloc'd, in which no secret stands.
 */
HubspotError *
hubspot_token_take_reply(HubspotAccessToken *token,
						 const HubspotHttpReply *reply, int attempts,
						 int64 sent)
{
	const HubspotOptions *options = token->options;
	SessionToken *session = session_token(options);
	HubspotTokenReply fields;
	HubspotError *error;
	bool		has_token = hubspot_read_token(reply, &fields);

	forget_bearer(session);
	if (fields.access_token)
		hubspot_remember_secret(options->server, fields.access_token);
	if (fields.refresh_token)
		hubspot_remember_secret(options->server, fields.refresh_token);
	if (has_token && hubspot_is_token(fields.access_token))
	{
		int64		life = (int64) Max(fields.expires_in, 0) * 1000000;

		set_bearer(session, fields.access_token,
				   sent + life - Min(life / 10, RENEWAL_MARGIN));
		session->used = false;
		hubspot_shared_token_put(&token->key, session->bearer, session->expires);
		if (fields.refresh_token &&
			strcmp(fields.refresh_token, linitial(session->refresh_tokens)) != 0)
			take_refresh_token(token, session, fields.refresh_token);
		return NULL;
	}

	hubspot_shared_token_give_up(&token->key);

	/* our own words have no secret in them, unless it is a part of a word */
	hide_secrets(options, fields.reason);
	hide_secrets(options, fields.word);
	error = hubspot_token_error(reply, fields.word, fields.reason, attempts);
	hide_secrets(options, error->correlation_id);
	if (error->sqlstate == ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION)
		remember_refusal(session, error);
	return error;
}

/*
 * After a refusal: has another session stored a new refresh token in the user
 * mapping since the statement began?  True: the request may be tried with that
 * one.
 */
bool
hubspot_token_reload(HubspotAccessToken *token)
{
	const HubspotOptions *options = token->options;
	SessionToken *session = session_token(options);
	HubspotCatalogAccess access;
	const char *refresh_token;

	if (session->refusal == NULL)
		return false;
	access = hubspot_begin_catalog_access();
	refresh_token = present_refresh_token(options, session);
	hubspot_end_catalog_access(access);
	if (refresh_token == NULL)
		return false;
	use_refresh_token(token, session, refresh_token);
	session->refusal = NULL;
	return true;
}

/* The refresh token that the user mapping has now; NULL: the session knows it. */
static const char *
present_refresh_token(const HubspotOptions *options,
					  const SessionToken *session)
{
	const HubspotOptions *present;

	AcceptInvalidationMessages();
	if (!SearchSysCacheExists1(USERMAPPINGOID, ObjectIdGetDatum(options->mapping)))
		return NULL;
	present = hubspot_get_options(options->server, options->user);
	if (present->mapping != options->mapping || present->client_id == NULL ||
		!has_same_client(session, present) ||
		hubspot_is_refresh_token(present, session->refresh_tokens))
		return NULL;
	return present->refresh_token;
}

static void
remember_refusal(SessionToken *session, const HubspotError *error)
{
	MemoryContext old = MemoryContextSwitchTo(session->refusal_context);

	session->refusal = NULL;
	MemoryContextReset(session->refusal_context);
	session->refusal = hubspot_copy_error(error);
	session->refused_statement = GetCurrentStatementStartTimestamp();
	MemoryContextSwitchTo(old);
}

/* A new refresh token has come. */
static void
take_refresh_token(HubspotAccessToken *token, SessionToken *session,
				   const char *refresh_token)
{
	const HubspotOptions *options = token->options;

	if (!hubspot_is_token(refresh_token))
	{
		ereport(WARNING,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("could not store the new refresh token of server \"%s\"",
						options->server_name),
				 errdetail("It is empty, too long, or not printable ASCII.")));
		return;
	}
	use_refresh_token(token, session, refresh_token);

	/* processes that have the new refresh token find the access token by it */
	hubspot_shared_token_put(&token->key, session->bearer, session->expires);
	store_refresh_token(options, session);
}

/* The session goes on with another refresh token. */
static void
use_refresh_token(HubspotAccessToken *token, SessionToken *session,
				  const char *refresh_token)
{
	MemoryContext old = MemoryContextSwitchTo(session->context);
	HubspotCatalogAccess access;

	session->refresh_tokens = lcons(pstrdup(refresh_token),
									session->refresh_tokens);
	MemoryContextSwitchTo(old);

	/* OpenSSL's hashes need a resource owner, and that needs a transaction */
	access = hubspot_begin_catalog_access();
	hubspot_shared_token_key(token->options, refresh_token, &token->key);
	hubspot_end_catalog_access(access);
}

/*
 * Is it worth trying again to store the refresh token?  It is, once in each
 * statement, and again in a new transaction or after a rollback.
 */
static bool
may_try(const SessionToken *session)
{
	return session->tried_statement != GetCurrentStatementStartTimestamp() ||
		session->tried_transaction != GetCurrentTransactionStartTimestamp() ||
		session->tried_rollbacks != hubspot_refresh_rollbacks();
}

/*
 * Write the refresh token in use to the user mapping.  If that cannot be done,
 * a WARNING says why.
 */
static void
store_refresh_token(const HubspotOptions *options, SessionToken *session)
{
	HubspotCatalogAccess access = hubspot_begin_catalog_access();
	const char *reason;

	session->tried_statement = GetCurrentStatementStartTimestamp();
	session->tried_transaction = GetCurrentTransactionStartTimestamp();
	session->tried_rollbacks = hubspot_refresh_rollbacks();
	reason = hubspot_store_refresh_token(options, session->refresh_tokens);
	hubspot_end_catalog_access(access);
	if (reason)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("could not store the new refresh token of server \"%s\" in the user mapping",
						options->server_name),
				 errdetail("%s", reason),
				 errhint("The session goes on with the new one, and tries to store it whenever it uses the server. After its end, HubSpot may refuse the old one.")));
}

/* Write over all secrets in a text of an answer that was to give a token. */
static void
hide_secrets(const HubspotOptions *options, const char *text)
{
	if (text)
		hubspot_hide_secrets(options->server, unconstify(char *, text), strlen(text));
}
