# The guard speaks of a migration if, and only if, it reads or rewrites a table under a lock that keeps its writers waiting, or takes a name from clients: for the documented cases of squawk, strong_migrations and pgroll, each with the lock, the reading and the rewrite that the server really shows.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\nlog_statement = none\n");
$node->start;
my $major = $node->safe_psql('postgres', q{SELECT current_setting('server_version_num')::int / 10000});
$node->safe_psql('postgres', q{
	CREATE EXTENSION taskapi;
	CREATE SCHEMA shop;
	CREATE DOMAIN shop.positive AS int;
	CREATE TABLE shop.customer (id int PRIMARY KEY);
	CREATE TABLE shop.t (id int NOT NULL, a int, b text, c varchar(20), d int, e int, f timestamptz, p shop.positive, j json, r int4range, g int);
	INSERT INTO shop.t SELECT n, n, 'x', 'y', n, n, now(), n, '{}', int4range(n, n + 1), n FROM generate_series(1, 1000) n;
	INSERT INTO shop.customer SELECT n FROM generate_series(1, 1000) n;
	CREATE INDEX t_b ON shop.t (b);
	CREATE UNIQUE INDEX t_id ON shop.t (id);
	CREATE UNIQUE INDEX t_a ON shop.t (a);
	CREATE UNIQUE INDEX t_d ON shop.t (d);
	ALTER TABLE shop.t ADD CONSTRAINT d_not_null CHECK (d IS NOT NULL AND d > 0), ADD CONSTRAINT e_not_null CHECK (e IS NOT NULL) NOT VALID,
		ADD CONSTRAINT g_positive CHECK (g > 0), ADD CONSTRAINT a_unchecked CHECK (a > 0) NOT VALID;
	CREATE TABLE shop.part (id int, day int, CONSTRAINT part_key UNIQUE (id, day)) PARTITION BY RANGE (day);
	CREATE TABLE shop.part_1 PARTITION OF shop.part FOR VALUES FROM (1) TO (2);
	CREATE TABLE shop.part_2 (id int, day int NOT NULL);
	CREATE TABLE shop.part_3 (id int, day int NOT NULL, CONSTRAINT bounds CHECK (day >= 3 AND day < 4), UNIQUE (id, day));
	CREATE TABLE shop.part_4 (id int, day int NOT NULL, CONSTRAINT bounds CHECK (day >= 3 AND day < 4), UNIQUE (day, id));
	CREATE TABLE shop.part_default PARTITION OF shop.part DEFAULT;
	ALTER TABLE shop.part_default ADD CONSTRAINT no_3 CHECK (day IS NOT NULL AND NOT (day >= 3 AND day < 4));
	CREATE TABLE shop.range (id int, day int) PARTITION BY RANGE (day);
	CREATE TABLE shop.range_default PARTITION OF shop.range DEFAULT;
	CREATE TABLE shop.ref (id int, day int) PARTITION BY RANGE (day);
	CREATE TABLE shop.ref_1 PARTITION OF shop.ref DEFAULT;
	INSERT INTO shop.ref SELECT n, 1 FROM generate_series(1, 100) n;
	ALTER TABLE shop.ref_1 ADD FOREIGN KEY (id) REFERENCES shop.customer;
	CREATE MATERIALIZED VIEW shop.sums AS SELECT count(*) AS n FROM shop.t;
	INSERT INTO shop.part SELECT n, 1 FROM generate_series(1, 100) n;
	INSERT INTO shop.range SELECT n, 1 FROM generate_series(1, 100) n;
	INSERT INTO shop.part_2 VALUES (1, 2);
	INSERT INTO shop.part_3 VALUES (1, 3);
	INSERT INTO shop.part_4 VALUES (1, 3);
	CREATE TABLE shop.orders (id int PRIMARY KEY, total int, hidden int);
	COMMENT ON COLUMN shop.orders.hidden IS '@private';
	SELECT taskapi.expose('shop.orders');
	SELECT taskapi.guard_migrations('warn', '0')});

