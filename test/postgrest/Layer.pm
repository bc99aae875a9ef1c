# A server with the task API and a layer in front of it: PostgREST, or with LAYER=gateway the gateway of examples/gateway.
package Layer;

use strict;
use warnings;
use JSON::PP;
use File::Basename 'dirname';
use IO::Socket::INET;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

# What was started here ends with the test, however that ends; a pid that was waited for may be another's by now.
my @started;
my $owner = $$;
END { if ($$ == $owner) { local $?; foreach (@started) { next if waitpid $_, POSIX::WNOHANG(); kill 'KILL', $_; waitpid $_, 0 } } }

# eventually(CODE): what it gives, as soon as that is true, or what it gave after three minutes.
sub eventually
{
	my ($code) = @_;
	my $until = time + 180;
	my $got;
	Time::HiRes::sleep(0.1) until ($got = $code->()) || time > $until;
	return $got;
}

my $secret = 'a secret that the layer and the database share';
my $json = JSON::PP->new->utf8->canonical->allow_nonref;

# The kinds of layers that can be started here: the gateway needs node and node-pg, PostgREST a program on PATH.
sub kinds
{
	my ($postgrest) = postgrest();
	return ('gateway', $postgrest ? 'postgrest' : ());
}

sub postgrest { return grep { -x } map { "$_/postgrest" } split /:/, $ENV{PATH} }

# new(NAME, SQL, KIND, ENV => VALUE, ...): SQL runs when the roles are there: anonymous, authenticated, authenticator. KIND is that of
# the variable LAYER, or else PostgREST. The rest are settings of the gateway.
sub new
{
	my ($class, $name, $sql, $kind, %settings) = @_;
	$kind //= $ENV{LAYER} // 'postgrest';
	plan skip_all => 'there is no program "postgrest" on PATH' if $kind eq 'postgrest' && !postgrest();

	# The tests speak as a proxy in front; the gateway is one itself.
	my $hops = $kind eq 'gateway' ? 2 : 1;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'\ntaskapi.trusted_proxy_hops = $hops\nlog_statement = none\ntaskapi.idempotency_wait = 2min\n");
	$node->start;
	$node->safe_psql('postgres', qq{
		CREATE ROLE anonymous;
		CREATE ROLE authenticated;
		CREATE ROLE authenticator LOGIN NOINHERIT;
		GRANT anonymous, authenticated TO authenticator;
		CREATE EXTENSION pgcrypto;
		CREATE EXTENSION taskapi;
		SELECT taskapi.set_secret('jwt', '$secret');
		$sql});

	my $self = bless {
		node => $node, kind => $kind,
		log => "$PostgreSQL::Test::Utils::log_path/${name}_$kind.log",
		http => Layer::Client->of($kind, agent => 'taskapi test')
	}, $class;
	$kind eq 'gateway' ? $self->start_gateway(%settings) : $self->start_postgrest;
	return $self;
}

# beside(NODE, KIND, NAME, ENV => VALUE, ...): a layer in front of a server that is there already.
sub beside
{
	my ($class, $node, $kind, $name, %settings) = @_;
	my $self = bless { node => $node, kind => $kind, log => "$PostgreSQL::Test::Utils::log_path/$name.log", http => Layer::Client->of($kind) }, $class;
	$kind eq 'gateway' ? $self->start_gateway(%settings) : $self->start_postgrest(%settings);
	return $self;
}

# spawn(LOG, COMMAND...): runs it, with its output in that file, until the test ends; gives its pid.
sub spawn
{
	my ($log, @command) = @_;
	my $pid = fork // die "fork: $!";
	if (!$pid)
	{
		open STDIN, '<', '/dev/null';
		open STDOUT, '>>', $log;
		open STDERR, '>&', \*STDOUT;
		exec @command or POSIX::_exit(1);
	}
	push @started, $pid;
	return $pid;
}

# ready(URL): waits for it.
sub ready
{
	my ($self, $url) = @_;
	return if eventually(sub { waitpid($self->{pid}, POSIX::WNOHANG()) || $self->{http}->get($url)->{status} == 200 }) && kill 0, $self->{pid};
	die "the $self->{kind} did not become ready:\n" . slurp_file($self->{log});
}

# listens(PORT): waits until something does.
sub listens
{
	my ($port) = @_;
	return if eventually(sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) });
	die "nothing listens at port $port";
}

# stop(): as an orchestrator stops it.
sub stop
{
	my ($self) = @_;
	my $pid = delete $self->{pid} // return;
	kill 'TERM', $pid;
	eventually(sub { waitpid $pid, POSIX::WNOHANG() }) or die "the $self->{kind} does not end";
	return;
}

