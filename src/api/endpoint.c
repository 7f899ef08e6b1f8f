/*-------------------------------------------------------------------------
 *
 * endpoint.c
 *	  HubSpot's associations API as one table, and what may stand in a path.
 *
 * IDENTIFICATION
 *	  src/api/endpoint.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "utils/datetime.h"

#include "api/endpoint.h"
#include "api/object_type.h"
#include "base/digits.h"

/* Arguments: object type and id of the one record, then of the other. */
#define PAIR_TAIL		"{}/{}/associations/{}/{}"
#define DEFAULT_TAIL	"{}/{}/associations/default/{}/{}"

/* A page can hold no more than this. */
#define LIST_TAIL		"{}/{}/associations/{}?limit=500"

/* Arguments: the two object types. */
#define BATCH_TAIL		"{}/{}/batch/"
#define LABELS_TAIL		"{}/{}/labels"
#define LIMITS_TAIL		"definitions/configurations/"

/* Argument: the object type. */
#define READ_TAIL		"{}/batch/read?archived=false"
#define SEARCH_TAIL		"{}/search"

/* Arguments: the object type, and the property that is wanted; a page can hold no more. */
#define RECORDS_TAIL	"{}?limit=100&archived=false&properties={}"

/* The names alone: the definitions of properties may be thousands. */
#define SCHEMAS_TAIL	"schemas?includePropertyDefinitions=false&includeAssociationDefinitions=false&includeAuditMetadata=false"

/* Arguments: the ids of the two object types. */
#define LABEL_USAGE_TAIL	"associations/labels"
#define RECORD_USAGE_TAIL	"associations/records/{}/{}"

/*
 * v4 is older than all dated versions; the first of those had no OAuth of its
 * own.
 */
#define UNDATED_VERSION			"v4"
#define FIRST_DATED_VERSION		"2025-09"
#define FIRST_OAUTH_VERSION		"2026-03"
#define BETA					"-beta"

/* What is not about associations has no v4, and this version in its place. */
#define OTHERS_OF_UNDATED		"v3"

/*
 * HubSpot makes a version each March and each September, and keeps it for
 * about this many months.  It has announced the end of v4.
 */
#define FIRST_VERSION_MONTH		3
#define SECOND_VERSION_MONTH	9
#define VERSION_LIFE			18
#define UNDATED_END				date2j(2027, 3, 30)

/*
 * HubSpot's ids are numbers of up to 19 digits; longer texts are mistakes, and
 * would make a batch's body grow without a bound.
 */
#define MAX_ID_LEN		100

/*
 * Bytes of an answer: REPLY_BASE is enough for a proxy's page.  To it, each
 * input adds two results of 200 bytes, an error of 600 with its ids, or a
 * result with some labels.  A record that is read has no more than 500
 * associations a page.
 */
#define REPLY_BASE			((size_t) 256 * 1024)
#define REPLY_PER_INPUT		((size_t) 2048)
#define MAX_REPLY			((size_t) 4 * 1024 * 1024)

/* The longest category. */
#define MAX_CATEGORY_LEN	63

/*
 * An operation that is not repeatable makes something new each time, or may be
 * refused the second time.
 */
