/*-------------------------------------------------------------------------
 *
 * shared_token.c
 *	  Access tokens of OAuth that processes share.
 *
 * If the library is preloaded, the processes that log in alike fetch one token
 * together: the first one that lacks it claims the fetch, the others wait, and
 * then take what it has put here.  A claim ends with the fetch, whatever comes
 * of it, with the process, and after MAX_CLAIM; then another process may claim.
 *
 * A token must reach nobody who could not have fetched it.  So it is found by
 * a keyed hash of all that this takes: the user mapping, and so the database
 * and the server, the client, its secret, its refresh token, the host it is
 * sent to, and the way there.  The hash's key is random, and made anew with
 * the shared memory, so what is kept here says nothing of the credentials, and
 * nobody finds a token without having them.  When a refresh token is replaced
 * there are two keys, and the token has a slot under each.
 *
 * Nothing here is shown by a view, log or message.  A token that has expired
 * is written over as soon as any process looks for one; one that HubSpot has
 * refused is written over in all slots, by the process that was told so.
 *
 * There are as many slots as there are accounts.  If all are taken, the one
 * that has not been used for longest is given away, unless its token is being
 * fetched.  Without a slot a process fetches for itself, as it does if the
 * library is not preloaded, and for a token that is too long or expires at
 * once.
 *
 * One lock guards it all: a look takes a microsecond or two, and only processes
 * without a token look.  A process that waits is told by a condition variable,
 * which sets its latch: it waits for that and for its sockets together
 * (sockets.c).
 *
 * IDENTIFICATION
 *	  src/account/shared_token.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hmac.h"
#include "miscadmin.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"

#include "account/shared_token.h"
#include "base/clock.h"
#include "base/setting.h"
#include "base/shmem.h"

#define AREA_NAME	"hubspot_assoc_tokens"

/* A claim to a fetch that has not ended after this time is overridden. */
#define MAX_CLAIM	(10 * INT64CONST(1000000))	/* microseconds */

typedef struct Slot
{
	bool		taken;
	uint8		key[PG_SHA256_DIGEST_LENGTH];
	int64		last_used;
	int			len;			/* of the bearer; 0: there is none */
	bool		unshared;		/* the last bearer could not be shared */
	HubspotSharedToken token;
	int			fetcher;		/* the process that claims the fetch, or 0 */
	int64		claimed;		/* since when */
} Slot;

typedef struct Area
{
	uint8		hash_key[PG_SHA256_DIGEST_LENGTH];
	ConditionVariable changed;	/* a claim has ended */
	Slot		slots[FLEXIBLE_ARRAY_MEMBER];
} Area;

/* NULL: the library is not preloaded */
static Area *area = NULL;
static LWLock *lock;

static bool waits = false;		/* this process waits for a change */

static void attach_area(void *shared, LWLock *shared_lock, bool found);
static bool add_text(pg_hmac_ctx *hmac, const char *text);
static HubspotTokenPlace look(const HubspotTokenKey *key, bool patient,
							  HubspotSharedToken *token, int64 *until);
static Slot *find_slot(const HubspotTokenKey *key, bool give);
static bool is_claimed(const Slot *slot, int64 now);
static void wipe(Slot *slot);
static void wipe_expired(int64 now);
static void end_claims(int code, Datum arg);

/* Ask for room for the tokens in shared memory.  For _PG_init. */
void
hubspot_shared_tokens_add(void)
{
	hubspot_shmem_add(AREA_NAME,
					  add_size(offsetof(Area, slots),
							   mul_size(hubspot_max_accounts, sizeof(Slot))),
					  attach_area);
}

