# The servers of examples/node and examples/python, which are the same API: who calls, pages, once, versions, limits, and bad input.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../postgrest";
use JSON::PP;
use Layer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# once, whichever layer the other tests are about
plan skip_all => 'these are no layers' if ($ENV{LAYER} // 'postgrest') ne 'gateway';
my $node = PostgreSQL::Test::Cluster->new('shop');
$node->init;
$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'\n");
$node->start;
my $examples = "$FindBin::RealBin/../../examples";
my $json = JSON::PP->new->utf8->canonical;
my %program = (node => [ 'node', "$examples/node/server.js" ], python => [ '/usr/bin/python3', "$examples/python/server.py" ]);

foreach my $kind (sort keys %program)
{
	$node->safe_psql('postgres', "CREATE DATABASE shop_$kind");
	my $sql = sub { return $node->safe_psql("shop_$kind", $_[0]) };
	$sql->(slurp_file("$examples/shop/schema.sql")) for 1 .. 2;    # it may be repeated
	$sql->(q{SELECT taskapi.set_secret('jwt', 'a secret of at least thirty-two characters'); UPDATE taskapi.rate_limit_policy SET rate = 100000, burst = 100000});
	my %token = map { $_ => $sql->("SELECT taskapi.jwt_sign(jsonb_build_object('sub', '$_', 'exp', extract(epoch FROM now())::int + 3600))") } qw(ann bob);
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	{
		local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGUSER => 'shop_server', PGDATABASE => "shop_$kind", PORT => $port);
		Layer::spawn("$PostgreSQL::Test::Utils::log_path/shop_$kind.log", @{ $program{$kind} });
	}
	my $http = Layer::Client->new;
	Layer::listens($port);

	my $call = sub {
		my ($method, $path, %with) = @_;
		my %headers = map { $_ => $with{$_} } grep { /^[A-Z]/ } keys %with;
		$headers{Authorization} = 'Bearer ' . $token{ $with{as} } if $with{as};
		my $answer = $http->request($method, "http://127.0.0.1:$port$path", { headers => \%headers, exists $with{json} ? (content => ref $with{json} ? $json->encode($with{json}) : $with{json}) : () });
		$answer->{content} //= '';
		$answer->{json} = eval { $json->decode($answer->{content}) };
		return $answer;
	};
	my $is = sub { my ($answer, $status, $code, $name) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; return is("$answer->{status} " . ($answer->{json}{code} // $answer->{content}), "$status $code", "$kind: $name") };

	$is->($call->('GET', '/orders', Authorization => $_), 401, 'unauthenticated', "Authorization: $_") foreach ('', 'Bearer x', 'Basic YTpi');
	my %without = map { my $a = $call->('GET', '/orders', @$_); ("$a->{json}{details} $a->{headers}{'www-authenticate'}" => 1) } [], [ Authorization => '' ], [ Authorization => 'Basic YTpi' ];
	is_deeply([ keys %without ], ['There is no token. Bearer'], "$kind: who sends no token is told so");
	my $post = $call->('POST', '/orders', as => 'ann', 'Idempotency-Key' => '"k1"', json => { item => 'tea', quantity => 2 });
	is("$post->{status} $post->{headers}{etag} $post->{headers}{location}", "201 \"1\" /orders/$post->{json}{id}", "$kind: an order");
	my $again = $call->('POST', '/orders', as => 'ann', 'Idempotency-Key' => '"k1"', json => { quantity => 2, item => 'tea' });
	is_deeply([ @{$again}{qw(status content)}, @{ $again->{headers} }{qw(etag location idempotency-replayed)} ], [ @{$post}{qw(status content)}, @{ $post->{headers} }{qw(etag location)}, 'true' ], "$kind: the same again, with its headers");
	$is->($call->('POST', '/orders', as => 'ann', 'Idempotency-Key' => '"k1"', json => { item => 'coffee' }), 422, 'idempotency_key_reused', 'another order under the same key');
	is($call->('POST', '/orders', as => 'bob', 'Idempotency-Key' => '"k1"', json => { item => 'coffee' })->{status}, 201, "$kind: another customer's key is another");
	$is->($call->('POST', '/orders', as => 'ann', json => { item => 'tea' }), 400, 'idempotency_key_missing', 'no key');
	$is->($call->('POST', '/orders', as => 'ann', 'Idempotency-Key' => 'bad', json => { item => 'x', quantity => 0 }), 400, 'invalid_value', 'a constraint');
	$is->($call->('POST', '/orders', as => 'ann', 'Idempotency-Key' => 'bad', json => { item => 'x', quantity => 'many' }), 400, 'invalid_value', 'a word for a number');
	$is->($call->('POST', '/orders', as => 'ann', 'Idempotency-Key' => 'bad', json => $_), 400, 'invalid_json', "the body '$_'") foreach ('', 'null', '[]', '1', '{"item":');
	$is->($call->('POST', '/orders', as => 'ann', 'Idempotency-Key' => 'bad', json => '{"item":"' . 'x' x 200_000 . '"}'), 413, 'body_too_large', 'a large body');
	is($call->('POST', '/orders', as => 'ann', 'Idempotency-Key' => 'bad', json => { item => 'good' })->{status}, 201, "$kind: what was refused left its key free");

	my $order = "/orders/$post->{json}{id}";
	my $changed = $call->('PATCH', $order, as => 'ann', 'If-Match' => '"1"', json => { quantity => 3, note => undef });
	is("$changed->{status} $changed->{json}{quantity} $changed->{json}{item} $changed->{headers}{etag}", '200 3 tea "2"', "$kind: changed");
	$is->($call->('PATCH', $order, as => 'ann', 'If-Match' => '"1"', json => { quantity => 4 }), 412, 'version_conflict', 'from an old version');
	$is->($call->('PATCH', $order, as => 'bob', json => { quantity => 4 }), 404, 'not_found', "another's order");
	$is->($call->('PATCH', $order, as => 'ann', json => { nonsense => 4 }), 400, 'invalid_value', 'of nothing');

	$call->('POST', '/orders', as => 'ann', 'Idempotency-Key' => "n$_", json => { item => "item $_" }) foreach 1 .. 12;
	my ($at, @seen) = ('');
	for (1 .. 10)
	{
		my $page = $call->('GET', "/orders?page_size=5&page_token=$at", as => 'ann')->{json};
		push @seen, map { $_->{id} } @{ $page->{items} };
		last unless length($at = $page->{next_page_token});
	}
	is(join(',', @seen), $sql->(q{SELECT string_agg(id::text, ',' ORDER BY id) FROM shop.orders WHERE customer = 'ann'}), "$kind: pages have every order once");
	$is->($call->('GET', '/orders?page_token=x', as => 'ann'), 400, 'invalid_cursor', 'a token that is none');
	is($call->('GET', '/orders?filter=%7B%22item%22:%22tea%22%7D', as => 'ann')->{json}{items}[0]{item}, 'tea', "$kind: a filter");
	is($call->('DELETE', $order, as => 'ann')->{status}, 204, "$kind: deleted");
	$is->($call->('DELETE', $order, as => 'ann'), 404, 'not_found', 'once');
	$is->($call->($_->[0], $_->[1], as => 'ann'), 404, 'not_found', "$_->[0] $_->[1]") foreach ([ GET => '/' ], [ GET => '/orders/x' ], [ DELETE => '/orders' ], [ GET => '/constructor' ]);

	$sql->(q{UPDATE taskapi.rate_limit_policy SET rate = 1, per = '1 hour', burst = 2 WHERE name = 'shop_per_customer'});
	my %counts;
	$counts{ $call->('GET', '/orders', as => 'bob')->{status} }++ for 1 .. 5;
	cmp_ok($counts{429} // 0, '>=', 3, "$kind: a limit");
	ok($call->('GET', '/orders', as => 'bob')->{headers}{'retry-after'}, "$kind: that says when to come again");
}

done_testing();
