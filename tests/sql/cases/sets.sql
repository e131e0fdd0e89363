SELECT * FROM users a JOIN users b USING (email)
--> text: SELECT "a"."email" AS "email", "a"."id" AS "id", "a"."name" AS "name", "a"."ssn" AS "ssn", "b"."id" AS "id", "b"."name" AS "name", "b"."ssn" AS "ssn" FROM users a JOIN users b ON pgcrypt.eq("a"."email") OPERATOR(pg_catalog.=) pgcrypt.eq("b"."email")
--> outputs: public.users.email, -, -, public.users.ssn, -, -, public.users.ssn

SELECT email, a.email, b.name FROM users a LEFT JOIN (SELECT contact AS email, note AS name FROM orders) b USING (email) WHERE email = 'alpha@x'
--> text: SELECT "a"."email" AS "email", a.email, b.name FROM users a LEFT JOIN (SELECT contact AS email, note AS name FROM orders) b ON pgcrypt.eq("a"."email") OPERATOR(pg_catalog.=) pgcrypt.eq("b"."email") WHERE pgcrypt.eq("a"."email") OPERATOR(pg_catalog.=) <term email 'alpha@x'>
--> outputs: public.users.email, public.users.email, -

SELECT email FROM users RIGHT JOIN (SELECT contact AS email FROM orders) AS b USING (email)
--> text: SELECT "b"."email" AS "email" FROM users RIGHT JOIN (SELECT contact AS email FROM orders) AS b ON pgcrypt.eq("public"."users"."email") OPERATOR(pg_catalog.=) pgcrypt.eq("b"."email")
--> outputs: public.orders.contact

SELECT email, count(*) FROM users a FULL JOIN users b USING (email) GROUP BY email
--> text: SELECT pgcrypt.first(COALESCE("a"."email", "b"."email")) AS "email", count(*) FROM users a FULL JOIN users b ON pgcrypt.eq("a"."email") OPERATOR(pg_catalog.=) pgcrypt.eq("b"."email") GROUP BY pgcrypt.eq(COALESCE("a"."email", "b"."email"))
--> outputs: public.users.email, -

SELECT * FROM users a NATURAL JOIN (SELECT handle FROM accounts) AS h (email)
--> text: SELECT "a"."email" AS "email", "a"."id" AS "id", "a"."name" AS "name", "a"."ssn" AS "ssn" FROM users a   JOIN (SELECT handle FROM accounts) AS h (email) ON pgcrypt.eq("a"."email") OPERATOR(pg_catalog.=) pgcrypt.eq("h"."email")
--> outputs: public.users.email, -, -, public.users.ssn

SELECT id, email FROM users a JOIN users b USING (id, email) ORDER BY id
--> text: SELECT "a"."id" AS "id", "a"."email" AS "email" FROM users a JOIN users b ON "a"."id" = "b"."id" AND pgcrypt.eq("a"."email") OPERATOR(pg_catalog.=) pgcrypt.eq("b"."email") ORDER BY id
--> outputs: -, public.users.email

SELECT email FROM (users a JOIN users b USING (email)) JOIN users c USING (email)
--> text: SELECT "a"."email" AS "email" FROM (users a JOIN users b ON pgcrypt.eq("a"."email") OPERATOR(pg_catalog.=) pgcrypt.eq("b"."email")) JOIN users c ON pgcrypt.eq("a"."email") OPERATOR(pg_catalog.=) pgcrypt.eq("c"."email")
--> outputs: public.users.email

