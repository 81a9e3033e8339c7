# A docker daemon of one's own, without network and with plain storage: `dockerd_start`.

dockerd_start() {
    local try
    need dockerd
    need docker
    [ "$(id -u)" -eq 0 ] || skip "a docker daemon needs root"
    export DOCKER_HOST=unix://$WORK/docker.sock DOCKER_CONFIG=$WORK/docker-config
    mkdir -p "$DOCKER_CONFIG"
    dockerd --data-root "$WORK/docker" --exec-root "$WORK/docker-run" -H "$DOCKER_HOST" --pidfile "$WORK/docker.pid" \
        --iptables=false --bridge=none --storage-driver=vfs >"$WORK/dockerd.log" 2>&1 &
    PIDS="$PIDS $!"
    for try in $(seq 120); do
        docker version >/dev/null 2>&1 && return
        sleep 0.25
    done
    tail -n 3 "$WORK/dockerd.log"
    skip "a docker daemon does not start on this machine"
}
