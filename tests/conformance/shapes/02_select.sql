-- # SELECT
-- A protected column can be passed on as it is: through aliases, joins, subqueries and common table expressions.

-- ## The column itself

SELECT * FROM users
--> same

SELECT email FROM users
--> same

SELECT email, ssn, born, nick, name FROM users WHERE id = {id:1}
--> same

SELECT users.* FROM users WHERE plain > {n:3}
--> same

SELECT u.*, u.email FROM users AS u
--> same

SELECT id, email AS mail, born birthday FROM users
--> same

SELECT email AS id, id AS email FROM users
--> same

SELECT email AS "Weird ""name""" FROM users
--> same

TABLE users
--> same

SELECT ALL email FROM ONLY users
--> same

SELECT email, email, ssn, email FROM users
--> same

SELECT FROM users WHERE email = {email:'planted-ann@x'}
--> same

SELECT id, contact, total FROM orders
--> same

SELECT {text:'given'}::text AS given, email FROM users
--> same

SELECT 'planted' IS NULL, email IS NULL, nick IS NULL FROM users
--> same

SELECT ctid IS NOT NULL, tableoid::regclass::text, email FROM users
--> same

SELECT email FROM users WHERE {flag:true}
--> same

SELECT email FROM users WHERE name = {name:'Ann'}
--> same

SELECT id, email FROM users WHERE id = ANY ({ids:'{1,3,5}'})
--> same

-- ## Expressions over the column

SELECT upper(email) FROM users
--> refused: function upper() is not possible on protected column "public.users.email"

SELECT email || '!' FROM users
--> refused: operator || is not possible on protected column "public.users.email"

SELECT length(ssn) FROM users
--> refused: function length() is not possible on protected column "public.users.ssn"

SELECT substring(email FROM 1 FOR 3) FROM users
--> refused: function substring() is not possible on protected column "public.users.email"

SELECT email::varchar FROM users
--> same

SELECT email::text FROM users
--> same

SELECT CAST(born AS text) FROM users
--> refused: a cast is not possible on protected column "public.users.born"

SELECT born + 1 FROM users
--> refused: operator + is not possible on protected column "public.users.born"

SELECT age(born) FROM users
--> refused: function age() is not possible on protected column "public.users.born"

SELECT extract(year FROM born) FROM users
--> refused: function extract() is not possible on protected column "public.users.born"

SELECT total * 2 FROM orders
--> refused: operator * is not possible on protected column "public.orders.total"

SELECT total + 0 FROM orders
--> refused: operator + is not possible on protected column "public.orders.total"

SELECT round(total) FROM orders
--> refused: function round() is not possible on protected column "public.orders.total"

SELECT -total FROM orders
--> refused: operator - is not possible on protected column "public.orders.total"

SELECT email COLLATE "C" FROM users
--> refused: COLLATE is not possible on protected column "public.users.email"

SELECT md5(email) FROM users
--> refused: function md5() is not possible on protected column "public.users.email"

SELECT to_char(born, 'YYYY') FROM users
--> refused: function to_char() is not possible on protected column "public.users.born"

SELECT format('%s', email) FROM users
--> refused: function format() is not possible on protected column "public.users.email"

SELECT concat(email, nick) FROM users
--> refused: function concat() is not possible on protected column "public.users.email"

SELECT email LIKE {text:'planted-%'} FROM users
--> refused: LIKE is not possible on protected column "public.users.email"

SELECT octet_length(email), pg_column_size(email) FROM users
--> refused: function octet_length() is not possible on protected column "public.users.email"

SELECT pg_typeof(email) FROM users
--> refused: function pg_typeof() is not possible on protected column "public.users.email"

SELECT ARRAY[email, nick] FROM users
--> refused: ARRAY[] is not possible on protected column "public.users.email"

SELECT ROW(id, email) FROM users
--> refused: a row value is not possible on protected column "public.users.email"

SELECT (email, nick) FROM users
--> refused: a row value is not possible on protected column "public.users.email"

SELECT json_build_object('email', email) FROM users
--> refused: function json_build_object() is not possible on protected column "public.users.email"

SELECT to_jsonb(email) FROM users
--> refused: function to_jsonb() is not possible on protected column "public.users.email"

SELECT same_text(email) FROM users
--> refused: function same_text() is not possible on protected column "public.users.email"

-- ## CASE, COALESCE and their like

SELECT id, CASE WHEN id < 3 THEN email END AS some FROM users
--> same

