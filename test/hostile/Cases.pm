# What the owner of an exposed table can do to it, one case each: a group, a name, and statements that the owner runs.
# A statement that PostgreSQL refuses is no matter; what is left of the case is tried.
package Cases;
use strict;
use warnings;
use Exporter 'import';
our @EXPORT = qw(cases);

# Types that a column is made, with a value for the rows that are there and for those to come.
my %value = (
	int2 => '12345', int4 => '1234567890', int8 => '3735928559', text => q('retyped-text-that-is-longer-than-a-word'), bytea => q('\xdeadbeefdeadbeefdeadbeef'),
	numeric => '98765.4321', uuid => q('018f0000-0000-7000-8000-000000000002'), timestamptz => q('2023-04-05 06:07:08+00'), bool => 'true', jsonb => q('{"retyped": "jsonb"}'),
	'text[]' => q('{retyped-array}'), 'data.pair' => q('(5900000,retyped-pair)'), name => q('retyped-name'), '"char"' => q('r'), float8 => '0.5', 'data.mood' => q('mood-high'),
	'data.word' => q('retyped-word'), interval => q('1 day'), 'varchar(60)' => q('retyped-varchar'), oid => '1259', regclass => q('pg_class'), xml => q('<retyped/>'));
my @columns = qw(id parent_id num amount title mood word pair labels doc flag day at raw ref span ratio short bits created_at);
my @ours = qw(version updated_at deleted_at deletion_id);
my $register = q(SELECT layer.register_resource('api.thing', 'data.thing', 'api.deleted_thing', 'thing_page', 'created_at DESC, id DESC', true, true, true));
my $expose = q(SELECT taskapi.expose('data.thing', 'api', order_by => 'created_at DESC, id DESC'));

sub cases
{
	return (columns(), table(), views(), types(), functions(), partitions(), registry(), planted(), client());
}

sub columns
{
	my @cases;
	foreach my $column (@columns, @ours)
	{
		my $is_ours = grep { $_ eq $column } @ours;
		my $group = $is_ours ? 'our columns' : 'columns';
		push @cases,
		  [ $group, "rename $column", "ALTER TABLE data.thing RENAME $column TO renamed" ],
		  [ $group, "drop $column", "ALTER TABLE data.thing DROP COLUMN $column CASCADE" ],
		  [ $group, "drop $column below loose views", 'SELECT data.loosen()', "ALTER TABLE data.thing DROP COLUMN $column CASCADE", 'SELECT data.tighten()' ],
		  [ $group, "$column generated", 'SELECT data.loosen()', "ALTER TABLE data.thing DROP COLUMN $column CASCADE, ADD COLUMN $column int8 GENERATED ALWAYS AS (1234567890) STORED", 'SELECT data.tighten()' ],
		  [ $group, "$column an identity", 'SELECT data.loosen()', "ALTER TABLE data.thing DROP COLUMN $column CASCADE, ADD COLUMN $column int8 GENERATED ALWAYS AS IDENTITY (START 1234567890)", 'SELECT data.tighten()' ],
		  [ $group, "default of $column", "ALTER TABLE data.thing ALTER $column DROP DEFAULT", "ALTER VIEW api.thing ALTER $column DROP DEFAULT" ],
		  [ $group, "NULLs in $column", "ALTER TABLE data.thing ALTER $column DROP NOT NULL", "ALTER TABLE data.thing ALTER $column DROP EXPRESSION IF EXISTS", "ALTER TABLE data.thing DISABLE TRIGGER USER", "UPDATE data.thing SET $column = NULL", 'ALTER TABLE data.thing ENABLE TRIGGER USER' ],
		  [ $group, "storage of $column", "ALTER TABLE data.thing ALTER $column SET STORAGE EXTERNAL", "ALTER TABLE data.thing ALTER $column SET STATISTICS 0", 'ANALYZE data.thing' ];
		# of what is the user's, a few types of each size and passing; of what is ours, all
		foreach my $type ($is_ours ? sort keys %value : qw(int4 int8 text bytea numeric uuid text[] data.pair))
		{
			my $retype = "ALTER TABLE data.thing ALTER $column DROP DEFAULT, ALTER $column TYPE $type USING $value{$type}::$type";
			my $anew = "ALTER TABLE data.thing DROP COLUMN $column CASCADE, ADD COLUMN $column $type DEFAULT $value{$type}";
			push @cases,
			  [ $group, "$column to $type, tight", 'SELECT data.loosen()', $retype, 'SELECT data.tighten()' ],
			  [ $group, "$column to $type anew, tight", 'SELECT data.loosen()', $anew, 'SELECT data.tighten()' ],
			  [ $group, "$column to $type, views rebuilt and registered", "SELECT data.rebuild(\$r\$$anew\$r\$)", $register ],
			  [ $group, "$column to $type, views rebuilt and exposed", "SELECT data.rebuild(\$r\$$retype\$r\$)", $expose ];
			push @cases,
			  [ $group, "$column to $type, loose", 'SELECT data.loosen()', $retype ],
			  [ $group, "$column to $type anew, the deleted view gone", 'DROP VIEW api.deleted_thing', $anew, 'SELECT data.tighten()' ],
			  [ $group, "$column to $type, views rebuilt", "SELECT data.rebuild(\$r\$$retype\$r\$)" ] if $is_ours;
		}
	}
	foreach my $pair ([qw(num at)], [qw(title raw)], [qw(deleted_at created_at)], [qw(deletion_id ref)], [qw(version parent_id)], [qw(id parent_id)], [qw(labels doc)])
	{
		my ($a, $b) = @$pair;
		push @cases, [ 'columns', "swap $a and $b", "ALTER TABLE data.thing RENAME $a TO swapped", "ALTER TABLE data.thing RENAME $b TO $a", "ALTER TABLE data.thing RENAME swapped TO $b" ],
		  [ 'columns', "swap $a and $b in the view", "ALTER VIEW api.thing RENAME $a TO swapped", "ALTER VIEW api.thing RENAME $b TO $a", "ALTER VIEW api.thing RENAME swapped TO $b" ];
	}
	return @cases;
}

