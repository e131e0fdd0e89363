-- # PREPARE, EXECUTE and cursors

-- ## What a prepared statement reads

PREPARE p AS SELECT id, email FROM users ORDER BY id;
EXECUTE p
--> same

PREPARE p AS SELECT id, email FROM users WHERE id = $1;
EXECUTE p (1);
EXECUTE p ('2')
--> same

PREPARE p (int) AS SELECT coalesce(email, 'none') AS e FROM users WHERE id = $1;
EXECUTE p (3)
--> same

PREPARE p AS SELECT email FROM users WHERE id < 3 UNION ALL SELECT email FROM users WHERE id = 3;
EXECUTE p
--> same

PREPARE p AS VALUES (1);
EXECUTE p
--> same

PREPARE p AS SELECT count(*) FROM users WHERE ssn IS NULL;
EXECUTE p
--> same

PREPARE p AS SELECT id FROM users WHERE email LIKE 'planted-%'
--> refused: LIKE is not possible on protected column "public.users.email"

PREPARE p AS SELECT upper(email) FROM users
--> refused: function upper() is not possible on protected column "public.users.email"

-- ## What it searches for

PREPARE p (text) AS SELECT id FROM users WHERE email = $1;
EXECUTE p ('planted-ann@x');
EXECUTE p ('planted-nobody@x');
EXECUTE p (NULL)
--> same

PREPARE p AS SELECT id, email FROM users WHERE email = $1;
EXECUTE p ('planted-ann@x');
EXECUTE p ('planted-bob@x'::text);
EXECUTE p (E'planted-o\'neil@x')
--> same

PREPARE p (int, text) AS SELECT id FROM users WHERE plain = $1 AND email = $2;
EXECUTE p (1, 'planted-ann@x');
EXECUTE p (2 - 1, 'planted-ann@x')
--> same

PREPARE p (varchar(3)) AS SELECT id FROM users WHERE email = $1;
EXECUTE p ('planted-ann@x')
--> same

PREPARE p (date) AS SELECT id FROM users WHERE born = $1 ORDER BY id;
EXECUTE p ('1990-02-03');
EXECUTE p (DATE '1985-12-31');
EXECUTE p ('12/31/1985')
--> same

PREPARE p AS SELECT id FROM orders WHERE total = $1 ORDER BY id;
EXECUTE p (10);
EXECUTE p (10.50);
EXECUTE p ('10.5');
EXECUTE p (-1.25)
--> same

PREPARE p (int) AS SELECT id FROM orders WHERE total = $1 ORDER BY id;
EXECUTE p (10);
EXECUTE p (10.4)
--> same

PREPARE p (text[]) AS SELECT id FROM users WHERE email = ANY ($1) ORDER BY id;
EXECUTE p ('{planted-ann@x,planted-bob@x,NULL}');
EXECUTE p (ARRAY['planted-ann@x', 'planted-bob@x', NULL]);
EXECUTE p (ARRAY['planted-ann@x']::varchar[]);
EXECUTE p ('{}'::text[])
--> same

PREPARE p AS SELECT id FROM orders WHERE total = ANY ($1) ORDER BY id;
EXECUTE p (ARRAY[10, 0]);
EXECUTE p ('{10.5}')
--> same

PREPARE p AS SELECT id FROM users WHERE email IN ($1, $2, 'planted-bob@x') ORDER BY id;
EXECUTE p ('planted-ann@x', NULL)
--> same

PREPARE p AS SELECT id FROM users WHERE lower(email) = lower($1) ORDER BY id;
EXECUTE p ('PLANTED-ANN@X')
--> same

PREPARE p AS SELECT id FROM users WHERE lower(email) = $1 ORDER BY id;
EXECUTE p ('planted-ann@x');
EXECUTE p ('PLANTED-ANN@X')
--> same

PREPARE p AS SELECT id FROM users WHERE email = $1::varchar(13);
EXECUTE p ('planted-ann@xyz')
--> same

PREPARE p AS SELECT u.id FROM users u JOIN orders o ON o.contact = u.email WHERE o.note = $1 AND u.email <> $2;
EXECUTE p ('first', 'planted-fay@x')
--> same

