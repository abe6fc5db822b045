#!/bin/sh
# Takes the rotation step that is due for the keys in the Secret m2m-keys. Run it
# every hour in a job outside of the cluster, never two at once. The job may read
# and replace this one Secret. It needs kubectl and m2m-token-enricher.
set -eu
umask 077
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
kubectl -n kong get secret m2m-keys -o 'jsonpath={.data.keys\.json}' | base64 -d > "$dir/before"
cp "$dir/before" "$dir/keys.json"
# rotate adds a minute for gateways to read the file. Kubelets need a few more to
# update the Secret on every node.
m2m-token-enricher keys rotate --max-age 10m --token-life 25h "$dir/keys.json"
if ! cmp -s "$dir/before" "$dir/keys.json"; then
	# "apply" would keep a copy of the keys in an annotation.
	kubectl -n kong create secret generic m2m-keys --from-file="keys.json=$dir/keys.json" --dry-run=client -o yaml |
		kubectl -n kong replace -f -
fi
