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
'Validates the options of servers and user mappings of the foreign-data wrapper hubspot_assoc. Errors: HV00D for an option that is unknown or out of range, and for options of a login that exclude each other or lack one; 42501 for one that the caller may not set or a host that is not allowed.';

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
	category	text,
	labels		text[]
);
COMMENT ON TYPE hs_assoc_input IS
'one input of the batch functions; its types are those of type_ids and of labels';

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
'null if ok; else HubSpot''s category or HTTP_<status>, or one of INVALID_INPUT (refused before sending), UNCONFIRMED (neither confirmed nor refused), NOT_SENT (the account was refused, or what had to be asked first failed: an access token, labels)';
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
'numbers of the types; null where there are labels, and for operations without types';
COMMENT ON COLUMN hs_assoc_input.category IS
'category of the type_ids, HUBSPOT_DEFINED if null, and of the labels, any if null; null for operations without types';
COMMENT ON COLUMN hs_assoc_input.labels IS
'types by their labels; null where there are type_ids, and for operations without types';

CREATE TYPE hs_assoc_association AS (
	input_no		bigint,
	from_id			text,
	to_id			text,
	category		text,
	type_id			int,
	label			text,
	error_category	text,
	error_message	text,
	error			jsonb
);
COMMENT ON TYPE hs_assoc_association IS
'one association type of a pair of records; or, with to_id null, why the associations of a record could not be read';
COMMENT ON COLUMN hs_assoc_association.input_no IS
'number of the input, from 1, in the order in which the query or the array gave them';
COMMENT ON COLUMN hs_assoc_association.from_id IS
'id of the record whose associations are read, as it was given';
COMMENT ON COLUMN hs_assoc_association.to_id IS
'id of the record that is associated to it; null if there is an error';
COMMENT ON COLUMN hs_assoc_association.category IS
'HUBSPOT_DEFINED, USER_DEFINED, INTEGRATOR_DEFINED or another one';
COMMENT ON COLUMN hs_assoc_association.type_id IS
'number of the type, for this category and direction';
COMMENT ON COLUMN hs_assoc_association.label IS
'label of the type, or null for an unlabelled one';
COMMENT ON COLUMN hs_assoc_association.error_category IS
'null, or HubSpot''s category or HTTP_<status>, or one of INVALID_INPUT (refused before sending), UNCONFIRMED (no answer for this record), NOT_SENT (the account was refused, or what had to be asked first failed: an access token, labels)';
COMMENT ON COLUMN hs_assoc_association.error_message IS
'null, or the words of HubSpot, of libcurl or of the extension, cut at 1,000 bytes';
COMMENT ON COLUMN hs_assoc_association.error IS
'null, or the API''s error object as it came; a JSON string if it is not JSON or was cut at 64 kB';

CREATE TYPE hs_assoc_limit AS (
	from_type	text,
	to_type		text,
	category	text,
	type_id		int,
	label		text,
	max_to_ids	int
);
COMMENT ON TYPE hs_assoc_limit IS
'how many records may be associated to one record with an association type';
COMMENT ON COLUMN hs_assoc_limit.from_type IS
'object type of the one record, as it was given; null where the limits of all object types were asked for, of which HubSpot doesn''t tell';
COMMENT ON COLUMN hs_assoc_limit.to_type IS
'object type of the others, likewise';
COMMENT ON COLUMN hs_assoc_limit.category IS
'HUBSPOT_DEFINED, USER_DEFINED, INTEGRATOR_DEFINED or another one';
COMMENT ON COLUMN hs_assoc_limit.type_id IS
'number of the type, for this category and direction';
COMMENT ON COLUMN hs_assoc_limit.label IS
'label of the type, or null for an unlabelled one';
COMMENT ON COLUMN hs_assoc_limit.max_to_ids IS
'the most records; null if the account has set no limit';

--
-- Create
--
CREATE FUNCTION hs_assoc_create_default(
	from_type text,
	from_id text,
	to_type text,
	to_id text,
	on_error text DEFAULT 'row',
	server name DEFAULT NULL)
