# A request that is refused writes one short line to the log, without its statement, also in a session that has just loaded the library; a fault of the server's is written in full.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "log_statement = none\nlog_connections = off\nlog_disconnections = off\nlog_line_prefix = '[%e] '\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION taskapi;
	CREATE SCHEMA data;
	CREATE TABLE data.t (id int PRIMARY KEY, a int CONSTRAINT positive CHECK (a > 0), word text);
	SELECT taskapi.expose('data.t');
	INSERT INTO api.t VALUES (1, 1, 'x');
	CREATE FUNCTION data.try_again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE serialization_failure; END $$;
	CREATE TRIGGER try_again BEFORE UPDATE OF word ON data.t FOR EACH ROW EXECUTE FUNCTION data.try_again()});

# What a session of its own, which runs this as a request, adds to the log.
sub logged
{
	my ($sql, %setting) = @_;
	my $from = -s $node->logfile;
	my $set = join '', map { "SET $_ = '$setting{$_}';" } sort keys %setting;
	$node->psql('postgres', $set . $sql, on_error_stop => 0);
	my $log = slurp_file($node->logfile, $from);
	$log =~ s/^.*\b(checkpoint|autovacuum)\b.*\n//mg;
	return $log;
}
my %post = ('request.method' => 'POST', 'request.path' => '/t');

is(logged('INSERT INTO api.t (id, a) VALUES (2, 0)', %post), qq{[PGRST] LOG:  refused POST /t with 400 invalid_value: It violates constraint \\"positive\\".\n},
	'one line, in the first statement of a session');
is(logged('INSERT INTO api.t (id, a) VALUES (2, 0)'), qq{[23514] LOG:  refused with 400 invalid_value: It violates constraint \\"positive\\".\n}, 'and outside a request');
is(logged(q{SELECT taskapi.raise_problem('not_found')}, %post), "[PGRST] LOG:  refused POST /t with 404 not_found\n", 'without details');
is(logged(q{SELECT taskapi.raise_problem('not_found', E'a\nERROR:  b' || repeat('é', 300))}, %post, 'request.path' => "/t\n[XX000] FATAL:  forged"),
	'[PGRST] LOG:  refused POST /t [XX000] FATAL:  forged with 404 not_found: a\nERROR:  b' . ("\xc3\xa9" x 94) . "...\n", 'text of the client\'s makes no line of its own, and no long one');
is(logged('UPDATE api.t SET a = 2 WHERE id = 9', %post, 'request.method' => 'PATCH', 'request.headers' => '{"if-match": "\"9\""}') =~ tr/\n//, 1, 'a stale version is one line');
is(logged('INSERT INTO api.t (id, a) VALUES (2, 0)', %post, 'taskapi.log_refusals' => 'off'), '', 'off writes nothing');
like(logged('INSERT INTO api.t (id, a) VALUES (2, 0)', %post, 'taskapi.log_refusals' => 'full'), qr/ERROR:.*invalid_value.*\n.*DETAIL:.*\n.*STATEMENT:/, 'full is as any error');
like(logged(q{UPDATE api.t SET word = 'y'}, %post), qr/ERROR:.*try_again.*\n.*DETAIL:.*\n.*STATEMENT:/, 'so is a problem of the server\'s');
like(logged('SELECT 1/0', %post), qr/ERROR:  division by zero\n.*STATEMENT:/, 'and what is no problem');
is(logged(q{DO $$ BEGIN PERFORM taskapi.raise_problem('not_found'); EXCEPTION WHEN OTHERS THEN NULL; END $$}, %post), '', 'what is caught is not logged');
$node->safe_psql('postgres', 'CREATE ROLE app LOGIN');
my ($rc, $out, $err) = $node->psql('postgres', 'SET ROLE app; SELECT count(*) FROM taskapi.problems(); SET taskapi.log_refusals = off');
like($err, qr/permission denied to set parameter/, 'which only an administrator sets');

done_testing();
