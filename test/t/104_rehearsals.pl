# The rehearsals of docs/operations.md, played: kill -9, a full disk, a long transaction under the purge and the feed, a runaway client, leaked secrets, a bad migration. What the document shows is what the server says here.
use strict;
use warnings;
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# A disk that is full while a file is there: what would extend a table fails as it does then.
my $folder = PostgreSQL::Test::Utils::tempdir();
my $full = "$folder/full";
append_to_file("$folder/full.c", <<'C');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
static int full(int fd, off_t end)
{
	char name[64], path[4096];
	struct stat st;
	ssize_t n;
	if (access(getenv("FULL_DISK"), F_OK) != 0 || fstat(fd, &st) != 0 || end <= st.st_size) return 0;
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	if ((n = readlink(name, path, sizeof path - 1)) < 0) return 0;
	path[n] = 0;
	if (!strstr(path, "/base/")) return 0;
	errno = ENOSPC;
	return 1;
}
#define NEXT(f) ((__typeof__(&f)) dlsym(RTLD_NEXT, #f))
ssize_t pwrite(int fd, const void *b, size_t n, off_t o) { return full(fd, o + n) ? -1 : NEXT(pwrite)(fd, b, n, o); }
ssize_t pwrite64(int fd, const void *b, size_t n, off64_t o) { return full(fd, o + n) ? -1 : NEXT(pwrite64)(fd, b, n, o); }
ssize_t pwritev(int fd, const struct iovec *v, int n, off_t o) { return full(fd, o + 1) ? -1 : NEXT(pwritev)(fd, v, n, o); }
ssize_t pwritev64(int fd, const struct iovec *v, int n, off64_t o) { return full(fd, o + 1) ? -1 : NEXT(pwritev64)(fd, v, n, o); }
int posix_fallocate(int fd, off_t o, off_t n) { return full(fd, o + n) ? ENOSPC : NEXT(posix_fallocate)(fd, o, n); }
int posix_fallocate64(int fd, off64_t o, off64_t n) { return full(fd, o + n) ? ENOSPC : NEXT(posix_fallocate64)(fd, o, n); }
C
my $shim = system('gcc', '-O2', '-fPIC', '-shared', '-o', "$folder/full.so", "$folder/full.c", '-ldl') == 0;
$ENV{FULL_DISK} = $full;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\nrestart_after_crash = on\nlog_statement = none\n");
{
	local $ENV{LD_PRELOAD} = $shim ? "$folder/full.so" : '';
	$node->start;
}
$node->safe_psql('postgres', q{
	CREATE EXTENSION taskapi;
	CREATE SCHEMA shop;
	CREATE TABLE shop.orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, total int, note text);
	SELECT taskapi.expose('shop.orders');
	CREATE TABLE shop.notes (n int PRIMARY KEY);
	SELECT taskapi.expose('shop.notes', changes => true);
	SELECT taskapi.create_outbox(), taskapi.create_consumer_group('notes');
	CREATE ROLE anonymous; CREATE ROLE authenticated;
	SELECT taskapi.set_api_roles('anonymous', 'authenticated');
	SELECT taskapi.grant_resource('api.orders', 'authenticated', '{read,create,update,delete}');
	SELECT taskapi.set_secret('jwt', repeat('a secret of before ', 3));
	UPDATE taskapi.rate_limit_policy SET rate = 20, per = '1 day', burst = NULL WHERE name = 'per_user'});

