-- state.sql: everything that the extension keeps in this database
--
-- For psql -XAtq -f. The rows of all of its tables, in the order of their keys,
-- those that pg_dump doesn't take along only if the variable all is set; the
-- positions of its sequences; servers, user mappings, and the triggers of tables
-- that are kept in sync. Relations and roles are shown by name, so that a copy can
-- be compared with what it is a copy of.
SELECT format('SET search_path = %I, pg_catalog', nspname)
FROM pg_catalog.pg_extension JOIN pg_catalog.pg_namespace n ON n.oid = extnamespace
WHERE extname = 'hubspot_assoc' \gexec

SELECT format('SELECT %L AS relation, t.* FROM %s AS t ORDER BY 2, 3', relname, oid::regclass)
FROM pg_class
WHERE relkind = 'r'
	AND (:{?all} OR oid = ANY (SELECT unnest(extconfig) FROM pg_extension WHERE extname = 'hubspot_assoc'))
	AND oid IN (SELECT d.objid FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid
		WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_extension'::regclass
			AND d.deptype = 'e' AND e.extname = 'hubspot_assoc')
ORDER BY relname \gexec

SELECT format('SELECT %L AS sequence, last_value, is_called FROM %s', relname, oid::regclass)
FROM pg_class
WHERE relkind = 'S'
	AND oid IN (SELECT d.objid FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid
		WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_extension'::regclass
			AND d.deptype = 'e' AND e.extname = 'hubspot_assoc')
ORDER BY relname \gexec

SELECT 'sync', id, problem IS NOT DISTINCT FROM hs_assoc_held() FROM hs_assoc_sync ORDER BY id;
SELECT 'trigger', pg_get_triggerdef(oid), tgenabled
FROM pg_trigger WHERE tgfoid = 'hs_assoc_sync_rows'::regproc
ORDER BY pg_get_triggerdef(oid) COLLATE "C";
-- pg_dump puts options in the order of their names
SELECT 'server', srvname, srvowner::regrole, (SELECT array_agg(o ORDER BY o) FROM unnest(srvoptions) AS o), srvacl FROM pg_foreign_server ORDER BY srvname;
SELECT 'mapping', srvname, usename, (SELECT array_agg(o ORDER BY o) FROM unnest(umoptions) AS o) FROM pg_user_mappings ORDER BY srvname, usename;
