# A blocked subject is refused at once: in sessions that knew it, in transactions that run, on a standby, after a dump.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
# what it removed would end transactions on the standby that see it
$primary->append_conf('postgresql.conf', "autovacuum = off\n");
$primary->start;
$primary->safe_psql('postgres', 'CREATE EXTENSION taskapi');
my $key = $primary->safe_psql('postgres', q{SELECT taskapi.create_api_key('ann')});
my $session = $primary->safe_psql('postgres', q{SELECT taskapi.create_session('ann')});
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;

# How a request with each credential ends, in one statement of a session; 0 is let through.
my $try = qq{
	SELECT string_agg(coalesce(o, 0)::text, ' ' ORDER BY n) FROM (VALUES
		(1, '{}', '{"sub": "ann"}', ''), (2, '{"x-api-key": "$key"}', '', ''), (3, '{}', '', '{"__Host-session": "$session"}'),
		(4, '{}', '{"sub": "bob"}', '')) v (n, h, c, k), LATERAL public.try(h, c, k) o};
$primary->safe_psql(
	'postgres', q{
	CREATE FUNCTION public.try(headers text, claims text, cookies text) RETURNS int LANGUAGE plpgsql VOLATILE AS $$
	DECLARE
		detail text;
	BEGIN
		PERFORM set_config('request.method', 'GET', true), set_config('request.headers', headers, true),
			set_config('request.jwt.claims', claims, true), set_config('request.cookies', cookies, true);
		PERFORM taskapi.pre_request();
		RETURN 0;
	EXCEPTION WHEN SQLSTATE 'PGRST' THEN
		GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
		RETURN (detail::json ->> 'status')::int;
	END $$});
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));

my $warm = $primary->background_psql('postgres');
my $running = $primary->background_psql('postgres');
my $remote = $standby->background_psql('postgres');
my $remote_running = $standby->background_psql('postgres');
$running->query('BEGIN ISOLATION LEVEL REPEATABLE READ');
$remote_running->query('BEGIN ISOLATION LEVEL REPEATABLE READ');
is($_->query($try), '0 0 0 0', 'nobody is blocked') for $warm, $running, $remote, $remote_running;

sub everywhere
{
	my ($expected, $what) = @_;
	is($warm->query($try), $expected, "$what: in a warm session");
	is($running->query($try), $expected, "$what: in a transaction that had begun before");
	is($primary->safe_psql('postgres', $try), $expected, "$what: in a new session");
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
	is($remote->query($try), $expected, "$what: on a standby");
	is($remote_running->query($try), $expected, "$what: in a transaction on a standby");
	return;
}

my $blocker = $primary->background_psql('postgres');
$blocker->query(q{BEGIN; SELECT taskapi.block_subject('ann')});
everywhere('0 0 0 0', 'a block that is not committed');
$blocker->query('ROLLBACK');
everywhere('0 0 0 0', 'a block that was rolled back');
$primary->safe_psql('postgres', q{SELECT taskapi.block_subject('ann')});
everywhere('401 401 401 0', 'a block');
$primary->safe_psql('postgres', q{SELECT taskapi.block_subject('bob')});
everywhere('401 401 401 401', 'another one');
$primary->safe_psql('postgres', q{SELECT taskapi.unblock_subject('ann')});
everywhere('0 0 0 401', 'an unblocking');
$primary->safe_psql('postgres', q{SET session_replication_role = replica; SELECT taskapi.block_subject('ann')});
everywhere('401 401 401 401', 'a block that came by replication');
$_->quit for $warm, $running, $remote, $remote_running, $blocker;

# What a session keeps survives a table that it cannot read: however many subjects it has seen, and if it has seen none.
for my $seen (0, 1000)
{
	my $full = $primary->background_psql('postgres', on_error_stop => 0);
	$full->query("SELECT count(public.try('{}', format('{\"sub\": \"s%s\"}', n), '')) FROM generate_series(1, $seen) n");
	my $holder = $primary->background_psql('postgres');
	$holder->query('BEGIN; LOCK TABLE taskapi.blocked_subject');
	$full->query("SET lock_timeout = '100ms'");
	$full->query(q{SELECT public.try('{}', '{"sub": "one"}', '')}) for 1 .. 3;
	like($full->{stderr}, qr/canceling statement due to lock timeout/, "the table cannot be read, after $seen subjects");
	$full->{stderr} = '';
	# by a command whose answer says that the lock is gone: a session ends after its client
	$holder->query_safe('ROLLBACK');
	$holder->quit;
	is($full->query($try), '401 401 401 401', "and is read again, after $seen subjects");
	is($full->query(q{SELECT public.try('{}', '{"sub": "one"}', '')}), '0', 'with an answer for those who are not blocked');
	$full->quit;
}

# A restored database blocks whom the dumped one blocked.
$primary->safe_psql('postgres', 'CREATE DATABASE restored');
my $dump = $primary->data_dir . '/dump.sql';
$primary->command_ok([ 'pg_dump', '-f', $dump, '-d', $primary->connstr('postgres') ], 'the database is dumped');
$primary->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-d', $primary->connstr('restored') ], 'and restored');
is($primary->safe_psql('restored', $try), '401 401 401 401', 'with those who are blocked');

done_testing();