sub table
{
	my @triggers = qw(aa_taskapi_soft_delete zz_taskapi_touch zz_taskapi_reference);
	my @statements = (
		'RENAME TO thing_renamed', 'SET SCHEMA elsewhere', 'OWNER TO hostile_other', 'DISABLE TRIGGER USER', 'ENABLE REPLICA TRIGGER ALL', 'REPLICA IDENTITY FULL', 'REPLICA IDENTITY NOTHING',
		'ENABLE ROW LEVEL SECURITY', 'ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', 'DROP CONSTRAINT thing_pkey CASCADE', 'DROP CONSTRAINT thing_pkey CASCADE, ADD PRIMARY KEY (created_at, id)',
		'DROP CONSTRAINT thing_pkey CASCADE, ADD PRIMARY KEY (id) DEFERRABLE INITIALLY DEFERRED', 'DROP CONSTRAINT thing_parent_id_fkey', 'ALTER CONSTRAINT thing_parent_id_fkey DEFERRABLE INITIALLY DEFERRED',
		"ADD CHECK (title <> 'posted-title') NOT VALID", "ADD CHECK (data.note('check'))", "ADD CHECK (taskapi.cursor('num', num) > taskapi.cursor('num', 5))", 'ADD UNIQUE (title)', 'SET UNLOGGED', 'SET (fillfactor = 10)',
		'SET WITHOUT CLUSTER', "ADD COLUMN extra int DEFAULT 1234567", "ADD COLUMN extra text NOT NULL DEFAULT data.filled()", 'ADD EXCLUDE USING gist (span WITH &&) WHERE (deleted_at IS NULL)',
		'ALTER num SET NOT NULL', 'ALTER id ADD GENERATED ALWAYS AS IDENTITY (START 1234567890)', 'ALTER twice DROP EXPRESSION', 'SET (autovacuum_enabled = off)', 'ALTER num ADD GENERATED BY DEFAULT AS IDENTITY',
		'ADD FOREIGN KEY (id) REFERENCES data.thing ON DELETE CASCADE', 'ADD COLUMN self int8 REFERENCES data.thing ON DELETE SET NULL', 'ADD FOREIGN KEY (parent_id) REFERENCES data.parent ON DELETE SET DEFAULT');
	my @cases = map { [ 'table', $_, "ALTER TABLE data.thing $_" ] } @statements;
	push @cases, map { [ 'table', "without trigger $_", qq(DO \$\$ BEGIN EXECUTE (SELECT string_agg(format('ALTER TABLE data.thing DISABLE TRIGGER %I', tgname), ';') FROM pg_trigger WHERE tgrelid = 'data.thing'::regclass AND tgname LIKE '%$_%'); END \$\$) ],
		[ 'table', "drop trigger $_", qq(DO \$\$ BEGIN EXECUTE (SELECT string_agg(format('DROP TRIGGER %I ON data.thing', tgname), ';') FROM pg_trigger WHERE tgrelid = 'data.thing'::regclass AND tgname LIKE '%$_%'); END \$\$) ] } qw(soft_delete touch reference taskapi);
	push @cases,
	  [ 'table', 'drop', 'DROP TABLE data.thing CASCADE' ],
	  [ 'table', 'drop and create with other types', 'SELECT data.loosen()', 'DROP TABLE data.thing CASCADE',
		"CREATE TABLE data.thing (id text PRIMARY KEY, version text DEFAULT 'one', updated_at int4, deleted_at int4, deletion_id int8 DEFAULT 3735928559, num bytea, title int4, mood int8, pair text, labels int4, created_at text)",
		'GRANT ALL ON data.thing TO hostile_client', 'SELECT data.tighten()', $register ],
	  [ 'table', 'drop and create as a view', 'SELECT data.loosen()', 'DROP TABLE data.thing CASCADE', "CREATE VIEW data.thing AS SELECT 2000001::int8 AS id, 'title-1'::text AS title", 'SELECT data.tighten()' ],
	  [ 'table', 'truncate', 'TRUNCATE data.thing CASCADE' ],
	  [ 'table', 'inherited by another', 'CREATE TABLE data.heir (extra bytea) INHERITS (data.thing)', "INSERT INTO data.heir (id, title, extra) VALUES (2000999, 'title-999', '\\xdeadbeef')" ],
	  [ 'table', 'an heir with other column order', 'CREATE TABLE data.heir (extra text, LIKE data.thing)', "ALTER TABLE data.heir INHERIT data.thing", "INSERT INTO data.heir (id, title, extra, version) VALUES (2000999, 'title-999', 'extra-value', 1)" ],
	  [ 'table', 'an heir of another', 'CREATE TABLE data.ancestor (id int8, num int4)', 'ALTER TABLE data.thing ALTER id SET NOT NULL, INHERIT data.ancestor', 'ALTER TABLE data.ancestor RENAME num TO renamed' ],
	  [ 'table', 'of a type', 'CREATE TABLE data.copied (LIKE data.thing)', 'ALTER TABLE data.thing DROP COLUMN twice CASCADE', 'CREATE TYPE data.row AS (id int8, title text)', 'ALTER TABLE data.thing OF data.row' ],
	  [ 'table', 'a child without its key', 'ALTER TABLE data.child DROP CONSTRAINT child_pkey' ],
	  [ 'table', 'a child with an index on nothing', 'ALTER TABLE data.child DROP COLUMN note CASCADE' ],
	  [ 'table', 'a child whose deletion_id is a number', 'DROP VIEW api.deleted_child', 'ALTER TABLE data.child DROP COLUMN deletion_id CASCADE, ADD COLUMN deletion_id int8 DEFAULT 3735928559' ],
	  [ 'table', 'a child whose deletion_id is a text', 'DROP VIEW api.deleted_child', "ALTER TABLE data.child DROP COLUMN deletion_id CASCADE, ADD COLUMN deletion_id text DEFAULT 'x'" ],
	  [ 'table', 'a child whose deleted_at is a number', 'DROP VIEW api.deleted_child, api.child CASCADE', 'ALTER TABLE data.child DROP COLUMN deleted_at CASCADE, ADD COLUMN deleted_at int4' ],
	  [ 'table', 'a child that refers by another type', 'ALTER TABLE data.child DROP CONSTRAINT child_thing_id_fkey', 'DROP VIEW api.child, api.deleted_child CASCADE', 'ALTER TABLE data.child ALTER thing_id TYPE numeric', 'ALTER TABLE data.child ADD FOREIGN KEY (thing_id) REFERENCES data.thing ON DELETE CASCADE' ],
	  [ 'table', 'a parent whose key is a text', 'DROP VIEW api.parent, api.deleted_parent CASCADE', 'ALTER TABLE data.thing DROP CONSTRAINT thing_parent_id_fkey', 'ALTER TABLE data.parent ALTER id TYPE text' ],
	  [ 'table', 'a parent that is not exposed', "SELECT taskapi.unexpose('api.parent')" ],
	  [ 'table', 'unexposed', "SELECT taskapi.unexpose('api.thing')" ],
	  [ 'table', 'exposed without deletion', "SELECT taskapi.expose('data.thing', 'api', soft_delete => false)" ],
	  [ 'table', 'exposed without versions', "SELECT taskapi.expose('data.thing', 'api', versioned => false)" ],
	  [ 'table', 'exposed twice', "SELECT taskapi.expose('data.thing', 'elsewhere', 'other')", "SELECT taskapi.grant_resource('elsewhere.other', 'hostile_client')" ],
	  [ 'table', 'a rule on the table', 'CREATE RULE r AS ON INSERT TO data.thing DO INSTEAD NOTHING', 'CREATE RULE s AS ON DELETE TO data.thing DO INSTEAD NOTHING', 'CREATE RULE t AS ON UPDATE TO data.thing DO INSTEAD NOTHING' ],
	  [ 'table', 'a rule that does more', 'CREATE RULE r AS ON UPDATE TO data.thing DO ALSO DELETE FROM data.child WHERE thing_id = old.id' ],
	  [ 'table', 'policies with code', 'ALTER TABLE data.thing ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', "CREATE POLICY p ON data.thing USING (data.note('policy') AND id % 2 = 0) WITH CHECK (true)" ],
	  [ 'table', 'policies that fail', 'ALTER TABLE data.thing ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', 'CREATE POLICY p ON data.thing USING (1 / (id - 2000021) IS NOT NULL)' ],
	  [ 'table', 'an index with code', "CREATE FUNCTION data.indexed(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS \$\$ BEGIN PERFORM data.note('index'); RETURN \$1; END \$\$", 'CREATE INDEX ON data.thing (data.indexed(title))' ],
	  [ 'table', 'statistics with code', "CREATE FUNCTION data.measured(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS \$\$ BEGIN PERFORM data.note('statistics'); RETURN \$1; END \$\$", 'CREATE STATISTICS data.s ON data.measured(title), (num + 1) FROM data.thing', 'ANALYZE data.thing' ],
	  [ 'table', 'privileges of columns', 'REVOKE ALL ON data.thing FROM hostile_client', 'GRANT SELECT (id), UPDATE (title), INSERT (id) ON data.thing TO hostile_client' ],
	  [ 'table', 'schema renamed', 'ALTER SCHEMA data RENAME TO data_renamed' ],
	  [ 'table', 'schema of views renamed', 'ALTER SCHEMA api RENAME TO api_renamed', 'CREATE SCHEMA api' ],
	  [ 'table', 'schema dropped', 'DROP SCHEMA data CASCADE' ],
	  [ 'table', 'schema of views dropped', 'DROP SCHEMA api CASCADE', $expose ],
	  [ 'table', 'schema of another', 'ALTER SCHEMA data OWNER TO hostile_other' ],
	  [ 'table', 'swapped with another table', 'CREATE TABLE data.other (LIKE data.thing INCLUDING ALL)', 'ALTER TABLE data.thing RENAME TO former', 'ALTER TABLE data.other RENAME TO thing' ],
	  [ 'table', 'a comment that makes a column private', "COMMENT ON COLUMN data.thing.title IS '\@private'", $expose ];
	return @cases;
}