# What one statement says and does, in a transaction that is rolled back: the guard's words, the strongest lock on the table, and
# whether the table was read and rewritten.
my %rank = map { my $n = $_->[0]; ($_->[1] => $n) } ([1, 'AccessShareLock'], [2, 'RowShareLock'], [3, 'RowExclusiveLock'], [4, 'ShareUpdateExclusiveLock'], [5, 'ShareLock'], [6, 'ShareRowExclusiveLock'], [7, 'ExclusiveLock'], [8, 'AccessExclusiveLock']);
sub try
{
	my ($sql, $table) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', qq{
		\\set VERBOSITY default
		SELECT '$table'::regclass::oid AS relid, pg_relation_filenode('$table') AS file \\gset
		BEGIN;
		$sql;
		SELECT 'seen', (SELECT string_agg(mode, ',') FROM pg_locks WHERE pid = pg_backend_pid() AND relation = :relid AND granted),
			pg_stat_get_xact_numscans(:relid) > 0, pg_relation_filenode(:relid) <> :file;
		ROLLBACK}, on_error_stop => 1);
	my ($locks, $read, $rewritten) = $out =~ /^seen\|(.*)\|(.*)\|(.*)$/m;
	my ($lock) = sort { $rank{$b} <=> $rank{$a} } split /,/, $locks // '';
	return { rc => $rc, error => $err, said => join('', $err =~ /^(?:psql:.*?)?WARNING:  (.*)$/mg), hint => join('', $err =~ /^HINT:  (.*)$/mg),
		lock => $lock // 'none', read => ($read // '') eq 't', rewritten => ($rewritten // '') eq 't' };
}

