-- # INSERT
-- Values are sealed on their way; what the server would have to compute cannot be stored.

-- ## VALUES

INSERT INTO users (email) VALUES ({email:'planted-new@x'})
--> same

INSERT INTO users (email, name, ssn, born, plain, nick) VALUES ({email:'planted-new@x'}, {name:'New'}, {ssn:'planted-120'}, {born:'2001-02-03'}, {n:9}, {nick:'planted-new'})
--> same

INSERT INTO users VALUES ({id:50}, {email:'planted-new@x'}, {name:'New'}, {ssn:'planted-120'}, {born:'2001-02-03'}, {n:9}, {nick:'planted-new'})
--> same

INSERT INTO users VALUES ({id:50}, {email:'planted-new@x'})
--> same

INSERT INTO users VALUES (DEFAULT, {email:'planted-new@x'}, DEFAULT, DEFAULT, DEFAULT, DEFAULT, DEFAULT)
--> same

INSERT INTO users (email, nick) VALUES ({email:'planted-n1@x'}, {nick:'planted-n'}), ({email2:'planted-n2@x'}, NULL), ('planted-n3@x', DEFAULT)
--> same

INSERT INTO users (nick, plain, email) VALUES ({nick:'planted-n'}, {n:1}, {email:'planted-new@x'}) RETURNING id, email, nick
--> same

INSERT INTO users (email, ssn) VALUES ({email:'planted-new@x'}, {ssn:NULL})
--> same

INSERT INTO users (email, ssn) VALUES ({email:'planted-ünï2@x'}, {ssn:''})
--> same

INSERT INTO users AS u (email) VALUES ({email:'planted-new@x'}) RETURNING u.*
--> same

INSERT INTO public.users ("email", "born") VALUES ({email:'planted-new@x'}, {born:'4713-01-01 BC'})
--> same

INSERT INTO orders (contact, total) VALUES ({contact:'planted-c@x'}, {total:12.345}) RETURNING id, contact, total
--> same

INSERT INTO orders (contact, total) VALUES ({contact:'planted-c@x'}, {n:12})
--> same

INSERT INTO orders (total, user_id) VALUES ({total:1e3}, {id:1})
--> same

INSERT INTO orders DEFAULT VALUES RETURNING *
--> same

INSERT INTO users (email, born) VALUES ({email:'planted-new@x'}::text, {born:'2001-02-03'}::date)
--> same

INSERT INTO users (email, born) VALUES (CAST({email:'planted-new@x'} AS varchar(50)), date '2001-02-03')
--> same

INSERT INTO users (email, ssn) VALUES ({email:'planted-new@x'}, {ssn:'planted-12345'}::varchar(11))
--> same

INSERT INTO users (id, email) OVERRIDING SYSTEM VALUE VALUES ({id:60}, {email:'planted-new@x'})
--> same

INSERT INTO users (email, nick) VALUES (({email:'planted-new@x'}), {email})
--> same

INSERT INTO users (email, name) VALUES ({email:'planted-new@x'}, upper({name:'new'}))
--> same

INSERT INTO users (email, plain) VALUES ({email:'planted-new@x'}, (SELECT count(*) FROM items)::int)
--> same

INSERT INTO users (email) VALUES (lower({email:'planted-NEW@x'}))
--> refused: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.email"

INSERT INTO users (email) VALUES ({email:'planted-'} || 'more')
--> refused: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.email"

INSERT INTO users (email) VALUES ((SELECT contact FROM orders WHERE id = {n:11}))
--> refused: copying into "public.users.email" is not possible on protected column "public.orders.contact"

INSERT INTO users (email, nick) VALUES ({email:'planted-new@x'}, coalesce({nick:NULL}, 'planted-d'))
--> same

INSERT INTO users (email, nick) VALUES ({email:'planted-new@x'}, CASE WHEN {flag:true} THEN 'planted-a' ELSE 'planted-b' END)
--> same

INSERT INTO users (email, born) VALUES ({email:'planted-new@x'}, current_date)
--> refused: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.born"

INSERT INTO users (email, born) VALUES ({email:'planted-new@x'}, now())
--> refused: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.born"

-- ## What a plain column would not take

INSERT INTO users (email) VALUES ({email:'planted-ann@x'})
--> error 23505

INSERT INTO users (email) VALUES ({email:NULL})
--> error 23502

