//! The only test binary: one module per part.

// Bytes on users' disks.
mod golden;
// Floors, names, sizes, leftovers.
mod tidy;
