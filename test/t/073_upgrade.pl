# An upgraded database equals a fresh one, object by object: definitions, privileges, comments, types, triggers, configuration.
# Its data survives, its resources go on working, and the upgrade locks no table of the user's. Until it comes, this library
# serves the SQL of every released version.
#
# Every version in test/released/ (the install scripts as they were released) is upgraded step by step to the current one. A
# version that is made up, with a step that is right and with steps that each forget something, tests the comparison itself.
use strict;
use warnings;
use File::Basename;
use File::Compare;
use File::Copy;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('upgrade');
$node->init;
$node->start;
my $dir = $node->config_data('--sharedir') . '/extension';
my ($current) = slurp_file("$dir/taskapi.control") =~ /default_version = '(.*)'/;
my @made;
END { unlink @made; }

my $objects = slurp_file('test/objects.sql');

# A database that holds nothing but the extension. The first of a version is kept as it is.
my $n = 0;
my %first;

sub fresh
{
	my $version = shift;
	if (!$first{$version})
	{
		$first{$version} = 'first' . keys %first;
		$node->safe_psql('postgres', "CREATE DATABASE $first{$version}");
		$node->safe_psql($first{$version}, "CREATE EXTENSION taskapi VERSION '$version'");
	}
	return $first{$version};
}

sub database
{
	my $first = fresh(shift);
	my $db = 'db' . ++$n;
	$node->safe_psql('postgres', "CREATE DATABASE $db TEMPLATE $first");
	return $db;
}

