# What a client prefers (RFC 7240) is what it gets: how much of a row comes back, how many rows there are, and what is done about duplicates.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Layer;
use Test::More;

my $layer = Layer->task_api(
	'preferences', q{
	CREATE TABLE public.parts (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
	SELECT taskapi.expose('public.parts');
	SELECT taskapi.grant_resource('api.parts', 'authenticated', '{read,create,update,delete,restore,purge}');
});
my $gateway = $layer->only('gateway');

sub prefer { return (as => 'ann', Prefer => $_[0]) }

# seen(ANSWER): status, body, and how many there are
sub seen
{
	my ($answer) = @_;
	return join ' ', $answer->{status}, $answer->{text} =~ s/\s//gr, $answer->{headers}{'content-range'} =~ s{.*/}{of }r;
}

# The schema that a client names is the one that there is.
foreach my $case ([ 'GET', 'Accept' ], [ 'HEAD', 'Accept' ], [ 'POST', 'Content' ], [ 'PATCH', 'Content' ], [ 'PUT', 'Content' ], [ 'DELETE', 'Content' ])
{
	my ($method, $header) = @$case;
	my ($other, $path) = ($header eq 'Accept' ? 'Content' : 'Accept', $method eq 'POST' ? '/parts' : '/parts?id=eq.50');
	my @with = (as => 'ann', $method =~ /^P/ ? (json => { id => 50 }) : ());
	my $answer = $layer->call($method, $path, @with, "$header-Profile" => 'public');
	is($answer->{status}, 406, "$method: no other schema");
	is_deeply([ @{ $answer->{json} }{qw(code message hint)} ], [ 'PGRST106', 'Invalid schema: public', 'Only the following schemas are exposed: api' ], "$method: which is told as PostgREST does") if $method ne 'HEAD';
	is($answer->{headers}{'content-profile'}, undef, "$method: a refusal is of no schema");
	$answer = $layer->call($method, $path, @with, "$header-Profile" => 'api', "$other-Profile" => 'public');
	like($answer->{status}, qr/^2/, "$method: the schema by its name");
	is($answer->{headers}{'content-profile'}, 'api', "$method: the answer says which") if $gateway || $header eq 'Accept';
	is($layer->call($method, $path, @with, "$header-Profile" => 'API')->{status}, 406, "$method: names are told apart by case") if $method ne 'POST';
}
is($layer->call('GET', '/rpc/my_tasks', as => 'ann', 'Accept-Profile' => 'tasks')->{status}, 406, 'nor has a function another');
is($layer->call('POST', '/rpc/my_tasks', as => 'ann', json => {}, 'Content-Profile' => 'tasks')->{status}, 406, 'by POST either');
is($layer->call('GET', $gateway ? '/openapi.json' : '/', as => 'ann', 'Accept-Profile' => 'tasks')->{status}, 406, 'nor is one described');
$layer->sql('DELETE FROM public.parts');

# handling=strict: a preference that is not heeded is refused, and nothing is done. Else it is passed over.
$layer->sql('INSERT INTO public.parts VALUES (51), (52)');
$layer->is_problem($layer->call('PATCH', '/parts?id=gt.50', prefer('handling=strict, nonsense=1'), json => { n => 5 }), 400, 'PGRST122', 'a preference that there is not');
my $strict = $layer->call('PATCH', '/parts?id=gt.50', prefer('handling=strict, max-affected=1'), json => { n => 5 });
like("$strict->{status} $strict->{json}{code}", qr/^400 PGRST12[24]$/, 'one row at most, where there are two');
is($layer->sql('SELECT count(*) FROM public.parts WHERE n = 5'), 0, 'neither is changed');
$strict = $layer->call('PATCH', '/parts?id=gt.50', prefer('handling=strict, return=minimal, count=exact'), json => { n => 6 });
like("$strict->{status} $strict->{headers}{'content-range'}", qr{^204 .*/2$}, 'what is heeded is done');
like($strict->{headers}{'preference-applied'}, qr/handling=strict/, 'and said to be');
is($layer->call('PATCH', '/parts?id=gt.50', prefer('handling=lenient, nonsense=1'), json => { n => 7 })->{status}, 204, 'lenient is as without it');
is($layer->call('GET', '/parts?limit=1', prefer('nonsense'))->{status}, 200, 'a preference without a value');
$layer->sql('DELETE FROM public.parts');

# Nothing to make: as who may not make anything either.
is("$_->{status} $_->{text}", '201 []', 'an empty array') foreach $layer->call('POST', '/parts', prefer('return=representation'), json => []);
is($layer->call('POST', '/parts', json => [])->{status}, 401, 'an empty array of who may not make one');

# Rows of a write.
my @rows = map { { id => $_, n => $_ } } 1 .. 7;
is(seen($layer->call('POST', '/parts', prefer('return=minimal, count=exact'), json => \@rows)), '201  of 7', 'seven are made, and counted');
is(seen($layer->call('PATCH', '/parts?n=gt.4', prefer('return=minimal, count=exact'), json => { n => 9 })), '204  of 3', 'three are changed');
is(seen($layer->call('PATCH', '/parts?n=gt.9', prefer('return=minimal, count=exact'), json => { n => 9 })), '204  of 0', 'or none');
is(seen($layer->call('DELETE', '/parts?id=gt.5', prefer('count=exact'))), '204  of 2', 'two are deleted');
my $only = $layer->call('POST', '/parts', prefer('return=headers-only'), json => { id => 8 });
is("$only->{status} '$only->{text}'", "201 ''", 'headers-only');
like($only->{headers}{location}, qr{^/parts(/8|\?id=eq\.8)$}, 'say where the row is');
is($layer->call('POST', '/parts', prefer('return=minimal'), json => { id => 9 })->{headers}{location}, undef, 'minimal does not');
is_deeply($layer->call('PATCH', '/parts?id=eq.9&select=n', prefer('return=representation'), json => { n => 3 })->{json}, [ { n => 3 } ], 'representation, as far as one likes');
my ($one) = map { $layer->call('PATCH', $layer->row('parts', id => 9), prefer('return=minimal'), json => { n => 4 }) } 1;
is("$one->{status} '$one->{text}' $one->{headers}{etag}", q{204 '' "3"}, 'a row that is not shown has its tag');
$layer->is_problem($layer->call('PATCH', '/parts/99', prefer('return=minimal'), json => { n => 4 }), 404, 'not_found', 'and one that is not there is not found') if $gateway;

# How many there are.
like($layer->call('GET', '/parts?limit=2&order=id', prefer('count=exact'))->{headers}{'content-range'}, qr{^0-1/7$}, 'a page and the number of all');
like($layer->call('GET', '/parts?n=eq.9&limit=2', prefer('count=exact'))->{headers}{'content-range'}, qr{^0-0/1$}, 'of those that the filter leaves');
like($layer->call('GET', '/parts?n=eq.77', prefer('count=exact'))->{headers}{'content-range'}, qr{^\*/0$}, 'none');
is($layer->call('HEAD', '/parts', prefer('count=exact'))->{headers}{'content-range'}, '0-6/7', 'by HEAD');
is(($layer->call('GET', '/parts', as => 'ann')->{headers}{'content-range'} // '') =~ s{.*/}{}r, $gateway ? '' : '*', 'not unasked');
$layer->sql('ANALYZE public.parts');
like($layer->call('GET', '/parts?limit=1', prefer("count=$_"))->{headers}{'content-range'}, qr{^0-0/\d+$}, "count=$_") foreach qw(planned estimated);
my $cursor = $layer->call('GET', '/parts?order=id&limit=1', as => 'ann')->{json}[0]{cursor};
like($layer->call('GET', "/parts?order=id&cursor=gt.$cursor", prefer('count=exact'))->{headers}{'content-range'}, qr{^0-5/6$}, 'of those behind a cursor');

# What was done about a wish is told, and one that is none is left alone.
like($layer->call('POST', '/parts', prefer('return=minimal, resolution=merge-duplicates'), json => { id => 9 })->{headers}{'preference-applied'}, qr/resolution=merge-duplicates/, 'what was applied is told');
is($layer->call('PATCH', '/parts?id=eq.9', prefer('return=everything, wait=100, __proto__=x'), json => { n => 5 })->{status}, 204, 'an unknown wish changes nothing');
if ($gateway)
{
	is($layer->call('POST', '/parts', prefer('RETURN="minimal"'), json => { id => 20 })->{text}, '', 'names are in any case, and values may have quotes');
	is($layer->call('POST', '/parts', prefer('return=minimal, return=representation'), json => { id => 21 })->{text}, '', 'the first of two counts');
	$layer->is_problem($layer->call('POST', '/parts?on_conflict=nonsense', prefer('resolution=merge-duplicates'), json => { id => 1 }), 400, 'invalid_on_conflict', 'no such column');
	my $next = $layer->call('GET', '/parts?limit=2', as => 'ann')->{headers}{link} =~ s/^<(\?[^>]*)>; rel="next".*/$1/r;
	is($layer->call('GET', "/parts$next", prefer('count=exact'))->{headers}{'content-range'}, '*/9', 'behind the first page it is not told where one is');
}

done_testing();
