// Exports one trace, one log record and one metric by OTLP: main PROTOCOL ENDPOINT, where PROTOCOL is grpc or http.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := export(ctx, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func export(ctx context.Context, protocol, endpoint string) error {
	spans, records, readings, err := exporters(ctx, protocol, endpoint)
	if err != nil {
		return err
	}
	of := resource.NewSchemaless(attribute.String("service.name", "client-go-"+protocol))
	traces := sdktrace.NewTracerProvider(sdktrace.WithResource(of), sdktrace.WithSyncer(spans))
	logs := sdklog.NewLoggerProvider(sdklog.WithResource(of), sdklog.WithProcessor(sdklog.NewSimpleProcessor(records)))
	metrics := sdkmetric.NewMeterProvider(
		sdkmetric.WithResource(of), sdkmetric.WithReader(sdkmetric.NewPeriodicReader(readings)))

	start := time.Unix(1772496000, 123456789)
	spanContext, span := traces.Tracer("client", trace.WithInstrumentationVersion("1.0")).Start(ctx, "checkout",
		trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(start),
		trace.WithAttributes(attribute.String("text", "grün"), attribute.Int64("number", 42), attribute.Bool("yes", true),
			attribute.Float64("double", 0.5), attribute.Int64Slice("list", []int64{1, 2})))
	span.AddEvent("retry", trace.WithTimestamp(start.Add(time.Millisecond)))
	span.SetStatus(codes.Error, "card declined")
	var record log.Record
	record.SetTimestamp(start)
	record.SetObservedTimestamp(start.Add(time.Microsecond))
	record.SetSeverity(log.SeverityWarn)
	record.SetSeverityText("WARN")
	record.SetBody(attribute.StringValue("card declined"))
	record.AddAttributes(attribute.Int64("number", 42))
	logs.Logger("client", log.WithInstrumentationVersion("1.0")).Emit(spanContext, record)
	span.End(trace.WithTimestamp(start.Add(5 * time.Millisecond)))
	counter, err := metrics.Meter("client").Int64Counter("orders")
	if err != nil {
		return err
	}
	counter.Add(ctx, 7)
	fmt.Printf("%s %s\n", span.SpanContext().TraceID(), span.SpanContext().SpanID())

	for _, shutdown := range []func(context.Context) error{traces.Shutdown, logs.Shutdown, metrics.Shutdown} {
		if err := shutdown(ctx); err != nil {
			return err
		}
	}
	return nil
}

func exporters(ctx context.Context, protocol, endpoint string) (sdktrace.SpanExporter, sdklog.Exporter, sdkmetric.Exporter, error) {
	if protocol == "grpc" {
		spans, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(endpoint))
		if err != nil {
			return nil, nil, nil, err
		}
		records, err := otlploggrpc.New(ctx, otlploggrpc.WithEndpointURL(endpoint), otlploggrpc.WithCompressor("gzip"))
		if err != nil {
			return nil, nil, nil, err
		}
		readings, err := otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpointURL(endpoint))
		return spans, records, readings, err
	}
	spans, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint+"/v1/traces"))
	if err != nil {
		return nil, nil, nil, err
	}
	records, err := otlploghttp.New(ctx, otlploghttp.WithEndpointURL(endpoint+"/v1/logs"),
		otlploghttp.WithCompression(otlploghttp.GzipCompression))
	if err != nil {
		return nil, nil, nil, err
	}
	readings, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(endpoint+"/v1/metrics"))
	return spans, records, readings, err
}
