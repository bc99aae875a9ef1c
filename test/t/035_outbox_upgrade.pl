# A server that pg_upgrade made of another goes on where that was: numbers, positions, parked messages, dead letters, sagas that are
# under way, and resources that publish.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my @alike = ('--encoding=UTF8', '--locale=C');
my $old = PostgreSQL::Test::Cluster->new('old');
$old->init(extra => [@alike]);
$old->start;
$old->safe_psql('postgres', q{
	CREATE EXTENSION taskapi;
	SELECT taskapi.create_outbox('messages');
	SELECT taskapi.create_consumer_group('g', ARRAY['t'], max_attempts => 2), taskapi.create_consumer_group('dead', ARRAY['t'], max_attempts => 1, hold_key => true),
		taskapi.create_consumer_group('sagas', ARRAY['order']), taskapi.create_consumer_group('rows', ARRAY['row']);
	CREATE TABLE public.row (id int PRIMARY KEY, v int);
	SELECT taskapi.expose('public.row', 'api', publish => 'row');
	SELECT taskapi.publish('t', 'k', to_jsonb(i)) FROM generate_series(1, 5) i;
	SELECT taskapi.start_saga('order', 'o1', '{}', '[{"step": "a", "compensation": "b"}, {"step": "c"}]');
});
# the first of the group is done, the second fails; of the other group the first is dead, and holds its key
$old->safe_psql('postgres', q{
	CREATE PROCEDURE work("group" text, failed bigint[], upto bigint) LANGUAGE plpgsql AS $$
	DECLARE t record;
	BEGIN
		SELECT min(slot) AS slot, min(fencing_token) AS token INTO t FROM taskapi.receive("group", 'w');
		PERFORM taskapi.settle("group", t.slot, t.token, upto, failed, 'broken');
	END $$;
	CALL work('g', '{2}', 3);
	CALL work('dead', '{1}', 3);
});
my %ask = (
	positions => 'SELECT "group", slot, position, delivered FROM messages.consumer ORDER BY 1, 2',
	parked => 'SELECT "group", seq, attempts, due_at, error FROM messages.parked ORDER BY 1, 2',
	dead => 'SELECT "group", seq, error FROM messages.dead_letter ORDER BY 1, 2',
	messages => 'SELECT tableoid::regclass, m FROM messages.message m ORDER BY seq',
	sagas => 'SELECT * FROM messages.saga',
	number => 'SELECT last_value, is_called FROM messages.message_seq',
	token => 'SELECT last_value, is_called FROM messages.fencing_token',
	partitions => q{SELECT count(*) FROM pg_inherits WHERE inhparent = 'messages.message'::regclass},
	registry => 'SELECT message, partition_size FROM taskapi.outbox');
my %before = map { $_ => $old->safe_psql('postgres', $ask{$_}) } keys %ask;
$old->stop;

my $new = PostgreSQL::Test::Cluster->new('new');
$new->init(extra => [@alike]);
my $bin = $new->config_data('--bindir');
{
	# it writes into the folder that it runs in
	chdir $PostgreSQL::Test::Utils::tmp_check or die $!;
	command_ok([ 'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $bin, '-B', $bin, '-s', $new->host, '-p', $old->port, '-P', $new->port ], 'pg_upgrade');
}
$new->start;
is($new->safe_psql('postgres', $ask{$_}), $before{$_}, "$_ are as they were") foreach sort keys %ask;

is($new->safe_psql('postgres', q{UPDATE messages.parked SET due_at = now() WHERE due_at < 'infinity'; SELECT seq FROM taskapi.receive('g', 'w') ORDER BY seq}), "2\n3", 'what failed comes again, with what was parked behind it');
is($new->safe_psql('postgres', q{SELECT count(*) FROM taskapi.receive('dead', 'w')}), '0', 'a dead letter holds its key');
is($new->safe_psql('postgres', q{SELECT taskapi.redrive('dead', 1); SELECT min(seq) FROM taskapi.receive('dead', 'w')}), "\n1", 'until it is tried again');
is($new->safe_psql('postgres', q{SELECT taskapi.settle_step('o1', fencing_token, 'a', 'done') FROM taskapi.receive('sagas', 'w')}), 'running', 'the saga goes on');
is($new->safe_psql('postgres', q{INSERT INTO api.row VALUES (1, 1); SELECT payload ->> 'event' FROM taskapi.receive('rows', 'w')}), 'created', 'the resource publishes');
cmp_ok($new->safe_psql('postgres', q{SELECT taskapi.publish('t', 'k', '6')}), '>', 6, 'numbers go on');
$new->stop;
done_testing();
