# shellcheck shell=sh
# What setting up a machine takes, for server/start, tests/run and installer.sh: packages, cgroups, the Docker Engine.
# Sourced, POSIX sh. Wants DC_HOME (absolute, exported) and DC_CODE, a folder or wheel that holds the package dockercomp.

say() { printf '%s\n' "$*"; }

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

need_cmd() { command -v "$1" >/dev/null 2>&1 || fail "need '$1' (command not found)"; }

is_root() { [ "$(id -u)" = 0 ]; }

systemd_runs() { [ -d /run/systemd/system ]; }

# machine MODULE ARGUMENTS: runs one of our standard-library modules, from the environment as soon as there is one:
# what it starts must not find us by PYTHONPATH.
machine() {
  _module=$1
  shift
  if [ -e "$DC_HOME/env/.stamp" ]; then
    "$DC_HOME/env/bin/python" -m "dockercomp.machine.$_module" "$@"
  else
    PYTHONPATH="$DC_CODE" PYTHONDONTWRITEBYTECODE=1 python3 -m "dockercomp.machine.$_module" "$@"
  fi
}

# prepare_home: DC_HOME with the file that marks it as ours, without which nothing is ever removed.
prepare_home() {
  if [ -e "$DC_HOME/.dockercomp" ]; then
    mkdir -p "$DC_HOME/log" "$DC_HOME/run" "$DC_HOME/cache"
    return 0
  fi
  if [ -d "$DC_HOME" ] && [ -n "$(ls -A "$DC_HOME")" ]; then
    fail "DC_HOME=$DC_HOME is not empty and not ours; name another folder, or empty this one."
  fi
  _made=$(_missing_folders "$DC_HOME")
  (umask 022 && mkdir -p "$DC_HOME") || fail "cannot make DC_HOME=$DC_HOME; name a folder that you can write to."
  chmod 0755 "$DC_HOME"
  say "Everything of one dockerComp instance. Remove it with: cleanup" >"$DC_HOME/.dockercomp"
  [ -z "$_made" ] || printf '%s\n' "$_made" | while IFS= read -r _folder; do record directory "$_folder" false; done
  mkdir -p "$DC_HOME/log" "$DC_HOME/run" "$DC_HOME/cache"
}

# The folders above $1 that are not there yet, outermost first, a line each.
_missing_folders() {
  _above=$(dirname "$1")
  [ -d "$_above" ] && return 0
  _missing_folders "$_above"
  dirname "$1"
}

# write_program NAME: DC_HOME/bin/NAME runs it with this DC_HOME, whatever the caller's environment says.
write_program() {
  printf '#!/bin/sh\nDC_HOME="%s" exec "%s" "$@"\n' "$DC_HOME" "$DC_HOME/env/bin/$1" >"$DC_HOME/bin/$1"
  chmod 0755 "$DC_HOME/bin/$1"
}

# record KIND NAME EXISTED (true|false): a line of the manifest, on disk before the thing is made (see manifest.py).
record() {
  _thing="{\"kind\":\"$1\",\"name\":\"$(printf '%s' "$2" | sed 's/[\\"]/\\&/g')\""
  case $(grep -F "$_thing," "$DC_HOME/manifest.jsonl" 2>/dev/null | tail -n 1) in *'"existed":'*) return 0 ;; esac
  printf '%s,"existed":%s}\n' "$_thing" "$3" >>"$DC_HOME/manifest.jsonl"
  sync "$DC_HOME/manifest.jsonl" 2>/dev/null || sync
}

forget() {
  _thing="{\"kind\":\"$1\",\"name\":\"$(printf '%s' "$2" | sed 's/[\\"]/\\&/g')\""
  printf '%s,"removed":true}\n' "$_thing" >>"$DC_HOME/manifest.jsonl"
}

# step WHAT COMMAND…: one line of progress; the output goes to log/setup.log, and its end is shown upon failure.
step() {
  _what=$1
  shift
  _log=$DC_HOME/log/setup.log
  _begun=$(date +%s)
  printf '\n== %s\n' "$_what" >>"$_log"
  _before=$(wc -l <"$_log")
  _ticker=
  if [ -t 1 ]; then
    (while kill -0 $$ 2>/dev/null; do printf '\r%s …  %s s ' "$_what" $(($(date +%s) - _begun)) && sleep 1; done) &
    _ticker=$!
  fi
  _code=0
  "$@" >>"$_log" 2>&1 </dev/null || _code=$?
  if [ -n "$_ticker" ]; then
    kill "$_ticker" 2>/dev/null
    wait "$_ticker" 2>/dev/null || :
    printf '\r'
  fi
  printf '%s …  %s s \n' "$_what" $(($(date +%s) - _begun))
  [ "$_code" = 0 ] && return 0
  tail -n "+$((_before + 1))" "$_log" | tail -n 15 >&2
  fail "$_what failed (exit code $_code); the whole output is in $_log"
}

# --- packages ----------------------------------------------------------------------------------------------------

# install_packages PACKAGE…: those that are missing, with root; else says which command would. Debian's names;
# Fedora's stand in fedora_name.
install_packages() {
  _wanted=
  for _package in "$@"; do package_present "$_package" || _wanted="$_wanted $_package"; done
  [ -n "$_wanted" ] || return 0
  if command -v apt-get >/dev/null 2>&1; then
    is_root || fail "missing:$_wanted. Run: sudo apt-get install --no-install-recommends$_wanted"
    # shellcheck disable=SC2086  # a list of words
    step "Installing$_wanted" _apt_install $_wanted
  elif command -v dnf >/dev/null 2>&1; then
    _names=
    for _package in $_wanted; do _names="$_names $(fedora_name "$_package")"; done
    is_root || fail "missing:$_names. Run: sudo dnf install --setopt=install_weak_deps=False$_names"
    for _package in $_names; do record package "$_package" false; done
    # shellcheck disable=SC2086
    step "Installing$_names" _dnf_install $_names
  else
    fail "missing:$_wanted, and there is neither apt-get nor dnf here. Install them with this system's package manager."
  fi
}