sub views
{
	my $all = 'id, parent_id, num, amount, title, mood, word, pair, labels, doc, flag, day, at, raw, ref, span, ratio, short, bits, created_at, twice';
	my $ours = 'version, updated_at';
	# CREATE OR REPLACE VIEW keeps the columns that are there and may add others: %s is FROM and what follows
	my $replace = sub {
		my ($name, $select, $from, $with) = @_;
		return [ 'views', $name, qq(DO \$\$ BEGIN EXECUTE format('CREATE OR REPLACE VIEW api.thing WITH (security_invoker@{[ $with // '' ]}) AS SELECT %s $select FROM $from',
			(SELECT string_agg(CASE WHEN attname = 'cursor' THEN format('NULL::taskapi.cursor AS cursor') ELSE format('t.%I', attname) END, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'api.thing'::regclass AND attnum > 0)); END \$\$) ];
	};
	return (
		$replace->('a join', ', o.x', '(SELECT 1234567890::int8 AS dummy, \'\'\\xdeadbeefdeadbeefdeadbeef\'\'::bytea AS x) o, data.thing t'),
		$replace->('another table first', ', o.note, o.size', 'data.part o, data.thing t'),
		$replace->('another table last', ', o.note, o.size', 'data.thing t, data.part_b o'),
		$replace->('an outer join', ', o.note', 'data.thing t LEFT JOIN data.child o ON o.thing_id = t.id'),
		$replace->('a function', ', o.o', "generate_series(1, 3) o(o), data.thing t"),
		$replace->('without the condition', '', 'data.thing t'),
		$replace->('another condition', '', "data.thing t WHERE data.note(''view'') AND t.deleted_at IS NULL"),
		$replace->('a failing condition', '', 'data.thing t WHERE 1 / (t.id - 2000021) IS NOT NULL'),
		$replace->('only the deleted', '', 'data.thing t WHERE t.deleted_at IS NOT NULL'),
		$replace->('a union', '', 'data.thing t UNION ALL SELECT * FROM api.thing_twin'),
		$replace->('sorted and limited', '', 'data.thing t ORDER BY t.title LIMIT 7'),
		$replace->('grouped', ', count(*)', 'data.thing t GROUP BY t.id'),
		$replace->('of itself through the deleted view', '', '(SELECT *, NULL::taskapi.cursor AS c FROM data.thing) t'),
		$replace->('a barrier', '', 'data.thing t WHERE t.deleted_at IS NULL', ', security_barrier'),
		$replace->('of the owner', '', 'data.thing t WHERE t.deleted_at IS NULL', ' = false'),
		$replace->('with a check option', '', "data.thing t WHERE t.title <> ''posted-title''", ', check_option = cascaded'),
		$replace->('a sample', '', 'data.thing t TABLESAMPLE SYSTEM (50)'),
		$replace->('for update', '', 'data.thing t WHERE t.deleted_at IS NULL FOR UPDATE'),
		$replace->('a whole row', ', t AS whole, o AS other', 'data.child o, data.thing t'),
		$replace->('an expression more', ", t.num + 1 AS more, ''text''::text AS another, ROW(t.id, t.title) AS composed", 'data.thing t WHERE t.deleted_at IS NULL'),
		[ 'views', 'a copy of values', 'SELECT data.loosen()' ],
		[ 'views', 'of another table by the same names', 'CREATE TABLE data.twin (LIKE data.thing)', "INSERT INTO data.twin (id, title) VALUES (2000777, 'twin-title')", 'SELECT data.loosen()', 'ALTER TABLE data.thing RENAME TO former', 'ALTER TABLE data.twin RENAME TO thing', 'GRANT ALL ON data.thing TO hostile_client', 'SELECT data.tighten()' ],
		[ 'views', 'renamed', 'ALTER VIEW api.thing RENAME TO renamed' ],
		[ 'views', 'swapped live and deleted', 'ALTER VIEW api.thing RENAME TO swapped', 'ALTER VIEW api.deleted_thing RENAME TO thing', 'ALTER VIEW api.swapped RENAME TO deleted_thing' ],
		[ 'views', 'swapped with another resource', 'ALTER VIEW api.thing RENAME TO swapped', 'ALTER VIEW api.child RENAME TO thing', 'ALTER VIEW api.swapped RENAME TO child' ],
		[ 'views', 'in another schema', 'ALTER VIEW api.thing SET SCHEMA elsewhere' ],
		[ 'views', 'of another owner', 'ALTER VIEW api.thing OWNER TO hostile_other' ],
		[ 'views', 'dropped', 'DROP VIEW api.thing CASCADE' ],
		[ 'views', 'the deleted view dropped', 'DROP VIEW api.deleted_thing' ],
		[ 'views', 'dropped, exposed without deletion', 'DROP VIEW api.thing CASCADE', "SELECT taskapi.expose('data.thing', 'api', soft_delete => false)", "SELECT taskapi.grant_resource('api.thing', 'hostile_client')" ],
		[ 'views', 'a table instead', 'DROP VIEW api.thing CASCADE', 'CREATE TABLE api.thing AS SELECT * FROM data.thing', 'GRANT ALL ON api.thing TO hostile_client' ],
		[ 'views', 'a table instead, registered', 'DROP VIEW api.thing CASCADE', 'CREATE TABLE api.thing AS SELECT * FROM data.thing', 'GRANT ALL ON api.thing TO hostile_client', $register ],
		[ 'views', 'a materialized view instead', 'DROP VIEW api.thing CASCADE', 'CREATE MATERIALIZED VIEW api.thing AS SELECT * FROM data.thing', 'GRANT ALL ON api.thing TO hostile_client', $register ],
		[ 'views', 'a sequence instead', 'DROP VIEW api.thing CASCADE', 'CREATE SEQUENCE api.thing', 'GRANT ALL ON api.thing TO hostile_client', $register ],
		[ 'views', 'a type instead', 'DROP VIEW api.thing CASCADE', 'CREATE TYPE api.thing AS (id int8)', $register ],
		[ 'views', 'rebuilt', "SELECT data.rebuild('SELECT 1')" ],
		[ 'views', 'rebuilt and registered', "SELECT data.rebuild('SELECT 1')", $register ],
		[ 'views', 'rebuilt of few columns, with our triggers', 'DROP VIEW api.thing CASCADE', 'CREATE VIEW api.thing AS SELECT title, id FROM data.thing WHERE deleted_at IS NULL', our_triggers('api.thing'), 'GRANT ALL ON api.thing TO hostile_client', $register ],
		[ 'views', 'a bare table, with our triggers', 'CREATE TABLE data.bare (id int8 PRIMARY KEY, deleted_at timestamptz, deletion_id int8 DEFAULT 57005, version text)', 'DROP VIEW api.thing CASCADE', 'CREATE VIEW api.thing AS SELECT id, version FROM data.bare WHERE deleted_at IS NULL', our_triggers('api.thing'),
			'GRANT ALL ON api.thing, data.bare TO hostile_client',
			"SELECT layer.register_resource('api.thing', 'data.bare', NULL, NULL, 'id', true, true, false)", 'INSERT INTO api.thing (id) VALUES (2000026), (2000016), (2000036)' ],
		[ 'views', 'without our triggers', q(DO $$ BEGIN EXECUTE (SELECT string_agg(format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass), ';') FROM pg_trigger WHERE tgrelid IN ('api.thing'::regclass, 'api.deleted_thing'::regclass)); END $$) ],
		[ 'views', 'without triggers of statements', q(DO $$ BEGIN EXECUTE (SELECT string_agg(format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass), ';') FROM pg_trigger WHERE tgrelid = 'api.thing'::regclass AND tgtype & 1 = 0); END $$) ],
		[ 'views', 'without triggers of rows', q(DO $$ BEGIN EXECUTE (SELECT string_agg(format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass), ';') FROM pg_trigger WHERE tgrelid = 'api.thing'::regclass AND tgtype & 1 = 1); END $$) ],
		[ 'views', 'our triggers twice', our_triggers('api.thing') ],
		[ 'views', 'live triggers on the deleted view', our_triggers('api.deleted_thing') ],
		[ 'views', 'a rule instead', 'CREATE RULE r AS ON UPDATE TO api.thing DO INSTEAD SELECT 1', 'CREATE RULE s AS ON INSERT TO api.thing DO INSTEAD NOTHING' ],
		[ 'views', 'a rule also', "CREATE RULE r AS ON INSERT TO api.thing DO ALSO INSERT INTO api.child (id, note) VALUES (7900000, 'posted-note')" ],
		[ 'views', 'a view of the view', 'DROP FUNCTION api.thing_page', 'ALTER VIEW api.thing RENAME TO inner_thing', 'CREATE VIEW api.thing AS SELECT * FROM api.inner_thing', 'GRANT ALL ON api.thing TO hostile_client' ],
		[ 'views', 'defaults with code', "ALTER VIEW api.thing ALTER title SET DEFAULT data.filled(), ALTER num SET DEFAULT 1234567" ],
		[ 'views', 'a default of version', 'ALTER VIEW api.thing ALTER version SET DEFAULT 77777' ],
		[ 'views', 'columns renamed', 'ALTER VIEW api.thing RENAME version TO renamed', 'ALTER VIEW api.thing RENAME title TO version' ],
		[ 'views', 'the key renamed', 'ALTER VIEW api.thing RENAME id TO renamed', 'ALTER VIEW api.deleted_thing RENAME deleted_at TO renamed' ],
		[ 'views', 'deleted_at another column', 'ALTER VIEW api.deleted_thing RENAME deleted_at TO renamed', 'ALTER VIEW api.deleted_thing RENAME title TO deleted_at' ],
		[ 'views', 'an own trigger besides', "CREATE FUNCTION data.own() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN RETURN NULL; END \$\$", 'CREATE TRIGGER aa INSTEAD OF INSERT OR UPDATE OR DELETE ON api.thing FOR EACH ROW EXECUTE FUNCTION data.own()' ]);
}

