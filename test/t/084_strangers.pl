# Among strangers: a role with CREATE on the database, or with tables of its own in the registry, gains nothing by what it planted
# before the extension, the task API and resources were made, nor by what an administrator does to its tables afterwards; and
# default privileges open nothing of ours to a role that was not named, and close nothing that is everybody's.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('strangers');
$node->init;
$node->start;
$node->safe_psql('postgres', 'CREATE ROLE mallory LOGIN; CREATE ROLE analyst; CREATE ROLE api_anonymous; CREATE ROLE api_user; CREATE ROLE app_owner;
	CREATE ROLE "Other Admin" SUPERUSER LOGIN');

my $n = 0;

# A database in which mallory may create schemas.
sub database
{
	my $db = 'db' . ++$n;
	$node->safe_psql('postgres', "CREATE DATABASE $db; GRANT CREATE ON DATABASE $db TO mallory; GRANT CREATE ON DATABASE $db TO app_owner");
	return $db;
}

sub refused
{
	my ($name, $db, $sql, $like) = @_;
	my ($out, $err) = ('', '');
	$node->psql($db, "SET client_min_messages = warning; $sql", stdout => \$out, stderr => \$err, on_error_stop => 1);
	like($err, $like, $name);
	not_superuser("$name: mallory is nobody");
	return;
}

sub not_superuser
{
	my $name = shift;
	is($node->safe_psql('postgres', q{SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'}), 'f', $name);
	$node->safe_psql('postgres', 'ALTER ROLE mallory NOSUPERUSER');
	return;
}

# Whatever runs this with rights makes mallory one who has them, or leaves a setting that will.
my $evil = q{DO $do$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO mallory', current_database()); END $do$;
	CREATE SCHEMA IF NOT EXISTS mal AUTHORIZATION mallory; SET ROLE mallory;
	CREATE FUNCTION mal.grab() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
		IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN ALTER ROLE mallory SUPERUSER; END IF;
		PERFORM pg_catalog.set_config('search_path', 'mal', false);
		RETURN true; END $$; RESET ROLE;};

# A schema taskapi that is there already.

my $db = database();
$node->safe_psql($db, 'SET ROLE mallory; CREATE SCHEMA taskapi');
refused('schema taskapi of another role', $db, 'CREATE EXTENSION taskapi', qr/schema "taskapi" belongs to role "mallory"/);

for my $grantee ('mallory', 'PUBLIC')
{
	$db = database();
	$node->safe_psql($db, "CREATE SCHEMA taskapi; GRANT CREATE ON SCHEMA taskapi TO $grantee");
	refused("schema taskapi in which $grantee may create", $db, 'CREATE EXTENSION taskapi', qr/role $grantee may create objects in schema "taskapi"/);
}

# Objects of all kinds, made while mallory could. The operators fit what the install script compares more exactly than
# pg_catalog's own.
my %planted = (
	'a table' => 'CREATE TABLE taskapi.x ()',
	'a function' => 'CREATE FUNCTION taskapi.x() RETURNS int LANGUAGE sql AS $$SELECT 1$$',
	'a procedure' => 'CREATE PROCEDURE taskapi.x() LANGUAGE sql AS $$SELECT 1$$',
	'an aggregate' => 'CREATE AGGREGATE taskapi.x(int) (SFUNC = int4pl, STYPE = int)',
	'a type' => 'CREATE TYPE taskapi.x AS ENUM ()',
	'a domain' => 'CREATE DOMAIN taskapi.oid AS pg_catalog.oid CHECK (mal.grab())',
	'a collation' => 'CREATE COLLATION taskapi.x FROM "C"',
	'a conversion' => q{CREATE CONVERSION taskapi.x FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8},
	'a sequence' => 'CREATE SEQUENCE taskapi.x',
	'a text search configuration' => 'CREATE TEXT SEARCH CONFIGURATION taskapi.x (COPY = simple)',
	'a text search dictionary' => 'CREATE TEXT SEARCH DICTIONARY taskapi.x (TEMPLATE = simple)',
	'an operator' => q{CREATE FUNCTION mal.eq(oid, regnamespace) RETURNS boolean LANGUAGE sql AS 'SELECT mal.grab()';
		CREATE OPERATOR taskapi.= (LEFTARG = oid, RIGHTARG = regnamespace, FUNCTION = mal.eq);
		CREATE FUNCTION mal.eq4(oid, int) RETURNS boolean LANGUAGE sql AS 'SELECT mal.grab()';
		CREATE OPERATOR taskapi.= (LEFTARG = oid, RIGHTARG = int, FUNCTION = mal.eq4)});
for my $kind (sort keys %planted)
{
	$db = database();
	$node->safe_psql($db, "$evil CREATE SCHEMA taskapi; GRANT CREATE, USAGE ON SCHEMA taskapi TO mallory; SET ROLE mallory; $planted{$kind};
		RESET ROLE; REVOKE ALL ON SCHEMA taskapi FROM mallory");
	refused("schema taskapi that holds $kind", $db, 'CREATE EXTENSION taskapi', qr/schema "taskapi" exists already and is not empty/);
}

$db = database();
$node->safe_psql($db, 'SET ROLE "Other Admin"; CREATE SCHEMA taskapi; GRANT USAGE ON SCHEMA taskapi TO PUBLIC; RESET ROLE; CREATE EXTENSION taskapi');
is($node->safe_psql($db, q{SELECT r.rolname = current_user FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner WHERE nspname = 'taskapi'}),
	't', 'a schema of another superuser, as a dump restores it, is taken over');
refused('mallory cannot take it away', $db, 'SET ROLE mallory; ALTER SCHEMA taskapi RENAME TO theirs', qr/must be owner of schema taskapi/);

# The library in a database without the extension: what has the names of ours there is not asked, and is in nobody's way.

$db = database();
my $preload = "SET session_preload_libraries = 'taskapi'";
$node->safe_psql('postgres', "ALTER DATABASE $db $preload");
$node->safe_psql($db, "$evil SET ROLE mallory; CREATE SCHEMA taskapi; GRANT USAGE ON SCHEMA taskapi TO PUBLIC;
	CREATE TABLE taskapi.resource (resource regclass, source regclass, deleted regclass, page name, order_by text, soft_delete boolean, versioned boolean,
		idempotent boolean, deleted_at_column name, changes boolean, scope text, publish text, departures regclass);
	INSERT INTO taskapi.resource (resource, source, soft_delete, versioned, idempotent, deleted_at_column, changes)
		VALUES ('pg_catalog.pg_roles', 'taskapi.resource', false, false, false, 'x', false);
	CREATE FUNCTION taskapi.grab(text, record) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN mal.grab(); END';
	CREATE AGGREGATE taskapi.json_rows(record) (SFUNC = taskapi.grab, STYPE = text);
	CREATE AGGREGATE taskapi.json_row(record) (SFUNC = taskapi.grab, STYPE = text)");
my $superusers = q{SELECT json_agg(t) FROM (SELECT rolname FROM pg_roles WHERE rolname = 'postgres') t};
is($node->safe_psql($db, $superusers), '[{"rolname":"postgres"}]', 'an aggregate of the name of ours is not called');
not_superuser('an aggregate of the name of ours: mallory is nobody');
$node->safe_psql($db, 'SET ROLE mallory; ALTER TABLE taskapi.resource DROP COLUMN scope');
is($node->safe_psql($db, "$superusers; BEGIN; CREATE TABLE pair (a int, b int DEFAULT 2); CREATE VIEW pairs AS TABLE pair; INSERT INTO pairs VALUES (1) RETURNING *; ROLLBACK"),
	qq{[{"rolname":"postgres"}]\n1|2}, 'nor is a table of the name of ours read');
$db = database();
$node->safe_psql('postgres', "ALTER DATABASE $db $preload");
$node->safe_psql($db, "$evil CREATE EXTENSION taskapi; CREATE TABLE pair (a int PRIMARY KEY); SELECT taskapi.expose('pair', 'api')");
my $renamed = "BEGIN; INSERT INTO api.pair VALUES (1); ALTER SCHEMA taskapi RENAME TO theirs; SET ROLE mallory; CREATE SCHEMA taskapi;
	GRANT USAGE ON SCHEMA taskapi TO PUBLIC; CREATE FUNCTION taskapi.grab(text, record) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN mal.grab(); END';
	CREATE AGGREGATE taskapi.json_rows(record) (SFUNC = taskapi.grab, STYPE = text);
	CREATE AGGREGATE taskapi.json_row(record) (SFUNC = taskapi.grab, STYPE = text); RESET ROLE;";
is($node->safe_psql($db, "$renamed SELECT json_agg(t) FROM (SELECT a FROM api.pair) t; COMMIT"), '[{"a":1}]', 'in a schema that takes the name of ours');
not_superuser('a schema that takes the name of ours: mallory is nobody');

# Schemas of the task API.

$db = database();
$node->safe_psql($db, "$evil CREATE EXTENSION pgcrypto; CREATE EXTENSION taskapi");
my $api = "SELECT taskapi.create_task_api('tasks', 'api', 'api_anonymous', 'api_user')";
for my $schema ('tasks', 'api')
{
	my $begin = 'BEGIN; SET LOCAL client_min_messages = warning;';
	refused("schema $schema of another role", $db, "$begin SET ROLE mallory; CREATE SCHEMA $schema; RESET ROLE; $api", qr/schema "$schema" belongs to role mallory/);
	refused("schema $schema in which others may create", $db, "$begin CREATE SCHEMA $schema; GRANT CREATE ON SCHEMA $schema TO PUBLIC; $api",
		qr/role PUBLIC may create objects in schema "$schema"/);
	for my $object ("FUNCTION $schema.my_project_ids() RETURNS uuid[] LANGUAGE sql AS 'SELECT NULL::uuid[] WHERE mal.grab()'",
		"TYPE $schema.status AS ENUM ()", "OPERATOR $schema.= (LEFTARG = text, RIGHTARG = name, FUNCTION = texteqname)", "TABLE $schema.note ()",
		"COLLATION $schema.x FROM \"C\"")
	{
		my ($kind) = $object =~ /^(\w+)/;
		refused("a planted $kind in $schema", $db, "$begin CREATE SCHEMA $schema; GRANT CREATE ON SCHEMA $schema TO mallory; SET ROLE mallory; CREATE $object;
			RESET ROLE; REVOKE CREATE ON SCHEMA $schema FROM mallory; $api", qr/schema "$schema" holds objects of role mallory/);
	}
	is($node->safe_psql($db, "$begin CREATE SCHEMA $schema; CREATE TABLE $schema.note (); $api; ROLLBACK"), '', "one's own objects in $schema are no obstacle");
}

# Names of a resource.

$node->safe_psql($db, 'CREATE SCHEMA app AUTHORIZATION app_owner; CREATE SCHEMA shared; SET ROLE app_owner; CREATE TABLE app.note (id int PRIMARY KEY)');
my $grab = 'GRANT CREATE ON SCHEMA shared TO mallory; SET ROLE mallory;';
my $leave = 'RESET ROLE; REVOKE CREATE ON SCHEMA shared FROM mallory;';
my $expose = q{SELECT taskapi.expose('app.note', 'shared')};
refused('expose() into a schema of another role', $db, q{SELECT taskapi.expose('app.note', 'mal')}, qr/schema "mal" belongs to role mallory/);
refused('expose() where others may create', $db, "BEGIN; GRANT CREATE ON SCHEMA shared TO mallory; $expose", qr/role mallory may create objects in schema "shared"/);
refused('a planted view', $db, "BEGIN; $grab CREATE VIEW shared.note AS SELECT 1 AS id; $leave $expose", qr/name "note" is taken/);
refused('a planted type', $db, "BEGIN; $grab CREATE TYPE shared.deleted_note AS ENUM (); $leave $expose", qr/name "deleted_note" is taken/);
refused('a planted page function', $db, "BEGIN; $grab CREATE FUNCTION shared.note_page(page_size int) RETURNS int LANGUAGE sql AS 'SELECT 1'; $leave $expose",
	qr/name "note_page" is taken/);
refused('a page function of one\'s own is not overwritten', $db, "BEGIN; CREATE FUNCTION shared.note_page(text, int, text, jsonb, text, text[], boolean) RETURNS int LANGUAGE sql AS 'SELECT 1'; $expose",
	qr/name "note_page" is taken/);
# it is dropped as its owner, who may not even reach it
refused('a view that was handed to another role', $db, "BEGIN; $expose; ALTER VIEW shared.note OWNER TO mallory; $expose", qr/permission denied for schema shared/);
is($node->safe_psql($db, "SET client_min_messages = warning; $expose"), 'shared.note', 'a superuser exposes the table of another role in a schema of his own');
is($node->safe_psql($db, q{SELECT string_agg(DISTINCT o.owner::regrole::text, ' ') FROM taskapi.objects_in('shared') o}), 'app_owner', 'and what it makes is the owner\'s');
refused('an owner who may not create in the schema is told', $db, "SET ROLE app_owner; $expose", qr/role app_owner may not create objects in schema "shared"/);

# An administrator at the table of another role, all of whose code grabs what it can.

sub hostile_table
{
	my $db = shift;
	$node->safe_psql(
		$db, q{SET client_min_messages = error; SET ROLE mallory;
		CREATE DOMAIN mal.dom AS int CHECK (mal.grab());
		CREATE TABLE mal.t (id int PRIMARY KEY, x int, a mal.dom[] DEFAULT '{1}', created_at timestamptz NOT NULL DEFAULT now());
		SELECT taskapi.expose('mal.t', 'mal', 'r');
		CREATE FUNCTION mal.evil(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM mal.grab(); RETURN 1; END';
		CREATE FUNCTION mal.trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM mal.grab(); RETURN coalesce(NEW, OLD); END';
		CREATE FUNCTION mal.event() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM mal.grab(); END';
		INSERT INTO mal.t VALUES (1, 1), (2, 2);
		UPDATE mal.t SET deleted_at = '2020-01-01', deletion_id = gen_random_uuid() WHERE id = 1;
		CREATE INDEX ON mal.t (x) WHERE mal.evil(1) = 1;
		CREATE INDEX ON mal.t (created_at, mal.evil(x));
		CREATE STATISTICS mal.s ON (mal.evil(x)), x FROM mal.t;
		CREATE TRIGGER a BEFORE UPDATE OR DELETE ON mal.t FOR EACH ROW EXECUTE FUNCTION mal.trigger();
		CREATE CONSTRAINT TRIGGER b AFTER UPDATE OR DELETE ON mal.t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mal.trigger();
		ALTER TABLE mal.t ADD CHECK (mal.evil(x) = 1), ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
		CREATE POLICY p ON mal.t USING (mal.evil(x) = 1);
		ALTER TABLE mal.t ADD COLUMN late mal.dom[] DEFAULT '{2}';
		ALTER VIEW mal.r ALTER COLUMN x SET DEFAULT mal.evil(1);
		CREATE RULE r AS ON UPDATE TO mal.deleted_r DO ALSO SELECT mal.evil(1)});
	return;
}
$db = database();
$node->safe_psql($db, "$evil CREATE EXTENSION taskapi");
hostile_table($db);
# A superuser made it, but its function is mallory's: all DDL of ours on mallory's objects is to run as mallory.
$node->safe_psql($db, "CREATE EVENT TRIGGER e ON ddl_command_end WHEN TAG IN ('ALTER TABLE', 'CREATE VIEW', 'ALTER VIEW', 'CREATE TRIGGER', 'COMMENT', 'CREATE FUNCTION',
	'ALTER FUNCTION', 'GRANT', 'REVOKE') EXECUTE FUNCTION mal.event(); CREATE EVENT TRIGGER d ON sql_drop EXECUTE FUNCTION mal.event()");
my ($upgrade) = slurp_file('docs/operations.md') =~ /^```sql\n(SELECT format\('SELECT taskapi\.expose.*?)```/ms;
ok($upgrade, 'docs/operations.md has the step of an upgrade');
for my $step (
	$upgrade, q{SELECT taskapi.expose('mal.t')}, q{SELECT taskapi.expose('mal.t', soft_delete => false)}, q{SELECT taskapi.expose('mal.t', soft_delete => true)},
	q{SELECT taskapi.index_advice('mal.t', 'x DESC')}, q{SELECT taskapi.grant_resource('mal.r', 'analyst', '{read,read_deleted,create,update,delete,restore,purge}')},
	q{COMMENT ON COLUMN mal.t.x IS '@private'; SELECT taskapi.expose('mal.t')}, q{SELECT taskapi.purge_deleted('1 day')},
	q{CALL taskapi.maintain()}, q{SELECT taskapi.unexpose('mal.r')})
{
	my ($own, $ours) = $step =~ /^(COMMENT[^;]*;)?(.*)$/s;
	$node->safe_psql($db, "SET ROLE mallory; $own") if $own;
	my ($out, $err) = ('', '');
	my $rc = $node->psql($db, "SET client_min_messages = error; $ours;\nSHOW search_path", stdout => \$out, stderr => \$err, on_error_stop => 1);
	is($rc . $err, '0', "done: $ours");
	like($out, qr{user", public\z}, "no setting is left behind: $ours");
	not_superuser("as mallory: $ours");
}
# The table shows it: the same by hand is caught.
$node->safe_psql($db, 'UPDATE mal.t SET x = x');
is($node->safe_psql('postgres', q{SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'}), 't', 'a trigger that does run as a superuser is seen');
$node->safe_psql('postgres', 'ALTER ROLE mallory NOSUPERUSER');

# run_as() is no way up.
refused('run_as() takes a role that one has', $db, q{SET ROLE mallory; SELECT taskapi.run_as('app_owner', 'SELECT 1')}, qr/must be member of role "app_owner"/);
refused('run_as() leads back to nobody', $db, q{SELECT taskapi.run_as('mallory', 'RESET ROLE')}, qr/cannot set parameter "role" within security-/);
is($node->safe_psql($db, q{SELECT taskapi.run_as('mallory', $$SELECT set_config('search_path', 'mal', false)$$); SHOW search_path}), qq{mal\n"\$user", public},
	'settings end with the command');
refused("run_as() tells of a command that was not run: $_", $db, "SELECT taskapi.run_as('mallory', '$_')", qr/cannot run this command: SPI_ERROR_/)
	for 'COPY (SELECT 1) TO STDOUT', 'COMMIT';
SKIP:
{
	skip 'a member without SET, from 16 on', 1 if $node->safe_psql('postgres', 'SHOW server_version_num') < 160000;
	$node->safe_psql($db, 'CREATE ROLE heir; GRANT app_owner TO heir WITH INHERIT TRUE, SET FALSE');
	refused('run_as() takes a role that one may become', $db, q{SET ROLE heir; SELECT taskapi.run_as('app_owner', 'SELECT 1')}, qr/must be member of role "app_owner"/);
}

# Default privileges of every kind, over every object.

my $make = qq{
	SET client_min_messages = warning;
	CREATE EXTENSION taskapi;
	SELECT taskapi.create_task_api('tasks', 'api', 'api_anonymous', 'api_user') \\g /dev/null
	SELECT taskapi.create_task_api('tasks2', 'api2') \\g /dev/null
	CREATE SCHEMA IF NOT EXISTS app AUTHORIZATION app_owner;
	CREATE TABLE public.note (id serial PRIMARY KEY, body text);
	ALTER TABLE public.note OWNER TO app_owner;
	SELECT taskapi.expose('public.note', 'api3') \\g /dev/null
	SELECT taskapi.grant_resource('api3.note', 'api_user') \\g /dev/null
	SET ROLE app_owner;
	SELECT taskapi.expose('public.note', 'api4', 'note') \\g /dev/null
	SELECT taskapi.grant_resource('api4.note', 'api_user', '{read,read_deleted}') \\g /dev/null
	SELECT taskapi.expose('public.note', 'api4', 'note') \\g /dev/null
	RESET ROLE};
my $privileges = q{
	SELECT o.kind || ' ' || o.name || ': ' || coalesce(r.rolname, 'PUBLIC') || ' ' || a.privilege_type || CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
	FROM (
		SELECT 'schema' AS kind, n.nspname::text AS name, coalesce(n.nspacl, acldefault('n', n.nspowner)) AS acl, n.oid AS schema FROM pg_namespace n
		UNION ALL SELECT 'relation', c.oid::regclass::text, coalesce(c.relacl, acldefault((CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char", c.relowner)), c.relnamespace
			FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
		UNION ALL SELECT 'column', c.oid::regclass || '.' || t.attname, t.attacl, c.relnamespace FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid
		UNION ALL SELECT 'function', p.oid::regprocedure::text, coalesce(p.proacl, acldefault('f', p.proowner)), p.pronamespace FROM pg_proc p
		UNION ALL SELECT 'type', t.oid::regtype::text, coalesce(t.typacl, acldefault('T', t.typowner)), t.typnamespace FROM pg_type t WHERE t.typcategory <> 'A'
	) o CROSS JOIN aclexplode(o.acl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
	WHERE o.schema IN (SELECT oid FROM pg_namespace WHERE nspname IN ('taskapi', 'tasks', 'api', 'tasks2', 'api2', 'api3', 'api4'))
	ORDER BY 1};
$node->safe_psql('postgres', 'CREATE DATABASE template; GRANT CREATE ON DATABASE template TO app_owner');
$node->safe_psql('template', 'CREATE EXTENSION pgcrypto; CREATE SCHEMA taskapi; CREATE SCHEMA tasks; CREATE SCHEMA api');
sub made
{
	my ($before) = @_;
	my $db = 'db' . ++$n;
	$node->safe_psql('postgres', "CREATE DATABASE $db TEMPLATE template; GRANT CREATE ON DATABASE $db TO app_owner");
	$node->safe_psql($db, "$before; $make");
	return $node->safe_psql($db, $privileges);
}
my $clean = made('SELECT 1');
unlike($clean, qr/analyst/, 'without default privileges analyst has none');
cmp_ok(scalar(split /\n/, $clean), '>', 500, 'many objects');
my @kinds = ('TABLES', 'SEQUENCES', 'FUNCTIONS', 'TYPES');
my %default = (
	'for a role' => join(';', map { "ALTER DEFAULT PRIVILEGES GRANT ALL ON $_ TO analyst" } @kinds, 'SCHEMAS'),
	'with grant option' => join(';', map { "ALTER DEFAULT PRIVILEGES GRANT ALL ON $_ TO analyst WITH GRANT OPTION" } @kinds, 'SCHEMAS'),
	'for PUBLIC' => join(';', map { "ALTER DEFAULT PRIVILEGES GRANT ALL ON $_ TO PUBLIC" } @kinds, 'SCHEMAS'),
	'in the schemas' => join(';', map { "ALTER DEFAULT PRIVILEGES IN SCHEMA taskapi, tasks, api GRANT ALL ON $_ TO analyst" } @kinds),
	'of the owner of a table' => join(';', map { "ALTER DEFAULT PRIVILEGES FOR ROLE app_owner GRANT ALL ON $_ TO analyst" } @kinds, 'SCHEMAS'),
	'for the roles of the API' => join(';', map { "ALTER DEFAULT PRIVILEGES GRANT ALL ON $_ TO api_user, api_anonymous" } @kinds, 'SCHEMAS'),
	'less for PUBLIC' => 'ALTER DEFAULT PRIVILEGES REVOKE ALL ON FUNCTIONS FROM PUBLIC; ALTER DEFAULT PRIVILEGES REVOKE ALL ON TYPES FROM PUBLIC',
	'less for oneself' => join(';', map { "ALTER DEFAULT PRIVILEGES REVOKE ALL ON $_ FROM CURRENT_USER; ALTER DEFAULT PRIVILEGES FOR ROLE app_owner REVOKE ALL ON $_ FROM app_owner" }
		  @kinds, 'SCHEMAS'));
for my $name (sort keys %default)
{
	my $db_privileges = made($default{$name});
	my ($got, $expected) = map { { map { $_ => 1 } split /\n/, $_ } } $db_privileges, $clean;
	is(join("\n", (map { "- $_" } grep { !$got->{$_} } sort keys %$expected), (map { "+ $_" } grep { !$expected->{$_} } sort keys %$got)), '', "default privileges $name");
}

$node->stop;
done_testing();
