-- # Rows, groups of expressions, windows
-- What only chooses among values hands envelopes on; what only counts or tells values apart works on terms.

-- ## Whole rows
-- NULL stays NULL, so that a row can be counted and asked for NULL; one field of it is a column.

SELECT count(u), count(u.*), count(users) FROM users u, (SELECT 1) AS users
--> same

SELECT o.id, count(u) FROM orders o LEFT JOIN users u ON u.email = o.contact GROUP BY o.id
--> same

SELECT o.id FROM orders o LEFT JOIN users u ON u.email = o.contact WHERE u IS NULL
--> same

SELECT o.id, u IS NOT NULL, u.* IS NULL FROM orders o LEFT JOIN users u ON u.email = o.contact
--> same

SELECT (u).email, (u.*).id FROM users u
--> same

SELECT (users).email FROM users WHERE (users).email = {email:'planted-ann@x'}
--> same

SELECT (u).nick, count(*) FROM users u GROUP BY (u).nick
--> same

SELECT (u).nick, count(*) FROM users u GROUP BY u.nick
--> same

SELECT DISTINCT (u).nick FROM users u
--> same

SELECT u.id FROM users u JOIN orders o ON (o).contact = (u).email
--> same

SELECT (u).name || '!' FROM users u
--> same

SELECT (s).n || 'x', (s).e FROM (SELECT email AS e, name AS n FROM users) s
--> same

SELECT count(s) FROM (SELECT email AS e, name AS n FROM users) s
--> same

SELECT (SELECT count(u) FROM users x WHERE x.nick = (u).nick) FROM users u
--> error 42803

SELECT (u).email || '!' FROM users u
--> refused: operator || is not possible on protected column "public.users.email"

SELECT (u).nosuch FROM users u
--> refused: a whole-row value of "u" would contain protected columns

SELECT (u).* FROM users u
--> refused: a whole-row value of "u" would contain protected columns

SELECT count(DISTINCT u) FROM users u
--> refused: a whole-row value of "u" would contain protected columns

SELECT u IS DISTINCT FROM NULL FROM users u
--> refused: a whole-row value of "u" would contain protected columns

SELECT u = u FROM users u
--> refused: a whole-row value of "u" would contain protected columns

SELECT to_jsonb(u) FROM users u
--> refused: a whole-row value of "u" would contain protected columns

SELECT row_to_json(u.*) FROM users u
--> refused: a whole-row value of "u" would contain protected columns

SELECT ROW(u.*) IS NULL FROM users u
--> refused: a whole-row value of "u" would contain protected columns

SELECT u FROM users u ORDER BY u
--> refused: a whole-row value of "u" would contain protected columns

SELECT id FROM users u WHERE u IN (SELECT x FROM users x)
--> refused: a whole-row value of "x" would contain protected columns

SELECT (u).email FROM users u ORDER BY (u).email
--> refused: ORDER BY is not possible on protected column "public.users.email"

SELECT jsonb_agg(u) FROM users u
--> refused: a whole-row value of "u" would contain protected columns

SELECT array_agg(u) FROM users u
--> refused: a whole-row value of "u" would contain protected columns

SELECT CASE WHEN u IS NULL THEN 0 ELSE 1 END FROM users u
--> same

SELECT coalesce(u, NULL) FROM users u
--> refused: a whole-row value of "u" would contain protected columns

SELECT id FROM users u WHERE u.* IS NOT NULL
--> same

SELECT v FROM (VALUES ({email:'planted-ann@x'})) v (e) JOIN users ON users.email = v.e
--> refused: a value that is used in two ways is not possible on protected column "public.users.email"

SELECT count(v) FROM (VALUES ({email:'planted-ann@x'})) v (e) JOIN users ON users.email = v.e
--> refused: a value that is used in two ways is not possible on protected column "public.users.email"

-- ## DISTINCT

SELECT DISTINCT * FROM orders
--> same

SELECT DISTINCT o.* FROM orders o, users
--> same

