# Whatever the owner of an exposed table, who is no superuser, does to it: no operation of a client crashes the server, raises an
# internal error, hangs, runs the owner's code as a superuser, or answers with a value that is in no table.
#
# A case is some DDL (test/hostile/Cases.pm). Then a client does all that he can do with the resources (test/hostile/Operations.pm): in
# the session in which the owner worked, in another one that had used them before, and in a new one; at last a superuser maintains, and
# the owner exposes again. HOSTILE says which cases: a number of them (40), drawn by HOSTILE_SEED; all; or a regular expression over
# "group: name". HOSTILE_SECONDS bounds a run. Those in which a version of the extension failed are always among them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::RealBin/../hostile";
use Cases;
use IPC::Open2;
use Operations;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $which = $ENV{HOSTILE} // 40;
my $seed = $ENV{HOSTILE_SEED} // int(rand(2**31));
my $ends = $ENV{HOSTILE_SECONDS} ? time + $ENV{HOSTILE_SECONDS} : undef;
srand($seed);
note "HOSTILE=$which HOSTILE_SEED=$seed";

my $node = PostgreSQL::Test::Cluster->new('hostile');
$node->init;
$node->append_conf('postgresql.conf', q{
fsync = off
autovacuum = off
restart_after_crash = on
log_line_prefix = '%m [%p] %e '
log_min_messages = warning
log_statement = none
statement_timeout = 5min
lock_timeout = 20s
jit = off
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE ROLE hostile_owner; CREATE ROLE hostile_other; CREATE ROLE hostile_client; CREATE ROLE hostile_victim;
	GRANT hostile_other TO hostile_owner;
	CREATE DATABASE hostile_template;
	GRANT CREATE ON DATABASE hostile_template TO hostile_owner, hostile_other;});
my $setup = slurp_file("$FindBin::RealBin/../hostile/setup.sql");
my ($rc, $out, $err) = $node->psql('hostile_template', $setup, on_error_stop => 1);
BAIL_OUT("the set-up failed: $err") if $rc;
my %token = map { split /\|/ } split /\n/, $node->safe_psql('hostile_template', 'SELECT * FROM layer.token');

# ---------- sessions ----------

my $folder = PostgreSQL::Test::Utils::tempdir;
my $sessions = 0;

sub open_session
{
	my $db = shift;
	my $session = { name => ++$sessions, errors => "$folder/errors" };
	local $ENV{PGOPTIONS} = '-c client_min_messages=error';
	$session->{pid} = open2($session->{out}, $session->{in}, 'psql -XAtq -v ON_ERROR_STOP=0 -d "' . $node->connstr($db) . "\" 2>>$folder/errors");
	return $session;
}

sub close_session
{
	my $session = shift;
	close $session->{in};
	close $session->{out};
	waitpid $session->{pid}, 0;
}

# run(session, script): what the script prints. The script lies in a file, so that neither side waits for the other's pipe.
sub run
{
	my ($session, $script) = @_;
	my $answer = '';
	local $SIG{PIPE} = 'IGNORE';
	open my $file, '>', "$folder/script.$session->{name}" or die $!;
	print $file $script;
	close $file;
	print { $session->{in} } "\\i $folder/script.$session->{name}\n\\echo --end--\n";
	$session->{in}->flush;
	while (defined(my $line = readline $session->{out}))
	{
		return $answer if $line eq "--end--\n";
		$answer .= $line;
	}
	return $answer;    # the server is gone
}

sub as { return "RESET SESSION AUTHORIZATION;\nSET SESSION AUTHORIZATION $_[0];\n"; }

sub operation_script
{
	my ($n, %how) = @_;
	my $script = $how{inside} ? '' : as('hostile_client') . join '', map { "\\set $_ '$token{$_}'\n" } sort keys %token;
	foreach my $o (operations($n))
	{
		my ($name, $method, $headers, $sql) = @$o;
		$script .= "\\echo --operation $name\n";
		$script .= ($how{inside} ? 'SAVEPOINT s' : 'BEGIN') . ";\nSELECT layer.request('$method', '$headers') \\g /dev/null\n$sql;\n";
		$script .= $how{inside} ? "ROLLBACK TO SAVEPOINT s;\n" : "COMMIT;\n";
	}
	return $script;
}

sub prepared_script
{
	my ($prepare) = @_;
	my %prepared = prepared();
	my $script = as('hostile_client') . ($prepare ? "SET plan_cache_mode = force_generic_plan;\n" : '');
	foreach my $name (sort keys %prepared)
	{
		$script .= "PREPARE $name AS $prepared{$name};\n" if $prepare;
		$script .= "\\echo --operation $name\nEXECUTE $name;\n";
	}
	return $script;
}

# ---------- what may be answered ----------

