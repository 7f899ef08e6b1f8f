/*-------------------------------------------------------------------------
 *
 * addresses.c
 *	  Preloaded into a server: a host has addresses of many kinds.
 *
 * Names in the domain .example have the addresses that their first label says, in
 * this order, whatever the local machine has; changing.example has those that the
 * file ADDRESSES says at that time:
 *
 *		<a port that answers> <a port that doesn't> <letters>
 *
 * Each letter is an address, of IPv4 or of IPv6:
 *
 *		w x		works: connections are made to the first port of 127.0.0.1
 *		s t		is silent: they are made to the second port, which is to be one
 *				that they wait at for ever
 *		r q		refuses at once
 *		u v		cannot be reached at all, which is known at once
 *
 * For each lookup, and each connection to such an address, its letter (or a dot,
 * for a lookup) is appended to the file ADDRESSES_SEEN.
 *
 * IDENTIFICATION
 *	  test/unit/addresses.c
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_ADDRESSES	100

/* What one piece of memory has, so that it can be freed as one. */
typedef struct Address
{
	struct addrinfo info;
	struct sockaddr_in6 address;
} Address;

/* The function that would have been called. */
#define NEXT(function) ((__typeof__(&(function))) dlsym(RTLD_NEXT, #function))

static void
note(char letter)
{
	const char *name = getenv("ADDRESSES_SEEN");
	int			file = name ? open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;

	if (file < 0 || write(file, &letter, 1) != 1)
		abort();
	close(file);
}

/* What the file says; the letters have room for MAX_ADDRESSES. */
static void
read_file(int *works, int *silent, char *letters)
{
	FILE	   *file = fopen(getenv("ADDRESSES"), "re");

	if (file == NULL || fscanf(file, "%d %d %99s", works, silent, letters) != 3)
		abort();
	fclose(file);
}

/* Is the letter one of IPv6? */
static int
is_six(char letter)
{
	return strchr("xtqv", letter) != NULL;
}

/* The letter is in the address: 10.255.0.<letter>, or fd00::<letter>. */
static struct addrinfo *
make_address(char letter, struct addrinfo *next)
{
	Address    *result = calloc(1, sizeof(Address));

	if (result == NULL)
		abort();
	result->info.ai_addr = (struct sockaddr *) &result->address;
	result->info.ai_socktype = SOCK_STREAM;
	result->info.ai_protocol = IPPROTO_TCP;
	result->info.ai_next = next;
	if (!is_six(letter))
	{
		struct sockaddr_in *address = (struct sockaddr_in *) &result->address;

		address->sin_family = AF_INET;
		address->sin_addr.s_addr = htonl(0x0aff0000 | (unsigned char) letter);
		result->info.ai_addrlen = sizeof(*address);
	}
	else
	{
		result->address.sin6_family = AF_INET6;
		result->address.sin6_addr.s6_addr[0] = 0xfd;
		result->address.sin6_addr.s6_addr[15] = (unsigned char) letter;
		result->info.ai_addrlen = sizeof(result->address);
	}
	result->info.ai_family = result->address.sin6_family;
	return &result->info;
}

int
getaddrinfo(const char *name, const char *service,
			const struct addrinfo *hints, struct addrinfo **result)
{
	const char *domain = name ? strrchr(name, '.') : NULL;
	int			works;
	int			silent;
	char		letters[MAX_ADDRESSES];

	if (domain == NULL || strcmp(domain, ".example") != 0)
		return NEXT(getaddrinfo) (name, service, hints, result);
	read_file(&works, &silent, letters);
	if (strncmp(name, "changing.", strlen("changing.")) != 0)
		snprintf(letters, sizeof(letters), "%.*s", (int) strcspn(name, "."), name);
	note('.');
	*result = NULL;
	for (size_t i = strlen(letters); i-- > 0;)
		*result = make_address(letters[i], *result);
	return *result ? 0 : EAI_NONAME;
}

void
freeaddrinfo(struct addrinfo *list)
{
	/* ours have their address in the same piece of memory */
	if (list == NULL || (void *) list->ai_addr != &((Address *) list)->address)
	{
		NEXT(freeaddrinfo) (list);
		return;
	}
	while (list)
	{
		struct addrinfo *next = list->ai_next;

		free(list);
		list = next;
	}
}

/* The letter of an address, or 0: it is another one. */
static char
letter_of(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
	{
		in_addr_t	number = ntohl(((const struct sockaddr_in *) address)->sin_addr.s_addr);

		return (number >> 8) == 0x0aff00 ? (char) (number & 0xff) : 0;
	}
	if (address->sa_family == AF_INET6)
	{
		const unsigned char *bytes =
		((const struct sockaddr_in6 *) address)->sin6_addr.s6_addr;

		return bytes[0] == 0xfd && bytes[1] == 0 ? (char) bytes[15] : 0;
	}
	return 0;
}

int
connect(int socket, const struct sockaddr *address, socklen_t size)
{
	char		letter = letter_of(address);
	struct sockaddr_in four = {.sin_family = AF_INET};
	struct sockaddr_in6 mapped = {.sin6_family = AF_INET6};
	int			works;
	int			silent;
	char		letters[MAX_ADDRESSES];

	if (letter == 0)
		return NEXT(connect) (socket, address, size);
	note(letter);
	read_file(&works, &silent, letters);
	switch (letter)
	{
		case 'r':
		case 'q':
			errno = ECONNREFUSED;
			return -1;
		case 'u':
		case 'v':
			errno = ENETUNREACH;
			return -1;
		case 's':
		case 't':
			works = silent;
			break;
	}
	inet_pton(AF_INET, "127.0.0.1", &four.sin_addr);
	inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr);
	four.sin_port = mapped.sin6_port = htons((uint16_t) works);
	if (address->sa_family == AF_INET)
		return NEXT(connect) (socket, (struct sockaddr *) &four, sizeof(four));
	return NEXT(connect) (socket, (struct sockaddr *) &mapped, sizeof(mapped));
}
