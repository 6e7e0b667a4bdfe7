//! Numbers for Prometheus, in its text format, version 0.0.4.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::time::Duration;

use crate::api::shape::{MemberServiceState, MemberState};
use crate::base::{GroupId, Seat, Term};
use crate::blob::BlobTraffic;
use crate::net::{Dropped, Snapshot};
use crate::node::Node;
use crate::records::value::Health;
use crate::service::ServiceStatus;

/// What the node says.
pub(super) struct Ring {
    members: BTreeMap<&'static str, usize>,
    groups: usize,
    records: usize,
    unread: u64,
    refused: u64,
    local_health: u8,
    /// The terms of the leader's seats that this node holds.
    leads: Vec<(GroupId, Term)>,
}

/// Everything that is shown.
pub(super) struct Numbers {
    pub ring: Ring,
    pub services: Vec<Arc<ServiceStatus>>,
    pub network: Snapshot,
    pub blobs: BlobTraffic,
    pub lag_us: u64,
    /// Whether the store cannot be written.
    pub store_fails: bool,
    pub uptime: Duration,
}

impl Ring {
    /// Counted on the loop: a number per kind, whatever the ring's size.
    pub(super) fn of(node: &Node) -> Self {
        let states =
            [MemberState::Alive, MemberState::Suspect, MemberState::Down, MemberState::Left, MemberState::Departed];
        let mut members: BTreeMap<&'static str, usize> = states.iter().map(|state| (state.as_str(), 0)).collect();
        for known in node.census().nodes() {
            *members.entry(MemberState::from(known.liveness).as_str()).or_default() += 1;
        }
        let groups = node.census().group_ids();
        let leads = groups.filter_map(|group| Some((group.clone(), node.holds(group, &Seat::Leader)?))).collect();
        Self {
            members,
            groups: node.census().group_ids().count(),
            records: node.records().iter().count(),
            unread: node.unread(),
            refused: node.records().refused(),
            local_health: node.local_health(),
            leads,
        }
    }
}

struct Page(String);

