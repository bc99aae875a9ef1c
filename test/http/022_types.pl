# From the gateway's OpenAPI document a generator makes types in which a program that is right compiles, and one that is wrong does not.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../postgrest";
use Layer;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'the description is the gateway\'s' if ($ENV{LAYER} // 'postgrest') ne 'gateway';
my $folder = PostgreSQL::Test::Utils::tempdir;
local %ENV = (%ENV, HOME => $folder, npm_config_cache => "$folder/cache", npm_config_update_notifier => 'false');
plan skip_all => 'npm cannot install the generator here'
  if system("cd '$folder' && echo '{}' >package.json && timeout 120 npm install --no-audit --no-fund --fetch-retries=0 openapi-typescript\@7 typescript\@5 >npm.log 2>&1");

my $layer = Layer->task_api('types', '', 'gateway');
append_to_file("$folder/api.json", $layer->call('GET', '/openapi.json')->{text});
append_to_file("$folder/right.ts", <<'END');
import type { paths, components } from './api';
type Row = components['schemas']['tasks'];
type Listed = paths['/tasks']['get']['responses'][200]['content']['application/json'];
type Below = paths['/projects/{key}/tasks']['post']['responses'][201]['content']['application/json'];
const made: components['schemas']['new_tasks'] = { project_id: 'a', title: 'b' };
const changed: components['schemas']['changed_tasks'] = { due_date: null, priority: 3 };
const version = (row: Row): number => row.version;
const titles = (rows: Listed): string[] => rows.map((row) => row.title);
const one = (made: Below): Row => (Array.isArray(made) ? made[0] : made);
const problem = (p: components['schemas']['problem']): string => p.code + (p.hint ?? '');
export { made, changed, version, titles, one, problem };
END
my %wrong = (
	'a title is required' => q{const x: components['schemas']['new_tasks'] = { project_id: 'a' };},
	'a number is none' => q{const x: components['schemas']['changed_tasks'] = { title: 3 };},
	'a title is never null' => q{const x: components['schemas']['changed_tasks'] = { title: null };},
	'the server sets the version' => q{const x: components['schemas']['new_tasks'] = { project_id: 'a', title: 'b', cursor: 'c' };},
	'no such path' => q{type x = paths['/nothing']['get'];},
	'what is only read is not posted to' => q{type x = paths['/me']['post']['responses'][201];});
is(system("cd '$folder' && npx openapi-typescript api.json -o api.ts >types.log 2>&1"), 0, 'types are made') or diag(slurp_file("$folder/types.log"));
my $tsc = "cd '$folder' && npx tsc --noEmit --strict --skipLibCheck";
is(system("$tsc right.ts >right.log 2>&1"), 0, 'a program that is right compiles') or diag(slurp_file("$folder/right.log"));
my @names = sort keys %wrong;
append_to_file("$folder/wrong$_.ts", "import type { paths, components } from './api';\n$wrong{ $names[$_] }\nexport {};\n") foreach 0 .. $#names;
system("$tsc wrong*.ts >wrong.log 2>&1");
my $errors = slurp_file("$folder/wrong.log");
like($errors, qr/^wrong$_\.ts\(2,\d+\): error/m, "one that is wrong does not: $names[$_]") foreach 0 .. $#names;

done_testing();
