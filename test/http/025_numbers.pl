# Numbers that JavaScript has no place for go through the gateway and the clients in Node digit by digit: keys stay apart, values are as they were.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../postgrest";
use JSON::PP;
use Layer;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'these are the gateway\'s and clients in Node' if ($ENV{LAYER} // 'postgrest') ne 'gateway';
my $examples = "$FindBin::RealBin/../../examples";
my $layer = Layer->task_api('numbers', slurp_file("$examples/webhooks/schema.sql") . q{;
	CREATE TABLE public.big (id bigint PRIMARY KEY, n numeric, j jsonb, k json);
	CREATE TABLE public.part (id numeric PRIMARY KEY, of bigint REFERENCES public.big);
	SELECT taskapi.expose('public.big', 'api', publish => 'big', changes => true), taskapi.expose('public.part', 'api', changes => true);
	SELECT taskapi.grant_resource('api.big', 'authenticated'), taskapi.grant_resource('api.part', 'authenticated');
}, 'gateway');
my @ann = (as => 'ann');
my ($low, $high, $exact) = ('9007199254740992', '9007199254740993', '12345678901234567890.1250');
my $j = qq({"a": [$high, 1.50]});
sub rows { return $layer->sql("SELECT coalesce(string_agg(concat_ws(' ', id, n, j), ', ' ORDER BY id), '') FROM big") }

# The gateway: bodies, paths, filters.
is($layer->call('POST', '/big', @ann, json => qq([{"id": $low, "n": 1.10, "j": $j}, {"id": $high, "n": $exact, "j": 1.10}]))->{status}, 201, 'rows');
is(rows(), "$low 1.10 $j, $high $exact 1.10", 'are what was sent');
is($layer->call('GET', "/big/$high?select=id,n,j", @ann)->{text}, qq({"id":$high,"n":$exact,"j":1.10}), 'one is read by its key');
is($layer->call('GET', "/big?select=id&$_", @ann)->{text}, qq([{"id":$high}]), "and found by $_") foreach "id=eq.$high", "id=in.($high,1)", "id=gt.$low", "n=eq.$exact", "n=gte.$exact", 'j=eq.1.1';
is($layer->call('PATCH', "/big/$high", @ann, json => qq({"n": $low$high}))->{json}{version}, 2, 'changed');
is($layer->call('PUT', "/big/$low", @ann, json => qq({"id": $low, "n": 1.10, "j": $j}))->{json}{version}, 1, 'replaced by what it is');
is($layer->call('POST', "/big/$high/part", @ann, json => qq({"id": 1.10}))->{json}{of}, $high, 'a child of one');
is($layer->call('GET', "/big/$low/part", @ann)->{text}, '[]', 'is none of the other');
is(rows(), "$low 1.10 $j, $high $low$high 1.10", 'nothing else is changed');

# The client of examples/sync: its file has both rows, and all digits.
my $dir = PostgreSQL::Test::Utils::tempdir();
sub follow
{
	my ($resource) = @_;
	local $ENV{SYNC_TOKEN} = $layer->token('ann');
	system_or_bail('node', "$examples/sync/sync.js", "$layer->{base}/rpc/${resource}_changes", "$dir/$resource.json");
	return slurp_file("$dir/$resource.json");
}
my $copy = follow('big');
like($copy, qr/"\[$_\]":\{"id":$_,"n":/, "the copy has $_") foreach $low, $high;
like($copy, qr/"n":$low$high,"j":1\.10,/, 'with all digits');
like($copy, qr/"n":1\.10,"j":\{"a":\[$high,1\.50\]\},/, 'also within JSON');
# The character behind which it keeps them may stand in JSON, too, and the file is read again.
my $string = '"\u00009 \\"x\\" \\\\u0000"';
$layer->sql(qq{UPDATE big SET k = '{"a": $string, "\\u0000": 1.0}' WHERE id = $high});
like(follow('big'), qr/"k":\{"a":\Q$string\E,"\\u0000":1\.0\}/, 'and strings that begin as they are kept') for 1 .. 2;
$layer->sql('UPDATE big SET k = NULL');
like(follow('part'), qr/"rows":\{"\[1\.1\]":\{"id":1\.10,/, 'a key that ends with zeros');
$layer->sql('UPDATE part SET id = 1.100');
like(follow('part'), qr/"rows":\{"\[1\.1\]":\{"id":1\.100,[^{}]*\}\}/, 'is the same with more of them');
$layer->sql("DELETE FROM part; DELETE FROM big WHERE id = $low");
like(follow('big'), qr/"rows":\{"\[$high\]":\{[^{}]*\}\}/, 'one is gone, the other is not');
like(follow('part'), qr/"rows":\{\}/, 'and so is the last');

# A webhook names the row that it is about, and is sent to who may see that one.
my $port = PostgreSQL::Test::Cluster::get_free_port();
Layer::spawn("$PostgreSQL::Test::Utils::log_path/receiver.log", 'node', "$FindBin::RealBin/receiver.js", $port);
Layer::listens($port);
{
	local %ENV = (%ENV, PGHOST => $layer->{node}->host, PGPORT => $layer->{node}->port, PGUSER => 'webhook_worker', PGDATABASE => 'postgres',
		API_ROLE => 'authenticated', ALLOW_ADDRESSES => '127.0.0.1', PORTS => $port, TIMEOUT_MS => 60000, IDLE_MS => 50, SENDERS => 1);
	Layer::spawn("$PostgreSQL::Test::Utils::log_path/worker.log", 'node', "$examples/webhooks/worker.js");
}
$layer->created($layer->call('POST', '/webhook_endpoints', @ann, Prefer => 'return=representation', json => { url => "http://127.0.0.1:$port/hook/mine", topics => ['big'] }), 'an endpoint');
$layer->call('PATCH', "/big/$high", @ann, json => { n => 1 });
my $received = sub { return @{ JSON::PP->new->decode($layer->{http}->get("http://127.0.0.1:$port/received")->{content}) } };
ok(Layer::eventually(sub { $received->() > 0 }), 'a message comes');
my ($bodies) = join "\n", map { $_->{body} } $received->();
like($bodies, qr/"id": *\{"id": *$high\}/, 'about that row');
unlike($bodies, qr/$low\D/, 'and none about the other');

done_testing();
