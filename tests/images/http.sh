#!/bin/sh
# http [PORT]: serves this container's name at /. Stops at once when told to, which httpd as first process would not.
trap 'exit 0' TERM INT
hostname >/srv/index.html
httpd -f -p "${1:-80}" -h /srv &
wait $!
