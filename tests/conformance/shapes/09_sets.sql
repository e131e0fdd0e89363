-- # Joins by name, set operations and recursion
-- USING, UNION, INTERSECT, EXCEPT and WITH RECURSIVE, with terms where rows are compared.

-- ## JOIN ... USING
-- The merged column comes first and is what the bare name means; both sides are searchable in one index domain.

SELECT * FROM users a JOIN users b USING (email)
--> same

SELECT a.id, b.id, email FROM users a JOIN users b USING (email) WHERE email = {email:'planted-ann@x'}
--> same

SELECT a.id, b.id, nick FROM users a JOIN users b USING (nick)
--> same

SELECT * FROM users a LEFT JOIN (SELECT contact AS email, note FROM orders) b USING (email)
--> same

SELECT email, a.email, b.email, b.note FROM users a LEFT JOIN (SELECT contact AS email, note FROM orders) b USING (email)
--> same

SELECT * FROM (SELECT id, nick FROM users) a LEFT JOIN (SELECT contact AS nick, note FROM orders) AS b USING (nick) WHERE nick IS NOT NULL
--> same

SELECT * FROM users a RIGHT JOIN (SELECT contact AS email, note FROM orders) b USING (email)
--> same

SELECT email, note, a.email FROM users a RIGHT OUTER JOIN (SELECT contact AS email, note FROM orders) b USING (email) WHERE email IS NULL
--> same

SELECT * FROM users a FULL JOIN (SELECT email, plain + 1 AS m FROM users WHERE id > 5) b USING (email)
--> same

SELECT nick, a.id, b.id FROM (SELECT * FROM users WHERE id < 9) a FULL OUTER JOIN (SELECT * FROM users WHERE id > 5) b USING (nick)
--> same

SELECT nick AS n FROM users a FULL JOIN users b USING (nick) WHERE nick = {nick:'planted-bob'}
--> same

SELECT nick, count(*) FROM users a FULL JOIN (SELECT nick FROM users WHERE id > 4) b USING (nick) GROUP BY nick
--> same

SELECT DISTINCT nick FROM users a JOIN users b USING (nick)
--> same

SELECT nick, count(*) FROM users a JOIN users b USING (nick) GROUP BY nick HAVING count(*) > {n:1}
--> same

SELECT nick, count(*) FROM users a JOIN users b USING (nick) GROUP BY 1 ORDER BY 2, 1 LIMIT 1
--> refused: ORDER BY is not possible on protected column "public.users.nick"

SELECT a.nick, count(*) FROM users a JOIN users b USING (nick) GROUP BY nick
--> same

SELECT email FROM users a FULL JOIN (SELECT contact AS email FROM orders) b USING (email)
--> refused: FULL JOIN USING or NATURAL JOIN of two protected columns is not possible on protected column "public.users.email"

SELECT id, email FROM users a JOIN users b USING (id, email)
--> same

SELECT * FROM users a JOIN users b USING (email, id)
--> same

SELECT id + 1, email FROM users a JOIN users b USING (id, email) WHERE id < {id:3} ORDER BY id
--> same

SELECT id AS email, email AS id FROM users a JOIN users b USING (id, email) ORDER BY email
--> same

SELECT * FROM users a JOIN users b USING (name, nick)
--> same

SELECT * FROM users a FULL JOIN users b USING (plain, nick)
--> same

SELECT * FROM (users a JOIN users b USING (email)) JOIN users c USING (email)
--> same

SELECT nick, c.id FROM users a JOIN users b USING (nick) LEFT JOIN users c USING (nick) WHERE a.id = b.id
--> same

SELECT c.email, d.id FROM users c JOIN (users a JOIN users d USING (nick)) USING (email)
--> refused: JOIN USING or NATURAL JOIN is not possible on protected column "public.users.email"

SELECT email, o.id FROM users a JOIN users b USING (email) JOIN orders o ON o.contact = email
--> same

SELECT a.*, b.id FROM users a JOIN users b USING (email)
--> same

SELECT b.*, email FROM users a JOIN users b USING (email) WHERE a.nick = b.nick
--> same

