# The database counts of each request what its client was told: the class of the status, and a route that does not depend on keys and query strings; its trace and its slow line are in the log.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Layer;
use PostgreSQL::Test::Utils;
use Test::More;

my $layer = Layer->new('metrics', q{
	CREATE SCHEMA shop;
	CREATE TABLE shop.orders (id int PRIMARY KEY, total int CHECK (total > 0), late int UNIQUE DEFERRABLE INITIALLY DEFERRED);
	CREATE SCHEMA api;
	SELECT taskapi.expose('shop.orders', 'api');
	CREATE FUNCTION api.fails(state text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = state; END $$;
	CREATE FUNCTION api.no_content() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM taskapi.set_response_status(202); END $$;
	SELECT taskapi.set_api_roles('anonymous', 'authenticated');
	UPDATE taskapi.rate_limit_policy SET rate = 1000000, burst = NULL;
	SELECT taskapi.grant_resource('api.orders', 'authenticated', '{read,create,update,delete,restore,purge}');
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA api TO authenticated;
	INSERT INTO api.orders VALUES (1, 1, 1), (2, 2, 2);
	ALTER ROLE authenticator SET taskapi.trace_context = application_name;
	ALTER ROLE authenticator SET taskapi.log_slow_request = 0});

my %seen;
sub added
{
	my %now = map { /^(.*)=(\d+)$/ } split /\n/, $layer->sql(q{SELECT concat_ws(' ', method, route, status) || '=' || requests FROM taskapi.request_metrics});
	my $added = join ', ', map { "$_: " . ($now{$_} - ($seen{$_} // 0)) } grep { $now{$_} != ($seen{$_} // 0) } sort keys %now;
	%seen = %now;
	return $added;
}
my $row = $layer->only('gateway') ? '/orders/{key}' : '/orders';
my @cases = (
	[ 'GET', '/orders', {}, '/orders' ],
	[ 'GET', $layer->row('orders', id => 1), {}, $row ],
	[ 'HEAD', '/orders', {}, '/orders' ],
	[ 'POST', '/orders', { json => { id => 3, total => 3 } }, '/orders' ],
	[ 'POST', '/orders', { json => { id => 3, total => 3 } }, '/orders' ],
	[ 'POST', '/orders', { json => { id => 4, total => 0 } }, '/orders' ],
	[ 'POST', '/orders', { json => { id => 4, total => 4, late => 1 } }, '/orders' ],
	[ 'PATCH', $layer->row('orders', id => 3), { json => { total => 4 } }, $row ],
	[ 'PATCH', $layer->row('orders', id => 3), { json => { total => 5 }, 'If-Match' => '"9"' }, $row ],
	[ 'DELETE', $layer->row('orders', id => 3), {}, $row ],
	[ 'GET', '/deleted_orders', {}, '/deleted_orders' ],
	[ 'POST', '/rpc/no_content', { json => {} }, '/rpc/no_content' ],
	(map { [ 'POST', '/rpc/fails', { json => { state => $_ } }, '/rpc/fails' ] } 'P0001', '22023', '23505', '40P01', '42501', '53100', '57014', 'PT404', 'PT503', 'XX000'),
	[ 'GET', '/orders', { as => undef }, '/orders' ],
	[ 'GET', '/orders', { as => undef, 'X-API-Key' => 'tak_no' }, '/orders' ]);
added();
foreach my $case (@cases)
{
	my ($method, $path, $with, $route) = @$case;
	my $answer = $layer->call($method, $path, as => 'u1', %$with);
	my $class = substr($answer->{status}, 0, 1) . 'xx';
	my $found = added();
	# a layer repeats what was a deadlock
	$found =~ s/: [2-9]$/: 1/ if ($with->{json}{state} // '') eq '40P01';
	is($found, "$method $route $class: 1", "$method $path is $answer->{status}");
}
foreach my $path ('/nothing', '/rpc/nothing', '/nothing/1', '/rpc/pg_sleep', '/.env')
{
	my $answer = $layer->call('GET', $path, as => 'u1');
	like(added(), qr/^(GET other [245]xx: 1)?$/, "no series for $path, which is $answer->{status}");
}

# The trace
my $trace = '0af7651916cd43dd8448eb211c80319c';
my $from = -s $layer->{node}->logfile;
$layer->call('GET', '/orders?total=eq.1', as => 'u1', Traceparent => "00-$trace-b7ad6b7169203331-01", 'X-Request-Id' => 'abc-1');
my $log = slurp_file($layer->{node}->logfile, $from);
like($log, qr/LOG:  GET \/orders 200 \d+ ms subject=u1 trace=$trace request=abc-1$/m, 'a slow request has its subject, trace and id, and no query string');
is($layer->sql(q{SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '00-%'}), 0, 'no connection keeps a trace');
is($layer->sql('SELECT count(*) FROM taskapi.request_gauge'), 0, 'nothing is under way');
done_testing();
