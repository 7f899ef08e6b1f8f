/*-------------------------------------------------------------------------
 *
 * error.c
 *	  Failures as error values.
 *
 * This is the one place where a failure of HubSpot or of the network becomes an
 * error value, with the verdict of verdict.c.
 *
 * The category UNCONFIRMED is given to every failure after which HubSpot may
 * or may not have acted: no answer, an answer that cannot be read, and
 * HubSpot's own failures (5xx, except those about which verdict.c knows more).
 *
 * IDENTIFICATION
 *	  src/api/error.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "api/error.h"
#include "api/error_context.h"
#include "api/error_names.h"
#include "json/json.h"
#include "json/jsonb.h"
#include "json/text.h"

#define MEGABYTE			(1024 * 1024)

/*
 * How many bytes of a reason are kept, since it goes into each row that it is
 * about.
 */
#define MAX_ERROR_MESSAGE	1000

/* Categories that say only that something is not there. */
#define NOT_FOUND_CATEGORY		"OBJECT_NOT_FOUND"
#define NO_ASSOCIATIONS			"NO_ASSOCIATIONS_FOUND"

static const char *own_category(HubspotVerdict verdict);
static const char *failure_message(const HubspotHttpReply *reply);
static int	status_sqlstate(HubspotVerdict verdict, int status);
static const char *given_message(const HubspotErrorFields *fields);
static void set_absence(HubspotError *error, const HubspotErrorFields *fields);
static void set_object(HubspotError *error, HubspotSlice object);
static const char *clip(const char *text);
static bool is_same_error(const HubspotError *a, const HubspotError *b);

/*
 * An error value without an answer, palloc'd, with the category of its
 * verdict.  The text is not copied.
 */
HubspotError *
hubspot_make_error(HubspotVerdict verdict, int sqlstate, const char *message)
{
	HubspotError *error = palloc0(sizeof(HubspotError));

	error->verdict = verdict;
	error->sqlstate = sqlstate;
	error->category = own_category(verdict);
	error->message = message;
	return error;
}

/* Our category for a verdict, or NULL: HubSpot has its own. */
static const char *
own_category(HubspotVerdict verdict)
{
	switch (verdict)
	{
		case HUBSPOT_VERDICT_INVALID:
			return HUBSPOT_INVALID_INPUT;
		case HUBSPOT_VERDICT_UNCONFIRMED:
		case HUBSPOT_VERDICT_UNREACHED:
			return HUBSPOT_UNCONFIRMED;
		case HUBSPOT_VERDICT_NOT_SENT:
		case HUBSPOT_VERDICT_LIKE_OTHERS:
		case HUBSPOT_VERDICT_NO_TOKEN:
			return HUBSPOT_NOT_SENT;
		case HUBSPOT_VERDICT_INTERNAL:
			return HUBSPOT_INTERNAL;
		case HUBSPOT_VERDICT_NO_RECORD:
			return HUBSPOT_RECORD_NOT_FOUND;
		case HUBSPOT_VERDICT_MANY_RECORDS:
			return HUBSPOT_RECORD_AMBIGUOUS;
		default:
			return NULL;
	}
}

/*
 * The error, palloc'd, of inputs that are not sent because something that they need
 * could not be done first.
 */
HubspotError *
hubspot_error_before(const HubspotError *error, const char *what)
{
	HubspotError *copy = hubspot_copy_error(error);

	copy->message = psprintf("%s: %s", what, error->message);
	if (hubspot_is_unconfirmed(error->verdict))
	{
		copy->verdict = HUBSPOT_VERDICT_NOT_SENT;
		copy->category = own_category(copy->verdict);
	}
	else if (error->verdict == HUBSPOT_VERDICT_INPUT)
		copy->verdict = HUBSPOT_VERDICT_REQUEST;	/* it refused the inputs
													 * of that request */
	return copy;
}

/*
 * The error, palloc'd, of inputs that are not sent because an error has ended the sending.
 */
HubspotError *
hubspot_error_after(const HubspotError *error)
{
	if (hubspot_is_not_sent(error->verdict))
		return hubspot_copy_error(error);
	return hubspot_make_error(HUBSPOT_VERDICT_NOT_SENT, error->sqlstate,
							  psprintf(error->verdict == HUBSPOT_VERDICT_FOREIGN ?
									   "not sent after an answer that is not HubSpot's: %s" :
									   "not sent after HubSpot refused the account's requests: %s",
									   error->message));
}

/*
 * A copy of an error, or the one that *last points to if that says the same.
 * *last becomes the result.  An answer may be about thousands of inputs, and
 * large.
 */
const HubspotError *
hubspot_share_error(const HubspotError **last, const HubspotError *error)
{
	if (*last == NULL || !is_same_error(*last, error))
		*last = hubspot_copy_error(error);
	return *last;
}

