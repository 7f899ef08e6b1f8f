/*-------------------------------------------------------------------------
 *
 * sockets.c
 *	  Sockets of a library, watched together with the latch.
 *
 * The library says which of its sockets it wants watched, and for what; a wait
 * is for those, the latch and the postmaster's death.  All that is called by
 * the library's callbacks neither throws nor pallocs.
 *
 * The WaitEventSet is kept from one wait to the next: for requests that follow
 * each other on one connection, making it anew would cost more than waiting.
 * A socket that isn't to be watched for now stays in the set until it has
 * something to say or is closed.  That holds only for sockets that we can
 * recognize, those of hubspot_open_socket(): others may be closed, and their
 * numbers used again, without the set's knowing.
 *
 * Sockets of hubspot_open_socket() count against the server's limit of
 * descriptors for this process.  libcurl 7.88 closes one that is still
 * connecting without telling us, so each is known by its inode: whenever we
 * hear of its number, and when the next socket is opened, we notice that it is
 * gone.
 *
 * While the library works, another thread may shut sockets down (guard.c).  What
 * the library's callbacks do to the array is therefore done under a mutex; at
 * other times that thread doesn't look at it.
 *
 * IDENTIFICATION
 *	  src/http/sockets.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/compat.h"
#include "http/sockets.h"

/* A socket of the library. */
typedef struct Watched
{
	int			socket;
	bool		opened_here;	/* by hubspot_open_socket */
	dev_t		device;			/* if so, what it is */
	ino_t		inode;
	uint32		events;			/* WL_SOCKET_... wanted; 0: none for now */
	bool		multiplexed;	/* what comes on it names its request */
	int			position;		/* in the set, -1: it isn't there */
	uint32		set_events;		/* the events that the set has for it */
} Watched;

/* The session's sockets. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static Watched *watched_sockets = NULL; /* malloc'ed */
static int	nwatched = 0;
static int	maxwatched = 0;
static WaitEventSet *set = NULL;
static bool set_is_stale = false;	/* the set has to be made anew */

static int	open_socket(int family, int type, int protocol);
static bool make_ours(Watched *watched);
static void notice_end(Watched *watched);
static bool is_ours(const Watched *watched);
static void forget_closed(void);
static bool watch_socket(int socket, uint32 events, bool multiplexed);
static void update_set(void);
static void make_set(void);
static void create_set(void);
static bool has_descriptor(void);
static bool is_open(int fd);
static Watched *find_watched(int socket);
static Watched *add_watched(int socket);
static void remove_watched(Watched *watched);

/* Like socket(), errno included; -1: none can be had.  Called by callbacks. */
int
hubspot_open_socket(int family, int type, int protocol)
{
	int			result;

	pthread_mutex_lock(&mutex);
	result = open_socket(family, type, protocol);
	pthread_mutex_unlock(&mutex);
	return result;
}

static int
open_socket(int family, int type, int protocol)
{
	int			result;
	int			error;

	forget_closed();
	if (!AcquireExternalFD())
		return -1;
	result = socket(family, type | SOCK_CLOEXEC, protocol);
	if (result >= 0)
	{
		/*
		 * Its number may be that of an earlier socket.  If the library has
		 * not said that this is no longer to be watched, it will not say that
		 * the new one is.
		 */
		Watched    *watched = find_watched(result);

		if (watched == NULL)
			watched = add_watched(result);
		if (watched && make_ours(watched))
			return result;
		if (watched)
			remove_watched(watched);
		close(result);
		errno = ENOMEM;
	}
	error = errno;
	ReleaseExternalFD();
	errno = error;
	return -1;
}

/* Close a socket of hubspot_open_socket().  May be called by callbacks. */
int
hubspot_close_socket(int socket)
{
	Watched    *watched;
	int			result;

	/*
	 * hold the mutex until it is closed, since the number may then be another
	 * file's
	 */
	pthread_mutex_lock(&mutex);
	watched = find_watched(socket);
	if (watched)
	{
		if (watched->opened_here)
			ReleaseExternalFD();
		remove_watched(watched);
	}
	result = close(socket);
	pthread_mutex_unlock(&mutex);
	return result;
}

/*
 * Shut down a socket of hubspot_open_socket(), or all of them (-1), so that a
 * reader finds it at its end.  Called by another thread, while the library
 * works.
 */
