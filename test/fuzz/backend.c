/*-------------------------------------------------------------------------
 *
 * backend.c
 *	  What the code under test needs of the server, made for finding faults.
 *
 * Every palloc is a malloc of its own, with a header that nobody may touch, and
 * every repalloc moves, so that AddressSanitizer sees what runs over an end or
 * uses memory whose context was reset; the server's own allocator would hide
 * that.  An ERROR jumps, as in the server, but what can't be thrown without a
 * SQLSTATE of its own ("cannot happen") ends the program, and so does one that
 * nobody awaits.  jsonb is not built: the calls that build it are checked.
 *
 * What depends on nothing of the server's comes from its own libpgcommon and
 * libpgport.  The rest is here, or, if no target gets there, in unreached.c.
 *
 * IDENTIFICATION
 *	  test/fuzz/backend.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>
#include <math.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/defrem.h"
#include "common/int.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/varlena.h"

#include "fuzz.h"

/* the server's own are in a library that isn't linked */
#undef vsnprintf
#undef snprintf
#undef fprintf
#undef printf

#if defined(__SANITIZE_ADDRESS__)
#define HAVE_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_ASAN
#endif
#endif
#ifdef HAVE_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(start, size)	((void) (start))
#define ASAN_UNPOISON_MEMORY_REGION(start, size)	((void) (start))
#endif

/* What stands before each piece of memory. */
typedef struct Header
{
	struct Header *next;
	struct Header **link;		/* what points here */
	struct Context *context;
	size_t		size;
} Header;

typedef struct Context
{
	MemoryContextData base;
	Header	   *pieces;
	struct Context *first_child;
	struct Context *next;
} Context;

/* Longer ones are cut off. */
#define MAX_MESSAGE		8192

/* More than any row has. */
#define MAX_COLUMNS		10

MemoryContext CurrentMemoryContext;
MemoryContext TopMemoryContext;
sigjmp_buf *PG_exception_stack;
ErrorContextCallback *error_context_stack;
volatile	sig_atomic_t InterruptPending;
bool		process_shared_preload_libraries_in_progress;

int			fuzz_sqlstate;
int			fuzz_jsonb_depth;
bool		fuzz_jsonb_is_string;

static int	encoding = PG_UTF8;
static int	elevel;				/* of what is being reported */
static int	sqlstate;
static char message[MAX_MESSAGE];
static Context top;
static Context input_context;

static Header *release(Header *header);
static void reset(Context *context);
static void *allocate(Context *context, size_t size);
static void say(const char *format, va_list arguments);
static List *new_list(NodeTag tag, int room);
static void make_room(List *list);
static int	character_length(const char *text, int room);
static bool starts_with_unit(const char *text, double *factor);

/*
 * Memory
 */

/* The functions that may look at headers. */
#define MAY_SEE_HEADERS	__attribute__((no_sanitize("address")))

static MAY_SEE_HEADERS void *
allocate(Context *context, size_t size)
{
	Header	   *header = malloc(sizeof(Header) + size);

	fuzz_check(header != NULL);
	header->context = context;
	header->size = size;
	header->next = context->pieces;
	header->link = &context->pieces;
	if (header->next)
		header->next->link = &header->next;
	context->pieces = header;
	ASAN_POISON_MEMORY_REGION(header, sizeof(Header));
	return header + 1;
}

/* Returns the next one. */
static MAY_SEE_HEADERS Header *
release(Header *header)
{
	Header	   *next = header->next;

	*header->link = header->next;
	if (next)
		next->link = header->link;
	ASAN_UNPOISON_MEMORY_REGION(header, sizeof(Header));
	free(header);
	return next;
}

static void
reset(Context *context)
{
	while (context->first_child)
	{
		Context    *child = context->first_child;

		context->first_child = child->next;
		reset(child);
		free(child);
	}
	for (Header *header = context->pieces; header;)
		header = release(header);
}

/* Begin with one input, in a database of that encoding: U, L or A. */
void
fuzz_begin(char code)
{
	encoding = code == 'L' ? PG_LATIN1 : code == 'A' ? PG_SQL_ASCII : PG_UTF8;
	TopMemoryContext = (MemoryContext) &top;
	CurrentMemoryContext = (MemoryContext) &input_context;
	fuzz_check(PG_exception_stack == NULL);
}

void
fuzz_end(void)
{
	fuzz_check(CurrentMemoryContext == (MemoryContext) &input_context);
	reset(&input_context);
}

