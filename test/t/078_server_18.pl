# What PostgreSQL 18 has and earlier ones lack, with a trash: temporal keys are refused with the reason, keys that are NOT ENFORCED
# are no keys, and virtual generated columns are shown and computed.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('server_18');
$node->init;
$node->start;
plan skip_all => 'this is an older server' if $node->safe_psql('postgres', 'SHOW server_version_num') < 180000;

$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION taskapi;
	CREATE EXTENSION btree_gist;
	CREATE SCHEMA d;
	CREATE TABLE d.span (id int, valid daterange, PRIMARY KEY (id, valid WITHOUT OVERLAPS));
	CREATE TABLE d.room (id int PRIMARY KEY, no int, valid daterange, UNIQUE (no, valid WITHOUT OVERLAPS));
	CREATE TABLE d.stay (id int PRIMARY KEY, no int, valid daterange, FOREIGN KEY (no, PERIOD valid) REFERENCES d.room (no, PERIOD valid));
	CREATE TABLE d.base (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) VIRTUAL);
	CREATE TABLE d.loose (id int PRIMARY KEY, base int, CONSTRAINT loose_fk FOREIGN KEY (base) REFERENCES d.base ON DELETE CASCADE NOT ENFORCED);
	CREATE TABLE d.tight (id int PRIMARY KEY, base int REFERENCES d.base ON DELETE CASCADE, thrice int GENERATED ALWAYS AS (base * 3) VIRTUAL);
});

# The messages of a statement that fails, or what it returns.
sub outcome
{
	my ($sql) = @_;
	my ($out, $err) = ('', '');
	$node->psql('postgres', "SET client_min_messages = warning; $sql", stdout => \$out, stderr => \$err);
	return $err ne '' ? $err : $out;
}

like(outcome(q{SELECT taskapi.expose('d.span')}), qr/WITHOUT OVERLAPS/, 'a primary key WITHOUT OVERLAPS is refused with the reason');
like(outcome(q{SELECT taskapi.expose('d.stay')}), qr/^api\.stay$|period/i, 'a table that refers by a period to one that is none of ours');
like(outcome(q{SELECT taskapi.expose('d.room')}), qr/period/i, 'a table that is referred to by a period is refused with the reason');
is(outcome(q{SELECT count(*) FROM taskapi.resource WHERE source = 'd.room'::regclass}), '0', '... and nothing is left of it');

# A temporal key that comes later stops deletions, with the reason, and no other request.
outcome(q{CREATE TABLE d.late (id int PRIMARY KEY, no int, valid daterange, UNIQUE (no, valid WITHOUT OVERLAPS)); SELECT taskapi.expose('d.late');
	INSERT INTO api.late VALUES (1, 1, '[2020-01-01,2021-01-01)');
	CREATE TABLE d.later (id int PRIMARY KEY, no int, valid daterange, FOREIGN KEY (no, PERIOD valid) REFERENCES d.late (no, PERIOD valid))});
like(outcome(q{DELETE FROM api.late}), qr/period/, 'DELETE is refused, with the reason');
is(outcome(q{SELECT count(*) FROM api.late}), '1', 'reading is not');
outcome(q{DROP TABLE d.later});
is(outcome(q{DELETE FROM api.late RETURNING id}), '1', 'without that key, in the same database, it goes');

# NOT ENFORCED.
is(outcome(q{SELECT count(taskapi.expose(t)) FROM unnest('{d.base,d.loose,d.tight}'::regclass[]) t}), '3', 'exposed');
outcome(q{INSERT INTO api.base (id, a) VALUES (1, 10), (2, 20); INSERT INTO api.loose VALUES (1, 1), (2, 77); INSERT INTO api.tight (id, base) VALUES (1, 1), (2, 2)});
my $state = q{SELECT (SELECT count(*) FROM api.base) || ' ' || (SELECT count(*) FROM api.loose) || ' ' || (SELECT count(*) FROM api.tight)};
is(outcome(q{DELETE FROM api.base WHERE id = 1}), '', 'deleted');
is(outcome($state), '1 2 1', 'an enforced key takes along, one that is not enforced neither takes along nor keeps');
is(outcome(q{INSERT INTO api.loose VALUES (3, 1) RETURNING id}), '3', '... nor is a reference by it refused');
like(outcome(q{INSERT INTO api.tight (id, base) VALUES (3, 1)}), qr/invalid_reference/, '... as one by the other is');
outcome(q{UPDATE api.deleted_base SET deleted_at = NULL});
is(outcome($state), '2 3 2', 'restored');
outcome(q{DELETE FROM d.loose WHERE id IN (2, 3)});
is(outcome(q{ALTER TABLE d.loose ALTER CONSTRAINT loose_fk ENFORCED; DELETE FROM api.base WHERE id = 1;} . $state), '1 0 1', 'once it is enforced it counts');
outcome(q{DELETE FROM api.deleted_base WHERE id = 1});
is(outcome(q{SELECT (SELECT count(*) FROM d.base) || ' ' || (SELECT count(*) FROM d.loose) || ' ' || (SELECT count(*) FROM d.tight)}), '1 0 1', 'purged');

