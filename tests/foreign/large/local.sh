for n in 0 1 2 3; do python3 emit.py $n 2>/dev/null; done
