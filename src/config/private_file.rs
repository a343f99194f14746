//! Files that hold secrets: read up to a bound into memory that is wiped, with a word if others may read them.

use secrecy::zeroize::Zeroizing;
use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::Path,
};

/// Keys, chains of certificates and passwords are far below; a path that names a disk must not fill the memory.
const FILE_BYTES: usize = 256 << 10;

pub fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    // One that is no file may never end, or never begin.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let file = File::open(path)?;
    // The buffer never grows: a grown one leaves its old place unwiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES + 1));
    file.take(FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > FILE_BYTES {
        return Err(io::Error::other(format!("larger than {} KiB", FILE_BYTES >> 10)));
    }
    Ok(bytes)
}

/// Says so in the log if anybody on this machine may read it, or a group may write it. (Groups that read are how
/// services are given their secrets.)
pub fn warn_if_open(path: &Path) {
    let Ok(metadata) = std::fs::metadata(path) else { return };
    if metadata.is_file() && metadata.permissions().mode() & 0o027 != 0 {
        let (file, mode) = (path.display(), metadata.permissions().mode() & 0o777);
        tracing::warn!(%file, hint = format!("chmod 600 {file}"), "a file with a secret is open to others ({mode:o})");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_not_read() {
        let file = tempfile::NamedTempFile::new().expect("a temp file");
        file.as_file().set_len(FILE_BYTES as u64).expect("ours");
        assert_eq!(read(file.path()).expect("at the bound").len(), FILE_BYTES);
        file.as_file().set_len(1 << 40).expect("sparse");
        assert!(read(file.path()).expect_err("beyond").to_string().contains("larger"));
    }
}
