//! How bad it is: sev1 to sev5, whatever the sender calls it.

use serde::{Deserialize, Serialize};

/// A severity; the worse is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Severity {
    /// sev5, informational.
    #[serde(rename = "5")]
    Sev5,
    /// sev4, low.
    #[serde(rename = "4")]
    Sev4,
    /// sev3, moderate.
    #[serde(rename = "3")]
    Sev3,
    /// sev2, high.
    #[serde(rename = "2")]
    Sev2,
    /// sev1, critical.
    #[serde(rename = "1")]
    Sev1,
}

impl Severity {
    /// What [`parse`](Self::parse) takes.
    pub(crate) const EXPECTED: &str = "sev1 to sev5 (also 1 to 5, p1 to p5, critical, high, medium, low, info)";

    /// The severity as the tables have it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sev1 => "sev1",
            Self::Sev2 => "sev2",
            Self::Sev3 => "sev3",
            Self::Sev4 => "sev4",
            Self::Sev5 => "sev5",
        }
    }

    /// The severity that a text says, in small or large letters: `sev1`, `SEV-1`, `s1`, `p1` or `1`; or a word, of
    /// those that PagerDuty, Opsgenie and ServiceNow use.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let digit = ["sev", "s", "p", ""].iter().find_map(|prefix| {
            let rest = text.strip_prefix(prefix)?;
            let rest = if prefix.is_empty() { rest } else { rest.trim_start_matches(['-', '_', ' ']) };
            (rest.len() == 1).then_some(rest)
        });
        match digit.unwrap_or(text.as_str()) {
            "1" | "critical" | "fatal" | "emergency" => Some(Self::Sev1),
            "2" | "high" | "major" | "error" => Some(Self::Sev2),
            "3" | "medium" | "moderate" | "warning" => Some(Self::Sev3),
            "4" | "low" | "minor" => Some(Self::Sev4),
            "5" | "info" | "informational" => Some(Self::Sev5),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_severity_are_one() {
        for text in ["sev2", "SEV2", "Sev-2", "sev_2", "sev 2", "s2", "P2", "2", "high", "Major", " error "] {
            assert_eq!(Severity::parse(text), Some(Severity::Sev2), "{text}");
        }
        for (number, severity) in ["sev5", "sev4", "sev3", "sev2", "sev1"].into_iter().zip([
            Severity::Sev5,
            Severity::Sev4,
            Severity::Sev3,
            Severity::Sev2,
            Severity::Sev1,
        ]) {
            assert_eq!(Severity::parse(number), Some(severity));
            assert_eq!(severity.as_str(), number);
        }
    }

    #[test]
    fn what_is_no_severity_is_refused() {
        for text in ["", "sev0", "sev6", "sev", "sev12", "-1", "p", "bad", "1.0"] {
            assert_eq!(Severity::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_worse_is_the_greater() {
        assert!(Severity::Sev1 > Severity::Sev2 && Severity::Sev4 > Severity::Sev5);
    }
}
