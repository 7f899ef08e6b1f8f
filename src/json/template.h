/*-------------------------------------------------------------------------
 *
 * template.h
 *	  JSON texts by which others are recognized that differ in some values only.
 *
 * IDENTIFICATION
 *	  src/json/template.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_JSON_TEMPLATE_H
#define HUBSPOT_JSON_TEMPLATE_H

#include "hubspot.h"

/* The most values in which a text may differ. */
#define HUBSPOT_TEMPLATE_PLACES	16

/* Some results come twice, once for each direction; some records have more than others. */
#define HUBSPOT_TEMPLATES		2

typedef struct HubspotJsonTemplate
{
	int			nplaces;		/* 0: there is no template */
	bool		strings;		/* the values are strings, and not numbers */
	HubspotSlice before[HUBSPOT_TEMPLATE_PLACES];	/* the text before each
													 * value */
	HubspotSlice last;			/* the text after all of them */
} HubspotJsonTemplate;

/* The templates of a reply; at first, all zero. */
typedef struct HubspotJsonTemplates
{
	HubspotJsonTemplate templates[HUBSPOT_TEMPLATES];
	int			latest;			/* the one that was of use last */
	int			nread;			/* texts in a row that were like none */
} HubspotJsonTemplates;

extern int	hubspot_templates_match(HubspotJsonTemplates *templates, HubspotSlice text,
									HubspotSlice *values, int *len);
extern int	hubspot_templates_next(HubspotJsonTemplates *templates, bool fit);
extern bool hubspot_template_set_numbers(HubspotJsonTemplate *template, HubspotSlice text,
										 const HubspotSlice *numbers, int nnumbers);
extern bool hubspot_template_set_strings(HubspotJsonTemplate *template, HubspotSlice text,
										 HubspotSlice *strings);

#endif							/* HUBSPOT_JSON_TEMPLATE_H */