sub our_triggers
{
	my $view = shift;
	return ("CREATE TRIGGER w INSTEAD OF INSERT OR UPDATE OR DELETE ON $view FOR EACH ROW EXECUTE FUNCTION taskapi.resource_write()",
		"CREATE TRIGGER a BEFORE INSERT OR UPDATE OR DELETE ON $view FOR EACH STATEMENT EXECUTE FUNCTION taskapi.resource_statement()",
		"CREATE TRIGGER z AFTER INSERT OR UPDATE OR DELETE ON $view FOR EACH STATEMENT EXECUTE FUNCTION taskapi.resource_statement()");
}

sub types
{
	my @cases = map { [ 'types', $_, $_ ] } (
		'ALTER TYPE data.pair ADD ATTRIBUTE z bytea CASCADE', 'ALTER TYPE data.pair DROP ATTRIBUTE x CASCADE', 'ALTER TYPE data.pair RENAME ATTRIBUTE y TO renamed CASCADE', 'ALTER TYPE data.pair RENAME TO renamed',
		'ALTER TYPE data.pair SET SCHEMA elsewhere', 'ALTER TYPE data.pair OWNER TO hostile_other', 'DROP TYPE data.pair CASCADE', "ALTER TYPE data.mood ADD VALUE 'mood-lowest' BEFORE 'mood-low'",
		"ALTER TYPE data.mood RENAME VALUE 'mood-low' TO 'mood-renamed'", 'ALTER TYPE data.mood RENAME TO renamed', 'ALTER TYPE data.mood SET SCHEMA elsewhere', 'DROP TYPE data.mood CASCADE',
		"ALTER DOMAIN data.word ADD CHECK (VALUE <> 'posted') NOT VALID", "ALTER DOMAIN data.word ADD CHECK (data.note('domain'))", 'ALTER DOMAIN data.word SET NOT NULL', "ALTER DOMAIN data.word SET DEFAULT 'posted-word'",
		'ALTER DOMAIN data.word RENAME TO renamed', 'DROP DOMAIN data.word CASCADE', 'ALTER DOMAIN data.word DROP CONSTRAINT word_check', 'ALTER DOMAIN data.word SET SCHEMA elsewhere');
	push @cases,
	  [ 'types', 'an attribute of another type', 'SELECT data.loosen()', 'ALTER TABLE data.thing DROP COLUMN pair CASCADE', 'DROP VIEW api.thing, api.deleted_thing CASCADE', 'ALTER TYPE data.pair ALTER ATTRIBUTE x TYPE text CASCADE', 'ALTER TABLE data.thing ADD COLUMN pair data.pair', $expose ],
	  [ 'types', 'an attribute of another type by a rewrite', 'SELECT data.rebuild($r$ALTER TABLE data.thing ALTER pair TYPE text$r$)', 'DROP TYPE data.pair CASCADE', 'CREATE TYPE data.pair AS (x bytea, y int4)', 'SELECT data.rebuild($r$ALTER TABLE data.thing ALTER pair TYPE data.pair USING NULL$r$)' ],
	  [ 'types', 'a range of pairs', 'CREATE TYPE data.moods AS RANGE (subtype = data.mood)', 'ALTER TABLE data.thing ADD COLUMN moods data.moods' ],
	  [ 'types', 'a cast to json with code', "CREATE FUNCTION data.as_json(data.pair) RETURNS json LANGUAGE plpgsql AS \$\$ BEGIN PERFORM data.note('cast'); RETURN '\"cast-value\"'; END \$\$", 'CREATE CAST (data.pair AS json) WITH FUNCTION data.as_json(data.pair)' ],
	  [ 'types', 'a cast to json that fails', 'CREATE FUNCTION data.as_json(data.mood) RETURNS json LANGUAGE sql AS $$ SELECT (1 / 0)::text::json $$', 'CREATE CAST (data.mood AS json) WITH FUNCTION data.as_json(data.mood)' ],
	  [ 'types', 'an assignment cast with code', "CREATE FUNCTION data.cast_word(data.mood) RETURNS text LANGUAGE plpgsql AS \$\$ BEGIN PERFORM data.note('cast'); RETURN 'cast-value'; END \$\$", 'CREATE CAST (data.mood AS text) WITH FUNCTION data.cast_word(data.mood) AS ASSIGNMENT' ],
	  [ 'types', 'operators of an own type', "CREATE FUNCTION data.equal(data.mood, text) RETURNS bool LANGUAGE plpgsql AS \$\$ BEGIN RETURN data.note('operator'); END \$\$", 'CREATE OPERATOR data.= (LEFTARG = data.mood, RIGHTARG = text, FUNCTION = data.equal)', 'ALTER ROLE hostile_owner SET search_path = data, pg_catalog' ],
	  [ 'types', 'a collation renamed', 'CREATE COLLATION data.folded (provider = icu, locale = \'en\')', 'SELECT data.rebuild($r$ALTER TABLE data.thing ALTER title TYPE text COLLATE data.folded$r$)', $expose, 'ALTER COLLATION data.folded RENAME TO renamed' ],
	  [ 'types', 'a collation of another order', 'CREATE COLLATION data.folded (provider = icu, locale = \'und-u-ks-level2\', deterministic = false)', 'SELECT data.rebuild($r$ALTER TABLE data.thing ALTER title TYPE text COLLATE data.folded$r$)', $expose, 'SELECT data.rebuild($r$ALTER TABLE data.thing ALTER title TYPE text COLLATE "C"$r$)' ];
	return @cases;
}

