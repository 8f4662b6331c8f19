# shellcheck shell=sh
# From a bare machine (python3 and nothing else) to an environment that runs us. Sourced by server/start and tests/run,
# which set DC_CHECKOUT to the clone's folder. Sets and exports DC_HOME; the configuration's keys; DC_DOCKER_HOST.

DC_CODE=$DC_CHECKOUT
# shellcheck source=dockercomp/machine/setup.sh
. "$DC_CHECKOUT/dockercomp/machine/setup.sh"
# shellcheck source=dockercomp/machine/configuration.sh
. "$DC_CHECKOUT/dockercomp/machine/configuration.sh"

# find_home: exports DC_HOME and the keys of `configuration` (the environment wins), makes nothing.
find_home() {
  read_configuration "$DC_CHECKOUT/configuration"
  if [ -z "${DC_HOME:-}" ]; then
    if is_root; then DC_HOME=/var/lib/dockercomp; else DC_HOME=$HOME/.local/share/dockercomp; fi
  fi
  case $DC_HOME in /*) ;; *) DC_HOME=$PWD/$DC_HOME ;; esac
  # Nothing of ours is written into the clone, or to a user's cache.
  PYTHONPYCACHEPREFIX=$DC_HOME/cache/python
  UV_CACHE_DIR=${UV_CACHE_DIR:-$DC_HOME/cache/uv}
  export DC_HOME PYTHONPYCACHEPREFIX UV_CACHE_DIR
}

# ensure_environment EXTRA…: DC_HOME/env with the locked packages of these extras and this clone. Tens of milliseconds
# when nothing changed since it was made.
ensure_environment() {
  find_home
  prepare_home
  _environment "$DC_HOME/env" --no-dev "$@"
  mkdir -p "$DC_HOME/bin"
  write_program dockercomp
  write_program dockercomp-worker
}

# ensure_development: DC_CHECKOUT/.venv with everything that the tests need.
ensure_development() {
  _environment "$DC_CHECKOUT/.venv" --group=dev server worker mongod
}

# ensure_compiler: what worker/runner/build.py needs.
ensure_compiler() {
  if [ -e "$DC_CHECKOUT/worker/runner/bin" ]; then _there=true; else _there=false; fi
  record tree "$DC_CHECKOUT/worker/runner/bin" "$_there" # the one thing that is built inside of the clone
  if command -v gcc >/dev/null 2>&1 && [ -e /usr/include/stdio.h ]; then return 0; fi
  install_packages gcc libc6-dev
}

# ensure_certificate_maker OPTION…: the program openssl, where the master is to make itself a certificate.
ensure_certificate_maker() {
  case "${DC_TLS_SELF_SIGNED:-} $* " in yes* | *' --tls-self-signed '*) ;; *) return 0 ;; esac
  command -v openssl >/dev/null 2>&1 || install_packages openssl
}

# _environment FOLDER GROUPS EXTRA…
_environment() {
  _folder=$1
  shift
  _stamp=$(_environment_stamp "$@")
  if [ "$(cat "$_folder/.stamp" 2>/dev/null)" = "$_stamp" ] && [ -x "$_folder/bin/python" ]; then return 0; fi
  _need_python
  case " $* " in *" mongod "*) _mongod_libraries ;; esac
  [ -x "$DC_HOME/cache/tools/bin/uv" ] || step "Installing uv" _install_uv
  step "Installing the locked packages" _sync "$_folder" "$@"
  ln -sf "$DC_HOME/cache/tools/bin/uv" "$_folder/bin/uv"
  printf '%s\n' "$_stamp" >"$_folder/.stamp"
}

# record_image TAG: before something of that name is put into the engine at DC_DOCKER_HOST.
record_image() {
  if docker -H "$DC_DOCKER_HOST" image inspect "$1" >/dev/null 2>&1; then _there=true; else _there=false; fi
  record image "$1" "$_there"
}

_environment_stamp() {
  {
    printf '%s\n' "$DC_CHECKOUT" "$@"
    python3 -V
    cat "$DC_CHECKOUT/uv.lock" "$DC_CHECKOUT/pyproject.toml" "$DC_CHECKOUT/server/uv-requirements.txt"
  } 2>&1 | sha256sum
}

_need_python() {
  command -v python3 >/dev/null 2>&1 || install_packages python3
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "the master needs Python 3.11 or newer; python3 here is $(python3 -V)"
  python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
}

_mongod_libraries() {
  [ "$(uname -sm)" = "Linux x86_64" ] || return 0
  ldconfig -p | grep -q 'libcurl\.so\.4 ' || install_packages libcurl4
}

_install_uv() {
  rm -rf "$DC_HOME/cache/tools"
  python3 -m venv "$DC_HOME/cache/tools" && "$DC_HOME/cache/tools/bin/python" -m pip install \
    --disable-pip-version-check --require-hashes --only-binary :all: -r "$DC_CHECKOUT/server/uv-requirements.txt"
}

_sync() (
  UV_PROJECT_ENVIRONMENT=$1
  UV_CACHE_DIR=${UV_CACHE_DIR:-$DC_HOME/cache/uv}
  export UV_PROJECT_ENVIRONMENT UV_CACHE_DIR
  _groups=$2
  shift 2
  _extras=
  for _extra in "$@"; do _extras="$_extras --extra $_extra"; done
  # shellcheck disable=SC2086  # a list of words
  "$DC_HOME/cache/tools/bin/uv" sync --frozen --python "$(command -v python3)" --project "$DC_CHECKOUT" "$_groups" $_extras
)
