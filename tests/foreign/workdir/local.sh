n=0
for file in "$@"; do # in a copy of the folder each, as a scientist would run them side by side
  cp -r /job /tmp/$n
  (cd /tmp/$n && python3 simulate.py "$file") >/dev/null
  to=$(printf '/result/%09d' $n)
  mkdir -p "$to"
  cp -r /tmp/$n/out /tmp/$n/summary.json "$to"
  n=$((n + 1))
done
