// Exports one trace, one log record and one metric by OTLP: main.js PROTOCOL ENDPOINT, where PROTOCOL is grpc, http
// (protobuf) or json.
import { SpanKind, SpanStatusCode, context, trace } from "@opentelemetry/api";
import { SeverityNumber } from "@opentelemetry/api-logs";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { LoggerProvider, SimpleLogRecordProcessor } from "@opentelemetry/sdk-logs";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";

const [protocol, endpoint] = process.argv.slice(2);
const suffix = { grpc: "grpc", http: "proto", json: "http" }[protocol];
const url = (path) => (protocol === "grpc" ? endpoint : endpoint + path);
const { OTLPTraceExporter } = await import(`@opentelemetry/exporter-trace-otlp-${suffix}`);
const { OTLPLogExporter } = await import(`@opentelemetry/exporter-logs-otlp-${suffix}`);
const { OTLPMetricExporter } = await import(`@opentelemetry/exporter-metrics-otlp-${suffix}`);

const resource = resourceFromAttributes({ "service.name": `client-javascript-${protocol}` });
const traces = new TracerProvider({
  resource,
  spanProcessors: [new BatchSpanProcessor({ exporter: new OTLPTraceExporter({ url: url("/v1/traces") }) })],
});
const exporter = new OTLPLogExporter({ url: url("/v1/logs") });
const logs = new LoggerProvider({ resource, processors: [new SimpleLogRecordProcessor({ exporter })] });
const reader = new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter({ url: url("/v1/metrics") }) });
const metrics = new MeterProvider({ resource, readers: [reader] });

const at = (nanoseconds) => [1772496000, 123456789 + nanoseconds];
const span = traces.getTracer("client", "1.0").startSpan("checkout", {
  kind: SpanKind.SERVER,
  startTime: at(0),
  attributes: { text: "grün", number: 42, yes: true, double: 0.5, list: [1, 2] },
});
span.addEvent("retry", {}, at(1_000_000));
span.setStatus({ code: SpanStatusCode.ERROR, message: "card declined" });
logs.getLogger("client", "1.0").emit({
  context: trace.setSpan(context.active(), span),
  timestamp: at(0),
  observedTimestamp: at(1_000),
  severityNumber: SeverityNumber.WARN,
  severityText: "WARN",
  body: "card declined",
  attributes: { number: 42 },
});
span.end(at(5_000_000));
metrics.getMeter("client").createCounter("orders", { valueType: 0 }).add(7);
console.log(span.spanContext().traceId, span.spanContext().spanId);
await Promise.all([traces.shutdown(), logs.shutdown(), metrics.shutdown()]);
