-- The schema of the database as it is today, for readers. The migrations beside this file make the schema; nothing runs
-- this file. After a new migration, `make schema` writes it again. A test compares it with what the migrations make.

CREATE SCHEMA past;

CREATE FUNCTION past.given_hours() RETURNS TABLE(pool integer, hour timestamp with time zone, short boolean, granted_servers bigint, granted_cores bigint, granted_memory bigint, granted_tempdisc bigint, granted_userdisc bigint, granted_datadisc bigint, booked_servers bigint, booked_cores bigint, booked_memory bigint, booked_tempdisc bigint, booked_userdisc bigint, booked_datadisc bigint, shares bigint)
    LANGUAGE sql ROWS 10000 PARALLEL RESTRICTED
    AS $$
    SELECT r.pool, to_timestamp(h.hour * 3600), r.short <> 0,
        r.granted_servers, r.granted_cores, r.granted_memory,
        r.granted_tempdisc, r.granted_userdisc, r.granted_datadisc,
        r.booked_servers, r.booked_cores, r.booked_memory,
        r.booked_tempdisc, r.booked_userdisc, r.booked_datadisc,
        r.shares
    FROM ROWS FROM (
        unnest(nullif(current_setting('hourbook.given_pool', true), '')::integer[]),
        unnest(nullif(current_setting('hourbook.given_starts', true), '')::bigint[]),
        unnest(nullif(current_setting('hourbook.given_ends', true), '')::bigint[]),
        unnest(nullif(current_setting('hourbook.given_short', true), '')::smallint[]),
        unnest(nullif(current_setting('hourbook.given_granted_servers', true), '')::bigint[]),
        unnest(nullif(current_setting('hourbook.given_granted_cores', true), '')::bigint[]),
        unnest(nullif(current_setting('hourbook.given_granted_memory', true), '')::bigint[]),
        unnest(nullif(current_setting('hourbook.given_granted_tempdisc', true), '')::bigint[]),
        unnest(nullif(current_setting('hourbook.given_granted_userdisc', true), '')::bigint[]),
        unnest(nullif(current_setting('hourbook.given_granted_datadisc', true), '')::bigint[]),
        unnest(nullif(current_setting('hourbook.given_booked_servers', true), '')::bigint[]),
        unnest(nullif(current_setting('hourbook.given_booked_cores', true), '')::bigint[]),
        unnest(nullif(current_setting('hourbook.given_booked_memory', true), '')::bigint[]),
        unnest(nullif(current_setting('hourbook.given_booked_tempdisc', true), '')::bigint[]),
        unnest(nullif(current_setting('hourbook.given_booked_userdisc', true), '')::bigint[]),
        unnest(nullif(current_setting('hourbook.given_booked_datadisc', true), '')::bigint[]),
        unnest(nullif(current_setting('hourbook.given_shares', true), '')::bigint[])
    ) AS r (pool, starts, ends, short,
        granted_servers, granted_cores, granted_memory, granted_tempdisc, granted_userdisc, granted_datadisc,
        booked_servers, booked_cores, booked_memory, booked_tempdisc, booked_userdisc, booked_datadisc, shares)
    CROSS JOIN LATERAL generate_series(r.starts, r.ends - 1) AS h (hour)
$$;

CREATE FUNCTION append_and_keep(streams text[], expected bigint[], appended bigint[], event_streams text[], versions bigint[], command_ids uuid[], ordinals smallint[], request_ids uuid[], request_hashes bytea[], types text[], datas bytea[], head bigint, kept_ids uuid[], kept_hashes bytea[], kept_statuses smallint[], kept_bodies bytea[], kept_tails bytea[], kept_after bigint[], OUT outcome text, OUT first_position bigint) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    SET search_path TO 'public', 'pg_temp'
    AS $$
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

CREATE FUNCTION append_events(streams text[], expected bigint[], appended bigint[], event_streams text[], versions bigint[], command_ids uuid[], ordinals smallint[], request_ids uuid[], request_hashes bytea[], types text[], datas bytea[], OUT outcome text, OUT first_position bigint) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
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