SELECT DISTINCT * FROM (SELECT nick, plain FROM users) s WHERE plain BETWEEN 1 AND 5 ORDER BY plain LIMIT 3
--> same

SELECT DISTINCT * FROM (SELECT nick, 1 AS c1, 2 AS nick2 FROM users) s
--> same

SELECT DISTINCT * FROM (SELECT id, nick FROM users) a JOIN (SELECT nick FROM users) b USING (nick)
--> same

SELECT DISTINCT coalesce(nick, {nick:'planted-none'}) FROM users
--> same

SELECT DISTINCT coalesce(nick, 'planted-none') AS n, plain FROM users ORDER BY plain, n IS NULL
--> refused: ORDER BY of an expression over a set operation or DISTINCT is not supported in a statement that touches a protected table

SELECT DISTINCT coalesce(nick, 'planted-none') AS n, plain FROM users ORDER BY plain DESC LIMIT {n:1}
--> same

SELECT DISTINCT CASE WHEN id < 4 THEN nick END, name FROM users
--> same

SELECT DISTINCT nick, count(*) FROM users GROUP BY nick
--> same

SELECT DISTINCT nullif(nick, 'planted-bob') FROM users
--> same

SELECT DISTINCT (SELECT nick FROM users x WHERE x.id = u.id) FROM users u
--> same

SELECT DISTINCT first_value(nick) OVER (PARTITION BY born ORDER BY id) FROM users
--> same

SELECT DISTINCT nick, plain FROM users WHERE plain BETWEEN 1 AND 6 ORDER BY plain
--> same

SELECT DISTINCT nick FROM users ORDER BY id
--> error 42P10

SELECT DISTINCT upper(name), nick FROM users WHERE id > 2 ORDER BY upper(name), 1
--> same

SELECT DISTINCT upper(name), coalesce(nick, '') FROM users ORDER BY upper(name)
--> refused: ORDER BY of an expression over a set operation or DISTINCT is not supported in a statement that touches a protected table

SELECT DISTINCT * FROM users
--> refused: protected column "public.users.ssn" is not searchable

SELECT DISTINCT id, coalesce(ssn, NULL) FROM users
--> refused: protected column "public.users.ssn" is not searchable

SELECT DISTINCT nick, random() < 2 FROM users
--> same

SELECT DISTINCT coalesce(nick, 'planted-x'), random() < 2 FROM users
--> same

SELECT count(*) FROM (SELECT DISTINCT * FROM orders) s
--> same

INSERT INTO orders (contact, id) SELECT DISTINCT coalesce(contact, 'planted-none'), id + 200 FROM orders ON CONFLICT DO NOTHING RETURNING contact, id
--> same

SELECT DISTINCT ON (nick) id FROM users WHERE nick = {nick:'planted-ann'}
--> same

SELECT count(*) FROM (SELECT DISTINCT ON (1) nick FROM users) s
--> same

SELECT count(*) FROM (SELECT DISTINCT ON (n) nick AS n, id FROM users) s
--> same

SELECT DISTINCT ON (nick) (SELECT nick FROM users x WHERE x.id = 3) AS nick, id FROM users
--> refused: DISTINCT ON of an output that is an expression or is in * is not possible on protected column "public.users.nick"

SELECT count(*) FROM (SELECT DISTINCT ON (s.nick) * FROM (SELECT id, nick FROM users) s) x
--> same

-- ## GROUP BY

SELECT coalesce(nick, {nick:'planted-none'}) AS n, count(*) FROM users GROUP BY coalesce(nick, 'planted-none')
--> error 42803
--> literal same

SELECT coalesce(nick, 'planted-none') AS n, count(*) FROM users GROUP BY coalesce(nick, 'planted-none')
--> same

SELECT coalesce(nick, 'planted-bob'), count(*) FROM users GROUP BY coalesce(nick, 'planted-bob') HAVING count(*) > {n:1}
--> same

