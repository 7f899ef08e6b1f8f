-- extension.sql: what the extension in this database consists of
--
-- For psql -XAtq -f. A line for each property of each object, in a fixed order,
-- without oids, so that the results of two installations can be compared. A line
-- that begins with "cannot describe" says that an object is of a kind that this
-- script knows nothing of: add it here.
SET search_path = pg_catalog;

CREATE TEMP TABLE object AS
WITH member AS (
	SELECT d.classid, d.objid
	FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'hubspot_assoc'
), relation AS (
	SELECT objid AS relid FROM member WHERE classid = 'pg_class'::regclass
)
SELECT classid, objid FROM member
UNION SELECT 'pg_class'::regclass, indexrelid FROM pg_index WHERE indrelid IN (TABLE relation)
UNION SELECT 'pg_class'::regclass, typrelid FROM pg_type JOIN member ON classid = 'pg_type'::regclass AND objid = oid
	WHERE typtype = 'c'
UNION SELECT 'pg_constraint'::regclass, oid FROM pg_constraint WHERE conrelid IN (TABLE relation)
UNION SELECT 'pg_trigger'::regclass, oid FROM pg_trigger WHERE tgrelid IN (TABLE relation)
UNION SELECT 'pg_policy'::regclass, oid FROM pg_policy WHERE polrelid IN (TABLE relation)
UNION SELECT 'pg_rewrite'::regclass, oid FROM pg_rewrite WHERE ev_class IN (TABLE relation)
UNION SELECT 'pg_statistic_ext'::regclass, oid FROM pg_statistic_ext WHERE stxrelid IN (TABLE relation);

INSERT INTO object SELECT 'pg_extension'::regclass, oid FROM pg_extension WHERE extname = 'hubspot_assoc';
CREATE INDEX ON pg_temp.object (classid, objid);
ANALYZE pg_temp.object;

-- grants in any order are the same
CREATE FUNCTION pg_temp.acl(items aclitem[]) RETURNS text LANGUAGE sql AS
$$ SELECT string_agg(item::text, ' ' ORDER BY item::text COLLATE "C") FROM unnest(items) AS item $$;

CREATE TEMP TABLE property (classid, objid, name, value) AS
SELECT 'pg_extension'::regclass, e.oid, p.name, p.value
FROM pg_extension e, LATERAL (VALUES
	('version', extversion),
	('relocatable', extrelocatable::text),
	('dumped', (SELECT string_agg(format('%s "%s"', c.relid::regclass, c.condition), ', '
			ORDER BY c.relid::regclass::text COLLATE "C")
		FROM unnest(extconfig, extcondition) AS c (relid, condition)))) AS p (name, value)
WHERE extname = 'hubspot_assoc'
UNION ALL
SELECT 'pg_proc'::regclass, oid, p.name, p.value
FROM pg_proc, LATERAL (VALUES
	('definition', CASE prokind WHEN 'a' THEN 'an aggregate' ELSE pg_get_functiondef(oid) END),
	('owner', proowner::regrole::text),
	('grants', pg_temp.acl(proacl))) AS p (name, value)
WHERE prokind <> 'a' AND oid IN (SELECT objid FROM object)
UNION ALL
SELECT 'pg_class'::regclass, c.oid, p.name, p.value
FROM pg_class c LEFT JOIN pg_sequence s ON s.seqrelid = c.oid LEFT JOIN pg_index i ON i.indexrelid = c.oid,
LATERAL (VALUES
	('kind', concat(relkind, relpersistence, relreplident)),
	('options', reloptions::text),
	('row security', concat(relrowsecurity, relforcerowsecurity)),
	('access method', (SELECT amname::text FROM pg_am WHERE pg_am.oid = relam)),
	('owner', relowner::regrole::text),
	('grants', pg_temp.acl(relacl)),
	('grants of its type', (SELECT pg_temp.acl(typacl) FROM pg_type WHERE typrelid = c.oid)),
	('query', CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END),
	('index', CASE WHEN relkind IN ('i', 'I') THEN concat(pg_get_indexdef(c.oid), ' ', indisclustered, indisreplident, indisvalid) END),
	('sequence', CASE WHEN relkind = 'S' THEN concat_ws(' ', seqtypid::regtype, seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle) END)
	) AS p (name, value)
