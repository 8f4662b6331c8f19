python3 totals.py <"$1"
