/*-------------------------------------------------------------------------
 *
 * survey.h
 *	  Where the rows of an account are that fill requests, if it has many lanes.
 *
 * IDENTIFICATION
 *	  src/outbox/survey.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_SURVEY_H
#define HUBSPOT_OUTBOX_SURVEY_H

#include "storage/itemptr.h"

#include "account/client.h"
#include "outbox/claimant.h"

extern ItemPointerData * hubspot_survey(const HubspotClaimant *claimant,
										const HubspotClient *client, int window,
										int max_rows, int *count);

#endif							/* HUBSPOT_OUTBOX_SURVEY_H */
