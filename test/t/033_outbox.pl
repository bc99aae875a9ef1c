# Publishers that roll back, use savepoints and prepare, workers that die, lose their lease and meet messages that always fail, and
# a server that crashes: every message that was committed takes effect exactly once or is a dead letter, in the order of its key.
# A dump that is restored, and a standby that is promoted, go on where they were.
#
# TASKAPI_OUTBOX_ROUNDS (3) says how often the server crashes, TASKAPI_OUTBOX_SECONDS (4) how long each round publishes at least.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $rounds = $ENV{TASKAPI_OUTBOX_ROUNDS} // 3;
my $seconds = $ENV{TASKAPI_OUTBOX_SECONDS} // 4;

my $node = PostgreSQL::Test::Cluster->new('outbox');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', "max_connections = 60\nmax_prepared_transactions = 20\nlog_min_messages = fatal\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION taskapi;
	SELECT taskapi.create_outbox();
	SELECT taskapi.create_consumer_group('g', max_attempts => 2);
	CREATE TABLE effect (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, seq bigint UNIQUE, key text);
	CREATE TABLE story (what text);
	CREATE TABLE state (key text PRIMARY KEY, value int NOT NULL DEFAULT 0);
	INSERT INTO state SELECT 'k' || i FROM generate_series(1, 40) i;

	-- Whoever publishes a change of a key has changed its row: that makes the order of a key that of its changes.
	CREATE FUNCTION change(k text, poison boolean) RETURNS bigint LANGUAGE plpgsql AS $$
	BEGIN
		UPDATE state SET value = value + 1 WHERE key = k;
		RETURN taskapi.publish('changed', k, jsonb_build_object('value', (SELECT value FROM state WHERE key = k), 'poison', poison));
	END $$;

	-- A batch of one worker: the effect and the settlement are one transaction, which commits or not.
	CREATE PROCEDURE work(worker text, how float8) LANGUAGE plpgsql AS $$
	DECLARE
		taken taskapi.message[] := ARRAY(SELECT r FROM taskapi.receive('g', worker, 1 + (random() * 20)::int, '200 ms') r);
	BEGIN
		COMMIT;
		IF taken = '{}' THEN RETURN; END IF;
		IF how < 0.05 THEN INSERT INTO story VALUES ('died'); RETURN; END IF;
		IF how < 0.10 THEN PERFORM pg_sleep(0.3); END IF;              -- it sleeps over its lease, and comes back
		BEGIN
			PERFORM process(taken, how > 0.9);
		EXCEPTION WHEN SQLSTATE 'PT409' THEN
			INSERT INTO story VALUES ('came back as a zombie');
		END;
	END $$;
	-- What is parked is due at once, and no lease lasts.
	CREATE PROCEDURE drain() LANGUAGE plpgsql AS $$
	BEGIN
		FOR i IN 1 .. 10000 LOOP
			UPDATE outbox.parked SET due_at = now() WHERE due_at > now();
			COMMIT;
			CALL work('drain', 0.5);
			COMMIT;
			EXIT WHEN NOT EXISTS (SELECT FROM taskapi.outbox_lag WHERE behind > 0 OR parked > 0);
			PERFORM pg_sleep(0.005);
		END LOOP;
	END $$;
	CREATE FUNCTION process(taken taskapi.message[], stop_early boolean) RETURNS void LANGUAGE plpgsql AS $$
	DECLARE
		m      taskapi.message;
		last   bigint;
		failed bigint[] := '{}';
		broken text[] := '{}';
		done   taskapi.message[] := '{}';
	BEGIN
		FOREACH m IN ARRAY taken LOOP
			EXIT WHEN stop_early AND random() < 0.1 AND last IS NOT NULL;
			last := m.seq;
			CONTINUE WHEN m.key = ANY (broken);
			IF (m.payload ->> 'poison')::boolean THEN
				failed := failed || m.seq;
				broken := broken || m.key;
			ELSE
				done := done || m;
			END IF;
		END LOOP;
		PERFORM taskapi.settle('g', taken[1].slot, taken[1].fencing_token, last, failed, 'poison');
		INSERT INTO effect (seq, key) SELECT d.seq, d.key FROM unnest(done) d;
	END $$;
});