# What all tables hold, told by output functions alone, and the names of all that is there.
sub text_of_tables
{
	my $db = shift;
	my $all = '';
	my (undef, $names) = $node->psql($db, q{
		SELECT format('COPY (SELECT * FROM %s) TO STDOUT;', c.oid::regclass) FROM pg_class c WHERE relkind IN ('r', 'p', 'm') AND relpersistence <> 't' AND relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema', 'taskapi', 'victim', 'layer')
		UNION ALL SELECT '--' || string_agg(attname, ' ') FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped
		UNION ALL SELECT '--' || string_agg(enumlabel, ' ') FROM pg_enum}, on_error_stop => 0);
	my ($rc, $out, $err) = $node->psql($db, $names, on_error_stop => 0);
	return wantarray ? ($out, $names) : "$out $names";
}

sub words
{
	my %words;
	foreach my $word (split /[^A-Za-z0-9_.-]+/, bytes_as_text($_[0]))
	{
		$word =~ s/^[.-]+|[.-]+$//g;
		$words{$word} = 1;
		$words{$_} = 1 foreach split /[._-]/, $word;
		$words{ $word + 0 } = 1 if $word =~ /^-?\d+(\.\d+)?$/;
	}
	return \%words;
}

# A text that an owner moves into a column of type bytea comes out in hexadecimal digits.
sub bytes_as_text { return $_[0] =~ s/\\+x((?:[0-9a-f]{2})+)/' ' . pack('H*', $1) . ' '/ger; }

my %our_days = map { $_ => 1 } qw(2020-01-02 2021-02-03 2022-03-04 2023-04-05);
foreach my $day (-1 .. 1)
{
	my @t = gmtime(time + 86400 * $day);
	$our_days{ sprintf '%04d-%02d-%02d', $t[5] + 1900, $t[4] + 1, $t[3] } = 1;
}

# foreign_values(text, words...): what is in the text and is none of the words, nor a token, a time of the run, a uuid made by it, or a
# number of the ranges that the tables hold; or one that was counted up a few times, as versions are.
sub foreign_values
{
	my ($text, @known) = @_;
	my @found;
	$text =~ s/^--operation .*$//gm;
	push @found, 'bytes that are no ASCII' if $text =~ /[^\n\t\x20-\x7e]|\\u00/;
	$text = bytes_as_text($text);
	push @found, "a victim's value" if $text =~ /SECRETSECRET|6660000\d\d/;
	$text =~ s/(\d{4,}-\d\d-\d\d)(?:[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[+-]\d\d(?::?\d\d)?)?)?(?: BC)?/ push @found, $1 unless $our_days{$1}; ' ' /ge;
	$text =~ s/\b([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f])[0-9a-f]{3}-([0-9a-f])[0-9a-f]{3}-[0-9a-f]{12}\b/
		my ($uuid, $time, $version, $variant) = ($&, "$1$2", $3, $4);
		push @found, $uuid unless (grep { $_->{$uuid} } @known) || ($version eq '7' && $variant =~ m{[89ab]} && abs(hex($time) \/ 1000 - time) < 7200); ' ' /ge;
	foreach my $word (split /[^A-Za-z0-9_.-]+/, $text)
	{
		$word =~ s/^[.-]+|[.-]+$//g;
		next if length $word < 4 || $word =~ /^AQ[A-Za-z0-9_-]{30,}$/;
		next if grep { $_->{$word} } @known;
		next if $word =~ /^-?\d+(\.\d+)?$/ && (($word >= 1_000_000 && $word < 10_000_000) || grep { my $k = $_; grep { $k->{ $word - $_ } } 0 .. 9 } @known);
		# a word of several, such as a label
		next unless grep { my $part = $_; length $part >= 4 && !grep { $_->{$part} } @known } split /[._-]/, $word;
		push @found, $word;
	}
	my %once;
	return grep { !$once{$_}++ } map { substr $_, 0, 80 } @found;
}

my $initially = words(text_of_tables('hostile_template') . ' true false null');

# ---------- one case ----------

my $read_to = 0;

