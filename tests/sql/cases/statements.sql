BEGIN; INSERT INTO items VALUES (1,'users'); UPDATE users SET email=upper('secret'); COMMIT
--> refused 0A000 at 69: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.email"
--> text: BEGIN; INSERT INTO items VALUES (1,'users');  SELECT pg_catalog.pgcrypt_proxy_refused(); COMMIT

SELECT 1; SELECT email FROM users WHERE email = 'alpha@x'; SELECT 2
--> text: SELECT 1; SELECT email FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'>; SELECT 2
--> outputs: public.users.email

SELECT 1;

 SELECT upper(email) FROM users WHERE email = 'alpha@x' ; DROP TABLE users
--> refused 0A000 at 26: function upper() is not possible on protected column "public.users.email"
--> text: SELECT 1;\n\n  SELECT pg_catalog.pgcrypt_proxy_refused(); DROP TABLE users

-- only a comment
--> untouched

COPY items FROM STDIN
--> untouched

CREATE TABLE t (x text)
--> untouched

CREATE TABLE users (id int)
--> needs names +public

CREATE TEMP TABLE users (id int)
--> refused 0A000 at 19: CREATE TEMPORARY TABLE under its name is not supported on protected table "users"

CREATE TABLE copy AS SELECT email FROM users
--> refused 0A000 at None: CREATE TABLE AS is not possible on protected column "public.users.email"

CREATE VIEW w AS SELECT email FROM users
--> untouched

CREATE MATERIALIZED VIEW w AS SELECT email FROM users
--> untouched

CREATE TABLE kid () INHERITS (users)
--> untouched

CREATE TABLE t (LIKE users)
--> untouched

CREATE RULE r AS ON INSERT TO items DO ALSO INSERT INTO users (email) VALUES ('alpha@x')
--> refused 0A000 at None: Rule is not supported on protected table "users"

CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT email FROM users'
--> refused 0A000 at None: CREATE FUNCTION is not supported on protected table "users"

CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'
--> untouched

CREATE INDEX i ON users (email)
--> text: CREATE INDEX i ON users (pgcrypt.eq("email"))

ALTER TABLE users ALTER COLUMN email TYPE text
--> text: ALTER TABLE users ALTER COLUMN email TYPE pgcrypt.sealed_1

ALTER TABLE users RENAME TO people2
--> refused 0A000 at 13: RENAME or SET SCHEMA without a rule that says the same of the new name is not supported on protected table "public.people2.email"

ALTER TABLE users ADD COLUMN x text DEFAULT 'alpha@x'
--> untouched

ALTER TABLE items ADD COLUMN x text
--> untouched

DROP TABLE users
--> untouched

DROP TABLE items
--> untouched

DROP VIEW v_users
--> untouched

COMMENT ON COLUMN users.email IS 'alpha@x'
--> untouched

TRUNCATE users
--> untouched

LOCK TABLE users IN SHARE MODE
--> untouched

GRANT SELECT ON users TO app
--> untouched

VACUUM users
--> untouched

DO $$ begin update users set email = 'alpha@x'; end $$
--> refused 0A000 at None: DO is not supported on protected table "users"

DO $$ begin perform 1; end $$
--> untouched

CALL rename_user('alpha@x')
--> refused 0A000 at 6: function "rename_user" may touch protected tables where it cannot be seen

CALL other_thing('users')
--> untouched

PREPARE p AS SELECT * FROM items
--> untouched

EXECUTE p ('alpha@x')
--> untouched

DEALLOCATE p
--> untouched

DECLARE c CURSOR FOR SELECT email FROM users
--> untouched

FETCH ALL FROM c
--> untouched

EXPLAIN (ANALYZE, VERBOSE) SELECT email FROM users WHERE email = 'alpha@x'
--> text: EXPLAIN (ANALYZE, VERBOSE) SELECT email FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'>

EXPLAIN INSERT INTO users (email) VALUES ('alpha@x')
--> text: EXPLAIN INSERT INTO users (email) VALUES (<seal email 'alpha@x'>)

EXPLAIN SELECT upper(email) FROM users
--> refused 0A000 at 22: function upper() is not possible on protected column "public.users.email"

SET search_path TO users
--> untouched

SHOW search_path
--> untouched

LISTEN users
--> untouched

NOTIFY users, 'email'
--> untouched

SELEC 'secret' FROM users
--> refused 42601 at 1: syntax error, and the text mentions a protected table

SELEC 'x' FROM items
--> untouched

SELEC U&"\0075sers"
--> refused 42601 at 1: syntax error, and the text mentions a protected table

SELECT * FROM items WHERE name = 'unterminated
--> untouched

CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION f()
--> refused 0A000 at None: CreateTrig is not supported on protected table "users"

CREATE PUBLICATION p FOR TABLE users
--> refused 0A000 at None: CreatePublication is not supported on protected table "users"

REFRESH MATERIALIZED VIEW v_users
--> refused 0A000 at None: RefreshMatView is not supported on protected table "v_users"

ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO app
--> untouched

SELECT set_config('search_path', 'other', false)
--> untouched

SET TIME ZONE 'UTC'; SELECT id FROM users WHERE email = 'alpha@x'
--> refused 0A000 at None: protected columns cannot be used behind a change of time zone, DateStyle or encoding that is not done yet
--> text: SET TIME ZONE 'UTC';  SELECT pg_catalog.pgcrypt_proxy_refused()

SET statement_timeout = 0; SELECT id FROM users WHERE email = 'alpha@x'
--> text: SET statement_timeout = 0; SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'>

RESET ALL; SELECT email FROM users
--> refused 0A000 at None: protected columns cannot be used behind a change of time zone, DateStyle or encoding that is not done yet
--> text: RESET ALL;  SELECT pg_catalog.pgcrypt_proxy_refused()

CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'UPDATE "USERS" SET email = NULL; SELECT 1'
--> refused 0A000 at None: CREATE FUNCTION is not supported on protected table "users"

CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1 FROM users_old, my_users'
--> untouched

DO $$ begin execute U&'u\0070date users'; end $$
--> refused 0A000 at None: DO is not supported on protected table "users"

CREATE TABLE t (users_id int, "user" text)
--> untouched
