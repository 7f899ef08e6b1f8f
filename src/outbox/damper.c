/*-------------------------------------------------------------------------
 *
 * damper.c
 *	  Pairs that change all the time are sent less and less often.
 *
 * Only the last state of a pair that changes all the time matters, and each
 * request that carries an earlier one is lost to other pairs.  The first few
 * sends of a pair go at once; then it has to wait a second after the last one,
 * and twice as long each time, up to a bound, which is the most by which its
 * last state is late.  A pair that was quiet for twice that bound begins anew.
 *
 * A row that was already in the queue when the pair was last sent is not a new
 * change: it neither waits nor counts.
 *
 * The pairs that were sent lately are in a table with one place for each hash value, where a
 * newer pair replaces another: a forgotten pair is damped less.  If the library is preloaded,
 * the table is in shared memory, because the workers take turns.  Otherwise each sender has
 * its own, so that it sends all that is due, whatever others have sent.
 *
 * IDENTIFICATION
 *	  src/outbox/damper.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/shmem.h"
#include "outbox/damper.h"

#define TABLE_SIZE		65536

/* How many times in a row a pair is sent without having to wait. */
#define FREE_SENDS		3

/* The first wait, in microseconds, which doubles up to the longest. */
#define FIRST_DELAY		INT64CONST(1000000)
#define MAX_DELAY		(30 * INT64CONST(1000000))

typedef struct DampedPair
{
	uint64		key;			/* of the database and the pair */
	int64		sent;			/* the last time, as of hubspot_now() */
	int64		newest;			/* newest row of the outbox then, of any pair */
	int			times;			/* in a row */
} DampedPair;

static DampedPair *table = NULL;
static LWLock *lock = NULL;		/* NULL: it is this process's own */

static void attach_table(void *shared, LWLock *shared_lock, bool found);
static DampedPair *find_place(int64 pair, uint64 *key);

/* To be called while the library is loaded. */
void
hubspot_damper_add(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	hubspot_shmem_add("hubspot_assoc damper", sizeof(DampedPair) * TABLE_SIZE,
					  attach_table);
}

static void
attach_table(void *shared, LWLock *shared_lock, bool found)
{
	table = shared;
	lock = shared_lock;
	if (!found)
		memset(table, 0, sizeof(DampedPair) * TABLE_SIZE);
}

/* A sender begins: if the table isn't shared, it is empty. */
void
hubspot_damper_begin(void)
{
	if (table == NULL)
		table = MemoryContextAlloc(TopMemoryContext,
								   sizeof(DampedPair) * TABLE_SIZE);
	if (lock == NULL)
		memset(table, 0, sizeof(DampedPair) * TABLE_SIZE);
}

/* Until when a row of a pair has to wait; if that has passed, it need not wait. */
int64
hubspot_damper_until(int64 pair, int64 id, int64 now)
{
	uint64		key;
	DampedPair *place = find_place(pair, &key);
	int64		until = now;

	if (lock)
		LWLockAcquire(lock, LW_SHARED);
	if (place->key == key && id > place->newest && place->times >= FREE_SENDS)
	{
		int64		delay = FIRST_DELAY;

		for (int i = FREE_SENDS; i < place->times && delay < MAX_DELAY; i++)
			delay *= 2;
		until = place->sent + Min(delay, MAX_DELAY);
	}
	if (lock)
		LWLockRelease(lock);
	return until;
}

/* Note that a row of a pair is sent now; newest is the latest row of any pair. */
void
hubspot_damper_sent(int64 pair, int64 id, int64 newest, int64 now)
{
	uint64		key;
	DampedPair *place = find_place(pair, &key);

	if (lock)
		LWLockAcquire(lock, LW_EXCLUSIVE);
	if (place->key != key || now - place->sent > 2 * MAX_DELAY)
		place->times = 0;
	if (place->times == 0 || id > place->newest)
		place->times++;
	place->key = key;
	place->sent = now;
	place->newest = newest;
	if (lock)
		LWLockRelease(lock);
}

static DampedPair *
find_place(int64 pair, uint64 *key)
{
	*key = hash_combine64((uint64) pair, MyDatabaseId);
	return &table[*key % TABLE_SIZE];
}
