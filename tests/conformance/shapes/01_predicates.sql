-- # Predicates
-- Equality is asked on index terms; everything else would need the plaintext.

-- ## Equality, in every operand order

SELECT id, email FROM users WHERE email = {email:'planted-ann@x'}
--> same

SELECT id, email FROM users WHERE {email:'planted-ann@x'} = email
--> same

SELECT id FROM users WHERE email = {email:'planted-ANN@x'}
--> same

SELECT id FROM users u WHERE u.email = {email:'planted-ünï@x'}
--> same

SELECT id FROM users WHERE users.email = {email:'planted-o''neil@x'}
--> same

SELECT id FROM users WHERE public.users.email = {email:'planted-back\slash@x'}
--> same

SELECT id FROM users WHERE email = {email:'planted-😀@x'} AND plain = {n:0}
--> same

SELECT id FROM users WHERE nick = {nick:''}
--> same

SELECT id FROM users WHERE nick = {nick:NULL}
--> same

SELECT id FROM users WHERE (nick) = ({nick:'planted-bob'})
--> same

SELECT id FROM users WHERE born = {born:'1990-02-03'}
--> same

SELECT id FROM users WHERE {born:'0099-01-01'} = born
--> same

SELECT id, contact, total FROM orders WHERE total = {total:10.5}
--> same

SELECT id FROM orders WHERE total = {total:0}
--> same

SELECT id FROM orders WHERE total = {total:-1.250}
--> same

SELECT id FROM orders WHERE total = {total:10.501}
--> same

SELECT id FROM orders WHERE total = {n:10}
--> same

SELECT id FROM users WHERE email = {email:'planted-ann@x'} OR email = {email2:'planted-bob@x'}
--> same

SELECT id FROM users WHERE NOT email = {email:'planted-ann@x'}
--> same

SELECT id FROM users WHERE NOT (nick = {nick:'planted-bob'} OR nick IS NULL)
--> same

SELECT id FROM users WHERE (email = {email:'planted-ann@x'}) IS TRUE
--> same

SELECT id FROM users WHERE (nick = {nick:'planted-bob'}) IS NOT TRUE
--> same

SELECT id FROM users WHERE (nick = {nick:'planted-bob'}) IS UNKNOWN
--> same

SELECT id FROM users WHERE (nick = {nick:'planted-bob'}) = {flag:true}
--> same

SELECT id FROM users WHERE ssn = {ssn:'planted-111'}
--> refused: protected column "public.users.ssn" is not searchable

SELECT id FROM users WHERE email OPERATOR(pg_catalog.=) {email:'planted-ann@x'}
--> same

SELECT id, email = {email:'planted-ann@x'} AS is_ann FROM users
--> same

SELECT id, nick = {nick:'planted-bob'} FROM users
--> same

SELECT id FROM users WHERE CASE WHEN email = {email:'planted-ann@x'} THEN plain = 1 ELSE plain = 3 END
--> same

SELECT id FROM users WHERE email = {email:'planted-ann@x'} IS DISTINCT FROM false
--> same

-- ## Inequality and NULL

SELECT id FROM users WHERE email <> {email:'planted-ann@x'}
--> same

SELECT id FROM users WHERE {email:'planted-ann@x'} != email
--> same

SELECT id FROM users WHERE nick <> {nick:'planted-bob'}
--> same

SELECT id FROM users WHERE nick IS NULL
--> same

SELECT id FROM users WHERE ssn IS NOT NULL AND nick IS NOT NULL
--> same

SELECT id FROM users WHERE ssn ISNULL OR born NOTNULL
--> same

SELECT id FROM users WHERE nick IS DISTINCT FROM {nick:'planted-bob'}
--> same

SELECT id FROM users WHERE nick IS NOT DISTINCT FROM {nick:'planted-bob'}
--> same

SELECT id FROM users WHERE {nick:'planted-bob'} IS NOT DISTINCT FROM nick
--> same

