-- migrate:up

-- The Merkle tree over the stored bytes of the events (RFC 6962): leaf n is position n + 1. Only complete nodes are kept,
-- which never change, of every eighth height: row (level, first) holds the hashes of the nodes `first`, first + 1 … of
-- height `level`, 32 bytes each, and none beyond the next multiple of 256. The other heights are a few hashes away.
CREATE TABLE audit_hash (
    level  smallint NOT NULL,
    first  bigint   NOT NULL,
    hashes bytea    NOT NULL CHECK (length(hashes) % 32 = 0 AND first % 256 + length(hashes) / 32 <= 256),
    PRIMARY KEY (level, first)
);
ALTER TABLE audit_hash ALTER COLUMN hashes SET STORAGE EXTERNAL;

-- The keys that checkpoints were signed with, as a signed note's verifier: name, key id, public key.
CREATE TABLE audit_key (
    verifier   text        NOT NULL PRIMARY KEY,
    first_used timestamptz NOT NULL DEFAULT now()
);

-- The signed checkpoints, each as it was published. Each follows one other, so that two writers cannot both go on from
-- the same one.
CREATE TABLE audit_checkpoint (
    size      bigint      NOT NULL PRIMARY KEY,
    previous  bigint      NOT NULL UNIQUE CHECK (previous < size),
    root      bytea       NOT NULL CHECK (length(root) = 32),
    note      text        NOT NULL,
    verifier  text        NOT NULL REFERENCES audit_key,
    signed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TRIGGER audit_hash_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_hash
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_key_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_key
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_checkpoint_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- migrate:down

DROP TABLE audit_checkpoint, audit_key, audit_hash;
