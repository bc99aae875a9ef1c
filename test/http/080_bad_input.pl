# Bytes that are no request, or a hostile one: smuggled, split, long, broken, slow. Each gets a right status and a closed connection, none a
# 5xx, and the next caller is served.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../postgrest";
use IO::Select;
use IO::Socket::INET;
use Layer;
use Test::More;
use Time::HiRes 'time';

# so long that no request of this test is one that is slow
my @patient = (HEADERS_TIMEOUT_MS => 600000, REQUEST_TIMEOUT_MS => 600000);
my $layer = Layer->task_api('bad_input', '', undef, @patient, KEEP_ALIVE_MS => 1000, MAX_BODY => 65536);
my $gateway = $layer->only('gateway');
my ($host, $port) = $layer->{base} =~ m{//(.*):(\d+)};
my $token = $layer->token('ann');
my $p = $layer->one($layer->call('POST', '/projects', as => 'ann', json => { name => 'Garden' }, Prefer => 'return=representation'))->{id};
my $auth = "Host: x\r\nAuthorization: Bearer $token\r\n";
my $json = "Content-Type: application/json\r\n";

sub connected { return IO::Socket::INET->new(PeerAddr => $host, PeerPort => $_[0] // $port, Timeout => 180) // die "connect: $!" }

# received(SOCKET): all that comes until the other side closes; "STILL OPEN" in front if it does not.
sub received
{
	my ($socket) = @_;
	my ($all, $until) = ('', time + 180);
	my $select = IO::Select->new($socket);
	while ((my $left = $until - time) > 0)
	{
		last unless $select->can_read($left);
		my $n = sysread $socket, my $part, 65536;
		return $all unless $n;
		$all .= $part;
	}
	return "STILL OPEN $all";
}

# raw(BYTES...): what comes back for them, sent apart.
sub raw
{
	my $socket = connected();
	local $SIG{PIPE} = 'IGNORE';
	foreach (@_) { last unless syswrite $socket, $_; select undef, undef, undef, 0.05 if @_ > 1; }
	return received($socket);
}
sub statuses { return join q{ }, $_[0] =~ m{HTTP/1\.[01] (\d+) [A-Z]}g }

my $get = "GET /projects?select=name HTTP/1.1\r\n$auth\r\n";
like(raw("GET /projects?select=name HTTP/1.1\r\n${auth}Connection: close\r\n\r\n"), qr/Garden/, 'a good request');
is(statuses(raw($get . $get . "GET /projects HTTP/1.1\r\n${auth}Connection: close\r\n\r\n")), '200 200 200', 'three in a row on one connection');

# What a parser in front and ours could read as two different requests.
my @smuggled = (
	[ "POST /projects HTTP/1.1\r\n$auth${json}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n", 'Content-Length and Transfer-Encoding' ],
	[ "POST /projects HTTP/1.1\r\n$auth${json}Content-Length: 4\r\nContent-Length: 40\r\n\r\n{}  GET /smuggled HTTP/1.1\r\n\r\n", 'two Content-Lengths' ],
	[ "POST /projects HTTP/1.1\r\n$auth${json}Content-Length: +4\r\n\r\n{}  ", 'a Content-Length with a sign' ],
	[ "POST /projects HTTP/1.1\r\n$auth${json}Content-Length: 0x4\r\n\r\n{}  ", 'a Content-Length in hex' ],
	[ "POST /projects HTTP/1.1\r\n$auth${json}Content-Length: 99999999999999999999\r\n\r\n{}  ", 'a Content-Length beyond 64 bits' ],
	[ "POST /projects HTTP/1.1\r\n$auth${json}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 'another Transfer-Encoding' ],
	[ "POST /projects HTTP/1.1\r\n$auth${json}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 'chunked that is not last' ],
	[ "POST /projects HTTP/1.1\r\n$auth${json}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", 'a chunk of no size' ],
	[ "POST /projects HTTP/1.1\r\n$auth${json}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}\r\n0\r\n\r\n", 'a chunk of a size beyond 64 bits' ],
	[ "GET /projects HTTP/1.1\r\n${auth}X-A: b\r\n c: folded\r\n\r\n", 'a folded header' ],
	[ "GET /projects HTTP/1.1\r\n${auth}X A: b\r\n\r\n", 'a space in a header name' ],
	[ "GET /projects HTTP/1.1\r\n${auth}Content-Length : 5\r\n\r\n", 'a space before the colon' ],
	[ "GET /projects HTTP/1.1\r\n${auth}X-A: a\0b\r\n\r\n", 'a NUL in a header' ],
	[ "GET /projects HTTP/1.1\r\n${auth}X-A: a\rX-B: c\r\n\r\n", 'a bare CR in a header' ],
	[ "GET /projects HTTP/9.1\r\n$auth\r\n", 'a version that is none' ],
	[ "GET /pro jects HTTP/1.1\r\n$auth\r\n", 'a space in the target' ],
	[ "GET  HTTP/1.1\r\n$auth\r\n", 'no target' ],
	[ "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 'TLS' ], [ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 'HTTP/2' ], [ "\0" x 2000, 'zeros' ], [ "x" x 2000, 'letters' ]);
foreach ($gateway ? @smuggled : ())    # PostgREST's server has rules of its own
{
	my ($bytes, $name) = @$_;
	my $answer = raw($bytes);
	like(statuses($answer), qr/^(400|413|431|505)$/, "$name: one refusal") or diag(substr $answer, 0, 300);
	unlike($answer, qr/STILL OPEN|smuggled/, "$name: and the end");
}
is(statuses(raw("GET /projects HTTP/1.1\r\nAuthorization: Bearer $token\r\n\r\n")), '400', 'no Host') if $gateway;
is($layer->sql('SELECT count(*) FROM tasks.project'), 1, 'nothing of it was done');

# Headers that others would believe.
foreach ([ 'X-HTTP-Method-Override' => 'DELETE' ], [ 'X-Original-URL' => '/users' ], [ 'X-Forwarded-Host' => 'evil.example' ], [ 'Forwarded' => 'for=1.2.3.4' ], [ 'Request.Jwt.Claims' => '{"role":"postgres"}' ])
{
	is($layer->call('GET', '/projects?select=name', as => 'ann', @$_)->{text} =~ s/\s//gr, '[{"name":"Garden"}]', "$_->[0] changes nothing");
}
my $injected = raw("GET /rpc/my_tasks?page_token=x%0d%0aSet-Cookie:%20a=b HTTP/1.1\r\n${auth}X-Request-Id: a\tb\r\nConnection: close\r\n\r\n");
unlike($injected, qr/^Set-Cookie/mi, 'no header is injected by a query');
unlike($injected, qr/x-request-id: a\tb/i, 'nor by a request id');
my $twice = raw("GET /projects HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nAuthorization: Bearer $token\r\nConnection: close\r\n\r\n");
is(statuses($twice), '401', 'of two credentials, the first counts') if $gateway;

# Long ones.
foreach ([ 'GET /projects?name=eq.' . 'x' x 100_000, 'a long URL' ], [ 'GET /' . 'x/' x 50_000, 'a long path' ])
{
	my $answer = raw("$_->[0] HTTP/1.1\r\n${auth}Connection: close\r\n\r\n");
	like(statuses($answer), qr/^4\d\d$/, $_->[1]) if $gateway;
}
like(statuses(raw("GET /projects HTTP/1.1\r\n$auth" . "X-A: y\r\n" x 5000 . "Connection: close\r\n\r\n")), qr/^431$/, 'many headers') if $gateway;
like(statuses(raw("GET /projects HTTP/1.1\r\n${auth}Cookie: " . 'a=b; ' x 10_000 . "\r\nConnection: close\r\n\r\n")), qr/^431$/, 'a long cookie') if $gateway;
is($layer->call('GET', '/projects?name=eq.' . 'x' x 8000, as => 'ann')->{text}, '[]', 'a filter of 8 kB is none too long');
is($layer->call('GET', '/projects?name=in.(' . join(',', 1 .. 1500) . ')', as => 'ann')->{text}, '[]', 'nor a list of 1,500');

# Bodies.
if ($gateway)
{
	$layer->is_problem($layer->call('POST', '/projects', as => 'ann', json => '{"name":"' . 'x' x 70_000 . '"}'), 413, 'body_too_large', 'a large body');
	my $chunk = sprintf "%x\r\n%s\r\n", 30_000, 'x' x 30_000;
	like(statuses(raw("POST /projects HTTP/1.1\r\n$auth${json}Transfer-Encoding: chunked\r\n\r\n", ($chunk) x 4)), qr/^413$/, 'a large one in chunks');
	is(statuses(raw("POST /projects HTTP/1.1\r\n$auth${json}Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")) =~ s/^100 //r, '413', 'one that asks before');
	foreach my $type ('text/plain', 'application/xml', 'multipart/form-data; boundary=x', 'application/json; charset=latin1', 'application/jsonp', '')
	{
		$layer->is_problem($layer->call('POST', '/projects', as => 'ann', json => '{"name":"x"}', 'Content-Type' => $type), 415, 'unsupported_media_type', "Content-Type '$type'");
	}
	$layer->is_problem($layer->call('POST', '/projects', as => 'ann', json => '{"name":"x"}', 'Content-Encoding' => 'gzip'), 415, 'unsupported_media_type', 'Content-Encoding');
	$layer->is_problem($layer->call('GET', '/projects', as => 'ann', Accept => 'text/csv'), 406, 'not_acceptable', 'an Accept that cannot be met');
	is($layer->call('PATCH', "/projects/$p", as => 'ann', json => '[{"op":"replace"}]', 'Content-Type' => 'application/json-patch+json')->{status}, 415, 'JSON Patch');
}
# PostgREST takes what is no object for an empty one.
foreach ($gateway ? ('null', '1', '"x"') : (), '', '[1]', '[null]', '[[]]', '{"name":', '{"name":"x"}}', '{"name":"x",}', '{\'name\':1}', "{\"name\":\"a\0b\"}", '{"name":"a\u0000b"}', '{"name":"\ud800"}', "{\"name\":\"\xff\"}", "\xef\xbb\xbf{}", '{"name":NaN}', '[' x 5000, '{"a":' x 5000)
{
	my $answer = $layer->call('POST', '/projects', as => 'ann', json => $_, 'Content-Type' => 'application/json');
	is($answer->{status}, 400, 'body ' . (length > 20 ? substr($_, 0, 20) . '...' : $_) =~ s/[^ -~]/?/gr) or diag($answer->{text});
}
is($layer->call('POST', '/projects', as => 'ann', json => '{"__proto__": {"name": "x"}, "name": "y"}')->{status}, 400, '__proto__ is a column that is not there');
is($layer->call('POST', '/projects', as => 'ann', json => '{"name\" = 1; --": "x"}')->{status}, 400, 'nor a name that closes a quote');
is($layer->call('GET', '/projects?name%22;--=eq.x', as => 'ann')->{status}, 400, 'in a filter neither');
is($layer->call('GET', '/projects?order=name%22;--', as => 'ann')->{status}, 400, 'nor in an order');
is($layer->call('GET', '/projects?name=eq.a%00b', as => 'ann')->{status}, 400, 'a NUL in a filter') if $gateway;    # PostgREST cuts it off there
is($layer->sql('SELECT count(*) FROM tasks.project'), 1, 'nothing was written');

# Methods.
if ($gateway)
{
	my $refused = $layer->call('PUT', '/me', as => 'ann', json => {});
	$layer->is_problem($refused, 405, 'method_not_allowed', 'a method that is none of the resource');
	is($refused->{headers}{allow}, 'GET, HEAD, OPTIONS', 'and those that are');
	is($layer->call($_, '/projects', as => 'ann')->{status}, 405, "$_ neither") foreach qw(TRACE PROPFIND SEARCH);
	is(statuses(raw("FOO /projects HTTP/1.1\r\n$auth\r\n")), '400', 'nor a method that is no method');
	is($layer->call('OPTIONS', "/projects/$p")->{headers}{allow}, 'GET, HEAD, PUT, PATCH, DELETE, OPTIONS', 'OPTIONS tells');
	is(statuses(raw("GET http://evil.example/projects HTTP/1.1\r\n${auth}Connection: close\r\n\r\n")), '400', 'the target of a proxy');
	is(statuses(raw("OPTIONS * HTTP/1.1\r\n${auth}Connection: close\r\n\r\n")), '400', 'or of none');
	like(raw("CONNECT evil.example:443 HTTP/1.1\r\n$auth\r\n"), qr/^(|HTTP\/1.1 [45].*)$/s, 'CONNECT connects nothing');
	is(statuses(raw("GET /projects HTTP/1.1\r\n${auth}Upgrade: websocket\r\nConnection: upgrade\r\n\r\n")), '200', 'an upgrade is not made');
}

# Slow and half ones.
if ($gateway)
{
	# Beside it, a gateway whose time is short. Those of the other one are as slow, and as old.
	my $hasty = Layer->beside($layer->{node}, 'gateway', 'bad_input_hasty', HEADERS_TIMEOUT_MS => 2000, REQUEST_TIMEOUT_MS => 3000, KEEP_ALIVE_MS => 1000);
	my ($short) = $hasty->{base} =~ /:(\d+)$/;
	my %slow = (
		'a header that never ends' => "GET /projects HTTP/1.1\r\nHost: x\r\nX-A: ",
		'a body that never comes' => "POST /projects HTTP/1.1\r\n$auth${json}Content-Length: 100\r\n\r\n{\"name\":",
		'a connection that says nothing' => '');
	my %other = map { $_ => connected() } keys %slow;
	my %socket = map { $_ => connected($short) } keys %slow;
	foreach my $sockets (\%other, \%socket) { syswrite $sockets->{$_}, $slow{$_} foreach grep { length $slow{$_} } keys %slow }
	is(statuses(received($socket{$_})), '408', $_) foreach sort keys %slow;
	is(scalar(my @ended = IO::Select->new(values %other)->can_read(0)), 0, 'because of the time that is set');
	$hasty->stop;
	my $idle = connected();
	syswrite $idle, $get;
	unlike(received($idle), qr/STILL OPEN/, 'an idle connection is closed');

	my $half = connected();
	syswrite $half, $get;
	shutdown $half, 1;
	my $answer = received($half);
	is(statuses($answer), '200', 'who closes one side after the request is answered');
	unlike($answer, qr/STILL OPEN/, 'and that is the end');
	$half = connected();
	syswrite $half, "POST /projects HTTP/1.1\r\n$auth${json}Content-Length: 100\r\n\r\n{\"name\":";
	shutdown $half, 1;
	$answer = received($half);
	like(statuses($answer), qr/^(400)?$/, 'who closes it within a request is not served');
	unlike($answer, qr/STILL OPEN/, 'and that is the end');
	is($layer->sql('SELECT count(*) FROM tasks.project'), 1, 'nothing was written');
}

is($layer->call('GET', '/projects?select=name', as => 'ann')->{status}, 200, 'the next caller is served');
ok(kill(0, $layer->{pid}), 'by the process of the beginning');
unlike(PostgreSQL::Test::Utils::slurp_file($layer->{log}), qr/internal_error|Unhandled|uncaught|at .*\.js:\d+/, 'which has no fault of its own to report') if $gateway;

done_testing();
