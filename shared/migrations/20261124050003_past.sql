-- migrate:up

-- What the read models were at every position, for reads with as_of. It is filled a moment behind the events, one after
-- the other, in a transaction a batch; `position` is how far it is. No rebuild touches it: the past does not change.
CREATE TABLE past_head (
    only_row boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (only_row),
    position bigint  NOT NULL
);
INSERT INTO past_head (position) VALUES (0);

-- What each event adds to the hours of a pool: the hours at a position are the sum of these up to it.
CREATE TABLE past_change (
    position bigint  NOT NULL,
    pool     integer NOT NULL,
    starts   timestamptz NOT NULL,
    ends     timestamptz NOT NULL,
    granted_servers  bigint NOT NULL, granted_cores    bigint NOT NULL, granted_memory   bigint NOT NULL,
    granted_tempdisc bigint NOT NULL, granted_userdisc bigint NOT NULL, granted_datadisc bigint NOT NULL,
    booked_servers   bigint NOT NULL, booked_cores     bigint NOT NULL, booked_memory    bigint NOT NULL,
    booked_tempdisc  bigint NOT NULL, booked_userdisc  bigint NOT NULL, booked_datadisc  bigint NOT NULL,
    shares   bigint NOT NULL
);
CREATE INDEX past_change_pool ON past_change (pool, position);

-- All hours of a pool at a position, packed: int64, little-endian, one row of 13 (as in past_change) an hour from the
-- hour `base` (since 1970) on, compressed with zlib. Between two of them a few thousand changes are summed.
CREATE TABLE past_hours (
    pool     integer NOT NULL,
    position bigint  NOT NULL,
    base     bigint  NOT NULL,
    cells    bytea   NOT NULL,
    PRIMARY KEY (pool, position)
);
ALTER TABLE past_hours ALTER COLUMN cells SET STORAGE EXTERNAL;

-- The rows of the other read models, each version of them: as it was from the event at `since` on until the event at
-- `until`, which is beyond all positions while it still is.
CREATE TABLE past_pool (
    since bigint NOT NULL, until bigint NOT NULL DEFAULT 9223372036854775807,
    pool integer NOT NULL, id text NOT NULL, parent integer, project text NOT NULL, name text NOT NULL,
    kind text NOT NULL, starts timestamptz, ends timestamptz, beyond_hours integer, tentative boolean NOT NULL,
    claimed bigint NOT NULL, masterflavor text, mastercount bigint, workerflavor text, workercount bigint,
    PRIMARY KEY (pool, since)
);
CREATE INDEX past_pool_id ON past_pool (id);
CREATE INDEX past_pool_project ON past_pool (project);

CREATE TABLE past_grant (
    since bigint NOT NULL, until bigint NOT NULL DEFAULT 9223372036854775807,
    id uuid NOT NULL, pool integer NOT NULL, starts timestamptz NOT NULL, ends timestamptz NOT NULL,
    servers bigint NOT NULL, cores bigint NOT NULL, memory bigint NOT NULL,
    tempdisc bigint NOT NULL, userdisc bigint NOT NULL, datadisc bigint NOT NULL,
    actor text NOT NULL, source text,
    PRIMARY KEY (id, since)
);
CREATE INDEX past_grant_period ON past_grant (pool, ends);

CREATE TABLE past_booking (
    since bigint NOT NULL, until bigint NOT NULL DEFAULT 9223372036854775807,
    id uuid NOT NULL, segment integer NOT NULL, pool integer NOT NULL,
    starts timestamptz NOT NULL, ends timestamptz NOT NULL,
    servers bigint NOT NULL, cores bigint NOT NULL, memory bigint NOT NULL,
    tempdisc bigint NOT NULL, userdisc bigint NOT NULL, datadisc bigint NOT NULL,
    actor text NOT NULL, account text NOT NULL, share integer NOT NULL, tentative boolean NOT NULL,
    created bigint NOT NULL, claimed bigint NOT NULL, template text, template_version integer, template_count integer,
    series uuid,
    PRIMARY KEY (id, segment, since)
);
CREATE INDEX past_booking_period ON past_booking (pool, ends);
CREATE INDEX past_booking_account ON past_booking (account, ends);

CREATE TABLE past_account (
    since bigint NOT NULL, until bigint NOT NULL DEFAULT 9223372036854775807,
    project text NOT NULL, account text NOT NULL, name text NOT NULL, limits jsonb NOT NULL, closed boolean NOT NULL,
    created bigint NOT NULL,
    PRIMARY KEY (project, account, since)
);

CREATE TABLE past_resize (
    since bigint NOT NULL, until bigint NOT NULL DEFAULT 9223372036854775807,
    pool integer NOT NULL, position bigint NOT NULL, decided bigint NOT NULL, request uuid, state text NOT NULL,
    starts timestamptz NOT NULL, ends timestamptz NOT NULL,
    servers bigint NOT NULL, cores bigint NOT NULL, memory bigint NOT NULL,
    tempdisc bigint NOT NULL, userdisc bigint NOT NULL, datadisc bigint NOT NULL,
    masterflavor text, mastercount bigint, workerflavor text, workercount bigint, lapsed boolean NOT NULL, error text,
    actor text NOT NULL,
    PRIMARY KEY (pool, position, since)
);
CREATE INDEX past_resize_request ON past_resize (request) WHERE request IS NOT NULL;

CREATE TABLE past_template (
    since bigint NOT NULL, until bigint NOT NULL DEFAULT 9223372036854775807,
    project text NOT NULL, name text NOT NULL, version integer NOT NULL,
    servers bigint NOT NULL, cores bigint NOT NULL, memory bigint NOT NULL,
    tempdisc bigint NOT NULL, userdisc bigint NOT NULL, datadisc bigint NOT NULL,
    actor text NOT NULL, created bigint NOT NULL,
    PRIMARY KEY (project, name, version, since)
);

-- migrate:down

DROP TABLE past_template, past_resize, past_account, past_booking, past_grant, past_pool, past_hours, past_change,
    past_head;