SELECT id FROM users WHERE nick IS NOT DISTINCT FROM {nick:NULL}
--> same

SELECT id FROM users WHERE nick IS DISTINCT FROM NULL
--> same

SELECT id FROM users WHERE ({nick:'planted-bob'} IS NULL OR nick = {nick})
--> refused: IS NULL on parameter $1, which is also a protected column's value, is not supported without a cast
--> literal same

SELECT id FROM users WHERE {nick:'planted-bob'}::text IS NULL OR nick = {nick}::text
--> same

SELECT id FROM users WHERE nick = NULL
--> same

SELECT id FROM users WHERE ssn IS DISTINCT FROM {ssn:'planted-111'}
--> refused: protected column "public.users.ssn" is not searchable

-- ## Sets of values

SELECT id FROM users WHERE email IN ({email:'planted-ann@x'}, {email2:'planted-bob@x'}, 'planted-nobody@x')
--> same

SELECT id FROM users WHERE email IN ({email:'planted-ann@x'})
--> same

SELECT id FROM users WHERE nick NOT IN ({nick:'planted-bob'}, {nick2:'planted-ann'})
--> same

SELECT id FROM users WHERE nick NOT IN ({nick:'planted-bob'}, NULL)
--> same

SELECT id FROM users WHERE nick IN ({nick:'planted-bob'}, {nick2:NULL})
--> same

SELECT id FROM users WHERE {email:'planted-ann@x'} IN (email, nick)
--> same

SELECT id FROM users WHERE email IN (nick, {email:'planted-ann@x'})
--> same

SELECT id FROM users WHERE email = ANY ({emails:'{planted-ann@x,planted-bob@x,NULL}'})
--> same

SELECT id FROM users WHERE email = ANY ({emails:'{}'})
--> same

SELECT id FROM users WHERE email = ANY ({emails:'{"planted-o''neil@x","planted-back\\slash@x"}'}::text[])
--> same

SELECT id FROM users WHERE email = ANY (ARRAY[{email:'planted-ann@x'}, {email2:'planted-bob@x'}])
--> same

SELECT id FROM users WHERE email = ANY (ARRAY[{email:'planted-ann@x'}]::text[])
--> same

SELECT id FROM users WHERE nick <> ALL ({emails:'{planted-bob,planted-ann}'})
--> same

SELECT id FROM users WHERE NOT nick = ANY ({emails:'{planted-bob}'})
--> same

SELECT id FROM users WHERE nick <> ANY ({emails:'{planted-bob,planted-ann}'})
--> same

SELECT id FROM users WHERE nick = ALL ({emails:'{planted-bob}'})
--> same

SELECT id FROM users WHERE nick = SOME ({emails:'{planted-bob}'})
--> same

SELECT id FROM users WHERE born = ANY ({borns:'{1990-02-03,2024-05-17}'})
--> same

SELECT id FROM orders WHERE total = ANY ({totals:'{10,10.5,7.770}'})
--> same

SELECT id FROM users WHERE born IN ({born:'1990-02-03'}, {born2:'2024-05-17'})
--> same

SELECT id FROM users WHERE email IN (VALUES ({email:'planted-ann@x'}), ({email2:'planted-bob@x'}))
--> same

SELECT id FROM users WHERE email = ANY (VALUES ({email:'planted-ann@x'}))
--> same

SELECT id FROM users WHERE {email:'planted-ann@x'} = ANY (ARRAY[email, nick])
--> refused: ARRAY[] is not possible on protected column "public.users.email"

SELECT id FROM users WHERE ssn IN ({ssn:'planted-111'})
--> refused: protected column "public.users.ssn" is not searchable

SELECT id FROM users WHERE email = ANY (string_to_array({text:'planted-ann@x,planted-bob@x'}, ','))
--> refused: protected column "public.users.email" can only be compared with a parameter, a literal or a searchable column of the same index domain

