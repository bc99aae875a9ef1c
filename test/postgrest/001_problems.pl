# Every problem arrives as its status, its headers and a body of four members, and none of them changes anything.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Layer;
use Test::More;

my $layer = Layer->new('problems', q{
	CREATE SCHEMA api;
	CREATE TABLE api.note (text text);
	CREATE FUNCTION api.refuse(problem text, details text DEFAULT NULL, hint text DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
		INSERT INTO api.note VALUES (problem);
		SELECT taskapi.set_response_header('X-Lost', 'a raise takes the response headers along');
		SELECT taskapi.raise_problem(problem, details, hint, '{"X-Extra": "kept"}');
	$$;
	CREATE FUNCTION api.answer() RETURNS json LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM taskapi.set_response_status(202);
		PERFORM taskapi.set_response_header('X-One', '1');
		PERFORM taskapi.set_response_header('X-Two', 'zwei');
		PERFORM taskapi.set_response_header('X-One', 'one');
		RETURN json_build_object('header', taskapi.request_header('X-mIxEd'), 'cookie', taskapi.request_cookie('taste'),
			'subject', taskapi.current_subject(), 'address', taskapi.client_address(), 'role', current_user);
	END $$;
	GRANT USAGE ON SCHEMA api TO anonymous, authenticated;
	GRANT INSERT, SELECT ON api.note TO anonymous, authenticated;
	SELECT taskapi.set_api_roles('anonymous', 'authenticated');
	UPDATE taskapi.rate_limit_policy SET rate = 1000000, burst = NULL;
});

my %standard = (
	unauthenticated => 'www-authenticate', try_again => 'retry-after',
	idempotency_key_in_progress => 'retry-after');
my @problems = map { [ split /\|/ ] } split /\n/, $layer->sql('SELECT problem, status, title FROM taskapi.problems() ORDER BY 1');
cmp_ok(scalar @problems, '>=', 25, 'the catalogue has all problems');
foreach (@problems)
{
	my ($problem, $status, $title) = @$_;
	my $answer = $layer->call('POST', '/rpc/refuse', json => { problem => $problem, details => "why: $problem \x{e9} \"\\", hint => 'do this' });
	is($answer->{status}, $status, "$problem: status");
	is_deeply({ map { $_ => $answer->{json}{$_} } qw(code message details hint) }, { code => $problem, message => $title, details => "why: $problem \x{e9} \"\\", hint => 'do this' }, "$problem: body");
	is_deeply([ @{ $answer->{json} }{qw(type title status detail)} ], [ "urn:problem:$problem", $title, $status, $answer->{json}{details} ], "$problem: as RFC 9457 has it") if $layer->only('gateway');
	is($answer->{headers}{'x-extra'}, 'kept', "$problem: headers");
	is($answer->{headers}{'x-lost'}, undef, "$problem: nothing of the request's answer");
	ok($answer->{headers}{ $standard{$problem} }, "$problem: $standard{$problem}") if $standard{$problem};
}
is($layer->sql('SELECT count(*) FROM api.note'), 0, 'nothing was changed');

my $answer = $layer->call('POST', '/rpc/answer', json => {}, as => 'somebody', 'X-Mixed' => 'value', Cookie => 'taste=sweet; other=1', 'X-Forwarded-For' => '10.0.0.9, 203.0.113.7');
is($answer->{status}, 202, 'a function sets the status');
is($answer->{headers}{'x-one'}, 'one', 'and headers, of which the last of a name counts');
is($answer->{headers}{'x-two'}, 'zwei', 'and others stay');
is_deeply(
	$answer->{json},
	{ header => 'value', cookie => 'sweet', subject => 'somebody', address => '203.0.113.7', role => 'authenticated' },
	'a function sees the header, the cookie, the subject, the address and the role');
is_deeply(
	$layer->call('POST', '/rpc/answer', json => {})->{json},
	{ header => undef, cookie => undef, subject => undef, address => undef, role => 'anonymous' },
	'and nothing of it in an anonymous request on the same connections');

done_testing();
