#!/bin/sh
# compose-init.sh: what compose.yaml needs once. Builds the images and makes deploy/secrets: a pair of keys for each stage's
# links, and an access key for the endpoint. What is there is kept. The files belong to uid 10001, as the containers do.
set -eu
cd "$(dirname "$0")"
version=${KVPIPE_VERSION:-0.1.0}
docker image inspect "kvpipe-cli:$version" >/dev/null 2>&1 || (cd .. && deploy/images.sh "$version")
mkdir -p secrets
docker run --rm --user 0 --network none -v "$PWD/secrets:/secrets" "kvpipe-cli:$version" keys init /secrets/links
docker run --rm --user 0 --network none -v "$PWD/secrets:/secrets" --entrypoint sh "kvpipe-cli:$version" -c '
    umask 077
    random() { od -An -N"$1" -tx1 /dev/urandom | tr -d " \n"; }
    [ -e /secrets/credentials ] || printf "[default]\naws_access_key_id = AKIA%s\naws_secret_access_key = %s\n" \
        "$(random 8 | tr a-f A-F)" "$(random 20)" >/secrets/credentials
    chown -R 10001:10001 /secrets'
echo "deploy/secrets is ready; next: docker-compose -f deploy/compose.yaml up -d"
