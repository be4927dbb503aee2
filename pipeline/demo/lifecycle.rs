//! Log records that say what happened: incidents, alerts, deployments, maintenance.

use super::otlp::{any, attribute, text};
use super::shop::Service;
use super::story::{MINUTE, clock};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};

/// An event: when, of which service, its name without `itops.`, and its attributes.
type Event = (u64, &'static str, &'static str, Vec<KeyValue>);

/// The events within a span of the day, in their order.
pub(super) fn between(day_ns: u64, from_ns: u64, to_ns: u64) -> Vec<(Service, LogRecord)> {
    let mut events = all(day_ns);
    events.retain(|(at_ns, ..)| (from_ns..to_ns).contains(at_ns));
    events.sort_by_key(|(at_ns, ..)| *at_ns);
    let record = |(at_ns, service, name, attributes): Event| {
        let record = LogRecord {
            time_unix_nano: day_ns + at_ns,
            observed_time_unix_nano: day_ns + at_ns,
            severity_number: SeverityNumber::Info as i32,
            severity_text: "INFO".to_owned(),
            body: any(Value::StringValue(format!("{name} of {service}"))),
            attributes,
            event_name: format!("itops.{name}"),
            ..LogRecord::default()
        };
        Some((Service::named(service)?, record))
    };
    events.into_iter().filter_map(record).collect()
}

/// Moments of an incident, in minutes of the day; those after the day are left out.
struct Incident {
    id: &'static str,
    service: &'static str,
    severity: &'static str,
    started: u64,
    /// detected, acknowledged, mitigated, resolved, closed
    then: [u64; 5],
    cause: Option<&'static str>,
}

const NEVER: u64 = u64::MAX;

const INCIDENTS: [Incident; 5] = [
    Incident {
        id: "inc-1001",
        service: "checkout",
        severity: "sev1",
        started: 600,
        then: [603, 606, 620, 626, 690],
        cause: None,
    },
    Incident {
        id: "inc-1002",
        service: "checkout",
        severity: "sev2",
        started: 690,
        then: [694, 697, 708, 715, 780],
        cause: Some("chg-1142"),
    },
    Incident {
        id: "inc-1003",
        service: "catalog",
        severity: "sev3",
        started: 790,
        then: [820, 834, 870, 882, 960],
        cause: None,
    },
    Incident {
        id: "inc-1004",
        service: "payment",
        severity: "sev1",
        started: 905,
        then: [907, 909, 917, 923, 1000],
        cause: None,
    },
    Incident {
        id: "inc-1005",
        service: "db-host",
        severity: "sev3",
        started: 1290,
        then: [1300, 1325, NEVER, NEVER, NEVER],
        cause: None,
    },
];

/// A deployment, its times in minutes of the day.
struct Deployment {
    change: &'static str,
    service: &'static str,
    version: &'static str,
    from: u64,
    to: u64,
    /// As in `cicd.pipeline.result`.
    result: &'static str,
    /// The window that it was planned for.
    window: [u64; 2],
    rolled_back: Option<u64>,
}

const DEPLOYMENTS: [Deployment; 4] = [
    Deployment {
        change: "chg-1141",
        service: "catalog",
        version: "1.8.0",
        from: 540,
        to: 544,
        result: "success",
        window: [530, 560],
        rolled_back: None,
    },
    Deployment {
        change: "chg-1142",
        service: "checkout",
        version: "2.4.0",
        from: 687,
        to: 690,
        result: "success",
        window: [600, 660],
        rolled_back: Some(708),
    },
    Deployment {
        change: "chg-1143",
        service: "frontend",
        version: "3.12.0",
        from: 990,
        to: 993,
        result: "success",
        window: [980, 1_010],
        rolled_back: None,
    },
    Deployment {
        change: "chg-1144",
        service: "cart",
        version: "1.10.0",
        from: 1_020,
        to: 1_022,
        result: "cancellation",
        window: [1_010, 1_040],
        rolled_back: None,
    },
];

/// Alerts: name, service, severity, first minute, last minute, and every how many minutes it fires again.
const ALERTS: [(&str, &str, &str, u64, u64, u64); 7] = [
    ("HighErrorRate", "checkout", "critical", 602, 622, 5),
    ("HighErrorRate", "frontend", "warning", 603, 622, 5),
    ("HighErrorRate", "checkout", "critical", 693, 710, 5),
    ("HighLatency", "catalog", "warning", 815, 872, 10),
    ("HighErrorRate", "payment", "critical", 906, 918, 5),
    ("HighErrorRate", "checkout", "critical", 907, 918, 5),
    ("DiskFilling", "db-host", "warning", 1290, NEVER, 30),
];