-- ## One parameter, two uses

PREPARE p (text) AS SELECT id FROM users WHERE email = $1 OR name = $1 ORDER BY id;
EXECUTE p ('Bob');
EXECUTE p ('three')
--> same

PREPARE p AS SELECT id FROM users WHERE (email = $1 OR name = $1) AND plain > $2 ORDER BY id;
EXECUTE p ('Bob', 0)
--> same

PREPARE p (text, int) AS INSERT INTO users (email, name, nick, plain) VALUES ($1, $1, $1, $2) RETURNING email, nick, name;
EXECUTE p ('three', 9)
--> same

PREPARE p (text) AS SELECT id FROM users WHERE email = $1 OR name = $1;
EXECUTE p (upper('bob'))
--> refused: only a literal or NULL can be given for parameter $1 of prepared statement "p", which is for a protected column

PREPARE p (text, int) AS SELECT id FROM users WHERE name = $1 OR email = $1;
EXECUTE p ('Bob', 7);
EXECUTE p ('three', 1)
--> same

-- ## What it stores

PREPARE p AS INSERT INTO users (email, ssn, born) VALUES ($1, $2, $3);
EXECUTE p ('planted-new@x', 'planted-1', '2020-01-02');
EXECUTE p ('planted-newer@x', NULL, NULL);
EXECUTE p ('planted-newer@x', NULL, NULL)
--> error 23505

PREPARE p (text, varchar, date) AS INSERT INTO users (email, ssn, born) VALUES ($1, $2, $3) RETURNING id, email, ssn, born;
EXECUTE p ('planted-new@x', 'planted-123', '2020-01-02');
EXECUTE p ('planted-newer@x', 'planted-much-too-long', NULL)
--> error 22001

PREPARE p (bigint, text) AS UPDATE users SET email = $2, name = 'renamed' WHERE id = $1 RETURNING email;
EXECUTE p (3, 'planted-bobby@x')
--> same

PREPARE p AS UPDATE users SET email = 'planted-fixed@x' WHERE id = $1;
EXECUTE p (3)
--> same

PREPARE p (numeric) AS UPDATE orders SET total = $1 WHERE id = 1 RETURNING total;
EXECUTE p (12.345);
EXECUTE p (7);
EXECUTE p ('123456789012')
--> error 22003

PREPARE p (int) AS INSERT INTO users (email) VALUES ($1) RETURNING email;
EXECUTE p (42)
--> same

PREPARE p (date) AS INSERT INTO users (email, born) VALUES ('planted-d', $1);
EXECUTE p ('not a date')
--> error 22007

PREPARE p (date) AS INSERT INTO users (email, born) VALUES ('planted-d', $1);
EXECUTE p ('2020-01-02'::text)
--> error 42804

PREPARE p AS DELETE FROM users WHERE email = $1 RETURNING id;
EXECUTE p ('planted-fay@x')
--> error 23503

PREPARE p AS INSERT INTO contacts (email, label) VALUES ($1, upper($2)) RETURNING email, label;
EXECUTE p ('plain', 'a' || 'b')
--> same

-- ## Declared types that do not fit

PREPARE p (int) AS SELECT id FROM users WHERE email = $1
--> error 42883

PREPARE p (date) AS INSERT INTO orders (total) VALUES ($1)
--> error 42804

PREPARE p (text) AS SELECT id FROM users WHERE email = ANY ($1)
--> refused: parameter $1 is for protected column "public.users.email" and is declared with a type that is not supported

PREPARE p (nosuch) AS SELECT id FROM users WHERE email = $1
--> refused: parameter $1 is for protected column "public.users.email" and is declared with a type that is not supported

PREPARE p (unknown) AS SELECT id FROM users WHERE email = $1;
EXECUTE p ('planted-ann@x')
--> same

PREPARE p AS SELECT id FROM users WHERE email = $2
--> error 42P18

-- ## Arguments

PREPARE p (text) AS SELECT id FROM users WHERE email = $1;
EXECUTE p
--> refused: wrong number of parameters for prepared statement "p"

