# Between the pages of one walk rows are changed, moved, deleted softly and for good, restored and made again, beside transactions that
# commit later: a client that asks page by page, and now and then loses an answer, ends with what there is.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('model');
$node->init;
$node->append_conf('postgresql.conf', "max_prepared_transactions = 100\nautovacuum = off\nfsync = off\n");
$node->start;
$node->safe_psql('postgres', slurp_file('test/feed/client.sql'));

# The clients: what they hold, and how much they take at once. Two follow a view of the same table that knows no soft deletion.
my %client = (
	one    => { size => 1,  filter => 'NULL',             of => 'items', groups => '{1,2}' },
	three  => { size => 3,  filter => 'NULL',             of => 'items', groups => '{1,2}' },
	nine   => { size => 9,  filter => 'NULL',             of => 'items', groups => '{1,2}' },
	group  => { size => 2,  filter => q('{"group_id": 2}'), of => 'items', groups => '{2}' },
	all    => { size => 4,  filter => 'NULL',             of => 'every', groups => '{1,2}' },
);
my @names = sort keys %client;
$node->safe_psql('postgres', q{
	SET client_min_messages = error;
	CREATE FUNCTION feed.ask(client text, resource regclass, size int, filter jsonb, lost boolean) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		page taskapi.changes_result;
	BEGIN
		page := taskapi.changes(resource, (SELECT c.token FROM feed.client c WHERE c.client = ask.client), size, filter);
		IF NOT lost THEN
			PERFORM feed.apply(client, page);
		END IF;
		RETURN CASE WHEN page.has_more THEN 'more' ELSE 'end' END;
	END $$;
	CREATE FUNCTION feed.catch_up(client text, resource regclass, size int, filter jsonb) RETURNS int LANGUAGE plpgsql AS $$
	DECLARE
		pages int := 1;
	BEGIN
		WHILE feed.ask(client, resource, size, filter, false) = 'more' LOOP
			pages := pages + 1;
		END LOOP;
		RETURN pages;
	END $$;
	-- what differs from the rows, of all or of those that are not deleted
	CREATE FUNCTION feed.differs(client text, groups int[], every boolean) RETURNS text LANGUAGE sql SECURITY DEFINER AS $$
		SELECT string_agg(concat_ws(' ', coalesce(c.id, i.id), CASE WHEN c.id IS NULL THEN 'missing' WHEN i.id IS NULL THEN 'ghost' ELSE 'stale' END), ', ')
		FROM (SELECT id, title, group_id, version FROM feed.copy WHERE copy.client = $1) c
		FULL JOIN (SELECT id, title, group_id, version FROM feed.item
		           WHERE (deleted_at IS NULL OR $3) AND group_id = ANY ($2)) i ON i.id = c.id
		WHERE (c.*) IS DISTINCT FROM (i.*)
	$$;
	INSERT INTO feed.item SELECT i, 1 + i % 4, 'old' FROM generate_series(1, 40) i;
});

# One statement of a writer's, on one of few rows.
sub change
{
	my $id = 1 + int(rand(50));
	my $some = "id BETWEEN $id AND $id + " . int(rand(4));
	my $group = 1 + int(rand(4));
	my $what = rand();
	return "INSERT INTO feed.item VALUES ($id, $group, 'new') ON CONFLICT (id) DO UPDATE SET title = feed.item.title || '.'" if $what < 0.25;
	return "UPDATE feed.item SET title = title || '.' WHERE $some" if $what < 0.35;
	return "UPDATE feed.item SET group_id = $group WHERE $some" if $what < 0.5;
	return "UPDATE feed.item SET id = 51 - $id WHERE id = $id AND NOT EXISTS (SELECT FROM feed.item WHERE id = 51 - $id)" if $what < 0.54;
	return "DELETE FROM feed.item WHERE $some" if $what < 0.62;
	return "DELETE FROM feed_api.items WHERE $some" if $what < 0.8;
	return "UPDATE feed_api.deleted_items SET deleted_at = NULL WHERE $some" if $what < 0.88;
	return "DELETE FROM feed_api.deleted_items WHERE $some";
}

