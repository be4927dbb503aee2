//! Whether a module still belongs to its sources.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The SHA-256, in hex, of the sources under `plugin_dir` and under each of `also`: the paths, relative to their folder,
/// and the contents of all `.rs`, `.toml` and `.wit` files.
///
/// Folders that do not go into a module are left out: `tests`, `benches`, `examples`, `target` and hidden ones. Where
/// the folders lie, the order of `also`'s files on disk and their times make no difference. A file that cannot be read
/// gives another digest than any content of it.
pub fn source_digest(plugin_dir: &Path, also: &[&Path]) -> String {
    let mut hasher = Sha256::new();
    for (index, folder) in std::iter::once(&plugin_dir).chain(also).enumerate() {
        let mut files = Vec::new();
        collect(folder, Path::new(""), &mut files);
        files.sort();
        for file in files {
            // Lengths before contents, so that no two sets of files can give the same bytes.
            let path = file.to_string_lossy().replace('\\', "/");
            let content = fs::read(folder.join(&file));
            let length =
                content.as_ref().map_or_else(|error| error.kind().to_string(), |bytes| bytes.len().to_string());
            hasher.update(format!("{index} {} {path} {length}\n", path.len()));
            hasher.update(content.unwrap_or_default());
        }
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = root.join(folder).read_dir() else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let path = folder.join(&name);
        let name = name.to_string_lossy();
        // Links to folders are not followed: they may lead in circles.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if !name.starts_with('.') && !["benches", "examples", "target", "tests"].contains(&name.as_ref()) {
                collect(root, &path, files);
            }
        } else if path
            .extension()
            .is_some_and(|extension| ["rs", "toml", "wit"].iter().any(|known| extension == *known))
        {
            files.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("weir-digest-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(path.join("src")).expect("a temporary directory");
            Self(path)
        }

        fn with(self, file: &str, content: &str) -> Self {
            let path = self.0.join(file);
            fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a temporary directory");
            fs::write(path, content).expect("a temporary file");
            self
        }

        fn digest(&self) -> String {
            source_digest(&self.0, &[])
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_digest_is_of_names_and_contents_wherever_they_lie() {
        let one = Folder::new("one").with("Cargo.toml", "a").with("src/lib.rs", "b");
        let same = Folder::new("same").with("src/lib.rs", "b").with("Cargo.toml", "a");
        assert_eq!(one.digest(), same.digest());
        assert_eq!(one.digest().len(), 64);
    }

    #[test]
    fn any_change_of_a_source_changes_it() {
        let base = Folder::new("base").with("src/lib.rs", "b");
        let changed = [
            Folder::new("content").with("src/lib.rs", "c"),
            Folder::new("name").with("src/other.rs", "b"),
            Folder::new("more").with("src/lib.rs", "b").with("src/more.wit", ""),
            Folder::new("none"),
        ];
        for folder in &changed {
            assert_ne!(base.digest(), folder.digest(), "{}", folder.0.display());
        }
    }

    #[test]
    fn bytes_cannot_move_from_one_file_to_the_next() {
        let one = Folder::new("split").with("src/a.rs", "xy").with("src/b.rs", "z");
        let other = Folder::new("joint").with("src/a.rs", "x").with("src/b.rs", "yz");
        assert_ne!(one.digest(), other.digest());
    }

    #[test]
    fn what_does_not_go_into_the_module_does_not_change_it() {
        let base = Folder::new("plain").with("src/lib.rs", "b");
        let more = Folder::new("decorated")
            .with("src/lib.rs", "b")
            .with("README.md", "text")
            .with("tests/behaviour.rs", "test")
            .with("target/debug/out.rs", "generated")
            .with(".hidden/x.rs", "x");
        assert_eq!(base.digest(), more.digest());
    }

    #[test]
    fn the_folders_beside_it_count() {
        let plugin = Folder::new("plugin").with("src/lib.rs", "b");
        let (sdk, newer) = (Folder::new("sdk").with("lib.rs", "1"), Folder::new("newer").with("lib.rs", "2"));
        let with = |folder: &Folder| source_digest(&plugin.0, &[&folder.0]);
        assert_ne!(with(&sdk), with(&newer));
        assert_ne!(with(&sdk), plugin.digest());
    }
}
