# A worker, or the server, dies at each border of each step of a saga: every effect is there once, or it is compensated once. And over
# random outcomes, with workers that die and come back, every journal is one that the rules of a saga allow.
#
# TASKAPI_SAGAS (80) says how many sagas have random outcomes.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $sagas = $ENV{TASKAPI_SAGAS} // 80;
my @steps = (
	{ step => 'book', compensation => 'unbook', attempts => 2 },
	{ step => 'log', compensation => undef, attempts => 3 },
	{ step => 'charge', compensation => 'refund', attempts => 2 },
	{ step => 'ship', compensation => 'recall', attempts => 1 });

my $node = PostgreSQL::Test::Cluster->new('saga');
$node->init;
$node->append_conf('postgresql.conf', "restart_after_crash = on\nfsync = off\nlog_min_messages = fatal\ncheckpoint_timeout = 1d\nmax_wal_size = 10GB\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION taskapi;
	SELECT taskapi.create_outbox();
	SELECT taskapi.create_consumer_group('g', ARRAY['order'], max_attempts => 4);
	CREATE TABLE effect (saga text, what text, n bigint GENERATED ALWAYS AS IDENTITY);
	CREATE TABLE plan (saga text, step text, attempt int, outcome text, takes_effect boolean, PRIMARY KEY (saga, step, attempt));
	CREATE TABLE story (what text);
	CREATE FUNCTION begin_order(id text) RETURNS void LANGUAGE sql AS $$
		SELECT taskapi.start_saga('order', id, '{"room": 7}', '[{"step": "book", "compensation": "unbook", "attempts": 2}, {"step": "log", "attempts": 3},
			{"step": "charge", "compensation": "refund", "attempts": 2}, {"step": "ship", "compensation": "recall", "attempts": 1}]') $$;

	-- An effect, which happens once for the saga and step; a compensation of what has not happened says that it never will.
	CREATE FUNCTION once(saga text, step text, compensates text) RETURNS void LANGUAGE plpgsql AS $$
	DECLARE e taskapi.idempotency_entry := taskapi.idempotency_begin(saga || '/' || coalesce(compensates, step), scope => 'saga');
	BEGIN
		IF e.outcome = 'new' THEN
			IF compensates IS NULL THEN INSERT INTO effect VALUES (saga, step); END IF;
			PERFORM taskapi.idempotency_complete(saga || '/' || coalesce(compensates, step), CASE WHEN compensates IS NULL THEN 200 ELSE 410 END, 'null', scope => 'saga');
		ELSIF compensates IS NOT NULL AND e.status = 200 AND (taskapi.idempotency_begin(saga || '/' || step, scope => 'saga')).outcome = 'new' THEN
			INSERT INTO effect VALUES (saga, step);
			PERFORM taskapi.idempotency_complete(saga || '/' || step, 200, 'null', scope => 'saga');
		ELSIF compensates IS NULL AND e.status = 410 THEN
			INSERT INTO story VALUES ('came after its compensation');
		END IF;
	END $$;

	-- Whoever says that a step has failed lets no other worker do it afterwards; unless one has done it.
	CREATE FUNCTION fail_for_good(saga text, step text) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE e taskapi.idempotency_entry := taskapi.idempotency_begin(saga || '/' || step, scope => 'saga');
	BEGIN
		IF e.outcome = 'new' THEN PERFORM taskapi.idempotency_complete(saga || '/' || step, 410, 'null', scope => 'saga'); END IF;
		RETURN CASE WHEN e.outcome = 'replay' AND e.status = 200 THEN 'done' ELSE 'failed' END;
	END $$;

	-- The worker's, or the server's, death.
	CREATE FUNCTION die(how text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF how = 'worker' THEN
			PERFORM pg_terminate_backend(pg_backend_pid());
		ELSE
			COPY (SELECT) TO PROGRAM 'kill -9 $PPID';
		END IF;
		PERFORM pg_sleep(10);
	END $$;

	-- Does all that is to be done; at that border of that step it dies.
	CREATE PROCEDURE work(step_of_death text DEFAULT NULL, border int DEFAULT 0, how text DEFAULT NULL) LANGUAGE plpgsql AS $$
	DECLARE
		m taskapi.message; p plan; then_ text; step text; dies boolean;
	BEGIN
		LOOP
			SELECT * INTO m FROM taskapi.receive('g', 'w', 1);
			EXIT WHEN NOT FOUND;
			step := m.payload ->> 'step';
			dies := step = step_of_death;
			IF dies AND border = 1 THEN PERFORM die(how); END IF;
			COMMIT;
			IF dies AND border = 2 THEN PERFORM die(how); END IF;
			SELECT * INTO p FROM plan l WHERE l.saga = m.payload ->> 'saga' AND l.step = m.payload ->> 'step'
				AND l.attempt = 1 + (SELECT count(*) FROM outbox.saga_step j WHERE j.saga = l.saga AND j.step = l.step);
			IF NOT FOUND OR p.takes_effect THEN PERFORM once(m.payload ->> 'saga', step, m.payload ->> 'compensates'); END IF;
			IF p.outcome = 'failed' AND m.payload ->> 'compensates' IS NULL THEN p.outcome := fail_for_good(m.payload ->> 'saga', step); END IF;
			IF dies AND border = 3 THEN PERFORM die(how); END IF;
			COMMIT;
			IF dies AND border = 4 THEN PERFORM die(how); END IF;
			then_ := taskapi.settle_step(m.payload ->> 'saga', m.fencing_token, step, coalesce(p.outcome, 'done'));
			IF dies AND border = 5 THEN PERFORM die(how); END IF;
			COMMIT;
			IF dies AND border = 6 THEN PERFORM die(how); END IF;
			PERFORM taskapi.settle('g', m.slot, m.fencing_token, m.seq, CASE WHEN then_ IN ('retry', 'stuck') THEN ARRAY[m.seq] ELSE '{}' END, p.outcome);
			IF dies AND border = 7 THEN PERFORM die(how); END IF;
			COMMIT;
			IF dies AND border = 8 THEN PERFORM die(how); END IF;
			UPDATE outbox.parked SET due_at = now() WHERE due_at > now();
			COMMIT;
		END LOOP;
	END $$;

	-- One message of one of many workers: it may die between its transactions, or sleep over its lease and do all of it then.
	CREATE PROCEDURE work_at_random(worker text, how float8) LANGUAGE plpgsql AS $$
	DECLARE
		m taskapi.message; p plan; then_ text;
	BEGIN
		SELECT * INTO m FROM taskapi.receive('g', worker, 1, '150 ms');
		COMMIT;
		IF m.seq IS NULL OR how < 0.05 THEN RETURN; END IF;
		IF how < 0.15 THEN PERFORM pg_sleep(0.25); END IF;
		-- one that is sure to oversleep: until another has it
		FOR i IN 1 .. CASE worker WHEN 'zombie' THEN 6000 ELSE 0 END LOOP
			EXIT WHEN (SELECT c.fencing_token <> m.fencing_token FROM outbox.consumer c WHERE c."group" = 'g' AND c.slot = m.slot);
			PERFORM pg_sleep(0.05);
			COMMIT;
		END LOOP;
		SELECT * INTO p FROM plan l WHERE l.saga = m.payload ->> 'saga' AND l.step = m.payload ->> 'step'
			AND l.attempt = 1 + (SELECT count(*) FROM outbox.saga_step j WHERE j.saga = l.saga AND j.step = l.step);
		IF NOT FOUND OR p.takes_effect THEN PERFORM once(m.payload ->> 'saga', m.payload ->> 'step', m.payload ->> 'compensates'); END IF;
		IF p.outcome = 'failed' AND m.payload ->> 'compensates' IS NULL THEN p.outcome := fail_for_good(m.payload ->> 'saga', m.payload ->> 'step'); END IF;
		COMMIT;
		IF how > 0.95 THEN RETURN; END IF;
		BEGIN
			then_ := taskapi.settle_step(m.payload ->> 'saga', m.fencing_token, m.payload ->> 'step', coalesce(p.outcome, 'done'));
		EXCEPTION WHEN SQLSTATE 'PT409' THEN INSERT INTO story VALUES ('came back as a zombie'); RETURN;
		END;
		COMMIT;
		IF how > 0.90 THEN RETURN; END IF;
		BEGIN
			PERFORM taskapi.settle('g', m.slot, m.fencing_token, m.seq, CASE WHEN then_ IN ('retry', 'stuck') THEN ARRAY[m.seq] ELSE '{}' END, p.outcome);
		EXCEPTION WHEN SQLSTATE 'PT409' THEN INSERT INTO story VALUES ('lost its lease before settle()');
		END;
		COMMIT;
		UPDATE outbox.parked SET due_at = now() WHERE due_at > now() AND due_at < 'infinity';
	END $$;
});

