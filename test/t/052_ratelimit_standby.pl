# A hot standby limits, too, and counts apart; policies reach it by replication.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->start;
$primary->safe_psql('postgres', q{
	CREATE EXTENSION taskapi;
	INSERT INTO taskapi.rate_limit_policy (name, rate, per) VALUES ('p', 10, '1 day');
});
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);

is($standby->safe_psql('postgres', 'SELECT pg_is_in_recovery()'), 't', 'the standby is one');
is($primary->safe_psql('postgres', q{SELECT remaining FROM taskapi.rate_limit('k', 10, '1 day', cost => 4)}), 6, 'the primary charges');
is($standby->safe_psql('postgres', q{SELECT remaining FROM taskapi.rate_limit('k', 10, '1 day', cost => 3)}), 7, 'the standby charges its own');
is($primary->safe_psql('postgres', q{SELECT remaining FROM taskapi.rate_limit_peek('k', 10, '1 day')}), 6, 'and not the primary');
is($standby->safe_psql('postgres', q{SELECT count(*) FILTER (WHERE allowed) FROM generate_series(1, 20) i, taskapi.rate_limit('d', 5, '1 day', cost => least(i, 1))}),
	5, 'the standby denies');

# One session of each stays open, so that its cache has to learn of the change.
my $other = $primary->background_psql('postgres');
is($other->query(q{SELECT "limit" FROM taskapi.rate_limit_status('{"p": "s"}')}), '10', 'a session of the primary knows the policy');
my $session = $standby->background_psql('postgres');
is($session->query(q{SELECT "limit", remaining FROM taskapi.check_rate_limits('{"p": "s"}')}), '10|9', 'the standby knows the policy');
$primary->safe_psql('postgres', q{UPDATE taskapi.rate_limit_policy SET rate = 20});
$primary->wait_for_catchup($standby);
is($session->query(q{SELECT "limit", remaining FROM taskapi.check_rate_limits('{"p": "s"}')}), '20|17',
	'a change on the primary reaches an open session of the standby');
$session->quit;
is($other->query(q{SELECT "limit" FROM taskapi.rate_limit_status('{"p": "s"}')}), '20', 'and an open session of the primary');
$other->quit;

is($standby->safe_psql('postgres', 'SELECT taskapi.save_rate_limits()'), 3, 'the standby saves');
$standby->restart;
is($standby->safe_psql('postgres', q{SELECT remaining FROM taskapi.rate_limit_peek('k', 10, '1 day')}), 7, 'and loads');
$standby->promote;
is($standby->safe_psql('postgres', q{SELECT remaining FROM taskapi.rate_limit('k', 10, '1 day')}), 6, 'and keeps its limits when promoted');

$standby->stop;
$primary->stop;
done_testing();
