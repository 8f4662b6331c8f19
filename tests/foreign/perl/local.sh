./map.pl <"$1" | ./reduce.pl