static const HubspotEndpoint endpoints[] = {
	[HUBSPOT_CREATE_DEFAULT] = {
		"create_default", "PUT", HUBSPOT_OBJECTS, DEFAULT_TAIL,
		HUBSPOT_INPUT_PAIR, 0, true, HUBSPOT_REPLY_ENVELOPE
	},
	[HUBSPOT_CREATE] = {
		"create", "PUT", HUBSPOT_OBJECTS, PAIR_TAIL,
		HUBSPOT_INPUT_TYPED_PAIR, 0, true, HUBSPOT_REPLY_PAIR
	},
	[HUBSPOT_BATCH_CREATE_DEFAULT] = {
		"create_default", "POST", HUBSPOT_ASSOCIATIONS, BATCH_TAIL "associate/default",
		HUBSPOT_INPUT_PAIR, 2000, true, HUBSPOT_REPLY_ENVELOPE
	},
	[HUBSPOT_BATCH_CREATE] = {
		"create", "POST", HUBSPOT_ASSOCIATIONS, BATCH_TAIL "create",
		HUBSPOT_INPUT_TYPED_PAIR, 2000, true, HUBSPOT_REPLY_ENVELOPE
	},
	[HUBSPOT_ARCHIVE] = {
		"archive", "DELETE", HUBSPOT_OBJECTS, PAIR_TAIL,
		HUBSPOT_INPUT_PAIR, 0, true, HUBSPOT_REPLY_SILENT
	},
	[HUBSPOT_BATCH_ARCHIVE] = {
		"archive", "POST", HUBSPOT_ASSOCIATIONS, BATCH_TAIL "archive",
		HUBSPOT_INPUT_GROUP, 100, true, HUBSPOT_REPLY_SILENT
	},
	[HUBSPOT_BATCH_ARCHIVE_LABELS] = {
		"archive_labels", "POST", HUBSPOT_ASSOCIATIONS, BATCH_TAIL "labels/archive",
		HUBSPOT_INPUT_TYPED_PAIR, 100, true, HUBSPOT_REPLY_SILENT
	},
	[HUBSPOT_LIST] = {
		"list", "GET", HUBSPOT_OBJECTS, LIST_TAIL,
		HUBSPOT_INPUT_RECORD, 0, true, HUBSPOT_REPLY_PAGE
	},
	[HUBSPOT_BATCH_READ] = {
		"read", "POST", HUBSPOT_ASSOCIATIONS, BATCH_TAIL "read",
		HUBSPOT_INPUT_RECORD, 1000, true, HUBSPOT_REPLY_RECORDS
	},
	[HUBSPOT_LABELS] = {
		"labels", "GET", HUBSPOT_ASSOCIATIONS, LABELS_TAIL,
		HUBSPOT_INPUT_NONE, 0, true, HUBSPOT_REPLY_DEFINITIONS
	},
	[HUBSPOT_LABEL_CREATE] = {
		"label_create", "POST", HUBSPOT_ASSOCIATIONS, LABELS_TAIL,
		HUBSPOT_INPUT_NONE, 0, false, HUBSPOT_REPLY_DEFINITIONS
	},
	[HUBSPOT_LABEL_UPDATE] = {
		"label_update", "PUT", HUBSPOT_ASSOCIATIONS, LABELS_TAIL,
		HUBSPOT_INPUT_NONE, 0, true, HUBSPOT_REPLY_SILENT
	},
	[HUBSPOT_LABEL_DELETE] = {
		"label_delete", "DELETE", HUBSPOT_ASSOCIATIONS, LABELS_TAIL "/{}",
		HUBSPOT_INPUT_NONE, 0, true, HUBSPOT_REPLY_SILENT
	},
	[HUBSPOT_LIMITS_ALL] = {
		"limits", "GET", HUBSPOT_ASSOCIATIONS, LIMITS_TAIL "all",
		HUBSPOT_INPUT_NONE, 0, true, HUBSPOT_REPLY_DEFINITIONS
	},
	[HUBSPOT_LIMITS] = {
		"limits", "GET", HUBSPOT_ASSOCIATIONS, LIMITS_TAIL "{}/{}",
		HUBSPOT_INPUT_NONE, 0, true, HUBSPOT_REPLY_DEFINITIONS
	},
	[HUBSPOT_LIMIT_CREATE] = {
		"limit_create", "POST", HUBSPOT_ASSOCIATIONS, LIMITS_TAIL BATCH_TAIL "create",
		HUBSPOT_INPUT_NONE, 0, false, HUBSPOT_REPLY_SILENT
	},
	[HUBSPOT_LIMIT_UPDATE] = {
		"limit_update", "POST", HUBSPOT_ASSOCIATIONS, LIMITS_TAIL BATCH_TAIL "update",
		HUBSPOT_INPUT_NONE, 0, true, HUBSPOT_REPLY_SILENT
	},
	[HUBSPOT_LIMIT_PURGE] = {
		"limit_purge", "POST", HUBSPOT_ASSOCIATIONS, LIMITS_TAIL BATCH_TAIL "purge",
		HUBSPOT_INPUT_NONE, 0, true, HUBSPOT_REPLY_SILENT
	},
	[HUBSPOT_HIGH_USAGE_REPORT] = {
		"high_usage_report", "POST", HUBSPOT_ASSOCIATIONS, "usage/high-usage-report/{}",
		HUBSPOT_INPUT_NONE, 0, false, HUBSPOT_REPLY_REPORT
	},
	[HUBSPOT_RECORDS_READ] = {
		"records_read", "POST", HUBSPOT_RECORDS, READ_TAIL,
		HUBSPOT_INPUT_KEY, 100, true, HUBSPOT_REPLY_FOUND
	},
	[HUBSPOT_RECORDS_SEARCH] = {
		"records_search", "POST", HUBSPOT_RECORDS, SEARCH_TAIL,
		HUBSPOT_INPUT_KEY, 100, true, HUBSPOT_REPLY_FOUND
	},
	[HUBSPOT_PROPERTIES_LIST] = {
		"properties", "GET", HUBSPOT_PROPERTIES, "{}",
		HUBSPOT_INPUT_NONE, 0, true, HUBSPOT_REPLY_PROPERTIES
	},
	[HUBSPOT_ACCOUNT_DETAILS] = {
		"account", "GET", HUBSPOT_ACCOUNT_INFO, "details",
		HUBSPOT_INPUT_NONE, 0, true, HUBSPOT_REPLY_USAGE
	},
	[HUBSPOT_DAILY_USAGE] = {
		"quota", "GET", HUBSPOT_ACCOUNT_INFO, "api-usage/daily/private-apps",
		HUBSPOT_INPUT_NONE, 0, true, HUBSPOT_REPLY_USAGE
	},
	[HUBSPOT_CUSTOM_OBJECTS] = {
		"object_types", "GET", HUBSPOT_SCHEMAS, SCHEMAS_TAIL,
		HUBSPOT_INPUT_NONE, 0, true, HUBSPOT_REPLY_USAGE
	},
	[HUBSPOT_LABEL_USAGE_ALL] = {
		"label_usage", "GET", HUBSPOT_USAGE, LABEL_USAGE_TAIL,
		HUBSPOT_INPUT_NONE, 0, true, HUBSPOT_REPLY_USAGE
	},
	[HUBSPOT_LABEL_USAGE] = {
		"label_usage", "GET", HUBSPOT_USAGE, LABEL_USAGE_TAIL "?fromObjectTypeId={}&toObjectTypeId={}",
		HUBSPOT_INPUT_NONE, 0, true, HUBSPOT_REPLY_USAGE
	},
	[HUBSPOT_RECORD_USAGE] = {
		"records_near_limit", "GET", HUBSPOT_USAGE, RECORD_USAGE_TAIL,
		HUBSPOT_INPUT_NONE, 0, true, HUBSPOT_REPLY_USAGE
	},
	[HUBSPOT_RECORDS_LIST] = {
		"records_list", "GET", HUBSPOT_RECORDS, RECORDS_TAIL,
		HUBSPOT_INPUT_NONE, 0, true, HUBSPOT_REPLY_FOUND
	}
};

