# What is marked LEAKPROOF, or put into a query by the planner, tells nothing of rows that row-level security hides: two databases
# that differ in hidden rows alone answer every query alike, in rows, errors and plans.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('leakproof');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
# plans and estimates are compared, which new statistics would change in between
$node->append_conf('postgresql.conf', "autovacuum = off\n");
$node->start;

# A world: a role that sees the rows of its own, and one hidden row whose secret is told. Policies of cost 1 and of cost 100
# on tables that are alike, a security barrier, a nested view, a computed field, a table of the role's own, in the same places.
sub make_world
{
	my ($name, $secret, $mail) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->safe_psql($name, qq{
		CREATE EXTENSION taskapi;
		CREATE FUNCTION mine(owner text) RETURNS bool LANGUAGE plpgsql STABLE COST 100 AS \$\$ BEGIN RETURN owner = current_setting('app.owner'); END \$\$;
		CREATE TABLE cheap (id int NOT NULL, owner text NOT NULL, secret int NOT NULL, mail text NOT NULL, due int, word text NOT NULL, u uuid NOT NULL);
		INSERT INTO cheap VALUES (1, 'mallory', 10, 'm\@x', 1, 'a', '00000000-0000-0000-0000-000000000001'), (2, 'ceo', $secret, '$mail', 2, '(', '00000000-0000-0000-0000-000000000002');
		CREATE TABLE dear (LIKE cheap);
		INSERT INTO dear SELECT * FROM cheap;
		ALTER TABLE cheap ENABLE ROW LEVEL SECURITY;
		ALTER TABLE dear ENABLE ROW LEVEL SECURITY;
		CREATE POLICY own ON cheap USING (owner = current_setting('app.owner'));
		CREATE POLICY own ON dear USING (mine(owner));
		CREATE VIEW of_cheap WITH (security_invoker) AS SELECT *, taskapi.cursor('id', id) AS c, taskapi.cursor('due NULLS LAST, id DESC', due, id) AS mixed FROM cheap;
		CREATE VIEW of_dear WITH (security_invoker) AS SELECT *, taskapi.cursor('id', id) AS c, taskapi.cursor('due NULLS LAST, id DESC', due, id) AS mixed FROM dear;
		CREATE VIEW barrier WITH (security_barrier) AS SELECT *, taskapi.cursor('id', id) AS c, taskapi.cursor('due NULLS LAST, id DESC', due, id) AS mixed FROM cheap WHERE owner = 'mallory';
		CREATE VIEW nested WITH (security_invoker) AS SELECT v.* FROM of_cheap v WHERE v.id > 0;
		CREATE TABLE sink (id int);
		GRANT SELECT, UPDATE, DELETE ON cheap, dear, of_cheap, of_dear, barrier, nested, sink TO mallory;
		GRANT INSERT ON sink TO mallory;
	});
}
$node->safe_psql('postgres', 'CREATE ROLE mallory');
make_world('world_a', 777, 'a@hidden');
make_world('world_b', 5, 'z@hidden');

# 1. Every function that is leakproof is known here, and so is what the planner puts in.
is($node->safe_psql('world_a', q{SELECT string_agg(proname, ' ' ORDER BY proname COLLATE "C") FROM pg_proc WHERE pronamespace = 'taskapi'::regnamespace AND proleakproof}),
	'contains contains contains contains contains cursor cursor_cmp cursor_eq cursor_ge cursor_gt cursor_hash cursor_hash_extended cursor_le cursor_lt cursor_ne is_like matches one_of overlaps overlaps overlaps overlaps uuidv7_timestamp',
	'all leakproof functions are tested below');

