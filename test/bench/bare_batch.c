/*-------------------------------------------------------------------------
 *
 * bare_batch.c
 *		The least that a batch could cost: reads a table through COPY, builds
 *		the same requests as the extension, byte for byte, sends them with N
 *		in flight and throws the answers away.
 *
 * The operations, what they stand for, and the columns that are read:
 *
 *		create		hs_assoc_batch_create()			from_id, to_id, type_id
 *		label		the same, USER_DEFINED types	from_id, to_id, type_id
 *		default		the outbox of tables in sync	from_id, to_id
 *		read		hs_assoc_batch_read()			from_id
 *		archive		hs_assoc_batch_archive()		from_id, to_id, sorted
 *
 * What is to be archived goes by from_id.  The extension sorts it by the bytes
 * of the ids, here the server does, by the numbers: the same order if the ids
 * of a column have as many digits, and the least that it could cost.
 *
 * With -k the answers are not thrown away: every value in them goes to a
 * temporary file, a line for each of their objects.  That is the least that it
 * could cost to hand on what they say; nobody looks whether each input has been
 * answered.
 *
 * Prints one line of name=value pairs.  client_cpu is this whole process,
 * from its start; server_cpu is the server process that feeds it, from the
 * end of the connect.  A failed request is counted, and makes the exit
 * status 1.
 *
 * IDENTIFICATION
 *		test/bench/bare_batch.c
 *
 *-------------------------------------------------------------------------
 */
#include "bare.h"

#include <libpq-fe.h>

#define PATH	"/crm/associations/2026-03/contacts/companies/batch/"

/* The fixed parts of a body, around the columns of each row */
#define BODY_START	"{\"inputs\":["
#define BEFORE_FROM	"{\"from\":{\"id\":\""
#define BEFORE_TO	"\"},\"to\":{\"id\":\""
#define AFTER_TO	"\"}},"
#define TYPE_OF(category) \
	"\"},\"types\":[{\"associationCategory\":\"" category "\"," \
	"\"associationTypeId\":"
#define BEFORE_TYPE		TYPE_OF("HUBSPOT_DEFINED")
#define BEFORE_LABEL	TYPE_OF("USER_DEFINED")
#define AFTER_TYPE	"}]},"
#define BEFORE_ID	"{\"id\":\""
#define AFTER_ID	"\"},"
#define BEFORE_GROUP	"\"},\"to\":["
#define AFTER_GROUP	"]},"
#define BODY_END	"]}"

#define MAX_COLUMNS	3

/* More than a row can take: the fixed parts and its integers */
#define MAX_ROW_SIZE	256

/* Of a body and of an answer, at first */
#define BODY_SIZE	(64 * 1024)

#define PUT(end, literal) put(end, literal, sizeof(literal) - 1)

typedef struct Column
{
	const char *text;
	size_t		length;
} Column;

typedef struct Slot
{
	CURL	   *easy;
	char	   *body;
	size_t		size;			/* of the body's memory */
	char	   *answer;			/* so far, if it is kept */
	size_t		answer_length;
	size_t		answer_size;	/* of its memory */
} Slot;

typedef struct Operation
{
	const char *name;
	int			ncolumns;
	const char *columns;
	const char *order;
	const char *tail;			/* of the path */
	int			batch_size;		/* inputs of a request */
	bool		grouped;		/* rows of a from_id are one input */
	char	   *(*add) (char *end, const Column *columns, bool is_input);
} Operation;

static char *add_create(char *end, const Column *columns, bool is_input);
static char *add_label(char *end, const Column *columns, bool is_input);
static char *add_default(char *end, const Column *columns, bool is_input);
static char *add_read(char *end, const Column *columns, bool is_input);
static char *add_archive(char *end, const Column *columns, bool is_input);

static const Operation operations[] = {
	{
		"create", 3, "from_id, to_id, type_id", "",
		"create", 2000, false, add_create
	},
	{
		"label", 3, "from_id, to_id, type_id", "",
		"create", 2000, false, add_label
	},
	{
		"default", 2, "from_id, to_id", "",
		"associate/default", 2000, false, add_default
	},
	{
		"read", 1, "from_id", "",
		"read", 1000, false, add_read
	},
	{
		"archive", 2, "from_id, to_id", " ORDER BY from_id, to_id",
		"archive", 100, true, add_archive
	}
};

