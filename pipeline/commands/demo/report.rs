//! What came out of the day: the story, what the tables say of it, and where they are.

use super::shown::{NOTHING, Table, clock, duration, percent};
use crate::commands::{bytes, grouped};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use weir::demo::Day;
use weir::run::Summary;
use weir::{Error, Result};

/// So many resources are shown, those nearest to their limits.
const RESOURCES_SHOWN: usize = 5;

/// Prints what happened, what the tables say, and where they are.
pub(super) fn print(summary: &Summary, to: &Path, took: Duration) -> Result<()> {
    let rows: u64 = summary.received.iter().map(|(_, rows)| rows).sum();
    println!("A day of a small shop: {} rows in {:.1} s.\n", grouped(rows), took.as_secs_f64());
    println!("What happened");
    for episode in Day::story() {
        let clock = |ns: u64| {
            let minute = ns / 60_000_000_000;
            format!("{:02}:{:02}", minute / 60, minute % 60)
        };
        println!("  {}–{}  {:<10} {}", clock(episode.from_ns), clock(episode.to_ns), episode.service, episode.what);
    }
    requests(to)?;
    indicators(to)?;
    incidents(to)?;
    resources(to)?;
    println!("\nWhere it is");
    for table in &summary.written {
        // From the files: rows that are restated are written more than once.
        let folder = to.join(&table.table);
        let (rows, stored) = (Table::read(to, &table.table, &[])?.rows().count() as u64, stored(&folder)?);
        println!(
            "  {:<24} {:>9} rows, {:>3} files, {:>9}  ({:.0} bytes a row)",
            folder.display(),
            grouped(rows),
            stored.len(),
            bytes(stored.iter().sum()),
            stored.iter().sum::<u64>() as f64 / rows.max(1) as f64
        );
    }
    let glob = to.join("incidents/**/*.parquet");
    println!("\nAsk it something, for example with DuckDB:\n");
    println!("  SELECT service_name, avg(ttr_s) / 60 AS mttr_min, count(*) AS incidents FROM '{}'", glob.display());
    println!("  WHERE NOT planned AND ttr_s IS NOT NULL GROUP BY ALL ORDER BY ALL;");
    Ok(())
}

fn requests(to: &Path) -> Result<()> {
    let mut services: BTreeMap<String, (Vec<i64>, u64)> = BTreeMap::new();
    let spans = Table::read(to, "spans", &["service_name", "kind", "status_code", "duration_ns"])?;
    for span in spans.rows().filter(|span| matches!(span.text("kind"), "SERVER" | "CONSUMER")) {
        let (durations, errors) = services.entry(span.text("service_name").to_owned()).or_default();
        durations.extend(span.int("duration_ns"));
        *errors += u64::from(span.text("status_code") == "ERROR");
    }
    println!("\nWhat the spans say, per service (requests are SERVER and CONSUMER spans)");
    println!("  {:<10} {:>9} {:>8} {:>9} {:>9}", "service", "requests", "errors", "p50", "p95");
    for (name, (mut durations, errors)) in services {
        durations.sort_unstable();
        let quantile = |at: f64| {
            let index = ((durations.len() as f64 - 1.0) * at).max(0.0).round() as usize;
            durations.get(index).map_or_else(|| NOTHING.to_owned(), |ns| format!("{:.1} ms", *ns as f64 / 1e6))
        };
        let errors = percent((!durations.is_empty()).then(|| errors as f64 / durations.len() as f64), 2);
        println!(
            "  {name:<10} {:>9} {errors:>8} {:>9} {:>9}",
            grouped(durations.len() as u64),
            quantile(0.5),
            quantile(0.95)
        );
    }
    Ok(())
}

fn indicators(to: &Path) -> Result<()> {
    let columns = [
        "service_name",
        "availability_time",
        "coverage",
        "down_s",
        "degraded_s",
        "incidents",
        "recurring",
        "mttd_s",
        "mttr_s",
        "changes",
        "changes_failed",
        "cost",
    ];
    let days = Table::read(to, "kpi_daily", &columns)?;
    let mut days: Vec<_> = days.rows().collect();
    days.sort_by_key(|day| day.text("service_name"));
    println!("\nWhat the KPIs say, per service (means are over the incidents detected or resolved that day)");
    println!(
        "  {:<9} {:>9} {:>8} {:>8} {:>8} {:>10} {:>8} {:>8} {:>7} {:>6}",
        "service", "uptime", "known", "down", "degraded", "incidents", "MTTD", "MTTR", "changes", "cost"
    );
    for day in days {
        let changes = match (day.number("changes"), day.number("changes_failed")) {
            (Some(all), Some(failed)) if all > 0.0 => format!("{} of {all}", all - failed),
            _ => NOTHING.to_owned(),
        };
        let count = |column| day.number(column).unwrap_or(0.0);
        let incidents = match count("recurring") {
            0.0 => count("incidents").to_string(),
            recurring => format!("{}, {recurring} again", count("incidents")),
        };
        println!(
            "  {:<9} {:>9} {:>8} {:>8} {:>8} {incidents:>10} {:>8} {:>8} {changes:>7} {:>6}",
            day.text("service_name"),
            percent(day.number("availability_time"), 3),
            percent(day.number("coverage"), 1),
            duration(day.number("down_s")),
            duration(day.number("degraded_s")),
            duration(day.number("mttd_s")),
            duration(day.number("mttr_s")),
            day.number("cost").map_or_else(|| NOTHING.to_owned(), |cost| grouped(cost.round() as u64)),
        );
    }
    println!("  degraded is part of the uptime; again: like one before it; changes: how many deployments went well");
    Ok(())
}

