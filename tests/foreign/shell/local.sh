export LC_ALL=C
tr -cs 'A-Za-z' '\n' <"$1" | tr A-Z a-z | grep . | sort | uniq -c
