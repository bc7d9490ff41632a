-- migrate:up

-- The amount of a dimension that shares reserve in an hour: granted * shares / 10000, rounded up; `shares` are basis
-- points. Neither argument may be negative, because integer division cuts towards zero here. It is a single expression
-- and not STRICT, so that PostgreSQL writes the expression in the place of the call. shared/capacity.py has the same rule
-- for Python.
CREATE FUNCTION reserved(granted bigint, shares bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (granted * shares + 9999) / 10000;

-- migrate:down

DROP FUNCTION reserved(bigint, bigint);
