#!/bin/sh
# A worker in sh, without an SDK: says that it is ready, then answers each line with one
# line.  GET /level0?name=Ann answers {"hello":"Ann"}.
echo '{"type":"ready","routes":[{"path":"/level0"}]}'

while IFS= read -r line; do
    id=$(printf '%s\n' "$line" | sed -n 's/^{"id":\([0-9]*\).*/\1/p')
    [ -n "$id" ] || continue
    # Only letters and digits: what a client sent is never printed as it came.
    name=$(printf '%s\n' "$line" | sed -n 's/.*"query":"name=\([A-Za-z0-9]*\)".*/\1/p')
    printf '{"id":%s,"json":{"hello":"%s"}}\n' "$id" "${name:-world}"
done
