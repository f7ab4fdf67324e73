#!/bin/sh
# POST /shout answers its body in upper case: a worker needs no SDK, it reads a line and prints one.
export LC_ALL=C
echo '{"type":"ready","routes":[{"path":"/shout","method":"post"}]}'

# The JSON text of the body in upper case.  A double backslash is hidden as \001, which JSON text
# never holds; then every backslash begins an escape, and escapes are lower-case letters.
shout() {
    sed -nE 's/.*"body" *: *"(([^"\\]|\\.)*)".*/\1/p' | tr 'a-z' 'A-Z' |
        sed -e "s/\\\\\\\\/$hidden/g" -e 's/\\B/\\b/g; s/\\F/\\f/g; s/\\N/\\n/g' \
            -e 's/\\R/\\r/g; s/\\T/\\t/g; s/\\U/\\u/g' -e "s/$hidden/\\\\\\\\/g"
}
hidden=$(printf '\001')

while IFS= read -r line; do
    id=$(printf '%s\n' "$line" | sed -nE 's/^[^"]*"id" *: *([0-9]+).*/\1/p')
    case $line in
    *'"body64"'*) answer='"status":415,"body":"text only\n"' ;;
    *) answer="\"body\":\"$(printf '%s\n' "$line" | shout)\"" ;;
    esac
    printf '%s\n' "{\"id\":${id:-null},$answer}"
done
