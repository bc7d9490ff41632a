-- migrate:up

-- Who has which role on which pool, and inside it. Pools are compared byte by byte, so that those inside a cluster lie
-- together. `granted` is a position.
CREATE TABLE role (
    generation integer NOT NULL,
    pool       text COLLATE "C" NOT NULL,
    member     text    NOT NULL,
    role       text    NOT NULL,
    granted    bigint  NOT NULL,
    actor      text    NOT NULL,
    PRIMARY KEY (generation, pool, member, role)
) PARTITION BY LIST (generation);

-- Who belongs to which account. `added` is a position.
CREATE TABLE account_member (
    generation integer NOT NULL,
    project    text    NOT NULL,
    account    text    NOT NULL,
    member     text    NOT NULL,
    added      bigint  NOT NULL,
    actor      text    NOT NULL,
    PRIMARY KEY (generation, project, account, member)
) PARTITION BY LIST (generation);

-- The position of the last event that changed a role or a member of an account, by project.
CREATE TABLE role_head (
    generation integer NOT NULL,
    project    text    NOT NULL,
    changed    bigint  NOT NULL,
    PRIMARY KEY (generation, project)
) PARTITION BY LIST (generation);
CREATE INDEX role_head_changed ON role_head (generation, changed);

-- The greatest `changed` of the generation.
ALTER TABLE generation ADD COLUMN roles_changed bigint NOT NULL DEFAULT 0;

-- Their versions, for reads with as_of.
CREATE TABLE past_role (
    since bigint NOT NULL, until bigint NOT NULL DEFAULT 9223372036854775807,
    pool text COLLATE "C" NOT NULL, member text NOT NULL, role text NOT NULL, granted bigint NOT NULL,
    actor text NOT NULL,
    PRIMARY KEY (pool, member, role, since)
);
CREATE TABLE past_account_member (
    since bigint NOT NULL, until bigint NOT NULL DEFAULT 9223372036854775807,
    project text NOT NULL, account text NOT NULL, member text NOT NULL, added bigint NOT NULL, actor text NOT NULL,
    PRIMARY KEY (project, account, member, since)
);

CREATE OR REPLACE FUNCTION read_models() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['pool', 'availability_hour', 'short_hour', 'live_grant', 'live_booking', 'template', 'account',
                 'cluster_resize', 'role', 'account_member', 'role_head']
$$;

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

-- The generations that there are get the new tables. They are empty: no event before this migration is of such a kind.
DO $$
DECLARE
    made  integer;
    model text;
BEGIN
    FOR made IN SELECT generation FROM generation LOOP
        FOREACH model IN ARRAY ARRAY['role', 'account_member', 'role_head'] LOOP
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES IN (%s)', model || '_' || made, model, made);
        END LOOP;
    END LOOP;
END $$;

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
$$;

CREATE OR REPLACE FUNCTION read_models() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['pool', 'availability_hour', 'short_hour', 'live_grant', 'live_booking', 'template', 'account',
                 'cluster_resize']
$$;

ALTER TABLE generation DROP COLUMN roles_changed;
DROP TABLE past_account_member, past_role, role_head, account_member, role;
