//! The limits that more than one module has to know. A limit of one module only lives in that module.

/// Largest value of a record, in bytes. Larger things travel as blobs.
pub const RECORD_VALUE_BYTES: usize = 64 * 1024;
/// Largest key of a record, in bytes.
pub const RECORD_KEY_BYTES: usize = 512;
/// Largest payload of one datagram, before the envelope of [`crate::net`], in bytes. With the envelope (80 bytes at most,
/// encryption and the longest name of a ring included) and the headers of IPv6 and UDP it fits an Ethernet frame.
pub const DATAGRAM_PAYLOAD_BYTES: usize = 1372;
/// Most characters of a ring's name.
pub const RING_NAME_CHARS: usize = 32;
/// Largest frame of a stream, in bytes: a full page of records of the largest size, with room for their keys.
pub const STREAM_FRAME_BYTES: usize = 1024 * 1024;
/// Largest group config that may be applied, in bytes (it is one record's value, less its envelope).
pub const CONFIG_BYTES: usize = 60 * 1024;
/// Largest uploaded file that a record carries, in bytes: in base64, with what is said of it, it is a record's value.
/// Larger ones travel as blobs.
pub const FILE_INLINE_BYTES: usize = 45 * 1024;
/// Largest file that may be uploaded, in bytes.
pub const FILE_BYTES: u64 = 64 * 1024 * 1024;
/// Most characters of an uploaded file's name.
pub const FILE_NAME_CHARS: usize = 100;
/// Most members that a council can have.
pub const COUNCIL_MAX: usize = 7;
/// Most characters of a service, group or lock name.
pub const NAME_CHARS: usize = 64;
/// Most characters of a plan's version.
pub const VERSION_CHARS: usize = 64;
