/*-------------------------------------------------------------------------
 *
 * account.c
 *	  The throttle and the statistics of a HubSpot account.
 *
 * An account here is a foreign server of a database, whichever role uses it:
 * HubSpot counts the requests of all of them together.  If the library is
 * preloaded, or PostgreSQL is 17 or later, what is known of an account is in
 * shared memory, with one budget and one sum for all processes; otherwise each
 * session has its own.
 *
 * The shared memory has slots for hubspot_assoc.max_accounts accounts.  An
 * account gets one when a session connects to it, and keeps it; when all are
 * taken, the one that was idle the longest is given away, and its counters are
 * lost.  But a slot is not given away as long as its throttle has something to
 * say (requests in the window, a park).  If that is true of all slots, the
 * session goes on with a throttle of its own, until it connects again and
 * finds a slot, to which it then adds what it has counted.
 *
 * Two kinds of locks guard it.  The directory's lock is for the keys: it is
 * held to look for an account, and exclusively to give a slot to another one.
 * Each slot has a lock for its contents.  The key of a slot changes only while
 * both locks are held exclusively, so either is enough to read it.  The order
 * is directory, slot.
 *
 * Between two calls, a session keeps only the number of the slot where the
 * account was.  Each access checks under the slot's lock that the account is
 * still there, and looks for it again if it is not.
 *
 * The locks are LWLocks, not spinlocks: a slot's contents are searched (for a
 * category), counted through (for the pace) and copied (for the views), which
 * takes too long for a spinlock, and the extra cost of an LWLock is nothing
 * beside a request.  Any error releases them, they hold interrupts back, and
 * nothing waits while it holds one; so a canceled statement leaves none behind.
 *
 * No process is woken when the throttle changes: a place in the window becomes
 * free by time alone, and a park only gets longer.  So a process that waits
 * until the time it was told, and then asks again, misses nothing.
 *
 * IDENTIFICATION
 *	  src/account/account.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "account/account.h"
#include "base/clock.h"
#include "base/setting.h"
#include "base/shmem.h"

#define AREA_NAME	"hubspot_assoc_accounts"
#define NO_SLOT		(-1)

/* What is known of an account. */
typedef struct AccountState
{
	HubspotThrottle throttle;
	HubspotAccountCounts counts;
} AccountState;

typedef struct AccountKey
{
	Oid			database;		/* InvalidOid: the slot is free */
	Oid			server;
} AccountKey;

typedef struct Slot
{
	LWLock		lock;
	int64		last_used;
	AccountState state;
} Slot;

/*
 * The shared memory: all keys, which are searched, and then the slots.  lock is
 * NULL if there is none.
 */
static struct
{
	LWLock	   *lock;			/* of the keys */
	AccountKey *keys;
	Slot	   *slots;
}			shared;

/* An account, as this session knows it. */
struct HubspotAccount
{
	Oid			server;			/* hash key */
	int			slot;			/* where it was last seen, or NO_SLOT */
	AccountState *local;		/* used if it has no slot, or NULL */
};

static HTAB *accounts = NULL;

static void init_accounts(void *area, LWLock *lock, bool found);
static Size keys_size(void);
static void find_slot(HubspotAccount *account);
static int	search_keys(Oid server);
static int	give_slot(Oid server);
static bool choose_slot(int *slot, int64 *last_used);
static AccountState *make_local(void);
static void warn_local(void);
static void share_local(HubspotAccount *account);
static AccountState *open_account(HubspotAccount *account);
static void close_account(HubspotAccount *account);
static void copy_state(const AccountState *state, HubspotAccountCounts *counts,
					   HubspotThrottle *throttle);

/* Ask for room for the accounts in shared memory.  For _PG_init. */
void
hubspot_accounts_add(void)
{
	hubspot_shmem_add(AREA_NAME,
					  add_size(keys_size(),
							   mul_size(hubspot_max_accounts, sizeof(Slot))),
					  init_accounts);
}

static Size
keys_size(void)
{
	return MAXALIGN(mul_size(hubspot_max_accounts, sizeof(AccountKey)));
}

static void
init_accounts(void *area, LWLock *lock, bool found)
{
	shared.lock = lock;
	shared.keys = area;
	shared.slots = (Slot *) ((char *) area + keys_size());
	if (found)
		return;
	memset(shared.keys, 0, keys_size());
	for (int i = 0; i < hubspot_max_accounts; i++)
		LWLockInitialize(&shared.slots[i].lock, lock->tranche);
}

