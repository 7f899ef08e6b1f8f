/*-------------------------------------------------------------------------
 *
 * hubspot.h
 *	  The nouns of the extension, shared by all of its files.
 *
 * Text that comes from SQL is in the server's encoding and NUL-terminated.
 * Ids are printable ASCII (hubspot_id_problem) and are carried with their
 * length, because the batch compares millions of them.
 *
 * IDENTIFICATION
 *	  src/hubspot.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_H
#define HUBSPOT_H

/*
 * Categories of our own, in hs_assoc_result.error_category, for failures that
 * HubSpot has no word for.  They are for people; what to do follows from a
 * HubspotVerdict.
 */
#define HUBSPOT_INVALID_INPUT	"INVALID_INPUT"
#define HUBSPOT_UNCONFIRMED		"UNCONFIRMED"
#define HUBSPOT_NOT_SENT		"NOT_SENT"
#define HUBSPOT_INTERNAL		"INTERNAL"
#define HUBSPOT_RECORD_NOT_FOUND	"RECORD_NOT_FOUND"
#define HUBSPOT_RECORD_AMBIGUOUS	"RECORD_AMBIGUOUS"

/* A stretch of text that somebody else owns; data is NULL if there is none. */
typedef struct HubspotSlice
{
	const char *data;
	int			len;
} HubspotSlice;

/*
 * Are these bytes the same?  For short ones, as ids and names are, of which the call
 * of memcmp() would be most.  Loads may overlap.
 */
static inline bool
hubspot_same_bytes(const char *a, const char *b, int len)
{
	if (len >= 8)
	{
		uint64		x;
		uint64		y;

		for (int i = 0; i < len - 8; i += 8)
		{
			memcpy(&x, a + i, 8);
			memcpy(&y, b + i, 8);
			if (x != y)
				return false;
		}
		memcpy(&x, a + len - 8, 8);
		memcpy(&y, b + len - 8, 8);
		return x == y;
	}
	while (len > 0 && *a == *b)
		a++, b++, len--;
	return len == 0;
}

/* Copy these bytes; likewise. */
static inline char *
hubspot_copy_bytes(char *to, const char *from, int len)
{
	if (len >= 8 && len <= 16)
	{
		uint64		first;
		uint64		last;

		memcpy(&first, from, 8);
		memcpy(&last, from + len - 8, 8);
		memcpy(to, &first, 8);
		memcpy(to + len - 8, &last, 8);
	}
	else
		memcpy(to, from, len);
	return to + len;
}

static inline bool
hubspot_same_id(HubspotSlice a, HubspotSlice b)
{
	return a.len == b.len && hubspot_same_bytes(a.data, b.data, a.len);
}

/*
 * The category of the types that HubSpot defines, the same in all accounts, and of
 * type ids that are given without one.
 */
#define HUBSPOT_DEFINED_CATEGORY	"HUBSPOT_DEFINED"

/* An association type: numbers repeat across categories. */
typedef struct HubspotAssociationType
{
	const char *category;
	int32		type_id;
	const char *label;			/* NULL: it has none, or it isn't known */
} HubspotAssociationType;

/* One of a record's associations, of one type. */
typedef struct HubspotAssociation
{
	HubspotSlice to_id;
	const HubspotAssociationType *type;
} HubspotAssociation;

/* The most types of one pair: HubSpot allows 50 labels for two object types. */
#define HUBSPOT_MAX_TYPES	100

/*
 * The most bytes of a label, and of any other text of a row of the outbox, which
 * has a CHECK for it: far more than HubSpot takes, and little enough that any number
 * of rows that are read at a time, and what is made of them, has a bound.
 */
#define HUBSPOT_MAX_TEXT	1000

/* The types of one pair; immutable once made, so that rows can share it. */
typedef struct HubspotTypeList
{
	int			ntypes;
	HubspotAssociationType types[FLEXIBLE_ARRAY_MEMBER];
} HubspotTypeList;

/* The labels of one pair; immutable and shared likewise. */
typedef struct HubspotLabelList
{
	int			nsharers;		/* counted by match.c, which frees the list
								 * with the last one */
	int			nlabels;
	const char *labels[FLEXIBLE_ARRAY_MEMBER];
} HubspotLabelList;

/*
 * What an operation is done to: one row of the source.  A missing id has data
 * NULL, and so has the to_id of an operation on records.  types is NULL for
 * the operations that take none.
 */
