#!/usr/bin/env bash
# Creates a user of the broker with the least that its work needs, in one vhost (which is created too).
#
#   HOLDFAST_BROKER_PASSWORD=… users.sh gateway  holdfast-gateway     the gateway role
#   HOLDFAST_BROKER_PASSWORD=… users.sh worker   holdfast-worker      orders, items, stock and relay; declares everything
#   HOLDFAST_BROKER_PASSWORD=… users.sh monitor  holdfast-monitor     the monitor role; may see the management API
#   HOLDFAST_BROKER_PASSWORD=… users.sh producer webshop              sends orders and holds, and nothing else
#   HOLDFAST_BROKER_PASSWORD=… users.sh listener warehouse            reads events
#
# Where gateways have a user of their own, the workers have to be told its name: only it may speak for accounts.
# Environment: RABBITMQ_MANAGEMENT (default http://127.0.0.1:15672), RABBITMQ_ADMIN and RABBITMQ_ADMIN_PASSWORD of
# somebody who may create users, HOLDFAST_VHOST (default holdfast), HOLDFAST_BROKER_PASSWORD of the new user.
set -euo pipefail

usage() {
    sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

[ $# -eq 2 ] || usage
kind=$1
user=$2
management=${RABBITMQ_MANAGEMENT:-http://127.0.0.1:15672}
vhost=${HOLDFAST_VHOST:-holdfast}
: "${RABBITMQ_ADMIN:?name a user that may create users}" "${RABBITMQ_ADMIN_PASSWORD:?}" "${HOLDFAST_BROKER_PASSWORD:?}"
[[ $user =~ ^[A-Za-z0-9_-]{1,64}$ ]] || { echo "users.sh: a user is called [A-Za-z0-9_-]{1,64}" >&2; exit 2; }

tags=""
topic=""
case $kind in
gateway)
    configure='^holdfast\.(reply|committed)\..*$'
    write='^holdfast\.(commands|(reply|committed)\..*)$'
    read='^holdfast\.(committed|dead|(reply|committed)\..*)$'
    ;;
worker)
    configure='^holdfast\..*$'
    # Replies and dead letters go through the default exchange.
    write='^(holdfast\..*|amq\.default)$'
    read='^holdfast\..*$'
    ;;
monitor)
    tags="monitoring"
    configure='^holdfast\.(reply|committed)\..*$'
    write='^holdfast\.(reply|committed)\..*$'
    read='^holdfast\.(committed|dead|(reply|committed)\..*)$'
    ;;
producer)
    # Queues for replies begin with its own name; direct reply-to needs no permission.
    configure="^$user\\..*\$"
    write="^(holdfast\\.commands|$user\\..*)\$"
    read="^$user\\..*\$"
    topic='^(order|hold)\.[a-z]+$'
    ;;
listener)
    configure="^$user\\..*\$"
    write="^$user\\..*\$"
    read="^(holdfast\\.events|holdfast\\.events\\.log|$user\\..*)\$"
    ;;
*) usage ;;
esac

# JSON by hand: every value below is a name that was checked, a pattern of ours, or goes through this.
quoted() {
    local text=$1
    text=${text//\\/\\\\}
    text=${text//\"/\\\"}
    printf '"%s"' "$text"
}

encoded() {
    local text=$1 byte out="" i
    local LC_ALL=C
    for ((i = 0; i < ${#text}; i++)); do
        byte=${text:i:1}
        case $byte in
        [A-Za-z0-9._~-]) out+=$byte ;;
        *) out+=$(printf '%%%02X' "'$byte") ;;
        esac
    done
    printf '%s' "$out"
}

# The password of the administrator goes through standard input, so that no list of processes shows it.
put() {
    local path=$1 body=$2
    printf 'user = %s\ndata = %s\n' \
        "$(quoted "$RABBITMQ_ADMIN:$RABBITMQ_ADMIN_PASSWORD")" "$(quoted "$body")" |
        curl --silent --show-error --fail --output /dev/null --config - \
            --request PUT --header 'content-type: application/json' "$management/api/$path" ||
        { echo "users.sh: the management API refused $path" >&2; exit 1; }
}

in_vhost=$(encoded "$vhost")
put "vhosts/$in_vhost" '{}'
put "users/$user" "{\"password\": $(quoted "$HOLDFAST_BROKER_PASSWORD"), \"tags\": $(quoted "$tags")}"
put "permissions/$in_vhost/$user" \
    "{\"configure\": $(quoted "$configure"), \"write\": $(quoted "$write"), \"read\": $(quoted "$read")}"
if [ -n "$topic" ]; then
    put "topic-permissions/$in_vhost/$user" \
        "{\"exchange\": \"holdfast.commands\", \"write\": $(quoted "$topic"), \"read\": \".*\"}"
fi
echo "$kind $user may now use the vhost $vhost"