/*
 * The account of a server of this database, for as long as the session lives.
 * Each statement asks for it anew, so that an account without room in shared
 * memory gets it later.
 */
HubspotAccount *
hubspot_account(Oid serverid)
{
	HubspotAccount *account;
	bool		found;

	(void) hubspot_shmem_is_there();
	if (accounts == NULL)
	{
		HASHCTL		control = {0};

		control.keysize = sizeof(Oid);
		control.entrysize = sizeof(HubspotAccount);
		accounts = hash_create("hubspot_assoc accounts", 8, &control,
							   HASH_ELEM | HASH_BLOBS);
	}
	account = hash_search(accounts, &serverid, HASH_ENTER, &found);
	if (!found)
	{
		account->slot = NO_SLOT;
		account->local = NULL;
	}
	if (account->slot == NO_SLOT)
		find_slot(account);
	if (account->slot != NO_SLOT && account->local)
		share_local(account);
	return account;
}

/* Find the account's slot, give it one, or make its local state. */
static void
find_slot(HubspotAccount *account)
{
	int			slot = NO_SLOT;

	if (shared.lock)
	{
		LWLockAcquire(shared.lock, LW_SHARED);
		slot = search_keys(account->server);
		LWLockRelease(shared.lock);
		if (slot == NO_SLOT)
		{
			LWLockAcquire(shared.lock, LW_EXCLUSIVE);
			slot = search_keys(account->server);
			if (slot == NO_SLOT)
				slot = give_slot(account->server);
			LWLockRelease(shared.lock);
		}
	}
	if (slot == NO_SLOT && account->local == NULL)
		account->local = make_local();
	account->slot = slot;
}

static int
search_keys(Oid server)
{
	for (int i = 0; i < hubspot_max_accounts; i++)
	{
		if (shared.keys[i].database == MyDatabaseId &&
			shared.keys[i].server == server)
			return i;
	}
	return NO_SLOT;
}

/*
 * Give a server a slot: a free one, or the one that was idle the longest.
 * NO_SLOT: there is none.  The directory is locked exclusively.
 */
static int
give_slot(Oid server)
{
	int			slot;
	int64		last_used;

	while (choose_slot(&slot, &last_used))
	{
		Slot	   *place = &shared.slots[slot];

		/* its account may have been used again since */
		LWLockAcquire(&place->lock, LW_EXCLUSIVE);
		if (OidIsValid(shared.keys[slot].database) &&
			place->last_used != last_used)
		{
			LWLockRelease(&place->lock);
			continue;
		}
		shared.keys[slot].database = MyDatabaseId;
		shared.keys[slot].server = server;
		place->last_used = hubspot_coarse_now();
		memset(&place->state.throttle, 0, sizeof(HubspotThrottle));
		hubspot_counts_reset(&place->state.counts);
		LWLockRelease(&place->lock);
		return slot;
	}
	return NO_SLOT;
}

/* A slot that may be given away.  False: there is none. */
static bool
choose_slot(int *slot, int64 *last_used)
{
	int64		now = hubspot_now();

	*slot = NO_SLOT;
	*last_used = 0;
	for (int i = 0; i < hubspot_max_accounts; i++)
	{
		Slot	   *place = &shared.slots[i];

		if (!OidIsValid(shared.keys[i].database))
		{
			*slot = i;
			return true;
		}
		LWLockAcquire(&place->lock, LW_SHARED);
		if ((*slot == NO_SLOT || place->last_used < *last_used) &&
			hubspot_throttle_is_idle(&place->state.throttle, now))
		{
			*slot = i;
			*last_used = place->last_used;
		}
		LWLockRelease(&place->lock);
	}
	return *slot != NO_SLOT;
}

static AccountState *
make_local(void)
{
	AccountState *state = MemoryContextAllocZero(TopMemoryContext,
												 sizeof(AccountState));

	hubspot_counts_reset(&state->counts);
	if (shared.lock)
		warn_local();
	return state;
}

/* Once a session, so as not to fill the log. */
static void
warn_local(void)
{
	static bool warned = false;

	if (warned)
		return;
	warned = true;
	ereport(LOG,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("no room in shared memory for another HubSpot account"),
			 errdetail("All %d places are taken by accounts that were used in the last seconds. This session keeps to the rate of its account by itself, without counting the requests of others.",
					   hubspot_max_accounts),
			 errhint("Consider increasing hubspot_assoc.max_accounts.")));
}

