-- migrate:up

-- When a notice was made, which may be after it was due: of a booking that was made for the hour that runs. Of those that
-- there are it is not known.
ALTER TABLE notice ADD COLUMN made_at timestamptz;
ALTER TABLE notice ALTER COLUMN made_at SET DEFAULT now();

-- migrate:down

ALTER TABLE notice DROP COLUMN made_at;
