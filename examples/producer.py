#!/usr/bin/env python3
"""A program that takes part through RabbitMQ: sends orders to Holdfast and prints what became of them.

    pip install pika
    producer.py --url amqp://webshop:PASSWORD@127.0.0.1:5672/holdfast --sku WATCH-1

It sends a single order, an envelope of 500 orders, the single order once more (a duplicate: it has no further effect),
and something that is no command. Publisher confirms and `mandatory` are on: a message that no queue took is an error
here, not a surprise later. Exit code 1 when an answer is not what it should be.
"""

import argparse
import json
import sys
import uuid

import pika
import pika.exceptions

EXCHANGE = "holdfast.commands"
REPLY_TO = "amq.rabbitmq.reply-to"  # RabbitMQ's direct reply-to: no queue to declare, no permission needed


class Holdfast:
    """Sends commands and waits for their outcomes."""

    def __init__(self, url: str, timeout_seconds: float = 30.0):
        self.parameters = pika.URLParameters(url)
        self.timeout_seconds = timeout_seconds
        self.connection = pika.BlockingConnection(self.parameters)
        self.channel = self.connection.channel()
        self.replies: dict[str, object] = {}
        # Direct reply-to wants its consumer on the channel that publishes, and no acknowledgements.
        self.channel.basic_consume(REPLY_TO, self._on_reply, auto_ack=True)
        self.channel.confirm_delivery()

    def _on_reply(self, _channel, _method, properties, body):
        self.replies[properties.correlation_id] = json.loads(body)

    def ask(self, routing_key: str, body: bytes):
        """Publishes one message and returns its outcome: an object for an object, an array for an array."""
        correlation_id = str(uuid.uuid4())
        self.channel.basic_publish(
            exchange=EXCHANGE,
            routing_key=routing_key,
            body=body,
            mandatory=True,
            properties=pika.BasicProperties(
                content_type="application/json",
                delivery_mode=pika.DeliveryMode.Persistent.value,
                reply_to=REPLY_TO,
                correlation_id=correlation_id,
                # The broker checks it: it is how Holdfast knows who speaks.
                user_id=self.parameters.credentials.username,
            ),
        )
        self.connection.process_data_events(time_limit=0)
        waited = 0.0
        while correlation_id not in self.replies:
            if waited >= self.timeout_seconds:
                raise TimeoutError(f"no reply to {routing_key} in {self.timeout_seconds:.0f} s")
            self.connection.process_data_events(time_limit=0.1)
            waited += 0.1
        return self.replies.pop(correlation_id)

    def close(self):
        self.connection.close()


def order(sku: str, quantity: int = 1) -> dict:
    """The id makes it safe to send the same order again."""
    return {"id": str(uuid.uuid4()), "kind": "order.place", "lines": [{"sku": sku, "quantity": quantity}]}


def told(outcome: dict) -> str:
    if outcome["ok"]:
        return f"{outcome.get('order', {}).get('status', 'done')} at position {outcome['position']}"
    return f"{outcome['code']}: {outcome['detail']}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="amqp://guest:guest@127.0.0.1:5672/%2F")
    parser.add_argument("--sku", required=True, help="an item that the shop has")
    parser.add_argument("--envelope", type=int, default=500, help="orders in one envelope, at most 1000")
    arguments = parser.parse_args()

    holdfast = Holdfast(arguments.url)
    wrong = []

    single = order(arguments.sku)
    first = holdfast.ask("order.place", json.dumps(single).encode())
    print("single order:", told(first))

    orders = [order(arguments.sku) for _ in range(arguments.envelope)]
    outcomes = holdfast.ask("order.place", json.dumps(orders).encode())
    accepted = sum(outcome["ok"] for outcome in outcomes)
    print(f"envelope of {len(orders)}: {accepted} accepted, {len(outcomes) - accepted} not")
    if [outcome["id"] for outcome in outcomes] != [sent["id"] for sent in orders]:
        wrong.append("the outcomes of the envelope are not in the order of its commands")

    again = holdfast.ask("order.place", json.dumps(single).encode())
    print("the single order again:", told(again))
    if (again["id"], again["ok"], again.get("position")) != (first["id"], first["ok"], first.get("position")):
        wrong.append("the duplicate did not get the first outcome")

    rubbish = holdfast.ask("order.place", b"this is not JSON")
    print("rubbish:", told(rubbish))
    if rubbish["ok"] or rubbish["code"] != "malformed":
        wrong.append("rubbish was not called malformed")

    holdfast.close()
    for text in wrong:
        print("WRONG:", text, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except pika.exceptions.UnroutableError:
        sys.exit("no queue took the message: is Holdfast running with this broker?")
    except pika.exceptions.NackError:
        sys.exit("the queue is full: come back later")
    except (pika.exceptions.AMQPError, TimeoutError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