-- ## Subqueries

SELECT id FROM users WHERE email IN (SELECT contact FROM orders)
--> same

SELECT id FROM users WHERE email IN (SELECT contact FROM orders WHERE note = {note:'first'})
--> same

SELECT id FROM users WHERE email NOT IN (SELECT contact FROM orders)
--> same

SELECT id FROM users WHERE email NOT IN (SELECT contact FROM orders WHERE contact IS NOT NULL)
--> same

SELECT id FROM users WHERE nick NOT IN (SELECT contact FROM orders WHERE contact IS NOT NULL)
--> same

SELECT id FROM users WHERE email = (SELECT contact FROM orders WHERE id = {n:4})
--> same

SELECT id FROM users WHERE (SELECT contact FROM orders WHERE id = {n:4}) = email
--> same

SELECT id FROM users WHERE email = ANY (SELECT contact FROM orders WHERE total = {total:7.77})
--> same

SELECT id FROM users WHERE email <> ALL (SELECT contact FROM orders WHERE contact IS NOT NULL)
--> same

SELECT id FROM users WHERE email = (SELECT max(contact) FROM orders)
--> refused: function max() is not possible on protected column "public.orders.contact"

SELECT id FROM users WHERE email IN (SELECT email FROM contacts)
--> refused: protected column "public.users.email" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT id FROM contacts WHERE email IN (SELECT email FROM users)
--> refused: protected column "public.users.email" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT id FROM users u WHERE EXISTS (SELECT 1 FROM orders o WHERE o.contact = u.email)
--> same

SELECT id FROM users u WHERE NOT EXISTS (SELECT FROM orders o WHERE o.contact = u.email AND o.note = {note:'first'})
--> same

SELECT id FROM users u WHERE EXISTS (SELECT * FROM orders WHERE contact = {contact:'planted-ann@x'} AND user_id = u.id)
--> same

SELECT id FROM orders o WHERE EXISTS (SELECT FROM users WHERE nick = o.contact)
--> same

SELECT id FROM users WHERE id IN (SELECT user_id FROM orders WHERE contact = {contact:'planted-ann@x'})
--> same

SELECT id FROM users WHERE plain = (SELECT count(*) FROM orders WHERE contact = users.email)
--> same

SELECT id, (SELECT count(*) FROM orders WHERE contact = users.email) AS n FROM users
--> same

SELECT id, (SELECT email FROM users u WHERE u.id = o.user_id) FROM orders o
--> same

SELECT id, ARRAY(SELECT contact FROM orders WHERE user_id = u.id) FROM users u
--> refused: a subquery's value in an expression is not possible on protected column "public.orders.contact"

SELECT (SELECT email FROM users WHERE id = {id:1}) AS email
--> same

SELECT EXISTS (SELECT 1 FROM users WHERE email = {email:'planted-ann@x'})
--> same

SELECT {email:'planted-ann@x'} IN (SELECT email FROM users)
--> same

-- ## Row comparison

SELECT id FROM users WHERE (email, plain) = ({email:'planted-ann@x'}, {n:1})
--> same

SELECT id FROM users WHERE (email, born) IN (({email:'planted-ann@x'}, {born:'1990-02-03'}), ('planted-bob@x', '1985-12-31'))
--> same

SELECT id FROM users WHERE ROW(email, nick) = ROW({email:'planted-ann@x'}, {nick:'planted-ann'})
--> same

SELECT id FROM users WHERE (email, nick) <> ({email:'planted-ann@x'}, {nick:'planted-bob'})
--> same

SELECT id FROM users WHERE (nick, name) IN (SELECT contact, note FROM orders)
--> same

SELECT id FROM users WHERE (email, id) > ({email:'planted-ann@x'}, {id:1})
--> refused: operator > is not possible on protected column "public.users.email"

