# Who calls, over HTTP: bearer tokens, API keys, session cookies, and every credential that is not good.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Layer;
use MIME::Base64 qw(encode_base64url);
use Test::More;

my $layer = Layer->task_api('auth');
my @wanted = (Prefer => 'return=representation');
my $p = $layer->created($layer->call('POST', '/projects', as => 'ann', json => { name => 'Garden' }, @wanted), 'a project')->{id};
my @same = ('Sec-Fetch-Site' => 'same-origin');
my $password = "ann's password";

# unauthenticated(NAME, WHAT, HEADERS): a 401 with WWW-Authenticate, that reveals and changes nothing.
sub unauthenticated
{
	my ($name, %headers) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $get = $layer->call('GET', '/projects', %headers);
	is($get->{status}, 401, "$name: GET is 401") or diag($get->{text});
	ok($get->{headers}{'www-authenticate'}, "$name: with WWW-Authenticate");
	unlike($get->{text}, qr/Garden/, "$name: and nothing of what is there");
	is($layer->call('POST', '/tasks', %headers, json => { project_id => $p, title => 'sneaked in' })->{status}, 401, "$name: POST is 401");
	return;
}

# Tokens.
my $token = $layer->token('ann');
is($layer->call('GET', '/projects', Authorization => "Bearer $token")->{json}[0]{name}, 'Garden', 'a bearer token');
my ($head, $body, $signature) = split /\./, $token;
# PostgREST allows clocks to differ by 30 seconds
unauthenticated('an expired token', Authorization => 'Bearer ' . $layer->token('ann', exp => time - 90));
unauthenticated('a token with alg none', Authorization => 'Bearer ' . encode_base64url('{"alg":"none"}') . ".$body.");
unauthenticated('a token with another header', Authorization => 'Bearer ' . encode_base64url('{"alg":"HS384"}') . ".$body.$signature");
unauthenticated('a token with a changed body', Authorization => "Bearer $head." . encode_base64url('{"role":"authenticated","sub":"x"}') . ".$signature");
unauthenticated('a token with a trailing dot', Authorization => "Bearer $token.");
unauthenticated('a word', Authorization => 'Bearer x');
unauthenticated('a subject that is no id', Authorization => 'Bearer ' . $layer->token('not an id'));
is($layer->call('GET', '/projects', Authorization => 'Bearer ' . $layer->token('ann', role => 'postgres'))->{status} < 400, '', 'a role that the layer may not become is refused');

