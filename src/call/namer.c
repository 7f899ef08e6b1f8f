/*-------------------------------------------------------------------------
 *
 * namer.c
 *	  Records that are read, by what people call them.
 *
 * Associations come with the ids of records.  Where the object type of the to side has
 * a property, the value that each record has of it is looked up by its id, a hundred at
 * a time, before the rows of a chunk can be got.
 *
 * IDENTIFICATION
 *	  src/call/namer.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "call/lookup.h"
#include "call/namer.h"

struct HubspotNamer
{
	HubspotKeys *keys;			/* ids; what is found for them are the values */
	HubspotLookups *lookups;
};

/*
 * Begin a namer in a memory context; deleting that ends it.  NULL: records of the
 * type are called by their ids.
 */
HubspotNamer *
hubspot_namer_create(MemoryContext context, const HubspotClient *client,
					 HubspotCalls *calls, const HubspotObjectType *type)
{
	HubspotObjectType ids = {.name = type->name,.shows = type->property};
	HubspotNamer *namer;

	if (type->property == NULL)
		return NULL;
	namer = MemoryContextAlloc(context, sizeof(HubspotNamer));
	namer->keys = hubspot_keys_create(context, &ids);
	namer->lookups = hubspot_lookups_create(context, client, calls, namer->keys);
	return namer;
}

/* Look up the records that the units of a chunk are associated to, in its context. */
void
hubspot_namer_add(HubspotNamer *namer, HubspotChunk *chunk)
{
	for (int i = 0; i < chunk->nunits; i++)
	{
		HubspotUnit *unit = chunk->units[i];
		HubspotPage *page = unit->page;
		HubspotKey *key = NULL;

		if (unit->error || page->nassociations == 0)
			continue;
		page->names = palloc_extended(sizeof(HubspotKey *) * page->nassociations,
									  MCXT_ALLOC_HUGE);
		for (int j = 0; j < page->nassociations; j++)
		{
			HubspotSlice id = page->associations[j].to_id;

			CHECK_FOR_INTERRUPTS();
			if (j == 0 || !hubspot_same_id(id, page->associations[j - 1].to_id))
				key = hubspot_keys_get(namer->keys, id);
			page->names[j] = key;
			if (key->state == HUBSPOT_KEY_UNKNOWN)
				hubspot_lookups_add(namer->lookups, key);
		}
	}
}

/* Are all names known of a chunk that was added? */
bool
hubspot_namer_is_done(const HubspotNamer *namer, HubspotChunk *chunk)
{
	for (; chunk->nnamed < chunk->nunits; chunk->nnamed++)
	{
		const HubspotPage *page = chunk->units[chunk->nnamed]->page;

		if (chunk->units[chunk->nnamed]->error || page->names == NULL)
			continue;
		for (int i = 0; i < page->nassociations; i++)
		{
			if (!hubspot_key_is_settled(page->names[i]))
				return false;
		}
	}
	return true;
}

/* Ask for all names, few as they may be: the batch cannot go on before some are known. */
void
hubspot_namer_ask(HubspotNamer *namer)
{
	hubspot_lookups_start(namer->lookups, true);
}

/* Why nothing more is sent, after an answer to a look-up; or NULL. */
const HubspotError *
hubspot_namer_stopped(const HubspotNamer *namer)
{
	return hubspot_lookups_stopped(namer->lookups);
}

/*
 * Give an outcome the name of the record that it is about, or none if the record has
 * none, or the error of its look-up.
 */
void
hubspot_namer_name(HubspotOutcome *outcome)
{
	const HubspotKey *key = outcome->name;

	outcome->kind = 0;
	outcome->to_record = outcome->association->to_id;
	outcome->to_id.data = NULL;
	if (key->state == HUBSPOT_KEY_FOUND)
		outcome->to_id = hubspot_key_record(key);
	else if (key->state == HUBSPOT_KEY_FAILED)
		outcome->error = hubspot_key_failure(key);
	if (outcome->to_id.len == 0)
		outcome->to_id.data = NULL;
}

/* Release the names of a chunk whose rows have been got. */
void
hubspot_namer_release(HubspotNamer *namer, HubspotChunk *chunk)
{
	for (int i = 0; i < chunk->nunits; i++)
	{
		const HubspotPage *page = chunk->units[i]->page;

		if (page->names == NULL)
			continue;
		for (int j = 0; j < page->nassociations; j++)
		{
			if (j == 0 || page->names[j] != page->names[j - 1])
				hubspot_key_release(namer->keys, page->names[j]);
		}
	}
}
