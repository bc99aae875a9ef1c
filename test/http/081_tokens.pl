# Tokens of an identity provider, and every forgery of one: algorithms, keys that are taken for others, claims, and second spellings.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../postgrest";
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use Layer;
use MIME::Base64 qw(encode_base64url decode_base64url);
use Test::More;

my $layer;
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $provider = "http://127.0.0.1:$port";
my @settings = (JWKS_URL => "$provider/keys", JWT_AUDIENCE => 'tasks', JWT_ISSUER => 'https://id.example', DEFAULT_ROLE => 'authenticated');
# PostgREST takes a JWKS from its configuration, once, and is not ours to test
plan skip_all => 'the layer has no identity provider' if ($ENV{LAYER} // 'postgrest') ne 'gateway';
Layer::spawn("$PostgreSQL::Test::Utils::log_path/provider.log", 'node', "$FindBin::RealBin/provider.js", $port);
Layer::listens($port);
$layer = Layer->task_api('tokens', '', 'gateway', @settings);

my $http = Layer::Client->new;
my $json = JSON::PP->new->canonical;
my %good = (sub => $layer->{id}{ann}, aud => 'tasks', iss => 'https://id.example', exp => time + 3600);
$layer->call('POST', '/projects', as => 'ann', json => { name => 'Garden' });

sub token
{
	my ($alg, $kid, %with) = @_;
	my $claims = { %good, %{ delete $with{claims} // {} } };
	delete $claims->{$_} foreach grep { !defined $claims->{$_} } keys %$claims;
	return $http->post("$provider/sign", { content => $json->encode({ alg => $alg, kid => $kid, claims => $claims, %with }) })->{content};
}
sub refused
{
	my ($token, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $answer = $layer->call('GET', '/projects', Authorization => "Bearer $token");
	$layer->is_problem($answer, 401, 'unauthenticated', $name);
	like($answer->{headers}{'www-authenticate'}, qr/^Bearer/, "$name: with WWW-Authenticate");
	return;
}
sub accepted
{
	my ($token, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $answer = $layer->call('GET', '/projects?select=name', Authorization => "Bearer $token");
	is("$answer->{status} $answer->{text}", '200 [{"name":"Garden"}]', $name);
	return;
}

accepted(token('RS256', 'rsa'), 'RS256');
accepted(token('ES256', 'ec'), 'ES256');
accepted($layer->token('ann'), 'HS256, by the database');
accepted(token('ES256', 'ec', claims => { aud => [ 'other', 'tasks' ] }), 'one of several audiences');
accepted(token('ES256', 'ec', claims => { exp => time - 5 }), 'a clock that is off by some seconds');

refused(token('none', 'rsa'), 'alg none');
refused(encode_base64url('{"alg":"None","kid":"rsa"}') . '.' . encode_base64url($json->encode(\%good)) . '.AA', 'alg None');
refused(token('HS256', 'rsa'), 'a public RSA key as the secret of HS256');
refused(token('HS256', 'ec'), 'a public EC key as the secret of HS256');
refused(token('RS256', 'ec', key => 'rsa'), 'RS256 with the id of an EC key');
refused(token('ES256', 'rsa', key => 'ec'), 'ES256 with the id of an RSA key');
refused(token('RS512', 'rsa'), 'RS512, which is none of ours');
refused(token('PS256', 'rsa'), 'PS256 neither');
refused(token('RS256', 'weak'), 'an RSA key of 1024 bits');
refused(token('ES256', 'p384'), 'an EC key of another curve');
refused(token('RS256', 'encryption'), 'a key that is for encryption');
refused(token('RS256', 'nobody', key => 'rsa'), 'an unknown key');
refused(token('RS256', 'rsa', header => { kid => undef }), 'no key id');
refused(token('RS256', 'rsa', header => { crit => ['exp'] }), 'crit');
refused(token('RS256', 'rsa', header => { jwk => { kty => 'oct', k => 'AAAA' }, jku => "$provider/keys", alg => 'HS256' }), 'a header that brings its key');
foreach (
	[ { exp => time - 120 }, 'an expired one' ], [ { exp => undef }, 'one that never expires' ], [ { exp => '9999999999' }, 'exp as text' ], [ { nbf => time + 600 }, 'one of tomorrow' ],
	[ { iat => time + 600 }, 'issued tomorrow' ], [ { aud => 'other' }, 'for another audience' ], [ { aud => undef }, 'for none' ], [ { iss => 'https://evil.example' }, 'of another issuer' ],
	[ { role => 'postgres' }, 'a role that is none of the API' ], [ { role => 'no such role' }, 'a role that is none at all' ], [ { role => 5 }, 'a role that is a number' ], [ { sub => 'x' }, 'a subject that is no id' ])
{
	refused(token('ES256', 'ec', claims => $_->[0]), $_->[1]);
}
my ($head, $body, $signature) = split /\./, token('RS256', 'rsa');
refused("$head.$body.", 'no signature');
refused("$head.$body", 'two parts');
refused("$head.$body.$signature.", 'four parts');
refused("$head.$body.${signature}=", 'padding');
refused("$head." . encode_base64url(decode_base64url($body) =~ s/"aud":"tasks"/"aud":"tasks" /r) . ".$signature", 'a changed body');
my $last = substr $signature, -1;
my $twin = { A => 'B', Q => 'R', g => 'h', w => 'x' }->{$last};
refused("$head.$body." . substr($signature, 0, -1) . $twin, 'a second spelling of the signature') if $twin;
refused($_, 'no token: ' . substr $_, 0, 20) foreach ('x', '.', '..', 'a.b.c', 'bnVsbA.bnVsbA.bnVsbA', 'W10.W10.W10', 'A' x 8000, '%00', 'a b');
is($layer->call('GET', '/projects', Authorization => $_)->{status}, 401, "Authorization: $_") foreach ('Bearer', 'Basic YTpi', 'Bearer  ', "Bearer $head");

# Other keys, after a while: what the old ones signed is refused once they are gone.
my ($since, $fetched) = (time, $http->get("$provider/fetched")->{content});
$layer->call('GET', '/projects', Authorization => 'Bearer ' . token('RS256', "unknown $_", key => 'rsa')) foreach 1 .. 20;
cmp_ok($http->get("$provider/fetched")->{content} - $fetched, '<=', 1 + int((time - $since) / 10), 'unknown keys do not make it ask the provider each time');

# While the provider is asked for a key that may be none, who has one that is known does not wait.
sleep 11;    # it is not asked more often
$fetched = $http->get("$provider/fetched")->{content};
$http->post("$provider/hold");
my ($host, $at) = $layer->{base} =~ m{//(.*):(\d+)};
my $unknown = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $at) // die "connect: $!";
syswrite $unknown, "GET /projects HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " . token('RS256', 'one more', key => 'rsa') . "\r\n\r\n";
my $known = token('RS256', 'rsa');
ok(Layer::eventually(sub { $http->get("$provider/fetched")->{content} > $fetched }), 'the provider is asked');
accepted($known, 'a known key');
ok(!IO::Select->new($unknown)->can_read(0), 'before the unknown one');
$http->post("$provider/release");
like(scalar <$unknown>, qr{^HTTP/1.1 401}, 'which is refused when the provider has answered');

done_testing();
