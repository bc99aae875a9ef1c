# Secrets are in no message, log, statistic, plan, dump or answer that somebody without the right to them can come by: API keys,
# session tokens, passwords and their hashes, signing keys, stored answers. Every search is made once where it must find
# something, so that it is known to see. TASKAPI_FUZZ_SEED repeats a run, TASKAPI_SECRET_ROUNDS (10) says how often each function is called.
use strict;
use warnings;
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{TASKAPI_FUZZ_SEED} // int(rand(2**31));
my $rounds = $ENV{TASKAPI_SECRET_ROUNDS} // 10;
srand($seed);
note "seed $seed, $rounds rounds";

my $node = PostgreSQL::Test::Cluster->new('secrets');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_stat_statements, auto_explain'\npg_stat_statements.track = all\nstatement_timeout = '3min'\n");
plan skip_all => 'pg_stat_statements, auto_explain and pgcrypto are not all there' unless $node->start(fail_ok => 1)
  && $node->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name IN ('pg_stat_statements', 'pgcrypto')}) == 2;

# What belongs to whom: the extension to the superuser, the task API to app_owner, requests run as anon or member.
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION taskapi;
	CREATE EXTENSION pgcrypto;
	CREATE EXTENSION pg_stat_statements;
	CREATE ROLE app_owner LOGIN;
	CREATE ROLE anon LOGIN;
	CREATE ROLE member LOGIN;
	CREATE ROLE authenticator LOGIN NOINHERIT;
	GRANT anon, member TO authenticator;
	CREATE ROLE stranger LOGIN;
	CREATE ROLE monitor LOGIN;
	GRANT pg_monitor TO monitor;
	CREATE ROLE service LOGIN;
	GRANT EXECUTE ON FUNCTION taskapi.idempotency_begin, taskapi.idempotency_complete TO service;
	GRANT CREATE ON DATABASE postgres TO app_owner;
	GRANT EXECUTE ON FUNCTION taskapi.hash_password, taskapi.verify_password, taskapi.charge_login, taskapi.create_session, taskapi.revoke_credentials, taskapi.block_subject, taskapi.unblock_subject,
		taskapi.set_api_roles, taskapi.create_task_api, taskapi.expose, taskapi.grant_resource, taskapi.publish TO app_owner;
	SELECT taskapi.create_outbox();
	ALTER ROLE authenticator SET request.method = '';
	UPDATE taskapi.rate_limit_policy SET rate = 100000, burst = 100000;
	SET SESSION AUTHORIZATION app_owner;
	SELECT taskapi.create_task_api('tasks', 'api', 'anon', 'member');
	SELECT tasks.create_account('ann@example.org', 'Ann''s password 7391', 'Ann');
	SELECT tasks.create_account('bob@example.org', NULL, 'Bob');
	INSERT INTO tasks.project (name, creator_id) SELECT 'P', id FROM tasks.account WHERE email = 'ann@example.org';});
my $ann = $node->safe_psql('postgres', q{SELECT id FROM tasks.account WHERE email = 'ann@example.org'});
my $bob = $node->safe_psql('postgres', q{SELECT id FROM tasks.account WHERE email = 'bob@example.org'});