# Virtual generated columns.
is(outcome(q{INSERT INTO api.base (id, a) VALUES (3, 5) RETURNING twice}), '10', 'a virtual column is computed on INSERT');
is(outcome(q{UPDATE api.base SET a = 6 WHERE id = 3 RETURNING twice, version}), '12|2', '... on UPDATE');
is(outcome(q{SELECT thrice FROM api.tight WHERE id = 2}), '6', '... when it is read');
outcome(q{DELETE FROM api.base WHERE id = 3});
is(outcome(q{SELECT twice FROM api.deleted_base WHERE id = 3}), '12', '... in the trash');
is(outcome(q{UPDATE api.deleted_base SET deleted_at = NULL WHERE id = 3 RETURNING twice}), '12', '... and on restore');
is(outcome(q{UPDATE api.base SET a = a WHERE id = 3 RETURNING version - 4}), '0', 'a change that changes nothing is none');

# MERGE into a resource: a request with a key whose method it fits is refused, and changes nothing.
my $request = sub {
	my ($method, $key, $merge) = @_;
	return outcome(qq{BEGIN; SET LOCAL request.method = '$method'; SET LOCAL request.path = '/base'; SET LOCAL request.jwt.claims = '{"sub": "ann"}';
		SET LOCAL request.headers = '{$key}'; $merge; COMMIT; SELECT string_agg(id || ':' || a, ' ' ORDER BY id) FROM api.base});
};
my $kept = outcome(q{SELECT string_agg(id || ':' || a, ' ' ORDER BY id) FROM api.base});
my $source = q{MERGE INTO api.base b USING (VALUES (2, 21), (4, 41)) s (id, a) ON b.id = s.id};
my %merge = (
	POST => 'WHEN NOT MATCHED THEN INSERT (id, a) VALUES (s.id, s.a)',
	PATCH => 'WHEN MATCHED THEN UPDATE SET a = s.a',
	DELETE => 'WHEN MATCHED THEN DELETE');
my $all = 'WHEN MATCHED AND s.a > 30 THEN DELETE WHEN MATCHED THEN UPDATE SET a = s.a WHEN NOT MATCHED THEN INSERT (id, a) VALUES (s.id, s.a)';
foreach my $case (map({ [ $_, $merge{$_} ] } sort keys %merge), [ 'POST', $all ])
{
	like($request->($case->[0], '"idempotency-key": "merge"', "$source $case->[1]"), qr/idempotency_key_invalid/, "MERGE with a key is refused: $case->[0], $case->[1]");
	is(outcome(q{SELECT string_agg(id || ':' || a, ' ' ORDER BY id) FROM api.base}), $kept, '... and changes nothing');
}
is($request->('POST', '', "$source $all"), '2:21 3:6 4:41', 'without one it runs');
is(outcome(q{SELECT count(*) FROM taskapi.idempotency_key}), '0', 'no key was stored');

# MERGE on a trash does to each row what its action says, and nothing to the others.
outcome(q{INSERT INTO d.base (id, a, deleted_at, deletion_id) SELECT i, i, now(), taskapi.uuidv7() FROM generate_series(11, 16) i});
my $trash = q{SELECT coalesce(string_agg(id || CASE WHEN deleted_at IS NULL THEN '+' ELSE '-' END, ' ' ORDER BY id), '') FROM d.base WHERE id > 10};
outcome(q{MERGE INTO api.deleted_base d USING (VALUES (11), (12), (13)) s (id) ON d.id = s.id
	WHEN NOT MATCHED BY SOURCE AND d.id = 16 THEN DELETE WHEN MATCHED THEN DO NOTHING});
is(outcome($trash), '11- 12- 13- 14- 15-', 'MERGE on the trash purges the row that it names');
outcome(q{MERGE INTO api.deleted_base d USING (VALUES (11, 'purge'), (12, 'restore'), (13, 'nothing')) s (id, act) ON d.id = s.id
	WHEN MATCHED AND s.act = 'purge' THEN DELETE WHEN MATCHED AND s.act = 'restore' THEN UPDATE SET deleted_at = NULL WHEN MATCHED THEN DO NOTHING});
is(outcome($trash), '12+ 13- 14- 15-', '... restores one, and leaves the others');

$node->stop;
done_testing();
