-- migrate:up

-- Who answers for a webhook: the principal that registered or resumed it last; NULL where nobody signed in. It had the
-- right to it at the position `maker_since`. When the maker has lost it, nothing is sent any more, and `ended` says why.
ALTER TABLE webhook ADD COLUMN maker text, ADD COLUMN maker_since bigint NOT NULL DEFAULT 0, ADD COLUMN ended text;

-- migrate:down

ALTER TABLE webhook DROP COLUMN maker, DROP COLUMN maker_since, DROP COLUMN ended;
