for file in "$@"; do head -n 1 -- "$file"; done