# API keys.
my $key = $layer->created($layer->call('POST', '/api_keys', as => 'ann', json => { name => 'laptop' }, @wanted), 'an API key is made');
my $secret = $key->{secret};
ok($secret, 'and its secret shown');
like($secret, qr/^\Q$key->{prefix}\E/, 'which begins with its prefix');
my $listed = $layer->call('GET', '/api_keys', as => 'ann')->{json};
is_deeply([ map { "$_->{name} " . ($_->{secret} // '-') } @$listed ], ['laptop -'], 'this once');
is_deeply($layer->call('GET', '/api_keys', as => 'bob')->{json}, [], "nobody sees another's");
my %by_key = ('X-API-Key' => $secret);
is($layer->call('GET', '/projects', %by_key)->{json}[0]{name}, 'Garden', 'GET with a key');
is($layer->call('POST', '/tasks', %by_key, json => { project_id => $p, title => 'by key' })->{status}, 201, 'POST with a key');
ok($layer->call('GET', '/api_keys', as => 'ann')->{json}[0]{last_used_at}, 'its last use is known');
$layer->is_problem($layer->call('POST', '/api_keys', %by_key, json => { name => 'child' }, @wanted), 403, 'forbidden', 'a key makes no key');
my $reader = $layer->created($layer->call('POST', '/api_keys', as => 'ann', json => { name => 'reader', scopes => ['read'] }, @wanted), 'a key that only reads');
is($layer->call('GET', '/projects', 'X-API-Key' => $reader->{secret})->{status}, 200, 'reads');
$layer->is_problem($layer->call('POST', '/tasks', 'X-API-Key' => $reader->{secret}, json => { project_id => $p, title => 'x' }), 403, 'forbidden', 'and does not write');
unauthenticated('an unknown key', 'X-API-Key' => substr($secret, 0, -4) . 'AAAA');
unauthenticated('an empty key', 'X-API-Key' => ' ');
$layer->is_problem($layer->call('POST', '/api_keys', as => 'ann', json => { scopes => ['admin'] }), 400, 'invalid_value', 'an unknown scope is refused');
is($layer->call('DELETE', "/api_keys?id=eq.$key->{id}", as => 'ann')->{status}, 204, 'a key is revoked');
unauthenticated('a revoked key', %by_key);

# Sessions.
sub log_in
{
	my ($email, $word, %headers) = @_;
	return $layer->call('POST', '/sessions', json => { email => $email, password => $word }, @same, @wanted, %headers);
}
my $login = log_in('ann@example.org', $password);
is($login->{status}, 201, 'a log-in') or diag($login->{text});
my $set = $login->{headers}{'set-cookie'};
like($set, qr/; *HttpOnly/i, 'the cookie is HttpOnly');
like($set, qr/; *Secure/i, 'Secure');
like($set, qr/; *SameSite=Lax/i, 'SameSite=Lax');
like($set, qr{; *Path=/(;|$)}i, 'and for all paths');
unlike($login->{text}, qr/password"?: ?"/, 'the answer does not hold the password');
my ($cookie) = $set =~ /^([^;]+)/;
my %session = (Cookie => "theme=dark; $cookie", @same);
is($layer->call('GET', '/projects', %session)->{json}[0]{name}, 'Garden', 'the cookie reads');
is($layer->call('POST', '/tasks', %session, json => { project_id => $p, title => 'by cookie' })->{status}, 201, 'and writes from the same origin');
$layer->is_problem($layer->call('POST', '/tasks', Cookie => $cookie, json => { project_id => $p, title => 'forged' }), 403, 'forbidden', 'not from where nothing is said');
$layer->is_problem($layer->call('POST', '/tasks', Cookie => $cookie, 'Sec-Fetch-Site' => 'cross-site', json => { project_id => $p, title => 'forged' }), 403, 'forbidden', 'nor from another site');
$layer->is_problem($layer->call('POST', '/tasks', Cookie => $cookie, Origin => 'https://evil.example', json => { project_id => $p, title => 'forged' }), 403, 'forbidden', 'nor from another origin');
my $wrong = log_in('ann@example.org', 'wrong');
$layer->is_problem($wrong, 401, 'unauthenticated', 'a wrong password');
my $unknown = log_in('nobody@example.org', 'wrong');
is_deeply([ @{$unknown}{qw(status json)}, $unknown->{headers}{'www-authenticate'} ], [ @{$wrong}{qw(status json)}, $wrong->{headers}{'www-authenticate'} ],
	'an unknown address gets the same answer');
is($unknown->{headers}{'set-cookie'}, undef, 'and no cookie');
$layer->is_problem(log_in('ann@example.org', $password, 'Sec-Fetch-Site' => 'cross-site'), 403, 'forbidden', 'no log-in from another site');

my ($second) = log_in('ANN@example.org', $password)->{headers}{'set-cookie'} =~ /^([^;]+)/;
isnt($second, $cookie, 'another log-in is another session');
my $sessions = $layer->call('GET', '/sessions', %session)->{json};
is(scalar @$sessions, 2, 'one sees both');
is(scalar(grep { $_->{current} } @$sessions), 1, 'and which is this one');
my ($theirs) = grep { !$_->{current} } @$sessions;
is($layer->call('DELETE', "/sessions?id=eq.$theirs->{id}", %session)->{status}, 204, 'the other one is ended');
unauthenticated('the cookie of an ended session', Cookie => $second, @same);
is($layer->call('GET', '/projects', %session)->{status}, 200, 'this one goes on');
# All three run under the settings of the role, in this database too; what the layer sets on account of the request is above them.
$layer->change(q{
	ALTER ROLE authenticated SET statement_timeout = '700s';
	ALTER ROLE authenticated SET work_mem = '9MB';
	ALTER ROLE anonymous SET statement_timeout = '720s';
	ALTER ROLE anonymous SET lock_timeout = '721s';
	CREATE FUNCTION api.settings() RETURNS json LANGUAGE sql STABLE BEGIN ATOMIC
		SELECT json_build_array(current_setting('statement_timeout'), current_setting('work_mem'), current_setting('lock_timeout'), current_setting('timezone'), current_user);
	END;
	CREATE FUNCTION api.patient_settings() RETURNS json LANGUAGE sql STABLE SET statement_timeout = '800s' AS 'SELECT api.settings()';
	CREATE FUNCTION api.slow() RETURNS text LANGUAGE sql AS 'SELECT pg_sleep(600)::text'});
is_deeply($layer->call('GET', '/rpc/settings')->{json}, [qw(12min 4MB 721s), $layer->sql('SHOW timezone'), 'anonymous'], 'the settings of an anonymous caller');
my $last = $layer->created($layer->call('POST', '/api_keys', as => 'ann', json => { name => 'last' }, @wanted), 'another key');
my %callers = ('a token' => [ as => 'ann' ], 'a key' => [ 'X-API-Key' => $last->{secret} ], 'a cookie' => [%session]);
# which PostgREST alone takes from Prefer; and the name of a timeout is the layer's
my ($zone, $timeout) = $layer->only('postgrest') ? ('Asia/Tokyo', '57014') : ($layer->sql('SHOW timezone'), 'timeout');
foreach my $caller (sort keys %callers)
{
	my @as = @{ $callers{$caller} };
	my $seen = $layer->call('GET', '/rpc/settings', @as, Prefer => 'timezone=Asia/Tokyo');
	is_deeply($seen->{json}, [qw(700s 9MB 0), $zone, 'authenticated'], "the settings of a caller by $caller") or diag($seen->{text});
	is($layer->call('GET', '/rpc/patient_settings', @as)->{json}[0], '800s', "and $caller, by a function with a timeout of its own");
}
# so short that nothing else may be done meanwhile
$layer->change(q{ALTER ROLE authenticated SET statement_timeout = '700ms'});
is($layer->call('POST', '/rpc/slow', @{ $callers{$_} })->{json}{code}, $timeout, "the timeout of the role ends what a caller by $_ does") foreach sort keys %callers;
$layer->change('ALTER ROLE authenticated RESET statement_timeout');

my $logout = $layer->call('DELETE', '/sessions', %session);
is($logout->{status}, 204, 'a log-out');
like($logout->{headers}{'set-cookie'}, qr/Max-Age=0|Expires=Thu, 01 Jan 1970/i, 'takes the cookie away');
unauthenticated('a cookie after log-out', %session);

is($layer->sql("SELECT count(*) FROM tasks.task WHERE title IN ('sneaked in', 'forged', 'x')"), 0, 'nothing of the refused was done');
my $log = PostgreSQL::Test::Utils::slurp_file($layer->{log}) . PostgreSQL::Test::Utils::slurp_file($layer->{node}->logfile);
ok(index($log, $_->[0]) < 0, "the logs hold no $_->[1]") foreach ([ $secret, 'API key' ], [ ($cookie =~ /=(.*)/)[0], 'session token' ], [ $password, 'password' ]);

done_testing();
