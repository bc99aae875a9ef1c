# One row and the lists below it, by every method: what is read, written, put away and brought back, and with which status and headers.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../postgrest";
use Layer;
use Test::More;

my $layer = Layer->task_api('rows', q{
	CREATE TABLE public.line (a int, b text, note text, big numeric, PRIMARY KEY (a, b));
	SELECT taskapi.expose('public.line', 'api', 'lines');
	SELECT taskapi.grant_resource('api.lines', 'authenticated', '{read,create,update,delete,restore,purge}');
});
my $gateway = $layer->only('gateway');
my @ann = (as => 'ann', Prefer => 'return=representation');
my $project = $layer->one($layer->call('POST', '/projects', @ann, json => { name => 'Garden' }));
my $p = $project->{id};

# Created, one and several.
my $made = $layer->call('POST', '/tasks', @ann, json => { project_id => $p, title => 'dig', priority => 3, labels => [ 'a', 'b c' ] });
is($made->{status}, 201, 'a row is created');
my $task = $layer->one($made);
is($made->{headers}{etag}, '"1"', 'with its ETag');
like($made->{headers}{location}, qr/\Q$task->{id}\E$/, 'and where it is') if $gateway;    # PostgREST: with return=headers-only
my $path = $layer->row('tasks', id => $task->{id});
my $bulk = $layer->call('POST', '/tasks', @ann, json => [ map { { project_id => $p, title => "bulk $_", priority => $_ } } 1 .. 5 ]);
is("$bulk->{status} " . scalar @{ $bulk->{json} }, '201 5', 'five at once');
is($layer->call('POST', '/tasks', @ann, json => [ { project_id => $p, title => 'half' }, { project_id => $p, title => '' } ])->{status}, 400, 'all or none');
is($layer->call('POST', '/tasks', as => 'ann', json => { project_id => $p, title => 'short' }, Prefer => 'return=minimal')->{text}, '', 'return=minimal is minimal');
is($layer->call('POST', '/tasks', as => 'ann', json => { project_id => $p, title => 'object' })->{json}{title}, 'object', 'without a wish, one row is an object') if $gateway;

