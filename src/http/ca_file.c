/*-------------------------------------------------------------------------
 *
 * ca_file.c
 *	  The file of certificate authorities that a server option names.
 *
 * It is read here and not by libcurl, which would open a FIFO or a device and
 * wait for ever, with signals blocked, and which keeps what it has read from a
 * path for a day.  libcurl is given the content: it knows connections by that,
 * so those that were made with another one are not used again.
 *
 * The file is looked at for each request, and read again if it is another file
 * or has changed.  A file that was changed a moment before it was read may
 * change again within one tick of the file system's clock, so it is read again
 * in any case.
 *
 * Nothing helps against a file on a hung mount: opening it, or asking for its
 * status, waits in the kernel.
 *
 * IDENTIFICATION
 *	  src/http/ca_file.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "storage/fd.h"
#include "utils/memutils.h"

#include "http/ca_file.h"

/*
 * The most bytes of a file: all authorities of the web take a twentieth of
 * that.
 */
#define MAX_FILE_SIZE	(4 * 1024 * 1024)

/*
 * If the last change of a file is as old as this, in seconds, its status will show the next
 * one.
 */
#define SETTLED_AGE		2

/* What begins a certificate. */
#define CERTIFICATE		"-----BEGIN "

/* A file that the session has read. */
typedef struct CaFile
{
	struct CaFile *next;
	char	   *path;
	struct stat status;
	bool		settled;		/* a change will show in the status */
	char	   *content;		/* or NULL */
	int			len;
} CaFile;

static CaFile *files = NULL;

static CaFile *get_file(const char *path);
static bool is_unchanged(const CaFile *file, const struct stat *status);
static const char *read_file(CaFile *file, int fd, const struct stat *status);

/*
 * The content of a file, valid until the next call.  Returns why there is none,
 * palloc'd, or NULL.
 */
const char *
hubspot_read_ca_file(const char *path, HubspotSlice *content)
{
	CaFile	   *file = get_file(path);
	const char *problem = NULL;
	struct stat status;
	int			fd;

	/* a FIFO or a device must not make us wait */
	fd = OpenTransientFile(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return psprintf("could not open ca_file \"%s\": %m", path);
	if (fstat(fd, &status) < 0)
		problem = psprintf("could not read ca_file \"%s\": %m", path);
	else if (!S_ISREG(status.st_mode))
		problem = psprintf("ca_file \"%s\" is not a regular file", path);
	else if (!is_unchanged(file, &status))
		problem = read_file(file, fd, &status);
	(void) CloseTransientFile(fd);
	content->data = file->content;
	content->len = file->len;
	return problem;
}

static CaFile *
get_file(const char *path)
{
	CaFile	   *file;

	for (file = files; file; file = file->next)
	{
		if (strcmp(file->path, path) == 0)
			return file;
	}
	file = MemoryContextAllocZero(TopMemoryContext, sizeof(CaFile));
	file->path = MemoryContextStrdup(TopMemoryContext, path);
	file->next = files;
	files = file;
	return file;
}

/* Is what was read still the file's content? */
static bool
is_unchanged(const CaFile *file, const struct stat *status)
{
	return file->content && file->settled &&
		file->status.st_dev == status->st_dev &&
		file->status.st_ino == status->st_ino &&
		file->status.st_size == status->st_size &&
		file->status.st_mtime == status->st_mtime &&
		file->status.st_ctime == status->st_ctime;
}

static const char *
read_file(CaFile *file, int fd, const struct stat *status)
{
	int			size = (int) Min(status->st_size, MAX_FILE_SIZE) + 1;
	char	   *content = palloc(size);
	ssize_t		len = 0;
	ssize_t		n;

	/* one byte more than there should be shows that there is more */
	while (len < size && (n = read(fd, content + len, size - len)) != 0)
	{
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return psprintf("could not read ca_file \"%s\": %m", file->path);
		len += n;
	}
	if (len > MAX_FILE_SIZE)
		return psprintf("ca_file \"%s\" is larger than %d MB", file->path,
						MAX_FILE_SIZE / (1024 * 1024));
	if (memmem(content, len, CERTIFICATE, strlen(CERTIFICATE)) == NULL)
		return psprintf("ca_file \"%s\" has no certificate", file->path);

	if (file->content)
		pfree(file->content);
	file->content = NULL;
	file->content = MemoryContextAlloc(TopMemoryContext, len);
	memcpy(file->content, content, len);
	file->len = (int) len;
	file->status = *status;
	file->settled = (len == status->st_size &&
					 time(NULL) - Max(status->st_mtime, status->st_ctime) > SETTLED_AGE);
	pfree(content);
	return NULL;
}
