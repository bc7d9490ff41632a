-- migrate:up

-- The read models are kept in generations. One is live; a rebuild fills another beside it and takes its place in one
-- transaction. `position` is the last event that the rows account for, and moves in the same transaction as they do.
CREATE TABLE generation (
    generation      integer     NOT NULL PRIMARY KEY,
    live            boolean     NOT NULL DEFAULT false,
    position        bigint      NOT NULL DEFAULT 0,
    moved_at        timestamptz NOT NULL DEFAULT now(),
    parked_position bigint,
    parked_error    text
);
CREATE UNIQUE INDEX generation_live ON generation (live) WHERE live;

-- The tree of pools, numbered in the order in which they were created. `touched` is the last position that changed
-- anything about the pool: while it stands still, so do all answers about it.
CREATE TABLE pool (
    generation integer NOT NULL,
    pool       integer NOT NULL,
    id         text    NOT NULL,
    parent     integer,
    project    text    NOT NULL,
    name       text    NOT NULL,
    kind       text    NOT NULL,
    starts     timestamptz,
    ends       timestamptz,
    touched    bigint  NOT NULL,
    PRIMARY KEY (generation, pool),
    UNIQUE (generation, id)
) PARTITION BY LIST (generation);

-- One row for every hour that an event has named, a pool. Available is granted less booked; a cluster's size is what
-- is granted to it, and is booked in its parent.
CREATE TABLE availability_hour (
    generation       integer     NOT NULL,
    pool             integer     NOT NULL,
    hour             timestamptz NOT NULL,
    granted_servers  bigint NOT NULL, granted_cores    bigint NOT NULL, granted_memory   bigint NOT NULL,
    granted_tempdisc bigint NOT NULL, granted_userdisc bigint NOT NULL, granted_datadisc bigint NOT NULL,
    booked_servers   bigint NOT NULL, booked_cores     bigint NOT NULL, booked_memory    bigint NOT NULL,
    booked_tempdisc  bigint NOT NULL, booked_userdisc  bigint NOT NULL, booked_datadisc  bigint NOT NULL,
    PRIMARY KEY (generation, pool, hour)
) PARTITION BY LIST (generation);

-- What is left of each grant and booking: a cancel moves `ends`, and removes the row when nothing is left.
CREATE TABLE live_grant (
    generation integer     NOT NULL,
    id         uuid        NOT NULL,
    pool       integer     NOT NULL,
    starts     timestamptz NOT NULL,
    ends       timestamptz NOT NULL,
    servers    bigint NOT NULL, cores    bigint NOT NULL, memory   bigint NOT NULL,
    tempdisc   bigint NOT NULL, userdisc bigint NOT NULL, datadisc bigint NOT NULL,
    actor      text        NOT NULL,
    source     text,
    PRIMARY KEY (generation, id)
) PARTITION BY LIST (generation);
CREATE INDEX live_grant_period ON live_grant (generation, pool, ends);

CREATE TABLE live_booking (
    generation integer     NOT NULL,
    id         uuid        NOT NULL,
    pool       integer     NOT NULL,
    starts     timestamptz NOT NULL,
    ends       timestamptz NOT NULL,
    servers    bigint NOT NULL, cores    bigint NOT NULL, memory   bigint NOT NULL,
    tempdisc   bigint NOT NULL, userdisc bigint NOT NULL, datadisc bigint NOT NULL,
    actor      text        NOT NULL,
    account    text        NOT NULL,
    PRIMARY KEY (generation, id)
) PARTITION BY LIST (generation);
CREATE INDEX live_booking_period ON live_booking (generation, pool, ends);

-- Makes an empty generation with a partition of every read model, and answers its number.
CREATE FUNCTION create_generation() RETURNS integer LANGUAGE plpgsql AS $$
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
    -- An hour's row is updated many times: room in the page keeps its new version beside the old one.
    EXECUTE format('ALTER TABLE %I SET (fillfactor = 70)', 'availability_hour_' || made);
    RETURN made;
END $$;

-- Drops a generation that is not live; refuses one that is.
CREATE FUNCTION drop_generation(dropped integer) RETURNS void LANGUAGE plpgsql AS $$
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

-- A figure that is the same for the same rows, in whatever order, and another for others.
CREATE FUNCTION checksum_generation(summed integer) RETURNS TABLE (model text, rows bigint, checksum numeric)
LANGUAGE sql STABLE AS $$
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

SELECT create_generation();
UPDATE generation SET live = true;

-- migrate:down

DROP FUNCTION create_generation, drop_generation, checksum_generation;
DROP TABLE live_booking, live_grant, availability_hour, pool, generation;
