/*-------------------------------------------------------------------------
 *
 * json.c
 *	  Reading JSON by declared fields.
 *
 * A reply of thousands of results is read in one pass, without a tree: a table
 * says which fields matter, and the values go straight into a struct.
 * Everything else is skipped, but its grammar is checked.
 *
 * The server's own JSON parser does not fit.  It recurses, and throws an error
 * when a reply nests too deeply; it refuses a reply in which any string holds
 * \u0000 or half a surrogate pair, and so would hide all the others; and its
 * lexer alone, driven from here, takes as long as all of the reading and
 * matching takes with lexer.c.
 *
 * Nothing here throws an error because of what the text holds: a text that is
 * not JSON is a false result, a value of an unexpected kind is skipped (its
 * field stays as it was), and what cannot be a text in the server's encoding
 * is replaced, by U+FFFD or a question mark.
 *
 * IDs are slices of the text that was read, unless an escape in them had to be
 * decoded; texts and lists are palloc'd in the current memory context.
 *
 * IDENTIFICATION
 *	  src/json/json.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "miscadmin.h"
#include "nodes/pg_list.h"

#include "json/json.h"
#include "json/lexer.h"
#include "json/text.h"

/* The items of most lists are no larger than this. */
#define USUAL_ITEM_SIZE		128

typedef struct JsonReader
{
	HubspotLexer lexer;
	void	   *state;			/* for the items of lists */
} JsonReader;

/* The texts of a list, while they are read. */
typedef struct TextsState
{
	List	   *texts;
	int			most;
} TextsState;

static bool open_reader(JsonReader *reader, HubspotSlice text, void *state);
static bool read_object(JsonReader *reader, const HubspotJsonShape *shape,
						void *target, int *first);
static inline bool take_text(HubspotLexer *lexer, const HubspotJsonField *field,
							 void *target);
static const HubspotJsonField *find_field(const JsonReader *reader,
										  const HubspotJsonShape *shape,
										  int *expected);
static bool read_value(JsonReader *reader, const HubspotJsonField *field,
					   void *target);
static bool read_list(JsonReader *reader, const HubspotJsonShape *shape);
static inline bool take_item(JsonReader *reader, const HubspotJsonShape *shape);
static void give_text(JsonReader *reader,
					  void (*text) (void *state, HubspotSlice text));
static void add_text(void *state, HubspotSlice text);
static bool read_texts(JsonReader *reader,
					   void (*text) (void *state, HubspotSlice text));
static bool read_int(const JsonReader *reader, int32 *result);

/*
 * Read a JSON object into *target, by shape.  False: the text is not exactly
 * one JSON object; what was read until then remains.
 */
bool
hubspot_json_read(HubspotSlice text, const HubspotJsonShape *shape,
				  void *target, void *state)
{
	JsonReader	reader;
	int			first = 0;

	return open_reader(&reader, text, state) &&
		reader.lexer.token == HUBSPOT_TOKEN_OBJECT_START &&
		read_object(&reader, shape, target, &first) &&
		reader.lexer.token == HUBSPOT_TOKEN_END;
}

/*
 * Give each member of an object to member(): its name decoded, its value as
 * it came.  For objects whose keys are not known beforehand.  If the value is
 * not an object, member() is not called.
 */
void
hubspot_json_each_member(HubspotSlice object, void *state,
						 void (*member) (void *state, HubspotSlice name,
										 HubspotSlice value))
{
	JsonReader	reader;

	if (!open_reader(&reader, object, state) ||
		reader.lexer.token != HUBSPOT_TOKEN_OBJECT_START || !hubspot_lexer_next(&reader.lexer))
		return;
	while (reader.lexer.token == HUBSPOT_TOKEN_STRING)
	{
		HubspotSlice name = hubspot_lexer_decoded(&reader.lexer);
		HubspotSlice value;

		CHECK_FOR_INTERRUPTS();
		if (!hubspot_lexer_next(&reader.lexer) || reader.lexer.token != HUBSPOT_TOKEN_COLON ||
			!hubspot_lexer_next(&reader.lexer))
			break;
		value.data = reader.lexer.token_start;
		if (!hubspot_lexer_skip_value(&reader.lexer))
			break;
		value.len = reader.lexer.previous_end - value.data;
		member(state, name, value);
		if (reader.lexer.token != HUBSPOT_TOKEN_COMMA || !hubspot_lexer_next(&reader.lexer))
			break;
	}
}

/*
 * Give each string or number of an array, or the value itself if it is one, to
 * text(): decoded, in UTF-8, and valid during the call only.
 */
void
hubspot_json_each_text(HubspotSlice value, void *state,
					   void (*text) (void *state, HubspotSlice text))
{
	JsonReader	reader;

	if (!open_reader(&reader, value, state))
		return;
	if (reader.lexer.token == HUBSPOT_TOKEN_ARRAY_START)
		(void) read_texts(&reader, text);
	else
		give_text(&reader, text);
}

