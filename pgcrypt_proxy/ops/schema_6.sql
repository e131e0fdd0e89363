-- Schema version 6: columns that applications encrypt themselves are imported while these use them (ADR 0017).

ALTER TABLE pgcrypt.moves
    DROP CONSTRAINT moves_direction_check,
    ADD CONSTRAINT moves_direction_check CHECK (direction IN ('seal', 'open', 'reindex', 'import'));

UPDATE pgcrypt.meta SET schema_version = 6;