SELECT CASE WHEN plain < 3 THEN nick ELSE 'planted-rest' END, count(*) FROM users GROUP BY CASE WHEN plain < 3 THEN nick ELSE 'planted-rest' END
--> same

SELECT coalesce(nick, {nick:'planted-none'}) AS n, count(*) FROM users GROUP BY n
--> same

SELECT CASE WHEN plain < {n:3} THEN nick ELSE {nick:'planted-bob'} END, name IS NULL, count(*) FROM users GROUP BY 1, 2
--> same

SELECT CASE WHEN nick = {nick:'planted-bob'} THEN 'planted-x' ELSE nullif(nick, 'planted-ann') END AS n, count(*) FROM users WHERE plain <> 1 GROUP BY n ORDER BY count(*) DESC LIMIT 1
--> same

SELECT s.n FROM (SELECT coalesce(nick, email) AS n FROM users GROUP BY 1) s
--> refused: copying into "public.users.nick" is not possible on protected column "public.users.email"

SELECT coalesce(a.nick, {nick:'planted-none'}) AS n, count(*) FROM users a JOIN users b USING (email) GROUP BY 1
--> same

SELECT coalesce(email, {email:'planted-none'}) AS n, count(*) FROM users a FULL JOIN users b USING (email) GROUP BY 1
--> same

SELECT id FROM users WHERE nick IN (SELECT coalesce(contact, 'planted-ann') FROM orders GROUP BY 1)
--> same

SELECT coalesce(nick, 'planted-none'), count(*) FROM users GROUP BY 1
--> same

SELECT coalesce(nick, 'planted-none') FROM users GROUP BY coalesce(nick, 'planted-none') HAVING coalesce(nick, 'planted-none') = 'planted-bob'
--> refused: a condition on an expression that the query groups by is not possible on protected column "public.users.nick"

SELECT coalesce(nick, 'planted-none') IS NULL FROM users GROUP BY coalesce(nick, 'planted-none')
--> refused: a condition on an expression that the query groups by is not possible on protected column "public.users.nick"

SELECT count(*) FROM users GROUP BY coalesce(nick, 'planted-none')
--> same

SELECT nick, count(*) FROM users GROUP BY coalesce(nick, 'planted-none')
--> error 42803

SELECT CASE WHEN random() < 2 THEN nick END, count(*) FROM users GROUP BY CASE WHEN random() < 2 THEN nick END
--> refused: GROUP BY of an expression is not possible on protected column "public.users.nick"

SELECT (nick), count(*) FROM users GROUP BY (nick)
--> same

SELECT nick, born, count(*) FROM users GROUP BY (nick, born)
--> same

SELECT nick, plain, count(*) FROM users GROUP BY ROLLUP (nick, plain)
--> same

SELECT nick, name, count(*) FROM users GROUP BY CUBE (nick, name)
--> same

SELECT nick, grouping(nick), count(*) FROM users GROUP BY GROUPING SETS ((nick), ())
--> same

SELECT nick, born, grouping(nick, born) AS g, count(*) FROM users GROUP BY GROUPING SETS ((nick), (born), (nick, born), ())
--> same

SELECT nick, count(*) FROM users GROUP BY ROLLUP (1)
--> same

SELECT nick AS n, count(*) FROM users GROUP BY ROLLUP (n)
--> same

SELECT nick, plain, count(*) FROM users GROUP BY nick, ROLLUP (plain)
--> same

SELECT nick, count(nick), count(DISTINCT nick) FROM users GROUP BY ROLLUP (nick)
--> same

SELECT nick, count(*) FROM users GROUP BY ROLLUP (nick) HAVING nick = {nick:'planted-bob'} OR nick IS NULL
--> same

SELECT nick IS NULL, count(*) FROM users GROUP BY ROLLUP (nick)
--> same

SELECT nick, count(*) FROM users WHERE false GROUP BY GROUPING SETS ((nick), ())
--> same

SELECT count(*) FROM users GROUP BY CUBE ((nick, born))
--> same

