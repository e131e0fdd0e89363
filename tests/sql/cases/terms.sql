SELECT id FROM users WHERE email IS NOT DISTINCT FROM $1
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) IS NOT DISTINCT FROM $1
--> parameters: $1=client 1 term email

SELECT id FROM users WHERE NOT (email IS DISTINCT FROM NULL)
--> text: SELECT id FROM users WHERE NOT (pgcrypt.eq(email) IS DISTINCT FROM NULL)

SELECT id FROM users WHERE (email, id) IN (('alpha@x', 1), ($1, $2))
--> text: SELECT id FROM users WHERE (pgcrypt.eq(email), id) IN ((<term email 'alpha@x'>, 1), ($1, $2))
--> parameters: $1=client 1 term email; $2=client 2 pass

SELECT id FROM users WHERE (id, email) <> (1, 'alpha@x')
--> text: SELECT id FROM users WHERE (id, pgcrypt.eq(email)) <> (1, <term email 'alpha@x'>)

SELECT id FROM users WHERE (email, id) < ('alpha@x', 1)
--> refused 0A000 at 29: operator < is not possible on protected column "public.users.email"

SELECT id FROM users WHERE ROW(email, ssn) = ROW('alpha@x', 'beta')
--> refused 0A000 at 44: protected column "public.users.ssn" is not searchable

SELECT id FROM users WHERE (email, id) IN (SELECT contact, user_id FROM orders)
--> text: SELECT id FROM users WHERE (pgcrypt.eq(email), id) IN (SELECT pgcrypt.eq(contact), user_id FROM orders)

SELECT id FROM users WHERE email NOT IN (SELECT contact FROM orders WHERE contact IS NOT NULL)
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) NOT IN (SELECT pgcrypt.eq(contact) FROM orders WHERE contact IS NOT NULL)

SELECT id FROM users WHERE email = ANY (SELECT contact FROM orders)
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) = ANY (SELECT pgcrypt.eq(contact) FROM orders)

SELECT id FROM users WHERE email <> ALL (SELECT contact FROM orders UNION ALL SELECT contact FROM orders)
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) <> ALL (SELECT pgcrypt.eq(contact) FROM orders UNION ALL SELECT pgcrypt.eq(contact) FROM orders)

SELECT id FROM users WHERE email < ANY (SELECT contact FROM orders)
--> refused 0A000 at 34: operator < is not possible on protected column "public.users.email"

SELECT id FROM users WHERE email IN (SELECT name FROM items)
--> refused 0A000 at 34: protected column "public.users.email" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT id FROM users WHERE email IN (SELECT * FROM (SELECT contact FROM orders) o)
--> refused 0A000 at 34: a subquery with * is not possible on protected column "public.orders.contact"

SELECT id FROM users WHERE email IN (SELECT ssn FROM users)
--> refused 0A000 at 34: protected column "public.users.ssn" is not searchable

SELECT id FROM users WHERE email IN (SELECT DISTINCT contact FROM orders ORDER BY 1)
--> refused 0A000 at 83: ORDER BY is not possible on protected column "public.orders.contact"

SELECT id FROM users WHERE 'alpha@x' IN (SELECT contact FROM orders)
--> text: SELECT id FROM users WHERE <term contact 'alpha@x'> IN (SELECT pgcrypt.eq(contact) FROM orders)

SELECT id FROM users WHERE $1 IN (email, 'beta@x')
--> text: SELECT id FROM users WHERE $1 OPERATOR(pg_catalog.=) ANY (ARRAY[pgcrypt.eq(email), <term email 'beta@x'>]::pg_catalog.bytea[])
--> parameters: $1=client 1 term email

SELECT id FROM users WHERE email IN (VALUES ('alpha@x'), ('beta@x'))
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) IN (VALUES (<term email 'alpha@x' by default text>), (<term email 'beta@x' by default text>))

SELECT id FROM users WHERE email = (SELECT contact FROM orders LIMIT 1)
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) pgcrypt.eq((SELECT contact FROM orders LIMIT 1))

SELECT id FROM users WHERE email = (SELECT 'alpha@x')
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) (SELECT <term email 'alpha@x' by default text> AS "?column?")

SELECT id FROM users WHERE coalesce(email, 'none') = 'alpha@x'
--> text: SELECT id FROM users WHERE pgcrypt.eq(coalesce(email, <alike email 'none' by default text>)) OPERATOR(pg_catalog.=) <term email 'alpha@x'>

