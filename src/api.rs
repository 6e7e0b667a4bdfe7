//! The supervisor's HTTP and local-socket interface: shapes, server and client.