RETURNS hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_create_default'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_create_default(text, text, text, text, text, name) IS
'Associates two records with the default (unlabelled) type of their object types: PUT .../associations/default/... Arguments: object types (a name such as contacts, or an id such as 0-1), record ids; on_error: ''row'' (a failure is a row) or ''raise'' (it is an ERROR); server: the account, null for the setting hubspot_assoc.server. Result: one row, ok only if HubSpot confirmed it. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument; with ''raise'' also the failure''s own SQLSTATE (22023, 28000, 42501, 53400, 38000, 08006, 08P01).';

CREATE FUNCTION hs_assoc_create_default(
	from_type text,
	from_id bigint,
	to_type text,
	to_id bigint,
	on_error text DEFAULT 'row',
	server name DEFAULT NULL)
RETURNS hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_create_default_bigint'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_create_default(text, bigint, text, bigint, text, name) IS
'Associates two records with the default (unlabelled) type of their object types: PUT .../associations/default/... Arguments: object types (a name such as contacts, or an id such as 0-1), record ids; on_error: ''row'' (a failure is a row) or ''raise'' (it is an ERROR); server: the account, null for the setting hubspot_assoc.server. Result: one row, ok only if HubSpot confirmed it. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument; with ''raise'' also the failure''s own SQLSTATE (22023, 28000, 42501, 53400, 38000, 08006, 08P01).';

CREATE FUNCTION hs_assoc_create(
	from_type text,
	from_id text,
	to_type text,
	to_id text,
	type_ids int[] DEFAULT NULL,
	category text DEFAULT NULL,
	labels text[] DEFAULT NULL,
	on_error text DEFAULT 'row',
	keep_labels boolean DEFAULT false,
	server name DEFAULT NULL)
RETURNS hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_create'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_create(text, text, text, text, int[], text, text[], text, boolean, name) IS
'Associates two records with association types, in place of the USER_DEFINED ones that the pair has: PUT .../{id}/associations/{toType}/{toId}. type_ids: numbers for the direction from -> to; category: theirs (HUBSPOT_DEFINED if null) and the labels'' (any if null); labels: types by their labels, looked up with GET .../labels. keep_labels: read the USER_DEFINED types that the pairs have first, and send these, too. Arguments: object types (a name such as contacts, or an id such as 0-1), record ids; on_error: ''row'' (a failure is a row) or ''raise'' (it is an ERROR); server: the account, null for the setting hubspot_assoc.server. Result: one row, ok only if HubSpot confirmed it. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument; with ''raise'' also the failure''s own SQLSTATE (22023, 28000, 42501, 53400, 38000, 08006, 08P01).';

CREATE FUNCTION hs_assoc_create(
	from_type text,
	from_id bigint,
	to_type text,
	to_id bigint,
	type_ids int[] DEFAULT NULL,
	category text DEFAULT NULL,
	labels text[] DEFAULT NULL,
	on_error text DEFAULT 'row',
	keep_labels boolean DEFAULT false,
	server name DEFAULT NULL)
RETURNS hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_create_bigint'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_create(text, bigint, text, bigint, int[], text, text[], text, boolean, name) IS
'Associates two records with association types, in place of the USER_DEFINED ones that the pair has: PUT .../{id}/associations/{toType}/{toId}. type_ids: numbers for the direction from -> to; category: theirs (HUBSPOT_DEFINED if null) and the labels'' (any if null); labels: types by their labels, looked up with GET .../labels. keep_labels: read the USER_DEFINED types that the pairs have first, and send these, too. Arguments: object types (a name such as contacts, or an id such as 0-1), record ids; on_error: ''row'' (a failure is a row) or ''raise'' (it is an ERROR); server: the account, null for the setting hubspot_assoc.server. Result: one row, ok only if HubSpot confirmed it. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument; with ''raise'' also the failure''s own SQLSTATE (22023, 28000, 42501, 53400, 38000, 08006, 08P01).';

