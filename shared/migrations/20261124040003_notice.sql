-- migrate:up

-- What time has brought, told once each: `seq` counts 1, 2, 3 … without a gap, `id` says the same of the same thing
-- whoever makes it, `due` is the instant that it tells of. The rows are the outbox of the stream HOURBOOK_NOTICES, and
-- what webhooks and GET /notices read.
CREATE TABLE notice (
    seq     bigint      NOT NULL PRIMARY KEY,
    id      text        NOT NULL UNIQUE,
    kind    text        NOT NULL,
    project text        NOT NULL,
    subject text        NOT NULL,
    due     timestamptz NOT NULL,
    data    json        NOT NULL
);
CREATE TRIGGER notice_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON notice
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- How far the schedule is: all notices that were due at `told_until` or before are out, and all bookings that the events
-- up to `position` made or moved have been looked at. `seq` is the last notice, `published` the last one on the stream.
CREATE TABLE notice_head (
    only_row   boolean     NOT NULL PRIMARY KEY DEFAULT true CHECK (only_row),
    told_until timestamptz,
    position   bigint      NOT NULL DEFAULT 0,
    seq        bigint      NOT NULL DEFAULT 0,
    published  bigint      NOT NULL DEFAULT 0
);
INSERT INTO notice_head DEFAULT VALUES;

-- migrate:down

DROP TABLE notice_head, notice;