# The objects in which two databases differ. In databases that hold nothing but the extension, these are also what pg_dump writes
# of its members for pg_upgrade.
sub differences
{
	my ($bare, @db) = @_;
	my @definitions;
	for my $db (@db)
	{
		my $out = '';
		!$bare or PostgreSQL::Test::Utils::run_log([ 'pg_dump', '--binary-upgrade', '--schema-only', $node->connstr($db) ], '|', ['test/definitions'], '>', \$out) or die "$db: no definitions";
		my %of = map { split /\|/, $_, 2 } split /\n/, $node->safe_psql($db, $objects);
		/^Name: (.*?; Type: .*?); Schema: / and $of{$1} .= $_ foreach split /\n/, $out;
		push @definitions, \%of;
	}
	my ($one, $other) = @definitions;
	my %all = (%$one, %$other);
	return join("\n", grep { ($one->{$_} // '') ne ($other->{$_} // '') } sort keys %all);
}

# An upgrade from one version to another is that of a database that holds nothing else.
sub step_differs
{
	my ($from, $to) = @_;
	my $db = database($from);
	$node->safe_psql($db, "ALTER EXTENSION taskapi UPDATE TO '$to'");
	return differences(1, $db, fresh($to));
}

sub fill
{
	my $db = shift;
	$node->safe_psql(
		$db, q{
		SELECT taskapi.create_task_api();
		INSERT INTO tasks.account (id, email, display_name) VALUES ('018f0000-0000-7000-8000-000000000001', 'a@example.org', 'A');
		INSERT INTO tasks.project (name) SELECT 'P' || n FROM generate_series(1, 10) n;
		INSERT INTO tasks.task (project_id, title) SELECT id, 'T' || n FROM tasks.project, generate_series(1, 10) n;
		DELETE FROM api.tasks WHERE title = 'T3';
		SELECT taskapi.rotate_secret('cursor');
		SELECT FROM taskapi.idempotency_begin('k', scope => 's'), taskapi.idempotency_complete('k', 200, '{"a": 1}', scope => 's');
		CREATE TABLE public.token AS SELECT cursor::text AS token FROM api.tasks ORDER BY created_at DESC, id DESC OFFSET 9 LIMIT 1});
	return;
}

# Work with what fill() made, by what a released SQL calls in the library. It is the same before the upgrade and after it.
sub serve
{
	my ($db, $name) = @_;
	my $post = q{INSERT INTO api.tasks (project_id, title) SELECT id, 'posted' FROM api.projects ORDER BY id LIMIT 1};
	my $answer = $node->safe_psql(
		$db, qq{
		SET client_min_messages = warning;
		SET request.method = 'POST';
		SET request.headers = '{"idempotency-key": "$name"}';
		SET request.jwt.claims = '{"sub": "018f0000-0000-7000-8000-000000000001", "role": "postgres"}';
		SET request.path = '/tasks';
		BEGIN; SELECT FROM taskapi.pre_request(); $post; COMMIT;
		BEGIN; SELECT FROM taskapi.pre_request(); $post; COMMIT;
		SET request.method = 'PATCH';
		SET request.headers = '{"if-match": "\\"1\\""}';
		UPDATE api.tasks SET status = 'done' WHERE title = 'posted' RETURNING version;
		SET request.method = 'DELETE';
		SET request.headers = '{}';
		DELETE FROM api.tasks WHERE title = 'posted' RETURNING title;
		UPDATE api.deleted_tasks SET deleted_at = NULL WHERE title = 'posted';
		SELECT count(*) FROM api.tasks WHERE title = 'posted';
		DELETE FROM api.tasks WHERE title = 'posted';
		DELETE FROM api.deleted_tasks WHERE title = 'posted';
		SET request.method = 'GET';
		SELECT json_array_length(items), has_next FROM api.tasks_page(page_size => 5, filter => '{"title": {"neq": "T4"}}');
		SELECT next_page_token IS NOT NULL FROM api.tasks_changes(page_size => 5);
		SELECT taskapi.index_advice('api.tasks', 'priority, title') IS NOT NULL;
		SELECT allowed FROM taskapi.check_rate_limits('{"per_user": "u"}');
		SELECT taskapi.create_api_key('u') LIKE 'tak%', taskapi.create_session('u') LIKE 'tas%', taskapi.revoke_credentials('u') > 0;
		SELECT taskapi.jwt_verify(taskapi.jwt_sign('{"sub": "u"}')) ->> 'sub' FROM taskapi.set_secret('jwt', 'a secret that is long enough for HS256 to be happy');
		SELECT taskapi.publish('$name', 'k', '1') > 0, taskapi.create_consumer_group('$name', ARRAY['$name']) IS NOT NULL;
		SELECT payload FROM taskapi.receive('$name', 'w');
		CREATE TABLE IF NOT EXISTS public.note (id int PRIMARY KEY, body text);
		SELECT taskapi.expose('public.note', 'api', publish => 'notes');
		INSERT INTO api.note VALUES (1, 'x'); DELETE FROM api.note; DELETE FROM api.deleted_note;
		SELECT taskapi.unexpose('api.note');
		SELECT count(*) > 0 FROM taskapi.stats;
		CALL taskapi.maintain();
	});
	is($answer, join("\n", qw(2 posted 1 5|t t t t t|t|t u t|t 1 api.note), '', 't'), "$name: every call is served");
	my @views = split /\n/, $node->safe_psql($db, q{SELECT oid::regclass FROM pg_class WHERE relnamespace = 'taskapi'::regnamespace AND relkind = 'v'});
	is($node->safe_psql($db, join(';', map { "SELECT count(*) >= 0 FROM $_" } @views)), join("\n", ('t') x @views), "$name: so is every view");
	return;
}

# Upgrade with an open transaction that has written a table of the user's: it must not wait for it, nor lock it.
sub upgrade
{
	my ($db, $version, $name) = @_;
	my $writer = $node->background_psql($db);
	$writer->query_safe(q{BEGIN; UPDATE tasks.task SET title = 'T1x' WHERE title = 'T1'});
	my $files = q{SELECT string_agg(c.oid::regclass || ' ' || pg_relation_filenode(c.oid), ',' ORDER BY c.oid) FROM pg_class c WHERE c.relnamespace = 'tasks'::regnamespace AND c.relkind IN ('r', 'i')};
	my $before = $node->safe_psql($db, $files);
	my $locks = $node->safe_psql(
		$db, qq{SET lock_timeout = '1min'; BEGIN; ALTER EXTENSION taskapi UPDATE TO '$version';
		SELECT (SELECT string_agg(DISTINCT relation::regclass::text, ',') FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
			WHERE l.pid = pg_backend_pid() AND c.relnamespace IN ('tasks'::regnamespace, 'api'::regnamespace) AND l.mode <> 'AccessShareLock'),
			(SELECT sum(pg_stat_get_xact_numscans(oid)) FROM pg_class WHERE relnamespace = 'tasks'::regnamespace AND relkind IN ('r', 'i'));
		COMMIT});
	$writer->query_safe('COMMIT');
	$writer->quit;
	is($locks, '|0', "$name: locks no table of the user's, and reads none");
	is($node->safe_psql($db, $files), $before, "$name: writes none anew");
	return;
}

sub check_data
{
	my ($db, $name) = @_;
	is($node->safe_psql($db, 'SELECT count(*) FROM api.tasks, public.token WHERE cursor > token::taskapi.cursor'), 80, "$name: a cursor of before opens");
	is($node->safe_psql($db, q{SELECT body FROM taskapi.idempotency_begin('k', scope => 's')}), '{"a": 1}', "$name: an answer of before is replayed");
	is($node->safe_psql($db, q{UPDATE api.deleted_tasks SET deleted_at = NULL; SELECT count(*) FROM api.tasks}), 100, "$name: what was deleted before is restored");
	return;
}

# What was released.
for my $script (sort glob('test/released/taskapi--*.sql'))
{
	my ($version) = basename($script) =~ /--(.*)\.sql/;
	my $target = "$dir/" . basename($script);
	if (!-e $target) { copy($script, $target) or die "$target: $!"; push @made, $target; }
	compare($script, $target) == 0 or die "$target is not what was released as $version";
	my $db = database($version);
	fill($db);
	serve($db, "SQL of $version");
	upgrade($db, $current, "from $version");
	serve($db, "upgraded from $version");
	is(differences(0, $db, fresh($current)), '', "from $version: the same as a fresh one");
	is(step_differs($version, $current), '', "from $version: so is one that holds nothing else");
	check_data($db, "from $version");
}

# A version that is made up: what it changes, and the object by whose name it is found if a step forgets it.
my $next = "$current.1";
my $function = "CREATE FUNCTION taskapi.next_version() RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 1;\n";
my @changes = (
	[ 'REVOKE ALL ON FUNCTION taskapi.next_version() FROM PUBLIC', 'FUNCTION next_version(); Type: ACL' ],
	[ q{COMMENT ON FUNCTION taskapi.next_version() IS 'In the next version'}, 'FUNCTION next_version(); Type: COMMENT' ],
	[ 'ALTER TABLE taskapi.rate_limit_policy ADD COLUMN note text', 'rate_limit_policy; Type: TABLE' ],
	[ 'GRANT SELECT ON taskapi.rate_limit_policy TO pg_monitor', 'TABLE rate_limit_policy; Type: ACL' ],
	[ 'CREATE TRIGGER next_version AFTER INSERT ON taskapi.session FOR EACH STATEMENT EXECUTE FUNCTION taskapi.invalidate_cache()', 'session next_version; Type: TRIGGER' ],
	[ 'ALTER FUNCTION taskapi.uuidv7_timestamp(uuid) STABLE', 'uuidv7_timestamp(uuid); Type: FUNCTION' ],
	[ q{SELECT pg_catalog.pg_extension_config_dump('taskapi.rate_limit_policy', 'WHERE shadow')}, 'configuration taskapi.rate_limit_policy' ],
	[ 'ALTER TABLE taskapi.session ENABLE ROW LEVEL SECURITY', 'session; Type: ROW SECURITY' ],
	[ 'CREATE POLICY next_version ON taskapi.session USING (false)', 'session next_version; Type: POLICY' ],
	[ 'CREATE STATISTICS taskapi.next_version ON subject, id FROM taskapi.session', 'next_version; Type: STATISTICS' ],
	[ 'ALTER OPERATOR FAMILY taskapi.cursor_ops USING btree ADD FUNCTION 4 (taskapi.cursor, taskapi.cursor) pg_catalog.btequalimage(oid)', 'cursor_ops; Type: OPERATOR FAMILY' ],
	[ 'ALTER SEQUENCE taskapi.idempotency_fencing_token CACHE 2', 'idempotency_fencing_token; Type: SEQUENCE' ],
	[ 'ALTER TABLE taskapi.session ALTER COLUMN subject SET STORAGE EXTERNAL', 'session; Type: TABLE' ],
	[ 'GRANT USAGE ON SCHEMA taskapi TO pg_monitor', 'SCHEMA taskapi; Type: ACL' ]);
my $changes = join('', $function, map { "$_->[0];\n" } @changes);

sub write_script
{
	my ($name, $content) = @_;
	my $file = "$dir/taskapi--$name.sql";
	open my $fh, '>', $file or die "$file: $!";
	print $fh $content;
	close $fh;
	push @made, $file;
	return;
}
write_script($next, slurp_file("$dir/taskapi--$current.sql") . $changes);
write_script("$current--$next", $changes);
my $old = database($current);
isnt(differences(0, $old, fresh($next)), '', 'the made-up version differs from the current one');
fill($old);
serve($old, 'current');
upgrade($old, $next, 'made up');
serve($old, 'made up');
is(differences(0, $old, fresh($next)), '', 'made up: an upgraded database equals a fresh one');
is(step_differs($current, $next), '', 'made up: so does one that holds nothing else');
check_data($old, 'made up');
write_script("$current--$next", $function);
my %forgotten = map { $_ => 1 } split /\n/, step_differs($current, $next);
is(join(', ', grep { !$forgotten{$_} } map { $_->[1] } @changes), '', 'a step that forgets something is found out, whatever it is');

$node->stop;
done_testing();
