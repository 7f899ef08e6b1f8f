/*-------------------------------------------------------------------------
 *
 * envelope.c
 *	  What replies of all kinds say of themselves, beside their items.
 *
 * These members decide whether a reply is all that there is: so one of a kind that
 * nobody expects is not as good as none.  A status that is an object is not COMPLETE,
 * a number of errors that is none may be any, and a next page that is nowhere is there
 * nevertheless.
 *
 * IDENTIFICATION
 *	  src/api/envelope.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "nodes/pg_list.h"

#include "api/envelope.h"
#include "json/json.h"
#include "json/text.h"

/* How many bytes are kept of a status that is not a text. */
#define MAX_ODD_STATUS	100

/* What paging holds. */
typedef struct PagingFields
{
	HubspotSlice next;
} PagingFields;

/* What paging.next holds. */
typedef struct NextFields
{
	HubspotSlice after;
	HubspotSlice link;			/* for clients that follow links */
} NextFields;

static const HubspotJsonField paging_fields[] = {
	HUBSPOT_JSON_FIELD("next", HUBSPOT_JSON_RAW, PagingFields, next)
};
static const HubspotJsonShape paging_shape = {
	HUBSPOT_JSON_FIELDS(paging_fields)
};
static const HubspotJsonField next_fields[] = {
	HUBSPOT_JSON_FIELD("after", HUBSPOT_JSON_ID, NextFields, after),
	HUBSPOT_JSON_FIELD("link", HUBSPOT_JSON_ID, NextFields, link)
};
static const HubspotJsonShape next_shape = {
	HUBSPOT_JSON_FIELDS(next_fields)
};
static const HubspotJsonField raw_after_fields[] = {
	HUBSPOT_JSON_FIELD("after", HUBSPOT_JSON_RAW, NextFields, after)
};
static const HubspotJsonShape raw_after_shape = {
	HUBSPOT_JSON_FIELDS(raw_after_fields)
};

static bool is_given(HubspotSlice raw);
static bool is_null(HubspotSlice raw);
static const char *text_of(HubspotSlice raw);

/* The status, palloc'd, or NULL: there is none. */
const char *
hubspot_envelope_status(const HubspotEnvelopeFields *fields)
{
	const char *status = text_of(fields->status);

	if (status == NULL && is_given(fields->status))
		status = hubspot_text_from_utf8(fields->status.data,
										Min(fields->status.len, MAX_ODD_STATUS));
	return status;
}

/* Does it say nothing but that it is complete, as far as it has a status? */
bool
hubspot_envelope_is_complete(const HubspotEnvelopeFields *fields)
{
	const char *status = hubspot_envelope_status(fields);

	return status == NULL || strcmp(status, HUBSPOT_COMPLETE) == 0;
}

/* Does it have a member that only an error has? */
bool
hubspot_envelope_is_error(const HubspotEnvelopeFields *fields)
{
	return is_given(fields->message) || is_given(fields->category) || is_given(fields->error);
}

/* Is there a value other than null? */
static bool
is_given(HubspotSlice raw)
{
	return raw.data && !is_null(raw);
}

static bool
is_null(HubspotSlice raw)
{
	return raw.len == 4 && memcmp(raw.data, "null", 4) == 0;
}

/* A value that is a string or a number, palloc'd; else NULL. */
static const char *
text_of(HubspotSlice raw)
{
	List	   *texts = NIL;

	if (raw.data && raw.data[0] != '[')
		texts = hubspot_json_texts(raw, 1);
	return texts ? linitial(texts) : NULL;
}

/*
 * Read a count, which may be a number or a text: 0 if it is not given, PG_INT32_MAX if it is
 * anything else, or too large.
 */
int32
hubspot_read_count(HubspotSlice raw)
{
	const char *digits = text_of(raw);
	int64		count = 0;

	if (digits == NULL || *digits == '\0')
		return is_given(raw) ? PG_INT32_MAX : 0;
	for (; *digits && count < PG_INT32_MAX; digits++)
	{
		if (!isdigit((unsigned char) *digits))
			return PG_INT32_MAX;
		count = count * 10 + (*digits - '0');
	}
	return (int32) Min(count, PG_INT32_MAX);
}

/*
 * Are there further pages?  Then *after, a slice of paging, is where the next one begins; no
 * data: the reply does not say.
 */
bool
hubspot_read_paging(HubspotSlice paging, HubspotSlice *after)
{
	PagingFields fields = {0};
	NextFields	next = {0};
	NextFields	raw = {0};

	memset(after, 0, sizeof(*after));
	if (!is_given(paging))
		return false;
	if (!hubspot_json_read(paging, &paging_shape, &fields, NULL))
		return true;
	if (!is_given(fields.next))
		return false;
	if (!hubspot_json_read(fields.next, &next_shape, &next, NULL))
		return true;
	if (next.after.len > 0)
		*after = next.after;
	else if (next.link.len == 0 && hubspot_json_read(fields.next, &raw_after_shape, &raw, NULL) &&
			 is_null(raw.after))
		return false;
	return true;
}
