//! The configuration, and the policies that it becomes.

use serde::de;
use weir_sdk::prelude::*;
use weir_sdk::sampling::threshold;

use crate::SECOND_NS;

/// A trace remembers in so many bits which policies one of its rows has met.
const POLICIES_MAX: usize = 64;

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) decision_wait: Wait,
    pub(crate) root_wait: Option<Wait>,
    policies: Vec<PolicyConfig>,
    pub(crate) logs: bool,
    pub(crate) traces_max: usize,
    pub(crate) decided_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            decision_wait: Wait(30 * SECOND_NS),
            root_wait: None,
            policies: Vec::new(),
            logs: true,
            traces_max: 50_000,
            decided_max: 100_000,
        }
    }
}

impl Config {
    /// The policies in their order, once everything is found to be right.
    pub(crate) fn policies(&mut self) -> Result<Vec<Policy>> {
        let mut mistakes = Vec::new();
        if self.traces_max == 0 {
            mistakes.push(Error::at("traces_max", "0, but at least one trace must have room to wait in"));
        }
        if self.policies.len() > POLICIES_MAX {
            let message = format!("{} policies, but there can be {POLICIES_MAX}", self.policies.len());
            mistakes.push(Error::at("policies", message));
        }
        let policies = std::mem::take(&mut self.policies).into_iter().enumerate();
        let (policies, wrong): (Vec<_>, Vec<_>) =
            policies.map(|(index, policy)| policy.policy(&format!("policies[{index}]"))).partition(Result::is_ok);
        Error::all(mistakes.into_iter().chain(wrong.into_iter().filter_map(Result::err)))?;
        Ok(policies.into_iter().flatten().collect())
    }
}

/// A span of time in nanoseconds, written `500ms`, `30s` or `2m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait(pub(crate) i64);

impl<'de> Deserialize<'de> for Wait {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong =
            || de::Error::custom(format!("\"{text}\", but a time is written like \"500ms\", \"30s\" or \"2m\""));
        let digits = text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(digits);
        let unit = match unit.trim_start() {
            "ms" => SECOND_NS / 1000,
            "s" => SECOND_NS,
            "m" => 60 * SECOND_NS,
            _ => return Err(wrong()),
        };
        let ns = number.parse::<i64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(wrong)?;
        // Longer than a day nothing is held, and sums with times stay far from the end of 64 bits.
        if ns > 86_400 * SECOND_NS {
            return Err(de::Error::custom(format!("\"{text}\", but a trace waits a day at most")));
        }
        Ok(Self(ns))
    }
}

/// A policy as the operator writes it: exactly one of `error`, `slower_than_ms`, `attribute`, `per_second` and
/// `probability`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PolicyConfig {
    name: Option<String>,
    services: Vec<String>,
    error: Option<bool>,
    slower_than_ms: Option<f64>,
    attribute: Option<String>,
    equals: Option<Scalar>,
    r#in: Option<Vec<Scalar>>,
    matches_prefix: Option<String>,
    at_least: Option<f64>,
    at_most: Option<f64>,
    per_second: Option<u32>,
    by: Option<By>,
    probability: Option<f64>,
}

/// A value as it is compared: by its text.
#[derive(Debug)]
struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected text, a number or a boolean")]
        enum Written {
            Text(String),
            Bool(bool),
            Integer(i64),
            Number(f64),
        }
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::Text(text) => text,
            Written::Bool(value) => value.to_string(),
            Written::Integer(value) => value.to_string(),
            Written::Number(value) => value.to_string(),
        }))
    }
}

/// Of what a rate is the rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum By {
    /// Of all traces together.
    #[default]
    Whole,
    /// Of the traces of each service: the one of the root span, or of the first row where no root span is seen.
    Service,
}

/// When a policy says that a trace is kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Rule {
    /// A span has status `ERROR`.
    Error,
    /// From its first start to its last end it takes longer than these nanoseconds.
    Slower(i64),
    /// The attribute of a span, by its path, has such a value.
    Attribute(String, Test),
    /// So many of the traces that are decided in the same second of event time.
    PerSecond(usize, By),
    /// Its randomness is not below this threshold.
    Probability(u64),
}

/// What the value of an attribute must be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    Exists,
    In(Vec<String>),
    Prefix(String),
    Between(f64, f64),
}

