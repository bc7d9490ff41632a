-- migrate:up

-- The kept answer to the key of a webhook had the secret of its signatures. It has null there now.
UPDATE remembered_answer
SET body = convert_to(regexp_replace(convert_from(body, 'UTF8'), '"secret":"whsec_[^"]*"', '"secret":null'), 'UTF8')
WHERE position('"secret":"whsec_'::bytea IN body) > 0;

-- migrate:down