sub functions
{
	my $trigger = sub {
		my ($name, $when, $body, @more) = @_;
		return [ 'functions', $name, "CREATE FUNCTION data.hook() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN PERFORM data.note('trigger'); $body END \$\$", "CREATE TRIGGER $when EXECUTE FUNCTION data.hook()", @more ];
	};
	my $each = 'ON data.thing FOR EACH ROW';
	my $row = 'IF TG_OP = \'DELETE\' THEN RETURN old; END IF;';
	my @settings = map { "PERFORM set_config('request.$_->[0]', '$_->[1]', true);" } ([ method => '' ], [ method => 'PUT' ], [ headers => '' ], [ headers => '{{' ], [ 'jwt.claims' => '' ], [ path => '' ]);
	return (
		(map { my $s = $_; (my $n = $s) =~ s/.*'request\.([^']*)', '([^']*)'.*/$1 = $2/; map { $trigger->("a trigger sets $n, $_", "a_hook BEFORE INSERT OR UPDATE OR DELETE $each", "$s $row " . ($_ eq 'and goes on' ? 'RETURN new;' : 'RETURN NULL;')) } ('and goes on', 'and stops') } @settings),
		$trigger->('a trigger that stops deletions', "a_hook BEFORE DELETE $each", 'RETURN NULL;'),
		$trigger->('a trigger that stops updates', "a_hook BEFORE UPDATE $each", 'RETURN NULL;'),
		$trigger->('a trigger that stops deleting', "zzz_hook BEFORE UPDATE $each", 'IF new.deleted_at IS NOT NULL THEN RETURN NULL; END IF; RETURN new;'),
		$trigger->('a trigger that changes the key', "zzz_hook BEFORE INSERT OR UPDATE $each", 'new.id := new.id + 400000; RETURN new;'),
		$trigger->('a trigger that changes what is ours', "zzz_hook BEFORE INSERT OR UPDATE $each", "new.version := 77777; new.deletion_id := '018f0000-0000-7000-8000-000000000001'; RETURN new;"),
		$trigger->('a trigger that clears what is ours', "zzz_hook BEFORE INSERT OR UPDATE $each", 'new.deletion_id := NULL; new.updated_at := NULL; RETURN new;'),
		$trigger->('a trigger that deletes the row', "a_hook BEFORE UPDATE $each", 'DELETE FROM data.child WHERE thing_id = old.id; DELETE FROM data.thing WHERE id = old.id; RETURN new;'),
		$trigger->('a trigger that writes to the resource', "a_hook AFTER INSERT OR UPDATE $each", "IF pg_trigger_depth() < 4 THEN UPDATE api.thing SET title = 'patched-title' WHERE id = new.id; END IF; RETURN NULL;"),
		$trigger->('a trigger that deletes through the resource', "a_hook AFTER DELETE OR UPDATE $each", 'DELETE FROM api.thing WHERE id = old.id + 1; RETURN NULL;'),
		$trigger->('a trigger that never ends', "a_hook AFTER UPDATE $each", 'UPDATE data.thing SET num = num + 0 WHERE id = old.id; RETURN NULL;'),
		$trigger->('a trigger with DDL', "a_hook BEFORE INSERT OR UPDATE $each", "BEGIN ALTER TABLE data.thing ADD COLUMN late int; EXCEPTION WHEN OTHERS THEN NULL; END; RETURN new;"),
		$trigger->('a trigger with DDL on the children', "a_hook BEFORE UPDATE $each", 'BEGIN ALTER TABLE data.child DROP COLUMN note CASCADE; EXCEPTION WHEN OTHERS THEN NULL; END; RETURN new;'),
		$trigger->('a trigger that unexposes', "a_hook BEFORE UPDATE OR DELETE $each", "BEGIN PERFORM taskapi.unexpose('api.child'); EXCEPTION WHEN OTHERS THEN NULL; END; $row RETURN new;"),
		$trigger->('a trigger that fails', "a_hook BEFORE INSERT OR UPDATE OR DELETE $each", "RAISE EXCEPTION 'refused by the owner' USING ERRCODE = 'check_violation';"),
		$trigger->('a trigger that takes its role', "a_hook BEFORE INSERT OR UPDATE OR DELETE $each", "BEGIN PERFORM set_config('role', 'none', true); EXCEPTION WHEN OTHERS THEN NULL; END; PERFORM data.note('role'); $row RETURN new;"),
		$trigger->('a constraint trigger, deferred', "a_hook AFTER DELETE ON data.thing", "RETURN NULL;", 'CREATE CONSTRAINT TRIGGER later AFTER DELETE OR UPDATE ON data.thing DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION data.hook()'),
		$trigger->('a trigger of statements', 'a_hook AFTER UPDATE ON data.thing REFERENCING OLD TABLE AS o NEW TABLE AS n', 'PERFORM count(*) FROM o, n; RETURN NULL;'),
		$trigger->('a trigger of the children', 'a_hook BEFORE UPDATE OR DELETE ON data.child FOR EACH ROW', 'RETURN NULL;'),
		$trigger->('a trigger of the children that moves them', 'zzz_hook BEFORE UPDATE ON data.child FOR EACH ROW', 'new.thing_id := new.thing_id + 1; RETURN new;'),
		[ 'functions', 'the page function of another result', 'DROP FUNCTION api.thing_page', "CREATE FUNCTION api.thing_page(order_by text DEFAULT NULL, page_size int DEFAULT NULL, page_token text DEFAULT NULL, filter jsonb DEFAULT NULL) RETURNS int LANGUAGE sql AS 'SELECT 1234567'", $expose ],
		[ 'functions', 'the page function replaced', "CREATE OR REPLACE FUNCTION api.thing_page(order_by text DEFAULT NULL, page_size int DEFAULT NULL, page_token text DEFAULT NULL, filter jsonb DEFAULT NULL) RETURNS taskapi.page_result LANGUAGE sql AS 'SELECT NULL::json, ''posted'', NULL, true, NULL'" ],
		[ 'functions', 'the page function dropped', 'DROP FUNCTION api.thing_page' ],
		[ 'functions', 'a default replaced', 'CREATE OR REPLACE FUNCTION data.filled() RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM data.note(\'default\'); PERFORM set_config(\'request.method\', \'\', true); RETURN \'filled-by-default\'; END $$' ],
		[ 'functions', 'a default dropped', 'DROP FUNCTION data.filled() CASCADE' ],
		[ 'functions', 'an owner whose settings are odd', "ALTER ROLE hostile_owner SET quote_all_identifiers = on", 'SET quote_all_identifiers = on', 'SET search_path = data, taskapi', $expose ]);
}

