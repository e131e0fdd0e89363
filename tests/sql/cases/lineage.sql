SELECT coalesce(u.email, $1, NULL, 'none') AS e FROM users u
--> text: SELECT coalesce(u.email, $1, <alike email None by default text>, <alike email 'none' by default text>) AS e FROM users u
--> parameters: $1=client 1 alike email by default text
--> outputs: public.users.email

SELECT coalesce(email, ssn) FROM users
--> refused 0A000 at 24: copying into "public.users.email" is not possible on protected column "public.users.ssn"

SELECT coalesce(email, name) FROM users
--> refused 0A000 at 24: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.email"

SELECT CASE WHEN id = $1 THEN email WHEN email = 'alpha@x' THEN 'beta@x' END FROM users
--> text: SELECT CASE WHEN id = $1 THEN email WHEN pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'> THEN <alike email 'beta@x' by default text> END FROM users
--> parameters: $1=client 1 pass
--> outputs: public.users.email

SELECT CASE WHEN id = 1 THEN email ELSE name END FROM users
--> refused 0A000 at 41: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.email"

SELECT s.case FROM (SELECT CASE WHEN true THEN email END FROM users) s
--> text: SELECT s.case FROM (SELECT CASE WHEN true THEN email END FROM users) s
--> outputs: public.users.email

SELECT s.coalesce || 'x' FROM (SELECT coalesce(email, 'x') FROM users) s
--> refused 0A000 at 8: operator || is not possible on protected column "public.users.email"

SELECT s.email FROM (SELECT CASE WHEN true THEN NULL ELSE email END FROM users) s
--> text: SELECT s.email FROM (SELECT CASE WHEN true THEN <alike email None by default text> ELSE email END FROM users) s
--> outputs: public.users.email

SELECT nullif(u.email, u.name) FROM users u
--> refused 0A000 at 8: protected column "public.users.email" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT nullif(email, $1) AS e, nullif(name, 'x') FROM users
--> text: SELECT CASE WHEN pgcrypt.eq(email) OPERATOR(pg_catalog.=) ( $1) THEN NULL ELSE email END AS e, nullif(name, 'x') FROM users
--> parameters: $1=client 1 term email
--> outputs: public.users.email, -

SELECT nullif('x', email) FROM users
--> refused 0A000 at 20: NULLIF is not possible on protected column "public.users.email"

SELECT (SELECT contact FROM orders WHERE orders.user_id = u.id LIMIT 1) AS c FROM users u
--> text: SELECT (SELECT contact FROM orders WHERE orders.user_id = u.id LIMIT 1) AS c FROM users u
--> outputs: public.orders.contact

SELECT (SELECT contact FROM orders LIMIT 1) || 'x'
--> refused 0A000 at 8: a subquery's value in an expression is not possible on protected column "public.orders.contact"

SELECT ARRAY(SELECT email FROM users)
--> refused 0A000 at 8: a subquery's value in an expression is not possible on protected column "public.users.email"

SELECT email::text, ssn::varchar, (email)::text FROM users
--> text: SELECT email , ssn ,  email  FROM users
--> outputs: public.users.email, public.users.ssn, public.users.email

SELECT email::int FROM users
--> refused 0A000 at 8: a cast is not possible on protected column "public.users.email"

SELECT email FROM users UNION ALL SELECT 'none'
--> text: SELECT email FROM users UNION ALL SELECT <alike email 'none'> AS "?column?"
--> outputs: public.users.email

SELECT email, name FROM users UNION ALL SELECT $1, 'x' ORDER BY 2
--> text: SELECT email, name FROM users UNION ALL SELECT $1, 'x' ORDER BY 2
--> parameters: $1=client 1 alike email
--> outputs: public.users.email, -

SELECT email FROM users UNION ALL SELECT email FROM users ORDER BY 1
--> refused 0A000 at 68: ORDER BY is not possible on protected column "public.users.email"

SELECT 'x' UNION ALL SELECT email FROM users
--> text: SELECT <alike email 'x'> AS "?column?" UNION ALL SELECT email FROM users
--> outputs: public.users.email

SELECT greatest(email, 'x') IS NULL FROM users
--> refused 0A000 at 17: GREATEST/LEAST is not possible on protected column "public.users.email"

