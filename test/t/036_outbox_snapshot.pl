# While another session holds a snapshot, every version of a slot's row is kept, and of what was parked. What receive(), settle(), an
# empty receive(), the views and the changing of a group read does not grow with their number, neither through the indexes nor by
# statements.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('outbox');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\nsynchronous_commit = off\nfsync = off\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION taskapi;
	SELECT taskapi.create_outbox();
	SELECT taskapi.publish('old', 'k', '1');
	SELECT setval('outbox.message_seq', 1000010);
	SELECT taskapi.create_consumer_group('g');
	CREATE PROCEDURE work(batches int) LANGUAGE plpgsql AS $$
	DECLARE m taskapi.message;
	BEGIN
		FOR i IN 1 .. batches LOOP
			SELECT * INTO STRICT m FROM taskapi.receive('g', 'w', 1);
			COMMIT;
			PERFORM taskapi.settle('g', m.slot, m.fencing_token, m.seq);
			COMMIT;
		END LOOP;
	END $$;
	-- messages that fail, and are done when they are tried again
	CREATE PROCEDURE fail(batches int) LANGUAGE plpgsql AS $$
	DECLARE m taskapi.message;
	BEGIN
		FOR i IN 1 .. 2 * batches LOOP
			SELECT * INTO STRICT m FROM taskapi.receive('g', 'w', 1);
			PERFORM taskapi.settle('g', m.slot, m.fencing_token, m.seq, CASE WHEN m.attempts = 0 THEN ARRAY[m.seq] ELSE '{}' END);
			UPDATE outbox.parked SET due_at = clock_timestamp() WHERE due_at > clock_timestamp();
			COMMIT;
		END LOOP;
	END $$;
	-- the pages that a query reads, all that it calls included, once its plans are made
	CREATE FUNCTION pages(query text) RETURNS bigint LANGUAGE plpgsql AS $$
	DECLARE plan json;
	BEGIN
		FOR i IN 1 .. 2 LOOP
			EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ' || query INTO plan;
		END LOOP;
		RETURN (plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::bigint + (plan -> 0 -> 'Plan' ->> 'Shared Read Blocks')::bigint;
	END $$;
	CREATE VIEW read AS SELECT sum(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read) AS pages FROM pg_statio_user_tables WHERE relid IN ('outbox.consumer'::regclass, 'outbox.parked'::regclass);
	CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
});

# So many batches of one message, in a session of their own. What it has read is counted when this returns: a session that ends counts
# after its client is gone.
sub work_off
{
	my ($batches) = @_;
	$node->safe_psql('postgres', "SELECT count(taskapi.publish('t', 'key ' || i % 8, '1')) FROM generate_series(1, $batches) i");
	$node->safe_psql('postgres', "CALL work($batches); SELECT pg_stat_force_next_flush()");
	return;
}

# What 320 batches read of the positions, each, and what the others read; in sessions of their own.
sub look
{
	my ($how) = @_;
	my %read;
	my $before = $node->safe_psql('postgres', 'SELECT pages FROM read');
	work_off(320);
	$read{'a batch'} = int(($node->safe_psql('postgres', 'SELECT pages FROM read') - $before) / 320);
	$read{$_->[0]} = $node->safe_psql('postgres', "BEGIN; $_->[2]; SELECT pages(\$\$$_->[1]\$\$); ROLLBACK") =~ s/.*\n//sr foreach
		[ 'an empty receive', q{SELECT * FROM taskapi.receive('g', 'w', 1)}, '' ],
		[ 'extend_lease()', q{SELECT taskapi.extend_lease('g', 0, 7)}, q{UPDATE outbox.consumer SET owner = 'w', fencing_token = 7 WHERE slot = 0} ],
		[ 'the view of the lag', 'SELECT * FROM taskapi.outbox_lag', '' ],
		[ 'the statistics', 'SELECT * FROM taskapi.outbox_stats()', '' ],
		[ 'setting a group back', q{SELECT taskapi.create_consumer_group('g', from_seq => 0, hold_key => true)}, '' ],
		[ 'looking for what may be dropped', 'SELECT taskapi.prune_outbox()', q{SELECT taskapi.create_consumer_group('behind', from_seq => 0)} ];
	note "$how: ", join ', ', map { "$_: $read{$_}" } sort keys %read;
	return %read;
}

foreach my $way ('through the indexes', 'by statements')
{
	$node->safe_psql('postgres', 'VACUUM FULL outbox.consumer');
	# with a trigger of the owner's the rows are written by statements
	$node->safe_psql('postgres', 'CREATE TRIGGER nothing BEFORE UPDATE ON outbox.consumer FOR EACH ROW EXECUTE FUNCTION nothing()') if $way eq 'by statements';
	my $holder = $node->background_psql('postgres', on_error_stop => 1);
	$holder->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM outbox.consumer');
	# first until no row is where it was made
	work_off(700);
	my %before = look("$way, at first");
	work_off($way eq 'by statements' ? 2000 : 7000);
	$node->safe_psql('postgres', q{SELECT count(taskapi.publish('t', 'key ' || i % 8, '1')) FROM generate_series(1, 300) i; CALL fail(300); SELECT pg_stat_force_next_flush()});
	my %after = look("$way, with thousands of versions more");
	cmp_ok($after{$_}, '<=', 1.5 * $before{$_} + 5, "$way: $_") foreach sort keys %before;
	cmp_ok($node->safe_psql('postgres', q{SELECT pg_relation_size('outbox.consumer') / 8192}), '>', 50, "$way: the versions were kept");
	$holder->quit;
}
$node->stop;
done_testing();
