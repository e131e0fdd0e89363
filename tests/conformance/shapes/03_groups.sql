-- # Grouping, sets and windows
-- Equal values have equal terms, so that they can be grouped; an order they have none.

-- ## Aggregates

SELECT count(*) FROM users WHERE email <> {email:'planted-ann@x'}
--> same

SELECT count(email), count(nick), count(ssn) FROM users
--> same

SELECT count(DISTINCT nick) FROM users
--> same

SELECT count(DISTINCT email), count(DISTINCT born) FROM users
--> same

SELECT count(DISTINCT ssn) FROM users
--> refused: protected column "public.users.ssn" is not searchable

SELECT count(DISTINCT total) FROM orders
--> same

SELECT count(*) FILTER (WHERE nick = {nick:'planted-bob'}) FROM users
--> same

SELECT count(*) FILTER (WHERE email IN ({email:'planted-ann@x'}, 'planted-bob@x')), sum(plain) FROM users
--> same

SELECT count(nick) FILTER (WHERE plain > {n:3}) FROM users
--> same

SELECT sum(CASE WHEN nick = {nick:'planted-bob'} THEN 1 ELSE 0 END) FROM users
--> same

SELECT bool_or(email = {email:'planted-ann@x'}), bool_and(nick IS NULL) FROM users
--> same

SELECT min(email) FROM users
--> refused: function min() is not possible on protected column "public.users.email"

SELECT max(born) FROM users
--> refused: function max() is not possible on protected column "public.users.born"

SELECT sum(total) FROM orders
--> refused: function sum() is not possible on protected column "public.orders.total"

SELECT avg(total), count(total) FROM orders
--> refused: function avg() is not possible on protected column "public.orders.total"

SELECT array_agg(email) FROM users
--> refused: function array_agg() is not possible on protected column "public.users.email"

SELECT string_agg(email, ',') FROM users
--> refused: function string_agg() is not possible on protected column "public.users.email"

SELECT string_agg(name, ',' ORDER BY email) FROM users
--> refused: ORDER BY is not possible on protected column "public.users.email"

SELECT array_agg(id ORDER BY id) FROM users WHERE nick = {nick:'planted-bob'}
--> same

SELECT max(id) FROM users WHERE email <> {email:'planted-zoe@x'}
--> same

SELECT json_object_agg(id, email) FROM users
--> refused: function json_object_agg() is not possible on protected column "public.users.email"

SELECT mode() WITHIN GROUP (ORDER BY nick) FROM users
--> refused: ORDER BY is not possible on protected column "public.users.nick"

-- PostgreSQL 16
SELECT any_value(email) FROM users WHERE id = 1
--> same

-- ## GROUP BY and HAVING

SELECT nick, count(*) FROM users GROUP BY nick
--> same

SELECT nick AS n, count(*) FROM users GROUP BY n
--> same

SELECT nick, count(*) FROM users GROUP BY 1
--> same

SELECT count(*) FROM users GROUP BY nick
--> same

SELECT born, count(*), min(id) FROM users GROUP BY born
--> same

SELECT total, count(*) FROM orders GROUP BY total
--> same

SELECT nick, born, count(*) FROM users GROUP BY nick, born
--> same

SELECT name, nick, count(*) FROM users GROUP BY name, nick
--> same

SELECT nick, count(*) FROM users GROUP BY nick HAVING count(*) > {n:1}
--> same

SELECT nick, count(*) FROM users GROUP BY nick HAVING nick = {nick:'planted-bob'}
--> same

SELECT nick, count(*) FROM users WHERE nick <> {nick:'planted-ann'} GROUP BY nick
--> same

SELECT nick, count(*) FROM users GROUP BY nick ORDER BY count(*) DESC, min(id)
--> same

SELECT name, count(*) FROM users WHERE nick = {nick:'planted-bob'} GROUP BY name HAVING count(*) >= {n:1}
--> same

SELECT name, max(nick) FROM users GROUP BY name
--> refused: function max() is not possible on protected column "public.users.nick"

SELECT ssn, count(*) FROM users GROUP BY ssn
--> refused: protected column "public.users.ssn" is not searchable

SELECT lower(email), count(*) FROM users GROUP BY lower(email)
--> refused: function lower() is not possible on protected column "public.users.email"

SELECT id, email, name FROM users GROUP BY id
--> same

SELECT u.id, u.email, count(o.id) FROM users u LEFT JOIN orders o ON o.user_id = u.id GROUP BY u.id
--> same

SELECT u.email, count(o.id) FROM users u JOIN orders o ON o.contact = u.email GROUP BY u.email
--> same

SELECT u.email, u.name, count(*) FROM users u JOIN orders o ON o.user_id = u.id GROUP BY u.email, u.name HAVING count(*) > 1
--> same

SELECT nick, plain, count(*) FROM users GROUP BY ROLLUP (nick, plain)
--> same

SELECT nick, count(*) FROM users GROUP BY GROUPING SETS ((nick), ())
--> same

SELECT nick, name, count(*) FROM users GROUP BY CUBE (nick, name)
--> same

SELECT nick, grouping(nick), count(*) FROM users GROUP BY GROUPING SETS ((nick), ())
--> same

SELECT s.nick, s.n FROM (SELECT nick, count(*) AS n FROM users GROUP BY nick) s WHERE s.n > {n:1}
--> same

