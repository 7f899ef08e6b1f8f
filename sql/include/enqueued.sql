-- What the tests of syncs look at.

-- What is in the outbox, and no longer: a row for each run of the same
-- operation, in their order.
CREATE FUNCTION enqueued(OUT operation text, OUT pairs text) RETURNS SETOF record
LANGUAGE sql AS $$
	WITH gone AS (
		DELETE FROM hs_assoc_outbox RETURNING *
	), kinds AS (
		SELECT id, from_id || '>' || to_id AS pair,
			concat_ws(' ', gone.operation, link_table, from_type || '>' || to_type, server,
				'types ' || type_ids::text, category, 'labels ' || labels::text,
				CASE WHEN keep_labels THEN 'keep' END) AS kind
		FROM gone
	), runs AS (
		SELECT *, row_number() OVER (ORDER BY id) - row_number() OVER (PARTITION BY kind ORDER BY id) AS run
		FROM kinds
	)
	SELECT kind, string_agg(pair, ' ' ORDER BY length(pair), pair) FROM runs GROUP BY kind, run ORDER BY min(id)
$$;

\set ECHO all
