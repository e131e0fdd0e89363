SELECT id FROM users WHERE email = 'alpha@x'
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'>

SELECT id FROM users WHERE 'alpha@x' = email
--> text: SELECT id FROM users WHERE <term email 'alpha@x'> OPERATOR(pg_catalog.=) pgcrypt.eq(email)

SELECT id FROM users WHERE $1=email
--> text: SELECT id FROM users WHERE $1 OPERATOR(pg_catalog.=)pgcrypt.eq(email)
--> parameters: $1=client 1 term email

SELECT id FROM users WHERE email != $1
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.<>) $1
--> parameters: $1=client 1 term email

SELECT id FROM users WHERE email <> 'alpha@x'
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.<>) <term email 'alpha@x'>

SELECT id FROM users WHERE ("email") = ('alpha@x')
--> text: SELECT id FROM users WHERE (pgcrypt.eq("email")) OPERATOR(pg_catalog.=) (<term email 'alpha@x'>)

SELECT id FROM users WHERE email OPERATOR(pg_catalog.=) 'alpha@x'
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'>

SELECT id FROM users WHERE email OPERATOR(public.=) 'alpha@x'
--> refused 0A000 at 28: operator = is not possible on protected column "public.users.email"

SELECT id FROM users WHERE email = E'al\\pha' 
 'more'
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'al\\phamore'>

SELECT id FROM users WHERE email = U&'d\0061ta' AND id = 1
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'data'> AND id = 1

SELECT id FROM users WHERE email = U&'d!0061ta' UESCAPE '!' AND id = 1
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'data'> AND id = 1

SELECT id FROM users WHERE email = $q$dollar$q$
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'dollar'>

SELECT id FROM users WHERE email = 'x'::text
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'x' as text>

SELECT id FROM users WHERE email = CAST('alpha@x' AS character varying(12))
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x' as character varying(12)>

SELECT id FROM users WHERE email = ('alpha@x')::text
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x' as text>

SELECT id FROM users WHERE email = text 'alpha@x'
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x' as text>

SELECT id FROM users WHERE email = $1::text::varchar
--> refused 0A000 at 34: protected column "public.users.email" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT id FROM users WHERE email = lower($1)
--> refused 0A000 at 34: protected column "public.users.email" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT id FROM users WHERE email = name
--> refused 0A000 at 34: protected column "public.users.email" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT id FROM users WHERE email = ssn
--> refused 0A000 at 34: protected column "public.users.ssn" is not searchable

SELECT id FROM users WHERE ssn = 'secret'
--> refused 0A000 at 32: protected column "public.users.ssn" is not searchable

SELECT id FROM users WHERE ssn IS NULL OR email IS NOT NULL
--> untouched

SELECT id FROM users WHERE email IN ('alpha@x', $1, NULL)
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) ANY (ARRAY[<term email 'alpha@x'>, $1, <term email None>]::pg_catalog.bytea[])
--> parameters: $1=client 1 term email

SELECT id FROM users WHERE email NOT IN ('é', $1)
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.<>) ALL (ARRAY[<term email 'é'>, $1]::pg_catalog.bytea[])
--> parameters: $1=client 1 term email

SELECT id FROM users WHERE email IN('alpha@x')AND id=1
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) ANY (ARRAY[<term email 'alpha@x'>]::pg_catalog.bytea[])AND id=1

SELECT id FROM users WHERE 'alpha@x' IN (email, name)
--> refused 0A000 at 38: protected column "public.users.email" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT id FROM users WHERE email IN (SELECT contact FROM orders)
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) IN (SELECT pgcrypt.eq(contact) FROM orders)

SELECT id FROM users WHERE email = ANY($1)
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) ANY($1)
--> parameters: $1=client 1 term_array email

SELECT id FROM users WHERE email = ANY($1::text[])
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) ANY($1)
--> parameters: $1=client 1 term_array email as text

SELECT id FROM users WHERE email = ANY('{alpha@x,"b c"}')
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) ANY(<term_array email '{alpha@x,"b c"}'>)

SELECT id FROM users WHERE email = ANY(ARRAY['alpha@x', 'beta@x'])
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) ANY(ARRAY[<term email 'alpha@x' by default text>, <term email 'beta@x' by default text>]::pg_catalog.bytea[])

SELECT id FROM users WHERE email = ANY(ARRAY['alpha@x', $1]::varchar(20)[])
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) ANY(ARRAY[<term email 'alpha@x' as character varying(20)>, $1]::pg_catalog.bytea[])
--> parameters: $1=client 1 term email as character varying(20)

SELECT id FROM users WHERE email = ANY(ARRAY[]::text[])
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) ANY(ARRAY[]::pg_catalog.bytea[])

SELECT id FROM users WHERE email <> ALL(ARRAY['alpha@x'])
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.<>) ALL(ARRAY[<term email 'alpha@x' by default text>]::pg_catalog.bytea[])

SELECT id FROM users WHERE email <> ANY(ARRAY['alpha@x'])
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.<>) ANY(ARRAY[<term email 'alpha@x' by default text>]::pg_catalog.bytea[])

