COPY users FROM STDIN
--> text: COPY users ("id", "email", "name", "ssn") FROM STDIN
--> copy from client: id, email*, name, ssn*

COPY users TO STDOUT
--> text: COPY users ("id", "email", "name", "ssn") TO STDOUT
--> copy to client: id, email*, name, ssn*

COPY "users"FROM STDIN
--> text: COPY "users" ("id", "email", "name", "ssn")FROM STDIN
--> copy from client: id, email*, name, ssn*

COPY BINARY public . users TO STDOUT
--> text: COPY BINARY public . users ("id", "email", "name", "ssn") TO STDOUT
--> copy to client: id, email*, name, ssn* (kind='binary')

COPY users (ssn, id, email) TO STDOUT WITH (FORMAT csv)
--> text: COPY users (ssn, id, email) TO STDOUT WITH (FORMAT csv)
--> copy to client: ssn*, id, email* (kind='csv', delimiter=b',', null=b'')

COPY users (id, name) TO STDOUT
--> untouched

COPY users (id, name) FROM STDIN
--> untouched

COPY users (id, nosuch, email) FROM STDIN
--> text: COPY users (id, nosuch, email) FROM STDIN
--> copy from client: id, nosuch, email*

COPY U&"users" FROM STDIN
--> refused 0A000 at 6: this spelling of COPY is not supported in a statement that touches a protected table

COPY public.late FROM STDIN
--> refused 55000 at 6: column "public.late.email" is named in the rules but is not sealed yet

COPY v_users TO STDOUT
--> refused 0A000 at 6: relation "public.v_users" is made from protected columns, which is not supported

COPY future FROM STDIN
--> refused 55000 at 6: table "public.future" is named in the rules but its protected columns are not in the database

COPY computed FROM STDIN
--> text: COPY computed ("id", "code") FROM STDIN
--> copy from client: id, code*

COPY users FROM STDIN USING DELIMITERS '|' WITH NULL AS 'none'
--> text: COPY users ("id", "email", "name", "ssn") FROM STDIN USING DELIMITERS '|' WITH NULL AS 'none'
--> copy from client: id, email*, name, ssn* (delimiter=b'|', null=b'none')

COPY users FROM STDIN WITH CSV HEADER QUOTE '''' ESCAPE '\' FORCE NOT NULL name, ssn FORCE NULL email
--> text: COPY users ("id", "email", "name", "ssn") FROM STDIN WITH CSV HEADER QUOTE '''' ESCAPE '\' FORCE NOT NULL name, ssn FORCE NULL email
--> copy from client: id, email*, name, ssn* (kind='csv', delimiter=b',', null=b'', header='skipped', quote=b"'", escape=b'\\', force_null=[1], force_not_null=[2, 3])

COPY users TO STDOUT (FORMAT csv, HEADER off, FORCE_QUOTE *, DELIMITER ';', NULL 'x')
--> text: COPY users ("id", "email", "name", "ssn") TO STDOUT (FORMAT csv, HEADER off, FORCE_QUOTE *, DELIMITER ';', NULL 'x')
--> copy to client: id, email*, name, ssn* (kind='csv', delimiter=b';', null=b'x', force_quote=[0, 1, 2, 3])

COPY users FROM STDIN (FORMAT csv, HEADER MATCH, DEFAULT '#', FREEZE, ON_ERROR ignore, LOG_VERBOSITY verbose, ENCODING 'Utf-8')
--> text: COPY users ("id", "email", "name", "ssn") FROM STDIN (FORMAT csv, HEADER MATCH, DEFAULT '#', FREEZE, ON_ERROR ignore, LOG_VERBOSITY verbose, ENCODING 'Utf-8')
--> copy from client: id, email*, name, ssn* (kind='csv', delimiter=b',', null=b'', default=b'#', header='match', skips bad rows)

COPY users FROM STDIN (FORMAT binary, FREEZE on, ON_ERROR stop)
--> text: COPY users ("id", "email", "name", "ssn") FROM STDIN (FORMAT binary, FREEZE on, ON_ERROR stop)
--> copy from client: id, email*, name, ssn* (kind='binary')

COPY users FROM STDIN (FORMAT binary, HEADER)
--> refused 0A000 at None: this use of the COPY option HEADER in BINARY mode is not supported in a statement that touches a protected table

COPY users FROM STDIN (FORMAT 'CSV')
--> refused 0A000 at None: this use of the COPY option FORMAT is not supported in a statement that touches a protected table

COPY users FROM STDIN (QUOTE 'x')
--> refused 0A000 at None: this use of the COPY option QUOTE in TEXT mode is not supported in a statement that touches a protected table

COPY users FROM STDIN (DELIMITER 'ab')
--> refused 0A000 at None: this use of the COPY option DELIMITER is not supported in a statement that touches a protected table

