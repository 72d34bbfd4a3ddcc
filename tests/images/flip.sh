#!/bin/sh
# flip [SECONDS]: healthy and unhealthy in turn, SECONDS each (default 5); the check is: test -e /tmp/healthy
trap 'exit 0' TERM INT
while :; do
  touch /tmp/healthy
  sleep "${1:-5}" &
  wait $!
  rm -f /tmp/healthy
  sleep "${1:-5}" &
  wait $!
done