# from: where the case is known from. says: a part of what the guard says, undef for nothing. The table is shop.t unless said.
my @cases = (
	# adding a column
	['squawk adding-field-with-default, strong_migrations: a constant default', 'ALTER TABLE shop.t ADD x int DEFAULT 5', undef],
	['a default that is the same in all rows', 'ALTER TABLE shop.t ADD x timestamptz DEFAULT now()', undef],
	['strong_migrations: a volatile default', 'ALTER TABLE shop.t ADD x float DEFAULT random()', 'rewritten'],
	['squawk adding-serial-primary-key-field, strong_migrations: an auto-incrementing column', 'ALTER TABLE shop.t ADD x bigserial', 'rewritten'],
	['an identity column', 'ALTER TABLE shop.t ADD x int GENERATED ALWAYS AS IDENTITY', 'rewritten'],
	['squawk adding-field-with-default, strong_migrations: a stored generated column', 'ALTER TABLE shop.t ADD x int GENERATED ALWAYS AS (a * 2) STORED', 'rewritten'],
	['squawk adding-required-field: NOT NULL with a constant default', 'ALTER TABLE shop.t ADD x int NOT NULL DEFAULT 0', undef],
	['pgroll add_column: with a CHECK', 'ALTER TABLE shop.t ADD x int CHECK (x > 0)', 'reads table'],
	['pgroll add_column: unique', 'ALTER TABLE shop.t ADD x int UNIQUE', 'builds an index'],
	['squawk adding-serial-primary-key-field: a primary key', 'ALTER TABLE shop.t ADD x int PRIMARY KEY DEFAULT 0', 'builds an index', may_fail => 1],
	['strong_migrations: a reference', 'ALTER TABLE shop.t ADD x int REFERENCES shop.customer', undef],
	['a reference with a value', 'ALTER TABLE shop.t ADD x int DEFAULT 1 REFERENCES shop.customer', 'compared'],
	['strong_migrations: a json column', 'ALTER TABLE shop.t ADD x json', undef],
	['a domain with a CHECK', 'CREATE DOMAIN pg_temp.even AS int CHECK (VALUE % 2 = 0); ALTER TABLE shop.t ADD x pg_temp.even', 'rewritten'],

	# types
	['squawk changing-column-type: int to bigint', 'ALTER TABLE shop.t ALTER a TYPE bigint', 'rewritten'],
	['strong_migrations: varchar to text', 'ALTER TABLE shop.t ALTER c TYPE text', undef],
	['strong_migrations: a longer varchar', 'ALTER TABLE shop.t ALTER c TYPE varchar(40)', undef],
	['strong_migrations: a shorter varchar', 'ALTER TABLE shop.t ALTER c TYPE varchar(5)', 'rewritten'],
	['strong_migrations: timestamptz to timestamp in UTC', q{SET LOCAL TimeZone = 'UTC'; ALTER TABLE shop.t ALTER f TYPE timestamp}, undef],
	['pgroll alter_column: with USING', 'ALTER TABLE shop.t ALTER b TYPE int USING length(b)', 'rewritten'],
	['squawk ban-char-field', 'ALTER TABLE shop.t ALTER b TYPE char(3)', 'rewritten'],
	['a collation', 'ALTER TABLE shop.t ALTER b TYPE text COLLATE "C"', undef, only_index => 1],

	# constraints
	['squawk constraint-missing-not-valid, strong_migrations: a CHECK', 'ALTER TABLE shop.t ADD CHECK (a > 0)', 'reads table'],
	['the same NOT VALID', 'ALTER TABLE shop.t ADD CHECK (a > 0) NOT VALID', undef],
	['validated by itself', 'ALTER TABLE shop.t VALIDATE CONSTRAINT a_unchecked', undef],
	['strong_migrations: validated in the transaction that adds it', 'ALTER TABLE shop.t ADD CONSTRAINT k CHECK (a > 0) NOT VALID; ALTER TABLE shop.t VALIDATE CONSTRAINT k', 'keeps waiting'],
	['squawk adding-foreign-key-constraint, strong_migrations: a foreign key', 'ALTER TABLE shop.t ADD FOREIGN KEY (a) REFERENCES shop.customer', 'compared'],
	['the same, as the other table sees it', 'ALTER TABLE shop.t ADD FOREIGN KEY (a) REFERENCES shop.customer', 'compared', table => 'shop.customer'],
	['the same NOT VALID', 'ALTER TABLE shop.t ADD FOREIGN KEY (a) REFERENCES shop.customer NOT VALID', undef],
	['squawk adding-not-nullable-field, strong_migrations: SET NOT NULL', 'ALTER TABLE shop.t ALTER a SET NOT NULL', 'NOT NULL'],
	['which it is already', 'ALTER TABLE shop.t ALTER id SET NOT NULL', undef],
	['strong_migrations: SET NOT NULL after a CHECK', 'ALTER TABLE shop.t ALTER d SET NOT NULL', undef],
	['after a CHECK that is not valid', 'ALTER TABLE shop.t ALTER e SET NOT NULL', 'NOT NULL'],
	['after a CHECK that lets NULL pass', 'ALTER TABLE shop.t ALTER g SET NOT NULL', 'NOT NULL'],
	['squawk ban-drop-not-null', 'ALTER TABLE shop.t ALTER id DROP NOT NULL', undef],
	['squawk disallowed-unique-constraint, strong_migrations: a unique constraint', 'ALTER TABLE shop.t ADD UNIQUE (a)', 'builds an index'],
	['the same USING INDEX', 'ALTER TABLE shop.t ADD UNIQUE USING INDEX t_a', undef],
	['a primary key', 'ALTER TABLE shop.t ADD PRIMARY KEY (id)', 'builds an index'],
	['the same USING INDEX', 'ALTER TABLE shop.t ADD PRIMARY KEY USING INDEX t_id', undef],
	['USING INDEX over a column that may be NULL', 'ALTER TABLE shop.t ADD PRIMARY KEY USING INDEX t_a', 'may have NULLs'],
	['USING INDEX over a column whose CHECK says that it is not', 'ALTER TABLE shop.t ADD PRIMARY KEY USING INDEX t_d', undef],
	['strong_migrations: an exclusion constraint', 'ALTER TABLE shop.t ADD EXCLUDE USING gist (r WITH &&)', 'builds an index'],
	['pgroll drop_constraint', 'ALTER TABLE shop.t DROP CONSTRAINT d_not_null', undef],
	['squawk ban-alter-domain-with-add-constraint', 'ALTER DOMAIN shop.positive ADD CHECK (VALUE > 0)', 'domain'],
	['the same NOT VALID', 'ALTER DOMAIN shop.positive ADD CHECK (VALUE > 0) NOT VALID', undef],
	['NOT NULL of a domain', 'ALTER DOMAIN shop.positive SET NOT NULL', 'domain'],

	# indexes
	['squawk require-concurrent-index-creation, strong_migrations: an index', 'CREATE INDEX ON shop.t (a)', 'creating an index'],
	['an index that is there', 'CREATE INDEX IF NOT EXISTS t_b ON shop.t (b)', undef],
	['squawk require-concurrent-index-deletion', 'DROP INDEX shop.t_b', 'dropping index', moment => 1],
	['refreshing', 'REFRESH MATERIALIZED VIEW shop.sums', 'refreshing', table => 'shop.sums'],
	['pgroll set_replica_identity', 'ALTER TABLE shop.t REPLICA IDENTITY USING INDEX t_id', undef],

	# the rest of ALTER TABLE
	['strong_migrations: a default for an existing column', 'ALTER TABLE shop.t ALTER a SET DEFAULT 7', undef],
	['persistence', 'ALTER TABLE shop.t SET UNLOGGED', 'rewritten'],
	['another tablespace, if it is the same', 'ALTER TABLE shop.t SET TABLESPACE pg_default', 'tablespace', moment => 1],
	['storage', 'ALTER TABLE shop.t ALTER b SET STORAGE EXTERNAL', undef],
	['statistics', 'ALTER TABLE shop.t ALTER b SET STATISTICS 500', undef],
	['squawk renaming-column, of a table without a resource', 'ALTER TABLE shop.t RENAME a TO z', undef],
	['squawk renaming-table, of a table without a resource', 'ALTER TABLE shop.t RENAME TO z', undef],
	['squawk ban-drop-column, of a table without a resource', 'ALTER TABLE shop.t DROP a', undef],
	['squawk ban-drop-table, of a table without a resource', 'DROP MATERIALIZED VIEW shop.sums; DROP TABLE shop.t', undef],

	# partitions
	['an index on a partitioned table', 'CREATE INDEX ON shop.part (id)', 'ON ONLY', table => 'shop.part_1'],
	['on it only', 'CREATE INDEX ON ONLY shop.part (id)', undef, table => 'shop.part_1'],
	['a foreign key of a partitioned table', 'ALTER TABLE shop.part ADD FOREIGN KEY (id) REFERENCES shop.customer', 'compared', table => 'shop.part_1'],
	['which its partitions have already', 'ALTER TABLE shop.ref ADD FOREIGN KEY (id) REFERENCES shop.customer', undef, table => 'shop.ref_1'],
	['a unique constraint', 'ALTER TABLE shop.part ADD UNIQUE (day, id)', 'ALTER TABLE ONLY', table => 'shop.part_1'],
	['on it only', 'ALTER TABLE ONLY shop.part ADD UNIQUE (day, id)', undef, table => 'shop.part_1'],
	['SET NOT NULL', 'ALTER TABLE shop.part ALTER id SET NOT NULL', 'NOT NULL', table => 'shop.part_1'],
	['a volatile default', 'ALTER TABLE shop.part ADD x float DEFAULT random()', 'rewritten', table => 'shop.part_1'],
	['a partition without a CHECK', 'ALTER TABLE shop.part ATTACH PARTITION shop.part_2 FOR VALUES FROM (2) TO (3)', 'attaching', table => 'shop.part_2'],
	['with one, as the default partition has too', 'ALTER TABLE shop.part ATTACH PARTITION shop.part_3 FOR VALUES FROM (3) TO (4)', undef, table => 'shop.part_3'],
	['without an index of the partitioned table\'s', 'ALTER TABLE shop.part ATTACH PARTITION shop.part_4 FOR VALUES FROM (3) TO (4)', 'builds an index', table => 'shop.part_4'],
	['as the default partition sees it', 'ALTER TABLE shop.part ATTACH PARTITION shop.part_3 FOR VALUES FROM (3) TO (4)', undef, table => 'shop.part_default'],
	['a new partition beside a default one', 'CREATE TABLE shop.range_2 PARTITION OF shop.range FOR VALUES FROM (2) TO (3)', 'default partition', table => 'shop.range_default'],
	['a partition less', 'ALTER TABLE shop.part DETACH PARTITION shop.part_1', undef, table => 'shop.part_1'],

	# what is nobody's
	['a table of this transaction', 'CREATE TABLE shop.fresh (id int); INSERT INTO shop.fresh VALUES (1); CREATE INDEX ON shop.fresh (id); ALTER TABLE shop.fresh ALTER id SET NOT NULL, ALTER id TYPE bigint', undef],
	['CREATE TABLE AS', 'CREATE TABLE shop.fresh AS SELECT 1 AS id; ALTER TABLE shop.fresh ADD PRIMARY KEY (id)', undef],
	['a table of before that this transaction has altered', 'ALTER TABLE shop.t ADD x int; CREATE INDEX ON shop.t (a)', 'creating an index'],
	['a temporary table', 'CREATE TEMP TABLE fresh (id int); COMMIT; BEGIN; CREATE INDEX ON fresh (id)', undef],
	['turned off', 'SET LOCAL taskapi.migration_guard = off; CREATE INDEX ON shop.t (a)', undef, off => 1],
	['in a DO block', 'DO $$ BEGIN CREATE INDEX ON shop.t (a); END $$', 'creating an index'],

	# names that clients use
	['squawk renaming-column', 'ALTER TABLE shop.orders RENAME total TO sum', 'has a name that clients', name => 1],
	['of the resource', 'ALTER VIEW api.orders RENAME total TO sum', 'has a name that clients', name => 1],
	['of a column that no client sees', 'ALTER TABLE shop.orders RENAME hidden TO secret', undef],
	['squawk renaming-table, of the resource', 'ALTER VIEW api.orders RENAME TO sales', 'has a name that clients', name => 1],
	['of its table, which clients do not see', 'ALTER TABLE shop.orders RENAME TO sales', undef],
	['into another schema', 'ALTER VIEW api.orders SET SCHEMA public', 'in a schema', name => 1],
	['squawk ban-drop-column', 'ALTER TABLE shop.orders DROP total CASCADE', 'is shown', name => 1],
	['of a column that no client sees', 'ALTER TABLE shop.orders DROP hidden', undef],
	['squawk ban-drop-table', 'DROP TABLE shop.orders CASCADE', 'would be dropped', name => 1],
	['strong_migrations: a view', 'DROP VIEW api.orders CASCADE', 'would be dropped', name => 1],
	['the schema', 'DROP SCHEMA api CASCADE', 'would be dropped', name => 1],
	['expose again', q{SELECT taskapi.expose('shop.orders', order_by => 'total')}, undef],
	['unexpose', q{SELECT taskapi.unexpose('api.orders')}, undef]);
