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

-- The trigger of a link table, with the names of its columns. Whoever writes to the table
-- needs no privilege here. It runs with the rights of this schema's owner, so it calls nothing
-- that others have made: to_jsonb would call the casts of their types. Where there are such
-- types, only the columns that are named are read, these as text, as their types write it.
-- What is written down, and under which name, does not depend on what a writer has set.
CREATE FUNCTION hubspot_changes.record() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off SET datestyle = 'ISO' SET intervalstyle = 'postgres' SET extra_float_digits = 1 AS $$
DECLARE
	link text := format('%I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME);
	columns text[] := coalesce(TG_ARGV, '{}');		-- none for TRUNCATE
	before jsonb;
	after jsonb;
	old_row jsonb := '{}';		-- the columns that are named, as far as the row has them
	new_row jsonb := '{}';
	reading text;
	name name;
	is_plain boolean;
BEGIN
	-- from 16384 on, types are not PostgreSQL's own; of a domain, the base counts
	IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = TG_RELID AND attnum > 0 AND atttypid >= 16384)
		AND EXISTS (SELECT FROM pg_attribute JOIN pg_type AS t ON t.oid = atttypid
			WHERE attrelid = TG_RELID AND attnum > 0 AND atttypid >= 16384 AND (typtype <> 'd' OR typbasetype >= 16384)) THEN
		reading := 'SELECT ''{}''::jsonb';
		FOREACH name IN ARRAY columns LOOP
			SELECT atttypid < 16384 INTO is_plain FROM pg_attribute WHERE attrelid = TG_RELID AND attname = name;
			CONTINUE WHEN NOT FOUND;
			reading := reading || format(CASE WHEN is_plain THEN ' || jsonb_build_object(%1$L, $1.%1$I)'
				ELSE ' || jsonb_build_object(%1$L, CASE num_nulls($1.%1$I) WHEN 0 THEN format(''%%s'', $1.%1$I) END)' END, name);
		END LOOP;
		IF TG_OP IN ('UPDATE', 'DELETE') THEN
			EXECUTE reading INTO before USING OLD;
		END IF;
		IF TG_OP IN ('INSERT', 'UPDATE') THEN
			EXECUTE reading INTO after USING NEW;
		END IF;
	ELSE
		IF TG_OP IN ('UPDATE', 'DELETE') THEN
			before := to_jsonb(OLD);
		END IF;
		IF TG_OP IN ('INSERT', 'UPDATE') THEN
			after := to_jsonb(NEW);
		END IF;
		FOREACH name IN ARRAY columns LOOP
			IF jsonb_exists(before, name) THEN
				old_row := old_row || jsonb_build_object(name, before -> name::text);
			END IF;
			IF jsonb_exists(after, name) THEN
				new_row := new_row || jsonb_build_object(name, after -> name::text);
			END IF;
		END LOOP;
		before := CASE WHEN before IS NOT NULL THEN old_row END;
		after := CASE WHEN after IS NOT NULL THEN new_row END;
	END IF;
	-- of a row that lacks a column, which was renamed or dropped, nobody knows what has changed
	IF TG_OP = 'TRUNCATE' OR before IS DISTINCT FROM after OR NOT jsonb_exists_all(after, columns) THEN
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
	IF EXISTS (SELECT FROM pg_inherits WHERE inhparent = link) THEN
		RAISE EXCEPTION 'table % has tables that inherit from it', link USING ERRCODE = 'wrong_object_type',
			HINT = 'Follow each of them by itself: their rows are not this table''s own, and fire none of its triggers.';
	END IF;
	IF EXISTS (SELECT FROM pg_class WHERE oid = link AND relpersistence <> 'p') THEN
		RAISE EXCEPTION 'table % is temporary or unlogged', link USING ERRCODE = 'wrong_object_type',
			HINT = 'Its rows would go without being removed.';
	END IF;
	SELECT string_agg(attname, ', ') INTO missing FROM pg_attribute
	WHERE attrelid = link AND attname = ANY (columns) AND attgenerated = 'v';
	IF missing IS NOT NULL THEN
		RAISE EXCEPTION 'generated column % of table % is virtual', missing, link USING ERRCODE = 'feature_not_supported',
			HINT = 'Triggers do not see its value. Make it a stored one.';
	END IF;
	IF NOT EXISTS (SELECT FROM pg_index AS i WHERE indrelid = link AND indisunique AND indimmediate AND indisvalid
			AND indpred IS NULL AND NOT EXISTS (SELECT FROM generate_series(0, indnkeyatts - 1) AS k
				LEFT JOIN pg_attribute AS a ON attrelid = link AND attnum = indkey[k] AND attnum > 0 AND attname = ANY (columns)
				WHERE a.attnum IS NULL)) THEN
		RAISE WARNING 'table % has no unique index for these columns', link
			USING DETAIL = 'Two rows may be equal, if only for a while, and the removal of one removes both where the changes are pulled.',
			HINT = format('Create one on some of them, as by CREATE UNIQUE INDEX ON %s (%s). It must not be partial, on expressions or deferrable.',
				link, (SELECT string_agg(quote_ident(c), ', ') FROM unnest(columns) AS c));
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
