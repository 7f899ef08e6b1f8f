/*-------------------------------------------------------------------------
 *
 * listing.h
 *	  The records of an object type, page after page.
 *
 * IDENTIFICATION
 *	  src/call/listing.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_LISTING_H
#define HUBSPOT_CALL_LISTING_H

#include "api/key.h"
#include "call/call.h"

/* See listing.c. */
typedef struct HubspotListing HubspotListing;

/* What comes of asking for the next record. */
typedef enum HubspotListed
{
	HUBSPOT_LISTED_RECORD,
	HUBSPOT_LISTED_LATER,		/* a page is on its way */
	HUBSPOT_LISTED_ALL,			/* there are no more */
	HUBSPOT_LISTED_FAILED		/* what follows cannot be read */
} HubspotListed;

extern HubspotListing *hubspot_listing_create(MemoryContext context,
											  const HubspotClient *client,
											  HubspotCalls *calls,
											  const HubspotObjectType *type);
extern HubspotListed hubspot_listing_next(HubspotListing *listing, HubspotInput *input);
extern bool hubspot_listing_wants_page(const HubspotListing *listing);
extern bool hubspot_listing_is_full(const HubspotListing *listing);
extern const char *hubspot_listing_type(const HubspotListing *listing);
extern int64 hubspot_listing_pages(const HubspotListing *listing);
extern int64 hubspot_listing_given(const HubspotListing *listing);
extern const HubspotError *hubspot_listing_error(const HubspotListing *listing);
extern bool hubspot_listing_has_names(const HubspotListing *listing);
extern void hubspot_listing_name(HubspotListing *listing, HubspotOutcome *outcome);

#endif							/* HUBSPOT_CALL_LISTING_H */
