//! `to`, and `[write.s3]`: a folder or an object store.

use std::fmt;
use std::path::PathBuf;

use toml::de::DeValue;

use crate::config::fault::Fault;
use crate::config::keys::{Key, Section};
use crate::config::table::{Node, Reader, short};
use crate::config::values::{self, Wrong};

pub(in crate::config) static SECTION: Section = Section {
    path: "write.s3",
    header: "[write.s3]",
    keys: &[
        Key::unset("endpoint", "\"https://s3.example.com\"", "where the store is, if it is not AWS"),
        Key::unset("region", "\"eu-central-1\"", "its region; not set: `AWS_REGION`"),
        Key::unset("access_key_id", "\"…\"", "who Weir is; not set: `AWS_ACCESS_KEY_ID`"),
        Key::unset("secret_access_key", "\"…\"", "its secret, never printed; not set: `AWS_SECRET_ACCESS_KEY`"),
        Key::new("allow_http", "false", "allow an endpoint without TLS"),
        Key::new("virtual_hosted", "false", "the bucket is part of the host's name and not of the path"),
    ],
};

/// Where tables are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// In a folder.
    Local(PathBuf),
    /// In a bucket.
    S3 {
        /// The bucket.
        bucket: String,
        /// What the names of objects start with, without slashes at its ends; may be empty.
        prefix: String,
    },
}

/// How to reach the object store. What is not set is taken from the variables `AWS_…` of the environment at use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct S3 {
    /// The URL of the store, if it is not AWS.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// Who Weir is.
    pub access_key_id: Option<Secret>,
    /// Its secret.
    pub secret_access_key: Option<Secret>,
    /// Whether the endpoint may be without TLS.
    pub allow_http: bool,
    /// Whether the bucket is part of the host's name.
    pub virtual_hosted: bool,
}

/// A text that is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for those who use it and do not print it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl Destination {
    pub(super) fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let seen = values::text(value, EXPECTED)?;
        let Some((scheme, rest)) = seen.split_once("://") else { return folder(value).map(Self::Local) };
        if scheme != "s3" {
            let wrong = Wrong::new(format!("has the scheme `{}`, which is not supported", short(scheme)), EXPECTED);
            return Err(match scheme {
                "file" => wrong.help(format!("write the path alone: \"{}\"", short(rest))),
                _ => wrong.help("most stores speak S3: \"s3://bucket/prefix\", and `endpoint` in `[write.s3]`"),
            });
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let good = (3..=63).contains(&bucket.len())
            && bucket.bytes().all(|byte| letter(byte) || b".-".contains(&byte))
            && bucket.starts_with(|first: char| first.is_ascii_alphanumeric());
        if !good {
            let wrong = Wrong::new(format!("has the bucket \"{}\", which cannot be one", short(bucket)), EXPECTED);
            return Err(wrong.help("3 to 63 lower-case letters, digits, dots and hyphens: \"s3://bucket/prefix\""));
        }
        let prefix = prefix.trim_matches('/');
        let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(char::is_control);
        if !prefix.is_empty() && !prefix.split('/').all(plain) {
            let wrong = Wrong::new(format!("has the prefix \"{}\", which cannot be one", short(prefix)), EXPECTED);
            return Err(wrong.help("no part of it may be empty, `.` or `..`"));
        }
        Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

const EXPECTED: &str = "the path of a folder, or \"s3://bucket/prefix\"";

/// The path of a folder.
pub(in crate::config) fn folder(value: &DeValue<'_>) -> Result<PathBuf, Wrong> {
    let expected = "the path of a folder";
    let seen = values::text(value, expected)?;
    if seen.is_empty() || seen.contains('\0') {
        return Err(Wrong::new("is not a path", expected));
    }
    if seen.contains("://") {
        return Err(Wrong::new("is a URL", expected).help("files are finished on a local disk: name a folder"));
    }
    Ok(PathBuf::from(seen))
}

impl S3 {
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, write: &Node<'_>) {
        let Some(node) = reader.section(write, &SECTION) else { return };
        let example = "https://s3.example.com";
        reader.set(&node, "endpoint", &mut self.endpoint, |value| {
            values::url(value, &["https", "http"], example).map(Some)
        });
        reader.set(&node, "region", &mut self.region, |value| word(value, "the name of a region").map(Some));
        reader.set(&node, "access_key_id", &mut self.access_key_id, |value| {
            word(value, "the id of an access key").map(|word| Some(Secret::new(word)))
        });
        reader.set(&node, "secret_access_key", &mut self.secret_access_key, |value| {
            word(value, "the secret of an access key").map(|word| Some(Secret::new(word)))
        });
        reader.set(&node, "allow_http", &mut self.allow_http, values::boolean);
        reader.set(&node, "virtual_hosted", &mut self.virtual_hosted, values::boolean);
        let plain = self.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        if plain && !self.allow_http {
            let fault = Fault::new("`write.s3.endpoint` is without TLS, and `write.s3.allow_http` is false")
                .expected("an endpoint that starts with `https://`")
                .help("on a network that you trust, write `allow_http = true`");
            reader.fault(reader.place_of(&node, "endpoint"), fault);
        }
        // Where a key is misspelled, the other one is not alone.
        if node.table.keys().any(|key| SECTION.key(key.get_ref()).is_none()) {
            return;
        }
        let pair = [("access_key_id", "secret_access_key"), ("secret_access_key", "access_key_id")];
        for (given, missing) in pair {
            if node.table.contains_key(given) && !node.table.contains_key(missing) {
                let fault = Fault::new(format!("`write.s3.{given}` is set without `{missing}`"))
                    .expected("both of them, or neither")
                    .help(format!(
                        "add `{missing}`, or take both from the environment: AWS_ACCESS_KEY_ID and \
                         AWS_SECRET_ACCESS_KEY"
                    ));
                reader.fault(reader.place_of(&node, given), fault);
            }
        }
    }
}

/// Text without spaces. It is not repeated in the fault: it may be a secret.
fn word(value: &DeValue<'_>, expected: &str) -> Result<String, Wrong> {
    let seen = values::text(value, expected)?;
    if seen.is_empty() || seen.contains(|char: char| char.is_whitespace() || char.is_control()) {
        return Err(Wrong::new("is empty or has spaces in it", expected));
    }
    Ok(seen.to_owned())
}
