-- # UPDATE, DELETE and MERGE

-- ## SET

UPDATE users SET email = {email:'planted-new@x'} WHERE id = {id:1}
--> same

UPDATE users SET email = {email:'planted-new@x'}, ssn = {ssn:'planted-9'}, born = {born:'2001-02-03'}, name = {name:'N'} WHERE email = {email2:'planted-ann@x'}
--> same

UPDATE users SET nick = {nick:NULL} WHERE id < {id:4}
--> same

UPDATE users SET nick = DEFAULT, born = NULL WHERE email = {email:'planted-bob@x'}
--> same

UPDATE users SET nick = {nick:'planted-all'}
--> same

UPDATE users AS u SET nick = {nick:'planted-n'} WHERE u.email = {email:'planted-ann@x'}
--> same

UPDATE ONLY public.users SET "nick" = {nick:'planted-n'} WHERE "users"."id" = {id:2}
--> same

UPDATE users SET nick = {nick:'planted-n'}::text, born = {born:'2001-02-03'}::date WHERE id = {id:2}
--> same

UPDATE users SET plain = plain + {n:1} WHERE email = {email:'planted-ann@x'}
--> same

UPDATE users SET name = upper(name), plain = (SELECT count(*) FROM items)::int WHERE nick = {nick:'planted-bob'}
--> same

UPDATE orders SET total = {total:99.995} WHERE contact = {contact:'planted-ann@x'}
--> same

UPDATE orders SET total = {n:5} WHERE total = {total:10}
--> same

UPDATE users SET (email, name) = ({email:'planted-new@x'}, {name:'N'}) WHERE id = {id:1}
--> same

UPDATE users SET (email, name) = ROW ({email:'planted-new@x'}, {name:'N'}) WHERE id = {id:1}
--> same

UPDATE users SET (nick) = ROW ({nick:'planted-n'}) WHERE id = {id:1}
--> same

UPDATE users SET (nick, plain) = (DEFAULT, {n:3}) WHERE id = {id:1}
--> same

UPDATE users SET (name, plain) = (SELECT name, id FROM items WHERE id = {n:2}) WHERE email = {email:'planted-ann@x'}
--> same

UPDATE users SET (nick, plain) = (SELECT contact, id FROM orders WHERE id = {n:4}) WHERE id = {id:1}
--> refused: copying into "public.users.nick" is not possible on protected column "public.orders.contact"

UPDATE users SET (nick, plain) = (SELECT {nick:'planted-n'}, 5) WHERE id = {id:1}
--> same

UPDATE users SET nick = (SELECT contact FROM orders WHERE id = {n:4}) WHERE id = {id:1}
--> refused: copying into "public.users.nick" is not possible on protected column "public.orders.contact"

UPDATE users SET name = (SELECT email FROM contacts WHERE id = 1) WHERE email = {email:'planted-ann@x'}
--> same

UPDATE users SET nick = (SELECT email FROM contacts WHERE id = 1)
--> refused: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.nick"

UPDATE users SET nick = email WHERE id = {id:1}
--> refused: copying into "public.users.nick" is not possible on protected column "public.users.email"

UPDATE users SET nick = nick WHERE id = {id:1}
--> same

UPDATE users SET email = email, ssn = ssn, plain = 0
--> same

UPDATE users SET name = email
--> refused: SET is not possible on protected column "public.users.email"

UPDATE users SET nick = name
--> refused: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.nick"

UPDATE users SET ssn = nick
--> refused: copying into "public.users.ssn" is not possible on protected column "public.users.nick"

UPDATE users SET email = lower(email)
--> refused: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.email"

UPDATE users SET email = upper({email:'planted-x'}) WHERE id = 1
--> refused: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.email"

UPDATE users SET email = email || {text:'-suffix'}
--> refused: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.email"

UPDATE users SET born = born + 1
--> refused: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.born"

UPDATE orders SET total = total * 2
--> refused: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.orders.total"

UPDATE users SET born = current_date WHERE id = {id:1}
--> refused: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.born"

