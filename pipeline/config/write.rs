//! `[write]`: where and how tables are written.

mod destination;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::fault::Fault;
use super::keys::{Key, Section};
use super::promoted::{self, Promoted};
use super::table::{Node, Reader, short};
use super::values::{self, GIB, MIB, Wrong, time_text};

pub use destination::{Destination, S3, Secret};
pub(super) use destination::{SECTION as S3_SECTION, folder};

pub(super) static SECTION: Section = Section {
    path: "write",
    header: "[write]",
    keys: &[
        Key::new("to", "\"./data\"", "the folder of the tables, or \"s3://bucket/prefix\""),
        Key::new("writer", "\"weir\"", "its part in the names of files; writers of the same tables need different ones"),
        Key::new("epoch", "\"60s\"", "how often files appear; sooner where the log needs room (`log.disk_soft`)"),
        Key::new("first_epoch", "\"2s\"", "how soon the first files appear; at most `epoch`"),
        Key::new("file_max", "\"128MiB\"", "the size at which a file is closed early"),
        Key::new("row_group_rows", "65536", "rows in a row group of a file; less than twice as many where more come at once"),
        Key::new("compression", "\"zstd\"", "\"zstd\" or \"none\""),
        Key::new("compression_level", "1", "of zstd, from 1 (fast) to 22 (small)"),
        Key::new(
            "attributes",
            "\"full\"",
            "\"full\": `attributes` has all of them; \"residual\": all but those that have columns of their own",
        ),
        Key::new(
            "promote",
            "[\"http.request.method\", \"http.response.status_code\", \"http.route\", \"url.path\", \"server.address\", \
             \"error.type\", \"db.system.name\", \"rpc.service\", \"messaging.system\", \"exception.type\", \
             \"k8s.namespace.name\", \"k8s.pod.name\", \"host.name\"]",
            "attributes that get columns of their own, `http.route` as `http_route`; a type other than text: \
             `{ name = \"shop.items\", type = \"int64\" }`, of text, int32, int64, double and bool",
        )
        .example("[\"http.route\", { name = \"shop.items\", type = \"int64\" }]"),
        Key::unset(
            "staging",
            "\"./data/_staging\"",
            "where files are until they are whole; not set: `_staging` within `to`, `./data/_staging` for S3",
        ),
        Key::section("s3"),
    ],
};

/// How files are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// They are not.
    None,
    /// With zstd, at a level from 1 to 22.
    Zstd(i32),
}

/// What the column `attributes` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attributes {
    /// All of them.
    Full,
    /// All but those that have columns of their own.
    Residual,
}

/// Where and how tables are written.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// Where the tables are.
    pub to: Destination,
    /// The writer in the names of files: 1 to 32 of `a-z`, `0-9`, `_` and `-`.
    pub writer: String,
    /// How often files appear.
    pub epoch: Duration,
    /// How soon the first files appear.
    pub first_epoch: Duration,
    /// The size in bytes at which a file is closed early.
    pub file_bytes_max: u64,
    /// Rows in a row group.
    pub row_group_rows: usize,
    /// How files are compressed.
    pub compression: Compression,
    /// What the column `attributes` has.
    pub attributes: Attributes,
    /// The attributes that have columns of their own.
    pub promote: Vec<Promoted>,
    /// Where files are until they are whole; none: see [`Write::staging_folder`].
    pub staging: Option<PathBuf>,
    /// How to reach the object store, where `to` is one.
    pub s3: S3,
}

impl Default for Write {
    fn default() -> Self {
        Self {
            to: Destination::Local(PathBuf::from("./data")),
            writer: "weir".to_owned(),
            epoch: Duration::from_secs(60),
            first_epoch: Duration::from_secs(2),
            file_bytes_max: 128 * MIB,
            row_group_rows: 65_536,
            compression: Compression::Zstd(1),
            attributes: Attributes::Full,
            promote: Promoted::defaults(),
            staging: None,
            s3: S3::default(),
        }
    }
}

impl Write {
    /// Where files are until they are whole.
    pub fn staging_folder(&self) -> PathBuf {
        match (&self.staging, &self.to) {
            (Some(folder), _) => folder.clone(),
            (None, Destination::Local(folder)) => folder.join("_staging"),
            (None, Destination::S3 { .. }) => Path::new("./data").join("_staging"),
        }
    }

    pub(super) fn read(&mut self, reader: &mut Reader<'_>, root: &Node<'_>) {
        let Some(node) = reader.section(root, &SECTION) else { return };
        let hour = Duration::from_secs(3_600);
        reader.set(&node, "to", &mut self.to, Destination::read);
        reader.set(&node, "writer", &mut self.writer, writer);
        reader.set(&node, "epoch", &mut self.epoch, |value| values::time(value, Duration::from_millis(100)..=hour));
        let first_set = reader.set(&node, "first_epoch", &mut self.first_epoch, |value| {
            values::time(value, Duration::from_millis(10)..=hour)
        });
        reader.set(&node, "file_max", &mut self.file_bytes_max, |value| values::size(value, MIB..=16 * GIB));
        reader
            .set(&node, "row_group_rows", &mut self.row_group_rows, |value| values::number(value, 1_024..=16_777_216));
        self.read_compression(reader, &node);
        let attributes = [("full", Attributes::Full), ("residual", Attributes::Residual)];
        reader.set(&node, "attributes", &mut self.attributes, |value| values::one_of(value, &attributes));
        reader.set(&node, "promote", &mut self.promote, promoted::read);
        reader.set(&node, "staging", &mut self.staging, |value| folder(value).map(Some));
        self.s3.read(reader, &node);
        if self.first_epoch > self.epoch {
            if first_set {
                let (first, epoch) = (time_text(self.first_epoch), time_text(self.epoch));
                let fault = Fault::new(format!("`write.first_epoch` is {first}, above `write.epoch`, {epoch}"))
                    .expected("a first epoch that is not longer than the others")
                    .help(format!("lower `first_epoch` to \"{epoch}\", or remove it"));
                reader.fault(reader.place_of(&node, "first_epoch"), fault);
            } else {
                self.first_epoch = self.epoch;
            }
        }
    }

    fn read_compression(&mut self, reader: &mut Reader<'_>, node: &Node<'_>) {
        let mut zstd = true;
        let mut level = 1;
        reader.set(node, "compression", &mut zstd, |value| values::one_of(value, &[("zstd", true), ("none", false)]));
        let level_set = reader.set(node, "compression_level", &mut level, |value| values::number::<i32>(value, 1..=22));
        if level_set && !zstd {
            let fault = Fault::new("`write.compression_level` is set, but `write.compression` is \"none\"")
                .expected("a level with \"zstd\" only")
                .help("remove `compression_level`, or write `compression = \"zstd\"`");
            reader.fault(reader.place_of(node, "compression_level"), fault);
        }
        self.compression = if zstd { Compression::Zstd(level) } else { Compression::None };
    }
}

fn writer(value: &toml::de::DeValue<'_>) -> Result<String, Wrong> {
    let expected = "1 to 32 lower-case letters, digits, underscores and hyphens";
    let seen = values::text(value, expected)?;
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    if (1..=32).contains(&seen.len()) && seen.bytes().all(good) {
        return Ok(seen.to_owned());
    }
    Err(Wrong::new(format!("is \"{}\", which cannot be part of the name of a file", short(seen)), expected))
}
