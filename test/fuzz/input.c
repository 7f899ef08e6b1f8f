/*-------------------------------------------------------------------------
 *
 * input.c
 *	  What the fuzz targets share: reading their input, and checking texts.
 *
 * The reader of JSON here was written for comparison only: it knows nothing of
 * src/json/lexer.c, and answers one question, whether a text is JSON.
 *
 * IDENTIFICATION
 *	  test/fuzz/input.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "fuzz.h"

/* The most spaces that are put after a brace. */
#define MAX_SPACES	251

/* the server's own are in a library that isn't linked */
#undef fprintf

static const char *skip_space(const char *p, const char *end);
static const char *skip_string(const char *p, const char *end);
static const char *skip_number(const char *p, const char *end);
static const char *skip_digits(const char *p, const char *end);

/* A check has failed, which is a finding. */
void
fuzz_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: check failed: %s\n", file, line, what);
	abort();
}

/* The next line, without its end; empty if nothing is left. */
HubspotSlice
fuzz_line(FuzzInput *input)
{
	HubspotSlice line = {input->p, 0};
	const char *end = input->p == input->end ? NULL :
	memchr(input->p, '\n', input->end - input->p);

	line.len = (end ? end : input->end) - input->p;
	input->p = end ? end + 1 : input->end;
	return line;
}

/* A text of its own, which ends at the first NUL. */
char *
fuzz_text(HubspotSlice slice)
{
	return slice.len > 0 ? pnstrdup(slice.data, slice.len) : pstrdup("");
}

/* The line up to the next space, or NULL if nothing is left. */
char *
fuzz_word(HubspotSlice *line)
{
	HubspotSlice word = *line;
	const char *space;

	if (line->len == 0)
		return NULL;
	space = memchr(line->data, ' ', line->len);
	word.len = space ? space - line->data : line->len;
	line->data += word.len + (space ? 1 : 0);
	line->len -= word.len + (space ? 1 : 0);
	return fuzz_text(word);
}

/* Take one of the letters off a line; any other one stands for some of them. */
int
fuzz_choice(HubspotSlice *line, const char *letters)
{
	const char *found;
	char		c;

	if (line->len == 0)
		return letters[0];
	c = line->data[0];
	line->data++;
	line->len--;
	found = c == '\0' ? NULL : strchr(letters, c);
	return found ? c : letters[(unsigned char) c % strlen(letters)];
}

/*
 * An answer: a line of its status and failure, headers until an empty line,
 * and the rest, in memory that ends where it ends.
 */
void
fuzz_reply(FuzzInput *input, HubspotHttpReply *reply)
{
	static const char digits[] = "0123456789";
	HubspotSlice line = fuzz_line(input);
	const char *headers = input->p;
	char	   *copy;

	memset(reply, 0, sizeof(*reply));
	for (; line.len > 0 && isdigit((unsigned char) *line.data) && reply->status < 100;
		 line.data++, line.len--)
		reply->status = reply->status * 10 + (*line.data - '0');
	if (line.len > 0 && *line.data == ' ')
	{
		line.data++;
		line.len--;
		reply->failure = (fuzz_choice(&line, digits) - '0') % (HUBSPOT_HTTP_FAILED + 1);
		reply->retry_after = atoll(fuzz_text(line));
	}
	if (reply->failure != HUBSPOT_HTTP_OK)
		reply->failure_text = fuzz_text(line);
	while (fuzz_line(input).len > 0)
		;
	reply->headers_len = input->p - headers;
	reply->headers = copy = palloc(reply->headers_len);
	memcpy(copy, headers, reply->headers_len);
	reply->body_len = input->end - input->p;
	reply->body = copy = palloc(reply->body_len);
	memcpy(copy, input->p, reply->body_len);
	input->p = input->end;
}

/*
 * The same answer, which is JSON, with spaces after its braces, each time another number of
 * them, so that none of its items is like one before it, byte for byte.
 */
void
fuzz_spread(const HubspotHttpReply *reply, HubspotHttpReply *other)
{
	StringInfoData body;
	bool		in_string = false;
	int			nbraces = 0;

	initStringInfo(&body);
	for (const char *p = reply->body; p < reply->body + reply->body_len; p++)
	{
		appendStringInfoChar(&body, *p);
		if (*p == '"')
			in_string = !in_string;
		else if (*p == '\\')
			appendStringInfoChar(&body, *++p);
		else if (*p == '{' && !in_string)
		{
			for (int i = nbraces++ % MAX_SPACES; i > 0; i--)
				appendStringInfoChar(&body, ' ');
		}
	}
	*other = *reply;
	other->body = body.data;
	other->body_len = body.len;
}

/* Is it one that must not be read as a refusal? */
bool
fuzz_reply_is_success(const HubspotHttpReply *reply)
{
	return reply->failure == HUBSPOT_HTTP_OK && reply->status / 100 == 2;
}

static const char *
skip_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
		p++;
	return p;
}