UPDATE users SET email = {email:'planted-bob@x'} WHERE id = {id:1}
--> error 23505

UPDATE users SET email = {email:NULL} WHERE id = {id:1}
--> error 23502

UPDATE users SET ssn = {ssn:'planted-much-too-long'} WHERE id = {id:1}
--> error 22001

UPDATE users SET nick = {nick:'planted-n'} WHERE nosuch = 1
--> error 42703

-- ## CASE and COALESCE in SET

UPDATE users SET nick = CASE WHEN id = {id:1} THEN {nick:'planted-n1'} WHEN id = {id2:2} THEN {nick2:'planted-n2'} ELSE nick END WHERE id IN (1, 2, 3)
--> same

UPDATE users SET nick = CASE WHEN (id = {id:1}) THEN {nick:'planted-n1'} WHEN (id = {id2:2}) THEN NULL ELSE NULL END WHERE id IN (1, 2)
--> same

UPDATE users SET email = CASE WHEN ("users"."id" = {id:1}) THEN {email:'planted-n1@x'}::text WHEN ("users"."id" = {id2:2}) THEN {email2:'planted-n2@x'}::text ELSE NULL END WHERE "users"."id" IN (1, 2)
--> same

UPDATE users SET email = (CASE WHEN id = {id:1} THEN {email:'planted-n1@x'} WHEN id = {id2:2} THEN {email2:'planted-n2@x'} ELSE NULL END)::text WHERE id IN (1, 2)
--> same

UPDATE users SET born = CASE WHEN id = {id:1} THEN {born:'2001-01-01'}::date ELSE NULL END WHERE id IN (1, 2)
--> same

UPDATE users SET nick = CASE id WHEN {id:1} THEN {nick:'planted-n1'} ELSE nick END
--> same

UPDATE users SET nick = CASE WHEN email = {email:'planted-ann@x'} THEN {nick:'planted-n1'} ELSE nick END
--> same

UPDATE users SET nick = CASE WHEN id = 1 THEN email ELSE nick END
--> refused: copying into "public.users.nick" is not possible on protected column "public.users.email"

UPDATE users SET nick = CASE WHEN id = 1 THEN name ELSE nick END
--> refused: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.nick"

UPDATE users SET nick = CASE WHEN id = 1 THEN lower(nick) ELSE nick END
--> refused: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.nick"

UPDATE users SET name = CASE WHEN email = {email:'planted-ann@x'} THEN {name:'is Ann'} ELSE name END
--> same

UPDATE users SET name = CASE WHEN id = 1 THEN email ELSE name END
--> refused: CASE is not possible on protected column "public.users.email"

UPDATE users SET nick = coalesce({nick:NULL}, nick) WHERE id = {id:1}
--> same

UPDATE users SET nick = coalesce(nick, {nick:'planted-filled'})
--> same

UPDATE users SET nick = coalesce(nick, email)
--> refused: copying into "public.users.nick" is not possible on protected column "public.users.email"

UPDATE users SET nick = nullif({nick:'planted-n'}, '') WHERE id = {id:1}
--> refused: NULLIF is not possible on protected column "public.users.nick"

UPDATE users SET nick = nullif(nick, {nick:'planted-bob'})
--> same

UPDATE users SET ssn = coalesce({ssn:'planted-8'}, ssn) WHERE id = {id:1}
--> same

UPDATE users SET nick = greatest(nick, {nick:'planted-n'})
--> refused: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.nick"

UPDATE orders SET total = CASE WHEN contact = {contact:'planted-ann@x'} THEN {total:1.5} ELSE total END
--> same

UPDATE orders SET total = coalesce(total, 0)
--> same

-- ## FROM

UPDATE users SET plain = o.id FROM orders o WHERE o.contact = users.email AND o.id > {n:3}
--> same

UPDATE users u SET nick = o.contact FROM orders o WHERE o.user_id = u.id AND o.id = {n:6}
--> refused: copying into "public.users.nick" is not possible on protected column "public.orders.contact"

