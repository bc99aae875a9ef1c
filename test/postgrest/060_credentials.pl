# Logging in and out, API keys, tokens, cookies, limits: over HTTP, on the task API.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Layer;
use Test::More;

my $layer = Layer->new('credentials', q{
	SELECT taskapi.create_task_api('tasks', 'api', 'anonymous', 'authenticated');
	SELECT tasks.create_account('ann@example.org', 'correct horse battery'), tasks.create_account('bob@example.org', 'staple'), tasks.create_account('no-password@example.org');
	UPDATE taskapi.rate_limit_policy SET rate = 1000000, burst = NULL, per = '1 second';
	ALTER DATABASE postgres SET taskapi.log_refusals = full;
});
my $ann = $layer->sql(q{SELECT id FROM tasks.account WHERE email = 'ann@example.org'});
my $bob = $layer->sql(q{SELECT id FROM tasks.account WHERE email = 'bob@example.org'});
my @same_origin = ('Sec-Fetch-Site' => 'same-origin');

sub log_in
{
	my ($email, $password, @with) = @_;
	return $layer->call('POST', '/sessions', json => { email => $email, password => $password }, @with);
}

# Both of "name=value" that a browser would send back, and what it was told about it.
sub cookie
{
	my ($answer) = @_;
	my $set = $answer->{headers}{'set-cookie'} // '';
	my ($cookie, $attributes) = $set =~ /^([^;]*)(.*)/;
	return ($cookie, $attributes);
}

# logging in
my $answer = log_in('ann@example.org', 'correct horse battery');
is($answer->{status}, 201, 'logged in');
my ($cookie, $attributes) = cookie($answer);
like($cookie, qr/^__Host-session=tas_\w{49}$/, 'the cookie');
is($attributes, '; Path=/; Max-Age=43200; HttpOnly; Secure; SameSite=Lax', 'its attributes');
my ($token) = $cookie =~ /=(.*)/;
unlike($answer->{text}, qr/\Q$token\E|correct horse/, 'the answer has neither token nor password');
my $email_case = log_in('Ann@Example.org', 'correct horse battery');
is($email_case->{status}, 201, 'the address in another case');

