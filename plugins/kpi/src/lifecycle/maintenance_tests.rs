use super::*;

const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
/// 2026-01-31T20:00:00Z
const TWENTY: i64 = 1_769_889_600 * SECOND;

type MaintenanceFact = Fact<MaintenanceStep, MaintenanceAttributes>;
use MaintenanceStep::{Cancelled, Ended, Scheduled, Started};

fn at(minute: i64) -> i64 {
    TWENTY + minute * MINUTE
}

fn fact(step: MaintenanceStep, minute: i64) -> MaintenanceFact {
    Fact { time: at(minute), step, uid: None, attributes: MaintenanceAttributes::default() }
}

fn scheduled(told_at: i64, from: i64, to: i64) -> MaintenanceFact {
    let attributes = MaintenanceAttributes { start: Some(at(from)), end: Some(at(to)) };
    Fact { attributes, ..fact(Scheduled, told_at) }
}

fn service(name: &str, environment: &str) -> ServiceKey {
    ServiceKey { namespace: String::new(), service: name.to_owned(), environment: environment.to_owned() }
}

fn facts(told: &[MaintenanceFact]) -> MaintenanceFacts {
    let mut known = MaintenanceFacts::default();
    for fact in told {
        known.add(&service("cart", "production"), fact.clone());
    }
    known
}

fn maintenance(told: &[MaintenanceFact]) -> Option<(Interval, bool)> {
    let maintenance = facts(told).maintenance(&Settings::default());
    maintenance.map(|maintenance| (maintenance.interval, maintenance.after_the_fact))
}

fn interval(from: i64, to: i64) -> Interval {
    Interval { from: at(from), to: Some(at(to)) }
}

#[test]
fn a_maintenance_is_when_it_was_scheduled() {
    assert_eq!(maintenance(&[scheduled(-600, 0, 30)]), Some((interval(0, 30), false)));
}

#[test]
fn one_that_was_scheduled_anew_is_when_it_was_scheduled_last() {
    assert_eq!(maintenance(&[scheduled(-500, 10, 20), scheduled(-600, 0, 30)]), Some((interval(10, 20), false)));
}

#[test]
fn its_beginning_and_end_go_before_its_schedule() {
    let told = [scheduled(-600, 0, 30), fact(Started, 5), fact(Ended, 45)];
    assert_eq!(maintenance(&told), Some((interval(5, 45), false)));
    assert_eq!(maintenance(&told[..2]), Some((interval(5, 30), false)));
    assert_eq!(maintenance(&told[1..]), Some((interval(5, 45), false)));
}

#[test]
fn one_that_began_and_has_no_end_goes_on() {
    assert_eq!(maintenance(&[fact(Started, 0)]), Some((Interval { from: at(0), to: None }, false)));
    let late = [scheduled(-600, 0, 30), fact(Started, 40)];
    assert_eq!(maintenance(&late), Some((Interval { from: at(40), to: None }, false)));
}

#[test]
fn one_that_was_cancelled_before_it_began_does_not_take_place() {
    assert_eq!(maintenance(&[scheduled(-600, 0, 30), fact(Cancelled, -10)]), None);
    assert_eq!(maintenance(&[scheduled(-600, 0, 30), fact(Cancelled, 10)]), None);
}

#[test]
fn one_that_was_cancelled_while_it_ran_ended_then() {
    let told = [scheduled(-600, 0, 30), fact(Started, 0), fact(Cancelled, 10)];
    assert_eq!(maintenance(&told), Some((interval(0, 10), false)));
    let after = [scheduled(-600, 0, 30), fact(Started, 0), fact(Ended, 20), fact(Cancelled, 40)];
    assert_eq!(maintenance(&after), Some((interval(0, 20), false)));
}

#[test]
fn one_that_was_declared_after_the_fact_is_flagged() {
    assert_eq!(maintenance(&[scheduled(60, 0, 30)]), Some((interval(0, 30), true)));
    let mut skewed = scheduled(0, 0, 30);
    skewed.time += 5 * SECOND;
    assert_eq!(maintenance(&[skewed.clone()]), Some((interval(0, 30), false)));
    skewed.time += 1;
    assert_eq!(maintenance(&[skewed]), Some((interval(0, 30), true)));
}

#[test]
fn one_of_which_nothing_says_when_is_none() {
    assert_eq!(maintenance(&[]), None);
    assert_eq!(maintenance(&[fact(Scheduled, 0), fact(Ended, 10)]), None);
    assert_eq!(maintenance(&[fact(Started, 10), fact(Ended, 10)]), None);
}

#[test]
fn it_covers_the_services_that_it_names() {
    let mut known = facts(&[scheduled(-600, 0, 30)]);
    known.add(&service("checkout", "production"), fact(Started, 0));
    known.add(&service("", "production"), fact(Ended, 30));
    assert!(known.covers(&service("cart", "production")));
    assert!(known.covers(&service("checkout", "production")));
    assert!(!known.covers(&service("search", "production")));
    assert!(!known.covers(&service("cart", "staging")));
}

#[test]
fn one_that_names_no_service_covers_all_of_its_environment() {
    let mut known = MaintenanceFacts::default();
    known.add(&service("", "production"), scheduled(-600, 0, 30));
    assert!(known.covers(&service("cart", "production")));
    assert!(!known.covers(&service("cart", "staging")));
}

#[test]
fn a_namespace_that_it_names_must_be_that_of_the_service() {
    let shop = |name: &str| ServiceKey { namespace: "shop".to_owned(), ..service(name, "production") };
    let mut known = MaintenanceFacts::default();
    known.add(&shop(""), scheduled(-600, 0, 30));
    assert!(known.covers(&shop("cart")));
    assert!(!known.covers(&service("cart", "production")));
    assert!(facts(&[scheduled(-600, 0, 30)]).covers(&shop("cart")));
}

#[test]
fn the_order_of_arrival_and_duplicates_make_no_difference() {
    let mut told = vec![scheduled(-600, 0, 30), scheduled(-500, 5, 40), fact(Started, 6), fact(Ended, 38)];
    let expected = facts(&told);
    told.reverse();
    assert_eq!(facts(&told), expected);
    told.rotate_left(1);
    assert_eq!(facts(&[told.clone(), told].concat()), expected);
    let json = serde_json::to_string(&expected).expect("json");
    assert_eq!(serde_json::from_str::<MaintenanceFacts>(&json).expect("facts"), expected);
}

#[test]
fn the_services_that_it_names_are_bounded_and_the_same_in_any_order() {
    let fold = |numbers: &mut dyn Iterator<Item = usize>| {
        let mut known = MaintenanceFacts::default();
        for number in numbers {
            known.add(&service(&format!("s{number:04}"), "production"), fact(Started, 0));
        }
        known
    };
    let known = fold(&mut (0..2 * SERVICES_MAX));
    assert_eq!(known.named.len(), SERVICES_MAX);
    assert_eq!(fold(&mut (0..2 * SERVICES_MAX).rev()), known);
    let beyond = service("s9999", "production");
    assert!(!known.clone().add(&beyond, fact(Started, 0)));
}

#[test]
fn an_end_before_the_beginning_is_that_of_no_maintenance() {
    assert_eq!(maintenance(&[scheduled(-600, 0, 30), fact(Ended, -10)]), Some((interval(0, 30), false)));
}
