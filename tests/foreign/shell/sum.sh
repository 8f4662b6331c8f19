# Adds up files of `uniq -c`.
set -eu
cat "$@" | sort -k 2 | {
  last='' total=0
  while read -r n word; do
    if [ "$word" != "$last" ]; then
      [ -z "$last" ] || printf '%7d %s\n' "$total" "$last"
      last=$word total=0
    fi
    total=$((total + n))
  done
  printf '%7d %s\n' "$total" "$last"
}
