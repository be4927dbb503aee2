import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.logs.Severity;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.context.Context;
import io.opentelemetry.exporter.otlp.http.logs.OtlpHttpLogRecordExporter;
import io.opentelemetry.exporter.otlp.http.metrics.OtlpHttpMetricExporter;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.exporter.otlp.logs.OtlpGrpcLogRecordExporter;
import io.opentelemetry.exporter.otlp.metrics.OtlpGrpcMetricExporter;
import io.opentelemetry.exporter.otlp.trace.OtlpGrpcSpanExporter;
import io.opentelemetry.sdk.common.CompletableResultCode;
import io.opentelemetry.sdk.logs.SdkLoggerProvider;
import io.opentelemetry.sdk.logs.export.LogRecordExporter;
import io.opentelemetry.sdk.logs.export.SimpleLogRecordProcessor;
import io.opentelemetry.sdk.metrics.SdkMeterProvider;
import io.opentelemetry.sdk.metrics.export.MetricExporter;
import io.opentelemetry.sdk.metrics.export.PeriodicMetricReader;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.export.SimpleSpanProcessor;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Exports one trace, one log record and one metric by OTLP: Client PROTOCOL ENDPOINT, PROTOCOL being grpc or http. */
public final class Client {
    private static final long START_NS = 1_772_496_000_123_456_789L;

    public static void main(String[] args) {
        boolean grpc = args[0].equals("grpc");
        String endpoint = args[1];
        SpanExporter spans = grpc
            ? OtlpGrpcSpanExporter.builder().setEndpoint(endpoint).build()
            : OtlpHttpSpanExporter.builder().setEndpoint(endpoint + "/v1/traces").build();
        LogRecordExporter records = grpc
            ? OtlpGrpcLogRecordExporter.builder().setEndpoint(endpoint).setCompression("gzip").build()
            : OtlpHttpLogRecordExporter.builder().setEndpoint(endpoint + "/v1/logs").setCompression("gzip").build();
        MetricExporter readings = grpc
            ? OtlpGrpcMetricExporter.builder().setEndpoint(endpoint).build()
            : OtlpHttpMetricExporter.builder().setEndpoint(endpoint + "/v1/metrics").build();
        Resource resource =
            Resource.create(Attributes.of(AttributeKey.stringKey("service.name"), "client-java-" + args[0]));
        SdkTracerProvider traces = SdkTracerProvider.builder().setResource(resource)
            .addSpanProcessor(SimpleSpanProcessor.create(spans)).build();
        SdkLoggerProvider logs = SdkLoggerProvider.builder().setResource(resource)
            .addLogRecordProcessor(SimpleLogRecordProcessor.create(records)).build();
        SdkMeterProvider metrics = SdkMeterProvider.builder().setResource(resource)
            .registerMetricReader(PeriodicMetricReader.create(readings)).build();

        Span span = traces.get("client", "1.0").spanBuilder("checkout").setSpanKind(SpanKind.SERVER)
            .setStartTimestamp(START_NS, TimeUnit.NANOSECONDS)
            .setAttribute("text", "grün").setAttribute("number", 42).setAttribute("yes", true)
            .setAttribute("double", 0.5).setAttribute(AttributeKey.longArrayKey("list"), List.of(1L, 2L)).startSpan();
        span.addEvent("retry", START_NS + 1_000_000, TimeUnit.NANOSECONDS);
        span.setStatus(StatusCode.ERROR, "card declined");
        logs.loggerBuilder("client").setInstrumentationVersion("1.0").build().logRecordBuilder()
            .setContext(Context.root().with(span)).setTimestamp(START_NS, TimeUnit.NANOSECONDS)
            .setObservedTimestamp(START_NS + 1_000, TimeUnit.NANOSECONDS).setSeverity(Severity.WARN)
            .setSeverityText("WARN").setBody("card declined").setAttribute(AttributeKey.longKey("number"), 42L).emit();
        span.end(START_NS + 5_000_000, TimeUnit.NANOSECONDS);
        metrics.get("client").counterBuilder("orders").build().add(7);
        System.out.println(span.getSpanContext().getTraceId() + " " + span.getSpanContext().getSpanId());

        var ended = CompletableResultCode.ofAll(List.of(traces.shutdown(), logs.shutdown(), metrics.shutdown()));
        System.exit(ended.join(30, TimeUnit.SECONDS).isSuccess() ? 0 : 1);
    }
}
