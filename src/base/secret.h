/*-------------------------------------------------------------------------
 *
 * secret.h
 *	  Tokens and other secrets, which no text from outside may show.
 *
 * IDENTIFICATION
 *	  src/base/secret.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef HUBSPOT_BASE_SECRET_H
#define HUBSPOT_BASE_SECRET_H

extern void hubspot_remember_secret(Oid server, const char *text);
extern void hubspot_hide_secrets(Oid server, char *text, size_t len);

#endif							/* HUBSPOT_BASE_SECRET_H */