INSERT INTO users (name) VALUES ({name:'no email'})
--> error 23502

INSERT INTO users (email, ssn) VALUES ({email:'planted-new@x'}, {ssn:'planted-much-too-long'})
--> error 22001

INSERT INTO users (email, born) VALUES ('planted-new@x', 'no date')
--> error 22007

INSERT INTO users (email, born) VALUES ('planted-new@x', '2001-02-30')
--> error 22008

INSERT INTO orders (total) VALUES ({total:123456789.00})
--> error 22003

INSERT INTO orders (total) VALUES ('ten')
--> error 22P02

INSERT INTO users (email) VALUES ({email:'planted-n1@x'}), ({email})
--> error 23505

INSERT INTO users (email, nosuch) VALUES ({email:'planted-new@x'}, 1)
--> error 42703

INSERT INTO users (email) VALUES ({email:'planted-new@x'}, 'planted-b')
--> refused: INSERT has more expressions than target columns

INSERT INTO users (email, plain) VALUES ({email:'planted-new@x'}, 1 / 0)
--> error 22012

INSERT INTO users (email, email) VALUES ({email:'planted-new@x'}, 'planted-b')
--> error 42701

INSERT INTO orders (user_id, contact) VALUES ({id:4711}, {contact:'planted-c@x'})
--> error 23503

-- ## ON CONFLICT

INSERT INTO users (email, name) VALUES ({email:'planted-ann@x'}, {name:'again'}) ON CONFLICT DO NOTHING
--> same

INSERT INTO users (email, name) VALUES ({email:'planted-ann@x'}, {name:'again'}) ON CONFLICT (email) DO NOTHING
--> same

INSERT INTO users (email, name) VALUES ({email:'planted-ann@x'}, {name:'again'}) ON CONFLICT (email) DO UPDATE SET name = EXCLUDED.name RETURNING id, email, name
--> same

INSERT INTO users (email, nick) VALUES ({email:'planted-ann@x'}, {nick:'planted-n'}) ON CONFLICT (email) DO UPDATE SET nick = EXCLUDED.nick
--> same

INSERT INTO users (email, nick) VALUES ({email:'planted-ann@x'}, {nick:'planted-n'}) ON CONFLICT (email) DO UPDATE SET email = EXCLUDED.email, nick = EXCLUDED.nick, born = EXCLUDED.born
--> same

INSERT INTO users (email) VALUES ({email:'planted-ann@x'}) ON CONFLICT (email) DO UPDATE SET nick = {nick:'planted-set'}, plain = users.plain + 1
--> same

INSERT INTO users AS u (email) VALUES ({email:'planted-ann@x'}) ON CONFLICT (email) DO UPDATE SET nick = u.nick, email = u.email
--> same

INSERT INTO users (email, nick) VALUES ({email:'planted-ann@x'}, {nick:'planted-n'}) ON CONFLICT (email) DO UPDATE SET nick = EXCLUDED.email
--> refused: copying into "public.users.nick" is not possible on protected column "public.users.email"

INSERT INTO users (email, nick) VALUES ({email:'planted-ann@x'}, {nick:'planted-n'}) ON CONFLICT (email) DO UPDATE SET nick = coalesce(EXCLUDED.nick, users.nick)
--> same

INSERT INTO users (email, ssn) VALUES ({email:'planted-ann@x'}, {ssn:'planted-9'}) ON CONFLICT (email) DO UPDATE SET ssn = coalesce(EXCLUDED.ssn, users.ssn)
--> same

INSERT INTO users (email, nick) VALUES ({email:'planted-ann@x'}, {nick:'planted-n'}) ON CONFLICT (email) DO UPDATE SET (nick, plain) = (EXCLUDED.nick, 7)
--> same

INSERT INTO users (email, nick) VALUES ({email:'planted-ann@x'}, {nick:'planted-n'}) ON CONFLICT (email) DO UPDATE SET (nick, plain) = ROW (EXCLUDED.nick, 7)
--> same

INSERT INTO users (email) VALUES ({email:'planted-ann@x'}) ON CONFLICT (email) DO UPDATE SET plain = 77 WHERE users.nick = {nick:'planted-ann'}
--> same

INSERT INTO users (email) VALUES ({email:'planted-ann@x'}) ON CONFLICT (email) DO UPDATE SET plain = 77 WHERE users.nick <> EXCLUDED.nick
--> same