package_present() {
  if command -v dpkg-query >/dev/null 2>&1; then
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
  elif command -v rpm >/dev/null 2>&1; then
    rpm -q --whatprovides "$(fedora_name "$1")" >/dev/null 2>&1
  else
    return 1
  fi
}

fedora_name() {
  case $1 in
    docker.io) say moby-engine ;;
    python3-venv) say python3 ;;
    libcurl4) say libcurl ;;
    libc6-dev) say glibc-devel ;;
    *) say "$1" ;;
  esac
}

# In sessions of their own, so that an interrupt of this script never cuts a package manager short: it is waited for.
_dnf_install() {
  setsid --wait dnf -y --setopt=install_weak_deps=False install "$@"
}

_apt_install() (
  export DEBIAN_FRONTEND=noninteractive
  export http_proxy="${http_proxy:-${HTTP_PROXY:-}}" https_proxy="${https_proxy:-${HTTPS_PROXY:-}}" no_proxy="${no_proxy:-${NO_PROXY:-}}"
  setsid --wait apt-get update || :
  apt-get install -s --no-install-recommends "$@" | awk '/^Inst / { print $2 }' >"$DC_HOME/run/packages"
  while IFS= read -r _package; do record package "$_package" false; done <"$DC_HOME/run/packages"
  _hold_services
  _result=0
  setsid --wait apt-get install -y --no-install-recommends -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 "$@" || _result=$?
  _release_services
  rm -f "$DC_HOME/run/packages"
  return "$_result"
)

# Without systemd a package's script would start its service by itself, outside of what we look after.
_hold_services() {
  if systemd_runs || [ -e /usr/sbin/policy-rc.d ]; then return 0; fi
  record file /usr/sbin/policy-rc.d false
  printf '#!/bin/sh\n# dockerComp, while it installs packages\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod 0755 /usr/sbin/policy-rc.d
}

_release_services() {
  grep -q '^# dockerComp' /usr/sbin/policy-rc.d 2>/dev/null || return 0
  rm -f /usr/sbin/policy-rc.d
  forget file /usr/sbin/policy-rc.d
}

# --- the Docker Engine -------------------------------------------------------------------------------------------

# ensure_docker: exports DC_DOCKER_HOST, the address of an engine that answers; as root installs and starts one.
ensure_docker() {
  _denied=0
  if _found=$(machine docker_host 2>"$DC_HOME/run/docker.reason"); then
    export DC_DOCKER_HOST="$_found"
    return 0
  else
    _denied=$?
  fi
  _reason=$(cat "$DC_HOME/run/docker.reason")
  [ "$_denied" != 77 ] || fail "$_reason"
  [ -z "${DC_DOCKER_HOST:-}${DOCKER_HOST:-}" ] || fail "$_reason Start it, or leave DC_DOCKER_HOST and DOCKER_HOST unset."
  [ "$(uname)" = Linux ] || fail "$_reason Install and start Docker Desktop, then run this again."
  is_root || fail "$_reason Install and start Docker (https://docs.docker.com/engine/install), or run this as root."
  command -v dockerd >/dev/null 2>&1 || install_packages docker.io
  if systemd_runs; then
    step "Starting Docker" systemctl start docker
    DC_DOCKER_HOST=$(machine docker_host) || fail "Docker was started but does not answer; see: journalctl -u docker"
  else
    mount_cgroups
    step "Starting a Docker Engine of our own" machine private_engine start
    DC_DOCKER_HOST=unix://$DC_HOME/run/docker.sock
  fi
  export DC_DOCKER_HOST
}

# ensure_rootless: exports DC_DOCKER_HOST, the address of an engine of this user's own, whatever other engines there are.
ensure_rootless() {
  is_root && fail "--rootless is for an ordinary user: run this without sudo, as the user whose machine time you lend"
  [ "$(uname)" = Linux ] || fail "rootless Docker runs on Linux only; install without --rootless"
  DC_ROOTLESS=yes DC_DOCKER_HOST=unix://$DC_HOME/run/docker.sock
  export DC_ROOTLESS DC_DOCKER_HOST
  step "Starting a rootless Docker Engine of your own (on a busy machine this takes a minute)" machine service engine
}

stop_private_engine() { machine private_engine stop; }

# mount_cgroups: where nothing has mounted them (a chroot, a bare init), the way the kernel has them in use.
mount_cgroups() {
  [ -d /sys/fs/cgroup ] || fail "/sys is not mounted: mount -t sysfs sysfs /sys"
  [ -z "$(ls -A /sys/fs/cgroup)" ] || return 0
  _controllers=$(awk -F: '$2 != "" && $2 !~ /^name=/ { print $2 }' /proc/self/cgroup)
  if [ -z "$_controllers" ]; then
    _mount_recorded /sys/fs/cgroup -t cgroup2 dockercomp
    return 0
  fi
  _mount_recorded /sys/fs/cgroup -t tmpfs -o mode=0755 dockercomp
  for _controller in $_controllers; do
    mkdir -p "/sys/fs/cgroup/$_controller"
    _mount_recorded "/sys/fs/cgroup/$_controller" -t cgroup -o "$_controller" dockercomp
  done
}

# The source `dockercomp` is how removal knows that a mount at this place is still ours.
_mount_recorded() {
  _place=$1
  shift
  record mount "$_place" false
  mount "$@" "$_place" || fail "cannot mount $_place, which the Docker Engine needs (mount $* $_place)"
}
