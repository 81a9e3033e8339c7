# A registry of one's own for a shell test: `server_start tls|http [NAME=VALUE…]`, and everything is gone at the end.
#
# Sets REGISTRY (host:port), CA, PASSWORD (of admin), WORK (a directory for the test) and SERVER_DATA.
set -u

WORK=$(mktemp -d "${TMPDIR:-/tmp}/mcr-client-XXXXXX")
PIDS=""
SERVER_PID=""

# Runs at the end: ends what was started, by process id, and removes what was made.
cleanup() {
    local pid
    for pid in $PIDS; do
        end_process "$pid"
    done
    for directory in $(awk -v work="$WORK" '$2 ~ "^" work {print $2}' /proc/mounts | sort -r); do
        umount -l "$directory" 2>/dev/null
    done
    rm -rf "$WORK"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# Asks a process of ours to end, and makes it after ten seconds.
end_process() {
    local pid=$1 try
    kill "$pid" 2>/dev/null || return 0
    for try in $(seq 100); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null
}

skip() {
    echo "$*"
    exit 77
}

fail() {
    echo "FAILED: $*" >&2
    echo "--- the registry's log" >&2
    tail -n 30 "$WORK"/server-*.log >&2 2>/dev/null
    exit 1
}

# client NAME VERSION: who is tried, for the table of clients.
client() { printf 'client: %s|%s\n' "$1" "$2"; }

# say WHAT: the next check, so that a failure can be placed.
say() { echo "== $*"; }

need() {
    command -v "$1" >/dev/null 2>&1 || skip "$1 is not on this machine and could not be installed"
}

# equal WHAT FOUND EXPECTED
equal() {
    [ "$2" = "$3" ] || fail "$1: found '$2', expected '$3'"
}

server_start() {
    local mode=$1 plain="" out try
    shift
    [ "$mode" = http ] && plain=--http
    SERVER_DATA=${SERVER_DATA:-$WORK/data-$mode}
    out=$WORK/server-$mode.out
    : >"$out"
    env MCR_LOG_LEVEL=debug "$@" "$MCRSRV" dev --data "$SERVER_DATA" --listen 127.0.0.1:0 $plain \
        >"$out" 2>>"$WORK/server-$mode.log" &
    SERVER_PID=$!
    PIDS="$PIDS $SERVER_PID"
    for try in $(seq 300); do
        grep -q '^listening on ' "$out" && break
        kill -0 "$SERVER_PID" 2>/dev/null || fail "the registry did not start"
        sleep 0.1
    done
    REGISTRY=$(sed -n 's,^listening on https*://,,p' "$out" | head -n 1)
    [ -n "$REGISTRY" ] || fail "the registry did not say where it listens"
    CA=$SERVER_DATA/tls/ca.crt
    PASSWORD=$(cat "$SERVER_DATA/admin-password")
    say "$mode: the registry listens on $REGISTRY"
}

server_stop() {
    end_process "$SERVER_PID"
    unset SERVER_DATA
}

# ask METHOD PATH [curl options…]: the answer's body, as the administrator.
ask() {
    local method=$1 path=$2 scheme=https
    shift 2
    [ -f "$CA" ] || scheme=http
    set -- -s -u "admin:$PASSWORD" -X "$method" "$@"
    [ "$method" = HEAD ] && set -- -I "$@"
    [ "$scheme" = https ] && set -- --cacert "$CA" "$@"
    curl "$@" "$scheme://$REGISTRY$path"
}

# api METHOD PATH [curl options…]: the answer's status.
api() { ask "$@" -o /dev/null -w '%{http_code}'; }

# with_token MODE: whoever spoke to the registry asked for a token with the password, and was given it.
with_token() {
    # Lines are written a moment later.
    sleep 0.2
    grep -q ' /v2/token .* principal=admin .* status=200 ' "$WORK/server-$1.log" || fail "no token was asked for"
}

# mounted MODE REPOSITORY: its layers came from another repository, and no more than small configurations was sent to it.
mounted() {
    local log=$WORK/server-$1.log sent
    sleep 0.2
    grep -q " POST /v2/$2/blobs/uploads/ .* status=201 received=0 " "$log" || fail "nothing was mounted into $2"
    sent=$(sed -n "s,.* P[A-Z]* /v2/$2/blobs/uploads/.* received=\([0-9]*\) .*,\1,p" "$log" |
        awk '{sum += $1} END {print sum + 0}')
    [ "$sent" -lt 4000 ] || fail "$sent bytes were sent to $2, which should have been mounted"
}

# random_tar FILE BYTES: a layer with a file that no other layer has.
random_tar() {
    local directory
    directory=$(mktemp -d "$WORK/layer-XXXXXX")
    head -c "$2" /dev/urandom >"$directory/content"
    tar -C "$directory" -cf "$1" content
    rm -rf "$directory"
}