SELECT id FROM users WHERE (id, plain) > ({id:3}, {n:1}) AND email <> {email:'planted-fay@x'}
--> same

SELECT id FROM users WHERE (email, nick) IS NOT NULL
--> refused: a row value is not possible on protected column "public.users.email"

SELECT id FROM users WHERE (nick, plain) IS NOT DISTINCT FROM ({nick:'planted-bob'}, {n:3})
--> same

SELECT id FROM users WHERE (plain, id) = (SELECT plain, id FROM users WHERE email = {email:'planted-ann@x'})
--> same

-- ## Order, patterns and ranges

SELECT id FROM users WHERE email > {email:'planted-b'}
--> refused: operator > is not possible on protected column "public.users.email"

SELECT id FROM users WHERE {email:'planted-b'} <= email
--> refused: operator <= is not possible on protected column "public.users.email"

SELECT id FROM users WHERE born BETWEEN {born:'1980-01-01'} AND {born2:'1995-01-01'}
--> refused: BETWEEN is not possible on protected column "public.users.born"

SELECT id FROM users WHERE born NOT BETWEEN SYMMETRIC {born:'1995-01-01'} AND {born2:'1980-01-01'}
--> refused: NOT BETWEEN SYMMETRIC is not possible on protected column "public.users.born"

SELECT id FROM orders WHERE total >= {total:10}
--> refused: operator >= is not possible on protected column "public.orders.total"

SELECT id FROM users WHERE email LIKE {email:'planted-a%'}
--> refused: LIKE is not possible on protected column "public.users.email"

SELECT id FROM users WHERE email NOT LIKE {email:'planted-a%'}
--> refused: LIKE is not possible on protected column "public.users.email"

SELECT id FROM users WHERE {email:'planted-ann@x'} LIKE email
--> refused: LIKE is not possible on protected column "public.users.email"

SELECT id FROM users WHERE email SIMILAR TO {email:'planted-(a|b)%'}
--> refused: SIMILAR TO is not possible on protected column "public.users.email"

SELECT id FROM users WHERE email ~ {email:'^planted-a'}
--> refused: operator ~ is not possible on protected column "public.users.email"

SELECT id FROM users WHERE email !~* {email:'^planted-a'}
--> refused: operator !~* is not possible on protected column "public.users.email"

SELECT id FROM users WHERE email ^@ {email:'planted-a'}
--> refused: operator ^@ is not possible on protected column "public.users.email"

SELECT id FROM users WHERE starts_with(email, {email:'planted-a'})
--> refused: function starts_with() is not possible on protected column "public.users.email"

SELECT id FROM users WHERE strpos(email, {email:'ann'}) > 0
--> refused: function strpos() is not possible on protected column "public.users.email"

SELECT id FROM users WHERE email LIKE ANY (ARRAY[{email:'planted-a%'}])
--> refused: operator ~~ is not possible on protected column "public.users.email"

SELECT id FROM users WHERE extract(year FROM born) = {n:1990}
--> refused: function extract() is not possible on protected column "public.users.born"

SELECT id FROM users WHERE born < current_date
--> refused: operator < is not possible on protected column "public.users.born"

SELECT id FROM users WHERE name LIKE {name:'A%'} AND plain BETWEEN {n:1} AND {n2:2}
--> same

-- ## Without regard to case

SELECT id FROM users WHERE lower(email) = {email:'planted-ann@x'}
--> same

SELECT id FROM users WHERE lower(email) = lower({email:'planted-ANN@x'})
--> same

SELECT id FROM users WHERE lower({email:'planted-ANN@x'}) = lower(email)
--> same

SELECT id FROM users WHERE lower(email) = {email:'planted-ANN@x'}
--> same

SELECT id FROM users WHERE lower(email) = lower({email:'planted-ÜNÏ@x'})
--> same

SELECT id FROM users WHERE upper(email) = upper({email:'planted-Ann@x'})
--> refused: upper() is not possible on protected column "public.users.email"

