/*-------------------------------------------------------------------------
 *
 * host.c
 *	  Hosts: of a URL, of this machine, of a list.
 *
 * IDENTIFICATION
 *	  src/base/host.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/host.h"

/*
 * The host of scheme://host[:port][/], palloc'd, or NULL if the text is
 * anything else.  The grammar is narrow on purpose: no text may mean one host
 * here and another one to libcurl.
 */
char *
hubspot_url_host(const char *url, const char *const *schemes, const char **scheme)
{
	const char *host = NULL;
	const char *p;
	const char *end;

	for (; *schemes != NULL && host == NULL; schemes++)
	{
		size_t		len = strlen(*schemes);

		if (pg_strncasecmp(url, *schemes, len) == 0 &&
			strncmp(url + len, "://", 3) == 0)
		{
			*scheme = *schemes;
			host = url + len + 3;
		}
	}
	if (host == NULL)
		return NULL;

	if (*host == '[')
	{
		end = host + 1 + strspn(host + 1, "0123456789abcdefABCDEF:.");
		if (*end != ']' || end == host + 1)
			return NULL;
		end++;
	}
	else
	{
		end = host + strspn(host, "abcdefghijklmnopqrstuvwxyz"
							"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.");
		if (end == host)
			return NULL;
	}

	p = end;
	if (*p == ':')
	{
		int			port = 0;
		size_t		digits = strspn(p + 1, "0123456789");

		if (digits < 1 || digits > 5)
			return NULL;
		port = atoi(p + 1);
		if (port < 1 || port > 65535)
			return NULL;
		p += 1 + digits;
	}
	if (*p == '/')
		p++;
	return *p == '\0' ? pnstrdup(host, end - host) : NULL;
}

/* Is the host this machine, and certainly no other? */
bool
hubspot_is_loopback(const char *host)
{
	int			a,
				b,
				c,
				d,
				len = 0;

	if (pg_strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
		return true;
	return strspn(host, "0123456789.") == strlen(host) &&
		sscanf(host, "%3d.%3d.%3d.%3d%n", &a, &b, &c, &d, &len) == 4 &&
		host[len] == '\0' && a == 127 && b <= 255 && c <= 255 && d <= 255;
}

/* Is the host in the comma-separated list, which is scribbled on? */
bool
hubspot_host_matches(const char *host, char *list)
{
	char	   *state = NULL;
	size_t		len = strlen(host);

	for (char *entry = strtok_r(list, ", \t\r\n", &state); entry != NULL;
		 entry = strtok_r(NULL, ", \t\r\n", &state))
	{
		const char *pattern = entry;

		if (pattern[0] == '*')
		{
			size_t		tail = strlen(pattern + 1);

			if (len > tail && pg_strcasecmp(host + len - tail, pattern + 1) == 0)
				return true;
		}
		else if (pg_strcasecmp(host, pattern) == 0)
			return true;
	}
	return false;
}

/*
 * The first entry of a comma-separated list that is neither a host nor
 * *.domain, or NULL.  The list is scribbled on.
 */
char *
hubspot_bad_host_pattern(char *list)
{
	char	   *state = NULL;

	for (char *entry = strtok_r(list, ", \t\r\n", &state); entry != NULL;
		 entry = strtok_r(NULL, ", \t\r\n", &state))
	{
		const char *host = entry;
		static const char *const schemes[] = {"https", NULL};
		const char *scheme;

		if (host[0] == '*' && host[1] == '.')
			host += 2;
		if (strchr(host, '/') != NULL ||
			(host[0] == '[' ? host[strlen(host) - 1] != ']' :
			 strchr(host, ':') != NULL) ||
			hubspot_url_host(psprintf("https://%s", host), schemes, &scheme) == NULL)
			return entry;
	}
	return NULL;
}
