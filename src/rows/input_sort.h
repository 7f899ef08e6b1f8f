/*-------------------------------------------------------------------------
 *
 * input_sort.h
 *	  Inputs in the order of their from_id.
 *
 * IDENTIFICATION
 *	  src/rows/input_sort.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ROWS_INPUT_SORT_H
#define HUBSPOT_ROWS_INPUT_SORT_H

#include "hubspot.h"

typedef struct HubspotSort HubspotSort;

extern HubspotSort *hubspot_sort_create(void);
extern void hubspot_sort_put(HubspotSort *sort, const HubspotInput *input,
							 const char *problem);
extern void hubspot_sort_perform(HubspotSort *sort);
extern bool hubspot_sort_next(HubspotSort *sort, HubspotInput *input,
							  const char **problem);
extern void hubspot_sort_end(HubspotSort *sort);

#endif							/* HUBSPOT_ROWS_INPUT_SORT_H */
