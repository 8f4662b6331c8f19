#!/bin/sh
# Lends this machine to a dockerComp master: installs the worker, starts it, and says how to stop and remove it.
# `installer.sh --help` tells the rest. Everything stands in one folder (DC_HOME) but what its manifest names; an
# install that is interrupted or fails takes back what it made.
set -eu

# The master fills these in when it serves this script.
DC_SERVED_URL=''
DC_SERVED_TOKEN=''
DC_SERVED_PIN=''
DC_SERVED_KEY=''

usage() {
  cat <<'END'
usage: installer.sh [OPTION]…

Install the dockerComp worker on this machine and start it. Run it again to bring it up to date.

  --host NAME          the master's address (default: the master that served this script, else DC_HOST of the
  --port NUMBER        environment or of the file `configuration`)
  --token TOKEN        the enrolment token that an admin gave you
  --prefix DIR         where everything is put (DC_HOME; default: /var/lib/dockercomp as root, else
                       ~/.local/share/dockercomp)
  --tls-pin PRINT      trust the master's certificate by its fingerprint alone, sha256:… (DC_TLS_PIN)
  --rootless           as an ordinary user: run a Docker Engine of your own without root, and touch no other
  --allow-plain-http   speak to a master beyond this machine without TLS: only in a network of your own
  --yes                do not ask
  --dry-run            say what would be done, change nothing
  --uninstall          stop the worker and take everything back (system packages stay; --packages removes them too)
  --help               this

DC_CONTAINERS, DC_CPUS, DC_MEMORY, DC_DISK, DC_NETWORK_PER_DAY, DC_HOURS, DC_WHEN_IDLE, DC_ON_BATTERY, DC_TEMPERATURE and
DC_HOOK in the environment set the most that this machine lends, and when; change them at any time in DC_HOME/configuration. Proxies (HTTPS_PROXY, NO_PROXY…) in the environment are kept for the worker.
END
}

say() { printf '%s\n' "$*"; }

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

need_cmd() { command -v "$1" >/dev/null 2>&1 || fail "need '$1' (command not found)"; }

main() {
  yes='' dry='' uninstall='' packages='' host='' port='' token='' plain='' rootless=''
  options "$@"
  for command in uname id mktemp mkdir rm cat sed grep awk date tail sync; do need_cmd "$command"; done
  find_settings
  if [ -n "$uninstall" ]; then uninstall; fi
  if [ -n "$dry" ]; then plan && exit 0; fi
  agree
  scratch=$(mktemp -d "${TMPDIR:-/tmp}/dockercomp.XXXXXX")
  trap 'undo $?' EXIT
  trap 'say "" >&2; say "interrupted" >&2; exit 130' INT
  trap 'exit 143' TERM HUP
  install
  trap - EXIT INT TERM HUP
  rm -rf "$scratch"
  summary
}

options() {
  while [ $# -gt 0 ]; do
    case $1 in
      --host | --port | --token | --prefix | --tls-pin) [ $# -ge 2 ] || fail "$1 needs a value; see --help" ;;
    esac
    case $1 in
      --help | -h) usage && exit 0 ;;
      --yes | -y) yes=yes ;;
      --dry-run) dry=yes ;;
      --uninstall) uninstall=yes ;;
      --packages) packages=yes ;;
      --allow-plain-http) plain=yes ;;
      --rootless) rootless=yes ;;
      --host) host=$2 && shift ;;
      --port) port=$2 && shift ;;
      --token) token=$2 && shift ;;
      --prefix) DC_HOME=$2 && shift ;;
      --tls-pin) DC_TLS_PIN=$2 && shift ;;
      *) fail "unknown option $1; see --help" ;;
    esac
    shift
  done
}

