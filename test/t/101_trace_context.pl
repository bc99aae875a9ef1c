# A request's traceparent, or its id, is in each line of the log that it causes and nowhere after it; what is malformed is ignored; a slow request is one line that no client can forge.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "log_statement = none\nlog_line_prefix = '[%a] '\ntaskapi.trace_context = application_name\n");
$node->start;
$node->safe_psql('postgres', q{CREATE EXTENSION taskapi; CREATE TABLE public.tasks (id int PRIMARY KEY)});

my $parent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
my $trace = substr $parent, 3, 32;

sub begin
{
	my ($headers, %setting) = @_;
	%setting = ('request.method' => 'GET', 'request.path' => '/tasks', 'request.headers' => $headers, %setting);
	my $settings = join ', ', map { (my $v = $setting{$_}) =~ s/'/''/g; "set_config('$_', '$v', true)" } sort keys %setting;
	return "BEGIN; DO \$x\$ BEGIN PERFORM $settings, taskapi.pre_request(); END \$x\$;";
}
sub name_in
{
	my ($headers, %option) = @_;
	my $out = $node->safe_psql('postgres', begin($headers) . q{SHOW application_name; COMMIT; SHOW application_name}, %option);
	my ($during, $after) = split /\n/, $out;
	is($after, '100_trace', 'gone after ' . substr($headers, 0, 60));
	return $during;
}
local $ENV{PGAPPNAME} = '100_trace';
$node->append_conf('postgresql.conf', '');

# The form
is(name_in(qq{{"traceparent": "$parent"}}), $parent, 'a traceparent');
is(name_in(qq{{"traceparent": "$parent", "x-request-id": "abc-1"}}), $parent, 'comes before an id');
is(name_in(q{{"x-request-id": "3f2a:4_b.c-D"}}), '3f2a:4_b.c-D', 'an id');
is(name_in(qq{{"traceparent": "01${\ substr($parent, 2)}"}}), '01' . substr($parent, 2), 'a later version');
is(name_in(qq{{"traceparent": "cc${\ substr($parent, 2)}-more"}}), 'cc' . substr($parent, 2), 'which may have more');
foreach my $bad ('', '00', uc $parent, "$parent-more", "$parent ", " $parent", "cc${\ substr($parent, 2)}more", "ff${\ substr($parent, 2)}", "$parent, $parent",
	"00-" . '0' x 32 . '-b7ad6b7169203331-01', "00-0af7651916cd43dd8448eb211c80319c-" . '0' x 16 . '-01', $parent =~ s/-/_/r, $parent =~ s/0af/0ag/r, $parent =~ s/01$/0g/r,
	'0' x 55, 'x' x 100000, "00-\xc3\xa9" . substr $parent, 5)
{
	is(name_in(qq{{"traceparent": "$bad"}}), '100_trace', 'is none: ' . substr($bad, 0, 60));
}
foreach my $bad ('', 'a b', 'a,b', 'x' x 64, "\xc3\xa9", 'a\u000ab', '%s', "a'b")
{
	is(name_in(qq{{"x-request-id": "$bad"}}), '100_trace', 'no id: ' . substr($bad, 0, 60));
}
is(name_in(qq{{"traceparent": "no", "x-request-id": "abc"}}), 'abc', 'an id beside a bad traceparent');
is(name_in(qq{{"traceparent": null, "x-request-id": 7}}), '7', 'no strings');
is($node->safe_psql('postgres', "SET taskapi.trace_context = off;" . begin(qq{{"traceparent": "$parent"}}) . 'SHOW application_name'), '100_trace', 'off');
is($node->safe_psql('postgres', "SET taskapi.trace_context = pg_tracing;" . begin(qq{{"traceparent": "$parent"}}) . q{SELECT current_setting('pg_tracing.trace_context'), current_setting('application_name'); COMMIT; SELECT current_setting('pg_tracing.trace_context')}),
	"traceparent='$parent'|100_trace\n", 'for pg_tracing, and gone');

# The log
sub logged
{
	my ($sql) = @_;
	my $from = -s $node->logfile;
	$node->psql('postgres', $sql, on_error_stop => 0);
	# what a backend writes when it ends belongs to this, too
	$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()}) or die 'a backend does not end';
	my $log = slurp_file($node->logfile, $from);
	$log =~ s/^.*\b(checkpoint|autovacuum)\b.*\n//mg;
	return $log;
}
my $headers = qq{{"traceparent": "$parent"}};
like(logged(begin($headers) . 'SELECT 1/0; COMMIT; SELECT 1/0'), qr/^\Q[$parent]\E ERROR:  division by zero\n\Q[$parent]\E STATEMENT:.*\n\[100_trace\] ERROR:  division/, 'an error, and none after it');
like(logged(begin($headers) . q{SELECT taskapi.raise_problem('not_found'); COMMIT}), qr/^\Q[$parent]\E LOG:  refused GET \/tasks with 404 not_found\n$/, 'a refusal');
like(logged(begin($headers) . 'SET LOCAL log_min_duration_statement = 0; SELECT 42; COMMIT'), qr/^\Q[$parent]\E LOG:  duration: .* ms  statement: SELECT 42;$/m, 'a slow statement');
like(logged(begin($headers) . 'SAVEPOINT s; SELECT 1/0; ROLLBACK TO s; SELECT 1/0'), qr/^(\Q[$parent]\E ERROR:  division by zero\n\Q[$parent]\E STATEMENT:.*\n){2}$/, 'a savepoint keeps it');