SELECT id, CASE WHEN id < 3 THEN email ELSE nick END AS some FROM users
--> refused: copying into "public.users.email" is not possible on protected column "public.users.nick"

SELECT id, CASE WHEN id < 3 THEN email ELSE {text:'planted-none'} END AS some FROM users
--> same

SELECT id, CASE email WHEN {email:'planted-ann@x'} THEN 1 WHEN 'planted-bob@x' THEN 2 ELSE 0 END FROM users
--> same

SELECT id, CASE WHEN email = {email:'planted-ann@x'} THEN 'first' ELSE 'other' END FROM users
--> same

SELECT id, CASE plain WHEN 1 THEN 'one' ELSE 'more' END, email FROM users
--> same

SELECT id, CASE WHEN nick IS NULL THEN 'none' ELSE 'some' END FROM users
--> same

SELECT id, CASE nick WHEN email THEN 'same' END FROM users
--> same

SELECT id, coalesce(nick, email) FROM users
--> refused: copying into "public.users.nick" is not possible on protected column "public.users.email"

SELECT id, coalesce(nick, {text:'planted-none'}) FROM users
--> same

SELECT id, coalesce(nick, NULL) FROM users
--> same

SELECT id, coalesce(ssn, '') FROM users
--> same

SELECT id, nullif(nick, {nick:'planted-bob'}) FROM users
--> same

SELECT id, nullif(nick, email) FROM users
--> same

SELECT id, greatest(email, nick) FROM users
--> refused: GREATEST/LEAST is not possible on protected column "public.users.email"

SELECT id, least(born, {born:'1990-01-01'}::date) FROM users
--> refused: GREATEST/LEAST is not possible on protected column "public.users.born"

-- ## Whole rows

SELECT u FROM users u
--> refused: a whole-row value of "u" would contain protected columns

SELECT users FROM users
--> refused: a whole-row value of "users" would contain protected columns

SELECT (u).email FROM users u
--> same

SELECT (u.*).email FROM users u
--> same

SELECT row_to_json(u) FROM users u
--> refused: a whole-row value of "u" would contain protected columns

SELECT to_jsonb(users) FROM users
--> refused: a whole-row value of "users" would contain protected columns

SELECT json_agg(u) FROM users u
--> refused: a whole-row value of "u" would contain protected columns

SELECT count(u) FROM users u
--> same

SELECT u IS NULL FROM users u
--> same

SELECT ROW(u.*) FROM users u
--> refused: a whole-row value of "u" would contain protected columns

SELECT u::text FROM users u
--> refused: a whole-row value of "u" would contain protected columns

SELECT id FROM users u WHERE u = u
--> refused: a whole-row value of "u" would contain protected columns

SELECT row_to_json(i) FROM items i
--> same

SELECT row_to_json(s) FROM (SELECT id, name FROM users) s
--> same

SELECT row_to_json(s) FROM (SELECT id, email FROM users) s
--> refused: a whole-row value of "s" would contain protected columns

SELECT (SELECT u FROM users u WHERE id = 1)
--> refused: a whole-row value of "u" would contain protected columns

SELECT email(u) FROM users u
--> refused: a whole-row value of "u" would contain protected columns

SELECT hashtext(u::text) FROM users u
--> refused: a whole-row value of "u" would contain protected columns

-- ## Joins

SELECT u.id, o.id FROM users u JOIN orders o ON o.contact = u.email
--> same

SELECT u.email, o.contact, o.total FROM users u JOIN orders o ON u.email = o.contact WHERE u.email = {email:'planted-ann@x'}
--> same

SELECT u.id, o.id, u.email FROM users u LEFT JOIN orders o ON o.contact = u.email AND o.note = {note:'first'}
--> same

SELECT u.id, o.id, o.contact FROM users u RIGHT JOIN orders o ON o.contact = u.email
--> same

SELECT u.id, o.id, u.nick, o.contact FROM users u FULL JOIN orders o ON o.contact = u.nick
--> same

SELECT u.id, o.id FROM users u, orders o WHERE u.email = o.contact
--> same

SELECT u.id, o.id FROM users u CROSS JOIN orders o WHERE u.nick = o.contact
--> same

SELECT a.id, b.id FROM users a JOIN users b ON a.nick = b.nick AND a.id < b.id
--> same

SELECT a.id, b.id FROM users a JOIN users b ON a.born = b.born AND a.id <> b.id
--> same

SELECT a.id, b.id FROM users a JOIN users b ON a.email = b.nick
--> same

