-- migrate:up

-- One row an event, for ever. `data` is the event as it was decided; it is never encoded again.
CREATE TABLE event (
    position     bigint      NOT NULL PRIMARY KEY,
    stream       text        NOT NULL,
    version      bigint      NOT NULL,
    command_id   uuid        NOT NULL,
    request_id   uuid,
    ordinal      smallint    NOT NULL,
    request_hash bytea       NOT NULL,
    type         text        NOT NULL,
    data         bytea       NOT NULL,
    UNIQUE (stream, version),
    UNIQUE (command_id, ordinal)
);

-- `request_id` stands for what the client sent as Idempotency-Key, if anything; who sends none pays nothing.
CREATE UNIQUE INDEX event_request ON event (request_id, ordinal) WHERE request_id IS NOT NULL;

-- The last position handed out. A counter row and not a sequence: a sequence leaves holes and commits out of order.
CREATE TABLE event_head (
    only_row boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (only_row),
    position bigint  NOT NULL
);
INSERT INTO event_head (position) VALUES (0);

CREATE TABLE stream_head (
    stream  text   NOT NULL PRIMARY KEY,
    version bigint NOT NULL
);

-- Not history, only a way not to read it all: the state of a stream at a version.
CREATE TABLE snapshot (
    stream   text   NOT NULL PRIMARY KEY,
    version  bigint NOT NULL,
    position bigint NOT NULL,
    state    bytea  NOT NULL
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are immutable: % of % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER event_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Appends the events of many commands, all or none, and answers what became of them:
--   stored     first_position is the position of the first event
--   duplicate  some command id is stored already; nothing was appended
--   conflict   some stream is not at the version expected of it; nothing was appended
-- The advisory lock makes commit order and position order the same: who holds it has seen every earlier append.
CREATE FUNCTION append_events(
    streams text[], expected bigint[], appended bigint[],
    event_streams text[], versions bigint[], command_ids uuid[], ordinals smallint[],
    request_ids uuid[], request_hashes bytea[], types text[], datas bytea[],
    OUT outcome text, OUT first_position bigint
) LANGUAGE plpgsql AS $$
DECLARE
    count_new bigint := cardinality(datas);
BEGIN
    first_position := 0;
    IF count_new > 0 THEN
        PERFORM pg_advisory_xact_lock(7310579630513578615);
    END IF;
    IF EXISTS (SELECT FROM event e WHERE e.command_id = ANY (command_ids))
        OR EXISTS (SELECT FROM event e WHERE e.request_id = ANY (request_ids)) THEN
        outcome := 'duplicate';
        RETURN;
    END IF;
    IF EXISTS (
        SELECT FROM unnest(streams, expected) AS want (stream, version)
        LEFT JOIN stream_head h ON h.stream = want.stream
        WHERE coalesce(h.version, 0) <> want.version
    ) THEN
        outcome := 'conflict';
        RETURN;
    END IF;
    outcome := 'stored';
    IF count_new = 0 THEN
        RETURN;
    END IF;
    INSERT INTO stream_head (stream, version)
        SELECT s, e + a FROM unnest(streams, expected, appended) AS t (s, e, a) WHERE a > 0
        ON CONFLICT (stream) DO UPDATE SET version = excluded.version;
    UPDATE event_head SET position = position + count_new RETURNING position - count_new + 1 INTO first_position;
    INSERT INTO event (position, stream, version, command_id, ordinal, request_id, request_hash, type, data)
        SELECT first_position + n - 1, s, v, c, o, r, h, t, d
        FROM unnest(event_streams, versions, command_ids, ordinals, request_ids, request_hashes, types, datas)
            WITH ORDINALITY AS x (s, v, c, o, r, h, t, d, n);
END $$;

-- migrate:down

DROP FUNCTION append_events;
DROP TABLE snapshot, stream_head, event_head, event;
DROP FUNCTION refuse_change;
