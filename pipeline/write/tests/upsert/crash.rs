//! What a process that ends between two steps leaves behind, in a local folder.

use std::fs;

use super::*;
use crate::Kind;
use crate::write::Pending;

fn record(place: &Place, epoch: u64) -> PathBuf {
    place.staging().join(format!("weir-{epoch}.record"))
}

/// Ends an epoch and stops before its files get to their places: the table's folder is a link to nowhere meanwhile.
fn stop_before_publishing(place: &Place, writer: &Writer) {
    let (table, aside) = (place.to().join("daily"), place.0.path().join("daily"));
    let existed = table.is_dir();
    assert!(!existed, "rows that are there could not be read");
    std::os::unix::fs::symlink(&aside, &table).unwrap();
    assert_eq!(writer.close_epoch().unwrap_err().kind(), Kind::Storage);
    fs::remove_file(&table).unwrap();
}

#[test]
fn an_epoch_that_is_staged_and_not_recorded_leaves_the_table_as_it_was() {
    let place = Place::new();
    let writer = begin(place.options());
    put(&writer, 1, &[given("a", 1.0), given("b", 1.0)]);
    writer.close_epoch().unwrap();
    // A folder stands where the record is to be written.
    fs::create_dir(place.staging().join("weir-2.new")).unwrap();
    put(&writer, 2, &[given("a", 2.0)]);
    assert_eq!(writer.close_epoch().unwrap_err().kind(), Kind::Storage);
    assert_eq!(place.staged().len(), 1);
    assert_eq!(daily(&place), [found(NOON, "a", 1.0, 0), found(NOON, "b", 1.0, 0)]);
    drop(writer);
    fs::remove_dir(place.staging().join("weir-2.new")).unwrap();
    let writer = begin(place.options());
    assert!(place.staged().is_empty());
    put(&writer, 1, &[given("a", 2.0)]);
    writer.close_epoch().unwrap();
    assert_eq!(daily(&place), [found(NOON, "a", 2.0, 1), found(NOON, "b", 1.0, 0)]);
}

#[test]
fn an_epoch_that_is_recorded_and_not_published_is_published_by_the_next_start() {
    let place = Place::new();
    let writer = begin(place.options());
    put(&writer, 1, &[given("a", 1.0)]);
    put(&writer, 2, &[given("a", 2.0), given("b", 2.0)]);
    stop_before_publishing(&place, &writer);
    assert_eq!(writer.pending().rows, 3);
    drop(writer);
    let writer = begin(place.options());
    assert_eq!(writer.taken_over(), 3);
    assert_eq!(writer.pending().rows, 3);
    put(&writer, 1, &[given("b", 3.0)]);
    let closed = writer.close_epoch().unwrap();
    assert_eq!(closed.files, 2);
    assert_eq!(daily(&place), [found(NOON, "a", 2.0, 0), found(NOON, "b", 3.0, 1)]);
    assert_eq!(writer.pending(), Pending::default());
}

#[test]
fn epochs_that_wait_build_on_one_another() {
    let place = Place::new();
    let writer = begin(place.options());
    let (table, aside) = (place.to().join("daily"), place.0.path().join("daily"));
    std::os::unix::fs::symlink(&aside, &table).unwrap();
    put(&writer, 1, &[given("a", 1.0), given("b", 1.0), given("c", 1.0)]);
    writer.close_epoch().unwrap_err();
    put(&writer, 2, &[given("a", 2.0)]);
    let row = batch(NOON, 2, &[given("b", 0.0)]);
    writer.upsert("daily", 2, row, true).unwrap();
    writer.close_epoch().unwrap_err();
    put(&writer, 3, &[given("a", 3.0)]);
    writer.close_epoch().unwrap_err();
    assert_eq!(place.staged().len(), 3);
    drop(writer);
    fs::remove_file(&table).unwrap();
    let writer = begin(place.options());
    writer.close_epoch().unwrap();
    assert_eq!(daily(&place), [found(NOON, "a", 3.0, 2), found(NOON, "c", 1.0, 0)]);
    assert!(place.staged().is_empty());
}