static bool
is_same_error(const HubspotError *a, const HubspotError *b)
{
	return a->sqlstate == b->sqlstate && a->http_status == b->http_status &&
		a->verdict == b->verdict && a->not_found == b->not_found &&
		a->no_associations == b->no_associations &&
		strcmp(a->category, b->category) == 0 &&
		strcmp(a->message, b->message) == 0 &&
		(a->correlation_id == b->correlation_id ||
		 (a->correlation_id && b->correlation_id &&
		  strcmp(a->correlation_id, b->correlation_id) == 0)) &&
		a->object.len == b->object.len &&
		(a->object.len == 0 ||
		 memcmp(a->object.data, b->object.data, a->object.len) == 0);
}

/* Copy an error value and all that it holds, palloc'd. */
HubspotError *
hubspot_copy_error(const HubspotError *error)
{
	HubspotError *copy = palloc(sizeof(HubspotError));

	*copy = *error;
	copy->category = pstrdup(error->category);
	copy->message = pstrdup(error->message);
	if (error->correlation_id)
		copy->correlation_id = pstrdup(error->correlation_id);
	set_object(copy, error->object);
	copy->answer.data = NULL;
	copy->answer.len = 0;
	return copy;
}

/*
 * The error value of a reply that is not a success, after that many attempts.
 */
HubspotError *
hubspot_reply_error(const HubspotHttpReply *reply, int attempts)
{
	HubspotSlice body = hubspot_reply_body(reply);
	HubspotErrorFields fields;
	HubspotVerdict verdict = hubspot_read_verdict(reply, &fields);
	HubspotError *error;

	if (reply->failure != HUBSPOT_HTTP_OK)
	{
		bool		unreadable = (reply->failure == HUBSPOT_HTTP_TOO_LARGE ||
								  reply->failure == HUBSPOT_HTTP_UNREADABLE);

		error = hubspot_make_error(verdict, unreadable ? ERRCODE_PROTOCOL_VIOLATION :
								   ERRCODE_CONNECTION_FAILURE,
								   failure_message(reply));
	}
	else
	{
		error = hubspot_make_error(verdict, status_sqlstate(verdict, reply->status),
								   given_message(&fields));
		if (error->category == NULL)
			error->category = fields.category ? fields.category :
				psprintf("HTTP_%d", reply->status);
		if (error->message == NULL)
			error->message = psprintf("HTTP status %d without a reason",
									  reply->status);
		if (fields.hublet)
			error->message = psprintf("%s (the account is in the region %s: see the option base_url)",
									  error->message, clip(fields.hublet));
		set_absence(error, &fields);
		if (reply->status == 404 && verdict == HUBSPOT_VERDICT_REQUEST &&
			hubspot_misses_named(&fields))
			error->not_found = true;
		error->correlation_id = fields.correlation_id;
		set_object(error, body);
		error->names_ids = hubspot_error_names_ids(error);
	}
	error->http_status = reply->status;
	if (error->correlation_id == NULL)
		error->correlation_id = hubspot_correlation_id(reply);
	if (attempts > 1)
		error->message = psprintf("%s (after %d attempts)", error->message, attempts);
	return error;
}

static const char *
failure_message(const HubspotHttpReply *reply)
{
	const char *what = "could not send the request";

	switch (reply->failure)
	{
		case HUBSPOT_HTTP_OK:
		case HUBSPOT_HTTP_FAILED:
			break;
		case HUBSPOT_HTTP_UNREACHABLE:
			what = "could not reach HubSpot";
			break;
		case HUBSPOT_HTTP_UNTRUSTED:
			what = "could not establish a trusted connection";
			break;
		case HUBSPOT_HTTP_BROKEN:
			what = "no complete answer";
			break;
		case HUBSPOT_HTTP_TOO_LARGE:
			return psprintf(reply->max_body % MEGABYTE == 0 ?
							"the answer is larger than %zu MB, or its headers than %d kB" :
							"the answer is larger than %zu kB, or its headers than %d kB",
							reply->max_body / (reply->max_body % MEGABYTE == 0 ? MEGABYTE : 1024),
							HUBSPOT_MAX_HEADERS / 1024);
		case HUBSPOT_HTTP_UNREADABLE:
			what = "the answer is not HTTP";
			break;
	}
	return psprintf("%s: %s", what,
					hubspot_text_from_utf8(reply->failure_text,
										   strlen(reply->failure_text)));
}

static int
status_sqlstate(HubspotVerdict verdict, int status)
{
	switch (verdict)
	{
		case HUBSPOT_VERDICT_ACCOUNT:
			return ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION;
		case HUBSPOT_VERDICT_SCOPE:
			return ERRCODE_INSUFFICIENT_PRIVILEGE;
		case HUBSPOT_VERDICT_BUSY:
		case HUBSPOT_VERDICT_RATE:
			return ERRCODE_CONFIGURATION_LIMIT_EXCEEDED;
		case HUBSPOT_VERDICT_INPUT:
		case HUBSPOT_VERDICT_REQUEST:
			return ERRCODE_INVALID_PARAMETER_VALUE;
		case HUBSPOT_VERDICT_UNREACHED:
			return ERRCODE_CONNECTION_FAILURE;
		default:
			if (status >= 500 && status <= 599)
				return ERRCODE_EXTERNAL_ROUTINE_EXCEPTION;
			return ERRCODE_PROTOCOL_VIOLATION;
	}
}

