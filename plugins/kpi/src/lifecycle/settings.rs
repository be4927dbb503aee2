//! What may be configured of incidents, changes and alerts that events tell of.

use serde::{Deserialize, Serialize};
use weir_sdk::Error;

const SECOND_NS: i64 = 1_000_000_000;
const DAY_S: u32 = 86_400;

/// From where the time to detection counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DetectFrom {
    /// The first symptom.
    #[default]
    Started,
    /// The cause.
    FaultStart,
}

/// From where the time to acknowledgement counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AcknowledgeFrom {
    /// The detection.
    #[default]
    Detected,
    /// The first symptom.
    Started,
}

/// From where the time to resolution counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ResolveFrom {
    /// The first symptom.
    #[default]
    Started,
    /// The detection.
    Detected,
}

/// To where the time to resolution counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ResolveTo {
    /// The resolution.
    #[default]
    Resolved,
    /// The end of the impact.
    Mitigated,
    /// The end of the paperwork.
    Closed,
}

/// How events become incidents, changes and alerts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// From where `ttd_s` counts.
    pub(crate) ttd_from: DetectFrom,
    /// From where `tta_s` counts.
    pub(crate) tta_from: AcknowledgeFrom,
    /// From where `ttr_s` counts.
    pub(crate) ttr_from: ResolveFrom,
    /// To where `ttr_s` counts.
    pub(crate) ttr_to: ResolveTo,
    /// Whether an open incident has its `ttd_s`, `tta_s` and `ttm_s` already; without, it is in no mean.
    pub(crate) durations_while_open: bool,
    /// Seconds by which clocks may disagree: a negative interval up to this is 0, a longer one is null and flagged.
    pub(crate) skew_s: u32,
    /// Seconds after its end within which reopening continues an incident; later is a new one.
    pub(crate) reopen_s: u32,
    /// Seconds after its end within which an incident that is opened anew recurs.
    pub(crate) recurrence_s: u32,
    /// Seconds after the end of a deployment within which a rollback makes it a failed one.
    pub(crate) rollback_s: u32,
    /// Seconds without a further alert of the same fingerprint and service after which a new group begins.
    pub(crate) alert_group_s: u32,
    /// Seconds after the end of an alert within which the same fingerprint again is a duplicate.
    pub(crate) alert_duplicate_s: u32,
    /// Seconds after which an alert of which no end was told is held to be over.
    pub(crate) alert_open_max_s: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ttd_from: DetectFrom::default(),
            tta_from: AcknowledgeFrom::default(),
            ttr_from: ResolveFrom::default(),
            ttr_to: ResolveTo::default(),
            durations_while_open: false,
            skew_s: 5,
            reopen_s: 4 * 3600,
            recurrence_s: 30 * DAY_S,
            rollback_s: DAY_S,
            alert_group_s: 900,
            alert_duplicate_s: 300,
            alert_open_max_s: DAY_S,
        }
    }
}

impl Settings {
    /// The mistakes that the types do not show, each at its key below `section` (which may be empty).
    pub(crate) fn check(&self, section: &str) -> Vec<Error> {
        let mut mistakes = Vec::new();
        let key = |name: &str| if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
        let mut range = |name: &str, value: u32, least: u32, most: u32| {
            if !(least..=most).contains(&value) {
                mistakes.push(Error::at(key(name), format!("{value} seconds, but it is {least} to {most} seconds")));
            }
        };
        range("skew_s", self.skew_s, 0, 3600);
        range("reopen_s", self.reopen_s, 0, 30 * DAY_S);
        range("recurrence_s", self.recurrence_s, 0, 366 * DAY_S);
        range("rollback_s", self.rollback_s, 1, 366 * DAY_S);
        range("alert_group_s", self.alert_group_s, 0, 30 * DAY_S);
        range("alert_duplicate_s", self.alert_duplicate_s, 0, 30 * DAY_S);
        range("alert_open_max_s", self.alert_open_max_s, 1, 366 * DAY_S);
        if self.alert_duplicate_s > self.alert_group_s {
            let message = format!(
                "{} seconds, but it is at most alert_group_s ({}), so that a duplicate is in the group of its original",
                self.alert_duplicate_s, self.alert_group_s
            );
            mistakes.push(Error::at(key("alert_duplicate_s"), message));
        }
        mistakes
    }
}

/// Seconds as nanoseconds.
pub(super) fn ns(seconds: u32) -> i64 {
    i64::from(seconds) * SECOND_NS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(settings: &Settings, section: &str) -> Vec<String> {
        settings.check(section).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_empty_configuration_is_the_defaults() {
        let settings: Settings = serde_json::from_str("{}").expect("settings");
        assert_eq!(settings, Settings::default());
        assert!(settings.check("").is_empty());
    }

    #[test]
    fn a_value_out_of_range_is_a_mistake_at_its_key() {
        let settings = Settings { skew_s: 4000, rollback_s: 0, ..Settings::default() };
        let found = mistakes(&settings, "lifecycle");
        assert_eq!(found[0], "lifecycle.skew_s: 4000 seconds, but it is 0 to 3600 seconds");
        assert!(found[1].starts_with("lifecycle.rollback_s: 0 seconds"), "{found:?}");
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_duplicate_cannot_be_outside_the_group_of_its_original() {
        let settings = Settings { alert_duplicate_s: 901, ..Settings::default() };
        let found = mistakes(&settings, "");
        assert!(found[0].starts_with("alert_duplicate_s: 901 seconds"), "{found:?}");
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(serde_json::from_str::<Settings>(r#"{"reopen": 1}"#).is_err());
        assert!(serde_json::from_str::<Settings>(r#"{"ttr_to": "fixed"}"#).is_err());
    }
}
