# shellcheck shell=bash
# What bare_machine does on the volunteer's machine; $link is the admin's link to the installer.

fetch() { python3 -c 'import sys, urllib.request; sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1]).read())' "$1"; }
worker() { /var/lib/dockercomp/bin/dockercomp-worker "$@"; }
state() { find /var/lib/dockercomp -path '*/run/*' -prune -o -path '*/log/*' -prune -o -path '*/worker/*' -prune -o -path '*/docker/*' -prune -o -type f -exec sha256sum {} + | sort; }
die() {
  echo "$*" >&2
  exit 1
}

snapshot take /tmp/before
fetch "${link:?}" >/tmp/installer.sh

sh /tmp/installer.sh --dry-run
snapshot take /tmp/after
snapshot compare /tmp/before /tmp/after || die "--dry-run changed something"

echo "== install"
sh /tmp/installer.sh --yes
worker status --json >/tmp/status
python3 -c 'import json; found = json.load(open("/tmp/status")); assert found["client"], found' || die "the worker is not registered"

echo "== doctor"
worker doctor || die "the doctor found something"

echo "== install again"
state >/tmp/state.first
worker status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])' >/tmp/pid.first
sh /tmp/installer.sh --yes
state >/tmp/state.second
worker status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])' >/tmp/pid.second
cmp /tmp/state.first /tmp/state.second || { diff /tmp/state.first /tmp/state.second >&2 || :; die "a second run changed something"; }
cmp /tmp/pid.first /tmp/pid.second || die "a second run started the worker again"

echo "== stop, start"
worker stop
! worker status >/dev/null || die "it still runs after 'stop'"
sh /tmp/installer.sh --yes >/dev/null
worker status >/dev/null || die "it does not run after another install"

echo "== uninstall"
worker uninstall --yes
snapshot take /tmp/after
snapshot compare /tmp/before /tmp/after || die "uninstalling left something"
