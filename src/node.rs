//! The node: one state machine composed of ring, records, census and election.