SELECT a.id, "email" FROM users a JOIN -- USING (
 users b /* JOIN */ USING /* ( */ ("email") WHERE U&"\0065mail" = 'alpha@x'
--> refused 0A000 at 101: this spelling of a column name is not supported in a statement that touches a protected table

SELECT 1 FROM users a JOIN users b USING (email) WHERE EXISTS (SELECT 1 FROM orders a WHERE a.contact = email)
--> refused 0A000 at 105: the name "email", which may mean a protected column or not, is not supported in a statement that touches a protected table

SELECT 1 FROM users a JOIN users b USING (email) WHERE EXISTS (SELECT 1 FROM orders o WHERE o.contact = email)
--> text: SELECT 1 FROM users a JOIN users b ON pgcrypt.eq("a"."email") OPERATOR(pg_catalog.=) pgcrypt.eq("b"."email") WHERE EXISTS (SELECT 1 FROM orders o WHERE pgcrypt.eq(o.contact) OPERATOR(pg_catalog.=) pgcrypt.eq("a"."email"))

SELECT email FROM users a FULL JOIN (SELECT contact AS email FROM orders) b USING (email)
--> refused 0A000 at 77: FULL JOIN USING or NATURAL JOIN of two protected columns is not possible on protected column "public.users.email"

SELECT email FROM users a JOIN users b USING (ssn)
--> refused 0A000 at 40: protected column "public.users.ssn" is not searchable

SELECT email FROM users a JOIN users b USING (name, email)
--> text: SELECT "a"."email" AS "email" FROM users a JOIN users b ON "a"."name" = "b"."name" AND pgcrypt.eq("a"."email") OPERATOR(pg_catalog.=) pgcrypt.eq("b"."email")
--> outputs: public.users.email

SELECT email FROM users a JOIN (SELECT 1::bigint AS id, email FROM users) b USING (id, email)
--> refused 0A000 at 77: JOIN USING of "id" beside a protected column is not supported in a statement that touches a protected table

SELECT j.email FROM (users a JOIN users b USING (email)) AS j
--> refused 0A000 at 43: an alias on a JOIN USING or NATURAL JOIN is not possible on protected column "public.users.email"

SELECT email FROM users a JOIN users b USING (email) AS j
--> refused 0A000 at 40: an alias on a JOIN USING or NATURAL JOIN is not possible on protected column "public.users.email"

SELECT users.id FROM users JOIN (VALUES ('alpha@x')) v (email) USING (email)
--> text: SELECT users.id FROM users JOIN (VALUES (<term email 'alpha@x' by default text>)) v (email) ON pgcrypt.eq("public"."users"."email") OPERATOR(pg_catalog.=) "v"."email"

SELECT id, email, name AS n FROM users UNION SELECT id, email, name FROM users u UNION ALL SELECT 1, 'alpha@x', 'x' ORDER BY n LIMIT 2
--> text: SELECT DISTINCT ON ("pgcrypt_rows"."c1", pgcrypt.eq("pgcrypt_rows"."c2"), "pgcrypt_rows"."c3") "c1" AS "id", "c2" AS "email", "c3" AS "n" FROM (SELECT id, email, name AS n FROM users UNION ALL SELECT id, email, name FROM users u) AS "pgcrypt_rows" ("c1", "c2", "c3") UNION ALL SELECT 1, <alike email 'alpha@x'> AS "?column?", 'x' ORDER BY n LIMIT 2
--> outputs: -, public.users.email, -

WITH x AS (SELECT * FROM users) (SELECT email FROM x ORDER BY id LIMIT 2) UNION DISTINCT (SELECT email FROM users)
--> text: WITH x AS (SELECT * FROM users) SELECT DISTINCT ON (pgcrypt.eq("pgcrypt_rows"."c1")) "c1" AS "email" FROM ((SELECT email FROM x ORDER BY id LIMIT 2) UNION ALL (SELECT email FROM users)) AS "pgcrypt_rows" ("c1")
--> outputs: public.users.email

SELECT email, name AS c1 FROM users INTERSECT ALL SELECT email, name FROM users WHERE id > 2
--> text: SELECT "c1" AS "email", "c2" AS "c1" FROM (SELECT pgcrypt.first("c1") FILTER (WHERE "is_left") AS "c1", "c2", pg_catalog.count(*) FILTER (WHERE "is_left") AS "lefts", pg_catalog.count(*) FILTER (WHERE NOT "is_left") AS "rights" FROM (SELECT "pgcrypt_rows".*, true FROM (SELECT email, name AS c1 FROM users ) AS "pgcrypt_rows" UNION ALL SELECT "pgcrypt_rows".*, false FROM ( SELECT email, name FROM users WHERE id > 2) AS "pgcrypt_rows") AS "pgcrypt_rows" ("c1", "c2", "is_left") GROUP BY pgcrypt.eq("pgcrypt_rows"."c1"), "pgcrypt_rows"."c2") AS "pgcrypt_rows", LATERAL pg_catalog.generate_series(1, LEAST("lefts", "rights")) AS "times"
--> outputs: public.users.email, -

SELECT id, email FROM users EXCEPT ALL SELECT id, email FROM users WHERE id > 2 ORDER BY 1
--> text: SELECT * FROM (SELECT "c1" AS "id", "c2" AS "email" FROM (SELECT "c1", pgcrypt.first("c2") FILTER (WHERE "is_left") AS "c2", pg_catalog.count(*) FILTER (WHERE "is_left") AS "lefts", pg_catalog.count(*) FILTER (WHERE NOT "is_left") AS "rights" FROM (SELECT "pgcrypt_rows".*, true FROM (SELECT id, email FROM users ) AS "pgcrypt_rows" UNION ALL SELECT "pgcrypt_rows".*, false FROM ( SELECT id, email FROM users WHERE id > 2) AS "pgcrypt_rows") AS "pgcrypt_rows" ("c1", "c2", "is_left") GROUP BY "pgcrypt_rows"."c1", pgcrypt.eq("pgcrypt_rows"."c2")) AS "pgcrypt_rows", LATERAL pg_catalog.generate_series(1, "lefts" OPERATOR(pg_catalog.-) "rights") AS "times") AS "pgcrypt_rows" ORDER BY 1
--> outputs: -, public.users.email

SELECT email AS order FROM users UNION SELECT email FROM users -- UNION
 UNION VALUES ('zeta@x')
--> text: SELECT DISTINCT ON (pgcrypt.eq("pgcrypt_rows"."c1")) "c1" AS "order" FROM (SELECT DISTINCT ON (pgcrypt.eq("pgcrypt_rows"."c1")) "c1" AS "order" FROM (SELECT email AS order FROM users UNION ALL SELECT email FROM users) AS "pgcrypt_rows" ("c1") -- UNION\n UNION ALL VALUES (<alike email 'zeta@x'>)) AS "pgcrypt_rows" ("c1")
--> outputs: public.users.email

SELECT id, email FROM users UNION SELECT id, email FROM users ORDER BY id + 1
--> refused 0A000 at 75: ORDER BY of an expression over a set operation or DISTINCT is not supported in a statement that touches a protected table

SELECT email FROM users UNION SELECT contact FROM orders
--> refused 0A000 at 25: UNION with a column that is not the same is not possible on protected column "public.users.email"

SELECT ssn FROM users UNION SELECT ssn FROM users
--> refused 0A000 at 23: protected column "public.users.ssn" is not searchable

SELECT email, 'x' FROM users INTERSECT SELECT email, 'y' FROM users
--> refused 0A000 at 30: INTERSECT beside literals or parameters is not possible on protected column "public.users.email"

SELECT email, 1 FROM users INTERSECT SELECT email, $1::int FROM users
--> text: SELECT "c1" AS "email", "c2" AS "?column?" FROM (SELECT pgcrypt.first("c1") FILTER (WHERE "is_left") AS "c1", "c2", pg_catalog.count(*) FILTER (WHERE "is_left") AS "lefts", pg_catalog.count(*) FILTER (WHERE NOT "is_left") AS "rights" FROM (SELECT "pgcrypt_rows".*, true FROM (SELECT email, 1 FROM users ) AS "pgcrypt_rows" UNION ALL SELECT "pgcrypt_rows".*, false FROM ( SELECT email, $1::int FROM users) AS "pgcrypt_rows") AS "pgcrypt_rows" ("c1", "c2", "is_left") GROUP BY pgcrypt.eq("pgcrypt_rows"."c1"), "pgcrypt_rows"."c2") AS "pgcrypt_rows" WHERE "lefts" OPERATOR(pg_catalog.>) 0 AND "rights" OPERATOR(pg_catalog.>) 0
--> parameters: $1=client 1 pass
--> outputs: public.users.email, -

INSERT INTO users (id, email) SELECT id, email FROM users UNION SELECT id, 'alpha@x' FROM items ON CONFLICT DO NOTHING
--> text: INSERT INTO users (id, email) SELECT DISTINCT ON ("pgcrypt_rows"."c1", pgcrypt.eq("pgcrypt_rows"."c2")) "c1" AS "id", "c2" AS "email" FROM (SELECT id, email FROM users UNION ALL SELECT id, <alike email 'alpha@x'> AS "?column?" FROM items) AS "pgcrypt_rows" ("c1", "c2") ON CONFLICT DO NOTHING

SELECT id FROM users WHERE email IN (SELECT contact FROM orders GROUP BY contact EXCEPT SELECT email FROM users)
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) IN (SELECT pgcrypt.first(pgcrypt.eq(contact)) AS "contact" FROM orders GROUP BY pgcrypt.eq(contact) EXCEPT SELECT pgcrypt.eq(email) FROM users)