SELECT DISTINCT nick FROM users GROUP BY ROLLUP (nick, plain)
--> same

SELECT coalesce(nick, ''), count(*) FROM users GROUP BY ROLLUP (coalesce(nick, ''))
--> refused: GROUP BY of an expression is not possible on protected column "public.users.nick"

SELECT ssn, count(*) FROM users GROUP BY ROLLUP (ssn)
--> refused: protected column "public.users.ssn" is not searchable

SELECT nick, count(*) FROM users GROUP BY nick HAVING nick IN ({nick:'planted-bob'}, 'planted-ann') AND nick <> 'planted-ann'
--> same

SELECT nick, count(*) FROM users GROUP BY nick HAVING nick IS DISTINCT FROM {nick:'planted-bob'}
--> same

SELECT nick, count(*) FROM users GROUP BY nick HAVING nick = ANY ({texts:'{planted-bob,planted-ann}'}::text[])
--> same

SELECT nick, name, count(*) FROM users GROUP BY nick, name HAVING name <> 'Ann' ORDER BY name, count(*)
--> same

SELECT nick, count(*) FROM users GROUP BY nick HAVING nick > 'a'
--> refused: operator > is not possible on protected column "public.users.nick"

SELECT u.nick, count(*) FROM users u GROUP BY u.nick HAVING EXISTS (SELECT 1 FROM orders o WHERE o.contact = u.nick)
--> refused: "nick", by which an outer query groups, in a subquery is not supported in a statement that touches a protected table

-- ## Windows and aggregates that hand values on

SELECT id, lag(email) OVER (ORDER BY id), lead(email) OVER (ORDER BY id) FROM users
--> same

SELECT id, lag(nick, 2) OVER (ORDER BY id) AS before, lead(nick, {n:1}, {nick:'planted-none'}) OVER w FROM users WINDOW w AS (ORDER BY id)
--> same

SELECT id, lag(nick, 1, email) OVER (ORDER BY id) FROM users
--> refused: copying into "public.users.nick" is not possible on protected column "public.users.email"

SELECT id, lag(nick, 1, nick) OVER (ORDER BY id) FROM users
--> same

SELECT id, lag(ssn) OVER (ORDER BY id) FROM users
--> same

SELECT id, lag(ssn, 1, 'planted-x') OVER (ORDER BY id) FROM users
--> refused: function lag() with a default, which loses the length, is not possible on protected column "public.users.ssn"

SELECT id, first_value(email) OVER (PARTITION BY name ORDER BY id), last_value(email) OVER (PARTITION BY name ORDER BY id) FROM users
--> same

SELECT id, nth_value(total, 2) OVER (ORDER BY id) FROM orders
--> same

SELECT id, first_value(nick) OVER (PARTITION BY nick ORDER BY id) FROM users
--> same

SELECT id, first_value(coalesce(nick, {nick:'planted-none'})) OVER (PARTITION BY plain ORDER BY id) FROM users
--> same

SELECT id, nick = lag(nick) OVER (ORDER BY id) AS same FROM users
--> same

SELECT id, lag(nick) OVER (ORDER BY id) IS DISTINCT FROM nick FROM users
--> same

SELECT id, lag(nick) OVER (ORDER BY id) IS NULL FROM users
--> same

SELECT s.id, s.p FROM (SELECT id, nick, lag(nick) OVER (ORDER BY id) AS p FROM users) s WHERE s.p = s.nick OR s.p = {nick:'planted-bob'}
--> same

SELECT id, lag(born, 1, {born:'2000-01-01'}::date) OVER (ORDER BY id) FROM users
--> same

SELECT id, lag(born, 1, '2000-01-01 10:00'::timestamp) OVER (ORDER BY id) FROM users
--> refused: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.born"

SELECT id, lag(born, id::int) OVER (ORDER BY id) FROM users
--> same

SELECT id, lag(nick, length(email)) OVER (ORDER BY id) FROM users
--> refused: function length() is not possible on protected column "public.users.email"

