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
'Validates the options of servers, user mappings and foreign tables of the foreign-data wrapper hubspot_assoc.';

CREATE FUNCTION hs_assoc_fdw_handler()
RETURNS fdw_handler
AS 'MODULE_PATHNAME'
LANGUAGE C STRICT VOLATILE PARALLEL SAFE;
COMMENT ON FUNCTION hs_assoc_fdw_handler() IS
'Handles foreign tables of the foreign-data wrapper hubspot_assoc.';

CREATE FOREIGN DATA WRAPPER hubspot_assoc HANDLER hs_assoc_fdw_handler VALIDATOR hs_assoc_fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER hubspot_assoc IS
'HubSpot accounts, as servers for the functions hs_assoc_* and for foreign tables';

--
-- What goes in and what comes out
--
CREATE TYPE hs_assoc_type AS (
	category	text,
	type_id		int,
	label		text,
	is_primary	boolean
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
	error			jsonb,
	from_record		text,
	to_record		text
);
COMMENT ON TYPE hs_assoc_result IS
'what became of one input: ok is true only for what HubSpot confirmed, and never null';
COMMENT ON COLUMN hs_assoc_result.input_no IS
'number of the input, from 1, in the order in which the query or the array gave them';
COMMENT ON COLUMN hs_assoc_result.from_id IS
'id of the one record, or its key, as it was given';
COMMENT ON COLUMN hs_assoc_result.to_id IS
'id of the other record, or its key, as it was given';
COMMENT ON COLUMN hs_assoc_result.ok IS
'true only for what HubSpot confirmed; never null';
COMMENT ON COLUMN hs_assoc_result.labels IS
'the labels of the pair as HubSpot returned them, or null if the operation returns none';
COMMENT ON COLUMN hs_assoc_result.types IS
'the association types from -> to as HubSpot returned them, or null if the operation returns none';
COMMENT ON COLUMN hs_assoc_result.http_status IS
'HTTP status of the answer that decided this input, or null if there was none';
COMMENT ON COLUMN hs_assoc_result.error_category IS
'null if ok; else HubSpot''s, HTTP_<status>, INVALID_INPUT, RECORD_NOT_FOUND, RECORD_AMBIGUOUS, UNCONFIRMED or NOT_SENT';
COMMENT ON COLUMN hs_assoc_result.error_message IS
'null if ok; else the words of HubSpot, of libcurl or of the extension, cut at 1,000 bytes';
COMMENT ON COLUMN hs_assoc_result.correlation_id IS
'HubSpot''s id of the answer, which its support asks for; null in the confirmed rows of a batch';
COMMENT ON COLUMN hs_assoc_result.error IS
'the API''s error object as it came; a JSON string if it is not JSON or was cut at 64 kB';
COMMENT ON COLUMN hs_assoc_result.from_record IS
'id of the record that from_id is the key of; null if the object type has no property, or if it is not known';
COMMENT ON COLUMN hs_assoc_result.to_record IS
'id of the record that to_id is the key of; null likewise';
COMMENT ON COLUMN hs_assoc_type.category IS
'HUBSPOT_DEFINED, USER_DEFINED, INTEGRATOR_DEFINED or another one';
COMMENT ON COLUMN hs_assoc_type.type_id IS
'number of the type, for this category and direction';
COMMENT ON COLUMN hs_assoc_type.label IS
'label of the type, or null for an unlabelled one and where HubSpot does not return it';
COMMENT ON COLUMN hs_assoc_type.is_primary IS
'whether it makes a company the primary one of a record; by the number, whatever the label is';
COMMENT ON COLUMN hs_assoc_input.from_id IS 'id of the one record, or its key';
COMMENT ON COLUMN hs_assoc_input.to_id IS 'id of the other record, or its key';
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
	is_primary		boolean,
	error_category	text,
	error_message	text,
	error			jsonb,
	from_record		text,
	to_record		text
);
COMMENT ON TYPE hs_assoc_association IS
'one association type of a pair of records; or, with to_id null, why the associations of a record could not be read';
COMMENT ON COLUMN hs_assoc_association.input_no IS
'number of the input, from 1, in the order in which the query or the array gave them';
COMMENT ON COLUMN hs_assoc_association.from_id IS
'id of the record whose associations are read, or its key, as it was given';
COMMENT ON COLUMN hs_assoc_association.to_id IS
'the record that is associated to it, by its id or by the property of to_type; null if it has no value, or if there is an error';
COMMENT ON COLUMN hs_assoc_association.category IS
'HUBSPOT_DEFINED, USER_DEFINED, INTEGRATOR_DEFINED or another one';
COMMENT ON COLUMN hs_assoc_association.type_id IS
'number of the type, for this category and direction';
COMMENT ON COLUMN hs_assoc_association.label IS
'label of the type, or null for an unlabelled one';
COMMENT ON COLUMN hs_assoc_association.is_primary IS
'whether the type makes a company the primary one of a record; by the number, whatever the label is';
COMMENT ON COLUMN hs_assoc_association.error_category IS
'null, or HubSpot''s, HTTP_<status>, INVALID_INPUT, RECORD_NOT_FOUND, RECORD_AMBIGUOUS, UNCONFIRMED or NOT_SENT';
COMMENT ON COLUMN hs_assoc_association.error_message IS
'null, or the words of HubSpot, of libcurl or of the extension, cut at 1,000 bytes';
COMMENT ON COLUMN hs_assoc_association.error IS
'null, or the API''s error object as it came; a JSON string if it is not JSON or was cut at 64 kB';

COMMENT ON COLUMN hs_assoc_association.from_record IS
'id of the record that from_id is the key of; null if the object type has no property, or if it is not known';
COMMENT ON COLUMN hs_assoc_association.to_record IS
'id of the record that is associated to it, if its type has a property; else null';

CREATE TYPE hs_assoc_record AS (
	input_no		bigint,
	key				text,
	record_id		text,
	candidates		text[],
	error_category	text,
	error_message	text,
	error			jsonb
);
COMMENT ON TYPE hs_assoc_record IS
'the record that a key means; or, with record_id null, why that is not known';
COMMENT ON COLUMN hs_assoc_record.input_no IS
'number of the input, from 1, in the order in which the query or the array gave them';
COMMENT ON COLUMN hs_assoc_record.key IS
'value of the property, or id, as it was given';
COMMENT ON COLUMN hs_assoc_record.record_id IS
'id of the one record that it means; null if there is none, or several, or if that is not known';
COMMENT ON COLUMN hs_assoc_record.candidates IS
'ids of records that may have been meant, at most 20; null if there are none';
COMMENT ON COLUMN hs_assoc_record.error_category IS
'null if there is one record; else RECORD_NOT_FOUND, RECORD_AMBIGUOUS, INVALID_INPUT or NOT_SENT';
COMMENT ON COLUMN hs_assoc_record.error_message IS
'null if there is one record; else why not, in our words or in HubSpot''s, cut at 1,000 bytes';
COMMENT ON COLUMN hs_assoc_record.error IS
'null, the candidates and their number, or the API''s error object as it came';

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
'object type of the one record, as it was given; null in the list of all limits';
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
'Associates two records with the default, unlabelled type of their object types.';

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
'Associates two records with the default, unlabelled type of their object types.';

CREATE FUNCTION hs_assoc_create_default(
	from_type text,
	from_id text,
	to_type text,
	to_id bigint,
	on_error text DEFAULT 'row',
	server name DEFAULT NULL)
RETURNS hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_create_default_to_bigint'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_create_default(text, text, text, bigint, text, name) IS
'Associates two records with the default, unlabelled type of their object types.';

CREATE FUNCTION hs_assoc_create_default(
	from_type text,
	from_id bigint,
	to_type text,
	to_id text,
	on_error text DEFAULT 'row',
	server name DEFAULT NULL)
RETURNS hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_create_default_from_bigint'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_create_default(text, bigint, text, text, text, name) IS
'Associates two records with the default, unlabelled type of their object types.';

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
	is_primary boolean DEFAULT false,
	server name DEFAULT NULL)
RETURNS hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_create'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_create(text, text, text, text, int[], text, text[], text, boolean, boolean, name) IS
'Associates two records with association types, in place of the USER_DEFINED ones that the pair has.';

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
	is_primary boolean DEFAULT false,
	server name DEFAULT NULL)
RETURNS hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_create_bigint'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_create(text, bigint, text, bigint, int[], text, text[], text, boolean, boolean, name) IS
'Associates two records with association types, in place of the USER_DEFINED ones that the pair has.';

CREATE FUNCTION hs_assoc_create(
	from_type text,
	from_id text,
	to_type text,
	to_id bigint,
	type_ids int[] DEFAULT NULL,
	category text DEFAULT NULL,
	labels text[] DEFAULT NULL,
	on_error text DEFAULT 'row',
	keep_labels boolean DEFAULT false,
	is_primary boolean DEFAULT false,
	server name DEFAULT NULL)
RETURNS hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_create_to_bigint'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_create(text, text, text, bigint, int[], text, text[], text, boolean, boolean, name) IS
'Associates two records with association types, in place of the USER_DEFINED ones that the pair has.';

CREATE FUNCTION hs_assoc_create(
	from_type text,
	from_id bigint,
	to_type text,
	to_id text,
	type_ids int[] DEFAULT NULL,
	category text DEFAULT NULL,
	labels text[] DEFAULT NULL,
	on_error text DEFAULT 'row',
	keep_labels boolean DEFAULT false,
	is_primary boolean DEFAULT false,
	server name DEFAULT NULL)
RETURNS hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_create_from_bigint'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_create(text, bigint, text, text, int[], text, text[], text, boolean, boolean, name) IS
'Associates two records with association types, in place of the USER_DEFINED ones that the pair has.';

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
'Associates the pairs of a query with the default, unlabelled type of their object types.';

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
'Associates the pairs of an array with the default, unlabelled type of their object types.';

CREATE FUNCTION hs_assoc_batch_create(
	from_type text,
	to_type text,
	query text,
	on_error text DEFAULT 'row',
	keep_labels boolean DEFAULT false,
	is_primary boolean DEFAULT false,
	server name DEFAULT NULL)
RETURNS SETOF hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_batch_create'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_batch_create(text, text, text, text, boolean, boolean, name) IS
'Associates the pairs of a query with association types, in place of the USER_DEFINED ones that they have.';

CREATE FUNCTION hs_assoc_batch_create(
	from_type text,
	to_type text,
	inputs hs_assoc_input[],
	on_error text DEFAULT 'row',
	keep_labels boolean DEFAULT false,
	is_primary boolean DEFAULT false,
	server name DEFAULT NULL)
RETURNS SETOF hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_batch_create_array'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_batch_create(text, text, hs_assoc_input[], text, boolean, boolean, name) IS
'Associates the pairs of an array with association types, in place of the USER_DEFINED ones that they have.';

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
'Removes all associations of two records, whatever their types.';

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
'Removes all associations of two records, whatever their types.';

CREATE FUNCTION hs_assoc_archive(
	from_type text,
	from_id text,
	to_type text,
	to_id bigint,
	on_error text DEFAULT 'row',
	server name DEFAULT NULL)
RETURNS hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_archive_to_bigint'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_archive(text, text, text, bigint, text, name) IS
'Removes all associations of two records, whatever their types.';

CREATE FUNCTION hs_assoc_archive(
	from_type text,
	from_id bigint,
	to_type text,
	to_id text,
	on_error text DEFAULT 'row',
	server name DEFAULT NULL)
RETURNS hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_archive_from_bigint'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_archive(text, bigint, text, text, text, name) IS
'Removes all associations of two records, whatever their types.';

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
'Removes all associations of the pairs of a query, whatever their types.';

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
'Removes all associations of the pairs of an array, whatever their types.';

CREATE FUNCTION hs_assoc_batch_archive_labels(
	from_type text,
	to_type text,
	query text,
	on_error text DEFAULT 'row',
	is_primary boolean DEFAULT false,
	server name DEFAULT NULL)
RETURNS SETOF hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_batch_archive_labels'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_batch_archive_labels(text, text, text, text, boolean, name) IS
'Removes association types of the pairs of a query.';

CREATE FUNCTION hs_assoc_batch_archive_labels(
	from_type text,
	to_type text,
	inputs hs_assoc_input[],
	on_error text DEFAULT 'row',
	is_primary boolean DEFAULT false,
	server name DEFAULT NULL)
RETURNS SETOF hs_assoc_result
AS 'MODULE_PATHNAME', 'hs_assoc_batch_archive_labels_array'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_batch_archive_labels(text, text, hs_assoc_input[], text, boolean, name) IS
'Removes association types of the pairs of an array.';

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
'Reads the associations of a record to the records of an object type.';

