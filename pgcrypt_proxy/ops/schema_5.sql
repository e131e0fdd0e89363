-- Schema version 5: keys of tenants (ADR 0015). The keyring has had the column from the beginning.

ALTER TABLE pgcrypt.columns ADD COLUMN tenant text NOT NULL DEFAULT ''
    CONSTRAINT tenant_has_a_source CHECK (tenant ~ '^(|column:.+|setting:pgcrypt[.]tenant)$');
COMMENT ON COLUMN pgcrypt.columns.tenant IS
    'whose key seals a value: "column:" and the name of a column of the same row, or "setting:pgcrypt.tenant"; empty without tenants';

-- Index keys have no tenants.
ALTER TABLE pgcrypt.keyring
    ADD CONSTRAINT only_data_keys_have_tenants CHECK (kind = 'dek' OR tenant = ''),
    ADD CONSTRAINT tenants_are_short CHECK (pg_catalog.octet_length(tenant) <= 200);
CREATE INDEX keyring_by_tenant ON pgcrypt.keyring (tenant, data_class) WHERE tenant <> '';

-- A new tenant's key is no news for proxies: they load it when they need it, and look twice a second at those they have.
DROP TRIGGER keyring_changed ON pgcrypt.keyring;
CREATE TRIGGER keyring_inserted AFTER INSERT ON pgcrypt.keyring
    FOR EACH ROW WHEN (NEW.tenant = '') EXECUTE FUNCTION pgcrypt.notify_keyring();
CREATE TRIGGER keyring_updated AFTER UPDATE OF state, wrapped ON pgcrypt.keyring
    FOR EACH ROW WHEN (NEW.tenant = '') EXECUTE FUNCTION pgcrypt.notify_keyring();
CREATE TRIGGER keyring_deleted AFTER DELETE ON pgcrypt.keyring
    FOR EACH ROW WHEN (OLD.tenant = '') EXECUTE FUNCTION pgcrypt.notify_keyring();

-- Tenants whose keys were destroyed, or are about to be: they get no new ones before a row is taken away.
CREATE TABLE pgcrypt.erased_tenants (
    tenant     text PRIMARY KEY,
    erased_at  timestamp with time zone NOT NULL DEFAULT pg_catalog.now(),
    erased_by  text NOT NULL,
    audit_id   bigint
);
COMMENT ON TABLE pgcrypt.erased_tenants IS 'tenants that get no keys any more; audit_id is the event that tells of it, once it is done';

REVOKE ALL ON TABLE pgcrypt.erased_tenants FROM PUBLIC;

UPDATE pgcrypt.meta SET schema_version = 5;
