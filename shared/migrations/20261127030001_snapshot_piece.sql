-- migrate:up

-- The pieces of a snapshot: blocks of bookings, and what the pools hold. A piece never changes, and its id is made of its
-- bytes, so a snapshot writes only what is new. The row of the snapshot lists its pieces; it changes in one transaction
-- with them. The bytes are packed already.
CREATE TABLE snapshot_piece (
    stream text  NOT NULL,
    id     bytea NOT NULL,
    data   bytea NOT NULL,
    PRIMARY KEY (stream, id)
);
ALTER TABLE snapshot_piece ALTER COLUMN data SET STORAGE EXTERNAL;

-- migrate:down

DROP TABLE snapshot_piece;