SELECT id FROM users WHERE email = coalesce($1, 'alpha@x')
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) coalesce($1, <term email 'alpha@x' by default text>)
--> parameters: $1=client 1 term email by default text

SELECT id FROM users WHERE email = CASE WHEN id > 1 THEN 'alpha@x' ELSE $1 END
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) CASE WHEN id > 1 THEN <term email 'alpha@x' by default text> ELSE $1 END
--> parameters: $1=client 1 term email by default text

SELECT CASE email WHEN 'alpha@x' THEN 1 WHEN $1 THEN 2 ELSE 3 END FROM users
--> text: SELECT CASE pgcrypt.eq(email) WHEN <term email 'alpha@x'> THEN 1 WHEN $1 THEN 2 ELSE 3 END FROM users
--> parameters: $1=client 1 term email

SELECT CASE 'alpha@x' WHEN email THEN 1 END FROM users
--> text: SELECT CASE <term email 'alpha@x'> WHEN pgcrypt.eq(email) THEN 1 END FROM users

SELECT CASE ssn WHEN 'alpha@x' THEN 1 END FROM users
--> refused 0A000 at 8: protected column "public.users.ssn" is not searchable

SELECT id FROM users WHERE email::varchar = 'alpha@x' AND CAST(email AS text) <> 'beta@x'
--> text: SELECT id FROM users WHERE pgcrypt.eq(email ) OPERATOR(pg_catalog.=) <term email 'alpha@x'> AND pgcrypt.eq( email ) OPERATOR(pg_catalog.<>) <term email 'beta@x'>

SELECT id FROM users WHERE email::varchar(3) = 'alpha@x'
--> refused 0A000 at 28: a cast is not possible on protected column "public.users.email"

SELECT id FROM users u JOIN (VALUES ('alpha@x', 1), ($1, 2)) AS v (mail, n) ON v.mail = u.email
--> text: SELECT id FROM users u JOIN (VALUES (<term email 'alpha@x' by default text>, 1), ($1, 2)) AS v (mail, n) ON v.mail OPERATOR(pg_catalog.=) pgcrypt.eq(u.email)
--> parameters: $1=client 1 term email by default text

SELECT id, n FROM users u JOIN unnest($1::text[]) WITH ORDINALITY AS v (mail, n) ON v.mail = u.email
--> text: SELECT id, n FROM users u JOIN unnest($1) WITH ORDINALITY AS v (mail, n) ON v.mail OPERATOR(pg_catalog.=) pgcrypt.eq(u.email)
--> parameters: $1=client 1 term_array email as text

SELECT id FROM users JOIN orders USING (id) WHERE contact = email
--> text: SELECT id FROM users JOIN orders USING (id) WHERE pgcrypt.eq(contact) OPERATOR(pg_catalog.=) pgcrypt.eq(email)

SELECT count(DISTINCT email), count(DISTINCT ssn) FROM users
--> refused 0A000 at 46: protected column "public.users.ssn" is not searchable

SELECT count(DISTINCT email) FILTER (WHERE email <> 'alpha@x') FROM users
--> text: SELECT count(DISTINCT pgcrypt.eq(email)) FILTER (WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.<>) <term email 'alpha@x'>) FROM users

SELECT rank() OVER (PARTITION BY email ORDER BY id) FROM users
--> text: SELECT rank() OVER (PARTITION BY pgcrypt.eq(email) ORDER BY id) FROM users

SELECT rank() OVER (PARTITION BY ssn) FROM users
--> refused 0A000 at 34: protected column "public.users.ssn" is not searchable

SELECT DISTINCT id, email, name FROM users ORDER BY name
--> text: SELECT DISTINCT ON (1, pgcrypt.eq(email), 3)  id, email, name FROM users ORDER BY name
--> outputs: -, public.users.email, -

SELECT DISTINCT * FROM users
--> refused 0A000 at None: protected column "public.users.ssn" is not searchable

SELECT DISTINCT ssn FROM users
--> refused 0A000 at None: protected column "public.users.ssn" is not searchable

SELECT DISTINCT coalesce(email, 'x') FROM users
--> text: SELECT DISTINCT ON (pgcrypt.eq("pgcrypt_rows"."c1")) "c1" AS "coalesce" FROM (SELECT   coalesce(email, <alike email 'x' by default text>) FROM users) AS "pgcrypt_rows" ("c1")
--> outputs: public.users.email