sub script { my ($name, $text) = @_; my $file = $node->basedir . "/$name"; append_to_file($file, $text); return $file; }
my $publish = script('publish.sql', q{
\set k random(1, 40)
\set k2 random(1, 40)
\set how random(1, 100)
\set pause random(0, 20)
\set poison random(1, 100)
\if :how <= 15
BEGIN;
SELECT change('k' || least(:k, :k2), false);
\sleep :pause ms
ROLLBACK;
\elif :how <= 35
BEGIN;
SAVEPOINT s;
SELECT taskapi.publish('none', 'k', '{"poison": false}');
ROLLBACK TO s;
\sleep :pause ms
SELECT change('k' || :k, :poison <= 2);
COMMIT;
\elif :how <= 42
BEGIN;
SELECT change('k' || :k, false);
PREPARE TRANSACTION 'p:client_id';
\sleep :pause ms
COMMIT PREPARED 'p:client_id';
\else
BEGIN;
SELECT change('k' || :k, :poison <= 2);
\sleep :pause ms
COMMIT;
\endif
});
my $work = script('work.sql', q{
\set how random(0, 100000)
CALL work('worker ' || :client_id, :how / 100000.0);
\sleep 5 ms
});

# pgbench stops a client at an error, so there are enough of them, and each script goes on from where the data is.
sub start_load
{
	my ($file, $clients, $time) = @_;
	my ($out, $err) = ('', $node->basedir . '/load.err');
	my @command = ($node->installed_command('pgbench'), '-n', '-c', $clients, '-j', 1, '-T', $time, '-f', $file, '-h', $node->host, '-p', $node->port, 'postgres');
	return IPC::Run::start(\@command, '<', \undef, '>', \$out, '2>>', $err);
}

sub drain
{
	# in one session, as long as it is answered
	for my $try (1 .. 200)
	{
		$node->psql('postgres', 'SET synchronous_commit = off; CALL drain()');
		my $left = $node->safe_psql('postgres', q{SELECT count(*) FROM taskapi.outbox_lag WHERE behind > 0 OR parked > 0});
		return 1 if $left eq '0';
	}
	return 0;
}

sub check
{
	my ($what) = @_;
	ok(drain(), "$what: all is received in the end");
	is($node->safe_psql('postgres', q{SELECT count(*) FROM outbox.message m WHERE NOT EXISTS (SELECT FROM effect e WHERE e.seq = m.seq) AND NOT EXISTS (SELECT FROM outbox.dead_letter d WHERE d.seq = m.seq)}),
		'0', "$what: nothing is lost");
	is($node->safe_psql('postgres', q{SELECT count(*) FROM effect e WHERE NOT EXISTS (SELECT FROM outbox.message m WHERE m.seq = e.seq)}), '0', "$what: nothing took effect that was not committed");
	is($node->safe_psql('postgres', q{SELECT count(*) FROM effect e JOIN outbox.dead_letter d USING (seq)}), '0', "$what: no dead letter took effect");
	is($node->safe_psql('postgres', q{SELECT count(*) FROM (SELECT seq < lag(seq) OVER (PARTITION BY key ORDER BY n) AS late FROM effect) o WHERE late}), '0', "$what: the order of each key");
	is($node->safe_psql('postgres', q{
		SELECT count(*) FROM (SELECT (payload ->> 'value')::int < lag((payload ->> 'value')::int) OVER (PARTITION BY key ORDER BY seq) AS late FROM outbox.message WHERE topic = 'changed') o WHERE late}),
		'0', "$what: and it is that of the changes");
}

