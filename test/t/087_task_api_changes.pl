# The statements with which docs/task-api.md changes the task API do what it says, as one would run them, and the API around them keeps working.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $page = slurp_file('docs/task-api.md');
my ($section) = $page =~ /^## Make it yours\n(.*?)^## /ms or die 'docs/task-api.md has no such section';
my %recipe;
foreach my $part (split /^### /m, $section)
{
	my ($name) = $part =~ /^(.*)$/m;
	$recipe{$name} = $1 if $part =~ /^```sql\n(.*?)^```$/ms;
}
is(join(', ', sort keys %recipe), 'A column, A policy, A resource, A role', 'the page has its recipes');

my $node = PostgreSQL::Test::Cluster->new('changes');
$node->init;
$node->start;
plan skip_all => 'btree_gist is not there' if $node->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'btree_gist'}) ne '1';
$node->safe_psql('postgres', q{
	CREATE EXTENSION taskapi;
	CREATE ROLE api_anonymous;
	CREATE ROLE api_user;
	SELECT taskapi.create_task_api('tasks', 'api', 'api_anonymous', 'api_user');
	CREATE TABLE public.person AS SELECT who, tasks.create_account(who || '@example.org') AS id FROM unnest(ARRAY['owner', 'editor', 'viewer', 'stranger']) who;
	INSERT INTO tasks.project (id, name, creator_id) SELECT '00000000-0000-7000-8000-000000000001', 'p', id FROM person WHERE who = 'owner';
	INSERT INTO tasks.membership (project_id, account_id, role) SELECT '00000000-0000-7000-8000-000000000001', id, who FROM person WHERE who IN ('editor', 'viewer');
	INSERT INTO tasks.task (id, project_id, title) VALUES ('00000000-0000-7000-8000-0000000000aa', '00000000-0000-7000-8000-000000000001', 't');
});

# by(WHO, SQL): the rows of a request of somebody, or the name of the problem. The API's path is first, as a layer has it.
sub by
{
	my ($who, $sql) = @_;
	my $id = $node->safe_psql('postgres', "SELECT id FROM person WHERE who = '$who'");
	my ($out, $err) = ('', '');
	$node->psql('postgres', qq{BEGIN; SET LOCAL search_path = api; SET LOCAL request.jwt.claims = '{"sub": "$id"}'; SET LOCAL ROLE api_user; $sql; COMMIT}, stdout => \$out, stderr => \$err);
	return $1 if $err =~ /"code": "(\w+)"/;
	return $err =~ /ERROR: +(.*)/ ? $1 : $out;
}
my ($project, $task) = ("'00000000-0000-7000-8000-000000000001'", "'00000000-0000-7000-8000-0000000000aa'");

# A column
$node->safe_psql('postgres', $recipe{'A column'});
is(by('editor', "UPDATE tasks SET estimate = 90 WHERE id = $task RETURNING estimate, version"), '90|2', 'an editor sets the new column');
is(by('editor', "UPDATE tasks SET estimate = -1 WHERE id = $task"), 'invalid_value', 'its constraint holds');
is(by('editor', "INSERT INTO tasks (project_id, title, estimate) VALUES ($project, 'new', 5) RETURNING estimate"), '5', 'and in a new task');
is(by('viewer', "UPDATE tasks SET estimate = 1 WHERE id = $task"), 'forbidden', 'a viewer cannot');
is(by('viewer', "SELECT estimate FROM tasks WHERE id = $task"), '90', 'but sees it');
is(by('viewer', "SELECT p.items::jsonb -> 0 ->> 'estimate' FROM tasks_page('estimate DESC NULLS LAST', 1) p"), '90', 'pages are ordered by it');
is(by('viewer', 'SELECT count(*), max(estimate) FROM my_tasks()'), '2|90', 'lists show it');
is(by('editor', "SELECT title, estimate FROM move_task($task)"), 't|90', 'functions that return tasks too');
is(by('viewer', "SELECT (task).estimate FROM tasks_search('t')"), '90', 'and the search');
# in the activity, by one more line
$node->safe_psql('postgres', q{
	DO $do$
	DECLARE
		definition text := pg_get_functiondef('tasks.log_task'::regproc);
	BEGIN
		EXECUTE regexp_replace(definition, '^( *)(''title'', CASE .*)$',
			'\1''estimate'', CASE WHEN NEW.estimate IS DISTINCT FROM OLD.estimate THEN jsonb_build_array(OLD.estimate, NEW.estimate) END,' || chr(10) || '\1\2', 'n');
	END
	$do$});
