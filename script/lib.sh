# Shared by script/demo and script/test: builds the environment in .venv from the hashed lock files.
# Needs Python 3.11 or newer with pip; script/test also needs root for apt (Chromium, Node, PostgreSQL, ClickHouse and ZooKeeper, which tests drive).

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
fail() { printf '%s\n' "$*" >&2; exit 1; }

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.11 python3 python; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  fail "Python 3.11 or newer was not found. Install it, or name it: PYTHON=/path/to/python3.11 $0"
}

stamp_of() { cat "$1" pyproject.toml | sha256sum | cut -d' ' -f1; }

# set_up LOCK: brings uv by pip, then makes .venv hold exactly what LOCK names, and Cliffwatch itself.
# An environment for development holds all that is needed to run, so the demo leaves it as it is.
set_up() {
  local lock=$1 python stamp present
  python=$(find_python)
  stamp=$(stamp_of "$lock")
  present=$(cat .venv/.cliffwatch-lock 2>/dev/null || true)
  if [ "$present" = "$stamp" ] || [ "$present" = "$(stamp_of requirements-dev.lock)" ]; then return; fi
  say "Setting up the Python environment in .venv (once)"
  if [ ! -x .cache/uv/bin/uv ]; then
    "$python" -m pip --version >/dev/null 2>&1 || fail "$python has no pip. Install it (Debian: apt install python3-pip)."
    "$python" -m pip install --quiet --target .cache/uv uv
  fi
  [ -x .venv/bin/python ] || .cache/uv/bin/uv venv --quiet --python "$python" .venv
  .cache/uv/bin/uv pip sync --quiet --python .venv/bin/python --require-hashes "$lock"
  .cache/uv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --editable .
  echo "$stamp" > .venv/.cliffwatch-lock
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# apt_install COMMAND PACKAGE...: installs the packages when COMMAND is not there.
apt_install() {
  local command=$1
  shift
  command -v "$command" >/dev/null 2>&1 && return
  say "Installing $* with apt"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# without_services COMMAND...: runs it while Debian's packages may not start services; the tests start servers of their own.
without_services() {
  local policy=/usr/sbin/policy-rc.d
  if [ -e "$policy" ]; then "$@"; return; fi
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
  as_root chmod 755 "$policy"
  "$@" || { as_root rm -f "$policy"; return 1; }
  as_root rm -f "$policy"
}
