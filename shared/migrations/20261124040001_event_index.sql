-- migrate:up

-- What each event is about, for finding it. It is derived from the events and filled a moment after them, so that an
-- append pays for none of these indexes; what it does not hold yet is looked for in the events themselves. `at` need not
-- grow with the positions, for clocks differ; `at_max` is the latest until there, and does.
CREATE TABLE event_index (
    position bigint NOT NULL PRIMARY KEY,
    at       timestamptz,
    at_max   timestamptz NOT NULL,
    project  text   NOT NULL,
    type     text   NOT NULL,
    actor    text,
    account  text,
    pool     text   NOT NULL,
    entity   text   NOT NULL
);
CREATE INDEX event_index_project ON event_index (project, position);
CREATE INDEX event_index_type    ON event_index (type, position);
CREATE INDEX event_index_actor   ON event_index (actor, position);
CREATE INDEX event_index_account ON event_index (account, position) WHERE account IS NOT NULL;
CREATE INDEX event_index_pool    ON event_index (pool, position);
CREATE INDEX event_index_entity  ON event_index (entity, position);

CREATE TABLE event_index_head (
    only_row boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (only_row),
    position bigint  NOT NULL
);
INSERT INTO event_index_head (position) VALUES (0);

-- What is stored, where it is JSON and an instant; else nothing, for the index must not stop at what a reader cannot use.
CREATE FUNCTION stored_json(data bytea) RETURNS json LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN convert_from(data, 'UTF8')::json;
EXCEPTION WHEN data_exception THEN
    RETURN '{}';
END $$;

CREATE FUNCTION stored_instant(at text) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN at::timestamptz;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END $$;

-- The rows of event_index for the events between two positions, both excluded. `pool` is the pool that the event names,
-- or the project; `entity` the booking, grant or cluster, or the project; `account` that of the booking, which an event
-- that ends one does not repeat. An event that is no JSON is there all the same, found by project, type and position.
CREATE FUNCTION described_events(low bigint, high bigint) RETURNS SETOF event_index
LANGUAGE sql STABLE SET enable_seqscan = off SET jit = off AS $$
    WITH parsed AS MATERIALIZED (
        SELECT e.position, e.stream, e.type, stored_instant(d.at) AS at, d.actor, d.account, d.pool, d.cluster, d.booking, d."grant"
        FROM event e, LATERAL json_to_record(stored_json(e.data))
            AS d (at text, actor text, account text, pool text, cluster text, booking text, "grant" text)
        WHERE e.position > low AND e.position < high
    ), made AS (
        SELECT booking, min(account) AS account FROM parsed WHERE booking IS NOT NULL GROUP BY booking
    )
    SELECT p.position, p.at,
        greatest((SELECT i.at_max FROM event_index i WHERE i.position <= low ORDER BY i.position DESC LIMIT 1),
            max(p.at) OVER (ORDER BY p.position), '-infinity'),
        p.stream, p.type, p.actor,
        coalesce(p.account, made.account, (
            SELECT i.account FROM event_index i WHERE i.entity = p.booking AND i.account IS NOT NULL LIMIT 1)),
        coalesce(p.pool, p.cluster, p.stream),
        coalesce(p.booking, p."grant", p.cluster, p.stream)
    FROM parsed p LEFT JOIN made ON made.booking = p.booking
    ORDER BY p.position
$$;

-- Indexes the next events, so many at most, and answers how many there were. One at a time does it: others wait.
CREATE FUNCTION index_events(count_max bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    low     bigint;
    indexed bigint;
BEGIN
    SELECT position INTO low FROM event_index_head FOR UPDATE;
    INSERT INTO event_index SELECT * FROM described_events(low, low + count_max + 1);
    GET DIAGNOSTICS indexed = ROW_COUNT;
    UPDATE event_index_head SET position = low + indexed WHERE indexed > 0;
    RETURN indexed;
END $$;

-- migrate:down

DROP FUNCTION index_events, described_events, stored_instant, stored_json;
DROP TABLE event_index_head, event_index;
