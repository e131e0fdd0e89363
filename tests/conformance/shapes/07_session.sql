-- # Cursors, PREPARE, EXPLAIN, DDL and code

-- ## Cursors

BEGIN;
DECLARE c CURSOR FOR SELECT id, email FROM users ORDER BY id;
FETCH 2 FROM c;
FETCH ALL FROM c;
CLOSE c;
COMMIT
--> same

BEGIN;
DECLARE c CURSOR FOR SELECT email FROM users WHERE email = 'planted-ann@x';
FETCH c;
COMMIT
--> same

BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT nick FROM users ORDER BY id;
FETCH LAST FROM c;
FETCH BACKWARD 2 FROM c;
COMMIT
--> same

BEGIN;
DECLARE c BINARY CURSOR FOR SELECT email FROM users WHERE id = 1;
FETCH c;
COMMIT
--> same

DECLARE c CURSOR WITH HOLD FOR SELECT email FROM users ORDER BY id;
FETCH 1 FROM c;
CLOSE c
--> same

BEGIN;
DECLARE c CURSOR FOR SELECT id FROM items ORDER BY id;
FETCH 2 FROM c;
COMMIT
--> same

BEGIN;
DECLARE c CURSOR FOR SELECT id FROM users ORDER BY id FOR UPDATE;
FETCH 1 FROM c;
UPDATE users SET plain = 0 WHERE CURRENT OF c;
COMMIT
--> same

BEGIN;
DECLARE c CURSOR FOR SELECT upper(email) FROM users;
FETCH ALL FROM c;
COMMIT
--> refused: function upper() is not possible on protected column "public.users.email"

-- ## PREPARE and EXECUTE

PREPARE p AS SELECT id, email FROM users WHERE id = 1;
EXECUTE p;
DEALLOCATE p
--> same

PREPARE p (text) AS SELECT id FROM users WHERE email = $1;
EXECUTE p ('planted-ann@x')
--> same

PREPARE p AS INSERT INTO users (email) VALUES ($1);
EXECUTE p ('planted-new@x')
--> same

PREPARE p (int) AS SELECT name FROM items WHERE id = $1;
EXECUTE p (1)
--> same

PREPARE p AS SELECT name FROM items WHERE id = $1;
EXECUTE p ((SELECT id FROM users WHERE email = 'planted-ann@x'))
--> refused: Execute is not supported on protected table "users"

EXECUTE nosuch ('planted-ann@x')
--> error 26000

-- ## EXPLAIN
-- The plan that is shown is the rewritten statement's; it may differ from the plain twin's and is not compared.

EXPLAIN SELECT email FROM users WHERE email = {email:'planted-ann@x'}
--> same

EXPLAIN (COSTS OFF, VERBOSE) SELECT email FROM users WHERE id = {id:1}
--> same

EXPLAIN (FORMAT json) SELECT * FROM users
--> same

EXPLAIN ANALYZE INSERT INTO users (email) VALUES ({email:'planted-new@x'})
--> same

EXPLAIN (ANALYZE, TIMING OFF) UPDATE users SET nick = {nick:'planted-n'} WHERE email = {email:'planted-ann@x'}
--> same

EXPLAIN SELECT upper(email) FROM users
--> refused: function upper() is not possible on protected column "public.users.email"

EXPLAIN SELECT * FROM items WHERE name = {name:'nut'}
--> same

-- ## Tables made from queries

CREATE TABLE copied AS SELECT email FROM users
--> refused: CREATE TABLE AS is not possible on protected column "public.users.email"

CREATE TABLE copied AS SELECT id, name FROM users WHERE email = {email:'planted-ann@x'}
--> same

CREATE TEMP TABLE copied AS SELECT * FROM users
--> refused: CREATE TABLE AS is not possible on protected column "public.users.email"

CREATE TABLE copied AS TABLE users WITH NO DATA
--> refused: CREATE TABLE AS is not possible on protected column "public.users.email"

SELECT email INTO copied FROM users
--> refused: SELECT INTO is not possible on protected column "public.users.email"

SELECT id, name INTO TEMP copied FROM users
--> same

SELECT id, name INTO copied FROM items
--> same

BEGIN; CREATE TABLE copied (LIKE users); ROLLBACK
--> refused: cannot insert multiple commands into a prepared statement
--> simple same

CREATE TABLE copied AS SELECT id, name FROM items
--> same

BEGIN;
CREATE MATERIALIZED VIEW copied AS SELECT email FROM users;
COMMIT
--> same

CREATE VIEW seen AS SELECT id, name FROM items
--> same

-- ## DDL on protected tables

BEGIN; ALTER TABLE users ADD COLUMN more text DEFAULT 'x', DROP COLUMN plain; SELECT * FROM users ORDER BY id; ROLLBACK
--> refused: cannot insert multiple commands into a prepared statement
--> simple same

ALTER TABLE users ALTER COLUMN email TYPE varchar(100)
--> refused: the rules say that protected column "public.users.email" is text, the statement says otherwise

