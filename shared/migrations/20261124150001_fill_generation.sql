-- migrate:up

-- As create_generation, for who fills it before it is used. Its bookings are in a table of their own with nothing but the
-- primary key: every other index would cost the fill more than the row does, and is built in one go at the end.
CREATE FUNCTION create_bare_generation() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    made  integer;
    model text;
BEGIN
    LOCK TABLE generation IN SHARE ROW EXCLUSIVE MODE;
    SELECT coalesce(max(generation), 0) + 1 INTO made FROM generation;
    INSERT INTO generation (generation) VALUES (made);
    FOREACH model IN ARRAY read_models() LOOP
        IF model = 'live_booking' THEN  -- the check spares complete_generation a look at every row
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS, PRIMARY KEY (generation, id, segment),
                            CHECK (generation = %s))', model || '_' || made, model, made);
        ELSE
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES IN (%s)', model || '_' || made, model, made);
        END IF;
    END LOOP;
    -- An hour's row is updated many times: room in the page keeps its new version beside the old one. Hours that are
    -- copied into it do not say their generation.
    EXECUTE format('ALTER TABLE %I SET (fillfactor = 70), ALTER generation SET DEFAULT %s', 'availability_hour_' || made, made);
    RETURN made;
END $$;

-- Makes what create_bare_generation has made a part of the read models. Queries of other generations go on meanwhile.
CREATE FUNCTION complete_generation(completed integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE live_booking ATTACH PARTITION %I FOR VALUES IN (%s)',
                   'live_booking_' || completed, completed);
END $$;

-- migrate:down

DROP FUNCTION create_bare_generation, complete_generation;
