-- # How a statement is written
-- Names and literals are understood in every spelling that PostgreSQL knows.

-- ## Identifiers

SELECT "email" FROM "users" WHERE "email" = {email:'planted-ann@x'}
--> same

SELECT EMAIL, Users.Nick FROM USERS WHERE eMaIl = {email:'planted-ann@x'}
--> same

SELECT "Email" FROM users
--> error 42703

SELECT U&"\0065mail" FROM U&"\0075sers" WHERE U&"\0065mail" = {email:'planted-ann@x'}
--> refused: this spelling of a column name is not supported in a statement that touches a protected table

SELECT U&"!0065mail" UESCAPE '!' FROM users WHERE id = {id:1}
--> same

SELECT public.users.email FROM public.users
--> same

SELECT "public"."users"."email" FROM "public"."users" AS "users2"
--> error 42P01

SELECT u.email FROM public.users u WHERE u.email = {email:'planted-ann@x'}
--> same

SELECT email FROM other.users
--> same

SELECT o.email, u.email FROM other.users o JOIN public.users u ON u.id = o.id
--> same

SELECT upper(email) FROM other.users WHERE email LIKE {text:'other-%'}
--> same

SELECT email FROM pg_temp.users
--> error 42P01

SELECT nosuch FROM users
--> error 42703

SELECT email FROM nosuch
--> error 42P01

SELECT users.email FROM users u
--> error 42P01

SELECT email FROM users, contacts
--> refused: the name "email", which may mean a protected column or not, is not supported in a statement that touches a protected table

SELECT users.email, contacts.email FROM users, contacts WHERE users.id = contacts.id
--> same

-- ## Comments and white space

SELECT/**/email/* x */FROM/* /* nested */ */users/**/WHERE/**/email/**/=/**/{email:'planted-ann@x'}
--> same

SELECT email -- a comment: of the statement
FROM users -- 'email'
WHERE email = {email:'planted-ann@x'} -- the end
--> same

-- ;; SELECT 1
SELECT email FROM users WHERE id = {id:1}
--> same

/* SELECT 1 */ SELECT id FROM users WHERE (((email))) = ((({email:'planted-ann@x'})))
--> same

SELECT id FROM users WHERE email={email:'planted-ann@x'}AND plain={n:1}
--> refused: protected column "public.users.email" can only be compared with a parameter, a literal or a searchable column of the same index domain
--> literal same

SELECT id FROM users WHERE email ='planted-ann@x'OR nick= 'planted-bob'ORDER BY id
--> same

SELECT id,email FROM users WHERE email	=
	{email:'planted-ann@x'}
--> same

-- ## Literals

SELECT id FROM users WHERE email = E'planted-ann@x'
--> same

SELECT id FROM users WHERE email = E'planted-\x61nn\u0040x'
--> same

SELECT id FROM users WHERE email = E'planted-back\\slash@x'
--> same

SELECT id FROM users WHERE email = 'planted-back\slash@x'
--> same

SELECT id FROM users WHERE email = 'planted-o''neil@x'
--> same

SELECT id FROM users WHERE email = E'planted-o\'neil@x'
--> same

SELECT id FROM users WHERE email = $$planted-ann@x$$
--> same

SELECT id FROM users WHERE email = $q$planted-o'neil@x$q$
--> same

SELECT id FROM users WHERE email = U&'planted-\0061nn@x'
--> same

SELECT id FROM users WHERE email = U&'planted-!0061nn@x' UESCAPE '!'
--> same

SELECT id FROM users WHERE email = U&'planted-\+01F600@x'
--> same

SELECT id FROM users WHERE email = 'planted-'
    'ann@x'
--> same

INSERT INTO users (email, nick) VALUES ('planted-'
    'new@x', E'planted-\n\t\\' 
    'more')
--> same

INSERT INTO users (email, nick) VALUES ($a$planted-$b$new@x$a$, U&'planted-\00fc')
--> same

INSERT INTO users (email, nick) VALUES (N'planted-new@x', 'planted-NULL')
--> same

