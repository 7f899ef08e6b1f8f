--
-- Every operation of the API in each of its versions: what is sent, what comes
-- back, and what HubSpot holds then
--
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/sql/include/begin.sql'
\set end :abs_srcdir '/sql/include/end.sql'
\set ECHO none
\i :begin

-- The calls, in their order, and what each changes: pairs, labels or limits.
CREATE TABLE calls (n int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, call text, changes text);
INSERT INTO calls (call, changes) VALUES
	('hs_assoc_label_create(''contacts'', ''companies'', ''Advisor'', ''advisor'', ''Advised by'')', 'labels'),
	('hs_assoc_label_create(''contacts'', ''companies'', ''Owner'', ''owner'')', 'labels'),
	('hs_assoc_labels(''contacts'', ''companies'')', NULL),
	('hs_assoc_labels(''companies'', ''contacts'')', NULL),
	('hs_assoc_label_update(''contacts'', ''companies'', 1, ''Adviser'', ''Client of'')', 'labels'),
	('hs_assoc_label_update(''contacts'', ''companies'', 1, ''Consultant'', ''Client'')', 'labels'),
	('hs_assoc_label_update(''contacts'', ''companies'', 3, ''Owner'')', 'labels'),
	('hs_assoc_create_default(''contacts'', ''101'', ''companies'', ''9001'')', 'pairs'),
	('hs_assoc_create_default(''contacts'', 102, ''companies'', 9001)', 'pairs'),
	('hs_assoc_create(''contacts'', ''101'', ''companies'', ''9001'', ''{1}'')', 'pairs'),
	('hs_assoc_create(''contacts'', 101, ''companies'', 9002, ''{1,3}'', ''USER_DEFINED'')', 'pairs'),
	('hs_assoc_create(''contacts'', ''101'', ''companies'', ''9003'', labels => ''{Consultant}'')', 'pairs'),
	('hs_assoc_create(''contacts'', ''101'', ''companies'', ''9003'', labels => ''{Owner}'', keep_labels => true)', 'pairs'),
	('hs_assoc_batch_create_default(''contacts'', ''companies'', ''VALUES (201, 9001), (202, 9002)'')', 'pairs'),
	('hs_assoc_batch_create(''contacts'', ''companies'', ''VALUES (201, 9001, 1), (203, 9001, 279)'')', 'pairs'),
	('hs_assoc_batch_create(''contacts'', ''companies'', ''{"(202,9002,,,{Owner})"}''::hs_assoc_input[], keep_labels => true)', 'pairs'),
	('hs_assoc_list(''contacts'', ''101'', ''companies'')', NULL),
	('hs_assoc_list(''companies'', 9001, ''contacts'')', NULL),
	('hs_assoc_list(''contacts'', 999, ''companies'')', NULL),
	('hs_assoc_batch_read(''contacts'', ''companies'', ''{202,999,101}''::text[])', NULL),
	('hs_assoc_batch_read(''contacts'', ''companies'', ''VALUES (201)'')', NULL),
	('hs_assoc_batch_archive_labels(''contacts'', ''companies'', ''VALUES (101, 9001, 1)'')', 'pairs'),
	('hs_assoc_batch_archive_labels(''contacts'', ''companies'', ''{"(101,9002,,,{Owner})"}''::hs_assoc_input[])', 'pairs'),
	('hs_assoc_batch_archive(''contacts'', ''companies'', ''VALUES (101, 9001), (201, 9001), (101, 9002)'')', 'pairs'),
	('hs_assoc_batch_archive(''contacts'', ''companies'', ''{"(203,9001,,,)"}''::hs_assoc_input[])', 'pairs'),
	('hs_assoc_archive(''contacts'', ''101'', ''companies'', ''9003'')', 'pairs'),
	('hs_assoc_archive(''companies'', 9001, ''contacts'', 102)', 'pairs'),
	('hs_assoc_limit_create(''contacts'', ''companies'', ''HUBSPOT_DEFINED'', 279, 10)', 'limits'),
	('hs_assoc_limit_create(''contacts'', ''companies'', ''USER_DEFINED'', 1, 2)', 'limits'),
	('hs_assoc_limit_create(''deals'', ''companies'', ''HUBSPOT_DEFINED'', 341, 3)', 'limits'),
	('hs_assoc_limit_update(''contacts'', ''companies'', ''HUBSPOT_DEFINED'', 279, 20)', 'limits'),
	('hs_assoc_limits(''contacts'', ''companies'')', NULL),
	('hs_assoc_limits()', NULL),
	('hs_assoc_limit_purge(''contacts'', ''companies'', ''HUBSPOT_DEFINED'', 279)', 'limits'),
	('hs_assoc_high_usage_report(7)', NULL),
	('hs_assoc_label_delete(''contacts'', ''companies'', 3)', 'labels');
