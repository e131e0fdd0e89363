SELECT * FROM users
--> text: SELECT * FROM users
--> outputs: -, public.users.email, -, public.users.ssn

SELECT id, email AS e, u.name FROM users u WHERE email='alpha@x'and id=3
--> text: SELECT id, email AS e, u.name FROM users u WHERE pgcrypt.eq(email)OPERATOR(pg_catalog.=)<term email 'alpha@x'> and id=3
--> outputs: -, public.users.email, -

SELECT u.*, o.contact FROM public."users" u JOIN orders o ON o.contact = u.email WHERE o.note = $1 AND u.email = $2::varchar(30)
--> text: SELECT u.*, o.contact FROM public."users" u JOIN orders o ON pgcrypt.eq(o.contact) OPERATOR(pg_catalog.=) pgcrypt.eq(u.email) WHERE o.note = $1 AND pgcrypt.eq(u.email) OPERATOR(pg_catalog.=) $2
--> parameters: $1=client 1 pass; $2=client 2 term email as character varying(30)
--> outputs: -, public.users.email, -, public.users.ssn, public.orders.contact

SELECT count(*), count(email) FROM users
--> untouched

SELECT pg_catalog.count(email) FROM users
--> untouched

SELECT count(DISTINCT email) FROM users
--> text: SELECT count(DISTINCT pgcrypt.eq(email)) FROM users

SELECT email FROM public.users
--> text: SELECT email FROM public.users
--> outputs: public.users.email

SELECT EMAIL FROM USERS
--> text: SELECT EMAIL FROM USERS
--> outputs: public.users.email

SELECT "Email" FROM users
--> untouched

SELECT email FROM other.users
--> untouched

SELECT email FROM pg_temp.users
--> untouched

SELECT email FROM postgres.public.users
--> text: SELECT email FROM postgres.public.users
--> outputs: public.users.email

SELECT users.email, public.users.ssn FROM users
--> text: SELECT users.email, public.users.ssn FROM users
--> outputs: public.users.email, public.users.ssn

SELECT email FROM ONLY users
--> text: SELECT email FROM ONLY users
--> outputs: public.users.email

TABLE users
--> text: TABLE users
--> outputs: -, public.users.email, -, public.users.ssn

SELECT (SELECT email FROM users LIMIT 1)
--> text: SELECT (SELECT email FROM users LIMIT 1)
--> outputs: public.users.email

SELECT 1 FROM items WHERE EXISTS (SELECT email FROM users WHERE users.email = 'a')
--> text: SELECT 1 FROM items WHERE EXISTS (SELECT email FROM users WHERE pgcrypt.eq(users.email) OPERATOR(pg_catalog.=) <term email 'a'>)

SELECT 1 FROM items WHERE items.name IN (SELECT email FROM users)
--> refused 0A000 at 38: protected column "public.users.email" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT row_to_json(u) FROM users u
--> refused 0A000 at 20: a whole-row value of "u" would contain protected columns

SELECT u FROM users u
--> refused 0A000 at 8: a whole-row value of "u" would contain protected columns

SELECT count(u.*) FROM users u
--> untouched

SELECT u IS NULL FROM users u
--> untouched

SELECT email FROM users UNION SELECT 'x'
--> text: SELECT DISTINCT ON (pgcrypt.eq("pgcrypt_rows"."c1")) "c1" AS "email" FROM (SELECT email FROM users UNION ALL SELECT <alike email 'x'> AS "?column?") AS "pgcrypt_rows" ("c1")
--> outputs: public.users.email

SELECT email FROM users UNION ALL SELECT email FROM users
--> text: SELECT email FROM users UNION ALL SELECT email FROM users
--> outputs: public.users.email

SELECT email FROM users UNION ALL SELECT name FROM users
--> refused 0A000 at 25: UNION ALL with a column that is not the same is not possible on protected column "public.users.email"

SELECT name FROM users UNION SELECT name FROM items
--> untouched