# Slow requests
sub slow
{
	my ($sql) = @_;
	return logged("SET taskapi.log_slow_request = 0; $sql");
}
sub line { my ($line) = @_; return qr/^\[[^]]*\] LOG:  \Q$line\E\n$/ }
my $claims = '{"sub": "42", "role": "postgres"}';
my $all = qq{{"traceparent": "$parent", "x-request-id": "abc"}};
(my $got = slow(begin($all, 'request.jwt.claims' => $claims) . 'SELECT pg_sleep(0.01); COMMIT')) =~ s/ \d\d+ ms / N ms /;
like($got, line("GET /tasks 200 N ms subject=42 trace=$trace request=abc"), 'a line');
sub slow_without_time { (my $got = slow(@_)) =~ s/ \d+ ms/ N ms/; return $got }
like(slow_without_time(begin('{}') . 'COMMIT'), line('GET /tasks 200 N ms'), 'of an anonymous caller');
like(slow_without_time(begin('{}', 'request.method' => 'POST', 'request.path' => '/tasks?title=secret') . 'COMMIT'), line('POST /tasks 2xx N ms'), 'no query string');
like(slow_without_time(begin('{}', 'request.method' => 'POST') . 'SELECT taskapi.set_response_status(201); COMMIT'), line('POST /tasks 201 N ms'), 'a status');
like(slow_without_time("SET log_min_messages = log; SET taskapi.log_refusals = off;" . begin('{}') . q{SELECT taskapi.raise_problem('not_found')}), line('GET /tasks 404 N ms'), 'a problem');
like(slow_without_time(begin('{}') . 'ROLLBACK'), line('GET /tasks rolled back N ms'), 'a rollback');
like(slow_without_time("SET taskapi.trace_context = off;" . begin($all) . 'COMMIT'), line("GET /tasks 200 N ms trace=$trace request=abc"), 'a trace without trace_context');
like(slow_without_time(begin('{}', 'request.path' => "/a b\n[x] ERROR:  forged subject=7\t\x7f\"", 'request.jwt.claims' => '{"sub": "1 trace=2\n3", "role": "postgres"}') . 'COMMIT'),
	line('GET /a%20b%0A[x]%20ERROR:%20%20forged%20subject%3D7%09%7F%22 200 N ms subject=1%20trace%3D2%0A3'), 'no text of a client\'s makes a field or a line');
like(slow_without_time(begin('{}', 'request.path' => '/' . "\n" x 70000, 'request.method' => "X" x 1000, 'request.jwt.claims' => '{"sub": "' . '=' x 1024 . '", "role": "postgres"}') . 'COMMIT'),
	line('X' x 15 . ' /' . '%0A' x 199 . ' 2xx N ms subject=' . '%3D' x 200), 'nor a long one');
like(slow_without_time(begin('{}', 'request.path' => '/' . "\xc3\xa9" x 150) . 'COMMIT'), line('GET /' . "\xc3\xa9" x 99 . ' 200 N ms'), 'whole characters');
is(logged("SET taskapi.log_slow_request = '1h';" . begin('{}') . 'COMMIT'), '', 'a fast one is not logged');
is(logged(begin('{}') . 'COMMIT'), '', 'and none by default');

$node->safe_psql('postgres', 'CREATE ROLE app LOGIN');
foreach my $setting ('trace_context', 'log_slow_request')
{
	like(($node->psql('postgres', "SELECT count(*) FROM taskapi.problems(); SET taskapi.$setting = DEFAULT", extra_params => [ '-U', 'app' ]))[2], qr/permission denied to set parameter/, "only an administrator sets $setting");
}
$node->stop;
done_testing();
