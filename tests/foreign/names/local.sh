./list.sh "$@"
