/*-------------------------------------------------------------------------
 *
 * faults.c
 *	  Functions with a fault each, which the tools must report, or the tests
 *	  under them prove nothing.
 *
 * Built as a library of the extension's name, since the name is what makes a
 * report one of ours.  Each function takes nothing and returns void; reports with their names
 * are not counted.
 *
 * IDENTIFICATION
 *	  test/sanitizers/faults.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <stdlib.h>

#include "fmgr.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(fault_read_past_end);
PG_FUNCTION_INFO_V1(fault_read_freed_palloc);
PG_FUNCTION_INFO_V1(fault_read_uninitialised);
PG_FUNCTION_INFO_V1(fault_overflow);
PG_FUNCTION_INFO_V1(fault_lose_memory);

static volatile int sink;

/*
 * Reads the byte after a block of malloc().
 */
Datum
fault_read_past_end(PG_FUNCTION_ARGS)
{
	volatile char *volatile block = malloc(10);

	sink = block[10];
	free((char *) block);
	PG_RETURN_VOID();
}

/*
 * Reads a block of palloc() that was freed.  For malloc() nothing is wrong.
 */
Datum
fault_read_freed_palloc(PG_FUNCTION_ARGS)
{
	volatile char *block = palloc0(10);

	pfree((char *) block);
	sink = block[5];
	PG_RETURN_VOID();
}

/*
 * Decides on what was never written.
 */
Datum
fault_read_uninitialised(PG_FUNCTION_ARGS)
{
	volatile int *block = malloc(sizeof(int));

	if (*block == 42)
		sink = 1;
	free((int *) block);
	PG_RETURN_VOID();
}

/*
 * Adds past the largest int.
 */
Datum
fault_overflow(PG_FUNCTION_ARGS)
{
	volatile int most = INT_MAX;

	sink = most + 1;
	PG_RETURN_VOID();
}

/*
 * Forgets blocks.  Some, since a register or the stack may still know the last.
 */
Datum
fault_lose_memory(PG_FUNCTION_ARGS)
{
	void	   *volatile block = NULL;

	for (int i = 0; i < 100; i++)
		block = malloc(1000);
	block = NULL;
	PG_RETURN_VOID();
}
