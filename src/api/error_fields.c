/*-------------------------------------------------------------------------
 *
 * error_fields.c
 *	  The members that errors of HubSpot have, and the headers of a reply.
 *
 * IDENTIFICATION
 *	  src/api/error_fields.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "mb/pg_wchar.h"

#include "api/error_fields.h"
#include "json/json.h"
#include "json/text.h"

#define CORRELATION_HEADER	"x-hubspot-correlation-id"

/* Longer categories than HubSpot's are cut: they go into each row, too. */
#define MAX_CATEGORY_LEN		100
#define MAX_CORRELATION_ID_LEN	100

/* An error within an error. */
typedef struct InnerFields
{
	HubspotSlice context;
} InnerFields;

static void inner_error(void *state, const void *item, HubspotSlice raw);

static const HubspotJsonField inner_fields[] = {
	HUBSPOT_JSON_FIELD("context", HUBSPOT_JSON_RAW, InnerFields, context)
};

static const HubspotJsonShape inner_shape = {
	HUBSPOT_JSON_FIELDS(inner_fields),.item_size = sizeof(InnerFields),
	.item = inner_error
};

static const HubspotJsonField error_fields[] = {
	HUBSPOT_JSON_FIELD("status", HUBSPOT_JSON_TEXT, HubspotErrorFields, status),
	HUBSPOT_JSON_FIELD("correctHublet", HUBSPOT_JSON_TEXT, HubspotErrorFields, hublet),
	HUBSPOT_JSON_FIELD("message", HUBSPOT_JSON_TEXT, HubspotErrorFields, message),
	HUBSPOT_JSON_FIELD("correlationId", HUBSPOT_JSON_TEXT, HubspotErrorFields, correlation_id),
	HUBSPOT_JSON_FIELD("category", HUBSPOT_JSON_TEXT, HubspotErrorFields, category),
	HUBSPOT_JSON_FIELD("policyName", HUBSPOT_JSON_TEXT, HubspotErrorFields, policy),
	HUBSPOT_JSON_FIELD("subCategory", HUBSPOT_JSON_RAW, HubspotErrorFields, sub_category),
	HUBSPOT_JSON_FIELD("context", HUBSPOT_JSON_RAW, HubspotErrorFields, context),
	HUBSPOT_JSON_NESTED("errors", HUBSPOT_JSON_LIST, &inner_shape)
};

static const HubspotJsonShape error_shape = {
	HUBSPOT_JSON_FIELDS(error_fields)
};

static void cut(const char **text, int most);
static void correlation_header(void *state, HubspotSlice name,
							   HubspotSlice value);

/* Read an error object; the texts are palloc'd.  Anything else has no fields. */
void
hubspot_read_error_fields(HubspotSlice object, HubspotErrorFields *fields)
{
	memset(fields, 0, sizeof(*fields));
	if (!hubspot_json_read(object, &error_shape, fields, fields))
		memset(fields, 0, sizeof(*fields));
	cut(&fields->category, MAX_CATEGORY_LEN);
	cut(&fields->correlation_id, MAX_CORRELATION_ID_LEN);
}

static void
inner_error(void *state, const void *item, HubspotSlice raw)
{
	HubspotErrorFields *fields = state;

	if (fields->context.data == NULL)
		fields->context = ((const InnerFields *) item)->context;
}

/*
 * Cut a text, which may be NULL, to at most that many bytes, without dots.  One of no bytes
 * says nothing, and becomes NULL.
 */
static void
cut(const char **text, int most)
{
	int			len = *text ? strlen(*text) : 0;

	if (len == 0)
		*text = NULL;
	else if (len > most)
		*text = pnstrdup(*text, pg_mbcliplen(*text, len, most));
}

/* Is a text missing, or nothing but white space? */
bool
hubspot_says_nothing(const char *text)
{
	return text == NULL || text[strspn(text, " \t\r\n")] == '\0';
}

/* The correlation id in the headers, palloc'd, or NULL. */
char *
hubspot_correlation_id(const HubspotHttpReply *reply)
{
	const char *id = NULL;

	hubspot_each_header(reply, &id, correlation_header);
	cut(&id, MAX_CORRELATION_ID_LEN);
	return unconstify(char *, id);
}

static void
correlation_header(void *state, HubspotSlice name, HubspotSlice value)
{
	if (hubspot_is_header(name, CORRELATION_HEADER))
		*(const char **) state = hubspot_text_from_utf8(value.data, value.len);
}

/* Is it the name of the header, in upper or lower case? */
bool
hubspot_is_header(HubspotSlice name, const char *header)
{
	return name.len == (int) strlen(header) &&
		pg_strncasecmp(name.data, header, name.len) == 0;
}

/* Give each header to header(), in the order in which they came. */
void
hubspot_each_header(const HubspotHttpReply *reply, void *state,
					void (*header) (void *state, HubspotSlice name,
									HubspotSlice value))
{
	const char *p = reply->headers;
	const char *end;

	if (p == NULL)
		return;
	end = p + reply->headers_len;
	while (p < end)
	{
		const char *line_end = memchr(p, '\n', end - p);
		const char *colon;

		if (line_end == NULL)
			line_end = end;
		colon = memchr(p, ':', line_end - p);
		/* the status line has no colon, or begins with HTTP/ */
		if (colon && strncmp(p, "HTTP/", Min(5, line_end - p)) != 0)
		{
			HubspotSlice name = {p, colon - p};
			HubspotSlice value;
			const char *value_end = line_end;

			for (colon++; colon < value_end && isspace((unsigned char) *colon);)
				colon++;
			while (value_end > colon && isspace((unsigned char) value_end[-1]))
				value_end--;
			value.data = colon;
			value.len = value_end - colon;
			header(state, name, value);
		}
		p = line_end + 1;
	}
}
