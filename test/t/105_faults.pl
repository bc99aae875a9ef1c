# A fault of the database that has the SQLSTATE of a client's is told as a fault: a write to a resource whose file the server may not write, one without transaction ids left, and, to the error budget, a read of a file that is not the server's.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('faults');
$node->init;
$node->append_conf('postgresql.conf', "wal_level = logical\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION taskapi;
	CREATE TABLE public.note (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text);
	SELECT taskapi.expose('public.note', 'api');
	INSERT INTO api.note (text) VALUES ('kept'), ('deleted');
	DELETE FROM api.note WHERE text = 'deleted'});

# What a request is answered with: the SQLSTATE of an error, else the rows.
sub ask
{
	my ($method, $statement) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', qq{\\set VERBOSITY verbose
		BEGIN; SET LOCAL request.method = '$method'; SET LOCAL request.path = '/note'; SELECT FROM taskapi.pre_request(); $statement; COMMIT});
	return $err =~ /^(?:psql:\S+ )?ERROR:  (\w{5}): (.*)/m ? ($1, $2) : ($out =~ s/^\s+//r, '');
}
my %write = (
	POST => q{INSERT INTO api.note (text) VALUES ('new') RETURNING text}, PATCH => q{UPDATE api.note SET text = 'changed' RETURNING text},
	DELETE => q{DELETE FROM api.note RETURNING text}, restore => q{UPDATE api.deleted_note SET deleted_at = NULL RETURNING text});
sub writes_fail
{
	my ($with, $text, $name) = @_;
	foreach my $write (sort keys %write)
	{
		my ($state, $message) = ask($write eq 'restore' ? 'PATCH' : $write, $write{$write});
		is($state, $with, "$name: $write");
		like($message, $text, "$name: the administrator is told what it is");
	}
	is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT status, ' ') FROM taskapi.request_metrics WHERE method <> 'GET'}), '5xx', "$name: and the error budget");
}

# A file that the operating system lets the server only read.
SKIP:
{
	skip 'root may write any file', 5 if $> == 0;
	$node->safe_psql('postgres', 'CHECKPOINT');
	my $file = $node->data_dir . '/' . $node->safe_psql('postgres', q{SELECT pg_relation_filepath('public.note')});
	chmod 0400, $file;
	my ($state, $message) = ask('POST', $write{POST});
	is($state, '58030', 'no write to a file: POST');
	like($message, qr/Permission denied/, 'no write to a file: the administrator is told what it is');

	# What is no write to a resource is PostgreSQL's to tell, as a missing privilege, and the layer's to see through.
	chmod 0000, $file;
	($state, $message) = ask('GET', 'SELECT text FROM api.note');
	is($state, '42501', 'no file: GET');
	like($message, qr/could not open file .*Permission denied/, 'no file: the administrator is told what it is');
	is($node->safe_psql('postgres', q{SELECT string_agg(DISTINCT status, ' ') FROM taskapi.request_metrics WHERE method = 'GET'}), '5xx', 'no file: and the error budget');
	chmod 0600, $file;
}
is((ask('GET', 'SELECT text FROM api.note'))[0], 'kept', 'nothing was written');

# No transaction ids left. A slot keeps the oldest one, or autovacuum would free them. The server takes no writes 3000000 before the
# distance between the oldest one and the next is 2^31 - 1.
$node->safe_psql('postgres', q{SELECT pg_create_logical_replication_slot('forgotten', 'pgoutput')});
my $oldest = $node->safe_psql('postgres', q{SELECT min(datfrozenxid::text::bigint) FROM pg_database});
$node->stop;
my $next = $oldest + 2**31 - 1 - 3000000 + 100;
command_ok([ 'pg_resetwal', '-f', '-x', $next, $node->data_dir ], 'the last transaction ids are used up');
my $segment = sprintf('%s/pg_xact/%04X', $node->data_dir, $next >> 20);
append_to_file($segment, "\0" x 262144);
$node->start;
writes_fail('53000', qr/database is not accepting commands/, 'no transaction ids');
is((ask('GET', 'SELECT text FROM api.note'))[0], 'kept', 'no transaction ids: a GET is answered');
$node->stop('immediate');

done_testing();