CREATE FUNCTION hs_assoc_batch_create_default(
	from_type text,
	to_type text,
	query text,
	on_error text DEFAULT 'row',
	server name DEFAULT NULL)
RETURNS SETOF hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_batch_create_default'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_batch_create_default(text, text, text, text, name) IS
'Associates the pairs of a query with the default (unlabelled) type: POST .../batch/associate/default. Arguments: the object types of both sides; query: a SELECT, run as a cursor with the caller''s rights, with the columns from_id and to_id (any type that has a text form). on_error: ''row'' (a failure is a row) or ''raise'' (the first one is an ERROR); server: the account, null for the setting hubspot_assoc.server. Result: exactly one row for each input, in the order in which requests are settled; ok only for what HubSpot confirmed. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument, 42703 or 42611 for columns that are missing or unknown, 57014 if canceled; with ''raise'' also the failure''s own SQLSTATE (22023, 28000, 42501, 53400, 38000, 08006, 08P01).';

CREATE FUNCTION hs_assoc_batch_create_default(
	from_type text,
	to_type text,
	inputs hs_assoc_input[],
	on_error text DEFAULT 'row',
	server name DEFAULT NULL)
RETURNS SETOF hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_batch_create_default_array'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_batch_create_default(text, text, hs_assoc_input[], text, name) IS
'Associates the pairs of an array with the default (unlabelled) type: POST .../batch/associate/default. Arguments: the object types of both sides; inputs: from_id and to_id of each; type_ids, category and labels must be null. on_error: ''row'' (a failure is a row) or ''raise'' (the first one is an ERROR); server: the account, null for the setting hubspot_assoc.server. Result: exactly one row for each input, in the order in which requests are settled; ok only for what HubSpot confirmed. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument, 57014 if canceled; with ''raise'' also the failure''s own SQLSTATE (22023, 28000, 42501, 53400, 38000, 08006, 08P01).';

CREATE FUNCTION hs_assoc_batch_create(
	from_type text,
	to_type text,
	query text,
	on_error text DEFAULT 'row',
	keep_labels boolean DEFAULT false,
	server name DEFAULT NULL)
RETURNS SETOF hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_batch_create'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_batch_create(text, text, text, text, boolean, name) IS
'Associates the pairs of a query with association types, in place of the USER_DEFINED ones that each pair has: POST .../batch/create. Arguments: the object types of both sides; query: a SELECT, run as a cursor with the caller''s rights, with the columns from_id, to_id, and the types: type_id (integer) or type_ids (integer[]), label or labels (text[]), or of each; and optionally category (of the numbers HUBSPOT_DEFINED, of the labels any, if it is missing or null). Rows of one pair that follow each other are sent as one input. keep_labels: read the USER_DEFINED types that the pairs have first, and send these, too. on_error: ''row'' (a failure is a row) or ''raise'' (the first one is an ERROR); server: the account, null for the setting hubspot_assoc.server. Result: exactly one row for each input, in the order in which requests are settled; ok only for what HubSpot confirmed. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument, 42703 or 42611 for columns that are missing or unknown, 57014 if canceled; with ''raise'' also the failure''s own SQLSTATE (22023, 28000, 42501, 53400, 38000, 08006, 08P01).';

CREATE FUNCTION hs_assoc_batch_create(
	from_type text,
	to_type text,
	inputs hs_assoc_input[],
	on_error text DEFAULT 'row',
	keep_labels boolean DEFAULT false,
	server name DEFAULT NULL)
RETURNS SETOF hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_batch_create_array'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_batch_create(text, text, hs_assoc_input[], text, boolean, name) IS
'Associates the pairs of an array with association types, in place of the USER_DEFINED ones that each pair has: POST .../batch/create. Arguments: the object types of both sides; inputs: from_id, to_id, type_ids or labels or both, and category (of the numbers HUBSPOT_DEFINED, of the labels any, if null) of each. keep_labels: read the USER_DEFINED types that the pairs have first, and send these, too. on_error: ''row'' (a failure is a row) or ''raise'' (the first one is an ERROR); server: the account, null for the setting hubspot_assoc.server. Result: exactly one row for each input, in the order in which requests are settled; ok only for what HubSpot confirmed. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument, 57014 if canceled; with ''raise'' also the failure''s own SQLSTATE (22023, 28000, 42501, 53400, 38000, 08006, 08P01).';

