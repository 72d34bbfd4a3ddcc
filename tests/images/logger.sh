#!/bin/sh
# logger [RATE [TEXT]]: numbered lines, RATE a second (default 1); 0 prints as fast as the pipe takes it.
trap 'exit 0' TERM INT
rate=${1:-1} text=${2:-the quick brown fox}
if [ "$rate" -eq 0 ]; then exec yes "$text"; fi
line=0
while :; do
  end=$((line + rate))
  while [ "$line" -lt "$end" ]; do
    line=$((line + 1))
    echo "$line $text"
  done
  sleep 1 &
  wait $!
done
