#!/usr/bin/perl
# layers.pl LAYER BASE TOKEN PROJECT TASK OPERATION N RUN: N requests over one connection; any answer but the right one ends it.
use strict;
use warnings;
use HTTP::Tiny;

my ($layer, $base, $token, $project, $task, $operation, $n, $run) = @ARGV;
my $http = HTTP::Tiny->new(timeout => 60, keep_alive => 1);
my %headers = (Authorization => "Bearer $token");
foreach my $i (1 .. $n)
{
	my $answer;
	if ($operation eq 'one row')
	{
		$answer = $http->get($base . ($layer eq 'gateway' ? "/tasks/$task" : "/tasks?id=eq.$task"), { headers => \%headers });
		die "$answer->{status} $answer->{content}\n" unless $answer->{status} == 200 && $answer->{content} =~ /\Q$task\E/;
	}
	elsif ($operation eq 'page of 50')
	{
		$answer = $http->get("$base/tasks?project_id=eq.$project&order=created_at.desc,id.desc&limit=50", { headers => \%headers });
		die "$answer->{status} $answer->{content}\n" unless $answer->{status} == 200 && (() = $answer->{content} =~ /"title"/g) == 50;
	}
	else
	{
		$answer = $http->post("$base/tasks", {
			headers => { %headers, 'Content-Type' => 'application/json', Prefer => 'return=representation', 'Idempotency-Key' => "$layer-$run-$i" },
			content => qq({"project_id":"$project","title":"task $i","priority":3}) });
		die "$answer->{status} $answer->{content}\n" unless $answer->{status} == 201;
	}
}
