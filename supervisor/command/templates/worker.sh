#!/bin/sh
# GET /@NAME@?name=Ann answers {"hello":"Ann"}: a worker reads a line and prints one.
# Whatever it prints to stdout is an answer; stderr is its log.
echo '{"type":"ready","routes":[{"path":"/@NAME@","method":"get"}]}'

# The value of a parameter of the query, only of letters and digits: what a client sent
# must never be printed as it came.
param() {
    printf '%s\n' "$line" | sed -n "s/.*\"query\":\"\\([^\"]*&\\)*$1=\\([A-Za-z0-9]*\\).*/\\2/p"
}

while IFS= read -r line; do
    id=$(printf '%s\n' "$line" | sed -n 's/^{"id":\([0-9]*\).*/\1/p')
    [ -n "$id" ] || continue
    name=$(param name)
    echo "somebody says hello: ${name:-world}" >&2
    printf '{"id":%s,"json":{"hello":"%s"}}\n' "$id" "${name:-world}"
done
