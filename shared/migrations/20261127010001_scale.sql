-- migrate:up

-- The pools of a project, in the order in which a list shows them.
DROP INDEX pool_project;
CREATE INDEX pool_project ON pool (generation, project, id);
DROP INDEX past_pool_project;
CREATE INDEX past_pool_project ON past_pool (project, id);

-- The projects alone, in the order in which a list shows them.
CREATE INDEX pool_root ON pool (generation, id) WHERE parent IS NULL;

-- The pools that may over-commit.
CREATE INDEX pool_overcommits ON pool (generation, pool) WHERE beyond_hours IS NOT NULL;

-- A booking that overlaps a period ends within 31 days after the period, or is longer than 31 days. These indexes have
-- the longer ones, which are few. So a read of a time long ago looks at no booking that came much later.
CREATE INDEX live_booking_long ON live_booking (generation, pool, ends) WHERE ends - starts > interval '31 days';
CREATE INDEX live_booking_account_long ON live_booking (generation, account, ends)
    WHERE ends - starts > interval '31 days';
CREATE INDEX past_booking_long ON past_booking (pool, ends) WHERE ends - starts > interval '31 days';
CREATE INDEX past_booking_account_long ON past_booking (account, ends) WHERE ends - starts > interval '31 days';

-- The notices of a project, in order.
CREATE INDEX notice_project ON notice (project, seq);

-- migrate:down

DROP INDEX notice_project;
DROP INDEX past_booking_account_long;
DROP INDEX past_booking_long;
DROP INDEX live_booking_account_long;
DROP INDEX live_booking_long;
DROP INDEX pool_overcommits;
DROP INDEX pool_root;
DROP INDEX past_pool_project;
CREATE INDEX past_pool_project ON past_pool (project);
DROP INDEX pool_project;
CREATE INDEX pool_project ON pool (generation, project);