UPDATE users u SET nick = b.nick FROM users b WHERE b.id = u.id + 1
--> same

UPDATE users SET nick = v.nick FROM (VALUES ({id:1}::bigint, {nick:'planted-n1'}), ({id2:2}, {nick2:'planted-n2'})) AS v (id, nick) WHERE users.id = v.id
--> same

UPDATE users SET nick = v.nick FROM (VALUES (1, {nick:'planted-n1'}::text), (2, NULL)) AS v (id, nick) WHERE users.id = v.id
--> same

UPDATE users SET plain = v.n FROM (VALUES ({email:'planted-ann@x'}, 41), ({email2:'planted-bob@x'}, 42)) AS v (e, n) WHERE users.email = v.e
--> same

UPDATE users SET nick = v.nick FROM unnest({ids:'{1,2}'}::bigint[], {emails:'{planted-n1,planted-n2}'}::text[]) AS v (id, nick) WHERE users.id = v.id
--> same

UPDATE users SET nick = i.name FROM items i WHERE i.id = users.id
--> refused: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.nick"

UPDATE contacts SET email = u.email FROM users u WHERE u.id = contacts.id
--> refused: SET is not possible on protected column "public.users.email"

UPDATE contacts SET label = u.name FROM users u WHERE u.id = contacts.id AND u.email = {email:'planted-ann@x'}
--> same

UPDATE items SET name = {name:'for Ann'} WHERE id IN (SELECT id FROM users WHERE email = {email:'planted-ann@x'})
--> same

WITH v AS (SELECT id, contact FROM orders WHERE id = {n:4}) UPDATE users SET nick = v.contact FROM v WHERE users.id = v.id
--> refused: copying into "public.users.nick" is not possible on protected column "public.orders.contact"

-- ## WHERE

UPDATE users SET plain = {n:0} WHERE email IN ({email:'planted-ann@x'}, 'planted-bob@x') AND nick IS NOT NULL
--> same

UPDATE users SET plain = {n:0} WHERE lower(email) = {email:'planted-ann@x'}
--> same

UPDATE users SET plain = 0 WHERE email LIKE {email:'planted-a%'}
--> refused: LIKE is not possible on protected column "public.users.email"

UPDATE users SET plain = 0 WHERE email = nick
--> same

UPDATE users SET plain = 0 WHERE id IN (SELECT user_id FROM orders WHERE contact = {contact:'planted-ann@x'})
--> same

UPDATE users SET plain = 0 WHERE (email, plain) = ({email:'planted-ann@x'}, {n:1})
--> same

UPDATE contacts SET label = 'x' WHERE email = {text:'plain-ann@x'}
--> same

-- ## RETURNING

UPDATE users SET nick = {nick:'planted-n'} WHERE id = {id:1} RETURNING *
--> same

UPDATE users SET nick = {nick:'planted-n'} WHERE id = {id:1} RETURNING id, nick AS n, email, plain + 1
--> same

UPDATE users u SET plain = 1 FROM orders o WHERE o.contact = u.email RETURNING u.email, o.total, o.id
--> same

INSERT INTO users (email) VALUES ({email:'planted-new@x'}) RETURNING *
--> same

INSERT INTO users (email) VALUES ({email:'planted-new@x'}) RETURNING upper(email)
--> refused: function upper() is not possible on protected column "public.users.email"

INSERT INTO users (email) VALUES ({email:'planted-new@x'}) RETURNING email = {text:'planted-new@x'}
--> same

INSERT INTO users (email) VALUES ({email:'planted-new@x'}) RETURNING users
--> refused: a whole-row value of "users" would contain protected columns

INSERT INTO users (email) VALUES ({email:'planted-new@x'}) RETURNING (SELECT count(*) FROM items), email
--> same

INSERT INTO users (email) VALUES ({email:'planted-new@x'}) RETURNING CASE WHEN nick IS NULL THEN 'none' END AS what, email
--> same

DELETE FROM orders WHERE contact = {contact:'planted-bob'} RETURNING contact, total, id
--> same

