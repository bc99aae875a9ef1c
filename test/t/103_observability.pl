# What examples/observability says can be used as it stands: its queries run as a member of pg_monitor, postgres_exporter exports each metric that a rule or the dashboard names, each rule fires on figures that are wrong and on no others, and the runbook has a chapter for each.
use strict;
use warnings;
use FindBin;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::RealBin/../..";
my $here = "$top/examples/observability";
my ($queries, $rules, $tests) = map { slurp_file("$here/$_") } 'queries.yaml', 'rules.yml', 'rules_test.yml';
my $dashboard = decode_json(slurp_file("$here/dashboard.json"));
my @alerts = $rules =~ /^      - alert: (\w+)$/mg;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION taskapi;
	CREATE ROLE exporter LOGIN IN ROLE pg_monitor;
	CREATE SCHEMA shop;
	CREATE TABLE shop.orders (id int PRIMARY KEY, total int NOT NULL);
	INSERT INTO shop.orders SELECT n, n FROM generate_series(1, 100) n;
	SELECT taskapi.expose('shop.orders', 'shop_api');
	SELECT taskapi.page('shop.orders', 'total', 5)});

# Each query, by itself: its columns are those that are described
my %exported;    # without an exporter: what it would export
sub check_queries
{
	my ($when) = @_;
	while ($queries =~ /^(\w+):\n  query: (?:\|\n((?:    .*\n)+)|(.*)\n)  metrics:\n((?:    - .*\n)+)/mg)
	{
		my ($key, $sql, $metrics) = ($1, $2 // $3, $4);
		my %usage = $metrics =~ /^    - (\w+): \{usage: (\w+)/mg;
		my ($rc, $out, $err) = $node->psql('postgres', $sql, extra_params => [ '-U', 'exporter', '-P', 'tuples_only=off', '-P', 'footer=off' ]);
		is($err, '', "$key runs as a member of pg_monitor, $when");
		is(join(' ', sort split /\|/, (split /\n/, $out)[0]), join(' ', sort keys %usage), "$key: each column is described, $when");
		$exported{"${key}_$_"} = 1 foreach grep { $usage{$_} =~ /COUNTER|GAUGE/ } keys %usage;
		foreach my $histogram (grep { $usage{$_} eq 'HISTOGRAM' } keys %usage) { $exported{"${key}_${histogram}_$_"} = 1 foreach 'bucket', 'sum', 'count' }
	}
}
check_queries('in a new database');
$node->safe_psql('postgres', q{SELECT taskapi.create_outbox(); SELECT taskapi.create_consumer_group('mail', ARRAY['order'])});
$node->safe_psql('postgres', q{SELECT taskapi.publish('order', '7', '{}')});
$node->safe_psql('postgres', 'CALL taskapi.maintain()');
foreach my $n (1 .. 3)
{
	$node->psql('postgres', q{BEGIN; SELECT set_config('request.method', 'GET', true), set_config('request.path', '/orders', true); SELECT taskapi.pre_request(); } . ($n == 3 ? 'SELECT 1/0' : 'COMMIT'));
}
check_queries('in one that is used');
cmp_ok($node->safe_psql('postgres', 'SELECT now() - finished_at < interval $$1 hour$$ FROM taskapi.maintenance', extra_params => [ '-U', 'exporter' ]), 'eq', 't', 'maintain() writes down when it ended');

# What rules and dashboard name is exported
my %named = map { $_ => 1 } $rules =~ /\b(taskapi_[a-z_]+)\b(?=[\[{ )>])/g;
my @panels = map { @{ $_->{targets} // [] } } @{ $dashboard->{panels} };
cmp_ok(scalar @panels, '>', 8, 'the dashboard has panels');
$named{$_} = 1 foreach map { $_->{expr} =~ /\b(taskapi_[a-z_]+)\b/g } @panels;
delete $named{$_} foreach grep { /^taskapi_(requests|limits|idempotency|outbox|server)$/ } keys %named;    # groups of rules
foreach my $name (sort keys %named) { ok($exported{$name}, "$name is exported") }
cmp_ok(scalar keys %named, '>', 15, 'names were found');

# Each alert: tested both ways, and in the runbook
my $runbook = slurp_file("$top/docs/operations.md");
cmp_ok(scalar @alerts, '>', 15, 'alerts were found');
foreach my $alert (@alerts)
{
	like($tests, qr/- name: \Q$alert\E fires$/m, "$alert: figures by which it fires");
	like($tests, qr/- name: \Q$alert\E does not fire$/m, "$alert: and by which it does not");
	my ($chapter) = $runbook =~ /^#### \Q$alert\E\n(.*?)(?=^#|\z)/ms;
	like($chapter // '', qr/```sql\n.*```/s, "$alert: the runbook has a query");
	like($rules, qr/- alert: \Q$alert\E\n(?:(?!      - ).*\n)*?.*runbook: "docs\/operations\.md#\L$alert\E"/, "$alert: it says where the runbook is");
	foreach my $sql (($chapter // '') =~ /```sql\n(.*?)```/sg)
	{
		next if $sql =~ /:'?\w+|\.\.\./;    # to be filled in
		my ($rc, $out, $err) = $node->psql('postgres', "BEGIN; $sql; ROLLBACK");
		is($rc, 0, "$alert: which runs") || diag($err);
	}
}

# A setting is changed as the runbook says, in a session that has not loaded the library, and counts in one that has
my ($change) = $runbook =~ /^## A setting, changed in use\n\n```sql\n(.*?)```/ms;
my $pooled = $node->background_psql('postgres');
is($pooled->query_safe('SELECT count(*) FROM taskapi.problems(); SHOW taskapi.log_slow_request') =~ s/.*\n//sr, '-1', 'a session of the pool');
is($node->psql('postgres', $change // 'SELECT 1/0'), 0, 'a setting is changed');
my $counts = '';
for (1 .. 1800) { last if ($counts = $pooled->query_safe('SHOW taskapi.log_slow_request')) eq '1s'; select undef, undef, undef, 0.1; }
is($counts, '1s', 'and counts at once');
$node->safe_psql('postgres', ($change =~ s/SET (\S+) = \S+;/RESET $1;/r));
$pooled->quit;

# promtool
SKIP:
{
	skip 'there is no promtool', 1 unless $ENV{PROMTOOL};
	my $copy = PostgreSQL::Test::Utils::tempdir();
	append_to_file("$copy/rules_test.yml", $tests);
	my $run = sub {
		my ($text) = @_;
		unlink "$copy/rules.yml";
		append_to_file("$copy/rules.yml", $text);
		my ($out, $err);
		my $ok = IPC::Run::run([ $ENV{PROMTOOL}, 'test', 'rules', "$copy/rules_test.yml" ], '>', \$out, '2>', \$err);
		return ($ok, $out . $err);
	};
	command_ok([ $ENV{PROMTOOL}, 'check', 'rules', "$here/rules.yml" ], 'promtool takes the rules');
	my ($ok, $out) = $run->($rules);
	ok($ok, 'and each fires when it should') || diag($out);

	# all expressions at once are what is always true, or never: then each test of one kind fails, and none of the other
	foreach my $broken ([ 'vector(1)', 'does not fire', 'fires' ], [ 'vector(1) < 0', 'fires', 'does not fire' ])
	{
		(my $text = $rules) =~ s/^(      - alert: \w+\n        expr: )(?:\|\n(?:          .*\n)+|.*\n)/$1$broken->[0]\n/mg;
		($ok, $out) = $run->($text);
		is(scalar(() = $out =~ /^\s*name: \w+ \Q$broken->[1]\E,?$/mg), scalar @alerts, "with $broken->[0] for every rule each test that it $broken->[1] fails");
	}
}

# postgres_exporter
SKIP:
{
	skip 'there is no postgres_exporter', 1 unless $ENV{POSTGRES_EXPORTER};
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	local $ENV{DATA_SOURCE_NAME} = 'host=' . $node->host . ' port=' . $node->port . ' user=exporter dbname=postgres sslmode=disable';
	my ($in, $log) = ('', '');
	# its own collectors are not the same in all versions
	my $help = (run_command([ $ENV{POSTGRES_EXPORTER}, '--help' ]))[0] . (run_command([ $ENV{POSTGRES_EXPORTER}, '--help' ]))[1];
	my @without = map { $help =~ /collector\.$_\b/ ? "--no-collector.$_" : () } qw(database bgwriter);
	my $exporter = IPC::Run::start([ $ENV{POSTGRES_EXPORTER}, '--disable-default-metrics', '--disable-settings-metrics', @without,
		"--extend.query-path=$here/queries.yaml", "--web.listen-address=127.0.0.1:$port" ], '<', \$in, '>&', \$log);
	my $text = '';
	foreach (1 .. 1800)
	{
		my $answer = HTTP::Tiny->new(timeout => 180)->get("http://127.0.0.1:$port/metrics");
		$text = $answer->{content} if $answer->{success};
		last if $text =~ /^taskapi_/m;
		select undef, undef, undef, 0.1;
		$exporter->pump_nb;
	}
	my %there = map { $_ => 1 } $text =~ /^(taskapi_\w+)/mg;
	foreach my $name (sort keys %named) { ok($there{$name}, "the exporter has $name") || diag($log) }
	my ($labels) = $text =~ /^taskapi_request_duration_seconds_count\{([^}]*status="2xx"[^}]*)\} 2$/m;
	like($labels // '', qr/method="GET",route="\/orders"/, 'requests are counted by method, route and status');
	like($text, qr/^taskapi_request_duration_seconds_bucket\{[^}]*status="2xx"[^}]*le="\+Inf"\} 2$/m, 'in a histogram');
	like($text, qr/^taskapi_request_duration_seconds_bucket\{[^}]*le="2.097152"\} \d+$/m, 'with the bounds of request_buckets()');
	like($text, qr/^taskapi_request_duration_seconds_count\{[^}]*status="4xx"[^}]*\} 1$/m, 'errors too');
	like($text, qr/^taskapi_unbounded_pages_total\{order_by="total, id"[^}]*source="shop.orders"\} 1$/m, 'a page without an index');
	like($text, qr/^taskapi_outbox_behind\{consumer_group="mail"[^}]*\} 1$/m, 'the outbox');
	$exporter->signal('TERM');
	$exporter->finish;
}
$node->stop;
done_testing();
