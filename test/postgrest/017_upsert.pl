# What clients send as upsert and PUT does over HTTP what RFC 9110 and the layer's manual say, for one row and for many.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Layer;
use Test::More;

my $layer = Layer->task_api(
	'upsert', q{
	CREATE TABLE public.parts (id int PRIMARY KEY, code text UNIQUE, n int NOT NULL DEFAULT 0, note text DEFAULT 'none', created_at timestamptz NOT NULL DEFAULT now());
	SELECT taskapi.expose('public.parts');
	SELECT taskapi.grant_resource('api.parts', 'authenticated', '{read,create,update,delete,restore,purge}');
	CREATE TABLE public.numbered (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int);
	SELECT taskapi.expose('public.numbered');
	SELECT taskapi.grant_resource('api.numbered', 'authenticated', '{read,create,update,delete}');
});
my @merge = (as => 'ann', Prefer => 'return=representation, resolution=merge-duplicates');
my @ignore = (as => 'ann', Prefer => 'return=representation, resolution=ignore-duplicates');
my @wanted = (as => 'ann', Prefer => 'return=representation');
my $show = sub { join ' ', map { "$_->{id}:" . ($_->{code} // '-') . ":$_->{n}:$_->{version}" } sort { $a->{id} <=> $b->{id} } @{ $_[0]{json} } };

my $answer = $layer->call('POST', '/parts', @merge, json => { id => 1, code => 'a', n => 1 });
is("$answer->{status} " . $show->($answer), '201 1:a:1:1', 'an upsert creates');
$answer = $layer->call('POST', '/parts', @merge, json => { id => 1, n => 2 });
is("$answer->{status} " . $show->($answer), '200 1:a:2:2', 'and merges: what the body leaves out stays');
is($answer->{headers}{etag}, '"2"', 'with the tag of the row');
$answer = $layer->call('POST', '/parts', @merge, json => [ { id => 1, n => 3 }, { id => 2, n => 3 } ]);
is($show->($answer), '1:a:3:3 2:-:3:1', 'several at once, old and new');
$answer = $layer->call('POST', '/parts', @merge, json => { id => 1, n => 3 });
is($show->($answer), '1:a:3:3', 'what changes nothing makes no new version');
$answer = $layer->call('POST', '/parts?on_conflict=code', @merge, json => { id => 1, code => 'a', n => 4 });
is($show->($answer), '1:a:4:4', 'by another unique column');
$layer->is_problem($layer->call('POST', '/parts?on_conflict=note', @merge, json => { id => 1, note => 'x' }), 400, 'invalid_on_conflict', 'by one that is not');
$answer = $layer->call('POST', '/parts', @ignore, json => [ { id => 1, n => 9 }, { id => 3, n => 9 } ]);
is($show->($answer), '3:-:9:1', 'duplicates that are ignored are not returned');
$answer = $layer->call('POST', '/parts?on_conflict=code', @ignore, json => [ { id => 8, code => 'a' }, { id => 4, code => 'd' } ]);
is($show->($answer), '4:d:0:1', 'by another column too');
$layer->is_problem($layer->call('POST', '/parts', @merge, json => [ { id => 5, n => 1 }, { id => 5, n => 2 } ]), 400, 'invalid_value', 'a row twice in one request is refused, as on a table');

# What was read can be sent back.
my $all = $layer->call('GET', '/parts?order=id', as => 'ann')->{json};
$_->{n}++ foreach @$all;
$answer = $layer->call('POST', '/parts', @merge, json => $all);
is($show->($answer), '1:a:5:5 2:-:4:2 3:-:10:2 4:d:1:2', 'whole rows, with their versions and cursors');
$layer->is_problem($layer->call('POST', '/parts', @merge, json => $all), 412, 'version_conflict', 'which are stale the second time');

# Preconditions.
$layer->is_problem($layer->call('POST', '/parts', @merge, 'If-None-Match' => '*', json => { id => 1, n => 7 }), 412, 'version_conflict', 'one that must create');
$layer->is_problem($layer->call('POST', '/parts', @merge, 'If-Match' => '"1"', json => { id => 1, n => 7 }), 412, 'version_conflict', 'one from an old version');
is($show->($layer->call('POST', '/parts', @merge, 'If-Match' => '"5"', json => { id => 1, n => 7 })), '1:a:7:6', 'from the present one');
$layer->is_problem($layer->call('PUT', '/parts?id=eq.1', @wanted, 'If-None-Match' => 'W/"6"', json => { id => 1 }), 412, 'version_conflict', 'If-None-Match with a weak tag');
$layer->is_problem($layer->call('PATCH', '/parts?id=eq.1', @wanted, 'If-None-Match' => '"6"', json => { n => 1 }), 412, 'version_conflict', 'on PATCH');
$layer->is_problem($layer->call('DELETE', '/parts?id=eq.1', as => 'ann', 'If-None-Match' => '*'), 412, 'version_conflict', 'on DELETE');
$layer->is_problem($layer->call('PATCH', '/parts?id=eq.1', @wanted, json => { n => 1, version => undef }), 400, 'invalid_value', 'a version of null');
like($layer->call('PATCH', '/parts?id=eq.1', @wanted, 'If-Match' => '6', json => { n => 1 })->{json}{hint}, qr/double quotes/, 'a tag without quotes is told');
like($layer->call('PATCH', '/parts?id=eq.1', @wanted, 'If-Match' => 'W/"6"', json => { n => 1 })->{json}{hint}, qr/weak tag/, 'and a weak one');

# PUT.
my $created = $layer->call('GET', '/parts?id=eq.1', as => 'ann')->{json}[0]{created_at};
$answer = $layer->call('PUT', '/parts?id=eq.1', @wanted, json => { id => 1, note => 'put' });
is("$answer->{status} " . $show->($answer), '200 1:-:0:7', 'PUT sets what the body leaves out to its default');
is($answer->{json}[0]{created_at}, $created, 'but not when the row was made');
is($layer->call('PUT', '/parts?id=eq.20', @wanted, json => { id => 20 })->{status}, 201, 'PUT creates');
is($layer->call('DELETE', '/parts?id=eq.20', as => 'ann')->{status}, 204, 'then it is deleted');
foreach my $again ([ PUT => '/parts?id=eq.20', @wanted ], [ POST => '/parts', @merge ], [ POST => '/parts', @ignore ])
{
	my ($method, $path, @headers) = @$again;
	$answer = $layer->call($method, $path, @headers, json => { id => 20 });
	$layer->is_problem($answer, 409, 'already_exists', "$method of a deleted row");
	like($answer->{json}{hint}, qr/restore/, 'with a hint');
}
$layer->is_problem($layer->call('PUT', '/numbered?id=eq.500', @wanted, json => { id => 500, a => 1 }), 400, 'invalid_value', 'PUT of an id that only the table makes');

done_testing();
