# A read with the Read-After of a write sees that write on any standby, or is told to try again; nothing else makes a server wait, and
# a standby refuses what only the primary can do.
use strict;
use warnings;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', "taskapi.read_after_wait = '3min'\nautovacuum = off\n");
$primary->start;
$primary->safe_psql(
	'postgres', q{
	CREATE EXTENSION taskapi;
	CREATE SCHEMA data; CREATE SCHEMA api;
	CREATE TABLE data.note (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text NOT NULL, version bigint NOT NULL DEFAULT 1);
	SELECT taskapi.expose('data.note', 'api', 'notes', soft_delete => false);
	CREATE FUNCTION api.note(text text) RETURNS bigint LANGUAGE sql AS 'INSERT INTO data.note (text) VALUES ($1) RETURNING id';
	CREATE FUNCTION api.note_once(text text) RETURNS bigint LANGUAGE sql AS 'INSERT INTO data.note (text) VALUES ($1) RETURNING id';
	SELECT taskapi.make_idempotent('api.note_once(text)');
	DELETE FROM taskapi.rate_limit_policy;
});
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
$standby->backup('backup');
my $cascade = PostgreSQL::Test::Cluster->new('cascade');
$cascade->init_from_backup($standby, 'backup', has_streaming => 1);
$cascade->start;

sub request
{
	my ($method, $query, %opt) = @_;
	my $headers = join ', ', map { my $v = $opt{headers}{$_}; $v =~ s/"/\\"/g; qq("$_": "$v") } sort keys %{ $opt{headers} // {} };
	my $cookies = $opt{cookies} // '{}';
	my $begin = $opt{begin} // ($method eq 'GET' ? 'BEGIN READ ONLY' : 'BEGIN');
	my $path = $opt{path} // '/notes';
	my $claims = $opt{claims} // '{}';
	return ($begin, "SET LOCAL request.method = '$method'", "SET LOCAL request.path = '$path'", "SET LOCAL request.headers = '{$headers}'",
		"SET LOCAL request.cookies = '$cookies'", "SET LOCAL request.jwt.claims = '$claims'", "SET LOCAL response.headers = ''",
		defined $opt{wait} ? "SET LOCAL taskapi.read_after_wait = '$opt{wait}'" : (), q{DO 'BEGIN PERFORM taskapi.pre_request(); END'}, $query, 'COMMIT');
}

# What a request answers: its rows, or the name of its problem.
sub ask
{
	my ($node, @request) = @_;
	my ($out, $err) = ('', '');
	my $rc = $node->psql('postgres', join('; ', request(@request)), stdout => \$out, stderr => \$err, on_error_stop => 1);
	return $rc == 0 ? $out : $err =~ /"code": "(\w+)"/ ? $1 : $err;
}

# A write as PostgREST makes it, which reads the headers in the same statement: rows and Read-After.
sub write_on
{
	my ($node, $method, $dml, %opt) = @_;
	my $answer = ask($node, $method, "WITH w AS ($dml) SELECT (SELECT string_agg(w::text, ' ') FROM w), current_setting('response.headers', true)", %opt);
	my ($token) = $answer =~ /"Read-After": "([^"]*)"/;
	return ($token, $answer);
}

# One that waits: its handle, once the server says so.
sub wait_on
{
	my ($node, @request) = @_;
	my $wait = { out => '', err => '' };
	my @parts = map { ('-c', $_) } request(@request);
	$wait->{process} = IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), @parts ], '>', \$wait->{out}, '2>', \$wait->{err});
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%pre_request%' AND wait_event = 'Extension'}) or die 'nobody waits';
	return $wait;
}

sub end_of
{
	my ($wait) = @_;
	IPC::Run::finish($wait->{process});
	chomp($wait->{out});
	return $wait->{out} ne '' ? $wait->{out} : $wait->{err} =~ /"code": "(\w+)"/ ? $1 : $wait->{err};
}

sub replay
{
	my ($node, $go) = @_;
	$node->safe_psql('postgres', $go ? 'SELECT pg_wal_replay_resume()' : 'SELECT pg_wal_replay_pause()');
	$node->poll_query_until('postgres', q{SELECT pg_get_wal_replay_pause_state() = 'paused'}) unless $go;
}

sub is_read { my ($text) = @_; return "SELECT count(*) FROM api.notes WHERE text = '$text'" }

# What answers with a token