/* Each operation has a line, but those of no endpoint, which come last. */
StaticAssertDecl(lengthof(endpoints) == HUBSPOT_TOKEN, "an operation has no endpoint");

static void append_tail(StringInfo url, const char *tail, const char *const *arguments);

const HubspotEndpoint *
hubspot_endpoint(HubspotOperation operation)
{
	Assert((size_t) operation < lengthof(endpoints));
	return &endpoints[operation];
}

HubspotOperation
hubspot_endpoint_operation(const HubspotEndpoint *endpoint)
{
	return (HubspotOperation) (endpoint - endpoints);
}

/*
 * What an operation is called in figures, where one of a single input is not told from one
 * of many.  The names of those that the outbox has are the outbox's.
 */
const char *
hubspot_operation_name(HubspotOperation operation)
{
	switch (operation)
	{
		case HUBSPOT_TOKEN:
			return "token";
		case HUBSPOT_ANY_REQUEST:
			return "request";
		case HUBSPOT_UNKNOWN_OPERATION:
			return "unknown";
		default:
			return hubspot_endpoint(operation)->name;
	}
}

/* Does it change nothing in the account? */
bool
hubspot_endpoint_reads(const HubspotEndpoint *endpoint)
{
	return strcmp(endpoint->method, "GET") == 0 ||
		endpoint->reply_shape == HUBSPOT_REPLY_RECORDS ||
		endpoint->reply_shape == HUBSPOT_REPLY_FOUND;
}

/*
 * The same, of any request: HubSpot has searches, and reads of many records, that
 * are POSTs.
 */
