# An upgraded database equals a fresh one, object by object: definitions, privileges, comments, types, triggers, configuration.
# Its data survives, its resources go on working, and the upgrade locks no table of the user's. Until it comes, this library
# serves the SQL of every released version.
#
# Every version in test/released/ (the install scripts as they were released) is upgraded step by step to the current one. A
# version that is made up, with a step that is right and with steps that each forget something, tests the comparison itself.
use strict;
use warnings;
use File::Basename;
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
	return join(', ', grep { ($one->{$_} // '') ne ($other->{$_} // '') } sort keys %all);
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
		INSERT INTO tasks.account (email, display_name) VALUES ('a@example.org', 'A');
		INSERT INTO tasks.project (name) SELECT 'P' || n FROM generate_series(1, 10) n;
		INSERT INTO tasks.task (project_id, title) SELECT id, 'T' || n FROM tasks.project, generate_series(1, 10) n;
		DELETE FROM api.tasks WHERE title = 'T3';
		SELECT taskapi.rotate_secret('cursor');
		SELECT FROM taskapi.idempotency_begin('k', scope => 's'), taskapi.idempotency_complete('k', 200, '{"a": 1}', scope => 's');
		CREATE TABLE public.token AS SELECT cursor::text AS token FROM api.tasks ORDER BY created_at DESC, id DESC OFFSET 9 LIMIT 1});
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
		$db, qq{SET lock_timeout = '10s'; BEGIN; ALTER EXTENSION taskapi UPDATE TO '$version';
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
	my $db = database($version);
	fill($db);
	upgrade($db, $current, "from $version");
	is(differences(0, $db, fresh($current)), '', "from $version: the same as a fresh one");
	is(step_differs($version, $current), '', "from $version: so is one that holds nothing else");
	check_data($db, "from $version");
}

# A version that is made up.
my $next = "$current.1";
my %step = (
	function => "CREATE FUNCTION taskapi.next_version() RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 1;\n",
	revoke => "REVOKE ALL ON FUNCTION taskapi.next_version() FROM PUBLIC;\n",
	comment => "COMMENT ON FUNCTION taskapi.next_version() IS 'In the next version';\n",
	column => "ALTER TABLE taskapi.rate_limit_policy ADD COLUMN note text;\n",
	grant => "GRANT SELECT ON taskapi.rate_limit_policy TO pg_monitor;\n",
	trigger => "CREATE TRIGGER next_version AFTER INSERT ON taskapi.session FOR EACH STATEMENT EXECUTE FUNCTION taskapi.invalidate_cache();\n",
	volatility => "ALTER FUNCTION taskapi.uuidv7_timestamp(uuid) STABLE;\n",
	config => "SELECT pg_catalog.pg_extension_config_dump('taskapi.rate_limit_policy', 'WHERE shadow');\n",
	security => "ALTER TABLE taskapi.session ENABLE ROW LEVEL SECURITY;\n",
	policy => "CREATE POLICY next_version ON taskapi.session USING (false);\n",
	statistics => "CREATE STATISTICS taskapi.next_version ON subject, id FROM taskapi.session;\n",
	family => "ALTER OPERATOR FAMILY taskapi.cursor_ops USING btree ADD FUNCTION 4 (taskapi.cursor, taskapi.cursor) pg_catalog.btequalimage(oid);\n",
	sequence => "ALTER SEQUENCE taskapi.idempotency_fencing_token CACHE 2;\n",
	storage => "ALTER TABLE taskapi.session ALTER COLUMN subject SET STORAGE EXTERNAL;\n",
	schema => "GRANT USAGE ON SCHEMA taskapi TO pg_monitor;\n");
my @order = qw(function revoke comment column grant trigger volatility config security policy statistics family sequence storage schema);

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
write_script($next, slurp_file("$dir/taskapi--$current.sql") . join('', @step{@order}));
write_script("$current--$next", join('', @step{@order}));
my $old = database($current);
isnt(differences(0, $old, fresh($next)), '', 'the made-up version differs from the current one');
fill($old);
upgrade($old, $next, 'made up');
is(differences(0, $old, fresh($next)), '', 'made up: an upgraded database equals a fresh one');
is(step_differs($current, $next), '', 'made up: so does one that holds nothing else');
check_data($old, 'made up');
for my $forgotten (grep { $_ ne 'function' } @order)
{
	write_script("$current--$next", join('', map { $_ eq $forgotten ? '' : $step{$_} } @order));
	isnt(step_differs($current, $next), '', "a step that forgets the $forgotten is found out");
}

$node->stop;
done_testing();