impl Test {
    pub(crate) fn holds(&self, value: &str) -> bool {
        match self {
            Self::Exists => true,
            Self::In(values) => values.iter().any(|one| one == value),
            Self::Prefix(prefix) => value.starts_with(prefix.as_str()),
            Self::Between(least, most) => value.parse::<f64>().is_ok_and(|value| (*least..=*most).contains(&value)),
        }
    }
}

/// One rule, and the services for whose traces it is there; for all where none is named.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Policy {
    pub(crate) counter: String,
    pub(crate) services: Vec<String>,
    pub(crate) rule: Rule,
}

impl PolicyConfig {
    fn policy(self, at: &str) -> Result<Policy> {
        let mistake = |key: &str, message: String| Err(Error::at(format!("{at}.{key}"), message));
        let tests = [
            ("equals", self.equals.is_some()),
            ("in", self.r#in.is_some()),
            ("matches_prefix", self.matches_prefix.is_some()),
            ("at_least", self.at_least.is_some()),
            ("at_most", self.at_most.is_some()),
        ];
        if let Some((key, _)) = tests.iter().find(|(_, set)| *set && self.attribute.is_none()) {
            return mistake(key, "without `attribute`, whose value it compares".to_owned());
        }
        if self.by.is_some() && self.per_second.is_none() {
            return mistake("by", "without `per_second`, whose traces it counts".to_owned());
        }
        let (kind, rule) = match (self.error, self.slower_than_ms, &self.attribute, self.per_second, self.probability) {
            (Some(true), None, None, None, None) => ("error", Rule::Error),
            (Some(false), None, None, None, None) => {
                return mistake("error", "false, but a policy says what is kept: leave it out".to_owned());
            }
            (None, Some(ms), None, None, None) if ms >= 0.0 => ("slow", Rule::Slower((ms * 1e6) as i64)),
            (None, Some(ms), None, None, None) => {
                return mistake("slower_than_ms", format!("{ms}, but it cannot be negative"));
            }
            (None, None, Some(name), None, None) => ("attribute", Rule::Attribute(path(name), self.test(at)?)),
            (None, None, None, Some(0), None) => {
                return mistake("per_second", "0, but a rate keeps at least one trace a second".to_owned());
            }
            (None, None, None, Some(rate), None) => {
                ("rate", Rule::PerSecond(rate as usize, self.by.unwrap_or_default()))
            }
            (None, None, None, None, Some(share)) => match ratio_threshold(share) {
                Some(threshold) => ("probability", Rule::Probability(threshold)),
                None => {
                    return mistake("probability", format!("{share}, but a share is 0, 1, or between 2^-56 and 1"));
                }
            },
            _ => {
                let message = "a policy has exactly one of error, slower_than_ms, attribute, per_second, probability";
                return Err(Error::at(at, message));
            }
        };
        let counter = format!("traces_kept_{}", self.name.as_deref().unwrap_or(kind));
        Ok(Policy { counter, services: self.services, rule })
    }

    fn test(&self, at: &str) -> Result<Test> {
        let texts = |values: &[Scalar]| Test::In(values.iter().map(|value| value.0.clone()).collect());
        let bounds = self.at_least.is_some() || self.at_most.is_some();
        match (&self.equals, &self.r#in, &self.matches_prefix, bounds) {
            (None, None, None, false) => Ok(Test::Exists),
            (Some(value), None, None, false) => Ok(texts(std::slice::from_ref(value))),
            (None, Some(values), None, false) => Ok(texts(values)),
            (None, None, Some(prefix), false) => Ok(Test::Prefix(prefix.clone())),
            (None, None, None, true) => {
                let (least, most) = (self.at_least.unwrap_or(f64::MIN), self.at_most.unwrap_or(f64::MAX));
                Ok(Test::Between(least, most))
            }
            _ => Err(Error::at(
                at,
                "an attribute is compared by one of equals, in, matches_prefix, at_least and at_most",
            )),
        }
    }
}

/// A share as a threshold; that of 0 is above every randomness.
fn ratio_threshold(share: f64) -> Option<u64> {
    match share {
        0.0 => Some(threshold::RANGE),
        1.0 => Some(0),
        _ if share >= 2.0_f64.powi(-56) && share < 1.0 => Some(threshold::from_ratio(share)),
        _ => None,
    }
}

/// An attribute that says no namespace is one of the span.
fn path(name: &str) -> String {
    let namespaced = ["attributes.", "resource.", "scope."].iter().any(|namespace| name.starts_with(namespace));
    if namespaced { name.to_owned() } else { format!("attributes.{name}") }
}