fn incidents(to: &Path) -> Result<()> {
    let columns = [
        "incident_id",
        "opened_at",
        "service_name",
        "severity",
        "status",
        "planned",
        "detected_at",
        "mitigated_at",
        "resolved_at",
        "detection_source",
        "cause_change_id",
    ];
    let incidents = Table::read(to, "incidents", &columns)?;
    let mut incidents: Vec<_> = incidents.rows().collect();
    incidents.sort_by_key(|incident| (incident.time("opened_at"), incident.text("incident_id")));
    println!("\nIncidents, those found in the signals (sig-…) and those that people told of");
    println!(
        "  {:<20} {:<9} {:<4} {:<8} {:<6} {:<8} {:<9} {:<8} {:<7} cause",
        "incident", "service", "sev", "status", "begins", "detected", "mitigated", "resolved", "by"
    );
    for incident in incidents {
        let status = if incident.is("planned") { "planned" } else { incident.text("status") };
        let line = format!(
            "  {:<20} {:<9} {:<4} {status:<8} {:<6} {:<8} {:<9} {:<8} {:<7} {}",
            incident.text("incident_id"),
            incident.text("service_name"),
            incident.text("severity"),
            clock(incident.time("opened_at")),
            clock(incident.time("detected_at")),
            clock(incident.time("mitigated_at")),
            clock(incident.time("resolved_at")),
            incident.text("detection_source"),
            incident.text("cause_change_id"),
        );
        println!("{}", line.trim_end());
    }
    Ok(())
}

/// The use of a resource over the day.
#[derive(Default)]
struct Used {
    covered_s: f64,
    used_s: f64,
    p95: f64,
    over_80_s: f64,
}

fn resources(to: &Path) -> Result<()> {
    let columns = ["service_name", "resource", "instance", "mean", "p95", "over_80_s", "covered_s"];
    let hours = Table::read(to, "utilization", &columns)?;
    let mut instances: BTreeMap<[&str; 3], Used> = BTreeMap::new();
    for hour in hours.rows() {
        let used = instances.entry(["service_name", "resource", "instance"].map(|key| hour.text(key))).or_default();
        let value = |column| hour.number(column).unwrap_or(0.0);
        used.covered_s += value("covered_s");
        used.used_s += value("mean") * value("covered_s");
        used.p95 = used.p95.max(value("p95"));
        used.over_80_s += value("over_80_s");
    }
    // Of several instances, the one that came nearest stands for all.
    let mut instances: Vec<_> = instances.into_iter().collect();
    instances.sort_by(|(_, one), (_, other)| other.p95.total_cmp(&one.p95));
    let mut seen = BTreeSet::new();
    instances.retain(|([service, resource, _], _)| seen.insert([*service, *resource]));
    println!("\nThe resources nearest to their limits (p95 of their worst hour)");
    println!("  {:<9} {:<20} {:<28} {:>9} {:>9} {:>10}", "service", "resource", "instance", "mean", "p95", "over 80 %");
    for ([service, resource, instance], used) in instances.into_iter().take(RESOURCES_SHOWN) {
        println!(
            "  {service:<9} {resource:<20} {instance:<28} {:>9} {:>9} {:>10}",
            percent((used.covered_s > 0.0).then(|| used.used_s / used.covered_s), 1),
            percent(Some(used.p95), 1),
            duration(Some(used.over_80_s)),
        );
    }
    Ok(())
}

/// The sizes of the Parquet files below a folder.
fn stored(folder: &Path) -> Result<Vec<u64>> {
    let failed = |error| Error::storage(format!("{}: {error}", folder.display()));
    let mut sizes = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if path.is_dir() {
            sizes.extend(stored(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            sizes.push(entry.metadata().map_err(failed)?.len());
        }
    }
    Ok(sizes)
}
