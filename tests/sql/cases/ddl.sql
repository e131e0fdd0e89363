CREATE TABLE public.future (id int PRIMARY KEY, email varchar(254) NOT NULL UNIQUE, nick character varying(10) COLLATE "C" DEFAULT 'ada' NULL, note text)
--> text: DO $pgcrypt0$BEGIN CREATE TABLE public.future (id int PRIMARY KEY, email pgcrypt.sealed_20 NOT NULL  , nick pgcrypt.sealed_21   DEFAULT <seal nick 'ada'> NULL, note text)\n; CREATE UNIQUE INDEX "future_email_key" ON "public"."future" (pgcrypt.eq("email")) WITH (deduplicate_items = on); END$pgcrypt0$
--> tag: CREATE TABLE

-- a comment at the end must not swallow what is put behind
CREATE TABLE IF NOT EXISTS public.future (
    id int, email varchar(254) CONSTRAINT one_mail UNIQUE, CONSTRAINT two UNIQUE NULLS NOT DISTINCT (id, email)
) -- made
--> text: -- a comment at the end must not swallow what is put behind\nDO $pgcrypt0$BEGIN CREATE TABLE IF NOT EXISTS public.future (\n    id int, email pgcrypt.sealed_20  \n)\n; CREATE UNIQUE INDEX IF NOT EXISTS "one_mail" ON "public"."future" (pgcrypt.eq("email")) WITH (deduplicate_items = on); CREATE UNIQUE INDEX IF NOT EXISTS "two" ON "public"."future" ("id", pgcrypt.eq("email")) NULLS NOT DISTINCT WITH (deduplicate_items = on); END$pgcrypt0$ -- made
--> tag: CREATE TABLE

CREATE TABLE public.future (UNIQUE (email), email varchar(254), CHECK (id > 0), id int, PRIMARY KEY (id, email))
--> text: DO $pgcrypt0$BEGIN CREATE TABLE public.future (email pgcrypt.sealed_20, CHECK (id > 0), id int)\n; CREATE UNIQUE INDEX "future_email_key" ON "public"."future" (pgcrypt.eq("email")) WITH (deduplicate_items = on); ALTER TABLE "public"."future" ALTER COLUMN "id" SET NOT NULL; ALTER TABLE "public"."future" ALTER COLUMN "email" SET NOT NULL; CREATE UNIQUE INDEX "future_pkey" ON "public"."future" ("id", pgcrypt.eq("email")) WITH (deduplicate_items = on, fillfactor = 90); END$pgcrypt0$
--> tag: CREATE TABLE

CREATE TABLE public.future (email varchar(254) STORAGE EXTENDED NOT NULL)
--> text: CREATE TABLE public.future (email pgcrypt.sealed_20 STORAGE EXTENDED NOT NULL)

CREATE TABLE public.future (id int, code text)
--> untouched

CREATE TABLE future (email varchar(254))
--> needs names +public

CREATE TABLE elsewhere.future (email varchar(254) UNIQUE CHECK (email LIKE '%@%'))
--> untouched

CREATE TEMP TABLE future (email varchar(254))
--> refused 0A000 at 19: CREATE TEMPORARY TABLE under its name is not supported on protected table "future"

CREATE TABLE public.future (email text)
--> refused 0A000 at 35: the rules say that protected column "public.future.email" is character varying(254), the statement says otherwise

CREATE TABLE public.future (email varchar(300))
--> refused 0A000 at 35: the rules say that protected column "public.future.email" is character varying(254), the statement says otherwise

CREATE TABLE public.future (email varchar(254)[])
--> refused 0A000 at 35: the rules say that protected column "public.future.email" is character varying(254), the statement says otherwise

CREATE TABLE public.future (email citext)
--> refused 0A000 at 35: the rules say that protected column "public.future.email" is character varying(254), the statement says otherwise

CREATE TABLE public.future (email)
--> refused 42601 at None: syntax error, and the text mentions a protected table

CREATE TABLE public.future (nick varchar(20) UNIQUE)
--> refused 0A000 at 46: protected column "public.future.nick" is not searchable

CREATE TABLE public.future (email varchar(254) CHECK (email <> ''))
--> refused 0A000 at 48: CHECK is not possible on protected column "public.future.email"

