# The workloads of the issue of benchmarks, by their letters: `workload_LETTER`. Each takes turns between the servers.

# The servers of a face, MCR first: peers plain, or with TLS.
plain() { echo mcr $PEERS; }
tls() { echo mcr-tls ${PEERS:+$(printf '%s-tls ' $PEERS)}; }
with_peers() { case $1 in *tls) tls ;; *) plain ;; esac; }

# start_all NAME…
start_all() {
    local name
    for name in "$@"; do
        [ -n "${STARTED[$name]:-}" ] || server_start "$name"
    done
}

# seed NAME…: pushes what is asked for; sets MANIFEST, BLOB, and with LARGE_BYTES also LARGE and LAYERS.
seed() {
    local name seeded
    for name in "$@"; do
        seeded=$(BENCH_USER=${USER_OF[$name]} "$BIN/load" seed --url "${URL[$name]}" --auth "${AUTH[$name]}" \
            --bytes "${LARGE_BYTES:-0}" --layer-bytes "$LAYER") || die "$name could not be filled"
    done
    eval "$(python3 - "$seeded" <<'PY'
import json, sys
seeded = json.loads(sys.argv[1])
print(f"MANIFEST={seeded['manifest']} BLOB={seeded['blob']} MANIFEST_BYTES={seeded['manifest_bytes']}")
print(f"LARGE={seeded.get('large', '')} LAYERS='{' '.join(seeded.get('layers', []))}'")
PY
)"
}

# measure WORKLOAD VARIANT SERVER SUBCOMMAND…: one run of the load program, and a line of results.
measure() {
    local workload=$1 variant=$2 server=$3 line status=0
    shift 3
    line=$(BENCH_USER=${USER_OF[$server]:-} "$BIN/load" "$@" 2>"$WORK/load.log") || status=$?
    record "$workload" "$variant" "$server" "$line" "$status"
}

# ask WORKLOAD VARIANT SERVER SUBCOMMAND…: the same against a server.
ask() {
    local server=$3 head=("$1" "$2" "$3" "$4")
    shift 4
    measure "${head[@]}" --url "${URL[$server]}" --auth "${AUTH[$server]}" --pid "${PIDS[$server]}" "$@"
}

# record WORKLOAD VARIANT SERVER JSON STATUS
record() {
    DONE=$((DONE + 1))
    python3 benches/table.py record "$RESULTS" "$ROUND" "$@"
    if [ "$5" -ne 0 ]; then
        FAILURES=$((FAILURES + 1))
        sed 's/^/    | /' "$WORK/load.log"
    fi
}

# rounds COUNT COMMAND… SERVER-LIST: the command for each server in turn, forward and backward.
rounds() {
    local count=$1 servers=$2 server order
    shift 2
    for ROUND in $(seq "$count"); do
        order=$servers
        [ $((ROUND % 2)) -eq 0 ] && order=$(printf '%s\n' $servers | tac)
        for server in $order; do
            "$@" "$server"
        done
    done
}

ACCEPT=application/vnd.oci.image.manifest.v1+json

# awake COMMAND…: while no processor falls asleep. On a virtual machine to wake one takes longer than a request, and a client
# with one connection would measure mostly that. What keeps them awake runs only where nothing else wants to.
awake() {
    local status=0 number
    for number in $(seq "$(nproc)"); do
        chrt --idle 0 bash -c 'while :; do :; done' &
        SPINNERS+=($!)
    done
    "$@" || status=$?
    awake_end
    return $status
}