push @cases, $major < 18 ? ()
  : (['NOT NULL, NOT VALID', 'ALTER TABLE shop.t ADD CONSTRAINT n NOT NULL a NOT VALID', undef],
	['NOT NULL as a constraint', 'ALTER TABLE shop.t ADD CONSTRAINT n NOT NULL a', 'NOT NULL'],
	['SET NOT NULL over one that is NOT VALID', 'ALTER TABLE shop.t ADD CONSTRAINT n NOT NULL a NOT VALID; ALTER TABLE shop.t ALTER a SET NOT NULL', 'NOT NULL'],
	['NOT ENFORCED', 'ALTER TABLE shop.t ADD CHECK (a > 0) NOT ENFORCED', undef],
	['a virtual generated column', 'ALTER TABLE shop.t ADD x int GENERATED ALWAYS AS (a * 2)', undef]);

foreach my $case (@cases)
{
	my ($from, $sql, $says, %about) = @$case;
	my $table = $about{table} // 'shop.t';
	my $saw = try($sql, $table);
	my $does = join ', ', $saw->{lock}, $saw->{read} ? 'read' : (), $saw->{rewritten} ? 'rewritten' : ();
	my $stops = $rank{ $saw->{lock} } && $rank{ $saw->{lock} } >= 5 && ($saw->{read} || $saw->{rewritten});

	is($saw->{error} =~ /ERROR/ ? 1 : 0, 0, "$from: runs") || diag($saw->{error}) unless $about{may_fail};
	if (defined $says) { like($saw->{said} . $saw->{hint}, qr/\Q$says\E/, "$from: it says so ($does)") }
	else { is($saw->{said}, '', "$from: nothing to say ($does)") }
	next if $about{may_fail} || $about{moment} || $about{name} || $about{off} || $about{only_index};
	is($stops ? 'stops writers' : 'a moment', defined $says ? 'stops writers' : 'a moment', "$from: and that is what the server does ($does)");
	like($saw->{hint}, qr/^[A-Z].*\.$/, "$from: with what to do instead") if defined $says;
}