--
-- Remove
--
CREATE FUNCTION hs_assoc_archive(
	from_type text,
	from_id text,
	to_type text,
	to_id text,
	on_error text DEFAULT 'row',
	server name DEFAULT NULL)
RETURNS hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_archive'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_archive(text, text, text, text, text, name) IS
'Removes all associations of two records, whatever their types: DELETE .../{id}/associations/{toType}/{toId}. One that isn''t there (any more) is ok. Arguments: object types (a name such as contacts, or an id such as 0-1), record ids; on_error: ''row'' (a failure is a row) or ''raise'' (it is an ERROR); server: the account, null for the setting hubspot_assoc.server. Result: one row, ok only if HubSpot confirmed it. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument; with ''raise'' also the failure''s own SQLSTATE (22023, 28000, 42501, 53400, 38000, 08006, 08P01).';

CREATE FUNCTION hs_assoc_archive(
	from_type text,
	from_id bigint,
	to_type text,
	to_id bigint,
	on_error text DEFAULT 'row',
	server name DEFAULT NULL)
RETURNS hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_archive_bigint'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_archive(text, bigint, text, bigint, text, name) IS
'Removes all associations of two records, whatever their types: DELETE .../{id}/associations/{toType}/{toId}. One that isn''t there (any more) is ok. Arguments: object types (a name such as contacts, or an id such as 0-1), record ids; on_error: ''row'' (a failure is a row) or ''raise'' (it is an ERROR); server: the account, null for the setting hubspot_assoc.server. Result: one row, ok only if HubSpot confirmed it. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument; with ''raise'' also the failure''s own SQLSTATE (22023, 28000, 42501, 53400, 38000, 08006, 08P01).';

CREATE FUNCTION hs_assoc_batch_archive(
	from_type text,
	to_type text,
	query text,
	on_error text DEFAULT 'row',
	server name DEFAULT NULL)
RETURNS SETOF hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_batch_archive'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_batch_archive(text, text, text, text, name) IS
'Removes all associations of the pairs of a query, whatever their types: POST .../batch/archive. The pairs are sorted by from_id first, since HubSpot allows 100 of these a request. Arguments: the object types of both sides; query: a SELECT, run as a cursor with the caller''s rights, with the columns from_id and to_id (any type that has a text form). on_error: ''row'' (a failure is a row) or ''raise'' (the first one is an ERROR); server: the account, null for the setting hubspot_assoc.server. Result: exactly one row for each input, in the order in which requests are settled; ok only for what HubSpot confirmed. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument, 42703 or 42611 for columns that are missing or unknown, 57014 if canceled; with ''raise'' also the failure''s own SQLSTATE (22023, 28000, 42501, 53400, 38000, 08006, 08P01).';

CREATE FUNCTION hs_assoc_batch_archive(
	from_type text,
	to_type text,
	inputs hs_assoc_input[],
	on_error text DEFAULT 'row',
	server name DEFAULT NULL)
RETURNS SETOF hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_batch_archive_array'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_batch_archive(text, text, hs_assoc_input[], text, name) IS
'Removes all associations of the pairs of an array, whatever their types: POST .../batch/archive. The pairs are sorted by from_id first, since HubSpot allows 100 of these a request. Arguments: the object types of both sides; inputs: from_id and to_id of each; type_ids, category and labels must be null. on_error: ''row'' (a failure is a row) or ''raise'' (the first one is an ERROR); server: the account, null for the setting hubspot_assoc.server. Result: exactly one row for each input, in the order in which requests are settled; ok only for what HubSpot confirmed. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument, 57014 if canceled; with ''raise'' also the failure''s own SQLSTATE (22023, 28000, 42501, 53400, 38000, 08006, 08P01).';

