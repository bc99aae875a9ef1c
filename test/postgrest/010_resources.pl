# Every resource of the task API by every method, as its members, a stranger and an anonymous caller meet it.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Layer;
use Test::More;

my $layer = Layer->task_api('resources');
my @wanted = (Prefer => 'return=representation');

# Projects, and who created one is its owner.
my $project = $layer->created($layer->call('POST', '/projects', json => { name => 'Garden', description => 'all of it' }, as => 'ann', @wanted), 'a project is created');
is_deeply([ sort keys %$project ], [qw(created_at creator_id cursor description id name updated_at version)], 'and shown with its columns');
is($project->{version}, 1, 'as version 1');
like($project->{id}, qr/^[0-9a-f]{8}-[0-9a-f]{4}-7/, 'with an id of version 7');
is($project->{creator_id}, $layer->{id}{ann}, 'its creator is the caller');
my $p = $project->{id};
is_deeply([ map { "$_->{account_id} $_->{role}" } @{ $layer->call('GET', "/members?project_id=eq.$p", as => 'ann')->{json} } ],
	["$layer->{id}{ann} owner"], 'who is the first owner');

# Members.
is($layer->call('POST', '/members', as => 'ann', json => [ { project_id => $p, account_id => $layer->{id}{bob}, role => 'editor' }, { project_id => $p, account_id => $layer->{id}{cid}, role => 'viewer' } ])->{status},
	201, 'the owner adds an editor and a viewer');
is(scalar @{ $layer->call('GET', '/members', as => 'cid')->{json} }, 3, 'whom the viewer sees');
$layer->is_problem($layer->call('POST', '/members', as => 'ann', json => { project_id => $p, account_id => $layer->{id}{bob} }), 409, 'already_exists', 'nobody twice');
$layer->is_problem($layer->call('POST', '/members', as => 'ann', json => { project_id => $p, account_id => $p }), 409, 'invalid_reference', 'nor who is not there');
$layer->is_problem($layer->call('POST', '/members', as => 'bob', json => { project_id => $p, account_id => $layer->{id}{dee} }), 403, 'forbidden', 'an editor adds nobody');
is($layer->call('PATCH', "/members?project_id=eq.$p&account_id=eq.$layer->{id}{cid}", as => 'ann', json => { role => 'editor' })->{status}, 204, 'a role changes');
is($layer->call('PATCH', "/members?project_id=eq.$p&account_id=eq.$layer->{id}{cid}", as => 'ann', json => { role => 'viewer' })->{status}, 204, 'and back');

# Tasks.
my $task = $layer->created(
	$layer->call('POST', '/tasks', as => 'bob', @wanted,
		json => { project_id => $p, title => "pr\x{fc}fen \x{1f33b}", labels => [ 'a b', 'c,d' ], due_date => '2026-06-01', priority => 3 }),
	'an editor creates a task');
my $t = "/tasks?id=eq.$task->{id}";
is($task->{title}, "pr\x{fc}fen \x{1f33b}", 'text arrives as it was sent');
is_deeply($task->{labels}, [ 'a b', 'c,d' ], 'and labels');
is("$task->{status} $task->{priority} $task->{creator_id}", "todo 3 $layer->{id}{bob}", 'with its defaults');
ok(!grep({ exists $task->{$_} } qw(deleted_at deletion_id)), 'and no column of deletion');
is($layer->call('GET', "$t&select=title,projects(name)", as => 'cid')->{json}[0]{projects}{name}, 'Garden', 'a viewer reads it, with its project embedded');
$layer->is_problem($layer->call('POST', '/tasks', as => 'cid', json => { project_id => $p, title => 'x' }), 403, 'forbidden', 'a viewer creates none');
$layer->is_problem($layer->call('PATCH', $t, as => 'cid', json => { title => 'x' }), 403, 'forbidden', 'nor changes one');
$layer->is_problem($layer->call('DELETE', $t, as => 'cid'), 403, 'forbidden', 'nor deletes one');
is_deeply($layer->call('GET', $t, as => 'dee')->{json}, [], 'a stranger does not see it');
is_deeply($layer->call('PATCH', $t, as => 'dee', json => { title => 'x' }, @wanted)->{json}, [], 'and changes nothing');
$layer->is_problem($layer->call('POST', '/tasks', as => 'dee', json => { project_id => $p, title => 'x' }), 403, 'forbidden', 'or creates one there');

# What is refused where it enters.
foreach (
	[ 400, 'invalid_value', { project_id => $p, title => '' }, 'an empty title' ],
	[ 400, 'invalid_value', { project_id => $p, title => 'x' x 1001 }, 'a title that is too long' ],
	[ 400, 'invalid_value', { project_id => $p, title => 'x', status => 'someday' }, 'an unknown status' ],
	[ 400, 'invalid_value', { project_id => $p }, 'no title' ],
	[ 403, 'forbidden', { title => 'x' }, 'no project' ],
	[ 409, 'invalid_reference', { project_id => $p, title => 'x', assignee_id => $p }, 'an assignee who is not there' ])
{
	my ($status, $code, $json, $name) = @$_;
	$layer->is_problem($layer->call('POST', '/tasks', as => 'bob', json => $json), $status, $code, $name);
}
foreach ([ { project_id => 'x', title => 'x' }, 'an id that is none' ], [ { project_id => $p, title => 'x', priority => 'high' }, 'a priority that is no number' ],
	[ { project_id => $p, title => "a\0b" }, 'a NUL' ], [ { project_id => $p, title => 'x', nonsense => 1 }, 'an unknown column' ], [ '{"title": ', 'half a body' ])
{
	is($layer->call('POST', '/tasks', as => 'bob', json => $_->[0])->{status}, 400, "$_->[1] is 400");
}
is(scalar @{ $layer->call('GET', '/tasks', as => 'bob')->{json} }, 1, 'none of which left anything behind');

