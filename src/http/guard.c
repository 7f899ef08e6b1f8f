/*-------------------------------------------------------------------------
 *
 * guard.c
 *	  An end for calls of a library that a peer keeps from returning.
 *
 * libcurl reads a socket until it is empty, and returns only then.  A peer
 * that sends faster than we read (HTTP/2 PINGs, TLS session tickets, or
 * whatever else takes longer to read than to send) could thus keep a call busy
 * for ever; and since signals are blocked while libcurl works, no time limit,
 * no cancel and no shutdown would take effect.  Nothing in libcurl's interface
 * ends such a call from within, and a signal handler could run in libcurl's
 * own threads.
 *
 * So there is one thread for each session that uses libcurl.  It sleeps while
 * there is no call, and looks at a call that lasts every CHECK_INTERVAL.  A
 * call that has kept the CPU busy for MAX_TIME, or for MAX_TIME_INTERRUPTED
 * while somebody or a time limit wants it to end, loses its socket:
 * the thread shuts it down, libcurl finds it at its end, and returns.  If that
 * isn't enough, or if the call is not for one socket, the thread shuts down all
 * of them.  CPU time is what counts, since any call may take long on a busy
 * machine; and a call that uses none does not last, because the sockets do not
 * block.  What is taken of an answer's body, which has a bound, buys a call more
 * of it: a virtual machine whose host gives memory slowly has that as CPU time.
 *
 * The thread does nothing but that.  It blocks all signals, so PostgreSQL's
 * handlers never run in it; it calls no function of the server, allocates
 * nothing and throws nothing.  The struct below, which it shares with the
 * process, is guarded by the mutex.  The sockets of sockets.c, which it uses
 * while a call lasts, have a mutex of their own, because they change during a
 * call.  When a call has been left, the thread is no longer at work on it.
 *
 * IDENTIFICATION
 *	  src/http/guard.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "miscadmin.h"

#include "http/guard.h"
#include "http/sockets.h"

#define MILLISECOND				INT64CONST(1000000) /* in nanoseconds */

/* How often the thread looks at a call that lasts. */
#define CHECK_INTERVAL			(25 * MILLISECOND)

/*
 * The CPU time that a call may take, and what each byte of a body adds to that,
 * many times what it takes to read one; and what it may take while it is to end,
 * which a large reply can reach.
 */
#define MAX_TIME				(1000 * MILLISECOND)
#define MAX_TIME_A_BYTE			INT64CONST(500) /* in nanoseconds */
#define MAX_TIME_INTERRUPTED	(50 * MILLISECOND)

/* A thread that does so little needs no larger stack. */
#define STACK_SIZE				(256 * 1024)

/* The session's guard. */
static struct
{
	pthread_mutex_t mutex;		/* for all that follows */
	pthread_cond_t wake;
	pthread_t	thread;
	clockid_t	cpu_time;		/* of the thread that calls */
	bool		started;
	bool		asleep;			/* the thread waits to be woken */
	bool		in_call;
	uint64		calls;			/* so far */
	int			socket;			/* the one that the call is for, or -1 */
	int64		nbytes;			/* of bodies, taken in the call */
	int			cuts;			/* how often sockets were shut down in the
								 * call */
	sigset_t	signals;		/* those that were blocked before the call */
}			guard;

static bool start_thread(void);
static void *watch(void *arg);
static void check_call(int64 used);
static bool is_interrupted(void);
static int64 read_clock(clockid_t clock);
static void block_signals(sigset_t *old);

/* Start the thread, once a session; without it, the library must not be called. */
void
hubspot_guard_start(void)
{
	sigset_t	old;
	bool		started;

	if (guard.started)
		return;
	block_signals(&old);
	started = start_thread();
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!started)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not start a thread to watch over connections")));
	guard.started = true;
}

/* Start it with all signals blocked, since it inherits that from the caller. */
static bool
start_thread(void)
{
	pthread_attr_t attributes;
	pthread_condattr_t condition;
	bool		started;

	if (pthread_getcpuclockid(pthread_self(), &guard.cpu_time) != 0 ||
		pthread_condattr_init(&condition) != 0)
		return false;
	started = pthread_condattr_setclock(&condition, CLOCK_MONOTONIC) == 0 &&
		pthread_cond_init(&guard.wake, &condition) == 0 &&
		pthread_mutex_init(&guard.mutex, NULL) == 0;
	pthread_condattr_destroy(&condition);
	if (!started || pthread_attr_init(&attributes) != 0)
		return false;
	started = pthread_attr_setstacksize(&attributes, STACK_SIZE) == 0 &&
		pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0 &&
		pthread_create(&guard.thread, &attributes, watch, NULL) == 0;
	pthread_attr_destroy(&attributes);
	return started;
}