SELECT users.id, b.id, email FROM users JOIN users AS b USING (email)
--> same

SELECT email FROM public.users JOIN users b USING (email)
--> same

SELECT * FROM users JOIN v_users USING (email)
--> same

SELECT id FROM users WHERE email IN (SELECT email FROM users a JOIN (SELECT contact AS email FROM orders) b USING (email))
--> same

SELECT id FROM orders o WHERE EXISTS (SELECT FROM users a JOIN users b USING (email) WHERE email = o.contact)
--> same

SELECT email FROM users a JOIN users b USING (email) WHERE EXISTS (SELECT 1 FROM orders o WHERE o.contact = email)
--> same

SELECT email FROM users a JOIN users b USING (email) WHERE EXISTS (SELECT 1 FROM orders a WHERE a.contact = email)
--> refused: the name "email", which may mean a protected column or not, is not supported in a statement that touches a protected table

SELECT email, l.id FROM users a JOIN users b USING (email), LATERAL (SELECT o.id FROM orders o WHERE o.contact = email) l
--> same

SELECT s.* FROM (SELECT * FROM users a JOIN (SELECT email, plain AS p FROM users) b USING (email)) s WHERE s.email <> {email:'planted-bob@x'}
--> same

SELECT s.email FROM (SELECT * FROM users a JOIN users b USING (email)) s
--> same

WITH x AS (SELECT email, count(*) AS n FROM users GROUP BY email) SELECT * FROM users JOIN x USING (email)
--> same

WITH a AS (SELECT email FROM users), b AS (SELECT email FROM users) SELECT * FROM a JOIN b USING (email)
--> same

