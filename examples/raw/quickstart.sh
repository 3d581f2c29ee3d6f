#!/bin/sh
# The quickstart with nothing but curl: the contracts are HTTP and JSON too. `mecha run` has set MECHA_ENDPOINT and MECHA_API_TOKEN.
set -eu
: "${MECHA_ENDPOINT:=http://127.0.0.1:3600}"

# call METHOD JSON: one call of the state block. The answer, or the error, is printed as it came.
call() {
  curl --silent --show-error "$MECHA_ENDPOINT/mecha.state.v1.StateService/$1" \
    -H "authorization: Bearer ${MECHA_API_TOKEN:-}" -H 'content-type: application/json' -d "$2"
}
# field NAME: a string out of a JSON answer. (A real script has jq.)
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }
# Values are bytes, so in JSON they are base64.
encode() { printf %s "$1" | base64; }

proves() { echo "   ✓ $1"; }
expect() { # expect WHAT ACTUAL PATTERN
  case $2 in *$3*) proves "$1" ;; *) echo "   ✗ $1: got $2" >&2 && exit 1 ;; esac
}

for key in raw-1 raw-2 raw-draft; do call Delete "{\"key\": \"$key\"}" >/dev/null; done

echo "1. Set and get"
call Set "{\"key\": \"raw-1\", \"value\": \"$(encode teapot)\", \"contentType\": \"text/plain\"}" >/dev/null
item=$(call Get '{"key": "raw-1"}')
expect "what was written is read back" "$(echo "$item" | field value | base64 -d)" teapot
expect "an absent key is an empty answer, not an error" "$(call Get '{"key": "raw-99"}')" '{}'

echo "2. Compare and set"
old=$(echo "$item" | field etag)
call Set "{\"key\": \"raw-1\", \"value\": \"$(encode cup)\"}" >/dev/null
refusal=$(call Set "{\"key\": \"raw-1\", \"value\": \"$(encode spoon)\", \"precondition\": {\"etag\": \"$old\"}}")
expect "a write with an old etag is refused" "$refusal" '"code":"aborted"'
new=$(call Get '{"key": "raw-1"}' | field etag)
expect "read again and tried again, it succeeds" \
  "$(call Set "{\"key\": \"raw-1\", \"value\": \"$(encode spoon)\", \"precondition\": {\"etag\": \"$new\"}}")" '"etag":'

echo "3. A transaction"
write="{\"set\": {\"key\": \"raw-2\", \"value\": \"$(encode saucer)\"}}"
refusal=$(call Transact "{\"operations\": [$write, {\"check\": {\"key\": \"raw-1\", \"precondition\": {\"absent\": true}}}]}")
expect "one check fails" "$refusal" '"code":"already_exists"'
expect "and nothing is written" "$(call Get '{"key": "raw-2"}')" '{}'
expect "without the check it is" "$(call Transact "{\"operations\": [$write]}")" '"results":'

echo "4. List by prefix"
expect "keys come in order" "$(call List '{"prefix": "raw-", "keysOnly": true}' | grep -o '"raw-[^"]*"' | tr '\n' ' ')" '"raw-1" "raw-2"'

echo "5. Watch, and items that expire"
call Set "{\"key\": \"raw-draft\", \"ttl\": \"0.3s\"}" >/dev/null
# A stream is a sequence of messages, each after a zero byte and its length in four bytes (connectrpc.com/docs/protocol). A watch does not
# end by itself: this one is heard for two seconds.
request='{"key": "raw-draft"}'
seen=$(printf "\\0\\0\\0\\0\\$(printf %o ${#request})%s" "$request" |
  curl --silent --max-time 2 "$MECHA_ENDPOINT/mecha.state.v1.StateService/Watch" \
    -H "authorization: Bearer ${MECHA_API_TOKEN:-}" -H 'content-type: application/connect+json' --data-binary @- |
  tr '\0' '\n' | grep -o '"item"\|"synced"\|"deleted"' | tr '\n' ' ')
expect "what is there, then synced, then what happens" "$seen" '"item" "synced" "deleted"'

echo "6. Without RPC: a key is a URL"
url="$MECHA_ENDPOINT/state/raw-1"
put() { curl --silent -o /dev/null -w '%{http_code}' -X PUT "$url" -H "authorization: Bearer ${MECHA_API_TOKEN:-}" "$@"; }
expect "PUT writes" "$(put -H 'content-type: text/plain' -d 'a bowl')" 20
expect "GET reads" "$(curl --silent "$url" -H "authorization: Bearer ${MECHA_API_TOKEN:-}")" 'a bowl'
expect "If-Match guards" "$(put -H 'if-match: "no-longer-true"' -d 'a dish')" 412

echo "All of it held."