my ($token, $answer) = write_on($primary, 'POST', q{INSERT INTO api.notes (text) VALUES ('a') RETURNING text});
like($token, qr/^[\w-]{55}$/, 'a POST answers with Read-After');
like($answer, qr/ETag/, 'and with its ETag');
foreach my $case (
	[ 'PATCH', q{UPDATE api.notes SET text = 'a2' WHERE text = 'a' RETURNING text} ],
	[ 'DELETE', q{DELETE FROM api.notes WHERE text = 'a2' RETURNING text} ],
	[ 'POST', q{INSERT INTO api.notes (text) VALUES ('b'), ('c') RETURNING text} ])
{
	like((write_on($primary, @$case))[0] // '', qr/^[\w-]{55}$/, "so does $case->[1]");
}
is((write_on($primary, 'PATCH', q{UPDATE api.notes SET text = 'x' WHERE text = 'not there' RETURNING text}))[0], undef, 'a PATCH of no row does not');
is(ask($primary, 'GET', q{SELECT coalesce(current_setting('response.headers', true), '')}), '', 'nor does a GET');
is(ask($primary, 'POST', q{SELECT taskapi.read_after() IS NULL}, path => '/rpc/x'), 't', 'read_after() knows of no write before there is one');
like(ask($primary, 'POST', q{SELECT api.note('f') > 0; SELECT taskapi.read_after() = current_setting('response.headers')::jsonb #>> '{0,Read-After}'}, path => '/rpc/note'),
	qr/^t\nt$/, 'and answers with one that is no resource\'s');
is((write_on($primary, 'POST', q{INSERT INTO api.notes (text) VALUES ('off') RETURNING text}, wait => '-1'))[0], undef, '-1 does without');
like(ask($primary, 'POST', q{SAVEPOINT s; INSERT INTO api.notes (text) VALUES ('s'); ROLLBACK TO s; INSERT INTO api.notes (text) VALUES ('s'); SELECT current_setting('response.headers', true)}),
	qr/Read-After/, 'a savepoint that is rolled back does not take it along');

# A replay

foreach my $case (
	[ '/notes', q{INSERT INTO api.notes (text) VALUES ('once') RETURNING text} ],
	[ '/rpc/note_once', q{SELECT api.note_once('once')} ])
{
	my %opt = (path => $case->[0], claims => '{"sub": "ann"}', headers => { 'idempotency-key' => '"k"' });
	ask($primary, 'POST', $case->[1], %opt);
	my @tokens = map { ask($primary, 'POST', "$case->[1]; SELECT current_setting('response.headers', true)::jsonb @> '[{\"Idempotency-Replayed\": \"true\"}]', (SELECT h ->> 'Read-After' FROM jsonb_array_elements(current_setting('response.headers')::jsonb) h WHERE h ? 'Read-After')", %opt) } 1 .. 2;
	is($tokens[1], $tokens[0], "replays on $case->[0] answer with one token");
	like($tokens[0], qr/t\|[\w-]{55}$/, 'they are replays');
}
my %key = (claims => '{"sub": "ann"}', headers => { 'idempotency-key' => '"k2"' });
my $insert = q{INSERT INTO api.notes (text) VALUES ('twice') RETURNING text};
my ($first) = write_on($primary, 'POST', $insert, %key);
my ($again, $replayed) = write_on($primary, 'POST', $insert, %key);
is($again, $first, 'a replay answers with the header of the first answer');
like($replayed, qr/Idempotency-Replayed/, 'and is one');

# A standby that is behind, and one behind that

foreach my $node ($standby, $cascade)
{
	my $name = $node->name;
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
	$standby->wait_for_catchup($cascade, 'replay', $standby->lsn('replay'));
	replay($node, 0);
	my ($behind) = write_on($primary, 'POST', qq{INSERT INTO api.notes (text) VALUES ('$name') RETURNING text});
	my %after = (headers => { 'read-after' => $behind });

	is(ask($node, 'GET', is_read($name)), 0, "$name: without the header the write is not there");
	is(ask($node, 'GET', is_read($name), %after, wait => '1ms'), 'try_again', 'with it the request is to be tried again');
	my $err;
	$node->psql('postgres', join('; ', request('GET', is_read($name), %after, wait => 0)), stderr => \$err, on_error_stop => 1);
	like($err, qr/"status": 503.*"Retry-After": "1"/, 'by 503 with Retry-After');
	is(ask($node, 'GET', is_read($name), %after, begin => 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY'), 'try_again', 'at once if the snapshot stays');
	is(ask($node, 'GET', is_read($name), %after, wait => '-1'), 0, 'not heeded with -1');
	is(ask($node, 'GET', is_read('off'), headers => { 'read-after' => $token }), 1, 'an older write is waited for by nobody');

	my $wait = wait_on($node, 'GET', is_read($name), %after);
	is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT locktype || ' ' || mode, ', ') FROM pg_locks WHERE pid = (SELECT pid FROM pg_stat_activity WHERE query LIKE '%pre_request%' AND wait_event = 'Extension')}),
		'virtualxid ExclusiveLock', 'what waits holds no lock');
	replay($node, 1);
	is(end_of($wait), 1, 'and sees the write as soon as it is replayed');

	replay($node, 0);
	($behind) = write_on($primary, 'POST', qq{INSERT INTO api.notes (text) VALUES ('$name 2') RETURNING text});
	$wait = wait_on($node, 'GET', is_read("$name 2"), headers => { 'read-after' => "$token, $behind" });
	$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'Extension'});
	like(end_of($wait), qr/canceling statement/, 'a list waits for each, and can be cancelled');

	# a key or session that the write made
	my $session = ask($primary, 'POST', q{SELECT taskapi.create_session('ann'); SELECT taskapi.read_after()}, path => '/rpc/log_in', headers => { 'sec-fetch-site' => 'same-origin' });
	($session, $behind) = split /\n/, $session;
	my %caller = (cookies => qq({"__Host-session": "$session"}));
	is(ask($node, 'GET', 'SELECT 1', %caller), 'unauthenticated', 'a session that is not there yet is none');
	$wait = wait_on($node, 'GET', 'SELECT taskapi.current_subject()', %caller, headers => { 'read-after' => $behind });
	replay($node, 1);
	is(end_of($wait), 'ann', 'but is waited for after the log-in');
}