sub partitions
{
	my @cases = map { [ 'partitions', $_, $_ ] } (
		'ALTER TABLE data.part DETACH PARTITION data.part_b', 'DROP TABLE data.part_b', 'DROP TABLE data.part CASCADE', 'ALTER TABLE data.part_b DISABLE TRIGGER USER', 'ALTER TABLE data.part_b OWNER TO hostile_other',
		'ALTER TABLE data.part_b SET SCHEMA elsewhere', 'ALTER TABLE data.part_b ENABLE ROW LEVEL SECURITY', 'TRUNCATE data.part_b', "CREATE TABLE data.part_rest PARTITION OF data.part DEFAULT", 'ALTER TABLE data.part RENAME size TO renamed',
		'ALTER TABLE data.part DROP COLUMN note CASCADE', 'ALTER TABLE data.part_b ALTER note SET DEFAULT \'posted-note\'', 'ALTER TABLE data.part_b ADD CHECK (id < 8000010) NOT VALID', 'REVOKE ALL ON data.part FROM hostile_client');
	my $attach = sub { my ($name, $columns, @more) = @_; return [ 'partitions', $name, 'ALTER TABLE data.part DETACH PARTITION data.part_b', 'ALTER TABLE data.part_b RENAME TO former_b', "CREATE TABLE data.part_b ($columns)", @more, "ALTER TABLE data.part ATTACH PARTITION data.part_b FOR VALUES IN ('region-b')" ]; };
	push @cases,
	  $attach->('another one in its place', 'deletion_id uuid, deleted_at timestamptz, updated_at timestamptz NOT NULL DEFAULT now(), version int NOT NULL DEFAULT 1, size int4, gone text, note text, region text NOT NULL, id int8 NOT NULL', 'ALTER TABLE data.part_b DROP COLUMN gone'),
	  $attach->('one that is filled', 'LIKE data.part INCLUDING DEFAULTS', "INSERT INTO data.part_b (id, region, note) SELECT 8000000 + n, 'region-b', 'other-note' FROM generate_series(1, 60) n"),
	  $attach->('one that is partitioned', 'LIKE data.part INCLUDING DEFAULTS) PARTITION BY RANGE (id', 'CREATE TABLE data.part_b_1 PARTITION OF data.part_b FOR VALUES FROM (0) TO (8000020)', 'CREATE TABLE data.part_b_2 PARTITION OF data.part_b DEFAULT'),
	  [ 'partitions', 'a reference to one partition', 'CREATE TABLE data.of_part (id int8 PRIMARY KEY, part_id int8, region text, FOREIGN KEY (part_id, region) REFERENCES data.part_b ON DELETE CASCADE)', "INSERT INTO data.of_part SELECT 8100000 + n, 8000000 + n, 'region-b' FROM generate_series(1, 59, 2) n", "SELECT taskapi.expose('data.of_part')" ],
	  [ 'partitions', 'a reference to all', 'CREATE TABLE data.of_part (id int8 PRIMARY KEY, part_id int8, region text, FOREIGN KEY (part_id, region) REFERENCES data.part ON DELETE CASCADE)', "INSERT INTO data.of_part SELECT 8100000 + n, 8000000 + n, 'region-b' FROM generate_series(1, 59, 2) n", "SELECT taskapi.expose('data.of_part')" ],
	  [ 'partitions', 'exposed by itself', "SELECT taskapi.expose('data.part_b', 'api')", "SELECT taskapi.grant_resource('api.part_b', 'hostile_client')" ],
	  [ 'partitions', 'its deletion_id a number', 'DROP VIEW api.part, api.deleted_part CASCADE', 'ALTER TABLE data.part DROP COLUMN deletion_id CASCADE, ADD COLUMN deletion_id int8 DEFAULT 3735928559' ],
	  [ 'partitions', 'a trigger of one', "CREATE FUNCTION data.hook() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN PERFORM data.note('partition'); RETURN NULL; END \$\$", 'CREATE TRIGGER a BEFORE UPDATE OR DELETE ON data.part_b FOR EACH ROW EXECUTE FUNCTION data.hook()' ];
	return @cases;
}