/* Move what the session has counted by itself into the slot, if there is one. */
static void
share_local(HubspotAccount *account)
{
	AccountState *local = account->local;
	AccountState *state = open_account(account);

	if (state != local)
	{
		hubspot_throttle_merge(&state->throttle, &local->throttle);
		hubspot_counts_merge(&state->counts, &local->counts);
		account->local = NULL;
	}
	close_account(account);
	if (account->local == NULL)
		pfree(local);
}

/*
 * The state of an account, locked if others share it, until close_account.
 */
static AccountState *
open_account(HubspotAccount *account)
{
	while (account->slot != NO_SLOT)
	{
		Slot	   *place = &shared.slots[account->slot];
		const AccountKey *key = &shared.keys[account->slot];

		LWLockAcquire(&place->lock, LW_EXCLUSIVE);
		if (key->database == MyDatabaseId && key->server == account->server)
		{
			place->last_used = hubspot_coarse_now();
			return &place->state;
		}
		LWLockRelease(&place->lock);
		find_slot(account);		/* another account has the slot now */
	}
	return account->local;
}

static void
close_account(HubspotAccount *account)
{
	if (account->slot != NO_SLOT)
		LWLockRelease(&shared.slots[account->slot].lock);
}

/*
 * Take a place in the window for a request, which may be a search, that is about to
 * be sent, with at most limit requests in ten seconds (0: any number).  False: it has
 * to wait, and should ask again at *when.
 */
bool
hubspot_account_take(HubspotAccount *account, int limit, bool search, int64 now,
					 int64 *when)
{
	HubspotThrottle *throttle = &open_account(account)->throttle;
	bool		taken;

	*when = hubspot_throttle_when(throttle, limit, now);
	if (search && limit > 0)
		*when = Max(*when, hubspot_throttle_search_when(throttle, now));
	taken = (*when <= now);
	if (taken)
		hubspot_throttle_sent(throttle, now);
	if (taken && search)
		hubspot_throttle_searched(throttle, now);
	close_account(account);
	return taken;
}

/* When the limit of searches lets one be sent; never before now. */
int64
hubspot_account_search_when(HubspotAccount *account, int limit, int64 now)
{
	int64		when;

	if (limit == 0)
		return now;
	when = hubspot_throttle_search_when(&open_account(account)->throttle, now);
	close_account(account);
	return when;
}

/* When a request may be sent, as things stand; never before now. */
int64
hubspot_account_when(HubspotAccount *account, int limit, int64 now)
{
	int64		when = hubspot_throttle_when(&open_account(account)->throttle,
											 limit, now);

	close_account(account);
	return when;
}

/*
 * When a sender in the background, which would rather spread its requests,
 * should send the next one.  Then it takes its place as any other request does.
 */
int64
hubspot_account_pace(HubspotAccount *account, int limit, int64 now)
{
	int64		when = hubspot_throttle_pace(&open_account(account)->throttle,
											 limit, now);

	close_account(account);
	return when;
}

/* Let nothing be sent to the account before until. */
void
hubspot_account_park(HubspotAccount *account, int64 until)
{
	hubspot_throttle_park(&open_account(account)->throttle, until);
	close_account(account);
}

/* Let no search be sent to the account before until. */
void
hubspot_account_park_searches(HubspotAccount *account, int64 until)
{
	hubspot_throttle_park_searches(&open_account(account)->throttle, until);
	close_account(account);
}

/* Count a request that is sent, with that many bytes of body. */
void
hubspot_account_count_request(HubspotAccount *account, HubspotOperation operation,
							  bool retry, size_t bytes)
{
	hubspot_counts_add_request(&open_account(account)->counts, operation, retry, bytes);
	close_account(account);
}

/*
 * Count a request that has got its reply, with that many bytes of body, or has
 * failed, that many microseconds after it was sent.
 */
void
hubspot_account_count_reply(HubspotAccount *account, bool rate_limited,
							size_t bytes, int64 duration, int64 day_limit,
							int64 day_left)
{
	AccountState *state = open_account(account);

	if (day_left >= 0)
		hubspot_throttle_note_day(&state->throttle, day_limit, day_left, hubspot_now());
	hubspot_counts_add_reply(&state->counts, rate_limited, bytes, duration);
	close_account(account);
}