fn all(day_ns: u64) -> Vec<Event> {
    let mut events = Vec::new();
    for incident in &INCIDENTS {
        push_incident(day_ns, incident, &mut events);
    }
    for deployment in &DEPLOYMENTS {
        push_deployment(day_ns, deployment, &mut events);
    }
    push_alerts(&mut events);
    let maintenance = || {
        let time = |key, at_ns: u64| attribute(key, Value::IntValue((day_ns + at_ns) as i64));
        vec![
            text("itops.maintenance.id", "mnt-77"),
            time("itops.maintenance.start", clock(20, 0)),
            time("itops.maintenance.end", clock(20, 30)),
        ]
    };
    for (at_ns, what) in [
        (clock(9, 15), "maintenance.scheduled"),
        (clock(20, 0), "maintenance.started"),
        (clock(20, 30), "maintenance.ended"),
    ] {
        events.push((at_ns, "shipping", what, maintenance()));
    }
    events
}

fn push_incident(day_ns: u64, incident: &Incident, events: &mut Vec<Event>) {
    let moments = ["detected", "acknowledged", "mitigated", "resolved", "closed"];
    for (what, minute) in moments.into_iter().zip(incident.then).filter(|(_, minute)| *minute != NEVER) {
        let start = (day_ns + incident.started * MINUTE) as i64;
        let mut attributes = vec![
            text("itops.incident.id", incident.id),
            text("itops.incident.severity", incident.severity),
            attribute("itops.incident.impact_start_time", Value::IntValue(start)),
            attribute("itops.incident.planned", Value::BoolValue(false)),
            text("itops.incident.url", format!("https://incidents.shop.example/{}", incident.id)),
        ];
        attributes.extend(incident.cause.map(|change| text("itops.incident.cause_change_id", change)));
        let name = match what {
            "detected" => "incident.detected",
            "acknowledged" => "incident.acknowledged",
            "mitigated" => "incident.mitigated",
            "resolved" => "incident.resolved",
            _ => "incident.closed",
        };
        events.push((minute * MINUTE, incident.service, name, attributes));
    }
}

fn push_deployment(day_ns: u64, deployment: &Deployment, events: &mut Vec<Event>) {
    let Deployment { change, service, version, from, to, result, window: [opens, closes], rolled_back } = *deployment;
    let time = |key, minute: u64| attribute(key, Value::IntValue((day_ns + minute * MINUTE) as i64));
    let attributes = |result: Option<&str>| {
        let mut attributes = vec![
            text("itops.change.id", change),
            attribute("itops.change.approved", Value::BoolValue(true)),
            time("itops.change.committed_at", from - 200),
            time("itops.change.window_start", opens),
            time("itops.change.window_end", closes),
            text("deployment.name", format!("{service} {version}")),
        ];
        attributes.extend(result.map(|result| text("itops.change.result", result)));
        attributes
    };
    events.push((from * MINUTE, service, "deployment.started", attributes(None)));
    events.push((to * MINUTE, service, "deployment.finished", attributes(Some(result))));
    if let Some(at) = rolled_back {
        events.push((at * MINUTE, service, "deployment.rolled_back", attributes(Some("failure"))));
    }
}

fn push_alerts(events: &mut Vec<Event>) {
    for (name, service, severity, first, last, every) in ALERTS {
        let times = (first..last.min(24 * 60)).step_by(every as usize);
        for minute in times {
            let attributes = |minute: u64| {
                vec![
                    text("itops.alert.id", format!("{name}-{service}-{minute}").to_lowercase()),
                    text("itops.alert.fingerprint", format!("{name}:{service}").to_lowercase()),
                    text("itops.alert.name", name),
                    text("itops.alert.group_key", service),
                    text("itops.alert.severity", severity),
                ]
            };
            events.push((minute * MINUTE, service, "alert.fired", attributes(minute)));
            if last != NEVER {
                events.push((last * MINUTE, service, "alert.resolved", attributes(minute)));
            }
        }
    }
}
