/*-------------------------------------------------------------------------
 *
 * key.c
 *	  Records by what people call them: object types with a property, and
 *	  its values.
 *
 * "contacts:email" is an object type whose records are called by their e-mail.  In place
 * of an id, there is then a key: a value of that property.
 *
 * Two keys are the same if their normal forms are.  These are UTF-8, without the blanks
 * around them.  HubSpot keeps e-mails of contacts and domains of companies in lower case,
 * so case does not count there; elsewhere it does.  Nothing else is made equal, neither
 * forms of Unicode nor forms of numbers: a wrong record is worse than none.
 *
 * IDENTIFICATION
 *	  src/api/key.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "mb/pg_wchar.h"
#include "utils/formatting.h"

#include "api/endpoint.h"
#include "api/object_type.h"
#include "api/key.h"
#include "json/text.h"

/* HubSpot's names of properties are no longer than this. */
#define MAX_PROPERTY_LEN	100

/*
 * A text that is longer than this, with the blanks around it, is not looked at: in UTF-8
 * it may take four times its space.
 */
#define MAX_GIVEN			(1024 * 1024)

/*
 * The first byte of U+00A0, which is a blank, and of the further control characters of
 * Latin-1; and the second byte of U+00A0, which follows all of theirs.
 */
#define FIRST_OF_TWO		'\xC2'
#define NO_BREAK_SPACE		0xA0

/* Properties of which HubSpot keeps the values in lower case. */
static const struct
{
	const char *type;
	const char *property;
}			folded[] = {
	{"contacts", "email"},
	{"companies", "domain"}
};

/* Properties that HubSpot keeps unique by itself. */
static const struct
{
	const char *type;
	const char *property;
}			unique[] = {
	{"contacts", "email"},
	{"products", "hs_sku"},
	{"line_items", "hs_external_id"},
	{"tickets", "hs_external_object_ids"}
};

#define PROPERTY_HINT	"It is an object type and the internal name of a property, such as \"contacts:email\" or \"companies:domain\"."

static char *check_property(const char *property, char **hint);
static bool is_plain(HubspotSlice key, bool folds);
static inline uint64 bad_bytes(const char *text, bool folds);
static HubspotSlice trim(HubspotSlice key);

/*
 * Read an object type, with a property after a colon or without.  Returns what is
 * wrong with it, or NULL; *hint is what to write instead, or NULL.  The names are
 * palloc'd.
 */
char *
hubspot_parse_object_type(const char *text, HubspotObjectType *type, char **hint)
{
	const char *colon = strchr(text, ':');
	int			len = colon ? colon - text : (int) strlen(text);
	char	   *problem = hubspot_id_problem(text, len);

	memset(type, 0, sizeof(*type));
	*hint = NULL;
	if (problem == NULL && colon)
	{
		*hint = pstrdup(PROPERTY_HINT);
		problem = check_property(colon + 1, hint);
	}
	if (problem)
		return problem;
	type->name = pnstrdup(text, len);
	if (colon == NULL)
		return NULL;
	type->property = pstrdup(colon + 1);
	for (size_t i = 0; i < lengthof(folded); i++)
	{
		if (strcmp(type->property, folded[i].property) == 0 &&
			hubspot_same_object_type(type->name, folded[i].type))
			type->folds = true;
	}
	return NULL;
}

/* Is it known, without asking HubSpot, that no two records can have the same key? */
bool
hubspot_is_unique_key(const HubspotObjectType *type)
{
	if (type->property == NULL)
		return true;
	for (size_t i = 0; i < lengthof(unique); i++)
	{
		if (strcmp(type->property, unique[i].property) == 0 &&
			hubspot_same_object_type(type->name, unique[i].type))
			return true;
	}
	return false;
}

static char *
check_property(const char *property, char **hint)
{
	int			len = strlen(property);
	bool		upper = false;

	if (len == 0)
		return pstrdup("there is no property after the colon");
	if (len > MAX_PROPERTY_LEN)
		return psprintf("the name of the property is longer than %d characters",
						MAX_PROPERTY_LEN);
	for (int i = 0; i < len; i++)
	{
		unsigned char c = property[i];

		if (IS_HIGHBIT_SET(c) || !(isalpha(c) || (i > 0 && (isdigit(c) || c == '_'))))
			return pstrdup("the name of a property begins with a letter, and has letters, digits and underscores");
		upper |= (c >= 'A' && c <= 'Z');
	}
	if (!upper)
		return NULL;
	*hint = psprintf("HubSpot's names of properties are in lower case: write \"%s\".",
					 asc_tolower(property, len));
	return pstrdup("the name of the property has capital letters");
}

/* Can it be seen at a glance that a text is a key without a problem, in its normal form? */
bool
hubspot_key_is_normal(const HubspotObjectType *type, HubspotSlice key)
{
	return is_plain(key, type->folds);
}