SELECT coalesce(email, 'x') IS NULL, email IS NULL FROM users
--> text: SELECT coalesce(email, <alike email 'x' by default text>) IS NULL, email IS NULL FROM users

INSERT INTO users (id, email) SELECT 1, $1 WHERE NOT EXISTS (SELECT 1 FROM users WHERE email = $1)
--> text: INSERT INTO users (id, email) SELECT 1, $2 WHERE NOT EXISTS (SELECT 1 FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) $1)
--> parameters: $1=client 1 term email; $2=client 1 seal email

INSERT INTO users (id, email) SELECT id + 100, email FROM users WHERE id < 5
--> untouched

INSERT INTO users (id, email) SELECT id, ssn FROM users
--> refused 0A000 at None: copying into "public.users.email" is not possible on protected column "public.users.ssn"

INSERT INTO users (id, email) SELECT id, name FROM items
--> refused 0A000 at None: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.email"

INSERT INTO users (id, email) SELECT id, coalesce(email, 'none') FROM users
--> text: INSERT INTO users (id, email) SELECT id, coalesce(email, <alike email 'none' by default text>) FROM users

INSERT INTO users SELECT * FROM users
--> untouched

INSERT INTO items (id, name) SELECT id, email FROM users
--> refused 0A000 at None: INSERT ... SELECT into an unprotected column is not possible on protected column "public.users.email"

INSERT INTO items (id, name) SELECT * FROM users
--> refused 0A000 at None: INSERT ... SELECT into an unprotected column is not possible on protected column "public.users.email"

INSERT INTO users (email) SELECT e FROM (SELECT 'alpha@x' AS e UNION ALL SELECT $1) s
--> text: INSERT INTO users (email) SELECT e FROM (SELECT <seal email 'alpha@x' by default text> AS e UNION ALL SELECT $1) s
--> parameters: $1=client 1 seal email by default text

INSERT INTO users (email) SELECT DISTINCT e FROM (VALUES ('alpha@x')) s (e)
--> refused 0A000 at None: a value that is used in two ways is not possible on protected column "public.users.email"

INSERT INTO users (email) SELECT e FROM (VALUES ('alpha@x'), ('alpha@x')) s (e) GROUP BY e
--> refused 0A000 at None: a value that is used in two ways is not possible on protected column "public.users.email"

INSERT INTO users (email) WITH v (e) AS (VALUES ('alpha@x')) SELECT e FROM v
--> text: INSERT INTO users (email) WITH v (e) AS (VALUES (<seal email 'alpha@x' by default text>)) SELECT e FROM v

INSERT INTO people (born) SELECT d FROM (VALUES ('2024-01-01')) v (d)
--> text: INSERT INTO people (born) SELECT d FROM (VALUES (<seal born '2024-01-01' by default text>)) v (d)

INSERT INTO people (born) SELECT d::date FROM (VALUES ('2024-01-01')) v (d)
--> text: INSERT INTO people (born) SELECT d  FROM (VALUES (<seal born '2024-01-01'>)) v (d)

INSERT INTO people (born) SELECT d::date FROM (VALUES ('2024-01-01'::text)) v (d)
--> refused 0A000 at 56: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.people.born"

INSERT INTO people (born) SELECT '2024-01-01'
--> text: INSERT INTO people (born) SELECT <seal born '2024-01-01'>

UPDATE users SET email = coalesce($1, email) WHERE id = 1
--> text: UPDATE users SET email = coalesce($1, email) WHERE id = 1
--> parameters: $1=client 1 alike email by default text

UPDATE users SET email = CASE WHEN id = 1 THEN 'alpha@x' WHEN id = 2 THEN $1::text ELSE email END WHERE id IN (1, 2)
--> text: UPDATE users SET email = CASE WHEN id = 1 THEN <alike email 'alpha@x' by default text> WHEN id = 2 THEN $1 ELSE email END WHERE id IN (1, 2)
--> parameters: $1=client 1 alike email as text by default text

UPDATE users SET email = CASE id WHEN 1 THEN ssn END
--> refused 0A000 at 46: copying into "public.users.email" is not possible on protected column "public.users.ssn"