# 2. The types that a cursor can hold: those whose comparison PostgreSQL marks leakproof, those with an encoding of ours (numeric), and enums.
is($node->safe_psql('world_a', q{
	CREATE TYPE mood AS ENUM ('x', 'y'); CREATE TYPE pair AS (a int, b int); CREATE DOMAIN short AS text;
	CREATE FUNCTION held(type regtype) RETURNS bool LANGUAGE plpgsql AS $$
	BEGIN
		EXECUTE format('EXPLAIN SELECT taskapi.cursor(''k'', NULLIF(random()::text, '''')::%s)', type);
		RETURN true;
	EXCEPTION WHEN invalid_parameter_value THEN RETURN false;
	END $$;
	SELECT string_agg(t.typname, ' ' ORDER BY t.typname COLLATE "C")
	FROM pg_type t
	JOIN LATERAL (SELECT c.opcfamily, c.opcintype FROM pg_opclass c JOIN pg_am a ON a.oid = c.opcmethod AND a.amname = 'btree'
		WHERE c.opcdefault AND (c.opcintype = t.oid OR c.opcintype = (SELECT castsource FROM pg_cast WHERE castsource = c.opcintype AND casttarget = t.oid AND castmethod = 'b' LIMIT 1))
		ORDER BY c.opcintype = t.oid DESC LIMIT 1) o ON true
	JOIN pg_amproc p ON p.amprocfamily = o.opcfamily AND p.amproclefttype = o.opcintype AND p.amprocrighttype = o.opcintype AND p.amprocnum = 1
	JOIN pg_proc f ON f.oid = p.amproc
	WHERE t.typtype = 'b' AND t.typnamespace = 'pg_catalog'::regnamespace AND t.typelem = 0 AND held(t.oid::regtype) AND NOT f.proleakproof}),
	'numeric', 'a type in a cursor has a comparison that is leakproof, or an encoding');
is($node->safe_psql('world_a', q{SELECT string_agg(t::text, ' ' ORDER BY n) FROM unnest('{mood,short,regclass,cidr,mood[],pair,int4range,jsonb,int[],oidvector,taskapi.cursor}'::regtype[]) WITH ORDINALITY x(t, n) WHERE held(t)}),
	'mood short regclass cidr', 'enums and domains are, arrays, records, ranges, jsonb and cursors are not');

# 3. Queries. In each a cursor's comparison stands with a guess at what is hidden, and the same place is taken by a core operator, which is the
# control. $1 is a cursor of another order, of the same one, one with a NULL, or NULL; $2 is an array of such; $3 is one of another order.
my @forms = (
	'%1$s = $1', '%1$s <> $1', '%1$s < $1', '%1$s <= $1', '%1$s > $1', '%1$s >= $1',
	'$1 = %1$s', '$1 <> %1$s', '$1 < %1$s', '$1 <= %1$s', '$1 > %1$s', '$1 >= %1$s',
	'%1$s = ANY (ARRAY[$1])', '%1$s <> ALL (ARRAY[$1])', '$1 = ANY (ARRAY[%1$s, %1$s])', '%1$s IS DISTINCT FROM $1', '$1 IS NOT DISTINCT FROM %1$s',
	'(%1$s, t.id) > ($1, 0)', '(t.id, $1) <= (0, %1$s)', '(%1$s, t.id) = ($1, 0)', '%1$s BETWEEN $1 AND $1', '%1$s IN ($1, $1)', 'NULLIF(%1$s, $1) IS NULL',
	'%1$s = ANY ($2)', '%1$s <> ALL ($2)', '%1$s > ANY ($2)', '%1$s <= ALL ($2)', '%1$s = ANY (ARRAY[$1] || $2)');
my @places = (
	'SELECT t.id FROM %1$s t WHERE %2$s AND %3$s',
	'SELECT t.id FROM %1$s t WHERE %2$s AND NOT (%3$s)',
	'SELECT t.id FROM %1$s t WHERE %2$s AND (%3$s OR t.id < 0)',
	'SELECT t.id FROM %1$s t WHERE %2$s AND NOT (taskapi.cursor_key($3, \'id\', 1, NULL::int) IS NULL OR %3$s)',
	'SELECT t.id FROM %1$s t WHERE CASE WHEN %2$s THEN %3$s END',
	'SELECT CASE WHEN %2$s THEN %3$s END FROM %1$s t',
	'SELECT t.id FROM %1$s t JOIN %1$s s ON s.id = t.id AND %3$s WHERE %2$s',
	'SELECT t.id FROM %1$s s LEFT JOIN %1$s t ON s.id = t.id AND %2$s AND %3$s',
	'SELECT t.id FROM %1$s t FULL JOIN %1$s s ON s.id = t.id WHERE %2$s AND %3$s',
	'SELECT (SELECT count(*) FROM %1$s t WHERE %2$s AND %3$s)',
	'SELECT 1 WHERE EXISTS (SELECT FROM %1$s t WHERE %2$s AND %3$s)',
	'SELECT s.id FROM %1$s s WHERE NOT EXISTS (SELECT FROM %1$s t WHERE t.id = s.id AND %2$s AND %3$s)',
	'SELECT t.id FROM (SELECT * FROM %1$s WHERE secret > 100 OFFSET 0) t WHERE %2$s AND %3$s',
	'WITH t AS MATERIALIZED (SELECT * FROM %1$s) SELECT t.id FROM t WHERE %2$s AND %3$s',
	'SELECT count(*) FROM %1$s t WHERE %2$s GROUP BY t.c, t.mixed, t.id, t.secret, t.mail, t.word, t.due, t.u HAVING %3$s',
	'SELECT t.id FROM (SELECT * FROM %1$s UNION ALL SELECT * FROM %1$s) t WHERE %2$s AND %3$s',
	'SELECT t.id FROM %1$s t WHERE %2$s AND (%3$s) IS NOT TRUE',
	'SELECT t.id FROM %1$s t WHERE %2$s AND coalesce(%3$s, false) ORDER BY t.id',
	# sub-selects that run when a row is reached, hidden or not
	'SELECT s.id FROM %1$s s WHERE %4$s AND ((SELECT count(*) FROM %1$s t WHERE %3$s) = 0 OR s.id < 0)',
	'SELECT s.id FROM %1$s s WHERE %4$s AND ((SELECT count(*) FROM %1$s t WHERE %3$s) + s.id = 0)',
	'SELECT s.id FROM %1$s s WHERE %4$s AND (SELECT count(*) FROM %1$s t WHERE %3$s) <> s.id',
	'SELECT s.id FROM %1$s s WHERE %4$s AND (EXISTS (SELECT FROM %1$s t WHERE %3$s) OR s.id < 0)',
	'SELECT s.id FROM %1$s s WHERE %4$s AND ((SELECT count(*) FROM %1$s t WHERE t.id = s.id AND %3$s) = 0 OR s.id < 0)',
	'WITH w AS MATERIALIZED (SELECT t.id FROM %1$s t WHERE %3$s) SELECT s.id FROM %1$s s WHERE %4$s AND s.id <> (SELECT count(*) FROM w)',
	'WITH w AS (SELECT t.id FROM %1$s t WHERE %3$s), x AS (SELECT * FROM w) SELECT s.id FROM %1$s s WHERE %4$s AND (s.id < 0 OR (SELECT count(*) FROM x) = 0)',
	'SELECT s.id FROM (SELECT s.*, (SELECT count(*) FROM %1$s t WHERE %3$s) AS n FROM %1$s s) s WHERE %4$s AND (s.n = 0 OR s.id < 0)',
	'SELECT s.id FROM %1$s s WHERE CASE WHEN %4$s THEN EXISTS (SELECT FROM %1$s t WHERE %3$s) END',
	'SELECT s.id FROM %1$s s WHERE %4$s AND coalesce(NULLIF(s.id, 2), (SELECT count(*) FROM %1$s t WHERE %3$s)) >= 0',
	'SELECT s.id FROM %1$s s WHERE %4$s AND s.id = ANY (ARRAY(SELECT t.id FROM %1$s t WHERE %3$s))',
	'SELECT s.id FROM %1$s s WHERE %4$s AND s.id NOT IN (SELECT t.id FROM %1$s t WHERE %3$s)',
	'SELECT s.id FROM %1$s s WHERE %4$s AND s.id IN (SELECT t.id FROM %1$s t WHERE %3$s UNION SELECT 0)',
	'SELECT s.id FROM %1$s s WHERE %4$s AND EXISTS (SELECT FROM %1$s t WHERE t.id = s.id AND %3$s)',
	'SELECT s.id FROM %1$s s WHERE %4$s AND s.id > (SELECT count(*) FROM (SELECT t.id FROM %1$s t WHERE %3$s OFFSET 0) q)',
	'SELECT s.id FROM %1$s s GROUP BY s.id, s.secret, s.mail HAVING %4$s AND (EXISTS (SELECT FROM %1$s t WHERE %3$s) OR s.id < 0)',
	'SELECT s.id FROM %1$s s, LATERAL (SELECT t.id FROM %1$s t WHERE t.id = s.id AND %3$s OFFSET 0) l WHERE %4$s',
	'SELECT s.id FROM %1$s s LEFT JOIN (SELECT t.id FROM %1$s t WHERE %3$s) l USING (id) WHERE %4$s',
	'SELECT s.id FROM %1$s s WHERE %4$s UNION ALL SELECT t.id FROM %1$s t WHERE %2$s AND %3$s',
	'SELECT (SELECT count(*) FROM %1$s t WHERE %3$s) FROM %1$s s WHERE %4$s',
	# writing; no row that the role sees is touched
	'UPDATE %1$s t SET due = 0 WHERE %2$s AND %3$s RETURNING t.id',
	'DELETE FROM %1$s t USING %1$s s WHERE t.id = s.id AND %2$s AND %3$s RETURNING t.id',
	'UPDATE %1$s s SET due = 0 WHERE %4$s AND (SELECT count(*) FROM %1$s t WHERE %3$s) <> s.id RETURNING s.id',
	'WITH w AS (DELETE FROM %1$s t WHERE %2$s AND %3$s RETURNING t.id) SELECT s.id FROM %1$s s WHERE %4$s AND (SELECT count(*) FROM w) <> s.id',
	'INSERT INTO sink SELECT t.id FROM %1$s t WHERE %2$s AND %3$s RETURNING id',
	'MERGE INTO sink USING %1$s t ON sink.id = t.id AND %2$s AND %3$s WHEN MATCHED AND t.id < 0 THEN DELETE',
	'MERGE INTO sink USING (SELECT t.id FROM %1$s t WHERE %2$s AND %3$s) t ON sink.id = t.id WHEN MATCHED THEN DELETE');
my @sides = (
	't.c', 't.mixed', 'taskapi.cursor(\'id\', t.id)', 'taskapi.cursor(t.word, t.secret)', 'taskapi.cursor(CASE WHEN t.secret > 100 THEN \'(\' ELSE \'id\' END, t.id)',
	'taskapi.cursor(CASE WHEN t.secret > 100 THEN \'a\' ELSE \'id\' END, t.id)', 'taskapi.cursor(CASE WHEN t.secret > 100 THEN \'a, b\' END, t.id)',
	'taskapi.cursor(\'id\', repeat(t.mail, 10))', 'taskapi.cursor(CASE WHEN t.secret > 100 THEN NULL ELSE \'word\' END, t.word COLLATE "en-x-icu")');
my %others = (
	foreign => q{taskapi.cursor('other', 1)}, own => q{taskapi.cursor('id', 1)}, null_key => q{taskapi.cursor('id', NULL::int)}, large => q{taskapi.cursor('id', 5000000000)},
	none => 'NULL::taskapi.cursor');

# What a query tells: its rows, its error, its plan.
my $setup = q{
	SET app.owner = 'mallory';
	SET client_min_messages = error;
	SET jit = off;
	SET debug_parallel_query = off;
	CREATE FUNCTION pg_temp.tells(run text, explain text) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		line text;
		said text := '';
		sorted text[];
		state text; message text; detail text;
	BEGIN
		BEGIN
			FOR line IN EXECUTE explain LOOP said := said || line || E'\n'; END LOOP;
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
			said := said || format('plan: %s %s %s', state, message, detail);
		END;
		BEGIN
			IF run ~ '^(EXECUTE )?(merge|MERGE)' THEN
				EXECUTE run;
			ELSE
				FOR line IN EXECUTE run LOOP sorted := sorted || coalesce(line, 'null'); END LOOP;
			END IF;
			said := said || array_to_string(ARRAY(SELECT s FROM unnest(sorted) s ORDER BY s), ',');
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
			said := said || format('rows: %s %s %s', state, message, detail);
		END;
		RETURN regexp_replace(said, 'AQ[A-Za-z0-9_-]{30,}', 'TOKEN', 'g');	-- it holds the time, and a key of the database
	END $$;
	SET ROLE mallory;
};
$setup =~ s/debug_parallel_query/force_parallel_mode/ if $node->pg_version < 16;

# One statement a query and kind of plan, numbered. $1, $2 and $3 are of the types and values given; a prepared statement runs a
# second time with other values, if there are any.
my (@sql, @named);
sub ask
{
	my ($query, $kind, $types, $values, $again) = @_;

	my $n = @sql;
	my $quote = sub { my ($q) = @_; $q =~ s/'/''/g; "'$q'" };
	if ($kind eq 'literal')
	{
		my $q = $query;
		$q =~ s/\$(\d)/$values->[$1 - 1]/g;
		push @sql, 'SELECT ' . $n . ', pg_temp.tells(' . $quote->($q) . ', ' . $quote->("EXPLAIN (COSTS OFF) $q") . ');';
	}
	else
	{
		my $p = ($query =~ /^MERGE/ ? 'merge' : 'p') . $n;
		my ($first, $second) = map { "EXECUTE $p (" . join(', ', @$_) . ')' } $values, $again // $values;
		push @sql, "SET plan_cache_mode = force_${kind}_plan; PREPARE $p (" . join(', ', @$types) . ") AS $query; SELECT $n, pg_temp.tells("
		  . $quote->($first) . ', ' . $quote->("EXPLAIN (COSTS OFF) $first") . ')'
		  . ($again ? ' || pg_temp.tells(' . $quote->($second) . q{, 'SELECT 2')} : '') . "; DEALLOCATE $p;";
	}
	push @named, "$kind, (" . join(', ', @$values) . ($again ? ') then (' . join(', ', @$again) : '') . "): $query";
}

# The answers of a world, by number.
sub answers
{
	my ($world) = @_;

	my ($rc, $out, $err) = $node->psql($world, $setup . join("\n", @sql), extra_params => [ '-0', '-At', '-F', "\x01" ], on_error_stop => 0);
	my %answer;
	$out .= "\0";
	$answer{$1} = $2 while $out =~ /(?:^|\0)(\d+)\x01([^\0]*)(?=\0)/g;
	diag($err) if $err;
	return \%answer;
}

sub compare_worlds
{
	my ($name, $check) = @_;

	my ($a, $b) = (answers('world_a'), answers('world_b'));
	my @told = grep { !defined $a->{$_} || !defined $b->{$_} || $a->{$_} ne $b->{$_} } 0 .. $#sql;
	is(scalar @told, 0, "$name: " . @sql . ' queries tell nothing of hidden rows');
	diag("$named[$_]\n  in one world: " . ($a->{$_} // 'no answer') . "\n  in the other: " . ($b->{$_} // 'no answer')) foreach @told[ 0 .. ($#told > 4 ? 4 : $#told) ];
	$check->($a) if $check;
	@sql = @named = ();
}

# $_[0] of the printf-like templates above
sub fill
{
	my ($template, @values) = @_;
	$template =~ s/%(\d)\$s/$values[$1 - 1]/g;
	return $template;
}

# A run draws from the forms, the places, the sides, the values and the kinds of plan, by a seed that can be given: one run does not
# hold every form at every place. LEAKS=all takes all of them.
my $seed = $ENV{LEAKS_SEED} // int(rand(2**31));
srand($seed);
my $all = ($ENV{LEAKS} // '') eq 'all';
diag("LEAKS_SEED=$seed") unless $all;

# One of a list, or none, with that chance; all of them with LEAKS=all. How often one is in the list is for the draw.
sub some
{
	my ($chance, @of) = @_;
	my %seen;
	return grep { !$seen{$_}++ } @of if $all;
	return rand() < $chance ? $of[rand @of] : ();
}
my @kinds = ('literal', 'custom', 'generic', 'generic');
my @names = (sort(keys %others), ('foreign') x 4);
sub values_of
{
	my @cursors = map { $others{$_} } @_;
	return [ $cursors[0], "ARRAY[$cursors[1], $cursors[2]]", $others{foreign} ];
}

foreach my $table ('of_cheap', 'of_dear', 'barrier', 'nested')
{
	my $few = $table eq 'barrier' || $table eq 'nested';
	my @guesses = map { "$_.secret > 100 AND $_.mail < 'm'" } 't', 's';

	# the control: a core operator that is leakproof stands at the place, over a column
	foreach my $place (@places)
	{
		foreach my $form (@forms)
		{
			foreach my $kind (some(0.08, @kinds))
			{
				ask(fill($place, $table, $guesses[0], fill($form, 't.id'), $guesses[1]), $kind, [ 'int', 'int[]', 'taskapi.cursor' ], [ 1, 'ARRAY[1, NULL]', $others{foreign} ]);
			}
		}
	}
	compare_worlds("$table, control");

	foreach my $place (@places)
	{
		foreach my $form (@forms)
		{
			foreach my $side (some($few ? 0.15 : 0.5, @sides, @sides[ 0, 0, 1, 2 ]))
			{
				foreach my $kind (some(1, @kinds))
				{
					foreach my $other (some(1, @names))
					{
						ask(fill($place, $table, $guesses[0], fill($form, $side), $guesses[1]), $kind, [ 'taskapi.cursor', 'taskapi.cursor[]', 'taskapi.cursor' ],
							values_of($other, $names[rand @names], $other), values_of(map { $names[rand @names] } 1 .. 3));
					}
				}
			}
		}
	}
	compare_worlds("$table, all forms, places and plans", sub {
		my ($a) = @_;
		ok((grep { /22023 cursor belongs to another query/ } values %$a) > 20, "$table: a mismatch is refused where no row decides");
		ok((grep { /One-Time Filter: .*taskapi.cursor_check/ } values %$a) > 10, "$table: by a one-time filter");
	});
}

# 4. Columns against columns, and the functions themselves, by a row's value: nothing is raised.
foreach my $table ('of_cheap', 'of_dear', 'barrier')
{
	foreach my $call ('taskapi.cursor(t.word, t.secret) IS NOT NULL', 'taskapi.cursor(t.word, t.secret, t.id) IS NULL', q{taskapi.cursor(CASE WHEN t.secret > 100 THEN repeat('x', 70) ELSE 'a' END, t.id) IS NULL},
		q{taskapi.cursor('a', t.id) = taskapi.cursor('b', t.secret)}, q{taskapi.cursor_cmp(taskapi.cursor('a', t.id), taskapi.cursor('b', t.secret)) > 0},
		q{taskapi.cursor('a', t.id) < taskapi.cursor('a', t.mail)}, q{taskapi.cursor_hash(taskapi.cursor(t.word, t.mail)) > 0}, q{taskapi.cursor_hash_extended(taskapi.cursor(t.word, t.mail COLLATE "en-x-icu"), 7) > 0},
		q{taskapi.one_of(t.u, ARRAY[NULL, '00000000-0000-0000-0000-000000000002'::uuid])}, q{taskapi.uuidv7_timestamp(t.u) IS NULL},
		q{taskapi.cursor_key(taskapi.cursor('a', t.secret), t.word, t.secret, NULL::smallint) IS NULL}, q{taskapi.cursor_key(t.mixed, 'id', 1, NULL::text) IS NULL},
		q{CASE WHEN t.secret > 100 THEN taskapi.cursor('b', 1) ELSE taskapi.cursor('a', 1) END > taskapi.cursor('a', 2)})
	{
		ask("SELECT t.id FROM $table t WHERE t.secret > 100 AND $call", 'literal', [], []);
		ask("SELECT t.id FROM $table t WHERE $call", 'literal', [], []);
		ask("SELECT t.id FROM $table t WHERE t.mail < 'm' AND NOT ($call) ORDER BY t.id", 'literal', [], []);
	}
}
compare_worlds('by a value', sub {
	my ($a) = @_;
	is((grep { /rows: / } values %$a) + 0, 0, 'and raise nothing');
});

# 5. An index on a leakproof expression, an index condition ahead of the policy, and sorting, hashing and grouping of mixed classes.
foreach my $world ('world_a', 'world_b')
{
	$node->safe_psql($world, q{CREATE INDEX ON cheap (taskapi.cursor('due NULLS LAST, id DESC', due, id)); CREATE INDEX ON cheap (id); CREATE INDEX ON cheap (secret)});
}
foreach my $mode ('SET enable_seqscan = off;', 'SET enable_hashjoin = off; SET enable_nestloop = off;', 'SET enable_mergejoin = off; SET enable_nestloop = off;')
{
	push @sql, $mode; push @named, $mode;
	ask(q{SELECT t.id FROM of_cheap t WHERE t.secret > 100 AND t.mixed > $1 ORDER BY t.mixed}, $_, ['taskapi.cursor'], [q{taskapi.cursor('due NULLS LAST, id DESC', 1, 0)}]) foreach 'literal', 'custom', 'generic';
	ask(q{SELECT t.id FROM of_cheap t WHERE t.secret > 100 AND t.mixed > $1 ORDER BY t.mixed}, $_, ['taskapi.cursor'], [q{taskapi.cursor('other', 1)}]) foreach 'literal', 'custom', 'generic';
	ask(q{SELECT t.id FROM of_cheap t JOIN of_cheap s ON t.c = s.mixed WHERE t.secret > 100}, 'literal', [], []);
	ask(q{SELECT t.id FROM of_cheap t JOIN of_cheap s ON taskapi.cursor(t.word, t.secret) = taskapi.cursor(s.word, s.id)}, 'literal', [], []);
	ask(q{SELECT count(*) FROM of_cheap t GROUP BY taskapi.cursor(t.word, t.secret)}, 'literal', [], []);
	push @sql, 'RESET ALL; SET app.owner = \'mallory\'; SET ROLE mallory;'; push @named, 'reset';
}
{
	# statements without an answer are answered here
	my ($a, $b) = (answers('world_a'), answers('world_b'));
	my @told = grep { ($a->{$_} // '') ne ($b->{$_} // '') } 0 .. $#sql;
	is(scalar @told, 0, 'indexes, joins and groups tell nothing of hidden rows');
	diag("$named[$_]\n  $a->{$_}\n  $b->{$_}") foreach @told;
	@sql = @named = ();
}

# 6. The request of the HTTP layer: email below a guess, and a cursor of another order.
foreach my $guess ('b', 'm', 'zz')
{
	ask(qq{WITH source AS (SELECT t.id FROM of_cheap t WHERE t.id < 100 AND t.mail < '$guess' AND t.c $_) SELECT coalesce(json_agg(s), '[]') FROM source s}, 'generic', ['taskapi.cursor'], [$others{foreign}])
	  foreach '<> $1', '= ANY (ARRAY[$1])', 'IS DISTINCT FROM $1', '> ANY (ARRAY[$1])';
}
compare_worlds('an HTTP request', sub {
	my ($a) = @_;
	is((grep { /22023/ } values %$a) + 0, scalar keys %$a, 'is cursor_mismatch in every world');
});

# The first statement of a session loads the library while it is planned, so that the hook has not seen it.
my %told;
foreach my $world ('world_a', 'world_b')
{
	my $token = $node->safe_psql($world, q{SELECT taskapi.cursor('other', 1)});
	local $ENV{PGOPTIONS} = "-c app.owner=mallory -c app.after=$token -c role=mallory";
	foreach my $place (@places)
	{
		next if $place =~ /^MERGE|\$3/;
		foreach my $form ('%1$s > $1', '%1$s <> $1')
		{
			my $query = fill($place, 'of_dear', "t.secret > 100 AND t.mail < 'm'", fill($form, 't.c'), "s.secret > 100 AND s.mail < 'm'");
			$query =~ s/\$1/current_setting('app.after')::taskapi.cursor/g;
			my ($rc, $out, $err) = $node->psql($world, $query);
			$err =~ s/^(\S+ERROR:[^\n]*).*/$1/s;
			push @{ $told{$query} }, "$out $err";
		}
	}
}
is_deeply([ grep { $told{$_}[0] ne $told{$_}[1] } sort keys %told ], [], 'the first statement of a session tells nothing');
ok((grep { $_->[0] =~ /cursor belongs to another query/ } values %told) > 0, 'although some of them check');

# 7. Filters that an index can bound: of columns whose hidden values would make the server's operators raise, at every place, with and
# without the index, and with statistics.
foreach my $world ('world_a', 'world_b')
{
	my $hidden = $world eq 'world_a' ? q{labels = '{x,guess}', doc = (repeat('[', 3000) || '{"guess": 1}' || repeat(']', 3000))::jsonb, words = 'guess:1 x:2', mail = 'guess\\'} : q{labels = '{}', doc = '{}', words = '', mail = ''};
	$node->safe_psql($world, qq{
		CREATE EXTENSION btree_gin;
		CREATE FUNCTION nots(n int) RETURNS tsquery LANGUAGE plpgsql AS \$\$ DECLARE q tsquery := 'x'; BEGIN FOR i IN 1 .. n LOOP q := !! q; END LOOP; RETURN q; END \$\$;
		CREATE TABLE filed (id int NOT NULL, owner text NOT NULL, secret int NOT NULL, mail text NOT NULL, labels text[] NOT NULL, doc jsonb NOT NULL, words tsvector NOT NULL, deep jsonb NOT NULL, query tsquery NOT NULL);
		INSERT INTO filed VALUES (1, 'mallory', 10, 'm\@x', '{mine}', '{"mine": 1}', 'mine:1', '{}', 'mine');
		INSERT INTO filed SELECT 1 + n, 'ceo', 500, '', '{}', '{}', '', (repeat('[', 3000) || repeat(']', 3000))::jsonb, nots(300) FROM generate_series(1, 300) n;
		UPDATE filed SET $hidden WHERE owner = 'ceo';
		CREATE INDEX ON filed USING gin (labels); CREATE INDEX ON filed USING gin (doc); CREATE INDEX ON filed USING gin (doc jsonb_path_ops); CREATE INDEX ON filed USING gin (words); CREATE INDEX ON filed USING gin (owner, labels);
		ALTER TABLE filed ENABLE ROW LEVEL SECURITY;
		CREATE POLICY own ON filed USING (mine(owner));
		CREATE VIEW of_filed WITH (security_invoker) AS SELECT * FROM filed;
		CREATE VIEW filed_barrier WITH (security_barrier) AS SELECT * FROM filed WHERE mine(owner);
		GRANT SELECT, UPDATE, DELETE ON filed, of_filed, filed_barrier TO mallory;
		VACUUM ANALYZE filed;
	});
}
my %forms = (
	'taskapi.contains(%1$s.labels, $1)' => [ 'text[]', q{ARRAY['guess']}, q{ARRAY['mine']}, q{'{}'::text[]}, q{'{NULL}'::text[]} ],
	'taskapi.overlaps(%1$s.labels, $1)' => [ 'text[]', q{ARRAY['guess']}, q{ARRAY['mine']}, q{'{}'::text[]}, q{'{NULL}'::text[]} ],
	'taskapi.contains(%1$s.doc, $1)' => [ 'jsonb', q{'{"guess": 1}'::jsonb}, q{'{"mine": 1}'::jsonb}, q{'{}'::jsonb}, q{(repeat('[', 3000) || repeat(']', 3000))::jsonb}, q{(repeat('[', 99) || repeat(']', 99))::jsonb} ],
	'taskapi.matches(%1$s.words, $1)' => [ 'tsquery', q{'guess'::tsquery}, q{'mine | guess'::tsquery}, q{'!guess'::tsquery}, q{nots(2000)}, q{'guess'::tsquery && nots(98)} ],
	'taskapi.is_like(%1$s.mail, $1)' => [ 'text', q{'guess%'}, q{'guess_'}, q{'guess\\'}, q{repeat('%', 2000)}, q{'%' || repeat('%_', 400)} ],
	'taskapi.is_like($1, %1$s.mail)' => [ 'text', q{'guess'}, q{''}, q{repeat('a', 5000)} ],
	'taskapi.contains(%1$s.doc, %1$s.deep) IS NULL AND $1 > 0' => [ 'int', 1 ],
	'taskapi.matches(%1$s.words, %1$s.query) IS NOT TRUE AND $1 > 0' => [ 'int', 1 ]);
foreach my $mode ('', 'SET enable_seqscan = off;')
{
	push @sql, $mode || 'RESET enable_seqscan;'; push @named, $mode;
	foreach my $table ('of_filed', 'filed_barrier')
	{
		foreach my $place (grep { !/t\.c,|GROUP BY s|\$3/ } @places)
		{
			foreach my $form (sort keys %forms)
			{
				my ($type, @values) = @{ $forms{$form} };
				foreach my $value (some(0.5, @values))
				{
					# on its own, and with a guess before it
					foreach my $guess (some(1, 'true', '%1$s.secret > 100'))
					{
						foreach my $kind (some(0.7, @kinds))
						{
							next if $place =~ /UPDATE|MERGE|INSERT/;
							ask(fill($place, $table, fill($guess, 't'), fill($form, 't'), fill($guess, 's')), $kind, [$type], [$value]);
						}
					}
				}
			}
		}
	}
}
{
	my ($a, $b) = (answers('world_a'), answers('world_b'));
	my @told = grep { ($a->{$_} // '') ne ($b->{$_} // '') } 0 .. $#sql;
	is(scalar @told, 0, 'filters: ' . @sql . ' queries tell nothing of hidden rows');
	diag("$named[$_]\n  $a->{$_}\n  $b->{$_}") foreach @told[ 0 .. ($#told > 4 ? 4 : $#told) ];
	is((grep { /rows: / } values %$a) + 0, 0, 'and raise nothing');
	ok((grep { /Index Cond: .*match_value/ } values %$a) > 0, 'although an index is asked ahead of the policy');
	@sql = @named = ();
}

# Estimates are the same for a value that all hidden rows have and for one that none has; those of the server's operator are not.
foreach my $f ([ 'taskapi.contains(labels, %s)', q{'{guess}'}, q{'{none}'} ], [ 'taskapi.overlaps(labels, %s)', q{'{guess}'}, q{'{none}'} ], [ 'taskapi.matches(words, %s)', q{'guess'}, q{'none'} ],
	[ 'taskapi.contains(doc, %s)', q{'{"guess": 1}'}, q{'{"none": 1}'} ], [ 'taskapi.is_like(mail, %s)', q{'guess%'}, q{'none%'} ], [ 'labels @> %s', q{'{guess}'}, q{'{none}'} ])
{
	my @plans = map { my $q = sprintf($f->[0], $_); my $p = $node->safe_psql('world_a', "SET app.owner = 'mallory'; SET enable_seqscan = off; SET ROLE mallory; EXPLAIN SELECT id FROM filed WHERE $q"); $p =~ s/(guess|none)//g; $p } @$f[ 1, 2 ];
	if ($f->[0] =~ /^taskapi/) { is($plans[0], $plans[1], "the estimate of $f->[0] does not depend on the value") }
	else { isnt($plans[0], $plans[1], "the estimate of $f->[0] does") }
}

# A caller that has used up its stack is refused whatever the rows hold: at no depth do two worlds answer differently. The
# value is as deep as is let through, and the hidden row of one world is as deep, that of the other is not.
my @deep;
foreach my $world ('world_a', 'world_b')
{
	my $doc = $world eq 'world_a' ? q{(repeat('[', 99) || repeat(']', 99))::jsonb} : q{'{}'::jsonb};
	my $words = $world eq 'world_a' ? q{'guess:1'} : q{''};
	$node->safe_psql($world, qq{
		UPDATE filed SET doc = $doc, words = $words WHERE owner = 'ceo';
		CREATE FUNCTION deeper(n int, query text) RETURNS text LANGUAGE plpgsql AS \$\$
		DECLARE said text;
		BEGIN
			IF n > 0 THEN RETURN deeper(n - 1, query); END IF;
			EXECUTE query INTO said;
			RETURN coalesce(said, 'null');
		END \$\$;
		CREATE FUNCTION deepest(query text) RETURNS text LANGUAGE plpgsql AS \$\$
		DECLARE said text := ''; answer text;
		BEGIN
			FOR n IN 0 .. 60 LOOP
				BEGIN answer := deeper(n, query); EXCEPTION WHEN statement_too_complex THEN answer := SQLERRM; END;
				said := said || n || ': ' || answer || E'\\n';
			END LOOP;
			RETURN said;
		END \$\$;
	});
	push @deep, $node->safe_psql($world, q{
		SET max_stack_depth = '200kB'; SET app.owner = 'mallory'; SET ROLE mallory;
		SELECT deepest('SELECT count(*) FROM filed WHERE taskapi.contains(doc, (repeat(''['', 99) || repeat('']'', 99))::jsonb)');
		SELECT deepest('SELECT count(*) FROM filed WHERE taskapi.matches(words, ''guess''::tsquery && nots(98))');
	});
}
is($deep[0], $deep[1], 'a nearly exhausted stack tells nothing of hidden rows');
# Nor does it tell that there is a hidden row: an index finds one of these two, and neither of them is shown.
my @found = map { $node->safe_psql('world_a', qq{
	CREATE INDEX IF NOT EXISTS filed_id ON filed (id);
	SET max_stack_depth = '200kB'; SET app.owner = 'mallory'; SET enable_seqscan = off; SET enable_bitmapscan = off; SET ROLE mallory;
	SELECT deepest('SELECT count(*) FROM filed WHERE id = $_ AND taskapi.contains(doc, ''[]'')');
	SELECT deepest('SELECT count(*) FROM filed WHERE id = $_ AND taskapi.matches(words, ''guess'')');
	SELECT deepest('SELECT count(*) FROM filed WHERE id = $_ AND taskapi.match_value(doc) IS NOT NULL');
}) } 2, 100_000;
is($found[0], $found[1], 'a nearly exhausted stack does not tell whether there is a row');
like($deep[0], qr/: 0\n.*stack depth limit exceeded/s, 'although it is exhausted at some depth');

# 8. The comparison is a total order over cursors of all kinds, and the hash agrees.
is($node->safe_psql('world_a', q{
	CREATE TABLE kind (c taskapi.cursor, n serial);
	INSERT INTO kind (c) SELECT c FROM (SELECT g,
		taskapi.cursor('a', g) AS c1, taskapi.cursor('a', g::smallint) AS c2, taskapi.cursor('a', g::bigint) AS c3, taskapi.cursor('a', g::text) AS c4, taskapi.cursor('a', g::text COLLATE "en-x-icu") AS c5,
		taskapi.cursor('a', NULL) AS c6, taskapi.cursor('a', NULL::int) AS c7, taskapi.cursor('a', NULL::mood) AS c8, taskapi.cursor('a', 'y'::mood) AS c9, taskapi.cursor('a DESC', g) AS c10,
		taskapi.cursor('a NULLS FIRST', NULL) AS c11, taskapi.cursor('a, b', NULL, g) AS c12, taskapi.cursor('a, b', g, NULL) AS c13, taskapi.cursor('a, b', g::numeric, g) AS c14,
		taskapi.cursor('a, b', NULL::mood, g) AS c15, taskapi.cursor('a, b', NULL, NULL) AS c16, taskapi.cursor('a', g::float8) AS c17, taskapi.cursor('a', g::float4) AS c18, taskapi.cursor('a', '10.0.0.0/8'::inet) AS c19,
		taskapi.cursor(repeat('a', 60) || ', ' || repeat('b', 60), t, gen_random_uuid())::text::taskapi.cursor AS c20, taskapi.cursor(repeat('a', 60) || ', ' || repeat('b', 60), t, NULL::uuid) AS c21
		FROM (SELECT '2026-01-01'::timestamp + i * interval '1 day' AS t, i FROM generate_series(1, 2) i) x (t, i), LATERAL (SELECT i) y (g)) z,
		LATERAL (VALUES (c1), (c2), (c3), (c4), (c5), (c6), (c7), (c8), (c9), (c10), (c11), (c12), (c13), (c14), (c15), (c16), (c17), (c18), (c19), (c20), (c21)) v (c);
	SELECT count(*) FILTER (WHERE sign(taskapi.cursor_cmp(x.c, y.c)) <> -sign(taskapi.cursor_cmp(y.c, x.c))) || ' '
		|| count(*) FILTER (WHERE x.c = y.c AND (taskapi.cursor_hash(x.c) <> taskapi.cursor_hash(y.c) OR taskapi.cursor_hash_extended(x.c, 3) <> taskapi.cursor_hash_extended(y.c, 3))) || ' '
		|| (SELECT count(*) FROM kind x, kind y, kind z WHERE x.c <= y.c AND y.c <= z.c AND NOT x.c <= z.c) || ' '
		|| (SELECT count(*) FROM kind x, kind y, kind z WHERE x.c = y.c AND y.c = z.c AND NOT x.c = z.c)
	FROM kind x, kind y}), '0 0 0 0', 'antisymmetric, hashed as equal, transitive');
is($node->safe_psql('world_a', q{
	INSERT INTO kind (c) SELECT c FROM kind, generate_series(1, 400);
	CREATE INDEX ON kind (c);
	SELECT count(*) FROM (SELECT c < lag(c) OVER (ORDER BY c) AS wrong FROM kind) s WHERE wrong}), '0', 'abbreviated keys sort the same way');
is($node->safe_psql('world_a', q{SELECT (SELECT count(*) FROM (SELECT c FROM kind GROUP BY c) s) = (SELECT count(DISTINCT c) FROM kind)}), 't', 'hashing and sorting find the same groups');

# 9. A type and a collation that go away: nothing is raised.
is($node->safe_psql('world_a', q{
	CREATE COLLATION gone (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
	CREATE TYPE passing AS ENUM ('one', 'two');
	CREATE TABLE kept AS SELECT taskapi.cursor('a', w::text COLLATE gone) AS t, taskapi.cursor('a', (ARRAY['two', 'one']::passing[])[n]) AS e FROM (VALUES ('b', 1), ('A', 2)) v (w, n);
	DROP COLLATION gone;
	ALTER TABLE kept ADD n int; DROP TYPE passing;
	SELECT count(*) FROM kept x, kept y WHERE x.t <= y.t AND x.e <= y.e AND taskapi.cursor_hash(x.t) IS NOT NULL AND taskapi.cursor_hash(x.e) IS NOT NULL AND taskapi.cursor_key(x.t, 'a', 1, NULL::text) IS NULL}) > 0 ? 1 : 0,
	1, 'cursors of a dropped collation and of a dropped type compare');

$node->stop;
done_testing();
