-- Tells running proxies that the catalog changed. Needs a role that may create event triggers; without
-- it the proxies reload by themselves. Temporary objects and bare maintenance say nothing.
CREATE OR REPLACE FUNCTION pgcrypt.notify_catalog() RETURNS event_trigger
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $body$
    BEGIN
        IF tg_event = 'sql_drop' THEN
            IF NOT EXISTS (SELECT FROM pg_event_trigger_dropped_objects() d WHERE NOT d.is_temporary) THEN
                RETURN;
            END IF;
        ELSIF NOT EXISTS (
            SELECT FROM pg_event_trigger_ddl_commands() c
            WHERE c.schema_name IS DISTINCT FROM 'pg_temp'
              AND c.command_tag NOT IN ('COMMENT', 'GRANT', 'REVOKE', 'CREATE INDEX', 'REFRESH MATERIALIZED VIEW')
        ) THEN
            RETURN;
        END IF;
        PERFORM pg_notify('pgcrypt_catalog', '');
    END
    $body$;

CREATE EVENT TRIGGER pgcrypt_ddl ON ddl_command_end EXECUTE FUNCTION pgcrypt.notify_catalog();
CREATE EVENT TRIGGER pgcrypt_drop ON sql_drop EXECUTE FUNCTION pgcrypt.notify_catalog();