INSERT INTO users (email) VALUES ({email:'planted-ann@x'}) ON CONFLICT (email) DO UPDATE SET plain = 77 WHERE users.email = EXCLUDED.email
--> same

INSERT INTO users (email) VALUES ({email:'planted-ann@x'}) ON CONFLICT (email) DO UPDATE SET nick = DEFAULT, born = NULL
--> same

INSERT INTO users (email) VALUES ({email:'planted-ann@x'}) ON CONFLICT (email) DO UPDATE SET nick = lower(EXCLUDED.nick)
--> refused: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.nick"

INSERT INTO users (id, email) VALUES ({id:1}, {email:'planted-new@x'}) ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email
--> same

INSERT INTO users (id, email) VALUES ({id:1}, {email:'planted-bob@x'}) ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email
--> error 23505

INSERT INTO users (id, email) VALUES ({id:1}, {email:'planted-bob@x'}) ON CONFLICT (id) DO NOTHING
--> same

INSERT INTO users (email) VALUES ({email:'planted-ann@x'}), ('planted-n2@x') ON CONFLICT (email) DO UPDATE SET plain = 5 RETURNING email, plain
--> same

INSERT INTO users (email) VALUES ({email:'planted-n1@x'}), ({email}) ON CONFLICT (email) DO UPDATE SET plain = 5
--> error 21000

INSERT INTO users (email) VALUES ({email:'planted-ann@x'}) ON CONFLICT ON CONSTRAINT users_pkey DO NOTHING
--> error 23505

INSERT INTO users (email) VALUES ({email:'planted-ann@x'}) ON CONFLICT ON CONSTRAINT users_email_key DO NOTHING
--> same

INSERT INTO users (email, nick) VALUES ({email:'planted-ann@x'}, {nick:'planted-n'}) ON CONFLICT (nick) DO NOTHING
--> error 42P10

INSERT INTO users (email) VALUES ({email:'planted-ann@x'}) ON CONFLICT (lower(email)) DO NOTHING
--> refused: function lower() is not possible on protected column "public.users.email"

INSERT INTO contacts (email, label) VALUES ({text:'plain-ann@x'}, {label:'z'}) ON CONFLICT (email) DO UPDATE SET label = EXCLUDED.label
--> same

-- ## INSERT ... SELECT

INSERT INTO users (email) SELECT {email:'planted-new@x'}
--> same

INSERT INTO users (email, name) SELECT {email:'planted-new@x'}, {name:'New'}
--> same

INSERT INTO users (email, name) SELECT {email:'planted-new@x'}, {name:'New'} WHERE NOT EXISTS (SELECT 1 FROM users WHERE email = {email})
--> same

INSERT INTO users (email, name) SELECT {email:'planted-ann@x'}, {name:'New'} WHERE NOT EXISTS (SELECT 1 FROM users WHERE email = {email2:'planted-ann@x'})
--> same

INSERT INTO users (email, plain) SELECT {email:'planted-new@x'}::text, {n:4}::int FROM items WHERE id = 1
--> same

INSERT INTO users (email, name) SELECT v.e, v.n FROM (VALUES ({email:'planted-n1@x'}, {name:'a'}), ({email2:'planted-n2@x'}, 'b')) AS v (e, n)
--> same

INSERT INTO users (email, name) SELECT * FROM (VALUES ({email:'planted-n1@x'}, {name:'a'}), ({email2:'planted-n2@x'}, 'b')) AS v
--> same

INSERT INTO users (email, name) SELECT p0::text, p1::text FROM (VALUES ({email:'planted-n1@x'}::text, {name:'a'}::text, 0), ({email2:'planted-n2@x'}, 'b', 1)) AS s (p0, p1, o) ORDER BY o RETURNING id, email
--> same

INSERT INTO users (email, name) SELECT * FROM unnest({emails:'{planted-n1@x,planted-n2@x}'}::text[], {texts:'{a,b}'}::text[])
--> same

INSERT INTO users (email) SELECT unnest({emails:'{planted-n1@x,planted-n2@x}'}::text[])
--> refused: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.users.email"

INSERT INTO users (email, born) SELECT * FROM unnest({emails:'{planted-n1@x,planted-n2@x}'}::text[], {borns:'{2001-01-01,NULL}'}::date[]) RETURNING email, born
--> same