# The secrets, by name, each in the spellings that it could turn up in.
my %secret;
sub spell
{
	my ($name, $bytes) = @_;
	my $base64 = encode_base64($bytes, '');
	(my $url = $base64) =~ tr{+/=}{-_}d;
	$secret{$name} = [ $bytes, $bytes =~ s/'/''/gr, unpack('H*', $bytes), substr($base64, 0, 40), substr($url, 0, 40) ];
}
my $api_key = $node->safe_psql('postgres', qq{SELECT taskapi.create_api_key('$ann')});
my $session = $node->safe_psql('postgres', qq{SELECT taskapi.create_session('$ann')});
my $jwt_secret = 'the secret that the layer shares with the database';
my $password = "Ann's password 7391";
spell('API key', substr($api_key, 13));    # what follows its readable prefix
spell('session token', substr($session, 4));
spell('JWT secret', $jwt_secret);
spell('password', $password);
spell('password hash', $node->safe_psql('postgres', qq{SELECT password_hash FROM tasks.account WHERE id = '$ann'}));
spell('stored answer', 'card number 4929 1234');
spell('cursor key', pack('H*', $node->safe_psql('postgres', q{SELECT encode(secret, 'hex') FROM taskapi.secret WHERE purpose = 'cursor'})));
spell('hash of an API key', pack('H*', $node->safe_psql('postgres', q{SELECT encode(secret_hash, 'hex') FROM taskapi.api_key})));
spell('hash of a session', pack('H*', $node->safe_psql('postgres', q{SELECT encode(token_hash, 'hex') FROM taskapi.session})));

# The names of the secrets that occur in a text.
sub found
{
	my ($text) = @_;
	return join ', ', grep { my $name = $_; grep { index($text, $_) >= 0 } @{ $secret{$name} } } sort keys %secret;
}

my $log_start;
sub log_since { return slurp_file($node->logfile, $log_start); }

# What operators turn on to find slow or failing statements, and more. With parameters logged, or without.
sub log_everything
{
	my ($length) = @_;
	my %set = (
		log_statement => "'all'", log_min_duration_statement => 0, log_error_verbosity => 'verbose', log_min_messages => 'debug1', log_lock_waits => 'on',
		log_connections => 'on', log_parameter_max_length => $length, log_parameter_max_length_on_error => $length,
		'auto_explain.log_min_duration' => 0, 'auto_explain.log_nested_statements' => 'on', 'auto_explain.log_analyze' => 'on', 'auto_explain.log_triggers' => 'on');
	$set{'auto_explain.log_parameter_max_length'} = $length if $node->pg_version >= 16;
	$node->safe_psql('postgres', "ALTER SYSTEM SET $_ = $set{$_}") for sort keys %set;
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('log_parameter_max_length')::int = $length AND current_setting('log_statement') = 'all'") or die;
	$log_start = -s $node->logfile;
}

# run(USER, SQL, NAME => VALUE, ...): a script with its values as parameters of the extended protocol, as a layer sends them. What the client is told.
my $scripts = 0;
sub run
{
	my ($user, $sql, %value) = @_;
	my $file = $node->basedir . '/script_' . $scripts++ . '.sql';
	append_to_file($file, $sql);
	my ($out, $err) = run_command(
		[ 'pgbench', '-n', '-M', 'extended', '-t', 1, (map { ('-D', "$_=$value{$_}") } sort keys %value), '-f', $file, '-h', $node->host, '-p', $node->port, '-U', $user, 'postgres' ]);
	die $err if $err =~ /undefined variable|syntax error at or near/;
	return $out . $err;
}

my $begin = q{
BEGIN;
SELECT set_config('role', :role, true), set_config('request.method', :method, true), set_config('request.path', '/tasks', true), set_config('request.headers', :headers, true),
	set_config('request.cookies', :cookies, true), set_config('request.jwt.claims', btrim(:claims), true);
SELECT taskapi.pre_request();
};

sub request
{
	my ($sql, %set) = @_;
	my %value = (role => 'anon', method => 'GET', headers => '{"host": "a.example"}', cookies => '{}', claims => '{"role": "anon"}', %set);
	return run('authenticator', $begin . $sql . "\nCOMMIT;\n", %value);
}

# A request of each kind, right and wrong. What all clients were told, one after the other.
sub requests
{
	my $who = 'SELECT 1 / (taskapi.current_subject() IS NOT NULL)::int;';
	my $wrong_key = substr($api_key, 0, -1) . (substr($api_key, -1) eq 'x' ? 'y' : 'x');
	my $told = '';
	my $answer = sub { my ($text, $expected, $what) = @_; like($text, $expected, $what); $told .= $text; };
	my $good = qr{processed: 1/1};
	$answer->(request($who, headers => qq({"x-api-key": "$api_key"})), $good, 'an API key');
	$answer->(request($who, headers => qq({"x-api-key": "$wrong_key"})), qr/unauthenticated/, 'a wrong one');
	$answer->(request($who, headers => qq({"x-api-key": "$api_key, $api_key"})), qr/unauthenticated/, 'two of them');
	$answer->(request($who, headers => qq({"x-api-key": "$api_key)), qr/ERROR/, 'headers that are no JSON');
	$answer->(request($who, headers => qq({"x-api-key": ["$api_key"]})), qr/processed/, 'headers that are not what they should be');
	$answer->(request($who, cookies => qq({"__Host-session": "$session"})), $good, 'a session');
	$answer->(request($who, cookies => qq({"__Host-session": "$session ")), qr/ERROR/, 'cookies that are no JSON');
	$answer->(request($who, cookies => qq({"__Host-session": "x$session"})), qr/unauthenticated/, 'no session');
	$answer->(request($who, cookies => qq({"__Host-session": "$session"}), method => 'POST'), qr/forbidden/, 'a session from another origin');
	$answer->(request($who, headers => qq({"authorization": "Bearer $api_key"}), claims => ' '), qr/unauthenticated/, 'a bearer token that nobody verified');
	$answer->(request($who, claims => qq({"sub": "$api_key" x)), qr/unauthenticated/, 'claims that are no JSON');
	# a subject of the caller's own making is named in messages; a secret in its place is not ours to know

	my $log_in = 'INSERT INTO api.sessions (email, password) VALUES (:email, :password) RETURNING id;';
	my %post = (method => 'POST', headers => '{"host": "a.example", "sec-fetch-site": "same-origin"}');
	$answer->(request($log_in, %post, email => 'ann@example.org', password => $password), $good, 'a log-in');
	$answer->(request($log_in, %post, email => 'nobody@example.org', password => $password), qr/unauthenticated/, 'of nobody');
	$answer->(request($log_in, %post, email => 'ann@example.org', password => "$password!"), qr/unauthenticated/, 'with a wrong password');
	$answer->(request($log_in, %post, email => 'ann@example.org', password => $password x 9), qr/unauthenticated/, 'with one that is too long');
	$answer->(request($log_in, %post, email => 'ann@example.org', password => $password, headers => '{"sec-fetch-site": "cross-site"}'), qr/forbidden/, 'from elsewhere');

	my %as_ann = (role => 'member', claims => qq({"role": "member", "sub": "$ann"}));
	$answer->(request("INSERT INTO api.api_keys (name) VALUES ('k') RETURNING secret;", %as_ann, method => 'POST'), $good, 'a key of her own');
	$answer->(request("UPDATE api.users SET display_name = ' ' WHERE id = '$ann';", %as_ann, method => 'PATCH'), qr/invalid_value/, 'a name that is none');
	$answer->(request("UPDATE api.users SET email = 'bob\@example.org' WHERE id = '$ann';", %as_ann, method => 'PATCH'), $good, 'an address that is taken, which nobody is told');
	$answer->(run('app_owner', 'SELECT tasks.create_account(:email, :password, :name);', email => 'no address', password => $password, name => 'x'), qr/ERROR/, 'an account without an address');
	$answer->(run('app_owner', 'SELECT tasks.create_account(:email, :password, :name);', email => 'ANN@example.org', password => $password, name => 'x'), qr/ERROR/, 'an account that is there');
	$answer->(run('app_owner', 'SELECT tasks.create_account(:email, :password, :name);', email => 'c@example.org', password => $password, name => ' '), qr/ERROR/, 'an account without a name');
	$answer->(run('app_owner', 'SELECT tasks.set_password(:id, :password);', id => $ann, password => $password x 9), qr/ERROR/, 'a password that is too long');
	$answer->(run('app_owner', 'SELECT tasks.set_password(:id, :password);', id => '00000000-0000-0000-0000-000000000000', password => $password), qr/ERROR/, 'a password for nobody');

	my $one_time = $node->safe_psql('postgres', q{SELECT tasks.create_password_token('bob@example.org')});
	spell("one-time token $scripts", substr($one_time, 4));
	my $reset = 'SELECT api.reset_password(:token, :password);';
	$answer->(request('SELECT api.request_password_reset(:email);', %post, email => 'bob@example.org'), $good, 'a reset is asked for');
	$answer->(request($reset, %post, token => "$one_time ", password => $password), qr/not_found/, 'a one-time token that is wrong');
	$answer->(request($reset, %post, token => $one_time, password => $password x 9), qr/invalid_value/, 'with a password that is too long');
	$answer->(request($reset, %post, token => $one_time, password => $password), $good, 'a password is reset');
	$answer->(request($reset, %post, token => $one_time, password => $password), qr/not_found/, 'once');
	$answer->(request('SELECT api.confirm_email(:token);', %as_ann, method => 'POST', token => $one_time), qr/not_found/, 'and it confirms no address');

	my %secret_ = (secret => $jwt_secret);
	my $token = jwt();
	$answer->(run('postgres', 'SELECT taskapi.set_secret(:purpose, :secret);', purpose => 'jwt', %secret_), $good, 'a JWT secret is set');
	$answer->(run('postgres', 'SELECT taskapi.set_secret(:purpose, :secret);', purpose => 'no purpose', %secret_), qr/ERROR/, 'for no purpose');
	$answer->(run('postgres', 'SELECT taskapi.set_secret(:purpose, :secret);', purpose => 'jwt', secret => $jwt_secret x 30), qr/ERROR/, 'one that is too long');
	$answer->(run('postgres', 'SELECT taskapi.jwt_sign(:claims::jsonb, :secret);', claims => '{"sub": 1}', %secret_), qr/ERROR/, 'claims that cannot be signed');
	$answer->(run('postgres', 'SELECT taskapi.jwt_verify(:token, :secret);', token => $token, %secret_), $good, 'a JWT');
	$answer->(run('postgres', 'SELECT taskapi.jwt_verify(:token, :secret);', token => "x$token", %secret_), qr/ERROR/, 'that is forged');
	$answer->(run('postgres', 'SELECT taskapi.jwt_verify(:token);', token => $token), $good, 'by the key that is known');

	$answer->(run('service', q{BEGIN; SELECT taskapi.idempotency_begin(:key, '{"a": 1}', 'shop'); SELECT taskapi.idempotency_complete(:key, 201, :body, scope => 'shop'); COMMIT;},
			key => 'k-' . $scripts, body => '{"card": "card number 4929 1234"}'), $good, 'an answer is stored');
	$answer->(run('service', q{SELECT taskapi.idempotency_begin(:key, '{"a": 2}', 'shop');}, key => 'k-' . ($scripts - 1)), qr/ERROR.*idempotency key/, 'its key is used again');
	$answer->(run('service', q{BEGIN; SELECT taskapi.idempotency_begin(:key, '{"a": 1}', 'shop'); SELECT taskapi.idempotency_complete(:key, 99, :body, scope => 'shop'); COMMIT;},
			key => 'l-' . $scripts, body => '{"card": "card number 4929 1234"}'), qr/ERROR/, 'an answer without a status');
	$answer->(run('anon', q{SELECT taskapi.cursor_decode(:token);}, token => $api_key), qr/ERROR.*cursor/, 'no cursor');
	return $told;
}

# HS256, made here, so that no statement has it
sub jwt
{
	require Digest::SHA;
	my $signed = join '.', map { encode_base64($_, '') =~ tr{+/=}{-_}dr } '{"alg":"HS256","typ":"JWT"}', '{"sub":"ann"}';
	return "$signed." . (Digest::SHA::hmac_sha256($signed, $jwt_secret) =~ s/(.*)/encode_base64($1, '')/ser =~ tr{+\/=}{-_}dr);
}

# What is running and what ran, as the server's statistics have it; read by somebody who may read them all.
my $statistics = q{SELECT string_agg(query, E'\n') FROM (SELECT query FROM pg_stat_activity UNION ALL SELECT query FROM pg_stat_statements) q};

log_everything(0);
my $told = requests();
# An account that cannot be restored, with the owner's rights: PostgreSQL's detail would be the whole of its row.
my ($none, $cannot) = ('', '');
$node->psql('postgres', qq{BEGIN; UPDATE tasks.account SET deleted_at = now(), deletion_id = gen_random_uuid() WHERE id = '$bob';
	ALTER TABLE tasks.account ADD CONSTRAINT stays_deleted CHECK (deleted_at IS NOT NULL) NOT VALID;
	UPDATE api.deleted_users SET deleted_at = NULL WHERE id = '$bob'}, stdout => \$none, stderr => \$cannot);
like($cannot, qr/stays_deleted/, 'an account that cannot be restored');
unlike($cannot, qr/Failing row/, 'without the row');
my $log = log_since();
cmp_ok(length $log, '>', 100_000, 'much was logged');
ok($log =~ /with the rights of a table's owner failed: .*stays_deleted/, 'which the log has a reason for');
ok($log !~ /Failing row contains .*$bob/, 'without the row, too');
ok($log =~ /Query Text: INSERT INTO taskapi\.api_key/, 'nested statements, too');
is(found($told), '', 'no client is told a secret');
is(found($log), '', 'no secret is in the log, with every statement, plan and error in it');
is(join(' ', $log =~ /(\$2[abxy]\$\d\d\$[A-Za-z0-9.\/]{53})/g), '', 'nor any hash of a password');
is(found($node->safe_psql('postgres', $statistics)), '', 'nor in pg_stat_activity and pg_stat_statements');

# The activity while it goes on.
{
	my $file = $node->basedir . '/busy.sql';
	append_to_file($file, $begin . "INSERT INTO api.sessions (email, password) VALUES (:email, :password) RETURNING id;\nCOMMIT;\n");
	my %value = (role => 'anon', method => 'POST', headers => qq({"host": "a.example", "sec-fetch-site": "same-origin", "x-api-key": "$api_key"}), cookies => '{}', claims => '{"role": "anon"}', email => 'ann@example.org', password => $password);
	my ($processed, $seen, $activity) = ('', 0, '');
	# as often as it takes to meet one of them
	for my $try (1 .. 200)
	{
		my ($out, $err) = ('', '');
		my $busy = IPC::Run::start(
			[ 'pgbench', '-n', '-M', 'extended', '-t', 15, (map { ('-D', "$_=$value{$_}") } sort keys %value), '-f', $file, '-h', $node->host, '-p', $node->port, '-U', 'authenticator', 'postgres' ], '>', \$out, '2>', \$err, IPC::Run::timeout(900));
		while ($busy->pumpable)
		{
			$busy->pump_nb;
			my $now = $node->safe_psql('postgres', q{SELECT string_agg(query, E'\n') FROM pg_stat_activity WHERE usename = 'authenticator'});
			$seen++ if $now =~ /INSERT INTO api.sessions/;
			$activity .= $now;
		}
		$busy->finish;
		$processed = "$out$err";
		last if $seen || $out !~ m{processed: 15/15};
	}
	like($processed, qr{processed: 15/15}, 'requests go on');
	cmp_ok($seen, '>', 0, 'and are seen');
	is(found($activity), '', 'but not their secrets');
}

# The search sees: with parameters logged, everything that was sent is there. A literal in a statement's text is there always, in the log and
# in the statistics of utility statements: that is for whoever writes the statement to avoid.
log_everything(-1);
requests();
like(found(log_since()), qr/^API key, JWT secret, one-time token \d+, password,( password hash,)? session token, stored answer$/,
	'with parameters in the log, so are the secrets that were sent (from 16 on auto_explain shows those of nested statements, too)');
log_everything(0);
like(run('service', q{SELECT :body::json;}, body => '"card number 4929 1234'), qr/card number/, 'json quotes what it does not understand');
$node->safe_psql('postgres', qq{SET request.headers = '{"x-api-key": "$api_key"}'});
is(found(log_since()), 'API key, stored answer', 'in the log, too, where a literal is as well');
is(found($node->safe_psql('postgres', q{SELECT string_agg(query, E'\n') FROM pg_stat_statements})), $node->pg_version >= 18 ? '' : 'API key', 'that of SET is in the statistics, before PostgreSQL 18');
$node->safe_psql('postgres', 'SELECT pg_stat_statements_reset()');
$node->safe_psql('postgres', qq{SELECT set_config('request.headers', '{"x-api-key": "$api_key"}', true)});
is(found($node->safe_psql('postgres', q{SELECT string_agg(query, E'\n') FROM pg_stat_statements})), '', 'that of a query is not');
$node->safe_psql('postgres', "ALTER SYSTEM RESET ALL");
$node->reload;
requests();

# Every function that takes a secret, with values that come from a table: nothing of them is in what it says.
$node->safe_psql('postgres', 'CREATE TABLE public.probe (n int, v text)');
my @probes = ($api_key, "$api_key ", substr($api_key, 0, -1), $session, $jwt_secret, $password, "$api_key\n", "'$api_key", "\"$api_key\"", "$api_key.$jwt_secret.$session", "$api_key\\", $api_key x 300, "{\"a\": \"$api_key", jwt() . 'x', '$2a$10$' . substr($api_key, 13));
for my $n (0 .. $#probes)
{
	(my $v = $probes[$n]) =~ s/'/''/g;
	$node->safe_psql('postgres', "INSERT INTO public.probe VALUES ($n, '$v')");
}
my @takers = map { [ split /\|/ ] } split /\n/, $node->safe_psql(
	'postgres', q{
	SELECT p.oid::regproc, a.n, string_agg(format_type(t.o, NULL), ' ' ORDER BY t.n), max(p.proargnames[a.n])
	FROM pg_proc p, generate_series(1, p.pronargs) a(n), unnest(p.proargtypes) WITH ORDINALITY t(o, n)
	WHERE p.pronamespace IN ('taskapi'::regnamespace, 'tasks'::regnamespace, 'api'::regnamespace) AND p.prokind = 'f'
		AND p.proargnames[a.n] IN ('secret', 'token', 'page_token', 'password', 'salt', 'hash', 'state', 'body', 'claims', 'value')
		AND p.proargtypes[a.n - 1] IN ('text'::regtype, 'json'::regtype, 'jsonb'::regtype, 'bytea'::regtype)
	GROUP BY p.oid, a.n ORDER BY 1::text, 2});
cmp_ok(scalar @takers, '>', 12, 'functions take secrets');
my $calls = "\\set VERBOSITY verbose\n\\set SHOW_CONTEXT always\n\\pset tuples_only on\n\\o /dev/null\n";
my %sample = (text => "'jwt'", jsonb => "'{}'", json => "'{}'", integer => 1, bigint => 1, interval => "'1 hour'", uuid => "'$bob'", regclass => "'api.tasks'", 'timestamp with time zone' => "'2099-01-01'", 'text[]' => "'{read}'", bytea => "'\\x00'");
for my $taker (@takers)
{
	my ($name, $n, $types) = @$taker;
	my @types = $types =~ /timestamp with time zone|\S+/g;
	my @args = map { $sample{$_} // 'NULL' } @types;
	$args[ $n - 1 ] = $types[ $n - 1 ] eq 'bytea' ? "convert_to(v, 'UTF8')" : "v::$types[$n - 1]";
	# what is no JSON is refused by the type itself, which says why
	$args[ $n - 1 ] = "to_$types[$n - 1](v)" if $types[ $n - 1 ] =~ /json/;
	for my $probe (0 .. $#probes)
	{
		for my $settings ('', "SET LOCAL request.method = 'POST'; ")
		{
			$calls .= "BEGIN; ${settings}SELECT $name(" . join(', ', @args) . ") FROM public.probe WHERE n = $probe;\nROLLBACK;\n";
		}
	}
}
for my $setting ('request.headers', 'request.cookies', 'request.jwt.claims', 'response.headers')
{
	for my $what ('taskapi.pre_request()', 'taskapi.current_subject()', "taskapi.request_header('x-api-key')", "taskapi.request_cookie('a')", "taskapi.set_response_header('A', 'b')")
	{
		$calls .= "BEGIN; SELECT set_config('$setting', v, true), set_config('request.method', 'GET', true) FROM public.probe WHERE n = $_; SELECT $what;\nROLLBACK;\n" for 0 .. $#probes;
	}
}
my ($out, $err) = script('postgres', $calls);
cmp_ok(scalar(() = $err =~ /ERROR:/g), '>', 200, 'many of these calls are refused');
like($err, qr/CONTEXT:/, 'some of them with a context');
is(found($err), '', 'without telling the secret') or diag join "\n", grep { found($_) } split /\n/, $err;

# script(USER, TEXT): what psql prints when it runs all of it.
sub script
{
	my ($user, $text) = @_;
	my $file = $node->basedir . '/script_' . $scripts++ . '.sql';
	append_to_file($file, $text);
	return run_command([ 'psql', '-X', '-A', '-t', '-f', $file, '-h', $node->host, '-p', $node->port, '-U', $user, 'postgres' ]);
}

# Everything that can be read, by roles that have no right to secrets, and with which the walk finds them.
$node->safe_psql('postgres', 'DROP TABLE public.probe; ANALYZE; ANALYZE taskapi.secret; CREATE STATISTICS tasks.s (mcv) ON email, password_hash FROM tasks.account; ANALYZE tasks.account');
$node->safe_psql('postgres', 'SELECT pg_stat_statements_reset()');
my $relations = $node->safe_psql(
	'postgres', q{
	SELECT format('SELECT * FROM %I.%I;', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind IN ('r', 'v', 'm', 'p', 'S', 't') AND n.nspname <> 'information_schema' ORDER BY 1});
cmp_ok(scalar(() = $relations =~ /\n/g), '>', 150, 'there are relations to read');
my ($all) = script('postgres', $relations);
is(found($all), 'JWT secret, cursor key, hash of a session, hash of an API key, password hash, stored answer', 'the superuser reads what is stored');
my %claims = (member => qq({"role": "member", "sub": "$bob"}), anon => '{"role": "anon"}');
for my $user (qw(stranger monitor anon member service authenticator))
{
	my $claims = $claims{$user} ? "SET request.jwt.claims = '$claims{$user}';\n" : '';
	my ($read, $refused) = script($user, $claims . $relations);
	is(found($read . $refused), '', "$user reads no secret in any relation");
	like($refused, qr/permission denied for table secret/, 'and is refused the keys');
	my ($plans) = script($user, $claims . join('', map { "EXPLAIN (VERBOSE) $_\n" } grep { /FROM (taskapi|tasks|api)\./ } split /\n/, $relations));
	is(found($plans), '', 'nor a plan');
}

# Every function that they may call, with what could lead to a secret for arguments.
my %pool = (
	text => [ "'cursor'", "'jwt'", "'taskapi.secret'", "'secret'", "'shop'", "'k-1'", "'purpose, key_id'", "'id'", "'POST'", "'x-api-key'", "'$bob'", "'$ann'", "''" ],
	name => [ "'taskapi'", "'secret'", "'api'" ],
	regclass => [ map { "'$_'" } qw(taskapi.secret taskapi.api_key taskapi.session taskapi.idempotency_key tasks.account api.users api.api_keys pg_authid pg_statistic) ],
	anyelement => [ map { "NULL::$_" } qw(taskapi.secret taskapi.api_key taskapi.session taskapi.idempotency_key tasks.account) ],
	'"any"' => [ '1', "'x'::text" ],
	jsonb => [ "'{}'", q('{"purpose": "cursor"}'), "'{\"sub\": \"$ann\"}'", q('{"secret": {"like": "%"}}'), 'NULL' ],
	json => ["'{}'"],
	integer => [ 1, 50, 'NULL' ], bigint => [ 1, 2 ], boolean => [ 'true', 'false' ], interval => ["'1 hour'"], bytea => ["'\\x00'"], uuid => [ "'$ann'", "'$bob'" ],
	regrole => [ "'member'", "'stranger'" ], 'timestamp with time zone' => [ "'2099-01-01'", 'NULL' ], 'text[]' => ["'{read,write}'"], 'name[]' => ["'{id}'"]);
# The superuser finds them in this way.
for my $user (qw(postgres stranger monitor anon member service))
{
	my @functions = map { [ split /\|/, $_, -1 ] } split /\n/, $node->safe_psql(
		'postgres', qq{
		SELECT p.oid::regproc, coalesce((SELECT string_agg(format_type(t.o, NULL), ',' ORDER BY t.n) FROM unnest(p.proargtypes) WITH ORDINALITY t(o, n)), ''), p.pronargdefaults
		FROM pg_proc p
		WHERE p.pronamespace IN ('taskapi'::regnamespace, 'tasks'::regnamespace, 'api'::regnamespace) AND p.prokind = 'f' AND has_function_privilege('$user', p.oid, 'EXECUTE')
			AND p.prorettype NOT IN ('trigger'::regtype, 'internal'::regtype, 'event_trigger'::regtype) AND NOT 'internal'::regtype = ANY (p.proargtypes) AND NOT 'cstring'::regtype = ANY (p.proargtypes)
		ORDER BY 1::text});
	cmp_ok(scalar @functions, '>', 30, "$user may call functions");
	my $walk = "\\set VERBOSITY verbose\n\\set SHOW_CONTEXT always\n" . ($claims{$user} ? "SET request.jwt.claims = '$claims{$user}';\n" : '');
	for my $function (@functions)
	{
		my ($name, $types, $defaults) = @$function;
		my %done;
		for (1 .. $rounds)
		{
			my @types = split /,/, $types;
			pop @types for 1 .. int(rand($defaults + 1));
			my $args = join ', ', map { my $type = $_; my $values = $pool{$type}; $values ? $values->[ rand @$values ] . ($type =~ /^(any|"any)/ ? '' : "::$type") : "NULL::$type" } @types;
			next if $done{$args}++;
			$walk .= "BEGIN; SELECT * FROM $name($args) f;\nROLLBACK;\nBEGIN; EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM $name($args) f;\nROLLBACK;\n";
		}
	}
	# The arguments are drawn at random, but these two leave nothing to luck.
	$walk .= "SELECT * FROM taskapi.page('taskapi.secret');\nSELECT * FROM taskapi.page_rows(NULL::taskapi.secret);\n";
	my ($answers, $refusals) = script($user, $walk);
	cmp_ok(scalar(() = $answers =~ /Execution Time/g), '>', 30, 'which answer');
	my $found = found($answers . $refusals);
	if ($user eq 'postgres') { like($found, qr/cursor key/, 'the walk leads a superuser to secrets'); }
	else { is($found, '', "$user is told no secret by any function") or diag "seed $seed"; }
}

# Dumps. Without the right to read them, tables of secrets end a dump; one that leaves them out has none of them.
sub dumped
{
	my ($user, @options) = @_;
	my ($dump, $refusal) = run_command([ 'pg_dump', '-h', $node->host, '-p', $node->port, '-U', $user, @options, 'postgres' ]);
	return ($dump, $refusal);
}
my ($dump) = dumped('postgres');
is(found($dump), 'JWT secret, cursor key, hash of a session, hash of an API key, password hash, stored answer', 'a dump of the superuser has everything');
for my $user (qw(stranger monitor anon member service app_owner))
{
	for my $options ([], ['-a'], [ '-t', 'taskapi.*' ], [ '-n', 'taskapi' ], [ '-e', 'taskapi' ], [ '--inserts', '-a' ])
	{
		my ($theirs, $refusal) = dumped($user, @$options);
		my $found = found($theirs . $refusal);
		$found =~ s/^password hash$// if $user eq 'app_owner';    # of accounts that are his
		is($found, '', "a dump of $user (@$options) has no secret");
		like($refusal, qr/permission denied|user may lack SELECT privilege/, 'since he is refused') unless $theirs =~ /PostgreSQL database dump complete/;
	}
}
($dump, my $refusal) = dumped('app_owner', '-n', 'tasks', '-n', 'api');
like($dump, qr/COPY tasks.account/, 'the owner of the task API dumps what is his') or diag $refusal;
is(found($dump), 'password hash', 'with the hashes of his accounts and no other secret');
($dump) = dumped('postgres', map { "--exclude-table-data=taskapi.$_" } qw(secret api_key session idempotency_key));
like($dump, qr/COPY taskapi.rate_limit_policy/, 'a dump can leave secrets out');
is(found($dump), 'password hash', 'and then has none but those of the task API');

$node->stop;
done_testing();
