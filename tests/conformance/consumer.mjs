// A consumer in JavaScript, on nothing but proto/ and two packages of gRPC's own: node consumer.mjs TARGET PROTO
//
// Works through the verdicts on a stream and in single calls, and prints what it saw as JSON. It judges nothing:
// test_javascript.py does, beside the database. The test's events say in their bodies what is to be done with them.

import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

// Looked for where this is started: the packages aren't installed beside the source.
const require = createRequire(join(process.cwd(), "package.json"));
const grpc = require("@grpc/grpc-js");
const { loadSync } = require("@grpc/proto-loader");

const [target, proto] = process.argv.slice(2);
const files = readdirSync(join(proto, "hookline/v1")).map((name) => `hookline/v1/${name}`);
const definition = loadSync(files, {
  includeDirs: [proto],
  keepCase: true,
  longs: String,
  enums: String,
  defaults: true,
  oneofs: true,
});
const { DeliveryService } = grpc.loadPackageDefinition(definition).hookline.v1;
const client = new DeliveryService(target, grpc.credentials.createInsecure());

const report = {
  started: null, // the relay's answer to `start`
  received: [], // in order of arrival
  confirmed: {}, // by what was to be done: reasons of the failures that a confirmation named, [] for none
  heartbeats: 0,
  refusals: {}, // calls that must fail: code and message
  pulled: [],
  settled: {}, // as `confirmed`, of unary calls
};

/** What arrived, in JSON. */
function described(delivery) {
  return {
    event_id: delivery.event_id,
    source: delivery.source,
    type: delivery.type,
    ordering_key: delivery.ordering_key,
    attempt: delivery.attempt,
    revision: delivery.revision,
    replay: delivery.replay,
    received_at: Number(delivery.received_at.seconds) + delivery.received_at.nanos / 1e9,
    headers: delivery.headers.map(({ name, value }) => [name, value]),
    body: delivery.body.toString("base64"),
    token: delivery.token.length,
  };
}

/** What the event's body asks for, such as "retry". */
function wish(delivery) {
  return JSON.parse(delivery.body.toString("utf8")).do;
}

const seconds = (number) => ({ seconds: String(Math.trunc(number)), nanos: Math.round((number % 1) * 1e9) });

/** One Subscribe call whose answers can be awaited. */
class Stream {
  constructor() {
    this.call = client.Subscribe();
    this.sequence = 0;
    this.waiting = []; // [condition, resolve]
    this.messages = [];
    this.ended = new Promise((resolve) => {
      this.call.on("status", (status) => resolve({ code: status.code, details: status.details }));
    });
    this.call.on("error", () => {}); // the status says it
    this.call.on("data", (message) => {
      if (message.message === "heartbeat") report.heartbeats += 1;
      if (message.message === "deliveries")
        report.received.push(...message.deliveries.deliveries.map(described));
      this.messages.push(message);
      this.waiting = this.waiting.filter(([condition, resolve]) => {
        const found = this.find(condition);
        if (found !== undefined) resolve(found);
        return found === undefined;
      });
    });
  }

