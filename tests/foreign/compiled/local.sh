./count <"$1"
