/*-------------------------------------------------------------------------
 *
 * bytes_test.c
 *	  What looks at eight bytes at once, against loops that look at one.
 *
 * These are base/digits.h, json/lexer.h, plan/packed.h and hubspot.h.  Which byte of a
 * word comes first depends on the platform, and so does whether a char has a sign.
 *
 * Prints a line "ok" or "not ok", a tab and a name for each test; a seed for
 * the random ones is the only argument.
 *
 * IDENTIFICATION
 *	  test/unit/bytes_test.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/digits.h"
#include "json/lexer.h"
#include "plan/packed.h"

/* the server's own are in a library that isn't linked */
#undef printf
#undef sprintf

#define NTEXTS		300000
#define MAX_LEN		40

/* A text that lies at any address, in the midst of what would go on with it. */
static char space[16 + MAX_LEN + 16];
static char *bytes;
static int	len;

/* stands in for the server's, which a build with assertions would call */
void		failed_assertion(void);

void
failed_assertion(void)
{
	abort();
}

/* what the headers need besides */
const uint8 hubspot_punctuation[256];

bool
hubspot_lex_token(HubspotLexer *lexer)
{
	abort();
}

bool
hubspot_lexer_skip_container(HubspotLexer *lexer)
{
	abort();
}

HubspotSlice
hubspot_lexer_decode(const HubspotLexer *lexer)
{
	abort();
}

int
pg_ulltoa_n(uint64 value, char *a)
{
	return sprintf(a, "%llu", (unsigned long long) value);
}

static void
check(bool passed, const char *name)
{
	printf("%s\t%s\n", passed ? "ok" : "not ok", name);
}

/* Make a text of bytes that are much alike, with one or two others in it. */
static void
make_text(const char *usual)
{
	static const unsigned char others[] = {
		0x00, 0x01, 0x1F, ' ', '!', '"', '#', '/', '0', '9', ':', 'A', '[', '\\', ']', 'z',
		0x7E, 0x7F, 0x80, 0x81, 0x89, 0x8A, 0xA0, 0xA2, 0xAF, 0xB0, 0xB9, 0xBA, 0xDC, 0xFE, 0xFF
	};
	int			nusual = strlen(usual);

	len = random() % (MAX_LEN + 1);
	bytes = space + random() % 16;
	for (size_t i = 0; i < sizeof(space); i++)
		space[i] = usual[random() % nusual];
	for (int n = random() % 3; n > 0 && len > 0; n--)
		bytes[random() % len] = random() % 4 == 0 ? (char) random() :
			(char) others[random() % lengthof(others)];
}

static bool
is_digit(char c)
{
	unsigned char byte = (unsigned char) c;

	return byte >= 0x30 && byte <= 0x39;
}

static bool
is_plain(char c)
{
	unsigned char byte = (unsigned char) c;

	return byte >= 0x20 && byte != 0x22 && byte != 0x5C;
}

/* How many bytes from the first on are so? */
static int
count(bool (*is_so) (char c))
{
	int			n = 0;

	while (n < len && is_so(bytes[n]))
		n++;
	return n;
}

static void
test_texts(void)
{
	int			nwrong[4] = {0};
	char		copy[MAX_LEN];

	for (int i = 0; i < NTEXTS; i++)
	{
		make_text(i % 2 ? "0123456789" : "abc:,{}[]x \xC3\xA4");
		nwrong[0] += hubspot_all_digits(bytes, len) != (count(is_digit) == len);
		nwrong[1] += hubspot_skip_digits(bytes, bytes + len) != bytes + count(is_digit);
		nwrong[2] += hubspot_skip_plain(bytes, bytes + len) != bytes + count(is_plain);

		nwrong[3] += hubspot_copy_bytes(copy, bytes, len) != copy + len ||
			memcmp(copy, bytes, len) != 0 || !hubspot_same_bytes(copy, bytes, len);
		if (len > 0)
		{
			copy[random() % len] ^= 1 << (random() % 8);
			nwrong[3] += hubspot_same_bytes(copy, bytes, len);
		}
	}
	check(nwrong[0] == 0, "whether a text is all digits");
	check(nwrong[1] == 0, "where digits end");
	check(nwrong[2] == 0, "where the plain part of a string ends");
	check(nwrong[3] == 0, "bytes are copied and compared");
}

/* Make an id: digits as a rule, of any length, so that there are equal ones, too. */
static HubspotSlice
make_id(char *id)
{
	HubspotSlice slice = {id, 0};
	int			most = random() % 2 ? 3 : 20;

	do
		id[slice.len++] = '0' + random() % 10;
	while (slice.len < 1 + random() % most);
	if (random() % 8 == 0)
		id[random() % slice.len] = 'a' + random() % 3;
	return slice;
}

/* Is it an id of digits that is packed as a number? */
static bool
is_number(HubspotSlice id)
{
	bool		digits = id.data[0] != '0' && id.len <= HUBSPOT_PACKED_DIGITS;

	for (int i = 0; i < id.len; i++)
		digits &= is_digit(id.data[i]);
	return digits;
}

/* The order that ids are to have: numbers, then others; the shorter first. */
static int
compare_ids(HubspotSlice a, HubspotSlice b)
{
	if (is_number(a) != is_number(b))
		return is_number(a) ? -1 : 1;
	if (a.len != b.len)
		return a.len < b.len ? -1 : 1;
	return memcmp(a.data, b.data, a.len);
}

static int
sign(int number)
{
	return (number > 0) - (number < 0);
}

static void
test_packed(void)
{
	int			norder = 0;
	int			nback = 0;

	for (int i = 0; i < NTEXTS / 4; i++)
	{
		char		ids[2][24];
		char		packed[2][HUBSPOT_PACKED_NUMBER + 4 + 24] = {0};
		HubspotSlice id[2] = {make_id(ids[0]), make_id(ids[1])};

		for (int j = 0; j < 2; j++)
		{
			char	   *end = hubspot_pack_id(packed[j], id[j]);
			HubspotDigits digits;
			HubspotSlice back;

			nback += hubspot_unpack_id(packed[j], &back, &digits) != end ||
				hubspot_skip_id(packed[j]) != end || back.len != id[j].len ||
				memcmp(back.data, id[j].data, back.len) != 0;
		}
		norder += sign(memcmp(packed[0], packed[1], sizeof(packed[0]))) !=
			sign(compare_ids(id[0], id[1]));
	}
	check(norder == 0, "packed ids are in the order of ids");
	check(nback == 0, "and give these back");
}

int
main(int argc, char **argv)
{
	srandom(argc > 1 ? atoi(argv[1]) : 1);
	test_texts();
	test_packed();
	return 0;
}
