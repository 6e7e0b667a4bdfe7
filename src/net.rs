//! Sockets for the core: one UDP socket and one TCP listener on one port.
