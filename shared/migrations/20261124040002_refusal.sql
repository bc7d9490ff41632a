-- migrate:up

-- What was refused: who tried what, and why not. No history, which it is apart from, but a log: written a moment after
-- the answer, some lost in a crash or a flood (`dropped` says how many went before a row), the oldest deleted in time.
CREATE TABLE refusal (
    id      bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL,
    project text        NOT NULL,
    actor   text        NOT NULL,
    command text        NOT NULL,
    asked   json        NOT NULL,
    reason  text,
    code    text        NOT NULL,
    detail  text        NOT NULL,
    facts   json        NOT NULL,
    dropped bigint      NOT NULL DEFAULT 0
);

-- migrate:down

DROP TABLE refusal;
