SELECT (u).email, (u.*).name, u IS NOT NULL, count(u) OVER (PARTITION BY (u).email) FROM users u WHERE (u).email = 'alpha@x' AND (u).id = 1
--> text: SELECT (u).email, (u.*).name, u IS NOT NULL, count(u) OVER (PARTITION BY pgcrypt.eq((u).email)) FROM users u WHERE pgcrypt.eq((u).email) OPERATOR(pg_catalog.=) <term email 'alpha@x'> AND (u).id = 1
--> outputs: public.users.email, -, -, -

SELECT (u).name || 'x' FROM users u WHERE u.* IS NULL
--> untouched

SELECT (u).email || 'x' FROM users u
--> refused 0A000 at 9: operator || is not possible on protected column "public.users.email"

SELECT (u).nosuch FROM users u
--> refused 0A000 at 9: a whole-row value of "u" would contain protected columns

SELECT count(DISTINCT u) FROM users u
--> refused 0A000 at 23: a whole-row value of "u" would contain protected columns

SELECT (u).email, count(*) FROM users u GROUP BY (u).email
--> text: SELECT pgcrypt.first((u).email) AS "email", count(*) FROM users u GROUP BY pgcrypt.eq((u).email)
--> outputs: public.users.email, -

SELECT nullif((u).email, 'alpha@x') FROM users u
--> refused 0A000 at 8: NULLIF is not possible on protected column "public.users.email"

SELECT DISTINCT * FROM accounts WHERE id > 2 ORDER BY id
--> text: SELECT * FROM (SELECT DISTINCT ON ("pgcrypt_rows"."c1", pgcrypt.eq("pgcrypt_rows"."c2"), pgcrypt.eq("pgcrypt_rows"."c3")) "c1" AS "id", "c2" AS "handle", "c3" AS "alias" FROM (SELECT   * FROM accounts WHERE id > 2) AS "pgcrypt_rows" ("c1", "c2", "c3")) AS "pgcrypt_rows" ORDER BY id
--> outputs: -, public.accounts.handle, public.accounts.alias

SELECT DISTINCT coalesce(email, 'alpha@x'), id FROM users ORDER BY id LIMIT 1
--> text: SELECT * FROM (SELECT DISTINCT ON (pgcrypt.eq("pgcrypt_rows"."c1"), "pgcrypt_rows"."c2") "c1" AS "coalesce", "c2" AS "id" FROM (SELECT   coalesce(email, <alike email 'alpha@x' by default text>), id FROM users) AS "pgcrypt_rows" ("c1", "c2")) AS "pgcrypt_rows" ORDER BY id LIMIT 1
--> outputs: public.users.email, -

SELECT DISTINCT coalesce(email, 'alpha@x'), id FROM users u ORDER BY u.id
--> refused 0A000 at 70: ORDER BY of an expression over a set operation or DISTINCT is not supported in a statement that touches a protected table

SELECT DISTINCT handle, count(*) FROM accounts GROUP BY handle
--> text: SELECT DISTINCT ON (pgcrypt.eq(handle), 2)  pgcrypt.first(handle) AS "handle", count(*) FROM accounts GROUP BY pgcrypt.eq(handle)
--> outputs: public.accounts.handle, -

SELECT DISTINCT coalesce(email, 'alpha@x') FROM users FOR UPDATE
--> refused 0A000 at None: SELECT DISTINCT ... FOR UPDATE is not possible on protected column "public.users.email"

SELECT id FROM users WHERE email IN (SELECT DISTINCT coalesce(email, 'alpha@x') FROM users UNION ALL SELECT 'beta@x')
--> refused 0A000 at None: a comparison with a subquery that tells its own rows apart is not possible on protected column "public.users.email"

SELECT DISTINCT ON (n) email AS n, id FROM users
--> text: SELECT DISTINCT ON (pgcrypt.eq(email)) email AS n, id FROM users
--> outputs: public.users.email, -

SELECT DISTINCT ON (email) (SELECT contact FROM orders) AS email, id FROM users
--> refused 0A000 at 21: DISTINCT ON of an output that is an expression or is in * is not possible on protected column "public.orders.contact"

SELECT coalesce(email, 'alpha@x') AS e, count(*) FROM users GROUP BY coalesce(email, 'alpha@x')
--> text: SELECT pgcrypt.first(coalesce(email, <alike email 'alpha@x' by default text>)) AS e, count(*) FROM users GROUP BY pgcrypt.eq(coalesce(email, <alike email 'alpha@x' by default text>))
--> outputs: public.users.email, -

SELECT coalesce(email, 'alpha@x') FROM users GROUP BY coalesce(email, 'alpha@x') HAVING coalesce(email, 'alpha@x') IS NULL
--> refused 0A000 at 116: a condition on an expression that the query groups by is not possible on protected column "public.users.email"