SPINNERS=()
awake_end() {
    [ ${#SPINNERS[@]} -eq 0 ] && return
    kill "${SPINNERS[@]}" 2>/dev/null
    wait "${SPINNERS[@]}" 2>/dev/null
    SPINNERS=()
}

# fixed WORKLOAD VARIANT METHOD PATH CONNECTIONS [OPTION…] SERVER
fixed() {
    local server=${*: -1} workload=$1 variant=$2 method=$3 path=$4 connections=$5
    set -- "${@:6:$#-6}"
    local how=""
    case $server in nginx*) path=/sha256/${BLOB:7:2}/${BLOB:7} ;; esac
    [ "$connections" -eq 1 ] && how=awake
    $how ask "$workload" "$variant" "$server" request --method "$method" --path "$path" --accept "$ACCEPT" \
        --connections "$connections" --seconds "$SECONDS_EACH" "$@"
}

workload_a() {
    local method by reference connections
    start_all $(plain)
    seed $(plain)
    start_all constant
    for method in GET HEAD; do
        for by in tag digest; do
            reference=latest
            [ $by = digest ] && reference=$MANIFEST
            for connections in $CONNECTIONS; do
                rounds "$ROUNDS" "$(plain) constant" fixed a "$method by $by, $connections" "$method" \
                    "/v2/bench/small/manifests/$reference" "$connections"
            done
        done
    done
    server_end constant
}

workload_b() {
    local connections
    start_all $(plain)
    seed $(plain)
    start_all constant $NGINX
    for connections in $CONNECTIONS; do
        rounds "$ROUNDS" "$(plain) constant $NGINX" fixed b "HEAD, $connections" HEAD "/v2/bench/small/blobs/$BLOB" \
            "$connections"
    done
    server_end constant
    server_end nginx
}

# pull VARIANT AT_ONCE REPEAT DIGESTS SERVER
pull() {
    local variant=$1 at_once=$2 repeat=$3 digests=$4 server=$5 digest repository=bench/large paths=()
    [ "${digests#* }" != "$digests" ] && repository=bench/layers
    for digest in $digests; do
        case $server in
        nginx*) paths+=(--path "/sha256/${digest:7:2}/${digest:7}") ;;
        *) paths+=(--path "/v2/$repository/blobs/$digest") ;;
        esac
    done
    ask c "$variant" "$server" pull --at-once "$at_once" --repeat "$repeat" "${paths[@]}"
}

workload_c() {
    local face at_once repeat servers
    start_all $(plain) $(tls)
    LARGE_BYTES=$LARGE_EACH seed $(plain) $(tls)
    start_all $NGINX
    for face in plain tls; do
        servers=$(with_peers $face)
        if [ -n "$NGINX" ] && [ $face = tls ]; then servers="$servers nginx-tls"; fi
        if [ -n "$NGINX" ] && [ $face = plain ]; then servers="$servers nginx nginx-sendfile"; fi
        for at_once in $AT_ONCE; do
            repeat=4
            [ $at_once -gt 1 ] && repeat=1
            rounds "$ROUNDS" "$servers" pull "a large blob, $at_once, $face" $at_once $repeat "$LARGE"
            rounds "$ROUNDS" "$servers" pull "ten layers, $at_once, $face" $at_once $repeat "$LAYERS"
        done
    done
    server_end nginx
}

# push VARIANT HOW AT_ONCE SERVER: to an empty registry each time, when the disk is quiet.
push() {
    server_wipe "$4"
    sync
    ask d "$1" "$4" push --how "$2" --at-once "$3" --bytes "$LARGE_EACH"
    server_end "$4"
    rm -rf "${WORK:?}/$4"
}

# limit_upload VARIANT AT_ONCE FACE limit
limit_upload() {
    local options=()
    [ "$3" = tls ] && options=(--certificate "$WORK/tls.crt" --key "$WORK/tls.key")
    sync
    measure d "$1" "$4" limit upload --at-once "$2" --bytes "$LARGE_EACH" --directory "$WORK" "${options[@]}"
}

workload_d() {
    local face how at_once count
    servers_end
    for face in plain tls; do
        for at_once in $AT_ONCE; do
            count=$ROUNDS
            [ $at_once -gt 1 ] && [ "$count" -gt 3 ] && count=3
            for how in patch chunks put; do
                rounds "$count" "$(with_peers $face)" push "$how, $at_once, $face" $how $at_once
                rounds "$count" limit limit_upload "$how, $at_once, $face" $at_once $face
            done
        done
    done
}

# small WORKLOAD VARIANT CLIENTS PRESENT SERVER
small() {
    ask "$1" "$2" "$5" images --clients "$3" --present "$4" --seconds "$SECONDS_EACH" ${SHORT:+--count 1}
}