DELETE FROM orders WHERE contact = {contact:'planted-bob'} RETURNING contact || 'x'
--> refused: operator || is not possible on protected column "public.orders.contact"

-- PostgreSQL 18
UPDATE users SET nick = {nick:'planted-n'} WHERE id = {id:1} RETURNING old.nick, new.nick
--> same

-- PostgreSQL 18
UPDATE users SET nick = {nick:'planted-n'} WHERE id = {id:1} RETURNING old.*, new.plain
--> same

-- PostgreSQL 18
UPDATE users SET plain = 70 WHERE email = {email:'planted-ann@x'} RETURNING old.plain, new.plain, email
--> same

-- PostgreSQL 18
UPDATE users SET plain = 70 WHERE id = 1 RETURNING WITH (OLD AS o, NEW AS n) o.email, n.plain
--> same

-- PostgreSQL 18
INSERT INTO users (email) VALUES ({email:'planted-ann@x'}) ON CONFLICT (email) DO UPDATE SET nick = 'planted-n' RETURNING old.nick, new.nick
--> same

-- PostgreSQL 18
DELETE FROM orders WHERE id = 1 RETURNING old.contact, new.contact
--> same

-- ## DELETE

DELETE FROM orders WHERE contact = {contact:'planted-ann@x'}
--> same

DELETE FROM orders WHERE contact IN ({contact:'planted-ann@x'}, {contact2:'planted-bob'}) AND total = {total:7.77}
--> same

DELETE FROM orders AS o WHERE o.total = {total:10.5}
--> same

DELETE FROM orders
--> same

DELETE FROM ONLY orders WHERE contact IS NULL
--> same

DELETE FROM orders USING users WHERE users.email = orders.contact AND users.nick = {nick:'planted-ann'}
--> same

DELETE FROM orders o USING users u JOIN items i ON i.id = u.id WHERE o.contact = u.email RETURNING o.id, u.email
--> same

DELETE FROM contacts USING users WHERE users.id = contacts.id AND users.email = {email:'planted-ann@x'}
--> same

DELETE FROM contacts USING users WHERE users.email = contacts.email
--> refused: protected column "public.users.email" can only be compared with a parameter, a literal or a searchable column of the same index domain

DELETE FROM orders WHERE contact LIKE {contact:'planted-a%'}
--> refused: LIKE is not possible on protected column "public.orders.contact"

DELETE FROM orders WHERE contact IN (SELECT email FROM users WHERE nick = {nick:'planted-ann'})
--> same

DELETE FROM users WHERE email = {email:'planted-ann@x'}
--> error 23503

DELETE FROM users WHERE email = {email:'planted-%_@x'}
--> same

DELETE FROM orders WHERE ctid IN (SELECT ctid FROM orders WHERE contact = {contact:'planted-ann@x'})
--> same

DELETE FROM items WHERE name = {name:'bolt'}
--> same

TRUNCATE orders
--> same

TRUNCATE items, logs RESTART IDENTITY
--> same

-- ## Data-modifying common table expressions

WITH x AS (INSERT INTO users (email) VALUES ({email:'planted-new@x'}) RETURNING id, email) SELECT id, email FROM x
--> same

WITH x AS (INSERT INTO users (email) VALUES ({email:'planted-new@x'}) RETURNING id, email) INSERT INTO orders (user_id, contact) SELECT id, email FROM x
--> refused: copying into "public.orders.contact" is not possible on protected column "public.users.email"

WITH x AS (INSERT INTO users (email) VALUES ({email:'planted-new@x'}) RETURNING id) INSERT INTO orders (user_id, contact) SELECT id, {contact:'planted-new@x'} FROM x RETURNING contact
--> same

WITH x AS (DELETE FROM orders WHERE contact = {contact:'planted-ann@x'} RETURNING *) SELECT count(*) FROM x
--> same

WITH x AS (DELETE FROM orders WHERE contact = {contact:'planted-ann@x'} RETURNING *) INSERT INTO orders (contact, total, note) SELECT contact, total, 'moved' FROM x
--> same

