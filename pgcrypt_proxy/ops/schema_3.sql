-- Schema version 3: columns of live tables are sealed, or made plain, in a column beside (ADR 0013).

-- A column on its way. Losing `next_block` costs time only.
CREATE TABLE pgcrypt.moves (
    column_id   integer PRIMARY KEY,
    relation    regclass NOT NULL,
    column_name text NOT NULL,
    direction   text NOT NULL CHECK (direction IN ('seal', 'open')),
    state       text NOT NULL DEFAULT 'filling' CHECK (state IN ('filling', 'switching', 'scrubbing')),
    next_block  bigint NOT NULL DEFAULT 0,
    blocks      bigint NOT NULL DEFAULT 0,
    moved       bigint NOT NULL DEFAULT 0,
    seconds     double precision NOT NULL DEFAULT 0,
    started_at  timestamp with time zone NOT NULL DEFAULT pg_catalog.now(),
    UNIQUE (relation, column_name)
);
COMMENT ON TABLE pgcrypt.moves IS 'columns that are being sealed or made plain while applications use them';
COMMENT ON COLUMN pgcrypt.moves.state IS
    'filling: the column beside is being filled; switching: proxies hold statements on the table, the two columns '
    'change places; scrubbing: rows are written anew without the old value';

CREATE FUNCTION pgcrypt.notify_moves() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $body$
    BEGIN
        PERFORM pg_notify('pgcrypt_catalog', '');
        RETURN NULL;
    END
    $body$;
CREATE TRIGGER moves_changed AFTER INSERT OR DELETE OR UPDATE OF state ON pgcrypt.moves
    FOR EACH STATEMENT EXECUTE FUNCTION pgcrypt.notify_moves();

-- Proxies that plan statements on such a table, each for as long as it says: one that has lost its connection cannot
-- say that it has stopped. Unlogged, since none of it is worth anything after a crash.
CREATE UNLOGGED TABLE pgcrypt.watchers (
    watcher      uuid NOT NULL,
    relation     regclass NOT NULL,
    valid_until  timestamp with time zone NOT NULL,
    PRIMARY KEY (watcher, relation)
);

-- A column that took another's place stands last in its table, and is shown where the other stood. Names and
-- regclass, so that a dump restores it.
CREATE TABLE pgcrypt.shown_order (
    relation    regclass NOT NULL,
    column_name text NOT NULL,
    shown_after text NOT NULL DEFAULT '',
    PRIMARY KEY (relation, column_name)
);
COMMENT ON TABLE pgcrypt.shown_order IS
    'columns that proxies show in another place than the last: behind the column shown_after, or first';

REVOKE ALL ON TABLE pgcrypt.moves, pgcrypt.watchers, pgcrypt.shown_order FROM PUBLIC;

UPDATE pgcrypt.meta SET schema_version = 3;
