-- migrate:up

-- The few events that let a pool be over-committed: by it the command service's clock finds the projects to look after.
CREATE INDEX event_overcommit ON event (position) INCLUDE (stream)
    WHERE type IN ('ProjectCreated', 'ClusterCreated') AND position('beyond_hours'::bytea IN data) > 0;

-- migrate:down

DROP INDEX event_overcommit;