UPDATE users SET email = v.e FROM (VALUES (1, 'alpha@x'), (2, $1)) AS v (id, e) WHERE v.id = users.id
--> text: UPDATE users SET email = v.e FROM (VALUES (1, <seal email 'alpha@x' by default text>), (2, $1)) AS v (id, e) WHERE v.id = users.id
--> parameters: $1=client 1 seal email by default text

UPDATE users SET email = v.e, name = v.e FROM (VALUES (1, 'alpha@x')) AS v (id, e) WHERE v.id = users.id
--> refused 0A000 at None: a value that is used in two ways is not possible on protected column "public.users.email"

UPDATE users SET name = 'n' FROM (VALUES ('alpha@x')) AS v (e) WHERE v.e = users.email
--> text: UPDATE users SET name = 'n' FROM (VALUES (<term email 'alpha@x' by default text>)) AS v (e) WHERE v.e OPERATOR(pg_catalog.=) pgcrypt.eq(users.email)

UPDATE users SET email = v.e FROM (VALUES ('alpha@x')) AS v (e) WHERE v.e = users.email
--> refused 0A000 at 75: a value that is used in two ways is not possible on protected column "public.users.email"

UPDATE users SET email = v.e FROM (VALUES (1, 'alpha@x')) AS v (id, e) WHERE v.id = users.id RETURNING users.id, v.e
--> text: UPDATE users SET email = v.e FROM (VALUES (1, <seal email 'alpha@x' by default text>)) AS v (id, e) WHERE v.id = users.id RETURNING users.id, v.e
--> outputs: -, public.users.email

UPDATE users SET email = (SELECT email FROM users u WHERE u.id = 1)
--> untouched

UPDATE users SET email = (SELECT contact FROM orders LIMIT 1)
--> refused 0A000 at 26: copying into "public.users.email" is not possible on protected column "public.orders.contact"

UPDATE users SET (email, ssn) = ROW ('alpha@x', DEFAULT)
--> text: UPDATE users SET (email, ssn) = ROW (<seal email 'alpha@x'>, DEFAULT)

UPDATE users SET (name, email) = (SELECT name, email FROM users u WHERE u.id = 1)
--> untouched

UPDATE users SET email = nullif(email, 'alpha@x')
--> text: UPDATE users SET email = CASE WHEN pgcrypt.eq(email) OPERATOR(pg_catalog.=) ( <term email 'alpha@x'>) THEN NULL ELSE email END

MERGE INTO users u USING (SELECT $1::int AS id, $2 AS email) s ON s.id = u.id WHEN MATCHED AND u.email <> 'alpha@x' THEN UPDATE SET email = s.email WHEN NOT MATCHED THEN INSERT (id, email) VALUES (s.id, s.email)
--> text: MERGE INTO users u USING (SELECT $1::int AS id, $2 AS email) s ON s.id = u.id WHEN MATCHED AND pgcrypt.eq(u.email) OPERATOR(pg_catalog.<>) <term email 'alpha@x'> THEN UPDATE SET email = s.email WHEN NOT MATCHED THEN INSERT (id, email) VALUES (s.id, s.email)
--> parameters: $1=client 1 pass; $2=client 2 seal email by default text

MERGE INTO users u USING (VALUES (1, 'alpha@x')) s (id, e) ON s.e = u.email WHEN MATCHED THEN DELETE
--> text: MERGE INTO users u USING (VALUES (1, <term email 'alpha@x' by default text>)) s (id, e) ON s.e OPERATOR(pg_catalog.=) pgcrypt.eq(u.email) WHEN MATCHED THEN DELETE

MERGE INTO users u USING items i ON i.id = u.id WHEN NOT MATCHED THEN INSERT VALUES (i.id, 'alpha@x', i.name, DEFAULT)
--> text: MERGE INTO users u USING items i ON i.id = u.id WHEN NOT MATCHED THEN INSERT VALUES (i.id, <seal email 'alpha@x'>, i.name, DEFAULT)

MERGE INTO users u USING items i ON i.id = u.id WHEN NOT MATCHED THEN INSERT (id, email) VALUES (i.id, i.name)
--> refused 0A000 at 104: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.email"