CREATE FUNCTION hs_assoc_batch_archive_labels(
	from_type text,
	to_type text,
	query text,
	on_error text DEFAULT 'row',
	server name DEFAULT NULL)
RETURNS SETOF hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_batch_archive_labels'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_batch_archive_labels(text, text, text, text, name) IS
'Removes association types of the pairs of a query: POST .../batch/labels/archive. Arguments: the object types of both sides; query: a SELECT, run as a cursor with the caller''s rights, with the columns from_id, to_id, and the types: type_id (integer) or type_ids (integer[]), label or labels (text[]), or of each; and optionally category (of the numbers HUBSPOT_DEFINED, of the labels any, if it is missing or null). Rows of one pair that follow each other are sent as one input. on_error: ''row'' (a failure is a row) or ''raise'' (the first one is an ERROR); server: the account, null for the setting hubspot_assoc.server. Result: exactly one row for each input, in the order in which requests are settled; ok only for what HubSpot confirmed. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument, 42703 or 42611 for columns that are missing or unknown, 57014 if canceled; with ''raise'' also the failure''s own SQLSTATE (22023, 28000, 42501, 53400, 38000, 08006, 08P01).';

CREATE FUNCTION hs_assoc_batch_archive_labels(
	from_type text,
	to_type text,
	inputs hs_assoc_input[],
	on_error text DEFAULT 'row',
	server name DEFAULT NULL)
RETURNS SETOF hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_batch_archive_labels_array'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_batch_archive_labels(text, text, hs_assoc_input[], text, name) IS
'Removes association types of the pairs of an array: POST .../batch/labels/archive. Arguments: the object types of both sides; inputs: from_id, to_id, type_ids or labels or both, and category (of the numbers HUBSPOT_DEFINED, of the labels any, if null) of each. on_error: ''row'' (a failure is a row) or ''raise'' (the first one is an ERROR); server: the account, null for the setting hubspot_assoc.server. Result: exactly one row for each input, in the order in which requests are settled; ok only for what HubSpot confirmed. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument, 57014 if canceled; with ''raise'' also the failure''s own SQLSTATE (22023, 28000, 42501, 53400, 38000, 08006, 08P01).';

--
-- Read
--
CREATE FUNCTION hs_assoc_list(
	from_type text,
	from_id text,
	to_type text,
	server name DEFAULT NULL)
RETURNS SETOF hs_assoc_association
AS 'MODULE_PATHNAME', 'hs_assoc_list'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_list(text, text, text, name) IS
'Reads the associations of a record: GET .../{id}/associations/{toType}, all pages. Arguments: object types (a name such as contacts, or an id such as 0-1), record id; server: the account, null for the setting hubspot_assoc.server. Result: one row for each record and association type, none if nothing is associated. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument, 28000, 42501, 53400, 38000, 08006 or 08P01 by the cause of a failure.';

CREATE FUNCTION hs_assoc_list(
	from_type text,
	from_id bigint,
	to_type text,
	server name DEFAULT NULL)
RETURNS SETOF hs_assoc_association
AS 'MODULE_PATHNAME', 'hs_assoc_list_bigint'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_list(text, bigint, text, name) IS
'Reads the associations of a record: GET .../{id}/associations/{toType}, all pages. Arguments: object types (a name such as contacts, or an id such as 0-1), record id; server: the account, null for the setting hubspot_assoc.server. Result: one row for each record and association type, none if nothing is associated. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument, 28000, 42501, 53400, 38000, 08006 or 08P01 by the cause of a failure.';

CREATE FUNCTION hs_assoc_batch_read(
	from_type text,
	to_type text,
	query text,
	on_error text DEFAULT 'row',
	server name DEFAULT NULL)
