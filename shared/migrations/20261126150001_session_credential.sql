-- migrate:up

-- The credential with which somebody signed in on the page, where it was a token. The session may never do more than the
-- token, and ends with it: so the token is verified again. It is encrypted with a key that only the session's cookie
-- gives. NULL: an issuer said who it is, by the authorization code flow.
ALTER TABLE session ADD COLUMN sealed bytea;

-- migrate:down
ALTER TABLE session DROP COLUMN sealed;
