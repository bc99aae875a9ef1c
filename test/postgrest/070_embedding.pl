# A resource is embedded as its table was: by foreign keys and through a join table, and the trash is nobody's second table.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use JSON::PP ();
use Layer;
use Test::More;

my $layer = Layer->new('embedding', q{
	CREATE SCHEMA cinema;
	CREATE TABLE cinema.film (id int PRIMARY KEY, title text NOT NULL);
	CREATE TABLE cinema.actor (id int PRIMARY KEY, name text NOT NULL, code text UNIQUE);
	CREATE TABLE cinema.role (film_id int REFERENCES cinema.film ON DELETE CASCADE, actor_id int REFERENCES cinema.actor ON DELETE CASCADE, part text, PRIMARY KEY (film_id, actor_id));
	CREATE TABLE cinema.award (id int PRIMARY KEY, actor_code text REFERENCES cinema.actor (code), name text);
	CREATE SCHEMA api;
	COMMENT ON SCHEMA api IS E'Cinema\n\nFilms, and who plays in them.';
	SELECT taskapi.expose('cinema.film', 'api', 'films'), taskapi.expose('cinema.actor', 'api', 'actors'), taskapi.expose('cinema.role', 'api', 'roles'), taskapi.expose('cinema.award', 'api', 'awards');
	SELECT taskapi.set_api_roles('anonymous', 'authenticated');
	UPDATE taskapi.rate_limit_policy SET rate = 1000000, burst = NULL;
	SELECT taskapi.grant_resource(r, 'authenticated', '{read,create,update,delete,restore,purge}') FROM unnest('{api.films,api.actors,api.roles,api.awards}'::regclass[]) r;
	INSERT INTO api.films VALUES (1, 'A'), (2, 'B'), (3, 'C');
	INSERT INTO api.actors VALUES (1, 'x', 'ex'), (2, 'y', 'why'), (3, 'z', 'zed');
	INSERT INTO api.roles VALUES (1, 1, 'p'), (1, 2, 'q'), (2, 1, 'r'), (3, 3, 's');
	INSERT INTO api.awards VALUES (1, 'ex', 'first');
	DELETE FROM api.actors WHERE id = 3;
});
plan skip_all => 'embedding is of PostgREST' unless $layer->only('postgrest');

sub get
{
	my ($path, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $answer = $layer->call('GET', $path, as => 'u1');
	is($answer->{status}, 200, $name) or diag($answer->{text});
	is_deeply($answer->{json}, JSON::PP->new->decode($expected), "$name: what it shows");
	return;
}
get('/films?select=title,actors(name)&id=lt.3&order=id&actors.order=id', '[{"title":"A","actors":[{"name":"x"}, {"name":"y"}]}, {"title":"B","actors":[{"name":"x"}]}]', 'many to many');
get('/actors?select=name,films(title)&id=eq.1&films.order=id', '[{"name":"x","films":[{"title":"A"}, {"title":"B"}]}]', 'the other way');
get('/films?select=title,actors!inner(name)&actors.name=eq.y', '[{"title":"A","actors":[{"name":"y"}]}]', 'that filters');
get('/films?select=title,actors!roles(name)&id=eq.2', '[{"title":"B","actors":[{"name":"x"}]}]', 'by a hint');
get('/roles?select=part,films(title),actors(name)&film_id=eq.2', '[{"part":"r","films":{"title":"B"},"actors":{"name":"x"}}]', 'many to one');
get('/films?select=title,roles(part)&id=eq.3', '[{"title":"C","roles":[]}]', 'one to many, of live rows');
get('/awards?select=name,actors(name)', '[{"name":"first","actors":{"name":"x"}}]', 'by a foreign key to a unique column');
get('/deleted_actors?select=name,code', '[{"name":"z","code":"zed"}]', 'the trash is read as before');
get('/deleted_roles?film_id=eq.3&select=part,actor_id', '[{"part":"s","actor_id":3}]', 'and found by its key');
is($layer->call('PATCH', '/deleted_actors?id=eq.3', as => 'u1', json => { deleted_at => undef })->{status}, 204, 'a row is restored by its key');
get('/films?select=actors(name)&id=eq.3', '[{"actors":[{"name":"z"}]}]', 'and is embedded again');
is($layer->call('DELETE', '/awards?id=eq.1', as => 'u1')->{status}, 204, 'a child goes');
get('/deleted_awards?select=name,actors(name)', '[{"name":"first","actors":{"name":"x"}}]', 'a deleted row is shown with its live parent');
get('/actors?select=name,deleted_awards(name)&id=eq.1', '[{"name":"x","deleted_awards":[{"name":"first"}]}]', 'and a live parent with what is deleted of it');
is($layer->call('DELETE', '/deleted_awards?id=eq.1', as => 'u1')->{status}, 204, 'a row is purged by its key');

# What the description says: foreign keys lead to live resources, and the schema's comment is its title.
my $described = $layer->call('GET', '/', as => 'u1');
unlike($described->{text}, qr/<fk table='deleted_/, 'no foreign key leads to the trash');
like($described->{text}, qr/<fk table='films' column='id'/, 'but to the resource');
is($described->{json}{info}{title}, 'Cinema', 'the title is the first line of the comment on the schema');
like($described->{json}{info}{description}, qr/who plays in them/, 'and the description the rest');
ok($described->{json}{paths}{$_}, "$_ is described") foreach qw(/rpc/films_page /rpc/deleted_films_page);

# Pages with the trash, of the trash, and with a total.
is($layer->call('GET', '/rpc/films_page?page_size=2&count=exact&fields=%7Bid,title%7D', as => 'u1')->{json}{total_size}, 3, 'a total beside a page');
is_deeply($layer->call('GET', '/rpc/films_page?page_size=2&fields=%7Bid%7D&page_token=last', as => 'u1')->{json}{items}, [ { id => 2 }, { id => 3 } ], 'the last page, of some columns');
$layer->call('DELETE', '/films?id=eq.2', as => 'u1');
is_deeply([ map { $_->{id} } @{ $layer->call('GET', '/rpc/films_page?show_deleted=true', as => 'u1')->{json}{items} } ], [ 1, 2, 3 ], 'live and deleted rows in one order');
is_deeply([ map { $_->{id} } @{ $layer->call('GET', '/rpc/deleted_films_page', as => 'u1')->{json}{items} } ], [2], 'the deleted ones');
$layer->is_problem($layer->call('GET', '/rpc/films_page?fields=%7Bsecret%7D', as => 'u1'), 400, 'invalid_value', 'a column that is not there');
$layer->is_problem($layer->call('GET', '/rpc/films_page?count=all', as => 'u1'), 400, 'invalid_value', 'a way to count that there is not');

done_testing();
