# What a client and an administrator do with a resource whose owner is hostile: each is a name, the method, the headers and the SQL.
package Operations;
use strict;
use warnings;
use Exporter 'import';
our @EXPORT = qw(operations prepared upkeep words_of_operations);

my $once = '{"idempotency-key": "hostile-%s"}';

# operations(N): those of the Nth session, each of which works on rows of its own.
sub operations
{
	my $n = shift;
	my $id = 2000000 + 10 * $n;
	my $post = "INSERT INTO api.thing (id, parent_id, num, title) VALUES (%d, 1000050, 3900000, 'posted-title') RETURNING *";
	return (
		[ get => 'GET', '{}', rows('SELECT * FROM api.thing ORDER BY id LIMIT 20') ],
		[ deleted => 'GET', '{}', rows('SELECT * FROM api.deleted_thing LIMIT 20') ],
		[ get_part => 'GET', '{}', rows('SELECT * FROM api.part ORDER BY id LIMIT 9') ],
		[ get_cursor => 'GET', '{}', rows("SELECT * FROM api.thing WHERE cursor > :'cursor' ORDER BY created_at DESC, id DESC LIMIT 5") ],
		[ order_cursor => 'GET', '{}', rows('SELECT * FROM api.thing ORDER BY cursor LIMIT 5') ],
		[ page => 'GET', '{}', "SELECT * FROM taskapi.page('api.thing', NULL, 5)" ],
		[ page_token => 'GET', '{}', "SELECT * FROM taskapi.page('api.thing', 'created_at DESC, id DESC', 5, :'page')" ],
		[ page_table => 'GET', '{}', "SELECT * FROM taskapi.page('data.thing', 'num NULLS FIRST, amount DESC', 5, :'table')" ],
		[ page_deleted => 'GET', '{}', "SELECT * FROM taskapi.page('api.deleted_thing', 'deleted_at DESC, id', 5)" ],
		[ page_function => 'GET', '{}', "SELECT * FROM api.thing_page(NULL, 5, :'page')" ],
		[ page_filter => 'GET', '{}', qq(SELECT * FROM taskapi.page('api.thing', 'id', 5, NULL, '{"num": {"gte": 3000001}, "title": {"like": "title%"}, "mood": "mood-low", "labels": {"cs": ["label-1"]}, "flag": true}')) ],
		(map { [ "page_$_" => 'GET', '{}', "SELECT * FROM taskapi.page('data.thing', '$_ DESC, id', 5)" ] } qw(pair mood word deleted_at deletion_id version)),
		[ page_rows => 'GET', '{}', rows("SELECT * FROM taskapi.page_rows(NULL::api.thing, 'id', 5)") ],
		[ page_rows_table => 'GET', '{}', rows("SELECT * FROM taskapi.page_rows(NULL::data.thing, 'created_at, id', 5)") ],
		[ page_part => 'GET', '{}', "SELECT * FROM taskapi.page('api.part', 'note, id', 5)" ],
		[ advice => 'GET', '{}', "SELECT taskapi.index_advice('api.thing', 'title, id') IS NULL, taskapi.index_advice('data.part', 'size DESC') IS NULL" ],
		[ post => 'POST', '{}', rows_of(sprintf $post, $id + 100001) ],
		[ post_once => 'POST', sprintf($once, "new-$n"), rows_of(sprintf $post, $id + 100002) ],
		[ replay => 'POST', sprintf($once, "new-$n"), rows_of(sprintf $post, $id + 100002) ],
		[ replay_former => 'POST', sprintf($once, 'former'), rows_of(sprintf $post, 2200000) ],
		[ post_bulk => 'POST', '{}', rows_of("INSERT INTO api.thing (id, num, pair, labels, doc, mood) SELECT $id + 100002 + i, 3900000, ROW(5900000, 'posted-pair')::data.pair, ARRAY['posted-label'], '{\"doc\": \"posted-doc\"}', 'mood-high' FROM generate_series(1, 3) i RETURNING *") ],
		[ post_child => 'POST', '{}', rows_of("INSERT INTO api.child (id, thing_id, note) VALUES ($id + 5100000, $id, 'posted-note') RETURNING *") ],
		[ post_part => 'POST', '{}', rows_of("INSERT INTO api.part (id, region, note) VALUES ($id + 6100000, 'region-b', 'posted-note') RETURNING *") ],
		[ patch => 'PATCH', '{"if-match": "\"1\""}', rows_of("UPDATE api.thing SET title = 'patched-title', pair = ROW(5900000, 'posted-pair')::data.pair WHERE id = $id + 1 RETURNING *") ],
		[ patch_many => 'PATCH', '{}', rows_of("UPDATE api.thing SET num = 3900001 WHERE id IN ($id + 2, $id + 3) RETURNING *") ],
		[ patch_once => 'PATCH', sprintf($once, "patch-$n"), rows_of("UPDATE api.thing SET title = 'patched-title' WHERE id = $id + 4 RETURNING *") ],
		[ patch_replay => 'PATCH', sprintf($once, "patch-$n"), rows_of("UPDATE api.thing SET title = 'patched-title' WHERE id = $id + 4 RETURNING *") ],
		[ patch_part => 'PATCH', '{}', rows_of("UPDATE api.part SET region = 'region-a', note = 'posted-note' WHERE id = 8000000 + 10 * $n + 1 RETURNING *") ],
		[ put => 'PUT', '{}', "INSERT INTO api.thing (id, title) VALUES ($id + 5, 'put-title') ON CONFLICT (id) DO UPDATE SET id = excluded.id, title = excluded.title RETURNING id, title" ],
		[ put_new => 'PUT', '{}', "INSERT INTO api.thing (id, title) VALUES ($id + 100020, 'put-title') ON CONFLICT (id) DO UPDATE SET id = excluded.id, title = excluded.title RETURNING id, title" ],
		[ delete => 'DELETE', '{}', rows_of("DELETE FROM api.thing WHERE id = $id + 6 RETURNING *") ],
		[ delete_many => 'DELETE', '{}', rows_of("DELETE FROM api.thing WHERE id IN ($id + 7, $id + 8) RETURNING *") ],
		[ delete_parent => 'DELETE', '{}', rows_of("DELETE FROM api.parent WHERE id = 1000000 + 10 * $n + 9 RETURNING *") ],
		[ delete_child => 'DELETE', '{}', "DELETE FROM api.child WHERE thing_id = $id + 5" ],
		[ delete_part => 'DELETE', '{}', rows_of("DELETE FROM api.part WHERE id IN (8000000 + 10 * $n + 2, 8000000 + 10 * $n + 3) RETURNING *") ],
		[ deleted_again => 'GET', '{}', rows('SELECT * FROM api.deleted_thing LIMIT 20') ],
		[ restore => 'PATCH', '{}', rows_of("UPDATE api.deleted_thing SET deleted_at = NULL WHERE id = $id + 6 RETURNING *") ],
		[ restore_parent => 'PATCH', '{}', rows_of("UPDATE api.deleted_parent SET deleted_at = NULL WHERE id = 1000000 + 10 * $n + 9 RETURNING *") ],
		[ restore_part => 'PATCH', '{}', rows_of("UPDATE api.deleted_part SET deleted_at = NULL WHERE id = 8000000 + 10 * $n + 2 RETURNING *") ],
		[ purge => 'DELETE', '{}', rows_of("DELETE FROM api.deleted_thing WHERE id = $id + 7 RETURNING *") ],
		[ purge_part => 'DELETE', '{}', rows_of("DELETE FROM api.deleted_part WHERE id = 8000000 + 10 * $n + 3 RETURNING *") ],
		[ patch_own => 'PATCH', '{}', rows_of("UPDATE api.thing SET version = 1, title = 'patched-title' WHERE id = $id + 1 RETURNING *") ]);
}

