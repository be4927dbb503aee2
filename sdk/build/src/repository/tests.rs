use super::*;

struct Checkout(PathBuf);

impl Checkout {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("weir-checkout-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        Self(root).with("sdk/wit/plugin.wit", "package weir:plugin;").with("sdk/src/lib.rs", "// sdk")
    }

    fn with(self, file: &str, content: &str) -> Self {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a temporary directory");
        fs::write(path, content).expect("a temporary file");
        self
    }

    fn with_crate(self, folder: &str, package: &str) -> Self {
        self.with(&format!("{folder}/Cargo.toml"), &format!("[package]\nname = \"{package}\"\n"))
            .with(&format!("{folder}/src/lib.rs"), "// a crate")
    }

    fn repository(&self) -> Repository {
        Repository::around(&self.0).expect("it has the contract")
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_checkout_is_found_from_any_folder_in_it() {
    let checkout = Checkout::new("found").with_crate("plugins/one", "weir-plugin-one");
    let inside = Repository::around(&checkout.0.join("plugins/one/src")).expect("it is inside");
    assert_eq!(inside.root(), checkout.0);
    assert!(Repository::around(Path::new("/nonexistent")).is_none());
}

#[test]
fn every_folder_with_a_package_is_a_plugin_named_by_its_folder() {
    let checkout =
        Checkout::new("named").with_crate("plugins/two", "weir-plugin-two").with_crate("plugins/one", "first");
    let checkout = checkout.with("plugins/README.md", "text").with("plugins/notes/text.md", "text");
    let plugins = checkout.repository().plugins().expect("all manifests are right");
    let names: Vec<_> = plugins.iter().map(|plugin| (plugin.name.as_str(), plugin.package.as_str())).collect();
    assert_eq!(names, [("one", "first"), ("two", "weir-plugin-two")]);
}

#[test]
fn a_repository_without_guests_has_none() {
    assert_eq!(Checkout::new("none").repository().guests(), Ok(vec![]));
}

#[test]
fn a_manifest_without_a_package_is_refused_by_its_path() {
    let checkout = Checkout::new("refused").with("plugins/odd/Cargo.toml", "[workspace]\n");
    let error = checkout.repository().plugins().expect_err("it has no package");
    assert!(error.ends_with("plugins/odd/Cargo.toml names no package"), "{error}");
}

#[test]
fn a_stored_module_is_current_until_a_source_changes() {
    let checkout = Checkout::new("current").with_crate("plugins/one", "one").with("built.wasm", "module");
    let plugin = || checkout.repository().plugins().expect("the manifest is right").remove(0);
    assert!(!plugin().is_current());
    plugin().store(&checkout.0.join("built.wasm")).expect("it can be written");
    assert!(plugin().is_current());

    fs::write(checkout.0.join("sdk/src/lib.rs"), "// another sdk").expect("a temporary file");
    assert!(!plugin().is_current(), "the SDK is a part of every plugin");
    fs::write(checkout.0.join("sdk/src/lib.rs"), "// sdk").expect("a temporary file");
    assert!(plugin().is_current());

    fs::remove_file(checkout.0.join("plugins/one/one.wasm")).expect("it was stored");
    assert!(!plugin().is_current(), "a digest without its module says nothing");
}

#[test]
fn modules_of_guests_that_are_gone_are_removed() {
    let checkout = Checkout::new("gone").with_crate("tests/guests/stays", "stays");
    let folder = checkout.0.join("target/guests");
    let checkout = checkout.with("target/guests/gone.wasm", "").with("target/guests/gone.digest", "");
    let checkout = checkout.with("target/guests/stays.wasm", "").with("target/guests/other.txt", "");
    remove_others(&folder, &checkout.repository().guests().expect("the manifest is right")).expect("it can be removed");
    let guests = Guests { folder: folder.clone() };
    assert!(guests.guest("stays").is_ok());
    assert!(guests.guest("gone").expect_err("it is gone").contains("tests/guests/gone"));
    assert!(folder.join("other.txt").exists() && !folder.join("gone.digest").exists());
}

#[test]
fn the_name_is_that_of_the_package_section() {
    let text = "[lib]\nname = \"library\"\n\n[package]\n# name = \"comment\"\nversion = \"1\"\nname = \"mine\" # yes\n";
    assert_eq!(package_name(text), Some("mine"));
    assert_eq!(package_name("[package]\nversion = \"1\"\n[[bin]]\nname = \"program\"\n"), None);
}
