# Once, under any crash: clients send the same keys again and again while backends and the postmaster are killed.
#
# After each recovery every acknowledged key has exactly one effect and one answer, every other key has both or
# neither, and a fencing token has been given once. So it is for keys that the application begins and completes (r), those of an idempotent
# function (f), and those of POST (p) and PATCH (u) on a resource. TASKAPI_CRASH_ROUNDS sets the number of crashes (3), TASKAPI_FUZZ_SEED what the
# clients send.
use strict;
use warnings;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $rounds = $ENV{TASKAPI_CRASH_ROUNDS} || 3;
my $seed = $ENV{TASKAPI_FUZZ_SEED} // int(rand(2**31));
srand($seed);
note "seed $seed, $rounds rounds";
my $clients = 4;
my $keys = 150;

my $node = PostgreSQL::Test::Cluster->new('crash');
$node->init;
$node->append_conf('postgresql.conf', "restart_after_crash = on\nlog_min_messages = fatal\ntaskapi.idempotency_wait = '3min'\n");
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION taskapi;
CREATE TABLE effect (key text NOT NULL, id uuid NOT NULL);
CREATE TABLE ride (key text NOT NULL, token bigint NOT NULL);

-- The effect is visible in the answer, so that a second one could not hide behind an equal answer.
CREATE FUNCTION post(k text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    entry taskapi.idempotency_entry := taskapi.idempotency_begin(k, to_jsonb(k), 'crash');
    made uuid;
BEGIN
    IF entry.outcome = 'replay' THEN
        RETURN entry.body;
    END IF;
    INSERT INTO effect VALUES (k, gen_random_uuid()) RETURNING id INTO made;
    PERFORM taskapi.idempotency_complete(k, 201, to_json(made), scope => 'crash');
    RETURN to_json(made);
END
$$;

-- The same over three transactions, under a lease that lapses soon, so that it is taken over after a crash.
CREATE PROCEDURE work(k text) LANGUAGE plpgsql AS $$
DECLARE
    lease taskapi.idempotency_lease;
BEGIN
    BEGIN
        lease := taskapi.idempotency_acquire(k, to_jsonb(k), '1 second', 'lease');
    EXCEPTION WHEN SQLSTATE 'PT409' THEN
        RETURN;
    END;
    COMMIT;
    IF lease.outcome = 'replay' THEN
        RAISE INFO 'done % %', k, lease.body;
        RETURN;
    END IF;
    RAISE INFO 'token % %', k, lease.fencing_token;
    BEGIN
        IF lease.recovery_point IS NULL THEN
            INSERT INTO ride VALUES (k, lease.fencing_token);
            PERFORM taskapi.idempotency_checkpoint(k, lease.fencing_token, 'ride', to_jsonb(lease.fencing_token), 'lease');
        END IF;
    EXCEPTION WHEN SQLSTATE 'PT409' THEN
        RETURN;
    END;
    COMMIT;
    BEGIN
        PERFORM taskapi.idempotency_finish(k, lease.fencing_token, 201, to_json(lease.fencing_token), scope => 'lease');
    EXCEPTION WHEN SQLSTATE 'PT409' THEN
        RETURN;
    END;
    COMMIT;
    RAISE INFO 'done % %', k, lease.fencing_token;
END
$$;

-- Through a resource and by an idempotent function.
CREATE SCHEMA data;
CREATE SCHEMA api;
CREATE TABLE data.item (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), key text NOT NULL, taken boolean NOT NULL DEFAULT false);
CREATE INDEX ON data.item (key);
SELECT taskapi.expose('data.item', 'api');
CREATE FUNCTION api.make(k text) RETURNS uuid LANGUAGE sql AS $$ INSERT INTO data.item (key) VALUES (k) RETURNING id $$;
SELECT taskapi.make_idempotent('api.make(text)');
CREATE FUNCTION request(method text, path text, key text) RETURNS void LANGUAGE sql AS $$
    SELECT set_config('request.method', method, true), set_config('request.path', path, true), set_config('request.jwt.claims', '{"sub": "crash"}', true),
           set_config('request.headers', json_build_object('idempotency-key', key)::text, true), taskapi.current_subject();
$$;
SQL

my (%answer, %token, %done);
my $problems = 0;

sub bad
{
	diag(shift) if $problems++ < 10;
}

