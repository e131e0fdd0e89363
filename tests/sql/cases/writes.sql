INSERT INTO users VALUES (1,'alpha@x',E'n\'x',NULL), (2,$1,'q',DEFAULT) RETURNING *
--> text: INSERT INTO users VALUES (1,<seal email 'alpha@x'>,E'n\'x',<seal ssn None>), (2,$1,'q',DEFAULT) RETURNING *
--> parameters: $1=client 1 seal email
--> outputs: -, public.users.email, -, public.users.ssn

INSERT INTO users (name, email) VALUES ($1, $2), ($3, $3) ON CONFLICT (email) DO UPDATE SET email = EXCLUDED.email, ssn = $4 WHERE users.email <> 'kappa' RETURNING id, email
--> text: INSERT INTO users (name, email) VALUES ($1, $2), ($3, $5) ON CONFLICT ((pgcrypt.eq(email))) DO UPDATE SET email = EXCLUDED.email, ssn = $4 WHERE pgcrypt.eq(users.email) OPERATOR(pg_catalog.<>) <term email 'kappa'> RETURNING id, email
--> parameters: $1=client 1 pass; $2=client 2 seal email; $3=client 3 pass; $4=client 4 seal ssn; $5=client 3 seal email
--> outputs: -, public.users.email

INSERT INTO users (email) VALUES ('alpha@x') ON CONFLICT DO NOTHING
--> text: INSERT INTO users (email) VALUES (<seal email 'alpha@x'>) ON CONFLICT DO NOTHING

INSERT INTO users (email, name) VALUES ('alpha@x', 'n') ON CONFLICT ("email", lower(name), id) DO NOTHING
--> text: INSERT INTO users (email, name) VALUES (<seal email 'alpha@x'>, 'n') ON CONFLICT ((pgcrypt.eq("email")), lower(name), id) DO NOTHING

INSERT INTO users (ssn) VALUES ('123') ON CONFLICT (ssn) DO NOTHING
--> refused 0A000 at 52: protected column "public.users.ssn" is not searchable

INSERT INTO users (email) VALUES ('alpha@x') ON CONFLICT (id) DO UPDATE SET ssn = excluded.email
--> refused 0A000 at 83: copying into "public.users.ssn" is not possible on protected column "public.users.email"

INSERT INTO users (email) VALUES ('alpha@x') ON CONFLICT (id) DO UPDATE SET name = excluded.email
--> refused 0A000 at 84: SET is not possible on protected column "public.users.email"

INSERT INTO users (email) VALUES ('alpha@x') ON CONFLICT (id) DO UPDATE SET email = users.email
--> text: INSERT INTO users (email) VALUES (<seal email 'alpha@x'>) ON CONFLICT (id) DO UPDATE SET email = users.email

INSERT INTO users DEFAULT VALUES
--> untouched

INSERT INTO users (email) VALUES (DEFAULT)
--> untouched

INSERT INTO users (email) VALUES ('alpha' || '@x')
--> refused 0A000 at 43: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.email"

INSERT INTO users (email) VALUES ((SELECT 'alpha@x'))
--> text: INSERT INTO users (email) VALUES ((SELECT <seal email 'alpha@x' by default text> AS "?column?"))

INSERT INTO users (email) VALUES (now())
--> refused 0A000 at 35: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.email"

INSERT INTO users (email) SELECT 'alpha@x'
--> text: INSERT INTO users (email) SELECT <seal email 'alpha@x'>

INSERT INTO users (name) SELECT name FROM items
--> untouched

INSERT INTO items (name) SELECT email FROM users
--> refused 0A000 at None: INSERT ... SELECT into an unprotected column is not possible on protected column "public.users.email"

INSERT INTO items (name) SELECT name FROM users WHERE email='alpha@x'
--> text: INSERT INTO items (name) SELECT name FROM users WHERE pgcrypt.eq(email)OPERATOR(pg_catalog.=)<term email 'alpha@x'>

INSERT INTO items (name) VALUES ((SELECT email FROM users))
--> refused 0A000 at 34: a subquery's value in an expression is not possible on protected column "public.users.email"

INSERT INTO orders (contact) SELECT email FROM users
--> refused 0A000 at None: copying into "public.orders.contact" is not possible on protected column "public.users.email"

INSERT INTO users AS u (id, email) VALUES (1, 'alpha@x'::text) RETURNING u.email, old.email, new.ssn
--> text: INSERT INTO users AS u (id, email) VALUES (1, <seal email 'alpha@x' as text>) RETURNING u.email, old.email, new.ssn
--> outputs: public.users.email, public.users.email, public.users.ssn

INSERT INTO users (id, email) VALUES (1, 5), (2, true), (3, -1.5)
--> text: INSERT INTO users (id, email) VALUES (1, <seal email '5' as integer>), (2, <seal email 'true' as boolean>), (3, <seal email '-1.5' as numeric>)

INSERT INTO users (email) VALUES (ARRAY['alpha@x'])
--> refused 0A000 at 35: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.email"