workload_e() {
    local clients
    start_all $(plain)
    for clients in $CONNECTIONS; do
        rounds "$ROUNDS" "$(plain)" small e "$clients clients" $clients no
    done
}

workload_f() {
    local clients present
    start_all $(plain)
    for present in head mount; do
        for clients in $CONNECTIONS; do
            rounds "$ROUNDS" "$(plain)" small f "$present, $clients clients" $clients $present
        done
    done
}

workload_g() {
    local connections
    # nginx serves the files of the registry without TLS.
    start_all mcr $(tls)
    seed mcr $(tls)
    start_all $NGINX
    for connections in ${CONNECTIONS% 64}; do
        rounds "$ROUNDS" "$(tls)${NGINX:+ nginx-tls}" fixed g "GET by tag, $connections" GET \
            /v2/bench/small/manifests/latest $connections --fresh
    done
    server_end nginx
}

# known VARIANT AUTH PATH SERVER
known() {
    local before=${AUTH[$4]}
    AUTH[$4]=$2
    fixed h "$1" GET "$3" 16 "$4"
    AUTH[$4]=$before
}

workload_h() {
    start_all mcr
    seed mcr
    rounds "$ROUNDS" mcr both_ways
    rounds "$ROUNDS" mcr known "token exchange" basic "/v2/token?service=mcr"
}

both_ways() {
    known "token" token /v2/bench/small/manifests/latest "$1"
    known "Basic" basic /v2/bench/small/manifests/latest "$1"
}

# populated NAME OPTION…: a registry of this name that was filled on disk.
populated() {
    local name=$1
    shift
    [ -d "$WORK/$name" ] && return
    mkdir -p "$WORK/$name"
    echo "filling a registry: $*"
    "$BIN/populate" --data "$WORK/$name" "$@" 2>"$WORK/populate.log" || die "populate: $(tail -n 3 "$WORK/populate.log")"
}

few() { populated few --blobs 100 --manifests 10 --repositories 10; }
many() {
    populated many --blobs "$MANY_BLOBS" --manifests $((MANY_BLOBS / 10)) --repositories "$MANY" \
        --tags 10 --tags $((MANY / 10)) --tags "$MANY" --referrers 10 --referrers $((MANY / 10))
}

# start_populated NAME [NAME=VALUE…]
start_populated() {
    local name=$1
    shift
    start_mcr "$name" http "$WORK/$name" "$@"
    STARTED[$name]=1
}

# page VARIANT PATH SERVER: one after another, so that what is measured is the page.
page() { fixed i "$1" GET "$2" 1 "$3"; }

workload_i() {
    local count subject
    few
    many
    start_populated few
    start_populated many
    # The manifest that all repositories without one of their own share is the subject.
    subject=$(curl -s -I -u "${USER_OF[many]}" -H "Accept: $ACCEPT" \
        "${URL[many]}/v2/populated/referrers-10/manifests/subject" | tr -d '\r' | sed -n 's/^docker-content-digest: //Ip')
    for ROUND in $(seq "$ROUNDS"); do
        for count in 10 $((MANY / 10)) "$MANY"; do
            page "tags, n=10 of $count" "/v2/populated/tags-$count/tags/list?n=10" many
        done
        for count in $((MANY / 10)) "$MANY"; do
            page "tags, n=1000 of $count" "/v2/populated/tags-$count/tags/list?n=1000" many
        done
        page "catalog, n=10 of 10" "/v2/_catalog?n=10" few
        page "catalog, n=10 of $MANY" "/v2/_catalog?n=10" many
        for count in 10 $((MANY / 10)); do
            page "referrers, n=10 of $count" "/v2/populated/referrers-$count/referrers/$subject?n=10" many
        done
    done
    server_end few
    server_end many
}

# beside WHAT SUBCOMMAND…: without a sweep, and with one that removes the garbage of a fresh registry.
beside() {
    local what=$1
    shift
    server_end garbage
    rm -rf "$WORK/garbage"
    populated garbage --blobs $((GARBAGE * 2)) --manifests $((GARBAGE / 5)) --garbage 50
    start_populated garbage
    seed garbage
    ask j "$what, no sweep" garbage "$@" --seconds "$BESIDE"
    ask j "$what, sweep" garbage "$@" --seconds 900 --sweep
    sed 's/^/    /' "$WORK/load.log"
    server_end garbage
    rm -rf "$WORK/garbage"
}