PREPARE p (text) AS SELECT id FROM users WHERE email = $1;
EXECUTE p ('planted-ann@x', 'planted-bob@x')
--> refused: wrong number of parameters for prepared statement "p"

PREPARE p (text) AS SELECT id FROM users WHERE email = $1;
EXECUTE p ('planted-' || 'ann@x')
--> refused: only a literal or NULL can be given for parameter $1 of prepared statement "p", which is for a protected column

PREPARE p (text) AS SELECT id FROM users WHERE email = $1;
EXECUTE p (lower('planted-ann@x'))
--> refused: only a literal or NULL can be given for parameter $1 of prepared statement "p", which is for a protected column

EXECUTE nosuch ('planted-ann@x')
--> error 26000

EXECUTE nosuch
--> error 26000

PREPARE p (int) AS SELECT name FROM items WHERE id = $1;
EXECUTE p (1 + 1)
--> same

-- ## Names

PREPARE p AS SELECT email FROM users WHERE id = 1;
PREPARE p AS SELECT email FROM users WHERE id = 2
--> error 42P05

PREPARE p (text) AS SELECT id FROM users WHERE email = $1;
DEALLOCATE p;
EXECUTE p ('planted-ann@x')
--> error 26000

PREPARE p (text) AS SELECT id FROM users WHERE email = $1;
DEALLOCATE p;
PREPARE p (text) AS SELECT id FROM items WHERE name = $1 ORDER BY id;
EXECUTE p ('bolt')
--> same

PREPARE p (text) AS SELECT id FROM items WHERE name = $1 ORDER BY id;
DEALLOCATE ALL;
PREPARE p (text) AS SELECT id FROM users WHERE email = $1;
EXECUTE p ('planted-ann@x')
--> same

PREPARE p (text) AS SELECT id FROM items WHERE name = $1;
DISCARD ALL;
EXECUTE p ('planted-ann@x')
--> error 26000

PREPARE "P p" (text) AS SELECT id FROM users WHERE email = $1;
EXECUTE "P p" ('planted-ann@x')
--> same

PREPARE U&"d\0061t" (text) AS SELECT id FROM users WHERE email = $1;
EXECUTE dat ('planted-ann@x');
EXECUTE U&"d\0061t" ('planted-bob@x')
--> same

BEGIN;
PREPARE p (text) AS SELECT id FROM users WHERE email = $1;
ROLLBACK;
EXECUTE p ('planted-ann@x')
--> same

/* one */ PREPARE /* two */ p -- three
( /* four */ text ) AS -- five
SELECT id FROM users WHERE email = /* six */ $1 -- seven;
EXECUTE /* eight */ p /* nine */ ( /* ten */ 'planted-ann@x' /* eleven */ )
--> same

-- ## Several in one string

PREPARE p (text) AS SELECT id FROM users WHERE email = $1; EXECUTE p ('planted-ann@x'); EXECUTE p ('planted-bob@x')
--> refused: cannot insert multiple commands into a prepared statement
--> simple same

PREPARE p (text) AS SELECT id FROM users WHERE email = $1; DEALLOCATE p; EXECUTE p ('planted-ann@x')
--> refused: cannot insert multiple commands into a prepared statement
--> simple same

PREPARE p (text) AS SELECT id FROM users WHERE email = $1; DEALLOCATE p; PREPARE p (text) AS SELECT id FROM items WHERE name = $1; EXECUTE p ('bolt')
--> refused: cannot insert multiple commands into a prepared statement
--> simple same

PREPARE p AS SELECT email FROM users WHERE id = $1; SELECT 1; EXECUTE p (1); SELECT email FROM public.users WHERE email = 'planted-ann@x'
--> refused: cannot insert multiple commands into a prepared statement
--> simple same

PREPARE p AS SELECT email FROM users WHERE id = $1; EXECUTE p (1); SELECT email FROM users WHERE email = 'planted-ann@x'
--> refused: cannot insert multiple commands into a prepared statement
--> simple refused: cannot be used behind a statement that may change what it means

-- ## EXPLAIN and CREATE TABLE AS

