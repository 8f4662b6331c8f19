#!/usr/bin/perl
use strict;
binmode STDIN, ':utf8';
binmode STDOUT, ':utf8';
while (<STDIN>) {
    print lc($1), "\t1\n" while /(\w+)/g;
}
