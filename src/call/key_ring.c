/*-------------------------------------------------------------------------
 *
 * key_ring.c
 *	  Memory for keys, with a bound.
 *
 * Keys lie in blocks, one after the other.  When there are MAX_BLOCKS of these, new keys
 * take the places of the oldest ones: the blocks are a ring, through which the place for
 * the next key moves.  A key that its owner does not let go stays where it is, and those
 * around it go: at any time, rows that wait have keys in each block.  If they need so
 * many that a new key finds no place in any block, there is one block more.
 *
 * What lies between two keys is a hole, which looks like a key and says how long it is.
 *
 * IDENTIFICATION
 *	  src/call/key_ring.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/memutils.h"

#include "call/key_ring.h"

/* Bytes of a block, and how many blocks there may be: 8 MB of keys. */
#define BLOCK_SIZE		(64 * 1024)
#define MAX_BLOCKS		128

/* The state of what lies between keys; its size, by the alignment, is in nrows. */
#define HOLE			15

StaticAssertDecl(offsetof(HubspotKey, answer) <= HUBSPOT_KEY_ALIGNMENT,
				 "a hole may be too small to say that it is one");
StaticAssertDecl(BLOCK_SIZE / HUBSPOT_KEY_ALIGNMENT <= PG_UINT16_MAX,
				 "a hole may be longer than it can say");

typedef struct Block
{
	Size		used;			/* by keys and holes, without a gap */
	char		space[BLOCK_SIZE];
} Block;

struct HubspotKeyRing
{
	MemoryContext context;
	HubspotLetKeyGo let_go;
	void	   *owner;
	List	   *blocks;			/* after the current one comes the oldest, as
								 * in a ring */
	int			current;		/* the block that takes keys */
	Size		position;		/* where the next key may be, in that block */
};

static HubspotKey *find_place(HubspotKeyRing *ring, Block *block, Size size);
static void make_hole(Block *block, Size start, Size end);
static void add_block(HubspotKeyRing *ring);

static inline HubspotKey *
key_at(Block *block, Size position)
{
	return (HubspotKey *) (block->space + position);
}

/* The size of a key, or of a hole. */
static inline Size
size_of(const HubspotKey *key)
{
	return key->state == HOLE ? (Size) key->nrows * HUBSPOT_KEY_ALIGNMENT :
		hubspot_key_size(key->len);
}

/* Create a ring, which asks its owner before a key goes. */
HubspotKeyRing *
hubspot_key_ring_create(MemoryContext context, HubspotLetKeyGo let_go, void *owner)
{
	HubspotKeyRing *ring = MemoryContextAllocZero(context, sizeof(HubspotKeyRing));

	ring->context = context;
	ring->let_go = let_go;
	ring->owner = owner;
	return ring;
}

/*
 * Memory for a key whose text has len bytes, for the caller to fill in.  It comes from a
 * new block if there are few, or if all keys are needed.
 */
HubspotKey *
hubspot_key_ring_add(HubspotKeyRing *ring, int len)
{
	Size		size = hubspot_key_size(len);
	int			nblocks = list_length(ring->blocks);

	for (int i = 0; nblocks > 0 && i <= nblocks; i++)
	{
		HubspotKey *place = find_place(ring, list_nth(ring->blocks, ring->current), size);

		if (place)
			return place;
		if (nblocks < MAX_BLOCKS)
			break;
		ring->current = (ring->current + 1) % nblocks;
		ring->position = 0;
	}
	add_block(ring);
	return find_place(ring, list_nth(ring->blocks, ring->current), size);
}

/* A place in what is left of the current block, whose keys go as need be; or NULL. */
static HubspotKey *
find_place(HubspotKeyRing *ring, Block *block, Size size)
{
	Size		start = ring->position;
	Size		end = start;

	while (end < block->used && end - start < size)
	{
		HubspotKey *key = key_at(block, end);
		Size		its_size = size_of(key);

		if (key->state != HOLE && !ring->let_go(ring->owner, key))
		{
			make_hole(block, start, end);
			start = end + its_size;
		}
		end += its_size;
	}
	if (end == block->used && start + size <= BLOCK_SIZE)
		block->used = end = Max(end, start + size);
	if (end - start < size)
	{
		make_hole(block, start, end);
		ring->position = end;
		return NULL;
	}
	make_hole(block, start + size, end);
	ring->position = start + size;
	return key_at(block, start);
}

/* Make a hole of this part of a block: there is no key there. */
static void
make_hole(Block *block, Size start, Size end)
{
	if (start == end)
		return;
	key_at(block, start)->state = HOLE;
	key_at(block, start)->nrows = (end - start) / HUBSPOT_KEY_ALIGNMENT;
}

/* Add a block after the current one, which it becomes. */
static void
add_block(HubspotKeyRing *ring)
{
	MemoryContext old = MemoryContextSwitchTo(ring->context);
	Block	   *block = palloc(sizeof(Block));

	block->used = 0;
	ring->current = ring->blocks == NIL ? 0 : ring->current + 1;
	ring->blocks = list_insert_nth(ring->blocks, ring->current, block);
	ring->position = 0;
	MemoryContextSwitchTo(old);
}

/* Step to the next key, in no order that means anything; NULL: there is none. */
HubspotKey *
hubspot_key_ring_next(const HubspotKeyRing *ring, HubspotKeyPlace *place)
{
	while (place->block < list_length(ring->blocks))
	{
		Block	   *block = list_nth(ring->blocks, place->block);

		while (place->position < block->used)
		{
			HubspotKey *key = key_at(block, place->position);

			place->position += size_of(key);
			if (key->state != HOLE)
				return key;
		}
		place->block++;
		place->position = 0;
	}
	return NULL;
}

/* Bytes of memory that the blocks take. */
Size
hubspot_key_ring_size(const HubspotKeyRing *ring)
{
	return list_length(ring->blocks) * sizeof(Block);
}

/*
 * Drop the block with the oldest keys.  False: one of them is needed, and those before it
 * are gone; or no other block is left for keys to come.
 */
bool
hubspot_key_ring_drop_oldest(HubspotKeyRing *ring)
{
	int			nblocks = list_length(ring->blocks);
	int			oldest = (ring->current + 1) % Max(nblocks, 1);
	Block	   *block;
	Size		position = 0;

	if (nblocks <= 1)
		return false;
	block = list_nth(ring->blocks, oldest);
	while (position < block->used)
	{
		HubspotKey *key = key_at(block, position);
		Size		end = position + size_of(key);

		if (key->state != HOLE && !ring->let_go(ring->owner, key))
			return false;
		make_hole(block, position, end);
		position = end;
	}
	ring->blocks = list_delete_nth_cell(ring->blocks, oldest);
	if (oldest < ring->current)
		ring->current--;
	pfree(block);
	return true;
}
