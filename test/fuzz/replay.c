/*-------------------------------------------------------------------------
 *
 * replay.c
 *	  Gives files to a fuzz target, where there is no libFuzzer.
 *
 * Usage: TARGET file...
 *
 * Each file has a process of its own, so that a finding doesn't hide the others.
 * Prints a line for each file that is one, and how many files were read; the
 * exit code is 1 if there was a finding or no file.
 *
 * IDENTIFICATION
 *	  test/fuzz/replay.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

/* the server's own are in a library that isn't linked */
#undef printf
#undef fprintf

/* For a file, in seconds: an input that takes longer never ends. */
#define MAX_SECONDS		60

/* Files of a corpus are small. */
#define MAX_SIZE		(1024 * 1024)

static int
replay(const char *path)
{
	static unsigned char bytes[MAX_SIZE];
	unsigned char *data;
	size_t		size;
	FILE	   *file = fopen(path, "rb");

	if (file == NULL)
	{
		perror(path);
		return 1;
	}
	size = fread(bytes, 1, MAX_SIZE, file);
	fclose(file);

	/* in memory that ends where it ends, as libFuzzer gives it */
	data = malloc(size);
	if (size > 0)
	{
		if (data == NULL)
			abort();
		memcpy(data, bytes, size);
	}
	alarm(MAX_SECONDS);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 0;
}

int
main(int argc, char **argv)
{
	int			nfailed = 0;

	for (int i = 1; i < argc; i++)
	{
		int			status;
		pid_t		child = fork();

		if (child == 0)
			exit(replay(argv[i]));
		if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
		{
			printf("finding: %s\n", argv[i]);
			nfailed++;
		}
	}
	printf("%d files, %d findings\n", argc - 1, nfailed);
	return nfailed > 0 || argc < 2;
}