is(by('editor', "UPDATE tasks SET estimate = 60, title = 'u' WHERE id = $task; SELECT changes FROM activity ORDER BY id DESC LIMIT 1"), '{"title": ["t", "u"], "estimate": [90, 60]}', 'its changes are told');

# A resource
$node->safe_psql('postgres', $recipe{'A resource'});
is(by('owner', "INSERT INTO absences (days) VALUES ('[2026-12-24,2027-01-02)') RETURNING days, version"), '[2026-12-24,2027-01-02)|1', 'time off');
is(by('owner', "INSERT INTO absences (days) VALUES ('[2027-01-01,2027-01-05)')"), 'already_exists', 'not at the same time as other time off');
is(by('owner', "INSERT INTO absences (days) VALUES ('[2027-01-01,)')"), 'invalid_value', 'nor without an end');
is(by('editor', "INSERT INTO absences (days) VALUES ('[2027-01-01,2027-01-05)') RETURNING days"), '[2027-01-01,2027-01-05)', 'but of another person');
is(by('viewer', 'SELECT count(*) FROM absences'), '2', 'members see each other');
is(by('stranger', 'SELECT count(*) FROM absences'), '0', 'strangers do not');
is(by('editor', "INSERT INTO absences (account_id, days) SELECT id, '[2030-01-01,2030-01-02)' FROM users WHERE email = 'owner\@example.org'"), 'forbidden', 'nobody is sent away by another');
is(by('editor', "UPDATE absences SET days = '[2030-01-01,2030-01-02)' WHERE days && '[2026-12-24,2026-12-25)'"), 'forbidden', 'nor moved');
is(by('owner', 'DELETE FROM absences WHERE account_id = taskapi.current_subject_id(); SELECT count(*) FROM absences'), '1', 'one takes it back');
is(by('owner', "INSERT INTO absences (days) VALUES ('[2026-12-30,2027-01-01)'); UPDATE deleted_absences SET deleted_at = NULL"), 'already_exists', 'and what overlaps since does not come back');

# A policy
is(by('viewer', "INSERT INTO comments (task_id, body) VALUES ($task, 'a') RETURNING body"), 'a', 'a viewer comments');
$node->safe_psql('postgres', $recipe{'A policy'});
is(by('viewer', "INSERT INTO comments (task_id, body) VALUES ($task, 'b')"), 'forbidden', 'and does not under the other policy');
is(by('editor', "INSERT INTO comments (task_id, body) VALUES ($task, 'c') RETURNING body"), 'c', 'an editor does');

# A role
is(by('owner', "UPDATE members SET role = 'commenter' WHERE role = 'viewer'"), 'invalid_value', 'a role that there is not');
$node->safe_psql('postgres', $recipe{'A role'});
is(by('viewer', "INSERT INTO comments (task_id, body) VALUES ($task, 'd')"), 'forbidden', 'a viewer is still none');
is(by('owner', "UPDATE members SET role = 'commenter' WHERE role = 'viewer' RETURNING role"), 'commenter', 'an owner makes one');
is(by('viewer', "INSERT INTO comments (task_id, body) VALUES ($task, 'd') RETURNING body"), 'd', 'who comments');
is(by('viewer', "UPDATE tasks SET title = 'x' WHERE id = $task"), 'forbidden', 'and writes no task');
is(by('owner', "INSERT INTO invitations (project_id, email, role) VALUES ($project, 'new\@example.org', 'commenter') RETURNING role"), 'commenter', 'and may be invited as one');
is(by('owner', "DELETE FROM projects WHERE id = $project"), '', 'the project is deleted');
is(by('viewer', 'SELECT count(*) FROM deleted_projects'), '1', 'whom also a commenter sees');
is(by('viewer', "UPDATE deleted_projects SET deleted_at = NULL WHERE id = $project"), 'forbidden', 'and does not restore');
is(by('owner', "UPDATE deleted_projects SET deleted_at = NULL WHERE id = $project; SELECT count(*) FROM tasks"), '2', 'its owner does');

$node->stop;
done_testing();