CREATE TABLE public.future (email varchar(254), CONSTRAINT c CHECK (length(email) > 3))
--> refused 0A000 at None: an expression in DDL is not possible on protected column "public.future.email"

CREATE TABLE public.future (email varchar(254), size int GENERATED ALWAYS AS (length(email)) STORED)
--> refused 0A000 at None: an expression in DDL is not possible on protected column "public.future.email"

CREATE TABLE public.future (email varchar(254) REFERENCES users (email))
--> refused 0A000 at 48: REFERENCES is not possible on protected column "public.future.email"

CREATE TABLE public.future (email varchar(254), FOREIGN KEY (email) REFERENCES items (name))
--> refused 0A000 at None: FOREIGN KEY is not possible on protected column "public.future.email"

CREATE TABLE public.future (email varchar(254) DEFAULT lower('X'))
--> refused 0A000 at 48: DEFAULT with an expression is not possible on protected column "public.future.email"

CREATE TABLE public.future (email varchar(254) COLLATE "de-x-icu")
--> refused 0A000 at 29: COLLATE is not possible on protected column "public.future.email"

CREATE TABLE public.future (email varchar(254) COLLATE "C")
--> refused 0A000 at 29: COLLATE is not possible on protected column "public.future.email"

CREATE TABLE public.future (email varchar(254) UNIQUE DEFERRABLE)
--> refused 0A000 at 55: DEFERRABLE is not possible on protected column "public.future.email"

CREATE TABLE public.future (email varchar(254), UNIQUE (email) DEFERRABLE)
--> refused 0A000 at 49: UNIQUE with such options is not possible on protected column "public.future.email"

CREATE TABLE public.future (id int, email varchar(254), UNIQUE (id) INCLUDE (email))
--> refused 0A000 at 57: INCLUDE is not possible on protected column "public.future.email"

CREATE TABLE public.future (id int, email varchar(254), EXCLUDE USING gist (id WITH =))
--> refused 0A000 at 57: EXCLUDE is not supported in a statement that touches a protected table

CREATE TABLE public.future (id int, email varchar(254)) PARTITION BY HASH (email)
--> refused 0A000 at 14: PARTITION BY is not possible on protected column "public.future.email"

CREATE TABLE public.future (id int, email varchar(254)) PARTITION BY RANGE (id)
--> text: CREATE TABLE public.future (id int, email pgcrypt.sealed_20) PARTITION BY RANGE (id)

CREATE TABLE public.future (LIKE items)
--> untouched

CREATE TABLE public.future (LIKE users)
--> refused 0A000 at 34: taking the column from another table is not possible on protected column "public.future.email"

CREATE TABLE public.unready (email text)
--> refused 55000 at 30: column "public.unready.email" is named in the rules and its sealed type is not made yet

CREATE TABLE public.clients (LIKE twin)
--> refused 0A000 at 35: taking the column from another table is not possible on protected column "public.clients.email"

CREATE TABLE kid () INHERITS (users)
--> untouched

CREATE TABLE copied (LIKE users INCLUDING ALL, more int)
--> untouched

CREATE TABLE part PARTITION OF users FOR VALUES IN (1)
--> untouched

CREATE TABLE kid () INHERITS (v_users)
--> refused 0A000 at 31: relation "public.v_users" is made from protected columns, which is not supported

CREATE TABLE visits (id int, user_id int REFERENCES users (id))
--> untouched

CREATE TABLE visits (id int, user_id int REFERENCES users)
--> untouched

CREATE TABLE visits (id int, mail text REFERENCES users (email))
--> refused 0A000 at 51: REFERENCES is not possible on protected column "public.users.email"

ALTER TABLE users ADD COLUMN phone text
--> text: ALTER TABLE users ADD COLUMN phone pgcrypt.sealed_22

ALTER TABLE users ADD COLUMN IF NOT EXISTS phone text DEFAULT '' NOT NULL, ADD x int
--> text: ALTER TABLE users ADD COLUMN IF NOT EXISTS phone pgcrypt.sealed_22 DEFAULT <seal phone ''> NOT NULL, ADD x int

