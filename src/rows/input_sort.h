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

typedef struct HubspotInputSort HubspotInputSort;

extern HubspotInputSort *hubspot_input_sort_create(void);
extern void hubspot_input_sort_put(HubspotInputSort *sort, const HubspotInput *input,
								   const char *problem);
extern void hubspot_input_sort_perform(HubspotInputSort *sort);
extern bool hubspot_input_sort_next(HubspotInputSort *sort, HubspotInput *input,
									const char **problem);
extern void hubspot_input_sort_end(HubspotInputSort *sort);

#endif							/* HUBSPOT_ROWS_INPUT_SORT_H */