/* Give the current token to text(), if it is a string or a number. */
static void
give_text(JsonReader *reader, void (*text) (void *state, HubspotSlice text))
{
	HubspotSlice slice;

	if (reader->lexer.token != HUBSPOT_TOKEN_STRING &&
		reader->lexer.token != HUBSPOT_TOKEN_NUMBER)
		return;
	slice = hubspot_lexer_decoded(&reader->lexer);
	text(reader->state, slice);
	if (reader->lexer.token == HUBSPOT_TOKEN_STRING && reader->lexer.has_escapes)
		pfree(unconstify(char *, slice.data));
}

/*
 * The texts that hubspot_json_each_text() gives, but no more than most of them: a
 * list of char *, in the server's encoding.
 */
List *
hubspot_json_texts(HubspotSlice value, int most)
{
	TextsState	state = {NIL, most};

	hubspot_json_each_text(value, &state, add_text);
	return state.texts;
}

static void
add_text(void *state, HubspotSlice text)
{
	TextsState *texts = state;

	if (list_length(texts->texts) < texts->most)
		texts->texts = lappend(texts->texts,
							   hubspot_text_from_utf8(text.data, text.len));
}

/* Start on the first token; false if there is none. */
static bool
open_reader(JsonReader *reader, HubspotSlice text, void *state)
{
	reader->state = state;
	return hubspot_lexer_begin(&reader->lexer, text);
}

/*
 * The functions below begin on the first token of what they read and end on
 * the one after it.
 *
 * Objects tend to have their fields in the order of the declaration, without
 * white space.  So the key that is expected next is compared first, which is
 * far cheaper than to read a key and look for its field.  *first is the field
 * to expect first; it becomes the one that did come first, for the next object
 * of a list.
 */
static bool
read_object(JsonReader *reader, const HubspotJsonShape *shape, void *target,
			int *first)
{
	HubspotLexer *lexer = &reader->lexer;
	int			expected = *first;

	/* from the start of the object, then from each comma */
	for (int n = 0;; n++)
	{
		const HubspotJsonField *field;

		CHECK_FOR_INTERRUPTS();
		if (shape->nfields > 0 &&
			hubspot_lexer_take_key(lexer, shape->fields[expected].key,
								   shape->fields[expected].key_len))
			field = &shape->fields[expected];
		else
		{
			if (!hubspot_lexer_next(lexer))
				return false;
			if (n == 0 && lexer->token == HUBSPOT_TOKEN_OBJECT_END)
				return hubspot_lexer_next(lexer);
			if (lexer->token != HUBSPOT_TOKEN_STRING)
				return false;
			field = find_field(reader, shape, &expected);
			if (!hubspot_lexer_next(lexer) || lexer->token != HUBSPOT_TOKEN_COLON)
				return false;
		}
		if (n == 0)
			*first = expected;
		if (field && ++expected == shape->nfields)
			expected = 0;

		if (!(field && take_text(lexer, field, target)) &&
			(!hubspot_lexer_next(lexer) ||
			 !(field ? read_value(reader, field, target) : hubspot_lexer_skip_value(lexer))))
			return false;
		if (lexer->token == HUBSPOT_TOKEN_OBJECT_END)
			return hubspot_lexer_next(lexer);
		if (lexer->token != HUBSPOT_TOKEN_COMMA)
			return false;
	}
}

/*
 * After a colon, take a value that is a string without an escape, as most are, and go on
 * to what follows it.  False: the value is still to be read.
 */
static inline bool
take_text(HubspotLexer *lexer, const HubspotJsonField *field, void *target)
{
	HubspotSlice unwanted;

	if (field->kind == HUBSPOT_JSON_ID)
		return hubspot_lexer_take_string(lexer, (HubspotSlice *) ((char *) target + field->offset));
	return field->kind == HUBSPOT_JSON_IGNORED && hubspot_lexer_take_string(lexer, &unwanted);
}

/*
 * The declared field that the current token names, or NULL; *expected becomes
 * its position.  The search begins there.
 */
static const HubspotJsonField *
find_field(const JsonReader *reader, const HubspotJsonShape *shape,
		   int *expected)
{
	HubspotSlice name = hubspot_lexer_decoded(&reader->lexer);

	for (int i = 0, n = *expected; i < shape->nfields; i++)
	{
		const HubspotJsonField *field = &shape->fields[n];

		/* without the quotes and the colon */
		if (field->key_len - 3 == name.len &&
			memcmp(field->key + 1, name.data, name.len) == 0)
		{
			*expected = n;
			return field;
		}
		if (++n == shape->nfields)
			n = 0;
	}
	return NULL;
}

