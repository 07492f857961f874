#!/bin/sh
# What `make compose-up` needs before it begins: an engine that answers, and secrets in deploy/.env.
# Its arguments are the compose command: deploy/prepare.sh docker compose
set -eu
umask 077
cd "$(dirname "$0")"

fail() {
    printf 'compose: %s\n' "$@" >&2
    exit 1
}

"$@" version >/dev/null 2>&1 || fail "'$*' doesn't work here." \
    "Install Docker Engine with the compose plugin, or name another command: make compose-up COMPOSE=docker-compose"

if [ ! -e .env ]; then
    while IFS= read -r line; do
        case $line in
            HOOKLINE_SECRETS_KEY=) line=$line$(head -c 32 /dev/urandom | base64 | tr -d '\n') ;;
            [A-Z]*=) line=$line$(od -An -v -tx1 -N24 /dev/urandom | tr -d ' \n') ;;
        esac
        printf '%s\n' "$line"
    done <.env.example >.env.new
    mv .env.new .env
    echo "compose: made deploy/.env with random secrets; keep it"
fi

said=$("$@" --file compose.yaml ps 2>&1) || fail "$(printf "%s\n" "$said" | tail -n 1)" \
    "The engine doesn't answer, or deploy/.env lacks something that .env.example has. Is Docker running? Try: docker info"