/* Why a text cannot be a key, palloc'd, or NULL if it can. */
char *
hubspot_key_problem(HubspotSlice key)
{
	static const char cut[] = "\n" HUBSPOT_CUT;
	HubspotSlice utf8;

	if (is_plain(key, false))
		return NULL;
	if (key.len > MAX_GIVEN)
		return psprintf("it is longer than %d bytes", HUBSPOT_MAX_KEY);
	if (!hubspot_text_to_utf8(key.data, key.len, &utf8.data, &utf8.len))
		return pstrdup("it cannot be converted to UTF-8");
	utf8 = trim(utf8);
	if (utf8.len == 0)
		return pstrdup("it is empty");
	if (utf8.len > HUBSPOT_MAX_KEY)
		return psprintf("it is longer than %d bytes", HUBSPOT_MAX_KEY);
	for (int i = 0; i < utf8.len; i++)
	{
		unsigned char c = utf8.data[i];

		if (c < ' ' || c == 0x7F ||
			(utf8.data[i] == FIRST_OF_TWO && i + 1 < utf8.len &&
			 (unsigned char) utf8.data[i + 1] < NO_BREAK_SPACE))
		{
			if (utf8.len - i == (int) strlen(cut) && memcmp(utf8.data + i, cut, strlen(cut)) == 0)
				return psprintf("it is longer than %d bytes", HUBSPOT_MAX_KEY);
			return pstrdup("it has a control character");
		}
	}
	return NULL;
}

/*
 * Can it be seen at a glance that a key, in any encoding of the server, is its own normal
 * form and has no problem?  Most are printable ASCII, without a blank at either end, and
 * without capital letters if keys are folded.
 */
static bool
is_plain(HubspotSlice key, bool folds)
{
	const int	size = sizeof(uint64);
	uint64		bad;

	if (key.len == 0 || key.len > HUBSPOT_MAX_KEY || key.data[0] == ' ' ||
		key.data[key.len - 1] == ' ')
		return false;
	if (key.len < size)
	{
		char		padded[sizeof(uint64)];

		memset(padded, ' ', size);
		memcpy(padded, key.data, key.len);
		return bad_bytes(padded, folds) == 0;
	}
	bad = bad_bytes(key.data + key.len - size, folds);
	for (int i = 0; i < key.len - size; i += size)
		bad |= bad_bytes(key.data + i, folds);
	return bad == 0;
}

/*
 * The highest bits of those of 8 bytes that are not plain; if one of them is beyond ASCII,
 * others may be set as well.  With 0x80 - n added, the highest bit of an ASCII byte tells
 * whether it is at least n.
 */
static inline uint64
bad_bytes(const char *text, bool folds)
{
	const uint64 ones = UINT64CONST(0x0101010101010101);
	uint64		bytes;
	uint64		bad;

	memcpy(&bytes, text, sizeof(bytes));
	bad = bytes | ~(bytes + ones * (0x80 - ' ')) | (bytes + ones * (0x80 - 0x7F));
	if (folds)
		bad |= (bytes + ones * (0x80 - 'A')) & ~(bytes + ones * (0x7F - 'Z'));
	return bad & (ones * 0x80);
}

/* A key without the blanks around it. */
static HubspotSlice
trim(HubspotSlice key)
{
	const char *end = key.data + key.len;

	for (;;)
	{
		if (end > key.data && (end[-1] == ' ' || (end[-1] >= '\t' && end[-1] <= '\r')))
			end--;
		else if (end > key.data + 1 && (unsigned char) end[-1] == NO_BREAK_SPACE &&
				 end[-2] == FIRST_OF_TWO)
			end -= 2;
		else
			break;
	}
	for (;;)
	{
		if (key.data < end && (*key.data == ' ' || (*key.data >= '\t' && *key.data <= '\r')))
			key.data++;
		else if (key.data + 1 < end && key.data[0] == FIRST_OF_TWO &&
				 (unsigned char) key.data[1] == NO_BREAK_SPACE)
			key.data += 2;
		else
			break;
	}
	key.len = end - key.data;
	return key;
}

/*
 * The normal form of a key that is in the encoding of the database and has no problem.  It
 * is in the buffer, which must have room for HUBSPOT_NORMAL_SIZE bytes, or in the key, or
 * palloc'd.
 */
HubspotSlice
hubspot_key_normalize(const HubspotObjectType *type, HubspotSlice key, char *buffer)
{
	HubspotSlice utf8;

	if (is_plain(key, type->folds))
		return key;
	if (!hubspot_text_to_utf8(key.data, key.len, &utf8.data, &utf8.len))
		elog(ERROR, "key is not valid in UTF-8");
	return hubspot_value_normalize(type, utf8, buffer);
}

/*
 * The normal form of a value of HubSpot's, in UTF-8; it is in the buffer or in the value.
 * No data: the value is too long to be a key.
 */
HubspotSlice
hubspot_value_normalize(const HubspotObjectType *type, HubspotSlice value, char *buffer)
{
	const HubspotSlice none = {NULL, 0};

	if (is_plain(value, type->folds))
		return value;
	value = trim(value);
	if (value.len > HUBSPOT_MAX_KEY)
		return none;
	if (type->folds)
	{
		value.len = hubspot_lower_utf8(value.data, value.len, buffer);
		value.data = buffer;
	}
	return value;
}
