//! `sys`: the node.

use serde_json::{Value, json};

use crate::records::value::NodeFacts;

/// `sys`: the node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SysContext {
    /// The version of `sup`.
    pub version: String,
    /// The node's id.
    pub member_id: String,
    /// The address that others reach the node by.
    pub ip: String,
    /// The machine's name.
    pub hostname: String,
    /// Where gossip listens.
    pub gossip_ip: String,
    /// Its port.
    pub gossip_port: u16,
    /// Where the HTTP interface listens.
    pub http_gateway_ip: String,
    /// Its port.
    pub http_gateway_port: u16,
    /// Where the control interface listens: the HTTP interface.
    pub ctl_gateway_ip: String,
    /// Its port.
    pub ctl_gateway_port: u16,
    /// Whether the node is a permanent peer of others.
    pub permanent: bool,
}

impl SysContext {
    /// What others would be told of this node.
    #[must_use]
    pub fn facts(&self) -> NodeFacts {
        NodeFacts {
            hostname: self.hostname.clone(),
            version: self.version.clone(),
            ip: self.ip.clone(),
            gossip_port: self.gossip_port,
            http_ip: self.http_gateway_ip.clone(),
            http_port: self.http_gateway_port,
            left: false,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "version": self.version,
            "member_id": self.member_id,
            "ip": self.ip,
            "hostname": self.hostname,
            "gossip_ip": self.gossip_ip,
            "gossip_port": self.gossip_port,
            "http_gateway_ip": self.http_gateway_ip,
            "http_gateway_port": self.http_gateway_port,
            "ctl_gateway_ip": self.ctl_gateway_ip,
            "ctl_gateway_port": self.ctl_gateway_port,
            "permanent": self.permanent,
        })
    }
}