workload_j() {
    for ROUND in $(seq $((ROUNDS > 3 ? 3 : ROUNDS))); do
        beside "GET by tag, 16" request --path /v2/bench/small/manifests/latest --accept "$ACCEPT" --connections 16
        beside "push of images, 16" images --clients 16
    done
}

# swept PERCENT: one sweep of a large registry of which so much is garbage, from its start to its end.
swept() {
    rm -rf "$WORK/garbage"
    populated garbage --blobs "$MANY_BLOBS" --manifests $((MANY_BLOBS / 10)) --garbage "$1"
    start_populated garbage
    ask sweep "$MANY_BLOBS blobs, $1 % garbage" garbage sweep
    server_end garbage
    rm -rf "$WORK/garbage"
}

workload_sweep() {
    local percent
    ROUND=1
    for percent in 1 10 50; do
        swept $percent
    done
}

workload_k() {
    local age
    many
    server_end many
    for ROUND in $(seq "$ROUNDS"); do
        for age in warm cold; do
            if [ $age = cold ]; then
                sync
                [ -n "$SHORT" ] && continue
                # Only root may make the machine forget what it has read.
                echo 3 2>/dev/null >/proc/sys/vm/drop_caches || continue
            fi
            MCR_LOG_LEVEL=warn measure k "$MANY_BLOBS blobs, $age" mcr startup -- "$MCRSRV" dev --http --data \
                "$WORK/many" --listen 127.0.0.1:0
        done
    done
}

# idle SERVER: a second after its start, with nothing in it.
idle() {
    server_wipe "$1"
    sleep 1
    resident "l" "idle" "$1"
    server_end "$1"
}

# resident WORKLOAD VARIANT SERVER
resident() {
    local pages
    pages=$(awk '{print $2}' "/proc/${PIDS[$3]%%,*}/statm")
    : >"$WORK/load.log"
    record "$1" "$2" "$3" "{\"errors\": 0, \"rss_after\": $((pages * $(getconf PAGE_SIZE)))}" 0
}

# syncs SERVER: how many times it waits for the disk for an image, by strace.
syncs() {
    local tracer calls
    start_all "$1"
    strace -f -c -e trace=fsync,fdatasync,sync_file_range,syncfs,sync,msync -o "$WORK/strace" -p "${PIDS[$1]}" \
        2>"$WORK/strace.log" &
    tracer=$!
    sleep 1
    ask l "pushed while counted, 1 client" "$1" images --clients 1 --count "$COUNTED"
    kill -INT "$tracer"
    wait "$tracer" 2>/dev/null
    calls=$(awk '$NF ~ /sync/ {sum += $4} END {print sum + 0}' "$WORK/strace")
    : >"$WORK/load.log"
    record l "syncs for an image" "$1" "{\"errors\": 0, \"syncs\": $calls, \"operations\": $COUNTED}" 0
}

churn() {
    server_end mcr
    rm -rf "$WORK/mcr"
    server_start mcr MCR_GC_INTERVAL=30s MCR_GC_GRACE=10s
    ask l "churn for $CHURN s" mcr images --clients 4 --churn --seconds "$CHURN"
    server_end mcr
    rm -rf "$WORK/mcr"
}

workload_l() {
    local server
    servers_end
    rounds "$ROUNDS" "$(plain)" idle
    ROUND=1
    if command -v strace >/dev/null; then
        for server in $(plain); do
            syncs "$server"
        done
    else
        skipped strace
    fi
    churn
}

workload_machine() {
    for ROUND in $(seq "$ROUNDS"); do
        for at_once in 1 2; do
            measure machine "sha256, $at_once" limit limit sha256 --at-once $at_once --seconds "$SECONDS_EACH"
        done
        for at_once in 1 16; do
            measure machine "fsync of 4 KiB, $at_once" limit limit fsync --at-once $at_once --seconds "$SECONDS_EACH" \
                --directory "$WORK"
        done
    done
}