SELECT id, pg_catalog.lag(nick) OVER (ORDER BY id) FROM users
--> same

SELECT lag(email) FROM users
--> refused: function lag() is not possible on protected column "public.users.email"

SELECT first_value(email) FROM users
--> refused: function first_value() is not possible on protected column "public.users.email"

-- PostgreSQL 16
SELECT any_value(email) FROM users WHERE id = 1
--> same

-- PostgreSQL 16
SELECT name, any_value(name) FILTER (WHERE id > 1), any_value(nick) IS NULL FROM users WHERE id < 3 GROUP BY name
--> same

-- PostgreSQL 16
SELECT nick, any_value(nick) FROM users GROUP BY nick
--> same

-- PostgreSQL 16
SELECT born, any_value(email ORDER BY id) FROM users WHERE id = 3 GROUP BY born
--> same

-- PostgreSQL 16
SELECT any_value(DISTINCT nick) FROM users WHERE id = 3
--> refused: function any_value() is not possible on protected column "public.users.nick"

SELECT nick, sum(count(*)) OVER (ORDER BY count(*)) FROM users GROUP BY nick
--> same

SELECT nick, first_value(nick) OVER (ORDER BY count(*)) FROM users GROUP BY nick
--> refused: an expression over a column that the query groups by is not possible on protected column "public.users.nick"

SELECT array_agg(nick) OVER (PARTITION BY nick) FROM users
--> refused: function array_agg() is not possible on protected column "public.users.nick"

SELECT string_agg(nick, ',') FILTER (WHERE id > 3) FROM users
--> refused: function string_agg() is not possible on protected column "public.users.nick"

SELECT min(born), max(born) FROM users
--> refused: function min() is not possible on protected column "public.users.born"

SELECT id, min(nick) OVER (PARTITION BY plain) FROM users
--> refused: function min() is not possible on protected column "public.users.nick"

SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY total) FROM orders
--> refused: ORDER BY is not possible on protected column "public.orders.total"

-- ## Subqueries and row comparisons

SELECT id FROM users WHERE (plain, nick) IN (SELECT user_id, contact FROM orders)
--> same

SELECT id FROM users WHERE (email, nick) NOT IN (SELECT email, nick FROM users WHERE id = {id:1})
--> same

SELECT id FROM users WHERE (email, born) IN (({email:'planted-ann@x'}, {born:'1990-02-03'}), ('planted-bob@x', '1985-12-31'))
--> same

SELECT id FROM users WHERE (nick, born) IS DISTINCT FROM ({nick:'planted-ann'}, {born:'1990-02-03'})
--> same

SELECT id FROM users WHERE (nick, born) IS NOT DISTINCT FROM (NULL, NULL)
--> same

SELECT id FROM users WHERE (nick, plain) <> ({nick:'planted-bob'}, 3)
--> same

SELECT id FROM users WHERE (nick, plain) < ({nick:'planted-bob'}, 3)
--> refused: operator < is not possible on protected column "public.users.nick"

SELECT id FROM users WHERE nick = ANY (SELECT contact FROM orders)
--> same

SELECT id FROM users WHERE nick <> ALL (SELECT contact FROM orders)
--> same

SELECT id FROM users WHERE nick <> ALL (SELECT contact FROM orders WHERE contact IS NOT NULL)
--> same

SELECT id FROM users WHERE nick NOT IN (SELECT contact FROM orders)
--> same

SELECT id FROM users WHERE nick > ALL (SELECT contact FROM orders)
--> refused: operator > is not possible on protected column "public.users.nick"

SELECT id FROM users WHERE (nick, born) = (SELECT nick, born FROM users WHERE id = {id:1})
--> same

SELECT id FROM users WHERE nick = (SELECT contact FROM orders WHERE id = {id:11})
--> same

SELECT id, (SELECT contact FROM orders o WHERE o.contact = u.email ORDER BY id LIMIT 1) FROM users u
--> same

SELECT id, coalesce((SELECT nick FROM users x WHERE x.id = u.id), 'planted-none') FROM users u
--> same

