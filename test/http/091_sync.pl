# The client of examples/sync, killed again and again while others write, holds what its reader may see; it follows one project or all,
# is told of what it lost, and starts over if it has to.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../postgrest";
use IPC::Run;
use JSON::PP;
use Layer;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $layer = Layer->task_api('sync');
plan skip_all => 'there is no program "node" on PATH' unless grep { -x "$_/node" } split /:/, $ENV{PATH};
my $json = JSON::PP->new->utf8->canonical;
my $program = "$FindBin::RealBin/../../examples/sync/sync.js";
my $dir = PostgreSQL::Test::Utils::tempdir();

# One run of the client, killed after so many milliseconds if it is still there; what it printed.
sub run_client
{
	my ($file, $who, $path, $kill, @options) = @_;
	my ($out, $err) = ('', '');
	local $ENV{SYNC_TOKEN} = $layer->token($who);
	my $client = IPC::Run::start([ 'node', $program, "$layer->{base}$path", "$dir/$file", @options ], '>', \$out, '2>', \$err, IPC::Run::timeout(300));
	if ($kill)
	{
		usleep(1000 * $kill);
		$client->kill_kill(grace => 0);
		return '';
	}
	$client->finish;
	diag($out . $err) if $client->result(0) != 0;
	return $out . $err;
}

# One that comes to its end
sub follows
{
	my ($name, @run) = @_;
	like(run_client(@run), qr/^\d+ rows\n\z/, "$name: the client came to its end");
}

# The copy as rows by id, without what is not compared
sub copy
{
	my $copy = $json->decode(slurp_file("$dir/$_[0]"));
	return { map { $_->{id} => "$_->{title} $_->{version}" } values %{ $copy->{rows} } };
}
sub held { return { split /[|\n]/, $layer->sql("SELECT id, title || ' ' || version FROM tasks.task WHERE deleted_at IS NULL AND project_id IN ($_[0])") } }

my %project;
foreach my $name (qw(garden house))
{
	$project{$name} = $layer->one($layer->call('POST', '/projects', as => 'ann', Prefer => 'return=representation', json => { name => $name }))->{id};
	$layer->call('POST', '/tasks', as => 'ann', json => [ map { { project_id => $project{$name}, title => "$name $_" } } 1 .. 120 ]);
}
my $both = "'$project{garden}', '$project{house}'";
my $garden = "?filter=" . '%7B%22project_id%22%3A%22' . $project{garden} . '%22%7D';

like(run_client('all.json', 'ann', '/rpc/tasks_changes', 0), qr/^240 rows/, 'all is there at first');
is_deeply(copy('all.json'), held($both), 'as it is');
like(run_client('garden.json', 'ann', '/rpc/tasks_changes', 0, '--filter', qq({"project_id": "$project{garden}"})), qr/^120 rows/, 'so is one project');

# Writers, and a client that is killed.
for my $round (1 .. 12)
{
	$layer->sql("UPDATE tasks.task SET title = title || '.' WHERE id IN (SELECT id FROM tasks.task WHERE deleted_at IS NULL ORDER BY random() LIMIT 60)");
	$layer->sql("INSERT INTO tasks.task (project_id, title) SELECT '$project{house}', 'new $round ' || i FROM generate_series(1, 20) i");
	$layer->sql("DELETE FROM tasks.task WHERE id IN (SELECT id FROM tasks.task ORDER BY random() LIMIT 10)");
	$layer->sql("DELETE FROM api.tasks WHERE id IN (SELECT id FROM api.tasks ORDER BY random() LIMIT 10)");
	$layer->sql("UPDATE tasks.task SET project_id = '$project{house}', assignee_id = NULL WHERE id IN (SELECT id FROM tasks.task WHERE project_id = '$project{garden}' ORDER BY random() LIMIT 2)");
	run_client('all.json', 'ann', '/rpc/tasks_changes?page_size=7', 20 + int(rand(250)));
	ok(!-e "$dir/all.json" || $json->decode(slurp_file("$dir/all.json")), "round $round: the file is whole");
}
follows('all', 'all.json', 'ann', '/rpc/tasks_changes', 0);
follows('garden', 'garden.json', 'ann', '/rpc/tasks_changes', 0, '--filter', qq({"project_id": "$project{garden}"}));
is_deeply(copy('all.json'), held($both), 'after all that the copy is what there is');
is_deeply(copy('garden.json'), held("'$project{garden}'"), 'and so is that of one project');

# A key of two columns, a row of which changes and one goes.
my @members = ('members.json', 'ann', '/rpc/members_changes', 0, '--key', 'project_id,account_id');
sub roles { my $copy = $json->decode(slurp_file("$dir/members.json")); return join ' ', sort map { $_->{role} } values %{ $copy->{rows} } }
$layer->sql("INSERT INTO tasks.membership (project_id, account_id, role) VALUES ('$project{garden}', '$layer->{id}{bob}', 'viewer')");
follows('members', @members);
is(roles(), 'owner owner viewer', 'members by their key');
$layer->sql("UPDATE tasks.membership SET role = 'editor' WHERE account_id = '$layer->{id}{bob}'");
follows('members', @members);
is(roles(), 'editor owner owner', 'one that changed is no second one');
$layer->sql("DELETE FROM tasks.membership WHERE account_id = '$layer->{id}{bob}'");
follows('members', @members);
is(roles(), 'owner owner', 'and one that went is gone');

# Let in, and out again.
$layer->sql("INSERT INTO tasks.membership (project_id, account_id, role) VALUES ('$project{garden}', '$layer->{id}{bob}', 'viewer')");
follows('bob', 'bob.json', 'bob', '/rpc/tasks_changes', 0);
is_deeply(copy('bob.json'), held("'$project{garden}'"), 'a member follows');
$layer->sql("INSERT INTO tasks.membership (project_id, account_id, role) VALUES ('$project{house}', '$layer->{id}{bob}', 'viewer')");
follows('bob', 'bob.json', 'bob', '/rpc/tasks_changes', 0);
is_deeply(copy('bob.json'), held($both), 'and starts over as one of another project too');
$layer->sql("DELETE FROM api.members WHERE account_id = '$layer->{id}{bob}' AND project_id = '$project{garden}'");
follows('bob', 'bob.json', 'bob', '/rpc/tasks_changes', 0);
is_deeply(copy('bob.json'), held("'$project{house}'"), 'and as one no more');

# What the call itself answers.
my $page = $layer->one($layer->call('GET', '/rpc/tasks_changes?page_size=1', as => 'ann'));
is(scalar(@{ $page->{items} }) . " $page->{has_more}", '1 1', 'a page by GET');
$layer->is_problem($layer->call('GET', '/rpc/tasks_changes?page_token=x', as => 'ann'), 400, 'invalid_cursor', 'what is no token');
$layer->is_problem($layer->call('GET', "/rpc/tasks_changes?page_token=$page->{next_page_token}", as => 'bob'), 400, 'cursor_mismatch', 'the token of another');
$layer->sql('CREATE POLICY more ON tasks.task AS RESTRICTIVE USING (true)');
$layer->is_problem($layer->call('GET', "/rpc/tasks_changes?page_token=$page->{next_page_token}", as => 'ann'), 410, 'cursor_expired', 'a token from before a policy');
follows('all again', 'all.json', 'ann', '/rpc/tasks_changes', 0);
is_deeply(copy('all.json'), held($both), 'the client starts over');
done_testing();