INSERT INTO users (email[1]) VALUES ('alpha@x')
--> refused 0A000 at 20: a subscript is not possible on protected column "public.users.email"

INSERT INTO late (email) VALUES ('alpha@x')
--> refused 55000 at 13: column "public.late.email" is named in the rules but is not sealed yet

INSERT INTO future (email) VALUES ('alpha@x')
--> refused 55000 at 13: table "public.future" is named in the rules but its protected columns are not in the database

INSERT INTO v_users (email) VALUES ('alpha@x')
--> refused 0A000 at 13: relation "public.v_users" is made from protected columns, which is not supported

INSERT INTO twin (email) VALUES ('users')
--> untouched

INSERT INTO nobody_knows (email) VALUES ('alpha@x')
--> untouched

UPDATE users SET email = CAST('alpha@x' AS text), ssn = '1'::character varying (9), name=name||'z' WHERE email IN ('a1b2', 'b1c2') AND ssn IS NOT NULL
--> text: UPDATE users SET email = <seal email 'alpha@x' as text>, ssn = <seal ssn '1' as character varying(9)>, name=name||'z' WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) ANY (ARRAY[<term email 'a1b2'>, <term email 'b1c2'>]::pg_catalog.bytea[]) AND ssn IS NOT NULL

UPDATE users SET name = email
--> refused 0A000 at 25: SET is not possible on protected column "public.users.email"

UPDATE users SET email = name
--> refused 0A000 at 26: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.email"

UPDATE users SET email = email
--> untouched

UPDATE users SET email = ssn
--> refused 0A000 at 26: copying into "public.users.email" is not possible on protected column "public.users.ssn"

UPDATE users SET email = lower('alpha@x')
--> refused 0A000 at 26: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.email"

UPDATE users SET email = email || 'x'
--> refused 0A000 at 32: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.email"

UPDATE users SET email = DEFAULT, ssn = NULL
--> text: UPDATE users SET email = DEFAULT, ssn = <seal ssn None>

UPDATE users SET email = $1 WHERE email = $1
--> text: UPDATE users SET email = $1 WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) $2
--> parameters: $1=client 1 seal email; $2=client 1 term email

UPDATE users SET email = $1, name = $1
--> text: UPDATE users SET email = $2, name = $1
--> parameters: $1=client 1 pass; $2=client 1 seal email

INSERT INTO users (email, name, ssn) VALUES ($2, $2, $2), ($1, 'x', $1)
--> text: INSERT INTO users (email, name, ssn) VALUES ($3, $2, $4), ($1, 'x', $5)
--> parameters: $1=client 1 seal email; $2=client 2 pass; $3=client 2 seal email; $4=client 2 seal ssn; $5=client 1 seal ssn

UPDATE users SET (email, name) = ('alpha@x', 'b')
--> text: UPDATE users SET (email, name) = (<seal email 'alpha@x'>, 'b')

UPDATE users SET (email, name) = (SELECT 'alpha@x', 'b')
--> text: UPDATE users SET (email, name) = (SELECT <seal email 'alpha@x' by default text> AS "?column?", 'b')

UPDATE users SET (name, id) = ROW('b', 1) WHERE id = 1
--> untouched

UPDATE users SET (name, id) = (SELECT email, 1 FROM users)
--> refused 0A000 at 19: SET is not possible on protected column "public.users.email"

UPDATE users u SET name = i.name FROM items i WHERE i.id = u.id RETURNING *
--> text: UPDATE users u SET name = i.name FROM items i WHERE i.id = u.id RETURNING *
--> outputs: -, public.users.email, -, public.users.ssn, -, -

UPDATE items SET name = users.email FROM users
--> refused 0A000 at 25: SET is not possible on protected column "public.users.email"

UPDATE items SET name = 'b' FROM users WHERE users.id = items.id AND users.email = 'alpha@x'
--> text: UPDATE items SET name = 'b' FROM users WHERE users.id = items.id AND pgcrypt.eq(users.email) OPERATOR(pg_catalog.=) <term email 'alpha@x'>

UPDATE users SET email = 'alpha@x' WHERE CURRENT OF cursor_1
--> text: UPDATE users SET email = <seal email 'alpha@x'> WHERE CURRENT OF cursor_1

UPDATE users SET name = 'x' RETURNING email, upper(name)
--> text: UPDATE users SET name = 'x' RETURNING email, upper(name)
--> outputs: public.users.email, -

DELETE FROM users USING orders o WHERE o.contact = users.email AND users.email = 'alpha@x' RETURNING users.*
--> text: DELETE FROM users USING orders o WHERE pgcrypt.eq(o.contact) OPERATOR(pg_catalog.=) pgcrypt.eq(users.email) AND pgcrypt.eq(users.email) OPERATOR(pg_catalog.=) <term email 'alpha@x'> RETURNING users.*
--> outputs: -, public.users.email, -, public.users.ssn

DELETE FROM users WHERE email = $1
--> text: DELETE FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) $1
--> parameters: $1=client 1 term email

