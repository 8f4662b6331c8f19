bash expects.sh <"$1"
