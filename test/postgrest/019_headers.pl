# What headers tell can be read from another origin, on refusals too; the same row has the same bytes at any time; and Link never outgrows a proxy.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Layer;
use Test::More;

my @origin = (Origin => 'https://app.example.com');
my $layer = Layer->task_api('headers', '', $ENV{LAYER}, CORS_ORIGINS => 'https://app.example.com');
my $p = $layer->one($layer->call('POST', '/projects', as => 'ann', Prefer => 'return=representation', json => { name => 'Garden' }))->{id};
$layer->call('POST', '/tasks', as => 'ann', json => [ map { { project_id => $p, title => "task $_" } } 1 .. 9 ]);
my @keyed = ('POST', '/tasks', as => 'ann', Prefer => 'return=representation', 'Idempotency-Key' => '"same"', json => { project_id => $p, title => 'keyed' });
my $first = $layer->call(@keyed);
my $t = $layer->row('tasks', id => $layer->one($first)->{id});
my $page = "/rpc/tasks_page?page_size=3&order_by=title";

# Another origin.
sub reads
{
	my ($name, $status, @call) = @_;
	my $answer = $layer->call(@call, @origin);
	my $seen = ref $answer->{headers}{'access-control-expose-headers'} ? join ', ', @{ $answer->{headers}{'access-control-expose-headers'} } : $answer->{headers}{'access-control-expose-headers'} // '';
	is("$answer->{status} " . join(' ', grep { $seen !~ /\b\Q$_\E\b/ } qw(ETag Link Retry-After RateLimit RateLimit-Policy Idempotency-Replayed WWW-Authenticate Location Content-Range)), "$status ", "$name: its headers can be read");
	return $answer;
}
reads('a row', 200, 'GET', $t, as => 'ann');
reads('a page', 200, 'GET', $page, as => 'ann');
reads('a value that is refused', 400, 'PATCH', $t, as => 'ann', json => { title => '' });
my $stale = reads('a stale version', 412, 'PATCH', $t, as => 'ann', 'If-Match' => '"7"', json => { title => 'x' });
like($stale->{headers}{ratelimit}, qr/per_user/, 'which tells of the limits as well');
is($stale->{headers}{etag}, '"1"', 'and of the version that there is');
reads('a key that is none', 401, 'GET', $t, 'X-API-Key' => 'tak_x');
$layer->sql(q{UPDATE taskapi.rate_limit_policy SET rate = 1, burst = 1, per = '1 hour' WHERE name = 'per_user'});
$layer->call('GET', $t, as => 'dee');
my $denied = reads('a limit', 429, 'GET', $t, as => 'dee');
cmp_ok($denied->{headers}{'retry-after'}, '>', 0, 'which says when to come again');
$layer->sql(q{UPDATE taskapi.rate_limit_policy SET rate = 1000000, burst = NULL, per = '1 minute' WHERE name = 'per_user'});

# The same bytes: what a proxy's hash, or a client's, makes an entity tag of.
my @before = map { $layer->call('GET', $_, as => 'ann')->{text} } ($t, '/tasks?order=created_at.desc,id.desc', $page);
select undef, undef, undef, 1.1;
is_deeply([ map { $layer->call('GET', $_, as => 'ann')->{text} } ($t, '/tasks?order=created_at.desc,id.desc', $page) ], \@before, 'a second later, rows, cursors and tokens have the same bytes');
my $again = $layer->call(@keyed);
is("$again->{headers}{'idempotency-replayed'} $again->{text}", "true $first->{text}", 'and so has a repeated answer');

# Link.
my $answer = $layer->call('GET', $page, as => 'ann');
like($answer->{headers}{link}, qr/^<\?[^>]*page_token=\Q$answer->{json}{next_page_token}\E[^>]*>; rel="next"$/, 'it is a query, which any prefix of a proxy leaves alone');
$answer = $layer->call('GET', "$page&filter=%7B%22title%22:%7B%22neq%22:%22" . ('x' x 3000) . '%22%7D%7D', as => 'ann');
is("$answer->{status} " . ($answer->{headers}{link} // 'none'), '200 none', 'a long filter leaves it out');
ok($answer->{json}{next_page_token}, 'and the token is in the body');
is($layer->call('GET', '/tasks?limit=2&title=neq.' . ('x' x 3000), as => 'ann')->{headers}{link}, undef, 'nor has a list such a one');
is(length $_ < 8000 ? 'small' : 'large', 'small', 'the head of an answer fits a proxy') foreach join '', %{ $answer->{headers} };

done_testing();
