# A table of one's own over HTTP: entity tags, preconditions, PUT, bulk writes, defaults, and pages by its own comment.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Layer;
use Test::More;

my $layer = Layer->task_api(
	'preconditions', q{
	CREATE TABLE public.orders (id int PRIMARY KEY, customer text NOT NULL, total numeric(10, 2) NOT NULL DEFAULT 0 CONSTRAINT total_is_not_negative CHECK (total >= 0),
		note text DEFAULT 'none', created_at timestamptz NOT NULL DEFAULT now());
	SELECT taskapi.expose('public.orders');
	SELECT taskapi.grant_resource('api.orders', 'authenticated', '{read,create,update,delete,restore,purge}');
});
my @wanted = (as => 'ann', Prefer => 'return=representation');
my $o = '/orders?id=eq.1';

my $made = $layer->call('POST', '/orders', @wanted, json => { id => 1, customer => 'a' });
is($made->{status}, 201, 'an order is created');
is($made->{headers}{etag}, '"1"', 'and answered with its tag');
is("$made->{json}[0]{total} $made->{json}[0]{note}", '0 none', 'and its defaults');
my $bulk = $layer->call('POST', '/orders', @wanted, json => [ map { { id => $_, customer => 'bulk' } } 2 .. 9 ]);
is(scalar @{ $bulk->{json} }, 8, 'eight at once');
is($bulk->{headers}{etag}, undef, 'which have no tag');
if ($layer->only('postgrest'))
{
	$bulk = $layer->call('POST', '/orders?columns=id,customer,note', as => 'ann', Prefer => 'return=representation, missing=default', json => [ { id => 10, customer => 'x' }, { id => 11, customer => 'x', note => undef } ]);
	is_deeply([ map { $_->{note} } @{ $bulk->{json} } ], [ 'none', undef ], 'missing=default is the table\'s, and null is null');
}

# If-Match.
my $changed = $layer->call('PATCH', $o, @wanted, 'If-Match' => '"1"', json => { total => 5 });
is("$changed->{status} $changed->{headers}{etag}", '200 "2"', 'a change made from the present version is made');
$layer->is_problem($layer->call('PATCH', $o, @wanted, 'If-Match' => '"1"', json => { total => 6 }), 412, 'version_conflict', 'one made from an old version is not');
is($layer->call('PATCH', $o, @wanted, 'If-Match' => '"1"', json => { total => 6 })->{headers}{etag}, '"2"', 'and is told the present one');
$layer->is_problem($layer->call('PATCH', $o, @wanted, 'If-Match' => 'W/"2"', json => { total => 6 }), 412, 'version_conflict', 'a weak tag never matches');
$layer->is_problem($layer->call('PATCH', '/orders?id=eq.99', @wanted, 'If-Match' => '*', json => { total => 6 }), 412, 'version_conflict', 'nor anything what is not there');
is($layer->call('PATCH', '/orders?id=in.(2,3)', @wanted, 'If-Match' => '"1"', json => { total => 6 })->{status}, 200, 'several rows, which all match');
$layer->is_problem($layer->call('PATCH', '/orders?id=in.(3,4)', @wanted, 'If-Match' => '"1"', json => { total => 7 }), 412, 'version_conflict', 'or else none is changed');
is($layer->call('GET', '/orders?id=eq.4', as => 'ann')->{json}[0]{total}, 0, 'not one');
is($layer->call('PATCH', $o, @wanted, json => { total => 7, version => 2 })->{status}, 200, 'the version in the body will do');
$layer->is_problem($layer->call('PATCH', $o, @wanted, json => { total => 8, version => 2 }), 412, 'version_conflict', 'but not an old one');
$layer->is_problem($layer->call('DELETE', '/orders?id=eq.5', as => 'ann', 'If-Match' => '"9"'), 412, 'version_conflict', 'DELETE too');
is($layer->call('DELETE', '/orders?id=eq.5', as => 'ann', 'If-Match' => '"1"')->{status}, 204, 'with the right one it deletes');

# PUT.
my $put = $layer->call('PUT', $o, @wanted, 'If-Match' => '"3"', json => { id => 1, customer => 'put' });
is("$put->{status} $put->{json}[0]{customer} $put->{json}[0]{total} $put->{headers}{etag}", '200 put 0 "4"', 'PUT replaces, and what it leaves out is at its default');
$put = $layer->call('PUT', '/orders?id=eq.20', @wanted, json => { id => 20, customer => 'new' });
is("$put->{status} $put->{json}[0]{version}", '201 1', 'PUT creates');
$layer->is_problem($layer->call('PUT', $o, @wanted, 'If-Match' => '"3"', json => { id => 1, customer => 'b' }), 412, 'version_conflict', 'PUT made from an old version');
$layer->is_problem($layer->call('PUT', $o, @wanted, 'If-None-Match' => '*', json => { id => 1, customer => 'b' }), 412, 'version_conflict', 'PUT that must create');
$layer->is_problem($layer->call('PUT', $o, @wanted, json => { id => 1, customer => 'b', total => -1 }), 400, 'invalid_value', 'PUT of a bad value');

# A column of the server's own in the body changes nothing, as when a client sends back what it got.
my $whole = $layer->call('GET', $o, as => 'ann')->{json}[0];
$whole->{customer} = 'sent back';
is($layer->call('PUT', $o, @wanted, json => $whole)->{json}[0]{version}, 5, 'what was read can be sent back');

# The URL of the comment.
my $first = $layer->call('GET', '/orders?order=created_at.desc,id.desc&limit=4', as => 'ann')->{json};
my $second = $layer->call('GET', "/orders?order=created_at.desc,id.desc&limit=4&cursor=gt.$first->[3]{cursor}", as => 'ann')->{json};
my $all = $layer->call('GET', '/orders?order=created_at.desc,id.desc', as => 'ann')->{json};
is_deeply([ map { $_->{id} } @$first, @$second ], [ map { $_->{id} } @$all[0 .. 7] ], 'two pages are the first eight rows');
is($layer->call('GET', '/rpc/orders_page?page_size=3', as => 'ann')->{json}{items}[0]{id}, $all->[0]{id}, 'and orders_page begins with them');

# Required.
$layer->set('SET taskapi.require_if_match = on');
$layer->is_problem($layer->call('PATCH', $o, @wanted, json => { total => 9 }), 428, 'precondition_required', 'where one must say, one must');
$layer->is_problem($layer->call('DELETE', $o, as => 'ann'), 428, 'precondition_required', 'for DELETE, too');
is($layer->call('PATCH', $o, @wanted, 'If-Match' => '*', json => { total => 9 })->{status}, 200, 'with If-Match it is made');

done_testing();
