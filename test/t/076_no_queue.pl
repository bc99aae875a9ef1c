# Behind a report that holds a table for long, run_ddl(), expose_online() and expose() wait in short tries and give their locks
# back in between: no reader or writer waits for longer than a try, and what they were called for is done once the report ends.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = PostgreSQL::Test::Cluster->new('queue');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\nfsync = off\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION taskapi;
	CREATE TABLE item (id int PRIMARY KEY, a int NOT NULL DEFAULT 0);
	CREATE TABLE other (id int PRIMARY KEY);
	SELECT taskapi.expose('item');
	INSERT INTO api.item (id) VALUES (1);});

# A client of ours, which ends with the test.
sub client
{
	my $sql = shift;
	my ($in, $out, $err) = ('', '', '');
	my $run = IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', $node->connstr('postgres') ], '<', \$in, '>', \$out, '2>', \$err,
		IPC::Run::timeout(900));
	$in .= $sql . "\n";
	return { run => $run, in => \$in, out => \$out, err => \$err };
}

# Play a command behind a report on a relation, with others who read and write meanwhile. The report ends after three tries, or
# never.
sub behind
{
	my ($name, $relation, $never, $command, @meanwhile) = @_;
	my $report = $node->background_psql('postgres');
	$report->query_safe("BEGIN; LOCK TABLE $relation IN ACCESS SHARE MODE");
	my $ddl = client("SELECT pg_backend_pid();\n$command;\n\\echo done");
	$ddl->{run}->pump until ${ $ddl->{out} } =~ /^(\d+)$/m;
	my ($pid) = ${ $ddl->{out} } =~ /^(\d+)$/m;

	# A wait that begins at another time is another try.
	my (%tries, $served, $failed);
	for (1 .. 2000)
	{
		$tries{$_} = 1 for grep { $_ } split /\n/, $node->safe_psql('postgres', "SELECT waitstart FROM pg_locks WHERE pid = $pid AND NOT granted");
		foreach my $sql (@meanwhile)
		{
			# two hundred times a try; the report would take longer
			my ($rc) = $node->psql('postgres', "SET lock_timeout = '20s'; $sql");
			$rc == 0 ? $served++ : $failed++;
		}
		last if (keys %tries >= 3 && !$never) || ${ $ddl->{err} } =~ /ERROR/;
		$ddl->{run}->pump_nb;
	}
	# what gives up does so after 5 seconds, in which a busy machine may see few tries
	cmp_ok($never ? (${ $ddl->{err} } =~ /in (\d+) tries/)[0] // 0 : scalar keys %tries, '>=', $never ? 2 : 3, "$name: it tries again and again");
	is($failed // 0, 0, "$name: nobody waits behind it ($served served)");
	$report->query_safe('COMMIT');
	$report->quit;
	$ddl->{run}->pump until ${ $ddl->{out} } =~ /done/ || ${ $ddl->{err} } =~ /ERROR/;
	${ $ddl->{in} } .= "\\q\n" if !$never;
	$ddl->{run}->finish;
	like(${ $ddl->{err} }, $never ? qr/ERROR:  could not lock the relations to be changed in \d+ tries/ : qr/^(?!.*ERROR)/s,
		"$name: and " . ($never ? 'gives up' : 'comes through'));
	return (${ $ddl->{err} }, scalar keys %tries);
}

my @clients = ('SELECT count(*) FROM item', 'SELECT count(*) FROM api.item', 'UPDATE api.item SET a = a + 1 WHERE id = 1');

my ($said, $seen) = behind('run_ddl', 'item', 0, q{CALL taskapi.run_ddl('ALTER TABLE item ADD b int')}, @clients);
my ($tries) = $said =~ /done in try (\d+), in which locks were held for \d+ ms at most/;
cmp_ok($tries // 0, '>', $seen - 1, "run_ddl() tells of its tries ($tries)");
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'item'::regclass AND attname = 'b'}), '1', 'the column is there');

# a report through the view holds the view, and the table
($said) = behind('expose_online of a resource', 'api.item', 0, q{CALL taskapi.expose_online('item')}, @clients);
like($said, qr/done in try \d+/, 'expose_online() tells of its tries');
is($node->safe_psql('postgres', 'SELECT b FROM api.item'), '', 'the view has the column');
behind('expose_online of a table', 'other', 0, q{CALL taskapi.expose_online('other')}, 'SELECT count(*) FROM other', 'DELETE FROM other');
is($node->safe_psql('postgres', 'SELECT count(*) FROM api.other'), '0', 'the table is a resource');
behind('expose', 'api.item', 1, q{SELECT taskapi.expose('item')}, @clients);

# Without end: they give up, and have changed nothing.
my $report = $node->background_psql('postgres');
$report->query_safe('BEGIN; LOCK TABLE item, other IN ACCESS SHARE MODE; SELECT FROM api.item; SELECT FROM api.other');
foreach my $command (q{CALL taskapi.run_ddl('ALTER TABLE item ADD c int', give_up_after => '400 ms')}, q{CALL taskapi.run_ddl('DROP TABLE other CASCADE', '20 ms', '0')},
	q{SELECT taskapi.expose('item')}, q{SELECT taskapi.unexpose('api.other')}, q{CALL taskapi.expose_online('other', give_up_after => '300 ms')},
	q{CALL taskapi.run_ddl('SELECT taskapi.unexpose(''api.other'')', give_up_after => '300 ms')})
{
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$command");
	like($err, qr/ERROR:  55P03: could not lock the relations to be changed in \d+ (try|tries)\n/, "it gives up: $command");
}
$report->query_safe('COMMIT');
$report->quit;
is($node->safe_psql('postgres', q{SELECT count(*) FROM taskapi.resource r JOIN pg_class v ON v.oid = r.resource JOIN pg_class t ON t.oid = r.source
	WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attname = 'c')}), '2', 'both resources are as they were');