SELECT email FROM users EXCEPT SELECT email FROM users
--> text: SELECT "c1" AS "email" FROM (SELECT pgcrypt.first("c1") FILTER (WHERE "is_left") AS "c1", pg_catalog.count(*) FILTER (WHERE "is_left") AS "lefts", pg_catalog.count(*) FILTER (WHERE NOT "is_left") AS "rights" FROM (SELECT "pgcrypt_rows".*, true FROM (SELECT email FROM users ) AS "pgcrypt_rows" UNION ALL SELECT "pgcrypt_rows".*, false FROM ( SELECT email FROM users) AS "pgcrypt_rows") AS "pgcrypt_rows" ("c1", "is_left") GROUP BY pgcrypt.eq("pgcrypt_rows"."c1")) AS "pgcrypt_rows" WHERE "lefts" OPERATOR(pg_catalog.>) 0 AND "rights" OPERATOR(pg_catalog.=) 0
--> outputs: public.users.email

SELECT rename_user('x')
--> refused 0A000 at 8: function "rename_user" may touch protected tables where it cannot be seen

SELECT * FROM v_users
--> refused 0A000 at 15: relation "public.v_users" is made from protected columns, which is not supported

SELECT * FROM items
--> untouched

SELECT * FROM late
--> refused 55000 at 15: column "public.late.email" is named in the rules but is not sealed yet

SELECT * FROM future
--> refused 55000 at 15: table "public.future" is named in the rules but its protected columns are not in the database

SELECT * FROM twin
--> untouched

SELECT email FROM users, generate_series(1,2) g
--> text: SELECT email FROM users, generate_series(1,2) g
--> outputs: public.users.email

SELECT users.email FROM users, generate_series(1,2) g
--> text: SELECT users.email FROM users, generate_series(1,2) g
--> outputs: public.users.email

SELECT * FROM users, generate_series(1,2) g
--> refused 0A000 at 8: * over columns that are not known is not supported in a statement that touches a protected table

SELECT DISTINCT email FROM users
--> text: SELECT DISTINCT ON (pgcrypt.eq(email))  email FROM users
--> outputs: public.users.email

SELECT DISTINCT name FROM users
--> untouched

SELECT DISTINCT ON (name) name, email FROM users
--> text: SELECT DISTINCT ON (name) name, email FROM users
--> outputs: -, public.users.email

SELECT DISTINCT ON (email) name FROM users
--> text: SELECT DISTINCT ON (pgcrypt.eq(email)) name FROM users

SELECT CASE WHEN true THEN email END FROM users
--> text: SELECT CASE WHEN true THEN email END FROM users
--> outputs: public.users.email

SELECT coalesce(email, 'x') FROM users
--> text: SELECT coalesce(email, <alike email 'x' by default text>) FROM users
--> outputs: public.users.email

SELECT nullif(email, 'x') FROM users
--> text: SELECT CASE WHEN pgcrypt.eq(email) OPERATOR(pg_catalog.=) ( <term email 'x'>) THEN NULL ELSE email END AS "nullif" FROM users
--> outputs: public.users.email

SELECT greatest(email, 'x') FROM users
--> refused 0A000 at 17: GREATEST/LEAST is not possible on protected column "public.users.email"

SELECT email || 'x' FROM users
--> refused 0A000 at 8: operator || is not possible on protected column "public.users.email"

SELECT email::varchar FROM users
--> text: SELECT email  FROM users
--> outputs: public.users.email

SELECT upper(email) FROM users
--> refused 0A000 at 14: function upper() is not possible on protected column "public.users.email"

SELECT email COLLATE "C" FROM users
--> refused 0A000 at 8: COLLATE is not possible on protected column "public.users.email"

SELECT ARRAY[email] FROM users
--> refused 0A000 at 14: ARRAY[] is not possible on protected column "public.users.email"

