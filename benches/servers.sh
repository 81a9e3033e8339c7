# The servers: `server_start NAME` starts one on a free port with an empty or its old directory, `server_end NAME` ends it,
# `server_wipe NAME` makes it forget everything.
#
# For each it sets URL[NAME], PIDS[NAME] (with commas), AUTH[NAME] and USER_OF[NAME]. Names that end in -tls speak TLS.
# Peers have no authentication, which costs them nothing; MCR has none to switch off, and gets a token.

declare -A URL PIDS AUTH USER_OF STARTED

# Peers that are on this machine.
PEERS=""
find_peers() {
    if command -v docker-registry >/dev/null; then PEERS="$PEERS debian"; else skipped "Debian's docker-registry"; fi
    if [ -x "$TOOLS/registry" ]; then PEERS="$PEERS v3"; else skipped "CNCF Distribution v3"; fi
    if command -v nginx >/dev/null; then NGINX=nginx; else skipped nginx; fi
}

skipped() { echo "SKIPPED: $1 is not on this machine: benches/install installs it"; }

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# A certificate like the one that MCR makes for itself: ECDSA on P-256.
make_certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$WORK/tls.key" -out "$WORK/tls.crt" \
        -days 7 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>"$WORK/openssl.log" ||
        die "no certificate: $(cat "$WORK/openssl.log")"
}

# await NAME COMMAND…: until the command succeeds; the server must not end meanwhile.
await() {
    local name=$1 try
    shift
    for try in $(seq 600); do
        "$@" >/dev/null 2>&1 && return
        kill -0 "${PIDS[$name]%%,*}" 2>/dev/null || die "$name ended: $(tail -n 5 "$WORK/$name.log")"
        sleep 0.05
    done
    die "$name did not start: $(tail -n 5 "$WORK/$name.log")"
}

# server_start NAME [NAME=VALUE…]: variables are for MCR.
server_start() {
    local name=$1 scheme=http
    shift
    case $name in *-tls) scheme=https ;; esac
    case $name in
    mcr | mcr-tls) start_mcr "$name" "$scheme" "$WORK/$name" "$@" ;;
    debian | debian-tls) start_distribution "$name" "$scheme" docker-registry ;;
    v3 | v3-tls) start_distribution "$name" "$scheme" "$TOOLS/registry" ;;
    constant) start_constant ;;
    nginx) start_nginx ;;
    *) die "there is no server $name" ;;
    esac
    STARTED[$name]=1
}

# start_mcr NAME SCHEME DIRECTORY [NAME=VALUE…]
start_mcr() {
    local name=$1 scheme=$2 data=$3 plain=""
    shift 3
    [ "$scheme" = http ] && plain=--http
    : >"$WORK/$name.out"
    env MCR_LOG_LEVEL=warn MCR_AUTH_TOKEN_TTL=24h "$@" "$MCRSRV" dev --data "$data" --listen 127.0.0.1:0 $plain \
        >"$WORK/$name.out" 2>>"$WORK/$name.log" &
    PIDS[$name]=$!
    await "$name" grep -q '^listening on ' "$WORK/$name.out"
    URL[$name]=$(sed -n 's/^listening on //p' "$WORK/$name.out" | head -n 1)
    AUTH[$name]=token
    USER_OF[$name]=admin:$(cat "$data/admin-password")
}

# start_distribution NAME SCHEME PROGRAM
start_distribution() {
    local name=$1 scheme=$2 program=$3 port tls=""
    port=$(free_port)
    [ "$scheme" = https ] && tls=", tls: {certificate: $WORK/tls.crt, key: $WORK/tls.key}"
    cat >"$WORK/$name.yml" <<YML
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: $WORK/$name}
  delete: {enabled: true}
  cache: {blobdescriptor: inmemory}
  maintenance: {uploadpurging: {enabled: false}}
http: {addr: "127.0.0.1:$port"$tls}
YML
    OTEL_TRACES_EXPORTER=none "$program" serve "$WORK/$name.yml" >>"$WORK/$name.log" 2>&1 &
    PIDS[$name]=$!
    URL[$name]=$scheme://127.0.0.1:$port
    AUTH[$name]=none
    USER_OF[$name]=none:none
    await "$name" curl -skf "${URL[$name]}/v2/"
}

start_constant() {
    : >"$WORK/constant.out"
    "$BIN/constant" --workers "$(nproc)" --bytes "${MANIFEST_BYTES:-713}" >"$WORK/constant.out" 2>"$WORK/constant.log" &
    PIDS[constant]=$!
    await constant grep -q '^listening on ' "$WORK/constant.out"
    URL[constant]=$(sed -n 's/^listening on //p' "$WORK/constant.out")
    AUTH[constant]=none
    USER_OF[constant]=none:none
}

# One nginx with three faces over the files of MCR's blobs: nginx-sendfile, nginx (without) and nginx-tls.
start_nginx() {
    local sendfile plain tls face user=""
    sendfile=$(free_port) plain=$(free_port) tls=$(free_port)
    [ "$(id -u)" -eq 0 ] && user="user root;"
    cat >"$WORK/nginx.conf" <<CONF
$user
daemon off;
worker_processes $(nproc);
pid $WORK/nginx.pid;
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path $WORK/nginx-body; proxy_temp_path $WORK/nginx-proxy; fastcgi_temp_path $WORK/nginx-fastcgi;
    uwsgi_temp_path $WORK/nginx-uwsgi; scgi_temp_path $WORK/nginx-scgi;
    tcp_nopush on;
    output_buffers 2 256k;
    root $WORK/mcr/layers;
    server { listen 127.0.0.1:$sendfile; sendfile on; }
    server { listen 127.0.0.1:$plain; sendfile off; }
    server {
        listen 127.0.0.1:$tls ssl; sendfile off;
        ssl_certificate $WORK/tls.crt; ssl_certificate_key $WORK/tls.key; ssl_protocols TLSv1.3;
    }
}
CONF
    nginx -c "$WORK/nginx.conf" -e "$WORK/nginx.log" 2>>"$WORK/nginx.log" &
    PIDS[nginx]=$!
    await nginx curl -s "http://127.0.0.1:$plain/"
    PIDS[nginx]=$(printf '%s\n' "${PIDS[nginx]}" $(pgrep -P "${PIDS[nginx]}") | paste -sd,)
    URL[nginx]=http://127.0.0.1:$plain
    URL[nginx-sendfile]=http://127.0.0.1:$sendfile
    URL[nginx-tls]=https://127.0.0.1:$tls
    for face in nginx nginx-sendfile nginx-tls; do
        PIDS[$face]=${PIDS[nginx]} AUTH[$face]=none USER_OF[$face]=none:none
    done
}

# Asks a process of ours to end, and makes it after twenty seconds.
end_process() {
    local pid=$1 try
    kill "$pid" 2>/dev/null || return 0
    for try in $(seq 200); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    return 0
}

server_end() {
    [ -n "${STARTED[$1]:-}" ] || return 0
    end_process "${PIDS[$1]%%,*}"
    unset "STARTED[$1]"
}

# server_wipe NAME: starts it again with nothing in it.
server_wipe() {
    server_end "$1"
    rm -rf "${WORK:?}/$1"
    server_start "$1"
}

servers_end() {
    local name
    for name in "${!STARTED[@]}"; do
        server_end "$name"
    done
}
