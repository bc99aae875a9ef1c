# Walks over HTTP: by the cursor of the last row, and by page tokens over /rpc. Each row once, in order, both ways.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Layer;
use Test::More;

my $layer = Layer->task_api('pages');
my @wanted = (Prefer => 'return=representation');
my $p = $layer->created($layer->call('POST', '/projects', as => 'ann', json => { name => 'Many' }, @wanted), 'a project')->{id};
my $other = $layer->created($layer->call('POST', '/projects', as => 'bob', json => { name => 'Hidden' }, @wanted), 'another of somebody else')->{id};
$layer->sql(qq{
	SET request.jwt.claims = '{"sub": "$layer->{id}{ann}"}';
	INSERT INTO tasks.task (project_id, title, priority, due_date, created_at)
	SELECT '$p', 'task ' || i, i % 3, CASE WHEN i % 4 > 0 THEN '2026-01-01'::date + i % 5 END, '2026-01-01'::timestamptz + i / 7 * interval '1 microsecond'
	FROM generate_series(1, 100) i;
	SET request.jwt.claims = '{"sub": "$layer->{id}{bob}"}';
	INSERT INTO tasks.task (project_id, title) SELECT '$other', 'hidden ' || i FROM generate_series(1, 20) i});

# walk(ORDER, COLUMN, SQL): pages of 7 by PostgREST's own parameters give what the query gives in one go.
foreach (
	[ 'created_at.desc,id.desc', 'cursor', 'created_at DESC, id DESC', 'gt' ],
	[ 'created_at.asc,id.asc', 'cursor', 'created_at, id', 'lt' ],
	[ 'cursor_by_due_date', 'cursor_by_due_date', 'due_date NULLS LAST, id', 'gt' ],
	[ 'cursor_by_priority', 'cursor_by_priority', 'priority DESC, created_at, id', 'gt' ],
	[ 'cursor_by_updated_at', 'cursor_by_updated_at', 'updated_at DESC, id DESC', 'gt' ])
{
	my ($order, $column, $sql, $operator) = @$_;
	my @expected = split /\n/, $layer->sql("SELECT title FROM tasks.task WHERE project_id = '$p' AND deleted_at IS NULL ORDER BY $sql");
	my (@got, $token);
	for (1 .. 20)
	{
		my $answer = $layer->call('GET', "/tasks?select=title,$column&project_id=eq.$p&order=$order&limit=7" . ($token ? "&$column=$operator.$token" : ''), as => 'ann');
		is($answer->{status}, 200, 'a page') or diag($answer->{text}), last if $answer->{status} != 200;
		last unless @{ $answer->{json} };
		push @got, map { $_->{title} } @{ $answer->{json} };
		$token = $answer->{json}[-1]{$column};
	}
	is_deeply(\@got, \@expected, "$order: every row once, in order");
	like($token, qr/^[A-Za-z0-9_-]+$/, "$order: a cursor needs no escaping in a URL");
}

# An answer that changes under the walk: the anchor is deleted.
my $page = $layer->call('GET', "/tasks?project_id=eq.$p&order=created_at.desc,id.desc&limit=5", as => 'ann')->{json};
my $next = "/tasks?project_id=eq.$p&order=created_at.desc,id.desc&limit=5&cursor=gt.$page->[-1]{cursor}";
my @before = map { $_->{id} } @{ $layer->call('GET', $next, as => 'ann')->{json} };
is($layer->call('DELETE', "/tasks?id=eq.$page->[-1]{id}", as => 'ann')->{status}, 204, 'the row of the cursor is deleted');
is_deeply([ map { $_->{id} } @{ $layer->call('GET', $next, as => 'ann')->{json} } ], \@before, 'and the next page is the same');
$layer->call('PATCH', "/deleted_tasks?id=eq.$page->[-1]{id}", as => 'ann', json => { deleted_at => undef });

# A token grants nothing.
is_deeply($layer->call('GET', "/tasks?order=created_at.desc,id.desc&cursor=gt.$page->[-1]{cursor}&project_id=eq.$p", as => 'bob')->{json}, [], "ann's cursor shows bob nothing of hers");

