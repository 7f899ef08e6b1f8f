/*-------------------------------------------------------------------------
 *
 * report.c
 *	  From error values to an ERROR, or to the words of one.
 *
 * IDENTIFICATION
 *	  src/rows/report.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "api/error.h"
#include "api/object_type.h"
#include "base/closest.h"
#include "rows/report.h"

/* So many characters at most are wrong in an object type that is misspelt. */
#define MAX_SLIP	2

static const char *refusal_hint(const HubspotError *error);
static const char *doubt_hint(const HubspotError *error, HubspotDoubt doubt);

/* Throw an error value as an ERROR.  Its message is what, which says what could not be done. */
void
hubspot_throw_error(const HubspotError *error, const char *what,
					HubspotDoubt doubt)
{
	hubspot_throw_with_hint(error, what, hubspot_error_hint(error, doubt));
}

/* Likewise, with a hint by one who knows more than the error does. */
void
hubspot_throw_with_hint(const HubspotError *error, const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(error->sqlstate),
			 errmsg("%s", what),
			 errdetail("%s", hubspot_error_detail(error)),
			 errhint("%s", hint)));
}

/* HubSpot's words, and how to find the answer again. */
char *
hubspot_error_detail(const HubspotError *error)
{
	StringInfoData detail;

	initStringInfo(&detail);
	appendStringInfo(&detail, "%s: %s",
					 error->category ? error->category : "HubSpot",
					 error->message);
	if (error->http_status != 0)
		appendStringInfo(&detail, " (HTTP status %d", error->http_status);
	if (error->correlation_id)
		appendStringInfo(&detail, "%scorrelation id %s",
						 error->http_status ? ", " : " (", error->correlation_id);
	if (error->http_status != 0 || error->correlation_id)
		appendStringInfoChar(&detail, ')');
	/* "did you mean ...?" has its end */
	if (detail.data[detail.len - 1] != '?')
		appendStringInfoChar(&detail, '.');
	return detail.data;
}

/* What the user can do about an error. */
const char *
hubspot_error_hint(const HubspotError *error, HubspotDoubt doubt)
{
	switch (error->sqlstate)
	{
		case ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION:
			if (error->verdict == HUBSPOT_VERDICT_NO_TOKEN)
				return "Set valid options with ALTER USER MAPPING ... OPTIONS (SET client_id '...', SET client_secret '...', SET refresh_token '...').";
			return "Give the user mapping a valid login, for example with ALTER USER MAPPING ... OPTIONS (SET access_token '...'), or put a valid token into its access_token_file.";
		case ERRCODE_INSUFFICIENT_PRIVILEGE:
			return "Give the token's app or service key the scopes that HubSpot asks for.";
		case ERRCODE_CONFIGURATION_LIMIT_EXCEEDED:
			return "Send it again when HubSpot's limit allows it.";
		case ERRCODE_CONNECTION_FAILURE:
			return psprintf("Check the server's options and the network. %s",
							doubt_hint(error, doubt));
		case ERRCODE_PROTOCOL_VIOLATION:
			if (error->http_status >= 300 && error->http_status <= 399)
				return "Redirects are never followed. Check the option base_url of the server.";
			if (error->verdict == HUBSPOT_VERDICT_FOREIGN)
				return "The answer is not from HubSpot's API, or not about what was sent. Check the options base_url, api_version and proxy of the server.";
			return doubt_hint(error, doubt);
		case ERRCODE_EXTERNAL_ROUTINE_EXCEPTION:
			return doubt_hint(error, doubt);
		case ERRCODE_NO_DATA_FOUND:
			return "Correct the key, or create the record in HubSpot first.";
		case ERRCODE_TOO_MANY_ROWS:
			return "Merge the records in HubSpot, or give the id of the one that is meant.";
		default:
			return refusal_hint(error);
	}
}

/* HubSpot, or we, have refused what was asked. */
static const char *
refusal_hint(const HubspotError *error)
{
	HubspotClosest closest = {.name = hubspot_unknown_object_type(error->message)};

	if (closest.name)
	{
		const HubspotStandardType *type;

		for (int i = 0; (type = hubspot_standard_type(i)) != NULL; i++)
			hubspot_closest_try(&closest, type->plural);
		/* custom objects are not among them: a slip of the pen, or nothing */
		if (closest.distance > MAX_SLIP)
			closest.found = NULL;
		return psprintf("%s%s%shs_assoc_object_types() lists the object types.",
						closest.found ? "Perhaps you meant \"" : "",
						closest.found ? closest.found : "", closest.found ? "\". " : "");
	}
	/* HubSpot's refusal of what was asked first: the records of keys */
	if (error->category && strcmp(error->category, HUBSPOT_NOT_SENT) == 0 &&
		!hubspot_is_not_sent(error->verdict))
		return "Correct the object type, its property, or the ids.";
	return "Correct the object types, ids or association types.";
}

static const char *
doubt_hint(const HubspotError *error, HubspotDoubt doubt)
{
	if (hubspot_is_not_sent(error->verdict))
		return "Nothing was sent; try it again.";
	switch (doubt)
	{
		case HUBSPOT_MAYBE_DONE:
			break;
		case HUBSPOT_REPEATABLE:
			return "It is unknown whether HubSpot acted; doing it again does no harm.";
		case HUBSPOT_NOTHING_DONE:
			return "Nothing has changed; try it again.";
	}
	return "It is unknown whether HubSpot acted.";
}

/* What may a call have done if its reply does not tell, or there is none? */
HubspotDoubt
hubspot_call_doubt(const HubspotCall *call)
{
	const HubspotHttpReply *reply = call->reply;

	if (strcmp(call->method, "GET") == 0 || reply == NULL ||
		((reply->failure == HUBSPOT_HTTP_UNREACHABLE ||
		  reply->failure == HUBSPOT_HTTP_UNTRUSTED) && !call->may_have_acted))
		return HUBSPOT_NOTHING_DONE;
	return call->repeatable ? HUBSPOT_REPEATABLE : HUBSPOT_MAYBE_DONE;
}