# A request with a key of the round, and what is to be printed of its answer.
sub request
{
	my ($round, $n) = @_;
	my %statements = (
		"f$round-$n" => [ 'POST', '/rpc/make', "SELECT 'f$round-$n' AS key, api.make('f$round-$n') AS answer" ],
		"p$round-$n" => [ 'POST', '/item', "WITH i AS (INSERT INTO api.item (key) VALUES ('p$round-$n') RETURNING *) SELECT key, id AS answer FROM i" ],
		"u$round-$n" => [ 'PATCH', '/item', "WITH i AS (UPDATE api.item SET taken = true WHERE key = 'u$round-$n' AND NOT taken RETURNING *) SELECT key, id || ':' || version AS answer FROM i" ]);
	my $key = (sort keys %statements)[ rand 3 ];
	my ($method, $path, $statement) = @{ $statements{$key} };
	# it is acknowledged when it is committed
	return "BEGIN; SELECT FROM request('$method', '$path', '$key'); $statement \\gset\nCOMMIT;\nSELECT :'key', :'answer';\n";
}

# One client: its statements, with repeats at once and later, in a psql that dies with the server.
sub client
{
	my ($round, $number) = @_;
	my $script = '';
	for (1 .. 20000)
	{
		my $key = "r$round-" . int(rand($keys));
		$script .= "SELECT '$key', post('$key');\n" x (rand() < 0.3 ? 2 : 1);
		$script .= request($round, int(rand($keys))) x (rand() < 0.3 ? 2 : 1) if rand() < 0.5;
		$script .= "CALL work('w$round-" . int(rand(30)) . "');\n" if $number == 0 || rand() < 0.05;
	}
	my $file = $node->basedir . "/client$number";
	append_to_file("$file.sql.$round", $script);
	open my $out, '>', "$file.out" or die $!;
	my $handle = IPC::Run::start(
		[ 'psql', '-XAtq', '-F', ' ', '-d', $node->connstr('postgres'), '-f', "$file.sql.$round" ],
		'>', "$file.out", '2>', "$file.err");
	return { handle => $handle, file => $file };
}

# What the client has been told.
sub acknowledged
{
	my $client = shift;
	eval { $client->{handle}->finish; };
	my $n = 0;
	for (split /\n/, slurp_file("$client->{file}.out"))
	{
		next unless /^([rfpu]\d+-\d+) ("[0-9a-f-]{36}"|[0-9a-f-]{36}(?::\d+)?)$/;
		$n++;
		$answer{$1} //= $2;
		bad("key $1 was answered with $answer{$1} and $2") if $answer{$1} ne $2;
	}
	for (split /\n/, slurp_file("$client->{file}.err"))
	{
		if (/INFO:\s+token (\S+) (\d+)$/)
		{
			bad("token $2 was given twice") if $token{$2}++;
		}
		elsif (/INFO:\s+done (\S+) (\d+)$/)
		{
			$done{$1} //= $2;
			bad("work $1 was finished by $done{$1} and $2") if $done{$1} ne $2;
		}
		elsif (/ERROR/ && !/closed|crash|terminat/)
		{
			bad($_);
		}
	}
	return $n;
}

sub start_again
{
	my $until = time + 180;
	# The killed postmaster's backends may hold its shared memory for a moment.
	until ($node->start(fail_ok => 1))
	{
		die 'the server does not start again' if time > $until;
		sleep 0.2;
		$node->stop('fast', fail_ok => 1);
	}
}

