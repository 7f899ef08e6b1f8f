/*-------------------------------------------------------------------------
 *
 * version_end.h
 *	  A warning to users of a version of HubSpot's API that is about to end.
 *
 * IDENTIFICATION
 *	  src/account/version_end.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ACCOUNT_VERSION_END_H
#define HUBSPOT_ACCOUNT_VERSION_END_H

#include "account/option.h"

/* How many days before its end a version should be left: half a year. */
#define HUBSPOT_NEAR_END	183

extern void hubspot_warn_of_version_end(const HubspotOptions *options);

#endif							/* HUBSPOT_ACCOUNT_VERSION_END_H */