# A deadlock is another try: this session's first try waits for a, with b locked; the other has a and waits for b.
$node->safe_psql('postgres', q{ALTER SYSTEM SET deadlock_timeout = '10ms'; SELECT pg_reload_conf()});
my $other = $node->background_psql('postgres');
$other->query_safe('BEGIN; SELECT * FROM item');
my $ddl = client(q{SELECT 'begun'; CALL taskapi.run_ddl('LOCK TABLE other, item IN ACCESS EXCLUSIVE MODE', '500 ms')} . ";\n\\echo done");
$ddl->{run}->pump until ${ $ddl->{out} } =~ /begun/;
$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'item'::regclass});
$other->query_safe('SET deadlock_timeout = \'1min\'; SELECT * FROM other; COMMIT');
$ddl->{run}->pump until ${ $ddl->{out} } =~ /done/ || ${ $ddl->{err} } =~ /ERROR/;
${ $ddl->{in} } .= "\\q\n";
$ddl->{run}->finish;
like(${ $ddl->{err} }, qr/done in try (?!1,)\d/, 'a deadlock is another try');
$other->quit;

# As its caller, with that one's rights and settings.
$node->safe_psql('postgres', q{
	CREATE ROLE queue_user;
	CREATE SCHEMA mine AUTHORIZATION queue_user;
	ALTER ROLE queue_user SET search_path = mine;
	GRANT SELECT ON item TO queue_user;});
my ($rc, $out, $err) = $node->psql('postgres', q{SET SESSION AUTHORIZATION queue_user; SET search_path = mine;
	CALL taskapi.run_ddl('CREATE TABLE t (id int)');
	SELECT 'mine.t'::regclass, current_setting('lock_timeout'), current_setting('search_path');});
is($out, 't|0|mine', 'a name is looked up in the caller\'s search_path, and his settings stay');
foreach my $refused (
	[ '42501', q{CALL taskapi.run_ddl('ALTER TABLE public.item ADD d int')}, 'another\'s table' ],
	[ '42501', q{CALL taskapi.expose_online('public.item')}, 'another\'s table' ],
	[ '42601', q{CALL taskapi.run_ddl('SELECT 1; SELECT 2')}, 'several commands' ],
	[ '42601', q{CALL taskapi.run_ddl('')}, 'no command' ],
	[ '22004', q{CALL taskapi.run_ddl(NULL)}, 'no command' ],
	[ '22004', q{CALL taskapi.run_ddl('SELECT 1', NULL)}, 'no lock_timeout' ],
	[ '22023', q{CALL taskapi.run_ddl('SELECT 1', '0')}, 'a lock_timeout that waits for ever' ],
	[ '22023', q{CALL taskapi.run_ddl('SELECT 1', '1 s', '-1 s')}, 'a negative time' ],
	[ '2D000', q{CALL taskapi.run_ddl('COMMIT')}, 'transaction control' ],
	[ '2D000', q{CALL taskapi.run_ddl('DO $$ BEGIN COMMIT; END $$')}, 'transaction control in a block' ],
	[ '2D000', q{BEGIN; CALL taskapi.run_ddl('SELECT 1')}, 'a transaction block' ],
	[ '2D000', q{BEGIN; CALL taskapi.expose_online('public.item')}, 'a transaction block' ],
	[ '2D000', q{SELECT 1; CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE plpgsql AS 'BEGIN CALL taskapi.run_ddl(''SELECT 1''); END'; SELECT pg_temp.f()}, 'a function' ],
	[ '25001', q{CALL taskapi.run_ddl('CREATE INDEX CONCURRENTLY ON mine.t (id)')}, 'CONCURRENTLY' ],
	[ '25001', q{CALL taskapi.run_ddl('VACUUM mine.t')}, 'VACUUM' ],
	[ '0A000', q{CALL taskapi.run_ddl('COPY mine.t FROM STDIN')}, 'COPY' ],
	[ '42P01', q{CALL taskapi.run_ddl('DROP TABLE nix')}, 'an error of the command\'s' ])
{
	my ($code, $sql, $what) = @$refused;
	($rc, $out, $err) = $node->psql('postgres', "SET SESSION AUTHORIZATION queue_user;\n\\set VERBOSITY sqlstate\n$sql");
	like($err, qr/ERROR:  $code/, "refused with $code: $what: $sql");
}

# Cancelled in the middle of a pause, it leaves nothing behind.
$report = $node->background_psql('postgres');
$report->query_safe('BEGIN; LOCK TABLE item IN ACCESS SHARE MODE');
($rc, $out, $err) = $node->psql('postgres', q{SET statement_timeout = '700ms'; CALL taskapi.run_ddl('ALTER TABLE item ADD z int')});
like($err, qr/canceling statement due to statement timeout/, 'statement_timeout bounds all tries together');
$report->quit;

$node->stop;
done_testing();