# What the server said since the last call that it must not say.
sub complaints
{
	my $log = slurp_file($node->logfile, $read_to);
	$read_to = -s $node->logfile;
	# a kept plan of any set-returning function of a row type that is gone, json_populate_recordset() too, ends so
	$log =~ s/^.* XX000 ERROR:  (?:cache lookup failed for type \d+|function in FROM has unsupported return type)\n(?=.* XX000 STATEMENT:  EXECUTE kept_rows;$)//gm;
	my @lines = grep { /terminated by signal|PANIC|TRAP:|AddressSanitizer|runtime error:|LeakSanitizer|HOSTILE:| XX\w{3} (?:ERROR|FATAL|WARNING)| 57014 ERROR|exited with exit code [^01]/ } split /\n/, $log;
	my %once;
	return grep { !$once{$_}++ } map { s/^\S+ \S+ \S+ \[\d+\] //r } @lines;
}

sub try_case
{
	my ($group, $name, @ddl) = @{ $_[0] };
	my @bad;
	my $answers = '';
	my $db = 'hostile';
	unlink "$folder/errors";
	$node->poll_query_until('postgres', 'SELECT true');
	$node->safe_psql('postgres', "CREATE DATABASE $db TEMPLATE hostile_template; GRANT CREATE ON DATABASE $db TO hostile_owner, hostile_other");

	my ($here, $warm) = map { open_session($db) } 1 .. 2;
	$answers .= run($here, operation_script(4) . prepared_script(1));
	$answers .= run($warm, operation_script(5) . prepared_script(1));
	my $before = words(scalar text_of_tables($db));

	# the owner's work, at times tried and taken back first
	my $work = as($group eq 'client' ? 'hostile_client' : 'hostile_owner') . join '', map { "$_;\n" } @ddl;
	if ($group ne 'client' && rand() < 0.25)
	{
		my $tried = join '', map { "SAVEPOINT d;\n$_;\n" . q{\if :ERROR} . "\nROLLBACK TO SAVEPOINT d;\n" . q{\endif} . "\n" } @ddl;
		$answers .= run($here, as('hostile_owner') . "BEGIN;\n$tried" . as('hostile_client') . operation_script(1, inside => 1) . "ROLLBACK;\n");
	}
	run($here, $work);
	my $after = words(scalar text_of_tables($db));
	my $given = words("@ddl " . words_of_operations());

	my $new = open_session($db);
	$answers .= run($here, operation_script(1) . prepared_script(0));
	$answers .= run($warm, operation_script(2) . prepared_script(0));
	$answers .= run($new, operation_script(3));
	foreach my $session ($here, $new)
	{
		$answers .= run($session, "RESET SESSION AUTHORIZATION;\n" . join '', map { "$_->[1];\n" } upkeep());
		$answers .= run($session, as('hostile_owner') . "SELECT taskapi.expose('data.thing', 'api', order_by => 'created_at DESC, id DESC');\n" . as('hostile_client') . operation_script(1));
	}
	$answers .= run($warm, as('hostile_owner') . "SELECT taskapi.unexpose('api.thing');\n" . operation_script(2));
	my ($at_last) = $node->psql('postgres', 'SELECT 1') == 0 ? text_of_tables($db) : '';
	close_session($_) foreach $here, $warm, $new;

	push @bad, complaints();
	# after a crash, what was answered before it tells nothing
	if (!grep { /terminated by signal|TRAP|Sanitizer|exit code/ } @bad)
	{
		push @bad, map { "answered: $_" } foreign_values($answers, $initially, $before, $after, $given);
		push @bad, map { "in a table at last: $_" } foreign_values($at_last, $initially, $before, $after, $given);
		my $errors = -e "$folder/errors" ? slurp_file("$folder/errors") : '';
		push @bad, "an error shows a victim's value" if $errors =~ /SECRETSECRET/;
	}
	$node->poll_query_until('postgres', 'SELECT true');
	$node->psql('postgres', "DROP DATABASE IF EXISTS $db (FORCE)");
	complaints();    # what dropping it says
	ok(!@bad, "$group: $name") or diag(join "\n", map { "  $_" } @bad[0 .. ($#bad > 9 ? 9 : $#bad)]);
}

# ---------- which ----------

my @always = map { qr/$_/ } (
	'a child whose deletion_id is a number', 'a bare table, with our triggers', 'another table first', 'view?s: a join$', 'drop and create with other types', "sets method = , and goes on",
	'deletion_id to int8 anew, the deleted view gone', 'client: POST with .*method = $', 'deleted_at to int4, tight');
my @all = cases();
my @chosen;
if ($which eq 'all') { @chosen = @all; }
elsif ($which =~ /^\d+$/)
{
	# some of each group in turn
	my (%by_group, %taken);
	foreach my $case (@all)
	{
		if (grep { "$case->[0]: $case->[1]" =~ $_ } @always) { push @chosen, $case; }
		else { push @{ $by_group{ $case->[0] } }, $case; }
	}
	my @groups = sort keys %by_group;
	while (@chosen < $which && grep { @{ $by_group{$_} } } @groups)
	{
		foreach my $group (@groups)
		{
			my $cases = $by_group{$group};
			push @chosen, splice @$cases, int(rand(@$cases)), 1 if @$cases && @chosen < $which;
		}
	}
}
else { @chosen = grep { "$_->[0]: $_->[1]" =~ /$which/ } @all; }
note scalar(@chosen) . ' of ' . scalar(@all) . ' cases';

complaints();
my $tried = 0;
foreach my $case (@chosen)
{
	last if $ends && time > $ends;
	try_case($case);
	$tried++;
}
note "$tried were tried";
cmp_ok($tried, '>', 0, 'some case was tried');
$node->stop;
done_testing();
