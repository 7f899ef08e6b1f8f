/*-------------------------------------------------------------------------
 *
 * labels.h
 *	  Association types by their labels.
 *
 * IDENTIFICATION
 *	  src/call/labels.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_LABELS_H
#define HUBSPOT_CALL_LABELS_H

#include "account/client.h"
#include "hubspot.h"

/* The labels of one direction of a pair of object types; see labels.c. */
typedef struct HubspotLabels HubspotLabels;

extern HubspotLabels *hubspot_labels_create(const HubspotClient *client,
											const char *from_type,
											const char *to_type);
extern bool hubspot_labels_serve(HubspotLabels *labels,
								 const HubspotClient *client,
								 const char *from_type, const char *to_type);
extern const HubspotError *hubspot_labels_look_up(HubspotLabels *labels);
extern const HubspotError *hubspot_labels_refusal(const HubspotLabels *labels);
extern const HubspotAssociationType *hubspot_labels_find(HubspotLabels *labels,
														 const char *label,
														 const char *category,
														 const HubspotError **error);
extern const char *hubspot_labels_name(HubspotLabels *labels,
									   const HubspotAssociationType *type);

#endif							/* HUBSPOT_CALL_LABELS_H */