DELETE FROM users
--> untouched

MERGE INTO users u USING items i ON i.id = u.id WHEN MATCHED THEN UPDATE SET email = 'alpha@x'
--> text: MERGE INTO users u USING items i ON i.id = u.id WHEN MATCHED THEN UPDATE SET email = <seal email 'alpha@x'>

WITH gone AS (DELETE FROM users WHERE email = 'alpha@x' RETURNING id, email) SELECT count(*) FROM gone
--> text: WITH gone AS (DELETE FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'> RETURNING id, email) SELECT count(*) FROM gone

INSERT INTO users (name, email) SELECT * FROM UNNEST((E'{a,b}')::varchar[], ('{x@y,NULL}'::text[])::text[]) RETURNING users.id
--> text: INSERT INTO users (name, email) SELECT * FROM UNNEST((E'{a,b}')::varchar[], <seal_array email '{x@y,NULL}' as text>) RETURNING users.id

INSERT INTO users (name, email) SELECT * FROM unnest($1::text[], $2::varchar[])
--> text: INSERT INTO users (name, email) SELECT * FROM unnest($1::text[], $2)
--> parameters: $1=client 1 pass; $2=client 2 seal_array email as character varying

INSERT INTO users (name, email) SELECT * FROM unnest(ARRAY['a'], ARRAY['alpha@x', $1]::text[])
--> text: INSERT INTO users (name, email) SELECT * FROM unnest(ARRAY['a'], ARRAY[<seal email 'alpha@x' as text>, $1]::pg_catalog.bytea[])
--> parameters: $1=client 1 seal email as text

INSERT INTO users (name, email) SELECT * FROM unnest(ARRAY['a'], array_append(ARRAY['alpha@x'], 'b'))
--> refused 0A000 at None: INSERT ... SELECT of columns that are not known is not possible on protected column "public.users.email"

INSERT INTO users (name, email) SELECT * FROM unnest(ARRAY['a'], ARRAY['alpha@x']) LIMIT 1
--> text: INSERT INTO users (name, email) SELECT * FROM unnest(ARRAY['a'], ARRAY[<seal email 'alpha@x' by default text>]::pg_catalog.bytea[]) LIMIT 1

INSERT INTO users (name, email) SELECT * FROM unnest(ARRAY['a'], ARRAY['alpha@x']) WITH ORDINALITY
--> refused 42601 at None: INSERT has more expressions than target columns

INSERT INTO users (email, id) SELECT p0::VARCHAR, p1::INTEGER FROM (VALUES ('alpha@x'::VARCHAR, 1, 0), ($1::VARCHAR, $2, 1)) AS s(p0, p1, n) ORDER BY n RETURNING users.id
--> text: INSERT INTO users (email, id) SELECT p0 , p1::INTEGER FROM (VALUES (<seal email 'alpha@x' as character varying>, 1, 0), ($1, $2, 1)) AS s(p0, p1, n) ORDER BY n RETURNING users.id
--> parameters: $1=client 1 seal email as character varying; $2=client 2 pass

INSERT INTO users (email, id) SELECT p0::TEXT, p1::INTEGER FROM (VALUES ('alpha@x'::VARCHAR, 1, 0), ($1::VARCHAR, $2, 1)) AS s(p0, p1, n) ORDER BY n RETURNING users.id
--> text: INSERT INTO users (email, id) SELECT p0 , p1::INTEGER FROM (VALUES (<seal email 'alpha@x' as character varying>, 1, 0), ($1, $2, 1)) AS s(p0, p1, n) ORDER BY n RETURNING users.id
--> parameters: $1=client 1 seal email as character varying; $2=client 2 pass

INSERT INTO users (email, name) SELECT p0, p0 FROM (VALUES ('alpha@x')) AS s(p0)
--> refused 0A000 at None: a value that is used in two ways is not possible on protected column "public.users.email"

INSERT INTO users (email) SELECT s.p0 FROM (VALUES ('alpha@x')) AS s(p0) ORDER BY p0
--> refused 0A000 at None: a value that is used in two ways is not possible on protected column "public.users.email"

INSERT INTO users (email) SELECT p0 || 'x' FROM (VALUES ('alpha@x')) AS s(p0)
--> refused 0A000 at None: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.email"

MERGE INTO users u USING items i ON i.id = u.id WHEN MATCHED THEN UPDATE SET name = i.name RETURNING merge_action(), u.email
--> text: MERGE INTO users u USING items i ON i.id = u.id WHEN MATCHED THEN UPDATE SET name = i.name RETURNING merge_action(), u.email
--> outputs: -, public.users.email

INSERT INTO users (email) VALUES ($1, 'beta@x')
--> refused 42601 at None: INSERT has more expressions than target columns

INSERT INTO users (email) SELECT 'a', 'b'
--> refused 42601 at None: INSERT has more expressions than target columns

INSERT INTO users (email, id) VALUES ($1)
--> text: INSERT INTO users (email, id) VALUES ($1)
--> parameters: $1=client 1 seal email
