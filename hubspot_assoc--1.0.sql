/* hubspot_assoc--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION hubspot_assoc" to load this file. \quit

--
-- A server of this wrapper is a HubSpot account; a user mapping holds its
-- token.
--
CREATE FUNCTION hs_assoc_fdw_validator(options text[], catalog oid)
RETURNS void
AS 'MODULE_PATHNAME'
LANGUAGE C STRICT VOLATILE PARALLEL SAFE;
COMMENT ON FUNCTION hs_assoc_fdw_validator(text[], oid) IS
'Validates the options of servers and user mappings of the foreign-data wrapper hubspot_assoc. Errors: HV00D for an option that is unknown or out of range, 42501 for one that the caller may not set or a host that is not allowed.';

CREATE FOREIGN DATA WRAPPER hubspot_assoc VALIDATOR hs_assoc_fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER hubspot_assoc IS
'HubSpot accounts, as servers for the functions hs_assoc_*';

--
-- What goes in and what comes out
--
CREATE TYPE hs_assoc_type AS (
	category	text,
	type_id		int,
	label		text
);
COMMENT ON TYPE hs_assoc_type IS
'an association type, for one direction of a pair of object types';

CREATE TYPE hs_assoc_input AS (
	from_id		text,
	to_id		text,
	type_ids	int[],
	category	text
);
COMMENT ON TYPE hs_assoc_input IS
'one input of the batch functions; category applies to all of type_ids and is HUBSPOT_DEFINED if null';

CREATE TYPE hs_assoc_result AS (
	input_no		bigint,
	from_id			text,
	to_id			text,
	ok				boolean,
	labels			text[],
	types			hs_assoc_type[],
	http_status		int,
	error_category	text,
	error_message	text,
	correlation_id	text,
	error			jsonb
);
COMMENT ON TYPE hs_assoc_result IS
'what became of one input: ok is true only for what HubSpot confirmed, and never null';
COMMENT ON COLUMN hs_assoc_result.input_no IS
'number of the input, from 1, in the order in which the query or the array gave them';
COMMENT ON COLUMN hs_assoc_result.from_id IS
'id of the one record, as it was given';
COMMENT ON COLUMN hs_assoc_result.to_id IS
'id of the other record, as it was given';
COMMENT ON COLUMN hs_assoc_result.ok IS
'true only for what HubSpot confirmed; never null';
COMMENT ON COLUMN hs_assoc_result.labels IS
'the labels of the pair as HubSpot returned them, or null if the operation returns none';
COMMENT ON COLUMN hs_assoc_result.types IS
'the association types from -> to as HubSpot returned them, or null if the operation returns none';
COMMENT ON COLUMN hs_assoc_result.http_status IS
'HTTP status of the answer that decided this input, or null if there was none';
COMMENT ON COLUMN hs_assoc_result.error_category IS
'null if ok; else HubSpot''s category or HTTP_<status>, or one of INVALID_INPUT (refused before sending), UNCONFIRMED (neither confirmed nor refused), NOT_SENT (after HubSpot had refused the account)';
COMMENT ON COLUMN hs_assoc_result.error_message IS
'null if ok; else the words of HubSpot, of libcurl or of the extension, cut at 1,000 bytes';
COMMENT ON COLUMN hs_assoc_result.correlation_id IS
'HubSpot''s id of the answer, which its support asks for; null in the confirmed rows of a batch';
COMMENT ON COLUMN hs_assoc_result.error IS
'the API''s error object as it came; a JSON string if it is not JSON or was cut at 64 kB';
COMMENT ON COLUMN hs_assoc_type.category IS
'HUBSPOT_DEFINED, USER_DEFINED, INTEGRATOR_DEFINED or another one';
COMMENT ON COLUMN hs_assoc_type.type_id IS
'number of the type, for this category and direction';
COMMENT ON COLUMN hs_assoc_type.label IS
'label of the type, or null for an unlabelled one and where HubSpot doesn''t return it';
COMMENT ON COLUMN hs_assoc_input.from_id IS 'id of the one record';
COMMENT ON COLUMN hs_assoc_input.to_id IS 'id of the other record';
COMMENT ON COLUMN hs_assoc_input.type_ids IS
'numbers of the types; null for the default operation';
COMMENT ON COLUMN hs_assoc_input.category IS
'category of all of type_ids, HUBSPOT_DEFINED if null; null for the default operation';

--
-- Create
--
CREATE FUNCTION hs_assoc_create_default(from_type text, from_id text,
										to_type text, to_id text,
										on_error text DEFAULT 'row',
										server name DEFAULT NULL)
RETURNS hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_create_default'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_create_default(text, text, text, text, text, name) IS
'Associates two records with the default (unlabelled) type of their object types: PUT .../associations/default/... Arguments: object types (a name such as contacts, or an id such as 0-1), record ids; on_error: ''row'' (a failure is a row) or ''raise'' (it is an ERROR); server: the account, null for the setting hubspot_assoc.server. Result: one row, ok only if HubSpot confirmed it. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22023 bad argument; with ''raise'' also the failure''s own SQLSTATE (22023, 28000, 42501, 53400, 38000, 08006, 08P01).';

CREATE FUNCTION hs_assoc_create_default(from_type text, from_id bigint,
										to_type text, to_id bigint,
										on_error text DEFAULT 'row',
										server name DEFAULT NULL)
RETURNS hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_create_default_bigint'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_create_default(text, bigint, text, bigint, text, name) IS
'Associates two records with the default (unlabelled) type of their object types: PUT .../associations/default/... Arguments: object types (a name such as contacts, or an id such as 0-1), record ids; on_error: ''row'' (a failure is a row) or ''raise'' (it is an ERROR); server: the account, null for the setting hubspot_assoc.server. Result: one row, ok only if HubSpot confirmed it. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22023 bad argument; with ''raise'' also the failure''s own SQLSTATE (22023, 28000, 42501, 53400, 38000, 08006, 08P01).';

CREATE FUNCTION hs_assoc_create(from_type text, from_id text,
								to_type text, to_id text,
								type_ids int[],
								category text DEFAULT 'HUBSPOT_DEFINED',
								on_error text DEFAULT 'row',
								server name DEFAULT NULL)
RETURNS hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_create'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_create(text, text, text, text, int[], text, text, name) IS
'Associates two records with association types, in place of the USER_DEFINED ones that the pair has: PUT .../{id}/associations/{toType}/{toId}. type_ids: for the direction from -> to, all of one category. Arguments: object types (a name such as contacts, or an id such as 0-1), record ids; on_error: ''row'' (a failure is a row) or ''raise'' (it is an ERROR); server: the account, null for the setting hubspot_assoc.server. Result: one row, ok only if HubSpot confirmed it. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22023 bad argument; with ''raise'' also the failure''s own SQLSTATE (22023, 28000, 42501, 53400, 38000, 08006, 08P01).';

CREATE FUNCTION hs_assoc_create(from_type text, from_id bigint,
								to_type text, to_id bigint,
								type_ids int[],
								category text DEFAULT 'HUBSPOT_DEFINED',
								on_error text DEFAULT 'row',
								server name DEFAULT NULL)
RETURNS hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_create_bigint'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_create(text, bigint, text, bigint, int[], text, text, name) IS
'Associates two records with association types, in place of the USER_DEFINED ones that the pair has: PUT .../{id}/associations/{toType}/{toId}. type_ids: for the direction from -> to, all of one category. Arguments: object types (a name such as contacts, or an id such as 0-1), record ids; on_error: ''row'' (a failure is a row) or ''raise'' (it is an ERROR); server: the account, null for the setting hubspot_assoc.server. Result: one row, ok only if HubSpot confirmed it. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22023 bad argument; with ''raise'' also the failure''s own SQLSTATE (22023, 28000, 42501, 53400, 38000, 08006, 08P01).';

CREATE FUNCTION hs_assoc_batch_create_default(from_type text, to_type text,
											  query text,
											  on_error text DEFAULT 'row',
											  server name DEFAULT NULL)
RETURNS SETOF hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_batch_create_default'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_batch_create_default(text, text, text, text, name) IS
'Associates the pairs of a query with the default (unlabelled) type: POST .../batch/associate/default. Arguments: the object types of both sides; query: a SELECT, run as a cursor with the caller''s rights, with the columns from_id and to_id (any type that has a text form). on_error: ''row'' (a failure is a row) or ''raise'' (the first one is an ERROR); server: the account, null for the setting hubspot_assoc.server. Result: exactly one row for each input, in the order in which requests are settled; ok only for what HubSpot confirmed. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22023 bad argument, 42703 or 42611 for columns that are missing or unknown, 57014 if canceled; with ''raise'' also the failure''s own SQLSTATE (22023, 28000, 42501, 53400, 38000, 08006, 08P01).';

CREATE FUNCTION hs_assoc_batch_create_default(from_type text, to_type text,
											  inputs hs_assoc_input[],
											  on_error text DEFAULT 'row',
											  server name DEFAULT NULL)
RETURNS SETOF hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_batch_create_default_array'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_batch_create_default(text, text, hs_assoc_input[], text, name) IS
'Associates the pairs of an array with the default (unlabelled) type: POST .../batch/associate/default. Arguments: the object types of both sides; inputs: from_id and to_id of each; type_ids and category must be null. on_error: ''row'' (a failure is a row) or ''raise'' (the first one is an ERROR); server: the account, null for the setting hubspot_assoc.server. Result: exactly one row for each input, in the order in which requests are settled; ok only for what HubSpot confirmed. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22023 bad argument; with ''raise'' also the failure''s own SQLSTATE (22023, 28000, 42501, 53400, 38000, 08006, 08P01).';

CREATE FUNCTION hs_assoc_batch_create(from_type text, to_type text,
									  query text,
									  on_error text DEFAULT 'row',
									  server name DEFAULT NULL)
RETURNS SETOF hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_batch_create'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_batch_create(text, text, text, text, name) IS
'Associates the pairs of a query with association types, in place of the USER_DEFINED ones that each pair has: POST .../batch/create. Arguments: the object types of both sides; query: a SELECT, run as a cursor with the caller''s rights, with the columns from_id, to_id, type_id (integer) or type_ids (integer[]), and optionally category (HUBSPOT_DEFINED if it is missing or null). Rows of one pair that follow each other are sent as one input. on_error: ''row'' (a failure is a row) or ''raise'' (the first one is an ERROR); server: the account, null for the setting hubspot_assoc.server. Result: exactly one row for each input, in the order in which requests are settled; ok only for what HubSpot confirmed. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22023 bad argument, 42703 or 42611 for columns that are missing or unknown, 57014 if canceled; with ''raise'' also the failure''s own SQLSTATE (22023, 28000, 42501, 53400, 38000, 08006, 08P01).';

CREATE FUNCTION hs_assoc_batch_create(from_type text, to_type text,
									  inputs hs_assoc_input[],
									  on_error text DEFAULT 'row',
									  server name DEFAULT NULL)
RETURNS SETOF hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_batch_create_array'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_batch_create(text, text, hs_assoc_input[], text, name) IS
'Associates the pairs of an array with association types, in place of the USER_DEFINED ones that each pair has: POST .../batch/create. Arguments: the object types of both sides; inputs: from_id, to_id, type_ids and category (HUBSPOT_DEFINED if null) of each. on_error: ''row'' (a failure is a row) or ''raise'' (the first one is an ERROR); server: the account, null for the setting hubspot_assoc.server. Result: exactly one row for each input, in the order in which requests are settled; ok only for what HubSpot confirmed. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22023 bad argument; with ''raise'' also the failure''s own SQLSTATE (22023, 28000, 42501, 53400, 38000, 08006, 08P01).';

--
-- Anything else
--
CREATE FUNCTION hs_assoc_request(method text, path text,
								 body jsonb DEFAULT NULL,
								 server name DEFAULT NULL,
								 OUT http_status int,
								 OUT headers jsonb,
								 OUT body jsonb)
AS 'MODULE_PATHNAME', 'hs_assoc_request'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_request(text, text, jsonb, name) IS
'Sends one request to the account''s own host, with its token, throttle and retries. Arguments: method (GET, POST, PUT, PATCH or DELETE), path (begins with one slash, percent-encoded, with the query), body or null, server (null for the setting hubspot_assoc.server). Result: the HTTP status, the headers (names in lower case) and the body (a JSON string if it isn''t JSON, null if there is none). An HTTP error is a result. Errors: 22023 bad argument, 08006 or 08P01 if there is no answer to be read; POST and PATCH are sent again only if nothing can have been done.';
