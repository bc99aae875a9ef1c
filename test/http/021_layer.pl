# What a layer owes besides rows: pages by Link, conditional reads, CORS, traces, health, its description, and a schema that changes.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../postgrest";
use Layer;
use Test::More;

plan skip_all => 'these are the gateway\'s' if ($ENV{LAYER} // 'postgrest') ne 'gateway';
my $layer = Layer->task_api('layer', q{
	CREATE FUNCTION api.echo() RETURNS json LANGUAGE sql VOLATILE AS $$
		SELECT json_build_object('traceparent', taskapi.request_header('traceparent'), 'id', taskapi.request_header('x-request-id'), 'address', taskapi.client_address(),
			'method', current_setting('request.method'), 'path', current_setting('request.path'), 'role', current_user, 'cookie', taskapi.request_cookie('a'), 'read_only', current_setting('transaction_read_only')) $$;
	CREATE FUNCTION api.echo_stable(at int DEFAULT 0) RETURNS json LANGUAGE sql STABLE AS $$
		SELECT json_build_object('method', current_setting('request.method'), 'read_only', current_setting('transaction_read_only')) $$;
	CREATE FUNCTION api.bad_header() RETURNS void LANGUAGE sql AS $$ SELECT set_config('response.headers', '[{"X-A": "a\r\nb"}]', true) $$;
	CREATE FUNCTION api.nothing() RETURNS void LANGUAGE sql STABLE AS 'SELECT';
	CREATE FUNCTION api.twice(n int) RETURNS SETOF int LANGUAGE sql STABLE AS 'SELECT n UNION ALL SELECT n';
	CREATE FUNCTION api.one(a int, b text DEFAULT 'b', c int[] DEFAULT NULL, d jsonb DEFAULT NULL, OUT x text, OUT y int) LANGUAGE sql STABLE AS $$ SELECT b || c[1] || (d ->> 'k'), a $$;
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA api TO authenticated;
}, 'gateway', CORS_ORIGINS => 'https://app.example.com,https://other.example.com', SECRET_OF_ANOTHER => 'not shown');
my $json = JSON::PP->new->utf8;
my $p = $layer->call('POST', '/projects', as => 'ann', json => { name => 'Garden' })->{json}{id};
$layer->call('POST', "/projects/$p/tasks", as => 'ann', json => [ map { { title => "task $_", priority => $_ % 3 } } 1 .. 23 ]);

# Pages, forward and back, in an order of the client's.
sub follow
{
	my ($answer, $rel) = @_;
	my ($query) = ($answer->{headers}{link} // '') =~ /<(\?[^>]*)>; rel="$rel"/;
	return $query;
}
my $url = "/projects/$p/tasks?order=priority.desc,title&limit=5&select=id,title,priority&status=eq.todo";
my (@forward, $answer);
my $at = $url;
for (1 .. 10)
{
	$answer = $layer->call('GET', $at, as => 'ann');
	is($answer->{status}, 200, "page $_") or diag($answer->{text});
	push @forward, map { $_->{title} } @{ $answer->{json} };
	my $next = follow($answer, 'next') // last;
	$at = "/projects/$p/tasks$next";
}
is_deeply(\@forward, [ split /\n/, $layer->sql(q{SELECT title FROM tasks.task ORDER BY priority DESC, title}) ], 'every row once, in order');
my @backward = map { $_->{title} } @{ $answer->{json} };
while (my $previous = follow($answer, 'prev'))
{
	$answer = $layer->call('GET', "/projects/$p/tasks$previous", as => 'ann');
	last unless @{ $answer->{json} };
	unshift @backward, map { $_->{title} } @{ $answer->{json} };
}
is_deeply(\@backward, \@forward, 'and the same backward');
is(follow($layer->call('GET', "/projects/$p/tasks?limit=100", as => 'ann'), 'next'), undef, 'a page that is all has no next');
$layer->is_problem($layer->call('GET', "/projects/$p/tasks" . (follow($layer->call('GET', $url, as => 'ann'), 'next') =~ s/status=eq.todo/status=eq.done/r), as => 'ann'), 400, 'cursor_mismatch', 'a token is of its filter');

# Not sent again.
my $list = $layer->call('GET', $url, as => 'ann');
like($list->{headers}{etag}, qr{^W/"}, 'a page has a weak ETag');
is($layer->call('GET', $url, as => 'ann', 'If-None-Match' => $list->{headers}{etag})->{status}, 304, 'and is not sent again');
$layer->call('POST', "/projects/$p/tasks", as => 'ann', json => { title => 'a', priority => 99 });
is($layer->call('GET', $url, as => 'ann', 'If-None-Match' => $list->{headers}{etag})->{status}, 200, 'until it changes');
is($layer->call('GET', '/nothing', as => 'ann', 'If-None-Match' => '*')->{status}, 404, 'a refusal is no 304');
is($list->{headers}{'cache-control'}, 'private, no-cache', 'no cache shares it');
like($list->{headers}{vary}, qr/Authorization.*Cookie/, 'nor takes one caller for another');

# Other origins.
my @from = (Origin => 'https://app.example.com');
my $allowed = $layer->call('GET', $url, as => 'ann', @from);
is($allowed->{headers}{'access-control-allow-origin'}, 'https://app.example.com', 'an origin that is allowed');
like($allowed->{headers}{'access-control-expose-headers'}, qr/ETag.*Link.*Retry-After.*RateLimit/, 'reads the headers');
my $preflight = $layer->call('OPTIONS', "/projects/$p", @from, 'Access-Control-Request-Method' => 'PATCH', 'Access-Control-Request-Headers' => 'if-match');
is("$preflight->{status} $preflight->{headers}{'access-control-allow-credentials'}", '204 true', 'and asks before');
like($preflight->{headers}{'access-control-allow-headers'}, qr/If-Match/, 'about headers');
like($preflight->{headers}{'access-control-allow-methods'}, qr/PATCH/, 'and methods');
is($layer->call('GET', '/me', @from)->{headers}{'access-control-allow-origin'}, 'https://app.example.com', 'a refusal can be read as well');
is($layer->call('GET', $url, as => 'ann', Origin => $_)->{headers}{'access-control-allow-origin'}, undef, "$_ reads nothing") foreach ('https://evil.example', 'null', 'https://app.example.com.evil.example', 'HTTPS://APP.EXAMPLE.COM');

# What the database is told.
my $trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
my $echo = $layer->call('POST', '/rpc/echo', as => 'ann', json => {}, Traceparent => $trace, 'X-Request-Id' => 'abc-1', 'X-Forwarded-For' => '203.0.113.9', Cookie => 'a=1; a=2');
like($echo->{json}{traceparent}, qr/^00-0af7651916cd43dd8448eb211c80319c-(?!b7ad6b7169203331)[0-9a-f]{16}-01$/, 'the trace goes on, as a part of its own');
is("$echo->{json}{id} $echo->{headers}{'x-request-id'}", 'abc-1 abc-1', 'a request id is kept');
is($echo->{json}{address}, '203.0.113.9', 'the address is that of who called the proxy');
is("$echo->{json}{method} $echo->{json}{path} $echo->{json}{role} $echo->{json}{read_only}", 'POST /rpc/echo authenticated off', 'method, path and role');
is($echo->{json}{cookie}, '1', 'of two cookies of one name the first counts');
like($layer->call('GET', '/me', as => 'ann')->{headers}{'x-request-id'}, qr/^[0-9a-f-]{36}$/, 'who sends no id gets one');
like($layer->call('POST', '/rpc/echo', as => 'ann', json => {}, Traceparent => 'x')->{json}{traceparent}, qr/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/, 'who has no trace begins one');
is($layer->call('GET', '/rpc/echo_stable', as => 'ann')->{json}{read_only}, 'on', 'GET is READ ONLY');
is($layer->call('GET', '/rpc/echo', as => 'ann')->{status}, 405, 'so a function that writes is not for GET');

# Functions of every kind of result.
is("$_->{status} " . ($_->{text} // ''), '204 ', 'void is no content') foreach $layer->call('GET', '/rpc/nothing', as => 'ann');
is($layer->call('GET', '/rpc/twice?n=3', as => 'ann')->{text}, '[3,3]', 'a set of scalars');
is_deeply($layer->call('GET', '/rpc/one?a=1&b=x&c={7,8}&d={"k":"v"}' =~ s/"/%22/gr, as => 'ann')->{json}, { x => 'x7v', y => 1 }, 'OUT parameters, arrays and JSON by GET');
is_deeply($layer->call('POST', '/rpc/one', as => 'ann', json => { a => 1, c => [7], d => { k => 'v' } })->{json}, { x => 'b7v', y => 1 }, 'and by POST');
is($layer->call('GET', '/rpc/twice?n=x', as => 'ann')->{status}, 400, 'a bad argument');
is($layer->call('POST', '/rpc/bad_header', as => 'ann', json => {})->{status}, 500, 'a function that breaks the answer is told so');

# Its own paths.
is($layer->call('GET', '/livez')->{json}{status}, 'alive', 'the process');
is($layer->call('GET', '/readyz')->{json}{status}, 'ready', 'the database');
my $described = $layer->call('GET', '/openapi.json');
is($described->{json}{openapi}, '3.1.0', 'the description');
is($layer->call('GET', '/openapi.json', 'If-None-Match' => $described->{headers}{etag})->{status}, 304, 'which is not sent again');
is_deeply($described->{json}{components}{schemas}{new_tasks}{required}, [ 'project_id', 'title' ], 'what must be sent');
ok(exists $described->{json}{paths}{$_}, "path $_") foreach ('/tasks/{key}', '/projects/{key}/tasks', '/rpc/my_tasks', '/deleted_tasks/{key}');
ok(!exists $described->{json}{paths}{'/me/{key}'}{delete}, 'and no method that is none');
unlike($described->{text}, qr/password_hash|not shown/, 'nothing private');
my @refs = $described->{text} =~ /"\$ref":"#\/([^"]*)"/g;
my %missing;
foreach my $ref (@refs)
{
	my $there = $described->{json};
	$there = ref $there eq 'HASH' ? $there->{$_} : undef foreach split m{/}, $ref;
	$missing{$ref} = 1 unless $there;
}
is_deeply(\%missing, {}, 'every reference leads somewhere');
my %ids;
$ids{$_}++ foreach map { my $path = $_; map { $_->{operationId} } grep { ref eq 'HASH' && $_->{operationId} } values %$path } values %{ $described->{json}{paths} };
is_deeply([ grep { $ids{$_} > 1 } keys %ids ], [], 'every operation has a name of its own');

# What always answers 403 is served, with its reason, and not offered: neither in Allow nor in the description, nor are columns that no role may write.
my $members = $described->{json}{paths};
$layer->is_problem($layer->call('POST', '/members', as => 'ann', json => { project_id => $p, account_id => $layer->{id}{bob} }), 403, 'forbidden', 'nobody makes a member');
is_deeply([ map { exists $members->{$_}{post} || exists $members->{$_}{put} } '/members', '/members/{key}', '/projects/{key}/members', '/users/{key}/members' ], [ ('') x 4 ], 'so it is not offered');
is($layer->call('OPTIONS', '/members')->{headers}{allow}, 'GET, HEAD, PATCH, DELETE, OPTIONS', 'nor in Allow');
ok(!exists $described->{json}{components}{schemas}{new_members}, 'nothing is made of it');
is_deeply([ sort keys %{ $described->{json}{components}{schemas}{$_->[0]}{properties} } ], $_->[1], "$_->[0]: columns that can be") foreach ([ 'changed_members', ['role'] ], [ 'changed_users', [ 'display_name', 'email' ] ], [ 'changed_deleted_tasks', ['deleted_at'] ]);
# What is offered is what taskapi.resources says, of each of the task API's.
my %actions = map { my ($name, $actions, $trash) = split /\|/; ($name => [ $actions, $trash ]) } split /\n/, $layer->sql(q{SET ROLE authenticated; SELECT resource, actions, deleted_resource FROM taskapi.resources});
ok(keys %actions >= 6, 'there are some');
foreach my $resource (sort keys %actions)
{
	my ($actions, $trash) = @{ $actions{$resource} };
	my @wanted = (($actions =~ /[{,]read\b/ ? 'get' : ()), ($actions =~ /create/ ? 'post' : ()), ($actions =~ /update/ ? 'patch' : ()), ($actions =~ /[{,]delete/ ? 'delete' : ()));
	is_deeply([ grep { exists $members->{"/$resource"}{$_} } qw(get post patch delete) ], \@wanted, "/$resource: @wanted");
	is(exists $members->{"/$resource/{key}"}{put}, $actions =~ /create.*update/ ? 1 : '', "/$resource: replaced or not");
	next unless $trash;
	@wanted = (($actions =~ /read_deleted/ ? 'get' : ()), ($actions =~ /restore/ ? 'patch' : ()), ($actions =~ /purge/ ? 'delete' : ()));
	is_deeply([ grep { exists $members->{"/$trash"}{$_} } qw(get post patch delete) ], \@wanted, "/$trash: @wanted");
}

# What no policy is about always answers 403, too.
$layer->change(q{CREATE TABLE public.fish (id int PRIMARY KEY, name text); SELECT taskapi.expose('public.fish', 'api', 'fishes'); SELECT taskapi.grant_resource('api.fishes', 'authenticated');
	ALTER TABLE public.fish ENABLE ROW LEVEL SECURITY; CREATE POLICY seen ON public.fish FOR SELECT USING (true); CREATE POLICY made ON public.fish FOR INSERT WITH CHECK (true)});
is($layer->call('OPTIONS', '/fishes/1')->{headers}{allow}, 'GET, HEAD, OPTIONS', 'a table without policies to change it');
is($layer->call('POST', '/fishes', as => 'ann', json => { id => 1, name => 'cod' })->{status}, 201, 'one is made');
$layer->is_problem($layer->call('PATCH', '/fishes/1', as => 'ann', json => { name => 'eel' }), 403, 'forbidden', 'and cannot be changed');

# An empty array below a parent, if the path has said all that a role may write.
$layer->change(q{CREATE TABLE public.tank (id int PRIMARY KEY); CREATE TABLE public.stone (id int PRIMARY KEY DEFAULT 1, tank_id int NOT NULL REFERENCES public.tank);
	SELECT taskapi.expose('public.tank', 'api', 'tanks'), taskapi.expose('public.stone', 'api', 'stones');
	SELECT taskapi.grant_resource('api.tanks', 'authenticated'), taskapi.grant_resource('api.stones', 'authenticated', '{read}');
	GRANT INSERT (tank_id) ON public.stone, api.stones TO authenticated; INSERT INTO public.tank VALUES (1)});
$answer = $layer->call('POST', '/tanks/1/stones', as => 'ann', json => []);
is("$answer->{status} $answer->{text}", '201 []', 'no row below a parent');
is($layer->call('POST', '/tanks/1/stones', as => 'ann', json => {})->{status}, 201, 'and one');
is(scalar @{ $layer->call('GET', '/tanks/1/stones', as => 'ann')->{json} }, 1, 'which is all that is there');

# A table that is exposed meanwhile, and one that goes. Both are told to the gateway by the function that does it.
$layer->sql(q{CREATE TABLE public.plant (id int PRIMARY KEY, name text NOT NULL); SELECT taskapi.expose('public.plant', 'api', 'plants'); SELECT taskapi.grant_resource('api.plants', 'authenticated')});
ok(Layer::eventually(sub { $layer->call('GET', '/plants', as => 'ann')->{status} == 200 }), 'a new resource is served');
$layer->taken_in;
is($layer->call('POST', '/plants', as => 'ann', json => { id => 1, name => 'fern' })->{status}, 201, 'and written to');
$layer->sql(q{SELECT taskapi.unexpose('api.plants')});
ok(Layer::eventually(sub { $layer->call('GET', '/plants', as => 'ann')->{status} == 404 }), 'and gone when it is not exposed any more');
$layer->taken_in;
ok(!exists $layer->call('GET', '/openapi.json')->{json}{paths}{'/plants'}, 'from the description, too');

# ALTER ROLE ... SET of what the role may not set, and of a value that is not good, fails no request; the rest of it counts.
$layer->sql(q{
	ALTER ROLE authenticated SET taskapi.log_slow_request = '1h';
	ALTER ROLE authenticated SET default_tablespace = 'gone';
	ALTER ROLE authenticated SET role = 'anonymous';
	ALTER ROLE authenticated SET work_mem = '9MB';
	CREATE FUNCTION api.settings() RETURNS json LANGUAGE sql STABLE AS $$
		SELECT json_build_array(current_user, current_setting('work_mem'), current_setting('taskapi.log_slow_request'), current_setting('default_tablespace')) $$;
	GRANT EXECUTE ON FUNCTION api.settings() TO authenticated});
$layer->start_gateway;
my $seen = $layer->call('GET', '/rpc/settings', as => 'ann');
is_deeply($seen->{json}, [ 'authenticated', '9MB', '-1', '' ], 'of the settings of a role those hold that it may set') or diag($seen->{text});

# Faults of the server that have the SQLSTATE of a client's.
my $told = sub {
	my ($sqlstate, $file, $text, $anonymous) = @_;
	return qx{node -p 'require("$FindBin::RealBin/../../examples/gateway/problem.js").problemOf(Object.assign(new Error("$text"), {code: "$sqlstate", file: "$file"}), ${\($anonymous ? 'true' : 'false')}).status'} =~ s/\s//gr;
};
is($told->(@$_[ 0, 1 ], $_->[3] // 'x'), $_->[2], "$_->[0] of $_->[1]: " . ($_->[3] // '')) foreach (
	[ '54000', 'varsup.c', 503 ], [ '54000', 'nbtutils.c', 413 ], [ '42501', 'md.c', 503, 'konnte Datei nicht öffnen: Keine Berechtigung' ], [ '42501', 'aclchk.c', 403, 'permission denied for table x' ],
	[ '42501', 'dfmgr.c', 503, 'could not access file x: Permission denied' ], [ '42501', 'genfile.c', 503, 'could not open file x for reading: Read-only file system' ],
	[ '42501', 'genfile.c', 403, 'absolute path not allowed' ], [ '42501', 'pl_exec.c', 403, 'not yours: Permission denied' ], [ '42501', 'execMain.c', 403, 'new row violates row-level security policy for table x' ]);
is($told->('42501', 'md.c', 'x', 1), 503, 'and a caller without credentials is not asked for them');

# The real ones: of COPY and of a file that is read, by functions whose owner may do that, and of a table's file.
$layer->change(q{
	CREATE FUNCTION api.copies() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN COPY (SELECT 1) TO '/nobody/may/write'; END $$;
	CREATE FUNCTION api.copies_away() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN COPY (SELECT 1) TO '/proc/version'; END $$;
	CREATE FUNCTION api.reads() RETURNS text LANGUAGE sql STABLE SECURITY DEFINER AS $$ SELECT pg_read_file('/proc/1/mem') $$;
	CREATE FUNCTION api.reads_as_caller() RETURNS text LANGUAGE sql STABLE AS $$ SELECT pg_read_file('/etc/hostname') $$;
	GRANT EXECUTE ON FUNCTION api.copies, api.copies_away, api.reads, api.reads_as_caller TO authenticated});
SKIP:
{
	skip 'root may write any file', 2 if $> == 0;
	is($layer->call('POST', '/rpc/copies_away', as => 'ann', json => {})->{status}, 503, 'a file that COPY may not write is no fault of the client');
	is($layer->call('GET', '/rpc/reads', as => 'ann')->{status}, 503, 'nor one that a function may not read');
}
is($layer->call('POST', '/rpc/copies', as => 'ann', json => {})->{status}, 500, 'nor one that is not there');
is($layer->call('GET', '/rpc/reads_as_caller', as => 'ann')->{status}, 403, 'a function that the caller may not call is its own');

done_testing();
