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

# Members: nobody becomes one without consent.
foreach my $who (qw(bob cid dee))
{
	$layer->is_problem($layer->call('POST', '/members', as => 'ann', json => { project_id => $p, account_id => $layer->{id}{$who}, role => 'viewer' }), 403, 'forbidden', "the owner does not add $who");
}
$layer->is_problem($layer->call('PUT', "/members?project_id=eq.$p&account_id=eq.$layer->{id}{dee}", as => 'ann', json => { project_id => $p, account_id => $layer->{id}{dee}, role => 'viewer' }), 403, 'forbidden', 'nor by PUT');
$layer->is_problem($layer->call('PATCH', "/members?project_id=eq.$p", as => 'ann', json => { account_id => $layer->{id}{dee} }), 403, 'forbidden', 'nor by making a membership another\'s');
is_deeply([ map { $_->{display_name} } @{ $layer->call('GET', '/users', as => 'ann')->{json} } ], ['Ann'], 'nobody\'s address is shown');

my $invitation = $layer->created($layer->call('POST', '/invitations', as => 'ann', json => { project_id => $p, email => 'Bob@example.org', role => 'editor' }, @wanted), 'the owner invites an address');
like($invitation->{token}, qr/^tai_[0-9a-f]{64}$/, 'and is shown the token');
my $unknown = $layer->created($layer->call('POST', '/invitations', as => 'ann', json => { project_id => $p, email => 'nil@example.org', role => 'editor' }, @wanted), 'an address without an account as well');
is_deeply([ sort grep { defined $unknown->{$_} } keys %$unknown ], [ sort grep { defined $invitation->{$_} } keys %$invitation ], 'with the same answer');
is_deeply([ grep { defined } map { $_->{token} } @{ $layer->call('GET', '/invitations', as => 'ann')->{json} } ], [], 'which is shown no second time');
$layer->is_problem($layer->call('POST', '/invitations', as => 'ann', json => { project_id => $p, email => 'bob@example.org' }), 409, 'already_exists', 'no address twice');
$layer->is_problem($layer->call('POST', '/invitations', as => 'ann', json => { project_id => $p, email => 'nowhere' }), 400, 'invalid_value', 'nor one that is none');
$layer->is_problem($layer->call('POST', '/invitations', as => 'dee', json => { project_id => $p, email => 'x@example.org' }), 403, 'forbidden', 'a stranger invites nobody');
is($layer->call('POST', '/rpc/accept_invitation', json => { token => $invitation->{token} })->{status}, 401, 'an anonymous caller accepts nothing');
$layer->is_problem($layer->call('POST', '/rpc/accept_invitation', as => 'dee', json => { token => $invitation->{token} }), 404, 'not_found', 'nor another account');
is($layer->call('POST', '/rpc/accept_invitation', as => 'bob', json => { token => $invitation->{token} })->{json}[0]{role}, 'editor', 'the one with the address does');
$layer->is_problem($layer->call('POST', '/rpc/accept_invitation', as => 'bob', json => { token => $invitation->{token} }), 404, 'not_found', 'once');
is($layer->call('DELETE', "/invitations?id=eq.$unknown->{id}", as => 'ann')->{status}, 204, 'an invitation is revoked');
$layer->joins('ann', $p, cid => 'viewer');
is(scalar @{ $layer->call('GET', '/members', as => 'cid')->{json} }, 3, 'the viewer sees the members');
$layer->is_problem($layer->call('POST', '/invitations', as => 'bob', json => { project_id => $p, account_id => $layer->{id}{dee} }), 403, 'forbidden', 'an editor invites nobody');
my $declined = $layer->created($layer->call('POST', '/invitations', as => 'ann', json => { project_id => $p, account_id => $layer->{id}{dee} }, @wanted), 'an account is invited');
is_deeply([ map { "$_->{project_name} $_->{inviter_name} $_->{role}" } @{ $layer->call('GET', '/invitations', as => 'dee')->{json} } ], ['Garden Ann viewer'], 'and told to what, and by whom');
is($layer->call('DELETE', "/invitations?id=eq.$declined->{id}", as => 'dee')->{status}, 204, 'and declines');
is_deeply($layer->call('GET', '/invitations', as => 'ann')->{json}, [], 'nothing is pending');
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
is($layer->call('GET', "$t&select=title,projects(name)", as => 'cid')->{json}[0]{projects}{name}, 'Garden', 'a viewer reads it, with its project embedded') if $layer->only('postgrest');
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
	[ 409, 'invalid_reference', { project_id => $p, title => 'x', assignee_id => $p }, 'an assignee who is not there' ],
	[ 409, 'invalid_reference', { project_id => $p, title => 'x', assignee_id => $layer->{id}{dee} }, 'an assignee who is no member' ])
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