/*
 * The error value of an item of a reply.  It has the correlation id of the
 * reply (or NULL) unless it has its own.
 */
HubspotError *
hubspot_item_error(const HubspotHttpReply *reply, HubspotSlice item,
				   const char *correlation_id)
{
	HubspotErrorFields fields;
	HubspotError *error;

	hubspot_read_error_fields(item, &fields);
	error = hubspot_make_error(hubspot_item_verdict(reply), ERRCODE_INVALID_PARAMETER_VALUE,
							   given_message(&fields));
	if (error->message == NULL)
		error->message = "HubSpot gave no reason";
	error->category = fields.category ? fields.category :
		psprintf("HTTP_%d", reply->status);
	error->http_status = reply->status;
	error->correlation_id = fields.correlation_id ? fields.correlation_id :
		correlation_id;
	set_absence(error, &fields);
	set_object(error, item);
	return error;
}

/*
 * The error value of an answer of the token endpoint without a token.  reason
 * and word are HubSpot's, or NULL.  It refuses the account, not an input.
 * Unlike other errors it has no object, which might show a secret.
 *
 * A request for which there was no token was not sent, and the category says
 * so; HubSpot's word for the refusal is in the message.
 */
HubspotError *
hubspot_token_error(const HubspotHttpReply *reply, const char *word,
					const char *reason, int attempts)
{
	HubspotError *error = hubspot_reply_error(reply, 1);

	if (reason)
		reason = clip(reason);
	else
		reason = hubspot_reply_is_success(reply) ?
			"the answer holds no valid access token" : error->message;
	error->message = psprintf("could not get an access token: %s%s%s",
							  word ? word : "", word ? ": " : "", reason);
	if (attempts > 1)
		error->message = psprintf("%s (after %d attempts)", error->message, attempts);

	if (error->sqlstate == ERRCODE_INVALID_PARAMETER_VALUE ||
		error->sqlstate == ERRCODE_INSUFFICIENT_PRIVILEGE)
		error->sqlstate = ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION;
	error->verdict = HUBSPOT_VERDICT_NO_TOKEN;
	error->category = own_category(error->verdict);
	error->object.data = error->answer.data = NULL;
	error->object.len = error->answer.len = 0;
	return error;
}

/* The error value of an input that a successful reply does not confirm. */
HubspotError *
hubspot_unconfirmed(const HubspotHttpReply *reply, const char *reason)
{
	HubspotError *error;

	error = hubspot_make_error(HUBSPOT_VERDICT_UNCONFIRMED,
							   ERRCODE_PROTOCOL_VIOLATION, reason);
	error->http_status = reply->status;
	error->correlation_id = hubspot_correlation_id(reply);
	return error;
}

/*
 * HubSpot's reason, and what the context adds, such as which type or scope it
 * is about; or NULL.  A context without a reason is shown in the error object
 * alone.
 */
static const char *
given_message(const HubspotErrorFields *fields)
{
	const char *message;
	const char *context;

	if (hubspot_says_nothing(fields->message))
		return NULL;
	message = clip(fields->message);
	context = hubspot_context_text(fields->context, message);
	return context ? clip(psprintf("%s (%s)", message, context)) : message;
}

/*
 * Note whether an error says that something is not there.  Only HubSpot's refusal of what was
 * sent says so, whatever words others use.
 */
static void
set_absence(HubspotError *error, const HubspotErrorFields *fields)
{
	if (error->verdict != HUBSPOT_VERDICT_INPUT && error->verdict != HUBSPOT_VERDICT_REQUEST)
		return;
	error->not_found = (fields->category &&
						strcmp(fields->category, NOT_FOUND_CATEGORY) == 0);
	error->no_associations = (fields->sub_category.data &&
							  memmem(fields->sub_category.data,
									 fields->sub_category.len, NO_ASSOCIATIONS,
									 strlen(NO_ASSOCIATIONS)) != NULL);
}

/* Keep an error object, palloc'd; a large one is cut at a character. */
static void
set_object(HubspotError *error, HubspotSlice object)
{
	int			len = object.len;

	error->answer = object;
	if (len > HUBSPOT_MAX_ERROR_OBJECT)
	{
		len = HUBSPOT_MAX_ERROR_OBJECT;
		while (len > HUBSPOT_MAX_ERROR_OBJECT - 4 &&
			   ((unsigned char) object.data[len] & 0xC0) == 0x80)
			len--;
	}
	error->object.len = len;
	error->object.data = len > 0 ? memcpy(palloc(len), object.data, len) : NULL;
}

/* The error object, palloc'd, or NULL: there is none. */
Jsonb *
hubspot_error_object(const HubspotError *error)
{
	return hubspot_json_to_jsonb(error->object);
}

/* A text of no more than MAX_ERROR_MESSAGE bytes; a longer one is cut off. */
static const char *
clip(const char *text)
{
	int			len = strlen(text);

	if (len <= MAX_ERROR_MESSAGE)
		return text;
	return psprintf("%.*s...", pg_mbcliplen(text, len, MAX_ERROR_MESSAGE), text);
}