# More subtransactions than a snapshot lists

my $writer = $primary->background_psql('postgres');
$writer->query_safe(q{BEGIN; SET LOCAL request.method = 'POST'});
$writer->query_safe(q{DO $$ BEGIN FOR i IN 1 .. 100 LOOP BEGIN INSERT INTO api.notes (text) VALUES ('many'); EXCEPTION WHEN division_by_zero THEN END; END LOOP; END $$});
my $many = $writer->query_safe('SELECT taskapi.read_after()');
$primary->safe_psql('postgres', 'CHECKPOINT; SELECT pg_log_standby_snapshot()') if $primary->safe_psql('postgres', 'SHOW server_version_num') >= 160000;
$primary->safe_psql('postgres', q{INSERT INTO data.note (text) VALUES ('beside')});
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
is(ask($standby, 'GET', is_read('many'), headers => { 'read-after' => $many }, wait => 0), 'try_again', 'a transaction that is still in progress, with 100 subtransactions, is waited for');
my $wait = wait_on($standby, 'GET', is_read('many'), headers => { 'read-after' => $many });
$writer->query_safe('COMMIT');
is(end_of($wait), 100, 'until it commits');
$writer->quit;

# What is no token holds no connection: a wait would be of 3 minutes, and end as try_again

replay($standby, 0);
my ($behind) = write_on($primary, 'POST', q{INSERT INTO api.notes (text) VALUES ('last') RETURNING text});
my @forged = ('x', 'x' x 55, "$behind=", "A$behind", substr($behind, 0, 54));
foreach my $at (0, 1, 6, 12, 22, 30, 33, 40, 53)
{
	my $forged = $behind;
	substr($forged, $at, 1) = substr($forged, $at, 1) eq 'B' ? 'C' : 'B';
	push @forged, $forged;
}
my %answers;
$answers{ ask($standby, 'GET', is_read('last'), headers => { 'read-after' => $_ }) }++ foreach @forged;
# another key's number is a key that is not known
is(join(' ', sort keys %answers), '0 read_after_invalid', 'a forged value is refused, or counts for nothing');
is($answers{0}, 1, 'which only that of an unknown key does');
is(ask($standby, 'GET', 'SELECT 1', headers => { 'read-after' => join(',', ($token) x 9) }), 'read_after_invalid', 'nor does one of many tokens');
is(ask($standby, 'GET', 'SELECT 1', headers => { 'read-after' => join(' ,', ($token) x 8, '') }), 1, 'eight are taken');
is(ask($standby, 'GET', 'SELECT 1', headers => { 'read-after' => '' }), 1, 'and none');
is(ask($primary, 'GET', 'SELECT 1', headers => { 'read-after' => 'x' }), 1, 'the primary looks at none');

