jq -r 'select(.status >= 400) | "\(.path) \(.status)"' "$1" | LC_ALL=C sort | uniq -c