impl Page {
    fn metric(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").ok();
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escape(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        writeln!(self.0, "{name}{labels} {value}").ok();
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.metric(name, kind, help);
        self.value(name, &[], value);
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

pub(super) fn render(numbers: &Numbers) -> String {
    let mut page = Page(String::new());
    page.metric("sup_build_info", "gauge", "The version of sup.");
    page.value("sup_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.single("sup_uptime_seconds", "gauge", "Since the supervisor started.", numbers.uptime.as_secs());
    ring(&mut page, numbers);
    services(&mut page, &numbers.services);
    network(&mut page, &numbers.network);
    blobs(&mut page, &numbers.blobs);
    page.0
}

fn ring(page: &mut Page, numbers: &Numbers) {
    page.metric("sup_members", "gauge", "Nodes of the ring as seen from here, by state.");
    for (state, count) in &numbers.ring.members {
        page.value("sup_members", &[("state", state)], count);
    }
    page.single("sup_groups", "gauge", "Service groups that are known.", numbers.ring.groups);
    page.single("sup_records", "gauge", "Records that are known, tombstones included.", numbers.ring.records);
    let help = "Messages that could not be read: of kinds that only newer nodes know, or damaged by their maker.";
    page.single("sup_messages_unread_total", "counter", help, numbers.ring.unread);
    let help = "Records of others that were refused: over a limit, or not their writer's to write; the log says which.";
    page.single("sup_records_refused_total", "counter", help, numbers.ring.refused);
    let help = "How badly this node keeps up itself, from 0 (well) to 8: the longer it waits before it doubts others.";
    page.single("sup_local_health", "gauge", help, numbers.ring.local_health);
    let help = "1 while the store cannot be written: this node makes no new promise in elections then.";
    page.single("sup_store_failing", "gauge", help, u8::from(numbers.store_fails));
    page.metric("sup_leader_term", "gauge", "The term of a leader's seat that this node holds; absent if it does not.");
    for (group, term) in &numbers.ring.leads {
        page.value("sup_leader_term", &[("group", &group.to_string())], term);
    }
    #[expect(clippy::cast_precision_loss, reason = "exact for lags of less than two hundred years")]
    let lag = numbers.lag_us as f64 / 1e6;
    let help = "The longest that the network loop was late for a deadline since the last scrape.";
    page.single("sup_loop_lag_seconds_max", "gauge", help, lag);
}

fn services(page: &mut Page, services: &[Arc<ServiceStatus>]) {
    let group = |status: &ServiceStatus| status.spec.group_id().to_string();
    page.metric("sup_service_state", "gauge", "What a service of this node is doing: 1 for the state that it is in.");
    for status in services {
        let state = MemberServiceState::from(status.member.state).as_str();
        page.value("sup_service_state", &[("group", &group(status)), ("state", state)], 1);
    }
    page.metric("sup_service_health", "gauge", "What its health check says: 0 ok, 1 warning, 2 critical, 3 unknown.");
    for status in services {
        let health = match status.member.health {
            Health::Ok => 0,
            Health::Warning => 1,
            Health::Critical => 2,
            Health::Unknown => 3,
        };
        page.value("sup_service_health", &[("group", &group(status))], health);
    }
    page.metric("sup_service_restarts_total", "counter", "Restarts after an exit that nobody asked for.");
    for status in services {
        page.value("sup_service_restarts_total", &[("group", &group(status))], status.member.restarts);
    }
}

fn network(page: &mut Page, seen: &Snapshot) {
    for (name, help, udp, tcp) in [
        ("sup_network_received_total", "Datagrams and stream requests received.", seen.packets_in, seen.streams_in),
        ("sup_network_sent_total", "Datagrams and stream requests sent.", seen.packets_out, seen.streams_out),
        ("sup_network_received_bytes_total", "Bytes received.", seen.packet_bytes_in, seen.stream_bytes_in),
        ("sup_network_sent_bytes_total", "Bytes sent.", seen.packet_bytes_out, seen.stream_bytes_out),
    ] {
        page.metric(name, "counter", help);
        page.value(name, &[("transport", "udp")], udp);
        page.value(name, &[("transport", "tcp")], tcp);
    }
    page.metric("sup_network_dropped_total", "counter", "What was dropped, by reason.");
    for (why, count) in Dropped::ALL.into_iter().zip(seen.dropped) {
        page.value("sup_network_dropped_total", &[("reason", why.as_str())], count);
    }
}

fn blobs(page: &mut Page, traffic: &BlobTraffic) {
    for (name, help, value) in [
        ("sup_blob_sent_bytes_total", "Bytes of release archives and files sent to other nodes.", traffic.sent_bytes),
        ("sup_blob_received_bytes_total", "Bytes of them received and kept.", traffic.received_bytes),
        ("sup_blob_wasted_bytes_total", "Bytes of them received a second time.", traffic.wasted_bytes),
        ("sup_blob_wrong_total", "Pieces received that were not what they were sent as.", traffic.wrong),
    ] {
        page.single(name, "counter", help, value);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::time::Duration;

    use super::{Numbers, Ring, escape, render};
    use crate::base::{Now, Term};
    use crate::blob::BlobTraffic;
    use crate::net::Snapshot;
    use crate::service::{ServiceSpec, ServiceStatus};

    #[test]
    fn every_value_belongs_to_a_metric_that_was_announced_once() {
        let spec = Arc::new(ServiceSpec::new("redis".parse().unwrap(), "/p".into()));
        let page = render(&Numbers {
            ring: Ring {
                members: [("alive", 3)].into(),
                groups: 1,
                records: 9,
                unread: 2,
                refused: 3,
                local_health: 0,
                leads: vec![("redis.default".parse().unwrap(), Term(7))],
            },
            services: vec![Arc::new(ServiceStatus::loaded(&spec, Now::default()))],
            blobs: BlobTraffic { sent_bytes: 11, ..BlobTraffic::default() },
            network: Snapshot { packets_in: 5, dropped: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], ..Snapshot::default() },
            store_fails: true,
            lag_us: 1500,
            uptime: Duration::from_secs(60),
        });
        let mut announced = BTreeSet::new();
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                assert!(announced.insert(rest.split(' ').next().unwrap()), "{line}");
            } else if !line.starts_with('#') {
                let name = line.split(['{', ' ']).next().unwrap();
                assert!(announced.contains(name), "{line}");
            }
        }
        for line in [
            "sup_members{state=\"alive\"} 3",
            "sup_messages_unread_total 2",
            "sup_leader_term{group=\"redis.default\"} 7",
            "sup_loop_lag_seconds_max 0.0015",
            "sup_service_state{group=\"redis.default\",state=\"waiting\"} 1",
            "sup_network_received_total{transport=\"udp\"} 5",
            "sup_blob_sent_bytes_total 11",
            "sup_network_dropped_total{reason=\"malformed\"} 9",
        ] {
            assert!(page.lines().any(|shown| shown == line), "{line} is missing in\n{page}");
        }
    }

    #[test]
    fn a_label_cannot_break_out_of_its_quotes() {
        assert_eq!(escape("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
