/*-------------------------------------------------------------------------
 *
 * bare_single.c
 *		The least that many calls of hs_assoc_create_default() could cost: the
 *		same requests, byte for byte, one after the other, on one kept
 *		connection, for CALLS contacts from FIRST on.
 *
 * Prints one line of name=value pairs; client_cpu is this whole process, from
 * its start.  A failed request is counted, and makes the exit status 1.
 *
 * IDENTIFICATION
 *		test/bench/bare_single.c
 *
 *-------------------------------------------------------------------------
 */
#include "bare.h"

#define PATH	"/crm/objects/2026-03/contacts/%d/associations/default/companies/%d"

/* What a contact's number is raised by to be its company's */
#define TO_ID_OFFSET	100000

int
main(int argc, char **argv)
{
	const char *base_url = NULL;
	const char *token = "token";
	int			first = 1;
	int			calls = 10000;
	int			failures = 0;
	double		started = seconds(CLOCK_MONOTONIC);
	char		url[1024];
	CURL	   *easy;
	int			option;

	while ((option = getopt(argc, argv, "u:t:s:n:")) != -1)
	{
		if (option == 'u')
			base_url = optarg;
		else if (option == 't')
			token = optarg;
		else if (option == 's')
			first = atoi(optarg);
		else if (option == 'n')
			calls = atoi(optarg);
	}
	if (base_url == NULL || calls < 1)
		fail("usage: %s -u BASE_URL [-t TOKEN] [-s FIRST] [-n CALLS]", argv[0]);

	curl_global_init(CURL_GLOBAL_DEFAULT);
	easy = make_easy(make_headers(token, false));
	curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "PUT");

	for (int i = first; i < first + calls; i++)
	{
		snprintf(url, sizeof(url), "%s" PATH, base_url, i, TO_ID_OFFSET + i);
		curl_easy_setopt(easy, CURLOPT_URL, url);
		if (!succeeded(easy, curl_easy_perform(easy)))
			failures++;
	}

	printf("rows=%d requests=%d failures=%d wall=%.6f client_cpu=%.6f\n",
		   calls, calls, failures,
		   seconds(CLOCK_MONOTONIC) - started,
		   seconds(CLOCK_PROCESS_CPUTIME_ID));
	return failures > 0;
}