WITH x AS (UPDATE users SET nick = {nick:'planted-n'} WHERE id = {id:1} RETURNING email) SELECT o.id FROM orders o JOIN x ON x.email = o.contact
--> same

WITH x AS (UPDATE users SET plain = 0 RETURNING id) DELETE FROM logs WHERE id IN (SELECT id FROM x) AND level = {n:1}
--> same

WITH x AS (INSERT INTO items VALUES ({n:30}, 'x', 1) RETURNING id) UPDATE users SET nick = {nick:'planted-n'} FROM x WHERE users.id = 1
--> same

WITH x AS (DELETE FROM orders RETURNING contact) INSERT INTO contacts (label) SELECT contact FROM x
--> refused: INSERT ... SELECT into an unprotected column is not possible on protected column "public.orders.contact"

WITH x AS (INSERT INTO users (email) VALUES (lower({email:'planted-NEW@x'}))) SELECT 1
--> refused: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.email"

-- ## MERGE

MERGE INTO users u USING items i ON i.id = u.id WHEN MATCHED THEN UPDATE SET nick = {nick:'planted-m'}
--> same

MERGE INTO users u USING (VALUES ({email:'planted-ann@x'}, {name:'M'}), ('planted-new@x', 'N')) AS s (e, n) ON u.email = s.e WHEN MATCHED THEN UPDATE SET name = s.n WHEN NOT MATCHED THEN INSERT (email, name) VALUES (s.e, s.n)
--> refused: a value that is used in two ways is not possible on protected column "public.users.email"

MERGE INTO users u USING (SELECT {email:'planted-ann@x'}::text AS e) s ON u.email = s.e WHEN MATCHED THEN UPDATE SET plain = 100 WHEN NOT MATCHED THEN INSERT (email) VALUES (s.e)
--> refused: a value that is used in two ways is not possible on protected column "public.users.email"

MERGE INTO users u USING items i ON i.id = u.id WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED THEN INSERT (email, name) VALUES ({email:'planted-m@x'}, i.name)
--> same

MERGE INTO users u USING items i ON i.id = u.id WHEN MATCHED AND u.email = {email:'planted-ann@x'} THEN UPDATE SET name = i.name
--> same

MERGE INTO orders o USING users u ON o.contact = u.email WHEN MATCHED THEN UPDATE SET note = u.name
--> same

MERGE INTO orders o USING users u ON o.contact = u.email WHEN MATCHED AND o.id <> 2 THEN UPDATE SET contact = u.nick
--> refused: copying into "public.orders.contact" is not possible on protected column "public.users.nick"

MERGE INTO orders o USING users u ON o.contact = u.email AND o.id = {n:4} WHEN MATCHED THEN DELETE
--> same

MERGE INTO orders o USING users u ON o.user_id = u.id WHEN NOT MATCHED THEN INSERT (user_id, contact) VALUES (u.id, u.email)
--> refused: copying into "public.orders.contact" is not possible on protected column "public.users.email"

MERGE INTO orders o USING users u ON o.user_id = u.id WHEN NOT MATCHED THEN INSERT (note) VALUES (u.email)
--> refused: VALUES is not possible on protected column "public.users.email"

MERGE INTO users u USING items i ON i.id = u.id WHEN MATCHED THEN UPDATE SET nick = i.name
--> refused: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.nick"

MERGE INTO contacts c USING items i ON i.id = c.id WHEN MATCHED THEN UPDATE SET label = {label:'m'} WHEN NOT MATCHED THEN INSERT (label) VALUES ('n')
--> same

MERGE INTO contacts c USING users u ON u.id = c.id WHEN MATCHED THEN UPDATE SET label = u.email
--> refused: SET is not possible on protected column "public.users.email"

-- PostgreSQL 17
MERGE INTO users u USING items i ON i.id = u.id WHEN MATCHED THEN UPDATE SET nick = {nick:'planted-m'} RETURNING merge_action(), u.id, u.nick
--> same