SELECT id FROM users WHERE email = text 'planted-ann@x'
--> same

SELECT id FROM users WHERE email = varchar 'planted-ann@x'
--> same

SELECT id FROM users WHERE born = date '1990-02-03'
--> same

SELECT id FROM users WHERE born = 'February 3, 1990'
--> same

SELECT id FROM users WHERE born = '19900203'
--> same

SELECT id FROM users WHERE born = '3 Feb 1990'
--> same

INSERT INTO users (email, born) VALUES ('planted-new@x', 'infinity')
--> same

INSERT INTO users (email, born) VALUES ('planted-new@x', 'today')
--> refused: a date or time that the server's clock gives cannot be sealed

INSERT INTO orders (total) VALUES (.5), (1_000), (5.), (0x10), (-3), (+4), ('NaN'), ('  7.5 ')
--> refused: only a parameter, a literal, NULL or DEFAULT can be stored in protected column "public.orders.total"

SELECT id FROM orders WHERE total = 10.50 OR total = 1e1 OR total = '7.770'
--> same

SELECT id FROM users WHERE nick = B'101'
--> error 42883

SELECT id FROM users WHERE email = 5
--> error 42883

SELECT id FROM users WHERE email = true
--> error 42883

-- ## Casts

SELECT id FROM users WHERE email = {email:'planted-ann@x'}::text
--> same

SELECT id FROM users WHERE email = {email:'planted-ann@x'}::varchar
--> same

SELECT id FROM users WHERE email = {email:'planted-ann@x'}::varchar(11)
--> same

SELECT id FROM users WHERE email = CAST({email:'planted-ann@x'} AS text)
--> same

SELECT id FROM users WHERE email = CAST(CAST({email:'planted-ann@x'} AS varchar(100)) AS text)
--> refused: protected column "public.users.email" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT id FROM users WHERE email = ({email:'planted-ann@x'})::pg_catalog.text
--> same

SELECT id FROM users WHERE email = {email:'planted-ann@x'}::character varying(200)
--> same

SELECT id FROM users WHERE email = {email:'planted-ann@x'}::name
--> same

SELECT id FROM users WHERE email = {email:'planted-ann@x'}::char(20)
--> same

SELECT id FROM users WHERE email::text = {email:'planted-ann@x'}
--> same

SELECT id FROM users WHERE email::varchar = {email:'planted-ann@x'}
--> same

SELECT id FROM users WHERE CAST(email AS text) = {email:'planted-ann@x'}
--> same

SELECT id FROM users WHERE born = {born:'1990-02-03'}::date
--> same

SELECT id FROM users WHERE born = {born:'1990-02-03'}::timestamp
--> refused: protected column "public.users.born" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT id FROM users WHERE born::text = {text:'1990-02-03'}
--> refused: a cast is not possible on protected column "public.users.born"

SELECT id FROM orders WHERE total = {total:10.5}::numeric
--> same

SELECT id FROM orders WHERE total = {total:10.5}::numeric(10,1)
--> same

SELECT id FROM orders WHERE total = {n:10}::int
--> same

SELECT id FROM orders WHERE total = {n:10}::bigint
--> same

SELECT id FROM orders WHERE total = {total:10.5}::float8
--> refused: protected column "public.orders.total" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT id FROM orders WHERE total::int = {n:10}
--> refused: a cast is not possible on protected column "public.orders.total"

SELECT id FROM users WHERE email = {email:'planted-ann@x'} COLLATE "C"
--> refused: COLLATE is not possible on protected column "public.users.email"

SELECT id FROM users WHERE email COLLATE "C" = {email:'planted-ann@x'}
--> refused: COLLATE is not possible on protected column "public.users.email"

-- ## Several statements in one string

SELECT 1; SELECT email FROM users WHERE email = 'planted-ann@x'; SELECT 3
--> refused: cannot insert multiple commands into a prepared statement
--> simple same

BEGIN; UPDATE users SET nick = 'planted-n' WHERE id = 1; COMMIT
--> refused: cannot insert multiple commands into a prepared statement
--> simple same

