/*-------------------------------------------------------------------------
 *
 * error.c
 *	  Replies that are no success: what to do about them, and error values.
 *
 * This is the one place where a failure of HubSpot or of the network becomes an
 * error value, and where it is judged.  The verdict follows from the status, and
 * says who is refused; everybody else goes by it:
 *
 *		verdict		from					within a call		in the outbox
 *
 *		INVALID		our own checks			not sent			dead letter
 *		INPUT		400, 409, 413, 422, 437	smaller requests	dead letter
 *		REQUEST		other 3xx and 4xx		final				dead letter
 *		BUSY		423, 477				tried again			row: later
 *		UNCONFIRMED	5xx, no whole answer	tried again (*)		row: later
 *		UNREACHED	no connection			tried again			account waits
 *		SCOPE		403						ends the sending	rows: later
 *		ACCOUNT		401, 530				ends the sending	account waits
 *		NO_TOKEN	the token endpoint		ends the sending	account waits
 *		RATE		429						account is parked,	account waits
 *											or ends the sending
 *		NOT_SENT	what came before		not sent			account waits
 *		INTERNAL	an ERROR of a sender	-					row or account
 *
 * (*) if that does no harm, and the status is one that passes.
 *
 * The category UNCONFIRMED is given to every failure after which HubSpot may
 * or may not have acted: no answer, one that cannot be read, and HubSpot's own
 * failures (5xx), whatever they say.
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
#include "json/json.h"
#include "json/jsonb.h"
#include "json/text.h"

#define SECOND				INT64CONST(1000000) /* in microseconds */

/* A lock on a record (423) lasts about this long, says HubSpot. */
#define LOCKED_WAIT			(2 * SECOND)

/* How long a 429 parks an account if it doesn't say itself. */
#define SECONDLY_WAIT		(1 * SECOND)
#define TEN_SECONDLY_WAIT	(10 * SECOND)

/* The policy of a 429 that will not pass for hours. */
#define DAILY_POLICY		"DAILY"
#define SECONDLY_POLICY		"SECONDLY"

#define CORRELATION_HEADER	"x-hubspot-correlation-id"

/* A reason goes into each row that it is about: so much of it is kept. */
#define MAX_ERROR_MESSAGE	1000

/* Longer ones than HubSpot has are cut off: they go into each row, too. */
#define MAX_CATEGORY_LEN		100
#define MAX_CORRELATION_ID_LEN	100

/* Categories that say no more than that nothing is there. */
#define NOT_FOUND_CATEGORY		"OBJECT_NOT_FOUND"
#define NO_ASSOCIATIONS			"NO_ASSOCIATIONS_FOUND"

/*
 * Statuses of HubSpot's own: a record is locked, an account is being moved, and
 * a token is malformed, although that one is a 5xx.
 */
#define STATUS_LOCKED		423
#define STATUS_MIGRATING	477
#define STATUS_BAD_TOKEN	530

/* The fields of an error: a whole reply, or an item of one. */
typedef struct ErrorFields
{
	const char *category;
	const char *message;
	const char *correlation_id;
	const char *policy;			/* of a 429 */
	HubspotSlice sub_category;	/* any JSON */
} ErrorFields;

static const HubspotJsonField error_fields[] = {
	HUBSPOT_JSON_FIELD("message", HUBSPOT_JSON_TEXT, ErrorFields, message),
	HUBSPOT_JSON_FIELD("correlationId", HUBSPOT_JSON_TEXT, ErrorFields, correlation_id),
	HUBSPOT_JSON_FIELD("category", HUBSPOT_JSON_TEXT, ErrorFields, category),
	HUBSPOT_JSON_FIELD("policyName", HUBSPOT_JSON_TEXT, ErrorFields, policy),
	HUBSPOT_JSON_FIELD("subCategory", HUBSPOT_JSON_RAW, ErrorFields, sub_category)
};

static const HubspotJsonShape error_shape = {
	HUBSPOT_JSON_FIELDS(error_fields)
};

static const char *own_category(HubspotVerdict verdict);
static const char *failure_message(const HubspotHttpReply *reply);
static int	status_sqlstate(int status);
static HubspotVerdict status_verdict(int status);
static HubspotVerdict item_verdict(const HubspotHttpReply *reply);
static bool passes(const HubspotHttpReply *reply);
static bool refuses_type(const char *message);
static void read_error_fields(HubspotSlice object, ErrorFields *fields);
static void set_absence(HubspotError *error, const ErrorFields *fields);
static void set_object(HubspotError *error, HubspotSlice object);
static const char *clip(const char *text);
static void cut(const char **text, int most);
static bool is_same_error(const HubspotError *a, const HubspotError *b);
static void correlation_header(void *state, HubspotSlice name,
							   HubspotSlice value);

/*
 * What to do about the reply of an attempt.  *wait is how long to wait first,
 * in microseconds, or 0 if that is for the caller to choose; *asked, whether
 * HubSpot itself said so.  What is not repeatable is tried again only if
 * HubSpot cannot have acted on it.
 */
