# Each action of grant_resource() grants what the table in docs/security.md says, by the catalog, and nothing else.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('actions');
$node->init;
$node->start;
$node->safe_psql(
	'postgres', q{
	SET client_min_messages = warning;
	CREATE EXTENSION taskapi;
	CREATE SCHEMA data;
	CREATE TABLE data.item (id serial PRIMARY KEY, body text, twice int GENERATED ALWAYS AS (length(body) * 2) STORED, secret text);
	COMMENT ON COLUMN data.item.secret IS '@private';
	SELECT taskapi.expose('data.item')});

my %documented = slurp_file('docs/security.md') =~ /^\| `(\w+)` \| ((?:[A-Z]+ (?:\([^)]*\) )?on [^|]*)) \|$/mg;
is(join(' ', sort keys %documented), 'create delete purge read read_deleted restore update', 'docs/security.md has every action');
for my $action (sort keys %documented)
{
	my $held = $node->safe_psql(
		'postgres', qq{
		CREATE ROLE "$action"; SELECT taskapi.grant_resource('api.item', '"$action"', '{$action}') \\g /dev/null
		SELECT string_agg(g, '; ' ORDER BY g COLLATE "C") FROM (
			SELECT a.privilege_type || ' (' || replace(replace(string_agg(t.attname, ', ' ORDER BY t.attnum), 'id, body, twice, version, updated_at', 'SHOWN'), 'id, body', 'WRITTEN')
				|| ') on ' || CASE WHEN c.relname = 'item' AND c.relkind = 'r' THEN 'TABLE' ELSE replace(c.relname, 'item', 'RESOURCE') END
			FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a WHERE a.grantee = '"$action"'::regrole GROUP BY c.oid, c.relname, c.relkind, a.privilege_type
			UNION ALL SELECT a.privilege_type || ' on ' || CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'S' THEN 'SEQUENCE' ELSE replace(c.relname, 'item', 'RESOURCE') END
			FROM pg_class c, aclexplode(c.relacl) a WHERE a.grantee = '"$action"'::regrole
			UNION ALL SELECT a.privilege_type || ' on ' || replace(p.proname, 'item', 'RESOURCE') || '()'
			FROM pg_proc p, aclexplode(p.proacl) a WHERE a.grantee = '"$action"'::regrole) x (g)});
	is($held, $documented{$action}, $action);
	is($node->safe_psql('postgres', qq{SELECT string_agg(n.nspname || ' ' || a.privilege_type || ' ' || a.is_grantable, ', ' ORDER BY n.nspname)
		FROM pg_namespace n, aclexplode(n.nspacl) a WHERE a.grantee = '"$action"'::regrole}), 'api USAGE false, data USAGE false', "$action: USAGE of the two schemas");
}

$node->stop;
done_testing();
