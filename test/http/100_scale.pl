# Behind HAProxy a failover by promotion loses and doubles no write, denies nobody wrongly, and every read sees what its client wrote.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../postgrest";
use IPC::Run;
use JSON::PP;
use Layer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($haproxy) = grep { -x } map { "$_/haproxy" } (split(/:/, $ENV{PATH}), '/usr/sbin');
plan skip_all => 'these are the gateway\'s' if ($ENV{LAYER} // 'postgrest') ne 'gateway';
plan skip_all => 'there is no program "haproxy"' unless $haproxy;
my $scale = "$FindBin::RealBin/../../examples/scale";
my $json = JSON::PP->new->utf8->canonical;

# Two servers. The standby is behind by 100 ms of replay; what is acknowledged is on it, by synchronous replication.
my $first = PostgreSQL::Test::Cluster->new('first');
$first->init(allows_streaming => 1);
$first->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'\ntaskapi.trusted_proxy_hops = 2\nlog_statement = none\nmax_connections = 60\n");
$first->start;
$first->safe_psql(
	'postgres', q{
	CREATE ROLE anonymous; CREATE ROLE authenticated; CREATE ROLE authenticator LOGIN NOINHERIT;
	GRANT anonymous, authenticated TO authenticator;
	CREATE EXTENSION pgcrypto; CREATE EXTENSION taskapi;
	SELECT taskapi.set_secret('jwt', 'a secret that the layer and the database share');
	SELECT taskapi.create_task_api(anonymous => 'anonymous', authenticated => 'authenticated');
	UPDATE taskapi.rate_limit_policy SET rate = 1000000, burst = NULL;
	SELECT tasks.create_account(name || '@example.org', name || '''s password', initcap(name)) FROM unnest('{ann,bob,cid,dee}'::text[]) name;
	INSERT INTO taskapi.rate_limit_policy (name, rate, per, burst, counts, method, plan)
		VALUES ('small-reads', 20, '1 day', 20, 'subject', 'GET', 'small'), ('large-writes', 100000, '1 day', 100000, 'subject', 'POST', 'large');
	INSERT INTO taskapi.rate_limit_subject (subject, plan) SELECT id::text, 'large' FROM tasks.account;
	INSERT INTO taskapi.rate_limit_subject (subject, plan) SELECT 'small ' || n, 'small' FROM generate_series(1, 12) n;
});
my $tokens = $first->safe_psql(
	'postgres', q{
	SELECT lower(display_name), taskapi.jwt_sign(jsonb_build_object('sub', id, 'role', 'authenticated', 'exp', extract(epoch FROM now())::int + 3600)) FROM tasks.account ORDER BY 1;
	SELECT subject, taskapi.jwt_sign(jsonb_build_object('sub', subject, 'role', 'authenticated', 'exp', extract(epoch FROM now())::int + 3600)) FROM taskapi.rate_limit_subject WHERE plan = 'small';
});
my %token = split /[|\n]/, $tokens;
$first->backup('backup');
my $second = PostgreSQL::Test::Cluster->new('second');
$second->init_from_backup($first, 'backup', has_streaming => 1);
$second->append_conf('postgresql.conf', "recovery_min_apply_delay = '100ms'\n");
$second->start;
$first->append_conf('postgresql.conf', "synchronous_standby_names = '*'\n");
$first->reload;
$first->poll_query_until('postgres', q{SELECT sync_state = 'sync' FROM pg_stat_replication});

# A gateway beside each, and the proxy in front.
my @layers = map { Layer->beside($_, 'gateway', '100_' . $_->name) } ($first, $second);
my $http = Layer::Client->new(keep_alive => 0);
is($http->get("$layers[0]{base}/primaryz")->{status}, 200, 'the gateway beside the primary says so');
is($http->get("$layers[1]{base}/primaryz")->{status}, 503, 'and that beside the standby does not');
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $base = "http://127.0.0.1:$port";
{
	# a busy machine must not look like a server that died
	local %ENV = (%ENV, CHECK => '5s', API => "127.0.0.1:$port", FIRST => $layers[0]{base} =~ s{http://}{}r, SECOND => $layers[1]{base} =~ s{http://}{}r);
	Layer::spawn("$PostgreSQL::Test::Utils::log_path/100_haproxy.log", $haproxy, '-db', '-f', "$scale/haproxy.cfg");
}
Layer::eventually(sub { $http->get("$base/livez")->{status} == 200 });

sub call
{
	my ($method, $path, $as, %headers) = @_;
	my $body = delete $headers{json};
	my $answer = $http->request($method, "$base$path", { headers => { authorization => "Bearer $token{$as}", defined $body ? ('content-type' => 'application/json') : (), %headers }, defined $body ? (content => $json->encode($body)) : () });
	return $answer;
}

# Both are there at first; a write goes to the primary once the other one was asked.
ok(Layer::eventually(sub { !grep { (call('POST', '/rpc/nothing', 'ann', json => {})->{headers}{'x-served-by'} // '') ne 'first' } 1 .. 8 }), 'writes go to the primary');

# Callers are hashed, so each has one server that counts for him.
my (%served, %exact);
foreach my $n (1 .. 12)
{
	my (%by, %status);
	foreach my $i (1 .. 30)
	{
		my $answer = call('GET', '/projects', "small $n");
		$by{ $answer->{headers}{'x-served-by'} }++;
		$status{ $answer->{status} }++;
	}
	$exact{"$status{200} admitted, $status{429} denied"}++;
	$served{ join ' ', sort keys %by }++;
}
is_deeply(\%exact, { '20 admitted, 10 denied' => 12 }, 'each caller has his limit exactly, over two servers');
is(join(', ', sort keys %served), 'first, second', 'each is on one of the two');

my $project = $json->decode(call('POST', '/projects', 'ann', json => { name => 'Load' })->{content})->{id};
# What a client wrote at the first, it reads at the second: not without Read-After, and with it as soon as that has it. Nothing is replayed
# meanwhile, so the answers do not depend on time.
sub reads_its_writes
{
	my ($layer, $write, $read) = @_;
	my %as = (authorization => "Bearer $token{ann}", 'content-type' => 'application/json', prefer => 'return=representation', 'x-forwarded-for' => '192.0.2.1, 192.0.2.2');
	$second->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
	$second->poll_query_until('postgres', q{SELECT pg_get_wal_replay_pause_state() = 'paused'});
	my $written = $http->post("$write/tasks", { headers => \%as, content => $json->encode({ project_id => $project, title => 'who sees it' }) });
	is($written->{status}, 201, "$layer: a write goes to the primary") or diag $written->{content};
	my $id = [ $json->decode($written->{content}) ]->[0];
	$id = (ref $id eq 'ARRAY' ? $id->[0] : $id)->{id};
	my $get = sub { my $answer = $http->get("$read/tasks?id=eq.$id&select=id", { headers => { %as, @_ } }); return $answer->{status} == 200 ? scalar @{ $json->decode($answer->{content}) } : $answer->{status} };
	my @after = ('read-after' => $written->{headers}{'read-after'} // 'none');
	is($get->(), 0, "$layer: the standby does not have it yet");
	is($get->(@after), 503, "$layer: with Read-After it says so, and does not answer without it");
	$second->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
	my $seen = 503;
	Layer::eventually(sub { ($seen = $get->(@after)) != 503 });
	is($seen, 1, "$layer: and waits for it");
	isnt($get->('read-after' => 'ra1.forged'), 503, "$layer: a forged one holds nobody");
	my $refused = $http->post("$read/tasks", { headers => \%as, content => $json->encode({ project_id => $project, title => 'no' }) });
	# PostgREST begins a transaction that may write, so it is the server that refuses, before pre_request()
	like("$refused->{status} $refused->{content}", $layer eq 'PostgREST' ? qr/^4\d\d .*recovery/ : qr/^503 .*"read_only"/, "$layer: a write at the standby is refused");
}
reads_its_writes('gateway', map { $_->{base} } @layers);
if (Layer::postgrest())
{
	my @beside = map { Layer->beside($_, 'postgrest', '100_postgrest_' . $_->name, 'db-channel-enabled' => 'false') } ($first, $second);
	reads_its_writes('PostgREST', map { $_->{base} } @beside);
	$_->stop foreach @beside;
}
# libpq finds the primary by itself, as PostgREST does: one db-uri with both servers.
my $both = join ' ', 'dbname=postgres target_session_attrs=read-write', 'host=' . join(',', $first->host, $second->host), 'port=' . join(',', $second->port, $first->port);
sub primary_port { return run_command([ 'psql', '-XAtq', '-d', $both, '-c', q{SELECT current_setting('port')} ]) }
is((primary_port())[0], $first->port, 'target_session_attrs leads to the primary');

# The failover, under load: the members write and read.
my $sql = q{INSERT INTO tasks.membership (project_id, account_id, role) SELECT '} . $project . q{', id, 'editor' FROM tasks.account WHERE display_name <> 'Ann'};
$first->safe_psql('postgres', $sql);
my ($out, $err) = ('', '');
my $load = IPC::Run::start([ 'node', "$scale/load.js", $base, $project, (@token{qw(ann bob cid dee)}) x 2 ], '>', \$out, '2>', \$err);
$first->poll_query_until('postgres', q{SELECT count(*) > 120 FROM tasks.task});
$first->stop('immediate');
$second->promote;
my $before = $second->safe_psql('postgres', 'SELECT count(*) FROM tasks.task');
$second->poll_query_until('postgres', "SELECT count(*) > $before + 120 FROM tasks.task");
is((primary_port())[0], $second->port, 'target_session_attrs leads to the promoted one');
$load->signal('TERM');
IPC::Run::finish($load);
my $seen = eval { $json->decode($out) } or diag "$out$err";

my %there = split /[|\n]/, $second->safe_psql('postgres', q{SELECT title, count(*) FROM tasks.task WHERE title ~ '^[0-9a-f]{8}-' GROUP BY title});
cmp_ok(scalar @{ $seen->{written} }, '>', 200, 'writes were acknowledged before and after');
is(scalar(grep { !$there{$_} } @{ $seen->{written} }), 0, 'no acknowledged write is lost');
is(scalar(grep { $_ > 1 } values %there), 0, 'no write happened twice');
is($seen->{missed}, 0, 'every client has read what it wrote');
is($seen->{denied}, 0, 'nobody was denied');
is_deeply($seen->{refused}, [], 'nothing was refused');
cmp_ok($seen->{repeated}, '>', 0, 'requests were sent again meanwhile');
note "writes: @{[ scalar @{ $seen->{written} } ]}, requests sent again: $seen->{repeated}, without writes for $seen->{gap} ms";

$second->stop('immediate');
done_testing();
