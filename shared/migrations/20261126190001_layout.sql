-- migrate:up

-- The layout of a cluster as the event has it, if it says more than the four columns for masters and workers: the size of
-- a node, and further groups. Events before this migration say no more than these four.
ALTER TABLE pool ADD COLUMN layout jsonb;
ALTER TABLE cluster_resize ADD COLUMN layout jsonb;
ALTER TABLE past_pool ADD COLUMN layout jsonb;
ALTER TABLE past_resize ADD COLUMN layout jsonb;

CREATE OR REPLACE VIEW past.pool AS
SELECT 0 AS generation, pool, id, parent, project, name, kind, starts, ends,
    current_setting('hourbook.position')::bigint AS touched, beyond_hours, tentative, claimed,
    masterflavor, mastercount, workerflavor, workercount, layout
FROM public.past_pool
WHERE since <= current_setting('hourbook.position')::bigint AND until > current_setting('hourbook.position')::bigint;

CREATE OR REPLACE VIEW past.cluster_resize AS
SELECT 0 AS generation, pool, position, decided, request, state, starts, ends,
    servers, cores, memory, tempdisc, userdisc, datadisc, masterflavor, mastercount, workerflavor, workercount,
    lapsed, error, actor, layout
FROM public.past_resize
WHERE since <= current_setting('hourbook.position')::bigint AND until > current_setting('hourbook.position')::bigint;

CREATE OR REPLACE FUNCTION checksum_generation(summed integer)
RETURNS TABLE (model text, rows bigint, checksum numeric) LANGUAGE sql STABLE AS $$
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

-- migrate:down

CREATE OR REPLACE FUNCTION checksum_generation(summed integer)
RETURNS TABLE (model text, rows bigint, checksum numeric) LANGUAGE sql STABLE AS $$
    SELECT 'pool', count(*), coalesce(sum(hash_record_extended(
            ROW (pool, id, parent, project, name, kind, starts, ends, touched, beyond_hours, tentative, claimed,
                 masterflavor, mastercount, workerflavor, workercount), 0)::numeric), 0)
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
                 datadisc, masterflavor, mastercount, workerflavor, workercount, lapsed, error, actor), 0)::numeric), 0)
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

DROP VIEW past.pool, past.cluster_resize;
ALTER TABLE pool DROP COLUMN layout;
ALTER TABLE cluster_resize DROP COLUMN layout;
ALTER TABLE past_pool DROP COLUMN layout;
ALTER TABLE past_resize DROP COLUMN layout;

CREATE VIEW past.pool AS
SELECT 0 AS generation, pool, id, parent, project, name, kind, starts, ends,
    current_setting('hourbook.position')::bigint AS touched, beyond_hours, tentative, claimed,
    masterflavor, mastercount, workerflavor, workercount
FROM public.past_pool
WHERE since <= current_setting('hourbook.position')::bigint AND until > current_setting('hourbook.position')::bigint;

CREATE VIEW past.cluster_resize AS
SELECT 0 AS generation, pool, position, decided, request, state, starts, ends,
    servers, cores, memory, tempdisc, userdisc, datadisc, masterflavor, mastercount, workerflavor, workercount,
    lapsed, error, actor
FROM public.past_resize
WHERE since <= current_setting('hourbook.position')::bigint AND until > current_setting('hourbook.position')::bigint;
