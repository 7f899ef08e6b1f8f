/*-------------------------------------------------------------------------
 *
 * fuzz.h
 *	  What the fuzz targets share: their input, and what they check.
 *
 * A target reads lines off the front of its input, which say what to do; what
 * is left is the bytes to be read.  So seeds can be written and read by people.
 *
 * IDENTIFICATION
 *	  test/fuzz/fuzz.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "http/http.h"
#include "hubspot.h"

/* What is left of the input. */
typedef struct FuzzInput
{
	const char *p;
	const char *end;
} FuzzInput;

/* What a text is as JSON. */
typedef enum FuzzJson
{
	FUZZ_NO_JSON,
	FUZZ_JSON_OBJECT,
	FUZZ_JSON_OTHER
} FuzzJson;

/* the one function of a target */
extern int	LLVMFuzzerTestOneInput(const uint8 *data, size_t size);

/* backend.c: the server's side */
extern void fuzz_begin(char encoding);
extern void fuzz_end(void);
extern bool fuzz_throws(void (*function) (void *), void *argument);
extern int	fuzz_sqlstate;		/* of the ERROR that was thrown last */
extern int	fuzz_jsonb_depth;	/* of the jsonb that was made last, 0: scalar */
extern bool fuzz_jsonb_is_string;

/* input.c: reading and checking */
#define fuzz_check(condition) \
	((condition) ? (void) 0 : fuzz_fail(__FILE__, __LINE__, #condition))
extern void fuzz_fail(const char *file, int line, const char *what) __attribute__((noreturn));
extern HubspotSlice fuzz_line(FuzzInput *input);
extern char *fuzz_word(HubspotSlice *line);
extern char *fuzz_text(HubspotSlice slice);
extern int	fuzz_choice(HubspotSlice *line, const char *letters);
extern void fuzz_reply(FuzzInput *input, HubspotHttpReply *reply);
extern void fuzz_spread(const HubspotHttpReply *reply, HubspotHttpReply *other);
extern bool fuzz_reply_is_success(const HubspotHttpReply *reply);
extern FuzzJson fuzz_json(const char *text, size_t len, int *depth);
extern void fuzz_check_text(const char *text);
extern void fuzz_check_slice(HubspotSlice slice);
extern void fuzz_check_error(const HubspotError *error);
extern bool fuzz_names(HubspotSlice text, HubspotSlice id);

#endif							/* FUZZ_H */
