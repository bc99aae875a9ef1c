# Each kind of statement on a resource does as the first thing of a session what it does as the second: nothing depends on when the
# library was loaded.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('first');
$node->init;
$node->append_conf('postgresql.conf', "taskapi.require_if_match = off\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION taskapi;
	CREATE ROLE first_user LOGIN;
	CREATE SCHEMA data;
	SET client_min_messages = error;
	CREATE TABLE data.item (id int PRIMARY KEY, code text UNIQUE, n int NOT NULL DEFAULT 0, created_at timestamptz NOT NULL DEFAULT now());
	SELECT taskapi.expose('data.item', 'api', 'items');
	-- no column of it has a default
	CREATE TABLE data.bare (id int PRIMARY KEY, n int);
	SELECT taskapi.expose('data.bare', 'api', 'bare', soft_delete => false, versioned => false);
	SELECT taskapi.grant_resource('api.items', 'first_user', '{read,create,update,delete,restore,purge}'),
		taskapi.grant_resource('api.bare', 'first_user', '{read,create,update,delete}');
	-- a role with rights on columns
	CREATE ROLE first_part LOGIN;
	GRANT USAGE ON SCHEMA api, data TO first_part, first_user;
	GRANT INSERT (id), SELECT (id) ON data.item, api.items TO first_part;
});

my $rows = q{SELECT string_agg(concat_ws(',', id, code, n, deleted_at IS NOT NULL), ' ' ORDER BY id) FROM data.item};
my $seed = q{TRUNCATE data.item, data.bare; INSERT INTO data.item (id, code, n) VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3);
	UPDATE data.item SET deleted_at = now(), deletion_id = gen_random_uuid() WHERE id = 3; INSERT INTO data.bare VALUES (1, 1)};
my $put = q{SET request.method = 'PUT'; SET request.headers = '{}'; };
my $cte = sub { "WITH source AS ($_[0]) SELECT count(*) FROM source" };

