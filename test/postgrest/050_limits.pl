# Rate limits over HTTP: what is told with every answer, when it is 429, who shares a limit, and what is not charged.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Layer;
use Test::More;

# The clock stands still, so that nothing comes back during the test.
my $layer = Layer->task_api('limits', q{
	ALTER DATABASE postgres SET taskapi.test_clock = 1780272000;
	UPDATE taskapi.rate_limit_policy SET rate = 5, per = '1 minute' WHERE name = 'per_user';
	UPDATE taskapi.rate_limit_policy SET rate = 3, per = '1 minute' WHERE name = 'per_address';
	UPDATE taskapi.rate_limit_policy SET rate = 4, per = '1 hour' WHERE name = 'login_per_account';
});

my @left;
foreach (1 .. 5)
{
	my $answer = $layer->call('GET', '/projects', as => 'ann');
	is($answer->{status}, 200, "request $_ of 5");
	push @left, $answer->{headers}{ratelimit} // '';
}
like($left[0], qr/"per_user";r=4/, 'the answer tells what is left');
like($left[4], qr/"per_user";r=0/, 'down to nothing');
like($layer->call('GET', '/projects', as => 'bob')->{headers}{'ratelimit-policy'}, qr/"per_user";q=5;w=60/, 'and the policy');
my $denied = $layer->call('GET', '/projects', as => 'ann');
$layer->is_problem($denied, 429, 'rate_limited', 'request 6');
is($denied->{headers}{'retry-after'}, 12, 'when to come again, in whole seconds');
like($denied->{headers}{ratelimit}, qr/"per_user";r=0/, 'with the limit');
$layer->is_problem($layer->call('POST', '/projects', as => 'ann', json => { name => 'x' }), 429, 'rate_limited', 'writing counts as well');
is($layer->sql('SELECT count(*) FROM tasks.project'), 0, 'and does nothing');
is($layer->call('GET', '/projects', as => 'bob')->{status}, 200, "another's limit is his own");

# The refused are not charged, so the next one is admitted as soon as its time has come.
$layer->sql(q{ALTER DATABASE postgres SET taskapi.test_clock = 1780272012});
$layer->set('SET taskapi.default_page_size = 50');
is($layer->call('GET', '/projects', as => 'ann')->{status}, 200, 'after that time it is admitted');
is($layer->call('GET', '/projects', as => 'ann')->{status}, 429, 'once');

# Addresses: an anonymous caller's, as the trusted proxy saw it, whatever else he claims.
my $log_in = sub { return $layer->call('POST', '/sessions', json => { email => $_[0], password => 'wrong' }, 'Sec-Fetch-Site' => 'same-origin', 'X-Forwarded-For' => $_[1]); };
is($log_in->("nobody$_\@example.org", "10.0.0.$_, 198.51.100.1")->{status}, 401, "address 198.51.100.1, attempt $_ of 3") foreach 1 .. 3;
$layer->is_problem($log_in->('nobody4@example.org', '10.0.0.9, 198.51.100.1'), 429, 'rate_limited', 'attempt 4');
is($log_in->('nobody5@example.org', '198.51.100.2')->{status}, 401, 'another address goes on');
is($layer->call('GET', '/projects', 'X-API-Key' => 'wrong', 'X-Forwarded-For' => '198.51.100.3')->{status}, 401, 'a bad key is charged to the address alone') foreach 1 .. 3;
is($layer->call('GET', '/projects', 'X-API-Key' => 'wrong', 'X-Forwarded-For' => '198.51.100.3')->{status}, 429, 'until it is used up');

# Accounts: guesses from many addresses.
is($log_in->('ann@example.org', "203.0.113.$_")->{status}, 401, "guess $_ of 4") foreach 1 .. 4;
$layer->is_problem($log_in->('ann@example.org', '203.0.113.5'), 429, 'rate_limited', 'guess 5, from yet another address');
is($log_in->('unknown@example.org', "203.0.113.$_")->{status}, 401, "an unknown account, guess $_ of 4") foreach 11 .. 14;
is($log_in->('unknown@example.org', '203.0.113.15')->{status}, 429, 'is limited as one that there is');

# A shadow policy counts and denies nobody.
$layer->sql(q{UPDATE taskapi.rate_limit_policy SET shadow = true WHERE name = 'per_user'});
is($layer->call('GET', '/projects', as => 'ann')->{status}, 200, 'in shadow, ann is admitted');
cmp_ok($layer->sql(q{SELECT sum(denied) FROM taskapi.rate_limit_denials WHERE policy = 'per_user'}), '>=', 3, 'the denials are counted');

done_testing();