void
hubspot_cut_sockets(int socket)
{
	pthread_mutex_lock(&mutex);
	for (int i = 0; i < nwatched; i++)
	{
		const Watched *watched = &watched_sockets[i];

		if ((socket == -1 || watched->socket == socket) && is_ours(watched))
			(void) shutdown(watched->socket, SHUT_RDWR);
	}
	pthread_mutex_unlock(&mutex);
}

/*
 * Note a socket that was opened just now; false: it could not be recognized
 * later.
 */
static bool
make_ours(Watched *watched)
{
	struct stat status;

	if (fstat(watched->socket, &status) != 0)
		return false;
	watched->opened_here = true;
	watched->multiplexed = false;
	watched->device = status.st_dev;
	watched->inode = status.st_ino;
	if (watched->position >= 0)
	{
		watched->position = -1;
		set_is_stale = true;
	}
	return true;
}

/*
 * If the library has closed a socket of ours by itself, it no longer counts
 * and is not ours: its number may be that of another file by now.  Called by
 * callbacks.
 */
static void
notice_end(Watched *watched)
{
	if (!watched->opened_here || is_ours(watched))
		return;
	ReleaseExternalFD();
	watched->opened_here = false;
}

/* Is it still the socket that was opened here? */
static bool
is_ours(const Watched *watched)
{
	struct stat status;

	return watched->opened_here &&
		fstat(watched->socket, &status) == 0 &&
		status.st_dev == watched->device && status.st_ino == watched->inode;
}

/* Notice which of all our sockets are closed.  Called by callbacks. */
static void
forget_closed(void)
{
	for (int i = nwatched - 1; i >= 0; i--)
	{
		Watched    *watched = &watched_sockets[i];

		notice_end(watched);
		if (!watched->opened_here && watched->events == 0)
			remove_watched(watched);
	}
}

/*
 * Watch a socket for these events, WL_SOCKET_READABLE or _WRITEABLE or both,
 * or for none, after a request that was multiplexed or not.  False: out of
 * memory.  May be called by callbacks.
 */
bool
hubspot_watch_socket(int socket, uint32 events, bool multiplexed)
{
	bool		result;

	pthread_mutex_lock(&mutex);
	result = watch_socket(socket, events, multiplexed);
	pthread_mutex_unlock(&mutex);
	return result;
}

static bool
watch_socket(int socket, uint32 events, bool multiplexed)
{
	Watched    *watched = find_watched(socket);

	if (watched == NULL)
	{
		if (events == 0)
			return true;
		watched = add_watched(socket);
		if (watched == NULL)
			return false;
	}
	notice_end(watched);
	if (events == 0 && !watched->opened_here)
		remove_watched(watched);
	else
	{
		watched->events = events;
		watched->multiplexed |= multiplexed;
	}
	return true;
}

/*
 * Shut down the sockets that no request uses and that have something to say.
 * Nobody has asked for that: a 408 by which some servers close a connection, or
 * the rest of an answer, or a second one, of a peer that is out of step.
 * libcurl 7.88 would take it for the answer to the next request.
 */
