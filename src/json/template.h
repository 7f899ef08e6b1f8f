/*-------------------------------------------------------------------------
 *
 * template.h
 *	  A JSON text by which others are recognized that differ in numbers only.
 *
 * IDENTIFICATION
 *	  src/json/template.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_JSON_TEMPLATE_H
#define HUBSPOT_JSON_TEMPLATE_H

#include "hubspot.h"

/* The most numbers in which a text may differ. */
#define HUBSPOT_TEMPLATE_PLACES	16

typedef struct HubspotJsonTemplate
{
	int			nplaces;		/* 0: there is no template */
	HubspotSlice before[HUBSPOT_TEMPLATE_PLACES];	/* the text before each
													 * number */
	HubspotSlice last;			/* the text after all of them */
} HubspotJsonTemplate;

extern bool hubspot_template_set(HubspotJsonTemplate *template, HubspotSlice text,
								 const HubspotSlice *numbers, int nnumbers);
extern int	hubspot_template_match(const HubspotJsonTemplate *template, HubspotSlice text,
								   HubspotSlice *numbers);

#endif							/* HUBSPOT_JSON_TEMPLATE_H */
