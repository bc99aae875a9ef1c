# A page of changes takes memory for what it tells, and not for what it looks at.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use Test::More;

plan skip_all => 'the peak of a process is read from /proc' unless -e '/proc/self/status';
my $node = PostgreSQL::Test::Cluster->new('feed_memory');
$node->init;
# so that the buffers that are looked at are few, and do not count
$node->append_conf('postgresql.conf', "shared_buffers = 1MB\nmax_connections = 10\njit = off\nautovacuum = off\n");
$node->start;
$node->safe_psql('postgres', q{
	SET client_min_messages = warning;
	CREATE EXTENSION taskapi;
	CREATE SCHEMA api;
	CREATE TABLE doc (name text, part int, PRIMARY KEY (name, part));
	SELECT taskapi.expose('doc', changes => true);
	CREATE INDEX ON doc (changed, name, part);
	INSERT INTO doc SELECT md5(n::text), n FROM generate_series(1, 12000) n;
	CREATE TABLE token AS SELECT next_page_token AS token FROM taskapi.changes('api.doc', 'latest');
	DELETE FROM doc});
$node->safe_psql('postgres', 'INSERT INTO doc SELECT md5(n::text), n FROM generate_series(1, 12000) n');

# All rows have departed, and are there again: so 10,000 departures are looked at for a page of nothing.
my ($before, $told, $after) = split /\n/, $node->safe_psql('postgres', q{
	SELECT pg_backend_pid() AS pid, token FROM token \gset
	SELECT taskapi.changes('api.doc', :'token', 1) \g /dev/null
	SELECT substring(pg_read_file('/proc/' || :'pid' || '/status') FROM 'VmHWM:\s*(\d+) kB');
	SELECT json_array_length(items) || ' ' || json_array_length(removed) || ' ' || has_more FROM taskapi.changes('api.doc', :'token', 1000);
	SELECT substring(pg_read_file('/proc/' || :'pid' || '/status') FROM 'VmHWM:\s*(\d+) kB')});
is($told, '0 0 true', 'nothing to tell in what was read');
cmp_ok($after - $before, '<', 8 * 1024, 'which took ' . ($after - $before) . ' kB');

done_testing();
