/*-------------------------------------------------------------------------
 *
 * page.h
 *	  A page of a record's associations, each of which is given once.
 *
 * IDENTIFICATION
 *	  src/call/page.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_PAGE_H
#define HUBSPOT_CALL_PAGE_H

#include "call/unit.h"

extern void hubspot_page_sort_out(HubspotPage *page);
extern const char *hubspot_page_problem(HubspotPage *page);
extern void hubspot_page_remember(HubspotPage *next, const HubspotPage *page);
extern bool hubspot_page_repeats(const HubspotPage *page,
								 const HubspotAssociation *association);

#endif							/* HUBSPOT_CALL_PAGE_H */