static const Operation *operation = &operations[0];
static PGconn *connection;
static CURLM *multi;
static char *line;				/* read, but in no body yet; or NULL */
static int	line_length;
static FILE * kept;				/* what the answers say; or NULL */
static long rows,
			requests,
			failures;

static void choose_operation(const char *name);
static void connect_to(const char *conninfo, clockid_t *server_clock);
static void start_copy(const char *table);
static bool fill(Slot *slot);
static bool next_line(void);
static void split_line(Column *columns);
static char *put(char *end, const char *bytes, size_t length);
static void send_slot(Slot *slot);
static Slot *wait_for_slot(void);
static size_t collect(char *bytes, size_t size, size_t count, void *arg);
static void keep_values(const Slot *slot);
static const char *end_of_string(const char *text, const char *end);

int
main(int argc, char **argv)
{
	const char *conninfo = "";
	const char *base_url = NULL;
	const char *token = "token";
	const char *table = "links";
	int			concurrency = 4;
	double		started = seconds(CLOCK_MONOTONIC);
	double		server_started;
	double		server_cpu;
	clockid_t	server_clock;
	struct curl_slist *headers;
	char		url[1024];
	Slot	   *slots;
	int			option;
	int			used;

	while ((option = getopt(argc, argv, "d:u:t:c:o:f:k")) != -1)
	{
		if (option == 'd')
			conninfo = optarg;
		else if (option == 'u')
			base_url = optarg;
		else if (option == 't')
			token = optarg;
		else if (option == 'c')
			concurrency = atoi(optarg);
		else if (option == 'o')
			choose_operation(optarg);
		else if (option == 'f')
			table = optarg;
		else if (option == 'k')
		{
			kept = tmpfile();
			if (kept == NULL)
				fail("could not make a temporary file");
		}
	}
	if (base_url == NULL || concurrency < 1)
		fail("usage: %s -u BASE_URL [-d CONNINFO] [-t TOKEN] [-c CONCURRENCY] [-o OPERATION] [-f TABLE] [-k]",
			 argv[0]);

	connect_to(conninfo, &server_clock);
	server_started = seconds(server_clock);
	start_copy(table);

	curl_global_init(CURL_GLOBAL_DEFAULT);
	multi = curl_multi_init();
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long) concurrency);
	headers = make_headers(token, true);
	snprintf(url, sizeof(url), "%s" PATH "%s", base_url, operation->tail);
	slots = calloc(concurrency, sizeof(Slot));
	if (slots == NULL)
		fail("out of memory");
	for (int i = 0; i < concurrency; i++)
	{
		slots[i].easy = make_easy(headers);
		curl_easy_setopt(slots[i].easy, CURLOPT_URL, url);
		curl_easy_setopt(slots[i].easy, CURLOPT_PRIVATE, &slots[i]);
		slots[i].size = BODY_SIZE;
		slots[i].body = malloc(slots[i].size);
		if (slots[i].body == NULL)
			fail("out of memory");
		if (kept != NULL)
		{
			curl_easy_setopt(slots[i].easy, CURLOPT_WRITEFUNCTION, collect);
			curl_easy_setopt(slots[i].easy, CURLOPT_WRITEDATA, &slots[i]);
		}
	}

	/* Each slot once, then each again as soon as its request is answered. */
	for (used = 0; used < concurrency && fill(&slots[used]); used++)
		send_slot(&slots[used]);
	while (used > 0)
	{
		Slot	   *slot = wait_for_slot();

		if (fill(slot))
			send_slot(slot);
		else
			used--;
	}

	server_cpu = seconds(server_clock) - server_started;
	PQfinish(connection);
	if (kept != NULL && fclose(kept) != 0)
		fail("could not write to the temporary file");
	printf("rows=%ld requests=%ld failures=%ld wall=%.6f client_cpu=%.6f server_cpu=%.6f\n",
		   rows, requests, failures,
		   seconds(CLOCK_MONOTONIC) - started,
		   seconds(CLOCK_PROCESS_CPUTIME_ID), server_cpu);
	return failures > 0;
}

static void
choose_operation(const char *name)
{
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
	{
		if (strcmp(operations[i].name, name) == 0)
		{
			operation = &operations[i];
			return;
		}
	}
	fail("there is no operation \"%s\"", name);
}

