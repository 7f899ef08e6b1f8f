/*-------------------------------------------------------------------------
 *
 * lookup.c
 *	  Look-ups: HubSpot is asked for the records of keys.
 *
 * If the values of a property are unique, records can be read by them.  Otherwise they have
 * to be searched for, and searches have a rate limit of their own, and an index that is
 * some seconds late.  HubSpot's answers tell which of the two a property needs, and the
 * session remembers it (key_way.c).  Until it is known, one look-up is in flight at a time:
 * first a read; then a search, if HubSpot refuses to read by the property.  If HubSpot
 * refuses the search, too, and has no such property, no key of it is asked for any more.
 * If it has, some of the keys may be the reason: they are asked for in halves, until
 * MAX_REFUSED_ALONE keys were refused alone, and no request was answered.
 *
 * A request asks for as many keys as it may hold, and for fewer only if nothing can go on
 * without them.  What an answer leaves open (key_match.c) is asked for again: all of it, if
 * the answer has settled any key, else in halves.
 *
 * The calls are those of the statement, so that look-ups are in flight beside others,
 * within its concurrency.
 *
 * IDENTIFICATION
 *	  src/call/lookup.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "lib/stringinfo.h"
#include "utils/memutils.h"

#include "api/endpoint.h"
#include "api/error.h"
#include "api/record.h"
#include "base/fold.h"
#include "call/key_match.h"
#include "call/key_way.h"
#include "call/lookup.h"
#include "call/perform.h"

/* If HubSpot refuses this many keys alone, and answers none, they are not the reason. */
#define MAX_REFUSED_ALONE	8

/* Look-ups that may be in flight or wait for their turn, beside the concurrency. */
#define SPARE_LOOKUPS	2

#define FIRST_KEYS		64

/* What is asked. */
typedef enum Question
{
	ASKS_READ,
	ASKS_SEARCH,
	ASKS_PROPERTIES				/* which properties exist, since ours is
								 * refused */
} Question;

/* One request and its keys, in a memory context of its own. */
typedef struct Lookup
{
	HubspotCall call;			/* must be first */
	dlist_node	node;			/* while it waits for others */
	MemoryContext context;
	HubspotLookups *lookups;
	Question	question;
	int			nkeys;
	HubspotKey **keys;
	const HubspotError *refusal;	/* of ASKS_PROPERTIES: the refusal that
									 * has led to it */
} Lookup;

struct HubspotLookups
{
	MemoryContext context;
	const HubspotClient *client;
	HubspotCalls *calls;
	HubspotKeys *keys;
	const HubspotObjectType *type;
	HubspotKeyWay way;
	bool		remembered;		/* the session remembers the way, and no
								 * answer has confirmed it since */
	bool		answered;		/* some keys were asked for, with success */
	bool		exists;			/* HubSpot has the property */
	int			nalone;			/* keys that HubSpot has refused alone,
								 * without an answer to any */
	int			limit;			/* keys of a request */
	HubspotKey **added;			/* keys that are to be asked for */
	int			nadded;
	int			maxadded;
	dlist_head	waiting;		/* look-ups that are made, and not started */
	int			nstarted;		/* look-ups that were started and have not
								 * come back */
	const HubspotError *refused;	/* why no key of the type is asked for */
	const HubspotError *stopped;	/* why nothing more is sent at all */
};

static void learn(HubspotLookups *lookups, HubspotKeyWay way);
static bool may_start(const HubspotLookups *lookups);
static Question question_of(const HubspotLookups *lookups);
static Lookup *make_lookup(HubspotLookups *lookups, Question question,
						   HubspotKey **keys, int nkeys);
static void start_lookup(Lookup *lookup);
static void encode_lookup(Lookup *lookup);
static HubspotSlice *distinct_values(const Lookup *lookup, int *nvalues);
static void take_lookup(HubspotCall *call);
static void take_answer(Lookup *lookup);
static void ask_again(Lookup *lookup, int nkeys, bool in_halves);
static void take_failure(Lookup *lookup, const HubspotError *error);
static void take_refusal(Lookup *lookup, const HubspotError *error);
static void blame_keys(Lookup *lookup, const HubspotError *error);
static bool tells_of_property(const HubspotError *error);
static bool is_last_word(const Lookup *lookup, const HubspotError *error);
static void take_properties(Lookup *lookup);
static void refuse_type(Lookup *lookup, const HubspotError *error);
static void fail(Lookup *lookup, const HubspotError *error);

