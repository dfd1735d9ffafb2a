#!/usr/bin/env bash
# Sends a file with curl, sed and split: upload.sh API TOKEN FILE, where API ends in /account/articles.
# It reads JSON by its blanks, as shell clients of the real service do. Prints the file's address in the API.
set -euo pipefail
api=$1 token=$2 file=$3
scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT

ask() { curl --silent --show-error --fail --noproxy '*' --header "Authorization: token $token" "$@"; }
send_json() { ask --header 'Content-Type: application/json' --data "$1" "$2"; }
last_id() { sed -E 's#.*/([0-9]+)".*#\1#'; }

ask "$api" > /dev/null
item=$(send_json '{"title": "Sent by a shell script"}' "$api" | last_id)
ask "$api/$item" > /dev/null

read -r md5 _ < <(md5sum < "$file")
size=$(wc -c < "$file")
address=$api/$item/files/$(send_json "{\"md5\": \"$md5\", \"name\": \"sent.bin\", \"size\": $size}" "$api/$item/files" | last_id)
upload=$(ask "$address" | sed -E 's/.*"upload_url": "([^"]+)".*/\1/')
part_size=$(($(ask "$upload" | sed -E 's/.*\[\{"partNo":1,"startOffset":0,"endOffset":([0-9]+),".*/\1/') + 1))

split --bytes="$part_size" --numeric-suffixes=1 --suffix-length=4 "$file" "$scratch/"
number=1
for part in "$scratch"/*; do
  ask --request PUT --data-binary "@$part" "$upload/$number" > /dev/null
  number=$((number + 1))
done
ask --request POST "$address" > /dev/null
ask "$api" > /dev/null
echo "$address"