/*
 * A call of the library begins, for a socket or for none in particular (-1).
 * All signals are blocked until hubspot_guard_leave(), except those that a
 * fault in the code itself would raise.
 */
void
hubspot_guard_enter(int socket)
{
	sigset_t	old;

	Assert(guard.started && !guard.in_call);
	block_signals(&old);
	pthread_mutex_lock(&guard.mutex);
	guard.signals = old;
	guard.socket = socket;
	guard.calls++;
	guard.nbytes = 0;
	guard.cuts = 0;
	guard.in_call = true;
	if (guard.asleep)
		pthread_cond_signal(&guard.wake);
	pthread_mutex_unlock(&guard.mutex);
}

/* In a call, so much was taken of the body of an answer. */
void
hubspot_guard_progress(size_t nbytes)
{
	pthread_mutex_lock(&guard.mutex);
	guard.nbytes += nbytes;
	pthread_mutex_unlock(&guard.mutex);
}

/* The call has ended.  True: the thread has ended it. */
bool
hubspot_guard_leave(void)
{
	bool		cut;

	pthread_mutex_lock(&guard.mutex);
	guard.in_call = false;
	cut = (guard.cuts > 0);
	pthread_mutex_unlock(&guard.mutex);
	pthread_sigmask(SIG_SETMASK, &guard.signals, NULL);
	return cut;
}

/*
 * The thread.  Calls tend to be short and to follow each other, so it does not
 * go to sleep when a call ends, but when it has seen none for an interval.
 */
static void *
watch(void *arg)
{
	uint64		seen = 0;		/* the last call that was looked at */
	int64		start = 0;		/* the CPU time when it was seen first */

	pthread_mutex_lock(&guard.mutex);
	for (;;)
	{
		struct timespec until;
		int64		when;

		if (!guard.in_call && guard.calls == seen)
		{
			guard.asleep = true;
			pthread_cond_wait(&guard.wake, &guard.mutex);
			guard.asleep = false;
		}
		if (guard.calls != seen)
		{
			seen = guard.calls;
			start = read_clock(guard.cpu_time);
		}
		else if (guard.in_call)
			check_call(read_clock(guard.cpu_time) - start);

		when = read_clock(CLOCK_MONOTONIC) + CHECK_INTERVAL;
		until.tv_sec = when / (1000 * MILLISECOND);
		until.tv_nsec = when % (1000 * MILLISECOND);
		(void) pthread_cond_timedwait(&guard.wake, &guard.mutex, &until);
	}
	return NULL;
}

/*
 * A call has used that much CPU time.  If that is too much, shut down its
 * socket, then all sockets.
 */
static void
check_call(int64 used)
{
	int64		most = is_interrupted() ? MAX_TIME_INTERRUPTED :
	MAX_TIME + guard.nbytes * MAX_TIME_A_BYTE;

	if (used < most * (guard.cuts + 1))
		return;
	hubspot_cut_sockets(guard.cuts == 0 ? guard.socket : -1);
	guard.cuts++;
}

/*
 * Is an interrupt of this process pending, or a signal that would lead to one?  SIGUSR1 and
 * SIGHUP wait for MAX_TIME: they come without anybody wanting an end, as when another session
 * has changed the catalogs.
 */
static bool
is_interrupted(void)
{
	static const int interrupts[] = {
		SIGINT, SIGTERM, SIGQUIT, SIGALRM
	};
	sigset_t	pending;

	if (InterruptPending)
		return true;
	if (sigpending(&pending) != 0)
		return false;
	for (size_t i = 0; i < lengthof(interrupts); i++)
	{
		if (sigismember(&pending, interrupts[i]) == 1)
			return true;
	}
	return false;
}

static int64
read_clock(clockid_t clock)
{
	struct timespec now = {0};

	(void) clock_gettime(clock, &now);
	return (int64) now.tv_sec * 1000 * MILLISECOND + now.tv_nsec;
}

static void
block_signals(sigset_t *old)
{
	sigset_t	all;

	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGABRT);
	pthread_sigmask(SIG_SETMASK, &all, old);
}
