#!/usr/bin/env python3
"""Listens to Holdfast's events over RabbitMQ: what happened, in CloudEvents, one line of JSON each.

    pip install pika
    HOLDFAST_BROKER=amqp://listener:PASSWORD@HOST:5672/holdfast ./listener.py [--key 'order.#'] [--replay] …

An event comes at least once and in the order of the log: remember the highest `sequence` that you have worked off, and
leave out what is not above it. The user is one of `deploy/rabbitmq/users.sh listener NAME`.
"""

import argparse
import json
import os
import re
import sys
import uuid

import pika
from pika.exceptions import ConnectionClosedByBroker

EVENTS = "holdfast.events"
EVENTS_LOG = "holdfast.events.log"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--key", default="#", help="which events, such as order.accepted, order.# or stock.changed")
    parser.add_argument("--sku", help="only those that name this SKU")
    parser.add_argument("--count", type=int, help="end after so many")
    parser.add_argument("--replay", action="store_true", help="begin with the oldest event that the broker keeps")
    return parser.parse_args()


def matches(key: str, routing_key: str) -> bool:
    """What the broker does for a bound queue: `*` is one word, `#` any number. A stream gives everything."""
    words = [{"#": r".*", "*": r"[^.]+"}.get(word, re.escape(word)) for word in key.split(".")]
    return re.fullmatch(r"\.".join(words).replace(r"\..*", r"(\..*)?"), routing_key) is not None


def skus(data) -> set:
    """Every SKU that an event names, wherever in it."""
    if isinstance(data, dict):
        named = {data["sku"]} if isinstance(data.get("sku"), str) else set()
        return named.union(*(skus(value) for value in data.values()))
    if isinstance(data, list):
        return set().union(*(skus(value) for value in data))
    return set()


def main():
    if "HOLDFAST_BROKER" not in os.environ:
        sys.exit(__doc__)
    wanted = arguments()
    parameters = pika.URLParameters(os.environ["HOLDFAST_BROKER"])
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    # A stream wants to know how many messages may be on their way; for a queue it is good manners.
    channel.basic_qos(prefetch_count=100)
    if wanted.replay:
        queue, where = EVENTS_LOG, {"x-stream-offset": "first"}
    else:
        # A queue of our own, as long as we are there. For one that keeps events while we are away: durable=True,
        # exclusive=False, {"x-queue-type": "quorum"}, and a name that stays.
        queue, where = f"{parameters.credentials.username}.{uuid.uuid4()}", None
        channel.queue_declare(queue, exclusive=True)
        channel.queue_bind(queue, EVENTS, wanted.key)
    print("listening", file=sys.stderr, flush=True)

    heard, highest = 0, 0
    for method, _properties, body in channel.consume(queue, arguments=where):
        event = json.loads(body)
        sequence = int(event["sequence"])
        is_new, highest = sequence > highest, max(highest, sequence)
        kind = event["type"].removeprefix("holdfast.")
        if is_new and matches(wanted.key, kind) and (wanted.sku is None or wanted.sku in skus(event["data"])):
            print(json.dumps(event), flush=True)
            heard += 1
        # After the work, not before: what is not acknowledged comes again.
        channel.basic_ack(method.delivery_tag)
        if heard == wanted.count:
            break
    try:
        connection.close()
    except ConnectionClosedByBroker:
        # Closing, pika gives back what it got beyond that. A stream keeps everything anyway, and knows no giving back.
        if not wanted.replay:
            raise


if __name__ == "__main__":
    main()
