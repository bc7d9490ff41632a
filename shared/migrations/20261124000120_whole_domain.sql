-- migrate:up

-- Shares, in basis points, that are reserved in an hour: of each dimension ceil(granted * shares / 10000). It is worked
-- out where it is read, so it follows the size without a row being written again.
ALTER TABLE availability_hour ADD COLUMN shares bigint NOT NULL DEFAULT 0;

-- `beyond_hours` is the over-commit policy in force, NULL for never; a cluster without one of its own has its parent's.
-- `tentative` and `claimed` are of what a cluster takes of its parent: whether some hour has not got it, and the
-- position that the claim dates from. The four after them are the layout of a Magnum cluster, as it was decided last.
ALTER TABLE pool
    ADD COLUMN beyond_hours integer,
    ADD COLUMN tentative    boolean NOT NULL DEFAULT false,
    ADD COLUMN claimed      bigint  NOT NULL DEFAULT 0,
    ADD COLUMN masterflavor text,
    ADD COLUMN mastercount  bigint,
    ADD COLUMN workerflavor text,
    ADD COLUMN workercount  bigint;
CREATE INDEX pool_project ON pool (generation, project);

-- A booking that was amended after it had begun has a row for what it held before, and one for the rest: its segments.
-- `created` is the position of the booking, `claimed` that of the decision on this segment.
ALTER TABLE live_booking
    ADD COLUMN share            integer NOT NULL DEFAULT 0,
    ADD COLUMN tentative        boolean NOT NULL DEFAULT false,
    ADD COLUMN created          bigint  NOT NULL DEFAULT 0,
    ADD COLUMN claimed          bigint  NOT NULL DEFAULT 0,
    ADD COLUMN segment          integer NOT NULL DEFAULT 0,
    ADD COLUMN template         text,
    ADD COLUMN template_version integer,
    ADD COLUMN template_count   integer,
    ADD COLUMN series           uuid;
ALTER TABLE live_booking DROP CONSTRAINT live_booking_pkey, ADD PRIMARY KEY (generation, id, segment);
CREATE INDEX live_booking_account ON live_booking (generation, account, ends);

-- The hours of pools that may be over-committed in which some dimension has less than nothing. A table of its own and
-- not a partial index: an index whose condition names the counts would forbid every update of an hour to stay in its
-- page, also in the pools that never over-commit.
CREATE TABLE short_hour (
    generation integer     NOT NULL,
    pool       integer     NOT NULL,
    hour       timestamptz NOT NULL,
    PRIMARY KEY (generation, pool, hour)
) PARTITION BY LIST (generation);

-- Every version of every template.
CREATE TABLE template (
    generation integer NOT NULL,
    project    text    NOT NULL,
    name       text    NOT NULL,
    version    integer NOT NULL,
    servers    bigint  NOT NULL, cores    bigint NOT NULL, memory   bigint NOT NULL,
    tempdisc   bigint  NOT NULL, userdisc bigint NOT NULL, datadisc bigint NOT NULL,
    actor      text    NOT NULL,
    created    bigint  NOT NULL,
    PRIMARY KEY (generation, project, name, version)
) PARTITION BY LIST (generation);

-- The accounts that projects list; `limits` as they stand.
CREATE TABLE account (
    generation integer NOT NULL,
    project    text    NOT NULL,
    account    text    NOT NULL,
    name       text    NOT NULL,
    limits     jsonb   NOT NULL,
    closed     boolean NOT NULL,
    created    bigint  NOT NULL,
    PRIMARY KEY (generation, project, account)
) PARTITION BY LIST (generation);

