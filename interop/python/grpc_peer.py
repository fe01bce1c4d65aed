"""rocketmq-python-client, Apache's client of the gRPC protocol for Python, behind the commands of ../grpc-suite.ts."""
import asyncio
import hashlib
import json
import math
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

# What libraries print must not stand between the answers.
answers = sys.stdout
sys.stdout = sys.stderr

from rocketmq import (  # noqa: E402
    ClientConfiguration,
    Credentials,
    FilterExpression,
    Message,
    Producer,
    SimpleConsumer,
    TransactionChecker,
    TransactionResolution,
)
from rocketmq import ConsumeResult, MessageListener, PushConsumer  # noqa: E402
from rocketmq.v5.model.filter_expression import FilterType  # noqa: E402

REQUEST_TIMEOUT_S = 10
AWAIT_S = 5

producers = {}
simples = {}
held = {}
pushes = {}
pushed = {}


class Checker(TransactionChecker):
    def __init__(self, check):
        self.resolution = {
            "commit": TransactionResolution.COMMIT,
            "rollback": TransactionResolution.ROLLBACK,
        }.get(check, TransactionResolution.TRANSACTION_RESOLUTION_UNSPECIFIED)

    def check(self, message):
        return self.resolution


class Listener(MessageListener):
    def __init__(self, fail, received):
        self.fail = fail
        self.received = received

    def consume(self, message):
        one = shown(message)
        self.received.append(one)
        failed = self.fail == "always" or (self.fail == "once" and one["attempt"] == 1)
        return ConsumeResult.FAILURE if failed else ConsumeResult.SUCCESS


def configuration(args):
    return ClientConfiguration(args["endpoints"], Credentials(), "", REQUEST_TIMEOUT_S)


def subscription(args):
    if args.get("sql"):
        return {args["topic"]: FilterExpression(args["sql"], FilterType.SQL)}
    return {args["topic"]: FilterExpression(args.get("tag") or "*")}


def shown(message):
    body = bytes(message.body)
    return {
        "id": str(message.message_id),
        "body": body.decode(errors="replace"),
        "digest": hashlib.sha256(body).hexdigest(),
        "tag": message.tag or "",
        "keys": " ".join(sorted(message.keys)),
        "attempt": message.delivery_attempt or 0,
        "properties": dict(message.properties),
    }


def message_of(args, index):
    message = Message()
    message.topic = args["topic"]
    message.body = f"{args['prefix']}-{index}".ljust(int(args.get("size", 0)), ".").encode()
    message.keys = f"key-{index}"
    message.add_property("index", str(index))
    if args.get("tag"):
        message.tag = args["tag"]
    groups = int(args.get("groups", 0))
    if groups > 0:
        message.message_group = f"group-{index % groups}"
    delay_ms = int(args.get("delayMs", 0))
    if delay_ms > 0:
        # The client knows whole seconds only.
        message.delivery_timestamp = math.ceil(time.time() + delay_ms / 1_000)
    return message


def start_producer(args):
    producer = Producer(configuration(args), (args["topic"],), checker=Checker(args.get("check", "")))
    producer.startup()
    producers[args["name"]] = producer


def send(args):
    producer = producers[args["name"]]
    receipts = []
    for index in range(int(args["count"])):
        message = message_of(args, index)
        resolve = args.get("resolve", "")
        if resolve:
            transaction = producer.begin_transaction()
            receipt = producer.send(message, transaction)
            if resolve == "commit":
                transaction.commit()
            elif resolve == "rollback":
                transaction.rollback()
        else:
            receipt = producer.send(message)
        handle = getattr(receipt, "recall_handle", None) or ""
        receipts.append({"id": str(receipt.message_id), "handle": handle})
    return receipts


def recall(args):
    receipt = producers[args["name"]].recall_message(args["topic"], args["handle"])
    return str(getattr(receipt, "message_id", receipt))


def start_simple(args):
    consumer = SimpleConsumer(configuration(args), args["group"], subscription(args), AWAIT_S)
    consumer.startup()
    simples[args["name"]] = consumer


def receive(args):
    seconds = int(args.get("invisibleMs", 15_000)) // 1_000
    messages = simples[args["name"]].receive(int(args.get("max", 32)), seconds) or []
    for message in messages:
        held[args["name"], str(message.message_id)] = message
    return [shown(message) for message in messages]


def start_push(args):
    pushed[args["name"]] = []
    listener = Listener(args.get("fail", ""), pushed[args["name"]])
    consumer = PushConsumer(configuration(args), args["group"], listener, subscription(args))
    consumer.startup()
    pushes[args["name"]] = consumer


commands = {
    "producer.start": start_producer,
    "producer.send": send,
    "producer.recall": recall,
    "producer.stop": lambda args: producers.pop(args["name"]).shutdown(),
    "simple.start": start_simple,
    "simple.receive": receive,
    "simple.ack": lambda args: simples[args["name"]].ack(held[args["name"], args["id"]]),
    "simple.change": lambda args: simples[args["name"]].change_invisible_duration(
        held[args["name"], args["id"]], int(args["ms"]) // 1_000
    ),
    "simple.stop": lambda args: simples.pop(args["name"]).shutdown(),
    "push.start": start_push,
    "push.received": lambda args: list(pushed[args["name"]]),
    "push.stop": lambda args: pushes.pop(args["name"]).shutdown(),
}
writing = Lock()


def answer(line):
    number, command, *parts = line.split("\t")
    response = {"id": int(number)}
    try:
        response["result"] = commands[command](dict(part.split("=", 1) for part in parts))
    except Exception as error:
        response["error"] = f"{type(error).__name__}: {error}"
    with writing:
        answers.write(json.dumps(response, separators=(",", ":")) + "\n")
        answers.flush()


def main():
    # The client asks for the event loop of the thread that starts it.
    with ThreadPoolExecutor(16, initializer=lambda: asyncio.set_event_loop(asyncio.new_event_loop())) as workers:
        for line in sys.stdin:
            workers.submit(answer, line.rstrip("\n"))


main()