# Read.
my $read = $layer->call('GET', $path, as => 'ann');
is($layer->one($read)->{title}, 'dig', 'a row is read');
is($layer->call('HEAD', $path, as => 'ann')->{text} // '', '', 'HEAD has no body');
is_deeply([ sort keys %{ $layer->one($layer->call('GET', $path . ($gateway ? '?' : '&') . 'select=title,status', as => 'ann')) } ], [ 'status', 'title' ], 'as far as one likes');
if ($gateway)
{
	is($read->{headers}{etag}, '"1"', 'with its ETag');
	my $again = $layer->call('GET', $path, as => 'ann', 'If-None-Match' => 'W/"x", "1"');
	is("$again->{status} '$again->{text}' " . ($again->{headers}{etag} // ''), q{304 '' "1"}, 'which is not sent to who has it');
	$layer->is_problem($layer->call('GET', '/tasks/01890000-0000-7000-8000-000000000000', as => 'ann'), 404, 'not_found', 'no such row');
	$layer->is_problem($layer->call('GET', $path, as => 'dee'), 404, 'not_found', 'nor one that is not seen');
	$layer->is_problem($layer->call('GET', "/tasks/$_", as => 'ann'), 404, 'not_found', "nor $_") foreach ('x', '1', '%00', '%20', "$task->{id}x", "$task->{id},1");
	$layer->is_problem($layer->call('GET', "/tasks/%ff", as => 'ann'), 400, 'invalid_path', 'a path that is no UTF-8');
	$layer->is_problem($layer->call('GET', $_, as => 'ann'), 404, 'not_found', "no $_") foreach ('/nothing', '/__proto__', '/constructor', '/rpc/nothing', "/tasks/$task->{id}/tasks", "/projects/$p/tasks/x", '/rpc', "/projects/$p/toString");
}

# Changed, from the version that was read.
my $changed = $layer->call('PATCH', $path, @ann, json => { status => 'in_progress' }, 'If-Match' => '"1"', 'Content-Type' => $gateway ? 'application/merge-patch+json' : 'application/json');
is("$changed->{status} " . $layer->one($changed)->{status} . " $changed->{headers}{etag}", '200 in_progress "2"', 'a row is changed');
$layer->is_problem($layer->call('PATCH', $path, @ann, json => { status => 'done' }, 'If-Match' => '"1"'), 412, 'version_conflict', 'but not from an old version');
$layer->is_problem($layer->call('PATCH', $path, @ann, json => { status => 'someday' }), 400, 'invalid_value', 'nor to a bad value');
is($layer->call('PATCH', $path, @ann, json => { nonsense => 1 })->{status}, 400, 'nor of a column that is not there');
is($layer->one($layer->call('PATCH', $path, @ann, json => { description => undef, due_date => '2026-05-01' }))->{due_date}, '2026-05-01', 'null is a value');

# Replaced, or created where one says.
my $id = '01890000-0000-7000-8000-000000000001';
my $row = $layer->row('tasks', id => $id);
my $put = $layer->call('PUT', $row, @ann, json => { id => $id, project_id => $p, title => 'put', priority => 5 });
is("$put->{status} " . $layer->one($put)->{priority}, '201 5', 'PUT creates') or diag($put->{text});
$put = $layer->call('PUT', $row, @ann, json => { id => $id, project_id => $p, title => 'put again' });
is("$put->{status} " . $layer->one($put)->{priority}, '200 0', 'and replaces');
$layer->is_problem($layer->call('PUT', $row, @ann, json => { id => $id, project_id => $p, title => 'x' }, 'If-None-Match' => '*'), 412, 'version_conflict', 'not if it must create');
is($layer->call('PUT', $row, @ann, json => { id => $task->{id}, project_id => $p, title => 'x' })->{status}, 400, 'a body for another row');

# Into the trash and back.
is($layer->call('DELETE', $row, as => 'ann', 'If-Match' => '"2"')->{status}, 204, 'a row is deleted');
$layer->is_problem($layer->call('GET', $row, as => 'ann'), 404, 'not_found', 'and gone') if $gateway;
is($layer->one($layer->call('GET', $layer->row('deleted_tasks', id => $id), as => 'ann'))->{title}, 'put again', 'into the trash');
is($layer->call('PATCH', $layer->row('deleted_tasks', id => $id), @ann, json => { deleted_at => undef })->{status}, 200, 'from where it comes back');
is($layer->one($layer->call('GET', $row, as => 'ann'))->{title}, 'put again', 'as it was');
$layer->call('DELETE', $row, as => 'ann');
is($layer->call('DELETE', $layer->row('deleted_tasks', id => $id), as => 'ann')->{status}, 204, 'or is purged');
is_deeply($layer->call('GET', "/deleted_tasks?id=eq.$id", as => 'ann')->{json}, [], 'for good');

# A key of several columns, numbers beyond what a double holds, and names that need quotes.
my $line = $layer->row('lines', a => 1, b => 'x%20y');
is($layer->call('POST', '/lines', @ann, json => '{"a": 1, "b": "x y", "big": 12345678901234567890.10}')->{status}, 201, 'a composite key');
like($layer->call('GET', $line, as => 'ann')->{text}, qr/"big": ?12345678901234567890\.10\b/, 'no digit is lost');
is($layer->one($layer->call('PATCH', $line, @ann, json => { note => 'n' }))->{note}, 'n', 'and changed by it');
is($layer->call('DELETE', $line, as => 'ann')->{status}, 204, 'and deleted');

# Below a parent.
if ($gateway)
{
	my $of = "/projects/$p/tasks";
	is($layer->one($layer->call('POST', $of, @ann, json => { title => 'below' }))->{project_id}, $p, 'created below its parent');
	$layer->is_problem($layer->call('POST', $of, @ann, json => { title => 'x', project_id => $task->{id} }), 400, 'invalid_value', 'not below two');
	is(scalar @{ $layer->call('GET', "$of?limit=3", as => 'ann')->{json} }, 3, 'listed');
	is_deeply([ map { $_->{title} } @{ $layer->call('GET', "$of?priority=gte.4&order=priority.desc&select=title", as => 'ann')->{json} } ], [ 'bulk 5', 'bulk 4' ], 'filtered and ordered');
	is_deeply($layer->call('GET', "/projects/$p/deleted_tasks", as => 'ann')->{json}, [], 'its trash');
	$layer->is_problem($layer->call('GET', $of, as => 'dee'), 404, 'not_found', 'not below what is not seen');
	is_deeply([ map { $_->{role} } @{ $layer->call('GET', "/projects/$p/members", as => 'ann')->{json} } ], ['owner'], 'members too');
}

# By filter, as PostgREST's clients do.
is(scalar @{ $layer->call('PATCH', "/tasks?project_id=eq.$p&title=like.bulk*&priority=in.(1,2)", @ann, json => { priority => 50 })->{json} }, 2, 'several rows are changed');
is($layer->call('DELETE', "/tasks?project_id=eq.$p&priority=eq.50", as => 'ann')->{status}, 204, 'and deleted');
is(scalar @{ $layer->call('GET', "/deleted_tasks?project_id=eq.$p&priority=eq.50", as => 'ann')->{json} }, 2, 'into the trash');
$layer->is_problem($layer->call($_, '/tasks', as => 'ann', json => { priority => 1 }), 400, 'invalid_filter', "$_ without a filter") foreach $gateway ? qw(PATCH DELETE) : ();
foreach (
	[ 'priority=gt.2&priority=lte.4', 3 ], [ 'labels=cs.{a}', 1 ], [ 'labels=cs.{"b c",a}', 1 ], [ 'labels=ov.{z,a}', 1 ], [ 'due_date=is.null&priority=gt.0', 3 ], [ 'due_date=not.is.null', 1 ],
	[ 'title=in.("bulk 3","a,b")', 1 ], [ 'title=in.()', 0 ], [ 'title=ilike.BULK*', 3 ], [ 'status=neq.todo', 1 ], [ "title=eq.x' OR true--", 0 ])
{
	my ($query, $n) = @$_;
	is(scalar @{ $layer->call('GET', "/tasks?project_id=eq.$p&" . $query =~ s/ /%20/gr =~ s/"/%22/gr, as => 'ann')->{json} }, $n, "filter $query");
}
is($layer->call('GET', "/tasks?$_", as => 'ann')->{status}, 400, "$_ is refused") foreach ('nonsense=eq.1', 'priority=almost.1', 'priority=eq.high', 'order=nonsense', $gateway ? ('priority=1', 'limit=-1', 'page_size=x', 'title=in.(a', 'due_date=is.maybe', 'select=nonsense', 'page_token=x') : ());

# Functions.
is($layer->call('GET', '/rpc/my_tasks?page_size=2', as => 'ann')->{json}[1]{project_id}, $p, 'a function is called by GET');
my @forth = map { $_->{id} } @{ $layer->call('GET', '/rpc/my_tasks?order_by=priority', as => 'ann')->{json} };
is_deeply([ map { $_->{id} } @{ $layer->call('GET', '/rpc/my_tasks?order_by=priority&backwards=true', as => 'ann')->{json} } ], [ reverse @forth ], 'my_tasks, backwards');
is(scalar @{ $layer->call('POST', '/rpc/my_tasks', as => 'ann', json => { page_size => 1 })->{json} }, 1, 'and by POST');
is($layer->call('GET', '/rpc/accept_invitation?token=x', as => 'ann')->{status}, 405, 'one that writes by POST only');
is($layer->call('POST', '/rpc/my_tasks', as => 'ann', json => { nonsense => 1 })->{status}, 404, 'and none with other arguments');

# PUT below a parent is a row of that parent.
if ($gateway)
{
	my $other = $layer->call('POST', '/projects', as => 'ann', json => { name => 'Other' })->{json}{id};
	my $new = '01a21c16-a013-7a6f-8339-a0e013272c52';
	$layer->is_problem($layer->call('PUT', "/projects/$other/tasks?id=eq.$new", as => 'ann', json => { title => 'x', project_id => $p }), 400, 'invalid_value', 'a PUT below one project of a row of another');
	is($layer->call('PUT', "/projects/$other/tasks?id=eq.$new", as => 'ann', json => { title => 'x' }, Prefer => 'return=representation')->{json}[0]{project_id}, $other, 'the path gives it');
	$layer->is_problem($layer->call('POST', "/projects/$other/tasks?columns=title", as => 'ann', json => { title => 'x', priority => 3 }), 400, 'invalid_value', 'columns, which would be passed over');
	$layer->call('DELETE', "/projects/$other", as => 'ann');
	unlike($layer->call('GET', "/tasks?priority=$_->[0]", as => 'ann')->{json}{hint} // '', $_->[1], "no hint that leads nowhere: $_->[0]") foreach ([ 'not.eq.0', qr/./ ], [ 'not.in.(1)', qr/./ ], [ 'eq(any).{1}', qr/./ ], [ 'fts.x', qr/./ ]);
	is($layer->call('GET', '/tasks?status=todo', as => 'ann')->{json}{hint}, 'status=eq.todo', 'but one that does');
}

done_testing();
