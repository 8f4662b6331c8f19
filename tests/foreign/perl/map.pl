#!/usr/bin/perl
use strict;
use open ':std', ':encoding(UTF-8)';
while (<STDIN>) {
    print lc($1), "\t1\n" while /(\w+)/g;
}
