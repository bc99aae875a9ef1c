#!/bin/sh
# bench/secrets_timing.sh: does the time that a refusal takes tell how nearly right a secret was?
#
# In one session, forged credentials of different kinds are tried in turn, in an order that is drawn anew each time, SECRETS_TRIES (1000)
# times; each time is that of 20 refusals. Each kind is compared with the first of its table: medians, and z of Mann and Whitney's test,
# which lies between -2 and 2 in 95 of 100 comparisons where there is no difference. The last kind of each table is one that everybody can tell from
# the others by looking at it, and is refused earlier: that the test sees.
#
# Then the instructions that it takes to refuse a token are counted, by callgrind, which no other program on the machine can disturb.
. "$(dirname "$0")/../scripts/common.sh"
set_up postgresql-contrib valgrind libssl-dev
build
unlock
tries=${SECRETS_TRIES:-1000}
start_server "timing-$$" 'jit = off' 'autovacuum = off' 'log_min_messages = fatal'

psql -q <<'SQL'
CREATE EXTENSION taskapi;
CREATE EXTENSION pgcrypto;
INSERT INTO taskapi.api_key (subject, prefix, secret_hash, scopes)
    SELECT 's' || n, 'tak_filler', sha256(convert_to(n::text, 'UTF8')), '{read}' FROM generate_series(1, 10000) n;
VACUUM ANALYZE taskapi.api_key;
CREATE UNLOGGED TABLE public.candidate (kind text, name text, number int, secret text);
CREATE UNLOGGED TABLE public.time (kind text, name text, us float8);

-- One sample: "repeat" refusals. Headers differ each time, as those of requests do, so nothing is remembered of them; only what
-- is asked about is on the clock.
CREATE FUNCTION public.sample(kind text, secret text, repeat int) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
    before timestamptz;
    total  interval := '0';
BEGIN
    FOR i IN 1 .. repeat LOOP
        IF kind = 'API key' THEN
            PERFORM set_config('request.method', 'GET', true), set_config('request.headers', json_build_object('x-request-id', random(), 'x-api-key', secret)::text, true);
        END IF;
        before := clock_timestamp();
        BEGIN
            IF kind = 'API key' THEN
                PERFORM taskapi.pre_request();
            ELSIF kind = 'JWT' THEN
                PERFORM taskapi.jwt_verify(secret);
            ELSIF kind = 'cursor' THEN
                PERFORM taskapi.cursor_decode(secret);
            ELSE
                PERFORM taskapi.verify_password('a password', secret);
            END IF;
            IF kind <> 'password' THEN
                RAISE 'it was not refused' USING ERRCODE = 'ZZ000';
            END IF;
        EXCEPTION WHEN SQLSTATE 'PGRST' OR SQLSTATE 'PT401' OR SQLSTATE '22P02' THEN NULL;
        END;
        total := total + (clock_timestamp() - before);
    END LOOP;
    PERFORM set_config('request.method', '', true);
    RETURN extract(epoch FROM total) * 1e6 / repeat;
END
$$;
CREATE PROCEDURE public.measure(kind text, tries int, repeat int) LANGUAGE plpgsql AS $$
DECLARE
    c record;
BEGIN
    FOR i IN 1 .. tries LOOP
        FOR c IN SELECT * FROM (SELECT DISTINCT ON (k.name) k.* FROM public.candidate k WHERE k.kind = measure.kind ORDER BY k.name, random()) k ORDER BY random() LOOP
            INSERT INTO public.time VALUES (c.kind, c.name, public.sample(c.kind, c.secret, repeat));
        END LOOP;
        COMMIT;
    END LOOP;
END
$$;
SQL