RETURNS SETOF hs_assoc_association
AS 'MODULE_PATHNAME', 'hs_assoc_batch_read'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_batch_read(text, text, text, text, name) IS
'Reads the associations of the records of a query: POST .../batch/read, all pages. Arguments: the object types of both sides; query: a SELECT, run as a cursor with the caller''s rights, with the column from_id (any type that has a text form). on_error: ''row'' (a failure is a row) or ''raise'' (the first one is an ERROR); server: the account, null for the setting hubspot_assoc.server. Result: one row for each input, record and association type, none if nothing is associated; of an input that could not be read, also one row with to_id null and the error. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument, 42703 or 42611 for columns that are missing or unknown, 57014 if canceled; with ''raise'' also the failure''s own SQLSTATE (22023, 28000, 42501, 53400, 38000, 08006, 08P01).';

CREATE FUNCTION hs_assoc_batch_read(
	from_type text,
	to_type text,
	from_ids text[],
	on_error text DEFAULT 'row',
	server name DEFAULT NULL)
RETURNS SETOF hs_assoc_association
AS 'MODULE_PATHNAME', 'hs_assoc_batch_read_array'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_batch_read(text, text, text[], text, name) IS
'Reads the associations of the records of an array: POST .../batch/read, all pages. Arguments: the object types of both sides; from_ids: record ids. on_error: ''row'' (a failure is a row) or ''raise'' (the first one is an ERROR); server: the account, null for the setting hubspot_assoc.server. Result: one row for each input, record and association type, none if nothing is associated; of an input that could not be read, also one row with to_id null and the error. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument, 57014 if canceled; with ''raise'' also the failure''s own SQLSTATE (22023, 28000, 42501, 53400, 38000, 08006, 08P01).';

--
-- Labels
--
CREATE FUNCTION hs_assoc_labels(
	from_type text,
	to_type text,
	server name DEFAULT NULL)
RETURNS SETOF hs_assoc_type
AS 'MODULE_PATHNAME', 'hs_assoc_labels'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_labels(text, text, name) IS
'Association types from one object type to another, with their labels: GET .../labels. Arguments: object types (a name such as contacts, or an id such as 0-1) for the direction; server: the account, null for the setting hubspot_assoc.server. Result: one row for each type. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument, 28000, 42501, 53400, 38000, 08006 or 08P01 by the cause of a failure.';

CREATE FUNCTION hs_assoc_label_create(
	from_type text,
	to_type text,
	label text,
	name text,
	inverse_label text DEFAULT NULL,
	server name DEFAULT NULL)
RETURNS SETOF hs_assoc_type
AS 'MODULE_PATHNAME', 'hs_assoc_label_create'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_label_create(text, text, text, text, text, name) IS
'Defines a label: POST .../labels. Arguments: object types (a name such as contacts, or an id such as 0-1) for the direction; label: as people see it; name: HubSpot''s internal one, which neither begins with a digit nor has a hyphen; inverse_label: of the other direction, null for the same label; server: the account, null for the setting hubspot_assoc.server. Result: the new types, one for each direction, or one for both. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument, 28000, 42501, 53400, 38000, 08006 or 08P01 by the cause of a failure. Sent again only if HubSpot cannot have acted.';

