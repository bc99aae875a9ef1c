# What a restart keeps, with a snapshot and without, whole or damaged; the size of the table; two databases.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('restart');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\nwal_level = minimal\nmax_wal_senders = 0\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION taskapi');

my $snapshot = $node->data_dir . '/pg_stat/taskapi_rate_limits.snapshot';

sub remaining
{
	my ($key, $db) = @_;
	return $node->safe_psql($db // 'postgres', "SELECT remaining FROM taskapi.rate_limit_peek('$key', 100, '1 day')");
}

sub charge
{
	my ($key, $cost, $db) = @_;
	return $node->safe_psql($db // 'postgres', "SELECT remaining FROM taskapi.rate_limit('$key', 100, '1 day', cost => $cost)");
}

sub slurp { my $f = shift; open my $fh, '<:raw', $f or die "$f: $!"; local $/; return scalar <$fh>; }
sub spew { my ($f, $data) = @_; open my $fh, '>:raw', $f or die "$f: $!"; print $fh $data; close $fh; return; }

# A denial writes no WAL and takes no transaction id; nor does an admission. EXPLAIN counts what the statement itself writes: the
# server's background processes write at any time. The first round is for what any query may write when it first reads the
# catalogs; the sequence shows that a record would be seen.
my $query = q{SELECT count(*) FILTER (WHERE allowed), count(*) FILTER (WHERE NOT allowed)
	FROM generate_series(1, 5000) i, taskapi.rate_limit('wal', 1000, '1 day', cost => least(i, 1))};
my $explain = 'EXPLAIN (ANALYZE, WAL, COSTS OFF, TIMING OFF, SUMMARY OFF)';
my ($charged, $assigned, $plan) = split /\n/, $node->safe_psql('postgres', qq{
	$query;
	SELECT pg_current_xact_id_if_assigned() IS NULL;
	SELECT taskapi.rate_limit_reset('wal') IS NULL \\g /dev/null
	$explain $query;}), 3;
is("$charged $assigned", '1000|4000 t', 'admissions and denials take no transaction id');
like($plan, qr/Function Scan on rate_limit.* loops=5000/, 'and all of them');
unlike($plan, qr/WAL:/, 'write no WAL');
like($node->safe_psql('postgres', qq{CREATE SEQUENCE s; $explain SELECT nextval('s');}), qr/WAL: records=/, 'which would be seen');

# Memory is bounded, and whoever is denied often is found among any number who are denied once: a count is never too
# low, and too high by at most its error.
is($node->safe_psql('postgres', q{
	SELECT count(*) FROM generate_series(1, 5000) i, generate_series(1, 2) j,
		taskapi.rate_limit(CASE WHEN i % 10 = 0 THEN 'heavy' ELSE 'light ' || i END, 1, '1 hour', cost => least(j, 1)) v WHERE NOT v.allowed;
	SELECT count(*) FROM taskapi.rate_limit_denials;
	SELECT subject, denied >= 999, denied - error <= 999 FROM taskapi.rate_limit_denials WHERE subject <> 'wal' LIMIT 1;}),
	"5499\n512\nheavy|t|t", 'the most denied are found in bounded memory');
$node->restart;

# Restarts.
charge('kept', 40);
$node->restart;
is(remaining('kept'), 100, 'without a snapshot a restart forgets');

charge('kept', 40);
is($node->safe_psql('postgres', 'SELECT taskapi.save_rate_limits()'), 1, 'a snapshot saves the keys that are not at rest');
charge('kept', 7);
my $mode = (stat $snapshot)[2] & 07777;
is($mode & 077, 0, 'nobody else can read the snapshot');
$node->restart;
is(remaining('kept'), 60, 'with a snapshot a restart keeps what was saved');
is(charge('kept', 1), 59, 'and counts on');

$node->safe_psql('postgres', 'SELECT taskapi.save_rate_limits()');
charge('kept', 5);
$node->stop('immediate');
$node->start;
is(remaining('kept'), 59, 'a crash falls back to the snapshot');

# A file that is not whole is ignored, and said so.
my $good = slurp($snapshot);
my %bad = (
	'a changed byte' => [ do { my $x = $good; substr($x, -20, 1) ^= "\x01"; $x }, 'its checksum is wrong' ],
	'a changed seed' => [ do { my $x = $good; substr($x, 24, 1) ^= "\x01"; $x }, 'its checksum is wrong' ],
	'a cut file' => [ substr($good, 0, -1), 'its size is wrong' ],
	'a header alone' => [ substr($good, 0, 30), 'it is cut off' ],
	'an added byte' => [ $good . 'x', 'its size is wrong' ],
	'an empty file' => [ '', 'it is cut off' ],
	'another version' => [ do { my $x = $good; substr($x, 8, 4) = pack('L', 99); $x }, 'it is of another version or machine' ],
	'another file' => [ 'x' x 4096, 'it is of another version or machine' ],
	'a huge count' => [ do { my $x = $good; substr($x, 48, 8) = "\xff" x 8; $x }, 'its size is wrong' ]);
for my $what (sort keys %bad)
{
	$node->stop;
	spew($snapshot, $bad{$what}[0]);
	my $offset = -s $node->logfile;
	$node->start;
	is(remaining('kept'), 100, "$what is ignored");
	like(slurp_file($node->logfile, $offset), qr/LOG:  ignoring the saved rate limits in file .*: $bad{$what}[1]/, 'and logged');
}

# One of another cluster is whole, but not ours.
my $other = PostgreSQL::Test::Cluster->new('other');
$other->init;
$other->start;
$other->safe_psql('postgres', q{CREATE EXTENSION taskapi; SELECT taskapi.rate_limit('kept', 100, '1 day', cost => 50); SELECT taskapi.save_rate_limits()});
$other->stop;
$node->stop;
spew($snapshot, slurp($other->data_dir . '/pg_stat/taskapi_rate_limits.snapshot'));
my $offset = -s $node->logfile;
$node->start;
is(remaining('kept'), 100, 'a snapshot of another cluster is ignored');
like(slurp_file($node->logfile, $offset), qr/LOG:  ignoring .*: it is of another database cluster/, 'and logged');
is($node->safe_psql('postgres', 'SELECT taskapi.save_rate_limits()'), 0, 'and replaced by the next one');

# What can not be written is an error, and harms nothing.
$node->stop;
unlink $snapshot;
mkdir $snapshot or die "$snapshot: $!";
$node->start;
charge('kept', 3);
my ($rc, $out, $err) = $node->psql('postgres', 'SELECT taskapi.save_rate_limits()');
isnt($rc, 0, 'a snapshot that can not be written is an error');
is(remaining('kept'), 97, 'after which the limits work on');
rmdir $snapshot or die "$snapshot: $!";
is($node->safe_psql('postgres', 'SELECT taskapi.save_rate_limits()'), 1, 'and the next snapshot succeeds');

# Two databases of a cluster count apart, over a restart too.
$node->safe_psql('postgres', 'CREATE DATABASE second');
$node->safe_psql('second', 'CREATE EXTENSION taskapi');
is(remaining('kept', 'second'), 100, 'another database has limits of its own');
charge('kept', 20, 'second');
is(remaining('kept'), 97, 'and does not charge ours');
$node->safe_psql('second', q{SELECT count(*) FROM generate_series(1, 3) i, taskapi.rate_limit('secret', 1, '1 day', cost => least(i, 1))});
is($node->safe_psql('postgres', 'SELECT count(*) FROM taskapi.rate_limit_denials'), 0, 'nor are its denials shown here');
is($node->safe_psql('second', 'SELECT subject, denied FROM taskapi.rate_limit_denials'), 'secret|2', 'but there');
$node->safe_psql('second', 'SELECT taskapi.save_rate_limits()');
$node->restart;
is(remaining('kept') . ' ' . remaining('kept', 'second'), '97 80', 'a snapshot holds both');

# The size of the table is that of the setting when it was made.
is($node->safe_psql('postgres', 'SELECT capacity = 6250 * 42 FROM taskapi.rate_limit_stats'), 't', 'the default table');
$node->append_conf('postgresql.conf', "taskapi.rate_limit_max_keys = 100\n");
$node->reload;
is($node->safe_psql('postgres', 'SELECT capacity > 100000 FROM taskapi.rate_limit_stats'), 't', 'a reload does not change the table');
is(remaining('kept'), 97, 'nor forget it');
$node->restart;
is($node->safe_psql('postgres', 'SELECT capacity, bytes FROM taskapi.rate_limit_stats'), '294|7168', 'a restart does');
is(remaining('kept'), 97, 'and the snapshot of a larger table is loaded');
isnt(($node->psql('postgres', q{LOAD 'taskapi'; SET taskapi.rate_limit_max_keys = 5}))[0], 0, 'no session can set it');

# As many keys as were asked for fit; more drop the one that is nearest to expiry, which is counted.
$node->safe_psql('postgres', q{SELECT taskapi.rate_limit_reset('kept')});
$node->safe_psql('second', q{SELECT taskapi.rate_limit_reset('kept'), taskapi.rate_limit_reset('secret')});
my $set_clock = q{SET taskapi.test_clock = 1775001600;};
is($node->safe_psql('postgres', $set_clock . q{
	SELECT count(*) FROM generate_series(1, 100) i, taskapi.rate_limit('k' || i, 1, '1 hour') WHERE allowed;
	SELECT keys, evicted FROM taskapi.rate_limit_stats}), "100\n100|0", 'as many keys as were asked for are held');
is($node->safe_psql('postgres', $set_clock . q{
	SELECT count(*) FROM generate_series(1, 20) i, taskapi.rate_limit('long ' || i, 1, '1 year'::interval * 0 + interval '300 days');
	SELECT count(*) FROM generate_series(1, 5000) i, taskapi.rate_limit('flood ' || i, 1, '1 minute');
	SELECT keys, keys = capacity, evicted FROM taskapi.rate_limit_stats;
	SELECT count(*) FROM generate_series(1, 20) i, taskapi.rate_limit_peek('long ' || i, 1, '300 days') WHERE NOT allowed;}),
	"20\n5000\n294|t|4826\n20", 'a flood fills the table, is counted, and drops what is nearest to expiry');
is($node->safe_psql('postgres', q{
	SET taskapi.test_clock = 1775008800;
	SELECT keys FROM taskapi.rate_limit_stats;
	SELECT count(*) FROM generate_series(1, 60) i, taskapi.rate_limit('after ' || i, 1, '1 minute');
	SELECT evicted, reclaimed >= 60 FROM taskapi.rate_limit_stats}), "20\n60\n4826|t", 'expired entries are reclaimed first');

# Policies are configuration, which a dump holds.
$node->safe_psql('postgres', q{INSERT INTO taskapi.rate_limit_policy (name, rate, per, burst) VALUES ('dumped', 5, '2 seconds', 7)});
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-p', $node->port, '-h', $node->host, '-f', $dump, 'postgres' ], 'pg_dump');
like(slurp($dump), qr/^dumped\t5\t00:00:02\t7\tf\t\\N\t/m, 'a dump holds the policies');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-p', $node->port, '-h', $node->host, '-f', $dump, 'restored' ], 'restore');
is($node->safe_psql('restored', q{SELECT "limit" FROM taskapi.rate_limit_status('{"dumped": "s"}')}), 7, 'and they work where it is restored');

# The extension may go and come; and it may be preloaded.
$node->safe_psql('postgres', q{SELECT taskapi.rate_limit('survivor', 100, '1 day', cost => 30); DROP EXTENSION taskapi; CREATE EXTENSION taskapi;});
is(remaining('survivor'), 70, 'limits survive DROP and CREATE EXTENSION');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'taskapi'\n");
$node->restart;
is(charge('preloaded', 10), 90, 'it works preloaded, too');
is(remaining('preloaded'), 90, 'in another session');

$node->stop;
done_testing();
