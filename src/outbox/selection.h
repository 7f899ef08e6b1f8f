/*-------------------------------------------------------------------------
 *
 * selection.h
 *	  Which rows of an account are sent in a round, if any.
 *
 * IDENTIFICATION
 *	  src/outbox/selection.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_OUTBOX_SELECTION_H
#define HUBSPOT_OUTBOX_SELECTION_H

#include "datatype/timestamp.h"

#include "account/client.h"
#include "outbox/pick.h"

/* What came of a round. */
typedef struct HubspotRound
{
	bool		installed;		/* the database has the extension */
	bool		held;			/* it is a copy, of which nothing is sent */
	int64		rows;			/* rows that were sent, whatever came of them */
	int64		done;			/* rows that were confirmed */
	int64		dead;			/* rows that became dead letters */
	int64		removed;		/* rows that later ones had made needless */
	int			waiting_accounts;	/* accounts that are due, but not served
									 * in this round: another process sends to
									 * them, or too many send to accounts like
									 * them */
	bool		paced;			/* an account is due, but spreads its requests */
	bool		unrecorded;		/* the last account has failed, which could
								 * not be recorded: somebody has locked its
								 * back-off */
	bool		failed;			/* the round ended with an ERROR, which is
								 * charged to somebody; others may be due */
	TimestampTz next_due;		/* when to look again, if nothing wakes us
								 * before; DT_NOEND: nothing waits */
} HubspotRound;

/*
 * How far a delivery has come, which tells whose an ERROR is: that of one of nrows rows, or,
 * if this is 0, the account's.  It is written as the delivery goes, and read after an ERROR.
 */
typedef struct HubspotProgress
{
	int			nrows;
	int64		row;			/* the one that it is, or 0 if that is not
								 * known */
	int			max_attempts;	/* of a row, once the account is known */
} HubspotProgress;

/* Rows of one account that can be sent beside each other; at least one. */
typedef struct HubspotSelection
{
	const HubspotClaimant *claimant;
	HubspotClient *client;
	HubspotLot *lots;
	int			nlots;
	int			nclaims;		/* of all lots */
	Size		size;			/* of what was picked, in bytes */
	bool		alone;			/* each row is all there is of its pair */
	int64		newest;			/* the newest row of the outbox when they were
								 * picked */
} HubspotSelection;

extern HubspotSelection *hubspot_select(const HubspotClaimant *claimant,
										int64 max_rows, bool single,
										HubspotRound *round,
										HubspotProgress *progress);

#endif							/* HUBSPOT_OUTBOX_SELECTION_H */