-- The resizes of each cluster in the order in which they were asked for: requested, applied or failed. `position` is
-- where the row began, `decided` where it got its state; `request` is NULL for one that was applied at once.
CREATE TABLE cluster_resize (
    generation   integer     NOT NULL,
    pool         integer     NOT NULL,
    position     bigint      NOT NULL,
    decided      bigint      NOT NULL,
    request      uuid,
    state        text        NOT NULL,
    starts       timestamptz NOT NULL,
    ends         timestamptz NOT NULL,
    servers      bigint NOT NULL, cores    bigint NOT NULL, memory   bigint NOT NULL,
    tempdisc     bigint NOT NULL, userdisc bigint NOT NULL, datadisc bigint NOT NULL,
    masterflavor text,
    mastercount  bigint,
    workerflavor text,
    workercount  bigint,
    lapsed       boolean     NOT NULL,
    error        text,
    actor        text        NOT NULL,
    PRIMARY KEY (generation, pool, position)
) PARTITION BY LIST (generation);
CREATE INDEX cluster_resize_request ON cluster_resize (generation, request) WHERE request IS NOT NULL;

CREATE FUNCTION read_models() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['pool', 'availability_hour', 'short_hour', 'live_grant', 'live_booking', 'template', 'account',
                 'cluster_resize']
$$;

CREATE OR REPLACE FUNCTION create_generation() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    made  integer;
    model text;
BEGIN
    LOCK TABLE generation IN SHARE ROW EXCLUSIVE MODE;
    SELECT coalesce(max(generation), 0) + 1 INTO made FROM generation;
    INSERT INTO generation (generation) VALUES (made);
    FOREACH model IN ARRAY read_models() LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES IN (%s)', model || '_' || made, model, made);
    END LOOP;
    -- An hour's row is updated many times: room in the page keeps its new version beside the old one.
    EXECUTE format('ALTER TABLE %I SET (fillfactor = 70)', 'availability_hour_' || made);
    RETURN made;
END $$;

