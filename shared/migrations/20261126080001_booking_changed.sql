-- migrate:up

-- Where a segment was changed last since the claim: confirmed, contested, or cut by an amendment, a cancellation or a
-- lapse; NULL where nothing has. So a calendar program sees that it is another than before.
ALTER TABLE live_booking ADD COLUMN changed bigint;

-- What the history says of those that there are. An amendment makes the next segment, or this one anew, and then it is
-- claimed there: the first one after the claim is the last event that changed this one.
WITH told AS MATERIALIZED (
    SELECT position, type, (convert_from(data, 'UTF8')::jsonb ->> 'booking')::uuid AS booking FROM event
    WHERE type IN ('BookingAmended', 'BookingCancelled', 'BookingLapsed', 'BookingConfirmed', 'BookingContested')
), last AS (
    SELECT b.generation, b.id, b.segment,
        coalesce(min(told.position) FILTER (WHERE told.type = 'BookingAmended'), max(told.position)) AS position
    FROM told JOIN live_booking b ON b.id = told.booking AND told.position > b.claimed
    JOIN generation g ON g.generation = b.generation AND told.position <= g.position
    GROUP BY b.generation, b.id, b.segment
)
UPDATE live_booking b SET changed = last.position FROM last
WHERE b.generation = last.generation AND b.id = last.id AND b.segment = last.segment;

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
                 tentative, created, claimed, segment, template, template_version, template_count, series), 0)::numeric), 0)
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
$$;

ALTER TABLE live_booking DROP COLUMN changed;
