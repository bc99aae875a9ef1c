# Migrations of a table with a resource, each played in one session while two others, whose sessions stay open, write and page through
# the resource: no request fails but by the errors that are named for it, no row is lost or doubled, every version moves by the
# writes that came through, and what PostgreSQL refuses because of the views has a way that keeps all privileges.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = PostgreSQL::Test::Cluster->new('migrations');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\nfsync = off\nsynchronous_commit = off\njit = off\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE ROLE m_owner;
	CREATE ROLE m_heir;
	CREATE ROLE m_client;
	CREATE EXTENSION taskapi;
	CREATE SCHEMA data AUTHORIZATION m_owner;
	CREATE SCHEMA api AUTHORIZATION m_owner;
	SET ROLE m_owner;
	CREATE TABLE data.item (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, note text, extra int DEFAULT 7, b text DEFAULT 'b', c text DEFAULT 'c', part int NOT NULL DEFAULT 1);
	INSERT INTO data.item (id, part) SELECT -i, 1 + i % 2 FROM generate_series(1, 200) i;
	SELECT taskapi.expose('data.item');
	SELECT taskapi.grant_resource('api.item', 'm_client', '{read,create,update,delete,restore}');
	RESET ROLE;
	CREATE SCHEMA log;
	GRANT USAGE ON SCHEMA log TO m_client;
	-- what the writers know: which rows there must be, with which version
	CREATE TABLE log.row (id int PRIMARY KEY, version int NOT NULL);
	CREATE TABLE log.error (writer int, sqlstate text, message text, context text);
	CREATE TABLE log.control (view text, deleted text, page text);
	INSERT INTO log.control VALUES ('api.item', 'api.deleted_item', 'api.item_page');
	CREATE SEQUENCE log.round_1;
	CREATE SEQUENCE log.round_2;
	CREATE SEQUENCE log.id;
	CREATE SEQUENCE log.stop MINVALUE 0 START 0;
	GRANT ALL ON ALL TABLES IN SCHEMA log TO m_client;
	GRANT ALL ON ALL SEQUENCES IN SCHEMA log TO m_client;

	-- One request: its statements, and what the writer knows afterwards, in one transaction.
	CREATE PROCEDURE log.request(at log.control, writer int, round int) LANGUAGE plpgsql AS $$
	DECLARE
		row_id int;
		moved  int;
		found  int[];
		p      taskapi.page_result;
		token  text;
	BEGIN
		PERFORM set_config('request.method', '', true);
		CASE round % 6
		WHEN 0, 1 THEN
			row_id := nextval('log.id');
			EXECUTE format('INSERT INTO %s (id, n) VALUES ($1, $2) RETURNING version', at.view) INTO STRICT moved USING row_id, writer;
			INSERT INTO log.row VALUES (row_id, moved);
			IF moved <> 1 THEN RAISE 'a new row has version %', moved; END IF;
		WHEN 2, 3 THEN
			SELECT r.id INTO row_id FROM log.row r ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED;
			IF FOUND THEN
				EXECUTE format('UPDATE %s SET n = n + 1 WHERE id = $1 RETURNING version', at.view) INTO STRICT moved USING row_id;
				UPDATE log.row r SET version = r.version + 1 WHERE r.id = row_id RETURNING r.version - moved INTO moved;
				IF moved <> 0 THEN RAISE 'row % has another version: %', row_id, moved; END IF;
			END IF;
		WHEN 4 THEN
			SELECT r.id INTO row_id FROM log.row r ORDER BY random() LIMIT 1 FOR UPDATE SKIP LOCKED;
			IF FOUND THEN
				EXECUTE format('DELETE FROM %s WHERE id = $1', at.view) USING row_id;
				EXECUTE format('UPDATE %s SET deleted_at = NULL WHERE id = $1', at.deleted) USING row_id;
				EXECUTE format('SELECT version FROM %s WHERE id = $1', at.view) INTO STRICT moved USING row_id;
				UPDATE log.row r SET version = moved WHERE r.id = row_id;
			END IF;
		ELSE
			-- the rows of the beginning, walked by page() and by the cursor: each once
			EXECUTE format('SELECT * FROM %s(page_size => 150, filter => %L)', at.page, '{"id": {"lt": 0, "gte": -200}}') INTO p;
			found := ARRAY(SELECT (i ->> 'id')::int FROM json_array_elements(p.items) i);
			EXECUTE format('SELECT * FROM %s(page_size => 150, page_token => $1, filter => %L)', at.page, '{"id": {"lt": 0, "gte": -200}}') INTO p USING p.next_page_token;
			found := found || ARRAY(SELECT (i ->> 'id')::int FROM json_array_elements(p.items) i);
			IF found IS DISTINCT FROM ARRAY(SELECT -i FROM generate_series(1, 200) i ORDER BY 1) THEN RAISE 'page() found %', found; END IF;
			EXECUTE format('SELECT cursor FROM %s WHERE id BETWEEN -200 AND -1 ORDER BY cursor OFFSET 99 LIMIT 1', at.view) INTO token;
			EXECUTE format('SELECT count(*) FROM (SELECT * FROM %s WHERE cursor > $1 AND id BETWEEN -200 AND -1 ORDER BY cursor) s', at.view) INTO moved USING token::taskapi.cursor;
			IF moved <> 100 THEN RAISE 'after the cursor of 100 rows come %', moved; END IF;
		END CASE;
	END $$;
	CREATE PROCEDURE log.write(writer int) LANGUAGE plpgsql AS $$
	DECLARE
		at    log.control;
		state text; message text; context text;
	BEGIN
		LOOP
			EXIT WHEN (SELECT is_called FROM log.stop);
			SELECT * INTO at FROM log.control;
			BEGIN
				CALL log.request(at, writer, nextval('log.round_' || writer)::int);
			EXCEPTION WHEN OTHERS THEN
				GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, context = PG_EXCEPTION_CONTEXT;
				INSERT INTO log.error VALUES (writer, state, message, context);
			END;
			COMMIT;
		END LOOP;
	END $$;});

