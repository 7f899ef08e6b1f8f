/*-------------------------------------------------------------------------
 *
 * subscription.h
 *	  The subscriptions that fill a table.
 *
 * IDENTIFICATION
 *	  src/schema/subscription.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_SCHEMA_SUBSCRIPTION_H
#define HUBSPOT_SCHEMA_SUBSCRIPTION_H

#include "nodes/pg_list.h"

typedef struct HubspotSubscription
{
	Oid			oid;
	const char *name;
	Oid			owner;
	bool		enabled;
	bool		has_copied;		/* the rows that the table had over there */
} HubspotSubscription;

extern List *hubspot_subscriptions(Oid table);

#endif							/* HUBSPOT_SCHEMA_SUBSCRIPTION_H */
