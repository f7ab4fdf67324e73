#!/usr/bin/env bash
# Runs a framework's own tests twice, as they are and through nodey, and compares.
#
#   tests/compat/run.sh CHECKOUT [NAME]
#
# CHECKOUT is a clone of the framework with its dependencies installed (npm install).  NAME is
# what exceptions.txt calls it; without it, the name in its package.json.  NODEY_BIN is the
# binary, build/nodey if unset.  Exits 1 when a result differs and is not in exceptions.txt,
# 2 when the suite cannot be run.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
[ $# -ge 1 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; }
checkout=$(cd "$1" && pwd)
nodey=$(realpath "${NODEY_BIN:-$root/build/nodey}")
limit=${COMPAT_SECONDS:-600}
work=$(mktemp -d)
supervisor=

finish() {
    if [ -n "$supervisor" ]; then
        kill "$supervisor" 2>/dev/null || true
        wait "$supervisor" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap finish EXIT

not_run() {
    printf 'not run: %s: %s\n' "$checkout" "$1" >&2
    exit 2
}

[ -x "$nodey" ] || not_run "$nodey is not there: run make, or set NODEY_BIN"
node "$here/suite.cjs" plan "$checkout" >"$work/plan" 2>"$work/why" || not_run "$(tail -n 1 "$work/why")"
name=${2:-$(node -p 'require(process.argv[1]).name' "$checkout/package.json")}
echo "$name: $(cat "$work/plan")"

# Both runs are the same command; only one of them has the hook before it.
# shellcheck disable=SC2046 # words
flags=$(node "$here/suite.cjs" flags "$checkout")
echo "as it is ..."
(cd "$checkout" && COMPAT_RESULTS=$work/plain.json timeout "$limit" \
    node $flags "$here/suite.cjs" run "$checkout" >"$work/plain.log" 2>&1 </dev/null) || true
[ -s "$work/plain.json" ] || { tail -n 20 "$work/plain.log" >&2; not_run "the suite gives no results by itself"; }

echo "through nodey ..."
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
words=$(printf '"%s", ' node $flags --require "$here/through.cjs" "$here/suite.cjs" run "$checkout")
cat >"$work/nodey.toml" <<EOF
[server]
listen = "127.0.0.1:$port"
trusted_proxies = ["127.0.0.1"]

[workers.suite]
command = [${words%, }]
instances = 1
cwd = "$checkout"
env = { COMPAT_RESULTS = "$work/nodey.json", COMPAT_PORT = "$port" }
EOF
"$nodey" up --config "$work/nodey.toml" >"$work/nodey.log" 2>&1 </dev/null &
supervisor=$!
for ((i = 0; i < limit * 10; i++)); do
    if [ -e "$work/nodey.json.done" ] || ! kill -0 "$supervisor" 2>/dev/null; then break; fi
    sleep 0.1
done
[ -s "$work/nodey.json" ] || { tail -n 20 "$work/nodey.log" >&2; not_run "the suite gives no results through nodey"; }
if [ -n "${COMPAT_KEEP:-}" ]; then cp "$work"/*.json "$work"/*.log "$COMPAT_KEEP"; fi

node "$here/compare.cjs" "$name" "$work/plain.json" "$work/nodey.json" "$here/exceptions.txt"