ALTER TABLE users ADD phone text UNIQUE
--> text: DO $pgcrypt0$BEGIN ALTER TABLE users ADD phone pgcrypt.sealed_22  \n; CREATE UNIQUE INDEX "users_phone_key" ON "public"."users" (pgcrypt.eq("phone")) WITH (deduplicate_items = on); END$pgcrypt0$
--> tag: ALTER TABLE

ALTER TABLE users ADD COLUMN phone int
--> refused 0A000 at 36: the rules say that protected column "public.users.phone" is text, the statement says otherwise

ALTER TABLE users ADD COLUMN phone text PRIMARY KEY
--> refused 0A000 at 19: PRIMARY KEY on a new column is not possible on protected column "public.users.phone"

ALTER TABLE users ADD COLUMN more text DEFAULT 'x', ADD COLUMN size int GENERATED ALWAYS AS (length(email)) STORED
--> refused 0A000 at None: an expression in DDL is not possible on protected column "public.users.email"

ALTER TABLE users ADD COLUMN more text DEFAULT 'x', ALTER COLUMN name SET NOT NULL, ALTER email DROP NOT NULL
--> untouched

ALTER TABLE users DROP COLUMN email CASCADE, DROP COLUMN name
--> untouched

ALTER TABLE ONLY public.users ALTER COLUMN email SET DEFAULT 'nobody', ALTER ssn DROP DEFAULT
--> text: ALTER TABLE ONLY public.users ALTER COLUMN email SET DEFAULT <seal email 'nobody'>, ALTER ssn DROP DEFAULT

ALTER TABLE users ALTER COLUMN email SET DEFAULT NULL
--> untouched

ALTER TABLE users ALTER COLUMN email SET DEFAULT current_user
--> refused 0A000 at 19: DEFAULT with an expression is not possible on protected column "public.users.email"

ALTER TABLE users ALTER COLUMN email TYPE text
--> text: ALTER TABLE users ALTER COLUMN email TYPE pgcrypt.sealed_1

ALTER TABLE users ALTER COLUMN email TYPE text USING email::text, ALTER name TYPE varchar(10)
--> text: ALTER TABLE users ALTER COLUMN email TYPE pgcrypt.sealed_1, ALTER name TYPE varchar(10)

ALTER TABLE users ALTER COLUMN email TYPE text USING lower(email)
--> refused 0A000 at 19: ALTER COLUMN TYPE with USING is not possible on protected column "public.users.email"

ALTER TABLE users ALTER COLUMN email TYPE varchar(100)
--> refused 0A000 at 19: the rules say that protected column "public.users.email" is text, the statement says otherwise

ALTER TABLE users ALTER COLUMN name TYPE text USING email
--> refused 0A000 at None: an expression in DDL is not possible on protected column "public.users.email"

ALTER TABLE accounts ALTER alias SET DATA TYPE varchar(15)
--> text: ALTER TABLE accounts ALTER alias SET DATA TYPE pgcrypt.sealed_7

ALTER TABLE users ADD CONSTRAINT one_mail UNIQUE (email)
--> text: CREATE UNIQUE INDEX "one_mail" ON "public"."users" (pgcrypt.eq("email")) WITH (deduplicate_items = on)
--> tag: ALTER TABLE

ALTER TABLE users ADD UNIQUE (id, email)
--> text: CREATE UNIQUE INDEX "users_id_email_key" ON "public"."users" ("id", pgcrypt.eq("email")) WITH (deduplicate_items = on)
--> tag: ALTER TABLE

ALTER TABLE users ADD PRIMARY KEY (email), ADD COLUMN x int
--> text: DO $pgcrypt0$BEGIN ALTER TABLE users ADD COLUMN x int\n; ALTER TABLE "public"."users" ALTER COLUMN "email" SET NOT NULL; CREATE UNIQUE INDEX "users_pkey" ON "public"."users" (pgcrypt.eq("email")) WITH (deduplicate_items = on, fillfactor = 90); END$pgcrypt0$
--> tag: ALTER TABLE

ALTER TABLE users ADD UNIQUE (ssn)
--> refused 0A000 at 19: protected column "public.users.ssn" is not searchable

ALTER TABLE users ADD UNIQUE (name)
--> untouched

ALTER TABLE users ADD CHECK (email <> '')
--> refused 0A000 at None: an expression in DDL is not possible on protected column "public.users.email"