SELECT a.id, b.id FROM orders a JOIN orders b ON a.total = b.total AND a.id < b.id
--> same

SELECT u.id, c.id FROM users u JOIN contacts c ON c.email = u.email
--> refused: protected column "public.users.email" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT u.id, i.name FROM users u JOIN items i ON i.id = u.id WHERE u.email <> {email:'planted-bob@x'}
--> same

SELECT email, i.* FROM users JOIN items i USING (id)
--> same

SELECT * FROM users JOIN orders USING (id)
--> same

SELECT email FROM users NATURAL JOIN other.users o
--> refused: JOIN USING of "id" beside a protected column is not supported in a statement that touches a protected table

SELECT users.id FROM users JOIN contacts USING (email)
--> refused: JOIN USING or NATURAL JOIN with a column that is not protected is not possible on protected column "public.users.email"

SELECT a.id FROM users a JOIN users b USING (email)
--> same

SELECT id, email FROM users NATURAL JOIN (SELECT id FROM items) s
--> same

SELECT * FROM users a JOIN users b USING (nick)
--> same

SELECT u.id, z.contact FROM users u LEFT JOIN LATERAL (SELECT contact FROM orders o WHERE o.contact = u.email ORDER BY o.id LIMIT 1) z ON true
--> same

SELECT u.id, z.n FROM users u, LATERAL (SELECT count(*) AS n FROM orders o WHERE o.contact = u.email) z
--> same

SELECT u.id, o.id FROM users u JOIN orders o ON o.contact > u.email
--> refused: operator > is not possible on protected column "public.orders.contact"

SELECT u.id, o.id FROM users u JOIN orders o ON lower(o.contact) = lower(u.email)
--> refused: lower() is not possible on protected column "public.orders.contact"

SELECT u.id, o.id FROM users u JOIN orders o ON o.contact = u.ssn
--> refused: protected column "public.users.ssn" is not searchable

SELECT u.id, o.id FROM users u JOIN orders o ON o.total = u.id
--> refused: protected column "public.orders.total" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT u.email, g FROM users u, generate_series(1, {n:2}) AS g WHERE u.id = {id:1}
--> same

SELECT u.id, x FROM users u, unnest(ARRAY['a', 'b']) AS x WHERE u.email = {email:'planted-ann@x'}
--> same

SELECT u.id FROM users u JOIN unnest({emails:'{planted-ann@x,planted-bob@x}'}::text[]) AS e (v) ON u.email = e.v
--> same

SELECT u.id, v.n FROM users u JOIN (VALUES ({email:'planted-ann@x'}, 1), ({email2:'planted-bob@x'}, 2)) AS v (e, n) ON u.email = v.e
--> same

SELECT j.email FROM (users JOIN items USING (id)) AS j
--> same

SELECT u.email, o.id, i.id FROM users u JOIN orders o ON o.contact = u.email JOIN items i ON i.id = o.id
--> same

SELECT u.id FROM (users u LEFT JOIN orders o ON o.contact = u.email) LEFT JOIN items i ON i.id = o.id WHERE o.id IS NULL
--> same

-- ## Subqueries in FROM, and common table expressions

SELECT s.e FROM (SELECT email AS e FROM users) s WHERE s.e = {email:'planted-ann@x'}
--> same

SELECT * FROM (SELECT id, email FROM users ORDER BY id LIMIT {n:3}) s
--> same

SELECT * FROM (SELECT * FROM (SELECT id, email AS x FROM users) a) b WHERE b.x <> {email:'planted-ann@x'}
--> same

SELECT s.a, s.b FROM (SELECT id, email FROM users) AS s (a, b) WHERE b = {email:'planted-ann@x'}
--> same

SELECT a, b FROM users AS t (a, b) WHERE b = {email:'planted-ann@x'}
--> same

SELECT email FROM users AS t (email, id) WHERE id = {email:'planted-ann@x'}
--> same

SELECT * FROM (SELECT email FROM users WHERE id = 1 UNION ALL SELECT email FROM users WHERE id = 2) s
--> same

SELECT (s).x FROM (SELECT email AS x FROM users) s
--> same

WITH x AS (SELECT email AS e FROM users) SELECT e FROM x WHERE e = {email:'planted-ann@x'}
--> same

WITH x (a, b) AS (SELECT id, email FROM users) SELECT a, b FROM x WHERE b IN ({email:'planted-ann@x'}, 'planted-bob@x')
--> same

WITH x AS MATERIALIZED (SELECT * FROM users) SELECT email FROM x WHERE nick = {nick:'planted-bob'}
--> same