CREATE OR REPLACE FUNCTION drop_generation(dropped integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    model text;
BEGIN
    DELETE FROM generation WHERE generation = dropped AND NOT live;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'generation % is live or unknown, and is not dropped', dropped;
    END IF;
    FOREACH model IN ARRAY read_models() LOOP
        EXECUTE format('DROP TABLE %I', model || '_' || dropped);
    END LOOP;
END $$;

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

-- The generations that there are get the new models, and in the old ones what the history says: none of its events can
-- be of a kind that this migration brings, but clusters have been resized, and all claims have a position.
DO $$
DECLARE
    made  integer;
    model text;
BEGIN
    FOR made IN SELECT generation FROM generation LOOP
        FOREACH model IN ARRAY ARRAY['short_hour', 'template', 'account', 'cluster_resize'] LOOP
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES IN (%s)', model || '_' || made, model, made);
        END LOOP;
    END LOOP;
END $$;

UPDATE live_booking b SET created = e.position, claimed = e.position
FROM event e WHERE e.command_id = b.id AND e.ordinal = 0;

UPDATE pool p SET claimed = e.position
FROM event e
WHERE e.stream = p.project AND e.type IN ('ProjectCreated', 'ClusterCreated')
    AND p.id = CASE e.type WHEN 'ProjectCreated' THEN e.stream
                           ELSE convert_from(e.data, 'UTF8')::jsonb ->> 'cluster' END;

INSERT INTO cluster_resize
SELECT p.generation, p.pool, e.position, e.position, NULL, 'applied',
    (e.told ->> 'start')::timestamptz, (e.told ->> 'end')::timestamptz,
    coalesce((e.told -> 'capacity' ->> 'servers')::bigint, 0), coalesce((e.told -> 'capacity' ->> 'cores')::bigint, 0),
    coalesce((e.told -> 'capacity' ->> 'memory')::bigint, 0), coalesce((e.told -> 'capacity' ->> 'tempdisc')::bigint, 0),
    coalesce((e.told -> 'capacity' ->> 'userdisc')::bigint, 0), coalesce((e.told -> 'capacity' ->> 'datadisc')::bigint, 0),
    NULL, NULL, NULL, NULL, false, NULL, e.told ->> 'actor'
FROM generation g
JOIN pool p ON p.generation = g.generation
JOIN (
    SELECT position, stream, convert_from(data, 'UTF8')::jsonb AS told FROM event WHERE type = 'ClusterResized'
) e ON e.stream = p.project AND e.told ->> 'cluster' = p.id AND e.position <= g.position;

-- A claim without a position can only be a fault from here on.
ALTER TABLE pool ALTER COLUMN claimed DROP DEFAULT;
ALTER TABLE live_booking ALTER COLUMN created DROP DEFAULT, ALTER COLUMN claimed DROP DEFAULT;

-- migrate:down

DROP FUNCTION read_models;
DROP TABLE short_hour, template, account, cluster_resize;
ALTER TABLE live_booking DROP CONSTRAINT live_booking_pkey;
DROP INDEX live_booking_account, pool_project;
ALTER TABLE live_booking
    DROP COLUMN share, DROP COLUMN tentative, DROP COLUMN created, DROP COLUMN claimed, DROP COLUMN segment,
    DROP COLUMN template, DROP COLUMN template_version, DROP COLUMN template_count, DROP COLUMN series,
    ADD PRIMARY KEY (generation, id);
ALTER TABLE pool
    DROP COLUMN beyond_hours, DROP COLUMN tentative, DROP COLUMN claimed, DROP COLUMN masterflavor,
    DROP COLUMN mastercount, DROP COLUMN workerflavor, DROP COLUMN workercount;
ALTER TABLE availability_hour DROP COLUMN shares;

CREATE OR REPLACE FUNCTION create_generation() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    made  integer;
    model text;
BEGIN
    LOCK TABLE generation IN SHARE ROW EXCLUSIVE MODE;
    SELECT coalesce(max(generation), 0) + 1 INTO made FROM generation;
    INSERT INTO generation (generation) VALUES (made);
    FOREACH model IN ARRAY ARRAY['pool', 'availability_hour', 'live_grant', 'live_booking'] LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES IN (%s)', model || '_' || made, model, made);
    END LOOP;
    EXECUTE format('ALTER TABLE %I SET (fillfactor = 70)', 'availability_hour_' || made);
    RETURN made;
END $$;

CREATE OR REPLACE FUNCTION drop_generation(dropped integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    model text;
BEGIN
    DELETE FROM generation WHERE generation = dropped AND NOT live;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'generation % is live or unknown, and is not dropped', dropped;
    END IF;
    FOREACH model IN ARRAY ARRAY['pool', 'availability_hour', 'live_grant', 'live_booking'] LOOP
        EXECUTE format('DROP TABLE %I', model || '_' || dropped);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION checksum_generation(summed integer)
RETURNS TABLE (model text, rows bigint, checksum numeric) LANGUAGE sql STABLE AS $$
    SELECT 'pool', count(*), coalesce(sum(hash_record_extended(
            ROW (pool, id, parent, project, name, kind, starts, ends, touched), 0)::numeric), 0)
        FROM pool WHERE generation = summed
    UNION ALL
    SELECT 'availability_hour', count(*), coalesce(sum(hash_record_extended(
            ROW (pool, hour, granted_servers, granted_cores, granted_memory, granted_tempdisc, granted_userdisc,
                 granted_datadisc, booked_servers, booked_cores, booked_memory, booked_tempdisc, booked_userdisc,
                 booked_datadisc), 0)::numeric), 0)
        FROM availability_hour WHERE generation = summed
    UNION ALL
    SELECT 'live_grant', count(*), coalesce(sum(hash_record_extended(
            ROW (id, pool, starts, ends, servers, cores, memory, tempdisc, userdisc, datadisc, actor, source), 0)::numeric), 0)
        FROM live_grant WHERE generation = summed
    UNION ALL
    SELECT 'live_booking', count(*), coalesce(sum(hash_record_extended(
            ROW (id, pool, starts, ends, servers, cores, memory, tempdisc, userdisc, datadisc, actor, account), 0)::numeric), 0)
        FROM live_booking WHERE generation = summed
$$;
