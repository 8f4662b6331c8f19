awk '{ for (i = 1; i <= NF; i++) n[$i]++ } END { for (w in n) print w "\t" n[w] | "LC_ALL=C sort" }' "$1"
