# A library with another layout of shared memory is refused by an error, in each area, and takes nothing from the running one.
#
# A second library is built from these sources with other sizes. A session loads one of the two and never both, as after a new
# package was installed under a running server. Before layouts were compared, the second attached, and the server restarted
# on a stuck spinlock, or counted nonsense.
use strict;
use warnings;
use Cwd;
use File::Copy;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('layout');
$node->init;
$node->append_conf('postgresql.conf', "taskapi.rate_limit_max_keys = 1000\n");
$node->start;

# The libraries: one of other sizes, and one of the same under another name.
my $source = getcwd();
my $dir = PostgreSQL::Test::Utils::tempdir();
my $installed = $node->config_data('--pkglibdir') . '/taskapi.so';
mkdir "$dir/other";
# without what was compiled there already
system_or_bail('sh', '-c', "tar -C '$source' -cf - --exclude='*.o' --exclude='*.bc' src sql scripts Makefile taskapi.control | tar -C '$dir/other' -xf -");
my $made = system_log('make', '-s', '-C', "$dir/other", 'with_llvm=no', 'COPT=-O0',
	'PG_CONFIG=pg_config',
	'EXTRA_CPPFLAGS=-DTASKAPI_COUNTER_STRIPES=32 -DTASKAPI_DENIAL_ENTRIES=4 -DTASKAPI_KEY_USAGE_ENTRIES=6'
	  . ' -DTASKAPI_MAX_SERIES=512 -DTASKAPI_UNBOUNDED_ENTRIES=4 -DRATELIMIT_BUCKET_ENTRIES=40 -DRATELIMIT_BUCKET_SIZE=976',
	'taskapi.so');
is($made, 0, 'a library of another layout is built');
copy($installed, "$dir/same.so") or die $!;

$node->safe_psql('postgres', 'CREATE EXTENSION taskapi');
foreach my $library ('other/taskapi', 'same')
{
	my $name = $library =~ /other/ ? 'other' : 'same';
	$node->safe_psql(
		'postgres', qq{
		CREATE SCHEMA $name;
		CREATE FUNCTION $name.counters(OUT name text, OUT value bigint) RETURNS SETOF record
			LANGUAGE C AS '$dir/$library', 'taskapi_counters';
		CREATE FUNCTION $name.denied(OUT policy text, OUT subject text, OUT denied bigint, OUT error bigint, OUT last_denied_at timestamptz)
			RETURNS SETOF record LANGUAGE C AS '$dir/$library', 'taskapi_rate_limit_denied';
		CREATE FUNCTION $name.series(OUT method text, OUT route text, OUT status text, OUT requests bigint, OUT microseconds bigint, OUT buckets bigint[])
			RETURNS SETOF record LANGUAGE C AS '$dir/$library', 'taskapi_request_series';
		CREATE FUNCTION $name.unbounded(OUT source regclass, OUT order_by text, OUT pages bigint, OUT error bigint, OUT last_at timestamptz)
			RETURNS SETOF record LANGUAGE C AS '$dir/$library', 'taskapi_unbounded_page_counts';
		CREATE FUNCTION $name.usage() RETURNS TABLE (id uuid, used_at timestamptz) LANGUAGE C AS '$dir/$library', 'taskapi_api_key_usage';
		CREATE FUNCTION $name.rate_limit(text, int, interval, int, int) RETURNS taskapi.rate_limit_verdict
			LANGUAGE C AS '$dir/$library', 'taskapi_rate_limit'});
}
my $started = 'SELECT pg_postmaster_start_time()';
my $start = $node->safe_psql('postgres', $started);

my %area = (
	counters => ['taskapi.counters()', 'SELECT count(*) FROM %s.counters()'],
	denials => ['taskapi.rate_limit_denied()', 'SELECT count(*) FROM %s.denied()'],
	'key usage' => ['taskapi.api_key_usage()', 'SELECT count(*) FROM %s.usage()'],
	requests => ['taskapi.request_series()', 'SELECT count(*) FROM %s.series()'],
	'unbounded pages' => ['taskapi.unbounded_page_counts()', 'SELECT count(*) FROM %s.unbounded()'],
	'rate limits' => [ '', "SELECT (r).remaining FROM %s.rate_limit('k', 10, '1 day', 10, 1) r" ]);

# Everything is in use.
my $use = q{
	SELECT count(*) FROM taskapi.counters();
	SELECT (taskapi.rate_limit('d', 1, '1 hour')).allowed FROM generate_series(1, 3);
	SELECT count(*) FROM taskapi.rate_limit_denied();
	SELECT count(*) FROM taskapi.api_key_usage();
	SELECT count(*) FROM taskapi.request_series();
	SELECT count(*) FROM taskapi.page('taskapi.secret', 'created_at', 1), taskapi.unbounded_page_counts();
	SELECT (taskapi.rate_limit('k', 10, '1 day')).remaining};
$node->safe_psql('postgres', $use);
my $before = $node->safe_psql('postgres', 'SELECT name, value FROM taskapi.counters() ORDER BY name');

sub refused
{
	my ($name, $area, $what) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', sprintf($area{$area}[1], $name), extra_params => ['-v', 'VERBOSITY=verbose']);
	is($rc, 3, "$area: $what is refused");
	like($err, qr/ERROR:  55000: shared memory of the server was laid out by another version of taskapi/, "$area: with an errcode that says so");
	return;
}

refused('other', $_, 'another layout') for sort keys %area;

# Many at a time, and in one session again and again.
my @sessions = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 4;
foreach my $round (1 .. 3)
{
	$_->query(sprintf($area{'rate limits'}[1], 'other')) for @sessions;
}
$_->quit for @sessions;

# The running library lost nothing, and its own layout is let in under any name of the file.
is($node->safe_psql('postgres', $started), $start, 'the server did not restart');
unlike(slurp_file($node->logfile), qr/PANIC|stuck spinlock|terminated by signal/, 'no backend died');
is($node->safe_psql('postgres', 'SELECT name, value FROM taskapi.counters() ORDER BY name'), $before, 'nothing was counted');
is($node->safe_psql('postgres', sprintf($area{'rate limits'}[1], 'same')), '8', 'the same layout sees the same limits');
is($node->safe_psql('postgres', sprintf($area{$_}[1], 'same')),
	$node->safe_psql('postgres', "SELECT count(*) FROM $area{$_}[0]"), "$_: and the same area") for grep { $area{$_}[0] } sort keys %area;

# Another number of keys is another size of the table, which is the running one's until the server restarts.
$node->append_conf('postgresql.conf', "taskapi.rate_limit_max_keys = 5000\n");
$node->reload;
is($node->safe_psql('postgres', "SELECT (taskapi.rate_limit('k', 10, '1 day')).remaining"), '7', 'the table keeps its size');

# Whoever comes first decides.
$node->restart;
$node->safe_psql('postgres', sprintf($area{$_}[1], 'other')) for sort keys %area;
refused('same', $_, 'the installed library after the other one') for sort keys %area;
my ($rc, $out, $err) = $node->psql('postgres', $use);
like($err, qr/laid out by another version/, 'and so is the extension itself');
$node->restart;
$node->safe_psql('postgres', $use);
unlike(slurp_file($node->logfile), qr/PANIC|stuck spinlock|terminated by signal/, 'no backend died');

done_testing();
