/*-------------------------------------------------------------------------
 *
 * key_way.c
 *	  How HubSpot is asked for keys, as a session has learned it.
 *
 * Only HubSpot's answer tells whether a property's values are unique, so that keys can be
 * read (lookup.c).  A session remembers it for each server, object type and property, so
 * that its next statement begins with what works.  This is no more than a hint: the
 * property may have changed since, or the server may mean another account.
 *
 * IDENTIFICATION
 *	  src/call/key_way.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/memutils.h"

#include "call/key_way.h"

/* For how many properties a session remembers how their keys are found. */
#define MAX_KNOWN		64

typedef struct Known
{
	Oid			server;
	char	   *type;
	char	   *property;
	HubspotKeyWay way;
} Known;

/* Those that were learned first come first. */
static List *known = NIL;

static Known *find_known(Oid server, const HubspotObjectType *type);
static Known *add_known(Oid server, const HubspotObjectType *type);

/* The way of the property of an object type; UNKNOWN, if the session knows none. */
HubspotKeyWay
hubspot_known_way(Oid server, const HubspotObjectType *type)
{
	const Known *one = find_known(server, type);

	return one ? one->way : HUBSPOT_WAY_UNKNOWN;
}

static Known *
find_known(Oid server, const HubspotObjectType *type)
{
	ListCell   *lc;

	foreach(lc, known)
	{
		Known	   *one = lfirst(lc);

		if (one->server == server && strcmp(one->type, type->name) == 0 &&
			strcmp(one->property, type->property) == 0)
			return one;
	}
	return NULL;
}

/* Remember the way of the property of an object type. */
void
hubspot_remember_way(Oid server, const HubspotObjectType *type, HubspotKeyWay way)
{
	Known	   *one = find_known(server, type);

	if (one == NULL)
		one = add_known(server, type);
	one->way = way;
}

/* Add a property, in place of the one that was learned first if there are too many. */
static Known *
add_known(Oid server, const HubspotObjectType *type)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	Known	   *one;

	if (list_length(known) == MAX_KNOWN)
	{
		Known	   *first = linitial(known);

		pfree(first->type);
		pfree(first->property);
		pfree(first);
		known = list_delete_first(known);
	}
	one = palloc0(sizeof(Known));
	one->server = server;
	one->type = pstrdup(type->name);
	one->property = pstrdup(type->property);
	known = lappend(known, one);
	MemoryContextSwitchTo(old);
	return one;
}
