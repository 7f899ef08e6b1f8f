/*-------------------------------------------------------------------------
 *
 * result_model.h
 *	  Results that differ in their ids only from one that was read.
 *
 * IDENTIFICATION
 *	  src/api/result_model.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_API_RESULT_MODEL_H
#define HUBSPOT_API_RESULT_MODEL_H

#include "api/result.h"
#include "json/template.h"

/* The most associations of a record that is a model. */
#define HUBSPOT_MODEL_ASSOCIATIONS	HUBSPOT_TEMPLATE_PLACES

typedef struct HubspotResultModel
{
	HubspotResult result;
	HubspotAssociation associations[HUBSPOT_MODEL_ASSOCIATIONS];
} HubspotResultModel;

/* The models of a reply; at first, all zero. */
typedef struct HubspotResultModels
{
	HubspotJsonTemplates texts; /* their numbers: a result's own ids, then
								 * those of associated records */
	HubspotResultModel models[HUBSPOT_TEMPLATES];
} HubspotResultModels;

extern void hubspot_models_learn(HubspotResultModels *models,
								 const HubspotResult *result, HubspotSlice text);
extern const HubspotResult *hubspot_models_take(HubspotResultModels *models,
												HubspotSlice text, int *len);

#endif							/* HUBSPOT_API_RESULT_MODEL_H */
