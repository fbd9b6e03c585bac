#!/usr/bin/env bash
# Runs a command against PostgreSQL and Redis of the system's packages: bash .ci/servers.sh COMMAND…
# Both are thrown away at the end. The command finds them by STORY_DATABASE_URL and STORY_REDIS_URL; the login is an
# ordinary one, as a hosted PostgreSQL gives it: it owns its database, may create roles, and is no superuser.
# TEST_DATABASE_URL, TEST_ADMIN_DATABASE_URL and TEST_REDIS_URL say the same to the other tests.
set -euo pipefail

have() { command -v redis-server >/dev/null && compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }

if ! have && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update
  apt-get -qq install -y --no-install-recommends postgresql redis-server
fi
if ! have; then
  echo "PostgreSQL and Redis are not installed, and only root can install them: apt-get install postgresql redis-server"
  exit 1
fi

# PostgreSQL refuses to run as root.
as_user() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

tools=$(dirname "$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -1)")
folder=$(mktemp -d)
if [ "$(id -u)" = 0 ]; then chown postgres "$folder"; fi
read -r pg_port redis_port < <(python3 - <<'PORTS'
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(taken.getsockname()[1] for taken in sockets))
PORTS
)
password=$(python3 -c 'import secrets; print(secrets.token_hex(16))')
redis_cli() { REDISCLI_AUTH=$password redis-cli -p "$redis_port" "$@" 2>/dev/null; }

stop() {
  redis_cli shutdown nosave || true
  as_user "$tools/pg_ctl" -D "$folder/data" -m fast stop >/dev/null 2>&1 || true
  rm -rf "$folder"
}
trap stop EXIT

cd "$folder"
printf %s "$password" | as_user tee "$folder/password" >/dev/null
as_user "$tools/initdb" -D "$folder/data" -U postgres -E UTF8 --locale C.UTF-8 \
  --auth-local trust --auth-host scram-sha-256 --pwfile "$folder/password" >/dev/null
as_user "$tools/pg_ctl" -D "$folder/data" -l "$folder/postgresql.log" -w -t 60 \
  -o "-p $pg_port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$folder" start >/dev/null
as_user "$tools/psql" -q -v ON_ERROR_STOP=1 -h "$folder" -p "$pg_port" -U postgres -d postgres \
  -c "CREATE ROLE teknav_ci LOGIN CREATEROLE PASSWORD '$password'" -c "CREATE DATABASE teknav_ci OWNER teknav_ci"

as_user redis-server --port "$redis_port" --bind 127.0.0.1 --dir "$folder" --save '' --requirepass "$password" \
  --logfile "$folder/redis.log" &
for _ in $(seq 100); do
  [ "$(redis_cli ping)" = PONG ] && break
  sleep 0.1
done
redis_cli ping >/dev/null
cd "$OLDPWD"

"$tools/postgres" --version
redis-server --version | cut -d ' ' -f 1-3
export STORY_DATABASE_URL="postgresql://teknav_ci:$password@127.0.0.1:$pg_port/teknav_ci"
export STORY_REDIS_URL="redis://:$password@127.0.0.1:$redis_port/0"
export TEST_DATABASE_URL=$STORY_DATABASE_URL TEST_REDIS_URL=$STORY_REDIS_URL
export TEST_ADMIN_DATABASE_URL="postgresql://postgres:$password@127.0.0.1:$pg_port/teknav_ci"
"$@"
