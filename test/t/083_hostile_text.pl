# Hostile text, in every argument of every function and in every setting of a request, ends as a value, a problem or a named error,
# in databases of every kind of encoding: never in an internal error, nor in a conversion error of the server's.
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256);
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('hostile');
$node->init;
$node->append_conf('postgresql.conf', "statement_timeout = '3min'\ntaskapi.trusted_proxy_hops = 1\nclient_min_messages = error\n");
$node->start;

# Text of the database's own encoding, in bytes: what no other one has, what is cut off, what no letter is.
my %own = (
	UTF8 => [ "\xc5\x81\xf0\x9f\x98\x80", "\xc2\x85\xef\xbf\xbe\xe2\x80\xae\xef\xbb\xbf", "\xcc\x81" x 300 ],
	LATIN1 => [ "\xe9\xff\x80\x85", "\xad" x 300, "\xc5\x81" ],
	SQL_ASCII => [ "\xff\xfe\x80", "\xc3", "\xf0\x9f", "\xed\xa0\x80" ]);
my @text = (
	'', ' ', "\x01", "\x7f", "a\r\nSet-Cookie: b=c", "\r", '\\u0141', '\\u0000', '{"a": "\\u0141"}', '{"a": "\\u0000"}', '{"\\ud800": "\\udc00"}', '[{"a": "\\u0141"}]', '"\\', '%s%n$1',
	"id\x{1} DESC", 'x' x 1025, 'x' x 100000, '(' x 5000, '1e999999', '0190a6c4-0000-7000-8000-00000000abcd', 'public.things');
my @json = ('{}', 'null', '[]', '"x"', '{"per_user": "\\u0001"}', '{"X": "a\\r\\nb"}', '{"X\\r\\n": "a"}', '{"id": "\\u007f"}', '{"' . 'k' x 3000 . '": 1e300}', '[' x 900 . ']' x 900);
# json, unlike jsonb, takes what no text can hold
my @json_only = (@json, '{"a": "\\u0000"}', '{"a": "\\ud800"}', '{"a": "\\u0141\\ud83d\\ude00"}');
my %benign = (
	text => "'id'", name => "'id'", int4 => 1, int8 => 1, int2 => 1, bool => 'true', interval => "'1 minute'", jsonb => q('{"per_user": "a"}'), json => "'{}'", bytea => "'\\xff'",
	uuid => "'0190a6c4-0000-7000-8000-00000000abcd'", timestamptz => "'2030-01-01'", regclass => "'public.things'", regrole => "'postgres'", regtype => "'int4'", inet => "'::1'", oid => 0, char => "'r'",
	_text => "'{read}'", _name => "'{id}'", _uuid => "'{}'", anyelement => 'NULL::public.things', any => "'a'::text", cursor => "taskapi.cursor('id', 5)",
	_rate_limit_verdict => "ARRAY[taskapi.rate_limit('x', 1)]", regnamespace => "'public'", regprocedure => '0', _int2 => "'{1}'", _regclass => "'{}'", int2vector => "'1'", aclitem => "'postgres=r/postgres'", _aclitem => "'{}'",
	_regrole => "'{}'", xid8 => "'1'", float8 => 1, numeric => 1, date => "'2026-01-01'", _bool => "'{}'", _int4 => "'{}'");

sub quote
{
	my $s = shift;
	$s =~ s/'/''/g;
	$s =~ s/\\/\\\\/g;
	return "E'$s'";
}