INSERT INTO items VALUES (50, 'a', 1); SELECT upper(email) FROM users; INSERT INTO items VALUES (51, 'b', 1)
--> refused: cannot insert multiple commands into a prepared statement
--> simple refused: function upper() is not possible on protected column "public.users.email"

SELECT 1; SELECT 1/0; INSERT INTO users (email) VALUES ('planted-new@x')
--> refused: cannot insert multiple commands into a prepared statement
--> simple same

INSERT INTO users (email) VALUES ('planted-new@x'); INSERT INTO users (email) VALUES ('planted-new@x')
--> refused: cannot insert multiple commands into a prepared statement
--> simple same

SELECT email FROM users;;; SELECT 2
--> refused: cannot insert multiple commands into a prepared statement
--> simple same

-- ## Not SQL

SELEC email FROM users
--> refused: syntax error, and the text mentions a protected table

SELECT email FROM users WHERE email = 'planted-ann@x
--> refused: the statement cannot be parsed, and the text mentions a protected table

SELECT * FROM users WHERE
--> refused: syntax error, and the text mentions a protected table

SELECT FROM WHERE items
--> error 42601

-- ## Search path and shadowing

SET search_path = other, public;
SELECT email FROM users;
SELECT email FROM public.users WHERE email = {email:'planted-ann@x'}
--> same

SET search_path = other, public;
INSERT INTO users (id, email) VALUES ({n:7}, {text:'other-new@x'})
--> same

SET search_path = other;
SELECT id FROM public.users WHERE email = {email:'planted-ann@x'}
--> same

BEGIN;
SET LOCAL search_path = other;
SELECT email FROM users;
ROLLBACK;
SELECT email FROM users
--> same

SELECT set_config('search_path', 'other, public', false);
SELECT email FROM users
--> same

SET search_path = nosuch;
SELECT email FROM users
--> error 42P01

SET search_path = '';
SELECT email FROM users
--> error 42P01

SET search_path = '';
SELECT email FROM public.users WHERE email = {email:'planted-ann@x'}
--> same

CREATE TEMP TABLE users (id int, email text);
INSERT INTO users VALUES (1, 'temporary');
SELECT email FROM users;
SELECT email FROM public.users WHERE email = {email:'planted-ann@x'};
DROP TABLE users
--> refused: CREATE TEMPORARY TABLE under its name is not supported on protected table "users"

WITH users AS (SELECT id, name AS email FROM items) SELECT email FROM users WHERE email LIKE 'n%'
--> same

WITH users AS (SELECT * FROM users) SELECT email FROM users WHERE email = {email:'planted-ann@x'}
--> same

SELECT users.email FROM contacts AS users WHERE users.email LIKE {text:'plain-%'}
--> same

WITH x AS (SELECT * FROM contacts) SELECT email || '!' FROM x
--> same

-- ## Settings

SET standard_conforming_strings = off;
SELECT id FROM users WHERE email = 'planted-ann@x'
--> same

SET standard_conforming_strings = off;
SELECT id FROM users WHERE email = 'planted-back\\slash@x'
--> refused: backslashes with standard_conforming_strings off, and the text mentions a protected table

SET DateStyle = 'German, DMY';
SELECT born FROM users;
SELECT id FROM users WHERE born = '03.02.1990'
--> same

SET DateStyle = 'ISO, DMY';
INSERT INTO users (email, born) VALUES ('planted-new@x', '04/03/2001')
--> same

SET bytea_output = 'escape';
SELECT * FROM users
--> same

SET client_encoding = 'LATIN1';
SELECT name FROM users WHERE id = 6
--> same

SET client_encoding = 'LATIN1';
SELECT email FROM users WHERE id = 1
--> same

SET client_encoding = 'LATIN1';
INSERT INTO items VALUES (60, 'x', 1)
--> same

SET extra_float_digits = 0;
SELECT total FROM orders
--> same

SET transform_null_equals = on;
SELECT id FROM users WHERE nick = NULL
--> same

SET ROLE NONE;
SELECT email FROM users WHERE id = 1
--> same
