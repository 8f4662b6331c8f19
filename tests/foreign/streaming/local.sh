./mapper.py <"$1" | LC_ALL=C sort | ./reducer.py
