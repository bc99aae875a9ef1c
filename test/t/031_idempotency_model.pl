# The ledger against a model: random operations of several sessions, each with transactions, savepoints and isolation
# levels of its own, on a few keys. Every answer must be the one that the model predicts, and so must the table.
#
# Nobody waits (idempotency_wait = 0), so that every operation has exactly one right answer.
# TASKAPI_MODEL_STEPS sets the number of operations (3000), TASKAPI_MODEL_SEED repeats a run.
use strict;
use warnings;
use IPC::Open2;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $steps = $ENV{TASKAPI_MODEL_STEPS} || 3000;
my $seed = $ENV{TASKAPI_MODEL_SEED} || int(rand(1_000_000_000));
srand($seed);
note "seed $seed";

my $node = PostgreSQL::Test::Cluster->new('model');
$node->init;
$node->append_conf('postgresql.conf', "taskapi.idempotency_wait = 0\nautovacuum = off\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION taskapi');

my @keys = qw(a b c d);
my @sessions = map { new_session() } 1 .. 4;
my $admin = new_session();
my %committed;      # key => row
my $token = 0;      # the last one given
my @log;

# ---------- sessions ----------

sub new_session
{
	my $pid = open2(my $out, my $in, 'psql -XAtq -F " " -v VERBOSITY=verbose -v ON_ERROR_STOP=0 -d "' . $node->connstr('postgres') . '" 2>&1');
	# levels: the transaction and its savepoints; each has locks, claims and rows of its own
	return { pid => $pid, in => $in, out => $out, levels => [], failed => 0 };
}

# Send one statement; the answer is the row, or the problem's code, or the SQLSTATE.
sub run
{
	my ($session, $sql) = @_;
	my $answer = '';
	print { $session->{in} } "$sql;\n\\echo --end--\n";
	$session->{in}->flush;
	while (defined(my $line = readline $session->{out}))
	{
		last if $line eq "--end--\n";
		$answer .= $line;
	}
	return $1 if $answer =~ /^DETAIL:.*"code": "(\w+)"/m;
	return $1 if $answer =~ /^(?:psql:.*)?ERROR:  (\w{5}):/m;
	chomp $answer;
	return $answer;
}

# ---------- the model ----------

sub top { return $_[0]{levels}[-1]; }

sub locked_by
{
	my $key = shift;
	for my $s (@sessions)
	{
		return $s if grep { $_->{locks}{$key} } @{ $s->{levels} };
	}
	return undef;
}

# The innermost state that this session has of a claim, or its version of the row.
sub own
{
	my ($session, $what, $key) = @_;
	for my $level (reverse @{ $session->{levels} })
	{
		return (1, $level->{$what}{$key}) if exists $level->{$what}{$key};
	}
	return (0, undef);
}

sub row
{
	my ($session, $key) = @_;
	my ($known, $row) = own($session, 'rows', $key);
	return $known ? $row : $committed{$key};
}

sub absent
{
	my $row = shift;
	# what was done under a lease is never forgotten before it is finished
	return !$row || ($row->{expired} && ($row->{status} || (!$row->{live} && ($row->{point} // '') eq '')));
}

sub merge
{
	my ($from, $to) = @_;
	for my $what (qw(locks claims rows))
	{
		$to->{$what}{$_} = $from->{$what}{$_} for keys %{ $from->{$what} };
	}
}

# An error ends the current level at once.
sub fails
{
	my ($session, $code) = @_;
	%{ top($session) } = (name => top($session)->{name});
	$session->{failed} = 1;
	return $code;
}

# Lock and row as begin and acquire see them: (answer) or (undef, row).
sub look
{
	my ($session, $key) = @_;
	my $owner = locked_by($key);
	if ($owner && $owner != $session)
	{
		my $row = $committed{$key};
		return 'idempotency_key_in_progress' if absent($row) || !$row->{status};
		return (undef, $row);
	}
	my $row = row($session, $key);
	return (undef, absent($row) ? undef : $row);
}

sub model_begin
{
	my ($s, $key, $print) = @_;
	my (undef, $claim) = own($s, 'claims', $key);
	return fails($s, '55000') if ($claim // '') eq 'claimed';
	my ($answer, $row) = look($s, $key);
	return fails($s, $answer) if $answer;
	if (!$row)
	{
		top($s)->{rows}{$key} = undef if row($s, $key);
		top($s)->{locks}{$key} = 1;
		top($s)->{claims}{$key} = 'claimed';
		top($s)->{print}{$key} = $print;
		return 'new  ';
	}
	return fails($s, 'idempotency_key_reused') if $row->{print} ne $print;
	return fails($s, 'idempotency_key_in_progress') if !$row->{status};
	return "replay $row->{status} $row->{body}";
}

sub claim_print
{
	my ($s, $key) = @_;
	for my $level (reverse @{ $s->{levels} })
	{
		return $level->{print}{$key} if exists $level->{print}{$key};
	}
}

sub model_complete
{
	my ($s, $key, $status, $body) = @_;
	my (undef, $claim) = own($s, 'claims', $key);
	return fails($s, '55000') if ($claim // '') ne 'claimed';
	top($s)->{rows}{$key} = { print => claim_print($s, $key), status => $status, body => $body, token => 0 };
	top($s)->{claims}{$key} = 'stored';
	return '';
}

sub model_acquire
{
	my ($s, $key, $print) = @_;
	my (undef, $claim) = own($s, 'claims', $key);
	return fails($s, '55000') if ($claim // '') eq 'claimed';
	my ($answer, $row) = look($s, $key);
	return fails($s, $answer) if $answer;
	if ($row)
	{
		return fails($s, 'idempotency_key_reused') if $row->{print} ne $print;
		return fails($s, 'idempotency_key_in_progress') if !$row->{status} && $row->{live};
		if ($row->{status})
		{
			return "replay   $row->{status} $row->{body}";
		}
	}
	top($s)->{locks}{$key} = 1;
	$token++;
	top($s)->{rows}{$key} = { print => $print, status => 0, token => $token, live => 1, point => $row ? $row->{point} : '' };
	return "acquired $token " . ($row ? $row->{point} : '') . '  ';
}

# (answer) or (undef, a copy of the row to change)
sub owned
{
	my ($s, $key, $t) = @_;
	my $owner = locked_by($key);
	return fails($s, 'idempotency_key_in_progress') if $owner && $owner != $s;
	my $row = row($s, $key);
	return fails($s, 'idempotency_lease_lost')
	  if absent($row) || !$row->{token} || $row->{token} != $t || $row->{status} || $row->{released};
	top($s)->{locks}{$key} = 1;
	return (undef, {%$row});
}

sub model_checkpoint
{
	my ($s, $key, $t, $point) = @_;
	my ($answer, $row) = owned($s, $key, $t);
	return $answer if $answer;
	$row->{point} = $point;
	$row->{live} = 1;
	top($s)->{rows}{$key} = $row;
	return '';
}

sub model_finish
{
	my ($s, $key, $t, $status, $body) = @_;
	my ($answer, $row) = owned($s, $key, $t);
	return $answer if $answer;
	@$row{qw(status body point expired)} = ($status, $body, '', 0);
	top($s)->{rows}{$key} = $row;
	return '';
}

sub model_release
{
	my ($s, $key, $t) = @_;
	my ($answer, $row) = owned($s, $key, $t);
	return $answer if $answer;
	if ($row->{point} eq '') { $row = undef; }
	else { @$row{qw(live released)} = (0, 1); }
	top($s)->{rows}{$key} = $row;
	return '';
}

sub commit
{
	my $s = shift;
	my $all = { };
	merge($_, $all) for @{ $s->{levels} };
	if (!$s->{failed})
	{
		for my $key (keys %{ $all->{rows} })
		{
			if ($all->{rows}{$key}) { $committed{$key} = $all->{rows}{$key}; }
			else { delete $committed{$key}; }
		}
	}
	@$s{qw(levels failed)} = ([], 0);
}

# ---------- operations ----------

sub pick { return $_[ rand @_ ]; }

my $body = 0;
my $expected;
my $abandoned = 0;    # how often there was such work

# A statement of a session: in its transaction, or in one of its own.
sub statement
{
	my ($s, $sql, $model, @args) = @_;
	my $alone = !@{ $s->{levels} };
	if ($s->{failed})
	{
		$expected = '25P02';
		return $sql;
	}
	$s->{levels} = [ {} ] if $alone;
	$expected = $model->($s, @args);
	commit($s) if $alone;
	return $sql;
}

sub step
{
	my $s = pick(@sessions);
	my @claimed = grep { ((own($s, 'claims', $_))[1] // '') eq 'claimed' } @keys;
	my $key = @claimed && rand() < 0.5 ? pick(@claimed) : pick(@keys);
	my $print = rand() < 0.9 ? 1 : 2;
	my $status = pick(200, 201, 402);
	my $row = row($s, $key);
	# mostly the right token, sometimes an old one or one of the future
	my $t = rand() < 0.8 && $row ? $row->{token} : int(rand($token + 3));
	my $open = @{ $s->{levels} };
	my $r = rand();

	if (!$open && $r < 0.25)
	{
		$s->{levels} = [ {} ];
		$expected = '';
		return ($s, 'BEGIN ISOLATION LEVEL ' . pick('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'));
	}
	if ($open && $r < ($s->{failed} ? 0.8 : 0.25))
	{
		my @savepoints = grep { $_ > 0 } 0 .. $#{ $s->{levels} };
		my $what = $s->{failed} && rand() < 0.9 ? 0.4 + rand(0.6) : rand();
		$expected = '';
		if ($what < 0.4)
		{
			$expected = '25P02', return ($s, 'SAVEPOINT x') if $s->{failed};
			push @{ $s->{levels} }, { };
			return ($s, 'SAVEPOINT s' . $#{ $s->{levels} });
		}
		if ($what < 0.7 && @savepoints)
		{
			my $n = pick(@savepoints);
			splice @{ $s->{levels} }, $n, @{ $s->{levels} } - $n, { };
			$s->{failed} = 0;
			return ($s, "ROLLBACK TO s$n");
		}
		if ($what < 0.78 && @savepoints)
		{
			my $n = pick(@savepoints);
			$expected = '25P02', return ($s, "RELEASE s$n") if $s->{failed};
			for my $level (splice @{ $s->{levels} }, $n, @{ $s->{levels} } - $n)
			{
				merge($level, $s->{levels}[ $n - 1 ]);
				$s->{levels}[ $n - 1 ]{print}{$_} = $level->{print}{$_} for keys %{ $level->{print} };
			}
			return ($s, "RELEASE s$n");
		}
		if ($what < 0.92)
		{
			commit($s);
			return ($s, 'COMMIT');
		}
		@$s{qw(levels failed)} = ([], 0);
		return ($s, 'ROLLBACK');
	}

	$r = rand();
	if ($r < 0.1)
	{
		# An administrator's hand makes the key expire, or a lease lapse.
		my $mine = $committed{$key};
		$expected = '';
		return ($admin, 'SELECT') if locked_by($key) || !$mine;
		if ($mine->{status} || rand() < 0.3)
		{
			$mine->{expired} = 1;
			return ($admin, "UPDATE taskapi.idempotency_key SET expires_at = clock_timestamp() WHERE key = '$key'");
		}
		return ($admin, 'SELECT') if $mine->{status} || $mine->{released};
		$mine->{live} = 0;
		return ($admin, "UPDATE taskapi.idempotency_key SET lease_expires_at = clock_timestamp() WHERE key = '$key'");
	}
	if ($r < 0.12)
	{
		my @gone = grep { absent($committed{$_}) && !locked_by($_) } keys %committed;
		$expected = @gone;
		delete @committed{@gone};
		return ($admin, 'SELECT taskapi.purge_idempotency_keys()');
	}
	if ($r < 0.14)
	{
		$expected = join ',', grep { my $row = $committed{$_}; $row && !$row->{status} && !$row->{live} } @keys;
		$abandoned++ if $expected ne '';
		return ($admin, "SELECT string_agg(key, ',' ORDER BY key) FROM taskapi.idempotency_abandoned('s')");
	}
	$body++;

	# Mostly what fits the state, so that walks get far; the rest is what must be refused.
	my $claimed = ((own($s, 'claims', $key))[1] // '') eq 'claimed';
	my %odds =
	    $claimed ? (complete => 55, begin => 5, acquire => 5, finish => 2)
	  : $row && $row->{token} && !$row->{status} ? (checkpoint => 30, finish => 20, release => 15, acquire => 20, begin => 5, complete => 2)
	  : (begin => 45, acquire => 40, complete => 3, checkpoint => 3, finish => 3, release => 3);
	my $sum = 0;
	$sum += $_ for values %odds;
	$r = rand($sum);
	my $op = (grep { ($r -= $odds{$_}) < 0 } sort keys %odds)[0];
	my %call = (
		begin => ["SELECT outcome, status, body FROM taskapi.idempotency_begin('$key', '$print', 's')", \&model_begin, $key, $print],
		complete => ["SELECT taskapi.idempotency_complete('$key', $status, '$body', scope => 's')", \&model_complete, $key, $status, $body],
		acquire => ["SELECT outcome, fencing_token, recovery_point, status, body FROM taskapi.idempotency_acquire('$key', '$print', '1 hour', 's')",
			\&model_acquire, $key, $print],
		checkpoint => ["SELECT taskapi.idempotency_checkpoint('$key', $t, 'p$body', scope => 's')", \&model_checkpoint, $key, $t, "p$body"],
		finish => ["SELECT taskapi.idempotency_finish('$key', $t, $status, '$body', scope => 's')", \&model_finish, $key, $t, $status, $body],
		release => ["SELECT taskapi.idempotency_release('$key', $t, 's')", \&model_release, $key, $t]);
	return ($s, statement($s, @{ $call{$op} }));
}

sub table_is_right
{
	my $table = $node->safe_psql('postgres', <<'SQL');
SELECT key, coalesce(status, 0), body, fencing_token, recovery_point, coalesce(lease_expires_at = '-infinity', false)
FROM taskapi.idempotency_key ORDER BY key
SQL
	my $model = join "\n", map {
		my $row = $committed{$_};
		join '|', $_, $row->{status}, $row->{body} // '', $row->{token}, $row->{point} // '',
		  $row->{released} && !$row->{status} ? 't' : 'f'
	} sort keys %committed;
	return $table eq $model || (diag("table:\n$table\nmodel:\n$model"), 0);
}

my (%seen, $wrong);
for my $n (1 .. $steps)
{
	my ($s, $sql) = step();
	my $answer = run($s, $sql);
	my ($who) = grep { ($sessions[$_] // $admin) == $s } 0 .. @sessions;
	push @log, sprintf '%d: s%d %s -> %s', $n, $who, $sql, $answer;
	shift @log if @log > 40;
	$seen{ $answer =~ /^(new|replay|acquired|[a-z_]+|\w{5})$|^(new|replay|acquired) / ? $1 // $2 : 'done' }++;
	if ($answer ne $expected || ($n % 100 == 0 && !table_is_right()))
	{
		$wrong = 1;
		diag("seed $seed\n" . join("\n", @log) . "\nexpected: $expected");
		last;
	}
}
ok(!$wrong, "$steps operations are answered as the model predicts");
commit($_), run($_, 'COMMIT') for grep { @{ $_->{levels} } } @sessions;
ok($wrong || table_is_right(), 'the table is the model');
note join ', ', map { "$_: $seen{$_}" } sort keys %seen;
# A walk that never met an outcome would say nothing about it.
is(join(' ', grep { !$seen{$_} } qw(new replay acquired 55000 idempotency_key_in_progress idempotency_key_reused idempotency_lease_lost)),
	'', 'every outcome was met')
  if $steps >= 1000 && !$wrong;
ok($abandoned, 'abandoned work was found') if $steps >= 1000 && !$wrong;

for my $s (@sessions, $admin)
{
	close $s->{in};
	waitpid $s->{pid}, 0;
}
$node->stop;
done_testing();