WHERE c.oid IN (SELECT objid FROM object)
UNION ALL
SELECT 'pg_class'::regclass, attrelid, 'column',
	-- by its position: a dropped column leaves a hole in attnum
	concat_ws(' ', row_number() OVER (PARTITION BY attrelid ORDER BY attnum), attname, format_type(atttypid, atttypmod),
		CASE WHEN attnotnull THEN 'not null' END, concat('identity:', attidentity), concat('generated:', attgenerated),
		concat('collation:', attcollation::regcollation), concat('storage:', attstorage), concat('compression:', attcompression),
		concat('statistics:', attstattarget),
		-- servers may note more there
		'options:' || (SELECT string_agg(o, ' ' ORDER BY o) FROM unnest(attoptions) AS o WHERE o LIKE 'n\_distinct%'),
		'grants:' || pg_temp.acl(attacl),
		'default:' || pg_get_expr(adbin, adrelid), 'comment:' || col_description(attrelid, attnum))
FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attnum > 0 AND NOT attisdropped AND attrelid IN (SELECT objid FROM object)
UNION ALL
SELECT 'pg_constraint'::regclass, oid, 'definition', concat_ws(' ', pg_get_constraintdef(oid), convalidated, condeferrable, condeferred)
FROM pg_constraint WHERE oid IN (SELECT objid FROM object)
UNION ALL
SELECT 'pg_trigger'::regclass, oid, 'definition', concat_ws(' ', pg_get_triggerdef(oid), tgenabled) FROM pg_trigger WHERE oid IN (SELECT objid FROM object)
UNION ALL
SELECT 'pg_policy'::regclass, oid, 'definition', concat_ws(' ', polcmd, polpermissive, polroles::regrole[],
	pg_get_expr(polqual, polrelid), 'check:' || pg_get_expr(polwithcheck, polrelid)) FROM pg_policy WHERE oid IN (SELECT objid FROM object)
UNION ALL
SELECT 'pg_rewrite'::regclass, oid, 'definition', concat_ws(' ', pg_get_ruledef(oid), ev_enabled) FROM pg_rewrite WHERE oid IN (SELECT objid FROM object)
UNION ALL
SELECT 'pg_statistic_ext'::regclass, oid, 'definition', pg_get_statisticsobjdef(oid) FROM pg_statistic_ext WHERE oid IN (SELECT objid FROM object)
UNION ALL
SELECT 'pg_type'::regclass, oid, p.name, p.value
FROM pg_type, LATERAL (VALUES
	('owner', typowner::regrole::text),
	('grants', pg_temp.acl(typacl))) AS p (name, value)
WHERE (typtype = 'c' OR typcategory = 'A') AND oid IN (SELECT objid FROM object)
UNION ALL
SELECT 'pg_foreign_data_wrapper'::regclass, oid, p.name, p.value
FROM pg_foreign_data_wrapper, LATERAL (VALUES
	('functions', concat_ws(' ', fdwhandler::regprocedure, fdwvalidator::regprocedure)),
	('options', fdwoptions::text),
	('owner', fdwowner::regrole::text),
	('grants', pg_temp.acl(fdwacl))) AS p (name, value)
WHERE pg_foreign_data_wrapper.oid IN (SELECT objid FROM object)
UNION ALL
SELECT 'pg_event_trigger'::regclass, oid, p.name, p.value
FROM pg_event_trigger, LATERAL (VALUES
	('definition', concat_ws(' ', evtevent, evtfoid::regprocedure, evtenabled, evttags)),
	('owner', evtowner::regrole::text)) AS p (name, value)
WHERE pg_event_trigger.oid IN (SELECT objid FROM object);

WITH lines (line) AS (
	SELECT concat_ws(' | ', i.type, i.identity, p.name, p.value)
	FROM object o JOIN property p USING (classid, objid),
		LATERAL pg_identify_object(o.classid, o.objid, 0) AS i
	WHERE p.value IS NOT NULL
	UNION ALL
	SELECT concat_ws(' | ', i.type, i.identity, 'comment', c.description)
	FROM object o JOIN pg_description c ON (c.classoid, c.objoid, c.objsubid) = (o.classid, o.objid, 0),
		LATERAL pg_identify_object(o.classid, o.objid, 0) AS i
	UNION ALL
	SELECT concat_ws(' | ', i.type, i.identity, 'initial grants', pg_temp.acl(p.initprivs))
	FROM object o JOIN pg_init_privs p ON (p.classoid, p.objoid) = (o.classid, o.objid),
		LATERAL pg_identify_object(o.classid, o.objid, p.objsubid) AS i
	UNION ALL
	SELECT 'cannot describe ' || pg_describe_object(o.classid, o.objid, 0)
	FROM object o
	WHERE NOT EXISTS (SELECT FROM property p WHERE (p.classid, p.objid) = (o.classid, o.objid))
)
-- one line each
SELECT regexp_replace(line, '\s+', ' ', 'g') FROM lines ORDER BY line COLLATE "C";
