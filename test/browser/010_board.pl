# The board, as a reader uses it, in Chromium at two widths: what is typed, clicked and pressed is done, and what is refused is shown.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin, "$FindBin::RealBin/../postgrest";
use Browser;
use Layer;
use Test::More;

my $layer = Layer->task_api('board', q{
	INSERT INTO tasks.project (id, name, creator_id) SELECT '01890000-0000-7000-8000-00000000000a', 'Garden', id FROM tasks.account WHERE email = 'ann@example.org';
	INSERT INTO tasks.project (name, creator_id) SELECT 'House', id FROM tasks.account WHERE email = 'ann@example.org';
	INSERT INTO tasks.task (project_id, title, status, priority, labels, due_date, created_at)
	SELECT '01890000-0000-7000-8000-00000000000a', (ARRAY['Dig the bed', 'Sow the beans', 'Water', 'Prune the roses', 'Turn the compost', 'Paint the fence', 'Order seeds'])[1 + n % 7] || CASE WHEN n < 7 THEN '' ELSE ' ' || n END,
		(ARRAY['todo', 'todo', 'in_progress', 'todo', 'done', 'todo', 'cancelled', 'todo'])[1 + n % 8], CASE n % 5 WHEN 0 THEN 80 WHEN 1 THEN 20 ELSE 0 END,
		CASE n % 3 WHEN 0 THEN '{outside}' ELSE '{}' END::text[], CASE n % 4 WHEN 0 THEN date '2026-04-01' + n END, timestamptz '2026-03-01' - n * interval '1 hour'
	FROM generate_series(0, 299) n;
}, 'gateway', STATIC => "$FindBin::RealBin/../../examples/board");
my $p = '01890000-0000-7000-8000-00000000000a';
my @errors;
sub sql { return $layer->sql($_[0]) }
my $cards = 'return document.querySelectorAll(".list[data-status=" + arguments[0] + "] .card").length';
my $card_is = 'const c = document.querySelector(".list[data-status=" + arguments[0] + "] [data-id=\"" + arguments[1] + "\"]:not(.pending)"); return c && (!arguments[2] || c.querySelector("p").textContent === arguments[2])';