SELECT id FROM users u WHERE EXISTS (SELECT email FROM users INTERSECT SELECT u.email)
--> text: SELECT id FROM users u WHERE EXISTS (SELECT pgcrypt.eq(email) FROM users INTERSECT SELECT pgcrypt.eq(u.email))

SELECT id FROM users u WHERE (id, email) NOT IN (SELECT user_id, contact FROM orders EXCEPT ALL SELECT 1, 'alpha@x')
--> text: SELECT id FROM users u WHERE (id, pgcrypt.eq(email)) NOT IN (SELECT user_id, pgcrypt.eq(contact) FROM orders EXCEPT ALL SELECT 1, <term contact 'alpha@x'>)

SELECT id FROM users WHERE email IN (SELECT contact FROM orders UNION SELECT name FROM users)
--> refused 0A000 at None: protected column "public.orders.contact" can only be compared with a parameter, a literal or a searchable column of the same index domain

WITH RECURSIVE t AS (SELECT id, email, 0 AS depth FROM users WHERE email = 'alpha@x' UNION ALL SELECT u.id, u.email, depth + 1 FROM users u JOIN t ON u.id = t.id + 1) SELECT email, depth FROM t WHERE email <> $1
--> text: WITH RECURSIVE t AS (SELECT id, email, 0 AS depth FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'> UNION ALL SELECT u.id, u.email, depth + 1 FROM users u JOIN t ON u.id = t.id + 1) SELECT email, depth FROM t WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.<>) $1
--> parameters: $1=client 1 term email
--> outputs: public.users.email, -

WITH RECURSIVE t(a,b) AS (SELECT id, email FROM users UNION SELECT a + 1, b FROM t WHERE a < 5) SELECT * FROM t
--> refused 0A000 at None: UNION in WITH RECURSIVE is not possible on protected column "public.users.email"

WITH RECURSIVE t(a,b) AS (SELECT id, email FROM users UNION ALL SELECT a + 1, coalesce(b, '') FROM t) SELECT * FROM t
--> refused 0A000 at None: WITH RECURSIVE with a column that is not the same is not possible on protected column "public.users.email"

WITH RECURSIVE t(a,b) AS (SELECT id, email FROM users UNION ALL SELECT a + 1, name FROM t, users) SELECT * FROM t
--> refused 0A000 at None: WITH RECURSIVE with a column that is not the same is not possible on protected column "public.users.email"

WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT email FROM users) SELECT email FROM a
--> text: WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT email FROM users) SELECT email FROM a
--> outputs: public.users.email

WITH RECURSIVE a AS (SELECT email FROM b), b AS (SELECT email FROM a) SELECT * FROM a, users
--> refused 0A000 at None: mutual recursion in WITH RECURSIVE is not supported in a statement that touches a protected table

WITH RECURSIVE t AS (SELECT id, email FROM users UNION ALL SELECT id, email FROM t) SEARCH DEPTH FIRST BY id SET o SELECT id FROM t
--> refused 0A000 at None: SEARCH or CYCLE is not possible on protected column "public.users.email"

SELECT U&"\0065mail" FROM users
--> text: SELECT U&"\0065mail" FROM users
--> outputs: public.users.email

SELECT (email) FROM users a JOIN users b USING (email)
--> text: SELECT ("a"."email") AS "email" FROM users a JOIN users b ON pgcrypt.eq("a"."email") OPERATOR(pg_catalog.=) pgcrypt.eq("b"."email")
--> outputs: public.users.email
