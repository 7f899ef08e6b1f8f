/*-------------------------------------------------------------------------
 *
 * sample.h
 *	  Units by their types: in order, in two parts, and a sample of them.
 *
 * IDENTIFICATION
 *	  src/call/sample.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_CALL_SAMPLE_H
#define HUBSPOT_CALL_SAMPLE_H

#include "call/unit.h"

extern int	hubspot_sort_by_types(HubspotUnit **units, int nunits);
extern int	hubspot_middle_by_types(HubspotUnit *const *units, int nunits);
extern int	hubspot_take_sample(HubspotUnit *const *units, int nunits,
								HubspotUnit **sample, int most);
extern HubspotUnit **hubspot_take_one(HubspotUnit **units, int nunits);

#endif							/* HUBSPOT_CALL_SAMPLE_H */