# Steps that one session takes. A transaction that is prepared holds its id, and its rows, until it is ended some steps later. A crowd is
# of those that hold an id only: more than a token has places for.
sub steps
{
	my ($n, $crowd) = @_;
	my $script = "SET feed.groups = '1,2,3,4'; SET lock_timeout = '1ms'; SET client_min_messages = error;\n";
	my @open;
	my $prepared = 0;
	for my $step (1 .. $n)
	{
		my $what = rand();
		if ($step % 100 == 1)
		{
			push @open, ++$prepared and $script .= "BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'p$prepared';\n" for 1 .. $crowd;
		}
		if ($what < 0.5)
		{
			my $name = $names[ rand(@names) ];
			my $c = $client{$name};
			my $lost = rand() < 0.1 ? 'true' : 'false';
			$script .= "SET feed.groups = '1,2'; SET ROLE feed_reader;\n";
			$script .= "SELECT feed.ask('$name', 'feed_api.$c->{of}', $c->{size}, $c->{filter}, $lost);\n";
			$script .= "RESET ROLE; SET feed.groups = '1,2,3,4';\n";
		}
		elsif ($what < 0.85)
		{
			$script .= change() . ";\n" for 0 .. int(rand(3));
		}
		elsif ($what < 0.92 && @open < $crowd + 5)
		{
			$script .= "BEGIN;\n" . join('', map { change() . ";\n" } 0 .. int(rand(3))) . "PREPARE TRANSACTION 'p" . ++$prepared . "';\n";
			push @open, $prepared;
		}
		elsif (@open)
		{
			$script .= (rand() < 0.8 ? 'COMMIT' : 'ROLLBACK') . " PREPARED 'p" . splice(@open, rand(@open), 1) . "';\n";
		}
		next unless $step % 100 == 0;
		$script .= "COMMIT PREPARED 'p$_';\n" foreach @open;
		@open = ();
		foreach my $name (@names)
		{
			my $c = $client{$name};
			my $every = $c->{of} eq 'every' ? 'true' : 'false';
			$script .= "SET feed.groups = '1,2'; SET ROLE feed_reader;\n";
			# to the end of the walk that it was on, and of another one
			$script .= "SELECT 'pages ' || feed.catch_up('$name', 'feed_api.$c->{of}', $c->{size}, $c->{filter});\n" x 2;
			$script .= "RESET ROLE;\n";
			$script .= "SELECT 'step $step: $name: ' || feed.differs('$name', '$c->{groups}', $every);\n";
		}
		$script .= "SET feed.groups = '1,2,3,4';\n";
	}
	return $script;
}

# With a resource that hides what is deleted, and then beside one that does not.
foreach my $round ([ 1, 0, 'items' ], [ 2, 0, 'items' ], [ 3, 75, 'items' ], [ 4, 0, 'items', 'every' ], [ 5, 70, 'items', 'every' ])
{
	my ($seed, $crowd, @resources) = @$round;
	$seed = $ENV{TASKAPI_FUZZ_SEED} + $seed if $ENV{TASKAPI_FUZZ_SEED};
	srand($seed);
	if ($resources[1])
	{
		$node->safe_psql('postgres', q{
			SET client_min_messages = error;
			SELECT taskapi.expose('feed.item', 'feed_api', 'every', soft_delete => false, changes => true,
			                      scope => 'group_id = ANY (feed.my_groups())');
			SELECT taskapi.grant_resource('feed_api.every', 'feed_reader', '{read}')});
	}
	@names = grep { my $of = $client{$_}{of}; grep { $_ eq $of } @resources } sort keys %client;
	$node->safe_psql('postgres', 'TRUNCATE feed.client, feed.copy');
	my ($rc, $out, $err) = $node->psql('postgres', steps(500, $crowd), on_error_stop => 0, extra_params => ['-q']);
	is(join("\n", grep { /^step/ } split /\n/, $out), '', "seed $seed: whoever followed @resources holds what there is");
	is(join("\n", grep { /ERROR/ && !/lock timeout|current transaction is aborted|prepared transaction with identifier|duplicate key|concurrent requests/ } split /\n/, $err), '', 'and met no error');
	my $pages = () = $out =~ /^(?:more|end|pages)/mg;
	note "$pages answers";
}
$node->stop;
done_testing();