/*
 * Begin in a memory context; deleting the context ends it.  The client, the calls and the
 * keys have to live as long.
 */
HubspotLookups *
hubspot_lookups_create(MemoryContext context, const HubspotClient *client,
					   HubspotCalls *calls, HubspotKeys *keys)
{
	HubspotLookups *lookups = MemoryContextAllocZero(context, sizeof(HubspotLookups));
	const HubspotEndpoint *endpoint = hubspot_endpoint(HUBSPOT_RECORDS_READ);
	HubspotKeyWay before;

	lookups->context = context;
	lookups->client = client;
	lookups->calls = calls;
	lookups->keys = keys;
	lookups->type = hubspot_keys_type(keys);
	lookups->limit = endpoint->batch_limit;
	if (client->policy.batch_size > 0)
		lookups->limit = Min(lookups->limit, client->policy.batch_size);
	dlist_init(&lookups->waiting);
	if (hubspot_is_unique_key(lookups->type))
		lookups->way = HUBSPOT_WAY_READ;
	if (lookups->type->property == NULL)
		return lookups;
	before = hubspot_known_way(client->options->server, lookups->type);
	if (before != HUBSPOT_WAY_UNKNOWN)
	{
		lookups->remembered = (lookups->way != before);
		lookups->way = before;
	}
	return lookups;
}

/* An answer shows how keys of the property are found: the session remembers it. */
static void
learn(HubspotLookups *lookups, HubspotKeyWay way)
{
	lookups->remembered = false;
	if (lookups->way == way)
		return;
	lookups->way = way;
	hubspot_remember_way(lookups->client->options->server, lookups->type, way);
}

/*
 * Have an UNKNOWN key asked for.  If HubSpot has refused all keys of its type, it is settled
 * with that at once.
 */
void
hubspot_lookups_add(HubspotLookups *lookups, HubspotKey *key)
{
	Assert(key->state == HUBSPOT_KEY_UNKNOWN);
	if (lookups->refused)
	{
		hubspot_key_set_failed(lookups->keys, &key, 1, lookups->refused);
		return;
	}
	if (lookups->nadded == lookups->maxadded)
	{
		lookups->maxadded = Max(2 * lookups->maxadded, FIRST_KEYS);
		if (lookups->added == NULL)
			lookups->added = MemoryContextAlloc(lookups->context,
												sizeof(HubspotKey *) * lookups->maxadded);
		else
			lookups->added = repalloc(lookups->added,
									  sizeof(HubspotKey *) * lookups->maxadded);
	}
	key->state = HUBSPOT_KEY_ASKED;
	key->answer.asker = NULL;
	lookups->added[lookups->nadded++] = key;
	if (lookups->nadded >= lookups->limit)
		hubspot_lookups_start(lookups, false);
}

/*
 * Send the requests that may be sent now: full ones, and if all, a last one that is not
 * full, because the batch cannot go on before some of its keys are known.
 */
void
hubspot_lookups_start(HubspotLookups *lookups, bool all)
{
	int			next = 0;

	while (may_start(lookups) && !dlist_is_empty(&lookups->waiting))
		start_lookup(dlist_container(Lookup, node,
									 dlist_pop_head_node(&lookups->waiting)));
	while (may_start(lookups) && next < lookups->nadded &&
		   (all || lookups->nadded - next >= lookups->limit))
	{
		int			nkeys = Min(lookups->limit, lookups->nadded - next);

		start_lookup(make_lookup(lookups, question_of(lookups),
								 &lookups->added[next], nkeys));
		next += nkeys;
	}
	if (next == 0)
		return;
	lookups->nadded -= next;
	memmove(lookups->added, lookups->added + next, sizeof(HubspotKey *) * lookups->nadded);
}

/* May another look-up be sent?  Only one at a time, until it is known how to ask. */
static bool
may_start(const HubspotLookups *lookups)
{
	if (lookups->way == HUBSPOT_WAY_UNKNOWN)
		return lookups->nstarted == 0;
	return lookups->nstarted < lookups->client->options->concurrency + SPARE_LOOKUPS;
}