CREATE FUNCTION hs_assoc_list(
	from_type text,
	from_id bigint,
	to_type text,
	server name DEFAULT NULL)
RETURNS SETOF hs_assoc_association
AS 'MODULE_PATHNAME', 'hs_assoc_list_bigint'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_list(text, bigint, text, name) IS
'Reads the associations of a record to the records of an object type.';

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
'Reads the associations of the records of a query to the records of an object type.';

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
'Reads the associations of the records of an array to the records of an object type.';

CREATE FUNCTION hs_assoc_scan(
	from_type text,
	to_type text,
	on_error text DEFAULT 'row',
	server name DEFAULT NULL)
RETURNS SETOF hs_assoc_association
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_scan(text, text, text, name) IS
'Reads the associations of all records of an object type to the records of another one.';

--
-- Make HubSpot hold what a query says
--

CREATE TYPE hs_assoc_change AS (
	change_no		bigint,
	action			text,
	from_id			text,
	to_id			text,
	from_record		text,
	to_record		text,
	category		text,
	type_id			int,
	label			text,
	ok				boolean,
	http_status		int,
	error_category	text,
	error_message	text,
	correlation_id	text,
	error			jsonb
);
COMMENT ON TYPE hs_assoc_change IS
'something that has to change so that HubSpot holds what is wanted; or why that is not known';
COMMENT ON COLUMN hs_assoc_change.change_no IS
'place in the plan, from 1: of each record, removals come before additions';
COMMENT ON COLUMN hs_assoc_change.action IS
'create, add, archive, remove; skipped (done by others meanwhile); unreadable, unresolved (nothing is removed from that record)';
COMMENT ON COLUMN hs_assoc_change.from_id IS
'id of the record whose associations are meant, or its key, as it was given';
COMMENT ON COLUMN hs_assoc_change.to_id IS
'id of the other record, or its key, as it was given; null if it has keys and none was given, or if the row is about from_id';
COMMENT ON COLUMN hs_assoc_change.from_record IS
'id of the record that from_id is the key of; null if the object type has no property, or if it is not known';
COMMENT ON COLUMN hs_assoc_change.to_record IS
'id of the other record, if its object type has a property; else null';
COMMENT ON COLUMN hs_assoc_change.category IS
'category of the type that is added or removed; null if the pair is';
COMMENT ON COLUMN hs_assoc_change.type_id IS
'number of that type, for this category and direction';
COMMENT ON COLUMN hs_assoc_change.label IS
'label of that type; null if it has none, or if the labels could not be looked up';
COMMENT ON COLUMN hs_assoc_change.ok IS
'null in a plan; else whether HubSpot has confirmed the change, or did not need it any more';
COMMENT ON COLUMN hs_assoc_change.http_status IS
'HTTP status of the answer that decided this row, or null if there was none';
COMMENT ON COLUMN hs_assoc_change.error_category IS
'null if ok; else as in hs_assoc_result';
COMMENT ON COLUMN hs_assoc_change.error_message IS
'null if ok; else the words of HubSpot, of libcurl or of the extension, cut at 1,000 bytes';
COMMENT ON COLUMN hs_assoc_change.correlation_id IS
'HubSpot''s id of the answer, which its support asks for; null in confirmed rows';
COMMENT ON COLUMN hs_assoc_change.error IS
'the API''s error object as it came; a JSON string if it is not JSON or was cut at 64 kB';

CREATE FUNCTION hs_assoc_plan(
	from_type text,
	to_type text,
	wanted text,
	scope text DEFAULT NULL,
	mode text DEFAULT 'mirror',
	managed text[] DEFAULT NULL,
	server name DEFAULT NULL)
RETURNS SETOF hs_assoc_change
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_plan(text, text, text, text, text, text[], name) IS
'Tells what has to change so that HubSpot holds what a query says; changes nothing.';

CREATE FUNCTION hs_assoc_apply(
	from_type text,
	to_type text,
	wanted text,
	scope text DEFAULT NULL,
	mode text DEFAULT 'mirror',
	managed text[] DEFAULT NULL,
	max_removals int DEFAULT NULL,
	on_error text DEFAULT 'row',
	server name DEFAULT NULL)
RETURNS SETOF hs_assoc_change
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_apply(text, text, text, text, text, text[], int, text, name) IS
'Makes HubSpot hold what a query says, unless that would remove more than it should.';

--
-- Records by what people call them
--
CREATE FUNCTION hs_assoc_resolve(
	object_type text,
	query text,
	on_error text DEFAULT 'row',
	server name DEFAULT NULL)
RETURNS SETOF hs_assoc_record
AS 'MODULE_PATHNAME', 'hs_assoc_resolve'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_resolve(text, text, text, name) IS
'Finds the records of the keys of a query.';

CREATE FUNCTION hs_assoc_resolve(
	object_type text,
	keys text[],
	on_error text DEFAULT 'row',
	server name DEFAULT NULL)
RETURNS SETOF hs_assoc_record
AS 'MODULE_PATHNAME', 'hs_assoc_resolve_array'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_resolve(text, text[], text, name) IS
'Finds the records of the keys of an array.';

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
'Reads the association types from one object type to another, with their labels.';

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
'Defines a label of the association from one object type to another, or the type without one.';

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
'Renames a label.';

