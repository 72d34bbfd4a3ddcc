#!/bin/sh
# Does nothing, and stops at once when told to: a shell as first process ignores TERM unless it handles it.
trap 'exit 0' TERM INT
while :; do sleep 3600 & wait $!; done
