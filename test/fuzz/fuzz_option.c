/*-------------------------------------------------------------------------
 *
 * fuzz_option.c
 *	  What users say: options, settings, paths, and what becomes of them.
 *
 * Input: lines "s name=value" (an option of the server), "m name=value" (of the
 * user mapping), "a hosts" (the setting hubspot_assoc.allowed_hosts), "p METHOD
 * path" (a request), "i type id type id" (ids in paths and bodies), "l label"
 * (texts in bodies), "u" (the user is not a superuser).  A URL is compared
 * with what libcurl takes it for.
 *
 * IDENTIFICATION
 *	  test/fuzz/fuzz_option.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>
#include <curl/curl.h>

#include "access/reloptions.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/guc.h"
#include "utils/syscache.h"

#include "fuzz.h"

#include "account/option.h"
#include "api/endpoint.h"
#include "api/request.h"
#include "base/host.h"
#include "base/setting.h"
#include "call/call.h"
#include "json/text.h"
#include "rows/report.h"
#include "schema/origin.h"

extern Datum hs_assoc_fdw_validator(PG_FUNCTION_ARGS);
extern Datum hs_assoc_request(PG_FUNCTION_ARGS);

#define SERVER_OID	1
#define USER_OID	2

static ForeignServer server;
static UserMapping mapping;
static char **allowed_hosts;
static GucStringCheckHook check_allowed_hosts;
static bool is_superuser;
static const char *sent_path;
static HubspotHttpReply reply;

/*
 * The catalogs and the settings
 */
ForeignServer *
GetForeignServer(Oid oid)
{
	return &server;
}

UserMapping *
GetUserMapping(Oid user, Oid oid)
{
	return &mapping;
}

bool
SearchSysCacheExists(int cache, Datum key1, Datum key2, Datum key3, Datum key4)
{
	return DatumGetObjectId(key1) == USER_OID;
}

bool
superuser(void)
{
	return is_superuser;
}

List *
untransformRelOptions(Datum options)
{
	return (List *) DatumGetPointer(options);
}

void
DefineCustomStringVariable(const char *name, const char *short_text, const char *long_text,
						   char **value, const char *boot_value, GucContext context,
						   int flags, GucStringCheckHook check,
						   GucStringAssignHook assign, GucShowHook show)
{
	*value = unconstify(char *, boot_value);
	if (strcmp(name, "hubspot_assoc.allowed_hosts") == 0)
	{
		allowed_hosts = value;
		check_allowed_hosts = check;
	}
}

void
DefineCustomIntVariable(const char *name, const char *short_text, const char *long_text,
						int *value, int boot_value, int least, int most,
						GucContext context, int flags, GucIntCheckHook check,
						GucIntAssignHook assign, GucShowHook show)
{
	fuzz_check(*value == boot_value && least <= boot_value && boot_value <= most);
}

void
DefineCustomBoolVariable(const char *name, const char *short_text, const char *long_text,
						 bool *value, bool boot_value, GucContext context, int flags,
						 GucBoolCheckHook check, GucBoolAssignHook assign,
						 GucShowHook show)
{
	fuzz_check(*value == boot_value);
}

void
MarkGUCPrefixReserved(const char *prefix)
{
}

/* The database is not a copy. */
void
hubspot_origin_require(void)
{
}

/*
 * client.c's and call.c's
 */
HubspotClient *
hubspot_connect(const char *name)
{
	return palloc0(sizeof(HubspotClient));
}

void
hubspot_call_perform(const HubspotClient *client, HubspotCall *call)
{
	sent_path = call->path;
	call->reply = &reply;
	call->attempts = 1;
}

void
hubspot_call_free(HubspotCall *call)
{
}

HubspotDoubt
hubspot_call_doubt(const HubspotCall *call)
{
	return HUBSPOT_MAYBE_DONE;
}

void
hubspot_throw_error(const HubspotError *error, const char *what, HubspotDoubt doubt)
{
	fuzz_check(error == NULL);
	abort();
}

