/*-------------------------------------------------------------------------
 *
 * secret.c
 *	  Tokens and other secrets, which no text from outside may show.
 *
 * Some gateways repeat the request that they answer, with its token.  So the
 * session remembers the secrets that it has used for a server, including those
 * that have been replaced since, and searches whatever comes from there for
 * them before anybody sees it.
 *
 * A secret is found as it is, and as it stands in JSON (\u0070, \/, also within
 * a string within a string) or in a URL or form (%70), or in any mixture of
 * these, in upper or lower case.  A server that has a token and wants to show
 * it can do so in other ways.
 *
 * Nearly all answers are large and hold no escape.  So there are two searches:
 * one that skips most of the text, for a secret as it is, and one that decodes
 * the text as it goes (Knuth, Morris and Pratt's), around escapes.  The first one
 * looks for the secret's mark, a character of it that answers seldom have: nearly
 * all tokens have a hyphen or an underscore.  Without a mark, it goes by the last
 * character (Horspool's).  If a text is made to make the first one slow, the
 * second one takes its place: it takes the same time for each byte, whatever the
 * text.
 *
 * IDENTIFICATION
 *	  src/base/secret.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/secret.h"

/* A shorter text is not a secret, and may be part of any word. */
#define MIN_SECRET_LEN	8

/* How many secrets a session remembers, of all servers. */
#define MAX_SECRETS		256

/* Longer than any option or answer that is taken for one. */
#define MAX_SECRET_LEN	PG_UINT16_MAX

/* The first search is given up after that many comparisons for each byte. */
#define MAX_EFFORT		4

/* Characters that stand in few values of answers, the best first. */
#define MARKS	"-_~+/=."

/* A character that no secret has. */
#define OTHER_CHARACTER	0xFF

typedef struct Secret
{
	Oid			server;
	bool		decode;			/* decoded has its escapes decoded */
	uint64		used;			/* larger: more recently */
	size_t		len;
	char	   *text;			/* this and all below is palloc'd */
	unsigned char *folded;		/* the text in lower case */
	int			mark;			/* where its mark is; -1: it has none */
	size_t		decoded_len;
	unsigned char *decoded;		/* likewise, or without its escapes */
	int		   *shorter;		/* for each prefix of decoded: the length of
								 * the longest shorter prefix that it ends
								 * with */
	size_t	   *starts;			/* where the last characters began, a ring */
	uint16		skip[256];		/* by the last character: how far to go on */
} Secret;

static Secret secrets[MAX_SECRETS];
static int	nsecrets = 0;

static void remember(Oid server, const char *text, bool decode);
static Secret *find_secret(Oid server, const char *text, bool decode);
static void forget_secret(Secret *secret);
static void make_secret(Secret *secret, Oid server, const char *text,
						bool decode);
static void prepare(Secret *secret);
static int	find_mark(const Secret *secret);
static bool hide_marked(const Secret *secret, char *text, size_t len);
static bool hide_plain(const Secret *secret, char *text, size_t len);
static void hide_escaped(const Secret *secret, char *text, size_t len);
static size_t scan(const Secret *secret, char *text, size_t len, size_t from,
				   size_t escape);
static size_t next_character(const char *p, const char *end,
							 unsigned char *result);
static int	hex_number(const char *p, const char *end, int ndigits);
static inline unsigned char
fold(char c)
{
	return (c >= 'A' && c <= 'Z') ? c - 'A' + 'a' : (unsigned char) c;
}

/*
 * From now on, hide the secret in whatever comes from the server.  If a part of
 * it looks like an escape, it is looked for in both ways: with that decoded,
 * and with it taken literally.
 */
void
hubspot_remember_secret(Oid server, const char *text)
{
	if (strlen(text) < MIN_SECRET_LEN || strlen(text) > MAX_SECRET_LEN)
		return;
	remember(server, text, false);
	if (strpbrk(text, "\\%") != NULL)
		remember(server, text, true);
}

static void
remember(Oid server, const char *text, bool decode)
{
	static uint64 uses = 0;
	Secret	   *secret = find_secret(server, text, decode);

	if (secret == NULL)
	{
		secret = &secrets[0];
		for (int i = 1; i < nsecrets && nsecrets == MAX_SECRETS; i++)
		{
			if (secrets[i].used < secret->used)
				secret = &secrets[i];
		}
		if (nsecrets < MAX_SECRETS)
			secret = &secrets[nsecrets];
		forget_secret(secret);
		make_secret(secret, server, text, decode);
		if (secret == &secrets[nsecrets])
			nsecrets++;
	}
	secret->used = ++uses;
}

