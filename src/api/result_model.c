/*-------------------------------------------------------------------------
 *
 * result_model.c
 *	  Results that differ in their ids only from one that was read.
 *
 * To read thousands of results field by field is the most of what an answer costs, and most
 * of them say the same of other records.  So the last ones that were read are kept as
 * models, and the next result is compared with their texts first (template.c).
 *
 * IDENTIFICATION
 *	  src/api/result_model.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "api/result_model.h"

static int	list_ids(const HubspotResult *result, HubspotSlice *ids);
static const HubspotResult *fill_in(HubspotResultModel *model, const HubspotSlice *ids);

/*
 * Keep a result that was read from a text as a model, if other texts may say the same of
 * other ids.  The text has to outlive the models.
 */
void
hubspot_models_learn(HubspotResultModels *models, const HubspotResult *result,
					 HubspotSlice text)
{
	bool		fit = result->problem == NULL && result->paging.data == NULL &&
	result->nassociations <= HUBSPOT_MODEL_ASSOCIATIONS;
	int			n = hubspot_templates_next(&models->texts, fit);
	HubspotSlice ids[HUBSPOT_TEMPLATE_PLACES];
	HubspotResultModel *model;

	if (n < 0 || !hubspot_template_set_numbers(&models->texts.templates[n], text, ids,
											   list_ids(result, ids)))
		return;
	model = &models->models[n];
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
	HubspotSlice ids[HUBSPOT_TEMPLATE_PLACES];
	int			n = hubspot_templates_match(&models->texts, text, ids, len);

	return n < 0 ? NULL : fill_in(&models->models[n], ids);
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