# Functions of the extension that nobody should call, called.
sub registry
{
	my @relations = qw(api.thing api.deleted_thing data.thing api.child data.part data.part_b victim.secret taskapi.secret pg_class data.thing_pkey);
	my @cases;
	foreach my $view (@relations)
	{
		push @cases, [ 'registry', "register $view", "SELECT layer.register_resource('$view', 'data.child', 'api.deleted_thing', 'thing_page', 'id', true, true, true)" ],
		  [ 'registry', "register of $view", "SELECT layer.register_resource('api.thing', '$view', 'api.deleted_child', 'thing_page', 'id', true, true, true)" ],
		  [ 'registry', "unregister $view", "SELECT taskapi.drop_resource('$view'), taskapi.finish_unexpose('$view')" ],
		  [ 'registry', "triggers of $view", (map { "SELECT taskapi.run_as(current_user::regrole, s) FROM taskapi.trigger_statements('$view', '$view', '{$_}') s" } qw(live deleted versioned source)) ],
		  [ 'registry', "source triggers of $view", "SELECT taskapi.run_as(current_user::regrole, s) FROM taskapi.source_trigger_statements('$view', true, true) s" ],
		  [ 'registry', "a plan of $view", "SELECT taskapi.expose_plan('$view', 'elsewhere', 'again')" ],
		  [ 'registry', "expose $view", "SELECT taskapi.expose('$view', 'elsewhere', 'again')" ],
		  [ 'registry', "purge of $view", "SELECT taskapi.purge_source('$view', now(), 1000)", "SELECT * FROM taskapi.resource_columns('$view')" ],
		  [ 'registry', "pages of $view", "SELECT * FROM taskapi.page('$view')", "SELECT taskapi.index_advice('$view', 'id')", "SELECT taskapi.check_exposable('$view')" ];
	}
	push @cases,
	  [ 'registry', 'without versions', "SELECT layer.register_resource('api.thing', 'data.thing', NULL, NULL, 'id', false, false, false)" ],
	  [ 'registry', 'without a deleted view', "SELECT layer.register_resource('api.thing', 'data.thing', NULL, NULL, 'id', true, true, true)" ],
	  [ 'registry', 'live and deleted swapped', "SELECT layer.register_resource('api.deleted_thing', 'data.thing', 'api.thing', NULL, 'id', true, true, true)" ],
	  [ 'registry', 'both the same', "SELECT layer.register_resource('api.thing', 'data.thing', 'api.thing', NULL, 'id', true, true, true)" ],
	  [ 'registry', 'NULLs', "SELECT layer.register_resource(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)", "SELECT taskapi.run_as(current_user::regrole, s) FROM taskapi.trigger_statements('data.thing', 'data.thing', '{NULL}') s" ],
	  [ 'registry', 'an order of nonsense', "SELECT layer.register_resource('api.thing', 'data.thing', 'api.deleted_thing', 'nonsense', 'nonsense, , DESC', true, true, true)" ];
	return @cases;
}

