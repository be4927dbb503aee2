//! Requests to the shop: each one a trace through several services, with its log records.

use super::otlp::{any, int, text};
use super::random::Random;
use super::shop::{CART, CATALOG, CHECKOUT, FRONTEND, INSTANCES, PAYMENT, SHIPPING, Service};
use super::story::{self, SECOND};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use std::collections::BTreeMap;

const MILLISECOND: u64 = 1_000_000;
/// From one service to the next and back.
const NETWORK: u64 = MILLISECOND / 2;

type SpanId = [u8; 8];

/// What an instance of a service has to tell of a minute, by service and instance.
#[derive(Default)]
pub(super) struct Told {
    pub(super) spans: BTreeMap<(Service, usize), Vec<Span>>,
    pub(super) logs: BTreeMap<(Service, usize), Vec<LogRecord>>,
    pub(super) served: BTreeMap<(Service, usize), Vec<Served>>,
    /// How many orders were placed.
    pub(super) orders: i64,
}

/// A request that a service answered, for its metrics.
pub(super) struct Served {
    pub(super) method: &'static str,
    pub(super) route: &'static str,
    pub(super) status: u16,
    pub(super) seconds: f64,
    pub(super) at_ns: u64,
    pub(super) trace_id: [u8; 16],
    pub(super) span_id: SpanId,
}

/// A trace as it grows.
struct Trace<'a> {
    told: &'a mut Told,
    random: &'a mut Random,
    day_ns: u64,
    id: [u8; 16],
}

/// A span to be added.
struct Work {
    service: Service,
    instance: usize,
    id: SpanId,
    parent: Option<SpanId>,
    name: String,
    kind: SpanKind,
    /// From the start of the day.
    start_ns: u64,
    took_ns: u64,
    error: Option<&'static str>,
    attributes: Vec<KeyValue>,
}

/// A call from one service to another over HTTP.
struct Call {
    from: (Service, usize),
    parent: SpanId,
    to: Service,
    method: &'static str,
    route: &'static str,
}

/// A service's answer to a call.
struct Answer {
    status: u16,
    end_ns: u64,
}

/// Adds a request of a random kind, which arrives at that moment of the day.
pub(super) fn add(told: &mut Told, random: &mut Random, day_ns: u64, at_ns: u64) {
    let id = random.id();
    let kind = random.unit();
    let mut trace = Trace { told, random, day_ns, id };
    match kind {
        ..0.60 => trace.visit("GET", "/products/{id}", at_ns, Trace::browse),
        0.60..0.82 => trace.visit("POST", "/cart", at_ns, Trace::fill_cart),
        _ => trace.visit("POST", "/checkout", at_ns, Trace::check_out),
    }
}

