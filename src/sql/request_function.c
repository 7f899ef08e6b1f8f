/*-------------------------------------------------------------------------
 *
 * request_function.c
 *	  The SQL function for the rest of the API: one request, one answer.
 *
 * IDENTIFICATION
 *	  src/sql/request_function.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/jsonb.h"

#include "account/client.h"
#include "api/endpoint.h"
#include "api/error.h"
#include "base/shown.h"
#include "call/call.h"
#include "call/perform.h"
#include "json/jsonb.h"
#include "json/text.h"
#include "rows/report.h"
#include "schema/origin.h"
#include "sql/argument.h"

/* One header while its object is being made. */
typedef struct Header
{
	char	   *name;			/* in lower case */
	char	   *value;
	int			no;				/* its place in the order of arrival */
} Header;

typedef struct Headers
{
	Header	   *headers;
	int			n;
	int			max;			/* for how many there is room */
} Headers;

/* A longer path is refused, as HubSpot would do. */
#define MAX_PATH_LEN	(16 * 1024)

#define METHOD_HINT	"It must be GET, POST, PUT, PATCH or DELETE."
#define PATH_HINT \
	"It must begin with a single slash, be percent-encoded, and have no fragment and no segment \".\" or \"..\"."

PG_FUNCTION_INFO_V1(hs_assoc_request);

static void check_request(const char *method, const char *path);
static HubspotCall *perform(const HubspotClient *client,
							const char *method, const char *path,
							Jsonb *body);
static Jsonb *headers_jsonb(const HubspotHttpReply *reply);
static void push_text(JsonbParseState **builder, JsonbIteratorToken token,
					  const char *text);
static void add_header(void *state, HubspotSlice name, HubspotSlice value);
static int	compare_headers(const void *a, const void *b);

/*
 * hs_assoc_request(method, path, body, server, OUT http_status, OUT headers,
 * OUT body): any one request to the account's own host.
 *
 * Returns whatever was answered, even an HTTP error.  No answer at all, or one
 * that cannot be read, is an ERROR (08006 or 08P01).  From a copy of a database
 * only reads are sent.
 */
Datum
hs_assoc_request(PG_FUNCTION_ARGS)
{
	char	   *method;
	char	   *path;
	Jsonb	   *body = PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2);
	const HubspotClient *client;
	HubspotCall *call;
	HubspotSlice reply_body;
	TupleDesc	tupdesc;
	Datum		values[3];
	bool		isnull[3] = {false};
	Datum		result;

	method = hubspot_text_argument(fcinfo, 0, "method", METHOD_HINT);
	method = asc_toupper(method, strlen(method));
	path = hubspot_text_argument(fcinfo, 1, "path", PATH_HINT);
	check_request(method, path);
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	if (!hubspot_request_reads(method, path))
		hubspot_origin_require();
	client = hubspot_connect(hubspot_server_argument(fcinfo, 3));
	call = perform(client, method, path, body);
	if (call->error || call->reply->failure != HUBSPOT_HTTP_OK)
		hubspot_throw_error(call->error ? call->error :
							hubspot_reply_error(call->reply, call->attempts),
							psprintf("could not get an answer to %s %s", method,
									 hubspot_shown(path)),
							hubspot_call_doubt(call));

	reply_body.data = call->reply->body;
	reply_body.len = (int) call->reply->body_len;
	body = hubspot_json_to_jsonb(reply_body);
	values[0] = Int32GetDatum(call->reply->status);
	values[1] = JsonbPGetDatum(headers_jsonb(call->reply));
	values[2] = JsonbPGetDatum(body);
	isnull[2] = (body == NULL);
	result = HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc),
											   values, isnull));
	hubspot_call_free(call);
	PG_RETURN_DATUM(result);
}

/*
 * The method must be one that libcurl sends unchanged, and the path must stay
 * on the host, and be what it looks like.
 */
static void
check_request(const char *method, const char *path)
{
	static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
	size_t		i;

	for (i = 0; i < lengthof(methods); i++)
	{
		if (strcmp(methods[i], method) == 0)
			break;
	}
	if (i == lengthof(methods))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid method \"%s\"", hubspot_shown(method)),
				 errhint(METHOD_HINT)));

	for (i = 0; path[i] > ' ' && path[i] <= '~' && path[i] != '#' && path[i] != '\\'; i++)
		;
	if (path[0] != '/' || path[1] == '/' || path[i] != '\0' ||
		hubspot_path_has_dots(path))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid path \"%s\"", hubspot_shown(path)),
				 errhint(PATH_HINT)));
	if (i > MAX_PATH_LEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("path \"%s\" is too long", hubspot_shown(path)),
				 errdetail("It has %zu bytes; the limit is %d.", i, MAX_PATH_LEN)));
}

/* Send one call and wait until it has come back. */
static HubspotCall *
perform(const HubspotClient *client, const char *method,
		const char *path, Jsonb *body)
{
	HubspotCall *call = palloc0(sizeof(HubspotCall));

	call->method = method;
	call->operation = HUBSPOT_ANY_REQUEST;
	call->path = path;
	call->repeatable = (strcmp(method, "GET") == 0 ||
						strcmp(method, "PUT") == 0 ||
						strcmp(method, "DELETE") == 0);
	if (body)
	{
		char	   *json = JsonbToCString(NULL, &body->root, VARSIZE(body));

		call->body = pg_server_to_any(json, strlen(json), PG_UTF8);
		call->body_len = strlen(call->body);
	}
	hubspot_call_perform(client, call);
	return call;
}

/*
 * The headers as an object.  The values of one that comes more than once are
 * joined by commas.
 */
static Jsonb *
headers_jsonb(const HubspotHttpReply *reply)
{
	JsonbParseState *builder = NULL;
	Headers		all = {NULL, 0, 16};
	StringInfoData values;

	all.headers = palloc(sizeof(Header) * all.max);
	hubspot_each_header(reply, &all, add_header);
	qsort(all.headers, all.n, sizeof(Header), compare_headers);

	initStringInfo(&values);
	(void) pushJsonbValue(&builder, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < all.n;)
	{
		const char *name = all.headers[i].name;

		resetStringInfo(&values);
		appendStringInfoString(&values, all.headers[i].value);
		while (++i < all.n && strcmp(all.headers[i].name, name) == 0)
			appendStringInfo(&values, ", %s", all.headers[i].value);
		push_text(&builder, WJB_KEY, name);
		push_text(&builder, WJB_VALUE, pstrdup(values.data));
	}
	return JsonbValueToJsonb(pushJsonbValue(&builder, WJB_END_OBJECT, NULL));
}

static void
push_text(JsonbParseState **builder, JsonbIteratorToken token, const char *text)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, text);
	value.val.string.len = strlen(text);
	(void) pushJsonbValue(builder, token, &value);
}

static void
add_header(void *state, HubspotSlice name, HubspotSlice value)
{
	Headers    *all = state;
	Header	   *header;
	char	   *given = hubspot_text_from_utf8(name.data, name.len);

	if (all->n == all->max)
	{
		all->max *= 2;
		all->headers = repalloc(all->headers, sizeof(Header) * all->max);
	}
	header = &all->headers[all->n];
	header->name = asc_tolower(given, strlen(given));
	header->value = hubspot_text_from_utf8(value.data, value.len);
	header->no = all->n++;
	pfree(given);
}

/* By name; headers of the same name in the order in which they came. */
static int
compare_headers(const void *a, const void *b)
{
	const Header *left = a;
	const Header *right = b;
	int			result = strcmp(left->name, right->name);

	return result != 0 ? result : left->no - right->no;
}
