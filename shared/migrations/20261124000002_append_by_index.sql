-- migrate:up

-- On a table that has grown since it was last analysed, the planner finds a few thousand command ids by reading all of
-- it. The right plan never changes, so it is not left to estimates.
ALTER FUNCTION append_events SET enable_seqscan = off;

-- migrate:down

ALTER FUNCTION append_events RESET enable_seqscan;