# name => [ role, statements ]
my @cases = (
	[ select => first_user => 'SELECT id, n FROM api.items ORDER BY id' ],
	[ insert => first_user => q{INSERT INTO api.items (id) VALUES (9) RETURNING id, n} ],
	[ insert_of_one_column => first_part => q{INSERT INTO api.items (id) VALUES (9)} ],
	[ insert_of_a_column_too_many => first_part => q{INSERT INTO api.items (id, n) VALUES (9, 1)} ],
	[ insert_that_violates => first_user => q{INSERT INTO api.items (id) VALUES (1)} ],
	[ update => first_user => q{UPDATE api.items SET n = n + 1 RETURNING id, n, version} ],
	[ update_of_a_stale_version => first_user => q{UPDATE api.items SET n = 5, version = 7 WHERE id = 1} ],
	[ delete => first_user => q{DELETE FROM api.items WHERE id = 1 RETURNING id} ],
	[ restore => first_user => q{UPDATE api.deleted_items SET deleted_at = NULL WHERE id = 3 RETURNING id} ],
	[ purge => first_user => q{DELETE FROM api.deleted_items WHERE id = 3 RETURNING id} ],
	[ page => first_user => q{SELECT jsonb_array_length(items) FROM api.items_page()} ],
	[ cursor => first_user => q{SELECT id FROM api.items WHERE cursor > NULL} ],
	[ upsert => first_user => q{INSERT INTO api.items (id, n) VALUES (1, 7), (9, 9) ON CONFLICT (id) DO UPDATE SET n = excluded.n RETURNING id, n} ],
	[ upsert_of_a_deleted_row => first_user => q{INSERT INTO api.items (id, n) VALUES (3, 7) ON CONFLICT (id) DO UPDATE SET n = excluded.n} ],
	[ upsert_with_an_expression => first_user => q{INSERT INTO api.items AS t (id, n) VALUES (1, 7) ON CONFLICT (id) DO UPDATE SET n = t.n + 1 WHERE t.n < 5 RETURNING id, n} ],
	[ upsert_by_code => first_user => q{INSERT INTO api.items (id, code) VALUES (8, 'a') ON CONFLICT (code) DO UPDATE SET n = 8 RETURNING id, n} ],
	[ upsert_by_no_index => first_user => q{INSERT INTO api.items (id, n) VALUES (8, 1) ON CONFLICT (n) DO UPDATE SET n = 8} ],
	[ upsert_in_a_with => first_user => $cte->(q{INSERT INTO api.items (id, n) VALUES (1, 7) ON CONFLICT (id) DO UPDATE SET n = excluded.n RETURNING id}) ],
	[ upsert_in_a_function => first_user => q{DO $$ BEGIN INSERT INTO api.items (id, n) VALUES (1, 7) ON CONFLICT (id) DO UPDATE SET n = excluded.n; END $$} ],
	[ upsert_prepared => first_user => q{PREPARE p (int, int) AS INSERT INTO api.items AS t (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET n = t.n + $2 RETURNING id, n; EXECUTE p(1, 5)} ],
	[ upsert_without_defaults => first_user => q{INSERT INTO api.bare (id, n) VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET n = excluded.n RETURNING id, n} ],
	[ ignore => first_user => q{INSERT INTO api.items (id, n) VALUES (1, 7), (9, 9) ON CONFLICT (id) DO NOTHING RETURNING id, n} ],
	[ ignore_any => first_user => q{INSERT INTO api.items (id, code) VALUES (8, 'a'), (9, 'z') ON CONFLICT DO NOTHING RETURNING id} ],
	[ ignore_without_defaults => first_user => q{INSERT INTO api.bare (id, n) VALUES (1, 2), (2, 2) ON CONFLICT (id) DO NOTHING RETURNING id} ],
	[ put => first_user => $put . $cte->(q{INSERT INTO api.items (id, n) VALUES (1, 7) ON CONFLICT (id) DO UPDATE SET id = excluded.id, n = excluded.n RETURNING id}) ],
	[ put_new => first_user => $put . q{INSERT INTO api.items (id, n) SELECT id, n FROM json_to_record('{"id": 9, "n": 9}') AS _ (id int, n int) ON CONFLICT (id) DO UPDATE SET id = excluded.id, n = excluded.n RETURNING id, n, version} ],
	[ put_of_a_deleted_row => first_user => $put . q{INSERT INTO api.items (id) VALUES (3) ON CONFLICT (id) DO UPDATE SET id = excluded.id} ],
	[ copy => first_user => qq{COPY api.items (id, n) FROM stdin;\n9\t9\n\\.\n} ],
	[ explain => first_user => q{EXPLAIN (COSTS OFF) INSERT INTO api.items (id) VALUES (1) ON CONFLICT (id) DO NOTHING} ],
);

sub play
{
	my ($role, $sql) = @_;
	$node->safe_psql('postgres', $seed);
	my ($stdout, $stderr);
	$node->psql('postgres', "\\set VERBOSITY verbose\n$sql", stdout => \$stdout, stderr => \$stderr, extra_params => [ '-U', $role ], on_error_stop => 0);
	# where in the text of psql's input an error stands is another line
	$stderr =~ s/psql:<stdin>:\d+: //g;
	$stderr =~ s/^LINE \d+:.*\n\s*\^\n?//mg;
	$stderr =~ s/^LOCATION:.*\n?//mg;
	return join "\n", $stdout, $stderr, $node->safe_psql('postgres', $rows), $node->safe_psql('postgres', 'SELECT array_agg(b ORDER BY id) FROM data.bare b');
}

foreach my $case (@cases)
{
	my ($name, $role, $sql) = @$case;
	my $first = play($role, $sql);
	my $second = play($role, "DO \$\$ BEGIN PERFORM taskapi.uuidv7(); END \$\$;\n$sql");
	is($first, $second, "$name, first and second");
	unlike($first, qr/42P10: there is no unique/, "$name, and the server's planner does not refuse it");
}

# Rows with their cursor, which leaves no place for the mark: the statement that loads the library is to be sent again.
my $back = q{INSERT INTO api.items (id, n, cursor) SELECT id, n + 1, cursor FROM api.items ON CONFLICT (id) DO UPDATE SET n = excluded.n, cursor = excluded.cursor RETURNING id, n};
like(play('first_user', $back), qr/ERROR:  40001: could not complete because of concurrent requests\nDETAIL:  \{"code": "try_again"/, 'rows with their cursor, first: try again');
like(play('first_user', "$back;\n$back"), qr/^1\|2\n2\|3\n/, 'and again: done');

# A row of which every column is given, by what is no cursor before it runs: only a library that is loaded before can help.
my $whole = q{INSERT INTO api.items (id, code, n, created_at, version, updated_at, cursor)
	SELECT id, code, 70, created_at, version, updated_at, cursor FROM jsonb_populate_record(NULL::api.items, '{"id": 1, "created_at": "2020-01-01"}')
	ON CONFLICT (id) DO UPDATE SET n = excluded.n RETURNING id, n};
like(play('first_user', $whole), qr/42P10/, 'a whole row from a function, first: left to the server');
like(play('first_user', "SELECT 1 FROM taskapi.uuidv7();\n$whole"), qr/^1\n1\|70\n/, 'second: done');
$node->safe_psql('postgres', q{ALTER ROLE first_user SET session_preload_libraries = 'taskapi'});
like(play('first_user', $whole), qr/^1\|70\n/, 'first, with session_preload_libraries: done');

# Who may set that.
my ($ret, $stdout, $stderr) = $node->psql('postgres', q{CREATE ROLE first_admin CREATEROLE CREATEDB; GRANT first_user TO first_admin WITH ADMIN OPTION; SET ROLE first_admin;
	ALTER ROLE first_user SET session_preload_libraries = 'taskapi'});
like($stderr, qr/permission denied to set parameter "session_preload_libraries"/, 'the setting is a superuser\'s');
$node->safe_psql('postgres', q{GRANT SET ON PARAMETER session_preload_libraries TO first_admin});
is($node->psql('postgres', q{SET ROLE first_admin; ALTER ROLE first_user SET session_preload_libraries = 'taskapi'}), 0, 'or of whom a superuser lets');

done_testing();