my $secret = 'a secret that is long enough for HS256 to be happy';
sub base64url { return encode_base64($_[0], '') =~ tr{+/=}{-_}dr; }
sub jwt
{
	my ($payload, $header) = @_;
	my $signed = base64url($header // '{"alg":"HS256","typ":"JWT"}') . '.' . base64url($payload);
	return $signed . '.' . base64url(hmac_sha256($signed, $secret));
}

# Runs statements, each in a transaction of its own; what went wrong in one, by its number, as an SQLSTATE or CRASH.
sub run_all
{
	my ($db, @statements) = @_;
	my $file = $node->basedir . '/hostile.sql';
	open my $fh, '>:raw', $file or die;
	print $fh "\\set VERBOSITY sqlstate\n\\set QUIET on\n\\pset tuples_only on\n\\o /dev/null\n";
	print $fh "\\warn #$_\nBEGIN;\n$statements[$_]\nROLLBACK;\n" for 0 .. $#statements;
	print $fh "\\warn #end\n";
	close $fh;
	local $ENV{PGCLIENTENCODING} = $db;
	my ($out, $err) = run_command([ 'psql', '-X', '-f', $file, $node->connstr(lc $db) ]);
	my ($current, %result) = (-1);
	for (split /\n/, $err)
	{
		if (/#(\d+|end)$/) { $current = $1; }
		elsif (/ERROR:\s+(\w{5})/) { $result{$current} //= $1; }
		elsif (/server closed the connection|FATAL|PANIC|connection to server was lost/) { $result{$current} = 'CRASH'; }
	}
	is($current, 'end', "$db: the server went through all of " . @statements) or diag("at: " . substr($statements[$current] // '', 0, 300));
	return %result;
}

foreach my $db (sort keys %own)
{
	my $name = lc $db;
	$node->safe_psql('postgres', "CREATE DATABASE $name TEMPLATE template0 ENCODING '$db' LC_COLLATE 'C' LC_CTYPE 'C'");
	$node->safe_psql(
		$name, qq{
		CREATE EXTENSION taskapi;
		CREATE TABLE public.things (id int PRIMARY KEY, body text);
		INSERT INTO public.things VALUES (1, 'a');
		SELECT taskapi.expose('public.things', 'public', 'things_api');
		SELECT taskapi.set_secret('jwt', '$secret')});

	# Every argument of every function
	my @functions = map { [ split /\|/, $_, -1 ] } split /\n/, $node->safe_psql(
		$name, q{
		SELECT p.oid::regproc, array_to_string(ARRAY(SELECT t.typname FROM unnest(p.proargtypes) WITH ORDINALITY a(o, n) JOIN pg_type t ON t.oid = a.o ORDER BY n), ' '), p.provariadic <> 0
		FROM pg_proc p
		WHERE p.pronamespace = 'taskapi'::regnamespace AND p.prokind = 'f' AND p.prorettype NOT IN ('trigger'::regtype, 'internal'::regtype, 'event_trigger'::regtype)
			AND NOT 'internal'::regtype = ANY (p.proargtypes) AND NOT 'cstring'::regtype = ANY (p.proargtypes)
			AND has_function_privilege('public', p.oid, 'EXECUTE') AND p.proname NOT IN ('run_as', 'grant_again')	-- whose arguments are statements
		UNION
		SELECT p.oid::regproc, array_to_string(ARRAY(SELECT t.typname FROM unnest(p.proargtypes) WITH ORDINALITY a(o, n) JOIN pg_type t ON t.oid = a.o ORDER BY n), ' '), p.provariadic <> 0
		FROM pg_proc p
		WHERE p.pronamespace = 'taskapi'::regnamespace AND p.proname IN ('rate_limit', 'rate_limit_peek', 'rate_limit_refund', 'rate_limit_reset', 'check_rate_limits', 'enforce_rate_limits', 'rate_limit_status',
			'reset_rate_limits', 'idempotency_begin', 'idempotency_complete', 'idempotency_acquire', 'idempotency_checkpoint', 'idempotency_finish', 'idempotency_release', 'create_api_key', 'create_session',
			'revoke_credentials', 'block_subject', 'unblock_subject', 'canonical_subject', 'jwt_sign', 'set_secret', 'rotate_secret', 'retire_secret', 'charge_login', 'hash_password', 'verify_password')
		ORDER BY 1, 2});
	cmp_ok(scalar @functions, '>', 60, "$db: there are functions to call");
	my (@statements, %unknown);
	foreach my $f (@functions)
	{
		my ($function, $types, $variadic) = @$f;
		my @types = split / /, $types;
		foreach my $i (0 .. $#types)
		{
			my @values =
			    $types[$i] =~ /^(text|name)$/ ? (map { quote($_) } grep { $1 eq 'text' || (length($_) > 0 && length($_) < 60) } @text, @{ $own{$db} })
			  : $types[$i] eq 'cursor' ? (map { quote($_) } @text[ 0 .. 8 ], @{ $own{$db} })
			  : $types[$i] eq 'jsonb' ? (map { quote($_) } @json)
			  : $types[$i] eq 'json' ? (map { quote($_) } @json_only)
			  : $types[$i] eq '_text' ? (map { 'ARRAY[' . quote($_) . ']' } @text[ 0 .. 6 ], @{ $own{$db} })
			  : $types[$i] eq 'any' ? (map { quote($_) . '::text' } @text[ 0 .. 6 ], @{ $own{$db} })
			  : ();
			foreach my $v (@values)
			{
				my @args = map { $benign{$_} // ($unknown{$_} = 'NULL') } @types;
				$args[$i] = $v;
				$args[$_] = $types[$_] =~ /^any/ ? $args[$_] : $types[$_] =~ /^_(.*verdict)/ ? "($args[$_])::taskapi.$1\[]" : $types[$_] eq 'cursor' ? "($args[$_])::taskapi.cursor" : "($args[$_])::\"$types[$_]\"" for 0 .. $#args;
				push @statements, "SELECT * FROM $function(" . join(', ', @args) . ') f;';
			}
		}
	}
	note "no value for arguments of " . join(', ', sort keys %unknown) if %unknown;
	my %result = run_all($db, @statements);
	# 42601 is SQL that an argument broke; a value that is no value of its type fails before a function of ours is called
	my @bad = grep { $result{$_} =~ /^(XX|57014|42601|22P05|22021|CRASH)/ } sort { $a <=> $b } grep { /^\d+$/ } keys %result;
	is(scalar @bad, 0, "$db: no argument of " . @functions . ' functions makes an internal or a conversion error');
	diag("$result{$_} from " . substr($statements[$_], 0, 300)) for @bad[ 0 .. ($#bad > 9 ? 9 : $#bad) ];

	# Every setting of a request
	my @settings = ('request.method', 'request.path', 'request.headers', 'request.cookies', 'request.jwt.claims', 'response.headers');
	my @values = (
		@text, @json_only, @{ $own{$db} }, '{"sub": "\\u0141"}', '{"sub": "\\u0000"}', '{"sub": "a", "b": {"c": ["\\u0141"]}}', '{"sub": 1e1000000}', '{"sub": "' . 'x' x 1025 . '"}',
		'{"__Host-session": "\\u0141", "a": "b"}', '{"x-api-key": "\\u0141", "x-forwarded-for": "\\ud800", "host": "\\u0000", "origin": "\\u0141", "idempotency-key": "\\u0141"}',
		'[{"a": "\\u0141"}]', '[{"a": "b\\r\\nc"}]', '[{"a\\u0000": "b"}]', map { '{"a": "' . $_ . '", "sub": "' . $_ . '", "idempotency-key": "' . $_ . '"}' } @{ $own{$db} });
	my @calls = (
		'taskapi.pre_request()', "taskapi.request_header('a')", "taskapi.request_cookie('a')", 'taskapi.jwt_claims()', 'taskapi.current_subject()', 'taskapi.current_subject_id()', 'taskapi.client_address()',
		'taskapi.same_origin()', "taskapi.set_response_header('b', 'c')", "taskapi.raise_problem('not_found')", "taskapi.idempotency_begin('k')", "taskapi.create_session('a')",
		"taskapi.page('public.things_api')");
	@statements = ();
	foreach my $setting (@settings)
	{
		foreach my $v (@values)
		{
			push @statements, "SET LOCAL request.method = 'POST'; SET LOCAL request.jwt.claims = '{\"sub\": \"a\"}'; SELECT set_config('$setting', " . quote($v) . ", true);\nSELECT * FROM $_ f;" for @calls;
			push @statements, "SET LOCAL request.method = 'POST'; SET LOCAL request.jwt.claims = '{\"sub\": \"a\"}'; SELECT set_config('$setting', " . quote($v) . ", true);\nINSERT INTO public.things_api (id) VALUES (2);";
		}
	}
	%result = run_all($db, @statements);
	@bad = grep { $result{$_} =~ /^(XX|57014|42601|22P05|22021|0A|54|CRASH)/ } sort { $a <=> $b } grep { /^\d+$/ } keys %result;
	is(scalar @bad, 0, "$db: no setting of a request makes one");
	diag("$result{$_} from " . substr($statements[$_], 0, 400)) for @bad[ 0 .. ($#bad > 9 ? 9 : $#bad) ];

	# One bad cookie or header leaves the others alone.
	is( $node->safe_psql(
			$name,
			q{SELECT set_config('request.cookies', '{"bad": "\u0000", "good": "1"}', false), set_config('request.headers', '{"bad": "\ud800", "good": "1"}', false) \g /dev/null
			SELECT coalesce(taskapi.request_cookie('bad'), 'none'), taskapi.request_cookie('good'), coalesce(taskapi.request_header('bad'), 'none'), taskapi.request_header('good')}),
		'none|1|none|1',
		"$db: a cookie that no text holds is absent");

	# Tokens that are signed properly and hold what the database cannot: unauthenticated, or, if it can, good.
	my %token = (
		'a letter' => [ "{\"sub\": \"\xc5\x81\"}", 'UTF8 SQL_ASCII' ],
		'an escaped letter' => [ '{"sub": "\\u0141"}', 'UTF8' ],
		'a letter deep inside' => [ '{"sub": "a", "b": {"c": ["\\u0141"]}}', 'UTF8' ],
		'a pair' => [ '{"sub": "a", "b": "\\ud83d\\ude00"}', 'UTF8' ],
		'half a pair' => [ '{"sub": "a", "b": "\\ud83d"}', '' ],
		'a zero' => [ '{"sub": "a\\u0000"}', '' ],
		'invalid UTF-8' => [ "{\"sub\": \"\xff\"}", '' ],
		'a number out of range' => [ '{"sub": "a", "b": 1e1000000}', '' ],
		'a letter that LATIN1 has' => [ '{"sub": "\\u00e9"}', 'UTF8 LATIN1' ]);
	foreach my $what (sort keys %token)
	{
		my ($payload, $good) = @{ $token{$what} };
		my ($rc, $out, $err) = $node->psql($name, "SELECT taskapi.jwt_verify('" . jwt($payload) . "') IS NOT NULL", extra_params => ['-v', 'VERBOSITY=sqlstate']);
		if ($good =~ /\b$db\b/) { is($out, 't', "$db: a token with $what is good"); }
		else { like($err, qr/ERROR:  PT401/, "$db: a token with $what is unauthenticated"); }
	}
}
unlike(slurp_file($node->logfile), qr/(PANIC|TRAP|terminated by signal)/, 'no process died');
$node->stop;
done_testing();
