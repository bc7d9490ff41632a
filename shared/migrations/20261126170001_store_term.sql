-- migrate:up

-- A term is the time in which one primary of PostgreSQL takes the events. It ends with a promotion or a restore: both
-- give PostgreSQL another timeline. `term` is the command id of the TermBegan with which the term began at position
-- `since`; the first term began without one. `claim`: the TermBegan that is being published for `claim_timeline`.
CREATE TABLE store_term (
    only_row       boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    term           uuid    NOT NULL DEFAULT gen_random_uuid(),
    system         bigint  NOT NULL,
    timeline       integer NOT NULL,
    since          bigint  NOT NULL DEFAULT 0,
    claim          uuid,
    claim_system   bigint,
    claim_timeline integer
);

-- The timeline in which this server writes. The name of a WAL file begins with it, in hexadecimal.
CREATE FUNCTION current_timeline() RETURNS integer LANGUAGE sql AS $$
    SELECT ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer
$$;

INSERT INTO store_term (system, timeline) SELECT s.system_identifier, current_timeline() FROM pg_control_system() s;

-- Says which TermBegan is going to be published, before it is. So it is known again if the one that publishes it dies.
-- Returns the claim: a primary has one, for ever, because a message that was sent may arrive later.
CREATE FUNCTION claim_term(claimed uuid) RETURNS uuid LANGUAGE sql AS $$
    UPDATE store_term t SET
        claim = CASE WHEN (t.claim_system, t.claim_timeline) = (s.system_identifier, current_timeline())
            THEN t.claim ELSE claimed END,
        claim_timeline = current_timeline(), claim_system = s.system_identifier
    FROM pg_control_system() s RETURNING t.claim
$$;

-- Appends the claimed TermBegan after position `head`, and begins its term. False: the store has another head or claim,
-- and nothing was changed.
CREATE FUNCTION begin_term(head bigint, event_stream text, event_version bigint, claimed uuid, event_type text, event_data bytea)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7310579630513578615);
    UPDATE store_term SET term = claimed, system = claim_system, timeline = claim_timeline, since = head + 1,
        claim = NULL, claim_system = NULL, claim_timeline = NULL
        WHERE claim = claimed AND head = (SELECT position FROM event_head);
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE event_head SET position = head + 1;
    INSERT INTO stream_head (stream, version) VALUES (event_stream, event_version)
        ON CONFLICT (stream) DO UPDATE SET version = excluded.version;
    INSERT INTO event (position, stream, version, command_id, ordinal, request_id, request_hash, type, data)
        VALUES (head + 1, event_stream, event_version, claimed, 0, NULL, '', event_type, event_data);
    RETURN true;
END $$;

-- As it was, and it refuses while the term of this server has not begun.
CREATE OR REPLACE FUNCTION append_events(
    streams text[], expected bigint[], appended bigint[],
    event_streams text[], versions bigint[], command_ids uuid[], ordinals smallint[],
    request_ids uuid[], request_hashes bytea[], types text[], datas bytea[],
    OUT outcome text, OUT first_position bigint
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    count_new bigint := cardinality(datas);
BEGIN
    first_position := 0;
    IF count_new > 0 THEN
        PERFORM pg_advisory_xact_lock(7310579630513578615);
    END IF;
    IF (SELECT t.timeline <> current_timeline() FROM store_term t WHERE t.only_row) THEN
        outcome := 'no_term';
        RETURN;
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

-- Command services run on while this is applied: they append as the owner, before `hourbook migrate` gives the rights.
DO $$ BEGIN
    IF (SELECT p.proowner FROM pg_proc p WHERE p.oid = 'append_events'::regproc) = to_regrole('hourbook_owner') THEN
        ALTER TABLE store_term OWNER TO hourbook_owner;
        ALTER FUNCTION current_timeline() OWNER TO hourbook_owner;
    END IF;
END $$;

-- migrate:down

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
DROP FUNCTION begin_term, claim_term, current_timeline;
DROP TABLE store_term;
