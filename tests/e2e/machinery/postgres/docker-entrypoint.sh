#!/bin/bash
# As the official image, as far as it is used here: POSTGRES_PASSWORD, POSTGRES_USER, POSTGRES_DB and
# POSTGRES_INITDB_ARGS, each also as a …_FILE; PGDATA; scripts in /docker-entrypoint-initdb.d; root or not.
set -euo pipefail

value_of() {
  local file="${1}_FILE"
  if [ -n "${!1:-}" ] && [ -n "${!file:-}" ]; then
    echo "error: both $1 and $file are set" >&2
    exit 1
  fi
  if [ -n "${!file:-}" ]; then cat "${!file}"; else printf %s "${!1:-${2:-}}"; fi
}

initialize() {
  local password
  password=$(value_of POSTGRES_PASSWORD)
  if [ -z "$password" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
    echo "Error: Database is uninitialized and superuser password is not specified." >&2
    echo "       You must specify POSTGRES_PASSWORD to a non-empty value for the superuser." >&2
    exit 1
  fi
  local user database
  user=$(value_of POSTGRES_USER postgres)
  database=$(value_of POSTGRES_DB "$user")
  # shellcheck disable=SC2046  # the arguments are words
  initdb --username="$user" --pwfile=<(printf '%s\n' "$password") $(value_of POSTGRES_INITDB_ARGS) >/dev/null
  printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
  PGUSER=$user pg_ctl -D "$PGDATA" -o "-c listen_addresses='' -p 5432" -w start >/dev/null
  PGPASSWORD=$password setup "$user" "$database"
  pg_ctl -D "$PGDATA" -m fast -w stop >/dev/null
  echo "PostgreSQL init process complete; ready for start up."
}

setup() {
  local psql=(psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$1")
  [ "$2" = postgres ] || "${psql[@]}" --dbname postgres --set db="$2" <<<'CREATE DATABASE :"db";' >/dev/null
  local script
  for script in /docker-entrypoint-initdb.d/*; do
    case "$script" in
      *.sh) . "$script" ;;
      *.sql) "${psql[@]}" --dbname "$2" --file "$script" ;;
    esac
  done
}

[ "${1:0:1}" != - ] || set -- postgres "$@"
if [ "$1" = postgres ]; then
  mkdir -p "$PGDATA"
  if [ "$(id -u)" = 0 ]; then
    find "$PGDATA" \! -user postgres -exec chown postgres '{}' +
    chmod 00700 "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --clear-groups -- "$0" "$@"
  fi
  chmod 00700 "$PGDATA" || :
  [ -s "$PGDATA/PG_VERSION" ] || initialize
fi
exec "$@"