# Who am I, and my address: asked for alike, whether it is taken or free.
is_deeply([ map { "$_->{email} $_->{credential}" } @{ $layer->call('GET', '/me', as => 'cid')->{json} } ], ['cid@example.org token'], 'me');
my @asked = map { $layer->call('PATCH', "/users?id=eq.$layer->{id}{cid}&select=id,email,display_name", as => 'cid', json => { email => $_ }, @wanted) } qw(ann@example.org free@example.org);
is("$asked[0]{status} $asked[0]{text}", "$asked[1]{status} $asked[1]{text}", 'an address that is taken, and one that is free');
is($asked[0]{json}[0]{email}, 'cid@example.org', 'which is not changed yet');
is($layer->call('GET', '/me', as => 'cid')->{json}[0]{pending_email}, 'free@example.org', 'but pending');
my $token = $layer->sql("SELECT tasks.create_email_token(id, pending_email) FROM tasks.account WHERE id = '$layer->{id}{cid}'");
$layer->is_problem($layer->call('POST', '/rpc/confirm_email', as => 'bob', json => { token => $token }), 404, 'not_found', 'another account does not confirm it');
is($layer->call('POST', '/rpc/confirm_email', as => 'cid', json => { token => $token })->{json}[0]{email}, 'free@example.org', 'the one with the token does');
$layer->is_problem($layer->call('POST', '/rpc/confirm_email', as => 'cid', json => { token => $token }), 404, 'not_found', 'once');

# Anonymous.
foreach my $resource (qw(users projects members tasks deleted_users deleted_projects deleted_members deleted_tasks sessions api_keys me invitations))
{
	# the gateway has nothing that no role of the API may use
	my $none = $layer->only('gateway') && $resource eq 'deleted_users' ? 404 : 401;
	is($layer->call('GET', "/$resource")->{status}, $none, "anonymous: no $resource");
	is($layer->call('DELETE', "/$resource?cursor=not.is.null")->{status}, $none, "anonymous: no DELETE of $resource") if $resource !~ /sessions|api_keys|me$|invitations/;
}
is($layer->call('GET', "/rpc/$_")->{status}, 401, "anonymous: no /rpc/$_") foreach qw(tasks_page projects_page members_page users_page my_tasks);
is($layer->call('POST', "/rpc/$_", json => { token => 'x' })->{status}, 401, "anonymous: no /rpc/$_") foreach qw(accept_invitation confirm_email);

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

# Leaving: for everybody but the last owner; and whoever left is assigned to nothing.
my $last = $layer->created($layer->call('POST', '/tasks', as => 'ann', json => { project_id => $p, title => 'for cid', assignee_id => $layer->{id}{cid} }, @wanted), 'a task is assigned to a member');
$layer->is_problem($layer->call('DELETE', "/members?project_id=eq.$p&account_id=eq.$layer->{id}{bob}", as => 'cid'), 403, 'forbidden', 'a viewer removes nobody');
is($layer->call('DELETE', "/members?project_id=eq.$p&account_id=eq.$layer->{id}{cid}", as => 'cid')->{status}, 204, 'but leaves');
is_deeply($layer->call('GET', '/projects', as => 'cid')->{json}, [], 'and sees no project');
is($layer->call('GET', "/tasks?id=eq.$last->{id}", as => 'ann')->{json}[0]{assignee_id}, undef, 'nor is assigned to anything');
is($layer->call('PATCH', '/deleted_members', as => 'ann', json => { deleted_at => undef })->{status}, $layer->only('gateway') ? 405 : 403, 'nobody brings a member back');
$layer->is_problem($layer->call('DELETE', "/members?project_id=eq.$p&account_id=eq.$layer->{id}{ann}", as => 'ann'), 409, 'has_dependents', 'the last owner stays');

done_testing();
