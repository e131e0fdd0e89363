-- The database objects of pgcrypt-proxy, schema version 1. Run once, by `pgcrypt-proxy init`.
-- Every name is qualified, so that no search_path changes what a function means.

CREATE SCHEMA pgcrypt;
COMMENT ON SCHEMA pgcrypt IS 'pgcrypt-proxy: keyring, protected columns and their domains';

CREATE TABLE pgcrypt.meta (
    keyring_id     uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
    schema_version integer NOT NULL,
    installed_at   timestamp with time zone NOT NULL DEFAULT pg_catalog.now(),
    is_only_row    boolean NOT NULL DEFAULT true UNIQUE CHECK (is_only_row)
);
COMMENT ON COLUMN pgcrypt.meta.keyring_id IS 'bound into every envelope: values of one keyring do not open under another';

CREATE TABLE pgcrypt.keyring (
    id           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('dek', 'index')),
    data_class   text NOT NULL,
    tenant       text NOT NULL DEFAULT '',
    generation   integer NOT NULL CHECK (generation > 0),
    state        text NOT NULL CHECK (state IN ('active', 'retired', 'destroyed')),
    provider     text NOT NULL,
    kek_id       text NOT NULL,
    wrapped      bytea,
    seals        bigint NOT NULL DEFAULT 0,
    created_at   timestamp with time zone NOT NULL DEFAULT pg_catalog.now(),
    retired_at   timestamp with time zone,
    destroyed_at timestamp with time zone,
    UNIQUE (kind, data_class, tenant, generation),
    CONSTRAINT destroyed_keys_are_gone CHECK ((state = 'destroyed') = (wrapped IS NULL)),
    CONSTRAINT seals_below_2_32 CHECK (seals BETWEEN 0 AND 4294967296)
);
CREATE UNIQUE INDEX keyring_one_active ON pgcrypt.keyring (kind, data_class, tenant) WHERE state = 'active';
COMMENT ON TABLE pgcrypt.keyring IS 'data and index keys, each wrapped by the key encryption key of its provider';
COMMENT ON COLUMN pgcrypt.keyring.seals IS 'envelopes that may have been sealed with this key; granted to proxies in blocks';

CREATE TABLE pgcrypt.columns (
    id           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    logical_type text NOT NULL,
    data_class   text NOT NULL,
    search       text[] NOT NULL DEFAULT '{}',
    index_domain text NOT NULL DEFAULT '',
    protected_at timestamp with time zone NOT NULL DEFAULT pg_catalog.now(),
    schema_name  text NOT NULL,
    table_name   text NOT NULL,
    column_name  text NOT NULL
);
COMMENT ON TABLE pgcrypt.columns IS
    'protected columns; the column of type pgcrypt.sealed_<id> is the one, its names here are those it had when it was protected';

-- Byte 0 is the version, byte 1 the flags: bit 0 equality term, bit 1 case-folded term, bits 4 to 7 the
-- generation of the index key. 34 bytes are an envelope of nothing without terms; each term has 16.
CREATE FUNCTION pgcrypt.is_envelope(value bytea) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $body$
        SELECT CASE
            WHEN value IS NULL THEN NULL
            WHEN pg_catalog.octet_length(value) OPERATOR(pg_catalog.<) 34 THEN false
            WHEN pg_catalog.get_byte(value, 0) OPERATOR(pg_catalog.<>) 1 THEN false
            WHEN (pg_catalog.get_byte(value, 1) OPERATOR(pg_catalog.&) 12) OPERATOR(pg_catalog.<>) 0 THEN false
            ELSE pg_catalog.octet_length(value) OPERATOR(pg_catalog.>=) (34
                OPERATOR(pg_catalog.+) (16 OPERATOR(pg_catalog.*) pg_catalog.get_bit(value, 8))
                OPERATOR(pg_catalog.+) (16 OPERATOR(pg_catalog.*) pg_catalog.get_bit(value, 9)))
        END
    $body$;
COMMENT ON FUNCTION pgcrypt.is_envelope(bytea) IS 'whether the bytes have the form of an envelope';

-- Not STRICT: a strict function with a CASE is not inlined, and expression indexes would go unused.
CREATE FUNCTION pgcrypt.eq(value bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $body$
        SELECT CASE WHEN pg_catalog.get_bit(value, 8) OPERATOR(pg_catalog.=) 1
            THEN pg_catalog.substr(value, 7, 16) END
    $body$;
COMMENT ON FUNCTION pgcrypt.eq(bytea) IS 'the equality term of an envelope';

CREATE FUNCTION pgcrypt.eqci(value bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $body$
        SELECT CASE WHEN pg_catalog.get_bit(value, 9) OPERATOR(pg_catalog.=) 1
            THEN pg_catalog.substr(value, 7 OPERATOR(pg_catalog.+) (16 OPERATOR(pg_catalog.*) pg_catalog.get_bit(value, 8)), 16) END
    $body$;
COMMENT ON FUNCTION pgcrypt.eqci(bytea) IS 'the case-folded equality term of an envelope';

-- One envelope of a group of equal ones. any_value() is PostgreSQL 16's, min(bytea) 18's. Strict: the first
-- that is not NULL becomes the state.
CREATE FUNCTION pgcrypt.first_of(state bytea, value bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $body$ SELECT state $body$;
CREATE AGGREGATE pgcrypt.first(bytea) (
    SFUNC = pgcrypt.first_of, STYPE = bytea, COMBINEFUNC = pgcrypt.first_of, PARALLEL = SAFE
);
COMMENT ON AGGREGATE pgcrypt.first(bytea) IS 'the first envelope that is not NULL';

CREATE DOMAIN pgcrypt.sealed AS bytea CONSTRAINT is_envelope CHECK (pgcrypt.is_envelope(VALUE));
COMMENT ON DOMAIN pgcrypt.sealed IS 'an envelope; each protected column has a domain of its own over this one';

GRANT USAGE ON SCHEMA pgcrypt TO PUBLIC;
GRANT EXECUTE ON FUNCTION pgcrypt.is_envelope(bytea), pgcrypt.eq(bytea), pgcrypt.eqci(bytea),
    pgcrypt.first_of(bytea, bytea), pgcrypt.first(bytea) TO PUBLIC;
GRANT USAGE ON DOMAIN pgcrypt.sealed TO PUBLIC;
REVOKE ALL ON TABLE pgcrypt.meta, pgcrypt.keyring, pgcrypt.columns FROM PUBLIC;

INSERT INTO pgcrypt.meta (schema_version) VALUES (1);
