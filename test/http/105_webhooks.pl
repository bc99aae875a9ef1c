# Webhooks reach those who may hear, once queued and at least once delivered, whatever the receiver does: slow, down, lying, flapping, gone, elsewhere.
use strict;
use warnings;
use Digest::SHA 'hmac_sha256_base64';
use FindBin;
use lib "$FindBin::RealBin/../postgrest";
use JSON::PP;
use Layer;
use MIME::Base64 'decode_base64';
use PostgreSQL::Test::Utils;
use Test::More;

# once, whichever layer the other tests are about
plan skip_all => 'this is no layer' if ($ENV{LAYER} // 'postgrest') ne 'gateway';
my $example = "$FindBin::RealBin/../../examples/webhooks";
my $json = JSON::PP->new->utf8->canonical;
my $layer = Layer->task_api('webhooks', slurp_file("$example/schema.sql") . q{;
	UPDATE webhooks.policy SET attempts = 4, first_retry = '0.2 s', failures_to_open = 3, first_pause = '1 hour', longest_pause = '1 day', lease = '30 s';
	SELECT taskapi.expose('tasks.task', publish => 'tasks');
}, 'gateway');
my $port = PostgreSQL::Test::Cluster::get_free_port();
Layer::spawn("$PostgreSQL::Test::Utils::log_path/receiver.log", 'node', "$FindBin::RealBin/receiver.js", $port);
my $receiver = "http://127.0.0.1:$port";

my $workers = 0;
sub worker
{
	local %ENV = (%ENV, PGHOST => $layer->{node}->host, PGPORT => $layer->{node}->port, PGUSER => 'webhook_worker', PGDATABASE => 'postgres',
		API_ROLE => 'authenticated', ALLOW_ADDRESSES => '127.0.0.1', PORTS => "$port,80", TIMEOUT_MS => 5000, IDLE_MS => 50, SENDERS => 3, @_);
	return Layer::spawn("$PostgreSQL::Test::Utils::log_path/webhooks_" . ++$workers . '.log', 'node', "$example/worker.js");
}

# until_true(SUB, NAME): it becomes true
sub until_true
{
	my ($what, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(Layer::eventually($what), $name);
}
sub behave { my ($name, %how) = @_; $layer->{http}->put("$receiver/behave/$name", { content => $json->encode(\%how) }); return }
sub received { my ($name) = @_; return grep { $_->{name} eq $name } @{ $json->decode($layer->{http}->get("$receiver/received")->{content}) } }
sub endpoint
{
	my ($who, $name, %with) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return $layer->created($layer->call('POST', '/webhook_endpoints', as => $who, Prefer => 'return=representation', json => { url => "$receiver/hook/$name", %with }), "$who: endpoint $name")->{id};
}
sub circuit { my ($who, $id) = @_; return $layer->call('GET', "/webhook_circuits/$id", as => $who)->{json} }
sub deliveries { my ($who, $id) = @_; return @{ $layer->call('GET', "/webhook_deliveries?endpoint=eq.$id&order=message&limit=100", as => $who)->{json} } }
sub statuses { return join ' ', map { $_->{status} } deliveries(@_) }
my $p;
sub task { my ($title, $who) = @_; return $layer->one($layer->call('POST', '/tasks', as => $who // 'ann', Prefer => 'return=representation', json => { project_id => $p, title => $title }))->{id} }
sub drop { my ($who, $id) = @_; $layer->call('DELETE', "/webhook_endpoints/$id", as => $who); return }

Layer::listens($port);
my $killed = worker();
$p = $layer->one($layer->call('POST', '/projects', as => 'ann', Prefer => 'return=representation', json => { name => 'Garden' }))->{id};

# Who hears, and what.
my $mine = endpoint('ann', 'mine', topics => ['tasks']);
my $theirs = endpoint('bob', 'theirs');
my $other = endpoint('ann', 'other', topics => ['nothing']);
my $secret = $layer->call('POST', '/rpc/rotate_webhook_secret', as => 'ann', json => { endpoint_id => $mine })->{json};
like($secret, qr{^whsec_[A-Za-z0-9+/]{43}=$}, 'a secret, as Standard Webhooks writes it');
my $t = task('dig');
until_true(sub { received('mine') }, 'a message arrives');
my ($first) = received('mine');
is_deeply($json->decode($first->{body}), { event => 'created', resource => 'tasks', id => { id => $t }, version => 1 }, 'thin: what happened to what');
my $signed = sub { my ($seen, $key) = @_; return grep { $_ eq 'v1,' . hmac_sha256_base64("$seen->{id}.$seen->{timestamp}.$seen->{body}", decode_base64($key =~ s/^whsec_//r)) . '=' } split / /, $seen->{signature} };
ok($signed->($first, $secret), 'signed');
cmp_ok(abs($first->{timestamp} - $first->{at}), '<', 60, 'and dated');
my $later = $layer->call('POST', '/rpc/rotate_webhook_secret', as => 'ann', json => { endpoint_id => $mine })->{json};
$layer->call('DELETE', "/tasks/$t", as => 'ann');
until_true(sub { received('mine') == 2 }, 'what was deleted is told');
my $second = (received('mine'))[1];
ok($signed->($second, $secret) && $signed->($second, $later) && $secret ne $later, 'while a secret rotates, by both');
$layer->sql("UPDATE webhooks.secret SET expires_at = now() - interval '1 s' WHERE expires_at IS NOT NULL");
$layer->call('PATCH', "/deleted_tasks/$t", as => 'ann', json => { deleted_at => undef });
until_true(sub { received('mine') == 3 }, 'and what was restored');
ok(!$signed->((received('mine'))[2], $secret) && $signed->((received('mine'))[2], $later), 'then by the new one alone');
is(scalar received('theirs') + received('other'), 0, 'who may not read it, or does not want it, hears nothing');
until_true(sub { statuses('ann', $mine) eq 'delivered delivered delivered' }, 'each is reported');
is_deeply([ map { "$_->{topic} $_->{status} $_->{attempts} $_->{answer}" } deliveries('ann', $mine) ], [ ('tasks delivered 1 200') x 3 ], 'its owner sees the deliveries');

# Rights.
is(scalar deliveries('bob', $mine) + @{ $layer->call('GET', "/webhook_circuits?endpoint=eq.$mine", as => 'bob')->{json} } + @{ $layer->call('GET', '/webhook_endpoints?limit=9', as => 'bob')->{json} }, 1, 'another sees their own');
$layer->is_problem($layer->call('POST', "/rpc/$_->[0]", as => 'bob', json => { $_->[1] => $_->[2] }), 404, 'not_found', "and may not $_->[0]") foreach ([ 'rotate_webhook_secret', 'endpoint_id', $mine ], [ 'redeliver_webhook', 'delivery_id', (deliveries('ann', $mine))[0]{id} ]);
$layer->call('PATCH', "/webhook_endpoints/$theirs", as => 'bob', json => { owner => $layer->{id}{ann} });
is($layer->sql("SELECT owner FROM webhooks.endpoint WHERE id = '$theirs'"), $layer->{id}{bob}, 'an endpoint stays its owner\'s');
is($layer->call('POST', '/webhook_endpoints', as => 'bob', json => { url => "$receiver/hook/x", owner => $layer->{id}{ann} })->{status}, 403, 'from the start');
is($layer->call('PATCH', "/webhook_circuits/$mine", as => 'ann', json => { state => 'closed' })->{status}, 405, 'a circuit is the worker\'s');
is($layer->call('GET', "/webhook_circuits/$mine", as => 'ann')->{text} =~ /token|leased/ ? 'shown' : 'hidden', 'hidden', 'its lease is nobody\'s business');
$layer->call('POST', '/rpc/redeliver_webhook', as => 'ann', json => { delivery_id => (deliveries('ann', $mine))[0]{id} });
until_true(sub { received('mine') == 4 }, 'a delivery is repeated');
is((received('mine'))[3]{id}, $first->{id}, 'under its webhook-id');
drop('ann', $_) foreach $other;

# Down for a while, and flapping: the circuit opens, one delivery at a time tries, and then all arrive.
my $flaps = endpoint('ann', 'flaps');
behave('flaps', status => 500, times => 4);
task("flap $_") for 1 .. 5;
until_true(sub { circuit('ann', $flaps)->{state} eq 'open' }, 'after three failures the circuit is open');
my @before = received('flaps');
is(scalar @before, 3, 'nothing more is sent');
is(circuit('ann', $flaps)->{failures}, 3, 'it says why');
# As if its pause were over. The worker would stop at a failure by itself; one that is slow must not get all of them.
my @half_open = split /\n/, $layer->{node}->safe_psql('postgres', qq{
	BEGIN;
	UPDATE webhooks.delivery SET due_at = now() WHERE endpoint = '$flaps' AND status = 'pending';
	UPDATE webhooks.circuit SET leased_until = CASE endpoint WHEN '$flaps' THEN '-infinity' ELSE 'infinity' END::timestamptz;
	SELECT count(*) FROM webhooks.claim(20);
	UPDATE webhooks.circuit SET paused_until = now();
	SELECT count(*) > 1 FROM webhooks.delivery WHERE endpoint = '$flaps' AND status = 'pending';
	SELECT count(*) FROM webhooks.claim(20);
	SELECT state FROM webhooks.circuit WHERE endpoint = '$flaps';
	ROLLBACK});
is_deeply(\@half_open, [ 0, 't', 1, 'half_open' ], 'an open circuit gives nothing, and one that is half open one of several deliveries');
# pause(): how long it is, in hours, but for its jitter of a quarter; and then it is over, and so are those between attempts.
sub pause
{
	my $paused = $layer->sql(qq{SELECT extract(epoch FROM paused_until - changed_at) / 3600 FROM webhooks.circuit WHERE endpoint = '$flaps'});
	$layer->sql(qq{UPDATE webhooks.delivery SET due_at = now() WHERE endpoint = '$flaps' AND status = 'pending'; UPDATE webhooks.circuit SET paused_until = now() WHERE endpoint = '$flaps'});
	return $paused;
}
my @pause = pause();
until_true(sub { received('flaps') == 4 && circuit('ann', $flaps)->{state} eq 'open' && circuit('ann', $flaps)->{pauses} == 2 }, 'after the pause one delivery tries, and fails');
@pause = (@pause, pause());
ok($pause[0] > 0.74 && $pause[0] < 1.26 && $pause[1] > 1.49 && $pause[1] < 2.51, "the next pause is longer: @pause");
until_true(sub { statuses('ann', $flaps) eq 'delivered ' x 4 . 'delivered' }, 'when it is up again all arrive');
my @probe = received('flaps');
is_deeply({ map { $_ => circuit('ann', $flaps)->{$_} } qw(state failures pauses) }, { state => 'closed', failures => 0, pauses => 0 }, 'and the circuit is closed');
my %ids = map { $_->{id} => 1 } @probe;
is(scalar(keys %ids) . ' ' . @probe, '5 9', 'five messages in nine attempts: an id is stable over them');
drop('ann', $flaps);

# Slow, and lying. The others do not wait for it.
$layer->sql("UPDATE webhooks.policy SET failures_to_open = 100");
my %lies = (silent => { kind => 'silent' }, garbage => { kind => 'garbage' }, moved => { status => 302, headers => { Location => "$receiver/hook/target" } }, endless => { kind => 'endless' });
my %liar = map { $_ => endpoint('ann', $_) } sort keys %lies;
behave($_, %{ $lies{$_} }) foreach keys %lies;
# told(TASK): of its creation
sub told { my ($id) = @_; return grep { $_->{body} =~ /created/ && $_->{body} =~ /$id/ } received('mine') }
my $among = task('among liars');
until_true(sub { told($among) }, 'a slow receiver holds nobody else up');
until_true(sub { statuses('ann', $liar{endless}) eq 'delivered' }, 'an endless answer is one');
until_true(sub { join(' ', map { statuses('ann', $liar{$_}) } qw(silent garbage moved)) eq 'failed failed failed' }, 'after four attempts it has failed');
is_deeply([ map { my ($d) = deliveries('ann', $liar{$_}); "$_: $d->{attempts} " . ($d->{error} =~ s/HPE_\w+/no HTTP/r) } qw(silent garbage moved) ], [ 'silent: 4 timeout', 'garbage: 4 no HTTP', 'moved: 4 status 302' ], 'for the reason that is told');
is(scalar received('target'), 0, 'no redirect is followed');
drop('ann', $_) foreach values %liar;

# Busy, and gone.
my $busy = endpoint('ann', 'busy');
behave('busy', status => 429, headers => { 'Retry-After' => '3' }, times => 1);
task('busy');
until_true(sub { statuses('ann', $busy) eq 'delivered' }, 'who is busy gets it later');
my @busy = received('busy');
cmp_ok($busy[1]{at} - $busy[0]{at}, '>', 2.9, 'as late as it has asked');
drop('ann', $busy);
my $gone = endpoint('ann', 'gone');
behave('gone', status => 410, times => 1);
task('gone');
until_true(sub { !$layer->call('GET', "/webhook_endpoints/$gone", as => 'ann')->{json}{enabled} }, 'who is gone is asked no more');
is(statuses('ann', $gone), 'cancelled', 'what waits is cancelled');
my $unheard = task('unheard');
until_true(sub { told($unheard) }, 'others hear it');
is(scalar received('gone'), 1, 'that one does not');
$layer->call('PATCH', "/webhook_endpoints/$gone", as => 'ann', json => { enabled => JSON::PP::true });
task('back');
until_true(sub { received('gone') == 2 }, 'until its owner enables it');
drop('ann', $gone);

# Elsewhere: what its owner cannot reach, but the worker could.
my %private = map { $_ => endpoint('ann', 'x', url => $_) } ("http://127.0.0.2:$port/", "http://[::1]:$port/", "http://[::ffff:127.0.0.2]:$port/", "http://2130706434:$port/", "http://0x7f.2:$port/",
	'http://169.254.169.254/latest/meta-data/', "http://u:p\@127.0.0.1:$port/hook/x", 'http://127.0.0.1:5432/', "https://10.1.2.3:$port/");
$layer->sql(q{UPDATE webhooks.policy SET attempts = 1});
task('private');
until_true(sub { $layer->sql(q{SELECT count(*) FROM webhooks.delivery WHERE status = 'failed' AND answer IS NULL AND error ~ '^The (address|port|URL)'}) == keys %private }, 'no private address is sent to') or diag($layer->sql(q{SELECT e.url, d.status, d.error FROM webhooks.delivery d JOIN webhooks.endpoint e ON e.id = d.endpoint WHERE e.url !~ 'hook'}));
is(scalar received('x'), 0, 'nothing arrives');
is($layer->call('POST', '/webhook_endpoints', as => 'ann', json => { url => $_ })->{status}, 400, "$_ is no URL") foreach ('file:///etc/passwd', 'javascript:alert(1)', 'http:///', '');
drop('ann', $_) foreach values %private;
my $script = q{
	const { isPublic } = require(process.argv[1] + '/addresses.js'), { send } = require(process.argv[1] + '/send.js');
	const bad = ['0.0.0.0', '10.0.0.1', '100.64.1.1', '127.0.0.2', '169.254.169.254', '172.31.255.255', '192.168.1.1', '198.18.0.1', '224.0.0.1', '255.255.255.255', '::', '::1', '::ffff:10.0.0.1', '64:ff9b::a00:1', 'fc00::1',
		'fe80::1', 'fec0::1', 'ff02::1', '2001:db8::1', '2002:a00:1::1', '2001::1', '5f00::1', 'x', ''].filter(isPublic);
	const good = ['1.1.1.1', '8.8.8.8', '172.32.0.1', '192.169.0.1', '100.128.0.1', '2606:4700::1111', '2a00:1450::1', '127.0.0.1'].filter((a) => !isPublic(a));
	(async () => {
		let asked = 0;
		const rebinding = async () => [{ address: asked++ ? '127.0.0.2' : '127.0.0.1' }], both = async () => [{ address: '127.0.0.1' }, { address: '10.0.0.1' }];
		const to = { url: `http://rebinding.example:${process.argv[2]}/hook/rebinding`, message: 1, payload: '{}', secrets: [Buffer.from('k')] };
		const once = await send(to, rebinding), mixed = await send(to, both), never = await send(to, () => new Promise((done) => setTimeout(done, 60000, [])));
		console.log(JSON.stringify({ bad, good, asked, once: once.answer, mixed: mixed.error, never: never.error }));
		process.exit();
	})();
};
{
	local %ENV = (%ENV, ALLOW_ADDRESSES => '127.0.0.1', PORTS => $port, TIMEOUT_MS => 5000);
	my $out = qx{node -e '@{[ $script =~ s/'/'\\''/gr ]}' '$example' $port};
	is_deeply($json->decode($out), { bad => [], good => [], asked => 1, once => 200, mixed => 'The address is not a public one.', never => 'timeout' }, 'addresses are checked once, and the one that was checked is connected to');
}
is((received('rebinding'))[0]{host}, "rebinding.example:$port", 'under the name');

# Workers die.
$layer->sql(q{UPDATE webhooks.policy SET attempts = 9});
my $crowd = endpoint('ann', 'crowd');
$layer->call('POST', '/tasks', as => 'ann', json => [ map { { project_id => $p, title => "crowd $_" } } 1 .. 60 ]);
until_true(sub { received('crowd') > 5 }, 'in the middle of it');
kill 'KILL', $killed;
worker() for 1 .. 2;
until_true(sub { $layer->sql(qq{SELECT count(*) FROM webhooks.delivery WHERE endpoint = '$crowd' AND status = 'delivered'}) == 60 }, 'a worker is killed, and all are delivered');
my %crowd;
$crowd{ $_->{id} }++ foreach received('crowd');
is(scalar keys %crowd, 60, 'each message is one');
cmp_ok(scalar(grep { $crowd{$_} > 1 } keys %crowd), '<=', 1, 'and at most the one that was under way came twice');

# A zombie's report counts for nothing.
is($layer->sql(qq{SELECT webhooks.report((SELECT id FROM webhooks.delivery WHERE endpoint = '$crowd' LIMIT 1), 0, 500, 'late', NULL)}), 'f', 'the report of a worker that has lost its lease');
is(circuit('ann', $crowd)->{failures}, 0, 'counts for nothing');
$layer->sql("UPDATE webhooks.delivery SET created_at = now() - interval '31 days'");
is($layer->sql('SELECT webhooks.prune() > 60'), 't', 'what is over goes after a month');

done_testing();