/* Connect, and find the clock of the server process. */
static void
connect_to(const char *conninfo, clockid_t *server_clock)
{
	connection = PQconnectdb(conninfo);
	if (PQstatus(connection) != CONNECTION_OK)
		fail("%s", PQerrorMessage(connection));
	if (clock_getcpuclockid(PQbackendPID(connection), server_clock) != 0)
		fail("the server process is not on this machine");
}

static void
start_copy(const char *table)
{
	char		query[1024];
	PGresult   *result;

	snprintf(query, sizeof(query), "COPY (SELECT %s FROM %s%s) TO STDOUT",
			 operation->columns, table, operation->order);
	result = PQexec(connection, query);
	if (PQresultStatus(result) != PGRES_COPY_OUT)
		fail("%s", PQerrorMessage(connection));
	PQclear(result);
}

/*
 * Build the body of the next batch.  Returns false if there are no more rows.
 *
 * The columns are integers, so their text needs no JSON escapes.
 */
static bool
fill(Slot *slot)
{
	Column		columns[MAX_COLUMNS];
	char		group[MAX_ROW_SIZE];
	size_t		group_length = 0;
	char	   *end = PUT(slot->body, BODY_START);
	int			inputs = 0;

	while (next_line())
	{
		bool		is_input = true;

		split_line(columns);
		if (operation->grouped)
		{
			is_input = columns[0].length != group_length ||
				memcmp(columns[0].text, group, group_length) != 0;
			memcpy(group, columns[0].text, columns[0].length);
			group_length = columns[0].length;
		}
		/* the line then waits for the next body */
		if (is_input && inputs == operation->batch_size)
			break;

		if (slot->body + slot->size - end < MAX_ROW_SIZE)
		{
			size_t		length = end - slot->body;

			slot->size *= 2;
			slot->body = realloc(slot->body, slot->size);
			if (slot->body == NULL)
				fail("out of memory");
			end = slot->body + length;
		}
		end = operation->add(end, columns, is_input);
		PQfreemem(line);
		line = NULL;
		inputs += is_input;
		rows++;
	}
	if (inputs == 0)
		return false;

	/* in place of the last comma */
	if (operation->grouped)
		end = PUT(end - 1, AFTER_GROUP);
	end = PUT(end - 1, BODY_END);
	curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDS, slot->body);
	curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDSIZE,
					 (long) (end - slot->body));
	return true;
}

/* Is there a line, from before or by reading it? */
static bool
next_line(void)
{
	PGresult   *result;

	if (line)
		return true;
	/* at the end of the rows the COPY is over, and must not be asked again */
	if (PQtransactionStatus(connection) != PQTRANS_ACTIVE)
		return false;
	line_length = PQgetCopyData(connection, &line, 0);
	if (line_length > 0)
	{
		if (line_length > MAX_ROW_SIZE / 2)
			fail("a row is too long");
		return true;
	}

	result = PQgetResult(connection);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		fail("%s", PQerrorMessage(connection));
	PQclear(result);
	PQclear(PQgetResult(connection));
	return false;
}

/* The columns of the line; they end with a tab, the last with a newline. */
static void
split_line(Column *columns)
{
	const char *start = line;
	const char *end = line + line_length - 1;
	int			i = 0;

	do
	{
		const char *tab = end;

		if (i < operation->ncolumns - 1)
			tab = memchr(start, '\t', end - start);
		columns[i].text = start;
		columns[i].length = tab - start;
		start = tab + 1;
	} while (++i < operation->ncolumns);
}

static char *
add_create(char *end, const Column *columns, bool is_input)
{
	(void) is_input;
	end = PUT(end, BEFORE_FROM);
	end = put(end, columns[0].text, columns[0].length);
	end = PUT(end, BEFORE_TO);
	end = put(end, columns[1].text, columns[1].length);
	end = PUT(end, BEFORE_TYPE);
	end = put(end, columns[2].text, columns[2].length);
	return PUT(end, AFTER_TYPE);
}

static char *
add_label(char *end, const Column *columns, bool is_input)
{
	(void) is_input;
	end = PUT(end, BEFORE_FROM);
	end = put(end, columns[0].text, columns[0].length);
	end = PUT(end, BEFORE_TO);
	end = put(end, columns[1].text, columns[1].length);
	end = PUT(end, BEFORE_LABEL);
	end = put(end, columns[2].text, columns[2].length);
	return PUT(end, AFTER_TYPE);
}