SELECT nick || '', count(*) FROM users GROUP BY nick
--> refused: operator || is not possible on protected column "public.users.nick"

SELECT count(*) FROM (SELECT nick FROM users GROUP BY nick HAVING count(*) > 1) s
--> same

-- ## DISTINCT

SELECT DISTINCT nick FROM users
--> same

SELECT DISTINCT email FROM users
--> same

SELECT DISTINCT name, nick FROM users
--> same

SELECT DISTINCT born FROM users
--> same

SELECT DISTINCT total FROM orders WHERE total > 0 IS NOT NULL
--> refused: operator > is not possible on protected column "public.orders.total"

SELECT DISTINCT total FROM orders
--> same

SELECT DISTINCT ssn FROM users
--> refused: protected column "public.users.ssn" is not searchable

SELECT DISTINCT * FROM users
--> refused: protected column "public.users.ssn" is not searchable

SELECT DISTINCT name FROM users WHERE email <> {email:'planted-ann@x'}
--> same

SELECT DISTINCT ON (nick) nick, id FROM users ORDER BY nick, id
--> refused: ORDER BY is not possible on protected column "public.users.nick"

SELECT DISTINCT ON (name) name, email FROM users ORDER BY name, id
--> same

SELECT count(*) FROM (SELECT DISTINCT ON (nick) id FROM users) s
--> same

SELECT count(*) FROM (SELECT DISTINCT nick FROM users) s
--> same

SELECT DISTINCT u.email FROM users u JOIN orders o ON o.contact = u.email
--> same

SELECT DISTINCT nick FROM users ORDER BY nick
--> refused: ORDER BY is not possible on protected column "public.users.nick"

-- ## UNION, INTERSECT and EXCEPT

SELECT email FROM users WHERE id = {id:1} UNION ALL SELECT email FROM users WHERE id = {id2:2}
--> same

SELECT email FROM users UNION ALL SELECT nick FROM users
--> refused: UNION ALL with a column that is not the same is not possible on protected column "public.users.email"

SELECT email FROM users UNION ALL SELECT contact FROM orders
--> refused: UNION ALL with a column that is not the same is not possible on protected column "public.users.email"

SELECT nick FROM users UNION SELECT nick FROM users
--> same

SELECT email FROM users UNION SELECT contact FROM orders
--> refused: UNION with a column that is not the same is not possible on protected column "public.users.email"

SELECT email FROM users INTERSECT SELECT contact FROM orders
--> refused: INTERSECT with a column that is not the same is not possible on protected column "public.users.email"

SELECT nick FROM users INTERSECT ALL SELECT nick FROM users
--> same

SELECT email FROM users EXCEPT SELECT contact FROM orders
--> refused: EXCEPT with a column that is not the same is not possible on protected column "public.users.email"

SELECT nick FROM users EXCEPT ALL SELECT nick FROM users WHERE id = 3
--> same

SELECT email FROM users UNION ALL SELECT name FROM users
--> refused: UNION ALL with a column that is not the same is not possible on protected column "public.users.email"

SELECT email FROM users UNION ALL SELECT {text:'planted-more'}
--> same

SELECT email FROM users UNION SELECT NULL
--> same

SELECT name FROM users UNION ALL SELECT email FROM users
--> refused: UNION ALL with a column that is not the same is not possible on protected column "public.users.email"

SELECT 1 AS id, NULL AS email UNION ALL SELECT id, email FROM users
--> same

SELECT id, name FROM users UNION SELECT id, name FROM items
--> same

SELECT id FROM users WHERE email = {email:'planted-ann@x'} UNION SELECT id FROM users WHERE nick = {nick:'planted-bob'}
--> same

SELECT id FROM users EXCEPT SELECT id FROM users WHERE email = {email:'planted-ann@x'} ORDER BY id
--> same

(SELECT email FROM users ORDER BY id LIMIT 2) UNION ALL (SELECT email FROM users ORDER BY id DESC LIMIT 1)
--> same

SELECT ssn FROM users UNION ALL SELECT ssn FROM users
--> same

SELECT * FROM users UNION ALL SELECT * FROM users
--> same

VALUES ({text:'planted-v'}) UNION ALL SELECT email FROM users
--> same

-- ## Windows

SELECT email, row_number() OVER (ORDER BY id) FROM users
--> same

SELECT email, row_number() OVER (PARTITION BY name ORDER BY id) FROM users
--> same

SELECT id, count(*) OVER (PARTITION BY nick) FROM users
--> same

SELECT id, row_number() OVER (PARTITION BY nick ORDER BY id) FROM users
--> same

SELECT id, rank() OVER (ORDER BY email) FROM users
--> refused: ORDER BY is not possible on protected column "public.users.email"

SELECT id, sum(plain) OVER w FROM users WINDOW w AS (PARTITION BY born ORDER BY id)
--> same

SELECT id, lag(email) OVER (ORDER BY id) FROM users
--> same

SELECT id, first_value(email) OVER (PARTITION BY name ORDER BY id) FROM users
--> same

SELECT id, count(nick) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM users
--> same

SELECT id, count(*) FILTER (WHERE nick = {nick:'planted-bob'}) OVER (ORDER BY id) FROM users
--> same

SELECT id, n FROM (SELECT id, email, row_number() OVER (PARTITION BY nick ORDER BY id) AS n FROM users) s WHERE n = 1
--> same