# Outside a transaction block
foreach my $sql ('CREATE INDEX CONCURRENTLY t_x ON shop.t (a)', 'REINDEX INDEX CONCURRENTLY shop.t_x', 'DROP INDEX CONCURRENTLY shop.t_x', 'ALTER TABLE shop.part DETACH PARTITION shop.part_1 CONCURRENTLY')
{
	next if $sql =~ /DETACH/;    # a default partition forbids it
	is(($node->psql('postgres', $sql))[2], '', "$sql: nothing to say");
}
like(($node->psql('postgres', 'REINDEX INDEX shop.t_b'))[2], $major < 17 ? qr/^$/ : qr/WARNING:.*rebuilding indexes/, 'REINDEX fires event triggers since 17');

# Sizes
$node->safe_psql('postgres', q{SELECT taskapi.guard_migrations('refuse', '40 kB')});
my $index = 'CREATE INDEX ON %s (id)';
is(($node->psql('postgres', sprintf $index, 'shop.part_1'))[2], '', 'a small table is in nobody\'s way');
my ($rc, $out, $err) = $node->psql('postgres', 'CREATE INDEX ON shop.t (a)');
like($err, qr/ERROR:  creating an index keeps writers of table "t" \(\d+ kB\) waiting.*\nDETAIL:  .*migration_guard = off.*\nHINT:  CREATE INDEX CONCURRENTLY/, 'a large one is not, and then it is refused');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_index WHERE indrelid = 'shop.t'::regclass}), 4, 'before anything was done');
is(($node->psql('postgres', 'ALTER TABLE shop.t ADD x float DEFAULT random()'))[0], 3, 'so is a rewrite');
like(($node->psql('postgres', "DO \$\$ BEGIN ALTER TABLE shop.t ALTER a SET NOT NULL; EXCEPTION WHEN object_not_in_prerequisite_state THEN RAISE NOTICE 'caught'; END \$\$"))[2], qr/NOTICE:  caught/, 'with an SQLSTATE');

