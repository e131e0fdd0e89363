PREPARE p AS SELECT * FROM users WHERE email = $1
--> text: PREPARE p (pg_catalog.bytea) AS SELECT * FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) $1
--> prepares p: $1=client 1 term email
--> its outputs: -, public.users.email, -, public.users.ssn

PREPARE p (text) AS SELECT id FROM users WHERE email = $1
--> text: PREPARE p (pg_catalog.bytea) AS SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) $1
--> prepares p: $1=client 1 term email
--> its outputs: -

PREPARE "p p" (int, varchar(10)) AS SELECT id FROM users WHERE id = $1 AND email = $2
--> text: PREPARE "p p" (int, pg_catalog.bytea) AS SELECT id FROM users WHERE id = $1 AND pgcrypt.eq(email) OPERATOR(pg_catalog.=) $2
--> prepares p p: $1=client 1 pass; $2=client 2 term email
--> its outputs: -

PREPARE p (int) AS SELECT id FROM users WHERE id = $1 AND email = $2
--> text: PREPARE p (int, pg_catalog.bytea) AS SELECT id FROM users WHERE id = $1 AND pgcrypt.eq(email) OPERATOR(pg_catalog.=) $2
--> prepares p: $1=client 1 pass; $2=client 2 term email
--> its outputs: -

PREPARE p AS SELECT id FROM users WHERE id = $1 AND email = $2
--> text: PREPARE p (pg_catalog.unknown, pg_catalog.bytea) AS SELECT id FROM users WHERE id = $1 AND pgcrypt.eq(email) OPERATOR(pg_catalog.=) $2
--> prepares p: $1=client 1 pass; $2=client 2 term email
--> its outputs: -

PREPARE p (text, numeric(10, 2)) AS SELECT id FROM users WHERE email = $1 OR name = $1 OR id = $2
--> text: PREPARE p (text, numeric(10, 2), pg_catalog.bytea) AS SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) $3 OR name = $1 OR id = $2
--> prepares p: $1=client 1 pass; $2=client 2 pass; $3=client 1 term email
--> its outputs: -

PREPARE p (text, text) AS SELECT id FROM users WHERE email = $1 OR name = $1
--> text: PREPARE p (text, pg_catalog.bytea) AS SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) $2 OR name = $1
--> prepares p: $1=client 1 pass; $2=client 1 term email
--> its outputs: -

PREPARE p (int) AS SELECT email FROM users WHERE id = $1
--> untouched

PREPARE p (text[]) AS SELECT id FROM users WHERE email = ANY ($1)
--> text: PREPARE p (pg_catalog.bytea[]) AS SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) ANY ($1)
--> prepares p: $1=client 1 term_array email
--> its outputs: -

PREPARE p AS INSERT INTO users (email, name) VALUES ('alpha@x', $1); SELECT 1
--> text: PREPARE p AS INSERT INTO users (email, name) VALUES (<seal email 'alpha@x'>, $1); SELECT 1
--> prepares p: $1=client 1 pass

SELECT 1; /* é */ PREPARE p AS SELECT email || 'x' FROM users
--> refused 0A000 at 39: operator || is not possible on protected column "public.users.email"
--> text: SELECT 1; /* é */  SELECT pg_catalog.pgcrypt_proxy_refused()

PREPARE p (date) AS SELECT id FROM users WHERE email = $1
--> refused 42883 at None: operator does not exist: text = date

PREPARE p (citext) AS SELECT id FROM users WHERE email = $1
--> refused 0A000 at None: parameter $1 is for protected column "public.users.email" and is declared with a type that is not supported

PREPARE p (date) AS INSERT INTO users (email) VALUES ($1)
--> text: PREPARE p (pg_catalog.bytea) AS INSERT INTO users (email) VALUES ($1)
--> prepares p: $1=client 1 seal email

PREPARE p (text) AS INSERT INTO people (born) VALUES ($1)
--> refused 42804 at None: column "born" is of type date but expression is of type text

PREPARE p (nosuch.type, setof_int) AS SELECT name FROM items WHERE id = $1
--> untouched

EXECUTE p ('alpha@x', 1 + 1)
--> untouched

EXPLAIN EXECUTE p ('alpha@x')
--> untouched

CREATE TABLE users AS EXECUTE p
--> refused 0A000 at None: CREATE TABLE AS is not supported on protected table "users"

CREATE TABLE fresh AS EXECUTE p (ARRAY['alpha@x'])
--> untouched

PREPARE U&"\0070" UESCAPE '!' AS SELECT email FROM users
--> untouched
