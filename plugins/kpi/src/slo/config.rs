//! Which objectives the services have, and when their burn is somebody's business.

use std::fmt;

use serde::de::{Deserializer, Visitor};
use weir_sdk::prelude::*;

use super::{SLOT_NS, row::REPORTED};

/// Objectives and the rules that watch over them.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// The objectives. Of several with one name, the first that matches a service is its own.
    pub(crate) objectives: Vec<Objective>,
    /// The time over which an objective is to be met: that of the error budget.
    pub(crate) period: Span,
    /// A rule fires only with so many bad requests in its long window.
    pub(crate) bad_min: f64,
    /// Calls somebody when much of the budget goes quickly.
    pub(crate) page_fast: Rule,
    /// Calls somebody when the budget goes in days.
    pub(crate) page_slow: Rule,
    /// Opens a ticket when the budget does not last.
    pub(crate) ticket_fast: Rule,
    /// Opens a ticket when the budget is just used up at the end.
    pub(crate) ticket_slow: Rule,
}

/// A share of good requests that is promised.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Objective {
    /// Its name, `slo_name` in the table.
    pub(crate) name: String,
    /// The share of valid requests that are to be good, such as 0.999.
    pub(crate) target: f64,
    /// Names of the services that have it; `*` stands for anything.
    #[serde(default = "everything")]
    pub(crate) services: Vec<String>,
    /// Names of the environments in which they have it; `*` stands for anything.
    #[serde(default = "everything")]
    pub(crate) environments: Vec<String>,
}

/// When a burn rate is too high: over both windows.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// The burn rate at which it fires.
    pub(crate) burn: f64,
    /// The window that shows that it matters.
    pub(crate) long: Span,
    /// The window that shows that it still goes on.
    pub(crate) short: Span,
}

/// One of the four rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RuleName {
    PageFast,
    PageSlow,
    TicketFast,
    TicketSlow,
}

impl RuleName {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::PageFast, Self::PageSlow, Self::TicketFast, Self::TicketSlow];

    /// The rule's key in the configuration.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::PageFast => "page_fast",
            Self::PageSlow => "page_slow",
            Self::TicketFast => "ticket_fast",
            Self::TicketSlow => "ticket_slow",
        }
    }
}

/// A length of time in whole slots, written as `"5m"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(i64);

const MINUTE: i64 = 6;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// The longest time that anything is kept for.
const SPAN_MAX: Span = Span::days(366);

impl Span {
    pub(super) const fn minutes(minutes: i64) -> Self {
        Self(minutes * MINUTE)
    }

    pub(super) const fn hours(hours: i64) -> Self {
        Self(hours * HOUR)
    }

    pub(super) const fn days(days: i64) -> Self {
        Self(days * DAY)
    }

    /// In slots.
    pub(crate) fn slots(self) -> i64 {
        self.0
    }

    /// In nanoseconds.
    pub(crate) fn ns(self) -> i64 {
        self.0 * SLOT_NS
    }

    fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit())?;
        let (digits, unit) = text.split_at(end);
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        let seconds = digits.parse::<i64>().ok()?.checked_mul(seconds)?;
        let span = Self(seconds / 10);
        (seconds % 10 == 0 && span.0 > 0 && span <= SPAN_MAX).then_some(span)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            slots if slots % DAY == 0 => write!(f, "{}d", slots / DAY),
            slots if slots % HOUR == 0 => write!(f, "{}h", slots / HOUR),
            slots if slots % MINUTE == 0 => write!(f, "{}m", slots / MINUTE),
            slots => write!(f, "{}s", slots * 10),
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a time such as \"5m\", \"6h\" or \"3d\", a multiple of 10s and at most {SPAN_MAX}")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Span, E> {
                Span::parse(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

fn everything() -> Vec<String> {
    vec!["*".to_owned()]
}

impl Default for Config {
    fn default() -> Self {
        let rule = |burn, long, short| Rule { burn, long, short };
        let services = everything();
        let objective =
            Objective { name: "availability".to_owned(), target: 0.999, environments: services.clone(), services };
        Self {
            objectives: vec![objective],
            period: Span::days(30),
            bad_min: 10.0,
            page_fast: rule(14.4, Span::hours(1), Span::minutes(5)),
            page_slow: rule(6.0, Span::hours(6), Span::minutes(30)),
            ticket_fast: rule(3.0, Span::days(1), Span::hours(2)),
            ticket_slow: rule(1.0, Span::days(3), Span::hours(6)),
        }
    }
}

impl Config {
    /// The rule of that name.
    pub(crate) fn rule(&self, name: RuleName) -> &Rule {
        match name {
            RuleName::PageFast => &self.page_fast,
            RuleName::PageSlow => &self.page_slow,
            RuleName::TicketFast => &self.ticket_fast,
            RuleName::TicketSlow => &self.ticket_slow,
        }
    }

    /// The objectives that a service has.
    pub(crate) fn objectives_of(&self, environment: &str, service_name: &str) -> Vec<&Objective> {
        let mut found: Vec<&Objective> = Vec::new();
        for objective in self.objectives.iter().filter(|objective| objective.matches(environment, service_name)) {
            if found.iter().all(|other| other.name != objective.name) {
                found.push(objective);
            }
        }
        found
    }

    /// How long slots are to be kept so that no window has to do with hours, in nanoseconds.
    pub(crate) fn slots_kept_ns(&self) -> i64 {
        let long = RuleName::ALL.map(|name| self.rule(name).long);
        long.into_iter().chain(REPORTED).map(Span::ns).max().unwrap_or_default()
    }

    /// The mistakes that the types do not show; `key` is where the configuration stands in the plugin's.
    pub(crate) fn mistakes(&self, key: &str) -> Vec<Error> {
        let mut mistakes = Vec::new();
        let mut mistake = |at: String, message: String| mistakes.push(Error::at(format!("{key}.{at}"), message));
        for (index, objective) in self.objectives.iter().enumerate() {
            let at = |field: &str| format!("objectives[{index}].{field}");
            if objective.name.is_empty() {
                mistake(at("name"), "expected a name, got \"\"".to_owned());
            }
            let target = objective.target;
            if !(target > 0.0 && target <= TARGET_MAX) {
                mistake(at("target"), format!("{target}, but a target is above 0 and at most {TARGET_MAX}"));
            }
            for (field, patterns) in [("services", &objective.services), ("environments", &objective.environments)] {
                if patterns.is_empty() {
                    mistake(at(field), "no name, so that the objective is nobody's: leave it out for all".to_owned());
                }
            }
        }
        if !(self.bad_min >= 0.0 && self.bad_min.is_finite()) {
            mistake("bad_min".to_owned(), format!("{}, but it cannot be negative", self.bad_min));
        }
        for name in RuleName::ALL {
            let Rule { burn, long, short } = *self.rule(name);
            if !(burn > 0.0 && burn.is_finite()) {
                mistake(format!("{}.burn", name.key()), format!("{burn}, but a burn rate to fire at is above 0"));
            }
            if short >= long {
                mistake(format!("{}.short", name.key()), format!("{short}, but it is shorter than `long`, {long}"));
            }
            if long > self.period {
                mistake(format!("{}.long", name.key()), format!("{long}, but `period` is {}", self.period));
            }
        }
        mistakes
    }
}

/// With a higher target what is allowed is lost in the rounding of floating-point numbers.
const TARGET_MAX: f64 = 0.999_999_999;

impl Objective {
    /// The share of bad requests that it allows.
    pub(crate) fn allowed(&self) -> f64 {
        // 1 - 0.999 is a little more than 0.001, which shows in every burn rate.
        ((1.0 - self.target) * 1e12).round() / 1e12
    }

    fn matches(&self, environment: &str, service_name: &str) -> bool {
        let any = |patterns: &[String], name: &str| patterns.iter().any(|pattern| is_match(pattern, name));
        any(&self.services, service_name) && any(&self.environments, environment)
    }
}

/// Whether the pattern is the name, where `*` stands for any text.
fn is_match(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        // The first place is as good as any: what follows has the more room.
        let Some(found) = name.find(part) else { return false };
        name = &name[found + part.len()..];
    }
    name.ends_with(end)
}