HubspotAdvice
hubspot_reply_advice(const HubspotHttpReply *reply, bool repeatable,
					 int64 *wait, bool *asked)
{
	ErrorFields fields;

	/* a date may have passed; a longer one than that is waited for by nobody */
	*wait = Max(Min(reply->retry_after, 10000000), 0) * SECOND;
	*asked = (*wait > 0);

	if (hubspot_reply_is_success(reply))
		return HUBSPOT_FINAL;
	switch (hubspot_reply_verdict(reply))
	{
		case HUBSPOT_VERDICT_RATE:
			read_error_fields(hubspot_reply_body(reply), &fields);
			if (fields.policy && strcmp(fields.policy, DAILY_POLICY) == 0)
				return HUBSPOT_FINAL;
			if (*wait == 0)
				*wait = (fields.policy && strcmp(fields.policy, SECONDLY_POLICY) == 0) ?
					SECONDLY_WAIT : TEN_SECONDLY_WAIT;
			return HUBSPOT_PARK;
		case HUBSPOT_VERDICT_BUSY:
			if (reply->status == STATUS_LOCKED)
				*wait = Max(*wait, LOCKED_WAIT);
			return HUBSPOT_RETRY;
		case HUBSPOT_VERDICT_UNREACHED:
			return passes(reply) ? HUBSPOT_RETRY : HUBSPOT_FINAL;
		case HUBSPOT_VERDICT_UNCONFIRMED:
			return repeatable && passes(reply) ? HUBSPOT_RETRY : HUBSPOT_FINAL;
		default:
			return HUBSPOT_FINAL;
	}
}

/* What a reply that is no success says, as far as that doesn't take its body. */
HubspotVerdict
hubspot_reply_verdict(const HubspotHttpReply *reply)
{
	switch (reply->failure)
	{
		case HUBSPOT_HTTP_OK:
			return status_verdict(reply->status);
		case HUBSPOT_HTTP_UNREACHABLE:
		case HUBSPOT_HTTP_UNTRUSTED:
		case HUBSPOT_HTTP_FAILED:
			return HUBSPOT_VERDICT_UNREACHED;
		case HUBSPOT_HTTP_BROKEN:
		case HUBSPOT_HTTP_TOO_LARGE:
		case HUBSPOT_HTTP_UNREADABLE:
			break;
	}
	return HUBSPOT_VERDICT_UNCONFIRMED;
}

static HubspotVerdict
status_verdict(int status)
{
	switch (status)
	{
		case 400:
		case 409:
		case 413:
		case 422:
		case 437:
			return HUBSPOT_VERDICT_INPUT;
		case 401:
		case STATUS_BAD_TOKEN:
			return HUBSPOT_VERDICT_ACCOUNT;
		case 403:
			return HUBSPOT_VERDICT_SCOPE;
		case STATUS_LOCKED:
		case STATUS_MIGRATING:
			return HUBSPOT_VERDICT_BUSY;
		case 429:
			return HUBSPOT_VERDICT_RATE;
		default:
			return status >= 500 ? HUBSPOT_VERDICT_UNCONFIRMED : HUBSPOT_VERDICT_REQUEST;
	}
}

/* Is it a failure that another attempt may not meet? */
static bool
passes(const HubspotHttpReply *reply)
{
	if (reply->failure != HUBSPOT_HTTP_OK)
		return reply->failure == HUBSPOT_HTTP_UNREACHABLE ||
			reply->failure == HUBSPOT_HTTP_BROKEN;
	switch (reply->status)
	{
		case 500:
		case 502:
		case 503:
		case 504:
		case 521:
		case 522:
		case 523:
		case 524:
			return true;
		default:
			return false;
	}
}

/* Success codes have changed unannounced; any of them is one. */
bool
hubspot_reply_is_success(const HubspotHttpReply *reply)
{
	return reply->failure == HUBSPOT_HTTP_OK &&
		reply->status >= 200 && reply->status <= 299;
}

/* Does a reply refuse the access token, for whatever reason? */
bool
hubspot_reply_is_unauthorized(const HubspotHttpReply *reply)
{
	return reply->failure == HUBSPOT_HTTP_OK && reply->status == 401;
}

/* Does a 401 do so because the token's time has run out? */
bool
hubspot_reply_is_expired(const HubspotHttpReply *reply)
{
	ErrorFields fields;

	read_error_fields(hubspot_reply_body(reply), &fields);
	return fields.category && strcmp(fields.category, "EXPIRED_AUTHENTICATION") == 0;
}

/*
 * An error value without an answer, palloc'd; the text is not copied.  Its category is
 * the verdict's.
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

/* Our word for a verdict, or NULL: HubSpot has its own. */
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
		case HUBSPOT_VERDICT_NO_TOKEN:
			return HUBSPOT_NOT_SENT;
		case HUBSPOT_VERDICT_INTERNAL:
			return HUBSPOT_INTERNAL;
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
		copy->verdict = HUBSPOT_VERDICT_REQUEST;	/* that one's inputs */
	return copy;
}

/*
 * A copy of an error, or the one that *last points to if it says the same; that
 * is then this one.  An answer may be about thousands of inputs, and large.
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

/* An error value and all that it holds, palloc'd. */
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
 * The error that a reply is which is no success, after so many attempts.
 */
