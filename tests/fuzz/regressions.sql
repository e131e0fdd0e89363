-- # What the fuzzer found
-- Each finding, made small, with what is right. The format is that of the conformance corpus.

-- ## Names of outputs that became envelopes or terms

SELECT 'planted-cy@x'::text, 6 UNION ALL SELECT contact, id FROM orders
--> same

SELECT u.id, s.text FROM (SELECT {email:'planted-ann@x'}::text) s JOIN users u ON u.email = s.text
--> refused: a value that is used in two ways

SELECT u.id FROM (SELECT {email:'planted-ann@x'}::text) s JOIN users u ON u.email = s.text
--> same

-- ## Types of values without a type

SELECT id FROM users WHERE born = ANY (ARRAY['1985-12-31', '1999-12-31'])
--> error 42883

SELECT id FROM orders WHERE total = ANY (ARRAY[10.5, '7.77'])
--> same

SELECT id FROM orders WHERE total = ANY (ARRAY[10, '7.77', 10.5])
--> same

SELECT id FROM orders WHERE total IN (VALUES (10), (' 7.77 '), (10.5))
--> same

SELECT id FROM users WHERE email = ANY (ARRAY['planted-ann@x', 'planted-bob@x'::varchar, 'planted-cy@x'::text])
--> same

SELECT id FROM users WHERE born IN (VALUES ('1999-12-31'::date), ('1990-02-03'))
--> same

SELECT id FROM users WHERE email IN (SELECT nick, count(*) FROM logs GROUP BY nick)
--> refused: subquery has too many columns

SELECT id FROM users WHERE born NOT IN (VALUES ({born:'1999-12-31'}), ('1990-02-03'))
--> refused: only a parameter, a literal
--> literal error 42883

-- ## An unsound value behind other statements

BEGIN; INSERT INTO contacts (email) VALUES ('plain-new@x'); DELETE FROM users WHERE born = 'nodate'; COMMIT
--> same
--> extended refused: cannot insert multiple commands
--> prepared refused: cannot insert multiple commands

BEGIN; INSERT INTO contacts (email) VALUES ('plain-new@x'); COMMIT; UPDATE public.users SET born = '2001-02-31'; SELECT 1
--> same
--> extended refused: cannot insert multiple commands
--> prepared refused: cannot insert multiple commands

-- ## A parameter in two places

SELECT id, {email:'planted-ann@x'}::text FROM users WHERE email = {email}
--> same

SELECT id FROM users WHERE email = {email:'planted-ann@x'} AND {email}::text IS NOT NULL
--> same

INSERT INTO users (email, name) VALUES ({email:'planted-new@x'}, {email}) RETURNING id > 100, email, name
--> same

SELECT id FROM users WHERE {nick:'planted-bob'}::text IS NULL OR nick = {nick}
--> same

UPDATE users SET (nick, plain) = (SELECT {nick:'planted-n'}, 5)
--> same

UPDATE users SET (nick, ssn, name) = (VALUES ({nick:'planted-n'}, {ssn:'planted-1'}, 'x')) WHERE id = 3
--> same

-- ## Settings of the server

SET transform_null_equals = on;
SELECT id, nick FROM users WHERE nick = NULL OR NULL = born
--> same

-- ## Casts of values

SELECT id FROM orders WHERE total = 10.5::int
--> refused: can only be compared with

SELECT id FROM users WHERE email = 1e3::text
--> refused: can only be compared with

INSERT INTO orders (contact, total) VALUES ('planted-new@x', 10.50::int2)
--> refused: only a parameter, a literal

SELECT id FROM orders WHERE total = 10::numeric(10,1) OR total = 7.77::numeric
--> same

SELECT id FROM users WHERE born = {born:'1990-02-03'}::timestamptz
--> refused: can only be compared with

SELECT id, CASE WHEN id = 1 THEN email ELSE {email:'planted-no@x'}::varchar END AS shown FROM users
--> refused: is not possible on protected column

SELECT id, COALESCE(nick, {nick:'planted-no'}::varchar) AS shown FROM users
--> same

SELECT id FROM users WHERE email::varchar = {email:'planted-Ann@x'}
--> same

-- ## Numbers and names of outputs as keys of groups

SELECT id, t1.born FROM users t1 GROUP BY CUBE (id, 2)
--> same

SELECT born AS o, count(*) FROM users GROUP BY ROLLUP (o)
--> same

SELECT plain, nick, count(*) FROM users GROUP BY (plain, 2)
--> same

SELECT plain AS p, count(*), count(nick) FROM users GROUP BY GROUPING SETS ((p), ())
--> same

SELECT plain, name, count(nick) FROM users GROUP BY (1, name)
--> same

-- ## Types of set operations

SELECT {nick:'planted-bob'}::varchar UNION ALL SELECT t3.nick FROM users t3
--> refused: UNION ALL behind a value of another type

-- ## Type modifiers

SELECT id, CASE WHEN id < 3 THEN ssn END, CASE WHEN id < 3 THEN ssn ELSE ssn END FROM users
--> same

-- ## IS NULL on a parameter that is sealed elsewhere

SELECT id FROM users WHERE nick = {nick:'planted-bob'} OR {nick} IS NULL
--> same

SELECT id FROM users WHERE {nick:'planted-bob'} IS NULL OR nick = {nick}
--> refused: without a cast
--> literal same

-- ## A NULL has a type too

UPDATE users SET born = NULL::integer WHERE id = 3
--> error 42804

UPDATE orders SET total = v.b FROM (VALUES (1, NULL)) AS v (a, b) WHERE id = v.a
--> error 42804

SELECT id FROM users WHERE born = NULL::integer
--> error 42883

SELECT CASE WHEN id > 0 THEN total END, CASE WHEN true THEN email END FROM (SELECT id, total, contact AS email FROM orders) o
--> same

SELECT COALESCE(email, NULL) FROM users
--> same

-- ## Spelling and types of literals

SELECT id FROM orders WHERE total = 10.5::int
--> refused: can only be compared with a parameter

SELECT id FROM users WHERE born = '1985-12-31'::timestamptz
--> refused: protected column

-- ## ORDER BY of an expression over a set operation

SELECT id FROM items WHERE EXISTS (SELECT nick FROM users UNION SELECT nick FROM users ORDER BY upper(nick))
--> refused: ORDER BY of an expression over a set operation

SELECT id FROM items WHERE EXISTS (SELECT nick FROM users UNION SELECT nick FROM users ORDER BY nick)
--> refused: ORDER BY

SELECT id FROM items WHERE EXISTS (SELECT nick FROM users UNION SELECT nick FROM users ORDER BY 1)
--> refused: ORDER BY

-- ## Namesakes of merged columns

SELECT name FROM users AS u NATURAL LEFT JOIN v_users t2 FULL JOIN users t5 ON t5.born = u.born
--> refused: which may mean a protected column or not

SELECT u.id FROM users u JOIN users b USING (nick, nick)
--> error 42701

-- ## Choices of another type

SELECT COALESCE(total, {total:0}::float8) FROM orders
--> refused: COALESCE

-- ## A parameter has one type

PREPARE p AS SELECT id FROM users WHERE email = $1 OR id = $1
--> error 42883

PREPARE p AS SELECT id FROM users WHERE name = $1 OR email = $1;
EXECUTE p ('Bob')
--> same

SELECT id FROM users WHERE email = {email:'Bob'} OR id = {email}
--> error 42883
--> literal error 22P02

SELECT id FROM users WHERE born IN (VALUES ({born:'0099-01-01'}), (NULL))
--> refused: protected column
--> literal error 42883
