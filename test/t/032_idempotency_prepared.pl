# A prepared transaction keeps the keys that it has completed, over a crash too, until it is committed or rolled back; one that has only
# begun a key cannot be prepared.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('prepared');
$node->init;
$node->append_conf('postgresql.conf', 'max_prepared_transactions = 10');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION taskapi');

# What a statement says: its answer, the problem's code, or the error.
sub answer
{
	my ($sql) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', $sql, on_error_stop => 1);
	return $out if $rc == 0;
	return $err =~ /"code": "(\w+)"/ ? $1 : $err =~ /ERROR:  (.*)/ ? $1 : $err;
}
sub begin { return "SELECT outcome, body FROM taskapi.idempotency_begin('$_[0]', scope => 'alice')"; }
sub complete { return "SELECT FROM taskapi.idempotency_complete('$_[0]', 200, '1', scope => 'alice')"; }

like(answer('BEGIN; ' . begin('only begun') . "; PREPARE TRANSACTION 'a'"), qr/cannot PREPARE a transaction that has begun an idempotency key/, 'a key that is only begun');
is(answer(begin('only begun')), 'new|', 'and it is free again');

foreach my $key ('committed', 'rolled back')
{
	answer("BEGIN; " . begin($key) . '; ' . complete($key) . "; PREPARE TRANSACTION '$key'");
}
my @in_progress = ('SET taskapi.idempotency_wait = 0', "SET taskapi.idempotency_wait = '10ms'");
foreach my $when ('before a crash', 'after it')
{
	foreach my $key ('committed', 'rolled back')
	{
		is(answer("$_; " . begin($key)), 'idempotency_key_in_progress', "$when: $key, $_") foreach @in_progress;
	}
	next if $when eq 'after it';
	$node->stop('immediate');
	$node->start;
}
$node->safe_psql('postgres', "COMMIT PREPARED 'committed'");
$node->safe_psql('postgres', "ROLLBACK PREPARED 'rolled back'");
is(answer(begin('committed')), 'replay|1', 'committed: its answer is given again');
is(answer(begin('rolled back')), 'new|', 'rolled back: the key is new');

$node->stop;
done_testing();