SELECT DISTINCT ON (email) name AS email FROM users
--> untouched

SELECT DISTINCT ON (u.email) u.email, u.name FROM users u ORDER BY u.email
--> refused 0A000 at 68: ORDER BY is not possible on protected column "public.users.email"

SELECT DISTINCT name FROM users WHERE email = 'alpha@x'
--> text: SELECT DISTINCT name FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'>

SELECT u.email AS e, count(*) AS n FROM users u GROUP BY u.email HAVING u.email <> 'alpha@x' AND u.email IS NOT NULL ORDER BY n
--> text: SELECT pgcrypt.first(u.email) AS e, count(*) AS n FROM users u GROUP BY pgcrypt.eq(u.email) HAVING pgcrypt.eq(u.email) OPERATOR(pg_catalog.<>) <term email 'alpha@x'> AND pgcrypt.eq(u.email) IS NOT NULL ORDER BY n
--> outputs: public.users.email, -

SELECT email AS e, count(*) FROM users GROUP BY e
--> text: SELECT pgcrypt.first(email) AS e, count(*) FROM users GROUP BY pgcrypt.eq(email)
--> outputs: public.users.email, -

SELECT email, name, max(id) FROM users GROUP BY name, 1
--> text: SELECT pgcrypt.first(email) AS "email", name, max(id) FROM users GROUP BY name, pgcrypt.eq(email)
--> outputs: public.users.email, -, -

SELECT name AS email, count(*) FROM users GROUP BY email
--> text: SELECT name AS email, count(*) FROM users GROUP BY pgcrypt.eq(email)

SELECT ssn FROM users GROUP BY ssn
--> refused 0A000 at 32: protected column "public.users.ssn" is not searchable

SELECT coalesce(email, 'x') FROM users GROUP BY email
--> refused 0A000 at 17: an expression over a column that the query groups by is not possible on protected column "public.users.email"

SELECT coalesce(email, 'x') AS c FROM users GROUP BY c
--> text: SELECT pgcrypt.first(coalesce(email, <alike email 'x' by default text>)) AS c FROM users GROUP BY pgcrypt.eq(coalesce(email, <alike email 'x' by default text>))
--> outputs: public.users.email

SELECT * FROM (SELECT email FROM users) s GROUP BY email
--> refused 0A000 at 8: * over GROUP BY is not possible on protected column "public.users.email"

SELECT email, count(*) FROM users GROUP BY ROLLUP (email)
--> text: SELECT CASE WHEN GROUPING(pgcrypt.eq(email)) OPERATOR(pg_catalog.=) 0 THEN pgcrypt.first(email) END AS "email", count(*) FROM users GROUP BY ROLLUP (pgcrypt.eq(email))
--> outputs: public.users.email, -

SELECT name, grouping(name) FROM users WHERE email = 'alpha@x' GROUP BY ROLLUP (name)
--> text: SELECT name, grouping(name) FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'> GROUP BY ROLLUP (name)

SELECT email, (SELECT count(*) FROM orders WHERE contact = email) FROM users GROUP BY email
--> refused 0A000 at 60: "email", by which an outer query groups, in a subquery is not supported in a statement that touches a protected table

SELECT id, email FROM users GROUP BY id
--> text: SELECT id, email FROM users GROUP BY id
--> outputs: -, public.users.email

SELECT id FROM accounts WHERE lower(handle) = 'alpha'
--> text: SELECT id FROM accounts WHERE  (pgcrypt.eqci(handle)) OPERATOR(pg_catalog.=) <folded handle 'alpha'>

SELECT id FROM accounts WHERE lower(handle) = lower($1)
--> text: SELECT id FROM accounts WHERE  (pgcrypt.eqci(handle)) OPERATOR(pg_catalog.=)  ($1)
--> parameters: $1=client 1 fold handle

SELECT id FROM accounts WHERE pg_catalog.lower(alias::text) IN ('alpha', lower('Beta'), $1)
--> text: SELECT id FROM accounts WHERE  (pgcrypt.eqci(alias )) OPERATOR(pg_catalog.=) ANY (ARRAY[<folded alias 'alpha'>,  (<fold alias 'Beta'>), $1]::pg_catalog.bytea[])
--> parameters: $1=client 1 folded alias