COPY users FROM STDIN (DELIMITER '\')
--> refused 0A000 at None: this use of the COPY option DELIMITER is not supported in a statement that touches a protected table

COPY users FROM STDIN (FORMAT csv, DELIMITER 'x', QUOTE 'x')
--> refused 0A000 at None: this use of the COPY option DELIMITER is not supported in a statement that touches a protected table

COPY users FROM STDIN (FORMAT csv, NULL '"')
--> refused 0A000 at None: this use of the COPY option NULL is not supported in a statement that touches a protected table

COPY users FROM STDIN (NULL E'a\tb')
--> refused 0A000 at None: this use of the COPY option NULL is not supported in a statement that touches a protected table

COPY users FROM STDIN (NULL 'x', DEFAULT 'x')
--> refused 0A000 at None: this use of the COPY option DEFAULT is not supported in a statement that touches a protected table

COPY users FROM STDIN (HEADER 2)
--> refused 0A000 at None: this use of the COPY option HEADER is not supported in a statement that touches a protected table

COPY users FROM STDIN (ENCODING 'latin1')
--> refused 0A000 at None: COPY in another encoding than UTF8 is not supported in a statement that touches a protected table

COPY users FROM STDIN (ON_ERROR set_null)
--> refused 0A000 at None: this use of the COPY option ON_ERROR is not supported in a statement that touches a protected table

COPY users FROM STDIN (FORMAT text, FORMAT csv)
--> refused 0A000 at None: this use of the COPY option FORMAT is not supported in a statement that touches a protected table

COPY users FROM STDIN (CONVERT_SELECTIVELY (id))
--> refused 0A000 at None: this use of the COPY option CONVERT_SELECTIVELY is not supported in a statement that touches a protected table

COPY users FROM STDIN (FORMAT csv, FORCE_NULL (nosuch))
--> refused 0A000 at None: this use of the COPY option FORCE_NULL is not supported in a statement that touches a protected table

COPY users FROM STDIN WHERE id > 1 AND email IS NOT NULL
--> text: COPY users ("id", "email", "name", "ssn") FROM STDIN WHERE id > 1 AND email IS NOT NULL
--> copy from client: id, email*, name, ssn*

COPY users FROM STDIN WHERE email = 'alpha@x'
--> refused 0A000 at None: COPY ... WHERE is not possible on protected column "public.users.email"

COPY users FROM STDIN WHERE length(email) > 3
--> refused 0A000 at 36: function length() is not possible on protected column "public.users.email"

COPY users TO '/tmp/users'
--> refused 0A000 at None: COPY with a file or program is not supported on protected table "users"

COPY users (id) FROM '/tmp/users'
--> refused 0A000 at None: COPY with a file or program is not supported on protected table "users"

COPY users TO PROGRAM 'cat'
--> refused 0A000 at None: COPY with a file or program is not supported on protected table "users"

COPY (SELECT email FROM users) TO PROGRAM 'cat'
--> refused 0A000 at None: COPY with a file or program is not supported on protected table "users"

COPY items TO '/tmp/items'
--> untouched

COPY (SELECT email, id AS "E" FROM users WHERE email = 'alpha@x') TO STDOUT
--> text: COPY (SELECT email, id AS "E" FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'>) TO STDOUT
--> copy to client: email*, E

COPY (SELECT id FROM users WHERE email = 'alpha@x') TO STDOUT (FORMAT csv)
--> text: COPY (SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'>) TO STDOUT (FORMAT csv)

COPY (SELECT id FROM users) TO STDOUT
--> untouched

COPY (SELECT * FROM users) TO STDOUT CSV FORCE QUOTE email
--> text: COPY (SELECT * FROM users) TO STDOUT CSV FORCE QUOTE email
--> copy to client: id, email*, name, ssn* (kind='csv', delimiter=b',', null=b'', force_quote=[1])

COPY (SELECT upper(email) FROM users) TO STDOUT
--> refused 0A000 at 20: function upper() is not possible on protected column "public.users.email"

COPY (UPDATE users SET email = 'alpha@x' RETURNING ssn) TO STDOUT
--> text: COPY (UPDATE users SET email = <seal email 'alpha@x'> RETURNING ssn) TO STDOUT
--> copy to client: ssn*

COPY (DELETE FROM users WHERE email = 'alpha@x' RETURNING id) TO STDOUT
--> text: COPY (DELETE FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'> RETURNING id) TO STDOUT

COPY (SELECT coalesce(email, 'alpha@x') FROM users) TO STDOUT
--> text: COPY (SELECT coalesce(email, <alike email 'alpha@x' by default text>) FROM users) TO STDOUT
--> copy to client: coalesce*

COPY (VALUES ('users')) TO STDOUT
--> untouched
