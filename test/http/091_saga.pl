# The worker of examples/saga is killed at each of its borders, beside a payment service that fails every second call: each order is
# booked, charged and shipped once, or nothing of it is left.
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

# once, whichever layer the other tests are about
plan skip_all => 'this is no layer' if ($ENV{LAYER} // 'postgrest') ne 'gateway';
my $node = PostgreSQL::Test::Cluster->new('saga');
$node->init;
$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'\n");
$node->start;
my $example = "$FindBin::RealBin/../../examples/saga";
my $sql = sub { return $node->safe_psql('postgres', $_[0]) };
$sql->(slurp_file("$example/schema.sql")) for 1 .. 2;    # it may be repeated
$sql->('INSERT INTO rooms.room SELECT i, 2 FROM generate_series(1, 1000) i');

my $port = PostgreSQL::Test::Cluster::get_free_port();
my $ledger = $node->basedir . '/payments.jsonl';
Layer::spawn("$PostgreSQL::Test::Utils::log_path/payments.log", '/usr/bin/python3', "$example/payments.py", $ledger, $port);
Layer::listens($port);

# true: it came to its end
sub work
{
	my ($border) = @_;
	$sql->(q{UPDATE outbox.consumer SET lease_expires_at = now() WHERE owner IS NOT NULL; UPDATE outbox.parked SET due_at = now() WHERE due_at > now()});
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGUSER => 'room_worker', PGDATABASE => 'postgres',
		PAYMENTS => "http://127.0.0.1:$port", PYTHONDONTWRITEBYTECODE => 1);
	my $err = '';
	my $ended = IPC::Run::run([ '/usr/bin/python3', "$FindBin::RealBin/saga_death.py", $example, $border ], '<', \undef, '>', \my $out, '2>', \$err);
	BAIL_OUT($err) if $err ne '';
	return $ended;
}

my $room = 0;
sub order
{
	my ($id, $border, $cents, $address, $end) = @_;
	$room++;
	$sql->("SELECT rooms.place_order('$id', $room, $cents, '$address')");
	my $died = !work($border);
	my $state;
	for (1 .. 400)
	{
		$state = $sql->("SELECT state FROM outbox.saga WHERE id = '$id'");
		last if $state =~ /^complet|compensated$/;
		work(0);
	}
	is($state, $end, "$id: $end");
	my @payments = map { $_->{name} eq $id ? $_->{state} : () } map { decode_json($_) } -e $ledger ? split /\n/, slurp_file($ledger) : ();
	my $left = $sql->("SELECT (SELECT count(*) FROM rooms.booking WHERE order_id = '$id') || ' ' || (SELECT count(*) FROM rooms.shipment WHERE order_id = '$id')");
	if ($end eq 'completed')
	{
		is("$left @payments", '1 1 charged', "$id: booked, shipped and charged once");
	}
	else
	{
		like("$left @payments", qr/^0 0 (charged refunded|forbidden|)$/, "$id: nothing is left of it");
	}
	return $died;
}

order("ships-$_", $_, 100, 'Main Street', 'completed') foreach 0, 7, 11;
# an order that fails at its last step goes through all of them, and all compensations
for (my $border = 1, my $dies = 1; $dies && $border < 60; $border++)
{
	$dies = order("fails-$border", $border, 100, '', 'compensated');
}
order('dear', 0, 200000, 'Main Street', 'compensated');
$room--;
$sql->("INSERT INTO rooms.booking VALUES ('somebody', $room + 1)");
order('taken', 0, 100, 'Main Street', 'compensated');
cmp_ok($sql->('SELECT count(*) FROM outbox.saga'), '>', 20, 'there were many borders');
is($sql->('SELECT count(*) FROM outbox.dead_letter'), '0', 'nothing is dead');
$node->stop;
done_testing();