# One request as a layer makes it.
sub request
{
	my ($subject, $sql, %header) = @_;
	my $headers = join ', ', map { qq{"$_": "$header{$_}"} } sort keys %header;
	my $claims = $subject ? qq{{"sub": "$subject", "role": "authenticated"}} : '';
	my $method = $sql =~ /INSERT/ ? 'POST' : 'GET';
	return qq{BEGIN; DO \$x\$ BEGIN PERFORM set_config('request.method', '$method', true), set_config('request.path', '/orders', true), set_config('request.headers', '{$headers}', true), set_config('request.jwt.claims', '$claims', true), set_config('role', '${\ ($subject ? 'authenticated' : 'anonymous')}', true); PERFORM taskapi.pre_request(); END \$x\$; $sql;};
}
sub ask { my ($rc, $out, $err) = $node->psql('postgres', join(' ', @_), on_error_stop => 1); $err =~ s/^psql:\S+: //mg; return $rc == 0 ? $out : $err }
sub status { my ($answer) = @_; return $answer =~ /"status": (\d+)/ ? $1 : $answer =~ /ERROR:  (.*)/ ? $1 : 'done' }

# told(REHEARSAL, TEXT): what the document shows of it, but for numbers.
my $document = slurp_file("$FindBin::RealBin/../../docs/operations.md");
sub plain { my ($text) = @_; $text =~ s/\d+([.:-]\d+)*/N/g; $text =~ s/[ \t]+/ /g; $text =~ s/\s*\n\s*/\n/g; $text =~ s/-+/-/g; return $text =~ s/^\s+|\s+$//gr }
sub told
{
	my ($rehearsal, $text) = @_;
	my ($chapter) = $document =~ /^### Rehearsal: \Q$rehearsal\E\n(.*?)(?=^##|\z)/ms;
	my ($shown) = ($chapter // '') =~ /```text\n(.*?)```/s;
	is(plain($shown // ''), plain($text), "$rehearsal: the document shows it") || diag("$rehearsal:\n$text");
}
sub table { my ($sql) = @_; return $node->safe_psql('postgres', $sql, extra_params => [ '-P', 'format=aligned', '-P', 'tuples_only=off', '-P', 'footer=off' ]) }

# kill -9, in the middle of a POST with a key
{
	my $insert = 'INSERT INTO api.orders (total) VALUES (7) RETURNING id';
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	$session->query_safe(request('ann', $insert, 'idempotency-key' => 'k1'));
	is($node->safe_psql('postgres', 'SELECT requests FROM taskapi.request_gauge'), 1, 'kill -9: a POST is under way');
	my $from = -s $node->logfile;
	kill 'KILL', $pid;
	# the server ends all others when it notices, and not before
	$node->wait_for_log(qr/all server processes terminated; reinitializing/, $from);
	# an attempt to connect, without a query: that would be written to a psql which may be gone
	$node->poll_query_until('postgres', undef, '') or die 'no recovery';
	$session->{run}->finish;
	my $first = ask(request('ann', $insert, 'idempotency-key' => 'k1'), 'COMMIT');
	my $second = ask(request('ann', $insert, 'idempotency-key' => 'k1'), 'COMMIT');
	is($second, $first, 'kill -9: the client repeats the request, twice');
	told('kill -9', table(q{SELECT (SELECT count(*) FROM shop.orders) AS orders, (SELECT count(*) FROM taskapi.request_gauge) AS under_way,
		(SELECT value FROM taskapi.stats WHERE name = 'idempotency_replays') AS replays, now() - pg_postmaster_start_time() < '1 hour' AS same_postmaster}));
	is($node->safe_psql('postgres', 'SELECT count(*) FROM shop.orders'), 1, 'kill -9: the order is there once');
}

# A full disk
SKIP:
{
	skip 'there is no compiler', 4 unless $shim;
	my $insert = q{INSERT INTO api.orders (total, note) SELECT 1, repeat(md5(n::text), 50) FROM generate_series(1, 200) n};
	append_to_file($full, '');
	my $refused = ask(request('bob', $insert), 'COMMIT');
	# which file it is, and how it is extended, depends on the major
	$refused =~ s/^CONTEXT.*//m;
	$refused =~ s/file "base[^"]*"[^:]*:/file "base\/5\/17092":/;
	like($refused, qr/No space left on device/, 'disk full: a POST fails');
	is(ask(request('bob', 'SELECT count(*) FROM api.orders'), 'COMMIT'), 1, 'disk full: a GET is answered');
	unlink $full;
	is(status(ask(request('bob', $insert), 'COMMIT')), 'done', 'disk full: with room again a POST works');
	told('disk full', "$refused\n" . table(q{SELECT method, status, requests FROM taskapi.request_metrics WHERE route = '/orders' AND (status = '5xx' OR method = 'GET') ORDER BY 1}));
}

# A long transaction under the purge
{
	my $long = $node->background_psql('postgres');
	$long->query_safe(q{SET application_name = 'report'; BEGIN ISOLATION LEVEL REPEATABLE READ; CREATE TABLE shop.report AS SELECT sum(total) FROM shop.orders});
	my $token = $node->safe_psql('postgres', q{SELECT next_page_token FROM api.notes_changes('latest')});
	$node->safe_psql('postgres', q{INSERT INTO api.notes (n) VALUES (7); SELECT taskapi.publish('note', '7', '{}')});
	is($node->safe_psql('postgres', qq{SELECT json_array_length(items) FROM api.notes_changes('$token')}), 1, 'long transaction: the feed tells what others write');
	is($node->safe_psql('postgres', q{SELECT key FROM taskapi.receive('notes', 'w')}), 7, 'long transaction: the outbox hands out what they publish');
	$node->safe_psql('postgres', q{DELETE FROM api.orders WHERE total = 1; SET taskapi.deleted_retention = '0'; CALL taskapi.maintain()});
	my $vacuum = ($node->psql('postgres', 'VACUUM (VERBOSE) shop.orders'))[2];
	my ($kept) = $vacuum =~ /(\d+) are dead but not yet removable/;
	is($node->safe_psql('postgres', 'SELECT count(*) FROM shop.orders'), 1, 'long transaction: maintain() purges all the same');
	cmp_ok($kept // 0, '>=', 200, 'long transaction: but the space is not free');
	told('a long transaction under the purge and the feed', table(q{SELECT application_name, state, backend_xid IS NOT NULL AS writes, left(query, 30) AS query FROM pg_stat_activity WHERE backend_xid IS NOT NULL ORDER BY xact_start}));
	$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'report'});
	($kept) = ($node->psql('postgres', 'VACUUM (VERBOSE) shop.orders'))[2] =~ /(\d+) are dead but not yet removable/;
	is($kept, 0, 'long transaction: until it is ended');
	$long->{run}->finish;
}

# A runaway client
{
	my @answers = map { status(ask(request('mallory', 'SELECT 1'), 'COMMIT')) } 1 .. 30;
	is(join(' ', @answers[ 19, 20 ]), 'done 429', 'runaway client: it is denied');
	is(status(ask(request('carol', 'SELECT 1'), 'COMMIT')), 'done', 'runaway client: and no other');
	told('a runaway client', table('SELECT policy, subject, denied FROM taskapi.rate_limit_denials'));
	$node->safe_psql('postgres', q{SELECT taskapi.block_subject('mallory')});
	is(status(ask(request('mallory', 'SELECT 1'), 'COMMIT')), 401, 'runaway client: blocked');
	$node->safe_psql('postgres', q{SELECT taskapi.unblock_subject('mallory'), taskapi.reset_rate_limits('{"per_user": "mallory"}')});
	is(status(ask(request('mallory', 'SELECT 1'), 'COMMIT')), 'done', 'runaway client: and let in again');
}

# Leaked secrets
{
	my $key = $node->safe_psql('postgres', q{SELECT taskapi.create_api_key('dave', 'laptop')});
	my $token = $node->safe_psql('postgres', q{SELECT taskapi.jwt_sign('{"sub": "dave", "exp": 4102444800}')});
	$node->safe_psql('postgres', q{INSERT INTO api.orders (total) SELECT 1 FROM generate_series(1, 5)});
	my $page = $node->safe_psql('postgres', q{SELECT next_page_token FROM taskapi.page('api.orders', NULL, 2)});
	is(status(ask(request(undef, 'SELECT 1', 'x-api-key' => $key), 'COMMIT')), 'done', 'leaked secret: the key is good');
	my $text = '';
	$node->safe_psql('postgres', q{UPDATE taskapi.api_key SET revoked_at = now() WHERE name = 'laptop'});
	$node->safe_psql('postgres', q{SELECT taskapi.set_secret('jwt', repeat('a secret of after ', 3)), taskapi.rotate_secret('cursor')});
	is($node->safe_psql('postgres', "SELECT count(*) FROM taskapi.page('api.orders', NULL, 2, '$page')"), 1, 'leaked secret: an old page token goes on');
	$node->safe_psql('postgres', q{SELECT taskapi.retire_secret(s.purpose, s.key_id) FROM taskapi.secret s WHERE s.key_id < (SELECT max(l.key_id) FROM taskapi.secret l WHERE l.purpose = s.purpose)});
	$text .= table(q{SELECT purpose, key_id, retired_at IS NOT NULL AS retired FROM taskapi.secret ORDER BY 1, 2}) . "\n";
	is(status(ask(request(undef, 'SELECT 1', 'x-api-key' => $key), 'COMMIT')), 401, 'leaked secret: the key is none any more');
	foreach my $old ("SELECT taskapi.jwt_verify('$token')", "SELECT taskapi.page('api.orders', NULL, 2, '$page')")
	{
		my ($rc, $out, $err) = $node->psql('postgres', $old);
		is($rc, 3, 'leaked secret: what was signed with it is refused');
		$text .= ($err =~ /(ERROR: .*)/)[0] . "\n";
	}
	told('a leaked secret', $text);
}

# A bad migration
{
	$node->safe_psql('postgres', q{SELECT taskapi.guard_migrations('refuse', '0')});
	my $text = ask('CREATE INDEX ON shop.orders (total)') . "\n";
	like($text, qr/HINT:  CREATE INDEX CONCURRENTLY/, 'bad migration: the guard refuses it');

	# around the guard, behind a report
	my $report = $node->background_psql('postgres');
	$report->query_safe(q{SET application_name = 'report'; BEGIN; SELECT count(*) FROM shop.orders});
	my @waiting;
	foreach my $sql (q{SET application_name = 'migration'; SET taskapi.migration_guard = off; ALTER TABLE shop.orders ADD color text}, (request('erin', 'SELECT count(*) FROM api.orders') . 'COMMIT') x 3)
	{
		push @waiting, IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $sql ], '<', '/dev/null', '>', '/dev/null', '2>', '/dev/null');
		$node->poll_query_until('postgres', "SELECT count(*) = ${\ scalar @waiting} FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
	}
	my ($queue) = $document =~ /^#### TaskapiLockQueue\n.*?```sql\n(.*?);\n```/ms;
	# background_psql() ends a query in its own way
	$text .= table("SELECT application_name, state, waiting, rtrim(query, E'\\n;') AS query FROM ($queue) q ORDER BY waiting DESC") . "\n";
	$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'migration'});
	$_->finish foreach @waiting;
	$text .= table(q{SELECT count(*) AS waiting FROM pg_stat_activity WHERE wait_event_type = 'Lock'}) . "\n";
	my $try = ($node->psql('postgres', q{CALL taskapi.run_ddl('ALTER TABLE shop.orders ADD color text', give_up_after => '300 ms')}))[2];
	$text .= ($try =~ /(ERROR: .*)/)[0] . "\n";
	$report->query_safe('COMMIT');
	$text .= (($node->psql('postgres', q{CALL taskapi.run_ddl('ALTER TABLE shop.orders ADD color text')}))[2] =~ /(NOTICE: .*)/)[0];
	told('a bad migration', $text);
	$report->quit;
}
$node->stop;
done_testing();
