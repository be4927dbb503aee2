//! Sets of facts: what is known of a thing, whatever the order in which it was told and however often.

use serde::{Deserialize, Serialize};

/// What telemetry of a service has in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct ServiceKey {
    /// `service.namespace`, empty where it is not set.
    #[serde(rename = "n", default, skip_serializing_if = "String::is_empty")]
    pub(crate) namespace: String,
    /// `service.name`, empty where it is not set.
    #[serde(rename = "s", default, skip_serializing_if = "String::is_empty")]
    pub(crate) service: String,
    /// `deployment.environment.name`, empty where it is not set.
    #[serde(rename = "e", default, skip_serializing_if = "String::is_empty")]
    pub(crate) environment: String,
}

/// Attributes of an event, of which two copies can be made one.
pub(crate) trait Join: Default + PartialEq {
    /// Takes what the other one has; of two values the greater.
    fn join(&mut self, other: Self);

    /// Whether none is set.
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Declares a struct of optional attributes, each stored under a short name, and its [`Join`].
macro_rules! joined {
    ($(#[$about:meta])* $vis:vis struct $name:ident {
        $($(#[$field_about:meta])* $short:literal $field:ident: $kind:ty,)*
    }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        $vis struct $name {
            $(
                $(#[$field_about])*
                #[serde(rename = $short, default, skip_serializing_if = "Option::is_none")]
                $vis $field: Option<$kind>,
            )*
        }

        impl $crate::lifecycle::facts::Join for $name {
            fn join(&mut self, other: Self) {
                $(self.$field = self.$field.take().max(other.$field);)*
            }
        }
    };
}
pub(super) use joined;

/// An event of a thing: a step of it at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(
    serialize = "S: Serialize, A: Serialize + Join",
    deserialize = "S: Deserialize<'de>, A: Deserialize<'de> + Join"
))]
pub(crate) struct Fact<S, A> {
    /// When it happened.
    #[serde(rename = "t")]
    pub(crate) time: i64,
    /// What happened.
    #[serde(rename = "s")]
    pub(crate) step: S,
    /// `log.record.uid`.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub(crate) uid: Option<String>,
    /// What the event says besides.
    #[serde(rename = "a", default, skip_serializing_if = "Join::is_none")]
    pub(crate) attributes: A,
}

impl<S: Copy + Ord, A> Fact<S, A> {
    /// Facts sort by time; at one time, steps sort as they follow each other.
    fn order(&self) -> (i64, S, Option<&str>) {
        (self.time, self.step, self.uid.as_deref())
    }

    /// Duplicates are told by `log.record.uid`, else by step and time.
    fn is_copy_of(&self, other: &Self) -> bool {
        self.step == other.step
            && match (&self.uid, &other.uid) {
                (Some(uid), Some(other)) => uid == other,
                (None, None) => self.time == other.time,
                _ => false,
            }
    }
}

/// Which facts stay when there are too many, and which of two copies that say different times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Earliest,
    Latest,
}

/// A bounded set of facts, in the order of their times.
///
/// Which facts it holds depends on those it was given, not on their order: one is dropped only when so many others
/// stand before it, and no later fact changes that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(
    serialize = "S: Serialize, A: Serialize + Join",
    deserialize = "S: Deserialize<'de>, A: Deserialize<'de> + Join"
))]
pub(super) struct Facts<S, A> {
    #[serde(rename = "f")]
    facts: Vec<Fact<S, A>>,
    /// Whether there were more than it holds.
    #[serde(rename = "m", default, skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

impl<S, A> Default for Facts<S, A> {
    fn default() -> Self {
        Self { facts: Vec::new(), truncated: false }
    }
}

impl<S: Copy + Ord, A: Join + Clone> Facts<S, A> {
    /// Adds a fact; says whether anything has changed.
    pub(super) fn add(&mut self, mut fact: Fact<S, A>, keep: Keep, limit: usize) -> bool {
        let known = self.facts.iter().position(|known| known.is_copy_of(&fact));
        if let Some(known) = known.map(|index| self.facts.remove(index)) {
            let before = known.clone();
            let other_wins = match keep {
                Keep::Earliest => known.time < fact.time,
                Keep::Latest => known.time > fact.time,
            };
            if known.time == fact.time {
                fact.attributes.join(known.attributes);
            } else if other_wins {
                fact = known;
            }
            let changed = fact.time != before.time || fact.attributes != before.attributes;
            self.insert(fact);
            return changed;
        }
        let order = (fact.time, fact.step, fact.uid.clone());
        self.insert(fact);
        if self.facts.len() <= limit {
            return true;
        }
        let index = if keep == Keep::Earliest { self.facts.len() - 1 } else { 0 };
        let dropped = self.facts.remove(index);
        let first_time = !std::mem::replace(&mut self.truncated, true);
        first_time || (dropped.time, dropped.step, dropped.uid) != order
    }

    fn insert(&mut self, fact: Fact<S, A>) {
        let index = self.facts.partition_point(|other| other.order() < fact.order());
        self.facts.insert(index, fact);
    }

    /// The facts, the earliest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Fact<S, A>> {
        self.facts.iter()
    }

    /// Whether there were more than it holds.
    pub(super) fn truncated(&self) -> bool {
        self.truncated
    }
}

/// The latest value of an attribute; of several at one time, the greatest.
pub(super) fn latest<'a, S: 'a, A: 'a, T: Ord>(
    facts: impl Iterator<Item = &'a Fact<S, A>>,
    value: impl Fn(&'a A) -> Option<T>,
) -> Option<T> {
    let told = facts.filter_map(|fact| Some((fact.time, value(&fact.attributes)?)));
    told.max().map(|(_, value)| value)
}

/// The service of a thing whose events may name several: that of its earliest event that names one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner(Option<(bool, i64, ServiceKey)>);

impl Owner {
    /// Hears that an event of that time named the service; says whether that changes anything.
    pub(super) fn hear(&mut self, time: i64, service: &ServiceKey) -> bool {
        let told = (service.service.is_empty(), time, service);
        let wins = self.0.as_ref().is_none_or(|(nameless, at, known)| told < (*nameless, *at, known));
        if wins {
            self.0 = Some((told.0, time, service.clone()));
        }
        wins
    }

    pub(super) fn service(&self) -> ServiceKey {
        self.0.as_ref().map(|(_, _, service)| service.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
#[path = "facts_tests.rs"]
mod tests;