sub start_postgrest
{
	my ($self, %settings) = @_;
	$self->stop;
	my ($postgrest) = postgrest();
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $admin = PostgreSQL::Test::Cluster::get_free_port();
	my $folder = PostgreSQL::Test::Utils::tempdir;
	my ($dbhost, $dbport) = ($self->{node}->host, $self->{node}->port);
	append_to_file("$folder/postgrest.conf", <<"END");
db-uri = "postgres://authenticator\@/postgres?host=$dbhost&port=$dbport"
db-schemas = "api"
db-anon-role = "anonymous"
db-pre-request = "taskapi.pre_request"
db-pool = 8
db-pool-acquisition-timeout = 120
jwt-secret = "$secret"
server-host = "127.0.0.1"
server-port = $port
admin-server-host = "127.0.0.1"
admin-server-port = $admin
log-level = "error"
END
	append_to_file("$folder/postgrest.conf", "$_ = $settings{$_}\n") foreach sort keys %settings;
	$self->{pid} = spawn($self->{log}, $postgrest, "$folder/postgrest.conf");
	$self->{base} = "http://127.0.0.1:$port";
	$self->ready("http://127.0.0.1:$admin/ready");
	# which says nothing of the connection on which it listens
	eventually(sub { $self->sql(q{SELECT count(*) FROM pg_stat_activity WHERE usename = 'authenticator' AND query ~ '^LISTEN'}) }) || die 'PostgREST does not listen'
	  unless ($settings{'db-channel-enabled'} // '') eq 'false';
	return;
}

sub start_gateway
{
	my ($self, %settings) = @_;
	$self->stop;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $program = dirname(__FILE__) . '/../../examples/gateway/gateway.js';
	plan skip_all => 'there is no program "node" on PATH' unless grep { -x "$_/node" } split /:/, $ENV{PATH};
	local %ENV = (
		%ENV,
		PGHOST => $self->{node}->host, PGPORT => $self->{node}->port, PGUSER => 'authenticator', PGDATABASE => 'postgres',
		PORT => $port, WORKERS => 1, DB_POOL => 8, DB_POOL_TIMEOUT_MS => 120000, ANON_ROLE => 'anonymous', API_ROLE => 'authenticated', %settings);
	$self->{pid} = spawn($self->{log}, 'node', $program);
	$self->{base} = "http://127.0.0.1:$port";
	$self->ready("$self->{base}/readyz");
	return;
}

# task_api(NAME, SQL, KIND, ...): a layer before the task API, with accounts ann, bob, cid and dee, whose ids are in $layer->{id}.
sub task_api
{
	my ($class, $name, $sql, @layer) = @_;
	my $self = $class->new($name, q{
		SELECT taskapi.create_task_api(anonymous => 'anonymous', authenticated => 'authenticated');
		UPDATE taskapi.rate_limit_policy SET rate = 1000000, burst = NULL;
		SELECT tasks.create_account(name || '@example.org', name || '''s password', initcap(name)) FROM unnest('{ann,bob,cid,dee}'::text[]) name;
	} . ($sql // ''), @layer);
	$self->{id} = { split /[|\n]/, $self->sql('SELECT lower(display_name), id FROM tasks.account') };
	return $self;
}

# only(KIND): whether the layer is of that kind; marks what the other one does not answer.
sub only
{
	my ($self, $kind) = @_;
	return $self->{kind} eq $kind;
}

# sql(SQL): what it gives. It is one transaction: a layer reads the schema at each notification, and must not meet half of a change.
sub sql
{
	my ($self, $sql) = @_;
	return $self->{node}->safe_psql('postgres', $sql, extra_params => ['--single-transaction']);
}

# change(SQL): sql(), and then the layer knows of it.
sub change
{
	my ($self, $sql) = @_;
	my $got = $self->sql($sql);
	$self->taken_in;
	return $got;
}

# taken_in(): from then on the layer answers by what it has read of the schema and of the roles' settings after this was called. A reading
# takes several steps, and one that has begun before may see what comes at its end. The next one begins after it; so there are two marks, one
# after the other, each of which the layer shows when it has read it: a function, and a setting.
sub taken_in
{
	my ($self) = @_;
	for (1, 2)
	{
		my $mark = ++$self->{marks};
		my $seed = $mark / 1000;
		my $notify = q{NOTIFY pgrst, 'reload config'; NOTIFY pgrst, 'reload schema'};
		$self->sql(qq{
			DROP FUNCTION IF EXISTS api.mark_${\($mark - 1)};
			CREATE FUNCTION api.mark_$mark() RETURNS text LANGUAGE sql STABLE RETURN current_setting('geqo_seed');
			GRANT EXECUTE ON FUNCTION api.mark_$mark TO anonymous;
			ALTER ROLE anonymous SET geqo_seed = $seed;
			$notify});
		my ($tries, $answer) = 0;
		# a connection on which the layer listens may have been ended, and another not be there yet
		eventually(sub { $self->sql($notify) if ++$tries % 20 == 0; $answer = $self->call('GET', "/rpc/mark_$mark"); $answer->{text} eq qq{"$seed"} })
		  or die "the $self->{kind} did not take in a change: $answer->{status} $answer->{text}";
	}
	return;
}

# set(SETTING): ALTER ROLE authenticator with it, for new connections, which all will be.
sub set
{
	my ($self, $setting) = @_;
	$self->sql("ALTER ROLE authenticator $setting");
	my $since = $self->sql('SELECT clock_timestamp()');
	while ($self->sql(qq{SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE usename = 'authenticator' AND backend_start < '$since'}))
	{
		# the layer notices, and connects again
		$self->taken_in;
	}
	return;
}

# token(SUBJECT, CLAIMS): a bearer token for it; one of the accounts goes by its name.
sub token
{
	my ($self, $subject, %claims) = @_;
	return $self->{token}{$subject} if $self->{token}{$subject} && !%claims;
	my $text = $json->encode({ role => 'authenticated', sub => $self->{id}{$subject} // $subject, exp => time + 3600, %claims });
	my $token = $self->sql("SELECT taskapi.jwt_sign('$text')");
	$self->{token}{$subject} = $token unless %claims;
	return $token;
}

# call(METHOD, PATH, ...): as => SUBJECT sends a token, json => DATA a body, and whatever begins with a capital letter is a
# header. Gives status, headers (lower-case names), text, and json, the body decoded where it is JSON.
sub call
{
	my ($self, $method, $path, %with) = @_;
	my %headers = map { $_ => $with{$_} } grep { /^[A-Z]/ } keys %with;
	$headers{Authorization} = 'Bearer ' . $self->token($with{as}) if $with{as};
	my %options = (headers => \%headers);
	if (exists $with{json})
	{
		$headers{'Content-Type'} //= 'application/json';
		$options{content} = ref $with{json} ? $json->encode($with{json}) : $with{json};
	}
	my $answer = $self->{http}->request($method, $self->{base} . $path, \%options);
	die $answer->{content} if $answer->{status} == 599;
	my $type = $answer->{headers}{'content-type'} // '';
	return {
		status => $answer->{status},
		headers => $answer->{headers},
		text => $answer->{content},
		json => $type =~ /json/ && length $answer->{content} ? $json->decode($answer->{content}) : undef,
	};
}

# row(RESOURCE, COLUMN => VALUE, ...): the path of one row by its key, in the key's order.
sub row
{
	my ($self, $resource, @key) = @_;
	my @pairs = map { [ @key[ 2 * $_, 2 * $_ + 1 ] ] } 0 .. $#key / 2;
	return "/$resource/" . join ',', map { $_->[1] } @pairs if $self->{kind} eq 'gateway';
	return "/$resource?" . join '&', map { "$_->[0]=eq.$_->[1]" } @pairs;
}

# one(ANSWER): the one row of an answer, which the gateway gives as an object to who asks for a row.
sub one
{
	my ($self, $answer) = @_;
	return ref $answer->{json} eq 'ARRAY' ? $answer->{json}[0] : $answer->{json};
}

# joins(OWNER, PROJECT, NAME => ROLE, ...): accounts become members of a project, by invitation.
sub joins
{
	my ($self, $owner, $project, %roles) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	foreach my $who (sort keys %roles)
	{
		my $invitation = $self->created(
			$self->call('POST', '/invitations', as => $owner, Prefer => 'return=representation',
				json => { project_id => $project, account_id => $self->{id}{$who}, role => $roles{$who} }),
			"$owner invites $who");
		my $answer = $self->call('POST', '/rpc/accept_invitation', as => $who, json => { invitation_id => $invitation->{id} });
		is("$answer->{status} " . ($answer->{json}[0]{role} // $answer->{text}), "200 $roles{$who}", "$who is a member");
	}
	return;
}

# is_problem(ANSWER, STATUS, CODE, NAME): the answer is that problem, with all four members of the body.
sub is_problem
{
	my ($self, $answer, $status, $code, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $body = ref $answer->{json} eq 'HASH' ? $answer->{json} : {};
	is("$answer->{status} " . ($body->{code} // "without a problem: $answer->{text}"), "$status $code", $name);
	return;
}

# created(ANSWER, NAME): the one row of an answer to a POST.
sub created
{
	my ($self, $answer, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($answer->{status}, 201, $name) or diag($answer->{text});
	return ref $answer->{json} eq 'ARRAY' ? $answer->{json}[0] : {};
}

# A client that sends nothing on a connection that has been idle for a while: the server may be about to close it.
package Layer::Client;

use parent 'HTTP::Tiny';

sub new { my ($class, %options) = @_; return $class->SUPER::new(timeout => 180, %options) }

# of(KIND, OPTION => VALUE, ...): one for that layer. PostgREST has reset a connection that it kept, which a client may not take for an answer.
sub of { my ($class, $kind, %options) = @_; return $class->new(max_redirect => 0, keep_alive => $kind eq 'gateway' ? 1 : 0, %options) }

sub request
{
	my ($self, @request) = @_;
	delete $self->{handle} if Time::HiRes::time - ($self->{last_request} // 0) > 0.2;
	my $answer = $self->SUPER::request(@request);
	$self->{last_request} = Time::HiRes::time;
	return $answer;
}

1;