ALTER TABLE users ADD CHECK (users IS NOT NULL)
--> refused 0A000 at None: an expression in DDL is not possible on protected column "public.users.email"

ALTER TABLE users ADD CHECK (id > 0)
--> untouched

ALTER TABLE users ADD FOREIGN KEY (email) REFERENCES items (name)
--> refused 0A000 at None: FOREIGN KEY is not possible on protected column "public.users.email"

ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (user_id) REFERENCES users (id)
--> untouched

ALTER TABLE orders ADD CONSTRAINT f FOREIGN KEY (note) REFERENCES users (email)
--> refused 0A000 at 67: REFERENCES is not possible on protected column "public.users.email"

ALTER TABLE users DROP CONSTRAINT users_email_key, DROP CONSTRAINT f
--> untouched

ALTER TABLE users DROP CONSTRAINT IF EXISTS users_email_key
--> untouched

ALTER TABLE users RENAME CONSTRAINT users_email_key TO one_mail
--> untouched

ALTER TABLE users RENAME CONSTRAINT f TO g
--> untouched

ALTER TABLE users OWNER TO app, ENABLE ROW LEVEL SECURITY
--> untouched

ALTER TABLE users ENABLE TRIGGER ALL
--> refused 0A000 at 19: this form of ALTER TABLE is not supported on protected table "users"

ALTER TABLE late ADD COLUMN x int
--> refused 55000 at 13: column "public.late.email" is named in the rules but is not sealed yet

ALTER TABLE v_users RENAME TO w
--> refused 0A000 at 13: relation "public.v_users" is made from protected columns, which is not supported

ALTER TABLE users RENAME COLUMN email TO mail
--> untouched

ALTER TABLE users RENAME COLUMN name TO full_name
--> untouched

ALTER TABLE users RENAME COLUMN name TO phone
--> refused 0A000 at 13: RENAME or SET SCHEMA without a rule that says the same of the new name is not supported on protected table "public.users.phone"

ALTER TABLE users RENAME COLUMN email TO address
--> refused 0A000 at 13: RENAME or SET SCHEMA without a rule that says the same of the new name is not supported on protected table "public.users.address"

ALTER TABLE users RENAME TO clients
--> untouched

ALTER TABLE users RENAME TO customers
--> refused 0A000 at 13: RENAME or SET SCHEMA without a rule that says the same of the new name is not supported on protected table "public.customers.email"

ALTER TABLE twin RENAME TO clients
--> refused 0A000 at 13: RENAME or SET SCHEMA without a rule that says the same of the new name is not supported on protected table "public.clients.email"

ALTER TABLE items RENAME TO clients
--> untouched

ALTER TABLE users SET SCHEMA other
--> refused 0A000 at 13: RENAME or SET SCHEMA without a rule that says the same of the new name is not supported on protected table "other.users.email"

CREATE INDEX users_email_idx ON users (email)
--> text: CREATE INDEX users_email_idx ON users (pgcrypt.eq("email"))

CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON public.users USING btree (id, email text_ops DESC NULLS LAST) INCLUDE (name) WHERE email IS NOT NULL
--> text: CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON public.users USING btree (id, pgcrypt.eq("email") DESC NULLS LAST) INCLUDE (name) WHERE email IS NOT NULL

CREATE INDEX ON users (email, id)
--> text: CREATE INDEX "users_email_id_idx" ON users (pgcrypt.eq("email"), id)

CREATE INDEX CONCURRENTLY ON accounts USING hash (lower(handle))
--> text: CREATE INDEX CONCURRENTLY "accounts_lower_idx" ON accounts USING hash (pgcrypt.eqci("handle"))

CREATE INDEX ON accounts (lower(alias::text), upper(id::text))
--> text: CREATE INDEX "accounts_lower_upper_idx" ON accounts (pgcrypt.eqci("alias"), upper(id::text))

CREATE INDEX ON users (lower(email))
--> refused 0A000 at 24: an index on lower() is not possible on protected column "public.users.email"

CREATE INDEX ON accounts (upper(handle))
--> refused 0A000 at 27: an index on upper() is not possible on protected column "public.accounts.handle"

CREATE INDEX ON users (name)
--> untouched

