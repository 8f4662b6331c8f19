#!/bin/sh
# A worker on a spot instance: start it at boot. The cloud's warning ends it, so that chunks are given back and results are
# brought before the machine goes. Amazon warns two minutes ahead by the page below; another cloud has another address:
#   Google: curl -fs -H Metadata-Flavor:Google http://metadata.google.internal/computeMetadata/v1/instance/preempted  (TRUE)
WARNING=${WARNING:-http://169.254.169.254/latest/meta-data/spot/instance-action}
TOKENS=${TOKENS-http://169.254.169.254/latest/api/token}
EVERY=${EVERY:-5}

warned() { # the page is there only once the instance is to go
  token=
  [ -z "$TOKENS" ] || token=$(curl -fs -m 2 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$TOKENS")
  curl -fs -m 2 ${token:+-H "X-aws-ec2-metadata-token: $token"} "$WARNING" >/dev/null
}

"${DOCKERCOMP_WORKER:-dockercomp-worker}" run --until +24h --grace 60 "$@" &
worker=$!
trap 'kill -TERM "$worker" 2>/dev/null' TERM INT
while kill -0 "$worker" 2>/dev/null; do
  if warned; then
    kill -TERM "$worker" 2>/dev/null
    break
  fi
  sleep "$EVERY" &
  wait $!
done
wait "$worker"
code=$?
while kill -0 "$worker" 2>/dev/null; do # a signal ended the waiting, not the worker
  wait "$worker"
  code=$?
done
exit "$code"