-- so that they are short above
UPDATE calls SET call = replace(call, '''VALUES', CASE
	WHEN call LIKE '%_batch_read(%' THEN '''WITH v (from_id) AS (VALUES'
	WHEN call LIKE '%_default(%' OR call LIKE '%_batch_archive(%' THEN '''WITH v (from_id, to_id) AS (VALUES'
	ELSE '''WITH v (from_id, to_id, type_id) AS (VALUES' END)
WHERE call LIKE '%''VALUES%';
UPDATE calls SET call = replace(call, ''')', ') TABLE v'')') WHERE call LIKE '%''WITH v%';

CREATE TABLE done (version text, n int, requests text, statuses int[], bodies text, answer text, holds text);

-- What the account holds of pairs, labels or limits
CREATE FUNCTION holds(what text) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
	CASE what
		WHEN 'pairs' THEN
			RETURN (SELECT coalesce(string_agg(format('%s-%s: %s', from_id, to_id, types), E'\n'), 'none')
				FROM sim.holds('contacts', 'companies'));
		WHEN 'labels' THEN
			RETURN (SELECT string_agg(format('%s: %s %s', types, type->>'typeId', type->>'label'), E'\n' ORDER BY n)
				FROM unnest('{contacts/companies,companies/contacts}'::text[]) WITH ORDINALITY AS t (types, n),
					LATERAL hs_assoc_request('GET', format('/crm/associations/2026-03/%s/labels', types)) AS reply,
					LATERAL jsonb_array_elements(reply.body->'results') AS type
				WHERE type->>'category' = 'USER_DEFINED');
		WHEN 'limits' THEN
			RETURN (SELECT coalesce(string_agg(format('%s=%s: %s', type->>'category', type->>'typeId',
					type->>'userEnforcedMaxToObjectIds'), E'\n'), 'none')
				FROM hs_assoc_request('GET', '/crm/associations/2026-03/definitions/configurations/all') AS reply,
					LATERAL jsonb_array_elements(reply.body->'results') AS type);
		ELSE
			RETURN NULL;
	END CASE;
END $$;

-- Do all of that in one version of the API.
CREATE PROCEDURE operate(version text)
LANGUAGE plpgsql AS $$
DECLARE
	this record;
	result done;
BEGIN
	CALL sim.forget();
	CALL sim.set('{"page_size": 2}');
	EXECUTE format('ALTER SERVER hubspot OPTIONS (SET api_version %L)', version);
	FOR this IN SELECT * FROM calls ORDER BY n LOOP
		result.version := version;
		result.n := this.n;
		EXECUTE 'SELECT string_agg(regexp_replace(to_jsonb(r)::text,
				''("(correlation_id|enqueue_time)": )"[^"]+"'', ''\1"(some)"'', ''g''), E''\n'')
			FROM ' || this.call || ' AS r' INTO result.answer;
		SELECT string_agg(r.request, E'\n' ORDER BY n), array_agg(status ORDER BY n), string_agg(body, E'\n' ORDER BY n)
		INTO result.requests, result.statuses, result.bodies
		FROM sim.requests() WITH ORDINALITY AS r (request, status, body, n);
		result.holds := holds(this.changes);
		CALL sim.forget_requests();
		INSERT INTO done VALUES (result.*);
	END LOOP;
END $$;

ALTER SERVER hubspot OPTIONS (ADD api_version '2026-03');
CALL operate('2026-03');
SELECT call, requests, statuses, bodies, answer, holds FROM done JOIN calls USING (n) ORDER BY n
\gx (format=unaligned)

--
-- The other versions have other paths, and answer to an archive or a new limit with another status
--
CALL operate('v4');
CALL operate('2025-09');
CALL operate('2026-09');
SELECT version, requests, statuses FROM done WHERE version = 'v4' ORDER BY n;
SELECT a.version, a.n, a.requests, a.statuses FROM done AS a JOIN done AS b ON b.version = '2026-03' AND a.n = b.n
WHERE a.version IN ('2025-09', '2026-09') AND
	(a.requests, a.statuses) IS DISTINCT FROM (replace(b.requests, '2026-03', a.version), b.statuses)
ORDER BY a.version, a.n;
-- for the rest, it is the same
SELECT version, count(*), count(bodies) AS with_bodies, count(answer) AS with_rows, count(holds) AS with_changes
FROM done GROUP BY version ORDER BY version;
SELECT a.version, a.n, a.bodies, a.answer, b.answer, a.holds, b.holds
FROM done AS a JOIN done AS b ON b.version = '2026-03' AND a.n = b.n
WHERE a.bodies IS DISTINCT FROM b.bodies OR a.holds IS DISTINCT FROM b.holds OR
	replace(a.answer, '"http_status": 204', '"http_status": 200') IS DISTINCT FROM
	replace(b.answer, '"http_status": 204', '"http_status": 200')
ORDER BY a.version, a.n;

--
-- Object types by their ids, and custom ones
--
CALL sim.forget();
ALTER SERVER hubspot OPTIONS (DROP api_version);
SELECT ok FROM hs_assoc_create_default('0-1', 1, '2-77', 5);
SELECT to_id, category, type_id, label FROM hs_assoc_list('0-1', 1, '2-77');
SELECT from_id, to_id, category, type_id, label FROM hs_assoc_batch_read('2-77', '0-1', '{5}'::text[]);
SELECT * FROM hs_assoc_labels('p1_machines', '0-1');
SELECT ok FROM hs_assoc_batch_archive('0-1', '2-77', '{"(1,5,,,)"}'::hs_assoc_input[]);
SELECT ok FROM hs_assoc_archive('2-77', 5, '0-1', 1);
SELECT request, status FROM sim.requests();
SELECT * FROM sim.holds('contacts', '2-77');

DROP TABLE calls, done;
DROP FUNCTION holds;
DROP PROCEDURE operate;
\set ECHO none
\i :end
