python3 center.py --in="$1" --out=/tmp/result
cat /tmp/result