CREATE INDEX users_email_like ON users (email varchar_pattern_ops)
--> text: DO 'BEGIN END'
--> tag: CREATE INDEX

CREATE INDEX users_upper_like ON members (upper(mail) varchar_pattern_ops)
--> text: DO 'BEGIN END'
--> tag: CREATE INDEX

CREATE INDEX ON users USING gin (email)
--> refused 0A000 at 17: an index of method gin is not supported on protected table "users"

CREATE INDEX ON users (ssn)
--> refused 0A000 at 24: protected column "public.users.ssn" is not searchable

CREATE INDEX ON users (substr(email, 1, 3))
--> refused 0A000 at 24: an index on an expression is not possible on protected column "public.users.email"

CREATE INDEX ON users (id) INCLUDE (email)
--> refused 0A000 at 17: INCLUDE is not possible on protected column "public.users.email"

CREATE INDEX ON users (id) WHERE email = 'ada@x'
--> refused 0A000 at 17: the condition of an index is not possible on protected column "public.users.email"

CREATE INDEX ON users (id) WHERE users IS NOT NULL
--> refused 0A000 at 17: the condition of an index is not possible on protected column "public.users.email"

CREATE INDEX ON users (email COLLATE "C")
--> text: CREATE INDEX "users_email_idx" ON users (pgcrypt.eq("email"))

CREATE INDEX ON late (id)
--> refused 55000 at 17: column "public.late.email" is named in the rules but is not sealed yet

DROP TABLE IF EXISTS users, items CASCADE
--> untouched

DROP TRIGGER t ON users
--> untouched

COMMENT ON COLUMN users.email IS 'mail of users'
--> untouched

COMMENT ON TABLE items IS 'of users'
--> untouched

ALTER SEQUENCE s OWNED BY users.id
--> untouched

CREATE SEQUENCE s OWNED BY users.id
--> untouched

TRUNCATE users
--> untouched

CREATE TABLE public.clients (email text); CREATE INDEX ON public.clients (email)
--> text: CREATE TABLE public.clients (email pgcrypt.sealed_23); CREATE INDEX "clients_email_idx" ON public.clients (pgcrypt.eq("email"))

CREATE TABLE public.clients (email text); COMMENT ON TABLE clients IS 'x'; CREATE TABLE z (id int); INSERT INTO z VALUES (1)
--> text: CREATE TABLE public.clients (email pgcrypt.sealed_23); COMMENT ON TABLE clients IS 'x'; CREATE TABLE z (id int); INSERT INTO z VALUES (1)

CREATE TABLE copied (LIKE users); INSERT INTO copied VALUES (1, 'ada@x')
--> refused 0A000 at None: a statement on protected tables cannot stand behind one that changes them in the same text
--> text: CREATE TABLE copied (LIKE users);  SELECT pg_catalog.pgcrypt_proxy_refused()

CREATE TABLE copied (LIKE users); INSERT INTO items VALUES (1, 'thing')
--> untouched

ALTER SCHEMA public RENAME TO private; SELECT email FROM users
--> refused 0A000 at None: a statement on protected tables cannot stand behind one that changes them in the same text
--> text: ALTER SCHEMA public RENAME TO private;  SELECT pg_catalog.pgcrypt_proxy_refused()

CREATE TABLE public.clients AS SELECT id, name AS email FROM items
--> refused 0A000 at None: CREATE TABLE AS is not supported on protected table "clients"

SELECT id, name AS email INTO clients FROM items
--> needs names +public

EXPLAIN ANALYZE CREATE TABLE public.clients AS SELECT name AS email FROM items
--> refused 0A000 at None: Explain is not supported on protected table "clients"

CREATE VIEW public.clients AS SELECT name AS email FROM items
--> refused 0A000 at None: CREATE VIEW is not supported on protected table "clients"

CREATE SCHEMA app CREATE TABLE clients (email text)
--> refused 0A000 at None: CreateSchema is not supported on protected table "clients"

CREATE FOREIGN TABLE clients (email text) SERVER s
--> refused 0A000 at None: CreateForeignTable is not supported on protected table "clients"

ALTER MATERIALIZED VIEW m RENAME TO clients
--> refused 0A000 at None: this form of RENAME is not supported on protected table "m"

