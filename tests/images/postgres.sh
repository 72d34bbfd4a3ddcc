#!/bin/sh
# serve: a PostgreSQL in /data that anybody may use as postgres. Made on the first start, whole or not at all.
set -e
bin=$(busybox dirname "$(busybox readlink /usr/bin/postgres)")
if [ ! -d /data/db ]; then
  busybox rm -rf /data/new
  busybox mkdir /data/new
  busybox chown postgres /data/new
  busybox su postgres -c "$bin/initdb -D /data/new -A trust -E UTF8 --locale=C --no-sync >/dev/null"
  echo "host all all all trust" >>/data/new/pg_hba.conf
  busybox mv /data/new /data/db
fi
exec busybox su postgres -c "exec $bin/postgres -D /data/db -k /tmp -c listen_addresses='*' -c fsync=off"
