-- Recipe "Copy the associations of one account to another": send what is not
-- there yet.

CREATE TEMP TABLE todo AS
SELECT row_number() OVER (ORDER BY c.new_id, d.new_id, copy_no) AS input_no, copy_no,
	c.new_id AS from_id, d.new_id AS to_id, category,
	CASE WHEN category <> 'USER_DEFINED' THEN type_id END AS type_id,
	CASE WHEN category = 'USER_DEFINED' THEN label END AS label
FROM copied
	LEFT JOIN contact_ids c ON c.old_id = from_id
	LEFT JOIN company_ids d ON d.old_id = to_id
WHERE ok IS NOT TRUE AND to_id IS NOT NULL;

UPDATE copied
SET ok = r.ok, error_category = r.error_category, error_message = r.error_message, error = r.error
FROM hs_assoc_batch_create('contacts', 'companies',
		'SELECT from_id, to_id, category, type_id, label FROM todo ORDER BY input_no',
		keep_labels => true, server => 'hubspot_new') AS r
	JOIN todo USING (input_no)
WHERE copied.copy_no = todo.copy_no;

DROP TABLE todo;

SELECT CASE WHEN ok THEN 'copied' ELSE error_category END AS outcome, count(*),
	min(left(error_message, 69)) AS for_example
FROM copied GROUP BY outcome ORDER BY count(*) DESC, outcome;
