# The user that the service runs as, and the environment that it runs in.
# shellcheck shell=bash

readonly VENV=$PREFIX/venv

# User and groups -------------------------------------------------------------------------------------------------

has_user() { grep -q "^$1:" "$ROOT/etc/passwd"; }
has_group() { grep -q "^$1:" "$ROOT/etc/group"; }
is_member() { grep -E "^$2:" "$ROOT/etc/group" | cut -d: -f4 | tr ',' '\n' | grep -qx "$1"; }

make_user() {
  note user "$1"
  run useradd --system --user-group --home-dir "$STATE_DIR" --no-create-home --shell /usr/sbin/nologin "$1"
}

join_group() {
  noted user "$1" || note member "$1" "$2"
  run usermod -aG "$2" "$1"
}

# want_user NAME GROUP...: of the groups, those that this system has.
want_user() {
  local user=$1 group
  shift
  want "system user $user" has_user make_user "$user"
  for group; do
    if has_group "$group"; then want "$user in group $group" is_member join_group "$user" "$group"; fi
  done
}

# Virtual environment ---------------------------------------------------------------------------------------------

readonly VENV_STAMP=$VENV/.edgesam-venv WHEEL_STAMP=$VENV/.edgesam-wheel

has_venv() { has_file "$VENV_STAMP" "$1"; }

# make_venv KIND PYTHON: "system" sees the system's packages, "own" does not.
make_venv() {
  local option=()
  [ "$1" = system ] && option=(--system-site-packages)
  note_parents "$PREFIX"
  note tree "$VENV"
  install -d -m 0755 "$ROOT$PREFIX"
  run "$2" -m venv --clear "${option[@]}" "$ROOT$VENV" || die "$MISSING" "no venv module. Next: apt-get install python3-venv"
  printf '%s\n' "$1" | replace_file "$VENV_STAMP"
}

# venv_kind: picamera2 and TensorRT come with the system and are on no index.
venv_kind() {
  local name
  for name in python3-picamera2 python3-libnvinfer; do
    if has_package "$name"; then
      printf 'system'
      return
    fi
  done
  printf 'own'
}

# What stands in the stamp: which wheel, with which extras.
wheel_stamp() { printf '%s %s' "$(sha256sum "$1" | cut -d ' ' -f 1)" "$2"; }

# has_wheel KIND FILE EXTRAS: in an environment of that kind; another kind is made anew, and empty.
has_wheel() { has_venv "$1" && has_file "$WHEEL_STAMP" "$(wheel_stamp "$2" "$3")"; }

# install_wheel KIND FILE EXTRAS [PIP OPTION...]: the stamp last, so that half an installation is none.
install_wheel() {
  local wheel=$2 extras=$3
  shift 3
  rm -f "$ROOT$WHEEL_STAMP"
  # nvcc is not on the path of root; only a Jetson has one.
  PATH=$PATH:/usr/local/cuda/bin run_python -m pip install --quiet --disable-pip-version-check "$@" "$wheel${extras:+[$extras]}" \
    || die "$FAILED" "pip could not install $wheel. Next: read its words above; offline, give --wheels DIR."
  wheel_stamp "$wheel" "$extras" | replace_file "$WHEEL_STAMP"
}

run_python() { "$ROOT$VENV/bin/python" "$@"; }

# as_service COMMAND...: as the user of the service, with its folders.
as_service() { run runuser -u "$SERVICE_USER" -- env "EDGESAM_CACHE=$ROOT$CACHE_DIR" "$@"; }