/* A part of a URL as libcurl sees it, malloc'd, or NULL: it takes it for none. */
static char *
curl_part(const char *url, CURLUPart part)
{
	CURLU	   *handle = curl_url();
	char	   *value = NULL;

	if (curl_url_set(handle, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK ||
		curl_url_get(handle, part, &value, 0) != CURLUE_OK)
		value = NULL;
	curl_url_cleanup(handle);
	return value;
}

/*
 * The host of a URL that was accepted is the one that libcurl would connect to.
 * Numbers that it takes for an address, in another form, are no host that a
 * list could allow.
 */
static void
check_url(const char *url, const char *host)
{
	char	   *real = curl_part(url, CURLUPART_HOST);
	char	   *user = curl_part(url, CURLUPART_USER);
	char	   *path = curl_part(url, CURLUPART_PATH);

	fuzz_check(user == NULL);
	fuzz_check(path == NULL || strcmp(path, "/") == 0);
	if (real && host[0] != '[' && !isdigit((unsigned char) host[0]))
		fuzz_check(pg_strcasecmp(real, host) == 0);
	if (real && hubspot_is_loopback(host))
		fuzz_check(strcmp(real, "[::1]") == 0 || strncmp(real, "127.", 4) == 0 ||
				   pg_strcasecmp(real, "localhost") == 0);
	curl_free(real);
	curl_free(user);
	curl_free(path);
}

/* Is the host in the list?  Written otherwise than in host.c. */
static bool
is_allowed(const char *host, const char *list)
{
	while (*list != '\0')
	{
		size_t		len = strcspn(list, ", \t\r\n");
		char	   *entry = pnstrdup(list, len);
		size_t		rest = strlen(host);

		if (len > 0 && entry[0] == '*')
		{
			while (rest > 0 && pg_strcasecmp(host + strlen(host) - rest, entry + 1) != 0)
				rest--;
			if (rest > 0 && rest < strlen(host))
				return true;
		}
		else if (len > 0 && pg_strcasecmp(host, entry) == 0)
			return true;
		list += len + (list[len] != '\0');
	}
	return false;
}

static void
validate(void *list)
{
	LOCAL_FCINFO(fcinfo, 2);
	bool		of_mapping = ((void **) list)[1] != NULL;

	InitFunctionCallInfoData(*fcinfo, NULL, 2, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = PointerGetDatum(((void **) list)[0]);
	fcinfo->args[1].value = ObjectIdGetDatum(of_mapping ? UserMappingRelationId : ForeignServerRelationId);
	(void) hs_assoc_fdw_validator(fcinfo);
}

static void
get_options(void *options)
{
	*(HubspotOptions **) options = hubspot_get_options(SERVER_OID, USER_OID);
}

static void
check_text(const char *text, char first)
{
	fuzz_check(text != NULL && text[0] != '\0');
	for (; *text != '\0'; text++)
		fuzz_check(*text >= first && *text <= '~');
}

/* Options that were accepted are usable. */
static void
check_options(void)
{
	HubspotOptions *options;
	static const char *const schemes[] = {"https", "http", NULL};
	static const char *const proxy_schemes[] = {"http", "https", "socks5h", NULL};
	const char *scheme;
	char	   *host;
	StringInfoData path;

	if (fuzz_throws(get_options, &options))
	{
		fuzz_check(fuzz_sqlstate == ERRCODE_INSUFFICIENT_PRIVILEGE ||
				   fuzz_sqlstate == ERRCODE_FDW_OPTION_NAME_NOT_FOUND);
		return;
	}
	host = hubspot_url_host(options->base_url, schemes, &scheme);
	fuzz_check(host != NULL);
	fuzz_check(options->base_url[strlen(options->base_url) - 1] != '/');
	fuzz_check(is_allowed(host, *allowed_hosts));
	fuzz_check(strcmp(scheme, "https") == 0 || hubspot_is_loopback(host));
	check_url(options->base_url, host);

	fuzz_check(options->connect_timeout >= 1 && options->connect_timeout <= 60 * 60 * 1000);
	fuzz_check(options->request_timeout >= 1 && options->request_timeout <= 60 * 60 * 1000);
	fuzz_check(options->max_retries >= 0 && options->max_retries <= 100);
	fuzz_check(options->max_retry_delay >= 1 && options->max_retry_delay <= 24 * 60 * 60 * 1000);
	fuzz_check(options->concurrency >= 1 && options->concurrency <= 64);
	fuzz_check(options->batch_size >= 0 && options->batch_size <= 2000);
	fuzz_check(options->rate_limit >= 0);
	fuzz_check(options->max_attempts >= 1 && options->max_attempts <= 1000);
	fuzz_check(options->key_cache >= 0 && options->key_cache <= 60 * 60 * 1000);
	fuzz_check(options->sent_retention >= 0);
	fuzz_check(options->history_retention >= 0 && options->history_retention <= 3660 * 24 * 60);
	fuzz_check(options->notify >= HUBSPOT_NOTIFY_OFF && options->notify <= HUBSPOT_NOTIFY_RECORDS);
	check_text(options->user_agent, ' ');
	if (options->proxy)
	{
		host = hubspot_url_host(options->proxy, proxy_schemes, &scheme);
		fuzz_check(host != NULL);
		check_url(options->proxy, host);
	}
	if (options->ca_file)
		fuzz_check(options->ca_file[0] == '/');
	if (options->access_token_file)
		fuzz_check(options->access_token_file[0] == '/');
	if (options->access_token)
		check_text(options->access_token, '!');
	if (options->client_id)
	{
		check_text(options->client_id, '!');
		check_text(options->client_secret, '!');
		check_text(options->refresh_token, '!');

		/* they stand in a form */
		initStringInfo(&path);
		hubspot_encode_refresh(&path, options->client_id, options->client_secret,
							   options->refresh_token);
		fuzz_check(strspn(path.data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
						  "0123456789-._~%=&") == (size_t) path.len);
	}
	fuzz_check(hubspot_is_api_version(options->api_version));
	initStringInfo(&path);
	hubspot_append_path(&path, hubspot_endpoint(HUBSPOT_LIMITS_ALL), options->api_version, NULL);
	fuzz_check(path.data[0] == '/' && strstr(path.data, "//") == NULL);
}

/* name=value: another option, if it is accepted together with those before. */
static void
add_option(HubspotSlice line, bool of_mapping)
{
	const char *equals = memchr(line.data, '=', line.len);
	List	  **list = of_mapping ? &mapping.options : &server.options;
	List	   *longer = NIL;
	void	   *argument[2];
	ListCell   *lc;
	DefElem    *def = palloc0(sizeof(DefElem));
	String	   *value = palloc0(sizeof(String));
	HubspotSlice rest;

	if (equals == NULL)
		return;
	rest.data = equals + 1;
	rest.len = line.data + line.len - rest.data;
	value->type = T_String;
	value->sval = hubspot_text_from_utf8(rest.data, strnlen(rest.data, rest.len));
	def->type = T_DefElem;

	/* an identifier, so no longer than one; what comes from SQL is valid */
	def->defname = hubspot_text_from_utf8(line.data, strnlen(line.data, equals - line.data));
	def->defname[pg_mbcliplen(def->defname, strlen(def->defname), NAMEDATALEN - 1)] = '\0';
	def->arg = (Node *) value;
	foreach(lc, *list)
	{
		/* it takes the place of the one of that name */
		if (strcmp(((DefElem *) lfirst(lc))->defname, def->defname) != 0)
			longer = lappend(longer, lfirst(lc));
	}
	longer = lappend(longer, def);
	argument[0] = longer;
	argument[1] = of_mapping ? argument : NULL;
	if (fuzz_throws(validate, argument))
		fuzz_check(fuzz_sqlstate == ERRCODE_FDW_INVALID_OPTION_NAME ||
				   fuzz_sqlstate == ERRCODE_INSUFFICIENT_PRIVILEGE);
	else
		*list = longer;
}

static void
set_hosts(HubspotSlice line)
{
	char	   *value = fuzz_text(line);
	char	   *entries = pstrdup(value);
	char	   *state = NULL;

	if (!check_allowed_hosts(&value, NULL, PGC_S_SESSION))
		return;
	*allowed_hosts = value;

	/* a pattern is never one of every host */
	for (char *entry = strtok_r(entries, ", \t\r\n", &state); entry != NULL;
		 entry = strtok_r(NULL, ", \t\r\n", &state))
	{
		fuzz_check(strcmp(entry, "*") != 0 && strcmp(entry, "*.") != 0);
		fuzz_check(strchr(entry + 1, '*') == NULL && strpbrk(entry, "/@?#\\%") == NULL);
	}
}

static void
request(void *arguments)
{
	LOCAL_FCINFO(fcinfo, 4);

	InitFunctionCallInfoData(*fcinfo, NULL, 4, InvalidOid, NULL, NULL);
	for (int i = 0; i < 4; i++)
	{
		const char *text = i < 2 ? ((char **) arguments)[i] : NULL;

		fcinfo->args[i].isnull = (text == NULL);
		if (text)
		{
			struct varlena *value = palloc(VARHDRSZ + strlen(text));

			SET_VARSIZE(value, VARHDRSZ + strlen(text));
			memcpy(VARDATA(value), text, strlen(text));
			fcinfo->args[i].value = PointerGetDatum(value);
		}
	}
	(void) hs_assoc_request(fcinfo);
}

/* A path stays what it is when libcurl has had it, and on the host. */
static void
check_path(const char *path)
{
	char	   *url = psprintf("https://api.hubapi.com%s", path);
	char	   *host = curl_part(url, CURLUPART_HOST);
	char	   *real = curl_part(url, CURLUPART_PATH);
	char	   *query = curl_part(url, CURLUPART_QUERY);
	char	   *fragment = curl_part(url, CURLUPART_FRAGMENT);
	char	   *user = curl_part(url, CURLUPART_USER);

	fuzz_check(host && strcmp(host, "api.hubapi.com") == 0);
	fuzz_check(user == NULL && fragment == NULL);
	fuzz_check(real && strncmp(path, real, strlen(real)) == 0);
	if (query)
		fuzz_check(strcmp(path + strlen(real), psprintf("?%s", query)) == 0);
	else
		fuzz_check(strcmp(path + strlen(real), "") == 0 || strcmp(path + strlen(real), "?") == 0);
	curl_free(host);
	curl_free(real);
	curl_free(query);
	curl_free(fragment);
	curl_free(user);
}

static void
pass_through(HubspotSlice line)
{
	char	   *arguments[2];

	arguments[0] = fuzz_word(&line);
	arguments[1] = fuzz_text(line);
	sent_path = NULL;
	if (fuzz_throws(request, arguments))
	{
		fuzz_check(sent_path == NULL);
		fuzz_check(fuzz_sqlstate == ERRCODE_INVALID_PARAMETER_VALUE ||
				   fuzz_sqlstate == ERRCODE_NULL_VALUE_NOT_ALLOWED);
	}
	else
	{
		fuzz_check(strcmp(sent_path, arguments[1]) == 0);
		check_path(sent_path);
	}
}

/* Ids in a path, each one segment of it, and in bodies. */
static void
encode_ids(HubspotSlice line)
{
	const char *words[4];
	HubspotInput *inputs = palloc0(3 * sizeof(HubspotInput));
	HubspotSlice after[3] = {0};
	HubspotTypeList *types = palloc(offsetof(HubspotTypeList, types) + sizeof(HubspotAssociationType));

	for (int i = 0; i < 4; i++)
	{
		words[i] = fuzz_word(&line);
		if (words[i] == NULL || hubspot_id_problem(words[i], strlen(words[i])))
			return;
	}
	types->ntypes = 1;
	types->types[0].category = "USER_DEFINED";
	types->types[0].type_id = INT_MAX;
	for (int i = 0; i < 3; i++)
	{
		inputs[i].from_id.data = words[i == 2 ? 3 : 1];
		inputs[i].from_id.len = strlen(inputs[i].from_id.data);
		inputs[i].to_id.data = words[3];
		inputs[i].to_id.len = strlen(words[3]);
		inputs[i].types = types;
	}
	after[1].data = words[2];
	after[1].len = strlen(words[2]);
	for (int operation = HUBSPOT_CREATE_DEFAULT; operation <= HUBSPOT_BATCH_READ; operation++)
	{
		const HubspotEndpoint *endpoint = hubspot_endpoint(operation);
		char	   *path = hubspot_request_path(endpoint, "2026-03", words[0], words[2], &inputs[0],
												after[0]);
		HubspotBody body;
		char	   *text;
		size_t		len;
		int			depth;

		check_path(path);
		hubspot_body_begin(&body, endpoint, 3);
		for (int i = 0; i < (endpoint->batch_limit > 0 ? 3 : 1); i++)
			hubspot_body_add(&body, &inputs[i], after[i]);
		text = hubspot_body_end(&body, &len);
		if (text)
			fuzz_check(strlen(text) == len && fuzz_json(text, len, &depth) != FUZZ_NO_JSON);
		fuzz_check(text || endpoint->batch_limit == 0);
		if (endpoint->batch_limit == 0 && endpoint->input_shape == HUBSPOT_INPUT_RECORD)
			check_path(hubspot_request_path(endpoint, "v4", words[0], words[2], &inputs[1], after[1]));
	}
}

static void
encode_label(HubspotSlice line)
{
	const char *label = fuzz_text(line);
	const char *bodies[3];
	int			depth;

	bodies[0] = hubspot_encode_label_create(label, "name", label);
	bodies[1] = hubspot_encode_label_update(INT_MIN, label, NULL);
	bodies[2] = hubspot_encode_limit(label, INT_MAX, line.len);
	for (int i = 0; i < 3; i++)
		fuzz_check(fuzz_json(bodies[i], strlen(bodies[i]), &depth) == FUZZ_JSON_OBJECT);
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	FuzzInput	input = {(const char *) data, (const char *) data + size};

	fuzz_begin('U');
	hubspot_define_settings();
	memset(&server, 0, sizeof(server));
	memset(&mapping, 0, sizeof(mapping));
	memset(&reply, 0, sizeof(reply));
	server.serverid = SERVER_OID;
	server.servername = "hubspot";
	reply.status = 200;
	is_superuser = true;
	while (input.p < input.end)
	{
		HubspotSlice line = fuzz_line(&input);
		char		kind = line.len >= 2 && line.data[1] == ' ' ? line.data[0] : '\0';

		if (kind == '\0')
			continue;
		line.data += 2;
		line.len -= 2;
		if (kind == 's' || kind == 'm')
			add_option(line, kind == 'm');
		else if (kind == 'a')
			set_hosts(line);
		else if (kind == 'p')
			pass_through(line);
		else if (kind == 'i')
			encode_ids(line);
		else if (kind == 'l')
			encode_label(line);
		else if (kind == 'u')
			is_superuser = false;
	}
	check_options();
	fuzz_end();
	return 0;
}
