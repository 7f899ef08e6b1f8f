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
'validates the options of servers and user mappings of the foreign-data wrapper hubspot_assoc; ERROR HV00D for an option that is unknown or out of range, 42501 for one that the caller may not set';

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
COMMENT ON COLUMN hs_assoc_result.labels IS
'the labels of the pair as HubSpot returned them, or null if the operation returns none';
COMMENT ON COLUMN hs_assoc_result.types IS
'the association types from -> to as HubSpot returned them, or null if the operation returns none';
COMMENT ON COLUMN hs_assoc_result.http_status IS
'HTTP status of the answer that decided this input, or null if there was none';
COMMENT ON COLUMN hs_assoc_result.error_category IS
'null if ok; else HubSpot''s category or HTTP_<status>, or one of INVALID_INPUT (refused before sending), UNCONFIRMED (neither confirmed nor refused), NOT_SENT';
COMMENT ON COLUMN hs_assoc_result.correlation_id IS
'HubSpot''s id of the answer, which its support asks for';
COMMENT ON COLUMN hs_assoc_result.error IS
'the API''s error object as it came';

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
'associates two records with the default (unlabelled) type of their object types; PUT .../associations/default/...';

CREATE FUNCTION hs_assoc_create_default(from_type text, from_id bigint,
										to_type text, to_id bigint,
										on_error text DEFAULT 'row',
										server name DEFAULT NULL)
RETURNS hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_create_default_bigint'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_create_default(text, bigint, text, bigint, text, name) IS
'associates two records with the default (unlabelled) type of their object types; PUT .../associations/default/...';

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
'associates two records with the given association types, in place of the pair''s USER_DEFINED ones; PUT .../associations/{toType}/{toId}';

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
'associates two records with the given association types, in place of the pair''s USER_DEFINED ones; PUT .../associations/{toType}/{toId}';

CREATE FUNCTION hs_assoc_batch_create_default(from_type text, to_type text,
											  query text,
											  on_error text DEFAULT 'row',
											  server name DEFAULT NULL)
RETURNS SETOF hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_batch_create_default'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_batch_create_default(text, text, text, text, name) IS
'associates the pairs (from_id, to_id) of a query with the default type, one result row per row; POST .../batch/associate/default';

CREATE FUNCTION hs_assoc_batch_create_default(from_type text, to_type text,
											  inputs hs_assoc_input[],
											  on_error text DEFAULT 'row',
											  server name DEFAULT NULL)
RETURNS SETOF hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_batch_create_default_array'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_batch_create_default(text, text, hs_assoc_input[], text, name) IS
'associates pairs with the default type, one result row per input; POST .../batch/associate/default';

CREATE FUNCTION hs_assoc_batch_create(from_type text, to_type text,
									  query text,
									  on_error text DEFAULT 'row',
									  server name DEFAULT NULL)
RETURNS SETOF hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_batch_create'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_batch_create(text, text, text, text, name) IS
'associates the pairs of a query (from_id, to_id, type_id or type_ids, category) with the given types, one result row per row; POST .../batch/create';

CREATE FUNCTION hs_assoc_batch_create(from_type text, to_type text,
									  inputs hs_assoc_input[],
									  on_error text DEFAULT 'row',
									  server name DEFAULT NULL)
RETURNS SETOF hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_batch_create_array'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_batch_create(text, text, hs_assoc_input[], text, name) IS
'associates pairs with the given types, one result row per input; POST .../batch/create';

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
'sends one request to a path of the account''s own host and returns the whole answer; an HTTP error is a row, no answer at all an ERROR';
