//! Who decides: seats, councils and leases.
