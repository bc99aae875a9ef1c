# Debian's Chromium, driven by WebDriver over HTTP.
package Browser;

use strict;
use warnings;
use JSON::PP;
use MIME::Base64 'decode_base64';
use Layer;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep time);

my $json = JSON::PP->new->utf8->allow_nonref->convert_blessed;
my $element = 'element-6066-11e4-a52e-4f735466cecf';

# new(WIDTH, HEIGHT): a browser with a profile of its own, whose window is of that size. It ends with the test.
sub new
{
	my ($class, $width, $height) = @_;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $log = "$PostgreSQL::Test::Utils::log_path/chromedriver_$port.log";
	local $ENV{HOME} = PostgreSQL::Test::Utils::tempdir;
	Layer::spawn($log, 'chromedriver', "--port=$port");
	my $self = bless { base => "http://127.0.0.1:$port", http => Layer::Client->new, log => $log }, $class;
	Layer::eventually(sub { $self->{http}->get("$self->{base}/status")->{success} });
	my @arguments = ('--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking', '--no-first-run', "--user-data-dir=$ENV{HOME}/profile", "--window-size=$width,$height");
	my $session = $self->send('POST', '/session', { capabilities => { alwaysMatch => { 'goog:chromeOptions' => { args => \@arguments }, 'goog:loggingPrefs' => { browser => 'ALL' } } } });
	$self->{base} .= "/session/$session->{sessionId}";
	return $self;
}

sub send
{
	my ($self, $method, $path, $data) = @_;
	my $answer = $self->{http}->request($method, $self->{base} . $path, { headers => { 'Content-Type' => 'application/json' }, $method eq 'POST' ? (content => $json->encode($data // {})) : () });
	my $value = $answer->{status} == 599 ? undef : $json->decode($answer->{content})->{value};
	die "$method $path: " . ($value->{message} // $answer->{content}) . "\n" unless $answer->{success};
	return $value;
}

sub go { my ($self, $url) = @_; return $self->send('POST', '/url', { url => $url }) }
sub js { my ($self, $script, @arguments) = @_; return $self->send('POST', '/execute/sync', { script => $script, args => \@arguments }) }
sub find { my ($self, $css) = @_; return $self->send('POST', '/element', { using => 'css selector', value => $css })->{$element} }
sub click { my ($self, $css) = @_; return $self->send('POST', '/element/' . $self->find($css) . '/click') }
sub type { my ($self, $css, $text) = @_; return $self->send('POST', '/element/' . $self->find($css) . '/value', { text => $text }) }
sub cookies { my ($self) = @_; return @{ $self->send('GET', '/cookie') } }
sub cdp { my ($self, $command, $parameters) = @_; return $self->send('POST', '/goog/cdp/execute', { cmd => $command, params => $parameters // {} }) }

# keys(KEYS...): pressed wherever the focus is; [KEY, KEY] together.
my %key = (Up => "\x{e013}", Down => "\x{e015}", Left => "\x{e012}", Right => "\x{e014}", Enter => "\x{e007}", Escape => "\x{e00c}", Delete => "\x{e017}", Shift => "\x{e008}", Tab => "\x{e004}");

sub keys
{
	my ($self, @keys) = @_;
	my @actions;
	foreach my $together (map { ref ? $_ : [$_] } @keys)
	{
		my @codes = map { $key{$_} // $_ } @$together;
		push @actions, (map { { type => 'keyDown', value => $_ } } @codes), (map { { type => 'keyUp', value => $_ } } reverse @codes);
	}
	return $self->send('POST', '/actions', { actions => [ { type => 'key', id => 'keyboard', actions => \@actions } ] });
}

# until(SCRIPT, ARGUMENTS...): whether it returns something true within three minutes.
sub until
{
	my ($self, $script, @arguments) = @_;
	my $end = time + 180;
	while (time < $end)
	{
		my $value = eval { $self->js($script, @arguments) };
		return $value if $value;
		sleep 0.05;
	}
	return;
}

# picture(NAME): a screenshot, beside the logs; its size in bytes.
sub picture
{
	my ($self, $name) = @_;
	my $image = decode_base64($self->send('GET', '/screenshot'));
	my $file = "$PostgreSQL::Test::Utils::log_path/$name.png";
	open my $out, '>:raw', $file or die "$file: $!";
	print $out $image;
	close $out or die "$file: $!";
	return length $image;
}

# errors(): what the pages complained of, without the refusals of requests, which the test is about.
sub errors
{
	my ($self) = @_;
	return grep { !/Failed to load resource/ } map { $_->{message} } @{ $self->send('POST', '/se/log', { type => 'browser' }) };
}

sub quit { my ($self) = @_; eval { $self->send('DELETE', '') }; return }

1;
