-- migrate:up

-- `hourbook heal` appends events that the store has lost, as the stream has them, after position `head`. No service
-- calls it. False: the store ends elsewhere, and nothing was changed. An answer that was kept for one of their keys goes:
-- a key has events or a remembered answer, never both. A TermBegan among them makes its term that of the store. Timeline
-- 0: no primary has it open. The one that began it may still live and have the timeline of this one: two standbys of one
-- primary get the same when both are promoted. So this primary begins a term of its own after it.
CREATE FUNCTION heal_events(
    head bigint, event_streams text[], versions bigint[], command_ids uuid[], ordinals smallint[],
    request_ids uuid[], request_hashes bytea[], types text[], datas bytea[]
) RETURNS boolean LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7310579630513578615);
    UPDATE event_head SET position = head + cardinality(datas) WHERE position = head;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO event (position, stream, version, command_id, ordinal, request_id, request_hash, type, data)
        SELECT head + n, s, v, c, o, r, h, t, d
        FROM unnest(event_streams, versions, command_ids, ordinals, request_ids, request_hashes, types, datas)
            WITH ORDINALITY AS x (s, v, c, o, r, h, t, d, n);
    INSERT INTO stream_head (stream, version)
        SELECT s, max(v) FROM unnest(event_streams, versions) AS x (s, v) GROUP BY s
        ON CONFLICT (stream) DO UPDATE SET version = excluded.version;
    DELETE FROM remembered_answer WHERE request_id = ANY (request_ids);
    UPDATE store_term SET term = b.term, system = b.system, timeline = 0, since = b.since,
        claim = NULL, claim_system = NULL, claim_timeline = NULL
        FROM (
            SELECT c AS term, head + n AS since, (stored_json(d) ->> 'system')::bigint AS system
            FROM unnest(command_ids, types, datas) WITH ORDINALITY AS x (c, t, d, n)
            WHERE t = 'TermBegan' ORDER BY n DESC LIMIT 1
        ) b;
    RETURN true;
END $$;

-- migrate:down

DROP FUNCTION heal_events;
