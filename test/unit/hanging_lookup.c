/*-------------------------------------------------------------------------
 *
 * hanging_lookup.c
 *	  Preloaded into a server: lookups of one name hang, as with a dead
 *	  name server.
 *
 * A lookup of hangs.example appends a byte to the file HANGING_LOOKUP_SEEN, so
 * that a test can wait for it, and then waits until somebody opens the FIFO
 * HANGING_LOOKUP_FIFO for writing.  Then the name is not found.  Those of names in
 * the domain .invalid find nothing at once, without asking anybody.
 *
 * IDENTIFICATION
 *	  test/unit/hanging_lookup.c
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int (*getaddrinfo_function) (const char *, const char *,
									 const struct addrinfo *,
									 struct addrinfo **);

int
getaddrinfo(const char *name, const char *service,
			const struct addrinfo *hints, struct addrinfo **result)
{
	const char *seen = getenv("HANGING_LOOKUP_SEEN");
	const char *fifo = getenv("HANGING_LOOKUP_FIFO");
	const char *domain = name ? strrchr(name, '.') : NULL;
	getaddrinfo_function next;

	if (name && strcmp(name, "hangs.example") == 0 && seen && fifo)
	{
		int			file = open(seen, O_WRONLY | O_CREAT | O_APPEND, 0600);

		if (file < 0 || write(file, "x", 1) != 1)
			abort();
		close(file);
		file = open(fifo, O_RDONLY);
		if (file >= 0)
			close(file);
		return EAI_NONAME;
	}
	if (domain && strcmp(domain, ".invalid") == 0)
		return EAI_NONAME;
	*(void **) &next = dlsym(RTLD_NEXT, "getaddrinfo");
	return next(name, service, hints, result);
}