HubspotError *
hubspot_reply_error(const HubspotHttpReply *reply, int attempts)
{
	HubspotSlice body = hubspot_reply_body(reply);
	HubspotVerdict verdict = hubspot_reply_verdict(reply);
	HubspotError *error;
	ErrorFields fields;

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
		read_error_fields(body, &fields);
		error = hubspot_make_error(verdict, status_sqlstate(reply->status),
								   fields.message ? clip(fields.message) : NULL);
		if (error->category == NULL)
			error->category = fields.category ? fields.category :
				psprintf("HTTP_%d", reply->status);
		if (error->message == NULL)
			error->message = psprintf("HTTP status %d without a reason",
									  reply->status);
		set_absence(error, &fields);

		/* a refused object type is the path's, and no input's */
		if (verdict == HUBSPOT_VERDICT_INPUT && refuses_type(error->message))
			error->verdict = HUBSPOT_VERDICT_REQUEST;

		/* some other server's page says nothing of HubSpot's records */
		if (reply->status == 404 && (fields.message || fields.correlation_id) &&
			!refuses_type(error->message))
			error->not_found = true;
		error->correlation_id = fields.correlation_id;
		set_object(error, body);
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
			return psprintf("the answer is larger than %d MB, or its headers than %d kB",
							HUBSPOT_MAX_REPLY / (1024 * 1024),
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
status_sqlstate(int status)
{
	switch (status)
	{
		case 401:
		case STATUS_BAD_TOKEN:
			return ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION;
		case 403:
			return ERRCODE_INSUFFICIENT_PRIVILEGE;
		case 423:
		case 429:
		case 477:
			return ERRCODE_CONFIGURATION_LIMIT_EXCEEDED;
		default:
			if (status >= 400 && status <= 499)
				return ERRCODE_INVALID_PARAMETER_VALUE;
			if (status >= 500 && status <= 599)
				return ERRCODE_EXTERNAL_ROUTINE_EXCEPTION;
			return ERRCODE_PROTOCOL_VIOLATION;
	}
}

/*
 * The error that an item of a reply is, which has the correlation id of the
 * reply (or NULL) unless it has its own.
 */
HubspotError *
hubspot_item_error(const HubspotHttpReply *reply, HubspotSlice item,
				   const char *correlation_id)
{
	ErrorFields fields;
	HubspotError *error;

	read_error_fields(item, &fields);
	error = hubspot_make_error(item_verdict(reply), ERRCODE_INVALID_PARAMETER_VALUE,
							   fields.message ? clip(fields.message) :
							   "HubSpot gave no reason");
	error->category = fields.category ? fields.category :
		psprintf("HTTP_%d", reply->status);
	error->http_status = reply->status;
	error->correlation_id = fields.correlation_id ? fields.correlation_id :
		correlation_id;
	set_absence(error, &fields);
	set_object(error, item);
	return error;
}

/* HubSpot refuses the input, unless all of the reply may pass another time. */
static HubspotVerdict
item_verdict(const HubspotHttpReply *reply)
{
	HubspotVerdict verdict = hubspot_reply_verdict(reply);

	if (hubspot_reply_is_success(reply) || verdict == HUBSPOT_VERDICT_REQUEST)
		return HUBSPOT_VERDICT_INPUT;
	return verdict;
}

/*
 * The error that an answer of the token endpoint is which gives no token: for a
 * reason, if it is known, in HubSpot's words and in one word of it.  It refuses
 * the account, and no input.  Unlike other errors it has no object: who knows
 * what stands in it.
 *
 * A request that there was no token for was not sent, so its category is that;
 * HubSpot's word for the refusal stands in the message.
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

/* The error of an input that a successful reply doesn't confirm. */
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

/* Is it an object type that HubSpot doesn't know? */
static bool
refuses_type(const char *message)
{
	static const char bad_type[] = "Unable to infer object type";

	return strncmp(message, bad_type, strlen(bad_type)) == 0;
}

static void
read_error_fields(HubspotSlice object, ErrorFields *fields)
{
	memset(fields, 0, sizeof(*fields));
	if (!hubspot_json_read(object, &error_shape, fields, NULL))
		memset(fields, 0, sizeof(*fields));
	cut(&fields->category, MAX_CATEGORY_LEN);
	cut(&fields->correlation_id, MAX_CORRELATION_ID_LEN);
}

/* Does an error say that something isn't there? */
static void
set_absence(HubspotError *error, const ErrorFields *fields)
{
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

/* A text that may be NULL to no more than so many bytes, without a word. */
static void
cut(const char **text, int most)
{
	int			len = *text ? strlen(*text) : 0;

	if (len > most)
		*text = pnstrdup(*text, pg_mbcliplen(*text, len, most));
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
	if (name.len == strlen(CORRELATION_HEADER) &&
		pg_strncasecmp(name.data, CORRELATION_HEADER, name.len) == 0)
		*(const char **) state = hubspot_text_from_utf8(value.data, value.len);
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
		/* the status line has none before its end, or begins with HTTP/ */
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