foreach my $round (1 .. $rounds)
{
	# A slow machine gets the time that it takes until there is what is looked at below.
	my $enough = 'SELECT count(*) > ' . 110 * $round . ' FROM outbox.message';
	if ($round < $rounds)
	{
		my @load = (start_load($publish, 8, 600), map { start_load($work, 1, 600) } 1 .. 6);
		sleep($seconds * 0.7);
		$node->poll_query_until('postgres', $enough) or die 'nothing is published';
		$node->stop('immediate');
		$_->finish foreach @load;
		$node->start;
	}
	else
	{
		$enough = "SELECT ($enough) AND EXISTS (SELECT FROM outbox.message WHERE (payload ->> 'poison')::boolean) AND (SELECT count(DISTINCT what) = 2 FROM story)";
		for my $try (1 .. 50)
		{
			$_->finish foreach start_load($publish, 8, $seconds), map { start_load($work, 1, $seconds) } 1 .. 6;
			last if $node->safe_psql('postgres', $enough) eq 't';
		}
	}
	$node->safe_psql('postgres', "ROLLBACK PREPARED '$_'") foreach split /\n/, $node->safe_psql('postgres', 'SELECT gid FROM pg_prepared_xacts');
	check("round $round");
}
unlike(slurp_file($node->basedir . '/load.err'), qr/duplicate key/, 'no worker did what another had done');
my $messages = $node->safe_psql('postgres', 'SELECT count(*) FROM outbox.message');
cmp_ok($messages, '>', 110 * $rounds, "$messages messages were published");
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM outbox.dead_letter'), '>', 0, 'some of them were poison');
note "$_" foreach split /\n/, $node->safe_psql('postgres', 'SELECT what, count(*) FROM story GROUP BY 1 ORDER BY 1');
is($node->safe_psql('postgres', 'SELECT count(DISTINCT what) FROM story'), '2', 'workers died, and came back');
note 'tokens: ' . $node->safe_psql('postgres', 'SELECT last_value FROM outbox.fencing_token');

# A prepared transaction holds readers up, over a restart too.
$node->safe_psql('postgres', q{BEGIN; SELECT change('k1', false); PREPARE TRANSACTION 'held'});
$node->safe_psql('postgres', q{SELECT change('k2', false)});
$node->restart;
is($node->safe_psql('postgres', q{SELECT count(*) FROM taskapi.receive('g', 'w')}), '0', 'a prepared publisher is not passed by');
$node->safe_psql('postgres', q{COMMIT PREPARED 'held'});
check('after COMMIT PREPARED');

# A standby refuses, and goes on where the primary was once it is one.
$node->backup('b');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'b', has_streaming => 1);
$standby->start;
$node->safe_psql('postgres', q{SELECT change('k' || (i % 40 + 1), false) FROM generate_series(1, 100) i; CALL work('w', 0.5)});
$node->wait_for_catchup($standby);
my ($rc, $out, $err) = $standby->psql('postgres', q{SELECT taskapi.receive('g', 'w')});
like($err, qr/Messages cannot be received on a standby/, 'a standby refuses');
$node->stop('immediate');
$standby->promote;
$node = $standby;
check('after a promotion');

# Dumped and restored, as a whole: positions, parked messages, numbers.
$node->safe_psql('postgres', q{SELECT change('k' || (i % 40 + 1), i = 7) FROM generate_series(1, 100) i; CALL work('w', 0.5)});
$node->safe_psql('postgres', 'CREATE DATABASE restored');
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'pg_dump');
$node->command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('restored') ], 'restored');
foreach my $query ('SELECT * FROM outbox.consumer ORDER BY 1, 2', 'SELECT * FROM outbox.parked ORDER BY 1, 2', 'SELECT count(*), max(seq) FROM outbox.message', 'SELECT last_value FROM outbox.message_seq')
{
	is($node->safe_psql('restored', $query), $node->safe_psql('postgres', $query), $query);
}
cmp_ok($node->safe_psql('restored', q{SELECT change('k1', false)}), '>', $node->safe_psql('postgres', q{SELECT max(seq) FROM outbox.message}), 'its numbers go on');
$node->stop;
done_testing();
