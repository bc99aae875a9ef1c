# Authentication on a hot standby, revocation that reaches warm caches everywhere, and credentials that outlive a dump.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->start;
$primary->safe_psql('postgres', q{
	CREATE EXTENSION taskapi;
	CREATE ROLE anon;
	CREATE ROLE member;
	CREATE ROLE authenticator LOGIN NOINHERIT;
	GRANT anon, member TO authenticator;
	SELECT taskapi.set_api_roles('anon', 'member');
	UPDATE taskapi.rate_limit_policy SET rate = 77 WHERE name = 'per_user';
	INSERT INTO taskapi.rate_limit_policy (name, rate) VALUES ('own', 1);
	SELECT taskapi.set_secret('jwt', repeat('s', 32));
	-- one request as a layer makes it
	CREATE FUNCTION call(headers text, cookies text DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		message text;
	BEGIN
		PERFORM set_config('role', 'anon', true), set_config('request.method', 'GET', true), set_config('request.headers', headers, true),
				set_config('request.cookies', cookies, true), set_config('request.jwt.claims', '{"role": "anon"}', true);
		PERFORM taskapi.pre_request();
		RETURN current_user || ' as ' || coalesce(taskapi.current_subject(), 'nobody');
	EXCEPTION WHEN SQLSTATE 'PGRST' THEN
		GET STACKED DIAGNOSTICS message = MESSAGE_TEXT;
		RETURN message::json ->> 'code';
	END $$;
});
my $key = $primary->safe_psql('postgres', q{SELECT taskapi.create_api_key('u1')});
my $kept_key = $primary->safe_psql('postgres', q{SELECT taskapi.create_api_key('u2', 'kept', '{read}')});
my $session = $primary->safe_psql('postgres', q{SELECT taskapi.create_session('u3')});
my $kept_session = $primary->safe_psql('postgres', q{SELECT taskapi.create_session('u4')});
my $token = $primary->safe_psql('postgres', q{SELECT taskapi.jwt_sign('{"sub": "u5"}')});

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', 'SELECT pg_is_in_recovery()'), 't', 'the standby is one');

sub by_key { my ($k) = @_; return qq{SELECT call('{"x-api-key": "$k"}')}; }
sub by_cookie { my ($s) = @_; return qq{SELECT call('{}', '{"__Host-session": "$s"}')}; }
my @servers = ([ 'primary', $primary ], [ 'standby', $standby ]);

# Sessions that stay open, so that their caches are warm.
my %open;
for my $server (@servers)
{
	my ($name, $node) = @$server;
	my $psql = $open{$name} = $node->background_psql('postgres', extra_params => [ '-U', 'postgres' ]);
	$psql->query_safe('SET SESSION AUTHORIZATION authenticator');
	is($psql->query(by_key($key)), 'member as u1', "$name: an API key");
	is($psql->query(by_key($key)), 'member as u1', "$name: an API key, from the cache");
	is($psql->query(by_cookie($session)), 'member as u3', "$name: a session");
	is($psql->query(by_key('tak_x')), 'unauthenticated', "$name: no API key");
	is($psql->query(q{SELECT call('{}')}), 'anon as nobody', "$name: an anonymous caller");
	is($psql->query(qq{SELECT taskapi.jwt_verify('$token') ->> 'sub'}), 'u5', "$name: a JWT");
	is($psql->query(q{SELECT taskapi.current_subject() IS NULL AND current_user = 'authenticator'}), 't', "$name: nothing is left after the transaction");
}

# A transaction that began before the revocation, and sees its old snapshot of everything else.
$open{primary}->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
is($open{primary}->query(by_key($key)), 'member as u1', 'the key is good yet');
is($open{primary}->query('SELECT pg_current_xact_id_if_assigned() IS NULL'), 't', 'and its use was no write');
$primary->safe_psql('postgres', q{UPDATE taskapi.api_key SET revoked_at = now() WHERE subject = 'u1'});
is($open{primary}->query(by_key($key)), 'unauthenticated', 'revoked under a running transaction');
$open{primary}->query_safe('COMMIT');
$primary->safe_psql('postgres', q{UPDATE taskapi.session SET revoked_at = now() WHERE subject = 'u3'});
$primary->safe_psql('postgres', q{SELECT taskapi.retire_secret('jwt', key_id) FROM (SELECT taskapi.rotate_secret('jwt') - 1 AS key_id) r});
$primary->wait_for_catchup($standby);
for my $server (@servers)
{
	my ($name) = @$server;
	is($open{$name}->query(by_key($key)), 'unauthenticated', "$name: the API key is revoked");
	is($open{$name}->query(by_cookie($session)), 'unauthenticated', "$name: the session is revoked");
	is($open{$name}->query(by_key($kept_key)), 'member as u2', "$name: another key is not");
	my ($rc, $out, $err) = $server->[1]->psql('postgres', qq{SELECT taskapi.jwt_verify('$token')});
	like($err, qr/authentication failed/, "$name: the JWT's key is retired");
	$open{$name}->quit;
}

# A log-in may be the first thing that a session does, before the library is loaded.
is($primary->safe_psql('postgres', q{SELECT taskapi.charge_login('somebody@example.org')}), '', 'an attempt to log in, first of all');

# The use of a key is known though nothing was written, and written down when asked.
is($primary->safe_psql('postgres', q{SELECT last_used_at IS NULL AND taskapi.api_key_last_used(id) IS NOT NULL FROM taskapi.api_key WHERE subject = 'u2'}), 't', 'used, in memory');
is($primary->safe_psql('postgres', q{SELECT taskapi.flush_api_key_usage()}), 2, 'both keys are written down');
is($primary->safe_psql('postgres', q{SELECT last_used_at IS NOT NULL FROM taskapi.api_key WHERE subject = 'u2'}), 't', 'used, in the table');
isnt($standby->psql('postgres', q{SELECT taskapi.flush_api_key_usage()}), 0, 'a standby cannot write it down');
$primary->restart;
is($primary->safe_psql('postgres', q{SELECT count(*) FROM taskapi.api_key_usage()}), 0, 'a restart forgets what is in memory');

# Dump and restore: the credentials work in the new database, and the policies are those of the old one.
my $dump = $primary->backup_dir . '/auth.dump';
$primary->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $primary->connstr('postgres') ], 'dump');
$primary->safe_psql('postgres', 'CREATE DATABASE restored');
$primary->command_ok([ 'pg_restore', '--exit-on-error', '-d', $primary->connstr('restored'), $dump ], 'restore');
for my $query (
	by_key($kept_key), by_key($key), by_cookie($kept_session), by_cookie($session),
	q{SELECT name, rate, description FROM taskapi.rate_limit_policy ORDER BY name},
	q{SELECT name, role FROM taskapi.api_role ORDER BY name},
	q{SELECT has_function_privilege('member', 'taskapi.my_api_keys()', 'EXECUTE'), has_function_privilege('anon', 'taskapi.my_api_keys()', 'EXECUTE')})
{
	my $before = $primary->safe_psql('postgres', $query);
	isnt($before, '', "there is an answer");
	is($primary->safe_psql('restored', $query), $before, "the same in the restored database: $query");
}
is($primary->safe_psql('restored', by_key($kept_key)), 'member as u2', 'the key still speaks for its subject');

$standby->stop;
$primary->stop;
done_testing();
