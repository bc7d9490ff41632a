-- migrate:up

-- Who may use a read model may use each of its partitions, by its own name too: COPY and the comparison of two
-- generations name them. The table of a read model has the rights (shared/grants.py), a new partition gets the same.
CREATE FUNCTION share_rights(model text, part text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    allowed record;
BEGIN
    FOR allowed IN
        SELECT a.grantee::regrole AS role, string_agg(a.privilege_type, ', ') AS rights
        FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = model::regclass AND a.grantee <> 0 AND a.grantee <> c.relowner GROUP BY a.grantee
    LOOP
        EXECUTE format('GRANT %s ON %I TO %s', allowed.rights, part, allowed.role);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION create_bare_generation() RETURNS integer LANGUAGE plpgsql AS $$
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
        PERFORM share_rights(model, model || '_' || made);
    END LOOP;
    -- An hour's row is updated many times: room in the page keeps its new version beside the old one. Hours that are
    -- copied into it do not say their generation.
    EXECUTE format('ALTER TABLE %I SET (fillfactor = 70), ALTER generation SET DEFAULT %s', 'availability_hour_' || made, made);
    RETURN made;
END $$;

CREATE OR REPLACE FUNCTION create_generation() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    made  integer;
    model text;
BEGIN
    LOCK TABLE generation IN SHARE ROW EXCLUSIVE MODE;
    SELECT coalesce(max(generation), 0) + 1 INTO made FROM generation;
    INSERT INTO generation (generation) VALUES (made);
    FOREACH model IN ARRAY read_models() LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES IN (%s)', model || '_' || made, model, made);
        PERFORM share_rights(model, model || '_' || made);
    END LOOP;
    -- An hour's row is updated many times: room in the page keeps its new version beside the old one.
    EXECUTE format('ALTER TABLE %I SET (fillfactor = 70)', 'availability_hour_' || made);
    RETURN made;
END $$;

-- migrate:down

CREATE OR REPLACE FUNCTION create_bare_generation() RETURNS integer LANGUAGE plpgsql AS $$
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

CREATE OR REPLACE FUNCTION create_generation() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    made  integer;
    model text;
BEGIN
    LOCK TABLE generation IN SHARE ROW EXCLUSIVE MODE;
    SELECT coalesce(max(generation), 0) + 1 INTO made FROM generation;
    INSERT INTO generation (generation) VALUES (made);
    FOREACH model IN ARRAY read_models() LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES IN (%s)', model || '_' || made, model, made);
    END LOOP;
    -- An hour's row is updated many times: room in the page keeps its new version beside the old one.
    EXECUTE format('ALTER TABLE %I SET (fillfactor = 70)', 'availability_hour_' || made);
    RETURN made;
END $$;

DROP FUNCTION share_rights;
