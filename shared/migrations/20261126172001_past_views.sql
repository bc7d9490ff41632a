-- migrate:up

-- The read models as they were at a past position. The views have the names and the columns of the read models. A session
-- whose search path begins with this schema reads the past with the statements that read the present. Nothing is made in
-- the session, so it may be one of a standby.
CREATE SCHEMA past;

-- The position that the session reads. Outside of such a session it is an error to look at a view.
CREATE VIEW past.generation AS
SELECT 0 AS generation, true AS live, current_setting('hourbook.position')::bigint AS position, now() AS moved_at,
    NULL::bigint AS parked_position, NULL::text AS parked_error,
    current_setting('hourbook.position')::bigint AS roles_changed;

CREATE VIEW past.pool AS
SELECT 0 AS generation, pool, id, parent, project, name, kind, starts, ends,
    current_setting('hourbook.position')::bigint AS touched, beyond_hours, tentative, claimed,
    masterflavor, mastercount, workerflavor, workercount
FROM public.past_pool
WHERE since <= current_setting('hourbook.position')::bigint AND until > current_setting('hourbook.position')::bigint;

CREATE VIEW past.live_grant AS
SELECT 0 AS generation, id, pool, starts, ends, servers, cores, memory, tempdisc, userdisc, datadisc, actor, source
FROM public.past_grant
WHERE since <= current_setting('hourbook.position')::bigint AND until > current_setting('hourbook.position')::bigint;

CREATE VIEW past.live_booking AS
SELECT 0 AS generation, id, pool, starts, ends, servers, cores, memory, tempdisc, userdisc, datadisc, actor, account,
    share, tentative, created, claimed, segment, template, template_version, template_count, series,
    CASE WHEN since > claimed THEN since END AS changed
FROM public.past_booking
WHERE since <= current_setting('hourbook.position')::bigint AND until > current_setting('hourbook.position')::bigint;

CREATE VIEW past.template AS
SELECT 0 AS generation, project, name, version, servers, cores, memory, tempdisc, userdisc, datadisc, actor, created
FROM public.past_template
WHERE since <= current_setting('hourbook.position')::bigint AND until > current_setting('hourbook.position')::bigint;

CREATE VIEW past.account AS
SELECT 0 AS generation, project, account, name, limits, closed, created
FROM public.past_account
WHERE since <= current_setting('hourbook.position')::bigint AND until > current_setting('hourbook.position')::bigint;

CREATE VIEW past.cluster_resize AS
SELECT 0 AS generation, pool, position, decided, request, state, starts, ends,
    servers, cores, memory, tempdisc, userdisc, datadisc, masterflavor, mastercount, workerflavor, workercount,
    lapsed, error, actor
FROM public.past_resize
WHERE since <= current_setting('hourbook.position')::bigint AND until > current_setting('hourbook.position')::bigint;

CREATE VIEW past.role AS
SELECT 0 AS generation, pool, member, role, granted, actor
FROM public.past_role
WHERE since <= current_setting('hourbook.position')::bigint AND until > current_setting('hourbook.position')::bigint;

CREATE VIEW past.account_member AS
SELECT 0 AS generation, project, account, member, added, actor
FROM public.past_account_member
WHERE since <= current_setting('hourbook.position')::bigint AND until > current_setting('hourbook.position')::bigint;

-- The hours that the session was given, out of its settings `hourbook.given_...`: one array for each column, and a value
-- for each run of equal hours. `starts` and `ends` are hours since 1970, [starts, ends). The query service computes the
-- hours, for SQL cannot read the packed snapshots in past_hours. The function is VOLATILE so that PostgreSQL does not put
-- its statement in the place of the call: then the planner would take the hours for ten, and join them one by one.
CREATE FUNCTION past.given_hours() RETURNS TABLE (
    pool integer, hour timestamptz, short boolean,
    granted_servers bigint, granted_cores bigint, granted_memory bigint,
    granted_tempdisc bigint, granted_userdisc bigint, granted_datadisc bigint,
    booked_servers bigint, booked_cores bigint, booked_memory bigint,
    booked_tempdisc bigint, booked_userdisc bigint, booked_datadisc bigint,
    shares bigint
)
LANGUAGE sql VOLATILE PARALLEL RESTRICTED ROWS 10000 AS $$
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

CREATE VIEW past.availability_hour AS
SELECT 0 AS generation, pool, hour,
    granted_servers, granted_cores, granted_memory, granted_tempdisc, granted_userdisc, granted_datadisc,
    booked_servers, booked_cores, booked_memory, booked_tempdisc, booked_userdisc, booked_datadisc, shares
FROM past.given_hours();

CREATE VIEW past.short_hour AS
SELECT 0 AS generation, pool, hour FROM past.given_hours() WHERE short;

-- migrate:down

DROP SCHEMA past CASCADE;
