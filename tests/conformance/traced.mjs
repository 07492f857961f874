// A consumer in JavaScript that continues traces: node traced.mjs TARGET PROTO ENDPOINT PORT COUNT
//
// It settles COUNT deliveries of the subscription `stream` and COUNT of those that are pushed to PORT, each in a span of
// OpenTelemetry's own SDK, whose context goes back with the settlement. Spans go to ENDPOINT over OTLP/HTTP. A delivery
// whose body is "retry" is retried the first time; all others are acked. It judges nothing: test_javascript_trace.py does.

import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

// Looked for where this is started: the packages aren't installed beside the source.
const require = createRequire(join(process.cwd(), "package.json"));
const grpc = require("@grpc/grpc-js");
const { loadSync } = require("@grpc/proto-loader");
const api = require("@opentelemetry/api");
const { W3CTraceContextPropagator } = require("@opentelemetry/core");
const { OTLPTraceExporter } = require("@opentelemetry/exporter-trace-otlp-proto");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { BasicTracerProvider, SimpleSpanProcessor } = require("@opentelemetry/sdk-trace-base");

const [target, proto, endpoint, port, count] = process.argv.slice(2);
const files = readdirSync(join(proto, "hookline/v1")).map((name) => `hookline/v1/${name}`);
const definition = loadSync(files, { includeDirs: [proto], keepCase: true, longs: String, defaults: true, oneofs: true });
const { ConsumerService, DeliveryService } = grpc.loadPackageDefinition(definition).hookline.v1;

const provider = new BasicTracerProvider({
  resource: resourceFromAttributes({ "service.name": "javascript" }),
  spanProcessors: [new SimpleSpanProcessor(new OTLPTraceExporter({ url: endpoint }))],
});
const tracer = provider.getTracer("decisions");
const propagator = new W3CTraceContextPropagator();

/** Work on a delivery in a span of its own, and answer the settlement. */
function process_(subscription, delivery) {
  const parent = propagator.extract(api.ROOT_CONTEXT, delivery, api.defaultTextMapGetter);
  const attributes = { "messaging.message.id": delivery.event_id };
  const span = tracer.startSpan(`process ${subscription}`, { kind: api.SpanKind.CONSUMER, attributes }, parent);
  const settlement = { token: delivery.token };
  if (delivery.body.toString("utf8") === "retry" && delivery.attempt === 1) settlement.retry = {};
  else settlement.ack = {};
  propagator.inject(api.trace.setSpan(parent, span), settlement, api.defaultTextMapSetter);
  span.end();
  return settlement;
}

/** Settle what comes over a stream. */
function stream() {
  const client = new DeliveryService(target, grpc.credentials.createInsecure());
  const call = client.Subscribe();
  let [sequence, confirmed] = [0, 0];
  const waiting = new Map(); // sequence to number of settlements
  call.write({ start: { subscription: "stream", window: { max_events: 100 }, consumer: "javascript" } });
  return new Promise((resolve, reject) => {
    call.on("error", reject);
    call.on("end", () => (client.close(), resolve()));
    call.on("data", ({ deliveries, confirmation }) => {
      if (deliveries) {
        const settlements = deliveries.deliveries.map((delivery) => process_("stream", delivery));
        waiting.set(String((sequence += 1)), settlements.length);
        call.write({ settlements: { sequence: String(sequence), settlements } });
      } else if (confirmation) {
        confirmed += waiting.get(confirmation.sequence) - confirmation.failures.length;
        if (confirmed === Number(count)) call.end();
      }
    });
  });
}

/** Settle what is pushed. */
function pushed() {
  const server = new grpc.Server();
  let settled = 0;
  return new Promise((resolve, reject) => {
    server.addService(ConsumerService.service, {
      Deliver({ request }, answer) {
        answer(null, { settlements: request.deliveries.map((delivery) => process_("push", delivery)) });
        settled += request.deliveries.length;
        if (settled === Number(count)) server.tryShutdown(resolve);
      },
    });
    server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error) => error && reject(error));
  });
}

// So that a relay that delivers nothing makes no endless test.
const patience = setTimeout(() => process.exit(1), 30_000);
await Promise.all([stream(), pushed()]);
await provider.shutdown();
clearTimeout(patience);
