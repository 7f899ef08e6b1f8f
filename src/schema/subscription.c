/*-------------------------------------------------------------------------
 *
 * subscription.c
 *	  The subscriptions that fill a table.
 *
 * A database that was made by CREATE DATABASE ... TEMPLATE has the rows of pg_subscription_rel,
 * which are the template's own; the subscriptions, which are in a catalog of all databases, are
 * not its.  So a row there tells nothing without its subscription.
 *
 * IDENTIFICATION
 *	  src/schema/subscription.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_subscription.h"
#include "catalog/pg_subscription_rel.h"
#include "miscadmin.h"
#include "utils/catcache.h"
#include "utils/syscache.h"

#include "schema/subscription.h"

/*
 * The subscriptions of this database that fill the table itself, enabled or not: a list of
 * HubspotSubscription.
 */
List *
hubspot_subscriptions(Oid table)
{
	CatCList   *list = SearchSysCacheList1(SUBSCRIPTIONRELMAP, ObjectIdGetDatum(table));
	List	   *subscriptions = NIL;

	for (int i = 0; i < list->n_members; i++)
	{
		Form_pg_subscription_rel map = (Form_pg_subscription_rel) GETSTRUCT(&list->members[i]->tuple);
		HeapTuple	tuple = SearchSysCache1(SUBSCRIPTIONOID, ObjectIdGetDatum(map->srsubid));
		Form_pg_subscription form;
		HubspotSubscription *subscription;

		if (!HeapTupleIsValid(tuple))	/* it was dropped just now, or where
										 * the template is */
			continue;
		form = (Form_pg_subscription) GETSTRUCT(tuple);
		if (form->subdbid == MyDatabaseId)
		{
			subscription = palloc(sizeof(HubspotSubscription));
			subscription->oid = map->srsubid;
			subscription->name = pstrdup(NameStr(form->subname));
			subscription->owner = form->subowner;
			subscription->enabled = form->subenabled;
			subscription->has_copied = (map->srsubstate == SUBREL_STATE_READY ||
										map->srsubstate == SUBREL_STATE_SYNCDONE);
			subscriptions = lappend(subscriptions, subscription);
		}
		ReleaseSysCache(tuple);
	}
	ReleaseSysCacheList(list);
	return subscriptions;
}
