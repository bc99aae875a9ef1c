# A list comes in the order that the next page by cursor needs, or is refused; and each refusal of the gateway says what to do instead.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../postgrest";
use IPC::Run;
use Layer;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'these are the gateway\'s' if ($ENV{LAYER} // 'postgrest') ne 'gateway';
my $layer = Layer->task_api('orders', q{
	CREATE TABLE public."order" (id int PRIMARY KEY, quantity int, "createdAt" int NOT NULL, created_at timestamptz NOT NULL DEFAULT 'epoch', hidden int);
	SELECT taskapi.expose('public."order"', 'api', 'orders');
	SELECT taskapi.grant_resource('api.orders', 'authenticated', '{read,update,delete,read_deleted,restore}');
	INSERT INTO public."order" (id, quantity, "createdAt", created_at) SELECT n, n % 3, -n, 'epoch'::timestamptz + n / 7 * interval '1 hour' FROM generate_series(1, 60) n ORDER BY md5(n::text);
	CREATE TABLE public.notice (id int PRIMARY KEY, text text);
	SELECT taskapi.expose('public.notice', 'api', 'notices');
	SELECT taskapi.grant_resource('api.notices', 'anonymous', '{read}');
	INSERT INTO public.notice VALUES (1, 'open');
	CREATE TABLE public.letter (id int PRIMARY KEY, text text);
	SELECT taskapi.expose('public.letter', 'api', 'letters');
	SELECT taskapi.grant_resource('api.letters', 'authenticated', '{read}');
	SELECT taskapi.grant_resource('api.letters', 'anonymous', '{create}');
	CREATE FUNCTION api.hello() RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'hello' $$;
	REVOKE EXECUTE ON FUNCTION api.hello() FROM PUBLIC;
	GRANT EXECUTE ON FUNCTION api.hello() TO anonymous;
}, 'gateway');
my @ann = (as => 'ann');
my $p = $layer->call('POST', '/projects', @ann, json => { name => 'Many' })->{json}{id};
$layer->call('POST', '/tasks', @ann, json => [ map { { project_id => $p, title => "task $_", priority => $_ % 3, due_date => sprintf '2026-01-%02d', 1 + $_ * 7 % 11 } } 1 .. 40 ]);

# walk(PATH, COLUMN, OPERATOR, ID): pages by the cursor of the last row.
sub walk
{
	my ($path, $column, $operator, $id) = @_;
	my (@got, $token);
	for (1 .. 30)
	{
		my $answer = $layer->call('GET', $path . ($token ? "&$column=$operator.$token" : ''), @ann);
		return [ "$answer->{status} $answer->{text}" ] if $answer->{status} != 200;
		return \@got unless @{ $answer->{json} };
		push @got, map { $_->{$id} } @{ $answer->{json} };
		$token = $answer->{json}[-1]{$column};
	}
	return [ @got, 'and so on' ];
}
sub rows { return [ split /\n/, $layer->sql($_[0]) ] }
my $newest = 'created_at DESC, id DESC';
is_deeply(walk('/orders?limit=7', 'cursor', 'gt', 'id'), rows(qq{SELECT id FROM public."order" ORDER BY $newest}), 'a walk without an order has that of the resource');
is_deeply(walk('/orders?limit=7&order=created_at.desc,id.desc', 'cursor', 'gt', 'id'), rows(qq{SELECT id FROM public."order" ORDER BY $newest}), 'one that names it, too');
is_deeply(walk('/orders?limit=7&order=created_at,id', 'cursor', 'lt', 'id'), rows(q{SELECT id FROM public."order" ORDER BY created_at, id}), 'one backward');
is_deeply(walk('/orders?limit=7&order=cursor', 'cursor', 'gt', 'id'), rows(qq{SELECT id FROM public."order" ORDER BY $newest}), 'one by the cursor itself');
my @few = (order => 'cursor_by_due_date', sql => "SELECT title FROM tasks.task WHERE project_id = '$p' ORDER BY due_date, id");
is_deeply(walk("/tasks?select=*,cursor_by_due_date&project_id=eq.$p&limit=7&order=cursor_by_due_date", 'cursor_by_due_date', 'gt', 'title'), rows($few[3]), 'one by a computed cursor');
my $mark = $layer->call('GET', "/tasks?select=title,cursor_by_due_date&project_id=eq.$p&limit=7&order=cursor_by_due_date", @ann)->{json}[-1];
my @after = @{ rows($few[3]) };
is_deeply([ map { $_->{title} } @{ $layer->call('GET', "/tasks?project_id=eq.$p&limit=5&cursor_by_due_date=gt.$mark->{cursor_by_due_date}", @ann)->{json} } ], [ @after[ 7 .. 11 ] ], 'what is after a computed cursor, without an order');
is_deeply([ map { $_->{title} } @{ $layer->call('GET', "/tasks?project_id=eq.$p&limit=3&cursor_by_due_date=lt.$mark->{cursor_by_due_date}", @ann)->{json} } ], [ @after[ 5, 4, 3 ] ], 'and what is before it, backward');
is_deeply([ map { $_->{title} } @{ $layer->call('GET', "/tasks?select=title,cursor_by_due_date&project_id=eq.$p&limit=4", @ann)->{json} } ],
	rows("SELECT title FROM tasks.task WHERE project_id = '$p' ORDER BY $newest LIMIT 4"), 'a first page with computed columns has the order of the resource');

is_deeply(walk("/projects/$p/tasks?limit=7", 'cursor', 'gt', 'title'), rows("SELECT title FROM tasks.task WHERE project_id = '$p' ORDER BY $newest"), 'below a parent');
$layer->sql(q{DELETE FROM api.orders WHERE id > 40});
is_deeply(walk('/deleted_orders?limit=7', 'cursor', 'gt', 'id'), rows(q{SELECT id FROM public."order" WHERE deleted_at IS NOT NULL ORDER BY deleted_at DESC, id DESC}), 'the trash in its own order');
$layer->sql(q{UPDATE api.deleted_orders SET deleted_at = NULL});

my $token = $layer->call('GET', '/orders?limit=7', @ann)->{json}[-1]{cursor};
foreach my $order ('quantity', 'created_at', 'created_at.desc', 'id.desc,created_at.desc', 'created_at.desc,id', 'quantity,created_at.desc,id.desc')
{
	my $refused = $layer->call('GET', "/orders?limit=7&order=$order&cursor=gt.$token", @ann);
	$layer->is_problem($refused, 400, 'cursor_mismatch', "order=$order is not that of the cursor");
	is($refused->{json}{hint}, 'order=created_at.desc,id.desc', 'which the hint names');
}
is($layer->call('GET', "/orders?order=id&cursor=lt.$token", @ann)->{json}{hint}, 'order=created_at,id', 'for lt. the other way');
$layer->is_problem($layer->call('GET', "/tasks?order=due_date&cursor_by_due_date=gt.$mark->{cursor_by_due_date}", @ann), 400, 'cursor_mismatch', 'a computed cursor has its own order');
is($layer->call('GET', "/orders?order=created_at.desc,id.desc,quantity&limit=1&cursor=gt.$token", @ann)->{status}, 200, 'what follows a whole order changes nothing');
is($layer->call('GET', "/orders?limit=1&page_token=x&cursor=gt.$token", @ann)->{status}, 400, 'a page token beside a cursor is refused');

# Names as the column has them.
is_deeply([ map { $_->{id} } @{ $layer->call('GET', "/orders?select=id&limit=3&order=$_", @ann)->{json} } ], [ 1, 2, 3 ], "order=$_") foreach ('createdAt.desc', '%22createdAt%22.desc', '%22createdAt%22%20DESC', 'createdAt.desc.nullslast,id', 'ID');
is_deeply([ map { $_->{id} } @{ $layer->call('GET', "/orders?select=id&limit=2&order=createdAt.desc&cursor=eq.$token", @ann)->{json} } ], [ rows(qq{SELECT id FROM public."order" ORDER BY $newest})->[6] ], 'beside one row, any order');

# What only the anonymous role may use.
is($layer->call('GET', '/notices?select=text')->{text}, '[{"text":"open"}]', 'a resource of the anonymous role alone');
is($layer->call('GET', '/rpc/hello')->{text}, '"hello"', 'and a function');
is($layer->call('POST', '/letters', json => { id => 1, text => 'sent' }, Prefer => 'return=minimal')->{status}, 201, 'one role writes');
is($layer->call('GET', '/letters?select=text', @ann)->{text}, '[{"text":"sent"}]', 'what the other reads');
$layer->is_problem($layer->call('GET', '/letters'), 401, 'unauthenticated', 'each as far as it may');
$layer->is_problem($layer->call('GET', '/notices', @ann), 403, 'forbidden', 'which others may not use');

# A refusal says what to do.
sub hint { my ($method, $path, $json) = @_; return $layer->call($method, $path, @ann, $json ? (json => $json) : ())->{json} }
is(hint('GET', "/orders?cursor=$token")->{hint}, "cursor=gt.$token", 'a cursor without an operator');
is(hint('GET', "/orders?$_=2")->{hint}, 'Follow Link rel="next", or cursor=gt.TOKEN.', "$_ is not served") foreach qw(offset page);
is(hint('PATCH', '/orders/41', { deleted_at => undef })->{hint}, 'Restore at /deleted_orders/41.', 'a row is restored elsewhere');
like(hint('PATCH', '/orders', { quantity => 1 })->{details}, qr{Say which: /orders/ID\b}, 'all rows: by the name of the resource');
is(hint('POST', '/orders', { id => 99 })->{details}, 'No role of this API may POST to /orders.', 'a method for which a grant is missing');
my $roleless = $layer->sql("SELECT taskapi.jwt_sign(jsonb_build_object('sub', '$layer->{id}{ann}', 'exp', extract(epoch FROM now())::int + 600))");
my $forbidden = $layer->call('GET', '/orders', Authorization => "Bearer $roleless");
$layer->is_problem($forbidden, 403, 'forbidden', 'a token without a role');
like($forbidden->{json}{details}, qr/no claim "role"/, 'is told so');

# Start: what is wrong with the roles is said before the first request. A gateway that does start is stopped when it says so.
sub begun
{
	my (%settings) = @_;
	local %ENV = (%ENV, PGHOST => $layer->{node}->host, PGPORT => $layer->{node}->port, PGUSER => 'authenticator', PGDATABASE => 'postgres', PORT => 0, WORKERS => 1,
		ANON_ROLE => 'anonymous', API_ROLE => 'authenticated', %settings);
	my $said = '';
	my $gateway = IPC::Run::start([ 'node', "$FindBin::RealBin/../../examples/gateway/gateway.js" ], '<', \undef, '>&', \$said, IPC::Run::timeout(180));
	$gateway->pump while $gateway->pumpable && $said !~ /listening/;
	$gateway->kill_kill;
	return $said;
}
$layer->sql('CREATE ROLE stranger');
my $misspelt = begun(ANON_ROLE => 'anonymus');
like($misspelt, qr/ANON_ROLE.*"anonymus" does not exist/, 'a role that is misspelt');
unlike($misspelt, qr/listening/, 'does not start');
like(begun($_ => 'stranger'), qr/$_: permission denied to set role "stranger".*GRANT "stranger" TO "authenticator"/, "$_ that the gateway may not become") foreach qw(API_ROLE ANON_ROLE);
like(begun(API_SCHEMA => 'nothing'), qr/grant_resource/, 'an API without a resource');

done_testing();
