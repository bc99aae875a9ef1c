# A mixed load of all primitives, kill -9 of a backend or of the postmaster in the middle of it, again and again. After each
# recovery: nothing that was acknowledged is lost, nothing happened twice, no live task lies under a deleted project, no lock is
# stuck, no shared memory has leaked, and everything still works. TASKAPI_CRASH_ROUNDS (3) says how often, TASKAPI_FUZZ_SEED which run.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $rounds = $ENV{TASKAPI_CRASH_ROUNDS} // 3;
my $seed = $ENV{TASKAPI_FUZZ_SEED} // int(rand(2**31));
srand($seed);
note "seed $seed, $rounds rounds";

my $node = PostgreSQL::Test::Cluster->new('crash');
$node->init;
$node->append_conf('postgresql.conf', "fsync = on\ndynamic_shared_memory_type = mmap\nrestart_after_crash = on\nautovacuum_naptime = 1s\nlog_min_messages = warning\n");
$node->start;
my $me = '018f0000-0000-7000-8000-000000000001';
$node->safe_psql(
	'postgres', qq{
	CREATE ROLE crash_anonymous; CREATE ROLE crash_user;
	CREATE EXTENSION taskapi;
	SELECT taskapi.create_task_api('tasks', 'api', 'crash_anonymous', 'crash_user');
	INSERT INTO tasks.account (id, email, display_name) VALUES ('$me', 'a\@example.org', 'A');
	INSERT INTO tasks.project (name, creator_id) SELECT 'P' || n, '$me' FROM generate_series(1, 5) n;
	INSERT INTO tasks.task (project_id, title) SELECT (SELECT id FROM tasks.project ORDER BY id LIMIT 1), 'counter ' || n FROM generate_series(1, 4) n;
	INSERT INTO taskapi.rate_limit_policy (name, rate, per, burst) VALUES ('crash', 100, '1 day', 100);});

my $as_me = qq{SET LOCAL ROLE crash_user; SET LOCAL request.path = '/tasks'; SET LOCAL request.jwt.claims = '{"sub": "$me"}';};

# One client's statements. What it prints, it has been told is committed.
my $serial = 0;
sub client_script
{
	my $script = "\\set QUIET on\n\\pset tuples_only on\n\\pset format unaligned\n";
	for (1 .. 400)
	{
		my $what = rand();
		if ($what < 0.5)
		{
			# an idempotent POST, often sent twice, now and then by two clients
			my $key = 'key-' . (rand() < 0.2 ? 'shared-' . int(rand(50)) . "-$serial" : ++$serial . '-' . int(rand(1e9)));
			my $post = "BEGIN; $as_me SET LOCAL request.method = 'POST'; SET LOCAL request.headers = '{\"idempotency-key\": \"$key\"}';\n"
			  . "INSERT INTO api.tasks (project_id, title) SELECT id, '$key' FROM api.projects WHERE name = 'P2' RETURNING 'posted ' || title || ' ' || id AS line \\gset\nCOMMIT;\n\\echo :line\n\\unset line\n";
			$script .= $post;
			$script .= $post if rand() < 0.3;
		}
		elsif ($what < 0.7)
		{
			# a PATCH of a counter: each that is acknowledged makes one version
			my $n = 1 + int(rand(4));
			$script .= "BEGIN; $as_me SET LOCAL request.method = 'PATCH';\nUPDATE api.tasks SET priority = (priority + 1) % 100 WHERE title = 'counter $n' RETURNING 'patched ' || right(title, 1) AS line \\gset\nCOMMIT;\n\\echo :line\n\\unset line\n";
		}
		elsif ($what < 0.8)
		{
			my $n = 3 + int(rand(3));
			$script .= rand() < 0.5
			  ? "BEGIN; $as_me SET LOCAL request.method = 'DELETE';\nDELETE FROM api.projects WHERE name = 'P$n';\nCOMMIT;\n"
			  : "BEGIN; $as_me SET LOCAL request.method = 'PATCH';\nUPDATE api.deleted_projects SET deleted_at = NULL WHERE name = 'P$n';\nCOMMIT;\n";
			$script .= "BEGIN; $as_me SET LOCAL request.method = 'POST';\nINSERT INTO api.tasks (project_id, title) SELECT id, 'child' FROM api.projects WHERE name = 'P$n';\nCOMMIT;\n";
		}
		elsif ($what < 0.9) { $script .= "SELECT 'admitted' WHERE (SELECT allowed FROM taskapi.check_rate_limits('{\"crash\": \"x\"}'));\n"; }
		else { $script .= "BEGIN READ ONLY; $as_me SELECT count(*) FROM taskapi.page('api.tasks', 'title, id', 10) \\g /dev/null\nCOMMIT;\n"; }
	}
	return $script;
}

# Segments of shared memory of this server, in files of its own folder where they can be counted.
sub segments
{
	my @files = glob($node->data_dir . '/pg_dynshmem/mmap.*');
	return scalar @files;
}