# not logging in: one answer for whatever is wrong
my @answers;
for (['ann@example.org', 'wrong'], ['nobody@example.org', 'wrong'], ['no-password@example.org', 'wrong'], ['ann@example.org', ''], ['ann@example.org', 'x' x 100], ['', ''], [undef, undef], ['ann@example.org', undef])
{
	my $refused = log_in(@$_);
	$layer->is_problem($refused, 401, 'unauthenticated', 'refused: ' . join '/', map { $_ // 'null' } @$_);
	ok($refused->{headers}{'www-authenticate'}, 'with WWW-Authenticate');
	is($refused->{headers}{'set-cookie'}, undef, 'and no cookie');
	push @answers, $refused->{text};
}
is(scalar(keys %{ { map { $_ => 1 } @answers } }), 1, 'and always the same words');
$layer->is_problem(log_in('ann@example.org', 'correct horse battery', 'Sec-Fetch-Site' => 'cross-site'), 403, 'forbidden', 'not from another site');

# with the cookie
is($layer->call('GET', '/projects', Cookie => $cookie)->{status}, 200, 'the cookie reads');
is($layer->call('POST', '/projects', Cookie => $cookie, json => { name => 'by cookie' }, @same_origin)->{status}, 201, 'the cookie writes, from our own pages');
for my $headers ([], ['Sec-Fetch-Site' => 'cross-site'], ['Sec-Fetch-Site' => 'same-site'], [Origin => 'https://evil.example'], [Origin => 'null'])
{
	for my $method ('POST', 'PATCH', 'DELETE')
	{
		$layer->is_problem($layer->call($method, '/projects' . ($method eq 'POST' ? '' : '?name=eq.x'), Cookie => $cookie, json => { name => 'forged' }, @$headers), 403, 'forbidden', "$method: @$headers");
	}
}
my ($host) = $layer->{base} =~ m{//(.*)};
is($layer->call('POST', '/projects', Cookie => $cookie, json => { name => 'by origin' }, Origin => "http://$host")->{status}, 201, 'an old browser sends Origin');
is(scalar @{ $layer->call('GET', '/projects?select=name&order=name', Cookie => $cookie)->{json} }, 2, 'nothing that was forged is there');

# sessions: seen, ended
my ($second) = cookie(log_in('ann@example.org', 'correct horse battery', 'User-Agent' => 'Second/2'));
my $sessions = $layer->call('GET', '/sessions?select=id,user_agent,current,password', Cookie => $cookie)->{json};
is(scalar(grep { $_->{current} } @$sessions), 1, 'one session is the current one');
my ($other) = grep { $_->{user_agent} eq 'Second/2' } @$sessions;
is($layer->call('GET', '/projects', Cookie => $second)->{status}, 200, 'the other session is good');
is($layer->call('DELETE', "/sessions?id=eq.$other->{id}", Cookie => $cookie, @same_origin)->{status}, 204, 'and ended');
my $refused = $layer->call('GET', '/projects', Cookie => $second);
$layer->is_problem($refused, 401, 'unauthenticated', 'an ended session');
like($refused->{headers}{'set-cookie'}, qr/^__Host-session=; .*Max-Age=0/, 'whose cookie is deleted');
ok($refused->{headers}{'www-authenticate'}, 'with WWW-Authenticate');
my ($bobs) = cookie(log_in('bob@example.org', 'staple'));
is_deeply($layer->call('DELETE', "/sessions?id=eq.$sessions->[0]{id}&select=id", Cookie => $bobs, Prefer => 'return=representation', @same_origin)->{json}, [], 'nobody ends the sessions of others');
is(scalar(grep { $_->{id} eq $sessions->[0]{id} } @{ $layer->call('GET', '/sessions', Cookie => $bobs)->{json} }), 0, 'nor sees them');
is($layer->call('GET', '/projects', Cookie => $cookie)->{status}, 200, 'which go on');
$answer = $layer->call('DELETE', '/sessions', Cookie => $cookie, @same_origin);
is($answer->{status}, 204, 'logged out');
like($answer->{headers}{'set-cookie'}, qr/^__Host-session=; .*Max-Age=0/, 'the cookie is deleted');
$layer->is_problem($layer->call('GET', '/projects', Cookie => $cookie), 401, 'unauthenticated', 'and no good any more');
cmp_ok($layer->sql("SELECT count(*) FROM taskapi.session WHERE subject = '$ann' AND revoked_at IS NULL"), '>=', 1, 'logging out is not logging out everywhere');

# API keys
my @representation = (Prefer => 'return=representation');
my $made = $layer->call('POST', '/api_keys', as => $ann, json => { name => 'laptop' }, @representation)->{json}[0];
like($made->{secret}, qr/^tak_/, 'the secret is shown');
is($made->{prefix}, substr($made->{secret}, 0, 12), 'and begins with the prefix');
my $reader = $layer->call('POST', '/api_keys', as => $ann, json => { name => 'dashboard', scopes => ['read'] }, @representation)->{json}[0];
my @once = map { $layer->call('POST', '/api_keys', as => $ann, json => { name => 'once' }, @representation, 'Idempotency-Key' => '"a key of its own"')->{json}[0] } 1 .. 2;
is($once[1]{secret}, $once[0]{secret}, 'a repetition has the secret again');
is($layer->sql("SELECT bool_and(expires_at <= completed_at + interval '10 minutes') FROM taskapi.idempotency_key WHERE strpos(body::text, '$once[0]{secret}') > 0"), 't', 'for ten minutes at most');
$layer->is_problem($layer->call('POST', '/api_keys', 'X-Api-Key' => $made->{secret}, json => { name => 'once' }, @representation, 'Idempotency-Key' => '"a key of its own"'),
	403, 'forbidden', 'an API key does not get the stored answer');
is($layer->call('DELETE', "/api_keys?id=eq.$once[0]{id}", as => $ann)->{status}, 204, 'and it ends as any other');
my $listed = $layer->call('GET', '/api_keys?order=name', as => $ann);
is_deeply([ map { $_->{name} } @{ $listed->{json} } ], [ 'dashboard', 'laptop' ], 'they are listed');
unlike($listed->{text}, qr/\Q$made->{secret}\E|\Q$reader->{secret}\E/, 'without their secrets');
is($layer->call('GET', '/projects', 'X-Api-Key' => $made->{secret})->{status}, 200, 'a key reads');
is($layer->call('POST', '/projects', 'X-Api-Key' => $made->{secret}, json => { name => 'by key' })->{status}, 201, 'and writes');
is($layer->call('GET', '/projects', 'X-Api-Key' => $reader->{secret})->{status}, 200, 'a key for reading reads');
$layer->is_problem($layer->call('POST', '/projects', 'X-Api-Key' => $reader->{secret}, json => { name => 'x' }), 403, 'forbidden', 'and does not write');
$layer->is_problem($layer->call('POST', '/api_keys', 'X-Api-Key' => $made->{secret}, json => { name => 'child' }, @representation), 403, 'forbidden', 'a key makes no key');
$layer->is_problem($layer->call('POST', '/api_keys', as => $ann, json => { scopes => ['admin'] }, @representation), 400, 'invalid_value', 'no such scope');
$layer->is_problem($layer->call('POST', '/api_keys', as => $ann, json => { expires_at => '2001-01-01' }, @representation), 400, 'invalid_value', 'expired from the start');
is_deeply($layer->call('GET', '/api_keys', as => $bob)->{json}, [], 'keys of others are not seen');
is_deeply($layer->call('DELETE', "/api_keys?id=eq.$made->{id}", as => $bob, @representation)->{json}, [], 'nor ended');
ok($layer->call('GET', "/api_keys?id=eq.$made->{id}", as => $ann)->{json}[0]{last_used_at}, 'its use is known');
is($layer->call('DELETE', "/api_keys?id=eq.$made->{id}", as => $ann)->{status}, 204, 'ended');
for my $bad ($made->{secret}, '', 'x', substr($reader->{secret}, 0, -1), $reader->{secret} . 'x', "$reader->{secret},$reader->{secret}", 'x' x 5000)
{
	my $unauthenticated = $layer->call('GET', '/projects', 'X-Api-Key' => $bad);
	$layer->is_problem($unauthenticated, 401, 'unauthenticated', 'a key that is none: ' . substr($bad, 0, 12));
	ok($unauthenticated->{headers}{'www-authenticate'}, 'with WWW-Authenticate');
	is($unauthenticated->{json}{details}, 'The API key is not valid.', 'which is all it says');
}
# the first credential decides
$layer->is_problem($layer->call('GET', '/projects', 'X-Api-Key' => 'x', Cookie => $bobs), 401, 'unauthenticated', 'a bad key with a good cookie');
is($layer->call('GET', '/projects', as => $ann, 'X-Api-Key' => 'x')->{status}, 200, 'a good token with a bad key');

# tokens that the layer refuses
my $good = $layer->token($ann);
my ($header, $payload, $signature) = split /\./, $good;
for my $bad ("$header.$payload.", "$header.$payload", "$good.", 'eyJhbGciOiJub25lIn0.' . $payload . '.', "$header.$payload." . reverse($signature), $layer->token($ann, exp => time - 3600))
{
	my $unauthenticated = $layer->call('GET', '/projects', Authorization => "Bearer $bad");
	is($unauthenticated->{status}, 401, 'a token that is none');
	ok($unauthenticated->{headers}{'www-authenticate'}, 'with WWW-Authenticate');
}
# and nobody at all
is($layer->call('GET', '/projects')->{status}, 401, 'anonymous callers read nothing');
is($layer->call('GET', '/sessions')->{status}, 401, 'nor sessions');
is($layer->call('POST', '/api_keys', json => {})->{status}, 401, 'nor make keys');

# a password that changes, and an account that goes, take their sessions and keys along
my $carl = $layer->sql(q{SELECT tasks.create_account('carl@example.org', 'staple')});
my ($carls) = cookie(log_in('carl@example.org', 'staple'));
my $carls_key = $layer->call('POST', '/api_keys', as => $carl, json => {}, @representation)->{json}[0]{secret};
is($layer->call('GET', '/projects', Cookie => $carls)->{status}, 200, 'a session');
is($layer->call('GET', '/projects', 'X-Api-Key' => $carls_key)->{status}, 200, 'and a key');
$layer->sql("SELECT tasks.set_password('$carl', 'another')");
$layer->is_problem($layer->call('GET', '/projects', Cookie => $carls), 401, 'unauthenticated', 'another password ends the session');
$layer->is_problem($layer->call('GET', '/projects', 'X-Api-Key' => $carls_key), 401, 'unauthenticated', 'and the key');
($carls) = cookie(log_in('carl@example.org', 'another'));
is($layer->call('PATCH', "/users?id=eq.$carl", Cookie => $carls, json => { display_name => 'Carl' }, @same_origin)->{status}, 204, 'another name');
is($layer->call('GET', '/projects', Cookie => $carls)->{status}, 200, 'ends nothing');
is($layer->call('DELETE', "/users?id=eq.$carl", Cookie => $carls, @same_origin)->{status}, 204, 'the account is deleted');
$layer->is_problem($layer->call('GET', '/projects', Cookie => $carls), 401, 'unauthenticated', 'and its session with it');
$layer->is_problem(log_in('carl@example.org', 'another'), 401, 'unauthenticated', 'and nobody logs in to it');
foreach my $spelling ($carl, uc $carl)
{
	my $token = $layer->token($spelling, exp => time + 3600);
	my %with = (Authorization => "Bearer $token");
	$layer->is_problem($layer->call('GET', '/me', %with), 401, 'unauthenticated', "nor is a token of $spelling good");
	$layer->is_problem($layer->call('POST', '/api_keys', %with, json => {}), 401, 'unauthenticated', 'it makes no key');
	# which the gateway does not even have, since no role of the API may use it
	$layer->is_problem($layer->call('PATCH', "/deleted_users?id=eq.$carl", %with, json => { deleted_at => undef }), $layer->only('gateway') ? (404, 'not_found') : (401, 'unauthenticated'), 'and undoes nothing');
}
$layer->sql("UPDATE api.deleted_users SET deleted_at = NULL WHERE id = '$carl'");
is($layer->call('GET', '/me', as => $carl)->{json}[0]{email}, 'carl@example.org', 'until the owner of the tables restores it');
$layer->is_problem($layer->call('GET', '/projects', 'X-Api-Key' => $carls_key), 401, 'unauthenticated', 'which brings no key back');

# limits: by key, by user, by address, and what is charged
$layer->sql(q{UPDATE taskapi.rate_limit_policy SET rate = 1000, per = '1000 hours', burst = CASE name WHEN 'per_key' THEN 3 WHEN 'per_user' THEN 5 WHEN 'per_address' THEN 4 ELSE 1000 END});
my @from = ('X-Forwarded-For' => '198.51.100.1, 203.0.113.5');
sub statuses
{
	my ($n, @with) = @_;
	my %count;
	$count{ $layer->call('GET', '/projects?limit=1', @with)->{status} }++ for 1 .. $n;
	return \%count;
}
is_deeply(statuses(5, 'X-Api-Key' => $reader->{secret}, @from), { 200 => 3, 429 => 2 }, 'a key');
is_deeply(statuses(5, as => $ann, @from), { 200 => 2, 429 => 3 }, 'its user, whom it has charged, too');
$answer = $layer->call('GET', '/projects', as => $ann, @from);
$layer->is_problem($answer, 429, 'rate_limited', 'limited');
like($answer->{headers}{'retry-after'}, qr/^\d+$/, 'Retry-After');
like($answer->{headers}{ratelimit}, qr/"per_user";r=0;t=\d+/, 'RateLimit');
like($answer->{headers}{'ratelimit-policy'}, qr/"per_user";q=5;w=\d+/, 'RateLimit-Policy');
like($layer->call('GET', '/projects', as => $bob, @from)->{headers}{ratelimit}, qr/"per_user";r=4/, 'another user is not limited, and told what is left');
is_deeply(statuses(3, 'X-Api-Key' => 'bad', @from), { 401 => 3 }, 'bad credentials');
is_deeply(statuses(3, @from), { 401 => 1, 429 => 2 }, 'are charged to the address, with its anonymous callers');
is_deeply(statuses(2, 'X-Forwarded-For' => '203.0.113.5, 198.51.100.1'), { 401 => 2 }, 'another address is another');

# logging in, by account and by address
$layer->sql(q{UPDATE taskapi.rate_limit_policy SET burst = 1000; UPDATE taskapi.rate_limit_policy SET burst = 2 WHERE name = 'login_per_account'});
is($_->{status}, 401, 'a wrong password') for map { log_in('bob@example.org', 'wrong', 'X-Forwarded-For' => "192.0.2.$_") } 1 .. 2;
$layer->is_problem(log_in('BOB@example.org', 'staple', 'X-Forwarded-For' => '192.0.2.9'), 429, 'rate_limited', 'then the right one has to wait, wherever it comes from');
$layer->is_problem(log_in('ghost@example.org', 'wrong', 'X-Forwarded-For' => '192.0.2.9'), 401, 'unauthenticated', 'an account that is not there') for 1 .. 2;
$layer->is_problem(log_in('ghost@example.org', 'wrong', 'X-Forwarded-For' => '192.0.2.9'), 429, 'rate_limited', 'is limited just so');
is($layer->call('GET', '/projects', Cookie => $bobs)->{status}, 200, 'a session that is there goes on');

# No error, nor what is said about it, holds a secret. (The test server also logs every statement with its parameters.)
my @lines = grep { /(ERROR|WARNING|FATAL|CONTEXT|HINT|STATEMENT):|DETAIL:(?!  parameters:)/ } split /\n/, PostgreSQL::Test::Utils::slurp_file($layer->{node}->logfile);
cmp_ok(scalar @lines, '>', 50, 'errors were logged');
is_deeply([ grep { /\Q$made->{secret}\E|\Q$reader->{secret}\E|\Q$token\E|\Q$good\E|correct horse|staple/ } @lines ], [], 'without a secret');

done_testing();