void *
palloc(Size size)
{
	return palloc_extended(size, 0);
}

void *
palloc0(Size size)
{
	return palloc_extended(size, MCXT_ALLOC_ZERO);
}

void *
palloc_extended(Size size, int flags)
{
	return MemoryContextAllocExtended(CurrentMemoryContext, size, flags);
}

void *
MemoryContextAlloc(MemoryContext context, Size size)
{
	return MemoryContextAllocExtended(context, size, 0);
}

void *
MemoryContextAllocZero(MemoryContext context, Size size)
{
	return MemoryContextAllocExtended(context, size, MCXT_ALLOC_ZERO);
}

#if PG_VERSION_NUM < 170000
void *
MemoryContextAllocZeroAligned(MemoryContext context, Size size)
{
	return MemoryContextAllocZero(context, size);
}
#endif

void *
MemoryContextAllocExtended(MemoryContext context, Size size, int flags)
{
	void	   *pointer;

	fuzz_check(AllocSizeIsValid(size) || (flags & MCXT_ALLOC_HUGE));
	pointer = allocate((Context *) context, size);
	if (flags & MCXT_ALLOC_ZERO)
		memset(pointer, 0, size);
	return pointer;
}

void *
repalloc(void *pointer, Size size)
{
	fuzz_check(AllocSizeIsValid(size));
	return repalloc_huge(pointer, size);
}

/* It always moves. */
MAY_SEE_HEADERS void *
repalloc_huge(void *pointer, Size size)
{
	Header	   *header = (Header *) pointer - 1;
	void	   *moved = allocate(header->context, size);

	memcpy(moved, pointer, Min(header->size, size));
	(void) release(header);
	return moved;
}

MAY_SEE_HEADERS Size
GetMemoryChunkSpace(void *pointer)
{
	return sizeof(Header) + ((Header *) pointer - 1)->size;
}

void
pfree(void *pointer)
{
	(void) release((Header *) pointer - 1);
}

char *
pstrdup(const char *text)
{
	return pnstrdup(text, strlen(text));
}

