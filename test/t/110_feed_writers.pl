# Clients that follow the change feed beside eight writers, which wait, roll back, take savepoints, prepare and draw their ids early,
# miss nothing, keep nothing and hold nothing old. A client that asks for what is above the last number or time does.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{TASKAPI_FUZZ_SEED} // int(rand(2**31));
srand($seed);
note "seed $seed";
my $node = PostgreSQL::Test::Cluster->new('feed');
$node->init;
$node->append_conf('postgresql.conf', "max_prepared_transactions = 20\nautovacuum = off\nfsync = off\n");
$node->start;
$node->safe_psql('postgres', slurp_file('test/feed/client.sql'));
$node->safe_psql('postgres', q{INSERT INTO feed.item SELECT i, 1 + i % 4, 'old' FROM generate_series(1, 60) i});

# A statement of a writer's, on one of few rows, so that they meet.
sub change
{
	my $writer = shift;
	my $id = 1 + int(rand(120));
	my $group = 1 + int(rand(4));
	my $title = "$writer." . int(rand(1e6));
	my $what = rand();
	return "INSERT INTO feed.item VALUES ($id, $group, '$title') ON CONFLICT (id) DO UPDATE SET title = excluded.title;" if $what < 0.35;
	return "UPDATE feed.item SET title = '$title' WHERE id = $id;" if $what < 0.55;
	return "UPDATE feed.item SET group_id = $group WHERE id = $id;" if $what < 0.7;
	return "UPDATE feed.item SET id = $id + 200 WHERE id = $id;" if $what < 0.74;
	return "DELETE FROM feed.item WHERE id = $id;" if $what < 0.82;
	return "SELECT set_config('feed.groups', '1,2,3,4', false);DELETE FROM feed_api.items WHERE id = $id;" if $what < 0.92;
	return "UPDATE feed_api.deleted_items SET deleted_at = NULL WHERE id = $id;" if $what < 0.96;
	return "DELETE FROM feed_api.deleted_items WHERE id = $id;";
}

sub writer
{
	my $writer = shift;
	my $script = "SET client_min_messages = error;\n";
	for my $n (1 .. 40)
	{
		my $wait = 'SELECT pg_sleep(' . rand() / 20 . ');';
		my $prepared = rand() < 0.1;
		$script .= "BEGIN;\n";
		$script .= "SELECT pg_current_xact_id();$wait\n" if rand() < 0.4;
		for (0 .. int(rand(3)))
		{
			my $save = rand() < 0.3;
			$script .= "SAVEPOINT s;\n" if $save;
			$script .= change($writer) . "\n";
			$script .= rand() < 0.5 ? "ROLLBACK TO s;\n" : "RELEASE s;\n" if $save;
			$script .= "$wait\n" if rand() < 0.3;
		}
		$script .= "PREPARE TRANSACTION 'w$writer.$n';\n$wait\n" if $prepared;
		my $end = rand() < 0.15 ? 'ROLLBACK' : 'COMMIT';
		$script .= $prepared ? "$end PREPARED 'w$writer.$n';\n" : "$end;\n";
	}
	return $script;
}

# The clients: of two groups at once, of one, and two that are wrong.
my $clients = q{
	SET feed.groups = '1,2';
	SET ROLE feed_reader;
};
$clients .= q{
	SELECT feed.sync('both');
	SELECT feed.sync('small', NULL, 1);
	SELECT feed.sync('one', '{"group_id": 2}');
	SELECT feed.naive();
	SELECT pg_sleep(0.02);
} x 90;
$node->safe_psql('postgres', q{
	CREATE TABLE feed.naive_copy (id int PRIMARY KEY, title text, version int);
	CREATE TABLE feed.naive_last (at timestamptz);
	INSERT INTO feed.naive_last VALUES ('-infinity');
	CREATE FUNCTION feed.naive() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
		INSERT INTO feed.naive_copy SELECT id, title, version FROM feed.item WHERE updated_at > (SELECT at FROM feed.naive_last)
			ON CONFLICT (id) DO UPDATE SET title = excluded.title, version = excluded.version;
		UPDATE feed.naive_last SET at = greatest(at, (SELECT max(updated_at) FROM feed.item));
	$$;
});

my @running;
foreach my $script ($clients, map { writer($_) } 1 .. 8)
{
	my $file = $node->basedir . '/script' . @running;
	append_to_file($file, $script);
	push @running, IPC::Run::start([ 'psql', '-X', '-q', '-A', '-t', '-d', $node->connstr('postgres'), '-f', $file ], '>', "$file.out", '2>', "$file.err",
		IPC::Run::timeout(1800));
}
$_->finish for @running;
unlike(slurp_file($node->basedir . '/script0.err'), qr/ERROR/, 'the clients met no error');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_prepared_xacts'), '0', 'nothing is left prepared');

my $last = q{SET feed.groups = '1,2'; SET ROLE feed_reader; SELECT feed.sync('both'), feed.sync('small', NULL, 1), feed.sync('one', '{"group_id": 2}');};
$node->safe_psql('postgres', $last);
is($node->safe_psql('postgres', q{SELECT feed.differs('both', '{1,2}')}), '', 'the client of two groups has what there is');
is($node->safe_psql('postgres', q{SELECT feed.differs('small', '{1,2}')}), '', 'so has one that asks for one row at a time');
is($node->safe_psql('postgres', q{SELECT feed.differs('one', '{2}')}), '', 'and one that follows one group');
is($node->safe_psql('postgres', 'SELECT max(expired) FROM feed.client'), '0', 'none of them had to start over');
note 'by time: ' . $node->safe_psql('postgres', q{SELECT count(*) || ' of ' || (SELECT count(*) FROM feed.item) || ' are missing or old'
	FROM feed.item i LEFT JOIN feed.naive_copy c ON c.id = i.id WHERE (c.title, c.version) IS DISTINCT FROM (i.title, i.version)});

# Beside a transaction that has been running for long, nothing is read of all that happened since.
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN');
$holder->query_safe('SELECT pg_current_xact_id()');
$node->safe_psql('postgres', join '', map { "UPDATE feed.item SET title = 'x$_' WHERE id = (SELECT min(id) FROM feed.item WHERE group_id = 1);\n" } 1 .. 300);
$node->safe_psql('postgres', q{INSERT INTO feed.item SELECT i, 1, 'many' FROM generate_series(1000, 9000) i; VACUUM ANALYZE feed.item});
my $plan = $node->safe_psql('postgres', q{SET feed.groups = '1,2'; SET ROLE feed_reader; SELECT length(feed.sync('both', NULL, 1000)) > 0;
	SELECT token AS t FROM feed.client WHERE client = 'both' \gset
	SELECT json_array_length(items) || ' items' FROM feed_api.items_changes(:'t');
	EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, COSTS OFF, SUMMARY OFF) SELECT * FROM feed_api.items_changes(:'t');});
my ($hit) = $plan =~ /Buffers: shared hit=(\d+)/;
like($plan, qr/^0 items$/m, 'nothing is told twice beside a transaction that runs for long');
cmp_ok($hit, '<', 60, 'and a page of nothing is as cheap as any');
$holder->query_safe('ROLLBACK');
$holder->quit;
$node->stop;
done_testing();
