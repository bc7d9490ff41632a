-- migrate:up

-- Who answers for a webhook: the principal that registered or resumed it; NULL where nobody signed in. Nothing is sent
-- for a maker who has no right to it any more: `ended` says why it was ended.
ALTER TABLE webhook ADD COLUMN maker text, ADD COLUMN ended text;

-- migrate:down

ALTER TABLE webhook DROP COLUMN maker, DROP COLUMN ended;
