# The gateway with a process a core: all serve, learn of changes, are replaced when one dies, and end together with what they had begun.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../postgrest";
use Layer;
use Test::More;

plan skip_all => 'these are the gateway\'s' if ($ENV{LAYER} // 'postgrest') ne 'gateway';
my $layer = Layer->task_api('processes', q{
	CREATE FUNCTION api.held() RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT pg_advisory_xact_lock(1)::text || pg_backend_pid() $$;
	GRANT EXECUTE ON FUNCTION api.held() TO authenticated;
}, 'gateway', WORKERS => 2);

# Its processes, by /proc.
sub children
{
	my @found;
	foreach my $stat (glob '/proc/[0-9]*/stat')
	{
		open my $file, '<', $stat or next;
		my ($pid, $ppid) = (<$file> // '') =~ /^(\d+) \(.*\) \S (\d+)/s or next;
		push @found, $pid if $ppid == $layer->{pid};
	}
	return sort { $a <=> $b } @found;
}

# everywhere(PATH, STATUS): twenty connections of their own, which go to one process or the other.
sub everywhere
{
	my ($path, $status) = @_;
	return !grep { Layer::Client->new(keep_alive => 0)->get($layer->{base} . $path, { headers => { Authorization => 'Bearer ' . $layer->token('ann') } })->{status} != $status } 1 .. 20;
}

ok(Layer::eventually(sub { my @two = children(); @two == 2 && everywhere('/me', 200) }), 'two processes serve');
$layer->sql(q{CREATE TABLE public.plant (id int PRIMARY KEY); SELECT taskapi.expose('public.plant', 'api', 'plants'); SELECT taskapi.grant_resource('api.plants', 'authenticated')});
ok(Layer::eventually(sub { everywhere('/plants', 200) }), 'both learn of a new resource');
my @before = children();
kill 'KILL', $before[0];
ok(Layer::eventually(sub { my @now = children(); @now == 2 && !grep { $_ == $before[0] } @now }), 'one that dies is replaced');
ok(Layer::eventually(sub { everywhere('/plants', 200) }), 'by one that serves the same');

# The end: what runs is answered, nothing new is taken, and no process is left.
my $holding = $layer->{node}->background_psql('postgres');
$holding->query_safe('SELECT pg_advisory_lock(1)');
pipe my $reader, my $writer;
my $child = fork;
if (!$child)
{
	my $answer = Layer::Client->new->post("$layer->{base}/rpc/held", { headers => { Authorization => 'Bearer ' . $layer->token('ann'), 'Content-Type' => 'application/json' }, content => '{}' });
	syswrite $writer, "$answer->{status}\n";
	POSIX::_exit(0);
}
ok(Layer::eventually(sub { $layer->sql(q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gateway' AND wait_event = 'advisory'}) }), 'a request runs');
my @last = children();
kill 'TERM', $layer->{pid};
ok(Layer::eventually(sub { Layer::Client->new->get("$layer->{base}/livez")->{status} == 599 }), 'nobody listens any more');
$holding->quit;
is(scalar <$reader>, "200\n", 'a request that has begun is answered');
waitpid $child, 0;
waitpid $layer->{pid}, 0;
is($? >> 8, 0, 'then all end');
is(scalar(grep { kill 0, $_ } @last), 0, 'every process of it');
ok(Layer::eventually(sub { $layer->sql(q{SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'gateway%'}) == 0 }), 'nor is a connection left');

done_testing();