/* What follows a string that begins at p, or NULL if none does. */
static const char *
skip_string(const char *p, const char *end)
{
	if (p == end || *p++ != '"')
		return NULL;
	while (p < end && *p != '"')
	{
		if ((unsigned char) *p < 0x20)
			return NULL;
		if (*p++ != '\\')
			continue;
		if (p == end)
			return NULL;
		switch (*p++)
		{
			case '"':
			case '\\':
			case '/':
			case 'b':
			case 'f':
			case 'n':
			case 'r':
			case 't':
				break;
			case 'u':
				for (int i = 0; i < 4; i++, p++)
				{
					if (p == end || !isxdigit((unsigned char) *p))
						return NULL;
				}
				break;
			default:
				return NULL;
		}
	}
	return p < end ? p + 1 : NULL;
}

/* At least one digit. */
static const char *
skip_digits(const char *p, const char *end)
{
	const char *first = p;

	while (p < end && isdigit((unsigned char) *p))
		p++;
	return p > first ? p : NULL;
}

static const char *
skip_number(const char *p, const char *end)
{
	if (p < end && *p == '-')
		p++;
	if (p < end && *p == '0')
		p++;
	else if ((p = skip_digits(p, end)) == NULL)
		return NULL;
	if (p < end && *p == '.' && (p = skip_digits(p + 1, end)) == NULL)
		return NULL;
	if (p < end && (*p == 'e' || *p == 'E'))
	{
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		p = skip_digits(p, end);
	}
	return p;
}

/* What is the text, as JSON? And how deep does it nest? */
FuzzJson
fuzz_json(const char *text, size_t len, int *depth)
{
	const char *p = text;
	const char *end = text + len;
	char	   *open = palloc(len + 1);
	int			nopen = 0;
	FuzzJson	result = FUZZ_NO_JSON;

	*depth = 0;
	p = skip_space(p, end);
	if (p < end)
		result = *p == '{' ? FUZZ_JSON_OBJECT : FUZZ_JSON_OTHER;

	/* each turn reads one value, or opens one */
	while (p != NULL && p < end)
	{
		bool		is_open = false;

		if (*p == '{' || *p == '[')
		{
			open[nopen++] = *p;
			*depth = Max(*depth, nopen);
			p = skip_space(p + 1, end);
			is_open = (p == end || *p != (open[nopen - 1] == '{' ? '}' : ']'));
		}
		else if (*p == '"')
			p = skip_string(p, end);
		else if (end - p >= 4 && (memcmp(p, "true", 4) == 0 || memcmp(p, "null", 4) == 0))
			p += 4;
		else if (end - p >= 5 && memcmp(p, "false", 5) == 0)
			p += 5;
		else
			p = skip_number(p, end);
		if (p == NULL)
			break;

		/* to the next value, past all that ends here */
		while (!is_open)
		{
			p = skip_space(p, end);
			if (nopen == 0)
			{
				pfree(open);
				return p == end ? result : FUZZ_NO_JSON;
			}
			if (p == end)
				break;
			if (*p == ',')
			{
				p = skip_space(p + 1, end);
				is_open = true;
			}
			else if (*p++ == (open[nopen - 1] == '{' ? '}' : ']'))
				nopen--;
			else
			{
				pfree(open);
				return FUZZ_NO_JSON;
			}
		}
		if (p < end && open[nopen - 1] == '{')
		{
			p = skip_string(p, end);
			if (p != NULL)
				p = skip_space(p, end);
			if (p == NULL || p == end || *p != ':')
				break;
			p = skip_space(p + 1, end);
		}
	}
	pfree(open);
	return FUZZ_NO_JSON;
}

/* A text of the server's, valid in its encoding. */
void
fuzz_check_text(const char *text)
{
	const char *end = text + strlen(text);

	while (text < end)
	{
		int			len = pg_encoding_verifymbchar(GetDatabaseEncoding(), text, end - text);

		fuzz_check(len > 0);
		/* of any encoding of one byte that might be, only ASCII is sure */
		fuzz_check(GetDatabaseEncoding() != PG_SQL_ASCII || !IS_HIGHBIT_SET(*text));
		text += len;
	}
}

/* Bytes that are there. */
void
fuzz_check_slice(HubspotSlice slice)
{
	volatile char byte;

	fuzz_check(slice.len >= 0);
	for (int i = 0; slice.data && i < slice.len; i++)
		byte = slice.data[i];
	(void) byte;
}

/* An error value with all that its readers rely on. */
void
fuzz_check_error(const HubspotError *error)
{
	fuzz_check(error->sqlstate != 0);
	fuzz_check(error->category != NULL && error->message != NULL);
	fuzz_check_text(error->category);
	fuzz_check_text(error->message);
	if (error->correlation_id)
		fuzz_check_text(error->correlation_id);
	fuzz_check((error->object.data == NULL) == (error->object.len == 0));
	fuzz_check_slice(error->object);
}

/*
 * May a text of JSON name an id?  Not, if it doesn't stand in it, other than
 * as a part of a longer one, and no escape can hide it.
 */
bool
fuzz_names(HubspotSlice text, HubspotSlice id)
{
	if (text.len > 0 && memchr(text.data, '\\', text.len) != NULL)
		return true;
	for (int i = 0; i + id.len <= text.len; i++)
	{
		if (memcmp(text.data + i, id.data, id.len) == 0 &&
			(i == 0 || !isalnum((unsigned char) text.data[i - 1])) &&
			(i + id.len == text.len || !isalnum((unsigned char) text.data[i + id.len])))
			return true;
	}
	return false;
}
