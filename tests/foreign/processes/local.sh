python3 parallel.py <"$1"
