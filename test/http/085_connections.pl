# Load and loss: 5,000 idle connections, clients that leave, a pool that is full, a database that goes, conflicts that are tried again, and the end.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../postgrest";
use IO::Select;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_LINGER);
use Layer;
use Test::More;

plan skip_all => 'these are the gateway\'s' if ($ENV{LAYER} // 'postgrest') ne 'gateway';
my $layer = Layer->task_api('connections', q{
	CREATE TABLE public.counter (id int PRIMARY KEY, n int NOT NULL);
	INSERT INTO public.counter VALUES (1, 0), (2, 0);
	GRANT SELECT, UPDATE ON public.counter TO authenticated;
	CREATE SEQUENCE public.attempt;
	GRANT USAGE ON public.attempt TO authenticated;
	CREATE FUNCTION api.slow(seconds float8) RETURNS void LANGUAGE sql VOLATILE AS 'SELECT pg_sleep(seconds)';
	CREATE FUNCTION api.held() RETURNS void LANGUAGE sql VOLATILE AS 'SELECT pg_advisory_xact_lock(1)';
	CREATE FUNCTION api.flaky(good_at int) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
		DECLARE at bigint := nextval('public.attempt');
		BEGIN
			UPDATE public.counter SET n = n + 1 WHERE id = 1;
			IF at % good_at <> 0 THEN RAISE EXCEPTION 'not now' USING ERRCODE = 'serialization_failure'; END IF;
			RETURN at;
		END $$;
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA api TO authenticated;
}, 'gateway', HEADERS_TIMEOUT_MS => 30000, KEEP_ALIVE_MS => 1000, CANCEL_AFTER_MS => 300, DB_POOL => 4, DB_POOL_TIMEOUT_MS => 5000, ATTEMPTS => 3, DRAIN_MS => 10000);
my ($host, $port) = $layer->{base} =~ m{//(.*):(\d+)};
my $token = $layer->token('ann');
my $get = "GET /me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $token\r\n\r\n";
sub connected { return IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Timeout => 180) // die "connect: $!" }
sub post { return "POST /rpc/$_[0] HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $token\r\nContent-Type: application/json\r\nContent-Length: " . length($_[1]) . "\r\n\r\n$_[1]" }
sub eventually
{
	my ($code, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok(Layer::eventually($code), $name);
	return;
}
sub active { return $layer->sql(q{SELECT count(*) FROM pg_stat_activity WHERE usename = 'authenticator' AND state <> 'idle'}) }
sub open_sockets { return scalar grep { (readlink // '') =~ /^socket/ } glob "/proc/$layer->{pid}/fd/*" }
my $before = open_sockets();

# Clients that leave.
my @gone = map { my $s = connected(); syswrite $s, post('slow', '{"seconds": 600}'); $s } 1 .. 4;
eventually(sub { active() == 4 }, 'four slow requests run');
my $full = $layer->call('GET', '/me', as => 'ann');
$layer->is_problem($full, 503, 'unavailable', 'a pool that is full says so, in time');
ok($full->{headers}{'retry-after'}, 'and when to come again');
close $_ foreach @gone;
eventually(sub { active() == 0 }, 'what nobody waits for is cancelled');
eventually(sub { $layer->call('GET', '/me', as => 'ann')->{status} == 200 }, 'and the pool is free');
my $reset = connected();
syswrite $reset, post('slow', '{"seconds": 600}');
eventually(sub { active() == 1 }, 'one more');
setsockopt $reset, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
close $reset;
eventually(sub { active() == 0 }, 'a connection that is reset is cancelled, too');

# Conflicts are tried again, and each try undoes the one before.
$layer->sql('ALTER SEQUENCE public.attempt RESTART');
my $tried = $layer->call('POST', '/rpc/flaky', as => 'ann', json => { good_at => 3 });
is("$tried->{status} $tried->{text}", '200 3', 'the third attempt is answered');
is($layer->sql('SELECT n FROM public.counter WHERE id = 1'), 1, 'and the only one that counts');
my $given_up = $layer->call('POST', '/rpc/flaky', as => 'ann', json => { good_at => 1000 });
$layer->is_problem($given_up, 503, 'try_again', 'in the end it is the client\'s turn');
is($given_up->{headers}{'retry-after'}, 1, 'after a while');

# The database goes and comes.
$layer->sql(q{SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'authenticator'});
eventually(sub { $layer->call('GET', '/me', as => 'ann')->{status} == 200 }, 'connections that were ended are made again');
$layer->{node}->restart;
eventually(sub { $layer->call('GET', '/me', as => 'ann')->{status} == 200 }, 'after a restart of the server too');
eventually(sub { $layer->sql(q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gateway control'}) == 1 }, 'and it listens again');

# 5,000 idle connections: the others are served, and all of them end. A process of its own holds them, with a limit that allows it.
my $idle = q{
	use IO::Socket::INET;
	my ($host, $port, $n) = @ARGV;
	my @open = map { IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port) // die "connection $_: $!" } 1 .. $n;
	$| = 1;
	print "open\n";
	my $closed = 0;
	foreach (@open) { my $answer = ''; 1 while sysread $_, $answer, 4096, length $answer; $closed++ if $answer =~ m{^HTTP/1.1 408} }
	print "closed $closed\n";
};
my $n = 5000;
open my $holder, '-|', 'sh', '-c', 'ulimit -n $(ulimit -H -n); exec perl -e "$0" "$@"', $idle, $host, $port, $n or die "fork: $!";
is(scalar <$holder>, "open\n", "$n connections are open");
eventually(sub { open_sockets() > $n }, 'the gateway has them');
is($layer->call('GET', '/me', as => 'ann')->{status}, 200, 'and serves others') foreach 1 .. 3;
is(scalar <$holder>, "closed $n\n", 'each is told that its time is over');
close $holder;
eventually(sub { open_sockets() <= $before + 6 }, 'nothing is left open');
is($layer->call('GET', '/me', as => 'ann')->{status}, 200, 'it goes on');

# Connections that the database ends while the gateway reads its catalog, or asks for a client, are no end of the process.
for (1 .. 40)
{
	$layer->sql('NOTIFY pgrst');
	select undef, undef, undef, rand(0.01);
	$layer->sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'authenticator' AND query NOT LIKE 'LISTEN%'});
}
eventually(sub { $layer->call('GET', '/me', as => 'ann')->{status} == 200 }, 'it goes on when its connections end in use');
is(waitpid($layer->{pid}, 1), 0, 'as the same process');

# The end: what runs is finished, and nothing new is taken.
$layer->taken_in;
my $holding = $layer->{node}->background_psql('postgres');
$holding->query_safe('SELECT pg_advisory_lock(1)');
my $last = connected();
syswrite $last, post('held', '{}');
eventually(sub { $layer->sql(q{SELECT count(*) FROM pg_stat_activity WHERE usename = 'authenticator' AND wait_event = 'advisory'}) == 1 }, 'a request runs');
kill 'TERM', $layer->{pid};
eventually(sub { $layer->{http}->get("$layer->{base}/readyz")->{status} == 503 }, 'it says that it is going');
$holding->quit;
my $answer = '';
1 while sysread $last, $answer, 4096, length $answer;
like($answer, qr{^HTTP/1.1 204}, 'what ran is answered');
eventually(sub { waitpid($layer->{pid}, 1) == $layer->{pid} }, 'and it ends');
is($?, 0, 'well');
eventually(sub { $layer->sql(q{SELECT count(*) FROM pg_stat_activity WHERE usename = 'authenticator'}) == 0 }, 'without a connection left');

done_testing();
