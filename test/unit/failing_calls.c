/*-------------------------------------------------------------------------
 *
 * failing_calls.c
 *	  Preloaded into a server: a call that the extension makes fails, and its
 *	  clock goes ahead.
 *
 * The file that FAILING_CALLS names holds a Fuse, which the test writes: the
 * name of a function, how many calls of it from here on it is until the one
 * that fails, and what that one returns (or sets errno to).  Calls are counted
 * down in the file, so the test can read there whether it came to that.  Only
 * calls that come from the extension's library count.  To these, clocks that
 * nobody sets are so many seconds ahead as the Fuse says.
 *
 * If the Fuse names a step, a function of the library by where it lies in there, calls
 * count that the server makes, too, while it is in that function.
 *
 * Lookups of names in the domain .invalid find nothing, without asking anybody, but
 * only after a moment, so that they are waited for.
 * While connect is the function, every other connection from here on is refused, but
 * only a moment later, as those to another host are; the ones between are made to
 * 127.0.0.1, also those to IPv6's.
 *
 * IDENTIFICATION
 *	  test/unit/failing_calls.c
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* libcurl wraps these in macros that check the types of arguments. */
#undef curl_easy_setopt
#undef curl_multi_setopt

typedef struct Fuse
{
	char		function[32];
	int32_t		calls;			/* 0: none fails (any more) */
	int32_t		result;
	int64_t		ahead;			/* seconds */
	uint64_t	step_start;		/* from the library's beginning */
	uint64_t	step_end;		/* 0: no step */
} Fuse;

#define MAX_FRAMES	100

static Fuse none;
static Fuse *fuse = &none;

extern void *__libc_malloc(size_t size);
extern void *__libc_realloc(void *pointer, size_t size);

__attribute__((constructor))
static void
look_for_fuse(void)
{
	const char *name = getenv("FAILING_CALLS");
	void	   *frame;
	int			file = name ? open(name, O_RDWR | O_CLOEXEC) : -1;

	if (file < 0)
		return;
	fuse = mmap(NULL, sizeof(Fuse), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (fuse == MAP_FAILED)
		abort();
	close(file);
	(void) backtrace(&frame, 1);	/* the first one loads a library */
}

/* Does a call that comes from that address come from the extension? */
static int
is_ours(void *caller)
{
	Dl_info		info;

	return dladdr(caller, &info) != 0 &&
		strstr(info.dli_fname, "/hubspot_assoc.so") != NULL;
}

/* Where the server's program and the extension lie; dladdr takes too long for each. */
typedef struct Place
{
	uintptr_t	base;
	uintptr_t	end;			/* 0: not known yet */
} Place;

static Place server;
static Place library;

static int
find_place(struct dl_phdr_info *info, size_t size, void *arg)
{
	int			is_library = strstr(info->dlpi_name, "/hubspot_assoc.so") != NULL;
	Place	   *place = is_library ? &library : &server;

	/* the program comes first */
	if (!is_library && server.end != 0)
		return 0;
	place->base = info->dlpi_addr;
	for (int i = 0; i < info->dlpi_phnum; i++)
	{
		uintptr_t	end = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr +
		info->dlpi_phdr[i].p_memsz;

		if (info->dlpi_phdr[i].p_type == PT_LOAD && end > place->end)
			place->end = end;
	}
	return is_library;
}

static int
is_in(const Place *place, void *address)
{
	return (uintptr_t) address >= place->base && (uintptr_t) address < place->end;
}

/* Are we in the function that the Fuse names, called by the server or the extension? */
static int
is_in_step(void *caller)
{
	static __thread int looking = 0;
	void	   *frames[MAX_FRAMES];
	int			found = 0;

	if (library.end == 0)
		dl_iterate_phdr(find_place, NULL);
	if (looking || !(is_in(&server, caller) || is_in(&library, caller)))
		return 0;
	looking = 1;
	for (int i = backtrace(frames, MAX_FRAMES) - 1; i >= 0 && !found; i--)
	{
		uint64_t	place = (uintptr_t) frames[i] - library.base;

		found = is_in(&library, frames[i]) &&
			place > fuse->step_start && place <= fuse->step_end;
	}
	looking = 0;
	return found;
}

/* Does this call fail? */
static int
fails(const char *function, void *caller)
{
	if (fuse->calls <= 0 || strcmp(fuse->function, function) != 0)
		return 0;
	if (fuse->step_end == 0 ? !is_ours(caller) : !is_in_step(caller))
		return 0;
	return __sync_sub_and_fetch(&fuse->calls, 1) == 0;
}

#define CALLER __builtin_return_address(0)
#define FAILS(function) fails(function, CALLER)

/* The function that would have been called. */
#define NEXT(function) ((__typeof__(&(function))) dlsym(RTLD_NEXT, #function))

static int
with_errno(void)
{
	errno = fuse->result;
	return -1;
}

/* A program that watches memory has its own of these. */
#ifndef MEMORY_IS_WATCHED
void *
malloc(size_t size)
{
	return FAILS("malloc") ? NULL : __libc_malloc(size);
}

void *
realloc(void *pointer, size_t size)
{
	return FAILS("realloc") ? NULL : __libc_realloc(pointer, size);
}
#endif

int
clock_gettime(clockid_t clock, struct timespec *now)
{
	int			result = NEXT(clock_gettime) (clock, now);

	if (fuse->ahead != 0 && clock != CLOCK_REALTIME && is_ours(CALLER))
		now->tv_sec += fuse->ahead;
	return result;
}

int
socket(int family, int type, int protocol)
{
	return FAILS("socket") ? with_errno() : NEXT(socket) (family, type, protocol);
}

static int
refuses_connections(void)
{
	return strcmp(fuse->function, "connect") == 0;
}

int
connect(int socket, const struct sockaddr *address, socklen_t size)
{
	struct sockaddr_in6 mapped;

	if (refuses_connections() && address->sa_family != AF_UNIX)
	{
		if (__sync_sub_and_fetch(&fuse->calls, 1) % 2 != 0)
		{
			errno = EINPROGRESS;
			return -1;
		}
		if (address->sa_family == AF_INET6)
		{
			mapped = *(const struct sockaddr_in6 *) address;
			inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr);
			address = (const struct sockaddr *) &mapped;
		}
	}
	return NEXT(connect) (socket, address, size);
}