SELECT id FROM users WHERE email = SOME($1)
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) SOME($1)
--> parameters: $1=client 1 term_array email

SELECT id FROM users WHERE email = 'alpha@x' OR (NOT email = 'beta@x' AND name = 'c')
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'> OR (NOT pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'beta@x'> AND name = 'c')

SELECT id FROM users WHERE email LIKE 'alpha%'
--> refused 0A000 at 28: LIKE is not possible on protected column "public.users.email"

SELECT id FROM users WHERE email ILIKE 'alpha%'
--> refused 0A000 at 34: ILIKE is not possible on protected column "public.users.email"

SELECT id FROM users WHERE email ~ 'alpha'
--> refused 0A000 at 28: operator ~ is not possible on protected column "public.users.email"

SELECT id FROM users WHERE email < 'alpha@x'
--> refused 0A000 at 28: operator < is not possible on protected column "public.users.email"

SELECT id FROM users WHERE email BETWEEN 'a' AND 'b'
--> refused 0A000 at 28: BETWEEN is not possible on protected column "public.users.email"

SELECT id FROM users WHERE email SIMILAR TO 'alpha'
--> refused 0A000 at 28: SIMILAR TO is not possible on protected column "public.users.email"

SELECT id FROM users WHERE email IS DISTINCT FROM 'alpha@x'
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) IS DISTINCT FROM <term email 'alpha@x'>

SELECT id FROM users WHERE (email, id) = ('alpha@x', 1)
--> text: SELECT id FROM users WHERE (pgcrypt.eq(email), id) = (<term email 'alpha@x'>, 1)

SELECT id FROM users WHERE lower(email) = 'alpha@x'
--> refused 0A000 at 41: lower() is not possible on protected column "public.users.email"

SELECT id FROM users WHERE email = NULL
--> untouched

SELECT id FROM users WHERE email <> NULL
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) <> NULL

SELECT id FROM users WHERE (email = 'alpha@x') IS TRUE
--> text: SELECT id FROM users WHERE (pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'>) IS TRUE

SELECT email = 'alpha@x' AS same FROM users
--> text: SELECT pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'> AS same FROM users

SELECT id FROM users WHERE CASE WHEN email = 'alpha@x' THEN true ELSE false END
--> text: SELECT id FROM users WHERE CASE WHEN pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'> THEN true ELSE false END

SELECT U&"\0065mail" FROM users WHERE U&"\0065mail" = 'alpha@x'
--> refused 0A000 at 39: this spelling of a column name is not supported in a statement that touches a protected table

SELECT id FROM people WHERE born = date '2024-01-01' OR born = '2024-01-02'::date OR born = $1
--> text: SELECT id FROM people WHERE pgcrypt.eq(born) OPERATOR(pg_catalog.=) <term born '2024-01-01' as date> OR pgcrypt.eq(born) OPERATOR(pg_catalog.=) <term born '2024-01-02' as date> OR pgcrypt.eq(born) OPERATOR(pg_catalog.=) $1
--> parameters: $1=client 1 term born

SELECT 'ünïcode', id FROM users WHERE email = 'älpha@x' AND name = 'é'
--> text: SELECT 'ünïcode', id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'älpha@x'> AND name = 'é'

SELECT id /* email = 'kept' */ FROM users -- tail
 WHERE email = 'alpha@x'
--> text: SELECT id /* email = 'kept' */ FROM users -- tail\n WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'>

SELECT id FROM users u WHERE u.email = (('alpha@x'))
--> text: SELECT id FROM users u WHERE pgcrypt.eq(u.email) OPERATOR(pg_catalog.=) ((<term email 'alpha@x'>))

SELECT id FROM users WHERE email = B'101'
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'b101' as bit>

SELECT id FROM users WHERE email = -5
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email '-5' as integer>

SELECT id FROM users WHERE email = true
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'true' as boolean>

SELECT id FROM users WHERE $1::text IS NULL OR email = $1
--> text: SELECT id FROM users WHERE $1 IS NULL OR pgcrypt.eq(email) OPERATOR(pg_catalog.=) $1
--> parameters: $1=client 1 term email

SELECT id FROM users WHERE $1 IS NULL OR email = $1
--> refused 0A000 at 28: IS NULL on parameter $1, which is also a protected column's value, is not supported without a cast

SELECT id FROM users WHERE 'alpha@x' IS NULL OR email = 'alpha@x'
--> text: SELECT id FROM users WHERE '' IS NULL OR pgcrypt.eq(email) OPERATOR(pg_catalog.=) <term email 'alpha@x'>

SELECT id FROM users WHERE email = $1 OR $1 IS NULL
--> text: SELECT id FROM users WHERE pgcrypt.eq(email) OPERATOR(pg_catalog.=) $1 OR $1 IS NULL
--> parameters: $1=client 1 term email

SELECT id FROM users WHERE $1::int IS NULL OR id = $1
--> untouched