SELECT ROW(email) FROM users
--> refused 0A000 at 12: a row value is not possible on protected column "public.users.email"

SELECT array_agg(email) FROM users
--> refused 0A000 at 18: function array_agg() is not possible on protected column "public.users.email"

SELECT string_agg(name, email) FROM users
--> refused 0A000 at 25: function string_agg() is not possible on protected column "public.users.email"

SELECT max(email) FROM users GROUP BY name
--> refused 0A000 at 12: function max() is not possible on protected column "public.users.email"

SELECT email, count(*) FROM users GROUP BY email
--> text: SELECT pgcrypt.first(email) AS "email", count(*) FROM users GROUP BY pgcrypt.eq(email)
--> outputs: public.users.email, -

SELECT email, count(*) FROM users GROUP BY 1
--> text: SELECT pgcrypt.first(email) AS "email", count(*) FROM users GROUP BY pgcrypt.eq(email)
--> outputs: public.users.email, -

SELECT name, count(*) FROM users GROUP BY name HAVING count(*) > 1 ORDER BY 2 DESC LIMIT 5 OFFSET 1
--> untouched

SELECT name FROM users GROUP BY name HAVING max(email) > 'x'
--> refused 0A000 at 49: function max() is not possible on protected column "public.users.email"

SELECT email FROM users ORDER BY 1
--> refused 0A000 at 34: ORDER BY is not possible on protected column "public.users.email"

SELECT email FROM users ORDER BY email
--> refused 0A000 at 34: ORDER BY is not possible on protected column "public.users.email"

SELECT email AS name FROM users ORDER BY name
--> refused 0A000 at 42: ORDER BY is not possible on protected column "public.users.email"

SELECT email FROM users ORDER BY id DESC NULLS LAST
--> text: SELECT email FROM users ORDER BY id DESC NULLS LAST
--> outputs: public.users.email

SELECT row_number() OVER (ORDER BY email) FROM users
--> refused 0A000 at 36: ORDER BY is not possible on protected column "public.users.email"

SELECT email, row_number() OVER (PARTITION BY name ORDER BY id) FROM users
--> text: SELECT email, row_number() OVER (PARTITION BY name ORDER BY id) FROM users
--> outputs: public.users.email, -

SELECT sum(id) OVER w FROM users WINDOW w AS (PARTITION BY email)
--> text: SELECT sum(id) OVER w FROM users WINDOW w AS (PARTITION BY pgcrypt.eq(email))

