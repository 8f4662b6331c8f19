# Reads only the beginning of its input, leaves processes, files and a full temporary folder behind.
set -e
[ ! -e /tmp/left ] && [ ! -e "$HOME/left" ] && [ ! -e left ] || { echo "somebody was here before me" >&2; exit 1; }
sleep 1000 >/dev/null 2>&1 &
(trap '' HUP TERM; sleep 1000 & wait) >/dev/null 2>&1 &
mkfifo pipe.fifo
ln -s /etc/passwd link
touch /tmp/left "$HOME/left" left
mkdir -p "${TMPDIR:-/tmp}/a/b/c" && chmod 0 "${TMPDIR:-/tmp}/a/b"
head -n 1
