# Over HTTP a write asks for no right that its answer does not need, takes the table's present defaults, changes what policies let it, and is refused by problems.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Layer;
use Test::More;

my $layer = Layer->task_api(
	'rights', q{
	CREATE TABLE public.letters (id uuid PRIMARY KEY DEFAULT taskapi.uuidv7(), recipient text NOT NULL, body text, stamp text DEFAULT 'old');
	ALTER TABLE public.letters ENABLE ROW LEVEL SECURITY;
	CREATE POLICY send ON public.letters FOR INSERT WITH CHECK (true);
	CREATE POLICY read ON public.letters FOR SELECT USING (recipient = 'ann');
	CREATE TABLE public.notes (id int PRIMARY KEY, owner text, read boolean NOT NULL DEFAULT false, share int CONSTRAINT part CHECK (share < 100), short varchar(3));
	ALTER TABLE public.notes ENABLE ROW LEVEL SECURITY;
	CREATE POLICY see ON public.notes FOR SELECT USING (true);
	CREATE POLICY own ON public.notes USING (owner = 'ann');
	INSERT INTO public.notes (id, owner) VALUES (1, 'ann'), (2, 'bob'), (3, 'ann'), (4, 'bob');
	SELECT taskapi.expose('public.letters'), taskapi.expose('public.notes');
	SELECT taskapi.grant_resource('api.letters', 'authenticated', '{create}'), taskapi.grant_resource('api.notes', 'authenticated');
});
my @minimal = (as => 'ann', Prefer => 'return=minimal');
my @wanted = (as => 'ann', Prefer => 'return=representation');

# Dropped into a box that one cannot look into.
is($layer->call('POST', '/letters', @minimal, json => { recipient => 'bob', body => 'hi' })->{status}, 201, 'a role that may only create creates');
my $unsaid = $layer->call('POST', '/letters', as => 'ann', json => { recipient => 'bob', body => 'hi' });
is("$unsaid->{status} '$unsaid->{text}'", "201 ''", 'and is shown nothing');
is($layer->call('POST', '/letters', @wanted, json => { recipient => 'ann', body => 'hi' })->{status}, 403, 'nor what it asks for');
my @key = (@minimal, 'Idempotency-Key' => '"letter"');
is($layer->call('POST', '/letters', @key, json => { recipient => 'bob', body => 'keyed' })->{status}, 201, 'with a key');
is($layer->call('POST', '/letters', @key, json => { recipient => 'bob', body => 'keyed' })->{headers}{'idempotency-replayed'}, 'true', 'and repeats it');
$layer->sql(q{SELECT taskapi.grant_resource('api.letters', 'authenticated')});
# which tells the layer by itself
ok(Layer::eventually(sub { $layer->call('GET', '/letters', as => 'ann')->{status} == 200 }), 'who may read now reads');
$layer->taken_in;
is($layer->call('POST', '/letters', @minimal, json => { recipient => 'bob', body => 'unseen' })->{status}, 201, 'a row that its creator cannot see is made');
$layer->is_problem($layer->call('POST', '/letters', @wanted, json => { recipient => 'bob', body => 'seen' }), 403, 'forbidden', 'but not shown');
is($layer->call('POST', '/letters', @wanted, json => { recipient => 'ann', body => 'mine' })->{json}[0]{stamp}, 'old', 'one that is seen is shown');

# Defaults of now.
$layer->sql(q{ALTER TABLE public.letters ALTER stamp SET DEFAULT 'new'});
is($layer->call('POST', '/letters', @wanted, json => { recipient => 'ann' })->{json}[0]{stamp}, 'new', 'a default counts at once');
is($layer->call('POST', '/letters', @wanted, json => { recipient => 'ann', stamp => undef })->{json}[0]{stamp}, undef, 'null is null');
if ($layer->only('postgrest'))
{
	my $rows = $layer->call('POST', '/letters?columns=recipient,stamp', as => 'ann', Prefer => 'return=representation, missing=default', json => [ { recipient => 'ann' }, { recipient => 'ann', stamp => undef } ])->{json};
	is_deeply([ map { $_->{stamp} } @$rows ], [ 'new', undef ], 'for missing=default, too');
}

# Policies pick the rows.
my $marked = $layer->call('PATCH', '/notes?read=is.false', @wanted, json => { read => \1 });
is_deeply([ map { $_->{id} } sort { $a->{id} <=> $b->{id} } @{ $marked->{json} } ], [ 1, 3 ], 'a PATCH of all changes one\'s own');
$layer->is_problem($layer->call('PATCH', '/notes?read=is.false', @wanted, json => { read => \1 }), 403, 'forbidden', 'and is forbidden if only others\' are left');
is($layer->call('PATCH', '/notes?id=eq.99', @wanted, json => { read => \1 })->{status}, 200, 'what is not there is nothing');
is($layer->call('DELETE', '/notes?id=gt.0', as => 'ann')->{status}, 204, 'a DELETE of all');
is_deeply([ map { $_->{id} } @{ $layer->call('GET', '/notes?order=id', as => 'ann')->{json} } ], [ 2, 4 ], 'leaves others\'');

# Refusals.
my $mine = { id => 9, owner => 'ann' };
$layer->is_problem($layer->call('POST', '/notes', @minimal, json => { %$mine, share => 100 }), 400, 'invalid_value', 'a CHECK');
$layer->is_problem($layer->call('POST', '/notes', @minimal, json => { %$mine, share => 'much' }), 400, 'invalid_value', 'a value that is none of its type');
$layer->is_problem($layer->call('POST', '/notes', @minimal, json => { %$mine, short => 'long' }), 400, 'invalid_value', 'one that is too long');
$layer->is_problem($layer->call('POST', '/notes', @minimal, json => { %$mine, id => 2 }), 409, 'already_exists', 'a key that is taken');

done_testing();