bool
hubspot_request_reads(const char *method, const char *path)
{
	static const char *const reads[] = {"/search", "/batch/read"};
	size_t		len = strcspn(path, "?");

	if (strcmp(method, "GET") == 0)
		return true;
	for (size_t i = 0; i < lengthof(reads); i++)
	{
		size_t		tail = strlen(reads[i]);

		if (strcmp(method, "POST") == 0 && len >= tail &&
			strncmp(path + len - tail, reads[i], tail) == 0)
			return true;
	}
	return false;
}

/*
 * The size of the largest answer, in bytes, that HubSpot can give to a request
 * of that many inputs.  Only an answer to a read may be larger: it is then
 * asked for in parts.
 */
size_t
hubspot_max_reply(const HubspotEndpoint *endpoint, int ninputs)
{
	if (endpoint->reply_shape != HUBSPOT_REPLY_ENVELOPE &&
		endpoint->reply_shape != HUBSPOT_REPLY_PAIR &&
		endpoint->reply_shape != HUBSPOT_REPLY_SILENT)
		return MAX_REPLY;
	return Min(REPLY_BASE + REPLY_PER_INPUT * (size_t) ninputs, MAX_REPLY);
}

/*
 * Is it v4, a dated version (YYYY-03 or YYYY-09, from the first one on), or
 * the beta of one?
 */
bool
hubspot_is_api_version(const char *version)
{
	static const char shape[] = "dddd-dd";
	const char *rest;
	int			month;

	if (strcmp(version, UNDATED_VERSION) == 0)
		return true;
	if (strlen(version) < strlen(shape))
		return false;
	rest = version + strlen(shape);
	if (*rest != '\0' && strcmp(rest, BETA) != 0)
		return false;
	for (int i = 0; shape[i] != '\0'; i++)
	{
		if (shape[i] == 'd' ? !isdigit((unsigned char) version[i]) :
			version[i] != shape[i])
			return false;
	}
	month = atoi(version + 5);
	return (month == FIRST_VERSION_MONTH || month == SECOND_VERSION_MONTH) &&
		strcmp(version, FIRST_DATED_VERSION) >= 0;
}

/* The Julian day on which a version ends, as far as HubSpot has said. */
int
hubspot_version_end(const char *version)
{
	int			nmonths;

	if (strcmp(version, UNDATED_VERSION) == 0)
		return UNDATED_END;
	nmonths = atoi(version) * MONTHS_PER_YEAR + atoi(version + 5) - 1 + VERSION_LIFE;
	return date2j(nmonths / MONTHS_PER_YEAR, nmonths % MONTHS_PER_YEAR + 1, 1);
}

/* The newest version that is certain to be out on a Julian day, palloc'd. */
char *
hubspot_newest_version(int day)
{
	int			year;
	int			month;
	int			mday;

	/* a version comes out in the course of its month */
	j2date(day, &year, &month, &mday);
	if (month <= FIRST_VERSION_MONTH)
		year--;
	return psprintf("%04d-%02d", year,
					month > FIRST_VERSION_MONTH && month <= SECOND_VERSION_MONTH ?
					FIRST_VERSION_MONTH : SECOND_VERSION_MONTH);
}

/*
 * Append the path of an endpoint, beginning with a slash; arguments, as many
 * as its tail has places, are percent-encoded.
 */
void
hubspot_append_path(StringInfo url, const HubspotEndpoint *endpoint,
					const char *version, const char *const *arguments)
{
	static const char *const trees[] = {
		[HUBSPOT_OBJECTS] = "/crm/objects",
		[HUBSPOT_ASSOCIATIONS] = "/crm/associations",
		[HUBSPOT_RECORDS] = "/crm/objects",
		[HUBSPOT_PROPERTIES] = "/crm/properties",
		[HUBSPOT_USAGE] = "/crm/limits",
		[HUBSPOT_ACCOUNT_INFO] = "/account-info",
		[HUBSPOT_SCHEMAS] = "/crm-object-schemas"
	};
	const char *tree = trees[endpoint->tree];
	bool		below_crm = endpoint->tree != HUBSPOT_ACCOUNT_INFO &&
	endpoint->tree != HUBSPOT_SCHEMAS;
	bool		undated = (strcmp(version, UNDATED_VERSION) == 0);

	if (undated && endpoint->tree != HUBSPOT_OBJECTS &&
		endpoint->tree != HUBSPOT_ASSOCIATIONS)
		version = OTHERS_OF_UNDATED;
	if (undated && below_crm)
		appendStringInfo(url, "/crm/%s%s/", version, tree + strlen("/crm"));
	else
		appendStringInfo(url, "%s/%s/", tree, version);
	append_tail(url, endpoint->tail, arguments);
}