impl Trace<'_> {
    /// A customer's request to the frontend; `rest` is what happens behind it and returns the status and the end.
    fn visit(
        &mut self,
        method: &'static str,
        route: &'static str,
        at_ns: u64,
        rest: fn(&mut Self, SpanId, usize, u64) -> (u16, u64),
    ) {
        let (span, instance) = (self.random.id(), self.instance());
        let (mut status, behind) = rest(self, span, instance, at_ns + MILLISECOND);
        let own = self.random.latency(4e6);
        if status < 500 && self.random.chance(story::failing(FRONTEND.name(), at_ns)) {
            status = 500;
        }
        let product = self.random.below(400);
        let path = route.replace("{id}", &product.to_string());
        let address = format!("198.51.100.{}", self.random.below(254) + 1);
        let attributes = vec![
            text("url.path", path),
            text("client.address", address),
            text("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) Chrome/138.0.0.0 Safari/537.36"),
        ];
        self.serve(FRONTEND, instance, span, None, (method, route), (at_ns, behind + own - at_ns), status, attributes);
    }

    fn browse(&mut self, parent: SpanId, instance: usize, at_ns: u64) -> (u16, u64) {
        let call = Call { from: (FRONTEND, instance), parent, to: CATALOG, method: "GET", route: "/api/products/{id}" };
        let answer = self.call(call, at_ns, 5e6, |trace, span, instance, at_ns| {
            let slow = story::slowness(CATALOG.name(), at_ns);
            let took = trace.random.latency(6e6 * slow);
            trace.query(CATALOG, instance, span, at_ns, took, "postgresql", "SELECT products");
            (200, at_ns + took)
        });
        (if answer.status < 500 { 200 } else { 502 }, answer.end_ns)
    }

    fn fill_cart(&mut self, parent: SpanId, instance: usize, at_ns: u64) -> (u16, u64) {
        let call = Call { from: (FRONTEND, instance), parent, to: CART, method: "POST", route: "/api/cart/items" };
        let answer = self.call(call, at_ns, 3e6, |trace, span, instance, at_ns| {
            let took = trace.random.latency(8e5);
            trace.query(CART, instance, span, at_ns, took, "redis", "HSET cart");
            // Out of stock is an answer, not a failure.
            (if trace.random.chance(0.02) { 409 } else { 201 }, at_ns + took)
        });
        (if answer.status < 500 { answer.status } else { 502 }, answer.end_ns)
    }

    fn check_out(&mut self, parent: SpanId, instance: usize, at_ns: u64) -> (u16, u64) {
        let call = Call { from: (FRONTEND, instance), parent, to: CHECKOUT, method: "POST", route: "/api/orders" };
        let answer = self.call(call, at_ns, 9e6, Self::order);
        (if answer.status < 500 { 200 } else { 502 }, answer.end_ns)
    }

    /// What `checkout` does for an order: the cart, the shipping quote (which it can do without), the payment, the message.
    fn order(&mut self, span: SpanId, instance: usize, at_ns: u64) -> (u16, u64) {
        let call = |to, method, route| Call { from: (CHECKOUT, instance), parent: span, to, method, route };
        let cart = self.call(call(CART, "GET", "/api/cart"), at_ns, 2e6, |_, _, _, at_ns| (200, at_ns));
        let quote = self.call(call(SHIPPING, "POST", "/api/quotes"), cart.end_ns, 6e6, |_, _, _, at_ns| (200, at_ns));
        let pay = call(PAYMENT, "POST", "/api/charges");
        let payment = self.call(pay, quote.end_ns, 12e6, |trace, span, instance, at_ns| {
            let took = trace.random.latency(9e7);
            let attributes = vec![text("server.address", "gateway.cards.example"), text("http.request.method", "POST")];
            let id = trace.random.id();
            let kind = SpanKind::Client;
            let name = "POST".to_owned();
            let work = Work {
                service: PAYMENT,
                instance,
                id,
                parent: Some(span),
                name,
                kind,
                start_ns: at_ns,
                took_ns: took,
                error: None,
                attributes,
            };
            trace.add(work);
            (200, at_ns + took)
        });
        if cart.status >= 500 || payment.status >= 500 {
            return (502, payment.end_ns);
        }
        self.told.orders += 1;
        self.announce(span, instance, payment.end_ns);
        (200, payment.end_ns + MILLISECOND)
    }

    /// The message `order.created`, which `shipping` takes some time later.
    fn announce(&mut self, parent: SpanId, instance: usize, at_ns: u64) {
        let order = format!("ord-{:08x}", self.random.next() as u32);
        let attributes = |operation| {
            vec![
                text("messaging.system", "kafka"),
                text("messaging.destination.name", "order.created"),
                text("messaging.operation.type", operation),
                text("shop.order.id", order.clone()),
            ]
        };
        let sent = self.random.id();
        let (name, kind) = ("send order.created".to_owned(), SpanKind::Producer);
        let took_ns = self.random.latency(9e5);
        self.add(Work {
            service: CHECKOUT,
            instance,
            id: sent,
            parent: Some(parent),
            name,
            kind,
            start_ns: at_ns,
            took_ns,
            error: None,
            attributes: attributes("send"),
        });
        let email = format!("customer{}@example.com", self.random.below(5_000));
        let body = format!("order {order} confirmed, receipt sent to {email}");
        self.log(
            CHECKOUT,
            instance,
            at_ns,
            sent,
            SeverityNumber::Info,
            body,
            vec![text("shop.order.id", order.clone())],
        );
        let (id, to) = (self.random.id(), self.instance());
        let (name, kind) = ("process order.created".to_owned(), SpanKind::Consumer);
        let start_ns = at_ns + took_ns + self.random.latency(2e7);
        let took_ns = self.random.latency(1.5e7);
        self.add(Work {
            service: SHIPPING,
            instance: to,
            id,
            parent: Some(sent),
            name,
            kind,
            start_ns,
            took_ns,
            error: None,
            attributes: attributes("process"),
        });
        let link = Link { trace_id: self.id.to_vec(), span_id: sent.to_vec(), ..Link::default() };
        if let Some(span) = self.told.spans.get_mut(&(SHIPPING, to)).and_then(|spans| spans.last_mut()) {
            span.links.push(link);
        }
    }

    /// A call from one service to another: the client's span and the server's. `rest` is what the server does.
    fn call(
        &mut self,
        call: Call,
        at_ns: u64,
        own_ns: f64,
        rest: impl FnOnce(&mut Self, SpanId, usize, u64) -> (u16, u64),
    ) -> Answer {
        let Call { from, parent, to, method, route } = call;
        let (client, server, instance): (SpanId, SpanId, usize) = (self.random.id(), self.random.id(), self.instance());
        let start_ns = at_ns + NETWORK;
        let own = self.random.latency(own_ns * story::slowness(to.name(), at_ns));
        let (status, end_ns) = if self.random.chance(story::failing(to.name(), at_ns)) {
            (503, start_ns + own)
        } else {
            let (status, end_ns) = rest(self, server, instance, start_ns + own / 2);
            (status, end_ns + own / 2)
        };
        self.serve(
            to,
            instance,
            server,
            Some(client),
            (method, route),
            (start_ns, end_ns - start_ns),
            status,
            Vec::new(),
        );
        let attributes = vec![
            text("http.request.method", method),
            text("server.address", to.address()),
            int("server.port", 8080),
            text("url.full", format!("http://{}:8080{route}", to.address())),
            int("http.response.status_code", status.into()),
        ];
        let error = (status >= 500).then_some(error_type(status));
        let (name, kind) = (method.to_owned(), SpanKind::Client);
        let took_ns = end_ns + NETWORK - at_ns;
        self.add(Work {
            service: from.0,
            instance: from.1,
            id: client,
            parent: Some(parent),
            name,
            kind,
            start_ns: at_ns,
            took_ns,
            error,
            attributes,
        });
        Answer { status, end_ns: end_ns + NETWORK }
    }

    /// A server's span, its measurement, and its log record where it fails.
    #[expect(clippy::too_many_arguments, reason = "each is a column of the span")]
    fn serve(
        &mut self,
        service: Service,
        instance: usize,
        id: SpanId,
        parent: Option<SpanId>,
        (method, route): (&'static str, &'static str),
        (start_ns, took_ns): (u64, u64),
        status: u16,
        mut attributes: Vec<KeyValue>,
    ) {
        attributes.extend([
            text("http.request.method", method),
            text("http.route", route),
            text("url.scheme", "http"),
            int("http.response.status_code", status.into()),
        ]);
        let error = (status >= 500).then_some(error_type(status));
        let end_ns = start_ns + took_ns;
        let (name, kind) = (format!("{method} {route}"), SpanKind::Server);
        self.add(Work { service, instance, id, parent, name, kind, start_ns, took_ns, error, attributes });
        if let Some(error) = error {
            let body = format!("{method} {route} failed with {status}");
            let attributes = vec![text("error.type", error), text("http.route", route)];
            self.log(service, instance, end_ns, id, SeverityNumber::Error, body, attributes);
        } else if self.random.chance(0.1) {
            let body = format!("{method} {route} answered {status} in {} ms", took_ns / MILLISECOND);
            self.log(service, instance, end_ns, id, SeverityNumber::Info, body, Vec::new());
        }
        self.told.served.entry((service, instance)).or_default().push(Served {
            method,
            route,
            status,
            seconds: took_ns as f64 / SECOND as f64,
            at_ns: self.day_ns + end_ns,
            trace_id: self.id,
            span_id: id,
        });
    }

    #[expect(clippy::too_many_arguments, reason = "each is an attribute of the span")]
    fn query(
        &mut self,
        service: Service,
        instance: usize,
        parent: SpanId,
        start_ns: u64,
        took_ns: u64,
        system: &str,
        name: &str,
    ) {
        let (operation, collection) = name.split_once(' ').unwrap_or((name, ""));
        let attributes = vec![
            text("db.system.name", system),
            text("db.namespace", "shop"),
            text("db.operation.name", operation),
            text("db.collection.name", collection),
            text("server.address", "db-host-1"),
        ];
        let (id, kind, name) = (self.random.id(), SpanKind::Client, name.to_owned());
        self.add(Work {
            service,
            instance,
            id,
            parent: Some(parent),
            name,
            kind,
            start_ns,
            took_ns,
            error: None,
            attributes,
        });
    }

    fn add(&mut self, work: Work) {
        let start = self.day_ns + work.start_ns;
        let end = start + work.took_ns;
        let mut attributes = work.attributes;
        let mut events = Vec::new();
        let mut status = Status::default();
        if let Some(error) = work.error {
            attributes.push(text("error.type", error));
            status = Status { code: StatusCode::Error as i32, message: format!("answered {error}") };
            if work.kind == SpanKind::Server {
                let exception = vec![
                    text("exception.type", "UpstreamUnavailable"),
                    text("exception.message", format!("{} cannot answer", work.service.name())),
                ];
                let name = "exception".to_owned();
                events.push(Event { time_unix_nano: end, name, attributes: exception, ..Event::default() });
            }
        }
        self.told.spans.entry((work.service, work.instance)).or_default().push(Span {
            trace_id: self.id.to_vec(),
            span_id: work.id.to_vec(),
            parent_span_id: work.parent.map(|parent| parent.to_vec()).unwrap_or_default(),
            flags: 1,
            name: work.name,
            kind: work.kind as i32,
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            attributes,
            events,
            status: Some(status),
            ..Span::default()
        });
    }

    #[expect(clippy::too_many_arguments, reason = "each is a column of the record")]
    fn log(
        &mut self,
        service: Service,
        instance: usize,
        at_ns: u64,
        span: SpanId,
        severity: SeverityNumber,
        body: String,
        attributes: Vec<KeyValue>,
    ) {
        let time = self.day_ns + at_ns;
        self.told.logs.entry((service, instance)).or_default().push(LogRecord {
            time_unix_nano: time,
            observed_time_unix_nano: time + MILLISECOND,
            severity_number: severity as i32,
            severity_text: severity.as_str_name().trim_start_matches("SEVERITY_NUMBER_").to_owned(),
            body: any(Value::StringValue(body)),
            attributes,
            flags: 1,
            trace_id: self.id.to_vec(),
            span_id: span.to_vec(),
            ..LogRecord::default()
        });
    }

    fn instance(&mut self) -> usize {
        self.random.below(INSTANCES as u64) as usize
    }
}

fn error_type(status: u16) -> &'static str {
    match status {
        502 => "502",
        503 => "503",
        _ => "500",
    }
}