SELECT /* USING (x) */ "email" FROM users "a" JOIN -- (
  users b /* JOIN */ USING /* ( */ ( "email" /* ) */ ) WHERE "email" = 'planted-ann@x'
--> same

SELECT U&"\0065mail" FROM users a JOIN users b USING (email)
--> refused: this spelling of a column name is not supported in a statement that touches a protected table

SELECT EMAIL FROM Users A Join users B uSiNg (EMail) wHERE eMAIL = 'planted-ann@x'
--> same

SELECT "B".email, email FROM users "A" JOIN users "B" USING (email)
--> same

SELECT "a""b".email, email FROM users "a""b" JOIN users "." USING (email)
--> same

SELECT email FROM users a JOIN users b USING (ssn)
--> refused: protected column "public.users.ssn" is not searchable

SELECT 1 FROM users a JOIN (SELECT born AS email FROM users) b USING (email)
--> refused: comparison with "public.users.born", which is of another index domain or type, is not possible on protected column "public.users.email"

SELECT 1 FROM users a JOIN contacts USING (email)
--> refused: JOIN USING or NATURAL JOIN with a column that is not protected is not possible on protected column "public.users.email"

SELECT 1 FROM users a LEFT JOIN (SELECT name AS email FROM users) b USING (email)
--> refused: JOIN USING or NATURAL JOIN with a column that is not protected is not possible on protected column "public.users.email"

SELECT 1 FROM users a JOIN users b USING (nosuch)
--> error 42703

SELECT id FROM users a JOIN users b USING (email)
--> error 42702

SELECT email FROM users a JOIN users b USING (email) AS j
--> refused: an alias on a JOIN USING or NATURAL JOIN is not possible on protected column "public.users.email"

SELECT j.email FROM (users a JOIN users b USING (email)) AS j
--> refused: an alias on a JOIN USING or NATURAL JOIN is not possible on protected column "public.users.email"

SELECT email FROM users JOIN (VALUES ({email:'planted-ann@x'}), ('planted-bob@x')) v (email) USING (email)
--> same

SELECT * FROM users JOIN unnest({emails:'{planted-ann@x,planted-bob@x}'}::text[]) AS e (email) USING (email)
--> same

SELECT email FROM users a JOIN users b USING (email) ORDER BY a.id, b.id
--> same

SELECT email FROM users a JOIN users b USING (email) ORDER BY email
--> refused: ORDER BY is not possible on protected column "public.users.email"

SELECT upper(email) FROM users a JOIN users b USING (email)
--> refused: function upper() is not possible on protected column "public.users.email"

SELECT email FROM users a JOIN users b USING (email) FOR UPDATE OF b
--> same

SELECT count(*), count(email), count(DISTINCT email) FROM users a LEFT JOIN (SELECT contact AS email FROM orders) b USING (email)
--> same

SELECT (SELECT email) FROM users a JOIN users b USING (email)
--> same

SELECT email FROM users a JOIN users b USING (email) WHERE a.id = {id:1} OR email IN ({email:'planted-bob@x'}, 'planted-fay@x')
--> same

-- ## A join under an alias

SELECT j.email, j.name FROM (users JOIN (SELECT id FROM items) i USING (id)) AS j WHERE j.email = {email:'planted-ann@x'}
--> same

SELECT * FROM (users u JOIN orders o ON o.contact = u.email) AS j (a, b)
--> same

SELECT j.* FROM (users CROSS JOIN (SELECT 1 AS one) x) AS j
--> same

SELECT u.email FROM (users u CROSS JOIN items) AS j
--> error 42P01

-- ## NATURAL JOIN

SELECT * FROM (SELECT id, email FROM users) a NATURAL JOIN (SELECT email, plain FROM users) b
--> same

SELECT email, a.id FROM (SELECT id, email FROM users) AS a NATURAL LEFT JOIN (SELECT contact AS email, note FROM orders) AS b WHERE note IS NULL
--> same

SELECT * FROM (SELECT id, nick FROM users) a NATURAL FULL JOIN (SELECT nick, plain FROM users WHERE id > 6) b
--> same

SELECT * FROM (SELECT email FROM users) a NATURAL RIGHT OUTER JOIN (SELECT contact, id FROM orders) AS b (email, id)
--> same

WITH x AS (SELECT email, plain AS p FROM users) SELECT * FROM x NATURAL JOIN (SELECT email FROM users) y
--> same

WITH x AS (SELECT nick, plain AS p FROM users), y AS (SELECT nick FROM users) SELECT * FROM x NATURAL INNER JOIN y
--> same

WITH x AS (SELECT nick, plain AS p FROM users), y AS (SELECT nick FROM users) SELECT * FROM x NATURAL JOIN y AS z (nick) WHERE nick = {nick:'planted-bob'}
--> same

SELECT email FROM users NATURAL JOIN v_users
--> same

SELECT 1 FROM users a NATURAL JOIN users b
--> refused: protected column "public.users.ssn" is not searchable

SELECT 1 FROM users NATURAL JOIN contacts
--> refused: JOIN USING of "id" beside a protected column is not supported in a statement that touches a protected table

SELECT id, email FROM users NATURAL JOIN (SELECT 3 AS plain) x
--> same

-- ## UNION
-- Rows are told apart by terms; NULL equals NULL; the first branch gives the names.

SELECT email FROM users UNION SELECT email FROM users
--> same

SELECT nick FROM users UNION SELECT nick FROM users
--> same

SELECT nick FROM users UNION DISTINCT SELECT nick FROM users WHERE nick = {nick:'planted-bob'}
--> same

SELECT born FROM users UNION SELECT born FROM users
--> same

SELECT total FROM orders UNION SELECT total FROM orders
--> same

SELECT name, nick AS n FROM users UNION SELECT name, nick FROM users ORDER BY name, 1 LIMIT 1
--> same

SELECT id, nick, name FROM users WHERE id < {id:5} UNION SELECT id, nick, name FROM users WHERE nick = {nick:'planted-bob'}
--> same

SELECT plain, nick, 'a' FROM users UNION SELECT plain, nick, 'a' FROM users UNION SELECT plain, nick, 'b' FROM users
--> same

SELECT nick AS c2, plain AS c1 FROM users UNION SELECT nick, plain FROM users
--> same

SELECT plain AS lefts, nick AS is_left FROM users UNION SELECT plain, nick FROM users
--> same

SELECT nick, nick FROM users UNION SELECT nick, nick FROM users
--> same

SELECT nick FROM users UNION SELECT NULL
--> same

SELECT nick FROM users UNION SELECT {nick:'planted-bob'}
--> same

SELECT {nick:'planted-new'} UNION SELECT nick FROM users
--> same

SELECT NULL AS nick UNION ALL SELECT nick FROM users UNION SELECT ''
--> same

SELECT nick FROM users UNION VALUES ('planted-bob'), (NULL), ({nick:'planted-x'})
--> same

SELECT nick FROM users UNION ALL SELECT nick FROM users UNION SELECT nick FROM users
--> same

SELECT nick FROM users UNION SELECT nick FROM users UNION ALL SELECT nick FROM users
--> same

SELECT nick FROM users UNION (SELECT nick FROM users UNION ALL SELECT nick FROM users)
--> same

(SELECT nick FROM users ORDER BY id LIMIT 3) UNION (SELECT nick FROM users ORDER BY id DESC LIMIT 3)
--> same

((SELECT nick FROM users) UNION SELECT nick FROM users) LIMIT 100
--> same

(SELECT plain, nick FROM users UNION SELECT plain, nick FROM users) ORDER BY plain DESC, nick IS NULL
--> refused: ORDER BY of an expression over a set operation or DISTINCT is not supported in a statement that touches a protected table

(SELECT id, nick FROM users UNION SELECT id, nick FROM users) ORDER BY id DESC LIMIT {n:3} OFFSET 1
--> same

SELECT id, nick FROM users UNION SELECT id, nick FROM users ORDER BY nick
--> refused: ORDER BY is not possible on protected column "public.users.nick"

SELECT id, nick FROM users UNION SELECT id, nick FROM users ORDER BY 1 FETCH FIRST 2 ROWS ONLY
--> same

SELECT id, nick FROM users UNION SELECT id, nick FROM users ORDER BY id + 1
--> refused: ORDER BY of an expression over a set operation or DISTINCT is not supported in a statement that touches a protected table

SELECT id, nick FROM users UNION SELECT id, nick FROM users ORDER BY upper(nick)
--> refused: ORDER BY of an expression over a set operation or DISTINCT is not supported in a statement that touches a protected table

SELECT * FROM (SELECT nick FROM users UNION SELECT nick FROM users) s WHERE s.nick = {nick:'planted-bob'}
--> same

SELECT count(*) FROM (SELECT nick, plain FROM users UNION SELECT nick, plain FROM users) s
--> same

WITH x AS (SELECT nick FROM users), y AS (SELECT nick FROM x UNION SELECT nick FROM users) SELECT * FROM y UNION SELECT nick FROM x
--> same

WITH pgcrypt_rows AS (SELECT nick FROM users) SELECT nick FROM pgcrypt_rows UNION SELECT pgcrypt_rows.nick FROM pgcrypt_rows
--> same

SELECT u.id, l.n FROM users u, LATERAL (SELECT u.nick AS n UNION SELECT p.nick FROM users p WHERE p.id = u.id) l
--> same

SELECT pgcrypt_rows.id, l.n FROM users pgcrypt_rows, LATERAL (SELECT pgcrypt_rows.nick AS n UNION SELECT p.nick FROM users p WHERE p.id = pgcrypt_rows.id) l
--> same

SELECT id, (SELECT u.nick UNION SELECT u.nick) FROM users u
--> same

SELECT id, (SELECT nick FROM users WHERE id = u.id UNION SELECT nick FROM users WHERE id = u.id) AS n FROM users u
--> same

TABLE orders UNION TABLE orders
--> same

SELECT coalesce(nick, 'planted-none') FROM users UNION SELECT nick FROM users
--> same

SELECT nick FROM users GROUP BY nick UNION SELECT nullif(nick, 'planted-bob') FROM users
--> same

SELECT DISTINCT nick FROM users UNION SELECT nick FROM users
--> same

SELECT nick FROM users WHERE nick IN (SELECT contact FROM orders UNION SELECT nick FROM users) UNION SELECT nick FROM users
--> same

SELECT nick AS order FROM users UNION SELECT nick AS limit FROM users -- UNION
  UNION SELECT nick AS "union" FROM users /* LIMIT 1 */
--> same

SELECT email FROM users UNION SELECT nick FROM users
--> refused: UNION with a column that is not the same is not possible on protected column "public.users.email"

SELECT email FROM users UNION SELECT contact FROM orders
--> refused: UNION with a column that is not the same is not possible on protected column "public.users.email"

SELECT email FROM users UNION SELECT name FROM users
--> refused: UNION with a column that is not the same is not possible on protected column "public.users.email"

SELECT ssn FROM users UNION SELECT ssn FROM users
--> refused: protected column "public.users.ssn" is not searchable

SELECT id, ssn FROM users UNION SELECT id, ssn FROM users
--> refused: protected column "public.users.ssn" is not searchable

SELECT nick FROM users UNION SELECT nick, id FROM users
--> refused: a set operation over different numbers of columns is not possible on protected column "public.users.nick"

SELECT born FROM users UNION SELECT '1990-02-03'
--> same

SELECT born FROM users UNION SELECT {born:'1990-02-03'}::date
--> same

SELECT total FROM orders UNION SELECT 1.5
--> refused: UNION with a value, which loses the length, is not possible on protected column "public.orders.total"

INSERT INTO orders (id, contact) SELECT id + 200, contact FROM orders UNION SELECT id + 200, contact FROM orders ON CONFLICT (id) DO NOTHING RETURNING id, contact
--> same

INSERT INTO orders (id, contact) SELECT id + 200, contact FROM orders WHERE id > 3 UNION SELECT 300, {contact:'planted-ann@x'} ON CONFLICT DO NOTHING
--> same

INSERT INTO orders (contact) SELECT {contact:'planted-1'} UNION SELECT 'planted-2'
--> refused: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.orders.contact"

EXPLAIN (COSTS OFF) SELECT nick FROM users UNION SELECT nick FROM users
--> same

-- ## INTERSECT and EXCEPT
-- How often a row is on each side decides how often it is in the result.

SELECT nick FROM users INTERSECT SELECT nick FROM users WHERE id > {id:3}
--> same

SELECT nick FROM users INTERSECT ALL SELECT nick FROM users WHERE id > {id:6}
--> same

SELECT nick FROM users INTERSECT ALL (SELECT nick FROM users UNION ALL SELECT nick FROM users)
--> same

SELECT nick FROM users EXCEPT SELECT nick FROM users WHERE nick = {nick:'planted-bob'}
--> same

SELECT nick FROM users EXCEPT ALL SELECT nick FROM users WHERE id = {id:3}
--> same

SELECT nick FROM users EXCEPT ALL SELECT nick FROM users WHERE nick IS NULL
--> same

(SELECT nick FROM users UNION ALL SELECT nick FROM users) EXCEPT ALL SELECT nick FROM users
--> same

SELECT nick FROM users EXCEPT SELECT nick FROM users
--> same

SELECT nick FROM users WHERE false EXCEPT ALL SELECT nick FROM users
--> same

SELECT name, nick AS n FROM users INTERSECT SELECT name, nick FROM users ORDER BY name, 1 LIMIT 1
--> same

SELECT plain, nick FROM users EXCEPT DISTINCT SELECT plain, nick FROM users WHERE id < 8 OR plain = 7 OR id > 11 ORDER BY plain
--> same

SELECT plain AS c2, nick AS c1 FROM users INTERSECT ALL SELECT plain, nick FROM users WHERE id < 8
--> same

SELECT plain AS lefts, nick AS is_left, name AS rights FROM users EXCEPT ALL SELECT plain, nick, name FROM users WHERE id < 8
--> same

SELECT nick, 1 FROM users INTERSECT SELECT nick, 1 FROM users
--> same

SELECT nick, 'a' FROM users INTERSECT SELECT nick, 'a' FROM users
--> refused: INTERSECT beside literals or parameters is not possible on protected column "public.users.nick"

SELECT nick, 'a'::text FROM users INTERSECT SELECT nick, 'a'::text FROM users
--> same

SELECT nick, plain FROM users INTERSECT SELECT nick, plain::bigint FROM users
--> same

SELECT nick, name FROM users EXCEPT SELECT NULL, NULL
--> refused: EXCEPT beside literals or parameters is not possible on protected column "public.users.nick"

SELECT nick FROM users EXCEPT SELECT {nick:'planted-bob'}
--> same

SELECT nick FROM users EXCEPT SELECT NULL
--> same

SELECT nick FROM users UNION SELECT nick FROM users EXCEPT SELECT nick FROM users INTERSECT SELECT nick FROM users WHERE id > 7
--> same

SELECT nick FROM users UNION ALL SELECT nick FROM users INTERSECT ALL SELECT nick FROM users WHERE id > 7
--> same

SELECT born FROM users INTERSECT SELECT born FROM users WHERE plain > 5
--> same

SELECT total FROM orders EXCEPT ALL SELECT total FROM orders WHERE id < 3
--> same

SELECT * FROM (SELECT nick FROM users EXCEPT SELECT nick FROM users WHERE id = 3) s WHERE nick IS NOT NULL
--> same

WITH x AS (SELECT nick FROM users INTERSECT SELECT nick FROM users) SELECT x.nick, o.id FROM x JOIN orders o ON o.contact = x.nick
--> same

SELECT * FROM orders EXCEPT SELECT * FROM orders WHERE id > 3
--> same

SELECT email FROM users INTERSECT SELECT contact FROM orders
--> refused: INTERSECT with a column that is not the same is not possible on protected column "public.users.email"

SELECT nick FROM users EXCEPT SELECT contact FROM orders
--> refused: EXCEPT with a column that is not the same is not possible on protected column "public.users.nick"

SELECT ssn FROM users EXCEPT SELECT ssn FROM users
--> refused: protected column "public.users.ssn" is not searchable

-- ## Set operations in conditions
-- Only terms are needed there, so that columns of one index domain go together.

SELECT id FROM users WHERE email IN (SELECT contact FROM orders UNION SELECT nick FROM users)
--> same

SELECT id FROM users WHERE email IN (SELECT contact FROM orders UNION ALL SELECT nick FROM users)
--> same

SELECT id FROM users WHERE email IN (SELECT contact FROM orders INTERSECT SELECT email FROM users)
--> same

SELECT id FROM users WHERE nick NOT IN (SELECT contact FROM orders WHERE contact IS NOT NULL EXCEPT SELECT nick FROM users WHERE id = 3)
--> same

SELECT id FROM users WHERE nick NOT IN (SELECT contact FROM orders UNION SELECT nick FROM users WHERE id = 3)
--> same

SELECT id FROM users WHERE nick = ANY (SELECT contact FROM orders UNION SELECT {contact:'planted-ann'})
--> same

SELECT id FROM users WHERE email <> ALL (SELECT contact FROM orders WHERE contact IS NOT NULL INTERSECT SELECT email FROM users)
--> same

SELECT id FROM users WHERE (plain, email) IN (SELECT user_id, contact FROM orders UNION SELECT plain, email FROM users WHERE id = {id:3})
--> same

SELECT id FROM users WHERE email IN (SELECT {email:'planted-ann@x'} UNION SELECT 'planted-bob@x')
--> same

SELECT id FROM users WHERE email IN (VALUES ({email:'planted-ann@x'}), ('planted-bob@x'))
--> same

SELECT id FROM users u WHERE EXISTS (SELECT u.email INTERSECT SELECT contact FROM orders)
--> same

SELECT id FROM users u WHERE NOT EXISTS (SELECT u.nick EXCEPT SELECT contact FROM orders)
--> same

SELECT id FROM users u WHERE EXISTS (SELECT o.contact FROM orders o EXCEPT ALL SELECT u.email) AND EXISTS (SELECT ssn FROM users UNION ALL SELECT ssn FROM users)
--> same

SELECT id FROM users WHERE EXISTS (SELECT ssn FROM users UNION SELECT ssn FROM users)
--> refused: protected column "public.users.ssn" is not searchable

SELECT id FROM users WHERE email IN (SELECT contact FROM orders UNION SELECT name FROM users)
--> refused: protected column "public.orders.contact" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT id FROM users WHERE email IN (SELECT contact FROM orders UNION SELECT ssn FROM users)
--> refused: protected column "public.users.ssn" is not searchable

SELECT id FROM users WHERE email IN (SELECT contact FROM orders GROUP BY contact UNION SELECT DISTINCT nick FROM users)
--> same

SELECT id FROM users WHERE email IN (SELECT contact FROM orders UNION SELECT nick FROM users ORDER BY 1)
--> refused: ORDER BY is not possible on protected column "public.orders.contact"

SELECT id FROM users WHERE email IN (SELECT nick FROM (SELECT nick FROM users UNION SELECT nick FROM users) s)
--> same

SELECT id FROM users WHERE email IN (SELECT DISTINCT coalesce(nick, 'planted-ann@x') FROM users)
--> refused: a comparison with a subquery that tells its own rows apart is not possible on protected column "public.users.nick"

SELECT id FROM users WHERE email IN (SELECT coalesce(nick, 'planted-ann@x') FROM users)
--> same

DELETE FROM orders WHERE contact IN (SELECT email FROM users EXCEPT SELECT nick FROM users)
--> same

UPDATE users SET plain = 9 WHERE email IN (SELECT contact FROM orders INTERSECT ALL SELECT email FROM users)
--> same

-- ## WITH RECURSIVE

WITH RECURSIVE t AS (SELECT id, email, 0 AS depth FROM users WHERE email = {email:'planted-ann@x'} UNION ALL SELECT u.id, u.email, t.depth + 1 FROM users u JOIN t ON u.id = t.id + 1) SELECT * FROM t
--> same

WITH RECURSIVE t (a, b) AS (SELECT id, email FROM users WHERE id = {id:1} UNION ALL SELECT a + 1, b FROM t WHERE a < 4) SELECT b, a FROM t ORDER BY a
--> same

WITH RECURSIVE t AS (SELECT id, nick, ARRAY[id] AS path FROM users WHERE plain = 1 UNION ALL SELECT u.id, u.nick, path || u.id FROM t JOIN users u ON u.plain = t.id + 1 WHERE NOT u.id = ANY (path)) SELECT nick, count(*) FROM t GROUP BY nick
--> same

WITH RECURSIVE t AS (SELECT id, nick FROM users WHERE id = 9 UNION ALL SELECT u.id, u.nick FROM users u JOIN t ON u.email = t.nick) SELECT * FROM t
--> same

WITH RECURSIVE t AS (SELECT id, nick FROM users WHERE id = 9 UNION SELECT u.id, u.nick FROM users u JOIN t ON u.email = t.nick) SELECT * FROM t
--> refused: UNION in WITH RECURSIVE is not possible on protected column "public.users.nick"

WITH RECURSIVE t AS (SELECT id, nick AS x FROM users WHERE id = 9 UNION ALL SELECT u.id, u.email FROM users u JOIN t ON u.email = t.x WHERE t.id = 9) SELECT * FROM t
--> refused: WITH RECURSIVE with a column that is not the same is not possible on protected column "public.users.nick"

WITH RECURSIVE t AS (SELECT 1 AS id, 'planted-x' AS nick UNION ALL SELECT u.id, u.nick FROM users u JOIN t ON u.id = t.id + 1) SELECT * FROM t
--> refused: WITH RECURSIVE with a column that is not the same is not possible on protected column "public.users.nick"

WITH RECURSIVE t AS (SELECT id, nick FROM users WHERE id = 1 UNION ALL SELECT t.id + 1, NULL FROM t WHERE t.id < 3) SELECT * FROM t
--> refused: WITH RECURSIVE with a column that is not the same is not possible on protected column "public.users.nick"

WITH RECURSIVE t AS (SELECT id, coalesce(nick, '') AS nick FROM users WHERE id = 1 UNION ALL SELECT t.id + 1, nick FROM t WHERE t.id < 3) SELECT * FROM t
--> refused: WITH RECURSIVE with a column that is not the same is not possible on protected column "public.users.nick"

WITH RECURSIVE t AS (SELECT id, nick FROM users WHERE id = 1 UNION ALL SELECT t.id + 1, coalesce(nick, '') FROM t WHERE t.id < 3) SELECT * FROM t
--> refused: WITH RECURSIVE with a column that is not the same is not possible on protected column "public.users.nick"

WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < {n:5}) SELECT n, email FROM t JOIN users ON users.id = n
--> same