char *
pnstrdup(const char *text, Size len)
{
	char	   *copy;

	len = strnlen(text, len);
	copy = palloc(len + 1);
	memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

MemoryContext
AllocSetContextCreateInternal(MemoryContext parent, const char *name,
							  Size min_size, Size initial_size, Size max_size)
{
	Context    *context = calloc(1, sizeof(Context));

	fuzz_check(context != NULL);
	context->next = ((Context *) parent)->first_child;
	((Context *) parent)->first_child = context;
	context->base.parent = parent;
	return (MemoryContext) context;
}

void
MemoryContextReset(MemoryContext context)
{
	reset((Context *) context);
}

void
MemoryContextDelete(MemoryContext context)
{
	Context   **link = &((Context *) context->parent)->first_child;

	while (*link != (Context *) context)
		link = &(*link)->next;
	*link = (*link)->next;
	reset((Context *) context);
	free(context);
}

/*
 * Errors
 */
bool
errstart(int level, const char *domain)
{
	elevel = level;
	sqlstate = 0;
	message[0] = '\0';
	return true;
}

bool
errstart_cold(int level, const char *domain)
{
	return errstart(level, domain);
}

void
errfinish(const char *file, int line, const char *function)
{
	if (elevel < ERROR)
		return;
	/* what has none of its own cannot happen */
	if (sqlstate == 0 || PG_exception_stack == NULL)
		fuzz_fail(file, line, message);
	fuzz_sqlstate = sqlstate;
	siglongjmp(*PG_exception_stack, 1);
}

/* Does the function throw an ERROR? */
bool
fuzz_throws(void (*function) (void *), void *argument)
{
	MemoryContext context = CurrentMemoryContext;
	sigjmp_buf	buffer;
	volatile bool thrown = true;

	if (sigsetjmp(buffer, 0) == 0)
	{
		PG_exception_stack = &buffer;
		function(argument);
		thrown = false;
	}
	PG_exception_stack = NULL;
	CurrentMemoryContext = context;
	return thrown;
}

int
errcode(int code)
{
	sqlstate = code;
	return 0;
}

static void
say(const char *format, va_list arguments)
{
	(void) vsnprintf(message, sizeof(message), format, arguments);
}

#define SAYS(name) \
int \
name(const char *format,...) \
{ \
	va_list		arguments; \
\
	va_start(arguments, format); \
	say(format, arguments); \
	va_end(arguments); \
	return 0; \
}

SAYS(errmsg)
SAYS(errmsg_internal)
SAYS(errdetail)
SAYS(errhint)

void
pre_format_elog_string(int number, const char *domain)
{
}

char *
format_elog_string(const char *format,...)
{
	va_list		arguments;

	va_start(arguments, format);
	say(format, arguments);
	va_end(arguments);
	return message;
}

char	   *GUC_check_errdetail_string;

#if PG_VERSION_NUM >= 160000
void
ExceptionalCondition(const char *condition, const char *file, int line)
{
	fuzz_fail(file, line, condition);
}
#else
void
ExceptionalCondition(const char *condition, const char *type,
					 const char *file, int line)
{
	fuzz_fail(file, line, condition);
}
#endif

void
ProcessInterrupts(void)
{
	fuzz_check(!InterruptPending);
}

/*
 * Strings
 */
void
initStringInfo(StringInfo text)
{
	text->data = palloc(1024);
	text->maxlen = 1024;
	resetStringInfo(text);
}

void
resetStringInfo(StringInfo text)
{
	text->data[0] = '\0';
	text->len = 0;
	text->cursor = 0;
}

/* It takes no more than it needs, so that whoever asks for too little is seen. */
void
enlargeStringInfo(StringInfo text, int more)
{
	fuzz_check(more >= 0 && more < (int) MaxAllocSize - text->len);
	if (text->len + more + 1 <= text->maxlen)
		return;
	text->maxlen = text->len + more + 1;
	text->data = repalloc(text->data, text->maxlen);
}

void
appendBinaryStringInfo(StringInfo text,
#if PG_VERSION_NUM >= 160000
					   const void *data,
#else
					   const char *data,
#endif
					   int len)
{
	enlargeStringInfo(text, len);
	if (len > 0)
		memcpy(text->data + text->len, data, len);
	text->len += len;
	text->data[text->len] = '\0';
}

void
appendStringInfoChar(StringInfo text, char c)
{
	appendBinaryStringInfo(text, &c, 1);
}

void
appendStringInfoString(StringInfo text, const char *more)
{
	appendBinaryStringInfo(text, more, strlen(more));
}

void
appendStringInfo(StringInfo text, const char *format,...)
{
	va_list		arguments;
	int			len;

	va_start(arguments, format);
	len = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	enlargeStringInfo(text, len);
	va_start(arguments, format);
	(void) vsnprintf(text->data + text->len, len + 1, format, arguments);
	va_end(arguments);
	text->len += len;
}

char *
psprintf(const char *format,...)
{
	va_list		arguments;
	char	   *text;
	int			len;

	va_start(arguments, format);
	len = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	text = palloc(len + 1);
	va_start(arguments, format);
	(void) vsnprintf(text, len + 1, format, arguments);
	va_end(arguments);
	return text;
}

int
pg_ltoa(int32 value, char *text)
{
	return sprintf(text, "%d", (int) value);
}

void
escape_json(StringInfo out, const char *text)
{
	appendStringInfoChar(out, '"');
	for (; *text != '\0'; text++)
	{
		if ((unsigned char) *text < ' ' || *text == '"' || *text == '\\')
			appendStringInfo(out, "\\u%04x", *text);
		else
			appendStringInfoChar(out, *text);
	}
	appendStringInfoChar(out, '"');
}

const char *
quote_identifier(const char *name)
{
	return name;
}

/* Of ASCII; what a locale does more is not the extension's. */
char *
asc_tolower(const char *text, size_t len)
{
	char	   *lower = pnstrdup(text, len);

	for (char *p = lower; *p != '\0'; p++)
		*p = pg_ascii_tolower((unsigned char) *p);
	return lower;
}

char *
asc_toupper(const char *text, size_t len)
{
	char	   *upper = pnstrdup(text, len);

	for (char *p = upper; *p != '\0'; p++)
		*p = pg_ascii_toupper((unsigned char) *p);
	return upper;
}

char *
str_tolower(const char *text, size_t len, Oid collation)
{
	return asc_tolower(text, len);
}

/*
 * Encodings
 */
int
GetDatabaseEncoding(void)
{
	return encoding;
}

/* Of the character at text, where the server would trust in it. */
static int
character_length(const char *text, int room)
{
	int			len = encoding == PG_UTF8 ?
	pg_utf_mblen((const unsigned char *) text) : 1;

	/* texts are valid, so none is cut off within a character */
	fuzz_check(len <= room);
	return len;
}

int
pg_mbcliplen(const char *text, int len, int limit)
{
	int			clipped = 0;

	while (clipped < len && text[clipped] != '\0')
	{
		int			l = character_length(text + clipped, len - clipped);

		if (clipped + l > limit)
			break;
		clipped += l;
	}
	return clipped;
}

int
pg_mbstrlen_with_len(const char *text, int len)
{
	int			n = 0;

	for (int i = 0; i < len && text[i] != '\0'; n++)
		i += character_length(text + i, len - i);
	return n;
}

char *
pg_server_to_any(const char *text, int len, int other)
{
	StringInfoData converted;

	fuzz_check(other == PG_UTF8);
	if (encoding != PG_LATIN1)
		return unconstify(char *, text);
	initStringInfo(&converted);
	for (int i = 0; i < len; i++)
	{
		unsigned char utf8[5] = {0};

		unicode_to_utf8((unsigned char) text[i], utf8);
		appendStringInfoString(&converted, (char *) utf8);
	}
	return converted.data;
}

bool
pg_verify_mbstr(int other, const char *text, int len, bool no_error)
{
	fuzz_check(no_error);
	return pg_encoding_verifymbstr(other, text, len) == len;
}

/* the conversions to and from LATIN1, which are the only ones */
#define TO_LATIN1	FirstNormalObjectId
#define FROM_LATIN1	(FirstNormalObjectId + 1)

Oid
FindDefaultConversionProc(int32 from, int32 to)
{
	fuzz_check((from == PG_UTF8 && to == PG_LATIN1) || (from == PG_LATIN1 && to == PG_UTF8));
	return from == PG_UTF8 ? TO_LATIN1 : FROM_LATIN1;
}

void
fmgr_info_cxt(Oid function, FmgrInfo *info, MemoryContext context)
{
	info->fn_oid = function;
}

Datum
FunctionCall6Coll(FmgrInfo *info, Oid collation, Datum from, Datum to,
				  Datum source, Datum target, Datum len, Datum no_error)
{
	const unsigned char *text = (const unsigned char *) DatumGetCString(source);
	char	   *result = DatumGetCString(target);
	pg_wchar	code;

	fuzz_check(DatumGetBool(no_error));
	if (info->fn_oid == FROM_LATIN1)
	{
		for (int i = 0; i < DatumGetInt32(len); i++)
		{
			unicode_to_utf8(text[i], (unsigned char *) result);
			result += pg_utf_mblen((unsigned char *) result);
		}
		*result = '\0';
		return len;
	}
	fuzz_check(info->fn_oid == TO_LATIN1 && DatumGetInt32(from) == PG_UTF8);
	fuzz_check(pg_encoding_verifymbchar(PG_UTF8, (const char *) text,
										DatumGetInt32(len)) == DatumGetInt32(len));
	code = utf8_to_unicode(text);
	if (code > 0xff)
		return Int32GetDatum(0);
	result[0] = (char) code;
	result[1] = '\0';
	return Int32GetDatum(DatumGetInt32(len));
}

bool
IsTransactionState(void)
{
	return false;
}

void
StartTransactionCommand(void)
{
	CurrentMemoryContext = TopMemoryContext;
}

void
CommitTransactionCommand(void)
{
	CurrentMemoryContext = TopMemoryContext;
}

bool
ActiveSnapshotSet(void)
{
	return true;
}

/* Nothing here takes any time. */
int64
hubspot_now(void)
{
	return 1;
}

int64
hubspot_coarse_now(void)
{
	return 1;
}

/*
 * Lists
 */
#define FIRST_ROOM	4

static List *
new_list(NodeTag tag, int room)
{
	List	   *list = palloc(offsetof(List, initial_elements));

	list->type = tag;
	list->length = 0;
	list->max_length = room;
	list->elements = palloc(sizeof(ListCell) * room);
	return list;
}

static void
make_room(List *list)
{
	if (list->length < list->max_length)
		return;
	list->max_length *= 2;
	list->elements = repalloc(list->elements, sizeof(ListCell) * list->max_length);
}

List *
lappend(List *list, void *datum)
{
	if (list == NIL)
		list = new_list(T_List, FIRST_ROOM);
	make_room(list);
	list->elements[list->length++].ptr_value = datum;
	return list;
}

List *
lcons(void *datum, List *list)
{
	if (list == NIL)
		return lappend(list, datum);
	make_room(list);
	memmove(list->elements + 1, list->elements, sizeof(ListCell) * list->length);
	list->elements[0].ptr_value = datum;
	list->length++;
	return list;
}

List *
list_insert_nth(List *list, int position, void *datum)
{
	list = lappend(list, NULL);
	fuzz_check(position >= 0 && position < list->length);
	memmove(list->elements + position + 1, list->elements + position,
			sizeof(ListCell) * (list->length - 1 - position));
	list->elements[position].ptr_value = datum;
	return list;
}

List *
list_delete_nth_cell(List *list, int position)
{
	fuzz_check(position >= 0 && position < list_length(list));
	if (list->length == 1)
		return NIL;
	list->length--;
	memmove(list->elements + position, list->elements + position + 1,
			sizeof(ListCell) * (list->length - position));
	return list;
}

void
list_free(List *list)
{
	/* what it has goes with everything */
}

List *
list_make1_impl(NodeTag tag, ListCell datum)
{
	return lappend(NIL, datum.ptr_value);
}

/*
 * jsonb
 */

/* What is open, from the outermost on. */
#define MAX_DEPTH	1000
static char open_containers[MAX_DEPTH];
static int	ndepth;
static int	deepest;
static bool key_pushed;

static void
check_scalar(const JsonbValue *value)
{
	if (value->type != jbvString)
		return;
	fuzz_check_text(value->val.string.val);
	fuzz_check((size_t) value->val.string.len == strlen(value->val.string.val));
}

JsonbValue *
pushJsonbValue(JsonbParseState **state, JsonbIteratorToken token,
			   JsonbValue *value)
{
	static JsonbValue result;
	bool		in_object;

	if (*state == NULL)
	{
		/* the first of a new value; the state is only a mark here */
		*state = palloc0(sizeof(JsonbParseState));
		ndepth = deepest = 0;
		key_pushed = false;
	}
	in_object = (ndepth > 0 && open_containers[ndepth - 1] == '{');
	switch (token)
	{
		case WJB_BEGIN_OBJECT:
		case WJB_BEGIN_ARRAY:
			fuzz_check(!in_object || key_pushed);
			fuzz_check(ndepth < MAX_DEPTH);
			open_containers[ndepth++] = (token == WJB_BEGIN_OBJECT) ? '{' : '[';
			deepest = Max(deepest, ndepth);
			key_pushed = false;
			break;
		case WJB_KEY:
			fuzz_check(in_object && !key_pushed && value->type == jbvString);
			check_scalar(value);
			key_pushed = true;
			break;
		case WJB_VALUE:
			fuzz_check(in_object && key_pushed);
			check_scalar(value);
			key_pushed = false;
			break;
		case WJB_ELEM:
			fuzz_check(ndepth > 0 && !in_object);
			check_scalar(value);
			break;
		case WJB_END_OBJECT:
		case WJB_END_ARRAY:
			fuzz_check(ndepth > 0 && in_object == (token == WJB_END_OBJECT) && !key_pushed);
			ndepth--;
			break;
		default:
			fuzz_check(false);
	}
	result.type = jbvBinary;
	return &result;
}

Jsonb *
JsonbValueToJsonb(JsonbValue *value)
{
	fuzz_jsonb_is_string = (value->type == jbvString);
	if (value->type == jbvBinary)
	{
		fuzz_check(ndepth == 0 && deepest > 0);
		fuzz_jsonb_depth = deepest;
	}
	else
	{
		check_scalar(value);
		fuzz_jsonb_depth = 0;
	}
	return palloc0(sizeof(Jsonb));
}

/* Only numeric_in is called this way. */
Datum
DirectFunctionCall3Coll(PGFunction function, Oid collation, Datum text,
						Datum type, Datum typmod)
{
	const char *number = DatumGetCString(text);
	int			depth;
	const char *exponent = strpbrk(number, "eE");

	fuzz_check(function == numeric_in);
	fuzz_check(fuzz_json(number, strlen(number), &depth) == FUZZ_JSON_OTHER);
	fuzz_check(number[0] == '-' || isdigit((unsigned char) number[0]));

	/* numeric would throw an error */
	fuzz_check(strlen(number) <= 2000);
	fuzz_check(exponent == NULL || labs(strtol(exponent + 1, NULL, 10)) <= 2000);
	return PointerGetDatum(palloc0(sizeof(Datum)));
}

Datum
numeric_in(PG_FUNCTION_ARGS)
{
	fuzz_check(false);
	return (Datum) 0;
}

/*
 * Arguments and rows of SQL functions
 */
struct varlena *
pg_detoast_datum(struct varlena *datum)
{
	return datum;
}

struct varlena *
pg_detoast_datum_packed(struct varlena *datum)
{
	return datum;
}

char *
text_to_cstring(const text * t)
{
	return pnstrdup(VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t));
}