SELECT count(*) FILTER (WHERE email = 'alpha@x') FROM users
--> text: SELECT count(*) FILTER (WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'>) FROM users

SELECT id FROM users WHERE email = 'alpha@x' FOR UPDATE
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'> FOR UPDATE

SELECT email INTO copy FROM users
--> refused 0A000 at None: SELECT INTO is not possible on protected column "public.users.email"

SELECT a.email FROM users a LEFT JOIN LATERAL (SELECT contact FROM orders WHERE orders.contact = a.email) z ON true WHERE z.contact = a.email
--> text: SELECT a.email FROM users a LEFT JOIN LATERAL (SELECT contact FROM orders WHERE pgcrypt.eq(orders.contact) OPERATOR(pg_catalog.=) pgcrypt.eq(a.email)) z ON true WHERE pgcrypt.eq(z.contact) OPERATOR(pg_catalog.=) pgcrypt.eq(a.email)
--> outputs: public.users.email

SELECT id FROM users NATURAL JOIN items
--> untouched

SELECT * FROM users JOIN items USING (id)
--> text: SELECT * FROM users JOIN items USING (id)
--> outputs: -, public.users.email, -, public.users.ssn, -

SELECT email FROM users JOIN twin USING (email)
--> refused 0A000 at 35: JOIN USING or NATURAL JOIN with a column that is not protected is not possible on protected column "public.users.email"

SELECT email FROM users NATURAL JOIN twin
--> refused 0A000 at 33: JOIN USING or NATURAL JOIN with a column that is not protected is not possible on protected column "public.users.email"

SELECT j.email FROM (users JOIN items ON true) AS j
--> text: SELECT j.email FROM (users JOIN items ON true) AS j
--> outputs: public.users.email

SELECT a, b FROM users AS t (a, b) WHERE b = 'alpha@x'
--> text: SELECT a, b FROM users AS t (a, b) WHERE pgcrypt.eq(b) OPERATOR(pg_catalog.=) <term email 'alpha@x'>
--> outputs: -, public.users.email

SELECT s.e FROM (SELECT email AS e FROM users) s WHERE s.e = 'alpha@x'
--> text: SELECT s.e FROM (SELECT email AS e FROM users) s WHERE pgcrypt.eq(s.e) OPERATOR(pg_catalog.=) <term email 'alpha@x'>
--> outputs: public.users.email

SELECT s.e FROM (SELECT email FROM users) s (e)
--> text: SELECT s.e FROM (SELECT email FROM users) s (e)
--> outputs: public.users.email

SELECT email FROM users TABLESAMPLE BERNOULLI (10)
--> text: SELECT email FROM users TABLESAMPLE BERNOULLI (10)
--> outputs: public.users.email

WITH x AS (SELECT email e FROM users) SELECT e FROM x WHERE e = 'alpha@x'
--> text: WITH x AS (SELECT email e FROM users) SELECT e FROM x WHERE pgcrypt.eq(e) OPERATOR(pg_catalog.=) <term email 'alpha@x'>
--> outputs: public.users.email

WITH x (mail) AS (SELECT email FROM users) SELECT mail FROM x
--> text: WITH x (mail) AS (SELECT email FROM users) SELECT mail FROM x
--> outputs: public.users.email

WITH users AS (SELECT 1 AS email) SELECT email FROM users
--> untouched

WITH RECURSIVE x (a) AS (SELECT email FROM users UNION ALL SELECT a FROM x) SELECT a FROM x
--> text: WITH RECURSIVE x (a) AS (SELECT email FROM users UNION ALL SELECT a FROM x) SELECT a FROM x
--> outputs: public.users.email

WITH RECURSIVE x (a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM x WHERE a < 5) SELECT a, email FROM x JOIN users ON users.id = a
--> text: WITH RECURSIVE x (a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM x WHERE a < 5) SELECT a, email FROM x JOIN users ON users.id = a
--> outputs: -, public.users.email

WITH x AS (INSERT INTO users (email) VALUES ('alpha@x') RETURNING email) SELECT * FROM x
--> text: WITH x AS (INSERT INTO users (email) VALUES (<seal email 'alpha@x'>) RETURNING email) SELECT * FROM x
--> outputs: public.users.email

SELECT email FROM users WHERE id = (SELECT max(id) FROM users)
--> text: SELECT email FROM users WHERE id = (SELECT max(id) FROM users)
--> outputs: public.users.email

SELECT email FROM users WHERE id IN (1, 2, $1) LIMIT $2
--> text: SELECT email FROM users WHERE id IN (1, 2, $1) LIMIT $2
--> parameters: $1=client 1 pass; $2=client 2 pass
--> outputs: public.users.email

SELECT i.name FROM items i WHERE i.id = (SELECT u.id FROM users u WHERE u.email = i.name)
--> refused 0A000 at 81: protected column "public.users.email" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT email(u) FROM users u
--> refused 0A000 at 14: a whole-row value of "u" would contain protected columns

SELECT query_to_xml('select * from users', true, true, '')
--> refused 0A000 at 8: function "query_to_xml" may touch protected tables where it cannot be seen

VALUES (1, 'x')
--> untouched

SELECT 'users', 'email'
--> untouched

SELECT extract(epoch FROM now()), current_date, email FROM users
--> text: SELECT extract(epoch FROM now()), current_date, email FROM users
--> outputs: -, -, public.users.email