void
hubspot_drop_unasked(void)
{
	char		buffer[4096];

	for (int i = 0; i < nwatched; i++)
	{
		const Watched *watched = &watched_sockets[i];

		if (watched->events != 0 || watched->multiplexed || !is_ours(watched) ||
			recv(watched->socket, buffer, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
			continue;
		/* the library looks only for the end, before it uses it again */
		(void) shutdown(watched->socket, SHUT_RDWR);
		while (recv(watched->socket, buffer, sizeof(buffer), MSG_DONTWAIT) > 0)
			;
	}
}

/* Is a socket to be watched? */
bool
hubspot_is_watched(int socket)
{
	Watched    *watched = find_watched(socket);

	return watched && watched->events != 0;
}

/*
 * Wait for the sockets, no longer than timeout (ms; 0: not at all, -1: for
 * ever), or until hubspot_keep_watch() has something to do, and serve
 * interrupts.  Returns how many events there are; the latch is not one of them.
 */
int
hubspot_wait_sockets(long timeout, WaitEvent *events, int maxevents,
					 bool *latch_set)
{
	int64		watch = hubspot_next_watch();
	int			nevents;
	int			nsockets = 0;

	*latch_set = false;
	if (watch != HUBSPOT_NEVER)
	{
		int64		ms = Max(watch - hubspot_now(), 0) / 1000 + 1;

		timeout = (timeout < 0) ? ms : Min(timeout, ms);
	}
	update_set();
	nevents = WaitEventSetWait(set, timeout, events, maxevents,
							   hubspot_wait_event());
	if (timeout != 0)			/* or else this was a look, not a wait */
		hubspot_keep_watch();
	for (int i = 0; i < nevents; i++)
	{
		if (events[i].events & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			*latch_set = true;
			CHECK_FOR_INTERRUPTS();
		}
		else if (hubspot_is_watched(events[i].fd))
			events[nsockets++] = events[i];
		else
			set_is_stale = true;	/* leave it out from now on */
	}
	return nsockets;
}

/* Make the set say what the library wants watched. */
static void
update_set(void)
{
	for (int i = 0; i < nwatched && !set_is_stale; i++)
	{
		Watched    *watched = &watched_sockets[i];

		if (watched->opened_here && (watched->events == 0 ||
									 watched->events == watched->set_events))
			continue;
		if (watched->position < 0 || !watched->opened_here)
			set_is_stale = true;
		else
		{
			ModifyWaitEvent(set, watched->position, watched->events, NULL);
			watched->set_events = watched->events;
		}
	}
	if (set == NULL || set_is_stale)
		make_set();
}

/*
 * Create the set, which needs a descriptor.  If sockets and other files of
 * this process have all that they may have together, some are not counted
 * while it is made: we may have to send less, but we have to be able to wait
 * for what was sent.
 */
static void
create_set(void)
{
	volatile int uncounted = 0;

	while (!has_descriptor())
	{
		ReleaseExternalFD();
		uncounted++;
	}
	PG_TRY();
	{
		set = hubspot_create_wait_event_set(nwatched + 2);
	}
	PG_FINALLY();
	{
		for (int i = 0; i < uncounted; i++)
			ReserveExternalFD();
	}
	PG_END_TRY();
}

/* Can the process have another descriptor? */
static bool
has_descriptor(void)
{
	if (!AcquireExternalFD())
		return false;
	ReleaseExternalFD();
	return true;
}

/* Can a descriptor that we have not opened be waited for? */
static bool
is_open(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && !S_ISREG(status.st_mode) &&
		!S_ISDIR(status.st_mode);
}

static void
make_set(void)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	if (set)
		FreeWaitEventSet(set);
	set = NULL;

	/* an error on the way leaves a stale set, to be freed the next time */
	set_is_stale = true;
	create_set();
	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	for (int i = nwatched - 1; i >= 0; i--)
	{
		Watched    *watched = &watched_sockets[i];

		notice_end(watched);
		if (!watched->opened_here && !is_open(watched->socket))
		{
			remove_watched(watched);
			continue;
		}
		watched->position = -1;
		watched->set_events = 0;
		if (watched->events == 0)
			continue;
		watched->position = AddWaitEventToSet(set, watched->events,
											  watched->socket, NULL, NULL);
		watched->set_events = watched->events;
	}
	set_is_stale = false;
	MemoryContextSwitchTo(old);
}

/* The place of a socket in the session's array, or NULL. */
static Watched *
find_watched(int socket)
{
	for (int i = 0; i < nwatched; i++)
	{
		if (watched_sockets[i].socket == socket)
			return &watched_sockets[i];
	}
	return NULL;
}

/* A new place in the array, or NULL: out of memory.  Called by callbacks. */
static Watched *
add_watched(int socket)
{
	Watched    *watched;

	if (nwatched == maxwatched)
	{
		int			size = Max(16, maxwatched * 2);
		Watched    *larger = realloc(watched_sockets, sizeof(Watched) * size);

		if (larger == NULL)
			return NULL;
		watched_sockets = larger;
		maxwatched = size;
	}
	watched = &watched_sockets[nwatched++];
	watched->socket = socket;
	watched->opened_here = false;
	watched->events = 0;
	watched->multiplexed = false;
	watched->position = -1;
	watched->set_events = 0;
	return watched;
}

/* Remove a place.  Called by callbacks. */
static void
remove_watched(Watched *watched)
{
	if (watched->position >= 0)
		set_is_stale = true;
	*watched = watched_sockets[--nwatched];
}
