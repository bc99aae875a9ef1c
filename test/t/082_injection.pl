# SQL in places where a text, a name or JSON is expected: in every such argument of every function, in the settings of a request, and
# in the names of tables, columns, schemas and roles that the library makes SQL for. None of it runs: each would count itself
# in a sequence, which no rollback takes back.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('injection');
$node->init;
$node->append_conf('postgresql.conf', "log_statement = none\nlog_min_error_statement = panic\nlog_min_messages = fatal\nstatement_timeout = '3min'\n");
$node->start;
$node->safe_psql(
	'postgres', q{
	CREATE SEQUENCE public.hit;
	CREATE FUNCTION public.hit() RETURNS text LANGUAGE sql VOLATILE AS $$SELECT nextval('public.hit')::text$$;
	CREATE EXTENSION taskapi;
	CREATE ROLE inj_anonymous;
	CREATE ROLE inj_user;
	SELECT taskapi.create_task_api('tasks', 'api', 'inj_anonymous', 'inj_user');
	SELECT tasks.create_account('ann@example.org');
	INSERT INTO tasks.project (name, creator_id) SELECT 'P', id FROM tasks.account;
	INSERT INTO tasks.task (project_id, title) SELECT id, 'T ' || n FROM tasks.project, generate_series(1, 5) n;
	CREATE TABLE public.plain (id int PRIMARY KEY, body text);
	INSERT INTO public.plain SELECT n, 'row ' || n FROM generate_series(1, 5) n;
	SELECT taskapi.expose('public.plain', 'public', 'plains');

	-- what the walk must find: texts put between quotes, or taken for a name or an expression
	CREATE SCHEMA bait;
	CREATE FUNCTION bait.literal(a text) RETURNS void LANGUAGE plpgsql AS $$BEGIN EXECUTE 'SELECT ''' || a || ''''; END$$;
	CREATE FUNCTION bait.escaped(a text) RETURNS void LANGUAGE plpgsql AS $$BEGIN EXECUTE 'SELECT E''' || replace(a, '''', '''''') || ''''; END$$;
	CREATE FUNCTION bait.quoted(a text) RETURNS void LANGUAGE plpgsql AS $$BEGIN EXECUTE 'SELECT "' || a || '" FROM public.plain'; END$$;
	CREATE FUNCTION bait.expression(a text) RETURNS void LANGUAGE plpgsql AS $$BEGIN EXECUTE 'SELECT * FROM public.plain ORDER BY ' || a; END$$;
	CREATE FUNCTION bait.dollar(a text) RETURNS void LANGUAGE plpgsql AS $$BEGIN EXECUTE 'SELECT $x$' || a || '$x$'; END$$;
	CREATE FUNCTION bait.key(a jsonb) RETURNS void LANGUAGE plpgsql AS $$BEGIN EXECUTE 'SELECT * FROM public.plain WHERE "' || (SELECT min(k) FROM jsonb_object_keys(a) k) || '" IS NULL'; END$$;
	CREATE FUNCTION bait.value(a jsonb) RETURNS void LANGUAGE plpgsql AS $$BEGIN EXECUTE 'SELECT * FROM public.plain WHERE body = ''' || (SELECT min(v) FROM jsonb_each_text(a) e(k, v)) || ''''; END$$;
	CREATE FUNCTION bait.element(a text[]) RETURNS void LANGUAGE plpgsql AS $$BEGIN EXECUTE 'SELECT ''{' || a[1] || '}''::text[]'; END$$;});
my $ann = $node->safe_psql('postgres', 'SELECT id FROM tasks.account');

my @injections = (
	"'; SELECT public.hit(); --", "' || public.hit() || '", "\\'; SELECT public.hit(); --", "\\' || public.hit() || \\'", '"; SELECT public.hit(); --', '"||public.hit()||"', 'id" FROM public.plain; SELECT public.hit(); --',
	'body" IS NULL OR public.hit() = \'x\' OR "body', 'public.hit()', 'id, public.hit()', 'id; SELECT public.hit(); --', 'id DESC NULLS LAST, (SELECT public.hit())', '(SELECT public.hit())', "id) , (public.hit()", '$x$; SELECT public.hit(); --',
	'$$; SELECT public.hit(); --', '{public.hit()}', "}' || public.hit() || '{", "*/ public.hit() /*", "\n; SELECT public.hit();", "' UNION SELECT public.hit() --", "\x{2019}; SELECT public.hit(); --", '%s\'; SELECT public.hit(); --', "plains'; SELECT public.hit(); --");

sub quote
{
	my $s = shift;
	utf8::encode($s) if utf8::is_utf8($s);
	$s =~ s/\\/\\\\/g;
	$s =~ s/'/''/g;
	return "E'$s'";
}

my $scripts = 0;
sub script
{
	my ($text) = @_;
	my $file = $node->basedir . '/script_' . $scripts++ . '.sql';
	append_to_file($file, "\\set QUIET on\n\\set VERBOSITY verbose\n\\o /dev/null\nSET client_min_messages = error;\n" . $text);
	my ($out, $err) = run_command([ 'psql', '-X', '-f', $file, $node->connstr('postgres') ]);
	unlike($err, qr/server closed the connection|connection to server was lost/, 'the server lives');
	return $err;
}
sub hits
{
	my $hits = $node->safe_psql('postgres', 'SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM public.hit');
	$node->safe_psql('postgres', q{SELECT setval('public.hit', 1, false)});
	return $hits;
}

# Every argument that holds text, with every injection, between values that let the function get far.
my %sample = (
	text => [ "'id'", "'a'", "'jwt'", 'NULL' ], name => ["'public'"], regclass => [ "'public.plains'", "'api.tasks'", "'public.plain'" ], jsonb => [ 'NULL', "'{}'" ], json => ["'{}'"], integer => [ '1', 'NULL' ], bigint => ['1'], boolean => ['true'], smallint => ['1'],
	interval => ["'1 hour'"], bytea => ["'\\x00'"], uuid => ["'$ann'"], regrole => ["'inj_user'"], 'timestamp with time zone' => ["'2099-01-01'"], 'text[]' => ["'{read}'"], 'name[]' => ["'{id}'"], 'uuid[]' => ["'{$ann}'"],
	anyelement => [ 'NULL::public.plains', "'a'::text" ], '"any"' => ['1'], inet => ["'127.0.0.1'"], regtype => ["'int4'"]);
my %hostile = (
	text => sub { quote($_[0]) . '::text' }, name => sub { quote($_[0]) . '::name' }, json => sub { 'to_json(' . quote($_[0]) . '::text)' }, 'text[]' => sub { 'ARRAY[' . quote($_[0]) . ']::text[]' }, 'name[]' => sub { 'ARRAY[' . quote($_[0]) . ']::name[]' });
my @jsonb = (
	sub { 'jsonb_build_object(' . quote($_[0]) . ", 'x')" }, sub { "jsonb_build_object('body', " . quote($_[0]) . ', \'purpose\', ' . quote($_[0]) . ')' }, sub { "jsonb_build_object('body', jsonb_build_object(" . quote($_[0]) . ", 'x'))" },
	sub { "jsonb_build_object('body', jsonb_build_object('like', " . quote($_[0]) . '))' }, sub { "jsonb_build_object('title', jsonb_build_object('in', jsonb_build_array(" . quote($_[0]) . ')))' }, sub { "jsonb_build_object('per_user', " . quote($_[0]) . ')' });

sub walk
{
	my ($schemas, $which) = @_;
	my @functions = map { [ split /\|/, $_, -1 ] } split /\n/, $node->safe_psql(
		'postgres', qq{
		SELECT p.oid::regproc, (SELECT string_agg(format_type(t.o, NULL), ',' ORDER BY t.n) FROM unnest(p.proargtypes) WITH ORDINALITY t(o, n)), p.pronargdefaults, p.provariadic <> 0, array_to_string(p.proargnames, ',')
		FROM pg_proc p
		WHERE p.pronamespace = ANY ('{$schemas}'::regnamespace[]) AND p.prokind = 'f' AND p.pronargs > 0
			AND NOT 'internal'::regtype = ANY (p.proargtypes) AND NOT 'cstring'::regtype = ANY (p.proargtypes) AND $which
		ORDER BY 1::text});
	my ($statements, $arguments, $text) = (0, 0, '');
	for my $function (@functions)
	{
		my ($name, $types, $defaults, $variadic, $names) = @$function;
		my @types = split /,/, $types;
		my @names = split /,/, $names;
		for my $at (0 .. $#types)
		{
			my @makers = $types[$at] eq 'jsonb' ? @jsonb : grep { defined } $hostile{ $types[$at] };
			next unless @makers;
			# a scope is SQL: an expression that runs as the table's owner, whose rights the caller of expose() must have
			next if $name =~ /^(?:taskapi\.)?expose/ && $names[$at] eq 'scope';
			$arguments++;
			my $n = 0;
			for my $injection (@injections)
			{
				for my $maker (@makers)
				{
					# with the arguments that must be given and those up to this one, and with all of them
					for my $last ($at > $#types - $defaults ? $at : $#types - $defaults, $#types)
					{
						my @args = map { my $i = $_; my $values = $sample{ $types[$i] } // ['NULL'];
							$i == $at ? $maker->($injection) : $values->[ $n % @$values ] . ($types[$i] =~ /^"?any/ ? '' : "::$types[$i]") } 0 .. $last;
						$n++;
						my $call = "$name(" . join(', ', map { $variadic eq 't' && $_ == $#types && $types[$_] =~ /\[\]$/ ? "VARIADIC $args[$_]" : $args[$_] } 0 .. $#args) . ')';
						my $setting = $n % 3 == 0 ? "SET LOCAL request.method = 'POST'; SET LOCAL request.path = '/x'; SET LOCAL request.jwt.claims = '{\"sub\": \"$ann\"}'; " : '';
						$text .= "BEGIN; ${setting}SELECT * FROM $call f;\nROLLBACK;\n";
						$statements++;
					}
				}
			}
		}
	}
	note "$statements statements for $arguments arguments of " . scalar(@functions) . ' functions';
	my $err = script($text);
	return ($statements, $err);
}

my ($n, $err) = walk('bait', 'true');
cmp_ok(hits(), '>', 20, 'the walk finds what can be injected into');
for my $bait (qw(literal escaped quoted expression dollar key value element))
{
	my $text = '';
	for my $injection (@injections)
	{
		my $maker = { key => $jsonb[0], value => $jsonb[1], element => $hostile{'text[]'} }->{$bait} // $hostile{text};
		$text .= "SELECT bait.$bait(" . $maker->($injection) . ");\n";
	}
	script($text);
	cmp_ok(hits(), '>', 0, "each kind of it: $bait");
}
my $state = q{SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_roles), (SELECT string_agg(p::text, ',' ORDER BY id) FROM public.plain p), (SELECT count(*) FROM tasks.task)};
my $before = $node->safe_psql('postgres', $state);
# The steps of expose() are nobody's to call; with a table that was not prepared they fail in whatever way.
my $steps = q{(p.proname IN ('purge_source', 'make_resource', 'drop_resource') OR 'taskapi.wanted_resource'::regtype = ANY (p.proargtypes))};
walk('taskapi', $steps);
is(hits(), 0, 'nothing ran in the steps of expose()');
# run_as() runs the SQL that it is given.
($n, $err) = walk('taskapi,tasks,api', "NOT $steps AND p.proname <> 'run_as'");
cmp_ok($n, '>', 2000, 'many calls');
is(hits(), 0, 'nothing ran');
# a syntax error is a text that became SQL, be it that it did not get through
my @broken = grep { /ERROR:\s+(42601|XX)/ } split /\n/, $err;
is(scalar @broken, 0, 'nor was any of it taken for SQL') or diag join "\n", @broken[ 0 .. ($#broken > 9 ? 9 : $#broken) ];
is($node->safe_psql('postgres', $state), $before, 'nothing was changed');

# What comes with a request.
my $text = '';
for my $injection (@injections)
{
	my $q = quote($injection);
	for my $setting (
		"'request.method', $q", "'request.path', $q", "'request.headers', json_build_object('x-api-key', $q)::text", "'request.headers', json_build_object('idempotency-key', $q, 'if-match', $q)::text",
		"'request.headers', json_build_object($q, $q)::text", "'request.cookies', json_build_object('__Host-session', $q)::text", "'request.jwt.claims', json_build_object('sub', $q, 'role', $q)::text",
		"'request.headers', json_build_object('x-forwarded-for', $q, 'origin', $q, 'host', $q)::text", "'request.jwt.claims', $q")
	{
		$text .= "BEGIN; SELECT set_config('request.method', 'POST', true), set_config('request.path', '/tasks', true), set_config('request.jwt.claims', '{\"sub\": \"$ann\"}', true); SELECT set_config($setting, true);\n"
		  . "SAVEPOINT s; SELECT taskapi.pre_request();\nROLLBACK TO s; SELECT taskapi.my_api_keys();\nROLLBACK TO s; INSERT INTO api.tasks (project_id, title) SELECT id, $q FROM api.projects;\nROLLBACK TO s;\n"
		  . "UPDATE api.tasks SET title = $q, labels = ARRAY[$q];\nROLLBACK TO s; DELETE FROM api.tasks;\nROLLBACK TO s; INSERT INTO api.api_keys (name, scopes) VALUES ($q, ARRAY[$q]);\nROLLBACK TO s; INSERT INTO api.sessions (email, password) VALUES ($q, $q);\nROLLBACK;\n";
	}
}
$err = script($text);
is(hits(), 0, 'nothing of a request runs');
is(scalar(() = $err =~ /ERROR:\s+(42601|XX)/g), 0, 'nor is taken for SQL');

# Names. Each is the name of a schema, a table, its columns, an index, a constraint and a role, and all is done with them that the library
# does: exposed twice, granted, written, paged, filtered, deleted, restored, purged, taken back.
my $done = 0;
for my $injection (grep { length($_) <= 40 } @injections)
{
	my $i = '"' . ($injection =~ s/"/""/gr) . '"';
	utf8::encode($i) if utf8::is_utf8($i);
	my $q = quote($injection);
	my $role = quote('"' . ($injection =~ s/"/""/gr) . '"');
	my $table = quote('"' . ($injection =~ s/"/""/gr) . '"."' . ($injection =~ s/"/""/gr) . ' t"');
	my $view = quote('"' . ($injection =~ s/"/""/gr) . '"."' . ($injection =~ s/"/""/gr) . ' r"');
	my $i_t = $i =~ s/"$/ t"/r;
	my $i_r = $i =~ s/"$/ r"/r;
	my $i_k = $i =~ s/"$/ k"/r;
	my $child = quote('"' . ($injection =~ s/"/""/gr) . '".children');
	my $child_t = $child =~ s/children'$/child'/r;
	my $errors = script(
		"CREATE ROLE $i;
CREATE SCHEMA $i;
CREATE TABLE $i.$i_t ($i_k text, n int, $i text NOT NULL DEFAULT $q, created_at timestamptz NOT NULL DEFAULT now(), CONSTRAINT $i PRIMARY KEY ($i_k, n), CONSTRAINT $i_k CHECK ($i <> 'bad'));
CREATE UNIQUE INDEX ON $i.$i_t ($i);
CREATE TABLE $i.child (id int PRIMARY KEY, $i text, n int, CONSTRAINT $i_r FOREIGN KEY ($i, n) REFERENCES $i.$i_t ON DELETE CASCADE);
SELECT taskapi.expose($table, $q, $q || ' r');
SELECT taskapi.expose($table, $q, $q || ' r');
SELECT taskapi.expose($child_t, $q, 'children');
SELECT taskapi.grant_resource($view, $role, '{read,create,update,delete,restore,purge}');
SELECT taskapi.set_api_roles($role, 'inj_user');
SELECT taskapi.set_api_roles('inj_anonymous', $role);
INSERT INTO $i.$i_r ($i_k, n, $i) SELECT $q, n, $q || n FROM generate_series(1, 5) n;
INSERT INTO $i.children (id, $i, n) SELECT n, $q, n FROM generate_series(1, 5) n;
UPDATE $i.$i_r SET $i = $i || 'x' WHERE n = 2;
SELECT taskapi.page($view, " . quote($i) . " || ' DESC', 2, (taskapi.page($view, " . quote($i) . " || ' DESC', 2)).next_page_token);
SELECT * FROM taskapi.page_rows(NULL::$i.$i_r, " . quote($i_k) . " || ' DESC, n', 2, filter => jsonb_build_object($q, jsonb_build_object('gte', $q)));
SELECT taskapi.index_advice($view, " . quote($i) . ");
SELECT cursor FROM $i.$i_r;
DELETE FROM $i.$i_r WHERE n <= 3;
UPDATE $i." . ($i_r =~ s/^"/"deleted_/r) . " SET deleted_at = NULL WHERE n = 1;
DELETE FROM $i." . ($i_r =~ s/^"/"deleted_/r) . " WHERE n = 2;
DO \$do\$ BEGIN INSERT INTO $i.$i_r ($i_k, n, $i) VALUES ('x', 99, 'bad'); RAISE 'no problem'; EXCEPTION WHEN check_violation THEN NULL; END \$do\$;
SELECT taskapi.purge_deleted('0 seconds');
CALL taskapi.maintain();
SET ROLE $i;
SELECT count(*) FROM $i.$i_r;
RESET ROLE;
SELECT taskapi.unexpose($child);
SELECT taskapi.unexpose($view);
SELECT taskapi.set_api_roles('inj_anonymous', 'inj_user');
DROP SCHEMA $i CASCADE;
DROP OWNED BY $i;
DROP ROLE $i;
");
	is($errors, '', 'all that is done with a table and a role of the name ' . ($injection =~ s/[^\x20-\x7e]/?/gr)) and $done++;
}
cmp_ok($done, '>', 15, 'names of many kinds');
my $errors = '';
for my $injection (grep { !/\x{2019}/ } @injections)
{
	my $name = substr($injection, 0, 30);
	my ($data, $api) = map { $_ . $name =~ s/"/""/gr } 'd', 'a';
	my $said = script('SELECT taskapi.create_task_api(' . quote("d$name") . ', ' . quote("a$name") . ", 'inj_anonymous', 'inj_user');\n");
	if ($name =~ /\$/) { like($said, qr/cannot hold the task API/, "no task API in $name"); next; }
	$errors .= $said . script(qq{SELECT "$data".create_account('ann\@example.org');
		SET request.jwt.claims = '{"sub": "$ann"}'; INSERT INTO "$data".account (id, email, display_name) VALUES ('$ann', 'x\@example.org', 'x');
		SET ROLE inj_user; INSERT INTO "$api".projects (name) VALUES ('P'); INSERT INTO "$api".tasks (project_id, title) SELECT id, 'T' FROM "$api".projects;
		SELECT "$api".tasks_page('due_date'); SELECT "$api".my_tasks(1); SELECT * FROM "$api".api_keys; SELECT * FROM "$api".sessions; DELETE FROM "$api".projects; RESET ROLE;
		CALL taskapi.maintain(); DROP SCHEMA "$data", "$api" CASCADE;});
}
is($errors, '', 'the task API in schemas of such names');
is(hits(), 0, 'and nothing of a name runs');

$node->stop;
done_testing();
