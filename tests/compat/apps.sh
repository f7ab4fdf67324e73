#!/usr/bin/env bash
# Installs a new Next and a new Nest app, as their own documentation says, and asks nodey for
# their first page.  Long, and needs the network: not part of `make test`.
#
#   tests/compat/apps.sh [next] [nest]
#
# NODEY_BIN is the binary, build/nodey if unset.  Exits 1 when an app does not answer, 2 when
# it cannot be installed.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
nodey=$(realpath "${NODEY_BIN:-$root/build/nodey}")
work=$(mktemp -d)
supervisor=

stop() {
    if [ -n "$supervisor" ]; then
        kill "$supervisor" 2>/dev/null || true
        wait "$supervisor" 2>/dev/null || true
        supervisor=
    fi
}
trap 'stop; rm -rf "$work"' EXIT

install() {
    npm install --silent --no-audit --no-fund "$@" || { echo "not run: npm cannot install $*" >&2; exit 2; }
}

make_next() {
    install next@16 react@19 react-dom@19
    mkdir -p app/api/hello
    cat >app/layout.js <<'EOF'
export default function Layout({ children }) {
    return <html><body>{children}</body></html>;
}
EOF
    echo 'export default function Page() { return <h1>hello of Next</h1>; }' >app/page.js
    echo "export function GET() { return Response.json({ hello: 'next' }); }" >app/api/hello/route.js
    NEXT_TELEMETRY_DISABLED=1 npx next build >build.log 2>&1 || { tail -n 20 build.log >&2; exit 2; }
    cat >server.js <<'EOF'
const next = require('next');
const { createServer } = require('node:http');
const app = next({ dev: false });
app.prepare().then(() => createServer(app.getRequestHandler()).listen(3000));
EOF
}

make_nest() {
    install @nestjs/core@11 @nestjs/common@11 @nestjs/platform-express@11 reflect-metadata rxjs
    cat >server.js <<'EOF'
require('reflect-metadata');
const { Controller, Get, Module } = require('@nestjs/common');
const { NestFactory } = require('@nestjs/core');

class Hello {
    page() {
        return '<h1>hello of Nest</h1>';
    }

    hello() {
        return { hello: 'nest' };
    }
}
Controller()(Hello);
for (const [name, path] of [['page', '/'], ['hello', '/api/hello']]) {
    Get(path)(Hello.prototype, name, Object.getOwnPropertyDescriptor(Hello.prototype, name));
}
class Root {}
Module({ controllers: [Hello] })(Root);

NestFactory.create(Root, { logger: false }).then((app) => {
    app.enableShutdownHooks();
    return app.listen(3000);
});
EOF
}

try() {
    local name=$1 port
    mkdir "$work/$name" && cd "$work/$name"
    echo '{ "private": true }' >package.json
    echo "$name: installing ..."
    "make_$name"
    printf '[server]\nlisten = "127.0.0.1:0"\n[workers.web]\nscript = "server.js"\ninstances = 2\n' >nodey.toml
    "$nodey" up >log 2>&1 </dev/null &
    supervisor=$!
    for ((i = 0; i < 300; i++)); do
        port=$(sed -n 's/.*nodey ready on http:\/\/127\.0\.0\.1:\([0-9]*\).*/\1/p' log)
        if [ -n "$port" ] || ! kill -0 "$supervisor" 2>/dev/null; then break; fi
        sleep 0.1
    done
    [ -n "$port" ] || { cat log >&2; exit 1; }
    curl -sS --max-time 30 "http://127.0.0.1:$port/" | grep -qi "hello of $name" || { cat log >&2; echo "$name: no page" >&2; exit 1; }
    curl -sS --max-time 30 "http://127.0.0.1:$port/api/hello" | grep -qx "{\"hello\":\"$name\"}" || { cat log >&2; echo "$name: no answer" >&2; exit 1; }
    stop
    if grep -i 'error' log; then exit 1; fi
    echo "$name: starts, serves and ends"
}

for name in "${@:-next nest}"; do
    # shellcheck disable=SC2116 # the default is two words
    for one in $(echo "$name"); do try "$one"; done
done
