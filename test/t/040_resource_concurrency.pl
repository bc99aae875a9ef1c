# Many sessions at once: no update is lost, with a version or without, and no live child is left under a deleted parent.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('resource');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\nsynchronous_commit = off\ndeadlock_timeout = 50ms\n");
$node->start;

sub hammer
{
	my ($name, $clients, $transactions, $script) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir . "/$name.sql";
	open my $fh, '>', $file or die "$file: $!";
	print $fh $script;
	close $fh;
	my ($out, $err) = ('', '');
	my $ok = IPC::Run::run(
		[ 'pgbench', '-n', '-c', $clients, '-j', 2, '-t', $transactions, '--max-tries=100000', '-f', $file, '-p', $node->port, '-h', $node->host, 'postgres' ],
		'>', \$out, '2>', \$err);
	diag($err) unless $ok;
	ok($ok, "$name: $clients clients run through");
	return;
}

$node->safe_psql('postgres', q{
	CREATE EXTENSION taskapi;
	CREATE TABLE item (id int PRIMARY KEY, a int NOT NULL DEFAULT 0, b int NOT NULL DEFAULT 0);
	SELECT taskapi.expose('item');
	INSERT INTO api.item SELECT generate_series(1, 3);
	CREATE SEQUENCE won;
	-- Reads, and writes what it read plus one, provided that the version is still the same.
	CREATE FUNCTION optimistic(which int) RETURNS void LANGUAGE plpgsql AS $$
	DECLARE
		seen api.item;
	BEGIN
		SELECT * INTO seen FROM api.item WHERE id = which;
		UPDATE api.item SET a = seen.a + 1, version = seen.version WHERE id = which;
		PERFORM nextval('won');
	EXCEPTION WHEN SQLSTATE 'PT412' THEN
		NULL;
	END
	$$;
});

# Outside a request try_again has the SQLSTATE of a serialization failure, which pgbench tries again.
hammer('increments', 6, 150, q{
\set id random(1, 3)
UPDATE api.item SET a = a + 1 WHERE id = :id;
});
is($node->safe_psql('postgres', 'SELECT sum(a), sum(version) - 3 FROM item'), '900|900', 'every increment counts, and every one is a version');

hammer('two columns', 6, 150, q{
\set id random(1, 3)
\set which random(0, 1)
\if :which
UPDATE api.item SET a = a - 1 WHERE id = :id;
\else
UPDATE api.item SET b = b + 1 WHERE id = :id;
\endif
});
is($node->safe_psql('postgres', 'SELECT 900 - sum(a) + sum(b), sum(version) - 3 FROM item'), '900|1800', 'writers of different columns keep each other\'s');

$node->safe_psql('postgres', 'UPDATE item SET a = 0');
hammer('optimistic', 6, 150, q{
\set id random(1, 3)
SELECT optimistic(:id);
});
is($node->safe_psql('postgres', 'SELECT sum(a) = (SELECT last_value FROM won), sum(a) > 0 FROM item'), 't|t', 'with a version, exactly those who were told so have won');

# Whoever may delete and restore is never told that he may not, though the row comes and goes between two looks at it.
$node->safe_psql('postgres', q{
	CREATE TABLE flag (id int PRIMARY KEY);
	SELECT taskapi.expose('flag');
	INSERT INTO api.flag VALUES (1);
	CREATE TABLE flapped (outcome text);
	CREATE FUNCTION flap(back bool) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF back THEN UPDATE api.deleted_flag SET deleted_at = NULL; ELSE DELETE FROM api.flag; END IF;
		INSERT INTO flapped VALUES ('done');
	EXCEPTION WHEN OTHERS THEN
		INSERT INTO flapped VALUES (SQLSTATE);
	END
	$$;
});
hammer('flag', 8, 300, q{
\set back random(0, 1)
SELECT flap(:back = 1);
});
is($node->safe_psql('postgres', q{SELECT count(*) > 0, count(*) FILTER (WHERE outcome = 'PT403') FROM flapped}), 't|0', 'a row that comes and goes is not forbidden');

# Everything that may happen to three generations, at random.
$node->safe_psql('postgres', q{
	CREATE TABLE parent (id int PRIMARY KEY);
	CREATE TABLE child (id serial PRIMARY KEY, parent_id int REFERENCES parent ON DELETE CASCADE);
	CREATE TABLE grandchild (id serial PRIMARY KEY, child_id int REFERENCES child ON DELETE CASCADE);
	CREATE INDEX ON child (parent_id);
	CREATE INDEX ON grandchild (child_id);
	SELECT taskapi.expose('parent'), taskapi.expose('child'), taskapi.expose('grandchild');
	INSERT INTO api.parent SELECT generate_series(1, 4);
	CREATE TABLE done (what text, outcome text);
	CREATE FUNCTION happen(action int, which int, pick float8) RETURNS void LANGUAGE plpgsql AS $$
	DECLARE
		what text := (ARRAY['delete parent', 'insert child', 'insert child', 'insert grandchild', 'insert grandchild', 'restore parent',
							'delete child', 'restore child', 'purge', 'insert parent', 'round'])[action];
		victim int := (SELECT id FROM child OFFSET floor(pick * (SELECT count(*) FROM child)) LIMIT 1);
	BEGIN
		CASE what
			WHEN 'delete parent' THEN DELETE FROM api.parent WHERE id = which;
			WHEN 'insert child' THEN INSERT INTO api.child (parent_id) VALUES (which);
			WHEN 'insert grandchild' THEN INSERT INTO api.grandchild (child_id) VALUES (victim);
			WHEN 'restore parent' THEN UPDATE api.deleted_parent SET deleted_at = NULL WHERE id = which;
			WHEN 'delete child' THEN DELETE FROM api.child WHERE id = victim;
			WHEN 'restore child' THEN UPDATE api.deleted_child SET deleted_at = NULL WHERE id = victim;
			WHEN 'purge' THEN DELETE FROM api.deleted_parent WHERE id = which;
			WHEN 'insert parent' THEN INSERT INTO api.parent VALUES (which);
			WHEN 'round' THEN INSERT INTO child (parent_id) VALUES (which);
		END CASE;
		INSERT INTO done VALUES (what, 'done');
	EXCEPTION WHEN OTHERS THEN
		INSERT INTO done VALUES (what, SQLSTATE);
	END
	$$;
});
hammer('generations', 8, 200, q{
\set action random(1, 11)
\set which random(1, 4)
\set pick random(0, 999)
SELECT happen(:action, :which, :pick / 1000.0);
});
is($node->safe_psql('postgres', q{
	SELECT count(*) FROM child c JOIN parent p ON p.id = c.parent_id WHERE c.deleted_at IS NULL AND p.deleted_at IS NOT NULL}),
	0, 'no live child is under a deleted parent');
is($node->safe_psql('postgres', q{
	SELECT count(*) FROM grandchild g JOIN child c ON c.id = g.child_id WHERE g.deleted_at IS NULL AND c.deleted_at IS NOT NULL}),
	0, 'nor a grandchild under a deleted child');
is($node->safe_psql('postgres', q{
	SELECT string_agg(DISTINCT outcome, ' ' ORDER BY outcome) FROM done
	WHERE outcome NOT IN ('done', '23503', '23505', '40001', '40P01', 'PT409', '23502')}),
	'', 'and nothing failed but with a problem');
is($node->safe_psql('postgres', q{SELECT count(*) FROM (SELECT what FROM done WHERE outcome = 'done' GROUP BY what) d}), 9, 'everything happened');

$node->stop;
done_testing();
