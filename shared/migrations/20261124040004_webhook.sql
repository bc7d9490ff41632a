-- migrate:up

-- Who is told by HTTP, of what, and how far: `position` is the last event and `notice` the last notice that was
-- delivered, is dead, or is not wanted. `types` NULL is all event types; `kinds` are those of notices. What stands in
-- front is tried again at `retry_at`; `failures` counts those since the last success.
CREATE TABLE webhook (
    id         uuid        NOT NULL PRIMARY KEY,
    url        text        NOT NULL,
    project    text,
    types      text[],
    kinds      text[]      NOT NULL,
    secret     text        NOT NULL,
    created_by text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    position   bigint      NOT NULL,
    notice     bigint      NOT NULL,
    attempts   integer     NOT NULL DEFAULT 0,
    failures   integer     NOT NULL DEFAULT 0,
    retry_at   timestamptz,
    delivered_at timestamptz,
    last_error text,
    disabled   text
);

-- What was given up. `source` is event or notice, `number` its position or seq.
CREATE TABLE webhook_dead_letter (
    webhook   uuid        NOT NULL REFERENCES webhook ON DELETE CASCADE,
    message   text        NOT NULL,
    source    text        NOT NULL,
    number    bigint      NOT NULL,
    attempts  integer     NOT NULL,
    error     text        NOT NULL,
    failed_at timestamptz NOT NULL,
    redeliver boolean     NOT NULL DEFAULT false,
    PRIMARY KEY (webhook, message)
);
CREATE INDEX webhook_dead_letter_redeliver ON webhook_dead_letter (webhook) WHERE redeliver;

-- migrate:down

DROP TABLE webhook_dead_letter, webhook;