static void
attach_area(void *shared, LWLock *shared_lock, bool found)
{
	area = shared;
	lock = shared_lock;
	if (found)
		return;
	memset(area, 0, offsetof(Area, slots) + hubspot_max_accounts * sizeof(Slot));
	ConditionVariableInit(&area->changed);
	if (!pg_strong_random(area->hash_key, sizeof(area->hash_key)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
}

/*
 * The key of the token that is fetched with these options and this refresh
 * token of theirs.  A transaction must be open.
 */
void
hubspot_shared_token_key(const HubspotOptions *options,
						 const char *refresh_token, HubspotTokenKey *key)
{
	const Oid	oids[] = {MyDatabaseId, options->server, options->mapping};
	pg_hmac_ctx *hmac;

	key->valid = false;
	if (area == NULL)
		return;
	hmac = pg_hmac_create(PG_SHA256);
	if (hmac == NULL)
		return;
	key->valid =
		pg_hmac_init(hmac, area->hash_key, sizeof(area->hash_key)) >= 0 &&
		pg_hmac_update(hmac, (const uint8 *) oids, sizeof(oids)) >= 0 &&
		add_text(hmac, options->base_url) &&
		add_text(hmac, options->client_id) &&
		add_text(hmac, options->client_secret) &&
		add_text(hmac, refresh_token) &&
		add_text(hmac, options->proxy) &&
		add_text(hmac, options->proxy_username) &&
		add_text(hmac, options->proxy_password) &&
		add_text(hmac, options->ca_file) &&
		pg_hmac_final(hmac, key->bytes, sizeof(key->bytes)) >= 0;
	pg_hmac_free(hmac);
}

/*
 * Add a text, or NULL, with its length before it, so that no two lists of
 * texts are the same.
 */
static bool
add_text(pg_hmac_ctx *hmac, const char *text)
{
	int32		len = text ? (int32) strlen(text) : -1;

	return pg_hmac_update(hmac, (const uint8 *) &len, sizeof(len)) >= 0 &&
		(len <= 0 || pg_hmac_update(hmac, (const uint8 *) text, len) >= 0);
}

/*
 * Take the token of a key.  MISSING: there is none, and the caller has claimed
 * to fetch it (unless nothing can be shared).  COMES: another process fetches
 * it.  The latch is set when that may have changed, and the claim is over at
 * *until; an impatient caller overrides it.
 */
HubspotTokenPlace
hubspot_shared_token_take(const HubspotTokenKey *key, bool patient,
						  HubspotSharedToken *token, int64 *until)
{
	HubspotTokenPlace place;

	if (!key->valid)
		return HUBSPOT_TOKEN_MISSING;
	place = look(key, patient, token, until);
	if (place == HUBSPOT_TOKEN_COMES)
	{
		/* it may have come before we were in the list of those that wait */
		ConditionVariablePrepareToSleep(&area->changed);
		waits = true;
		place = look(key, patient, token, until);
	}
	if (place != HUBSPOT_TOKEN_COMES)
		hubspot_shared_token_wait_no_more();
	return place;
}

/* Wait no more: the latch does not have to be set. */
void
hubspot_shared_token_wait_no_more(void)
{
	if (waits)
		ConditionVariableCancelSleep();
	waits = false;
}

static HubspotTokenPlace
look(const HubspotTokenKey *key, bool patient, HubspotSharedToken *token,
	 int64 *until)
{
	static bool registered = false;
	HubspotTokenPlace place = HUBSPOT_TOKEN_MISSING;
	int64		now = hubspot_now();
	Slot	   *slot;

	if (!registered)
		before_shmem_exit(end_claims, 0);
	registered = true;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	wipe_expired(now);
	slot = find_slot(key, true);
	if (slot && slot->len > 0)
	{
		*token = slot->token;
		place = HUBSPOT_TOKEN_FOUND;
	}
	else if (slot && patient && slot->fetcher != MyProcPid && is_claimed(slot, now))
	{
		*until = slot->claimed + MAX_CLAIM;
		place = HUBSPOT_TOKEN_COMES;
	}
	else if (slot && !slot->unshared)
	{
		slot->fetcher = MyProcPid;
		slot->claimed = now;
	}
	LWLockRelease(lock);
	return place;
}

/* The slot of a key.  NULL: it has none, and with give, it cannot have one. */
static Slot *
find_slot(const HubspotTokenKey *key, bool give)
{
	int64		now = hubspot_now();
	Slot	   *other = NULL;	/* a slot that may be given away */

	for (int i = 0; i < hubspot_max_accounts; i++)
	{
		Slot	   *slot = &area->slots[i];

		if (slot->taken && memcmp(slot->key, key->bytes, sizeof(slot->key)) == 0)
		{
			slot->last_used = now;
			return slot;
		}
		if (!slot->taken ? (other == NULL || other->taken) :
			!is_claimed(slot, now) &&
			(other == NULL || (other->taken && slot->last_used < other->last_used)))
			other = slot;
	}
	if (other == NULL || !give)
		return NULL;
	wipe(other);
	memset(other, 0, sizeof(Slot));
	memcpy(other->key, key->bytes, sizeof(other->key));
	other->taken = true;
	other->last_used = now;
	return other;
}

static bool
is_claimed(const Slot *slot, int64 now)
{
	return slot->fetcher != 0 && now < slot->claimed + MAX_CLAIM;
}

static void
wipe(Slot *slot)
{
	explicit_bzero(&slot->token, sizeof(slot->token));
	slot->len = 0;
}

static void
wipe_expired(int64 now)
{
	for (int i = 0; i < hubspot_max_accounts; i++)
	{
		if (area->slots[i].len > 0 && area->slots[i].token.expires <= now)
			wipe(&area->slots[i]);
	}
}

/*
 * The token of a key has been fetched, to be renewed at expires: let others
 * have it, if it can be shared.
 */
void
hubspot_shared_token_put(const HubspotTokenKey *key, const char *bearer,
						 int64 expires)
{
	int			len = strlen(bearer);
	Slot	   *slot;

	if (!key->valid)
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	slot = find_slot(key, true);
	if (slot)
	{
		wipe(slot);
		slot->unshared = len > HUBSPOT_MAX_SHARED_TOKEN || expires <= hubspot_now();
		if (!slot->unshared)
		{
			memcpy(slot->token.bearer, bearer, len + 1);
			slot->token.expires = expires;
			slot->len = len;
		}
		slot->fetcher = 0;
	}
	LWLockRelease(lock);
	ConditionVariableBroadcast(&area->changed);
}

/*
 * The caller no longer fetches what it has claimed, if the claim is still its
 * own.
 */
void
hubspot_shared_token_give_up(const HubspotTokenKey *key)
{
	Slot	   *slot;
	bool		changed = false;

	if (!key->valid)
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	slot = find_slot(key, false);
	if (slot && slot->fetcher == MyProcPid)
	{
		slot->fetcher = 0;
		changed = true;
	}
	LWLockRelease(lock);
	if (changed)
		ConditionVariableBroadcast(&area->changed);
}

/* HubSpot has refused a token: write it over. */
void
hubspot_shared_token_refuse(const char *bearer)
{
	int			len = strlen(bearer);

	if (area == NULL)
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	for (int i = 0; i < hubspot_max_accounts; i++)
	{
		Slot	   *slot = &area->slots[i];

		if (slot->len == len && memcmp(slot->token.bearer, bearer, len) == 0)
			wipe(slot);
	}
	LWLockRelease(lock);
}

/* The process ends, and its claims with it. */
static void
end_claims(int code, Datum arg)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	for (int i = 0; i < hubspot_max_accounts; i++)
	{
		if (area->slots[i].fetcher == MyProcPid)
			area->slots[i].fetcher = 0;
	}
	LWLockRelease(lock);
	ConditionVariableBroadcast(&area->changed);
}