CREATE FUNCTION begin_term(head bigint, event_stream text, event_version bigint, claimed uuid, event_type text, event_data bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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

CREATE FUNCTION checksum_generation(summed integer) RETURNS TABLE(model text, rows bigint, checksum numeric)
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    columns text;
BEGIN
    FOREACH model IN ARRAY read_models() LOOP
        SELECT string_agg(format('%I', a.attname), ', ' ORDER BY a.attname) INTO columns
        FROM pg_attribute a
        WHERE a.attrelid = model::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'generation';
        EXECUTE format('SELECT count(*), coalesce(sum(hash_record_extended(ROW (%s), 0)), 0) FROM %I',
                       columns, model || '_' || summed) INTO rows, checksum;
        RETURN NEXT;
    END LOOP;
END $$;

CREATE FUNCTION claim_term(claimed uuid) RETURNS uuid
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
    UPDATE store_term t SET
        claim = CASE WHEN (t.claim_system, t.claim_timeline) = (s.system_identifier, current_timeline())
            THEN t.claim ELSE claimed END,
        claim_timeline = current_timeline(), claim_system = s.system_identifier
    FROM pg_control_system() s RETURNING t.claim
$$;

CREATE FUNCTION compare_generations(one integer, other integer) RETURNS TABLE(model text, cells bigint, different bigint, examples text[])
    LANGUAGE plpgsql STABLE
    AS $_$
DECLARE
    keys   text;
    counts text;
    width  integer;
    joined text;
BEGIN
    FOREACH model IN ARRAY read_models() LOOP
        SELECT string_agg(format('%I', a.attname), ', ') INTO keys
        FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
        WHERE i.indrelid = model::regclass AND i.indisprimary AND a.attname <> 'generation';
        SELECT count(*), string_agg(format('(l.%1$I IS DISTINCT FROM r.%1$I)::integer', a.attname), ' + ') INTO width, counts
        FROM pg_attribute a
        WHERE a.attrelid = model::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'generation';
        counts := format('CASE WHEN l.generation IS NULL OR r.generation IS NULL THEN %s ELSE %s END', width, counts);
        joined := format('%I l FULL JOIN %I r USING (%s)', model || '_' || one, model || '_' || other, keys);
        EXECUTE format('SELECT count(*) * %s, coalesce(sum(%s), 0) FROM %s', width, counts, joined) INTO cells, different;
        examples := NULL;
        IF different > 0 THEN
            EXECUTE format(
                'SELECT array_agg(example ORDER BY example) FROM (
                    SELECT coalesce(to_jsonb(l) - ''generation'', ''null'')::text || '' <> ''
                        || coalesce(to_jsonb(r) - ''generation'', ''null'')::text AS example
                    FROM %s WHERE %s > 0 ORDER BY 1 LIMIT 3
                ) first', joined, counts) INTO examples;
        END IF;
        RETURN NEXT;
    END LOOP;
END $_$;

CREATE FUNCTION complete_generation(completed integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    EXECUTE format('ALTER TABLE live_booking ATTACH PARTITION %I FOR VALUES IN (%s)',
                   'live_booking_' || completed, completed);
END $$;

CREATE FUNCTION create_bare_generation() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    made  integer;
    model text;
BEGIN
    LOCK TABLE generation IN SHARE ROW EXCLUSIVE MODE;
    SELECT coalesce(max(generation), 0) + 1 INTO made FROM generation;
    INSERT INTO generation (generation) VALUES (made);
    FOREACH model IN ARRAY read_models() LOOP
        IF model = 'live_booking' THEN  -- the check spares complete_generation a look at every row
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS, PRIMARY KEY (generation, id, segment),
                            CHECK (generation = %s))', model || '_' || made, model, made);
        ELSE
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES IN (%s)', model || '_' || made, model, made);
        END IF;
        PERFORM share_rights(model, model || '_' || made);
    END LOOP;
    -- An hour's row is updated many times: room in the page keeps its new version beside the old one. Hours that are
    -- copied into it do not say their generation.
    EXECUTE format('ALTER TABLE %I SET (fillfactor = 70), ALTER generation SET DEFAULT %s', 'availability_hour_' || made, made);
    RETURN made;
END $$;

CREATE FUNCTION create_generation() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    made  integer;
    model text;
BEGIN
    LOCK TABLE generation IN SHARE ROW EXCLUSIVE MODE;
    SELECT coalesce(max(generation), 0) + 1 INTO made FROM generation;
    INSERT INTO generation (generation) VALUES (made);
    FOREACH model IN ARRAY read_models() LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES IN (%s)', model || '_' || made, model, made);
        PERFORM share_rights(model, model || '_' || made);
    END LOOP;
    -- An hour's row is updated many times: room in the page keeps its new version beside the old one.
    EXECUTE format('ALTER TABLE %I SET (fillfactor = 70)', 'availability_hour_' || made);
    RETURN made;
END $$;

CREATE FUNCTION current_timeline() RETURNS integer
    LANGUAGE sql
    AS $$
    SELECT ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer
$$;

CREATE TABLE event_index (
    "position" bigint NOT NULL,
    at timestamp with time zone,
    at_max timestamp with time zone NOT NULL,
    project text NOT NULL,
    type text NOT NULL,
    actor text,
    account text,
    pool text NOT NULL,
    entity text NOT NULL
);

CREATE FUNCTION described_events(low bigint, high bigint) RETURNS SETOF event_index
    LANGUAGE sql STABLE
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
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

CREATE FUNCTION drop_generation(dropped integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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

CREATE FUNCTION heal_events(head bigint, event_streams text[], versions bigint[], command_ids uuid[], ordinals smallint[], request_ids uuid[], request_hashes bytea[], types text[], datas bytea[]) RETURNS boolean
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
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

CREATE FUNCTION index_events(count_max bigint) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION index_generation(indexed integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    made   text := 'live_booking_' || indexed;
    stated text;
BEGIN
    FOR stated IN
        SELECT pg_get_indexdef(indexrelid) FROM pg_index
        WHERE indrelid = 'live_booking'::regclass AND NOT indisprimary ORDER BY 1
    LOOP
        EXECUTE regexp_replace(stated, '^CREATE INDEX \S+ ON (ONLY )?\S+', format('CREATE INDEX ON %I', made));
    END LOOP;
END $$;

CREATE FUNCTION read_models() RETURNS text[]
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT ARRAY['pool', 'availability_hour', 'short_hour', 'live_grant', 'live_booking', 'template', 'account',
                 'cluster_resize', 'role', 'account_member', 'role_head']
$$;

CREATE FUNCTION refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'events are immutable: % of % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION reserved(granted bigint, shares bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (((granted * shares) + 9999) / 10000);

CREATE FUNCTION share_rights(model text, part text) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    allowed record;
BEGIN
    FOR allowed IN
        SELECT a.grantee::regrole AS role, string_agg(a.privilege_type, ', ') AS rights
        FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = model::regclass AND a.grantee <> 0 AND a.grantee <> c.relowner GROUP BY a.grantee
    LOOP
        EXECUTE format('GRANT %s ON %I TO %s', allowed.rights, part, allowed.role);
    END LOOP;
END $$;

CREATE FUNCTION stored_instant(at text) RETURNS timestamp with time zone
    LANGUAGE plpgsql STABLE
    AS $$
BEGIN
    RETURN at::timestamptz;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END $$;

CREATE FUNCTION stored_json(data bytea) RETURNS json
    LANGUAGE plpgsql IMMUTABLE
    AS $$
BEGIN
    RETURN convert_from(data, 'UTF8')::json;
EXCEPTION WHEN data_exception THEN
    RETURN '{}';
END $$;

CREATE TABLE past_account (
    since bigint NOT NULL,
    until bigint DEFAULT '9223372036854775807'::bigint NOT NULL,
    project text NOT NULL,
    account text NOT NULL,
    name text NOT NULL,
    limits jsonb NOT NULL,
    closed boolean NOT NULL,
    created bigint NOT NULL
);

CREATE VIEW past.account AS
 SELECT 0 AS generation,
    project,
    account,
    name,
    limits,
    closed,
    created
   FROM past_account
  WHERE ((since <= (current_setting('hourbook.position'::text))::bigint) AND (until > (current_setting('hourbook.position'::text))::bigint));

CREATE TABLE past_account_member (
    since bigint NOT NULL,
    until bigint DEFAULT '9223372036854775807'::bigint NOT NULL,
    project text NOT NULL,
    account text NOT NULL,
    member text NOT NULL,
    added bigint NOT NULL,
    actor text NOT NULL
);

CREATE VIEW past.account_member AS
 SELECT 0 AS generation,
    project,
    account,
    member,
    added,
    actor
   FROM past_account_member
  WHERE ((since <= (current_setting('hourbook.position'::text))::bigint) AND (until > (current_setting('hourbook.position'::text))::bigint));

CREATE VIEW past.availability_hour AS
 SELECT 0 AS generation,
    pool,
    hour,
    granted_servers,
    granted_cores,
    granted_memory,
    granted_tempdisc,
    granted_userdisc,
    granted_datadisc,
    booked_servers,
    booked_cores,
    booked_memory,
    booked_tempdisc,
    booked_userdisc,
    booked_datadisc,
    shares
   FROM past.given_hours() given_hours(pool, hour, short, granted_servers, granted_cores, granted_memory, granted_tempdisc, granted_userdisc, granted_datadisc, booked_servers, booked_cores, booked_memory, booked_tempdisc, booked_userdisc, booked_datadisc, shares);

CREATE TABLE past_resize (
    since bigint NOT NULL,
    until bigint DEFAULT '9223372036854775807'::bigint NOT NULL,
    pool integer NOT NULL,
    "position" bigint NOT NULL,
    decided bigint NOT NULL,
    request uuid,
    state text NOT NULL,
    starts timestamp with time zone NOT NULL,
    ends timestamp with time zone NOT NULL,
    servers bigint NOT NULL,
    cores bigint NOT NULL,
    memory bigint NOT NULL,
    tempdisc bigint NOT NULL,
    userdisc bigint NOT NULL,
    datadisc bigint NOT NULL,
    masterflavor text,
    mastercount bigint,
    workerflavor text,
    workercount bigint,
    lapsed boolean NOT NULL,
    error text,
    actor text NOT NULL,
    layout jsonb
);

CREATE VIEW past.cluster_resize AS
 SELECT 0 AS generation,
    pool,
    "position",
    decided,
    request,
    state,
    starts,
    ends,
    servers,
    cores,
    memory,
    tempdisc,
    userdisc,
    datadisc,
    masterflavor,
    mastercount,
    workerflavor,
    workercount,
    lapsed,
    error,
    actor,
    layout
   FROM past_resize
  WHERE ((since <= (current_setting('hourbook.position'::text))::bigint) AND (until > (current_setting('hourbook.position'::text))::bigint));

CREATE VIEW past.generation AS
 SELECT 0 AS generation,
    true AS live,
    (current_setting('hourbook.position'::text))::bigint AS "position",
    now() AS moved_at,
    NULL::bigint AS parked_position,
    NULL::text AS parked_error,
    (current_setting('hourbook.position'::text))::bigint AS roles_changed;

CREATE TABLE past_booking (
    since bigint NOT NULL,
    until bigint DEFAULT '9223372036854775807'::bigint NOT NULL,
    id uuid NOT NULL,
    segment integer NOT NULL,
    pool integer NOT NULL,
    starts timestamp with time zone NOT NULL,
    ends timestamp with time zone NOT NULL,
    servers bigint NOT NULL,
    cores bigint NOT NULL,
    memory bigint NOT NULL,
    tempdisc bigint NOT NULL,
    userdisc bigint NOT NULL,
    datadisc bigint NOT NULL,
    actor text NOT NULL,
    account text NOT NULL,
    share integer NOT NULL,
    tentative boolean NOT NULL,
    created bigint NOT NULL,
    claimed bigint NOT NULL,
    template text,
    template_version integer,
    template_count bigint,
    series uuid
);

CREATE VIEW past.live_booking AS
 SELECT 0 AS generation,
    id,
    pool,
    starts,
    ends,
    servers,
    cores,
    memory,
    tempdisc,
    userdisc,
    datadisc,
    actor,
    account,
    share,
    tentative,
    created,
    claimed,
    segment,
    template,
    template_version,
    template_count,
    series,
        CASE
            WHEN (since > claimed) THEN since
            ELSE NULL::bigint
        END AS changed
   FROM past_booking
  WHERE ((since <= (current_setting('hourbook.position'::text))::bigint) AND (until > (current_setting('hourbook.position'::text))::bigint));

CREATE TABLE past_grant (
    since bigint NOT NULL,
    until bigint DEFAULT '9223372036854775807'::bigint NOT NULL,
    id uuid NOT NULL,
    pool integer NOT NULL,
    starts timestamp with time zone NOT NULL,
    ends timestamp with time zone NOT NULL,
    servers bigint NOT NULL,
    cores bigint NOT NULL,
    memory bigint NOT NULL,
    tempdisc bigint NOT NULL,
    userdisc bigint NOT NULL,
    datadisc bigint NOT NULL,
    actor text NOT NULL,
    source text
);

CREATE VIEW past.live_grant AS
 SELECT 0 AS generation,
    id,
    pool,
    starts,
    ends,
    servers,
    cores,
    memory,
    tempdisc,
    userdisc,
    datadisc,
    actor,
    source
   FROM past_grant
  WHERE ((since <= (current_setting('hourbook.position'::text))::bigint) AND (until > (current_setting('hourbook.position'::text))::bigint));

CREATE TABLE past_pool (
    since bigint NOT NULL,
    until bigint DEFAULT '9223372036854775807'::bigint NOT NULL,
    pool integer NOT NULL,
    id text NOT NULL,
    parent integer,
    project text NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    starts timestamp with time zone,
    ends timestamp with time zone,
    beyond_hours integer,
    tentative boolean NOT NULL,
    claimed bigint NOT NULL,
    masterflavor text,
    mastercount bigint,
    workerflavor text,
    workercount bigint,
    layout jsonb
);

CREATE VIEW past.pool AS
 SELECT 0 AS generation,
    pool,
    id,
    parent,
    project,
    name,
    kind,
    starts,
    ends,
    (current_setting('hourbook.position'::text))::bigint AS touched,
    beyond_hours,
    tentative,
    claimed,
    masterflavor,
    mastercount,
    workerflavor,
    workercount,
    layout
   FROM past_pool
  WHERE ((since <= (current_setting('hourbook.position'::text))::bigint) AND (until > (current_setting('hourbook.position'::text))::bigint));

CREATE TABLE past_role (
    since bigint NOT NULL,
    until bigint DEFAULT '9223372036854775807'::bigint NOT NULL,
    pool text NOT NULL COLLATE pg_catalog."C",
    member text NOT NULL,
    role text NOT NULL,
    granted bigint NOT NULL,
    actor text NOT NULL
);

CREATE VIEW past.role AS
 SELECT 0 AS generation,
    pool,
    member,
    role,
    granted,
    actor
   FROM past_role
  WHERE ((since <= (current_setting('hourbook.position'::text))::bigint) AND (until > (current_setting('hourbook.position'::text))::bigint));

CREATE VIEW past.short_hour AS
 SELECT 0 AS generation,
    pool,
    hour
   FROM past.given_hours() given_hours(pool, hour, short, granted_servers, granted_cores, granted_memory, granted_tempdisc, granted_userdisc, granted_datadisc, booked_servers, booked_cores, booked_memory, booked_tempdisc, booked_userdisc, booked_datadisc, shares)
  WHERE short;

CREATE TABLE past_template (
    since bigint NOT NULL,
    until bigint DEFAULT '9223372036854775807'::bigint NOT NULL,
    project text NOT NULL,
    name text NOT NULL,
    version integer NOT NULL,
    servers bigint NOT NULL,
    cores bigint NOT NULL,
    memory bigint NOT NULL,
    tempdisc bigint NOT NULL,
    userdisc bigint NOT NULL,
    datadisc bigint NOT NULL,
    actor text NOT NULL,
    created bigint NOT NULL
);

CREATE VIEW past.template AS
 SELECT 0 AS generation,
    project,
    name,
    version,
    servers,
    cores,
    memory,
    tempdisc,
    userdisc,
    datadisc,
    actor,
    created
   FROM past_template
  WHERE ((since <= (current_setting('hourbook.position'::text))::bigint) AND (until > (current_setting('hourbook.position'::text))::bigint));

CREATE TABLE account (
    generation integer NOT NULL,
    project text NOT NULL,
    account text NOT NULL,
    name text NOT NULL,
    limits jsonb NOT NULL,
    closed boolean NOT NULL,
    created bigint NOT NULL
)
PARTITION BY LIST (generation);

CREATE TABLE account_member (
    generation integer NOT NULL,
    project text NOT NULL,
    account text NOT NULL,
    member text NOT NULL,
    added bigint NOT NULL,
    actor text NOT NULL
)
PARTITION BY LIST (generation);

CREATE TABLE audit_checkpoint (
    size bigint NOT NULL,
    previous bigint NOT NULL,
    root bytea NOT NULL,
    note text NOT NULL,
    verifier text NOT NULL,
    signed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT audit_checkpoint_check CHECK ((previous < size)),
    CONSTRAINT audit_checkpoint_root_check CHECK ((length(root) = 32))
);

CREATE TABLE audit_hash (
    level smallint NOT NULL,
    first bigint NOT NULL,
    hashes bytea NOT NULL,
    CONSTRAINT audit_hash_check CHECK ((((length(hashes) % 32) = 0) AND (((first % (256)::bigint) + (length(hashes) / 32)) <= 256)))
);
ALTER TABLE ONLY audit_hash ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TABLE audit_key (
    verifier text NOT NULL,
    first_used timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE availability_hour (
    generation integer NOT NULL,
    pool integer NOT NULL,
    hour timestamp with time zone NOT NULL,
    granted_servers bigint NOT NULL,
    granted_cores bigint NOT NULL,
    granted_memory bigint NOT NULL,
    granted_tempdisc bigint NOT NULL,
    granted_userdisc bigint NOT NULL,
    granted_datadisc bigint NOT NULL,
    booked_servers bigint NOT NULL,
    booked_cores bigint NOT NULL,
    booked_memory bigint NOT NULL,
    booked_tempdisc bigint NOT NULL,
    booked_userdisc bigint NOT NULL,
    booked_datadisc bigint NOT NULL,
    shares bigint DEFAULT 0 NOT NULL
)
PARTITION BY LIST (generation);

CREATE TABLE blazar_lease (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    pool text NOT NULL,
    openstack_project text NOT NULL,
    lease text,
    name text NOT NULL,
    starts timestamp with time zone NOT NULL,
    ends timestamp with time zone NOT NULL,
    amount text NOT NULL,
    booking uuid
);

CREATE TABLE cluster_resize (
    generation integer NOT NULL,
    pool integer NOT NULL,
    "position" bigint NOT NULL,
    decided bigint NOT NULL,
    request uuid,
    state text NOT NULL,
    starts timestamp with time zone NOT NULL,
    ends timestamp with time zone NOT NULL,
    servers bigint NOT NULL,
    cores bigint NOT NULL,
    memory bigint NOT NULL,
    tempdisc bigint NOT NULL,
    userdisc bigint NOT NULL,
    datadisc bigint NOT NULL,
    masterflavor text,
    mastercount bigint,
    workerflavor text,
    workercount bigint,
    lapsed boolean NOT NULL,
    error text,
    actor text NOT NULL,
    layout jsonb
)
PARTITION BY LIST (generation);

CREATE TABLE event (
    "position" bigint NOT NULL,
    stream text NOT NULL,
    version bigint NOT NULL,
    command_id uuid NOT NULL,
    request_id uuid,
    ordinal smallint NOT NULL,
    request_hash bytea NOT NULL,
    type text NOT NULL,
    data bytea NOT NULL
);

CREATE TABLE event_head (
    only_row boolean DEFAULT true NOT NULL,
    "position" bigint NOT NULL,
    CONSTRAINT event_head_only_row_check CHECK (only_row)
);

CREATE TABLE event_index_head (
    only_row boolean DEFAULT true NOT NULL,
    "position" bigint NOT NULL,
    CONSTRAINT event_index_head_only_row_check CHECK (only_row)
);

CREATE TABLE feed_address (
    id uuid NOT NULL,
    hash bytea NOT NULL,
    path text NOT NULL,
    maker text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT feed_address_hash_check CHECK ((length(hash) = 32))
);

CREATE TABLE generation (
    generation integer NOT NULL,
    live boolean DEFAULT false NOT NULL,
    "position" bigint DEFAULT 0 NOT NULL,
    moved_at timestamp with time zone DEFAULT now() NOT NULL,
    parked_position bigint,
    parked_error text,
    roles_changed bigint DEFAULT 0 NOT NULL
);

CREATE TABLE identity_head (
    only_row boolean DEFAULT true NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT identity_head_only_row_check CHECK (only_row)
);

CREATE TABLE live_booking (
    generation integer NOT NULL,
    id uuid NOT NULL,
    pool integer NOT NULL,
    starts timestamp with time zone NOT NULL,
    ends timestamp with time zone NOT NULL,
    servers bigint NOT NULL,
    cores bigint NOT NULL,
    memory bigint NOT NULL,
    tempdisc bigint NOT NULL,
    userdisc bigint NOT NULL,
    datadisc bigint NOT NULL,
    actor text NOT NULL,
    account text NOT NULL,
    share integer DEFAULT 0 NOT NULL,
    tentative boolean DEFAULT false NOT NULL,
    created bigint NOT NULL,
    claimed bigint NOT NULL,
    segment integer DEFAULT 0 NOT NULL,
    template text,
    template_version integer,
    template_count bigint,
    series uuid,
    changed bigint
)
PARTITION BY LIST (generation);

CREATE TABLE live_grant (
    generation integer NOT NULL,
    id uuid NOT NULL,
    pool integer NOT NULL,
    starts timestamp with time zone NOT NULL,
    ends timestamp with time zone NOT NULL,
    servers bigint NOT NULL,
    cores bigint NOT NULL,
    memory bigint NOT NULL,
    tempdisc bigint NOT NULL,
    userdisc bigint NOT NULL,
    datadisc bigint NOT NULL,
    actor text NOT NULL,
    source text
)
PARTITION BY LIST (generation);

CREATE TABLE notice (
    seq bigint NOT NULL,
    id text NOT NULL,
    kind text NOT NULL,
    project text NOT NULL,
    subject text NOT NULL,
    due timestamp with time zone NOT NULL,
    data json NOT NULL,
    made_at timestamp with time zone DEFAULT now()
);

CREATE TABLE notice_head (
    only_row boolean DEFAULT true NOT NULL,
    told_until timestamp with time zone,
    "position" bigint DEFAULT 0 NOT NULL,
    seq bigint DEFAULT 0 NOT NULL,
    published bigint DEFAULT 0 NOT NULL,
    CONSTRAINT notice_head_only_row_check CHECK (only_row)
);

CREATE TABLE past_change (
    "position" bigint NOT NULL,
    pool integer NOT NULL,
    starts timestamp with time zone NOT NULL,
    ends timestamp with time zone NOT NULL,
    granted_servers bigint NOT NULL,
    granted_cores bigint NOT NULL,
    granted_memory bigint NOT NULL,
    granted_tempdisc bigint NOT NULL,
    granted_userdisc bigint NOT NULL,
    granted_datadisc bigint NOT NULL,
    booked_servers bigint NOT NULL,
    booked_cores bigint NOT NULL,
    booked_memory bigint NOT NULL,
    booked_tempdisc bigint NOT NULL,
    booked_userdisc bigint NOT NULL,
    booked_datadisc bigint NOT NULL,
    shares bigint NOT NULL
);

CREATE TABLE past_head (
    only_row boolean DEFAULT true NOT NULL,
    "position" bigint NOT NULL,
    CONSTRAINT past_head_only_row_check CHECK (only_row)
);

CREATE TABLE past_hours (
    pool integer NOT NULL,
    "position" bigint NOT NULL,
    base bigint NOT NULL,
    cells bytea NOT NULL
);
ALTER TABLE ONLY past_hours ALTER COLUMN cells SET STORAGE EXTERNAL;

CREATE TABLE person (
    id text NOT NULL,
    name text,
    email text,
    groups text[] DEFAULT '{}'::text[] NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE pool (
    generation integer NOT NULL,
    pool integer NOT NULL,
    id text NOT NULL,
    parent integer,
    project text NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    starts timestamp with time zone,
    ends timestamp with time zone,
    touched bigint NOT NULL,
    beyond_hours integer,
    tentative boolean DEFAULT false NOT NULL,
    claimed bigint NOT NULL,
    masterflavor text,
    mastercount bigint,
    workerflavor text,
    workercount bigint,
    layout jsonb
)
PARTITION BY LIST (generation);

CREATE TABLE refusal (
    id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    project text NOT NULL,
    actor text NOT NULL,
    command text NOT NULL,
    asked json NOT NULL,
    reason text,
    code text NOT NULL,
    detail text NOT NULL,
    facts json NOT NULL,
    dropped bigint DEFAULT 0 NOT NULL
);

ALTER TABLE refusal ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME refusal_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE remembered_answer (
    request_id uuid NOT NULL,
    request_hash bytea NOT NULL,
    status smallint NOT NULL,
    body bytea NOT NULL,
    kept_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE role (
    generation integer NOT NULL,
    pool text NOT NULL COLLATE pg_catalog."C",
    member text NOT NULL,
    role text NOT NULL,
    granted bigint NOT NULL,
    actor text NOT NULL
)
PARTITION BY LIST (generation);

CREATE TABLE role_head (
    generation integer NOT NULL,
    project text NOT NULL,
    changed bigint NOT NULL
)
PARTITION BY LIST (generation);

CREATE TABLE session (
    hash bytea NOT NULL,
    person text NOT NULL,
    auth text NOT NULL,
    groups text[] DEFAULT '{}'::text[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    sealed bytea,
    CONSTRAINT session_hash_check CHECK ((length(hash) = 32))
);

CREATE TABLE short_hour (
    generation integer NOT NULL,
    pool integer NOT NULL,
    hour timestamp with time zone NOT NULL
)
PARTITION BY LIST (generation);

CREATE TABLE snapshot (
    stream text NOT NULL,
    version bigint NOT NULL,
    "position" bigint NOT NULL,
    state bytea NOT NULL
);

CREATE TABLE snapshot_piece (
    stream text NOT NULL,
    id bytea NOT NULL,
    data bytea NOT NULL
);
ALTER TABLE ONLY snapshot_piece ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE store_term (
    only_row boolean DEFAULT true NOT NULL,
    term uuid DEFAULT gen_random_uuid() NOT NULL,
    system bigint NOT NULL,
    timeline integer NOT NULL,
    since bigint DEFAULT 0 NOT NULL,
    claim uuid,
    claim_system bigint,
    claim_timeline integer,
    CONSTRAINT store_term_only_row_check CHECK (only_row)
);

CREATE TABLE stream_head (
    stream text NOT NULL,
    version bigint NOT NULL
);

CREATE TABLE template (
    generation integer NOT NULL,
    project text NOT NULL,
    name text NOT NULL,
    version integer NOT NULL,
    servers bigint NOT NULL,
    cores bigint NOT NULL,
    memory bigint NOT NULL,
    tempdisc bigint NOT NULL,
    userdisc bigint NOT NULL,
    datadisc bigint NOT NULL,
    actor text NOT NULL,
    created bigint NOT NULL
)
PARTITION BY LIST (generation);

CREATE TABLE token (
    id uuid NOT NULL,
    hash bytea NOT NULL,
    name text NOT NULL,
    maker text,
    limits jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    CONSTRAINT token_hash_check CHECK ((length(hash) = 32))
);

CREATE TABLE webhook (
    id uuid NOT NULL,
    url text NOT NULL,
    project text,
    types text[],
    kinds text[] NOT NULL,
    secret text NOT NULL,
    created_by text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    "position" bigint NOT NULL,
    notice bigint NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    retry_at timestamp with time zone,
    delivered_at timestamp with time zone,
    last_error text,
    disabled text,
    maker text,
    maker_since bigint DEFAULT 0 NOT NULL,
    ended text
);

CREATE TABLE webhook_dead_letter (
    webhook uuid NOT NULL,
    message text NOT NULL,
    source text NOT NULL,
    number bigint NOT NULL,
    attempts integer NOT NULL,
    error text NOT NULL,
    failed_at timestamp with time zone NOT NULL,
    redeliver boolean DEFAULT false NOT NULL
);

ALTER TABLE ONLY account_member
    ADD CONSTRAINT account_member_pkey PRIMARY KEY (generation, project, account, member);

ALTER TABLE ONLY account
    ADD CONSTRAINT account_pkey PRIMARY KEY (generation, project, account);

ALTER TABLE ONLY audit_checkpoint
    ADD CONSTRAINT audit_checkpoint_pkey PRIMARY KEY (size);

ALTER TABLE ONLY audit_checkpoint
    ADD CONSTRAINT audit_checkpoint_previous_key UNIQUE (previous);

ALTER TABLE ONLY audit_hash
    ADD CONSTRAINT audit_hash_pkey PRIMARY KEY (level, first);

ALTER TABLE ONLY audit_key
    ADD CONSTRAINT audit_key_pkey PRIMARY KEY (verifier);

ALTER TABLE ONLY availability_hour
    ADD CONSTRAINT availability_hour_pkey PRIMARY KEY (generation, pool, hour);

ALTER TABLE ONLY blazar_lease
    ADD CONSTRAINT blazar_lease_pkey PRIMARY KEY (id);

ALTER TABLE ONLY blazar_lease
    ADD CONSTRAINT blazar_lease_pool_lease_key UNIQUE (pool, lease);

ALTER TABLE ONLY cluster_resize
    ADD CONSTRAINT cluster_resize_pkey PRIMARY KEY (generation, pool, "position");

ALTER TABLE ONLY event
    ADD CONSTRAINT event_command_id_ordinal_key UNIQUE (command_id, ordinal);

ALTER TABLE ONLY event_head
    ADD CONSTRAINT event_head_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY event_index_head
    ADD CONSTRAINT event_index_head_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY event_index
    ADD CONSTRAINT event_index_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY event
    ADD CONSTRAINT event_pkey PRIMARY KEY ("position");

ALTER TABLE ONLY event
    ADD CONSTRAINT event_stream_version_key UNIQUE (stream, version);

ALTER TABLE ONLY feed_address
    ADD CONSTRAINT feed_address_hash_key UNIQUE (hash);

ALTER TABLE ONLY feed_address
    ADD CONSTRAINT feed_address_pkey PRIMARY KEY (id);

ALTER TABLE ONLY generation
    ADD CONSTRAINT generation_pkey PRIMARY KEY (generation);

ALTER TABLE ONLY identity_head
    ADD CONSTRAINT identity_head_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY live_booking
    ADD CONSTRAINT live_booking_pkey PRIMARY KEY (generation, id, segment);

ALTER TABLE ONLY live_grant
    ADD CONSTRAINT live_grant_pkey PRIMARY KEY (generation, id);

ALTER TABLE ONLY notice_head
    ADD CONSTRAINT notice_head_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY notice
    ADD CONSTRAINT notice_id_key UNIQUE (id);

ALTER TABLE ONLY notice
    ADD CONSTRAINT notice_pkey PRIMARY KEY (seq);

ALTER TABLE ONLY past_account_member
    ADD CONSTRAINT past_account_member_pkey PRIMARY KEY (project, account, member, since);

ALTER TABLE ONLY past_account
    ADD CONSTRAINT past_account_pkey PRIMARY KEY (project, account, since);

ALTER TABLE ONLY past_booking
    ADD CONSTRAINT past_booking_pkey PRIMARY KEY (id, segment, since);

ALTER TABLE ONLY past_grant
    ADD CONSTRAINT past_grant_pkey PRIMARY KEY (id, since);

ALTER TABLE ONLY past_head
    ADD CONSTRAINT past_head_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY past_hours
    ADD CONSTRAINT past_hours_pkey PRIMARY KEY (pool, "position");

ALTER TABLE ONLY past_pool
    ADD CONSTRAINT past_pool_pkey PRIMARY KEY (pool, since);

ALTER TABLE ONLY past_resize
    ADD CONSTRAINT past_resize_pkey PRIMARY KEY (pool, "position", since);

ALTER TABLE ONLY past_role
    ADD CONSTRAINT past_role_pkey PRIMARY KEY (pool, member, role, since);

ALTER TABLE ONLY past_template
    ADD CONSTRAINT past_template_pkey PRIMARY KEY (project, name, version, since);

ALTER TABLE ONLY person
    ADD CONSTRAINT person_pkey PRIMARY KEY (id);

ALTER TABLE ONLY pool
    ADD CONSTRAINT pool_generation_id_key UNIQUE (generation, id);

ALTER TABLE ONLY pool
    ADD CONSTRAINT pool_pkey PRIMARY KEY (generation, pool);

ALTER TABLE ONLY refusal
    ADD CONSTRAINT refusal_pkey PRIMARY KEY (id);

ALTER TABLE ONLY remembered_answer
    ADD CONSTRAINT remembered_answer_pkey PRIMARY KEY (request_id);

ALTER TABLE ONLY role_head
    ADD CONSTRAINT role_head_pkey PRIMARY KEY (generation, project);

ALTER TABLE ONLY role
    ADD CONSTRAINT role_pkey PRIMARY KEY (generation, pool, member, role);

ALTER TABLE ONLY session
    ADD CONSTRAINT session_pkey PRIMARY KEY (hash);

ALTER TABLE ONLY short_hour
    ADD CONSTRAINT short_hour_pkey PRIMARY KEY (generation, pool, hour);

ALTER TABLE ONLY snapshot_piece
    ADD CONSTRAINT snapshot_piece_pkey PRIMARY KEY (stream, id);

ALTER TABLE ONLY snapshot
    ADD CONSTRAINT snapshot_pkey PRIMARY KEY (stream);

ALTER TABLE ONLY store_term
    ADD CONSTRAINT store_term_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY stream_head
    ADD CONSTRAINT stream_head_pkey PRIMARY KEY (stream);

ALTER TABLE ONLY template
    ADD CONSTRAINT template_pkey PRIMARY KEY (generation, project, name, version);

ALTER TABLE ONLY token
    ADD CONSTRAINT token_hash_key UNIQUE (hash);

ALTER TABLE ONLY token
    ADD CONSTRAINT token_pkey PRIMARY KEY (id);

ALTER TABLE ONLY webhook_dead_letter
    ADD CONSTRAINT webhook_dead_letter_pkey PRIMARY KEY (webhook, message);

ALTER TABLE ONLY webhook
    ADD CONSTRAINT webhook_pkey PRIMARY KEY (id);

CREATE INDEX blazar_lease_ends ON blazar_lease USING btree (pool, ends);

CREATE INDEX cluster_resize_request ON ONLY cluster_resize USING btree (generation, request) WHERE (request IS NOT NULL);

CREATE INDEX event_index_account ON event_index USING btree (account, "position") WHERE (account IS NOT NULL);

CREATE INDEX event_index_actor ON event_index USING btree (actor, "position");

CREATE INDEX event_index_entity ON event_index USING btree (entity, "position");

CREATE INDEX event_index_pool ON event_index USING btree (pool, "position");

CREATE INDEX event_index_project ON event_index USING btree (project, "position");

CREATE INDEX event_index_type ON event_index USING btree (type, "position");

CREATE INDEX event_overcommit ON event USING btree ("position") INCLUDE (stream) WHERE ((type = ANY (ARRAY['ProjectCreated'::text, 'ClusterCreated'::text])) AND (POSITION(('\x6265796f6e645f686f757273'::bytea) IN (data)) > 0));

CREATE UNIQUE INDEX event_request ON event USING btree (request_id, ordinal) WHERE (request_id IS NOT NULL);

CREATE UNIQUE INDEX feed_address_maker ON feed_address USING btree (maker, path);

CREATE UNIQUE INDEX generation_live ON generation USING btree (live) WHERE live;

CREATE INDEX live_booking_account ON ONLY live_booking USING btree (account, ends);

CREATE INDEX live_booking_account_long ON ONLY live_booking USING btree (generation, account, ends) WHERE ((ends - starts) > '31 days'::interval);

CREATE INDEX live_booking_long ON ONLY live_booking USING btree (generation, pool, ends) WHERE ((ends - starts) > '31 days'::interval);

CREATE INDEX live_booking_period ON ONLY live_booking USING btree (pool, ends);

CREATE INDEX live_grant_period ON ONLY live_grant USING btree (generation, pool, ends);

CREATE INDEX notice_project ON notice USING btree (project, seq);

CREATE INDEX past_booking_account ON past_booking USING btree (account, ends);

CREATE INDEX past_booking_account_long ON past_booking USING btree (account, ends) WHERE ((ends - starts) > '31 days'::interval);

CREATE INDEX past_booking_long ON past_booking USING btree (pool, ends) WHERE ((ends - starts) > '31 days'::interval);

CREATE INDEX past_booking_period ON past_booking USING btree (pool, ends);

CREATE INDEX past_change_pool ON past_change USING btree (pool, "position");

CREATE INDEX past_grant_period ON past_grant USING btree (pool, ends);

CREATE INDEX past_pool_id ON past_pool USING btree (id);

CREATE INDEX past_pool_project ON past_pool USING btree (project, id);

CREATE INDEX past_resize_request ON past_resize USING btree (request) WHERE (request IS NOT NULL);

CREATE INDEX pool_overcommits ON ONLY pool USING btree (generation, pool) WHERE (beyond_hours IS NOT NULL);

CREATE INDEX pool_project ON ONLY pool USING btree (generation, project, id);

CREATE INDEX pool_root ON ONLY pool USING btree (generation, id) WHERE (parent IS NULL);

CREATE INDEX remembered_answer_kept_at ON remembered_answer USING btree (kept_at);

CREATE INDEX role_head_changed ON ONLY role_head USING btree (generation, changed);

CREATE INDEX session_expires ON session USING btree (expires_at);

CREATE INDEX session_person ON session USING btree (person);

CREATE INDEX token_maker ON token USING btree (maker);

CREATE INDEX webhook_dead_letter_redeliver ON webhook_dead_letter USING btree (webhook) WHERE redeliver;

CREATE TRIGGER audit_checkpoint_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON audit_checkpoint FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER audit_hash_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON audit_hash FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER audit_key_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON audit_key FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER event_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON event FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER notice_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON notice FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

ALTER TABLE ONLY audit_checkpoint
    ADD CONSTRAINT audit_checkpoint_verifier_fkey FOREIGN KEY (verifier) REFERENCES audit_key(verifier);

ALTER TABLE ONLY webhook_dead_letter
    ADD CONSTRAINT webhook_dead_letter_webhook_fkey FOREIGN KEY (webhook) REFERENCES webhook(id) ON DELETE CASCADE;
