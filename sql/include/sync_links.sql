-- Recipe "Make HubSpot hold what a table says": one run.

DROP TABLE IF EXISTS held, changes;
CREATE TEMP TABLE held AS
SELECT from_id AS contact_id, to_id AS company_id, error_category, error_message
FROM hs_assoc_batch_read('contacts', 'companies', 'SELECT contact_id AS from_id FROM contacts');

CREATE TEMP TABLE changes AS
SELECT CASE WHEN w.contact_id IS NULL THEN 'remove' ELSE 'create' END AS action,
	contact_id, company_id
FROM (SELECT DISTINCT contact_id, company_id FROM held WHERE company_id IS NOT NULL) AS h
	FULL JOIN wanted_links AS w USING (contact_id, company_id)
WHERE (h.contact_id IS NULL OR w.contact_id IS NULL)
	-- who could not be read, or not to the end, is left alone
	AND NOT EXISTS (SELECT FROM held
					WHERE held.contact_id = coalesce(h.contact_id, w.contact_id)
						AND held.company_id IS NULL);

SELECT action, count(*) FROM changes GROUP BY action ORDER BY action;

WITH done AS (
	INSERT INTO link_changes (action, contact_id, company_id, ok, error_category, error_message)
	SELECT 'read', contact_id, company_id, false, error_category, error_message
	FROM held WHERE company_id IS NULL
	UNION ALL
	SELECT 'remove', from_id, to_id, ok, error_category, error_message
	FROM hs_assoc_batch_archive('contacts', 'companies',
			$$ SELECT contact_id AS from_id, company_id AS to_id
			   FROM changes WHERE action = 'remove' $$)
	UNION ALL
	SELECT 'create', from_id, to_id, ok, error_category, error_message
	FROM hs_assoc_batch_create_default('contacts', 'companies',
			$$ SELECT contact_id AS from_id, company_id AS to_id
			   FROM changes WHERE action = 'create' $$)
	RETURNING action, ok)
SELECT action, count(*) FILTER (WHERE ok) AS done, count(*) FILTER (WHERE NOT ok) AS failed
FROM done GROUP BY action ORDER BY action;