typedef struct HubspotInput
{
	int64		no;				/* from 1 */
	HubspotSlice from_id;
	HubspotSlice to_id;
	const HubspotTypeList *types;
	bool		from_is_normal; /* from_id is a key, and known to be as
								 * hubspot_key_normalize() would make it */
	bool		to_is_normal;
} HubspotInput;

/*
 * What an error says of its inputs and of others.  It is decided where the
 * error is made (api/verdict.c); other rooms look at nothing else.
 */
typedef enum HubspotVerdict
{
	HUBSPOT_VERDICT_INVALID,	/* the input is wrong in itself: it wasn't
								 * part of any request */
	HUBSPOT_VERDICT_INPUT,		/* HubSpot refuses some of a request's inputs;
								 * others may pass without them */
	HUBSPOT_VERDICT_REQUEST,	/* it refuses the request, whatever the inputs
								 * are */
	HUBSPOT_VERDICT_BUSY,		/* it may pass another time */
	HUBSPOT_VERDICT_UNCONFIRMED,	/* HubSpot may have acted, or not */
	HUBSPOT_VERDICT_UNREACHED,	/* we could not send it: any request would
								 * have met the same */
	HUBSPOT_VERDICT_SCOPE,		/* the token lacks a scope; others may pass */
	HUBSPOT_VERDICT_ACCOUNT,	/* HubSpot refuses whatever the account sends */
	HUBSPOT_VERDICT_FOREIGN,	/* the answer is not HubSpot's, or not about
								 * what was sent */
	HUBSPOT_VERDICT_NO_TOKEN,	/* there is no token to send anything with */
	HUBSPOT_VERDICT_RATE,		/* the account has sent too much */
	HUBSPOT_VERDICT_NOT_SENT,	/* something before it has failed */
	HUBSPOT_VERDICT_LIKE_OTHERS,	/* it wasn't sent: all inputs like it were
									 * refused */
	HUBSPOT_VERDICT_INTERNAL,	/* an ERROR of our own, or of somebody's
								 * trigger */
	HUBSPOT_VERDICT_NO_RECORD,	/* there is none that has the input's key */
	HUBSPOT_VERDICT_MANY_RECORDS	/* there are several */
} HubspotVerdict;

/* How many bytes of an error object are kept. */
#define HUBSPOT_MAX_ERROR_OBJECT	(64 * 1024)

/*
 * What went wrong, as a value: made once, carried up as data, and turned into
 * a column or an ERROR only by the SQL functions.
 */
typedef struct HubspotError
{
	int			sqlstate;
	int			http_status;	/* 0: there was no answer */
	HubspotVerdict verdict;
	bool		not_found;		/* what it names isn't there */
	bool		late;			/* says an index that may not have it yet */
	bool		no_associations;	/* the record it names has none */
	bool		names_ids;		/* it names some, whether these were sent or
								 * not */
	bool		of_type;		/* whatever is looked up of an object type, or
								 * by its property, is refused */
	const char *category;
	const char *message;
	const char *correlation_id; /* or NULL */
	HubspotSlice object;		/* the API's error object, JSON in UTF-8, cut
								 * at HUBSPOT_MAX_ERROR_OBJECT */
	HubspotSlice answer;		/* where it stands in whole, as long as the
								 * reply is there; else no data */
} HubspotError;

/* What became of one input, or one of the associations that it has. */
typedef struct HubspotOutcome
{
	int64		input_no;
	HubspotSlice from_id;		/* as they were given */
	HubspotSlice to_id;
	HubspotSlice from_record;	/* the records' ids, where that was a key; */
	HubspotSlice to_record;		/* no data: they are not known */
	const HubspotError *error;	/* NULL: HubSpot confirmed it */
	int			http_status;	/* 0: there was no answer */
	const char *correlation_id; /* or NULL */
	const HubspotTypeList *types;	/* or NULL */
	const HubspotLabelList *labels; /* or NULL */
	const HubspotAssociation *association;	/* of an operation that reads */
	int			nbefore;		/* how many of the record's stand before and
								 * after that one, in the same answer */
	int			nafter;
	bool		repeats;		/* its pair was on the page before, with other
								 * types */
	const struct HubspotKey *name;	/* of that one's record, or NULL:
									 * namer.c's */
	bool		doubtful;		/* an attempt before may still be worked on */
	bool		ended;			/* it is the last one of its input, which
								 * reads */
	uint64		kind;			/* those of one kind have the same result, but
								 * for input_no and the ids; 0: its own */
} HubspotOutcome;

#endif							/* HUBSPOT_H */