#[test]
fn a_day_that_is_emptied_and_filled_again_while_epochs_wait_has_its_last_rows() {
    let place = Place::new();
    let writer = begin(place.options());
    let (table, aside) = (place.to().join("daily"), place.0.path().join("daily"));
    std::os::unix::fs::symlink(&aside, &table).unwrap();
    put(&writer, 1, &[given("a", 1.0)]);
    writer.close_epoch().unwrap_err();
    writer.upsert("daily", 2, batch(NOON, 2, &[given("a", 0.0)]), true).unwrap();
    writer.close_epoch().unwrap_err();
    put(&writer, 3, &[given("b", 3.0)]);
    writer.close_epoch().unwrap_err();
    drop(writer);
    fs::remove_file(&table).unwrap();
    let writer = begin(place.options());
    writer.close_epoch().unwrap();
    assert_eq!(daily(&place), [found(NOON, "b", 3.0, 0)]);
}

#[test]
fn a_record_whose_files_are_at_their_places_changes_nothing() {
    let place = Place::new();
    let writer = begin(place.options());
    put(&writer, 1, &[given("a", 1.0)]);
    stop_before_publishing(&place, &writer);
    let kept = fs::read(record(&place, 1)).unwrap();
    writer.close_epoch().unwrap();
    assert!(!record(&place, 1).exists());
    drop(writer);
    fs::write(record(&place, 1), kept).unwrap();
    let before = inode(&place);
    let writer = begin(place.options());
    assert_eq!(writer.taken_over(), 0);
    writer.close_epoch().unwrap();
    assert_eq!(inode(&place), before);
    assert_eq!(daily(&place), [found(NOON, "a", 1.0, 0)]);
    assert!(!record(&place, 1).exists());
}

#[test]
fn changes_that_were_merged_may_be_merged_again() {
    let place = Place::new();
    let writer = begin(place.options());
    put(&writer, 1, &[given("a", 1.0)]);
    writer.close_epoch().unwrap();
    put(&writer, 2, &[given("a", 2.0), given("b", 2.0)]);
    writer.upsert("daily", 2, batch(NOON, 2, &[given("c", 0.0)]), true).unwrap();
    let aside = place.0.path().join("aside");
    fs::rename(place.to().join(FILE), &aside).unwrap();
    fs::create_dir(place.to().join(FILE)).unwrap();
    assert_eq!(writer.close_epoch().unwrap_err().kind(), Kind::Storage, "a folder stands where the file should be");
    let staged = place.staging().join(&place.staged()[0]);
    let kept = [record(&place, 2), staged].map(|path| (fs::read(&path).unwrap(), path));
    fs::remove_dir(place.to().join(FILE)).unwrap();
    fs::rename(&aside, place.to().join(FILE)).unwrap();
    writer.close_epoch().unwrap();
    let expected = [found(NOON, "a", 2.0, 1), found(NOON, "b", 2.0, 0)];
    assert_eq!(daily(&place), expected);
    drop(writer);
    // Neither the changes nor their record are gone yet: the process ended before.
    kept.iter().for_each(|(content, path)| fs::write(path, content).unwrap());
    let before = inode(&place);
    let writer = begin(place.options());
    assert_eq!(writer.taken_over(), 3);
    assert_eq!(writer.close_epoch().unwrap().files, 0);
    assert_eq!((daily(&place), inode(&place)), (expected.to_vec(), before));
    assert_eq!(writer.pending(), Pending::default());
    assert!(place.staged().is_empty());
}

#[test]
fn changes_of_a_table_that_no_plugin_declares_any_more_are_published() {
    let place = Place::new();
    let writer = begin(place.options());
    put(&writer, 1, &[given("a", 1.0), given("b", 1.0)]);
    stop_before_publishing(&place, &writer);
    drop(writer);
    let writer = start(place.options());
    writer.close_epoch().unwrap();
    assert_eq!(daily(&place), [found(NOON, "a", 1.0, 0), found(NOON, "b", 1.0, 0)]);
    assert_eq!(writer.pending(), Pending::default());
}

#[test]
fn the_name_of_a_days_file_says_nothing_of_epochs() {
    let place = Place::new();
    let writer = begin(place.options());
    for order in 1..=3 {
        put(&writer, order, &[given("a", order as f64)]);
        writer.close_epoch().unwrap();
    }
    drop(writer);
    fs::remove_dir_all(place.staging()).unwrap();
    let writer = begin(place.options());
    put(&writer, 1, &[given("a", 4.0)]);
    assert_eq!(writer.close_epoch().unwrap().epoch, 1);
    assert_eq!(daily(&place), [found(NOON, "a", 4.0, 3)]);
}
