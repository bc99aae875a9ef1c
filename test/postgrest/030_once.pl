# A request that is sent twice, or by two at once, over HTTP: idempotency keys, versions and PUT.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Layer;
use Test::More;

my $layer = Layer->task_api('once');
my @wanted = (Prefer => 'return=representation');
my $p = $layer->created($layer->call('POST', '/projects', as => 'ann', json => { name => 'Garden' }, @wanted), 'a project')->{id};
$layer->joins('ann', $p, bob => 'editor', cid => 'editor');
sub count { return $layer->sql("SELECT count(*) FROM tasks.task WHERE title = '$_[0]'"); }

# Idempotency-Key on POST.
my %once = (as => 'ann', json => { project_id => $p, title => 'once' }, @wanted, 'Idempotency-Key' => '"k-1"');
my $first = $layer->call('POST', '/tasks', %once);
is($first->{status}, 201, 'a task is created');
is($first->{headers}{'idempotency-replayed'}, undef, 'for the first time');
# A token tells when it was issued, so the cursor of a row is spelled anew; all else is as it was stored.
sub stored { return [ map { my %row = %$_; delete $row{cursor}; \%row } @{ shift->{json} } ]; }
my $again = $layer->call('POST', '/tasks', %once);
is($again->{status}, 201, 'sent again');
is($again->{headers}{'idempotency-replayed'}, 'true', 'it is a replay');
is_deeply(stored($again), stored($first), 'with the same answer');
is($again->{headers}{etag}, $first->{headers}{etag}, 'and ETag');
is(count('once'), 1, 'and one task');
$layer->is_problem($layer->call('POST', '/tasks', %once, json => { project_id => $p, title => 'another' }), 422, 'idempotency_key_reused', 'the key with another body is refused');
is($layer->call('POST', '/tasks', %once, as => 'bob')->{headers}{'idempotency-replayed'}, undef, "another's key of the same name is another key");
is(count('once'), 2, 'with a task of its own');
$layer->is_problem($layer->call('POST', '/tasks', %once, 'Idempotency-Key' => 'x' x 256), 400, 'idempotency_key_invalid', 'and one that is too long');

my @bulk = map { { project_id => $p, title => "bulk $_" } } 1 .. 20;
my %bulk = (as => 'ann', json => \@bulk, @wanted, 'Idempotency-Key' => 'bulk');
$first = $layer->call('POST', '/tasks', %bulk);
is(scalar @{ $first->{json} }, 20, 'a bulk POST creates all');
$again = $layer->call('POST', '/tasks', %bulk);
is($again->{headers}{'idempotency-replayed'}, 'true', 'and is replayed as a whole');
is_deeply(stored($again), stored($first), 'with all its rows in order');
is(count("bulk 7"), 1, 'each once');
my $bad = $layer->call('POST', '/tasks', as => 'ann', json => [ @bulk[ 0 .. 2 ], { project_id => $p, title => '' } ], 'Idempotency-Key' => 'bad');
$layer->is_problem($bad, 400, 'invalid_value', 'a bulk POST with one bad row is refused as a whole');
is($layer->call('POST', '/tasks', as => 'ann', json => [ { project_id => $p, title => 'good' } ], 'Idempotency-Key' => 'bad')->{status}, 201, 'and its key is free');

