#!/usr/bin/env python3
"""Places orders over RabbitMQ, in a language that Holdfast is not written in.

    pip install pika
    HOLDFAST_BROKER=amqp://producer:PASSWORD@HOST:5672/holdfast ./producer.py SKU

It sends one order, the same order again, an envelope of 500 orders, and rubbish; prints each answer as one line of
JSON; and shows that its user may not touch the stock. The user is one of `deploy/rabbitmq/users.sh producer NAME`.
"""

import json
import os
import sys
import uuid

import pika
from pika.exceptions import ChannelClosedByBroker

COMMANDS = "holdfast.commands"
# A queue that RabbitMQ makes up for whoever asks: needs no name, no permission, no cleaning up.
REPLIES = "amq.rabbitmq.reply-to"
ANSWER_SECONDS_MAX = 30


class Producer:
    """Publishes commands and waits for their outcomes."""

    def __init__(self, url: str):
        parameters = pika.URLParameters(url)
        self.user = parameters.credentials.username
        self.connection = pika.BlockingConnection(parameters)
        self.channel = self.connection.channel()
        # From now on a publish returns when the broker has the message on disk, and raises when no queue took it.
        self.channel.confirm_delivery()
        self.answers = {}
        self.channel.basic_consume(REPLIES, self._answered, auto_ack=True)

    def _answered(self, _channel, _method, properties, body):
        self.answers[properties.correlation_id] = json.loads(body)

    def ask(self, routing_key: str, body: bytes):
        """One command or an array of up to 1,000; the outcome, or the outcomes in the same order."""
        question = str(uuid.uuid4())
        self.channel.basic_publish(
            COMMANDS,
            routing_key,
            body,
            pika.BasicProperties(
                content_type="application/json",
                delivery_mode=pika.DeliveryMode.Persistent,
                # The broker checks it: this is who the order is from.
                user_id=self.user,
                reply_to=REPLIES,
                correlation_id=question,
            ),
            mandatory=True,
        )
        waited = 0.0
        while question not in self.answers:
            if waited >= ANSWER_SECONDS_MAX:
                # Nothing is lost: the command waits in its queue. The same id again gets the outcome.
                raise TimeoutError(f"no answer to {routing_key}; send it again with the same id")
            self.connection.process_data_events(time_limit=0.5)
            waited += 0.5
        return self.answers.pop(question)


def order(sku: str, quantity: int = 1) -> dict:
    # The id is the order's for ever: sent again, it counts once.
    return {"id": str(uuid.uuid4()), "kind": "order.place", "lines": [{"sku": sku, "quantity": quantity}]}


def tell(step: str, answer):
    print(json.dumps({"step": step, "answer": answer}), flush=True)


def main():
    if len(sys.argv) != 2 or "HOLDFAST_BROKER" not in os.environ:
        sys.exit(__doc__)
    sku = sys.argv[1]
    producer = Producer(os.environ["HOLDFAST_BROKER"])

    single = json.dumps(order(sku)).encode()
    tell("single", producer.ask("order.place", single))
    tell("duplicate", producer.ask("order.place", single))

    envelope = [order(sku) for _ in range(500)]
    tell("envelope", producer.ask("order.place", json.dumps(envelope).encode()))

    # Answered too, and put aside: an administrator finds it under dead letters.
    tell("rubbish", producer.ask("order.place", f"no JSON, from the producer of {sku}".encode()))

    try:
        receipt = {"id": str(uuid.uuid4()), "kind": "stock.receive", "sku": sku, "location": "BLR", "quantity": 1}
        tell("forbidden", producer.ask("stock.receive", json.dumps(receipt).encode()))
    except ChannelClosedByBroker as refused:
        tell("forbidden", f"{refused.reply_code} {refused.reply_text}")
    producer.connection.close()


if __name__ == "__main__":
    main()