WITH RECURSIVE t (n) AS (VALUES (1) UNION SELECT n + 1 FROM t WHERE n < 5) SELECT n, email FROM t JOIN users ON users.id = n WHERE email <> {email:'planted-ann@x'}
--> same

WITH RECURSIVE a AS (SELECT * FROM b WHERE email <> {email:'planted-ann@x'}), b AS (SELECT id, email FROM users) SELECT email FROM a
--> same

WITH RECURSIVE a AS (SELECT id, email FROM users) SELECT a.email, b.id FROM a JOIN orders b ON b.contact = a.email
--> same

WITH RECURSIVE a AS (SELECT id, email FROM users WHERE id = 1 UNION ALL SELECT u.id, u.email FROM users u, a WHERE u.id = a.id + 1), b AS (SELECT * FROM a WHERE id < 5) SELECT * FROM b
--> same

WITH RECURSIVE b AS (SELECT email FROM a), a AS (SELECT id, email FROM users WHERE id = 1 UNION ALL SELECT u.id, u.email FROM users u, a WHERE u.id = a.id + 1) SELECT * FROM b
--> same

WITH RECURSIVE a AS (SELECT email FROM b), b AS (SELECT email FROM a) SELECT * FROM a, users
--> refused: mutual recursion in WITH RECURSIVE is not supported in a statement that touches a protected table