MERGE INTO items i USING users u ON i.id = u.id WHEN MATCHED THEN UPDATE SET name = u.email
--> refused 0A000 at 85: SET is not possible on protected column "public.users.email"

MERGE INTO users u USING items i ON i.id = u.id WHEN MATCHED THEN DO NOTHING RETURNING u.email
--> text: MERGE INTO users u USING items i ON i.id = u.id WHEN MATCHED THEN DO NOTHING RETURNING u.email
--> outputs: public.users.email

DECLARE c NO SCROLL CURSOR WITH HOLD FOR SELECT id, email FROM users WHERE email = 'alpha@x'
--> text: DECLARE c NO SCROLL CURSOR WITH HOLD FOR SELECT id, email FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'>

DECLARE c CURSOR FOR SELECT coalesce(email, 'x') FROM users
--> refused 0A000 at None: an expression in a cursor's result is not possible on protected column "public.users.email"

DECLARE c CURSOR FOR SELECT e FROM (SELECT email AS e FROM users) s
--> untouched

CREATE TABLE kept AS SELECT id, name FROM users WHERE email = 'alpha@x'
--> text: CREATE TABLE kept AS SELECT id, name FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'>

CREATE TABLE users AS SELECT 1 AS id
--> refused 0A000 at None: CREATE TABLE AS is not supported on protected table "users"

SELECT id INTO kept FROM users
--> untouched

CREATE VIEW w AS SELECT email FROM users WHERE email = 'alpha@x'
--> refused 0A000 at None: CREATE VIEW with a condition or value is not supported on protected table "public.users"

CREATE VIEW w AS SELECT id, coalesce(email, 'alpha@x') FROM users
--> refused 0A000 at None: CREATE VIEW with a condition or value is not supported on protected table "public.users"

CREATE OR REPLACE VIEW v_users AS SELECT 1 AS email
--> refused 0A000 at None: CREATE VIEW is not supported on protected table "v_users"

DISCARD TEMP
--> untouched

CLOSE c
--> untouched

UNLISTEN *
--> untouched

LOAD 'auto_explain'
--> untouched

CHECKPOINT
--> untouched

SET CONSTRAINTS ALL DEFERRED
--> untouched

UPDATE users SET (email, name) = (SELECT $1, 'b')
--> text: UPDATE users SET (email, name) = (SELECT $1, 'b')
--> parameters: $1=client 1 seal email by default text

SELECT id FROM users WHERE $1::text IS NULL OR email = $1
--> text: SELECT id FROM users WHERE $1 IS NULL OR pgcrypt.eq(email) OPERATOR(pg_catalog.=) $1
--> parameters: $1=client 1 term email

SELECT id FROM users WHERE $1 IS NULL OR name = $1
--> untouched

SELECT id FROM users WHERE 'alpha@x' IS NOT NULL AND email = 'alpha@x'
--> text: SELECT id FROM users WHERE '' IS NOT NULL AND pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'>

SELECT id, $1::text FROM users WHERE email = $1
--> text: SELECT id, $1::text FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) $2
--> parameters: $1=client 1 pass; $2=client 1 term email

SELECT id FROM people WHERE born IN (VALUES ('2024-01-01'::date), ('2024-01-02'))
--> text: SELECT id FROM people WHERE pgcrypt.eq(born) IN (VALUES (<term born '2024-01-01' as date>), (<term born '2024-01-02' by default date>))

SELECT id FROM people WHERE born IN (VALUES ($1), ('2024-01-02'))
--> refused 0A000 at None: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.people.born"

SELECT id FROM users u JOIN (SELECT 'alpha@x'::text) s ON s.text = u.email
--> text: SELECT id FROM users u JOIN (SELECT <term email 'alpha@x' as text> AS "text") s ON s.text OPERATOR(pg_catalog.=) pgcrypt.eq(u.email)

SELECT id FROM users WHERE email = 1e3::text
--> refused 0A000 at 34: protected column "public.users.email" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT id FROM users WHERE $1 IS NULL OR email = $1
--> refused 0A000 at 28: IS NULL on parameter $1, which is also a protected column's value, is not supported without a cast

SELECT id FROM users WHERE email = $1 OR $1 IS NULL
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) $1 OR $1 IS NULL
--> parameters: $1=client 1 term email
