/*-------------------------------------------------------------------------
 *
 * bare_batch.c
 *		The least that hs_assoc_batch_create() could cost: reads the table
 *		"links" through COPY, builds the same bodies, byte for byte, sends
 *		them with N requests in flight and throws the answers away.
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

#define QUERY	"COPY (SELECT from_id, to_id, type_id FROM links) TO STDOUT"
#define PATH	"/crm/associations/2026-03/contacts/companies/batch/create"

/* The fixed parts of a body, around the three columns of each row */
#define BODY_START	"{\"inputs\":["
#define BEFORE_FROM	"{\"from\":{\"id\":\""
#define BEFORE_TO	"\"},\"to\":{\"id\":\""
#define BEFORE_TYPE \
	"\"},\"types\":[{\"associationCategory\":\"HUBSPOT_DEFINED\"," \
	"\"associationTypeId\":"
#define AFTER_TYPE	"}]},"
#define BODY_END	"]}"

/* More than an input can take: the fixed parts and three integers of a row */
#define MAX_INPUT_SIZE	256

typedef struct Slot
{
	CURL	   *easy;
	char	   *body;
} Slot;

static PGconn *connection;
static CURLM *multi;
static int	batch_size = 2000;
static long rows,
			requests,
			failures;

static void connect_to(const char *conninfo, clockid_t *server_clock);
static void start_copy(void);
static bool fill(Slot *slot);
static char *put(char *end, const char *bytes, size_t length);
static void send_slot(Slot *slot);
static Slot *wait_for_slot(void);

int
main(int argc, char **argv)
{
	const char *conninfo = "";
	const char *base_url = NULL;
	const char *token = "token";
	int			concurrency = 4;
	double		started = seconds(CLOCK_MONOTONIC);
	double		server_started;
	double		server_cpu;
	clockid_t	server_clock;
	struct curl_slist *headers;
	char		url[1024];
	Slot	   *slots;
	Slot	   *slot;
	int			option;
	int			used;

	while ((option = getopt(argc, argv, "d:u:t:c:b:")) != -1)
	{
		if (option == 'd')
			conninfo = optarg;
		else if (option == 'u')
			base_url = optarg;
		else if (option == 't')
			token = optarg;
		else if (option == 'c')
			concurrency = atoi(optarg);
		else if (option == 'b')
			batch_size = atoi(optarg);
	}
	if (base_url == NULL || concurrency < 1 || batch_size < 1)
		fail("usage: %s -u BASE_URL [-d CONNINFO] [-t TOKEN] [-c CONCURRENCY] [-b BATCH_SIZE]",
			 argv[0]);

	connect_to(conninfo, &server_clock);
	server_started = seconds(server_clock);
	start_copy();

	curl_global_init(CURL_GLOBAL_DEFAULT);
	multi = curl_multi_init();
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long) concurrency);
	headers = make_headers(token);
	snprintf(url, sizeof(url), "%s" PATH, base_url);
	slots = calloc(concurrency, sizeof(Slot));
	for (int i = 0; i < concurrency; i++)
	{
		slots[i].easy = make_easy(headers);
		curl_easy_setopt(slots[i].easy, CURLOPT_URL, url);
		curl_easy_setopt(slots[i].easy, CURLOPT_PRIVATE, &slots[i]);
		slots[i].body = malloc((size_t) batch_size * MAX_INPUT_SIZE +
							   sizeof(BODY_START BODY_END));
		if (slots[i].body == NULL)
			fail("out of memory");
	}

	/* Each slot once, then each again as soon as its request is answered. */
	for (used = 0; used < concurrency && fill(&slots[used]); used++)
		send_slot(&slots[used]);
	while (used > 0)
	{
		slot = wait_for_slot();
		if (fill(slot))
			send_slot(slot);
		else
			used--;
	}

	server_cpu = seconds(server_clock) - server_started;
	PQfinish(connection);
	printf("rows=%ld requests=%ld failures=%ld wall=%.6f client_cpu=%.6f server_cpu=%.6f\n",
		   rows, requests, failures,
		   seconds(CLOCK_MONOTONIC) - started,
		   seconds(CLOCK_PROCESS_CPUTIME_ID), server_cpu);
	return failures > 0;
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
start_copy(void)
{
	PGresult   *result = PQexec(connection, QUERY);

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
	char	   *end;
	char	   *line;
	int			length;
	int			inputs = 0;

	/* at the end of the rows the COPY is over, and must not be asked again */
	if (PQtransactionStatus(connection) != PQTRANS_ACTIVE)
		return false;

	end = put(slot->body, BODY_START, strlen(BODY_START));
	while (inputs < batch_size &&
		   (length = PQgetCopyData(connection, &line, 0)) > 0)
	{
		char	   *to_id = memchr(line, '\t', length) + 1;
		char	   *type_id = memchr(to_id, '\t', line + length - to_id) + 1;

		end = put(end, BEFORE_FROM, strlen(BEFORE_FROM));
		end = put(end, line, to_id - line - 1);
		end = put(end, BEFORE_TO, strlen(BEFORE_TO));
		end = put(end, to_id, type_id - to_id - 1);
		end = put(end, BEFORE_TYPE, strlen(BEFORE_TYPE));
		/* the line ends with a newline */
		end = put(end, type_id, line + length - type_id - 1);
		end = put(end, AFTER_TYPE, strlen(AFTER_TYPE));
		PQfreemem(line);
		inputs++;
	}
	if (inputs < batch_size)
	{
		PGresult   *result = PQgetResult(connection);

		if (PQresultStatus(result) != PGRES_COMMAND_OK)
			fail("%s", PQerrorMessage(connection));
		PQclear(result);
		PQclear(PQgetResult(connection));
	}
	if (inputs == 0)
		return false;

	/* in place of the last comma */
	end = put(end - 1, BODY_END, strlen(BODY_END));
	curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDS, slot->body);
	curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDSIZE,
					 (long) (end - slot->body));
	rows += inputs;
	return true;
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
			curl_multi_remove_handle(multi, easy);
			return slot;
		}
		if (curl_multi_poll(multi, NULL, 0, 60000, NULL) != CURLM_OK ||
			curl_multi_perform(multi, &left) != CURLM_OK)
			fail("could not wait for the requests");
	}
}