static Question
question_of(const HubspotLookups *lookups)
{
	return lookups->way == HUBSPOT_WAY_SEARCH ? ASKS_SEARCH : ASKS_READ;
}

/* Why nothing more is sent: the account was refused, or its quota is gone; or NULL. */
const HubspotError *
hubspot_lookups_stopped(const HubspotLookups *lookups)
{
	return lookups->stopped;
}

static Lookup *
make_lookup(HubspotLookups *lookups, Question question, HubspotKey **keys, int nkeys)
{
	MemoryContext context = AllocSetContextCreate(lookups->context,
												  "hubspot_assoc look-up of keys",
												  ALLOCSET_SMALL_SIZES);
	Lookup	   *lookup = MemoryContextAllocZero(context, sizeof(Lookup));

	lookup->context = context;
	lookup->lookups = lookups;
	lookup->question = question;
	lookup->nkeys = nkeys;
	lookup->keys = MemoryContextAlloc(context, sizeof(HubspotKey *) * Max(nkeys, 1));
	for (int i = 0; i < nkeys; i++)
	{
		lookup->keys[i] = keys[i];
		keys[i]->answer.asker = lookup->keys;
	}
	return lookup;
}

static void
start_lookup(Lookup *lookup)
{
	HubspotLookups *lookups = lookup->lookups;
	MemoryContext old = MemoryContextSwitchTo(lookup->context);

	encode_lookup(lookup);
	lookup->call.repeatable = true;
	lookup->call.take = take_lookup;
	lookups->nstarted++;
	hubspot_calls_start(lookups->calls, &lookup->call);
	MemoryContextSwitchTo(old);
}

static void
encode_lookup(Lookup *lookup)
{
	static const HubspotOperation operations[] = {
		[ASKS_READ] = HUBSPOT_RECORDS_READ,
		[ASKS_SEARCH] = HUBSPOT_RECORDS_SEARCH,
		[ASKS_PROPERTIES] = HUBSPOT_PROPERTIES_LIST
	};
	const HubspotEndpoint *endpoint = hubspot_endpoint(operations[lookup->question]);
	const HubspotLookups *lookups = lookup->lookups;
	const char *arguments[] = {lookups->type->name};
	HubspotSlice *values;
	int			nvalues;
	StringInfoData path;

	initStringInfo(&path);
	hubspot_append_path(&path, endpoint, lookups->client->options->api_version, arguments);
	lookup->call.method = endpoint->method;
	lookup->call.operation = hubspot_endpoint_operation(endpoint);
	lookup->call.path = path.data;
	lookup->call.max_reply = hubspot_max_reply(endpoint, lookup->nkeys);
	lookup->call.search = (lookup->question == ASKS_SEARCH);
	if (lookup->question == ASKS_PROPERTIES)
		return;
	values = distinct_values(lookup, &nvalues);
	if (lookup->question == ASKS_SEARCH)
		lookup->call.body = hubspot_encode_records_search(lookups->type, values, nvalues,
														  &lookup->call.body_len);
	else
		lookup->call.body = hubspot_encode_records_read(lookups->type, values, nvalues,
														&lookup->call.body_len);
}

/*
 * The keys of a look-up as HubSpot is asked for them, palloc'd.  The index that it searches
 * has all values in lower case, so that several keys may be one there.
 */
static HubspotSlice *
distinct_values(const Lookup *lookup, int *nvalues)
{
	HubspotSlice *values = palloc(sizeof(HubspotSlice) * lookup->nkeys);
	bool		folds = (lookup->question == ASKS_SEARCH && !lookup->lookups->type->folds);

	*nvalues = 0;
	for (int i = 0; i < lookup->nkeys; i++)
	{
		HubspotSlice value = hubspot_key_text(lookup->keys[i]);
		int			n = 0;

		if (folds)
		{
			char	   *folded = palloc(HUBSPOT_FOLDED_SIZE(value.len));

			value.len = hubspot_lower_utf8(value.data, value.len, folded);
			value.data = folded;
			while (n < *nvalues && !hubspot_same_id(values[n], value))
				n++;
		}
		else
			n = *nvalues;
		if (n == *nvalues)
			values[(*nvalues)++] = value;
	}
	return values;
}