# What one may no longer see is not replayed either.
is($layer->call('POST', '/tasks', as => 'cid', json => { project_id => $p, title => "cid's" }, @wanted, 'Idempotency-Key' => 'k-1')->{status}, 201, 'cid creates a task');
$layer->sql("DELETE FROM tasks.membership WHERE account_id = '$layer->{id}{cid}'");
my $hidden = $layer->call('POST', '/tasks', as => 'cid', json => { project_id => $p, title => "cid's" }, @wanted, 'Idempotency-Key' => 'k-1');
$layer->is_problem($hidden, 404, 'not_found', 'once he is no member, there is no replay');
unlike($hidden->{text}, qr/cid's/, 'that shows it');

# Two at once: one effect, one answer.
my @children = map {
	pipe(my $read, my $write);
	my $pid = fork;
	if (!$pid)
	{
		my $answer = $layer->call('POST', '/tasks', %once, 'Idempotency-Key' => 'race', json => { project_id => $p, title => 'race' });
		print $write "$answer->{status} " . ($answer->{json} && ref $answer->{json} eq 'ARRAY' ? $answer->{json}[0]{id} : $answer->{text});
		close $write;
		require POSIX;
		POSIX::_exit(0);
	}
	close $write;
	$read
} 1 .. 6;
my %answers = map { my $text = readline($_); $text => 1 } @children;
waitpid(-1, 0) foreach @children;
is(scalar keys %answers, 1, 'six at once get one answer') or diag(join "\n", keys %answers);
like((keys %answers)[0], qr/^201 /, 'of a task created');
is(count('race'), 1, 'once');

# If-Match, ETag and versions.
my $task = $layer->created($layer->call('POST', '/tasks', as => 'ann', json => { project_id => $p, title => 'versioned' }, @wanted), 'a task');
my $t = "/tasks?id=eq.$task->{id}";
my $answer = $layer->call('PATCH', $t, as => 'ann', json => { title => 'second' }, 'If-Match' => '"1"', @wanted);
is($answer->{status}, 200, 'PATCH with the version that it has');
is($answer->{headers}{etag}, '"2"', 'tells the next one');
$layer->is_problem($layer->call('PATCH', $t, as => 'bob', json => { title => 'lost' }, 'If-Match' => '"1"'), 412, 'version_conflict', 'with the version of before it is refused');
$layer->is_problem($layer->call('PATCH', $t, as => 'bob', json => { title => 'lost' }, 'If-Match' => 'W/"2"'), 412, 'version_conflict', 'as with a weak one');
$layer->is_problem($layer->call('PATCH', $t, as => 'bob', json => { title => 'lost', version => 1 }), 412, 'version_conflict', 'as with an old version in the body');
is($layer->call('PATCH', $t, as => 'bob', json => { title => 'third' }, 'If-Match' => '"7", "2"')->{status}, 204, 'a list that holds it will do');
is($layer->call('PATCH', $t, as => 'bob', json => { title => 'fourth' }, 'If-Match' => '*')->{status}, 204, 'and *');
is($layer->call('PATCH', $t, as => 'bob', json => { title => 'fifth', version => 4 })->{status}, 204, 'and the version in the body');
$layer->is_problem($layer->call('PATCH', "/tasks?id=eq.$p", as => 'bob', json => { title => 'x' }, 'If-Match' => '"1"'), 412, 'version_conflict', 'no row matches no version');
$layer->is_problem($layer->call('DELETE', $t, as => 'bob', 'If-Match' => '"4"'), 412, 'version_conflict', 'DELETE keeps to it as well');
is($layer->call('GET', $t, as => 'ann')->{json}[0]{title}, 'fifth', 'nothing of the refused was written');
is($layer->call('DELETE', $t, as => 'bob', 'If-Match' => '"5"')->{status}, 204, 'with the right version it deletes');

$layer->set('SET taskapi.require_if_match = on');
my $strict = $layer->created($layer->call('POST', '/tasks', as => 'ann', json => { project_id => $p, title => 'strict' }, @wanted), 'where If-Match is required, POST needs none');
$layer->is_problem($layer->call('PATCH', "/tasks?id=eq.$strict->{id}", as => 'ann', json => { title => 'x' }), 428, 'precondition_required', 'PATCH does');
$layer->is_problem($layer->call('DELETE', "/tasks?id=eq.$strict->{id}", as => 'ann'), 428, 'precondition_required', 'and DELETE');
is($layer->call('PATCH', "/tasks?id=eq.$strict->{id}", as => 'ann', json => { title => 'y' }, 'If-Match' => '"1"')->{status}, 204, 'and with it they pass');
$layer->set('RESET taskapi.require_if_match');

# PUT creates or replaces.
my $id = '01890000-0000-7000-8000-000000000001';
$answer = $layer->call('PUT', "/tasks?id=eq.$id", as => 'ann', json => { id => $id, project_id => $p, title => 'put', priority => 5 }, @wanted);
like($answer->{status}, qr/^20[01]$/, 'PUT creates what is not there') or diag($answer->{text});
is($answer->{json}[0]{priority}, 5, 'as it was sent');
$answer = $layer->call('PUT', "/tasks?id=eq.$id", as => 'ann', json => { id => $id, project_id => $p, title => 'put again' }, @wanted);
like($answer->{status}, qr/^20[01]$/, 'PUT replaces what is') or diag($answer->{text});
is_deeply([ @{ $answer->{json}[0] }{qw(title priority version)} ], [ 'put again', 0, 2 ], 'what is left out takes its default');
$layer->is_problem($layer->call('PUT', "/tasks?id=eq.$id", as => 'ann', json => { id => $id, project_id => $p, title => 'x' }, 'If-Match' => '"1"'), 412, 'version_conflict', 'PUT keeps to If-Match');
cmp_ok($layer->call('PUT', "/tasks?id=eq.$id", as => 'dee', json => { id => $id, project_id => $p, title => 'x' })->{status}, '>=', 400, 'a stranger PUTs nothing');
is($layer->call('GET', "/tasks?id=eq.$id", as => 'ann')->{json}[0]{title}, 'put again', 'and it is as it was');

done_testing();
