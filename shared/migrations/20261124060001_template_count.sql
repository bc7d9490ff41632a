-- migrate:up

-- How many of a template a booking is of is bounded by what an amount may be, which is more than an integer holds.
ALTER TABLE live_booking ALTER COLUMN template_count TYPE bigint;
ALTER TABLE past_booking ALTER COLUMN template_count TYPE bigint;

-- migrate:down

ALTER TABLE past_booking ALTER COLUMN template_count TYPE integer;
ALTER TABLE live_booking ALTER COLUMN template_count TYPE integer;