TypeFuncClass
get_call_result_type(FunctionCallInfo fcinfo, Oid *type, TupleDesc *tupdesc)
{
	*tupdesc = NULL;
	return TYPEFUNC_COMPOSITE;
}

TupleDesc
BlessTupleDesc(TupleDesc tupdesc)
{
	return tupdesc;
}

HeapTuple
			heap_form_tuple(TupleDesc tupdesc,
#if PG_VERSION_NUM >= 170000
							const Datum *values, const bool *isnull)
#else
							Datum *values, bool *isnull)
#endif
{
	HeapTuple	tuple = palloc0(sizeof(HeapTupleData));

	tuple->t_data = palloc0(sizeof(HeapTupleHeaderData));
	return tuple;
}

Datum
HeapTupleHeaderGetDatum(HeapTupleHeader tuple)
{
	return PointerGetDatum(tuple);
}

/*
 * Options and settings
 */
char *
defGetString(DefElem *def)
{
	return strVal(def->arg);
}

/* What the unit is in milliseconds. */
static bool
starts_with_unit(const char *text, double *factor)
{
	static const struct
	{
		const char *name;
		double		factor;
	}			units[] = {
		{"d", 24 * 60 * 60 * 1000.0}, {"h", 60 * 60 * 1000.0}, {"min", 60 * 1000.0},
		{"s", 1000.0}, {"ms", 1.0}, {"us", 0.001}
	};

	for (size_t i = 0; i < lengthof(units); i++)
	{
		size_t		len = strlen(units[i].name);

		if (strncmp(text, units[i].name, len) == 0 &&
			text[len + strspn(text + len, " \t\n\r\v\f")] == '\0')
		{
			*factor = units[i].factor;
			return true;
		}
	}
	return false;
}