my %writers = map { $_ => $node->background_psql('postgres') } 1, 2;
foreach my $n (1, 2)
{
	$writers{$n}->query_safe('SET ROLE m_client');
	$writers{$n}->{run}->pump_nb;
	$writers{$n}->{stdin} .= "CALL log.write($n);\n";
	$writers{$n}->{run}->pump_nb;
}

# Both writers have begun at least so many requests since.
sub rounds
{
	my $n = shift;
	my $now = $node->safe_psql('postgres', 'SELECT last_value FROM log.round_1; SELECT last_value FROM log.round_2');
	my ($one, $two) = map { $_ + $n } split /\n/, $now;
	$node->poll_query_until('postgres', "SELECT (SELECT last_value > $one FROM log.round_1) AND (SELECT last_value > $two FROM log.round_2)")
	  or die 'the writers have stopped';
	return;
}

# A migration, the statements as the owner's session sends them; SQLSTATEs that requests may get meanwhile; none may afterwards.
sub migrate
{
	my ($name, $sql, %opt) = @_;
	rounds(4);
	my ($rc, $out, $err) = $node->psql('postgres', 'SET client_min_messages = warning; ' . ($opt{as} // 'SET ROLE m_owner') . ";\n\\set VERBOSITY verbose\n$sql", on_error_stop => 1);
	if ($opt{refused})
	{
		like($err, $opt{refused}, "$name: is refused");
	}
	else
	{
		is($err, '', "$name: the migration");
	}
	is($out, $opt{out}, "$name: $opt{what}") if defined $opt{out};
	my $during = $node->safe_psql('postgres', "WITH e AS (DELETE FROM log.error RETURNING *) SELECT DISTINCT sqlstate || ' ' || message || CASE WHEN sqlstate ~ '^4[02]' THEN E' at ' || replace(context, E'\n', ' / ') ELSE '' END FROM e");
	my $may = join '|', @{ $opt{may} // [] }, 'none';
	is(join("\n", grep { !/^(?:$may) / } split /\n/, $during), '', "$name: what requests got meanwhile" . ($opt{may} ? " ($may)" : ''));
	rounds(8);
	is($node->safe_psql('postgres', "WITH e AS (DELETE FROM log.error RETURNING *) SELECT DISTINCT sqlstate || ' ' || message FROM e"), '', "$name: and afterwards");
	check($name);
	return;
}

# Every row that a writer has is there, with its version.
sub check
{
	my $name = shift;
	my $table = $node->safe_psql('postgres', q{SELECT r.source FROM taskapi.resource r JOIN log.control c ON r.resource = c.view::regclass});
	is($node->safe_psql('postgres', qq{SELECT count(*), min(coalesce(t.id, r.id)) FROM $table t FULL JOIN log.row r ON t.id = r.id
		WHERE coalesce(t.id, r.id) > 0 AND (t.version, t.deleted_at) IS DISTINCT FROM (r.version, NULL::timestamptz)}), '0|', "$name: no row is lost, every version moved");
	return;
}

# Errors that have a name: to a snapshot that is older than a table's storage its rows do not show, and the answer is try_again. A page
# function that is called while it is replaced is not found.
my @newer = ('40001');
my @replaced = ('42P01', '42883');

my $again = "SELECT taskapi.expose('data.item') \\g /dev/null\n";

migrate('nothing', 'SELECT 1 \g /dev/null');
migrate('a column more', "ALTER TABLE data.item ADD more int; $again SELECT count(more) FROM api.item", out => 0, what => 'the resource shows it');
migrate('a column more, with a default', "ALTER TABLE data.item ADD late timestamptz NOT NULL DEFAULT clock_timestamp(); $again SELECT count(late) > 0 FROM api.item", out => 't', what => 'the resource shows it', may => \@newer);
migrate('a column renamed', "ALTER TABLE data.item RENAME more TO less; $again SELECT count(less) FROM api.item", out => 0, what => 'the resource follows');
migrate('two columns swap names', "BEGIN; ALTER TABLE data.item RENAME b TO x; ALTER TABLE data.item RENAME c TO b; ALTER TABLE data.item RENAME x TO c; COMMIT; $again SELECT DISTINCT b, c FROM api.item WHERE id < 0",
	out => 'c|b', what => 'the resource follows');
migrate('another default', "ALTER TABLE data.item ALTER extra SET DEFAULT 8; INSERT INTO api.item (id) VALUES (-1000) RETURNING extra; DELETE FROM data.item WHERE id = -1000", out => '8', what => 'it counts at once');
migrate('NOT NULL', "ALTER TABLE data.item ADD CHECK (extra IS NOT NULL) NOT VALID; ALTER TABLE data.item VALIDATE CONSTRAINT item_extra_check; ALTER TABLE data.item ALTER extra SET NOT NULL; ALTER TABLE data.item DROP CONSTRAINT item_extra_check");
migrate('a column dropped', q{CALL taskapi.run_ddl('ALTER TABLE data.item DROP less')}, refused => qr/2BP01.*cannot drop column less/);
migrate('a column dropped, hidden before', "COMMENT ON COLUMN data.item.less IS '\@private'; $again CALL taskapi.run_ddl('ALTER TABLE data.item DROP less') \\g /dev/null", may => [ '42P01', '42883', '42501' ]);
migrate('a column retyped', q{CALL taskapi.run_ddl('ALTER TABLE data.item ALTER extra TYPE bigint')}, refused => qr/0A000.*cannot alter type of a column used by a view/);
# By way of resource_ddl(): taken away, changed, and made again, in one transaction.
sub by_way
{
	my ($resource, $alter) = @_;
	return qq{CALL taskapi.run_ddl(\$ddl\$ DO \$\$
		DECLARE
			back text[] := ARRAY(SELECT taskapi.resource_ddl('$resource'));
			statement text;
		BEGIN
			PERFORM taskapi.unexpose('$resource');
			$alter;
			FOREACH statement IN ARRAY back LOOP EXECUTE statement; END LOOP;
		END \$\$ \$ddl\$, give_up_after => '1min');};
}

# Definitions, privileges, owners and comments, as pg_dump sees them, and the registry.
sub shape
{
	my ($out, $err) = run_command([ 'pg_dump', '--schema-only', '-n', 'api', '-n', 'data', $node->connstr('postgres') ]);
	is($err, '', 'pg_dump');
	return { map { $_ => 1 } grep { !/restrict|^SET|^$/ } split /\n/, $out . $node->safe_psql('postgres', q{SELECT r FROM taskapi.resource r ORDER BY r.resource::text}) };
}

sub same
{
	my ($name, $before, $after) = @_;
	return is(join("\n", (map { "- $_" } grep { !$after->{$_} } sort keys %$before), (map { "+ $_" } grep { !$before->{$_} } sort keys %$after)), '', $name);
}

# With all that can be given to it by hand.
migrate('privileges, comments and triggers by hand', q{
	GRANT SELECT ON api.item TO PUBLIC;
	GRANT UPDATE (note, b) ON api.item TO m_heir WITH GRANT OPTION;
	REVOKE TRUNCATE, REFERENCES ON api.item, api.deleted_item FROM m_owner;
	GRANT EXECUTE ON FUNCTION api.item_page TO m_heir WITH GRANT OPTION;
	COMMENT ON COLUMN api.item.note IS 'It''s by hand';
	COMMENT ON VIEW api.deleted_item IS 'By hand;';
	COMMENT ON COLUMN api.deleted_item.cursor IS 'By hand';
	COMMENT ON FUNCTION api.item_page IS 'By hand';
	CREATE FUNCTION data.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
	CREATE TRIGGER by_hand AFTER INSERT ON api.item FOR EACH STATEMENT EXECUTE FUNCTION data.nothing()});
my $shape = shape();
migrate('taken away and made again', by_way('api.item', 'NULL'), may => \@replaced);
same('made again it is what it was', $shape, shape());
migrate('a column retyped, by way of resource_ddl()', by_way('api.item', 'ALTER TABLE data.item ALTER extra TYPE bigint') . q{
	SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'api.item'::regclass AND attname = 'extra'}, out => 'bigint', what => 'the resource follows', may => \@replaced);
my $retyped = shape();
s/extra bigint/extra integer/, s/NULL::bigint/NULL::integer/ for my @lines = keys %$retyped;
same('all but the type is what it was', $shape, { map { $_ => 1 } @lines });
migrate('a column retyped with USING and another default', by_way('api.item', q{ALTER TABLE data.item ALTER extra DROP DEFAULT, ALTER extra TYPE text USING extra::text, ALTER extra SET DEFAULT 'x'}),
	may => [ @newer, @replaced ]);
migrate('a column dropped and another of its name added', by_way('api.item', 'ALTER TABLE data.item DROP extra; ALTER TABLE data.item ADD extra numeric DEFAULT 1, ADD fresh int'),
	may => \@replaced);
is($node->safe_psql('postgres', q{SELECT string_agg(p, ' ') FROM unnest('{SELECT,INSERT,UPDATE}'::text[]) p WHERE has_column_privilege('m_client', 'data.item', 'extra', p) AND has_column_privilege('m_client', 'data.item', 'fresh', p)}),
	'SELECT INSERT UPDATE', 'who was granted the resource is granted its new columns');
my $acl = q{SELECT string_agg(o || ' ' || acl, E'\n' ORDER BY o || ' ' || acl) FROM (
	SELECT c.relname || coalesce('.' || a.attname, '') AS o, coalesce(CASE WHEN a.attname IS NULL THEN c.relacl ELSE a.attacl END::text, '') AS acl
	FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attacl IS NOT NULL WHERE c.relnamespace IN ('api'::regnamespace, 'data'::regnamespace)
	UNION ALL SELECT p.proname, p.proacl::text FROM pg_proc p WHERE p.pronamespace = 'api'::regnamespace) s};
migrate('privileges granted and revoked by hand', q{REVOKE UPDATE (b) ON data.item FROM m_client; REVOKE INSERT ON api.item FROM m_heir; GRANT SELECT (id) ON data.item TO PUBLIC;});
my $given = $node->safe_psql('postgres', $acl);
migrate('exposed again', $again);
is($node->safe_psql('postgres', $acl), $given, 'every privilege is as it was left');
is($node->safe_psql('postgres', q{SELECT has_column_privilege('m_client', 'data.item', 'b', 'UPDATE'), has_column_privilege('m_client', 'data.item', 'b', 'SELECT')}), 'f|t', 'what was revoked stays so');
migrate('taken away and made again, what was revoked stays so', by_way('api.item', 'NULL'), may => \@replaced);
is($node->safe_psql('postgres', q{SELECT has_column_privilege('m_client', 'data.item', 'b', 'UPDATE'), has_column_privilege('m_client', 'data.item', 'b', 'SELECT')}), 'f|t', 'what was revoked stays so');
migrate('the order and another choice changed, by way of expose()', "SELECT taskapi.expose('data.item', order_by => 'id DESC') \\g /dev/null\nSELECT taskapi.expose('data.item', order_by => 'id') \\g /dev/null\n", may => [ 'PT400', '22023', 'P0001' ]);
migrate('a trigger more', q{CREATE FUNCTION data.stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note := coalesce(NEW.note, '''') || ''!''; RETURN NEW; END';
	CREATE TRIGGER aaa BEFORE UPDATE ON data.item FOR EACH ROW EXECUTE FUNCTION data.stamp();
	CREATE TRIGGER zzz AFTER UPDATE ON data.item FOR EACH ROW EXECUTE FUNCTION data.stamp();});
migrate('a trigger\'s function replaced', q{CREATE OR REPLACE FUNCTION data.stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.c := ''stamped''; RETURN NEW; END'});
migrate('quote_all_identifiers', "SET quote_all_identifiers = on; $again $again");
migrate('row-level security', q{CREATE POLICY all_of_it ON data.item USING (id < 1000000) WITH CHECK (true); ALTER TABLE data.item ENABLE ROW LEVEL SECURITY});
migrate('another policy', q{CREATE POLICY updates ON data.item AS RESTRICTIVE FOR UPDATE USING (n >= 0); ALTER TABLE data.item FORCE ROW LEVEL SECURITY});
migrate('a unique index, built beside the table\'s writers', q{CREATE UNIQUE INDEX CONCURRENTLY item_key ON data.item (id)});
migrate('the key moves to another index', q{BEGIN; ALTER TABLE data.item DROP CONSTRAINT item_pkey, ADD CONSTRAINT item_pkey PRIMARY KEY USING INDEX item_key; COMMIT});
migrate('an index rebuilt', q{REINDEX INDEX CONCURRENTLY data.item_pkey});
migrate('a foreign key', q{CREATE TABLE data.parent (id int PRIMARY KEY); INSERT INTO data.parent VALUES (1); ALTER TABLE data.item ADD parent_id int DEFAULT 1;
	ALTER TABLE data.item ADD FOREIGN KEY (parent_id) REFERENCES data.parent NOT VALID; ALTER TABLE data.item VALIDATE CONSTRAINT item_parent_id_fkey;} . $again);
migrate('the parent becomes a resource', q{SELECT taskapi.expose('data.parent') \g /dev/null
	GRANT SELECT (id) ON data.parent TO m_client});
migrate('the table is written anew', 'VACUUM FULL data.item', may => \@newer);
migrate('clustered', 'CLUSTER data.item USING item_pkey', may => \@newer);

# Names. What a request names must be there: the writers look it up, and may come too late.
my @late = ('42P01', '3F000', '42883');
migrate('the table renamed', 'ALTER TABLE data.item RENAME TO item_table');
migrate('the table\'s schema renamed', 'ALTER SCHEMA data RENAME TO base', as => 'RESET ROLE', may => ['40001']);
migrate('the table moved to another schema', 'CREATE SCHEMA data AUTHORIZATION m_owner; GRANT USAGE ON SCHEMA data TO m_client; ALTER TABLE base.item_table SET SCHEMA data', as => 'RESET ROLE');
migrate('exposed again after all that', "SELECT taskapi.expose('data.item_table')", out => 'api.item', what => 'it is the same resource');
my $rename = q{BEGIN; ALTER VIEW api.%1$s RENAME TO %2$s; SELECT taskapi.expose('data.item_table');
	UPDATE log.control SET view = 'api.%2$s', deleted = 'api.deleted_%2$s', page = 'api.%2$s_page'; COMMIT};
migrate('the resource renamed', sprintf($rename, 'item', 'thing'), as => 'RESET ROLE', may => \@late, out => 'api.thing', what => 'it is the same resource');
migrate('the resource renamed back', sprintf($rename, 'thing', 'item'), as => 'RESET ROLE', may => \@late, out => 'api.item', what => 'it is the same resource');
migrate('the schema of the API renamed', q{BEGIN; ALTER SCHEMA api RENAME TO v1; UPDATE log.control SET view = 'v1.item', deleted = 'v1.deleted_item', page = 'v1.item_page'; COMMIT}, as => 'RESET ROLE', may => \@late);
migrate('exposed again, in the renamed schema', "SELECT taskapi.expose('data.item_table')", out => 'v1.item', what => 'it is the same resource');
migrate('back', q{BEGIN; ALTER SCHEMA v1 RENAME TO api; UPDATE log.control SET view = 'api.item', deleted = 'api.deleted_item', page = 'api.item_page'; COMMIT}, as => 'RESET ROLE', may => \@late);
migrate('another owner', q{ALTER SCHEMA data OWNER TO m_heir; ALTER SCHEMA api OWNER TO m_heir; ALTER TABLE data.item_table OWNER TO m_heir; ALTER VIEW api.item OWNER TO m_heir; ALTER VIEW api.deleted_item OWNER TO m_heir;
	ALTER FUNCTION api.item_page OWNER TO m_heir; ALTER FUNCTION api.deleted_item_page OWNER TO m_heir}, as => 'RESET ROLE', may => [ '42501', '55000' ]);
migrate('exposed again by its new owner', "SELECT taskapi.expose('data.item_table')", as => 'SET ROLE m_heir', out => 'api.item', what => 'it is the same resource');
migrate('columns taken away', q{REVOKE UPDATE ON data.item_table FROM m_client; REVOKE SELECT (note) ON data.item_table FROM m_client; GRANT SELECT (note) ON data.item_table TO m_client;
	GRANT UPDATE (n, note) ON data.item_table TO m_client}, as => 'SET ROLE m_heir', may => [ '42501', 'PT403' ]);

# A partitioned table takes the place.
$node->safe_psql('postgres', q{
	SET ROLE m_heir;
	SET client_min_messages = warning;
	CREATE TABLE data.parted (id int, n int NOT NULL DEFAULT 0, note text, part int DEFAULT 1, PRIMARY KEY (id, part)) PARTITION BY LIST (part);
	CREATE TABLE data.parted_1 PARTITION OF data.parted FOR VALUES IN (1);
	CREATE TABLE data.parted_2 PARTITION OF data.parted FOR VALUES IN (2);
	INSERT INTO data.parted (id, part) SELECT -i, 1 + i % 2 FROM generate_series(1, 200) i;
	SELECT taskapi.expose('data.parted', resource => 'parted_item');
	SELECT taskapi.grant_resource('api.parted_item', 'm_client', '{read,create,update,delete,restore}');
	SELECT taskapi.unexpose('api.item');
	RESET ROLE;
	BEGIN; LOCK TABLE log.row; TRUNCATE log.row; UPDATE log.control SET view = 'api.parted_item', deleted = 'api.deleted_parted_item', page = 'api.parted_item_page'; COMMIT;});
rounds(4);
$node->safe_psql('postgres', 'DELETE FROM log.error');
check('a partitioned table');
migrate('a partition more', 'CREATE TABLE data.parted_3 PARTITION OF data.parted FOR VALUES IN (3); INSERT INTO api.parted_item (id, part) VALUES (-1000, 3) RETURNING version', as => 'SET ROLE m_heir', may => \@newer, out => '1', what => 'it can be written');
migrate('a partition of other columns\' order attached', q{CREATE TABLE data.parted_4 (part int NOT NULL DEFAULT 1, gone int, note text, n int NOT NULL DEFAULT 0, id int NOT NULL);
	ALTER TABLE data.parted_4 DROP gone, ADD deleted_at timestamptz, ADD updated_at timestamptz NOT NULL DEFAULT now(), ADD deletion_id uuid, ADD version int NOT NULL DEFAULT 1;
	INSERT INTO data.parted_4 (id, part) VALUES (-1001, 4);
	ALTER TABLE data.parted ATTACH PARTITION data.parted_4 FOR VALUES IN (4);
	UPDATE api.parted_item SET n = 5 WHERE id = -1001 RETURNING version}, as => 'SET ROLE m_heir', may => \@newer, out => '2', what => 'it can be written');
migrate('a partition detached', q{ALTER TABLE data.parted DETACH PARTITION data.parted_4; SELECT count(*) FROM api.parted_item WHERE id = -1001}, as => 'SET ROLE m_heir', may => \@newer, out => '0', what => 'its rows are gone');
migrate('a partition detached beside others', q{ALTER TABLE data.parted DETACH PARTITION data.parted_3 CONCURRENTLY}, as => 'SET ROLE m_heir', may => \@newer);
migrate('a row moves to another partition', q{UPDATE api.parted_item SET part = 2 WHERE id = -2 RETURNING part}, as => 'SET ROLE m_heir', may => \@newer, out => '2', what => 'it is there');
migrate('a partition with rows is dropped', q{ALTER TABLE data.parted ATTACH PARTITION data.parted_3 FOR VALUES IN (3); DROP TABLE data.parted_3}, as => 'SET ROLE m_heir', may => \@newer);

# The writers end, and all is there.
$node->safe_psql('postgres', q{SELECT nextval('log.stop')});
foreach my $n (1, 2)
{
	$writers{$n}->query_safe('SELECT 1');
	$writers{$n}->quit;
}
check('in the end');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM log.row'), '>', 50, 'the writers wrote');

$node->stop;
done_testing();
