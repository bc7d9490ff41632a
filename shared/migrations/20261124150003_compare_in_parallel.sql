-- migrate:up

-- Compares two generations of the read models, every one of them, cell by cell: how many cells there are, how many
-- differ, and the first few rows that do. A row that only one side has differs in all its cells. The counts need no order
-- and can be summed by several processes; rows are shown only when some differ. Each generation's own tables are read,
-- so one may be compared that is not complete.
CREATE OR REPLACE FUNCTION compare_generations(one integer, other integer)
RETURNS TABLE (model text, cells bigint, different bigint, examples text[]) LANGUAGE plpgsql STABLE AS $$
DECLARE
    keys   text;
    counts text;
    width  integer;
    joined text;
BEGIN
    FOREACH model IN ARRAY read_models() LOOP
        SELECT string_agg(format('%I', a.attname), ', ') INTO keys
        FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
        WHERE i.indrelid = model::regclass AND i.indisprimary AND a.attname <> 'generation';
        SELECT count(*), string_agg(format('(l.%1$I IS DISTINCT FROM r.%1$I)::integer', a.attname), ' + ') INTO width, counts
        FROM pg_attribute a
        WHERE a.attrelid = model::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'generation';
        counts := format('CASE WHEN l.generation IS NULL OR r.generation IS NULL THEN %s ELSE %s END', width, counts);
        joined := format('%I l FULL JOIN %I r USING (%s)', model || '_' || one, model || '_' || other, keys);
        EXECUTE format('SELECT count(*) * %s, coalesce(sum(%s), 0) FROM %s', width, counts, joined) INTO cells, different;
        examples := NULL;
        IF different > 0 THEN
            EXECUTE format(
                'SELECT array_agg(example ORDER BY example) FROM (
                    SELECT coalesce(to_jsonb(l) - ''generation'', ''null'')::text || '' <> ''
                        || coalesce(to_jsonb(r) - ''generation'', ''null'')::text AS example
                    FROM %s WHERE %s > 0 ORDER BY 1 LIMIT 3
                ) first', joined, counts) INTO examples;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;

-- migrate:down

CREATE OR REPLACE FUNCTION compare_generations(one integer, other integer)
RETURNS TABLE (model text, cells bigint, different bigint, examples text[]) LANGUAGE plpgsql STABLE AS $$
DECLARE
    keys   text;
    counts text;
    width  integer;
BEGIN
    FOR model IN
        SELECT parent.relname FROM pg_inherits i
        JOIN pg_class child ON child.oid = i.inhrelid JOIN pg_class parent ON parent.oid = i.inhparent
        WHERE child.relname = parent.relname || '_' || one AND parent.relkind = 'p'
        ORDER BY parent.relname
    LOOP
        SELECT string_agg(format('%I', a.attname), ', ') INTO keys
        FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
        WHERE i.indrelid = model::regclass AND i.indisprimary AND a.attname <> 'generation';
        SELECT count(*), string_agg(format('(l.%1$I IS DISTINCT FROM r.%1$I)::integer', a.attname), ' + ') INTO width, counts
        FROM pg_attribute a
        WHERE a.attrelid = model::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'generation';
        RETURN QUERY EXECUTE format(
            'SELECT %1$L::text, coalesce(sum(%2$s), 0)::bigint, coalesce(sum(d), 0)::bigint,
                    (array_agg(example ORDER BY example) FILTER (WHERE d > 0))[1:3]
             FROM (
                SELECT n AS d, CASE WHEN n > 0 THEN coalesce(to_jsonb(l) - ''generation'', ''null'')::text || '' <> ''
                                 || coalesce(to_jsonb(r) - ''generation'', ''null'')::text END AS example
                FROM (SELECT * FROM %1$I WHERE generation = %3$s) l
                FULL JOIN (SELECT * FROM %1$I WHERE generation = %4$s) r USING (%5$s)
                CROSS JOIN LATERAL (SELECT CASE WHEN l.generation IS NULL OR r.generation IS NULL THEN %2$s ELSE %6$s END) c (n)
             ) compared',
            model, width, one, other, keys, counts);
    END LOOP;
END $$;