/* A look-up has come back, or could not be sent. */
static void
take_lookup(HubspotCall *call)
{
	Lookup	   *lookup = (Lookup *) call;
	HubspotLookups *lookups = lookup->lookups;
	MemoryContext old = MemoryContextSwitchTo(lookup->context);

	lookups->nstarted--;
	if (call->reply == NULL && call->error == NULL)
		fail(lookup, hubspot_error_after(hubspot_call_unsent(lookups->calls, call)));
	else
	{
		const HubspotError *error = hubspot_call_error(call);

		if (lookup->question == ASKS_PROPERTIES && (error == NULL || is_last_word(lookup, error)))
			take_properties(lookup);
		else if (error)
			take_failure(lookup, error);
		else
			take_answer(lookup);
	}
	hubspot_call_free(call);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(lookup->context);
	hubspot_lookups_start(lookups, false);
}

static void
take_answer(Lookup *lookup)
{
	HubspotLookups *lookups = lookup->lookups;
	HubspotKeyQuestion question = {lookups->keys, lookup->keys, lookup->nkeys,
	lookup->question == ASKS_SEARCH};
	int			nkeys = lookup->nkeys;
	int			nleft;

	nleft = hubspot_match_keys(&question, lookup->call.reply);
	lookups->answered |= (nleft >= 0);
	if (nleft >= 0 && lookups->type->property)
		learn(lookups, question.search ? HUBSPOT_WAY_SEARCH : HUBSPOT_WAY_READ);
	if (nleft > 0)
		ask_again(lookup, nleft, nleft == nkeys);
}

/* Ask once more for the first keys of a look-up. */
static void
ask_again(Lookup *lookup, int nkeys, bool in_halves)
{
	HubspotLookups *lookups = lookup->lookups;
	int			first = in_halves ? (nkeys + 1) / 2 : nkeys;
	Lookup	   *next;

	Assert(!in_halves || nkeys > 1);

	/* the first half goes first, down to one key, whose answer tells most */
	if (first < nkeys)
	{
		next = make_lookup(lookups, question_of(lookups), lookup->keys + first, nkeys - first);
		dlist_push_head(&lookups->waiting, &next->node);
	}
	next = make_lookup(lookups, question_of(lookups), lookup->keys, first);
	dlist_push_head(&lookups->waiting, &next->node);
}

/* Take a failure: is it due to the keys, the property, or something else? */
static void
take_failure(Lookup *lookup, const HubspotError *error)
{
	HubspotLookups *lookups = lookup->lookups;
	const HubspotHttpReply *reply = lookup->call.reply;

	if (hubspot_ends_sending(error->verdict))
	{
		MemoryContext old = MemoryContextSwitchTo(lookups->context);

		if (lookups->stopped == NULL)
			lookups->stopped = hubspot_copy_error(error);
		MemoryContextSwitchTo(old);
		fail(lookup, error);
	}
	else if (reply && (reply->failure == HUBSPOT_HTTP_TOO_LARGE ||
					   hubspot_reply_is_too_large(reply)) && lookup->nkeys > 1)
		ask_again(lookup, lookup->nkeys, true);
	else if (error->verdict == HUBSPOT_VERDICT_INPUT || error->verdict == HUBSPOT_VERDICT_REQUEST)
		take_refusal(lookup, error);
	else
		fail(lookup, error);
}

/*
 * HubSpot refuses what it was asked for.  If this statement has found keys in the same way
 * before, some of these keys are to blame.  If only an earlier statement has, the property
 * or the account may have changed.
 */
static void
take_refusal(Lookup *lookup, const HubspotError *error)
{
	HubspotLookups *lookups = lookup->lookups;
	const HubspotObjectType *type = lookups->type;
	bool		known_way = !lookups->remembered && lookups->way ==
	(lookup->question == ASKS_SEARCH ? HUBSPOT_WAY_SEARCH : HUBSPOT_WAY_READ);
	bool		blames_keys;

	/* it may be the property that records are to be shown by */
	if (type->shows && !lookups->answered)
		known_way = false;
	blames_keys = (known_way || lookups->exists) &&
		!(lookup->question == ASKS_READ && tells_of_property(error));
	if (error->verdict != HUBSPOT_VERDICT_INPUT || lookups->refused ||
		!(blames_keys || type->property || type->shows))
		refuse_type(lookup, error);
	else if (blames_keys)
		blame_keys(lookup, error);
	else if (lookup->question == ASKS_READ && type->property)
		start_lookup(make_lookup(lookups, ASKS_SEARCH, lookup->keys, lookup->nkeys));
	else
	{
		Lookup	   *next = make_lookup(lookups, ASKS_PROPERTIES, lookup->keys, lookup->nkeys);
		MemoryContext old = MemoryContextSwitchTo(next->context);

		next->refusal = hubspot_copy_error(error);
		MemoryContextSwitchTo(old);
		start_lookup(next);
	}
}

