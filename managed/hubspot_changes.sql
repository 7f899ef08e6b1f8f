-- hubspot_changes.sql: what changes in link tables, written down on a server that takes no
-- extension, for hs_assoc_pull on another one
--
-- Plain SQL and PL/pgSQL, for PostgreSQL 12 or later; no superuser is needed. In the
-- database of the link tables, as their owner:
--
--     psql -v ON_ERROR_STOP=1 -f hubspot_changes.sql
--     SELECT hubspot_changes.follow('contact_company', 'contact_id', 'company_id');
--
-- and SELECT hubspot_changes.unfollow('contact_company') ends it. DROP SCHEMA
-- hubspot_changes CASCADE removes all of it.
BEGIN;
CREATE SCHEMA hubspot_changes;

-- A row for each row that was changed, in the order of the changes of each; both are null
-- where all rows were removed.
CREATE TABLE hubspot_changes.changes (
	id			bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	link		text NOT NULL,
	old_row		jsonb,
	new_row		jsonb
);
CREATE INDEX ON hubspot_changes.changes (link, id);

-- The columns that are named, of a row, as far as it has them.
CREATE FUNCTION hubspot_changes.of_interest(changed jsonb, columns text[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
	SELECT coalesce(pg_catalog.jsonb_object_agg(c, changed -> c), '{}')
	FROM pg_catalog.unnest(columns) AS c WHERE pg_catalog.jsonb_exists(changed, c)
$$;

-- The trigger of a link table, with the names of its columns. Whoever writes to the table
-- needs no privilege here.
CREATE FUNCTION hubspot_changes.record() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	link text := format('%I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME);
	before jsonb;
	after jsonb;
BEGIN
	IF TG_OP IN ('UPDATE', 'DELETE') THEN
		before := hubspot_changes.of_interest(to_jsonb(OLD), TG_ARGV);
	END IF;
	IF TG_OP IN ('INSERT', 'UPDATE') THEN
		after := hubspot_changes.of_interest(to_jsonb(NEW), TG_ARGV);
	END IF;
	-- of a row that lacks a column, which was renamed or dropped, nobody knows what has changed
	IF TG_OP = 'TRUNCATE' OR before IS DISTINCT FROM after OR NOT jsonb_exists_all(after, TG_ARGV) THEN
		INSERT INTO hubspot_changes.changes (link, old_row, new_row) VALUES (link, before, after);
	END IF;
	RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION hubspot_changes.record() FROM PUBLIC;

CREATE FUNCTION hubspot_changes.follow(link regclass, VARIADIC columns text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	missing text;
	arguments text;
	followed text;
BEGIN
	IF link IS NULL OR coalesce(cardinality(columns), 0) = 0 OR array_position(columns, NULL) IS NOT NULL THEN
		RAISE EXCEPTION 'neither the table nor a column may be null, and there must be a column' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	SELECT coalesce(nullif(substring(pg_get_triggerdef(oid) FROM '\((.*)\)$'), ''), 'none, since its trigger "!hubspot_changes" is missing') INTO followed
	FROM pg_trigger WHERE tgrelid = link AND tgfoid = 'hubspot_changes.record'::regproc ORDER BY tgnargs DESC LIMIT 1;
	IF FOUND THEN
		RAISE EXCEPTION 'table % is followed already', link USING ERRCODE = 'duplicate_object',
			DETAIL = format('The columns are: %s.', followed),
			HINT = format('To follow it anew: SELECT hubspot_changes.unfollow(%L), hubspot_changes.follow(%1$L, ...).', link);
	END IF;
	SELECT string_agg(quote_literal(c), ', '),
		string_agg(c, ', ') FILTER (WHERE NOT EXISTS (SELECT FROM pg_attribute
			WHERE attrelid = link AND attname = c AND attnum > 0 AND NOT attisdropped))
	INTO arguments, missing FROM unnest(columns) AS c;
	IF missing IS NOT NULL THEN
		RAISE EXCEPTION 'table % has no column %', link, missing USING ERRCODE = 'undefined_column';
	END IF;
	IF EXISTS (SELECT FROM pg_class WHERE oid = link AND relkind NOT IN ('r', 'p')) THEN
		RAISE EXCEPTION '% is not a table', link USING ERRCODE = 'wrong_object_type',
			HINT = 'Follow the table that the rows are in.';
	END IF;
	IF EXISTS (SELECT FROM pg_class WHERE oid = link AND (relkind = 'p' OR relispartition)) THEN
		RAISE EXCEPTION 'table % is partitioned, or a partition', link USING ERRCODE = 'wrong_object_type',
			HINT = 'Its changes would be written down under the names of partitions, and TRUNCATE, DETACH and DROP of one would not be seen.';
	END IF;
	-- Triggers fire in the order of their names. Another one that changes the row again comes
	-- after this one, so that the changes are in their order, too.
	EXECUTE format('CREATE TRIGGER "!hubspot_changes" AFTER INSERT OR UPDATE OR DELETE ON %s
		FOR EACH ROW EXECUTE FUNCTION hubspot_changes.record(%s)', link, arguments);
	EXECUTE format('CREATE TRIGGER hubspot_changes_truncate AFTER TRUNCATE ON %s
		FOR EACH STATEMENT EXECUTE FUNCTION hubspot_changes.record()', link);
END
$$;

CREATE FUNCTION hubspot_changes.unfollow(link regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	name text;
BEGIN
	FOR name IN SELECT tgname FROM pg_trigger WHERE tgrelid = link AND tgfoid = 'hubspot_changes.record'::regproc LOOP
		EXECUTE format('DROP TRIGGER %I ON %s', name, link);
	END LOOP;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'table % is not followed', link USING ERRCODE = 'undefined_object';
	END IF;
END
$$;
COMMIT;