PREPARE p (text) AS SELECT id FROM users WHERE email = $1;
EXPLAIN EXECUTE p ('planted-ann@x');
EXPLAIN (ANALYZE, COSTS off) EXECUTE p ('planted-ann@x')
--> same

PREPARE p AS SELECT id, email FROM users;
CREATE TABLE copied AS EXECUTE p
--> refused: CREATE TABLE AS is not possible on protected column "public.users.email"

PREPARE p (text) AS SELECT id, name FROM users WHERE email = $1;
CREATE TABLE copied AS EXECUTE p ('planted-ann@x');
SELECT * FROM copied
--> same

PREPARE p (text) AS SELECT id, email FROM users WHERE email = $1;
EXPLAIN CREATE TABLE copied AS EXECUTE p ('planted-ann@x')
--> refused: CREATE TABLE AS is not possible on protected column "public.users.email"

PREPARE p AS SELECT id, name FROM items;
CREATE TABLE copied AS EXECUTE p
--> same

-- ## What the server shows of them

PREPARE p (int) AS SELECT id FROM items WHERE id = $1;
SELECT name, statement FROM pg_prepared_statements WHERE from_sql
--> same

-- ## Cursors

BEGIN;
DECLARE c CURSOR FOR SELECT id, email FROM users ORDER BY id;
FETCH 2 FROM c;
MOVE 1 FROM c;
FETCH NEXT FROM c;
FETCH FORWARD 100 FROM c;
CLOSE c;
COMMIT
--> same

BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT email FROM users WHERE email = 'planted-ann@x';
FETCH LAST FROM c;
FETCH PRIOR FROM c;
FETCH ABSOLUTE 1 FROM c;
COMMIT
--> same

DECLARE c CURSOR WITH HOLD FOR SELECT id, email, born, ssn FROM users ORDER BY id;
FETCH 2 FROM c;
SELECT 1;
FETCH 1 FROM c;
CLOSE c
--> same

BEGIN;
DECLARE c BINARY CURSOR FOR SELECT id, email, born FROM users ORDER BY id;
FETCH 3 FROM c;
COMMIT
--> same

BEGIN;
DECLARE c BINARY CURSOR WITH HOLD FOR SELECT total FROM orders ORDER BY id;
FETCH 3 FROM c;
COMMIT;
FETCH 2 FROM c;
CLOSE c
--> same

BEGIN;
DECLARE c CURSOR FOR SELECT u.email AS one, o.contact AS two FROM users u JOIN orders o ON o.contact = u.email ORDER BY o.id;
FETCH ALL FROM c;
COMMIT
--> same

BEGIN;
DECLARE c CURSOR FOR SELECT email FROM v_users ORDER BY id;
FETCH 2 FROM c;
COMMIT
--> same

BEGIN;
DECLARE c CURSOR FOR SELECT coalesce(email, 'x') FROM users;
FETCH ALL FROM c;
COMMIT
--> refused: an expression in a cursor's result is not possible on protected column "public.users.email"

BEGIN;
DECLARE c CURSOR FOR SELECT email FROM users UNION ALL SELECT email FROM users;
FETCH ALL FROM c;
COMMIT
--> refused: an expression in a cursor's result is not possible on protected column "public.users.email"

BEGIN;
DECLARE c CURSOR FOR SELECT s.e FROM (SELECT email AS e, id FROM users) s ORDER BY s.id;
FETCH 1 FROM c;
COMMIT
--> same

BEGIN;
DECLARE c CURSOR FOR SELECT email FROM users ORDER BY id FOR UPDATE;
FETCH 1 FROM c;
UPDATE users SET email = 'planted-current@x' WHERE CURRENT OF c RETURNING email;
DELETE FROM users WHERE CURRENT OF c;
COMMIT
--> error 23503

BEGIN; DECLARE c CURSOR FOR SELECT email FROM users ORDER BY id; FETCH 2 FROM c; CLOSE c; COMMIT
--> refused: cannot insert multiple commands into a prepared statement
--> simple same

FETCH ALL FROM nosuch
--> error 34000