my $other = PostgreSQL::Test::Cluster->new('other');
$other->init;
$other->start;
my $secret = $primary->safe_psql('postgres', q{SELECT secret FROM taskapi.secret WHERE purpose = 'cursor'});
$other->safe_psql('postgres', qq{CREATE EXTENSION taskapi; UPDATE taskapi.secret SET secret = '$secret' WHERE purpose = 'cursor'; CREATE TABLE t (i int); SELECT pg_current_xact_id() FROM generate_series(1, 3)});
$other->safe_psql('postgres', 'INSERT INTO t VALUES (1)') for 1 .. 300;
my $foreign = $other->safe_psql('postgres', q{BEGIN; INSERT INTO t VALUES (1); SELECT taskapi.read_after(); COMMIT});
is(ask($standby, 'GET', is_read('last'), headers => { 'read-after' => $foreign }), 0, 'a token of another cluster with the same secrets counts for nothing');
is(ask($standby, 'GET', is_read('last'), headers => { 'read-after' => $behind }, wait => 0), 'try_again', 'unlike one of this cluster');

# What the standby cannot do

foreach my $case (
	[ 'POST', '/notes', q{INSERT INTO api.notes (text) VALUES ('no')} ],
	[ 'POST', '/notes', q{WITH w AS (INSERT INTO api.notes (text) VALUES ('no') RETURNING 1) SELECT count(*) FROM w}, { 'idempotency-key' => '"s"' } ],
	[ 'PATCH', '/notes', q{UPDATE api.notes SET text = 'no'} ],
	[ 'DELETE', '/notes', q{DELETE FROM api.notes} ],
	[ 'POST', '/rpc/note', q{SELECT api.note('no')} ],
	[ 'POST', '/rpc/note_once', q{SELECT api.note_once('no')}, { 'idempotency-key' => '"s"' } ],
	[ 'POST', '/rpc/x', q{SELECT taskapi.idempotency_begin('s')} ])
{
	is(ask($standby, $case->[0], $case->[2], path => $case->[1], headers => $case->[3], claims => '{"sub": "ann"}'), 'read_only', "$case->[0] $case->[1] is refused: $case->[2]");
}
$standby->psql('postgres', join('; ', request('POST', q{INSERT INTO api.notes (text) VALUES ('no')})), stderr => \my $refusal, on_error_stop => 1);
like($refusal, qr/"hint": "Send the request to the primary.*"status": 503.*"Retry-After": "1"/s, 'by 503 with a hint');
$standby->psql('postgres', q{INSERT INTO api.notes (text) VALUES ('no')}, stderr => \$refusal);
like($refusal, qr/read-only transaction/, 'outside a request it is the server\'s own error');
is(ask($standby, 'POST', 'SELECT count(*) > 0 FROM api.notes', path => '/rpc/notes_page'), 't', 'a POST that only reads is answered');
replay($standby, 1);

# Promotion: a write that the standby never got is lost, and nobody waits for it for ever

$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
$standby->append_conf('postgresql.conf', "primary_conninfo = ''\n");
$standby->reload;
$standby->poll_query_until('postgres', 'SELECT count(*) = 0 FROM pg_stat_wal_receiver');
my ($lost) = write_on($primary, 'POST', q{INSERT INTO api.notes (text) VALUES ('lost') RETURNING text});
$wait = wait_on($standby, 'GET', is_read('lost'), headers => { 'read-after' => $lost });
my $below = wait_on($cascade, 'GET', is_read('lost'), headers => { 'read-after' => $lost });
$primary->stop('immediate');
$standby->promote;
is(end_of($wait), 0, 'who waits at a promotion is answered');
is(end_of($below), 0, 'and so is who waits below, once that follows the new timeline');
is(ask($cascade, 'GET', is_read('lost'), headers => { 'read-after' => $lost }), 0, 'a token of the older history is waited for by nobody');
my ($later) = write_on($standby, 'POST', q{INSERT INTO api.notes (text) VALUES ('later') RETURNING text});
is(ask($cascade, 'GET', is_read('later'), headers => { 'read-after' => $later }), 1, 'one of the new timeline holds');
isnt($later, undef, 'which the promoted server answers with');

$_->stop foreach $cascade, $standby, $other;
done_testing();
