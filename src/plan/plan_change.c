/*-------------------------------------------------------------------------
 *
 * plan_change.c
 *	  What a plan is about to do, or cannot, or has done.
 *
 * Changes are packed rows, in the order of the plan: by their records, with rows whose
 * record is not known before them; of one record, first what is wrong with it, then what is
 * removed, and then what is added.
 *
 * IDENTIFICATION
 *	  src/plan/plan_change.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "plan/plan_change.h"
#include "plan/entry.h"

/* What precedes the ids' texts: action, is_default, has an error. */
#define FLAGS	3

static char *pack_error(char *to, const HubspotError *error);
static const char *unpack_error(const char *from, HubspotError *error);
static const char *unpack_string(const char *from, const char **string);

static const char *const names[] = {
	[HUBSPOT_ACTION_UNRESOLVED] = "unresolved",
	[HUBSPOT_ACTION_UNREADABLE] = "unreadable",
	[HUBSPOT_ACTION_ARCHIVE] = "archive",
	[HUBSPOT_ACTION_REMOVE] = "remove",
	[HUBSPOT_ACTION_CREATE] = "create",
	[HUBSPOT_ACTION_ADD] = "add",
	[HUBSPOT_ACTION_SKIPPED] = "skipped"
};

/* What SQL calls an action. */
const char *
hubspot_action_name(HubspotAction action)
{
	return names[action];
}

/* Put a change into a plan, which is copied. */
void
hubspot_put_change(HubspotPlan *plan, const HubspotPlanChange *change)
{
	const HubspotError *error = change->error;
	HubspotSlice label = hubspot_slice(change->type.label);
	Size		size;
	char	   *to;

	label.len = pg_mbcliplen(label.data ? label.data : "", label.len, HUBSPOT_MAX_TEXT);
	size = hubspot_packed_id_size(change->from) + 1 + sizeof(uint64) +
		hubspot_packed_id_size(change->to) + hubspot_type_size(&change->type) + FLAGS +
		hubspot_packed_text_size(change->from_given) +
		hubspot_packed_text_size(change->to_given) + hubspot_packed_text_size(label);
	if (error)
		size += 3 * sizeof(uint32) + hubspot_packed_text_size(hubspot_slice(error->category)) +
			hubspot_packed_text_size(hubspot_slice(error->message)) +
			hubspot_packed_text_size(hubspot_slice(error->correlation_id)) +
			hubspot_packed_text_size(error->object);
	if (!AllocSizeIsValid(size))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("row %lld of the query is too long", (long long) change->row_no)));

	to = hubspot_packed_sort_room(plan->changes, size);
	to = hubspot_pack_id(to, change->from);
	*to++ = hubspot_is_notice(change->action) ? 0 : hubspot_is_removal(change->action) ? 1 : 2;
	to = hubspot_pack_uint64(to, change->row_no);
	to = hubspot_pack_id(to, change->to);
	to = hubspot_pack_type(to, &change->type);
	*to++ = change->action;
	*to++ = change->is_default;
	*to++ = (error != NULL);
	to = hubspot_pack_text(to, change->from_given);
	to = hubspot_pack_text(to, change->to_given);
	to = hubspot_pack_text(to, label);
	if (error)
		to = pack_error(to, error);
	hubspot_packed_sort_put(plan->changes, to);
}

/* Unpack a change; what it points to lives as long as the row, or is palloc'd. */
void
hubspot_unpack_change(HubspotSlice row, HubspotUnpackedChange *unpacked)
{
	HubspotPlanChange *change = &unpacked->change;
	const char *from;
	uint64		row_no;
	bool		has_error;

	from = hubspot_unpack_id(row.data, &change->from, &unpacked->digits[0]);
	from = hubspot_unpack_uint64(from + 1, &row_no);
	change->row_no = row_no;
	from = hubspot_unpack_id(from, &change->to, &unpacked->digits[1]);
	from = hubspot_unpack_type(from, &change->type);
	change->action = (unsigned char) *from++;
	change->is_default = *from++;
	has_error = *from++;
	from = hubspot_unpack_text(from, &change->from_given);
	from = hubspot_unpack_text(from, &change->to_given);
	from = unpack_string(from, &change->type.label);
	change->http_status = 0;
	change->error = has_error ? &unpacked->error : NULL;
	if (has_error)
		(void) unpack_error(from, &unpacked->error);
}

/* The second id of a packed change, packed. */
const char *
hubspot_change_to(HubspotSlice row)
{
	return hubspot_skip_id(row.data) + 1 + sizeof(uint64);
}

static char *
pack_error(char *to, const HubspotError *error)
{
	to = hubspot_pack_uint32(to, error->sqlstate);
	to = hubspot_pack_uint32(to, error->http_status);
	to = hubspot_pack_uint32(to, error->verdict);
	to = hubspot_pack_text(to, hubspot_slice(error->category));
	to = hubspot_pack_text(to, hubspot_slice(error->message));
	to = hubspot_pack_text(to, hubspot_slice(error->correlation_id));
	return hubspot_pack_text(to, error->object);
}

static const char *
unpack_error(const char *from, HubspotError *error)
{
	uint32		numbers[3];

	memset(error, 0, sizeof(HubspotError));
	for (size_t i = 0; i < lengthof(numbers); i++)
		from = hubspot_unpack_uint32(from, &numbers[i]);
	error->sqlstate = numbers[0];
	error->http_status = numbers[1];
	error->verdict = numbers[2];
	from = unpack_string(from, &error->category);
	from = unpack_string(from, &error->message);
	from = unpack_string(from, &error->correlation_id);
	return hubspot_unpack_text(from, &error->object);
}

static const char *
unpack_string(const char *from, const char **string)
{
	HubspotSlice text;

	from = hubspot_unpack_text(from, &text);
	*string = text.data ? pnstrdup(text.data, text.len) : NULL;
	return from;
}
