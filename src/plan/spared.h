/*-------------------------------------------------------------------------
 *
 * spared.h
 *	  Records that lose nothing.
 *
 * IDENTIFICATION
 *	  src/plan/spared.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_PLAN_SPARED_H
#define HUBSPOT_PLAN_SPARED_H

#include "api/key.h"
#include "hubspot.h"

/* See spared.c. */
typedef struct HubspotSpared HubspotSpared;

extern HubspotSpared *hubspot_spared_create(void);
extern void hubspot_spare_record(HubspotSpared *spared, HubspotSlice id);
extern void hubspot_spare_key(HubspotSpared *spared, uint64 hash);
extern void hubspot_spare_all(HubspotSpared *spared);
extern bool hubspot_is_record_spared(const HubspotSpared *spared, HubspotSlice id);
extern bool hubspot_is_key_spared(const HubspotSpared *spared, uint64 hash);
extern bool hubspot_are_all_spared(const HubspotSpared *spared);
extern uint64 hubspot_spared_key(const HubspotObjectType *type, HubspotSlice key);

#endif							/* HUBSPOT_PLAN_SPARED_H */