ALTER TABLE users ALTER COLUMN name TYPE text USING users::text
--> refused 0A000 at None: an expression in DDL is not possible on protected column "public.users.email"

INSERT INTO parties VALUES (1, '1815-12-10', 'ada@x')
--> refused 42601 at None: INSERT has more expressions than target columns

INSERT INTO parties (id, phone) VALUES (1, 'ada@x')
--> refused 42703 at None: column "public.parties.phone" does not exist

UPDATE parties SET phone = 'ada@x'
--> refused 42703 at None: column "public.parties.phone" does not exist

SELECT p.phone FROM parties p
--> refused 42703 at None: column "public.parties.phone" does not exist

SELECT id FROM parties WHERE phone = 'ada@x'
--> refused 42703 at None: column "public.parties.phone" does not exist

SELECT p FROM parties p
--> refused 0A000 at 8: a whole-row value of "p" would contain protected columns

SELECT * FROM parties
--> untouched

COPY parties FROM STDIN
--> text: COPY parties ("id", "name") FROM STDIN

COPY parties (id, phone) FROM STDIN
--> refused 42703 at None: column "public.parties.phone" does not exist

INSERT INTO twin VALUES (1, 'a', 'b')
--> untouched

SELECT phone FROM parties p JOIN (SELECT 1 AS phone) q ON true
--> untouched

DROP TABLE IF EXISTS public.clients; CREATE TABLE public.clients (id int, email text UNIQUE, ssn text); CREATE INDEX ON clients (email); INSERT INTO clients VALUES (1, 'ada@x', '123-45'); SELECT * FROM clients WHERE email = 'ada@x'
--> text: DROP TABLE IF EXISTS public.clients; DO $pgcrypt0$BEGIN CREATE TABLE public.clients (id int, email pgcrypt.sealed_23  , ssn pgcrypt.sealed_24)\n; CREATE UNIQUE INDEX "clients_email_key" ON "public"."clients" (pgcrypt.eq("email")) WITH (deduplicate_items = on); END$pgcrypt0$; CREATE INDEX "clients_email_idx" ON clients (pgcrypt.eq("email")); INSERT INTO clients VALUES (1, <seal email 'ada@x'>, <seal ssn '123-45'>); SELECT * FROM clients WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'ada@x'>
--> tag: CREATE TABLE
--> outputs: -, public.clients.email, public.clients.ssn

ALTER TABLE users ADD COLUMN phone text, DROP COLUMN name; UPDATE users SET phone = 'ada@x' WHERE name = 'ada'; ALTER TABLE users ADD UNIQUE (phone)
--> text: ALTER TABLE users ADD COLUMN phone pgcrypt.sealed_22, DROP COLUMN name; UPDATE users SET phone = <seal phone 'ada@x'> WHERE name = 'ada'; CREATE UNIQUE INDEX "users_phone_key" ON "public"."users" (pgcrypt.eq("phone")) WITH (deduplicate_items = on)
--> tag: ALTER TABLE

ALTER TABLE users RENAME TO clients; SELECT email FROM clients WHERE email = 'ada@x'
--> refused 0A000 at None: a statement on protected tables cannot stand behind one that changes them in the same text
--> text: ALTER TABLE users RENAME TO clients;  SELECT pg_catalog.pgcrypt_proxy_refused()

DROP TABLE users CASCADE; SELECT 1
--> untouched

DROP TABLE users; SELECT id FROM users
--> refused 55000 at 34: table "public.users" is named in the rules but its protected columns are not in the database
--> text: DROP TABLE users;  SELECT pg_catalog.pgcrypt_proxy_refused()

BEGIN; ALTER TABLE users DROP COLUMN name; ROLLBACK; INSERT INTO users VALUES (1, 'ada@x', 'n')
--> refused 0A000 at None: a statement on protected tables cannot stand behind one that changes them in the same text
--> text: BEGIN; ALTER TABLE users DROP COLUMN name; ROLLBACK;  SELECT pg_catalog.pgcrypt_proxy_refused()

BEGIN; ALTER TABLE users ADD COLUMN phone text; COMMIT; UPDATE users SET phone = 'ada@x'
--> text: BEGIN; ALTER TABLE users ADD COLUMN phone pgcrypt.sealed_22; COMMIT; UPDATE users SET phone = <seal phone 'ada@x'>

