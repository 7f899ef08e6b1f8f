/*-------------------------------------------------------------------------
 *
 * token_file.c
 *	  The file that holds an access token.
 *
 * IDENTIFICATION
 *	  src/account/token_file.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/fd.h"

#include "account/option_table.h"
#include "account/token_file.h"

/* The most bytes of a file: more than any token has. */
#define MAX_FILE_SIZE	4096

/*
 * Read a token from a file; palloc'd.  A failure is reported at elevel, and if
 * that is not an ERROR, NULL is returned.  No message shows what the file
 * holds.
 */
char *
hubspot_read_token_file(const char *path, int elevel)
{
	char		content[MAX_FILE_SIZE + 1];
	const char *problem = NULL;
	char	   *token;
	struct stat st;
	ssize_t		len = 0;
	int			fd;

	/* a FIFO or a device must not make us wait */
	fd = OpenTransientFile(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
	{
		ereport(elevel,
				(errcode_for_file_access(),
				 errmsg("could not open access_token_file \"%s\": %m", path),
				 errhint("The file must be on the database server, and its operating system user must be able to read it.")));
		return NULL;
	}
	if (fstat(fd, &st) < 0)
		problem = "Its status cannot be read.";
	else if (!S_ISREG(st.st_mode))
		problem = "It is not a regular file.";
	else if (st.st_mode & S_IRWXO)
		problem = "Users other than its owner and its group have access to it.";
	else
	{
		/* one byte more than is allowed shows that there is too much */
		len = read(fd, content, sizeof(content));
		if (len < 0)
			problem = "It cannot be read.";
		else if (len > MAX_FILE_SIZE)
			problem = "It is larger than 4096 bytes.";
	}
	(void) CloseTransientFile(fd);

	if (problem == NULL)
	{
		while (len > 0 && isspace((unsigned char) content[len - 1]))
			len--;
		content[Min(len, MAX_FILE_SIZE)] = '\0';
		if (len == 0)
			problem = "It is empty.";
		else if (strlen(content) != (size_t) len || !hubspot_is_token(content))
			problem = "It holds more than a token: a space, or a character that is not printable ASCII.";
	}
	token = problem ? NULL : pstrdup(content);
	explicit_bzero(content, sizeof(content));
	if (problem)
		ereport(elevel,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid access_token_file \"%s\"", path),
				 errdetail("%s", problem),
				 errhint("It must be a regular file of at most 4096 bytes, with mode 0600 or 0640, that holds nothing but the token.")));
	return token;
}
