/*-------------------------------------------------------------------------
 *
 * key_cache.c
 *	  Keys that a session keeps from one statement to the next.
 *
 * A statement for each row would ask for the same keys again and again.  So what a
 * statement finds is kept for as long as the option key_cache says: records that were
 * found, but never that there is none, or that there are several.  Keys are kept by
 * account (server and user mapping), object type and property; one statement at a time has
 * them, and a statement within it that needs the same ones does without.
 *
 * All keys go when a server or a user mapping changes, which may then mean another
 * account; those of a statement that does not end in order go with it; and when they take
 * more than MAX_SIZE bytes, those go that have not been used for longest.
 *
 * IDENTIFICATION
 *	  src/call/key_cache.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "call/key_cache.h"

/* The most bytes of keys that a session keeps. */
#define MAX_SIZE	(8 * 1024 * 1024)

struct HubspotCachedKeys
{
	dlist_node	node;
	MemoryContext context;
	Oid			server;
	Oid			mapping;
	HubspotObjectType type;
	HubspotKeys *keys;
	bool		in_use;
	bool		outdated;		/* it ends with the statement */
};

/* The ones that were used last come first. */
static dlist_head cache = DLIST_STATIC_INIT(cache);

/* A server or a user mapping has changed. */
static bool is_outdated = false;

static void start(void);
static void note_change(Datum argument, int cacheid, uint32 hash);
static void forget_outdated(void);
static HubspotCachedKeys *find(const HubspotClient *client,
							   const HubspotObjectType *type);
static HubspotCachedKeys *add(const HubspotClient *client,
							  const HubspotObjectType *type);
static void forget(HubspotCachedKeys *cached);
static void make_room(void);

/*
 * The keys of an object type for a statement with that memory context, including, if
 * takes_earlier, what earlier statements have found.  *cached has to be given back before
 * the context ends; NULL: the keys end with the context.
 */
HubspotKeys *
hubspot_key_cache_take(MemoryContext context, const HubspotClient *client,
					   const HubspotObjectType *type, bool takes_earlier,
					   HubspotCachedKeys **cached)
{
	int			max_age = client->options->key_cache;

	start();
	forget_outdated();
	*cached = NULL;
	if (type->property == NULL || max_age == 0 || client->policy.impatient)
		return hubspot_keys_create(context, type);
	*cached = find(client, type);
	if (*cached && (*cached)->in_use)
	{
		*cached = NULL;
		return hubspot_keys_create(context, type);
	}
	if (*cached == NULL)
		*cached = add(client, type);
	dlist_move_head(&cache, &(*cached)->node);
	hubspot_keys_begin((*cached)->keys, context, takes_earlier ? max_age : 0);
	(*cached)->in_use = true;
	return (*cached)->keys;
}

/* Register the callbacks, once a session. */
static void
start(void)
{
	static bool started = false;

	if (started)
		return;
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, note_change, (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, note_change, (Datum) 0);
	started = true;
}

static void
note_change(Datum argument, int cacheid, uint32 hash)
{
	is_outdated = true;
}

/* Forget what is outdated.  The callback that notes a change must not free anything. */
static void
forget_outdated(void)
{
	dlist_mutable_iter iter;

	if (!is_outdated)
		return;
	is_outdated = false;
	dlist_foreach_modify(iter, &cache)
	{
		HubspotCachedKeys *cached = dlist_container(HubspotCachedKeys, node, iter.cur);

		if (cached->in_use)
			cached->outdated = true;
		else
			forget(cached);
	}
}

static HubspotCachedKeys *
find(const HubspotClient *client, const HubspotObjectType *type)
{
	dlist_iter	iter;

	dlist_foreach(iter, &cache)
	{
		HubspotCachedKeys *cached = dlist_container(HubspotCachedKeys, node, iter.cur);

		if (cached->server == client->options->server &&
			cached->mapping == client->options->mapping &&
			strcmp(cached->type.name, type->name) == 0 &&
			strcmp(cached->type.property, type->property) == 0)
			return cached;
	}
	return NULL;
}

static HubspotCachedKeys *
add(const HubspotClient *client, const HubspotObjectType *type)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "hubspot_assoc kept keys",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	HubspotCachedKeys *cached = palloc0(sizeof(HubspotCachedKeys));

	cached->context = context;
	cached->server = client->options->server;
	cached->mapping = client->options->mapping;
	cached->type = *type;
	cached->type.name = pstrdup(type->name);
	cached->type.property = pstrdup(type->property);
	cached->keys = hubspot_keys_create(context, &cached->type);
	MemoryContextSwitchTo(old);
	dlist_push_head(&cache, &cached->node);
	return cached;
}

static void
forget(HubspotCachedKeys *cached)
{
	dlist_delete(&cached->node);
	MemoryContextDelete(cached->context);
}

/*
 * Give back the keys of a statement that has ended.  If it has not ended in order, an
 * ERROR may have left anything behind.  This throws no ERROR.
 */
void
hubspot_key_cache_give_back(HubspotCachedKeys *cached, bool in_order)
{
	cached->in_use = false;
	if (cached->outdated || !in_order)
		forget(cached);
	else
		make_room();
}

/* Drop what was not used for longest; of what was used last, only the oldest keys. */
static void
make_room(void)
{
	Size		left = MAX_SIZE;
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &cache)
	{
		HubspotCachedKeys *cached = dlist_container(HubspotCachedKeys, node, iter.cur);
		Size		size;

		if (cached->in_use)
			continue;
		if (&cached->node == dlist_head_node(&cache))
			hubspot_keys_shrink(cached->keys, left);
		size = hubspot_keys_size(cached->keys);
		if (size > left)
			forget(cached);
		left -= Min(size, left);
	}
}
