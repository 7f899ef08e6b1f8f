/*-------------------------------------------------------------------------
 *
 * verdict.c
 *	  What a reply that is not a success says, and what to do about it.
 *
 * This is the one place where a status means something.  The verdict follows
 * from it and from what the body says, and tells who is refused; all other
 * code goes by the verdict:
 *
 *		verdict		from					within a call		in the outbox
 *
 *		INVALID		our own checks			not sent			dead letter
 *		INPUT		400, 409, 422, 437 (*),	smaller requests	dead letter
 *					413
 *		REQUEST		an object type (400),	final				dead letter
 *					a record (404)
 *		BUSY		423, 477				tried again			row: later
 *		UNCONFIRMED	5xx, 408, 499, no		tried again (**)	row: later
 *					whole answer
 *		UNREACHED	no connection, 421, 425	tried again			account waits
 *		SCOPE		403 (*)					ends the sending	rows: later
 *		ACCOUNT		401, 488, 530			ends the sending	account waits
 *		FOREIGN		any other status		ends the sending	account waits
 *		NO_TOKEN	the token endpoint		ends the sending	account waits
 *		RATE		429, 500 (RATE_LIMITS)	account is parked,	account waits
 *											or ends the sending
 *		NOT_SENT	what came before		not sent			account waits
 *		LIKE_OTHERS	refusals of all inputs	not sent			row: later
 *					with its types
 *		INTERNAL	an ERROR of a sender	-					row or account
 *		NO_RECORD	a look-up of its key	not sent			dead letter
 *		MANY_RECORDS	likewise			not sent			dead letter
 *
 * (*) if HubSpot says so: in JSON, with a correlation id or a category.  The
 * page of a proxy is FOREIGN.
 * (**) if that does no harm, and the status is one that may pass.
 *
 * IDENTIFICATION
 *	  src/api/verdict.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "api/verdict.h"

#define SECOND				INT64CONST(1000000) /* in microseconds */

/* A lock on a record (423) lasts about this long, says HubSpot. */
#define LOCKED_WAIT			(2 * SECOND)

/* How long a 429 parks an account if it does not say so itself. */
#define SECONDLY_WAIT		(1 * SECOND)
#define TEN_SECONDLY_WAIT	(10 * SECOND)

/* The policy of a 429 that does not pass for hours. */
#define DAILY_POLICY		"DAILY"
#define SECONDLY_POLICY		"SECONDLY"

/*
 * These headers say how many requests the day has, and how many of them are left;
 * the latter decides where there is no policy.
 */
#define DAILY_LIMIT_HEADER	"x-hubspot-ratelimit-daily"
#define DAILY_LEFT_HEADER	"x-hubspot-ratelimit-daily-remaining"

/* A number of requests has no more digits than this. */
#define MAX_NUMBER_LEN		15

/* A limit may come as a 500 of this category. */
#define RATE_CATEGORY		"RATE_LIMITS"

/*
 * Statuses of HubSpot's own: a record is locked, an account is being moved, or is
 * in another region, and a token is malformed, although that one is a 5xx.
 */
#define STATUS_LOCKED		423
#define STATUS_MIGRATING	477
#define STATUS_OTHER_REGION 488
#define STATUS_BAD_TOKEN	530

/* A header that is looked for, and what it has. */
typedef struct NamedHeader
{
	const char *name;
	HubspotSlice value;
} NamedHeader;

static HubspotAdvice advise(const HubspotHttpReply *reply, HubspotVerdict verdict,
							const HubspotErrorFields *fields, bool repeatable,
							int64 *wait);
static HubspotVerdict status_verdict(const HubspotHttpReply *reply,
									 const HubspotErrorFields *fields);
static bool passes(const HubspotHttpReply *reply);
static bool is_daily(const HubspotHttpReply *reply, const HubspotErrorFields *fields);
static int64 number_header(const HubspotHttpReply *reply, const char *name);
static void named_header(void *state, HubspotSlice name, HubspotSlice value);
static bool is_own(const HubspotHttpReply *reply, const HubspotErrorFields *fields);
static bool misses_path(const HubspotErrorFields *fields);
static bool contains_word(const char *text, const char *word);

/*
 * What to do about the reply of an attempt.  *wait is how long to wait first,
 * in microseconds, or 0 if the caller may choose; *asked tells whether HubSpot
 * itself said so.  A request that is not repeatable is tried again only if
 * HubSpot cannot have acted on it.
 */
