# Runs steps one after another, keeps their logs, and sums up.

RESULTS=""
PASSED=0
FAILED=0
SKIPPED=0
SUMMARY=""
# A step that cannot run here exits with this, having said why in its last line.
SKIP=77

results_begin() {
    RESULTS=$(mktemp -d "${TMPDIR:-/tmp}/mcr-results-XXXXXX")
    echo "logs are in $RESULTS"
}

# results_step NAME SECONDS COMMAND…
results_step() {
    local name=$1 seconds=$2 log=$RESULTS/$1.log began=$SECONDS status verdict
    shift 2
    printf '%-12s ' "$name"
    timeout --kill-after=30 "$seconds" "$@" >"$log" 2>&1 </dev/null
    status=$?
    case $status in
    0)
        verdict=passed
        PASSED=$((PASSED + 1))
        ;;
    "$SKIP")
        verdict="SKIPPED: $(tail -n 1 "$log")"
        SKIPPED=$((SKIPPED + 1))
        ;;
    124 | 137)
        verdict="FAILED: not over after $seconds s"
        FAILED=$((FAILED + 1))
        ;;
    *)
        verdict="FAILED with status $status"
        FAILED=$((FAILED + 1))
        ;;
    esac
    echo "$verdict ($((SECONDS - began)) s)"
    printf '%s\t%s\n' "$name" "$verdict" >>"$RESULTS/verdicts"
    case $verdict in
    FAILED*) tail -n 60 "$log" | sed 's/^/    | /' ;;
    esac
    # What a test could not do on this machine is said aloud, also when the rest of its step passed.
    grep -h -o 'SKIPPED: .*' "$log" | sort -u | sed 's/^/    /'
    SUMMARY="$SUMMARY$(printf '%-12s %s' "$name" "$verdict")
"
}

results_end() {
    echo
    printf '%s' "$SUMMARY"
    echo
    echo "$PASSED passed, $FAILED failed, $SKIPPED skipped"
    [ "$FAILED" -eq 0 ]
}
