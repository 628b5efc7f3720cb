#!/bin/sh
# Starts the broker of the given server.properties; its folder is given a cluster id at the first start.
set -eu
properties=$1
home=${KAFKA_HOME:-/opt/kafka}
java="java -Xmx${HEAP:-768m} -XX:+ExitOnOutOfMemoryError -Dlog4j2.configurationFile=$home/log4j2.xml"
data=$(sed -n 's/^log\.dirs=//p' "$properties")
if [ ! -f "$data/meta.properties" ]; then
    # An id that begins with a dash would be taken for an option.
    id=A$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=' | cut -c2-)
    $java -cp "$home/lib/*" kafka.tools.StorageTool format -t "$id" -c "$properties"
fi
exec $java -cp "$home/lib/*" kafka.Kafka "$properties" # exec: TERM reaches the broker