static Secret *
find_secret(Oid server, const char *text, bool decode)
{
	for (int i = 0; i < nsecrets; i++)
	{
		if (secrets[i].server == server && secrets[i].decode == decode &&
			secrets[i].text && strcmp(secrets[i].text, text) == 0)
			return &secrets[i];
	}
	return NULL;
}

static void
forget_secret(Secret *secret)
{
	if (secret->text == NULL)
		return;
	explicit_bzero(secret->text, secret->len);
	explicit_bzero(secret->folded, secret->len);
	explicit_bzero(secret->decoded, secret->decoded_len);
	pfree(secret->text);
	secret->text = NULL;
}

/*
 * A secret and its tables are one chunk of memory: either all of it is there
 * or nothing.
 */
static void
make_secret(Secret *secret, Oid server, const char *text, bool decode)
{
	size_t		len = strlen(text);
	char	   *memory = MemoryContextAlloc(TopMemoryContext,
											len * (sizeof(size_t) + sizeof(int) + 2) + len + 1 +
											2 * MAXIMUM_ALIGNOF);

	secret->text = memory;
	memcpy(secret->text, text, len + 1);
	secret->server = server;
	secret->decode = decode;
	secret->len = len;
	secret->folded = (unsigned char *) memory + len + 1;
	secret->decoded = secret->folded + len;
	secret->starts = (size_t *) MAXALIGN(secret->decoded + len);
	secret->shorter = (int *) (secret->starts + len);
	prepare(secret);
}

/* The tables of both searches. */
static void
prepare(Secret *secret)
{
	const char *end = secret->text + secret->len;
	int			found = 0;

	for (size_t i = 0; i < lengthof(secret->skip); i++)
		secret->skip[i] = secret->len;
	for (size_t i = 0; i < secret->len; i++)
	{
		secret->folded[i] = fold(secret->text[i]);
		if (i < secret->len - 1)
			secret->skip[secret->folded[i]] = secret->len - 1 - i;
	}
	for (int c = 'A'; c <= 'Z'; c++)
		secret->skip[c] = secret->skip[fold(c)];

	secret->mark = find_mark(secret);
	secret->decoded_len = 0;
	for (const char *p = secret->text; p < end;)
	{
		unsigned char *c = &secret->decoded[secret->decoded_len++];

		if (secret->decode)
			p += next_character(p, end, c);
		else
			*c = fold(*p++);
	}
	secret->shorter[0] = 0;
	for (size_t i = 1; i < secret->decoded_len; i++)
	{
		while (found > 0 && secret->decoded[i] != secret->decoded[found])
			found = secret->shorter[found - 1];
		if (secret->decoded[i] == secret->decoded[found])
			found++;
		secret->shorter[i] = found;
	}
}

/* Where the mark of a secret is, the best of those that it has, or -1. */
static int
find_mark(const Secret *secret)
{
	for (const char *mark = MARKS; *mark; mark++)
	{
		const char *place = memchr(secret->text, *mark, secret->len);

		if (place)
			return place - secret->text;
	}
	return -1;
}

/*
 * Write over each secret of a server that stands in a text from there.  JSON
 * remains JSON, of the same length.  Takes time in proportion to the length.
 */
void
hubspot_hide_secrets(Oid server, char *text, size_t len)
{
	if (text == NULL)
		return;
	for (int i = 0; i < nsecrets; i++)
	{
		const Secret *secret = &secrets[i];
		bool		plain;

		if (secret->server != server || secret->text == NULL)
			continue;
		plain = secret->mark >= 0 ? hide_marked(secret, text, len) :
			hide_plain(secret, text, len);
		/* what is hardly anything but escapes would be found everywhere */
		if (secret->decoded_len < MIN_SECRET_LEN)
			continue;
		if (plain)
			hide_escaped(secret, text, len);
		else
			(void) scan(secret, text, len, 0, len);
	}
}

/* Hide a secret that has a mark.  False: it takes too long. */
static bool
hide_marked(const Secret *secret, char *text, size_t len)
{
	const char *end = text + len;
	char	   *next = text + secret->mark;
	size_t		effort = 0;

	while (next < end &&
		   (next = memchr(next, secret->text[secret->mark], end - next)) != NULL)
	{
		char	   *start = next - secret->mark;
		size_t		same = 0;

		if ((size_t) (end - start) < secret->len)
			break;
		while (same < secret->len && fold(start[same]) == secret->folded[same])
			same++;
		effort += same + 1;
		if (same == secret->len)
		{
			memset(start, '*', secret->len);
			next = start + secret->len + secret->mark;
		}
		else
			next++;
		if (effort > MAX_EFFORT * len)
			return false;
	}
	return true;
}