static char *
add_default(char *end, const Column *columns, bool is_input)
{
	(void) is_input;
	end = PUT(end, BEFORE_FROM);
	end = put(end, columns[0].text, columns[0].length);
	end = PUT(end, BEFORE_TO);
	end = put(end, columns[1].text, columns[1].length);
	return PUT(end, AFTER_TO);
}

static char *
add_read(char *end, const Column *columns, bool is_input)
{
	(void) is_input;
	end = PUT(end, BEFORE_ID);
	end = put(end, columns[0].text, columns[0].length);
	return PUT(end, AFTER_ID);
}

/* A row of the open group, or the first one of a new group. */
static char *
add_archive(char *end, const Column *columns, bool is_input)
{
	if (is_input)
	{
		/* in place of the comma after the last id of the group before */
		if (end[-1] == ',')
			end = PUT(end - 1, AFTER_GROUP);
		end = PUT(end, BEFORE_FROM);
		end = put(end, columns[0].text, columns[0].length);
		end = PUT(end, BEFORE_GROUP);
	}
	end = PUT(end, BEFORE_ID);
	end = put(end, columns[1].text, columns[1].length);
	return PUT(end, AFTER_ID);
}

static char *
put(char *end, const char *bytes, size_t length)
{
	memcpy(end, bytes, length);
	return end + length;
}

static void
send_slot(Slot *slot)
{
	int			running;

	if (curl_multi_add_handle(multi, slot->easy) != CURLM_OK ||
		curl_multi_perform(multi, &running) != CURLM_OK)
		fail("could not begin a request");
	requests++;
}

/* Drive the requests until one is answered; its slot is free again. */
static Slot *
wait_for_slot(void)
{
	for (;;)
	{
		int			left;
		CURLMsg    *message = curl_multi_info_read(multi, &left);

		if (message != NULL)
		{
			CURL	   *easy = message->easy_handle;
			Slot	   *slot;

			if (!succeeded(easy, message->data.result))
				failures++;
			curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &slot);
			if (kept != NULL)
				keep_values(slot);
			slot->answer_length = 0;
			curl_multi_remove_handle(multi, easy);
			return slot;
		}
		if (curl_multi_poll(multi, NULL, 0, 60000, NULL) != CURLM_OK ||
			curl_multi_perform(multi, &left) != CURLM_OK)
			fail("could not wait for the requests");
	}
}

/* Write callback that keeps the answer. */
static size_t
collect(char *bytes, size_t size, size_t count, void *arg)
{
	Slot	   *slot = arg;
	size_t		length = size * count;

	if (slot->answer_size - slot->answer_length < length)
	{
		size_t		wanted = slot->answer_size > 0 ? slot->answer_size : BODY_SIZE;

		while (wanted - slot->answer_length < length)
			wanted *= 2;
		slot->answer = realloc(slot->answer, wanted);
		if (slot->answer == NULL)
			fail("out of memory");
		slot->answer_size = wanted;
	}
	memcpy(slot->answer + slot->answer_length, bytes, length);
	slot->answer_length += length;
	return length;
}

/*
 * What is kept takes the place of the answer: each value has a character before
 * it that is not kept, so it never reaches what has yet to be read.
 */
static void
keep_values(const Slot *slot)
{
	const char *text = slot->answer;
	const char *end = text + slot->answer_length;
	char	   *to = slot->answer;

	while (text < end)
	{
		const char *start = text;

		if (*text == '"')
		{
			text = end_of_string(text, end);
			/* the name of what follows is not a value */
			if (text < end && *text == ':')
				continue;
		}
		else if (*text == '}')
		{
			text++;
			*to++ = '\n';
			continue;
		}
		else if (strchr("{[,:] \t\r\n", *text) != NULL)
		{
			text++;
			continue;
		}
		else
		{
			while (text < end && strchr(",]} \t\r\n", *text) == NULL)
				text++;
		}
		memmove(to, start, text - start);
		to += text - start;
		*to++ = '\t';
	}
	fwrite(slot->answer, 1, to - slot->answer, kept);
	if (ferror(kept))
		fail("could not write to the temporary file");
}

/* What follows a string that begins here. */
static const char *
end_of_string(const char *text, const char *end)
{
	for (;;)
	{
		const char *quote = memchr(text + 1, '"', end - text - 1);
		const char *escape = quote;

		if (quote == NULL)
			return end;
		while (escape[-1] == '\\')
			escape--;
		text = quote;
		if ((quote - escape) % 2 == 0)
			return quote + 1;
	}
}