  find(condition) {
    for (const message of this.messages) {
      const found = condition(message);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** The first answer of `condition` over all messages, those that came and those that will. */
  when(condition) {
    const found = this.find(condition);
    if (found !== undefined) return Promise.resolve(found);
    return new Promise((resolve) => this.waiting.push([condition, resolve]));
  }

  delivery(wanted, attempt = 1) {
    return this.when((message) =>
      (message.deliveries?.deliveries ?? []).find(
        (delivery) => wish(delivery) === wanted && delivery.attempt === attempt,
      ),
    );
  }

  /** The hand-over after the one given, of the same event. */
  next(delivery) {
    return this.when((message) =>
      (message.deliveries?.deliveries ?? []).find(
        (other) => other.event_id === delivery.event_id && !other.token.equals(delivery.token),
      ),
    );
  }

  /** Settle, and wait for the confirmation; answers why it had no effect, if it had none. */
  async settle(...settlements) {
    const sequence = String((this.sequence += 1));
    this.call.write({ settlements: { sequence, settlements } });
    const confirmation = await this.when((message) =>
      message.confirmation?.sequence === sequence ? message.confirmation : undefined,
    );
    return confirmation.failures.map((failure) => failure.reason);
  }
}

/** A unary call. */
const unary = (method, request) =>
  new Promise((resolve, reject) => {
    client[method](request, { deadline: Date.now() + 15_000 }, (error, response) =>
      error ? reject(error) : resolve(response),
    );
  });

/** What is to be done with each event, all at the same time, as its body asks. */
const verdicts = {
  async ack(stream) {
    const { token } = await stream.delivery("ack");
    report.confirmed.ack = await stream.settle({ token, ack: {} });
    report.confirmed.ack_again = await stream.settle({ token, ack: {} });
  },
  async retry(stream) {
    const first = await stream.delivery("retry");
    const retry = { delay: seconds(0.3), reason: "not yet" };
    report.confirmed.retry = await stream.settle({ token: first.token, retry });
    const second = await stream.delivery("retry", 2);
    report.confirmed.retry_of_the_first = await stream.settle({ token: first.token, retry: {} });
    report.confirmed.ack_after_retry = await stream.settle({ token: second.token, ack: {} });
  },
  async reject(stream) {
    const { token } = await stream.delivery("reject");
    report.confirmed.reject = await stream.settle({ token, reject: { reason: "makes no sense" } });
  },
  async release(stream) {
    const first = await stream.delivery("release");
    report.confirmed.release = await stream.settle({ token: first.token, release: {} });
    const again = await stream.next(first);
    report.confirmed.ack_after_release = await stream.settle({ token: again.token, ack: {} });
  },
  /** One is extended and kept; the other isn't, and comes again when its ack deadline has passed. */
  async extend(stream) {
    const [kept, expired] = await Promise.all([stream.delivery("extend"), stream.delivery("expire")]);
    report.confirmed.extend = await stream.settle({ token: kept.token, extend: { lease: seconds(60) } });
    await stream.delivery("expire", 2);
    report.confirmed.late_ack = await stream.settle({ token: expired.token, ack: {} });
    report.confirmed.ack_after_extend = await stream.settle({ token: kept.token, ack: {} });
  },
  /** Each settlement of a batch is judged on its own. */
  async batch(stream) {
    const { token } = await stream.delivery("batch");
    report.confirmed.batch = await stream.settle(
      { token: Buffer.from("nonsense"), ack: {} },
      { token },
      { token, extend: { lease: { seconds: "-1", nanos: 0 } } },
      { token, ack: {} },
    );
  },
};

async function overTheStream() {
  const stream = new Stream();
  stream.call.write({ start: { subscription: "stream", window: { max_events: 100 }, consumer: "javascript" } });
  report.started = await stream.when((message) => message.started ?? undefined);
  await Promise.all(Object.values(verdicts).map((carryOut) => carryOut(stream)));
  await stream.when((message) => message.heartbeat ?? undefined);
  stream.call.write({ window: { max_events: 0 } });
  stream.call.end();
  report.ended = await stream.ended;
}

async function inSingleCalls() {
  const pull = { subscription: "pull", window: { max_events: 10 }, wait: seconds(5), consumer: "javascript" };
  const pulled = [];
  while (pulled.length < 3) pulled.push(...(await unary("Pull", pull)).deliveries);
  report.pulled = pulled.map(described);
  const [first, second, third] = pulled;
  const settle = async (...settlements) =>
    (await unary("Settle", { subscription: "pull", settlements })).failures.map((failure) => failure.reason);
  report.settled.ack = await settle({ token: first.token, ack: {} });
  report.settled.reject = await settle({ token: second.token, reject: { reason: "no" } });
  report.settled.release = await settle({ token: third.token, release: {} });
  const [again] = (await unary("Pull", pull)).deliveries;
  report.pulled.push(described(again));
  report.settled.ack_after_release = await settle({ token: again.token, ack: {} });
  report.settled.ack_again = await settle({ token: first.token, ack: {} });
}

/** The status of calls that the relay refuses, with the reason from its google.rpc.ErrorInfo. */
async function refusals() {
  const told = ({ code, details }) => ({ code: grpc.status[code], details });
  const stream = new Stream();
  stream.call.write({ start: { subscription: "nobody-knows-it", window: { max_events: 1 } } });
  report.refusals.unknown_subscription = told(await stream.ended);
  const silent = new Stream();
  silent.call.write({ window: { max_events: 1 } });
  report.refusals.no_start = told(await silent.ended);
  report.refusals.empty_window = await unary("Pull", { subscription: "pull" }).then(
    () => null,
    (error) => told(error),
  );
}

// So that a relay that answers nothing makes a short report, and no endless test.
const patience = setTimeout(() => {
  console.log(JSON.stringify({ ...report, gave_up: true }));
  process.exit(1);
}, 30_000);
await overTheStream();
await inSingleCalls();
await refusals();
clearTimeout(patience);
client.close();
console.log(JSON.stringify(report));
