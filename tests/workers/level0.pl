#!/usr/bin/env perl
# A worker in Perl, without an SDK: says that it is ready, then answers each line with
# one line.  GET /level0?name=Ann answers {"hello":"Ann"}.
use strict;
use warnings;
use JSON::PP qw(decode_json encode_json);

$| = 1;    # each line leaves at once
print encode_json({ type => 'ready', routes => [ { path => '/level0' } ] }), "\n";

while (my $line = <STDIN>) {
    next unless $line =~ /\S/;
    my $request = decode_json($line);
    my ($name) = ($request->{query} // '') =~ /(?:^|&)name=([^&]*)/;
    print encode_json({ id => $request->{id}, json => { hello => $name // 'world' } }), "\n";
}