for my $round (1 .. $rounds)
{
	$node->safe_psql('postgres', "INSERT INTO data.item (key) SELECT 'u$round-' || n FROM generate_series(0, $keys - 1) n");
	my @clients = map { client($round, $_) } 0 .. $clients - 1;
	# at any moment, but not before enough is done, however long that takes: four clients have been told of all but four of these
	$node->poll_query_until('postgres', "SELECT count(*) >= 110 FROM effect WHERE key LIKE 'r$round-%'") or die 'the clients do nothing';
	sleep rand(2);

	my $kind = (qw(backend postmaster backend))[ $round % 3 ];
	if ($kind eq 'postmaster')
	{
		$node->kill9;
	}
	else
	{
		my $pids = $node->safe_psql('postgres',
			"SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()");
		my @pids = split / /, $pids;
		kill 'KILL', $pids[ rand @pids ];
	}
	my $acknowledged = 0;
	$acknowledged += acknowledged($_) for @clients;
	start_again() if $kind eq 'postmaster';
	# an attempt to connect, without a query: that would be written to a psql which may be gone
	$node->poll_query_until('postgres', undef, '') or die 'no recovery';

	cmp_ok($acknowledged, '>', 100, "round $round: $kind killed under load");

	# Acknowledged: one effect, and the answer that was given.
	my %effects = map { split / / } split /\n/,
	  $node->safe_psql('postgres', "SELECT key || ' ' || string_agg(to_json(id)::text, ',') FROM effect GROUP BY key");
	my %items = map { split / / } split /\n/, $node->safe_psql('postgres', <<'SQL');
SELECT key || ' ' || string_agg(CASE WHEN key LIKE 'u%' THEN id || ':' || version ELSE id::text END, ',') FROM data.item GROUP BY key
SQL
	$effects{$_} = $items{$_} for keys %items;
	for my $key (keys %answer)
	{
		bad("key $key: acknowledged as $answer{$key}, effect " . ($effects{$key} // 'none'))
		  if ($effects{$key} // '') ne $answer{$key};
	}
	# Everything else: both or neither, and never twice.
	is( $node->safe_psql('postgres', <<'SQL'), '', "round $round: effect and response go together");
SELECT coalesce(e.key, k.key), e.ids, k.body FROM (SELECT key, array_agg(id) AS ids FROM effect GROUP BY key) e
FULL JOIN (SELECT key, body FROM taskapi.idempotency_key WHERE scope = 'crash') k USING (key)
WHERE e.ids IS NULL OR k.key IS NULL OR cardinality(e.ids) <> 1 OR to_json(e.ids[1])::text <> k.body::text
SQL

	is( $node->safe_psql('postgres', <<'SQL'), '', "round $round: so do those of resources and functions");
SELECT key, i.n, i.version, k.key IS NOT NULL
FROM (SELECT key, count(*) AS n, max(version) AS version FROM data.item GROUP BY key) i
FULL JOIN (SELECT key FROM taskapi.idempotency_key WHERE scope LIKE '["crash",%') k USING (key)
WHERE i.n IS DISTINCT FROM 1 OR (key LIKE 'u%' AND i.version <> CASE WHEN k.key IS NULL THEN 1 ELSE 2 END) OR (key NOT LIKE 'u%' AND k.key IS NULL)
SQL

	# The clients' retries get the same answers, and complete what was cut off.
	my $retries = join '', map { "SELECT 'r$round-$_', post('r$round-$_');\n" } 0 .. $keys - 1;
	$retries .= join '', map { request($round, $_) } 0 .. $keys - 1;
	my %retried = map { split / / } split /\n/, $node->safe_psql('postgres', $retries, extra_params => [ '-F', ' ' ]);
	for my $key (grep { exists $answer{$_} } keys %retried)
	{
		bad("key $key: $answer{$key} before the crash, $retried{$key} after") if $retried{$key} ne $answer{$key};
	}
	is( $node->safe_psql('postgres', "SELECT count(*), count(DISTINCT key) FROM effect WHERE key LIKE 'r$round-%'"),
		"$keys|$keys", "round $round: after the retries one effect for every key");

	# Leases: what was finished stays so; what was cut off is taken over once it lapsed, from its recovery point.
	$node->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM taskapi.idempotency_key WHERE scope = 'lease' AND status IS NULL AND lease_expires_at > clock_timestamp()")
	  or die 'leases do not lapse';
	my $output = '';
	$node->psql('postgres', join('', map { "CALL work('w$round-$_');\n" } 0 .. 29), stderr => \$output);
	for (split /\n/, $output)
	{
		bad("token $2 was given twice") if /token (\S+) (\d+)$/ && $token{$2}++;
		bad("work $1: $done{$1} before the crash, $2 after") if /done (\S+) (\d+)$/ && $done{$1} && $done{$1} ne $2;
	}
	is( $node->safe_psql('postgres', <<"SQL"), '30|30|30', "round $round: after the takeovers all work is done once");
SELECT count(*), count(DISTINCT r.key), count(*) FILTER (WHERE k.status = 201)
FROM ride r JOIN taskapi.idempotency_key k ON k.scope = 'lease' AND k.key = r.key WHERE r.key LIKE 'w$round-%'
SQL
	is($problems, 0, "round $round: what was acknowledged holds");
}

$node->stop;
done_testing();
