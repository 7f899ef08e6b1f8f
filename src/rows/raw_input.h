/*-------------------------------------------------------------------------
 *
 * raw_input.h
 *	  An input while it is read, and what is wrong with it.
 *
 * IDENTIFICATION
 *	  src/rows/raw_input.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_ROWS_RAW_INPUT_H
#define HUBSPOT_ROWS_RAW_INPUT_H

#include "fmgr.h"
#include "utils/array.h"

#include "api/endpoint.h"
#include "call/labels.h"

/* Where a value comes from. */
typedef struct HubspotColumn
{
	Oid			type;			/* without domains */
	FmgrInfo	output;			/* of what isn't text */
} HubspotColumn;

/* What has been read of an input; all zeroes at the start. */
typedef struct HubspotDraft
{
	HubspotInput input;
	const HubspotError *error;	/* why it is not to be sent, or NULL */
	bool		has_types;		/* types or a category are given */
	int			ntype_ids;
	const int32 *type_ids;
	int32		type_id;		/* if there is only one */
	int			nlabels;
	char	  **labels;
	char	   *label;			/* likewise */
	const char *category;		/* or NULL */
} HubspotDraft;

/* The types of the last input, which tend to be those of the next one. */
typedef struct HubspotLastTypes
{
	MemoryContext context;		/* of these; NULL: there is only one input */
	HubspotTypeList *types;		/* or NULL */
} HubspotLastTypes;

extern HubspotSlice hubspot_read_id(HubspotColumn *column, Datum value,
									char *buffer);
extern void hubspot_draft_check_number(HubspotDraft *draft, const char *name,
									   const HubspotColumn *column,
									   HubspotSlice id);
extern char *hubspot_read_text(HubspotColumn *column, Datum value);
extern void hubspot_draft_type_id(HubspotDraft *draft, HubspotColumn *column,
								  Datum value);
extern void hubspot_draft_type_ids(HubspotDraft *draft, ArrayType *array);
extern void hubspot_draft_label(HubspotDraft *draft, char *label);
extern void hubspot_draft_labels(HubspotDraft *draft, ArrayType *array);
extern void hubspot_draft_refuse(HubspotDraft *draft, char *problem);
extern void hubspot_draft_check(HubspotDraft *draft, HubspotInputShape shape);
extern void hubspot_draft_make_types(HubspotDraft *draft, HubspotLabels *labels,
									 HubspotLastTypes *last);

#endif							/* HUBSPOT_ROWS_RAW_INPUT_H */
