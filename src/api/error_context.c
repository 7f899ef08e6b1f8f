/*-------------------------------------------------------------------------
 *
 * error_context.c
 *	  What the context of an error says, in words.
 *
 * The message of an error is the same for all errors of a kind; its context
 * says which association type, label or scope it is about.  A context has one
 * of many forms (error_names.c takes apart those that name inputs), says most
 * things twice, and may be of any size.
 *
 * IDENTIFICATION
 *	  src/api/error_context.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "api/error_context.h"
#include "base/shown.h"
#include "json/json.h"
#include "json/lexer.h"
#include "json/text.h"

/*
 * How many bytes of a context go into a message, and how many of each value,
 * in UTF-8, are looked at: more than is shown, and few enough to be converted
 * each time.
 */
#define MAX_CONTEXT_TEXT	300
#define MAX_VALUE			500

/* How many values of a context are looked at: new ones may come late. */
#define MAX_VALUES			100

/* A context while it is put into words. */
typedef struct ContextText
{
	StringInfoData text;
	HubspotSlice key;
	const char *message;		/* the message that the text goes with */
	int			nseen;			/* values of all keys, so far */
	int			nvalues;		/* values of the present key */
	int			ntold;			/* how many of these are in the text */
	int			nothers;		/* values that are not the only id of a side */
	bool		sides[2];		/* sides that have an id */
} ContextText;

static void tell_member(void *state, HubspotSlice name, HubspotSlice value);
static void tell_value(void *state, HubspotSlice text);
static void append_value(ContextText *told, const char *value);
static bool is_key(const ContextText *told, const char *key);
static char *shown_slice(HubspotSlice text);
static bool mentions(const char *text, const char *value);

/*
 * What a context says beyond the message, in at most MAX_CONTEXT_TEXT bytes
 * and some dots, palloc'd.  NULL: nothing, or only which pair it is about.
 */
char *
hubspot_context_text(HubspotSlice context, const char *message)
{
	ContextText told = {.message = message};
	char	   *text = NULL;

	if (context.data == NULL)
		return NULL;
	initStringInfo(&told.text);
	if (context.data[0] == '"')
		hubspot_json_each_text(context, &told, tell_value);
	else
		hubspot_json_each_member(context, &told, tell_member);
	if (told.text.len > 0 && (told.nothers > 0 || !told.sides[0] || !told.sides[1]))
		text = psprintf("%.*s%s",
						pg_mbcliplen(told.text.data, told.text.len, MAX_CONTEXT_TEXT),
						told.text.data,
						told.text.len > MAX_CONTEXT_TEXT ? "..." : "");

	/*
	 * an answer may have a hundred thousand errors, and their texts are kept
	 */
	pfree(told.text.data);
	return text;
}

/* Add what a member says.  Object types are left out: the caller knows them. */
static void
tell_member(void *state, HubspotSlice name, HubspotSlice value)
{
	static const char object_type[] = "bjectType";
	ContextText *told = state;
	int			len = strlen(object_type);

	if (name.len > len && memcmp(name.data + name.len - len, object_type, len) == 0)
		return;
	told->key = name;
	told->nvalues = told->ntold = 0;
	hubspot_json_each_text(value, told, tell_value);
}

static void
tell_value(void *state, HubspotSlice text)
{
	ContextText *told = state;
	bool		is_from = is_key(told, "fromObjectId");
	char	   *value;

	CHECK_FOR_INTERRUPTS();
	if (told->text.len > MAX_CONTEXT_TEXT || told->nseen++ >= MAX_VALUES)
		return;
	told->nvalues++;
	value = shown_slice(text);
	if (!mentions(told->message, value) && !mentions(told->text.data, value))
	{
		append_value(told, value);
		if (told->nvalues == 1 && (is_from || is_key(told, "toObjectId")))
			told->sides[is_from] = true;
		else
			told->nothers++;
	}
	pfree(value);
}

static void
append_value(ContextText *told, const char *value)
{
	if (told->ntold++ > 0)
		appendStringInfoString(&told->text, ", ");
	else if (told->key.data)
	{
		char	   *key = shown_slice(told->key);

		appendStringInfo(&told->text, "%s%s: ", told->text.len > 0 ? "; " : "", key);
		pfree(key);
	}
	appendStringInfoString(&told->text, value);
}

static bool
is_key(const ContextText *told, const char *key)
{
	return told->key.len == (int) strlen(key) &&
		memcmp(told->key.data, key, told->key.len) == 0;
}

/* One of HubSpot's texts as a message shows it, palloc'd. */
static char *
shown_slice(HubspotSlice text)
{
	int			len = Min(text.len, MAX_VALUE);
	char	   *whole;
	char	   *shown;

	while (len < text.len && len > 0 && ((unsigned char) text.data[len] & 0xC0) == 0x80)
		len--;
	whole = hubspot_text_from_utf8(text.data, len);
	shown = pstrdup(hubspot_shown(whole));
	pfree(whole);
	return shown;
}

/* Does a text contain the value, but not as part of a word or a number? */
static bool
mentions(const char *text, const char *value)
{
	size_t		len = strlen(value);
	const char *found = text;

	if (len == 0)
		return true;
	while ((found = strstr(found, value)) != NULL)
	{
		if ((found == text || !isalnum((unsigned char) found[-1])) &&
			!isalnum((unsigned char) found[len]))
			return true;
		found++;
	}
	return false;
}