# A table that another session has locked is measured without waiting for it
my $holder = $node->background_psql('postgres');
$node->safe_psql('postgres', 'VACUUM shop.t');
$holder->query_safe('BEGIN; LOCK TABLE shop.t');
($rc, $out, $err) = $node->psql('postgres', 'SET lock_timeout = 1; CREATE INDEX ON shop.t (a)');
like($err, qr/ERROR:  creating an index/, 'the guard waits for no lock');
$holder->quit;

# The lock_timeout
is($node->safe_psql('postgres', q{BEGIN; ALTER TABLE shop.t ADD y int; SHOW lock_timeout; ROLLBACK; SHOW lock_timeout}), "1s\n0", 'a migration does not wait for ever');
is($node->safe_psql('postgres', q{SET lock_timeout = '7s'; BEGIN; ALTER TABLE shop.t ADD y int; SHOW lock_timeout; ROLLBACK}), '7s', 'its own time is kept');

# Who may
$node->safe_psql('postgres', 'CREATE ROLE owner LOGIN; GRANT CREATE ON DATABASE postgres TO owner; GRANT CREATE ON SCHEMA shop TO owner');
isnt($node->psql('postgres', q{SELECT taskapi.guard_migrations('off')}, extra_params => [ '-U', 'owner' ]), 0, 'only a superuser turns it off');
isnt($node->psql('postgres', q{CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION taskapi.guard_ddl()}, extra_params => [ '-U', 'owner' ]), 0, 'or makes it');
isnt($node->psql('postgres', q{SELECT taskapi.guard_ddl()}), 0, 'it is no function to be called');
foreach my $bad (q{NULL}, q{'no'}, q{'warn', '-1'}, q{'warn', 'x'}, q{'warn', NULL})
{
	isnt($node->psql('postgres', "SELECT taskapi.guard_migrations($bad)"), 0, "guard_migrations($bad) is refused");
}

# What is hostile, odd or unknown passes as it would without the guard
$node->safe_psql('postgres', q{
	CREATE TABLE shop.mine (id int); CREATE SCHEMA shared; GRANT CREATE, USAGE ON SCHEMA shared TO owner;
	SELECT taskapi.guard_migrations('refuse', '0')});
$node->safe_psql('postgres', q{
	CREATE TABLE shared.theirs (id int PRIMARY KEY, n int CHECK (n IS NOT NULL));
	SELECT taskapi.expose('shared.theirs', api_schema => 'shared', resource => 'their_resource')}, extra_params => [ '-U', 'owner' ]);