WITH RECURSIVE users AS (SELECT 1 AS id, 'x'::text AS email UNION ALL SELECT id + 1, email FROM users WHERE id < 3) SELECT * FROM users
--> same

WITH RECURSIVE t AS (SELECT id, email FROM public.users WHERE id = 1 UNION ALL SELECT id + 1, email FROM t WHERE id < 3) SELECT * FROM t JOIN users u USING (email)
--> same

WITH RECURSIVE t AS (WITH x AS (SELECT id, nick FROM users WHERE id < 3) SELECT * FROM x UNION ALL SELECT id + 10, nick FROM t WHERE id < 20) SELECT * FROM t
--> same

WITH RECURSIVE t AS (SELECT id, email FROM users WHERE id = 1 UNION ALL SELECT u.id, u.email FROM users u JOIN t ON u.id = t.id + 1) SEARCH DEPTH FIRST BY id SET o SELECT id, email FROM t ORDER BY o
--> refused: SEARCH or CYCLE is not possible on protected column "public.users.email"

WITH RECURSIVE t AS (SELECT id, email FROM users WHERE id = 1 UNION ALL SELECT u.id, u.email FROM users u JOIN t ON u.id = t.id + 1) CYCLE id SET c USING p SELECT id, email FROM t
--> refused: SEARCH or CYCLE is not possible on protected column "public.users.email"

WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 3) SEARCH BREADTH FIRST BY n SET o SELECT n, o IS NULL, email FROM t JOIN users ON users.id = t.n
--> same

WITH RECURSIVE t AS (SELECT id, ssn FROM users WHERE id = 1 UNION ALL SELECT u.id, u.ssn FROM users u JOIN t ON u.id = t.id + 1) SELECT * FROM t
--> same

WITH RECURSIVE t AS (SELECT id, email FROM users WHERE id = 1 UNION ALL SELECT id + 1, email FROM t WHERE id < 3) UPDATE users SET plain = 7 FROM t WHERE t.email = users.email RETURNING users.email
--> same

WITH RECURSIVE t AS (SELECT id, contact FROM orders WHERE id = 1 UNION ALL SELECT id + 1, contact FROM t WHERE id < 3) INSERT INTO orders (contact) SELECT contact FROM t RETURNING contact
--> same

WITH RECURSIVE t AS (SELECT id, upper(email) FROM users UNION ALL SELECT 1, 'x' FROM t WHERE false) SELECT * FROM t
--> refused: function upper() is not possible on protected column "public.users.email"