/* Hide any secret.  False: it takes too long. */
static bool
hide_plain(const Secret *secret, char *text, size_t len)
{
	size_t		last = secret->len - 1;
	size_t		effort = 0;

	for (size_t from = 0; from + last < len;)
	{
		size_t		i = last;

		while (fold(text[from + i]) == secret->folded[i] && i > 0)
			i--;
		effort += last - i + 1;
		if (i == 0 && fold(text[from]) == secret->folded[0])
		{
			memset(text + from, '*', secret->len);
			from += secret->len;
		}
		else
			from += secret->skip[(unsigned char) text[from + last]];
		if (effort > MAX_EFFORT * len)
			return false;
	}
	return true;
}

/* Hide the secret where it is written with an escape. */
static void
hide_escaped(const Secret *secret, char *text, size_t len)
{
	size_t		done = 0;
	const char *backslash = memchr(text, '\\', len);
	const char *percent = memchr(text, '%', len);

	while (backslash || percent)
	{
		const char *escape = (backslash == NULL ||
							  (percent && percent < backslash)) ? percent : backslash;
		size_t		at = escape - text;
		size_t		before = Min(at - done, secret->decoded_len);

		done = scan(secret, text, len, at - before, at);
		if (backslash && backslash < text + done)
			backslash = memchr(text + done, '\\', len - done);
		if (percent && percent < text + done)
			percent = memchr(text + done, '%', len - done);
	}
}

/*
 * Hide the secret in a text, from a place on: at least until after an escape,
 * and then for as long as the last characters may begin the secret.  Returns
 * where that ended.
 */
static size_t
scan(const Secret *secret, char *text, size_t len, size_t from, size_t escape)
{
	size_t		position = from;
	size_t		next = 0;		/* where the next start goes */
	int			found = 0;		/* how many characters of the secret were read
								 * last */

	while (position < len && (position <= escape || found > 0))
	{
		unsigned char c;
		size_t		character = next_character(text + position, text + len, &c);

		CHECK_FOR_INTERRUPTS();
		secret->starts[next] = position;
		if (++next == secret->decoded_len)
			next = 0;
		position += character;
		while (found > 0 && c != secret->decoded[found])
			found = secret->shorter[found - 1];
		if (c == secret->decoded[found])
			found++;
		if (found == (int) secret->decoded_len)
		{
			/* in the ring, the oldest start follows the latest */
			size_t		start = secret->starts[next];

			memset(text + start, '*', position - start);
			found = 0;
		}
	}
	return position;
}

/*
 * The character that a text begins with, in lower case, and how many bytes
 * stand for it.  Any number of backslashes is as good as one, since a string of
 * JSON may stand in another one.
 */
static size_t
next_character(const char *p, const char *end, unsigned char *result)
{
	size_t		nbackslashes = 0;
	int			code = -1;

	if (*p == '%' && (code = hex_number(p + 1, end, 2)) >= 0)
	{
		*result = code < 128 ? fold(code) : OTHER_CHARACTER;
		return 3;
	}
	if (*p != '\\')
	{
		*result = fold(*p);
		return 1;
	}
	while (p + nbackslashes < end && p[nbackslashes] == '\\')
		nbackslashes++;
	p += nbackslashes;
	*result = '\\';
	if (p < end && *p == 'u' && (code = hex_number(p + 1, end, 4)) >= 0)
	{
		*result = code < 128 ? fold(code) : OTHER_CHARACTER;
		return nbackslashes + 5;
	}
	if (p < end && (*p == '/' || *p == '"'))
	{
		*result = *p;
		return nbackslashes + 1;
	}
	return nbackslashes;
}

/* A number of ndigits hexadecimal digits, or -1. */
static int
hex_number(const char *p, const char *end, int ndigits)
{
	int			number = 0;

	if (end - p < ndigits)
		return -1;
	for (int i = 0; i < ndigits; i++)
	{
		unsigned char c = fold(p[i]);

		if (c >= '0' && c <= '9')
			number = number * 16 + (c - '0');
		else if (c >= 'a' && c <= 'f')
			number = number * 16 + (c - 'a' + 10);
		else
			return -1;
	}
	return number;
}