/* HubSpot refuses some of the keys: find out which. */
static void
blame_keys(Lookup *lookup, const HubspotError *error)
{
	HubspotLookups *lookups = lookup->lookups;

	if (lookup->nkeys > 1)
		ask_again(lookup, lookup->nkeys, true);
	else if (!lookups->answered && ++lookups->nalone == MAX_REFUSED_ALONE)
		refuse_type(lookup, error);
	else
		fail(lookup, error);
}

/* Does HubSpot say that it can't read records by the property?  It has several wordings. */
static bool
tells_of_property(const HubspotError *error)
{
	return strstr(error->message, "unique") || strstr(error->message, "idProperty");
}

/*
 * Would HubSpot say the same again in place of the list of properties?  A token may lack the
 * scope for these, and what they tell is seldom needed.  What was not answered tells nothing of
 * the keys: they are looked up another time.
 */
static bool
is_last_word(const Lookup *lookup, const HubspotError *error)
{
	const HubspotHttpReply *reply = lookup->call.reply;

	return error->verdict == HUBSPOT_VERDICT_SCOPE || error->verdict == HUBSPOT_VERDICT_INPUT ||
		error->verdict == HUBSPOT_VERDICT_REQUEST ||
		(reply && reply->failure == HUBSPOT_HTTP_TOO_LARGE);
}

/*
 * Take the list of properties, which was asked for after a look-up was refused: is there no
 * such property?  Then the error says so, and which one may have been meant.
 */
static void
take_properties(Lookup *lookup)
{
	HubspotLookups *lookups = lookup->lookups;
	const HubspotObjectType *type = lookups->type;
	const char *property = type->property ? type->property : type->shows;
	HubspotError *error = hubspot_copy_error(lookup->refusal);
	char	   *problem = NULL;
	bool		exists = false;
	List	   *names = NIL;

	if (lookup->call.reply && hubspot_reply_is_success(lookup->call.reply) &&
		hubspot_read_property_names(lookup->call.reply, &names))
	{
		problem = hubspot_property_problem(names, property);
		exists = (problem == NULL);
	}
	if (problem)
		error->message = problem;
	if (type->shows && exists)
		lookups->answered = true;

	/* HubSpot may refuse to show one record, and show the others */
	if (type->shows && exists && lookup->nkeys > 1)
		ask_again(lookup, lookup->nkeys, true);
	else if (type->shows && exists)
		fail(lookup, error);
	else if (exists)
	{
		lookups->exists = true;
		lookups->way = HUBSPOT_WAY_SEARCH;
		lookups->remembered = false;
		blame_keys(lookup, error);
	}
	else
		refuse_type(lookup, error);
}

/* Settle all keys of the type with an error: HubSpot refuses them all. */
static void
refuse_type(Lookup *lookup, const HubspotError *error)
{
	HubspotLookups *lookups = lookup->lookups;
	MemoryContext old = MemoryContextSwitchTo(lookups->context);

	if (lookups->refused == NULL)
	{
		HubspotError *refused = hubspot_copy_error(error);

		refused->of_type = (error->verdict == HUBSPOT_VERDICT_INPUT);
		lookups->refused = refused;
	}
	MemoryContextSwitchTo(old);
	hubspot_key_set_failed(lookups->keys, lookup->keys, lookup->nkeys, lookups->refused);
	hubspot_key_set_failed(lookups->keys, lookups->added, lookups->nadded, lookups->refused);
	lookups->nadded = 0;
}

static void
fail(Lookup *lookup, const HubspotError *error)
{
	hubspot_key_set_failed(lookup->lookups->keys, lookup->keys, lookup->nkeys, error);
}
