-- Schema version 2: who did what to keys, the audit trail, and the channel that tells of the keyring.

ALTER TABLE pgcrypt.keyring
    ADD COLUMN activated_at timestamp with time zone,
    ADD COLUMN rewrapped_at timestamp with time zone,
    ADD COLUMN created_by text,
    ADD COLUMN retired_by text,
    ADD COLUMN destroyed_by text;
UPDATE pgcrypt.keyring SET activated_at = created_at;
ALTER TABLE pgcrypt.keyring ALTER COLUMN activated_at SET DEFAULT pg_catalog.now();
COMMENT ON COLUMN pgcrypt.keyring.rewrapped_at IS 'when the key encryption key was last exchanged';
COMMENT ON COLUMN pgcrypt.keyring.created_by IS 'database role and operating system user; NULL for keys older than schema version 2';

CREATE FUNCTION pgcrypt.notify_keyring() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $body$
    BEGIN
        PERFORM pg_notify('pgcrypt_keyring', '');
        RETURN NULL;
    END
    $body$;
CREATE TRIGGER keyring_changed AFTER INSERT OR DELETE OR UPDATE OF state, wrapped ON pgcrypt.keyring
    FOR EACH STATEMENT EXECUTE FUNCTION pgcrypt.notify_keyring();

-- The chain's end is kept apart from the trail, so that the last rows cannot vanish unseen; its row lock
-- lets one writer at a time append.
ALTER TABLE pgcrypt.meta
    ADD COLUMN audit_count bigint NOT NULL DEFAULT 0,
    ADD COLUMN audit_hash bytea NOT NULL DEFAULT '';

CREATE TABLE pgcrypt.audit (
    id     bigint PRIMARY KEY,
    at     timestamp with time zone NOT NULL,
    event  text NOT NULL,
    role   text NOT NULL,
    actor  text NOT NULL,
    key_id integer,
    detail text NOT NULL DEFAULT '',
    hash   bytea NOT NULL
);
COMMENT ON TABLE pgcrypt.audit IS 'what happened to keys; append-only, each hash covers the row and the hash before it';
COMMENT ON COLUMN pgcrypt.audit.role IS 'the database role that logged in';
COMMENT ON COLUMN pgcrypt.audit.actor IS 'the operating system user and host, as the program says';

-- hash = SHA-256 of the hash before (empty for the first row) and of id, at (microseconds since 1970), event,
-- role, actor, key_id (empty for NULL) and detail, each as UTF-8 behind its length (4 bytes, big-endian).
CREATE FUNCTION pgcrypt.append_audit() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $body$
    DECLARE
        chained bytea;
        field text;
        raw bytea;
    BEGIN
        SELECT audit_count + 1, audit_hash INTO STRICT NEW.id, chained FROM pgcrypt.meta FOR UPDATE;
        NEW.at := clock_timestamp();
        NEW.role := session_user;
        FOREACH field IN ARRAY ARRAY[
            NEW.id::text, (extract(epoch FROM NEW.at) * 1000000)::bigint::text, NEW.event, NEW.role, NEW.actor,
            coalesce(NEW.key_id::text, ''), NEW.detail
        ] LOOP
            raw := convert_to(field, 'UTF8');
            chained := chained || int4send(octet_length(raw)) || raw;
        END LOOP;
        NEW.hash := sha256(chained);
        UPDATE pgcrypt.meta SET audit_count = NEW.id, audit_hash = NEW.hash;
        RETURN NEW;
    END
    $body$;
CREATE TRIGGER append BEFORE INSERT ON pgcrypt.audit FOR EACH ROW EXECUTE FUNCTION pgcrypt.append_audit();

CREATE FUNCTION pgcrypt.refuse_audit_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $body$
    BEGIN
        RAISE EXCEPTION 'pgcrypt.audit is append-only' USING ERRCODE = 'insufficient_privilege';
    END
    $body$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON pgcrypt.audit
    FOR EACH STATEMENT EXECUTE FUNCTION pgcrypt.refuse_audit_change();

-- Where `reseal` is in each column. Losing a row costs time only: what is sealed under the active key is skipped.
CREATE TABLE pgcrypt.reseal (
    place       text PRIMARY KEY,
    next_block  bigint NOT NULL DEFAULT 0,
    blocks      bigint NOT NULL DEFAULT 0,
    resealed    bigint NOT NULL DEFAULT 0,
    seconds     double precision NOT NULL DEFAULT 0,
    started_at  timestamp with time zone NOT NULL DEFAULT pg_catalog.now(),
    finished_at timestamp with time zone
);
COMMENT ON TABLE pgcrypt.reseal IS 'progress of reseal, by schema.table.column';

REVOKE ALL ON TABLE pgcrypt.audit, pgcrypt.reseal FROM PUBLIC;

UPDATE pgcrypt.meta SET schema_version = 2;