SELECT id FROM accounts WHERE lower(handle) <> ALL ($1)
--> text: SELECT id FROM accounts WHERE  (pgcrypt.eqci(handle)) OPERATOR(pg_catalog.<>) ALL ($1)
--> parameters: $1=client 1 folded_array handle

SELECT id FROM accounts WHERE lower(handle) IS NOT DISTINCT FROM lower('Alpha'::varchar)
--> text: SELECT id FROM accounts WHERE  (pgcrypt.eqci(handle)) IS NOT DISTINCT FROM  (<fold handle 'Alpha' as character varying>)

SELECT id FROM accounts a WHERE lower(a.handle) = lower(a.alias)
--> text: SELECT id FROM accounts a WHERE  (pgcrypt.eqci(a.handle)) OPERATOR(pg_catalog.=)  (pgcrypt.eqci(a.alias))

SELECT id FROM accounts WHERE handle ILIKE $1 OR alias NOT ILIKE 'Alpha'
--> text: SELECT id FROM accounts WHERE pgcrypt.eqci(handle) OPERATOR(pg_catalog.=) $1 OR pgcrypt.eqci(alias) OPERATOR(pg_catalog.<>) <pattern alias 'Alpha'>
--> parameters: $1=client 1 pattern handle

SELECT id FROM accounts WHERE handle ILIKE 'alp%' ESCAPE '!'
--> refused 0A000 at 38: protected column "public.accounts.handle" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT id FROM accounts WHERE upper(handle) = 'ALPHA'
--> refused 0A000 at 45: upper() is not possible on protected column "public.accounts.handle"

SELECT id FROM members WHERE UPPER("members"."mail"::text) = UPPER('Alpha')
--> text: SELECT id FROM members WHERE  (pgcrypt.eqci("members"."mail" )) OPERATOR(pg_catalog.=)  (<fold mail 'Alpha'>)

SELECT id FROM members WHERE upper(mail) = $1 OR upper(mail) IN ('A', upper($1))
--> text: SELECT id FROM members WHERE  (pgcrypt.eqci(mail)) OPERATOR(pg_catalog.=) $1 OR  (pgcrypt.eqci(mail)) OPERATOR(pg_catalog.=) ANY (ARRAY[<folded mail 'A'>,  ($2)]::pg_catalog.bytea[])
--> parameters: $1=client 1 folded mail; $2=client 1 fold mail

SELECT id FROM members WHERE upper(mail) = lower('A')
--> refused 0A000 at 42: protected column "public.members.mail" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT id FROM members WHERE lower(mail) = 'a'
--> refused 0A000 at 42: lower() is not possible on protected column "public.members.mail"

SELECT id FROM accounts WHERE lower(handle) < 'alpha'
--> refused 0A000 at 37: function lower() is not possible on protected column "public.accounts.handle"

SELECT id FROM accounts WHERE lower(handle) = name(1)
--> refused 0A000 at 45: protected column "public.accounts.handle" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT id FROM accounts WHERE lower(handle) = handle
--> refused 0A000 at 45: protected column "public.accounts.handle" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT id FROM users WHERE lower(email) = lower('Alpha')
--> refused 0A000 at 41: lower() is not possible on protected column "public.users.email"

SELECT id FROM accounts WHERE handle = alias
--> text: SELECT id FROM accounts WHERE pgcrypt.eq(handle) OPERATOR(pg_catalog.=) pgcrypt.eq(alias)

SELECT lower(handle) FROM accounts
--> refused 0A000 at 14: function lower() is not possible on protected column "public.accounts.handle"

SELECT name[1] FROM (SELECT ARRAY[name] AS name FROM users) s
--> untouched

SELECT (u).email FROM users u
--> text: SELECT (u).email FROM users u
--> outputs: public.users.email

SELECT make_date(year => 2020, month => 1, day => id) FROM users WHERE email = 'alpha@x'
--> text: SELECT make_date(year => 2020, month => 1, day => id) FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'>

SELECT JSON_OBJECT('a' : name), JSON_ARRAY(name, id), name IS JSON FROM users WHERE email = 'alpha@x'
--> text: SELECT JSON_OBJECT('a' : name), JSON_ARRAY(name, id), name IS JSON FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'>

SELECT JSON_OBJECT('a' : email) FROM users
--> refused 0A000 at 26: JSON_OBJECT is not possible on protected column "public.users.email"

SELECT JSON_ARRAY(email) FROM users
--> refused 0A000 at 19: a JSON expression is not possible on protected column "public.users.email"