# Our trigger functions where they do not belong, and what is called without a trigger.
sub planted
{
	my @functions = qw(resource_write resource_statement resource_touch resource_reference);
	my @cases;
	foreach my $f (@functions)
	{
		foreach my $where ('BEFORE INSERT OR UPDATE OR DELETE ON data.child FOR EACH ROW', 'AFTER INSERT OR UPDATE OR DELETE ON data.child FOR EACH ROW', 'BEFORE INSERT OR UPDATE OR DELETE ON data.child FOR EACH STATEMENT',
			'AFTER TRUNCATE ON data.child FOR EACH STATEMENT', 'INSTEAD OF INSERT OR UPDATE OR DELETE ON api.stranger FOR EACH ROW', 'BEFORE UPDATE ON data.strange FOR EACH ROW', 'BEFORE DELETE ON data.strange FOR EACH ROW', 'BEFORE UPDATE OR DELETE ON data.part_b FOR EACH ROW')
		{
			foreach my $arguments ('', "'a', 'b', 'c'")
			{
				push @cases, [ 'planted', "$f($arguments) $where", "CREATE TABLE data.strange (id text PRIMARY KEY, version text DEFAULT 'x', updated_at int4, deleted_at int4, deletion_id int4, thing_id int8 REFERENCES data.thing ON DELETE CASCADE)", "INSERT INTO data.strange SELECT 'strange-' || n, 'x', n, NULL, n, 2000000 + n FROM generate_series(1, 60) n",
					'CREATE VIEW api.stranger AS SELECT * FROM data.strange', "CREATE TRIGGER aaa $where EXECUTE FUNCTION taskapi.$f($arguments)", 'GRANT ALL ON api.stranger, data.strange TO hostile_client',
					"UPDATE data.strange SET version = 'posted'", 'DELETE FROM data.strange WHERE deletion_id = 50', "UPDATE api.stranger SET version = 'posted'", "INSERT INTO api.stranger (id) VALUES ('posted')", 'DELETE FROM api.stranger', 'UPDATE data.child SET note = note', 'TRUNCATE data.child' ];
			}
		}
		push @cases, [ 'planted', "$f() called", "SELECT taskapi.$f()" ];
	}
	return @cases;
}

# What a client does to his own request while a statement runs.
sub client
{
	my @cases;
	foreach my $setting ([ method => '' ], [ method => 'PUT' ], [ method => 'PATCH' ], [ headers => '' ], [ headers => '{{' ], [ headers => '{"idempotency-key": "hostile-other"}' ], [ 'jwt.claims' => '' ], [ path => '/other' ])
	{
		my $set = "coalesce(nullif(set_config('request.$setting->[0]', '$setting->[1]', true), '$setting->[1]'), 'posted-title')";
		foreach my $request ([ POST => '{}' ], [ POST => '{"idempotency-key": "hostile-mid"}' ], [ PUT => '{}' ], [ PATCH => '{"if-match": "\"1\""}' ], [ DELETE => '{}' ])
		{
			my ($method, $headers) = @$request;
			my $statement = {
				POST => "INSERT INTO api.thing (id, title) SELECT 2400000 + i, $set FROM generate_series(1, 3) i RETURNING id, title",
				PUT => "INSERT INTO api.thing (id, title) VALUES (2400010, $set) ON CONFLICT (id) DO UPDATE SET id = excluded.id, title = excluded.title RETURNING id",
				PATCH => "UPDATE api.thing SET title = $set WHERE id IN (2000055, 2000056) RETURNING id, title",
				DELETE => "DELETE FROM api.thing WHERE id IN (2000057, 2000058) AND $set IS NOT NULL RETURNING id, title" }->{$method};
			push @cases, [ 'client', "$method with $headers sets $setting->[0] = $setting->[1]", "BEGIN; SELECT layer.request('$method', '$headers'); $statement; COMMIT" ];
		}
	}
	return @cases;
}

1;
