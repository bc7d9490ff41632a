-- migrate:up

-- The first answer to an idempotency key whose request made no event: it was refused, changed nothing, or was no command
-- (a webhook). A request that made events is known by them, for ever; these are forgotten in time, the oldest first.
CREATE TABLE remembered_answer (
    request_id   uuid        NOT NULL PRIMARY KEY,
    request_hash bytea       NOT NULL,
    status       smallint    NOT NULL,
    body         bytea       NOT NULL,
    kept_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX remembered_answer_kept_at ON remembered_answer (kept_at);

-- As it was, and a key whose answer is remembered is a duplicate too.
CREATE OR REPLACE FUNCTION append_events(
    streams text[], expected bigint[], appended bigint[],
    event_streams text[], versions bigint[], command_ids uuid[], ordinals smallint[],
    request_ids uuid[], request_hashes bytea[], types text[], datas bytea[],
    OUT outcome text, OUT first_position bigint
) LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    count_new bigint := cardinality(datas);
BEGIN
    first_position := 0;
    IF count_new > 0 THEN
        PERFORM pg_advisory_xact_lock(7310579630513578615);
    END IF;
    IF EXISTS (SELECT FROM event e WHERE e.command_id = ANY (command_ids))
        OR EXISTS (SELECT FROM event e WHERE e.request_id = ANY (request_ids))
        OR EXISTS (SELECT FROM remembered_answer r WHERE r.request_id = ANY (request_ids)) THEN
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

-- Appends events and keeps the answers of those that made none, all or nothing. Where there is a tail, the position
-- stands between the two halves of a body: so many events of these come before it, or it is `head` where there are none.
-- The lock is taken for answers alone too, so that a key never has both an answer here and events.
CREATE FUNCTION append_and_keep(
    streams text[], expected bigint[], appended bigint[],
    event_streams text[], versions bigint[], command_ids uuid[], ordinals smallint[],
    request_ids uuid[], request_hashes bytea[], types text[], datas bytea[],
    head bigint, kept_ids uuid[], kept_hashes bytea[], kept_statuses smallint[], kept_bodies bytea[],
    kept_tails bytea[], kept_after bigint[],
    OUT outcome text, OUT first_position bigint
) LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    before bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(7310579630513578615);
    IF EXISTS (SELECT FROM event e WHERE e.request_id = ANY (kept_ids))
        OR EXISTS (SELECT FROM remembered_answer r WHERE r.request_id = ANY (kept_ids)) THEN
        outcome := 'duplicate';
        first_position := 0;
        RETURN;
    END IF;
    SELECT a.outcome, a.first_position INTO outcome, first_position
        FROM append_events(streams, expected, appended, event_streams, versions, command_ids, ordinals, request_ids,
                           request_hashes, types, datas) AS a;
    IF outcome <> 'stored' THEN
        RETURN;
    END IF;
    before := CASE WHEN first_position > 0 THEN first_position - 1 ELSE head END;
    INSERT INTO remembered_answer (request_id, request_hash, status, body)
        SELECT i, h, s, CASE WHEN t IS NULL THEN b ELSE b || convert_to((before + n)::text, 'UTF8') || t END
        FROM unnest(kept_ids, kept_hashes, kept_statuses, kept_bodies, kept_tails, kept_after) AS x (i, h, s, b, t, n);
END $$;

-- migrate:down

DROP FUNCTION append_and_keep;
CREATE OR REPLACE FUNCTION append_events(
    streams text[], expected bigint[], appended bigint[],
    event_streams text[], versions bigint[], command_ids uuid[], ordinals smallint[],
    request_ids uuid[], request_hashes bytea[], types text[], datas bytea[],
    OUT outcome text, OUT first_position bigint
) LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
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
DROP TABLE remembered_answer;