HubspotAdvice
hubspot_reply_advice(const HubspotHttpReply *reply, bool repeatable,
					 int64 *wait, bool *asked)
{
	HubspotErrorFields fields;
	HubspotVerdict verdict;
	HubspotAdvice advice;
	MemoryContext context;
	MemoryContext old;

	/* a date may have passed; and no request waits for longer than that */
	*wait = Max(Min(reply->retry_after, 10000000), 0) * SECOND;
	*asked = (*wait > 0);

	if (hubspot_reply_is_success(reply))
		return HUBSPOT_FINAL;

	/* the texts of an answer may be long */
	context = AllocSetContextCreate(CurrentMemoryContext, "hubspot_assoc verdict",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	verdict = hubspot_read_verdict(reply, &fields);
	advice = advise(reply, verdict, &fields, repeatable, wait);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return advice;
}

static HubspotAdvice
advise(const HubspotHttpReply *reply, HubspotVerdict verdict,
	   const HubspotErrorFields *fields, bool repeatable, int64 *wait)
{
	bool		secondly;

	switch (verdict)
	{
		case HUBSPOT_VERDICT_RATE:
			if (is_daily(reply, fields))
				return HUBSPOT_FINAL;
			secondly = fields->policy && strcmp(fields->policy, SECONDLY_POLICY) == 0;
			if (*wait == 0)
				*wait = secondly ? SECONDLY_WAIT : TEN_SECONDLY_WAIT;
			return secondly ? HUBSPOT_PARK_SECOND : HUBSPOT_PARK;
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

/* What a reply that is not a success says. */
HubspotVerdict
hubspot_reply_verdict(const HubspotHttpReply *reply)
{
	HubspotErrorFields fields;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "hubspot_assoc verdict",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	HubspotVerdict verdict = hubspot_read_verdict(reply, &fields);

	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return verdict;
}

/*
 * Likewise, with the fields of its body, palloc'd.  There are none without a
 * whole body.
 */
HubspotVerdict
hubspot_read_verdict(const HubspotHttpReply *reply, HubspotErrorFields *fields)
{
	memset(fields, 0, sizeof(*fields));
	switch (reply->failure)
	{
		case HUBSPOT_HTTP_OK:
			hubspot_read_error_fields(hubspot_reply_body(reply), fields);
			return status_verdict(reply, fields);
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

/*
 * What an item of a reply that is an error says: HubSpot refuses the input,
 * unless the whole reply may pass another time.  There may be many items, so
 * the body is not looked at.
 */
HubspotVerdict
hubspot_item_verdict(const HubspotHttpReply *reply)
{
	const HubspotErrorFields none = {0};
	HubspotVerdict verdict;

	if (hubspot_reply_is_success(reply))
		return HUBSPOT_VERDICT_INPUT;
	verdict = status_verdict(reply, &none);
	return verdict == HUBSPOT_VERDICT_REQUEST || verdict == HUBSPOT_VERDICT_FOREIGN ?
		HUBSPOT_VERDICT_INPUT : verdict;
}

static HubspotVerdict
status_verdict(const HubspotHttpReply *reply, const HubspotErrorFields *fields)
{
	switch (reply->status)
	{
		case 400:
		case 409:
		case 422:
		case 437:
			if (!is_own(reply, fields))
				return HUBSPOT_VERDICT_FOREIGN;
			return hubspot_refuses_type(fields) ? HUBSPOT_VERDICT_REQUEST : HUBSPOT_VERDICT_INPUT;
		case 413:
			return HUBSPOT_VERDICT_INPUT;
		case 404:
			if (!is_own(reply, fields) || misses_path(fields))
				return HUBSPOT_VERDICT_FOREIGN;
			return HUBSPOT_VERDICT_REQUEST;
		case 401:
		case STATUS_OTHER_REGION:
		case STATUS_BAD_TOKEN:
			return HUBSPOT_VERDICT_ACCOUNT;
		case 403:
			return is_own(reply, fields) ? HUBSPOT_VERDICT_SCOPE : HUBSPOT_VERDICT_FOREIGN;
		case 408:
		case 499:
			return HUBSPOT_VERDICT_UNCONFIRMED;
		case 421:
		case 425:
			return HUBSPOT_VERDICT_UNREACHED;
		case STATUS_LOCKED:
		case STATUS_MIGRATING:
			return HUBSPOT_VERDICT_BUSY;
		case 429:
			return HUBSPOT_VERDICT_RATE;
		case 500:
			if (fields->category && strcmp(fields->category, RATE_CATEGORY) == 0)
				return HUBSPOT_VERDICT_RATE;
			return HUBSPOT_VERDICT_UNCONFIRMED;
		default:
			return reply->status >= 500 ? HUBSPOT_VERDICT_UNCONFIRMED : HUBSPOT_VERDICT_FOREIGN;
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
		case 408:
		case 421:
		case 425:
		case 499:
		case 500:
		case 502:
		case 503:
		case 504:
			return true;
		default:
			/* statuses of the proxy in front of HubSpot */
			return reply->status >= 520 && reply->status <= 527;
	}
}

/* Does a limit last for hours?  The policy tells, or without one the words. */
static bool
is_daily(const HubspotHttpReply *reply, const HubspotErrorFields *fields)
{
	if (fields->policy)
		return strcmp(fields->policy, DAILY_POLICY) == 0;
	if (fields->message && contains_word(fields->message, DAILY_POLICY))
		return true;
	return hubspot_day_left(reply) == 0;
}

/* How many requests of the day are left, as a reply tells; -1: it does not. */
int64
hubspot_day_left(const HubspotHttpReply *reply)
{
	return number_header(reply, DAILY_LEFT_HEADER);
}

/* How many requests the day has in all, as a reply tells; -1: it does not. */
int64
hubspot_day_limit(const HubspotHttpReply *reply)
{
	return number_header(reply, DAILY_LIMIT_HEADER);
}

/* The number that a header has; -1: there is none. */
static int64
number_header(const HubspotHttpReply *reply, const char *name)
{
	NamedHeader header = {name, {NULL, 0}};
	int64		number = 0;

	hubspot_each_header(reply, &header, named_header);
	if (header.value.len == 0 || header.value.len > MAX_NUMBER_LEN)
		return -1;
	for (int i = 0; i < header.value.len; i++)
	{
		char		digit = header.value.data[i];

		if (digit < '0' || digit > '9')
			return -1;
		number = number * 10 + (digit - '0');
	}
	return number;
}

static void
named_header(void *state, HubspotSlice name, HubspotSlice value)
{
	NamedHeader *header = state;

	if (hubspot_is_header(name, header->name))
		header->value = value;
}

/*
 * Does the answer come from HubSpot itself?  Each of its answers has a
 * correlation id, in the body or a header, and its errors are JSON with one of
 * these members.
 */
static bool
is_own(const HubspotHttpReply *reply, const HubspotErrorFields *fields)
{
	if (fields->category || fields->correlation_id ||
		(fields->status && strcmp(fields->status, "error") == 0))
		return true;
	return fields->message && hubspot_correlation_id(reply) != NULL;
}

/* Does HubSpot refuse an object type that it does not know? */
bool
hubspot_refuses_type(const HubspotErrorFields *fields)
{
	static const char bad_type[] = "Unable to infer object type";

	return fields->message &&
		strncmp(fields->message, bad_type, strlen(bad_type)) == 0;
}

/*
 * Does a 404 say that the path leads nowhere?  These are HubSpot's words for
 * that.
 */
static bool
misses_path(const HubspotErrorFields *fields)
{
	return fields->category == NULL && fields->message &&
		pg_strcasecmp(fields->message, "resource not found") == 0;
}

/*
 * Does a 404 say that something named is not there: a record, an association, a
 * label?  A 404 that is worded in another way may be about something else.
 */
bool
hubspot_misses_named(const HubspotErrorFields *fields)
{
	static const char *const words[] = {"object", "record", "associat", "label"};

	if (fields->category || fields->sub_category.data)
		return true;
	if (hubspot_refuses_type(fields) || fields->message == NULL)
		return false;
	for (size_t i = 0; i < lengthof(words); i++)
	{
		if (contains_word(fields->message, words[i]))
			return true;
	}
	return false;
}

/* Does a text contain another one, in upper or lower case? */
static bool
contains_word(const char *text, const char *word)
{
	size_t		len = strlen(word);

	for (; *text; text++)
	{
		if (pg_strncasecmp(text, word, len) == 0)
			return true;
	}
	return false;
}

/* Was the request too large, rather than wrong? */
bool
hubspot_reply_is_too_large(const HubspotHttpReply *reply)
{
	return reply->failure == HUBSPOT_HTTP_OK && reply->status == 413;
}

/* HubSpot has changed success codes without notice, so any of them counts. */
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

/*
 * May a 401 mean only that the token has expired?  HubSpot says so in several
 * ways, or without a body.
 */
bool
hubspot_reply_is_expired(const HubspotHttpReply *reply)
{
	HubspotErrorFields fields;

	hubspot_read_error_fields(hubspot_reply_body(reply), &fields);
	if (fields.message && contains_word(fields.message, "expired"))
		return true;
	return fields.category == NULL ||
		strcmp(fields.category, "EXPIRED_AUTHENTICATION") == 0;
}