SELECT CASE WHEN random() < 1 THEN email END FROM users GROUP BY CASE WHEN random() < 1 THEN email END
--> refused 0A000 at 66: GROUP BY of an expression is not possible on protected column "public.users.email"

SELECT handle, name, grouping(handle) FROM accounts, items GROUP BY GROUPING SETS ((handle, name), (1), ()) HAVING handle IS NOT NULL
--> text: SELECT CASE WHEN GROUPING(pgcrypt.eq(handle)) OPERATOR(pg_catalog.=) 0 THEN pgcrypt.first(handle) END AS "handle", name, grouping(pgcrypt.eq(handle)) FROM accounts, items GROUP BY GROUPING SETS ((pgcrypt.eq(handle), name), (pgcrypt.eq(handle)), ()) HAVING pgcrypt.eq(handle) IS NOT NULL
--> outputs: public.accounts.handle, -, -

SELECT handle, alias FROM accounts GROUP BY (handle, alias)
--> text: SELECT pgcrypt.first(handle) AS "handle", pgcrypt.first(alias) AS "alias" FROM accounts GROUP BY (pgcrypt.eq(handle), pgcrypt.eq(alias))
--> outputs: public.accounts.handle, public.accounts.alias

SELECT lag(email, 2, 'alpha@x') OVER w = email, first_value(ssn) OVER (w ROWS UNBOUNDED PRECEDING), any_value(email) FILTER (WHERE id > 2) FROM users WINDOW w AS (PARTITION BY email)
--> text: SELECT pgcrypt.eq(lag(email, 2, <alike email 'alpha@x' by default text>) OVER w) OPERATOR(pg_catalog.=) pgcrypt.eq(email), first_value(ssn) OVER (w ROWS UNBOUNDED PRECEDING), any_value(email) FILTER (WHERE id > 2) FROM users WINDOW w AS (PARTITION BY pgcrypt.eq(email))
--> outputs: -, public.users.ssn, public.users.email

SELECT lag(alias, 1, 'alpha@x') OVER (ORDER BY id) FROM accounts
--> refused 0A000 at None: function lag() with a default, which loses the length, is not possible on protected column "public.accounts.alias"

SELECT lag(email, length(email)) OVER (ORDER BY id) FROM users
--> refused 0A000 at 26: function length() is not possible on protected column "public.users.email"

SELECT any_value(DISTINCT email), lag(email) FROM users
--> refused 0A000 at 27: function any_value() is not possible on protected column "public.users.email"

SELECT any_value(email) FROM users GROUP BY email
--> text: SELECT any_value(email) FROM users GROUP BY pgcrypt.eq(email)
--> outputs: public.users.email

SELECT email FROM users ORDER BY email
--> refused 0A000 at 34: ORDER BY is not possible on protected column "public.users.email"

SELECT id FROM users WHERE email BETWEEN 'a' AND 'b'
--> refused 0A000 at 28: BETWEEN is not possible on protected column "public.users.email"

SELECT coalesce(email, $1) AS e, count(*) FROM users GROUP BY e
--> text: SELECT pgcrypt.first(coalesce(email, $1)) AS e, count(*) FROM users GROUP BY pgcrypt.eq(coalesce(email, $1))
--> parameters: $1=client 1 alike email by default text
--> outputs: public.users.email, -

SELECT name, CASE WHEN email = 'alpha@x' THEN nullif(email, 'beta@x') ELSE $1 END FROM users GROUP BY 1, 2
--> text: SELECT name, pgcrypt.first(CASE WHEN pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'> THEN CASE WHEN pgcrypt.eq(email) OPERATOR(pg_catalog.=) ( <term email 'beta@x'>) THEN NULL ELSE email END ELSE $1 END) AS "case" FROM users GROUP BY 1, pgcrypt.eq(CASE WHEN pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'> THEN CASE WHEN pgcrypt.eq(email) OPERATOR(pg_catalog.=) ( <term email 'beta@x'>) THEN NULL ELSE email END ELSE $1 END)
--> parameters: $1=client 1 alike email by default text
--> outputs: -, public.users.email

SELECT (email), count(*) FROM users GROUP BY (email)
--> text: SELECT (pgcrypt.first(email)) AS "email", count(*) FROM users GROUP BY (pgcrypt.eq(email))
--> outputs: public.users.email, -

SELECT id FROM users WHERE (id, email) = (SELECT user_id, contact FROM orders LIMIT 1)
--> text: SELECT id FROM users WHERE (id, pgcrypt.eq(email)) = (SELECT user_id, pgcrypt.eq(contact) FROM orders LIMIT 1)

SELECT id FROM users WHERE (id, email) = (SELECT id, email FROM users UNION SELECT id, email FROM users)
--> refused 0A000 at 40: a comparison with a subquery that tells its own rows apart is not possible on protected column "public.users.email"

SELECT id FROM users WHERE email = 'alpha@x' COLLATE "C"
--> refused 0A000 at 34: COLLATE is not possible on protected column "public.users.email"
