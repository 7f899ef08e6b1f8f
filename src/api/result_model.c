/*-------------------------------------------------------------------------
 *
 * result_model.c
 *	  Results that differ in their ids only from one that was read.
 *
 * To read thousands of results field by field is the most of what an answer costs, and most
 * of them say the same of other records.  So the last ones that were read are kept as
 * models, and the next result is compared with their texts first.  Where none is like another,
 * that is tried now and then.
 *
 * IDENTIFICATION
 *	  src/api/result_model.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "api/result_model.h"

/* After so many results in a row that were like no model, one of so many is tried. */
#define PATIENCE	16

static int	list_ids(const HubspotResult *result, HubspotSlice *ids);
static const HubspotResult *fill_in(HubspotResultModel *model, const HubspotSlice *ids);

/* Is the next result compared with models, and if it is like none, becomes one? */
static inline bool
is_tried(const HubspotResultModels *models)
{
	return models->nread < PATIENCE || models->nread % PATIENCE <= HUBSPOT_MODELS;
}

/*
 * Keep a result that was read from a text as a model in place of the one that was of no use
 * for longest, if other texts may say the same of other ids.  The text has to outlive the
 * models.
 */
void
hubspot_models_learn(HubspotResultModels *models, const HubspotResult *result,
					 HubspotSlice text)
{
	bool		tried = is_tried(models);
	HubspotResultModel *model;
	HubspotSlice ids[HUBSPOT_TEMPLATE_PLACES];
	int			nids;

	models->nread++;
	if (!tried || result->problem || result->paging.data ||
		result->nassociations > HUBSPOT_MODEL_ASSOCIATIONS)
		return;
	nids = list_ids(result, ids);
	models->latest = (models->latest + 1) % HUBSPOT_MODELS;
	model = &models->models[models->latest];
	if (!hubspot_template_set(&model->text, text, ids, nids))
		return;
	model->result = *result;
	if (result->nassociations > 0)
		memcpy(model->associations, result->associations,
			   sizeof(HubspotAssociation) * result->nassociations);
}

/* Does the next association lead to another record?  Several types of one are in a row. */
static inline bool
is_other(const HubspotAssociation *associations, int next)
{
	return next == 0 ||
		associations[next].to_id.data != associations[next - 1].to_id.data;
}

/* The ids of a result, in the order in which they should stand in its text; 0: too many. */
static int
list_ids(const HubspotResult *result, HubspotSlice *ids)
{
	int			nids = 0;

	ids[nids++] = result->from_id;
	if (result->to_id.data)
		ids[nids++] = result->to_id;
	for (int i = 0; i < result->nassociations; i++)
	{
		if (!is_other(result->associations, i))
			continue;
		if (nids == HUBSPOT_TEMPLATE_PLACES)
			return 0;
		ids[nids++] = result->associations[i].to_id;
	}
	return nids;
}

/*
 * The result that a text begins with, if it differs from a model in ids only: valid until
 * the next one, but for its associations, which are palloc'd; and how long its text is.
 * NULL: it is to be read.
 */
const HubspotResult *
hubspot_models_take(HubspotResultModels *models, HubspotSlice text, int *len)
{
	*len = 0;
	for (int i = 0; i < HUBSPOT_MODELS && is_tried(models); i++)
	{
		int			n = (models->latest + i) % HUBSPOT_MODELS;
		HubspotSlice ids[HUBSPOT_TEMPLATE_PLACES];

		*len = hubspot_template_match(&models->models[n].text, text, ids);
		if (*len == 0)
			continue;
		models->latest = n;
		models->nread = 0;
		return fill_in(&models->models[n], ids);
	}
	return NULL;
}

/* The result of a model with these ids in place of its own. */
static const HubspotResult *
fill_in(HubspotResultModel *model, const HubspotSlice *ids)
{
	HubspotResult *result = &model->result;
	HubspotAssociation *associations;

	result->from_id = *ids++;
	if (result->to_id.data)
		result->to_id = *ids++;
	if (result->nassociations == 0)
		return result;
	associations = palloc(sizeof(HubspotAssociation) * result->nassociations);
	for (int i = 0; i < result->nassociations; i++)
	{
		if (i > 0 && is_other(model->associations, i))
			ids++;
		associations[i].to_id = *ids;
		associations[i].type = model->associations[i].type;
	}
	result->associations = associations;
	return result;
}