CREATE FUNCTION hs_assoc_label_delete(
	from_type text,
	to_type text,
	type_id int,
	server name DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME', 'hs_assoc_label_delete'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_label_delete(text, text, int, name) IS
'Deletes a label, in both directions, and takes it off all pairs that have it.';

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
'Reads the limits that the account has set, from one object type to another or all of them.';

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
'Sets a limit on how many records may be associated to one with a type.';

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
'Changes a limit.';

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
'Removes a limit.';

CREATE FUNCTION hs_assoc_high_usage_report(
	INOUT user_id bigint,
	server name DEFAULT NULL,
	OUT user_email text,
	OUT enqueue_time timestamptz)
AS 'MODULE_PATHNAME', 'hs_assoc_high_usage_report'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_high_usage_report(bigint, name) IS
'Has HubSpot send a user the report on records that are close to their association limits.';

--
-- The account: which one it is, what it has, and how much of that is used
--
CREATE FUNCTION hs_assoc_account(
	server name DEFAULT NULL,
	OUT account_id bigint,
	OUT kind text,
	OUT time_zone text)
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_account(name) IS
'Asks HubSpot which account the token is for.';

CREATE FUNCTION hs_assoc_quota(
	server name DEFAULT NULL,
	OUT name text,
	OUT daily_limit bigint,
	OUT used bigint,
	OUT remaining bigint,
	OUT resets_at timestamptz,
	OUT collected_at timestamptz,
	OUT status text)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_quota(name) IS
'Reads how much of the day''s requests the account''s private apps and service keys have used, by HubSpot''s count.';

CREATE FUNCTION hs_assoc_object_types(
	server name DEFAULT NULL,
	OUT object_type_id text,
	OUT name text,
	OUT label text)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_object_types(name) IS
'Lists HubSpot''s own object types and the account''s custom objects, with the names that stand for them everywhere.';

CREATE FUNCTION hs_assoc_label_usage(
	from_type text DEFAULT NULL,
	to_type text DEFAULT NULL,
	server name DEFAULT NULL,
	OUT from_type_id text,
	OUT to_type_id text,
	OUT used bigint,
	OUT max_labels bigint,
	OUT labels text[])
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_label_usage(text, text, name) IS
'Reads how many labels there are and may be, from one object type to another or for all that have some.';

CREATE FUNCTION hs_assoc_records_near_limit(
	from_type text,
	to_type text,
	server name DEFAULT NULL,
	OUT record_id text,
	OUT record_name text,
	OUT at_limit boolean,
	OUT used bigint,
	OUT max_to_ids bigint,
	OUT records_at_limit bigint,
	OUT records_near_limit bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_records_near_limit(text, text, name) IS
'Reads some of the records that have as many associations as they may, or nearly, and how many there are.';

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
'Sends one request to the account''s own host, with its token, throttle and retries.';

--
-- The outbox: what is to be sent after commit
--
CREATE FUNCTION hs_assoc_pair(
	server text,
	from_type text,
	from_id text,
	to_type text,
	to_id text)
RETURNS bigint
AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
-- The library's statements run as this role (src/schema/rights.c), even where others may not
-- call our functions.
GRANT EXECUTE ON FUNCTION hs_assoc_pair(text, text, text, text, text) TO pg_checkpoint;
COMMENT ON FUNCTION hs_assoc_pair(text, text, text, text, text) IS
'Hashes a server and a pair of records or keys: the same in either direction and for all names of a standard object type.';

CREATE FUNCTION hs_assoc_normal_key(
	object_type text,
	key text)
RETURNS text
AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
GRANT EXECUTE ON FUNCTION hs_assoc_normal_key(text, text) TO pg_checkpoint;
COMMENT ON FUNCTION hs_assoc_normal_key(text, text) IS
'Gives the normal form of a key of an object type such as contacts:email: keys with the same one mean the same record.';

CREATE FUNCTION hs_assoc_fold(
	label text)
RETURNS text
AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
GRANT EXECUTE ON FUNCTION hs_assoc_fold(text) TO pg_checkpoint;
COMMENT ON FUNCTION hs_assoc_fold(text) IS
'Folds the case of a label: labels that are looked up as one give the same, whatever the locale.';

CREATE FUNCTION hs_assoc_is_bounded(
	server text,
	operation text,
	from_type text,
	from_id text,
	to_type text,
	to_id text,
	category text,
	type_ids int[],
	labels text[])
RETURNS boolean
AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
GRANT EXECUTE ON FUNCTION hs_assoc_is_bounded(text, text, text, text, text, text, text, int[], text[]) TO pg_checkpoint;
COMMENT ON FUNCTION hs_assoc_is_bounded(text, text, text, text, text, text, text, int[], text[]) IS
'Says whether an operation has at most 1,000 bytes in each text, 100 elements in each array and 100,000 bytes of labels.';

-- It is not owned by the table: TRUNCATE ... RESTART IDENTITY would begin the ids anew, and
-- new operations would come before the dead letters that exist.
CREATE SEQUENCE hs_assoc_outbox_id_seq;
GRANT USAGE ON SEQUENCE hs_assoc_outbox_id_seq TO pg_checkpoint;
-- ids of operations that repair a difference from HubSpot: before all others, see src/drift/repair.c
CREATE SEQUENCE hs_assoc_repair_id_seq INCREMENT -2;
GRANT USAGE ON SEQUENCE hs_assoc_repair_id_seq TO pg_checkpoint;
CREATE TABLE hs_assoc_outbox (
	id				bigint DEFAULT pg_catalog.nextval('hs_assoc_outbox_id_seq') PRIMARY KEY,
	server			text COLLATE "C" NOT NULL,
	role			regrole NOT NULL,
	operation		text COLLATE "C" NOT NULL,
	from_type		text COLLATE "C" NOT NULL,
	from_id			text COLLATE "C" NOT NULL,
	to_type			text COLLATE "C" NOT NULL,
	to_id			text COLLATE "C" NOT NULL,
	type_ids		int[],
	category		text COLLATE "C",
	labels			text[],
	keep_labels		boolean NOT NULL DEFAULT false,
	link_table		regclass,
	enqueued_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	-- a time that the clock had not reached when the row's transaction began to write; see src/outbox/horizon.c
	not_before		timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	attempts		int NOT NULL DEFAULT 0,
	http_status		int,
	error_category	text,
	error_message	text,
	correlation_id	text,
	from_property	text COLLATE "C",
	from_key		text COLLATE "C",
	to_property		text COLLATE "C",
	to_key			text COLLATE "C",
	wait_for_records interval,
	waited			interval,
	enqueued_by		text COLLATE "C",
	application_name text COLLATE "C",
	history_for		interval,
	-- what is enqueued keeps to these; see HUBSPOT_MAX_TEXT
	CONSTRAINT hs_assoc_outbox_bounds CHECK (
		hs_assoc_is_bounded(server, operation, from_type, from_id, to_type, to_id, category, type_ids, labels))
) WITH (
	fillfactor = 90,
	autovacuum_vacuum_scale_factor = 0,
	autovacuum_vacuum_threshold = 5000,
	autovacuum_analyze_scale_factor = 0,
	autovacuum_analyze_threshold = 50000,
	autovacuum_vacuum_cost_delay = 0
);
-- what is due, oldest first, for each account
CREATE INDEX hs_assoc_outbox_due_idx ON hs_assoc_outbox (server, role, not_before, id);
-- the operations on a pair, in their order
CREATE INDEX hs_assoc_outbox_pair_idx ON hs_assoc_outbox (hs_assoc_pair(server, from_type, from_id, to_type, to_id), id);
-- operations whose records are not known yet
CREATE INDEX hs_assoc_outbox_keyed_idx ON hs_assoc_outbox (server, operation, waited, enqueued_at)
	WHERE waited IS NOT NULL;
-- of these, those that were not looked up yet, or could not be
CREATE INDEX hs_assoc_outbox_unasked_idx ON hs_assoc_outbox (server, id)
	WHERE waited OPERATOR(pg_catalog.=) '0';
COMMENT ON TABLE hs_assoc_outbox IS
'operations that were enqueued in a transaction and are sent after its commit, until HubSpot has confirmed or refused them';
COMMENT ON CONSTRAINT hs_assoc_outbox_bounds ON hs_assoc_outbox IS
'at most 1,000 bytes in a text, 100 elements in an array, and 100,000 bytes in all labels: what a sender reads has a bound';
COMMENT ON COLUMN hs_assoc_outbox.id IS
'the order of the operations on a pair';
COMMENT ON COLUMN hs_assoc_outbox.server IS
'name of the foreign server, which is the HubSpot account';
COMMENT ON COLUMN hs_assoc_outbox.role IS
'the role on whose behalf it is sent, with its user mapping and USAGE on the server';
COMMENT ON COLUMN hs_assoc_outbox.operation IS
'create_default, create, archive or archive_labels, as the functions hs_assoc_batch_* of these names do';
COMMENT ON COLUMN hs_assoc_outbox.from_type IS
'object type; with a property, as in contacts:email, until the records of from_id and to_id are known';
COMMENT ON COLUMN hs_assoc_outbox.from_property IS
'the property by which the record from_id was found, or null if it was not named by a key; likewise to_property';
COMMENT ON COLUMN hs_assoc_outbox.from_key IS
'the key by which it was found, as it was enqueued; likewise to_key';
COMMENT ON COLUMN hs_assoc_outbox.wait_for_records IS
'for how long the operation waits for records that HubSpot does not have, or null if it names none by keys';
COMMENT ON COLUMN hs_assoc_outbox.waited IS
'for how long it will have waited for them at not_before, without pauses; null if its records are known';
COMMENT ON COLUMN hs_assoc_outbox.enqueued_by IS
'session user who has enqueued it, if the history of its server is kept; likewise application_name';
COMMENT ON COLUMN hs_assoc_outbox.history_for IS
'for how long hs_assoc_history keeps what became of it, or null';
COMMENT ON COLUMN hs_assoc_outbox.keep_labels IS
'for create: the pair keeps the USER_DEFINED types that it has';
COMMENT ON COLUMN hs_assoc_outbox.link_table IS
'the table in sync that the operation comes from, or null: of hs_assoc_enqueue, or of a foreign table';
COMMENT ON COLUMN hs_assoc_outbox.not_before IS
'when it is due; after a failed attempt, when it is sent again';
COMMENT ON COLUMN hs_assoc_outbox.attempts IS
'failed attempts that were charged to this row; failures of the account are not';
COMMENT ON COLUMN hs_assoc_outbox.error_message IS
'why the last attempt failed, as in hs_assoc_result';

CREATE TABLE hs_assoc_dead_letter (
	id				bigint PRIMARY KEY,
	server			text COLLATE "C" NOT NULL,
	role			regrole NOT NULL,
	operation		text COLLATE "C" NOT NULL,
	from_type		text COLLATE "C" NOT NULL,
	from_id			text COLLATE "C" NOT NULL,
	to_type			text COLLATE "C" NOT NULL,
	to_id			text COLLATE "C" NOT NULL,
	type_ids		int[],
	category		text COLLATE "C",
	labels			text[],
	keep_labels		boolean NOT NULL,
	link_table		regclass,
	enqueued_at		timestamptz NOT NULL,
	died_at			timestamptz NOT NULL DEFAULT pg_catalog.now(),
	attempts		int NOT NULL,
	http_status		int,
	error_category	text,
	error_message	text,
	correlation_id	text,
	error			jsonb,
	from_property	text COLLATE "C",
	from_key		text COLLATE "C",
	to_property		text COLLATE "C",
	to_key			text COLLATE "C",
	wait_for_records interval,
	enqueued_by		text COLLATE "C",
	application_name text COLLATE "C",
	history_for		interval
);
CREATE INDEX hs_assoc_dead_letter_server_idx ON hs_assoc_dead_letter (server, died_at);
CREATE INDEX hs_assoc_dead_letter_pair_idx ON hs_assoc_dead_letter (hs_assoc_pair(server, from_type, from_id, to_type, to_id));
COMMENT ON TABLE hs_assoc_dead_letter IS
'operations of the outbox that HubSpot has refused, or did not confirm in max_attempts attempts';
COMMENT ON COLUMN hs_assoc_dead_letter.id IS
'id of the row of the outbox, unless a later row with that id has become a dead letter, too';
COMMENT ON COLUMN hs_assoc_dead_letter.error IS
'the error object of HubSpot, or {"see_dead_letter": id} for the one that has it';

CREATE TABLE hs_assoc_sent (
	id				bigint,
	server			text COLLATE "C" NOT NULL,
	role			regrole NOT NULL,
	operation		text COLLATE "C" NOT NULL,
	from_type		text COLLATE "C" NOT NULL,
	from_id			text COLLATE "C" NOT NULL,
	to_type			text COLLATE "C" NOT NULL,
	to_id			text COLLATE "C" NOT NULL,
	type_ids		int[],
	category		text COLLATE "C",
	labels			text[],
	keep_labels		boolean NOT NULL,
	link_table		regclass,
	enqueued_at		timestamptz NOT NULL,
	sent_at			timestamptz NOT NULL,
	keep_until		timestamptz NOT NULL,
	attempts		int NOT NULL,
	from_property	text COLLATE "C",
	from_key		text COLLATE "C",
	to_property		text COLLATE "C",
	to_key			text COLLATE "C",
	PRIMARY KEY (id, sent_at)
);
CREATE INDEX hs_assoc_sent_keep_until_idx ON hs_assoc_sent (keep_until);
-- finds what an operation could undo whose records are found late
CREATE INDEX hs_assoc_sent_pair_idx ON hs_assoc_sent (hs_assoc_pair(server, from_type, from_id, to_type, to_id));
COMMENT ON TABLE hs_assoc_sent IS
'operations of the outbox that HubSpot has confirmed, kept for as long as their server''s option sent_retention says';
COMMENT ON COLUMN hs_assoc_sent.sent_at IS
'when its last request was about to be sent';

-- rows of the outbox that are settled together, and differ in nothing but records and times, are one row
CREATE TABLE hs_assoc_history_batch (
	server			text COLLATE "C" NOT NULL,
	role			regrole NOT NULL,
	enqueued_by		text COLLATE "C",
	application_name text COLLATE "C",
	operation		text COLLATE "C" NOT NULL,
	from_type		text COLLATE "C" NOT NULL,
	from_property	text COLLATE "C",
	to_type			text COLLATE "C" NOT NULL,
	to_property		text COLLATE "C",
	type_ids		int[],
	category		text COLLATE "C",
	labels			text[],
	keep_labels		boolean NOT NULL,
	link_table		regclass,
	attempts		int NOT NULL,
	outcome			text COLLATE "C" NOT NULL,
	http_status		int,
	error_category	text,
	settled_at		timestamptz NOT NULL,
	keep_until		timestamptz NOT NULL,
	ids				bigint[] NOT NULL,
	from_ids		text[] NOT NULL,
	to_ids			text[] NOT NULL,
	enqueued_at		timestamptz[] NOT NULL,
	from_keys		text[],
	to_keys			text[]
);
-- compressing them would take longer than all else that is done for the history
ALTER TABLE hs_assoc_history_batch ALTER ids SET STORAGE EXTERNAL, ALTER from_ids SET STORAGE EXTERNAL,
	ALTER to_ids SET STORAGE EXTERNAL, ALTER enqueued_at SET STORAGE EXTERNAL,
	ALTER from_keys SET STORAGE EXTERNAL, ALTER to_keys SET STORAGE EXTERNAL;
CREATE INDEX hs_assoc_history_batch_keep_until_idx ON hs_assoc_history_batch (keep_until);
CREATE INDEX hs_assoc_history_batch_settled_at_idx ON hs_assoc_history_batch (settled_at);
-- there is no key; yet rows can be deleted where all tables are published
ALTER TABLE hs_assoc_history_batch REPLICA IDENTITY FULL;
COMMENT ON TABLE hs_assoc_history_batch IS
'what hs_assoc_history shows: a row for what was settled together and differs in nothing but records and times';
COMMENT ON COLUMN hs_assoc_history_batch.ids IS
'of the rows of the outbox; the arrays below have an element for each of them, and are null if none has a key';

-- The tables of the outbox have the same condition as a policy.
CREATE VIEW hs_assoc_history WITH (security_barrier) AS
SELECT r.id, b.server, b.role, b.enqueued_by, b.application_name, b.operation, b.from_type, r.from_id, b.to_type, r.to_id,
	b.type_ids, b.category, b.labels, b.keep_labels, b.link_table, r.enqueued_at, b.settled_at, b.keep_until,
	b.outcome, b.attempts, b.http_status, b.error_category, b.from_property, r.from_key, b.to_property, r.to_key
FROM hs_assoc_history_batch AS b,
	ROWS FROM (pg_catalog.unnest(b.ids), pg_catalog.unnest(b.from_ids), pg_catalog.unnest(b.to_ids),
		pg_catalog.unnest(b.enqueued_at), pg_catalog.unnest(b.from_keys), pg_catalog.unnest(b.to_keys))
		AS r (id, from_id, to_id, enqueued_at, from_key, to_key)
WHERE pg_catalog.pg_has_role(b.role, 'USAGE') AND b.keep_until > pg_catalog.now();
COMMENT ON VIEW hs_assoc_history IS
'who had what associated by way of the outbox, when, and what came of it, for as long as the server''s history_retention says';
COMMENT ON COLUMN hs_assoc_history.enqueued_by IS
'session user of the transaction that enqueued it';
COMMENT ON COLUMN hs_assoc_history.application_name IS
'the setting of that session';
COMMENT ON COLUMN hs_assoc_history.settled_at IS
'when its outcome was recorded';
COMMENT ON COLUMN hs_assoc_history.outcome IS
'confirmed or dead_letter';

CREATE TABLE hs_assoc_outdated (
	server			text COLLATE "C" NOT NULL,
	id				bigint NOT NULL
);
-- none is unique, so that an INSERT waits for nobody; yet rows can be deleted where all tables are published
CREATE INDEX hs_assoc_outdated_server_idx ON hs_assoc_outdated (server);
CREATE INDEX hs_assoc_outdated_id_idx ON hs_assoc_outdated (id);
ALTER TABLE hs_assoc_outdated REPLICA IDENTITY FULL;
COMMENT ON TABLE hs_assoc_outdated IS
'dead letters that a later operation has made useless while another transaction had them locked';

CREATE TABLE hs_assoc_event (
	server			text COLLATE "C" NOT NULL,
	kind			text COLLATE "C" NOT NULL,
	count			bigint NOT NULL,
	since			timestamptz NOT NULL DEFAULT pg_catalog.now(),
	notified_at		timestamptz
);
-- not unique, so that an INSERT waits for nobody; yet rows can be deleted where all tables are published
CREATE INDEX hs_assoc_event_idx ON hs_assoc_event (server, kind);
ALTER TABLE hs_assoc_event REPLICA IDENTITY FULL;
COMMENT ON TABLE hs_assoc_event IS
'what the next NOTIFY on channel hs_assoc will tell of, and when the last one was';
COMMENT ON COLUMN hs_assoc_event.kind IS
'dead_letter, account_refused, quota_low or drift';
COMMENT ON COLUMN hs_assoc_event.count IS
'how many of them; 0 in a row that only says when they were told of';
COMMENT ON COLUMN hs_assoc_event.notified_at IS
'when listeners were last told of this kind and server, or null';

COMMENT ON SEQUENCE hs_assoc_outbox_id_seq IS
'the order in which operations were enqueued';
COMMENT ON SEQUENCE hs_assoc_repair_id_seq IS
'ids of operations that put differences from HubSpot right, which come before all others';

-- A role sees its own rows, and those of the roles whose privileges it has.
ALTER TABLE hs_assoc_outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE hs_assoc_dead_letter ENABLE ROW LEVEL SECURITY;
ALTER TABLE hs_assoc_sent ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON hs_assoc_outbox FOR SELECT
	USING (pg_catalog.pg_has_role(role, 'USAGE'));
CREATE POLICY own_rows ON hs_assoc_dead_letter FOR SELECT
	USING (pg_catalog.pg_has_role(role, 'USAGE'));
CREATE POLICY own_rows ON hs_assoc_sent FOR SELECT
	USING (pg_catalog.pg_has_role(role, 'USAGE'));

--
-- Who sends, and who has to wait
--
CREATE TABLE hs_assoc_lease (
	server			text COLLATE "C" PRIMARY KEY,
	holder			int,
	since			timestamptz,
	role			regrole,
	operation		text,
	from_type		text,
	to_type			text,
	in_flight		int NOT NULL DEFAULT 0,
	sending			int8multirange,
	may_act_for		interval
) WITH (fillfactor = 50);
COMMENT ON TABLE hs_assoc_lease IS
'which process sends the outbox of a server, and what; for information only';
COMMENT ON COLUMN hs_assoc_lease.holder IS
'process id, or null if nobody sends; it stays that of a process that has ended until another one takes over';
COMMENT ON COLUMN hs_assoc_lease.since IS
'when it picked the rows that it sends';
COMMENT ON COLUMN hs_assoc_lease.operation IS
'of all rows that it sends, or null if there are several; likewise the object types';
COMMENT ON COLUMN hs_assoc_lease.sending IS
'the ids of the rows that it sends';
COMMENT ON COLUMN hs_assoc_lease.may_act_for IS
'for how long HubSpot may still act on what it sends if it ends without an answer';

CREATE TABLE hs_assoc_doubt (
	server			text COLLATE "C" NOT NULL,
	pair			bigint NOT NULL,
	id				bigint NOT NULL,
	until			timestamptz NOT NULL
);
-- none is unique, so that an INSERT waits for nobody; yet rows can be deleted where all tables are published
CREATE INDEX hs_assoc_doubt_pair_idx ON hs_assoc_doubt (pair, id);
CREATE INDEX hs_assoc_doubt_server_idx ON hs_assoc_doubt (server, until);
CREATE INDEX hs_assoc_doubt_until_idx ON hs_assoc_doubt (until);
ALTER TABLE hs_assoc_doubt REPLICA IDENTITY FULL;
COMMENT ON TABLE hs_assoc_doubt IS
'operations that HubSpot has neither confirmed nor refused, and may still do until that time';
COMMENT ON COLUMN hs_assoc_doubt.pair IS
'the hash that hs_assoc_pair returns for the operation';
COMMENT ON COLUMN hs_assoc_doubt.id IS
'id of the row of the outbox, which may be gone; of several that were sent together, the last one''s';

CREATE TABLE hs_assoc_clock (
	postmaster		timestamptz NOT NULL,
	wall			timestamptz NOT NULL,
	monotonic		bigint NOT NULL
);
ALTER TABLE hs_assoc_clock REPLICA IDENTITY FULL;
COMMENT ON TABLE hs_assoc_clock IS
'the readings of the system''s clock and of the monotonic one when senders last compared them';

CREATE TABLE hs_assoc_backoff (
	server			text COLLATE "C",
	role			regrole,
	failures		int NOT NULL,
	retry_at		timestamptz NOT NULL,
	since			timestamptz NOT NULL DEFAULT pg_catalog.now(),
	http_status		int,
	error_category	text,
	error_message	text,
	PRIMARY KEY (server, role)
) WITH (fillfactor = 50);
COMMENT ON TABLE hs_assoc_backoff IS
'accounts to which nothing could be sent, as a role uses them; their rows wait until retry_at, and are not charged';
COMMENT ON COLUMN hs_assoc_backoff.failures IS
'how many attempts have failed one after the other';
COMMENT ON COLUMN hs_assoc_backoff.retry_at IS
'when it is tried again; hs_assoc_resume has it tried at once';
COMMENT ON COLUMN hs_assoc_backoff.since IS
'since when nothing could be sent';
COMMENT ON COLUMN hs_assoc_backoff.error_message IS
'why the last attempt has failed, as in hs_assoc_result; not shown to pg_monitor, since it may name records';

CREATE TABLE hs_assoc_account_pause (
	server			text COLLATE "C" PRIMARY KEY,
	since			timestamptz NOT NULL DEFAULT pg_catalog.now(),
	role			regrole NOT NULL
);
COMMENT ON TABLE hs_assoc_account_pause IS
'servers whose outbox is not sent, until hs_assoc_resume';

-- New rows wake the worker when they are committed, whoever inserts them.
CREATE FUNCTION hs_assoc_outbox_wake()
RETURNS trigger
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_outbox_wake() IS
'Wakes the worker of this database when the transaction commits, as a trigger of the extension''s own tables.';
REVOKE ALL ON FUNCTION hs_assoc_outbox_wake() FROM PUBLIC;
CREATE TRIGGER hs_assoc_outbox_wake AFTER INSERT ON hs_assoc_outbox
	FOR EACH STATEMENT EXECUTE FUNCTION hs_assoc_outbox_wake();
-- rows that are due earlier, or of another account, than a sender that looks can know; see src/outbox/horizon.c
CREATE TRIGGER hs_assoc_outbox_backdated AFTER INSERT ON hs_assoc_outbox
	FOR EACH ROW WHEN (NEW.not_before OPERATOR(pg_catalog.<) pg_catalog.statement_timestamp())
	EXECUTE FUNCTION hs_assoc_outbox_wake();
CREATE TRIGGER hs_assoc_outbox_moved AFTER UPDATE OF not_before, server, role ON hs_assoc_outbox
	FOR EACH STATEMENT EXECUTE FUNCTION hs_assoc_outbox_wake();
CREATE TRIGGER hs_assoc_outbox_wake AFTER DELETE ON hs_assoc_account_pause
	FOR EACH STATEMENT EXECUTE FUNCTION hs_assoc_outbox_wake();
-- also for what a subscription applies
ALTER TABLE hs_assoc_outbox ENABLE ALWAYS TRIGGER hs_assoc_outbox_wake;
ALTER TABLE hs_assoc_outbox ENABLE ALWAYS TRIGGER hs_assoc_outbox_backdated;
ALTER TABLE hs_assoc_outbox ENABLE ALWAYS TRIGGER hs_assoc_outbox_moved;
ALTER TABLE hs_assoc_account_pause ENABLE ALWAYS TRIGGER hs_assoc_outbox_wake;

CREATE FUNCTION hs_assoc_enqueue(
	operation text,
	from_type text,
	to_type text,
	query text,
	keep_labels boolean DEFAULT false,
	is_primary boolean DEFAULT false,
	wait_for_records interval DEFAULT NULL,
	server name DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_enqueue(text, text, text, text, boolean, boolean, interval, name) IS
'Puts operations into the outbox, as part of this transaction; after its commit they are sent on behalf of the current role.';

CREATE PROCEDURE hs_assoc_flush(
	max_rows bigint DEFAULT NULL,
	server name DEFAULT NULL)
AS 'MODULE_PATHNAME'
LANGUAGE C;
COMMENT ON PROCEDURE hs_assoc_flush(bigint, name) IS
'Sends what is due in the outbox, as a worker does, and commits as it goes.';
REVOKE ALL ON PROCEDURE hs_assoc_flush(bigint, name) FROM PUBLIC;

CREATE FUNCTION hs_assoc_start()
RETURNS boolean
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_start() IS
'Has a worker look at the outbox of this database now; true if it had to be started.';
REVOKE ALL ON FUNCTION hs_assoc_start() FROM PUBLIC;

CREATE FUNCTION hs_assoc_sender()
RETURNS text
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_sender() IS
'Who sends the outbox of this database, or why nobody does.';

-- The default, {{NULL}}, which no query for ids gives by chance, stands for all dead letters: null, which is what
-- array_agg makes of no row, is an ERROR.
CREATE FUNCTION hs_assoc_retry(
	ids bigint[] DEFAULT ARRAY[ARRAY[NULL::bigint]],
	server name DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_retry(bigint[], name) IS
'Puts dead letters back into the outbox, in their old place, all of them unless ids are given, and returns how many.';
REVOKE ALL ON FUNCTION hs_assoc_retry(bigint[], name) FROM PUBLIC;

CREATE FUNCTION hs_assoc_discard(
	ids bigint[] DEFAULT ARRAY[ARRAY[NULL::bigint]],
	server name DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_discard(bigint[], name) IS
'Deletes dead letters, all of them unless ids are given, and returns how many.';
REVOKE ALL ON FUNCTION hs_assoc_discard(bigint[], name) FROM PUBLIC;

CREATE FUNCTION hs_assoc_pause(
	server name DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_pause(name) IS
'Stops sending the outbox of an account, from the next request on, while writers go on enqueuing.';
REVOKE ALL ON FUNCTION hs_assoc_pause(name) FROM PUBLIC;

CREATE FUNCTION hs_assoc_resume(
	server name DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_resume(name) IS
'Has the outbox of an account sent again, at once, even if it was waiting after failures.';
REVOKE ALL ON FUNCTION hs_assoc_resume(name) FROM PUBLIC;

--
-- Which database sends; see src/schema/origin.c
--
CREATE TABLE hs_assoc_identity (
	token			uuid NOT NULL,
	database		oid NOT NULL,
	timeline		bigint
);
CREATE TABLE hs_assoc_origin (
	token			uuid NOT NULL,
	system			bigint NOT NULL,
	database		oid NOT NULL,
	made_at			timestamptz NOT NULL,
	instance		text NOT NULL,
	since			timestamptz NOT NULL DEFAULT pg_catalog.now()
);
-- no key, so that an INSERT waits for nobody; yet rows can be deleted where all tables are published
ALTER TABLE hs_assoc_identity REPLICA IDENTITY FULL;
ALTER TABLE hs_assoc_origin REPLICA IDENTITY FULL;
-- what a subscription brings is another database's
CREATE FUNCTION hs_assoc_keep_identity()
RETURNS trigger
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_keep_identity() IS
'Keeps what a subscription applies out of the table hs_assoc_identity, as its trigger.';
REVOKE ALL ON FUNCTION hs_assoc_keep_identity() FROM PUBLIC;
CREATE TRIGGER hs_assoc_keep_identity BEFORE INSERT OR UPDATE OR DELETE ON hs_assoc_identity
	FOR EACH ROW EXECUTE FUNCTION hs_assoc_keep_identity();
ALTER TABLE hs_assoc_identity ENABLE REPLICA TRIGGER hs_assoc_keep_identity;
COMMENT ON TABLE hs_assoc_identity IS
'that this database is the one that sends: not in a dump, and of another database in a copy';
COMMENT ON COLUMN hs_assoc_identity.database IS
'OID of the database';
COMMENT ON COLUMN hs_assoc_identity.timeline IS
'the server''s timeline when that was decided; see the setting hubspot_assoc.hold_after_promotion';
COMMENT ON TABLE hs_assoc_origin IS
'the database in which what the extension keeps was enqueued: in a dump, too';
COMMENT ON COLUMN hs_assoc_origin.token IS
'that of hs_assoc_identity, where this is the database';
COMMENT ON COLUMN hs_assoc_origin.system IS
'system identifier of the server, as pg_control_system() has it';
COMMENT ON COLUMN hs_assoc_origin.made_at IS
'when the folder of the database was made';
COMMENT ON COLUMN hs_assoc_origin.instance IS
'the setting hubspot_assoc.instance';

CREATE FUNCTION hs_assoc_held()
RETURNS text
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_held() IS
'Why the outbox of this database is not sent until hs_assoc_adopt, as in a copy; null if it is.';

CREATE FUNCTION hs_assoc_adopt(
	waiting text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_adopt(text) IS
'Has a copy of a database send, from now on; what waits in its outbox is sent (''send'') or deleted (''discard'').';
REVOKE ALL ON FUNCTION hs_assoc_adopt(text) FROM PUBLIC;

-- It chooses its rows by the caller's rights, so that every reader of the view can call it.
CREATE FUNCTION hs_assoc_fault(
	OUT server text,
	OUT role regrole,
	OUT since timestamptz,
	OUT sqlstate text,
	OUT message text)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_fault() IS
'Shows what this server lacked for sending the outbox of accounts; for the view hs_assoc_outbox_stat.';

CREATE VIEW hs_assoc_outbox_stat AS
WITH sending AS (
	SELECT l.server, i.id
	FROM hs_assoc_lease AS l, pg_catalog.unnest(l.sending) AS r (ids),
		pg_catalog.generate_series(pg_catalog.lower(r.ids), pg_catalog.upper(r.ids) OPERATOR(pg_catalog.-) 1) AS i (id)
	-- true of each that has any, which PostgreSQL takes for few: otherwise JIT would come in
	WHERE l.sending OPERATOR(pg_catalog.&&) pg_catalog.int8multirange(pg_catalog.int8range(NULL, NULL))
), queue AS (
	SELECT o.server, o.role, o.operation, o.from_type, o.to_type, o.link_table,
		pg_catalog.count(*) FILTER (WHERE o.attempts OPERATOR(pg_catalog.=) 0 AND NOT p.off
			AND coalesce(o.waited OPERATOR(pg_catalog.=) '0', true)) AS fresh,
		pg_catalog.count(s.id) AS in_flight,
		pg_catalog.count(*) FILTER (WHERE o.waited OPERATOR(pg_catalog.>) '0') AS missing,
		pg_catalog.count(*) FILTER (WHERE o.attempts OPERATOR(pg_catalog.>) 0 OR p.off) AS retrying,
		0::bigint AS dead,
		pg_catalog.min(o.enqueued_at) AS oldest
	FROM hs_assoc_outbox AS o
		-- put off for what is charged to no row, such as a scope that the token lacks
		CROSS JOIN LATERAL (SELECT coalesce(o.http_status OPERATOR(pg_catalog.=) 403
			OR o.error_category OPERATOR(pg_catalog.=) 'NOT_SENT', false) AS off) AS p
		LEFT JOIN sending AS s ON s.id OPERATOR(pg_catalog.=) o.id AND s.server OPERATOR(pg_catalog.=) o.server
	GROUP BY o.server, o.role, o.operation, o.from_type, o.to_type, o.link_table
	UNION ALL
	SELECT server, role, operation, from_type, to_type, link_table,
		0, 0, 0, 0, pg_catalog.count(*), NULL
	FROM hs_assoc_dead_letter
	GROUP BY server, role, operation, from_type, to_type, link_table
)
SELECT q.server, q.role, q.operation, q.from_type, q.to_type, q.link_table,
	pg_catalog.sum(q.fresh)::bigint AS waiting,
	pg_catalog.sum(q.in_flight)::bigint AS in_flight,
	pg_catalog.sum(q.missing)::bigint AS waiting_for_records,
	pg_catalog.sum(q.retrying)::bigint AS retrying,
	pg_catalog.sum(q.dead)::bigint AS dead,
	pg_catalog.now() OPERATOR(pg_catalog.-) pg_catalog.min(q.oldest) AS oldest_age,
	pg_catalog.bool_or(p.server IS NOT NULL) AS paused,
	pg_catalog.max(b.retry_at) AS retry_at,
	pg_catalog.max(b.http_status) AS http_status,
	pg_catalog.max(b.error_category) AS error_category,
	-- messages may name records
	CASE WHEN pg_catalog.pg_has_role(q.role, 'USAGE') THEN pg_catalog.max(b.error_message) END AS error_message,
	pg_catalog.min(f.since) AS fault_since,
	pg_catalog.max(f.sqlstate) AS fault_sqlstate,
	pg_catalog.max(f.message) AS fault_message,
	(SELECT hs_assoc_held()) AS held,
	(SELECT hs_assoc_sender()) AS sender
FROM queue AS q
	LEFT JOIN hs_assoc_account_pause AS p ON p.server OPERATOR(pg_catalog.=) q.server
	LEFT JOIN hs_assoc_backoff AS b
		ON b.server OPERATOR(pg_catalog.=) q.server AND b.role OPERATOR(pg_catalog.=) q.role
	LEFT JOIN hs_assoc_fault() AS f
		ON f.server COLLATE pg_catalog."C" OPERATOR(pg_catalog.=) q.server AND f.role OPERATOR(pg_catalog.=) q.role
GROUP BY q.server, q.role, q.operation, q.from_type, q.to_type, q.link_table;
COMMENT ON VIEW hs_assoc_outbox_stat IS
'the outbox and the dead letters of each account, in numbers, and why an account has to wait';
COMMENT ON COLUMN hs_assoc_outbox_stat.waiting IS
'rows that were not tried yet, those in flight included';
COMMENT ON COLUMN hs_assoc_outbox_stat.in_flight IS
'rows that are being sent now';
COMMENT ON COLUMN hs_assoc_outbox_stat.waiting_for_records IS
'rows whose records HubSpot did not have';
COMMENT ON COLUMN hs_assoc_outbox_stat.retrying IS
'rows that are tried again, after an attempt that failed or was refused';
COMMENT ON COLUMN hs_assoc_outbox_stat.dead IS
'dead letters: see hs_assoc_dead_letter';
COMMENT ON COLUMN hs_assoc_outbox_stat.oldest_age IS
'how long ago the oldest row was enqueued that is not dead';
COMMENT ON COLUMN hs_assoc_outbox_stat.paused IS
'whether hs_assoc_pause has stopped the account';
COMMENT ON COLUMN hs_assoc_outbox_stat.retry_at IS
'until when the account waits after a failure, which http_status, error_category and error_message tell';
COMMENT ON COLUMN hs_assoc_outbox_stat.fault_since IS
'since when this server lacks something for sending, such as disk or memory; likewise fault_sqlstate and fault_message';
COMMENT ON COLUMN hs_assoc_outbox_stat.held IS
'why nothing at all is sent, as in a copy of a database; null if it is';
COMMENT ON COLUMN hs_assoc_outbox_stat.sender IS
'who sends, or why nobody does';

--
-- Tables that are kept in sync
--
CREATE TABLE hs_assoc_sync_config (
	id				int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
	link_table		regclass NOT NULL,
	from_type		text NOT NULL,
	from_column		name NOT NULL,
	to_type			text NOT NULL,
	to_column		name NOT NULL,
	type_id			int,
	label			text,
	type_id_column	name,
	label_column	name,
	category		text,
	server			text COLLATE "C" NOT NULL,
	role			regrole NOT NULL,
	enabled_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	table_name		name,
	wait_for_records interval,
	replicated		boolean NOT NULL DEFAULT false,
	verify			interval,
	on_drift		text
);
COMMENT ON COLUMN hs_assoc_sync_config.verify IS
'how often its table is compared with HubSpot, or null: never';
COMMENT ON COLUMN hs_assoc_sync_config.on_drift IS
'what becomes of the differences: report, add or mirror';
COMMENT ON COLUMN hs_assoc_sync_config.wait_for_records IS
'for how long its operations wait for records that HubSpot does not have, or null if it names none by keys';
COMMENT ON COLUMN hs_assoc_sync_config.replicated IS
'whether what a subscription applies to the table is sent, too';
COMMENT ON COLUMN hs_assoc_sync_config.table_name IS
'the name that the table had when its sync was enabled';
COMMENT ON SEQUENCE hs_assoc_sync_config_id_seq IS
'numbers of syncs';
COMMENT ON TABLE hs_assoc_sync_config IS
'what hs_assoc_enable_sync was told; see the view hs_assoc_sync';

CREATE FUNCTION hs_assoc_enable_sync(
	link_table regclass,
	from_type text,
	from_column name,
	to_type text,
	to_column name,
	type_id int DEFAULT NULL,
	label text DEFAULT NULL,
	type_id_column name DEFAULT NULL,
	label_column name DEFAULT NULL,
	category text DEFAULT NULL,
	backfill boolean DEFAULT false,
	is_primary boolean DEFAULT false,
	wait_for_records interval DEFAULT NULL,
	replicated boolean DEFAULT false,
	verify interval DEFAULT NULL,
	on_drift text DEFAULT NULL,
	server name DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_enable_sync(regclass, text, name, text, name, int, text, name, name, text, boolean, boolean, interval, boolean, interval, text, name) IS
'Keeps the associations in HubSpot in sync with the rows of a table, from now on.';

CREATE FUNCTION hs_assoc_disable_sync(
	link_table regclass)
RETURNS int
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_disable_sync(regclass) IS
'Ends all syncs of a table, and returns how many it had; what is enqueued is still sent.';

CREATE FUNCTION hs_assoc_drift(
	link_table regclass,
	scope text DEFAULT NULL,
	OUT sync bigint,
	OUT from_type text,
	OUT to_type text,
	OUT change_no bigint,
	OUT action text,
	OUT from_id text,
	OUT to_id text,
	OUT from_record text,
	OUT to_record text,
	OUT category text,
	OUT type_id int,
	OUT label text,
	OUT ok boolean,
	OUT http_status int,
	OUT error_category text,
	OUT error_message text,
	OUT correlation_id text,
	OUT error jsonb)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_drift(regclass, text) IS
'Tells how HubSpot differs from a table in sync; changes nothing.';

CREATE FUNCTION hs_assoc_repair(
	link_table regclass,
	scope text DEFAULT NULL,
	mode text DEFAULT 'add',
	max_removals int DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_repair(regclass, text, text, int) IS
'Enqueues what makes HubSpot hold what a table in sync says, unless that would remove more than it should.';

CREATE FUNCTION hs_assoc_may_commit()
RETURNS boolean
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_may_commit() IS
'Whether the procedure that calls it may commit, as hs_assoc_pull has to.';

CREATE FUNCTION hs_assoc_keep_locked(
	link_table regclass,
	locked boolean)
RETURNS void
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_keep_locked(regclass, boolean) IS
'Has other pulls of a table wait beyond the next commit of the procedure that calls it, or no longer.';

-- What changes on a server without the extension is written down there by
-- managed/hubspot_changes.sql; a foreign table shows that here. The rows of a batch are
-- applied in one transaction, and deleted there in the next one. If that is not reached,
-- they are applied once more, which changes nothing, since of each row only the last change
-- in the batch counts. No other pull comes in between: it could apply some of them once more,
-- and find the others deleted. It runs with the caller's rights; a SET clause would not let
-- it commit.
CREATE PROCEDURE hs_assoc_pull(
	link_table regclass,
	changes regclass,
	link text DEFAULT NULL,
	all_rows regclass DEFAULT NULL,
	max_rows int DEFAULT 10000,
	may_be_empty boolean DEFAULT false)
LANGUAGE plpgsql
AS $pull$
DECLARE
	source pg_catalog.text := link;
	columns pg_catalog.text;
	same pg_catalog.text;
	-- the columns by which changes are of one row
	distinguishing pg_catalog.text;
	-- those that cannot be null here, and the condition that a row has none in them
	not_null pg_catalog.text[];
	complete pg_catalog.text;
	ids bigint[];
	old_rows pg_catalog.jsonb[];
	new_rows pg_catalog.jsonb[];
	action pg_catalog.text;
	emptied bigint;
	pulled bigint := 0;
	added bigint;
	removed bigint;
	incomplete bigint;
	left_out bigint := 0;
	told pg_catalog.text;
	missing pg_catalog.text;
	home pg_catalog.text;
	needed pg_catalog.text[];
	is_followed boolean;
	may_commit boolean;
	may_sort pg_catalog.text := pg_catalog.current_setting('enable_sort');
	is_emptied boolean;
	-- the three tables as they are called in SQL, whatever search_path is
	target pg_catalog.text;
	written pg_catalog.text;
	there pg_catalog.text;
BEGIN
	IF link_table IS NULL OR changes IS NULL THEN
		RAISE EXCEPTION 'argument "%" must not be null', CASE WHEN link_table IS NULL THEN 'link_table' ELSE 'changes' END
			USING ERRCODE = 'null_value_not_allowed';
	END IF;
	IF coalesce(max_rows OPERATOR(pg_catalog.<) 1, true) THEN
		RAISE EXCEPTION 'invalid value for argument "max_rows": %', coalesce(max_rows::pg_catalog.text, 'null')
			USING ERRCODE = 'invalid_parameter_value', HINT = 'It must be at least 1.';
	END IF;
	WITH expected AS (
		SELECT t.no, c.no AS place, c.name, c.type, a.atttypid AS has, coalesce(a.atttypid OPERATOR(pg_catalog.=) c.type, false) AS fits
		FROM (VALUES (1, changes), (2, link_table)) AS t (no, relation) CROSS JOIN (VALUES
			(1, 'id', 'pg_catalog.int8'::pg_catalog.regtype), (2, 'link', 'pg_catalog.text'::pg_catalog.regtype),
			(3, 'old_row', 'pg_catalog.jsonb'::pg_catalog.regtype), (4, 'new_row', 'pg_catalog.jsonb'::pg_catalog.regtype)
			) AS c (no, name, type)
			LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid OPERATOR(pg_catalog.=) t.relation
				AND a.attname OPERATOR(pg_catalog.=) c.name AND a.attnum OPERATOR(pg_catalog.>) 0)
	SELECT pg_catalog.concat_ws(' ',
			pg_catalog.string_agg(pg_catalog.format('Column %s has type %s instead of %s.', name, pg_catalog.format_type(has, NULL), type), ' ' ORDER BY place)
				FILTER (WHERE no OPERATOR(pg_catalog.=) 1 AND NOT fits AND has IS NOT NULL),
			'It has no column ' OPERATOR(pg_catalog.||) pg_catalog.string_agg(name, ', ' ORDER BY place)
				FILTER (WHERE no OPERATOR(pg_catalog.=) 1 AND has IS NULL) OPERATOR(pg_catalog.||) '.'),
		CASE WHEN pg_catalog.bool_and(fits) FILTER (WHERE no OPERATOR(pg_catalog.=) 2)
			THEN pg_catalog.format('The arguments are in the wrong order: CALL hs_assoc_pull(%L, %L).', changes, link_table)
			ELSE 'It must show hubspot_changes.changes over there, as CREATE FOREIGN TABLE ... (id bigint, link text, old_row jsonb, new_row jsonb) SERVER ... OPTIONS (schema_name ''hubspot_changes'', table_name ''changes'') does.'
			END
	INTO missing, action FROM expected;
	IF missing OPERATOR(pg_catalog.<>) '' THEN
		RAISE EXCEPTION 'invalid value for argument "changes": "%"', changes USING ERRCODE = 'invalid_parameter_value',
			DETAIL = missing, HINT = action;
	END IF;
	IF all_rows OPERATOR(pg_catalog.=) link_table THEN
		RAISE EXCEPTION 'invalid value for argument "all_rows": "%"', all_rows USING ERRCODE = 'invalid_parameter_value',
			DETAIL = 'What was written down would be deleted over there, and never be applied.',
			HINT = pg_catalog.format('It must be a foreign table of what %s is over there.', link_table);
	END IF;
	-- what is written down and the rows have to be of one moment
	IF (SELECT pg_catalog.count(DISTINCT f.ftserver) FROM pg_catalog.pg_foreign_table AS f
			WHERE f.ftrelid OPERATOR(pg_catalog.=) ANY (ARRAY[changes::pg_catalog.oid, all_rows::pg_catalog.oid])) OPERATOR(pg_catalog.>) 1 THEN
		RAISE EXCEPTION 'invalid value for argument "all_rows": "%"', all_rows USING ERRCODE = 'invalid_parameter_value',
			DETAIL = pg_catalog.format('It is of another server than %s, and may lack what is written down there.', changes),
			HINT = 'Both must be foreign tables of one server.';
	END IF;
	SELECT pg_catalog.quote_ident(n.nspname) INTO home
	FROM pg_catalog.pg_trigger AS t
		JOIN pg_catalog.pg_depend AS d ON d.objid OPERATOR(pg_catalog.=) t.tgfoid
		JOIN pg_catalog.pg_extension AS e ON e.oid OPERATOR(pg_catalog.=) d.refobjid
		JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace
	WHERE t.tgrelid OPERATOR(pg_catalog.=) $1 AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
		AND d.deptype OPERATOR(pg_catalog.=) 'e' AND e.extname OPERATOR(pg_catalog.=) 'hubspot_assoc'
	LIMIT 1;
	IF home IS NULL THEN
		RAISE EXCEPTION 'table "%" is not kept in sync', $1 USING ERRCODE = 'object_not_in_prerequisite_state',
			DETAIL = 'What is pulled would be deleted over there, and never be sent.', HINT = 'Call hs_assoc_enable_sync first.';
	END IF;
	EXECUTE pg_catalog.format('SELECT %s.hs_assoc_may_commit()', home) INTO may_commit;
	IF NOT may_commit THEN
		RAISE EXCEPTION 'hs_assoc_pull cannot run inside a transaction block or a function' USING ERRCODE = 'invalid_transaction_termination',
			DETAIL = 'It commits while it pulls.', HINT = 'CALL it on its own.';
	END IF;
	IF source IS NULL THEN
		-- as it is written down, whatever the session has set
		PERFORM pg_catalog.set_config('quote_all_identifiers', 'off', true);
		SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) INTO source
		FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
		WHERE c.oid OPERATOR(pg_catalog.=) link_table;
	END IF;
	-- strings of a type of its own, as citext, are compared as text, which that operator does
	SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum),
		pg_catalog.string_agg(CASE WHEN a.attnotnull THEN pg_catalog.format('l.%1$I OPERATOR(pg_catalog.=) r.%1$I', a.attname)
			ELSE pg_catalog.format('(l.%1$I OPERATOR(pg_catalog.=) r.%1$I OR (l.%1$I IS NULL AND r.%1$I IS NULL))', a.attname) END, ' AND '),
		pg_catalog.string_agg(pg_catalog.concat(pg_catalog.quote_ident(a.attname), CASE WHEN t.typcategory OPERATOR(pg_catalog.=) 'S'
			AND t.typnamespace OPERATOR(pg_catalog.<>) 'pg_catalog'::pg_catalog.regnamespace THEN '::pg_catalog.text' END), ', ' ORDER BY a.attnum),
		pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY a.attnum),
		coalesce(pg_catalog.array_agg(a.attname::pg_catalog.text) FILTER (WHERE a.attnotnull OR t.typnotnull), '{}'),
		coalesce(pg_catalog.string_agg(pg_catalog.format('r.%I IS NOT NULL', a.attname), ' AND ') FILTER (WHERE a.attnotnull OR t.typnotnull), 'true')
	INTO columns, same, distinguishing, needed, not_null, complete
	FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t ON t.oid OPERATOR(pg_catalog.=) a.atttypid
	WHERE a.attrelid OPERATOR(pg_catalog.=) link_table AND a.attnum OPERATOR(pg_catalog.>) 0
		AND NOT a.attisdropped AND a.attgenerated OPERATOR(pg_catalog.=) '';
	IF all_rows IS NOT NULL THEN
		SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum) INTO missing
		FROM pg_catalog.pg_attribute AS a
		WHERE a.attrelid OPERATOR(pg_catalog.=) link_table AND a.attnum OPERATOR(pg_catalog.>) 0
			AND NOT a.attisdropped AND a.attgenerated OPERATOR(pg_catalog.=) ''
			AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS r
				WHERE r.attrelid OPERATOR(pg_catalog.=) all_rows AND r.attname OPERATOR(pg_catalog.=) a.attname
					AND r.attnum OPERATOR(pg_catalog.>) 0);
		IF missing IS NOT NULL THEN
			RAISE EXCEPTION 'invalid value for argument "all_rows": "%"', all_rows USING ERRCODE = 'invalid_parameter_value',
				DETAIL = pg_catalog.format('Of the columns of table %s, it lacks %s.', link_table, missing),
				HINT = pg_catalog.format('It must be a foreign table of the same table over there, with the columns %s.', columns);
		END IF;
		-- planned, and not run
		BEGIN
			EXECUTE pg_catalog.format('EXPLAIN SELECT FROM %s AS l, (SELECT %s FROM %s) AS r WHERE %s', link_table, columns, all_rows, same);
		EXCEPTION WHEN undefined_function THEN
			SELECT pg_catalog.string_agg(pg_catalog.format('%I has type %s instead of %s', a.attname,
				pg_catalog.format_type(r.atttypid, NULL), pg_catalog.format_type(a.atttypid, NULL)), ', ' ORDER BY a.attnum) INTO missing
			FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_attribute AS r ON r.attrelid OPERATOR(pg_catalog.=) all_rows
				AND r.attname OPERATOR(pg_catalog.=) a.attname AND r.attnum OPERATOR(pg_catalog.>) 0
			WHERE a.attrelid OPERATOR(pg_catalog.=) link_table AND a.attnum OPERATOR(pg_catalog.>) 0
				AND a.attgenerated OPERATOR(pg_catalog.=) '' AND r.atttypid OPERATOR(pg_catalog.<>) a.atttypid;
			IF missing IS NULL THEN
				RAISE;
			END IF;
			RAISE EXCEPTION 'invalid value for argument "all_rows": "%"', all_rows USING ERRCODE = 'invalid_parameter_value',
				DETAIL = pg_catalog.format('Its values cannot be compared with those of table %s: column %s.', link_table, missing),
				HINT = 'Have the same types in both.';
		END;
	END IF;
	LOOP
		-- what is looked at under the lock is as it is then
		COMMIT;
		SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
		-- one at a time, and the sync stays as it is, until the commit
		EXECUTE (SELECT pg_catalog.format('LOCK TABLE %I.%I IN SHARE ROW EXCLUSIVE MODE', n.nspname, c.relname)
			FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
			WHERE c.oid OPERATOR(pg_catalog.=) link_table);
		SELECT pg_catalog.max(t.name) FILTER (WHERE t.oid OPERATOR(pg_catalog.=) link_table),
			pg_catalog.max(t.name) FILTER (WHERE t.oid OPERATOR(pg_catalog.=) changes),
			pg_catalog.max(t.name) FILTER (WHERE t.oid OPERATOR(pg_catalog.=) all_rows)
		INTO target, written, there
		FROM (SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
			FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
			WHERE c.oid OPERATOR(pg_catalog.=) ANY (ARRAY[link_table::pg_catalog.oid, changes::pg_catalog.oid, all_rows::pg_catalog.oid])) AS t;
		SELECT coalesce(pg_catalog.bool_or(t.tgtype OPERATOR(pg_catalog.&) 4 OPERATOR(pg_catalog.>) 0)
			AND pg_catalog.bool_or(t.tgtype OPERATOR(pg_catalog.&) 8 OPERATOR(pg_catalog.>) 0), false) INTO is_followed
		FROM pg_catalog.pg_trigger AS t
			JOIN pg_catalog.pg_depend AS d ON d.objid OPERATOR(pg_catalog.=) t.tgfoid
			JOIN pg_catalog.pg_extension AS e ON e.oid OPERATOR(pg_catalog.=) d.refobjid
		WHERE t.tgrelid OPERATOR(pg_catalog.=) $1 AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
			AND d.deptype OPERATOR(pg_catalog.=) 'e' AND e.extname OPERATOR(pg_catalog.=) 'hubspot_assoc'
			AND t.tgenabled OPERATOR(pg_catalog.=) ANY (
				CASE WHEN pg_catalog.current_setting('session_replication_role') OPERATOR(pg_catalog.=) 'replica' THEN '{A,R}'::pg_catalog."char"[] ELSE '{A,O}' END);
		IF NOT is_followed THEN
			RAISE EXCEPTION 'what is written to table "%" is not sent', $1 USING ERRCODE = 'object_not_in_prerequisite_state',
				DETAIL = 'What is pulled would be deleted over there, and never be sent.',
				HINT = 'The view hs_assoc_sync says why, unless its sync was disabled; changes that were not pulled wait over there.';
		END IF;
		-- a row that is not seen would be neither removed nor added, and its change deleted over there
		SELECT t.relation::pg_catalog.text INTO missing
		FROM pg_catalog.unnest(ARRAY[link_table, changes, all_rows]) AS t (relation)
		WHERE pg_catalog.row_security_active(t.relation::pg_catalog.oid) LIMIT 1;
		IF FOUND THEN
			RAISE EXCEPTION 'row-level security may hide rows of table "%"', missing USING ERRCODE = 'insufficient_privilege',
				DETAIL = 'What is pulled would be deleted over there, and maybe not be applied.',
				HINT = 'Pull as a role for which row-level security is off: its owner, unless that is forced, or one with BYPASSRLS.';
		END IF;
		-- who may not delete over there, or where nobody can, as on a standby, would apply the same again and again
		EXECUTE pg_catalog.format('DELETE FROM %s WHERE id OPERATOR(pg_catalog.=) ANY ($1)', written) USING '{}'::bigint[];
		-- until what is applied is deleted over there
		EXECUTE pg_catalog.format('SELECT %s.hs_assoc_keep_locked($1, true)', home) USING link_table;
		IF all_rows IS NULL THEN
			-- However many wait: as a rule that is not known here, so they would all be fetched
			-- to be sorted.
			PERFORM pg_catalog.set_config('enable_sort', 'off', true);
			-- a row with a null that cannot be here is not here, and stops no other
			EXECUTE pg_catalog.format('SELECT pg_catalog.array_agg(c.id ORDER BY c.id),
					pg_catalog.array_agg(CASE WHEN old.complete THEN c.old_row END ORDER BY c.id),
					pg_catalog.array_agg(CASE WHEN new.complete THEN c.new_row END ORDER BY c.id),
					pg_catalog.max(c.id) FILTER (WHERE c.old_row IS NULL AND c.new_row IS NULL),
					pg_catalog.count(*) FILTER (WHERE NOT new.complete)
				FROM (SELECT id, old_row, new_row FROM %s WHERE link OPERATOR(pg_catalog.=) $1 ORDER BY id LIMIT $2) AS c
					CROSS JOIN LATERAL (SELECT coalesce(pg_catalog.bool_and(pg_catalog.jsonb_typeof(c.old_row OPERATOR(pg_catalog.->) n) OPERATOR(pg_catalog.<>) ''null''), true) FROM pg_catalog.unnest($3) AS n) AS old (complete)
					CROSS JOIN LATERAL (SELECT coalesce(pg_catalog.bool_and(pg_catalog.jsonb_typeof(c.new_row OPERATOR(pg_catalog.->) n) OPERATOR(pg_catalog.<>) ''null''), true) FROM pg_catalog.unnest($3) AS n) AS new (complete)', written)
			INTO ids, old_rows, new_rows, emptied, incomplete USING source, max_rows, not_null;
			PERFORM pg_catalog.set_config('enable_sort', may_sort, true);
		ELSE
			-- what was written down by now is in the rows that the same snapshot shows
			EXECUTE pg_catalog.format('SELECT pg_catalog.array_agg(c.id) FROM %s AS c WHERE c.link OPERATOR(pg_catalog.=) $1', written)
			INTO ids USING source;
			-- as it is where the foreign table names another one, or its user may see none of the rows
			EXECUTE pg_catalog.format('SELECT NOT EXISTS (SELECT FROM %s) AND EXISTS (SELECT FROM %s)', there, target) INTO is_emptied;
			IF is_emptied AND may_be_empty IS NOT TRUE THEN
				RAISE EXCEPTION 'table "%" is empty, and all rows of table "%" would be removed', all_rows, link_table
					USING ERRCODE = 'object_not_in_prerequisite_state',
					DETAIL = 'Their associations would be removed, too. Nothing was done.',
					HINT = 'See whether the foreign table is of the right table over there, and whether its user may read the rows. If there are to be none, CALL hs_assoc_pull(..., may_be_empty => true).';
			END IF;
			EXECUTE pg_catalog.format('DELETE FROM %s AS l WHERE NOT EXISTS (SELECT FROM (SELECT %s FROM %s) AS r WHERE %s)',
				target, columns, there, same);
			GET DIAGNOSTICS removed = ROW_COUNT;
			EXECUTE pg_catalog.format('INSERT INTO %1$s (%2$s) OVERRIDING SYSTEM VALUE SELECT r.* FROM (SELECT %2$s FROM %3$s) AS r
				WHERE %5$s AND NOT EXISTS (SELECT FROM %1$s AS l WHERE %4$s)', target, columns, there, same, complete);
			GET DIAGNOSTICS added = ROW_COUNT;
			EXECUTE pg_catalog.format('SELECT pg_catalog.count(*) FROM %s AS r WHERE NOT (%s)', there, complete) INTO incomplete;
		END IF;
		-- a null in its place would be sent as nothing, and forgotten
		SELECT pg_catalog.string_agg(DISTINCT pg_catalog.quote_ident(c), ', ') INTO missing
		FROM pg_catalog.unnest(old_rows OPERATOR(pg_catalog.||) new_rows) AS image CROSS JOIN pg_catalog.unnest(needed) AS c
		WHERE image IS NOT NULL AND NOT image OPERATOR(pg_catalog.?) c;
		IF missing IS NOT NULL THEN
			RAISE EXCEPTION 'the changes of % lack %, which table "%" has', source, missing, link_table
				USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = 'Over there, call hubspot_changes.unfollow, and hubspot_changes.follow with all columns of the table; then pull with all_rows.';
		END IF;
		IF emptied IS NOT NULL THEN
			EXECUTE pg_catalog.format('DELETE FROM %s', target);
		END IF;
		IF all_rows IS NULL AND ids IS NOT NULL THEN
			BEGIN
				-- removals first: a row may have taken the place of another; the names are such as
				-- no table and no column has
				FOREACH action IN ARRAY ARRAY[
					'DELETE FROM %1$s AS l USING hs_assoc_latest AS r WHERE NOT r.hs_assoc_added AND %3$s',
					'INSERT INTO %1$s (%2$s) OVERRIDING SYSTEM VALUE SELECT %2$s FROM hs_assoc_latest AS r
						WHERE r.hs_assoc_added AND NOT EXISTS (SELECT FROM %1$s AS l WHERE %3$s)']
				LOOP
					EXECUTE pg_catalog.format(pg_catalog.concat('WITH hs_assoc_changed AS (
							SELECT c.id AS hs_assoc_change, false AS hs_assoc_added, r.*
							FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS c (id, image)
								CROSS JOIN LATERAL pg_catalog.jsonb_populate_record(NULL::%1$s, c.image) AS r
							WHERE c.image IS NOT NULL AND coalesce(c.id OPERATOR(pg_catalog.>) $4, true)
							UNION ALL
							SELECT c.id, true, r.*
							FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($3)) AS c (id, image)
								CROSS JOIN LATERAL pg_catalog.jsonb_populate_record(NULL::%1$s, c.image) AS r
							WHERE c.image IS NOT NULL AND coalesce(c.id OPERATOR(pg_catalog.>) $4, true)
						), hs_assoc_latest AS (
							SELECT DISTINCT ON (%4$s) hs_assoc_added, %2$s FROM hs_assoc_changed
							ORDER BY %4$s, hs_assoc_change DESC, hs_assoc_added DESC
						) ', action), target, columns, same, distinguishing)
					USING ids, old_rows, new_rows, emptied;
				END LOOP;
			EXCEPTION WHEN data_exception OR check_violation OR not_null_violation THEN
				-- such an ERROR does not tell which of the changes it is
				FOR nth IN 1 .. pg_catalog.cardinality(ids) LOOP
					CONTINUE WHEN ids[nth] OPERATOR(pg_catalog.<=) emptied;
					BEGIN
						EXECUTE pg_catalog.format('SELECT pg_catalog.jsonb_populate_record(NULL::%1$s, $1), pg_catalog.jsonb_populate_record(NULL::%1$s, $2)', target)
						USING old_rows[nth], new_rows[nth];
					EXCEPTION WHEN OTHERS THEN
						RAISE EXCEPTION '%', SQLERRM USING ERRCODE = SQLSTATE,
							DETAIL = pg_catalog.format('It is change %s of %s: %s', ids[nth], source,
								pg_catalog.left(pg_catalog.concat_ws(' became ', old_rows[nth], new_rows[nth]), 1000)),
							HINT = pg_catalog.format('Let table %s take it, or correct the row over there and pull with all_rows. Until then no change of this table is pulled.', link_table);
					END;
				END LOOP;
				RAISE;
			END;
		END IF;
		COMMIT;
		IF ids IS NOT NULL THEN
			EXECUTE pg_catalog.format('DELETE FROM %s WHERE id OPERATOR(pg_catalog.=) ANY ($1)', written) USING ids;
			COMMIT;
		END IF;
		EXECUTE pg_catalog.format('SELECT %s.hs_assoc_keep_locked($1, false)', home) USING link_table;
		left_out := left_out OPERATOR(pg_catalog.+) incomplete;
		EXIT WHEN ids IS NULL;
		pulled := pulled OPERATOR(pg_catalog.+) pg_catalog.cardinality(ids);
		EXIT WHEN all_rows IS NOT NULL OR pg_catalog.cardinality(ids) OPERATOR(pg_catalog.<) max_rows;
	END LOOP;
	IF left_out OPERATOR(pg_catalog.>) 0 THEN
		told := pg_catalog.format('Left out, as they have a null in a column that is NOT NULL here: %s.', left_out);
	END IF;
	action := CASE WHEN pulled OPERATOR(pg_catalog.=) 1 THEN '1 change' ELSE pg_catalog.concat(pulled, ' changes') END;
	IF all_rows IS NULL AND pulled OPERATOR(pg_catalog.=) 0 THEN
		EXECUTE pg_catalog.format('SELECT pg_catalog.string_agg(DISTINCT link, '', '') FROM (SELECT link FROM %s LIMIT 1000) AS c', written)
		INTO missing;
		missing := CASE WHEN missing IS NULL THEN 'No changes wait.' ELSE pg_catalog.concat('There are changes of ', pg_catalog.left(missing, 500), '.') END;
		RAISE NOTICE 'pulled % of %', action, source USING DETAIL = missing;
	ELSIF all_rows IS NULL AND told IS NULL THEN
		RAISE NOTICE 'pulled % of %', action, source;
	ELSIF all_rows IS NULL THEN
		RAISE NOTICE 'pulled % of %', action, source USING DETAIL = told;
	ELSE
		RAISE NOTICE 'took all rows of %: % added, % removed', all_rows, added, removed
			USING DETAIL = pg_catalog.concat_ws(' ', pg_catalog.format('They include %s of %s that had been written down.', action, source), told);
	END IF;
END
$pull$;
COMMENT ON PROCEDURE hs_assoc_pull(regclass, regclass, text, regclass, int, boolean) IS
'Applies to a table what was written down on a server without the extension, and commits as it goes.';

CREATE FUNCTION hs_assoc_sync_rows()
RETURNS trigger
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_sync_rows() IS
'Enqueues what a statement, or a subscription, has changed in a table that is kept in sync, as its trigger.';

CREATE FUNCTION hs_assoc_sync_ddl()
RETURNS event_trigger
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_sync_ddl() IS
'Follows DDL on tables that are kept in sync, and refuses what would change their rows without firing a trigger.';
-- tables are altered and made by other commands, too
CREATE EVENT TRIGGER hs_assoc_sync_ddl ON ddl_command_end
	WHEN TAG IN ('ALTER TABLE', 'ALTER FOREIGN TABLE', 'ALTER VIEW', 'ALTER MATERIALIZED VIEW', 'ALTER TYPE',
		'CREATE TABLE', 'CREATE FOREIGN TABLE', 'CREATE SCHEMA', 'ALTER SCHEMA')
	EXECUTE FUNCTION hs_assoc_sync_ddl();
CREATE EVENT TRIGGER hs_assoc_sync_drop ON sql_drop
	EXECUTE FUNCTION hs_assoc_sync_ddl();
-- after DROP TABLE there are no rows left; once ALTER EXTENSION has begun, it has locked a table that a sender waits for
CREATE EVENT TRIGGER hs_assoc_sync_before_drop ON ddl_command_start
	WHEN TAG IN ('DROP TABLE', 'ALTER EXTENSION')
	EXECUTE FUNCTION hs_assoc_sync_ddl();
-- also where DDL is replicated to
ALTER EVENT TRIGGER hs_assoc_sync_ddl ENABLE ALWAYS;
ALTER EVENT TRIGGER hs_assoc_sync_drop ENABLE ALWAYS;
ALTER EVENT TRIGGER hs_assoc_sync_before_drop ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER hs_assoc_sync_ddl IS
'follows what is created and altered';
COMMENT ON EVENT TRIGGER hs_assoc_sync_drop IS
'follows what is dropped';
COMMENT ON EVENT TRIGGER hs_assoc_sync_before_drop IS
'enqueues the rows of partitions that are about to be dropped, and has ALTER EXTENSION wait for senders';

CREATE FUNCTION hs_assoc_sync_problem(
	id int,
	link_table regclass)
RETURNS text
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_sync_problem(int, regclass) IS
'Why changes of a table in sync are not sent, for the view hs_assoc_sync; null if they are.';

CREATE VIEW hs_assoc_sync AS
SELECT c.id, c.link_table, c.from_type, c.from_column, c.to_type, c.to_column,
	c.type_id, c.label, c.type_id_column, c.label_column, c.category,
	c.server, c.role, c.enabled_at, c.wait_for_records, c.replicated, c.verify, c.on_drift, c.problem IS NULL AS active, c.problem
FROM (SELECT *, hs_assoc_sync_problem(id, link_table) AS problem FROM hs_assoc_sync_config) AS c;
COMMENT ON VIEW hs_assoc_sync IS
'tables that are kept in sync; active is false where changes are not sent, and problem says why';
COMMENT ON COLUMN hs_assoc_sync.type_id IS
'the type that each row stands for; null, with no label and no column of these: the whole association';
COMMENT ON COLUMN hs_assoc_sync.role IS
'the role on whose behalf changes are sent';
COMMENT ON COLUMN hs_assoc_sync.active IS
'false: changes are not sent';
COMMENT ON COLUMN hs_assoc_sync.problem IS
'why they are not; null if they are';

--
-- Tables in sync, compared with HubSpot now and then
--
CREATE TABLE hs_assoc_verify (
	sync			int PRIMARY KEY,
	repairs			boolean NOT NULL DEFAULT false,
	place			text COLLATE "C",
	size			int NOT NULL DEFAULT 1000,
	next_at			timestamptz NOT NULL DEFAULT '-infinity',
	looked_at		timestamptz,
	attempt_at		timestamptz,
	attempts		int NOT NULL DEFAULT 0,
	began_at		timestamptz,
	records			bigint NOT NULL DEFAULT 0,
	wanted			bigint NOT NULL DEFAULT 0,
	held			bigint NOT NULL DEFAULT 0,
	missing			bigint NOT NULL DEFAULT 0,
	extra			bigint NOT NULL DEFAULT 0,
	logged			bigint NOT NULL DEFAULT 0,
	unknown			bigint NOT NULL DEFAULT 0,
	last_began_at	timestamptz,
	last_ended_at	timestamptz,
	last_records	bigint,
	last_missing	bigint,
	last_extra		bigint,
	last_unknown	bigint,
	held_back		text,
	failures		int NOT NULL DEFAULT 0,
	sqlstate		text,
	error_message	text,
	all_records		bigint NOT NULL DEFAULT 0,
	all_differences	bigint NOT NULL DEFAULT 0,
	all_repaired	bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE hs_assoc_verify IS
'how far workers have come in comparing tables in sync with HubSpot; see the view hs_assoc_verify_stat';

CREATE TABLE hs_assoc_difference (
	sync			int NOT NULL,
	from_id			text COLLATE "C" NOT NULL,
	to_id			text COLLATE "C" NOT NULL,
	removes			boolean NOT NULL,
	category		text COLLATE "C" NOT NULL,
	type_id			int NOT NULL,
	label			text,
	from_key		text,
	to_key			text,
	place			text COLLATE "C",
	pair			bigint NOT NULL,
	state			text COLLATE "C" NOT NULL DEFAULT 'open',
	found_at		timestamptz NOT NULL DEFAULT pg_catalog.now(),
	seen_at			timestamptz NOT NULL DEFAULT pg_catalog.now(),
	repairs			int NOT NULL DEFAULT 0,
	repaired_at		timestamptz,
	repaired_before	timestamptz,
	PRIMARY KEY (sync, from_id, to_id, removes, category, type_id)
);
COMMENT ON TABLE hs_assoc_difference IS
'differences between tables in sync and HubSpot that workers have found; see the view hs_assoc_drift_log';

-- The tables of the outbox have the same condition as a policy.
CREATE VIEW hs_assoc_drift_log WITH (security_barrier) AS
SELECT c.id AS sync, c.link_table, c.server, c.role, c.from_type, c.to_type,
	CASE WHEN d.category OPERATOR(pg_catalog.=) '' THEN CASE WHEN d.removes THEN 'archive' ELSE 'create' END
		WHEN d.removes THEN 'remove' ELSE 'add' END AS action,
	d.from_id, d.to_id, d.from_key, d.to_key,
	nullif(d.category, '') AS category, nullif(d.type_id, 0) AS type_id, d.label,
	d.state, d.found_at, d.seen_at, d.repairs, d.repaired_at
FROM hs_assoc_difference AS d
	JOIN hs_assoc_sync_config AS c ON c.id OPERATOR(pg_catalog.=) d.sync
WHERE pg_catalog.pg_has_role(c.role, 'USAGE');
COMMENT ON VIEW hs_assoc_drift_log IS
'differences from HubSpot that workers have found in tables whose sync has verify, and what has become of them';
COMMENT ON COLUMN hs_assoc_drift_log.state IS
'open, repaired (what puts it right was enqueued), or contested: it came back after two repairs, and is left alone';
COMMENT ON COLUMN hs_assoc_drift_log.from_key IS
'the key by which the table names the record from_id, where that is known; likewise to_key';
COMMENT ON COLUMN hs_assoc_drift_log.seen_at IS
'when it was there the last time';

CREATE VIEW hs_assoc_verify_stat AS
SELECT c.id AS sync, c.link_table, c.server, c.role, c.verify, c.on_drift,
	v.began_at, v.records, v.missing, v.extra, v.unknown, v.next_at,
	v.last_began_at, v.last_ended_at, v.last_records, v.last_missing, v.last_extra, v.last_unknown,
	coalesce(d.open, 0) AS open, coalesce(d.contested, 0) AS contested,
	v.held_back, v.failures, v.sqlstate,
	-- messages may name records
	CASE WHEN pg_catalog.pg_has_role(c.role, 'USAGE') THEN v.error_message END AS error_message,
	v.all_records, v.all_differences, v.all_repaired
FROM hs_assoc_sync_config AS c
	LEFT JOIN hs_assoc_verify AS v ON v.sync OPERATOR(pg_catalog.=) c.id
	LEFT JOIN (SELECT sync, pg_catalog.count(*) FILTER (WHERE state OPERATOR(pg_catalog.=) 'open') AS open,
			pg_catalog.count(*) FILTER (WHERE state OPERATOR(pg_catalog.=) 'contested') AS contested
		FROM hs_assoc_difference GROUP BY sync) AS d ON d.sync OPERATOR(pg_catalog.=) c.id
WHERE c.verify IS NOT NULL;
COMMENT ON VIEW hs_assoc_verify_stat IS
'syncs with verify: how far workers have come in comparing their tables with HubSpot, and what they have found';
COMMENT ON COLUMN hs_assoc_verify_stat.unknown IS
'records that could not be read, and rows whose records are not known';
COMMENT ON COLUMN hs_assoc_verify_stat.records IS
'records that the pass which goes on has compared; last_records, of the last whole one';
COMMENT ON COLUMN hs_assoc_verify_stat.missing IS
'associations of the table that HubSpot lacks; likewise last_missing';
COMMENT ON COLUMN hs_assoc_verify_stat.extra IS
'associations in HubSpot that no table in sync has; likewise last_extra';
COMMENT ON COLUMN hs_assoc_verify_stat.open IS
'differences that were there in the last pass: see hs_assoc_drift_log';
COMMENT ON COLUMN hs_assoc_verify_stat.contested IS
'differences that came back after two repairs, and are left alone';
COMMENT ON COLUMN hs_assoc_verify_stat.held_back IS
'why the last pass has put nothing right: the guard''s reason';
COMMENT ON COLUMN hs_assoc_verify_stat.all_records IS
'records that were compared since the sync was enabled; likewise all_differences and all_repaired';

--
-- Statistics
--
CREATE FUNCTION hs_assoc_stat(
	OUT server name,
	OUT requests bigint,
	OUT retries bigint,
	OUT rate_limited bigint,
	OUT lookups bigint,
	OUT inputs bigint,
	OUT confirmed bigint,
	OUT failed bigint,
	OUT skipped bigint,
	OUT errors jsonb,
	OUT bytes_sent bigint,
	OUT bytes_received bigint,
	OUT request_time double precision,
	OUT max_request_time double precision,
	OUT since timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_stat() IS
'Counts what was sent to each account of this database, by all sessions if preloaded or from PostgreSQL 17 on, else by this one.';
REVOKE ALL ON FUNCTION hs_assoc_stat() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hs_assoc_stat() TO pg_monitor;

CREATE FUNCTION hs_assoc_stat_reset(
	server name DEFAULT NULL)
RETURNS void
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_stat_reset(name) IS
'Sets the counters of hs_assoc_stat to zero.';
REVOKE ALL ON FUNCTION hs_assoc_stat_reset(name) FROM PUBLIC;

CREATE FUNCTION hs_assoc_throttle(
	OUT server name,
	OUT rate_limit int,
	OUT used int,
	OUT free_at timestamptz,
	OUT parked_until timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_throttle() IS
'Shows how much of its rate each account of this database has used, and whether HubSpot has asked to wait.';
REVOKE ALL ON FUNCTION hs_assoc_throttle() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hs_assoc_throttle() TO pg_monitor;

CREATE FUNCTION hs_assoc_metrics(
	OUT name text,
	OUT labels jsonb,
	OUT value double precision,
	OUT kind text,
	OUT help text)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_metrics() IS
'Gives figures on accounts, the outbox and tables in sync of this database, named as Prometheus wants it.';
REVOKE ALL ON FUNCTION hs_assoc_metrics() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hs_assoc_metrics() TO pg_monitor;

--
-- Why it does not work
--
CREATE FUNCTION hs_assoc_diagnose(
	server name DEFAULT NULL,
	OUT topic text,
	OUT state text,
	OUT detail text,
	OUT advice text)
RETURNS SETOF record
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hs_assoc_diagnose(name) IS
'Looks at an account, its tables in sync and its outbox, and says what is wrong and what to do, a row for each topic.';

GRANT SELECT ON hs_assoc_outbox_stat, hs_assoc_sync, hs_assoc_verify_stat, hs_assoc_lease, hs_assoc_account_pause
	TO pg_monitor;
-- not error_message, which may name records
GRANT SELECT (server, role, failures, retry_at, since, http_status, error_category) ON hs_assoc_backoff
	TO pg_monitor;
-- what these views call, even where others may not call our functions
GRANT EXECUTE ON FUNCTION hs_assoc_held(), hs_assoc_sender(), hs_assoc_fault(), hs_assoc_sync_problem(int, regclass)
	TO pg_monitor, pg_checkpoint;

-- A column of one of these types in somebody's table would keep later versions from adding
-- a column to it.
REVOKE USAGE ON TYPE hs_assoc_outbox, hs_assoc_dead_letter, hs_assoc_sent, hs_assoc_history_batch, hs_assoc_history, hs_assoc_lease, hs_assoc_backoff,
	hs_assoc_account_pause, hs_assoc_outdated, hs_assoc_doubt, hs_assoc_event, hs_assoc_clock, hs_assoc_identity, hs_assoc_origin,
	hs_assoc_sync_config, hs_assoc_outbox_stat, hs_assoc_sync, hs_assoc_verify, hs_assoc_difference, hs_assoc_drift_log,
	hs_assoc_verify_stat FROM PUBLIC;

-- What ALTER DEFAULT PRIVILEGES gives roles is meant for an application's own tables and
-- functions. With it they could read all that the tables know of records, make it another role's
-- login that a sync sends with, or have a copy send.
DO $privileges$
DECLARE
	command pg_catalog.text;
BEGIN
	FOR command IN
		SELECT pg_catalog.format('REVOKE ALL ON %s %s FROM %s', o.kind, o.name,
			CASE WHEN a.grantee OPERATOR(pg_catalog.=) 0 THEN 'PUBLIC' ELSE a.grantee::pg_catalog.regrole::pg_catalog.text END)
		FROM pg_catalog.pg_extension AS e
			JOIN pg_catalog.pg_depend AS d ON d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
				AND d.refobjid OPERATOR(pg_catalog.=) e.oid AND d.deptype OPERATOR(pg_catalog.=) 'e'
			JOIN (SELECT 'pg_catalog.pg_class'::pg_catalog.regclass AS class, c.oid, c.relowner AS owner, c.relacl AS acl,
					CASE WHEN c.relkind OPERATOR(pg_catalog.=) 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, c.oid::pg_catalog.regclass::pg_catalog.text AS name
				FROM pg_catalog.pg_class AS c
				UNION ALL
				SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, p.proowner, p.proacl, 'ROUTINE', p.oid::pg_catalog.regprocedure::pg_catalog.text
				FROM pg_catalog.pg_proc AS p
				UNION ALL
				SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid, t.typowner, t.typacl, 'TYPE', t.oid::pg_catalog.regtype::pg_catalog.text
				FROM pg_catalog.pg_type AS t
			) AS o ON o.class OPERATOR(pg_catalog.=) d.classid AND o.oid OPERATOR(pg_catalog.=) d.objid
			CROSS JOIN LATERAL (SELECT DISTINCT x.grantee FROM pg_catalog.aclexplode(o.acl) AS x) AS a
		WHERE e.extname OPERATOR(pg_catalog.=) 'hubspot_assoc' AND a.grantee OPERATOR(pg_catalog.<>) o.owner
			-- PUBLIC may call functions and use types, but for those above, unless default privileges say otherwise
			AND (a.grantee OPERATOR(pg_catalog.<>) 0 OR o.class OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass)
			AND NOT (a.grantee OPERATOR(pg_catalog.=) ANY (ARRAY['pg_monitor'::pg_catalog.regrole, 'pg_checkpoint'::pg_catalog.regrole]::pg_catalog.oid[]))
	LOOP
		EXECUTE command;
	END LOOP;
END
$privileges$;

--
-- What pg_dump takes along
--
SELECT pg_catalog.pg_extension_config_dump('hs_assoc_outbox', '');
SELECT pg_catalog.pg_extension_config_dump('hs_assoc_outbox_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('hs_assoc_repair_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('hs_assoc_dead_letter', '');
SELECT pg_catalog.pg_extension_config_dump('hs_assoc_sent', '');
SELECT pg_catalog.pg_extension_config_dump('hs_assoc_history_batch', '');
SELECT pg_catalog.pg_extension_config_dump('hs_assoc_account_pause', '');
SELECT pg_catalog.pg_extension_config_dump('hs_assoc_origin', '');
SELECT pg_catalog.pg_extension_config_dump('hs_assoc_sync_config', '');
SELECT pg_catalog.pg_extension_config_dump('hs_assoc_sync_config_id_seq', '');

--
-- Who can do what with the schema that all of this is in now?
--
CREATE FUNCTION hs_assoc_check_schema()
RETURNS void
AS 'MODULE_PATHNAME'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
SELECT hs_assoc_check_schema();
DROP FUNCTION hs_assoc_check_schema();
