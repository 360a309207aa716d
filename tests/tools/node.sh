# node.sh: start and stop a dev node on a port of its own, for the suites that need one. Sourced after scripts/common.sh.

NODE_PID= NODE_URL= NODE_WS= NODE_KEY= NODE_LOG=

# node_start LOG [dev options ...]: returns when the node listens; sets NODE_PID, NODE_URL, NODE_WS, NODE_KEY.
node_start() {
    NODE_LOG=$1
    shift
    : >"$NODE_LOG" # now: the node's shell may be slow, and the log of an earlier node says that it listens
    # A suite may run where these signals are ignored, as under nohup: the node would inherit that.
    env --default-signal=HUP,INT build/samebit dev --port 0 "$@" >"$NODE_LOG" 2>&1 &
    NODE_PID=$!
    wait_for 60 node_says 'Listening on ' || true
    NODE_URL=$(sed -nE 's/.*Listening on (http:[^ ]*).*/\1/p' "$NODE_LOG" | head -n 1)
    NODE_KEY=$(sed -nE 's/.*Private key 0: (0x[0-9a-f]{64}).*/\1/p' "$NODE_LOG" | head -n 1)
    NODE_WS=${NODE_URL/http/ws}
    [ -n "$NODE_URL" ] && [ -n "$NODE_KEY" ] || { tail -n 20 "$NODE_LOG"; return 1; }
}

# node_says TEXT: the log has it, or the node is no more.
node_says() { grep -q -- "$1" "$NODE_LOG" || ! kill -0 "$NODE_PID" 2>/dev/null; }

# node_stop: ask the node to end and wait for it; fails if it ended with an error.
node_stop() {
    [ -n "$NODE_PID" ] || return 0
    kill -INT "$NODE_PID" 2>/dev/null || true
    local status=0
    wait "$NODE_PID" || status=$?
    NODE_PID=
    return $status
}
trap 'node_stop >/dev/null 2>&1 || true' EXIT
