#!/bin/sh
# Installs the servers and tools that the tests start by themselves, if any is missing: `ensure-servers.sh [PACKAGE...]`.
# Idempotent, and quick when all is there. As root or with password-less sudo it installs them without letting Debian start
# their services; otherwise it prints the one line that does, and fails.
set -eu

missing=
need() { # PACKAGE PATTERN: some file must match the pattern
    for file in $2; do
        [ -e "$file" ] && return 0
    done
    missing="$missing $1"
}
for package in ${*:-rabbitmq-server postgresql redis-server prometheus haproxy chromium python3-venv curl}; do
    case $package in
    rabbitmq-server) need rabbitmq-server '/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server' ;;
    postgresql) need postgresql '/usr/lib/postgresql/*/bin/postgres' ;;
    redis-server) need redis-server /usr/bin/redis-server ;;
    prometheus) need prometheus /usr/bin/prometheus ;;
    haproxy) need haproxy /usr/sbin/haproxy ;;
    chromium) need chromium /usr/bin/chromium ;;
    # Debian's Python leaves these modules out; any python3 that has them will do.
    python3-venv) python3 -c 'import venv, ensurepip' 2>/dev/null || missing="$missing python3-venv" ;;
    curl) command -v curl >/dev/null || missing="$missing curl" ;;
    *)
        echo "ensure-servers.sh: unknown package $package" >&2
        exit 2
        ;;
    esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=
elif sudo -n true 2>/dev/null; then
    as_root='sudo -n'
else
    echo "Something that the tests need is missing. Install it with:" >&2
    echo "    sudo apt-get install -y --no-install-recommends$missing" >&2
    exit 1
fi
echo "installing:$missing" >&2

# Debian asks this file before it starts a service; 101 says no. One that is there already is kept and put back.
policy=/usr/sbin/policy-rc.d
kept=$policy.before-holdfast
put_back() {
    $as_root rm -f "$policy"
    if [ -e "$kept" ]; then $as_root mv "$kept" "$policy"; fi
}
trap put_back EXIT
trap 'exit 130' INT TERM HUP
# After a run that was killed, $policy is ours and $kept is theirs.
if [ -e "$policy" ] && [ ! -e "$kept" ]; then $as_root mv "$policy" "$kept"; fi
printf '#!/bin/sh\nexit 101\n' | $as_root sh -c "cat >'$policy' && chmod 755 '$policy'"

# Package lists may be stale or absent: refresh them only when they have to be.
install() {
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >&2
}
install || { $as_root apt-get update -q >&2 && install; }