# Tokens that are none.
my $token = $page->[-1]{cursor};
$layer->is_problem($layer->call('GET', "/tasks?cursor=gt.$_->[0]", as => 'ann'), 400, 'invalid_cursor', "$_->[1] is refused")
  foreach ([ 'x', 'a word' ], [ substr($token, 0, -1), 'a token that is cut' ], [ $token . 'A', 'one with a letter more' ],
	[ substr($token, 0, 20) . (substr($token, 20, 1) eq 'A' ? 'B' : 'A') . substr($token, 21), 'one with a letter changed' ]);
$layer->is_problem($layer->call('GET', "/tasks?cursor_by_due_date=gt.$token", as => 'ann'), 400, 'cursor_mismatch', 'a cursor of another order is refused');

# Pages by token, both ways.
foreach my $order ('', 'due_date desc nulls last, priority', 'title')
{
	my $query = "page_size=9&filter=%7B%22project_id%22:%22$p%22%7D" . ($order ? '&order_by=' . $order =~ s/ /%20/gr : '');
	my (@forward, @backward, $answer);
	my $at = '';
	for (1 .. 20)
	{
		$answer = $layer->call('GET', "/rpc/tasks_page?$query&page_token=$at", as => 'ann');
		is($answer->{status}, 200, 'a page') or diag($answer->{text}), last if $answer->{status} != 200;
		push @forward, map { $_->{id} } @{ $answer->{json}{items} };
		is($answer->{json}{has_next} ? 1 : 0, length $answer->{json}{next_page_token} ? 1 : 0, 'has_next agrees with the token')
		  if ($answer->{json}{has_next} ? 1 : 0) != (length $answer->{json}{next_page_token} ? 1 : 0);
		last unless length $answer->{json}{next_page_token};
		$at = $answer->{json}{next_page_token};
	}
	is(scalar @forward, 100, "order \"$order\": all rows");
	is(scalar keys %{ { map { $_ => 1 } @forward } }, 100, "order \"$order\": each once");
	@backward = map { $_->{id} } @{ $answer->{json}{items} };
	for (1 .. 20)
	{
		last unless length $answer->{json}{previous_page_token};
		$answer = $layer->call('GET', "/rpc/tasks_page?$query&page_token=$answer->{json}{previous_page_token}", as => 'ann');
		unshift @backward, map { $_->{id} } @{ $answer->{json}{items} };
	}
	is_deeply(\@backward, \@forward, "order \"$order\": and the same backward");
}
my $rpc = '/rpc/tasks_page';
my $first = $layer->call('GET', "$rpc?page_size=3", as => 'ann')->{json};
is(scalar @{ $first->{items} }, 3, 'a page has its size');
ok(exists $first->{items}[0]{cursor} && !exists $first->{items}[0]{deletion_id}, 'of rows as the resource shows them');
is(scalar @{ $layer->call('GET', "$rpc?page_size=100000", as => 'ann')->{json}{items} }, 100, 'a size that is too large is lowered');
is(scalar @{ $layer->call('GET', $rpc, as => 'ann')->{json}{items} }, 50, 'without a size it is 50');
$layer->is_problem($layer->call('GET', "$rpc?page_size=-1", as => 'ann'), 400, 'invalid_page_size', 'a negative size is refused');
$layer->is_problem($layer->call('GET', "$rpc?order_by=nonsense", as => 'ann'), 400, 'invalid_order_by', 'an unknown column is refused');
$layer->is_problem($layer->call('GET', "$rpc?filter=%7B%22status%22:%7B%22oddly%22:1%7D%7D", as => 'ann'), 400, 'invalid_filter', 'an unknown operator is refused');
$layer->is_problem($layer->call('GET', "$rpc?page_token=x", as => 'ann'), 400, 'invalid_cursor', 'a token that is none is refused');
$layer->is_problem($layer->call('GET', "$rpc?order_by=title&page_token=$first->{next_page_token}", as => 'ann'), 400, 'cursor_mismatch', 'a token of another order is refused');
$layer->is_problem($layer->call('GET', "/rpc/projects_page?page_token=$first->{next_page_token}", as => 'ann'), 400, 'cursor_mismatch', 'and of another resource');
is_deeply($layer->call('GET', "$rpc?page_token=$first->{next_page_token}", as => 'bob')->{json}{items}[0]{project_id} // $other, $other, "a token of ann's shows bob only his own");

# Link is relative to the URL that the client knows; a function of one's own that calls the page function has none.
$layer->change(q{CREATE FUNCTION api.todo() RETURNS taskapi.page_result LANGUAGE sql STABLE AS $$ SELECT api.tasks_page(page_size => 3, filter => '{"status": "todo"}') $$});
my ($link, @linked) = ('?page_size=30&order_by=title%20desc');
for (1 .. 20)
{
	my $answer = $layer->call('GET', "$rpc$link", as => 'ann');
	push @linked, map { $_->{title} } @{ $answer->{json}{items} };
	($link) = ($answer->{headers}{link} // '') =~ /^<(\?[^>]*)>; rel="next"/ or last;
	is($answer->{headers}{link} =~ tr/<//, @linked > 30 ? 2 : 1, 'a link for each neighbour');
}
is_deeply(\@linked, [ split /\n/, $layer->sql("SELECT title FROM tasks.task WHERE project_id = '$p' ORDER BY title DESC, id DESC") ], 'by Link: every row once, in order');
my $todo = $layer->call('GET', '/rpc/todo', as => 'ann');
is(scalar @{ $todo->{json}{items} }, 3, 'a function that calls the page function');
is($todo->{headers}{link}, undef, 'sends no link, which would be to its own arguments');

# All one's tasks.
my (@mine, $after);
for (1 .. 20)
{
	my $answer = $layer->call('GET', '/rpc/my_tasks?page_size=9' . ($after ? "&page_token=$after" : ''), as => 'ann');
	push @mine, map { $_->{title} } @{ $answer->{json} };
	last if !@{ $answer->{json} };
	$after = $answer->{json}[-1]{cursor};
}
is_deeply(\@mine, [ split /\n/, $layer->sql("SELECT title FROM tasks.task WHERE project_id = '$p' ORDER BY created_at DESC, id DESC") ], 'my_tasks: every row once, in order');
my $middle = $layer->call('GET', '/rpc/my_tasks?page_size=9', as => 'ann')->{json};
is_deeply([ map { $_->{id} } @{ $layer->call('GET', "/rpc/my_tasks?backwards=true&page_token=$middle->[8]{cursor}", as => 'ann')->{json} } ], [ reverse map { $_->{id} } @$middle[0 .. 7] ], 'and backwards');

# In another order, by a column that is computed, and of some columns only.
foreach my $by ('due_date', 'priority', 'updated_at')
{
	my ($count, $token, %seen) = (0);
	for (1 .. 20)
	{
		my $answer = $layer->call('GET', "/rpc/my_tasks?page_size=9&order_by=$by&select=title,cursor_by_$by" . ($token ? "&page_token=$token" : ''), as => 'ann');
		is($answer->{status}, 200, "my_tasks by $by") or last;
		last if !@{ $answer->{json} };
		is_deeply([ sort keys %{ $answer->{json}[0] } ], [ "cursor_by_$by", 'title' ], 'the columns that were asked for');
		$count += @{ $answer->{json} };
		$seen{ $_->{title} } = 1 foreach @{ $answer->{json} };
		$token = $answer->{json}[-1]{"cursor_by_$by"};
	}
	is("$count " . keys %seen, scalar(@mine) . ' ' . @mine, "by $by: every row once");
}
is_deeply([ map { scalar keys %$_ } @{ $layer->call('GET', '/rpc/my_tasks?page_size=1&select=*,cursor_by_priority', as => 'ann')->{json} } ], [ 1 + keys %{ $layer->call('GET', '/rpc/my_tasks?page_size=1', as => 'ann')->{json}[0] } ], 'all of them, and one more');
is_deeply($layer->call('POST', '/rpc/my_tasks?select=title', as => 'ann', json => { page_size => 1 })->{json}, [ { title => $mine[0] } ], 'by POST as well');
is($layer->call('GET', '/rpc/my_tasks?select=secret', as => 'ann')->{status}, 400, 'a column that is not there');

# A deep page, by the cursor of the row before.
my $deep = $layer->call('GET', "/tasks?select=id,cursor&project_id=eq.$p&order=created_at.desc,id.desc&limit=51", as => 'ann')->{json}[50]{cursor};
is(scalar @{ $layer->call('GET', "/tasks?project_id=eq.$p&order=created_at.desc,id.desc&limit=5&cursor=gt.$deep", as => 'ann')->{json} }, 5, 'a page from the middle');

done_testing();
