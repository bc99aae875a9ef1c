# No request ends the process that serves the others, holds it up, passes for another's, or does more than it says.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../postgrest";
use IO::Socket::INET;
use Layer;
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;

plan skip_all => 'these are the gateway\'s' if ($ENV{LAYER} // 'postgrest') ne 'gateway';
my $layer = Layer->task_api('neighbours', q{
	CREATE FUNCTION api.refuse(message text, detail text) RETURNS void LANGUAGE plpgsql STABLE AS $$
		BEGIN RAISE SQLSTATE 'PGRST' USING MESSAGE = message, DETAIL = detail; END $$;
	CREATE TABLE public.came (address inet);
	CREATE FUNCTION api.come() RETURNS void LANGUAGE sql VOLATILE SECURITY DEFINER AS 'INSERT INTO public.came VALUES (taskapi.client_address())';
	CREATE FUNCTION api.limit_of_time() RETURNS text LANGUAGE sql STABLE AS $$ SELECT current_setting('statement_timeout') $$;
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA api TO authenticated;
	CREATE TABLE public.item (id bigint PRIMARY KEY, name text NOT NULL);
	SELECT taskapi.expose('public.item', 'api', 'items');
	SELECT taskapi.grant_resource('api.items', 'authenticated');
	INSERT INTO public.item SELECT n, 'item' FROM generate_series(1, 30) n;
}, 'gateway');
my ($host, $port) = $layer->{base} =~ m{//(.*):(\d+)};
my $token = $layer->token('ann');
sub spaces { return '+' x $_[0] }

# Whoever writes a function may raise what a problem of taskapi looks like, and be wrong in any part.
my $message = '{"code":"x","message":"m"}';
foreach (
	[ $message, '{"status":418,"headers":{"X-A":"b"}}', 418, 'a problem of a function\'s own' ], [ $message, '{"status":409}', 409, 'one without headers' ],
	[ $message, 'no JSON', 500, 'a detail that is no JSON' ], [ $message, 'null', 500, 'one that is null' ], [ $message, '[]', 500, 'one without a status' ],
	[ $message, '{"status":1000,"headers":{}}', 500, 'a status that is none' ], [ $message, '{"status":"400","headers":{}}', 500, 'one that is text' ], [ $message, '{"status":101,"headers":{}}', 500, 'one that ends nothing' ],
	[ $message, '{"status":400,"headers":{"X-A":"a\nb"}}', 500, 'a header of two lines' ], [ $message, '{"status":400,"headers":{"X A":"b"}}', 500, 'the name of a header that is none' ],
	[ 'no JSON', '{"status":400,"headers":{}}', 500, 'a message that is no JSON' ], [ 'null', '{"status":400,"headers":{}}', 500, 'one that is null' ])
{
	my ($text, $detail, $status, $name) = @$_;
	is($layer->call('POST', '/rpc/refuse', as => 'ann', json => { message => $text, detail => $detail })->{status}, $status, $name);
}

# What is read with a pattern is read in one pass: a long text that is wrong at its end would be tried in all ways.
foreach (
	[ 'name=in.(' . spaces(12000) . '%22)', 'a list of blanks and a quote' ], [ 'name=in.(%22x%22' . spaces(12000) . 'y)', 'one of a quoted text, blanks and more' ], [ 'name=in.(%22' . 'x' x 12000 . ')', 'one with an open quote' ],
	[ 'order=id' . spaces(12000) . '!,', 'an order' ], [ 'select=id,' . spaces(12000) . 'name', 'a selection' ], [ 'name=' . 'a' x 12000, 'an operator' ])
{
	my ($query, $name) = @$_;
	is($layer->call('GET', "/items?$query", as => 'ann')->{status}, 400, "$name is refused at once");
}
my $cookie = 'a=x' . ' ' x 12000 . 'y; b = "2" ;=3;c;d e=4;  b=5';
is($layer->call('GET', '/items?limit=1', as => 'ann', Cookie => $cookie)->{status}, 200, 'a cookie of blanks is read at once');
$layer->sql(q{INSERT INTO public.item SELECT 100 + n, name FROM unnest(ARRAY['a', 'b, c', 'd e', '', 'f"g', '\h']) WITH ORDINALITY u (name, n)});
my $found = $layer->call('GET', '/items?select=id&order=id&name=in.(a,+%22b,+c%22+,d+e,,%22f%5C%22g%22,%22%5C%5Ch%22)', as => 'ann');
is(join(q{ }, map { $_->{id} } @{ $found->{json} }), '101 102 103 104 105 106', 'a list is its elements') or diag($found->{text});

# A connection that is reset has no address, and what it sent can still be read. Two proxies are trusted, the gateway and one in front: without
# the gateway's word, the client's own would be that of the one in front.
foreach (1 .. 50)
{
	my $socket = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port) // die "connect: $!";
	syswrite $socket, "POST /rpc/come HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 203.0.113.9, 198.51.100.1\r\nAuthorization: Bearer $token\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
	setsockopt $socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
	close $socket;
}
is($layer->call('POST', '/rpc/come', as => 'ann', json => {}, 'X-Forwarded-For' => '198.51.100.1')->{status}, 204, 'one that stays');
Layer::eventually(sub { !$layer->sql(q{SELECT count(*) FROM pg_stat_activity WHERE usename = 'authenticator' AND state <> 'idle'}) });
is($layer->sql(q{SELECT string_agg(DISTINCT host(address), ' ') FROM public.came}), '198.51.100.1', 'nobody comes with an address of their choice');

# As much as a request says, and no more.
is($layer->call($_->[0], "/items?name=eq.item&$_->[1]=1", as => 'ann', $_->[0] eq 'PATCH' ? (json => { name => 'x' }) : ())->{status}, 400, "$_->[0] with $_->[1]")
  foreach ([ 'DELETE', 'limit' ], [ 'PATCH', 'limit' ], [ 'DELETE', 'page_size' ], [ 'DELETE', 'page_token' ]);
is($layer->sql(q{SELECT count(*) FROM api.items WHERE name = 'item'}), 30, 'is not taken for all rows');
$layer->set('SET taskapi.max_page_size = 7');
my $cursor = $layer->call('GET', '/items?select=cursor&order=id.desc&limit=1', as => 'ann')->{json}[0]{cursor};
foreach (1000, 5, 0)
{
	my ($limit, $rows) = ($_, { 1000 => 7, 5 => 5, 0 => 7 }->{$_});
	is(scalar @{ $layer->call('GET', "/items?select=id&limit=$limit", as => 'ann')->{json} }, $rows, "a page of $limit has $rows");
	is(scalar @{ $layer->call('GET', "/items?select=id&limit=$limit&cursor=lt.$cursor", as => 'ann')->{json} }, $rows, 'so has one behind a cursor');
}
$layer->set('RESET taskapi.max_page_size');
my ($one, $other) = map { $layer->call('POST', '/projects', as => 'ann', json => { name => $_ })->{json}{id} } qw(one other);
$layer->call('POST', "/projects/$one/tasks", as => 'ann', json => { title => 'of one' });
is($layer->call('GET', "/projects/$one/tasks?project_id=eq." . uc $one, as => 'ann')->{json}[0]{title}, 'of one', 'a filter that says what the path says');
$layer->is_problem($layer->call('GET', "/projects/$one/tasks?project_id=eq.$other", as => 'ann'), 400, 'invalid_filter', 'and one that says another');
my $big = '9007199254740993';
is($layer->call('PUT', "/items/$big", as => 'ann', json => qq({"id":$big,"name":"big"}))->{status}, 201, 'a number beyond those of JavaScript is that of the path');
is($layer->call('PUT', '/items/7', as => 'ann', json => '{"id":8,"name":"big"}')->{status}, 400, 'another is not');
is($layer->sql(q{SELECT string_agg(id::text, ' ') FROM public.item WHERE name = 'big'}), $big, 'it is written as it was said');

# The schema changes while it cannot be read: who changed it says so once.
$layer->change(q{ALTER ROLE authenticated SET statement_timeout = '1234s'});
is($layer->call('GET', '/rpc/limit_of_time', as => 'ann')->{text}, '"1234s"', 'a role has its settings');
$layer->set(q{SET lock_timeout = '100ms'});
my $holder = $layer->{node}->background_psql('postgres');
$holder->query('BEGIN; LOCK TABLE taskapi.resource IN ACCESS EXCLUSIVE MODE');
my $failures = sub { return scalar(() = PostgreSQL::Test::Utils::slurp_file($layer->{log}) =~ /lock timeout/g) };
my $before = $failures->();
$layer->sql(q{CREATE FUNCTION api.late() RETURNS int LANGUAGE sql STABLE RETURN 1; GRANT EXECUTE ON FUNCTION api.late() TO authenticated; NOTIFY pgrst});
ok(Layer::eventually(sub { $failures->() > $before }), 'it cannot be read');
$holder->query('ROLLBACK');
$holder->quit;
ok(Layer::eventually(sub { $layer->call('GET', '/rpc/late', as => 'ann')->{text} eq '1' }), 'it is read again when it can be');
is($layer->call('GET', '/rpc/limit_of_time', as => 'ann')->{text}, '"1234s"', 'and roles have their settings still');

ok(kill(0, $layer->{pid}), 'all by the process of the beginning');
done_testing();
