-- migrate:up

-- The leases of Blazar that were allowed and have not ended. It is no history: it says what the leases of an account use
-- together. `lease` is Blazar's id, NULL until Blazar has told it: it asks before the lease has one. `starts` and `ends`
-- are Blazar's own. `amount` is a LeaseAmount as JSON. `booking` is what a call has booked for the lease.
CREATE TABLE blazar_lease (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    pool text NOT NULL,
    openstack_project text NOT NULL,
    lease text,
    name text NOT NULL,
    starts timestamptz NOT NULL,
    ends timestamptz NOT NULL,
    amount text NOT NULL,
    booking uuid,
    UNIQUE (pool, lease)
);
CREATE INDEX blazar_lease_ends ON blazar_lease (pool, ends);

-- migrate:down

DROP TABLE blazar_lease;