INSERT INTO users (email, plain) SELECT e, o FROM unnest({emails:'{planted-n1@x,planted-n2@x}'}::text[]) WITH ORDINALITY AS u (e, o)
--> same

INSERT INTO users (id, email, nick) SELECT id + 1000, contact, contact FROM orders WHERE id = {n:11}
--> refused: copying into "public.users.email" is not possible on protected column "public.orders.contact"

INSERT INTO orders (contact, note) SELECT email, name FROM users WHERE id = {id:3}
--> refused: copying into "public.orders.contact" is not possible on protected column "public.users.email"

INSERT INTO orders (contact) SELECT contact FROM orders WHERE contact = {contact:'planted-ann@x'}
--> same

INSERT INTO orders (user_id, contact, note, total) SELECT user_id, contact, note, total FROM orders WHERE id < {n:4}
--> same

INSERT INTO orders (total) SELECT total FROM orders WHERE total = {total:10.5}
--> same

INSERT INTO orders (contact) SELECT nick FROM users
--> refused: copying into "public.orders.contact" is not possible on protected column "public.users.nick"

INSERT INTO contacts (email, label) SELECT email, name FROM users
--> refused: INSERT ... SELECT into an unprotected column is not possible on protected column "public.users.email"

INSERT INTO contacts (label) SELECT email FROM users WHERE id = {id:1}
--> refused: INSERT ... SELECT into an unprotected column is not possible on protected column "public.users.email"

INSERT INTO contacts (label) SELECT name FROM users WHERE email = {email:'planted-bob@x'} RETURNING id, label
--> same

INSERT INTO logs (message, level) SELECT name, plain FROM users WHERE email IN ({email:'planted-ann@x'}, 'planted-bob@x')
--> same

INSERT INTO logs (level) SELECT count(*) FROM users WHERE nick = {nick:'planted-bob'}
--> same

INSERT INTO orders (contact, note) SELECT email, label FROM contacts WHERE id = {n:1}
--> refused: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.orders.contact"

INSERT INTO orders (contact) SELECT upper(contact) FROM orders WHERE id = 1
--> refused: function upper() is not possible on protected column "public.orders.contact"

INSERT INTO orders (note) SELECT contact FROM orders WHERE id = 1
--> refused: INSERT ... SELECT into an unprotected column is not possible on protected column "public.orders.contact"

INSERT INTO orders (contact) SELECT DISTINCT nick FROM users WHERE nick = {nick:'planted-bob'}
--> refused: copying into "public.orders.contact" is not possible on protected column "public.users.nick"

INSERT INTO orders (contact) SELECT contact FROM orders WHERE id = 1 UNION ALL SELECT contact FROM orders WHERE id = 4
--> same

INSERT INTO orders (contact) (VALUES ({contact:'planted-c@x'}))
--> same

INSERT INTO orders (contact) TABLE contacts
--> refused: INSERT has more expressions than target columns

WITH v (e) AS (VALUES ({email:'planted-n1@x'})) INSERT INTO users (email) SELECT e FROM v
--> same

WITH v AS (SELECT email FROM users WHERE id = {id:3}) INSERT INTO orders (contact) SELECT email FROM v
--> refused: copying into "public.orders.contact" is not possible on protected column "public.users.email"

INSERT INTO users (email, nick) SELECT {email:'planted-new@x'}, nick FROM users WHERE id = {id:3}
--> same

INSERT INTO users (email) SELECT {email:'planted-ann@x'} ON CONFLICT (email) DO UPDATE SET plain = 9
--> same

INSERT INTO items (id, name) SELECT id + 100, name FROM users WHERE born = {born:'1990-02-03'}
--> same

-- ## Into plain tables with columns of the same name

INSERT INTO contacts (email) VALUES ({text:'plain-new@x'}) RETURNING *
--> same

INSERT INTO other.users (id, email) VALUES ({n:9}, {text:'other-new@x'})
--> same

INSERT INTO items VALUES ({n:20}, {name:'washer'}, {price:0.5})
--> same

INSERT INTO contacts (email) VALUES ((SELECT email FROM users WHERE id = 1))
--> refused: a subquery's value in an expression is not possible on protected column "public.users.email"

INSERT INTO logs (message) VALUES ({text:'said'}), (DEFAULT) RETURNING id, message
--> same