static bool
read_value(JsonReader *reader, const HubspotJsonField *field, void *target)
{
	void	   *member = (char *) target + field->offset;
	HubspotToken token = reader->lexer.token;
	bool		scalar = (token == HUBSPOT_TOKEN_STRING ||
						  token == HUBSPOT_TOKEN_NUMBER);
	int			first = 0;

	switch (field->kind)
	{
		case HUBSPOT_JSON_ID:
			if (scalar)
				*(HubspotSlice *) member = hubspot_lexer_decoded(&reader->lexer);
			break;
		case HUBSPOT_JSON_INT:
			if (scalar)
				(void) read_int(reader, (int32 *) member);
			break;
		case HUBSPOT_JSON_TEXT:
			if (scalar)
			{
				HubspotSlice slice = hubspot_lexer_decoded(&reader->lexer);

				*(char **) member = hubspot_text_from_utf8(slice.data, slice.len);
			}
			break;
		case HUBSPOT_JSON_OBJECT:
			/* nesting is bounded by that of the declared shapes */
			if (token == HUBSPOT_TOKEN_OBJECT_START)
				return read_object(reader, field->shape, target, &first);
			break;
		case HUBSPOT_JSON_NOTED_LIST:
			if (token == HUBSPOT_TOKEN_ARRAY_START)
				*(bool *) member = true;
			/* FALLTHROUGH */
		case HUBSPOT_JSON_LIST:
			if (token == HUBSPOT_TOKEN_ARRAY_START)
				return read_list(reader, field->shape);
			if (token != HUBSPOT_TOKEN_NULL && field->shape->odd)
				field->shape->odd(reader->state);
			break;
		case HUBSPOT_JSON_IGNORED:
			break;
		case HUBSPOT_JSON_RAW:
			{
				HubspotSlice raw;

				raw.data = reader->lexer.token_start;
				if (!hubspot_lexer_skip_value(&reader->lexer))
					return false;
				raw.len = reader->lexer.previous_end - raw.data;
				*(HubspotSlice *) member = raw;
				return true;
			}
	}
	return hubspot_lexer_skip_value(&reader->lexer);
}

/* An array of objects.  odd() is told of other elements, which are skipped. */
static bool
read_list(JsonReader *reader, const HubspotJsonShape *shape)
{
	/* lists within lists are many, and their items small */
	union
	{
		uint64		alignment;
		char		space[USUAL_ITEM_SIZE];
	}			usual;
	void	   *item = shape->item_size <= sizeof(usual) ? &usual : palloc(shape->item_size);
	int			first = 0;

	if (!hubspot_lexer_next(&reader->lexer))
		return false;
	if (reader->lexer.token == HUBSPOT_TOKEN_ARRAY_END)
		return hubspot_lexer_next(&reader->lexer);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (shape->take && take_item(reader, shape))
		{
			if (!hubspot_lexer_next(&reader->lexer))
				return false;
		}
		else if (reader->lexer.token == HUBSPOT_TOKEN_OBJECT_START)
		{
			HubspotSlice raw;

			raw.data = reader->lexer.token_start;
			memset(item, 0, shape->item_size);
			if (!read_object(reader, shape, item, &first))
				return false;
			raw.len = reader->lexer.previous_end - raw.data;
			shape->item(reader->state, item, raw);
		}
		else
		{
			if (shape->odd)
				shape->odd(reader->state);
			if (!hubspot_lexer_skip_value(&reader->lexer))
				return false;
		}
		if (reader->lexer.token == HUBSPOT_TOKEN_ARRAY_END)
		{
			if (item != (void *) &usual)
				pfree(item);
			return hubspot_lexer_next(&reader->lexer);
		}
		if (reader->lexer.token != HUBSPOT_TOKEN_COMMA || !hubspot_lexer_next(&reader->lexer))
			return false;
	}
}

/* Does the shape know the element that begins here without its being read?  Then skip it. */
static inline bool
take_item(JsonReader *reader, const HubspotJsonShape *shape)
{
	HubspotLexer *lexer = &reader->lexer;
	HubspotSlice text = {lexer->token_start, lexer->end - lexer->token_start};
	int			len = shape->take(reader->state, text);

	lexer->token_end = len > 0 ? lexer->token_start + len : lexer->token_end;
	return len > 0;
}

/* An array of strings or numbers.  Other elements are skipped. */
static bool
read_texts(JsonReader *reader, void (*text) (void *state, HubspotSlice text))
{
	if (!hubspot_lexer_next(&reader->lexer))
		return false;
	if (reader->lexer.token == HUBSPOT_TOKEN_ARRAY_END)
		return hubspot_lexer_next(&reader->lexer);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		give_text(reader, text);
		if (!hubspot_lexer_skip_value(&reader->lexer))
			return false;
		if (reader->lexer.token == HUBSPOT_TOKEN_ARRAY_END)
			return hubspot_lexer_next(&reader->lexer);
		if (reader->lexer.token != HUBSPOT_TOKEN_COMMA || !hubspot_lexer_next(&reader->lexer))
			return false;
	}
}

/* The current token as an int32.  False: it is not one; *result is unchanged. */
static bool
read_int(const JsonReader *reader, int32 *result)
{
	HubspotSlice digits = hubspot_lexer_decoded(&reader->lexer);
	int64		value = 0;
	int			i;
	bool		negative = (digits.len > 0 && digits.data[0] == '-');

	for (i = negative ? 1 : 0; i < digits.len; i++)
	{
		if (!isdigit((unsigned char) digits.data[i]))
			return false;
		value = value * 10 + (digits.data[i] - '0');
		if (value > (int64) PG_INT32_MAX + 1)
			return false;
	}
	if (negative)
		value = -value;
	if (digits.len == (negative ? 1 : 0) || value > PG_INT32_MAX)
		return false;
	*result = (int32) value;
	return true;
}
