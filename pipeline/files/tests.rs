//! The file systems behave alike, and the simulated one loses what it should.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use super::{Aligned, BLOCK, Fault, Files, Real, Simulated, make_folders, replace};

/// Both file systems, each with a folder of its own.
fn both(check: impl Fn(&dyn Files, &Path)) {
    let folder = tempfile::tempdir().unwrap();
    check(&Real, folder.path());
    check(&Simulated::new(1), Path::new("/"));
}

fn write(files: &dyn Files, path: &Path, bytes: &[u8]) {
    files.create(path).unwrap().write_all(bytes).unwrap();
}

#[test]
fn what_is_written_is_read() {
    both(|files, root| {
        let path = root.join("a");
        let mut file = files.create(&path).unwrap();
        file.write_all(b"abc").unwrap();
        file.write_all(b"def").unwrap();
        file.sync().unwrap();
        assert_eq!(files.read(&path).unwrap(), b"abcdef");
        assert_eq!(files.read_range(&path, 2, 3).unwrap(), b"cde");
        assert_eq!(files.read_range(&path, 4, 9).unwrap(), b"ef");
        assert_eq!(files.read_range(&path, 9, 9).unwrap(), b"");
    });
}

#[test]
fn a_file_that_exists_is_not_created_again() {
    both(|files, root| {
        write(files, &root.join("a"), b"1");
        assert_eq!(files.create(&root.join("a")).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(files.create(&root.join("none/a")).unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn allocated_space_reads_as_zeros_and_keeps_what_was_written() {
    both(|files, root| {
        let path = root.join("a");
        let mut file = files.create(&path).unwrap();
        file.write_all(b"abc").unwrap();
        file.allocate(6).unwrap();
        file.write_all(b"d").unwrap();
        assert_eq!(files.read(&path).unwrap(), b"abcd\0\0");
        file.allocate(2).unwrap();
        assert_eq!(files.stat(&path).unwrap().unwrap().bytes, 6);
    });
}

#[test]
fn blocks_are_written_directly_from_wherever_they_lie_in_memory() {
    both(|files, root| {
        let path = root.join("a");
        let bytes: Vec<u8> = (0..40 * BLOCK + 1).map(|at| (at / 7) as u8).collect();
        let mut aligned = Aligned::with_room(2 * BLOCK);
        assert_eq!(aligned.take(&bytes).len(), bytes.len() - 2 * BLOCK);
        assert_eq!(aligned.room(), 0);
        let mut file = files.create_direct(&path).unwrap();
        file.allocate(64 * BLOCK as u64).unwrap();
        file.write_all(&bytes[1..=BLOCK]).unwrap();
        file.write_pieces(&[&aligned, &aligned[..BLOCK]]).unwrap();
        file.write_pieces(&[&bytes[..9], &[], &bytes[9..40 * BLOCK]]).unwrap();
        file.sync().unwrap();
        let parts = [&bytes[1..=BLOCK], &bytes[..2 * BLOCK], &bytes[..BLOCK], &bytes[..40 * BLOCK], &[0; 20 * BLOCK]];
        assert!(files.read(&path).unwrap() == parts.concat());
        assert_eq!(files.create_direct(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
    });
}

#[test]
fn a_rename_replaces_and_a_removed_file_is_gone() {
    both(|files, root| {
        let (a, b) = (root.join("a"), root.join("b"));
        write(files, &a, b"new");
        write(files, &b, b"old");
        files.rename(&a, &b).unwrap();
        assert_eq!(files.read(&b).unwrap(), b"new");
        assert_eq!(files.stat(&a).unwrap(), None);
        files.remove(&b).unwrap();
        assert_eq!(files.read(&b).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(files.remove(&b).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(files.rename(&a, &b).unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_folder_lists_its_names_in_order() {
    both(|files, root| {
        write(files, &root.join("b"), b"22");
        make_folders(files, &root.join("c/d")).unwrap();
        make_folders(files, &root.join("c/d")).unwrap();
        write(files, &root.join("a"), b"1");
        let entries = files.list(root).unwrap();
        let found: Vec<_> = entries.iter().map(|entry| (entry.name.as_str(), entry.stat.is_folder)).collect();
        assert_eq!(found, [("a", false), ("b", false), ("c", true)]);
        assert_eq!(entries[1].stat.bytes, 2);
        assert_eq!(files.list(&root.join("c")).unwrap().len(), 1);
        assert_eq!(files.list(&root.join("x")).unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn a_file_is_cut_and_extended_by_zeros() {
    both(|files, root| {
        let path = root.join("a");
        write(files, &path, b"abcdef");
        files.set_len(&path, 3).unwrap();
        files.set_len(&path, 5).unwrap();
        assert_eq!(files.read(&path).unwrap(), b"abc\0\0");
    });
}

#[test]
fn a_folder_has_one_holder_who_is_named_to_the_second() {
    both(|files, root| {
        let held = files.lock(root).unwrap();
        let refused = files.lock(root).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::WouldBlock);
        assert!(refused.to_string().contains("is in use by another process, "), "{refused}");
        drop(held);
        drop(files.lock(root).unwrap());
    });
    let folder = tempfile::tempdir().unwrap();
    let _held = Real.lock(folder.path()).unwrap();
    let refused = Real.lock(folder.path()).unwrap_err().to_string();
    assert!(refused.contains(&std::process::id().to_string()), "{refused}");
}

#[test]
fn a_file_is_replaced_as_a_whole() {
    both(|files, root| {
        let path = root.join("a");
        replace(files, &path, b"one").unwrap();
        replace(files, &path, b"two").unwrap();
        assert_eq!(files.read(&path).unwrap(), b"two");
        assert!(files.list(root).unwrap().iter().all(|entry| !entry.name.ends_with(".new")));
    });
}

#[test]
fn a_power_cut_keeps_what_was_synced_and_any_part_of_the_rest() {
    let (mut contents, mut lengths) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..400 {
        let files = Simulated::new(seed);
        let path = Path::new("/a");
        let mut file = files.create(path).unwrap();
        file.write_all(&[1; 512]).unwrap();
        file.sync().unwrap();
        files.sync_folder(Path::new("/")).unwrap();
        file.write_all(&[2; 1024]).unwrap();
        let left = files.crash().read(path).unwrap();
        assert!(left.len() >= 512 && left.len() <= 1536, "seed {seed}: {} bytes", left.len());
        assert_eq!(left[..512], [1; 512], "seed {seed}");
        assert!(left[512..].iter().all(|byte| [0, 2].contains(byte)), "seed {seed}");
        lengths.insert(left.len());
        contents.insert(left);
    }
    assert!(lengths.len() > 50 && contents.len() > 100, "{} lengths, {} contents", lengths.len(), contents.len());
}

#[test]
fn a_power_cut_keeps_any_part_of_the_names_until_their_folder_is_synced() {
    let mut seen = BTreeSet::new();
    for seed in 0..400 {
        let files = Simulated::new(seed);
        for name in ["/a", "/b", "/c"] {
            files.create(Path::new(name)).unwrap().sync().unwrap();
        }
        files.sync_folder(Path::new("/")).unwrap();
        files.remove(Path::new("/a")).unwrap();
        files.rename(Path::new("/b"), Path::new("/d")).unwrap();
        files.create(Path::new("/e")).unwrap();
        let names = |files: &Simulated| -> Vec<String> {
            files.list(Path::new("/")).unwrap().into_iter().map(|entry| entry.name).collect()
        };
        let left = names(&files.crash());
        assert!(left.contains(&"c".to_owned()), "seed {seed}: {left:?}");
        assert!(left.contains(&"b".to_owned()) != left.contains(&"d".to_owned()), "seed {seed}: {left:?}");
        seen.insert(left);
        files.sync_folder(Path::new("/")).unwrap();
        assert_eq!(names(&files.crash()), ["c", "d", "e"], "seed {seed}");
    }
    assert_eq!(seen.len(), 8, "{seen:?}");
}

#[test]
fn after_a_failed_sync_another_that_succeeds_brings_nothing_back() {
    let lost = (0..200).filter(|seed| {
        let files = Simulated::new(*seed);
        let mut file = files.create(Path::new("/a")).unwrap();
        files.sync_folder(Path::new("/")).unwrap();
        file.write_all(&[1; 4096]).unwrap();
        files.fail_at(files.operations(), Fault::Io);
        file.sync().unwrap_err();
        file.sync().unwrap();
        assert_eq!(files.restart().read(Path::new("/a")).unwrap(), [1; 4096]);
        files.crash().read(Path::new("/a")).unwrap() != [1; 4096]
    });
    assert!(lost.count() > 100);
}

#[test]
fn a_process_that_died_does_nothing_more() {
    let files = Simulated::new(7);
    let mut file = files.create(Path::new("/a")).unwrap();
    files.stop_at(files.operations() + 1);
    file.write_all(b"abc").unwrap();
    file.write_all(b"def").unwrap_err();
    file.write_all(b"ghi").unwrap_err();
    file.sync().unwrap_err();
    assert!(b"abcdef".starts_with(&files.restart().read(Path::new("/a")).unwrap()));
}

#[test]
fn a_full_disk_refuses_space_until_some_is_given_back() {
    let files = Simulated::new(7);
    files.set_capacity(1000);
    files.create(Path::new("/a")).unwrap().allocate(800).unwrap();
    let mut file = files.create(Path::new("/b")).unwrap();
    assert_eq!(file.allocate(201).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.write_all(&[1; 201]).unwrap_err().kind(), ErrorKind::StorageFull);
    files.remove(Path::new("/a")).unwrap();
    file.allocate(201).unwrap();
}

#[test]
fn the_holder_of_a_folder_is_known_without_taking_it() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Real.holder(folder.path()).unwrap(), None, "nobody ever had it");
    let lock = Real.lock(folder.path()).unwrap();
    assert_eq!(Real.holder(folder.path()).unwrap(), Some(std::process::id().to_string()));
    drop(lock);
    assert_eq!(Real.holder(folder.path()).unwrap(), None, "the number is still in the file");
    drop(Real.lock(folder.path()).expect("looking has taken nothing"));
}