/*
 * The same, for another path where HubSpot's documentation has two for one
 * thing: limits, of which the newest page about v4 gives another one.  False:
 * there is no other path.
 */
bool
hubspot_append_other_path(StringInfo url, const HubspotEndpoint *endpoint,
						  const char *version, const char *const *arguments)
{
	if (strcmp(version, UNDATED_VERSION) != 0 ||
		strncmp(endpoint->tail, LIMITS_TAIL, strlen(LIMITS_TAIL)) != 0)
		return false;
	appendStringInfo(url, "/crm/associations/%s/", version);
	append_tail(url, endpoint->tail, arguments);
	return true;
}

static void
append_tail(StringInfo url, const char *tail, const char *const *arguments)
{
	for (const char *p = tail; *p != '\0'; p++)
	{
		if (*p == '{')
		{
			hubspot_append_encoded(url, *arguments++);
			p++;
		}
		else
			appendStringInfoCharMacro(url, *p);
	}
}

/* Append the place in a list where the page that is wanted begins. */
void
hubspot_append_cursor(StringInfo url, const char *after)
{
	appendStringInfoString(url, "&after=");
	hubspot_append_encoded(url, after);
}

/*
 * The path that gives access tokens, beginning with a slash: that of the version, if it
 * has one; palloc'd.
 */
const char *
hubspot_token_path(const char *version)
{
	if (strcmp(version, UNDATED_VERSION) == 0 ||
		strcmp(version, FIRST_OAUTH_VERSION) < 0)
		return pstrdup("/oauth/v3/token");
	return psprintf("/oauth/%s/token", version);
}

/*
 * Append a text percent-encoded: as one segment of a path, or as a value of a
 * query or a form.
 */
void
hubspot_append_encoded(StringInfo url, const char *text)
{
	static const char hex[] = "0123456789ABCDEF";

	for (const unsigned char *p = (const unsigned char *) text; *p; p++)
	{
		if (*p < 0x80 && (isalnum(*p) || strchr("-._~", *p) != NULL))
			appendStringInfoCharMacro(url, *p);
		else
		{
			appendStringInfoCharMacro(url, '%');
			appendStringInfoCharMacro(url, hex[*p >> 4]);
			appendStringInfoCharMacro(url, hex[*p & 15]);
		}
	}
}

/*
 * Does a path have a segment "." or "..", percent-encoded or not, which would
 * make it another path?
 */
bool
hubspot_path_has_dots(const char *path)
{
	int			dots = 0;		/* dots in the segment so far; -1: it has
								 * other characters */

	for (const char *p = path;; p++)
	{
		if (*p == '/' || *p == '?' || *p == '\0')
		{
			if (dots == 1 || dots == 2)
				return true;
			if (*p != '/')
				return false;
			dots = 0;
		}
		else if (dots >= 0 && *p == '.')
			dots++;
		else if (dots >= 0 && pg_strncasecmp(p, "%2e", 3) == 0)
		{
			dots++;
			p += 2;
		}
		else
			dots = -1;
	}
}

/*
 * Why a text of that length cannot be an id or an object type, palloc'd, or
 * NULL if it can.  Only the shape is checked: HubSpot knows what exists.  "."
 * and ".." would make another path, however they are encoded.
 */
char *
hubspot_id_problem(const char *id, int len)
{
	if (len == 0)
		return pstrdup("it is empty");
	if (len <= MAX_ID_LEN && hubspot_all_digits(id, len))
		return NULL;
	if (len > MAX_ID_LEN)
		return psprintf("it is longer than %d characters", MAX_ID_LEN);
	if (id[0] == '.' && (len == 1 || (len == 2 && id[1] == '.')))
		return pstrdup("it is a path segment");
	for (int i = 0; i < len; i++)
	{
		if (id[i] <= ' ' || id[i] > '~')
			return pstrdup("it has a character that is white space or not printable ASCII");
	}
	return NULL;
}

/* Can it be a category?  New ones may come, so only the shape is checked. */
bool
hubspot_is_category(const char *category)
{
	size_t		len = strlen(category);

	for (size_t i = 0; i < len; i++)
	{
		if (!(category[i] >= 'A' && category[i] <= 'Z') && category[i] != '_')
			return false;
	}
	return len > 0 && len <= MAX_CATEGORY_LEN;
}
