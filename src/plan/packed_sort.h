/*-------------------------------------------------------------------------
 *
 * packed_sort.h
 *	  Packed rows in the order of their bytes.
 *
 * IDENTIFICATION
 *	  src/plan/packed_sort.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_PLAN_PACKED_SORT_H
#define HUBSPOT_PLAN_PACKED_SORT_H

#include "hubspot.h"

typedef struct HubspotPackedSort HubspotPackedSort;

extern HubspotPackedSort *hubspot_packed_sort_create(MemoryContext context);
extern char *hubspot_packed_sort_room(HubspotPackedSort *sort, int size);
extern void hubspot_packed_sort_put(HubspotPackedSort *sort, const char *end);
extern void hubspot_packed_sort_perform(HubspotPackedSort *sort);
extern bool hubspot_packed_sort_next(HubspotPackedSort *sort, HubspotSlice *row);
extern void hubspot_packed_sort_end(HubspotPackedSort *sort);

#endif							/* HUBSPOT_PLAN_PACKED_SORT_H */