my (%posted, %patched, $crashes);
my $initial_segments;
for my $round (1 .. $rounds)
{
	my (@clients, @out);
	for my $i (0 .. 3)
	{
		my $file = $node->basedir . "/client_$i.sql";
		open my $fh, '>', $file or die;
		print $fh client_script();
		close $fh;
		$out[$i] = '';
		push @clients, IPC::Run::start([ 'psql', '-X', '-f', $file, $node->connstr('postgres') ], '>', \$out[$i], '2>', '/dev/null', IPC::Run::timeout(900));
	}
	my $admitted_before = 0;
	# at any moment, but not before there is something to lose, however long that takes
	until ((() = join('', @out) =~ /^posted /mg) >= 20)
	{
		die 'the clients do nothing' unless grep { $_->pumpable } @clients;
		$_->pump_nb for @clients;
		usleep(10_000);
	}
	usleep(int(rand(1_500_000)));
	if ($round % 3 == 0)
	{
		# all of them at once, as when the machine goes
		my $postmaster = $node->{_pid};
		$node->kill9;
		$_->finish for @clients;
		# its process has to be reaped before another one may take the folder
		for (1 .. 300) { last unless kill 0, $postmaster; usleep(100_000); }
		$node->start;
	}
	else
	{
		my ($pid) = split /\n/, $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1});
		kill 'KILL', $pid if $pid;
		$_->finish for @clients;
		# not poll_query_until(), which writes to a psql that may have been refused and be gone
		my $up = 0;
		for (1 .. 1800) { last if $up = run_log([ 'psql', '-XAtqc', 'SELECT true', $node->connstr('postgres') ]); usleep(100_000); }
		$up or die 'no recovery';
	}
	$crashes++;

	my $admitted = 0;
	for my $line (map { split /\n/ } @out)
	{
		if ($line =~ /^posted (\S+) (\S+)$/)
		{
			fail("round $round: two answers for $1") if exists $posted{$1} && $posted{$1} ne $2;
			$posted{$1} = $2;
		}
		elsif ($line =~ /^patched (\d)$/) { $patched{$1}++; }
		elsif ($line eq 'admitted') { $admitted++; }
	}
	cmp_ok($admitted, '<=', 101, "round $round: never more admitted than the burst and what one day regains in seconds");

	my %tasks;
	push @{ $tasks{ (split /\|/)[0] } }, (split /\|/)[1] for split /\n/, $node->safe_psql('postgres', q{SELECT title, id FROM tasks.task WHERE title LIKE 'key-%'});
	my @lost = grep { !$tasks{$_} || $tasks{$_}[0] ne $posted{$_} } keys %posted;
	my @twice = grep { @{ $tasks{$_} } > 1 } keys %tasks;
	is("@lost", '', "round $round: of " . keys(%posted) . ' acknowledged POSTs none is lost');
	is("@twice", '', "round $round: and none happened twice");
	my %version = map { split /\|/ } split /\n/, $node->safe_psql('postgres', q{SELECT right(title, 1), version - 1 FROM tasks.task WHERE title LIKE 'counter%'});
	is(join(' ', grep { ($patched{$_} // 0) > $version{$_} } sort keys %version), '', "round $round: no acknowledged PATCH is lost");
	is( $node->safe_psql('postgres', q{SELECT count(*) FROM tasks.task t JOIN tasks.project p ON p.id = t.project_id WHERE t.deleted_at IS NULL AND p.deleted_at IS NOT NULL}),
		'0', "round $round: no live task under a deleted project");
	is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_locks WHERE pid <> pg_backend_pid() AND locktype IN ('advisory', 'transactionid') AND NOT granted}), '0', "round $round: no lock is waited for");

	# what was stored answers again, with the same row
	for my $key ((sort keys %posted)[ 0 .. ($#{ [ keys %posted ] } < 4 ? $#{ [ keys %posted ] } : 4) ])
	{
		my $again = $node->safe_psql('postgres', qq{BEGIN; $as_me SET LOCAL request.method = 'POST'; SET LOCAL request.headers = '{"idempotency-key": "$key"}';
			INSERT INTO api.tasks (project_id, title) SELECT id, '$key' FROM api.projects WHERE name = 'P2' RETURNING id; COMMIT;});
		is($again, $posted{$key}, "round $round: a retry after the crash is a replay");
	}
	is($node->safe_psql('postgres', q{SELECT (taskapi.rate_limit('after the crash ' || clock_timestamp(), 1)).allowed}), 't', "round $round: the limiter works");
	$initial_segments //= segments();
	cmp_ok(segments(), '<=', $initial_segments, "round $round: no shared memory has leaked");
}
cmp_ok(scalar keys %posted, '>', 10 * $rounds, 'there was something to lose');
$node->safe_psql('postgres', 'CALL taskapi.maintain()');
is($node->safe_psql('postgres', q{SELECT count(*) FROM (SELECT 1 FROM tasks.task WHERE title LIKE 'key-%' GROUP BY title HAVING count(*) > 1) d}), '0', 'maintain() changes none of it');

$node->stop;
done_testing();