WITH x AS NOT MATERIALIZED (SELECT * FROM users) SELECT x.* FROM x JOIN orders o ON o.contact = x.email
--> same

WITH x AS (SELECT email FROM users), y AS (SELECT * FROM x) SELECT y.email, o.id FROM y JOIN orders o ON o.contact = y.email
--> same

WITH users AS (SELECT 1 AS id, 'not protected'::text AS email) SELECT email, upper(email) FROM users
--> same

WITH x AS (SELECT 'planted-ann@x'::text AS e) SELECT users.id FROM users, x WHERE users.email = x.e
--> same

WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < {n:3}) SELECT n, email FROM t JOIN users ON users.id = n
--> same

WITH RECURSIVE t (id, email) AS (SELECT id, email FROM users WHERE id = 1 UNION ALL SELECT u.id, u.email FROM users u JOIN t ON u.id = t.id + 1 WHERE u.id < 4) SELECT * FROM t
--> same

WITH RECURSIVE t (id, e) AS (SELECT id, email FROM users WHERE nick = {nick:'planted-fay@x'} UNION SELECT u.id, u.email FROM users u JOIN t ON u.nick = t.e) SELECT id, e FROM t
--> refused: UNION in WITH RECURSIVE is not possible on protected column "public.users.email"

WITH x AS (SELECT upper(email) AS e FROM users) SELECT e FROM x
--> refused: function upper() is not possible on protected column "public.users.email"

WITH x AS (SELECT * FROM users) SELECT count(*) FROM x
--> same

-- ## Views, functions and inheritance

SELECT * FROM v_users
--> same

SELECT id FROM v_users WHERE email = {email:'planted-ann@x'}
--> same

SELECT name FROM v_users
--> same

SELECT * FROM v_items
--> same

SELECT count_users()
--> refused: function "count_users" may touch protected tables where it cannot be seen

SELECT double({n:4}), email FROM users WHERE id = {id:1}
--> same

SELECT * FROM users TABLESAMPLE SYSTEM (100)
--> same

SELECT query_to_xml('SELECT * FROM users', true, false, '')
--> refused: function "query_to_xml" may touch protected tables where it cannot be seen

SELECT table_to_xml('users', true, false, '')
--> refused: function "table_to_xml" may touch protected tables where it cannot be seen

SELECT attname FROM pg_attribute WHERE attrelid = 'users'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
--> same

SELECT column_name, is_nullable FROM information_schema.columns WHERE table_name = 'users' ORDER BY ordinal_position
--> same

-- ## ORDER BY, LIMIT and locking

SELECT email FROM users ORDER BY id
--> same

SELECT email FROM users ORDER BY id DESC LIMIT {n:3} OFFSET {n2:1}
--> same

SELECT email FROM users ORDER BY id FETCH FIRST 2 ROWS ONLY
--> same

SELECT email FROM users ORDER BY plain, name NULLS FIRST, id
--> same

SELECT email FROM users ORDER BY email
--> refused: ORDER BY is not possible on protected column "public.users.email"

SELECT email FROM users ORDER BY 1
--> refused: ORDER BY is not possible on protected column "public.users.email"

SELECT id, email AS e FROM users ORDER BY e DESC
--> refused: ORDER BY is not possible on protected column "public.users.email"

SELECT id FROM users ORDER BY lower(email), id
--> refused: function lower() is not possible on protected column "public.users.email"

SELECT id FROM users ORDER BY born NULLS LAST, id
--> refused: ORDER BY is not possible on protected column "public.users.born"

SELECT id FROM users ORDER BY email = {email:'planted-bob@x'} DESC, id
--> same

SELECT id FROM users ORDER BY (nick IS NULL), id
--> same

SELECT id FROM users ORDER BY CASE WHEN email = {email:'planted-fay@x'} THEN 0 ELSE 1 END, id
--> same

SELECT email AS id FROM users ORDER BY id
--> refused: ORDER BY is not possible on protected column "public.users.email"

SELECT id FROM users WHERE email = {email:'planted-ann@x'} FOR UPDATE
--> same

SELECT u.email, o.id FROM users u JOIN orders o ON o.contact = u.email WHERE u.id = {id:3} FOR SHARE OF u
--> same

SELECT email FROM users WHERE id = {id:1} FOR NO KEY UPDATE NOWAIT
--> same

SELECT email FROM users WHERE email = {email:'planted-ann@x'} FOR UPDATE SKIP LOCKED
--> same
