/*-------------------------------------------------------------------------
 *
 * record_values.h
 *	  The values by which a record of a reply is called.
 *
 * IDENTIFICATION
 *	  src/api/record_values.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_API_RECORD_VALUES_H
#define HUBSPOT_API_RECORD_VALUES_H

#include "api/key.h"
#include "hubspot.h"
#include "json/template.h"

/* A property that tells which records were merged into one; semicolons separate their ids. */
#define HUBSPOT_MERGED_IDS	"hs_merged_object_ids"

/* What a value is by which a record is called. */
typedef enum HubspotValueKind
{
	HUBSPOT_VALUE_PROPERTY,		/* the value of the property itself */
	HUBSPOT_VALUE_SECONDARY,	/* a further e-mail of a contact */
	HUBSPOT_VALUE_MERGED,		/* the id of a record that was merged into it */
	HUBSPOT_VALUE_SHOWN			/* the value of the property that the type
								 * shows */
} HubspotValueKind;

/* Where its id and its values stand in a record that others differ from in strings only. */
typedef struct HubspotRecordModel
{
	int			id;				/* which of its strings that is */
	int			nvalues;
	struct
	{
		HubspotValueKind kind;
		int			string;		/* likewise; for some kinds, several values */
	}			values[HUBSPOT_TEMPLATE_PLACES];
} HubspotRecordModel;

/* A record that was found; its texts live as long as the reply. */
typedef struct HubspotRecord
{
	HubspotSlice id;			/* an id that may stand in a path */
	const HubspotObjectType *type;	/* by whose values it is called */
	HubspotSlice properties;	/* JSON; if it is like no model */
	const HubspotRecordModel *model;	/* that it is like, or NULL */
	HubspotSlice strings[HUBSPOT_TEMPLATE_PLACES];	/* if it is like one */
} HubspotRecord;

/* The models of a reply; at first, all zero. */
typedef struct HubspotRecordModels
{
	HubspotJsonTemplates texts;
	HubspotRecordModel models[HUBSPOT_TEMPLATES];
} HubspotRecordModels;

extern const char *hubspot_secondary_property(const HubspotObjectType *type, char *separator);
extern void hubspot_record_values(const HubspotRecord *record, void *state,
								  void (*value) (void *state, HubspotValueKind kind,
												 HubspotSlice value));
extern void hubspot_record_models_learn(HubspotRecordModels *models,
										const HubspotRecord *record, HubspotSlice text);
extern int	hubspot_record_models_take(HubspotRecordModels *models, HubspotSlice text,
									   HubspotRecord *record);

#endif							/* HUBSPOT_API_RECORD_VALUES_H */
