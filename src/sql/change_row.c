/*-------------------------------------------------------------------------
 *
 * change_row.c
 *	  Changes of a plan as the columns of hs_assoc_change.
 *
 * IDENTIFICATION
 *	  src/sql/change_row.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "api/error.h"
#include "sql/change_row.h"

/* The columns of hs_assoc_change. */
enum
{
	CHANGE_NO,
	CHANGE_ACTION,
	CHANGE_FROM_ID,
	CHANGE_TO_ID,
	CHANGE_FROM_RECORD,
	CHANGE_TO_RECORD,
	CHANGE_CATEGORY,
	CHANGE_TYPE_ID,
	CHANGE_LABEL,
	CHANGE_OK,
	CHANGE_HTTP_STATUS,
	CHANGE_ERROR_CATEGORY,
	CHANGE_ERROR_MESSAGE,
	CHANGE_CORRELATION_ID,
	CHANGE_ERROR
};

static Datum slice_datum(HubspotSlice text);

#define SET(column, condition, datum) \
	do { \
		if (condition) \
		{ \
			values[column] = (datum); \
			isnull[column] = false; \
		} \
	} while (0)

/*
 * Set the columns of a change of a plan, palloc'd, with its number, what it is called, and
 * what has become of it.
 */
void
hubspot_change_row(const HubspotPlan *plan, int64 no, const char *action,
				   const HubspotPlanChange *change, HubspotFate fate, Datum *values,
				   bool *isnull)
{
	const HubspotError *error = change->error;
	bool		from_keys = (plan->from_type.property != NULL);
	bool		to_keys = (plan->to_type.property != NULL);
	HubspotSlice from = change->from_given.data || from_keys ? change->from_given : change->from;
	HubspotSlice to = change->to_given.data || to_keys ? change->to_given : change->to;

	memset(values, 0, sizeof(Datum) * HUBSPOT_CHANGE_NCOLUMNS);
	memset(isnull, true, sizeof(bool) * HUBSPOT_CHANGE_NCOLUMNS);
	SET(CHANGE_NO, true, Int64GetDatum(no));
	SET(CHANGE_ACTION, true, CStringGetTextDatum(action));
	SET(CHANGE_FROM_ID, from.data, slice_datum(from));
	SET(CHANGE_TO_ID, to.data, slice_datum(to));
	SET(CHANGE_FROM_RECORD, from_keys && change->from.data, slice_datum(change->from));
	SET(CHANGE_TO_RECORD, to_keys && change->to.data, slice_datum(change->to));
	SET(CHANGE_CATEGORY, change->type.category, CStringGetTextDatum(change->type.category));
	SET(CHANGE_TYPE_ID, change->type.type_id != 0, Int32GetDatum(change->type.type_id));
	SET(CHANGE_LABEL, change->type.label, CStringGetTextDatum(change->type.label));
	SET(CHANGE_OK, fate != HUBSPOT_FATE_PLANNED, BoolGetDatum(fate == HUBSPOT_FATE_DONE));
	SET(CHANGE_HTTP_STATUS, change->http_status != 0, Int32GetDatum(change->http_status));
	if (error)
	{
		Jsonb	   *object = hubspot_error_object(error);

		SET(CHANGE_HTTP_STATUS, error->http_status != 0, Int32GetDatum(error->http_status));
		SET(CHANGE_ERROR_CATEGORY, error->category, CStringGetTextDatum(error->category));
		SET(CHANGE_ERROR_MESSAGE, error->message, CStringGetTextDatum(error->message));
		SET(CHANGE_CORRELATION_ID, error->correlation_id,
			CStringGetTextDatum(error->correlation_id));
		SET(CHANGE_ERROR, object, JsonbPGetDatum(object));
	}
}

#undef SET

static Datum
slice_datum(HubspotSlice text)
{
	return PointerGetDatum(cstring_to_text_with_len(text.data, text.len));
}