my $done = $layer->call('PATCH', $t, as => 'bob', json => { status => 'done' }, @wanted);
is($done->{status}, 200, 'a task is done');
ok($done->{json}[0]{completed_at}, 'and says since when');
is($done->{json}[0]{version}, 2, 'as the next version');
is($layer->call('PATCH', $t, as => 'bob', json => { status => 'done' }, @wanted)->{json}[0]{version}, 2, 'which a change that changes nothing keeps');

# Users.
is_deeply([ sort map { $_->{display_name} } @{ $layer->call('GET', '/users', as => 'cid')->{json} } ], [qw(Ann Bob Cid)], 'one sees whom one shares a project with');
ok(!grep({ /password/ } map { keys %$_ } @{ $layer->call('GET', '/users', as => 'ann')->{json} }), 'without anything of a password');
is($layer->call('PATCH', "/users?id=eq.$layer->{id}{cid}", as => 'cid', json => { display_name => 'Cidney' }, @wanted)->{json}[0]{display_name}, 'Cidney', 'one renames oneself');
$layer->is_problem($layer->call('PATCH', "/users?id=eq.$layer->{id}{ann}", as => 'cid', json => { display_name => 'x' }), 403, 'forbidden', 'and nobody else');
cmp_ok($layer->call('POST', '/users', as => 'ann', json => { email => 'x@example.org', display_name => 'x' })->{status}, '>=', 400, 'nobody makes accounts');

# Anonymous.
foreach my $resource (qw(users projects members tasks deleted_users deleted_projects deleted_members deleted_tasks sessions api_keys))
{
	is($layer->call('GET', "/$resource")->{status}, 401, "anonymous: no $resource");
	is($layer->call('DELETE', "/$resource?cursor=not.is.null")->{status}, 401, "anonymous: no DELETE of $resource") if $resource !~ /sessions|api_keys/;
}
is($layer->call('GET', "/rpc/$_")->{status}, 401, "anonymous: no /rpc/$_") foreach qw(tasks_page projects_page members_page users_page my_tasks);

# Deleted, seen, restored, purged.
my $open = $layer->created($layer->call('POST', '/tasks', as => 'ann', json => { project_id => $p, title => 'stays' }, @wanted), 'another task');
is($layer->call('DELETE', $t, as => 'bob')->{status}, 204, 'a task is deleted');
is_deeply([ map { $_->{title} } @{ $layer->call('GET', '/tasks', as => 'ann')->{json} } ], ['stays'], 'and is gone');
my $d = "/deleted_tasks?id=eq.$task->{id}";
my $deleted = $layer->call('GET', $d, as => 'ann')->{json}[0];
ok($deleted->{deleted_at}, 'the trash shows it');
is_deeply($layer->call('GET', $d, as => 'dee')->{json}, [], 'not to a stranger');
$layer->is_problem($layer->call('PATCH', $d, as => 'cid', json => { deleted_at => undef }), 403, 'forbidden', 'a viewer does not restore');
is($layer->call('PATCH', $d, as => 'bob', json => { deleted_at => undef })->{status}, 204, 'an editor does');
is($layer->call('GET', $t, as => 'cid')->{json}[0]{status}, 'done', 'and it is back as it was');

is($layer->call('DELETE', "/projects?id=eq.$p", as => 'ann')->{status}, 204, 'a project is deleted');
is_deeply($layer->call('GET', '/tasks', as => 'bob')->{json}, [], 'with its tasks');
is(scalar @{ $layer->call('GET', '/deleted_tasks', as => 'ann')->{json} }, 2, 'which the trash shows');
$layer->is_problem($layer->call('PATCH', "/deleted_tasks?id=eq.$task->{id}", as => 'ann', json => { deleted_at => undef }), 409, 'parent_deleted', 'none of them is restored alone');
$layer->is_problem($layer->call('POST', '/tasks', as => 'ann', json => { project_id => $p, title => 'x' }), 409, 'invalid_reference', 'nor is one created there');
is($layer->call('PATCH', "/deleted_projects?id=eq.$p", as => 'ann', json => { deleted_at => undef })->{status}, 204, 'the project is restored');
is(scalar @{ $layer->call('GET', '/tasks', as => 'bob')->{json} }, 2, 'with its tasks');
is($layer->call('DELETE', "/tasks?id=eq.$open->{id}", as => 'ann')->{status}, 204, 'one is deleted again');
is($layer->call('DELETE', "/deleted_tasks?id=eq.$open->{id}", as => 'ann')->{status}, 204, 'and purged');
is($layer->sql("SELECT count(*) FROM tasks.task WHERE id = '$open->{id}'"), 0, 'for good');

done_testing();
