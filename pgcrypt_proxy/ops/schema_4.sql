-- Schema version 4: index keys rotate (ADR 0014). Until now there was one index key.

-- Without a default: whoever does not say under which index key a column's terms are must make none.
ALTER TABLE pgcrypt.columns ADD COLUMN index_generation integer;
UPDATE pgcrypt.columns SET index_generation = CASE WHEN search = '{}' THEN 0 ELSE COALESCE(
    (SELECT generation FROM pgcrypt.keyring WHERE kind = 'index' AND state = 'active'), 1) END;
ALTER TABLE pgcrypt.columns
    ALTER COLUMN index_generation SET NOT NULL,
    ADD CONSTRAINT terms_have_a_generation CHECK (index_generation >= 0 AND (index_generation = 0) = (search = '{}'));
COMMENT ON COLUMN pgcrypt.columns.index_generation IS
    'the generation of the index key that all terms of the column are made with; 0 without terms';

-- Rows of `reindex` have the id of the column's new type.
ALTER TABLE pgcrypt.moves
    DROP CONSTRAINT moves_direction_check,
    ADD CONSTRAINT moves_direction_check CHECK (direction IN ('seal', 'open', 'reindex'));

UPDATE pgcrypt.meta SET schema_version = 4;
