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

#include "api/association_type.h"
#include "api/endpoint.h"
#include "api/key.h"
#include "call/labels.h"

/* The attributes of the type hs_assoc_input, in their order. */
enum
{
	HUBSPOT_ATTRIBUTE_FROM_ID,
	HUBSPOT_ATTRIBUTE_TO_ID,
	HUBSPOT_ATTRIBUTE_TYPE_IDS,
	HUBSPOT_ATTRIBUTE_CATEGORY,
	HUBSPOT_ATTRIBUTE_LABELS,
	HUBSPOT_NATTRIBUTES
};

/* The column that a value comes from. */
typedef struct HubspotColumn
{
	Oid			type;			/* without domains */
	FmgrInfo	output;			/* of a type other than text */
} HubspotColumn;

/* What has been read of an input; all zeroes at the start. */
typedef struct HubspotRawInput
{
	HubspotInput input;
	const HubspotError *error;	/* why it is not to be sent, or NULL */
	bool		has_types;		/* types or a category are given */
	int			ntype_ids;
	const int32 *type_ids;
	int32		type_id;		/* the only one, if given singly */
	int			nlabels;
	char	  **labels;
	char	   *label;			/* the only one, if given singly */
	const char *category;		/* or NULL */
	bool		is_primary;		/* its type is the primary one */
} HubspotRawInput;

/* What the inputs of a call have in common that their types depend on. */
typedef struct HubspotDirection
{
	HubspotObjectType from_type;
	HubspotObjectType to_type;
	bool		all_primary;	/* each input's type is the primary one */
} HubspotDirection;

/* The types of the last input, which tend to be those of the next one. */
typedef struct HubspotLastTypes
{
	MemoryContext context;		/* of these; NULL: there is only one input */
	HubspotTypeList *types;		/* or NULL */
} HubspotLastTypes;

extern HubspotSlice hubspot_read_id(HubspotColumn *column, Datum value,
									char *buffer);
extern void hubspot_raw_input_check_number(HubspotRawInput *raw, const char *name,
										   const HubspotColumn *column,
										   HubspotSlice id);
extern char *hubspot_read_text(HubspotColumn *column, Datum value);
extern void hubspot_raw_input_type_id(HubspotRawInput *raw, HubspotColumn *column,
									  Datum value);
extern void hubspot_raw_input_type_ids(HubspotRawInput *raw, ArrayType *array);
extern void hubspot_raw_input_label(HubspotRawInput *raw, char *label);
extern void hubspot_raw_input_labels(HubspotRawInput *raw, ArrayType *array);
extern void hubspot_raw_input_set_primary(HubspotRawInput *raw,
										  const HubspotDirection *direction,
										  int32 primary_type);
extern void hubspot_raw_input_refuse(HubspotRawInput *raw, char *problem);
extern void hubspot_raw_input_check(HubspotRawInput *raw, HubspotInputShape shape,
									const HubspotDirection *direction,
									const HubspotLastTypes *last);
extern void hubspot_raw_input_make_types(HubspotRawInput *raw, HubspotLabels *labels,
										 HubspotLastTypes *last);

#endif							/* HUBSPOT_ROWS_RAW_INPUT_H */