int
getsockopt(int socket, int level, int option, void *value, socklen_t * size)
{
	int			result = NEXT(getsockopt) (socket, level, option, value, size);
	struct sockaddr_storage peer;
	socklen_t	peer_size = sizeof(peer);

	if (refuses_connections() && result == 0 &&
		level == SOL_SOCKET && option == SO_ERROR && *(int *) value == 0 &&
		getpeername(socket, (struct sockaddr *) &peer, &peer_size) != 0)
		*(int *) value = ECONNREFUSED;
	return result;
}

int
epoll_wait(int epoll, struct epoll_event *events, int max, int timeout)
{
	return FAILS("epoll_wait") ? with_errno() :
		NEXT(epoll_wait) (epoll, events, max, timeout);
}

int
fstat(int file, struct stat *status)
{
	return FAILS("fstat") ? with_errno() : NEXT(fstat) (file, status);
}

/* The same where off_t has 32 bits, and the server is compiled for large files. */
int
fstat64(int file, struct stat64 *status)
{
	return FAILS("fstat") ? with_errno() : NEXT(fstat64) (file, status);
}

ssize_t
read(int file, void *buffer, size_t size)
{
	return FAILS("read") ? with_errno() : NEXT(read) (file, buffer, size);
}

int
getaddrinfo(const char *name, const char *service,
			const struct addrinfo *hints, struct addrinfo **result)
{
	const char *domain = name ? strrchr(name, '.') : NULL;

	if (domain && strcmp(domain, ".invalid") == 0)
	{
		const struct timespec moment = {.tv_nsec = 10 * 1000 * 1000};

		nanosleep(&moment, NULL);
		return EAI_NONAME;
	}
	return NEXT(getaddrinfo) (name, service, hints, result);
}

CURLcode
curl_global_init(long flags)
{
	return FAILS("curl_global_init") ? (CURLcode) fuse->result :
		NEXT(curl_global_init) (flags);
}

CURL *
curl_easy_init(void)
{
	return FAILS("curl_easy_init") ? NULL : NEXT(curl_easy_init) ();
}

/* Each option has one argument: a curl_off_t, or what is passed like a pointer. */
CURLcode
curl_easy_setopt(CURL *easy, CURLoption option,...)
{
	int			is_offset = option >= CURLOPTTYPE_OFF_T && option < CURLOPTTYPE_BLOB;
	curl_off_t	offset = 0;
	void	   *value = NULL;
	va_list		arguments;

	va_start(arguments, option);
	if (is_offset)
		offset = va_arg(arguments, curl_off_t);
	else
		value = va_arg(arguments, void *);
	va_end(arguments);
	if (FAILS("curl_easy_setopt"))
		return (CURLcode) fuse->result;
	return is_offset ? NEXT(curl_easy_setopt) (easy, option, offset) :
		NEXT(curl_easy_setopt) (easy, option, value);
}

struct curl_slist *
curl_slist_append(struct curl_slist *list, const char *text)
{
	return FAILS("curl_slist_append") ? NULL :
		NEXT(curl_slist_append) (list, text);
}

CURLM *
curl_multi_init(void)
{
	return FAILS("curl_multi_init") ? NULL : NEXT(curl_multi_init) ();
}

/* None that the extension sets is a curl_off_t. */
CURLMcode
curl_multi_setopt(CURLM *multi, CURLMoption option,...)
{
	va_list		arguments;
	void	   *value;

	va_start(arguments, option);
	value = va_arg(arguments, void *);
	va_end(arguments);
	return FAILS("curl_multi_setopt") ? (CURLMcode) fuse->result :
		NEXT(curl_multi_setopt) (multi, option, value);
}

CURLMcode
curl_multi_add_handle(CURLM *multi, CURL *easy)
{
	return FAILS("curl_multi_add_handle") ? (CURLMcode) fuse->result :
		NEXT(curl_multi_add_handle) (multi, easy);
}

CURLMcode
curl_multi_socket_action(CURLM *multi, curl_socket_t socket, int events,
						 int *running)
{
	return FAILS("curl_multi_socket_action") ? (CURLMcode) fuse->result :
		NEXT(curl_multi_socket_action) (multi, socket, events, running);
}
