/*-------------------------------------------------------------------------
 *
 * transport.h
 *	  HTTP requests in flight, on libcurl and PostgreSQL's wait events.
 *
 * IDENTIFICATION
 *	  src/http/transport.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_HTTP_TRANSPORT_H
#define HUBSPOT_HTTP_TRANSPORT_H

#include "http/http.h"

/* One caller's requests; see transport.c. */
typedef struct HubspotExchange HubspotExchange;

/* One request of an exchange, and its reply. */
typedef struct HubspotTransfer HubspotTransfer;

extern HubspotExchange *hubspot_exchange_create(MemoryContext context);
extern HubspotTransfer *hubspot_transfer_start(HubspotExchange *exchange,
											   const HubspotHttpRequest *request,
											   void *owner);
extern bool hubspot_exchange_wait(HubspotExchange *exchange, int64 until);
extern HubspotTransfer *hubspot_exchange_next(HubspotExchange *exchange,
											  void **owner);
extern const HubspotHttpReply *hubspot_transfer_reply(const HubspotTransfer *transfer);
extern int64 hubspot_transfer_duration(const HubspotTransfer *transfer);
extern void hubspot_transfer_hide_secrets(HubspotTransfer *transfer, Oid server);
extern void hubspot_transfer_free(HubspotTransfer *transfer);

#endif							/* HUBSPOT_HTTP_TRANSPORT_H */
