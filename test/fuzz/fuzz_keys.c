/*-------------------------------------------------------------------------
 *
 * fuzz_keys.c
 *	  What an answer to a look-up says of the keys that were asked for.
 *
 * Input: a line of letters: of the question, r(ead) or s(earch), of the object type, e(-mails),
 * x (exactly), i(ds), n(ames of ids), and of the encoding; a line of keys with tabs between them;
 * then an answer as fuzz_reply() reads it.  What cannot be a key is left out.
 *
 * IDENTIFICATION
 *	  test/fuzz/fuzz_keys.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "fuzz.h"

#include "api/endpoint.h"
#include "api/record.h"
#include "call/key_match.h"

#define MAX_KEYS	100

static const HubspotObjectType types[] = {
	{"contacts", "email", true, NULL},
	{"deals", "sku", false, NULL},
	{"contacts", NULL, false, NULL},
	{"contacts", NULL, false, "email"}
};

/* The letters that choose one of them. */
static const char kinds[] = "exin";

/* The keys of a line, each once; how many there are. */
static int
read_keys(HubspotKeys *keys, HubspotSlice line, HubspotKey **asked)
{
	const HubspotObjectType *type = hubspot_keys_type(keys);
	int			nasked = 0;

	while (line.len > 0 && nasked < MAX_KEYS)
	{
		const char *tab = memchr(line.data, '\t', line.len);
		HubspotSlice given = {line.data, tab ? tab - line.data : line.len};
		HubspotKey *key;

		line.data += given.len + 1;
		line.len -= Min(given.len + 1, line.len);
		/* the server checks its texts when they come */
		if (pg_encoding_verifymbstr(GetDatabaseEncoding(), given.data,
									given.len) != given.len)
			continue;
		if (type->property ? hubspot_key_problem(given) != NULL :
			hubspot_id_problem(given.data, given.len) != NULL)
			continue;
		key = hubspot_keys_get(keys, given);
		fuzz_check(key->len > 0 && key->len <= HUBSPOT_NORMAL_SIZE);
		if (key->state != HUBSPOT_KEY_UNKNOWN)
			continue;
		key->state = HUBSPOT_KEY_ASKED;
		asked[nasked++] = key;
	}
	for (int i = 0; i < nasked; i++)
		asked[i]->answer.asker = asked;
	return nasked;
}

static void
check_candidates(const HubspotCandidates *candidates)
{
	fuzz_check(candidates->nids >= 1 && candidates->nids <= HUBSPOT_MAX_CANDIDATES);
	fuzz_check(candidates->total >= candidates->nids);
	for (int i = 0; i < candidates->nids; i++)
		fuzz_check(hubspot_id_problem(candidates->ids[i].data, candidates->ids[i].len) == NULL);
	fuzz_check_text(hubspot_encode_candidates(candidates->ids, candidates->nids,
											  candidates->total, candidates->more));
}

static void
check_key(HubspotKeys *keys, HubspotKey *key, bool search)
{
	HubspotSlice found;

	switch ((HubspotKeyState) key->state)
	{
		case HUBSPOT_KEY_FOUND:
			found = hubspot_key_record(key);
			if (hubspot_keys_type(keys)->shows)
				fuzz_check_text(fuzz_text(found));
			else
				fuzz_check(hubspot_id_problem(found.data, found.len) == NULL);
			break;
		case HUBSPOT_KEY_AMBIGUOUS:
			fuzz_check(key->answer.candidates != NULL);
			check_candidates(key->answer.candidates);
			break;
		case HUBSPOT_KEY_MISSING:
		case HUBSPOT_KEY_NOT_INDEXED:
			fuzz_check(search || key->state == HUBSPOT_KEY_MISSING);
			if (key->answer.candidates)
				check_candidates(key->answer.candidates);
			break;
		case HUBSPOT_KEY_FAILED:
			fuzz_check_error(hubspot_key_failure(key));
			fuzz_check(strcmp(hubspot_key_failure(key)->category, HUBSPOT_NOT_SENT) == 0);
			break;
		default:
			fuzz_check(false);
	}
	while (key->nrows > 0)
		hubspot_key_release(keys, key);
	fuzz_check(key->state != HUBSPOT_KEY_FAILED);
}

/* What became of a key, in words. */
static void
say_key(StringInfo said, const HubspotKey *key)
{
	appendStringInfo(said, "%.*s: %d", key->len, key->text, key->state);
	if (key->state == HUBSPOT_KEY_FOUND)
	{
		HubspotSlice found = hubspot_key_record(key);

		appendStringInfo(said, " %.*s", found.len, found.data);
	}
	else if (key->state == HUBSPOT_KEY_FAILED)
		appendStringInfo(said, " %s", hubspot_key_failure(key)->message);
	else if (key->state != HUBSPOT_KEY_ASKED && key->answer.candidates)
	{
		const HubspotCandidates *candidates = key->answer.candidates;

		appendStringInfo(said, " " INT64_FORMAT " %d %d", candidates->total, candidates->more,
						 candidates->near);
		for (int i = 0; i < candidates->nids; i++)
			appendStringInfo(said, " %.*s", candidates->ids[i].len, candidates->ids[i].data);
	}
	appendStringInfoChar(said, '\n');
}

/* Ask for the keys of a line: what becomes of them, in words, palloc'd. */
static char *
ask(const HubspotObjectType *type, HubspotSlice line, bool search, const HubspotHttpReply *reply)
{
	HubspotKey *asked[MAX_KEYS];
	HubspotKey *all[MAX_KEYS];
	HubspotKeyQuestion question;
	StringInfoData said;
	int			nleft;

	initStringInfo(&said);
	question.keys = hubspot_keys_create(CurrentMemoryContext, type);
	question.nasked = read_keys(question.keys, line, asked);
	question.asked = asked;
	question.search = search;
	if (question.nasked == 0)
		return said.data;
	memcpy(all, asked, sizeof(all));
	nleft = hubspot_match_keys(&question, reply);
	fuzz_check(nleft >= -1 && nleft <= question.nasked);
	fuzz_check(nleft <= 0 || question.nasked > 1);
	for (int i = 0; i < question.nasked; i++)
	{
		/* those that are left come first, and nobody else is open */
		fuzz_check((asked[i]->state == HUBSPOT_KEY_ASKED) == (i < nleft));
		say_key(&said, all[i]);
		if (all[i]->state != HUBSPOT_KEY_ASKED)
			check_key(question.keys, all[i], search);
	}
	return said.data;
}

int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	FuzzInput	input = {(const char *) data, (const char *) data + size};
	HubspotSlice line = fuzz_line(&input);
	bool		search = (fuzz_choice(&line, "rs") == 's');
	const HubspotObjectType *type = &types[strchr(kinds, fuzz_choice(&line, kinds)) - kinds];
	HubspotHttpReply reply;
	HubspotSlice keys;
	List	   *names;
	char	   *said;
	int			depth;

	fuzz_begin(fuzz_choice(&line, "ULA"));
	keys = fuzz_line(&input);
	fuzz_reply(&input, &reply);
	if (hubspot_read_property_names(&reply, &names))
		fuzz_check(fuzz_json(reply.body, reply.body_len, &depth) == FUZZ_JSON_OBJECT);
	said = ask(type, keys, search, &reply);

	/* a record that is like another one says what it says alone */
	if (fuzz_json(reply.body, reply.body_len, &depth) == FUZZ_JSON_OBJECT)
	{
		HubspotHttpReply other;

		fuzz_spread(&reply, &other);
		fuzz_check(strcmp(ask(type, keys, search, &other), said) == 0);
	}
	fuzz_end();
	return 0;
}