# An option, then the environment, then the master that served this script, then DC_HOME/configuration, then the clone.
find_settings() {
  [ "$(id -u)" = 0 ] && usual=/var/lib/dockercomp || usual=$HOME/.local/share/dockercomp
  clone=
  if [ -z "$DC_SERVED_URL" ] && [ -f "$0" ]; then
    clone=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
    [ -f "$clone/dockercomp/machine/configuration.sh" ] || clone=
  fi
  token=${token:-${DC_TOKEN:-$DC_SERVED_TOKEN}}
  if [ -n "$DC_SERVED_URL" ] && [ -z "$host$port${DC_HOST:-}${DC_PORT:-}" ]; then
    split_url "$DC_SERVED_URL"
  fi
  DC_HOST=${host:-${DC_HOST:-}} DC_PORT=${port:-${DC_PORT:-}}
  [ -n "$DC_HOST" ] || unset DC_HOST
  [ -n "$DC_PORT" ] || unset DC_PORT
  if [ -n "$clone" ]; then
    # shellcheck source=dockercomp/machine/configuration.sh
    . "$clone/dockercomp/machine/configuration.sh"
    [ -n "${DC_HOME:-}" ] || (read_configuration "$clone/configuration" && [ -n "${DC_HOME:-}" ]) || DC_HOME=$usual
    read_configuration "${DC_HOME:-/nonexistent}/configuration"
    read_configuration "$clone/configuration"
    token=${token:-${DC_TOKEN:-}}
  fi
  # Who serves this script over a pinned connection says whom to trust from then on.
  DC_TLS_PIN=${DC_TLS_PIN:-$DC_SERVED_PIN} DC_MASTER_KEY=${DC_MASTER_KEY:-$DC_SERVED_KEY}
  [ -z "$DC_TLS_PIN" ] || DC_SCHEME=${DC_SCHEME:-https}
  DC_HOME=${DC_HOME:-$usual}
  case $DC_HOME in /*) ;; *) DC_HOME=$PWD/$DC_HOME ;; esac
  case $DC_HOME in *[!A-Za-z0-9._/@,+-]*) fail "DC_HOME=$DC_HOME: use a path of letters, digits and ._/@,+- only" ;; esac
  DC_HOST=${DC_HOST:-127.0.0.1} DC_PORT=${DC_PORT:-8080} DC_SCHEME=${DC_SCHEME:-http}
  [ -z "$plain" ] || DC_ALLOW_PLAIN_HTTP=yes
  # An instance that was installed rootless stays so: no later run may lead it to another engine.
  if grep -qx 'DC_ROOTLESS=yes' "$DC_HOME/configuration" 2>/dev/null || [ "${DC_ROOTLESS:-}" = yes ]; then rootless=yes; fi
  if [ -n "$rootless" ] && [ "$(id -u)" = 0 ]; then
    fail "--rootless is for an ordinary user: run this without sudo, as the user whose machine time you lend"
  fi
  export DC_HOME DC_HOST DC_PORT DC_SCHEME
  url=$DC_SCHEME://$DC_HOST:$DC_PORT
  case $DC_SCHEME:$DC_TLS_PIN in http:?*) fail "DC_TLS_PIN pins a certificate, and plain HTTP shows none: use https (DC_SCHEME=https)" ;; esac
  case $DC_SCHEME:$DC_HOST:${DC_ALLOW_PLAIN_HTTP:-} in
    http:127.* | http:localhost:* | http:\[::1]:* | https:* | http:*:yes) ;;
    *) fail "$url is plain HTTP beyond this machine: others on the way could read and change what is sent. Use https, or add --allow-plain-http if the network is your own." ;;
  esac
}

# split_url URL: into DC_SCHEME, DC_HOST and DC_PORT.
split_url() {
  DC_SCHEME=${1%%://*}
  _rest=${1#*://}
  _rest=${_rest%%/*}
  case $_rest in
    \[*\]:* | [!\[]*:*) DC_PORT=${_rest##*:} DC_HOST=${_rest%:*} ;;
    *) DC_HOST=$_rest && if [ "$DC_SCHEME" = https ]; then DC_PORT=443; else DC_PORT=80; fi ;;
  esac
}

plan() {
  say "This would be done on this machine:"
  command -v python3 >/dev/null 2>&1 || say "- install the system package python3"
  say "- fetch the worker from $url and check it"
  [ -e "$DC_HOME/.dockercomp" ] || say "- make $DC_HOME, which holds everything of dockerComp, with a list of anything outside of it"
  python3 -c 'import ensurepip, venv' 2>/dev/null || say "- install the system package for Python's virtual environments (python3-venv)"
  say "- put the worker and its packages, checked by their hashes, into $DC_HOME/env"
  if [ -n "$rootless" ]; then
    say "- start a rootless Docker Engine of your own in $DC_HOME (needs rootlesskit, uidmap, docker.io and ids in /etc/subuid)"
  elif ! command -v dockerd >/dev/null 2>&1 && ! command -v docker >/dev/null 2>&1; then
    say "- install the Docker Engine (docker.io)"
  fi
  if [ -d /run/systemd/system ]; then say "- start the worker as a systemd service"; else say "- start the worker under a supervisor of ours"; fi
  say "The most it will lend (DC_HOME/configuration): containers ${DC_CONTAINERS:-by its size}, CPUs ${DC_CPUS:-by its size}, memory ${DC_MEMORY:-by its size}"
  say "Take everything back with: installer.sh --uninstall --prefix $DC_HOME"
}

agree() {
  if [ -n "$yes" ] || ! (: </dev/tty) 2>/dev/null; then return 0; fi
  plan
  printf 'Go on? [y/N] '
  read -r answer </dev/tty || answer=
  case $answer in y | Y | yes) ;; *) fail "nothing was done" ;; esac
}

install() {
  if [ -d "$DC_HOME/secrets" ]; then
    fail "DC_HOME=$DC_HOME is a master's; give the worker a folder of its own: --prefix $DC_HOME-worker"
  fi
  need_python
  fetch_worker
  DC_CODE=$scratch/code
  # shellcheck source=dockercomp/machine/setup.sh
  . "$DC_CODE/dockercomp/machine/setup.sh"
  [ -e "$DC_HOME/.dockercomp" ] || fresh=yes
  prepare_home
  [ -z "$with_python" ] || record package python3 false
  keep_worker
  [ -n "$token" ] || [ -e "$DC_HOME/worker/identity.json" ] ||
    fail "an enrolment token is needed: ask the master's admin for one (--token, DC_TOKEN, or the link that carries it)"
  python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
  put_environment
  if [ -n "$rootless" ]; then ensure_rootless; else ensure_docker; fi
  write_configuration
  step "Starting the worker" machine service start
  step "Waiting until the master knows it" machine service wait
}

need_python() {
  with_python=
  if ! command -v python3 >/dev/null 2>&1; then
    with_python=yes
    [ "$(id -u)" = 0 ] || fail "python3 is missing; install it (sudo apt-get install python3, or your system's way)"
    say "Installing python3 …"
    if command -v apt-get >/dev/null 2>&1; then
      (setsid --wait apt-get update && DEBIAN_FRONTEND=noninteractive setsid --wait apt-get install -y --no-install-recommends python3) \
        >"$scratch/log" 2>&1 </dev/null || fail "python3 cannot be installed: $(tail -n 5 "$scratch/log")"
    else
      setsid --wait dnf -y install python3 >"$scratch/log" 2>&1 || fail "python3 cannot be installed: $(tail -n 5 "$scratch/log")"
    fi
  fi
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || fail "the worker needs Python 3.10 or newer; this is $(python3 -V)"
}

# The wheel, its locked requirements and their description from the master, checked, and unpacked in $scratch/code.
fetch_worker() {
  python3 - "$url" "$scratch" "$DC_TLS_PIN" <<'END' || exit 1
import hashlib, http.client, json, os, re, ssl, sys, urllib.error, urllib.request, zipfile

url, scratch, pin = sys.argv[1:]
local = re.match(r"https?://(127\.|localhost|\[::1\])", url)
trust = ssl._create_unverified_context() if pin else ssl.create_default_context()

class Connection(http.client.HTTPSConnection):
    def connect(self):
        super().connect()
        shown = "sha256:" + hashlib.sha256(self.sock.getpeercert(binary_form=True)).hexdigest()
        if pin and shown != "sha256:" + pin.lower().partition(":")[2].replace(":", ""):
            sys.exit(f"error: {url} shows the certificate {shown}, not the pinned {pin}: this is not your master, or its certificate was changed. Ask its admin.")

class Https(urllib.request.HTTPSHandler):
    def https_open(self, request):
        return self.do_open(Connection, request, context=trust)

opener = urllib.request.build_opener(Https, *([urllib.request.ProxyHandler({})] if local else []))

def get(path):
    try:
        with opener.open(f"{url}{path}", timeout=60) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        sys.exit(f"error: {url}{path}: HTTP {error.code}. Is this a dockerComp master, and of this version?")
    except OSError as error:
        reason = getattr(error, "reason", error)
        sys.exit(f"error: DOWN: the master at {url} cannot be reached: {reason}. Check its address (--host, --port).")

facts = json.loads(get("/worker/wheel.json"))
name = facts["filename"]
if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*\.whl", name):
    sys.exit(f"error: the master names its package {name!r}")
wheel = get(f"/worker/{name}")
if hashlib.sha256(wheel).hexdigest() != facts["sha256"]:
    sys.exit("error: the worker's package arrived damaged (its SHA-256 differs); run this again")
for name, data in ((name, wheel), ("requirements.txt", get("/worker/requirements.txt")), ("wheel.json", json.dumps(facts).encode())):
    with open(os.path.join(scratch, name), "wb") as file:
        file.write(data)
zipfile.ZipFile(os.path.join(scratch, facts["filename"])).extractall(os.path.join(scratch, "code"))
with open(os.path.join(scratch, "version"), "w") as file:
    file.write(f"{facts['version']} {facts['sha256']}\n")
END
  version=$(cut -d ' ' -f 1 "$scratch/version")
}

# The checked packages, and the way back, which needs nothing else of ours.
keep_worker() {
  mkdir -p "$DC_HOME/cache/worker" "$DC_HOME/bin"
  if ! cmp -s "$scratch/wheel.json" "$DC_HOME/cache/worker/wheel.json"; then
    rm -f "$DC_HOME"/cache/worker/*.whl
    cp "$scratch"/*.whl "$scratch/requirements.txt" "$scratch/wheel.json" "$DC_HOME/cache/worker/"
  fi
  cat >"$DC_HOME/uninstall" <<END
#!/bin/sh
# Takes this dockerComp instance back. Needs python3 and nothing else.
export PYTHONDONTWRITEBYTECODE=1
PYTHONPATH=\$(ls -d "$DC_HOME"/cache/worker/*.whl) exec python3 -m dockercomp.machine.uninstall --home "$DC_HOME" "\$@"
END
  chmod 0755 "$DC_HOME/uninstall"
}

put_environment() {
  _stamp="$(cat "$scratch/version") $(python3 -V)"
  if [ "$(cat "$DC_HOME/env/.stamp" 2>/dev/null)" = "$_stamp" ]; then
    say "The worker $version is there already."
    return 0
  fi
  [ -x "$DC_HOME/env/bin/pip" ] || step "Making an environment" python3 -m venv "$DC_HOME/env"
  step "Installing the worker's packages" pip_install --require-hashes -r "$DC_HOME/cache/worker/requirements.txt"
  step "Installing the worker $version" pip_install --no-deps --force-reinstall "$DC_HOME"/cache/worker/*.whl
  write_program dockercomp-worker
  printf '%s\n' "$_stamp" >"$DC_HOME/env/.stamp"
}

pip_install() {
  "$DC_HOME/env/bin/python" -m pip install --disable-pip-version-check --no-input --cache-dir "$DC_HOME/cache/pip" "$@"
}

# What is there stays, except what this run was told otherwise.
write_configuration() {
  _file=$DC_HOME/configuration
  if [ ! -e "$_file" ]; then
    (umask 077 && printf '# The worker of this machine. DC_CONTAINERS, DC_CPUS and DC_MEMORY are the most it lends.\n' >"$_file")
  fi
  set_key DC_HOST "$DC_HOST"
  set_key DC_PORT "$DC_PORT"
  set_key DC_SCHEME "$DC_SCHEME"
  set_key DC_TLS_PIN "$DC_TLS_PIN"
  set_key DC_MASTER_KEY "$DC_MASTER_KEY"
  set_key DC_TOKEN "$token"
  set_key DC_ALLOW_PLAIN_HTTP "${DC_ALLOW_PLAIN_HTTP:-}"
  set_key DC_DOCKER_HOST "$DC_DOCKER_HOST"
  set_key DC_ROOTLESS "${rootless:+yes}"
  set_key DC_NAME "${DC_NAME:-}"
  set_key DC_CONTAINERS "${DC_CONTAINERS:-}"
  set_key DC_CPUS "${DC_CPUS:-}"
  set_key DC_MEMORY "${DC_MEMORY:-}"
  set_key DC_DISK "${DC_DISK:-}"
  set_key DC_NETWORK_PER_DAY "${DC_NETWORK_PER_DAY:-}"
  set_key DC_HOURS "${DC_HOURS:-}"
  set_key DC_WHEN_IDLE "${DC_WHEN_IDLE:-}"
  set_key DC_ON_BATTERY "${DC_ON_BATTERY:-}"
  set_key DC_TEMPERATURE "${DC_TEMPERATURE:-}"
  set_key DC_HOOK "${DC_HOOK:-}"
  set_key DC_UNLIMITED "${DC_UNLIMITED:-}"
}

set_key() {
  [ -n "$2" ] || return 0
  case $2 in *[!A-Za-z0-9._:/@,+-]*) _line="$1='$2'" ;; *) _line="$1=$2" ;; esac
  grep -qxF "$_line" "$_file" && return 0
  (umask 077 && { grep -v "^$1=" "$_file" || :; } >"$_file.new" && printf '%s\n' "$_line" >>"$_file.new")
  mv "$_file.new" "$_file"
}

uninstall() {
  if [ ! -e "$DC_HOME" ]; then say "nothing to remove: there is no $DC_HOME" && exit 0; fi
  set -- ${yes:+--yes} ${dry:+--dry-run} ${packages:+--packages}
  [ ! -x "$DC_HOME/uninstall" ] || exec "$DC_HOME/uninstall" "$@"
  [ -z "$clone" ] || exec "$clone/cleanup" --home "$DC_HOME" "$@"
  fail "$DC_HOME has no 'uninstall' program: an install was cut off before it was complete. From a clone, run: DC_HOME=$DC_HOME ./cleanup"
}

# undo CODE: at the end of a run that did not come to its own: takes back what it made, and nothing that was there.
undo() {
  trap '' INT TERM HUP
  trap - EXIT
  if [ -n "${fresh:-}" ] && [ -e "$DC_HOME/.dockercomp" ]; then
    say "taking back what was done" >&2
    PYTHONPATH="$scratch/code" PYTHONDONTWRITEBYTECODE=1 python3 -m dockercomp.machine.uninstall --yes --home "$DC_HOME" >&2 || :
  fi
  rm -rf "$scratch"
  exit "$1"
}

summary() {
  "$DC_HOME/bin/dockercomp-worker" status || :
  say ""
  say "Preflight (dockercomp-worker doctor; again at any time):"
  "$DC_HOME/bin/dockercomp-worker" doctor || say "The worker runs, but see to what is said above."
  say ""
  say "The worker $version runs for the master at $url."
  say "  status     $DC_HOME/bin/dockercomp-worker status"
  say "  log        $DC_HOME/log/worker.log"
  say "  limits     $DC_HOME/configuration (DC_CONTAINERS, DC_CPUS, DC_MEMORY, DC_DISK, DC_HOURS …)"
  say "  pause      $DC_HOME/bin/dockercomp-worker pause 2h"
  say "  stop       $DC_HOME/bin/dockercomp-worker stop (start it again: run this installer again)"
  say "  remove     $DC_HOME/uninstall"
}

main "$@"