CREATE FUNCTION hs_assoc_label_update(
	from_type text,
	to_type text,
	type_id int,
	label text,
	inverse_label text DEFAULT NULL,
	server name DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'hs_assoc_label_update'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_label_update(text, text, int, text, text, name) IS
'Renames a label: PUT .../labels. Arguments: object types (a name such as contacts, or an id such as 0-1) for the direction; type_id: of the USER_DEFINED type; label, inverse_label: new ones (null: the other direction is left to HubSpot); server: the account, null for the setting hubspot_assoc.server. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument, 28000, 42501, 53400, 38000, 08006 or 08P01 by the cause of a failure.';

CREATE FUNCTION hs_assoc_label_delete(
	from_type text,
	to_type text,
	type_id int,
	server name DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'hs_assoc_label_delete'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_label_delete(text, text, int, name) IS
'Deletes a label, of both directions and from all pairs that have it: DELETE .../labels/{associationTypeId}. Arguments: object types (a name such as contacts, or an id such as 0-1) for the direction; type_id: of the USER_DEFINED type; server: the account, null for the setting hubspot_assoc.server. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument, 28000, 42501, 53400, 38000, 08006 or 08P01 by the cause of a failure.';

--
-- Limits and reports
--
CREATE FUNCTION hs_assoc_limits(
	from_type text DEFAULT NULL,
	to_type text DEFAULT NULL,
	server name DEFAULT NULL)
RETURNS SETOF hs_assoc_limit
AS 'MODULE_PATHNAME', 'hs_assoc_limits'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_limits(text, text, name) IS
'Limits that the account has set: GET .../definitions/configurations/{from}/{to}, or .../all if both object types are null. Arguments: object types (a name such as contacts, or an id such as 0-1) for the direction, or null; server: the account, null for the setting hubspot_assoc.server. Result: one row for each limit. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument, 28000, 42501, 53400, 38000, 08006 or 08P01 by the cause of a failure.';

CREATE FUNCTION hs_assoc_limit_create(
	from_type text,
	to_type text,
	category text,
	type_id int,
	max_to_ids int,
	server name DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'hs_assoc_limit_create'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_limit_create(text, text, text, int, int, name) IS
'Sets a limit on how many records may be associated to one: POST .../definitions/configurations/{from}/{to}/batch/create. Arguments: object types (a name such as contacts, or an id such as 0-1) for the direction; category, type_id: the association type; max_to_ids: the most records, from 1; server: the account, null for the setting hubspot_assoc.server. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument, 28000, 42501, 53400, 38000, 08006 or 08P01 by the cause of a failure. Sent again only if HubSpot cannot have acted.';

CREATE FUNCTION hs_assoc_limit_update(
	from_type text,
	to_type text,
	category text,
	type_id int,
	max_to_ids int,
	server name DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'hs_assoc_limit_update'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_limit_update(text, text, text, int, int, name) IS
'Changes a limit: POST .../definitions/configurations/{from}/{to}/batch/update. Arguments: object types (a name such as contacts, or an id such as 0-1) for the direction; category, type_id: the association type; max_to_ids: the most records, from 1; server: the account, null for the setting hubspot_assoc.server. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument, 28000, 42501, 53400, 38000, 08006 or 08P01 by the cause of a failure.';

CREATE FUNCTION hs_assoc_limit_purge(
	from_type text,
	to_type text,
	category text,
	type_id int,
	server name DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'hs_assoc_limit_purge'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_limit_purge(text, text, text, int, name) IS
'Removes a limit: POST .../definitions/configurations/{from}/{to}/batch/purge. Arguments: object types (a name such as contacts, or an id such as 0-1) for the direction; category, type_id: the association type; server: the account, null for the setting hubspot_assoc.server. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument, 28000, 42501, 53400, 38000, 08006 or 08P01 by the cause of a failure.';

CREATE FUNCTION hs_assoc_high_usage_report(
	INOUT user_id bigint,
	server name DEFAULT NULL,
	OUT user_email text,
	OUT enqueue_time timestamptz)
AS 'MODULE_PATHNAME', 'hs_assoc_high_usage_report'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_high_usage_report(bigint, name) IS
'Has HubSpot send a user the report of records that come near their limits of associations: POST .../usage/high-usage-report/{userId}. Arguments: user_id: HubSpot''s number of the user; server: the account, null for the setting hubspot_assoc.server. Result: the user and when the report was enqueued. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument, 28000, 42501, 53400, 38000, 08006 or 08P01 by the cause of a failure. Sent again only if HubSpot cannot have acted.';

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
'Sends one request to the account''s own host, with its token, throttle and retries. Arguments: method (GET, POST, PUT, PATCH or DELETE), path (begins with one slash, percent-encoded, with the query), body or null, server (null for the setting hubspot_assoc.server). Result: the HTTP status, the headers (names in lower case) and the body (a JSON string if it isn''t JSON, null if there is none). An HTTP error is a result. Errors: 42704 no such server or no user mapping, 42501 no USAGE, 22004 or 22023 bad argument, 08006 or 08P01 if there is no answer to be read; 28000, 53400 or 38000 if OAuth gives no access token. POST and PATCH are sent again only if nothing can have been done.';
