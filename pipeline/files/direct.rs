//! A file that is written past the system's cache: what nobody reads again need not be copied there page by page.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::File;
use super::aligned::{Aligned, BLOCK};
use super::real::Open;

/// The buffer for what does not lie in blocks of memory, in bytes.
const BUFFER_BYTES: usize = 512 << 10;

#[derive(Debug)]
pub(super) struct Direct {
    open: Open,
    buffer: Option<Aligned>,
}

impl Direct {
    /// Makes a new file with these options, if the file system knows direct writing.
    pub(super) fn create(options: &mut OpenOptions, path: &Path) -> io::Result<Self> {
        let file = options.custom_flags(OFlags::DIRECT.bits().cast_signed()).open(path)?;
        Ok(Self { open: Open(file), buffer: None })
    }

    fn write_blocks(&mut self, blocks: &[&[u8]]) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = blocks.iter().map(|bytes| IoSlice::new(bytes)).collect();
        let mut left = slices.as_mut_slice();
        // It also leaves out what is empty.
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match self.open.0.write_vectored(left) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut left, written),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Some file systems say only here that they want other blocks, or none. It is a file like others from here on.
                Err(error) if error.kind() == ErrorKind::InvalidInput && is_direct(&self.open.0)? => {
                    fcntl_setfl(&self.open.0, fcntl_getfl(&self.open.0)? - OFlags::DIRECT)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The same, by way of a buffer that lies in blocks.
    fn copy_blocks(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        let mut buffer = self.buffer.take().unwrap_or_else(|| Aligned::with_room(BUFFER_BYTES));
        for mut piece in pieces.iter().copied() {
            while !piece.is_empty() {
                piece = buffer.take(piece);
                if buffer.room() == 0 {
                    self.write_blocks(&[&buffer])?;
                    buffer.clear();
                }
            }
        }
        self.write_blocks(&[&buffer])?;
        buffer.clear();
        self.buffer = Some(buffer);
        Ok(())
    }
}

impl File for Direct {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_pieces(&[bytes])
    }

    fn write_pieces(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
        if !bytes.is_multiple_of(BLOCK) {
            let message = format!("{bytes} bytes, where a file that is written directly takes multiples of {BLOCK}");
            return Err(io::Error::new(ErrorKind::InvalidInput, message));
        }
        let blocks = pieces.iter().take_while(|piece| are_blocks(piece)).count();
        let (blocks, others) = pieces.split_at(blocks);
        self.write_blocks(blocks)?;
        if others.is_empty() { Ok(()) } else { self.copy_blocks(others) }
    }

    fn seek(&mut self, to: u64) -> io::Result<()> {
        self.open.seek(to)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.open.sync()
    }

    fn allocate(&mut self, bytes: u64) -> io::Result<()> {
        self.open.allocate(bytes)
    }
}

/// Whether bytes are whole blocks of memory.
fn are_blocks(bytes: &[u8]) -> bool {
    bytes.as_ptr().addr().is_multiple_of(BLOCK) && bytes.len().is_multiple_of(BLOCK)
}

fn is_direct(file: &fs::File) -> io::Result<bool> {
    Ok(fcntl_getfl(file)?.contains(OFlags::DIRECT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_directly_is_written_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let mut file = match Direct::create(OpenOptions::new().write(true).create_new(true), &path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                return println!("skipped: the file system of {} knows no direct writing", path.display());
            }
            Err(error) => panic!("{error}"),
        };
        file.write_all(&[1; BLOCK]).unwrap();
        assert!(is_direct(&file.open.0).unwrap());
        // Neither an address nor a length that a disk has.
        file.write_blocks(&[&[2; 100], &[3; 50]]).unwrap();
        file.write_all(&[4; BLOCK]).unwrap();
        file.sync().unwrap();
        assert!(fs::read(&path).unwrap() == [&[1; BLOCK][..], &[2; 100], &[3; 50], &[4; BLOCK]].concat());
        let refused = file.write_all(b"five").unwrap_err();
        assert_eq!(refused.to_string(), "4 bytes, where a file that is written directly takes multiples of 4096");
    }
}
