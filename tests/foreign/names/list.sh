#!/bin/sh
# Each file's own name, as the program sees it, and what is in it.
for file in "$@"; do
  name=${file##*/}
  [ -f "$file" ] || { echo "no file: $file" >&2; exit 1; }
  printf '%s: ' "$name"
  cat -- "$file"
done