# The forgeries. A key's check sum is right, since everybody can compute it; several of each kind, so that no accident of one of them counts.
key=$(psql -qAtc "SELECT taskapi.create_api_key('somebody')")
token=$(psql -qAtc "SELECT taskapi.jwt_sign('{\"sub\": \"somebody\"}')")
cursor=$(psql -qAtc "SELECT taskapi.cursor_encode('created_at, id', now(), 1)")
perl - "$key" "$token" "$cursor" <<'PERL' | psql -q -c '\copy public.candidate FROM STDIN'
use strict;
use warnings;
use Digest::SHA qw(sha256);
use MIME::Base64 qw(encode_base64 decode_base64);
my ($key, $token, $cursor) = @ARGV;
my @letter = (0 .. 9, 'A' .. 'Z', 'a' .. 'z');
my @crc = map { my $c = $_; $c = $c & 1 ? 0xEDB88320 ^ ($c >> 1) : $c >> 1 for 1 .. 8; $c } 0 .. 255;
sub with_sum
{
	my ($text) = @_;
	my ($crc, $sum) = (0xFFFFFFFF, '');
	$crc = $crc[ ($crc ^ ord) & 255 ] ^ ($crc >> 8) for split //, $text;
	$crc ^= 0xFFFFFFFF;
	for (1 .. 6) { $sum = $letter[ $crc % 62 ] . $sum; $crc = int($crc / 62); }
	return $text . $sum;
}
my $bare = substr($key, 0, -6);
die "check sums differ" unless with_sum($bare) eq $key;
sub other { my ($c) = @_; my $o; do { $o = $letter[ rand 62 ] } while $o eq $c; return $o; }
sub text { return join '', map { $letter[ rand 62 ] } 1 .. $_[0]; }
sub row { print join("\t", @_), "\n"; }
my $hash = sha256($key);
for my $n (1 .. 20)
{
	row('API key', '1 all of it wrong', $n, with_sum('tak_' . text(8) . '_' . text(32)));
	row('API key', '2 the first random letter wrong', $n, with_sum(substr($bare, 0, 13) . other(substr($bare, 13, 1)) . substr($bare, 14)));
	row('API key', '3 the last random letter wrong', $n, with_sum(substr($bare, 0, -1) . other(substr($bare, -1))));
	my $near;
	do { $near = with_sum('tak_' . text(8) . '_' . text(32)) } until substr(sha256($near), 0, 2) eq substr($hash, 0, 2);
	row('API key', '4 two bytes of its hash right', $n, $near);
	row('API key', '5 the check sum wrong', $n, $bare . join '', map { other($_) } split //, substr($key, -6));
}
sub base64url { return encode_base64($_[0], '') =~ tr{+/=}{-_}dr; }
sub bytes { my $t = $_[0] =~ tr{-_}{+/}r; return decode_base64($t . '=' x (-length($t) % 4)); }
sub changed { my ($bytes, $at) = @_; substr($bytes, $at, 1) = chr(ord(substr($bytes, $at, 1)) ^ (1 + int rand 255)); return $bytes; }
my ($signed, $signature) = $token =~ /(.*)\.(.*)/;
for my $n (1 .. 20)
{
	row('JWT', '1 all of the signature wrong', $n, "$signed." . base64url(pack 'C*', map { int rand 256 } 1 .. 32));
	row('JWT', '2 its first byte wrong', $n, "$signed." . base64url(changed(bytes($signature), 0)));
	row('JWT', '3 its last byte wrong', $n, "$signed." . base64url(changed(bytes($signature), 31)));
	row('JWT', '4 a byte too short', $n, "$signed." . base64url(substr(bytes($signature), 1)));
	my $bytes = bytes($cursor);
	row('cursor', '1 all of the MAC wrong', $n, base64url(substr($bytes, 0, -16) . pack 'C*', map { int rand 256 } 1 .. 16));
	row('cursor', '2 its first byte wrong', $n, base64url(changed($bytes, length($bytes) - 16)));
	row('cursor', '3 its last byte wrong', $n, base64url(changed($bytes, length($bytes) - 1)));
	row('cursor', '4 a version that is none', $n, base64url(chr(255) . substr($bytes, 1)));
}
PERL
psql -q -c "INSERT INTO public.candidate SELECT 'password', '1 no such account', 1, NULL UNION ALL
    SELECT 'password', '2 a wrong password', n, taskapi.hash_password('another one' || n) FROM generate_series(1, 5) n UNION ALL
    SELECT 'password', '3 an account of other cost', n, public.crypt('another one', public.gen_salt('bf', 8)) FROM generate_series(1, 5) n"

for kind in 'API key' JWT cursor; do psql -q -c "CALL public.measure('$kind', 20, 20)" -c "DELETE FROM public.time WHERE kind = '$kind'" -c "CALL public.measure('$kind', $tries, 20)"; done
psql -q -c "CALL public.measure('password', $(((tries + 9) / 10)), 1)"

psql -qAt -F "$(printf '\t')" -c 'SELECT kind, name, us FROM public.time ORDER BY kind, name' | perl -e '
	use strict; use warnings;
	my %us;
	while (<STDIN>) { chomp; my ($kind, $name, $us) = split /\t/; push @{ $us{$kind}{$name} }, $us; }
	sub median { my @s = sort { $a <=> $b } @_; return ($s[$#s / 2] + $s[@s / 2]) / 2; }
	# z of the rank sum, ties at their mean rank
	sub z
	{
		my ($these, $those) = @_;
		my @all = ((map { [ $_, 1 ] } @$these), (map { [ $_, 0 ] } @$those));
		@all = sort { $a->[0] <=> $b->[0] } @all;
		my ($rank_sum, $ties, $i) = (0, 0, 0);
		while ($i < @all)
		{
			my $j = $i;
			$j++ while $j < $#all && $all[ $j + 1 ][0] == $all[$i][0];
			my $n = $j - $i + 1;
			$ties += $n**3 - $n;
			$rank_sum += $_->[1] * ($i + $j + 2) / 2 for @all[ $i .. $j ];
			$i = $j + 1;
		}
		my ($na, $nb, $n) = (scalar @$these, scalar @$those, scalar @all);
		my $u = $rank_sum - $na * ($na + 1) / 2;
		return ($u - $na * $nb / 2) / sqrt($na * $nb / 12 * ($n + 1 - $ties / ($n * ($n - 1))));
	}
	for my $kind (sort keys %us)
	{
		my @names = sort keys %{ $us{$kind} };
		my $first = $us{$kind}{ $names[0] };
		printf "\n| %s | tries | median, us | difference | z |\n| --- | ---: | ---: | ---: | ---: |\n", $kind;
		for my $name (@names)
		{
			my $these = $us{$kind}{$name};
			printf "| %s | %d | %.2f | %s | %s |\n", substr($name, 2), scalar @$these, median(@$these),
				$name eq $names[0] ? "" : sprintf("%+.2f %%", 100 * (median(@$these) / median(@$first) - 1)), $name eq $names[0] ? "" : sprintf("%.1f", z($these, $first));
		}
	}'

gcc -g -O2 -DTASKAPI_FUZZ -I"$("$PG_CONFIG" --includedir-server)" -I"$top/src" -I"$top/test/fuzz" "$top/test/timing/secrets_count.c" "$top/test/fuzz/server.c" "$top/test/fuzz/glue.c" "$top/test/fuzz/tokens.c" \
    "$top/src/auth/jwt_token.c" "$top/src/base/json_fields.c" "$top/src/base/base64url.c" "$top/src/base/hmac.c" "$top/src/cursor/cursor_token.c" "$top/src/cursor/cursor_encoding.c" \
    -L"$("$PG_CONFIG" --pkglibdir)" -lpgcommon -lpgport -lcrypto -lm -o "$scratch/secrets_count"
count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null --collect-atstart=no --toggle-collect=measured "$scratch/secrets_count" "$@" 2>&1 |
        sed -n 's/.*Collected : *//p'
}
printf '\n| instructions to refuse | JWT | cursor |\n| --- | ---: | ---: |\n'
printf '| the first byte of the MAC wrong | %s | %s |\n' "$(count jwt 0 1)" "$(count cursor 0 1)"
printf '| a byte in the middle wrong | %s | %s |\n' "$(count jwt 15 64)" "$(count cursor 8 64)"
printf '| the last byte wrong | %s | %s |\n' "$(count jwt 31 128)" "$(count cursor 15 128)"
printf '| (right, and opened) | %s | %s |\n' "$(count jwt 0 0)" "$(count cursor 0 0)"
