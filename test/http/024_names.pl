# Whatever tables, columns and keys are called, and whatever a value is, a request finds what it names, the answer leads back to it, and a
# value that its type does not take is the client's to mend.
use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::RealBin/../postgrest";
use Encode qw(encode_utf8);
use Layer;
use Test::More;

plan skip_all => 'these are the gateway\'s' if ($ENV{LAYER} // 'postgrest') ne 'gateway';
my $layer = Layer->task_api('names', encode_utf8(q{
	CREATE EXTENSION hstore; CREATE EXTENSION ltree; CREATE EXTENSION cube; CREATE EXTENSION seg; CREATE EXTENSION isn;
	CREATE TABLE public."größe 日本/x?" (id int PRIMARY KEY, t text);
	CREATE TABLE public."order line" ("a.b" text, "K,2" text, n int, of int REFERENCES public."größe 日本/x?", PRIMARY KEY ("a.b", "K,2"));
	CREATE DOMAIN public.doc AS jsonb;
	CREATE DOMAIN public.letter AS doc CHECK (VALUE <> '0');
	CREATE TABLE public.odd (id int PRIMARY KEY, constructor text, "__proto__" text, "toString" int, "q""c" text, j jsonb, d letter);
	INSERT INTO odd VALUES (1, 'a', 'b', 1, 'c', '{"n": 12345678901234567890.125}', '["x"]'), (2, 'z', 'z', 2, 'z', '"{\"n\": 1}"', '{}');
	CREATE TABLE public.typed (id int PRIMARY KEY, ltree ltree, lquery lquery, hstore hstore, cube cube, seg seg, isbn isbn, regrole regrole, regconfig regconfig,
		regclass regclass, regproc regproc, regnamespace regnamespace, jsonb jsonb, json json, xml xml, uuid uuid, inet inet, bytea bytea, point point, tsquery tsquery, int4range int4range,
		ints int[], ltrees ltree[], num numeric, ts timestamptz, bit bit(3), money money, bool bool, letter letter);
	SELECT taskapi.expose(t::regclass, 'api') FROM unnest('{"\"größe 日本/x?\"","\"order line\"",odd,typed}'::text[]) t;
	CREATE FUNCTION api.some(VARIADIC xs int[]) RETURNS int[] LANGUAGE sql STABLE AS 'SELECT xs';
	CREATE FUNCTION api.any(x anyelement) RETURNS anyelement LANGUAGE sql STABLE AS 'SELECT x';
	CREATE FUNCTION api.loose() RETURNS record LANGUAGE sql STABLE AS 'SELECT 1, 2';
	CREATE FUNCTION api.looser(VARIADIC xs int[]) RETURNS record LANGUAGE sql STABLE AS 'SELECT 1, 2';
	CREATE FUNCTION api."Named x"("First y" int, "q""z" jsonb DEFAULT NULL) RETURNS text LANGUAGE sql STABLE AS $$ SELECT "First y" || coalesce("q""z" ->> 'a', '-') $$;
	CREATE FUNCTION api.file(name text) RETURNS int LANGUAGE sql AS $$ SELECT taskapi.set_response_header('Content-Disposition', format('attachment; filename="%s"', name)); SELECT 1 $$;
	CREATE FUNCTION api.refused(name text) RETURNS int LANGUAGE sql AS $$ SELECT taskapi.raise_problem('forbidden', headers => jsonb_build_object('X-Name', name)); SELECT 1 $$;
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA api TO authenticated;
	SELECT taskapi.grant_resource(format('api.%I', t)::regclass, 'authenticated', '{read,create,update,delete}') FROM unnest('{"größe 日本/x?","order line",odd,typed}'::text[]) t;
}), 'gateway');
my @ann = (as => 'ann');
sub url { return join '', map { /[\w.~-]/a ? $_ : sprintf '%%%02X', ord } split //, encode_utf8($_[0]) }

# Where the answer says that the row is, there it is.
my $sized = '/' . url('größe 日本/x?');
foreach my $sent ([ POST => $sized, { id => 1 } ], [ PUT => "$sized/2", {} ], [ POST => "$sized/1/" . url('order line'), { 'a.b' => 'x,y', 'K,2' => 'z' } ], [ PUT => '/' . url('order line') . '/a%2Cb,%22%2C', {} ])
{
	my $answer = $layer->call($sent->[0], $sent->[1], @ann, json => $sent->[2]);
	is($answer->{status}, 201, "$sent->[0] $sent->[1]") or diag($answer->{text});
	my $again = $layer->call('GET', $answer->{headers}{location} // '/nowhere', @ann);
	is_deeply($again->{json}, $answer->{json}, "it is at $answer->{headers}{location}") or diag($again->{text});
}
my $line = '/' . url('order line');
is($layer->call('POST', $line, @ann, json => { 'a.b' => 'p', 'K,2' => 'q' })->{status}, 201, 'a key of two columns');
is($layer->call('GET', "$line/$_", @ann)->{json}{'K,2'}, 'q', "is read as $_") foreach 'p,q', 'p%2Cq';
is($layer->call('GET', "$line/x%2Cy,z", @ann)->{json}{'a.b'}, 'x,y', 'and one with a comma in it, as it is written');
is($layer->call('GET', "$line/x,y,z", @ann)->{status}, 404, 'which is not one of three values');

# Each column is filtered, chosen and sorted by, in quotes or without.
sub ids { return $layer->row($layer->call('GET', $_[0], @ann), 'id') }
foreach my $condition ('constructor=eq.a', '__proto__=eq.b', 'toString=eq.1', 'q%22c=eq.c', '%22q%22%22c%22=eq.c', '%22constructor%22=eq.a',
	'j=cs.' . url('{"n":12345678901234567890.125}'), 'j=eq.' . url('{"n": 12345678901234567890.125}'), 'j=in.(' . url('"{\"n\":12345678901234567890.125}",[]') . ')', 'd=cs.' . url('["x"]'), 'd=eq.' . url('["x"]'))
{
	my $read = $layer->call('GET', "/odd?select=id&$condition", @ann);
	is($read->{text}, '[{"id":1}]', "GET $condition");
	is($layer->call('PATCH', "/odd?select=id&$condition", @ann, json => { id => 1 }, Prefer => 'return=representation')->{text}, $read->{text}, 'PATCH has the same rows');
}
is($layer->call('GET', '/odd?select=%22q%22%22c%22,__proto__&order=constructor.desc&limit=1', @ann)->{text}, '[{"q\"c":"z","__proto__":"z"}]', 'select and order');
is($layer->call('GET', "$line?select=%22K,2%22&order=%22K,2%22.desc&limit=1", @ann)->{text}, '[{"K,2":"z"}]', 'a name with a comma');
$layer->is_problem($layer->call('GET', '/odd?j=cs.' . url('{n'), @ann), 400, 'invalid_filter', 'what is no JSON');
$layer->is_problem($layer->call('GET', '/odd?select=%22id', @ann), 400, 'invalid_value', 'a quote that does not end');

# A value that its type does not take, or an operator that it does not have.
my @typed = grep { !/^(id|cursor|version|updated_at)$/ } map { $_->{name} } @{ JSON::PP->new->decode($layer->sql(q{SELECT columns FROM taskapi.resources WHERE resource = 'typed'})) };
foreach my $column (@typed)
{
	my $bad = { xml => '<a', bytea => '\xz' }->{$column} // "{!\x{2603}(";
	my %answers = map { $_ => $layer->call($_, "/typed?$column=eq." . url($bad), @ann) } qw(GET DELETE);
	$answers{POST} = $layer->call('POST', '/typed', @ann, json => { id => 1, $column => $bad }) unless $column =~ /^jsonb?$|^letter$/;      # any string is JSON
	like($answers{$_}{status}, qr/^40[04]$/, "$_ of a bad $column") or diag($answers{$_}{text}) foreach sort keys %answers;
}

# Functions, their arguments and their headers.
my %called = ('some?xs=1&xs=2' => '[1,2]', 'some?xs={3}' => '[3]', 'some?xs=3' => '[3]', some => '[]', 'Named%20x?First%20y=5' => '"5-"', 'Named%20x?First%20y=5&q%22z=' . url('{"a":1}') => '"51"');
is($layer->call('GET', "/rpc/$_", @ann)->{text}, $called{$_}, "GET /rpc/$_") foreach sort keys %called;
is($layer->call('POST', '/rpc/some', @ann, json => { xs => [ 1, 2 ] })->{text}, '[1,2]', 'a list for a VARIADIC argument');
is($layer->call('POST', '/rpc/Named%20x', @ann, json => { 'First y' => 5, 'q"z' => { a => 1 } })->{text}, '"51"', 'names of arguments');
is($layer->call('POST', "/rpc/$_", @ann, json => {})->{status}, 404, "$_ is none to call") foreach qw(any loose looser);
my $file = $layer->call('POST', '/rpc/file', @ann, json => { name => "größe 日本" });
is("$file->{status} $file->{headers}{'content-disposition'}", encode_utf8('200 attachment; filename="größe 日本"'), 'a header in UTF-8');
is($layer->call('POST', '/rpc/refused', @ann, json => { name => '日本' })->{headers}{'x-name'}, encode_utf8('日本'), 'and one of a problem');

# The description has names that OpenAPI takes, and each reference leads to one.
my $description = $layer->call('GET', '/openapi.json', @ann);
my %parts = map { my $kind = $_; map { ("#/components/$kind/$_" => 1) } keys %{ $description->{json}{components}{$kind} } } keys %{ $description->{json}{components} };
is_deeply([ grep { !m{^#/components/\w+/[A-Za-z0-9._-]+$} } sort keys %parts ], [], 'names of components');
my %missing = map { $_ => 1 } grep { !$parts{$_} } $description->{text} =~ /"\$ref":"([^"]+)"/g;
is_deeply([ keys %missing ], [], 'no reference leads nowhere');
ok($description->{json}{paths}{$_}, "$_ is written as it is asked for") foreach $sized, '/rpc/Named%20x';

done_testing();