# How sagas ended, what happened on the way, and their journals. One look for all of them: a psql for each took most of the time.
sub look
{
	my ($which) = @_;
	my %seen;
	my @lines = split /\n/, $node->safe_psql('postgres', qq{
		SELECT 'state', id, state FROM outbox.saga WHERE id $which;
		SELECT 'effect', saga, what FROM effect WHERE saga $which;
		SELECT 'journal', saga, step, outcome FROM outbox.saga_step WHERE saga $which ORDER BY saga, n});
	foreach my $line (@lines)
	{
		my ($kind, $id, $what) = split /\|/, $line, 3;
		$seen{$id}{state} = $what if $kind eq 'state';
		$seen{$id}{effects}{$what}++ if $kind eq 'effect';
		push @{ $seen{$id}{journal} }, $what if $kind eq 'journal';
	}
	return \%seen;
}

# What the effects of a saga must be, by how it ended.
sub check_effects
{
	my ($saga, $what) = @_;
	my ($state, $effects) = ($saga->{state}, $saga->{effects} // {});
	my @journal = @{ $saga->{journal} // [] };
	my @wrong;
	foreach my $s (@steps)
	{
		my ($done, $undone) = ($effects->{$s->{step}} // 0, $s->{compensation} ? $effects->{$s->{compensation}} // 0 : 0);
		push @wrong, "$s->{step} $done times, compensated $undone times"
		  if $state ne 'stuck' && ($state eq 'completed' ? $done != 1 || $undone != 0 : $done > 1 || ($s->{compensation} ? $undone != $done : 0));
	}
	push @wrong, walk($state, @journal);
	is(join('; ', @wrong), '', "$what: $state") or diag(join(', ', @journal));
	return $state;
}

# The rules of a saga, for the second time: is this journal one of them?
sub walk
{
	my ($state, @journal) = @_;
	my ($at, $forward, $ended, %unknown, %failed) = (0, 1, 0);
	my $back = sub { $forward = 0; $at-- while $at >= 0 && !$steps[$at]{compensation}; $ended = 'compensated' if $at < 0; };
	foreach my $entry (@journal)
	{
		my ($step, $outcome) = split /\|/, $entry;
		return "$entry after its end" if $ended;
		my $expected = $forward ? $steps[$at]{step} : $steps[$at]{compensation};
		return "$entry instead of $expected" if $step ne $expected;
		if ($forward)
		{
			if ($outcome eq 'done') { $ended = 'completed' if ++$at > $#steps; }
			elsif ($outcome eq 'failed') { $at--; $back->(); }
			elsif (++$unknown{$step} >= $steps[$at]{attempts}) { $back->(); }
		}
		elsif ($outcome eq 'done') { $at--; $back->(); }
		else { $failed{$step}++; }
	}
	return "ended $state instead of $ended" if $ended && $ended ne $state;
	return "ended $state too early" if !$ended && ($state ne 'stuck' || $forward || ($failed{ $steps[$at]{compensation} } // 0) < 4);
	return ();
}

# It may take connections yet that it is about to end; it has come back after the checkpoint of its recovery, and there is no other.
# The query is no input of psql's, which may be gone before that is written.
sub come_back
{
	my ($before) = @_;
	for my $try (1 .. 1800)
	{
		my ($out) = run_command([ 'psql', '-XAtqc', "SELECT checkpoint_lsn <> '$before' FROM pg_control_checkpoint()", $node->connstr('postgres') ]);
		return if $out eq 't';
		usleep(100_000);
	}
	die 'no recovery';
}

sub run_to_end
{
	for my $try (1 .. 2000)
	{
		$node->psql('postgres', q{UPDATE outbox.consumer SET lease_expires_at = now() WHERE owner IS NOT NULL; UPDATE outbox.parked SET due_at = now() WHERE due_at > now() AND due_at < 'infinity'; CALL work()});
		return if $node->safe_psql('postgres', q{SELECT count(*) FROM outbox.saga s WHERE state IN ('running', 'compensating')}) eq '0';
	}
	fail('the sagas come to an end');
}

# Each border of each step. A saga that ships, and one whose shipment fails, so that all is compensated.
my $id = 0;
foreach my $step (qw(book charge ship refund))
{
	foreach my $border (1 .. 8)
	{
		# the server at one step, since that takes a second each
		foreach my $how ('worker', $step eq 'charge' ? 'server' : ())
		{
			$id++;
			my $fails = $step eq 'refund';
			my $plan = $fails ? "INSERT INTO plan VALUES ('$id', 'ship', 1, 'failed', false);" : '';
			my ($before) = reverse split /\n/, $node->safe_psql('postgres', "$plan SELECT begin_order('$id'); SELECT checkpoint_lsn FROM pg_control_checkpoint()");
			my ($rc, $out, $err) = $node->psql('postgres', "CALL work('$step', $border, '$how')");
			isnt($rc, 0, "the $how dies at $step, border $border");
			come_back($before) if $how eq 'server';
			run_to_end();
			my $state = check_effects(look("= '$id'")->{$id}, "$step, border $border");
			is($state, $fails ? 'compensated' : 'completed', 'it ends as it should');
		}
	}
}

# A worker that oversleeps its lease, and comes back when another has done its work. It happens at random below, too.
$node->safe_psql('postgres', q{SELECT begin_order('z')});
my $zombie = IPC::Run::start([ 'psql', '-XAtq', '-c', q{CALL work_at_random('zombie', 0.1)}, $node->connstr('postgres') ], '>', \my $said, '2>', \my $complained);
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM outbox.consumer WHERE owner = 'zombie'}) or die 'it does not begin';
for my $try (1 .. 600)
{
	$node->safe_psql('postgres', q{CALL work_at_random('awake', 0.5)});
	last if $node->safe_psql('postgres', q{SELECT count(*) FROM story WHERE what = 'came back as a zombie'}) > 0;
	usleep(100_000);
}
$zombie->finish;
run_to_end();
is(check_effects(look("= 'z'")->{z}, 'a worker overslept its lease'), 'completed', 'it ends as it should');
cmp_ok($node->safe_psql('postgres', q{SELECT count(*) FROM story WHERE what = 'came back as a zombie'}), '>', 0, 'and the worker was told');

# Random outcomes, many workers.
$node->safe_psql('postgres', qq{
	SELECT setseed(0.34);
	INSERT INTO plan SELECT 'r' || i, step, attempt, CASE WHEN how < 0.5 THEN 'unknown' ELSE 'failed' END, how < 0.25
	FROM (SELECT i, step, attempt, random() AS how, random() AS whether FROM generate_series(1, $sagas) i, unnest('{book,log,charge,ship,unbook,refund,recall}'::text[]) step, generate_series(1, 6) attempt) p
	WHERE whether < 0.25 OR (step = 'refund' AND i % 5 = 0);
	-- what has failed has had no effect
	SELECT begin_order('r' || i) FROM generate_series(1, $sagas) i});
my $script = $node->basedir . '/work.sql';
append_to_file($script, q{\set how random(0, 100000)
CALL work_at_random('worker ' || :client_id, :how / 100000.0);
});
my $err = '';
IPC::Run::run([ $node->installed_command('pgbench'), '-n', '-c', 4, '-j', 1, '-T', 8, '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ], '>', \my $out, '2>', \$err);
unlike($err, qr/ERROR/, 'no worker fails') or diag($err);
run_to_end();
my %ended;
my $seen = look("LIKE 'r%'");
$ended{ check_effects($seen->{"r$_"}, "saga $_") }++ foreach 1 .. $sagas;
note("$ended{$_} $_") foreach sort keys %ended;
is(join(' ', sort keys %ended), 'compensated completed stuck', 'all ends were there');
note "$_" foreach split /\n/, $node->safe_psql('postgres', 'SELECT what, count(*) FROM story GROUP BY 1 ORDER BY 1');

# What is stuck is a dead letter of its group, and goes on when somebody has looked at it.
is($node->safe_psql('postgres', q{SELECT count(*) FROM outbox.saga s FULL JOIN outbox.dead_letter d ON d.seq = s.command WHERE (s.state = 'stuck') IS DISTINCT FROM (d.seq IS NOT NULL)}),
	'0', 'what is stuck is a dead letter, and nothing else is');
$node->safe_psql('postgres', q{DELETE FROM plan; SELECT taskapi.redrive("group", seq) FROM outbox.dead_letter});
run_to_end();
$seen = look("LIKE 'r%'");
check_effects($seen->{"r$_"}, "saga $_, in the end") foreach 1 .. $sagas;
is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT state, ' ' ORDER BY state) FROM outbox.saga}), 'compensated completed', 'all ends are good ones');
$node->stop;
done_testing();