BEGIN; ALTER TABLE users ALTER COLUMN nick SET DEFAULT 'planted-default'; INSERT INTO users (id, email) VALUES (77, 'planted-default@x') RETURNING nick; SELECT id FROM users WHERE nick = {nick:'planted-default'}; ROLLBACK
--> refused: cannot insert multiple commands into a prepared statement
--> simple same

BEGIN; ALTER TABLE users DROP COLUMN nick; SELECT * FROM users WHERE email = {email:'planted-ann@x'}; ROLLBACK
--> refused: cannot insert multiple commands into a prepared statement
--> simple same

ALTER TABLE users RENAME COLUMN nick TO nickname
--> refused: RENAME

BEGIN; CREATE INDEX by_term ON users (email, plain); CREATE UNIQUE INDEX CONCURRENTLY refused_in_a_block ON users (email); ROLLBACK
--> refused: cannot insert multiple commands into a prepared statement
--> simple same

BEGIN; CREATE INDEX ON users (plain); ALTER TABLE users ADD CONSTRAINT one UNIQUE (id, email); INSERT INTO users (id, email) SELECT id, email FROM users LIMIT 1; ROLLBACK
--> refused: cannot insert multiple commands into a prepared statement
--> simple same

BEGIN; DROP TABLE users CASCADE; ROLLBACK; SELECT email FROM users ORDER BY id
--> refused: cannot insert multiple commands into a prepared statement
--> simple refused: a statement on protected tables cannot stand behind one that changes them in the same text

BEGIN; COMMENT ON COLUMN users.email IS 'a comment'; ROLLBACK
--> refused: cannot insert multiple commands into a prepared statement
--> simple same

BEGIN; CREATE TABLE child () INHERITS (users); INSERT INTO child (id, email) VALUES (78, 'planted-child@x'); SELECT email FROM child; SELECT email FROM users WHERE email = {email:'planted-child@x'}; ROLLBACK
--> refused: cannot insert multiple commands into a prepared statement
--> simple refused: a statement on protected tables cannot stand behind one that changes them in the same text

CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()
--> refused: CreateTrig is not supported on protected table "users"

CREATE RULE r AS ON INSERT TO users DO INSTEAD NOTHING
--> refused: Rule is not supported on protected table "users"

ANALYZE users
--> same

VACUUM users
--> same

LOCK TABLE users
--> error 25P01

CREATE TABLE fresh (id int PRIMARY KEY, email text)
--> same

-- ## Code

DO $$ BEGIN UPDATE users SET email = 'planted-new@x' WHERE id = 1; END $$
--> refused: DO is not supported on protected table "users"

DO $$ BEGIN UPDATE items SET name = 'done' WHERE id = 1; END $$
--> same

DO $$ BEGIN EXECUTE 'UPDATE us' || 'ers SET email = NULL'; END $$
--> refused: DO with code that builds SQL at run time may touch protected tables where it cannot be seen

CREATE FUNCTION leak() RETURNS text LANGUAGE sql AS 'SELECT email FROM users LIMIT 1'
--> refused: CREATE FUNCTION is not supported on protected table "users"

CREATE FUNCTION plus(x int) RETURNS int LANGUAGE sql AS 'SELECT x + 1'
--> same

CREATE PROCEDURE put() LANGUAGE sql AS $$ INSERT INTO users (email) VALUES ('planted-new@x') $$
--> refused: CREATE FUNCTION is not supported on protected table "users"

SELECT count_users() + 1
--> refused: function "count_users" may touch protected tables where it cannot be seen

SELECT * FROM count_users()
--> refused: function "count_users" may touch protected tables where it cannot be seen

SELECT double({n:2})
--> same

SELECT dblink('', 'SELECT email FROM users')
--> refused: function "dblink" may touch protected tables where it cannot be seen

-- ## Transactions and the session

BEGIN;
UPDATE users SET nick = {nick:'planted-n'} WHERE id = {id:1};
ROLLBACK;
SELECT nick FROM users WHERE id = 1
--> same

BEGIN;
INSERT INTO users (email) VALUES ({email:'planted-new@x'});
SAVEPOINT s;
INSERT INTO users (email) VALUES ('planted-ann@x');
ROLLBACK TO s;
COMMIT;
SELECT email FROM users WHERE id > 100
--> error 23505

BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY;
SELECT email FROM users WHERE email = {email:'planted-ann@x'};
COMMIT
--> same

BEGIN READ ONLY;
UPDATE users SET nick = {nick:'planted-n'};
COMMIT
--> error 25006

SELECT set_config('pgcrypt.note', 'users', true), email FROM users WHERE id = 1
--> same

SET application_name = 'users';
SHOW application_name
--> same

LISTEN users;
NOTIFY users, 'email';
UNLISTEN *
--> same

SELECT current_setting('server_version_num')::int > 140000
--> same

SHOW search_path
--> same

DISCARD ALL
--> same

SELECT pg_catalog.has_table_privilege('users', 'SELECT')
--> same

VALUES ('users', 'email')
--> same

SELECT 'SELECT email FROM users'
--> same

SELECT nextval('users_id_seq')
--> same

SELECT pg_size_pretty(pg_total_relation_size('users')) IS NOT NULL
--> same
