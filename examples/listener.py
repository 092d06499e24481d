#!/usr/bin/env python3
"""A program that listens to what happens in Holdfast: prints events, one line each.

    pip install pika
    listener.py --url amqp://warehouse:PASSWORD@127.0.0.1:5672/holdfast --keys 'order.*' stock.changed
    listener.py --url … --replay          everything that the stream still keeps, from the first event on

Events are CloudEvents in JSON, at least once, in log order for each SKU: keep the last `sequence` that you have worked
off, and skip what is not beyond it.
"""

import argparse
import json
import sys

import pika
import pika.exceptions

EXCHANGE = "holdfast.events"
STREAM = "holdfast.events.log"


class Enough(Exception):
    """As many events as were asked for."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="amqp://guest:guest@127.0.0.1:5672/%2F")
    parser.add_argument("--keys", nargs="+", default=["#"], help="routing keys, such as order.* or stock.changed")
    parser.add_argument("--replay", action="store_true", help="read the stream from its first event")
    parser.add_argument("--count", type=int, default=0, help="end after this many events; 0: never")
    arguments = parser.parse_args()

    parameters = pika.URLParameters(arguments.url)
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    seen = 0

    def on_event(channel, method, properties, body):
        nonlocal seen
        event = json.loads(body)
        sequence = properties.headers["sequence"]
        print(sequence, method.routing_key, event["subject"], json.dumps(event["data"], sort_keys=True), flush=True)
        # Acknowledged after the work is done: what is not, comes again.
        channel.basic_ack(method.delivery_tag)
        seen += 1
        if seen == arguments.count:
            raise Enough

    # A stream wants a limit on what is on its way; a queue is well served by one too.
    channel.basic_qos(prefetch_count=200)
    if arguments.replay:
        channel.basic_consume(STREAM, on_event, arguments={"x-stream-offset": "first"})
    else:
        # A queue of one's own, under one's own name; for one that outlives the program: durable, not exclusive.
        name = f"{parameters.credentials.username}.listener"
        channel.queue_declare(name, exclusive=True, auto_delete=True)
        for key in arguments.keys:
            channel.queue_bind(name, EXCHANGE, routing_key=key)
        channel.basic_consume(name, on_event)
    print("listening", file=sys.stderr, flush=True)
    try:
        channel.start_consuming()
    except (Enough, KeyboardInterrupt):
        pass
    try:
        connection.close()
    except pika.exceptions.ConnectionClosedByBroker:
        # Closing, pika gives back what it was delivered beyond that. A stream keeps everything anyway, and knows no
        # giving back.
        if not arguments.replay:
            raise
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (pika.exceptions.AMQPError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