SELECT id, CASE WHEN (SELECT contact FROM orders o WHERE o.id = u.id) = u.email THEN 1 END FROM users u
--> same

SELECT id FROM users u WHERE (SELECT contact FROM orders o WHERE o.id = u.id) IS NULL
--> same

SELECT v.n, u.id FROM (VALUES (1, {email:'planted-ann@x'}), (2, 'planted-bob@x')) v (n, e) LEFT JOIN users u ON u.email = v.e
--> same

SELECT u.id, l.contact FROM users u CROSS JOIN LATERAL (SELECT contact FROM orders o WHERE o.contact = u.email UNION ALL SELECT contact FROM orders o WHERE o.contact = u.nick) l
--> same

SELECT id FROM users WHERE nick = {nick:'planted-bob'} COLLATE "C"
--> refused: COLLATE is not possible on protected column "public.users.nick"

SELECT id FROM users WHERE nick COLLATE "C" = {nick:'planted-bob'}
--> refused: COLLATE is not possible on protected column "public.users.nick"

SELECT id FROM users WHERE born BETWEEN {born:'1990-01-01'} AND {born2:'1999-12-31'}
--> refused: BETWEEN is not possible on protected column "public.users.born"

-- ## Writes

UPDATE users SET nick = x.nick FROM users x WHERE x.id = users.id + 1 RETURNING users.id, users.nick, x.nick
--> same

UPDATE users SET nick = s.n FROM (SELECT id, lag(nick) OVER (ORDER BY id) AS n FROM users) s WHERE s.id = users.id RETURNING users.id, users.nick
--> same

UPDATE users SET nick = (SELECT (x).nick FROM users x WHERE x.id = {id:3}) WHERE id < 3 RETURNING coalesce(nick, 'planted-none'), nullif(nick, 'planted-bob')
--> same

UPDATE users SET nick = x.email FROM users x WHERE x.id = users.id
--> refused: copying into "public.users.nick" is not possible on protected column "public.users.email"

DELETE FROM orders USING users u JOIN (SELECT email FROM users) x USING (email) WHERE orders.contact = email RETURNING orders.id, email
--> same

UPDATE orders SET note = 'n' FROM users u JOIN users x USING (email) WHERE orders.contact = email RETURNING orders.id, email
--> same

-- PostgreSQL 17
UPDATE orders o SET note = 'n' FROM (SELECT email FROM users) u NATURAL JOIN (SELECT email FROM users) x WHERE o.contact = email RETURNING *
--> same

MERGE INTO orders o USING users u ON o.contact = u.email WHEN MATCHED THEN UPDATE SET note = u.name WHEN NOT MATCHED THEN INSERT (id, note, contact) VALUES (u.id + 200, 'new', 'planted-new')
--> same

MERGE INTO orders o USING (SELECT contact, count(*) AS n FROM orders GROUP BY contact) s ON o.contact = s.contact AND s.n > 1 WHEN MATCHED THEN UPDATE SET contact = s.contact, note = 'twice'
--> same

MERGE INTO orders o USING (VALUES ({contact:'planted-bob@x'}, 'v'), ('planted-new@x', 'w')) s (c, n) ON o.contact = s.c WHEN MATCHED THEN UPDATE SET note = s.n WHEN NOT MATCHED THEN DO NOTHING
--> same

MERGE INTO orders o USING users u ON o.contact > u.email WHEN MATCHED THEN DELETE
--> refused: operator > is not possible on protected column "public.orders.contact"

INSERT INTO users (email, nick) VALUES ({email:'planted-r@x'}, 'planted-r') RETURNING (users).email, coalesce(nick, 'planted-none'), users IS NULL
--> same

INSERT INTO users (email, nick) SELECT {email:'planted-r@x'}, any_nick FROM (SELECT first_value(nick) OVER (ORDER BY id) AS any_nick FROM users LIMIT 1) s RETURNING nick
--> same