/* How many requests of the day are left, as HubSpot has said; -1: it has not. */
int64
hubspot_account_day_left(HubspotAccount *account, int64 now)
{
	int64		left = hubspot_throttle_day_left(&open_account(account)->throttle, now);

	close_account(account);
	return left;
}

/*
 * Until when the senders of the outbox, which share a limit on asking for missing
 * keys again, have used it up (outbox/reask.c).
 */
int64
hubspot_account_asked_again(HubspotAccount *account)
{
	int64		until = open_account(account)->throttle.asked_again_until;

	close_account(account);
	return until;
}

void
hubspot_account_ask_again(HubspotAccount *account, int64 until)
{
	open_account(account)->throttle.asked_again_until = until;
	close_account(account);
}

/* Count inputs that are settled, and how many of them are confirmed. */
void
hubspot_account_count_inputs(const HubspotTally *tally, int64 inputs, int64 confirmed)
{
	HubspotAccountCounts *counts;

	if (tally->account == NULL)
		return;
	counts = &open_account(tally->account)->counts;
	counts->operations[tally->operation].inputs += inputs;
	counts->operations[tally->operation].confirmed += confirmed;
	close_account(tally->account);
}

/* Count inputs that have failed with an error of that category. */
void
hubspot_account_count_error(const HubspotTally *tally, const char *category, int64 rows)
{
	if (tally->account == NULL)
		return;
	hubspot_counts_add_errors(&open_account(tally->account)->counts, category, tally->operation, rows);
	close_account(tally->account);
}

/* Likewise, and count them as inputs. */
void
hubspot_account_count_failed(const HubspotTally *tally, const char *category, int64 rows)
{
	hubspot_account_count_inputs(tally, rows, 0);
	hubspot_account_count_error(tally, category, rows);
}

/* Count rows that were left out of the outbox because of nulls. */
void
hubspot_account_count_skipped(HubspotAccount *account, int64 rows)
{
	open_account(account)->counts.skipped += rows;
	close_account(account);
}

/*
 * Copy what is known of a server's account; either copy may be NULL.  False: no
 * session has used it, or another one has its slot.
 */
bool
hubspot_account_read(Oid serverid, HubspotAccountCounts *counts,
					 HubspotThrottle *throttle)
{
	const HubspotAccount *account;
	int			slot = NO_SLOT;

	if (hubspot_shmem_is_there())
	{
		LWLockAcquire(shared.lock, LW_SHARED);
		slot = search_keys(serverid);
		if (slot != NO_SLOT)
		{
			LWLockAcquire(&shared.slots[slot].lock, LW_SHARED);
			copy_state(&shared.slots[slot].state, counts, throttle);
			LWLockRelease(&shared.slots[slot].lock);
		}
		LWLockRelease(shared.lock);
	}
	if (slot != NO_SLOT)
		return true;

	account = accounts ? hash_search(accounts, &serverid, HASH_FIND, NULL) : NULL;
	if (account == NULL || account->local == NULL)
		return false;
	copy_state(account->local, counts, throttle);
	return true;
}

static void
copy_state(const AccountState *state, HubspotAccountCounts *counts,
		   HubspotThrottle *throttle)
{
	if (counts)
		*counts = state->counts;
	if (throttle)
		*throttle = state->throttle;
}

/*
 * Reset the counters of a server or, with InvalidOid, of all servers of this
 * database.
 */
void
hubspot_accounts_reset(Oid serverid)
{
	HASH_SEQ_STATUS scan;
	HubspotAccount *account;

	if (hubspot_shmem_is_there())
	{
		LWLockAcquire(shared.lock, LW_SHARED);
		for (int i = 0; i < hubspot_max_accounts; i++)
		{
			if (shared.keys[i].database != MyDatabaseId ||
				(OidIsValid(serverid) && shared.keys[i].server != serverid))
				continue;
			LWLockAcquire(&shared.slots[i].lock, LW_EXCLUSIVE);
			hubspot_counts_reset(&shared.slots[i].state.counts);
			LWLockRelease(&shared.slots[i].lock);
		}
		LWLockRelease(shared.lock);
	}
	if (accounts == NULL)
		return;
	hash_seq_init(&scan, accounts);
	while ((account = hash_seq_search(&scan)) != NULL)
	{
		if (account->local && (!OidIsValid(serverid) || account->server == serverid))
			hubspot_counts_reset(&account->local->counts);
	}
}
