# Over two cells a list has each row once while projects move, a move that is killed anywhere is finished by the next, a request with its
# key has its effect once on either side of it, and what is revoked counts in both.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../postgrest";
use IPC::Run;
use JSON::PP;
use Layer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'these are the gateway\'s' if ($ENV{LAYER} // 'postgrest') ne 'gateway';
my $folder = "$FindBin::RealBin/../../examples/cells";
my $json = JSON::PP->new->utf8->canonical;
my (%cell, %layer);
foreach my $name ('a', 'b')
{
	my $node = $cell{$name} = PostgreSQL::Test::Cluster->new("cell_$name");
	$node->init(allows_streaming => 'logical');
	$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'\ntaskapi.trusted_proxy_hops = 2\nlog_statement = none\nwal_receiver_status_interval = 1\n");
	$node->start;
	$node->safe_psql(
		'postgres', q{
		CREATE ROLE anonymous; CREATE ROLE authenticated; CREATE ROLE authenticator LOGIN NOINHERIT;
		GRANT anonymous, authenticated TO authenticator;
		CREATE EXTENSION pgcrypto; CREATE EXTENSION taskapi;
		SELECT taskapi.create_task_api(anonymous => 'anonymous', authenticated => 'authenticated');
		UPDATE taskapi.rate_limit_policy SET rate = 1000000, burst = NULL});
}
$cell{a}->safe_psql('postgres', q{SELECT tasks.create_account(name || '@example.org', name || '''s password', initcap(name)) FROM unnest('{ann,bob}'::text[]) name;
	SELECT taskapi.set_secret('jwt', 'a secret that the layer and the database share')});
foreach my $name ('a', 'b', 'a')		# again: nothing changes
{
	command_ok([ 'psql', '-XAtq', '-d', $cell{$name}->connstr('postgres'), '-v', "cell=$name", '-v', 'cells=a,b', '-f', "$folder/cells.sql" ], "cell $name");
}
my %conninfo = map { $_ => $cell{$_}->connstr('postgres') } keys %cell;
$cell{b}->safe_psql('postgres', 'DELETE FROM taskapi.secret');
$cell{b}->safe_psql('postgres', "CREATE SUBSCRIPTION b_home CONNECTION '" . $conninfo{a} =~ s/'/''/gr . "' PUBLICATION cells_home");
$cell{b}->safe_psql('postgres', "CREATE SUBSCRIPTION b_map CONNECTION '" . $conninfo{a} =~ s/'/''/gr . "' PUBLICATION cells_map");
$cell{a}->safe_psql('postgres', "CREATE SUBSCRIPTION a_map CONNECTION '" . $conninfo{b} =~ s/'/''/gr . "' PUBLICATION cells_map");
$cell{b}->wait_for_subscription_sync($cell{a}, 'b_home');
$cell{b}->wait_for_subscription_sync($cell{a}, 'b_map');
$cell{a}->wait_for_subscription_sync($cell{b}, 'a_map');
my %id = split /[|\n]/, $cell{b}->safe_psql('postgres', 'SELECT lower(display_name), id FROM tasks.account');
is(join(' ', sort keys %id), 'ann bob', 'the accounts are in the other cell');
my %token = map { $_ => $cell{b}->safe_psql('postgres', qq{SELECT taskapi.jwt_sign(jsonb_build_object('sub', '$id{$_}', 'role', 'authenticated', 'exp', extract(epoch FROM now())::int + 3600))}) } keys %id;

$layer{$_} = Layer->beside($cell{$_}, 'gateway', "110_$_") foreach 'a', 'b';
my $user = $cell{a}->safe_psql('postgres', 'SELECT current_user');
my %db = map { ($_ => "postgres://$user\@127.0.0.1:" . $cell{$_}->port . '/postgres') } keys %cell;
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $base = "http://127.0.0.1:$port";
{
	local %ENV = (%ENV, PORT => $port, CELLS => '{' . join(', ', map { qq("$_": {"url": "$layer{$_}{base}", "db": "$db{$_}"}) } 'a', 'b') . '}');
	Layer::spawn("$PostgreSQL::Test::Utils::log_path/110_router.log", 'node', "$folder/router.js");
}
my $http = Layer::Client->new;
Layer::eventually(sub { $http->get("$base/livez")->{status} == 200 });

sub call
{
	my ($method, $path, %opt) = @_;
	my $as = delete $opt{as} // 'ann';
	my $at = delete $opt{at};
	my $body = delete $opt{json};
	my $auth = delete $opt{auth} // { authorization => "Bearer $token{$as}" };
	my $answer = $http->request($method, ($at ? $layer{$at}{base} : $base) . $path, { headers => { %$auth, defined $body ? ('content-type' => 'application/json') : (), %opt }, defined $body ? (content => $json->encode($body)) : () });
	$answer->{json} = eval { $json->decode($answer->{content}) };
	return $answer;
}

sub move
{
	my ($project, $from, $to, $die) = @_;
	local %ENV = (%ENV, CELLS => $json->encode(\%db), defined $die ? (DIE => $die) : ());
	my ($out, $err);
	IPC::Run::run([ 'node', "$folder/move.js", $project, $from, $to ], '>', \$out, '2>', \$err);
	return $out . $err;
}

# The titles of a whole walk, in its order.
sub walk
{
	my ($limit, $query) = @_;
	my @titles;
	my $path = "/tasks?limit=$limit&" . ($query // 'select=id,title,cursor');
	for (1 .. 200)
	{
		my $answer = call('GET', $path);
		return "$answer->{status}: $answer->{content}" unless $answer->{status} == 200;
		push @titles, map { $_->{title} } @{ $answer->{json} };
		my ($next) = ($answer->{headers}{link} // '') =~ /<(\?[^>]*)>; rel="next"/ or last;
		$path = "/tasks$next";
	}
	return join ' ', @titles;
}

# Rows of all cells as one server would list them, and what a project is made of.
sub rows { return join "\n", map { $cell{$_}->safe_psql('postgres', $_[0]) } 'a', 'b' }
sub content_of
{
	my ($where, $project) = @_;
	# but for the stamps of changes, which are each server's own
	return $cell{$where}->safe_psql('postgres', qq{SELECT md5(string_agg(t, ',' ORDER BY t)) FROM (
		SELECT (to_jsonb(t) - 'changed')::text FROM tasks.task t WHERE project_id = '$project'
		UNION ALL SELECT (to_jsonb(m) - 'changed')::text FROM tasks.membership m WHERE project_id = '$project'
		UNION ALL SELECT (to_jsonb(p) - 'changed')::text FROM tasks.project p WHERE id = '$project'
		UNION ALL SELECT to_jsonb(c)::text FROM tasks.activity c WHERE project_id = '$project') x (t)});
}

# Projects in both cells, and a walk over their tasks.
my %project = map { $_ => call('POST', '/projects', at => $_, json => { name => "In $_" })->{json}{id} } 'a', 'b';
foreach my $name ('a', 'b')
{
	foreach my $n (0 .. 2)
	{
		my $made = call('POST', '/tasks', json => [ map { { project_id => $project{$name}, title => "$name$n-$_" } } 1 .. 9 ]);
		is($made->{status}, 201, 'a POST goes where its project is') or diag $made->{content};
	}
}
is($cell{$_}->safe_psql('postgres', 'SELECT count(*) FROM tasks.task'), 27, "cell $_ has its own") foreach 'a', 'b';
my $expected = join ' ', map { $_->[0] } sort { $b->[1] cmp $a->[1] || $b->[2] cmp $a->[2] } map { [ split /\|/ ] } split /\n/, rows(q{SET timezone = 'UTC'; SELECT title, to_char(created_at, 'YYYYMMDDHH24MISSUS'), id FROM tasks.task});
is(walk(7), $expected, 'a walk over two cells has the order of one server, each row once');
is(call('GET', "/projects/$project{b}")->{json}{name}, 'In b', 'a project is found where it is');
is(call('GET', '/projects/018f0000-0000-7000-8000-000000000009')->{status}, 404, 'one that is nowhere is not');
my $task = call('GET', '/tasks?limit=1')->{json}[0];
is(call('PATCH', "/tasks/$task->{id}", json => { description => 'found' }, 'if-match' => '"1"')->{status}, 200, 'so is a row, for a write too');
is(call('GET', '/tasks?order=title')->{status}, 400, 'an order without a cursor is refused');
foreach my $name ('a', 'b')
{
	my ($of) = grep { $_->{project_id} eq $project{$name} } @{ call('GET', '/tasks?limit=60')->{json} };
	is(call('POST', '/comments', json => { task_id => $of->{id}, body => "in $name" })->{status}, 201, "a POST without its project goes where the row is that it hangs on, in cell $name");
	is(call('GET', "/comments?task_id=eq.$of->{id}")->{json}[0]{body}, "in $name", 'and is found');
}
is(call('POST', '/comments', json => { task_id => '018f0000-0000-7000-8000-000000000009', body => 'no' })->{status}, 403, 'a row that is nowhere takes none, as in one cell');
is(call('POST', '/comments', json => { body => 'no' })->{status}, 400, 'and what names neither is refused');
is(scalar @{ call('GET', "/users/$id{ann}/tasks?limit=60")->{json} }, scalar @{ call('GET', '/tasks?limit=60')->{json} }, 'the tasks of a user are those of all cells');
foreach my $path ('/rpc/my_tasks', '/rpc/tasks_changes', '/rpc/tasks_page', '/invitations')
{
	my $answer = call('GET', $path);
	is("$answer->{status} $answer->{json}{message}", "400 $path answers for one cell. X-Cell says which: a b", "$path does not pass the home's answer off as that of all");
}
foreach my $name ('a', 'b')
{
	my %seen = map { $_->{project_id} => 1 } @{ call('GET', '/rpc/tasks_changes', 'x-cell' => $name)->{json}{items} };
	is(join(' ', keys %seen), $project{$name}, "the change feed of cell $name, if the request names it");
}
is(call('GET', '/rpc/my_tasks', 'x-cell' => 'c')->{status}, 400, 'there is no other cell');
is(call('GET', '/sessions')->{status}, 200, "accounts and credentials are the home's");
is(call('POST', '/rpc/request_password_reset', json => {})->{status}, call('POST', '/rpc/request_password_reset', json => {}, at => 'a')->{status}, 'and so are their functions');
is(walk(7, 'select=title'), $expected, 'a walk does not depend on what is selected');
is_deeply(call('GET', '/tasks?limit=2&select=title')->{json}, [ map { { title => $_ } } (split / /, $expected)[ 0, 1 ] ], 'and shows no more than that');
$cell{$_}->safe_psql('postgres', q{UPDATE tasks.task SET due_date = date '2030-01-01' + abs(hashtext(title)) % 5, priority = 1 + abs(hashtext(title)) % 3 WHERE title NOT LIKE '_0-%'}) foreach 'a', 'b';
my %order = (cursor_by_due_date => q{coalesce(due_date, 'infinity'), id}, cursor_by_priority => q{9 - priority, to_char(created_at, 'YYYYMMDDHH24MISSUS')});
foreach my $order (sort keys %order)
{
	my $all = join ' ', map { $_->[0] } sort { $a->[1] cmp $b->[1] || $a->[2] cmp $b->[2] || $a->[3] cmp $b->[3] } map { [ split /\|/ ] } split /\n/, rows("SET timezone = 'UTC'; SELECT title, $order{$order}, id FROM tasks.task");
	is(walk($_->[0], "order=$order$_->[1]"), $all, "a walk over two cells by $order, $_->[0] a page") foreach [ 7, '' ], [ 4, '&select=title' ], [ 50, "&select=*,$order" ];
}
is(scalar @{ call('GET', '/tasks?limit=50&title=eq.a0-1')->{json} }, 1, 'a filter holds in both');
my %made = map { my $k = $_; $k => [ map { call('POST', '/projects', json => { name => "Anywhere $k" }, 'idempotency-key' => qq("$k"))->{json}{id} } 1 .. 2 ] } 1 .. 4;
is(scalar(grep { $_->[0] ne $_->[1] } values %made), 0, 'a project that is made twice with one key is one');

# A walk while the projects move back and forth.
my $script = join '; ', map { my ($from, $to) = @$_; map { qq(node $folder/move.js $project{$_->[0]} $_->[1] $_->[2]) } ([ 'a', $from, $to ], [ 'b', $to, $from ]) } ([ 'a', 'b' ], [ 'b', 'a' ]);
my $moves = do { local %ENV = (%ENV, CELLS => $json->encode(\%db)); IPC::Run::start([ 'sh', '-c', "while [ ! -e $PostgreSQL::Test::Utils::tmp_check/enough ]; do $script; done" ], '>', \my $moved, '2>', \my $errors) };
my ($walks, $wrong, %twice) = (0, 0);
my $epoch = q{SELECT sum(n) FROM cells.epoch};
my $start = $cell{a}->safe_psql('postgres', $epoch);
my $until = time + 600;
while ($walks < 5 || $cell{a}->safe_psql('postgres', $epoch) < $start + 8)
{
	my $walked = walk(9);
	$walks++;
	$wrong++, diag("walk $walks: $walked") if $walked ne $expected;
	last if $wrong || time > $until;
}
append_to_file("$PostgreSQL::Test::Utils::tmp_check/enough", '');
IPC::Run::finish($moves);
is($wrong, 0, "$walks walks while projects moved have each row once");
cmp_ok($cell{a}->safe_psql('postgres', $epoch), '>=', $start + 8, 'they did move');

# A key on either side of a move; transactions that are under way.
my @keyed = (json => { project_id => $project{a}, title => 'keyed' }, 'idempotency-key' => '"move"');
my $first = call('POST', '/tasks', @keyed);
my $writer = $cell{a}->background_psql('postgres');
$writer->query_safe(qq{BEGIN; INSERT INTO tasks.task (project_id, title, creator_id) VALUES ('$project{a}', 'under way', '$id{ann}')});
my $mover = do { local %ENV = (%ENV, CELLS => $json->encode(\%db)); IPC::Run::start([ 'node', "$folder/move.js", $project{a}, 'a', 'b' ], '>', \my $out, '2>', \my $err) };
$cell{a}->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'move' AND wait_event_type = 'Lock'});
pass('a move waits for a transaction that writes to the project');
$writer->query_safe('COMMIT');
$writer->quit;
IPC::Run::finish($mover);
is($cell{b}->safe_psql('postgres', "SELECT count(*) FROM tasks.task WHERE title = 'under way'"), 1, 'and takes its rows along');
my $again = call('POST', '/tasks', @keyed);
is("$again->{status} $again->{json}{id}", "201 $first->{json}{id}", 'a POST that is repeated after the move is answered as before');
is($again->{headers}{'idempotency-replayed'}, 'true', 'from the ledger that came along');
is(rows(q{SELECT count(*) FROM tasks.task WHERE title = 'keyed'}), "0\n1", 'and has its effect once');

# Killed at each point, and done again.
my ($from, $to) = ('b', 'a');
my $all = walk(50);
foreach my $die ('1', 'in 2', '2', 'in 3', '3')
{
	my $before = content_of($from, $project{a});
	is(move($project{a}, $from, $to, $die), '', "killed at \"$die\"");
	is(walk(50), $all, 'every row is there once');
	is(call('POST', '/tasks', json => { project_id => $project{a}, title => 'no' })->{json}{code}, 'try_again', 'a write waits for the end of the move');
	like(move($project{a}, $from, $to), qr/is in $to/, 'the next run finishes it');
	is(content_of($to, $project{a}), $before, 'with all that the project was');
	is($cell{$from}->safe_psql('postgres', "SELECT count(*) FROM tasks.task WHERE project_id = '$project{a}'"), 0, 'and nothing of it where it was');
	like(move($project{a}, $from, $to), qr/is in $to/, 'once more changes nothing');
	my $note = call('POST', '/tasks', json => { project_id => $project{a}, title => 'deleted' });
	is($note->{status}, 201, 'and it takes writes');
	is(call('DELETE', "/tasks/$note->{json}{id}")->{status}, 204, 'of each kind');
	($from, $to) = ($to, $from);
}
is(walk(7), $all, 'the walk is what it was');
like(move('018f0000-0000-7000-8000-000000000009', 'a', 'b'), qr/in neither/, 'a project that is nowhere does not move');

# Who is kept out at home is kept out everywhere.
my $key = $cell{a}->safe_psql('postgres', qq{SELECT taskapi.create_api_key('$id{bob}')});
$cell{a}->wait_for_catchup('b_home');
is(call('GET', '/projects', at => 'b', auth => { 'x-api-key' => $key })->{status}, 200, 'a key of the home counts in the other cell');
$cell{a}->safe_psql('postgres', qq{SELECT taskapi.revoke_credentials('$id{bob}')});
$cell{a}->wait_for_catchup('b_home');
is(call('GET', '/projects', at => 'b', auth => { 'x-api-key' => $key })->{status}, 401, 'and its revocation, in a warm cache');
is(call('GET', '/projects', at => 'b', as => 'bob')->{status}, 200, 'a bearer token of the home counts');
$cell{a}->safe_psql('postgres', qq{SELECT taskapi.block_subject('$id{bob}')});
$cell{a}->wait_for_catchup('b_home');
is(call('GET', '/projects', at => 'b', as => 'bob')->{status}, 401, 'and so does a block');
my $cursor = call('GET', '/tasks?limit=1', at => 'a')->{json}[0]{cursor};
$cell{a}->safe_psql('postgres', q{SELECT taskapi.rotate_secret('cursor')});
$cell{a}->wait_for_catchup('b_home');
is(call('GET', "/tasks?order=created_at.desc,id.desc&cursor=gt.$cursor", at => 'b')->{status}, 200, 'cursors of the one open in the other, after a rotation too');

$_->stop('immediate') foreach values %cell;
done_testing();
