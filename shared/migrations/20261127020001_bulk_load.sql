-- migrate:up

-- A partition holds one generation, so its indexes need not name it: they are smaller, and made in less time.
DROP INDEX live_booking_account, live_booking_period;
CREATE INDEX live_booking_account ON live_booking (account, ends);
CREATE INDEX live_booking_period ON live_booking (pool, ends);

-- Makes the indexes of a bare generation's bookings. `complete_generation` takes them over when it adds its partition.
-- The table can be read meanwhile.
CREATE FUNCTION index_generation(indexed integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    made   text := 'live_booking_' || indexed;
    stated text;
BEGIN
    FOR stated IN
        SELECT pg_get_indexdef(indexrelid) FROM pg_index
        WHERE indrelid = 'live_booking'::regclass AND NOT indisprimary ORDER BY 1
    LOOP
        EXECUTE regexp_replace(stated, '^CREATE INDEX \S+ ON (ONLY )?\S+', format('CREATE INDEX ON %I', made));
    END LOOP;
END $$;

-- The checksum of each read model: the sum of the hashes of its rows. It names the partitions, so it can read those that
-- are no part of the read models yet; and all their columns, in the order of their names.
DROP FUNCTION checksum_generation;
CREATE FUNCTION checksum_generation(summed integer) RETURNS TABLE (model text, rows bigint, checksum numeric)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    columns text;
BEGIN
    FOREACH model IN ARRAY read_models() LOOP
        SELECT string_agg(format('%I', a.attname), ', ' ORDER BY a.attname) INTO columns
        FROM pg_attribute a
        WHERE a.attrelid = model::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'generation';
        EXECUTE format('SELECT count(*), coalesce(sum(hash_record_extended(ROW (%s), 0)), 0) FROM %I',
                       columns, model || '_' || summed) INTO rows, checksum;
        RETURN NEXT;
    END LOOP;
END $$;

-- migrate:down

DROP FUNCTION index_generation;
DROP FUNCTION checksum_generation;
CREATE FUNCTION checksum_generation(summed integer) RETURNS TABLE(model text, rows bigint, checksum numeric)
    LANGUAGE sql STABLE
    AS $$
    SELECT 'pool', count(*), coalesce(sum(hash_record_extended(
            ROW (pool, id, parent, project, name, kind, starts, ends, touched, beyond_hours, tentative, claimed,
                 masterflavor, mastercount, workerflavor, workercount, layout), 0)::numeric), 0)
        FROM pool WHERE generation = summed
    UNION ALL
    SELECT 'availability_hour', count(*), coalesce(sum(hash_record_extended(
            ROW (pool, hour, granted_servers, granted_cores, granted_memory, granted_tempdisc, granted_userdisc,
                 granted_datadisc, booked_servers, booked_cores, booked_memory, booked_tempdisc, booked_userdisc,
                 booked_datadisc, shares), 0)::numeric), 0)
        FROM availability_hour WHERE generation = summed
    UNION ALL
    SELECT 'short_hour', count(*), coalesce(sum(hash_record_extended(ROW (pool, hour), 0)::numeric), 0)
        FROM short_hour WHERE generation = summed
    UNION ALL
    SELECT 'live_grant', count(*), coalesce(sum(hash_record_extended(
            ROW (id, pool, starts, ends, servers, cores, memory, tempdisc, userdisc, datadisc, actor, source), 0)::numeric), 0)
        FROM live_grant WHERE generation = summed
    UNION ALL
    SELECT 'live_booking', count(*), coalesce(sum(hash_record_extended(
            ROW (id, pool, starts, ends, servers, cores, memory, tempdisc, userdisc, datadisc, actor, account, share,
                 tentative, created, claimed, segment, template, template_version, template_count, series, changed), 0)::numeric), 0)
        FROM live_booking WHERE generation = summed
    UNION ALL
    SELECT 'template', count(*), coalesce(sum(hash_record_extended(
            ROW (project, name, version, servers, cores, memory, tempdisc, userdisc, datadisc, actor, created), 0)::numeric), 0)
        FROM template WHERE generation = summed
    UNION ALL
    SELECT 'account', count(*), coalesce(sum(hash_record_extended(
            ROW (project, account, name, limits, closed, created), 0)::numeric), 0)
        FROM account WHERE generation = summed
    UNION ALL
    SELECT 'cluster_resize', count(*), coalesce(sum(hash_record_extended(
            ROW (pool, position, decided, request, state, starts, ends, servers, cores, memory, tempdisc, userdisc,
                 datadisc, masterflavor, mastercount, workerflavor, workercount, layout, lapsed, error, actor), 0)::numeric), 0)
        FROM cluster_resize WHERE generation = summed
    UNION ALL
    SELECT 'role', count(*), coalesce(sum(hash_record_extended(ROW (pool, member, role, granted, actor), 0)::numeric), 0)
        FROM role WHERE generation = summed
    UNION ALL
    SELECT 'account_member', count(*), coalesce(sum(hash_record_extended(
            ROW (project, account, member, added, actor), 0)::numeric), 0)
        FROM account_member WHERE generation = summed
    UNION ALL
    SELECT 'role_head', count(*), coalesce(sum(hash_record_extended(ROW (project, changed), 0)::numeric), 0)
        FROM role_head WHERE generation = summed
$$;

DROP INDEX live_booking_account, live_booking_period;
CREATE INDEX live_booking_account ON live_booking (generation, account, ends);
CREATE INDEX live_booking_period ON live_booking (generation, pool, ends);