foreach my $screen ([ 'wide', 1280, 800 ], [ 'phone', 390, 844 ])
{
	my ($name, $width, $height) = @$screen;
	my $browser = Browser->new($width, $height);
	# a window is never as narrow as a phone
	$browser->cdp('Emulation.setDeviceMetricsOverride', { width => $width, height => $height, deviceScaleFactor => 1, mobile => $name eq 'phone' ? JSON::PP::true : JSON::PP::false });
	my $ok = sub { my ($what, $test, @arguments) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; return ok($browser->until($test, @arguments), "$name: $what") || $browser->picture("${name}_failed") };

	# Without the change feed, so that a change of another meets one of this screen.
	$browser->go("$layer->{base}/?sync=0");
	$ok->('asks to log in', 'return !document.querySelector("#login").hidden && document.querySelector("#app").hidden');
	$browser->type('[name=email]', 'ann@example.org');
	$browser->type('[name=password]', "wrong\x{e007}");
	$ok->('refuses a wrong password', 'return /wrong/.test(document.querySelector("#login output").textContent)');
	$browser->js('document.querySelector("[name=password]").value = ""');
	$browser->type('[name=password]', "ann's password\x{e007}");
	$ok->('shows the board', 'return !document.querySelector("#app").hidden && document.querySelector("#project").options.length === 2');
	my ($cookie) = $browser->cookies;
	ok($cookie->{httpOnly} && $cookie->{secure}, "$name: the cookie is HttpOnly and Secure");
	is($browser->js('return document.cookie'), '', "$name: no script sees it");
	my $choose = sub {
		$browser->js('const p = document.querySelector("#project"); p.value = arguments[0]; p.onchange({ target: p })', $p);
		$ok->('of the project that is chosen', 'return /roses|beans|bed/.test(document.querySelector(".list[data-status=todo]").textContent)');
	};
	$choose->();
	cmp_ok($browser->js('return document.documentElement.scrollWidth'), '<=', $width, "$name: nothing is wider than the screen");
	$ok->('all columns', 'return document.querySelectorAll(".list[data-status=" + arguments[0] + "] .card").length >= 25', $_) foreach qw(todo in_progress done cancelled);
	cmp_ok($browser->picture("board_$name"), '>', 20000, "$name: a picture of it");

	# To the end of a column.
	my $todo = sql("SELECT count(*) FROM api.tasks WHERE project_id = '$p' AND status = 'todo'");
	for (1 .. 40)
	{
		last if $browser->js($cards, 'todo') >= $todo;
		my $before = $browser->js($cards, 'todo');
		$browser->js('const l = document.querySelector(".list[data-status=todo]"); l.scrollTop = l.scrollHeight');
		$browser->until('return document.querySelectorAll(".list[data-status=todo] .card").length > arguments[0]', $before) or last;
	}
	is($browser->js($cards, 'todo'), $todo, "$name: scrolling shows every task");
	is($browser->js('return new Set([...document.querySelectorAll(".card")].map((c) => c.dataset.id)).size === document.querySelectorAll(".card").length ? 1 : 0'), 1, "$name: each once");
	$browser->js('document.querySelector(".list[data-status=todo]").scrollTop = 0');

	# Created, moved, renamed: by keyboard on the wide screen, by hand on the phone.
	my $title = "Written on a $name <b>screen</b>";
	if ($name eq 'wide') { $browser->js('document.activeElement.blur(); document.body.focus()'); $browser->keys('n') }
	$browser->type('#add input', "$title\x{e007}");
	$ok->('creates a task, whose title is text', 'const c = document.querySelector(".list[data-status=todo] .card"); return c.querySelector("p").textContent === arguments[0]', $title);
	my $id = $browser->js('return document.querySelector(".list[data-status=todo] .card").dataset.id');
	my $select = sub { $browser->js('const s = document.querySelector("[data-id=\"" + arguments[0] + "\"] select"); s.value = arguments[1]; s.onchange()', $id, $_[0]) };
	my $focus = sub { $browser->js('document.querySelector("[data-id=\"" + arguments[0] + "\"]").focus()', $id) };
	if ($name eq 'wide') { $focus->(); $browser->keys([ 'Shift', 'Right' ]) } else { $select->('in_progress') }
	$ok->('moves it', $card_is, 'in_progress', $id);
	is(sql("SELECT status || ' ' || version FROM tasks.task WHERE id = '$id'"), 'in_progress 2', "$name: in the database, too");
	if ($name eq 'wide')
	{
		is($browser->js('return document.activeElement.dataset.id'), $id, 'wide: the focus goes along');
		$browser->keys('Enter', split(//, 'Renamed'), 'Enter');
		$ok->('renames it by keyboard', $card_is, 'in_progress', $id, 'Renamed');
		$browser->keys('Down');
		isnt($browser->js('return document.activeElement.dataset.id'), $id, 'wide: arrows choose another card');
		$browser->keys('Left');
		is($browser->js('return document.activeElement.closest(".list").dataset.status'), 'todo', 'wide: also of another column');
	}

	# Somebody is faster.
	sql("UPDATE tasks.task SET title = 'Renamed by Bob', priority = 99 WHERE id = '$id'");
	$select->('done');
	$ok->('412 shows both', 'const d = document.querySelector("#conflict"); return d.open && /Renamed by Bob/.test(d.innerText) && /done/.test(d.innerText)');
	cmp_ok($browser->picture("conflict_$name"), '>', 5000, "$name: a picture of it");
	$browser->click('#conflict button[value=mine]');
	$ok->('and changes it again', $card_is, 'done', $id, 'Renamed by Bob');
	is(sql("SELECT title || ' ' || status || ' ' || priority FROM tasks.task WHERE id = '$id'"), 'Renamed by Bob done 99', "$name: nothing of theirs is lost");
	sql("UPDATE tasks.task SET title = 'Renamed by Cid' WHERE id = '$id'");
	$select->('todo');
	$ok->('or keeps', 'return document.querySelector("#conflict").open');
	$browser->keys('Escape');
	$ok->('theirs', $card_is, 'done', $id, 'Renamed by Cid');

	# Away and back.
	if ($name eq 'wide') { $focus->(); $browser->keys('Delete') } else { $browser->js('document.querySelector("[data-id=\"" + arguments[0] + "\"] button").click()', $id) }
	$ok->('deletes', 'return !document.querySelector("[data-id=\"" + arguments[0] + "\"]") && !document.querySelector("#note button").hidden', $id);
	if ($name eq 'wide') { $browser->keys('u') } else { $browser->click('#note button') }
	$ok->('and undoes', $card_is, 'done', $id);
	$browser->js('document.querySelector("[data-id=\"" + arguments[0] + "\"] button").click()', $id);
	$ok->('deletes again', 'return !document.querySelector("[data-id=\"" + arguments[0] + "\"]") && /trash/.test(document.querySelector("#note").textContent)', $id);
	$browser->click('#trash');
	$ok->('shows the trash', 'return document.querySelector("#bin").open && /Renamed by Cid/.test(document.querySelector("#bin").innerText)');
	$browser->click('#bin li button');
	$ok->('from where it comes back', $card_is, 'done', $id);
	$browser->click('#bin form button');

	# What is looked for is found, page by page, and chosen.
	if ($name eq 'wide') { $browser->js('document.activeElement.blur()'); $browser->keys('/', split(//, 'compost'), 'Enter') }
	else { $browser->type('#search input', "compost\x{e007}") }
	my $found = 'return document.querySelectorAll("#found li button").length';
	$ok->('finds tasks by their words', 'return document.querySelector("#found").open && document.querySelectorAll("#found li button").length === 25');
	cmp_ok($browser->picture("found_$name"), '>', 5000, "$name: a picture of it");
	my $there = sql("SELECT count(*) FROM api.tasks WHERE project_id = '$p' AND title ~ 'compost'");
	$browser->js('document.querySelector("#found button[type=button]").click()');
	$ok->('and more of them', 'return document.querySelectorAll("#found li button").length === Number(arguments[0])', $there);
	$browser->js('document.querySelector("#found button[type=button]").click()');
	$ok->('to the end', 'return document.querySelector("#found button[type=button]").hidden && document.querySelectorAll("#found li button").length === Number(arguments[0])', $there);
	is($browser->js('return [...document.querySelectorAll("#found li button")].every((b) => /compost/.test(b.textContent)) ? 1 : 0'), 1, "$name: nothing else");
	$browser->js('document.querySelector("#found li:last-child button").click()');
	$ok->('and goes to the one that is chosen', 'return !document.querySelector("#found").open && /compost/.test(document.activeElement.closest(".card")?.textContent)');
	$browser->js('document.querySelector("#search").reset()');
	$browser->type('#search input', "nowhere\x{e007}");
	$ok->('or says that there is nothing', 'return document.querySelector("#found").open && /Nothing/.test(document.querySelector("#found").innerText)');
	$browser->keys('Escape');

	# What others change comes by itself: moved, made, deleted. What is being written here stays.
	$browser->go("$layer->{base}/?sync=0.2");
	$ok->('is logged in still', 'return !document.querySelector("#app").hidden && document.querySelector("#project").options.length === 2');
	$choose->();
	my $made = sql("INSERT INTO tasks.task (project_id, title) VALUES ('$p', 'Made by Dee') RETURNING id");
	$ok->('shows what another makes', $card_is, 'todo', $made, 'Made by Dee');
	sql("UPDATE tasks.task SET title = 'Renamed by Dee', status = 'cancelled' WHERE id = '$made'");
	$ok->('and where it is moved', $card_is, 'cancelled', $made, 'Renamed by Dee');
	is($browser->js('return document.querySelectorAll("[data-id=\"" + arguments[0] + "\"]").length', $made), 1, "$name: once");
	$browser->js('document.querySelector("[data-id=\"" + arguments[0] + "\"]").ondblclick()', $made);
	sql("UPDATE tasks.task SET title = 'Renamed again' WHERE id = '$made'");
	my $after = sql("INSERT INTO tasks.task (project_id, title) VALUES ('$p', 'Made after that') RETURNING id");
	$ok->('goes on', $card_is, 'todo', $after);
	is($browser->js('return document.querySelector("[data-id=\"" + arguments[0] + "\"] p").textContent', $made), 'Renamed by Dee', "$name: what is being written stays");
	$browser->keys('Escape');
	$ok->('until it is left', $card_is, 'cancelled', $made, 'Renamed again');
	sql("DELETE FROM api.tasks WHERE id IN ('$made', '$after')");
	$ok->('and what goes is gone', 'return !document.querySelector("[data-id=\"" + arguments[0] + "\"]") && !document.querySelector("[data-id=\"" + arguments[1] + "\"]")', $made, $after);
	sql("DELETE FROM api.deleted_tasks WHERE id IN ('$made', '$after')");
	$browser->go("$layer->{base}/?sync=0");
	$ok->('is there again', 'return !document.querySelector("#app").hidden && document.querySelector("#project").options.length === 2');
	$choose->();
	$ok->('with its task', 'return document.querySelector("[data-id=\"" + arguments[0] + "\"]")', $id);

	# Too many requests, and after a while not.
	sql(q{UPDATE taskapi.rate_limit_policy SET rate = 2, per = '1 minute', burst = 1 WHERE name = 'per_user'});
	$select->('todo');
	$browser->until($card_is, 'todo', $id);
	$select->('in_progress');
	$ok->('429 counts down', 'return /again in \d+ s/.test(document.querySelector("#note span").textContent)');
	$browser->picture("limited_$name");
	sql(q{UPDATE taskapi.rate_limit_policy SET rate = 1000000, per = '1 minute', burst = 1000000 WHERE name = 'per_user'});
	$ok->('and goes on by itself', $card_is, 'in_progress', $id);

	$browser->js('document.querySelector("#logout").click()');
	$ok->('logs out', 'return !document.querySelector("#login").hidden');
	is(scalar(my @left = $browser->cookies), 0, "$name: the cookie is gone");
	push @errors, $browser->errors;
	$browser->quit;
	sql("DELETE FROM tasks.task WHERE id = '$id'");
}
is_deeply(\@errors, [], 'no page complained');

done_testing();