-- PostgreSQL 17
MERGE INTO users u USING items i ON i.id = u.id WHEN MATCHED AND i.id < 3 THEN UPDATE SET nick = {nick:'planted-m'} WHEN MATCHED THEN DO NOTHING RETURNING merge_action(), u.id, u.nick
--> same

-- PostgreSQL 17
WITH m AS (MERGE INTO orders o USING users u ON o.contact = u.email WHEN MATCHED THEN UPDATE SET note = u.name RETURNING merge_action(), o.id, u.email) SELECT * FROM m WHERE email <> {email:'planted-ann@x'}
--> same

-- ## Cursors

BEGIN;
DECLARE c CURSOR FOR SELECT (u).email, (u).id FROM users u ORDER BY id;
FETCH 3 FROM c;
COMMIT
--> same

BEGIN;
DECLARE c CURSOR FOR SELECT * FROM users a JOIN users b USING (email) ORDER BY a.id;
FETCH 3 FROM c;
COMMIT
--> same

BEGIN;
DECLARE c CURSOR FOR SELECT email FROM users a RIGHT JOIN (SELECT contact AS email, id FROM orders) b USING (email) ORDER BY b.id;
FETCH ALL FROM c;
COMMIT
--> same

BEGIN;
DECLARE c CURSOR FOR SELECT email FROM users a FULL JOIN users b USING (email);
FETCH 3 FROM c;
COMMIT
--> refused: an expression in a cursor's result is not possible on protected column "public.users.email"

BEGIN;
DECLARE c CURSOR FOR SELECT nick FROM users UNION SELECT nick FROM users;
FETCH 3 FROM c;
COMMIT
--> refused: an expression in a cursor's result is not possible on protected column "public.users.nick"

BEGIN;
DECLARE c CURSOR FOR SELECT lag(nick) OVER (ORDER BY id) FROM users;
FETCH 3 FROM c;
COMMIT
--> refused: an expression in a cursor's result is not possible on protected column "public.users.nick"

BEGIN;
DECLARE c CURSOR FOR WITH RECURSIVE t AS (SELECT id, nick FROM users WHERE id = 1 UNION ALL SELECT id + 1, nick FROM t WHERE id < 3) SELECT nick FROM t;
FETCH 3 FROM c;
COMMIT
--> refused: an expression in a cursor's result is not possible on protected column "public.users.nick"

-- ## More

SELECT id FROM users WHERE (id, email) = (SELECT user_id, contact FROM orders WHERE id = {id:1})
--> same

SELECT id FROM users WHERE (nick, email) <> (SELECT contact, contact FROM orders WHERE id = {id:11})
--> same

SELECT id FROM users WHERE (id, nick) = (SELECT id, nick FROM users WHERE id = 3 UNION SELECT id, nick FROM users WHERE id = 3)
--> refused: a comparison with a subquery that tells its own rows apart is not possible on protected column "public.users.nick"

SELECT id FROM users WHERE (id, nick) = (SELECT s.id, s.nick FROM (SELECT id, nick FROM users WHERE id = 3 UNION SELECT id, nick FROM users WHERE id = 3) s)
--> same

SELECT (nick), ((nick)) AS n, count(*) FROM users GROUP BY ((nick))
--> same

SELECT (nullif(nick, 'planted-bob')) FROM users
--> same

SELECT o.id, o.contact FROM orders o JOIN users u ON u.email = o.contact WHERE (u.plain, u.nick) = (1, {nick:'planted-ann'})
--> same

SELECT array_agg(id ORDER BY id) FILTER (WHERE nick = {nick:'planted-bob'}) FROM users
--> same

CREATE VIEW v_joined AS SELECT a.email FROM users a JOIN users b USING (email)
--> refused: CREATE VIEW with a condition or value is not supported on protected table "public.users"

CREATE VIEW v_union AS SELECT nick FROM users UNION SELECT nick FROM users
--> refused: CREATE VIEW with a condition or value is not supported on protected table "public.users"