SELECT id FROM users WHERE upper(email) = {email:'PLANTED-ANN@X'}
--> refused: upper() is not possible on protected column "public.users.email"

SELECT id FROM users WHERE lower(email) IN ({email:'planted-ann@x'}, {email2:'planted-bob@x'})
--> same

SELECT id FROM users WHERE lower(email) = ANY ({emails:'{planted-ann@x,planted-Bob@x}'})
--> same

SELECT id FROM users WHERE lower(email) <> {email:'planted-ann@x'}
--> same

SELECT id FROM users WHERE email ILIKE {email:'planted-ANN@x'}
--> same

SELECT id FROM users WHERE email ILIKE {email:'planted-a%'}
--> refused: ILIKE with a wildcard or backslash is not possible on protected column "public.users.email"

SELECT id FROM users WHERE email ILIKE {email:'planted-\%\_@x'}
--> refused: ILIKE with a wildcard or backslash is not possible on protected column "public.users.email"

SELECT id FROM users WHERE email NOT ILIKE {email:'planted-ANN@x'}
--> same

SELECT id FROM users WHERE email ~~* {email:'planted-ann@x'}
--> refused: operator ~~* is not possible on protected column "public.users.email"

SELECT a.id, b.id FROM users a JOIN users b ON lower(a.email) = lower(b.email) AND a.id < b.id
--> same

SELECT id FROM users WHERE lower(nick) = {nick:'planted-bob'}
--> refused: lower() is not possible on protected column "public.users.nick"

SELECT id FROM users WHERE nick ILIKE {nick:'planted-bob'}
--> refused: ILIKE is not possible on protected column "public.users.nick"

SELECT id FROM users WHERE lower(email) = lower(nick)
--> refused: lower() is not possible on protected column "public.users.nick"

SELECT id FROM users WHERE email = lower({email:'planted-ANN@x'})
--> refused: protected column "public.users.email" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT id FROM users WHERE UPPER("users"."email"::text) = UPPER({email:'planted-Ann@x'})
--> refused: upper() is not possible on protected column "public.users.email"

SELECT count(*) FROM users WHERE lower(email) = {email:NULL}
--> same

-- ## Between columns

SELECT id FROM users WHERE email = nick
--> same

SELECT id FROM users WHERE email <> nick
--> same

SELECT id FROM users WHERE email IS DISTINCT FROM nick
--> same

SELECT id FROM users WHERE email = ssn
--> refused: protected column "public.users.ssn" is not searchable

SELECT id FROM users WHERE email = name
--> refused: protected column "public.users.email" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT id FROM users WHERE name = email
--> refused: protected column "public.users.email" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT id FROM users WHERE email = email
--> same

SELECT id FROM users WHERE born = current_date
--> refused: protected column "public.users.born" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT id FROM users WHERE email = current_user
--> refused: protected column "public.users.email" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT id FROM users WHERE email = concat({text:'planted-ann'}, '@x')
--> refused: protected column "public.users.email" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT id FROM users WHERE email = {text:'planted-ann'} || '@x'
--> refused: protected column "public.users.email" can only be compared with a parameter, a literal or a searchable column of the same index domain

SELECT id FROM users WHERE email || '' = {email:'planted-ann@x'}
--> refused: operator || is not possible on protected column "public.users.email"

SELECT id FROM users WHERE coalesce(nick, email) = {email:'planted-cy@x'}
--> refused: copying into "public.users.nick" is not possible on protected column "public.users.email"

SELECT id FROM users WHERE nullif(nick, '') = {nick:'planted-bob'}
--> same

SELECT id FROM users WHERE length(email) = {n:13}
--> refused: function length() is not possible on protected column "public.users.email"

SELECT id FROM users WHERE email = same_text({email:'planted-ann@x'})
--> refused: protected column "public.users.email" can only be compared with a parameter, a literal or a searchable column of the same index domain
