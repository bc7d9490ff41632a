-- migrate:up

-- People and credentials. Nothing here is history: a person can be forgotten, and every proof still holds. No table has
-- a secret: a credential is kept as its SHA-256.

-- Grows when a credential is revoked. Each process looks at it every second, and then forgets what it has verified.
CREATE TABLE identity_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version  bigint NOT NULL
);
INSERT INTO identity_head (version) VALUES (0);

-- The directory of people: what their issuer said of them when they signed in last. `id` is the actor of events.
CREATE TABLE person (
    id      text PRIMARY KEY,
    name    text,
    email   text,
    groups  text[] NOT NULL DEFAULT '{}',
    seen_at timestamptz NOT NULL DEFAULT now()
);

-- Tokens of programs. `maker` is the person who made it, NULL for the operator. `limits` is what it may do at most.
CREATE TABLE token (
    id         uuid PRIMARY KEY,
    hash       bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    name       text NOT NULL,
    maker      text,
    limits     jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX token_maker ON token (maker);

-- Sign-ins on the page. `groups` are the names of groups as role bindings have them.
CREATE TABLE session (
    hash       bytea PRIMARY KEY CHECK (length(hash) = 32),
    person     text NOT NULL,
    auth       text NOT NULL,
    groups     text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX session_person ON session (person);
CREATE INDEX session_expires ON session (expires_at);

-- Secret addresses of feeds, for calendar programs. Each reads `path` for `maker`, and nothing else.
CREATE TABLE feed_address (
    id         uuid PRIMARY KEY,
    hash       bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    path       text NOT NULL,
    maker      text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX feed_address_maker ON feed_address (maker, path);

-- migrate:down
DROP TABLE feed_address, session, token, person, identity_head;