is(($node->psql('postgres', 'BEGIN; DROP SCHEMA shared CASCADE; ROLLBACK'))[0], 0, 'another role\'s resource keeps nobody\'s schema');
my %without;
my @odd = ('ALTER TABLE IF EXISTS shop.nothing ADD CHECK (a > 0)', 'ALTER TABLE shop.nothing ADD CHECK (a > 0)', 'ALTER TABLE nowhere.t ADD UNIQUE (a)', 'CREATE INDEX ON nowhere.t (a)', 'CREATE INDEX ON pg_temp.t (a)',
	'DROP INDEX IF EXISTS shop.nothing', 'DROP INDEX a.b.c.d', 'DROP TABLE a.b.c.d CASCADE', 'DROP VIEW other_db.api.orders', 'CREATE INDEX ON other_db.shop.t (a)', 'DROP VIEW shop.orders CASCADE', 'DROP TABLE api.orders CASCADE', 'CREATE INDEX ON api.orders (id)', 'DROP INDEX shop.t', 'ALTER TABLE shop.t_b ADD CHECK (b > $$$$)', 'DROP SCHEMA nowhere CASCADE', 'ALTER TABLE shop.t ALTER nothing SET NOT NULL', 'ALTER TABLE shop.t ALTER ctid SET NOT NULL',
	'ALTER TABLE shop.t ADD PRIMARY KEY USING INDEX nothing', 'ALTER TABLE shop.t ADD PRIMARY KEY USING INDEX orders_pkey', 'ALTER TABLE shop.t ATTACH PARTITION shop.part_2 FOR VALUES FROM (2) TO (3)', 'ALTER TABLE shop.part ATTACH PARTITION shop.nothing FOR VALUES FROM (2) TO (3)',
	'ALTER DOMAIN nothing ADD CHECK (VALUE > 0)', 'ALTER DOMAIN a.b.c.d SET NOT NULL', 'ALTER DOMAIN int4 ADD CHECK (VALUE > 0)', 'ALTER TABLE api.orders ADD CHECK (total > 0)', 'ALTER INDEX shop.t_b SET (fillfactor = 50)', 'ALTER SEQUENCE shop.nothing RESTART',
	'CREATE TABLE shop.x PARTITION OF shop.nothing DEFAULT', 'CREATE TABLE shop.x PARTITION OF shop.t FOR VALUES FROM (1) TO (2)', 'REFRESH MATERIALIZED VIEW shop.t', 'ALTER TABLE shop.nothing RENAME a TO b', 'ALTER TABLE shop.orders RENAME nothing TO b', 'ALTER VIEW nowhere.orders SET SCHEMA public',
	'COMMENT ON TABLE shop.t IS NULL', 'CREATE FUNCTION shop.f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$', 'GRANT SELECT ON shop.t TO owner', 'CREATE TYPE shop.mood AS ENUM ()', 'ALTER TYPE shop.mood ADD VALUE $$x$$', 'DROP TYPE shop.mood', 'CREATE STATISTICS s ON a, b FROM shop.t', 'IMPORT FOREIGN SCHEMA x FROM SERVER y INTO z', 'CREATE POLICY p ON shop.t', 'CREATE RULE r AS ON DELETE TO shop.t DO NOTHING',
	'CREATE TABLE shop.like_it (LIKE shop.t INCLUDING ALL)', 'CREATE VIEW shop.v AS SELECT 1', 'ALTER VIEW shop.v ALTER "?column?" SET DEFAULT 1', 'CREATE FOREIGN TABLE shop.ft (a int) SERVER nothing', 'ALTER TABLE shop.t INHERIT shop.mine', 'REASSIGN OWNED BY owner TO postgres', 'DROP OWNED BY owner');
foreach my $off (1, 0)
{
	foreach my $sql (@odd)
	{
		my ($rc, $out, $err) = $node->psql('postgres', 'SET taskapi.migration_guard = ' . ($off ? 'off' : 'on') . "; BEGIN; $sql; ROLLBACK");
		$err =~ s/^psql:.*?: //mg;
		if ($off) { $without{$sql} = $err }
		else { is($err, $without{$sql}, "as without the guard: $sql") }
	}
}

# Others' sessions, dumps and the end
$node->safe_psql('postgres', q{SELECT taskapi.guard_migrations('warn', '0')});
like(($node->psql('postgres', 'BEGIN; CREATE INDEX ON shop.t (a); ROLLBACK'))[2], qr/WARNING/, 'a change of mode counts at once');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
my $dump = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'a dump');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('copy') ], 'is restored');
like(($node->psql('copy', 'BEGIN; CREATE INDEX ON shop.t (a); ROLLBACK'))[2], qr/WARNING/, 'with the guard');
$node->safe_psql('postgres', q{SELECT taskapi.guard_migrations('off'); SELECT taskapi.guard_migrations('off')});
is(($node->psql('postgres', 'BEGIN; CREATE INDEX ON shop.t (a); ROLLBACK'))[2], '', 'off is off');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_event_trigger'), 0, 'and leaves nothing');
$node->stop;
done_testing();