sub rows { return "SELECT json_agg(t) FROM ($_[0]) t"; }
sub rows_of { return "WITH t AS ($_[0]) SELECT json_agg(t) FROM t"; }

# Statements that a pool keeps prepared, with generic plans.
sub prepared
{
	return (
		kept_get => rows('SELECT * FROM api.thing ORDER BY id LIMIT 5'),
		kept_cursor => rows("SELECT * FROM api.thing WHERE cursor > (SELECT token FROM layer.token WHERE name = 'cursor')::taskapi.cursor ORDER BY created_at DESC, id DESC LIMIT 5"),
		kept_page => "SELECT * FROM taskapi.page('api.thing', 'id', 5)",
		kept_rows => rows("SELECT * FROM taskapi.page_rows(NULL::data.thing, 'id', 5)"),
		kept_post => rows_of("INSERT INTO api.thing (id, title) SELECT 2300000 + count(*), 'posted-title' FROM data.thing RETURNING *"),
		kept_patch => rows_of("UPDATE api.thing SET title = 'patched-title' WHERE id = 2000055 RETURNING *"),
		kept_delete => rows_of('DELETE FROM api.child WHERE id = (SELECT min(id) FROM api.child) RETURNING *'));
}

# What runs as a superuser, and what the owner does at last.
sub upkeep
{
	return (
		[ purge_all => "SELECT taskapi.purge_deleted('0 seconds') IS NOT NULL" ],
		[ maintain => 'CALL taskapi.maintain()' ],
		[ registry => 'SELECT count(*) >= 0 FROM taskapi.resource r, LATERAL (SELECT taskapi.resource_columns(r.resource) WHERE r.resource::oid IN (SELECT oid FROM pg_class)) c' ]);
}

# Values that requests bring along.
sub words_of_operations
{
	return 'posted title patched put posted pair label doc note 3900000 3900001 5900000 7800000 7800002 mood high low region 1000050 filled by default';
}

1;
