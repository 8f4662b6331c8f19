#!/usr/bin/perl
use strict;
my %count;
while (<STDIN>) {
    chomp;
    my ($word, $n) = split /\t/;
    $count{$word} += $n;
}
print "$_\t$count{$_}\n" for sort keys %count;