/* As guc.c has it. */
bool
parse_int(const char *value, int *result, int flags, const char **hint)
{
	double		number;
	double		factor = 1;
	char	   *end;

	errno = 0;
	number = strtol(value, &end, 0);
	if (*end == '.' || *end == 'e' || *end == 'E' || errno == ERANGE)
	{
		errno = 0;
		number = strtod(value, &end);
	}
	if (end == value || errno == ERANGE || isnan(number))
		return false;
	while (isspace((unsigned char) *end))
		end++;
	if (*end != '\0' && ((flags & GUC_UNIT) == 0 || !starts_with_unit(end, &factor)))
		return false;
	number = rint(number * factor);
	if (number > INT_MAX || number < INT_MIN)
		return false;
	*result = (int) number;
	return true;
}

/* One after the other, of characters; costs are 1. */
int
varstr_levenshtein(const char *source, int slen, const char *target, int tlen,
				   int ins_c, int del_c, int sub_c, bool trusted)
{
	int			n = pg_mbstrlen_with_len(target, tlen);
	int		   *row = palloc(sizeof(int) * (n + 1));
	int			result;

	fuzz_check(ins_c == 1 && del_c == 1 && sub_c == 1 && trusted);

	/* what the server's is asked for, trusting that it is no longer */
	fuzz_check(slen <= 255 && tlen <= 255 && n >= 0);
	for (int j = 0; j <= n; j++)
		row[j] = j;
	for (int i = 0, number = 1; i < slen; number++)
	{
		int			l = character_length(source + i, slen - i);
		int			diagonal = row[0];

		row[0] = number;
		for (int j = 0, k = 1; k <= n; k++)
		{
			int			m = character_length(target + j, tlen - j);
			int			above = row[k];
			bool		same = (l == m && memcmp(source + i, target + j, l) == 0);

			row[k] = Min(Min(row[k], row[k - 1]) + 1, diagonal + (same ? 0 : 1));
			diagonal = above;
			j += m;
		}
		i += l;
	}
	result = row[n];
	pfree(row);
	return result;
}

int
varstr_levenshtein_less_equal(const char *source, int slen, const char *target,
							  int tlen, int ins_c, int del_c, int sub_c,
							  int max_d, bool trusted)
{
	int			distance = varstr_levenshtein(source, slen, target, tlen,
											  ins_c, del_c, sub_c, trusted);

	return distance <= max_d ? distance : max_d + 1;
}
